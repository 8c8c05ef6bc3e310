//! What the items and the zone say.

use super::*;
use crate::reason::StatusWord;
use TransferKind::{Axfr, Ixfr};

fn word(bench: &Bench, ix: usize) -> StatusWord {
    bench.zone.primary(ix).expect("it").word()
}

#[test]
fn a_primary_is_pending_until_the_first_attempt_has_ended() {
    let mut bench = Bench::empty(2);
    assert_eq!(word(&bench, 0), StatusWord::Pending);
    bench.wait(Duration::ZERO);
    assert_eq!(bench.zone.primary(0).expect("it").shown(), Code::Queued);
    bench.actions();
    assert_eq!(word(&bench, 0), StatusWord::InProgress);
    bench.is_silent(0);
    assert_eq!(word(&bench, 0), StatusWord::Error);
}

#[test]
fn an_item_tells_which_exchange_is_running() {
    let activity = |bench: &Bench| bench.zone.primary(0).expect("it").activity;
    let mut bench = Bench::healthy(1, 7);
    bench.wait_until_refresh();
    bench.actions();
    assert_eq!(activity(&bench), Activity::Soa);
    bench.shows(0, 8);
    assert_eq!(activity(&bench), Activity::Queued);
    bench.actions();
    assert_eq!(activity(&bench), Activity::Ixfr);
    bench.fails(0, Code::IxfrGap);
    bench.actions();
    assert_eq!(activity(&bench), Activity::Axfr);
    bench.gives(0, 8, Axfr);
    assert_eq!(activity(&bench), Activity::Idle);
}

#[test]
fn an_exchange_that_waits_for_its_turn_shows_the_last_outcome() {
    let mut bench = Bench::healthy(1, 7);
    bench.wait_until_refresh();
    bench.actions();
    bench.zone.handle_waiting(0, unreachable::Exchange::Probe);
    assert_eq!(word(&bench, 0), StatusWord::Ok);
    bench.zone.handle_started(0, unreachable::Exchange::Probe);
    assert_eq!(word(&bench, 0), StatusWord::InProgress);
}

#[test]
fn after_a_command_no_item_shows_an_outcome_from_before_it() {
    let mut bench = Bench::healthy(2, 7);
    bench.zone.handle_command(bench.now, Command::Retransfer { force: false });
    bench.actions();
    for ix in 0..2 {
        bench.zone.handle_waiting(ix, unreachable::Exchange::Probe);
        assert_eq!(word(&bench, ix), StatusWord::InProgress);
    }
}

#[test]
fn blocked_udp_is_noted_beside_the_code() {
    let mut bench = Bench::healthy(1, 7);
    bench.zone.note_udp_blocked(bench.now, 0, true);
    assert!(bench.zone.primary(0).is_some_and(|state| state.udp_blocked && state.word() == StatusWord::Ok));
}

#[test]
fn the_last_error_stays_after_success() {
    let mut bench = Bench::healthy(1, 7);
    bench.wait_until_refresh();
    bench.actions();
    bench.fails_probe(0, Code::RcodeServfail);
    let failed = bench.now;
    assert_eq!(bench.zone.primary(0).expect("it").consecutive_failures, 1);
    bench.wait_until_refresh();
    bench.actions();
    bench.shows(0, 7);
    let state = bench.zone.primary(0).expect("it");
    let error = state.last_error.as_deref().expect("kept");
    assert_eq!((error.code, error.time), (Code::RcodeServfail, failed));
    assert_eq!((state.word(), state.message(Some(Serial(7))), state.consecutive_failures), (StatusWord::Ok, None, 0));
    assert_eq!((state.last_success, state.since), (Some(bench.now), bench.now));
}

#[test]
fn a_lagging_primary_says_which_serials() {
    let mut bench = Bench::healthy(1, 9);
    bench.wait_until_refresh();
    bench.actions();
    bench.shows(0, 7);
    assert_eq!(word(&bench, 0), StatusWord::Lagging);
    assert_eq!(
        bench.zone.primary(0).expect("it").message(bench.zone.served_serial()).as_deref(),
        Some("Primary offers serial 7, older than the served serial 9")
    );
}

#[test]
fn refused_transfers_count_although_the_soa_is_answered() {
    let mut bench = Bench::empty(1);
    for n in 1..=4 {
        bench.wait(bench.zone.poll_timeout().expect("armed").since(bench.now));
        bench.actions();
        bench.shows(0, 7);
        bench.actions();
        bench.fails(0, Code::RcodeRefused);
        let state = bench.zone.primary(0).expect("it");
        assert_eq!((state.consecutive_failures, state.code), (n, Code::RcodeRefused));
    }
}

#[test]
fn a_failed_ixfr_that_axfr_made_good_is_the_last_error_of_an_ok_primary() {
    let mut bench = Bench::healthy(1, 7);
    bench.notify(0, Some(8));
    bench.actions();
    bench.fails(0, Code::IxfrInapplicable);
    bench.actions();
    bench.gives(0, 8, Axfr);
    let state = bench.zone.primary(0).expect("it");
    assert_eq!((state.word(), state.consecutive_failures), (StatusWord::Ok, 0));
    assert_eq!(state.last_error.as_ref().map(|error| error.code), Some(Code::IxfrInapplicable));
}

