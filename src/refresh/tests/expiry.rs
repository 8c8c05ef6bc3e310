//! Refresh, retry, expire: RFC 1034 §4.3.5, RFC 1982, RFC 7314.

use super::*;
use TransferKind::{Axfr, Ixfr};

#[test]
fn after_success_the_next_poll_is_at_most_refresh_later_and_at_least_nine_tenths() {
    let mut seen = std::collections::HashSet::new();
    for seed in 0..50 {
        let settings = Arc::new(Settings::default());
        let zone = Refresh::new(settings, 1, seed, Some(restored(7)), NOW);
        let pause = zone.next_refresh().expect("quiet").since(NOW).as_secs();
        assert!((REFRESH * 9 / 10..=REFRESH).contains(&pause), "{pause}");
        seen.insert(pause);
    }
    assert!(seen.len() > 20, "spread");
}

#[test]
fn after_failure_of_all_primaries_retry_doubles_up_to_refresh_and_success_resets_it() {
    let mut bench = Bench::healthy(2, 7);
    let mut pauses = Vec::new();
    for _ in 0..5 {
        bench.wait_until_refresh();
        bench.actions();
        bench.is_silent(0);
        bench.fails_probe(1, Code::RcodeServfail);
        pauses.push(bench.pause());
    }
    assert_eq!(pauses, [600, 1200, 2400, 3600, 3600]);
    bench.wait_until_refresh();
    bench.actions();
    bench.is_silent(0);
    bench.shows(1, 7);
    assert_eq!(bench.pause(), REFRESH);
    bench.wait_until_refresh();
    bench.actions();
    bench.is_silent(0);
    bench.is_silent(1);
    assert_eq!(bench.pause(), RETRY);
}

#[test]
fn one_primary_that_confirms_is_success() {
    let mut bench = Bench::healthy(2, 7);
    bench.wait_until_refresh();
    bench.actions();
    bench.is_silent(0);
    bench.shows(1, 7);
    assert_eq!(bench.pause(), REFRESH);
}

#[test]
fn a_newer_serial_that_could_not_be_had_is_tried_again_after_retry() {
    let mut bench = Bench::healthy(2, 7);
    bench.wait_until_refresh();
    bench.actions();
    bench.shows(0, 7);
    bench.shows(1, 8);
    bench.actions();
    bench.fails(1, Code::RcodeRefused);
    bench.actions();
    bench.fails(1, Code::RcodeRefused);
    assert_eq!(bench.pause(), RETRY);
}

#[test]
fn expire_counts_from_the_last_confirmation() {
    let mut bench = Bench::healthy(1, 7);
    let confirmed = bench.now;
    bench.wait(secs(EXPIRE) - Duration::from_millis(1));
    assert!(!bench.actions().contains(&Action::Expire) && !bench.zone.is_expired());
    bench.wait(Duration::from_millis(1));
    assert!(bench.actions().contains(&Action::Expire) && bench.zone.is_expired());
    assert_eq!(bench.zone.expires(), Some(confirmed + secs(EXPIRE)));
}

#[test]
fn each_confirmation_is_handed_out_to_be_stored() {
    let mut bench = Bench::loaded(1, 7);
    bench.wait_until_refresh();
    bench.actions();
    bench.shows(0, 7);
    let expires = bench.now + secs(EXPIRE);
    assert_eq!(bench.actions(), [Action::Confirm { by: 0, expires }]);
    assert_eq!(bench.zone.confirmation(), Some(Confirmation { at: bench.now, by: 0, expires }));
}

#[test]
fn expire_runs_on_while_the_daemon_is_stopped() {
    let start = NOW + secs(1000);
    let zone = Refresh::new(Arc::new(settings()), 1, 1, Some(restored(7)), start);
    assert_eq!(zone.expires(), Some(NOW + secs(EXPIRE)));
    let mut late = Refresh::new(Arc::new(settings()), 1, 1, Some(restored(7)), NOW + secs(EXPIRE));
    assert!(late.is_expired());
    assert_eq!(late.poll_action(), Some(Action::Expire));
}

#[test]
fn contents_without_a_confirmation_count_as_expired() {
    let zone = Refresh::new(Arc::new(settings()), 1, 1, Some(Restored { confirmation: None, ..restored(7) }), NOW);
    assert!(zone.is_expired());
}

#[test]
fn a_clock_that_was_set_back_does_not_lengthen_a_life() {
    let zone = Refresh::new(Arc::new(settings()), 1, 1, Some(restored(7)), NOW - secs(10 * EXPIRE));
    assert_eq!(zone.expires(), Some(NOW - secs(9 * EXPIRE)));
    assert!(zone.poll_timeout().is_some_and(|due| due <= NOW - secs(10 * EXPIRE) + secs(REFRESH)));
}

