//! What operators change: commands of the API and a configuration read again. Definitions are durable before they
//! count (store, then memory, then the reply), so an acknowledged edit survives a crash. Edits of one zone are made one
//! after the other: each begins from what the one before has made durable, so none is lost.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::oneshot;
use uuid::Uuid;

use crate::config::{self, Config};
use crate::dns::Name;
use crate::refresh;
use crate::served::ZoneId;
use crate::store::{StoreError, Write};
use crate::time::Timestamp;

use super::aside::Displaced;
use super::definition::{Arrangement, Origin, Primary, ZoneDefinition};
use super::event::{Event, Written};
use super::events::Kind;
use super::handle::{Command, EditError, NewSecondary, SecondaryChange, TransferMode, Trial};
use super::keeper::{Keeper, report};
use super::load::Kept;
use super::preflight::{Ask, Plan};
use super::status::ZoneView;
use super::zones::{self, StoredDefinition, Unstored};
use super::{starting, terms};

type Reply<T> = oneshot::Sender<Result<T, EditError>>;

impl Keeper {
    pub(super) fn command(&mut self, command: Command) {
        if self.must_wait(&command) {
            self.waiting.push_back(command);
            return;
        }
        match command {
            Command::Try(trial, reply) => answer(reply, self.attempt_edit(trial)),
            Command::Create(new, reply) => match self.create(new) {
                Ok(definition) => {
                    self.newcomers.begin(&definition);
                    self.define(definition, move |d| Written::Created(d, reply));
                }
                Err(error) => answer(reply, Err(error)),
            },
            Command::Change(uuid, change, reply) => match self.change(uuid, change) {
                Ok(Some(definition)) => {
                    self.changing.insert(definition.id);
                    self.define(definition, move |d| Written::Changed(d, reply));
                }
                Ok(None) => answer(reply, self.board.by_uuid(uuid).ok_or(EditError::NotFound)),
                Err(error) => answer(reply, Err(error)),
            },
            Command::Remove(uuid, reply) => match self.editable(uuid) {
                Ok(id) => {
                    self.stop_exchanges(id);
                    self.removing.insert(id);
                    let events = self.events.clone();
                    let done = move |outcome: Result<(), StoreError>| {
                        let _ = events
                            .send(Event::Written(Written::Removed(id, reply), outcome.map_err(|e| e.to_string())));
                    };
                    self.store.submit(Write::Remove { zone: id.0 }, Box::new(done));
                }
                Err(error) => answer(reply, Err(error)),
            },
            Command::Local(request, reply) => self.local(request, reply),
            Command::Preflight(ask, reply) => answer(reply, self.plan(ask)),
            Command::Decide(zone, held, decision, user, reply) => self.decide(zone, held, decision, user, reply),
            Command::RollBack(zone, to, user, reply) => self.roll_back(zone, to, user, reply),
            Command::Release(zone, user, reply) => self.release(zone, &user, reply),
            Command::Transfer(uuid, mode, reply) => answer(reply, self.transfer_now(uuid, mode)),
        }
    }

    /// Whether what a command begins from is not known yet: the zone it names is on its way to the disk, or the group of local
    /// requests under way may make one that it must not meet.
    fn must_wait(&self, command: &Command) -> bool {
        match command {
            Command::Create(new, _) | Command::Try(Trial::Create(new), _) => {
                new.uuid.is_some_and(|uuid| self.is_unsettled(uuid)) || self.newcomers.may_get_in_the_way(&new.name)
            }
            Command::Change(uuid, ..) | Command::Remove(uuid, _) => self.is_unsettled(*uuid),
            Command::Try(Trial::Change(uuid, _) | Trial::Remove(uuid), _) => self.is_unsettled(*uuid),
            _ => false,
        }
    }

    /// Whether a zone is on its way to the disk, or its change or removal is.
    fn is_unsettled(&self, uuid: Uuid) -> bool {
        if self.newcomers.has_id(uuid) {
            return true;
        }
        let id = self.board.by_uuid(uuid).map(|view| view.id);
        id.is_some_and(|id| self.changing.contains(&id) || self.removing.contains(&id))
    }

