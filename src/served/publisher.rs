//! The only writer of what workers see.

use std::collections::HashSet;
use std::sync::Arc;

use super::reaper::Reaper;
use super::slot::{Slot, State, ZoneId};
use super::view::{View, ViewHandle};
use crate::dns::Name;
use crate::time::Timestamp;
use crate::zone::{HashKey, Snapshot};

/// Adds and removes zones and publishes their snapshots. Deliberately not `Clone`: `control` owns the one there is,
/// and only its `commit` calls [`Publisher::publish`].
pub struct Publisher {
    key: HashKey,
    handle: Arc<ViewHandle>,
    reaper: Reaper,
}

impl Publisher {
    /// An empty view whose names are hashed under `key`; it must be the key of every snapshot published.
    pub fn new(key: HashKey) -> (Publisher, Arc<ViewHandle>) {
        let handle = Arc::new(ViewHandle::new(View::new(key, Vec::new())));
        (Publisher { key, handle: Arc::clone(&handle), reaper: Reaper::start() }, handle)
    }

    /// Adds zones, each without contents ([`State::NotLoaded`]), and returns their slots in the same order. A zone
    /// with the name or the number of an older one takes its place. O(all zones), so add many at once.
    pub fn add_zones(&mut self, zones: impl IntoIterator<Item = (ZoneId, Name)>) -> Vec<Arc<Slot>> {
        let added: Vec<Arc<Slot>> = zones
            .into_iter()
            .map(|(id, name)| {
                let hash = self.key.name(name.as_wire());
                Arc::new(Slot::new(id, name, hash))
            })
            .collect();
        let fresh = View::new(self.key, added.clone());
        let mut slots = self.handle.load().slots().to_vec();
        slots.retain(|old| fresh.by_id(old.id()).is_none() && fresh.zone(old.name()).is_none());
        slots.extend(added.iter().cloned());
        self.replace(slots);
        added
    }

    /// Takes zones away: their names belong to the next enclosing zone, if any, from the next batch of queries on.
    /// O(all zones), so remove many at once.
    pub fn remove_zones(&mut self, ids: &HashSet<ZoneId>) {
        let mut slots = self.handle.load().slots().to_vec();
        slots.retain(|slot| !ids.contains(&slot.id()));
        self.replace(slots);
    }

    /// Takes one zone away. O(all zones).
    pub fn remove_zone(&mut self, id: ZoneId) {
        self.remove_zones(&HashSet::from([id]));
    }

    /// Answers `slot`'s zone from `snapshot` from now on. One atomic store: a query sees the old version or the new.
    pub fn publish(&self, slot: &Slot, snapshot: Arc<Snapshot>) {
        debug_assert!(snapshot.apex() == slot.name(), "a snapshot of the slot's zone");
        self.bury(slot.swap(Some(snapshot)));
        // After the swap, so that a worker that sees `Served` also sees the snapshot.
        slot.set_state(State::Served);
    }

    /// Changes how the zone is answered; its snapshot, if any, stays.
    pub fn set_state(&self, slot: &Slot, state: State) {
        slot.set_state(state);
    }

    /// Lets go of the zone's contents: [`State::NotLoaded`].
    pub fn unload(&self, slot: &Slot) {
        slot.set_state(State::NotLoaded);
        self.bury(slot.swap(None));
    }

    /// Notes when the zone expires. For status and the EXPIRE option; the decision itself is [`Publisher::set_state`].
    pub fn set_expires(&self, slot: &Slot, at: Option<Timestamp>) {
        slot.set_expires(at);
    }

    /// Where readers find the view.
    pub fn handle(&self) -> &Arc<ViewHandle> {
        &self.handle
    }

    fn replace(&self, slots: Vec<Arc<Slot>>) {
        let old = self.handle.replace(View::new(self.key, slots));
        self.reaper.bury(old);
    }

    fn bury(&self, snapshot: Option<Arc<Snapshot>>) {
        if let Some(snapshot) = snapshot {
            self.reaper.bury(snapshot);
        }
    }
}
