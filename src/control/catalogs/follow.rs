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
                () if self.creating.contains(&member.name) => taken("a zone that is just being made"),
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
mod tests {
    use super::super::super::fixture::{keeper, keeper_of, zone};
    use super::*;
    use crate::config::{self, Config};
    use crate::control::zones::configured;
    use crate::dns::zonefile;
    use crate::zone::{Builder, Limits};

    fn name(text: &str) -> Name {
        text.parse().expect("a name")
    }

    /// A zone of the configuration that is a catalog; `settings` are the lines of its `[secondary-zone.catalog]`.
    fn catalog_zone(name: &str, settings: &str) -> config::Zone {
        let text = format!(
            "[[secondary-zone]]\nname = \"{name}\"\nprimaries = [\"192.0.2.1\"]\n[secondary-zone.catalog]\n{settings}"
        );
        Config::from_text(std::path::Path::new("test.toml"), &text).expect("a configuration").zones.remove(0)
    }

    /// Puts the catalog into memory, with nothing in it yet.
    fn add_catalog(keeper: &mut Keeper, zone: &config::Zone) -> ZoneId {
        let id = keeper.allocate_id();
        keeper.add_zones(vec![configured(zone, id, Timestamp::now())]);
        id
    }

    /// Members as pairs of label and name, with what stands behind in zone-file lines.
    fn listing(keeper: &Keeper, apex: &str, serial: u32, lines: &str) -> Arc<Snapshot> {
        let apex = name(apex);
        let text =
            format!("@ 0 SOA invalid. invalid. {serial} 3600 600 86400 0\n@ 0 NS invalid.\nversion 0 TXT 2\n{lines}");
        let mut builder = Builder::new(apex.clone(), keeper.store.hash_key(), Limits::default());
        for record in zonefile::parse(text, &apex).expect("records") {
            builder.add(record.borrow()).expect("a record");
        }
        Arc::new(builder.finish(None).expect("a zone").0)
    }

    /// A version of the catalog comes: read as it would be, and carried out to the end.
    fn comes(keeper: &mut Keeper, id: ZoneId, apex: &str, serial: u32, lines: &str) {
        let version = listing(keeper, apex, serial, lines);
        let followed = keeper.zones[&id].followed.as_deref().expect("it is followed");
        let (before, number) = (followed.done.clone(), followed.number);
        let outcome = catalog::changes(before.as_deref(), &version).map_err(broken);
        keeper.catalog_read(Reading { catalog: id, number, version, outcome });
        while keeper.go_on_with_members() {}
        if keeper.has_free_names {
            keeper.take_left_out();
        }
    }

    fn owner(keeper: &Keeper, zone: &str) -> Option<String> {
        keeper.board.by_name(&name(zone)).and_then(|view| view.status().definition.origin.place())
    }

    fn number(keeper: &Keeper, zone: &str) -> ZoneId {
        keeper.board.by_name(&name(zone)).expect("it is there").id
    }

    fn warnings(keeper: &Keeper, id: ZoneId) -> Vec<String> {
        keeper.zones[&id].view.status().remarks.warnings.clone()
    }

