//! A zone and edits -> the zone as it is to be; two such zones -> the one difference that leads there.
//!
//! Edits are tried in order on a copy; a refused one leaves no trace, so the caller may keep the good ones of a list or
//! drop them all. When all edits of a request are made, [`difference`] compares the RRsets that were touched with what was
//! served: their records under one TTL (RFC 2181 §5.2), disabled ones left out. The serial moves once if anything of it
//! differs, else not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use uuid::Uuid;

use super::content::{self, ContentError};
use super::edit::{AttributesPatch, Draft, Edit, NewContent, Patch, Refusal, Refused, Unsaid};
use super::entry::Entry;
use super::soa::next_serial;
use super::zone::LocalZone;
use crate::dns::{Name, RecordRef, RecordType, Serial, rdata};
use crate::time::Timestamp;
use crate::zone::{Diff, DiffBuilder};

/// What an edit depends on beside its zone.
pub struct Surroundings<'a> {
    /// The time of the request.
    pub now: Timestamp,
    /// The next free number of a record; moves on with every new entry.
    pub next_num: &'a mut u64,
    /// Gives new identities.
    pub fresh_id: &'a mut dyn FnMut() -> Uuid,
    /// Whether an identity belongs to a record of another zone.
    pub is_taken: &'a dyn Fn(Uuid) -> bool,
    /// The PTR of an address in another of the tenant's local zones.
    pub ptr_elsewhere: &'a dyn Fn(IpAddr) -> Option<Arc<Entry>>,
}

/// What a list of edits makes of a zone.
#[derive(Clone, Debug)]
pub struct Projected {
    /// The zone as it is to be, under its old serial.
    pub zone: LocalZone,
    /// A serial that is to be taken if it is ahead, from an imported SOA.
    pub wanted_serial: Option<Serial>,
    /// The entries to be written (`Some`) and deleted (`None`), by number.
    pub written: BTreeMap<u64, Option<Arc<Entry>>>,
    /// For each edit the entry it made, changed, found equal, or removed; `None` for edits of more than one entry, for
    /// attributes, and for refused edits.
    pub outcomes: Vec<Option<Arc<Entry>>>,
    /// The edits that were refused, in order; they have left no trace.
    pub refused: Vec<Refused>,
}

/// Makes of `zone` what `edits` ask for. O(edits x log entries), besides the size of touched RRsets and, where the default TTL
/// changes, of the zone.
pub fn project(zone: &LocalZone, edits: &[Edit], around: &mut Surroundings<'_>) -> Projected {
    let mut bench = Bench { zone: zone.clone(), around, touched: BTreeSet::new(), wanted_serial: None };
    let (mut outcomes, mut refused) = (Vec::with_capacity(edits.len()), Vec::new());
    for (index, edit) in edits.iter().enumerate() {
        let outcome = bench.edit(edit);
        outcomes.push(outcome.unwrap_or_else(|(item, why)| {
            refused.push(Refused { edit: index, item, why });
            None
        }));
    }
    let Bench { zone: next, touched, wanted_serial, .. } = bench;
    let written = written(zone, &next, &touched);
    Projected { zone: next, wanted_serial, written, outcomes, refused }
}

/// What makes a record itself: owner, type and canonical rdata.
type Whole = (Name, RecordType, Box<[u8]>);

/// An owner and type whose entries an edit has changed.
type Place = (Name, RecordType);

struct Bench<'a, 'b> {
    zone: LocalZone,
    around: &'a mut Surroundings<'b>,
    touched: BTreeSet<Place>,
    /// From an imported SOA.
    wanted_serial: Option<Serial>,
}

/// The index within the edit, and why.
type Refusing = (usize, Refusal);

impl Bench<'_, '_> {
    /// Makes one edit, or leaves everything as it was.
    fn edit(&mut self, edit: &Edit) -> Result<Option<Arc<Entry>>, Refusing> {
        let alone = |why| (0, why);
        match edit {
            Edit::Add(draft) => self.add(draft).map(Some).map_err(alone),
            Edit::Put(id, draft, unsaid) => self.put(*id, draft, *unsaid).map(Some).map_err(alone),
            Edit::Update(id, patch) => self.update(*id, patch).map(Some).map_err(alone),
            Edit::Delete(id) => self.delete(*id).map(Some).map_err(alone),
            Edit::DeletePtrs(address) => self.delete_ptrs(*address).map_err(alone),
            Edit::ReplaceAll(drafts) => self.replace_all(drafts).map(|()| None),
            Edit::Attributes(patch) => {
                self.set_attributes(patch);
                Ok(None)
            }
        }
    }

