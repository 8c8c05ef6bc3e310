//! One query and its answer, on a line that others may share: how long it may be silent, and how slow.
//!
//! An exchange that is dropped before its answer is whole closes the line to others.

use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use super::Bounds;
use super::line::Seated;
use crate::reason::{Code, Reason};

/// One query and its answer.
#[derive(Debug)]
pub(super) struct Exchange {
    seat: Seated,
    pace: Option<Pace>,
    left: bool,
}

/// Why an answer did not begin.
#[derive(Debug)]
pub(super) enum NotBegun {
    /// The line has ended or is no good: the query may go out once more over another. `ignored`: together with others it
    /// was not answered.
    Again { reason: Reason, ignored: bool },
    /// It is the primary that does not answer.
    Failed(Reason),
}

impl Exchange {
    pub(super) fn new(seat: Seated) -> Exchange {
        Exchange { seat, pace: None, left: false }
    }

    /// The id that query and answer have.
    pub(super) fn id(&self) -> u16 {
        self.seat.id
    }

    /// Sends the query.
    pub(super) fn send(&self, query: &[u8]) {
        self.seat.send(query);
    }

    /// Waits for the first octet of the answer; gives the time from the query to it.
    ///
    /// A line that was used before may have died unnoticed, and one that is busy with a large answer may take long: such a
    /// line is left after `patience`. Answers to others are no silence of the primary.
    pub(super) async fn begin(&mut self, patience: Duration, idle: Duration) -> Result<Duration, NotBegun> {
        // A second try shall not cost as much as the first.
        let patience = patience.min(idle / 2);
        loop {
            let look = self.seat.look();
            if let Some(round_trip) = look.round_trip {
                return Ok(round_trip);
            }
            let used = self.seat.was_used || look.overlapped;
            if let Some(reason) = look.ended {
                let may_be_the_line = used && matches!(reason.code, Code::TruncatedStream | Code::BadHeader);
                return Err(match may_be_the_line {
                    true => NotBegun::Again { reason, ignored: look.overlapped },
                    false => NotBegun::Failed(reason),
                });
            }
            let silent = look.line_silent.map_or(look.silent, |line| line.min(look.silent));
            let is_dead = used && silent >= patience;
            if look.silent >= patience && (look.better_elsewhere || is_dead) {
                return Err(NotBegun::Again { reason: silence(silent), ignored: is_dead && look.overlapped });
            }
            if silent >= idle {
                return Err(NotBegun::Failed(silence(idle)));
            }
            let next = if look.silent < patience { patience - look.silent } else { patience };
            let _ = timeout(next.min(idle - silent), self.seat.sign()).await;
        }
    }

    /// The next message. A message may take any time as long as octets come, and fast enough (A12, B3, B5).
    pub(super) async fn next(&mut self, bounds: &Bounds) -> Result<Vec<u8>, Reason> {
        loop {
            let look = self.seat.look();
            let pace = self.pace.get_or_insert_with(|| Pace::new(look.octets));
            pace.judge(look.octets, bounds)?;
            let patience = bounds.idle.saturating_sub(look.silent).min(pace.left(bounds));
            tokio::select! {
                biased;
                message = self.seat.message() => match message {
                    Some(message) => return Ok(message),
                    None => return Err(self.seat.look().ended.unwrap_or_else(|| silence(bounds.idle))),
                },
                () = sleep(patience) => {
                    if self.seat.look().silent >= bounds.idle {
                        return Err(silence(bounds.idle));
                    }
                }
            }
        }
    }

    /// The answer is whole: the line is for others again, unless more came than the answer.
    pub(super) fn finish(mut self) {
        self.left = true;
        self.seat.leave(true);
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if !self.left {
            self.seat.leave(false);
        }
    }
}

pub(super) fn silence(idle: Duration) -> Reason {
    Reason::new(Code::IdleTimeout, format!("no answer for {} s ([transfer] idle-timeout)", idle.as_secs_f64()))
}

/// Watches the octets and the rate of one answer.
#[derive(Debug)]
struct Pace {
    window_began: Instant,
    octets_then: u64,
}

impl Pace {
    fn new(octets: u64) -> Pace {
        Pace { window_began: Instant::now(), octets_then: octets }
    }

    /// Until the rate is to be looked at.
    fn left(&self, bounds: &Bounds) -> Duration {
        bounds.rate_window.saturating_sub(self.window_began.elapsed()).max(Duration::from_millis(1))
    }

    fn judge(&mut self, octets: u64, bounds: &Bounds) -> Result<(), Reason> {
        if octets > bounds.octets_max {
            let detail = format!("more than {} octets ([transfer] max-bytes)", bounds.octets_max);
            return Err(Reason::new(Code::LimitBytes, detail));
        }
        let window = self.window_began.elapsed();
        let came = octets - self.octets_then;
        // Nothing at all is silence, which has its own bound.
        if window >= bounds.rate_window && came > 0 {
            let rate = came / window.as_secs().max(1);
            if rate < bounds.rate_min {
                let detail = format!("{rate} octets/s, less than {} ([transfer] lowest-rate)", bounds.rate_min);
                return Err(Reason::new(Code::TooSlow, detail));
            }
            *self = Pace::new(octets);
        }
        Ok(())
    }
}
