//! The virtual clock and network: an ordered list of events, and what each does.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use secondaryd::dns::Serial;
use secondaryd::reason::{Code, Reason, StatusWord};
use secondaryd::refresh::unreachable::{Cache, Exchange};
use secondaryd::refresh::{Action, Command, Probed, Settings, SoaTimers, TransferKind, Urgency, ZoneState};
use secondaryd::time::Timestamp;

use crate::primary::{Answer, Primary, Trouble};
use crate::random::Random;
use crate::secondary::Secondary;

pub(crate) const START: Timestamp = Timestamp::from_secs(1_800_000_000);
pub(crate) const REFRESH_SECS: u32 = 300;
pub(crate) const RETRY_SECS: u32 = 60;
pub(crate) const EXPIRE_SECS: u32 = 1500;

/// What a run is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    pub(crate) zones: usize,
    pub(crate) primaries: usize,
    /// How long things go wrong.
    pub(crate) faults: Duration,
    /// Primaries send NOTIFYs, many of which get lost.
    pub(crate) notifies: bool,
    /// Our daemon is killed now and then.
    pub(crate) crashes: bool,
    /// An operator presses buttons now and then.
    pub(crate) commands: bool,
    /// When the faults stop, the origin starts again from a low serial.
    pub(crate) origin_reset: bool,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Timer { zone: usize },
    ProbeEnds { zone: usize, primary: usize, outcome: Result<Serial, Code> },
    TransferEnds { zone: usize, primary: usize, outcome: Result<Serial, Code> },
    Notify { zone: usize, primary: usize, hint: Option<Serial> },
    Update { zone: usize },
    Sync { zone: usize, primary: usize },
    Trouble { primary: usize },
    Flush { zone: usize },
    Command { zone: usize },
    Crash,
    FaultsStop,
}

pub(crate) struct World {
    now: Timestamp,
    random: Random,
    scenario: Scenario,
    settings: Arc<Settings>,
    /// In order of time; the second part of the key keeps those of one moment apart.
    events: BTreeMap<(Timestamp, u64), (u32, Event)>,
    sequence: u64,
    /// Exchanges of an earlier run of the daemon come to nothing.
    run: u32,
    /// The truth about each zone.
    origin: Vec<Serial>,
    primaries: Vec<Primary>,
    secondaries: Vec<Secondary>,
    cache: Cache,
    faulty: bool,
    /// Exchanges that were really made with each primary.
    pub(crate) exchanges: Vec<u64>,
}

impl World {
    pub(crate) fn new(seed: u64, scenario: Scenario) -> World {
        let mut random = Random::new(seed);
        // Some secondaries keep to the primary they have, for a while (P4).
        let pin_tolerance = Duration::from_secs(if seed % 9 == 4 { 60 } else { 0 });
        let settings =
            Arc::new(Settings { retry_initial_max: Duration::from_secs(300), pin_tolerance, ..Settings::default() });
        let origin: Vec<Serial> = (0..scenario.zones).map(|_| Serial(random.next() as u32)).collect();
        let primaries = (0..scenario.primaries)
            .map(|n| Primary {
                address: SocketAddr::from(([192, 0, 2, 1 + n as u8], 53)),
                trouble: Trouble::None,
                serials: origin.clone(),
            })
            .collect();
        let secondaries = (0..scenario.zones)
            .map(|_| Secondary::start(&settings, scenario.primaries, random.next(), None, START))
            .collect();
        let mut world = World {
            now: START,
            random,
            scenario,
            settings,
            events: BTreeMap::new(),
            sequence: 0,
            run: 0,
            origin,
            primaries,
            secondaries,
            cache: Cache::new(),
            faulty: true,
            exchanges: vec![0; scenario.primaries],
        };
        for zone in 0..scenario.zones {
            world.arm(zone);
            world.later(60_000, Event::Update { zone });
            world.later(600_000, Event::Command { zone });
        }
        for primary in 0..scenario.primaries {
            world.later(60_000, Event::Trouble { primary });
        }
        world.later(1_200_000, Event::Crash);
        world.at(START + scenario.faults, Event::FaultsStop);
        world
    }

