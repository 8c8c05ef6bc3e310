//! How zones come to be: at start from the store and the configuration, later one by one.

use std::cell::LazyCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use crate::access::ZoneAccess;
use crate::dns::Name;
use crate::refresh::{self, Confirmation, Fingerprint, PrimaryState, Refresh};
use crate::served::{Slot, State, ZoneId};
use crate::store::{self, Restored, Store, StoredZone, Write};
use crate::time::Timestamp;
use crate::zone::{HashKey, Snapshot};

use super::aside::Displaced;
use super::catalogs::follow;
use super::commit::soa_timers;
use super::definition::{Arrangement, FIRST_ZONE_ID, Origin, Primary, ZoneDefinition};
use super::held::Review;
use super::keeper::{IN_MEMORY, Keeper, report};
use super::local::{self, LocalIndex};
use super::look;
use super::status::{Remarks, ZoneStatus, ZoneView};
use super::zones::{self, Before, StoredDefinition, Zone};

/// What was stored of a secondary zone, ready to go on from; the default for a zone that is new.
#[derive(Default)]
pub(super) struct Kept {
    machine: refresh::Restored,
    /// Until it is served.
    snapshot: Option<Arc<Snapshot>>,
    /// What the machine is told of it.
    look: Option<Fingerprint>,
    damaged: Option<String>,
    review: Review,
    /// Whose statuses these are, if the zone has other primaries now.
    earlier: Option<Arc<[Primary]>>,
}

impl Kept {
    /// What another zone of the same name goes on from.
    pub(super) fn of(zone: &Zone) -> Kept {
        let snapshot = zone.slot.snapshot();
        let machine = refresh::Restored {
            soa: snapshot.as_deref().map(soa_timers),
            confirmation: zone.refresh.confirmation(),
            primaries: zone.refresh.primaries().map(|primary| Some(primary.clone())).collect(),
            ask_within: None,
        };
        let look = snapshot.as_deref().map(look::of_version);
        // The other zone may have others: what a new list of primaries means is decided as ever.
        let earlier = Some(zone.definition.primaries.clone());
        Kept { machine, look, snapshot, earlier, ..Kept::default() }
    }
}

/// What has been made of a stored zone.
enum Prepared {
    Secondary(Kept),
    /// There are few of them.
    Local(Box<local::Found>),
}

/// As much of the work as needs no keeper: several threads do it at once. `all_within`: how soon those that may be behind are to
/// be asked for.
fn prepare(stored: StoredZone, lost: &store::Lost, all_within: Duration, key: HashKey) -> Prepared {
    // Nothing else has entries, and of what is damaged we do not know.
    if !stored.entries.is_empty() || !stored.damaged.is_empty() {
        let definition = stored.definition.as_deref().map(StoredDefinition::from_bytes);
        if let Some(Ok(StoredDefinition::Rest(definition))) = definition
            && definition.local.is_some()
        {
            return Prepared::Local(Box::new(local::read(*definition, stored, key)));
        }
    }
    let (snapshot, damaged) = match stored.contents {
        store::Contents::Empty => (None, None),
        store::Contents::Loaded { snapshot } => (Some(snapshot), None),
        store::Contents::Damaged(why) => (None, Some(why)),
    };
    let ask_within = match lost {
        store::Lost::Zones(zones) if zones.contains(&stored.zone) => Some(all_within),
        store::Lost::Anything => Some(all_within),
        _ => None,
    };
    let machine = refresh::Restored {
        soa: snapshot.as_deref().map(soa_timers),
        confirmation: stored.confirmation.as_deref().and_then(confirmation_from),
        primaries: Vec::new(),
        ask_within,
    };
    let look = snapshot.as_deref().map(look::of_version);
    let review = stored.review.as_deref().map(Review::from_bytes).unwrap_or_default();
    Prepared::Secondary(Kept { machine, snapshot, look, damaged, review, earlier: None })
}

