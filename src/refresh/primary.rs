//! What is known about one primary of one zone: the source of its item in every status answer.
//!
//! [`PrimaryState`] is durable: `control` stores it when it has changed and gives it back at the start. The rest of
//! this file is what the machine in [`super`] notes beside it and forgets with the process.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Urgency;
use super::learned::{Fingerprint, Learned};
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
    /// It is to be asked over TLS if it can, and could not.
    #[serde(default)]
    pub clear_text: bool,
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
    pub last_error: Option<Arc<LastError>>,
    /// The last transfer that was committed, kept after later polls.
    pub last_transfer: Option<Arc<LastTransfer>>,
    /// The last NOTIFY that was accepted from it.
    pub last_notify: Option<LastNotify>,
    /// What its behaviour has taught; `None` as long as it was unremarkable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learned: Option<Box<Learned>>,
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
    /// Records of the version that came of it, if known.
    #[serde(default)]
    pub zone_records: Option<u64>,
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
            clear_text: false,
            last_attempt: None,
            last_success: None,
            consecutive_failures: 0,
            first_failure: None,
            last_error: None,
            last_transfer: None,
            last_notify: None,
            learned: None,
        }
    }

    pub(super) fn learn(&mut self) -> &mut Learned {
        self.learned.get_or_insert_default()
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
        self.last_error = Some(Arc::new(LastError { code: reason.code, message: reason.message(), time: now }));
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

    /// After a restart: what was running then has been cut off. True if anything was.
    pub(super) fn restore(&mut self, now: Timestamp) -> bool {
        let was_running = self.activity.is_running();
        if was_running {
            let phase = match self.activity {
                Activity::Ixfr => "IXFR",
                Activity::Axfr => "AXFR",
                _ => "SOA query",
            };
            self.fail(now, &Reason::new(Code::Interrupted, phase));
        }
        self.activity = Activity::Idle;
        was_running
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
    /// Handed out so urgently, and its turn has not come.
    Waiting(Urgency),
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

/// A [`PrimaryState`] that the machine and the status that shows it have in common until one of them changes, which for
/// most of a zone's life nobody does. Whoever changes it gets one of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedState(Arc<PrimaryState>);

impl SharedState {
    /// As it is shown: without what only the machine needs.
    pub fn to_item(&self) -> SharedState {
        match &self.learned {
            None => self.clone(),
            Some(_) => PrimaryState { learned: None, ..PrimaryState::clone(self) }.into(),
        }
    }
}

impl From<PrimaryState> for SharedState {
    fn from(state: PrimaryState) -> SharedState {
        SharedState(Arc::new(state))
    }
}

impl Deref for SharedState {
    type Target = PrimaryState;

    fn deref(&self) -> &PrimaryState {
        &self.0
    }
}

impl DerefMut for SharedState {
    fn deref_mut(&mut self) -> &mut PrimaryState {
        Arc::make_mut(&mut self.0)
    }
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
    pub(super) state: SharedState,
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
    /// What the SOA answer that is about to be handed in looks like.
    pub(super) look: Option<Fingerprint>,
}

impl Primary {
    pub(super) fn new(state: impl Into<SharedState>) -> Primary {
        Primary {
            state: state.into(),
            probe: Probe::None,
            standing: Standing::Open,
            notified: Notified::No,
            unheard: false,
            urgent: false,
            changed: true,
            blocked_until: Timestamp::default(),
            look: None,
        }
    }

    pub(super) fn look_for(&mut self, hint: Option<Serial>) {
        self.notified = match (self.notified, hint) {
            (Notified::Somehow, _) | (_, None) => Notified::Somehow,
            (_, Some(serial)) => Notified::Of(serial),
        };
    }

    pub(super) fn is_to_be_looked_at(&self) -> bool {
        self.notified != Notified::No && self.may_be_asked(Urgency::Notify)
    }

    /// Whether a SOA query so urgent would come sooner than what is under way: one that waits for its turn is handed out once
    /// more (N12).
    pub(super) fn may_be_asked(&self, urgency: Urgency) -> bool {
        match self.probe {
            Probe::None => true,
            Probe::Waiting(handed_out) => handed_out < urgency,
            Probe::Due | Probe::Out => false,
        }
    }

    pub(super) fn may_ixfr(&self, now: Timestamp) -> bool {
        self.state.learned.as_ref().is_none_or(|learned| now >= learned.ixfr.until)
    }

    pub(super) fn ixfr_failed(&mut self, now: Timestamp, code: Code) {
        self.state.learn().ixfr.failed(now, code);
    }

    pub(super) fn ixfr_worked(&mut self) {
        if let Some(learned) = &mut self.state.learned {
            learned.ixfr = Default::default();
        }
    }

    /// Notes the serial it showed, with what the SOA looked like where that is known; true if its serials, or its SOAs
    /// under one serial, go back and forth lately. `served`: our version, as which a SOA usually looks.
    pub(super) fn showed(
        &mut self,
        now: Timestamp,
        serial: Serial,
        look: Option<Fingerprint>,
        served: Option<(Serial, Fingerprint)>,
    ) -> bool {
        let state = &mut self.state;
        let before = state.serial.replace(serial);
        if let Some(before) = before.filter(|before| *before != serial)
            && (state.learned.is_some() || !serial.is_newer_than(before))
        {
            state.learn().falls.note(now, before, serial);
        }
        if let Some(look) = look {
            let as_expected = served.is_none_or(|(ours, looks)| ours != serial || looks.soa == look.soa);
            if !as_expected || state.learned.as_ref().is_some_and(|learned| learned.shown.is_some()) {
                let learned = state.learn();
                let known = learned.shown.filter(|(known, ..)| *known == serial);
                if known.is_some_and(|(_, looked, _)| looked.soa != look.soa) {
                    learned.falls.note_other_soa(now);
                }
                let as_before = known.filter(|(_, looked, _)| looked.soa == look.soa);
                learned.shown = Some((serial, look, as_before.map_or(now, |(.., since)| since)));
            }
        }
        state.learned.as_ref().is_some_and(|learned| learned.falls.flapping_since(now).is_some())
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
}
