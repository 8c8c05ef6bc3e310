//! Keeps zones, their differences, definitions and timers on disk: in one sled tree, and the pages of large zones in files
//! beside it.
//!
//! In: [`Write`]s from `control::commit`, after (or, for local zones, before) they are published. Out: an
//! acknowledgement each when it is durable; at start the [`StoredZone`]s, one by one; later [`Store::diffs_since`]
//! for IXFR out. Never looks into definitions, confirmations and statuses: they are octets from above. Knows no
//! clock that matters, no socket, and nobody above.
//!
//! ```text
//! submit --> queue --> writer thread: one batch -> flush -> sync_data -> done(Ok) for all
//!                        |-- Append: `j`        (journal; cheap)
//!                        |-- Replace: `p`, `z`  (see `compact`); a small zone: `z`;
//!                        |            a large one: a file, synced, then `z` (`page_file`)
//!                        `-- between groups: deletes what no header counts any more
//! open ----> small tables -> restore threads: link pages, replay journal -> Restored::each -> statuses
//! ```
//!
//! Invariant 5: for each zone there is one generation of pages and the unbroken chain of differences after it, or
//! nothing; before the base a bounded history. Invariant 6: the stored chain over the stored pages gives the stored
//! serial's contents. `tests/store_crash` holds both against crashes after every step.
//!
//! # Traps of sled 0.34, and our answers
//!
//! - **Large leaves leave the log.** A leaf splits only above 16 *items*; one above 131,052 octets goes to a file of
//!   its own under `blobs/`, which is never synced, and such files pile up. So values are at most 7,000 octets and
//!   long ones come in parts of 6,400 ([`layout`]). A merge of unusually full leaves could still make such a file:
//!   it is synced with every group.
//! - **`flush()` is not durable**: it is `sync_file_range`. We hold our own handle of the log file and call
//!   `sync_data` after every flush.
//! - **What is not flushed sits in the process**; kill -9 loses it. Nothing is acknowledged before its flush.
//! - **After one failed write everything is refused.** The writer opens the database again and goes on; what it
//!   knew of zones it reads again.
//! - **A `Batch` is a hash map**: the last write to a key wins, and the order inside is random. Both are relied on
//!   nowhere but in the first half of this sentence.
//! - **A range keeps failing at the same place** after an error: every scan ends at its first error.
//! - **A damaged file may show as a panic.** Every call is guarded; a panic is reported as damage.
//! - **Values of some KiB are written three times, and again for a minute.** A leaf is written when a value joins it and
//!   twice more as it splits; each deletion consolidates and merges leaves once more; and as long as segments of 512 KiB
//!   are mostly dead, sled's own thread writes what lives in them anew. A zone of a million records (8,200 pages, 44 MB)
//!   took 4.8 times its octets to store, 8.9 times to replace, and 2.4 MB for every change of one record in the minute
//!   after. So pages of zones above [`Options::file_octets`] are files (`page_file`), written once. Smaller zones stay:
//!   100,000 files would be worse.
//! - **Each key costs a leaf**: its sixteen values are copied, written, and split now and then, and a look before it takes a
//!   third as long. So the page of a small zone stands behind its header, and where nothing was ever stored nobody looks
//!   (`known`).
//! - **A batch writes blocks, not octets**: its manifest goes to the log before it, so that the smallest makes two or three
//!   blocks of 4 KiB dirty. A new version and what is said of it are one batch (`writer`).
//! - **A flipped bit costs a leaf**, up to 16 values, and nothing can be written there any more: the database is
//!   replaced by what can be read of it (`salvage`).
//! - **A flipped bit in what was written since the last open is cut off in silence**, with the rest of its segment:
//!   sled takes it for a torn write. Zones then show an older serial or none, or name a file that is gone, and heal; a
//!   definition may be lost. Every start makes sled write its snapshot, behind which this cannot happen.
//! - **The lock outlives `drop` for a moment**, so opening waits for it a little.
//! - **The cache holds what was just written or read, whatever its capacity**, until it is closed. In a quiet moment
//!   after more than the capacity has passed, or after ten quiet seconds, the writer closes and opens the database.
//!   Ten thousand small zones are 20 MB in sled's cache, half of all they need.
//! - **What it replaces is freed late**, with a later write of any thread. So a close leaves thousands of nodes, and what is
//!   opened next lies between them: they are freed first, and the heap is joined and trimmed.
//! - `flush_every_ms` stays on: the same thread cleans segments. The cache is small on purpose: the zones are in
//!   memory already.

