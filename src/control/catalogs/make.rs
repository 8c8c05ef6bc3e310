//! Catalogs of our own zones (RFC 9432), for those behind us.
//!
//! In: zones that come, go and change, each noted in every catalog that lists it. Out: versions of the catalogs, at most one a
//! second each, made beside the keeper, stored, and only then served and announced: a downstream never hears of a version that
//! a crash could take back. Who may transfer a catalog, and is told of its versions, may transfer its members and is told of
//! theirs.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::access::{Kind as Access, Rule, ZoneAccess};
use crate::catalog::{self, Listing};
use crate::config::{CatalogZone, NotifyTarget};
use crate::control::definition::{Arrangement, Origin, ZoneDefinition, configured_uuid, uuid_of};
use crate::control::event::Event;
use crate::control::keeper::{Keeper, report};
use crate::control::status::{Listed, Remarks, ZoneStatus, ZoneView};
use crate::control::zones;
use crate::dns::{Name, Serial};
use crate::reason::{Code, Reason};
use crate::served::{Slot, State, ZoneId};
use crate::store::{StoreError, Write};
use crate::telemetry;
use crate::time::Timestamp;
use crate::zone::{Diff, Snapshot};

/// Between two versions of a catalog: zones that come together are listed together.
const PAUSE: Duration = Duration::from_secs(1);
/// After a failed write the next try waits this long.
const PAUSE_FAILED: Duration = Duration::from_secs(10);

/// A catalog that is made here.
pub(in crate::control) struct Made {
    settings: CatalogZone,
    definition: Arc<ZoneDefinition>,
    view: Arc<ZoneView>,
    slot: Arc<Slot>,
    /// The newest version, and whether it is stored and served.
    newest: Arc<Snapshot>,
    is_stored: bool,
    /// How zones stand in it; elsewhere while a version is being made.
    listed: BTreeMap<Name, Listing>,
    /// How they are to stand, where that may differ.
    pending: BTreeMap<Name, Option<Listing>>,
    is_busy: bool,
    /// What it lists was changed while a version was being made.
    looks_again: bool,
    /// When the next version may be made.
    due: Timestamp,
    /// Dropping it ends the running NOTIFYs to downstreams.
    announcement: Option<oneshot::Sender<()>>,
}

/// A version that was made, or not.
#[derive(Debug)]
pub struct Making {
    catalog: ZoneId,
    outcome: Result<Next, Reason>,
}

/// The next version, `None` if it would be as the one before, and how zones stand in it.
type Next = (Option<(Snapshot, Diff)>, BTreeMap<Name, Listing>);

impl Made {
    /// Whether it lists zones like this one.
    fn lists(&self, definition: &ZoneDefinition) -> bool {
        definition.catalog.is_none() && self.settings.lists_zones_of(&definition.tenant)
    }

    /// What it says of a zone.
    fn listing(&self, definition: &ZoneDefinition) -> Listing {
        // A zone that starts anew here starts anew for those behind, too (RFC 9432 §5.4).
        let id = match &definition.origin {
            Origin::Catalog(membership) => uuid_of(&definition.uuid, &membership.member.label),
            Origin::Configured { .. } | Origin::Rest => definition.uuid,
        };
        Listing { label: id.simple().to_string().into_bytes().into(), group: self.settings.group.clone() }
    }

    fn has_work(&self) -> bool {
        !self.is_busy && (!self.pending.is_empty() || !self.is_stored)
    }
}

impl Keeper {
    /// Takes the catalogs of the configuration, with what is stored of them; after the zones that they list.
    pub(in crate::control) fn begin_catalogs(&mut self, mut stored: BTreeMap<Name, (ZoneId, Option<Arc<Snapshot>>)>) {
        for settings in self.config.catalogs.clone() {
            let (id, version) = match stored.remove(&settings.name) {
                Some((id, version)) => (id, version),
                None => (self.allocate_id(), None),
            };
            self.begin_catalog(settings, id, version);
        }
    }

