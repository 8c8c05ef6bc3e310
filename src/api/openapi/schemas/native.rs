//! Bodies of our own paths.

use serde_json::{Value, json};

use super::{array, collection, count, date, flag, map, object, reference, serial, text, uuid, words};
use crate::control::health::Health;

/// An ended attempt at a primary.
pub(super) fn attempt() -> Value {
    let required = [
        "primaryIp",
        "status",
        "errorCode",
        "asked",
        "phase",
        "trigger",
        "started",
        "finished",
        "count",
        "records",
        "messages",
        "bytes",
        "durationMs",
        "transport",
    ];
    object(
        &required,
        json!({
            "primaryIp": text(), "status": reference("StatusWord"), "errorCode": reference("Code"), "errorMessage": text(),
            "asked": reference("TransferKind"), "got": reference("TransferKind"),
            "phase": words(["connect", "tls", "soa", "ixfr", "axfr", "verify", "store"]),
            "trigger": words(["timer", "notify", "operator", "first", "expired"]),
            "started": date(), "finished": date(), "firstFinished": date(), "count": count(), "fromSerial": serial(),
            "toSerial": serial(), "records": count(), "messages": count(), "bytes": count(), "durationMs": count(),
            "connectUs": count(), "roundTripUs": count(), "transport": words(["udp", "tcp", "tls"]), "localAddress": text(),
            "tsigKey": text(),
            "tls": object(&["version", "verified"], json!({
                "version": text(), "verified": text(), "peerNames": array(text()), "peerNotAfter": date(),
                "ownNotAfter": date(),
            })),
            "extendedError": object(&["code"], json!({"code": count(), "text": text()})),
        }),
    )
}

pub(super) fn schemas() -> Value {
    let mut all = transfers();
    for more in [versions(), check(), explanation(), health()] {
        if let (Value::Object(all), Value::Object(more)) = (&mut all, more) {
            all.extend(more);
        }
    }
    all
}

fn transfers() -> Value {
    let zone = json!({"zoneId": uuid(), "zoneName": text()});
    let required = [
        "zoneId",
        "zoneName",
        "state",
        "primaryIp",
        "status",
        "errorCode",
        "activity",
        "since",
        "consecutiveFailures",
        "href",
    ];
    let line = object(
        &required,
        json!({
            "zoneId": uuid(), "zoneName": text(), "state": reference("State"), "primaryIp": text(),
            "status": reference("StatusWord"), "errorMessage": text(), "errorCode": reference("Code"), "serial": serial(),
            "servedSerial": serial(), "activity": reference("Activity"), "since": date(), "consecutiveFailures": count(),
            "lastAttempt": date(), "lastSuccess": date(), "nextAttempt": date(), "expires": date(), "href": text(),
        }),
    );
    json!({
        "AttemptList": collection(reference("Attempt"), zone),
        "TransferList": collection(line, json!({})),
        "TransferSummary": object(&["zones", "primaries", "byState", "byStatus", "byCode"], json!({
            "zones": count(), "primaries": count(), "byState": map(count()), "byStatus": map(count()),
            "byCode": map(count()),
        })),
    })
}

