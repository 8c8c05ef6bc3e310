//! Deletes, in small batches between groups, what no header counts any more, and finds what a crash has left.
//!
//! In: what `compact` has made obsolete (once that is durable), and at start the whole tree. Never touches a key that a
//! header counts, so it may stop anywhere; what it did not come to is found again at the next start.

use super::StoreError;
use super::disk::Changes;
use super::layout::{self, ZoneNumber, table};
use super::writer::Writer;

/// How many keys one small batch of deletions has.
const DELETIONS_IN_BATCH: usize = 128;

/// How many zones one step of the sweep looks at.
const SWEPT_IN_STEP: usize = 32;

/// Keys that no header counts any more.
#[derive(Debug)]
pub(super) enum Garbage {
    /// Pages of generations `from..below`.
    Pages { zone: ZoneNumber, from: u32, below: u32 },
    /// Differences older than `below`.
    Diffs { zone: ZoneNumber, below: u64 },
}

impl Garbage {
    fn range(&self) -> (Vec<u8>, Vec<u8>) {
        match *self {
            Garbage::Pages { zone, from, below } => {
                (layout::generation_key(zone, from), layout::generation_key(zone, below))
            }
            Garbage::Diffs { zone, below } => (layout::diff_key(zone, 0), layout::diff_key(zone, below)),
        }
    }
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
            Some(garbage) => {
                let (from, to) = garbage.range();
                self.delete_some(&from, &to).map(|finished| {
                    if finished {
                        self.garbage.pop_front();
                    }
                })
            }
            None => self.sweep_some(),
        };
        if let Err(error) = done {
            // Left for the next start.
            tracing::warn!(%error, "deleting old data in the store");
            self.garbage.pop_front();
            self.sweep = None;
        }
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
        let table = if in_diffs { table::DIFF } else { table::PAGE };
        for _ in 0..SWEPT_IN_STEP {
            let found = self.disk.first_key(&layout::zone_key(table, next), &[table])?;
            let Some(zone) = found.as_deref().and_then(layout::zone_of) else {
                self.sweep = (!in_diffs).then_some(Sweep { in_diffs: true, next: 0 });
                return Ok(());
            };
            // A zone that cannot be read is for `restore` to report, not for us to delete.
            if let Ok(state) = self.state(zone) {
                let header = state.header.as_ref();
                if in_diffs {
                    let below = header.map_or(state.last_sequence + 1, |header| header.chain_start);
                    self.garbage.push_back(Garbage::Diffs { zone, below });
                } else if let Some(live) = header.filter(|h| h.loaded).map(|h| h.generation) {
                    self.garbage.push_back(Garbage::Pages { zone, from: 0, below: live });
                    self.garbage.push_back(Garbage::Pages { zone, from: live + 1, below: state.top_generation + 1 });
                } else {
                    self.garbage.push_back(Garbage::Pages { zone, from: 0, below: state.top_generation + 1 });
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
}