    /// Sets what is wrong with a primary from the start.
    pub(crate) fn break_primary(&mut self, primary: usize, trouble: Trouble) {
        self.primaries[primary].trouble = trouble;
    }

    /// Leaves the world as it is: no updates, no changes of trouble, no packet loss.
    pub(crate) fn freeze(&mut self) {
        self.faulty = false;
    }

    /// Runs until the faults have stopped and `bound` has passed.
    pub(crate) fn run(&mut self, bound: Duration) {
        // A daemon that is down then makes it later.
        while self.faulty {
            self.run_until(self.now + Duration::from_secs(60));
        }
        self.run_until(self.now + bound);
    }

    pub(crate) fn run_until(&mut self, end: Timestamp) {
        let mut at_once = 0;
        while let Some(entry) = self.events.first_entry() {
            let (moment, _) = *entry.key();
            if moment > end {
                break;
            }
            at_once = if moment == self.now { at_once + 1 } else { 0 };
            assert!(at_once < 100_000, "time stands still");
            let (run, event) = entry.remove();
            self.now = moment;
            self.happens(run, event);
        }
        self.now = self.now.max(end);
    }

    fn happens(&mut self, run: u32, event: Event) {
        let stale = run != self.run;
        match event {
            Event::Timer { zone } if !stale => {
                let zone_under_test = &mut self.secondaries[zone].zone;
                zone_under_test.handle_timeout(self.now);
                let next = zone_under_test.poll_timeout();
                assert!(next.is_none_or(|due| due > self.now), "a deadline that stays in the past");
                self.perform(zone);
            }
            Event::ProbeEnds { zone, primary, outcome } if !stale => self.probe_ends(zone, primary, outcome),
            Event::TransferEnds { zone, primary, outcome } if !stale => self.transfer_ends(zone, primary, outcome),
            Event::Flush { zone } if !stale => self.secondaries[zone].flush(),
            Event::Timer { .. } | Event::ProbeEnds { .. } | Event::TransferEnds { .. } | Event::Flush { .. } => {}
            Event::Notify { zone, primary, hint } => self.notified(zone, primary, hint),
            Event::Update { zone } => self.update(zone),
            Event::Sync { zone, primary } => self.sync(zone, primary),
            Event::Trouble { primary } => self.change_trouble(primary),
            Event::Command { zone } => self.command(zone),
            Event::Crash => self.crash(),
            Event::FaultsStop => self.stop_faults(),
        }
    }

    // -- our side ------------------------------------------------------------------------------------------------

    fn perform(&mut self, zone: usize) {
        // A round may end and the next begin without an exchange if the cache forbids them all.
        for _ in 0..100 {
            let actions = self.secondaries[zone].take_actions(&self.settings, self.now);
            if actions.is_empty() {
                self.arm(zone);
                self.secondaries[zone].check(self.now);
                let flush = self.random.below(1000);
                self.after(flush, Event::Flush { zone });
                return;
            }
            actions.into_iter().for_each(|action| self.start(zone, action));
        }
        panic!("a zone that never comes to rest");
    }

    fn start(&mut self, zone: usize, action: Action) {
        let (primary, urgency, kind) = match action {
            Action::Probe { primary, urgency } => (primary, urgency, None),
            Action::Transfer { primary, urgency, kind, .. } => (primary, urgency, Some(kind)),
            Action::Expire | Action::Confirm { .. } => return,
        };
        let address = self.primaries[primary].address;
        if urgency != Urgency::Operator
            && let Err(blocked) = self.cache.check(address, self.now)
        {
            let secondary = &mut self.secondaries[zone];
            let exchange = match kind {
                None => {
                    secondary.probe_ended(primary);
                    Exchange::Probe
                }
                Some(_) => {
                    assert_eq!(secondary.transfer_ended(primary, None), None);
                    Exchange::Transfer
                }
            };
            secondary.zone.handle_unreachable(self.now, primary, exchange, blocked);
            return;
        }
        self.exchanges[primary] += 1;
        let server = &self.primaries[primary];
        let Answer { outcome, after_ms } = match kind {
            None => server.probe(zone, &mut self.random),
            Some(kind) => server.transfer(zone, kind == TransferKind::Ixfr, &mut self.random),
        };
        let lost = self.faulty && self.random.chance(5);
        let event = match (kind, lost) {
            (None, true) => Event::ProbeEnds { zone, primary, outcome: Err(Code::ConnectTimeout) },
            (None, false) => Event::ProbeEnds { zone, primary, outcome },
            (Some(_), true) => Event::TransferEnds { zone, primary, outcome: Err(Code::IdleTimeout) },
            (Some(_), false) => Event::TransferEnds { zone, primary, outcome },
        };
        self.after(if lost { 10_000 } else { after_ms }, event);
    }

