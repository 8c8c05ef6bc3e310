//! The read model: what the API, the dashboard and the metrics see of each zone.
//!
//! Written by the keeper only (an immutable [`ZoneStatus`] swapped by one atomic store), read by everyone without
//! waiting for the keeper. Never decides anything.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, RwLock};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::watch;
use uuid::Uuid;

use super::definition::ZoneDefinition;
use super::local::LocalIndex;
use crate::dns::{Name, Serial};
use crate::local::LocalZone;
use crate::refresh::{NextAttempt, PrimaryState, ZoneState};
use crate::reverse;
use crate::served::{Slot, ZoneId};
use crate::time::Timestamp;
use crate::zone::Snapshot;

/// One zone as it stands; immutable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneStatus {
    /// What it should be.
    pub definition: Arc<ZoneDefinition>,
    /// Where it stands.
    pub state: ZoneState,
    /// Moves with every visible change but running counters; never repeats within one life of the daemon.
    pub generation: u64,
    /// The newest serial any primary or NOTIFY has named.
    pub offered_serial: Option<Serial>,
    /// The serial in our answers.
    pub served_serial: Option<Serial>,
    /// The serial that would survive a crash now.
    pub stored_serial: Option<Serial>,
    /// When a primary last confirmed the zone.
    pub last_refresh: Option<Timestamp>,
    /// When the primaries are asked next.
    pub next_refresh: Option<Timestamp>,
    /// When the zone expires unless a primary confirms it.
    pub expires: Option<Timestamp>,
    /// Index of the primary that last gave or confirmed the zone.
    pub active_primary: Option<usize>,
    /// One per configured primary, in their order.
    pub primaries: Vec<PrimaryStatus>,
    /// What an operator should know of the contents, e.g. skipped records; bounded by the keeper.
    pub warnings: Vec<String>,
}

/// One primary of a zone as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrimaryStatus {
    /// What the exchanges with it have shown.
    pub state: PrimaryState,
    /// When it is asked next, and why then; `None` while an exchange is running or waiting.
    pub next_attempt: Option<NextAttempt>,
}

/// One zone's place on the [`Board`]; lives as long as the zone.
#[derive(Debug)]
pub struct ZoneView {
    /// Number of the zone.
    pub id: ZoneId,
    /// Identity in the REST API.
    pub uuid: Uuid,
    /// The apex.
    pub name: Name,
    slot: Arc<Slot>,
    local: ArcSwapOption<LocalZone>,
    current: ArcSwap<ZoneStatus>,
    changed: watch::Sender<u64>,
}

impl ZoneView {
    /// A zone of which nothing is shown yet.
    pub(super) fn new(slot: Arc<Slot>, definition: Arc<ZoneDefinition>) -> ZoneView {
        ZoneView {
            id: definition.id,
            uuid: definition.uuid,
            name: definition.name.clone(),
            changed: watch::channel(0).0,
            slot,
            local: ArcSwapOption::empty(),
            current: ArcSwap::from_pointee(ZoneStatus {
                definition,
                state: ZoneState::Provisioning,
                generation: 0,
                offered_serial: None,
                served_serial: None,
                stored_serial: None,
                last_refresh: None,
                next_refresh: None,
                expires: None,
                active_primary: None,
                primaries: Vec::new(),
                warnings: Vec::new(),
            }),
        }
    }

    /// The zone as it stands.
    pub fn status(&self) -> Arc<ZoneStatus> {
        self.current.load_full()
    }

    /// The entries of a local zone; `None` for secondary zones (and local ones that are damaged).
    pub fn local(&self) -> Option<Arc<LocalZone>> {
        self.local.load_full()
    }

    pub(super) fn set_local(&self, zone: Arc<LocalZone>) {
        self.local.store(Some(zone));
    }

    /// The contents as served; `None` before the first transfer. Also given for an expired zone.
    pub fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.slot.snapshot()
    }

    /// Sees every new generation (for `Prefer: wait`).
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(super) fn replace(&self, status: ZoneStatus) {
        let generation = status.generation;
        self.current.store(Arc::new(status));
        self.changed.send_replace(generation);
    }
}

/// All zones, findable by identity and in the order of their names.
#[derive(Debug, Default)]
pub struct Board {
    local: ArcSwap<LocalIndex>,
    index: RwLock<Index>,
}

