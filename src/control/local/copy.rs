//! Copies of local zones beside the database: nobody else has them.
//!
//! In: zones that have changed, now and then; at the start what is there. Out: files `local/NUMBER-CHANGES.copy` below the state
//! directory, one for each local zone, of which the name says how many changes are in it. Where the database has lost a zone,
//! or damaged it, or fallen back behind its copy (sled takes a flipped bit in what was written last for a torn write, and cuts
//! it off without a word), the copy is what the zone goes on from. A zone's copy goes before the zone does, so that a
//! copy without a zone means that the zone was lost.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Keeper;
use super::load::{Found, Head};
use crate::control::definition::ZoneDefinition;
use crate::control::event::Event;
use crate::control::zones::StoredDefinition;
use crate::local::{Entry, LocalZone};
use crate::served::ZoneId;
use crate::time::Timestamp;
use crate::zone::HashKey;

/// Directory of the copies, below the state directory.
const DIRECTORY: &str = "local";
const SUFFIX: &str = ".copy";
const MAGIC: &[u8; 8] = b"SDLOCAL1";
/// Between two times that copies are made; more if making them took long.
const PAUSE: Duration = Duration::from_secs(60);
/// How many times longer than it took the next time waits.
const PAUSES: u32 = 20;
/// Zones that are copied at a time.
const AT_A_TIME: usize = 1024;
/// How long a stop makes copies of what has changed since.
const AT_STOP: Duration = Duration::from_secs(5);

/// What is to be copied.
#[derive(Default)]
pub(in crate::control) struct Copies {
    /// The directory of the store: the configuration may name another one for the next start.
    pub(super) state: PathBuf,
    changed: BTreeSet<ZoneId>,
    is_busy: bool,
    due: Timestamp,
}

impl Copies {
    /// None yet, below the directory `state`.
    pub(super) fn below(state: &Path) -> Copies {
        Copies { state: state.to_owned(), ..Copies::default() }
    }

    pub(super) fn list(&self) -> Known {
        list(&self.state)
    }
}

/// What became of copies.
#[derive(Debug)]
pub struct Copied {
    failed: Vec<ZoneId>,
    why: Option<String>,
    took: Duration,
}

/// The copies that are there: how many changes are in that of a zone, and where it is.
pub(in crate::control) type Known = HashMap<u32, (u64, PathBuf)>;

/// Looks for copies; of two of a zone the newer one counts.
fn list(state: &Path) -> Known {
    let mut known = Known::new();
    for entry in fs::read_dir(state.join(DIRECTORY)).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(SUFFIX));
        let Some((zone, changes)) = name.and_then(|name| name.split_once('-')) else { continue };
        let (Ok(zone), Ok(changes)) = (zone.parse(), changes.parse::<u64>()) else { continue };
        if known.get(&zone).is_none_or(|(other, _)| *other < changes) {
            known.insert(zone, (changes, path));
        }
    }
    known
}

/// Makes the copy of a zone, on the disk when this returns, and removes the one before.
fn write(state: &Path, definition: &ZoneDefinition, zone: &LocalZone) -> io::Result<()> {
    let directory = state.join(DIRECTORY);
    fs::create_dir_all(&directory)?;
    let mut body = Vec::new();
    let mut put = |octets: &[u8]| {
        body.extend((octets.len() as u32).to_be_bytes());
        body.extend(octets);
    };
    put(&StoredDefinition::of(definition).to_bytes());
    put(&Head::of(zone).to_bytes());
    zone.entries_from(0).for_each(|entry| put(&entry.to_bytes()));
    let new = directory.join(format!("{}.new", definition.id.0));
    let mut file = File::create(&new)?;
    file.write_all(&[&MAGIC[..], &crc32fast::hash(&body).to_be_bytes()].concat())?;
    file.write_all(&body)?;
    file.sync_all()?;
    let name = format!("{}-{}{SUFFIX}", definition.id.0, zone.changes());
    fs::rename(&new, directory.join(&name))?;
    File::open(&directory)?.sync_all()?;
    remove_others(&directory, definition.id, Some(&name))
}

