//! Which zone a name belongs to: the immutable table of all zones.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;

use super::slot::{Slot, ZoneId};
use crate::dns::Name;
use crate::zone::HashKey;

/// All zones at one moment. Immutable: a change of the set of zones makes a new view.
pub struct View {
    key: HashKey,
    slots: Vec<Arc<Slot>>,
    by_id: HashMap<ZoneId, u32>,
    /// Open addressing with linear probing, at most half full; a power of two long.
    buckets: Box<[Bucket]>,
    /// Bit d: some apex has d labels.
    depths: u128,
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
    /// Of two slots with one name the later wins.
    pub(super) fn new(key: HashKey, slots: Vec<Arc<Slot>>) -> View {
        let size = (slots.len() * 2).next_power_of_two().max(2);
        let mut buckets = vec![Bucket { hash: 0, slot: EMPTY, labels: 0 }; size].into_boxed_slice();
        let mut depths = 0;
        for (index, slot) in slots.iter().enumerate() {
            let mut at = slot.hash() as usize & (size - 1);
            while buckets[at].slot != EMPTY && slots[buckets[at].slot as usize].name() != slot.name() {
                at = (at + 1) & (size - 1);
            }
            buckets[at] = Bucket { hash: slot.hash(), slot: index as u32, labels: slot.labels() as u32 };
            depths |= 1 << slot.labels();
        }
        let by_id = slots.iter().enumerate().map(|(index, slot)| (slot.id(), index as u32)).collect();
        View { key, slots, by_id, buckets, depths }
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
        self.at(apex.label_count(), self.key.name(apex.as_wire()), apex.as_wire())
    }

    /// The zone with the longest apex that is a suffix of a name and has at most `deepest` labels.
    /// `hashes[d]` is the hash of the name's rightmost `d` labels, `suffix(d)` these labels in lower-case wire form.
    #[inline]
    pub fn enclosing<'n>(
        &self,
        hashes: &[u64],
        deepest: usize,
        suffix: impl Fn(usize) -> &'n [u8],
    ) -> Option<&Arc<Slot>> {
        let mut candidates = self.depths & (u128::MAX >> (127 - deepest.min(127)));
        while candidates != 0 {
            let depth = 127 - candidates.leading_zeros() as usize;
            if let Some(slot) = self.at(depth, hashes[depth], suffix(depth)) {
                return Some(slot);
            }
            candidates &= !(1 << depth);
        }
        None
    }

    #[inline]
    fn at(&self, labels: usize, hash: u64, apex: &[u8]) -> Option<&Arc<Slot>> {
        let mask = self.buckets.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let bucket = self.buckets[at & mask];
            if bucket.slot == EMPTY {
                return None;
            }
            if bucket.hash == hash && bucket.labels == labels as u32 {
                let slot = &self.slots[bucket.slot as usize];
                if slot.name().as_wire() == apex {
                    return Some(slot);
                }
            }
            at += 1;
        }
    }
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
