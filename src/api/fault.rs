//! Why a request was refused: the one error type of all handlers, and its bodies.
//!
//! Handlers return a [`Fault`]; as a response it has the IONOS body and carries itself along, so that
//! [`negotiate`] (outermost layer) can write it again as RFC 9457 for clients that ask for `application/problem+json`.

use std::borrow::Cow;
use std::fmt;

use axum::extract::Request;
use axum::http::header::{ACCEPT, ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::rackspace::{self, Format, Sent};

macro_rules! error_codes {
    ($($(#[doc = $doc:literal])* $variant:ident = $text:literal, $status:ident;)*) => {
        /// Stable keys of refusals (`messages[].errorCode`); each has one HTTP status.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum ErrorCode {
            $($(#[doc = $doc])* $variant,)*
        }

        impl ErrorCode {
            /// Every code, in the order of the table.
            pub const ALL: &'static [ErrorCode] = &[$(ErrorCode::$variant,)*];

            /// The key as clients see it.
            pub fn as_str(self) -> &'static str {
                match self { $(ErrorCode::$variant => $text,)* }
            }

            /// The status it comes with.
            pub fn status(self) -> StatusCode {
                match self { $(ErrorCode::$variant => StatusCode::$status,)* }
            }
        }
    };
}

error_codes! {
    /// No credential, or one that is not known.
    Unauthorized = "dns-unauthorized", UNAUTHORIZED;
    /// The credential may only read.
    Forbidden = "dns-forbidden", FORBIDDEN;
    /// The object is written in a configuration file and changed there only.
    ZoneConfigured = "dns-zone-configured", FORBIDDEN;
    /// No such path.
    PathNotFound = "dns-path-not-found", NOT_FOUND;
    /// No such zone, or not the caller's.
    ZoneNotFound = "dns-zone-not-found", NOT_FOUND;
    /// No such record in the zone.
    RecordNotFound = "dns-record-not-found", NOT_FOUND;
    /// No such reverse record, or not the caller's.
    ReverseRecordNotFound = "dns-reverse-record-not-found", NOT_FOUND;
    /// No such job, or not the caller's, or not any more.
    JobNotFound = "dns-job-not-found", NOT_FOUND;
    /// The zone is transferred and so edited at its primaries.
    ZoneTransferred = "dns-zone-transferred", FORBIDDEN;
    /// The zone has no DNSSEC keys.
    KeysNotFound = "dns-keys-not-found", NOT_FOUND;
    /// The zone has never been transferred.
    ZoneWithoutData = "dns-zone-without-data", NOT_FOUND;
    /// No such held or kept version.
    VersionNotFound = "dns-version-not-found", NOT_FOUND;
    /// The path exists, the method does not.
    MethodNotAllowed = "dns-method-not-allowed", METHOD_NOT_ALLOWED;
    /// An identifier in the path is no UUID.
    BadId = "dns-bad-id", BAD_REQUEST;
    /// A query parameter or header cannot be understood.
    BadParameter = "dns-bad-parameter", BAD_REQUEST;
    /// The body is no JSON of the right shape.
    BadBody = "dns-bad-body", BAD_REQUEST;
    /// A member of the body has a value that is not allowed.
    BadValue = "dns-bad-value", BAD_REQUEST;
    /// A required member of the body is missing.
    MissingValue = "dns-missing-value", BAD_REQUEST;
    /// A zone cannot change its name.
    ZoneRename = "dns-zone-rename", BAD_REQUEST;
    /// Another zone has this name, or overlaps with it.
    ZoneExists = "dns-zone-exists", CONFLICT;
    /// There is a record with the same owner, type and content.
    RecordExists = "dns-record-exists", CONFLICT;
    /// A CNAME would not stand alone, or a null MX.
    CnameConflict = "dns-cname-conflict", CONFLICT;
    /// The last name server of the zone would go.
    LastNs = "dns-last-ns", CONFLICT;
    /// The address has a PTR already, or no zone of the tenant takes one.
    IpNotAvailable = "dns-ip-not-available", CONFLICT;
    /// The tenant has as much of it as it may have.
    QuotaExceeded = "dns-quota-exceeded", FORBIDDEN;
    /// A line of a zone file is wrong.
    BadZoneFile = "dns-bad-zone-file", BAD_REQUEST;
    /// The version does not do this.
    NotImplemented = "dns-not-implemented", NOT_IMPLEMENTED;
    /// What is served, held or pinned now does not allow it.
    VersionConflict = "dns-version-conflict", CONFLICT;
    /// The UUID belongs to another object.
    IdTaken = "dns-id-taken", CONFLICT;
    /// The body did not come in time.
    RequestTimeout = "dns-request-timeout", REQUEST_TIMEOUT;
    /// The body is too long.
    BodyTooLarge = "dns-body-too-large", PAYLOAD_TOO_LARGE;
    /// The body holds more records or domains than are taken at once.
    TooManyItems = "dns-too-many-items", PAYLOAD_TOO_LARGE;
    /// The request target is too long.
    UriTooLong = "dns-uri-too-long", URI_TOO_LONG;
    /// The content type is not one the endpoint reads.
    UnsupportedMediaType = "dns-unsupported-media-type", UNSUPPORTED_MEDIA_TYPE;
    /// The header fields are too long.
    HeadersTooLarge = "dns-headers-too-large", REQUEST_HEADER_FIELDS_TOO_LARGE;
    /// The Idempotency-Key was sent with another request.
    IdempotencyKeyReused = "dns-idempotency-key-reused", CONFLICT;
    /// The request with this Idempotency-Key has not ended yet.
    IdempotencyInFlight = "dns-idempotency-in-flight", CONFLICT;
    /// The request with this Idempotency-Key was carried out, but its reply was not kept.
    IdempotencyReplyLost = "dns-idempotency-reply-lost", CONFLICT;
    /// The caller, or its address, asks more often than `[api] rate-limit` says.
    TooManyRequests = "dns-rate-limited", TOO_MANY_REQUESTS;
    /// As many event streams are open as may be.
    TooManyStreams = "dns-too-many-streams", TOO_MANY_REQUESTS;
    /// Our fault.
    Internal = "dns-internal", INTERNAL_SERVER_ERROR;
    /// The disk refused the change.
    Storage = "dns-storage", INTERNAL_SERVER_ERROR;
    /// The daemon is stopping.
    ShuttingDown = "dns-shutting-down", SERVICE_UNAVAILABLE;
}

impl Serialize for ErrorCode {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, Serialize)]
pub struct Message {
    /// Stable key.
    #[serde(rename = "errorCode")]
    pub code: ErrorCode,
    /// For people; says what would be right.
    #[serde(rename = "message")]
    pub text: Cow<'static, str>,
}

/// Why a request was refused. Its status is that of the first message.
#[derive(Clone, Debug)]
pub struct Fault {
    first: Message,
    others: Vec<Message>,
    retry_after_secs: Option<u32>,
}

impl Fault {
    /// A refusal for one reason.
    pub fn new(code: ErrorCode, text: impl Into<Cow<'static, str>>) -> Fault {
        Fault { first: Message { code, text: text.into() }, others: Vec::new(), retry_after_secs: None }
    }

    /// It may be tried again after so many seconds.
    pub fn retry_after(self, secs: u32) -> Fault {
        Fault { retry_after_secs: Some(secs), ..self }
    }

    /// A refusal for all of `messages`, at least one; `None` if there is none.
    pub fn all(messages: Vec<Message>) -> Option<Fault> {
        let mut messages = messages.into_iter();
        let first = messages.next()?;
        Some(Fault { first, others: messages.collect(), retry_after_secs: None })
    }

    /// 401.
    pub fn unauthorized(text: &'static str) -> Fault {
        Fault::new(ErrorCode::Unauthorized, text)
    }

    /// 401 while no credential is configured.
    pub fn nobody_can_log_in() -> Fault {
        Fault::unauthorized(
            "No credential is configured, so nobody can log in; add [[api.credential]] to the configuration.",
        )
    }

    /// 404 for zones that do not exist and those of other tenants alike.
    pub fn zone_not_found() -> Fault {
        Fault::new(ErrorCode::ZoneNotFound, "There is no zone with this id.")
    }

    /// A query parameter that cannot be understood.
    pub fn bad_parameter(name: &str, wrong: impl fmt::Display) -> Fault {
        Fault::new(ErrorCode::BadParameter, format!("Query parameter '{name}': {wrong}."))
    }

    /// The same, each text behind the place in the request that it is about.
    pub fn at(self, place: &str) -> Fault {
        let placed = |message: Message| Message { text: format!("{place}: {}", message.text).into(), ..message };
        let others = self.others.into_iter().map(placed).collect();
        Fault { first: placed(self.first), others, ..self }
    }

    /// The status it is sent with.
    pub fn status(&self) -> StatusCode {
        self.first.code.status()
    }

    /// What is wrong, the most important first.
    pub fn messages(&self) -> impl Iterator<Item = &Message> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

/// The words of an error as the beginning of a sentence. A domain name at its beginning stays as it is.
pub fn capitalized(text: &str) -> String {
    let first = text.split(' ').next().unwrap_or_default();
    if !first.bytes().all(|c| c.is_ascii_lowercase()) {
        return text.to_owned();
    }
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}

/// `{"httpStatus":404,"messages":[{"errorCode":"...","message":"..."}]}`
#[derive(Serialize)]
struct IonosBody<'a> {
    #[serde(rename = "httpStatus")]
    status: u16,
    messages: Vec<&'a Message>,
}

/// `{"detail":"..."}` of the reverse-zones dialect.
#[derive(Serialize)]
struct Detail {
    detail: String,
}

impl Detail {
    fn of(fault: &Fault) -> Detail {
        let texts: Vec<&str> = match fault.first.code {
            ErrorCode::Unauthorized => vec!["Not authenticated"],
            ErrorCode::ZoneNotFound => vec!["Zone not found"],
            _ => fault.messages().map(|message| &*message.text).collect(),
        };
        Detail { detail: texts.join(" ") }
    }
}

/// RFC 9457 §3.1, with our codes as extension member `errors`.
#[derive(Serialize)]
struct Problem<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    instance: &'a str,
    errors: Vec<&'a Message>,
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let body = IonosBody { status: self.status().as_u16(), messages: self.messages().collect() };
        let mut response = with_body(self.status(), "application/json", &body);
        if self.status() == StatusCode::UNAUTHORIZED {
            // RFC 9110 §11.6.1: a 401 names a scheme that would do.
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(secs) = self.retry_after_secs {
            response.headers_mut().insert(RETRY_AFTER, secs.into());
        }
        response.extensions_mut().insert(self);
        response
    }
}

fn with_body(status: StatusCode, content_type: &'static str, body: &impl Serialize) -> Response {
    let text = serde_json::to_vec(body).expect("strings and numbers always serialize");
    (status, [(CONTENT_TYPE, HeaderValue::from_static(content_type))], text).into_response()
}

/// Writes faults as `application/problem+json` for clients that name this type in `Accept`, and else in the shape of the
/// dialect the path belongs to.
pub async fn negotiate(request: Request, next: Next) -> Response {
    let (wants_problem, instance) = (wants_problem(request.headers()), request.uri().path().to_owned());
    let has_details = ["/api/v1/", "/v1.0/", "/v2.0/"].iter().any(|prefix| instance.starts_with(prefix));
    let format = request.extensions().get::<Sent>().map_or(Format::Json, |sent| sent.format);
    let mut response = next.run(request).await;
    if !wants_problem && !has_details {
        return response;
    }
    let Some(fault) = response.extensions_mut().remove::<Fault>() else {
        return response;
    };
    if !wants_problem {
        if instance.starts_with("/v1.0/") {
            return keep_fields(response, rackspace::fault::response(&fault, format));
        }
        let body = if instance.starts_with("/api/v1/") {
            serde_json::json!(Detail::of(&fault))
        } else {
            rackspace::fault::of_identity(&fault)
        };
        return keep_fields(response, with_body(fault.status(), "application/json", &body));
    }
    let problem = Problem {
        r#type: format!("urn:secondaryd:error:{}", fault.first.code.as_str()),
        title: fault.status().canonical_reason().unwrap_or("Error"),
        status: fault.status().as_u16(),
        detail: &fault.first.text,
        instance: &instance,
        errors: fault.messages().collect(),
    };
    keep_fields(response, with_body(fault.status(), "application/problem+json", &problem))
}

/// What the header of a refusal says beside its body.
fn keep_fields(mut response: Response, mut rewritten: Response) -> Response {
    for name in [ALLOW, CONNECTION, RETRY_AFTER, WWW_AUTHENTICATE] {
        if let Some(value) = response.headers_mut().remove(&name) {
            rewritten.headers_mut().insert(name, value);
        }
    }
    rewritten
}

fn wants_problem(headers: &HeaderMap) -> bool {
    let ranges = headers.get_all(ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    ranges.flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let named = parts.next().is_some_and(|media| media.eq_ignore_ascii_case("application/problem+json"));
        named && !parts.any(|p| matches!(p, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_begin_alike() {
        let mut seen = std::collections::HashSet::new();
        for code in ErrorCode::ALL {
            assert!(code.as_str().starts_with("dns-"), "{}", code.as_str());
            assert!(seen.insert(code.as_str()), "{}", code.as_str());
            assert!(code.status().is_client_error() || code.status().is_server_error());
        }
    }

    #[test]
    fn a_sentence_begins_with_a_capital_and_a_domain_name_does_not() {
        assert_eq!(capitalized("the id is taken"), "The id is taken");
        assert_eq!(capitalized("www.example.com has a A record"), "www.example.com has a A record");
        assert_eq!(capitalized("localhost: needs two labels"), "localhost: needs two labels");
        assert_eq!((capitalized(""), capitalized("é")), (String::new(), "é".to_owned()));
    }

    #[test]
    fn problem_json_is_sent_to_those_who_name_it() {
        let asks = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            wants_problem(&headers)
        };
        assert!(asks("application/problem+json"));
        assert!(asks("application/json, Application/Problem+JSON;q=0.5"));
        assert!(!asks("application/problem+json;q=0, */*"));
        assert!(!asks("*/*"));
        assert!(!wants_problem(&HeaderMap::new()));
    }
}