mod ahead;
mod compact;
mod disk;
mod error;
mod garbage;
mod gather;
mod held;
mod known;
pub mod layout;
mod page_file;
mod restore;
mod salvage;
mod sheet;
#[cfg(test)]
mod tests;
mod write;
mod writer;

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};

use crate::dns::{Name, Serial};
use crate::zone::{Diff, HashKey, Snapshot};
use ahead::Ahead;
pub use ahead::Lost;
pub use compact::kept_diff_octets_max;
use disk::{Changes, Disk, Unopened};
use error::Failure;
pub use error::{OpenError, StoreError};
pub use held::{History, Step};
pub use layout::{Damage, Ring, ZoneNumber};
use restore::{Chain, SmallTables};
pub use restore::{DatabaseDamage, Restored, Statuses};
use salvage::Salvaged;
pub use sheet::Sheet;
pub use write::{LocalContents, LocalWrite, Logged, Write};
use writer::{Answer, Haste, Job, Queue, Task, Writer};

/// How the store behaves; every bound of it.
#[derive(Clone, Debug)]
pub struct Options {
    /// sled's cache. Small: what it holds is in memory a second time. Default 16 MiB.
    pub cache_octets: u64,
    /// Most octets of history a zone; `None`: half the zone's image, at least 1 MiB.
    pub history_octets: Option<u64>,
    /// Most differences of history a zone, applied whenever the base moves. Default 100.
    pub history_versions: u32,
    /// A zone whose image is larger keeps its pages in a file of its own. Default 256 KiB, some 5,000 records: smaller
    /// zones would be too many files, and write too few octets to mind.
    pub file_octets: u64,
    /// Most octets of one atomic batch, which sled holds in its buffers at once; a change of a zone that needs more puts
    /// its pages into a file as well. Also the most octets given to a file at once. Default 16 MiB; tests set it low to
    /// have files of a few pages.
    pub batch_octets: usize,
    /// How long confirmations, statuses and first versions may wait for company: a tenth of it, or all of it after others have
    /// done so, and twice as long at the start. Default 500 ms.
    pub patience: Duration,
    /// After so long without work what sled holds in its cache, and what the writer knows of zones, is given back. Default
    /// 10 s.
    pub rest: Duration,
    /// Most writes that wait; more are refused with [`StoreError::QueueFull`]. Default 1,048,576.
    pub queue_max: usize,
    /// Threads that read zones at start. Default 2.
    pub restore_threads: usize,
    /// For tests of crashes: after so many steps (batches, syncs, writes and removals of files) every further one fails, as if the
    /// machine had stopped there. Default `None`.
    pub stop_after_steps: Option<u64>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            cache_octets: 16 << 20,
            history_octets: None,
            history_versions: 100,
            file_octets: 256 << 10,
            batch_octets: 16 << 20,
            patience: Duration::from_millis(500),
            rest: Duration::from_secs(10),
            queue_max: 1 << 20,
            restore_threads: 2,
            stop_after_steps: None,
        }
    }
}

/// The bounds that the writer keeps to.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    history_octets: Option<u64>,
    history_versions: u32,
    file_octets: u64,
    batch_octets: usize,
    rest: Duration,
}

/// Called once, on the writer's thread, when a write is durable or has failed. Must not block.
pub type Done = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// What was found about one zone at start.
#[derive(Debug)]
pub struct StoredZone {
    /// Which zone.
    pub zone: ZoneNumber,
    /// Its apex, if contents are or were stored.
    pub apex: Option<Name>,
    /// As last given with [`Write::Define`]; also among [`Restored::take_definitions`].
    pub definition: Option<Arc<[u8]>>,
    /// As last given with [`Write::Confirm`].
    pub confirmation: Option<Vec<u8>>,
    /// As last given with [`Write::Review`] or [`Write::Hold`].
    pub review: Option<Vec<u8>>,
    /// The entries of a local zone, by number.
    pub entries: Vec<(u64, Vec<u8>)>,
    /// What of the small values could not be read.
    pub damaged: Vec<String>,
    /// The zone itself.
    pub contents: Contents,
}

/// The contents of a stored zone.
#[derive(Debug)]
pub enum Contents {
    /// None are stored.
    Empty,
    /// Complete, at the stored serial.
    Loaded {
        /// Not yet checked against any policy.
        snapshot: Arc<Snapshot>,
    },
    /// Something stored is not what was written; says what. The pages are given up, definition and history are kept,
    /// and the next `Replace` heals the zone.
    Damaged(String),
}

