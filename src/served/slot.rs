//! A zone as workers see it: a name, a state and the snapshot to answer from.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use arc_swap::{ArcSwapOption, Guard};
use serde::{Deserialize, Serialize};

use crate::dns::Name;
use crate::time::Timestamp;
use crate::zone::Snapshot;

/// A zone's number in this daemon and its store; never reused within one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ZoneId(pub u32);

impl fmt::Display for ZoneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a zone's questions are answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum State {
    /// Never transferred, or not restored yet: SERVFAIL, EDE 14 (Not Ready).
    NotLoaded = 0,
    /// From the snapshot.
    Served = 1,
    /// No primary has confirmed the zone for its EXPIRE time: SERVFAIL, EDE 24 (Invalid Data).
    Expired = 2,
    /// Stored data is damaged: SERVFAIL, EDE 24 (Invalid Data).
    Damaged = 3,
    /// Switched off by the operator: as if the zone were not ours.
    Disabled = 4,
}

/// Flags beside the [`State`] in one octet, so that one load says whether a question is answered without further ado.
const RESTRICTED: u8 = 0x10;
const HELD: u8 = 0x20;
const FLAGS: u8 = RESTRICTED | HELD;

impl State {
    fn from_octet(octet: u8) -> State {
        match octet & !FLAGS {
            1 => State::Served,
            2 => State::Expired,
            3 => State::Damaged,
            4 => State::Disabled,
            _ => State::NotLoaded,
        }
    }
}

/// One zone, for as long as it is configured. Written by [`super::Publisher`] only.
pub struct Slot {
    id: ZoneId,
    name: Name,
    labels: usize,
    hash: u64,
    /// A [`State`] and the flags above.
    state: AtomicU8,
    /// [`Timestamp`] in milliseconds; 0 while nothing has confirmed the zone.
    expires: AtomicU64,
    snapshot: ArcSwapOption<Snapshot>,
}

impl Slot {
    /// A zone without contents. `hash` is that of `name` under the view's key.
    pub(super) fn new(id: ZoneId, name: Name, hash: u64) -> Slot {
        Slot {
            id,
            labels: name.label_count(),
            name,
            hash,
            state: AtomicU8::new(State::NotLoaded as u8),
            expires: AtomicU64::new(0),
            snapshot: ArcSwapOption::empty(),
        }
    }

    /// A zone that no question is answered from: what a trial shows.
    pub fn apart(name: Name) -> Slot {
        Slot::new(ZoneId(0), name, 0)
    }

    /// The zone's number.
    pub fn id(&self) -> ZoneId {
        self.id
    }

    /// The apex.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Labels of the apex, the root's not counted.
    #[inline]
    pub fn labels(&self) -> usize {
        self.labels
    }

    /// Hash of the apex under the view's key.
    #[inline]
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// What questions are answered with now.
    #[inline]
    pub fn state(&self) -> State {
        State::from_octet(self.state.load(Ordering::Acquire))
    }

    /// Whether it is served, and to everybody: the one check of an ordinary question.
    #[inline]
    pub fn is_open(&self) -> bool {
        self.state.load(Ordering::Acquire) & !HELD == State::Served as u8
    }

    /// Whether not everybody is answered.
    pub fn is_restricted(&self) -> bool {
        self.state.load(Ordering::Acquire) & RESTRICTED != 0
    }

    /// Whether a version of the zone is held back until somebody approves it.
    pub fn is_held(&self) -> bool {
        self.state.load(Ordering::Acquire) & HELD != 0
    }

    /// When the zone expires unless a primary confirms it before; `None` while nothing ever has.
    pub fn expires(&self) -> Option<Timestamp> {
        match self.expires.load(Ordering::Relaxed) {
            0 => None,
            at => Some(Timestamp::from_millis(at)),
        }
    }

    /// The snapshot to answer from, borrowed without touching its reference count. Hold it for one answer only: a
    /// thread has few such guards. It may be there while the state says the zone is not to be served.
    #[inline]
    pub fn load(&self) -> Guard<Option<Arc<Snapshot>>> {
        self.snapshot.load()
    }

    /// The snapshot to keep for longer, as a transfer does.
    pub fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.snapshot.load_full()
    }

    pub(super) fn set_state(&self, state: State) {
        // one writer, the publisher, so nothing is lost between the load and the store
        let flags = self.state.load(Ordering::Relaxed) & FLAGS;
        self.state.store(state as u8 | flags, Ordering::Release);
    }

    pub(super) fn set_restricted(&self, restricted: bool) {
        self.set_flag(RESTRICTED, restricted);
    }

    pub(super) fn set_held(&self, held: bool) {
        self.set_flag(HELD, held);
    }

    fn set_flag(&self, flag: u8, is_set: bool) {
        let rest = self.state.load(Ordering::Relaxed) & !flag;
        self.state.store(if is_set { rest | flag } else { rest }, Ordering::Release);
    }

    pub(super) fn set_expires(&self, at: Option<Timestamp>) {
        self.expires.store(at.map_or(0, Timestamp::as_millis), Ordering::Relaxed);
    }

    pub(super) fn swap(&self, snapshot: Option<Arc<Snapshot>>) -> Option<Arc<Snapshot>> {
        self.snapshot.swap(snapshot)
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("id", &self.id).field("name", &self.name).field("state", &self.state()).finish()
    }
}
