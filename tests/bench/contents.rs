//! Zones that are made, not read: the same for every bench of this folder, of any size, equal from run to run.
//!
//! A zone of N records has a SOA, an NS and then hosts: `h0 A`, `h0 AAAA`, `h1 A`, ... Every sixteenth host (or as many as
//! is said) is a delegation `h15 NS ns.h15` with glue instead. The *mark* is the first octet of every address of a version, so two
//! versions with different marks share nothing but names.
#![allow(dead_code, reason = "part of each bench program that names it; not every program uses all of it")]

use secondaryd::dns::{Name, Record, RecordType};
use secondaryd::zone::{Builder, Diff, DiffBuilder, HashKey, Limits, Snapshot, between};

/// The hash key of all benches.
pub(crate) const KEY: HashKey = HashKey::from_bytes(*b"benches of zones");

/// Every how many hosts there is a delegation, if nothing else is said.
pub(crate) const DELEGATION_EVERY: usize = 16;

/// The contents of one version of a zone.
#[derive(Clone, Debug)]
pub(crate) struct Contents {
    /// Its name.
    pub(crate) apex: Name,
    /// Its serial.
    pub(crate) serial: u32,
    /// Records, the SOA once; at least 4.
    pub(crate) records: usize,
    /// Every how many hosts there is a delegation; 1 makes a zone like that of a registry.
    pub(crate) delegation_every: usize,
    /// The first octet of every address.
    pub(crate) mark: u8,
    /// Of so many hosts, spread over the zone, those that are no delegations have lost their second record.
    pub(crate) bereft: usize,
    /// Hosts between the others: an A record each.
    pub(crate) additions: usize,
}

impl Contents {
    /// Serial 1.
    pub(crate) fn new(apex: &str, records: usize) -> Contents {
        let apex = apex.parse().expect("a name");
        Contents { apex, serial: 1, records, delegation_every: DELEGATION_EVERY, mark: 10, bereft: 0, additions: 0 }
    }

    /// Labels left of the apex of the host with this number.
    pub(crate) fn host(number: usize) -> Vec<u8> {
        let label = format!("h{number}");
        [&[label.len() as u8], label.as_bytes()].concat()
    }

    fn is_delegation(&self, host: usize) -> bool {
        host % self.delegation_every == self.delegation_every - 1
    }

    /// How far the owners that change lie from each other: Knot 3.2.6 overflows its stack when 5,000 neighbours come.
    fn stride(&self) -> usize {
        (self.hosts() / 12_000).max(1) | 1
    }

    fn is_bereft(&self, host: usize) -> bool {
        let stride = self.stride();
        host.is_multiple_of(stride) && host / stride < self.bereft && !self.is_delegation(host)
    }

    /// How many hosts there are, delegations counted.
    pub(crate) fn hosts(&self) -> usize {
        // two records a host
        (self.records - 2) / 2
    }

    /// Every record, the SOA first.
    pub(crate) fn all(&self) -> impl Iterator<Item = Record> {
        let record = |owner: Name, rtype, rdata: Vec<u8>| Record { owner, rtype, ttl: 3_600, rdata: rdata.into() };
        let below = |relative: &[u8]| Name::from_relative(relative, &self.apex).expect("a short name");
        let head = [
            record(self.apex.clone(), RecordType::SOA, self.soa()),
            record(self.apex.clone(), RecordType::NS, below(b"\x02h0").as_wire().to_vec()),
        ];
        let stays = |&(host, second): &(usize, bool)| !second || !self.is_bereft(host);
        let hosts = (0..self.records - 2).map(|n| (n / 2, n % 2 == 1)).filter(stays);
        let hosts = hosts.map(move |(host, second)| {
            let (owner, mark) = (Contents::host(host), self.mark);
            let [_, a, b, c] = (host as u32).to_be_bytes();
            if self.is_delegation(host) {
                let server = below(&[b"\x02ns", &owner[..]].concat());
                return match second {
                    false => record(below(&owner), RecordType::NS, server.as_wire().to_vec()),
                    true => record(server, RecordType::A, vec![mark, a, b, c]),
                };
            }
            match second {
                false => record(below(&owner), RecordType::A, vec![mark, a, b, c]),
                true => {
                    let address = [&[0x20, 1, 0xd, 0xb8, mark, 0, 0, 0, 0, 0, 0, 0], &[0, a, b, c][..]].concat();
                    record(below(&owner), RecordType::AAAA, address)
                }
            }
        });
        let more = (0..self.additions).map(|n| self.extra(n));
        head.into_iter().chain(hosts).chain(more)
    }

    /// The rdata of the SOA. Its timers are so long that only a NOTIFY explains an update.
    fn soa(&self) -> Vec<u8> {
        let mut soa = [b"\x02ns\x00".as_slice(), b"\x04host\x00"].concat();
        for field in [self.serial, 86_400, 43_200, 1_209_600, 300] {
            soa.extend_from_slice(&field.to_be_bytes());
        }
        soa
    }

    /// The version, built.
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.snapshot_on(None)
    }

    /// The version, built to replace `old`.
    pub(crate) fn snapshot_on(&self, old: Option<&Snapshot>) -> Snapshot {
        let mut builder = Builder::new(self.apex.clone(), KEY, Limits::default());
        for record in self.all() {
            builder.add(record.borrow()).expect("a record that belongs to the zone");
        }
        builder.finish(old).expect("a zone").0
    }

    /// The version after this one: `changes` records deleted or added beside the SOA, each at another owner. One change
    /// is an addition, of more one half deletes.
    pub(crate) fn changed(&self, changes: usize) -> Contents {
        // a difference longer than the zone is not worth sending
        let changes = changes.min(self.records / 2);
        let deleted = changes / 2;
        let bereft =
            (self.bereft + deleted + deleted / (self.delegation_every - 1).max(1)).min(self.hosts() / self.stride());
        let additions = self.additions + changes.div_ceil(2);
        Contents { serial: self.serial + 1, bereft, additions, ..self.clone() }
    }

    /// The difference from `before`, of which this is [`Contents::changed`] by one.
    pub(crate) fn one_more(&self, before: &Contents) -> Diff {
        let soa = |contents: &Contents| contents.all().next().expect("the SOA is the first");
        let mut diff = DiffBuilder::new(soa(before).borrow());
        diff.add(self.extra(self.additions - 1).borrow()).expect("a small record");
        diff.finish(soa(self).borrow()).expect("a difference")
    }

    /// The record of an addition.
    fn extra(&self, number: usize) -> Record {
        let label = format!("h{}x{number}", number * self.stride());
        let relative = [&[label.len() as u8], label.as_bytes()].concat();
        let owner = Name::from_relative(&relative, &self.apex).expect("a short name");
        Record { owner, rtype: RecordType::A, ttl: 3_600, rdata: vec![192, 0, 2, number as u8].into() }
    }
}

/// The difference between two built versions.
pub(crate) fn difference(old: &Snapshot, new: &Snapshot) -> Diff {
    between(old, new)
}

/// Numbers below `n`, the same in every run; uniform.
pub(crate) fn uniform(n: usize) -> impl FnMut() -> usize {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    move || {
        // splitmix64
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = state;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) % n as u64) as usize
    }
}

/// Numbers below `n` by Zipf's law with exponent 1: number k about 1/k as often as the first.
pub(crate) fn zipf(n: usize) -> impl FnMut() -> usize {
    let mut next = uniform(1 << 30);
    move || {
        let u = next() as f64 / (1u64 << 30) as f64;
        ((n as f64).powf(u) as usize).saturating_sub(1).min(n - 1)
    }
}
