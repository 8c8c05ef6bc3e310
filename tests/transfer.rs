//! Transfers: scenarios from `fixtures/transfers`, and laws.
//!
//! A scenario is a file: what was asked, the messages of the answer, what must come out. Its first lines say what is
//! special, with the RFC's sentence.
//!
//! ```text
//! zone example.            default
//! ask axfr                 or: ask ixfr OUR-SERIAL
//! limit records N          or: limit octets N
//! message id=N flags=HEX question=none|NAME qtype=TYPE nscount=N times=N
//!   SOA 7                  the zone's SOA with this serial
//!   a.example. 60 A 192.0.2.1
//!   raw HEX                octets of one record
//! gives full               or: diffs | up-to-date SERIAL | reason CODE
//!   the records of the zone; or those of the differences with - and +; or: detail part of the reason's detail
//! ```

use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;
use secondaryd::dns::message::{self, Header, flag};
use secondaryd::dns::{Name, Record, RecordRef, RecordType, Serial, zonefile};
use secondaryd::reason::{Code, Reason};
use secondaryd::transfer::inbound::{Asked, Inbound, Progress, Received};
use secondaryd::transfer::outbound::{MESSAGE_OCTETS_TARGET, Outbound, Oversize, Request};
use secondaryd::zone::{self, Builder, Diff, HashKey, Limits, Snapshot};

const ID: u16 = 0x1234;

fn key() -> HashKey {
    HashKey::from_bytes(*b"sixteen octets !")
}

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn soa(zone: &Name, serial: u32) -> Record {
    record(&format!("{zone} 60 SOA ns.example. host.example. {serial} 3600 600 604800 900"))
}

fn record(line: &str) -> Record {
    zonefile::parse(line, &Name::root()).unwrap_or_else(|e| panic!("{line}: {e:?}")).remove(0)
}

fn lines(snapshot: &Snapshot) -> BTreeSet<String> {
    snapshot.records().map(|record| record.to_string()).collect()
}

// ---- scenarios ------------------------------------------------------------------------------------------------------

struct Scenario {
    zone: Name,
    asked: Asked,
    limits: Limits,
    messages: Vec<Vec<u8>>,
    outcome: Vec<String>,
    expected: Vec<String>,
}

/// `SOA 7` or a line of a zone file.
fn scenario_record(zone: &Name, line: &str) -> Record {
    match line.strip_prefix("SOA ") {
        Some(serial) => soa(zone, serial.parse().expect("serial")),
        None => record(line),
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    let octet = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).expect("hex");
    digits.chunks(2).map(octet).collect()
}

fn read_scenario(text: &str) -> Scenario {
    let mut scenario = Scenario {
        zone: name("example."),
        asked: Asked::Axfr,
        limits: Limits::default(),
        messages: Vec::new(),
        outcome: Vec::new(),
        expected: Vec::new(),
    };
    let all: Vec<&str> = text.lines().filter(|l| !l.trim_start().starts_with('#') && !l.trim().is_empty()).collect();
    let mut at = 0;
    while at < all.len() {
        let words: Vec<&str> = all[at].split_whitespace().collect();
        let end = (at + 1..all.len()).find(|i| !all[*i].starts_with(' ')).unwrap_or(all.len());
        let body: Vec<&str> = all[at + 1..end].iter().map(|line| line.trim()).collect();
        match words[..] {
            ["zone", zone] => scenario.zone = name(zone),
            ["ask", "axfr"] => scenario.asked = Asked::Axfr,
            ["ask", "ixfr", serial] => {
                scenario.asked = Asked::Ixfr { ours: soa(&scenario.zone, serial.parse().expect("serial")) };
            }
            ["limit", "records", n] => scenario.limits.records_max = n.parse().expect("number"),
            ["limit", "octets", n] => scenario.limits.octets_max = n.parse().expect("number"),
            ["message", ref attributes @ ..] => {
                let (message, times) = scenario_message(&scenario, attributes, &body);
                scenario.messages.extend(std::iter::repeat_n(message, times));
            }
            ["gives", ref outcome @ ..] => {
                scenario.outcome = outcome.iter().map(|word| (*word).to_owned()).collect();
                scenario.expected = body.iter().map(|line| (*line).to_owned()).collect();
            }
            _ => panic!("{:?}", all[at]),
        }
        at = end;
    }
    scenario
}

