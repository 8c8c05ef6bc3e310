//! NOTIFY: RFC 1996.

use super::*;
use TransferKind::{Axfr, Ixfr};

/// RFC 1996 §3.11: the secondary should behave as though the zone "had reached its REFRESH interval", and §3.12: the
/// query goes to the primary that sent the NOTIFY.
#[test]
fn a_notify_without_a_serial_asks_its_sender_at_once() {
    let mut bench = Bench::healthy(2, 7);
    bench.notify(1, None);
    assert_eq!(bench.probes(), [1]);
}

#[test]
fn a_newer_hint_starts_ixfr_at_its_sender_without_asking() {
    let mut bench = Bench::healthy(2, 7);
    bench.notify(1, Some(8));
    let expected = Action::Transfer { primary: 1, kind: Ixfr, accept: Accept::Newer, urgency: Urgency::Notify };
    assert_eq!(bench.actions(), [expected]);
}

/// What is not taken is known all the same, and not mistaken for what is announced next.
#[test]
fn a_transfer_that_is_refused_here_shows_its_serial_until_a_newer_one_is_announced() {
    // given
    let mut bench = Bench::healthy(1, 7);
    bench.notify(0, Some(8));
    assert_eq!(bench.transfer(), Some((0, Ixfr)));
    assert_eq!(bench.zone.expected(0), Some(Serial(8)));

    // when
    bench.zone.note_refused_serial(bench.now, 0, Serial(8));
    bench.fails(0, Code::GuardApex);

    // then
    assert_eq!((bench.zone.primary(0).expect("it").serial, bench.zone.expected(0)), (Some(Serial(8)), Some(Serial(8))));

    // when
    bench.wait(secs(2));
    bench.notify(0, Some(9));

    // then
    assert_eq!(bench.transfer(), Some((0, Ixfr)), "at once, without a SOA query");
    assert_eq!(bench.zone.expected(0), Some(Serial(9)));
}

#[test]
fn an_equal_or_older_hint_is_recorded_and_starts_nothing() {
    for hint in [7, 6] {
        let mut bench = Bench::healthy(1, 7);
        bench.notify(0, Some(hint));
        assert_eq!(bench.actions(), []);
        let notify = bench.zone.primary(0).expect("it").last_notify.expect("recorded");
        assert_eq!((notify.serial, notify.time), (Some(Serial(hint)), bench.now));
    }
}

#[test]
fn an_equal_hint_from_a_primary_that_was_in_trouble_has_it_looked_at() {
    let mut bench = Bench::healthy(2, 7);
    bench.wait_until_refresh();
    bench.actions();
    bench.shows(0, 7);
    bench.is_silent(1);
    bench.actions();
    bench.notify(1, Some(7));
    assert_eq!(bench.probes(), [1]);
}

#[test]
fn a_hint_half_the_space_away_is_settled_by_the_soa() {
    let mut bench = Bench::healthy(1, 7);
    bench.notify(0, Some(7 + 0x8000_0000));
    assert_eq!(bench.probes(), [0]);
}

#[test]
fn a_zone_that_was_never_loaded_asks_whatever_the_hint() {
    let mut bench = Bench::empty(1);
    bench.wait(Duration::ZERO);
    bench.actions();
    bench.is_silent(0);
    bench.wait(secs(2));
    bench.notify(0, Some(1));
    assert_eq!(bench.probes(), [0]);
}

#[test]
fn the_notifying_primary_is_asked_first_and_the_others_in_the_same_round_if_it_fails() {
    let mut bench = Bench::healthy(3, 7);
    bench.notify(2, Some(8));
    assert_eq!(bench.transfer(), Some((2, Ixfr)));
    bench.fails(2, Code::ConnectRefused);
    assert_eq!(bench.probes(), [0, 1]);
    bench.shows(0, 7);
    bench.shows(1, 8);
    assert_eq!(bench.transfer(), Some((1, Ixfr)));
}

#[test]
fn a_notifying_primary_that_is_behind_has_the_others_asked() {
    let mut bench = Bench::healthy(2, 7);
    bench.notify(1, None);
    bench.actions();
    bench.shows(1, 6);
    assert_eq!(bench.probes(), [0]);
}

