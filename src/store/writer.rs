//! The one thread that writes: takes what has been submitted, makes one batch of it, makes it durable, acknowledges.
//!
//! In: [`Job`]s from `Store::submit`. Out: calls of their `done`. A group is everything that has arrived while the
//! group before was being synced, so under load many zones share one sync and alone a write waits for nobody.
//! Refresh confirmations and primary statuses may wait a moment for company ([`Haste`]); a lost one only makes a zone
//! expire earlier. A version from a primary waits 2 ms for its own. Old generations and histories are deleted in
//! small batches between groups.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::disk::{Changes, Disk, Unopened};
use super::garbage::{Garbage, Sweep};
use super::known::{KnownZones, Part};
use super::layout::{self, ZoneNumber, table};
use super::salvage::Salvaged;
use super::{Bounds, Done, LocalContents, LocalWrite, Logged, StoreError, Write};
use crate::system;

/// How long the new version of a transferred zone waits for its confirmation and status, which `control` submits right
/// behind it: each batch of its own writes two or three blocks of the log, however little it holds.
const LINGER: Duration = Duration::from_millis(2);

/// Parts of old entries of a log that go with a new entry; more than most have, so the old ones run out.
const LOG_PARTS_FORGOTTEN: usize = 1024;

/// Most jobs of one group; with statuses of a few hundred octets far from a full batch. With eight times as many there are
/// fewer syncs, during which zones are fetched, and as much is to be done between them.
const GROUP_JOBS_MAX: usize = 512;

/// A writer that has not come for work so long is held up by its disk.
const HELD_UP: Duration = Duration::from_secs(10);

/// How much longer the search for left-overs rests than it has worked: it reads the whole tree at a time when others have
/// much to do.
const SWEEP_RESTS: u32 = 9;

/// A rest gives memory back if sled may hold more than this: what is less is not worth opening the database again.
const RESTING_OCTETS: u64 = 1 << 20;

/// What the writer is asked to do.
pub(super) enum Task {
    /// From above.
    Write(Write),
    /// From `restore`: the contents of this zone are damaged.
    Forget(Forget),
    /// From `restore`: sled could not read its file, when it had been rebuilt so often.
    Rebuild {
        /// See [`Disk::rebuild`].
        seen: u64,
    },
}

/// What is left of a damaged zone.
pub(super) struct Forget {
    pub(super) zone: ZoneNumber,
    /// The generation found damaged; a newer one is left alone.
    pub(super) generation: u32,
    /// The first difference that cannot be used, if the damage is in the journal.
    pub(super) damaged_sequence: Option<u64>,
}

/// One task and whom to tell.
pub(super) struct Job {
    pub(super) task: Task,
    pub(super) done: Answer,
    /// When it is to be done.
    pub(super) haste: Haste,
}

/// How long a job may wait for others, with which it is then made durable at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Haste {
    /// Not at all.
    Urgent,
    /// [`LINGER`].
    Lingers,
    /// [`Options::patience`](super::Options::patience).
    MayWait,
}

impl Job {
    /// As soon as may be.
    pub(super) fn urgent(task: Task) -> Job {
        Job { task, done: Answer::to(Box::new(drop)), haste: Haste::Urgent }
    }
}

/// Whom to tell what became of a task. Told in any case: where the writer has panicked over it, that it failed.
pub(super) struct Answer(Option<Done>);

impl Answer {
    pub(super) fn to(done: Done) -> Answer {
        Answer(Some(done))
    }

    fn give(mut self, outcome: Result<(), StoreError>) {
        if let Some(done) = self.0.take() {
            done(outcome);
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(done) = self.0.take() {
            done(Err(StoreError::failed("write", "internal error of the store; see the log")));
        }
    }
}

/// The bounded queue in front of the writer.
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    wake: Condvar,
    jobs_max: usize,
    patience: Duration,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    /// So many of them, the oldest, are to be done now: up to the last that is urgent, or all that were there when the others
    /// had waited enough. What is said of the others below is said of those behind them.
    owed: usize,
    /// When the oldest of jobs that only linger came.
    lingering: Option<Instant>,
    /// When the oldest of jobs that may wait came.
    since: Option<Instant>,
    /// When jobs that may wait had waited long enough last.
    waited: Option<Instant>,
    /// When the writer took its last group.
    taken: Option<Instant>,
    /// The writer is to look for other work.
    nudged: bool,
    closing: bool,
}

