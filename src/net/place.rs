//! On which processor a UDP worker runs.
//!
//! From a full batch on it stays on one of its own, with what its caches hold, until it rests. While it rests between queries
//! it may run on any: otherwise the next query would wait for whatever has that one processor, a transfer or a thread of the
//! kernel, beside an idle one. On two processors with 1,000 IXFRs a second the slowest thousandth took 1 to 2.5 ms with workers
//! that always stay, and takes 0.2 to 1.8 (`cargo bench --bench compare -- --steps latency`).

use std::sync::Arc;

use crate::system::mmsg;
use crate::system::schedule::{allowed_cpus, run_on};

/// So many batches in a row that were not full are a rest.
const CALM_BATCHES: u32 = 1_000;

/// The place of the worker whose thread calls it.
pub(super) struct Place {
    /// The worker's own, by number.
    own: usize,
    /// Those it may run on.
    all: Arc<[usize]>,
    /// Where it was told to run last.
    told: Vec<usize>,
    rule: Rule,
}

impl Place {
    /// Anywhere among `all` at first; `own` is taken when there is no rest.
    pub(super) fn new(own: usize, all: Arc<[usize]>) -> Place {
        Place { own, told: all.to_vec(), all, rule: Rule::default() }
    }

    /// Nothing has come for [`super::udp::WAIT`].
    pub(super) fn rested(&mut self) {
        if std::mem::take(&mut self.rule).is_own {
            self.go(&Stay::Anywhere);
        }
    }

    /// Goes where a worker belongs that has received `count` datagrams at once.
    pub(super) fn received(&mut self, count: usize) {
        if let Some(stay) = self.rule.after(count) {
            self.go(&stay);
        }
    }

    fn go(&mut self, stay: &Stay) {
        let now = allowed_cpus();
        if now != self.told {
            // Somebody else has moved this thread (taskset(1)), and knows better: it stays there.
            self.all = now.into();
        }
        self.told = match stay {
            Stay::Own if self.all.contains(&self.own) => vec![self.own],
            _ => self.all.to_vec(),
        };
        run_on(&self.told);
    }
}

#[derive(Debug, PartialEq)]
enum Stay {
    Own,
    Anywhere,
}

#[derive(Default)]
struct Rule {
    is_own: bool,
    calm_batches: u32,
}

impl Rule {
    /// Where to go after a batch of `count`, if not where one is.
    fn after(&mut self, count: usize) -> Option<Stay> {
        if count == mmsg::SLOTS {
            self.calm_batches = 0;
            return (!std::mem::replace(&mut self.is_own, true)).then_some(Stay::Own);
        }
        self.calm_batches += u32::from(self.is_own);
        if self.calm_batches < CALM_BATCHES {
            return None;
        }
        *self = Rule::default();
        Some(Stay::Anywhere)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_without_rest_keeps_its_processor_until_it_rests() {
        let mut rule = Rule::default();
        // given few queries: no move, however long
        assert!((0..5_000).all(|_| rule.after(1).is_none()));
        // when the socket has more than a batch, it goes to its own, once
        assert_eq!(rule.after(mmsg::SLOTS), Some(Stay::Own));
        assert_eq!(rule.after(mmsg::SLOTS), None);
        // then a pause does not move it
        assert!((1..CALM_BATCHES).all(|_| rule.after(3).is_none()));
        assert_eq!(rule.after(mmsg::SLOTS), None);
        assert!((1..CALM_BATCHES).all(|_| rule.after(3).is_none()));
        // but a rest does, once
        assert_eq!(rule.after(3), Some(Stay::Anywhere));
        assert!((0..5_000).all(|_| rule.after(1).is_none()));
    }

    #[test]
    fn the_thread_goes_there_and_back() {
        let all = allowed_cpus();
        let own = *all.last().expect("at least one");
        let seen = std::thread::spawn({
            let all = all.clone();
            move || {
                let mut place = Place::new(own, all.into());
                let mut seen = Vec::new();
                place.received(mmsg::SLOTS);
                seen.push(allowed_cpus());
                (0..CALM_BATCHES).for_each(|_| place.received(1));
                seen.push(allowed_cpus());
                place.received(mmsg::SLOTS);
                place.rested();
                seen.push(allowed_cpus());
                seen
            }
        });
        assert_eq!(seen.join().expect("thread"), [vec![own], all.clone(), all]);
    }

    #[test]
    fn a_thread_that_an_administrator_has_moved_stays_there() {
        let all = allowed_cpus();
        let (first, last) = (all[0], *all.last().expect("at least one"));
        let seen = std::thread::spawn(move || {
            let mut place = Place::new(last, all.into());
            run_on(&[first]);
            place.received(mmsg::SLOTS);
            let busy = allowed_cpus();
            place.rested();
            (busy, allowed_cpus())
        });
        assert_eq!(seen.join().expect("thread"), (vec![first], vec![first]));
    }
}