#[test]
fn a_source_that_is_no_primary_has_all_asked() {
    let mut bench = Bench::healthy(2, 7);
    bench.zone.handle_notify(bench.now, None, Some(Serial(8)));
    assert_eq!(bench.probes(), [0, 1]);
}

/// NSD polled for ever for a serial that a broken primary had announced.
#[test]
fn a_hint_nobody_has_leads_to_the_others_then_one_retry_then_nothing() {
    let mut bench = Bench::healthy(2, 7);
    bench.notify(0, Some(9));
    assert_eq!(bench.transfer(), Some((0, Ixfr)));
    bench.has_nothing_new(0, 7);
    assert_eq!(bench.probes(), [1]);
    bench.shows(1, 7);
    assert_eq!(bench.pause(), HINT_RETRY.as_secs());
    bench.wait_until_refresh();
    assert_eq!(bench.probes(), [0, 1]);
    bench.shows(0, 7);
    bench.shows(1, 7);
    assert_eq!(bench.pause(), REFRESH);
    assert_eq!(bench.actions(), []);
}

#[test]
fn a_hint_is_satisfied_by_another_primary_that_has_it() {
    let mut bench = Bench::healthy(2, 7);
    bench.notify(0, Some(9));
    bench.actions();
    bench.has_nothing_new(0, 7);
    bench.actions();
    bench.shows(1, 9);
    assert_eq!(bench.transfer(), Some((1, Ixfr)));
    bench.gives(1, 9, Ixfr);
    assert_eq!((bench.served(), bench.pause()), (9, REFRESH));
}

#[test]
fn a_forgotten_hint_repeated_is_no_news_but_is_looked_at_once_a_second() {
    let mut bench = Bench::healthy(1, 7);
    let mut refreshes = 0;
    for _ in 0..10_000 {
        bench.notify(0, Some(9));
        for action in bench.actions() {
            match action {
                Action::Transfer { .. } => bench.has_nothing_new(0, 7),
                Action::Probe { .. } => bench.shows(0, 7),
                _ => continue,
            }
            refreshes += 1;
        }
        bench.wait(Duration::from_millis(1));
    }
    assert!((10..=25).contains(&refreshes), "{refreshes} in 10 s");
}

#[test]
fn notifies_from_two_primaries_are_both_considered() {
    let mut bench = Bench::healthy(2, 7);
    bench.notify(0, None);
    bench.notify(1, None);
    assert_eq!(bench.probes(), [0]);
    bench.shows(0, 7);
    bench.wait(NOTIFY_GAP);
    assert_eq!(bench.probes(), [1]);
    bench.shows(1, 8);
    assert_eq!(bench.transfer(), Some((1, Ixfr)));
}

#[test]
fn the_higher_of_two_hints_is_followed_after_the_lower() {
    let mut bench = Bench::healthy(2, 7);
    bench.notify(0, Some(8));
    assert_eq!(bench.transfer(), Some((0, Ixfr)));
    bench.notify(1, Some(9));
    assert_eq!(bench.transfer(), None);
    bench.gives(0, 8, Ixfr);
    assert_eq!(bench.transfer(), Some((1, Ixfr)));
}

#[test]
fn a_thousand_updates_a_second_each_start_at_once() {
    let mut bench = Bench::healthy(1, 0);
    for serial in 1..=1000 {
        bench.notify(0, Some(serial));
        assert_eq!(bench.transfer(), Some((0, Ixfr)));
        bench.gives(0, serial, Ixfr);
        assert_eq!(bench.transfer(), None);
        bench.wait(Duration::from_millis(1));
    }
    assert_eq!(bench.served(), 1000);
}

#[test]
fn ten_thousand_notifies_without_serial_in_a_second_cause_at_most_two_refreshes() {
    let mut bench = Bench::healthy(2, 7);
    let mut refreshes = 0;
    for n in 0..10_000 {
        bench.notify(n % 2, None);
        for ix in bench.probes() {
            refreshes += 1;
            bench.shows(ix, 7);
        }
        bench.wait(Duration::from_micros(99));
    }
    assert!(refreshes <= 2, "{refreshes}");
}

