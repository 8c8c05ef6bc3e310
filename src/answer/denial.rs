//! Proofs that something is not there: NSEC (RFC 4035 §3.1.3) and NSEC3 (RFC 5155 §7.2), for those who ask with DO.
//!
//! Called by `resolve` when a name, a type or a DS is missing, or when a wildcard has answered for a name. The records
//! are copied as they were signed, each once in a reply; a zone whose chain has holes is answered with what there is. One
//! whose NSEC3 hash costs more than [`Client::nsec3_iterations_max`](super::Client) allows gives none, and no answer
//! either where one is needed.
//!
//! A wildcard's answer needs its proof in the authority section, but a chain may go on adding to the answer section.
//! So such proofs are *owed*, and written by [`Reply::settle`] once the answer section is complete.

use super::CHAIN_LINKS_MAX;
use super::folded::Folded;
use super::resolve::{Held, Reply, Sought};
use super::write::{Full, Names, Section};
use crate::dns::RecordType;
use crate::dns::name::NAME_OCTETS_MAX;
use crate::zone::{Entry, NSEC3_HASH_OCTETS, Nsec3Of, Nsec3Params, Snapshot};

/// Proofs that one reply can hold: one for each wildcard of a chain, four for its end.
const PROOFS_MAX: usize = CHAIN_LINKS_MAX + 5;

/// What the sought name lacks. Depths count labels from the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absent {
    /// Itself; its closest encloser has so many labels, and no wildcard.
    Name { encloser: usize },
    /// The type.
    Type,
    /// Itself, and the wildcard below its closest encloser lacks the type.
    TypeAtWildcard { encloser: usize },
}

/// A name for which a wildcard has answered.
#[derive(Clone, Copy, Default)]
struct Owed {
    /// Which zone: [`Held::id`].
    zone: usize,
    /// Where the name stands in the message.
    at: u16,
    /// Labels of its closest encloser.
    encloser: u8,
}

/// What a reply has of proofs.
#[derive(Default)]
pub(super) struct Proofs {
    /// Addresses of the entries whose NSEC or NSEC3 stands in the reply; they stay where they are while it is made.
    given: [usize; PROOFS_MAX],
    given_count: usize,
    owed: [Owed; PROOFS_MAX],
    owed_count: usize,
}

impl Proofs {
    /// Whether the entry's record is to be given: it has not been yet.
    fn take(&mut self, entry: Entry<'_>) -> bool {
        let address = entry.as_bytes().as_ptr() as usize;
        let is_new = !self.given[..self.given_count].contains(&address);
        if is_new && let Some(free) = self.given.get_mut(self.given_count) {
            *free = address;
            self.given_count += 1;
        }
        is_new
    }
}

impl Reply<'_, '_> {
    /// Proves that what the sought name lacks is not there.
    #[inline(never)]
    pub(super) fn prove(&mut self, held: &Held<'_>, sought: Sought<'_>, absent: Absent) -> Result<(), Full> {
        let Some(chain) = self.chain_of(held) else {
            return Ok(());
        };
        match (chain, absent) {
            (Chain::Nsec, Absent::Name { encloser } | Absent::TypeAtWildcard { encloser }) => {
                self.put_nsec(held, sought, sought.name.relative(sought.name.labels(), held.apex_depth()))?;
                let (wildcard, len) = wildcard_below(sought.name.relative(encloser, held.apex_depth()));
                self.put_nsec(held, sought, &wildcard[..len])
            }
            (Chain::Nsec, Absent::Type) => {
                self.put_nsec(held, sought, sought.name.relative(sought.name.labels(), held.apex_depth()))
            }
            (Chain::Nsec3(params), Absent::Name { encloser } | Absent::TypeAtWildcard { encloser }) => {
                let encloser = self.put_closest_encloser(held, sought, params, encloser)?;
                if encloser == held.apex_depth() {
                    return self.put_nsec3(held, sought, &held.snapshot.nsec3_apex_hashes().wildcard);
                }
                let (wildcard, len) = wildcard_below(sought.name.suffix(encloser));
                self.put_nsec3(held, sought, &params.hash(&wildcard[..len]))
            }
            (Chain::Nsec3(params), Absent::Type) => self.put_no_type(held, sought, params, sought.name.labels()),
        }
    }

    /// Proves that the cut, which is the sought name's suffix of `depth` labels, has no DS (RFC 4035 §3.1.4.1,
    /// RFC 5155 §7.2.7).
    pub(super) fn prove_insecure(&mut self, held: &Held<'_>, sought: Sought<'_>, depth: usize) -> Result<(), Full> {
        match self.chain_of(held) {
            Some(Chain::Nsec) => self.put_nsec(held, sought, sought.name.relative(depth, held.apex_depth())),
            Some(Chain::Nsec3(params)) => self.put_no_type(held, sought, params, depth),
            None => Ok(()),
        }
    }

