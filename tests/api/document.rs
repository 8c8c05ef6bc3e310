//! `/openapi.json` as the judge of every reply: [`Daemon::send`](crate::daemon::Daemon::send) holds each one against it.
//!
//! Status, content type and body must be documented. Stricter than OpenAPI: a member that the schema does not name is
//! wrong, so that the document tells all there is.

use std::net::SocketAddr;
use std::sync::OnceLock;

use serde_json::{Map, Value};

use crate::client::{self, Reply};

/// Panics if the document does not foresee `reply`. Requests for what it does not know are none of its business.
pub(crate) fn judge(api: SocketAddr, method: &str, target: &str, reply: &Reply) {
    static DOCUMENT: OnceLock<Document> = OnceLock::new();
    let document = DOCUMENT.get_or_init(|| Document(client::send(api, "GET", "/openapi.json", &[], b"").json()));
    if let Err(why) = document.foresees(method, target, reply) {
        panic!("{method} {target} is answered in a way that /openapi.json does not foresee: {why}\n{reply:?}");
    }
}

struct Document(Value);

impl Document {
    fn foresees(&self, method: &str, target: &str, reply: &Reply) -> Result<(), String> {
        let Some(operation) = self.operation(method, target) else { return Ok(()) };
        let status = reply.status.to_string();
        let response = operation["responses"].get(&status).ok_or_else(|| format!("status {status}"))?;
        let contents = self.resolve(response).get("content");
        let field = reply.header("content-type").unwrap_or_default();
        let essence = field.split(';').next().unwrap_or_default();
        let Some(content) = contents.and_then(|contents| contents.get(essence)) else {
            let is_empty = contents.is_none() && reply.body.is_empty();
            return if is_empty { Ok(()) } else { Err(format!("content type {field:?}")) };
        };
        if essence == "application/json" || essence == "application/problem+json" {
            let body: Value = serde_json::from_str(&reply.body).map_err(|error| error.to_string())?;
            self.fits(&content["schema"], &body, "body")?;
        }
        Ok(())
    }

    /// The operation whose path has the most literal segments in common with the target.
    fn operation(&self, method: &str, target: &str) -> Option<&Value> {
        let path = target.split('?').next()?;
        let path = if path.starts_with("/api/v1/") { path.trim_end_matches('/') } else { path };
        let asked: Vec<&str> = path.split('/').collect();
        let literals = |template: &str| {
            let segments: Vec<&str> = template.split('/').collect();
            let fits = segments.len() == asked.len()
                && segments.iter().zip(&asked).all(|(segment, asked)| segment.starts_with('{') || segment == asked);
            fits.then(|| segments.iter().filter(|segment| !segment.starts_with('{')).count())
        };
        let paths = self.0["paths"].as_object()?;
        let found = paths.iter().filter_map(|(template, operations)| Some((literals(template)?, operations)));
        found.max_by_key(|(count, _)| *count)?.1.get(method.to_ascii_lowercase())
    }

    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str().and_then(|reference| self.0.pointer(reference.trim_start_matches('#'))) {
            Some(found) => self.resolve(found),
            None => value,
        }
    }

    /// The words of JSON Schema that the document uses.
    fn fits(&self, schema: &Value, value: &Value, place: &str) -> Result<(), String> {
        let schema = self.resolve(schema);
        if let Some(ways) = schema["anyOf"].as_array() {
            let wrong: Vec<String> = ways.iter().filter_map(|way| self.fits(way, value, place).err()).collect();
            return if wrong.len() < ways.len() { Ok(()) } else { Err(wrong.join("; ")) };
        }
        let wrong = |what: &str| Err(format!("{place}: {what}: {value}"));
        if schema.get("const").is_some_and(|constant| constant != value) {
            return wrong("is not the constant");
        }
        if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
            return wrong("is none of the words");
        }
        if !is_of_type(&schema["type"], value) {
            return wrong("is of another type");
        }
        let number = |bound: &str| schema[bound].as_f64();
        if let Some(given) = value.as_f64()
            && (number("minimum").is_some_and(|low| given < low) || number("maximum").is_some_and(|high| given > high))
        {
            return wrong("is out of bounds");
        }
        if schema["format"] == "uuid" && value.as_str().is_some_and(|text| text.len() != 36) {
            return wrong("is no UUID");
        }
        match value {
            Value::Array(items) if schema.get("items").is_some() => {
                let mut items = items.iter().enumerate();
                items.try_for_each(|(index, item)| self.fits(&schema["items"], item, &format!("{place}[{index}]")))
            }
            Value::Object(members) => self.members_fit(schema, members, place),
            _ => Ok(()),
        }
    }

    fn members_fit(&self, schema: &Value, members: &Map<String, Value>, place: &str) -> Result<(), String> {
        let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        if let Some(missing) = required.into_iter().find(|name| !members.contains_key(*name)) {
            return Err(format!("{place}.{missing} is missing"));
        }
        let (known, others) = (schema["properties"].as_object(), schema.get("additionalProperties"));
        members.iter().try_for_each(|(name, member)| {
            let place = format!("{place}.{name}");
            match (known.and_then(|known| known.get(name)), others) {
                (Some(schema), _) | (None, Some(schema)) => self.fits(schema, member, &place),
                (None, None) if known.is_some() => Err(format!("{place} is not documented")),
                (None, None) => Ok(()),
            }
        })
    }
}

fn is_of_type(wanted: &Value, value: &Value) -> bool {
    let is = |kind: &str| match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        // Whole numbers beyond 64 bits are read as floating-point ones.
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        other => panic!("the document has a type {other:?}"),
    };
    match wanted {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).any(is),
        Value::String(kind) => is(kind),
        _ => true,
    }
}