    fn add(&mut self, draft: &Draft) -> Result<Arc<Entry>, Refusal> {
        let id = match draft.id {
            Some(id) if self.zone.by_id(id).is_some() || (self.around.is_taken)(id) => {
                return Err(Refusal::IdTaken(id));
            }
            Some(id) => id,
            None => (self.around.fresh_id)(),
        };
        let rdata = canonical(draft.rtype, &draft.rdata);
        self.allow(&draft.owner, draft.rtype, &rdata, None)?;
        Ok(self.place(self.entry(id, draft, rdata)))
    }

    fn put(&mut self, id: Uuid, draft: &Draft, unsaid: Unsaid) -> Result<Arc<Entry>, Refusal> {
        let Some(old) = self.zone.by_id(id).cloned() else {
            return self.add(&Draft { id: Some(id), ..draft.clone() });
        };
        let rdata = canonical(draft.rtype, &draft.rdata);
        self.allow(&draft.owner, draft.rtype, &rdata, Some(&old))?;
        let new = Entry {
            owner: draft.owner.clone(),
            rtype: draft.rtype,
            rdata,
            ttl: if unsaid.ttl { old.ttl } else { draft.ttl },
            text: if unsaid.text { &old.text } else { &draft.text }.clone(),
            enabled: draft.enabled,
            link: if unsaid.link { &old.link } else { &draft.link }.clone(),
            spelled: draft.spelled.clone(),
            ..Entry::clone(&old)
        };
        self.change(&old, new)
    }

    fn update(&mut self, id: Uuid, patch: &Patch) -> Result<Arc<Entry>, Refusal> {
        let old = self.zone.by_id(id).filter(|old| patch.rtype.is_none_or(|rtype| rtype == old.rtype));
        let old = old.cloned().ok_or(Refusal::NotFound(id))?;
        let mut new = Entry::clone(&old);
        if let Some(owner) = &patch.owner {
            new.owner = owner.clone();
        }
        if let Some(rdata) = patch.content.as_ref().map(|content| rewritten(&old, content)).transpose()?.flatten() {
            (new.rdata, new.spelled) = (rdata, None);
        }
        new.ttl = patch.ttl.unwrap_or(new.ttl);
        new.enabled = patch.enabled.unwrap_or(new.enabled);
        if let Some(text) = &patch.text {
            new.text = text.clone();
        }
        if let Some(link) = &patch.link {
            new.link = link.clone();
        }
        self.allow(&new.owner, new.rtype, &new.rdata, Some(&old))?;
        self.change(&old, new)
    }

    /// `old` becomes `new`, unless they are equal.
    fn change(&mut self, old: &Arc<Entry>, new: Entry) -> Result<Arc<Entry>, Refusal> {
        if new == **old {
            return Ok(old.clone());
        }
        let is_apex_ns = new.rtype == RecordType::NS && new.owner == *self.zone.apex() && new.enabled;
        if !is_apex_ns {
            self.keep_one_ns(old)?;
        }
        self.touched.insert((old.owner.clone(), old.rtype));
        self.zone.take(old);
        Ok(self.place(Entry { modified: self.around.now, ..new }))
    }

    fn delete(&mut self, id: Uuid) -> Result<Arc<Entry>, Refusal> {
        let old = self.zone.by_id(id).cloned().ok_or(Refusal::NotFound(id))?;
        self.keep_one_ns(&old)?;
        self.touched.insert((old.owner.clone(), old.rtype));
        self.zone.take(&old);
        Ok(old)
    }

    fn delete_ptrs(&mut self, address: IpAddr) -> Result<Option<Arc<Entry>>, Refusal> {
        let owner = crate::reverse::owner_in(self.zone.apex(), address).ok_or(Refusal::NoPtr(address))?;
        let ptrs: Vec<Arc<Entry>> = self.zone.rrset(&owner, RecordType::PTR).cloned().collect();
        let first = ptrs.first().cloned().ok_or(Refusal::NoPtr(address))?;
        self.touched.insert((owner, RecordType::PTR));
        ptrs.iter().for_each(|ptr| self.zone.take(ptr));
        Ok(Some(first))
    }

    /// Refuses if `old` is the last NS of the apex that is answered.
    fn keep_one_ns(&self, old: &Entry) -> Result<(), Refusal> {
        let apex = self.zone.apex();
        if old.rtype != RecordType::NS || old.owner != *apex || !old.enabled {
            return Ok(());
        }
        let others = self.zone.rrset(apex, RecordType::NS).filter(|ns| ns.enabled && ns.id != old.id).count();
        if others == 0 { Err(Refusal::LastNs) } else { Ok(()) }
    }

