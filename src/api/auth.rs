//! Who may call: credentials of the configuration, and the layer that asks for one.
//!
//! In: the `Authorization` field of each request, or the field that a dialect has instead. Out: a [`Caller`] in the request's extensions, or 401. What a caller
//! may see (tenancy) and change (role) is decided by the extractors in [`super::request`].
//!
//! Tokens are kept as keyed hashes only. A presented one is hashed and compared with every credential in constant
//! time, so neither the time nor a dump of the memory tells about the others.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde::{Deserialize, Serialize};

use super::fault::Fault;
use super::serve::Ends;
use super::{Api, origin, rackspace, rate};
use crate::config::{Credential, Role, TokenHash};
use crate::time::Timestamp;

/// Who a request comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Whose zones are visible.
    pub tenant: Arc<str>,
    /// Named in `createdBy` and `lastModifiedBy`.
    pub user: Arc<str>,
    /// What is allowed.
    pub role: Role,
}

/// Tells a credential from all others, those of the same user too: the digest of its tenant, user and secrets. With a changed
/// secret it is another one; role and end may change.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialId(String);

impl CredentialId {
    fn of(credential: &Credential) -> CredentialId {
        let mut digest = ring::digest::Context::new(&ring::digest::SHA256);
        for name in [&credential.tenant, &credential.user] {
            digest.update(&(name.len() as u64).to_be_bytes());
            digest.update(name.as_bytes());
        }
        digest.update(&credential.token.0);
        digest.update(&credential.api_key.0);
        CredentialId(URL_SAFE_NO_PAD.encode(digest.finish()))
    }
}

/// Who logged in, and with which credential.
pub struct Login {
    /// The caller.
    pub caller: Caller,
    /// What was shown.
    pub credential: CredentialId,
}

/// All credentials of the daemon.
pub struct Credentials {
    key: hmac::Key,
    known: Vec<Known>,
}

struct Known {
    caller: Caller,
    id: CredentialId,
    expires: Option<Timestamp>,
    /// Of the bearer token. HMAC of its SHA-256 under a key of this process: `hmac::verify` is the constant-time
    /// comparison.
    token: hmac::Tag,
    /// Of the API key, which is the password of HTTP Basic.
    api_key: hmac::Tag,
}

impl Known {
    fn holds(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|end| end > now)
    }
}

impl Credentials {
    /// Those of the configuration.
    pub fn new(configured: &[Credential]) -> Credentials {
        let random = ring::rand::SystemRandom::new();
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &random).expect("the system gives random octets");
        let known = configured.iter().map(|credential| Known {
            caller: Caller {
                tenant: credential.tenant.as_str().into(),
                user: credential.user.as_str().into(),
                role: credential.role,
            },
            id: CredentialId::of(credential),
            expires: credential.expires,
            token: hmac::sign(&key, &credential.token.0),
            api_key: hmac::sign(&key, &credential.api_key.0),
        });
        Credentials { known: known.collect(), key }
    }

    /// Whether nobody can log in.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Whom a request with these header fields comes from. Knows no issued tokens and counts nothing: see [`admit`].
    fn authenticate(&self, headers: &HeaderMap, now: Timestamp) -> Result<Caller, Fault> {
        self.login(headers, now).map(|login| login.caller)
    }

    /// The same, for those who want a token.
    pub fn login(&self, headers: &HeaderMap, now: Timestamp) -> Result<Login, Fault> {
        if self.is_empty() {
            return Err(Fault::nobody_can_log_in());
        }
        let mut fields = headers.get_all(AUTHORIZATION).into_iter();
        let field = fields.next().ok_or(Fault::unauthorized("Send 'Authorization: Bearer TOKEN'."))?;
        if fields.next().is_some() {
            return Err(Fault::unauthorized("Send one Authorization field, not several."));
        }
        match Presented::parse(field.as_bytes()) {
            Some(presented) => self
                .find(&presented, now)
                .ok_or(Fault::unauthorized("The credential is not known here, or has expired.")),
            None => Err(Fault::unauthorized("Send 'Authorization: Bearer TOKEN' or Basic with user and password.")),
        }
    }

    /// Whom a request with this bare token comes from.
    pub fn holder(&self, token: &[u8], now: Timestamp) -> Option<Caller> {
        self.find(&Presented { user: None, secret: token.to_vec() }, now).map(|login| login.caller)
    }

    /// Whom a login with these comes from; the secret is the token or the API key.
    pub fn user(&self, user: &[u8], secret: &[u8], now: Timestamp) -> Option<Login> {
        self.find(&Presented { user: Some(user.to_vec()), secret: secret.to_vec() }, now)
    }

    /// The caller with this credential, if it is configured still and holds.
    pub fn caller_with(&self, credential: &CredentialId, now: Timestamp) -> Option<Caller> {
        let mut holding = self.known.iter().filter(|known| known.holds(now));
        holding.find(|known| known.id == *credential).map(|known| known.caller.clone())
    }

    fn find(&self, presented: &Presented, now: Timestamp) -> Option<Login> {
        let hash = TokenHash::of(&presented.secret).0;
        let is = |tag: &hmac::Tag| hmac::verify(&self.key, &hash, tag.as_ref()).is_ok();
        let mut found = None;
        for known in &self.known {
            // Both comparisons are always made, and always for all credentials.
            let (is_token, is_api_key) = (is(&known.token), is(&known.api_key));
            let fits = match &presented.user {
                None => is_token,
                Some(user) => (is_token | is_api_key) && user == known.caller.user.as_bytes(),
            };
            if fits && known.holds(now) && found.is_none() {
                found = Some(Login { caller: known.caller.clone(), credential: known.id.clone() });
            }
        }
        found
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.known.iter().map(|known| &known.caller)).finish()
    }
}

