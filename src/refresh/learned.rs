//! What the behaviour of one primary has taught over weeks: how often it sends NOTIFY, whether its serials jump, whether
//! it takes IXFR, what it showed under which serial. Part of the machine; see [`super`] for the picture.
//!
//! Of constant size and durable with the primary's state, so that a restart forgets nothing that took weeks to learn.
//! Only remembers: what follows from it stands in `findings`, `outcome` and `round`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::timers::doubled;
use crate::dns::Serial;
use crate::reason::Code;
use crate::time::Timestamp;

/// How long IXFR is not tried again at a primary where it failed.
const IXFR_PAUSE: Duration = Duration::from_secs(60);
/// Where the doubling for primaries without IXFR ends (I5).
const IXFR_PAUSE_MAX: Duration = Duration::from_secs(48 * 3600);
/// Two falls of the serial with a rise between them, within this time, are no roll-back but several servers behind one
/// address (or one that cannot make up its mind).
const FLAPPING_WINDOW: Duration = Duration::from_secs(24 * 3600);
/// NOTIFYs that come within this time belong to one change of the zone.
const EPISODE: Duration = Duration::from_secs(60);
/// Over about this time a long pause is forgotten.
const MEMORY: Duration = Duration::from_secs(28 * 24 * 3600);
/// Changes announced by NOTIFY before anything is said about the rhythm.
const EPISODES_MIN: u16 = 8;
/// Silence shorter than this is never worth a word.
const SILENCE_MIN: Duration = Duration::from_secs(3600);
/// Changes in a row found by asking only, before NOTIFY counts as lost: one lost datagram is none.
const UNANNOUNCED_MIN: u16 = 2;

/// What is remembered of a primary beside its status item. Opaque: the machine reads it, `control` only stores it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Learned {
    pub(super) falls: Falls,
    pub(super) ixfr: IxfrPause,
    pub(super) rhythm: Rhythm,
    pub(super) unannounced: Unannounced,
    /// Since when its SOA answers come over TCP only.
    pub(super) udp_blocked_since: Option<Timestamp>,
    /// When a serial newer than the one it shows was first seen, at another primary or in a transfer.
    pub(super) behind_since: Option<Timestamp>,
    /// What its last SOA answer looked like, under which serial, and since when; only kept if it was not as expected.
    pub(super) shown: Option<(Serial, Fingerprint, Timestamp)>,
    pub(super) resigned: Resigned,
}

/// What a version looks like from outside, to tell two versions with one serial apart. Hashes: equal values prove
/// nothing, different ones do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Over the whole RDATA of the SOA, names folded.
    pub soa: u64,
    /// Over the signatures of the SOA, in any order; `None` if there are none or none were asked for.
    pub signature: Option<u64>,
}

/// When IXFR is tried again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct IxfrPause {
    pub(super) until: Timestamp,
    doublings: u8,
}

impl IxfrPause {
    pub(super) fn failed(&mut self, now: Timestamp, code: Code) {
        self.until = now + doubled(IXFR_PAUSE, u32::from(self.doublings), IXFR_PAUSE_MAX);
        // Only these two say "I do not know IXFR"; anything else may be gone with the next version of the zone.
        if matches!(code, Code::RcodeNotimp | Code::RcodeFormerr) {
            self.doublings = (self.doublings + 1).min(31);
        }
    }
}

/// Serials, or contents under one serial, that go back and forth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Falls {
    count: u8,
    risen_since: bool,
    last: Timestamp,
    /// When the second fall was seen.
    since: Timestamp,
}

impl Falls {
    /// A serial came after another.
    pub(super) fn note(&mut self, now: Timestamp, before: Serial, after: Serial) {
        if after.is_newer_than(before) {
            self.risen_since = true;
        } else if after != before {
            // Older, or half the space away: no way a zone goes.
            self.fall(now);
        }
    }

    /// The SOA changed and the serial did not, which is as impossible.
    pub(super) fn note_other_soa(&mut self, now: Timestamp) {
        self.fall(now);
        self.risen_since = true;
    }

    fn fall(&mut self, now: Timestamp) {
        let again = self.count > 0 && self.risen_since && now.since(self.last) <= FLAPPING_WINDOW;
        self.count = if again { self.count.saturating_add(1) } else { 1 };
        self.risen_since = false;
        self.last = now;
        if self.count == 2 {
            self.since = now;
        }
    }

    /// Since when, if they do so lately.
    pub(super) fn flapping_since(&self, now: Timestamp) -> Option<Timestamp> {
        (self.count >= 2 && now.since(self.last) <= FLAPPING_WINDOW).then_some(self.since)
    }
}

/// How often changes are announced: a moving mean, and the longest pause, which is slowly forgotten. A zone that is
/// changed hourly in office hours has its week-ends in the second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rhythm {
    episodes: u16,
    began: Timestamp,
    pub(super) last: Timestamp,
    pub(super) mean_secs: u32,
    pub(super) longest_secs: u32,
}

impl Rhythm {
    pub(super) fn note(&mut self, now: Timestamp) {
        let pause = now.since(self.began);
        self.last = now;
        if self.episodes > 0 && pause < EPISODE {
            return;
        }
        let pause_secs = u32::try_from(pause.as_secs()).unwrap_or(u32::MAX);
        if self.episodes == 1 {
            (self.mean_secs, self.longest_secs) = (pause_secs, pause_secs);
        } else if self.episodes > 1 {
            self.mean_secs = self.mean_secs - self.mean_secs / 8 + pause_secs / 8;
            // At most the excess itself, so the subtraction below holds.
            let excess = u64::from(self.longest_secs.saturating_sub(self.mean_secs));
            let faded = excess * u64::from(pause_secs).min(MEMORY.as_secs()) / MEMORY.as_secs();
            self.longest_secs = (self.longest_secs - faded as u32).max(pause_secs);
        }
        self.episodes = self.episodes.saturating_add(1);
        self.began = now;
    }

