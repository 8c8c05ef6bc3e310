//! What is measured, step by step. Each step starts its contenders, puts rows into the report and ends them.
//!
//! Every wait has a limit; a contender that misses it is told of on stderr and has no row.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use secondaryd::dns::edns::Opt;
use secondaryd::dns::{Name, RecordType, message, zonefile};
use secondaryd::zone::{Builder, Diff, Limits};

use crate::ask;
use crate::contender::{Contender, Who, cpu_of, pin, pin_this_thread};
use crate::contents::{Contents, DELEGATION_EVERY, KEY, difference, uniform};
use crate::floor::{Echo, Reader};
use crate::load::{Answered, latencies, over_tcp, over_udp, quantile};
use crate::primary::{Primary, Version};
use crate::report::Report;
use crate::{Plan, address};

/// Nothing here takes so long, unless something is wrong.
const LONG: Duration = Duration::from_secs(180);
const MILLION: f64 = 1e6;

/// The zone that is measured.
const APEX: &str = "big.example";

fn start(plan: &Plan, who: Who, primary: &Primary, zones: &[String], workers: usize) -> Contender {
    let mut contender = Contender::prepare(who, primary.address, zones, workers);
    contender.calm = plan.calm;
    contender.launch();
    if workers == 1 && plan.cores > 1 {
        contender.pin(0);
    }
    contender
}

/// Contenders, and the floor first: what is in the page cache is there for all of them.
fn with_floor(plan: &Plan) -> impl Iterator<Item = Who> {
    std::iter::once(Who::Floor).chain(plan.contenders.iter().copied())
}

fn failed(contender: &Contender, what: &str, why: &str) {
    eprintln!("{}: {what}: {why}\n{}", contender.who.name(), contender.log());
}

/// One zone at each size: taken in, changed, replaced, read back from disk, and what it costs.
pub(crate) fn zone(plan: &Plan, report: &mut Report) {
    for &records in &plan.records {
        let mut contents = Contents::new(APEX, records);
        let primary = Primary::start(address::ipv4());
        let mut version = Version::new(contents.snapshot(), Vec::new());
        version.record();
        primary.set(version.clone());
        let mut running = Vec::new();
        for repetition in 0..plan.repetitions {
            for who in with_floor(plan) {
                let began = Instant::now();
                let mut contender = start(plan, who, &primary, &[APEX.to_owned()], plan.cores);
                match ask::until_serial(contender.address, &contents.apex, contents.serial, began, LONG) {
                    Ok(took) => report.add("AXFR: start to first answer", "s", records, who, took.as_secs_f64()),
                    Err(why) => {
                        failed(&contender, "AXFR", &why);
                        continue;
                    }
                }
                contender.rest();
                report.add("AXFR: processor time", "s", records, who, contender.cpu());
                let written = contender.written() as f64 / MILLION;
                report.add_kept("AXFR: written to disk", "MB", records, who, written);
                if repetition + 1 == plan.repetitions {
                    running.push(contender);
                } else {
                    contender.kill();
                }
            }
        }
        changes(plan, report, &primary, &mut contents, &mut version, &running);
        // as they are when nothing has happened for a while
        for contender in &mut running {
            restart(report, &primary, contender, &contents);
        }
        for contender in &running {
            let memory = contender.memory() as f64;
            report.add_kept("memory at rest", "MB", records, contender.who, memory / MILLION);
        }
        let queries = queries(&contents, false);
        for repetition in 1..=plan.repetitions as u8 {
            contents = Contents { serial: contents.serial + 1, mark: 10 + repetition, ..contents };
            replace(plan, report, &primary, &contents, &queries, &running);
        }
    }
}

