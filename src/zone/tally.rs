//! Sums over a zone's entries, kept up to date entry by entry so that no commit has to walk a zone.

use super::encode::RRSET_OCTETS_MAX;
use super::entry::Entry;
use crate::dns::RecordType;

/// How many owners break each of the [`Rule`](super::check::Rule)s on single entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Offences {
    pub(super) cname_and_other: u32,
    pub(super) cnames: u32,
    pub(super) below_dname: u32,
    pub(super) wildcard_ns: u32,
    pub(super) unsendable_signed: u32,
}

/// Sums over entries; a function of their octets alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) owners: u64,
    pub(super) records: u64,
    pub(super) mixed: u32,
    /// Records by type, ascending, no zeros. A zone of so many records of one type fits no memory.
    types: Vec<(RecordType, u32)>,
    /// Owners, and those that are CUT or DNAME, by labels below the apex; the last is not zero.
    depths: Vec<(u32, u32)>,
    pub(super) offences: Offences,
}

impl Tally {
    pub(super) fn add(&mut self, entry: Entry<'_>) {
        self.count(entry, 1);
    }

    pub(super) fn remove(&mut self, entry: Entry<'_>) {
        self.count(entry, -1);
        self.types.retain(|t| t.1 > 0);
        while self.depths.pop_if(|depth| depth.0 == 0).is_some() {}
    }

    /// Takes over what has been added to another.
    pub(super) fn merge(&mut self, other: &Tally) {
        self.owners += other.owners;
        self.records += other.records;
        self.mixed += other.mixed;
        for &(rtype, records) in &other.types {
            self.count_type(rtype, records as i64);
        }
        if self.depths.len() < other.depths.len() {
            self.depths.resize(other.depths.len(), (0, 0));
        }
        for (ours, theirs) in self.depths.iter_mut().zip(&other.depths) {
            (ours.0, ours.1) = (ours.0 + theirs.0, ours.1 + theirs.1);
        }
        let Offences { cname_and_other, cnames, below_dname, wildcard_ns, unsendable_signed } = other.offences;
        self.offences.cname_and_other += cname_and_other;
        self.offences.cnames += cnames;
        self.offences.below_dname += below_dname;
        self.offences.wildcard_ns += wildcard_ns;
        self.offences.unsendable_signed += unsendable_signed;
    }

    /// Records by type, ascending.
    pub(super) fn types(&self) -> &[(RecordType, u32)] {
        &self.types
    }

    /// Bit d: some owner with d labels below the apex is a CUT or has a DNAME.
    pub(super) fn cut_depths(&self) -> u128 {
        self.depths.iter().enumerate().filter(|(_, depth)| depth.1 > 0).fold(0, |bits, (d, _)| bits | 1 << d)
    }

    /// Most labels an owner has below the apex.
    pub(super) fn max_depth(&self) -> usize {
        self.depths.len().saturating_sub(1)
    }

    pub(super) fn shrink(&mut self) {
        self.types.shrink_to_fit();
        self.depths.shrink_to_fit();
    }

    /// All fields change by `sign`: 1 or -1.
    fn count(&mut self, entry: Entry<'_>, sign: i32) {
        let change = |sum: &mut u32, condition: bool| *sum = sum.wrapping_add_signed(i32::from(condition) * sign);
        self.owners = self.owners.wrapping_add_signed(sign.into());
        change(&mut self.mixed, entry.is_mixed());
        if self.depths.len() <= entry.labels() {
            self.depths.resize(entry.labels() + 1, (0, 0));
        }
        let depth = &mut self.depths[entry.labels()];
        change(&mut depth.0, true);
        change(&mut depth.1, entry.is_cut() || entry.is_dname());
        let (mut cnames, mut other, mut unsendable) = (0, false, false);
        for block in entry.rrsets() {
            let (rrs, signatures) = (block.rr_count(), block.signature_count());
            self.records = self.records.wrapping_add_signed((rrs + signatures) as i64 * i64::from(sign));
            self.count_type(block.rtype(), rrs as i64 * i64::from(sign));
            self.count_type(RecordType::RRSIG, signatures as i64 * i64::from(sign));
            match block.rtype() {
                RecordType::CNAME => cnames = rrs,
                RecordType::NSEC | RecordType::RRSIG => {}
                _ => other |= rrs > 0,
            }
            unsendable |= block.image_octets() + block.signature_octets() > RRSET_OCTETS_MAX;
        }
        change(&mut self.offences.cname_and_other, cnames > 0 && other);
        change(&mut self.offences.cnames, cnames > 1);
        change(&mut self.offences.unsendable_signed, unsendable);
        change(&mut self.offences.below_dname, entry.is_dname() && entry.kids() > 0);
        change(&mut self.offences.wildcard_ns, entry.is_cut() && entry.is_wildcard());
    }

    fn count_type(&mut self, rtype: RecordType, change: i64) {
        if change == 0 {
            return;
        }
        match self.types.binary_search_by_key(&rtype, |t| t.0) {
            Ok(at) => self.types[at].1 = self.types[at].1.wrapping_add_signed(change as i32),
            Err(at) => self.types.insert(at, (rtype, change as u32)),
        }
    }
}
