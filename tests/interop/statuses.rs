//! What `GET .../axfr` says while primaries come and go.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use crate::client::Over;
use crate::daemon::{Entry, Secondaryd};
use crate::peer::{Program, Setup};
use crate::primaries::{installed, pair};
use crate::wait::{self, SOON};
use crate::zones::{self, Timers};

const NAME: &str = "status.example";

#[test]
fn a_stopped_primary_is_an_error_with_times() {
    for program in installed() {
        // Given a zone that is checked every second
        let timers = Timers { refresh: 1, retry: 1, expire: 3600 };
        let (mut peer, ours) = pair(Setup::primary(program), &[zones::with_timers(NAME, 1, timers)]);
        ours.dns.wait_serial(NAME, 1, SOON);
        let good = ours.wait_item(NAME, 0, "OK", |item| item["status"] == "OK");
        assert!(good["errorMessage"].is_null() && good["errorCode"].is_null(), "{good:#}");
        // When its primary ends
        peer.stop();
        // Then the item says what, since when, and what comes next, and the zone is still served
        let item = ours.wait_item(NAME, 0, "ERROR", |item| item["status"] == "ERROR");
        assert_eq!(item["errorCode"], "CONNECT_REFUSED", "{program:?}: {item:#}");
        let message = item["errorMessage"].as_str().unwrap_or_default();
        assert!(message.starts_with("Connection with primary nameserver could not be established"), "{item:#}");
        for member in ["lastAttempt", "lastSuccess", "nextAttempt"] {
            let time = item[member].as_str().unwrap_or_default();
            assert!(time.len() == "2026-11-21T23:00:00.123Z".len() && time.ends_with('Z'), "{member}: {item:#}");
        }
        assert!(item["lastSuccess"].as_str() < item["lastAttempt"].as_str(), "{item:#}");
        assert!(item["lastAttempt"].as_str() < item["nextAttempt"].as_str(), "{item:#}");
        assert!(item["consecutiveFailures"].as_u64() >= Some(1), "{item:#}");
        assert_eq!(item["lastError"]["code"], "CONNECT_REFUSED", "{item:#}");
        assert_eq!(ours.dns.serial(NAME), Some(1));
        // And it heals when the primary is back, here by an operator's word, which waits for no back-off
        peer.start();
        ours.expect("PUT", &format!("{}/axfr?mode=refresh", ours.zone_path(NAME)), 202);
        let item = ours.wait_item(NAME, 0, "OK again", |item| item["status"] == "OK");
        assert!(item["errorMessage"].is_null() && item["errorCode"].is_null(), "{item:#}");
        assert_eq!(item["lastError"]["code"], "CONNECT_REFUSED", "the last failure stays visible: {item:#}");
    }
}

#[test]
fn of_two_primaries_one_dead_both_tell_the_truth() {
    for program in installed() {
        for dead_first in [true, false] {
            let mut ours = Secondaryd::reserve();
            let mut peer = Setup::primary(program).notifying(ours.address()).start(&[zones::small(NAME, 1)]);
            let dead = crate::address::ipv4();
            let (primaries, alive_at) =
                if dead_first { ([dead, peer.address()], 1) } else { ([peer.address(), dead], 0) };
            ours = ours.with_zone(Entry::new(NAME, &primaries)).started();
            ours.dns.wait_serial(NAME, 1, SOON);
            peer.load(&zones::small(NAME, 2));
            ours.dns.wait_serial(NAME, 2, SOON);
            assert_eq!(ours.dns.txt(Over::Udp, &format!("mark.{NAME}")).as_deref(), Some("2"));
            let alive = ours.wait_item(NAME, alive_at, "OK at 2", |item| item["status"] == "OK" && item["serial"] == 2);
            assert_eq!(alive["lastTransfer"]["toSerial"], 2, "{program:?}: {alive:#}");
            let dead_item = ours.wait_item(NAME, 1 - alive_at, "ERROR", |item| item["status"] == "ERROR");
            assert_eq!(dead_item["errorCode"], "CONNECT_REFUSED", "{program:?}: {dead_item:#}");
            assert!(dead_item["lastTransfer"].is_null(), "{dead_item:#}");
            let spelled = |address: std::net::SocketAddr| format!("{}#{}", address.ip(), address.port());
            assert_eq!(dead_item["primaryIp"], spelled(dead));
            assert_eq!(alive["primaryIp"], spelled(peer.address()));
        }
    }
}

