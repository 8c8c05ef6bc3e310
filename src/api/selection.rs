//! What a search has found, remembered while nothing changes: a search looks at every item once, and each of its pages
//! costs the page.
//!
//! In: a version of something that is searched, the search as text, and how to look. Out: the positions that fit, in order.
//! Bounded by their number in all; the one that was not used for longest goes. Never holds a zone's contents alive.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, Weak};

use super::Api;
use super::fault::{ErrorCode, Fault};
use crate::control::roster::Named;
use crate::dns::RecordRef;
use crate::local::LocalZone;
use crate::local::shelf::Shelf;
use crate::zone::{Records, Snapshot};

/// Searches that are remembered.
const SELECTIONS_MAX: usize = 64;
/// Positions of all of them: 64 MiB.
const POSITIONS_MAX: usize = 16 << 20;

/// What is searched, in one version of it.
#[derive(Clone, Debug)]
pub enum Searched {
    /// Entries of a local zone.
    Local(Weak<LocalZone>),
    /// Records of a transferred zone.
    Transferred(Weak<Snapshot>),
    /// Zones of a tenant, under the edition of their statuses.
    Zones(Shelf<Named>, u64),
}

impl Searched {
    fn is(&self, other: &Searched) -> bool {
        match (self, other) {
            (Searched::Local(a), Searched::Local(b)) => a.ptr_eq(b),
            (Searched::Transferred(a), Searched::Transferred(b)) => a.ptr_eq(b),
            (Searched::Zones(a, m), Searched::Zones(b, n)) => m == n && a.is_same(b),
            _ => false,
        }
    }

    fn is_gone(&self) -> bool {
        match self {
            Searched::Local(zone) => zone.strong_count() == 0,
            Searched::Transferred(snapshot) => snapshot.strong_count() == 0,
            Searched::Zones(..) => false,
        }
    }
}

/// Positions in what was searched, ascending.
pub type Positions = Arc<[u32]>;

#[derive(Debug)]
struct Selection {
    searched: Searched,
    search: String,
    positions: Positions,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Selections {
    /// The one used last is the last.
    kept: Mutex<VecDeque<Selection>>,
}

const POISONED: &str = "no holder of the lock can panic";

impl Selections {
    /// What `search` finds; `look` is asked only if it is not known of this version. Two that ask at one time may both look.
    pub fn find(&self, searched: Searched, search: String, look: impl FnOnce() -> Vec<u32>) -> Positions {
        if let Some(positions) = self.known(&searched, &search) {
            return positions;
        }
        let positions: Positions = look().into();
        let mut kept = self.kept.lock().expect(POISONED);
        // An older version of the same search is of no use any more than one whose zone has moved on.
        kept.retain(|old| !(old.searched.is_gone() || old.search == search && old.searched.is(&searched)));
        kept.push_back(Selection { searched, search, positions: positions.clone() });
        let mut total: usize = kept.iter().map(|selection| selection.positions.len()).sum();
        while kept.len() > SELECTIONS_MAX || total > POSITIONS_MAX {
            let Some(oldest) = kept.pop_front() else { break };
            total -= oldest.positions.len();
        }
        positions
    }

    fn known(&self, searched: &Searched, search: &str) -> Option<Positions> {
        let mut kept = self.kept.lock().expect(POISONED);
        let at = kept.iter().position(|old| old.search == search && old.searched.is(searched))?;
        let selection = kept.remove(at)?;
        let positions = selection.positions.clone();
        kept.push_back(selection);
        Some(positions)
    }
}

/// Looks in a thread that serves nobody else.
pub async fn find(
    api: &Arc<Api>,
    searched: Searched,
    search: String,
    look: impl FnOnce() -> Vec<u32> + Send + 'static,
) -> Result<Positions, Fault> {
    if let Some(positions) = api.selections().known(&searched, &search) {
        return Ok(positions);
    }
    let api = api.clone();
    let looking = tokio::task::spawn_blocking(move || api.selections().find(searched, search, look));
    looking.await.map_err(|_| Fault::new(ErrorCode::Internal, "The search broke off."))
}

/// The ranks, in the canonical order of a listing, of the records for which `fits` holds. O(records).
pub fn ranks(snapshot: &Snapshot, mut fits: impl FnMut(RecordRef<'_>) -> bool) -> Vec<u32> {
    let (mut found, mut rank) = (Vec::new(), 0);
    let mut records = snapshot.records_canonical(0);
    while let Some(record) = records.advance() {
        if fits(record) {
            found.push(rank);
        }
        rank += 1;
    }
    found
}

/// Shows the records of these ranks, in the order given. O(log records) for each that is no neighbour of the one before.
pub fn records(snapshot: &Snapshot, ranks: &[u32], mut show: impl FnMut(RecordRef<'_>)) {
    let mut reading: Option<(u32, Records<'_>)> = None;
    for rank in ranks {
        let mut records = match reading.take() {
            Some((next, records)) if next == *rank => records,
            _ => snapshot.records_canonical(u64::from(*rank)),
        };
        if let Some(record) = records.advance() {
            show(record);
        }
        reading = Some((rank + 1, records));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zones(edition: u64) -> Searched {
        Searched::Zones(Shelf::default(), edition)
    }

    #[test]
    fn a_search_of_one_version_is_made_once() {
        let selections = Selections::default();
        let shelf: Shelf<Named> = Shelf::default();
        let version = |edition| Searched::Zones(shelf.clone(), edition);
        let mut looks = 0;
        for _page in 0..100 {
            let found = selections.find(version(1), "a".to_owned(), || {
                looks += 1;
                vec![3, 5]
            });
            assert_eq!(*found, [3, 5]);
        }
        assert_eq!(looks, 1);
        assert_eq!(*selections.find(version(2), "a".to_owned(), || vec![7]), [7], "another version");
        assert_eq!(*selections.find(version(1), "b".to_owned(), || vec![9]), [9], "another search");
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let selections = Selections::default();
        for n in 0..200 {
            selections.find(zones(n), String::new(), || vec![1; POSITIONS_MAX / 10]);
        }
        let kept = selections.kept.lock().expect("free");
        assert!(kept.len() <= 10, "{}", kept.len());
        assert_eq!(kept.back().map(|last| last.search.is_empty()), Some(true));
    }
}