/// After the machine has failed every zone may be a moment behind, after a kill some may: they are asked for, so much apart on
/// average.
const ASK_PAUSE: Duration = Duration::from_millis(5);

/// Name under which the store keeps the next free zone number.
pub(super) const NEXT_ID: &str = "next-zone";

impl Keeper {
    /// Takes every zone of the store and the configuration. Reads the whole store: not for the runtime's threads. The view is
    /// whole when this returns, and the zones in it are served. `give_way` is called when they are and other work is left.
    pub(super) fn load(&mut self, mut restored: Restored, give_way: fn()) {
        let now = Timestamp::now();
        let config = self.config.clone();
        let mut wanted: HashMap<&Name, &crate::config::Zone> = zones::by_name(&config);
        if let Ok(Some(bytes)) = self.store.meta(NEXT_ID)
            && let Ok(next) = <[u8; 4]>::try_from(bytes.as_slice())
        {
            self.next_id = u32::from_be_bytes(next).max(FIRST_ZONE_ID);
        }
        let stored = restored.take_definitions();
        let (lost, key) = (restored.lost().clone(), self.store.hash_key());
        let lost_zones = match &lost {
            store::Lost::Nothing => 0,
            store::Lost::Zones(zones) => zones.len(),
            store::Lost::Anything => stored.len(),
        };
        let all_within = ASK_PAUSE.saturating_mul(u32::try_from(lost_zones).unwrap_or(u32::MAX));
        // Contents are read while names are sorted out.
        let mut contents = restored.each(move |zone| (zone.zone, prepare(zone, &lost, all_within, key)));
        let mut definitions = Vec::with_capacity(stored.len());
        // Whose statuses are stored, where these are not the zone's primaries or it is not known.
        let mut earlier: HashMap<ZoneId, Option<Arc<[Primary]>>> = HashMap::new();
        let mut others = HashSet::new();
        // Catalogs of our zones by their numbers, and what is stored and of no use any more.
        let (mut catalogs, mut superseded) = (BTreeMap::new(), Vec::new());
        let mut by_catalog = ByCatalog::of(&config);
        // Most stores hold nothing that came by REST.
        let names: LazyCell<HashSet<&Name>, _> = LazyCell::new(|| config.zones.iter().map(|zone| &zone.name).collect());
        let mut before = Before::default();
        // Of two with one name the newer one counts: it was made when nobody wanted the other.
        for (zone, octets) in stored.iter().rev() {
            self.next_id = self.next_id.max(zone + 1);
            let found = octets.as_deref().and_then(|octets| {
                let is_configured = |name: &Name| names.contains(name);
                known(ZoneId(*zone), octets, &mut wanted, &is_configured, &mut by_catalog, (&mut before, now))
            });
            let (definition, of) = match found {
                Some(Known::Catalog(name)) => {
                    catalogs.insert(*zone, name);
                    continue;
                }
                Some(Known::Superseded) => {
                    superseded.push(*zone);
                    continue;
                }
                Some(Known::Wanted(definition, of)) => (definition, of),
                Some(Known::Displaced(definition)) => {
                    // A local zone comes with its entries.
                    if definition.local.is_none() {
                        self.aside.insert(definition.name.clone(), Displaced::Secondary(definition));
                    }
                    continue;
                }
                None => continue,
            };
            let is_configured = matches!(definition.origin, Origin::Configured { .. });
            if !is_configured && !others.insert(definition.name.clone()) {
                if definition.origin == Origin::Rest {
                    tracing::error!(zone = %definition.name, "two zones of this name are stored; the newer one is served, the other is kept on disk");
                } else {
                    superseded.push(*zone);
                }
                continue;
            }
            if of.as_deref() != Some(&*definition.primaries) {
                earlier.insert(definition.id, of);
            }
            definitions.push(definition);
        }
        definitions.reverse();
        let orphans = stored.len() - definitions.len() - catalogs.len() - superseded.len();
        if orphans > 0 {
            tracing::warn!(
                zones = orphans,
                "the store holds zones that are not configured (or twice); they are kept on disk and not served"
            );
        }
        // In the order of the file, so that numbers are the same on every machine that starts with it.
        let is_new = |zone: &&crate::config::Zone| wanted.contains_key(&zone.name);
        let first_new = definitions.len();
        let new = config.zones.iter().filter(is_new).map(|z| before.configured(z, self.allocate_id(), now));
        definitions.extend(new);
        // All names before any contents: what is in a zone may belong to one below.
        let mut expected = self.introduce(definitions);
        let new = expected.split_off(first_new);

        let mut versions: HashMap<Name, Option<Arc<Snapshot>>> = HashMap::new();
        let (mut taken, mut local_zones) = (Vec::with_capacity(expected.len()), Vec::new());
        let mut with_contents = HashSet::with_capacity(expected.len());
        // In the order of their numbers, as they were stored.
        let mut expected: Vec<_> = expected.into_iter().map(|zone| (zone.0.id.0, Some(zone))).collect();
        for (zone, prepared) in contents.by_ref() {
            // Also of a zone that nobody wants now: it may be wanted again.
            if matches!(&prepared, Prepared::Secondary(kept) if kept.machine.soa.is_some()) {
                with_contents.insert(zone);
            }
            let place = expected.binary_search_by_key(&zone, |(zone, _)| *zone);
            let Some((definition, slot)) = place.ok().and_then(|place| expected[place].1.take()) else {
                if let (Some(name), Prepared::Secondary(kept)) = (catalogs.get(&zone), &prepared) {
                    versions.insert(name.clone(), kept.snapshot.clone());
                }
                if let Prepared::Local(found) = prepared
                    && let local::Found { definition, zone: Ok((zone, snapshot)), .. } = *found
                    && names.contains(&definition.name)
                {
                    let name = definition.name.clone();
                    self.aside.insert(name, Displaced::Local(Arc::new(definition), Arc::new(zone), snapshot));
                }
                continue;
            };
            match prepared {
                Prepared::Local(found) => local_zones.push(*found),
                Prepared::Secondary(_) if definition.local.is_some() => {
                    let zone = Err("its entries are gone".to_owned());
                    local_zones.push(local::Found { definition, zone, is_rebuilt: false });
                }
                Prepared::Secondary(mut kept) => {
                    self.serve(&slot, &mut kept);
                    taken.push((definition, slot, kept));
                }
            }
        }
        // A thread that fails takes with it what it was at; that is a bug, and no reason to forget a zone.
        for (definition, slot) in expected.into_iter().filter_map(|(_, left)| left) {
            let why = "it was not read to its end; see the log".to_owned();
            match definition.local {
                Some(_) => local_zones.push(local::Found { definition, zone: Err(why), is_rebuilt: false }),
                None => taken.push((definition, slot, Kept { damaged: Some(why), ..Kept::default() })),
            }
        }
        tracing::info!(zones = taken.len() + new.len(), stored = taken.len(), "zones loaded");
        self.store.know_zones(with_contents);
        let copies = self.local.copies();
        let is_free = |definition: &ZoneDefinition| {
            let name = &definition.name;
            definition.local.is_some()
                && !others.contains(name)
                && !names.contains(name)
                && !by_catalog.all.contains(name)
        };
        let from_copies = local::copy::choose(&mut local_zones, &copies, is_free, key);
        self.next_id = from_copies.iter().map(|id| id.0 + 1).fold(self.next_id, u32::max);
        self.load_local(local_zones);
        self.know_copies(&copies, from_copies);
        // Who only asks has what he wants, and comes first; the rest is for those who look after the zones.
        give_way();
        let (mut statuses, mut moved) = (self.store.statuses(), Vec::new());
        for (definition, _, kept) in &mut taken {
            let of_zone = statuses.remove(&definition.id.0).unwrap_or_default();
            kept.machine.primaries = primary_states(&of_zone);
            if kept.machine.primaries.iter().all(Option::is_none) {
                // None of them has ever been asked: the list may have changed just before the last stop.
                kept.machine.ask_within.get_or_insert(ASK_PAUSE);
            }
            if let Some(of) = earlier.get_mut(&definition.id) {
                kept.earlier = of.take();
                moved.extend(kept.earlier.as_ref().map(|_| definition.id));
                self.remember(definition);
            }
        }
        // The store has other work when all is read.
        drop(contents);
        for zone in superseded {
            self.store.submit(Write::Remove { zone }, report("removal of a zone"));
        }
        new.iter().for_each(|(definition, _)| self.remember(definition));
        taken.extend(new.into_iter().map(|(definition, slot)| (definition, slot, Kept::default())));
        self.take_in(taken);
        moved.into_iter().for_each(|id| self.forget_other_primaries(id));
        let catalogs = catalogs.into_iter().map(|(zone, name)| {
            let version = versions.remove(&name).flatten();
            (name, (ZoneId(zone), version))
        });
        self.begin_catalogs(catalogs.collect());
        self.publisher.set_whole(true);
        self.drop_configured_zones();
        for id in self.zones.keys().copied().collect::<Vec<_>>() {
            self.follow_up(id);
        }
        let followed = self.followed.iter().filter_map(|id| Some((*id, self.zones[id].slot.snapshot()?)));
        for (id, version) in followed.collect::<Vec<_>>() {
            self.follow(id, &version);
        }
    }

