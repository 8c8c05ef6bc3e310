//! What is on the disk becomes zones again: pages are linked without parsing their records, the journal is replayed.
//!
//! In: the database right after opening. Out: [`StoredZone`]s one by one, in the order of their numbers, while the
//! rest is still being read, so that serving can begin. A few threads work on one zone each; a bounded channel keeps
//! them from running ahead of the receiver. Damage costs the zone it is in and is reported in its place.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use super::compact::{digest_of, digest_start};
use super::disk::Disk;
use super::layout::{self, Damage, DiffHead, Header, Place, ZoneNumber, table};
use super::page_file::{FileId, Purpose, Sum};
use super::writer::{Forget, Job, Queue, Task};
use super::{Contents, Lost, StoreError, StoredZone};
use crate::zone::{self, Diff, HashKey, Page, Snapshot};

/// Zones that are read and not yet taken.
const AHEAD_MAX: usize = 16;

/// What stands in the small tables, with the header of the contents still to be read.
#[derive(Default)]
pub(super) struct Found {
    definition: Option<Vec<u8>>,
    confirmation: Option<Vec<u8>>,
    primaries: Vec<(u16, Vec<u8>)>,
    review: Option<Vec<u8>>,
    entries: Vec<(u64, Vec<u8>)>,
    header: Option<Result<Header, Damage>>,
    /// What of the above could not be read.
    damaged: Vec<Damage>,
}

/// All zones the store knows, in order.
pub(super) type SmallTables = BTreeMap<ZoneNumber, Found>;

/// The zones of the store, one by one. Dropping it early is fine: nothing is lost.
pub struct Restored {
    zones: Receiver<StoredZone>,
    total: usize,
    /// See [`Restored::damage`].
    pub(super) damage: Option<DatabaseDamage>,
    /// See [`Restored::lost`].
    pub(super) lost: Lost,
}

/// The database was damaged and has been replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseDamage {
    /// What was found, in sled's words.
    pub why: String,
    /// Where the files are now; never deleted by us.
    pub moved_to: PathBuf,
    /// How many values could be read and stand in the new database; with 0 the store starts empty.
    pub values_kept: u64,
}

impl Restored {
    /// How many zones there are in all.
    pub fn total(&self) -> usize {
        self.total
    }

    /// Whether the database had to be replaced at this start, which the operator wants to know.
    pub fn damage(&self) -> Option<&DatabaseDamage> {
        self.damage.as_ref()
    }

    /// Which zones may have been served in a later version than the one that comes from here.
    pub fn lost(&self) -> &Lost {
        &self.lost
    }
}

impl Iterator for Restored {
    type Item = StoredZone;

    fn next(&mut self) -> Option<StoredZone> {
        self.zones.recv().ok()
    }
}

/// Starts `threads` threads that read the contents of the zones in `small`.
pub(super) fn start(
    disk: &Arc<Disk>,
    queue: &Arc<Queue>,
    key: HashKey,
    small: SmallTables,
    threads: usize,
) -> Result<Restored, StoreError> {
    let found = Arc::new(Mutex::new(small.into_iter()));
    let total = found.lock().unwrap_or_else(PoisonError::into_inner).len();
    let (sender, zones) = sync_channel(AHEAD_MAX);
    disk.counters.is_restoring.store(true, Ordering::Relaxed);
    let end = Arc::new(End { disk: disk.clone(), queue: queue.clone() });
    for number in 0..threads.clamp(1, total.max(1)) {
        let worker = Worker { disk: disk.clone(), queue: queue.clone(), key, sender: sender.clone() };
        let (found, end) = (found.clone(), end.clone());
        std::thread::Builder::new()
            .name(format!("restore-{number}"))
            .spawn(move || {
                let _end = end;
                loop {
                    let next = found.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some((zone, found)) = next else { return };
                    if worker.sender.send(worker.restore(zone, found)).is_err() {
                        return;
                    }
                }
            })
            .map_err(|e| StoreError::failed("start a thread", e))?;
    }
    Ok(Restored { zones, total, damage: None, lost: Lost::Nothing })
}

/// Held by every reading thread: the last one tells the writer.
struct End {
    disk: Arc<Disk>,
    queue: Arc<Queue>,
}

