//! A group of requests on its way: tried one after the other on copies, then one write for all that came of them.
//!
//! In: requests with the names and numbers the keeper has set aside for their new zones, and the board as it is; while a
//! group is under way nothing else changes local zones. Out: the write, the zones and the index as they will be, and an
//! outcome for each request. Runs beside the keeper, since an import of 100,000 records takes a moment.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use uuid::Uuid;

use super::index::LocalIndex;
use super::left;
use super::log::{self, Changes};
use super::request::{LocalOutcome, LocalRefused, LocalRequest, Mark, NewLocal, PtrDraft, Step, StepOutcome};
use crate::control::definition::{Arrangement, Origin, ZoneDefinition};
use crate::control::handle::EditError;
use crate::control::newcomers::Newcomers;
use crate::control::status::Board;
use crate::control::zones::StoredDefinition;
use crate::dns::{Name, RecordType, Serial};
use crate::local::{
    self, Attributes, Change, Draft, Edit, Entry, Face, LocalZone, Projected, Refusal, Refused, Surroundings, Unsaid,
    difference, project,
};
use crate::reason::Reason;
use crate::reverse;
use crate::served::ZoneId;
use crate::store::{LocalContents, LocalWrite, Write};
use crate::time::Timestamp;
use crate::zone::{self, ContentPolicy, Diff, HashKey, Snapshot};

/// Under this name the store keeps the next free number of a record.
pub(in crate::control) const NEXT_RECORD: &str = "next-record";

/// What the one dialect that replaces PTRs does not show.
const NOT_SAID_OF_PTRS: Unsaid = Unsaid { ttl: true, text: false, link: true };

/// What limits the requests of a tenant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quotas {
    pub(super) zones: usize,
    pub(super) records: usize,
    pub(super) reverse_records: usize,
}

/// What the keeper has set aside for a zone that a request may make.
#[derive(Clone, Debug)]
pub(super) struct Reserved {
    pub(super) id: ZoneId,
    pub(super) uuid: Uuid,
}

/// Everything a group depends on.
pub(super) struct Ground {
    pub(super) board: Arc<Board>,
    pub(super) hash_key: HashKey,
    pub(super) now: Timestamp,
    pub(super) quotas: Quotas,
    pub(super) allow_subzones: bool,
    /// Where PTRs may make zones; `None`: everywhere.
    pub(super) owned: Option<Vec<ipnet::IpNet>>,
    /// By apex: what was set aside, or why the zone may not be made.
    pub(super) reserved: HashMap<Name, Result<Reserved, EditError>>,
    /// The last serials of removed zones with the names of `reserved`, where they are not behind the day's first.
    pub(super) left: HashMap<Name, Serial>,
    /// Secondary zones that are not on the board yet. Those that come while the group is under way give way to it.
    pub(super) newcomers: Newcomers,
}

/// A zone in the works.
#[derive(Clone)]
pub(super) struct Work {
    pub(super) definition: Arc<ZoneDefinition>,
    pub(super) zone: Arc<LocalZone>,
    pub(super) snapshot: Arc<Snapshot>,
    diffs: Vec<Diff>,
    written: BTreeMap<u64, Option<Arc<Entry>>>,
    /// The zone as the request under way found it; `snapshot` shows this one until the request is settled.
    before: Arc<LocalZone>,
    /// What the request under way has written.
    unsettled: BTreeMap<u64, Option<Arc<Entry>>>,
    wanted_serial: Option<Serial>,
    /// What is told of the zone as a whole, as the request under way found it; `None`: it was not there.
    face: Option<Face>,
    /// What the settled requests have changed.
    log: Vec<Changes>,
    is_settled: bool,
    is_defined: bool,
    pub(super) is_new: bool,
    pub(super) is_removed: bool,
}

/// The group while it is tried.
pub(super) struct Group {
    ground: Ground,
    pub(super) works: HashMap<ZoneId, Work>,
    pub(super) index: LocalIndex,
    pub(super) next_num: u64,
    first_num: u64,
    /// Of the requests that are carried out.
    marks: Vec<Mark>,
    /// The step under way, for refusals.
    step: usize,
}