/// What the store has done since it was opened; for telemetry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Octets of keys and values given to sled.
    pub value_octets: u64,
    /// Octets of log that our flushes found to write; sled's own thread writes more besides.
    pub log_octets: u64,
    /// Atomic batches.
    pub batches: u64,
    /// Flushes with sync.
    pub syncs: u64,
    /// Time spent in them.
    pub sync_nanos: u64,
    /// Writes that wait now.
    pub queued: u64,
    /// Octets written to files of pages.
    pub page_file_octets: u64,
    /// Size of sled's file and of the files of pages now.
    pub file_octets: u64,
    /// How often a damaged database was rebuilt while running; 0 in good times.
    pub rebuilds: u64,
    /// How often sled's cache was given back.
    pub sheds: u64,
    /// Whether all left-overs have been deleted: replaced pages, outlived history.
    pub is_tidy: bool,
}

/// The open store. Share it as `Arc<Store>`; all methods may be called from any thread.
pub struct Store {
    disk: Arc<Disk>,
    queue: Arc<Queue>,
    writer: Mutex<Option<JoinHandle<()>>>,
    key: HashKey,
    ahead: Ahead,
    sheet: Sheet,
}

impl Store {
    /// Opens the store under `directory`, or creates it. The zones come from [`Restored`], which reads them;
    /// a zone must not be written before it has come.
    ///
    /// A database that sled cannot open or read is moved to `damaged-DATE` and replaced by what can be read of it, at
    /// worst by an empty one ([`Restored::damage`]). An unknown format, a lock and errors of the system refuse to start instead.
    pub fn open(directory: &Path, options: Options) -> Result<(Store, Restored), OpenError> {
        let mut damage = None;
        let (disk, key, small) = match open_disk(directory, &options) {
            Err(Failure::Damaged(why)) => {
                tracing::error!(%why, "the store is damaged; it is being rebuilt from what can be read");
                let Salvaged { moved_to, values } = Disk::salvage(directory)?;
                tracing::error!(moved_to = %moved_to.display(), values, "the store has been rebuilt");
                damage = Some(DatabaseDamage { why, moved_to, values_kept: values });
                open_disk(directory, &options).map_err(Failure::into_error)?
            }
            opened => opened.map_err(Failure::into_error)?,
        };
        let disk = Arc::new(disk);
        let queue = Arc::new(Queue::new(options.queue_max, options.patience));
        let mut restored = restore::start(&disk, &queue, key, small, options.restore_threads);
        restored.damage = damage;
        let (ahead, lost) = Ahead::begin(directory);
        restored.lost = lost;

        let bounds = Bounds {
            history_octets: options.history_octets,
            history_versions: options.history_versions,
            file_octets: options.file_octets,
            batch_octets: options.batch_octets,
            rest: options.rest,
        };
        let thread = std::thread::Builder::new().name("store-writer".to_owned()).spawn({
            let (queue, disk) = (queue.clone(), disk.clone());
            move || write_on(&disk, bounds, &queue)
        })?;
        let store = Store { disk, queue, writer: Mutex::new(Some(thread)), key, ahead, sheet: Sheet::default() };
        Ok((store, restored))
    }

    /// Where it is; others may keep files of their own beside it.
    pub fn directory(&self) -> &Path {
        self.disk.directory()
    }

    /// The key of the owner name hash for all zones of this store.
    pub fn hash_key(&self) -> HashKey {
        self.key
    }

    /// The statuses of the primaries of all zones, which serving them does not need. If the database cannot be read it is
    /// rebuilt, and this is empty.
    ///
    /// Reads from disk: not for the keeper's thread.
    pub fn statuses(&self) -> BTreeMap<ZoneNumber, Statuses> {
        let rebuilds = self.disk.rebuilds();
        restore::read_statuses(&self.disk).unwrap_or_else(|error| {
            tracing::error!(%error, "the statuses of primaries cannot be read");
            if matches!(error, StoreError::Broken(_)) {
                self.queue.push(Job::urgent(Task::Rebuild { seen: rebuilds }));
            }
            BTreeMap::new()
        })
    }

    /// The zone is about to be served in a version that is not stored; after a kill the next start knows ([`Lost`]).
    pub fn note_ahead(&self, zone: ZoneNumber) {
        self.ahead.note(zone);
    }

    /// These are all zones with contents in the store. After [`Lost::Anything`] each of them stays noted until it has caught
    /// up; until this is called, that is what the next start finds.
    pub fn know_zones(&self, zones: HashSet<ZoneNumber>) {
        self.ahead.know(zones);
    }

