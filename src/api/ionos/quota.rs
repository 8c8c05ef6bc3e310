//! `/quota`: what the tenant may have and what it has. `/zones/{id}/keys`: that there are none.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::json;
use crate::api::Api;
use crate::api::auth::Caller;
use crate::api::fault::{ErrorCode, Fault};
use crate::api::request::{Managed, Writer};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Quota {
    quota_limits: Numbers,
    quota_usage: Numbers,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Numbers {
    records: usize,
    reverse_records: usize,
    secondary_zones: usize,
    zones: usize,
}

/// GET `/quota`.
pub(super) async fn read(State(api): State<Arc<Api>>, caller: Caller) -> Response {
    let limits = api.settings().quota.clone();
    let board = api.control().board();
    let usage = board.local_index().usage(&caller.tenant);
    let body = Quota {
        quota_limits: Numbers {
            records: limits.records,
            reverse_records: limits.reverse_records,
            secondary_zones: limits.secondary_zones,
            zones: limits.zones,
        },
        quota_usage: Numbers {
            records: usage.records,
            reverse_records: usage.reverse_records,
            secondary_zones: board.secondaries_of_rest(&caller.tenant),
            zones: usage.zones,
        },
    };
    json(StatusCode::OK, &body)
}

/// GET and DELETE `/zones/{id}/keys`: zones are not signed here.
pub(super) async fn no_keys(_: Managed) -> Fault {
    Fault::new(ErrorCode::KeysNotFound, "The zone has no DNSSEC keys; this version does not sign zones.")
}

/// POST `/zones/{id}/keys`.
pub(super) async fn no_signing(_: Managed, _: Writer) -> Fault {
    Fault::new(ErrorCode::NotImplemented, "This version does not sign zones.")
}
