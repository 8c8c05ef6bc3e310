//! `/openapi.json`: one table makes the router and the document; here the document is held against the router from outside.
//! What replies look like is held against it in [`document`](crate::document).

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

/// `METHOD path` of every route, out of the way axum shows a router to developers:
/// `RouteId(1): MethodRouter(MethodRouter { get: Route, head: None, ...` and `RouteId(1): "/path"`.
fn routes(shown: &str) -> BTreeSet<String> {
    // What stands behind is asked where no path fits.
    let (shown, _) = shown.split_once("fallback_router: ").expect("a router has a fallback");
    let parts = || shown.split("RouteId(").filter_map(|part| part.split_once("): "));
    let mut found = BTreeSet::new();
    for (id, router) in parts().filter(|(_, rest)| rest.starts_with("MethodRouter")) {
        let is_path = |(other, rest): &(&str, &str)| *other == id && rest.starts_with('"');
        let path = parts().find(is_path).and_then(|(_, rest)| rest[1..].split_once('"')).expect("a route has a path").0;
        let takes = |method: &&str| !router.contains(&format!("{method}: None"));
        // axum answers HEAD where there is GET.
        let methods: Vec<&str> = ["get", "post", "put", "patch", "delete"].into_iter().filter(takes).collect();
        assert!(!methods.is_empty(), "{path} takes other methods: {router}");
        found.extend(methods.iter().map(|method| format!("{} {path}", method.to_uppercase())));
    }
    found
}

#[test]
fn the_document_has_every_route_and_no_other() {
    let daemon = Daemon::start();
    let document = daemon.send("GET", "/openapi.json", &[], "").json();
    let mut documented = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for method in operations.as_object().expect("operations").keys() {
            documented.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    // Collections of two dialects answer with a final slash as well.
    let with_slash = |route: &&String| route.ends_with('/') && !route.ends_with(" /");
    let served = routes(&daemon.routes);
    let plain: BTreeSet<String> = served.iter().filter(|route| !with_slash(route)).cloned().collect();
    assert_eq!(plain, documented);
    for route in served.iter().filter(with_slash) {
        assert!(documented.contains(route.trim_end_matches('/')), "{route}");
    }
    assert!(documented.len() > 70, "{documented:?}");
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
            let id = operation["operationId"].as_str().expect("an id");
            assert!(ids.insert(id), "{method} {path}");
            let named = operation["parameters"].as_array().expect("parameters");
            let in_path = named.iter().filter(|parameter| parameter["in"] == "path").count();
            assert_eq!(in_path, path.matches('{').count(), "{method} {path}");
            if id == "events" {
                // The stream does not end; tests/api/events.rs reads it.
                continue;
            }
            let reply = daemon.send(&method.to_uppercase(), &target, &[ADMIN], "");
            let is_there = !reply.body.contains("dns-path-not-found") && !reply.body.contains("There is nothing at");
            assert!(reply.status != 405 && is_there, "{method} {path}: {reply:?}");
        }
        for method in ["get", "post", "put", "delete", "patch"] {
            if !operations.contains_key(method) {
                assert_eq!(daemon.send(&method.to_uppercase(), &target, &[ADMIN], "").status, 405, "{method} {path}");
            }
        }
    }
    let mut named = BTreeSet::new();
    references(&document, &mut named);
    for reference in named {
        let pointer = reference.strip_prefix('#').expect("within the document");
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}
