//! Local zones on their way through the control side: requests are collected into groups, tried, stored, then shown.
//!
//! ```text
//!  Handle::local --> waiting --(no group under way)--> names and numbers set aside
//!                       ^                                     |
//!                       |                        Group tried beside the keeper (`group`)
//!                       |                                     |
//!                       |                        one Write::Local, durable
//!                       |                                     v
//!                       '------------------ published, on the board, answered, announced
//! ```
//!
//! What a failed write may have left on the disk is mended ([`mend`]), and each zone has a copy beside the database ([`copy`]).
//!
//! One group at a time: while the disk is busy with one, the requests of the next collect. So many writers share a sync,
//! none sees another's half, no update is lost, and what fails on disk is undone by dropping the copies. An answered
//! request is durable and in DNS answers.

pub(super) mod copy;
mod group;
mod index;
mod left;
mod load;
mod log;
mod mend;
mod request;

pub use index::{LocalIndex, PtrPlace, Usage};
pub use log::{Changes, KEPT_FOR, LOG_CHANGES_MAX};
pub use request::{LocalOutcome, LocalRefused, LocalRequest, Mark, NewLocal, PtrDraft, Step, StepOutcome};

pub(super) use group::NEXT_RECORD;
pub(super) use left::forget_outrun;
pub(super) use load::{Found, read};
pub(super) use log::read as read_log;

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use tokio::sync::oneshot;
use uuid::Uuid;

use super::definition::ZoneDefinition;
use super::event::Event;
use super::handle::EditError;
use super::keeper::{Keeper, report};
use super::status::{Remarks, ZoneStatus, ZoneView};
use crate::dns::Name;
use crate::local::LocalZone;
use crate::refresh::ZoneState;
use crate::served::{Slot, State, ZoneId};
use crate::store::{StoreError, Write};
use crate::telemetry;
use crate::time::Timestamp;
use crate::zone::Snapshot;

use group::{Ground, Group, Quotas, Reserved, new_zone_for};

/// Requests of one group: each waits for all of them.
const GROUP_REQUESTS_MAX: usize = 256;

/// Where the answer of a request goes.
pub(super) type LocalReply = oneshot::Sender<Result<LocalOutcome, LocalRefused>>;

/// The keeper's state of all local zones.
#[derive(Default)]
pub(super) struct LocalDesk {
    zones: HashMap<ZoneId, Local>,
    waiting: VecDeque<(LocalRequest, LocalReply)>,
    is_busy: bool,
    suspects: mend::Suspects,
    copies: copy::Copies,
    pub(super) next_num: u64,
}

/// One local zone.
struct Local {
    definition: Arc<ZoneDefinition>,
    view: Arc<ZoneView>,
    slot: Arc<Slot>,
    /// Dropping it ends the running NOTIFYs to downstreams.
    announcement: Option<oneshot::Sender<()>>,
}

/// A tried group whose write has ended.
pub struct Finished {
    group: Group,
    answers: Vec<(LocalReply, Result<LocalOutcome, LocalRefused>)>,
}

impl std::fmt::Debug for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Finished").field("answers", &self.answers.len()).finish_non_exhaustive()
    }
}

/// First number of a record.
const FIRST_RECORD: u64 = 1_000_001;

impl LocalDesk {
    /// With nothing on it; copies are in the directory of the store, `state`.
    pub(super) fn new(state: &std::path::Path) -> LocalDesk {
        LocalDesk { copies: copy::Copies::below(state), ..LocalDesk::default() }
    }

    /// The copies that are there.
    pub(super) fn copies(&self) -> copy::Known {
        self.copies.list()
    }

    pub(super) fn holds(&self, id: ZoneId) -> bool {
        self.zones.contains_key(&id)
    }

    /// Whether a group is under way.
    #[cfg(test)]
    pub(super) fn is_busy(&self) -> bool {
        self.is_busy || !self.waiting.is_empty()
    }