    /// The import of a zone file. Nothing of it happens if any record is refused.
    fn replace_all(&mut self, drafts: &[Draft]) -> Result<(), Refusing> {
        let apex = self.zone.apex().clone();
        let empty = LocalZone::new(apex, self.zone.attributes().clone(), self.zone.serial(), [])
            .with_changes(self.zone.changes());
        let old = std::mem::replace(&mut self.zone, empty);
        let touched = self.touched.clone();
        if let Err(refusing) = self.fill(&old, drafts) {
            (self.zone, self.touched) = (old, touched);
            return Err(refusing);
        }
        self.touched.extend(old.entries_from(0).map(|entry| (entry.owner.clone(), entry.rtype)));
        Ok(())
    }

    fn fill(&mut self, old: &LocalZone, drafts: &[Draft]) -> Result<(), Refusing> {
        let apex = old.apex().clone();
        let mut entries: BTreeMap<Whole, Arc<Entry>> = BTreeMap::new();
        let has_ns = drafts.iter().any(|draft| draft.rtype == RecordType::NS && draft.owner == apex);
        if !has_ns {
            for ns in old.rrset(&apex, RecordType::NS) {
                entries.insert((ns.owner.clone(), ns.rtype, ns.rdata.clone()), ns.clone());
            }
        }
        // The first entry of each owner.
        let mut owners: BTreeMap<Name, Arc<Entry>> = entries.values().map(|e| (e.owner.clone(), e.clone())).collect();
        for (item, draft) in drafts.iter().enumerate() {
            let rdata = canonical(draft.rtype, &draft.rdata);
            self.allow_content(&draft.owner, draft.rtype, &rdata).map_err(|why| (item, why))?;
            let place = (draft.owner.clone(), draft.rtype, rdata);
            if let Some(first) = entries.get(&place) {
                // A zone file may say a thing twice (RFC 2181 §5); the API may not.
                if first.ttl == draft.ttl || draft.ttl.is_none() {
                    continue;
                }
                return Err((item, Refusal::Duplicate(first.clone())));
            }
            // what is beside itself was allowed, so one of the owner and one of the type speak for all
            let of_type = entries.range((draft.owner.clone(), draft.rtype, Box::default())..).next();
            let of_type = of_type.map(|(_, entry)| entry).filter(|entry| entry.owner == draft.owner);
            for other in owners.get(&draft.owner).into_iter().chain(of_type) {
                allow_beside(draft.rtype, &place.2, other).map_err(|why| (item, why))?;
            }
            self.allow_here(&draft.owner, draft.rtype, None).map_err(|why| (item, why))?;
            let entry = match old.find(&place.0, place.1, &place.2) {
                None => {
                    let id = (self.around.fresh_id)();
                    self.numbered(self.entry(id, draft, place.2.clone()))
                }
                Some(kept) if draft.ttl.is_none_or(|ttl| ttl == old.ttl_of(kept)) && kept.enabled => Entry::clone(kept),
                Some(kept) => Entry { ttl: draft.ttl, enabled: true, modified: self.around.now, ..Entry::clone(kept) },
            };
            let entry = Arc::new(entry);
            owners.entry(draft.owner.clone()).or_insert(entry.clone());
            entries.insert(place, entry);
        }
        self.touched.extend(entries.values().map(|entry| (entry.owner.clone(), entry.rtype)));
        self.zone = LocalZone::new(apex, old.attributes().clone(), old.serial(), entries.into_values())
            .with_changes(old.changes());
        Ok(())
    }

    fn set_attributes(&mut self, patch: &AttributesPatch) {
        let attributes = &mut self.zone.attributes;
        if let Some(mname) = &patch.mname {
            attributes.mname = mname.clone();
        }
        if let Some(rname) = &patch.rname {
            attributes.rname = rname.clone();
        }
        if let Some([refresh, retry, expire, minimum]) = patch.timers {
            (attributes.refresh, attributes.retry) = (refresh, retry);
            (attributes.expire, attributes.minimum) = (expire, minimum);
        }
        attributes.enabled = patch.enabled.unwrap_or(attributes.enabled);
        self.wanted_serial = patch.serial.or(self.wanted_serial);
        attributes.default_ttl = patch.default_ttl.unwrap_or(attributes.default_ttl);
    }

