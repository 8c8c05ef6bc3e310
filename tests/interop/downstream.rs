//! We as the primary of others: what came in goes out again, by AXFR, IXFR and NOTIFY.

use crate::Key;
use crate::compare::zone_of;
use crate::daemon::{Entry, Secondaryd};
use crate::peer::{Program, Setup};
use crate::tsig::KEYS;
use crate::wait::SOON;
use crate::zones;

const NAME: &str = "downstream.example";

#[test]
fn servers_below_us_follow_by_notify_and_ixfr() {
    if !Program::Knot.is_installed() {
        return;
    }
    for program in [Program::Knot, Program::Nsd, Program::Bind] {
        if program.is_installed() {
            for key in [None, Some(KEYS[0]), Some(KEYS[2])] {
                chain(program, key);
            }
        }
    }
}

/// Knot, we, and `program` below us; `key` between us and it.
fn chain(program: Program, key: Option<Key>) {
    let ours = Secondaryd::reserve();
    let below = program.free_address();
    let mut upper = Setup::primary(Program::Knot).notifying(ours.address()).start(&[zones::small(NAME, 1)]);
    let mut entry = Entry::new(NAME, &[upper.address()]);
    entry.notify.push(below);
    entry.downstream_key = key;
    let ours = ours.with_zone(entry).started();
    ours.dns.wait_serial(NAME, 1, SOON);
    let lower = Setup::secondary(program, ours.address()).with_key(key).at(below).start(&[zones::small(NAME, 1)]);
    assert_eq!(zone_of(ours.address(), NAME, None).is_ok(), key.is_none(), "without the key nobody gets the zone");
    for serial in 2..4 {
        upper.load(&zones::small(NAME, serial));
        lower.dns.wait_serial(NAME, serial, SOON);
        let (first, last) = (zone_of(upper.address(), NAME, None), zone_of(lower.address(), NAME, key));
        assert_eq!(first.expect("AXFR"), last.expect("AXFR"), "{program:?} {key:?}: the same zone two steps below");
    }
    let log = lower.log();
    let by_ixfr = match program {
        Program::Knot => {
            log.lines().filter(|line| line.contains("IXFR, incoming") && line.contains("finished")).count()
        }
        Program::Bind => log.matches("got incremental response").count(),
        // NSD says only what we said: our own log knows.
        _ => ours.log().lines().filter(|line| line.contains("transfer sent") && line.contains("records=10")).count(),
    };
    assert!(by_ixfr >= 2, "{program:?} {key:?} got {by_ixfr} differences\n{log}");
}