/// From the NOTIFY to the new serial in an answer, and what such a change writes.
fn changes(
    plan: &Plan,
    report: &mut Report,
    primary: &Primary,
    contents: &mut Contents,
    version: &mut Arc<Version>,
    running: &[Contender],
) {
    let records = contents.records;
    // First: what larger ones leave to be tidied up is not of these.
    let before: Vec<u64> = running.iter().map(Contender::written).collect();
    for _ in 0..plan.written {
        advance(primary, contents, version, 1);
        for contender in running {
            ask::notify(contender.address, &version.snapshot);
            let began = Instant::now();
            if let Err(why) = ask::until_serial(contender.address, &contents.apex, contents.serial, began, LONG) {
                failed(contender, "one of many IXFRs", &why);
            }
        }
    }
    for (contender, before) in running.iter().zip(before) {
        contender.quiet();
        let written = (contender.written() - before) as f64 / plan.written.max(1) as f64;
        report.add_kept("written to disk for an IXFR of 1 change", "kB", records, contender.who, written / 1e3);
    }
    let kinds = [(1, "IXFR of 1 change"), (100, "IXFR of 100 changes"), (10_000, "IXFR of 10,000 changes")];
    for (changes, what) in kinds {
        for _ in 0..plan.repetitions {
            advance(primary, contents, version, changes);
            for contender in running {
                let before = primary.sent().0;
                let began = Instant::now();
                ask::notify(contender.address, &version.snapshot);
                match ask::until_serial(contender.address, &contents.apex, contents.serial, began, LONG) {
                    Ok(took) if primary.sent().0 == before => {
                        report.add(what, "ms", records, contender.who, took.as_secs_f64() * 1e3);
                    }
                    Ok(_) => eprintln!("{}: {what}: came as the whole zone", contender.who.name()),
                    Err(why) => failed(contender, what, &why),
                }
                contender.quiet();
            }
        }
    }
}

/// The next version, which the primary can also send as a difference.
fn advance(primary: &Primary, contents: &mut Contents, version: &mut Arc<Version>, changes: usize) {
    let next = contents.changed(changes);
    let (snapshot, diff): (_, Diff) = if changes == 1 {
        // Small ones are made in the shape of a difference, so that a zone of any size takes no time here.
        let diff = next.one_more(contents);
        (secondaryd::zone::apply(&version.snapshot, std::slice::from_ref(&diff)).expect("applies").0, diff)
    } else {
        let snapshot = next.snapshot_on(Some(&version.snapshot));
        let diff = difference(&version.snapshot, &snapshot);
        (snapshot, diff)
    };
    *version = version.followed_by(snapshot, diff);
    *contents = next;
    primary.set(version.clone());
}

/// Killed at rest, then started while the primary is down.
fn restart(report: &mut Report, primary: &Primary, contender: &mut Contender, contents: &Contents) {
    contender.rest();
    contender.kill();
    primary.set_silent(true);
    let began = Instant::now();
    contender.launch();
    match ask::until_serial(contender.address, &contents.apex, contents.serial, began, LONG) {
        Ok(took) => {
            report.add("restart from disk", "s", contents.records, contender.who, took.as_secs_f64());
        }
        Err(why) => failed(contender, "restart", &why),
    }
    primary.set_silent(false);
    contender.quiet();
}

/// A new version of which every address differs, as a whole zone: the peak of memory, and the slowest queries meanwhile.
fn replace(
    plan: &Plan,
    report: &mut Report,
    primary: &Primary,
    contents: &Contents,
    queries: &[Vec<u8>],
    running: &[Contender],
) {
    let records = contents.records;
    let version = Version::new(contents.snapshot(), Vec::new());
    version.record();
    primary.set(version.clone());
    for contender in running {
        contender.quiet();
        let written = contender.written();
        let (peak, over) = (contender.peak(), AtomicBool::new(false));
        let (outcome, mut times) = std::thread::scope(|scope| {
            let asked = scope.spawn(|| latencies(contender.address, queries, plan.interval, &over));
            let began = Instant::now();
            ask::notify(contender.address, &version.snapshot);
            let outcome = ask::until_serial(contender.address, &contents.apex, contents.serial, began, LONG);
            over.store(true, Ordering::Relaxed);
            (outcome, asked.join().expect("no panic"))
        });
        contender.rest();
        let peak = peak.end();
        match outcome {
            Ok(took) => {
                let who = contender.who;
                report.add("replaced by AXFR: NOTIFY to answer", "s", records, who, took.as_secs_f64());
                report.add_kept("replaced by AXFR: peak of memory", "MB", records, who, peak as f64 / MILLION);
                let written = (contender.written() - written) as f64 / MILLION;
                report.add_kept("replaced by AXFR: written to disk", "MB", records, who, written);
                report.add_kept(UNDER_AXFR, "ms", records, who, quantile(&mut times, 0.999));
            }
            Err(why) => failed(contender, "replacement", &why),
        }
    }
}

