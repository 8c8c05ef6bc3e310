//! A tenant's zones in the order of their names, so that a page of a list costs the page: where it begins is found by rank,
//! and nothing before it is looked at.
//!
//! In: zones as they come, change their state, and go. Out: a [`Shelf`] for each [`Kind`] and each state, which its holder
//! may page through while zones come and go. Kept by [`Board`](super::status::Board).

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use super::status::{ZoneStatus, ZoneView};
use crate::local::shelf::Shelf;
use crate::refresh::ZoneState;
use crate::reverse;

/// Which of a tenant's zones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// All.
    Any,
    /// Edited here.
    Local,
    /// Transferred.
    Secondary,
    /// Edited here, for a prefix of addresses.
    LocalReverse,
    /// Of either origin, for a prefix of addresses.
    AnyReverse,
}

/// A zone in the order of names.
#[derive(Clone, Debug)]
pub struct Named(pub Arc<ZoneView>);

impl PartialEq for Named {
    fn eq(&self, other: &Named) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Named {}

impl PartialOrd for Named {
    fn partial_cmp(&self, other: &Named) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Named {
    fn cmp(&self, other: &Named) -> Ordering {
        self.0.name.cmp(&other.0.name)
    }
}

/// A zone with how it stands.
pub(super) type Standing = (Arc<ZoneView>, Arc<ZoneStatus>);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Roster {
    by_kind: HashMap<Kind, Shelf<Named>>,
    /// Local or not, and where they stand.
    by_state: HashMap<(bool, ZoneState), Shelf<Named>>,
}

impl Roster {
    /// The zones of a kind.
    pub(super) fn of_kind(&self, kind: Kind) -> Shelf<Named> {
        self.by_kind.get(&kind).cloned().unwrap_or_default()
    }

    /// The local or the secondary zones in a state.
    pub(super) fn in_state(&self, is_local: bool, state: ZoneState) -> Shelf<Named> {
        self.by_state.get(&(is_local, state)).cloned().unwrap_or_default()
    }

    /// Whether there is no zone.
    pub(super) fn is_empty(&self) -> bool {
        self.by_kind.get(&Kind::Any).is_none_or(Shelf::is_empty)
    }

    /// Many zones at once, as at start: O(zones x log zones), and cheap where there is none yet.
    pub(super) fn extend(&mut self, mut zones: Vec<Standing>) {
        if !self.is_empty() {
            zones.iter().for_each(|(zone, status)| self.insert(zone, status));
            return;
        }
        // Sorted once: each shelf below gets its items in order.
        zones.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
        let (mut by_kind, mut by_state) = (HashMap::new(), HashMap::new());
        for (zone, status) in &zones {
            for kind in kinds(zone, status) {
                by_kind.entry(kind).or_insert_with(Vec::new).push(Named(zone.clone()));
            }
            by_state.entry(place(status)).or_insert_with(Vec::new).push(Named(zone.clone()));
        }
        self.by_kind = by_kind.into_iter().map(|(kind, zones)| (kind, zones.into_iter().collect())).collect();
        self.by_state = by_state.into_iter().map(|(place, zones)| (place, zones.into_iter().collect())).collect();
    }

    pub(super) fn insert(&mut self, zone: &Arc<ZoneView>, status: &ZoneStatus) {
        for kind in kinds(zone, status) {
            self.by_kind.entry(kind).or_default().insert(Named(zone.clone()));
        }
        self.by_state.entry(place(status)).or_default().insert(Named(zone.clone()));
    }

    pub(super) fn remove(&mut self, zone: &Arc<ZoneView>, status: &ZoneStatus) {
        for kind in kinds(zone, status) {
            self.by_kind.entry(kind).or_default().remove(&Named(zone.clone()));
        }
        self.by_state.entry(place(status)).or_default().remove(&Named(zone.clone()));
    }