    /// Takes up what had to wait, in the order in which it came; what still has to waits again.
    pub(super) fn take_up_waiting(&mut self) {
        std::mem::take(&mut self.waiting).into_iter().for_each(|command| self.command(command));
    }

    /// What an edit would come to.
    fn attempt_edit(&mut self, trial: Trial) -> Result<Arc<ZoneView>, EditError> {
        let (definition, state) = match trial {
            Trial::Create(new) => {
                let next_id = self.next_id;
                let definition = self.create(new)?;
                // Nothing is stored under the number.
                self.next_id = next_id;
                (definition, refresh::ZoneState::Provisioning)
            }
            Trial::Change(uuid, change) => {
                let view = self.board.by_uuid(uuid).ok_or(EditError::NotFound)?;
                let status = view.status();
                match self.change(uuid, change)? {
                    None => return Ok(view),
                    Some(definition) if definition.primaries != status.definition.primaries => {
                        (definition, refresh::ZoneState::Provisioning)
                    }
                    Some(definition) => (definition, status.state),
                }
            }
            Trial::Remove(uuid) => {
                let id = self.editable(uuid)?;
                return self.board.by_number(id).ok_or(EditError::NotFound);
            }
        };
        Ok(ZoneView::apart(Arc::new(definition), state, None))
    }

    /// Checks a new zone and gives it its number and identity.
    fn create(&mut self, new: NewSecondary) -> Result<ZoneDefinition, EditError> {
        self.check_primaries(&new.primaries)?;
        if self.board.by_name(&new.name).is_some() || self.newcomers.has_name(&new.name) {
            return Err(EditError::NameTaken(new.name));
        }
        let secondary_max = self.config.quota.secondary_zones;
        let there = self.board.secondaries_of_rest(&new.tenant) + self.newcomers.secondaries_of(&new.tenant);
        if there >= secondary_max {
            return Err(EditError::Quota(secondary_max));
        }
        let uuid = new.uuid.unwrap_or_else(Uuid::new_v4);
        if self.board.by_uuid(uuid).is_some() || self.newcomers.has_id(uuid) || self.is_id_aside(uuid) {
            return Err(EditError::IdTaken);
        }
        if !self.config.api.allow_subzones
            && let Some(other) = self.foreign_overlap(&new.name, &new.tenant)
        {
            return Err(EditError::Overlaps { name: new.name, other });
        }
        let now = Timestamp::now();
        Ok(ZoneDefinition {
            id: self.allocate_id(),
            uuid,
            name: new.name,
            description: new.description,
            local: None,
            origin: Origin::Rest,
            created: now,
            modified: now,
            arrangement: Arc::new(Arrangement::of_rest(new.tenant.into(), new.user.into(), new.primaries.into())),
        })
    }

    /// A zone of another tenant at, above or below `name`, there or being made.
    fn foreign_overlap(&self, name: &Name, tenant: &str) -> Option<Name> {
        let on_board = self.board.foreign_overlap(name, tenant);
        on_board.or_else(|| self.newcomers.foreign_overlap(name, tenant))
    }

    /// `None` if the change changes nothing.
    fn change(&mut self, uuid: Uuid, change: SecondaryChange) -> Result<Option<ZoneDefinition>, EditError> {
        let id = self.editable(uuid)?;
        let old = &self.zones[&id].definition;
        let mut definition = ZoneDefinition::clone(old);
        if let Some(description) = change.description {
            definition.description = description;
        }
        if let Some(primaries) = change.primaries {
            self.check_primaries(&primaries)?;
            definition.primaries = primaries.into();
        }
        if definition == **old {
            return Ok(None);
        }
        definition.modified = Timestamp::now();
        definition.modified_by = change.user.into();
        Ok(Some(definition))
    }