/// Removes the copies of a zone but for the one of this name.
fn remove_others(directory: &Path, zone: ZoneId, kept: Option<&str>) -> io::Result<()> {
    let start = format!("{}-", zone.0);
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| name.starts_with(&start) && Some(name) != kept) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Removes the copy of a zone that is about to be removed.
pub(super) fn remove(state: &Path, zone: ZoneId) {
    match remove_others(&state.join(DIRECTORY), zone, None) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(zone = zone.0, %error, "the copy of a removed zone could not be removed");
        }
        _ => {}
    }
}

/// Reads a copy; `None` if it is none.
fn read(path: &Path) -> Option<(ZoneDefinition, LocalZone)> {
    let octets = fs::read(path).ok()?;
    let (sum, body) = octets.strip_prefix(MAGIC)?.split_first_chunk::<4>()?;
    if crc32fast::hash(body) != u32::from_be_bytes(*sum) {
        return None;
    }
    let mut rest = body;
    let mut parts = std::iter::from_fn(|| {
        let (len, more) = rest.split_first_chunk::<4>()?;
        let (part, more) = more.split_at_checked(u32::from_be_bytes(*len) as usize)?;
        rest = more;
        Some(part)
    });
    let Ok(StoredDefinition::Rest(definition)) = StoredDefinition::from_bytes(parts.next()?) else { return None };
    let head = Head::from_bytes(parts.next()?)?;
    let entries: Option<Vec<Arc<Entry>>> = parts.map(|part| Entry::from_bytes(part).ok().map(Arc::new)).collect();
    let zone = head.zone(&definition, entries?)?;
    Some((*definition, zone))
}

/// What a zone is to go on from: what the database has of it, or the copy where that is more. Zones of which the database knows
/// nothing are added. The numbers of those that came from their copies.
pub(in crate::control) fn choose(
    found: &mut Vec<Found>,
    known: &Known,
    is_free: impl Fn(&ZoneDefinition) -> bool,
    key: HashKey,
) -> BTreeSet<ZoneId> {
    let mut restored = BTreeSet::new();
    let mut restore = |path: &Path, why: &str| {
        let (definition, zone) = read(path)?;
        let snapshot = Arc::new(zone.build(key).ok()?);
        tracing::error!(zone = %definition.name, why, changes = zone.changes(), "a local zone is served from its copy; what was changed after it is lost");
        restored.insert(definition.id);
        Some(Found { definition, zone: Ok((zone, snapshot)), is_rebuilt: true })
    };
    for found in found.iter_mut() {
        let Some((changes, path)) = known.get(&found.definition.id.0) else { continue };
        let why = match &found.zone {
            Err(why) => why.clone(),
            Ok((zone, _)) if zone.changes() < *changes => "the database has fallen back behind it".to_owned(),
            Ok(_) => continue,
        };
        if let Some(copy) = restore(path, &why) {
            *found = copy;
        }
    }
    let there: BTreeSet<u32> = found.iter().map(|found| found.definition.id.0).collect();
    for (_, (_, path)) in known.iter().filter(|(zone, _)| !there.contains(zone)) {
        if read(path).is_some_and(|(definition, _)| is_free(&definition)) {
            found.extend(restore(path, "the database has nothing of it"));
        }
    }
    restored
}

impl Keeper {
    /// A zone has changed: its copy is made soon.
    pub(super) fn copy_later(&mut self, zone: ZoneId) {
        self.local.copies.changed.insert(zone);
    }

