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
        let handle = Arc::new(ViewHandle::new(View::new(key, Vec::new(), true)));
        (Publisher { key, handle: Arc::clone(&handle), reaper: Reaper::start() }, handle)
    }

    /// Says whether all zones are in the view, see [`View::is_whole`]. O(all zones).
    pub fn set_whole(&self, is_whole: bool) {
        let slots = self.handle.load().slots().to_vec();
        self.replace(slots, is_whole);
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
        // Let go of the view before it is replaced: the reaper is to free it.
        let extended = self.handle.load().with(&added);
        if let Some(view) = extended {
            self.reaper.bury(self.handle.replace(view));
            return added;
        }
        let fresh = View::new(self.key, added.clone(), true);
        let mut slots = self.handle.load().slots().to_vec();
        slots.retain(|old| fresh.by_id(old.id()).is_none() && fresh.zone(old.name()).is_none());
        slots.extend(added.iter().cloned());
        self.replace(slots, self.handle.load().is_whole());
        added
    }

    /// Takes zones away: their names belong to the next enclosing zone, if any, from the next batch of queries on.
    /// O(all zones), so remove many at once.
    pub fn remove_zones(&mut self, ids: &HashSet<ZoneId>) {
        let mut slots = self.handle.load().slots().to_vec();
        slots.retain(|slot| !ids.contains(&slot.id()));
        self.replace(slots, self.handle.load().is_whole());
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

    /// As [`Publisher::publish`] for a zone that may be switched off: in `state` from before anybody sees `snapshot`.
    pub fn publish_as(&self, slot: &Slot, snapshot: Arc<Snapshot>, state: State) {
        if state != State::Served {
            slot.set_state(state);
        }
        self.bury(slot.swap(Some(snapshot)));
        slot.set_state(state);
    }

    /// Changes how the zone is answered; its snapshot, if any, stays.
    pub fn set_state(&self, slot: &Slot, state: State) {
        slot.set_state(state);
    }

    /// Says whether only some clients are answered; who they are is not known here but asked of the caller of `answer`.
    pub fn set_restricted(&self, slot: &Slot, restricted: bool) {
        slot.set_restricted(restricted);
    }

    /// Says whether a version is held back for approval; the old one, if there is one, stays served.
    pub fn set_held(&self, slot: &Slot, held: bool) {
        slot.set_held(held);
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

    fn replace(&self, slots: Vec<Arc<Slot>>, is_whole: bool) {
        let old = self.handle.replace(View::new(self.key, slots, is_whole));
        self.reaper.bury(old);
    }

    fn bury(&self, snapshot: Option<Arc<Snapshot>>) {
        if let Some(snapshot) = snapshot {
            self.reaper.bury(snapshot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::{RecordRef, RecordType};
    use crate::zone::{Builder, Limits};
    use proptest::prelude::*;

    const KEY: HashKey = HashKey::from_bytes([4; 16]);

    fn name(text: &str) -> Name {
        text.parse().expect("a name")
    }

    fn snapshot(apex: &Name, serial: u32) -> Arc<Snapshot> {
        let mut builder = Builder::new(apex.clone(), KEY, Limits::default());
        let numbers: Vec<u8> = [serial, 2, 3, 4, 5].iter().flat_map(|n: &u32| n.to_be_bytes()).collect();
        let rdata = [&[0, 0], &numbers[..]].concat();
        let soa = RecordRef { owner: apex.as_wire(), rtype: RecordType::SOA, ttl: 1, rdata: &rdata };
        builder.add(soa).expect("a SOA");
        Arc::new(builder.finish(None).expect("a zone").0)
    }

    fn enclosing(view: &View, of: &Name) -> Option<Name> {
        let mut hashes = [0; 128];
        let labels = KEY.suffix_hashes(of.as_wire(), &mut hashes);
        let suffix = |depth| of.strip_left(labels - depth);
        let found = view.enclosing(&hashes, labels, suffix);
        // what lies beyond a depth is found from there, too
        for known in 0..=labels {
            let beyond = found.filter(|&index| view.slots()[index].labels() > known);
            assert_eq!(view.enclosing_beyond(known, &hashes, labels, suffix), beyond);
        }
        found.map(|index| view.slots()[index].name().clone())
    }

    #[test]
    fn a_published_snapshot_is_served_and_a_replaced_one_lives_as_long_as_it_is_read() {
        let (mut publisher, handle) = Publisher::new(KEY);
        let slot = publisher.add_zones([(ZoneId(1), name("z"))]).remove(0);
        assert_eq!((slot.state(), slot.snapshot().is_none()), (State::NotLoaded, true));
        publisher.publish(&slot, snapshot(slot.name(), 1));
        let read = slot.load();
        publisher.publish(&slot, snapshot(slot.name(), 2));
        assert_eq!(read.as_ref().expect("held").serial().0, 1);
        assert_eq!(slot.snapshot().expect("published").serial().0, 2);
        publisher.set_state(&slot, State::Expired);
        publisher.set_expires(&slot, Some(Timestamp::from_millis(9)));
        let seen = Arc::clone(handle.load().zone(&name("Z")).expect("the zone"));
        assert_eq!((seen.state(), seen.expires()), (State::Expired, Some(Timestamp::from_millis(9))));
        publisher.unload(&slot);
        assert_eq!((slot.state(), slot.snapshot().is_none()), (State::NotLoaded, true));
    }

    #[test]
    fn readers_see_zones_come_and_go_when_they_look() {
        let (mut publisher, handle) = Publisher::new(KEY);
        let mut reader = handle.reader();
        assert!(reader.current().slots().is_empty());
        publisher.add_zones([(ZoneId(1), name("a")), (ZoneId(2), name("b.a"))]);
        assert_eq!(enclosing(reader.current(), &name("x.b.a")), Some(name("b.a")));
        publisher.remove_zone(ZoneId(2));
        assert_eq!(enclosing(reader.current(), &name("x.b.a")), Some(name("a")));
        assert!(reader.current().by_id(ZoneId(2)).is_none());
        // the same name under a new number takes the old one's place
        publisher.add_zones([(ZoneId(7), name("a"))]);
        assert_eq!(reader.current().slots().len(), 1);
        assert_eq!(reader.current().zone(&name("a")).map(|slot| slot.id()), Some(ZoneId(7)));
    }

    proptest! {
        /// The zone of a name is the one with the longest apex at or above it.
        #[test]
        fn the_longest_apex_wins(
            apexes in prop::collection::btree_set("([ab]\\.){0,4}", 0..20),
            names in prop::collection::vec("([abc]\\.){0,6}", 1..20),
        ) {
            let absolute = |text: &String| if text.is_empty() { Name::root() } else { name(text) };
            let apexes: Vec<Name> = apexes.iter().map(absolute).collect();
            let (mut publisher, handle) = Publisher::new(KEY);
            // Some at once, some by one, one of them twice.
            let numbered = || apexes.iter().cloned().enumerate().map(|(i, apex)| (ZoneId(i as u32), apex));
            publisher.add_zones(numbered().take(5));
            numbered().skip(5).chain(numbered().take(1)).for_each(|zone| drop(publisher.add_zones([zone])));
            prop_assert_eq!(handle.load().slots().len(), apexes.len());
            for of in names.iter().map(absolute) {
                let expected = apexes.iter().filter(|apex| of.is_at_or_below(apex)).max_by_key(|apex| apex.label_count());
                let found = enclosing(&handle.load(), &of);
                prop_assert_eq!(found.as_ref(), expected);
            }
        }
    }
}
