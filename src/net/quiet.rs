//! Keeps what strangers can cause, log lines and notices, from becoming a flood.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use crate::time::Timestamp;

/// How long a source stays quiet after a line.
const PAUSE: Duration = Duration::from_secs(60);

/// Sources remembered; beyond that new ones are not logged until old ones may speak again.
const SOURCES_MAX: usize = 1024;

/// Remembers who caused a line when, and how often since.
#[derive(Debug)]
pub(crate) struct Quiet<Source = IpAddr>(Mutex<HashMap<Source, Spoken>>);

impl<Source> Default for Quiet<Source> {
    fn default() -> Quiet<Source> {
        Quiet(Mutex::default())
    }
}

#[derive(Debug)]
struct Spoken {
    at: Timestamp,
    suppressed: u64,
}

impl<Source: Eq + Hash> Quiet<Source> {
    /// Whether to log something that `source` has caused: `Some` with the number of lines left out since the last one.
    pub(crate) fn may_log(&self, source: Source, now: Timestamp) -> Option<u64> {
        let mut sources = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(spoken) = sources.get_mut(&source) {
            if now.since(spoken.at) < PAUSE {
                spoken.suppressed += 1;
                return None;
            }
            let suppressed = spoken.suppressed;
            *spoken = Spoken { at: now, suppressed: 0 };
            return Some(suppressed);
        }
        if sources.len() >= SOURCES_MAX {
            sources.retain(|_, spoken| now.since(spoken.at) < PAUSE);
            if sources.len() >= SOURCES_MAX {
                return None;
            }
        }
        sources.insert(source, Spoken { at: now, suppressed: 0 });
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_minute_for_each_source() {
        let quiet = Quiet::default();
        let (a, b) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let start = Timestamp::from_secs(1_000);
        assert_eq!(quiet.may_log(a, start), Some(0));
        assert_eq!(quiet.may_log(a, start + Duration::from_secs(59)), None);
        assert_eq!(quiet.may_log(b, start), Some(0));
        assert_eq!(quiet.may_log(a, start + Duration::from_secs(60)), Some(1));
    }

    #[test]
    fn a_flood_of_sources_is_bounded_and_passes() {
        let quiet = Quiet::default();
        let start = Timestamp::from_secs(1_000);
        let logged = (0..5_000u32).filter(|&i| quiet.may_log(IpAddr::from(i.to_be_bytes()), start).is_some()).count();
        assert_eq!(logged, SOURCES_MAX);
        assert_eq!(quiet.may_log(IpAddr::from([9, 9, 9, 9]), start + PAUSE), Some(0));
    }
}
