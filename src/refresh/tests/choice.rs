//! Which primary, and which kind of transfer; commands.

use super::*;
use TransferKind::{Axfr, Ixfr};

fn at_refresh(primaries: usize, serial: u32) -> Bench {
    let mut bench = Bench::healthy(primaries, serial);
    bench.wait_until_refresh();
    bench.actions();
    bench
}

#[test]
fn a_timed_refresh_asks_every_primary_and_takes_the_highest_serial() {
    let mut bench = Bench::healthy(3, 7);
    bench.wait_until_refresh();
    assert_eq!(bench.probes(), [0, 1, 2]);
    bench.shows(0, 8);
    bench.shows(1, 10);
    bench.shows(2, 9);
    assert_eq!(bench.transfer(), Some((1, Ixfr)));
}

#[test]
fn the_highest_serial_is_found_across_the_wrap() {
    let mut bench = at_refresh(2, u32::MAX - 1);
    bench.shows(0, u32::MAX);
    bench.shows(1, 3);
    assert_eq!(bench.transfer(), Some((1, Ixfr)));
}

#[test]
fn ties_go_to_the_first_in_the_list() {
    let mut bench = at_refresh(3, 7);
    bench.shows(2, 8);
    bench.shows(1, 8);
    bench.shows(0, 7);
    assert_eq!(bench.transfer(), Some((1, Ixfr)));
}

#[test]
fn when_the_best_fails_the_next_one_gives_the_zone_in_the_same_round() {
    let mut bench = at_refresh(3, 7);
    bench.shows(0, 9);
    bench.shows(1, 8);
    bench.shows(2, 9);
    assert_eq!(bench.transfer(), Some((0, Ixfr)));
    bench.fails(0, Code::ConnectRefused);
    assert_eq!(bench.transfer(), Some((2, Ixfr)));
    bench.fails(2, Code::ConnectTimeout);
    assert_eq!(bench.transfer(), Some((1, Ixfr)));
    bench.gives(1, 8, Ixfr);
    assert_eq!(bench.served(), 8);
}

#[test]
fn a_dead_primary_holds_a_newer_serial_up_for_half_a_second_only() {
    let mut bench = at_refresh(2, 7);
    bench.shows(1, 8);
    assert_eq!(bench.transfer(), None);
    bench.wait(PROBE_GRACE);
    assert_eq!(bench.transfer(), Some((1, Ixfr)));
    bench.is_silent(0);
    bench.gives(1, 8, Ixfr);
    assert_eq!(bench.pause(), REFRESH);
}

#[test]
fn a_higher_serial_that_comes_late_is_fetched_in_the_same_round() {
    let mut bench = at_refresh(2, 7);
    bench.shows(1, 8);
    bench.wait(PROBE_GRACE);
    assert_eq!(bench.transfer(), Some((1, Ixfr)));
    bench.shows(0, 9);
    assert_eq!(bench.transfer(), None);
    bench.gives(1, 8, Ixfr);
    assert_eq!(bench.transfer(), Some((0, Ixfr)));
}

#[test]
fn at_most_one_transfer_a_zone() {
    let mut bench = at_refresh(2, 7);
    bench.shows(0, 8);
    bench.shows(1, 9);
    assert_eq!(bench.transfer(), Some((1, Ixfr)));
    bench.notify(0, Some(10));
    bench.zone.handle_command(bench.now, Command::Retransfer { force: true });
    bench.wait(secs(3600));
    assert_eq!(bench.transfer(), None);
}

#[test]
fn in_ordered_mode_the_first_primary_that_answers_is_taken() {
    let settings = Settings { ordered: true, ..settings() };
    let mut bench = Bench::with(settings, 3, Some(restored(7)));
    bench.wait_until_refresh();
    assert_eq!(bench.probes(), [0]);
    bench.is_silent(0);
    assert_eq!(bench.probes(), [1]);
    bench.shows(1, 7);
    assert_eq!(bench.pause(), REFRESH);
}

#[test]
fn an_empty_zone_is_loaded_by_axfr() {
    let mut bench = Bench::empty(1);
    bench.wait(Duration::ZERO);
    bench.actions();
    bench.shows(0, 7);
    let expected = Action::Transfer { primary: 0, kind: Axfr, accept: Accept::Any, urgency: Urgency::Initial };
    assert_eq!(bench.actions(), [expected]);
}

