//! Exchanges with primaries that wait for their turn: by urgency (N12), fair between primaries and between zones, bounded
//! in flight and in rate (N9, N11, T12).
//!
//! In: jobs from the keeper. Out: jobs that may start now. Never starts anything itself and has no clock. At most one
//! transfer and a few probes a zone are ever queued (the refresh machines see to that), so the length is bounded by the
//! zones, and first come first served within a primary is fair between its zones.
//!
//! ```text
//!   push ──▶ lane of the primary: one line per urgency ──▶ ready: lanes with work, per urgency ──▶ start_next
//!                 │  full: waits for `finished`               ▲
//!                 └─ too fast: asleep until its next moment ──┘
//! ```
//!
//! The most urgent work goes first, with two limits to that: a part of all places is never given to timers, so that a
//! NOTIFY finds one free at a primary that answers slowly; and now and then the least urgent is served, so that a flood
//! of NOTIFYs starves no zone until it expires. O(log primaries) for each operation.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use crate::refresh::Urgency;
use crate::time::Timestamp;

const CLASSES: usize = 5;
/// From this class on a job may use every place; below, one in [`KEPT_FREE`] is kept free.
const URGENT: usize = Urgency::Notify as usize;
const KEPT_FREE: usize = 5;
/// After so many starts in a row of which others were more urgent, the least urgent job that waits is taken.
const OVERTAKEN_MAX: u32 = 16;
/// Places for jobs that an empty line keeps: after a start all zones have stood in it.
const ROOM_KEPT: usize = 1024;
/// What a primary may be asked at once when it has not been asked for a while, as a part of what it may be asked in a
/// second.
const BURST: Duration = Duration::from_millis(100);

/// How much may be in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Jobs in flight, in all.
    pub(super) in_flight_max: usize,
    /// Jobs in flight at one primary.
    pub(super) per_primary_max: usize,
    /// Starts a second at one primary; 0: any.
    pub(super) per_second: u32,
}

/// Jobs of one kind (probes, or transfers). `T` says what to do once the turn has come.
#[derive(Debug)]
pub(super) struct Queue<T> {
    bounds: Bounds,
    in_flight: usize,
    lanes: HashMap<SocketAddr, Lane<T>>,
    /// Per class, the least urgent first, lanes that may have a job to start in it, each once; taken round robin.
    ready: [VecDeque<SocketAddr>; CLASSES],
    /// Lanes that were asked too fast, until when.
    asleep: BTreeSet<(Timestamp, SocketAddr)>,
    overtaken: u32,
}

#[derive(Debug)]
struct Lane<T> {
    in_flight: usize,
    waiting: [VecDeque<T>; CLASSES],
    /// Stands in `ready` of the class.
    is_ready: [bool; CLASSES],
    /// Stands in `asleep` with this moment.
    asleep: Option<Timestamp>,
    /// Microseconds at which the next start would be due if all came at even intervals.
    even_micros: u64,
}

impl<T> Lane<T> {
    fn new() -> Lane<T> {
        Lane {
            in_flight: 0,
            waiting: std::array::from_fn(|_| VecDeque::new()),
            is_ready: [false; CLASSES],
            asleep: None,
            even_micros: 0,
        }
    }

    fn is_idle(&self) -> bool {
        self.in_flight == 0 && self.waiting.iter().all(VecDeque::is_empty)
    }
}

impl<T> Queue<T> {
    pub(super) fn new(bounds: Bounds) -> Queue<T> {
        Queue {
            bounds,
            in_flight: 0,
            lanes: HashMap::new(),
            ready: std::array::from_fn(|_| VecDeque::new()),
            asleep: BTreeSet::new(),
            overtaken: 0,
        }
    }

    /// New bounds; jobs in flight stay in flight.
    pub(super) fn set_bounds(&mut self, bounds: Bounds) {
        self.bounds = bounds;
        self.asleep.clear();
        self.lanes.values_mut().for_each(|lane| lane.asleep = None);
        let primaries: Vec<SocketAddr> = self.lanes.keys().copied().collect();
        primaries.into_iter().for_each(|primary| self.wake(primary));
    }

    /// The system's clock was set back: nobody waits for moments that are far ahead now.
    pub(super) fn clock_set_back(&mut self) {
        self.lanes.values_mut().for_each(|lane| lane.even_micros = 0);
        self.set_bounds(self.bounds);
    }

    pub(super) fn push(&mut self, urgency: Urgency, primary: SocketAddr, job: T) {
        let class = urgency as usize;
        let lane = self.lanes.entry(primary).or_insert_with(Lane::new);
        lane.waiting[class].push_back(job);
        if lane.asleep.is_none() && !std::mem::replace(&mut lane.is_ready[class], true) {
            self.ready[class].push_back(primary);
        }
    }

