//! `/secondaryzones/{id}/held`: versions that wait for a person, and the verdict.

use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use serde::Serialize;
use uuid::Uuid;

use super::versions::diff_response;
use crate::api::Api;
use crate::api::fault::{ErrorCode, Fault};
use crate::api::intent::refuse_dry_run;
use crate::api::ionos::{Date, accepted, json};
use crate::api::query::Params;
use crate::api::request::{Writer, Zone, segment};
use crate::control::held::{self, Decision};
use crate::control::status::ZoneStatus;
use crate::dns::Serial;
use crate::reason::Code;
use crate::refresh::TransferKind;

/// The held version named in the path.
pub(super) struct HeldId(Uuid);

impl FromRequestParts<Arc<Api>> for HeldId {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<HeldId, Fault> {
        let text = segment(parts, api, "held").await;
        let not_found = || Fault::new(ErrorCode::VersionNotFound, "No version with this id is held.");
        Uuid::try_parse(&text).map(HeldId).map_err(|_| not_found())
    }
}

/// GET `/secondaryzones/{id}/held`.
pub(super) async fn list(State(api): State<Arc<Api>>, zone: Zone) -> Response {
    json(StatusCode::OK, &List::of(&zone.status, api.settings().primary_port))
}

/// GET `/secondaryzones/{id}/held/{held}/diff`: what it would change.
pub(super) async fn diff(
    State(api): State<Arc<Api>>,
    zone: Zone,
    HeldId(id): HeldId,
    params: Params,
    headers: axum::http::HeaderMap,
) -> Result<Response, Fault> {
    if zone.status.remarks.review.held.as_ref().is_none_or(|held| held.id != id) {
        return Err(Fault::new(ErrorCode::VersionNotFound, "No version with this id is held."));
    }
    let diff = api.control().held_difference(&zone.view).await?;
    diff_response(&diff, &params, &headers)
}

/// POST `/secondaryzones/{id}/held/{held}/approve`.
pub(super) async fn approve(
    State(api): State<Arc<Api>>,
    zone: Zone,
    Writer(caller): Writer,
    HeldId(id): HeldId,
) -> Result<Response, Fault> {
    refuse_dry_run()?;
    api.control().decide(zone.view.uuid, id, Decision::Approve, caller.user.to_string()).await?;
    Ok(accepted())
}

/// POST `/secondaryzones/{id}/held/{held}/reject`.
pub(super) async fn reject(
    State(api): State<Arc<Api>>,
    zone: Zone,
    Writer(caller): Writer,
    HeldId(id): HeldId,
) -> Result<Response, Fault> {
    refuse_dry_run()?;
    api.control().decide(zone.view.uuid, id, Decision::Reject, caller.user.to_string()).await?;
    Ok(accepted())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List {
    r#type: &'static str,
    items: Vec<Held>,
    zone_id: Uuid,
    zone_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    served_serial: Option<Serial>,
    /// The version that was given up last, while its serial is not fetched again.
    #[serde(skip_serializing_if = "Option::is_none")]
    rejected: Option<Rejected>,
}

/// A version that waits.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Held {
    id: Uuid,
    serial: Serial,
    error_code: Code,
    error_message: String,
    primary_ip: String,
    r#type: TransferKind,
    received: Date,
    deadline: Date,
    records: u64,
    deleted: u64,
    added: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    served_serial: Option<Serial>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rejected {
    serial: Serial,
    error_code: Code,
    error_message: String,
    by: String,
    at: Date,
}

impl List {
    fn of(status: &ZoneStatus, default_port: u16) -> List {
        let rejected = status.remarks.review.refused.as_ref().map(|refused| Rejected {
            serial: refused.serial,
            error_code: refused.reason.code,
            error_message: refused.reason.message(),
            by: refused.by.clone(),
            at: Date(refused.at),
        });
        List {
            r#type: "collection",
            items: status.remarks.review.held.iter().map(|held| Held::of(held, default_port)).collect(),
            zone_id: status.definition.uuid,
            zone_name: status.definition.name.without_dot(),
            served_serial: status.served_serial,
            rejected,
        }
    }
}

impl Held {
    fn of(held: &held::Held, default_port: u16) -> Held {
        let primary = crate::control::Primary::at(held.primary);
        Held {
            id: held.id,
            serial: held.serial,
            error_code: held.reason.code,
            error_message: held.reason.message(),
            primary_ip: primary.spelled(default_port),
            r#type: held.kind,
            received: Date(held.received),
            deadline: Date(held.deadline),
            records: held.records,
            deleted: held.deleted,
            added: held.added,
            served_serial: held.base,
        }
    }
}
