//! From whom versions are taken: no mixing of histories (P4), signatures that change alone (P5), hints that promise
//! nothing (N5, N9), what primaries without IXFR are spared (I5).

use super::*;
use TransferKind::{Axfr, Ixfr};

const TOLERANCE: u64 = 1800;

fn pinned() -> Settings {
    Settings { pin_tolerance: secs(TOLERANCE), ..settings() }
}

/// Two primaries; the second has given the served version 8.
fn pinned_to_the_second() -> Bench {
    let mut bench = Bench::with(pinned(), 2, Some(restored(7)));
    bench.wait_until_refresh();
    bench.actions();
    bench.shows(0, 7);
    bench.shows(1, 8);
    assert_eq!(bench.transfer(), Some((1, Ixfr)), "nobody has given anything yet");
    bench.gives(1, 8, Ixfr);
    bench.actions();
    bench
}

/// P4: "Optional pinning with a tolerance, as in Knot."
#[test]
fn the_pinned_primary_gives_the_zone_although_another_is_further() {
    let mut bench = pinned_to_the_second();
    assert_eq!(bench.zone.source(), Some(1));
    bench.wait_until_refresh();
    bench.actions();
    bench.shows(0, 10);
    bench.shows(1, 9);
    assert_eq!(bench.transfer(), Some((1, Ixfr)));
}

#[test]
fn when_the_pinned_primary_stays_behind_another_gives_the_whole_zone() {
    let mut bench = pinned_to_the_second();
    bench.wait_until_refresh();
    bench.actions();
    bench.shows(0, 9);
    bench.shows(1, 8);
    assert_eq!(bench.transfer(), None);
    assert_eq!(bench.pause(), TOLERANCE, "and is not waited for any longer than that");
    bench.wait(secs(TOLERANCE));
    assert_eq!(bench.probes(), [0, 1]);
    bench.shows(0, 9);
    bench.shows(1, 8);
    assert_eq!(bench.transfer(), Some((0, Axfr)));
    bench.gives(0, 9, Axfr);
    assert_eq!(bench.zone.source(), Some(0));
}

#[test]
fn a_notify_of_another_primary_does_not_break_the_pin() {
    let mut bench = pinned_to_the_second();
    bench.notify(0, Some(9));
    assert_eq!(bench.probes(), [0, 1]);
    bench.shows(0, 9);
    bench.shows(1, 9);
    assert_eq!(bench.transfer(), Some((1, Ixfr)));
}

#[test]
fn a_dead_pinned_primary_is_replaced_after_the_tolerance() {
    let mut bench = pinned_to_the_second();
    for _ in 0..20 {
        bench.wait_until_refresh();
        bench.actions();
        bench.shows(0, 9);
        bench.is_silent(1);
        match bench.transfer() {
            None => continue,
            Some(transfer) => {
                assert_eq!(transfer, (0, Axfr));
                return;
            }
        }
    }
    panic!("pinned for ever");
}

#[test]
fn an_expired_zone_is_pinned_to_nobody() {
    let mut bench = pinned_to_the_second();
    bench.wait(secs(EXPIRE + REFRESH));
    bench.actions();
    bench.shows(0, 9);
    bench.is_silent(1);
    assert_eq!(bench.transfer(), Some((0, Axfr)));
}

#[test]
fn the_pin_survives_a_restart() {
    let mut bench = pinned_to_the_second();
    bench.restart(pinned());
    bench.wait_until_refresh();
    bench.actions();
    bench.shows(0, 10);
    bench.shows(1, 9);
    assert_eq!(bench.transfer(), Some((1, Ixfr)));
}

/// P4: another primary's differences are asked for; that they start at exactly our SOA is seen when they are applied
/// (`zone::apply`), and if not the whole zone follows in the same round.
#[test]
fn without_pinning_another_primarys_differences_are_tried_and_lead_to_axfr() {
    let mut bench = Bench::healthy(2, 7);
    bench.notify(0, Some(8));
    bench.actions();
    bench.gives(0, 8, Ixfr);
    bench.actions();
    bench.notify(1, Some(9));
    assert_eq!(bench.transfer(), Some((1, Ixfr)));
    bench.fails(1, Code::IxfrInapplicable);
    assert_eq!(bench.transfer(), Some((1, Axfr)));
}

fn signed(primaries: usize) -> Bench {
    let mut bench = Bench::with(Settings { detect_resigned: true, ..settings() }, primaries, Some(restored(7)));
    bench.zone.note_served(Fingerprint { soa: 1, signature: Some(100) });
    bench.wait_until_refresh();
    bench.actions();
    bench
}

/// P5: "compare the RRSIG of the SOA; transfer if it differs".
#[test]
fn a_zone_signed_again_without_a_new_serial_is_transferred_whole() {
    let mut bench = signed(1);
    bench.looks(0, 7, 1, Some(200));
    let accept = Accept::SameOrNewer;
    let whole = Action::Transfer { primary: 0, kind: Axfr, accept, urgency: Urgency::Due };
    assert!(bench.actions().contains(&whole));
    bench.zone.note_served(Fingerprint { soa: 1, signature: Some(200) });
    bench.gives(0, 7, Axfr);
    assert_eq!((bench.findings(), bench.pause()), (vec![FindingCode::ResignedSameSerial], REFRESH));
    bench.wait_until_refresh();
    bench.actions();
    bench.looks(0, 7, 1, Some(200));
    assert_eq!(bench.transfer(), None, "once");
}