    /// Takes the local zones of the store.
    fn load_local(&mut self, found: Vec<local::Found>) {
        let (mut zones, mut rebuilt) = (Vec::new(), Vec::new());
        for local::Found { definition, zone, is_rebuilt } in found {
            match zone {
                Ok((zone, snapshot)) => {
                    if is_rebuilt {
                        rebuilt.push((definition.id, snapshot.clone()));
                    }
                    zones.push((Arc::new(definition), Arc::new(zone), snapshot));
                }
                Err(why) => self.add_damaged_local(definition, why),
            }
        }
        let aside = self.aside.values().filter_map(|displaced| match displaced {
            Displaced::Local(definition, zone, _) => Some((definition, zone)),
            Displaced::Secondary(_) => None,
        });
        let all = zones.iter().map(|(definition, zone, _)| (definition, zone)).chain(aside);
        let index = LocalIndex::of(all.map(|(definition, zone)| (&*definition.tenant, definition.id, &**zone)));
        self.board.set_local_index(Arc::new(index));
        let largest = zones.iter().filter_map(|(_, zone, _)| zone.largest_num()).max().unwrap_or(0);
        let stored = self.store.meta(local::NEXT_RECORD).ok().flatten();
        let next = stored.and_then(|bytes| Some(u64::from_be_bytes(bytes.try_into().ok()?))).unwrap_or(0);
        self.local.next_num = next.max(largest + 1);
        local::forget_outrun(&self.store, Timestamp::now());
        tracing::info!(zones = zones.len(), rebuilt = rebuilt.len(), "local zones loaded");
        self.add_local_zones(zones);
        for (id, snapshot) in rebuilt {
            self.store.submit(Write::Replace { zone: id.0, snapshot, diff: None }, report("contents of a local zone"));
        }
    }

