//! The same misbehaviours, played to other secondaries: NSD, Knot DNS, BIND 9 and PowerDNS beside us, each as installed
//! and with its own defaults, watched from outside only.
//!
//! `BAD_PRIMARIES_PEERS=1 cargo test --test bad_primaries peers -- --nocapture` plays everything and prints the table
//! that stands in `src/manual/bad-primaries.md`; it takes about five minutes. Without the variable one good and one bad
//! primary show that the harness works. A server that is not installed is named and left out.
//!
//! [`scenarios`]: what is played, and what a sound secondary serves then; [`servers`]: how each program is told to be a
//! secondary; here: playing, watching, judging.

mod scenarios;
mod servers;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use secondaryd::dns::RecordType;

use crate::client::{Dns, Over};
use crate::primary::{self, Primary};
use crate::reply;
use crate::signed;
use crate::wait;

use scenarios::{Expect, Scenario};
use servers::{Program, Server};

/// How long a server is watched. Longer than the idle time of most (NSD: 120 s), so that hanging on is no matter of
/// defaults.
const WATCHED: Duration = Duration::from_secs(150);
/// How long it may take to follow its primary again.
const HEALS: Duration = Duration::from_secs(45);
/// More transfers than this in [`WATCHED`] are a loop.
const TRANSFERS_MAX: usize = 60;

/// What was seen of one zone at one server.
#[derive(Debug, Default)]
struct Seen {
    /// Every serial with its mark that was served; `None`: no authoritative answer.
    served: BTreeSet<(Option<u32>, Option<String>)>,
    last: (Option<u32>, Option<String>),
    /// It has had a connection to its primary.
    connected: bool,
    /// When it was first seen without one after that.
    closed_after: Option<Duration>,
    /// Transfers it asked for, in order, each kind once in a row; and how many.
    asked: Vec<RecordType>,
    transfers: usize,
    soa_queries: usize,
    heals: bool,
}

impl Seen {
    /// What was wrong, in a word each; nothing if it survived.
    fn faults(&self, scenario: &Scenario) -> Vec<String> {
        let mut faults = Vec::new();
        let version = |serial: u32| (Some(serial), Some(serial.to_string()));
        let allowed = match scenario.expect {
            Expect::Old => vec![version(1)],
            Expect::Taken | Expect::Either => vec![version(1), version(2)],
        };
        if let Some((serial, mark)) = self.served.iter().find(|served| !allowed.contains(served)) {
            let shown = serial.map_or("nothing".to_owned(), |serial| serial.to_string());
            let mark = mark.as_deref().unwrap_or("no mark");
            faults.push(format!("served {shown} ({mark})"));
        }
        if scenario.expect == Expect::Taken && self.last != version(2) {
            faults.push("new version not taken".to_owned());
        }
        if self.connected && self.closed_after.is_none() {
            faults.push("held on".to_owned());
        }
        if self.transfers > TRANSFERS_MAX {
            faults.push(format!("{} transfers", self.transfers));
        }
        if !self.heals {
            faults.push("did not follow again".to_owned());
        }
        faults
    }
}

struct Played {
    scenario: Scenario,
    primary: Primary,
    seen: Seen,
}

/// Plays all scenarios to one server, at once, each with a zone and a primary of its own.
fn play(program: Program, scenarios: Vec<Scenario>, watched: Duration) -> Vec<(Scenario, Seen)> {
    let mut played: Vec<Played> = scenarios
        .into_iter()
        .map(|scenario| {
            let zone = scenario.zone();
            let primary = match scenario.key {
                None => Primary::start(reply::good(&zone, 1)),
                Some(_) => Primary::start(scenarios::signed_well(&zone, 1)),
            };
            Played { scenario, primary, seen: Seen::default() }
        })
        .collect();
    let zones = played.iter().map(|it| (it.scenario.zone(), it.primary.address(), it.scenario.key)).collect::<Vec<_>>();
    let server = Server::start(program, &zones);
    for (zone, ..) in &zones {
        let loaded = wait::poll(Duration::from_secs(90), || (server.dns.serial(zone) == Some(1)).then_some(()));
        assert!(loaded.is_some(), "{program:?} does not load {zone} from a good primary\n{}", server.log());
    }
    for it in &mut played {
        let (zone, script) = (it.scenario.zone(), it.scenario.script.clone());
        it.primary.play(move |query| script(query, &zone));
    }
    let began = Instant::now();
    played.iter().for_each(|it| tell(&server, program, it, 2));
    while began.elapsed() < watched {
        watch(&server.dns, &mut played, began);
        thread::sleep(Duration::from_millis(500));
    }
    for it in &mut played {
        it.seen.asked = it.primary.seen_over_tcp().into_iter().filter(|qtype| *qtype != RecordType::SOA).collect();
        // The same again is the same query over another connection, or another round.
        it.seen.transfers = it.seen.asked.len();
        it.seen.asked.dedup();
        it.seen.soa_queries =
            it.primary.seen(primary::Over::Udp, RecordType::SOA) + it.primary.seen(primary::Over::Tcp, RecordType::SOA);
    }
    heal(&server, program, &mut played);
    played.into_iter().map(|it| (it.scenario, it.seen)).collect()
}

