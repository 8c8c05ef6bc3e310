//! Kept versions: who gave them, what they changed, and the way back.

use secondaryd::dns::Record;
use serde_json::{Value, json};

use crate::reply;
use crate::stage::{Stage, ZONE, incremental, whole, with};

/// Serial 1, then 2 by differences, then 3 as a whole zone.
fn stage() -> Stage {
    let stage = Stage::loaded("");
    stage.primary.play(incremental(reply::zone(ZONE, 2), reply::difference(ZONE, 1, 2)));
    assert_eq!(stage.refreshed()["lastTransfer"]["type"], "IXFR");
    assert_eq!(stage.offered(third())["status"], "OK");
    stage
}

fn third() -> Vec<Record> {
    with(3, "new 300 A 192.0.2.77")
}

fn versions(stage: &Stage) -> Value {
    stage.ours.expect("GET", &format!("{}/versions", stage.path()), 200)
}

fn serials(versions: &Value) -> Vec<u64> {
    let items = versions["items"].as_array().expect("items").iter();
    items.map(|item| item["serial"].as_u64().expect("a serial")).collect()
}

#[test]
fn each_version_says_who_gave_it_and_what_it_changed() {
    let mut stage = stage();
    let list = versions(&stage);
    assert_eq!(serials(&list), [3, 2, 1], "{list:#}");
    let primary = format!("{}#{}", stage.primary.address().ip(), stage.primary.address().port());
    for (index, deleted, added, records) in [(0, 1, 2, 6), (1, 1, 1, 5), (2, 0, 5, 5)] {
        let item = &list["items"][index];
        assert_eq!((&item["how"], &item["primaryIp"]), (&"transferred".into(), &primary.as_str().into()), "{item:#}");
        let counts = [&item["deleted"], &item["added"], &item["records"]];
        assert_eq!(counts, [&json!(deleted), &json!(added), &json!(records)], "{item:#}");
        assert!(item["published"].is_string() && item["served"] == (index == 0), "{item:#}");
    }
    stage.ours.stop();
    stage.ours.start();
    assert_eq!(versions(&stage), list, "after a restart the same");
}

#[test]
fn differences_are_shown_both_ways_paged_and_as_text() {
    let stage = stage();
    let path = format!("{}/versions", stage.path());
    let diff = stage.ours.expect("GET", &format!("{path}/1..3"), 200);
    assert_eq!((&diff["deleted"], &diff["added"], &diff["totalCount"]), (&1.into(), &2.into(), &5.into()), "{diff:#}");
    let added = |change: &Value| {
        change["change"] == "add" && change["name"] == "new.guarded.example." && change["content"] == "192.0.2.77"
    };
    assert!(diff["items"].as_array().expect("items").iter().any(added), "{diff:#}");
    let id = stage.path().rsplit('/').next().expect("an id").to_owned();
    for called in [&id, ZONE] {
        assert_eq!(stage.ours.expect("GET", &format!("/zones/{called}/versions/1..3"), 200), diff, "{called}");
    }
    stage.ours.expect("GET", "/zones/nobody.example/versions/1..3", 404);
    let back = stage.ours.expect("GET", &format!("{path}/3..1"), 200);
    assert_eq!((&back["deleted"], &back["added"]), (&2.into(), &1.into()), "{back:#}");
    let page = stage.ours.expect("GET", &format!("{path}/1..3?offset=4&limit=1"), 200);
    assert_eq!(page["items"], json!([diff["items"][4]]), "{page:#}");
    for (bad, code) in
        [("1..1", 400), ("1..", 400), ("a..b", 400), ("4294967296..1", 400), ("1..9", 404), ("9..3", 404)]
    {
        stage.ours.expect("GET", &format!("{path}/{bad}"), code);
    }
    stage.ours.expect("GET", &format!("{path}/1..3?limit=0"), 400);
    let (code, text) = stage.ctl(&["diff", ZONE, "1", "3"]);
    assert!(code == 0 && text.contains("+new.guarded.example. 300 A 192.0.2.77"), "{text}");
    assert!(text.contains("-mark.guarded.example. 300 TXT \"1\""), "{text}");
    let (code, text) = stage.ctl(&["versions", ZONE]);
    assert!(code == 0 && text.lines().count() == 4, "{text}");
}