/// P2 and N11: an address that could not be reached is left alone for a while, but its NOTIFY ends that.
#[test]
fn a_notify_ends_the_pause_of_an_unreachable_primary() {
    for program in installed() {
        let timers = Timers { refresh: 1, retry: 1, expire: 3600 };
        let (mut peer, ours) = pair(Setup::primary(program), &[zones::with_timers(NAME, 1, timers)]);
        ours.dns.wait_serial(NAME, 1, SOON);
        peer.stop();
        let item = ours.wait_item(NAME, 0, "ERROR", |item| item["status"] == "ERROR");
        peer.start();
        peer.load(&zones::with_timers(NAME, 2, timers));
        ours.dns.wait_serial(NAME, 2, SOON);
        let healed = ours.wait_item(NAME, 0, "OK", |item| item["status"] == "OK" && item["serial"] == 2);
        // Both are RFC 3339 in UTC, so they compare as text. (A machine too busy to be in time proves nothing.)
        if healed["lastNotify"].as_str() < item["nextAttempt"].as_str() {
            let finished = healed["lastTransfer"]["finished"].as_str();
            assert!(finished < item["nextAttempt"].as_str(), "{program:?}: {item:#} then {healed:#}");
        }
    }
}

/// A primary that does not have the zone at all: its code is its own, and the other one serves.
#[test]
fn a_primary_without_the_zone_is_not_a_dead_one() {
    if !(Program::Knot.is_installed() && Program::Bind.is_installed()) {
        return;
    }
    let other = Setup::primary(Program::Bind).start(&[zones::small("other.example", 1)]);
    let peer = Setup::primary(Program::Knot).start(&[zones::small(NAME, 1)]);
    let ours = Secondaryd::reserve();
    let ours = ours.with_zone(Entry::new(NAME, &[other.address(), peer.address()])).started();
    ours.dns.wait_serial(NAME, 1, SOON);
    let item = ours.wait_item(NAME, 0, "ERROR", |item| item["status"] == "ERROR");
    assert!(item["errorCode"].as_str().is_some_and(|code| code.starts_with("RCODE_")), "{item:#}");
    let item = ours.wait_item(NAME, 1, "OK", |item| item["status"] == "OK");
    assert_eq!(item["lastTransfer"]["type"], "AXFR");
}

/// An older primary beside a newer one is LAGGING, not an error.
#[test]
fn an_older_primary_lags() {
    if !(Program::Knot.is_installed() && Program::Nsd.is_installed()) {
        return;
    }
    let old = Setup::primary(Program::Nsd).start(&[zones::small(NAME, 7)]);
    let new = Setup::primary(Program::Knot).start(&[zones::small(NAME, 9)]);
    let ours = Secondaryd::reserve();
    let ours = ours.with_zone(Entry::new(NAME, &[old.address(), new.address()])).started();
    ours.dns.wait_serial(NAME, 9, SOON);
    ours.expect("PUT", &format!("{}/axfr?mode=refresh", ours.zone_path(NAME)), 202);
    let item = ours.wait_item(NAME, 0, "LAGGING", |item| item["status"] == "LAGGING");
    assert_eq!((&item["errorCode"], &item["serial"]), (&"SERIAL_BEHIND".into(), &7.into()), "{item:#}");
    assert_eq!(item["errorMessage"], "Primary offers serial 7, older than the served serial 9");
    ours.wait_item(NAME, 1, "OK", |item| item["status"] == "OK" && item["serial"] == 9);
}

