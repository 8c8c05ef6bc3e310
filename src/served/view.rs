//! Which zone a name belongs to: the immutable table of all zones.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;

use super::slot::{Slot, ZoneId};
use crate::dns::{Name, name};
use crate::zone::HashKey;

/// All zones at one moment. Immutable: a change of the set of zones makes a new view.
pub struct View {
    key: HashKey,
    /// No other view of this process has the same.
    number: u64,
    slots: Vec<Arc<Slot>>,
    by_id: HashMap<ZoneId, u32>,
    /// Open addressing with linear probing, at most half full; a power of two long.
    buckets: Box<[Bucket]>,
    /// Bit d: some apex has d labels.
    depths: u128,
    /// The most labels an apex has.
    deepest: usize,
    is_whole: bool,
}

/// Numbers the views of this process, from 1 on.
static VIEWS: AtomicU64 = AtomicU64::new(0);

fn fresh_number() -> u64 {
    VIEWS.fetch_add(1, Ordering::Relaxed) + 1
}

fn deepest(depths: u128) -> usize {
    127_u32.saturating_sub(depths.leading_zeros()) as usize
}

/// 16 octets, so four to a cache line.
#[derive(Clone, Copy)]
struct Bucket {
    hash: u64,
    /// Index into `slots`, or [`EMPTY`].
    slot: u32,
    /// Labels of the apex: distinguishes most names without following `slot`.
    labels: u32,
}

const EMPTY: u32 = u32::MAX;

impl View {
    /// Of two slots with one name the later wins. `is_whole` is for [`View::is_whole`].
    pub(super) fn new(key: HashKey, slots: Vec<Arc<Slot>>, is_whole: bool) -> View {
        let size = (slots.len() * 2).next_power_of_two().max(2);
        let mut buckets = vec![Bucket { hash: 0, slot: EMPTY, labels: 0 }; size].into_boxed_slice();
        let mut depths = 0_u128;
        for (index, slot) in slots.iter().enumerate() {
            let mut at = slot.hash() as usize & (size - 1);
            while buckets[at].slot != EMPTY && slots[buckets[at].slot as usize].name() != slot.name() {
                at = (at + 1) & (size - 1);
            }
            buckets[at] = Bucket { hash: slot.hash(), slot: index as u32, labels: slot.labels() as u32 };
            depths |= 1 << slot.labels();
        }
        let by_id = slots.iter().enumerate().map(|(index, slot)| (slot.id(), index as u32)).collect();
        View { key, number: fresh_number(), slots, by_id, buckets, depths, deepest: deepest(depths), is_whole }
    }

    /// A number that no other view of this process has, above 0: whoever remembers where a zone stands in a view
    /// remembers this too.
    #[inline]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// This view and zones that are new to it, by name and number; `None` if one is not, or the table would be more than half
    /// full. Copies the tables and computes nothing of the zones that are there: a tenth of the cost of [`View::new`].
    pub(super) fn with(&self, added: &[Arc<Slot>]) -> Option<View> {
        let is_known = |slot: &Arc<Slot>| {
            self.by_id.contains_key(&slot.id()) || self.at(slot.labels(), slot.hash(), slot.name().as_wire()).is_some()
        };
        let count = self.slots.len() + added.len();
        if count * 2 > self.buckets.len() || added.iter().any(is_known) {
            return None;
        }
        let mut slots = Vec::with_capacity(count);
        slots.extend_from_slice(&self.slots);
        let (by_id, buckets) = (self.by_id.clone(), self.buckets.clone());
        let mut view = View { number: fresh_number(), slots, by_id, buckets, ..*self };
        added.iter().try_for_each(|slot| view.put(slot))?;
        view.deepest = deepest(view.depths);
        Some(view)
    }

    /// `None` if a zone with this name or number is there.
    fn put(&mut self, slot: &Arc<Slot>) -> Option<()> {
        let (index, mask) = (self.slots.len() as u32, self.buckets.len() - 1);
        let mut at = slot.hash() as usize & mask;
        while self.buckets[at].slot != EMPTY {
            if self.slots[self.buckets[at].slot as usize].name() == slot.name() {
                return None;
            }
            at = (at + 1) & mask;
        }
        self.buckets[at] = Bucket { hash: slot.hash(), slot: index, labels: slot.labels() as u32 };
        self.depths |= 1 << slot.labels();
        self.slots.push(Arc::clone(slot));
        self.by_id.insert(slot.id(), index).is_none().then_some(())
    }

