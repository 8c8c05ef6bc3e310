//! The IONOS Cloud DNS dialect (1.18): `/secondaryzones` and below.
//!
//! Bodies are compact JSON with the members in the order of the original, because some clients read them with
//! regular expressions. Our own members stand behind those, where foreign decoders skip them. The exact success code
//! matters too: generated clients decode a body only under the code of the specification.

pub mod axfr;
pub mod collection;
pub mod content;
mod login;
mod managed_records;
mod metadata;
pub mod primaries;
mod quota;
pub mod records;
mod refused;
mod reverse_records;
pub mod secondary_zones;
mod zone_files;
pub mod zonefile;
mod zones;

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::{Serialize, Serializer};

use super::Api;
use crate::time::Timestamp;

/// The paths of the dialect.
pub fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/secondaryzones", get(secondary_zones::list).post(secondary_zones::create))
        .route(
            "/secondaryzones/{id}",
            get(secondary_zones::read).put(secondary_zones::replace).delete(secondary_zones::remove),
        )
        .route("/secondaryzones/{id}/axfr", get(axfr::read).put(axfr::start))
        .route("/secondaryzones/{id}/records", get(records::list))
        .route("/secondaryzones/{id}/zonefile", get(zonefile::read))
        .route("/zones", get(zones::list).post(zones::create))
        .route("/zones/{id}", get(zones::read).put(zones::replace).delete(zones::remove))
        .route("/zones/{id}/records", get(managed_records::list).post(managed_records::create))
        .route(
            "/zones/{id}/records/{record}",
            get(managed_records::read).put(managed_records::replace).delete(managed_records::remove),
        )
        .route("/zones/{id}/zonefile", get(zone_files::read).put(zone_files::replace))
        .route("/zones/{id}/keys", get(quota::no_keys).post(quota::no_signing).delete(quota::no_keys))
        .route("/records", get(managed_records::list_all))
        .route("/reverserecords", get(reverse_records::list).post(reverse_records::create))
        .route(
            "/reverserecords/{id}",
            get(reverse_records::read).put(reverse_records::replace).delete(reverse_records::remove),
        )
        .route("/quota", get(quota::read))
        .route("/auth/v1/tokens/generate", get(login::generate))
}

/// A response with a JSON body.
pub(in crate::api) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let text = serde_json::to_vec(body).expect("bodies hold only what JSON can hold");
    (status, [(CONTENT_TYPE, "application/json")], text).into_response()
}

/// The body `{}` of deletions and commands.
pub(in crate::api) fn accepted() -> Response {
    (StatusCode::ACCEPTED, [(CONTENT_TYPE, "application/json")], "{}").into_response()
}

/// A time as the dialect writes it: `2026-11-21T23:00:00.123Z`.
#[derive(Clone, Copy, Debug)]
pub(in crate::api) struct Date(pub(in crate::api) Timestamp);

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&self.0)
    }
}
