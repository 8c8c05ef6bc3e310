//! What is on the disk becomes zones again: pages are linked without parsing their records, the journal is replayed.
//!
//! In: the database right after opening. Out: [`StoredZone`]s one by one, roughly in the order of their numbers, while the
//! rest is still being read, so that serving can begin; their definitions before all contents. A few threads work on a
//! batch of neighbouring zones each; a bounded channel keeps them from running ahead of the receiver. Damage costs the zone
//! it is in and is reported in its place.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use super::disk::Disk;
use super::gather::{Gathered, gather};
use super::layout::{self, Damage, DiffHead, Header, Place, ZoneNumber, table};
use super::page_file::{FileId, Purpose, Sum};
use super::writer::{Forget, Job, Queue, Task};
use super::{Contents, Lost, StoreError, StoredZone};
use crate::system;
use crate::zone::{self, Diff, HashKey, Page, Snapshot};

/// Batches that are read and not yet taken: 65,536 zones, while the receiver sorts out names.
const AHEAD_MAX: usize = 1024;
/// Most zones of a batch, and most pages, if it is not a single zone.
const BATCH_ZONES: usize = 64;
const BATCH_PAGES: u32 = 256;

/// What stands in the small tables, with the header of the contents still to be read.
#[derive(Default)]
pub(super) struct Found {
    definition: Option<Arc<[u8]>>,
    confirmation: Option<Vec<u8>>,
    review: Option<Vec<u8>>,
    entries: Vec<(u64, Vec<u8>)>,
    header: Option<Result<Header, Damage>>,
    /// The page behind it.
    page: Option<Page>,
    /// What of the above could not be read.
    damaged: Vec<Damage>,
}

impl Found {
    /// The header, if it says that there are contents.
    fn loaded(&self) -> Option<&Header> {
        self.header.as_ref()?.as_ref().ok().filter(|header| header.is_loaded())
    }

    /// Takes a value of one of the tables that are read first.
    fn add(&mut self, value: Option<Value>) {
        match value {
            None | Some(Value::Primary(..)) => {}
            Some(Value::Damaged(damage)) => self.damaged.push(damage),
            Some(Value::Header(Ok((header, page)))) => (self.header, self.page) = (Some(Ok(header)), page),
            Some(Value::Header(Err(damage))) => self.header = Some(Err(damage)),
            Some(Value::Definition(octets)) => self.definition = Some(octets),
            Some(Value::Confirmation(octets)) => self.confirmation = Some(octets),
            Some(Value::Entry(number, octets)) => self.entries.push((number, octets)),
        }
    }
}

/// All zones the store knows, in order.
pub(super) type SmallTables = Vec<(ZoneNumber, Found)>;

/// The zones of the store, still to be read. Dropping it is fine: nothing is lost.
pub struct Restored {
    reader: Arc<Reader>,
    threads: usize,
    /// See [`Restored::take_definitions`].
    definitions: Vec<(ZoneNumber, Option<Arc<[u8]>>)>,
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
    /// All zones with their definitions, in the order of their numbers; once.
    pub fn take_definitions(&mut self) -> Vec<(ZoneNumber, Option<Arc<[u8]>>)> {
        std::mem::take(&mut self.definitions)
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

impl Restored {
    /// Reads the contents, and gives what `prepare` makes of each zone as soon as it has made it. Both happen on a few threads,
    /// which do not run far ahead: half of them from now on, the others from when the first zone is asked for.
    pub fn each<T: Send + 'static>(
        self,
        prepare: impl Fn(StoredZone) -> T + Send + Sync + 'static,
    ) -> impl Iterator<Item = T> {
        // Who takes the zones makes as much of them as those who read.
        system::ready_heap();
        let prepare = Arc::new(prepare);
        let next = move |reader: &Reader| Some(reader.next()?.into_iter().map(&*prepare).collect::<Vec<T>>());
        let (sender, batches) = sync_channel(AHEAD_MAX);
        let begin = {
            let (reader, next) = (self.reader.clone(), next.clone());
            move |number: usize, sender: SyncSender<Vec<T>>| {
                let (reader, next) = (reader.clone(), next.clone());
                let read = move || {
                    system::ready_heap();
                    while next(&reader).is_some_and(|batch| sender.send(batch).is_ok()) {}
                };
                if let Err(error) = std::thread::Builder::new().name(format!("restore-{number}")).spawn(read) {
                    tracing::warn!(%error, "the system gives no thread to read zones with");
                }
            }
        };
        // What is done before the first zone is asked for is work, too: it keeps a processor.
        let begun = self.threads.div_ceil(2);
        (0..begun).for_each(|number| begin(number, sender.clone()));
        let mut later = Some((begun..self.threads, sender));
        let begin_others = std::iter::from_fn(move || {
            let (others, sender) = later.take()?;
            others.for_each(|number| begin(number, sender.clone()));
            None
        });
        // Without any thread all is left for the caller's.
        let reader = self.reader;
        begin_others.chain(batches).chain(std::iter::from_fn(move || next(&reader))).flatten()
    }
}

impl IntoIterator for Restored {
    type Item = StoredZone;
    type IntoIter = Box<dyn Iterator<Item = StoredZone>>;