    /// Tries once more to make the catalogs whose names belonged to others.
    pub(in crate::control) fn begin_missing_catalogs(&mut self) {
        if self.made.len() == self.config.catalogs.len() {
            return;
        }
        let is_made = |settings: &CatalogZone| self.made.values().any(|made| made.settings.name == settings.name);
        let is_free = |name: &Name| self.board.by_name(name).is_none() && !self.newcomers.has_name(name);
        let missing = self.config.catalogs.iter().filter(|settings| !is_made(settings) && is_free(&settings.name));
        for settings in missing.cloned().collect::<Vec<_>>() {
            let id = self.allocate_id();
            self.begin_catalog(settings, id, None);
        }
    }

    fn begin_catalog(&mut self, settings: CatalogZone, id: ZoneId, stored: Option<Arc<Snapshot>>) {
        self.make_way(&settings.name, &settings.origin);
        if self.board.by_name(&settings.name).is_some() || self.newcomers.has_name(&settings.name) {
            tracing::error!(zone = %settings.name, "the name of this [[catalog-zone]] belongs to a zone that came by REST; the catalog is made when it is free");
            return;
        }
        let now = Timestamp::now();
        let listed = stored.as_deref().and_then(listed_in);
        let stored = stored.filter(|_| listed.is_some());
        let is_stored = stored.is_some();
        let first = || catalog::first_version(&settings.name, self.store.hash_key(), first_serial(now));
        let newest = match stored.map_or_else(|| first().map(Arc::new), Ok) {
            Ok(newest) => newest,
            Err(reason) => {
                tracing::error!(zone = %settings.name, code = %reason.code, "the catalog cannot be made: {}", reason.message());
                return;
            }
        };
        let definition = Arc::new(defined(&settings, id, now));
        self.remember(&definition);
        let slot = self.publisher.add_zones([(id, settings.name.clone())]).remove(0);
        let view = Arc::new(ZoneView::new(slot.clone(), definition.clone()));
        self.board.insert([view.clone()]);
        let mut made = Made {
            settings,
            definition,
            view,
            slot,
            newest,
            is_stored,
            listed: listed.unwrap_or_default(),
            pending: BTreeMap::new(),
            is_busy: false,
            looks_again: false,
            due: now,
            announcement: None,
        };
        self.look_at_all_zones(&mut made);
        self.made.insert(id, made);
        self.set_catalog_access(id);
        if is_stored {
            self.serve_catalog(id);
        }
    }

    /// Notes every zone whose place in the catalog may be another than it was. O(zones).
    fn look_at_all_zones(&self, made: &mut Made) {
        made.looks_again = made.is_busy;
        if made.is_busy {
            return;
        }
        made.pending.clear();
        let mut gone: HashSet<Name> = made.listed.keys().cloned().collect();
        let secondary = self.zones.values().map(|zone| &zone.definition);
        for definition in secondary.chain(self.local.definitions()) {
            if !made.lists(definition) {
                continue;
            }
            gone.remove(&definition.name);
            let listing = made.listing(definition);
            if made.listed.get(&definition.name) != Some(&listing) {
                made.pending.insert(definition.name.clone(), Some(listing));
            }
        }
        made.pending.extend(gone.into_iter().map(|name| (name, None)));
    }

    /// A zone is there, or is another one than it was.
    pub(in crate::control) fn list(&mut self, definition: &ZoneDefinition) {
        for made in self.made.values_mut() {
            let listing = made.lists(definition).then(|| made.listing(definition));
            made.pending.insert(definition.name.clone(), listing);
        }
    }

    /// A zone is there no longer.
    pub(in crate::control) fn unlist(&mut self, name: &Name) {
        if self.board.by_name(name).is_some() {
            return;
        }
        for made in self.made.values_mut() {
            made.pending.insert(name.clone(), None);
        }
    }

    /// Everything that is stored is to be written again.
    pub(in crate::control) fn write_catalogs_again(&mut self) {
        for made in self.made.values_mut() {
            (made.is_stored, made.due) = (false, Timestamp::now());
        }
        self.made.values().for_each(|made| self.remember(&made.definition));
    }