#[test]
fn without_the_option_or_a_signature_nothing_is_transferred() {
    let mut bench = signed(1);
    bench.looks(0, 7, 1, None);
    assert_eq!(bench.transfer(), None);
    let mut bench = Bench::healthy(1, 7);
    bench.zone.note_served(Fingerprint { soa: 1, signature: Some(100) });
    bench.wait_until_refresh();
    bench.actions();
    bench.looks(0, 7, 1, Some(200));
    assert_eq!((bench.transfer(), bench.findings()), (None, vec![]));
}

#[test]
fn a_primary_that_signs_each_answer_anew_is_given_up_after_three_transfers() {
    let mut bench = signed(1);
    let mut transfers = 0;
    for signature in 200..220 {
        bench.looks(0, 7, 1, Some(signature));
        if bench.transfer().is_some() {
            transfers += 1;
            bench.gives(0, 7, Axfr);
        }
        bench.wait_until_refresh();
        bench.actions();
    }
    assert_eq!(transfers, 3);
    assert_eq!(bench.findings(), [FindingCode::ResignedSameSerial]);
}

#[test]
fn only_the_primary_that_gave_the_zone_is_compared_with_it() {
    let mut bench = signed(2);
    bench.looks(0, 8, 2, Some(300));
    bench.looks(1, 7, 1, Some(100));
    assert_eq!(bench.transfer(), Some((0, Ixfr)));
    bench.zone.note_served(Fingerprint { soa: 2, signature: Some(300) });
    bench.gives(0, 8, Ixfr);
    bench.wait_until_refresh();
    bench.actions();
    bench.looks(0, 8, 2, Some(300));
    bench.looks(1, 8, 2, Some(400));
    assert_eq!(bench.transfer(), None);
}

/// N9: "All within the per-primary rate limit": whoever can forge a primary's address can name any serial.
#[test]
fn forged_hints_with_rising_serials_cause_no_more_than_hints_without() {
    let mut bench = Bench::healthy(2, 7);
    let mut exchanges = 0;
    let mut transfers = 0;
    for n in 0..10_000 {
        bench.notify(0, Some(100 + n));
        for action in bench.actions() {
            match action {
                Action::Transfer { primary, .. } => {
                    transfers += 1;
                    bench.has_nothing_new(primary, 7);
                }
                Action::Probe { primary, .. } => bench.shows(primary, 7),
                _ => continue,
            }
            exchanges += 1;
        }
        bench.wait(Duration::from_millis(1));
    }
    assert!(transfers <= 11, "{transfers} transfers in ten seconds");
    assert!(exchanges <= 50, "{exchanges} exchanges with two primaries in ten seconds");
}

#[test]
fn a_primary_that_has_lied_once_is_believed_again_with_its_next_version() {
    let mut bench = Bench::healthy(1, 7);
    bench.notify(0, Some(100));
    bench.actions();
    bench.has_nothing_new(0, 7);
    bench.actions();
    // The next hint waits for the gate, and is then asked about.
    bench.notify(0, Some(8));
    bench.wait(NOTIFY_GAP);
    for ix in bench.probes() {
        bench.shows(ix, 8);
    }
    assert_eq!(bench.transfer(), Some((0, Ixfr)));
    bench.gives(0, 8, Ixfr);
    bench.actions();
    for serial in 9..20 {
        bench.notify(0, Some(serial));
        assert_eq!(bench.transfer(), Some((0, Ixfr)), "at once");
        bench.gives(0, serial, Ixfr);
        bench.actions();
    }
}

/// I5: "doubling to 48 h only for NOTIMP/FORMERR", and a restart is no reason to ask again.
#[test]
fn a_primary_without_ixfr_is_known_after_a_restart() {
    let mut bench = Bench::healthy(1, 7);
    bench.notify(0, Some(8));
    assert_eq!(bench.transfer(), Some((0, Ixfr)));
    bench.fails(0, Code::RcodeNotimp);
    assert_eq!(bench.transfer(), Some((0, Axfr)));
    bench.gives(0, 8, Axfr);
    bench.restart(settings());
    bench.notify(0, Some(9));
    assert_eq!(bench.transfer(), Some((0, Axfr)));
}

/// N9: when the inbox overflowed nobody knows which zones were meant; all are asked, but not at once.
#[test]
fn lost_notifies_are_made_up_for_over_time() {
    let spread = secs(60);
    let mut moments = std::collections::HashSet::new();
    for seed in 0..200 {
        let mut zone = Refresh::new(Arc::new(settings()), 1, seed, Some(restored(7)), NOW);
        zone.handle_lost_notifies(NOW, spread);
        assert_eq!(zone.poll_action(), None);
        let due = zone.next_refresh().expect("quiet");
        assert!(due <= NOW + spread);
        moments.insert(due.as_secs());
    }
    assert!(moments.len() > 40, "{}", moments.len());
}

/// T12: what was read from the disk is not written there again, 100,000 times at a start; nor is that nothing was tried.
#[test]
fn a_restored_state_is_not_stored_again() {
    let mut bench = Bench::healthy(1, 7);
    bench.restart(settings());
    assert_eq!(bench.zone.poll_changed(), None);
    let mut new = Bench::empty(1);
    assert_eq!(new.zone.poll_changed(), None);
    new.wait(secs(0));
    new.actions();
    new.is_silent(0);
    assert_eq!(new.zone.poll_changed(), Some(0));
}
