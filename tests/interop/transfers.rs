//! Each server as our primary: AXFR, then NOTIFY and what follows an edit; over IPv4 and IPv6; zones of all kinds.

use crate::address;
use crate::client::Over;
use crate::compare::assert_same_zone;
use crate::daemon::{Entry, Secondaryd};
use crate::peer::{Program, Setup};
use crate::primaries::{answers_ixfr_with, installed, pair};
use crate::relay::Relay;
use crate::wait::{self, SOON};
use crate::zones::{self, Zone};

const NAME: &str = "transfers.example";

#[test]
fn a_new_zone_is_taken_by_axfr_whole() {
    for program in installed() {
        let (peer, ours) = pair(Setup::primary(program), &[zones::small(NAME, 7)]);
        ours.dns.wait_serial(NAME, 7, SOON);
        let records = assert_same_zone(NAME, peer.address(), None, ours.address());
        assert_eq!(records as u64, ours.record_count(NAME), "{program:?}: the API counts what AXFR gives");
        assert_eq!(ours.dns.txt(Over::Udp, &format!("mark.{NAME}")).as_deref(), Some("7"));
        assert_eq!(ours.dns.txt(Over::Tcp, &format!("mark.{NAME}")).as_deref(), Some("7"));
        let item = ours.wait_item(NAME, 0, "OK by AXFR", |item| item["status"] == "OK");
        let transfer = &item["lastTransfer"];
        assert_eq!((&transfer["type"], &transfer["toSerial"]), (&"AXFR".into(), &7.into()), "{program:?}: {item:#}");
        assert!(peer.sent().axfr >= 1, "{program:?}: {:?}\n{}", peer.sent(), peer.log());
    }
}

#[test]
fn notify_after_an_edit_brings_the_difference() {
    for program in installed() {
        let (mut peer, ours) = pair(Setup::primary(program), &[zones::small(NAME, 1)]);
        ours.dns.wait_serial(NAME, 1, SOON);
        for serial in 2..5 {
            let before = peer.sent();
            peer.load(&zones::small(NAME, serial));
            ours.dns.wait_serial(NAME, serial, SOON);
            wait::until_true("the primary has said what it sent", SOON, || peer.sent() != before);
            let after = peer.sent();
            let item = ours.wait_item(NAME, 0, "at the new serial", |item| item["lastTransfer"]["toSerial"] == serial);
            let transfer = &item["lastTransfer"];
            assert_eq!(transfer["type"], answers_ixfr_with(program), "{program:?}: {item:#}");
            assert_eq!((&item["status"], &item["serial"]), (&"OK".into(), &serial.into()), "{program:?}: {item:#}");
            assert!(item["lastNotify"].is_string(), "{program:?}: {item:#}");
            // The refresh time of the zone is a day: only the NOTIFY can have told.
            assert!(after.ixfr > before.ixfr, "{program:?}: asked for IXFR: {before:?} {after:?}\n{}", peer.log());
            assert_eq!(after.axfr, before.axfr, "{program:?}: not asked for AXFR\n{}", peer.log());
            assert_same_zone(NAME, peer.address(), None, ours.address());
        }
    }
}

#[test]
fn fixtures_arrive_record_for_record() {
    for program in installed() {
        let zones: Vec<Zone> = [zones::ordinary(), zones::signed(), vec![zones::all_types(program)]].concat();
        let (peer, ours) = pair(Setup::primary(program), &zones);
        for zone in &zones {
            ours.dns.wait_serial(&zone.name, zone.serial, SOON);
            let records = assert_same_zone(&zone.name, peer.address(), None, ours.address());
            eprintln!("{program:?}: {} is the same in {records} records", zone.name);
        }
    }
}