    /// The zone, if REST may change it.
    fn editable(&self, uuid: Uuid) -> Result<ZoneId, EditError> {
        // Local zones are changed by requests of their own.
        let view = self.board.by_uuid(uuid).filter(|view| !self.local.holds(view.id));
        let view = view.filter(|view| !self.removing.contains(&view.id)).ok_or(EditError::NotFound)?;
        match &view.status().definition.origin {
            origin @ Origin::Configured { .. } => {
                Err(EditError::Configured { file: origin.place().unwrap_or_default().into() })
            }
            Origin::Catalog(membership) => Err(EditError::Member { catalog: membership.catalog.clone() }),
            Origin::Rest => Ok(view.id),
        }
    }

    fn check_primaries(&self, primaries: &[Primary]) -> Result<(), EditError> {
        for primary in primaries {
            if !self.config.allows_primary(primary.address.ip()) {
                return Err(EditError::PrimaryNotAllowed(primary.address.ip()));
            }
            if let Some(key) = primary.tsig_key.as_ref().filter(|key| !self.config.tsig_keys.contains_key(key)) {
                return Err(EditError::UnknownKey(key.clone()));
            }
        }
        Ok(())
    }

    fn define(
        &mut self,
        definition: ZoneDefinition,
        written: impl FnOnce(Box<ZoneDefinition>) -> Written + Send + 'static,
    ) {
        let (zone, bytes) = (definition.id.0, StoredDefinition::of(&definition).to_bytes());
        let events = self.events.clone();
        let done = move |outcome: Result<(), StoreError>| {
            let outcome = outcome.map_err(|error| error.to_string());
            // Nobody listens any more when the daemon stops.
            let _ = events.send(Event::Written(written(Box::new(definition)), outcome));
        };
        self.store.submit(Write::Define { zone, bytes }, Box::new(done));
    }

    /// A definition is durable (or not): now it counts.
    pub(super) fn written(&mut self, written: Written, outcome: Result<(), String>) {
        let outcome = outcome.map_err(EditError::Storage);
        match written {
            Written::Created(definition, reply) => {
                self.newcomers.end(&definition);
                // A reload that came meanwhile has the name; the configuration wins.
                let is_taken = self.board.by_name(&definition.name).is_some();
                if outcome.is_err() || is_taken {
                    self.has_free_names |= outcome.is_err();
                    // It may stand on the disk although its write failed.
                    let write = Write::Remove { zone: definition.id.0 };
                    self.store.submit(write, report("removal of a zone that could not be made"));
                }
                let name = definition.name.clone();
                let created = if is_taken { Err(EditError::NameTaken(name)) } else { outcome };
                let created = created.map(|()| {
                    let id = definition.id;
                    tracing::info!(zone = %definition.name, tenant = &*definition.tenant, user = &*definition.created_by, op = "create", "zone created");
                    self.tell(&definition, Kind::Definition, serde_json::json!({"change": "created"}));
                    self.add_zones(vec![*definition]);
                    // Somebody waits: the first round asks past the cache of dead primaries.
                    if let Some(zone) = self.zones.get_mut(&id) {
                        zone.refresh.handle_command(Timestamp::now(), refresh::Command::Refresh);
                    }
                    self.follow_up(id);
                    self.zones[&id].view.clone()
                });
                answer(reply, created);
            }
            Written::Changed(definition, reply) => {
                self.changing.remove(&definition.id);
                if outcome.is_err()
                    && let Some(zone) = self.zones.get(&definition.id)
                {
                    self.remember(&zone.definition);
                }
                let changed = outcome.and_then(|()| {
                    let id = definition.id;
                    tracing::info!(zone = %definition.name, tenant = &*definition.tenant, user = &*definition.modified_by, op = "change", "zone changed");
                    self.redefine(*definition);
                    self.follow_up(id);
                    self.zones.get(&id).map(|zone| zone.view.clone()).ok_or(EditError::NotFound)
                });
                answer(reply, changed);
            }
            Written::Removed(id, reply) => {
                self.removing.remove(&id);
                if let (Err(_), Some(zone)) = (&outcome, self.zones.get_mut(&id)) {
                    // It stays, and what ran for it has been given up.
                    let kept: Vec<_> = (0..zone.definition.primaries.len()).map(Some).collect();
                    zone.refresh.set_primaries(Timestamp::now(), &kept, false);
                    // What is stored of it may be gone all the same.
                    let (definition, again_at) = (zone.definition.clone(), Timestamp::now());
                    let detail = "its removal could not be stored".to_owned();
                    zone.unstored = Some(Box::new(Unstored { detail, again_at }));
                    self.remember(&definition);
                    self.follow_up(id);
                }
                let removed = outcome.map(|()| self.forget(HashSet::from([id])));
                answer(reply, removed);
            }
        }
        self.take_up_waiting();
    }

