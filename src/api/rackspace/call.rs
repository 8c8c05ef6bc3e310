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

    /// Links to the pages beside `page` of a list that keeps these parameters. Where a marker is given they count from its
    /// item, since offsets are multiples of the limit.
    pub(super) fn links(&self, page: Page, total: usize, params: &Params, kept: &[&str]) -> Vec<Link> {
        let marker = params.single("marker").ok().flatten();
        let behind = params.number("offset", 0..=usize::MAX, 0).unwrap_or(0);
        let link = |rel, marker, offset| self.link(rel, page.limit, (marker, offset), params, kept);
        let previous = match (behind, page.offset) {
            (0, 0) => None,
            // The page begins with the marker: what stands before is found without one.
            (0, place) => Some(link("previous", None, (place - 1) / page.limit * page.limit)),
            _ => Some(link("previous", marker, behind - page.limit)),
        };
        let next = page.next(total).map(|_| link("next", marker, behind + page.limit));
        previous.into_iter().chain(next).collect()
    }

    /// A link to the page that begins `offset` items behind the marker's, or the list's first.
    pub(super) fn link(
        &self,
        rel: &str,
        limit: usize,
        (marker, offset): (Option<&str>, usize),
        params: &Params,
        kept: &[&str],
    ) -> Link {
        let path = self.url.split('?').next().unwrap_or_default();
        let mut href = format!("{path}?limit={limit}&offset={offset}");
        let kept = kept.iter().flat_map(|name| params.all(name).map(|value| (*name, value)));
        for (name, value) in kept.chain(marker.map(|marker| ("marker", marker))) {
            href += &format!("&{name}=");
            encode(value, &mut href);
        }
        Link { content: String::new(), href, rel: rel.to_owned() }
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

/// The page counted from the item that a `marker` names, if one is given; `place` finds it in the list.
pub(super) fn from_marker(
    page: Page,
    params: &Params,
    place: impl FnOnce(&str) -> Option<usize>,
) -> Result<Page, Fault> {
    let Some(marker) = params.single("marker")? else { return Ok(page) };
    let place = place(marker).ok_or_else(|| Fault::bad_parameter("marker", "names no item of the list"))?;
    Ok(Page { offset: place.saturating_add(page.offset), ..page })
}

/// 500, for work beside the runtime that has panicked.
pub(super) fn lost(what: &str) -> Fault {
    Fault::new(ErrorCode::Internal, format!("{what} could not be done."))
}
