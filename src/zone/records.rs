//! A zone's contents as a sequence of records: for outbound AXFR, listings and the differences of whole zones.
//!
//! In: a snapshot and how many records to skip. Out: records with names in full. Skipping descends by the counts in the
//! tree of pages, so any offset into a large zone costs the same.

use std::ops::Range;

use super::directory::Child;
use super::entry::{Entry, Rrs, RrsetBlock};
use super::page::Page;
use super::snapshot::Snapshot;
use crate::dns::{Record, RecordRef, RecordType};

/// The owners of a zone in canonical order, each with the number of records before it.
#[derive(Debug)]
pub(super) struct CanonicalOrder(Box<[(Page, u16, u64)]>);

impl CanonicalOrder {
    /// Larger zones are not sorted: it would take too long between two changes.
    pub(super) const OWNERS_MAX: u64 = 100_000;

    pub(super) fn of(snapshot: &Snapshot) -> CanonicalOrder {
        let places = snapshot.name_pages().flat_map(|page| (0..page.len()).map(move |index| (page, index as u16)));
        let mut owners: Vec<_> = places.map(|(page, index)| (page.clone(), index, 0)).collect();
        let name = |place: &(Page, u16, u64)| place.0.entry(place.1 as usize).owner(snapshot.apex());
        owners.sort_by_cached_key(name);
        let mut before = 0;
        for (page, index, records_before) in &mut owners {
            *records_before = before;
            before += page.entry(*index as usize).record_count() as u64;
        }
        CanonicalOrder(owners.into_boxed_slice())
    }

    /// The owners' entries.
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.0.iter().map(|(page, index, _)| page.entry(*index as usize))
    }
}

/// Records of a snapshot, see [`Snapshot::records`]. As an iterator it gives owned records; [`Records::advance`] lends them
/// without an allocation each.
#[derive(Debug)]
pub struct Records<'a> {
    snapshot: &'a Snapshot,
    source: Source<'a>,
    /// The blocks of the current entry that are not expanded yet.
    blocks: std::vec::IntoIter<RrsetBlock<'a>>,
    entry: Option<Entry<'a>>,
    owner: Vec<u8>,
    /// The current block, expanded.
    octets: Vec<u8>,
    expanded: Vec<(RecordType, u32, Range<usize>)>,
    next: usize,
}