    /// Puts zones that are new into memory. Their machines are not looked at yet.
    pub(super) fn add_zones(&mut self, definitions: Vec<ZoneDefinition>) {
        self.add_with(definitions.into_iter().map(|definition| (definition, Kept::default())).collect());
    }

    /// The same with what each goes on from, which is stored for it.
    pub(super) fn add_with(&mut self, zones: Vec<(ZoneDefinition, Kept)>) {
        let (definitions, kept): (Vec<_>, Vec<_>) = zones.into_iter().unzip();
        let introduced = self.introduce(definitions);
        let (mut taken, mut unstored) = (Vec::with_capacity(introduced.len()), Vec::new());
        for ((definition, slot), mut kept) in introduced.into_iter().zip(kept) {
            unstored.extend(kept.snapshot.clone().map(|snapshot| (definition.id, kept.machine.confirmation, snapshot)));
            self.serve(&slot, &mut kept);
            taken.push((definition, slot, kept));
        }
        self.take_in(taken);
        for (id, confirmation, snapshot) in unstored {
            if let Some(zone) = self.zones.get_mut(&id) {
                zone.stored = None;
            }
            if let Some(confirmation) = confirmation {
                write_confirmation(&self.store, id, &confirmation);
            }
            let write = Write::Replace { zone: id.0, snapshot: snapshot.clone(), diff: None };
            self.write_contents(id, snapshot, write, true);
        }
    }