fn scenario_message(scenario: &Scenario, attributes: &[&str], body: &[&str]) -> (Vec<u8>, usize) {
    let mut header = Header { id: ID, flags: flag::QR | flag::AA, questions: 1, ..Header::default() };
    let (mut question, mut times) = (scenario.zone.clone(), 1);
    let mut qtype = if scenario.asked == Asked::Axfr { RecordType::AXFR } else { RecordType::IXFR };
    for attribute in attributes {
        match attribute.split_once('=').expect("attribute=value") {
            ("id", n) => header.id = n.parse().expect("number"),
            ("flags", hex) => header.flags = u16::from_str_radix(hex, 16).expect("hex"),
            ("question", "none") => header.questions = 0,
            ("question", other) => question = name(other),
            ("qtype", other) => qtype = other.parse().expect("type"),
            ("nscount", n) => header.authorities = n.parse().expect("number"),
            ("times", n) => times = n.parse().expect("number"),
            other => panic!("{other:?}"),
        }
    }
    header.answers = body.len() as u16;
    let mut message = header.to_bytes().to_vec();
    if header.questions > 0 {
        message::write_question(&mut message, &question, qtype);
    }
    for line in body {
        match line.strip_prefix("raw ") {
            Some(hex) => message.extend(unhex(hex)),
            None => message::write_record(&mut message, scenario_record(&scenario.zone, line).borrow()),
        }
    }
    (message, times)
}

fn feed(mut inbound: Inbound, messages: &[Vec<u8>]) -> Result<Received, Reason> {
    let mut progress = Progress::More;
    for message in messages {
        assert_eq!(progress, Progress::More, "no message may be left when the answer is complete");
        progress = inbound.message(message)?;
    }
    inbound.finish()
}

fn run(file: &str, scenario: &Scenario) {
    let inbound = Inbound::new(scenario.zone.clone(), scenario.asked.clone(), ID, key(), scenario.limits);
    let received = feed(inbound, &scenario.messages);
    let outcome: Vec<&str> = scenario.outcome.iter().map(String::as_str).collect();
    match (&outcome[..], received) {
        (["full"], Ok(Received::Full(builder))) => {
            let (snapshot, _) = builder.finish(None).expect("builds");
            let expected = scenario.expected.iter().map(|l| scenario_record(&scenario.zone, l).to_string());
            assert_eq!(lines(&snapshot), expected.collect(), "{file}");
        }
        (["diffs"], Ok(Received::Diffs(diffs))) => {
            assert_eq!(signed_lines(&diffs), expected_signed_lines(scenario), "{file}");
        }
        (["up-to-date", serial], Ok(Received::UpToDate { serial: got })) => {
            assert_eq!(got, Serial(serial.parse().expect("serial")), "{file}");
        }
        (["reason", code], Err(reason)) => {
            assert_eq!(reason.code.as_str(), *code, "{file}: {reason}");
            for line in &scenario.expected {
                let part = line.strip_prefix("detail").expect("detail ...").trim();
                assert!(reason.detail.contains(part), "{file}: {reason} should say {part:?}");
            }
        }
        (_, received) => panic!("{file}: expected {:?}, got {received:?}", scenario.outcome),
    }
}

fn signed_lines(diffs: &[Diff]) -> Vec<String> {
    let mut out = Vec::new();
    let line = |sign, record: RecordRef<'_>| format!("{sign} {}", record.to_record());
    for diff in diffs {
        out.push(line('-', diff.old_soa()));
        out.extend(diff.deleted().map(|r| line('-', r)));
        out.push(line('+', diff.new_soa()));
        out.extend(diff.added().map(|r| line('+', r)));
    }
    out
}

fn expected_signed_lines(scenario: &Scenario) -> Vec<String> {
    let line = |text: &String| format!("{} {}", &text[..1], scenario_record(&scenario.zone, &text[2..]));
    scenario.expected.iter().map(line).collect()
}

#[test]
fn every_scenario_comes_out_as_it_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/transfers");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("fixtures") {
        let path = entry.expect("entry").path();
        let text = std::fs::read_to_string(&path).expect("scenario");
        run(&path.file_name().expect("name").to_string_lossy(), &read_scenario(&text));
        count += 1;
    }
    assert!(count > 50, "only {count} scenarios");
}

/// A message after the end does not belong to the answer, and one after an error is not looked at.
#[test]
fn nothing_is_taken_after_the_end_or_after_an_error() {
    let scenario = read_scenario("ask ixfr 7\nmessage\n  SOA 7\nmessage id=1\n");
    for first in [0, 1] {
        let mut inbound = Inbound::new(scenario.zone.clone(), scenario.asked.clone(), ID, key(), scenario.limits);
        let _ = inbound.message(&scenario.messages[first]);
        assert!(inbound.message(&scenario.messages[0]).is_err());
    }
}

