//! `/openapi.json`: one table makes the router and the document; here the document is held against the router from outside.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::daemon::{ADMIN, Daemon};

const SOME_ID: &str = "e74d0d15-f567-4b7b-9069-26ee1f93bae3";

fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str));
            members.values().for_each(|member| references(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn every_documented_operation_is_there_and_takes_no_other_method() {
    let daemon = Daemon::start();
    let reply = daemon.send("GET", "/openapi.json", &[], "");
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")));
    let document = reply.json();
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().expect("paths") {
        let target = path.split('/').map(|part| match part {
            // Another tenant's would be 401 before anything else.
            "{account}" => "1000",
            part if part.starts_with('{') => SOME_ID,
            part => part,
        });
        let target = target.collect::<Vec<_>>().join("/");
        let operations = operations.as_object().expect("operations");
        for (method, operation) in operations {
            assert!(ids.insert(operation["operationId"].as_str().expect("an id")), "{method} {path}");
            let named = operation["parameters"].as_array().expect("parameters");
            let in_path = named.iter().filter(|parameter| parameter["in"] == "path").count();
            assert_eq!(in_path, path.matches('{').count(), "{method} {path}");
            let reply = daemon.send(&method.to_uppercase(), &target, &[ADMIN], "");
            let is_there = !reply.body.contains("dns-path-not-found") && !reply.body.contains("There is nothing at");
            assert!(reply.status != 405 && is_there, "{method} {path}: {reply:?}");
            let documented = &operation["responses"];
            assert!(documented[reply.status.to_string()].is_object() || documented["default"].is_object());
        }
        for method in ["get", "post", "put", "delete", "patch"] {
            if !operations.contains_key(method) {
                assert_eq!(daemon.send(&method.to_uppercase(), &target, &[ADMIN], "").status, 405, "{method} {path}");
            }
        }
    }
    assert!(ids.len() > 30, "{ids:?}");
    let mut named = BTreeSet::new();
    references(&document, &mut named);
    for reference in named {
        let pointer = reference.strip_prefix('#').expect("within the document");
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}