    /// Gives zones a place in the view, without contents, and says who may ask for them.
    fn introduce(&mut self, mut definitions: Vec<ZoneDefinition>) -> Vec<(ZoneDefinition, Arc<Slot>)> {
        let names: Vec<_> = definitions.iter().map(|d| (d.id, d.name.clone())).collect();
        let slots = self.publisher.add_zones(names);
        // Zones of one group nearly always come one behind the other, and share what they have in common.
        let mut last: Option<(Arc<Arrangement>, bool, Arc<ZoneAccess>)> = None;
        self.policy.reserve(slots.len());
        for (definition, slot) in definitions.iter_mut().zip(&slots) {
            let is_local = definition.local.is_some();
            let access = match &last {
                Some((arrangement, local, access)) if (arrangement, *local) == (&definition.arrangement, is_local) => {
                    definition.arrangement = Arc::clone(arrangement);
                    Arc::clone(access)
                }
                _ => Arc::new(self.access_to(definition)),
            };
            self.policy.set_zone(definition.id, access.clone());
            self.publisher.set_restricted(slot, definition.allow_query.is_some());
            last = Some((definition.arrangement.clone(), is_local, access));
        }
        definitions.into_iter().zip(slots).collect()
    }

    /// Serves what is there of a zone, unless it has expired.
    fn serve(&self, slot: &Slot, kept: &mut Kept) {
        let (now, Some(snapshot)) = (Timestamp::now(), kept.snapshot.take()) else { return };
        let expires = kept.machine.expires(now, &self.settings);
        let is_expired = expires.is_none_or(|expires| expires <= now);
        self.publisher.set_expires(slot, expires);
        self.publisher.publish_as(slot, snapshot, if is_expired { State::Expired } else { State::Served });
    }

    /// Puts zones into memory, which are served already if there is anything of them.
    fn take_in(&mut self, zones: Vec<(ZoneDefinition, Arc<Slot>, Kept)>) {
        let now = Timestamp::now();
        self.zones.reserve(zones.len());
        let views: Vec<_> = zones.into_iter().map(|(d, slot, kept)| self.take_in_one(d, slot, kept, now)).collect();
        self.board.insert(views);
        let next = self.next_id.to_be_bytes().to_vec();
        self.store
            .submit_later(Write::Meta { name: NEXT_ID.to_owned(), bytes: Some(next) }, report("next zone number"));
    }

