//! The harness by itself: the servers transfer from each other, so what fails elsewhere is not the harness.

use crate::client::Over;
use crate::compare;
use crate::peer::{Peer, Program, Setup};
use crate::tsig::KEYS;
use crate::wait::{self, SOON};
use crate::zones::{self, Zone};

/// Starts `primary` and a secondary of it, both notifying as they do for us.
fn pair(primary: Program, secondary: Program, setup: impl Fn(Setup) -> Setup, zones: &[Zone]) -> (Peer, Peer) {
    let below = secondary.free_address();
    let upper = setup(Setup::primary(primary).notifying(below)).start(zones);
    let lower = setup(Setup::secondary(secondary, upper.address())).at(below).start(zones);
    (upper, lower)
}

/// A new serial at the primary reaches the secondary by NOTIFY, and as a difference.
#[track_caller]
fn update(upper: &mut Peer, lower: &Peer, name: &str, difference: bool) {
    let before = upper.sent();
    upper.load(&zones::small(name, 2));
    lower.dns.wait_serial(name, 2, SOON);
    wait::until_true("the primary has said what it sent", SOON, || upper.sent() != before);
    let after = upper.sent();
    assert_eq!((after.ixfr > before.ixfr, after.axfr > before.axfr), (difference, !difference), "{before:?} {after:?}");
    assert_eq!(lower.dns.txt(Over::Tcp, &format!("mark.{name}")).as_deref(), Some("2"));
}

#[test]
fn nsd_follows_knot() {
    if !(Program::Knot.is_installed() && Program::Nsd.is_installed()) {
        return;
    }
    let name = "alone.example";
    for key in [None, Some(KEYS[0])] {
        let zones = [zones::small(name, 1)];
        let (mut upper, lower) = pair(Program::Knot, Program::Nsd, |setup| setup.with_key(key), &zones);
        update(&mut upper, &lower, name, true);
        let records = compare::zone_of(upper.address(), name, key).expect("AXFR");
        assert_eq!(records, compare::zone_of(lower.address(), name, key).expect("AXFR"));
        assert_eq!(records.len() as u32, 4 + 2 * zones::HOSTS);
    }
}

#[test]
fn knot_follows_bind_and_nsd() {
    for program in [Program::Bind, Program::Nsd] {
        if !(Program::Knot.is_installed() && program.is_installed()) {
            continue;
        }
        for key in [None, Some(KEYS[2])] {
            let zones = [zones::small("alone.example", 1)];
            let (mut upper, lower) = pair(program, Program::Knot, |setup| setup.with_key(key), &zones);
            update(&mut upper, &lower, "alone.example", true);
        }
    }
}

#[test]
fn bind_follows_powerdns() {
    if !(Program::Bind.is_installed() && Program::PowerDns.is_installed()) {
        return;
    }
    for key in [None, Some(KEYS[1])] {
        let zones = [zones::small("alone.example", 1)];
        let (mut upper, lower) = pair(Program::PowerDns, Program::Bind, |setup| setup.with_key(key), &zones);
        upper.load(&zones::small("alone.example", 2));
        lower.dns.wait_serial("alone.example", 2, SOON);
    }
}

#[test]
fn every_server_loads_every_fixture() {
    for program in [Program::Knot, Program::Nsd, Program::Bind, Program::PowerDns] {
        if program.is_installed() {
            let zones: Vec<Zone> = [zones::ordinary(), zones::signed(), vec![zones::all_types(program)]].concat();
            let peer = Setup::primary(program).start(&zones);
            for zone in &zones {
                let records =
                    compare::zone_of(peer.address(), &zone.name, None).unwrap_or_else(|error| panic!("{error}"));
                eprintln!("{program:?}: {} has {} records", zone.name, records.len());
            }
        }
    }
}