/// The state before a request, to go back to.
struct Before {
    works: HashMap<ZoneId, Work>,
    index: LocalIndex,
    next_num: u64,
}

impl Group {
    pub(super) fn new(ground: Ground, next_num: u64) -> Group {
        let index = LocalIndex::clone(&ground.board.local_index());
        Group { ground, works: HashMap::new(), index, next_num, first_num: next_num, marks: Vec::new(), step: 0 }
    }

    /// Tries one request; a refused one leaves no trace.
    pub(super) fn request(&mut self, request: &LocalRequest) -> Result<LocalOutcome, LocalRefused> {
        let before = Before { works: self.works.clone(), index: self.index.clone(), next_num: self.next_num };
        let outcome = self.steps(request);
        if outcome.is_err() || request.dry_run {
            (self.works, self.index, self.next_num) = (before.works, before.index, before.next_num);
        } else {
            self.marks.extend(request.mark.clone());
        }
        outcome
    }

    fn steps(&mut self, request: &LocalRequest) -> Result<LocalOutcome, LocalRefused> {
        let mut steps = Vec::with_capacity(request.steps.len());
        let mut ids = Vec::with_capacity(request.steps.len());
        for (at, step) in request.steps.iter().enumerate() {
            self.step = at;
            let (id, outcome) = match step {
                Step::Create(new) => self.create(at, request, new)?,
                Step::Edit { zone, description, edits } => {
                    let id = self.find(at, request, *zone)?;
                    if let Some(description) = description {
                        self.describe(id, request, description);
                    }
                    (id, self.edit(at, request, id, edits)?)
                }
                Step::Remove { zone } => {
                    let id = self.find(at, request, *zone)?;
                    (id, self.remove(id))
                }
                Step::PutPtr(ptr) => self.put_ptr(at, request, ptr)?,
            };
            ids.push(id);
            steps.push(outcome);
        }
        self.check_quota(request)?;
        self.settle(&request.user)?;
        // The steps show the zones as the whole request leaves them.
        for (id, step) in ids.iter().zip(&mut steps) {
            let work = &self.works[id];
            (step.definition, step.zone) = (work.definition.clone(), work.zone.clone());
        }
        Ok(LocalOutcome { steps })
    }

    fn find(&mut self, step: usize, request: &LocalRequest, uuid: Uuid) -> Result<ZoneId, LocalRefused> {
        let missing = LocalRefused::Zone { step, why: EditError::NotFound };
        if let Some((id, work)) = self.works.iter().find(|(_, work)| work.definition.uuid == uuid) {
            let is_there = !work.is_removed && *work.definition.tenant == *request.tenant;
            return if is_there { Ok(*id) } else { Err(missing) };
        }
        let view = self.ground.board.by_uuid(uuid).ok_or(missing.clone())?;
        let is_ours = *view.status().definition.tenant == *request.tenant;
        match self.open(view.id).filter(|_| is_ours) {
            Some(_) => Ok(view.id),
            None => Err(missing),
        }
    }

    /// The working copy of a zone that is there.
    fn open(&mut self, id: ZoneId) -> Option<&mut Work> {
        if !self.works.contains_key(&id) {
            let view = self.ground.board.by_number(id)?;
            let work = Work::new(view.status().definition.clone(), view.local()?, view.snapshot()?);
            self.works.insert(id, work);
        }
        self.works.get_mut(&id).filter(|work| !work.is_removed)
    }

