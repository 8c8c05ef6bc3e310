//! Two versions -> the difference sequence that leads from one to the other.
//!
//! So that a full transfer, too, becomes a [`Diff`]: for outbound IXFR, the history and the change list. Compares pages;
//! what the versions share is not looked at.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::diff::{Diff, DiffBuilder};
use super::directory::{Child, SLOTS};
use super::encode::Item;
use super::entry::Entry;
use super::parts::threads_for;
use super::snapshot::Snapshot;
use super::spill;
use crate::dns::{RecordRef, RecordType};
use crate::threads::in_threads;

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
/// larger than both versions together, and nobody sends it. Large zones are compared by all processors.
pub fn between_within(old: &Snapshot, new: &Snapshot, octets_max: usize) -> Difference {
    assert!(old.apex() == new.apex() && old.key() == new.key(), "versions of one zone under one key");
    let octets = old.image_octets().max(new.image_octets());
    found_in(threads_for(octets), old, new, octets_max).into_difference(new)
}

/// What lies between two versions, or parts of them, as far as they have been looked through.
struct Found {
    /// `None` once it is too long.
    sequence: Option<DiffBuilder>,
    deleted: u64,
    added: u64,
}

impl Found {
    /// Looks through the owners that `each` gives. `octets` counts what all parts have found, and is bounded.
    fn among<'a>(
        (old, new): (&'a Snapshot, &'a Snapshot),
        (octets, octets_max): (&AtomicUsize, usize),
        each: impl FnOnce(&mut dyn FnMut(Differing<'a>)),
    ) -> Found {
        let sequence = DiffBuilder::new(soa_record(old));
        let mut counted = sequence.octets();
        let mut found = Found { sequence: Some(sequence), deleted: 0, added: 0 };
        let mut owner = Vec::new();
        each(&mut |differing| {
            owner.clear();
            owner.extend_from_slice(differing.name);
            owner.extend_from_slice(old.apex().as_wire());
            let before = differing.old.map(|entry| old.items(entry)).unwrap_or_default();
            let after = differing.new.map(|entry| new.items(entry)).unwrap_or_default();
            compare_items(&before, &after, |item, is_added| {
                *if is_added { &mut found.added } else { &mut found.deleted } += 1;
                let Some(sequence) = &mut found.sequence else { return };
                let record = RecordRef { owner: &owner, rtype: item.rtype(), ttl: item.ttl, rdata: &item.rdata };
                let outcome = if is_added { sequence.add(record) } else { sequence.delete(record) };
                outcome.expect("SOAs are left out");
            });
            if let Some(sequence) = &found.sequence {
                let more = sequence.octets() - counted;
                counted += more;
                if octets.fetch_add(more, Ordering::Relaxed) + more > octets_max {
                    found.sequence = None;
                }
            }
        });
        found
    }

    /// What this part has found and then the other.
    fn and(self, other: Found) -> Found {
        let sequence = self.sequence.zip(other.sequence).map(|(first, second)| first.followed_by(second));
        Found { sequence, deleted: self.deleted + other.deleted, added: self.added + other.added }
    }

    fn into_difference(self, new: &Snapshot) -> Difference {
        match self.sequence {
            Some(sequence) => {
                let diff = sequence.finish(soa_record(new));
                Difference::Sequence(diff.expect("both SOAs have been read from snapshots of one zone"))
            }
            None => Difference::TooLong { deleted: self.deleted, added: self.added },
        }
    }
}

fn found_in(threads: usize, old: &Snapshot, new: &Snapshot, octets_max: usize) -> Found {
    let octets = AtomicUsize::new(DiffBuilder::new(soa_record(old)).octets());
    let bound = (&octets, octets_max);
    let (ours, theirs) = (old.names().children(), new.names().children());
    // Owners whose chunks differ are not found tree by tree.
    let has_parts = ours.len() == SLOTS && theirs.len() == SLOTS && Arc::ptr_eq(old.spills(), new.spills());
    if threads == 1 || !has_parts {
        return Found::among((old, new), bound, |each| each_differing_owner(old, new, each));
    }
    let look = |_: &mut (), (ours, theirs)| {
        Ok::<_, Infallible>(Found::among((old, new), bound, |each| each_differing_entry(old, (ours, theirs), each)))
    };
    let Ok((parts, _)) = in_threads(threads, ours.iter().zip(theirs), || (), look);
    parts.into_iter().reduce(Found::and).expect("there are 32")
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
        return each_differing_entry(old, (old.names(), new.names()), each);
    }
    let hash = |name: &[u8]| old.key().below(old.apex_hash(), name);
    let mut owners = Vec::new();
    each_differing_entry(old, (old.names(), new.names()), &mut |owner| owners.push(owner));
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

/// Of two trees, or of the parts of both for one prefix.
fn each_differing_entry<'a>(
    old: &Snapshot,
    (ours, theirs): (&'a Child, &'a Child),
    each: &mut dyn FnMut(Differing<'a>),
) {
    let hash = |name: &[u8]| old.key().below(old.apex_hash(), name);
    ours.compare(theirs, &mut |old_pages, new_pages| {
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

#[cfg(test)]
mod tests {
    use super::super::text::zone;
    use super::*;

    #[test]
    fn however_many_threads_compare_two_versions_they_find_the_same() {
        let host = |n: usize, mark: usize| match n % 3 {
            0 => format!("sub{n} NS ns.sub{n}\nns.sub{n} A 192.0.{mark}.1\n"),
            1 => format!("h{n} A 192.0.{mark}.2\nh{n} A 192.0.2.3\n"),
            _ => format!("h{n} TXT \"the same\"\n"),
        };
        let old = zone(&(0..5_000).map(|n| host(n, 2)).collect::<String>());
        let new = zone(&(1_000..6_000).map(|n| host(n, 3)).collect::<String>());
        assert_eq!((old.names().children().len(), new.names().children().len()), (SLOTS, SLOTS));
        for (octets_max, is_short) in [(usize::MAX, true), (10_000, false)] {
            let [one, three] = [1, 3].map(|threads| found_in(threads, &old, &new, octets_max).into_difference(&new));
            assert_eq!(one, three);
            assert_eq!(matches!(one, Difference::Sequence(_)), is_short);
        }
    }
}