    /// The next job that may start; it counts as in flight until [`Queue::finished`].
    pub(super) fn start_next(&mut self, now: Timestamp) -> Option<(SocketAddr, T)> {
        while let Some(&(at, primary)) = self.asleep.first().filter(|(at, _)| *at <= now) {
            self.asleep.remove(&(at, primary));
            if let Some(lane) = self.lanes.get_mut(&primary) {
                lane.asleep = None;
            }
            self.wake(primary);
        }
        let upwards = self.overtaken >= OVERTAKEN_MAX;
        for n in 0..CLASSES {
            let class = if upwards { n } else { CLASSES - 1 - n };
            // Its turn among the less urgent is everybody's: it may use any place.
            if let Some(started) = self.start_in(class, if upwards { URGENT } else { class }, now) {
                let passed_over = (0..class).any(|lower| !self.ready[lower].is_empty());
                self.overtaken = if passed_over && !upwards { self.overtaken + 1 } else { 0 };
                return Some(started);
            }
        }
        None
    }

    fn start_in(&mut self, class: usize, as_class: usize, now: Timestamp) -> Option<(SocketAddr, T)> {
        if self.in_flight >= places(self.bounds.in_flight_max, as_class) {
            return None;
        }
        while let Some(primary) = self.ready[class].pop_front() {
            let lane = self.lanes.get_mut(&primary).expect("a lane that is ready is there");
            lane.is_ready[class] = false;
            if lane.waiting[class].is_empty() || lane.in_flight >= places(self.bounds.per_primary_max, as_class) {
                // Becomes ready again with the next job, or the next that ends.
                continue;
            }
            if let Some(at) = too_fast_until(lane.even_micros, now) {
                lane.asleep = Some(at);
                self.asleep.insert((at, primary));
                continue;
            }
            if self.bounds.per_second > 0 {
                let interval = 1_000_000 / u64::from(self.bounds.per_second);
                lane.even_micros = lane.even_micros.max(now.as_millis().saturating_mul(1000)) + interval;
            }
            let job = lane.waiting[class].pop_front()?;
            if lane.waiting[class].is_empty() && lane.waiting[class].capacity() > ROOM_KEPT {
                lane.waiting[class] = VecDeque::new();
            }
            lane.in_flight += 1;
            self.in_flight += 1;
            if !lane.waiting[class].is_empty() {
                lane.is_ready[class] = true;
                self.ready[class].push_back(primary);
            }
            return Some((primary, job));
        }
        None
    }

    /// When [`Queue::start_next`] may have something although nothing was pushed and nothing has ended.
    pub(super) fn next_start(&self) -> Option<Timestamp> {
        self.asleep.first().map(|(at, _)| *at).filter(|_| self.in_flight < self.bounds.in_flight_max)
    }

    /// A started job has ended.
    pub(super) fn finished(&mut self, primary: SocketAddr) {
        self.in_flight -= 1;
        if let Some(lane) = self.lanes.get_mut(&primary) {
            lane.in_flight -= 1;
            self.wake(primary);
        }
    }

    /// A job that was started was none after all: it has cost the primary nothing.
    pub(super) fn not_started(&mut self, primary: SocketAddr) {
        if let Some(lane) = self.lanes.get_mut(&primary)
            && self.bounds.per_second > 0
        {
            lane.even_micros = lane.even_micros.saturating_sub(1_000_000 / u64::from(self.bounds.per_second));
        }
        self.finished(primary);
    }

    /// Forgets primaries that have nothing to do and were not asked lately; called now and then. O(primaries).
    pub(super) fn tidy(&mut self, now: Timestamp) {
        self.lanes
            .retain(|_, lane| !lane.is_idle() || lane.asleep.is_some() || lane.even_micros / 1000 > now.as_millis());
        for class in 0..CLASSES {
            let lanes = &self.lanes;
            self.ready[class].retain(|primary| lanes.contains_key(primary));
        }
    }

    fn wake(&mut self, primary: SocketAddr) {
        let Some(lane) = self.lanes.get_mut(&primary) else { return };
        if lane.asleep.is_some() {
            return;
        }
        for class in 0..CLASSES {
            if !lane.waiting[class].is_empty() && !std::mem::replace(&mut lane.is_ready[class], true) {
                self.ready[class].push_back(primary);
            }
        }
    }
}

/// How many of `max` places jobs of a class may fill.
fn places(max: usize, class: usize) -> usize {
    if class >= URGENT { max } else { max - (max / KEPT_FREE).max(usize::from(max > 1)) }
}

/// When the next start is allowed, if not now. `Timestamp`s are milliseconds, intervals may be less.
fn too_fast_until(even_micros: u64, now: Timestamp) -> Option<Timestamp> {
    let earliest = Timestamp::from_millis(even_micros.saturating_sub(BURST.as_micros() as u64).div_ceil(1000));
    (earliest > now).then_some(earliest)
}

#[cfg(test)]
mod tests;
