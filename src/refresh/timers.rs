//! What the numbers of a SOA come to: refresh, retry and expiry intervals within the configured bounds.
//!
//! In: [`SoaTimers`] of the served version and the operator's [`Settings`]. Out: intervals, and [`Warning`]s where the
//! primary's numbers were not taken as they are. Used by the machine in [`super`] only; pure arithmetic.
//! RFC 1034 §4.3.5 and RFC 1035 §3.3.13 define the fields.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::dns::Serial;

/// Bounds of the timers, shared by all zones with the same configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// First repetition for a zone that was never loaded; doubles with each failure.
    pub retry_initial: Duration,
    /// Where that doubling ends.
    pub retry_initial_max: Duration,
    /// Lowest interval between polls of a healthy zone.
    pub refresh_min: Duration,
    /// Highest interval between polls of a healthy zone.
    pub refresh_max: Duration,
    /// Lowest interval after a failure.
    pub retry_min: Duration,
    /// Highest interval after any number of failures (REFRESH caps it, too).
    pub retry_max: Duration,
    /// Lowest EXPIRE.
    pub expire_min: Duration,
    /// Highest EXPIRE.
    pub expire_max: Duration,
    /// By how much an interval may be shortened at random, in percent of it; never lengthened. 0 to 100.
    pub jitter_percent: u8,
    /// Over how long the polls are spread that are overdue when the daemon starts.
    pub start_spread: Duration,
    /// Take the first primary that answers, in order, instead of asking all for the highest serial.
    pub ordered: bool,
    /// How long the primary that gave the served version may be behind another before that one is taken instead, by a
    /// whole transfer (P4); zero: not at all, the highest serial wins.
    pub pin_tolerance: Duration,
    /// Transfer the zone when its primary shows other signatures under the same serial (P5).
    pub detect_resigned: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        const DAY: u64 = 24 * HOUR;
        Settings {
            retry_initial: Duration::from_secs(10),
            retry_initial_max: Duration::from_secs(HOUR),
            refresh_min: Duration::from_secs(30),
            refresh_max: Duration::from_secs(28 * DAY),
            retry_min: Duration::from_secs(10),
            retry_max: Duration::from_secs(14 * DAY),
            expire_min: Duration::from_secs(MINUTE),
            expire_max: Duration::from_secs(364 * DAY),
            jitter_percent: 10,
            start_spread: Duration::from_secs(5),
            ordered: false,
            pin_tolerance: Duration::ZERO,
            detect_resigned: false,
        }
    }
}

/// The parts of a SOA that refreshing goes by, in seconds as on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SoaTimers {
    /// SERIAL.
    pub serial: Serial,
    /// REFRESH.
    pub refresh_secs: u32,
    /// RETRY.
    pub retry_secs: u32,
    /// EXPIRE.
    pub expire_secs: u32,
}

impl SoaTimers {
    /// REFRESH within its bounds.
    pub fn refresh(&self, settings: &Settings) -> Duration {
        clamp(self.refresh_secs, settings.refresh_min, settings.refresh_max)
    }

    /// RETRY within its bounds, before any growth.
    pub fn retry(&self, settings: &Settings) -> Duration {
        clamp(self.retry_secs, settings.retry_min, settings.retry_max)
    }

    /// EXPIRE within its bounds, but at least REFRESH + RETRY + 1 s: a zone that expires before its first repetition
    /// would fail with the first lost packet.
    pub fn expire(&self, settings: &Settings) -> Duration {
        clamp(self.expire_secs, settings.expire_min, settings.expire_max).max(self.expire_floor(settings))
    }

    fn expire_floor(&self, settings: &Settings) -> Duration {
        self.refresh(settings) + self.retry(settings) + Duration::from_secs(1)
    }

    /// The pause after the `failures`-th failure in a row (from 1): RETRY, doubled each time, never above REFRESH.
    pub fn pause(&self, settings: &Settings, failures: u32) -> Duration {
        let cap = self.refresh(settings).min(settings.retry_max).max(Duration::from_secs(1));
        doubled(self.retry(settings), failures.saturating_sub(1), cap)
    }

    /// What an operator should know about the primary's numbers.
    pub fn warnings(&self, settings: &Settings) -> Vec<Warning> {
        let mut warnings = Vec::new();
        let mut compare = |field, given: u32, used: Duration| {
            if used != secs(given) {
                warnings.push(Warning { field, given_secs: given, used_secs: used.as_secs(), raised: false });
            }
        };
        compare("REFRESH", self.refresh_secs, self.refresh(settings));
        compare("RETRY", self.retry_secs, self.retry(settings));
        compare("EXPIRE", self.expire_secs, self.expire(settings));
        let floor = self.expire_floor(settings);
        for warning in warnings.iter_mut().filter(|warning| warning.field == "EXPIRE") {
            warning.raised = clamp(self.expire_secs, settings.expire_min, settings.expire_max) < floor;
        }
        warnings
    }
}