/// Many zones of ten records: started cold, told of a change of each, started again from disk.
pub(crate) fn many(plan: &Plan, report: &mut Report) {
    for &zones in &plan.zones {
        let names: Vec<String> = (0..zones).map(|n| format!("zone{n}.example")).collect();
        let mut all: Vec<Contents> = names.iter().map(|name| Contents::new(name, 10)).collect();
        let apexes: Vec<Name> = all.iter().map(|contents| contents.apex.clone()).collect();
        for who in with_floor(plan) {
            let primary = Primary::start(address::ipv4());
            all.iter_mut().for_each(|contents| *contents = Contents { serial: 1, additions: 0, ..contents.clone() });
            let mut versions: Vec<_> =
                all.iter().map(|contents| Version::new(contents.snapshot(), Vec::new())).collect();
            versions.iter().for_each(|version| primary.set(version.clone()));
            let began = Instant::now();
            let mut contender = start(plan, who, &primary, &names, plan.cores);
            let missing = ask::until_all(contender.address, &apexes, Some(1), LONG);
            if missing > 0 {
                failed(&contender, "cold start", &format!("{missing} of {zones} zones are not there after {LONG:?}"));
                continue;
            }
            report.add("many zones: cold start", "s", zones, who, began.elapsed().as_secs_f64());
            contender.rest();
            report.add("many zones: processor time", "s", zones, who, contender.cpu());
            let each = contender.memory() as f64 / zones as f64 / 1e3;
            report.add_kept("many zones: memory for each", "kB", zones, who, each);

            for (contents, version) in all.iter_mut().zip(&mut versions) {
                advance(&primary, contents, version, 1);
            }
            let began = Instant::now();
            let unheard = ask::notify_all(contender.address, versions.iter().map(|version| &version.snapshot), LONG);
            let missing = ask::until_all(contender.address, &apexes, Some(2), LONG / 3);
            report.add(
                "many zones: NOTIFY for each, until all are new",
                "s",
                zones,
                who,
                began.elapsed().as_secs_f64(),
            );
            report.add("many zones: not new after a minute", "zones", zones, who, (missing + unheard) as f64);

            contender.rest();
            contender.stop();
            primary.set_silent(true);
            let began = Instant::now();
            contender.launch();
            let missing = ask::until_all(contender.address, &apexes, (missing == 0).then_some(2), LONG);
            if missing == 0 {
                report.add("many zones: restart from disk", "s", zones, who, began.elapsed().as_secs_f64());
            } else {
                failed(&contender, "restart", &format!("{missing} of {zones} zones are not there"));
            }
            contender.quiet();
            let each = contender.memory() as f64 / zones as f64 / 1e3;
            report.add_kept("many zones: memory for each, restarted", "kB", zones, who, each);
        }
    }
}

/// Queries of the big zone in random order: 70 % hosts, 20 % names that are not there, 10 % below delegations.
fn queries(contents: &Contents, dnssec_ok: bool) -> Vec<Vec<u8>> {
    let hosts = contents.hosts();
    let (mut kind, mut number) = (uniform(10), uniform(hosts));
    let one = |_| {
        let host = number();
        let below = DELEGATION_EVERY - 1;
        let relative = match kind() {
            0 if host | below < hosts => [b"\x03www", &Contents::host(host | below)[..]].concat(),
            1 | 2 => Contents::host(host + hosts),
            _ => Contents::host(host & !1),
        };
        query(&relative, &contents.apex, dnssec_ok)
    };
    (0..100_000.min(hosts * 20)).map(one).collect()
}

fn query(relative: &[u8], apex: &Name, dnssec_ok: bool) -> Vec<u8> {
    let name = Name::from_relative(relative, apex).expect("a short name");
    let mut opt = Opt::default();
    opt.dnssec_ok = dnssec_ok;
    message::query(7, &name, RecordType::A, Some(&opt))
}

/// Processor time for one query, the server on one core and the generator on another.
pub(crate) fn cost(plan: &Plan, report: &mut Report) {
    for &records in &plan.records {
        let contents = Contents::new(APEX, records);
        let queries = queries(&contents, false);
        let version = Version::new(contents.snapshot(), Vec::new());
        let is_largest = Some(&records) == plan.records.last();
        cost_of(plan, report, &[version], &queries, ("UDP query", is_largest.then_some("TCP query"), records));
    }
    let (version, apex) = signed();
    let mut kind = uniform(10);
    let signed_queries: Vec<_> = (0..20_000)
        .map(|n| match kind() {
            0..3 => query(&Contents::host(n), &apex, true),
            _ => query([b"\x04mail", &b"\x03ns1"[..], b"\x03ns2"][n % 3], &apex, true),
        })
        .collect();
    cost_of(plan, report, &[version], &signed_queries, ("UDP query, signed zone and DO", None, 0));
    for &zones in &plan.zones {
        let all: Vec<_> = (0..zones).map(|n| Contents::new(&format!("zone{n}.example"), 10)).collect();
        let versions: Vec<_> = all.iter().map(|contents| Version::new(contents.snapshot(), Vec::new())).collect();
        let mut number = uniform(zones);
        let queries: Vec<_> = (0..100_000).map(|_| query(b"\x02h1", &all[number()].apex, false)).collect();
        cost_of(plan, report, &versions, &queries, ("UDP query, many zones", None, zones));
    }
}