/// N8: two NOTIFYs from two primaries at once: both are considered, and the newer serial wins.
#[test]
fn of_two_primaries_that_change_at_once_the_newer_wins() {
    if !(Program::Knot.is_installed() && Program::Nsd.is_installed()) {
        return;
    }
    let ours = Secondaryd::reserve();
    let mut first = Setup::primary(Program::Knot).notifying(ours.address()).start(&[zones::small(NAME, 1)]);
    let mut second = Setup::primary(Program::Nsd).notifying(ours.address()).start(&[zones::small(NAME, 1)]);
    let ours = ours.with_zone(Entry::new(NAME, &[first.address(), second.address()])).started();
    ours.dns.wait_serial(NAME, 1, SOON);
    for serial in [3, 6, 9] {
        std::thread::scope(|scope| {
            scope.spawn(|| first.load(&zones::small(NAME, serial)));
            scope.spawn(|| second.load(&zones::small(NAME, serial + 1)));
        });
        ours.dns.wait_serial(NAME, serial + 1, SOON);
        let item = ours.wait_item(NAME, 1, "OK", |item| item["status"] == "OK" && item["serial"] == serial + 1);
        assert!(item["lastNotify"].is_string(), "{item:#}");
        assert!(ours.item(NAME, 0)["lastNotify"].is_string());
        crate::compare::assert_same_zone(NAME, second.address(), None, ours.address());
        // Both primaries must agree before the next round.
        first.load(&zones::small(NAME, serial + 1));
    }
}

/// `PUT .../axfr` repairs a damaged copy: a full transfer even when the serial is equal.
#[test]
fn a_forced_transfer_is_a_full_one() {
    for program in installed() {
        let (peer, ours) = pair(Setup::primary(program), &[zones::small(NAME, 1)]);
        ours.dns.wait_serial(NAME, 1, SOON);
        let first = ours.wait_item(NAME, 0, "OK", |item| item["status"] == "OK");
        let before = peer.sent();
        ours.expect("PUT", &format!("{}/axfr", ours.zone_path(NAME)), 202);
        let next = ours.wait_item(NAME, 0, "OK by a later transfer", |item| {
            item["status"] == "OK" && item["lastTransfer"]["finished"] != first["lastTransfer"]["finished"]
        });
        assert_eq!(
            (&next["lastTransfer"]["type"], &next["serial"]),
            (&"AXFR".into(), &1.into()),
            "{program:?}: {next:#}"
        );
        wait::until_true("the primary has said what it sent", SOON, || peer.sent().axfr == before.axfr + 1);
        assert_eq!(ours.dns.serial(NAME), Some(1));
    }
}

/// A zone comes and goes by REST, with a real primary.
#[test]
fn a_zone_by_rest_is_transferred_and_removed() {
    for program in installed() {
        let ours = Secondaryd::reserve();
        let mut peer = Setup::primary(program).notifying(ours.address()).start(&[zones::small(NAME, 1)]);
        let mut ours = ours.started();
        let at = format!("{}#{}", peer.address().ip(), peer.address().port());
        let body = format!("{{\"properties\":{{\"zoneName\":\"{NAME}\",\"primaryIps\":[\"{at}\"]}}}}");
        let (code, zone) = ours.send("POST", "/secondaryzones", &body).expect("answer");
        assert_eq!((code, &zone["metadata"]["state"]), (202, &"PROVISIONING".into()), "{zone:#}");
        ours.dns.wait_serial(NAME, 1, SOON);
        peer.load(&zones::small(NAME, 2));
        ours.dns.wait_serial(NAME, 2, SOON);
        ours.kill();
        ours.start();
        let status = ours.status(NAME);
        assert_eq!((&status["zoneId"], &status["items"][0]["primaryIp"]), (&zone["id"], &at.into()), "{status:#}");
        ours.dns.wait_serial(NAME, 2, SOON);
        ours.expect("DELETE", zone["href"].as_str().expect("href"), 202);
        assert_eq!(ours.dns.rcode(NAME, RecordType::SOA), Some(ResponseCode::Refused));
        ours.expect("GET", zone["href"].as_str().expect("href"), 404);
        ours.stop();
        ours.start();
        assert_eq!(ours.dns.rcode(NAME, RecordType::SOA), Some(ResponseCode::Refused), "it stays away");
    }
}
