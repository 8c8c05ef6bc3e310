//! The state machine itself: inputs, and what follows from them. See [`super`] for the picture.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use super::primary::{Notified, Primary, Probe, Standing};
use super::status::{Phase, Why};
use super::timers::{Jitter, doubled};
use super::unreachable::{Blocked, is_unreachable};
use super::*;
use crate::reason::{Code, StatusWord};

/// When and where one zone is refreshed.
#[derive(Clone, Debug)]
pub struct Refresh {
    pub(super) settings: Arc<Settings>,
    pub(super) primaries: Box<[Primary]>,
    /// Of the served version; `None` before the first.
    pub(super) soa: Option<SoaTimers>,
    pub(super) confirmation: Option<Confirmation>,
    pub(super) round: Option<Round>,
    pub(super) hint: Option<Hint>,
    /// When the next round begins by itself, and why then.
    pub(super) next: Timestamp,
    pub(super) why: Why,
    /// NOTIFYs without news wait until then.
    pub(super) gate: Timestamp,
    pub(super) siblings: Option<Siblings>,
    siblings_not_before: Timestamp,
    /// Rounds in a row in which no primary confirmed the zone.
    pub(super) failures: u32,
    jitter: Jitter,
    pub(super) generation: u32,
    pub(super) phase: Phase,
    pub(super) expired: bool,
    expire_due: bool,
    confirm_due: bool,
    /// All primaries were replaced: their numbering has nothing to do with the one served.
    any_serial: bool,
}

