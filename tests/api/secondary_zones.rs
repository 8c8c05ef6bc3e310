//! `/secondaryzones` and `/secondaryzones/{id}`.

use serde_json::{Value, json};

use crate::daemon::{ADMIN, Daemon};
use crate::golden;

fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().expect("items");
    items.iter().map(|item| item["properties"]["zoneName"].as_str().expect("a name")).collect()
}

#[test]
fn the_life_of_a_zone_is_as_recorded() {
    golden::play(&Daemon::start(), "secondary-zones.http");
}

#[test]
fn a_configured_zone_is_as_recorded() {
    golden::play(&Daemon::start(), "configured-zone.http");
}

/// ionosctl looks a zone up by name with `limit=1` and takes what comes.
#[test]
fn the_exact_match_of_a_name_comes_first() {
    let daemon = Daemon::start();
    for name in ["a.example.com", "example.com", "my-example.com", "other.org"] {
        daemon.create_dead(name);
    }
    let list = daemon.get("/secondaryzones?filter.zoneName=EXAMPLE.com.").json();
    assert_eq!(names(&list), ["example.com", "a.example.com", "my-example.com"]);
    assert_eq!(names(&daemon.get("/secondaryzones?filter.zoneName=example.com&limit=1").json()), ["example.com"]);
    let second = daemon.get("/secondaryzones?filter.zoneName=example.com&limit=1&offset=1").json();
    assert_eq!(names(&second), ["a.example.com"]);
    assert_eq!(names(&daemon.get("/secondaryzones?filter.zoneName=nowhere").json()), [""; 0]);
}

#[test]
fn pages_cover_the_list_once_and_link_to_each_other() {
    let daemon = Daemon::start();
    for n in 0..6 {
        daemon.create_dead(&format!("z{n}.example.org"));
    }
    let mut seen = Vec::new();
    let mut target = "/secondaryzones?limit=3&offset=0".to_owned();
    loop {
        let page = daemon.get(&target).json();
        assert_eq!(page["totalCount"], 7); // configured.example is the seventh
        assert_eq!(page["_links"].get("prev").is_some(), page["offset"] != 0);
        seen.extend(names(&page).into_iter().map(str::to_owned));
        match page["_links"]["next"].as_str() {
            Some(next) => target = next.strip_prefix(&format!("http://{}", daemon.api)).expect("absolute").to_owned(),
            None => break,
        }
    }
    assert_eq!(seen.len(), 7);
    let mut sorted = seen.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(sorted.len(), 7, "{seen:?}");
    let behind = daemon.get("/secondaryzones?offset=100").json();
    assert_eq!((names(&behind).len(), &behind["_links"]["next"]), (0, &Value::Null));
}

#[test]
fn states_filter_the_list() {
    let daemon = Daemon::start();
    let id = daemon.create_dead("failed.example");
    daemon.await_status(&id, |status| status["state"] == "FAILED");
    let failed = daemon.get("/secondaryzones?filter.state=FAILED&filter.zoneName=failed").json();
    assert_eq!(names(&failed), ["failed.example"]);
    for state in ["AVAILABLE", "DESTROYING"] {
        assert_eq!(daemon.get(&format!("/secondaryzones?filter.state={state}")).json()["totalCount"], 0, "{state}");
    }
}

#[test]
fn a_name_that_is_taken_is_409() {
    let daemon = Daemon::start();
    daemon.create_dead("taken.example");
    let body = r#"{"properties":{"zoneName":"TAKEN.example.","primaryIps":["127.0.0.1#5399"]}}"#;
    let reply = daemon.send("POST", "/secondaryzones", &[ADMIN], body);
    assert_eq!((reply.status, reply.error_code().as_str()), (409, "dns-zone-exists"));
}

#[test]
fn a_zone_keeps_its_name() {
    let daemon = Daemon::start();
    let id = daemon.create_dead("before.example");
    let body = r#"{"properties":{"zoneName":"after.example","primaryIps":["127.0.0.1#5399"]}}"#;
    let reply = daemon.send("PUT", &format!("/secondaryzones/{id}"), &[ADMIN], body);
    assert_eq!((reply.status, reply.error_code().as_str()), (400, "dns-zone-rename"));
}

