//! What a person does to the served version: exchanges it for another one, or freezes it. Part of the machine; see
//! [`super`] for the picture.

use super::status::Phase;
use super::*;

impl Refresh {
    /// A person has exchanged the served version: for one that was held back, or for an earlier one. `given`: the
    /// primary that vouches for it, and when it did; EXPIRE runs from then.
    pub fn handle_exchanged(&mut self, now: Timestamp, soa: SoaTimers, given: (usize, Timestamp)) {
        let (by, at) = given;
        self.touch();
        self.soa = Some(soa);
        self.confirmation =
            Some(Confirmation { at, by: by.min(u16::MAX.into()) as u16, expires: at + soa.expire(&self.settings) });
        self.confirm_due = true;
        self.expired = false;
        self.expire_due = false;
        self.phase = Phase::Settled;
        (0..self.primaries.len()).for_each(|ix| self.compare_again(now, ix));
        self.advance(now);
    }

    /// While frozen nothing is transferred: the primaries are asked as ever, and any that shows the served serial or a
    /// newer one confirms the zone, because a person has decided what is served. Without an answer it expires as ever.
    pub fn set_frozen(&mut self, frozen: bool) {
        self.frozen = frozen;
        self.touch();
    }

    /// Whether a person has frozen the served version.
    pub fn is_frozen(&self) -> bool {
        self.frozen
    }
}