#[test]
fn every_failed_ixfr_is_followed_by_axfr_at_the_same_primary() {
    use Code::*;
    let codes = [
        RcodeNotimp,
        RcodeFormerr,
        RcodeRefused,
        RcodeServfail,
        RcodeNotauth,
        RcodeOther,
        NotSoaFirst,
        MalformedRr,
        IxfrGap,
        IxfrInapplicable,
        IdleTimeout,
        TotalTimeout,
        TooSlow,
        TruncatedStream,
        BadHeader,
        TcInStream,
        LimitEmpty,
        LimitBytes,
        ContentCname,
        SoaMismatch,
        WrongZone,
    ];
    for code in codes {
        let mut bench = at_refresh(2, 7);
        bench.shows(0, 8);
        bench.shows(1, 8);
        assert_eq!(bench.transfer(), Some((0, Ixfr)));
        bench.fails(0, code);
        assert_eq!(bench.transfer(), Some((0, Axfr)), "{code}");
    }
}

#[test]
fn a_connection_that_never_stood_is_no_failed_ixfr() {
    for code in [Code::ConnectRefused, Code::ConnectTimeout, Code::NetUnreachable, Code::TlsName, Code::TsigBadSig] {
        let mut bench = at_refresh(2, 7);
        bench.shows(0, 8);
        bench.shows(1, 8);
        bench.actions();
        bench.fails(0, code);
        assert_eq!(bench.transfer(), Some((1, Ixfr)), "{code}");
    }
}

#[test]
fn after_a_failed_ixfr_the_primary_is_asked_for_axfr_for_a_while() {
    let mut bench = Bench::healthy(1, 7);
    let mut kinds = Vec::new();
    for (serial, wait) in [(8, 0), (9, 1), (10, 61)] {
        bench.wait(secs(wait));
        bench.notify(0, Some(serial));
        let (_, kind) = bench.transfer().expect("a transfer");
        kinds.push(kind);
        if kind == Ixfr && serial == 8 {
            bench.fails(0, Code::RcodeNotimp);
            assert_eq!(bench.transfer(), Some((0, Axfr)));
        }
        bench.gives(0, serial, kind);
    }
    assert_eq!(kinds, [Ixfr, Axfr, Ixfr]);
}

#[test]
fn a_zone_that_changed_in_flight_is_tried_once_more_at_once() {
    let mut bench = Bench::empty(1);
    bench.wait(Duration::ZERO);
    bench.actions();
    bench.shows(0, 7);
    bench.actions();
    bench.fails(0, Code::SoaMismatch);
    assert_eq!(bench.transfer(), Some((0, Axfr)));
    bench.fails(0, Code::SoaMismatch);
    assert_eq!(bench.transfer(), None);
    assert_eq!(bench.pause(), 10);
}

#[test]
fn a_primary_that_announces_a_serial_and_gives_an_older_one_ends_the_round() {
    let mut bench = at_refresh(1, 7);
    bench.shows(0, 9);
    assert_eq!(bench.transfer(), Some((0, Ixfr)));
    bench.has_nothing_new(0, 6);
    assert_eq!(bench.transfer(), None);
    assert_eq!((bench.served(), bench.code(0), bench.pause()), (7, Code::SerialBehind, RETRY));
}

#[test]
fn an_unreachable_primary_is_not_asked_and_the_next_one_is() {
    let mut bench = at_refresh(2, 7);
    let blocked = unreachable::Blocked { code: Code::ConnectTimeout, since: NOW, until: bench.now + secs(9000) };
    bench.zone.handle_unreachable(bench.now, 0, unreachable::Exchange::Probe, blocked);
    bench.shows(1, 8);
    assert_eq!(bench.transfer(), Some((1, Ixfr)));
    bench.gives(1, 8, Ixfr);
    bench.actions();
    let state = bench.zone.primary(0).expect("it");
    assert_eq!((state.code, state.since, state.consecutive_failures), (Code::ConnectTimeout, NOW, 0));
    assert!(state.message(None).is_some_and(|text| text.contains("not asked")));
    let next = bench.zone.next_attempt(0).expect("known");
    assert_eq!((next.at, next.why), (blocked.until, Why::Unreachable));
}

#[test]
fn a_round_in_which_nobody_could_be_asked_is_repeated_when_somebody_can() {
    let mut bench = at_refresh(1, 7);
    let until = bench.now + secs(40);
    let blocked = unreachable::Blocked { code: Code::ConnectRefused, since: NOW, until };
    bench.zone.handle_unreachable(bench.now, 0, unreachable::Exchange::Probe, blocked);
    assert!((40..=41).contains(&bench.pause()));
    assert_eq!(bench.zone.failures(), 0);
}

