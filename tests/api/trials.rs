//! `?dryRun=true` on every write: the reply is that of the request, refusals too, and nothing has changed.

use serde_json::{Value, json};

use crate::daemon::{ADMIN, Daemon};

fn send(daemon: &Daemon, method: &str, target: &str, body: &Value) -> (u16, String) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let reply = daemon.send(method, target, &[ADMIN], &body);
    (reply.status, reply.body)
}

fn id(daemon: &Daemon, target: &str, body: &Value) -> String {
    let (status, reply) = send(daemon, "POST", target, body);
    assert!((200..300).contains(&status), "{target}: {status} {reply}");
    let reply: Value = serde_json::from_str(&reply).expect("JSON");
    reply["id"].as_str().expect("an id").to_owned()
}

/// Everything there is, as the lists show it.
fn everything(daemon: &Daemon) -> Vec<String> {
    let lists =
        ["/zones", "/secondaryzones", "/records?filter.type=ALL", "/reverserecords", "/quota", "/api/v1/domains"];
    lists.iter().map(|list| daemon.get(list).body).collect()
}

#[test]
fn a_trial_is_answered_like_the_request_and_changes_nothing() {
    let daemon = Daemon::start();
    let zone = id(&daemon, "/zones", &json!({"properties": {"zoneName": "example.com"}}));
    let record = json!({"properties": {"name": "a", "type": "A", "content": "192.0.2.1"}});
    let record_id = id(&daemon, &format!("/zones/{zone}/records"), &record);
    let dead = daemon.create_dead("s.example");
    let reverse = id(&daemon, "/api/v1/reverse-zones", &json!({"cidr": "192.0.2.0/24"}));
    let ptr = id(&daemon, "/reverserecords", &json!({"properties": {"name": "h.example.com", "ip": "192.0.2.9"}}));
    daemon.await_status(&dead, |status| status["items"][0]["status"] == "ERROR");
    let primaries = json!(["127.0.0.1#9"]);
    let local = json!({"properties": {"zoneName": "new.example"}});
    let secondary = json!({"properties": {"zoneName": "new.example", "primaryIps": primaries}});
    let same = json!({"properties": {"zoneName": "s.example", "description": "other", "primaryIps": primaries}});
    let other = json!({"properties": {"name": "b", "type": "A", "content": "192.0.2.2"}});
    let host = json!({"properties": {"name": "h2.example.com", "ip": "192.0.2.10"}});
    let unknown = "00000000-0000-4000-8000-000000000001";
    let none = Value::Null;
    let d = "/api/v1/domains";
    let r = "/api/v1/reverse-zones";
    let writes: Vec<(&str, String, Value, u16)> = vec![
        ("POST", "/zones".into(), local.clone(), 202),
        ("PUT", format!("/zones/{unknown}"), local.clone(), 202),
        ("PUT", format!("/zones/{zone}"), json!({"properties": {"zoneName": "example.com", "enabled": false}}), 202),
        ("DELETE", format!("/zones/{zone}"), none.clone(), 202),
        ("POST", format!("/zones/{zone}/records"), other.clone(), 202),
        ("PUT", format!("/zones/{zone}/records/{record_id}"), other.clone(), 202),
        ("PUT", format!("/zones/{zone}/records/{unknown}"), other.clone(), 202),
        ("DELETE", format!("/zones/{zone}/records/{record_id}"), none.clone(), 202),
        ("POST", "/secondaryzones".into(), secondary.clone(), 202),
        ("PUT", format!("/secondaryzones/{unknown}"), secondary.clone(), 202),
        ("PUT", format!("/secondaryzones/{dead}"), same.clone(), 202),
        ("DELETE", format!("/secondaryzones/{dead}"), none.clone(), 202),
        ("POST", "/reverserecords".into(), host.clone(), 201),
        ("PUT", format!("/reverserecords/{ptr}"), host.clone(), 200),
        ("DELETE", format!("/reverserecords/{ptr}"), none.clone(), 202),
        ("POST", r.into(), json!({"cidr": "198.51.100.0/24"}), 201),
        ("POST", format!("{r}/{reverse}/ptr"), json!({"ip": "192.0.2.11", "hostname": "h.example.com"}), 201),
        (
            "POST",
            format!("{r}/{reverse}/ptr/bulk"),
            json!({"records": [{"ip": "192.0.2.12", "hostname": "h.example.com"}]}),
            201,
        ),
        ("PATCH", format!("{r}/{reverse}/ptr/192.0.2.9"), json!({"hostname": "h3.example.com"}), 200),
        ("DELETE", format!("{r}/{reverse}/ptr/192.0.2.9"), none.clone(), 204),
        ("POST", d.into(), json!({"name": "new.example", "domain_type": "primary"}), 201),
        (
            "POST",
            d.into(),
            json!({"name": "new.example", "domain_type": "secondary", "settings": {"primaries": primaries}}),
            201,
        ),
        ("PATCH", format!("{d}/{zone}"), json!({"description": "other", "default_ttl": 60}), 200),
        ("PATCH", format!("{d}/{dead}"), json!({"description": "other"}), 200),
        ("DELETE", format!("{d}/{zone}"), none.clone(), 204),
        ("DELETE", format!("{d}/{dead}"), none.clone(), 204),
        ("POST", format!("{d}/{zone}/records"), json!({"name": "x", "type": "A", "content": "192.0.2.3"}), 201),
        ("PATCH", format!("{d}/{zone}/records/{record_id}"), json!({"ttl": 61}), 200),
        ("DELETE", format!("{d}/{zone}/records/{record_id}"), none.clone(), 204),
        (
            "POST",
            format!("{d}/{zone}/records/bulk"),
            json!({"records": [{"name": "y", "type": "A", "content": "192.0.2.4"}], "continue_on_error": true}),
            201,
        ),
        ("POST", format!("{d}/{zone}/records/bulk-delete"), json!({"record_ids": [record_id]}), 200),
    ];
    let before = everything(&daemon);
    for (method, target, body, expected) in &writes {
        let (status, reply) = send(&daemon, method, &format!("{target}?dryRun=true"), body);
        assert_eq!(status, *expected, "{method} {target}: {reply}");
        assert_eq!(everything(&daemon), before, "{method} {target}");
    }
    let shown = send(&daemon, "PATCH", &format!("{d}/{zone}?dryRun=true"), &json!({"default_ttl": 60})).1;
    assert!(shown.contains(r#""default_ttl":60"#), "what it would come to: {shown}");
    for (target, body) in [("/zones", &json!({"properties": {"zoneName": "s.example"}})), ("/secondaryzones", &same)] {
        assert_eq!(send(&daemon, "POST", &format!("{target}?dryRun=true"), body).0, 409, "{target}");
    }
}

/// A command is done or left: a trial of it is refused rather than done.
#[test]
fn what_cannot_be_tried_says_so() {
    let daemon = Daemon::start();
    let dead = daemon.create_dead("s.example");
    let zone = format!("/secondaryzones/{dead}");
    for (method, target) in [("PUT", format!("{zone}/axfr")), ("POST", format!("{zone}/release"))] {
        let reply = daemon.send(method, &format!("{target}?dryRun=true"), &[ADMIN], "");
        assert_eq!((reply.status, reply.error_code().as_str()), (400, "dns-bad-parameter"), "{target}");
    }
    assert_eq!(daemon.send("POST", "/zones?dryRun=yes", &[ADMIN], "{}").status, 400);
    assert_eq!(daemon.send("DELETE", "/v1.0/1000/domains/1?dryRun=true", &[ADMIN], "").status, 400);
}