    /// Lets the outcomes of what runs for the zone count for nothing.
    fn stop_exchanges(&mut self, id: ZoneId) {
        if let Some(zone) = self.zones.get_mut(&id) {
            zone.epoch += 1;
            zone.transfer = None;
        }
    }

    /// The number of the zone with this apex, local or secondary.
    fn zone_named(&self, apex: &Name) -> Option<ZoneId> {
        self.board.by_name(apex).map(|zone| zone.id)
    }

    /// Takes zones out of memory: they are no longer answered, their running transfers are cancelled.
    pub(super) fn forget(&mut self, mut ids: HashSet<ZoneId>) {
        let orphans = self.orphans_of(&ids);
        for id in &orphans {
            self.store.submit(Write::Remove { zone: id.0 }, report("removal of a member of a catalog"));
        }
        ids.extend(orphans);
        self.publisher.remove_zones(&ids);
        for id in ids {
            self.policy.remove_zone(id);
            self.followed.remove(&id);
            if let Some(mut zone) = self.zones.remove(&id) {
                self.count_member(&zone.definition, false);
                self.has_free_names = true;
                tracing::info!(zone = %zone.definition.name, op = "remove", "zone removed");
                self.schedule.arm(id, &mut zone.armed, None);
                self.board.remove(&zone.view);
                self.unlist(&zone.definition.name);
                self.history.forget_zone(id);
                self.store.note_caught_up(id.0);
                self.tell(&zone.definition, Kind::Definition, serde_json::json!({"change": "removed"}));
            }
        }
    }

    /// Gives a zone its changed definition. Another list of primaries cancels what runs and asks the new ones.
    pub(super) fn redefine(&mut self, definition: ZoneDefinition) {
        let now = Timestamp::now();
        let Some(zone) = self.zones.get_mut(&definition.id) else { return };
        let old = std::mem::replace(&mut zone.definition, Arc::new(definition));
        let changed = zone.definition.clone();
        self.tell(&changed, Kind::Definition, serde_json::json!({"change": "changed"}));
        self.count_member(&old, false);
        self.count_member(&changed, true);
        self.list(&changed);
        self.policy.set_zone(old.id, Arc::new(self.access_to(&changed)));
        let zone = self.zones.get_mut(&changed.id).expect("it was there a line above");
        self.publisher.set_restricted(&zone.slot, zone.definition.allow_query.is_some());
        if old.primaries == zone.definition.primaries {
            return;
        }
        zone.epoch += 1;
        zone.transfer = None;
        zone.tls.clear();
        let kept = zones::kept_primaries(&old.primaries, &zone.definition.primaries);
        zone.refresh.set_primaries(now, &kept.places, kept.none);
        zone.newest = kept.places.iter().map(|old| zone.newest.get_mut((*old)?)?.take()).collect();
        self.forget_other_primaries(old.id);
    }

    /// Lets go of what is known of primaries that the zone no longer has.
    pub(super) fn forget_other_primaries(&mut self, id: ZoneId) {
        let Some(zone) = self.zones.get(&id) else { return };
        self.history.forget(id, zone.definition.primaries.iter().map(|primary| primary.address));
        let from = zone.definition.primaries.len() as u16;
        self.store.submit(Write::ForgetPrimaries { zone: id.0, from }, report("statuses of primaries"));
        // The new primaries' versions are judged anew.
        self.forget_held(id);
    }