    /// Copies are to be made of those that have none, or an older one; those that came from their copies are stored whole.
    pub(in crate::control) fn know_copies(&mut self, known: &Known, restored: BTreeSet<ZoneId>) {
        let views = self.local.definitions().filter_map(|definition| self.board.by_number(definition.id));
        let has_copy = |id: ZoneId, changes| known.get(&id.0).is_some_and(|(copied, _)| *copied == changes);
        let changed = views.filter(|view| view.local().is_some_and(|zone| !has_copy(view.id, zone.changes())));
        self.local.copies.changed = changed.map(|view| view.id).collect();
        if !restored.is_empty() {
            self.suspect(restored);
        }
    }

    /// Makes copies where it is time.
    pub(in crate::control) fn make_copies(&mut self, now: Timestamp) {
        let copies = &mut self.local.copies;
        if copies.is_busy || copies.changed.is_empty() || copies.due > now {
            return;
        }
        copies.is_busy = true;
        let some: Vec<ZoneId> = copies.changed.iter().copied().take(AT_A_TIME).collect();
        some.iter().for_each(|id| {
            copies.changed.remove(id);
        });
        let zones = self.zones_to_copy(some);
        let (state, events) = (self.local.copies.state.clone(), self.events.clone());
        tokio::task::spawn_blocking(move || {
            let began = Instant::now();
            let (mut failed, mut why) = (Vec::new(), None);
            for (definition, zone) in zones {
                if let Err(error) = write(&state, &definition, &zone) {
                    failed.push(definition.id);
                    why = Some(error.to_string());
                }
            }
            // Nobody listens any more when the daemon stops.
            let _ = events.send(Event::LocalCopied(Copied { failed, why, took: began.elapsed() }));
        });
    }

    fn zones_to_copy(&self, ids: Vec<ZoneId>) -> Vec<(Arc<ZoneDefinition>, Arc<LocalZone>)> {
        let zone = |id: ZoneId| {
            let view = self.board.by_number(id).filter(|_| self.local.holds(id))?;
            Some((view.status().definition.clone(), view.local()?))
        };
        ids.into_iter().filter_map(zone).collect()
    }

    /// They have been made, or not.
    pub(in crate::control) fn local_copied(&mut self, copied: Copied) {
        let copies = &mut self.local.copies;
        copies.is_busy = false;
        let (pause, is_behind) = (copied.took * PAUSES, copies.changed.len() >= AT_A_TIME);
        copies.due = Timestamp::now() + if is_behind { pause } else { pause.max(PAUSE) };
        if let Some(why) = copied.why {
            tracing::error!(
                zones = copied.failed.len(),
                why,
                "copies of local zones could not be made; they are tried again"
            );
            copies.changed.extend(copied.failed);
        }
    }

