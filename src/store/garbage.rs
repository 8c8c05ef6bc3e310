//! Deletes, in small batches between groups, what no header counts any more, and finds what a crash has left.
//!
//! In: what `compact` has made obsolete (once that is durable), and at start the whole tree and all files of pages. Never
//! touches a key or file that a header counts, so it may stop anywhere; what it did not come to is found again at the
//! next start.

use super::StoreError;
use super::disk::Changes;
use super::held;
use super::layout::{self, ZoneNumber, table};
use super::page_file::{FileId, Purpose};
use super::writer::Writer;

/// How many keys one small batch of deletions has.
const DELETIONS_IN_BATCH: usize = 128;

/// How many zones one step of the sweep looks at.
const SWEPT_IN_STEP: usize = 32;

/// What no header counts any more.
#[derive(Debug)]
pub(super) enum Garbage {
    /// Pages of generations `from..below`, under keys or in files.
    Pages { zone: ZoneNumber, from: u32, below: u32 },
    /// Files of held versions of generations `from..below`.
    HeldFiles { zone: ZoneNumber, from: u32, below: u32 },
    /// Differences older than `below`.
    Diffs { zone: ZoneNumber, below: u64 },
}

/// The search for left-overs of the run before, zone by zone through pages, then differences.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    in_diffs: bool,
    next: ZoneNumber,
}

impl Writer {
    /// Does one small piece of the deleting that is due. Needs no sync: what comes back after a crash is swept.
    pub(super) fn collect_garbage(&mut self) {
        let done = match self.garbage.front() {
            Some(&Garbage::Pages { zone, from, below }) => self.delete_pages(zone, from, below),
            Some(&Garbage::HeldFiles { zone, from, below }) => self.delete_held_files(zone, from, below),
            Some(&Garbage::Diffs { zone, below }) => {
                self.delete_some(&layout::diff_key(zone, 0), &layout::diff_key(zone, below))
            }
            None => self.sweep_some().map(|()| false),
        };
        let done = done.map(|finished| {
            if finished {
                self.garbage.pop_front();
            }
        });
        if let Err(error) = done {
            // Left for the next start.
            tracing::warn!(%error, "deleting old data in the store");
            self.garbage.pop_front();
            self.sweep = None;
        }
    }

    fn delete_pages(&mut self, zone: ZoneNumber, from: u32, below: u32) -> Result<bool, StoreError> {
        // A generation that failed is garbage, and its number may have been given out again since. Then the next sweep
        // deletes what is left around it.
        if self.live_generation(zone)?.is_some_and(|live| (from..below).contains(&live)) {
            return Ok(true);
        }
        self.delete_files(zone, Purpose::Contents, from, below)?;
        self.delete_some(&layout::generation_key(zone, from), &layout::generation_key(zone, below))
    }

    fn delete_held_files(&mut self, zone: ZoneNumber, from: u32, below: u32) -> Result<bool, StoreError> {
        if !held::file_generation(&self.disk, zone)?.is_some_and(|live| (from..below).contains(&live)) {
            self.delete_files(zone, Purpose::Held, from, below)?;
        }
        Ok(true)
    }

    fn delete_files(&self, zone: ZoneNumber, purpose: Purpose, from: u32, below: u32) -> Result<(), StoreError> {
        let files = &self.disk.files;
        let generations = files.generations(zone, purpose, from..below);
        generations.into_iter().try_for_each(|generation| files.remove(FileId { zone, purpose, generation }))
    }

    fn live_generation(&mut self, zone: ZoneNumber) -> Result<Option<u32>, StoreError> {
        let state = self.state(zone)?;
        Ok(state.header.filter(|header| header.is_loaded()).map(|header| header.generation))
    }

    fn delete_some(&self, from: &[u8], to: &[u8]) -> Result<bool, StoreError> {
        let keys: Vec<sled::IVec> = self
            .disk
            .read("collect", |tree| tree.range(from..to).keys().take(DELETIONS_IN_BATCH).collect::<Result<_, _>>())?;
        let mut changes = Changes::default();
        for key in &keys {
            changes.delete(key);
        }
        if !changes.is_empty() {
            self.disk.apply(changes)?;
        }
        Ok(keys.len() < DELETIONS_IN_BATCH)
    }

    fn sweep_some(&mut self) -> Result<(), StoreError> {
        let Some(Sweep { in_diffs, mut next }) = self.sweep.take() else { return Ok(()) };
        for _ in 0..SWEPT_IN_STEP {
            let Some(zone) = self.next_to_sweep(in_diffs, next)? else {
                self.sweep = (!in_diffs).then_some(Sweep { in_diffs: true, next: 0 });
                return Ok(());
            };
            // A zone that cannot be read is for `restore` to report, not for us to delete.
            if let Ok(state) = self.state(zone) {
                if in_diffs {
                    let below = state.header.map_or(state.last_sequence + 1, |header| header.chain_start);
                    self.garbage.push_back(Garbage::Diffs { zone, below });
                } else {
                    self.sweep_pages(zone, state.top_generation)?;
                }
            }
            let Some(following) = zone.checked_add(1) else {
                self.sweep = (!in_diffs).then_some(Sweep { in_diffs: true, next: 0 });
                return Ok(());
            };
            next = following;
        }
        self.sweep = Some(Sweep { in_diffs, next });
        Ok(())
    }

    /// The first zone from `next` on with anything that may be a left-over.
    fn next_to_sweep(&self, in_diffs: bool, next: ZoneNumber) -> Result<Option<ZoneNumber>, StoreError> {
        let table = if in_diffs { table::DIFF } else { table::PAGE };
        let key = self.disk.first_key(&layout::zone_key(table, next), &[table])?;
        let in_tree = key.as_deref().and_then(layout::zone_of);
        let in_files = if in_diffs { None } else { self.disk.files.first_zone(next) };
        Ok(in_tree.into_iter().chain(in_files).min())
    }

    /// Everything around what counts.
    fn sweep_pages(&mut self, zone: ZoneNumber, top: u32) -> Result<(), StoreError> {
        match self.live_generation(zone)? {
            Some(live) => {
                self.garbage.push_back(Garbage::Pages { zone, from: 0, below: live });
                self.garbage.push_back(Garbage::Pages { zone, from: live + 1, below: top + 1 });
            }
            None => self.garbage.push_back(Garbage::Pages { zone, from: 0, below: top + 1 }),
        }
        let top = self.disk.files.top_generation(zone, Purpose::Held);
        if top > 0 {
            let live = held::file_generation(&self.disk, zone)?.unwrap_or(0);
            self.garbage.push_back(Garbage::HeldFiles { zone, from: 0, below: live });
            self.garbage.push_back(Garbage::HeldFiles { zone, from: live + 1, below: top + 1 });
        }
        Ok(())
    }
}