    /// The system's clock was set back: nothing waits for the time it showed.
    pub(in crate::control) fn catalogs_are_due(&mut self, now: Timestamp) {
        self.made.values_mut().for_each(|made| made.due = made.due.min(now + PAUSE));
    }

    /// When a version of a catalog is to be made.
    pub(in crate::control) fn catalogs_due(&self) -> Option<Timestamp> {
        self.made.values().filter(|made| made.has_work()).map(|made| made.due).min()
    }

    /// Makes the versions that are due.
    pub(in crate::control) fn make_catalogs(&mut self, now: Timestamp) {
        for (id, made) in &mut self.made {
            if !made.has_work() || made.due > now {
                continue;
            }
            made.is_busy = true;
            let (catalog, newest, mut listed) = (*id, made.newest.clone(), std::mem::take(&mut made.listed));
            let (pending, events) = (std::mem::take(&mut made.pending), self.events.clone());
            let serial = next_serial(newest.serial(), now);
            tokio::spawn(async move {
                let work = move || {
                    let next = catalog::next_version(&newest, &listed, &pending, serial)?;
                    for (name, listing) in pending {
                        match listing {
                            Some(listing) => listed.insert(name, listing),
                            None => listed.remove(&name),
                        };
                    }
                    Ok((next, listed))
                };
                let outcome = tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| {
                    Err(Reason::new(Code::CatalogBroken, "internal error while a version was made; see the log"))
                });
                // Nobody listens any more when the daemon stops.
                let _ = events.send(Event::CatalogMade(Box::new(Making { catalog, outcome })));
            });
        }
    }

    /// A version has been made: now it is stored.
    pub(in crate::control) fn catalog_made(&mut self, making: Making) {
        let Making { catalog: id, outcome } = making;
        let Some(mut made) = self.made.remove(&id) else { return };
        made.is_busy = false;
        let next = match outcome {
            Ok((next, listed)) => {
                made.listed = listed;
                if made.looks_again {
                    self.look_at_all_zones(&mut made);
                }
                next
            }
            Err(reason) => {
                // What is stored does not fit what is known to be in it: all is written anew.
                let (name, now) = (&made.settings.name, Timestamp::now());
                tracing::error!(zone = %name, code = %reason.code, detail = reason.detail, "the next version of the catalog cannot be made; it starts anew");
                let serial = next_serial(made.newest.serial(), now);
                if let Ok(first) = catalog::first_version(name, self.store.hash_key(), serial) {
                    (made.newest, made.is_stored, made.listed) = (Arc::new(first), false, BTreeMap::new());
                }
                made.due = now + PAUSE_FAILED;
                self.look_at_all_zones(&mut made);
                self.made.insert(id, made);
                return;
            }
        };
        let write = match next {
            Some((snapshot, diff)) => {
                made.newest = Arc::new(snapshot);
                made.is_stored = false;
                Some(Write::Append { zone: id.0, snapshot: made.newest.clone(), diffs: vec![diff] })
            }
            None if made.is_stored => None,
            // The first one, which lists nothing, or one that could not be stored before.
            None => Some(Write::Replace { zone: id.0, snapshot: made.newest.clone(), diff: None }),
        };
        made.is_busy = write.is_some();
        self.made.insert(id, made);
        let Some(write) = write else { return };
        let events = self.events.clone();
        let done = move |outcome: Result<(), StoreError>| {
            let _ = events.send(Event::CatalogStored(id, outcome.map_err(|error| error.to_string())));
        };
        self.store.submit(write, Box::new(done));
    }

    /// It is durable, or not: now it is served.
    pub(in crate::control) fn catalog_stored(&mut self, id: ZoneId, outcome: Result<(), String>) {
        let Some(made) = self.made.get_mut(&id) else { return };
        made.is_busy = false;
        let now = Timestamp::now();
        if let Err(detail) = outcome {
            tracing::error!(zone = %made.settings.name, detail, "a new version of the catalog could not be stored; it is tried again");
            metrics::counter!(telemetry::STORE_FAILURES).increment(1);
            made.due = now + PAUSE_FAILED;
            return;
        }
        (made.is_stored, made.due) = (true, now + PAUSE);
        tracing::info!(zone = %made.settings.name, serial = made.newest.serial().0, members = made.listed.len(), op = "catalog", "new version of the catalog");
        self.serve_catalog(id);
    }

    /// Makes the newest version the served one, and tells the downstreams.
    fn serve_catalog(&mut self, id: ZoneId) {
        let Some(made) = self.made.get(&id) else { return };
        let (slot, snapshot, notify) = (made.slot.clone(), made.newest.clone(), made.settings.notify.clone());
        let listed = Listed { members: made.listed.len(), left_out: 0 };
        let (view, definition, serial) = (made.view.clone(), made.definition.clone(), snapshot.serial());
        self.publish_local(&slot, Some(snapshot.clone()), State::Served);
        self.generation += 1;
        let status = ZoneStatus {
            remarks: Remarks { catalog: Some(listed), ..Remarks::default() }.into(),
            ..view.made_here(definition, serial, self.generation)
        };
        self.board.show(&view, status);
        let announcement = (!notify.is_empty()).then(|| self.announced_to(&notify, &snapshot));
        if let Some(made) = self.made.get_mut(&id) {
            made.announcement = announcement;
        }
    }

    fn set_catalog_access(&self, id: ZoneId) {
        let Some(made) = self.made.get(&id) else { return };
        let access = ZoneAccess {
            kind: Access::Local,
            allow_transfer: made.settings.allow_transfer.clone(),
            allow_query: Some(made.settings.allow_query.clone()),
            ..ZoneAccess::default()
        };
        self.policy.set_zone(id, Arc::new(access));
        self.publisher.set_restricted(&made.slot, true);
    }

    /// Who may notify and transfer a zone: those that its definition names, and those of the catalogs that list it.
    pub(in crate::control) fn access_to(&self, definition: &ZoneDefinition) -> ZoneAccess {
        let mut access = zones::access(definition);
        if definition.local.is_some() {
            access.allow_transfer = self.config.local.allow_transfer.as_slice().into();
        }
        let more: Vec<&Rule> = self.listing(definition).flat_map(|settings| settings.allow_transfer.iter()).collect();
        add_rules(&mut access.allow_transfer, &more);
        // Who follows asks for the SOA before he transfers.
        if let Some(allow_query) = &mut access.allow_query {
            add_rules(allow_query, &more);
        }
        access
    }

    /// Who is told of a new version of a zone, in the same way.
    pub(in crate::control) fn downstreams_of(&self, definition: &ZoneDefinition) -> Vec<NotifyTarget> {
        let own = if definition.local.is_some() { &self.config.local.notify[..] } else { &definition.notify };
        let mut targets = own.to_vec();
        for target in self.listing(definition).flat_map(|settings| settings.notify.iter()) {
            if !targets.contains(target) {
                targets.push(target.clone());
            }
        }
        targets
    }

    /// The catalogs of the configuration that list a zone.
    fn listing<'a>(&'a self, definition: &'a ZoneDefinition) -> impl Iterator<Item = &'a CatalogZone> {
        let lists =
            |settings: &&CatalogZone| definition.catalog.is_none() && settings.lists_zones_of(&definition.tenant);
        self.config.catalogs.iter().filter(lists)
    }

    /// The configuration has other catalogs, or the same with other settings. O(zones) for each that is another.
    pub(in crate::control) fn reload_catalogs(&mut self, old: &[CatalogZone]) {
        let new = self.config.catalogs.clone();
        let now = Timestamp::now();
        for settings in new {
            let id = self.made.iter().find(|(_, made)| made.settings.name == settings.name).map(|(id, _)| *id);
            let Some(id) = id else {
                let id = self.allocate_id();
                self.begin_catalog(settings, id, None);
                continue;
            };
            let Some(mut made) = self.made.remove(&id) else { continue };
            let is_same = made.settings.same_settings(&settings);
            made.settings = settings;
            if !is_same {
                let definition = defined(&made.settings, id, now);
                made.definition = Arc::new(ZoneDefinition { created: made.definition.created, ..definition });
                self.look_at_all_zones(&mut made);
            }
            self.made.insert(id, made);
            if !is_same {
                self.set_catalog_access(id);
                // for what its status says of it
                self.serve_catalog_again(id);
            }
        }
        if old.len() != self.config.catalogs.len()
            || !old.iter().zip(&self.config.catalogs).all(|(old, new)| old.same_settings(new))
        {
            self.set_all_access();
        }
    }

    fn serve_catalog_again(&mut self, id: ZoneId) {
        if self.made.get(&id).is_some_and(|made| made.is_stored && !made.is_busy) {
            self.serve_catalog(id);
        }
    }

    /// Catalogs that the configuration has no more are gone at once: others may want their names.
    pub(in crate::control) fn drop_catalogs(&mut self) {
        let is_gone = |made: &Made| !self.config.catalogs.iter().any(|settings| settings.name == made.settings.name);
        let gone: HashSet<ZoneId> = self.made.iter().filter(|(_, made)| is_gone(made)).map(|(id, _)| *id).collect();
        self.publisher.remove_zones(&gone);
        for id in gone {
            self.policy.remove_zone(id);
            self.store.submit(Write::Remove { zone: id.0 }, report("removal of a catalog"));
            if let Some(made) = self.made.remove(&id) {
                tracing::info!(zone = %made.settings.name, op = "remove", "catalog removed");
                self.board.remove(&made.view);
            }
        }
    }

    /// Says once more of every zone who may ask for it.
    fn set_all_access(&self) {
        // Zones of one arrangement share what they have in common.
        let mut known: HashMap<(*const Arrangement, bool), Arc<ZoneAccess>> = HashMap::new();
        let secondary = self.zones.values().map(|zone| &zone.definition);
        for definition in secondary.chain(self.local.definitions()) {
            let alike = (Arc::as_ptr(&definition.arrangement), definition.local.is_some());
            let access = known.entry(alike).or_insert_with(|| Arc::new(self.access_to(definition)));
            self.policy.set_zone(definition.id, access.clone());
        }
    }
}

