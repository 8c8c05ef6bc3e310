//! `/secondaryzones/{id}/axfr/history`, `/transfers`, `/transfers/summary` and `/health/zones`.

use serde_json::Value;

use crate::daemon::{ADMIN, Daemon, OBSERVER, STRANGER};
use crate::primary::Primary;

const APEX: &str = "example.com";

fn version(serial: u32) -> String {
    format!(
        "$ORIGIN example.com.\n@ 3600 IN SOA ns1 hostmaster {serial} 3600 600 86400 300\n@ 3600 IN NS ns1\n\
         ns1 3600 IN A 192.0.2.1\n"
    )
}

fn history(daemon: &Daemon, id: &str, query: &str) -> Value {
    let reply = daemon.get(&format!("/secondaryzones/{id}/axfr/history{query}"));
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()
}

fn column(list: &Value, member: &str) -> Vec<String> {
    let items = list["items"].as_array().expect("items");
    items.iter().map(|item| item[member].to_string().trim_matches('"').to_owned()).collect()
}

fn settled(status: &Value) -> bool {
    !matches!(status["items"][0]["status"].as_str(), Some("PENDING" | "IN_PROGRESS"))
}

/// Asks for a transfer and waits for its end. After the reply no status shows what was before it as if it were now; times
/// do not tell, since two attempts at a closed port can end in one millisecond.
fn retransfer(daemon: &Daemon, id: &str) {
    assert_eq!(daemon.send("PUT", &format!("/secondaryzones/{id}/axfr"), &[ADMIN], "").status, 202);
    daemon.await_status(id, settled);
}

#[test]
fn every_attempt_stands_in_the_history_newest_first() {
    let (daemon, primary) = (Daemon::start(), Primary::start(APEX, &version(7)));
    let id = daemon.create(APEX, &[primary.address()]);
    daemon.await_status(&id, |status| status["state"] == "AVAILABLE");
    let list = history(&daemon, &id, "");
    assert_eq!(column(&list, "asked"), ["AXFR", "SOA"]);
    assert_eq!(column(&list, "errorCode"), ["OK", "OK"]);
    assert_eq!(column(&list, "trigger"), ["operator", "operator"]);
    let transfer = &list["items"][0];
    assert_eq!(
        (&transfer["phase"], &transfer["toSerial"], &transfer["got"]),
        (&"store".into(), &7.into(), &"AXFR".into())
    );
    assert_eq!(transfer["primaryIp"], primary.address());

    drop(primary);
    retransfer(&daemon, &id);
    let list = history(&daemon, &id, "");
    assert_eq!(column(&list, "status"), ["ERROR", "OK", "OK"]);
    assert_eq!(list["items"][0]["errorCode"], "CONNECT_REFUSED");
    assert_eq!(list["items"][0]["fromSerial"], 7, "what was served then");
    assert_eq!((&list["totalCount"], &list["zoneName"]), (&3.into(), &APEX.into()));
}

#[test]
fn the_history_is_paged_and_filtered() {
    let (daemon, primary) = (Daemon::start(), Primary::start(APEX, &version(7)));
    let id = daemon.create(APEX, &[primary.address()]);
    daemon.await_status(&id, |status| status["state"] == "AVAILABLE");
    let address = primary.address().replace('#', "%23");
    drop(primary);
    for _ in 0..3 {
        retransfer(&daemon, &id);
    }
    let count = |query: &str| history(&daemon, &id, query)["totalCount"].as_u64().expect("a number");
    let all = count("");
    assert!(all >= 5, "{all} attempts");
    assert_eq!(count("?code=connect_refused,connect_timeout"), all - 2);
    assert_eq!(count("?status=ok"), 2);
    assert_eq!((count("?kind=transfer&status=ok"), count("?kind=soa&code=OK")), (1, 1));
    assert_eq!((count(&format!("?primary={address}")), count("?primary=127.0.0.1")), (all, all));
    assert_eq!(count("?primary=192.0.2.1"), 0);
    assert_eq!((count("?since=2999-01-01T00:00:00Z"), count("?until=2999-01-01T00:00:00Z")), (0, all));
    let first = history(&daemon, &id, "?limit=2");
    let rest = history(&daemon, &id, "?offset=2");
    let both: Vec<_> = [column(&first, "finished"), column(&rest, "finished")].concat();
    assert_eq!(both, column(&history(&daemon, &id, ""), "finished"));
    assert!(first["_links"]["next"].as_str().is_some_and(|next| next.contains("offset=2&limit=2")));
    for query in ["?kind=notify", "?status=fine", "?since=yesterday", "?primary=ns1", "?limit=0"] {
        assert_eq!(daemon.get(&format!("/secondaryzones/{id}/axfr/history{query}")).status, 400, "{query}");
    }
}

#[test]
fn another_tenants_history_is_not_there_and_an_observer_may_read() {
    let daemon = Daemon::start();
    let id = daemon.create_dead("mine.example");
    let target = format!("/secondaryzones/{id}/axfr/history");
    assert_eq!(daemon.send("GET", &target, &[STRANGER], "").status, 404);
    assert_eq!(daemon.send("GET", &target, &[OBSERVER], "").status, 200);
    assert_eq!(daemon.send("GET", &target, &[], "").status, 401);
}