/// A configured credential, or else a token that was issued.
fn identify(api: &Api, path: &str, headers: &HeaderMap) -> Result<Caller, Fault> {
    let (settings, now) = (api.settings(), Timestamp::now());
    if let Some(token) = bare_token(path, headers).filter(|_| !headers.contains_key(AUTHORIZATION)) {
        let issued = || api.tokens().find(token, &settings.credentials, now);
        let holder = settings.credentials.holder(token, now).or_else(issued);
        return holder.ok_or(Fault::unauthorized("The credential is not known here, or has expired."));
    }
    if path.starts_with("/v1.0/") && !headers.contains_key(AUTHORIZATION) && !settings.credentials.is_empty() {
        return Err(Fault::unauthorized("Send 'X-Auth-Token: TOKEN'; /v2.0/tokens gives one."));
    }
    settings.credentials.authenticate(headers, now).or_else(|fault| {
        bearer(headers).and_then(|token| api.tokens().find(token, &settings.credentials, now)).ok_or(fault)
    })
}

/// The token in the field that the dialect of `path` has for it, if there is one such field.
fn bare_token<'a>(path: &str, headers: &'a HeaderMap) -> Option<&'a [u8]> {
    let name = match path {
        path if path.starts_with("/api/v1/") => "x-api-key",
        path if path.starts_with("/v1.0/") => "x-auth-token",
        _ => return None,
    };
    let mut fields = headers.get_all(name).into_iter();
    let (field, None) = (fields.next()?, fields.next()) else { return None };
    Some(field.as_bytes().trim_ascii()).filter(|token| !token.is_empty())
}

/// The token of the one `Authorization` field, if it is a bearer's.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut fields = headers.get_all(AUTHORIZATION).into_iter();
    let (field, None) = (fields.next()?.as_bytes(), fields.next()) else { return None };
    let (scheme, rest) = field.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| rest.trim_ascii()).filter(|rest| !rest.is_empty())
}

/// What stands in an `Authorization` field.
struct Presented {
    /// Given with Basic only.
    user: Option<Vec<u8>>,
    secret: Vec<u8>,
}

impl Presented {
    /// RFC 9110 §11.1: the scheme is case-insensitive.
    fn parse(field: &[u8]) -> Option<Presented> {
        let space = field.iter().position(|&c| c == b' ')?;
        let (scheme, rest) = (&field[..space], field[space..].trim_ascii());
        if scheme.eq_ignore_ascii_case(b"bearer") {
            return (!rest.is_empty()).then(|| Presented { user: None, secret: rest.to_vec() });
        }
        if !scheme.eq_ignore_ascii_case(b"basic") {
            return None;
        }
        let mut user = base64::engine::general_purpose::STANDARD.decode(rest).ok()?;
        // RFC 7617 §2: the user-id holds no colon, the password may.
        let colon = user.iter().position(|&c| c == b':')?;
        let secret = user.split_off(colon + 1);
        user.truncate(colon);
        Some(Presented { user: Some(user), secret })
    }
}