    /// RFC 9432 §5: members come, go, and start anew with another label; nothing else is touched.
    #[tokio::test]
    async fn members_become_zones_and_go_with_their_catalog() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut keeper = keeper(directory.path());
        let id = add_catalog(&mut keeper, &catalog_zone("cat", ""));
        comes(&mut keeper, id, "cat", 1, "1.zones 0 PTR a.example.\n2.zones 0 PTR b.example.\n");
        let (a, b) = (number(&keeper, "a.example"), number(&keeper, "b.example"));
        assert_eq!(owner(&keeper, "a.example").as_deref(), Some("catalog cat"));
        assert_eq!(keeper.zones[&a].definition.primaries[0].address.ip().to_string(), "192.0.2.1");
        comes(
            &mut keeper,
            id,
            "cat",
            2,
            "1.zones 0 PTR a.example.\n3.zones 0 PTR b.example.\n4.zones 0 PTR c.example.\n",
        );
        assert_eq!(number(&keeper, "a.example"), a, "it is as it was");
        assert_ne!(number(&keeper, "b.example"), b, "\"its associated state MUST be reset\" (§5.4)");
        let listed = keeper.zones[&id].view.status().remarks.catalog.expect("a catalog");
        assert_eq!((listed.members, listed.left_out), (3, 0));
        comes(&mut keeper, id, "cat", 3, "4.zones 0 PTR c.example.\n");
        assert_eq!((owner(&keeper, "a.example"), owner(&keeper, "b.example")), (None, None));
        assert!(owner(&keeper, "c.example").is_some());
        // the catalog is no longer configured
        keeper.forget(HashSet::from([id]));
        assert!(keeper.zones.is_empty() && keeper.members.values().all(|count| *count == 0));
    }

    /// "a catalog zone that is broken MUST NOT be processed" (RFC 9432 §5.1), and it is told.
    #[tokio::test]
    async fn a_broken_catalog_changes_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut keeper = keeper(directory.path());
        let id = add_catalog(&mut keeper, &catalog_zone("cat", ""));
        comes(&mut keeper, id, "cat", 1, "1.zones 0 PTR a.example.\n");
        comes(&mut keeper, id, "cat", 2, "version 0 TXT 3\n2.zones 0 PTR b.example.\n");
        assert!(owner(&keeper, "a.example").is_some() && owner(&keeper, "b.example").is_none());
        assert!(warnings(&keeper, id)[0].starts_with("CATALOG_BROKEN"), "{:?}", warnings(&keeper, id));
        // listed twice, once where nothing has changed
        comes(&mut keeper, id, "cat", 3, "1.zones 0 PTR a.example.\n2.zones 0 PTR a.example.\n");
        assert!(warnings(&keeper, id)[0].contains("a.example. is listed twice"), "{:?}", warnings(&keeper, id));
        comes(&mut keeper, id, "cat", 4, "2.zones 0 PTR b.example.\n");
        assert!(owner(&keeper, "a.example").is_none() && owner(&keeper, "b.example").is_some());
        assert_eq!(warnings(&keeper, id), [""; 0]);
    }

    /// "In case of a name clash the existing zone is kept as it is" (§5.2): whoever was there first, until he goes.
    #[tokio::test]
    async fn a_name_that_is_taken_is_left_out_and_taken_when_it_is_free() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut keeper = keeper(directory.path());
        let configured_id = keeper.allocate_id();
        keeper.add_zones(vec![configured(&zone(), configured_id, Timestamp::now())]);
        let one = add_catalog(&mut keeper, &catalog_zone("one", "allow = [\"com\", \"net\"]"));
        let two = add_catalog(&mut keeper, &catalog_zone("two", ""));
        comes(&mut keeper, one, "one", 1, "1.zones 0 PTR example.com.\n2.zones 0 PTR a.net.\n3.zones 0 PTR a.org.\n");
        comes(&mut keeper, two, "two", 1, "1.zones 0 PTR a.net.\n2.zones 0 PTR one.\n");
        assert_eq!(owner(&keeper, "example.com").as_deref(), Some("/etc/a.toml:7"));
        assert_eq!(owner(&keeper, "a.net").as_deref(), Some("catalog one"));
        assert!(owner(&keeper, "a.org").is_none(), "allow does not have it");
        let told = warnings(&keeper, one).join("\n");
        assert!(
            told.starts_with("2 members are not taken")
                && told.contains("a.org (not at")
                && told.contains("/etc/a.toml:7"),
            "{told}"
        );
        assert!(
            warnings(&keeper, two)[0].contains("a.net (the name belongs to catalog one)"),
            "{:?}",
            warnings(&keeper, two)
        );
        // the other one is gone
        keeper.forget(HashSet::from([configured_id]));
        comes(&mut keeper, one, "one", 2, "1.zones 0 PTR example.com.\n");
        assert_eq!(owner(&keeper, "example.com").as_deref(), Some("catalog one"));
        assert_eq!(owner(&keeper, "a.net").as_deref(), Some("catalog two"));
    }

    /// RFC 9432 §4.3.1: a zone goes over when the one catalog lets it go and the other has it, in whatever order that comes.
    #[tokio::test]
    async fn a_change_of_ownership_keeps_the_zone() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut keeper = keeper(directory.path());
        let one = add_catalog(&mut keeper, &catalog_zone("one", ""));
        let two = add_catalog(
            &mut keeper,
            &catalog_zone("two", "[secondary-zone.catalog.members]\nprimaries = [\"192.0.2.2\"]"),
        );
        comes(&mut keeper, one, "one", 1, "1.zones 0 PTR a.example.\n2.zones 0 PTR b.example.\n");
        comes(&mut keeper, two, "two", 1, "1.zones 0 PTR a.example.\n9.zones 0 PTR b.example.\n");
        let (a, b) = (number(&keeper, "a.example"), number(&keeper, "b.example"));
        assert_eq!(owner(&keeper, "a.example").as_deref(), Some("catalog one"), "it was not let go");
        comes(
            &mut keeper,
            one,
            "one",
            2,
            "1.zones 0 PTR a.example.\ncoo.1.zones 0 PTR two.\n2.zones 0 PTR b.example.\ncoo.2.zones 0 PTR two.\n",
        );
        assert_eq!(owner(&keeper, "a.example").as_deref(), Some("catalog two"));
        assert_eq!(number(&keeper, "a.example"), a, "the same label: the same zone");
        assert_eq!(keeper.zones[&a].definition.primaries[0].address.ip().to_string(), "192.0.2.2");
        assert_ne!(number(&keeper, "b.example"), b, "another label: it starts anew");
        assert!(warnings(&keeper, one)[0].contains("belongs to catalog two"), "{:?}", warnings(&keeper, one));
        // the old owner lets go of what is no longer his
        comes(&mut keeper, one, "one", 3, "");
        assert_eq!(number(&keeper, "a.example"), a);
        let members =
            |keeper: &Keeper, id| keeper.zones[&id].view.status().remarks.catalog.map(|listed| listed.members);
        assert_eq!((members(&keeper, one), members(&keeper, two)), (Some(0), Some(2)));
    }

    /// "`group` selects a template" (§4.3.2), also when it is given later; a reload gives members their new settings.
    #[tokio::test]
    async fn members_have_the_settings_of_their_group() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut keeper = keeper(directory.path());
        let groups = "[secondary-zone.catalog.group.east]\nprimaries = [\"192.0.2.7\"]\ntenant = \"east\"\n";
        let zone = catalog_zone("cat", groups);
        let id = add_catalog(&mut keeper, &zone);
        comes(
            &mut keeper,
            id,
            "cat",
            1,
            "1.zones 0 PTR a.example.\ngroup.1.zones 0 TXT east\n2.zones 0 PTR b.example.\n",
        );
        let settings = |keeper: &Keeper, zone: &str| {
            let definition = keeper.zones[&number(keeper, zone)].definition.clone();
            (definition.primaries[0].address.ip().to_string(), definition.tenant.to_string())
        };
        assert_eq!(settings(&keeper, "a.example"), ("192.0.2.7".to_owned(), "east".to_owned()));
        assert_eq!(settings(&keeper, "b.example").0, "192.0.2.1");
        let (a, b) = (number(&keeper, "a.example"), number(&keeper, "b.example"));
        comes(
            &mut keeper,
            id,
            "cat",
            2,
            "1.zones 0 PTR a.example.\n2.zones 0 PTR b.example.\ngroup.2.zones 0 TXT east\n",
        );
        assert_eq!(
            (settings(&keeper, "a.example").0, settings(&keeper, "b.example").0),
            ("192.0.2.1".to_owned(), "192.0.2.7".to_owned())
        );
        let config = |zone| Config { state_dir: directory.path().to_owned(), zones: vec![zone], ..Config::default() };
        keeper.reload(config(catalog_zone("cat", &groups.replace("192.0.2.7", "192.0.2.8"))));
        assert_eq!(settings(&keeper, "b.example").0, "192.0.2.8");
        assert_eq!((number(&keeper, "a.example"), number(&keeper, "b.example")), (a, b));
        keeper.reload(config(catalog_zone("cat", "allow = [\"a.example\"]")));
        keeper.take_left_out();
        assert!(owner(&keeper, "a.example").is_some() && owner(&keeper, "b.example").is_none());
        // the configuration takes a member, which goes on, and gives it back
        let own = config::Zone { name: name("a.example"), ..self::zone() };
        let cat = || catalog_zone("cat", "allow = [\"a.example\"]");
        keeper.reload(Config { zones: vec![cat(), own], ..config(cat()) });
        assert_eq!((owner(&keeper, "a.example").as_deref(), number(&keeper, "a.example")), (Some("/etc/a.toml:7"), a));
        keeper.reload(config(cat()));
        assert_eq!((owner(&keeper, "a.example").as_deref(), number(&keeper, "a.example")), (Some("catalog cat"), a));
        // no catalog any more
        keeper.reload(config(config::Zone { catalog: None, ..catalog_zone("cat", "") }));
        assert_eq!(keeper.zones.keys().collect::<Vec<_>>(), [&id]);
    }

    /// Members are there again after a restart without their catalog's primary, and what the catalog has lost is gone (C5: a
    /// catalog may be as old as it wants).
    #[tokio::test(flavor = "multi_thread")]
    async fn members_survive_a_restart() {
        let directory = tempfile::tempdir().expect("a directory");
        let config = |name: &str| Config {
            state_dir: directory.path().to_owned(),
            zones: vec![catalog_zone(name, "")],
            ..Config::default()
        };
        let (a, catalog_id) = {
            let (mut keeper, restored) = keeper_of(config("cat"));
            keeper.load(restored, || {});
            let id = number(&keeper, "cat");
            comes(&mut keeper, id, "cat", 1, "1.zones 0 PTR a.example.\n2.zones 0 PTR b.example.\n");
            // what is stored of the catalog is newer: it was killed in between
            let snapshot = listing(&keeper, "cat", 2, "1.zones 0 PTR a.example.\n");
            keeper.store.submit(Write::Replace { zone: id.0, snapshot, diff: None }, Box::new(|_| {}));
            keeper.store.close();
            (number(&keeper, "a.example"), id)
        };
        let (mut keeper, restored) = keeper_of(config("cat"));
        keeper.load(restored, || {});
        assert_eq!((number(&keeper, "a.example"), number(&keeper, "cat")), (a, catalog_id));
        assert!(owner(&keeper, "b.example").is_some(), "until the catalog has been read");
        comes(&mut keeper, catalog_id, "cat", 2, "1.zones 0 PTR a.example.\n");
        assert!(owner(&keeper, "b.example").is_none());
        keeper.store.close();
        // a configuration without the catalog: its members are not served
        let (mut keeper, restored) = keeper_of(config("other"));
        keeper.load(restored, || {});
        assert!(owner(&keeper, "a.example").is_none());
        keeper.store.close();
    }

    /// Who goes to the file and who comes back from it keeps what he serves; and no name is made twice on the way.
    #[tokio::test]
    async fn a_reload_that_turns_members_into_zones_of_the_file_keeps_them() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut keeper = keeper(directory.path());
        let config =
            |zones: Vec<config::Zone>| Config { state_dir: directory.path().to_owned(), zones, ..Config::default() };
        let own = |text: &str| config::Zone { name: name(text), ..zone() };
        let id = add_catalog(&mut keeper, &catalog_zone("cat", ""));
        let lines = "1.zones 0 PTR a.example.\n2.zones 0 PTR b.example.\n3.zones 0 PTR c.example.\n";
        comes(&mut keeper, id, "cat", 1, lines);
        let (a, b) = (number(&keeper, "a.example"), number(&keeper, "b.example"));
        // two of them stand in the file, and the catalog goes with the third
        keeper.reload(config(vec![own("a.example"), own("b.example")]));
        assert_eq!((number(&keeper, "a.example"), number(&keeper, "b.example")), (a, b));
        assert_eq!(keeper.zones.len(), 2);
        // one of them is given back to a catalog that lists it
        keeper.reload(config(vec![own("a.example"), own("b.example"), catalog_zone("cat", "")]));
        let id = number(&keeper, "cat");
        comes(&mut keeper, id, "cat", 1, lines);
        keeper.reload(config(vec![own("a.example"), catalog_zone("cat", "")]));
        assert_eq!((number(&keeper, "b.example"), owner(&keeper, "b.example").as_deref()), (b, Some("catalog cat")));
        // a reload that adds a zone and lets it come by the catalog, too
        keeper.reload(config(vec![own("a.example"), catalog_zone("cat", "allow = [\"a.example\"]")]));
        keeper.take_left_out();
        assert!(owner(&keeper, "c.example").is_none());
        keeper.reload(config(vec![own("a.example"), catalog_zone("cat", ""), own("c.example")]));
        keeper.take_left_out();
        assert_eq!(owner(&keeper, "c.example").as_deref(), Some("/etc/a.toml:7"));
        let names: Vec<_> = keeper.zones.values().map(|zone| zone.definition.name.clone()).collect();
        assert_eq!(names.len(), names.iter().collect::<HashSet<_>>().len(), "each name once: {names:?}");
    }

    /// A version that was read for a catalog that has been none meanwhile says nothing of the one that is one again.
    #[tokio::test]
    async fn a_reading_of_an_earlier_life_counts_for_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut keeper = keeper(directory.path());
        let id = add_catalog(&mut keeper, &catalog_zone("cat", ""));
        comes(&mut keeper, id, "cat", 1, "1.zones 0 PTR a.example.\n");
        let number = keeper.zones[&id].followed.as_ref().expect("followed").number;
        let config = |zone| Config { state_dir: directory.path().to_owned(), zones: vec![zone], ..Config::default() };
        keeper.reload(config(config::Zone { catalog: None, ..catalog_zone("cat", "") }));
        keeper.reload(config(catalog_zone("cat", "")));
        let version = listing(&keeper, "cat", 2, "1.zones 0 PTR a.example.\n2.zones 0 PTR b.example.\n");
        let joined = catalog::read(&version).expect("a catalog")[&name("b.example")].clone();
        keeper.catalog_read(Reading { catalog: id, number, version, outcome: Ok(vec![Change::Joined(joined)]) });
        assert!(owner(&keeper, "b.example").is_none());
        comes(&mut keeper, id, "cat", 2, "1.zones 0 PTR a.example.\n2.zones 0 PTR b.example.\n");
        assert!(owner(&keeper, "a.example").is_some() && owner(&keeper, "b.example").is_some());
    }

    /// RFC 9432 §7: what may not come is not served, also where that was said while nobody looked.
    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_no_longer_allowed_is_gone_after_a_restart() {
        let directory = tempfile::tempdir().expect("a directory");
        let config = |allow: &str| Config {
            state_dir: directory.path().to_owned(),
            zones: vec![catalog_zone("cat", allow)],
            ..Config::default()
        };
        let lines = "1.zones 0 PTR a.example.\n2.zones 0 PTR b.example.\n";
        let b = {
            let (mut keeper, restored) = keeper_of(config(""));
            keeper.load(restored, || {});
            let id = number(&keeper, "cat");
            comes(&mut keeper, id, "cat", 1, lines);
            keeper.store.close();
            number(&keeper, "b.example")
        };
        let (mut keeper, restored) = keeper_of(config("allow = [\"a.example\"]"));
        keeper.load(restored, || {});
        assert!(owner(&keeper, "a.example").is_some() && owner(&keeper, "b.example").is_none());
        let id = number(&keeper, "cat");
        comes(&mut keeper, id, "cat", 1, lines);
        assert!(warnings(&keeper, id)[0].starts_with("a member is not taken: b.example (not at"));
        keeper.store.close();
        // and what it had been is not there when it may come again
        let (mut keeper, restored) = keeper_of(config(""));
        keeper.load(restored, || {});
        let id = number(&keeper, "cat");
        comes(&mut keeper, id, "cat", 1, lines);
        assert_ne!(number(&keeper, "b.example"), b);
        keeper.store.close();
    }
}
