//! B14, B15, B16, B25, B28: serials that lie, several servers behind one address, and ourselves.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use secondaryd::dns::RecordType;

use crate::client::Dns;
use crate::daemon::{Entry, Secondaryd};
use crate::primary::{Over, Primary, Query, Step};
use crate::reply::{self, Reply, records, soa, soa_with};
use crate::stage::{PATIENT, Stage, case, survive};
use crate::wait::{self, SOON};

/// T7: "A primary with a lower serial is not a confirmation".
#[test]
fn b14_lower_and_undefined_serials_are_not_transferred() {
    survive(
        PATIENT,
        vec![
            case("lower", "SERIAL_BEHIND", |query, zone| reply::good(zone, 0xffff_fff0)(query)),
            case("undefined", "SERIAL_UNDEFINED", |query, zone| reply::good(zone, 0x8000_0001)(query)),
        ],
    );
    let stage = Stage::loaded(PATIENT, &["low"]);
    let before = stage.ours.status("low.example")["expires"].clone();
    stage.primary("low.example").play(reply::good("low.example", 0));
    stage.refreshed("low.example");
    assert_eq!(stage.ours.status("low.example")["expires"], before, "EXPIRE is not renewed");
    assert_eq!(stage.primary("low.example").seen_over_tcp(), []);
}

#[test]
fn b14_serials_that_jump_back_and_forth_are_flapping() {
    let stage = Stage::loaded(PATIENT, &["flap"]);
    let zone = "flap.example";
    let primary = stage.primary(zone);
    // Two servers behind one address, at 5 and at 3.
    for serial in [5, 3, 5] {
        primary.play(reply::good(zone, serial));
        stage.refreshed(zone);
        stage.serves(zone, 5);
    }
    primary.play(reply::good(zone, 3));
    let item = stage.refreshed(zone);
    assert_eq!(item["errorCode"], "SERIAL_FLAPPING", "{item:#}");
    stage.serves(zone, 5);
    let lines = stage.lines(zone).len();
    for serial in [5, 3, 5, 3, 5, 3] {
        primary.play(reply::good(zone, serial));
        stage.refreshed(zone);
        stage.serves(zone, 5);
    }
    assert_eq!(primary.seen_over_tcp(), [], "nothing is transferred");
    assert!(stage.lines(zone).len() <= lines + 1, "{:#?}", stage.lines(zone));
}

/// N5, B15: "not taken if not newer than ours; asks again after RETRY".
#[test]
fn b15_a_primary_that_shows_more_than_it_gives_is_asked_again_after_retry() {
    let stage = Stage::loaded(PATIENT, &["ahead"]);
    let zone = "ahead.example";
    let transfers: [fn(&Query) -> Vec<Step>; 3] = [
        |query| vec![Reply::to(query).with(&[soa("ahead.example", 1)]).send()],
        |query| vec![Reply::to(query).with(&reply::zone("ahead.example", 1)).send()],
        |query| vec![Reply::to(query).with(&reply::zone("ahead.example", 0)).send()],
    ];
    for transfer in transfers {
        stage.primary(zone).play(reply::offering(zone, 2, transfer));
        stage.refreshed(zone);
        stage.serves(zone, 1);
        let status = stage.ours.status(zone);
        let item = &status["items"][0];
        assert_eq!(item["nextAttemptWhy"], "retry", "{status:#}");
        let asked = stage.primary(zone).seen_over_tcp();
        assert!(asked.len() <= 2, "no perpetual transfers: {asked:?}");
    }
    stage.heals(zone, 2);
}

/// N5: "then one retry, then the hint is forgotten (no perpetual retransfer)".
#[test]
fn b15_a_notify_that_promises_too_much_is_forgotten() {
    let stage = Stage::loaded(PATIENT, &["promise"]);
    let (zone, primary) = ("promise.example", stage.primary("promise.example"));
    primary.play(reply::good(zone, 1));
    primary.notify(stage.ours.address(), zone, 7);
    let item = stage.ours.wait_item(zone, 0, "noted", |item| item["lastNotifySerial"] == 7);
    assert_eq!(item["lastNotifySerial"], 7, "{item:#}");
    wait::until_true("asked because of it", SOON, || primary.seen_over_tcp().len() == 1);
    stage.ours.wait_item(zone, 0, "OK", |item| item["status"] == "OK" && item["activity"] == "idle");
    // The same promise again and again is no news: at most one look a second.
    for _ in 0..200 {
        primary.notify(stage.ours.address(), zone, 7);
    }
    stage.refreshed(zone);
    stage.serves(zone, 1);
    assert!(primary.seen_over_tcp().len() <= 2, "{:?}", primary.seen_over_tcp());
    let loud = stage.lines(zone);
    assert!(loud.len() <= 12, "NOTIFYs do not flood the log: {} lines", loud.len());
}