impl Drop for End {
    fn drop(&mut self) {
        self.disk.counters.is_restoring.store(false, Ordering::Relaxed);
        self.queue.nudge();
    }
}

/// What one key, or the keys of one value in parts, say of a zone.
enum Value {
    Damaged(Damage),
    Header(Result<Header, Damage>),
    Definition(Vec<u8>),
    Confirmation(Vec<u8>),
    Primary(u16, Vec<u8>),
    Entry(u64, Vec<u8>),
}

/// Reads everything but pages and differences. Each table is read by a thread: most of the time goes into sled's nodes, which
/// are read from the disk and unpacked one by one.
pub(super) fn read_small_tables(disk: &Disk) -> Result<SmallTables, StoreError> {
    let tables = [table::DEFINITION, table::ZONE, table::CONFIRMATION, table::PRIMARY, table::ENTRY];
    let read: Vec<Vec<(ZoneNumber, Option<Value>)>> = std::thread::scope(|scope| {
        let start = |table| {
            let thread = std::thread::Builder::new().name(format!("table-{table}"));
            thread.spawn_scoped(scope, move || read_table(disk, table))
        };
        let threads = tables.map(|table| start(table).map_err(|e| StoreError::failed("start a thread", e)));
        let joined = threads.into_iter().map(|thread| thread?.join().unwrap_or_else(|p| std::panic::resume_unwind(p)));
        joined.collect::<Result<_, StoreError>>()
    })?;
    let mut zones = SmallTables::new();
    for (zone, value) in read.into_iter().flatten() {
        let found = zones.entry(zone).or_default();
        match value {
            None => {}
            Some(Value::Damaged(damage)) => found.damaged.push(damage),
            Some(Value::Header(header)) => found.header = Some(header),
            Some(Value::Definition(octets)) => found.definition = Some(octets),
            Some(Value::Confirmation(octets)) => found.confirmation = Some(octets),
            Some(Value::Primary(index, octets)) => found.primaries.push((index, octets)),
            Some(Value::Entry(number, octets)) => found.entries.push((number, octets)),
        }
    }
    super::held::read_reviews(disk, |zone, review| {
        let found = zones.entry(zone).or_default();
        match review {
            Ok(review) => found.review = Some(review),
            Err(damage) => found.damaged.push(damage),
        }
    })?;
    Ok(zones)
}

/// A zone stands here for each of its keys, also where that alone says nothing: its number has been given away.
fn read_table(disk: &Disk, table: u8) -> Result<Vec<(ZoneNumber, Option<Value>)>, StoreError> {
    let (mut values, mut parts) = (Vec::new(), Parts::default());
    disk.read("restore", |tree| {
        for item in tree.scan_prefix([table]) {
            let (key, octets) = item?;
            let Some(zone) = layout::zone_of(&key) else { continue };
            let value = match (layout::open(&key, &octets), table) {
                (Err(damage), table::ZONE) => Some(Value::Header(Err(damage))),
                (Err(damage), _) => Some(Value::Damaged(damage)),
                (Ok(body), table::ZONE) => {
                    let header = Header::decode(body);
                    Some(Value::Header(header.ok_or_else(|| Damage::Shape(layout::show(&key)))))
                }
                (Ok(body), table::CONFIRMATION) => Some(Value::Confirmation(body.to_vec())),
                (Ok(body), _) => parts.push(&key, body).and_then(|whole| match table {
                    table::PRIMARY => layout::primary_of(&key).map(|index| Value::Primary(index, whole)),
                    table::ENTRY => layout::entry_of(&key).map(|number| Value::Entry(number, whole)),
                    _ => Some(Value::Definition(whole)),
                }),
            };
            values.push((zone, value));
        }
        Ok(())
    })?;
    Ok(values)
}

/// Puts values in parts together again while a scan meets their parts in order.
#[derive(Default)]
pub(super) struct Parts {
    start: Vec<u8>,
    octets: Vec<u8>,
    next: u16,
}

impl Parts {
    /// The whole value once its last part has come. Parts behind the last one are left-overs; a gap drops the value.
    pub(super) fn push(&mut self, key: &[u8], body: &[u8]) -> Option<Vec<u8>> {
        let (start, part) = key.split_last_chunk::<2>()?;
        let part = u16::from_be_bytes(*part);
        let (parts, chunk) = layout::opaque_part(body)?;
        if part == 0 {
            (self.start, self.octets, self.next) = (start.to_vec(), Vec::new(), 0);
        }
        if self.start != start || self.next != part || part >= parts {
            return None;
        }
        self.octets.extend_from_slice(chunk);
        self.next += 1;
        (self.next == parts).then(|| std::mem::take(&mut self.octets))
    }
}