/// A timer of the SOA that is not used as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// `REFRESH`, `RETRY` or `EXPIRE`.
    pub field: &'static str,
    /// What the SOA says.
    pub given_secs: u32,
    /// What is used.
    pub used_secs: u64,
    /// EXPIRE was below REFRESH + RETRY; otherwise a configured bound was crossed.
    pub raised: bool,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Warning { field, given_secs, used_secs, raised } = self;
        let why = if *raised { "it is below REFRESH + RETRY" } else { "of the configured bounds" };
        write!(f, "SOA {field} of {given_secs} s is used as {used_secs} s because {why}")
    }
}

/// `start` doubled `times`, at most `cap`.
pub(super) fn doubled(start: Duration, times: u32, cap: Duration) -> Duration {
    1u32.checked_shl(times.min(31)).and_then(|factor| start.checked_mul(factor)).map_or(cap, |pause| pause.min(cap))
}

fn clamp(given_secs: u32, min: Duration, max: Duration) -> Duration {
    // Not `Ord::clamp`, which panics if a configuration has its bounds crossed; the lower bound wins.
    secs(given_secs).min(max).max(min)
}

fn secs(n: u32) -> Duration {
    Duration::from_secs(u64::from(n))
}

/// A small generator for jitter (SplitMix64): seeded, so that a run can be repeated. Not for secrets.
#[derive(Clone, Debug)]
pub(super) struct Jitter(u64);

impl Jitter {
    pub(super) fn new(seed: u64) -> Jitter {
        Jitter(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From zero to `span`, both included, in milliseconds.
    pub(super) fn up_to(&mut self, span: Duration) -> Duration {
        Duration::from_millis(self.next() % (span.as_millis() as u64).saturating_add(1))
    }

    /// `interval` shortened by up to `percent`.
    pub(super) fn shorten(&mut self, interval: Duration, percent: u8) -> Duration {
        let span = Duration::from_millis((interval.as_millis() as u64) / 100 * u64::from(percent.min(100)));
        interval - self.up_to(span).min(interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soa(refresh_secs: u32, retry_secs: u32, expire_secs: u32) -> SoaTimers {
        SoaTimers { serial: Serial(1), refresh_secs, retry_secs, expire_secs }
    }

    #[test]
    fn timers_are_kept_within_the_configured_bounds() {
        let settings = Settings::default();
        let low = soa(0, 0, 0);
        assert_eq!(low.refresh(&settings), settings.refresh_min);
        assert_eq!(low.retry(&settings), settings.retry_min);
        let high = soa(u32::MAX, u32::MAX, u32::MAX);
        assert_eq!(high.refresh(&settings), settings.refresh_max);
        assert_eq!(high.retry(&settings), settings.retry_max);
        assert_eq!(high.expire(&settings), settings.expire_max);
    }

    #[test]
    fn an_expire_below_refresh_and_retry_is_raised_and_reported() {
        let settings = Settings::default();
        let zone = soa(3600, 600, 1800);
        assert_eq!(zone.expire(&settings), Duration::from_secs(3600 + 600 + 1));
        let warnings = zone.warnings(&settings);
        assert_eq!(
            warnings.iter().map(Warning::to_string).collect::<Vec<_>>(),
            ["SOA EXPIRE of 1800 s is used as 4201 s because it is below REFRESH + RETRY"]
        );
        assert!(soa(3600, 600, 604_800).warnings(&settings).is_empty());
    }

    #[test]
    fn the_pause_doubles_up_to_refresh() {
        let settings = Settings::default();
        let zone = soa(1000, 300, 100_000);
        let pauses: Vec<u64> = (1..=4).map(|n| zone.pause(&settings, n).as_secs()).collect();
        assert_eq!(pauses, [300, 600, 1000, 1000]);
        assert_eq!(zone.pause(&settings, u32::MAX).as_secs(), 1000);
    }

    #[test]
    fn jitter_shortens_and_never_lengthens() {
        let mut jitter = Jitter::new(7);
        for _ in 0..1000 {
            let interval = jitter.shorten(Duration::from_secs(1000), 10);
            assert!((900..=1000).contains(&interval.as_secs()), "{interval:?}");
        }
        assert_eq!(jitter.shorten(Duration::ZERO, 10), Duration::ZERO);
    }
}
