//! Order, fairness and bounds of the queue, on a virtual clock.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::control::schedule::Schedule;
use crate::dns::Serial;
use crate::refresh::{Action, Confirmation, Refresh, Restored, Settings, SoaTimers};
use crate::served::ZoneId;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn primary(n: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, n], 53))
}

fn queue<T>(in_flight_max: usize, per_primary_max: usize) -> Queue<T> {
    Queue::new(Bounds { in_flight_max, per_primary_max, per_second: 0 })
}

fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Jobs that run on a virtual clock, each for a while.
struct Bench<T> {
    queue: Queue<T>,
    now: Timestamp,
    takes: Duration,
    running: BTreeMap<(Timestamp, u64), SocketAddr>,
    started: Vec<(Timestamp, T)>,
}

impl<T: Copy> Bench<T> {
    fn new(bounds: Bounds, takes: Duration) -> Bench<T> {
        Bench { queue: Queue::new(bounds), now: NOW, takes, running: BTreeMap::new(), started: Vec::new() }
    }

    fn start(&mut self) {
        while let Some((primary, job)) = self.queue.start_next(self.now) {
            let ends = (self.now + self.takes, self.started.len() as u64);
            self.running.insert(ends, primary);
            self.started.push((self.now, job));
        }
    }

    /// Lets time pass to `end`.
    fn run_until(&mut self, end: Timestamp) {
        loop {
            self.start();
            let ends = self.running.keys().next().map(|(at, _)| *at);
            let next = [ends, self.queue.next_start()].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            assert!(next > self.now || ends == Some(next), "a moment that stays in the past");
            self.now = self.now.max(next);
            while let Some(entry) = self.running.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let primary = entry.remove();
                self.queue.finished(primary);
            }
        }
        self.now = end;
    }

    /// How long the first job like this waited after `since`.
    fn waited(&self, since: Timestamp, is_it: impl Fn(&T) -> bool) -> Option<Duration> {
        self.started.iter().find(|(_, job)| is_it(job)).map(|(at, _)| at.since(since))
    }
}

/// N12: operator command > NOTIFY > initial transfer > expired zone > due refresh.
#[test]
fn urgent_jobs_overtake_fifty_thousand_due_refreshes() {
    let mut queue = queue(1, 1);
    for n in 0..50_000 {
        queue.push(Urgency::Due, primary(1), n);
    }
    queue.push(Urgency::Notify, primary(1), 99_999);
    queue.push(Urgency::Operator, primary(2), 100_000);
    assert_eq!(queue.start_next(NOW), Some((primary(2), 100_000)));
    assert_eq!(queue.start_next(NOW), None, "one in flight at most");
    queue.finished(primary(2));
    assert_eq!(queue.start_next(NOW), Some((primary(1), 99_999)));
}

/// N12: "A queue of 50,000 due refreshes does not delay a NOTIFY by more than a second", however slow the primary is, at
/// whichever moment it comes, and with the rate limit.
#[test]
fn fifty_thousand_due_refreshes_delay_no_notify_by_a_second() {
    for (takes, per_second) in [(1, 0), (20, 500), (5000, 500), (30_000, 20)] {
        let bounds = Bounds { in_flight_max: 512, per_primary_max: 128, per_second };
        let mut bench = Bench::new(bounds, millis(takes));
        for n in 0..50_000u32 {
            bench.queue.push(Urgency::Due, primary((n % 2) as u8), n);
        }
        for (n, at) in [0u64, 1001, 2333, 4999, 6003, 10_007, 29_999].into_iter().enumerate() {
            let (moment, notify) = (NOW + millis(at), 1_000_000 + n as u32);
            bench.run_until(moment);
            bench.queue.push(Urgency::Notify, primary(1), notify);
            bench.run_until(moment + Duration::from_secs(1));
            let waited = bench.waited(moment, |job| *job == notify);
            assert!(waited.is_some_and(|waited| waited < Duration::from_secs(1)), "{takes} ms, {at}: {waited:?}");
        }
    }
}

#[test]
fn a_flood_of_notifies_starves_no_due_refresh() {
    let mut bench = Bench::new(Bounds { in_flight_max: 10, per_primary_max: 10, per_second: 0 }, millis(10));
    bench.queue.push(Urgency::Due, primary(1), 0);
    (1..100_000).for_each(|n| bench.queue.push(Urgency::Notify, primary(1), n));
    bench.run_until(NOW + Duration::from_secs(1));
    let waited = bench.waited(NOW, |job| *job == 0).expect("started among the others");
    assert!(waited <= millis(50), "{waited:?}");
}

#[test]
fn a_busy_primary_does_not_hold_up_another() {
    let mut queue = queue(10, 3);
    for n in 0..5 {
        queue.push(Urgency::Due, primary(1), n);
    }
    queue.push(Urgency::Due, primary(2), 100);
    let started: Vec<_> = std::iter::from_fn(|| queue.start_next(NOW)).collect();
    assert_eq!(started, [(primary(1), 0), (primary(2), 100), (primary(1), 1)], "one place is kept for NOTIFY");
    queue.finished(primary(1));
    assert_eq!(queue.start_next(NOW), Some((primary(1), 2)));
}

/// A zone that changes all the time comes back to the end of the line each time.
#[test]
fn zones_of_one_primary_take_turns() {
    let mut queue = queue(1, 1);
    (0..4).for_each(|zone| queue.push(Urgency::Notify, primary(1), zone));
    let mut served = Vec::new();
    for _ in 0..12 {
        let (primary, zone) = queue.start_next(NOW).expect("waiting");
        served.push(zone);
        queue.finished(primary);
        queue.push(Urgency::Notify, primary, zone);
    }
    assert_eq!(served, [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3]);
}

