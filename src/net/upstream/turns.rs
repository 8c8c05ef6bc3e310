//! How many queries a second one primary gets from us.
//!
//! A bucket for each address (GCRA): a second's worth may go out at once, then they go evenly. Nothing goes past it, not
//! even what a NOTIFY started (N9, N11).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::POISONED;

/// What may go out at once, as time of an even flow.
const BURST: Duration = Duration::from_secs(1);
/// Addresses above which those at rest are forgotten.
const PRIMARIES_MAX: usize = 10_000;

/// When each primary's next query would be due in an even flow.
#[derive(Debug, Default)]
pub(super) struct Turns {
    due: Mutex<HashMap<SocketAddr, Instant>>,
}

impl Turns {
    /// Takes a turn at `primary`: how long to wait for it, if `per_second` are allowed (0: any number).
    pub(super) fn take(&self, primary: SocketAddr, per_second: u32, now: Instant) -> Duration {
        if per_second == 0 {
            return Duration::ZERO;
        }
        let mut all = self.due.lock().expect(POISONED);
        if all.len() >= PRIMARIES_MAX {
            all.retain(|_, due| *due > now);
        }
        let due = all.entry(primary).or_insert(now);
        *due = (*due).max(now) + Duration::from_secs(1) / per_second;
        (*due - now).saturating_sub(BURST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn primary(n: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, n], 53))
    }

    #[test]
    fn a_second_of_queries_goes_at_once_and_the_rest_evenly() {
        let (turns, now) = (Turns::default(), Instant::now());
        for n in 0..10 {
            assert_eq!(turns.take(primary(1), 10, now), Duration::ZERO, "query {n}");
        }
        assert_eq!(turns.take(primary(1), 10, now), Duration::from_millis(100));
        assert_eq!(turns.take(primary(1), 10, now), Duration::from_millis(200));
        assert_eq!(turns.take(primary(2), 10, now), Duration::ZERO, "another primary");
        // What waited has gone out by then
        let later = now + Duration::from_millis(1200);
        for _ in 0..10 {
            assert_eq!(turns.take(primary(1), 10, later), Duration::ZERO);
        }
        assert_eq!(turns.take(primary(1), 10, later), Duration::from_millis(100));
    }

    /// N9: "1,000 real updates a second go through".
    #[test]
    fn a_flow_below_the_rate_never_waits() {
        let (turns, now) = (Turns::default(), Instant::now());
        for n in 0..5000u64 {
            assert_eq!(turns.take(primary(1), 2000, now + Duration::from_millis(n)), Duration::ZERO);
        }
    }

    #[test]
    fn without_a_rate_nothing_waits() {
        let (turns, now) = (Turns::default(), Instant::now());
        assert!((0..10_000).all(|_| turns.take(primary(1), 0, now).is_zero()));
    }
}
