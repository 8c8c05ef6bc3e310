//! Records in any order -> the first version of a zone, or a replacement that shares what did not change.
//!
//! In: records of a full transfer, a zone file or local entries, one by one; nothing is looked at twice before
//! [`Builder::finish`]. Out: a [`Snapshot`] and [`Findings`]. Called by `transfer::inbound` (add), `control::commit` and `local`
//! (finish). Decides nothing about policy: see [`super::check()`]. Cost: one hash and one copy for each record, then what
//! `parts` says; no allocation for single records.

use std::collections::BTreeMap;

use super::directory::{SLOTS, root_slot};
use super::encode::{Item, in_domain};
use super::entry::GLUE;
use super::hash::HashKey;
use super::page::Page;
use super::partition::{Partition, Stored};
use super::parts::{self, Part, Zone};
use super::snapshot::{Snapshot, Soa};
use super::spill::{self, Spills};
use crate::dns::name::{LABELS_MAX, NAME_OCTETS_MAX, label_starts, write_presentation};
use crate::dns::{Name, RecordRef, RecordType};
use crate::reason::{Code, Reason};

/// Bounds of one zone; crossing one gives the reason that names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Octets of all records in wire form with names in full (`LIMIT_BYTES`).
    pub octets_max: u64,
    /// Records (`LIMIT_RECORDS`).
    pub records_max: u64,
}

impl Default for Limits {
    /// 4 GiB, 50 million records.
    fn default() -> Limits {
        Limits { octets_max: 4 << 30, records_max: 50_000_000 }
    }
}

/// What was noticed on the way and led to no refusal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Records that do not belong to the zone and were left out.
    pub out_of_zone: u64,
    /// One of them, for the log.
    pub out_of_zone_example: Option<Name>,
    /// Records that came more than once.
    pub duplicates: u64,
    /// Changes of a difference that did not fit and were passed over, where that is allowed.
    pub passed_over: u64,
}

/// No record has it (RFC 6895 §3.1): marks "a child with this label exists", with the label in place of the rdata.
pub(super) const CHILD_MARK: RecordType = RecordType(0);

/// Collects the records of one zone.
#[derive(Debug)]
pub struct Builder {
    apex: Name,
    key: HashKey,
    apex_hash: u64,
    limits: Limits,
    parts: Vec<Part>,
    /// Records of the apex: its children are known only at the end.
    apex_records: Partition,
    /// The owner added last, relative and in lower case, with the hash of each of its ancestors by labels.
    last: Vec<u8>,
    /// The one before, for its memory.
    spare: Vec<u8>,
    last_hashes: Vec<u64>,
    records: u64,
    octets: u64,
    findings: Findings,
}

impl Builder {
    /// An empty zone. Use the key of the version it may replace, or nothing will be shared.
    pub fn new(apex: Name, key: HashKey, limits: Limits) -> Builder {
        let apex_hash = key.name(apex.as_wire());
        Builder {
            apex,
            key,
            apex_hash,
            limits,
            parts: (0..SLOTS).map(|_| Part::default()).collect(),
            apex_records: Partition::default(),
            last: Vec::new(),
            spare: Vec::new(),
            last_hashes: vec![apex_hash],
            records: 0,
            octets: 0,
            findings: Findings::default(),
        }
    }

    /// The zone's name.
    pub fn apex(&self) -> &Name {
        &self.apex
    }

    /// Records added so far, duplicates included.
    pub fn record_count(&self) -> u64 {
        self.records
    }