/// The fixture with NSEC3 and opt-out.
fn signed() -> (Arc<Version>, Name) {
    let apex: Name = "signed-nsec3.example".parse().expect("a name");
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/zones/signed-nsec3.zone");
    let text = std::fs::read(path).expect("the fixture");
    let mut builder = Builder::new(apex.clone(), KEY, Limits::default());
    for record in zonefile::parse(text, &apex).expect("records") {
        builder.add(record.borrow()).expect("a record");
    }
    (Version::new(builder.finish(None).expect("a zone").0, Vec::new()), apex)
}

fn cost_of(
    plan: &Plan,
    report: &mut Report,
    versions: &[Arc<Version>],
    queries: &[Vec<u8>],
    (udp, tcp, size): (&'static str, Option<&'static str>, usize),
) {
    let primary = Primary::start(address::ipv4());
    versions.iter().for_each(|version| primary.set(version.clone()));
    let apexes: Vec<Name> = versions.iter().map(|version| version.snapshot.apex().clone()).collect();
    let names: Vec<String> = apexes.iter().map(Name::without_dot).collect();
    let serial = versions[0].snapshot.serial().0;
    for &who in &plan.contenders {
        let contender = start(plan, who, &primary, &names, 1);
        if ask::until_all(contender.address, &apexes, Some(serial), LONG) > 0 {
            failed(&contender, udp, "zones are missing");
            continue;
        }
        contender.rest();
        contender.pin(0);
        for _ in 0..plan.repetitions {
            let one = |queries: &[Vec<u8>], time| on_other_core(plan, || over_udp(contender.address, queries, time));
            one(queries, plan.time / 5);
            let before = contender.cpu();
            let answered = one(queries, plan.time);
            assert_eq!(answered.rcodes[2], 0, "{}: only NOERROR and NXDOMAIN", who.name());
            report.add(udp, "us", size, who, each(&answered, contender.cpu() - before));
            if let Some(tcp) = tcp {
                let before = contender.cpu();
                match on_other_core(plan, || over_tcp(contender.address, queries, plan.time)) {
                    Ok(answered) => report.add(tcp, "us", size, who, each(&answered, contender.cpu() - before)),
                    Err(why) => failed(&contender, tcp, &why.to_string()),
                }
            }
        }
    }
    let echo = Echo::start();
    pin(echo.process.id(), 0);
    on_other_core(plan, || over_udp(echo.address, queries, plan.time / 5));
    let before = cpu_of(echo.process.id());
    let answered = on_other_core(plan, || over_udp(echo.address, queries, plan.time));
    report.add(udp, "us", size, Who::Floor, each(&answered, cpu_of(echo.process.id()) - before));
}

fn each(answered: &Answered, cpu: f64) -> f64 {
    cpu / answered.queries.max(1) as f64 * MILLION
}

/// Runs `load` in a thread of its own, on the second core if there is one.
fn on_other_core<T: Send>(plan: &Plan, load: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            if plan.cores > 1 {
                pin_this_thread(1);
            }
            load()
        });
        thread.join().expect("no panic")
    })
}

