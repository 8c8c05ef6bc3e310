//! Our own paths, beside the dialects: how the process is, and what the daemon knows that no foreign API asks for.
//!
//! One file per capability; each adds its lines to [`guarded`]. `health` alone answers without a credential.

pub(in crate::api) mod attempt;
mod check;
pub(in crate::api) mod events;
mod explain;
mod health;
mod held;
pub(in crate::api) mod history;
mod transfers;
mod versions;
mod zones_health;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use super::Api;

/// `/healthz`, `/readyz`, `/metrics` and `/health/zones`: no credential needed.
pub fn open() -> Router<Arc<Api>> {
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .route("/health/zones", get(zones_health::read))
}

/// Everything that shows zones: inside [`super::auth::require`].
pub fn guarded() -> Router<Arc<Api>> {
    Router::new()
        .route("/secondaryzones/{id}/held", get(held::list))
        .route("/secondaryzones/{id}/held/{held}/diff", get(held::diff))
        .route("/secondaryzones/{id}/held/{held}/approve", post(held::approve))
        .route("/secondaryzones/{id}/held/{held}/reject", post(held::reject))
        .route("/secondaryzones/{id}/versions", get(versions::list))
        .route("/secondaryzones/{id}/versions/{serial}", get(versions::read))
        .route("/secondaryzones/{id}/versions/{serial}/rollback", post(versions::roll_back))
        .route("/secondaryzones/{id}/release", post(versions::release))
        .route("/secondaryzones/{id}/axfr/history", get(history::read))
        .route("/secondaryzones/{id}/axfr/check", post(check::zone))
        .route("/secondaryzones/{id}/explain", get(explain::read))
        .route("/zones/{id}/explain", get(explain::read_named))
        .route("/zones/{id}/versions/{serial}", get(versions::read_named))
        .route("/transfers/check", post(check::unknown))
        .route("/transfers", get(transfers::list))
        .route("/transfers/summary", get(transfers::summary))
        .route("/events", get(events::read))
}
