//! `.../explain`: why a zone is as it is, and what to do. Gathers the facts; the rule is [`crate::control::explain`].

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::history;
use crate::api::Api;
use crate::api::fault::Fault;
use crate::api::ionos::json;
use crate::api::request::{Called, Zone};
use crate::control::explain::{Facts, explain};
use crate::time::Timestamp;

/// GET `/secondaryzones/{id}/explain`.
pub(super) async fn read(State(api): State<Arc<Api>>, zone: Zone) -> Result<Response, Fault> {
    answer(&api, zone).await
}

/// GET `/zones/{id}/explain`: the same for a zone called by UUID or name.
pub(super) async fn read_named(State(api): State<Arc<Api>>, Called(zone): Called) -> Result<Response, Fault> {
    answer(&api, zone).await
}

async fn answer(api: &Api, zone: Zone) -> Result<Response, Fault> {
    let facts = Facts {
        now: Timestamp::now(),
        // Without the history the explanation is poorer, not impossible.
        attempts: history::of(api, &zone).await.unwrap_or_default(),
        surroundings: api.control().surroundings(),
        zone: zone.status,
    };
    Ok(json(StatusCode::OK, &explain(&facts)))
}
