//! Schemas of bodies by name, for the document: the words they are made of, and what all dialects share.
//!
//! `tests/api/document.rs` holds every recorded reply against them, and refuses members that are not here.

mod ionos;
mod native;
mod rackspace;
mod reverse_zones;

use serde_json::{Map, Value, json};

use crate::reason::Code;

/// Every schema of the document.
pub(super) fn all() -> Value {
    let mut all = Map::new();
    for part in [shared(), ionos::schemas(), native::schemas(), reverse_zones::schemas(), rackspace::schemas()] {
        if let Value::Object(schemas) = part {
            all.extend(schemas);
        }
    }
    all.into()
}

fn shared() -> Value {
    json!({
        "Problem": object(&["type", "title", "status", "detail", "instance", "errors"], json!({
            "type": text(), "title": text(), "status": count(), "detail": text(), "instance": text(),
            "errors": array(message()),
        })),
        "State": words(["AVAILABLE", "PROVISIONING", "DESTROYING", "FAILED"]),
        "StatusWord": words(["PENDING", "IN_PROGRESS", "OK", "LAGGING", "ERROR"]),
        "Code": words(Code::ALL.iter().map(|code| code.as_str())),
        "Empty": object(&[], json!({})),
        "Document": {"type": "object"},
        "Object": {"type": "object"},
        "Token": object(&["token"], json!({"token": text()})),
    })
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// An object; members that are not `required` may be missing.
fn object(required: &[&str], properties: Value) -> Value {
    json!({"type": "object", "required": required, "properties": properties})
}

fn array(items: Value) -> Value {
    json!({"type": "array", "items": items})
}

fn map(values: Value) -> Value {
    json!({"type": "object", "additionalProperties": values})
}

fn words<'a>(words: impl IntoIterator<Item = &'a str>) -> Value {
    json!({"type": "string", "enum": words.into_iter().collect::<Vec<_>>()})
}

fn text() -> Value {
    json!({"type": "string"})
}

fn flag() -> Value {
    json!({"type": "boolean"})
}

fn uuid() -> Value {
    json!({"type": "string", "format": "uuid"})
}

/// A whole number, not negative.
fn count() -> Value {
    json!({"type": "integer", "minimum": 0})
}

fn serial() -> Value {
    json!({"type": "integer", "minimum": 0, "maximum": u32::MAX})
}

fn date() -> Value {
    json!({"type": "string", "format": "date-time"})
}

/// A member of a request that may be null, which is read as missing.
fn nullable(kind: &str) -> Value {
    json!({"type": [kind, "null"]})
}

fn message() -> Value {
    object(&["errorCode", "message"], json!({"errorCode": text(), "message": text()}))
}

fn links() -> Value {
    object(&["self"], json!({"self": text(), "prev": text(), "next": text()}))
}

/// A list of the IONOS shape with more members.
fn collection(items: Value, more: Value) -> Value {
    let mut list = object(
        &["id", "type", "href", "items", "offset", "limit", "_links", "totalCount"],
        json!({
            "id": uuid(), "type": {"const": "collection"}, "href": text(), "items": array(items),
            "offset": count(), "limit": count(), "totalCount": count(), "_links": links(),
        }),
    );
    if let (Some(members), Value::Object(more)) = (list["properties"].as_object_mut(), more) {
        members.extend(more);
    }
    list
}