#[derive(Debug, Default)]
struct Index {
    by_uuid: HashMap<Uuid, Arc<ZoneView>>,
    by_number: HashMap<ZoneId, Arc<ZoneView>>,
    by_name: BTreeMap<Name, Arc<ZoneView>>,
    /// Secondary zones by tenant.
    secondaries: HashMap<String, usize>,
}

const POISONED: &str = "no holder of the board's lock can panic";

impl Board {
    /// The zone with this UUID, whoever owns it: callers check the tenant.
    pub fn by_uuid(&self, uuid: Uuid) -> Option<Arc<ZoneView>> {
        self.index.read().expect(POISONED).by_uuid.get(&uuid).cloned()
    }

    /// The zone with this apex, whoever owns it.
    pub fn by_name(&self, name: &Name) -> Option<Arc<ZoneView>> {
        self.index.read().expect(POISONED).by_name.get(name).cloned()
    }

    /// The zone with this number, whoever owns it.
    pub fn by_number(&self, number: ZoneId) -> Option<Arc<ZoneView>> {
        self.index.read().expect(POISONED).by_number.get(&number).cloned()
    }

    /// What is known of all local zones together.
    pub fn local_index(&self) -> Arc<LocalIndex> {
        self.local.load_full()
    }

    pub(super) fn set_local_index(&self, index: Arc<LocalIndex>) {
        self.local.store(index);
    }

    /// The tenant's zones, local or secondary, that are for `address`, the one with the longest prefix first.
    pub fn reverse_zones_of(&self, tenant: &str, address: IpAddr) -> Vec<Arc<ZoneView>> {
        let index = self.index.read().expect(POISONED);
        let zones = reverse::zones_holding(address).into_iter().filter_map(|name| index.by_name.get(&name).cloned());
        zones.filter(|zone| zone.status().definition.tenant == tenant).collect()
    }

    /// A zone of another tenant at, above or below `name`: two tenants must not answer for each other's names.
    pub fn foreign_overlap(&self, name: &Name, tenant: &str) -> Option<Name> {
        let foreign = |zone: &ZoneView| zone.status().definition.tenant != tenant;
        let mut above = name.parent();
        while let Some(ancestor) = above {
            if self.by_name(&ancestor).is_some_and(|zone| foreign(&zone)) {
                return Some(ancestor);
            }
            above = ancestor.parent();
        }
        self.first_at_or_below(name, foreign)
    }

    /// The apex of the first zone below `name`, or at it, for which `matches` holds.
    pub fn first_at_or_below(&self, name: &Name, matches: impl Fn(&ZoneView) -> bool) -> Option<Name> {
        let index = self.index.read().expect(POISONED);
        // Canonical order puts a name right before everything below it.
        let mut below = index.by_name.range(name..).take_while(|(other, _)| other.is_at_or_below(name));
        below.find(|(_, zone)| matches(zone)).map(|(other, _)| other.clone())
    }

    /// Every zone for which `keep` holds, in canonical order of their names. O(zones).
    pub fn select(&self, mut keep: impl FnMut(&ZoneView) -> bool) -> Vec<Arc<ZoneView>> {
        self.index.read().expect(POISONED).by_name.values().filter(|z| keep(z)).cloned().collect()
    }

    /// Secondary zones of a tenant.
    pub fn secondary_count(&self, tenant: &str) -> usize {
        self.index.read().expect(POISONED).secondaries.get(tenant).copied().unwrap_or(0)
    }

    /// Number of zones.
    pub fn len(&self) -> usize {
        self.index.read().expect(POISONED).by_name.len()
    }

    /// Whether there is no zone.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn insert(&self, zones: impl IntoIterator<Item = Arc<ZoneView>>) {
        let mut index = self.index.write().expect(POISONED);
        for zone in zones {
            let definition = &zone.status().definition;
            if definition.local.is_none() {
                *index.secondaries.entry(definition.tenant.clone()).or_default() += 1;
            }
            index.by_uuid.insert(zone.uuid, zone.clone());
            index.by_number.insert(zone.id, zone.clone());
            index.by_name.insert(zone.name.clone(), zone);
        }
    }

    pub(super) fn remove(&self, zone: &ZoneView) {
        let mut index = self.index.write().expect(POISONED);
        let definition = &zone.status().definition;
        if definition.local.is_none()
            && let Some(count) = index.secondaries.get_mut(&definition.tenant)
        {
            *count = count.saturating_sub(1);
        }
        index.by_uuid.remove(&zone.uuid);
        index.by_number.remove(&zone.id);
        index.by_name.remove(&zone.name);
    }
}
