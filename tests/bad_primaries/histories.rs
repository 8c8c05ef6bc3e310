//! B14, B16, B25 with P4, P5, I4: several primaries that do not agree, and one that changes what it gave.

use secondaryd::dns::{Name, Record, RecordType};
use serde_json::Value;

use crate::daemon::{Entry, Secondaryd};
use crate::primary::{Over, Primary, Query, Step};
use crate::reply::{self, Reply, records, soa};
use crate::stage::{PATIENT, Stage};
use crate::wait::SOON;

/// A zone with two primaries, loaded from the first with serial 1.
struct Pair {
    ours: Secondaryd,
    first: Primary,
    second: Primary,
}

impl Pair {
    #[track_caller]
    fn started(settings: &str, zone: &str) -> Pair {
        let first = Primary::start(reply::good(zone, 1));
        let second = Primary::start(reply::good(zone, 1));
        let entry = Entry::new(zone, &[first.address(), second.address()]);
        let ours = Secondaryd::reserve().with_settings(PATIENT).with_settings(settings).with_zone(entry).started();
        ours.dns.wait_serial(zone, 1, SOON);
        Pair { ours, first, second }
    }

    /// The version is the first one's, whoever answered sooner.
    #[track_caller]
    fn loaded(settings: &str, zone: &str) -> Pair {
        let pair = Pair::started(settings, zone);
        pair.command(zone, "mode=axfr");
        pair
    }

    /// Gives a command and waits until both primaries have been asked since and are idle.
    #[track_caller]
    fn command(&self, zone: &str, mode: &str) {
        self.ours.settled(zone, 0);
        self.ours.expect("PUT", &format!("{}/axfr?{mode}", self.ours.zone_path(zone)), 202);
        self.ours.settled(zone, 0);
    }

    fn findings(&self, zone: &str) -> Vec<String> {
        codes(&self.ours.status(zone))
    }
}

fn codes(status: &Value) -> Vec<String> {
    let found = status["findings"].as_array().cloned().unwrap_or_default();
    found.iter().map(|finding| finding["code"].as_str().unwrap_or_default().to_owned()).collect()
}

/// B14: also while the answer of the moment is as new as ours; and once in the log.
#[test]
fn b14_flapping_is_shown_whatever_the_last_answer_was() {
    let stage = Stage::loaded(PATIENT, &["swings"]);
    let zone = "swings.example";
    for serial in [5, 3, 5, 3, 5, 5, 5] {
        stage.primary(zone).play(reply::good(zone, serial));
        stage.refreshed(zone);
    }
    let status = stage.ours.status(zone);
    assert_eq!(status["items"][0]["status"], "OK", "{status:#}");
    assert_eq!(codes(&status), ["SERIAL_FLAPPING"], "{status:#}");
    let told =
        stage.lines(zone).iter().filter(|line| line.contains("WARN") && line.contains("SERIAL_FLAPPING")).count();
    assert!(told <= 2, "the code of the item, and the finding: {:#?}", stage.lines(zone));
}

/// B16: "shown by the hash/record-count comparison of 3.7": nothing fails, and it is said all the same.
#[test]
fn b16_primaries_with_different_zones_under_one_serial_are_told() {
    let zone = "differ.example";
    let pair = Pair::loaded("", zone);
    assert_eq!(pair.findings(zone), Vec::<String>::new());
    // The SOA is the same, the rest is not: only a whole transfer from the other can show it.
    let smaller = |query: &Query| match query.qtype {
        RecordType::SOA => vec![Reply::to(query).with(&[soa("differ.example", 1)]).send()],
        _ => {
            let body = records("differ.example", "@ 300 NS ns1\nmark 300 TXT \"1\"");
            vec![Reply::to(query).with(&reply::around(soa("differ.example", 1), body)).send()]
        }
    };
    pair.second.play(smaller);
    pair.command(zone, "mode=refresh");
    assert_eq!(pair.findings(zone), Vec::<String>::new());
    pair.first.play(|query| vec![Reply::to(query).rcode(5).send()]);
    pair.command(zone, "mode=axfr");
    let status = pair.ours.status(zone);
    assert_eq!(codes(&status), ["PRIMARIES_DISAGREE"], "{status:#}");
    // A SOA that is another one under the same serial shows without a transfer.
    pair.first.play(|query| {
        let other = reply::soa_with("differ.example", 1, "86401 43200 1209600 60");
        vec![Reply::to(query).with(&[other]).send()]
    });
    pair.command(zone, "mode=refresh");
    let status = pair.ours.status(zone);
    assert!(codes(&status).len() == 2, "{status:#}");
    assert_eq!(status["findings"][0]["primaryIp"], status["items"][0]["primaryIp"], "{status:#}");
}

