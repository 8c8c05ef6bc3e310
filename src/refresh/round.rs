//! A round: who is asked, who gives the transfer, when it is over and what comes after. Part of the machine; see
//! [`super`] for the picture.

use std::cmp::Ordering;
use std::time::Duration;

use super::asking::Hint;
use super::primary::Standing;
use super::status::{Phase, Why};
use super::timers::doubled;
use super::*;

/// One pass over the primaries.
#[derive(Clone, Debug)]
pub(super) struct Round {
    pub(super) urgency: Urgency,
    pub(super) want: Want,
    /// The whole transfer that `want` asks for has been made.
    pub(super) whole_done: bool,
    /// Only looks at the primaries that did not send the last NOTIFY; their failures are not the zone's.
    pub(super) sibling: bool,
    pub(super) confirmed: bool,
    pub(super) committed: bool,
    /// Some exchange was really made, not just forbidden by the unreachable cache.
    pub(super) asked: bool,
    pub(super) mismatch_retried: bool,
    /// Shows other signatures under our serial.
    pub(super) resigned: Option<u16>,
    /// The highest serial whose transfer failed.
    pub(super) missed: Option<Serial>,
    pub(super) blocked_until: Option<Timestamp>,
    pub(super) decide_at: Option<Timestamp>,
    pub(super) transfer: Option<Running>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Want {
    Newer,
    Whole,
    WholeForced,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Running {
    pub(super) primary: u16,
    pub(super) kind: TransferKind,
    pub(super) accept: Accept,
    pub(super) taken: bool,
}

impl Round {
    pub(super) fn new(urgency: Urgency) -> Round {
        Round {
            urgency,
            want: Want::Newer,
            whole_done: false,
            sibling: false,
            confirmed: false,
            committed: false,
            asked: false,
            mismatch_retried: false,
            resigned: None,
            missed: None,
            blocked_until: None,
            decide_at: None,
            transfer: None,
        }
    }

    pub(super) fn wants_whole(&self) -> bool {
        self.want != Want::Newer && !self.whole_done
    }
}

impl Refresh {
    /// Does whatever is possible now. Every input ends here.
    pub(super) fn advance(&mut self, now: Timestamp) {
        loop {
            if self.round.as_ref().is_some_and(|round| round.transfer.is_some()) {
                return;
            }
            self.ask_notified(now);
            if self.round.is_none() {
                return;
            }
            if let Some(ix) = self.take_hinted_sender(now) {
                return self.start_transfer(now, ix, true);
            }
            if let Some((ix, serial)) = self.best(now) {
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
    pub(super) fn take_hinted_sender(&mut self, now: Timestamp) -> Option<usize> {
        if !self.hint_is_unmet() || self.any_serial {
            return None;
        }
        let pinned = self.pinned(now);
        let hint = self.hint.as_mut().filter(|hint| !hint.tried && !self.frozen)?;
        hint.tried = true;
        let sender = hint.from.map(usize::from)?;
        if pinned.is_none_or(|pinned| pinned == sender) {
            return Some(sender);
        }
        // It is asked, so that its serial is known, and counts against the one that should have it.
        self.ask_again();
        None
    }

    /// The primary with the highest serial that is wanted; ties go to the first in the list.
    pub(super) fn best(&self, now: Timestamp) -> Option<(usize, Serial)> {
        let mut best: Option<(usize, Serial)> = None;
        let pinned = self.pinned(now);
        for (ix, primary) in self.primaries.iter().enumerate() {
            if primary.standing == Standing::Answered
                && let Some(serial) = primary.state.serial
                && self.wants(ix, serial)
                && pinned.is_none_or(|pinned| pinned == ix)
                && best.is_none_or(|(_, highest)| serial.is_newer_than(highest))
            {
                best = Some((ix, serial));
            }
        }
        best
    }

    pub(super) fn wants(&self, ix: usize, serial: Serial) -> bool {
        if self.frozen {
            return false;
        }
        let Some(served) = self.served_serial() else { return true };
        let again = |round: &Round| round.wants_whole() || round.resigned == Some(ix as u16);
        match serial.compare(served) {
            Some(Ordering::Greater) => true,
            Some(Ordering::Equal) => self.round.as_deref().is_some_and(again),
            Some(Ordering::Less) | None => self.takes_any_serial(),
        }
    }

    pub(super) fn takes_any_serial(&self) -> bool {
        let forced = |round: &Round| round.want == Want::WholeForced && round.wants_whole();
        self.expired || self.any_serial || self.round.as_deref().is_some_and(forced)
    }

    /// Whether to go on with the best answer although others may still come: at once if none can, or if it comes from
    /// the sender of a NOTIFY; else after a moment. Never in a hurry to go back to an older serial.
    pub(super) fn may_decide(&mut self, now: Timestamp, ix: usize, newer: bool) -> bool {
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

    pub(super) fn start_transfer(&mut self, now: Timestamp, ix: usize, newer: bool) {
        let whole = self.round.as_deref().is_some_and(Round::wants_whole);
        // With pinning a change of the primary is a change of history.
        let same_history = self.settings.pin_tolerance.is_zero() || self.source().is_none_or(|source| source == ix);
        let incremental = self.soa.is_some() && newer && !self.any_serial && !whole && same_history;
        let ixfr = incremental && self.primaries[ix].may_ixfr(now);
        self.run_transfer(ix, if ixfr { TransferKind::Ixfr } else { TransferKind::Axfr });
    }

    pub(super) fn run_transfer(&mut self, ix: usize, kind: TransferKind) {
        let accept = self.accept();
        let round = self.round_mut();
        round.decide_at = None;
        round.transfer = Some(Running { primary: ix as u16, kind, accept, taken: false });
        self.show_activity(ix);
    }

    /// Whether the round has brought what it was for.
    pub(super) fn is_satisfied(&self) -> bool {
        let round = self.round.as_ref().expect("asked within a round");
        round.sibling || (round.confirmed && !round.wants_whole() && !self.hint_is_unmet())
    }

    pub(super) fn hint_is_unmet(&self) -> bool {
        let newer = |hint: &Hint| self.served_serial().is_some_and(|served| hint.serial.is_newer_than(served));
        self.hint.as_ref().is_some_and(|hint| !hint.forgotten && newer(hint))
    }

    pub(super) fn finish(&mut self, now: Timestamp) {
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
        self.wait_for_pin(now);
        self.set_alarm(now);
    }

    /// If newer versions are left alone because of the pinned primary: not for longer than it is pinned.
    fn wait_for_pin(&mut self, now: Timestamp) {
        if let Some(end) = self.pinned(now).and_then(|pinned| self.pin_ends(pinned))
            && end < self.next
        {
            self.next = end;
        }
    }

    pub(super) fn set_next(&mut self, now: Timestamp, round: &Round, missed: bool) {
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
            // Nobody was really asked, so nothing has failed again: go on when somebody may be, and not before, since
            // the round would be as empty as this one.
            self.why = Why::Unreachable;
            self.next = until.max(now) + self.jitter.up_to(Duration::from_secs(1));
            return;
        }
        self.failures = self.failures.saturating_add(1);
        self.why = if self.soa.is_some() { Why::Retry } else { Why::First };
        self.next = now + self.pause(self.failures);
    }

    /// A primary that announced a serial and does not have it gets one more chance, and no perpetual round.
    pub(super) fn retry_or_forget_hint(&mut self, now: Timestamp) {
        if !self.hint_is_unmet() {
            return;
        }
        self.hint_was_empty = true;
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

    pub(super) fn refresh_interval(&mut self, soa: SoaTimers) -> Duration {
        let interval = self.jitter.shorten(soa.refresh(&self.settings), self.settings.jitter_percent);
        interval.max(self.settings.refresh_min)
    }

    pub(super) fn pause(&mut self, failures: u32) -> Duration {
        let settings = &self.settings;
        let pause = match self.soa {
            Some(soa) => soa.pause(settings, failures),
            None => doubled(settings.retry_initial, failures.saturating_sub(1), settings.retry_initial_max),
        };
        self.jitter.shorten(pause, settings.jitter_percent)
    }
}
