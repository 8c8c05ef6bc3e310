//! Serial arithmetic (RFC 1982) against servers that do it too.

use crate::compare::assert_same_zone;
use crate::peer::Program;
use crate::peer::Setup;
use crate::primaries::pair;
use crate::wait::SOON;
use crate::zones;

const NAME: &str = "wrap.example";

/// I3: the chain moves forward by RFC 1982, also across 2^32, also in several steps.
#[test]
fn serials_wrap_in_steps() {
    for program in [Program::Knot, Program::Bind] {
        if !program.is_installed() {
            continue;
        }
        let steps = [1_u32, 0x7fff_ffff, 0xffff_fff0, 0xffff_ffff, 5, 6];
        let (mut peer, ours) = pair(Setup::primary(program), &[zones::small(NAME, steps[0])]);
        ours.dns.wait_serial(NAME, steps[0], SOON);
        for (from, to) in steps.iter().zip(&steps[1..]) {
            peer.load(&zones::small(NAME, *to));
            ours.dns.wait_serial(NAME, *to, SOON);
            let item = ours.wait_item(NAME, 0, "at the new serial", |item| item["lastTransfer"]["toSerial"] == *to);
            let transfer = &item["lastTransfer"];
            assert_eq!(
                (&transfer["type"], &transfer["fromSerial"]),
                (&"IXFR".into(), &(*from).into()),
                "{program:?}: {item:#}"
            );
            assert_same_zone(NAME, peer.address(), None, ours.address());
        }
    }
}

/// A zone with serial 0, wrapping from below.
#[test]
fn several_steps_across_the_wrap_come_at_once() {
    for program in [Program::Knot, Program::Bind] {
        if !program.is_installed() {
            continue;
        }
        let (mut peer, mut ours) = pair(Setup::primary(program), &[zones::small(NAME, 0xffff_fffe)]);
        ours.dns.wait_serial(NAME, 0xffff_fffe, SOON);
        ours.stop();
        for serial in [0xffff_ffff, 1, 2] {
            peer.load(&zones::small(NAME, serial));
        }
        ours.start();
        assert_eq!(ours.dns.serial(NAME), Some(0xffff_fffe), "from disk");
        ours.expect("PUT", &format!("{}/axfr?mode=refresh", ours.zone_path(NAME)), 202);
        ours.dns.wait_serial(NAME, 2, SOON);
        let item = ours.wait_item(NAME, 0, "at 2", |item| item["lastTransfer"]["toSerial"] == 2);
        assert_eq!(item["lastTransfer"]["type"], "IXFR", "{program:?}: {item:#}");
        assert_same_zone(NAME, peer.address(), None, ours.address());
    }
}