    fn probe_ends(&mut self, zone: usize, primary: usize, outcome: Result<Serial, Code>) {
        self.cache.ended(self.primaries[primary].address, Exchange::Probe, outcome.map(|_| ()), self.now);
        let secondary = &mut self.secondaries[zone];
        secondary.probe_ended(primary);
        let outcome = outcome.map(|serial| Probed { serial, expire_option: None }).map_err(Reason::from);
        secondary.zone.handle_probe(self.now, primary, outcome);
        self.perform(zone);
    }

    fn transfer_ends(&mut self, zone: usize, primary: usize, outcome: Result<Serial, Code>) {
        self.cache.ended(self.primaries[primary].address, Exchange::Transfer, outcome.map(|_| ()), self.now);
        let secondary = &mut self.secondaries[zone];
        let transferred = secondary.transfer_ended(primary, outcome.ok().map(version));
        let outcome = match (transferred, outcome) {
            (Some(transferred), _) => Ok(transferred),
            (None, Err(code)) => Err(Reason::from(code)),
            (None, Ok(_)) => unreachable!("a version was brought"),
        };
        secondary.zone.handle_transfer(self.now, primary, outcome);
        self.perform(zone);
    }

    fn notified(&mut self, zone: usize, primary: usize, hint: Option<Serial>) {
        self.cache.heard_from(self.primaries[primary].address, self.now);
        self.secondaries[zone].zone.handle_notify(self.now, Some(primary), hint);
        self.perform(zone);
    }

    fn command(&mut self, zone: usize) {
        if !self.faulty || !self.scenario.commands {
            return;
        }
        let command = match self.random.below(3) {
            0 => Command::Refresh,
            1 => Command::Retransfer { force: false },
            _ => Command::Retransfer { force: true },
        };
        // A forced transfer may bring whatever a stale primary has, until a newer version comes.
        self.secondaries[zone].forced |= command == Command::Retransfer { force: true };
        self.secondaries[zone].zone.handle_command(self.now, command);
        self.perform(zone);
        self.later(600_000, Event::Command { zone });
    }

    fn crash(&mut self) {
        if !self.faulty || !self.scenario.crashes {
            return;
        }
        self.run += 1;
        // Most restarts are quick; some take longer than EXPIRE.
        let down_ms = if self.random.chance(80) { self.random.below(5000) } else { self.random.below(2_000_000) };
        let up = self.now + Duration::from_millis(down_ms);
        self.cache = Cache::new();
        // Nothing reaches a stopped daemon.
        self.events.retain(|(at, _), (_, event)| *at > up || !matches!(event, Event::Notify { .. }));
        let due: Vec<_> = self.events.range(..(up, 0)).map(|(key, _)| *key).collect();
        for key in due {
            let (_, event) = self.events.remove(&key).expect("just seen");
            // The world goes on; buttons and further crashes wait.
            match event {
                Event::Command { .. } | Event::Crash | Event::FaultsStop => self.at(up, event),
                Event::Update { .. } | Event::Sync { .. } | Event::Trouble { .. } => self.at(up, event),
                _ => {}
            }
        }
        self.now = up;
        for zone in 0..self.secondaries.len() {
            let disk = self.secondaries[zone].disk.clone();
            let seed = self.random.next();
            self.secondaries[zone] = Secondary::start(&self.settings, self.primaries.len(), seed, Some(disk), self.now);
            self.perform(zone);
        }
        self.later(2_400_000, Event::Crash);
    }

