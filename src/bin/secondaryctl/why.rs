//! The verbs that tell why: `explain`, `history`, `check`, `health`, `transfers`, `events`.

use std::fmt::Write as _;
use std::io::{BufRead, Write as _};

use serde_json::{Value, json};
use ureq::http::Method;
use uuid::Uuid;

use crate::client::{Client, percent_encode};
use crate::table::{Table, ago, ahead};
use crate::{Failure, Outcome, Verdict};

/// The text of a member; empty if it is not there.
fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_default()
}

fn items<'a>(value: &'a Value, member: &str) -> impl Iterator<Item = &'a Value> {
    value[member].as_array().into_iter().flatten()
}

/// A number or text as a cell.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// What monitoring makes of a health word.
fn verdict_of(health: &str) -> Verdict {
    match health {
        "ok" => Verdict::Ok,
        "loading" | "degraded" | "stale" => Verdict::Warning,
        "expiring" | "unloaded" | "expired" => Verdict::Critical,
        _ => Verdict::Unknown,
    }
}

/// What network octets must not do to a terminal; line feeds are ours.
fn plain(text: &str) -> String {
    text.replace(|c: char| c.is_control() && c != '\n', "?")
}

pub(crate) fn explain(client: &Client, name: &str, server: Option<&str>, json: bool) -> Outcome {
    let zone = client.find(name)?;
    let name = &zone.properties.zone_name;
    let explained = client.call(Method::GET, &format!("/secondaryzones/{}/explain", zone.id), None)?;
    let verdict = verdict_of(text(&explained, "health"));
    if json {
        return Ok((verdict, format!("{explained}\n")));
    }
    if let Some(server) = server {
        return snippet(&explained, server).map(|text| (Verdict::Ok, text));
    }
    let mut out = format!("{}: {}\n\nEvidence\n", verdict.word(), text(&explained, "verdict"));
    for line in items(&explained, "evidence").filter_map(Value::as_str) {
        let _ = writeln!(out, "  - {line}");
    }
    for (number, fix) in (1..).zip(items(&explained, "fixes")) {
        if number == 1 {
            out += "\nWhat to do\n";
        }
        let at = match text(fix, "where") {
            "here" => "here",
            "primary" => "on the primary",
            _ => "between the two",
        };
        let _ = writeln!(out, "  {number}. ({at}) {}", text(fix, "text"));
        if !text(fix, "command").is_empty() {
            let _ = writeln!(out, "       $ {}", text(fix, "command"));
        }
        for line in text(fix, "configuration").lines() {
            let _ = writeln!(out, "       | {line}");
        }
    }
    let card = &explained["card"];
    let list = |member| {
        let all: Vec<&str> = items(card, member).filter_map(Value::as_str).collect();
        if all.is_empty() { "not known yet".to_owned() } else { all.join(", ") }
    };
    let _ =
        write!(out, "\nPrimaries see us as {}; NOTIFY goes to {}", list("sourceAddresses"), list("notifyAddresses"));
    match text(card, "tsigKey") {
        "" => out += "; no TSIG key\n",
        key => {
            let _ = writeln!(out, "; TSIG key {key} ({})", text(card, "algorithm"));
        }
    }
    let _ = writeln!(
        out,
        "For the primary's configuration: secondaryctl explain {name} --snippet bind|knot|nsd|powerdns|windows"
    );
    Ok((verdict, plain(&out)))
}

/// The lines for one kind of primary.
fn snippet(explained: &Value, server: &str) -> Result<String, Failure> {
    let wanted = server.to_ascii_lowercase();
    let found = items(&explained["card"], "snippets")
        .find(|snippet| text(snippet, "server").to_ascii_lowercase().starts_with(&wanted));
    let found = found.ok_or_else(|| Failure::unknown("--snippet takes bind, knot, nsd, powerdns or windows"))?;
    Ok(plain(text(found, "text")))
}

/// Filters of `history`.
pub(crate) struct Past<'a> {
    pub(crate) code: Option<&'a str>,
    pub(crate) primary: Option<&'a str>,
    pub(crate) kind: Option<&'a str>,
    pub(crate) since: Option<&'a str>,
    pub(crate) until: Option<&'a str>,
    pub(crate) limit: usize,
}