/// How zones stand in a version; `None` if it is no catalog.
fn listed_in(version: &Snapshot) -> Option<BTreeMap<Name, Listing>> {
    let members = catalog::read(version).ok()?.into_values();
    let listing = |member: catalog::Member| {
        (member.name, Listing { label: member.label, group: member.groups.into_iter().next() })
    };
    Some(members.map(listing).collect())
}

/// The definition of a catalog of the configuration.
fn defined(settings: &CatalogZone, id: ZoneId, now: Timestamp) -> ZoneDefinition {
    let who: Arc<str> = "configuration".into();
    let arrangement = Arrangement {
        allow_transfer: settings.allow_transfer.clone(),
        allow_query: Some(settings.allow_query.clone()),
        notify: settings.notify.clone(),
        ..Arrangement::of_rest(settings.tenant.clone(), who, Arc::default())
    };
    ZoneDefinition {
        id,
        uuid: configured_uuid(&settings.name),
        name: settings.name.clone(),
        description: "Catalog of the zones that are served here.".to_owned(),
        local: None,
        origin: Origin::Configured { file: settings.origin.file.clone(), line: settings.origin.line },
        created: now,
        modified: now,
        arrangement: Arc::new(arrangement),
    }
}

/// Adds those rules that are not there.
fn add_rules(rules: &mut Arc<[Rule]>, more: &[&Rule]) {
    let more: Vec<&Rule> = more.iter().copied().filter(|rule| !rules.contains(rule)).collect();
    if !more.is_empty() {
        *rules = rules.iter().chain(more).cloned().collect();
    }
}

/// Seconds of the clock: a catalog whose state was lost goes on above what downstreams have.
fn first_serial(now: Timestamp) -> Serial {
    Serial(now.as_secs() as u32)
}

fn next_serial(last: Serial, now: Timestamp) -> Serial {
    let by_clock = first_serial(now);
    if by_clock.is_newer_than(last) { by_clock } else { Serial(last.0.wrapping_add(1)) }
}

#[cfg(test)]
mod tests;
