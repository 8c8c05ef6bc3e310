//! Verbs about versions: what is held and the verdict, what was served before, what changed, and the way back.

use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::{Value, json};
use ureq::http::Method;

use crate::client::{Client, Zone, decode, decode_all};
use crate::table::{Table, ago, ahead};
use crate::{Failure, Outcome, Verdict, said};

/// Changes asked for in one page.
const PAGE: usize = 10_000;

/// `GET /secondaryzones/{id}/held`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HeldList {
    items: Vec<Held>,
    zone_name: String,
    served_serial: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Held {
    id: String,
    serial: u32,
    error_code: String,
    error_message: String,
    primary_ip: String,
    received: String,
    deadline: String,
    deleted: u64,
    added: u64,
}

fn held_of(client: &Client, zone: &Zone) -> Result<Value, Failure> {
    client.call(Method::GET, &format!("/secondaryzones/{}/held", zone.id), None)
}

/// Held versions of one zone, or of all; a warning if there are any.
pub(crate) fn held(client: &Client, name: Option<&str>, json: bool) -> Outcome {
    let zones = match name {
        Some(name) => vec![client.find(name)?],
        None => decode_all(client.list("/secondaryzones", "")?)?,
    };
    let mut table = Table::new(&["ZONE", "SERVED", "HELD", "FROM", "SINCE", "DECIDED", "-", "+", "REASON"]);
    let mut values = Vec::new();
    for zone in &zones {
        let value = held_of(client, zone)?;
        let list: HeldList = decode(&value)?;
        for held in &list.items {
            table.row(&[
                &list.zone_name,
                &list.served_serial.map_or("-".to_owned(), |serial| serial.to_string()),
                &held.serial.to_string(),
                &held.primary_ip,
                &ago(Some(&held.received)),
                &ahead(Some(&held.deadline)),
                &held.deleted.to_string(),
                &held.added.to_string(),
                &format!("{}: {}", held.error_code, held.error_message),
            ]);
        }
        if !list.items.is_empty() {
            values.push(value);
        }
    }
    let verdict = if table.is_empty() { Verdict::Ok } else { Verdict::Warning };
    if json {
        return Ok((verdict, format!("{}\n", Value::Array(values))));
    }
    if table.is_empty() {
        return Ok((verdict, "OK: nothing is held\n".to_owned()));
    }
    let next = "secondaryctl diff ZONE held shows what it would change; approve or reject ZONE decides";
    Ok((verdict, format!("{}: {next}\n\n{table}", verdict.word())))
}