#[test]
fn the_last_transfer_is_told_in_full() {
    let mut bench = Bench::healthy(1, 7);
    bench.notify(0, Some(8));
    bench.actions();
    bench.gives(0, 8, Axfr);
    let transfer = bench.zone.primary(0).and_then(|state| state.last_transfer.clone()).expect("kept");
    let expected = LastTransfer {
        kind: Axfr,
        asked: Ixfr,
        from_serial: Some(Serial(7)),
        to_serial: Serial(8),
        records: 10,
        messages: 1,
        octets: 500,
        duration_ms: 20,
        finished: bench.now,
        zone_records: None,
    };
    assert_eq!(*transfer, expected);
}

#[test]
fn after_a_transfer_each_primary_asked_in_the_round_is_compared_with_what_is_served_now() {
    let mut bench = Bench::healthy(4, 7);
    bench.wait_until_refresh();
    bench.actions();
    bench.shows(0, 9);
    bench.shows(1, 9);
    bench.shows(2, 8);
    bench.shows(3, 7);
    bench.actions();
    bench.gives(0, 9, Ixfr);
    let codes = [0, 1, 2, 3].map(|ix| bench.code(ix));
    assert_eq!(codes, [Code::Ok, Code::UpToDate, Code::SerialBehind, Code::SerialBehind]);
}

#[test]
fn the_zone_is_provisioning_until_loaded_and_failed_once_all_were_tried() {
    let mut bench = Bench::empty(2);
    bench.wait(Duration::ZERO);
    assert_eq!(bench.zone.state(), ZoneState::Provisioning);
    bench.actions();
    bench.is_silent(0);
    assert_eq!(bench.zone.state(), ZoneState::Provisioning);
    bench.is_silent(1);
    assert_eq!(bench.zone.state(), ZoneState::Failed);
    bench.zone.handle_command(bench.now, Command::Retransfer { force: false });
    assert_eq!(bench.zone.state(), ZoneState::Provisioning);
    bench.actions();
    bench.is_silent(0);
    bench.shows(1, 7);
    bench.actions();
    bench.gives(1, 7, Axfr);
    assert_eq!(bench.zone.state(), ZoneState::Available);
}

#[test]
fn an_available_zone_stays_so_through_failing_refreshes_until_it_expires() {
    let mut bench = Bench::healthy(1, 7);
    let end = bench.now + secs(EXPIRE);
    while bench.now < end {
        assert_eq!(bench.zone.state(), ZoneState::Available);
        bench.wait_until_refresh();
        bench.actions();
        bench.is_silent(0);
        bench.actions();
    }
    bench.wait(Duration::ZERO);
    assert_eq!(bench.zone.state(), ZoneState::Failed);
}

#[test]
fn the_next_attempt_is_told_with_its_cause() {
    let mut bench = Bench::healthy(2, 7);
    let next = bench.zone.next_attempt(0).expect("known");
    assert_eq!((next.at, next.why), (bench.now + secs(REFRESH), Why::Refresh));
    bench.notify(0, Some(8));
    bench.actions();
    assert_eq!(bench.zone.next_attempt(0), None);
    bench.gives(0, 8, Ixfr);
    let next = bench.zone.next_attempt(1).expect("known");
    assert_eq!((next.at, next.why), (bench.now + SIBLINGS_DELAY, Why::Sibling));
}

#[test]
fn every_visible_change_moves_the_generation() {
    let mut bench = Bench::healthy(1, 7);
    let mut last = bench.zone.generation();
    let mut moved = |bench: &Bench, what: &str| {
        assert_ne!(std::mem::replace(&mut last, bench.zone.generation()), bench.zone.generation(), "{what}");
    };
    bench.notify(0, Some(7));
    moved(&bench, "a NOTIFY");
    bench.wait_until_refresh();
    bench.actions();
    moved(&bench, "a poll");
    bench.shows(0, 8);
    moved(&bench, "an answer");
    bench.actions();
    bench.gives(0, 8, Ixfr);
    moved(&bench, "a transfer");
    bench.wait(secs(EXPIRE));
    moved(&bench, "expiry");
}

#[test]
fn changed_items_are_handed_out_to_be_stored() {
    let changed = |bench: &mut Bench| std::iter::from_fn(|| bench.zone.poll_changed()).collect::<Vec<_>>();
    let mut bench = Bench::healthy(2, 7);
    changed(&mut bench);
    bench.notify(1, Some(8));
    assert_eq!(changed(&mut bench), [1]);
    bench.actions();
    assert_eq!(changed(&mut bench), [1], "IN_PROGRESS, so that a crash shows as INTERRUPTED");
    bench.gives(1, 8, Ixfr);
    assert_eq!(changed(&mut bench), [0, 1], "the other one is behind from now on");
    assert!(changed(&mut bench).is_empty());
}
