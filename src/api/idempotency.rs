//! `Idempotency-Key`: a POST that is sent again because its reply got lost is not done again (draft-ietf-httpapi-idempotency-key-header).
//!
//! In: POSTs of the IONOS, reverse-zones and native endpoints with the field. Out: the reply, and the same one for every
//! further request of the same caller with the same key and body, for a day. Another body under the key, or a request while
//! the first one runs, is 409. Refusals change nothing and are not kept: the key stays free.
//!
//! A mark goes to disk in one batch with a change of local zones, the reply right behind it and before it is sent. So after a
//! crash in between the write is there once, and a repetition is told that it was done (409 `dns-idempotency-reply-lost`).
//! Secondary zones have a name that can be taken once, which keeps a repetition from making a second one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::Api;
use super::auth::Caller;
use super::fault::{ErrorCode, Fault};
use super::intent::Intent;
use super::request::read_body;
use crate::config::TokenHash;
use crate::control::Handle;
use crate::control::local::Mark;
use crate::time::Timestamp;

const FIELD: HeaderName = HeaderName::from_static("idempotency-key");
/// Tells a repeated reply from the first one.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// Octets of a key.
const KEY_OCTETS_MAX: usize = 255;
/// How long a reply is kept.
const AGE_MAX: Duration = Duration::from_secs(24 * 3600);
/// Replies of one tenant; the oldest goes for a further one.
const PER_TENANT_MAX: usize = 1000;
/// Octets of all replies of one tenant, likewise.
const OCTETS_PER_TENANT_MAX: usize = 8 << 20;
/// Octets of a reply that is kept; of a longer one only that it was given.
const REPLY_OCTETS_MAX: usize = 256 << 10;
const PREFIX: &str = "idem/";

/// What is known of one key, as stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Known {
    tenant: String,
    /// SHA-256 of method, target, type and body.
    request: String,
    at: Timestamp,
    /// `None`: the write was made, its reply is not known.
    reply: Option<Reply>,
    #[serde(skip)]
    is_running: bool,
}

/// A reply as it was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Reply {
    status: u16,
    content_type: Option<String>,
    location: Option<String>,
    body: String,
}

/// The keys in use, by their name in the store.
#[derive(Debug, Default)]
pub struct Idempotency {
    known: Mutex<HashMap<String, Known>>,
}

const POISONED: &str = "no holder of the lock can panic";

impl Idempotency {
    /// Those that were kept, and the names of those that have ended meanwhile. Reads from disk.
    pub fn load(control: &Handle, now: Timestamp) -> (Idempotency, Vec<String>) {
        let stored = control.remembered(PREFIX).unwrap_or_else(|error| {
            tracing::error!(%error, "replies kept for Idempotency-Key cannot be read; repetitions are done again");
            Vec::new()
        });
        let (mut known, mut ended) = (HashMap::new(), Vec::new());
        for (name, bytes) in stored {
            match serde_json::from_slice::<Known>(&bytes) {
                Ok(one) if one.at + AGE_MAX > now => drop(known.insert(name, one)),
                _ => ended.push(name),
            }
        }
        (Idempotency { known: Mutex::new(known) }, ended)
    }

    /// Begins a request under a key, or says what became of the one before.
    fn begin(&self, name: &str, caller: &Caller, request: &str, now: Timestamp) -> Result<(), Earlier> {
        let mut all = self.known.lock().expect(POISONED);
        match all.get(name).filter(|known| known.is_running || known.at + AGE_MAX > now) {
            Some(known) if known.request != request => Err(Earlier::Refused(Fault::new(
                ErrorCode::IdempotencyKeyReused,
                "This Idempotency-Key was sent with another request; take a new one for each request.",
            ))),
            Some(known) if known.is_running => Err(Earlier::Refused(Fault::new(
                ErrorCode::IdempotencyInFlight,
                "The request with this Idempotency-Key is being carried out; ask again later.",
            ))),
            Some(Known { reply: Some(reply), .. }) => Err(Earlier::Replied(reply.clone())),
            Some(_) => Err(Earlier::Refused(Fault::new(
                ErrorCode::IdempotencyReplyLost,
                "The request with this Idempotency-Key was carried out, but its reply is not known any more; read \
                 what it has made.",
            ))),
            None => {
                let (tenant, request) = (caller.tenant.to_string(), request.to_owned());
                all.insert(name.to_owned(), Known { tenant, request, at: now, reply: None, is_running: true });
                Ok(())
            }
        }
    }

