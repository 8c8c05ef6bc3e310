//! The state machine itself: inputs, and what follows from them. See [`super`] for the picture.

use std::sync::Arc;
use std::time::Duration;

use super::asking::{Hint, News};
use super::learned::Fingerprint;
use super::primary::{Primary, Probe, Standing};
use super::round::{Round, Running, Want};
use super::status::{Phase, Why};
use super::timers::Jitter;
use super::unreachable::{Blocked, Exchange};
use super::*;

/// When and where one zone is refreshed.
#[derive(Clone, Debug)]
pub struct Refresh {
    pub(super) settings: Arc<Settings>,
    pub(super) primaries: Box<[Primary]>,
    /// Of the served version; `None` before the first.
    pub(super) soa: Option<SoaTimers>,
    pub(super) confirmation: Option<Confirmation>,
    pub(super) round: Option<Box<Round>>,
    pub(super) hint: Option<Hint>,
    /// When the next round begins by itself, and why then.
    pub(super) next: Timestamp,
    pub(super) why: Why,
    /// NOTIFYs without news wait until then.
    pub(super) gate: Timestamp,
    /// When the primaries not heard since a NOTIFY are asked.
    pub(super) siblings_due: Option<Timestamp>,
    pub(super) siblings_not_before: Timestamp,
    /// Rounds in a row in which no primary confirmed the zone.
    pub(super) failures: u32,
    pub(super) jitter: Jitter,
    pub(super) generation: u32,
    pub(super) phase: Phase,
    pub(super) expired: bool,
    pub(super) expire_due: bool,
    pub(super) confirm_due: bool,
    /// All primaries were replaced: their numbering has nothing to do with the one served.
    pub(super) any_serial: bool,
    /// A person has decided what is served: see [`Refresh::set_frozen`].
    pub(super) frozen: bool,
    /// What the served version looks like.
    pub(super) served_look: Option<Fingerprint>,
    /// A NOTIFY has come since a new serial was last seen.
    pub(super) announced: bool,
    /// The last hint came to nothing: until the next version hints wait for the gate like other NOTIFYs, so that forged
    /// ones with ever rising serials cause no more work than those without.
    pub(super) hint_was_empty: bool,
    /// When silence, if it lasts, is worth a word.
    pub(super) alarm: Option<Timestamp>,
}

impl Restored {
    /// The confirmation as far as it counts now.
    fn confirmation(&self, now: Timestamp, settings: &Settings) -> Option<Confirmation> {
        let (confirmed, soa) = (self.confirmation?, self.soa?);
        // A clock that was set back must not lengthen a zone's life.
        let expires = confirmed.expires.min(now + soa.expire(settings));
        Some(Confirmation { expires, at: confirmed.at.min(now), ..confirmed })
    }

    /// When the contents expire, or have expired; `None` if nobody ever confirmed them, which counts as expired.
    pub fn expires(&self, now: Timestamp, settings: &Settings) -> Option<Timestamp> {
        self.confirmation(now, settings).map(|confirmation| confirmation.expires)
    }
}

// -- inputs ------------------------------------------------------------------------------------------------------