#[test]
fn notifies_during_a_transfer_cause_exactly_one_further_refresh() {
    let mut bench = Bench::healthy(1, 7);
    bench.notify(0, Some(8));
    assert_eq!(bench.transfer(), Some((0, Ixfr)));
    bench.wait(secs(3));
    (0..100).for_each(|_| bench.notify(0, None));
    assert_eq!(bench.actions(), []);
    bench.gives(0, 8, Ixfr);
    assert_eq!(bench.probes(), [0]);
    bench.shows(0, 8);
    bench.wait(secs(60));
    assert!(bench.probes().is_empty());
}

#[test]
fn a_newer_serial_announced_during_a_transfer_is_fetched_right_after_it() {
    let mut bench = Bench::healthy(1, 7);
    bench.notify(0, Some(8));
    bench.actions();
    (9..=20).for_each(|serial| bench.notify(0, Some(serial)));
    assert_eq!(bench.actions(), []);
    bench.gives(0, 8, Ixfr);
    assert_eq!(bench.transfer(), Some((0, Ixfr)));
    bench.gives(0, 20, Ixfr);
    assert_eq!(bench.transfer(), None);
}

#[test]
fn what_a_transfer_brought_need_not_be_asked_for_again() {
    let mut bench = Bench::healthy(1, 7);
    bench.notify(0, Some(8));
    bench.actions();
    bench.notify(0, Some(8));
    bench.gives(0, 8, Ixfr);
    bench.wait(secs(60));
    assert!(bench.probes().is_empty());
}

#[test]
fn after_a_notify_the_other_primaries_are_asked_once_five_seconds_later() {
    let mut bench = Bench::healthy(3, 7);
    bench.notify(0, Some(8));
    bench.actions();
    bench.gives(0, 8, Ixfr);
    bench.actions();
    bench.wait(Duration::from_millis(4999));
    assert_eq!(bench.actions(), []);
    bench.wait(Duration::from_millis(1));
    assert_eq!(bench.probes(), [1, 2]);
    bench.shows(1, 8);
    bench.shows(2, 7);
    assert_eq!((bench.code(1), bench.code(2)), (Code::UpToDate, Code::SerialBehind));
    bench.wait(secs(60));
    assert!(bench.probes().is_empty());
}

#[test]
fn the_other_primaries_are_asked_at_most_every_ten_seconds() {
    let mut bench = Bench::healthy(2, 0);
    let mut asked = Vec::new();
    for serial in 1..=400 {
        bench.notify(0, Some(serial));
        for action in bench.actions() {
            if let Action::Transfer { .. } = action {
                bench.gives(0, serial, Ixfr);
            }
        }
        bench.wait(Duration::from_millis(100));
        for ix in bench.probes() {
            asked.push((ix, bench.now));
            bench.shows(ix, serial);
        }
    }
    assert!(asked.iter().all(|(ix, _)| *ix == 1));
    assert!((3..=5).contains(&asked.len()), "{}", asked.len());
    assert!(asked.windows(2).all(|pair| pair[1].1.since(pair[0].1) >= SIBLINGS_GAP));
}

#[test]
fn a_silent_sibling_delays_no_notify() {
    let mut bench = Bench::healthy(2, 7);
    bench.notify(0, Some(8));
    bench.actions();
    bench.gives(0, 8, Ixfr);
    bench.wait(secs(5));
    assert_eq!(bench.probes(), [1]);
    bench.notify(0, Some(9));
    assert_eq!(bench.transfer(), Some((0, Ixfr)));
    bench.gives(0, 9, Ixfr);
    bench.notify(0, None);
    bench.wait(secs(1));
    assert_eq!(bench.probes(), [0]);
    bench.shows(0, 10);
    assert_eq!(bench.transfer(), Some((0, Ixfr)));
}

#[test]
fn a_notify_during_a_timed_round_starts_its_transfer_at_once() {
    let mut bench = Bench::healthy(2, 7);
    bench.wait_until_refresh();
    assert_eq!(bench.probes(), [0, 1]);
    bench.notify(1, Some(8));
    assert_eq!(bench.transfer(), Some((1, Ixfr)));
}

