//! What every test does: zones that are well, then primaries that are not, then what must be seen from outside.

use std::collections::BTreeMap;
use std::time::Duration;

use secondaryd::dns::RecordType;
use serde_json::Value;

use crate::client;
use crate::daemon::{Entry, Secondaryd};
use crate::primary::{Primary, Query, Step};
use crate::reply;
use crate::wait::{self, SOON};

/// Time limits so short that a test of them takes a second.
pub(crate) const QUICK: &str = "idle-timeout = \"400ms\"\nconnect-timeout = \"300ms\"\n";
/// Limits nobody reaches by being slow on a busy machine.
pub(crate) const PATIENT: &str = "idle-timeout = \"20s\"\nconnect-timeout = \"20s\"\n";

/// How often a failing exchange is repeated to see that the log stays calm.
const REPETITIONS: usize = 4;
/// Lines above INFO that a zone may cause while the same failure repeats. IXFR and the AXFR in the same round may differ.
const LINES_MAX: usize = 2;

/// A daemon with zones, each with a primary of its own that can be told how to behave.
pub(crate) struct Stage {
    pub(crate) ours: Secondaryd,
    primaries: BTreeMap<String, Primary>,
}

/// One misbehaviour and its reason code.
pub(crate) struct Case {
    name: &'static str,
    code: &'static str,
    script: Script,
}

type Script = Box<dyn Fn(&Query, &str) -> Vec<Step> + Send + Sync>;

/// A primary that does `script` to every query; the second argument is the zone.
pub(crate) fn case(
    name: &'static str,
    code: &'static str,
    script: impl Fn(&Query, &str) -> Vec<Step> + Send + Sync + 'static,
) -> Case {
    Case { name, code, script: Box::new(script) }
}

/// A primary that shows serial 2, and does `script` when it is asked for a transfer.
pub(crate) fn transfer(
    name: &'static str,
    code: &'static str,
    script: impl Fn(&Query, &str) -> Vec<Step> + Send + Sync + 'static,
) -> Case {
    case(name, code, move |query, zone| match query.qtype {
        RecordType::SOA => vec![reply::Reply::to(query).with(&[reply::soa(zone, 2)]).send()],
        _ => script(query, zone),
    })
}

impl Stage {
    /// A zone `NAME.example` for each name, loaded with serial 1.
    #[track_caller]
    pub(crate) fn loaded(settings: &str, names: &[&str]) -> Stage {
        let mut ours = Secondaryd::reserve().with_settings(settings);
        let mut primaries = BTreeMap::new();
        for name in names {
            let zone = format!("{name}.example");
            let primary = Primary::start(reply::good(&zone, 1));
            ours = ours.with_zone(Entry::new(&zone, &[primary.address()]));
            primaries.insert(zone, primary);
        }
        let stage = Stage { ours: ours.started(), primaries };
        for zone in stage.zones() {
            stage.ours.dns.wait_serial(zone, 1, SOON);
        }
        stage
    }

    pub(crate) fn zones(&self) -> impl Iterator<Item = &str> {
        self.primaries.keys().map(String::as_str)
    }

    pub(crate) fn primary(&self, zone: &str) -> &Primary {
        &self.primaries[zone]
    }

    /// Asks the primaries now and gives the item of the first when everything has ended.
    #[track_caller]
    pub(crate) fn refreshed(&self, zone: &str) -> Value {
        self.refresh(zone);
        self.ours.settled(zone, 0)
    }

    /// Asks the primaries anew, now.
    #[track_caller]
    pub(crate) fn refresh(&self, zone: &str) {
        self.ours.settled(zone, 0);
        self.ours.expect("PUT", &format!("{}/axfr?mode=refresh", self.ours.zone_path(zone)), 202);
    }