    /// Whether a record may stand where it wants to; `instead` is the one it takes the place of.
    fn allow(
        &self,
        owner: &Name,
        rtype: RecordType,
        rdata: &[u8],
        instead: Option<&Arc<Entry>>,
    ) -> Result<(), Refusal> {
        self.allow_content(owner, rtype, rdata)?;
        let is_other = |entry: &&Arc<Entry>| instead.is_none_or(|old| old.id != entry.id);
        if let Some(same) = self.zone.find(owner, rtype, rdata).filter(is_other) {
            return Err(match rtype {
                RecordType::PTR => Refusal::PtrExists(same.clone()),
                _ => Refusal::Duplicate(same.clone()),
            });
        }
        self.zone.at(owner).filter(is_other).try_for_each(|other| allow_beside(rtype, rdata, other))?;
        self.allow_here(owner, rtype, instead)
    }

    /// Whether a PTR may stand in this zone: not if another of the tenant's has one of the address.
    fn allow_here(&self, owner: &Name, rtype: RecordType, instead: Option<&Arc<Entry>>) -> Result<(), Refusal> {
        if rtype == RecordType::PTR
            && let Some(address) = crate::reverse::address_at(owner, self.zone.apex())
            && let Some(ptr) = (self.around.ptr_elsewhere)(address)
            && instead.is_none_or(|old| old.id != ptr.id)
        {
            return Err(Refusal::PtrExists(ptr));
        }
        Ok(())
    }

    fn allow_content(&self, owner: &Name, rtype: RecordType, rdata: &[u8]) -> Result<(), Refusal> {
        if !owner.is_at_or_below(self.zone.apex()) {
            return Err(Refusal::OutsideZone(owner.clone()));
        }
        rdata::validate(rtype, rdata).map_err(|error| ContentError::Text(error.into()))?;
        Ok(content::check(self.zone.apex(), owner, rtype, rdata)?)
    }

    fn entry(&self, id: Uuid, draft: &Draft, rdata: Box<[u8]>) -> Entry {
        Entry {
            id,
            num: draft.moved.map_or(0, |moved| moved.0),
            owner: draft.owner.clone(),
            rtype: draft.rtype,
            rdata,
            ttl: draft.ttl,
            text: draft.text.clone(),
            enabled: draft.enabled,
            link: draft.link.clone(),
            spelled: draft.spelled.clone(),
            created: draft.moved.map_or(self.around.now, |moved| moved.1),
            modified: self.around.now,
        }
    }

    /// Puts an allowed entry into the zone, with a number of its own.
    fn place(&mut self, entry: Entry) -> Arc<Entry> {
        let entry = Arc::new(self.numbered(entry));
        self.touched.insert((entry.owner.clone(), entry.rtype));
        self.zone.put(entry.clone());
        entry
    }

    /// `entry` with its number, or the next free one.
    fn numbered(&mut self, mut entry: Entry) -> Entry {
        if entry.num == 0 {
            entry.num = *self.around.next_num;
            *self.around.next_num += 1;
        }
        entry
    }
}

/// Whether a record may stand beside `other`, another one at its owner.
fn allow_beside(rtype: RecordType, rdata: &[u8], other: &Arc<Entry>) -> Result<(), Refusal> {
    if is_alone(rtype) || is_alone(other.rtype) {
        return Err(Refusal::CnameConflict(other.clone()));
    }
    if rtype != other.rtype {
        return Ok(());
    }
    match rtype {
        RecordType::DNAME => Err(Refusal::CnameConflict(other.clone())),
        RecordType::PTR => Err(Refusal::PtrExists(other.clone())),
        RecordType::MX if is_null_mx(rdata) || is_null_mx(&other.rdata) => Err(Refusal::NullMxConflict(other.clone())),
        _ => Ok(()),
    }
}

/// Types that stand alone at their owner (RFC 2181 §10.1).
fn is_alone(rtype: RecordType) -> bool {
    rtype == RecordType::CNAME
}

/// RFC 7505 §3: priority 0 and the root.
fn is_null_mx(rdata: &[u8]) -> bool {
    rdata == [0, 0, 0]
}

fn canonical(rtype: RecordType, rdata: &[u8]) -> Box<[u8]> {
    let mut octets = Vec::with_capacity(rdata.len());
    rdata::canonical(rtype, rdata, &mut octets);
    octets.into()
}

