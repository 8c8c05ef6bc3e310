//! The read model: what the API, the dashboard and the metrics see of each zone.
//!
//! Written by the keeper only (an immutable [`ZoneStatus`] swapped by one atomic store), read by everyone without
//! waiting for the keeper. Never decides anything.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::net::{IpAddr, SocketAddr};
use std::ops::{Bound, Deref};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, RwLock};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::watch;
use uuid::Uuid;

use super::definition::{Origin, ZoneDefinition};
use super::held::Review;
use super::history::Attempt;
use super::local::LocalIndex;
use super::roster::{self, Kind, Named, Roster};
use crate::dns::{Name, Serial};
use crate::local::LocalZone;
use crate::local::shelf::Shelf;
use crate::net::tls::TlsSession;
use crate::reason::{Code, StatusWord};
use crate::refresh::{Finding, NextAttempt, SharedState, ZoneState};
use crate::reverse;
use crate::served::{RefusedFor, Slot, ZoneId};
use crate::time::Timestamp;

/// How long [`ZoneView::wait_until_durable`] waits: with a disk that does not take it, what there is must do.
const DURABLE_WAIT: Duration = Duration::from_secs(5);
use crate::zone::Snapshot;
use crate::zone::signatures::Lapse;

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
    /// From when on a confirmation is missed: REFRESH and two RETRYs after the last one.
    pub stale_at: Option<Timestamp>,
    /// From when on the zone is about to expire: a quarter of its last lease is left.
    pub expiring_at: Option<Timestamp>,
    /// Index of the primary that last gave or confirmed the zone.
    pub active_primary: Option<usize>,
    /// One per configured primary, in their order.
    pub primaries: Vec<PrimaryStatus>,
    /// What else there is to say of it.
    pub remarks: Remarked,
}

/// What is to be said of some zones beyond where they stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remarks {
    /// What was decided about versions, and what waits.
    pub review: Review,
    /// The signature of the served version that lapses first.
    pub signatures: Option<Lapse>,
    /// What an operator should know of the contents, e.g. skipped records; bounded by the keeper.
    pub warnings: Vec<String>,
    /// What the engine has found out about the primaries although nothing failed.
    pub findings: Vec<Finding>,
    /// The last NOTIFY for the zone that was refused.
    pub refused_notify: Option<Box<RefusedNotify>>,
    /// What it lists, if it is a catalog that is followed or made here.
    pub catalog: Option<Listed>,
}

/// How many zones a catalog lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    /// Those that are zones here.
    pub members: usize,
    /// Those that are not: not allowed, or their names belong to others. A warning says which.
    pub left_out: usize,
}

static NO_REMARKS: Remarks = Remarks {
    review: Review { held: None, refused: None, pinned: None },
    signatures: None,
    warnings: Vec::new(),
    findings: Vec::new(),
    refused_notify: None,
    catalog: None,
};

impl Default for Remarks {
    fn default() -> Remarks {
        NO_REMARKS.clone()
    }
}

/// [`Remarks`], which take no room where there are none: of most zones there is nothing to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remarked(Option<Box<Remarks>>);

impl From<Remarks> for Remarked {
    fn from(remarks: Remarks) -> Remarked {
        Remarked((remarks != NO_REMARKS).then(|| Box::new(remarks)))
    }
}

impl Deref for Remarked {
    type Target = Remarks;

    fn deref(&self) -> &Remarks {
        self.0.as_deref().unwrap_or(&NO_REMARKS)
    }
}

/// A NOTIFY for a zone of ours from somebody who may not send it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedNotify {
    /// Who sent the last one.
    pub from: SocketAddr,
    /// When it came.
    pub at: Timestamp,
    /// What was wrong: the address, or the key.
    pub why: RefusedFor,
    /// How many were told of; more may have come (one a minute and address is).
    pub count: u32,
    /// No NOTIFY has been accepted as far as is known, neither before nor since: changes are found by polling only.
    pub polling_only: bool,
}