    // -- the world -----------------------------------------------------------------------------------------------

    fn update(&mut self, zone: usize) {
        if !self.faulty {
            return;
        }
        let steps = 1 + self.random.below(3) as u32;
        self.origin[zone] = self.origin[zone].plus(steps);
        for primary in 0..self.primaries.len() {
            // Replicas are late, and some miss it.
            if self.random.chance(90) {
                self.later(3000, Event::Sync { zone, primary });
            }
        }
        let pause = if self.random.chance(30) { 500 } else { 400_000 };
        self.later(pause, Event::Update { zone });
    }

    fn sync(&mut self, zone: usize, primary: usize) {
        self.primaries[primary].serials[zone] = self.origin[zone];
        if !self.scenario.notifies {
            return;
        }
        let hint = self.primaries[primary].hint(zone, &mut self.random);
        let copies = if self.faulty { self.random.below(3) } else { 1 };
        for _ in 0..copies {
            self.later(2000, Event::Notify { zone, primary, hint });
        }
    }

    fn change_trouble(&mut self, primary: usize) {
        if !self.faulty {
            return;
        }
        self.primaries[primary].trouble = Trouble::any(&mut self.random);
        if self.random.chance(10) {
            // Came back from an old backup.
            for serial in &mut self.primaries[primary].serials {
                *serial = Serial(serial.0.wrapping_sub(1 + self.random.below(20) as u32));
            }
        }
        self.later(600_000, Event::Trouble { primary });
    }

    fn stop_faults(&mut self) {
        self.faulty = false;
        for zone in 0..self.origin.len() {
            if self.scenario.origin_reset {
                self.origin[zone] = Serial(self.origin[zone].0.wrapping_sub(1_000_000));
            } else {
                self.origin[zone] = self.origin[zone].plus(5000);
            }
            for primary in 0..self.primaries.len() {
                self.primaries[primary].trouble = Trouble::None;
                self.later(3000, Event::Sync { zone, primary });
            }
        }
    }

    /// What must hold in the end.
    pub(crate) fn check_converged(&self) {
        for (zone, secondary) in self.secondaries.iter().enumerate() {
            assert_eq!(secondary.serial(), Some(self.origin[zone]), "zone {zone}");
            assert!(secondary.answered, "zone {zone}");
            assert_eq!(secondary.zone.state(), ZoneState::Available, "zone {zone}");
            assert_eq!(secondary.zone.failures(), 0, "zone {zone}");
            for (ix, state) in secondary.zone.primaries().enumerate() {
                // How the last attempt ended; the next may be running at this very moment.
                assert_eq!(state.code.status(), StatusWord::Ok, "zone {zone} primary {ix}: {state:?}");
            }
        }
    }

    /// How much work the zones asked for.
    pub(crate) fn actions(&self) -> u64 {
        self.secondaries.iter().map(|secondary| secondary.actions).sum()
    }

    // -- time ----------------------------------------------------------------------------------------------------

    fn arm(&mut self, zone: usize) {
        if let Some(due) = self.secondaries[zone].zone.poll_timeout() {
            self.at(due, Event::Timer { zone });
        }
    }

    fn later(&mut self, within_ms: u64, event: Event) {
        let ms = 1 + self.random.below(within_ms);
        self.after(ms, event);
    }

    fn after(&mut self, ms: u64, event: Event) {
        self.at(self.now + Duration::from_millis(ms), event);
    }

    fn at(&mut self, moment: Timestamp, event: Event) {
        self.sequence += 1;
        self.events.insert((moment, self.sequence), (self.run, event));
    }
}

fn version(serial: Serial) -> SoaTimers {
    SoaTimers { serial, refresh_secs: REFRESH_SECS, retry_secs: RETRY_SECS, expire_secs: EXPIRE_SECS }
}
