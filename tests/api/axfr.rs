//! `/secondaryzones/{id}/axfr`: the status of transfers.

use std::time::{Duration, Instant};

use crate::daemon::{ADMIN, Daemon};
use crate::golden;

#[test]
fn a_primary_that_refuses_connections_is_shown_as_recorded() {
    let daemon = Daemon::start();
    let primary = format!("127.0.0.7#{}", daemon.closed_port);
    let id = daemon.create("refused.example", std::slice::from_ref(&primary));
    daemon.await_status(&id, |status| status["items"][0]["status"] == "ERROR");
    golden::play_with(&daemon, "axfr-refused.http", &[("uuid:zone", &id), ("primary", &primary)]);
}

#[test]
fn there_is_one_item_for_each_primary_in_the_order_of_the_list() {
    let daemon = Daemon::start();
    let dead = daemon.closed_port;
    let primaries = [format!("127.0.0.2#{dead}"), format!("127.0.0.1#{dead}"), format!("::1#{dead}")];
    let id = daemon.create("three.example", &primaries);
    let status = daemon.get(&format!("/secondaryzones/{id}/axfr")).json();
    let shown: Vec<_> = status["items"].as_array().expect("items").iter().map(|i| i["primaryIp"].clone()).collect();
    assert_eq!(shown, primaries);
}

/// RFC 9110 §15.4.5: a 304 has no content and carries the fields a 200 would, here the tag.
#[test]
fn a_known_generation_is_304_at_once() {
    let daemon = Daemon::start();
    let id = daemon.create_dead("tag.example");
    daemon.await_status(&id, |status| status["items"][0]["status"] == "ERROR");
    let target = format!("/secondaryzones/{id}/axfr");
    let tag = daemon.get(&target).header("etag").expect("a tag").to_owned();
    let reply = daemon.send("GET", &target, &[ADMIN, ("If-None-Match", &tag)], "");
    assert_eq!((reply.status, reply.body.as_str(), reply.header("etag")), (304, "", Some(tag.as_str())));
    let reply = daemon.send("GET", &target, &[ADMIN, ("If-None-Match", "\"g0\"")], "");
    assert_eq!(reply.status, 202);
}

#[test]
fn a_waiting_request_is_answered_by_the_next_change_or_304_after_its_time() {
    let daemon = Daemon::start();
    let id = daemon.create_dead("wait.example");
    daemon.await_status(&id, |status| status["items"][0]["status"] == "ERROR");
    let target = format!("/secondaryzones/{id}/axfr");
    let tag = daemon.get(&target).header("etag").expect("a tag").to_owned();

    let started = Instant::now();
    let reply = daemon.send("GET", &target, &[ADMIN, ("If-None-Match", &tag), ("Prefer", "wait=1")], "");
    assert_eq!(reply.status, 304);
    assert!(started.elapsed() >= Duration::from_secs(1), "it was held");

    std::thread::scope(|scope| {
        let waiting =
            scope.spawn(|| daemon.send("GET", &target, &[ADMIN, ("If-None-Match", &tag), ("Prefer", "wait=15")], ""));
        let body = format!(
            r#"{{"properties":{{"zoneName":"wait.example","description":"changed","primaryIps":["127.0.0.2#{}"]}}}}"#,
            daemon.closed_port
        );
        assert_eq!(daemon.send("PUT", &format!("/secondaryzones/{id}"), &[ADMIN], &body).status, 202);
        let reply = waiting.join().expect("answered");
        assert_eq!(reply.status, 202);
        assert!(reply.body.contains("127.0.0.2"), "{reply:?}");
    });
}

#[test]
fn a_waiting_request_hears_that_the_zone_has_gone() {
    let daemon = Daemon::start();
    let id = daemon.create_dead("gone.example");
    let settled = daemon.await_status(&id, |status| status["items"][0]["status"] == "ERROR");
    let tag = format!("\"g{}\"", settled["generation"]);
    assert_eq!(daemon.send("DELETE", &format!("/secondaryzones/{id}"), &[ADMIN], "").status, 202);
    let headers = [ADMIN, ("If-None-Match", tag.as_str()), ("Prefer", "wait=1")];
    assert_eq!(daemon.send("GET", &format!("/secondaryzones/{id}/axfr"), &headers, "").status, 404);
}
