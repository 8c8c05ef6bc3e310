//! We as the primary of others: what came in goes out again, by AXFR, IXFR and NOTIFY.

use crate::compare::zone_of;
use crate::daemon::{Entry, Secondaryd};
use crate::peer::{Program, Setup};
use crate::wait::SOON;
use crate::zones;

const NAME: &str = "downstream.example";

#[test]
fn servers_below_us_follow_by_notify_and_ixfr() {
    if !Program::Knot.is_installed() {
        return;
    }
    for program in [Program::Knot, Program::Nsd, Program::Bind] {
        if !program.is_installed() {
            continue;
        }
        let ours = Secondaryd::reserve();
        let below = program.free_address();
        let mut upper = Setup::primary(Program::Knot).notifying(ours.address()).start(&[zones::small(NAME, 1)]);
        let mut entry = Entry::new(NAME, &[upper.address()]);
        entry.notify.push(below);
        let ours = ours.with_zone(entry).started();
        ours.dns.wait_serial(NAME, 1, SOON);
        let lower = Setup::secondary(program, ours.address()).at(below).start(&[zones::small(NAME, 1)]);
        for serial in 2..4 {
            upper.load(&zones::small(NAME, serial));
            lower.dns.wait_serial(NAME, serial, SOON);
            let (first, last) = (zone_of(upper.address(), NAME, None), zone_of(lower.address(), NAME, None));
            assert_eq!(first.expect("AXFR"), last.expect("AXFR"), "{program:?}: the same zone two steps below");
        }
        let by_ixfr = match program {
            Program::Knot => lower.log().contains("IXFR, incoming") && lower.log().contains("finished"),
            Program::Bind => lower.log().contains("got incremental response"),
            _ => true,
        };
        assert!(by_ixfr, "{program:?} got differences\n{}", lower.log());
    }
}
