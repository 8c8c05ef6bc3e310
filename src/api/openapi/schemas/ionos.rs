//! Bodies of the IONOS dialect.

use serde_json::{Value, json};

use super::native::attempt;
use super::{
    array, collection, count, date, flag, map, message, nullable, object, reference, serial, text, uuid, words,
};
use crate::control::health::Health;
use crate::refresh::FindingCode;

/// An object of the dialect.
fn resource(kind: &str, metadata: &str, properties: &str) -> Value {
    object(
        &["id", "type", "href", "metadata", "properties"],
        json!({
            "id": uuid(), "type": {"const": kind}, "href": text(),
            "metadata": reference(metadata), "properties": reference(properties),
        }),
    )
}

/// A body of POST and PUT; other members are not read.
fn request(required: &[&str], properties: Value) -> Value {
    object(&["properties"], json!({"properties": object(required, properties)}))
}

fn description() -> Value {
    json!({"type": ["string", "null"], "maxLength": 1000})
}

pub(super) fn schemas() -> Value {
    let mut all = zones();
    for more in [records(), transfer_status()] {
        if let (Value::Object(all), Value::Object(more)) = (&mut all, more) {
            all.extend(more);
        }
    }
    all
}

fn zones() -> Value {
    let authors = json!({
        "createdDate": date(), "createdBy": text(), "createdByUserId": uuid(), "lastModifiedDate": date(),
        "lastModifiedBy": text(), "lastModifiedByUserId": uuid(), "resourceURN": text(),
    });
    let author_names = [
        "createdDate",
        "createdBy",
        "createdByUserId",
        "lastModifiedDate",
        "lastModifiedBy",
        "lastModifiedByUserId",
        "resourceURN",
    ];
    let mut zone_metadata = authors.clone();
    zone_metadata["state"] = reference("State");
    zone_metadata["nameservers"] = array(text());
    zone_metadata["configuredIn"] = text();
    let numbers = json!({"records": count(), "reverseRecords": count(), "secondaryZones": count(), "zones": count()});
    let number_names = ["records", "reverseRecords", "secondaryZones", "zones"];
    let entry = json!({
        "ip": text(), "port": {"type": ["integer", "null"], "minimum": 1, "maximum": u16::MAX},
        "tsigKey": nullable("string"), "transport": {"enum": ["tcp", "tls", null]},
    });
    let addresses =
        json!({"type": ["array", "null"], "minItems": 1, "maxItems": 10, "uniqueItems": true, "items": text()});
    let entries =
        json!({"type": ["array", "null"], "minItems": 1, "maxItems": 10, "items": object(&["ip"], entry.clone())});
    let secondary = |name: Value| json!({"zoneName": name, "description": description(), "primaryIps": addresses, "primaries": entries});
    json!({
        "Error": object(&["httpStatus", "messages"], json!({
            "httpStatus": count(), "messages": {"type": "array", "minItems": 1, "items": message()},
        })),
        "Authors": object(&author_names, authors),
        "ZoneMetadata": object(&[&author_names[..], &["state", "nameservers"]].concat(), zone_metadata),
        "ZoneProperties": object(&["zoneName", "description", "enabled"],
            json!({"zoneName": text(), "description": text(), "enabled": flag()})),
        "Zone": resource("zone", "ZoneMetadata", "ZoneProperties"),
        "ZoneList": collection(reference("Zone"), json!({})),
        "ZoneRequest": request(&["zoneName"], json!({
            "zoneName": text(), "description": description(), "enabled": nullable("boolean"),
        })),
        "ZoneReplace": request(&[], json!({
            "zoneName": nullable("string"), "description": description(), "enabled": nullable("boolean"),
        })),
        "SecondaryZoneProperties": object(&["zoneName", "description", "primaryIps"], json!({
            "zoneName": text(), "description": text(), "primaryIps": array(text()),
            "primaries": array(object(&["ip", "port", "transport"], entry)),
        })),
        "SecondaryZone": resource("zone", "ZoneMetadata", "SecondaryZoneProperties"),
        "SecondaryZoneList": collection(reference("SecondaryZone"), json!({})),
        "SecondaryZoneRequest": request(&["zoneName"], secondary(text())),
        "SecondaryZoneReplace": request(&[], secondary(nullable("string"))),
        "Quota": object(&["quotaLimits", "quotaUsage"],
            json!({"quotaLimits": object(&number_names, numbers.clone()), "quotaUsage": object(&number_names, numbers)})),
    })
}

