//! What is known about one primary of one zone: the source of its item in every status answer.
//!
//! [`PrimaryState`] is durable: `control` stores it when it has changed and gives it back at the start. The rest of
//! this file is what the machine in [`super`] notes beside it and forgets with the process.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::timers::doubled;
use crate::dns::Serial;
use crate::reason::{Code, Reason, StatusWord};
use crate::time::Timestamp;

/// One primary as the last exchanges with it left it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrimaryState {
    /// How the last attempt ended; [`Code::NeverTried`] before the first end. Not [`Code::InProgress`]: see
    /// [`PrimaryState::shown`].
    pub code: Code,
    /// Since when the attempts end with `code`.
    pub since: Timestamp,
    /// What is running towards the primary now.
    pub activity: Activity,
    /// The serial it showed last, in a SOA answer or a transfer.
    pub serial: Option<Serial>,
    /// It answers over TCP, but not over UDP.
    #[serde(default)]
    pub udp_blocked: bool,
    /// When the last attempt ended. Times at which the primary was not asked because it is known to be unreachable do
    /// not count.
    pub last_attempt: Option<Timestamp>,
    /// When it last gave a SOA that is not behind, or a transfer.
    pub last_success: Option<Timestamp>,
    /// Attempts in a row that ended in an error; an answer that is merely behind ends the row.
    pub consecutive_failures: u32,
    /// When the first of them ended.
    #[serde(default)]
    pub first_failure: Option<Timestamp>,
    /// The last error, kept after later successes.
    pub last_error: Option<Box<LastError>>,
    /// The last transfer that was committed, kept after later polls.
    pub last_transfer: Option<Box<LastTransfer>>,
    /// The last NOTIFY that was accepted from it.
    pub last_notify: Option<LastNotify>,
}

/// What is going on between us and a primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activity {
    /// Nothing.
    #[default]
    Idle,
    /// An exchange waits for its turn.
    Queued,
    /// It is asked for its SOA.
    Soa,
    /// An IXFR runs.
    Ixfr,
    /// An AXFR runs.
    Axfr,
}

impl Activity {
    /// Whether octets may be flowing.
    pub fn is_running(self) -> bool {
        matches!(self, Activity::Soa | Activity::Ixfr | Activity::Axfr)
    }
}

/// A failure worth remembering.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastError {
    /// The stable key.
    pub code: Code,
    /// Sentence and detail, as shown to people.
    pub message: String,
    /// When it happened.
    pub time: Timestamp,
}

/// What a transfer is asked or answered as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TransferKind {
    /// The whole zone (RFC 5936).
    Axfr,
    /// Differences (RFC 1995).
    Ixfr,
    /// A single SOA: the answer to an IXFR when there is nothing new.
    Soa,
}

/// What a transfer brought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastTransfer {
    /// What came; an IXFR may be answered with the whole zone.
    #[serde(rename = "type")]
    pub kind: TransferKind,
    /// What we asked for.
    pub asked: TransferKind,
    /// The serial served before, if any.
    pub from_serial: Option<Serial>,
    /// The serial served since.
    pub to_serial: Serial,
    /// Records received.
    pub records: u64,
    /// DNS messages received.
    pub messages: u64,
    /// Octets received, without length prefixes.
    pub octets: u64,
    /// From the query to the commit.
    pub duration_ms: u64,
    /// When it was committed.
    pub finished: Timestamp,
}

/// A NOTIFY as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastNotify {
    /// When.
    pub time: Timestamp,
    /// The serial in its answer section, if any.
    pub serial: Option<Serial>,
}

impl PrimaryState {
    /// A primary nothing is known about.
    pub fn new(now: Timestamp) -> PrimaryState {
        PrimaryState {
            code: Code::NeverTried,
            since: now,
            activity: Activity::Idle,
            serial: None,
            udp_blocked: false,
            last_attempt: None,
            last_success: None,
            consecutive_failures: 0,
            first_failure: None,
            last_error: None,
            last_transfer: None,
            last_notify: None,
        }
    }

    /// The code of the item as it stands now: that of the last attempt, unless something is running or, before the
    /// first attempt has ended, waiting.
    pub fn shown(&self) -> Code {
        match self.activity {
            Activity::Soa | Activity::Ixfr | Activity::Axfr => Code::InProgress,
            Activity::Queued if self.code == Code::NeverTried => Code::Queued,
            Activity::Queued | Activity::Idle => self.code,
        }
    }

    /// The status word of the item as it stands now.
    pub fn word(&self) -> StatusWord {
        self.shown().status()
    }

    /// The text for people, there exactly if the word is ERROR or LAGGING. `served`: our serial.
    pub fn message(&self, served: Option<Serial>) -> Option<String> {
        match (self.word(), &self.last_error, self.serial, served) {
            (StatusWord::Lagging, _, Some(offered), Some(served)) if offered.is_older_than(served) => {
                Some(format!("Primary offers serial {offered}, older than the served serial {served}"))
            }
            (StatusWord::Error, Some(error), ..) if error.code == self.code => Some(error.message.clone()),
            (StatusWord::Error | StatusWord::Lagging, ..) => Some(Reason::from(self.code).message()),
            _ => None,
        }
    }

