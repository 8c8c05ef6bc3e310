//! What is found out without anything having failed: NOTIFY, flapping, disagreement, falling EXPIRE.

use super::*;
use FindingCode::*;
use TransferKind::{Axfr, Ixfr};

const HOUR: u64 = 3600;

/// A change each hour, announced by NOTIFY.
fn hourly(changes: u32) -> Bench {
    let mut bench = Bench::healthy(1, 0);
    for serial in 1..=changes {
        bench.notify(0, Some(serial));
        bench.actions();
        bench.gives(0, serial, Ixfr);
        bench.actions();
        bench.wait(secs(HOUR - 1));
        for ix in bench.probes() {
            bench.shows(ix, serial);
        }
        bench.wait(secs(1));
        bench.actions();
    }
    bench
}

/// 3.13: "no NOTIFY for 3 days though usual is hourly".
#[test]
fn a_primary_that_falls_silent_is_noticed_after_a_few_times_its_rhythm() {
    let mut bench = hourly(20);
    assert_eq!(bench.findings(), []);
    let last = bench.zone.primary(0).and_then(|state| state.last_notify).expect("one").time;
    for _ in 0..72 {
        bench.wait(secs(HOUR));
        for ix in bench.probes() {
            bench.shows(ix, 20);
        }
    }
    let findings = bench.zone.findings(bench.now);
    assert_eq!(findings.iter().map(|finding| finding.code).collect::<Vec<_>>(), [NotifySilent]);
    assert_eq!((findings[0].primary, findings[0].since), (Some(0), last + secs(4 * HOUR)));
    assert!(findings[0].evidence.contains("one every 60 min"), "{}", findings[0].evidence);
}

#[test]
fn silence_is_noticed_at_its_moment_and_not_with_the_next_poll() {
    let mut bench = hourly(20);
    let due = bench.zone.primary(0).and_then(|state| state.last_notify).expect("one").time + secs(4 * HOUR);
    let generation = bench.zone.generation();
    let mut moments = Vec::new();
    while bench.now < due {
        let next = bench.zone.poll_timeout().expect("armed");
        moments.push(next);
        bench.wait(next.since(bench.now));
        for ix in bench.probes() {
            bench.shows(ix, 20);
        }
    }
    assert!(moments.contains(&due) && bench.zone.generation() != generation);
}

#[test]
fn a_notify_ends_the_silence() {
    let mut bench = hourly(20);
    bench.wait(secs(5 * HOUR));
    assert_eq!(bench.findings(), [NotifySilent]);
    bench.notify(0, Some(20));
    assert_eq!(bench.findings(), []);
}

#[test]
fn what_was_learned_of_a_rhythm_survives_a_restart() {
    let mut bench = hourly(20);
    bench.restart(settings());
    bench.wait(secs(5 * HOUR));
    assert_eq!(bench.findings(), [NotifySilent]);
}

/// 3.13: "NOTIFY stopped, only polling finds changes".
#[test]
fn changes_that_are_only_found_by_asking_show_a_lost_notify_path() {
    let mut bench = Bench::healthy(1, 7);
    for serial in 8..11 {
        bench.wait_until_refresh();
        bench.actions();
        bench.shows(0, serial);
        bench.actions();
        bench.gives(0, serial, Ixfr);
        bench.actions();
        assert_eq!(bench.findings().contains(&NotifyLost), serial > 8, "one lost datagram is none");
    }
    let finding = &bench.zone.findings(bench.now)[0];
    assert!(finding.evidence.contains("3 changes in a row") && finding.evidence.contains("no NOTIFY has ever come"));
    bench.notify(0, Some(10));
    assert_eq!(bench.findings(), [], "a NOTIFY that is late is one all the same");
}

#[test]
fn changes_announced_by_another_primary_are_announced() {
    let mut bench = Bench::healthy(2, 7);
    for serial in 8..14 {
        bench.notify(0, Some(serial));
        bench.actions();
        bench.gives(0, serial, Ixfr);
        bench.wait(secs(20));
        for ix in bench.probes() {
            bench.shows(ix, serial);
        }
        bench.wait(secs(HOUR));
        for ix in bench.probes() {
            bench.shows(ix, serial);
        }
        bench.actions();
    }
    assert_eq!(bench.findings(), []);
}