    /// What is served of the zone is stored, or a primary has confirmed it, or it is no longer wanted.
    pub fn note_caught_up(&self, zone: ZoneNumber) {
        self.ahead.caught_up(zone);
    }

    /// Where the octets of small writes are put together before they are submitted.
    pub fn sheet(&self) -> &Sheet {
        &self.sheet
    }

    /// Queues a write; never blocks. `done` is called once: on the writer's thread, or here if it cannot be queued.
    /// Writes are done in the order in which they came.
    pub fn submit(&self, write: Write, done: Done) {
        let haste = write.haste();
        self.queue.push(Job { task: Task::Write(write), done: Answer::to(done), haste });
    }

    /// The same for what nobody waits for and would only cost work if it were lost: it may wait for company, as confirmations
    /// do. At a first start, when thousands of zones come, they are fetched first and stored then.
    pub fn submit_later(&self, write: Write, done: Done) {
        self.queue.push(Job { task: Task::Write(write), done: Answer::to(done), haste: Haste::MayWait });
    }

    /// Why nothing can be stored at the moment, in words; `None` while all is well.
    pub fn trouble(&self) -> Option<String> {
        let held_up =
            || self.queue.held_up().map(|since| format!("the disk has not answered for {} s", since.as_secs()));
        self.disk.trouble().map(|error| error.to_string()).or_else(held_up)
    }

    /// How often the database has been replaced since the start by what could be read of it, or by nothing. Whoever has contents
    /// that are to be there must write all of them again.
    pub fn rebuilds(&self) -> u64 {
        self.disk.rebuilds()
    }

    /// The stored differences from `serial` on, in order up to the stored serial; `None` if the history does not
    /// reach back so far, or if it comes by that serial more than once (after a roll-back): who has it may have other contents.
    /// Empty if `serial` is the stored one.
    ///
    /// Reads from disk: not for the keeper's thread.
    pub fn diffs_since(&self, zone: ZoneNumber, serial: Serial) -> Result<Option<Vec<Diff>>, StoreError> {
        let Some(header) = compact::read_header(&self.disk, zone)? else { return Ok(None) };
        let Some(first) = self.sequence_from(zone, &header, serial)? else {
            // Not the start of any difference: the stored serial itself, or unknown.
            let stored = self.stored_serial(zone, &header)?;
            return Ok((stored == serial).then(Vec::new));
        };
        let starts_here = |earlier| compact::read_head(&self.disk, zone, earlier).is_ok_and(|head| head.from == serial);
        if (header.chain_start..first).any(starts_here) {
            return Ok(None);
        }
        let mut chain = Chain::after(first - 1);
        let end = layout::behind(&layout::zone_key(layout::table::DIFF, zone));
        let mut damage = None;
        self.disk.read("read history", |tree| {
            for item in tree.range(&layout::diff_key(zone, first)[..]..&end[..]) {
                let (key, value) = item?;
                if let Err(found) = chain.push(&key, &value) {
                    damage = Some(found);
                    break;
                }
            }
            Ok(())
        })?;
        match damage {
            // The bounds of the history moved while we read: the caller sends the whole zone.
            Some(Damage::Missing(_)) => Ok(None),
            Some(damage) => Err(damage.into()),
            None => Ok(Some(chain.finish()?)),
        }
    }

    /// The difference that starts at `serial`, the newest if there should be several.
    fn sequence_from(
        &self,
        zone: ZoneNumber,
        header: &layout::Header,
        serial: Serial,
    ) -> Result<Option<u64>, StoreError> {
        let start = layout::diff_key(zone, header.chain_start);
        let end = layout::behind(&layout::zone_key(layout::table::DIFF, zone));
        self.disk.read("read history", |tree| {
            for item in tree.range(&start[..]..&end[..]).rev() {
                let (key, value) = item?;
                let Some((sequence, 0)) = layout::diff_position(&key) else { continue };
                let head = layout::open(&key, &value).ok().and_then(layout::DiffHead::decode);
                if head.is_some_and(|(head, _)| head.from == serial) {
                    return Ok(Some(sequence));
                }
            }
            Ok(None)
        })
    }

    fn stored_serial(&self, zone: ZoneNumber, header: &layout::Header) -> Result<Serial, StoreError> {
        let diffs = layout::zone_key(layout::table::DIFF, zone);
        let last = self.disk.last_key(&layout::behind(&diffs), &diffs)?;
        match last.as_deref().and_then(layout::diff_position) {
            Some((sequence, _)) if sequence > header.base_sequence => {
                Ok(compact::read_head(&self.disk, zone, sequence)?.to)
            }
            _ => Ok(header.base),
        }
    }

