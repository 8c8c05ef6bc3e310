//! The sled database behind the store: open it, change it in batches, make changes durable. Beside it the files of
//! pages ([`PageFiles`]), which live in the same directory and share its steps.
//!
//! In: [`Changes`] from `writer` and `compact`, reads from `restore`. Out: errors by what the caller can do about them.
//! Everything that is particular to sled 0.34 is in this file; the traps it answers are listed in the docs of `store`.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use super::StoreError;
use super::layout;
use super::page_file::PageFiles;
use super::salvage::{self, Salvaged};
use crate::system;

/// Subdirectory with sled's files.
const SLED: &str = "sled";

/// Subdirectory with the pages of large zones; there once there is such a zone.
const PAGES: &str = "pages";

/// How long another holder of sled's lock is waited for: a predecessor that is just stopping, or sled's own threads
/// after a close.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// So often sled's garbage is looked at when its memory is given back; each time up to eight bags of 64 pieces are freed,
/// and hundreds wait after ten thousand zones have come.
const DEFERRED_ROUNDS: usize = 512;

/// Why the database did not open.
#[derive(Debug)]
pub(super) enum Unopened {
    /// Another process has it.
    Locked,
    /// Its files are not what sled wrote. Opening again will not help.
    Corrupt(String),
    /// Written by another version of sled or with other parameters.
    Unsupported(String),
    /// The system refused: permissions, full disk, a failing device.
    Io(io::Error),
}

impl std::fmt::Display for Unopened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unopened::Locked => f.write_str("another process has it open"),
            Unopened::Corrupt(why) | Unopened::Unsupported(why) => f.write_str(why),
            Unopened::Io(error) => error.fmt(f),
        }
    }
}

/// What has been written since start; see `Statistics`.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) value_octets: AtomicU64,
    pub(super) log_octets: AtomicU64,
    pub(super) batches: AtomicU64,
    pub(super) syncs: AtomicU64,
    pub(super) sync_nanos: AtomicU64,
    pub(super) rebuilds: AtomicU64,
    /// Octets of values read or written since the database was opened: sled keeps most of them in memory.
    pub(super) cached_octets: AtomicU64,
    /// How often they were shed.
    pub(super) sheds: AtomicU64,
    /// Zones are being read at start.
    pub(super) is_restoring: AtomicBool,
    pub(super) is_tidy: AtomicBool,
}

/// Changes of one atomic batch, in the making.
#[derive(Default)]
pub(super) struct Changes {
    batch: sled::Batch,
    octets: usize,
    count: usize,
    /// Parts written in this very batch per value in parts: what of an earlier value has to go is read from the disk,
    /// and the disk does not know these yet.
    parts: HashMap<Vec<u8>, u16>,
    /// Attempts written in this very batch, for the same reason.
    attempts: BTreeSet<Vec<u8>>,
}

impl Changes {
    /// As [`Changes::put`], of a value that [`Disk::delete_unless`] and [`Disk::trim`] are to find.
    pub(super) fn put_attempt(&mut self, key: &[u8], body: &[u8]) {
        self.put(key, body);
        self.attempts.insert(key.to_vec());
    }

    pub(super) fn put(&mut self, key: &[u8], body: &[u8]) {
        self.put_sealed(key, layout::seal(key, body));
    }

    /// As [`Changes::put`] with a value from [`layout::seal`].
    pub(super) fn put_sealed(&mut self, key: &[u8], value: Vec<u8>) {
        self.octets += key.len() + value.len();
        self.count += 1;
        self.batch.insert(key, value);
    }

    /// Adds a value in parts, and the removal of what is left of one of `before` parts on the disk.
    pub(super) fn put_opaque(&mut self, start: &[u8], octets: &[u8], before: u16) -> Result<(), StoreError> {
        if octets.len() > layout::OPAQUE_OCTETS_MAX {
            return Err(StoreError::TooLarge { octets: octets.len(), max: layout::OPAQUE_OCTETS_MAX });
        }
        let before = before.max(self.parts.get(start).copied().unwrap_or(0));
        let bodies = layout::opaque_parts(octets);
        let parts = bodies.len() as u16;
        for (part, body) in (0..).zip(&bodies) {
            self.put(&layout::part_key(start, part), body);
        }
        for part in parts..before {
            self.delete(&layout::part_key(start, part));
        }
        self.parts.insert(start.to_vec(), parts.max(before));
        Ok(())
    }

