//! Our own paths, beside the dialects: how the process is, and what the daemon knows that no foreign API asks for.
//!
//! One file per capability; each adds its lines to [`guarded`]. `health` alone answers without a credential.

mod health;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use super::Api;

/// `/healthz`, `/readyz` and `/metrics`: no credential needed.
pub fn open() -> Router<Arc<Api>> {
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
}

/// Everything that shows zones: inside [`super::auth::require`].
pub fn guarded() -> Router<Arc<Api>> {
    Router::new()
}
