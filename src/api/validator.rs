//! `ETag` and `If-None-Match` on lists and objects (RFC 9110 §8.8.3, §13.1.2): what has not changed is answered with 304 before
//! anything is looked up.
//!
//! A tag is made of what numbers a version already: the generation of one zone, or the edition of all of a tenant's zones,
//! with the life of this process, the configuration, the caller's tenant and the target. So a tag costs the same for one record
//! and for a million. It is taken before the body is made, hence weak: a change in between shows under the older tag and is
//! sent once more. The status of a transfer has a tag of its own (`axfr`), because one can wait for it.

use std::fmt::Write;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{ACCEPT, CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::auth::Caller;
use super::origin;
use super::request::{parse_id, segment};
use super::reverse_zones;
use super::{Api, serve::Ends};
use crate::config::TokenHash;

/// What a reply depends on beside its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    /// Everything that lists of the tenant's zones and records show.
    Contents,
    /// That, and every other part of the statuses.
    Statuses,
    /// One zone.
    Zone,
}

/// By the path as it is routed; `None`: what depends on the clock, on the disk, or changes by itself.
fn of(path: &str) -> Option<Of> {
    Some(match path.trim_end_matches('/') {
        "/zones" | "/secondaryzones" | "/records" | "/quota" => Of::Contents,
        "/reverserecords" | "/reverserecords/{id}" => Of::Contents,
        "/api/v1/domains" | "/api/v1/reverse-zones" | "/api/v1/reverse-zones/lookup/{ip}" => Of::Contents,
        "/transfers/summary" => Of::Statuses,
        "/zones/{id}" | "/zones/{id}/records" | "/zones/{id}/records/{record}" | "/zones/{id}/zonefile" => Of::Zone,
        "/secondaryzones/{id}" | "/secondaryzones/{id}/records" | "/secondaryzones/{id}/zonefile" => Of::Zone,
        "/secondaryzones/{id}/held" => Of::Zone,
        "/api/v1/domains/{domain}" | "/api/v1/domains/{domain}/records" => Of::Zone,
        "/api/v1/domains/{domain}/records/{item}" | "/api/v1/domains/{domain}/export" => Of::Zone,
        "/api/v1/domains/{domain}/export/download" | "/api/v1/reverse-zones/{domain}/ptr" => Of::Zone,
        _ => return None,
    })
}

/// Whether GET of this path, as it is routed, has a tag here.
pub fn has_tag(path: &str) -> bool {
    of(path).is_some()
}

/// Layer inside the credential's, around reads.
pub async fn tag(State(api): State<Arc<Api>>, caller: Caller, request: Request, next: Next) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    let ends = origin::ends(&request);
    let (mut parts, body) = request.into_parts();
    let tag = current(&api, &caller, &mut parts, ends).await;
    let known = tag.as_ref().filter(|tag| knows(&parts.headers, tag)).cloned();
    if let Some(tag) = known {
        return (StatusCode::NOT_MODIFIED, [(ETAG, tag), (CACHE_CONTROL, HeaderValue::from_static("no-cache"))])
            .into_response();
    }
    let mut response = next.run(Request::from_parts(parts, body)).await;
    if let Some(tag) = tag
        && response.status() == StatusCode::OK
    {
        response.headers_mut().insert(ETAG, tag);
        // It may be kept, and is asked for each time.
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    }
    response
}

/// The tag of what the request would be answered with now.
async fn current(api: &Arc<Api>, caller: &Caller, parts: &mut Parts, ends: Option<Ends>) -> Option<HeaderValue> {
    let path = parts.extensions.get::<MatchedPath>()?.as_str().to_owned();
    let board = api.control().board();
    let number = match of(&path)? {
        Of::Contents => board.edition(&caller.tenant).contents,
        Of::Statuses => board.edition(&caller.tenant).statuses,
        Of::Zone => {
            let id = match path.starts_with("/api/v1/") {
                true => reverse_zones::domain_id(&segment(parts, api, "domain").await),
                false => parse_id(&segment(parts, api, "id").await),
            };
            let status = board.by_uuid(id?)?.status();
            (*status.definition.tenant == *caller.tenant).then_some(status.generation)?
        }
    };
    let settings = api.settings();
    let mut whole = Vec::with_capacity(256);
    let accept = parts.headers.get(ACCEPT).map(HeaderValue::as_bytes).unwrap_or_default();
    let base = settings.base_url(&parts.headers, ends);
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
    for part in [caller.tenant.as_bytes(), target.as_bytes(), accept, base.as_bytes(), api.life()] {
        whole.extend_from_slice(&(part.len() as u64).to_be_bytes());
        whole.extend_from_slice(part);
    }
    whole.extend_from_slice(&number.to_be_bytes());
    whole.extend_from_slice(&api.configured().to_be_bytes());
    let mut text = String::from("W/\"");
    for octet in &TokenHash::of(&whole).0[..12] {
        let _ = write!(text, "{octet:02x}"); // writing into a String cannot fail
    }
    text.push('"');
    HeaderValue::from_str(&text).ok()
}

/// `If-None-Match` compares weakly (RFC 9110 §13.1.2). `*` asks whether there is anything: the handler knows.
fn knows(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let opaque = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).to_owned();
    let Ok(current) = tag.to_str().map(opaque) else { return false };
    let fields = headers.get_all(IF_NONE_MATCH).into_iter().filter_map(|field| field.to_str().ok());
    fields.flat_map(|field| field.split(',')).any(|known| opaque(known.trim()) == current)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_a_number_of_its_own_has_a_tag() {
        assert_eq!(of("/zones"), Some(Of::Contents));
        assert_eq!(of("/api/v1/domains/"), Some(Of::Contents));
        assert_eq!(of("/secondaryzones/{id}/records"), Some(Of::Zone));
        for path in ["/secondaryzones/{id}/axfr", "/events", "/secondaryzones/{id}/explain", "/transfers", "/nothing"] {
            assert_eq!(of(path), None, "{path}");
        }
    }

    #[test]
    fn tags_are_compared_weakly() {
        let tag = HeaderValue::from_static("W/\"a1\"");
        let fields = |text: &'static str| HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_static(text))]);
        for text in ["W/\"a1\"", "\"a1\"", "\"b\", W/\"a1\""] {
            assert!(knows(&fields(text), &tag), "{text}");
        }
        for text in ["\"a\"", "a1", "", "*"] {
            assert!(!knows(&fields(text), &tag), "{text}");
        }
    }
}