struct Worker {
    disk: Arc<Disk>,
    queue: Arc<Queue>,
    key: HashKey,
    sender: SyncSender<StoredZone>,
}

/// Why a zone's contents cannot be had, and from which difference on if its pages are fine.
struct Unusable {
    why: String,
    sequence: Option<u64>,
    /// sled itself cannot read on.
    is_broken: bool,
}

impl Unusable {
    fn new(why: impl ToString, sequence: Option<u64>) -> Unusable {
        Unusable { why: why.to_string(), sequence, is_broken: false }
    }
}

impl From<StoreError> for Unusable {
    fn from(error: StoreError) -> Unusable {
        Unusable { is_broken: matches!(error, StoreError::Broken(_)), ..Unusable::new(error, None) }
    }
}

impl From<Damage> for Unusable {
    fn from(damage: Damage) -> Unusable {
        Unusable::new(damage, None)
    }
}

impl Worker {
    fn restore(&self, zone: ZoneNumber, found: Found) -> StoredZone {
        for damage in &found.damaged {
            tracing::error!(zone, %damage, "stored value lost");
        }
        let (apex, contents) = match found.header {
            None => (None, Contents::Empty),
            Some(Err(damage)) => (None, Contents::Damaged(damage.to_string())),
            Some(Ok(header)) if !header.is_loaded() => (Some(header.apex), Contents::Empty),
            Some(Ok(header)) => {
                let rebuilds = self.disk.rebuilds();
                let contents = match self.contents(zone, &header) {
                    Ok(snapshot) => Contents::Loaded { snapshot: Arc::new(snapshot) },
                    Err(Unusable { why, sequence, is_broken }) => {
                        if is_broken {
                            let task = Task::Rebuild { seen: rebuilds };
                            self.queue.push(Job { task, done: Box::new(drop) });
                        }
                        let generation = header.generation;
                        let forget = Forget { zone, generation, damaged_sequence: sequence };
                        self.queue.push(Job { task: Task::Forget(forget), done: Box::new(drop) });
                        Contents::Damaged(why)
                    }
                };
                (Some(header.apex), contents)
            }
        };
        StoredZone {
            zone,
            apex,
            definition: found.definition,
            confirmation: found.confirmation,
            primaries: found.primaries,
            review: found.review,
            entries: found.entries,
            damaged: found.damaged.iter().map(ToString::to_string).collect(),
            contents,
        }
    }

    fn contents(&self, zone: ZoneNumber, header: &Header) -> Result<Snapshot, Unusable> {
        let base = self.base(zone, header)?;
        if base.serial() != header.base {
            let why = format!("pages have serial {}, the header says {}", base.serial(), header.base);
            return Err(Unusable::new(why, None));
        }
        let journal = self.journal(zone, header)?;
        if journal.is_empty() {
            return Ok(base);
        }
        match zone::apply(&base, &journal) {
            Ok((snapshot, _)) => Ok(snapshot),
            Err(error) => {
                let first = header.base_sequence + 1;
                Err(Unusable::new(format!("journal does not apply: {error}"), Some(first)))
            }
        }
    }

    /// Links the pages of the live generation.
    fn base(&self, zone: ZoneNumber, header: &Header) -> Result<Snapshot, Unusable> {
        let pages = match header.place {
            Place::File => {
                let id = FileId { zone, purpose: Purpose::Contents, generation: header.generation };
                let sum = Sum { pages: header.pages, digest: header.digest };
                self.disk.files.read(id, &self.key, sum)?
            }
            Place::Tree | Place::Nowhere => self.pages_in_tree(zone, header)?,
        };
        let snapshot = Snapshot::from_pages(header.apex.clone(), self.key, pages);
        snapshot.map_err(|damage| Unusable::new(damage, None))
    }

