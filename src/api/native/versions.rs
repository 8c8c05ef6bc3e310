//! `/secondaryzones/{id}/versions`: what is kept of a zone's past, what each version changed, and the way back.

use std::fmt::Write;
use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use uuid::Uuid;

use crate::api::Api;
use crate::api::fault::{ErrorCode, Fault};
use crate::api::intent::refuse_dry_run;
use crate::api::ionos::{Date, accepted, json};
use crate::api::query::{Page, Params};
use crate::api::request::{Called, Writer, Zone, segment};
use crate::control::Primary;
use crate::control::versions::{Giver, Version};
use crate::dns::zonefile::write_record;
use crate::dns::{Name, RecordRef, Serial, presentation};
use crate::zone::Diff;

/// Changes a reply may hold, and how many it holds if the request does not say.
const LIMIT_MAX: usize = 10_000;
const LIMIT: usize = 1_000;

/// A serial in the path.
pub(super) struct AtSerial(Serial);

impl FromRequestParts<Arc<Api>> for AtSerial {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<AtSerial, Fault> {
        let text = segment(parts, api, "serial").await;
        serial(&text).map(AtSerial).ok_or_else(|| bad_serial(&text))
    }
}

/// Two serials in the path: `FROM..TO`.
pub(super) struct Between(Serial, Serial);

impl FromRequestParts<Arc<Api>> for Between {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Between, Fault> {
        let text = segment(parts, api, "serial").await;
        let pair = text.split_once("..").and_then(|(from, to)| Some(Between(serial(from)?, serial(to)?)));
        pair.filter(|Between(from, to)| from != to).ok_or_else(|| {
            let text = "Two different serials are expected in the path, such as versions/2026112101..2026112102.";
            Fault::new(ErrorCode::BadParameter, text)
        })
    }
}

fn serial(text: &str) -> Option<Serial> {
    let digits = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    text.parse().ok().filter(|_| digits).map(Serial)
}

fn bad_serial(text: &str) -> Fault {
    let shown: String = text.chars().take(20).collect();
    Fault::new(ErrorCode::BadParameter, format!("{shown:?} in the path is no serial."))
}

/// GET `/secondaryzones/{id}/versions`: the newest first.
pub(super) async fn list(State(api): State<Arc<Api>>, zone: Zone) -> Result<Response, Fault> {
    let versions = api.control().versions(&zone.view).await?;
    let port = api.settings().primary_port;
    let pinned = zone.status.remarks.review.pinned.as_ref().map(|pinned| Pin {
        serial: pinned.serial,
        left: pinned.left,
        by: pinned.by.clone(),
        at: Date(pinned.at),
    });
    let served = zone.status.served_serial;
    // Of several with one serial the newest is the served one.
    let served_at = versions.iter().rposition(|version| Some(version.serial) == served);
    let items = versions.iter().enumerate().rev();
    let list = List {
        r#type: "collection",
        items: items.map(|(index, version)| Item::of(version, served_at == Some(index), port)).collect(),
        zone_id: zone.view.uuid,
        zone_name: zone.status.definition.name.without_dot(),
        served_serial: served,
        pinned,
    };
    Ok(json(StatusCode::OK, &list))
}

/// GET `/secondaryzones/{id}/versions/{from}..{to}`: JSON, or with `Accept: text/plain` lines.
pub(super) async fn read(
    State(api): State<Arc<Api>>,
    zone: Zone,
    Between(from, to): Between,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let diff = api.control().difference(&zone.view, from, to).await?;
    diff_response(&diff, &params, &headers)
}

/// GET `/zones/{uuid or name}/versions/{from}..{to}`: the same.
pub(super) async fn read_named(
    State(api): State<Arc<Api>>,
    Called(zone): Called,
    Between(from, to): Between,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let diff = api.control().difference(&zone.view, from, to).await?;
    diff_response(&diff, &params, &headers)
}

/// POST `/secondaryzones/{id}/versions/{serial}/rollback`.
pub(super) async fn roll_back(
    State(api): State<Arc<Api>>,
    zone: Zone,
    Writer(caller): Writer,
    AtSerial(serial): AtSerial,
) -> Result<Response, Fault> {
    refuse_dry_run()?;
    api.control().roll_back(zone.view.uuid, serial, caller.user.to_string()).await?;
    Ok(accepted())
}

/// POST `/secondaryzones/{id}/release`.
pub(super) async fn release(
    State(api): State<Arc<Api>>,
    zone: Zone,
    Writer(caller): Writer,
) -> Result<Response, Fault> {
    refuse_dry_run()?;
    api.control().release(zone.view.uuid, caller.user.to_string()).await?;
    Ok(accepted())
}