/// One primary of a zone as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrimaryStatus {
    /// What the exchanges with it have shown.
    pub state: SharedState,
    /// When it is asked next, and why then; `None` while an exchange is running or waiting.
    pub next_attempt: Option<NextAttempt>,
    /// The newest attempt that has ended; `None` also if none has since the start of the daemon.
    pub attempt: Option<Arc<Attempt>>,
    /// Since when it is behind the newest serial known; `None` if it is not.
    pub behind_since: Option<Timestamp>,
    /// The last TLS session with it, or the certificate that was refused.
    pub tls: Option<Arc<TlsSession>>,
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
    /// Made when somebody listens for the first time: it is as large as the rest, and nobody listens to most zones.
    changed: OnceLock<watch::Sender<u64>>,
}

impl ZoneView {
    /// A zone of which nothing is shown yet.
    pub(super) fn new(slot: Arc<Slot>, definition: Arc<ZoneDefinition>) -> ZoneView {
        ZoneView {
            id: definition.id,
            uuid: definition.uuid,
            name: definition.name.clone(),
            changed: OnceLock::new(),
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
                stale_at: None,
                expiring_at: None,
                active_primary: None,
                primaries: Vec::new(),
                remarks: Remarked::default(),
            }),
        }
    }

    /// The zone as it stands.
    pub fn status(&self) -> Arc<ZoneStatus> {
        self.current.load_full()
    }

    /// The next status of a zone that is made here, not transferred: what it offers is served and stored.
    pub(super) fn made_here(&self, definition: Arc<ZoneDefinition>, serial: Serial, generation: u64) -> ZoneStatus {
        let serial = Some(serial);
        ZoneStatus {
            definition,
            state: ZoneState::Available,
            generation,
            offered_serial: serial,
            served_serial: serial,
            stored_serial: serial,
            ..ZoneStatus::clone(&self.status())
        }
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

    /// Returns when what is served now is on disk, or after [`DURABLE_WAIT`]: who reads the kept past comes after it.
    pub async fn wait_until_durable(&self) {
        if let Some(serial) = self.status().served_serial {
            self.wait_until_stored(serial).await;
        }
    }

    /// The same for a version that is or was served, as who gives it away does: it may be long until the one served by then is
    /// on disk, too.
    pub async fn wait_until_stored(&self, serial: Serial) {
        let mut changes = self.subscribe();
        let durable = async {
            loop {
                changes.borrow_and_update();
                let status = self.status();
                let has_caught_up = status.stored_serial == status.served_serial;
                let is_there = |stored: Serial| stored == serial || stored.is_newer_than(serial);
                if has_caught_up || status.stored_serial.is_some_and(is_there) || changes.changed().await.is_err() {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(DURABLE_WAIT, durable).await;
    }

    /// Sees every new generation (for `Prefer: wait`).
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        let changed = self.changed.get_or_init(|| watch::channel(0).0);
        let generations = changed.subscribe();
        // The keeper may have looked for listeners just before.
        raise(changed, self.status().generation);
        generations
    }

    /// A zone as it would be, which is nowhere: what a trial shows.
    pub fn apart(definition: Arc<ZoneDefinition>, state: ZoneState, local: Option<Arc<LocalZone>>) -> Arc<ZoneView> {
        let slot = Arc::new(Slot::apart(definition.name.clone()));
        let view = ZoneView::new(slot, definition);
        let status = ZoneStatus { state, ..ZoneStatus::clone(&view.status()) };
        view.current.store(Arc::new(status));
        view.local.store(local);
        Arc::new(view)
    }

    /// How the zone stands when it comes onto the board.
    pub(super) fn begin(&self, status: ZoneStatus) {
        self.current.store(Arc::new(status));
    }

    fn replace(&self, status: Arc<ZoneStatus>) {
        let generation = status.generation;
        self.current.store(status);
        if let Some(changed) = self.changed.get() {
            raise(changed, generation);
        }
    }
}

/// Two may tell of generations at once; the newer one stays.
fn raise(changed: &watch::Sender<u64>, generation: u64) {
    changed.send_if_modified(|told| {
        let is_newer = generation > *told;
        *told = generation.max(*told);
        is_newer
    });
}

/// All zones, findable by identity and in the order of their names.
#[derive(Debug, Default)]
pub struct Board {
    local: ArcSwap<LocalIndex>,
    index: RwLock<Index>,
    /// Per tenant, kept up to date with each status.
    tallies: Mutex<HashMap<Arc<str>, Tally>>,
    /// Per tenant: what its lists show and what its statuses show.
    editions: Mutex<HashMap<Arc<str>, Edition>>,
    /// The last edition given to any tenant.
    last_edition: AtomicU64,
    /// Why nothing can be stored at the moment.
    trouble: ArcSwapOption<String>,
}

/// Numbers that move when what a tenant sees changes; none comes twice within one life of the daemon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Edition {
    /// Of what lists of zones and records show: which zones there are, their definitions, states, serials and entries.
    pub contents: u64,
    /// Of that and of everything else in the statuses.
    pub statuses: u64,
}

/// How many secondary zones and primaries of a tenant stand how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Local zones, damaged ones too; nothing else here counts them.
    pub local_zones: u64,
    /// Secondary zones.
    pub zones: u64,
    /// Those of them that came by REST.
    pub zones_of_rest: u64,
    /// Pairs of zone and primary.
    pub primaries: u64,
    /// Zones by state; states without a zone may be absent.
    pub by_state: HashMap<ZoneState, u64>,
    /// Pairs of zone and primary by status word.
    pub by_status: HashMap<StatusWord, u64>,
    /// Pairs of zone and primary by code.
    pub by_code: HashMap<Code, u64>,
}

