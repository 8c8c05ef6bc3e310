//! The dashboard at `/`: one page without other files, a client of the API like any other.
//!
//! It holds no data, so it needs no credential; it asks for a token and keeps it in the tab. Its policy allows the
//! script and the style in it by their hashes, requests to this daemon, and nothing else.

use std::sync::{Arc, LazyLock};

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};

use super::Api;
use super::fault::Fault;
use super::openapi::{Content, Doc, Paths};

const PAGE: &str = include_str!("dashboard.html");

static POLICY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "default-src 'none'; script-src '{}'; style-src '{}'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        hash(element(PAGE, "script")),
        hash(element(PAGE, "style"))
    )
});

/// `/`.
pub fn paths() -> Paths {
    let page = Doc::new("dashboard", "The dashboard", 200, "").answers(Content::Html).open().fails(&[401]);
    Paths::default().get("/", page, dashboard)
}

async fn dashboard(State(api): State<Arc<Api>>) -> Response {
    if api.settings().credentials.is_empty() {
        return Fault::nobody_can_log_in().into_response();
    }
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY.as_str()),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, PAGE).into_response()
}

/// The text of the only element `<name>` of `page`.
fn element<'a>(page: &'a str, name: &str) -> &'a str {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let inside = page.split_once(&open).and_then(|(_, rest)| rest.split_once(&close));
    inside.expect("the page is part of the program and has the element").0
}

/// A source expression of CSP level 2 (§4.2.5).
fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(digest(&SHA256, text.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_allows_what_is_on_the_page_and_no_other_source() {
        assert_eq!(PAGE.matches("<script").count(), 1);
        assert_eq!(PAGE.matches("<style").count(), 1);
        assert!(POLICY.starts_with("default-src 'none'; script-src 'sha256-"));
        assert!(!POLICY.contains("unsafe"));
    }

    #[test]
    fn the_page_loads_nothing_and_writes_no_html() {
        for forbidden in
            ["src=", "href=", "url(", "@import", "innerHTML", "style=", "onclick=\"", "http://", "https://"]
        {
            assert!(!PAGE.contains(forbidden), "{forbidden}");
        }
    }
}
