//! What handlers take out of a request. The order of a handler's arguments is the order of the checks:
//! credential (a layer), route, [`Zone`] (id syntax, then existence and tenancy), [`Writer`] (role), [`Json`] (body).

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, OptionalFromRequestParts, RawPathParams, Request};
use axum::http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, TRANSFER_ENCODING};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::body::Body as _;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::Api;
use super::auth::Caller;
use super::fault::{ErrorCode, Fault};
use crate::config::Role;
use crate::control::definition::ZoneDefinition;
use crate::control::status::{ZoneStatus, ZoneView};
use crate::local::LocalZone;

/// Octets of all header fields together.
pub const HEADERS_OCTETS_MAX: usize = 16 * 1024;
/// Octets of the request target.
pub const URI_OCTETS_MAX: usize = 8 * 1024;
/// How long nothing of a body may come; also how long one may be slower than [`BODY_RATE_MIN`] at its beginning.
pub const BODY_PAUSE_MAX: Duration = Duration::from_secs(30);
/// Octets a second of a body, on the whole: the longest ones of 32 MiB may take 35 minutes.
const BODY_RATE_MIN: u64 = 16 * 1024;
/// Octets of a too large body that are read and dropped before the refusal is sent, so that clients which write first
/// and read later get to see it.
const DISCARD_OCTETS_MAX: u64 = 64 << 20;

/// Layer that refuses requests with a target or header that is too long, or with two lengths.
pub async fn bound_header(request: Request, next: Next) -> Response {
    match check_header(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(fault) => {
            // Where such a request ends is not known: nothing behind it on the connection is read.
            let mut response = fault.into_response();
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            response
        }
    }
}

fn check_header(uri: &Uri, headers: &HeaderMap) -> Result<(), Fault> {
    let target = uri.path_and_query().map_or(0, |both| both.as_str().len());
    if target > URI_OCTETS_MAX {
        let text = format!("The request target has {target} octets; at most {URI_OCTETS_MAX} are taken.");
        return Err(Fault::new(ErrorCode::UriTooLong, text));
    }
    let octets: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if octets > HEADERS_OCTETS_MAX {
        let text = format!("The header fields have {octets} octets; at most {HEADERS_OCTETS_MAX} are taken.");
        return Err(Fault::new(ErrorCode::HeadersTooLarge, text));
    }
    // RFC 9112 §6.3: two lengths that may differ are how a request is hidden in the body of another one. (hyper takes the
    // chunks, and has dropped a Content-Length that came behind.)
    if headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH) {
        let text = "Content-Length and Transfer-Encoding exclude each other; send one of them.";
        return Err(Fault::new(ErrorCode::BadParameter, text));
    }
    Ok(())
}

impl FromRequestParts<Arc<Api>> for Caller {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Api>) -> Result<Caller, Fault> {
        let caller = parts.extensions.get::<Caller>();
        Ok(caller.expect("auth::require stands around every route that names a caller").clone())
    }
}

/// A caller who may write.
#[derive(Clone, Debug)]
pub struct Writer(pub Caller);

impl FromRequestParts<Arc<Api>> for Writer {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Writer, Fault> {
        let caller = Caller::from_request_parts(parts, api).await?;
        match caller.role {
            Role::Admin => Ok(Writer(caller)),
            Role::Observer => Err(Fault::new(ErrorCode::Forbidden, "This credential may read only (role observer).")),
        }
    }
}

/// The identity in the path.
#[derive(Clone, Copy, Debug)]
pub struct Id(pub Uuid);

impl FromRequestParts<Arc<Api>> for Id {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Api>) -> Result<Id, Fault> {
        id_in_path(parts, "id").await.map(Id)
    }
}

/// The identity of a record of the zone in the path.
#[derive(Clone, Copy, Debug)]
pub struct RecordId(pub Uuid);

impl FromRequestParts<Arc<Api>> for RecordId {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Api>) -> Result<RecordId, Fault> {
        // Both are read before either is looked for.
        id_in_path(parts, "id").await?;
        id_in_path(parts, "record").await.map(RecordId)
    }
}

