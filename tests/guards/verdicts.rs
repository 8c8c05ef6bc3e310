//! Versions that are held, and what becomes of them.

use std::time::Duration;

use crate::reply;
use crate::stage::{Stage, ZONE, incremental, with, without_ns};
use crate::wait::{self, SOON};

/// Nobody approves or rejects within a test.
const LONG: &str = "[guard]\ndeadline = \"1h\"\n";

#[test]
fn a_version_that_loses_the_apex_ns_waits_for_approval_through_a_kill() {
    let mut stage = Stage::loaded(LONG);
    let item = stage.offered(without_ns(2));
    assert_eq!((&item["status"], &item["errorCode"]), (&"ERROR".into(), &"GUARD_APEX".into()), "{item:#}");
    let message = item["errorMessage"].as_str().expect("a message");
    assert!(message.contains("lose its NS") && message.contains("waits for approval until"), "{message}");
    stage.serves(1);
    let held = stage.held();
    assert_eq!((&held["serial"], &held["deleted"], &held["added"]), (&2.into(), &2.into(), &1.into()), "{held:#}");
    let status = stage.ours.status(ZONE);
    assert_eq!(status["held"]["id"], held["id"], "{status:#}");
    let diff =
        stage.ours.expect("GET", &format!("{}/held/{}/diff", stage.path(), held["id"].as_str().unwrap_or("")), 200);
    let gone = |change: &&serde_json::Value| change["change"] == "delete" && change["type"] == "NS";
    assert!(diff["items"].as_array().expect("items").iter().any(|change| gone(&change)), "{diff:#}");

    wait::until_true("the held version is on disk", SOON, || stage.ours.log().contains("held version is on disk"));
    stage.ours.kill();
    stage.ours.start();
    stage.serves(1);
    assert_eq!(stage.held()["id"], held["id"], "the same version");
    stage.primary.play(crate::stage::whole(without_ns(2)));
    let item = stage.refreshed();
    assert_eq!(item["errorCode"], "GUARD_APEX", "{item:#}");
    assert_eq!(stage.transfers(), 0, "a serial that is held is not fetched again");

    let (code, text) = stage.ctl(&["held"]);
    assert!(code == 1 && text.contains(ZONE) && text.contains("GUARD_APEX"), "{text}");
    let (code, text) = stage.ctl(&["approve", ZONE]);
    assert_eq!(code, 0, "{text}");
    stage.serves(2);
    stage.nothing_held();
    let versions = stage.ours.expect("GET", &format!("{}/versions", stage.path()), 200);
    let version = &versions["items"][0];
    assert_eq!((&version["deleted"], &version["added"]), (&held["deleted"], &held["added"]), "{versions:#}");
    let item = stage.refreshed();
    assert_eq!((&item["status"], stage.transfers()), (&"OK".into(), 0), "{item:#}");
    stage.ours.kill();
    stage.ours.start();
    stage.serves(2);
    stage.nothing_held();
}

/// Judged the same whether they come whole or as differences.
#[test]
fn differences_that_remove_too_much_are_held_and_not_asked_for_as_a_whole() {
    let many: String = (0..20).map(|n| format!("h{n} 300 A 192.0.2.9\n")).collect();
    let settings = "[guard]\ndeadline = \"1h\"\nshrink-percent = 50\nshrink-records-min = 10\n";
    let stage = Stage::of(settings, with(1, &many));
    let mut differences = reply::difference(ZONE, 1, 2);
    differences.splice(2..2, reply::records(ZONE, &many));
    stage.primary.play(incremental(with(2, ""), differences));
    let item = stage.refreshed();
    assert_eq!(item["errorCode"], "GUARD_SHRINK", "{item:#}");
    assert!(
        item["errorMessage"].as_str().unwrap_or("").contains("20 of 25 records would go (80.0 %; limit 50 %)"),
        "{item:#}"
    );
    assert_eq!(stage.held()["type"], "IXFR");
    assert_eq!(stage.transfers(), 1, "the whole zone would fare no better");
    stage.serves(1);
}

