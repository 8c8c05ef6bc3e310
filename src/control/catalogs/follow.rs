//! Catalogs that are followed (RFC 9432 §5): their members become zones here.
//!
//! In: versions of catalogs that are durable, so that no member is on disk before the catalog that lists it. Out: zones that
//! come, go, and change. A version that is broken changes nothing (§5.1); neither does a catalog that has expired or is held by
//! a guard rail. What the members of a version come to is worked out beside the keeper; each change of a zone is an event's work.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

use crate::catalog::{self, Broken, Change, Member};
use crate::control::definition::{Arrangement, Membership, Origin, Primary, ZoneDefinition, configured_uuid};
use crate::control::event::Event;
use crate::control::events::Kind;
use crate::control::keeper::{Keeper, report};
use crate::control::status::Listed;
use crate::control::zones::Zone;
use crate::dns::Name;
use crate::reason::{Code, Reason};
use crate::served::ZoneId;
use crate::store::Write;
use crate::time::Timestamp;
use crate::zone::Snapshot;

/// Changes of members that are carried out at a time.
const CHANGES_AT_A_TIME: usize = 256;
/// Members that are named in a warning.
const NAMED_MAX: usize = 3;

/// What the keeper knows of a catalog that is followed.
pub(in crate::control) struct Followed {
    /// Of this life of the catalog: the configuration may say meanwhile that it is none, and then that it is one.
    number: u64,
    /// The last version that was not broken.
    done: Option<Arc<Snapshot>>,
    is_reading: bool,
    /// Read when there is time for it.
    waiting: Option<Arc<Snapshot>>,
    /// What is still to be done of the one that was read.
    to_do: VecDeque<Change>,
    /// Members that are zones here.
    members: usize,
    /// Members that are not, and why.
    left_out: BTreeMap<Name, (Member, LeftOut)>,
    /// How many of them the log knows of.
    told: usize,
    /// Why the newest version is not followed.
    broken: Option<Reason>,
}

/// Why a member is not a zone here.
#[derive(Clone, Debug, PartialEq, Eq)]
enum LeftOut {
    /// `allow` does not have it.
    NotAllowed,
    /// Its name belongs to something else (RFC 9432 §5.2).
    Taken(String),
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LeftOut::NotAllowed => f.write_str("not at or below a name of allow"),
            LeftOut::Taken(owner) => write!(f, "the name belongs to {owner}"),
        }
    }
}

/// A version that was read: what has changed since the last one, or why it is broken.
#[derive(Debug)]
pub struct Reading {
    catalog: ZoneId,
    /// See [`Followed`].
    number: u64,
    version: Arc<Snapshot>,
    outcome: Result<Vec<Change>, Reason>,
}

impl Followed {
    pub(in crate::control) fn new(number: u64) -> Followed {
        Followed {
            number,
            done: None,
            is_reading: false,
            waiting: None,
            to_do: VecDeque::new(),
            members: 0,
            left_out: BTreeMap::new(),
            told: 0,
            broken: None,
        }
    }

    pub(in crate::control) fn listed(&self) -> Listed {
        Listed { members: self.members, left_out: self.left_out.len() }
    }

    /// What an operator should know of it.
    pub(in crate::control) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(reason) = &self.broken {
            warnings.push(format!("{reason}; its members stay as they were"));
        }
        if !self.left_out.is_empty() {
            let named = self.left_out.iter().take(NAMED_MAX);
            let named: Vec<_> = named.map(|(name, (_, why))| format!("{} ({why})", name.without_dot())).collect();
            let more = self.left_out.len().saturating_sub(NAMED_MAX);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let members = match self.left_out.len() {
                1 => "a member is".to_owned(),
                more => format!("{more} members are"),
            };
            warnings.push(format!("{members} not taken: {}{more}", named.join(", ")));
        }
        warnings
    }
}