#[test]
fn an_empty_zone_is_not_tried_again_before_its_primary_may_be_asked() {
    let mut bench = Bench::empty(1);
    bench.wait(Duration::ZERO);
    bench.actions();
    let until = bench.now + secs(600);
    let blocked = unreachable::Blocked { code: Code::ConnectRefused, since: NOW, until };
    bench.zone.handle_unreachable(bench.now, 0, unreachable::Exchange::Probe, blocked);
    let due = bench.zone.next_refresh().expect("known");
    assert!(due >= until && due <= until + secs(1), "{due:?}");
    assert_eq!(bench.zone.next_attempt(0).map(|next| next.why), Some(Why::Unreachable));
    let generation = bench.zone.generation();
    bench.wait(secs(599));
    assert_eq!(bench.zone.generation(), generation);
}

#[test]
fn a_served_zone_is_not_failed_because_its_new_primaries_fail() {
    let mut bench = Bench::healthy(1, 7);
    bench.zone.set_primaries(bench.now, &[None], true);
    bench.actions();
    bench.fails_probe(0, Code::TsigBadKey);
    assert_eq!((bench.zone.state(), bench.served()), (ZoneState::Provisioning, 7));
    bench.wait(secs(2 * EXPIRE));
    assert_eq!(bench.zone.state(), ZoneState::Failed);
}

#[test]
fn a_refresh_by_command_asks_every_primary_now() {
    let mut bench = Bench::healthy(2, 7);
    bench.zone.handle_command(bench.now, Command::Refresh);
    let probe = |primary| Action::Probe { primary, urgency: Urgency::Operator };
    assert_eq!(bench.actions(), [probe(0), probe(1)]);
}

#[test]
fn a_retransfer_takes_the_whole_zone_even_if_the_serial_is_equal() {
    let mut bench = Bench::healthy(2, 7);
    bench.zone.handle_command(bench.now, Command::Retransfer { force: false });
    assert_eq!(bench.probes(), [0, 1]);
    bench.shows(0, 7);
    bench.shows(1, 7);
    let expected = Action::Transfer { primary: 0, kind: Axfr, accept: Accept::SameOrNewer, urgency: Urgency::Operator };
    assert!(bench.actions().contains(&expected));
    bench.gives(0, 7, Axfr);
    assert_eq!(bench.transfer(), None);
    assert_eq!(bench.pause(), REFRESH);
}

#[test]
fn a_retransfer_does_not_take_an_older_serial_unless_forced() {
    let mut bench = Bench::healthy(1, 7);
    bench.zone.handle_command(bench.now, Command::Retransfer { force: false });
    bench.actions();
    bench.shows(0, 6);
    assert_eq!(bench.transfer(), None);
    assert_eq!(bench.code(0), Code::SerialBehind);
    bench.zone.handle_command(bench.now, Command::Retransfer { force: true });
    bench.actions();
    bench.shows(0, 6);
    assert_eq!(bench.transfer(), Some((0, Axfr)));
    bench.gives(0, 6, Axfr);
    assert_eq!((bench.served(), bench.code(0)), (6, Code::Ok));
}

#[test]
fn a_second_retransfer_joins_the_running_one() {
    let mut bench = Bench::healthy(1, 7);
    for _ in 0..3 {
        bench.zone.handle_command(bench.now, Command::Retransfer { force: false });
    }
    assert_eq!(bench.probes(), [0]);
    bench.shows(0, 7);
    assert_eq!(bench.transfer(), Some((0, Axfr)));
    bench.zone.handle_command(bench.now, Command::Retransfer { force: false });
    assert_eq!(bench.actions(), []);
    bench.gives(0, 7, Axfr);
    bench.wait(secs(60));
    assert_eq!((bench.probes(), bench.transfer()), (vec![], None));
}

#[test]
fn a_retransfer_during_an_ixfr_makes_the_whole_transfer_after_it() {
    let mut bench = Bench::healthy(1, 7);
    bench.notify(0, Some(8));
    assert_eq!(bench.transfer(), Some((0, Ixfr)));
    bench.zone.handle_command(bench.now, Command::Retransfer { force: false });
    bench.gives(0, 8, Ixfr);
    bench.wait(secs(1));
    let mut whole = 0;
    for _ in 0..3 {
        for action in bench.actions() {
            match action {
                Action::Probe { primary, .. } => bench.shows(primary, 8),
                Action::Transfer { kind: Axfr, .. } => {
                    whole += 1;
                    bench.gives(0, 8, Axfr);
                }
                _ => {}
            }
        }
    }
    assert_eq!(whole, 1);
}

