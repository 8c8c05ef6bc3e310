//! Whom to ask for a SOA, and what a NOTIFY is worth. Part of the machine; see [`super`] for the picture.

use std::cmp::Ordering;

use super::primary::{Notified, Primary, Probe, Standing};
use super::round::Round;
use super::status::{Phase, Why};
use super::*;
use crate::reason::StatusWord;

/// The serial a NOTIFY announced. Unauthenticated: it may save a query, never decide one (RFC 1996 §3.7).
#[derive(Clone, Copy, Debug)]
pub(super) struct Hint {
    pub(super) serial: Serial,
    pub(super) from: Option<u16>,
    /// The transfer at its sender has been started.
    pub(super) tried: bool,
    /// A round has ended without it.
    pub(super) retried: bool,
    /// Nobody had it twice. Kept to know it again: repeated, it is no news.
    pub(super) forgotten: bool,
}

impl Hint {
    pub(super) fn new(serial: Serial, from: Option<u16>) -> Hint {
        Hint { serial, from, tried: false, retried: false, forgotten: false }
    }
}

/// What a NOTIFY tells.
pub(super) enum News {
    /// Nothing: we have it and nothing is wrong.
    Known,
    /// Perhaps something.
    Maybe,
    /// A serial nobody has announced before.
    Newer(Serial),
}

impl Refresh {
    /// The running round, or a new one; at least this urgent.
    pub(super) fn join_round(&mut self, urgency: Urgency) -> &mut Round {
        let round = self.round.get_or_insert_with(|| Box::new(Round::new(urgency)));
        round.urgency = round.urgency.max(urgency);
        round.sibling = false;
        round
    }

    pub(super) fn round_mut(&mut self) -> &mut Round {
        self.round.as_mut().expect("called within a round")
    }

    /// Asks the primaries that have not been asked in this round: all, or the first of them in `ordered` mode. False
    /// if there are none.
    pub(super) fn ask_open(&mut self) -> bool {
        let mut asked = false;
        let urgency = self.round.as_ref().map_or(Urgency::Due, |round| round.urgency);
        for ix in 0..self.primaries.len() {
            let primary = &self.primaries[ix];
            if primary.standing == Standing::Open && primary.may_be_asked(urgency) && !self.is_transferring(ix) {
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
    pub(super) fn ask_again(&mut self) {
        for ix in 0..self.primaries.len() {
            if self.is_transferring(ix) {
                // What is on its way may have left before the change.
                self.primaries[ix].notified = Notified::Somehow;
            } else if matches!(self.primaries[ix].probe, Probe::None | Probe::Waiting(_)) {
                self.primaries[ix].standing = Standing::Open;
            }
        }
        self.ask_open();
    }

    pub(super) fn ask(&mut self, ix: usize) {
        self.primaries[ix].probe = Probe::Due;
        self.primaries[ix].standing = Standing::Open;
        self.show_activity(ix);
    }

    /// Follows up NOTIFYs that told nothing for certain, all of them together and at most once in [`NOTIFY_GAP`].
    pub(super) fn ask_notified(&mut self, now: Timestamp) {
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

    pub(super) fn weigh(&self, sender: Option<usize>, hint: Option<Serial>) -> News {
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
    pub(super) fn is_quiet(&self, sender: Option<usize>) -> bool {
        let well = |ix: usize| self.primaries[ix].state.code.status() == StatusWord::Ok;
        self.failures == 0 && !self.expired && self.phase == Phase::Settled && sender.is_none_or(well)
    }

    /// After a NOTIFY every other primary is asked once, unless it is heard before.
    pub(super) fn expect_siblings(&mut self, now: Timestamp) {
        if self.primaries.len() > 1 && self.siblings_due.is_none() {
            self.siblings_due = Some((now + SIBLINGS_DELAY).max(self.siblings_not_before));
            self.primaries.iter_mut().for_each(|primary| primary.unheard = true);
        }
    }

    pub(super) fn ask_siblings(&mut self, now: Timestamp) {
        self.siblings_due = None;
        self.siblings_not_before = now + SIBLINGS_GAP;
        for ix in 0..self.primaries.len() {
            let unheard = std::mem::take(&mut self.primaries[ix].unheard);
            if !unheard || self.primaries[ix].probe != Probe::None || self.is_transferring(ix) {
                continue;
            }
            if self.round.is_none() {
                self.round = Some(Box::new(Round { sibling: true, ..Round::new(Urgency::Due) }));
            }
            self.ask(ix);
            self.touch();
        }
    }

    pub(super) fn is_asking(&self) -> bool {
        self.primaries.iter().any(|primary| primary.probe != Probe::None)
    }

    pub(super) fn is_transferring(&self, ix: usize) -> bool {
        let at = |round: &Round| round.transfer.is_some_and(|running| usize::from(running.primary) == ix);
        self.round.as_deref().is_some_and(at)
    }

    pub(super) fn waits_for_next(&self) -> bool {
        self.round.as_ref().is_none_or(|round| round.sibling)
    }

    pub(super) fn waits_for_gate(&self) -> bool {
        let free = self.round.as_ref().is_none_or(|round| round.transfer.is_none());
        free && self.primaries.iter().any(Primary::is_to_be_looked_at)
    }

    pub(super) fn timer_urgency(&self) -> Urgency {
        match () {
            _ if self.why == Why::Notify => Urgency::Notify,
            _ if self.soa.is_none() => Urgency::Initial,
            _ if self.expired => Urgency::Expired,
            _ => Urgency::Due,
        }
    }
}