/// B16: invisible by protocol: what is the same by its serial is the same.
#[test]
fn b16_other_contents_under_the_same_serial_are_not_seen() {
    let stage = Stage::loaded(PATIENT, &["same"]);
    let zone = "same.example";
    stage.primary(zone).play(move |query| {
        let other = reply::around(soa(zone, 1), records(zone, "@ 60 NS ns1\nmark 60 TXT \"other\""));
        match query.qtype {
            RecordType::SOA => vec![Reply::to(query).with(&other[..1]).send()],
            _ => vec![Reply::to(query).with(&other).send()],
        }
    });
    let item = stage.refreshed(zone);
    assert_eq!(item["status"], "OK", "{item:#}");
    assert_eq!(stage.primary(zone).seen_over_tcp(), []);
    stage.serves(zone, 1);
}

/// B25, P4, I3, I4: differences that do not fit what we have lead to AXFR in the same round.
#[test]
fn b25_differences_of_another_history_lead_to_axfr() {
    type Ixfr = fn(&Query, &str) -> Reply;
    let cases: [(&str, &str, Ixfr); 9] = [
        ("other-start", "IXFR_GAP", |query, zone| Reply::to(query).with(&with_serials(zone, 0, 2, 2))),
        ("other-soa", "IXFR_INAPPLICABLE", |query, zone| {
            let mut diff = reply::difference(zone, 1, 2);
            diff[1] = soa_with(zone, 1, "1 2 3 4");
            Reply::to(query).with(&diff)
        }),
        ("absent", "IXFR_INAPPLICABLE", |query, zone| {
            let mut diff = reply::difference(zone, 1, 2);
            diff.insert(2, records(zone, "nobody 60 A 192.0.2.7").remove(0));
            Reply::to(query).with(&diff)
        }),
        ("present", "IXFR_INAPPLICABLE", |query, zone| {
            let mut diff = reply::difference(zone, 1, 2);
            diff.insert(5, records(zone, "www 300 A 192.0.2.2").remove(0));
            Reply::to(query).with(&diff)
        }),
        ("backwards", "IXFR_GAP", |query, zone| Reply::to(query).with(&with_serials(zone, 1, 0, 2))),
        ("broken-chain", "IXFR_GAP", |query, zone| {
            let mut diff = reply::difference(zone, 1, 2);
            diff.pop();
            diff.extend([soa(zone, 5), soa(zone, 6), soa(zone, 2)]);
            Reply::to(query).with(&diff)
        }),
        ("other-end", "SOA_MISMATCH", |query, zone| {
            let mut diff = reply::difference(zone, 1, 2);
            diff[0] = soa_with(zone, 2, "1 2 3 4");
            Reply::to(query).with(&diff)
        }),
        ("leads-to-nonsense", "CONTENT_CNAME", |query, zone| {
            let mut diff = reply::difference(zone, 1, 2);
            diff.insert(5, records(zone, "www 60 CNAME ns1").remove(0));
            Reply::to(query).with(&diff)
        }),
        ("apex-soa-lost", "IXFR_INAPPLICABLE", |query, zone| {
            let mut diff = reply::difference(zone, 1, 2);
            diff.insert(3, records(zone, "@ 60 NS ns9").remove(0));
            Reply::to(query).with(&diff)
        }),
    ];
    let names: Vec<&str> = cases.iter().map(|case| case.0).collect();
    let stage = Stage::loaded(PATIENT, &names);
    for (name, code, ixfr) in cases {
        let zone = format!("{name}.example");
        stage.primary(&zone).play({
            let zone = zone.clone();
            move |query| match query.qtype {
                RecordType::IXFR => vec![ixfr(query, &zone).send()],
                _ => reply::good(&zone, 2)(query),
            }
        });
        let item = stage.refreshed(&zone);
        assert_eq!(item["status"], "OK", "{zone}: {item:#}");
        assert_eq!(item["lastError"]["code"], code, "{zone}: {item:#}");
        assert_eq!(stage.primary(&zone).seen_over_tcp(), [RecordType::IXFR, RecordType::AXFR], "{zone}");
        stage.serves(&zone, 2);
    }
}

