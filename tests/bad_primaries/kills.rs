//! kill -9 in the middle of transfers, again and again on one state directory.
//!
//! After each kill the primaries are silent, so that what is seen is what was on the disk: every zone is one of its
//! versions, whole (A8, A9); none is older than what was said to be stored; and the expiry clock is right to two seconds
//! (T3): no confirmation that was a second old is lost, and none is made up.
//!
//! `KILLS=1000 cargo test --test bad_primaries kills -- --nocapture` makes a thousand kills (about a quarter of an hour);
//! `KILLS_SEED` sets the first seed, which a failure prints.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use secondaryd::dns::message::{self, Header};
use secondaryd::dns::{Record, RecordType, rdata};
use secondaryd::transfer::inbound::{Asked, Inbound, Progress, Received};
use secondaryd::zone::{HashKey, Limits};
use serde_json::Value;

use crate::daemon::{Entry, Secondaryd};
use crate::primary::{Over, Primary, Query, Step};
use crate::reply::{self, Reply, around, records, soa_with};
use crate::wait::{self, SOON};

/// How many kills if `KILLS` says nothing.
const KILLS: u64 = 5;
/// EXPIRE of the zones in seconds: long enough never to pass here.
const EXPIRE_SECS: i64 = 100_000;
/// REFRESH and RETRY of a second: a confirmation a second.
const TIMERS: &str = "1 1 100000 60";
/// How far the expiry clock may be behind the truth.
const CLOCK_SECS: i64 = 2;

/// What a primary has now.
#[derive(Default)]
struct Truth {
    serial: AtomicU32,
    is_silent: AtomicBool,
}

/// A zone whose every record says its version.
struct Kind {
    name: &'static str,
    records: usize,
    /// Answers IXFR with differences.
    differences: bool,
}

const ZONES: [Kind; 3] = [
    Kind { name: "few.example", records: 3, differences: true },
    Kind { name: "many.example", records: 400, differences: true },
    Kind { name: "whole.example", records: 400, differences: false },
];

fn contents(kind: &Kind, serial: u32) -> Vec<Record> {
    let hosts: String = (0..kind.records).map(|n| format!("h{n} TXT \"{serial}\"\n")).collect();
    records(kind.name, &format!("$TTL 300\n@ NS ns1\nns1 A 192.0.2.1\n{hosts}"))
}

fn script(kind: &'static Kind, truth: Arc<Truth>) -> impl Fn(&Query) -> Vec<Step> + Send + Sync + 'static {
    move |query| {
        if truth.is_silent.load(Ordering::SeqCst) {
            return if query.over == Over::Udp { Vec::new() } else { vec![Step::Close] };
        }
        let serial = truth.serial.load(Ordering::SeqCst);
        let soa = soa_with(kind.name, serial, TIMERS);
        let theirs = their_serial(&query.message);
        let answer = match (query.qtype, theirs) {
            (RecordType::SOA, _) => vec![soa],
            (RecordType::IXFR, Some(theirs)) if theirs == serial => vec![soa],
            (RecordType::IXFR, Some(theirs)) if kind.differences => {
                // The two records that stay the same stand first.
                let (old, new) = (contents(kind, theirs), contents(kind, serial));
                let removed = [&[soa_with(kind.name, theirs, TIMERS)], &old[2..]].concat();
                let soa = std::slice::from_ref(&soa);
                [soa, &removed[..], soa, &new[2..], soa].concat()
            }
            _ => around(soa, contents(kind, serial)),
        };
        // In pieces, so that there is a middle to be killed in.
        let parts = answer.chunks(40).map(|part| Reply::to(query).with(part).send());
        parts.flat_map(|send| [send, Step::Pause(Duration::from_millis(2))]).collect()
    }
}

/// The serial in the authority section of an IXFR query.
fn their_serial(query: &[u8]) -> Option<u32> {
    let header = Header::read(query).ok()?;
    let at = message::skip_questions(query, header).ok()?;
    let count = usize::from(header.answers) + usize::from(header.authorities);
    let soa = message::records(query, at, count).flatten().find(|record| record.rtype == RecordType::SOA)?;
    // Five numbers stand at the end, the serial first; the names before them may be compressed.
    let numbers = query.get(soa.end() - 20..soa.end())?;
    numbers.first_chunk().map(|serial| u32::from_be_bytes(*serial))
}

/// The whole zone as it is served, by AXFR.
fn served(server: std::net::SocketAddr, zone: &str) -> Vec<Record> {
    use std::io::{Read, Write};
    let apex: secondaryd::dns::Name = zone.parse().expect("a name");
    let query = message::query(9, &apex, RecordType::AXFR, None);
    let mut stream = TcpStream::connect(server).expect("listening");
    stream.set_read_timeout(Some(SOON)).expect("a timeout");
    stream.write_all(&[&(query.len() as u16).to_be_bytes()[..], &query].concat()).expect("sent");
    let mut inbound = Inbound::new(apex, Asked::Axfr, 9, HashKey::from_bytes([7; 16]), Limits::default());
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length).expect("a length");
        let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut message).expect("a message");
        if inbound.message(&message).unwrap_or_else(|reason| panic!("{zone}: {reason}")) == Progress::Done {
            break;
        }
    }
    let Ok(Received::Full(builder)) = inbound.finish() else { panic!("{zone}: no whole zone") };
    builder.finish(None).expect("contents").0.records().collect()
}

