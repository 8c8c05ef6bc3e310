//! What the writer knows of zones without asking the disk: what it has read and written of each, and that nothing is stored
//! under numbers which were never used.
//!
//! Each value replaces what is stored, so the writer looks first: what generation, what chain, how many parts, how many
//! attempts. Looking takes a third as long as writing, and for a new zone there is nothing to be seen; thousands come at a
//! first start. Forgetting is always right: what is not known is read.

use std::collections::HashMap;

use super::compact::ZoneState;
use super::layout::ZoneNumber;

/// What may be stored of a zone, as far as the writer looks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Its definition.
    Definition,
    /// Header, pages and differences.
    Contents,
    /// Statuses of primaries.
    Primaries,
    /// Attempts.
    Attempts,
}

/// Of one zone.
#[derive(Default)]
struct Known {
    state: Option<ZoneState>,
    /// Of which parts, by [`Part`], there may be something.
    stored: [bool; 4],
}

/// Of all zones.
pub(super) struct KnownZones {
    zones: HashMap<ZoneNumber, Known>,
    /// From this number on nothing is stored but of those in `zones`; `None`: that is not known of any.
    unused_from: Option<ZoneNumber>,
}

impl KnownZones {
    /// `unused_from`: the first number behind all that have ever been used; `None` if that is not known.
    pub(super) fn new(unused_from: Option<ZoneNumber>) -> KnownZones {
        KnownZones { zones: HashMap::new(), unused_from }
    }

    /// What was read or written last of the zone's contents.
    pub(super) fn state(&self, zone: ZoneNumber) -> Option<&ZoneState> {
        self.zones.get(&zone)?.state.as_ref()
    }

    /// As [`KnownZones::state`], to be changed.
    pub(super) fn state_mut(&mut self, zone: ZoneNumber) -> Option<&mut ZoneState> {
        self.zones.get_mut(&zone)?.state.as_mut()
    }

    /// What stands, or will stand, on the disk of the zone's contents.
    pub(super) fn set_state(&mut self, zone: ZoneNumber, state: ZoneState) {
        let is_unused = self.is_unused(zone);
        let known = self.zones.entry(zone).or_insert_with(|| Known { stored: [!is_unused; 4], ..Known::default() });
        known.stored[Part::Contents as usize] = true;
        known.state = Some(state);
    }

    /// Whether nothing of the part has ever been stored; from now on there may be.
    pub(super) fn is_first(&mut self, zone: ZoneNumber, part: Part) -> bool {
        let is_unused = self.is_unused(zone);
        match self.zones.get_mut(&zone) {
            Some(known) => !std::mem::replace(&mut known.stored[part as usize], true),
            None if is_unused => {
                let mut known = Known::default();
                known.stored[part as usize] = true;
                self.zones.insert(zone, known);
                true
            }
            None => false,
        }
    }

    /// Whether the number was not used when it was looked for last.
    fn is_unused(&self, zone: ZoneNumber) -> bool {
        self.unused_from.is_some_and(|from| zone >= from)
    }

    /// What is stored of the zone is not known any more.
    pub(super) fn forget(&mut self, zone: ZoneNumber) {
        if self.zones.remove(&zone).is_some() {
            self.use_up(zone);
        }
    }

    /// The same of all zones.
    pub(super) fn forget_all(&mut self) {
        if let Some(last) = std::mem::take(&mut self.zones).into_keys().max() {
            self.use_up(last);
        }
    }

    /// This number and those before it have been used.
    fn use_up(&mut self, zone: ZoneNumber) {
        self.unused_from = self.unused_from.and_then(|from| Some(from.max(zone.checked_add(1)?)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_number_never_used_nothing_is_stored_until_something_is() {
        let mut known = KnownZones::new(Some(5));
        assert!(!known.is_first(4, Part::Definition), "it was there before");
        assert!(known.is_first(5, Part::Definition));
        assert!(!known.is_first(5, Part::Definition), "the second time");
        assert!(known.is_first(5, Part::Attempts), "each part by itself");
        known.set_state(7, ZoneState::nothing());
        assert!(!known.is_first(7, Part::Contents));
        assert!(known.is_first(7, Part::Primaries));
        known.set_state(3, ZoneState::nothing());
        assert!(!known.is_first(3, Part::Primaries), "only its contents are known");
    }

    #[test]
    fn what_is_forgotten_may_have_something_stored() {
        let mut known = KnownZones::new(Some(5));
        assert!(known.is_first(8, Part::Definition));
        known.forget(8);
        assert!(
            [5, 8].iter().all(|zone| !known.is_first(*zone, Part::Definition)),
            "nothing is said of those before, either"
        );
        assert!(known.is_first(9, Part::Definition));
        known.forget_all();
        assert!(!known.is_first(9, Part::Attempts));
        assert!(known.is_first(10, Part::Attempts));
        // and where nothing can be known
        assert!(!KnownZones::new(None).is_first(ZoneNumber::MAX, Part::Definition));
        known.set_state(ZoneNumber::MAX, ZoneState::nothing());
        known.forget_all();
        assert!(!known.is_first(ZoneNumber::MAX, Part::Definition));
    }
}