impl Waiting {
    /// All that are there are to be done now.
    fn owe_all(&mut self) {
        (self.owed, self.lingering, self.since) = (self.jobs.len(), None, None);
    }

    /// When the jobs that may wait have waited enough: a full `patience` after such jobs last had, so that there are no
    /// more syncs than that; else a tenth of it, so that a confirmation now and then is durable almost at once.
    fn due(&self, patience: Duration) -> Option<Instant> {
        let company = self.since? + patience / 10;
        Some(self.waited.map_or(company, |waited| company.max(waited + patience)))
    }

    /// When there is a group, if nothing urgent comes.
    fn ready_at(&self, patience: Duration) -> Option<Instant> {
        let lingered = self.lingering.map(|since| since + LINGER);
        lingered.into_iter().chain(self.due(patience)).min()
    }
}

impl Queue {
    /// An empty one. At a start others have much to do, so what may wait begins with twice the `patience`.
    pub(super) fn new(jobs_max: usize, patience: Duration) -> Queue {
        let waiting = Waiting { waited: Some(Instant::now() + patience), ..Waiting::default() };
        Queue { waiting: Mutex::new(waiting), wake: Condvar::new(), jobs_max, patience }
    }

    /// Adds a job, or calls its `done` with the reason why not.
    pub(super) fn push(&self, job: Job) {
        let mut waiting = self.lock();
        let refused = match () {
            () if waiting.closing => StoreError::Closed,
            () if waiting.jobs.len() >= self.jobs_max => StoreError::QueueFull,
            () => {
                let haste = job.haste;
                waiting.jobs.push_back(job);
                match haste {
                    Haste::Urgent => waiting.owe_all(),
                    Haste::Lingers => _ = waiting.lingering.get_or_insert_with(Instant::now),
                    Haste::MayWait => _ = waiting.since.get_or_insert_with(Instant::now),
                }
                self.wake.notify_one();
                return;
            }
        };
        drop(waiting);
        job.done.give(Err(refused));
    }

    /// Since when the writer has not come although something waits.
    pub(super) fn held_up(&self) -> Option<Duration> {
        let waiting = self.lock();
        let taken = waiting.taken.filter(|_| !waiting.jobs.is_empty())?;
        Some(taken.elapsed()).filter(|since| *since >= HELD_UP)
    }

    /// The next group; empty if there is nothing and the caller has other work, or nothing comes for `limit`; `None` when
    /// closed and empty.
    fn take(&self, has_other_work: bool, limit: Option<Duration>) -> Option<Vec<Job>> {
        let mut waiting = self.lock();
        loop {
            let now = Instant::now();
            let ready_at = waiting.ready_at(self.patience);
            if waiting.closing || ready_at.is_some_and(|ready_at| ready_at <= now) {
                if waiting.due(self.patience).is_some_and(|due| due <= now) {
                    waiting.waited = Some(now);
                }
                waiting.owe_all();
            }
            if waiting.owed > 0 {
                waiting.taken = Some(now);
                let count = waiting.owed.min(GROUP_JOBS_MAX);
                waiting.owed -= count;
                let group = waiting.jobs.drain(..count).collect();
                if waiting.jobs.is_empty() {
                    waiting.jobs.shrink_to(GROUP_JOBS_MAX);
                }
                return Some(group);
            }
            if waiting.closing {
                return None;
            }
            if waiting.lingering.is_none() && (has_other_work || std::mem::take(&mut waiting.nudged)) {
                return Some(Vec::new());
            }
            waiting = match ready_at {
                Some(ready_at) => {
                    let left = ready_at.saturating_duration_since(now);
                    self.wake.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0
                }
                None => match limit {
                    Some(limit) => {
                        let (waiting, waited) =
                            self.wake.wait_timeout(waiting, limit).unwrap_or_else(PoisonError::into_inner);
                        if waited.timed_out() && waiting.jobs.is_empty() {
                            return Some(Vec::new());
                        }
                        waiting
                    }
                    None => self.wake.wait(waiting).unwrap_or_else(PoisonError::into_inner),
                },
            };
        }
    }