    fn take_in_one(
        &mut self,
        definition: ZoneDefinition,
        slot: Arc<Slot>,
        kept: Kept,
        now: Timestamp,
    ) -> Arc<ZoneView> {
        let (id, primaries, definition) = (definition.id, definition.primaries.len(), Arc::new(definition));
        let serial = kept.machine.soa.map(|soa| soa.serial);
        let settings = self.settings.clone();
        let known = kept.earlier.as_ref().map_or(primaries, |earlier| earlier.len());
        let mut refresh = Refresh::new(settings, known, u64::from(id.0), Some(kept.machine), now);
        if let Some(earlier) = &kept.earlier {
            let kept = zones::kept_primaries(earlier, &definition.primaries);
            refresh.set_primaries(now, &kept.places, kept.none);
        }
        if let Some(look) = kept.look {
            refresh.note_served(look);
        }
        if serial.is_some() && refresh.is_expired() {
            // perhaps since it was served
            self.publisher.set_state(&slot, State::Expired);
        }
        let review = kept.review;
        refresh.set_frozen(review.pinned.is_some());
        let mut warnings = Vec::new();
        if let Some(why) = kept.damaged {
            tracing::error!(zone = %definition.name, why, "stored contents are damaged; the zone is fetched again");
            warnings.push(format!("stored contents were damaged and are fetched again: {why}"));
            self.publisher.set_state(&slot, State::Damaged);
        }
        let view = Arc::new(ZoneView::new(slot.clone(), definition.clone()));
        let zone = Zone {
            definition,
            view: view.clone(),
            slot,
            refresh,
            epoch: 0,
            armed: None,
            served: serial,
            stored: serial,
            coming: None,
            warnings,
            transfer: None,
            announcement: None,
            unstored: None,
            followed: None,
            review,
            held_contents: None,
            is_deciding: false,
            survey: None,
            newest: vec![None; primaries],
            refused_notify: None,
            notify_told: Timestamp::default(),
            refused_told: Timestamp::default(),
            tls: BTreeMap::new(),
            notify_shown: None,
        };
        if serial.is_some() {
            // It comes onto the board as it stands, not as a new zone that changes a moment later, 100,000 times at a
            // start. What was found out is told once more, as something new.
            self.generation += 1;
            let warning = self.config.guard_of(zone.definition.policy.as_deref()).lapse_warning;
            let status = zone.status(now, self.generation, &self.settings, warning);
            let remarks = Remarks { findings: Vec::new(), ..Remarks::clone(&status.remarks) }.into();
            zone.view.begin(ZoneStatus { remarks, ..status });
        }
        self.count_member(&zone.definition, true);
        self.list(&zone.definition);
        self.zones.insert(id, Box::new(zone));
        self.begin_to_follow(id);
        view
    }
}

/// The catalogs of the configuration.
struct ByCatalog<'a> {
    followed: HashMap<&'a Name, &'a crate::config::Catalog>,
    /// Of our zones.
    all: HashSet<&'a Name>,
    /// Those of them that have not been found in the store.
    made: HashSet<&'a Name>,
}

impl ByCatalog<'_> {
    fn of(config: &crate::config::Config) -> ByCatalog<'_> {
        let all: HashSet<&Name> = config.catalogs.iter().map(|catalog| &catalog.name).collect();
        ByCatalog {
            followed: config.zones.iter().filter_map(|zone| Some((&zone.name, zone.catalog.as_deref()?))).collect(),
            made: all.clone(),
            all,
        }
    }
}

/// What a stored definition comes to.
enum Known {
    /// What the zone should be now, and whose statuses are stored.
    Wanted(ZoneDefinition, Option<Arc<[Primary]>>),
    /// The configuration has its name.
    Displaced(Box<ZoneDefinition>),
    /// A catalog of our zones.
    Catalog(Name),
    /// Of no use: another zone has its name, or its catalog may not list it. It would be transferred again.
    Superseded,
}