    /// Takes a record. One outside of the zone is left out and counted. Fails for meta types and past a limit; the
    /// builder is then of no more use.
    pub fn add(&mut self, record: RecordRef<'_>) -> Result<(), Reason> {
        let RecordRef { owner, rtype, ttl, rdata } = record;
        let Some(relative) = below_apex(owner, self.apex.as_wire()) else {
            self.findings.out_of_zone += 1;
            if self.findings.out_of_zone_example.is_none() {
                self.findings.out_of_zone_example = Name::from_wire(owner).ok();
            }
            return Ok(());
        };
        if rtype.is_meta() || rtype == GLUE {
            return Err(Reason::new(Code::MetaType, format!("{rtype} at {}", show(owner))));
        }
        if rtype == RecordType::SOA && !relative.is_empty() {
            return Err(Reason::new(Code::ContentSoa, format!("SOA at {}, below the apex", show(owner))));
        }
        self.records += 1;
        self.octets += (owner.len() + 10 + rdata.len()) as u64;
        if self.records > self.limits.records_max {
            return Err(Reason::new(
                Code::LimitRecords,
                format!("more than {} records ([transfer] max-records)", self.limits.records_max),
            ));
        }
        if self.octets > self.limits.octets_max {
            return Err(Reason::new(
                Code::LimitBytes,
                format!("more than {} octets ([transfer] max-bytes)", self.limits.octets_max),
            ));
        }
        if relative.len() != self.last.len() || !relative.eq_ignore_ascii_case(&self.last) {
            self.enter(relative)?;
        }
        let hash = *self.last_hashes.last().expect("the apex has a hash");
        let stored = Stored { rtype, ttl, rdata };
        if self.last.is_empty() {
            return self.apex_records.push(hash, &[], stored);
        }
        if rtype == RecordType::NS
            && let Some(apex_at) = in_domain(rdata, &self.last, self.apex.as_wire())
        {
            let target = self.key.below(self.apex_hash, &rdata[..apex_at].to_ascii_lowercase());
            self.parts[root_slot(target)].glue_wanted.push((target, hash));
        }
        self.parts[root_slot(hash)].records.push(hash, &self.last, stored)
    }

    /// Makes `relative` the current owner: hashes it and marks it as a child of its parent, and so on upwards as far as the
    /// last owner has not done so already.
    fn enter(&mut self, relative: &[u8]) -> Result<(), Reason> {
        let mut folded = std::mem::take(&mut self.spare);
        folded.clear();
        folded.extend(relative.iter().map(u8::to_ascii_lowercase));
        let relative = &folded[..];
        let (mut starts, mut last_starts) = ([0; LABELS_MAX + 1], [0; LABELS_MAX + 1]);
        let labels = label_starts(relative, &mut starts);
        let last_labels = label_starts(&self.last, &mut last_starts);
        let suffix = |n: usize| &relative[if n == 0 { relative.len() } else { starts[labels - n] as usize }..];
        let last_suffix =
            |n: usize| &self.last[if n == 0 { self.last.len() } else { last_starts[last_labels - n] as usize }..];
        let shared = (0..=labels.min(last_labels)).rev().find(|&n| suffix(n) == last_suffix(n)).unwrap_or(0);
        self.last_hashes.truncate(shared + 1);
        for n in shared..labels {
            let child = suffix(n + 1);
            let label = &child[1..1 + child[0] as usize];
            let parent_hash = self.last_hashes[n];
            // the apex's children are all the owners with one label: nothing to mark
            if n > 0 {
                let mark = Stored { rtype: CHILD_MARK, ttl: 0, rdata: label };
                self.parts[root_slot(parent_hash)].records.push(parent_hash, suffix(n), mark)?;
            }
            self.last_hashes.push(self.key.child(parent_hash, label));
        }
        self.spare = std::mem::replace(&mut self.last, folded);
        Ok(())
    }

    /// Makes the version. Pages that equal one of `old` (the version to be replaced) are shared with it. Fails if there is not
    /// exactly one SOA, if an owner or RRset crosses a limit, or if three names collide. A large zone takes all processors.
    pub fn finish(self, old: Option<&Snapshot>) -> Result<(Snapshot, Findings), Reason> {
        let threads = parts::threads_for(self.octets);
        self.finish_in(threads, old)
    }

    fn finish_in(mut self, threads: usize, old: Option<&Snapshot>) -> Result<(Snapshot, Findings), Reason> {
        let old = old.filter(|old| old.key() == &self.key && old.apex() == &self.apex);
        let zone = Zone { apex: self.apex.as_wire(), key: self.key, apex_hash: self.apex_hash, old };
        let (names, sums) = parts::make(zone, self.parts, &self.apex_records, self.octets, threads)?;
        let spills = collect_spills(sums.spills, old)?;
        self.findings.duplicates = sums.duplicates;
        let snapshot = Snapshot::assemble(self.apex, self.key, names, spills, sums.tally, None)
            .map_err(|damage| Reason::new(Code::ContentSoa, damage.0))?;
        Ok((snapshot, self.findings))
    }
}

/// The chunks as a map; equal ones are shared with `old`, the whole map if nothing differs.
fn collect_spills(made: Vec<Page>, old: Option<&Snapshot>) -> Result<Spills, Reason> {
    let count = made.len();
    let old = old.map(Snapshot::spills);
    let share =
        |page: Page| old.and_then(|old| old.get(&page.prefix())).filter(|old| **old == page).cloned().unwrap_or(page);
    let spills: BTreeMap<u64, Page> = made.into_iter().map(|page| (page.prefix(), share(page))).collect();
    if spills.len() < count {
        return Err(Reason::new(Code::ContentCollision, "two large RRsets have the same hash"));
    }
    match old {
        Some(old) if **old == spills => Ok(old.clone()),
        _ => Ok(spill::shared(spills)),
    }
}

