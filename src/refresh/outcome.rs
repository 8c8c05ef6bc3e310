//! What the end of an exchange means for the primary, the zone's expiry and the round. Part of the machine; see
//! [`super`] for the picture.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use super::primary::{Probe, Standing};
use super::round::Running;
use super::status::{Phase, Why};
use super::unreachable::is_unreachable;
use super::*;

impl Refresh {
    pub(super) fn touch(&mut self) {
        self.generation = self.generation.wrapping_add(1);
    }

    /// An exchange with the primary was really made.
    pub(super) fn heard(&mut self, ix: usize) {
        self.primaries[ix].changed = true;
        self.primaries[ix].unheard = false;
        self.primaries[ix].blocked_until = Timestamp::default();
        if let Some(round) = &mut self.round {
            round.asked = true;
        }
    }

    pub(super) fn take_transfer(&mut self, ix: usize) -> Option<Running> {
        let round = self.round.as_mut()?;
        round.transfer.take_if(|running| running.taken && usize::from(running.primary) == ix)
    }

    pub(super) fn show_activity(&mut self, ix: usize) {
        let running = self.round.as_ref().and_then(|round| round.transfer);
        let primary = &mut self.primaries[ix];
        primary.state.activity = match running.filter(|running| usize::from(running.primary) == ix) {
            Some(Running { taken: false, .. }) => Activity::Queued,
            Some(Running { kind: TransferKind::Ixfr, .. }) => Activity::Ixfr,
            Some(_) => Activity::Axfr,
            None => match primary.probe {
                Probe::None => Activity::Idle,
                Probe::Waiting(Urgency::Operator) => Activity::Soa,
                Probe::Due | Probe::Waiting(_) => Activity::Queued,
                Probe::Out => Activity::Soa,
            },
        };
    }

    /// The primary showed its serial.
    pub(super) fn note_answer(&mut self, now: Timestamp, ix: usize, serial: Serial, expire_option: Option<u32>) {
        let served = self.served_serial();
        let look = self.primaries[ix].look;
        let flapping = self.note_shown(now, ix, serial);
        let primary = &mut self.primaries[ix];
        primary.standing = Standing::Answered;
        primary.state.last_attempt = Some(now);
        if let Some(served) = served {
            match serial.compare(served) {
                // How the attempt ends shows when the transfer has ended, here or elsewhere: `settle`.
                Some(Ordering::Greater) if self.frozen => {
                    primary.state.succeed(now, Code::Ok);
                    self.confirm(now, ix, expire_option, false);
                }
                Some(Ordering::Greater) => {}
                Some(Ordering::Equal) => {
                    primary.state.succeed(now, Code::UpToDate);
                    self.confirm(now, ix, expire_option, false);
                    if self.is_resigned(now, ix, serial, look) {
                        self.join_resigned(ix);
                    }
                }
                Some(Ordering::Less) if flapping => {
                    let detail = format!("now {serial}, served {served}");
                    primary.state.fail(now, &Reason::new(Code::SerialFlapping, detail));
                }
                Some(Ordering::Less) => primary.state.lag(now),
                None => primary.state.fail(now, &undefined(serial, served)),
            }
            if !self.expired {
                self.phase = Phase::Settled;
            }
        }
    }

    pub(super) fn note_up_to_date(&mut self, now: Timestamp, ix: usize, running: Running, serial: Serial) {
        let newer = self.served_serial().is_none_or(|served| serial.is_newer_than(served));
        let primary = &mut self.primaries[ix];
        if running.kind == TransferKind::Ixfr {
            primary.ixfr_worked();
        }
        self.forget_resigned(ix);
        self.hint_was_empty |= !newer && self.hint_is_unmet();
        let primary = &mut self.primaries[ix];
        if newer || running.kind == TransferKind::Axfr {
            // Not a candidate again in this round, whatever it shows.
            primary.standing = Standing::Done;
        }
        if primary.state.last_transfer.is_none() && !newer {
            primary.state.last_transfer = Some(Arc::new(LastTransfer {
                kind: TransferKind::Soa,
                asked: running.kind,
                from_serial: self.soa.map(|soa| soa.serial),
                to_serial: serial,
                records: 1,
                messages: 1,
                octets: 0,
                duration_ms: 0,
                finished: now,
                zone_records: None,
            }));
        }
    }