#[test]
fn a_fresh_zone_is_not_polled_at_start() {
    let mut bench = Bench::loaded(2, 7);
    bench.wait(secs(REFRESH) - Duration::from_millis(1));
    assert_eq!(bench.actions(), []);
    bench.wait(Duration::from_millis(1));
    assert_eq!(bench.probes(), [0, 1]);
}

/// T12 is for zones that are fresh. One that was killed before it had stored what it served is not, and neither is one
/// whose primary has shown more than is stored: nobody will send that NOTIFY again.
#[test]
fn a_zone_that_is_known_to_be_behind_is_polled_at_start() {
    let shown = |serial: u32, code: Code| {
        let mut state = PrimaryState::new(NOW);
        (state.serial, state.code) = (Some(Serial(serial)), code);
        Restored { primaries: vec![Some(state)], ..restored(7) }
    };
    let mut cut_off = shown(7, Code::UpToDate);
    cut_off.primaries[0].as_mut().expect("given").activity = Activity::Ixfr;
    for (what, behind, restored) in [
        ("as stored", false, shown(7, Code::UpToDate)),
        ("older", false, shown(6, Code::SerialBehind)),
        ("newer", true, shown(8, Code::TruncatedStream)),
        ("cut off", true, cut_off),
        ("marked", true, Restored { ask_within: Some(Duration::ZERO), ..shown(7, Code::UpToDate) }),
    ] {
        let mut bench = Bench::with(settings(), 1, Some(restored));
        bench.wait(secs(1));
        assert_eq!(bench.probes(), if behind { vec![0] } else { vec![] }, "{what}");
    }
}

/// After a power failure any zone may be behind; they are asked for in their turn.
#[test]
fn where_nothing_is_known_the_polls_are_spread_as_wide_as_wanted() {
    let within = secs(REFRESH / 2);
    let restored = || Restored { ask_within: Some(within), ..restored(7) };
    let due = |seed| Refresh::new(Arc::new(settings()), 1, seed, Some(restored()), NOW).poll_timeout();
    let moments: std::collections::HashSet<_> = (0..100).map(due).collect();
    assert!(moments.len() > 50);
    assert!(moments.iter().flatten().all(|due| due.since(NOW) <= within));
}

#[test]
fn overdue_polls_are_spread_at_start() {
    let settings = Arc::new(Settings::default());
    let start = NOW + secs(REFRESH * 2);
    let due = |seed| Refresh::new(settings.clone(), 1, seed, Some(restored(7)), start).poll_timeout();
    let moments: std::collections::HashSet<_> = (0..100).map(due).collect();
    assert!(moments.len() > 50);
    assert!(moments.iter().flatten().all(|due| due.since(start) <= settings.start_spread));
}

/// A primary with EXPIRE 0 once made secondaries transfer in a loop.
#[test]
fn expire_zero_causes_no_transfer_loop() {
    let mut bench = Bench::empty(1);
    bench.wait(Duration::ZERO);
    bench.actions();
    bench.shows(0, 7);
    bench.actions();
    let soa = SoaTimers { serial: Serial(7), refresh_secs: 3600, retry_secs: 600, expire_secs: 0 };
    let outcome = Committed { soa, ..committed(7, Axfr) };
    bench.zone.handle_transfer(bench.now, 0, Ok(Transferred::Committed(outcome)));
    assert_eq!(bench.pause(), REFRESH);
    assert_eq!(bench.zone.expires(), Some(bench.now + secs(4201)));
    assert!(bench.zone.warnings()[0].raised);
}

#[test]
fn an_expired_zone_heals_by_the_first_confirmation() {
    let mut bench = Bench::healthy(1, 7);
    bench.wait(secs(EXPIRE));
    bench.actions();
    assert_eq!(bench.zone.state(), ZoneState::Failed);
    bench.shows(0, 7);
    assert!(!bench.zone.is_expired());
    assert_eq!(bench.zone.state(), ZoneState::Available);
    assert!(matches!(bench.actions()[..], [Action::Confirm { .. }]));
}

#[test]
fn an_expired_zone_takes_a_lower_serial() {
    let mut bench = Bench::healthy(1, 7);
    bench.wait(secs(EXPIRE));
    bench.actions();
    bench.shows(0, 3);
    let expected = Action::Transfer { primary: 0, kind: Axfr, accept: Accept::Any, urgency: Urgency::Due };
    assert_eq!(bench.actions(), [expected]);
    bench.gives(0, 3, Axfr);
    assert_eq!((bench.served(), bench.zone.is_expired()), (3, false));
}

#[test]
fn an_expired_zone_prefers_the_primary_that_confirms_it_to_one_that_goes_back() {
    let mut bench = Bench::healthy(2, 7);
    bench.wait(secs(EXPIRE));
    bench.actions();
    bench.shows(0, 3);
    bench.wait(secs(5));
    assert_eq!(bench.transfer(), None);
    bench.shows(1, 7);
    assert_eq!(bench.transfer(), None);
    assert!(!bench.zone.is_expired());
}