/// I9: a difference that is larger than the zone is given up; a full transfer is cheaper.
#[test]
fn differences_without_end_are_given_up() {
    let sequence = "SOA 9\n  SOA 7\n  a.example. 60 A 192.0.2.1\n  SOA 8\n  a.example. 60 A 192.0.2.2";
    let scenario = read_scenario(&format!("ask ixfr 7\nmessage\n  {sequence}\n"));
    let Asked::Ixfr { ours } = &scenario.asked else { panic!("the scenario asks for differences") };
    // Two addresses of 25 octets, and the SOAs before and behind the removed one.
    let whole = 2 * 25 + 2 * (ours.owner.as_wire().len() + 10 + ours.rdata.len()) as u64;
    for (octets, given_up) in [(whole - 1, true), (whole, false)] {
        let inbound = Inbound::new(scenario.zone.clone(), scenario.asked.clone(), ID, key(), scenario.limits);
        let progress = inbound.with_difference_octets_max(octets).message(&scenario.messages[0]);
        assert_eq!(progress.err().map(|reason| reason.code), given_up.then_some(Code::IxfrInapplicable));
    }
}

/// I9: "or above N sequences".
#[test]
fn differences_of_too_many_steps_are_given_up() {
    let mut text = "ask ixfr 1\nmessage\n  SOA 5\n".to_owned();
    (1..5).for_each(|n| text += &format!("  SOA {n}\n  SOA {}\n", n + 1));
    let scenario = read_scenario(&(text + "  SOA 5\n"));
    for (sequences, given_up) in [(3, true), (4, false)] {
        let inbound = Inbound::new(scenario.zone.clone(), scenario.asked.clone(), ID, key(), scenario.limits);
        let progress = inbound.with_sequences_max(sequences).message(&scenario.messages[0]);
        assert_eq!(progress.err().map(|reason| reason.code), given_up.then_some(Code::IxfrInapplicable));
    }
}

// ---- outbound -------------------------------------------------------------------------------------------------------

fn build(records: &[Record], old: Option<&Snapshot>) -> Snapshot {
    let mut builder = Builder::new(name("example."), key(), Limits::default());
    records.iter().for_each(|record| builder.add(record.borrow()).expect("fits"));
    builder.finish(old).expect("builds").0
}

fn axfr_request() -> Request {
    Request::read(&message::query(ID, &name("example."), RecordType::AXFR, None)).expect("reads")
}

fn ixfr_request(ours: &Snapshot) -> Request {
    let ours = soa_of(ours);
    Request::read(&message::ixfr_query(ID, &name("example."), &ours, None)).expect("reads")
}

fn soa_of(snapshot: &Snapshot) -> Record {
    snapshot.records().find(|record| record.rtype == RecordType::SOA).expect("a zone has a SOA")
}

fn messages(mut outbound: Outbound<'_>) -> Result<Vec<Vec<u8>>, Oversize> {
    let (mut all, mut one) = (Vec::new(), Vec::new());
    while outbound.next(&mut one)? {
        all.push(one.clone());
    }
    Ok(all)
}

fn received(asked: Asked, messages: &[Vec<u8>]) -> Received {
    feed(Inbound::new(name("example."), asked, ID, key(), Limits::default()), messages).expect("is taken")
}

fn fixture(zone: &str) -> Snapshot {
    let apex = name(&format!("{zone}.example."));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/zones").join(format!("{zone}.zone"));
    let records = zonefile::parse(std::fs::read(path).expect("fixture"), &apex).expect("parses");
    let mut builder = Builder::new(apex, key(), Limits::default());
    records.iter().for_each(|record| builder.add(record.borrow()).expect("fits"));
    builder.finish(None).expect("builds").0
}

#[test]
fn every_fixture_zone_survives_being_sent_and_received() {
    for zone in ["ordinary", "delegations", "all-types", "obsolete-types", "signed-nsec", "signed-nsec3"] {
        let snapshot = fixture(zone);
        let query = message::query(ID, snapshot.apex(), RecordType::AXFR, None);
        let sent = messages(Outbound::new(Request::read(&query).expect("reads"), &snapshot, None, 0)).expect("fits");
        let inbound = Inbound::new(snapshot.apex().clone(), Asked::Axfr, ID, key(), Limits::default());
        let Received::Full(builder) = feed(inbound, &sent).expect("is taken") else { panic!("not full") };
        assert_eq!(lines(&builder.finish(None).expect("builds").0), lines(&snapshot), "{zone}");
    }
}

