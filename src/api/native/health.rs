//! What answers without a credential: whether the process lives, whether it serves, and its metrics.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use crate::api::Api;
use crate::reason::Code;

/// 200 as long as the process lives.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// 200 once the DNS sockets are bound and the stored zones are served; 503 says what is missing. A second line tells that
/// nothing can be stored: what is served is served all the same, and nobody should go elsewhere for that.
pub(super) async fn readyz(State(api): State<Arc<Api>>) -> Response {
    match (api.ready)() {
        Ok(()) => match api.control().board().trouble() {
            None => "ready\n".into_response(),
            Some(_) => format!("ready\n{}: see the log\n", Code::StorageFailed).into_response(),
        },
        Err(missing) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {missing}\n")).into_response(),
    }
}

/// Prometheus' text format.
pub(super) async fn metrics(State(api): State<Arc<Api>>) -> Response {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], (api.metrics)()).into_response()
}