#[test]
fn ipv6_is_as_good() {
    for program in installed() {
        let mut ours = Secondaryd::reserve();
        let at = address::ipv6();
        let below = address::ipv6();
        let mut peer = Setup::primary(program).at(at).notifying(below).start(&[zones::small(NAME, 1)]);
        ours = ours.listening_at(below).with_zone(Entry::new(NAME, &[at])).started();
        ours.dns.wait_serial(NAME, 1, SOON);
        assert_same_zone(NAME, peer.address(), None, below);
        peer.load(&zones::small(NAME, 2));
        ours.dns.wait_serial(NAME, 2, SOON);
        let item = ours.wait_item(NAME, 0, "at 2", |item| item["lastTransfer"]["toSerial"] == 2);
        assert_eq!(item["lastTransfer"]["type"], answers_ixfr_with(program), "{program:?}: {item:#}");
        assert_eq!(item["primaryIp"], format!("::1#{}", at.port()));
    }
}

/// I5: every failed IXFR falls back to AXFR at the same primary in the same round.
#[test]
fn refused_ixfr_falls_back_to_axfr_at_once() {
    if !Program::Knot.is_installed() {
        return;
    }
    // Given a primary that refuses IXFR only (a relay before Knot does that for it)
    let mut ours = Secondaryd::reserve();
    let mut peer = Setup::primary(Program::Knot).notifying(ours.address()).start(&[zones::small(NAME, 1)]);
    let relay = Relay::start(peer.address());
    ours = ours.with_zone(Entry::new(NAME, &[relay.address()])).started();
    ours.dns.wait_serial(NAME, 1, SOON);
    // When the zone changes
    peer.load(&zones::small(NAME, 2));
    // Then the new version is there, by AXFR, and the status is no error
    ours.dns.wait_serial(NAME, 2, SOON);
    let item = ours.wait_item(NAME, 0, "OK", |item| item["lastTransfer"]["toSerial"] == 2 && item["status"] == "OK");
    assert_eq!(item["lastTransfer"]["type"], "AXFR", "{item:#}");
    assert!(relay.refused() >= 1, "IXFR was asked for");
    assert_same_zone(NAME, peer.address(), None, ours.address());
}

/// A primary without differences: the IXFR question is answered in AXFR style, or not at all; the zone arrives anyway.
#[test]
fn primaries_without_differences_still_update() {
    for program in installed() {
        let (mut peer, ours) = pair(Setup::primary(program).without_differences(), &[zones::small(NAME, 1)]);
        ours.dns.wait_serial(NAME, 1, SOON);
        peer.load(&zones::small(NAME, 2));
        ours.dns.wait_serial(NAME, 2, SOON);
        let item = ours.wait_item(NAME, 0, "at 2", |item| item["lastTransfer"]["toSerial"] == 2);
        assert_eq!(
            (&item["lastTransfer"]["type"], &item["status"]),
            (&"AXFR".into(), &"OK".into()),
            "{program:?}: {item:#}"
        );
        assert_same_zone(NAME, peer.address(), None, ours.address());
    }
}

/// RFC 7766 §6.2.1.1: many zones share few connections, whatever the primary makes of queries that come together.
#[test]
fn many_zones_come_over_few_connections() {
    const ZONES: usize = 48;
    let zones: Vec<Zone> = (0..ZONES).map(|n| zones::small(&format!("zone{n}.example"), 1)).collect();
    for program in installed() {
        let peer = Setup::primary(program).start(&zones);
        let relay = Relay::start(peer.address());
        let mut ours = Secondaryd::reserve();
        for zone in &zones {
            ours = ours.with_zone(Entry::new(&zone.name, &[relay.address()]));
        }
        let ours = ours.started();
        for zone in &zones {
            ours.dns.wait_serial(&zone.name, 1, SOON);
        }
        eprintln!("{program:?}: {} connections for {ZONES} zones", relay.connections());
        assert!(relay.connections() <= ZONES / 4, "{program:?}: {} connections", relay.connections());
        assert_same_zone(&zones[7].name, peer.address(), None, ours.address());
    }
}