    /// A zone stands elsewhere than before.
    pub(super) fn change(&mut self, zone: &Arc<ZoneView>, old: &ZoneStatus, new: &ZoneStatus) {
        if place(old) != place(new) {
            self.by_state.entry(place(old)).or_default().remove(&Named(zone.clone()));
            self.by_state.entry(place(new)).or_default().insert(Named(zone.clone()));
        }
    }
}

fn place(status: &ZoneStatus) -> (bool, ZoneState) {
    (status.definition.local.is_some(), status.state)
}

fn kinds(zone: &ZoneView, status: &ZoneStatus) -> impl Iterator<Item = Kind> {
    let is_local = status.definition.local.is_some();
    let is_reverse = reverse::prefix_of(&zone.name).is_some();
    let fits = move |kind: &Kind| match kind {
        Kind::Any => true,
        Kind::Local => is_local,
        Kind::Secondary => !is_local,
        Kind::LocalReverse => is_local && is_reverse,
        Kind::AnyReverse => is_reverse,
    };
    [Kind::Any, Kind::Local, Kind::Secondary, Kind::LocalReverse, Kind::AnyReverse].into_iter().filter(fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::definition::{Arrangement, Origin, ZoneDefinition};
    use crate::dns::Name;
    use crate::local::Attributes;
    use crate::served::ZoneId;
    use crate::time::Timestamp;
    use proptest::prelude::*;

    fn standing(name: &str, is_local: bool, state: ZoneState) -> Standing {
        let name: Name = name.parse().expect("a name");
        let definition = ZoneDefinition {
            id: ZoneId(1),
            uuid: uuid::Uuid::new_v4(),
            description: String::new(),
            local: is_local.then(|| Box::new(Attributes::new(&name, name.clone()))),
            origin: Origin::Rest,
            created: Timestamp::default(),
            modified: Timestamp::default(),
            arrangement: Arc::new(Arrangement::of_rest("1000".into(), "".into(), Arc::default())),
            name,
        };
        let view = ZoneView::apart(Arc::new(definition), state, None);
        let status = view.status();
        (view, status)
    }

    fn names(shelf: &Shelf<Named>) -> Vec<String> {
        shelf.iter().map(|zone| zone.0.name.to_string()).collect()
    }

    #[test]
    fn each_list_has_its_zones_by_name() {
        let mut roster = Roster::default();
        roster.extend(vec![
            standing("b.example", true, ZoneState::Available),
            standing("2.0.192.in-addr.arpa", true, ZoneState::Available),
            standing("a.example", false, ZoneState::Failed),
            standing("3.0.192.in-addr.arpa", false, ZoneState::Available),
        ]);
        assert_eq!(names(&roster.of_kind(Kind::Local)), ["2.0.192.in-addr.arpa.", "b.example."]);
        assert_eq!(names(&roster.of_kind(Kind::Secondary)), ["3.0.192.in-addr.arpa.", "a.example."]);
        assert_eq!(names(&roster.of_kind(Kind::LocalReverse)), ["2.0.192.in-addr.arpa."]);
        assert_eq!(roster.of_kind(Kind::AnyReverse).len(), 2);
        assert_eq!(roster.of_kind(Kind::Any).len(), 4);
        assert_eq!(names(&roster.in_state(false, ZoneState::Failed)), ["a.example."]);
    }

    proptest! {
        /// Zones that come at once, one by one, change and go leave the same lists.
        #[test]
        fn a_roster_is_what_it_was_told_last(
            zones in proptest::collection::btree_map("[a-c]{1,3}", (any::<bool>(), any::<bool>()), 0..30),
            at_once in 0usize..30,
        ) {
            let state = |up: bool| if up { ZoneState::Available } else { ZoneState::Failed };
            let first: Vec<Standing> =
                zones.iter().map(|(name, (is_local, up))| standing(name, *is_local, state(!up))).collect();
            let mut roster = Roster::default();
            let at_once = at_once.min(first.len());
            roster.extend(first[..at_once].to_vec());
            roster.extend(first[at_once..].to_vec());
            for ((zone, old), (_, up)) in first.iter().zip(zones.values()) {
                roster.change(zone, old, &ZoneStatus { state: state(*up), ..ZoneStatus::clone(old) });
            }
            for is_local in [true, false] {
                for up in [true, false] {
                    let expected = zones.iter().filter(|(_, zone)| **zone == (is_local, up)).count();
                    prop_assert_eq!(roster.in_state(is_local, state(up)).len(), expected);
                }
            }
            for ((zone, old), (_, up)) in first.iter().zip(zones.values()) {
                roster.remove(zone, &ZoneStatus { state: state(*up), ..ZoneStatus::clone(old) });
            }
            prop_assert!(roster.is_empty());
        }
    }
}