#[test]
fn a_refresh_by_a_person_right_after_a_change_proves_nothing() {
    let mut bench = Bench::healthy(1, 7);
    for serial in 8..14 {
        bench.zone.handle_command(bench.now, Command::Refresh);
        bench.actions();
        bench.shows(0, serial);
        bench.actions();
        bench.gives(0, serial, Ixfr);
        bench.actions();
    }
    assert_eq!(bench.findings(), []);
}

#[test]
fn blocked_udp_is_found_with_its_beginning() {
    let mut bench = Bench::healthy(1, 7);
    let began = bench.now;
    bench.zone.note_udp_blocked(bench.now, 0, true);
    bench.wait(secs(60));
    bench.zone.note_udp_blocked(bench.now, 0, true);
    assert_eq!(bench.zone.findings(bench.now)[0].since, began);
    bench.zone.note_udp_blocked(bench.now, 0, false);
    assert_eq!(bench.findings(), []);
}

fn shown_in_turn(bench: &mut Bench, serials: &[u32]) {
    for serial in serials {
        bench.wait_until_refresh();
        bench.actions();
        bench.shows(0, *serial);
        bench.actions();
    }
}

/// B14, B25: also while the answer of the moment is as good as ours.
#[test]
fn flapping_is_found_whatever_the_last_answer_was() {
    let mut bench = Bench::healthy(1, 7);
    shown_in_turn(&mut bench, &[6, 7, 6, 7]);
    assert_eq!((bench.code(0), bench.findings()), (Code::UpToDate, vec![SerialFlapping]));
    bench.wait(secs(25 * HOUR));
    assert_eq!(bench.findings(), [], "a day later it is history");
}

#[test]
fn flapping_survives_a_restart() {
    let mut bench = Bench::healthy(1, 7);
    shown_in_turn(&mut bench, &[6, 7]);
    bench.restart(settings());
    shown_in_turn(&mut bench, &[6]);
    assert_eq!((bench.code(0), bench.findings()), (Code::SerialFlapping, vec![SerialFlapping]));
}

#[test]
fn a_transfer_that_brings_less_than_was_shown_counts_too() {
    let mut bench = Bench::healthy(1, 7);
    for _ in 0..2 {
        bench.wait_until_refresh();
        bench.actions();
        bench.shows(0, 9);
        bench.actions();
        bench.has_nothing_new(0, 7);
        bench.actions();
    }
    assert_eq!(bench.findings(), [SerialFlapping]);
    assert_eq!(bench.served(), 7);
}

#[test]
fn two_soas_under_one_serial_in_turn_are_flapping() {
    let mut bench = Bench::healthy(1, 7);
    bench.zone.note_served(Fingerprint { soa: 1, signature: None });
    for soa in [1, 2, 1, 2] {
        bench.wait_until_refresh();
        bench.actions();
        bench.looks(0, 7, soa, None);
        bench.actions();
    }
    assert_eq!(bench.findings(), [SerialFlapping, PrimariesDisagree]);
}

/// 3.7: "lag in time since we first saw the newer one".
#[test]
fn a_primary_that_stays_behind_is_a_disagreement_since_the_newer_serial_was_seen() {
    let mut bench = Bench::healthy(2, 7);
    bench.notify(0, Some(8));
    bench.actions();
    bench.gives(0, 8, Ixfr);
    let seen = bench.now;
    bench.wait(SIBLINGS_DELAY);
    assert_eq!(bench.probes(), [1]);
    bench.shows(1, 7);
    assert_eq!((bench.zone.lag(1, bench.now), bench.findings()), (Some(SIBLINGS_DELAY), vec![]));
    bench.wait(secs(60));
    let finding = &bench.zone.findings(bench.now)[0];
    assert_eq!((finding.code, finding.primary, finding.since), (PrimariesDisagree, Some(1), seen));
    bench.notify(1, Some(8));
    bench.wait(secs(1));
    bench.actions();
    bench.shows(1, 8);
    assert_eq!((bench.zone.lag(1, bench.now), bench.findings()), (None, vec![]));
}