impl Tally {
    fn add(&mut self, status: &ZoneStatus) {
        if status.definition.local.is_some() {
            self.local_zones += 1;
            return;
        }
        self.zones += 1;
        self.zones_of_rest += u64::from(status.definition.origin == Origin::Rest);
        self.primaries += status.primaries.len() as u64;
        *self.by_state.entry(status.state).or_default() += 1;
        for primary in &status.primaries {
            *self.by_status.entry(primary.state.word()).or_default() += 1;
            *self.by_code.entry(primary.state.shown()).or_default() += 1;
        }
    }

    /// Takes back what [`Tally::add`] counted of the same status.
    fn subtract(&mut self, status: &ZoneStatus) {
        if status.definition.local.is_some() {
            self.local_zones -= 1;
            return;
        }
        self.zones -= 1;
        self.zones_of_rest -= u64::from(status.definition.origin == Origin::Rest);
        self.primaries -= status.primaries.len() as u64;
        take_one(&mut self.by_state, status.state);
        for primary in &status.primaries {
            take_one(&mut self.by_status, primary.state.word());
            take_one(&mut self.by_code, primary.state.shown());
        }
    }
}

fn take_one<K: Eq + Hash>(counts: &mut HashMap<K, u64>, key: K) {
    if let Some(count) = counts.get_mut(&key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&key);
        }
    }
}

#[derive(Debug, Default)]
struct Index {
    by_uuid: HashMap<Uuid, Arc<ZoneView>>,
    by_number: HashMap<ZoneId, Arc<ZoneView>>,
    by_name: BTreeMap<Name, Arc<ZoneView>>,
    tenants: HashMap<Arc<str>, Roster>,
}

const POISONED: &str = "no holder of the board's lock can panic";

impl Board {
    /// Why nothing can be stored at the moment; `None` while all is well.
    pub fn trouble(&self) -> Option<Arc<String>> {
        self.trouble.load_full()
    }