    /// The old zone is served, and the daemon is well.
    #[track_caller]
    pub(crate) fn serves(&self, zone: &str, serial: u32) {
        assert_eq!(self.ours.dns.serial(zone), Some(serial), "{zone}");
        let mark = self.ours.dns.txt(client::Over::Udp, &format!("mark.{zone}"));
        assert_eq!(mark, Some(serial.to_string()), "{zone}");
    }

    /// The primary behaves again, and the zone follows without help but a word.
    #[track_caller]
    pub(crate) fn heals(&self, zone: &str, serial: u32) {
        self.primary(zone).play(reply::good(zone, serial));
        let item = self.refreshed(zone);
        assert_eq!(item["status"], "OK", "{zone}: {item:#}");
        self.serves(zone, serial);
    }

    /// Lines above DEBUG about `zone`.
    pub(crate) fn lines(&self, zone: &str) -> Vec<String> {
        let is_loud = |line: &&str| !line.contains("DEBUG") && line.contains(&format!("zone={zone}. "));
        self.ours.log().lines().filter(is_loud).map(str::to_owned).collect()
    }
}

/// Each case with a zone of its own: the old version stays served, the item has the code and the time of the next
/// attempt, an IXFR that failed is followed by an AXFR at once, the log stays calm while the failure repeats, and the
/// zone heals when the primary does.
#[track_caller]
pub(crate) fn survive(settings: &str, cases: Vec<Case>) {
    let names: Vec<&str> = cases.iter().map(|case| case.name).collect();
    let stage = Stage::loaded(settings, &names);
    let mut codes = BTreeMap::new();
    for Case { name, code, script } in cases {
        let zone = format!("{name}.example");
        codes.insert(zone.clone(), code);
        stage.primary(&zone).play({
            let zone = zone.clone();
            move |query| script(query, &zone)
        });
        stage.refresh(&zone);
    }
    for (zone, code) in &codes {
        let item = stage.ours.settled(zone, 0);
        let lagging = *code == "SERIAL_BEHIND";
        assert_eq!(item["errorCode"], *code, "{zone}: {item:#}\n{}", stage.ours.log());
        assert_eq!(item["status"], if lagging { "LAGGING" } else { "ERROR" }, "{zone}: {item:#}");
        assert!(item["errorMessage"].is_string() && item["nextAttempt"].is_string(), "{zone}: {item:#}");
        stage.serves(zone, 1);
        let mut asked = stage.primary(zone).seen_over_tcp();
        asked.retain(|qtype| *qtype != RecordType::SOA);
        asked.dedup();
        let expected: &[RecordType] = match asked.first() {
            None => &[],
            Some(_) if code.starts_with("TSIG_") || code.starts_with("CONNECT_") => &[RecordType::IXFR],
            Some(_) => &[RecordType::IXFR, RecordType::AXFR],
        };
        assert_eq!(asked, expected, "{zone}");
    }
    let quiet: BTreeMap<&String, usize> = codes.keys().map(|zone| (zone, stage.lines(zone).len())).collect();
    for _ in 1..REPETITIONS {
        codes.keys().for_each(|zone| stage.refresh(zone));
        for zone in codes.keys() {
            let item = stage.ours.settled(zone, 0);
            assert_eq!(item["errorCode"], codes[zone], "{zone}: {item:#}");
        }
    }
    for zone in codes.keys() {
        let lines = stage.lines(zone);
        let new = &lines[quiet[zone]..];
        assert!(new.is_empty(), "{zone}: repeated failures are no news: {new:#?}");
        let failures = lines.iter().filter(|line| line.contains("WARN") || line.contains("ERROR")).count();
        assert!(failures <= LINES_MAX, "{zone}: {lines:#?}");
        stage.serves(zone, 1);
    }
    let connections = || codes.keys().map(|zone| stage.primary(zone).connections()).sum::<usize>();
    wait::until_true("failed connections are closed", Duration::from_secs(20), || connections() == 0);
    for zone in codes.keys() {
        stage.heals(zone, 3);
    }
}