    /// Lets the writer look for other work.
    pub(super) fn nudge(&self) {
        self.lock().nudged = true;
        self.wake.notify_one();
    }

    /// Lets the writer finish what is queued and end; later jobs are refused.
    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.wake.notify_all();
    }

    pub(super) fn len(&self) -> usize {
        self.lock().jobs.len()
    }

    /// See `Store::has_room`. Half of the bound is for what cannot be held back.
    pub(super) fn has_room(&self) -> bool {
        let waiting = self.lock();
        waiting.jobs.len() < self.jobs_max / 2 || waiting.taken.is_none_or(|taken| taken.elapsed() >= HELD_UP)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A batch in the making and those who wait for it.
#[derive(Default)]
pub(super) struct Group {
    pub(super) changes: Changes,
    waiting: Vec<Answer>,
    /// Zones whose state in memory is ahead of the disk because of this group.
    pub(super) touched: HashSet<ZoneNumber>,
    /// What no header counts any more once this group is durable, and not before.
    pub(super) garbage: Vec<Garbage>,
}

/// The writer's own state. What it knows of a zone is read from the disk on first use and forgotten after a failure,
/// so that memory never disagrees with the disk for longer than a group.
pub(super) struct Writer {
    pub(super) disk: Arc<Disk>,
    pub(super) bounds: Bounds,
    pub(super) known: KnownZones,
    pub(super) garbage: VecDeque<Garbage>,
    pub(super) sweep: Option<Sweep>,
    /// When it goes on.
    sweeps_at: Instant,
    /// How long it, and what it found, has been worked at since it last rested.
    swept: Duration,
    pub(super) group: Group,
    /// Whether what is being staged must stay in one batch, however large.
    pub(super) is_whole: bool,
    /// Whether all that sled shows is known to be on the device. Nothing is deleted while it is not: the header that
    /// makes it garbage might not survive.
    is_synced: bool,
    /// When the last group came.
    worked: Instant,
}

impl Writer {
    pub(super) fn new(disk: Arc<Disk>, bounds: Bounds) -> Writer {
        let known = KnownZones::new(disk.unused_from());
        Writer {
            disk,
            bounds,
            known,
            garbage: VecDeque::new(),
            sweep: Some(Sweep::default()),
            sweeps_at: Instant::now(),
            swept: Duration::ZERO,
            group: Group::default(),
            is_whole: false,
            is_synced: false,
            worked: Instant::now(),
        }
    }

    /// Works until the queue is closed and empty.
    pub(super) fn run(mut self, queue: &Queue) {
        // What is published is seen by all; that it is stored, by few. With ten thousand new zones the writer would take a
        // quarter of two processors from those who fetch them.
        system::schedule::give_way();
        // What a killed predecessor wrote may so far stand in the system's cache only.
        self.is_synced = self.disk.sync().is_ok();
        while let Some(jobs) = queue.take(self.has_garbage() || self.is_to_shed(), self.wait_limit()) {
            if jobs.is_empty() {
                if self.has_garbage() {
                    self.collect_paced();
                    self.report_tidiness();
                } else if self.is_to_shed() || self.rest() == Some(Duration::ZERO) {
                    self.shed_cache();
                }
                continue;
            }
            self.worked = Instant::now();
            if !self.disk.is_open() && !self.disk.is_stopped() {
                // The disk may be well again; what comes shall not have to fail first.
                self.open_again();
                if let Some(why) = self.disk.trouble().filter(|_| !self.disk.is_open()) {
                    jobs.into_iter().for_each(|job| job.done.give(Err(why.clone())));
                    continue;
                }
            }
            for job in jobs {
                self.stage(job);
            }
            self.commit();
            // Under steady load there is no idle moment; the old generations must go all the same.
            if self.has_garbage() {
                self.collect_paced();
            }
            self.report_tidiness();
        }
        if let Err(error) = self.disk.sync() {
            tracing::debug!(%error, "last sync of the store");
        }
        self.disk.close();
    }

    fn report_tidiness(&self) {
        let is_tidy = self.sweep.is_none() && self.garbage.is_empty();
        self.disk.counters.is_tidy.store(is_tidy, Ordering::Relaxed);
    }

    /// While zones are being restored all of the processors is theirs; the last of them wakes us.
    fn may_collect(&self) -> bool {
        self.is_synced && !self.disk.is_stopped() && !self.disk.is_restoring()
    }

    fn has_garbage(&self) -> bool {
        let is_to_sweep = || self.sweep.is_some() && self.sweeps_at <= Instant::now();
        self.may_collect() && (!self.garbage.is_empty() || is_to_sweep())
    }

    /// Collects; when nothing is left of what the search has found, the search rests by what both took.
    fn collect_paced(&mut self) {
        let began = Instant::now();
        self.collect_garbage();
        self.swept += began.elapsed();
        if self.garbage.is_empty() {
            self.sweeps_at = Instant::now() + std::mem::take(&mut self.swept) * SWEEP_RESTS;
        }
    }

    /// In a quiet moment only: whoever writes or reads waits meanwhile.
    fn is_to_shed(&self) -> bool {
        self.is_synced && !self.disk.is_stopped() && self.disk.is_cache_overfull()
    }

    /// How much longer nothing must come before memory is given back; `None` if there is too little of it.
    fn rest(&self) -> Option<Duration> {
        let is_worth_it = self.is_synced && !self.disk.is_stopped() && self.disk.has_cached(RESTING_OCTETS);
        // the search reads everything: what is given back before its end would be taken again
        let is_worth_it = is_worth_it && self.sweep.is_none();
        is_worth_it.then(|| self.bounds.rest.saturating_sub(self.worked.elapsed()))
    }

    /// How long to wait for a group before something else is to be done; `None`: for good.
    fn wait_limit(&self) -> Option<Duration> {
        let is_sweeping = self.may_collect() && self.sweep.is_some();
        let sweep = is_sweeping.then(|| self.sweeps_at.saturating_duration_since(Instant::now()));
        self.rest().into_iter().chain(sweep).min()
    }

    fn shed_cache(&mut self) {
        self.known.forget_all();
        match self.disk.shed_cache() {
            Ok(()) => {}
            Err(Unopened::Corrupt(why)) => self.recover_from(&StoreError::Broken(why)),
            Err(error) => {
                tracing::error!(%error, "the store could not be opened again; the next write tries once more");
                self.disk.set_trouble(Some(StoreError::failed("open", error)));
            }
        }
    }

    fn stage(&mut self, job: Job) {
        let staged = match job.task {
            Task::Write(write) => self.stage_write(write),
            Task::Forget(forget) => self.forget(&forget),
            Task::Rebuild { seen } => {
                self.commit();
                self.rebuild(seen)
            }
        };
        match staged {
            Ok(()) => self.group.waiting.push(job.done),
            Err(error) => {
                // With changes in the group its own commit will notice.
                if self.group.changes.is_empty() {
                    self.recover_from(&error);
                }
                job.done.give(Err(error));
            }
        }
    }

    /// Adds a write to the group, or does it at once where it is too large for one batch.
    ///
    /// On an error nothing of it stays in the group.
    fn stage_write(&mut self, write: Write) -> Result<(), StoreError> {
        match write {
            Write::Define { zone, bytes } => {
                self.make_room(bytes.len());
                self.put_opaque(zone, Part::Definition, &layout::zone_key(table::DEFINITION, zone), &bytes)
            }
            Write::Confirm { zone, bytes } => {
                if bytes.len() > layout::BODY_OCTETS_MAX {
                    return Err(StoreError::TooLarge { octets: bytes.len(), max: layout::BODY_OCTETS_MAX });
                }
                self.make_room(bytes.len());
                self.group.changes.put(&layout::zone_key(table::CONFIRMATION, zone), &bytes);
                Ok(())
            }
            Write::Primary { zone, index, bytes } => {
                self.make_room(bytes.len());
                self.put_opaque(zone, Part::Primaries, &layout::primary_key(zone, index), &bytes)
            }
            Write::ForgetPrimaries { zone, from } => {
                let start = layout::zone_key(table::PRIMARY, zone);
                let keep_before = layout::primary_key(zone, from);
                self.disk.delete_all(&mut self.group.changes, &start, &keep_before)
            }
            Write::Attempt { zone, ring, sequence, bytes, keep } => {
                if bytes.len() > layout::BODY_OCTETS_MAX {
                    return Err(StoreError::TooLarge { octets: bytes.len(), max: layout::BODY_OCTETS_MAX });
                }
                self.make_room(bytes.len());
                self.group.changes.put_attempt(&layout::attempt_key(zone, &ring, sequence), &bytes);
                if self.known.is_first(zone, Part::Attempts) && keep > 0 {
                    return Ok(());
                }
                self.disk.trim(&mut self.group.changes, &layout::ring_key(zone, &ring), keep as usize)
            }
            Write::ForgetAttempts { zone, keep } => {
                let is_kept = |key: &[u8]| layout::attempt_position(key).is_some_and(|(ring, _)| keep.contains(&ring));
                let start = layout::zone_key(table::ATTEMPT, zone);
                self.disk.delete_unless(&mut self.group.changes, &start, is_kept)
            }
            Write::Meta { name, bytes: Some(bytes) } => {
                self.make_room(bytes.len());
                self.disk.put_opaque(&mut self.group.changes, &layout::meta_key(&name), &bytes)
            }
            Write::Meta { name, bytes: None } => {
                let key = layout::meta_key(&name);
                self.disk.delete_all(&mut self.group.changes, &key, &key)
            }
            Write::Review { zone, bytes, drop_held } => self.review(zone, bytes.as_deref(), drop_held),
            Write::Hold { zone, snapshot, review } => self.hold(zone, &snapshot, &review),
            Write::Noted { zone, contents, bytes } => {
                self.stage_write(*contents)?;
                self.note(zone, &bytes)
            }
            Write::Local { zones, metas } => self.stage_local(zones, metas),
            Write::Remove { zone } => self.remove(zone),
            Write::Replace { zone, snapshot, diff } => self.replace(zone, &snapshot, diff),
            Write::Append { zone, snapshot, diffs } => self.append(zone, &snapshot, &diffs),
        }
    }

    /// Adds a value in parts, and the removal of what a longer one before it leaves behind.
    fn put_opaque(&mut self, zone: ZoneNumber, part: Part, start: &[u8], octets: &[u8]) -> Result<(), StoreError> {
        if self.known.is_first(zone, part) {
            return self.group.changes.put_opaque(start, octets, 0);
        }
        self.disk.put_opaque(&mut self.group.changes, start, octets)
    }

    /// Adds changes of local zones to a group of their own, so that they are one batch, and nothing of them stays if
    /// one fails.
    fn stage_local(&mut self, zones: Vec<LocalWrite>, metas: Vec<(String, Option<Vec<u8>>)>) -> Result<(), StoreError> {
        self.commit();
        self.is_whole = true;
        let staged = self.put_local(zones, metas);
        self.is_whole = false;
        if staged.is_err() {
            for zone in std::mem::take(&mut self.group).touched {
                self.known.forget(zone);
            }
        }
        staged
    }

    fn put_local(&mut self, zones: Vec<LocalWrite>, metas: Vec<(String, Option<Vec<u8>>)>) -> Result<(), StoreError> {
        for LocalWrite { zone, definition, entries, contents, log, whole } in zones {
            match contents {
                LocalContents::Unchanged => {}
                LocalContents::New { snapshot, diffs } if diffs.is_empty() => self.replace(zone, &snapshot, None)?,
                LocalContents::New { snapshot, diffs } => self.append(zone, &snapshot, &diffs)?,
                LocalContents::Removed => self.remove(zone)?,
            }
            if let Some(last) = whole {
                let start = layout::zone_key(table::ENTRY, zone);
                self.disk.delete_all(&mut self.group.changes, &start, &start)?;
                let start = layout::zone_key(table::LOG, zone);
                let behind = layout::log_key(zone, last.saturating_add(1));
                self.disk.delete_all(&mut self.group.changes, &start, &behind)?;
            }
            if let Some(bytes) = definition {
                self.put_opaque(zone, Part::Definition, &layout::zone_key(table::DEFINITION, zone), &bytes)?;
            }
            for (number, bytes) in entries {
                let key = layout::entry_key(zone, number);
                match bytes {
                    Some(bytes) => self.disk.put_opaque(&mut self.group.changes, &key, &bytes)?,
                    None => self.disk.delete_all(&mut self.group.changes, &key, &key)?,
                }
            }
            if let Some(log) = log {
                self.put_log(zone, &log)?;
            }
        }
        for (name, bytes) in metas {
            let key = layout::meta_key(&name);
            match bytes {
                Some(bytes) => self.disk.put_opaque(&mut self.group.changes, &key, &bytes)?,
                None => self.disk.delete_all(&mut self.group.changes, &key, &key)?,
            }
        }
        Ok(())
    }

    /// Adds an entry to a zone's log of changes, and removes old ones.
    fn put_log(&mut self, zone: ZoneNumber, Logged { last, bytes, forget }: &Logged) -> Result<(), StoreError> {
        self.disk.put_opaque(&mut self.group.changes, &layout::log_key(zone, *last), bytes)?;
        let (from, end) = (layout::log_key(zone, 0), layout::behind(&layout::log_key(zone, *forget)));
        let outlived: Vec<sled::IVec> = self
            .disk
            .read("scan", |tree| tree.range(from..end).keys().take(LOG_PARTS_FORGOTTEN).collect::<Result<_, _>>())?;
        outlived.iter().for_each(|key| self.group.changes.delete(key));
        Ok(())
    }

    /// Commits the group first if `octets` more would make its batch too large. A single larger value gets a batch of
    /// its own.
    pub(super) fn make_room(&mut self, octets: usize) {
        // Keys and checksums come on top: an eighth is plenty for parts of 6,400 octets.
        if !self.is_whole && self.group.changes.octets() + octets + octets / 8 > self.bounds.batch_octets {
            self.commit();
        }
    }

    /// Makes the group durable and tells everybody who waits for it.
    pub(super) fn commit(&mut self) {
        let group = std::mem::take(&mut self.group);
        let outcome = if group.changes.is_empty() {
            Ok(())
        } else {
            self.disk.apply(group.changes).and_then(|()| self.disk.sync())
        };
        match &outcome {
            Ok(()) => {
                self.is_synced = true;
                self.disk.set_trouble(None);
                self.garbage.extend(group.garbage);
            }
            Err(error) => {
                self.is_synced = false;
                self.disk.set_trouble(Some(error.clone()));
                self.sweep = Some(Sweep::default());
                for zone in &group.touched {
                    self.known.forget(*zone);
                }
                self.recover_from(error);
            }
        }
        self.report_tidiness();
        for done in group.waiting {
            done.give(outcome.clone());
        }
    }

    /// After a failed write sled refuses everything until it is opened again, and next to a damaged leaf nothing can
    /// be written until the database has been rebuilt.
    fn recover_from(&mut self, error: &StoreError) {
        if self.disk.is_stopped() {
            return;
        }
        match error {
            StoreError::Failed { .. } => {
                tracing::warn!(%error, "a write to the store failed; opening it again");
                self.open_again();
            }
            StoreError::Broken(_) => self.build_again(),
            _ => {}
        }
    }

    fn open_again(&mut self) {
        self.known.forget_all();
        match self.disk.reopen() {
            Ok(()) => {}
            Err(Unopened::Corrupt(_)) => self.build_again(),
            Err(error) => {
                tracing::error!(%error, "the store cannot be opened again; the next write tries once more");
                self.disk.set_trouble(Some(StoreError::failed("open", error)));
            }
        }
    }

    fn build_again(&mut self) {
        if let Err(error) = self.rebuild(self.disk.rebuilds()) {
            tracing::error!(%error, "the store cannot be rebuilt; the next write tries once more");
            self.disk.set_trouble(Some(error));
        }
    }

    fn rebuild(&mut self, seen: u64) -> Result<(), StoreError> {
        tracing::error!("the store is damaged; it is being rebuilt from what can be read");
        self.known.forget_all();
        self.garbage.clear();
        self.sweep = Some(Sweep::default());
        if let Some(Salvaged { moved_to, values }) = self.disk.rebuild(seen)? {
            tracing::error!(moved_to = %moved_to.display(), values, "the store has been rebuilt");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_that_is_half_full_has_no_room_unless_its_writer_is_held_up() {
        let queue = Queue::new(4, Duration::ZERO);
        let job = || Job::urgent(Task::Write(Write::Meta { name: "a".to_owned(), bytes: None }));
        queue.push(job());
        assert_eq!(queue.take(false, None).map(|group| group.len()), Some(1));
        queue.push(job());
        assert!(queue.has_room());
        queue.push(job());
        assert!(!queue.has_room());
        queue.lock().taken = Instant::now().checked_sub(HELD_UP);
        assert!(queue.has_room());
    }

    /// T3: "State is durable at each confirmation". One alone waits for a tenth of the patience; a steady flow causes one
    /// sync in the whole of it.
    #[test]
    fn a_confirmation_alone_is_written_soon_and_many_are_written_together() {
        let patience = Duration::from_millis(500);
        let now = Instant::now();
        let due = |since: u64, waited: Option<u64>| {
            let at = |ms| now + Duration::from_millis(ms);
            let waiting = Waiting { since: Some(at(since)), waited: waited.map(at), ..Waiting::default() };
            waiting.due(patience).expect("something waits").duration_since(now).as_millis()
        };
        assert_eq!(due(1000, None), 1050, "the first");
        assert_eq!(due(1000, Some(200)), 1050, "the last was long ago");
        assert_eq!(due(1000, Some(500)), 1050);
        assert_eq!(due(1000, Some(900)), 1400, "the last has just been");
        assert_eq!(Waiting::default().due(patience), None);
    }

    /// What a transfer brings is submitted piece by piece, and shall be one batch.
    #[test]
    fn a_version_waits_two_milliseconds_for_its_confirmation_and_takes_it_along() {
        let patience = Duration::from_millis(500);
        let now = Instant::now();
        let at = |ms| now + Duration::from_millis(ms);
        let ready = |waiting: Waiting| waiting.ready_at(patience).map(|ready| ready.duration_since(now).as_millis());
        let version = Waiting { lingering: Some(at(1000)), ..Waiting::default() };
        assert_eq!(ready(version), Some(1002));
        let both = Waiting { lingering: Some(at(1000)), since: Some(at(1001)), ..Waiting::default() };
        assert_eq!(ready(both), Some(1002), "the confirmation alone would wait longer");
        let behind = Waiting { lingering: Some(at(1000)), since: Some(at(900)), ..Waiting::default() };
        assert_eq!(ready(behind), Some(950));
        assert_eq!(ready(Waiting::default()), None);
    }

    /// At a first start thousands of definitions are urgent, and the versions that come meanwhile are not.
    #[test]
    fn what_comes_behind_an_urgent_write_waits_for_company_though_the_queue_is_never_empty() {
        let queue = Queue::new(1 << 20, Duration::from_secs(100));
        let push = |haste| queue.push(Job { haste, ..Job::urgent(Task::Write(Write::Remove { zone: 1 })) });
        let taken = || queue.take(true, None).expect("open").len();
        (0..3).for_each(|_| push(Haste::MayWait));
        (0..GROUP_JOBS_MAX).for_each(|_| push(Haste::Urgent));
        push(Haste::MayWait);
        assert_eq!([(); 3].map(|()| taken()), [GROUP_JOBS_MAX, 3, 0], "the last one waits");
        push(Haste::Urgent);
        assert_eq!(taken(), 2, "and is not overtaken");
    }

    #[test]
    fn what_has_waited_long_enough_does_not_wait_again_behind_a_full_group() {
        let queue = Queue::new(1 << 20, Duration::from_secs(100));
        let jobs = 2 * GROUP_JOBS_MAX + 7;
        for zone in 0..jobs as u32 {
            let task = Task::Write(Write::Confirm { zone, bytes: vec![0; 18].into() });
            queue.push(Job { haste: Haste::MayWait, ..Job::urgent(task) });
        }
        let taken = || queue.take(true, None).expect("open").len();
        assert_eq!(taken(), 0, "they wait for company");
        (queue.lock().since, queue.lock().waited) = (Instant::now().checked_sub(Duration::from_secs(10)), None);
        assert_eq!([(); 4].map(|()| taken()), [GROUP_JOBS_MAX, GROUP_JOBS_MAX, 7, 0]);
    }
}