    /// The attempts kept of a zone, ring by ring, the oldest of each first. What is damaged is left out.
    ///
    /// Reads from disk: not for the keeper's thread. Writes that still wait are not seen.
    pub fn attempts(&self, zone: ZoneNumber) -> Result<Vec<(Ring, u64, Vec<u8>)>, StoreError> {
        let start = layout::zone_key(layout::table::ATTEMPT, zone);
        let mut attempts = Vec::new();
        self.disk.read("read attempts", |tree| {
            for item in tree.scan_prefix(&start) {
                let (key, value) = item?;
                if let (Some((ring, sequence)), Ok(body)) = (layout::attempt_position(&key), layout::open(&key, &value))
                {
                    attempts.push((ring, sequence, body.to_vec()));
                }
            }
            Ok(())
        })?;
        Ok(attempts)
    }

    /// Gives the entries of a zone's log of changes to `take`, the newest first, until it has enough (and says false).
    /// What is damaged is left out, with a line in the log of the daemon.
    ///
    /// Reads from disk: not for the keeper's thread.
    pub fn log(&self, zone: ZoneNumber, mut take: impl FnMut(Vec<u8>) -> bool) -> Result<(), StoreError> {
        let start = layout::zone_key(layout::table::LOG, zone);
        let mut entries: Vec<u64> = self.disk.read("list a log", |tree| {
            let keys = tree.scan_prefix(&start).keys();
            keys.map(|key| key.map(|key| layout::logged_of(&key).unwrap_or_default())).collect::<Result<_, _>>()
        })?;
        entries.dedup();
        for last in entries.into_iter().rev() {
            match self.disk.get_opaque(&layout::log_key(zone, last)) {
                Ok(Some(bytes)) => {
                    if !take(bytes) {
                        break;
                    }
                }
                Ok(None) => {}
                Err(StoreError::Corrupt(damage)) => {
                    tracing::error!(zone, damage, "an entry of a log of changes is lost")
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The value last written with [`Write::Meta`] under `name`.
    pub fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.disk.get_opaque(&layout::meta_key(name))
    }

    /// Every value written with [`Write::Meta`] whose name begins with `prefix`, in the order of the names. Those that
    /// cannot be read are left out, with a line in the log.
    pub fn metas(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let start = [&[layout::table::META], prefix.as_bytes()].concat();
        let keys: Vec<Vec<u8>> = self.disk.read("list values", |tree| {
            tree.scan_prefix(&start).keys().map(|key| key.map(|key| key.to_vec())).collect::<Result<_, _>>()
        })?;
        let mut names: Vec<&str> = keys.iter().filter_map(|key| layout::meta_name_of(key)).collect();
        names.dedup();
        let mut metas = Vec::with_capacity(names.len());
        for name in names {
            match self.meta(name) {
                Ok(bytes) => metas.extend(bytes.map(|bytes| (name.to_owned(), bytes))),
                Err(StoreError::Corrupt(damage)) => tracing::error!(name, damage, "stored value lost"),
                Err(error) => return Err(error),
            }
        }
        Ok(metas)
    }

    /// Whether so little waits for the disk that more work may be begun that ends in writes. True also when the disk
    /// hangs: then nobody is to wait for it.
    pub fn has_room(&self) -> bool {
        self.queue.has_room()
    }

    /// What has been done so far.
    pub fn statistics(&self) -> Statistics {
        let counters = &self.disk.counters;
        Statistics {
            value_octets: counters.value_octets.load(Ordering::Relaxed),
            log_octets: counters.log_octets.load(Ordering::Relaxed),
            batches: counters.batches.load(Ordering::Relaxed),
            syncs: counters.syncs.load(Ordering::Relaxed),
            sync_nanos: counters.sync_nanos.load(Ordering::Relaxed),
            queued: self.queue.len() as u64,
            page_file_octets: self.disk.files.written_octets(),
            file_octets: self.disk.file_octets(),
            rebuilds: self.disk.rebuilds(),
            sheds: counters.sheds.load(Ordering::Relaxed),
            is_tidy: counters.is_tidy.load(Ordering::Relaxed),
        }
    }

    /// Finishes and syncs what is queued, then refuses everything. Blocks until done.
    pub fn close(&self) {
        self.end(Ahead::end);
    }

    /// As [`Store::close`] for one of which nothing has been taken: the next start finds what this one has found.
    pub fn give_up(&self) {
        self.end(Ahead::put_back);
    }

    fn end(&self, last: impl FnOnce(&Ahead)) {
        self.queue.close();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(writer) = writer else { return };
        // The last reference may be dropped by an acknowledgement: then the writer is ending already.
        if writer.thread().id() != std::thread::current().id() {
            let (mut left, mut since) = (self.queue.len(), std::time::Instant::now());
            while !writer.is_finished() && since.elapsed() < CLOSE_PATIENCE {
                std::thread::sleep(CLOSE_PAUSE);
                if self.queue.len() != left {
                    (left, since) = (self.queue.len(), std::time::Instant::now());
                }
            }
            if !writer.is_finished() {
                tracing::error!(left, "the disk does not answer; the store is left as it is");
            } else if writer.join().is_err() {
                tracing::error!("the store's writer has panicked");
            }
        }
        last(&self.ahead);
    }
}

/// How long a stop waits while nothing comes to an end, and how often it looks.
const CLOSE_PATIENCE: Duration = Duration::from_secs(60);
const CLOSE_PAUSE: Duration = Duration::from_millis(1);
/// Before the writer begins anew after a panic.
const PANIC_PAUSE: Duration = Duration::from_secs(1);

/// The writer's thread. A panic of the writer is a bug; it fails what was being written and costs a moment, not the store.
fn write_on(disk: &Arc<Disk>, bounds: Bounds, queue: &Queue) {
    let write = || Writer::new(disk.clone(), bounds).run(queue);
    while std::panic::catch_unwind(std::panic::AssertUnwindSafe(write)).is_err() {
        tracing::error!("the store's writer has panicked; it begins anew");
        std::thread::sleep(PANIC_PAUSE);
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}

/// The database with its hash key and all small values.
fn open_disk(directory: &Path, options: &Options) -> Result<(Disk, HashKey, SmallTables), Failure> {
    let disk = Disk::open(directory, options.cache_octets, options.stop_after_steps).map_err(|e| match e {
        Unopened::Corrupt(why) => Failure::Damaged(why),
        Unopened::Locked => Failure::Refuse(OpenError::Locked),
        Unopened::Unsupported(what) => Failure::Refuse(OpenError::Unsupported(what)),
        Unopened::Io(error) => Failure::Refuse(OpenError::Io(error)),
    })?;
    let version = match disk.get(layout::VERSION_KEY) {
        Ok(Some(body)) => read_version(&body)?,
        // Without their hash key pages are of no use, but definitions, confirmations and statuses are. Zones with
        // pages turn out damaged: the key is part of their digest.
        Ok(None) => new_version(&disk)?,
        Err(StoreError::Corrupt(why)) => return Err(Failure::Damaged(why)),
        Err(error) => return Err(error.into()),
    };
    disk.know_version(&layout::Version { format: layout::FORMAT, ..version }.encode());
    if version.format < layout::FORMAT {
        // Before anything that an older version does not know: it would take the zone for damaged, and give it up.
        write_version(&disk, layout::Version { format: layout::FORMAT, ..version })?;
    }
    let small = restore::read_small_tables(&disk)?;
    Ok((disk, HashKey::from_bytes(version.hash_key), small))
}

fn read_version(body: &[u8]) -> Result<layout::Version, Failure> {
    match layout::Version::format_of(body) {
        Some(layout::FORMAT_OLDEST..=layout::FORMAT) => {}
        Some(found) => {
            return Err(Failure::Refuse(OpenError::UnknownFormat { found, expected: layout::FORMAT }));
        }
        None => return Err(Failure::Damaged("the format is not readable".to_owned())),
    }
    layout::Version::decode(body).ok_or_else(|| Failure::Damaged("the hash key is not readable".to_owned()))
}

fn new_version(disk: &Disk) -> Result<layout::Version, Failure> {
    let mut hash_key = [0; 16];
    SystemRandom::new()
        .fill(&mut hash_key)
        .map_err(|_| StoreError::failed("draw a hash key", "the system gives no randomness"))?;
    write_version(disk, layout::Version { format: layout::FORMAT, hash_key })
}

fn write_version(disk: &Disk, version: layout::Version) -> Result<layout::Version, Failure> {
    let mut changes = Changes::default();
    changes.put(layout::VERSION_KEY, &version.encode());
    disk.apply(changes)?;
    disk.sync()?;
    Ok(version)
}
