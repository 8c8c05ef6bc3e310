//! Reviews, held versions, notes.

use super::*;
use crate::dns::Serial;
use crate::zone::{self, Snapshot};

fn hold(zone: ZoneNumber, snapshot: &Arc<Snapshot>, review: &[u8]) -> Write {
    Write::Hold { zone, snapshot: snapshot.clone(), review: review.to_vec() }
}

#[test]
fn a_held_version_survives_a_restart_and_the_newest_replaces_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let (store, _) = open(directory.path());
    let key = store.hash_key();
    let (large, small) = (snapshot(key, 7, 2000), snapshot(key, 8, 3));
    write(&store, hold(1, &large, b"seven")).expect("stored");
    write(&store, hold(2, &small, b"eight")).expect("stored");
    drop(store);
    let (store, zones) = open(directory.path());
    assert_eq!(zones[&1].review.as_deref(), Some(&b"seven"[..]));
    let held = store.held(1).expect("readable").expect("held");
    assert_eq!(lines(&held), lines(&large));
    write(&store, hold(1, &small, b"eight")).expect("stored");
    assert_eq!(lines(&store.held(1).expect("readable").expect("held")), lines(&small));
    write(&store, Write::Review { zone: 1, bytes: Some(b"refused".to_vec()), drop_held: true }).expect("stored");
    assert!(store.held(1).expect("readable").is_none());
    assert!(store.held(2).expect("readable").is_some(), "the other zone's");
    write(&store, Write::Review { zone: 1, bytes: None, drop_held: false }).expect("stored");
    write(&store, Write::Remove { zone: 2 }).expect("stored");
    drop(store);
    let keys = raw(directory.path()).into_iter().map(|(key, _)| key);
    let left: Vec<_> = keys.filter(|key| key[0] == layout::table::HELD).collect();
    assert!(left.is_empty(), "nothing is left behind: {left:?}");
}

/// After a crash there is the old version with its review or the new one; never half of one, never another's.
#[test]
fn a_crash_while_a_version_is_held_leaves_the_old_or_the_new_one() {
    for file_octets in [u64::MAX, 0] {
        let quick = || Options { file_octets, batch_octets: 16 << 10, ..quick() };
        let mut outcomes = std::collections::BTreeSet::new();
        for steps in 0..200 {
            let directory = tempfile::tempdir().expect("a directory");
            let (store, _) = Store::open(directory.path(), quick()).expect("opens");
            let key = store.hash_key();
            let (first, second) = (snapshot(key, 7, 60), snapshot(key, 8, 90));
            write(&store, hold(1, &first, b"first")).expect("stored");
            drop(store);
            let options = Options { stop_after_steps: Some(steps), ..quick() };
            let Ok((store, restored)) = Store::open(directory.path(), options) else { continue };
            drop(restored);
            let outcome = write(&store, hold(1, &second, b"second"));
            drop(store);
            let (store, restored) = Store::open(directory.path(), quick()).expect("opens");
            let review = restored.into_iter().map(|zone| zone.review.expect("one of them")).next();
            let held = store.held(1).expect("readable").expect("one of them");
            let (is_new, serial) = (held.serial() == Serial(8), held.serial().0);
            assert_eq!(review.as_deref(), Some(if is_new { &b"second"[..] } else { b"first" }), "{steps}");
            assert_eq!(lines(&held), lines(if is_new { &second } else { &first }), "{steps}");
            assert!(is_new || outcome.is_err(), "{steps}");
            outcomes.insert(serial);
            if outcome.is_ok() {
                write(&store, Write::Remove { zone: 1 }).expect("removed");
                assert!(store.held(1).expect("readable").is_none());
                until_tidy(&store);
                let files = fs::read_dir(directory.path().join("pages")).map_or(0, Iterator::count);
                assert_eq!(files, 0, "left over");
                break;
            }
        }
        assert_eq!(outcomes.into_iter().collect::<Vec<_>>(), [7, 8], "every end was met");
    }
}

fn until_tidy(store: &Store) {
    let is_tidy = |_| {
        std::thread::sleep(Duration::from_millis(5));
        store.statistics().is_tidy
    };
    assert!((0..2_000).any(is_tidy), "left-overs are still there after 10 s");
}

/// Two of them in one group: the second does not see what the first has not written yet.
#[test]
fn of_two_versions_held_at_once_the_second_stands() {
    for file_octets in [u64::MAX, 0] {
        let directory = tempfile::tempdir().expect("a directory");
        let (store, _) = Store::open(directory.path(), Options { file_octets, ..quick() }).expect("opens");
        let key = store.hash_key();
        let (large, small) = (snapshot(key, 7, 500), snapshot(key, 8, 3));
        // Whatever the writer is busy with, both wait behind it.
        store.submit(Write::Define { zone: 2, bytes: octets(1_000_000) }, Box::new(drop));
        store.submit(hold(1, &large, b"seven"), Box::new(drop));
        write(&store, hold(1, &small, b"eight")).expect("stored");
        assert_eq!(lines(&store.held(1).expect("readable").expect("held")), lines(&small));
    }
}

