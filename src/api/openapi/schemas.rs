//! Schemas of bodies and parameters by name, for the document.

use serde_json::{Value, json};

/// A query parameter.
pub fn parameter(name: &str) -> Value {
    let (schema, description) = match name {
        "offset" => (json!({"type": "integer", "minimum": 0, "maximum": i32::MAX, "default": 0}), "First item."),
        "limit" => (json!({"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}), "Most items."),
        "filter.state" => (reference("State"), "Only objects in this state."),
        "filter.zoneName" => (json!({"type": "string"}), "Part of the name; an exact match comes first."),
        "filter.zoneId" => (json!({"type": "string", "format": "uuid"}), "Only records of this zone."),
        "filter.name" => (json!({"type": "string"}), "Whole name relative to the zone; empty: the apex."),
        "filter.type" => (json!({"type": "string"}), "Record type, or ALL."),
        "filter.recordIp" => (json!({"type": "array", "maxItems": 100, "items": {"type": "string"}}), "Addresses."),
        "dryRun" => (json!({"type": "boolean"}), "Check everything and do nothing."),
        "force" => (json!({"type": "boolean"}), "Take an older serial too."),
        "mode" => (json!({"type": "string", "enum": ["axfr", "refresh"]}), "A whole transfer, or as after a NOTIFY."),
        "ttl" => (json!({"type": "integer", "minimum": 1, "maximum": 31_536_000}), "Life of the token in seconds."),
        _ => (json!({"type": "string"}), ""),
    };
    let explode = matches!(name, "filter.recordIp").then_some(true);
    let mut parameter = json!({"name": name, "in": "query", "description": description, "schema": schema});
    if let Some(explode) = explode {
        parameter["explode"] = json!(explode);
    }
    parameter
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn object(required: &[&str], properties: Value) -> Value {
    json!({"type": "object", "required": required, "properties": properties})
}

fn text() -> Value {
    json!({"type": "string"})
}

fn uuid() -> Value {
    json!({"type": "string", "format": "uuid"})
}

fn count() -> Value {
    json!({"type": "integer", "minimum": 0})
}

fn date() -> Value {
    json!({"type": "string", "format": "date-time"})
}

/// A list of `item`.
fn list(item: &str) -> Value {
    object(
        &["id", "type", "href", "items", "offset", "limit", "_links", "totalCount"],
        json!({
            "id": uuid(), "type": {"const": "collection"}, "href": text(),
            "items": {"type": "array", "items": reference(item)},
            "offset": count(), "limit": count(), "totalCount": count(),
            "_links": object(&["self"], json!({"self": text(), "prev": text(), "next": text()})),
            "omitted": {"type": "object", "additionalProperties": count()},
        }),
    )
}

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

fn request(properties: Value) -> Value {
    object(&["properties"], json!({ "properties": properties }))
}

/// Every schema of the document.
pub fn all() -> Value {
    let mut all = common();
    if let (Some(all), Value::Object(more)) = (all.as_object_mut(), rackspace()) {
        all.extend(more);
    }
    all
}

/// Those of the IONOS dialect, and what all share.
fn common() -> Value {
    let authors = json!({
        "createdDate": date(), "createdBy": text(), "createdByUserId": uuid(), "lastModifiedDate": date(),
        "lastModifiedBy": text(), "lastModifiedByUserId": uuid(), "resourceURN": text(),
    });
    let mut zone_metadata = authors.clone();
    zone_metadata["state"] = reference("State");
    zone_metadata["nameservers"] = json!({"type": "array", "items": text()});
    zone_metadata["configuredIn"] = text();
    let numbers = json!({"records": count(), "reverseRecords": count(), "secondaryZones": count(), "zones": count()});
    let number_names = ["records", "reverseRecords", "secondaryZones", "zones"];
    let priority = json!({"type": "integer", "minimum": 0, "maximum": 65_535});
    let ttl = json!({"type": "integer", "minimum": 60, "maximum": 604_800});
    json!({
        "State": {"type": "string", "enum": ["AVAILABLE", "PROVISIONING", "DESTROYING", "FAILED"]},
        "Empty": {"type": "object"},
        "Object": {"type": ["object", "null"]},
        "Detail": object(&["detail"], json!({"detail": {"type": ["string", "object", "array"]}})),
        "Error": object(&["httpStatus", "messages"], json!({
            "httpStatus": count(),
            "messages": {"type": "array", "minItems": 1,
                "items": object(&["errorCode", "message"], json!({"errorCode": text(), "message": text()}))},
        })),
        "Authors": object(&["createdDate", "lastModifiedDate"], authors),
        "ZoneMetadata": object(&["createdDate", "lastModifiedDate", "state", "nameservers"], zone_metadata),
        "ZoneProperties": object(&["zoneName", "description", "enabled"],
            json!({"zoneName": text(), "description": text(), "enabled": {"type": "boolean"}})),
        "Zone": resource("zone", "ZoneMetadata", "ZoneProperties"),
        "ZoneList": list("Zone"),
        "ZoneRequest": request(object(&["zoneName"],
            json!({"zoneName": text(), "description": {"type": "string", "maxLength": 1000}, "enabled": {"type": "boolean"}}))),
        "SecondaryZoneProperties": object(&["zoneName", "description", "primaryIps"], json!({
            "zoneName": text(), "description": text(), "primaryIps": {"type": "array", "items": text()},
            "primaries": {"type": "array", "items": {"type": "object"}},
        })),
        "SecondaryZone": resource("zone", "ZoneMetadata", "SecondaryZoneProperties"),
        "SecondaryZoneList": list("SecondaryZone"),
        "SecondaryZoneRequest": request(object(&["zoneName"], json!({
            "zoneName": text(), "description": {"type": "string", "maxLength": 1000},
            "primaryIps": {"type": "array", "minItems": 1, "maxItems": 10, "items": text()},
            "primaries": {"type": "array", "minItems": 1, "maxItems": 10, "items": {"type": "object"}},
        }))),
        "TransferStatus": object(&["type", "items"], json!({
            "type": {"const": "collection"},
            "items": {"type": "array", "items": object(&["primaryIp", "status"], json!({
                "primaryIp": text(), "errorMessage": text(), "errorCode": text(),
                "status": {"type": "string", "enum": ["PENDING", "IN_PROGRESS", "OK", "LAGGING", "ERROR"]},
            }))},
        })),
        "TransferredRecords": object(&["id", "type", "href", "items", "offset", "limit", "_links"], json!({
            "id": uuid(), "type": {"const": "collection"}, "href": text(), "items": {"type": "array"},
        })),
        "RecordMetadata": object(&["createdDate", "lastModifiedDate", "fqdn", "state", "zoneId"], json!({
            "createdDate": date(), "lastModifiedDate": date(), "fqdn": text(), "state": reference("State"),
            "zoneId": uuid(), "ttl": count(),
        })),
        "RecordProperties": object(&["content", "enabled", "name", "priority", "ttl", "type"], json!({
            "content": text(), "enabled": {"type": "boolean"}, "name": text(), "priority": priority, "ttl": ttl,
            "type": text(),
        })),
        "Record": resource("record", "RecordMetadata", "RecordProperties"),
        "RecordList": list("Record"),
        "RecordRequest": request(object(&["name", "type", "content"], json!({
            "name": text(), "type": text(), "content": text(), "ttl": ttl, "priority": priority,
            "enabled": {"type": "boolean"},
        }))),
        "ReverseRecordProperties": object(&["name", "description", "ip"],
            json!({"name": text(), "description": text(), "ip": text()})),
        "ReverseRecord": resource("reverserecord", "Authors", "ReverseRecordProperties"),
        "ReverseRecordList": list("ReverseRecord"),
        "ReverseRecordRequest": request(object(&["name", "ip"],
            json!({"name": text(), "ip": text(), "description": {"type": "string", "maxLength": 1000}}))),
        "Quota": object(&["quotaLimits", "quotaUsage"],
            json!({"quotaLimits": object(&number_names, numbers.clone()), "quotaUsage": object(&number_names, numbers)})),
        "Token": object(&["token"], json!({"token": text()})),
    })
}

/// Those of the Rackspace dialect.
fn rackspace() -> Value {
    json!({
        "RackspaceFault": object(&["message", "code", "details"],
            json!({"message": text(), "code": count(), "details": text(), "validationErrors": {"type": "object"}})),
        "RackspaceJob": object(&["status", "jobId", "callbackUrl"], json!({
            "request": text(), "status": {"type": "string", "enum": ["RUNNING", "COMPLETED", "ERROR"]},
            "response": {"type": "object"}, "error": {"type": "object"}, "verb": text(), "jobId": uuid(),
            "callbackUrl": text(), "requestUrl": text(),
        })),
        "RackspaceRecord": object(&["name", "id", "type", "data", "updated", "ttl", "created"], json!({
            "name": text(), "priority": {"type": "integer", "minimum": 0, "maximum": 65_535}, "id": text(), "type": text(), "comment": text(), "data": text(),
            "updated": text(), "ttl": count(), "created": text(), "enabled": {"type": "boolean"},
        })),
        "RackspaceRecordList": object(&["totalEntries", "records"], json!({
            "totalEntries": count(), "records": {"type": "array", "items": reference("RackspaceRecord")},
            "links": {"type": "array"},
        })),
        "RackspaceDomain": object(&["id", "accountId", "name", "updated", "created", "ttl", "emailAddress"], json!({
            "id": text(), "accountId": text(), "name": text(), "comment": text(), "updated": text(), "created": text(),
            "ttl": count(), "emailAddress": text(), "nameservers": {"type": "array"},
            "recordsList": reference("RackspaceRecordList"), "subdomains": {"type": "object"},
            "kind": {"const": "secondary"}, "transferState": reference("State"),
        })),
        "RackspaceDomainList": object(&["totalEntries", "domains"], json!({
            "totalEntries": count(), "domains": {"type": "array", "items": reference("RackspaceDomain")},
            "links": {"type": "array"},
        })),
    })
}