    fn create(
        &mut self,
        step: usize,
        request: &LocalRequest,
        new: &NewLocal,
    ) -> Result<(ZoneId, StepOutcome), LocalRefused> {
        let zone = |why| LocalRefused::Zone { step, why };
        let Reserved { id, uuid } = match self.ground.reserved.get(&new.name) {
            Some(reserved) => reserved.clone().map_err(zone)?,
            None => return Err(zone(EditError::NameTaken(new.name.clone()))),
        };
        let uuid = new.uuid.unwrap_or(uuid);
        let is_taken = |work: &Work| work.definition.name == new.name && !work.is_removed;
        if self.works.values().any(is_taken) {
            return Err(zone(EditError::NameTaken(new.name.clone())));
        }
        let has_uuid = |work: &Work| work.definition.uuid == uuid;
        if self.works.values().any(has_uuid) || self.ground.board.by_uuid(uuid).is_some() {
            return Err(zone(EditError::IdTaken));
        }
        if let Some(other) = self.foreign_overlap(&new.name, &request.tenant) {
            return Err(zone(EditError::Overlaps { name: new.name.clone(), other }));
        }
        let first = request.name_servers.first().cloned().unwrap_or_else(|| new.name.clone());
        let attributes = Attributes::new(&new.name, first);
        // What is put in makes it the first serial of the day, or that behind the last of the zone that had the name.
        let before_first = || Serial(local::first_serial(self.ground.now).0.wrapping_sub(1));
        let serial = self.ground.left.get(&new.name).copied().unwrap_or_else(before_first);
        let empty = LocalZone::new(new.name.clone(), attributes.clone(), serial, []);
        let definition = ZoneDefinition {
            id,
            uuid,
            name: new.name.clone(),
            description: new.description.clone(),
            local: Some(Box::new(attributes)),
            origin: Origin::Rest,
            created: self.ground.now,
            modified: self.ground.now,
            arrangement: Arc::new(Arrangement::of_rest(
                request.tenant.clone().into(),
                request.user.clone().into(),
                Arc::default(),
            )),
        };
        let snapshot = empty.build(self.ground.hash_key).map_err(|reason| too_much(step, uuid, reason))?;
        let work = Work::new(Arc::new(definition), Arc::new(empty), Arc::new(snapshot));
        let work = Work { is_defined: true, is_new: true, is_settled: false, face: None, ..work };
        self.works.insert(id, work);
        let zone = self.works[&id].zone.clone();
        self.index.add_zone(&request.tenant, id, &zone);
        // A record that says the same takes the place of ours, with its TTL and its text.
        let is_sent = |name: &&Name| {
            new.edits.iter().any(|edit| {
                matches!(edit, Edit::Add(draft) if draft.rtype == RecordType::NS
                    && draft.owner == new.name && draft.rdata.eq_ignore_ascii_case(name.as_wire()))
            })
        };
        let name_servers = request
            .name_servers
            .iter()
            .filter(|name| !is_sent(name))
            .map(|name| Edit::Add(Draft::new(new.name.clone(), RecordType::NS, name.as_wire())));
        let own: Vec<Edit> = std::iter::once(Edit::Attributes(new.attributes.clone())).chain(name_servers).collect();
        let unconditional = LocalRequest { keep_good: false, steps: Vec::new(), ..request.clone() };
        self.edit(step, &unconditional, id, &own)?;
        let outcome = self.edit(step, request, id, &new.edits)?;
        Ok((id, StepOutcome { created: true, ..outcome }))
    }

    /// A zone of another tenant at, above or below the new one, there, being made, or in this group.
    fn foreign_overlap(&self, name: &Name, tenant: &str) -> Option<Name> {
        if self.ground.allow_subzones {
            return None;
        }
        let meets = |work: &&Work| {
            let other = &work.definition.name;
            *work.definition.tenant != *tenant
                && !work.is_removed
                && (other.is_at_or_below(name) || name.is_at_or_below(other))
        };
        let in_group = self.works.values().find(meets).map(|work| work.definition.name.clone());
        let there = || self.ground.board.foreign_overlap(name, tenant);
        in_group.or_else(there).or_else(|| self.ground.newcomers.foreign_overlap(name, tenant))
    }

    fn describe(&mut self, id: ZoneId, request: &LocalRequest, description: &str) {
        let (now, user) = (self.ground.now, request.user.clone());
        let Some(work) = self.open(id).filter(|work| work.definition.description != description) else { return };
        let definition = Arc::make_mut(&mut work.definition);
        definition.description = description.to_owned();
        (definition.modified, definition.modified_by) = (now, user.into());
        work.is_defined = true;
    }