#[test]
fn new_primaries_are_asked_at_once_and_known_ones_keep_their_history() {
    let mut bench = Bench::healthy(2, 7);
    bench.zone.set_primaries(bench.now, &[Some(1), None], false);
    assert_eq!(bench.zone.state(), ZoneState::Provisioning);
    assert_eq!((bench.code(0), bench.code(1)), (Code::UpToDate, Code::NeverTried));
    assert_eq!(bench.probes(), [0, 1]);
    bench.shows(1, 7);
    assert_eq!(bench.zone.state(), ZoneState::Available);
}

#[test]
fn a_wholly_new_list_may_bring_any_serial() {
    let mut bench = Bench::healthy(1, 7);
    bench.zone.set_primaries(bench.now, &[None], true);
    bench.actions();
    bench.shows(0, 2);
    let expected = Action::Transfer { primary: 0, kind: Axfr, accept: Accept::Any, urgency: Urgency::Operator };
    assert_eq!(bench.actions(), [expected]);
    bench.gives(0, 2, Axfr);
    bench.wait_until_refresh();
    bench.actions();
    bench.shows(0, 1);
    assert_eq!(bench.transfer(), None, "only once");
}

#[test]
fn exchanges_from_before_a_change_of_the_list_are_void() {
    let mut bench = at_refresh(2, 7);
    bench.zone.set_primaries(bench.now, &[None], false);
    bench.fails(0, Code::RcodeRefused);
    bench.shows(0, 99);
    bench.shows(1, 99);
    assert_eq!((bench.code(0), bench.probes()), (Code::NeverTried, vec![0]));
}

#[test]
fn accept_judges_serials_as_rfc_1982_does() {
    let served = Some(Serial(7));
    let half = Serial(7 + 0x8000_0000);
    let judge = |accept: Accept| [Serial(8), Serial(7), Serial(6), half].map(|offered| accept.takes(served, offered));
    assert_eq!(judge(Accept::Newer), [true, false, false, false]);
    assert_eq!(judge(Accept::SameOrNewer), [true, true, false, false]);
    assert_eq!(judge(Accept::Any), [true; 4]);
    assert!(Accept::Newer.takes(None, Serial(0)));
}

/// P3 asks for serials to choose between; here there is nothing to choose and nothing to compare with.
#[test]
fn a_zone_without_contents_may_take_its_only_primary_as_it_is() {
    let mut bench = Bench::empty(1);
    bench.wait(secs(0));
    assert_eq!(bench.probes(), [0]);
    assert!(bench.zone.spare_probe(0));
    assert_eq!(bench.transfer(), Some((0, Axfr)));
    assert_eq!(bench.zone.primary(0).expect("a primary").activity, Activity::Axfr);
    bench.shows(0, 9);
    assert_eq!(bench.zone.primary(0).expect("a primary").serial, None, "nobody asks for the SOA any more");
    bench.gives(0, 7, Axfr);
    assert_eq!((bench.served(), bench.code(0), bench.zone.state()), (7, Code::Ok, ZoneState::Available));
}

#[test]
fn after_a_spared_query_a_failed_transfer_is_a_failed_round() {
    let mut bench = Bench::empty(1);
    bench.wait(secs(0));
    bench.actions();
    assert!(bench.zone.spare_probe(0));
    bench.actions();
    bench.fails(0, Code::RcodeRefused);
    assert_eq!((bench.code(0), bench.zone.state()), (Code::RcodeRefused, ZoneState::Failed));
    assert_eq!(bench.pause(), 10, "T8");
}

#[test]
fn nothing_is_spared_where_there_is_a_choice_or_a_version() {
    let mut bench = Bench::empty(2);
    bench.wait(secs(0));
    assert!(!bench.zone.spare_probe(0), "not taken yet");
    assert_eq!(bench.probes(), [0, 1]);
    assert!(!bench.zone.spare_probe(0) && !bench.zone.spare_probe(1));
    bench.shows(0, 7);
    bench.shows(1, 8);
    assert_eq!(bench.transfer(), Some((1, Axfr)));
    let mut bench = at_refresh(1, 7);
    assert!(!bench.zone.spare_probe(0));
    bench.shows(0, 7);
    assert_eq!(bench.code(0), Code::UpToDate);
}