/// The definition of a member: what the configuration says of it beside what the catalog does.
pub(in crate::control) fn member(
    membership: Membership,
    settings: &crate::config::Catalog,
    (id, uuid): (ZoneId, Uuid),
    (created, modified): (Timestamp, Timestamp),
) -> ZoneDefinition {
    let (_, members) = settings.settings(&membership.member.groups);
    let who: Arc<str> = format!("catalog {}", membership.catalog.without_dot()).into();
    ZoneDefinition {
        id,
        uuid,
        name: membership.member.name.clone(),
        description: String::new(),
        local: None,
        created,
        modified,
        arrangement: Arc::new(Arrangement {
            tenant: members.tenant.clone(),
            primaries: members.primaries.iter().map(Primary::from).collect(),
            allow_notify: members.allow_notify.clone(),
            allow_transfer: members.allow_transfer.clone(),
            allow_query: members.allow_query.clone(),
            notify: members.notify.clone(),
            policy: members.policy.clone(),
            catalog: None,
            created_by: who.clone(),
            modified_by: who,
        }),
        origin: Origin::Catalog(Box::new(membership)),
    }
}

impl Keeper {
    /// A version of a zone is durable: if the zone is a catalog, its members are to be zones here.
    pub(in crate::control) fn follow(&mut self, id: ZoneId, version: &Arc<Snapshot>) {
        self.begin_to_follow(id);
        let Some(followed) = self.zones.get_mut(&id).and_then(|zone| zone.followed.as_deref_mut()) else { return };
        followed.waiting = Some(version.clone());
        self.read_catalog(id);
    }

    /// A zone is a catalog that is followed, if the configuration says so.
    pub(in crate::control) fn begin_to_follow(&mut self, id: ZoneId) {
        let Some(zone) = self.zones.get_mut(&id).filter(|zone| zone.definition.catalog.is_some()) else { return };
        if zone.followed.is_none() {
            self.generation += 1;
            zone.followed = Some(Box::new(Followed::new(self.generation)));
            self.followed.insert(id);
        }
    }