/// What becomes of a stored zone; `None` if nobody wants it. A name in the configuration and in the store: the
/// configuration wins and the zone keeps its number and contents.
fn known<'a>(
    id: ZoneId,
    octets: &'a [u8],
    wanted: &mut HashMap<&Name, &'a crate::config::Zone>,
    is_configured: &dyn Fn(&Name) -> bool,
    catalogs: &mut ByCatalog<'_>,
    (before, now): (&mut Before<'a>, Timestamp),
) -> Option<Known> {
    match before.read(octets) {
        // Nobody but a catalog of ours has no primaries.
        Ok(StoredDefinition::Configured { name, primaries }) if primaries.as_deref() == Some(&[]) => {
            if catalogs.made.remove(&name) {
                return Some(Known::Catalog(name));
            }
            is_configured(&name).then_some(Known::Superseded)
        }
        Ok(StoredDefinition::Configured { name, primaries }) => match wanted.remove(&name) {
            Some(zone) => Some(Known::Wanted(before.configured(zone, id, now), primaries)),
            None => (is_configured(&name) || catalogs.all.contains(&name)).then_some(Known::Superseded),
        },
        Ok(StoredDefinition::Member { membership, primaries, .. }) if is_configured(&membership.member.name) => {
            let zone = wanted.remove(&membership.member.name);
            let taken = |zone| Known::Wanted(before.configured(zone, id, now), Some(primaries));
            Some(zone.map_or(Known::Superseded, taken))
        }
        Ok(StoredDefinition::Member { uuid, created, primaries, membership }) => {
            // Without its catalog nobody wants it; it is kept, as are zones that the configuration has no more.
            let settings = *catalogs.followed.get(&membership.catalog)?;
            if !settings.allows(&membership.member.name) || catalogs.all.contains(&membership.member.name) {
                return Some(Known::Superseded);
            }
            let definition = follow::member(*membership, settings, (id, uuid), (created, created));
            Some(Known::Wanted(definition, Some(primaries)))
        }
        Ok(StoredDefinition::Rest(definition)) if is_configured(&definition.name) => {
            tracing::warn!(zone = %definition.name, "zone stands in the configuration and was added by REST; the configuration wins, the other is kept, disabled");
            Some(Known::Displaced(definition))
        }
        Ok(StoredDefinition::Rest(definition)) => {
            // Statuses are forgotten with the list they belong to.
            let primaries = definition.primaries.clone();
            Some(Known::Wanted(*definition, Some(primaries)))
        }
        Err(error) => {
            tracing::error!(zone = id.0, %error, "a stored definition cannot be read; it is kept");
            None
        }
    }
}

/// Has the store keep a confirmation.
pub(super) fn write_confirmation(store: &Store, zone: ZoneId, confirmation: &Confirmation) {
    let bytes = store.sheet().write(|out| out.write_all(&confirmation_bytes(confirmation)).expect(IN_MEMORY));
    store.submit(Write::Confirm { zone: zone.0, bytes }, report("confirmation"));
}

/// A confirmation as the store keeps it: 8 octets each for the moment and the expiry, 2 for the primary, big endian.
fn confirmation_bytes(confirmation: &Confirmation) -> [u8; 18] {
    let Confirmation { at, by, expires } = confirmation;
    let mut bytes = [0; 18];
    bytes[..8].copy_from_slice(&at.as_millis().to_be_bytes());
    bytes[8..16].copy_from_slice(&expires.as_millis().to_be_bytes());
    bytes[16..].copy_from_slice(&by.to_be_bytes());
    bytes
}

fn confirmation_from(bytes: &[u8]) -> Option<Confirmation> {
    let (at, rest) = bytes.split_first_chunk::<8>()?;
    let (expires, by) = rest.split_first_chunk::<8>()?;
    let by = u16::from_be_bytes(by.try_into().ok()?);
    Some(Confirmation {
        at: Timestamp::from_millis(u64::from_be_bytes(*at)),
        by,
        expires: Timestamp::from_millis(u64::from_be_bytes(*expires)),
    })
}