/// PUT "replaces the zone, or makes it under this id": a client's retry while the first is under way is no conflict, and a
/// removal beside it comes before or after.
#[test]
fn a_put_beside_others_of_its_zone_makes_or_replaces_it() {
    let daemon = Daemon::start();
    for (path, properties) in [
        ("secondaryzones", json!({"zoneName": "a.example", "primaryIps": ["127.0.0.1#5399"]})),
        ("zones", json!({"zoneName": "b.example"})),
    ] {
        let body = json!({"properties": properties}).to_string();
        for _ in 0..20 {
            let target = format!("/{path}/{}", uuid::Uuid::new_v4());
            let put = || daemon.send("PUT", &target, &[ADMIN], &body).status;
            // given the same PUT from several at once, then the same beside a DELETE
            let at_once = |count: usize, removals: usize| {
                std::thread::scope(|scope| {
                    let puts: Vec<_> = (0..count).map(|_| scope.spawn(put)).collect();
                    for _ in 0..removals {
                        scope.spawn(|| daemon.send("DELETE", &target, &[ADMIN], ""));
                    }
                    puts.into_iter().map(|put| put.join().expect("answered")).collect::<Vec<u16>>()
                })
            };
            // then all are carried out, in some order
            assert_eq!(at_once(4, 0), [202; 4], "{target}");
            assert_eq!(at_once(2, 1), [202; 2], "{target}");
            daemon.send("DELETE", &target, &[ADMIN], "");
            assert_eq!(daemon.get(&target).status, 404);
        }
    }
}

#[test]
fn names_that_take_in_too_much_are_refused() {
    let daemon = Daemon::start();
    for name in ["", ".", "com", "arpa", "*.example.com", "bücher.example", "a b.example"] {
        let body = serde_json::json!({"properties": {"zoneName": name, "primaryIps": ["127.0.0.1#5399"]}}).to_string();
        let reply = daemon.send("POST", "/secondaryzones", &[ADMIN], &body);
        assert_eq!((reply.status, reply.error_code().as_str()), (400, "dns-bad-value"), "{name:?}");
    }
}

#[test]
fn a_description_has_at_most_1000_characters() {
    let daemon = Daemon::start();
    let send = |name: &str, chars: usize| {
        let properties =
            serde_json::json!({"zoneName": name, "primaryIps": ["127.0.0.1#5399"], "description": "ü".repeat(chars)});
        daemon.send("POST", "/secondaryzones", &[ADMIN], &serde_json::json!({"properties": properties}).to_string())
    };
    assert_eq!(send("long.example", 1001).status, 400);
    let made = send("long.example", 1000);
    assert_eq!(made.status, 202, "{made:?}");
    assert_eq!(made.json()["properties"]["description"].as_str().map(|text| text.chars().count()), Some(1000));
}

/// A PUT that changes nothing is answered as any other and leaves the zone as it is.
#[test]
fn a_put_without_a_change_moves_nothing() {
    let daemon = Daemon::start();
    let id = daemon.create_dead("same.example");
    let settled = daemon.await_status(&id, |status| status["items"][0]["status"] == "ERROR");
    let before = daemon.get(&format!("/secondaryzones/{id}")).json();
    let put = daemon.send("PUT", &format!("/secondaryzones/{id}"), &[ADMIN], &before.to_string());
    assert_eq!((put.status, put.json()), (202, before));
    let after = daemon.get(&format!("/secondaryzones/{id}/axfr")).json();
    assert_eq!(after["items"][0]["lastAttempt"], settled["items"][0]["lastAttempt"]);
}

/// Those of the configuration are their author's own affair: they neither use the quota up nor show in it.
#[test]
fn the_quota_of_secondary_zones_counts_those_made_by_rest() {
    // given
    let daemon = Daemon::with(|closed_port| {
        format!(
            r#"
            [quota]
            secondary-zones = 1
            [[api.credential]]
            tenant = "1000"
            user = "ann"
            role = "admin"
            token = "admin-token"
            [[secondary-zone]]
            name = "configured.example"
            primaries = ["127.0.0.1:{closed_port}"]
            tenant = "1000"
            "#
        )
    });
    let used = || daemon.get("/quota").json()["quotaUsage"]["secondaryZones"].clone();
    assert_eq!(used(), 0);

    // when
    let id = daemon.create_dead("first.example");

    // then
    assert_eq!(used(), 1);
    let body = r#"{"properties": {"zoneName": "second.example", "primaryIps": ["127.0.0.9"]}}"#;
    let reply = daemon.send("POST", "/secondaryzones", &[ADMIN], body);
    assert_eq!(reply.status, 403, "{}", reply.json());
    assert_eq!(daemon.send("DELETE", &format!("/secondaryzones/{id}"), &[ADMIN], "").status, 202);
    assert_eq!(used(), 0);
}