    /// When the next NOTIFY is overdue, once the rhythm is known.
    pub(super) fn silent_from(&self) -> Option<Timestamp> {
        let secs = |n: u32| Duration::from_secs(u64::from(n));
        let pause = (secs(self.mean_secs) * 4).max(secs(self.longest_secs) * 2).max(SILENCE_MIN);
        (self.episodes >= EPISODES_MIN).then(|| self.last + pause)
    }
}

/// Changes in a row that were found by asking, without a NOTIFY.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Unannounced {
    pub(super) count: u16,
    since: Timestamp,
}

impl Unannounced {
    pub(super) fn note(&mut self, now: Timestamp) {
        if self.count == 0 {
            self.since = now;
        }
        self.count = self.count.saturating_add(1);
    }

    /// Since when, if it was no accident.
    pub(super) fn since(&self) -> Option<Timestamp> {
        (self.count >= UNANNOUNCED_MIN).then_some(self.since)
    }
}

/// A zone that was signed again without a new serial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Resigned {
    /// The serial under which that was seen last, and when.
    pub(super) seen: Option<(Serial, Timestamp)>,
    /// Transfers in a row made because of it without having then what the primary shows.
    pub(super) in_vain: u8,
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn ixfr_pauses_double_to_48_hours_only_for_notimp_and_formerr() {
        let pause_after = |codes: &[Code]| {
            let mut pause = IxfrPause::default();
            codes.iter().for_each(|&code| pause.failed(NOW, code));
            pause.until.since(NOW).as_secs()
        };
        assert_eq!(pause_after(&[Code::RcodeNotimp]), 60);
        assert_eq!(pause_after(&[Code::RcodeNotimp; 3]), 240);
        assert_eq!(pause_after(&[Code::RcodeFormerr; 40]), 48 * 3600);
        assert_eq!(pause_after(&[Code::TruncatedStream; 40]), 60);
    }

    #[test]
    fn serials_that_fall_twice_with_a_rise_between_are_flapping_and_a_roll_back_is_not() {
        let flapping = |serials: &[u32]| {
            let mut falls = Falls::default();
            serials.windows(2).for_each(|pair| falls.note(NOW, Serial(pair[0]), Serial(pair[1])));
            falls.flapping_since(NOW).is_some()
        };
        assert!(!flapping(&[9, 8, 7]));
        assert!(!flapping(&[9, 7, 8, 9]));
        assert!(flapping(&[9, 8, 9, 8]));
        assert!(flapping(&[9, 8, 9, 8, 9]), "also while it shows the newer one");
        assert!(flapping(&[9, 9 + 0x8000_0000, 10 + 0x8000_0000, 10]), "also across half the space");
    }

    #[test]
    fn a_day_without_a_fall_ends_the_flapping() {
        let mut falls = Falls::default();
        [9, 8, 9, 8].windows(2).for_each(|pair| falls.note(NOW, Serial(pair[0]), Serial(pair[1])));
        assert!(falls.flapping_since(NOW + FLAPPING_WINDOW).is_some());
        assert!(falls.flapping_since(NOW + FLAPPING_WINDOW + secs(1)).is_none());
    }

    #[test]
    fn an_hourly_rhythm_is_silent_after_a_few_hours() {
        let mut rhythm = Rhythm::default();
        for hour in 0..20 {
            rhythm.note(NOW + secs(hour * 3600));
        }
        let silent = rhythm.silent_from().expect("learned");
        assert_eq!(silent.since(rhythm.last), secs(4 * 3600));
    }

    #[test]
    fn week_ends_of_a_zone_changed_in_office_hours_are_no_silence() {
        let mut rhythm = Rhythm::default();
        let hour = secs(3600);
        for day in (0..28).filter(|day| day % 7 < 5) {
            for at in 8..18 {
                let now = NOW + hour * (day * 24 + at);
                let alarmed = rhythm.silent_from().is_some_and(|silent| silent <= now);
                // The first week-end is news, of course; the later ones are known.
                assert!(!alarmed || day <= 7, "day {day} hour {at}");
                rhythm.note(now);
            }
        }
        // And three weeks of silence are silence all the same.
        assert!(rhythm.silent_from().expect("learned") < NOW + hour * 24 * 49);
    }

    #[test]
    fn a_burst_is_one_change_and_little_is_no_rhythm() {
        let mut rhythm = Rhythm::default();
        for n in 0..10_000 {
            rhythm.note(NOW + Duration::from_millis(n));
        }
        assert_eq!(rhythm.silent_from(), None);
        for minute in 0..20 {
            rhythm.note(NOW + secs(120 * minute));
        }
        assert_eq!(rhythm.silent_from().expect("learned").since(rhythm.last), SILENCE_MIN);
    }

    #[test]
    fn one_lost_notify_is_no_lost_path() {
        let mut unannounced = Unannounced::default();
        unannounced.note(NOW);
        assert_eq!(unannounced.since(), None);
        unannounced.note(NOW + secs(60));
        assert_eq!(unannounced.since(), Some(NOW));
    }

    #[test]
    fn what_was_learned_survives_being_stored_and_grown() {
        let mut learned = Learned::default();
        learned.ixfr.failed(NOW, Code::RcodeNotimp);
        learned.rhythm.note(NOW);
        let bytes = serde_json::to_vec(&learned).expect("json");
        assert_eq!(serde_json::from_slice::<Learned>(&bytes).expect("learned"), learned);
        assert_eq!(serde_json::from_str::<Learned>("{}").expect("an older one"), Learned::default());
    }
}