    /// What a check of primaries needs; nothing is changed.
    fn plan(&mut self, ask: Ask) -> Result<Plan, EditError> {
        let (zone, is_catalog, primaries, base) = match ask {
            Ask::Zone(uuid) => {
                let id = self.board.by_uuid(uuid).ok_or(EditError::NotFound)?.id;
                let zone = self.zones.get(&id).ok_or(self.not_asked_for(id))?;
                let definition = &zone.definition;
                let (name, is_catalog) = (definition.name.clone(), definition.catalog.is_some());
                (name, is_catalog, definition.primaries.to_vec(), zone.slot.snapshot())
            }
            Ask::New { zone, primaries } => {
                self.check_primaries(&primaries)?;
                (zone, false, primaries, None)
            }
        };
        let target = |primary: Primary| {
            let target = starting::target(&self.config, &self.policy, &mut self.profiles, &primary);
            (primary, target)
        };
        Ok(Plan {
            zone,
            is_catalog,
            targets: primaries.into_iter().map(target).collect(),
            base,
            upstream: self.upstream.clone(),
            hash_key: self.store.hash_key(),
            limits: terms::limits(&self.config),
            sequences_max: self.config.transfer.max_ixfr_sequences,
        })
    }

    /// Why a zone of this number has no primaries.
    pub(super) fn not_asked_for(&self, id: ZoneId) -> EditError {
        if self.made.contains_key(&id) { EditError::MadeHere } else { EditError::NotFound }
    }

    fn transfer_now(&mut self, uuid: Uuid, mode: TransferMode) -> Result<(), EditError> {
        let id = self.board.by_uuid(uuid).ok_or(EditError::NotFound)?.id;
        let none = self.not_asked_for(id);
        let zone = self.zones.get_mut(&id).ok_or(none)?;
        let command = match mode {
            TransferMode::Refresh => refresh::Command::Refresh,
            TransferMode::Full { force } => refresh::Command::Retransfer { force },
        };
        zone.refresh.handle_command(Timestamp::now(), command);
        self.follow_up(id);
        Ok(())
    }

