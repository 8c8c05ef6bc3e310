//! What a handler needs to know of a request beside its body: the account's address, the request's own, the format.

use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};

use super::fault::{content_type, written};
use super::sent::{Format, Sent};
use super::shown::Link;
use super::xml::Shown;
use crate::api::Api;
use crate::api::fault::{ErrorCode, Fault};
use crate::api::query::{Page, Params, encode};
use crate::api::request::segment;
use crate::api::serve::Ends;

/// Items of a page, if the client does not say; also the most it may ask for.
const PAGE_ITEMS: usize = 100;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// `http://host/v1.0/1000`.
    pub(super) account_url: String,
    /// The URL as the client wrote it, with its query.
    pub(super) url: String,
    /// The method.
    pub(super) verb: String,
    /// What the answer is written in.
    pub(super) format: Format,
}

impl FromRequestParts<Arc<Api>> for Call {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Call, Self::Rejection> {
        let account = segment(parts, api, "account").await;
        let ends = parts.extensions.get::<ConnectInfo<Ends>>().map(|ends| ends.0);
        let base = api.settings().base_url(&parts.headers, ends);
        let sent = parts.extensions.get::<Sent>();
        let format = sent.map_or(Format::Json, |sent| sent.format);
        let target = sent.map_or("", |sent| &sent.target);
        let mut account_url = format!("{base}/v1.0/");
        encode(&account, &mut account_url);
        Ok(Call { account_url, url: format!("{base}{target}"), verb: parts.method.to_string(), format })
    }
}

impl Call {
    /// An answer in the client's format.
    pub(super) fn answer(&self, status: StatusCode, shown: &impl Shown) -> Response {
        (status, [(CONTENT_TYPE, content_type(self.format))], written(shown, self.format)).into_response()
    }

    /// 200.
    pub(super) fn ok(&self, shown: &impl Shown) -> Response {
        self.answer(StatusCode::OK, shown)
    }

    /// Links to the pages beside `page` of a list that keeps these parameters.
    pub(super) fn links(&self, page: Page, total: usize, params: &Params, kept: &[&str]) -> Vec<Link> {
        let path = self.url.split('?').next().unwrap_or_default();
        let link = |offset: Option<usize>, rel: &str| {
            let mut href = format!("{path}?limit={}&offset={}", page.limit, offset?);
            for name in kept {
                for value in params.all(name) {
                    href += &format!("&{name}=");
                    encode(value, &mut href);
                }
            }
            Some(Link { content: String::new(), href, rel: rel.to_owned() })
        };
        [link(page.previous(), "previous"), link(page.next(total), "next")].into_iter().flatten().collect()
    }
}

/// `limit` and `offset`; a `marker` is for those who know their list.
pub(super) fn page(params: &Params) -> Result<Page, Fault> {
    let limit = params.number("limit", 1..=usize::MAX, PAGE_ITEMS)?.min(PAGE_ITEMS);
    let offset = params.number("offset", 0..=usize::MAX, 0)?;
    if offset % limit != 0 {
        return Err(Fault::bad_parameter("offset", format_args!("must be a multiple of the limit, {limit}")));
    }
    Ok(Page { offset, limit })
}

/// A parameter that is `true` or `false` in any case of letters (some clients write `True`).
pub(super) fn flag(params: &Params, name: &str, default: bool) -> Result<bool, Fault> {
    match params.single(name)? {
        None => Ok(default),
        Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        Some(_) => Err(Fault::bad_parameter(name, "must be true or false")),
    }
}

/// The page that begins with the item a `marker` names, if one is given; `place` finds it in the list.
pub(super) fn from_marker(
    page: Page,
    params: &Params,
    place: impl FnOnce(&str) -> Option<usize>,
) -> Result<Page, Fault> {
    let Some(marker) = params.single("marker")? else { return Ok(page) };
    let offset = place(marker).ok_or_else(|| Fault::bad_parameter("marker", "names no item of the list"))?;
    Ok(Page { offset, ..page })
}

/// 500, for work beside the runtime that has panicked.
pub(super) fn lost(what: &str) -> Fault {
    Fault::new(ErrorCode::Internal, format!("{what} could not be done."))
}