fn versions() -> Value {
    let zone = |items: Value, more: Value| {
        let mut list = object(
            &["type", "items", "zoneId", "zoneName"],
            json!({
                "type": {"const": "collection"}, "items": array(items), "zoneId": uuid(), "zoneName": text(),
                "servedSerial": serial(),
            }),
        );
        if let (Some(members), Value::Object(more)) = (list["properties"].as_object_mut(), more) {
            members.extend(more);
        }
        list
    };
    let held = object(
        &[
            "id",
            "serial",
            "errorCode",
            "errorMessage",
            "primaryIp",
            "type",
            "received",
            "deadline",
            "records",
            "deleted",
            "added",
        ],
        json!({
            "id": uuid(), "serial": serial(), "errorCode": reference("Code"), "errorMessage": text(),
            "primaryIp": text(), "type": reference("TransferKind"), "received": date(), "deadline": date(),
            "records": count(), "deleted": count(), "added": count(), "servedSerial": serial(),
        }),
    );
    let rejected = object(
        &["serial", "errorCode", "errorMessage", "by", "at"],
        json!({
            "serial": serial(), "errorCode": reference("Code"), "errorMessage": text(), "by": text(), "at": date(),
        }),
    );
    let version = object(
        &["serial", "served", "bytes"],
        json!({
            "serial": serial(), "fromSerial": serial(), "served": flag(), "published": date(),
            "how": words(["transferred", "approved", "rolled-back"]), "primaryIp": text(), "by": text(),
            "deleted": count(), "added": count(), "records": count(), "zonemd": text(), "bytes": count(),
        }),
    );
    let change = object(
        &["change", "name", "ttl", "type", "content"],
        json!({
            "change": words(["delete", "add"]), "name": text(), "ttl": serial(), "type": text(), "content": text(),
        }),
    );
    json!({
        "HeldList": zone(held, json!({"rejected": rejected})),
        "VersionList": zone(version, json!({"pinned": reference("Pinned")})),
        "Difference": object(
            &["type", "from", "to", "deleted", "added", "items", "offset", "limit", "totalCount"],
            json!({
                "type": {"const": "collection"}, "from": serial(), "to": serial(), "deleted": count(),
                "added": count(), "items": array(change), "offset": count(), "limit": count(), "totalCount": count(),
            }),
        ),
    })
}

fn check() -> Value {
    let contents = object(
        &["records", "memoryBytes", "signed", "refresh", "retry", "expire", "warnings"],
        json!({
            "records": count(), "memoryBytes": count(), "signed": flag(), "refresh": serial(), "retry": serial(),
            "expire": serial(), "warnings": array(text()),
        }),
    );
    let item = object(
        &["primaryIp", "status", "errorCode", "soa"],
        json!({
            "primaryIp": text(), "status": reference("StatusWord"), "errorCode": reference("Code"), "errorMessage": text(),
            "serial": serial(), "expireOption": serial(), "notes": array(text()), "soa": reference("Attempt"),
            "axfr": reference("Attempt"), "contents": contents, "ixfr": reference("Attempt"), "givesIxfr": flag(),
        }),
    );
    json!({
        "CheckReport": object(&["zoneName", "status", "serialsAgree", "items"], json!({
            "zoneName": text(), "servedSerial": serial(), "status": words(["OK", "PARTIAL", "ERROR"]),
            "serialsAgree": flag(), "items": array(item),
        })),
    })
}

fn explanation() -> Value {
    let fix = object(
        &["where", "text"],
        json!({
            "where": words(["here", "primary", "network"]), "text": text(), "command": text(), "configuration": text(),
        }),
    );
    let snippet = object(&["server", "file", "text"], json!({"server": text(), "file": text(), "text": text()}));
    let card = object(
        &["sourceAddresses", "notifyAddresses", "snippets"],
        json!({
            "sourceAddresses": array(text()), "notifyAddresses": array(text()), "tsigKey": text(), "algorithm": text(),
            "snippets": array(snippet),
        }),
    );
    json!({
        "Explanation": object(&["zoneName", "health", "cause", "verdict", "evidence", "fixes", "card"], json!({
            "zoneName": text(), "health": reference("Health"), "cause": text(), "verdict": text(),
            "evidence": array(text()), "fixes": array(fix), "card": card,
        })),
    })
}

fn health() -> Value {
    let failing = object(&["primary", "errorCode"], json!({"primary": text(), "errorCode": reference("Code")}));
    let zone = object(
        &["zoneId", "zoneName", "status", "href", "failing"],
        json!({
            "zoneId": uuid(), "zoneName": text(), "status": reference("Health"), "href": text(), "expires": date(),
            "expiresInSeconds": {"type": "integer"}, "lastRefresh": date(), "failing": array(failing),
        }),
    );
    let counts: serde_json::Map<_, _> =
        Health::ALL.iter().map(|health| (health.as_str().to_owned(), count())).collect();
    json!({
        "ZonesHealth": object(&["status", "zones", "counts"], json!({
            "status": reference("Health"), "zones": count(), "counts": object(&[], counts.into()), "items": array(zone),
            "storage": object(&["errorCode", "errorMessage"], json!({"errorCode": reference("Code"), "errorMessage": text()})),
        })),
    })
}
