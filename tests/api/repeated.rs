//! `Idempotency-Key`: a POST that is sent again is answered again and not done again.

use serde_json::{Value, json};

use crate::client::Reply;
use crate::daemon::{ADMIN, Daemon, OBSERVER, STRANGER};

fn post(daemon: &Daemon, who: (&str, &str), target: &str, key: &str, body: &Value) -> Reply {
    daemon.send("POST", target, &[who, ("Idempotency-Key", key)], &body.to_string())
}

fn zone(name: &str) -> Value {
    json!({"properties": {"zoneName": name}})
}

#[test]
fn the_same_request_again_gets_the_same_reply_and_makes_nothing() {
    let daemon = Daemon::start();
    let first = post(&daemon, ADMIN, "/zones", "k1", &zone("example.com"));
    assert_eq!((first.status, first.header("idempotent-replayed")), (202, None));
    let again = post(&daemon, ADMIN, "/zones", "k1", &zone("example.com"));
    assert_eq!((again.status, &again.body), (202, &first.body));
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.header("location"), first.header("location"));
    assert_eq!(again.header("content-type"), first.header("content-type"));
    let records = format!("/zones/{}/records", first.json()["id"].as_str().expect("an id"));
    let record = json!({"properties": {"name": "a", "type": "TXT", "content": "x"}});
    let made = post(&daemon, ADMIN, &records, "k2", &record);
    assert_eq!(made.status, 202);
    assert_eq!(post(&daemon, ADMIN, &records, "k2", &record).body, made.body);
    assert_eq!(daemon.get(&format!("{records}?filter.type=TXT")).json()["totalCount"], 1);
    let prefix = json!({"cidr": "192.0.2.0/24"});
    let reverse = post(&daemon, ADMIN, "/api/v1/reverse-zones", "k3", &prefix);
    assert_eq!(reverse.status, 201);
    let again = post(&daemon, ADMIN, "/api/v1/reverse-zones", "k3", &prefix);
    assert_eq!((again.status, again.body), (201, reverse.body));
    let secondary = json!({"properties": {"zoneName": "s.example", "primaryIps": ["127.0.0.1#9"]}});
    let first = post(&daemon, ADMIN, "/secondaryzones", "k4", &secondary);
    assert_eq!((first.status, post(&daemon, ADMIN, "/secondaryzones", "k4", &secondary).body), (202, first.body));
}

#[test]
fn a_key_belongs_to_one_request_of_one_caller() {
    let daemon = Daemon::start();
    assert_eq!(post(&daemon, ADMIN, "/zones", "k", &zone("a.example")).status, 202);
    let other = post(&daemon, ADMIN, "/zones", "k", &zone("b.example"));
    assert_eq!((other.status, other.error_code().as_str()), (409, "dns-idempotency-key-reused"));
    let elsewhere =
        post(&daemon, ADMIN, "/api/v1/domains", "k", &json!({"name": "c.example", "domain_type": "primary"}));
    assert_eq!(elsewhere.status, 409);
    assert!(elsewhere.json()["detail"].is_string(), "{elsewhere:?}");
    assert_eq!(post(&daemon, STRANGER, "/zones", "k", &zone("d.example")).status, 202, "another caller's own");
    assert_eq!(daemon.get("/zones").json()["totalCount"], 1);
}

/// What changed nothing may be tried again under the same key.
#[test]
fn a_refused_request_leaves_its_key_free() {
    let daemon = Daemon::start();
    assert_eq!(post(&daemon, ADMIN, "/zones", "k", &zone("not a name")).status, 400);
    assert_eq!(post(&daemon, OBSERVER, "/zones", "k", &zone("a.example")).status, 403);
    assert_eq!(post(&daemon, ADMIN, "/zones?dryRun=true", "k", &zone("a.example")).status, 202);
    let done = post(&daemon, ADMIN, "/zones", "k", &zone("a.example"));
    assert_eq!((done.status, done.header("idempotent-replayed")), (202, None));
}

#[test]
fn a_key_that_is_none_is_refused_and_nothing_is_done() {
    let daemon = Daemon::start();
    for key in [String::new(), "x".repeat(256), "\u{e4}".to_owned()] {
        let reply = post(&daemon, ADMIN, "/zones", &key, &zone("a.example"));
        assert_eq!((reply.status, reply.error_code().as_str()), (400, "dns-bad-parameter"), "{key:?}");
    }
    let twice = [ADMIN, ("Idempotency-Key", "a"), ("Idempotency-Key", "b")];
    assert_eq!(daemon.send("POST", "/zones", &twice, &zone("a.example").to_string()).status, 400);
    assert_eq!(daemon.get("/zones").json()["totalCount"], 0);
}

/// Of many at one time one is carried out; the others are told to wait, or get its reply.
#[test]
fn of_equal_requests_at_one_time_one_is_carried_out() {
    let daemon = Daemon::start();
    let replies: Vec<Reply> = std::thread::scope(|scope| {
        let ask = || post(&daemon, ADMIN, "/zones", "k", &zone("a.example"));
        let asking: Vec<_> = (0..16).map(|_| scope.spawn(ask)).collect();
        asking.into_iter().map(|asking| asking.join().expect("answered")).collect()
    });
    let first = replies.iter().filter(|r| r.status == 202 && r.header("idempotent-replayed").is_none()).count();
    assert_eq!(first, 1);
    for reply in replies.iter().filter(|reply| reply.status != 202) {
        assert_eq!((reply.status, reply.error_code().as_str()), (409, "dns-idempotency-in-flight"));
    }
}
