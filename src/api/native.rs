//! What answers without a credential: whether the process lives, whether it serves, and its metrics.

pub mod held;
pub mod versions;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::Api;

/// `/healthz`, `/readyz` and `/metrics`.
pub fn routes() -> Router<Arc<Api>> {
    Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz)).route("/metrics", get(metrics))
}

/// What belongs to a zone and needs a credential.
pub fn zone_routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/secondaryzones/{id}/held", get(held::list))
        .route("/secondaryzones/{id}/held/{held}/diff", get(held::diff))
        .route("/secondaryzones/{id}/held/{held}/approve", post(held::approve))
        .route("/secondaryzones/{id}/held/{held}/reject", post(held::reject))
        .route("/secondaryzones/{id}/versions", get(versions::list))
        .route("/secondaryzones/{id}/versions/{serial}", get(versions::read))
        .route("/secondaryzones/{id}/versions/{serial}/rollback", post(versions::roll_back))
        .route("/secondaryzones/{id}/release", post(versions::release))
}

/// 200 as long as the process lives.
async fn healthz() -> &'static str {
    "ok\n"
}

/// 200 once the DNS sockets are bound and the stored zones are served; 503 says what is missing.
async fn readyz(State(api): State<Arc<Api>>) -> Response {
    match (api.ready)() {
        Ok(()) => "ready\n".into_response(),
        Err(missing) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {missing}\n")).into_response(),
    }
}

async fn metrics(State(api): State<Arc<Api>>) -> Response {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], (api.metrics)()).into_response()
}
