//! One difference sequence (RFC 1995 §4): the one form in which a change of a zone exists.
//!
//! Made from an IXFR answer, from two versions ([`super::between()`]), from a REST edit; consumed by [`super::apply()`]; stored
//! and sent on in the very same octets. Flat: old SOA, deleted RRs, new SOA, added RRs, each in wire form with its
//! owner in full and lower case, class IN, names in rdata in full.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::dns::name::wire_len;
use crate::dns::{Name, RecordRef, RecordType, Serial, rdata};
use crate::reason::{Code, Reason};

/// Octets which are no difference sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("damaged difference: {0}")]
pub struct DamagedDiff(pub &'static str);

/// The serials of two sequences do not meet, or their zones differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the differences are not contiguous")]
pub struct NotContiguous;

/// One difference sequence. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Diff {
    octets: Arc<[u8]>,
    deleted: Range<usize>,
    added: Range<usize>,
    from: Serial,
    to: Serial,
}

impl Diff {
    /// Takes what [`Diff::as_bytes`] gave. Checks all of it.
    pub fn from_bytes(octets: Vec<u8>) -> Result<Diff, DamagedDiff> {
        let mut at = 0;
        let mut next = || -> Result<Option<(Range<usize>, RecordRef<'_>)>, DamagedDiff> {
            if at == octets.len() {
                return Ok(None);
            }
            let (record, length) = read(&octets[at..]).ok_or(DamagedDiff("a record does not parse"))?;
            at += length;
            Ok(Some((at - length..at, record)))
        };
        let soa_serial = |record: &RecordRef<'_>| record.soa_serial().ok_or(DamagedDiff("a SOA does not parse"));
        let (old, old_soa) = next()?.ok_or(DamagedDiff("no old SOA"))?;
        let from = soa_serial(&old_soa)?;
        let mut new = None;
        while let Some((place, record)) = next()? {
            if record.rtype != RecordType::SOA {
                continue;
            }
            if new.replace((place, soa_serial(&record)?)).is_some() || record.owner != old_soa.owner {
                return Err(DamagedDiff("more than two SOAs"));
            }
        }
        let (new, to) = new.ok_or(DamagedDiff("no new SOA"))?;
        let (deleted, added) = (old.end..new.start, new.end..octets.len());
        Ok(Diff { octets: octets.into(), deleted, added, from, to })
    }

    /// The whole sequence, as it is stored.
    pub fn as_bytes(&self) -> &[u8] {
        &self.octets
    }

    /// The zone's name.
    pub fn apex(&self) -> Name {
        Name::from_wire(self.old_soa().owner).expect("owners have been checked")
    }

    /// Serial of the version it starts from.
    pub fn from_serial(&self) -> Serial {
        self.from
    }

    /// Serial of the version it leads to.
    pub fn to_serial(&self) -> Serial {
        self.to
    }

    /// The SOA which is replaced.
    pub fn old_soa(&self) -> RecordRef<'_> {
        self.first(0)
    }

    /// The SOA which replaces it.
    pub fn new_soa(&self) -> RecordRef<'_> {
        self.first(self.deleted.end)
    }

    /// Removed records, the SOA not among them.
    pub fn deleted(&self) -> DiffRecords<'_> {
        DiffRecords { rest: &self.octets[self.deleted.clone()] }
    }

    /// Added records, the SOA not among them.
    pub fn added(&self) -> DiffRecords<'_> {
        DiffRecords { rest: &self.octets[self.added.clone()] }
    }

    /// Every record in the order of the wire: old SOA, deleted, new SOA, added.
    pub fn all_records(&self) -> DiffRecords<'_> {
        DiffRecords { rest: &self.octets }
    }

    /// Whether nothing but the SOA changes.
    pub fn is_only_soa(&self) -> bool {
        self.deleted.is_empty() && self.added.is_empty()
    }

    /// The way back: undoes this sequence, provided that its deleted records state TTL and spelling exactly (those
    /// of [`super::between()`] do).
    pub fn invert(&self) -> Diff {
        let part = |range: Range<usize>| &self.octets[range];
        let (old, new) = (0..self.deleted.start, self.deleted.end..self.added.start);
        let new_first = [part(new.clone()), part(self.added.clone()), part(old.clone()), part(self.deleted.clone())];
        let deleted = new.len()..new.len() + self.added.len();
        let added = deleted.end + old.len()..self.octets.len();
        Diff { octets: new_first.concat().into(), deleted, added, from: self.to, to: self.from }
    }

    /// One sequence with the effect of all, at least one, in order. What is deleted and added again stays in both parts, since
    /// deleting ignores TTLs.
    pub fn compose(diffs: &[Diff]) -> Result<Diff, NotContiguous> {
        let [first, .., last] = diffs else { return diffs.first().cloned().ok_or(NotContiguous) };
        let meets = |pair: &[Diff]| pair[0].to == pair[1].from && pair[0].old_soa().owner == pair[1].old_soa().owner;
        if !diffs.windows(2).all(meets) {
            return Err(NotContiguous);
        }
        // (record before all, record after all); a record met first as added was not there before
        let mut effects: BTreeMap<_, (Option<RecordRef<'_>>, Option<RecordRef<'_>>)> = BTreeMap::new();
        for diff in diffs {
            for record in diff.deleted() {
                effects.entry(identity(record)).or_insert((Some(record), None)).1 = None;
            }
            for record in diff.added() {
                effects.entry(identity(record)).or_insert((None, None)).1 = Some(record);
            }
        }
        let mut builder = DiffBuilder::new(first.old_soa());
        for (before, after) in effects.into_values() {
            before.into_iter().for_each(|record| append(record, &mut builder.deleted));
            after.into_iter().for_each(|record| append(record, &mut builder.added));
        }
        Ok(builder.finish(last.new_soa()).expect("both SOAs come from checked sequences"))
    }

    fn first(&self, at: usize) -> RecordRef<'_> {
        read(&self.octets[at..]).expect("the octets have been checked").0
    }
}