/// N9, N11: "All within the per-primary rate limit", which no urgency overcomes.
#[test]
fn a_primary_is_asked_at_most_so_often_a_second_whatever_the_urgency() {
    for urgency in [Urgency::Due, Urgency::Notify, Urgency::Operator] {
        let mut bench =
            Bench::new(Bounds { in_flight_max: 10_000, per_primary_max: 10_000, per_second: 500 }, millis(1));
        (0..5000).for_each(|n| bench.queue.push(urgency, primary(1), n));
        bench.run_until(NOW + Duration::from_secs(4));
        let within = |from: u64, to: u64| {
            let moments = NOW + millis(from)..NOW + millis(to);
            bench.started.iter().filter(|(at, _)| moments.contains(at)).count()
        };
        assert!(within(0, 1000) <= 551, "with what may come at once: {}", within(0, 1000));
        for second in 1..4 {
            let started = within(second * 1000, second * 1000 + 1000);
            assert!((499..=501).contains(&started), "{urgency:?}: {started}");
        }
    }
}

#[test]
fn a_job_that_could_not_start_costs_nothing_of_the_rate() {
    let mut queue = Queue::new(Bounds { in_flight_max: 9, per_primary_max: 9, per_second: 10 });
    for n in 0..100 {
        queue.push(Urgency::Notify, primary(1), n);
        let (primary, _) = queue.start_next(NOW).expect("nothing was asked yet");
        queue.not_started(primary);
    }
}

#[test]
fn a_primary_without_jobs_costs_no_memory() {
    let mut queue = Queue::new(Bounds { in_flight_max: 10, per_primary_max: 2, per_second: 10 });
    queue.push(Urgency::Due, primary(1), ());
    queue.start_next(NOW);
    queue.finished(primary(1));
    queue.tidy(NOW);
    assert_eq!(queue.lanes.len(), 1, "it was asked a moment ago");
    queue.tidy(NOW + Duration::from_secs(1));
    assert!(queue.lanes.is_empty());
    assert_eq!(queue.in_flight, 0);
}

#[test]
fn bounds_may_change_while_jobs_wait() {
    let mut queue = Queue::new(Bounds { in_flight_max: 100, per_primary_max: 100, per_second: 1 });
    (0..10).for_each(|n| queue.push(Urgency::Notify, primary(1), n));
    let before = std::iter::from_fn(|| queue.start_next(NOW)).count();
    assert!(before < 3, "{before}");
    queue.set_bounds(Bounds { in_flight_max: 100, per_primary_max: 100, per_second: 0 });
    // The interval begun before is waited for once.
    assert_eq!(std::iter::from_fn(|| queue.start_next(NOW + Duration::from_secs(3))).count(), 10 - before);
}

fn soa() -> SoaTimers {
    SoaTimers { serial: Serial(1), refresh_secs: 3600, retry_secs: 600, expire_secs: 604_800 }
}

/// 100,000 loaded zones whose last confirmation is `age` old, started, and run for `seconds`. How many probes start in
/// each second.
fn started_each_second(age: impl Fn(u32) -> u64, seconds: u64) -> Vec<usize> {
    const ZONES: u32 = 100_000;
    let settings = Arc::new(Settings::default());
    let mut schedule = Schedule::default();
    let bounds = Bounds { in_flight_max: 512, per_primary_max: 128, per_second: 500 };
    let mut bench = Bench::new(bounds, millis(20));
    let mut zones: Vec<(Refresh, Option<Timestamp>)> = (0..ZONES)
        .map(|n| {
            let at = NOW - Duration::from_secs(age(n));
            let confirmation = Confirmation { at, by: 0, expires: at + Duration::from_secs(604_800) };
            let restored = Restored {
                soa: Some(soa()),
                confirmation: Some(confirmation),
                primaries: Vec::new(),
                ask_within: None,
            };
            (Refresh::new(settings.clone(), 1, u64::from(n), Some(restored), NOW), None)
        })
        .collect();
    for (n, (zone, armed)) in zones.iter_mut().enumerate() {
        schedule.arm(ZoneId(n as u32), armed, zone.poll_timeout());
    }
    for ms in (0..seconds * 1000).step_by(10) {
        let now = NOW + millis(ms);
        bench.run_until(now);
        while let Some(ZoneId(n)) = schedule.pop_due(now) {
            let (zone, armed) = &mut zones[n as usize];
            *armed = None;
            zone.handle_timeout(now);
            while let Some(action) = zone.poll_action() {
                if let Action::Probe { urgency, .. } = action {
                    bench.queue.push(urgency, primary(1), n);
                }
            }
            schedule.arm(ZoneId(n), armed, zone.poll_timeout());
        }
    }
    let mut each = vec![0; seconds as usize];
    bench.started.iter().for_each(|(at, _)| each[at.since(NOW).as_secs() as usize] += 1);
    each
}

/// T12: "those still fresh are *not* polled at start".
#[test]
fn a_hundred_thousand_fresh_zones_are_not_polled_at_start() {
    // Confirmed at any moment of the last half hour, with a REFRESH of an hour.
    let each = started_each_second(|n| u64::from(n % 1800), 60);
    assert_eq!(each.iter().sum::<usize>(), 0);
}

/// T12: "due polls are spread and rate-limited per primary".
#[test]
fn a_hundred_thousand_due_zones_are_asked_for_at_the_rate_of_their_primary() {
    let each = started_each_second(|_| 7200, 20);
    assert!(each.iter().all(|started| *started <= 551), "{each:?}");
    assert!(each[1..].iter().all(|started| *started >= 490), "{each:?}");
}
