//! Where in a zone a name leads: RFC 1034 §4.3.2 step 3 on hashes.
//!
//! The zone keeps empty non-terminals as entries, so a name's ancestors exist if it does, and the closest encloser is
//! found by a binary search over depth. Cuts and DNAMEs are looked for only at the depths where the zone has any.

use super::folded::Folded;
use crate::dns::RecordType;
use crate::dns::name::NAME_OCTETS_MAX;
use crate::zone::{Entry, Snapshot};

/// What stands at, above or instead of a name. Depths count labels from the root; `encloser` is that of the closest
/// encloser.
pub(super) enum Found<'s> {
    /// The name itself, be it as an empty non-terminal.
    Name(Entry<'s>),
    /// It does not exist, but the wildcard `*` below its closest encloser does (RFC 4592 §3.3.1).
    Wildcard { entry: Entry<'s>, encloser: usize },
    /// Neither exists.
    Nothing { encloser: usize },
    /// A delegation at or above the name: everything there belongs to others.
    Cut { entry: Entry<'s>, depth: usize },
    /// A DNAME above the name.
    Dname { entry: Entry<'s>, depth: usize },
}

/// Finds `name`, hashed, in a zone whose apex is the name's suffix of `apex_depth` labels.
#[inline(always)]
pub(super) fn locate<'s>(snapshot: &'s Snapshot, name: &Folded, apex_depth: usize, qtype: RecordType) -> Found<'s> {
    let depth = name.labels();
    if depth - apex_depth >= snapshot.shallowest_cut() {
        return locate_among_cuts(snapshot, name, apex_depth, qtype);
    }
    match probe(snapshot, name, depth, apex_depth) {
        Some(entry) => Found::Name(entry),
        None => not_there(snapshot, name, apex_depth, apex_depth, depth),
    }
}

/// As [`locate`], for a name so deep that there may be a cut or a DNAME at or above it.
#[inline(never)]
fn locate_among_cuts<'s>(snapshot: &'s Snapshot, name: &Folded, apex_depth: usize, qtype: RecordType) -> Found<'s> {
    let depth = name.labels();
    let mut cuts = snapshot.cut_depths() & (u128::MAX >> (127 - (depth - apex_depth)));
    // the deepest ancestor known to exist, and the shallowest depth known not to
    let (mut exists, mut absent) = (apex_depth, depth);
    while cuts != 0 {
        let at = apex_depth + cuts.trailing_zeros() as usize;
        cuts &= cuts - 1;
        let Some(entry) = probe(snapshot, name, at, apex_depth) else {
            // nothing exists deeper down, so no cut either
            absent = at;
            return not_there(snapshot, name, apex_depth, exists, absent);
        };
        if at == depth {
            // DS lives on the parent's side of the cut (RFC 4035 §3.1.4.1), and a DNAME does not redirect its owner.
            return match entry.is_cut() && qtype != RecordType::DS {
                true => Found::Cut { entry, depth },
                false => Found::Name(entry),
            };
        }
        if entry.is_cut() {
            return Found::Cut { entry, depth: at };
        }
        if entry.is_dname() {
            return Found::Dname { entry, depth: at };
        }
        exists = at;
    }
    match probe(snapshot, name, depth, apex_depth) {
        Some(entry) => Found::Name(entry),
        None => not_there(snapshot, name, apex_depth, exists, absent),
    }
}

/// How many labels the suffix of `name` has that [`locate`] looks for first, which for most questions is all: a referral
/// needs the cut and not what is asked for.
#[inline]
pub(super) fn first_probe(snapshot: &Snapshot, name: &Folded, apex_depth: usize) -> usize {
    name.labels().min(apex_depth + snapshot.shallowest_cut())
}

/// The entry of the name's suffix of `depth` labels.
#[inline(always)]
fn probe<'s>(snapshot: &'s Snapshot, name: &Folded, depth: usize, apex_depth: usize) -> Option<Entry<'s>> {
    if depth == apex_depth {
        return Some(snapshot.apex_entry());
    }
    let entry = snapshot.lookup(name.hash_at(depth), name.relative(depth, apex_depth))?;
    // "the authoritative name server will act as if the owner name of the NSEC3 RR did not exist" (RFC 5155 §7.2.8)
    (!snapshot.has_nsec3() || !entry.is_only_nsec3()).then_some(entry)
}

/// For a name of which the suffix of `exists` labels exists and the one of `absent` labels does not: its closest
/// encloser's wildcard, or nothing.
#[inline(never)]
fn not_there<'s>(
    snapshot: &'s Snapshot,
    name: &Folded,
    apex_depth: usize,
    mut exists: usize,
    mut absent: usize,
) -> Found<'s> {
    let mut encloser = None;
    while absent - exists > 1 {
        let middle = exists + (absent - exists) / 2;
        match probe(snapshot, name, middle, apex_depth) {
            Some(entry) => (exists, encloser) = (middle, Some(entry)),
            None => absent = middle,
        }
    }
    let encloser = encloser.or_else(|| probe(snapshot, name, exists, apex_depth));
    if !encloser.is_some_and(|entry| entry.has_wildcard()) {
        return Found::Nothing { encloser: exists };
    }
    let parent = name.relative(exists, apex_depth);
    let mut wildcard = [0; NAME_OCTETS_MAX + 1];
    wildcard[..2].copy_from_slice(b"\x01*");
    wildcard[2..2 + parent.len()].copy_from_slice(parent);
    let hash = snapshot.key().child(name.hash_at(exists), b"*");
    match snapshot.lookup(hash, &wildcard[..2 + parent.len()]) {
        Some(entry) => Found::Wildcard { entry, encloser: exists },
        None => Found::Nothing { encloser: exists },
    }
}

/// The entry with the addresses of a host, for the additional section: its own or that of the wildcard which stands for
/// it; if `glue` is wanted its own even below a cut, and no wildcard. `name` is hashed and lies in the zone.
pub(super) fn host<'s>(snapshot: &'s Snapshot, name: &Folded, apex_depth: usize, glue: bool) -> Option<Entry<'s>> {
    if glue {
        return probe(snapshot, name, name.labels(), apex_depth);
    }
    match locate_host(snapshot, name, apex_depth) {
        Found::Name(entry) | Found::Wildcard { entry, .. } => Some(entry),
        _ => None,
    }
}

/// As [`locate`] for an address; a call instead of a copy.
#[inline(never)]
fn locate_host<'s>(snapshot: &'s Snapshot, name: &Folded, apex_depth: usize) -> Found<'s> {
    locate(snapshot, name, apex_depth, RecordType::A)
}