/// One pass over the primaries.
#[derive(Clone, Debug)]
pub(super) struct Round {
    pub(super) urgency: Urgency,
    want: Want,
    /// The whole transfer that `want` asks for has been made.
    whole_done: bool,
    /// Only looks at the primaries that did not send the last NOTIFY; their failures are not the zone's.
    pub(super) sibling: bool,
    confirmed: bool,
    committed: bool,
    /// Some exchange was really made, not just forbidden by the unreachable cache.
    asked: bool,
    mismatch_retried: bool,
    /// The highest serial whose transfer failed.
    missed: Option<Serial>,
    blocked_until: Option<Timestamp>,
    decide_at: Option<Timestamp>,
    pub(super) transfer: Option<Running>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Want {
    Newer,
    Whole,
    WholeForced,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Running {
    pub(super) primary: u16,
    pub(super) kind: TransferKind,
    accept: Accept,
    taken: bool,
}

/// The serial a NOTIFY announced. Unauthenticated: it may save a query, never decide one (RFC 1996 §4.7).
#[derive(Clone, Copy, Debug)]
pub(super) struct Hint {
    pub(super) serial: Serial,
    from: Option<u16>,
    /// The transfer at its sender has been started.
    tried: bool,
    /// A round has ended without it.
    retried: bool,
    /// Nobody had it twice. Kept to know it again: repeated, it is no news.
    forgotten: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Siblings {
    pub(super) due: Timestamp,
    /// Those not heard since then are asked.
    since: Timestamp,
}

/// What a NOTIFY tells.
enum News {
    /// Nothing: we have it and nothing is wrong.
    Known,
    /// Perhaps something.
    Maybe,
    /// A serial nobody has announced before.
    Newer(Serial),
}

impl Round {
    fn new(urgency: Urgency) -> Round {
        Round {
            urgency,
            want: Want::Newer,
            whole_done: false,
            sibling: false,
            confirmed: false,
            committed: false,
            asked: false,
            mismatch_retried: false,
            missed: None,
            blocked_until: None,
            decide_at: None,
            transfer: None,
        }
    }

    fn wants_whole(&self) -> bool {
        self.want != Want::Newer && !self.whole_done
    }
}

// -- inputs ------------------------------------------------------------------------------------------------------

impl Refresh {
    /// A zone with `primaries` primaries (at least one). `seed` decides the jitter and nothing else; give each zone
    /// its own. Without contents the first round is due at once; with them after REFRESH from the last confirmation,
    /// or, if that is past, within [`Settings::start_spread`].
    pub fn new(
        settings: Arc<Settings>,
        primaries: usize,
        seed: u64,
        restored: Option<Restored>,
        now: Timestamp,
    ) -> Refresh {
        let mut restored = restored.unwrap_or_default();
        restored.primaries.resize(primaries, None);
        let mut zone = Refresh {
            settings,
            primaries: restored.primaries.into_iter().map(|state| restore_primary(state, now)).collect(),
            soa: restored.soa,
            confirmation: None,
            round: None,
            hint: None,
            next: now,
            why: Why::First,
            gate: now,
            siblings: None,
            siblings_not_before: now,
            failures: 0,
            jitter: Jitter::new(seed),
            generation: 0,
            phase: Phase::Provisioning,
            expired: false,
            expire_due: false,
            confirm_due: false,
            any_serial: false,
        };
        if let Some(soa) = zone.soa {
            zone.phase = Phase::Settled;
            zone.restore_expiry(now, soa, restored.confirmation);
        }
        zone
    }

    fn restore_expiry(&mut self, now: Timestamp, soa: SoaTimers, confirmation: Option<Confirmation>) {
        self.confirmation = confirmation.map(|confirmed| Confirmation {
            // A clock that was set back must not lengthen a zone's life.
            expires: confirmed.expires.min(now + soa.expire(&self.settings)),
            at: confirmed.at.min(now),
            ..confirmed
        });
        self.expired = self.confirmation.is_none_or(|confirmed| confirmed.expires <= now);
        self.expire_due = self.expired;
        let due = self.confirmation.map(|confirmed| confirmed.at + self.refresh_interval(soa));
        self.why = Why::Refresh;
        self.next = match due {
            Some(due) if due > now && !self.expired => due,
            _ => now + self.jitter.up_to(self.settings.start_spread),
        };
    }

    /// A NOTIFY was accepted. `sender`: which primary it speaks for, if it came from one's address. `hint`: the serial
    /// in its answer section.
    pub fn handle_notify(&mut self, now: Timestamp, sender: Option<usize>, hint: Option<Serial>) {
        self.touch();
        let sender = sender.filter(|&ix| ix < self.primaries.len());
        if let Some(ix) = sender {
            self.primaries[ix].state.last_notify = Some(LastNotify { time: now, serial: hint });
            self.primaries[ix].changed = true;
        }
        let news = self.weigh(sender, hint);
        if matches!(news, News::Known) {
            return;
        }
        self.failures = 0;
        self.expect_siblings(now);
        match news {
            News::Newer(serial) => {
                let from = sender.map(|ix| ix as u16);
                self.hint = Some(Hint { serial, from, tried: false, retried: false, forgotten: false });
                self.gate = now + NOTIFY_GAP;
                self.join_round(Urgency::Notify);
                if sender.is_none() {
                    self.ask_again();
                }
            }
            News::Maybe | News::Known => match sender {
                Some(ix) => self.primaries[ix].look_for(hint),
                None => self.primaries.iter_mut().for_each(|primary| primary.look_for(hint)),
            },
        }
        self.advance(now);
    }

    /// A SOA query ended.
    pub fn handle_probe(&mut self, now: Timestamp, ix: usize, outcome: Result<Probed, Reason>) {
        if self.primaries.get(ix).is_none_or(|primary| primary.probe != Probe::Out) {
            return;
        }
        self.touch();
        self.primaries[ix].probe = Probe::None;
        self.heard(ix);
        match outcome {
            Ok(Probed { serial, expire_option }) => self.note_answer(now, ix, serial, expire_option),
            Err(reason) => {
                self.primaries[ix].state.fail(now, &reason);
                self.primaries[ix].standing = Standing::Failed;
            }
        }
        self.show_activity(ix);
        self.advance(now);
    }

    /// A transfer ended. [`Transferred::Committed`] means: checked, published, and not refused by [`Accept::judge`].
    pub fn handle_transfer(&mut self, now: Timestamp, ix: usize, outcome: Result<Transferred, Reason>) {
        let Some(running) = self.take_transfer(ix) else { return };
        self.touch();
        self.heard(ix);
        match outcome {
            Ok(Transferred::Committed(committed)) => self.note_committed(now, ix, running, committed),
            Ok(Transferred::UpToDate { serial, expire_option }) => {
                self.note_answer(now, ix, serial, expire_option);
                self.note_up_to_date(now, ix, running, serial);
            }
            Err(reason) => self.note_failed_transfer(now, ix, running, &reason),
        }
        self.show_activity(ix);
        self.advance(now);
    }

    /// An action was not performed because [`unreachable::Cache`] forbids it.
    pub fn handle_unreachable(&mut self, now: Timestamp, ix: usize, blocked: Blocked) {
        let was_transfer = self.take_transfer(ix).is_some();
        let Some(primary) = self.primaries.get_mut(ix) else { return };
        if !was_transfer {
            if primary.probe != Probe::Out {
                return;
            }
            primary.probe = Probe::None;
        }
        primary.changed = true;
        primary.blocked_until = blocked.until;
        primary.state.block(blocked.code, blocked.since, blocked.until);
        if was_transfer {
            self.note_missed(ix);
        }
        self.primaries[ix].standing = Standing::Failed;
        if let Some(round) = &mut self.round {
            round.blocked_until = Some(round.blocked_until.map_or(blocked.until, |until| until.min(blocked.until)));
        }
        self.touch();
        self.show_activity(ix);
        self.advance(now);
    }

    /// The exchange last taken for this primary waits for its turn: its item goes on showing the last outcome.
    /// Optional; see [`Refresh::handle_started`].
    pub fn handle_waiting(&mut self, ix: usize) {
        if let Some(primary) = self.primaries.get_mut(ix).filter(|primary| primary.state.activity.is_running()) {
            primary.state.activity = Activity::Queued;
            self.touch();
        }
    }

    /// Its turn has come.
    pub fn handle_started(&mut self, ix: usize) {
        if ix < self.primaries.len() {
            self.show_activity(ix);
            self.touch();
        }
    }

    /// A person asks for something. Clears the back-off.
    pub fn handle_command(&mut self, now: Timestamp, command: Command) {
        self.touch();
        self.failures = 0;
        if self.state() == ZoneState::Failed {
            self.phase = Phase::Provisioning;
        }
        let want = match command {
            Command::Refresh => Want::Newer,
            Command::Retransfer { force: false } => Want::Whole,
            Command::Retransfer { force: true } => Want::WholeForced,
        };
        let round = self.join_round(Urgency::Operator);
        let joins = want != Want::Newer && round.wants_whole();
        if want != Want::Newer && !joins {
            round.whole_done = false;
        }
        round.want = round.want.max(want);
        if !joins {
            self.ask_again();
        }
        self.advance(now);
    }

    /// The zone has another list of primaries. `kept[i]` is the index that the new i-th had in the old list, if it
    /// stays the same server with the same settings. `disjoint`: no address is in common with the old list, so the
    /// next version may have any serial.
    ///
    /// All exchanges taken before are void: the caller drops them and does not report their ends.
    pub fn set_primaries(&mut self, now: Timestamp, kept: &[Option<usize>], disjoint: bool) {
        self.primaries = kept
            .iter()
            .map(|old| match old.and_then(|ix| self.primaries.get(ix)) {
                Some(primary) => {
                    let mut state = primary.state.clone();
                    state.activity = Activity::Idle;
                    Primary::new(state)
                }
                None => Primary::new(PrimaryState::new(now)),
            })
            .collect();
        self.round = None;
        self.hint = None;
        self.siblings = None;
        self.failures = 0;
        self.any_serial |= disjoint && self.soa.is_some();
        self.phase = Phase::Provisioning;
        self.touch();
        self.join_round(Urgency::Operator);
        self.ask_again();
        self.advance(now);
    }

    /// The bounds were reloaded; they hold from the next interval on.
    pub fn set_settings(&mut self, settings: Arc<Settings>) {
        self.settings = settings;
        self.touch();
    }

    /// The deadline of [`Refresh::poll_timeout`] has come (or anything else: early calls do no harm).
    pub fn handle_timeout(&mut self, now: Timestamp) {
        if !self.expired && self.expires().is_some_and(|expires| expires <= now) {
            self.expired = true;
            self.expire_due = true;
            self.touch();
        }
        if self.siblings.is_some_and(|siblings| siblings.due <= now) {
            self.ask_siblings(now);
        }
        if self.waits_for_next() && self.next <= now {
            self.touch();
            let urgency = self.timer_urgency();
            self.join_round(urgency);
            self.ask_open();
        }
        self.advance(now);
    }
}

// -- outputs -----------------------------------------------------------------------------------------------------

impl Refresh {
    /// The next thing to do; call until `None`.
    pub fn poll_action(&mut self) -> Option<Action> {
        if std::mem::take(&mut self.expire_due) {
            return Some(Action::Expire);
        }
        if std::mem::take(&mut self.confirm_due)
            && let Some(Confirmation { by, expires, .. }) = self.confirmation
        {
            return Some(Action::Confirm { by: usize::from(by), expires });
        }
        let round = self.round.as_mut()?;
        let urgency = round.urgency;
        if let Some(running) = round.transfer.as_mut().filter(|running| !running.taken) {
            running.taken = true;
            let Running { kind, accept, .. } = *running;
            let primary = usize::from(running.primary);
            self.primaries[primary].changed = true;
            self.show_activity(primary);
            return Some(Action::Transfer { primary, kind, accept, urgency });
        }
        let primary = self.primaries.iter().position(|primary| primary.probe == Probe::Due)?;
        self.primaries[primary].probe = Probe::Out;
        self.show_activity(primary);
        Some(Action::Probe { primary, urgency })
    }

    /// When [`Refresh::handle_timeout`] is to be called next.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let next = self.waits_for_next().then_some(self.next);
        let decide = self.round.as_ref().and_then(|round| round.decide_at);
        let expiry = if self.expired { None } else { self.expires() };
        let siblings = self.siblings.map(|siblings| siblings.due);
        let gate = self.waits_for_gate().then_some(self.gate);
        [next, decide, expiry, siblings, gate].into_iter().flatten().min()
    }

    /// The index of a primary whose [`PrimaryState`] has changed since it was last returned here; call until `None`.
    pub fn poll_changed(&mut self) -> Option<usize> {
        let ix = self.primaries.iter().position(|primary| primary.changed)?;
        self.primaries[ix].changed = false;
        Some(ix)
    }
}

// -- what follows ------------------------------------------------------------------------------------------------

impl Refresh {
    /// Does whatever is possible now. Every input ends here.
    fn advance(&mut self, now: Timestamp) {
        loop {
            if self.round.as_ref().is_some_and(|round| round.transfer.is_some()) {
                return;
            }
            self.ask_notified(now);
            if self.round.is_none() {
                return;
            }
            if let Some(ix) = self.take_hinted_sender() {
                return self.start_transfer(now, ix, true);
            }
            if let Some((ix, serial)) = self.best() {
                let newer = self.served_serial().is_none_or(|served| serial.is_newer_than(served));
                if self.may_decide(now, ix, newer) {
                    self.start_transfer(now, ix, newer);
                }
                return;
            }
            self.round_mut().decide_at = None;
            if self.is_asking() || (!self.is_satisfied() && self.ask_open()) {
                return;
            }
            self.finish(now);
        }
    }

    /// The sender of a newer hint, once per hint.
    fn take_hinted_sender(&mut self) -> Option<usize> {
        if !self.hint_is_unmet() || self.any_serial {
            return None;
        }
        let hint = self.hint.as_mut().filter(|hint| !hint.tried)?;
        hint.tried = true;
        hint.from.map(usize::from)
    }

    /// The primary with the highest serial that is wanted; ties go to the first in the list.
    fn best(&self) -> Option<(usize, Serial)> {
        let mut best: Option<(usize, Serial)> = None;
        for (ix, primary) in self.primaries.iter().enumerate() {
            if primary.standing == Standing::Answered
                && let Some(serial) = primary.state.serial
                && self.wants(serial)
                && best.is_none_or(|(_, highest)| serial.is_newer_than(highest))
            {
                best = Some((ix, serial));
            }
        }
        best
    }

    fn wants(&self, serial: Serial) -> bool {
        let Some(served) = self.served_serial() else { return true };
        match serial.compare(served) {
            Some(Ordering::Greater) => true,
            Some(Ordering::Equal) => self.round.as_ref().is_some_and(Round::wants_whole),
            Some(Ordering::Less) | None => self.takes_any_serial(),
        }
    }

    fn takes_any_serial(&self) -> bool {
        let forced = |round: &Round| round.want == Want::WholeForced && round.wants_whole();
        self.expired || self.any_serial || self.round.as_ref().is_some_and(forced)
    }

    /// Whether to go on with the best answer although others may still come: at once if none can, or if it comes from
    /// the sender of a NOTIFY; else after a moment. Never in a hurry to go back to an older serial.
    fn may_decide(&mut self, now: Timestamp, ix: usize, newer: bool) -> bool {
        if !self.is_asking() || (newer && self.primaries[ix].urgent) {
            return true;
        }
        let forward = newer || self.primaries[ix].state.serial == self.served_serial();
        let round = self.round_mut();
        if !forward {
            round.decide_at = None;
            return false;
        }
        *round.decide_at.get_or_insert(now + PROBE_GRACE) <= now
    }

    fn start_transfer(&mut self, now: Timestamp, ix: usize, newer: bool) {
        let any = self.soa.is_none() || self.takes_any_serial();
        let may_ixfr = self.soa.is_some() && newer && !self.any_serial && self.primaries[ix].may_ixfr(now);
        let round = self.round_mut();
        let accept = match () {
            _ if any => Accept::Any,
            _ if round.wants_whole() => Accept::SameOrNewer,
            _ => Accept::Newer,
        };
        let kind = if may_ixfr && !round.wants_whole() { TransferKind::Ixfr } else { TransferKind::Axfr };
        self.run_transfer(ix, kind, accept);
    }

    fn run_transfer(&mut self, ix: usize, kind: TransferKind, accept: Accept) {
        let round = self.round_mut();
        round.decide_at = None;
        round.transfer = Some(Running { primary: ix as u16, kind, accept, taken: false });
        self.show_activity(ix);
    }

    /// Whether the round has brought what it was for.
    fn is_satisfied(&self) -> bool {
        let round = self.round.as_ref().expect("asked within a round");
        round.sibling || (round.confirmed && !round.wants_whole() && !self.hint_is_unmet())
    }

    fn hint_is_unmet(&self) -> bool {
        let newer = |hint: &Hint| self.served_serial().is_some_and(|served| hint.serial.is_newer_than(served));
        self.hint.as_ref().is_some_and(|hint| !hint.forgotten && newer(hint))
    }

    fn finish(&mut self, now: Timestamp) {
        let round = self.round.take().expect("finished once");
        self.touch();
        for ix in 0..self.primaries.len() {
            self.settle(now, ix);
            let primary = &mut self.primaries[ix];
            primary.standing = Standing::Open;
            primary.urgent = false;
        }
        let missed = round.missed.is_some_and(|missed| match self.served_serial() {
            Some(served) => missed.is_newer_than(served),
            None => true,
        });
        if round.sibling {
            if missed {
                self.next = self.next.min(now + self.pause(1));
            }
            return;
        }
        if !round.confirmed && !round.committed && self.phase == Phase::Provisioning {
            self.phase = Phase::Failed;
        }
        self.set_next(now, &round, missed);
        self.retry_or_forget_hint(now);
    }

    fn set_next(&mut self, now: Timestamp, round: &Round, missed: bool) {
        if let Some(soa) = self.soa
            && round.confirmed
            && !missed
        {
            self.failures = 0;
            self.why = Why::Refresh;
            self.next = now + self.refresh_interval(soa);
            return;
        }
        if let Some(until) = round.blocked_until.filter(|_| !round.asked) {
            // Nobody was really asked, so nothing has failed again: go on as soon as somebody may be.
            let pause = self.pause(self.failures.max(1));
            let moment = until.max(now) + self.jitter.up_to(Duration::from_secs(1));
            self.why = Why::Unreachable;
            self.next = moment.min(now + pause);
            return;
        }
        self.failures = self.failures.saturating_add(1);
        self.why = if self.soa.is_some() { Why::Retry } else { Why::First };
        self.next = now + self.pause(self.failures);
    }

    /// A primary that announced a serial and does not have it gets one more chance, and no perpetual round.
    fn retry_or_forget_hint(&mut self, now: Timestamp) {
        if !self.hint_is_unmet() {
            return;
        }
        let retry = self.soa.map_or(HINT_RETRY, |soa| soa.retry(&self.settings));
        let hint = self.hint.as_mut().expect("an unmet hint is there");
        if std::mem::replace(&mut hint.retried, true) {
            hint.forgotten = true;
            return;
        }
        let soon = now + retry.min(HINT_RETRY);
        if soon < self.next {
            self.next = soon;
            self.why = Why::Notify;
        }
    }

    fn refresh_interval(&mut self, soa: SoaTimers) -> Duration {
        let interval = self.jitter.shorten(soa.refresh(&self.settings), self.settings.jitter_percent);
        interval.max(self.settings.refresh_min)
    }

    fn pause(&mut self, failures: u32) -> Duration {
        let settings = &self.settings;
        let pause = match self.soa {
            Some(soa) => soa.pause(settings, failures),
            None => doubled(settings.retry_initial, failures.saturating_sub(1), settings.retry_initial_max),
        };
        self.jitter.shorten(pause, settings.jitter_percent)
    }
}

// -- asking ------------------------------------------------------------------------------------------------------

impl Refresh {
    /// The running round, or a new one; at least this urgent.
    fn join_round(&mut self, urgency: Urgency) -> &mut Round {
        let round = self.round.get_or_insert_with(|| Round::new(urgency));
        round.urgency = round.urgency.max(urgency);
        round.sibling = false;
        round
    }

    fn round_mut(&mut self) -> &mut Round {
        self.round.as_mut().expect("called within a round")
    }

    /// Asks the primaries that have not been asked in this round: all, or the first of them in `ordered` mode. False
    /// if there are none.
    fn ask_open(&mut self) -> bool {
        let mut asked = false;
        for ix in 0..self.primaries.len() {
            let primary = &self.primaries[ix];
            if primary.standing == Standing::Open && primary.probe == Probe::None && !self.is_transferring(ix) {
                self.ask(ix);
                asked = true;
                if self.settings.ordered {
                    break;
                }
            }
        }
        asked
    }

    /// Asks everybody, also those who have answered in this round.
    fn ask_again(&mut self) {
        for ix in 0..self.primaries.len() {
            if self.is_transferring(ix) {
                // What is on its way may have left before the change.
                self.primaries[ix].notified = Notified::Somehow;
            } else if self.primaries[ix].probe == Probe::None {
                self.primaries[ix].standing = Standing::Open;
            }
        }
        self.ask_open();
    }

    fn ask(&mut self, ix: usize) {
        self.primaries[ix].probe = Probe::Due;
        self.primaries[ix].standing = Standing::Open;
        self.show_activity(ix);
    }

    /// Follows up NOTIFYs that told nothing for certain, all of them together and at most once in [`NOTIFY_GAP`].
    fn ask_notified(&mut self, now: Timestamp) {
        let served = self.served_serial();
        let mut any = false;
        for primary in &mut self.primaries {
            if let (Notified::Of(serial), Some(served)) = (primary.notified, served)
                && (serial == served || serial.is_older_than(served))
                && primary.state.code.status() == StatusWord::Ok
            {
                primary.notified = Notified::No;
            }
            any |= primary.notified != Notified::No;
        }
        if !any {
            return;
        }
        if now < self.gate {
            return;
        }
        let mut asked = false;
        for ix in 0..self.primaries.len() {
            if self.primaries[ix].is_to_be_looked_at() {
                self.primaries[ix].notified = Notified::No;
                self.primaries[ix].urgent = true;
                self.join_round(Urgency::Notify);
                self.ask(ix);
                asked = true;
            }
        }
        if asked {
            self.gate = now + NOTIFY_GAP;
        }
    }

    fn weigh(&self, sender: Option<usize>, hint: Option<Serial>) -> News {
        let (Some(served), Some(hint)) = (self.served_serial(), hint) else { return News::Maybe };
        match hint.compare(served) {
            Some(Ordering::Greater) => match self.hint {
                Some(known) if known.serial == hint => News::Maybe,
                Some(known) if !known.forgotten && !hint.is_newer_than(known.serial) => News::Maybe,
                _ => News::Newer(hint),
            },
            // Undefined order: only the primary's SOA can tell.
            None => News::Maybe,
            Some(_) if self.is_quiet(sender) => News::Known,
            Some(_) => News::Maybe,
        }
    }

    /// Nothing is wrong with the zone or the sender that an exchange could put right.
    fn is_quiet(&self, sender: Option<usize>) -> bool {
        let well = |ix: usize| self.primaries[ix].state.code.status() == StatusWord::Ok;
        self.failures == 0 && !self.expired && self.phase == Phase::Settled && sender.is_none_or(well)
    }

    fn expect_siblings(&mut self, now: Timestamp) {
        if self.primaries.len() > 1 && self.siblings.is_none() {
            let due = (now + SIBLINGS_DELAY).max(self.siblings_not_before);
            self.siblings = Some(Siblings { due, since: now });
        }
    }

    /// Asks those who have not been heard since the NOTIFY.
    fn ask_siblings(&mut self, now: Timestamp) {
        let Some(siblings) = self.siblings.take() else { return };
        self.siblings_not_before = now + SIBLINGS_GAP;
        for ix in 0..self.primaries.len() {
            let primary = &self.primaries[ix];
            let heard = primary.state.last_attempt.is_some_and(|at| at >= siblings.since);
            if heard || primary.probe != Probe::None || self.is_transferring(ix) {
                continue;
            }
            if self.round.is_none() {
                self.round = Some(Round { sibling: true, ..Round::new(Urgency::Due) });
            }
            self.ask(ix);
            self.touch();
        }
    }

    fn is_asking(&self) -> bool {
        self.primaries.iter().any(|primary| primary.probe != Probe::None)
    }

    fn is_transferring(&self, ix: usize) -> bool {
        let at = |round: &Round| round.transfer.is_some_and(|running| usize::from(running.primary) == ix);
        self.round.as_ref().is_some_and(at)
    }

    fn waits_for_next(&self) -> bool {
        self.round.as_ref().is_none_or(|round| round.sibling)
    }

    fn waits_for_gate(&self) -> bool {
        let free = self.round.as_ref().is_none_or(|round| round.transfer.is_none());
        free && self.primaries.iter().any(Primary::is_to_be_looked_at)
    }

    fn timer_urgency(&self) -> Urgency {
        match () {
            _ if self.why == Why::Notify => Urgency::Notify,
            _ if self.soa.is_none() => Urgency::Initial,
            _ if self.expired => Urgency::Expired,
            _ => Urgency::Due,
        }
    }
}

// -- noting outcomes ---------------------------------------------------------------------------------------------

impl Refresh {
    fn touch(&mut self) {
        self.generation = self.generation.wrapping_add(1);
    }

    /// An exchange with the primary was really made.
    fn heard(&mut self, ix: usize) {
        self.primaries[ix].changed = true;
        self.primaries[ix].blocked_until = Timestamp(0);
        if let Some(round) = &mut self.round {
            round.asked = true;
        }
    }

    fn take_transfer(&mut self, ix: usize) -> Option<Running> {
        let round = self.round.as_mut()?;
        round.transfer.take_if(|running| running.taken && usize::from(running.primary) == ix)
    }

    fn show_activity(&mut self, ix: usize) {
        let running = self.round.as_ref().and_then(|round| round.transfer);
        let primary = &mut self.primaries[ix];
        primary.state.activity = match running.filter(|running| usize::from(running.primary) == ix) {
            Some(Running { taken: false, .. }) => Activity::Queued,
            Some(Running { kind: TransferKind::Ixfr, .. }) => Activity::Ixfr,
            Some(_) => Activity::Axfr,
            None => match primary.probe {
                Probe::None => Activity::Idle,
                Probe::Due => Activity::Queued,
                Probe::Out => Activity::Soa,
            },
        };
    }

    /// The primary showed its serial.
    fn note_answer(&mut self, now: Timestamp, ix: usize, serial: Serial, expire_option: Option<u32>) {
        let served = self.served_serial();
        let primary = &mut self.primaries[ix];
        let flapping = primary.showed(now, serial);
        primary.standing = Standing::Answered;
        primary.state.last_attempt = Some(now);
        if let Some(served) = served {
            match serial.compare(served) {
                // How the attempt ends shows when the transfer has ended, here or elsewhere: `settle`.
                Some(Ordering::Greater) => {}
                Some(Ordering::Equal) => {
                    primary.state.succeed(now, Code::UpToDate);
                    self.confirm(now, ix, expire_option, false);
                }
                Some(Ordering::Less) if flapping => {
                    let detail = format!("now {serial}, served {served}");
                    primary.state.fail(now, &Reason::new(Code::SerialFlapping, detail));
                }
                Some(Ordering::Less) => primary.state.lag(now),
                None => primary.state.fail(now, &undefined(serial, served)),
            }
            if self.phase == Phase::Provisioning && !self.expired {
                self.phase = Phase::Settled;
            }
        }
    }

    fn note_up_to_date(&mut self, now: Timestamp, ix: usize, running: Running, serial: Serial) {
        let newer = self.served_serial().is_none_or(|served| serial.is_newer_than(served));
        let primary = &mut self.primaries[ix];
        if running.kind == TransferKind::Ixfr {
            primary.ixfr_worked();
        }
        if newer || running.kind == TransferKind::Axfr {
            // Not a candidate again in this round, whatever it shows.
            primary.standing = Standing::Done;
        }
        if primary.state.last_transfer.is_none() && !newer {
            primary.state.last_transfer = Some(Box::new(LastTransfer {
                kind: TransferKind::Soa,
                asked: running.kind,
                from_serial: self.soa.map(|soa| soa.serial),
                to_serial: serial,
                records: 1,
                messages: 1,
                octets: 0,
                duration_ms: 0,
                finished: now,
            }));
        }
    }

    fn note_committed(&mut self, now: Timestamp, ix: usize, running: Running, committed: Committed) {
        let from_serial = self.served_serial();
        let Committed { soa, kind, expire_option, records, messages, octets, duration_ms } = committed;
        self.confirm_after_transfer(now, ix, soa, expire_option);
        let primary = &mut self.primaries[ix];
        primary.showed(now, soa.serial);
        primary.state.succeed(now, Code::Ok);
        primary.standing = Standing::Done;
        primary.state.last_transfer = Some(Box::new(LastTransfer {
            kind,
            asked: running.kind,
            from_serial,
            to_serial: soa.serial,
            records,
            messages,
            octets,
            duration_ms,
            finished: now,
        }));
        if running.kind == TransferKind::Ixfr {
            primary.ixfr_worked();
        }
        let round = self.round_mut();
        round.committed = true;
        round.whole_done |= running.kind == TransferKind::Axfr || kind == TransferKind::Axfr;
        if round.wants_whole() {
            // Asked for while the differences were on their way: this primary can still give it.
            self.primaries[ix].standing = Standing::Answered;
        }
        self.any_serial = false;
        self.phase = Phase::Settled;
        if self.hint.is_some_and(|hint| !hint.serial.is_newer_than(soa.serial)) {
            self.hint = None;
        }
        self.why = Why::Refresh;
        self.next = now + self.refresh_interval(soa);
        (0..self.primaries.len()).for_each(|other| self.compare_again(now, other));
    }

    /// The served serial has moved: what the primary showed in this round may now be equal or behind.
    fn compare_again(&mut self, now: Timestamp, ix: usize) {
        let served = self.served_serial();
        let primary = &mut self.primaries[ix];
        if primary.standing != Standing::Answered {
            return;
        }
        if let (Some(served), Some(shown)) = (served, primary.state.serial) {
            match shown.compare(served) {
                Some(Ordering::Equal) => primary.state.succeed(now, Code::UpToDate),
                Some(Ordering::Less) => primary.state.lag(now),
                Some(Ordering::Greater) | None => return,
            }
            primary.changed = true;
        }
    }

    /// Ends the attempt at a primary that offered something newer, which was not needed from it.
    fn settle(&mut self, now: Timestamp, ix: usize) {
        let served = self.served_serial();
        let primary = &mut self.primaries[ix];
        let newer = |shown: Serial| served.is_none_or(|served| shown.is_newer_than(served));
        if primary.standing == Standing::Answered && primary.state.serial.is_some_and(newer) {
            primary.state.succeed(now, Code::Ok);
            primary.changed = true;
        }
    }

    fn note_failed_transfer(&mut self, now: Timestamp, ix: usize, running: Running, reason: &Reason) {
        if running.kind == TransferKind::Ixfr && falls_back(reason.code) {
            self.primaries[ix].ixfr_failed(now, reason.code);
            self.primaries[ix].state.note_error(now, reason);
            return self.run_transfer(ix, TransferKind::Axfr, running.accept);
        }
        if reason.code == Code::SoaMismatch && !self.round_mut().mismatch_retried {
            // The zone has probably changed in flight.
            self.round_mut().mismatch_retried = true;
            self.primaries[ix].state.note_error(now, reason);
            return self.run_transfer(ix, running.kind, running.accept);
        }
        self.note_missed(ix);
        let state = &mut self.primaries[ix].state;
        match reason.code {
            Code::SerialBehind => state.lag(now),
            _ => state.fail(now, reason),
        }
        self.primaries[ix].standing = Standing::Failed;
    }

    fn note_missed(&mut self, ix: usize) {
        let shown = match self.primaries[ix].standing {
            Standing::Answered => self.primaries[ix].state.serial,
            _ => self.hint.filter(|hint| !hint.forgotten).map(|hint| hint.serial),
        };
        if let (Some(round), Some(shown)) = (self.round.as_mut(), shown)
            && round.missed.is_none_or(|missed| shown.is_newer_than(missed))
        {
            round.missed = Some(shown);
        }
    }

    fn confirm_after_transfer(&mut self, now: Timestamp, ix: usize, soa: SoaTimers, expire_option: Option<u32>) {
        self.soa = Some(soa);
        self.confirm(now, ix, expire_option, true);
    }

    /// A primary has the version we serve: EXPIRE starts again. With the EXPIRE option (RFC 7314 §4) it starts from
    /// what is left of the primary's own copy.
    fn confirm(&mut self, now: Timestamp, ix: usize, expire_option: Option<u32>, transferred: bool) {
        let Some(soa) = self.soa else { return };
        let whole = soa.expire(&self.settings);
        let current = self.expires();
        let expires = match (expire_option, current) {
            (None, _) => now + whole,
            // The primary's own copy is dying; there is nothing to renew from.
            (Some(0 | 1), Some(current)) if current > now || !transferred => return,
            (Some(left), current) => {
                let until = now + Duration::from_secs(u64::from(left)).min(whole);
                if transferred { until } else { current.map_or(until, |current| current.max(until)) }
            }
        };
        self.confirmation = Some(Confirmation { at: now, by: ix as u16, expires });
        self.confirm_due = true;
        self.expire_due = false;
        self.expired = false;
        self.any_serial = false;
        self.phase = Phase::Settled;
        if let Some(round) = &mut self.round {
            round.confirmed = true;
        }
    }
}

/// Whether an IXFR that ended so is repeated as AXFR at the same primary at once. Not if no connection stood, if the
/// other side could not be authenticated, or if our own policy said no: a whole zone would fare no better.
fn falls_back(code: Code) -> bool {
    !is_unreachable(code)
        && !matches!(
            code,
            Code::TsigMissing
                | Code::TsigBadKey
                | Code::TsigBadSig
                | Code::TsigBadTime
                | Code::TsigBadTrunc
                | Code::TlsName
                | Code::TlsExpired
                | Code::TlsUntrusted
                | Code::TlsVersion
                | Code::GuardShrink
                | Code::GuardApex
                | Code::GuardSigned
                | Code::HookRefused
                | Code::HookTimeout
                | Code::StorageFailed
                | Code::Cancelled
                | Code::Interrupted
                | Code::Loop
                | Code::SerialBehind
                | Code::SerialUndefined
        )
}

fn restore_primary(state: Option<PrimaryState>, now: Timestamp) -> Primary {
    let mut state = state.unwrap_or_else(|| PrimaryState::new(now));
    state.restore(now);
    Primary::new(state)
}