#[test]
fn a_transfer_that_may_take_any_serial_may_not_any_more_once_the_zone_is_confirmed() {
    let mut bench = Bench::healthy(2, 7);
    bench.wait(secs(EXPIRE));
    bench.actions();
    bench.shows(0, 3);
    bench.is_silent(1);
    assert_eq!(bench.transfer(), Some((0, Axfr)));
    assert_eq!(bench.zone.accept(), Accept::Any);
    bench.notify(1, Some(7));
    bench.zone.handle_command(bench.now, Command::Refresh);
    assert_eq!(bench.probes(), [1]);
    bench.shows(1, 7);
    assert_eq!(bench.zone.accept(), Accept::Newer);
    bench.has_nothing_new(0, 3);
    assert_eq!((bench.served(), bench.code(0)), (7, Code::SerialBehind));
}

#[test]
fn a_lower_serial_is_no_confirmation() {
    let mut bench = Bench::healthy(1, 7);
    let expires = bench.zone.expires();
    bench.wait_until_refresh();
    bench.actions();
    bench.shows(0, 6);
    assert_eq!(bench.actions(), []);
    assert_eq!((bench.code(0), bench.zone.expires()), (Code::SerialBehind, expires));
    assert_eq!(bench.pause(), RETRY);
}

/// RFC 1982 §3.2 leaves the order of such serials undefined.
#[test]
fn a_serial_half_the_space_away_is_reported_and_not_transferred() {
    let mut bench = Bench::healthy(1, 7);
    bench.wait_until_refresh();
    bench.actions();
    bench.shows(0, 7 + 0x8000_0000);
    assert_eq!(bench.actions(), []);
    assert_eq!(bench.code(0), Code::SerialUndefined);
}

#[test]
fn serials_that_jump_back_and_forth_are_reported() {
    let mut bench = Bench::healthy(1, 7);
    for serial in [6, 7, 6] {
        bench.wait_until_refresh();
        bench.actions();
        bench.shows(0, serial);
        bench.actions();
    }
    assert_eq!(bench.code(0), Code::SerialFlapping);
}

#[test]
fn a_zone_that_was_never_loaded_is_tried_after_ten_seconds_doubling_to_an_hour() {
    let mut bench = Bench::empty(1);
    let mut pauses = Vec::new();
    for _ in 0..11 {
        bench.wait(bench.zone.poll_timeout().expect("armed").since(bench.now));
        bench.actions();
        bench.is_silent(0);
        pauses.push(bench.pause());
    }
    assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]);
}

/// RFC 7314 §4: an answer to a refresh query may raise the expiry to the option's value, never lower it.
#[test]
fn with_an_equal_serial_the_expire_option_can_only_lengthen() {
    let mut bench = Bench::healthy(1, 7);
    let expires = bench.zone.expires().expect("loaded");
    bench.wait_until_refresh();
    bench.actions();
    bench.shows_with_expire(0, 7, 100);
    assert_eq!(bench.zone.expires(), Some(expires));
    bench.wait_until_refresh();
    bench.actions();
    bench.shows_with_expire(0, 7, EXPIRE as u32 - 10);
    assert_eq!(bench.zone.expires(), Some(bench.now + secs(EXPIRE - 10)));
}

#[test]
fn the_expire_option_cannot_exceed_the_expire_of_the_soa() {
    let mut bench = Bench::healthy(1, 7);
    bench.wait_until_refresh();
    bench.actions();
    bench.shows_with_expire(0, 7, u32::MAX);
    assert_eq!(bench.zone.expires(), Some(bench.now + secs(EXPIRE)));
}

/// RFC 7314 §4: a new version lives for the lower of the option and the EXPIRE of its SOA.
#[test]
fn after_a_transfer_the_expire_option_can_only_shorten() {
    let mut bench = Bench::healthy(1, 7);
    bench.notify(0, Some(8));
    bench.actions();
    let outcome = Committed { expire_option: Some(5000), ..committed(8, Ixfr) };
    bench.zone.handle_transfer(bench.now, 0, Ok(Transferred::Committed(outcome)));
    assert_eq!(bench.zone.expires(), Some(bench.now + secs(5000)));
}

#[test]
fn an_expire_option_of_a_dying_copy_renews_nothing() {
    let mut bench = Bench::healthy(1, 7);
    let expires = bench.zone.expires();
    bench.wait_until_refresh();
    bench.actions();
    bench.shows_with_expire(0, 7, 1);
    assert_eq!(bench.zone.expires(), expires);
    assert_eq!(bench.actions(), []);
}