    pub(super) fn note_committed(&mut self, now: Timestamp, ix: usize, running: Running, committed: Committed) {
        let from_serial = self.served_serial();
        let Committed { soa, kind, expire_option, records, messages, octets, duration_ms, zone_records } = committed;
        self.note_shown(now, ix, soa.serial);
        self.confirm_after_transfer(now, ix, soa, expire_option);
        self.note_behind(now);
        self.note_how_found(now, ix, from_serial, soa.serial);
        if self.hint_was_empty && self.hint.is_some_and(|hint| hint.tried && hint.from == Some(ix as u16)) {
            // What its NOTIFY promised it did not have when asked, and this is what it has.
            self.hint = None;
        }
        self.hint_was_empty = false;
        self.forget_resigned(ix);
        let primary = &mut self.primaries[ix];
        primary.state.succeed(now, Code::Ok);
        primary.standing = Standing::Done;
        primary.state.last_transfer = Some(Arc::new(LastTransfer {
            kind,
            asked: running.kind,
            from_serial,
            to_serial: soa.serial,
            records,
            messages,
            octets,
            duration_ms,
            finished: now,
            zone_records,
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
    pub(super) fn compare_again(&mut self, now: Timestamp, ix: usize) {
        let served = self.served_serial();
        let primary = &mut self.primaries[ix];
        if primary.standing != Standing::Answered {
            return;
        }
        if let (Some(served), Some(shown)) = (served, primary.state.serial) {
            match shown.compare(served) {
                Some(Ordering::Equal) => primary.state.ended_well(now, Code::UpToDate),
                Some(Ordering::Less) => primary.state.set_code(now, Code::SerialBehind),
                Some(Ordering::Greater) | None => return,
            }
            primary.changed = true;
        }
    }

    /// Ends the attempt at a primary that offered something newer, which was not needed from it.
    pub(super) fn settle(&mut self, now: Timestamp, ix: usize) {
        let served = self.served_serial();
        let primary = &mut self.primaries[ix];
        let newer = |shown: Serial| served.is_none_or(|served| shown.is_newer_than(served));
        if primary.standing == Standing::Answered && primary.state.serial.is_some_and(newer) {
            primary.state.ended_well(now, Code::Ok);
            primary.changed = true;
        }
    }

    pub(super) fn note_failed_transfer(&mut self, now: Timestamp, ix: usize, running: Running, reason: &Reason) {
        if running.kind == TransferKind::Ixfr && falls_back(reason.code) {
            self.primaries[ix].ixfr_failed(now, reason.code);
            self.primaries[ix].state.note_error(now, reason);
            return self.run_transfer(ix, TransferKind::Axfr);
        }
        if reason.code == Code::SoaMismatch && !self.round_mut().mismatch_retried {
            // The zone has probably changed in flight.
            self.round_mut().mismatch_retried = true;
            self.primaries[ix].state.note_error(now, reason);
            return self.run_transfer(ix, running.kind);
        }
        self.note_missed(ix);
        self.forget_resigned(ix);
        self.hint_was_empty |= self.hint_is_unmet();
        let state = &mut self.primaries[ix].state;
        match reason.code {
            Code::SerialBehind => state.lag(now),
            _ => state.fail(now, reason),
        }
        self.primaries[ix].standing = Standing::Failed;
    }

    pub(super) fn note_missed(&mut self, ix: usize) {
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

    pub(super) fn confirm_after_transfer(
        &mut self,
        now: Timestamp,
        ix: usize,
        soa: SoaTimers,
        expire_option: Option<u32>,
    ) {
        self.soa = Some(soa);
        self.confirm(now, ix, expire_option, true);
    }

    /// A primary has the version we serve: EXPIRE starts again. With the EXPIRE option (RFC 7314 §4) it starts from
    /// what is left of the primary's own copy.
    pub(super) fn confirm(&mut self, now: Timestamp, ix: usize, expire_option: Option<u32>, transferred: bool) {
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
                | Code::TlsHandshake
                | Code::GuardShrink
                | Code::GuardApex
                | Code::GuardSigned
                | Code::HookRefused
                | Code::HookTimeout
                | Code::DnssecExpired
                | Code::StorageFailed
                | Code::LocalSocket
                | Code::Cancelled
                | Code::Interrupted
                | Code::Loop
                | Code::SerialBehind
                | Code::SerialUndefined
        )
}
