//! What a person does to the served version: an exchange, and holding on to it.

use super::*;

/// Frozen on serial 5, which was served before 7.
fn rolled_back() -> Bench {
    let mut bench = Bench::healthy(2, 7);
    bench.zone.set_frozen(true);
    bench.zone.handle_exchanged(bench.now, soa(5), (0, bench.now));
    bench.actions();
    bench
}

#[test]
fn a_frozen_zone_is_asked_about_and_never_transferred() {
    let mut bench = rolled_back();
    bench.wait_until_refresh();
    assert_eq!(bench.probes(), [0, 1]);
    bench.shows(0, 7);
    bench.shows(1, 8);
    assert_eq!(bench.transfer(), None);
    bench.notify(0, Some(9));
    assert_eq!(bench.transfer(), None, "nor for a newer hint");
    bench.zone.handle_command(bench.now, Command::Retransfer { force: true });
    bench.actions();
    bench.shows(0, 9);
    bench.shows(1, 9);
    assert_eq!(bench.transfer(), None, "nor for a command");
    assert_eq!(bench.zone.soa().map(|soa| soa.serial), Some(Serial(5)));
}

#[test]
fn a_newer_serial_confirms_a_frozen_zone_and_an_older_one_does_not() {
    let mut bench = rolled_back();
    bench.wait_until_refresh();
    bench.actions();
    let before = bench.zone.expires().expect("confirmed");
    bench.shows(1, 4);
    assert_eq!(bench.zone.expires(), Some(before));
    bench.shows(0, 7);
    assert_eq!(bench.zone.expires(), Some(bench.now + secs(EXPIRE)));
}

#[test]
fn a_frozen_zone_without_an_answer_expires() {
    let mut bench = rolled_back();
    bench.zone.handle_timeout(bench.now + secs(EXPIRE));
    assert!(bench.zone.is_expired());
}

#[test]
fn released_it_takes_what_is_newer() {
    let mut bench = rolled_back();
    bench.zone.set_frozen(false);
    bench.zone.handle_command(bench.now, Command::Refresh);
    bench.actions();
    bench.shows(0, 7);
    bench.shows(1, 7);
    assert_eq!(bench.transfer(), Some((0, TransferKind::Ixfr)));
}

/// The primary gave it when it was held, not when it was approved.
#[test]
fn an_exchanged_version_expires_from_when_it_was_given() {
    let mut bench = Bench::healthy(1, 7);
    let given = bench.now;
    bench.wait(secs(60));
    bench.zone.handle_exchanged(bench.now, soa(9), (0, given));
    assert_eq!(bench.zone.expires(), Some(given + secs(EXPIRE)));
    assert_eq!(bench.zone.confirmation().map(|confirmed| confirmed.by), Some(0));
}

#[test]
fn an_exchange_brings_an_expired_zone_back() {
    let mut bench = Bench::healthy(1, 7);
    bench.zone.handle_timeout(bench.now + secs(EXPIRE));
    bench.now = bench.now + secs(EXPIRE);
    assert!(bench.zone.is_expired());
    bench.zone.handle_exchanged(bench.now, soa(9), (0, bench.now));
    assert!(!bench.zone.is_expired());
    assert!(bench.actions().iter().any(|action| matches!(action, Action::Confirm { .. })));
}
