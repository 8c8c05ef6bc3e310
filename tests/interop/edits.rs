//! Random edits of a zone: what comes as differences must end as what AXFR gives (RFC 1995 section 4:
//! the client replaces its old version by the new one). The seed is printed; `INTEROP_SEED` repeats a run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::compare::{assert_same_zone, zone_of};
use crate::peer::{Program, Setup};
use crate::primaries::pair;
use crate::random::Random;
use crate::wait::SOON;
use crate::zones::Zone;

const NAME: &str = "edits.example";
/// Edits of one zone, each with a NOTIFY.
const EDITS: u32 = 25;

#[test]
fn random_edits_end_as_what_axfr_gives() {
    let mut random = Random::seeded();
    for program in [Program::Knot, Program::Nsd, Program::Bind] {
        if !program.is_installed() {
            continue;
        }
        let mut model = Model::default();
        (0..60).for_each(|_| model.edit(&mut random));
        let mut differences = 0;
        let (mut peer, mut ours) = pair(Setup::primary(program), &[model.zone(1)]);
        ours.dns.wait_serial(NAME, 1, SOON);
        for serial in 2..2 + EDITS {
            (0..=random.below(12)).for_each(|_| model.edit(&mut random));
            peer.load(&model.zone(serial));
            ours.dns.wait_serial(NAME, serial, SOON);
            assert_same_zone(NAME, peer.address(), None, ours.address());
            let item = ours.wait_item(NAME, 0, "at the serial", |item| item["lastTransfer"]["toSerial"] == serial);
            let taken_as = item["lastTransfer"]["type"].as_str().expect("type");
            // NSD 4.6.1 makes a wrong difference now and then: it adds what is present. Then AXFR follows in the round.
            let nsd_was_wrong = program == Program::Nsd && item["lastError"]["code"] == "IXFR_INAPPLICABLE";
            assert!(taken_as == "IXFR" || nsd_was_wrong, "{program:?} {item:#}");
            assert_eq!(item["status"], "OK", "{program:?} {item:#}");
            differences += u32::from(taken_as == "IXFR");
        }
        // After a wrong difference, NSD is not asked for another for a while.
        assert!(differences == EDITS || program == Program::Nsd, "{program:?}: {differences} of {EDITS}");
        // And the disk has it all: snapshot and differences.
        let last = zone_of(peer.address(), NAME, None).expect("AXFR");
        peer.stop();
        ours.stop();
        ours.start();
        assert_eq!(zone_of(ours.address(), NAME, None).expect("AXFR"), last, "{program:?}, after a restart");
    }
}

/// Updates faster than anyone can follow: the last one is there in the end, with nothing lost on the way.
#[test]
fn a_burst_of_edits_ends_at_the_last() {
    let mut random = Random::seeded();
    for program in [Program::Knot, Program::Bind, Program::PowerDns] {
        if !program.is_installed() {
            continue;
        }
        let mut model = Model::default();
        (0..60).for_each(|_| model.edit(&mut random));
        let (mut peer, ours) = pair(Setup::primary(program), &[model.zone(1)]);
        for serial in 2..40 {
            (0..5).for_each(|_| model.edit(&mut random));
            peer.load(&model.zone(serial));
        }
        ours.dns.wait_serial(NAME, 39, SOON);
        assert_same_zone(NAME, peer.address(), None, ours.address());
        ours.wait_item(NAME, 0, "OK at 39", |item| item["status"] == "OK" && item["serial"] == 39);
    }
}

/// A zone as a set of RRsets.
#[derive(Default)]
struct Model {
    rrsets: BTreeMap<(String, &'static str), (u32, BTreeSet<String>)>,
    minimum: u32,
}

impl Model {
    /// Adds a record, removes one or a whole RRset, changes a TTL, or changes what a name is.
    fn edit(&mut self, random: &mut Random) {
        let owner = owner(random);
        let held = self.rrsets.keys().nth(random.below(self.rrsets.len().max(1) as u64) as usize).cloned();
        match (random.below(10), held) {
            (0, Some(key)) => {
                self.rrsets.remove(&key);
            }
            (1 | 2, Some(key)) => {
                let (_, data) = self.rrsets.get_mut(&key).expect("held");
                data.pop_first();
                if data.is_empty() {
                    self.rrsets.remove(&key);
                }
            }
            (3, Some(key)) => self.rrsets.get_mut(&key).expect("held").0 = ttl(random),
            (4, _) => {
                self.rrsets.retain(|(name, _), _| *name != owner);
                let target = format!("{}.{NAME}.", self::owner(random));
                self.rrsets.insert((owner, "CNAME"), (ttl(random), [target].into()));
            }
            (5, _) => self.minimum = random.below(1000) as u32,
            _ => {
                self.rrsets.remove(&(owner.clone(), "CNAME"));
                let (rtype, data) = match data(random) {
                    // BIND refuses NS at a wildcard.
                    ("NS", _) if owner.starts_with('*') => ("A", "192.0.2.7".to_owned()),
                    other => other,
                };
                let new_ttl = ttl(random);
                self.rrsets.entry((owner, rtype)).or_insert((new_ttl, BTreeSet::new())).1.insert(data);
            }
        }
    }

    fn zone(&self, serial: u32) -> Zone {
        let mut text = format!(
            "$ORIGIN {NAME}.\n@ 300 SOA ns hostmaster {serial} 86400 43200 1209600 {}\n@ 300 NS ns\nns 300 A 192.0.2.1\n",
            self.minimum
        );
        for ((owner, rtype), (ttl, records)) in &self.rrsets {
            for data in records {
                writeln!(text, "{owner} {ttl} {rtype} {data}").expect("text");
            }
        }
        Zone { name: NAME.to_owned(), text, serial }
    }
}

/// Names of one to three labels from a small set, so that they meet: parents, children, wildcards, empty non-terminals.
fn owner(random: &mut Random) -> String {
    let mut name = format!("{}x{}", ["", "sub", "Upper"][random.below(3) as usize], random.below(6));
    for _ in 0..random.below(3) {
        name = format!("y{}.{name}", random.below(4));
    }
    if random.below(10) == 0 { format!("*.{name}") } else { name }
}

fn ttl(random: &mut Random) -> u32 {
    [0, 1, 60, 300, 3600, 86_400, 0x7fff_ffff][random.below(7) as usize]
}

fn data(random: &mut Random) -> (&'static str, String) {
    let number = random.below(250);
    match random.below(9) {
        0 | 1 => ("A", format!("10.0.{}.{number}", random.below(3))),
        2 => ("AAAA", format!("2001:db8::{number:x}")),
        3 => ("TXT", format!("\"{}\" \"Mixed Case {number}\"", "t".repeat(number as usize))),
        4 => ("MX", format!("{number} Mail{}.{NAME}.", random.below(5))),
        5 => ("NS", format!("ns{}.{}.{NAME}.", random.below(5), owner(random).trim_start_matches("*."))),
        6 => ("SRV", format!("1 2 {number} sip.{NAME}.")),
        7 => ("CAA", format!("0 issue \"ca{number}.example.net\"")),
        _ => ("TYPE65400", format!("\\# 2 {number:02X}FF")),
    }
}