#[test]
fn a_rejected_serial_is_not_fetched_again_until_the_primary_has_another() {
    let mut stage = Stage::loaded(LONG);
    stage.offered(without_ns(2));
    let held = stage.held();
    let (code, text) = stage.ctl(&["reject", ZONE, "--id", held["id"].as_str().expect("an id")]);
    assert_eq!(code, 0, "{text}");
    stage.nothing_held();
    stage.ours.kill();
    stage.ours.start();
    stage.primary.play(crate::stage::whole(without_ns(2)));
    let item = stage.refreshed();
    let message = item["errorMessage"].as_str().unwrap_or("");
    assert!(item["errorCode"] == "GUARD_APEX" && message.contains("rejected by test"), "{item:#}");
    stage.primary.notify(stage.ours.address(), ZONE, 2);
    stage.primary.notify(stage.ours.address(), ZONE, 2);
    let item = stage.refreshed();
    assert_eq!(item["errorCode"], "GUARD_APEX", "{item:#}");
    assert_eq!(stage.transfers(), 0, "neither a command nor a NOTIFY fetches it");
    stage.serves(1);
    let list = stage.ours.expect("GET", &format!("{}/held", stage.path()), 200);
    assert_eq!((&list["rejected"]["serial"], &list["rejected"]["by"]), (&2.into(), &"test".into()), "{list:#}");

    let item = stage.offered(reply::zone(ZONE, 3));
    assert_eq!(item["status"], "OK", "{item:#}");
    stage.serves(3);
    let list = stage.ours.expect("GET", &format!("{}/held", stage.path()), 200);
    assert!(list["rejected"].is_null(), "{list:#}");
}

/// After a NOTIFY nobody asks for the SOA: the transfer is what shows the serial.
#[test]
fn a_held_version_that_came_by_notify_shows_its_serial_and_gives_way_to_the_next() {
    // given
    let stage = Stage::loaded(LONG);
    let mut differences = reply::difference(ZONE, 1, 2);
    differences.insert(2, reply::body(ZONE, 1).remove(0));
    stage.primary.play(incremental(without_ns(2), differences));

    // when
    stage.primary.notify(stage.ours.address(), ZONE, 2);

    // then
    let held = |item: &serde_json::Value| item["errorCode"] == "GUARD_APEX" && item["activity"] == "idle";
    let item = stage.ours.wait_item(ZONE, 0, "the version is held", held);
    assert_eq!(stage.held()["type"], "IXFR");
    assert_eq!(item["serial"], 2, "{item:#}");

    // when
    stage.primary.play(crate::stage::whole(reply::zone(ZONE, 3)));
    stage.primary.notify(stage.ours.address(), ZONE, 3);

    // then
    stage.ours.dns.wait_serial(ZONE, 3, SOON);
    stage.nothing_held();
}

/// Not only with the next attempt, which may be a day away.
#[test]
fn a_rejection_is_told_of_the_primary_at_once() {
    // given
    let stage = Stage::loaded(LONG);
    let before = stage.offered(without_ns(2));
    assert!(before["errorMessage"].as_str().unwrap_or("").contains("waits for approval until"), "{before:#}");

    // when
    let (code, text) = stage.ctl(&["reject", ZONE]);
    assert_eq!(code, 0, "{text}");

    // then
    let item = stage.ours.item(ZONE, 0);
    let message = item["errorMessage"].as_str().unwrap_or("");
    assert!(message.contains("lose its NS") && message.contains("was rejected by test at"), "{item:#}");
    assert!(!message.contains("waits"), "{item:#}");
    assert_eq!((&item["status"], &item["errorCode"]), (&before["status"], &before["errorCode"]), "{item:#}");
}

/// `PUT axfr` fetches and judges anew: the primary may have repaired the zone without another serial. `force` is about
/// serials, not about guard rails.
#[test]
fn a_commanded_transfer_is_judged_anew_also_with_force() {
    let stage = Stage::loaded(LONG);
    stage.offered(without_ns(2));
    let first = stage.held();
    let transfer = |query: &str| {
        stage.ours.expect("PUT", &format!("{}/axfr{query}", stage.path()), 202);
        stage.ours.settled(ZONE, 0)
    };
    let item = transfer("?force=true");
    assert_eq!(item["errorCode"], "GUARD_APEX", "{item:#}");
    assert_ne!(stage.held()["id"], first["id"], "the newest takes its place");
    stage.serves(1);
    stage.primary.play(crate::stage::whole(reply::zone(ZONE, 2)));
    let item = transfer("");
    assert_eq!(item["status"], "OK", "{item:#}");
    stage.serves(2);
    stage.nothing_held();
}

#[test]
fn a_newer_good_version_takes_the_place_of_a_held_one() {
    let stage = Stage::loaded(LONG);
    stage.offered(without_ns(2));
    let id = stage.held()["id"].as_str().expect("an id").to_owned();
    let item = stage.offered(reply::zone(ZONE, 3));
    assert_eq!(item["status"], "OK", "{item:#}");
    stage.serves(3);
    stage.nothing_held();
    let path = format!("{}/held/{id}", stage.path());
    stage.ours.expect("POST", &format!("{path}/approve"), 404);
    stage.ours.expect("POST", &format!("{path}/reject"), 404);
    stage.serves(3);
}