/// How long queries take while nothing else happens, and while a thousand differences a second arrive.
pub(crate) fn latency(plan: &Plan, report: &mut Report) {
    let records = *plan.records.last().expect("a size");
    let big = Contents::new(APEX, records);
    let queries = queries(&big, false);
    let small: Vec<String> = (0..plan.changing).map(|n| format!("zone{n}.example")).collect();
    let names: Vec<String> = small.iter().cloned().chain([APEX.to_owned()]).collect();
    for &who in &plan.contenders {
        let primary = Primary::start(address::ipv4());
        primary.set(Version::new(big.snapshot(), Vec::new()));
        let mut all: Vec<Contents> = small.iter().map(|name| Contents::new(name, 10)).collect();
        let mut versions: Vec<_> = all.iter().map(|contents| Version::new(contents.snapshot(), Vec::new())).collect();
        versions.iter().for_each(|version| primary.set(version.clone()));
        let contender = start(plan, who, &primary, &names, plan.cores);
        let apexes: Vec<Name> = all.iter().map(|contents| contents.apex.clone()).chain([big.apex.clone()]).collect();
        if ask::until_all(contender.address, &apexes, Some(1), LONG) > 0 {
            failed(&contender, "latency", "zones are missing");
            continue;
        }
        contender.rest();
        let server = contender.address;
        for _ in 0..plan.repetitions {
            let mut idle = while_doing(plan, server, &queries, || std::thread::sleep(plan.time));
            report.add(IDLE, "ms", records, who, quantile(&mut idle, 0.999));
            let before = primary.sent().1;
            let mut began = Instant::now();
            let mut busy = while_doing(plan, server, &queries, || {
                began = Instant::now();
                at_rate(plan, |number| {
                    let zone = number % all.len();
                    advance(&primary, &mut all[zone], &mut versions[zone], 1);
                    ask::notify(server, &versions[zone].snapshot);
                });
            });
            let rate = (primary.sent().1 - before) as f64 / began.elapsed().as_secs_f64();
            println!("{:10}  fetched {rate:.0} differences a second", who.name());
            report.add(UNDER_IXFRS, "ms", records, who, quantile(&mut busy, 0.999));
        }
    }
    latency_of_echo(plan, report, &big, &small, &queries);
}

const IDLE: &str = "p99.9 of queries, idle";
const UNDER_IXFRS: &str = "p99.9 of queries under IXFRs";
const UNDER_AXFR: &str = "p99.9 of queries during that AXFR";

/// The same of an echo, while a client that keeps nothing reads from the primary what a secondary would have to take in.
fn latency_of_echo(plan: &Plan, report: &mut Report, big: &Contents, small: &[String], queries: &[Vec<u8>]) {
    let (records, primary, echo) = (big.records, Primary::start(address::ipv4()), Echo::start());
    let whole = Version::new(big.snapshot(), Vec::new());
    whole.record();
    primary.set(whole.clone());
    let mut all: Vec<Contents> = small.iter().map(|name| Contents::new(name, 10)).collect();
    let mut versions: Vec<_> = all.iter().map(|contents| Version::new(contents.snapshot(), Vec::new())).collect();
    let mut reader = Reader::new(&primary);
    for _ in 0..plan.repetitions {
        let mut idle = while_doing(plan, echo.address, queries, || std::thread::sleep(plan.time));
        report.add(IDLE, "ms", records, Who::Floor, quantile(&mut idle, 0.999));
        let mut busy = while_doing(plan, echo.address, queries, || {
            at_rate(plan, |number| {
                let zone = number % all.len();
                let old = versions[zone].clone();
                advance(&primary, &mut all[zone], &mut versions[zone], 1);
                let octets = versions[zone].difference_octets(&old);
                reader.ixfr(&old, octets);
            });
        });
        report.add(UNDER_IXFRS, "ms", records, Who::Floor, quantile(&mut busy, 0.999));
        let mut busy = while_doing(plan, echo.address, queries, || {
            let began = Instant::now();
            while began.elapsed() < plan.time {
                reader.axfr(&whole);
            }
        });
        report.add(UNDER_AXFR, "ms", records, Who::Floor, quantile(&mut busy, 0.999));
    }
}

/// Does something as often as the plan says, for as long as it says.
fn at_rate(plan: &Plan, mut doing: impl FnMut(usize)) {
    let (began, mut number) = (Instant::now(), 0);
    while began.elapsed() < plan.time {
        // in bursts of ten, so that the sleep between them is long enough to be kept
        for _ in 0..10 {
            doing(number);
            number += 1;
        }
        let due = Duration::from_secs_f64(number as f64 / plan.rate);
        std::thread::sleep(due.saturating_sub(began.elapsed()));
    }
}

fn while_doing(plan: &Plan, server: SocketAddr, queries: &[Vec<u8>], doing: impl FnOnce()) -> Vec<f64> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| latencies(server, queries, plan.interval, &over));
        doing();
        over.store(true, Ordering::Relaxed);
        asked.join().expect("no panic")
    })
}
