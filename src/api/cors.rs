//! `[api] cors-origins`: which pages of other sites a browser lets read our answers (the CORS protocol of the Fetch
//! standard). Off by default; then no field of it is ever sent, and OPTIONS is a method like others.
//!
//! Layer outside of the credential's: a browser asks for leave (preflight) before it shows one.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Api;

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
/// What the dialects read beside what browsers always send.
const FIELDS: HeaderValue = HeaderValue::from_static(
    "authorization, x-auth-token, x-api-key, content-type, accept, prefer, if-none-match, idempotency-key, last-event-id",
);
/// What the dialects send beside what browsers always show.
const SHOWN: HeaderValue =
    HeaderValue::from_static("etag, location, retry-after, www-authenticate, preference-applied, idempotent-replayed");
/// Seconds a browser may remember a leave.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// Answers preflights of listed origins, and tells the browser that they may read the other answers.
pub async fn allow(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let settings = api.settings();
    if settings.cors_origins.is_empty() {
        return next.run(request).await;
    }
    let origin = request.headers().get(ORIGIN).cloned();
    let is_listed = |origin: &&HeaderValue| {
        settings.cors_origins.iter().any(|listed| listed == "*" || listed.as_bytes() == origin.as_bytes())
    };
    let allowed = origin.as_ref().filter(is_listed).cloned();
    let is_preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = match &allowed {
        Some(_) if is_preflight => {
            let fields = [
                (ACCESS_CONTROL_ALLOW_METHODS, METHODS),
                (ACCESS_CONTROL_ALLOW_HEADERS, FIELDS),
                (ACCESS_CONTROL_MAX_AGE, MAX_AGE),
            ];
            (StatusCode::NO_CONTENT, fields).into_response()
        }
        _ => next.run(request).await,
    };
    // The answer to another origin differs, and a cache must know.
    response.headers_mut().append(VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = allowed {
        // Tokens are in fields of their own and never in cookies, so no credentials are allowed.
        response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if !is_preflight {
            response.headers_mut().insert(ACCESS_CONTROL_EXPOSE_HEADERS, SHOWN);
        }
    }
    response
}