pub(crate) fn history(client: &Client, name: &str, past: &Past<'_>, json: bool) -> Outcome {
    let zone = client.find(name)?;
    let given = [
        ("code", past.code),
        ("primary", past.primary),
        ("kind", past.kind),
        ("since", past.since),
        ("until", past.until),
    ];
    let query = query(&given);
    let path = format!("/secondaryzones/{}/axfr/history?limit={}{query}", zone.id, past.limit);
    let list = client.call(Method::GET, &path, None)?;
    if json {
        return Ok((Verdict::Ok, format!("{list}\n")));
    }
    let mut table =
        Table::new(&["ENDED", "PRIMARY", "ASKED", "GOT", "SERIAL", "WHY", "TOOK", "RECORDS", "CODE", "MESSAGE"]);
    for item in items(&list, "items") {
        let times = match item["count"].as_u64() {
            Some(count) if count > 1 => format!("{} (x{count})", text(item, "finished")),
            _ => text(item, "finished").to_owned(),
        };
        let message = text(item, "errorMessage").to_owned();
        let serial = match (item["fromSerial"].as_u64(), item["toSerial"].as_u64()) {
            (Some(from), Some(to)) if from != to => format!("{from} > {to}"),
            (_, Some(to)) => to.to_string(),
            _ => "-".to_owned(),
        };
        table.row(&[
            &times,
            text(item, "primaryIp"),
            text(item, "asked"),
            &cell(&item["got"]),
            &serial,
            text(item, "trigger"),
            &format!("{} ms", cell(&item["durationMs"])),
            &cell(&item["records"]),
            text(item, "errorCode"),
            &message,
        ]);
    }
    Ok((Verdict::Ok, table.to_string()))
}

fn query(given: &[(&str, Option<&str>)]) -> String {
    let set = given.iter().filter_map(|(name, value)| Some((name, (*value)?)));
    set.map(|(name, value)| format!("&{name}={}", percent_encode(value))).collect()
}

/// Primaries that would do: 0 all, 1 some, 2 none.
pub(crate) fn check(client: &Client, name: &str, properties: Option<Value>, transfer: bool, json: bool) -> Outcome {
    let report = match properties {
        Some(properties) => {
            let path = format!("/transfers/check?transfer={transfer}");
            client.patient().call(Method::POST, &path, Some(json!({ "properties": properties })))?
        }
        None => {
            let path = format!("/secondaryzones/{}/axfr/check?transfer={transfer}", client.find(name)?.id);
            client.patient().call(Method::POST, &path, None)?
        }
    };
    let verdict = match text(&report, "status") {
        "OK" => Verdict::Ok,
        "PARTIAL" => Verdict::Warning,
        _ => Verdict::Critical,
    };
    if json {
        return Ok((verdict, format!("{report}\n")));
    }
    let mut out = format!("{}: {}", verdict.word(), text(&report, "zoneName"));
    match report["servedSerial"].as_u64() {
        Some(serial) => {
            let _ = writeln!(out, ", serial {serial} is served here");
        }
        None => out += ", not served here\n",
    }
    if report["serialsAgree"] == false {
        out += "The primaries show different serials.\n";
    }
    out.push('\n');
    let mut table =
        Table::new(&["PRIMARY", "STATUS", "SERIAL", "VIA", "RTT", "RECORDS", "OCTETS", "TOOK", "IXFR", "REASON"]);
    for item in items(&report, "items") {
        let axfr = &item["axfr"];
        let rtt = item["soa"]["roundTripUs"].as_f64().map_or("-".to_owned(), |us| format!("{:.1} ms", us / 1000.0));
        let took = axfr["durationMs"].as_u64().map_or("-".to_owned(), |ms| format!("{ms} ms"));
        let ixfr = match item["givesIxfr"].as_bool() {
            Some(true) => "yes",
            Some(false) => "no",
            None => "-",
        };
        let notes: Vec<&str> = items(item, "notes").filter_map(Value::as_str).collect();
        let reason = match (text(item, "errorMessage"), notes.join(" ")) {
            ("", notes) => notes,
            (message, notes) => format!("{}: {message} {notes}", text(item, "errorCode")).trim_end().to_owned(),
        };
        table.row(&[
            text(item, "primaryIp"),
            text(item, "status"),
            &cell(&item["serial"]),
            text(&item["soa"], "transport"),
            &rtt,
            &cell(&item["contents"]["records"]),
            &cell(&axfr["bytes"]),
            &took,
            ixfr,
            &reason,
        ]);
    }
    let _ = write!(out, "{table}");
    for item in items(&report, "items") {
        for warning in items(&item["contents"], "warnings").filter_map(Value::as_str) {
            let _ = writeln!(out, "{}: {warning}", text(item, "primaryIp"));
        }
    }
    Ok((verdict, plain(&out)))
}