fn seconds(status: &Value, key: &str) -> i64 {
    let text = status[key].as_str().unwrap_or_else(|| panic!("{key} in {status:#}"));
    text.parse::<jiff::Timestamp>().expect("RFC 3339").as_second()
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn kills_during_transfers_lose_no_confirmation_and_mix_no_versions() {
    let truth: Vec<Arc<Truth>> = ZONES.iter().map(|_| Arc::<Truth>::default()).collect();
    truth.iter().for_each(|truth| truth.serial.store(1, Ordering::SeqCst));
    let primaries: Vec<Primary> =
        ZONES.iter().zip(&truth).map(|(kind, truth)| Primary::start(script(kind, truth.clone()))).collect();
    let mut ours = Secondaryd::reserve();
    for (kind, primary) in ZONES.iter().zip(&primaries) {
        ours = ours.with_zone(Entry::new(kind.name, &[primary.address()]));
    }
    ours = ours.started();
    ZONES.iter().for_each(|kind| ours.dns.wait_serial(kind.name, 1, SOON));
    wait_until_stored(&ours);
    let (first, kills) = (number("KILLS_SEED", 1), number("KILLS", KILLS));
    let (mut behind, mut worst) = (0, 0);
    for seed in first..first + kills {
        let mut random = Random(seed);
        let began = Instant::now();
        // Each zone gets one to three new versions at moments of its own; the kill comes somewhere in between.
        let kill_after = Duration::from_millis(random.below(400));
        let mut updates: Vec<(Duration, usize)> = Vec::new();
        for zone in 0..ZONES.len() {
            for _ in 0..1 + random.below(3) {
                updates.push((Duration::from_millis(random.below(400)), zone));
            }
        }
        updates.sort_unstable();
        for (at, zone) in updates.into_iter().filter(|(at, _)| *at < kill_after) {
            std::thread::sleep(at.saturating_sub(began.elapsed()));
            let serial = truth[zone].serial.fetch_add(1, Ordering::SeqCst) + 1;
            primaries[zone].notify(ours.address(), ZONES[zone].name, serial);
        }
        let before: Vec<Value> = ZONES.iter().map(|kind| ours.status(kind.name)).collect();
        std::thread::sleep(kill_after.saturating_sub(began.elapsed()));
        ours.kill();
        let killed = jiff::Timestamp::now().as_second();
        truth.iter().for_each(|truth| truth.is_silent.store(true, Ordering::SeqCst));
        ours.start();
        for (zone, kind) in ZONES.iter().enumerate() {
            let context = format!("KILLS_SEED={seed} KILLS=1, {}", kind.name);
            let after = ours.status(kind.name);
            // One version, whole
            let all = served(ours.address(), kind.name);
            let serial =
                all.iter().find(|record| record.rtype == RecordType::SOA).and_then(|r| rdata::soa_serial(&r.rdata));
            let serial = serial.expect("a SOA").0;
            let mut expected = contents(kind, serial);
            expected.push(soa_with(kind.name, serial, TIMERS));
            assert_eq!(sorted(all), sorted(expected), "{context}: a mix of versions at {serial}");
            // Not older than what was said to be on disk, and no version that never was
            let stored = before[zone]["storedSerial"].as_u64().expect("stored") as u32;
            let newest = truth[zone].serial.load(Ordering::SeqCst);
            assert!((stored..=newest).contains(&serial), "{context}: {serial} after {stored} was stored, of {newest}");
            behind += u32::from(serial < before[zone]["servedSerial"].as_u64().expect("served") as u32);
            // The expiry clock
            let (known, restored) = (seconds(&before[zone], "expires"), seconds(&after, "expires"));
            worst = worst.max(known - restored);
            assert!(restored >= known - CLOCK_SECS, "{context}: {} s of a confirmation lost", known - restored);
            assert!(restored <= killed + EXPIRE_SECS + 1, "{context}: a confirmation nobody gave");
        }
        truth.iter().for_each(|truth| truth.is_silent.store(false, Ordering::SeqCst));
        for (kind, truth) in ZONES.iter().zip(&truth) {
            ours.expect("PUT", &format!("{}/axfr?mode=refresh", ours.zone_path(kind.name)), 202);
            ours.dns.wait_serial(kind.name, truth.serial.load(Ordering::SeqCst), SOON);
        }
        wait_until_stored(&ours);
    }
    println!("{kills} kills: {behind} times a version was fetched again, the expiry clock was at most {worst} s early");
}

/// What was never on the disk cannot be there after a kill: each run begins with everything stored.
#[track_caller]
fn wait_until_stored(ours: &Secondaryd) {
    wait::until_true("all is stored", SOON, || {
        ZONES.iter().all(|kind| {
            let status = ours.status(kind.name);
            status["storedSerial"].is_u64() && status["storedSerial"] == status["servedSerial"]
        })
    });
}

fn sorted(mut records: Vec<Record>) -> Vec<(Vec<u8>, u16, Vec<u8>)> {
    records.sort_by(|a, b| (a.owner.as_wire(), a.rtype.0, &a.rdata).cmp(&(b.owner.as_wire(), b.rtype.0, &b.rdata)));
    records.into_iter().map(|r| (r.owner.as_wire().to_vec(), r.rtype.0, r.rdata.to_vec())).collect()
}

/// "After a crash a zone may start one flush behind and heals by one IXFR": it asks by itself, because the NOTIFY of what
/// was lost will not come again. What is fresh and lost nothing does not ask (T12).
#[test]
fn a_zone_that_may_have_lost_a_version_with_the_process_asks_at_start() {
    let zone = "lost.example";
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let lines = |first: &str, zones: &str| format!("{}\n{zones}", first.trim());
    let first = secondaryd::control::definition::FIRST_ZONE_ID;
    let numbers = format!("{first}\n");
    for (left, asks) in [
        (lines(&boot, &numbers), true),
        (lines("before-the-power-failure", ""), true),
        (lines(&boot, &format!("{}\n", first + 1)), false),
    ] {
        let primary = Primary::start(reply::good(zone, 1));
        let mut ours = Secondaryd::reserve().with_zone(Entry::new(zone, &[primary.address()])).started();
        ours.dns.wait_serial(zone, 1, SOON);
        wait::until_true("stored", SOON, || ours.status(zone)["storedSerial"] == 1);
        ours.wait_item(zone, 0, "idle", |item| item["activity"] == "idle" && item["status"] == "OK");
        ours.stop();
        // As it is when the process is killed between the publishing of a version and its storing
        std::fs::write(ours.state().join("running"), left).expect("written");
        primary.play(reply::good(zone, 2));
        ours.start();
        if asks {
            ours.dns.wait_serial(zone, 2, SOON);
        } else {
            let next = ours.item(zone, 0)["nextAttempt"].as_str().expect("a time").to_owned();
            let wait = next.parse::<jiff::Timestamp>().expect("RFC 3339").duration_since(jiff::Timestamp::now());
            assert!(wait.as_secs() > 60, "{wait:?}");
            assert_eq!(ours.dns.serial(zone), Some(1));
        }
        ours.kill();
    }
}

/// The script gives what it should: the test above would be easy to pass with primaries that give nothing.
#[test]
fn kills_are_made_among_real_differences() {
    let kind = &ZONES[1];
    let truth = Arc::new(Truth::default());
    truth.serial.store(2, Ordering::SeqCst);
    let ours = soa_with(kind.name, 1, TIMERS);
    let query = message::ixfr_query(7, &kind.name.parse().expect("a name"), &ours, None);
    assert_eq!(their_serial(&query), Some(1));
    let query = Query { over: Over::Tcp, qtype: reply::qtype(&query).expect("a question"), message: query, nth: 0 };
    let steps = script(kind, truth)(&query);
    assert_eq!(steps.iter().filter(|step| matches!(step, Step::Send(_))).count(), (2 * kind.records + 4).div_ceil(40));
}