    fn into_iter(self) -> Self::IntoIter {
        Box::new(self.each(|zone| zone))
    }
}

/// Zones that `threads` threads will read.
pub(super) fn start(
    disk: &Arc<Disk>,
    queue: &Arc<Queue>,
    key: HashKey,
    small: SmallTables,
    threads: usize,
) -> Restored {
    let definitions: Vec<_> = small.iter().map(|(zone, found)| (*zone, found.definition.clone())).collect();
    disk.counters.is_restoring.store(true, Ordering::Relaxed);
    let left = Mutex::new(small.into_iter().peekable());
    let reader = Arc::new(Reader { disk: disk.clone(), queue: queue.clone(), key, left });
    let threads = threads.clamp(1, definitions.len().max(1));
    Restored { reader, threads, definitions, damage: None, lost: Lost::Nothing }
}

/// Zones with what the small tables hold of them.
type Batch = Vec<(ZoneNumber, Found)>;

/// The next zones, as many as are read at once; none at the end.
fn next_batch(found: &mut Peekable<std::vec::IntoIter<(ZoneNumber, Found)>>) -> Batch {
    let mut batch = Vec::new();
    let mut pages = 0u32;
    while let Some((_, next)) = found.peek() {
        pages = pages.saturating_add(next.loaded().map_or(0, |header| header.pages));
        if batch.len() == BATCH_ZONES || pages > BATCH_PAGES && !batch.is_empty() {
            break;
        }
        batch.extend(found.next());
    }
    batch
}

/// What one key, or the keys of one value in parts, say of a zone.
enum Value {
    Damaged(Damage),
    Header(Result<(Header, Option<Page>), Damage>),
    Definition(Arc<[u8]>),
    Confirmation(Vec<u8>),
    Primary(u16, Vec<u8>),
    Entry(u64, Vec<u8>),
}

/// Reads everything that serving needs, but pages and differences. Each table is read by a thread: most of the time goes into sled's nodes, which
/// are read from the disk and unpacked one by one.
pub(super) fn read_small_tables(disk: &Disk) -> Result<SmallTables, StoreError> {
    let tables = [table::DEFINITION, table::ZONE, table::CONFIRMATION, table::ENTRY];
    let read: Vec<Vec<(ZoneNumber, Option<Value>)>> = std::thread::scope(|scope| {
        let start = |table| {
            let thread = std::thread::Builder::new().name(format!("table-{table}"));
            let read = move || {
                system::ready_heap();
                read_table(disk, table)
            };
            thread.spawn_scoped(scope, read)
        };
        let threads = tables.map(|table| start(table).map_err(|e| StoreError::failed("start a thread", e)));
        let joined = threads.into_iter().map(|thread| thread?.join().unwrap_or_else(|p| std::panic::resume_unwind(p)));
        joined.collect::<Result<_, StoreError>>()
    })?;
    let mut tables: Vec<_> = read.into_iter().map(|table| table.into_iter().peekable()).collect();
    let mut zones = SmallTables::new();
    while let Some(zone) = tables.iter_mut().filter_map(|table| table.peek().map(|(zone, _)| *zone)).min() {
        let mut found = Found::default();
        for table in &mut tables {
            while let Some((_, value)) = table.next_if(|(next, _)| *next == zone) {
                found.add(value);
            }
        }
        zones.push((zone, found));
    }
    super::held::read_reviews(disk, |zone, review| {
        let place = zones.binary_search_by_key(&zone, |(zone, _)| *zone).unwrap_or_else(|place| {
            zones.insert(place, (zone, Found::default()));
            place
        });
        let found = &mut zones[place].1;
        match review {
            Ok(review) => found.review = Some(review),
            Err(damage) => found.damaged.push(damage),
        }
    })?;
    // Statuses of primaries are read later, and give a number away, too.
    let last = disk.last_key(&layout::behind(&[table::PRIMARY]), &[table::PRIMARY])?;
    let last = last.as_deref().and_then(layout::zone_of);
    let last = last.filter(|last| zones.last().is_none_or(|(zone, _)| zone < last));
    zones.extend(last.map(|last| (last, Found::default())));
    Ok(zones)
}

/// The statuses of a zone's primaries, as last given with [`Write::Primary`](super::Write::Primary), by position.
pub type Statuses = Vec<(u16, Vec<u8>)>;

/// Reads the statuses of all zones. What is damaged is left out, with a line in the log.
pub(super) fn read_statuses(disk: &Disk) -> Result<BTreeMap<ZoneNumber, Statuses>, StoreError> {
    let mut zones = BTreeMap::<ZoneNumber, Statuses>::new();
    for (zone, value) in read_table(disk, table::PRIMARY)? {
        match value {
            Some(Value::Primary(index, octets)) => zones.entry(zone).or_default().push((index, octets)),
            Some(Value::Damaged(damage)) => tracing::error!(zone, %damage, "stored value lost"),
            _ => {}
        }
    }
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
                    disk.count_cached(octets.len());
                    Some(Value::Header(read_header(&key, body)))
                }
                (Ok(body), table::CONFIRMATION) => Some(Value::Confirmation(body.to_vec())),
                (Ok(body), _) => parts.push(&key, body).and_then(|whole| match table {
                    table::PRIMARY => layout::primary_of(&key).map(|index| Value::Primary(index, whole)),
                    table::ENTRY => layout::entry_of(&key).map(|number| Value::Entry(number, whole)),
                    _ => Some(Value::Definition(whole.into())),
                }),
            };
            values.push((zone, value));
        }
        Ok(())
    })?;
    Ok(values)
}

