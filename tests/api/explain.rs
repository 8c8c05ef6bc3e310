//! `.../explain`, `.../axfr/check`, `/transfers/check`, and transfers that are waited for.

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

fn loaded() -> (Daemon, Primary, String) {
    let (daemon, primary) = (Daemon::start(), Primary::start(APEX, &version(7)));
    let id = daemon.create(APEX, &[primary.address()]);
    daemon.await_status(&id, |status| status["storedSerial"] == 7);
    (daemon, primary, id)
}

fn post(daemon: &Daemon, target: &str, body: &str) -> Value {
    let reply = daemon.send("POST", target, &[ADMIN], body);
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()
}

#[test]
fn explain_names_symptom_cause_and_fix_and_is_found_by_id_and_by_name() {
    let daemon = Daemon::start();
    let id = daemon.create_dead("dead.example");
    daemon.await_status(&id, |status| status["items"][0]["status"] == "ERROR");
    let explained = daemon.get(&format!("/secondaryzones/{id}/explain")).json();
    assert_eq!((&explained["cause"], &explained["health"]), (&"UNREACHABLE".into(), &"unloaded".into()));
    let verdict = explained["verdict"].as_str().expect("a verdict");
    assert!(verdict.contains("dead.example has never been loaded") && verdict.contains("CONNECT_REFUSED"), "{verdict}");
    assert!(explained["fixes"][0]["text"].as_str().is_some_and(|text| text.contains("Nothing listens at")));
    assert_eq!(explained["card"]["snippets"].as_array().map(Vec::len), Some(5));
    for called in [id.clone(), "dead.example".to_owned(), "Dead.Example.".to_owned()] {
        let reply = daemon.get(&format!("/zones/{called}/explain"));
        assert_eq!((reply.status, &reply.json()["cause"]), (200, &"UNREACHABLE".into()), "{called}");
    }
    assert_eq!(daemon.send("GET", "/zones/dead.example/explain", &[STRANGER], "").status, 404);
    assert_eq!(daemon.send("GET", "/zones/dead.example/explain", &[OBSERVER], "").status, 200);
    assert_eq!(daemon.get("/zones/nothing.example/explain").status, 404);
}

#[test]
fn a_zone_that_is_well_is_explained_as_well() {
    let (daemon, _primary, id) = loaded();
    let explained = daemon.get(&format!("/secondaryzones/{id}/explain")).json();
    assert_eq!((&explained["cause"], &explained["health"]), (&"HEALTHY".into(), &"ok".into()), "{explained:#}");
    assert_eq!(explained["card"]["sourceAddresses"], serde_json::json!(["127.0.0.1"]), "the address we were seen at");
}

#[test]
fn a_check_asks_and_changes_nothing() {
    let (daemon, primary, id) = loaded();
    primary.replace(APEX, &version(8));
    let target = format!("/secondaryzones/{id}/axfr");
    let before = daemon.get(&target).json();
    let checked = post(&daemon, &format!("{target}/check"), "");
    assert_eq!((&checked["status"], &checked["servedSerial"]), (&"OK".into(), &7.into()));
    assert_eq!((&checked["items"][0]["serial"], &checked["items"][0]["errorCode"]), (&8.into(), &"OK".into()));
    assert_eq!(checked["items"][0]["axfr"], Value::Null);

    let checked = post(&daemon, &format!("{target}/check?transfer=true"), "");
    let item = &checked["items"][0];
    assert_eq!((&item["axfr"]["got"], &item["axfr"]["toSerial"]), (&"AXFR".into(), &8.into()));
    assert_eq!((&item["contents"]["records"], &item["contents"]["signed"]), (&3.into(), &false.into()));
    assert_eq!(item["contents"]["expire"], 86400);
    assert_eq!(
        (&item["ixfr"]["got"], &item["givesIxfr"]),
        (&"AXFR".into(), &false.into()),
        "this primary sends whole zones"
    );
    assert_eq!(daemon.get(&target).json(), before, "not even a counter has moved");
}

#[test]
fn a_zone_that_is_not_here_can_be_checked() {
    let (daemon, primary) = (Daemon::start(), Primary::start(APEX, &version(7)));
    let body = |ips: &[String]| serde_json::json!({"properties": {"zoneName": APEX, "primaryIps": ips}}).to_string();
    let dead = format!("127.0.0.9#{}", daemon.closed_port);
    let checked = post(&daemon, "/transfers/check?transfer=true", &body(&[dead.clone(), primary.address()]));
    assert_eq!(checked["status"], "PARTIAL");
    assert_eq!(
        (&checked["items"][0]["errorCode"], &checked["items"][1]["errorCode"]),
        (&"CONNECT_REFUSED".into(), &"OK".into())
    );
    assert_eq!(checked["items"][1]["contents"]["records"], 3);
    assert_eq!(post(&daemon, "/transfers/check", &body(&[dead]))["status"], "ERROR");
    let listed = daemon.get("/secondaryzones?filter.zoneName=example.com").json();
    assert_eq!(listed["totalCount"], 0, "nothing was added");

    let send = |headers: &[(&str, &str)], body: &str| daemon.send("POST", "/transfers/check", headers, body).status;
    assert_eq!(send(&[OBSERVER], &body(&[primary.address()])), 403);
    assert_eq!(send(&[ADMIN], &body(&[])), 400);
    assert_eq!(send(&[ADMIN], "{}"), 400);
}

/// `[transfer] allow-primaries` says whom the daemon may be made to connect to.
#[test]
fn a_check_does_not_reach_where_zones_may_not() {
    let daemon = Daemon::with(|_| {
        "[api]\n[[api.credential]]\ntenant = \"1000\"\nuser = \"ann\"\nrole = \"admin\"\ntoken = \"admin-token\"\n\
         [transfer]\nallow-primaries = [\"192.0.2.0/24\"]\n"
            .to_owned()
    });
    let body = r#"{"properties":{"zoneName":"example.com","primaryIps":["127.0.0.1#5399"]}}"#;
    let reply = daemon.send("POST", "/transfers/check", &[ADMIN], body);
    assert_eq!(reply.status, 400, "{reply:?}");
    assert!(reply.body.contains("allow-primaries"));
}

#[test]
fn a_transfer_that_is_waited_for_tells_its_outcome() {
    let (daemon, primary, id) = loaded();
    let target = format!("/secondaryzones/{id}/axfr?wait=30s");
    primary.replace(APEX, &version(8));
    let reply = daemon.send("PUT", &target, &[ADMIN], "");
    let outcome = &reply.json()["outcome"];
    assert_eq!((reply.status, &outcome["status"], &outcome["changed"]), (200, &"OK".into(), &true.into()));
    assert_eq!(reply.json()["servedSerial"], 8);
    drop(primary);
    let outcome = &daemon.send("PUT", &target, &[ADMIN], "").json()["outcome"];
    assert_eq!((&outcome["status"], &outcome["errorCode"]), (&"ERROR".into(), &"CONNECT_REFUSED".into()));
    assert_eq!(outcome["changed"], false);
    for wait in ["0", "-1", "x", "601s", "99m"] {
        let reply = daemon.send("PUT", &format!("/secondaryzones/{id}/axfr?wait={wait}"), &[ADMIN], "");
        assert_eq!(reply.status, 400, "{wait}");
    }
}