/// hickory-proto reads what we write, compression and all.
#[test]
fn hickory_reads_our_messages() {
    // hickory takes no message with a SIG outside the additional section, so all-types is left out
    for zone in ["ordinary", "delegations", "signed-nsec", "signed-nsec3"] {
        let snapshot = fixture(zone);
        let query = message::query(ID, snapshot.apex(), RecordType::AXFR, None);
        let sent = messages(Outbound::new(Request::read(&query).expect("reads"), &snapshot, None, 0)).expect("fits");
        let mut count = 0;
        for message in &sent {
            let message = hickory_proto::op::Message::from_vec(message).expect("hickory reads it");
            count += message.answers.len();
        }
        assert_eq!(count as u64, snapshot.record_count() + 1, "{zone}");
    }
}

fn many(count: u32, serial: u32) -> Snapshot {
    let mut records = vec![soa(&name("example."), serial), record("example. 60 NS ns.example.")];
    let host = |i: u32| record(&format!("host{i}.sub.example. 60 A 10.0.{}.{}", i >> 8 & 255, i & 255));
    records.extend((0..count).map(host));
    build(&records, None)
}

#[test]
fn messages_are_full_and_compressed() {
    let snapshot = many(5000, 1);
    let sent = messages(Outbound::new(axfr_request(), &snapshot, None, 0)).expect("fits");
    let octets: usize = sent.iter().map(Vec::len).sum();
    // about 10 octets of owner label, a pointer, and 14 behind the owner
    assert!(octets < 5000 * 27, "{octets}");
    assert!(sent[..sent.len() - 1].iter().all(|m| m.len() > MESSAGE_OCTETS_TARGET - 300), "not full");
    assert!(sent.iter().all(|m| m.len() <= MESSAGE_OCTETS_TARGET), "too full");
    let questions = |m: &Vec<u8>| Header::read(m).expect("header").questions;
    assert_eq!((questions(&sent[0]), questions(&sent[1])), (1, 0));
}

/// A10: "names inside RDATA keep the case in which they came".
#[test]
fn spelling_in_rdata_survives_compression() {
    let mixed = record("a.example. 60 MX 1 Mail.EXAMPLE.");
    let snapshot = build(&[soa(&name("example."), 1), mixed.clone(), record("b.example. 60 MX 1 mail.example.")], None);
    let sent = messages(Outbound::new(axfr_request(), &snapshot, None, 0)).expect("fits");
    let Received::Full(builder) = received(Asked::Axfr, &sent) else { panic!("not full") };
    assert!(lines(&builder.finish(None).expect("builds").0).contains(&mixed.to_string()));
}

#[test]
fn the_answer_repeats_the_question_as_it_was_spelt() {
    let mut query = message::query(ID, &name("example."), RecordType::AXFR, None);
    query[13] = b'E';
    let snapshot = many(1, 1);
    let sent = messages(Outbound::new(Request::read(&query).expect("reads"), &snapshot, None, 0)).expect("fits");
    assert_eq!(sent[0][12..25], query[12..25]);
    assert!(matches!(received(Asked::Axfr, &sent), Received::Full(_)));
}

/// RFC 1995 §2: the client is up to date, or ahead of us.
#[test]
fn nothing_newer_is_a_single_soa() {
    let snapshot = many(3, 7);
    for theirs in [7, 8] {
        let sent = messages(Outbound::new(ixfr_request(&many(0, theirs)), &snapshot, None, 0)).expect("fits");
        let ours = soa(&name("example."), theirs);
        assert_eq!((sent.len(), Header::read(&sent[0]).expect("header").answers), (1, 1));
        let Received::UpToDate { serial } = received(Asked::Ixfr { ours }, &sent) else { panic!("not up to date") };
        assert_eq!(serial, Serial(7));
    }
}

