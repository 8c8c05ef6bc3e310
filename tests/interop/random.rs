//! Random numbers that can be had again: the seed is printed, `INTEROP_SEED` sets it.

use std::time::Duration;

/// xorshift64.
pub(crate) struct Random(u64);

impl Random {
    /// From `INTEROP_SEED`, else from the clock.
    pub(crate) fn seeded() -> Random {
        let given = std::env::var("INTEROP_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| jiff::Timestamp::now().as_nanosecond() as u64);
        eprintln!("INTEROP_SEED={seed}");
        Random(seed | 1)
    }

    /// A number below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % bound
    }

    /// A moment within `span`.
    pub(crate) fn within(&mut self, span: Duration) -> Duration {
        Duration::from_micros(self.below(span.as_micros().max(1) as u64))
    }
}
