//! Bodies of the reverse-zones dialect.

use serde_json::{Value, json};

use super::{array, count, date, flag, nullable, object, reference, serial, text, words};
use crate::api::openapi::parameters::{address, base32_or_uuid};

fn ttl() -> Value {
    json!({"type": "integer", "minimum": 0, "maximum": i32::MAX})
}

/// A TTL in a request, where null is no TTL.
fn given_ttl() -> Value {
    json!({"type": ["integer", "null"], "minimum": 0, "maximum": i32::MAX})
}

fn id(kind: char) -> Value {
    json!({"type": "string", "pattern": format!("^{kind}_[a-z2-7]{{26}}$")})
}

fn page(items: Value) -> Value {
    object(
        &["data", "total", "page", "page_size", "total_pages"],
        json!({
            "data": array(items), "total": count(), "page": count(), "page_size": count(), "total_pages": count(),
        }),
    )
}

fn description() -> Value {
    json!({"type": ["string", "null"], "maxLength": 1000})
}

pub(super) fn schemas() -> Value {
    let mut all = domains();
    for more in [ptrs(), records(), bulk()] {
        if let (Value::Object(all), Value::Object(more)) = (&mut all, more) {
            all.extend(more);
        }
    }
    all
}

fn domains() -> Value {
    let kinds = || words(["primary", "secondary", "reverse_ipv4", "reverse_ipv6"]);
    let domain = json!({
        "id": id('d'), "name": text(), "domain_type": kinds(),
        "status": words(["active", "inactive", "pending_validation"]), "default_ttl": ttl(), "description": text(),
        "dnssec_enabled": {"const": false}, "created_at": date(), "updated_at": date(), "cidr": text(),
    });
    let names = [
        "id",
        "name",
        "domain_type",
        "status",
        "default_ttl",
        "description",
        "dnssec_enabled",
        "created_at",
        "updated_at",
    ];
    let mut detail = domain.clone();
    let soa = object(
        &["mname", "rname", "serial", "refresh", "retry", "expire", "minimum"],
        json!({
            "mname": text(), "rname": text(), "serial": serial(), "refresh": serial(), "retry": serial(),
            "expire": serial(), "minimum": serial(),
        }),
    );
    detail["settings"] = object(&[], json!({"primaries": array(text()), "transfer_state": reference("State")}));
    detail["tenant_id"] = text();
    detail["nameservers"] = array(text());
    detail["soa"] = json!({"anyOf": [soa, {"type": "null"}]});
    detail["record_count"] = count();
    let detail_names = [&names[..], &["settings", "tenant_id", "nameservers", "soa", "record_count"]].concat();
    let settings = json!({"type": ["object", "null"], "properties": {"primaries": array(text())}});
    let wrong = object(
        &["loc", "msg", "type"],
        json!({
            "loc": array(json!({"type": ["string", "integer"]})), "msg": text(), "type": text(),
        }),
    );
    let conflict = object(
        &["message", "field", "conflicts"],
        json!({
            "message": text(), "field": text(), "conflicts": array(id('r')),
        }),
    );
    json!({
        "Detail": object(&["detail"], json!({"detail": {"anyOf": [text(), conflict, array(wrong)]}})),
        "Domain": object(&names, domain),
        "DomainDetail": object(&detail_names, detail),
        "DomainPage": page(reference("Domain")),
        "DomainRequest": {
            "type": "object",
            "required": ["domain_type"],
            "properties": {
                "name": nullable("string"), "domain_type": kinds(), "default_ttl": given_ttl(),
                "description": description(), "cidr": nullable("string"), "settings": settings,
            },
        },
        "DomainChange": {
            "type": "object",
            "properties": {"description": description(), "default_ttl": given_ttl(), "settings": settings},
            "additionalProperties": false,
        },
        "ReverseZoneRequest": object(&["cidr"], json!({
            "cidr": text(), "default_ttl": given_ttl(), "description": description(),
            "delegate_parent": nullable("boolean"),
        })),
        "PreviewRequest": object(&["cidr"], json!({"cidr": text()})),
        "Preview": object(&["zone_name", "start_ip", "end_ip", "ip_count", "domain_type"], json!({
            "zone_name": text(), "start_ip": address(), "end_ip": address(),
            "ip_count": {"type": "integer", "minimum": 1}, "domain_type": words(["reverse_ipv4", "reverse_ipv6"]),
            "exists": flag(),
        })),
        "Export": object(&["domain_id", "domain_name", "format", "zone_file"], json!({
            "domain_id": id('d'), "domain_name": text(), "format": {"const": "bind"}, "zone_file": text(),
        })),
        "Null": {"type": "null"},
    })
}

