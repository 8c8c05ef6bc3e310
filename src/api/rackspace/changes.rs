//! `/domains/{domain}/changes`: what was changed of a domain, through this dialect or another.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response as Reply;
use serde::Serialize;

use super::call::{Call, lost, page};
use super::data::data;
use super::shown::{Date, Link, read_date};
use super::xml::{Shown, Xml};
use super::zone::{Zone, record_id_of};
use crate::api::Api;
use crate::api::fault::Fault;
use crate::api::query::Params;
use crate::control::local::{Changes, KEPT_FOR};
use crate::local::{Change, Entry, Face, email_of};
use crate::time::Timestamp;

/// Seconds.
const DAY: u64 = 24 * 3600;

#[derive(Serialize)]
struct List {
    from: Date,
    to: Date,
    #[serde(rename = "totalEntries")]
    total: usize,
    changes: Vec<Item>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    links: Vec<Link>,
}

#[derive(Serialize)]
struct Item {
    domain: String,
    #[serde(rename = "targetType")]
    target: String,
    action: &'static str,
    #[serde(rename = "changeDetails")]
    details: Vec<Detail>,
    #[serde(rename = "accountId")]
    account: String,
    #[serde(rename = "targetId")]
    id: String,
}

#[derive(Serialize)]
struct Detail {
    field: &'static str,
    #[serde(rename = "newValue")]
    new: String,
    #[serde(rename = "originalValue")]
    original: String,
}

impl Shown for List {
    fn xml(&self, out: &mut Xml) {
        out.element("changes", |out| {
            out.text("from", self.from.plain());
            out.text("to", self.to.plain());
            out.text("totalEntries", self.total);
            for item in &self.changes {
                out.element("change", |out| {
                    out.text("domain", &item.domain);
                    out.text("targetType", &item.target);
                    out.text("action", item.action);
                    for detail in &item.details {
                        out.element("changeDetails", |out| {
                            out.text("field", detail.field);
                            out.text("newValue", &detail.new);
                            out.text("originalValue", &detail.original);
                        });
                    }
                    out.text("accountId", &item.account);
                    out.text("targetId", &item.id);
                });
            }
            self.links.iter().for_each(|link| link.xml(out));
        });
    }
}

/// GET `/domains/{domain}/changes?since=`: the newest first; since midnight (UTC) if nothing is said.
pub(super) async fn list(State(api): State<Arc<Api>>, zone: Zone, call: Call, params: Params) -> Result<Reply, Fault> {
    let now = Timestamp::now();
    let midnight = Timestamp::from_secs(now.as_secs() / DAY * DAY);
    let since = match params.single("since")?.filter(|text| !text.is_empty()) {
        // A `+` before the offset is a blank once it is decoded, unless the client has encoded it.
        Some(text) => read_date(text)
            .or_else(|| read_date(&text.replace(' ', "+")))
            .ok_or_else(|| Fault::bad_parameter("since", "must be a date such as 2026-11-21T23:00:00Z"))?,
        None => midnight,
    };
    let page = page(&params)?;
    let since = since.max(now - KEPT_FOR);
    let reading = tokio::task::spawn_blocking(move || {
        let requests = api.control().changes(&zone.view, since)?;
        let total = requests.iter().map(|request| request.changes.len()).sum();
        let all = requests.iter().flat_map(|Changes { changes, .. }| changes);
        let items = all.skip(page.offset).take(page.limit).map(|change| item(change, &zone)).collect();
        Ok((items, total))
    });
    let read: Result<(Vec<Item>, usize), Fault> = reading.await.map_err(|_| lost("The reading of the changes"))?;
    let (changes, total) = read?;
    let links = call.links(page, total, &params, &["since"]);
    Ok(call.ok(&List { from: Date(since), to: Date(now), total, changes, links }))
}

fn item(change: &Change, zone: &Zone) -> Item {
    let definition = zone.definition();
    let (target, action, details, id) = match change {
        Change::Record { before, after } => {
            let either = after.as_ref().or(before.as_ref());
            let target = either.map(|entry| format!("{} Record", entry.rtype)).unwrap_or_default();
            let details = details(before.as_deref().map(record_fields), after.as_deref().map(record_fields));
            (target, action(before.is_some(), after.is_some()), details, either.map(|entry| record_id_of(entry)))
        }
        Change::Zone { before, after } => {
            let fields = |face: &Face| zone_fields(face, zone);
            let details = details(before.as_ref().map(fields), Some(fields(after)));
            ("Domain".to_owned(), action(before.is_some(), true), details, Some(definition.id.0.to_string()))
        }
    };
    Item {
        domain: definition.name.without_dot(),
        target,
        action,
        details,
        account: definition.tenant.to_string(),
        id: id.unwrap_or_default(),
    }
}

fn action(was: bool, is: bool) -> &'static str {
    match (was, is) {
        (false, _) => "create",
        (true, true) => "update",
        (true, false) => "delete",
    }
}

type Fields = Vec<(&'static str, String)>;

fn record_fields(entry: &Entry) -> Fields {
    let (data, priority) = data(entry.rtype, &entry.rdata);
    let number = |number: Option<String>| number.unwrap_or_default();
    vec![
        ("name", entry.owner.without_dot()),
        ("data", data),
        ("ttl", number(entry.ttl.map(|ttl| ttl.to_string()))),
        ("priority", number(priority.map(|priority| priority.to_string()))),
        ("comment", entry.text.clone()),
        ("enabled", entry.enabled.to_string()),
    ]
}

fn zone_fields(face: &Face, zone: &Zone) -> Fields {
    vec![
        ("name", zone.view.name.without_dot()),
        ("ttl", face.default_ttl.to_string()),
        ("emailAddress", email_of(&face.rname)),
        ("comment", face.text.clone()),
    ]
}

/// What differs, field by field; what is not there is empty.
fn details(before: Option<Fields>, after: Option<Fields>) -> Vec<Detail> {
    let names = after.as_ref().or(before.as_ref());
    let names: Vec<&'static str> = names.into_iter().flatten().map(|(name, _)| *name).collect();
    let value = |fields: &Option<Fields>, at: usize| {
        fields.as_ref().and_then(|fields| fields.get(at)).map(|(_, value)| value.clone()).unwrap_or_default()
    };
    let both = names.into_iter().enumerate().map(|(at, field)| (field, value(&before, at), value(&after, at)));
    both.filter(|(_, original, new)| original != new)
        .map(|(field, original, new)| Detail { field, new, original })
        .collect()
}