    /// Whether every zone of this server is in here. While zones are being read from the disk it is not: what is in none of
    /// these zones may be ours all the same, and what is in one of them may belong to one below.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// The key under which names are hashed, here and in every snapshot.
    #[inline]
    pub fn key(&self) -> &HashKey {
        &self.key
    }

    /// All zones, in no particular order.
    pub fn slots(&self) -> &[Arc<Slot>] {
        &self.slots
    }

    /// The zone with this number.
    pub fn by_id(&self, id: ZoneId) -> Option<&Arc<Slot>> {
        self.by_id.get(&id).map(|&index| &self.slots[index as usize])
    }

    /// The zone with exactly this apex.
    pub fn zone(&self, apex: &Name) -> Option<&Arc<Slot>> {
        self.at(apex.label_count(), self.key.name(apex.as_wire()), apex.as_wire()).map(|index| &self.slots[index])
    }

    /// Where among [`View::slots`] the zone with the longest apex stands that is a suffix of a name and has at most
    /// `deepest` labels. `hashes[d]` is the hash of the name's rightmost `d` labels, `suffix(d)` these labels in
    /// lower-case wire form.
    pub fn enclosing<'n>(&self, hashes: &[u64], deepest: usize, suffix: impl Fn(usize) -> &'n [u8]) -> Option<usize> {
        self.longest(self.depths & up_to(deepest), hashes, suffix)
    }

    /// The most labels an apex has.
    #[inline]
    pub fn deepest(&self) -> usize {
        self.deepest
    }

    /// As [`View::enclosing`], but only of zones whose apex has more than `known` labels.
    pub fn enclosing_beyond<'n>(
        &self,
        known: usize,
        hashes: &[u64],
        deepest: usize,
        suffix: impl Fn(usize) -> &'n [u8],
    ) -> Option<usize> {
        self.longest(self.depths & up_to(deepest) & !up_to(known), hashes, suffix)
    }

    fn longest<'n>(&self, mut candidates: u128, hashes: &[u64], suffix: impl Fn(usize) -> &'n [u8]) -> Option<usize> {
        while candidates != 0 {
            let depth = 127 - candidates.leading_zeros() as usize;
            if let Some(index) = self.at(depth, hashes[depth], suffix(depth)) {
                return Some(index);
            }
            candidates &= !(1 << depth);
        }
        None
    }

    #[inline]
    fn at(&self, labels: usize, hash: u64, apex: &[u8]) -> Option<usize> {
        let mask = self.buckets.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let bucket = self.buckets[at & mask];
            if bucket.slot == EMPTY {
                return None;
            }
            if bucket.hash == hash && bucket.labels == labels as u32 {
                let index = bucket.slot as usize;
                if name::is_same(self.slots[index].name().as_wire(), apex) {
                    return Some(index);
                }
            }
            at += 1;
        }
    }
}

/// The bits of the depths up to `depth`.
fn up_to(depth: usize) -> u128 {
    u128::MAX >> (127 - depth.min(127))
}

/// Where the current [`View`] is found.
pub struct ViewHandle {
    current: ArcSwap<View>,
    /// Counts the views; read before anything else, so that an unchanged view costs one shared cache line.
    generation: AtomicU64,
}

impl ViewHandle {
    pub(super) fn new(view: View) -> ViewHandle {
        ViewHandle { current: ArcSwap::from_pointee(view), generation: AtomicU64::new(0) }
    }

    /// The current view, for callers off the hot path.
    pub fn load(&self) -> Arc<View> {
        self.current.load_full()
    }

    /// How often the set of zones has changed.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// A reader of its own for one worker.
    pub fn reader(self: &Arc<Self>) -> ViewReader {
        let generation = self.generation();
        ViewReader { handle: Arc::clone(self), view: self.load(), generation }
    }

    /// Puts `view` in place and returns the old one, which readers may still use.
    pub(super) fn replace(&self, view: View) -> Arc<View> {
        let old = self.current.swap(Arc::new(view));
        self.generation.fetch_add(1, Ordering::Release);
        old
    }
}

/// One worker's view, refreshed when the worker looks: once per batch.
pub struct ViewReader {
    handle: Arc<ViewHandle>,
    view: Arc<View>,
    generation: u64,
}

impl ViewReader {
    /// The newest view. Costs one atomic load while the set of zones stays the same.
    #[inline]
    pub fn current(&mut self) -> &View {
        let generation = self.handle.generation();
        if generation != self.generation {
            // The reaper also holds the old view and outlasts this reference, so nothing is freed here.
            self.view = self.handle.load();
            self.generation = generation;
        }
        &self.view
    }
}