    pub(super) fn set_code(&mut self, now: Timestamp, code: Code) {
        if self.code != code {
            self.code = code;
            self.since = now;
        }
    }

    pub(super) fn succeed(&mut self, now: Timestamp, code: Code) {
        self.set_code(now, code);
        self.last_attempt = Some(now);
        self.last_success = Some(now);
        (self.consecutive_failures, self.first_failure) = (0, None);
    }

    /// The last answer, which was not judged when it came, was a good one.
    pub(super) fn ended_well(&mut self, now: Timestamp, code: Code) {
        self.set_code(now, code);
        self.last_success = self.last_attempt;
        (self.consecutive_failures, self.first_failure) = (0, None);
    }

    /// An answer came, but an older serial than ours.
    pub(super) fn lag(&mut self, now: Timestamp) {
        self.set_code(now, Code::SerialBehind);
        self.last_attempt = Some(now);
        (self.consecutive_failures, self.first_failure) = (0, None);
    }

    pub(super) fn fail(&mut self, now: Timestamp, reason: &Reason) {
        self.note_error(now, reason);
        self.set_code(now, reason.code);
        self.last_attempt = Some(now);
        self.first_failure = self.first_failure.filter(|_| self.consecutive_failures > 0).or(Some(now));
        self.consecutive_failures = self.consecutive_failures.saturating_add(1);
    }

    /// Remembers an error that does not end the attempt: an IXFR after which an AXFR is tried.
    pub(super) fn note_error(&mut self, now: Timestamp, reason: &Reason) {
        self.last_error = Some(Box::new(LastError { code: reason.code, message: reason.message(), time: now }));
    }

    /// Not asked, because another zone found it unreachable.
    pub(super) fn block(&mut self, code: Code, since: Timestamp, until: Timestamp) {
        if self.code != code {
            let detail = format!("not asked; unreachable since {since}, next try not before {until}");
            self.note_error(since, &Reason::new(code, detail));
            self.code = code;
            self.since = since;
        }
    }

    /// After a restart: what was running then has been cut off.
    pub(super) fn restore(&mut self, now: Timestamp) {
        if self.activity.is_running() {
            let phase = match self.activity {
                Activity::Ixfr => "IXFR",
                Activity::Axfr => "AXFR",
                _ => "SOA query",
            };
            self.fail(now, &Reason::new(Code::Interrupted, phase));
        }
        self.activity = Activity::Idle;
    }
}

/// How far the SOA query of a round has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) enum Probe {
    /// None is wanted.
    #[default]
    None,
    /// To be handed out by `poll_action`.
    Due,
    /// Handed out, answer outstanding.
    Out,
}

/// What the primary has come to in the running round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) enum Standing {
    /// Not asked yet, or to be asked again.
    #[default]
    Open,
    /// Showed `PrimaryState::serial` in this round.
    Answered,
    /// Failed in this round; not tried again before the next.
    Failed,
    /// Gave its transfer in this round.
    Done,
}

/// What a NOTIFY, or a person, wants looked for at a primary once there is time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) enum Notified {
    /// Nothing.
    #[default]
    No,
    /// This serial, unless we have it by then.
    Of(Serial),
    /// Whatever there is.
    Somehow,
}

/// One primary in the machine.
#[derive(Clone, Debug)]
pub(super) struct Primary {
    pub(super) state: PrimaryState,
    pub(super) probe: Probe,
    pub(super) standing: Standing,
    /// Whether a NOTIFY from it has to be followed up.
    pub(super) notified: Notified,
    /// Not heard since a NOTIFY of another primary.
    pub(super) unheard: bool,
    /// It is asked because of its own NOTIFY: a newer answer is followed without waiting for the others.
    pub(super) urgent: bool,
    /// `state` has changed since it was last stored.
    pub(super) changed: bool,
    /// Unreachable for all zones until then; zero if not.
    pub(super) blocked_until: Timestamp,
    ixfr: IxfrPause,
    falls: Falls,
}

impl Primary {
    pub(super) fn new(state: PrimaryState) -> Primary {
        Primary {
            state,
            probe: Probe::None,
            standing: Standing::Open,
            notified: Notified::No,
            unheard: false,
            urgent: false,
            changed: true,
            blocked_until: Timestamp(0),
            ixfr: IxfrPause::default(),
            falls: Falls::default(),
        }
    }

    pub(super) fn look_for(&mut self, hint: Option<Serial>) {
        self.notified = match (self.notified, hint) {
            (Notified::Somehow, _) | (_, None) => Notified::Somehow,
            (_, Some(serial)) => Notified::Of(serial),
        };
    }

    pub(super) fn is_to_be_looked_at(&self) -> bool {
        self.notified != Notified::No && self.probe == Probe::None
    }