/// Whom a request comes from. It is counted: by the caller, or where there is none by the address, so that nobody can guess
/// tokens for ever.
pub fn admit(api: &Api, path: &str, headers: &HeaderMap, ends: Option<Ends>) -> Result<Caller, Fault> {
    let identified = identify(api, path, headers);
    let key = match &identified {
        Ok(caller) => rate::Key::of(caller),
        Err(_) => rate::Key::at(origin::client(&api.settings(), headers, ends)),
    };
    api.count(key).and(identified)
}

/// Layer around everything that needs a credential, unknown paths and methods included.
pub async fn require(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Response {
    match admit(&api, request.uri().path(), request.headers(), origin::ends(&request)) {
        Ok(caller) if rackspace::is_foreign(request.uri().path(), &caller.tenant) => {
            Fault::unauthorized("The account in the path is not that of the credential.").into_response()
        }
        Ok(caller) => {
            request.extensions_mut().insert(caller.clone());
            let mut response = next.run(request).await;
            response.extensions_mut().insert(caller);
            response
        }
        Err(fault) => fault.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderValue, StatusCode};

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn caller(user: &str, role: Role) -> Caller {
        Caller { tenant: "1000".into(), user: user.into(), role }
    }

    fn known() -> Credentials {
        Credentials::new(&[
            Credential::new("1000", "ann", Role::Admin, "ann's"),
            Credential {
                api_key: TokenHash::of(b"key:of bob"),
                ..Credential::new("1000", "bob", Role::Observer, "bob's")
            },
            Credential { expires: Some(NOW), ..Credential::new("1000", "eve", Role::Admin, "eve's") },
        ])
    }

    fn with(field: &str) -> Result<Caller, Fault> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_str(field).expect("a field"));
        known().authenticate(&headers, NOW)
    }

    fn basic(text: &str) -> String {
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text))
    }

    /// RFC 9110 §11.1: "It uses a case-insensitive token to identify the authentication scheme".
    #[test]
    fn bearer_is_read_in_any_case() {
        for scheme in ["Bearer", "bearer", "BEARER"] {
            assert_eq!(with(&format!("{scheme} ann's")).expect("known"), caller("ann", Role::Admin));
        }
    }

    #[test]
    fn basic_needs_the_right_user_for_the_secret() {
        assert_eq!(with(&basic("bob:key:of bob")).expect("known"), caller("bob", Role::Observer));
        assert_eq!(with(&basic("bob:bob's")).expect("known"), caller("bob", Role::Observer));
        assert!(with(&basic("ann:bob's")).is_err());
        assert!(with(&basic("bob")).is_err());
        assert!(with("Basic ***").is_err());
    }

    #[test]
    fn everything_else_is_401() {
        for field in ["Bearer", "Bearer ", "Bearer ann", "Bearer key:of bob", "ann's", "Token ann's", ""] {
            assert_eq!(with(field).expect_err("refused").status(), StatusCode::UNAUTHORIZED, "{field:?}");
        }
        assert!(known().authenticate(&HeaderMap::new(), NOW).is_err());
    }

    #[test]
    fn an_expired_credential_is_an_unknown_one() {
        assert!(with("Bearer eve's").is_err());
    }

    #[test]
    fn a_credential_is_told_from_others_of_its_user_and_from_itself_with_another_secret() {
        let of = |role, token: &str, key: &str| {
            CredentialId::of(&Credential {
                api_key: TokenHash::of(key.as_bytes()),
                ..Credential::new("1000", "ann", role, token)
            })
        };
        let id = of(Role::Admin, "token", "key");
        assert!(id == of(Role::Observer, "token", "key"), "its role may change");
        assert!(id != of(Role::Admin, "other", "key") && id != of(Role::Admin, "token", "other"));
        let named = |tenant, user| CredentialId::of(&Credential::new(tenant, user, Role::Admin, "token"));
        assert!(named("10", "0ann") != named("100", "ann"));
    }

    #[test]
    fn two_authorization_fields_are_refused_rather_than_one_chosen() {
        let mut headers = HeaderMap::new();
        headers.append(AUTHORIZATION, HeaderValue::from_static("Bearer ann's"));
        headers.append(AUTHORIZATION, HeaderValue::from_static("Bearer ann's"));
        assert!(known().authenticate(&headers, NOW).is_err());
    }

    #[test]
    fn without_credentials_nobody_can_log_in_and_the_answer_says_why() {
        let fault = Credentials::new(&[]).authenticate(&HeaderMap::new(), NOW).expect_err("refused");
        assert!(fault.messages().next().expect("one").text.contains("[[api.credential]]"));
    }

    #[test]
    fn debug_output_shows_no_token() {
        assert!(!format!("{:?}", known()).contains("'s"));
    }
}