    /// Notes that a wildcard answers for the sought name, whose closest encloser has `encloser` labels.
    #[cold]
    pub(super) fn owe(&mut self, held: &Held<'_>, sought: Sought<'_>, encloser: usize) {
        let proofs = self.proofs.get_or_insert_default();
        // a chain has fewer links than there are places, and stands in a message
        if let Some(free) = proofs.owed.get_mut(proofs.owed_count) {
            *free = Owed { zone: held.id(), at: sought.at as u16, encloser: encloser as u8 };
            proofs.owed_count += 1;
        }
    }

    /// Gives the proofs that are owed: that no name closer than the wildcard exists (RFC 4035 §3.1.3.3, RFC 5155
    /// §7.2.6). `held` is the zone of the answer's end. Without effect if nothing is owed (any more).
    #[inline]
    pub(super) fn settle(&mut self, held: &Held<'_>) -> Result<(), Full> {
        match &mut self.proofs {
            Some(proofs) if proofs.owed_count > 0 => {
                let (owed, count) = (proofs.owed, std::mem::take(&mut proofs.owed_count));
                self.give(held, &owed[..count])
            }
            _ => Ok(()),
        }
    }

    #[cold]
    fn give(&mut self, held: &Held<'_>, owed: &[Owed]) -> Result<(), Full> {
        let mut name = Folded::new();
        for owed in owed {
            let at = usize::from(owed.at);
            let Some(held) = held.find(owed.zone).filter(|_| name.read(self.writer.written(), at)) else {
                continue;
            };
            let sought = Sought { name: &name, at };
            match self.chain_of(held) {
                Some(Chain::Nsec) => self.put_nsec(held, sought, name.relative(name.labels(), held.apex_depth()))?,
                Some(Chain::Nsec3(params)) => {
                    let hash = params.hash(name.suffix(usize::from(owed.encloser) + 1));
                    self.put_nsec3(held, sought, &hash)?;
                }
                None => {}
            }
        }
        Ok(())
    }

    /// The NSEC that matches or covers the name `relative` to the apex.
    fn put_nsec(&mut self, held: &Held<'_>, sought: Sought<'_>, relative: &[u8]) -> Result<(), Full> {
        match held.snapshot.nsec_covering(relative) {
            Some(entry) => self.put_proof(held, sought, entry, RecordType::NSEC),
            None => Ok(()),
        }
    }

    /// The NSEC3 that matches or covers a hash.
    fn put_nsec3(&mut self, held: &Held<'_>, sought: Sought<'_>, hash: &[u8; NSEC3_HASH_OCTETS]) -> Result<(), Full> {
        match held.snapshot.nsec3_of(hash) {
            Some(Nsec3Of::Matched(entry) | Nsec3Of::Covered(entry)) => {
                self.put_proof(held, sought, entry, RecordType::NSEC3)
            }
            None => Ok(()),
        }
    }

    /// The NSEC3 of the sought name's suffix of `depth` labels. If it has none, because it is an insecure delegation in
    /// an opt-out span or leads to nothing else, the proof of its closest provable encloser (RFC 5155 §7.2.4).
    fn put_no_type(
        &mut self,
        held: &Held<'_>,
        sought: Sought<'_>,
        params: &Nsec3Params,
        depth: usize,
    ) -> Result<(), Full> {
        match held.snapshot.nsec3_of(&hash_of_ancestor(held, sought, params, depth)) {
            Some(Nsec3Of::Matched(entry)) => self.put_proof(held, sought, entry, RecordType::NSEC3),
            Some(Nsec3Of::Covered(_)) if depth > held.apex_depth() => {
                let encloser = depth - 1;
                self.put_closest_encloser(held, sought, params, encloser).map(|_| ())
            }
            _ => Ok(()),
        }
    }

    /// The closest (provable) encloser proof (RFC 5155 §7.2.1): the NSEC3 of the deepest ancestor that has one, at or
    /// above the one of `depth` labels, and the NSEC3 that covers the next closer name. Returns that ancestor's depth.
    fn put_closest_encloser(
        &mut self,
        held: &Held<'_>,
        sought: Sought<'_>,
        params: &Nsec3Params,
        depth: usize,
    ) -> Result<usize, Full> {
        for encloser in (held.apex_depth()..=depth).rev() {
            let hash = hash_of_ancestor(held, sought, params, encloser);
            if let Some(Nsec3Of::Matched(entry)) = held.snapshot.nsec3_of(&hash) {
                self.put_proof(held, sought, entry, RecordType::NSEC3)?;
                self.put_nsec3(held, sought, &params.hash(sought.name.suffix(encloser + 1)))?;
                return Ok(encloser);
            }
        }
        Ok(depth)
    }