async fn id_in_path(parts: &mut Parts, segment: &str) -> Result<Uuid, Fault> {
    // The rejection means that a segment is no UTF-8 once decoded.
    let params = RawPathParams::from_request_parts(parts, &()).await.ok();
    let found = params.as_ref().and_then(|params| params.iter().find(|(name, _)| *name == segment));
    found.and_then(|(_, text)| parse_id(text)).ok_or_else(|| {
        let text = "The id in the path is no UUID such as e74d0d15-f567-4b7b-9069-26ee1f93bae3.";
        Fault::new(ErrorCode::BadId, text)
    })
}

/// A UUID in its common form of 36 characters, in any case; other spellings would give one object several URLs.
pub fn parse_id(text: &str) -> Option<Uuid> {
    if text.len() == 36 { Uuid::try_parse(text).ok() } else { None }
}

/// Another segment of the path, by its name in the route.
pub async fn segment(parts: &mut Parts, api: &Arc<Api>, wanted: &str) -> String {
    let path = <RawPathParams as FromRequestParts<_>>::from_request_parts(parts, api).await.ok();
    let found = path.as_ref().and_then(|path| path.iter().find(|(name, _)| *name == wanted));
    found.map(|(_, text)| text.to_owned()).unwrap_or_default()
}

/// The caller's secondary zone named in the path, as it stood when the request came.
#[derive(Clone, Debug)]
pub struct Zone {
    /// Its place on the board.
    pub view: Arc<ZoneView>,
    /// How it stood.
    pub status: Arc<ZoneStatus>,
}

impl Zone {
    /// The zone, if it exists and belongs to the caller's tenant.
    pub fn find(api: &Api, caller: &Caller, id: Uuid) -> Option<Zone> {
        let view = api.control().board().by_uuid(id)?;
        let status = view.status();
        let is_ours = *status.definition.tenant == *caller.tenant && status.definition.local.is_none();
        is_ours.then_some(Zone { view, status })
    }
}

/// A zone by the native paths below `/zones/`: its UUID or its name stands in the path.
pub struct Called(pub Zone);

impl FromRequestParts<Arc<Api>> for Called {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Called, Fault> {
        let called = segment(parts, api, "id").await;
        let caller = Caller::from_request_parts(parts, api).await?;
        let board = api.control().board();
        let by_name = || board.by_name(&called.parse().ok()?);
        let view = called.parse().ok().and_then(|uuid| board.by_uuid(uuid)).or_else(by_name);
        view.and_then(|view| Zone::find(api, &caller, view.uuid)).map(Called).ok_or_else(Fault::zone_not_found)
    }
}

impl FromRequestParts<Arc<Api>> for Zone {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Zone, Fault> {
        let Id(id) = Id::from_request_parts(parts, api).await?;
        let caller = Caller::from_request_parts(parts, api).await?;
        Zone::find(api, &caller, id).ok_or_else(Fault::zone_not_found)
    }
}

impl OptionalFromRequestParts<Arc<Api>> for Zone {
    type Rejection = Fault;

    /// For PUT, which creates what is not there; a malformed id is refused all the same.
    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Option<Zone>, Fault> {
        let Id(id) = Id::from_request_parts(parts, api).await?;
        let caller = Caller::from_request_parts(parts, api).await?;
        Ok(Zone::find(api, &caller, id))
    }
}

/// The caller's local zone named in the path, as it stood when the request came.
#[derive(Clone, Debug)]
pub struct Managed {
    /// Its place on the board.
    pub view: Arc<ZoneView>,
    /// What it should be.
    pub definition: Arc<ZoneDefinition>,
    /// Its entries.
    pub zone: Arc<LocalZone>,
}

impl Managed {
    /// The zone, if it exists, is local and belongs to the caller's tenant.
    pub fn find(api: &Api, caller: &Caller, id: Uuid) -> Option<Managed> {
        let view = api.control().board().by_uuid(id)?;
        Managed::of(view, caller)
    }

    /// What stands at this place of the board, if it is local and the caller's.
    pub fn of(view: Arc<ZoneView>, caller: &Caller) -> Option<Managed> {
        let definition = view.status().definition.clone();
        let zone = view.local().filter(|_| *definition.tenant == *caller.tenant)?;
        Some(Managed { view, definition, zone })
    }
}