/// Where entries come from.
#[derive(Debug)]
enum Source<'a> {
    /// The apex, which comes before all.
    Apex,
    /// Subtrees and entries still to come, the next one last; the apex is passed over.
    Pages(Vec<Ahead<'a>>),
    Canonical(std::slice::Iter<'a, (Page, u16, u64)>),
}

#[derive(Clone, Copy, Debug)]
enum Ahead<'a> {
    Tree(&'a Child),
    Entries(&'a Page, usize),
}

impl<'a> Records<'a> {
    pub(super) fn in_page_order(snapshot: &'a Snapshot, skipped: u64) -> Records<'a> {
        let apex_records = snapshot.apex_entry().record_count() as u64;
        if skipped < apex_records {
            return Records::new(snapshot, Source::Apex, skipped);
        }
        let (ahead, rest) = descend(snapshot, skipped - apex_records);
        Records::new(snapshot, Source::Pages(ahead), rest)
    }

    pub(super) fn in_canonical_order(snapshot: &'a Snapshot, order: &'a CanonicalOrder, skipped: u64) -> Records<'a> {
        let first = order.0.partition_point(|place| place.2 <= skipped).saturating_sub(1);
        let rest = skipped - order.0[first].2;
        Records::new(snapshot, Source::Canonical(order.0[first..].iter()), rest)
    }

    pub(super) fn at(snapshot: &'a Snapshot, entry: Option<Entry<'a>>) -> Records<'a> {
        let mut records = Records::new(snapshot, Source::Pages(Vec::new()), 0);
        if let Some(entry) = entry {
            records.start(entry);
        }
        records
    }

    /// Starts at the first entry of `source`; its first `skipped` records are passed over.
    fn new(snapshot: &'a Snapshot, source: Source<'a>, skipped: u64) -> Records<'a> {
        let mut records = Records {
            snapshot,
            source,
            blocks: Vec::new().into_iter(),
            entry: None,
            owner: Vec::new(),
            octets: Vec::new(),
            expanded: Vec::new(),
            next: 0,
        };
        for _ in 0..skipped {
            if records.advance().is_none() {
                break;
            }
        }
        records
    }

    /// The next record, lent until the next call.
    pub fn advance(&mut self) -> Option<RecordRef<'_>> {
        while self.next == self.expanded.len() {
            match self.blocks.next() {
                Some(block) => self.expand(block),
                None => {
                    let entry = self.next_entry()?;
                    self.start(entry);
                }
            }
        }
        let (rtype, ttl, rdata) = self.expanded[self.next].clone();
        self.next += 1;
        Some(RecordRef { owner: &self.owner, rtype, ttl, rdata: &self.octets[rdata] })
    }

    fn next_entry(&mut self) -> Option<Entry<'a>> {
        let ahead = match &mut self.source {
            Source::Apex => {
                self.source = Source::Pages(vec![Ahead::Tree(self.snapshot.names())]);
                return Some(self.snapshot.apex_entry());
            }
            Source::Canonical(places) => return places.next().map(|place| place.0.entry(place.1 as usize)),
            Source::Pages(ahead) => ahead,
        };
        loop {
            match ahead.pop()? {
                Ahead::Tree(Child::Page(page)) => ahead.push(Ahead::Entries(page, 0)),
                Ahead::Tree(tree) => ahead.extend(tree.children().iter().rev().map(Ahead::Tree)),
                Ahead::Entries(page, index) if index < page.len() => {
                    ahead.push(Ahead::Entries(page, index + 1));
                    let entry = page.entry(index);
                    if !entry.name().is_empty() {
                        return Some(entry);
                    }
                }
                Ahead::Entries(..) => {}
            }
        }
    }

    fn start(&mut self, entry: Entry<'a>) {
        self.owner.clear();
        self.owner.extend_from_slice(entry.name());
        self.owner.extend_from_slice(self.snapshot.apex().as_wire());
        let mut blocks: Vec<_> = entry.rrsets().collect();
        // at the apex the SOA leads, as in a transfer
        if entry.name().is_empty() {
            blocks.sort_by_key(|block| block.rtype() != RecordType::SOA);
        }
        self.blocks = blocks.into_iter();
        self.entry = Some(entry);
    }

    fn expand(&mut self, block: RrsetBlock<'a>) {
        let entry = self.entry.expect("blocks belong to an entry");
        self.octets.clear();
        self.expanded.clear();
        self.next = 0;
        if let Some(spilled) = self.snapshot.spilled(entry, &block) {
            self.octets = spilled.chunks.concat();
            self.expanded.extend(Rrs::new(&self.octets).map(|rr| (rr.rtype, rr.ttl, rr.rdata)));
            return;
        }
        for rr in block.rrs() {
            let start = self.octets.len();
            block.expand_rdata(&rr, self.snapshot.origin(entry), &mut self.octets);
            self.expanded.push((rr.rtype, rr.ttl, start..self.octets.len()));
        }
        let start = self.octets.len();
        self.octets.extend_from_slice(block.signatures());
        let shift = |range: Range<usize>| range.start + start..range.end + start;
        self.expanded.extend(Rrs::new(block.signatures()).map(|rr| (rr.rtype, rr.ttl, shift(rr.rdata))));
    }
}

impl Iterator for Records<'_> {
    type Item = Record;
    fn next(&mut self) -> Option<Record> {
        self.advance().map(RecordRef::to_record)
    }
}

/// What lies ahead behind the first `skipped` records of all but the apex, and how many of them are still to be skipped
/// in the first entry ahead.
fn descend(snapshot: &Snapshot, mut skipped: u64) -> (Vec<Ahead<'_>>, u64) {
    // In the tree the apex stands somewhere in the middle; in the sequence it has come already.
    if skipped >= snapshot.records_before_apex() {
        skipped += snapshot.apex_entry().record_count() as u64;
    }
    let mut ahead = vec![Ahead::Tree(snapshot.names())];
    while let Some(next) = ahead.pop() {
        match next {
            Ahead::Tree(tree) if tree.records() <= skipped => skipped -= tree.records(),
            Ahead::Tree(Child::Page(page)) => ahead.push(Ahead::Entries(page, 0)),
            Ahead::Tree(tree) => ahead.extend(tree.children().iter().rev().map(Ahead::Tree)),
            Ahead::Entries(page, index) if index < page.len() => {
                let records = page.entry(index).record_count() as u64;
                if records > skipped {
                    ahead.push(next);
                    break;
                }
                skipped -= records;
                ahead.push(Ahead::Entries(page, index + 1));
            }
            Ahead::Entries(..) => {}
        }
    }
    (ahead, skipped)
}
