//! Points in time as plain values: rules get them as arguments and never read a clock (invariant 7).
//!
//! One kind of time for everything that is decided or shown: wall-clock milliseconds. EXPIRE has to run on while
//! the daemon is stopped, so a monotonic clock would not do. Only `control`, `net` and above call [`Timestamp::now`].

use std::fmt;
use std::num::NonZeroU64;
use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z, up to 2^64 - 2. An `Option` of one takes no more room: a zone has some twenty
/// of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "u64", into = "u64")]
pub struct Timestamp(
    /// One more than the milliseconds.
    NonZeroU64,
);

impl Timestamp {
    /// The moment `millis` milliseconds after the epoch.
    pub const fn from_millis(millis: u64) -> Timestamp {
        Timestamp(NonZeroU64::MIN.saturating_add(millis))
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> u64 {
        self.0.get() - 1
    }

    /// The system clock. For effects only: `net`, `control` and above (`tests/layers.rs` holds this).
    pub fn now() -> Timestamp {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
        Timestamp::from_millis(since_epoch.unwrap_or_default().as_millis() as u64)
    }

    /// The moment `secs` seconds after the epoch.
    pub const fn from_secs(secs: u64) -> Timestamp {
        Timestamp::from_millis(secs * 1000)
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn as_secs(self) -> u64 {
        self.as_millis() / 1000
    }

    /// Time from `earlier` to `self`; zero if `earlier` is later.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(self.as_millis().saturating_sub(earlier.as_millis()))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Timestamp;
    fn add(self, d: Duration) -> Timestamp {
        Timestamp::from_millis(self.as_millis().saturating_add(d.as_millis() as u64))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Timestamp;
    fn sub(self, d: Duration) -> Timestamp {
        Timestamp::from_millis(self.as_millis().saturating_sub(d.as_millis() as u64))
    }
}

impl Default for Timestamp {
    /// The epoch.
    fn default() -> Timestamp {
        Timestamp::from_millis(0)
    }
}

impl From<u64> for Timestamp {
    fn from(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }
}

impl From<Timestamp> for u64 {
    fn from(timestamp: Timestamp) -> u64 {
        timestamp.as_millis()
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with milliseconds, e.g. `2026-11-21T23:00:00.123Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.as_millis() as i64) {
            Ok(t) => write!(f, "{t:.3}"),
            Err(_) => write!(f, "@{}", self.as_millis()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_in_utc_with_milliseconds() {
        assert_eq!(Timestamp::from_millis(1_795_302_000_123).to_string(), "2026-11-21T23:00:00.123Z");
        assert_eq!(Timestamp::default().to_string(), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn a_moment_that_may_be_missing_takes_no_more_room_and_the_end_of_time_is_one() {
        assert_eq!(size_of::<Option<Timestamp>>(), 8);
        let end = Timestamp::from_millis(u64::MAX);
        assert_eq!((end.as_millis(), end + Duration::from_secs(1)), (u64::MAX - 1, end));
        assert_eq!(serde_json::to_string(&Some(Timestamp::from_millis(5))).expect("JSON"), "5");
        assert_eq!(serde_json::from_str::<Timestamp>("5").expect("JSON"), Timestamp::from_millis(5));
    }
}