#[test]
fn differences_are_sent_where_they_lead_from_theirs_to_ours() {
    let (a, b, c) = (many(300, 1), many(301, 2), many(302, 3));
    let diffs = [zone::between(&a, &b), zone::between(&b, &c)];
    let asked = Asked::Ixfr { ours: soa_of(&a) };
    let sent = messages(Outbound::new(ixfr_request(&a), &c, Some(&diffs), 0)).expect("fits");
    let Received::Diffs(got) = received(asked.clone(), &sent) else { panic!("no differences") };
    assert_eq!(got, diffs);
    // a chain that does not fit is not sent, nor one that goes back on the way: "each step moves forward" (I3)
    let roundabout = [diffs[0].clone(), diffs[1].clone(), diffs[1].invert(), diffs[1].clone()];
    for wrong in [&diffs[1..], &diffs[..1], &roundabout, &[]] {
        let sent = messages(Outbound::new(ixfr_request(&a), &c, Some(wrong), 0)).expect("fits");
        assert!(matches!(received(asked.clone(), &sent), Received::Full(_)));
    }
}

/// O2: "larger than the zone -> AXFR-style".
#[test]
fn differences_larger_than_the_zone_give_way_to_it() {
    let (big, small) = (many(500, 1), many(1, 2));
    let diffs = [zone::between(&big, &small)];
    let sent = messages(Outbound::new(ixfr_request(&big), &small, Some(&diffs), 0)).expect("fits");
    assert!(matches!(received(Asked::Ixfr { ours: soa_of(&big) }, &sent), Received::Full(_)));
}

/// O1: "Oversize RR must not loop".
#[test]
fn a_record_that_fits_no_message_ends_the_transfer() {
    let huge = |octets: usize| Record {
        owner: name("a.example."),
        rtype: RecordType(65280),
        ttl: 60,
        rdata: vec![7; octets].into(),
    };
    for (octets, reserved, fits) in [(60_000, 0, true), (65_000, 100, true), (65_000, 600, false)] {
        let snapshot = build(&[soa(&name("example."), 1), huge(octets)], None);
        let sent = messages(Outbound::new(axfr_request(), &snapshot, None, reserved));
        assert_eq!(sent.is_ok(), fits, "{octets} {reserved}");
        if let Ok(sent) = sent {
            assert!(matches!(received(Asked::Axfr, &sent), Received::Full(_)));
        }
    }
}

#[test]
fn queries_that_are_none_are_malformed() {
    let zone = name("example.");
    let axfr = message::query(ID, &zone, RecordType::AXFR, None);
    assert_eq!(axfr_request().theirs, None);
    assert!(Request::read(&axfr[..20]).is_err());
    assert!(Request::read(&message::query(ID, &zone, RecordType::SOA, None)).is_err());
    // RFC 1995 §3: the SOA of the client stands in the authority section
    assert!(Request::read(&message::query(ID, &zone, RecordType::IXFR, None)).is_err());
    let other = soa(&name("example.net."), 1);
    assert!(Request::read(&message::ixfr_query(ID, &zone, &other, None)).is_err());
}

// ---- laws -----------------------------------------------------------------------------------------------------------

/// Records of a small zone: few owners, few values, so that versions overlap.
fn some_records() -> impl Strategy<Value = BTreeSet<String>> {
    let owner = prop_oneof![
        Just("example."),
        Just("a.example."),
        Just("b.a.example."),
        Just("*.example."),
        Just("c.d.e.example.")
    ];
    let data = prop_oneof![
        (0u8..4).prop_map(|i| format!("A 192.0.2.{i}")),
        (0u8..3).prop_map(|i| format!("TXT \"t{i}\"")),
        (0u8..3).prop_map(|i| format!("MX {i} mail.example.")),
        (0u8..3).prop_map(|i| format!("NS ns{i}.Sub.example.")),
        (0u8..2).prop_map(|i| format!("SRV 0 0 {i} a.example.")),
        (0u8..2).prop_map(|i| format!("TYPE65280 \\# 2 C00{i}")),
    ];
    proptest::collection::btree_set((owner, data).prop_map(|(owner, data)| format!("{owner} 60 {data}")), 0..25)
}

fn version(serial: u32, lines: &BTreeSet<String>) -> Snapshot {
    let mut records = vec![soa(&name("example."), serial)];
    records.extend(lines.iter().map(|line| record(line)));
    build(&records, None)
}