    fn edit(
        &mut self,
        step: usize,
        request: &LocalRequest,
        id: ZoneId,
        edits: &[Edit],
    ) -> Result<StepOutcome, LocalRefused> {
        let work = self.open(id).expect("the caller has found the zone").clone();
        let zone_uuid = work.definition.uuid;
        let projected = self.project(id, &request.tenant, &work.zone, edits);
        if !projected.refused.is_empty() && !request.keep_good {
            return Err(LocalRefused::Edits { step, zone: zone_uuid, refused: projected.refused });
        }
        let Projected { zone, wanted_serial, written, outcomes, refused } = projected;
        self.index.change(&request.tenant, id, (&work.zone, &zone), &written);
        let (now, user) = (self.ground.now, &request.user);
        let work = self.works.get_mut(&id).expect("it was opened above");
        if Some(zone.attributes()) != work.definition.local.as_deref() {
            let definition = Arc::make_mut(&mut work.definition);
            definition.local = Some(Box::new(zone.attributes().clone()));
            (definition.modified, definition.modified_by) = (now, user.clone().into());
            work.is_defined = true;
        }
        work.zone = Arc::new(zone);
        work.wanted_serial = wanted_serial.or(work.wanted_serial);
        work.unsettled.extend(written);
        work.is_settled = false;
        Ok(StepOutcome {
            definition: work.definition.clone(),
            zone: work.zone.clone(),
            created: false,
            entries: outcomes,
            refused,
        })
    }

    fn project(&mut self, id: ZoneId, tenant: &str, zone: &LocalZone, edits: &[Edit]) -> Projected {
        let (index, works, board) = (&self.index, &self.works, &self.ground.board);
        let is_taken = |record: Uuid| index.zone_of(record).is_some_and(|other| other != id);
        let ptr_elsewhere = |address: IpAddr| -> Option<Arc<Entry>> {
            let place = index.ptrs_at(tenant, address).find(|place| place.zone != id)?;
            let other = match works.get(&place.zone) {
                Some(work) => work.zone.clone(),
                None => board.by_number(place.zone)?.local()?,
            };
            other.by_id(place.id).cloned()
        };
        let mut around = Surroundings {
            now: self.ground.now,
            next_num: &mut self.next_num,
            fresh_id: &mut Uuid::new_v4,
            is_taken: &is_taken,
            ptr_elsewhere: &ptr_elsewhere,
        };
        project(zone, edits, &mut around)
    }

    fn remove(&mut self, id: ZoneId) -> StepOutcome {
        let work = self.works.get_mut(&id).expect("the caller has found the zone");
        work.is_removed = true;
        let (definition, zone) = (work.definition.clone(), work.zone.clone());
        self.index.remove_zone(&definition.tenant, id, &zone);
        StepOutcome { definition, zone, created: false, entries: Vec::new(), refused: Vec::new() }
    }

    fn put_ptr(
        &mut self,
        step: usize,
        request: &LocalRequest,
        ptr: &PtrDraft,
    ) -> Result<(ZoneId, StepOutcome), LocalRefused> {
        let not_available = LocalRefused::NotAvailable { step, address: ptr.address };
        let id = match self.place_of(request, ptr.address) {
            Some(Some(id)) => id,
            Some(None) => return Err(not_available),
            None => self.zone_for(step, request, ptr.address)?,
        };
        let apex = self.open(id).map(|work| work.zone.apex().clone()).ok_or(not_available.clone())?;
        let owner = reverse::owner_in(&apex, ptr.address).ok_or(not_available)?;
        let mut draft = Draft {
            ttl: ptr.ttl,
            text: ptr.text.clone(),
            link: ptr.link.clone(),
            ..Draft::new(owner, RecordType::PTR, ptr.host.clone())
        };
        let Some(record) = ptr.id else {
            return Ok((id, self.edit(step, request, id, &[Edit::Add(draft)])?));
        };
        // It may have stood in another zone: then it leaves there, keeping its number and birth, and what a replacement of
        // PTRs cannot say.
        if let Some(before) = self.index.zone_of(record).filter(|before| *before != id) {
            let taken = LocalRefused::Zone { step, why: EditError::IdTaken };
            let work = self.open(before).ok_or(taken.clone())?;
            let old = work.zone.by_id(record).cloned().ok_or(taken.clone())?;
            if *work.definition.tenant != *request.tenant || work.zone.address_of(&old).is_none() {
                return Err(taken);
            }
            draft.moved = Some((old.num, old.created));
            (draft.ttl, draft.link) = (old.ttl, old.link.clone());
            self.edit(step, request, before, &[Edit::Delete(record)])?;
        } else if let Some(old) = self.open(id).and_then(|work| work.zone.by_id(record).cloned())
            && old.rtype != RecordType::PTR
        {
            return Err(LocalRefused::Zone { step, why: EditError::IdTaken });
        }
        Ok((id, self.edit(step, request, id, &[Edit::Put(record, draft, NOT_SAID_OF_PTRS)])?))
    }