    /// Of every local zone.
    pub(super) fn definitions(&self) -> impl Iterator<Item = &Arc<ZoneDefinition>> {
        self.zones.values().map(|local| &local.definition)
    }
}

impl Keeper {
    /// Takes a request; it is answered when its group is durable and published.
    pub(super) fn local(&mut self, request: LocalRequest, reply: LocalReply) {
        self.local.waiting.push_back((request, reply));
        self.begin_group();
    }

    /// Starts the next group unless one is under way.
    pub(super) fn begin_group(&mut self) {
        if self.local.is_busy {
            return;
        }
        if !self.local.suspects.is_empty()
            && (!self.local.waiting.is_empty() || self.mends_at().is_some_and(|at| at <= Timestamp::now()))
        {
            self.mend();
            return;
        }
        if self.local.waiting.is_empty() {
            return;
        }
        self.local.is_busy = true;
        let count = self.local.waiting.len().min(GROUP_REQUESTS_MAX);
        let requests: Vec<(LocalRequest, LocalReply)> = self.local.waiting.drain(..count).collect();
        let reserved = self.set_aside(requests.iter().map(|(request, _)| request));
        let newcomers = self.newcomers.clone();
        let steps = requests.iter().flat_map(|(request, _)| &request.steps);
        let chosen = steps.filter_map(|step| if let Step::Create(new) = step { new.uuid } else { None });
        let ids = reserved.values().filter_map(|r| r.as_ref().ok()).map(|r| r.uuid).chain(chosen).collect();
        let names = reserved.iter().filter(|(_, r)| r.is_ok()).map(|(name, _)| name.clone()).collect();
        self.newcomers.begin_group(names, ids);
        let (api, quota) = (&self.config.api, &self.config.quota);
        let mut ground = Ground {
            board: self.board.clone(),
            hash_key: self.store.hash_key(),
            now: Timestamp::now(),
            quotas: Quotas { zones: quota.zones, records: quota.records, reverse_records: quota.reverse_records },
            allow_subzones: api.allow_subzones,
            owned: self.config.owned_cidrs(),
            reserved,
            left: HashMap::new(),
            newcomers,
        };
        let next_num = self.local.next_num.max(FIRST_RECORD);
        let (store, events, state) = (self.store.clone(), self.events.clone(), self.local.copies.state.clone());
        tokio::task::spawn_blocking(move || {
            ground.left = left::read(&store, ground.reserved.keys());
            let mut group = Group::new(ground, next_num);
            let answers = requests.into_iter().map(|(request, reply)| (reply, group.request(&request))).collect();
            let write = group.write();
            let removed = group.works.iter().filter(|(_, work)| work.is_removed && !work.is_new);
            removed.for_each(|(id, _)| copy::remove(&state, *id));
            let finished = Box::new(Finished { group, answers });
            // Nobody listens any more when the daemon stops.
            let done = move |outcome: Result<(), StoreError>| {
                let _ = events.send(Event::LocalStored(finished, outcome.map_err(|error| error.to_string())));
            };
            match write {
                Some(write) => store.submit(write, Box::new(done)),
                None => done(Ok(())),
            }
        });
    }

