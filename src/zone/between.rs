//! Two versions -> the difference sequence that leads from one to the other.
//!
//! So that a full transfer, too, becomes a [`Diff`]: for outbound IXFR, the history and the change list. Compares pages;
//! what the versions share is not looked at.

use std::sync::Arc;

use super::diff::{Diff, DiffBuilder};
use super::encode::Item;
use super::entry::Entry;
use super::snapshot::Snapshot;
use super::spill;
use crate::dns::{RecordRef, RecordType};

/// The sequence from `old` to `new`, two versions of one zone under one hash key. Its deleted records are exact in TTL and
/// spelling, so that it can be inverted. `apply(old, between(old, new))` has the records of `new`, and its very octets
/// unless an RRset that differs is MIXED in one of them. O(octets of differing pages).
pub fn between(old: &Snapshot, new: &Snapshot) -> Diff {
    match between_within(old, new, usize::MAX) {
        Difference::Sequence(diff) => diff,
        Difference::TooLong { .. } => unreachable!("nothing is longer than that"),
    }
}

/// What leads from one version to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// The sequence.
    Sequence(Diff),
    /// It would be longer than the caller wants it; only counted.
    TooLong {
        /// Records that only the old version has.
        deleted: u64,
        /// Records that only the new version has.
        added: u64,
    },
}

/// As [`between`], but a sequence of more than `octets_max` is not kept: where most of a large zone has changed it is
/// larger than both versions together, and nobody sends it.
pub fn between_within(old: &Snapshot, new: &Snapshot, octets_max: usize) -> Difference {
    assert!(old.apex() == new.apex() && old.key() == new.key(), "versions of one zone under one key");
    let mut builder = Some(DiffBuilder::new(soa_record(old)));
    let (mut deleted, mut added) = (0, 0);
    let mut owner = Vec::new();
    each_differing_owner(old, new, &mut |differing| {
        owner.clear();
        owner.extend_from_slice(differing.name);
        owner.extend_from_slice(old.apex().as_wire());
        let before = differing.old.map(|entry| old.items(entry)).unwrap_or_default();
        let after = differing.new.map(|entry| new.items(entry)).unwrap_or_default();
        compare_items(&before, &after, |item, is_added| {
            *if is_added { &mut added } else { &mut deleted } += 1;
            let Some(sequence) = &mut builder else { return };
            let record = RecordRef { owner: &owner, rtype: item.rtype(), ttl: item.ttl, rdata: &item.rdata };
            let outcome = if is_added { sequence.add(record) } else { sequence.delete(record) };
            outcome.expect("SOAs are left out");
            if sequence.octets() > octets_max {
                builder = None;
            }
        });
    });
    match builder {
        Some(builder) => {
            let diff = builder.finish(soa_record(new));
            Difference::Sequence(diff.expect("both SOAs have been read from snapshots of one zone"))
        }
        None => Difference::TooLong { deleted, added },
    }
}

/// An owner whose entry or chunks differ.
#[derive(Clone, Copy)]
struct Differing<'a> {
    hash: u64,
    name: &'a [u8],
    old: Option<Entry<'a>>,
    new: Option<Entry<'a>>,
}

/// By ascending (hash, name).
fn each_differing_owner<'a>(old: &'a Snapshot, new: &'a Snapshot, each: &mut dyn FnMut(Differing<'a>)) {
    // Entries may be equal while the chunks they lead to differ.
    if Arc::ptr_eq(old.spills(), new.spills()) {
        return each_differing_entry(old, new, each);
    }
    let hash = |name: &[u8]| old.key().below(old.apex_hash(), name);
    let mut owners = Vec::new();
    each_differing_entry(old, new, &mut |owner| owners.push(owner));
    let chunks = old.spills().iter().chain(new.spills().iter());
    let changed = chunks.filter(|(id, _)| old.spills().get(id) != new.spills().get(id));
    owners.extend(changed.map(|(_, page)| {
        let name = spill::parts(page).0;
        let hash = hash(name);
        Differing { hash, name, old: old.lookup(hash, name), new: new.lookup(hash, name) }
    }));
    owners.sort_by_key(|owner| (owner.hash, owner.name));
    owners.dedup_by_key(|owner| (owner.hash, owner.name));
    owners.into_iter().for_each(each);
}

fn each_differing_entry<'a>(old: &'a Snapshot, new: &'a Snapshot, each: &mut dyn FnMut(Differing<'a>)) {
    let hash = |name: &[u8]| old.key().below(old.apex_hash(), name);
    old.names().compare(new.names(), &mut |old_pages, new_pages| {
        let hashed = |entry: Entry<'a>| (hash(entry.name()), entry.name(), entry);
        let mut ours = old_pages.flat_map(|page| page.entries()).map(hashed).peekable();
        let mut theirs = new_pages.flat_map(|page| page.entries()).map(hashed).peekable();
        loop {
            let (a, b) = (ours.peek().copied(), theirs.peek().copied());
            let place = match (a, b) {
                (Some(a), Some(b)) => (a.0, a.1).min((b.0, b.1)),
                (Some(one), None) | (None, Some(one)) => (one.0, one.1),
                (None, None) => break,
            };
            let old = ours.next_if(|a| (a.0, a.1) == place).map(|a| a.2);
            let new = theirs.next_if(|b| (b.0, b.1) == place).map(|b| b.2);
            if old.map(|e| e.as_bytes()) != new.map(|e| e.as_bytes()) {
                each(Differing { hash: place.0, name: place.1, old, new });
            }
        }
    });
}

/// Reports what is only in `before` (false) or only in `after` (true); a record whose TTL or spelling differs is both.
fn compare_items(before: &[Item<'_>], after: &[Item<'_>], mut report: impl FnMut(&Item<'_>, bool)) {
    let is_soa = |item: &&Item<'_>| item.rtype() == RecordType::SOA;
    let mut before = before.iter().filter(|item| !is_soa(item)).peekable();
    let mut after = after.iter().filter(|item| !is_soa(item)).peekable();
    loop {
        let first = match (before.peek(), after.peek()) {
            (Some(a), Some(b)) => a.identity().min(b.identity()),
            (Some(one), None) | (None, Some(one)) => one.identity(),
            (None, None) => return,
        };
        let gone = before.next_if(|item| item.identity() == first);
        let come = after.next_if(|item| item.identity() == first);
        if let (Some(gone), Some(come)) = (gone, come)
            && (gone.ttl, &gone.rdata) == (come.ttl, &come.rdata)
        {
            continue;
        }
        gone.into_iter().for_each(|item| report(item, false));
        come.into_iter().for_each(|item| report(item, true));
    }
}

fn soa_record(snapshot: &Snapshot) -> RecordRef<'_> {
    let soa = snapshot.soa();
    RecordRef { owner: snapshot.apex().as_wire(), rtype: RecordType::SOA, ttl: soa.ttl, rdata: &soa.rdata }
}