/// A good difference, so that the cases above fail for their own reason.
#[test]
fn a_good_difference_is_taken() {
    let stage = Stage::loaded(PATIENT, &["good"]);
    let zone = "good.example";
    stage.primary(zone).play(reply::offering(zone, 2, move |query| {
        vec![Reply::to(query).with(&reply::difference(zone, 1, 2)).send()]
    }));
    let item = stage.refreshed(zone);
    assert_eq!(item["lastTransfer"]["type"], "IXFR", "{item:#}");
    stage.serves(zone, 2);
}

/// I9: "Stop an IXFR that grows above the zone's size and take AXFR".
#[test]
fn b5_differences_larger_than_the_zone_lead_to_axfr() {
    let stage = Stage::loaded("max-records = 200000\n", &["large"]);
    let zone = "large.example";
    let sent = std::sync::Arc::new(AtomicUsize::new(0));
    let counted = sent.clone();
    stage.primary(zone).play(move |query| match query.qtype {
        RecordType::IXFR => {
            let mut steps = vec![Reply::to(query).with(&reply::difference(zone, 1, 2)[..5]).send()];
            for message in 0..40 {
                let hosts = |host| format!("host{message}-{host} 60 A 192.0.2.1\n");
                let text: String = (0..200).map(hosts).collect();
                steps.push(Reply::to(query).with(&records(zone, &text)).send());
            }
            counted.store(steps.len(), Ordering::Relaxed);
            steps
        }
        _ => reply::good(zone, 2)(query),
    });
    let item = stage.refreshed(zone);
    assert_eq!(sent.load(Ordering::Relaxed), 41);
    assert_eq!(item["lastError"]["code"], "IXFR_INAPPLICABLE", "{item:#}");
    assert_eq!(item["status"], "OK", "{item:#}");
    stage.serves(zone, 2);
}

/// I3, I9: each link of a chain moves forward, and there are 2^31 of them before the serial of the first SOA.
#[test]
fn b5_an_endless_chain_of_empty_differences_leads_to_axfr() {
    let stage = Stage::loaded(PATIENT, &["chain"]);
    let zone = "chain.example";
    stage.primary(zone).play(move |query| match query.qtype {
        RecordType::IXFR => {
            let mut steps = vec![Reply::to(query).with(&[soa(zone, 0x7000_0000)]).send()];
            for message in 0..100 {
                let links = (1..=100).flat_map(|n| [soa(zone, message * 100 + n), soa(zone, message * 100 + n + 1)]);
                steps.push(Reply::to(query).with(&links.collect::<Vec<_>>()).send());
            }
            steps.push(Step::Hold);
            steps
        }
        _ => reply::good(zone, 2)(query),
    });
    let item = stage.refreshed(zone);
    assert_eq!(item["lastError"]["code"], "IXFR_INAPPLICABLE", "{item:#}");
    assert_eq!(item["status"], "OK", "{item:#}");
}

/// T1, T4: timers of nothing, and of everything there is, are clamped.
#[test]
fn soa_timers_of_zero_cause_no_loop_and_of_the_most_no_overflow() {
    let stage = Stage::loaded(PATIENT, &["zero", "most"]);
    for (name, timers) in [("zero", "0 0 0 0"), ("most", "4294967295 4294967295 4294967295 4294967295")] {
        let zone = format!("{name}.example");
        let played = zone.clone();
        stage.primary(&zone).play(move |query| {
            let soa = soa_with(&played, 2, timers);
            match query.qtype {
                RecordType::SOA => vec![Reply::to(query).with(&[soa]).send()],
                _ => vec![Reply::to(query).with(&reply::around(soa, reply::body(&played, 2))).send()],
            }
        });
    }
    let began = std::time::Instant::now();
    assert_eq!(stage.refreshed("most.example")["status"], "OK");
    assert_eq!(stage.refreshed("zero.example")["status"], "OK");
    let primary = stage.primary("zero.example");
    wait::until_true("asked again by itself", SOON, || primary.seen(Over::Udp, RecordType::SOA) >= 4);
    assert!(began.elapsed() > Duration::from_millis(1500), "refresh-min holds: {:?}", began.elapsed());
    assert_eq!(primary.seen_over_tcp().len(), 1, "no transfers without a newer serial: {:?}", primary.seen_over_tcp());
    for zone in ["zero.example", "most.example"] {
        stage.serves(zone, 2);
        assert!(stage.ours.status(zone)["warnings"].to_string().contains("SOA"), "{:#}", stage.ours.status(zone));
    }
}

