//! `POST /v2.0/tokens`: a token for user and API key or password, with the catalogue of the one service there is.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};

use crate::api::Api;
use crate::api::fault::Fault;
use crate::api::ionos::{Date, json};
use crate::api::request::Json;
use crate::api::serve::Ends;
use crate::api::tokens::LIFETIME;
use crate::time::Timestamp;

#[derive(Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct Request {
    auth: Auth,
}

#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct Auth {
    #[serde(rename = "RAX-KSKEY:apiKeyCredentials")]
    key: Option<KeyLogin>,
    #[serde(rename = "passwordCredentials")]
    password: Option<PasswordLogin>,
    #[serde(rename = "tenantId")]
    tenant_id: Option<String>,
    #[serde(rename = "tenantName")]
    tenant_name: Option<String>,
}

#[derive(Deserialize)]
struct KeyLogin {
    username: String,
    #[serde(rename = "apiKey")]
    api_key: String,
}

#[derive(Deserialize)]
struct PasswordLogin {
    username: String,
    password: String,
}

/// The order of the members is that of the original: shell clients cut the token out by its place.
#[derive(Serialize)]
struct Answer<'a> {
    access: Access<'a>,
}

#[derive(Serialize)]
struct Access<'a> {
    #[serde(rename = "serviceCatalog")]
    catalog: [Service<'a>; 1],
    user: User<'a>,
    token: Token<'a>,
}

#[derive(Serialize)]
struct Service<'a> {
    endpoints: [Endpoint<'a>; 1],
    name: &'static str,
    r#type: &'static str,
}

#[derive(Serialize)]
struct Endpoint<'a> {
    #[serde(rename = "tenantId")]
    tenant: &'a str,
    #[serde(rename = "publicURL")]
    url: String,
}

#[derive(Serialize)]
struct User<'a> {
    roles: [RoleShown; 1],
    name: &'a str,
    id: &'static str,
}

#[derive(Serialize)]
struct RoleShown {
    name: &'static str,
    description: &'static str,
    id: &'static str,
}

#[derive(Serialize)]
struct Token<'a> {
    expires: Date,
    #[serde(rename = "RAX-AUTH:issued")]
    issued: Date,
    #[serde(rename = "RAX-AUTH:authenticatedBy")]
    by: [&'static str; 1],
    id: &'a str,
    tenant: Tenant<'a>,
}

#[derive(Serialize)]
struct Tenant<'a> {
    name: &'a str,
    id: &'a str,
}

/// POST `/v2.0/tokens`.
pub(super) async fn login(
    State(api): State<Arc<Api>>,
    ends: Option<Extension<ConnectInfo<Ends>>>,
    headers: HeaderMap,
    Json(Request { auth }): Json<Request>,
) -> Result<Response, Fault> {
    let refused = || Fault::unauthorized("Unable to authenticate user with credentials provided.");
    let (user, secret, by) = match (auth.key, auth.password) {
        (Some(key), _) => (key.username, key.api_key, "APIKEY"),
        (None, Some(login)) => (login.username, login.password, "PASSWORD"),
        (None, None) => return Err(refused()),
    };
    let (settings, now) = (api.settings(), Timestamp::now());
    let login = settings.credentials.user(user.as_bytes(), secret.as_bytes(), now).ok_or_else(refused)?;
    let caller = login.caller;
    let is_other = |named: &Option<String>| named.as_ref().is_some_and(|named| **named != *caller.tenant);
    if is_other(&auth.tenant_id) || is_other(&auth.tenant_name) {
        return Err(refused());
    }
    let token = api.tokens().issue(api.control(), login.credential, LIFETIME, now).await?;
    let base = settings.base_url(&headers, ends.map(|ends| ends.0.0));
    let tenant = &*caller.tenant;
    let access = Access {
        catalog: [Service {
            endpoints: [Endpoint { tenant, url: format!("{base}/v1.0/{tenant}") }],
            name: "cloudDNS",
            r#type: "rax:dns",
        }],
        user: User {
            roles: [RoleShown { name: "dnsaas:admin", description: "", id: "1" }],
            name: &caller.user,
            id: "1",
        },
        token: Token {
            expires: Date(token.expires),
            issued: Date(token.issued),
            by: [by],
            id: &token.text,
            tenant: Tenant { name: tenant, id: tenant },
        },
    };
    Ok(json(StatusCode::OK, &Answer { access }))
}
