//! Weeks of failures in a second: the refresh machine against scripted primaries on a virtual network.
//!
//! Primaries die, hang, refuse, lie, fall back, answer with two voices; NOTIFYs get lost, doubled, delayed and
//! overtaken; the daemon is killed and comes back with what was on disk. When all that stops, every zone must equal its
//! primary within a bound of virtual time, and on the way served serials may not fall, expired zones may not be
//! answered, and nothing may spin.
//!
//! `REFRESH_SIM_RUNS` sets how many runs, `REFRESH_SIM_SEED` the first seed. The seed of a failure is printed.

mod primary;
mod random;
mod secondary;
mod world;

use std::time::Duration;

use primary::Trouble;
use world::{EXPIRE_SECS, REFRESH_SECS, RETRY_SECS, START, Scenario, World};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Until every zone has been asked for once after the last fault: a full pause of the unreachable cache, a trial in it
/// that another zone makes, a REFRESH (or the longest first-try pause, which is set to the same), timeouts on the way.
const HEALS_WITHIN: Duration = Duration::from_secs(600 + 2 * REFRESH_SECS as u64 + RETRY_SECS as u64 + 60);

/// Names the seed when a run fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed with REFRESH_SIM_SEED={} REFRESH_SIM_RUNS=1", self.0);
        }
    }
}

fn seeds(runs: u64) -> impl Iterator<Item = Seed> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let first = number("REFRESH_SIM_SEED").unwrap_or(1);
    let runs = number("REFRESH_SIM_RUNS").unwrap_or(runs);
    (first..first + runs).map(Seed)
}

fn scenario(seed: u64) -> Scenario {
    Scenario {
        zones: 3,
        primaries: 1 + (seed % 3) as usize,
        faults: Duration::from_secs(3 * 3600),
        notifies: !seed.is_multiple_of(4),
        crashes: seed % 5 < 3,
        commands: seed % 7 < 3,
        origin_reset: false,
    }
}

#[test]
fn when_the_faults_stop_every_zone_equals_its_primary() {
    for seed in seeds(200) {
        let mut world = World::new(seed.0, scenario(seed.0));
        world.run(HEALS_WITHIN);
        world.check_converged();
    }
}

#[test]
fn an_origin_that_starts_again_from_a_low_serial_is_followed_after_expiry() {
    for seed in seeds(40) {
        let mut world = World::new(seed.0, Scenario { origin_reset: true, ..scenario(seed.0) });
        world.run(HEALS_WITHIN + Duration::from_secs(u64::from(EXPIRE_SECS)));
        world.check_converged();
    }
}

#[test]
fn a_week_of_faults_costs_a_bounded_number_of_exchanges() {
    for seed in seeds(2) {
        let week = 7 * DAY;
        let mut world = World::new(seed.0, Scenario { faults: week, ..scenario(seed.0) });
        world.run(HEALS_WITHIN);
        world.check_converged();
        // Per zone, an update about every two minutes with NOTIFYs from up to three primaries.
        let per_zone_and_minute = world.actions() / 3 / (week.as_secs() / 60);
        assert!(per_zone_and_minute < 20, "{per_zone_and_minute}");
    }
}

#[test]
fn an_unreachable_primary_costs_a_few_timeouts_and_not_one_per_zone() {
    let quiet = Scenario {
        zones: 2000,
        primaries: 2,
        faults: DAY,
        notifies: false,
        crashes: false,
        commands: false,
        origin_reset: false,
    };
    let mut world = World::new(7, quiet);
    world.break_primary(0, Trouble::Refusing);
    world.freeze();
    world.run_until(START + Duration::from_secs(3 * 3600));
    // At the start all zones ask at once, since nobody limits them here; after that one tries per pause.
    let dead = world.exchanges[0];
    assert!(dead < 2000 + 40, "{dead}");
    assert!(world.exchanges[1] > 2000 * 30);
}

#[test]
fn the_same_seed_makes_the_same_run() {
    let actions = |seed| {
        let mut world = World::new(seed, scenario(seed));
        world.run(HEALS_WITHIN);
        (world.actions(), world.exchanges.clone())
    };
    assert_eq!(actions(11), actions(11));
}