    pub(super) fn delete(&mut self, key: &[u8]) {
        self.octets += key.len();
        self.count += 1;
        self.batch.remove(key);
    }

    fn delete_attempt(&mut self, key: &[u8]) {
        self.delete(key);
        self.attempts.remove(key);
    }

    pub(super) fn octets(&self) -> usize {
        self.octets
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }
}

struct Opened {
    db: sled::Db,
    /// Our own handle of sled's log file, because `flush()` does not reach the device.
    log: File,
}

/// How many more steps (batches, syncs, writes and removals of files) are allowed, for tests of crashes; `u64::MAX` for no
/// limit.
pub(super) struct Steps(AtomicU64);

impl Steps {
    fn new(steps: Option<u64>) -> Arc<Steps> {
        Arc::new(Steps(AtomicU64::new(steps.unwrap_or(u64::MAX))))
    }

    /// Counts one step; fails for good when a test has limited them.
    pub(super) fn take(&self) -> Result<(), StoreError> {
        let take = |left: u64| match left {
            u64::MAX => Some(u64::MAX),
            left => left.checked_sub(1),
        };
        match self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
            Ok(_) => Ok(()),
            Err(_) => Err(StoreError::Stopped),
        }
    }
}

/// The open database. Reads may come from any thread, writes from the writer's only.
pub(super) struct Disk {
    directory: PathBuf,
    cache_octets: u64,
    /// `None` only after a re-opening that failed. Readers hold the lock while they use the tree.
    opened: RwLock<Option<Opened>>,
    /// What stands under [`layout::VERSION_KEY`]: a database that is made anew while we run needs it, too.
    version: OnceLock<Vec<u8>>,
    /// Why nothing can be stored at the moment.
    trouble: Mutex<Option<StoreError>>,
    pub(super) counters: Counters,
    /// The pages that are not in the database.
    pub(super) files: PageFiles,
    steps: Arc<Steps>,
}

impl Disk {
    /// Opens or creates the database under `directory`.
    pub(super) fn open(directory: &Path, cache_octets: u64, steps: Option<u64>) -> Result<Disk, Unopened> {
        fs::create_dir_all(directory).map_err(Unopened::Io)?;
        salvage::clear(&directory.join(SLED)).map_err(Unopened::Io)?;
        let opened = open_sled(&directory.join(SLED), cache_octets)?;
        let steps = Steps::new(steps);
        let files = PageFiles::open(directory.join(PAGES), steps.clone()).map_err(Unopened::Io)?;
        Ok(Disk {
            directory: directory.to_owned(),
            cache_octets,
            opened: RwLock::new(Some(opened)),
            version: OnceLock::new(),
            trouble: Mutex::default(),
            counters: Counters::default(),
            files,
            steps,
        })
    }

    /// Replaces a damaged database by what can be read of it. Not to be called while it is open.
    pub(super) fn salvage(directory: &Path) -> io::Result<Salvaged> {
        let date = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S").to_string();
        let mut aside = directory.join(format!("damaged-{date}"));
        let mut again = 1;
        while aside.exists() {
            again += 1;
            aside = directory.join(format!("damaged-{date}-{again}"));
        }
        salvage::salvage(&directory.join(SLED), aside)
    }

