//! Zone serial numbers, which do not compare like numbers (RFC 1982).

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The SERIAL field of a SOA. Ordered by sequence space arithmetic, therefore neither `Ord` nor `PartialOrd`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Serial(pub u32);

impl Serial {
    /// Compares in sequence space; `None` for two serials exactly 2^31 apart, which RFC 1982 §3.2 leaves undefined.
    pub fn compare(self, other: Serial) -> Option<Ordering> {
        match self.0.wrapping_sub(other.0) {
            0 => Some(Ordering::Equal),
            0x8000_0000 => None,
            1..=0x7fff_ffff => Some(Ordering::Greater),
            _ => Some(Ordering::Less),
        }
    }

    /// Whether `self` comes after `other`; false where the order is undefined.
    pub fn is_newer_than(self, other: Serial) -> bool {
        self.compare(other) == Some(Ordering::Greater)
    }

    /// Whether `self` comes before `other`; false where the order is undefined.
    pub fn is_older_than(self, other: Serial) -> bool {
        self.compare(other) == Some(Ordering::Less)
    }

    /// The serial `steps` later (RFC 1982 §3.1; `steps` at most 2^31 - 1 to stay "newer").
    pub fn plus(self, steps: u32) -> Serial {
        Serial(self.0.wrapping_add(steps))
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 1982 §3.2: "s1 is said to be less than s2 if [...] (i1 < i2 and i2 - i1 < 2^(SERIAL_BITS - 1))".
    #[test]
    fn newer_across_the_wrap() {
        assert!(Serial(1).is_newer_than(Serial(u32::MAX)));
        assert!(Serial(u32::MAX).is_older_than(Serial(1)));
        assert!(Serial(0x7fff_ffff).is_newer_than(Serial(0)));
    }

    #[test]
    fn serials_half_the_space_apart_do_not_compare() {
        let (a, b) = (Serial(7), Serial(7 + 0x8000_0000));
        assert_eq!(a.compare(b), None);
        assert!(!a.is_newer_than(b) && !b.is_newer_than(a) && !a.is_older_than(b));
    }
}