    pub(super) fn set_trouble(&self, trouble: Option<String>) {
        self.trouble.store(trouble.map(Arc::new));
    }

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
        zones.filter(|zone| *zone.status().definition.tenant == *tenant).collect()
    }

    /// A zone of another tenant at, above or below `name`: two tenants must not answer for each other's names.
    pub fn foreign_overlap(&self, name: &Name, tenant: &str) -> Option<Name> {
        let foreign = |zone: &ZoneView| *zone.status().definition.tenant != *tenant;
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

    /// A tenant's zones of a kind, by name. O(1), and what is given does not change.
    pub fn zones(&self, tenant: &str, kind: Kind) -> Shelf<Named> {
        let index = self.index.read().expect(POISONED);
        index.tenants.get(tenant).map(|roster| roster.of_kind(kind)).unwrap_or_default()
    }

    /// A tenant's local or secondary zones in a state, by name. O(1), as [`Board::zones`].
    pub fn zones_in_state(&self, tenant: &str, is_local: bool, state: ZoneState) -> Shelf<Named> {
        let index = self.index.read().expect(POISONED);
        index.tenants.get(tenant).map(|roster| roster.in_state(is_local, state)).unwrap_or_default()
    }

    /// Which edition of its zones a tenant sees. What is read after this is of this edition or a later one.
    pub fn edition(&self, tenant: &str) -> Edition {
        self.editions.lock().expect(POISONED).get(tenant).copied().unwrap_or_default()
    }

    /// What a tenant sees has changed; called when it can be seen.
    pub(super) fn turn(&self, tenant: &str, has_new_contents: bool) {
        let number = self.last_edition.fetch_add(1, Ordering::Relaxed) + 1;
        let mut editions = self.editions.lock().expect(POISONED);
        if !editions.contains_key(tenant) {
            editions.insert(tenant.into(), Edition::default());
        }
        let Some(edition) = editions.get_mut(tenant) else { return };
        edition.statuses = number;
        if has_new_contents {
            edition.contents = number;
        }
    }

    /// Every zone for which `keep` holds, in canonical order of their names. O(zones).
    pub fn select(&self, mut keep: impl FnMut(&ZoneView) -> bool) -> Vec<Arc<ZoneView>> {
        self.index.read().expect(POISONED).by_name.values().filter(|z| keep(z)).cloned().collect()
    }

    /// Secondary zones of a tenant that came by REST: those that `[quota] secondary-zones` bounds.
    pub fn secondaries_of_rest(&self, tenant: &str) -> usize {
        self.tallies.lock().expect(POISONED).get(tenant).map_or(0, |tally| tally.zones_of_rest as usize)
    }

    /// Up to `max` zones behind `after` (from the first one on if `None`) for which `keep` holds, in canonical order.
    /// O(log zones) to find the place, then one step a zone looked at.
    pub fn select_after(
        &self,
        after: Option<&Name>,
        max: usize,
        mut keep: impl FnMut(&ZoneView) -> bool,
    ) -> Vec<Arc<ZoneView>> {
        let index = self.index.read().expect(POISONED);
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let zones = index.by_name.range::<Name, _>((from, Bound::Unbounded));
        zones.map(|(_, zone)| zone).filter(|zone| keep(zone)).take(max).cloned().collect()
    }

    /// How the zones of a tenant stand. O(1).
    pub fn tally(&self, tenant: &str) -> Tally {
        self.tallies.lock().expect(POISONED).get(tenant).cloned().unwrap_or_default()
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
        let mut tallies = self.tallies.lock().expect(POISONED);
        let mut by_tenant: BTreeMap<Arc<str>, Vec<roster::Standing>> = BTreeMap::new();
        let mut zones: Vec<Arc<ZoneView>> = zones.into_iter().collect();
        // once for all lists by name that are made of it
        zones.sort_by(|a, b| a.name.cmp(&b.name));
        let by_name = zones.iter().map(|zone| (zone.name.clone(), zone.clone()));
        match index.by_name.is_empty() {
            // Made at once its nodes are full, where names that come one by one leave them half empty.
            true => index.by_name = by_name.collect(),
            false => index.by_name.extend(by_name),
        }
        for zone in zones {
            let status = zone.status();
            let tenant = &status.definition.tenant;
            tallies.entry(tenant.clone()).or_default().add(&status);
            index.by_uuid.insert(zone.uuid, zone.clone());
            index.by_number.insert(zone.id, zone.clone());
            match by_tenant.get_mut(tenant) {
                Some(list) => list.push((zone, status)),
                None => drop(by_tenant.insert(tenant.clone(), vec![(zone, status)])),
            }
        }
        let tenants: Vec<Arc<str>> = by_tenant.keys().cloned().collect();
        for (tenant, zones) in by_tenant {
            index.tenants.entry(tenant).or_default().extend(zones);
        }
        drop((index, tallies));
        tenants.iter().for_each(|tenant| self.turn(tenant, true));
    }

    pub(super) fn remove(&self, zone: &Arc<ZoneView>) {
        let mut index = self.index.write().expect(POISONED);
        // What took its place stays.
        if index.by_number.get(&zone.id).is_none_or(|known| !Arc::ptr_eq(known, zone)) {
            return;
        }
        let status = zone.status();
        let tenant = &status.definition.tenant;
        if let Some(roster) = index.tenants.get_mut(tenant) {
            roster.remove(zone, &status);
            if roster.is_empty() {
                index.tenants.remove(tenant);
            }
        }
        index.by_number.remove(&zone.id);
        if index.by_uuid.get(&zone.uuid).is_some_and(|known| Arc::ptr_eq(known, zone)) {
            index.by_uuid.remove(&zone.uuid);
        }
        if index.by_name.get(&zone.name).is_some_and(|known| Arc::ptr_eq(known, zone)) {
            index.by_name.remove(&zone.name);
        }
        drop(index);
        self.uncount(&status);
        self.turn(tenant, true);
    }

    /// Shows a zone of the board as it stands now.
    pub(super) fn show(&self, zone: &Arc<ZoneView>, status: ZoneStatus) {
        let (old, status) = (zone.status(), Arc::new(status));
        let is_local = status.definition.local.is_some();
        let is_listed_alike = (old.state, old.served_serial) == (status.state, status.served_serial)
            && Arc::ptr_eq(&old.definition, &status.definition);
        self.uncount(&old);
        let (from, to) = (&old.definition.tenant, &status.definition.tenant);
        if old.state != status.state || from != to {
            let mut index = self.index.write().expect(POISONED);
            // A zone that is not on the board yet comes with its state.
            match index.by_number.contains_key(&zone.id) {
                false => {}
                true if from == to => index.tenants.entry(to.clone()).or_default().change(zone, &old, &status),
                true => {
                    index.tenants.entry(from.clone()).or_default().remove(zone, &old);
                    index.tenants.entry(to.clone()).or_default().insert(zone, &status);
                    self.turn(from, true);
                }
            }
        }
        let mut tallies = self.tallies.lock().expect(POISONED);
        match tallies.get_mut(&status.definition.tenant) {
            Some(tally) => tally.add(&status),
            None => tallies.entry(status.definition.tenant.clone()).or_default().add(&status),
        }
        drop(tallies);
        let tenant = status.definition.tenant.clone();
        zone.replace(status);
        // Entries of a local zone may differ though DNS shows the same.
        self.turn(&tenant, is_local || !is_listed_alike);
    }

    fn uncount(&self, status: &ZoneStatus) {
        let mut tallies = self.tallies.lock().expect(POISONED);
        if let Some(tally) = tallies.get_mut(&status.definition.tenant) {
            tally.subtract(status);
            if tally.zones + tally.local_zones == 0 {
                tallies.remove(&status.definition.tenant);
            }
        }
    }
}