fn read_header(key: &[u8], body: &[u8]) -> Result<(Header, Option<Page>), Damage> {
    let shape = || Damage::Shape(layout::show(key));
    let (header, page) = Header::decode(body).ok_or_else(shape)?;
    let page = match header.place {
        Place::Header => Some(Page::from_bytes(page).map_err(|_| shape())?),
        Place::Nowhere | Place::Tree | Place::File => None,
    };
    Ok((header, page))
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

/// What all reading threads share; the last one tells the writer.
struct Reader {
    disk: Arc<Disk>,
    queue: Arc<Queue>,
    key: HashKey,
    left: Mutex<Peekable<std::vec::IntoIter<(ZoneNumber, Found)>>>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.disk.counters.is_restoring.store(false, Ordering::Relaxed);
        self.queue.nudge();
    }
}

/// Why a zone's contents cannot be had, and from which difference on if its pages are fine.
struct Unusable {
    why: String,
    sequence: Option<u64>,
    /// sled itself cannot read on.
    is_broken: bool,
}

/// The contents of a zone.
type Outcome = Result<Arc<Snapshot>, Unusable>;

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

impl Reader {
    /// The next zones; `None` at the end.
    fn next(&self) -> Option<Vec<StoredZone>> {
        let batch = next_batch(&mut self.left.lock().unwrap_or_else(PoisonError::into_inner));
        (!batch.is_empty()).then(|| self.restore(batch))
    }

