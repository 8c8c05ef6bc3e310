//! Parameters of paths, queries and header fields, for the document.

use serde_json::{Value, json};

use crate::control::health::Health;

/// A parameter in the path.
pub(super) fn in_path(name: &str, path: &str) -> Value {
    let is_named = ["/explain", "/versions/{serial}"].iter().any(|end| path == format!("/zones/{{id}}{end}"));
    let is_cloud = path.starts_with("/v1.0/");
    let text = || json!({"type": "string", "minLength": 1});
    let (schema, description) = match name {
        "id" if is_named => (text(), "UUID or name of the zone."),
        "id" | "record" | "held" => (json!({"type": "string", "format": "uuid"}), "UUID."),
        "domain" if is_cloud => (json!({"type": "string", "pattern": "^[0-9]+$"}), "Number of the domain."),
        "item" if is_cloud => (text(), "Type and number of the record: A-1000042."),
        "account" => (text(), "The tenant whose token is sent."),
        "job" => (json!({"type": "string", "format": "uuid"}), "The job's id."),
        "domain" => (base32_or_uuid('d'), "`d_` and 26 digits of base32, or a UUID."),
        "item" => (base32_or_uuid('r'), "`r_` and 26 digits of base32, or a UUID."),
        "ip" => (address(), "IPv4 or IPv6 address, in any spelling."),
        "serial" if path.ends_with("/versions/{serial}") => {
            (json!({"type": "string", "pattern": "^[0-9]{1,10}\\.\\.[0-9]{1,10}$"}), "Two serials: FROM..TO.")
        }
        "serial" => (json!({"type": "integer", "minimum": 0, "maximum": u32::MAX}), "A serial."),
        _ => (text(), ""),
    };
    json!({"name": name, "in": "path", "required": true, "description": description, "schema": schema})
}

pub(super) fn base32_or_uuid(kind: char) -> Value {
    json!({"anyOf": [
        {"type": "string", "pattern": format!("^{kind}_[a-z2-7]{{25}}[aeimquy4]$")},
        {"type": "string", "format": "uuid"},
    ]})
}

pub(super) fn address() -> Value {
    json!({"anyOf": [{"type": "string", "format": "ipv4"}, {"type": "string", "format": "ipv6"}]})
}

/// A parameter of the query, or of the header if it begins with a capital. Behind an `@` stands the place where a name
/// means something of its own.
pub(super) fn parameter(name: &str) -> Value {
    let (schema, description) = filter(name).or_else(|| of_lists(name)).unwrap_or_else(|| of_commands(name));
    let name = name.split('@').next().unwrap_or(name);
    let place = if name.starts_with(|c: char| c.is_ascii_uppercase()) { "header" } else { "query" };
    let mut parameter = json!({"name": name, "in": place, "description": description, "schema": schema});
    if name == "filter.recordIp" {
        parameter["explode"] = json!(true);
    }
    parameter
}

