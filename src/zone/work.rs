//! Owners taken out of their pages while differences are applied to them.
//!
//! In: places of the version that is changed, and what becomes of records there. Out: for each owner that was touched, the
//! records of the RRsets that were touched, and the stored octets of the others, which need neither be read nor written
//! anew. Used by [`super::apply()`] only, which knows what a difference is; knows nothing of pages.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use smallvec::SmallVec;

use super::encode::{BLOCK_OCTETS_MAX, ENTRY_OCTETS_MAX, Item, Items};
use super::entry::{Entry, GLUE, RrsetBlock};
use super::snapshot::Snapshot;
use crate::dns::RecordType;

/// Where an owner belongs: the hash of its name, and the name relative to the apex. In this order entries stand on pages.
pub(super) type Place<'a> = (u64, &'a [u8]);

/// An owner taken out of its page.
pub(super) struct Work<'a> {
    pub(super) place: Place<'a>,
    /// What it was.
    pub(super) base: Option<Entry<'a>>,
    /// All records of the blocks in `open`, sorted by [`Item::identity`].
    items: Items<'a>,
    /// The blocks that are worked on, of an owner that was there before.
    open: SmallVec<[RecordType; 4]>,
    pub(super) kids: u32,
    pub(super) has_wildcard: bool,
    /// Whether the name exists.
    pub(super) present: bool,
    pub(super) addresses_changed: bool,
    /// Whether addresses at name servers of this delegation have changed, which may be its glue.
    pub(super) glue_changed: bool,
}

impl<'a> Work<'a> {
    fn new(base: &'a Snapshot, place: Place<'a>) -> Work<'a> {
        let entry = base.lookup(place.0, place.1);
        Work {
            place,
            base: entry,
            items: Items::new(),
            open: SmallVec::new(),
            kids: entry.map_or(0, |entry| entry.kids()),
            has_wildcard: entry.is_some_and(|entry| entry.has_wildcard()),
            present: entry.is_some(),
            addresses_changed: false,
            glue_changed: false,
        }
    }

    /// The records of the blocks that are worked on.
    pub(super) fn items(&self) -> &[Item<'a>] {
        &self.items
    }

    /// The same, to be changed; they stay sorted.
    pub(super) fn items_mut(&mut self) -> &mut Items<'a> {
        &mut self.items
    }

    /// Whether the block of `rtype` is worked on; those of a new owner all are.
    pub(super) fn is_open(&self, rtype: RecordType) -> bool {
        self.base.is_none() || self.open.contains(&rtype)
    }

    /// Works on the block of `rtype` from now on.
    pub(super) fn open(&mut self, base: &'a Snapshot, rtype: RecordType) {
        let Some(entry) = self.base.filter(|_| !self.open.contains(&rtype)) else { return };
        self.open.push(rtype);
        if let Some(block) = entry.rrset(rtype) {
            let opened = base.block_items(entry, block);
            match self.items.partition_point(|item| item.block < rtype) {
                0 if self.items.is_empty() => self.items = opened,
                at => self.items.insert_many(at, opened),
            }
        }
    }

    /// Works on all blocks if what is not touched cannot stay as it stands: glue is made from its NS RRs, and which
    /// blocks are too large for their page is seen only beside the others.
    pub(super) fn settle(&mut self, base: &'a Snapshot) {
        let Some(entry) = self.base.filter(|_| self.present) else { return };
        let octets_max = entry.as_bytes().len()
            + size_of::<u32>()
            + self.items.len() * BLOCK_OCTETS_MAX
            + self.items.iter().map(|item| item.rdata.len()).sum::<usize>();
        let has_new_glue = self.glue_changed || self.open.contains(&RecordType::NS);
        if has_new_glue || entry.has_spilled() || octets_max > ENTRY_OCTETS_MAX {
            entry.rrsets().for_each(|block| self.open(base, block.rtype()));
            self.open.push(GLUE);
        }
    }

    /// The blocks that stay as they are, by ascending type.
    pub(super) fn kept(&self) -> impl Iterator<Item = RrsetBlock<'a>> {
        self.base.into_iter().flat_map(|entry| entry.blocks()).filter(|block| !self.is_open(block.rtype()))
    }

    /// Whether there is no record, so that the name only exists if there are others below.
    pub(super) fn is_bare(&self) -> bool {
        self.items.is_empty() && self.kept().all(|block| block.rtype() == GLUE)
    }
}

/// All owners that are worked on.
pub(super) struct Works<'a> {
    base: &'a Snapshot,
    all: Vec<Work<'a>>,
    by_place: HashMap<Place<'a>, usize, BuildHasherDefault<PlaceHasher>>,
}

impl<'a> Works<'a> {
    /// With room for so many.
    pub(super) fn new(base: &'a Snapshot, owners: usize) -> Works<'a> {
        let by_place = HashMap::with_capacity_and_hasher(owners, BuildHasherDefault::default());
        Works { base, all: Vec::with_capacity(owners), by_place }
    }

    /// The owner, taken out of its page unless that has been done.
    pub(super) fn at(&mut self, place: Place<'a>) -> &mut Work<'a> {
        let index = *self.by_place.entry(place).or_insert_with(|| {
            self.all.push(Work::new(self.base, place));
            self.all.len() - 1
        });
        &mut self.all[index]
    }

    /// The owner, if it is worked on.
    pub(super) fn get(&self, place: Place<'_>) -> Option<&Work<'a>> {
        self.by_place.get(&place).map(|&index| &self.all[index])
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Work<'a>> {
        self.all.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Work<'a>> {
        self.all.iter_mut()
    }

    /// All of them by ascending place.
    pub(super) fn in_order(&self) -> Vec<&Work<'a>> {
        let mut places: Vec<(u64, usize)> = self.all.iter().enumerate().map(|(at, work)| (work.place.0, at)).collect();
        places.sort_unstable_by(|a, b| match a.0.cmp(&b.0) {
            Ordering::Equal => self.all[a.1].place.1.cmp(self.all[b.1].place.1),
            order => order,
        });
        places.into_iter().map(|(_, at)| &self.all[at]).collect()
    }
}

/// Takes the hash out of a [`Place`], since that is one already.
#[derive(Default)]
struct PlaceHasher(u64);

impl Hasher for PlaceHasher {
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write_usize(&mut self, _octets: usize) {}

    fn write(&mut self, _name: &[u8]) {}

    fn finish(&self) -> u64 {
        self.0
    }
}