    /// The tenant's zone with the longest prefix that holds `address`: its number, or `Some(None)` if that one is not
    /// ours to write. `None`: there is none.
    fn place_of(&self, request: &LocalRequest, address: IpAddr) -> Option<Option<ZoneId>> {
        for name in reverse::zones_holding(address) {
            let of_group = |work: &&Work| work.definition.name == name && !work.is_removed;
            if let Some(work) = self.works.values().find(of_group) {
                if *work.definition.tenant == *request.tenant {
                    return Some(Some(work.definition.id));
                }
                continue;
            }
            let Some(view) = self.ground.board.by_name(&name) else { continue };
            let is_gone = self.works.get(&view.id).is_some_and(|work| work.is_removed);
            if !is_gone && *view.status().definition.tenant == *request.tenant {
                return Some(view.local().map(|_| view.id));
            }
        }
        None
    }

    /// Makes the /24 or /64 around `address`.
    fn zone_for(&mut self, step: usize, request: &LocalRequest, address: IpAddr) -> Result<ZoneId, LocalRefused> {
        let not_available = LocalRefused::NotAvailable { step, address };
        let is_owned = self.ground.owned.as_ref().is_none_or(|owned| owned.iter().any(|net| net.contains(&address)));
        let name = new_zone_for(address).filter(|_| is_owned).ok_or(not_available.clone())?;
        let new = NewLocal {
            uuid: None,
            name,
            description: String::new(),
            attributes: Default::default(),
            edits: Vec::new(),
        };
        match self.create(step, request, &new) {
            Ok((id, _)) => Ok(id),
            Err(LocalRefused::Zone { .. }) => Err(not_available),
            Err(other) => Err(other),
        }
    }

    fn check_quota(&self, request: &LocalRequest) -> Result<(), LocalRefused> {
        let before = self.ground.board.local_index().usage(&request.tenant);
        let (after, quotas) = (self.index.usage(&request.tenant), self.ground.quotas);
        for (what, before, after, max) in [
            ("zones", before.zones, after.zones, quotas.zones),
            ("records", before.records, after.records, quotas.records),
            ("reverse records", before.reverse_records, after.reverse_records, quotas.reverse_records),
        ] {
            if after > max && after > before {
                return Err(LocalRefused::Quota { what, max });
            }
        }
        Ok(())
    }

    /// Gives every zone that the request has changed its one new version.
    fn settle(&mut self, user: &str) -> Result<(), LocalRefused> {
        let (step, key, now) = (self.step, self.ground.hash_key, self.ground.now);
        for work in self.works.values_mut().filter(|work| !work.is_settled && !work.is_removed) {
            let uuid = work.definition.uuid;
            work.settle(key, now, user).map_err(|reason| too_much(step, uuid, reason))?;
        }
        Ok(())
    }

    /// One write for everything; `None` if nothing has changed.
    pub(super) fn write(&self) -> Option<Write> {
        let zones: Vec<LocalWrite> = self.works.iter().filter_map(|(id, work)| work.write(*id)).collect();
        if zones.is_empty() {
            return None;
        }
        let mut metas: Vec<_> = self.marks.iter().map(|mark| (mark.name.clone(), Some(mark.bytes.clone()))).collect();
        if self.next_num != self.first_num {
            metas.push((NEXT_RECORD.to_owned(), Some(self.next_num.to_be_bytes().to_vec())));
        }
        for work in self.works.values().filter(|work| work.is_new != work.is_removed) {
            let name = &work.definition.name;
            metas.extend(match work.is_new {
                true => self.ground.left.contains_key(name).then(|| left::outrun(name)),
                false => left::kept(name, work.zone.serial(), self.ground.now),
            });
        }
        Some(Write::Local { zones, metas })
    }
}