    /// The request has ended without a change: its key is free.
    fn free(&self, name: &str) {
        self.known.lock().expect(POISONED).remove(name);
    }

    /// The request has ended; what is to be stored, and the names of those that have to go for it.
    fn end(&self, name: &str, reply: Option<Reply>, now: Timestamp) -> (Vec<u8>, Vec<String>) {
        let mut all = self.known.lock().expect(POISONED);
        let Some(known) = all.get_mut(name) else { return (Vec::new(), Vec::new()) };
        (known.reply, known.is_running) = (reply, false);
        let bytes = serde_json::to_vec(known).expect("a reply is plain data");
        let tenant = known.tenant.clone();
        let mut kept: Vec<(Timestamp, String, usize)> = all
            .iter()
            .filter(|(_, known)| known.tenant == tenant && !known.is_running)
            .map(|(name, known)| (known.at, name.clone(), known.reply.as_ref().map_or(0, |reply| reply.body.len())))
            .collect();
        kept.sort_unstable();
        let (mut count, mut octets) = (kept.len(), kept.iter().map(|kept| kept.2).sum::<usize>());
        let mut gone = Vec::new();
        for (at, other, size) in kept {
            if at + AGE_MAX > now && count <= PER_TENANT_MAX && octets <= OCTETS_PER_TENANT_MAX {
                break;
            }
            (count, octets) = (count - 1, octets - size);
            all.remove(&other);
            gone.push(other);
        }
        (bytes, gone)
    }
}

/// Why a request is not begun.
enum Earlier {
    Replied(Reply),
    Refused(Fault),
}

/// Layer inside the credential's, around POSTs.
pub async fn keep(State(api): State<Arc<Api>>, caller: Caller, request: Request, next: Next) -> Response {
    let is_foreign = request.uri().path().starts_with("/v1.0/");
    if request.method() != Method::POST || is_foreign || !request.headers().contains_key(FIELD) {
        return next.run(request).await;
    }
    match carry_out(&api, &caller, request, next).await {
        Ok(response) => response,
        Err(fault) => fault.into_response(),
    }
}

async fn carry_out(api: &Arc<Api>, caller: &Caller, request: Request, next: Next) -> Result<Response, Fault> {
    let name = name_of(caller, request.headers())?;
    if Intent::of_request().dry_run {
        // Nothing is done, so nothing can be done twice.
        return Ok(next.run(request).await);
    }
    let (parts, body) = request.into_parts();
    let bytes = read_body(Request::from_parts(parts.clone(), body), api.settings().max_body_octets).await?;
    let content_type = parts.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let whole = [target.as_bytes(), b"\0", content_type, b"\0", &bytes].concat();
    let fingerprint = URL_SAFE_NO_PAD.encode(TokenHash::of(&whole).0);
    let now = Timestamp::now();
    match api.idempotency().begin(&name, caller, &fingerprint, now) {
        Ok(()) => {}
        Err(Earlier::Replied(reply)) => return Ok(reply.again()),
        Err(Earlier::Refused(fault)) => return Err(fault),
    }
    let made =
        Known { tenant: caller.tenant.to_string(), request: fingerprint, at: now, reply: None, is_running: false };
    let bytes_of_mark = serde_json::to_vec(&made).expect("a mark is plain data");
    let intent = Intent::marked(Mark { name: name.clone(), bytes: bytes_of_mark });
    let request = Request::from_parts(parts, Body::from(bytes));
    // In a task of its own: a client that goes away does not end it halfway.
    let (shared, key) = (api.clone(), name.clone());
    let task = tokio::spawn(async move {
        let response = intent.clone().over(next.run(request)).await;
        end(&shared, &key, &intent, response).await
    });
    task.await.unwrap_or_else(|_| {
        api.idempotency().end(&name, None, Timestamp::now());
        Err(Fault::new(ErrorCode::Internal, "The request broke off."))
    })
}