/// NOTIFY. With a key we want it signed (N4); the others are configured to take it as it is.
fn tell(server: &Server, program: Program, it: &Played, serial: u32) {
    let key = it.scenario.key.filter(|_| program == Program::Secondaryd).map(|_| signed::shared_key());
    it.primary.notify_signed(server.address, &it.scenario.zone(), serial, key.as_deref());
}

fn watch(dns: &Dns, played: &mut [Played], began: Instant) {
    for it in played {
        let zone = it.scenario.zone();
        // A version that comes between the two questions is no mix, and one lost answer no loss.
        let sample = || {
            let (serial, mark) = (dns.serial(&zone), dns.txt(Over::Tcp, &format!("mark.{zone}")));
            (serial.is_some() && mark.is_some() && serial == dns.serial(&zone)).then_some((serial, mark))
        };
        it.seen.last = (0..3)
            .find_map(|_| sample())
            .unwrap_or_else(|| (dns.serial(&zone), dns.txt(Over::Tcp, &format!("mark.{zone}"))));
        it.seen.served.insert(it.seen.last.clone());
        match it.primary.connections() {
            0 if it.seen.connected => _ = it.seen.closed_after.get_or_insert(began.elapsed()),
            0 => {}
            _ => it.seen.connected = true,
        }
        if !it.scenario.hangs {
            // Unused connections may be kept; only where the primary is still at it they must end.
            it.seen.closed_after = Some(began.elapsed());
        }
    }
}

/// The primaries are well again and say so.
fn heal(server: &Server, program: Program, played: &mut [Played]) {
    for it in played.iter() {
        let zone = it.scenario.zone();
        match it.scenario.key {
            None => it.primary.play(reply::good(&zone, 3)),
            Some(_) => it.primary.play(scenarios::signed_well(&zone, 3)),
        }
    }
    let began = Instant::now();
    let mut told: Option<Instant> = None;
    while began.elapsed() < HEALS && played.iter().any(|it| !it.seen.heals) {
        if told.is_none_or(|told| told.elapsed() > Duration::from_secs(5)) {
            told = Some(Instant::now());
            played.iter().filter(|it| !it.seen.heals).for_each(|it| tell(server, program, it, 3));
        }
        for it in played.iter_mut().filter(|it| !it.seen.heals) {
            it.seen.heals = server.dns.serial(&it.scenario.zone()) == Some(3);
        }
        thread::sleep(Duration::from_millis(200));
    }
}

fn table(results: &BTreeMap<Program, Vec<(Scenario, Seen)>>) -> String {
    let mut text = "| B | primary |".to_owned();
    results.keys().for_each(|program| _ = write!(text, " {} |", program.name()));
    text += "\n| --- | --- |";
    results.keys().for_each(|_| text += " --- |");
    let Some(first) = results.values().next() else { return text };
    for (n, (scenario, _)) in first.iter().enumerate() {
        let _ = write!(text, "\n| {} | {} |", scenario.number, scenario.what);
        for results in results.values() {
            let (scenario, seen) = &results[n];
            let faults = seen.faults(scenario);
            let cell = if faults.is_empty() { "survives".to_owned() } else { faults.join("; ") };
            let _ = write!(text, " {cell} |");
        }
    }
    text += "\n| | **survived** |";
    for results in results.values() {
        let survived = results.iter().filter(|(scenario, seen)| seen.faults(scenario).is_empty()).count();
        let _ = write!(text, " **{survived} of {}** |", results.len());
    }
    text += "\n| | a failed IXFR is followed by AXFR |";
    for results in results.values() {
        let began = |it: &&(Scenario, Seen)| it.0.fails_ixfr && it.1.asked.first() == Some(&RecordType::IXFR);
        let failed: Vec<_> = results.iter().filter(began).collect();
        let followed = failed.iter().filter(|(_, seen)| seen.asked.get(1) == Some(&RecordType::AXFR)).count();
        let _ = write!(text, " {followed} of {} |", failed.len());
    }
    text
}

/// The public table. We have to survive everything; the others do what they do.
#[test]
fn peers_face_the_same_primaries() {
    let is_whole = std::env::var_os("BAD_PRIMARIES_PEERS").is_some();
    let programs = Program::ALL.into_iter().filter(|program| program.is_installed());
    let handles: Vec<_> = programs
        .map(|program| {
            thread::spawn(move || {
                let mut scenarios = scenarios::all();
                let mut watched = WATCHED;
                if !is_whole {
                    scenarios.retain(|scenario| scenario.name == "cut" || scenario.name == "noixfr");
                    watched = Duration::from_secs(3);
                }
                (program, play(program, scenarios, watched))
            })
        })
        .collect();
    let results: BTreeMap<Program, Vec<(Scenario, Seen)>> =
        handles.into_iter().map(|handle| handle.join().expect("its own panic is printed")).collect();
    println!("{}", table(&results));
    for (program, results) in &results {
        for (scenario, seen) in results {
            println!("{program:?} {}: {seen:?}", scenario.name);
        }
    }
    for (scenario, seen) in &results[&Program::Secondaryd] {
        let faults = seen.faults(scenario);
        assert!(faults.is_empty(), "{} ({}): {faults:?} {seen:?}", scenario.number, scenario.what);
    }
    if !is_whole {
        return;
    }
    assert!(results.len() > 1, "no peer is installed");
}