/// P4, 3.7: with a tolerance the other primary has to wait, and then gives the whole zone.
#[test]
fn p4_a_pinned_zone_changes_its_primary_late_and_by_a_whole_transfer() {
    let zone = "pinned.example";
    let pair = Pair::loaded("pin-tolerance = \"2s\"\n", zone);
    pair.second.play(reply::offering(zone, 2, move |query| match query.qtype {
        RecordType::IXFR => vec![Reply::to(query).with(&reply::difference(zone, 1, 2)).send()],
        _ => reply::good(zone, 2)(query),
    }));
    pair.command(zone, "mode=refresh");
    assert_eq!(pair.ours.dns.serial(zone), Some(1), "the first is not behind for long enough");
    assert_eq!(pair.second.seen_over_tcp(), []);
    pair.ours.dns.wait_serial(zone, 2, SOON);
    assert_eq!(pair.second.seen_over_tcp(), [RecordType::AXFR]);
}

/// P3: "`ordered` mode (first that answers) by option".
#[test]
fn p3_in_ordered_mode_the_second_is_not_asked_while_the_first_answers() {
    let zone = "ordered.example";
    let pair = Pair::started("primary-choice = \"ordered\"\n", zone);
    pair.second.play(reply::good(zone, 9));
    pair.command(zone, "mode=refresh");
    assert_eq!(pair.second.seen(Over::Udp, RecordType::SOA), 0);
    pair.ours.dns.wait_serial(zone, 1, SOON);
    pair.first.play(|query| vec![Reply::to(query).rcode(2).send()]);
    pair.command(zone, "mode=refresh");
    pair.ours.dns.wait_serial(zone, 9, SOON);
}

/// A SOA, its signature by "keys" that differ in one octet, and the rest.
fn signed_zone(zone: &str, serial: u32, signature: u8) -> Vec<Record> {
    let owner: Name = zone.parse().expect("a name");
    let mut rdata = vec![0, 6, 13, 2, 0, 0, 1, 44];
    rdata.extend_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x60, 0, 0, 0, 0, 7]);
    rdata.extend_from_slice(owner.as_wire());
    rdata.extend_from_slice(&[signature; 64]);
    let rrsig = Record { owner, rtype: RecordType::RRSIG, ttl: 300, rdata: rdata.into() };
    let mut body = reply::body(zone, serial);
    body.insert(0, rrsig);
    reply::around(soa(zone, serial), body)
}