#[test]
fn the_deadline_rejects_by_default() {
    let stage = Stage::loaded("[guard]\ndeadline = \"1s\"\n");
    stage.offered(without_ns(2));
    wait::until_true("the deadline has rejected", SOON, || {
        let list = stage.ours.expect("GET", &format!("{}/held", stage.path()), 200);
        list["rejected"]["by"] == "deadline" && list["items"] == serde_json::json!([])
    });
    stage.serves(1);
}

#[test]
fn the_deadline_approves_where_the_policy_says_so() {
    let stage = Stage::loaded("[guard]\ndeadline = \"1s\"\non-deadline = \"approve\"\n");
    stage.primary.play(crate::stage::whole(without_ns(2)));
    stage.ours.expect("PUT", &format!("{}/axfr?mode=refresh", stage.path()), 202);
    stage.ours.dns.wait_serial(ZONE, 2, SOON);
    let versions = stage.ours.expect("GET", &format!("{}/versions", stage.path()), 200);
    assert_eq!((&versions["items"][0]["how"], &versions["items"][0]["by"]), (&"approved".into(), &"deadline".into()));
}

/// Who holds on to a version has decided; the deadline counts again when it is let go. (The keeper once asked for the verdict for
/// ever, and did nothing else.)
#[test]
fn while_a_version_is_pinned_no_deadline_decides() {
    let stage = Stage::loaded("[guard]\ndeadline = \"5s\"\non-deadline = \"approve\"\n");
    stage.offered(without_ns(2));
    let deadline = stage.held()["deadline"].as_str().expect("a time").to_owned();
    let (code, text) = stage.ctl(&["rollback", ZONE, "1"]);
    assert_eq!(code, 0, "{text}");
    let now = || secondaryd::time::Timestamp::now().to_string();
    wait::until_true("the deadline has passed", SOON, || now() > deadline);
    stage.refreshed();
    assert_eq!(stage.held()["serial"], 2);
    stage.serves(1);
    let (code, text) = stage.ctl(&["release", ZONE]);
    assert_eq!(code, 0, "{text}");
    stage.ours.dns.wait_serial(ZONE, 2, SOON);
}

/// Nobody would confirm it, were it approved.
#[test]
fn a_version_that_its_primary_takes_back_is_held_no_more() {
    let stage = Stage::loaded(LONG);
    stage.offered(without_ns(2));
    stage.held();
    let item = stage.offered(reply::zone(ZONE, 1));
    assert_eq!((&item["status"], &item["serial"]), (&"OK".into(), &1.into()), "{item:#}");
    stage.nothing_held();
    stage.serves(1);
    let item = stage.offered(without_ns(2));
    assert_eq!(item["errorCode"], "GUARD_APEX", "{item:#}");
    assert_eq!(stage.held()["serial"], 2, "it was not rejected");
}

/// "a primary that answers" does not vouch for what is served while it offers something else.
#[test]
fn a_held_version_does_not_renew_expire() {
    let soa = |serial| reply::soa_with(ZONE, serial, "3 1 5 60");
    let stage = Stage::of(LONG, reply::around(soa(1), reply::body(ZONE, 1)));
    let item = stage.offered(reply::around(soa(2), reply::body(ZONE, 2)[1..].to_vec()));
    assert_eq!(item["errorCode"], "GUARD_APEX", "{item:#}");
    wait::until_true("the zone has expired", SOON, || stage.ours.dns.serial(ZONE).is_none());
    let id = stage.held()["id"].as_str().expect("an id").to_owned();
    stage.ours.expect("POST", &format!("{}/held/{id}/approve", stage.path()), 202);
    stage.ours.dns.wait_serial(ZONE, 2, Duration::from_secs(20));
}

/// Another tenant's zone is not there; an observer may look and not decide.
#[test]
fn verdicts_need_the_tenant_and_the_role() {
    let credentials = "[[api.credential]]\ntenant = \"2000\"\nuser = \"other\"\nrole = \"admin\"\ntoken = \"other-token\"\n\
         [[api.credential]]\ntenant = \"1000\"\nuser = \"eye\"\nrole = \"observer\"\ntoken = \"eye-token\"\n";
    let stage = Stage::loaded(&format!("{LONG}{credentials}"));
    stage.offered(without_ns(2));
    let path = format!("{}/held", stage.path());
    let approve = format!("{path}/{}/approve", stage.held()["id"].as_str().expect("an id"));
    let release = format!("{}/release", stage.path());
    for (token, method, path, expected) in [
        ("other-token", "GET", &path, 404),
        ("other-token", "POST", &approve, 404),
        ("other-token", "POST", &release, 404),
        ("eye-token", "GET", &path, 200),
        ("eye-token", "POST", &approve, 403),
        ("eye-token", "POST", &release, 403),
        ("no-token", "POST", &approve, 401),
    ] {
        assert_eq!(stage.ours.call_as(token, method, path).expect("an answer").0, expected, "{token} {method} {path}");
    }
    stage.serves(1);
}
