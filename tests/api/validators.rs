//! `ETag` and `If-None-Match` (RFC 9110 §13.1.2) on lists and objects: 304 without a body until something changes.

use serde_json::{Value, json};

use crate::daemon::{ADMIN, Daemon, STRANGER};
use crate::primary::Primary;

fn tag(daemon: &Daemon, target: &str) -> String {
    let reply = daemon.get(target);
    assert_eq!(reply.status, 200, "{target}: {reply:?}");
    assert_eq!(reply.header("cache-control"), Some("no-cache"), "{target}");
    reply.header("etag").unwrap_or_else(|| panic!("{target} has no tag")).to_owned()
}

fn status(daemon: &Daemon, target: &str, tag: &str) -> u16 {
    let reply = daemon.send("GET", target, &[ADMIN, ("If-None-Match", tag)], "");
    if reply.status == 304 {
        assert_eq!((reply.body.as_str(), reply.header("etag")), ("", Some(tag)), "{target}");
    }
    reply.status
}

fn send(daemon: &Daemon, method: &str, target: &str, body: &Value) -> Value {
    let reply = daemon.send(method, target, &[ADMIN], &body.to_string());
    assert!((200..300).contains(&reply.status), "{method} {target}: {reply:?}");
    reply.json()
}

#[test]
fn every_list_and_object_is_304_until_it_changes() {
    let daemon = Daemon::start();
    let made = send(&daemon, "POST", "/zones", &json!({"properties": {"zoneName": "example.com"}}));
    let zone = made["id"].as_str().expect("an id").to_owned();
    let record = json!({"properties": {"name": "a", "type": "A", "content": "192.0.2.1"}});
    let record_id = send(&daemon, "POST", &format!("/zones/{zone}/records"), &record)["id"].clone();
    let record_id = record_id.as_str().expect("an id");
    let reverse = send(&daemon, "POST", "/api/v1/reverse-zones", &json!({"cidr": "192.0.2.0/24"}));
    let reverse = reverse["id"].as_str().expect("an id").to_owned();
    let ptr = json!({"properties": {"name": "host.example.com", "ip": "192.0.2.9"}});
    let ptr = send(&daemon, "POST", "/reverserecords", &ptr)["id"].as_str().expect("an id").to_owned();
    let of_the_zone = [
        format!("/zones/{zone}"),
        format!("/zones/{zone}/records"),
        format!("/zones/{zone}/records?limit=1&offset=1"),
        format!("/zones/{zone}/records/{record_id}"),
        format!("/zones/{zone}/zonefile"),
        format!("/api/v1/domains/{zone}"),
        format!("/api/v1/domains/{zone}/records/"),
        format!("/api/v1/domains/{zone}/export"),
    ];
    let of_the_tenant = [
        "/zones".to_owned(),
        "/records".to_owned(),
        "/quota".to_owned(),
        "/api/v1/domains".to_owned(),
        "/api/v1/domains/?page=2".to_owned(),
        "/api/v1/reverse-zones".to_owned(),
        "/api/v1/reverse-zones/lookup/192.0.2.9".to_owned(),
        "/reverserecords".to_owned(),
        format!("/reverserecords/{ptr}"),
    ];
    let of_others = [format!("/api/v1/reverse-zones/{reverse}/ptr"), "/secondaryzones".to_owned()];
    let tags = |targets: &[String]| targets.iter().map(|t| (t.clone(), tag(&daemon, t))).collect::<Vec<_>>();
    let (zone_tags, tenant_tags, other_tags) = (tags(&of_the_zone), tags(&of_the_tenant), tags(&of_others));
    for (target, tag) in zone_tags.iter().chain(&tenant_tags).chain(&other_tags) {
        assert_eq!(status(&daemon, target, tag), 304, "{target}");
        assert_eq!(status(&daemon, target, "\"other\""), 200, "{target}");
    }

    // A disabled record changes nothing in DNS, and is a change all the same.
    let off = json!({"properties": {"name": "b", "type": "A", "content": "192.0.2.2", "enabled": false}});
    send(&daemon, "POST", &format!("/zones/{zone}/records"), &off);
    for (target, tag) in zone_tags.iter().chain(&tenant_tags) {
        assert_eq!(status(&daemon, target, tag), 200, "{target}");
    }
    assert_eq!(status(&daemon, &other_tags[0].0, &other_tags[0].1), 304, "the PTRs are those of another zone");

    // The zone goes: what was there is not "not modified".
    let (gone, old) = (&zone_tags[0].0, tag(&daemon, &zone_tags[0].0));
    send(&daemon, "DELETE", gone, &Value::Null);
    assert_eq!(status(&daemon, gone, &old), 404);
}

#[test]
fn a_tag_is_one_caller_s_and_one_target_s() {
    let daemon = Daemon::start();
    let mine = tag(&daemon, "/zones");
    assert_ne!(mine, tag(&daemon, "/zones?limit=7"));
    let theirs = daemon.send("GET", "/zones", &[STRANGER, ("If-None-Match", &mine)], "");
    assert_eq!(theirs.status, 200);
    assert_eq!(daemon.send("GET", "/zones", &[("If-None-Match", mine.as_str())], "").status, 401);
    let elsewhere = daemon.send("GET", "/zones", &[ADMIN, ("Host", "other.example"), ("If-None-Match", &mine)], "");
    assert_eq!(elsewhere.status, 200, "its links are others");
}

#[test]
fn a_transferred_zone_changes_with_its_serial() {
    let text = |serial: u32| {
        format!(
            "$ORIGIN t.example.\n@ 60 IN SOA ns1 h {serial} 3600 600 86400 300\n@ 60 IN NS ns1\nns1 60 IN A 192.0.2.1\n"
        )
    };
    let (daemon, primary) = (Daemon::start(), Primary::start("t.example", &text(1)));
    let id = daemon.create("t.example", &[primary.address()]);
    daemon.await_status(&id, |status| status["state"] == "AVAILABLE");
    let targets =
        [format!("/secondaryzones/{id}/records"), format!("/secondaryzones/{id}"), "/secondaryzones".to_owned()];
    let before: Vec<String> = targets.iter().map(|target| tag(&daemon, target)).collect();
    primary.replace("t.example", &text(2));
    send(&daemon, "PUT", &format!("/secondaryzones/{id}/axfr"), &Value::Null);
    daemon.await_status(&id, |status| status["servedSerial"] == 2);
    for (target, tag) in targets.iter().zip(&before) {
        assert_eq!(status(&daemon, target, tag), 200, "{target}");
    }
}