/// B16: "shown by the hash/record-count comparison of 3.7".
#[test]
fn different_soas_or_counts_under_one_serial_are_a_disagreement() {
    let mut bench = Bench::healthy(2, 7);
    bench.zone.note_served(Fingerprint { soa: 1, signature: None });
    bench.wait_until_refresh();
    bench.actions();
    bench.looks(0, 7, 1, None);
    bench.looks(1, 7, 2, None);
    let finding = &bench.zone.findings(bench.now)[0];
    assert_eq!((finding.code, finding.primary), (PrimariesDisagree, Some(1)));

    let mut bench = Bench::healthy(2, 7);
    for (ix, records) in [(0, 100), (1, 99)] {
        bench.zone.handle_command(bench.now, Command::Retransfer { force: false });
        bench.actions();
        bench.shows(ix, 7);
        bench.is_silent(1 - ix);
        assert_eq!(bench.transfer(), Some((ix, Axfr)));
        let whole = Committed { zone_records: Some(records), ..committed(7, Axfr) };
        bench.zone.handle_transfer(bench.now, ix, Ok(Transferred::Committed(whole)));
        bench.actions();
    }
    let finding = &bench.zone.findings(bench.now)[0];
    assert_eq!(finding.code, PrimariesDisagree);
    assert!(finding.evidence.contains("primary 1 gave 100 records and primary 2 gave 99"), "{}", finding.evidence);
}

/// B28. RFC 7314 §4: the option of an equal serial can only lengthen, up to what the other's copy has left. Two that
/// confirm each other therefore never get beyond what the source has given either.
#[test]
fn two_secondaries_that_confirm_each_other_expire_together_and_say_so() {
    let mut one = Bench::healthy(1, 7);
    let mut two = Bench::healthy(1, 7);
    let end = one.zone.expires().expect("loaded");
    let mut said = None;
    while one.now < end {
        for (asking, other) in [(true, false), (false, true)] {
            let (bench, primary) = if asking { (&mut one, &two) } else { (&mut two, &one) };
            debug_assert_ne!(asking, other);
            let left = primary.zone.expires().expect("loaded").since(bench.now).as_secs() as u32;
            bench.zone.handle_command(bench.now, Command::Refresh);
            bench.actions();
            bench.shows_with_expire(0, 7, left);
            bench.actions();
        }
        if said.is_none() && one.findings() == [ExpireFalling] {
            said = Some(one.now);
        }
        one.wait(secs(HOUR));
        two.wait(secs(HOUR));
    }
    assert_eq!((one.zone.is_expired(), two.zone.is_expired()), (true, true));
    let said = said.expect("noticed long before");
    assert!(said < end - secs(EXPIRE / 2), "{said}");
}

#[test]
fn a_secondary_as_primary_that_is_confirmed_itself_is_no_falling_copy() {
    let mut bench = Bench::healthy(1, 7);
    for n in 0..200 {
        bench.wait_until_refresh();
        bench.actions();
        // Its own copy is confirmed every REFRESH; we meet it anywhere in between.
        let age = (n * 997) % REFRESH;
        bench.shows_with_expire(0, 7, (EXPIRE - age) as u32);
        bench.actions();
        assert_eq!(bench.findings(), []);
    }
}

#[test]
fn an_unremarkable_primary_learns_nothing_and_costs_nothing() {
    let mut bench = Bench::healthy(1, 7);
    bench.zone.note_served(Fingerprint { soa: 1, signature: None });
    for serial in [8, 9] {
        bench.zone.handle_command(bench.now, Command::Refresh);
        bench.actions();
        bench.shows(0, serial);
        bench.actions();
        bench.gives(0, serial, Ixfr);
        bench.zone.note_served(Fingerprint { soa: u64::from(serial), signature: None });
    }
    bench.wait_until_refresh();
    bench.actions();
    bench.looks(0, 9, 9, None);
    assert_eq!(bench.zone.primary(0).expect("it").learned, None);
}