/// The emergency brake: an older version is served and nothing replaces it, through a kill, until it is released.
#[test]
fn a_rolled_back_zone_stays_there_until_released() {
    let mut stage = stage();
    let (code, text) = stage.ctl(&["rollback", ZONE, "1"]);
    assert_eq!(code, 0, "{text}");
    stage.serves(1);
    let status = stage.ours.status(ZONE);
    assert_eq!((&status["pinned"]["serial"], &status["pinned"]["left"]), (&1.into(), &3.into()), "{status:#}");
    assert!(status["warnings"].to_string().contains("rolled back from serial 3 to 1 by test"), "{status:#}");
    let axfr =
        stage.ours.dns.ask(crate::client::Over::Tcp, ZONE, hickory_proto::rr::RecordType::AXFR).expect("an answer");
    assert_eq!(axfr.answers.len(), reply::zone(ZONE, 1).len(), "downstreams get the earlier version: {axfr}");
    assert!(axfr.answers[0].data.to_string().contains(" 1 86400 "), "{axfr}");
    assert!(status["storedSerial"] == 1 && status["servedSerial"] == 1, "durable when the command returns: {status:#}");

    stage.primary.play(whole(reply::zone(ZONE, 4)));
    stage.primary.notify(stage.ours.address(), ZONE, 4);
    let item = stage.refreshed();
    assert_eq!((&item["status"], &item["serial"]), (&"OK".into(), &4.into()), "the item tells the truth: {item:#}");
    assert_eq!(stage.transfers(), 0);
    stage.serves(1);

    stage.ours.kill();
    stage.ours.start();
    stage.serves(1);
    let before = stage.ours.status(ZONE)["expires"].as_str().expect("a time").to_owned();
    stage.refreshed();
    assert!(stage.ours.status(ZONE)["expires"].as_str().expect("a time") > before.as_str(), "an answer confirms it");
    stage.serves(1);
    let list = versions(&stage);
    assert_eq!(serials(&list), [1, 3, 2, 1], "{list:#}");
    assert_eq!(
        (&list["items"][0]["how"], &list["items"][0]["by"]),
        (&"rolled-back".into(), &"test".into()),
        "{list:#}"
    );
    assert_eq!(list["pinned"]["left"], 3, "{list:#}");

    let (code, text) = stage.ctl(&["release", ZONE]);
    assert_eq!(code, 0, "{text}");
    stage.ours.dns.wait_serial(ZONE, 4, crate::wait::SOON);
    stage.serves(4);
    assert!(stage.ours.status(ZONE)["pinned"].is_null());
    stage.ours.expect("POST", &format!("{}/release", stage.path()), 409);
}

#[test]
fn forwards_again_is_a_roll_back_too_and_what_is_not_kept_is_refused() {
    let stage = stage();
    let roll_back = |serial: u32, code| {
        stage.ours.expect("POST", &format!("{}/versions/{serial}/rollback", stage.path()), code);
    };
    roll_back(7, 404);
    stage.serves(3);
    roll_back(2, 202);
    stage.serves(2);
    roll_back(3, 202);
    stage.serves(3);
    let new = stage.ours.dns.ask(crate::client::Over::Udp, &format!("new.{ZONE}"), hickory_proto::rr::RecordType::A);
    assert_eq!(new.expect("an answer").answers.len(), 1);
    roll_back(3, 202);
    assert_eq!(stage.ours.status(ZONE)["pinned"]["left"], 3);
    let item = stage.offered(reply::zone(ZONE, 4));
    assert_eq!(item["serial"], 4, "{item:#}");
    stage.serves(3);
}

/// RFC 2181 §5.2: all records of an RRset have one TTL. Where a primary sends several we serve the lowest, and that is what
/// history, downstreams and the way back know.
#[test]
fn an_rrset_with_differing_ttls_stands_in_no_way_back() {
    // Given a version in which differences have brought such an RRset
    let stage = Stage::loaded("");
    let levelled = "levelled 60 A 192.0.2.1\nlevelled 300 A 192.0.2.2\n";
    let mut differences = reply::difference(ZONE, 1, 2);
    let end = differences.len() - 1;
    differences.splice(end..end, reply::records(ZONE, levelled));
    stage.primary.play(incremental(with(2, levelled), differences));
    assert_eq!(stage.refreshed()["lastTransfer"]["type"], "IXFR");
    let ttls = |list: &Value| -> Vec<u64> {
        let items = list["items"].as_array().expect("items").iter();
        let of_it = items.filter(|item| item["name"].as_str().is_some_and(|name| name.starts_with("levelled.")));
        of_it.map(|item| item["ttl"].as_u64().expect("a TTL")).collect()
    };
    let list = stage.ours.expect("GET", &format!("{}/versions/1..2", stage.path()), 200);
    assert_eq!(ttls(&list), [60, 60], "{list:#}");
    // When the zone is rolled back and forwards again
    for serial in [1, 2] {
        stage.ours.expect("POST", &format!("{}/versions/{serial}/rollback", stage.path()), 202);
        // Then each version is what it was
        stage.serves(serial);
        let owner = format!("levelled.{ZONE}");
        let answer = stage.ours.dns.ask(crate::client::Over::Udp, &owner, hickory_proto::rr::RecordType::A);
        let found: Vec<u32> = answer.expect("an answer").answers.iter().map(|record| record.ttl).collect();
        assert_eq!(found, if serial == 1 { vec![] } else { vec![60, 60] });
    }
}