/// A stretch of a difference: the SOA's change first, then what goes, then what comes.
pub(super) fn diff_response(diff: &Diff, params: &Params, headers: &HeaderMap) -> Result<Response, Fault> {
    let offset = params.number("offset", 0..=usize::MAX, 0)?;
    let limit = params.number("limit", 1..=LIMIT_MAX, LIMIT)?;
    let page = Page { offset, limit };
    let soas = [('-', diff.old_soa()), ('+', diff.new_soa())];
    let (deleted, added) = (diff.deleted().count(), diff.added().count());
    let total = deleted + added + soas.len();
    let goes = diff.deleted().map(|record| ('-', record));
    let comes = diff.added().map(|record| ('+', record));
    let shown = soas.into_iter().chain(goes).chain(comes).skip(offset).take(limit);
    let accepts = headers.get_all(ACCEPT).into_iter().filter_map(|field| field.to_str().ok());
    if accepts.flat_map(|field| field.split(',')).any(|kind| kind.trim().starts_with("text/plain")) {
        return Ok(text(diff, shown, page, total));
    }
    let body = Difference {
        r#type: "collection",
        from: diff.from_serial(),
        to: diff.to_serial(),
        deleted,
        added,
        items: shown.map(|(sign, record)| Change::of(sign, record)).collect(),
        offset,
        limit,
        total_count: total,
    };
    Ok(json(StatusCode::OK, &body))
}

fn text<'a>(diff: &Diff, shown: impl Iterator<Item = (char, RecordRef<'a>)>, page: Page, total: usize) -> Response {
    let mut text = String::new();
    // Writing into a String cannot fail.
    let _ = writeln!(text, "; {} from {} to {}", diff.apex(), diff.from_serial(), diff.to_serial());
    for (sign, record) in shown {
        text.push(sign);
        write_record(record, &mut text);
    }
    if let Some(next) = page.next(total) {
        let _ = writeln!(text, "; {} more lines: offset={next}", total - next);
    }
    ([(CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List {
    r#type: &'static str,
    items: Vec<Item>,
    zone_id: Uuid,
    zone_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    served_serial: Option<Serial>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pinned: Option<Pin>,
}

#[derive(Serialize)]
struct Pin {
    serial: Serial,
    left: Serial,
    by: String,
    at: Date,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    serial: Serial,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_serial: Option<Serial>,
    served: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    published: Option<Date>,
    /// `transferred`, `approved` or `rolled-back`.
    #[serde(skip_serializing_if = "Option::is_none")]
    how: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    primary_ip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    added: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    records: Option<u64>,
    /// The hash of a ZONEMD that was verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    zonemd: Option<String>,
    bytes: u64,
}

impl Item {
    fn of(version: &Version, served: bool, default_port: u16) -> Item {
        let published = version.published.as_ref();
        let (how, primary, by) = match published.map(|published| &published.giver) {
            None => (None, None, None),
            Some(Giver::Transferred { primary, .. }) => (Some("transferred"), Some(primary), None),
            Some(Giver::Approved { primary, user }) => (Some("approved"), Some(primary), Some(user.clone())),
            Some(Giver::RolledBack { user }) => (Some("rolled-back"), None, Some(user.clone())),
        };
        Item {
            serial: version.serial,
            from_serial: version.from,
            served,
            published: published.map(|published| Date(published.at)),
            how,
            primary_ip: primary.map(|address| Primary::at(*address).spelled(default_port)),
            by,
            deleted: published.map(|published| published.deleted),
            added: published.map(|published| published.added),
            records: published.map(|published| published.records),
            zonemd: published.and_then(|published| published.digest.clone()),
            bytes: version.octets,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Difference {
    r#type: &'static str,
    from: Serial,
    to: Serial,
    /// Records that go, the SOA aside.
    deleted: usize,
    added: usize,
    items: Vec<Change>,
    offset: usize,
    limit: usize,
    total_count: usize,
}

/// One record that goes or comes.
#[derive(Serialize)]
struct Change {
    change: &'static str,
    name: String,
    ttl: u32,
    r#type: String,
    content: String,
}

impl Change {
    fn of(sign: char, record: RecordRef<'_>) -> Change {
        Change {
            change: if sign == '-' { "delete" } else { "add" },
            name: Name::from_wire(record.owner).map(|name| name.to_string()).unwrap_or_default(),
            ttl: record.ttl,
            r#type: record.rtype.to_string(),
            content: presentation::rdata_text(record.rtype, record.rdata),
        }
    }
}