#[test]
fn the_history_says_who_and_leads_both_ways() {
    let directory = tempfile::tempdir().expect("a directory");
    let (store, _) = open(directory.path());
    let key = store.hash_key();
    let versions: Vec<_> = (1..=4).map(|serial| snapshot(key, serial, 50)).collect();
    let noted = |contents, note: &[u8]| Write::Noted {
        zone: 1,
        contents: Box::new(contents),
        bytes: Bytes::copy_from_slice(note),
    };
    let first = Write::Replace { zone: 1, snapshot: versions[0].clone(), diff: None };
    write(&store, noted(first, b"one")).expect("stored");
    let diff = |from: usize, to: usize| zone::between(&versions[from - 1], &versions[to - 1]);
    let both = Write::Append { zone: 1, snapshot: versions[2].clone(), diffs: vec![diff(1, 2), diff(2, 3)] };
    write(&store, noted(both, b"three")).expect("stored");
    let back = Write::Append { zone: 1, snapshot: versions[0].clone(), diffs: vec![diff(1, 3).invert()] };
    write(&store, noted(back, b"one again")).expect("stored");
    let history = store.history(1).expect("readable");
    let steps: Vec<_> = history.steps.iter().map(|step| (step.sequence, step.from.0, step.to.0)).collect();
    assert_eq!(steps, [(1, 1, 2), (2, 2, 3), (3, 3, 1)]);
    let notes: Vec<_> = history.notes.iter().map(|(n, note)| (*n, &note[..])).collect();
    assert_eq!(notes, [(0, &b"one"[..]), (2, b"three"), (3, b"one again")]);
    assert_eq!(history.stored, Some(Serial(1)));

    let between = |from: u32, to: u32| store.diffs_between(1, Serial(from), Serial(to)).expect("readable");
    for (from, to) in [(1, 3), (3, 1), (2, 3), (3, 2), (1, 2), (2, 1)] {
        let diffs = between(from, to).unwrap_or_else(|| panic!("{from} to {to}"));
        let (made, _) = zone::apply(&versions[from as usize - 1], &diffs).expect("applies");
        assert_eq!(lines(&made), lines(&versions[to as usize - 1]), "{from} to {to}");
    }
    assert_eq!(between(3, 1).map(|diffs| diffs.len()), Some(1), "the newest way");
    assert_eq!((between(1, 4), between(9, 1)), (None, None));
    assert_eq!(between(3, 3), Some(Vec::new()));
    drop(store);
    let (store, zones) = open(directory.path());
    let Contents::Loaded { snapshot } = &zones[&1].contents else { panic!("loaded") };
    assert_eq!(lines(snapshot), lines(&versions[0]), "the older version is what is stored");
    assert_eq!(store.history(1).expect("readable"), history);
}

/// After a roll-back a primary that was mended by an old copy of its zone gives serials for the second time.
#[test]
fn of_two_versions_with_one_serial_the_way_leads_to_the_newer() {
    // Given 1, 2, 3, rolled back to 2, and another 3
    let directory = tempfile::tempdir().expect("a directory");
    let (store, _) = open(directory.path());
    let key = store.hash_key();
    let [one, two, bad, good] = [(1, 50), (2, 50), (3, 50), (3, 60)].map(|(serial, n)| snapshot(key, serial, n));
    write(&store, Write::Replace { zone: 1, snapshot: one.clone(), diff: None }).expect("stored");
    let to_bad = zone::between(&two, &bad);
    for (snapshot, diff) in [
        (&two, zone::between(&one, &two)),
        (&bad, to_bad.clone()),
        (&two, to_bad.invert()),
        (&good, zone::between(&two, &good)),
    ] {
        write(&store, Write::Append { zone: 1, snapshot: snapshot.clone(), diffs: vec![diff] }).expect("stored");
    }
    // When the zone is rolled back once more, or differences are asked for
    let back = |to| store.diffs_back(1, Serial(3), Serial(to)).expect("readable");
    for (to, version) in [(1, &one), (2, &two)] {
        let (made, _) = zone::apply_own(&good, &back(to).expect("kept")).expect("applies");
        assert_eq!(lines(&made), lines(version), "back to {to}");
        let between = store.diffs_between(1, Serial(to), Serial(3)).expect("readable").expect("kept");
        let (made, _) = zone::apply_own(version, &between).expect("applies");
        assert_eq!(lines(&made), lines(&good), "from {to}");
    }
    // Then the version that was left is reached as well
    let (made, _) = zone::apply_own(&good, &back(3).expect("kept")).expect("applies");
    assert_eq!(lines(&made), lines(&bad));
    assert_eq!((back(4), store.diffs_back(1, Serial(2), Serial(1)).expect("readable")), (None, None));
    // And nobody gets differences from a serial that does not tell what he has
    let since = |serial| store.diffs_since(1, Serial(serial)).expect("readable");
    assert_eq!(since(2), None);
    assert_eq!(since(1).map(|diffs| diffs.len()), Some(4), "whose steps back are for the sender to see");
}

#[test]
fn notes_go_with_the_differences_they_speak_of() {
    let directory = tempfile::tempdir().expect("a directory");
    let options = Options { history_versions: 2, ..quick() };
    let (store, restored) = Store::open(directory.path(), options).expect("the store opens");
    drop(restored);
    let key = store.hash_key();
    let mut before = snapshot(key, 1, 5);
    let first = Write::Replace { zone: 1, snapshot: before.clone(), diff: None };
    write(&store, Write::Noted { zone: 1, contents: Box::new(first), bytes: vec![1].into() }).expect("stored");
    for serial in 2..40 {
        let after = snapshot(key, serial, 5);
        // Whole, so that each moves the base and cuts the history.
        let diff = Some(zone::between(&before, &after));
        let contents = Box::new(Write::Replace { zone: 1, snapshot: after.clone(), diff });
        write(&store, Write::Noted { zone: 1, contents, bytes: vec![serial as u8].into() }).expect("stored");
        before = after;
    }
    let history = store.history(1).expect("readable");
    let notes: Vec<_> = history.notes.iter().map(|(_, note)| note[0]).collect();
    assert_eq!((history.steps.len(), notes), (2, vec![37, 38, 39]));
}