    /// Before a stop, for as long as that may take.
    pub(in crate::control) fn make_last_copies(&mut self) {
        let began = Instant::now();
        let changed: Vec<ZoneId> = std::mem::take(&mut self.local.copies.changed).into_iter().collect();
        for (definition, zone) in self.zones_to_copy(changed) {
            if began.elapsed() > AT_STOP {
                return;
            }
            if let Err(error) = write(&self.local.copies.state, &definition, &zone) {
                tracing::error!(zone = %definition.name, %error, "the copy of a local zone could not be made");
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::control::fixture::{add_local_zone, keeper_with_events, settle, zone};

    const ID: ZoneId = ZoneId(1_000_004);

    fn config(state: &Path) -> Config {
        Config { state_dir: state.to_owned(), ..Config::default() }
    }

    /// A keeper with a local zone that is stored and copied, and then stopped.
    async fn stopped_with_a_zone(state: &Path) {
        let (mut keeper, restored, mut events) = keeper_with_events(config(state));
        keeper.load(restored, || {});
        add_local_zone(&mut keeper, ID);
        keeper.suspect([ID]);
        keeper.copy_later(ID);
        keeper.begin_group();
        keeper.make_copies(Timestamp::now());
        settle(&mut keeper, &mut events, |keeper| keeper.mends_at().is_none() && !keeper.local.copies.is_busy).await;
        keeper.store.close();
    }

    fn entries(keeper: &Keeper) -> Option<usize> {
        Some(keeper.board.by_number(ID)?.local()?.len())
    }

    /// "Local zones return from the last periodic export": here with all of their entries, identities and numbers.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_zone_that_the_database_has_lost_comes_from_its_copy() {
        let directory = tempfile::tempdir().expect("a directory");
        stopped_with_a_zone(directory.path()).await;
        let known = list(directory.path());
        let (_, copied) = read(&known[&ID.0].1).expect("a copy");
        fs::remove_dir_all(directory.path().join("sled")).expect("removed");
        for _ in 0..2 {
            let (mut keeper, restored, mut events) = keeper_with_events(config(directory.path()));
            keeper.load(restored, || {});
            assert_eq!(entries(&keeper), Some(5));
            let zone = keeper.board.by_number(ID).expect("there").local().expect("a local zone");
            let ids = |zone: &LocalZone| zone.entries_from(0).map(|entry| (entry.num, entry.id)).collect::<Vec<_>>();
            assert_eq!(ids(&zone), ids(&copied));
            assert!(keeper.next_id > ID.0);
            keeper.begin_group();
            settle(&mut keeper, &mut events, |keeper| keeper.mends_at().is_none() && !keeper.local.is_busy).await;
            keeper.store.close();
            // the second time it is in the database again
            let _ = fs::remove_dir_all(directory.path().join(DIRECTORY));
        }
    }

    /// Damaged entries, a database that has fallen back behind the copy, and copies that are none.
    #[tokio::test(flavor = "multi_thread")]
    async fn the_copy_counts_where_it_has_more_and_only_there() {
        let directory = tempfile::tempdir().expect("a directory");
        stopped_with_a_zone(directory.path()).await;
        let known = list(directory.path());
        let (_, path) = known[&ID.0].clone();
        let (definition, zone) = read(&path).expect("a copy");
        let key = HashKey::from_bytes([7; 16]);
        let found = |zone: Result<LocalZone, String>| {
            let zone = zone.map(|zone| (zone.clone(), Arc::new(zone.build(key).expect("a zone"))));
            vec![Found { definition: definition.clone(), zone, is_rebuilt: false }]
        };
        let chosen = |mut found: Vec<Found>, known: &Known| {
            let restored = choose(&mut found, known, |_| true, key);
            (restored.len(), found.first().and_then(|found| Some(found.zone.as_ref().ok()?.0.changes())))
        };
        let changes = |more| zone.clone().with_changes(zone.changes() + more);
        let newer: Known = [(ID.0, (zone.changes() + 1, path.clone()))].into();
        assert_eq!(chosen(found(Err("damaged".to_owned())), &known), (1, Some(zone.changes())));
        assert_eq!(chosen(found(Ok(zone.clone())), &known), (0, Some(zone.changes())));
        assert_eq!(chosen(found(Ok(changes(1))), &known), (0, Some(zone.changes() + 1)), "an older copy");
        assert_eq!(chosen(found(Ok(zone.clone())), &newer).0, 1, "the database has fallen back");
        let mut octets = fs::read(&path).expect("the copy");
        for flipped in [0, 9, octets.len() / 2, octets.len() - 1] {
            octets[flipped] ^= 4;
            fs::write(&path, &octets).expect("damaged");
            assert!(read(&path).is_none(), "octet {flipped}");
            octets[flipped] ^= 4;
        }
        assert_eq!(chosen(found(Err("damaged".to_owned())), &known), (0, None));
        fs::write(&path, &octets[..octets.len() - 3]).expect("cut");
        assert!(read(&path).is_none());
        // one that is removed is not there again
        remove(directory.path(), ID);
        assert!(list(directory.path()).is_empty());
        assert_eq!(definition.name, zone_name());
    }

    fn zone_name() -> crate::dns::Name {
        zone().name
    }
}