    /// Names, numbers and identities for every zone that the requests may make.
    fn set_aside<'a>(
        &mut self,
        requests: impl Iterator<Item = &'a LocalRequest>,
    ) -> HashMap<Name, Result<Reserved, EditError>> {
        let mut reserved = HashMap::new();
        for step in requests.flat_map(|request| &request.steps) {
            let (name, uuid) = match step {
                Step::Create(new) => (Some(new.name.clone()), new.uuid),
                Step::PutPtr(ptr) => (new_zone_for(ptr.address), None),
                Step::Edit { .. } | Step::Remove { .. } => (None, None),
            };
            let Some(name) = name.filter(|name| !reserved.contains_key(name)) else { continue };
            let is_taken = self.board.by_name(&name).is_some() || self.newcomers.has_name(&name);
            let outcome = match uuid {
                _ if is_taken => Err(EditError::NameTaken(name.clone())),
                Some(uuid) if self.newcomers.has_id(uuid) || self.is_id_aside(uuid) => Err(EditError::IdTaken),
                _ => Ok(Reserved { id: self.allocate_id(), uuid: uuid.unwrap_or_else(Uuid::new_v4) }),
            };
            reserved.insert(name, outcome);
        }
        reserved
    }

    /// A group is durable (or not): now it counts.
    pub(super) fn local_stored(&mut self, finished: Finished, outcome: Result<(), String>) {
        let Finished { group, answers } = finished;
        self.local.is_busy = false;
        self.newcomers.end_group();
        let failure = outcome.err();
        match &failure {
            None => self.show_group(group),
            Some(detail) => {
                tracing::error!(
                    detail,
                    "a change of local zones could not be stored; it is undone, and they are written whole"
                );
                metrics::counter!(telemetry::STORE_FAILURES).increment(1);
                // It may stand on the disk all the same.
                let touched: Vec<ZoneId> =
                    group.works.iter().filter(|(_, work)| work.has_changed()).map(|(id, _)| *id).collect();
                // Of those that were to go the copies are gone already.
                touched.iter().for_each(|id| self.copy_later(*id));
                self.suspect(touched);
            }
        }
        for (reply, answer) in answers {
            let answer = match &failure {
                Some(detail) if answer.is_ok() => Err(LocalRefused::Failed(EditError::Storage(detail.clone()))),
                _ => answer,
            };
            // A client that has gone away does not undo the change.
            let _ = reply.send(answer);
        }
        self.take_up_waiting();
        self.begin_group();
    }

    fn show_group(&mut self, group: Group) {
        self.local.next_num = group.next_num;
        let mut removed = HashSet::new();
        let mut new = Vec::new();
        let mut tenants = BTreeSet::new();
        for (id, work) in group.works.into_iter().filter(|(_, work)| work.has_changed()) {
            tenants.insert(work.definition.tenant.clone());
            self.copy_later(id);
            match (work.is_new, work.is_removed) {
                (true, true) => {}
                (_, true) => {
                    removed.insert(id);
                }
                (true, false) => {
                    let definition = &work.definition;
                    tracing::info!(zone = %definition.name, tenant = &*definition.tenant, user = &*definition.created_by, op = "create", "local zone created");
                    new.push((work.definition.clone(), work.zone.clone(), work.snapshot.clone()));
                }
                (false, false) => {
                    let snapshot = work.has_new_contents().then(|| work.snapshot.clone());
                    self.show_local(id, work.definition.clone(), work.zone.clone(), snapshot);
                }
            }
        }
        self.add_local_zones(new);
        if !removed.is_empty() {
            self.forget_local(&removed);
        }
        self.board.set_local_index(Arc::new(group.index));
        tenants.iter().for_each(|tenant| self.board.turn(tenant, true));
        let next = self.next_id.to_be_bytes().to_vec();
        let write = Write::Meta { name: super::load::NEXT_ID.to_owned(), bytes: Some(next) };
        self.store.submit(write, report("next zone number"));
    }

    /// Puts local zones into memory and serves them.
    pub(super) fn add_local_zones(&mut self, zones: Vec<(Arc<ZoneDefinition>, Arc<LocalZone>, Arc<Snapshot>)>) {
        if zones.is_empty() {
            return;
        }
        let slots = self.publisher.add_zones(zones.iter().map(|(d, ..)| (d.id, d.name.clone())).collect::<Vec<_>>());
        let mut views = Vec::with_capacity(zones.len());
        let mut contents = Vec::with_capacity(zones.len());
        for ((definition, zone, snapshot), slot) in zones.into_iter().zip(slots) {
            views.push(self.add_local(definition.clone(), slot));
            contents.push((definition, zone, snapshot));
        }
        self.board.insert(views);
        for (definition, zone, snapshot) in contents {
            self.show_local(definition.id, definition.clone(), zone, Some(snapshot));
        }
    }

    /// A local zone that cannot be served: its entries are damaged. It is answered with SERVFAIL, its octets stay.
    pub(super) fn add_damaged_local(&mut self, definition: ZoneDefinition, why: String) {
        tracing::error!(zone = %definition.name, why, "the stored entries of a local zone are damaged; it is not served, and nothing of it is deleted");
        let definition = Arc::new(definition);
        let slot = self.publisher.add_zones([(definition.id, definition.name.clone())]).remove(0);
        self.publisher.set_state(&slot, State::Damaged);
        let view = self.add_local(definition.clone(), slot);
        let status = ZoneStatus {
            state: ZoneState::Failed,
            remarks: Remarks { warnings: vec![format!("STORAGE_CORRUPT: {why}")], ..Remarks::default() }.into(),
            ..ZoneStatus::clone(&view.status())
        };
        self.board.insert([view.clone()]);
        self.board.show(&view, status);
    }

    fn add_local(&mut self, definition: Arc<ZoneDefinition>, slot: Arc<Slot>) -> Arc<ZoneView> {
        let view = Arc::new(ZoneView::new(slot.clone(), definition.clone()));
        let id = definition.id;
        self.list(&definition);
        self.local.zones.insert(id, Local { definition, view: view.clone(), slot, announcement: None });
        self.set_local_access(id);
        view
    }

    /// Who may transfer the zone: what the configuration says of all local zones.
    fn set_local_access(&self, id: ZoneId) {
        let Some(local) = self.local.zones.get(&id) else { return };
        self.policy.set_zone(id, Arc::new(self.access_to(&local.definition)));
    }

    /// After a reload of the configuration.
    pub(super) fn set_all_local_access(&self) {
        self.local.zones.keys().for_each(|id| self.set_local_access(*id));
    }

    /// Makes a version of a local zone the one that is seen, and tells the downstreams of new contents.
    fn show_local(
        &mut self,
        id: ZoneId,
        definition: Arc<ZoneDefinition>,
        zone: Arc<LocalZone>,
        snapshot: Option<Arc<Snapshot>>,
    ) {
        let Some(local) = self.local.zones.get_mut(&id) else { return };
        let state = if zone.attributes().enabled { State::Served } else { State::Disabled };
        local.definition = definition.clone();
        local.view.set_local(zone.clone());
        let slot = local.slot.clone();
        // Of what changed while it was not answered nobody was told.
        let is_new = snapshot.is_some() || slot.state() == State::Disabled;
        self.publish_local(&slot, snapshot, state);
        self.generation += 1;
        let Some(local) = self.local.zones.get(&id) else { return };
        let status = local.view.made_here(definition, zone.serial(), self.generation);
        self.board.show(&local.view, status);
        let notify = if is_new && state == State::Served { self.downstreams_of(&local.definition) } else { Vec::new() };
        if !notify.is_empty() {
            let announcement = slot.snapshot().map(|snapshot| self.announced_to(&notify, &snapshot));
            if let Some(local) = self.local.zones.get_mut(&id) {
                local.announcement = announcement;
            }
        }
    }

    /// Takes local zones out of memory: they are no longer answered.
    pub(super) fn forget_local(&mut self, ids: &HashSet<ZoneId>) {
        self.publisher.remove_zones(ids);
        for id in ids {
            self.policy.remove_zone(*id);
            if let Some(local) = self.local.zones.remove(id) {
                tracing::info!(zone = %local.definition.name, op = "remove", "local zone removed");
                self.board.remove(&local.view);
                self.unlist(&local.definition.name);
                self.has_free_names = true;
            }
        }
    }
}
