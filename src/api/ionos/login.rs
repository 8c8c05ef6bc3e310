//! `/auth/v1/tokens/generate`: a short-lived token for user and password.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;

use super::json;
use crate::api::Api;
use crate::api::fault::Fault;
use crate::api::query::Params;
use crate::api::tokens::{LIFETIME, LIFETIME_SECS_MAX};
use crate::time::Timestamp;

#[derive(Serialize)]
struct Body {
    token: String,
}

/// GET `/auth/v1/tokens/generate?ttl=SECONDS`. A token does not make further tokens: else it would never end.
pub(super) async fn generate(
    State(api): State<Arc<Api>>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let now = Timestamp::now();
    let login = api.settings().credentials.login(&headers, now)?;
    let secs = params.number("ttl", 1..=LIFETIME_SECS_MAX, LIFETIME.as_secs() as usize)?;
    let token = api.tokens().issue(api.control(), login.credential, Duration::from_secs(secs as u64), now).await?;
    Ok(json(StatusCode::OK, &Body { token: token.text }))
}