/// The apex of the zone that is made for the PTR of `address` where there is none.
pub(super) fn new_zone_for(address: IpAddr) -> Option<Name> {
    let len = if address.is_ipv4() { 24 } else { 64 };
    reverse::zone_name(ipnet::IpNet::new(address, len).ok()?.trunc()).ok()
}

impl Work {
    /// A zone that is as it is.
    fn new(definition: Arc<ZoneDefinition>, zone: Arc<LocalZone>, snapshot: Arc<Snapshot>) -> Work {
        Work {
            before: zone.clone(),
            zone,
            snapshot,
            diffs: Vec::new(),
            written: BTreeMap::new(),
            unsettled: BTreeMap::new(),
            wanted_serial: None,
            face: log::face(&definition),
            log: Vec::new(),
            is_settled: true,
            is_defined: false,
            is_new: false,
            is_removed: false,
            definition,
        }
    }

    fn settle(&mut self, key: HashKey, now: Timestamp, user: &str) -> Result<(), Reason> {
        let zone = Arc::make_mut(&mut self.zone);
        let written = std::mem::take(&mut self.unsettled);
        if let Some(diff) = difference(&self.before, zone, &written, self.wanted_serial.take(), now) {
            let snapshot = if self.is_new {
                zone.build(key)?
            } else {
                zone::apply(&self.snapshot, std::slice::from_ref(&diff))?.0
            };
            zone::check(&snapshot, &ContentPolicy::default())?;
            self.snapshot = Arc::new(snapshot);
            if !self.is_new {
                self.diffs.push(diff);
            }
        }
        let mut changes = local::changes(&self.before, &written);
        let face = log::face(&self.definition);
        if let Some(after) = face.clone().filter(|_| face != self.face) {
            changes.insert(0, Change::Zone { before: std::mem::replace(&mut self.face, face), after });
        }
        if !changes.is_empty() {
            Arc::make_mut(&mut self.zone).count_changes(changes.len());
            self.log.push(Changes { at: now, by: user.to_owned(), changes });
        }
        self.written.extend(written);
        self.before = self.zone.clone();
        self.is_settled = true;
        Ok(())
    }

    /// Whether anything is to be written, and so to be shown.
    pub(super) fn has_changed(&self) -> bool {
        self.is_defined || self.is_removed || !self.diffs.is_empty() || !self.written.is_empty()
    }

    /// Whether what DNS shows is another than before.
    pub(super) fn has_new_contents(&self) -> bool {
        self.is_new || !self.diffs.is_empty()
    }

    fn write(&self, id: ZoneId) -> Option<LocalWrite> {
        if !self.has_changed() || self.is_new && self.is_removed {
            return None;
        }
        if self.is_removed {
            return Some(LocalWrite::removed(id.0));
        }
        let entry = |(num, entry): (&u64, &Option<Arc<Entry>>)| (*num, entry.as_ref().map(|entry| entry.to_bytes()));
        let mut entries: Vec<(u64, Option<Vec<u8>>)> = self.written.iter().map(entry).collect();
        entries.push((0, Some(super::load::Head::of(&self.zone).to_bytes())));
        let contents = if self.has_new_contents() {
            LocalContents::New { snapshot: self.snapshot.clone(), diffs: self.diffs.clone() }
        } else {
            LocalContents::Unchanged
        };
        let definition = self.is_defined.then(|| StoredDefinition::of(&self.definition).to_bytes());
        let log = log::written(&self.log, self.zone.changes());
        Some(LocalWrite { zone: id.0, definition, entries, contents, log, whole: None })
    }
}

/// What the edits come to cannot be held.
fn too_much(step: usize, zone: Uuid, reason: Reason) -> LocalRefused {
    LocalRefused::Edits { step, zone, refused: vec![Refused { edit: 0, item: 0, why: Refusal::Limit(reason) }] }
}

#[cfg(test)]
mod tests;
