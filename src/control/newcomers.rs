//! Zones that are being made: on their way to the disk, and not on the board yet, but they count already.
//!
//! In: from `edits` the secondary zones whose definitions are being written, from `local` what the group under way may make.
//! Out: to both, whether a name, an identity or a place within a quota is free. Nothing but a failing disk refuses a secondary
//! zone any more; what becomes of the zones of a group is known when it has ended, and who depends on it waits.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Bound;
use std::sync::Arc;

use uuid::Uuid;

use super::definition::ZoneDefinition;
use crate::dns::Name;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Newcomers {
    /// Whose they are.
    secondary: BTreeMap<Name, Arc<str>>,
    secondary_ids: HashSet<Uuid>,
    /// How many a tenant has.
    tally: HashMap<Arc<str>, usize>,
    /// Zones that the group of local requests under way may make.
    local: BTreeSet<Name>,
    local_ids: HashSet<Uuid>,
}

impl Newcomers {
    /// A secondary zone is going to be there.
    pub(super) fn begin(&mut self, zone: &ZoneDefinition) {
        self.secondary.insert(zone.name.clone(), zone.tenant.clone());
        self.secondary_ids.insert(zone.uuid);
        *self.tally.entry(zone.tenant.clone()).or_default() += 1;
    }

    /// It is there, or will never be.
    pub(super) fn end(&mut self, zone: &ZoneDefinition) {
        if self.secondary.remove(&zone.name).is_none() {
            return;
        }
        self.secondary_ids.remove(&zone.uuid);
        if let Some(count) = self.tally.get_mut(&zone.tenant) {
            *count -= 1;
            if *count == 0 {
                self.tally.remove(&zone.tenant);
            }
        }
    }

    /// A group may make zones with these names and identities.
    pub(super) fn begin_group(&mut self, names: BTreeSet<Name>, ids: HashSet<Uuid>) {
        (self.local, self.local_ids) = (names, ids);
    }

    /// What it has made is there.
    pub(super) fn end_group(&mut self) {
        self.begin_group(BTreeSet::new(), HashSet::new());
    }

    /// Whether a zone with this name is being made, or may be.
    pub(super) fn has_name(&self, name: &Name) -> bool {
        self.secondary.contains_key(name) || self.local.contains(name)
    }

    /// Whether one with this identity is, or may be.
    pub(super) fn has_id(&self, id: Uuid) -> bool {
        self.secondary_ids.contains(&id) || self.local_ids.contains(&id)
    }

    /// Secondary zones of a tenant.
    pub(super) fn secondaries_of(&self, tenant: &str) -> usize {
        self.tally.get(tenant).copied().unwrap_or(0)
    }

    /// A secondary zone of another tenant at, above or below `name`.
    pub(super) fn foreign_overlap(&self, name: &Name, tenant: &str) -> Option<Name> {
        let is_foreign = |owner: &Arc<str>| **owner != *tenant;
        let mut above = name.parent();
        while let Some(ancestor) = above {
            if self.secondary.get(&ancestor).is_some_and(is_foreign) {
                return Some(ancestor);
            }
            above = ancestor.parent();
        }
        // Canonical order puts a name right before everything below it.
        let below = self.secondary.range(name..).take_while(|(other, _)| other.is_at_or_below(name));
        below.filter(|(_, owner)| is_foreign(owner)).map(|(other, _)| other.clone()).next()
    }

    /// Whether the group under way may make a zone at, above or below `name`.
    pub(super) fn may_get_in_the_way(&self, name: &Name) -> bool {
        let mut above = name.parent();
        while let Some(ancestor) = above {
            if self.local.contains(&ancestor) {
                return true;
            }
            above = ancestor.parent();
        }
        let below = self.local.range::<Name, _>((Bound::Included(name), Bound::Unbounded));
        below.take(1).any(|other| other.is_at_or_below(name))
    }
}