impl FromRequestParts<Arc<Api>> for Managed {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Managed, Fault> {
        let Id(id) = Id::from_request_parts(parts, api).await?;
        let caller = Caller::from_request_parts(parts, api).await?;
        Managed::find(api, &caller, id).ok_or_else(Fault::zone_not_found)
    }
}

impl OptionalFromRequestParts<Arc<Api>> for Managed {
    type Rejection = Fault;

    /// For PUT, which creates what is not there; a malformed id is refused all the same.
    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Option<Managed>, Fault> {
        let Id(id) = Id::from_request_parts(parts, api).await?;
        let caller = Caller::from_request_parts(parts, api).await?;
        Ok(Managed::find(api, &caller, id))
    }
}

/// A JSON body of at most `[api] max-body` octets.
#[derive(Clone, Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Arc<Api>> for Json<T> {
    type Rejection = Fault;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Json<T>, Fault> {
        if !is_json(request.headers()) {
            let text = "The body must be JSON; send 'Content-Type: application/json'.";
            return Err(Fault::new(ErrorCode::UnsupportedMediaType, text));
        }
        let body = read_body(request, api.settings().max_body_octets).await?;
        if body.trim_ascii().is_empty() {
            return Err(Fault::new(ErrorCode::BadBody, "The body is empty; a JSON object is expected."));
        }
        object(body.trim_ascii()).map(Json).map_err(|what| Fault::new(ErrorCode::BadBody, format!("The body {what}.")))
    }
}

/// Reads one JSON object, or says what the body is instead.
fn object<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    let mut json = serde_json::Deserializer::from_slice(body);
    // serde_json ends its messages with the line and the column.
    let no_json = |error: &serde_json::Error| format!("is no JSON: {error}");
    match serde_path_to_error::deserialize(&mut json) {
        Ok(_) if !body.starts_with(b"{") => {}
        Ok(read) => return json.end().map(|()| read).map_err(|error| no_json(&error)),
        Err(error) if !error.inner().is_data() => return Err(no_json(error.inner())),
        Err(error) if body.starts_with(b"{") => {
            let words = error.inner().to_string().replace("expected a sequence", "expected an array");
            return Err(format!("has another shape than expected: {}: {words}", error.path()));
        }
        Err(_) => {}
    }
    // Also an array, which serde would take for a struct, member by member.
    Err("has another shape than expected: it must be an object".to_owned())
}

/// A missing Content-Type is read as JSON.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(field) = headers.get(CONTENT_TYPE) else {
        return true;
    };
    let essence = field.to_str().unwrap_or("").split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// How long a body may take. A bound for all of it would cut slow lines off, one for its pauses alone would let an octet now
/// and then hold a place for days.
struct Pace {
    started: Instant,
    octets: u64,
}

impl Pace {
    /// Until when more must have come.
    fn until(&self, now: Instant) -> Instant {
        let earned = Duration::from_millis(self.octets.saturating_mul(1000) / BODY_RATE_MIN);
        (self.started + BODY_PAUSE_MAX + earned).min(now + BODY_PAUSE_MAX)
    }
}

/// The whole body, if it is not longer than `octets_max` and keeps its [`Pace`].
pub async fn read_body(request: Request, octets_max: u64) -> Result<Bytes, Fault> {
    let too_large = || {
        let text = format!("The body is larger than the {octets_max} octets allowed here ([api] max-body).");
        Fault::new(ErrorCode::BodyTooLarge, text)
    };
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|n| n.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|n| n > octets_max) && request.headers().contains_key(EXPECT) {
        // The client waits for leave to send the body (RFC 9110 §10.1.1): it gets the refusal instead.
        return Err(too_large());
    }
    collect(request.into_body(), octets_max).await?.ok_or_else(too_large)
}

