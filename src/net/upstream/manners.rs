//! What was learnt of each primary, so that it is not asked twice in a way it does not take.
//!
//! In: how exchanges went. Out: how to ask next time. Forgotten after a while, since primaries are upgraded; bounded.
//! RFC 6891 §7, RFC 8906 (servers that choke on EDNS).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::POISONED;
use crate::reason::Reason;

/// What was learnt holds this long.
const HOLDS: Duration = Duration::from_secs(3600);
/// A primary that gave no TLS is asked in clear text this long (opportunistic profile only).
const CLEAR_HOLDS: Duration = Duration::from_secs(600);
/// A primary that does not answer queries together gets one at a time for this long.
const ALONE_HOLDS: Duration = Duration::from_secs(600);
/// The beginning of an answer may take this long before another connection is tried, if nothing is known.
const PATIENCE: Duration = Duration::from_secs(1);
/// Primaries remembered; beyond, everything is learnt anew.
const PRIMARIES_MAX: usize = 10_000;

/// What is remembered of all primaries.
#[derive(Debug, Default)]
pub(super) struct Manners {
    edns: Mutex<HashMap<SocketAddr, (Edns, Instant)>>,
    clear: Mutex<HashMap<SocketAddr, (Reason, Instant)>>,
    alone: Mutex<HashMap<SocketAddr, ((), Instant)>>,
    patience: Mutex<HashMap<SocketAddr, (Duration, Instant)>>,
}

/// How a primary takes EDNS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Edns {
    /// Not known.
    #[default]
    Unknown,
    /// Has answered with an OPT record: an error of it is not about EDNS.
    Spoken,
    /// Refuses queries with an OPT record and takes them without.
    Refused,
}

impl Manners {
    /// How the primary takes EDNS, as far as is known.
    pub(super) fn edns(&self, primary: SocketAddr) -> Edns {
        match self.edns.lock().expect(POISONED).get(&primary) {
            Some((edns, learnt)) if learnt.elapsed() < HOLDS => *edns,
            _ => Edns::Unknown,
        }
    }

    /// Why TLS was not to be had at this address a while ago.
    pub(super) fn no_tls(&self, primary: SocketAddr) -> Option<Reason> {
        let known = self.clear.lock().expect(POISONED);
        known.get(&primary).filter(|(_, learnt)| learnt.elapsed() < CLEAR_HOLDS).map(|(reason, _)| reason.clone())
    }

    /// Remembers that TLS was not to be had.
    pub(super) fn learn_no_tls(&self, primary: SocketAddr, reason: Reason) {
        remember(&mut self.clear.lock().expect(POISONED), primary, reason);
    }

    /// It gave nothing in clear text either: it may have been down, and TLS is tried again.
    pub(super) fn forget_no_tls(&self, primary: SocketAddr) {
        self.clear.lock().expect(POISONED).remove(&primary);
    }

    /// Whether the primary left queries unanswered that went out together with others.
    pub(super) fn takes_one_at_a_time(&self, primary: SocketAddr) -> bool {
        self.alone.lock().expect(POISONED).get(&primary).is_some_and(|(_, learnt)| learnt.elapsed() < ALONE_HOLDS)
    }

    /// Remembers that it did.
    pub(super) fn learn_one_at_a_time(&self, primary: SocketAddr) {
        remember(&mut self.alone.lock().expect(POISONED), primary, ());
    }

    /// How long the beginning of an answer may take before another connection is tried.
    pub(super) fn patience(&self, primary: SocketAddr) -> Duration {
        let known = self.patience.lock().expect(POISONED);
        known.get(&primary).filter(|(_, learnt)| learnt.elapsed() < HOLDS).map_or(PATIENCE, |(patience, _)| *patience)
    }

    /// A second try took this long, too: if the primary thinks so long, trying earlier only costs it twice.
    pub(super) fn learn_patience(&self, primary: SocketAddr, round_trip: Duration) {
        if round_trip * 2 > self.patience(primary) {
            remember(&mut self.patience.lock().expect(POISONED), primary, round_trip * 2);
        }
    }

    /// Remembers how the primary has just taken EDNS.
    pub(super) fn learn_edns(&self, primary: SocketAddr, edns: Edns) {
        remember(&mut self.edns.lock().expect(POISONED), primary, edns);
    }
}

fn remember<T>(known: &mut HashMap<SocketAddr, (T, Instant)>, primary: SocketAddr, what: T) {
    if known.len() >= PRIMARIES_MAX && !known.contains_key(&primary) {
        known.clear();
    }
    known.insert(primary, (what, Instant::now()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_learnt_of_a_primary_is_known_of_it_alone() {
        let manners = Manners::default();
        let primary = |n| SocketAddr::from(([192, 0, 2, n], 53));
        manners.learn_edns(primary(1), Edns::Refused);
        manners.learn_edns(primary(2), Edns::Spoken);
        assert_eq!([1, 2, 3].map(|n| manners.edns(primary(n))), [Edns::Refused, Edns::Spoken, Edns::Unknown]);
    }

    #[test]
    fn the_memory_is_bounded() {
        let manners = Manners::default();
        for n in 0..=PRIMARIES_MAX as u32 {
            manners.learn_edns(SocketAddr::from((n.to_be_bytes(), 53)), Edns::Spoken);
        }
        assert!(manners.edns.lock().expect(POISONED).len() <= PRIMARIES_MAX);
    }
}