/// A12: the limits hold for what differences lead to, also.
#[test]
fn b5_a_zone_cannot_grow_over_its_limits_step_by_step() {
    for (settings, code) in [("max-records = 20\n", "LIMIT_RECORDS"), ("max-bytes = \"1000B\"\n", "LIMIT_BYTES")] {
        let stage = Stage::loaded(settings, &["grows"]);
        let zone = "grows.example";
        let grown = |to: u32| {
            let text: String = (0..10).map(|n| format!("host{to}-{n} 60 A 192.0.2.1\n")).collect();
            let mut diff = reply::difference(zone, to - 1, to);
            let end = diff.pop().expect("a difference");
            diff.extend(records(zone, &text));
            diff.push(end);
            diff
        };
        let play = move |to: u32| {
            reply::offering(zone, to, move |query| match query.qtype {
                RecordType::IXFR => vec![Reply::to(query).with(&grown(to)).send()],
                _ => vec![Reply::to(query).rcode(5).send()],
            })
        };
        let mut serial = 1;
        let item = loop {
            serial += 1;
            assert!(serial < 10, "{code}: the zone has grown without bound");
            stage.primary(zone).play(play(serial));
            let item = stage.refreshed(zone);
            if item["status"] != "OK" {
                break item;
            }
            stage.serves(zone, serial);
        };
        assert!(serial > 2, "the zone may grow up to its limit: {item:#}");
        assert_eq!(item["status"], "ERROR", "{item:#}");
        assert!(stage.lines(zone).iter().any(|line| line.contains(code)), "{:#?}", stage.lines(zone));
        stage.serves(zone, serial - 1);
    }
}

/// B28: our own address among the primaries is said to be so, and nothing is asked.
#[test]
fn b28_a_primary_that_is_ourselves_is_a_loop() {
    let good = Primary::start(reply::good("self.example", 1));
    let ours = Secondaryd::reserve();
    let own = ours.address();
    let ours = ours.with_zone(Entry::new("self.example", &[own, good.address()])).started();
    ours.dns.wait_serial("self.example", 1, SOON);
    let item = ours.wait_item("self.example", 0, "LOOP", |item| item["errorCode"] == "LOOP");
    assert_eq!(item["status"], "ERROR", "{item:#}");
    assert!(item["lastSuccess"].is_null(), "it never confirms the zone: {item:#}");
    let message = item["errorMessage"].as_str().unwrap_or_default();
    assert!(message.starts_with("Primary is this server itself"), "{item:#}");
}

/// B28: two secondaries naming each other do not keep a zone alive that no primary confirms: the EXPIRE option
/// (RFC 7314) says how long the other's copy has left.
#[test]
fn b28_two_secondaries_naming_each_other_let_the_zone_expire() {
    let zone = "mutual.example";
    let timers = "1 1 6 60";
    let serial = std::sync::Arc::new(AtomicU32::new(1));
    let primary = Primary::start(move |query| {
        let soa = soa_with(zone, serial.load(Ordering::Relaxed), timers);
        match query.qtype {
            RecordType::SOA => vec![Reply::to(query).with(&[soa]).send()],
            _ => vec![Reply::to(query).with(&reply::around(soa, reply::body(zone, 1))).send()],
        }
    });
    let (one, two) = (Secondaryd::reserve(), Secondaryd::reserve());
    let (at_one, at_two) = (one.address(), two.address());
    let one = one.with_zone(Entry::new(zone, &[primary.address(), at_two])).started();
    let two = two.with_zone(Entry::new(zone, &[primary.address(), at_one])).started();
    for dns in [&one.dns, &two.dns] {
        dns.wait_serial(zone, 1, SOON);
    }
    // When the only primary vanishes
    drop(primary);
    // Then both go on for EXPIRE, and not longer
    let expired = |dns: &Dns| dns.serial(zone).is_none();
    wait::until_true("both have expired", Duration::from_secs(25), || expired(&one.dns) && expired(&two.dns));
    assert_eq!(one.status(zone)["state"], "FAILED", "{:#}", one.status(zone));
}

fn with_serials(zone: &str, from: u32, to: u32, offered: u32) -> Vec<secondaryd::dns::Record> {
    let mut diff = reply::difference(zone, from, to);
    diff[0] = soa(zone, offered);
    diff
}