fn ptrs() -> Value {
    json!({
        "Ptr": object(&["id", "ip", "hostname", "ttl", "domain_id"], json!({
            "id": id('r'), "ip": address(), "hostname": text(), "ttl": serial(), "domain_id": id('d'),
        })),
        "PtrPage": page(reference("Ptr")),
        "PtrRequest": object(&["ip", "hostname"],
            json!({"ip": text(), "hostname": text(), "ttl": given_ttl()})),
        "PtrChange": {
            "type": "object",
            "properties": {"hostname": nullable("string"), "ttl": given_ttl()},
            "additionalProperties": false,
        },
        "Lookup": object(&["ip", "hostname", "zone_id", "zone_name"], json!({
            "ip": address(), "hostname": text(), "zone_id": id('d'), "zone_name": text(), "hostnames": array(text()),
        })),
    })
}

fn records() -> Value {
    json!({
        "ZoneRecord": object(&["id", "name", "display_name", "type", "content", "ttl", "disabled", "domain_id"], json!({
            "id": id('r'), "name": text(), "display_name": text(), "type": text(), "content": text(), "ttl": serial(),
            "disabled": flag(), "domain_id": id('d'), "created_at": date(),
        })),
        "ZoneRecordList": object(&["data", "total", "domain_id", "domain_name"], json!({
            "data": array(reference("ZoneRecord")), "total": count(), "domain_id": id('d'), "domain_name": text(),
        })),
        "ZoneRecordRequest": object(&["name", "type", "content"], json!({
            "name": text(), "type": text(), "content": text(), "ttl": given_ttl(), "disabled": nullable("boolean"),
        })),
        "ZoneRecordChange": {
            "type": "object",
            "properties": {"content": nullable("string"), "ttl": given_ttl(), "disabled": nullable("boolean")},
            "additionalProperties": false,
        },
    })
}

/// Requests and replies for many at once. A reply with status 400 or 409 has the same shape if the items are at fault, and
/// else that of every refusal.
fn bulk() -> Value {
    // More than 1000 are 413, which is no question of shape.
    let many = |item: &str| json!({"type": "array", "minItems": 1, "items": reference(item)});
    let request =
        |item: &str| object(&["records"], json!({"records": many(item), "continue_on_error": nullable("boolean")}));
    let outcome = |item: &str, error: Value| {
        object(
            &["created", "errors", "total_created", "total_errors"],
            json!({
                "created": array(reference(item)), "errors": array(error), "total_created": count(), "total_errors": count(),
            }),
        )
    };
    let codes = || words(["exists", "outside", "invalid", "duplicate"]);
    let ptr_error = object(
        &["index", "ip", "hostname", "code", "message"],
        json!({
            "index": count(), "ip": text(), "hostname": text(), "code": codes(), "message": text(),
        }),
    );
    let record_error = object(
        &["index", "name", "type", "code", "message"],
        json!({
            "index": count(), "name": text(), "type": text(), "code": codes(), "message": text(),
        }),
    );
    let delete_error = object(
        &["index", "id", "code", "message"],
        json!({
            "index": count(), "id": {}, "code": codes(), "message": text(),
        }),
    );
    let refused = |outcome: &str| json!({"anyOf": [reference(outcome), reference("Detail")]});
    json!({
        "PtrBulkRequest": request("PtrRequest"),
        "PtrBulk": outcome("Ptr", ptr_error),
        "PtrBulkRefused": refused("PtrBulk"),
        "RecordBulkRequest": request("ZoneRecordRequest"),
        "RecordBulk": outcome("ZoneRecord", record_error),
        "RecordBulkRefused": refused("RecordBulk"),
        "BulkDeleteRequest": object(&["record_ids"], json!({
            "record_ids": {"type": "array", "minItems": 1, "items": base32_or_uuid('r')},
            "continue_on_error": nullable("boolean"),
        })),
        "BulkDelete": object(&["deleted", "errors", "total_deleted", "total_errors"], json!({
            "deleted": array(id('r')), "errors": array(delete_error), "total_deleted": count(), "total_errors": count(),
        })),
    })
}