/// The labels of `owner` left of `apex`, in the case given; `None` if it is not at or below it, or no whole name.
pub(super) fn below_apex<'a>(owner: &'a [u8], apex: &[u8]) -> Option<&'a [u8]> {
    let split = owner.len().checked_sub(apex.len())?;
    let mut at = 0;
    while at < split {
        let len = owner[at] as usize;
        if !(1..=63).contains(&len) {
            return None;
        }
        at += 1 + len;
    }
    (at == split && owner.len() <= NAME_OCTETS_MAX && owner[split..].eq_ignore_ascii_case(apex))
        .then(|| &owner[..split])
}

/// RFC 1035 §5.2: "Exactly one SOA RR should be present at the top of the zone."
pub(super) fn require_one_soa(items: &[Item<'_>]) -> Result<(), Reason> {
    let mut soas = items.iter().filter(|item| item.rtype() == RecordType::SOA);
    match (soas.next(), soas.next()) {
        (Some(soa), None) if Soa::parse(soa.ttl, &soa.rdata).is_some() => Ok(()),
        (Some(_), None) => Err(Reason::new(Code::ContentSoa, "the SOA does not parse")),
        (None, _) => Err(Reason::new(Code::ContentSoa, "no SOA at the apex")),
        (Some(_), Some(_)) => Err(Reason::new(Code::ContentSoa, "more than one SOA at the apex")),
    }
}

fn show(owner: &[u8]) -> String {
    let mut text = String::new();
    let _ = write_presentation(owner, &mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::super::entry::Base;
    use super::super::text::{KEY, build, lines, records, soa_line, zone};
    use super::*;

    fn code(result: Result<(Snapshot, Findings), Reason>) -> (Code, String) {
        let reason = result.map(|_| ()).expect_err("refused");
        (reason.code, reason.detail)
    }

    #[test]
    fn records_of_other_zones_are_left_out_and_counted() {
        let (snapshot, findings) = build("other.org. A 192.0.2.1\nnotexample. A 192.0.2.1").expect("a zone");
        assert_eq!(snapshot.record_count(), 2);
        assert_eq!(findings.out_of_zone, 2);
        assert_eq!(findings.out_of_zone_example, Some("other.org".parse().expect("a name")));
    }

    /// RFC 1035 §5.2: "Exactly one SOA RR should be present at the top of the zone."
    #[test]
    fn exactly_one_soa_at_the_apex() {
        assert_eq!(code(build(&soa_line(2))).0, Code::ContentSoa);
        assert_eq!(code(build("www SOA ns1 hostmaster 1 1 1 1 1")).0, Code::ContentSoa);
        let empty = Builder::new("example".parse().expect("a name"), KEY, Limits::default());
        assert_eq!(code(empty.finish(None)).0, Code::ContentSoa);
        assert!(build(&soa_line(1)).is_ok(), "the SOA that ends a transfer is a duplicate");
    }

    #[test]
    fn types_that_are_no_data_are_refused() {
        for rtype in [0, 41, 250, 252, 255, 65535] {
            let mut builder = Builder::new("example".parse().expect("a name"), KEY, Limits::default());
            let record = RecordRef { owner: b"\x07example\0", rtype: RecordType(rtype), ttl: 1, rdata: &[] };
            assert_eq!(builder.add(record).expect_err("refused").code, Code::MetaType, "{rtype}");
        }
    }

    #[test]
    fn limits_name_themselves() {
        let text: String = (1000..1256).map(|n| format!("many TYPE{n} \\# 0\n")).collect();
        assert_eq!(code(build(&text)).0, Code::LimitTypes);
        let text: String = (0..260).map(|n| format!("big TXT {}\n", format_args!("{n:0250}"))).collect();
        let (reason, detail) = code(build(&text));
        assert_eq!(reason, Code::LimitRrset);
        assert!(detail.starts_with("big.example. TXT takes 68380 octets, the limit is 65264"), "{detail}");
        let limited = |limits| {
            let mut builder = Builder::new("example".parse().expect("a name"), KEY, limits);
            records("a A 192.0.2.1\nb A 192.0.2.1")
                .iter()
                .try_for_each(|r| builder.add(r.borrow()))
                .expect_err("refused")
                .code
        };
        assert_eq!(limited(Limits { records_max: 1, ..Limits::default() }), Code::LimitRecords);
        assert_eq!(limited(Limits { octets_max: 40, ..Limits::default() }), Code::LimitBytes);
    }

    #[test]
    fn an_owner_with_255_large_types_fits_a_page() {
        let text: String = (1000..1255).map(|n| format!("many TYPE{n} \\# 200 {}\n", "ab".repeat(200))).collect();
        let snapshot = zone(&text);
        assert_eq!(snapshot.record_count(), 257);
        let entry = snapshot.find(&"many.example".parse().expect("a name")).expect("it exists");
        assert!(entry.has_spilled() && entry.as_bytes().len() < 3_484);
        assert_eq!(lines(&snapshot).len(), 256);
    }

    /// RFC 2181 §5.2: "the client [...] should treat the RRs for all purposes as if all TTLs in the RRset had been set to
    /// the value of the lowest TTL in the RRset."
    #[test]
    fn differing_ttls_become_the_lowest() {
        let snapshot = zone("a 600 A 192.0.2.1\na 60 A 192.0.2.2\na 900 TXT x");
        let entry = snapshot.find(&"a.example".parse().expect("a name")).expect("it exists");
        let block = entry.rrset(RecordType::A).expect("it exists");
        assert_eq!((block.ttl(), block.is_mixed(), block.rr_count()), (Some(60), true, 2));
        assert!(!entry.rrset(RecordType::TXT).expect("it exists").is_mixed());
        assert_eq!(snapshot.mixed_count(), 1);
    }

    #[test]
    fn of_two_spellings_the_smaller_stays() {
        let snapshot = zone("a NS ns.HOSTER.net.\na NS ns.hoster.net.");
        let block = snapshot.find(&"a.example".parse().expect("a name")).and_then(|e| e.rrset(RecordType::NS));
        assert!(block.is_some_and(|b| b.is_mixed() && b.rr_count() == 1));
        assert!(snapshot.records().any(|r| &r.rdata[..] == b"\x02ns\x06HOSTER\x03net\0"));
    }

    /// The bytes which `answer` copies: NS below the cut by the owner, glue likewise, repeated names by their place.
    #[test]
    fn a_delegation_is_compressed_against_its_owner() {
        let snapshot = zone("sub NS ns1.sub\nsub NS ns2.sub\nns1.sub A 192.0.2.1\nns1.sub AAAA 2001:db8::1");
        let entry = snapshot.find(&"sub.example".parse().expect("a name")).expect("it exists");
        let ns = entry.rrset(RecordType::NS).expect("it exists");
        assert_eq!(ns.image()[12..18], *b"\x03ns1\xc0\x00");
        assert_eq!(ns.fixups().map(|f| (f.base, f.at)).collect::<Vec<_>>(), [(Base::Owner, 16), (Base::Owner, 34)]);
        let glue = entry.glue().expect("it has glue");
        assert_eq!(glue.image()[..6], *b"\x03ns1\xc0\x00");
        assert_eq!(glue.fixups().map(|f| (f.base, f.at)).collect::<Vec<_>>(), [(Base::Owner, 4), (Base::Image, 20)]);
    }

    #[test]
    fn however_many_threads_make_a_zone_it_is_the_same() {
        let text: String = (0..2_000)
            .map(|n| match n % 4 {
                0 => format!("sub{n} NS ns.sub{n}\nns.sub{n} A 192.0.2.1\n"),
                1 => format!("*.deep.er.h{n} AAAA 2001:db8::{n}\n"),
                2 => format!("h{n} CNAME h1\nh{n} TXT \"another\"\n"),
                _ => format!("h{n} 60 A 192.0.2.1\nh{n} 600 A 192.0.2.2\nh{n} 60 A 192.0.2.1\n"),
            })
            .chain((0..300).map(|n| format!("big{} TXT {n:0200}\n", n % 2)))
            .collect();
        let made = [1, 2, 5].map(|threads| {
            let mut builder = Builder::new("example".parse().expect("a name"), KEY, Limits::default());
            records(&format!("{}{text}", soa_line(1)))
                .iter()
                .try_for_each(|r| builder.add(r.borrow()))
                .expect("records");
            builder.finish_in(threads, None).expect("a zone")
        });
        for (snapshot, findings) in &made[1..] {
            assert_eq!((snapshot.tally(), findings), (made[0].0.tally(), &made[0].1));
            assert!(snapshot.pages().eq(made[0].0.pages()));
        }
    }
}
