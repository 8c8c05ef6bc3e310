//! Stop, start, kill -9: the disk has the zone before the first contact.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use crate::client::Over;
use crate::compare::zone_of;
use crate::daemon::{Entry, Secondaryd};
use crate::peer::{Program, Setup};
use crate::primaries::{installed, pair};
use crate::wait::{self, SOON};
use crate::zones::{self, Timers};

const NAME: &str = "restart.example";

#[test]
fn a_restart_serves_from_disk_before_any_contact() {
    for program in installed() {
        let (mut peer, mut ours) = pair(Setup::primary(program), &[zones::small(NAME, 1)]);
        ours.dns.wait_serial(NAME, 1, SOON);
        peer.load(&zones::small(NAME, 2));
        ours.dns.wait_serial(NAME, 2, SOON);
        let before = zone_of(ours.address(), NAME, None).expect("AXFR");
        // When both are stopped, and only we come back
        peer.stop();
        assert!(ours.stop().success(), "SIGTERM ends with exit code 0\n{}", ours.log());
        ours.start();
        // Then readiness means that the zone is served (asked once, no waiting)
        assert_eq!(ours.dns.serial(NAME), Some(2), "{program:?}");
        assert_eq!(zone_of(ours.address(), NAME, None).expect("AXFR"), before);
        // And the status remembers
        let item = ours.item(NAME, 0);
        assert_eq!(item["lastTransfer"]["toSerial"], 2, "{program:?}: {item:#}");
    }
}

/// T3: EXPIRE runs while we are stopped. T5: an expired zone answers SERVFAIL and heals without a human.
#[test]
fn a_zone_that_expired_while_we_were_stopped_is_not_served() {
    if !Program::Knot.is_installed() {
        return;
    }
    let timers = Timers { refresh: 1, retry: 1, expire: 4 };
    let (mut peer, mut ours) = pair(Setup::primary(Program::Knot), &[zones::with_timers(NAME, 1, timers)]);
    ours.dns.wait_serial(NAME, 1, SOON);
    let status = ours.status(NAME);
    let expires: jiff::Timestamp = status["expires"].as_str().expect("expires").parse().expect("RFC 3339");
    peer.stop();
    ours.stop();
    // Confirmed at most at the last poll, which was before the stop.
    let last = expires.max(jiff::Timestamp::now() + jiff::SignedDuration::from_secs(5));
    wait::until_true("the zone has expired", SOON, || jiff::Timestamp::now() > last);
    ours.start();
    assert_eq!(ours.dns.rcode(NAME, RecordType::SOA), Some(ResponseCode::ServFail));
    assert!(zone_of(ours.address(), NAME, None).is_err(), "no AXFR of expired data");
    assert_eq!(ours.expect("GET", &ours.zone_path(NAME), 200)["metadata"]["state"], "FAILED");
    peer.start();
    ours.dns.wait_serial(NAME, 1, SOON);
    assert_eq!(ours.expect("GET", &ours.zone_path(NAME), 200)["metadata"]["state"], "AVAILABLE");
}

/// The same while running: the primary ends, the zone expires, the primary comes back.
#[test]
fn a_zone_expires_and_heals() {
    if !Program::Bind.is_installed() {
        return;
    }
    let timers = Timers { refresh: 1, retry: 1, expire: 4 };
    let (mut peer, ours) = pair(Setup::primary(Program::Bind), &[zones::with_timers(NAME, 1, timers)]);
    ours.dns.wait_serial(NAME, 1, SOON);
    peer.stop();
    wait::until_true("SERVFAIL", SOON, || ours.dns.rcode(NAME, RecordType::SOA) == Some(ResponseCode::ServFail));
    let answer = ours.dns.ask(Over::Tcp, NAME, RecordType::SOA).expect("answer");
    assert!(answer.answers.is_empty() && !answer.metadata.authoritative);
    peer.start();
    ours.dns.wait_serial(NAME, 1, SOON);
}

/// A9: kill -9 at any moment leaves the complete old or the complete new zone.
#[test]
fn kill_right_after_an_update_leaves_old_or_new() {
    for program in installed() {
        let (mut peer, mut ours) = pair(Setup::primary(program), &[zones::small(NAME, 1)]);
        ours.dns.wait_serial(NAME, 1, SOON);
        let mut versions = vec![zone_of(peer.address(), NAME, None).expect("AXFR")];
        // a transfer waits until the version is on the disk, and a first one has up to a second at a start
        assert_eq!(zone_of(ours.address(), NAME, None).as_ref(), Ok(&versions[0]));
        for serial in 2..6 {
            peer.load(&zones::small(NAME, serial));
            versions.push(zone_of(peer.address(), NAME, None).expect("AXFR"));
            ours.dns.wait_serial(NAME, serial, SOON);
            ours.kill();
            peer.process().pause();
            ours.start();
            // What is on disk, while the primary stands still: one of the versions, whole
            let served = ours.dns.serial(NAME);
            let here = zone_of(ours.address(), NAME, None).expect("AXFR");
            assert!(served.is_some() && versions.contains(&here), "{program:?}: {served:?} of {serial} is no version");
            peer.process().resume();
            // And the newest version is there again soon: the first contact after a crash is not a day away
            ours.expect("PUT", &format!("{}/axfr?mode=refresh", ours.zone_path(NAME)), 202);
            ours.dns.wait_serial(NAME, serial, SOON);
        }
    }
}

/// `durability = "before"`: what was ever answered is on disk.
#[test]
fn what_was_served_before_a_kill_is_served_after_it() {
    if !Program::Knot.is_installed() {
        return;
    }
    let ours = Secondaryd::reserve().durable_before();
    let mut peer = Setup::primary(Program::Knot).notifying(ours.address()).start(&[zones::small(NAME, 1)]);
    let mut ours = ours.with_zone(Entry::new(NAME, &[peer.address()])).started();
    ours.dns.wait_serial(NAME, 1, SOON);
    for serial in 2..8 {
        peer.load(&zones::small(NAME, serial));
        ours.dns.wait_serial(NAME, serial, SOON);
        ours.kill();
        peer.process().pause();
        ours.start();
        assert_eq!(ours.dns.serial(NAME), Some(serial), "the version that was answered");
        assert_eq!(ours.dns.txt(Over::Udp, &format!("mark.{NAME}")), Some(serial.to_string()));
        peer.process().resume();
    }
}