/// `None`: there is more than `octets_max`; up to [`DISCARD_OCTETS_MAX`] of it have been read.
async fn collect(mut body: Body, octets_max: u64) -> Result<Option<Bytes>, Fault> {
    let mut kept = Vec::new();
    let mut pace = Pace { started: Instant::now(), octets: 0 };
    let too_slow = |_| {
        let text = format!(
            "The body comes too slowly: none of it for {} s, or less than {BODY_RATE_MIN} octets a second.",
            BODY_PAUSE_MAX.as_secs()
        );
        Fault::new(ErrorCode::RequestTimeout, text)
    };
    loop {
        let next = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx));
        let Some(frame) = timeout_at(pace.until(Instant::now()), next).await.map_err(too_slow)? else { break };
        let frame =
            frame.map_err(|error| Fault::new(ErrorCode::BadBody, format!("The body could not be read: {error}.")))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        pace.octets += data.len() as u64;
        if pace.octets <= octets_max {
            kept.extend_from_slice(&data);
        } else {
            kept = Vec::new();
            if pace.octets > DISCARD_OCTETS_MAX {
                break;
            }
        }
    }
    Ok((pace.octets <= octets_max).then(|| kept.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::StatusCode;

    #[test]
    fn ids_have_one_spelling_but_for_the_case() {
        assert!(parse_id("e74d0d15-f567-4b7b-9069-26ee1f93bae3").is_some());
        assert!(parse_id("E74D0D15-F567-4B7B-9069-26EE1F93BAE3").is_some());
        for text in [
            "",
            "x",
            "e74d0d15f5674b7b906926ee1f93bae3",
            "{e74d0d15-f567-4b7b-9069-26ee1f93bae3}",
            "urn:uuid:e74d0d15-f567-4b7b-9069-26ee1f93bae3",
            "e74d0d15-f567-4b7b-9069-26ee1f93bae",
            "e74d0d15-f567-4b7b-9069-26ee1f93baeg",
        ] {
            assert!(parse_id(text).is_none(), "{text}");
        }
    }

    #[test]
    fn json_is_what_says_so_or_says_nothing() {
        let says = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(text));
            is_json(&headers)
        };
        assert!(is_json(&HeaderMap::new()));
        assert!(says("application/json") && says("Application/JSON; charset=utf-8"));
        assert!(says("application/merge-patch+json"));
        assert!(!says("text/plain") && !says("application/x-www-form-urlencoded") && !says(""));
    }

    #[test]
    fn a_long_header_is_refused_with_the_limit() {
        let mut headers = HeaderMap::new();
        headers.insert("x-long", HeaderValue::from_str(&"x".repeat(HEADERS_OCTETS_MAX)).expect("a field"));
        let fault = check_header(&Uri::from_static("/"), &headers).expect_err("refused");
        assert_eq!(fault.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        assert!(fault.messages().next().expect("one").text.contains("16384"));
        assert!(check_header(&Uri::from_static("/"), &HeaderMap::new()).is_ok());
    }

    #[test]
    fn a_body_may_be_slow_but_neither_stand_still_nor_crawl() {
        let started = Instant::now();
        let secs = |secs| started + Duration::from_secs(secs);
        let until = |octets, now| Pace { started, octets }.until(secs(now));
        assert_eq!(until(0, 0), secs(30));
        assert_eq!(until(0, 20), secs(30));
        // given 40 kB a second, which 1.7 MB need more than half a minute for
        for now in [10, 29, 30, 42] {
            assert!(until(40_000 * now, now) >= secs(now + 20), "after {now} s");
        }
        assert_eq!(until(1 << 30, 60), secs(90), "a pause has the same bound behind any number of octets");
        assert!(until(1000 * 60, 60) < secs(60), "an octet each millisecond is too few");
    }

    #[test]
    fn a_body_that_does_not_fit_is_answered_with_the_member() {
        #[derive(Debug, serde::Deserialize)]
        struct Body {
            #[serde(rename = "primaryIps")]
            primary_ips: Option<Vec<String>>,
        }
        let read = |body: &str| object::<Body>(body.as_bytes());
        assert!(read("{}").is_ok_and(|body| body.primary_ips.is_none()));
        for (body, expected) in [
            (
                r#"{"primaryIps":"192.0.2.1"}"#,
                "primaryIps: invalid type: string \"192.0.2.1\", expected an array at line 1",
            ),
            (r#"{"primaryIps":["192.0.2.1",5]}"#, "primaryIps[1]: "),
            (r#"[["192.0.2.1"]]"#, "it must be an object"),
            ("5", "it must be an object"),
            ("{", "is no JSON: EOF"),
            ("{} {}", "is no JSON: trailing characters"),
        ] {
            assert!(read(body).is_err_and(|error| error.contains(expected)), "{body}");
        }
    }
}