fn records() -> Value {
    let priority = json!({"type": "integer", "minimum": 0, "maximum": u16::MAX});
    let ttl = json!({"type": "integer", "minimum": 60, "maximum": 604_800});
    let properties = json!({
        "content": text(), "enabled": flag(), "name": text(), "priority": priority, "ttl": ttl, "type": text(),
    });
    let property_names = ["content", "enabled", "name", "priority", "ttl", "type"];
    let transferred = object(
        &["type", "metadata", "properties", "id"],
        json!({
            "type": {"const": "record"}, "properties": reference("RecordProperties"), "id": uuid(),
            "metadata": object(&["fqdn", "zoneId", "rootName"],
                json!({"fqdn": text(), "zoneId": uuid(), "rootName": text(), "ttl": serial()})),
        }),
    );
    let omitted = || map(count());
    json!({
        "TransferredRecords": collection(transferred, json!({
            "omitted": omitted(), "metadata": object(&["primaryIps"], json!({"primaryIps": array(text())})),
        })),
        "RecordMetadata": object(&["createdDate", "lastModifiedDate", "fqdn", "state", "zoneId"], json!({
            "createdDate": date(), "lastModifiedDate": date(), "fqdn": text(), "state": reference("State"),
            "zoneId": uuid(), "ttl": serial(),
        })),
        "RecordProperties": object(&property_names, properties),
        "Record": resource("record", "RecordMetadata", "RecordProperties"),
        "RecordList": collection(reference("Record"), json!({"omitted": omitted()})),
        "RecordRequest": request(&["name", "type", "content"], json!({
            "name": text(), "type": text(), "content": text(), "enabled": nullable("boolean"),
            "ttl": {"type": ["integer", "null"], "minimum": 60, "maximum": 604_800},
            "priority": nullable("integer"),
        })),
        "ReverseRecordProperties": object(&["name", "description", "ip"],
            json!({"name": text(), "description": text(), "ip": text()})),
        "ReverseRecord": resource("reverserecord", "Authors", "ReverseRecordProperties"),
        "ReverseRecordList": collection(reference("ReverseRecord"), json!({})),
        "ReverseRecordRequest": request(&["name", "ip"],
            json!({"name": text(), "ip": text(), "description": description()})),
    })
}

fn transfer_status() -> Value {
    let health = words(Health::ALL.iter().map(|health| health.as_str()));
    let finding = object(
        &["code", "since", "evidence"],
        json!({
            "code": words(FindingCode::ALL.iter().map(|code| code.as_str())), "primaryIp": text(), "since": date(),
            "evidence": text(),
        }),
    );
    let outcome = object(
        &["status", "errorCode", "changed"],
        json!({
            "status": reference("StatusWord"), "errorCode": reference("Code"), "errorMessage": text(), "changed": flag(),
        }),
    );
    json!({
        "Health": health,
        "TransferKind": words(["SOA", "IXFR", "AXFR"]),
        "Activity": words(["idle", "queued", "soa", "ixfr", "axfr"]),
        "TransferStatus": object(&["type", "items", "zoneId", "zoneName", "state", "generation", "health"], json!({
            "type": {"const": "collection"}, "items": array(reference("PrimaryStatus")), "zoneId": uuid(),
            "zoneName": text(), "state": reference("State"), "servedSerial": serial(), "lastRefresh": date(),
            "nextRefresh": date(), "expires": date(), "activePrimary": text(), "generation": count(),
            "offeredSerial": serial(), "storedSerial": serial(),
            "held": object(&["id", "serial", "errorCode", "deadline"],
                json!({"id": uuid(), "serial": serial(), "errorCode": reference("Code"), "deadline": date()})),
            "pinned": reference("Pinned"), "signaturesExpire": date(), "warnings": array(text()),
            "findings": array(finding), "health": reference("Health"),
            "refusedNotify": object(&["from", "time", "why", "count"],
                json!({"from": text(), "time": date(), "why": words(["source", "unsigned", "key"]), "count": count()})),
            "catalog": object(&["members", "leftOut"], json!({"members": count(), "leftOut": count()})),
            "outcome": outcome,
        })),
        "PrimaryStatus": primary_status(),
        "Pinned": object(&["serial", "left", "by", "at"],
            json!({"serial": serial(), "left": serial(), "by": text(), "at": date()})),
        "Attempt": attempt(),
    })
}

fn primary_status() -> Value {
    let required = ["primaryIp", "status", "port", "transport", "consecutiveFailures", "activity", "since"];
    let last_transfer = object(
        &["type", "toSerial", "records", "messages", "bytes", "durationMs", "finished", "asked"],
        json!({
            "type": reference("TransferKind"), "fromSerial": serial(), "toSerial": serial(), "records": count(),
            "messages": count(), "bytes": count(), "durationMs": count(), "finished": date(),
            "asked": reference("TransferKind"),
        }),
    );
    object(
        &required,
        json!({
            "primaryIp": text(), "status": reference("StatusWord"), "errorMessage": {"type": "string", "minLength": 1},
            "errorCode": reference("Code"), "serial": serial(), "port": {"type": "integer", "minimum": 1, "maximum": u16::MAX},
            "transport": words(["tcp", "tls"]), "tsigKey": text(), "lastAttempt": date(), "lastSuccess": date(),
            "nextAttempt": date(), "consecutiveFailures": count(),
            "lastError": object(&["code", "message", "time"],
                json!({"code": reference("Code"), "message": text(), "time": date()})),
            "lastTransfer": last_transfer, "lastNotify": date(), "lastNotifySerial": serial(),
            "activity": reference("Activity"), "since": date(),
            "nextAttemptWhy": words(["refresh", "retry", "first", "notify", "sibling", "unreachable"]),
            "notes": array(text()), "behindSince": date(), "firstFailure": date(),
            "tls": object(&["version", "verified", "names"], json!({
                "version": text(), "verified": text(), "names": array(text()), "expires": date(), "ownExpires": date(),
            })),
            "attempt": reference("Attempt"),
        }),
    )
}