    /// As [`Disk::salvage`] while readers wait. `seen` is what [`Disk::rebuilds`] said before the damage was found:
    /// if it was rebuilt since, the damage is gone already.
    pub(super) fn rebuild(&self, seen: u64) -> Result<Option<Salvaged>, StoreError> {
        let mut opened = self.opened.write().unwrap_or_else(PoisonError::into_inner);
        if self.rebuilds() > seen {
            return Ok(None);
        }
        self.counters.rebuilds.fetch_add(1, Ordering::Relaxed);
        close(opened.take());
        let salvaged = Disk::salvage(&self.directory).map_err(|e| StoreError::failed("salvage", e))?;
        let path = self.directory.join(SLED);
        let fresh = open_sled(&path, self.cache_octets).map_err(|e| StoreError::failed("open", e))?;
        self.put_version(&fresh)?;
        *opened = Some(fresh);
        Ok(Some(salvaged))
    }

    /// What a database that is made anew has to say of itself.
    pub(super) fn know_version(&self, body: &[u8]) {
        let _ = self.version.set(layout::seal(layout::VERSION_KEY, body));
    }

    fn put_version(&self, fresh: &Opened) -> Result<(), StoreError> {
        let Some(version) = self.version.get() else { return Ok(()) };
        guarded("write", || {
            if fresh.db.get(layout::VERSION_KEY)?.is_none() {
                fresh.db.insert(layout::VERSION_KEY, version.as_slice())?;
            }
            Ok(())
        })
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Whether it can be read and written.
    pub(super) fn is_open(&self) -> bool {
        self.opened.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Why nothing can be stored at the moment; `None` while all is well.
    pub(super) fn trouble(&self) -> Option<StoreError> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_trouble(&self, trouble: Option<StoreError>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// How often the database has been rebuilt since it was opened.
    pub(super) fn rebuilds(&self) -> u64 {
        self.counters.rebuilds.load(Ordering::Relaxed)
    }

    /// Runs `read` on the tree. A panic inside sled is damage like any other.
    pub(super) fn read<T>(
        &self,
        operation: &'static str,
        read: impl FnOnce(&sled::Tree) -> Result<T, sled::Error>,
    ) -> Result<T, StoreError> {
        let opened = self.opened.read().unwrap_or_else(PoisonError::into_inner);
        let opened = opened.as_ref().ok_or_else(|| self.closed(operation))?;
        guarded(operation, || read(&opened.db))
    }

    /// The body under `key`, checked.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.read("read", |tree| tree.get(key))? {
            Some(value) => Ok(Some(layout::open(key, &value)?.to_vec())),
            None => Ok(None),
        }
    }

    /// The value in parts under `start`, whole; `None` if there is none.
    pub(super) fn get_opaque(&self, start: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(first) = self.get(&layout::part_key(start, 0))? else { return Ok(None) };
        let broken = || StoreError::from(layout::Damage::Missing(layout::show(start)));
        let (parts, chunk) = layout::opaque_part(&first).ok_or_else(broken)?;
        let mut octets = chunk.to_vec();
        for part in 1..parts {
            let body = self.get(&layout::part_key(start, part))?.ok_or_else(broken)?;
            octets.extend_from_slice(layout::opaque_part(&body).ok_or_else(broken)?.1);
        }
        Ok(Some(octets))
    }

    /// The first key at or behind `key` that starts with `start`.
    pub(super) fn first_key(&self, key: &[u8], start: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let end = layout::behind(start);
        let found = self.read("seek", |tree| tree.range(key..&end).next().transpose())?;
        Ok(found.map(|(key, _)| key.to_vec()))
    }

    /// The last key before `key` that starts with `start`.
    pub(super) fn last_key(&self, key: &[u8], start: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let found = self.read("seek", |tree| tree.range(start..key).next_back().transpose())?;
        Ok(found.map(|(key, _)| key.to_vec()))
    }

    /// The first zone number behind all of which anything is stored; `None` if that cannot be told.
    pub(super) fn unused_from(&self) -> Option<layout::ZoneNumber> {
        let mut used = self.files.last_zone();
        for (start, zone_of) in layout::zone_tables() {
            let last = self.last_key(&layout::behind(&start), &start).ok()?;
            used = used.max(last.as_deref().and_then(zone_of));
        }
        match used {
            Some(used) => used.checked_add(1),
            None => Some(0),
        }
    }

    /// Adds a value in parts to `changes`, and the removal of what a longer predecessor leaves behind.
    pub(super) fn put_opaque(&self, changes: &mut Changes, start: &[u8], octets: &[u8]) -> Result<(), StoreError> {
        let before = match self.read("read", |tree| tree.get(layout::part_key(start, 0)))? {
            // A damaged predecessor may have any number of parts; those left behind are never read.
            Some(value) => value.get(layout::CHECKSUM_OCTETS..).and_then(layout::opaque_part).map_or(0, |(n, _)| n),
            None => 0,
        };
        changes.put_opaque(start, octets, before)
    }

    /// Adds the removal of everything that starts with `start` and is not before `from` to `changes`; for tables with
    /// few keys a zone.
    pub(super) fn delete_all(&self, changes: &mut Changes, start: &[u8], from: &[u8]) -> Result<(), StoreError> {
        let end = layout::behind(start);
        let keys: Vec<sled::IVec> =
            self.read("scan", |tree| tree.range(from..&end).keys().collect::<Result<_, _>>())?;
        for key in keys {
            changes.delete(&key);
        }
        let staged: Vec<(Vec<u8>, u16)> = changes
            .parts
            .iter()
            .filter(|(written, _)| written.starts_with(start) && written.as_slice() >= from)
            .map(|(written, parts)| (written.clone(), *parts))
            .collect();
        for (written, parts) in staged {
            for part in 0..parts {
                changes.delete(&layout::part_key(&written, part));
            }
        }
        Ok(())
    }

    /// Adds the removal of all but the last `keep` attempts whose keys start with `start`.
    pub(super) fn trim(&self, changes: &mut Changes, start: &[u8], keep: usize) -> Result<(), StoreError> {
        let keys = self.attempts(changes, start)?;
        let surplus = keys.len().saturating_sub(keep);
        keys.into_iter().take(surplus).for_each(|key| changes.delete_attempt(&key));
        Ok(())
    }

    /// Adds the removal of every attempt whose key starts with `start`, unless `is_kept`.
    pub(super) fn delete_unless(
        &self,
        changes: &mut Changes,
        start: &[u8],
        is_kept: impl Fn(&[u8]) -> bool,
    ) -> Result<(), StoreError> {
        let keys = self.attempts(changes, start)?;
        keys.into_iter().filter(|key| !is_kept(key)).for_each(|key| changes.delete_attempt(&key));
        Ok(())
    }

    /// The keys of attempts under `start`, on disk and in `changes`, in order.
    fn attempts(&self, changes: &Changes, start: &[u8]) -> Result<BTreeSet<Vec<u8>>, StoreError> {
        let stored = self.read("scan", |tree| {
            tree.scan_prefix(start).keys().map(|key| key.map(|key| key.to_vec())).collect::<Result<BTreeSet<_>, _>>()
        })?;
        let staged = changes.attempts.range(start.to_vec()..).take_while(|key| key.starts_with(start));
        Ok(stored.into_iter().chain(staged.cloned()).collect())
    }

    // -- changes ------------------------------------------------------------------------------------

    /// Applies `changes` as one atomic batch; durable after the next [`Disk::sync`].
    pub(super) fn apply(&self, changes: Changes) -> Result<(), StoreError> {
        self.steps.take()?;
        self.count_written(changes.octets);
        self.counters.batches.fetch_add(1, Ordering::Relaxed);
        self.read("write", |tree| tree.apply_batch(changes.batch))
    }

    fn count_written(&self, octets: usize) {
        self.counters.value_octets.fetch_add(octets as u64, Ordering::Relaxed);
        self.count_cached(octets);
    }

    /// Notes that sled now holds `octets` more in its cache.
    pub(super) fn count_cached(&self, octets: usize) {
        self.counters.cached_octets.fetch_add(octets as u64, Ordering::Relaxed);
    }

    /// Whether more has passed through sled's cache than it should hold. It keeps what was just written beyond its
    /// capacity, and what was read until something else is.
    pub(super) fn is_cache_overfull(&self) -> bool {
        self.has_cached(self.cache_octets)
    }

    /// Whether zones are being read for the first time.
    pub(super) fn is_restoring(&self) -> bool {
        self.counters.is_restoring.load(Ordering::Relaxed)
    }

    /// Whether more than `octets` have passed through sled's cache since it was opened, and nothing is being restored.
    pub(super) fn has_cached(&self, octets: u64) -> bool {
        let counters = &self.counters;
        !self.is_restoring() && counters.cached_octets.load(Ordering::Relaxed) > octets
    }

    /// Gives the memory of sled's cache back, which it only does when it is closed. Readers wait for some 30 ms and more.
    pub(super) fn shed_cache(&self) -> Result<(), Unopened> {
        self.counters.sheds.fetch_add(1, Ordering::Relaxed);
        // Before it is opened, too: what sled allocates anew would lie between the pieces of its cache that are not freed
        // yet, or freed and not joined again, all over what that was.
        self.reopen_after(|| {
            free_deferred();
            system::give_back_freed_memory();
        })?;
        free_deferred();
        system::give_back_freed_memory();
        Ok(())
    }

    /// Returns when everything applied so far is on the device.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        self.steps.take()?;
        let started = std::time::Instant::now();
        let opened = self.opened.read().unwrap_or_else(PoisonError::into_inner);
        let opened = opened.as_ref().ok_or_else(|| self.closed("flush"))?;
        let octets = guarded("flush", || opened.db.flush())?;
        // sled's flush is sync_file_range, which neither waits for the device's cache nor for the file's length.
        opened.log.sync_data().map_err(|e| StoreError::failed("sync", e))?;
        self.sync_side_files()?;
        self.counters.log_octets.fetch_add(octets as u64, Ordering::Relaxed);
        self.counters.syncs.fetch_add(1, Ordering::Relaxed);
        self.counters.sync_nanos.fetch_add(started.elapsed().as_nanos() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// A merge of two unusually full leaves may still make a side file, which sled never syncs. There are none but
    /// for that, so looking is cheap.
    fn sync_side_files(&self) -> Result<(), StoreError> {
        let blobs = self.directory.join(SLED).join("blobs");
        let failed = |e: io::Error| StoreError::failed("sync", e);
        let mut any = false;
        for entry in fs::read_dir(&blobs).map_err(failed)? {
            match File::open(entry.map_err(failed)?.path()) {
                Ok(file) => file.sync_all().map_err(failed)?,
                // sled's own clean-up was faster.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(failed(e)),
            }
            any = true;
        }
        if any { File::open(&blobs).and_then(|dir| dir.sync_all()).map_err(failed) } else { Ok(()) }
    }

    /// Waits for readers and closes; reads fail from now on.
    pub(super) fn close(&self) {
        close(self.opened.write().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Why it is not open, as far as that is known.
    fn closed(&self, operation: &'static str) -> StoreError {
        self.trouble().unwrap_or_else(|| StoreError::failed(operation, "the database is not open"))
    }

    /// Closes and opens again. sled refuses everything after its first failed write; this is how the store gets over
    /// a disk that was full.
    pub(super) fn reopen(&self) -> Result<(), Unopened> {
        self.reopen_after(|| {})
    }

    fn reopen_after(&self, closed: impl FnOnce()) -> Result<(), Unopened> {
        let mut opened = self.opened.write().unwrap_or_else(PoisonError::into_inner);
        close(opened.take());
        closed();
        self.counters.cached_octets.store(0, Ordering::Relaxed);
        let path = self.directory.join(SLED);
        let is_gone = !path.join("db").exists();
        let fresh = open_sled(&path, self.cache_octets)?;
        if is_gone {
            // Somebody has removed it under us. Whoever has the contents must write all of them.
            tracing::error!(path = %path.display(), "the database was removed while it was in use; it is written anew");
            self.counters.rebuilds.fetch_add(1, Ordering::Relaxed);
            self.put_version(&fresh).map_err(|error| Unopened::Io(io::Error::other(error)))?;
        }
        *opened = Some(fresh);
        Ok(())
    }

    /// Octets of sled's file and of the files of pages.
    pub(super) fn file_octets(&self) -> u64 {
        let log = fs::metadata(self.directory.join(SLED).join("db"));
        log.map_or(0, |log| log.len()) + self.files.octets()
    }

    /// Whether a test's limit of steps is used up.
    pub(super) fn is_stopped(&self) -> bool {
        self.steps.0.load(Ordering::Relaxed) == 0
    }
}

/// Closes the database. sled panics where the last sync of its file fails; then it is not known what of the last writes is on the
/// disk, which those who wrote were told.
fn close(opened: Option<Opened>) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(opened))) {
        tracing::warn!(why = panic_text(&*panic), "the database could not be closed properly");
    }
}

/// Frees what sled has replaced and left for later, when no reader can have it any more: thousands of nodes, and later comes
/// with the next write, which a quiet store waits long for.
fn free_deferred() {
    for _ in 0..DEFERRED_ROUNDS {
        crossbeam_epoch::pin().flush();
    }
}

/// sled has assertions on what it reads from its files. What they find is damage of the files, not of this process.
fn guarded<T>(operation: &'static str, run: impl FnOnce() -> Result<T, sled::Error>) -> Result<T, StoreError> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(sled::Error::Corruption { at, .. })) => {
            Err(StoreError::Broken(format!("sled finds its file damaged ({at:?}) in {operation}")))
        }
        Ok(Err(error)) => Err(StoreError::failed(operation, error)),
        Err(panic) => Err(StoreError::Broken(format!("sled panicked in {operation}: {}", panic_text(&*panic)))),
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

fn open_sled(path: &Path, cache_octets: u64) -> Result<Opened, Unopened> {
    let is_new = !path.join("db").exists();
    mend_settings(path).map_err(Unopened::Io)?;
    let config = sled::Config::new().path(path).cache_capacity(cache_octets);
    let mut waited = Duration::ZERO;
    let db = loop {
        match catch_unwind(AssertUnwindSafe(|| config.open())) {
            Ok(Ok(db)) => break db,
            Ok(Err(sled::Error::Io(e))) if is_lock(&e) => {
                if waited >= LOCK_PATIENCE {
                    return Err(Unopened::Locked);
                }
                std::thread::sleep(LOCK_PAUSE);
                waited += LOCK_PAUSE;
            }
            Ok(Err(sled::Error::Io(e))) => match e.kind() {
                io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
                    return Err(Unopened::Corrupt(e.to_string()));
                }
                _ => return Err(Unopened::Io(e)),
            },
            Ok(Err(sled::Error::Unsupported(what))) => return Err(Unopened::Unsupported(what)),
            Ok(Err(error)) => return Err(Unopened::Corrupt(error.to_string())),
            Err(panic) => return Err(Unopened::Corrupt(panic_text(&*panic).to_owned())),
        }
    };
    let log = File::options().read(true).write(true).open(path.join("db")).map_err(Unopened::Io)?;
    if is_new {
        // The names of new files and directories are durable only when their directories are.
        let parents = [path.to_owned(), path.join("..")];
        for directory in parents {
            File::open(directory).and_then(|dir| dir.sync_all()).map_err(Unopened::Io)?;
        }
    }
    Ok(Opened { db, log })
}

/// sled's file of settings is made anew where it is damaged: sled only warns of that, and then finds that another version has
/// written everything, or settings with which nothing can be read. All of ours are its defaults.
fn mend_settings(path: &Path) -> io::Result<()> {
    let file = path.join("conf");
    let octets = match fs::read(&file) {
        Ok(octets) => octets,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let is_whole = octets
        .split_last_chunk::<4>()
        .is_some_and(|(settings, sum)| crc32fast::hash(settings) == u32::from_le_bytes(*sum));
    if !is_whole && path.join("db").exists() {
        tracing::error!(file = %file.display(), "the settings of the database are damaged; they are made anew");
        fs::remove_file(&file)?;
    }
    Ok(())
}

/// sled reports its lock only in words.
fn is_lock(error: &io::Error) -> bool {
    error.to_string().contains("could not acquire lock")
}