#[test]
fn transfers_has_a_line_for_every_primary_of_every_zone() {
    let (daemon, primary) = (Daemon::start(), Primary::start(APEX, &version(7)));
    let good = daemon.create(APEX, &[primary.address(), format!("127.0.0.9#{}", daemon.closed_port)]);
    let bad = daemon.create_dead("refused.example");
    for id in [&good, &bad] {
        daemon.await_status(id, |status| {
            status["items"]
                .as_array()
                .expect("items")
                .iter()
                .all(|item| item["status"] != "PENDING" && item["status"] != "IN_PROGRESS")
        });
    }
    let ask = |query: &str| daemon.get(&format!("/transfers{query}")).json();
    let mine = ask("");
    assert_eq!(column(&mine, "zoneName"), [APEX, APEX, "configured.example", "refused.example"]);
    assert_eq!((&mine["items"][0]["status"], &mine["items"][3]["status"]), (&"OK".into(), &"ERROR".into()));
    assert_eq!(mine["items"][0]["servedSerial"], 7);

    assert_eq!(column(&ask("?status=ok"), "zoneName"), [APEX]);
    assert_eq!(column(&ask("?zone=refused"), "errorCode"), ["CONNECT_REFUSED"]);
    assert_eq!(column(&ask("?primary=127.0.0.9"), "zoneName"), [APEX]);
    assert_eq!(column(&ask(&format!("?zone={bad}")), "zoneName"), ["refused.example"]);
    assert_eq!(column(&ask("?after=example.com&zone=refused"), "zoneName"), ["refused.example"]);
    let (first, second) = (ask("?limit=2"), ask("?limit=2&offset=2"));
    assert_eq!(first["totalCount"], 4);
    assert_eq!([column(&first, "primaryIp"), column(&second, "primaryIp")].concat(), column(&ask(""), "primaryIp"));
    assert_eq!(daemon.get("/transfers?status=bad").status, 400);

    let summary = daemon.get("/transfers/summary").json();
    assert_eq!((&summary["zones"], &summary["primaries"]), (&3.into(), &4.into()));
    assert_eq!(summary["byStatus"]["OK"], 1);
    assert_eq!(summary["byCode"]["OK"], 1);
    assert_eq!(summary["byState"]["AVAILABLE"], 1);

    let stranger = |target: &str| daemon.send("GET", target, &[STRANGER], "").json();
    assert_eq!(stranger("/transfers")["totalCount"], 0);
    assert_eq!(stranger("/transfers/summary")["zones"], 0);
}

/// The counts are kept with each change; what goes is no longer counted.
#[test]
fn the_summary_follows_what_is_removed() {
    let daemon = Daemon::start();
    let id = daemon.create_dead("gone.example");
    daemon.await_status(&id, settled);
    let zones = || daemon.get("/transfers/summary").json()["zones"].clone();
    assert_eq!(zones(), 2);
    assert_eq!(daemon.send("DELETE", &format!("/secondaryzones/{id}"), &[ADMIN], "").status, 202);
    assert_eq!(zones(), 1);
}

#[test]
fn health_is_one_word_and_one_status() {
    let (daemon, primary) = (Daemon::start(), Primary::start(APEX, &version(7)));
    let id = daemon.create(APEX, &[primary.address()]);
    daemon.await_status(&id, |status| status["state"] == "AVAILABLE");
    let ask = |headers: &[(&str, &str)], query: &str| daemon.send("GET", &format!("/health/zones{query}"), headers, "");

    // configured.example has never been loaded.
    let reply = ask(&[ADMIN], "");
    let body = reply.json();
    let named: Vec<_> = body["items"].as_array().expect("items").iter().map(|zone| zone["zoneName"].clone()).collect();
    assert_eq!((body["counts"]["ok"].as_u64(), body["zones"].as_u64()), (Some(1), Some(2)));
    assert_eq!(named, ["configured.example"]);
    let failed = daemon.await_status(
        daemon.get("/secondaryzones?filter.zoneName=configured.example").json()["items"][0]["id"].as_str().expect("id"),
        settled,
    );
    assert_eq!(failed["health"], "unloaded");
    assert_eq!(ask(&[ADMIN], "").json()["status"], "unloaded");
    assert_eq!(ask(&[ADMIN], "").status, 200, "only an expired zone fails by default");
    assert_eq!(ask(&[ADMIN], "?fail-on=unloaded").status, 503);
    assert_eq!(ask(&[ADMIN], "?fail-on=nothing").status, 400);

    let open = ask(&[], "?fail-on=degraded");
    assert_eq!((open.status, open.json()["items"].clone()), (503, Value::Null), "no names without a credential");
    let stranger = ask(&[STRANGER], "?fail-on=degraded");
    assert_eq!((stranger.status, stranger.json()["zones"].as_u64()), (200, Some(0)));
    assert_eq!(ask(&[("Authorization", "Bearer wrong")], "").status, 401);
}
