//! Exchanges with primaries that wait for their turn: by urgency (N12), fair between primaries, bounded in flight.
//!
//! In: jobs from the keeper. Out: jobs that may start now. Never starts anything itself. At most one transfer and a
//! few probes a zone are ever queued (the refresh machines see to that), so the length is bounded by the zones.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use crate::refresh::Urgency;

const CLASSES: usize = 5;

/// Jobs of one kind (probes, or transfers). `T` says what to do once the turn has come.
#[derive(Debug)]
pub(super) struct Queue<T> {
    /// Most jobs in flight.
    in_flight_max: usize,
    /// Most jobs in flight at one primary.
    per_primary_max: usize,
    in_flight: usize,
    primaries: HashMap<SocketAddr, Lane<T>>,
    /// Per class, the least urgent first, the primaries with jobs waiting in it, each once; taken round robin.
    turns: [VecDeque<SocketAddr>; CLASSES],
}

#[derive(Debug)]
struct Lane<T> {
    in_flight: usize,
    waiting: [VecDeque<T>; CLASSES],
}

impl<T> Queue<T> {
    pub(super) fn new(in_flight_max: usize, per_primary_max: usize) -> Queue<T> {
        Queue {
            in_flight_max,
            per_primary_max,
            in_flight: 0,
            primaries: HashMap::new(),
            turns: std::array::from_fn(|_| VecDeque::new()),
        }
    }

    /// New bounds; jobs in flight stay in flight.
    pub(super) fn set_limits(&mut self, in_flight_max: usize, per_primary_max: usize) {
        (self.in_flight_max, self.per_primary_max) = (in_flight_max, per_primary_max);
    }

    pub(super) fn push(&mut self, urgency: Urgency, primary: SocketAddr, job: T) {
        let class = urgency as usize;
        let lane = self
            .primaries
            .entry(primary)
            .or_insert_with(|| Lane { in_flight: 0, waiting: std::array::from_fn(|_| VecDeque::new()) });
        if lane.waiting[class].is_empty() {
            self.turns[class].push_back(primary);
        }
        lane.waiting[class].push_back(job);
    }

    /// The next job that may start; it counts as in flight until [`Queue::finished`].
    pub(super) fn start_next(&mut self) -> Option<(SocketAddr, T)> {
        if self.in_flight >= self.in_flight_max {
            return None;
        }
        for class in (0..CLASSES).rev() {
            for _ in 0..self.turns[class].len() {
                let Some(primary) = self.turns[class].pop_front() else { break };
                let lane = self.primaries.get_mut(&primary).expect("a primary with a turn has a lane");
                if lane.in_flight >= self.per_primary_max {
                    self.turns[class].push_back(primary);
                    continue;
                }
                let job = lane.waiting[class].pop_front().expect("a turn stands for a waiting job");
                if !lane.waiting[class].is_empty() {
                    self.turns[class].push_back(primary);
                }
                lane.in_flight += 1;
                self.in_flight += 1;
                return Some((primary, job));
            }
        }
        None
    }

    /// A started job has ended.
    pub(super) fn finished(&mut self, primary: SocketAddr) {
        self.in_flight -= 1;
        if let Some(lane) = self.primaries.get_mut(&primary) {
            lane.in_flight -= 1;
            if lane.in_flight == 0 && lane.waiting.iter().all(VecDeque::is_empty) {
                self.primaries.remove(&primary);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn primary(n: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, n], 53))
    }

    /// N12: operator command > NOTIFY > initial transfer > expired zone > due refresh.
    #[test]
    fn urgent_jobs_overtake_fifty_thousand_due_refreshes() {
        let mut queue = Queue::new(1, 1);
        for n in 0..50_000 {
            queue.push(Urgency::Due, primary(1), n);
        }
        queue.push(Urgency::Notify, primary(1), 99_999);
        queue.push(Urgency::Operator, primary(2), 100_000);
        assert_eq!(queue.start_next(), Some((primary(2), 100_000)));
        assert_eq!(queue.start_next(), None, "one in flight at most");
        queue.finished(primary(2));
        assert_eq!(queue.start_next(), Some((primary(1), 99_999)));
    }

    #[test]
    fn a_busy_primary_does_not_hold_up_another() {
        let mut queue = Queue::new(10, 2);
        for n in 0..5 {
            queue.push(Urgency::Due, primary(1), n);
        }
        queue.push(Urgency::Due, primary(2), 100);
        let started: Vec<_> = std::iter::from_fn(|| queue.start_next()).collect();
        assert_eq!(started, [(primary(1), 0), (primary(2), 100), (primary(1), 1)]);
        queue.finished(primary(1));
        assert_eq!(queue.start_next(), Some((primary(1), 2)));
    }

    #[test]
    fn a_primary_without_jobs_costs_no_memory() {
        let mut queue = Queue::new(10, 2);
        queue.push(Urgency::Due, primary(1), ());
        queue.start_next();
        queue.finished(primary(1));
        assert!(queue.primaries.is_empty());
        assert_eq!(queue.in_flight, 0);
    }
}