    /// Puts the RRset of this type of `entry`, whose owner need not stand in the message, unless it is there already.
    fn put_proof(
        &mut self,
        held: &Held<'_>,
        sought: Sought<'_>,
        entry: Entry<'_>,
        rtype: RecordType,
    ) -> Result<(), Full> {
        let Some(block) = entry.rrset(rtype).filter(|block| block.rr_count() > 0) else {
            return Ok(());
        };
        if !self.proofs.get_or_insert_default().take(entry) {
            return Ok(());
        }
        let (relative, apex) = (entry.name(), held.apex());
        let shared = shared_depth(relative, entry.labels(), sought.name, held.apex_depth());
        let labels = &relative[..relative.len() - sought.name.relative(shared, held.apex_depth()).len()];
        let mut owner = [0; NAME_OCTETS_MAX];
        let owner_octets = relative.len() + apex.len();
        owner[..relative.len()].copy_from_slice(relative);
        owner[relative.len()..owner_octets].copy_from_slice(apex);
        let suffix_at = sought.suffix_at(self.writer.written(), shared);
        let start = self.writer.written().len();
        let names = Names {
            owner_at: if labels.is_empty() { suffix_at } else { start },
            owner: &owner[..owner_octets],
            apex_at: sought.suffix_at(self.writer.written(), held.apex_depth()),
            apex_in_full: false,
            apex,
            entry,
        };
        if labels.is_empty() {
            return self.put(Section::Authority, held, entry, &block, &names).map(|_| ());
        }
        self.writer.begin_owner(labels)?;
        let put = self.put(Section::Authority, held, entry, &block, &names);
        self.writer.end_owner(start, labels, suffix_at, put.is_ok());
        put.map(|_| ())
    }
}

/// The hash of the sought name's suffix of `depth` labels.
fn hash_of_ancestor(
    held: &Held<'_>,
    sought: Sought<'_>,
    params: &Nsec3Params,
    depth: usize,
) -> [u8; NSEC3_HASH_OCTETS] {
    match depth == held.apex_depth() {
        true => held.snapshot.nsec3_apex_hashes().apex,
        false => params.hash(sought.name.suffix(depth)),
    }
}

/// Whether this is a signed zone: one whose SOA is signed. In others NSEC, NSEC3 and DS are data that mean nothing.
pub(super) fn is_signed(snapshot: &Snapshot) -> bool {
    let apex = snapshot.apex_entry();
    apex.is_signed() && apex.rrset(RecordType::SOA).is_some_and(|soa| soa.signature_octets() > 0)
}

/// How a zone proves.
#[derive(Clone, Copy)]
pub(super) enum Chain<'s> {
    Nsec,
    Nsec3(&'s Nsec3Params),
}

impl<'s> Chain<'s> {
    /// `None` in a zone that is not signed, whatever NSEC or NSEC3 lie about in it.
    pub(super) fn of(held: &Held<'s>) -> Option<Chain<'s>> {
        let snapshot: &'s Snapshot = held.snapshot;
        if !is_signed(snapshot) {
            return None;
        }
        if let Some(params) = snapshot.nsec3_params() {
            return Some(Chain::Nsec3(params));
        }
        snapshot.apex_entry().rrset(RecordType::NSEC).filter(|nsec| nsec.rr_count() > 0).map(|_| Chain::Nsec)
    }
}

/// The wildcard right below `parent`, and its octets.
fn wildcard_below(parent: &[u8]) -> ([u8; NAME_OCTETS_MAX + 1], usize) {
    let mut wildcard = [0; NAME_OCTETS_MAX + 1];
    wildcard[..2].copy_from_slice(b"\x01*");
    wildcard[2..2 + parent.len()].copy_from_slice(parent);
    (wildcard, 2 + parent.len())
}

/// Labels of the longest suffix which the owner `relative`, of so many labels, has in common with `name`; at least the
/// apex.
fn shared_depth(relative: &[u8], labels: usize, name: &Folded, apex_depth: usize) -> usize {
    let mut rest = relative;
    for depth in (apex_depth..=apex_depth + labels).rev() {
        if depth <= name.labels() && name.relative(depth, apex_depth) == rest {
            return depth;
        }
        rest = rest.get(1 + usize::from(rest[0])..).unwrap_or_default();
    }
    apex_depth
}