/// The records of `messages` dealt out anew: `cuts` says after how many records a message ends.
fn regrouped(messages: &[Vec<u8>], qtype: RecordType, cuts: &[usize]) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    for message in messages {
        let header = Header::read(message).expect("header");
        let at = message::skip_questions(message, header).expect("question");
        for raw in message::records(message, at, header.answers as usize).map(|r| r.expect("record")) {
            let (owner, _) = Name::read(message, raw.owner).expect("owner");
            let mut rdata = Vec::new();
            secondaryd::dns::rdata::expand(message, raw.rdata, raw.rdata_len, raw.rtype, &mut rdata).expect("rdata");
            records.push(Record { owner, rtype: raw.rtype, ttl: raw.ttl(), rdata: rdata.into() });
        }
    }
    let (mut out, mut cuts) = (Vec::new(), cuts.iter().cycle());
    let mut rest = &records[..];
    while !rest.is_empty() || out.is_empty() {
        let (part, tail) = rest.split_at((*cuts.next().expect("cuts")).min(rest.len()));
        let questions = out.is_empty() as u16;
        let header = Header { id: ID, flags: flag::QR, questions, answers: part.len() as u16, ..Header::default() };
        let mut message = header.to_bytes().to_vec();
        if questions > 0 {
            message::write_question(&mut message, &name("example."), qtype);
        }
        part.iter().for_each(|record| message::write_record(&mut message, record.borrow()));
        out.push(message);
        rest = tail;
    }
    out
}

proptest! {
    /// I7: "The result of a diff equals the AXFR of the same serial"; A1: any grouping of records into messages.
    #[test]
    fn differences_and_whole_zone_lead_to_the_same_contents(
        versions in proptest::collection::vec(some_records(), 2..5),
        first in any::<u32>(), cuts in proptest::collection::vec(1usize..6, 1..4),
    ) {
        let snapshots: Vec<Snapshot> =
            versions.iter().enumerate().map(|(i, lines)| version(first.wrapping_add(i as u32), lines)).collect();
        let (old, new) = (&snapshots[0], &snapshots[snapshots.len() - 1]);
        let diffs: Vec<Diff> = snapshots.windows(2).map(|pair| zone::between(&pair[0], &pair[1])).collect();

        let sent = messages(Outbound::new(axfr_request(), new, None, 0)).expect("fits");
        let Received::Full(builder) = received(Asked::Axfr, &regrouped(&sent, RecordType::AXFR, &cuts)) else {
            panic!("not full");
        };
        let by_axfr = builder.finish(Some(old)).expect("builds").0;

        let sent = messages(Outbound::new(ixfr_request(old), new, Some(&diffs), 0)).expect("fits");
        let asked = Asked::Ixfr { ours: soa_of(old) };
        let by_ixfr = match received(asked, &regrouped(&sent, RecordType::IXFR, &cuts)) {
            Received::Diffs(diffs) => zone::apply(old, &diffs).expect("applies").0,
            Received::Full(builder) => builder.finish(Some(old)).expect("builds").0,
            Received::UpToDate { .. } => panic!("is newer"),
        };
        prop_assert_eq!(lines(&by_axfr), lines(new));
        prop_assert_eq!(lines(&by_ixfr), lines(&by_axfr));
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        chunks in proptest::collection::vec(proptest::collection::vec(prop_oneof![any::<u8>(), 0u8..4, Just(0xc0)], 0..90), 1..4),
        is_ixfr in any::<bool>(), answers in 0u16..6,
    ) {
        chunks.iter().for_each(|chunk| drop(Request::read(chunk)));
        let asked = if is_ixfr { Asked::Ixfr { ours: soa(&name("example."), 7) } } else { Asked::Axfr };
        let qtype = if is_ixfr { RecordType::IXFR } else { RecordType::AXFR };
        let mut inbound = Inbound::new(name("example."), asked, ID, key(), Limits::default());
        for (i, chunk) in chunks.iter().enumerate() {
            let mut message = Header { id: ID, flags: flag::QR, questions: 1, answers, ..Header::default() }.to_bytes().to_vec();
            message::write_question(&mut message, &name("example."), qtype);
            if i == 0 {
                message::write_record(&mut message, soa(&name("example."), 8).borrow());
            }
            message.extend(chunk);
            if !matches!(inbound.message(&message), Ok(Progress::More)) {
                break;
            }
        }
        let _ = inbound.finish();
    }

    /// A good stream with one octet changed: refused or read as something else, never a panic.
    #[test]
    fn a_damaged_stream_never_panics(lines in some_records(), at in any::<prop::sample::Index>(), octet in any::<u8>()) {
        let snapshot = version(7, &lines);
        let mut sent = messages(Outbound::new(axfr_request(), &snapshot, None, 0)).expect("fits");
        let at = at.index(sent[0].len());
        sent[0][at] = octet;
        let mut inbound = Inbound::new(name("example."), Asked::Axfr, ID, key(), Limits::default());
        if let Ok(Progress::Done) = inbound.message(&sent[0]) {
            let _ = inbound.finish();
        }
    }
}