    fn restore(&self, batch: Batch) -> Vec<StoredZone> {
        let rebuilds = self.disk.rebuilds();
        // An error of sled ends a walk; then each zone is read by itself, so that others do not pay for it.
        let outcomes = self.contents(&batch).unwrap_or_else(|_| {
            let alone = batch.chunks(1).map(|zone| {
                let unusable = |error| vec![Some(Err(Unusable::from(error)))];
                self.contents(zone).unwrap_or_else(unusable)
            });
            alone.flatten().collect()
        });
        batch
            .into_iter()
            .zip(outcomes)
            .map(|((zone, found), outcome)| self.stored(zone, found, outcome, rebuilds))
            .collect()
    }

    /// The contents of each zone; `None` if its header says that there are none, or cannot be read.
    fn contents(&self, batch: &[(ZoneNumber, Found)]) -> Result<Vec<Option<Outcome>>, StoreError> {
        let headers = batch.iter().filter_map(|(zone, found)| Some((*zone, found.loaded()?, found.page.clone())));
        let mut gathered = gather(&self.disk, &self.key, headers)?.into_iter();
        let each = batch.iter().map(|(_, found)| {
            found.loaded()?;
            gathered.next().map(|zone| self.snapshot(zone))
        });
        Ok(each.collect())
    }

    /// `rebuilds`: how often the database had been rebuilt before the outcome was looked for.
    fn stored(&self, zone: ZoneNumber, found: Found, outcome: Option<Outcome>, rebuilds: u64) -> StoredZone {
        for damage in &found.damaged {
            tracing::error!(zone, %damage, "stored value lost");
        }
        let (apex, contents) = match (found.header, outcome) {
            (None, _) => (None, Contents::Empty),
            (Some(Err(damage)), _) => (None, Contents::Damaged(damage.to_string())),
            (Some(Ok(header)), None) => (Some(header.apex), Contents::Empty),
            (Some(Ok(header)), Some(Ok(snapshot))) => (Some(header.apex), Contents::Loaded { snapshot }),
            (Some(Ok(header)), Some(Err(Unusable { why, sequence, is_broken }))) => {
                if is_broken {
                    let task = Task::Rebuild { seen: rebuilds };
                    self.queue.push(Job::urgent(task));
                }
                let forget = Forget { zone, generation: header.generation, damaged_sequence: sequence };
                self.queue.push(Job::urgent(Task::Forget(forget)));
                (Some(header.apex), Contents::Damaged(why))
            }
        };
        StoredZone {
            zone,
            apex,
            definition: found.definition,
            confirmation: found.confirmation,
            review: found.review,
            entries: found.entries,
            damaged: found.damaged.iter().map(ToString::to_string).collect(),
            contents,
        }
    }

    fn snapshot(&self, mut zone: Gathered<'_>) -> Outcome {
        let header = zone.header;
        let pages = match header.place {
            Place::File => {
                let id = FileId { zone: zone.zone, purpose: Purpose::Contents, generation: header.generation };
                let sum = Sum { pages: header.pages, digest: header.digest };
                self.disk.files.read(id, &self.key, sum)?
            }
            Place::Tree | Place::Header | Place::Nowhere => zone.take_pages()?,
        };
        let base = Snapshot::from_pages(header.apex.clone(), self.key, pages);
        let base = base.map_err(|damage| Unusable::new(damage, None))?;
        if base.serial() != header.base {
            let why = format!("pages have serial {}, the header says {}", base.serial(), header.base);
            return Err(Unusable::new(why, None));
        }
        let journal = zone.into_journal().map_err(|(damage, sequence)| Unusable::new(damage, Some(sequence)))?;
        if journal.is_empty() {
            return Ok(Arc::new(base));
        }
        match zone::apply_own(&base, &journal) {
            Ok((snapshot, _)) => Ok(Arc::new(snapshot)),
            Err(error) => {
                let first = header.base_sequence + 1;
                Err(Unusable::new(format!("journal does not apply: {error}"), Some(first)))
            }
        }
    }
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

    /// The number of the difference that comes next, or is incomplete.
    pub(super) fn sequence(&self) -> u64 {
        self.sequence
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
