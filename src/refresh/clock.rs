//! The system's clock was set back.
//!
//! In: by how much, from the keeper. Moments at which something is planned would be as much further away: after a start with a clock
//! that was wrong by a year, zones would not be asked for a year, and would expire as much later. Moments at which something
//! happened stay what they are.

use std::time::Duration;

use super::machine::Refresh;
use crate::time::Timestamp;

impl Refresh {
    /// Plans everything as much sooner.
    pub fn clock_set_back(&mut self, by: Duration) {
        let sooner = |at: &mut Timestamp| *at = *at - by;
        [&mut self.next, &mut self.gate, &mut self.siblings_not_before].into_iter().for_each(sooner);
        [&mut self.siblings_due, &mut self.alarm].into_iter().flatten().for_each(sooner);
        if let Some(round) = &mut self.round {
            [&mut round.blocked_until, &mut round.decide_at].into_iter().flatten().for_each(sooner);
        }
        if let Some(confirmation) = &mut self.confirmation {
            [&mut confirmation.at, &mut confirmation.expires].into_iter().for_each(sooner);
        }
        self.primaries.iter_mut().for_each(|primary| sooner(&mut primary.blocked_until));
        self.touch();
    }
}