#[test]
fn an_accepted_notify_clears_the_back_off() {
    let mut bench = Bench::healthy(1, 7);
    for _ in 0..3 {
        bench.wait_until_refresh();
        bench.actions();
        bench.is_silent(0);
    }
    assert_eq!(bench.pause(), RETRY * 4);
    bench.notify(0, None);
    bench.actions();
    bench.is_silent(0);
    assert_eq!(bench.pause(), RETRY);
}

#[test]
fn the_order_of_work_is_operator_notify_initial_expired_due() {
    use Urgency::*;
    let mut order = [Due, Notify, Operator, Expired, Initial];
    order.sort_by(|a, b| b.cmp(a));
    assert_eq!(order, [Operator, Notify, Initial, Expired, Due]);
}

#[test]
fn each_action_says_how_urgent_it_is() {
    let urgency = |bench: &mut Bench| {
        bench.actions().into_iter().find_map(|action| match action {
            Action::Probe { urgency, .. } | Action::Transfer { urgency, .. } => Some(urgency),
            _ => None,
        })
    };
    let mut bench = Bench::empty(1);
    bench.wait(Duration::ZERO);
    assert_eq!(urgency(&mut bench), Some(Urgency::Initial));
    bench.shows(0, 7);
    bench.actions();
    bench.gives(0, 7, Axfr);
    bench.wait_until_refresh();
    assert_eq!(urgency(&mut bench), Some(Urgency::Due));
    bench.notify(0, Some(8));
    assert_eq!(urgency(&mut bench), Some(Urgency::Notify));
    bench.zone.handle_command(bench.now, Command::Refresh);
    bench.fails(0, Code::ConnectRefused);
    bench.is_silent(0);
    bench.zone.handle_command(bench.now, Command::Refresh);
    assert_eq!(urgency(&mut bench), Some(Urgency::Operator));
    let mut bench = Bench::with(settings(), 1, Some(Restored { confirmation: None, ..restored(7) }));
    bench.wait(Duration::ZERO);
    assert_eq!(urgency(&mut bench), Some(Urgency::Expired));
}

/// T1: "REFRESH later [...] never later", also by a clock that was wrong by a year when the daemon started.
#[test]
fn a_clock_that_is_set_back_delays_no_round_no_notify_and_no_expiry() {
    let mut bench = Bench::healthy(1, 7);
    let (left, expires) = (bench.pause(), bench.zone.expires().expect("confirmed").since(bench.now));
    let by = Duration::from_secs(365 * 86_400);
    bench.now = bench.now - by;
    bench.zone.clock_set_back(by);
    assert_eq!(bench.pause(), left);
    assert_eq!(bench.zone.expires().expect("confirmed").since(bench.now), expires);
    bench.notify(0, None);
    assert_eq!(bench.probes(), [0]);
}

/// N12: operator before NOTIFY before what is due; "a queue of 50,000 due refreshes does not delay a NOTIFY by more than a second",
/// also not one of a zone whose own refresh stands in that queue.
#[test]
fn a_query_that_waits_for_its_turn_is_handed_out_again_when_it_becomes_more_urgent() {
    let mut bench = Bench::healthy(1, 7);
    bench.wait_until_refresh();
    assert!(matches!(bench.actions()[..], [Action::Probe { urgency: Urgency::Due, .. }]));
    bench.zone.handle_waiting(0, unreachable::Exchange::Probe);
    bench.notify(0, None);
    assert!(matches!(bench.actions()[..], [Action::Probe { urgency: Urgency::Notify, .. }]));
    bench.zone.handle_waiting(0, unreachable::Exchange::Probe);
    bench.notify(0, None);
    assert_eq!(bench.actions(), [], "as urgent as it is already");
    bench.zone.handle_command(bench.now, Command::Refresh);
    assert!(matches!(bench.actions()[..], [Action::Probe { urgency: Urgency::Operator, .. }]));
    bench.zone.handle_waiting(0, unreachable::Exchange::Probe);
    // its turn: what was handed out before is nothing any more when its own comes
    assert!(bench.zone.is_waiting(0));
    bench.zone.handle_started(0, unreachable::Exchange::Probe);
    assert!(!bench.zone.is_waiting(0));
    bench.shows(0, 7);
    assert!(!bench.zone.is_waiting(0));
}
