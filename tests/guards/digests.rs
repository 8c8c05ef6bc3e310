//! ZONEMD and signatures of versions that come over the wire.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::time::Duration;

use secondaryd::dns::{Name, Record, zonefile};
use secondaryd::time::Timestamp;

use crate::reply;
use crate::stage::{Stage, ZONE, incremental, with};

/// The zone of `text` with the SOA first and last, ZONEMD added by ldns; `None` where ldns-signzone is not installed.
fn digested(text: &str) -> Option<Vec<Record>> {
    let directory = tempfile::tempdir().expect("a directory");
    let (plain, signed) = (directory.path().join("plain"), directory.path().join("signed"));
    fs::write(&plain, text).expect("written");
    let mut command = Command::new("ldns-signzone");
    command.args(["-Z", "-z", "1:1", "-o", &format!("{ZONE}."), "-f"]).arg(&signed).arg(&plain);
    let output = match command.output() {
        Ok(output) => output,
        Err(_) => return None,
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let apex: Name = ZONE.parse().expect("a name");
    let text = fs::read_to_string(&signed).expect("made");
    let mut records = zonefile::parse(&text, &apex).expect("a zone file");
    records.push(records[0].clone());
    Some(records)
}

fn zone_text(records: &[Record]) -> String {
    records.iter().fold(String::new(), |mut text, record| {
        let _ = writeln!(text, "{record}");
        text
    })
}

/// The usual zone with a ZONEMD of this serial.
fn with_digest(serial: u32, more: &str) -> Option<Vec<Record>> {
    let mut records = with(serial, more);
    records.pop();
    digested(&zone_text(&records))
}

/// ldns digests; we verify, after whole zones and after differences, and say so in the list of versions.
#[test]
fn digests_made_by_ldns_verify() {
    let (Some(first), Some(second)) = (with_digest(1, ""), with_digest(2, "")) else {
        eprintln!("skipped: ldns-signzone is not installed");
        return;
    };
    let zonemd = |records: &[Record]| records.iter().find(|record| record.rtype.0 == 63).expect("a ZONEMD").clone();
    let mut differences = reply::difference(ZONE, 1, 2);
    differences.insert(2, zonemd(&first));
    differences.insert(differences.len() - 1, zonemd(&second));
    let stage = Stage::of("", first);
    stage.primary.play(incremental(second, differences));
    let item = stage.refreshed();
    assert_eq!((&item["status"], &item["lastTransfer"]["type"]), (&"OK".into(), &"IXFR".into()), "{item:#}");
    stage.serves(2);
    let versions = stage.ours.expect("GET", &format!("{}/versions", stage.path()), 200);
    for index in 0..2 {
        assert_eq!(versions["items"][index]["zonemd"], "SHA-384", "{versions:#}");
    }
}

#[test]
fn a_wrong_digest_holds_the_version() {
    let zonemd = format!("@ 300 ZONEMD 2 1 1 {}", "ab".repeat(48));
    let stage = Stage::loaded("");
    let item = stage.offered(with(2, &zonemd));
    assert_eq!(item["errorCode"], "ZONEMD_MISMATCH", "{item:#}");
    stage.serves(1);
    assert_eq!(stage.held()["serial"], 2);
    let unknown = format!("@ 300 ZONEMD 3 241 1 {}", "ab".repeat(48));
    let item = stage.offered(with(3, &unknown));
    assert_eq!(item["status"], "OK", "{item:#}");
    let status = stage.ours.status(ZONE);
    assert!(status["warnings"].to_string().contains("scheme 241 is not known"), "{status:#}");
}

#[test]
fn policy_may_warn_of_a_wrong_digest_or_not_look() {
    let zonemd = |serial: u32| format!("@ 300 ZONEMD {serial} 1 1 {}", "ab".repeat(48));
    let warned = Stage::loaded("[guard]\nzonemd = \"warn\"\n");
    assert_eq!(warned.offered(with(2, &zonemd(2)))["status"], "OK");
    assert!(warned.ours.status(ZONE)["warnings"].to_string().contains("ZONEMD does not match"));
    let bounded = Stage::loaded("[guard]\nzonemd-records-max = 3\n");
    assert_eq!(bounded.offered(with(2, &zonemd(2)))["status"], "OK");
    assert!(bounded.ours.status(ZONE)["warnings"].to_string().contains("zonemd-records-max is 3"));
}

/// Differences that end at a zone with another digest: the whole zone may yet be right.
#[test]
fn differences_with_a_wrong_digest_are_followed_by_the_whole_zone() {
    let Some(whole) = with_digest(2, "") else {
        eprintln!("skipped: ldns-signzone is not installed");
        return;
    };
    let zonemd = reply::records(ZONE, &format!("@ 300 ZONEMD 2 1 1 {}", "ab".repeat(48)));
    let mut differences = reply::difference(ZONE, 1, 2);
    differences.insert(differences.len() - 1, zonemd[0].clone());
    let stage = Stage::loaded("");
    stage.primary.play(incremental(whole, differences));
    let item = stage.refreshed();
    assert_eq!((&item["status"], &item["lastTransfer"]["type"]), (&"OK".into(), &"AXFR".into()), "{item:#}");
    stage.serves(2);
    stage.nothing_held();
}

fn rrsig(covered: &str, expires: Timestamp) -> String {
    format!("@ 300 RRSIG {covered} 13 2 300 {} 1000000000 1 {ZONE}. AAAA\n", expires.as_secs())
}

/// An alert on them would else never end.
#[test]
fn the_gauges_of_the_first_zone_to_end_go_with_the_last_zone() {
    // given
    let late = Timestamp::now() + Duration::from_secs(30 * 86_400);
    let mut stage = Stage::of("", with(1, &rrsig("SOA", late)));
    let shown = |stage: &Stage, name: &str| {
        stage.ours.expect("GET", "/metrics", 200).as_str().expect("text").contains(&format!("\n{name} "))
    };
    let gauges = ["secondaryd_expiry_min_seconds", "secondaryd_signatures_lapse_min_seconds"];
    gauges.iter().for_each(|name| assert!(shown(&stage, name), "{name}"));

    // when
    stage.ours.remove_zones();
    stage.ours.reload_changed();

    // then
    for name in gauges {
        crate::wait::until_true(&format!("{name} is absent"), crate::wait::SOON, || !shown(&stage, name));
    }
}

/// 3.9: "earliest RRSIG expiry per zone, warning thresholds", also after a restart.
#[test]
fn signatures_about_to_lapse_are_told() {
    let day = Duration::from_secs(86_400);
    let (soon, late) = (Timestamp::now() + day, Timestamp::now() + day * 30);
    let mut stage = Stage::of("", with(1, &rrsig("NS", late)));
    let status = stage.ours.status(ZONE);
    assert_eq!(status["signaturesExpire"], Timestamp::from_secs(late.as_secs()).to_string(), "{status:#}");
    assert!(!status["warnings"].to_string().contains("signatures lapse"), "{status:#}");
    stage.offered(with(2, &(rrsig("NS", late) + &rrsig("SOA", soon))));
    let told = |stage: &Stage| {
        let status = stage.ours.status(ZONE);
        let text = status["warnings"].to_string();
        text.contains("signatures lapse") && text.contains("SOA of guarded.example.")
    };
    assert!(told(&stage), "{:#}", stage.ours.status(ZONE));
    let metrics = stage.ours.expect("GET", "/metrics", 200).to_string();
    assert!(metrics.contains("secondaryd_signatures_lapse_min_seconds 86"), "{metrics}");
    stage.ours.stop();
    stage.ours.start();
    crate::wait::until_true("the signatures have been looked at again", crate::wait::SOON, || told(&stage));
}

#[test]
fn lapsed_signatures_hold_a_version_where_policy_says_so() {
    let past = Timestamp::from_secs(Timestamp::now().as_secs() - 60);
    let stage = Stage::loaded("[guard]\nlapsed = \"refuse\"\n");
    let item = stage.offered(with(2, &rrsig("SOA", past)));
    assert_eq!(item["errorCode"], "DNSSEC_EXPIRED", "{item:#}");
    stage.serves(1);
    let lenient = Stage::loaded("");
    assert_eq!(lenient.offered(with(2, &rrsig("SOA", past)))["status"], "OK");
    assert!(lenient.ours.status(ZONE)["warnings"].to_string().contains("apex SOA have expired"));
}

/// B23: NSEC3 with more iterations than validators go along with (RFC 9276 §3.2).
#[test]
fn nsec3_beyond_reasonable_iterations_is_told() {
    let stage = Stage::loaded("");
    assert_eq!(stage.offered(with(2, "@ 300 NSEC3PARAM 1 0 5000 -"))["status"], "OK");
    assert!(stage.ours.status(ZONE)["warnings"].to_string().contains("5000 NSEC3 iterations"));
}