/// The rdata that `content` makes of that of `old`; `None` if it says what `old` says.
fn rewritten(old: &Entry, content: &NewContent) -> Result<Option<Box<[u8]>>, ContentError> {
    let prioritized = || match (old.rtype, &*old.rdata) {
        (RecordType::MX | RecordType::SRV | RecordType::URI, [high, low, behind @ ..]) => Ok(([*high, *low], behind)),
        _ => Err(ContentError::Value(format!("records of type {} have no priority", old.rtype))),
    };
    let rdata: Box<[u8]> = match content {
        NewContent::Whole(rdata) | NewContent::Text(rdata) => rdata.clone(),
        NewContent::BehindPriority(rdata) => [&prioritized()?.0, rdata.get(2..).unwrap_or_default()].concat().into(),
        NewContent::Priority(priority) => [&priority.to_be_bytes(), prioritized()?.1].concat().into(),
    };
    rdata::validate(old.rtype, &rdata).map_err(|error| ContentError::Text(error.into()))?;
    let rdata = canonical(old.rtype, &rdata);
    let says_the_same = match content {
        NewContent::Text(_) => content::joined_text(&rdata) == content::joined_text(&old.rdata),
        _ => rdata == old.rdata,
    };
    Ok((!says_the_same).then_some(rdata))
}

/// Entries that differ between the two versions at the touched places.
fn written(old: &LocalZone, new: &LocalZone, touched: &BTreeSet<Place>) -> BTreeMap<u64, Option<Arc<Entry>>> {
    let mut written = BTreeMap::new();
    for (owner, rtype) in touched {
        for before in old.rrset(owner, *rtype).filter(|before| new.by_num(before.num).is_none()) {
            written.insert(before.num, None);
        }
        for after in new.rrset(owner, *rtype) {
            if old.by_num(after.num) != Some(after) {
                written.insert(after.num, Some(after.clone()));
            }
        }
    }
    written
}

/// The sequence from what `old` shows to what `new` shows, with the serial of `new` set to follow; `None`: DNS shows the
/// same of both. `written` names every entry in which they differ. O(entries written and their RRsets; where the
/// default TTL differs, the zone).
pub fn difference(
    old: &LocalZone,
    new: &mut LocalZone,
    written: &BTreeMap<u64, Option<Arc<Entry>>>,
    wanted: Option<Serial>,
    now: Timestamp,
) -> Option<Diff> {
    let place = |entry: &Arc<Entry>| (entry.owner.clone(), entry.rtype);
    let mut touched: BTreeSet<Place> = BTreeSet::new();
    for num in written.keys() {
        touched.extend(old.by_num(*num).into_iter().chain(new.by_num(*num)).map(place));
    }
    if old.attributes.default_ttl != new.attributes.default_ttl {
        touched.extend(new.entries_from(0).filter(|entry| entry.ttl.is_none()).map(place));
    }
    let old_soa = old.soa();
    let mut builder = DiffBuilder::new(old_soa.borrow());
    let empty = builder.octets();
    for (owner, rtype) in &touched {
        let (before, after) = (old.shown(owner, *rtype), new.shown(owner, *rtype));
        let ttls_differ = before.as_ref().map(|b| b.0) != after.as_ref().map(|a| a.0);
        let records = |shown: &Option<(u32, Vec<Arc<Entry>>)>, other: &Option<(u32, Vec<Arc<Entry>>)>| {
            let (ttl, entries) = shown.clone().unwrap_or_default();
            let others: BTreeSet<Box<[u8]>> =
                other.iter().flat_map(|(_, entries)| entries).map(|entry| entry.rdata.clone()).collect();
            let differ = entries.into_iter().filter(move |entry| ttls_differ || !others.contains(&entry.rdata));
            differ.map(move |entry| (ttl, entry)).collect::<Vec<_>>()
        };

        for (ttl, entry) in &records(&before, &after) {
            builder.delete(shown(owner, *ttl, entry)).expect("a SOA is no entry");
        }
        for (ttl, entry) in &records(&after, &before) {
            builder.add(shown(owner, *ttl, entry)).expect("a SOA is no entry");
        }
    }
    let wanted = wanted.filter(|wanted| wanted.is_newer_than(old.serial));
    if builder.octets() == empty && new.soa() == old_soa && wanted.is_none() {
        return None;
    }
    new.serial = wanted.unwrap_or_else(|| next_serial(old.serial, now));
    Some(builder.finish(new.soa().borrow()).expect("both SOAs are of this zone"))
}

fn shown<'a>(owner: &'a Name, ttl: u32, entry: &'a Entry) -> RecordRef<'a> {
    RecordRef { owner: owner.as_wire(), rtype: entry.rtype, ttl, rdata: &entry.rdata }
}