fn signing(zone: &'static str, serial: u32, signature: u8) -> impl Fn(&Query) -> Vec<Step> + Send + Sync + 'static {
    move |query| {
        let whole = signed_zone(zone, serial, signature);
        match query.qtype {
            RecordType::SOA => {
                // The OPT record is the last of the query here; its flags stand before the length of its options.
                let dnssec_ok = query.message.windows(5).any(|at| at[..3] == [0, 0, 41]) && has_do(&query.message);
                vec![Reply::to(query).with(&whole[..if dnssec_ok { 2 } else { 1 }]).opt(0, b"").send()]
            }
            _ => vec![Reply::to(query).with(&whole).send()],
        }
    }
}

/// Whether the OPT record of a query has DO set: `0 OPT SIZE RCODE VERSION FLAGS`.
fn has_do(query: &[u8]) -> bool {
    query.windows(9).any(|at| at[..3] == [0, 0, 41] && at[7] & 0x80 != 0)
}

/// P5: "compare the RRSIG of the SOA; transfer if it differs".
#[test]
fn p5_a_zone_signed_again_without_a_new_serial_is_transferred_if_wanted() {
    for wanted in [true, false] {
        let zone = if wanted { "resigned.example" } else { "unwanted.example" };
        let name = zone.trim_end_matches(".example");
        let stage = Stage::loaded(&format!("{PATIENT}detect-resigned = {wanted}\n"), &[name]);
        stage.primary(zone).play(signing(zone, 2, 1));
        stage.refreshed(zone);
        stage.primary(zone).play(signing(zone, 2, 1));
        stage.refreshed(zone);
        assert_eq!(stage.primary(zone).seen_over_tcp(), [], "the same signature is no news");
        stage.primary(zone).play(signing(zone, 2, 9));
        stage.refreshed(zone);
        let (transfers, found): (&[RecordType], &[&str]) =
            if wanted { (&[RecordType::AXFR], &["RESIGNED_SAME_SERIAL"]) } else { (&[], &[]) };
        assert_eq!(stage.primary(zone).seen_over_tcp(), transfers, "{zone}");
        assert_eq!(codes(&stage.ours.status(zone)), found, "{zone}");
        stage.primary(zone).play(signing(zone, 2, 9));
        stage.refreshed(zone);
        assert_eq!(stage.primary(zone).seen_over_tcp(), [], "{zone}: once");
        stage.serves(zone, 2);
    }
}

/// I4: 'option "benevolent"'.
#[test]
fn i4_leniently_differences_that_do_not_fit_are_taken_and_reported() {
    let stage = Stage::loaded(&format!("{PATIENT}lenient-ixfr = true\n"), &["lenient"]);
    let zone = "lenient.example";
    stage.primary(zone).play(reply::offering(zone, 2, move |query| {
        let mut diff = reply::difference(zone, 1, 2);
        diff.insert(2, records(zone, "nobody 60 A 192.0.2.7").remove(0));
        diff.insert(6, records(zone, "www 300 A 192.0.2.2").remove(0));
        vec![Reply::to(query).with(&diff).send()]
    }));
    let item = stage.refreshed(zone);
    assert_eq!((&item["status"], &item["lastTransfer"]["type"]), (&"OK".into(), &"IXFR".into()), "{item:#}");
    assert_eq!(stage.primary(zone).seen_over_tcp(), [RecordType::IXFR]);
    stage.serves(zone, 2);
    let warnings = stage.ours.status(zone)["warnings"].to_string();
    assert!(warnings.contains("2 changes of the differences did not fit"), "{warnings}");
}

/// N9: whoever can forge the address of a primary can name any serial, but cause no work and no lines by that.
#[test]
fn n9_forged_notifies_with_rising_serials_cost_next_to_nothing() {
    let stage = Stage::loaded(PATIENT, &["forged"]);
    let zone = "forged.example";
    let primary = stage.primary(zone);
    let lines = stage.lines(zone).len();
    primary.play(reply::good(zone, 1));
    let began = std::time::Instant::now();
    for serial in 100..1100 {
        primary.notify(stage.ours.address(), zone, serial);
    }
    stage.ours.wait_item(zone, 0, "heard", |item| item["lastNotifySerial"] == 1099);
    let seconds = began.elapsed().as_secs() as usize + 1;
    let asked = primary.seen_over_tcp().len();
    assert!(asked <= 2 + 2 * seconds, "{asked} transfers in {seconds} s");
    stage.serves(zone, 1);
    let new = &stage.lines(zone)[lines..];
    assert!(new.len() <= 2 + seconds / 5, "{new:#?}");
}