    pub(super) fn may_ixfr(&self, now: Timestamp) -> bool {
        now >= self.ixfr.until
    }

    pub(super) fn ixfr_failed(&mut self, now: Timestamp, code: Code) {
        self.ixfr.until = now + doubled(IXFR_PAUSE, u32::from(self.ixfr.doublings), IXFR_PAUSE_MAX);
        // Only these two say "I do not know IXFR"; anything else may be gone with the next version of the zone.
        if matches!(code, Code::RcodeNotimp | Code::RcodeFormerr) {
            self.ixfr.doublings = (self.ixfr.doublings + 1).min(31);
        }
    }

    pub(super) fn ixfr_worked(&mut self) {
        self.ixfr = IxfrPause::default();
    }

    /// Notes the serial it showed; true if its serials have gone up and down more than once lately.
    pub(super) fn showed(&mut self, now: Timestamp, serial: Serial) -> bool {
        if let Some(before) = self.state.serial.replace(serial) {
            self.falls.note(now, before, serial);
        }
        self.falls.flapping(now)
    }
}

/// How long IXFR is not tried again at a primary where it failed.
const IXFR_PAUSE: Duration = Duration::from_secs(60);
/// Where the doubling for primaries without IXFR ends.
const IXFR_PAUSE_MAX: Duration = Duration::from_secs(48 * 3600);

#[derive(Clone, Copy, Debug, Default)]
struct IxfrPause {
    until: Timestamp,
    doublings: u8,
}

/// Two falls of the serial with a rise between them, within this time, are no roll-back but several servers behind one
/// address (or one that cannot make up its mind).
const FLAPPING_WINDOW: Duration = Duration::from_secs(24 * 3600);

#[derive(Clone, Copy, Debug, Default)]
struct Falls {
    count: u8,
    risen_since: bool,
    last: Timestamp,
}

impl Falls {
    fn note(&mut self, now: Timestamp, before: Serial, after: Serial) {
        if after.is_newer_than(before) {
            self.risen_since = true;
        } else if after.is_older_than(before) {
            let again = self.count > 0 && self.risen_since && now.since(self.last) <= FLAPPING_WINDOW;
            self.count = if again { self.count.saturating_add(1) } else { 1 };
            self.risen_since = false;
            self.last = now;
        }
    }

    fn flapping(&self, now: Timestamp) -> bool {
        self.count >= 2 && now.since(self.last) <= FLAPPING_WINDOW
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    #[test]
    fn the_state_survives_being_stored() {
        let mut state = PrimaryState::new(NOW);
        state.fail(NOW, &Reason::new(Code::RcodeRefused, "AXFR"));
        state.last_notify = Some(LastNotify { time: NOW, serial: Some(Serial(7)) });
        let bytes = serde_json::to_vec(&state).expect("json");
        assert_eq!(serde_json::from_slice::<PrimaryState>(&bytes).expect("state"), state);
    }

    #[test]
    fn what_ran_when_the_daemon_stopped_comes_back_as_interrupted() {
        let mut state = PrimaryState::new(NOW);
        state.activity = Activity::Axfr;
        state.restore(NOW);
        assert_eq!((state.code, state.word(), state.activity), (Code::Interrupted, StatusWord::Error, Activity::Idle));
        assert_eq!(state.message(None).as_deref(), Some("Transfer was interrupted by a restart: AXFR"));
    }

    #[test]
    fn a_message_is_there_exactly_for_error_and_lagging() {
        for &code in Code::ALL {
            let mut state = PrimaryState::new(NOW);
            state.code = code;
            let expected = matches!(code.status(), StatusWord::Error | StatusWord::Lagging);
            assert_eq!(state.message(Some(Serial(1))).is_some_and(|text| !text.is_empty()), expected, "{code}");
        }
    }

    #[test]
    fn ixfr_pauses_double_to_48_hours_only_for_notimp_and_formerr() {
        let pause_after = |codes: &[Code]| {
            let mut primary = Primary::new(PrimaryState::new(NOW));
            codes.iter().for_each(|&code| primary.ixfr_failed(NOW, code));
            primary.ixfr.until.since(NOW).as_secs()
        };
        assert_eq!(pause_after(&[Code::RcodeNotimp]), 60);
        assert_eq!(pause_after(&[Code::RcodeNotimp; 3]), 240);
        assert_eq!(pause_after(&[Code::RcodeFormerr; 40]), 48 * 3600);
        assert_eq!(pause_after(&[Code::TruncatedStream; 40]), 60);
    }

    #[test]
    fn serials_that_fall_twice_with_a_rise_between_are_flapping_and_a_roll_back_is_not() {
        let shown = |serials: &[u32]| {
            let mut primary = Primary::new(PrimaryState::new(NOW));
            serials.iter().fold(false, |_, &serial| primary.showed(NOW, Serial(serial)))
        };
        assert!(!shown(&[9, 8, 7]));
        assert!(!shown(&[9, 7, 8, 9]));
        assert!(shown(&[9, 8, 9, 8]));
    }
}