/// The primaries' statuses as they were, by position.
fn primary_states(stored: &[(u16, Vec<u8>)]) -> Vec<Option<PrimaryState>> {
    let mut states = Vec::with_capacity(stored.len());
    for (index, octets) in stored {
        states.resize(usize::from(*index), None);
        states.push(serde_json::from_slice(octets).ok());
    }
    states
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{keeper_of, version, zone};
    use super::*;
    use crate::config::Config;
    use crate::dns::Serial;

    /// P3: a status is that of one primary. The list of primaries may have changed while we were down.
    #[test]
    fn a_primary_that_was_not_asked_before_a_restart_has_no_status_after_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let zone_at = |address: [u8; 4]| crate::config::Zone {
            primaries: [crate::config::Primary::at((address, 53).into())].into(),
            ..zone()
        };
        let config = |zone| Config { state_dir: directory.path().to_owned(), zones: vec![zone], ..Config::default() };
        let shown = |keeper: &Keeper| {
            let status = keeper.zones.values().next().expect("the zone").view.status();
            (status.served_serial, status.primaries[0].state.serial, status.state)
        };
        let (earlier, later) = (zone_at([192, 0, 2, 1]), zone_at([192, 0, 2, 2]));
        {
            let (mut keeper, restored) = keeper_of(config(earlier.clone()));
            keeper.load(restored, || {});
            let (id, now) = (*keeper.zones.keys().next().expect("the zone"), Timestamp::now());
            let state = PrimaryState { serial: Some(Serial(100)), ..PrimaryState::new(now) };
            let confirmation = Confirmation { at: now, by: 0, expires: now + Duration::from_secs(86_400) };
            write_confirmation(&keeper.store, id, &confirmation);
            let bytes = serde_json::to_vec(&state).expect("plain data").into();
            keeper.store.submit(Write::Primary { zone: id.0, index: 0, bytes }, Box::new(|_| {}));
            let snapshot = version(&keeper, 100);
            keeper.store.submit(Write::Replace { zone: id.0, snapshot, diff: None }, Box::new(|_| {}));
            keeper.store.close();
        }
        for (zone, status) in [
            (earlier, (Some(Serial(100)), refresh::ZoneState::Available)),
            (later.clone(), (None, refresh::ZoneState::Provisioning)),
            (later, (None, refresh::ZoneState::Available)),
        ] {
            let (mut keeper, restored) = keeper_of(config(zone));
            keeper.load(restored, || {});
            let (served, serial, state) = shown(&keeper);
            assert_eq!(served, Some(Serial(100)), "the contents stay served");
            assert_eq!((serial, state), status);
            keeper.store.close();
        }
    }

    /// A zone that the configuration had, had no more, and has again: what it was before is of no use.
    #[test]
    fn of_two_zones_of_one_name_the_newer_one_is_served() {
        let directory = tempfile::tempdir().expect("a directory");
        let config = || Config { state_dir: directory.path().to_owned(), zones: vec![zone()], ..Config::default() };
        let newer = ZoneId(FIRST_ZONE_ID + 4);
        {
            let (keeper, _) = keeper_of(config());
            for (id, serial) in [(ZoneId(FIRST_ZONE_ID), 1), (newer, 2)] {
                keeper.remember(&zones::configured(&zone(), id, Timestamp::now()));
                let snapshot = version(&keeper, serial);
                keeper.store.submit(Write::Replace { zone: id.0, snapshot, diff: None }, Box::new(|_| {}));
            }
            keeper.store.close();
        }
        for _ in 0..2 {
            let (mut keeper, restored) = keeper_of(config());
            keeper.load(restored, || {});
            let served: Vec<_> = keeper.zones.values().map(|zone| (zone.definition.id, zone.served)).collect();
            assert_eq!(served, [(newer, Some(Serial(2)))]);
            keeper.store.close();
        }
        let (_, mut restored) = keeper_of(config());
        let stored: Vec<_> = restored.take_definitions().into_iter().filter(|(_, octets)| octets.is_some()).collect();
        assert_eq!(stored.len(), 1, "nothing is left of the other");
    }

    #[test]
    fn a_confirmation_survives_being_stored() {
        let confirmation =
            Confirmation { at: Timestamp::from_millis(5), by: 3, expires: Timestamp::from_millis(u64::MAX) };
        assert_eq!(confirmation_from(&confirmation_bytes(&confirmation)), Some(confirmation));
        assert_eq!(confirmation_from(&[0; 17]), None);
        assert_eq!(confirmation_from(&[0; 19]), None);
    }
}