    /// Reads the newest version of a catalog, unless one before is still being dealt with.
    fn read_catalog(&mut self, id: ZoneId) {
        let Some(followed) = self.zones.get_mut(&id).and_then(|zone| zone.followed.as_deref_mut()) else { return };
        if followed.is_reading || !followed.to_do.is_empty() {
            return;
        }
        let Some(version) = followed.waiting.take() else { return };
        followed.is_reading = true;
        let (before, events, number) = (followed.done.clone(), self.events.clone(), followed.number);
        tokio::spawn(async move {
            let new = version.clone();
            let work = move || catalog::changes(before.as_deref(), &new).map_err(broken);
            let outcome = tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| {
                Err(Reason::new(Code::CatalogBroken, "internal error while the catalog was read; see the log"))
            });
            // Nobody listens any more when the daemon stops.
            let _ = events.send(Event::CatalogRead(Box::new(Reading { catalog: id, number, version, outcome })));
        });
    }

    /// A version has been read.
    pub(in crate::control) fn catalog_read(&mut self, reading: Reading) {
        let Reading { catalog: id, number, version, outcome } = reading;
        let Some(zone) = self.zones.get(&id) else { return };
        let name = zone.definition.name.clone();
        // A zone that has joined and is a member already stands in the catalog twice.
        let joined = outcome.iter().flatten().filter(|change| matches!(change, Change::Joined(_))).map(Change::zone);
        let members: HashSet<Name> = joined.filter(|zone| self.member_of(&name, zone).is_some()).cloned().collect();
        let Some(zone) = self.zones.get_mut(&id) else { return };
        let Some(followed) = zone.followed.as_deref_mut().filter(|followed| followed.number == number) else { return };
        followed.is_reading = false;
        let is_known = |change: &Change| match change {
            Change::Joined(member) if followed.done.is_some() => {
                followed.left_out.contains_key(&member.name) || members.contains(&member.name)
            }
            _ => false,
        };
        let outcome = outcome.and_then(|changes| match changes.iter().find(|change| is_known(change)) {
            Some(change) => Err(broken(Broken::Twice(change.zone().clone()))),
            None => Ok(changes),
        });
        match outcome {
            Err(reason) => {
                if followed.broken.as_ref() != Some(&reason) {
                    tracing::error!(zone = %name, serial = version.serial().0, op = "catalog", code = %reason.code, "{}", reason.message());
                }
                followed.broken = Some(reason);
            }
            Ok(changes) => {
                followed.broken = None;
                let is_first = followed.done.replace(version.clone()).is_none();
                if !changes.is_empty() || is_first {
                    tracing::info!(zone = %name, serial = version.serial().0, op = "catalog", changes = changes.len(), "members of the catalog change");
                }
                let joined: HashSet<Name> = if is_first {
                    changes.iter().map(|change| change.zone().clone()).collect()
                } else {
                    HashSet::new()
                };
                followed.to_do = changes.into();
                if is_first {
                    // What it listed before the start, and no longer.
                    let gone = self.members_of(&name);
                    let gone = gone.into_iter().filter(|(member, _)| !joined.contains(member)).map(|(_, id)| id);
                    self.remove_members(gone.collect());
                }
            }
        }
        self.change_members(id);
    }

    /// Goes on with what catalogs have changed; others have had their turn since. Whether there is more.
    pub(in crate::control) fn go_on_with_members(&mut self) -> bool {
        for id in std::mem::take(&mut self.going_on) {
            self.change_members(id);
        }
        !self.going_on.is_empty()
    }

    /// Carries out some of what a catalog's new version has changed.
    fn change_members(&mut self, id: ZoneId) {
        let Some(zone) = self.zones.get_mut(&id) else { return };
        let (catalog, settings) = (zone.definition.name.clone(), zone.definition.catalog.clone());
        let (Some(followed), Some(settings)) = (zone.followed.as_deref_mut(), settings) else { return };
        let some = followed.to_do.len().min(CHANGES_AT_A_TIME);
        let changes: Vec<Change> = followed.to_do.drain(..some).collect();
        let is_done = followed.to_do.is_empty();
        let (mut gone, mut wanted) = (HashSet::new(), Vec::new());
        for change in changes {
            match change {
                Change::Left(name) => {
                    self.forget_left_out(id, &name);
                    gone.extend(self.member_of(&catalog, &name));
                }
                Change::Reset(member) => {
                    gone.extend(self.member_of(&catalog, &member.name));
                    wanted.push(member);
                }
                Change::Joined(member) | Change::Altered(member) => wanted.push(member),
            }
        }
        self.remove_members(gone);
        self.take_members(id, &catalog, &settings, wanted);
        if is_done {
            self.tell_left_out(id);
            self.read_catalog(id);
            self.take_left_out();
        } else {
            self.going_on.insert(id);
        }
        self.show_members(&catalog, id);
    }

    /// Makes members zones here, or says why not.
    fn take_members(&mut self, id: ZoneId, catalog: &Name, settings: &crate::config::Catalog, members: Vec<Member>) {
        let now = Timestamp::now();
        let (mut gone, mut new) = (HashSet::new(), Vec::new());
        for member in members {
            let name = member.name.clone();
            let membership = Membership { catalog: catalog.clone(), member };
            match self.place_for(&membership, settings) {
                Err(why) => {
                    if why == LeftOut::NotAllowed {
                        gone.extend(self.member_of(catalog, &name));
                    }
                    self.leave_out(id, membership.member, why);
                }
                Ok(Place::Kept(zone)) => {
                    self.forget_left_out(id, &name);
                    self.note_handed_over(zone, catalog);
                    self.keep_member(zone, membership, settings, now);
                }
                Ok(place) => {
                    self.forget_left_out(id, &name);
                    if let Place::Anew(zone) = place {
                        self.note_handed_over(zone, catalog);
                        gone.insert(zone);
                    }
                    let identity = (self.allocate_id(), configured_uuid(&name));
                    new.push(self::member(membership, settings, identity, (now, now)));
                }
            }
        }
        self.remove_members(gone);
        let ids: Vec<ZoneId> = new.iter().map(|definition| definition.id).collect();
        for definition in &new {
            tracing::debug!(zone = %definition.name, catalog = %catalog, op = "create", "zone created by its catalog");
            self.remember(definition);
        }
        self.add_zones(new);
        for id in ids {
            let definition = self.zones[&id].definition.clone();
            self.tell(&definition, Kind::Definition, serde_json::json!({"change": "created"}));
            self.follow_up(id);
        }
    }

    /// Where a member belongs.
    fn place_for(&self, membership: &Membership, settings: &crate::config::Catalog) -> Result<Place, LeftOut> {
        let Membership { catalog, member } = membership;
        if !settings.allows(&member.name) {
            return Err(LeftOut::NotAllowed);
        }
        let taken = |by: &str| Err(LeftOut::Taken(by.to_owned()));
        let Some(view) = self.board.by_name(&member.name) else {
            let uuid = configured_uuid(&member.name);
            return match () {
                () if self.newcomers.has_name(&member.name) => taken("a zone that is just being made"),
                () if self.board.by_uuid(uuid).is_some() || self.is_id_aside(uuid) => taken("another zone's id"),
                () => Ok(Place::New),
            };
        };
        match &view.status().definition.origin {
            // "its associated state MUST be reset" where the label differs (RFC 9432 §5.4).
            Origin::Catalog(before)
                if before.catalog == *catalog || before.member.successor.as_ref() == Some(catalog) =>
            {
                match before.member.label == member.label {
                    true => Ok(Place::Kept(view.id)),
                    false => Ok(Place::Anew(view.id)),
                }
            }
            origin => taken(&origin.place().unwrap_or_else(|| "a zone that came by REST".to_owned())),
        }
    }

    /// A zone stays, or comes over from another catalog, as this one has it.
    fn keep_member(&mut self, id: ZoneId, membership: Membership, settings: &crate::config::Catalog, now: Timestamp) {
        let Some(zone) = self.zones.get(&id) else { return };
        let before = zone.definition.clone();
        let mut definition = member(membership, settings, (id, before.uuid), (before.created, before.modified));
        if definition == *before {
            return;
        }
        definition.modified = now;
        self.remember(&definition);
        self.redefine(definition);
        self.follow_up(id);
    }

    fn leave_out(&mut self, id: ZoneId, member: Member, why: LeftOut) {
        let Some(followed) = self.zones.get_mut(&id).and_then(|zone| zone.followed.as_deref_mut()) else { return };
        tracing::debug!(zone = %member.name, op = "catalog", "a member of a catalog is not taken: {why}");
        followed.left_out.insert(member.name.clone(), (member, why));
    }

    /// A line of the log when more members are left out than before; which they are is in the status.
    fn tell_left_out(&mut self, id: ZoneId) {
        let Some(zone) = self.zones.get_mut(&id) else { return };
        let Some(followed) = zone.followed.as_deref_mut() else { return };
        let told = std::mem::replace(&mut followed.told, followed.left_out.len());
        if followed.left_out.len() > told
            && let Some(warning) = followed.warnings().pop()
        {
            tracing::warn!(zone = %zone.definition.name, op = "catalog", "{warning}");
        }
    }

    fn forget_left_out(&mut self, id: ZoneId, name: &Name) {
        if let Some(followed) = self.zones.get_mut(&id).and_then(|zone| zone.followed.as_deref_mut()) {
            followed.left_out.remove(name);
        }
    }

    /// Tries once more to take what was left out: names may be free, or owned by another, since.
    pub(in crate::control) fn take_left_out(&mut self) {
        self.has_free_names = false;
        self.begin_missing_catalogs();
        for id in self.followed.iter().copied().collect::<Vec<_>>() {
            let Some(zone) = self.zones.get(&id) else { continue };
            let (Some(followed), Some(settings)) = (zone.followed.as_deref(), zone.definition.catalog.clone()) else {
                continue;
            };
            let catalog = zone.definition.name.clone();
            let (mut members, mut others) = (Vec::new(), Vec::new());
            for (member, why) in followed.left_out.values() {
                let membership = Membership { catalog: catalog.clone(), member: member.clone() };
                match self.place_for(&membership, &settings) {
                    Ok(_) => members.push(membership.member),
                    Err(now) if now != *why => others.push((membership.member, now)),
                    Err(_) => {}
                }
            }
            if members.is_empty() && others.is_empty() {
                continue;
            }
            others.into_iter().for_each(|(member, why)| self.leave_out(id, member, why));
            self.take_members(id, &catalog, &settings, members);
            self.show_members(&catalog, id);
        }
    }

    /// The zone of this name, if it is a member of the catalog.
    fn member_of(&self, catalog: &Name, name: &Name) -> Option<ZoneId> {
        let view = self.board.by_name(name)?;
        matches!(&view.status().definition.origin, Origin::Catalog(membership) if membership.catalog == *catalog)
            .then_some(view.id)
    }

    /// The zones that are members of the catalog. O(zones).
    fn members_of(&self, catalog: &Name) -> Vec<(Name, ZoneId)> {
        let of_catalog = |zone: &Zone| matches!(&zone.definition.origin, Origin::Catalog(membership) if membership.catalog == *catalog);
        self.zones
            .values()
            .filter(|zone| of_catalog(zone))
            .map(|zone| (zone.definition.name.clone(), zone.definition.id))
            .collect()
    }

    /// Removes zones that are members no longer, and what is stored of them.
    fn remove_members(&mut self, ids: HashSet<ZoneId>) {
        if ids.is_empty() {
            return;
        }
        for id in &ids {
            self.store.submit(Write::Remove { zone: id.0 }, report("removal of a member of a catalog"));
        }
        self.forget(ids);
    }

    /// A zone is defined so, or no longer: catalogs count their members.
    pub(in crate::control) fn count_member(&mut self, definition: &ZoneDefinition, is_there: bool) {
        let Origin::Catalog(membership) = &definition.origin else { return };
        let count = self.members.entry(membership.catalog.clone()).or_default();
        *count = if is_there { *count + 1 } else { count.saturating_sub(1) };
    }

    /// Shows how many members a catalog has, and which it has not.
    fn show_members(&mut self, catalog: &Name, id: ZoneId) {
        let members = self.members.get(catalog).copied().unwrap_or(0);
        if let Some(followed) = self.zones.get_mut(&id).and_then(|zone| zone.followed.as_deref_mut()) {
            followed.members = members;
        }
        self.show(id);
    }

    /// The configuration says something else of a catalog: of its members, or that the zone is one, or none any more.
    pub(in crate::control) fn resettle(&mut self, id: ZoneId) {
        let Some(zone) = self.zones.get_mut(&id) else { return };
        let catalog = zone.definition.name.clone();
        let Some(settings) = zone.definition.catalog.clone() else {
            if zone.followed.take().is_some() {
                self.followed.remove(&id);
                let members = self.members_of(&catalog).into_iter().map(|(_, id)| id).collect();
                self.remove_members(members);
            }
            return;
        };
        if zone.followed.is_none() {
            let version = zone.slot.snapshot().filter(|_| zone.stored == zone.served);
            self.begin_to_follow(id);
            if let Some(version) = version {
                self.follow(id, &version);
            }
            return;
        }
        let (now, mut gone) = (Timestamp::now(), HashSet::new());
        for (name, member_id) in self.members_of(&catalog) {
            let Origin::Catalog(membership) = self.zones[&member_id].definition.origin.clone() else { continue };
            if settings.allows(&name) {
                self.keep_member(member_id, *membership, &settings, now);
            } else {
                gone.insert(member_id);
                self.leave_out(id, membership.member, LeftOut::NotAllowed);
            }
        }
        self.remove_members(gone);
        // When the whole reload is done: names that are left out may belong to zones that it adds.
        self.has_free_names = true;
        self.show_members(&catalog, id);
    }

    /// A zone goes over to another catalog. While the one before lists it, too, it may have it again one day.
    fn note_handed_over(&mut self, id: ZoneId, to: &Name) {
        let Some(Origin::Catalog(membership)) = self.zones.get(&id).map(|zone| zone.definition.origin.clone()) else {
            return;
        };
        let from = self.board.by_name(&membership.catalog).map(|view| view.id);
        if let Some(from) = from.filter(|_| membership.catalog != *to) {
            let owner = format!("catalog {}", to.without_dot());
            self.leave_out(from, membership.member, LeftOut::Taken(owner));
            self.show_members(&membership.catalog, from);
        }
    }

    /// The configuration has taken a zone that was a member of a catalog, which may have it again one day.
    pub(in crate::control) fn note_taken(&mut self, before: &Origin, by: &crate::config::Origin) {
        let Origin::Catalog(membership) = before else { return };
        let Some(catalog) = self.board.by_name(&membership.catalog).map(|view| view.id) else { return };
        self.leave_out(catalog, membership.member.clone(), LeftOut::Taken(by.to_string()));
        self.show_members(&membership.catalog, catalog);
    }

    /// A configuration of which `gone` are removed has a zone no more: where a catalog lists it, it goes on as its member.
    pub(in crate::control) fn give_to_catalog(&mut self, id: ZoneId, gone: &[&Name]) -> bool {
        let Some(name) = self.zones.get(&id).map(|zone| zone.definition.name.clone()) else { return false };
        if self.aside.contains_key(&name) || self.followed.contains(&id) {
            return false;
        }
        let listing = self.followed.iter().filter_map(|catalog| self.zones.get(catalog)).find_map(|zone| {
            let definition = &zone.definition;
            let settings = definition.catalog.clone().filter(|settings| settings.allows(&name))?;
            let (member, _) = zone.followed.as_ref()?.left_out.get(&name)?;
            let membership = Membership { catalog: definition.name.clone(), member: member.clone() };
            (!gone.contains(&&definition.name)).then_some((definition.id, settings, membership))
        });
        let Some((catalog, settings, membership)) = listing else { return false };
        let catalog_name = membership.catalog.clone();
        self.forget_left_out(catalog, &name);
        self.keep_member(id, membership, &settings, Timestamp::now());
        self.show_members(&catalog_name, catalog);
        true
    }

    /// A member whose name a catalog of ours takes.
    pub(in crate::control) fn make_way(&mut self, name: &Name, by: &crate::config::Origin) {
        let Some(view) = self.board.by_name(name) else { return };
        let origin = view.status().definition.origin.clone();
        if matches!(origin, Origin::Catalog(_)) {
            self.remove_members(HashSet::from([view.id]));
            self.note_taken(&origin, by);
        }
    }

    /// The members of catalogs that are forgotten.
    pub(in crate::control) fn orphans_of(&self, catalogs: &HashSet<ZoneId>) -> HashSet<ZoneId> {
        let names = catalogs.iter().filter(|id| self.followed.contains(id)).filter_map(|id| self.zones.get(id));
        let names: Vec<Name> = names.map(|zone| zone.definition.name.clone()).collect();
        names.iter().flat_map(|name| self.members_of(name)).map(|(_, id)| id).collect()
    }
}

fn broken(why: Broken) -> Reason {
    Reason::new(Code::CatalogBroken, why.to_string())
}

/// Where a member belongs.
enum Place {
    /// It is no zone yet.
    New,
    /// This zone is it, with other settings perhaps.
    Kept(ZoneId),
    /// It takes the place of this zone, of which nothing is kept.
    Anew(ZoneId),
}

#[cfg(test)]
mod tests;