type Described = (Value, &'static str);

fn filter(name: &str) -> Option<Described> {
    let text = || json!({"type": "string"});
    Some(match name {
        "filter.state" => (state(), "Only objects in this state."),
        "filter.zoneName" => (text(), "Part of the name; an exact match comes first."),
        "filter.zoneId" => (json!({"type": "string", "format": "uuid"}), "Only records of this zone."),
        "filter.name" => (text(), "Whole name relative to the zone; empty: the apex."),
        "filter.type" => (record_type(), "Record type such as AAAA or TYPE65534, or ALL."),
        "filter.recordIp" => (json!({"type": "array", "maxItems": 100, "items": address()}), "Addresses."),
        _ => return None,
    })
}

fn state() -> Value {
    json!({"$ref": "#/components/schemas/State"})
}

/// A mnemonic in any case, or `TYPEnnn`.
fn record_type() -> Value {
    json!({"type": "string", "minLength": 1, "examples": ["A", "AAAA", "TYPE65534"]})
}

fn of_lists(name: &str) -> Option<Described> {
    let text = || json!({"type": "string"});
    let flag = || json!({"type": "boolean"});
    let number = |low: u64, high: u64, default: u64| json!({"type": "integer", "minimum": low, "maximum": high, "default": default});
    let time = || json!({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "integer", "minimum": 0, "maximum": u32::MAX}]});
    let status = || json!({"$ref": "#/components/schemas/StatusWord"});
    let words = |words: Vec<&str>| json!({"type": "string", "enum": words});
    Some(match name {
        "offset" => (number(0, i32::MAX as u64, 0), "First item."),
        "limit" => (number(1, 1000, 100), "Most items."),
        "limit@difference" => (number(1, 10_000, 1000), "Most lines."),
        "offset@cloud" => (json!({"type": "integer", "minimum": 0}), "First item; a multiple of the limit."),
        "limit@cloud" => {
            (json!({"type": "integer", "minimum": 1, "default": 100}), "Most items; more than 100 are 100.")
        }
        "type@cloud" | "name@cloud" | "data" => (text(), "Only what has this, whole or in part as the path says."),
        "page" => (number(1, i32::MAX as u64, 1), "Which page."),
        "page_size" => (number(1, 100, 50), "Items of a page."),
        "page_size@records" => (number(1, 10_000, 10_000), "Items of a page."),
        "search" => (text(), "Part of the name, the prefix or the address."),
        "include_secondary" => (flag(), "Transferred zones too."),
        "include_system" => (flag(), "The SOA and the apex NS too."),
        "dnssec_enabled" => (flag(), "Signed zones; none is signed here."),
        "status@domains" => (words(vec!["active", "inactive", "pending_validation", "deleted"]), "Only these."),
        "domain_type" => (words(vec!["primary", "secondary", "reverse_ipv4", "reverse_ipv6"]), "Only these."),
        "type@records" => (record_type(), "Only records of this type."),
        "name@records" => (text(), "Part of the owner's name."),
        "status" => (status(), "Only with this status."),
        "code" => (text(), "Only with this code (`Code`), in any case; several with commas."),
        "primary" => (text(), "Only of this primary, by address; with `#port`, of this port."),
        "zone" => (text(), "Part of the zone's name, or its UUID."),
        "after" => (text(), "Only zones behind this name, in the canonical order."),
        "kind" => (words(vec!["soa", "ixfr", "axfr", "transfer"]), "What was asked for."),
        "since" => (time(), "Not before: RFC 3339, or seconds since 1970."),
        "until" => (time(), "Before: RFC 3339, or seconds since 1970."),
        "type@events" => (text(), "Only these events; several with commas."),
        "zone@events" => (text(), "Only of this zone, by name or UUID; several with commas."),
        "last-event-id" | "Last-Event-ID" => (text(), "Go on behind this event."),
        _ => return None,
    })
}

fn of_commands(name: &str) -> Described {
    let flag = || json!({"type": "boolean"});
    match name {
        "dryRun" => (flag(), "Check everything and do nothing."),
        "force" => (flag(), "Take an older serial too; not with mode=refresh."),
        "mode" => (json!({"type": "string", "enum": ["axfr", "refresh"]}), "A whole transfer, or as after a NOTIFY."),
        "wait" => (
            json!({"type": "string", "pattern": "^[0-9]+[sm]?$"}),
            "Answer with the outcome, after at most this time: 30s, 2m.",
        ),
        "transfer" => (flag(), "Try the whole transfer too."),
        "ttl" => (json!({"type": "integer", "minimum": 1, "maximum": 31_536_000}), "Life of the token in seconds."),
        "fail-on" => {
            let bad: Vec<&str> = Health::ALL.iter().filter(|h| **h > Health::Loading).map(|h| h.as_str()).collect();
            (json!({"type": "string", "enum": bad, "default": "expired"}), "503 if a zone is as bad as this.")
        }
        "Idempotency-Key" => (
            json!({"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"}),
            "The same request under the same key is answered as the first one, and not done again.",
        ),
        "If-None-Match" => (json!({"type": "string"}), "304 if the tag is still this."),
        "Prefer" => {
            (json!({"type": "string"}), "`wait=N`: with If-None-Match, wait for a change up to N seconds (at most 60).")
        }
        _ => (json!({"type": "string"}), ""),
    }
}