/// `approve` or `reject`; the id is only needed to be sure that nothing newer has come.
pub(crate) fn decide(client: &Client, name: &str, id: Option<&str>, verb: &str, json: bool) -> Outcome {
    let zone = client.find(name)?;
    let list: HeldList = decode(&held_of(client, &zone)?)?;
    let found = list.items.iter().find(|held| id.is_none_or(|id| held.id == id));
    let Some(held) = found else {
        return Err(Failure::unknown(format!("{}: no such version is held", list.zone_name)));
    };
    client.call(Method::POST, &format!("/secondaryzones/{}/held/{}/{verb}", zone.id, held.id), None)?;
    let done = match verb {
        "approve" => format!("{}: serial {} is served", list.zone_name, held.serial),
        _ => format!("{}: serial {} is rejected and not fetched again", list.zone_name, held.serial),
    };
    Ok((Verdict::Ok, said(json, &done)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    serial: u32,
    served: bool,
    published: Option<String>,
    how: Option<String>,
    primary_ip: Option<String>,
    by: Option<String>,
    deleted: Option<u64>,
    added: Option<u64>,
    records: Option<u64>,
}

/// The kept versions, newest first.
pub(crate) fn versions(client: &Client, name: &str, json: bool) -> Outcome {
    let zone = client.find(name)?;
    let mut value = client.call(Method::GET, &format!("/secondaryzones/{}/versions", zone.id), None)?;
    let is_pinned = !value["pinned"].is_null();
    let verdict = if is_pinned { Verdict::Warning } else { Verdict::Ok };
    if json {
        return Ok((verdict, format!("{value}\n")));
    }
    let mut table = Table::new(&["SERIAL", "SERVED", "HOW", "FROM", "-", "+", "RECORDS"]);
    let Value::Array(items) = value["items"].take() else { return Err(Failure::unknown("the reply has no items")) };
    let number = |n: Option<u64>| n.map_or("-".to_owned(), |n| n.to_string());
    for version in decode_all::<Version>(items)? {
        let when = match (version.served, version.published.as_deref()) {
            (true, when) => format!("now, since {}", ago(when)),
            (false, None) => "-".to_owned(),
            (false, when) => ago(when),
        };
        table.row(&[
            &version.serial.to_string(),
            &when,
            version.how.as_deref().unwrap_or("-"),
            version.primary_ip.or(version.by).as_deref().unwrap_or("-"),
            &number(version.deleted),
            &number(version.added),
            &number(version.records),
        ]);
    }
    let mut text = String::new();
    if is_pinned {
        let (left, by) = (&value["pinned"]["left"], value["pinned"]["by"].as_str().unwrap_or("somebody"));
        let _ = writeln!(
            text,
            "WARNING: rolled back from {left} by {by}; secondaryctl release takes newer versions again\n"
        );
    }
    Ok((verdict, text + &table.to_string()))
}

/// What leads from one kept version to another, or with `held` what the held version would change.
pub(crate) fn diff(client: &Client, name: &str, from: &str, to: Option<&str>, json: bool) -> Outcome {
    let zone = client.find(name)?;
    let path = match (from, to) {
        ("held", None) => {
            let list: HeldList = decode(&held_of(client, &zone)?)?;
            let held = list.items.first().ok_or_else(|| Failure::unknown(format!("{name}: nothing is held")))?;
            format!("/secondaryzones/{}/held/{}/diff", zone.id, held.id)
        }
        (from, Some(to)) => format!("/secondaryzones/{}/versions/{from}..{to}", zone.id),
        _ => return Err(Failure::unknown("two serials are needed, or the word held")),
    };
    let (mut text, mut items, mut offset) = (String::new(), Vec::new(), 0);
    loop {
        let mut page = client.call(Method::GET, &format!("{path}?limit={PAGE}&offset={offset}"), None)?;
        let Value::Array(more) = page["items"].take() else { return Err(Failure::unknown("the reply has no items")) };
        if offset == 0 {
            let _ =
                writeln!(text, "; from {} to {}: -{} +{}", page["from"], page["to"], page["deleted"], page["added"]);
        }
        let last = more.len() < PAGE;
        offset += more.len();
        for change in &more {
            let field = |name: &str| change[name].as_str().unwrap_or_default().replace(char::is_control, "?");
            let sign = if change["change"] == "delete" { '-' } else { '+' };
            let _ = writeln!(text, "{sign}{} {} {} {}", field("name"), change["ttl"], field("type"), field("content"));
        }
        if json {
            items.extend(more);
        }
        if last {
            break;
        }
    }
    Ok((Verdict::Ok, if json { format!("{}\n", json!({ "items": items })) } else { text }))
}

/// Goes back to a kept version.
pub(crate) fn roll_back(client: &Client, name: &str, serial: u32, json: bool) -> Outcome {
    let zone = client.find(name)?;
    client.call(Method::POST, &format!("/secondaryzones/{}/versions/{serial}/rollback", zone.id), None)?;
    let name = &zone.properties.zone_name;
    let text =
        format!("{name}: serial {serial} is served, newer ones are not taken until: secondaryctl release {name}");
    Ok((Verdict::Ok, said(json, &text)))
}

/// Takes newer versions again.
pub(crate) fn release(client: &Client, name: &str, json: bool) -> Outcome {
    let zone = client.find(name)?;
    client.call(Method::POST, &format!("/secondaryzones/{}/release", zone.id), None)?;
    Ok((Verdict::Ok, said(json, &format!("{}: the primaries are asked for newer versions", zone.properties.zone_name))))
}
