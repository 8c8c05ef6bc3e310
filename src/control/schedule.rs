//! When each zone wants to be looked at again. One entry a zone; the zone itself remembers for when it is armed.

use std::collections::BTreeSet;

use crate::served::ZoneId;
use crate::time::Timestamp;

/// The zones that wait for a point in time, soonest first. O(log zones) for every operation.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    waiting: BTreeSet<(Timestamp, ZoneId)>,
}

impl Schedule {
    /// Moves a zone from `armed` to `wanted` and remembers that in `armed`.
    pub(super) fn arm(&mut self, zone: ZoneId, armed: &mut Option<Timestamp>, wanted: Option<Timestamp>) {
        if *armed == wanted {
            return;
        }
        if let Some(at) = armed.take() {
            self.waiting.remove(&(at, zone));
        }
        if let Some(at) = wanted {
            self.waiting.insert((at, zone));
        }
        *armed = wanted;
    }

    /// The soonest zone whose time has come; it is no longer waiting then.
    pub(super) fn pop_due(&mut self, now: Timestamp) -> Option<ZoneId> {
        let &(at, zone) = self.waiting.first().filter(|(at, _)| *at <= now)?;
        self.waiting.remove(&(at, zone));
        Some(zone)
    }

    /// When the next zone is due.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.waiting.first().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rearmed_zone_is_due_once_and_at_the_new_time() {
        let (mut schedule, zone, mut armed) = (Schedule::default(), ZoneId(1), None);
        schedule.arm(zone, &mut armed, Some(Timestamp::from_millis(10)));
        schedule.arm(zone, &mut armed, Some(Timestamp::from_millis(20)));
        assert_eq!(schedule.pop_due(Timestamp::from_millis(15)), None);
        assert_eq!(schedule.next(), Some(Timestamp::from_millis(20)));
        assert_eq!(schedule.pop_due(Timestamp::from_millis(20)), Some(zone));
        assert_eq!(schedule.pop_due(Timestamp::from_millis(99)), None);
    }

    #[test]
    fn zones_come_in_the_order_of_their_times() {
        let mut schedule = Schedule::default();
        for (id, at) in [(1, 30), (2, 10), (3, 20)] {
            schedule.arm(ZoneId(id), &mut None, Some(Timestamp::from_millis(at)));
        }
        let order: Vec<_> = std::iter::from_fn(|| schedule.pop_due(Timestamp::from_millis(100))).collect();
        assert_eq!(order, [ZoneId(2), ZoneId(3), ZoneId(1)]);
    }
}