/// Keeps a reply before it is sent.
async fn end(api: &Api, name: &str, intent: &Intent, response: Response) -> Result<Response, Fault> {
    if !response.status().is_success() && !intent.is_written() {
        api.idempotency().free(name);
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    // Replies of POSTs are whole in memory already.
    let body = to_bytes(body, usize::MAX).await.map_err(|_| Fault::new(ErrorCode::Internal, "The reply broke off."))?;
    let text = |name: &HeaderName| Some(parts.headers.get(name)?.to_str().ok()?.to_owned());
    let reply = String::from_utf8(body.to_vec()).ok().filter(|body| body.len() <= REPLY_OCTETS_MAX);
    let reply = reply.filter(|_| parts.status.is_success()).map(|body| Reply {
        status: parts.status.as_u16(),
        content_type: text(&CONTENT_TYPE),
        location: text(&LOCATION),
        body,
    });
    let (bytes, gone) = api.idempotency().end(name, reply, Timestamp::now());
    if let Err(error) = api.control().remember(name.to_owned(), Some(bytes)).await {
        tracing::warn!(%error, "a reply kept for Idempotency-Key could not be stored; it is lost at the next start");
    }
    for gone in gone {
        // What stays behind ends by its age.
        let _ = api.control().remember(gone, None).await;
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}

impl Reply {
    fn again(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        let mut response = (status, self.body).into_response();
        let headers = response.headers_mut();
        headers.remove(CONTENT_TYPE);
        for (name, text) in [(CONTENT_TYPE, self.content_type), (LOCATION, self.location)] {
            if let Some(value) = text.and_then(|text| HeaderValue::from_str(&text).ok()) {
                headers.insert(name, value);
            }
        }
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
        response
    }
}

/// The name in the store of a caller's key.
fn name_of(caller: &Caller, headers: &HeaderMap) -> Result<String, Fault> {
    let wrong = |what: &str| Fault::new(ErrorCode::BadParameter, format!("Idempotency-Key: {what}."));
    let mut fields = headers.get_all(FIELD).into_iter();
    let (Some(field), None) = (fields.next(), fields.next()) else {
        return Err(wrong("send one, not several"));
    };
    let key = field.as_bytes();
    if !(1..=KEY_OCTETS_MAX).contains(&key.len()) || !key.iter().all(|octet| octet.is_ascii_graphic() || *octet == b' ')
    {
        return Err(wrong("1 to 255 printable characters are taken"));
    }
    let whole = [caller.tenant.as_bytes(), b"\0", caller.user.as_bytes(), b"\0", key].concat();
    Ok(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(TokenHash::of(&whole).0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Role;

    fn ann() -> Caller {
        Caller { tenant: "1000".into(), user: "ann".into(), role: Role::Admin }
    }

    fn reply(octets: usize) -> Option<Reply> {
        Some(Reply { status: 202, content_type: None, location: None, body: "x".repeat(octets) })
    }

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    #[test]
    fn a_key_is_free_again_after_a_day() {
        let keys = Idempotency::default();
        assert!(keys.begin("a", &ann(), "body", NOW).is_ok());
        assert!(matches!(keys.begin("a", &ann(), "body", NOW), Err(Earlier::Refused(_))), "in flight");
        keys.end("a", reply(1), NOW);
        assert!(matches!(keys.begin("a", &ann(), "body", NOW), Err(Earlier::Replied(_))));
        assert!(matches!(keys.begin("a", &ann(), "other", NOW), Err(Earlier::Refused(_))));
        assert!(keys.begin("a", &ann(), "other", NOW + AGE_MAX).is_ok());
    }

    #[test]
    fn a_tenant_keeps_so_many_replies_of_so_many_octets() {
        let keys = Idempotency::default();
        let put = |name: &str, octets: usize, secs: u64| {
            assert!(keys.begin(name, &ann(), "body", NOW).is_ok());
            keys.known.lock().expect("free").get_mut(name).expect("there").at = NOW + Duration::from_secs(secs);
            keys.end(name, reply(octets), NOW + Duration::from_secs(secs)).1
        };
        for n in 0..PER_TENANT_MAX as u64 {
            assert!(put(&n.to_string(), 1, n).is_empty());
        }
        assert_eq!(put("more", 1, 5000), ["0"]);
        assert_eq!(put("large", OCTETS_PER_TENANT_MAX - 10, 5001).len(), PER_TENANT_MAX - 10);
    }
}