    /// Takes a configuration that was read again: zones, keys, timers and limits change at once; what needs a restart
    /// is named in the log.
    pub(super) fn reload(&mut self, mut new: Config) {
        let old = self.config_with_zones();
        for key in new.keep_until_restart(&old) {
            tracing::warn!(key, "this key takes effect after a restart");
        }
        let new = Arc::new(new);
        let difference = config::difference(&old, &new);
        let now = Timestamp::now();
        self.config = new.clone();
        self.settings = Arc::new(terms::settings(&new));
        self.surroundings.store(Arc::new(terms::surroundings(&new)));
        self.history.set_keep(new.store.history_attempts);
        for zone in self.zones.values_mut() {
            zone.refresh.set_settings(self.settings.clone());
        }
        self.upstream.set_bounds(terms::bounds(&new));
        self.profiles.reload(&old, &new);
        self.set_queue_limits();
        self.policy.keys.store(Arc::new(super::keyring(&new)));

        self.drop_catalogs();
        // Members that stand in the file now go on as zones of the file, also where their catalog goes; and those that
        // stand in it no longer as members of the catalogs that list them.
        for zone in &difference.zones_added {
            let id = self.zone_named(&zone.name).and_then(|id| self.zones.get(&id));
            if let Some(member) = id.filter(|member| matches!(member.definition.origin, Origin::Catalog(_))) {
                self.configure(member.definition.id, zone, now);
            }
        }
        let removed = difference.zones_removed.iter().filter_map(|name| self.zone_named(name));
        let removed: Vec<ZoneId> = removed.collect();
        let removed: HashSet<ZoneId> =
            removed.into_iter().filter(|id| !self.give_to_catalog(*id, &difference.zones_removed)).collect();
        for id in &removed {
            self.store.submit(Write::Remove { zone: id.0 }, report("removal of a zone"));
        }
        self.forget(removed);
        let mut added: Vec<(ZoneDefinition, Kept)> = Vec::new();
        let displaced: HashSet<ZoneId> = difference
            .zones_added
            .iter()
            .filter_map(|zone| self.zone_named(&zone.name).filter(|id| self.local.holds(*id)))
            .collect();
        if !displaced.is_empty() {
            tracing::warn!(
                zones = displaced.len(),
                "local zones stand in the configuration as secondary zones now; the configuration wins, they are kept on disk"
            );
            self.displace_local(&displaced);
        }
        self.set_all_local_access();
        for zone in difference.zones_added.iter().chain(&difference.zones_changed) {
            match self.zone_named(&zone.name) {
                Some(id) if self.zones[&id].definition.origin == Origin::Rest => {
                    tracing::warn!(zone = %zone.name, "zone was added by REST and stands in the configuration now; the configuration wins, the other is kept on disk");
                    let displaced = &self.zones[&id];
                    // What is served stays served, and is asked for at once.
                    let kept = Kept::of(displaced);
                    let definition = Box::new(ZoneDefinition::clone(&displaced.definition));
                    self.aside.insert(zone.name.clone(), Displaced::Secondary(definition));
                    self.forget(HashSet::from([id]));
                    let definition = zones::configured(zone, self.allocate_id(), now);
                    self.remember(&definition);
                    added.push((definition, kept));
                }
                Some(id) => self.configure(id, zone, now),
                None => {
                    let definition = zones::configured(zone, self.allocate_id(), now);
                    self.remember(&definition);
                    added.push((definition, Kept::default()));
                }
            }
        }
        let mut ids: Vec<ZoneId> = added.iter().map(|(definition, _)| definition.id).collect();
        self.add_with(added);
        ids.extend(difference.zones_removed.iter().filter_map(|name| self.bring_back(name)));
        for id in ids {
            self.follow_up(id);
        }
        self.reload_catalogs(&old.catalogs);
        tracing::info!(
            added = difference.zones_added.len(),
            removed = difference.zones_removed.len(),
            changed = difference.zones_changed.len(),
            settings = difference.settings_changed.join(" "),
            "configuration reloaded"
        );
        self.drop_configured_zones();
    }

    /// A zone is as the configuration says now.
    fn configure(&mut self, id: ZoneId, zone: &config::Zone, now: Timestamp) {
        let before = self.zones[&id].definition.clone();
        let mut definition = zones::configured(zone, id, now);
        (definition.created, definition.uuid) = (before.created, before.uuid);
        self.redefine(definition);
        // Whose statuses are stored must be known at the next start.
        self.remember(&self.zones[&id].definition);
        if before.catalog != self.zones[&id].definition.catalog {
            self.resettle(id);
        }
        self.note_taken(&before.origin, &zone.origin);
        self.follow_up(id);
    }

    /// Takes local zones out of memory whose names the configuration has.
    fn displace_local(&mut self, ids: &HashSet<ZoneId>) {
        for view in ids.iter().filter_map(|id| self.board.by_number(*id)) {
            // One that is damaged comes back at the next start.
            if let (Some(zone), Some(snapshot)) = (view.local(), view.snapshot()) {
                let definition = view.status().definition.clone();
                self.aside.insert(definition.name.clone(), Displaced::Local(definition, zone, snapshot));
            }
        }
        self.forget_local(ids);
    }

    /// Keeps the number of a configured zone.
    pub(super) fn remember(&self, definition: &ZoneDefinition) {
        let bytes = StoredDefinition::of(definition).to_bytes();
        self.store.submit_later(Write::Define { zone: definition.id.0, bytes }, report("number of a zone"));
    }

    pub(super) fn allocate_id(&mut self) -> ZoneId {
        let id = ZoneId(self.next_id);
        self.next_id += 1;
        id
    }
}

fn answer<T>(reply: Reply<T>, outcome: Result<T, EditError>) {
    // A client that has gone away does not undo the edit.
    let _ = reply.send(outcome);
}

#[cfg(test)]
mod tests;
