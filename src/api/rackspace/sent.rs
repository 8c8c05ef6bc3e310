//! What a request looked like before it was routed: the ending of its path, its final slash, the format it wants.
//!
//! A layer around the router: `/v1.0/1000/domains.xml/` is routed as `/v1.0/1000/domains`, and the answer is XML. What the
//! client wrote stays at hand for links. Every response of the dialect names its version here, refusals included.

use axum::extract::Request;
use axum::http::header::ACCEPT;
use axum::http::uri::{PathAndQuery, Uri};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

/// Where everything of the dialect but its login stands.
pub(super) const BASE: &str = "/v1.0/";
/// The version of the documentation that the dialect follows.
const VERSION: HeaderValue = HeaderValue::from_static("1.0.17");

/// How answers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The default.
    Json,
    /// By the ending of the path, or by `Accept`.
    Xml,
}

/// The request as the client wrote it.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Path and query.
    pub target: String,
    /// What the answer is to be written in.
    pub format: Format,
}

/// The layer.
pub async fn routed(mut request: Request, next: Next) -> Response {
    if !request.uri().path().starts_with(BASE) {
        return next.run(request).await;
    }
    let (path, ending) = plain(request.uri().path());
    let format = ending.unwrap_or_else(|| accepted(request.headers()));
    let query = request.uri().query();
    let rewritten = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    let target = request.uri().path_and_query().map_or_else(String::new, |both| both.as_str().to_owned());
    // A shorter path of the same characters is a path.
    if let Ok(rewritten) = rewritten.parse::<PathAndQuery>() {
        let mut parts = request.uri().clone().into_parts();
        parts.path_and_query = Some(rewritten);
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    request.extensions_mut().insert(Sent { target, format });
    let mut response = next.run(request).await;
    response.headers_mut().insert("x-api-version", VERSION);
    response
}

/// The path without final slash and ending, and what the ending wants.
fn plain(path: &str) -> (&str, Option<Format>) {
    let path = path.strip_suffix('/').unwrap_or(path);
    match path.rsplit_once('.') {
        Some((plain, "json")) => (plain, Some(Format::Json)),
        Some((plain, "xml")) => (plain, Some(Format::Xml)),
        _ => (path, None),
    }
}

/// XML for those who name it before JSON.
fn accepted(headers: &HeaderMap) -> Format {
    let ranges = headers.get_all(ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    let named = ranges.flat_map(|value| value.split(',')).find_map(|range| {
        let media = range.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        match media.as_str() {
            "application/xml" | "text/xml" => Some(Format::Xml),
            "application/json" => Some(Format::Json),
            _ => None,
        }
    });
    named.unwrap_or(Format::Json)
}

/// Whether `path` names an account that is not `tenant`'s.
pub fn is_foreign(path: &str, tenant: &str) -> bool {
    let Some(account) = path.strip_prefix(BASE).and_then(|rest| rest.split('/').next()) else { return false };
    let mut encoded = String::new();
    crate::api::query::encode(tenant, &mut encoded);
    account != tenant && !account.eq_ignore_ascii_case(&encoded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn an_ending_and_a_final_slash_are_no_part_of_the_path() {
        for (path, expected) in [
            ("/v1.0/1000/domains", ("/v1.0/1000/domains", None)),
            ("/v1.0/1000/domains/", ("/v1.0/1000/domains", None)),
            ("/v1.0/1000/domains.xml", ("/v1.0/1000/domains", Some(Format::Xml))),
            ("/v1.0/1000/domains/7/records/A-1.json/", ("/v1.0/1000/domains/7/records/A-1", Some(Format::Json))),
            ("/v1.0/1000/domains.yaml", ("/v1.0/1000/domains.yaml", None)),
            ("/v1.0/", ("/v1.0", None)),
        ] {
            assert_eq!(plain(path), expected, "{path}");
        }
    }

    #[test]
    fn json_is_written_unless_xml_is_named_first() {
        let format = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            accepted(&headers)
        };
        assert_eq!(accepted(&HeaderMap::new()), Format::Json);
        assert_eq!(format("*/*"), Format::Json);
        assert_eq!(format("application/xml"), Format::Xml);
        assert_eq!(format("Text/XML; q=0.9, application/json"), Format::Xml);
        assert_eq!(format("application/json, application/xml"), Format::Json);
    }

    #[test]
    fn an_account_is_foreign_unless_it_is_the_tenant() {
        assert!(!is_foreign("/v1.0/1000/domains", "1000") && !is_foreign("/zones", "1000"));
        assert!(is_foreign("/v1.0/1001/domains", "1000") && is_foreign("/v1.0//domains", "1000"));
        assert!(!is_foreign("/v1.0/a%20b/limits", "a b"));
    }
}