/// How all zones are, in one word; the exit code is the verdict.
pub(crate) fn health(client: &Client, json: bool) -> Outcome {
    let report = client.call(Method::GET, "/health/zones?fail-on=expired", None)?;
    let verdict = verdict_of(text(&report, "status"));
    if json {
        return Ok((verdict, format!("{report}\n")));
    }
    let mut out = format!("{}: {} zones", verdict.word(), cell(&report["zones"]));
    for word in ["ok", "loading", "degraded", "stale", "expiring", "unloaded", "expired"] {
        if let Some(count) = report["counts"][word].as_u64().filter(|count| *count > 0) {
            let _ = write!(out, ", {count} {word}");
        }
    }
    out.push('\n');
    if let Some(why) = report["storage"]["errorMessage"].as_str() {
        let _ = writeln!(out, "nothing can be stored: {why}");
    }
    let mut table = Table::new(&["ZONE", "HEALTH", "CONFIRMED", "EXPIRES", "FAILING"]);
    for zone in items(&report, "items") {
        let failing = items(zone, "failing").map(|f| format!("{} {}", text(f, "primary"), text(f, "errorCode")));
        table.row(&[
            text(zone, "zoneName"),
            text(zone, "status"),
            &ago(zone["lastRefresh"].as_str()),
            &ahead(zone["expires"].as_str()),
            &failing.collect::<Vec<_>>().join(", "),
        ]);
    }
    if !table.is_empty() {
        let _ = write!(out, "\n{table}");
    }
    Ok((verdict, plain(&out)))
}

/// One line per zone and primary.
pub(crate) fn transfers(client: &Client, given: &[(&str, Option<&str>)], json: bool) -> Outcome {
    let list = client.list("/transfers", &query(given))?;
    let failing = list.iter().any(|line| matches!(text(line, "status"), "ERROR" | "LAGGING"));
    let verdict = if failing { Verdict::Warning } else { Verdict::Ok };
    if json {
        return Ok((verdict, format!("{}\n", Value::Array(list))));
    }
    let mut table = Table::new(&["ZONE", "PRIMARY", "STATUS", "SERIAL", "SERVED", "LAST OK", "NEXT TRY", "REASON"]);
    for line in &list {
        let reason = match text(line, "errorMessage") {
            "" => String::new(),
            message => format!("{}: {message}", text(line, "errorCode")),
        };
        table.row(&[
            text(line, "zoneName"),
            text(line, "primaryIp"),
            text(line, "status"),
            &cell(&line["serial"]),
            &cell(&line["servedSerial"]),
            &ago(line["lastSuccess"].as_str()),
            &ahead(line["nextAttempt"].as_str()),
            &reason,
        ]);
    }
    Ok((verdict, table.to_string()))
}

/// Which events are told.
pub(crate) struct Told<'a> {
    /// Names or UUIDs, with commas between.
    pub(crate) zones: Option<&'a str>,
    pub(crate) kinds: Option<&'a str>,
    pub(crate) since: Option<&'a str>,
    pub(crate) count: Option<u64>,
}

/// Prints events as they come, one a line; ends after `count` of them, or with the stream. A zone that is not here is an error,
/// since nothing would ever come.
pub(crate) fn events(client: &Client, told: &Told<'_>, json: bool) -> Outcome {
    let Told { zones, kinds, since, count } = *told;
    let known = |zone: &str| match zone.parse::<Uuid>() {
        Ok(id) => client.call(Method::GET, &format!("/secondaryzones/{id}"), None).map(|_| id.to_string()),
        Err(_) => client.find(zone).map(|zone| zone.properties.zone_name),
    };
    let zones = zones.map(|zones| zones.split(',').map(|zone| known(zone.trim())).collect::<Result<Vec<_>, _>>());
    let zones = zones.transpose()?.map(|zones| zones.join(","));
    let query = query(&[("zone", zones.as_deref()), ("type", kinds), ("last-event-id", since)]);
    let path = format!("/events{}", query.replacen('&', "?", 1));
    let mut out = std::io::stdout().lock();
    let (mut name, mut seen) = (String::new(), 0);
    for line in client.stream(&path)?.lines() {
        let line = line
            .map_err(|error| Failure { verdict: Verdict::Critical, message: format!("the stream broke: {error}") })?;
        match line.split_once(": ") {
            Some(("event", kind)) => kind.clone_into(&mut name),
            Some(("data", data)) => {
                let shown = if json { with_type(&name, data) } else { plain(&in_words(&name, data)) };
                if writeln!(out, "{shown}").and_then(|()| out.flush()).is_err() {
                    break;
                }
                seen += 1;
                if count.is_some_and(|count| seen >= count) {
                    break;
                }
            }
            _ => {}
        }
    }
    Ok((Verdict::Ok, String::new()))
}

fn with_type(name: &str, data: &str) -> String {
    let mut value: Value = serde_json::from_str(data).unwrap_or_default();
    value["type"] = name.into();
    value.to_string()
}

fn in_words(name: &str, data: &str) -> String {
    let value: Value = serde_json::from_str(data).unwrap_or_default();
    let known = ["time", "zoneId", "zoneName"];
    let members = value.as_object().into_iter().flatten().filter(|(member, _)| !known.contains(&member.as_str()));
    let rest: Vec<String> = members.map(|(member, value)| format!("{member}={}", cell(value))).collect();
    format!("{} {name:<14} {} {}", text(&value, "time"), text(&value, "zoneName"), rest.join(" "))
}
