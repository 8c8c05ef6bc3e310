//! Lists of the dialect: `offset` and `limit`, their links, and the members all lists share.

use serde::Serialize;
use uuid::Uuid;

use crate::api::fault::Fault;
use crate::api::query::{Page, Params, encode};
use crate::control::definition::uuid_of;

/// Items of a page unless the client says otherwise.
const LIMIT_DEFAULT: usize = 100;
/// Items of a page at most.
const LIMIT_MAX: usize = 1000;
/// The offset is an int32 in the specification.
const OFFSET_MAX: usize = i32::MAX as usize;

/// The page `offset` and `limit` ask for.
pub(in crate::api) fn page(params: &Params) -> Result<Page, Fault> {
    Ok(Page {
        offset: params.number("offset", 0..=OFFSET_MAX, 0)?,
        limit: params.number("limit", 1..=LIMIT_MAX, LIMIT_DEFAULT)?,
    })
}

/// Where a list stands and how it was asked for.
pub(in crate::api) struct Address<'a> {
    /// What absolute links begin with.
    pub(in crate::api) base: String,
    /// Path-absolute.
    pub(in crate::api) path: String,
    /// The filters that were given, for the links: the next page is one of the same list.
    pub(in crate::api) filters: Vec<(&'a str, &'a str)>,
    /// The part of the list.
    pub(in crate::api) page: Page,
}

impl Address<'_> {
    /// The list as an object: path-absolute, its page included.
    pub(in crate::api) fn href(&self) -> String {
        let Page { offset, limit } = self.page;
        format!("{}?limit={limit}&offset={offset}{}", self.path, self.filter_text())
    }

    /// Links to this page and those beside it.
    pub(in crate::api) fn links(&self, total: usize) -> Links {
        let filters = self.filter_text();
        let link = |offset| format!("{}{}?offset={offset}&limit={}{filters}", self.base, self.path, self.page.limit);
        Links {
            previous: self.page.previous().map(link),
            this: link(self.page.offset),
            next: self.page.next(total).map(link),
        }
    }

    fn filter_text(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.filters {
            text.push('&');
            text.push_str(name);
            text.push('=');
            encode(value, &mut text);
        }
        text
    }
}

/// The parameters of `names` that were given, for [`Address::filters`].
pub(in crate::api) fn given<'a>(params: &'a Params, names: &[&'a str]) -> Result<Vec<(&'a str, &'a str)>, Fault> {
    let mut given = Vec::new();
    for name in names {
        if let Some(value) = params.single(name)? {
            given.push((*name, value));
        }
    }
    Ok(given)
}

/// Absolute URLs; those that do not exist are left out.
#[derive(Debug, Serialize)]
pub(in crate::api) struct Links {
    #[serde(rename = "prev", skip_serializing_if = "Option::is_none")]
    previous: Option<String>,
    #[serde(rename = "self")]
    this: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// The identity of an object that has none of its own: v5 of its URL.
pub(in crate::api) fn id_of_url(href: &str) -> Uuid {
    uuid_of(&Uuid::NAMESPACE_URL, href.as_bytes())
}

/// A list of this dialect as it is sent.
#[derive(Debug, Serialize)]
pub(super) struct List<T> {
    id: Uuid,
    r#type: &'static str,
    href: String,
    items: Vec<T>,
    offset: usize,
    limit: usize,
    #[serde(rename = "_links")]
    links: Links,
    #[serde(rename = "totalCount")]
    total_count: usize,
}

impl<T> List<T> {
    /// The page of `address` with these items, of `total` in all.
    pub(super) fn new(address: &Address<'_>, items: Vec<T>, total: usize) -> List<T> {
        let href = address.href();
        List {
            id: id_of_url(&href),
            r#type: "collection",
            href,
            items,
            offset: address.page.offset,
            limit: address.page.limit,
            links: address.links(total),
            total_count: total,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(offset: usize, limit: usize) -> Address<'static> {
        Address {
            base: "http://h".to_owned(),
            path: "/secondaryzones".to_owned(),
            filters: vec![("filter.zoneName", "a b")],
            page: Page { offset, limit },
        }
    }

    #[test]
    fn the_links_of_a_middle_page_lead_both_ways_with_the_same_filter() {
        let links = serde_json::to_string(&address(10, 10).links(21)).expect("json");
        assert_eq!(
            links,
            concat!(
                r#"{"prev":"http://h/secondaryzones?offset=0&limit=10&filter.zoneName=a%20b","#,
                r#""self":"http://h/secondaryzones?offset=10&limit=10&filter.zoneName=a%20b","#,
                r#""next":"http://h/secondaryzones?offset=20&limit=10&filter.zoneName=a%20b"}"#
            )
        );
        assert_eq!(address(10, 10).href(), "/secondaryzones?limit=10&offset=10&filter.zoneName=a%20b");
    }

    #[test]
    fn links_that_lead_nowhere_are_left_out() {
        let links = serde_json::to_string(&address(0, 10).links(10)).expect("json");
        assert!(!links.contains("prev") && !links.contains("next"));
    }

    #[test]
    fn pages_are_bounded() {
        let ask = |query: &str| page(&Params::parse(query));
        assert_eq!(ask("").expect("defaults"), Page { offset: 0, limit: 100 });
        assert_eq!(ask("limit=1000&offset=7").expect("a page"), Page { offset: 7, limit: 1000 });
        for query in ["limit=0", "limit=1001", "offset=-1", "limit=x", "offset=2147483648", "limit=1&limit=2"] {
            assert!(ask(query).is_err(), "{query}");
        }
    }
}