    fn pages_in_tree(&self, zone: ZoneNumber, header: &Header) -> Result<Vec<Page>, Unusable> {
        let start = layout::generation_key(zone, header.generation);
        let mut pages = Vec::with_capacity(header.pages as usize);
        let mut digest = digest_start(&self.key);
        let mut damage = None;
        self.disk.read("restore", |tree| {
            for item in tree.scan_prefix(&start) {
                let (key, value) = item?;
                digest = digest.wrapping_add(digest_of(&value));
                self.disk.count_cached(value.len());
                match page(&key, &value) {
                    Ok(page) => pages.push(page),
                    Err(found) => {
                        damage = Some(found);
                        return Ok(());
                    }
                }
            }
            Ok(())
        })?;
        if let Some(damage) = damage {
            return Err(damage.into());
        }
        if pages.len() != header.pages as usize || digest != header.digest {
            return Err(Damage::Missing(layout::show(&start)).into());
        }
        Ok(pages)
    }

    /// The differences behind the base, without a gap.
    fn journal(&self, zone: ZoneNumber, header: &Header) -> Result<Vec<Diff>, Unusable> {
        let mut chain = Chain::after(header.base_sequence);
        let from = layout::diff_key(zone, header.base_sequence + 1);
        let end = layout::behind(&layout::zone_key(table::DIFF, zone));
        let mut damage = None;
        self.disk.read("restore", |tree| {
            for item in tree.range(&from[..]..&end[..]) {
                let (key, value) = item?;
                if let Err(found) = chain.push(&key, &value) {
                    damage = Some(found);
                    break;
                }
            }
            Ok(())
        })?;
        let sequence = Some(chain.sequence);
        let unusable = |damage: Damage| Unusable::new(damage, sequence);
        if let Some(damage) = damage {
            return Err(unusable(damage));
        }
        chain.finish().map_err(unusable)
    }
}

fn page(key: &[u8], value: &[u8]) -> Result<Page, Damage> {
    let page = Page::from_bytes(layout::open(key, value)?).map_err(|_| Damage::Shape(layout::show(key)))?;
    if Some(page.key()) != layout::page_of(key) {
        return Err(Damage::Shape(layout::show(key)));
    }
    Ok(page)
}

/// Differences put together from their parts, each following the one before.
pub(super) struct Chain {
    diffs: Vec<Diff>,
    /// The difference that is being put together.
    sequence: u64,
    head: Option<DiffHead>,
    octets: Vec<u8>,
    parts: u16,
}

impl Chain {
    /// A chain whose first difference has the number behind `sequence`.
    pub(super) fn after(sequence: u64) -> Chain {
        Chain { diffs: Vec::new(), sequence: sequence + 1, head: None, octets: Vec::new(), parts: 0 }
    }

    /// Takes the next stored part.
    pub(super) fn push(&mut self, key: &[u8], value: &[u8]) -> Result<(), Damage> {
        let body = layout::open(key, value)?;
        let shape = || Damage::Shape(layout::show(key));
        let gap = || Damage::Missing(layout::show(key));
        let (sequence, part) = layout::diff_position(key).ok_or_else(shape)?;
        if (sequence, part) != (self.sequence, self.parts) {
            return Err(gap());
        }
        let (head, chunk) = match self.head {
            None => {
                let (head, chunk) = DiffHead::decode(body).ok_or_else(shape)?;
                self.head = Some(head);
                (head, chunk)
            }
            Some(head) => (head, body),
        };
        self.octets.extend_from_slice(chunk);
        self.parts += 1;
        if self.parts == head.parts {
            let octets = std::mem::take(&mut self.octets);
            let diff = (octets.len() == head.octets as usize).then(|| Diff::from_bytes(octets).ok()).flatten();
            let diff = diff.filter(|diff| (diff.from_serial(), diff.to_serial()) == (head.from, head.to));
            let diff = diff.ok_or_else(shape)?;
            if self.diffs.last().is_some_and(|last: &Diff| last.to_serial() != diff.from_serial()) {
                return Err(gap());
            }
            self.diffs.push(diff);
            (self.head, self.parts, self.sequence) = (None, 0, self.sequence + 1);
        }
        Ok(())
    }

    /// All differences; an error if the last one is incomplete.
    pub(super) fn finish(self) -> Result<Vec<Diff>, Damage> {
        match self.head {
            None => Ok(self.diffs),
            Some(_) => Err(Damage::Missing(format!("difference {}", self.sequence))),
        }
    }
}
