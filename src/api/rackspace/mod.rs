//! The Rackspace dialect: so far the login of its Identity v2.0, `/v2.0/tokens`, and the shape of its faults; everything
//! below `/v1.0` is answered with 404 in that shape.

mod identity;

use std::sync::Arc;

use axum::Router;
use axum::routing::post;

use super::Api;

/// What needs no token, because it gives one.
pub fn open() -> Router<Arc<Api>> {
    Router::new().route("/v2.0/tokens", post(identity::login)).route("/v2.0/tokens/", post(identity::login))
}