impl Refresh {
    /// A zone with `primaries` primaries (at least one). `seed` decides the jitter and nothing else; give each zone
    /// its own. Without contents the first round is due at once; with them after REFRESH from the last confirmation,
    /// or, if that is past or a newer version is known, within [`Settings::start_spread`].
    pub fn new(
        settings: Arc<Settings>,
        primaries: usize,
        seed: u64,
        restored: Option<Restored>,
        now: Timestamp,
    ) -> Refresh {
        let mut restored = restored.unwrap_or_default();
        restored.primaries.resize(primaries, None);
        let confirmation = restored.confirmation(now, &settings);
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
            siblings_due: None,
            siblings_not_before: now,
            failures: 0,
            jitter: Jitter::new(seed),
            generation: 0,
            phase: Phase::Provisioning,
            expired: false,
            expire_due: false,
            confirm_due: false,
            any_serial: false,
            frozen: false,
            served_look: None,
            announced: false,
            hint_was_empty: false,
            alarm: None,
        };
        zone.set_alarm(now);
        if let Some(soa) = zone.soa {
            zone.phase = Phase::Settled;
            zone.restore_expiry(now, soa, confirmation, restored.ask_within);
        }
        zone
    }

    fn restore_expiry(
        &mut self,
        now: Timestamp,
        soa: SoaTimers,
        confirmation: Option<Confirmation>,
        ask_within: Option<Duration>,
    ) {
        self.confirmation = confirmation;
        self.expired = self.confirmation.is_none_or(|confirmed| confirmed.expires <= now);
        self.expire_due = self.expired;
        let due = self.confirmation.map(|confirmed| confirmed.at + self.refresh_interval(soa));
        self.why = Why::Refresh;
        self.next = match due {
            Some(due) if due > now && !self.expired => due,
            _ => now + self.jitter.up_to(self.settings.start_spread),
        };
        if self.is_known_to_be_behind(soa.serial) {
            self.ask_sooner(now, self.settings.start_spread);
        }
        if let Some(within) = ask_within {
            self.ask_sooner(now, within.max(self.settings.start_spread));
        }
    }

    /// A primary has shown a newer version, or was just giving one, when the daemon ended: nobody will say so again.
    fn is_known_to_be_behind(&self, stored: Serial) -> bool {
        let newer = |state: &PrimaryState| state.serial.is_some_and(|serial| serial.is_newer_than(stored));
        self.primaries.iter().any(|primary| primary.state.code == Code::Interrupted || newer(&primary.state))
    }

    fn ask_sooner(&mut self, now: Timestamp, within: Duration) {
        let soon = now + self.jitter.up_to(within);
        if soon < self.next {
            self.next = soon;
            self.why = Why::Retry;
        }
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
        self.note_notify(now, sender);
        self.set_alarm(now);
        let news = self.weigh(sender, hint);
        if matches!(news, News::Known) {
            return;
        }
        self.announced = true;
        self.failures = 0;
        self.expect_siblings(now);
        match news {
            News::Newer(serial) if !self.hint_was_empty || now >= self.gate => {
                let from = sender.map(|ix| ix as u16);
                self.hint = Some(Hint::new(serial, from));
                self.gate = now + NOTIFY_GAP;
                self.join_round(Urgency::Notify);
                if sender.is_none() {
                    self.ask_again();
                }
            }
            News::Newer(_) | News::Maybe | News::Known => match sender {
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

    /// The SOA query last taken need not be made, because the primary is known to answer: a zone without contents and
    /// with one primary takes what that has, whatever its serial, so the transfer is asked for at once. Where there is
    /// something to choose between, or to compare with, this does nothing and gives false (P3). Optional.
    pub fn spare_probe(&mut self, ix: usize) -> bool {
        let is_out = self.primaries.get(ix).is_some_and(|primary| primary.probe == Probe::Out);
        let is_free = self.round.as_ref().is_some_and(|round| round.transfer.is_none());
        if !is_out || !is_free || self.primaries.len() > 1 || self.soa.is_some() || self.frozen {
            return false;
        }
        self.touch();
        self.primaries[ix].probe = Probe::None;
        self.run_transfer(ix, TransferKind::Axfr);
        true
    }

    /// A transfer ended. [`Transferred::Committed`] means: checked, published, and allowed by [`Refresh::accept`].
    pub fn handle_transfer(&mut self, now: Timestamp, ix: usize, outcome: Result<Transferred, Reason>) {
        let Some(running) = self.take_transfer(ix) else { return };
        self.touch();
        self.heard(ix);
        match outcome {
            Ok(Transferred::Committed(committed)) => self.note_committed(now, ix, running, committed),
            Ok(Transferred::UpToDate { serial, expire_option }) => {
                if self.primaries[ix].standing == Standing::Answered {
                    // It has just shown more than it gives: if nobody else has that, it is asked again after RETRY.
                    self.note_missed(ix);
                }
                self.note_answer(now, ix, serial, expire_option);
                self.note_up_to_date(now, ix, running, serial);
            }
            Err(reason) => self.note_failed_transfer(now, ix, running, &reason),
        }
        self.show_activity(ix);
        self.advance(now);
    }

    /// An action was not performed because [`unreachable::Cache`] forbids it. `exchange` says which: a SOA query and a
    /// transfer may be outstanding at one primary.
    pub fn handle_unreachable(&mut self, now: Timestamp, ix: usize, exchange: Exchange, blocked: Blocked) {
        let was_transfer = exchange == Exchange::Transfer;
        if was_transfer && self.take_transfer(ix).is_none() {
            return;
        }
        let Some(primary) = self.primaries.get_mut(ix) else { return };
        if !was_transfer {
            if !matches!(primary.probe, Probe::Waiting(_) | Probe::Out) {
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

    /// The exchange last taken for this primary waits for its turn: its item goes on showing the last outcome. Not so
    /// after a command, which must never be answered with an outcome from before it. Optional; see
    /// [`Refresh::handle_started`].
    pub fn handle_waiting(&mut self, ix: usize, exchange: Exchange) {
        let urgency = self.round.as_ref().map_or(Urgency::Due, |round| round.urgency);
        if let Some(primary) = self.primaries.get_mut(ix)
            && exchange == Exchange::Probe
            && primary.probe == Probe::Out
        {
            primary.probe = Probe::Waiting(urgency);
        }
        let commanded = self.round.as_ref().is_some_and(|round| round.urgency == Urgency::Operator);
        if let Some(primary) = self.primaries.get_mut(ix).filter(|primary| primary.state.activity.is_running())
            && !commanded
        {
            primary.state.activity = Activity::Queued;
            self.touch();
        }
    }

    /// Whether a SOA query of this primary still waits for its turn: one that was handed out again, more urgently, has had it by
    /// the time its first turn comes.
    pub fn is_waiting(&self, ix: usize) -> bool {
        self.primaries.get(ix).is_some_and(|primary| matches!(primary.probe, Probe::Waiting(_)))
    }

    /// Its turn has come.
    pub fn handle_started(&mut self, ix: usize, exchange: Exchange) {
        if let Some(primary) = self.primaries.get_mut(ix) {
            if exchange == Exchange::Probe && matches!(primary.probe, Probe::Waiting(_)) {
                primary.probe = Probe::Out;
            }
            self.show_activity(ix);
            self.touch();
        }
    }

    /// The last SOA answer came over TCP because UDP was silent, or came over UDP again. Call it before
    /// [`Refresh::handle_probe`].
    pub fn note_udp_blocked(&mut self, now: Timestamp, ix: usize, blocked: bool) {
        if let Some(primary) = self.primaries.get_mut(ix).filter(|primary| primary.state.udp_blocked != blocked) {
            primary.state.udp_blocked = blocked;
            primary.state.learn().udp_blocked_since = blocked.then_some(now);
            primary.changed = true;
            self.touch();
        }
    }

    /// A transfer has shown this serial, though what it brought is not taken. Call it before
    /// [`Refresh::handle_transfer`] with that error.
    pub fn note_refused_serial(&mut self, now: Timestamp, ix: usize, serial: Serial) {
        if ix < self.primaries.len() {
            self.note_shown(now, ix, serial);
        }
    }

    /// What attempts have failed for is told in other words now, by all primaries of which it is told: it stays the same
    /// error of the same time.
    pub fn reword(&mut self, before: &Reason, after: &Reason) {
        let (told, message) = (before.message(), after.message());
        for primary in &mut self.primaries {
            if let Some(error) = primary.state.last_error.clone().filter(|error| error.message == told) {
                let error = LastError { message: message.clone(), ..LastError::clone(&error) };
                primary.state.last_error = Some(Arc::new(error));
                primary.changed = true;
            }
        }
        self.touch();
    }

    /// NOTIFYs may have come for this zone that were not kept. It is asked for within `spread`, at a moment of its own:
    /// all zones hear this at once.
    pub fn handle_lost_notifies(&mut self, now: Timestamp, spread: Duration) {
        let soon = now + self.jitter.up_to(spread);
        if soon < self.next {
            self.touch();
            self.next = soon;
            self.why = Why::Notify;
        }
    }

    /// The last exchange with a primary of the opportunistic TLS profile went in clear text, or over TLS again.
    pub fn note_clear_text(&mut self, ix: usize, clear: bool) {
        if let Some(primary) = self.primaries.get_mut(ix).filter(|primary| primary.state.clear_text != clear) {
            primary.state.clear_text = clear;
            primary.changed = true;
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
    /// All exchanges taken before are void: the caller drops them, commits nothing of them, and does not report their
    /// ends.
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
        self.siblings_due = None;
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
        if self.alarm.is_some_and(|alarm| alarm <= now) {
            self.set_alarm(now);
            self.touch();
        }
        if self.siblings_due.is_some_and(|due| due <= now) {
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
        let gate = self.waits_for_gate().then_some(self.gate);
        [next, decide, expiry, self.siblings_due, gate, self.alarm].into_iter().flatten().min()
    }

    /// The index of a primary whose [`PrimaryState`] has changed since it was last returned here; call until `None`.
    pub fn poll_changed(&mut self) -> Option<usize> {
        let ix = self.primaries.iter().position(|primary| primary.changed)?;
        self.primaries[ix].changed = false;
        Some(ix)
    }
}

fn restore_primary(state: Option<PrimaryState>, now: Timestamp) -> Primary {
    let mut state = state.unwrap_or_else(|| PrimaryState::new(now));
    let is_restored = state.restore(now);
    // What comes from the disk need not go there again, and that a primary was never tried need not go there at all: there
    // may be 100,000 of them at once.
    Primary { changed: is_restored, ..Primary::new(state) }
}