impl fmt::Debug for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (deleted, added) = (self.deleted().count(), self.added().count());
        write!(f, "Diff({} {} -> {}, -{deleted} +{added})", self.apex(), self.from, self.to)
    }
}

/// Iterator over records of a [`Diff`].
#[derive(Clone, Debug)]
pub struct DiffRecords<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for DiffRecords<'a> {
    type Item = RecordRef<'a>;
    fn next(&mut self) -> Option<RecordRef<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let (record, length) = read(self.rest).expect("the octets have been checked");
        self.rest = &self.rest[length..];
        Some(record)
    }
}

/// Collects one sequence.
#[derive(Clone, Debug)]
pub struct DiffBuilder {
    old_soa: Vec<u8>,
    deleted: Vec<u8>,
    added: Vec<u8>,
}

impl DiffBuilder {
    /// Starts from the version with this SOA.
    pub fn new(old_soa: RecordRef<'_>) -> DiffBuilder {
        let mut octets = Vec::new();
        append(old_soa, &mut octets);
        DiffBuilder { old_soa: octets, deleted: Vec::new(), added: Vec::new() }
    }

    /// Adds a record to the deleted ones. Fails for a SOA, which would end the part.
    pub fn delete(&mut self, record: RecordRef<'_>) -> Result<(), Reason> {
        append(not_soa(record)?, &mut self.deleted);
        Ok(())
    }

    /// Adds a record to the added ones. Fails for a SOA.
    pub fn add(&mut self, record: RecordRef<'_>) -> Result<(), Reason> {
        append(not_soa(record)?, &mut self.added);
        Ok(())
    }

    /// What this and then `other`, both from one version, have collected.
    pub(super) fn followed_by(mut self, other: DiffBuilder) -> DiffBuilder {
        self.deleted.extend_from_slice(&other.deleted);
        self.added.extend_from_slice(&other.added);
        self
    }

    /// Octets collected so far, for limits.
    pub fn octets(&self) -> usize {
        self.old_soa.len() + self.deleted.len() + self.added.len()
    }

    /// Ends at the version with this SOA. Fails unless both SOAs are SOAs of one zone.
    pub fn finish(self, new_soa: RecordRef<'_>) -> Result<Diff, DamagedDiff> {
        let mut octets = self.old_soa;
        octets.reserve_exact(self.deleted.len() + self.added.len() + new_soa.owner.len() + 10 + new_soa.rdata.len());
        let deleted = octets.len()..octets.len() + self.deleted.len();
        octets.extend_from_slice(&self.deleted);
        drop(self.deleted);
        append(new_soa, &mut octets);
        let added = octets.len()..octets.len() + self.added.len();
        octets.extend_from_slice(&self.added);
        drop(self.added);
        let old = read(&octets).and_then(|(record, _)| Some((record.owner, record.soa_serial()?)));
        let (owner, from) = old.ok_or(DamagedDiff("the old SOA does not parse"))?;
        let to = new_soa.soa_serial().ok_or(DamagedDiff("the new SOA does not parse"))?;
        if owner != new_soa.owner {
            return Err(DamagedDiff("the SOAs are of two zones"));
        }
        Ok(Diff { octets: octets.into(), deleted, added, from, to })
    }
}

fn not_soa(record: RecordRef<'_>) -> Result<RecordRef<'_>, Reason> {
    if record.rtype == RecordType::SOA {
        return Err(Reason::new(Code::ContentSoa, "a SOA among the records of a difference"));
    }
    Ok(record)
}

/// What makes two records of a zone the same one: TTL and the case of RFC 4034 §6.2 names do not count.
fn identity(record: RecordRef<'_>) -> (&[u8], RecordType, Vec<u8>) {
    let mut canonical = Vec::with_capacity(record.rdata.len());
    rdata::canonical(record.rtype, record.rdata, &mut canonical);
    (record.owner, record.rtype, canonical)
}

fn append(record: RecordRef<'_>, octets: &mut Vec<u8>) {
    octets.extend(record.owner.iter().map(u8::to_ascii_lowercase));
    octets.extend_from_slice(&record.rtype.0.to_be_bytes());
    octets.extend_from_slice(&[0, 1]);
    octets.extend_from_slice(&record.ttl.to_be_bytes());
    octets.extend_from_slice(&(record.rdata.len() as u16).to_be_bytes());
    octets.extend_from_slice(record.rdata);
}

/// The record at the start of `octets`, and its length.
fn read(octets: &[u8]) -> Option<(RecordRef<'_>, usize)> {
    let owner_end = wire_len(octets).ok()?;
    let fixed = octets.get(owner_end..owner_end + 10)?;
    let (owner, rdata_start) = (&octets[..owner_end], owner_end + 10);
    let end = rdata_start + u16::from_be_bytes([fixed[8], fixed[9]]) as usize;
    let record = RecordRef {
        owner,
        rtype: RecordType(u16::from_be_bytes([fixed[0], fixed[1]])),
        ttl: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
        rdata: octets.get(rdata_start..end)?,
    };
    (fixed[2..4] == [0, 1] && !owner.iter().any(u8::is_ascii_uppercase)).then_some((record, end))
}
