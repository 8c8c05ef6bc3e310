//! A crash at any moment leaves each zone wholly old or wholly new, and what was acknowledged survives (A9).
//!
//! Three kinds of crash: the writer stops for good after each of its steps (`stopped`); a real process is killed while it
//! writes (`killed`); bits flip and the tail of a file is lost (`damaged`). After each: invariant 5 (one generation and an
//! unbroken chain, or nothing) and invariant 6 (the stored chain over the stored pages gives exactly the contents of the
//! stored serial). Pages stand in sled or, with [`SMALL_BATCH_OCTETS`], in files; everything is tried with both.

mod damaged;
mod killed;
mod model;
mod stopped;

use secondaryd::dns::Serial;
use secondaryd::store::Write;
use secondaryd::zone;

use model::*;

#[test]
fn contents_survive_a_restart_by_journal_checkpoint_and_generation() {
    for batch_octets in [16 << 20, SMALL_BATCH_OCTETS] {
        let directory = tempfile::tempdir().expect("a directory");
        let model = Model { zone: 7, hosts: 997 };
        let (store, _) = open(directory.path(), options(batch_octets));
        let key = store.hash_key();
        write(&store, model.replace(1, None, key)).expect("stored");
        for serial in 1..90 {
            write(&store, model.append(serial, serial + 1, key)).expect("stored");
        }
        write(&store, model.append(90, 95, key)).expect("stored");
        drop(store);
        let (store, zones) = open(directory.path(), options(batch_octets));
        assert_eq!(model.check(loaded(&zones, 7).expect("loaded"), key), 95);
        assert_eq!(zones[&7].apex, Some(model.apex()));

        write(&store, model.replace(120, Some(95), key)).expect("stored");
        drop(store);
        let (store, zones) = open(directory.path(), options(batch_octets));
        assert_eq!(model.check(loaded(&zones, 7).expect("loaded"), key), 120);

        // Left-overs of all that are gone: pages are those of one generation.
        wait_until_tidy(&store);
        drop(store);
        let pages = loaded(&zones, 7).expect("loaded").pages().count();
        assert_eq!(stored_pages(directory.path()), pages);
        let files: &[&str] = if batch_octets == SMALL_BATCH_OCTETS { &["00000007"] } else { &[] };
        let zones_of: Vec<String> = page_files(directory.path()).iter().map(|name| name[..8].to_owned()).collect();
        assert_eq!(zones_of, files);
    }
}

#[test]
fn the_history_reaches_back_as_far_as_its_bounds_and_without_a_gap() {
    let directory = tempfile::tempdir().expect("a directory");
    let model = Model { zone: 7, hosts: 97 };
    let (store, _) = open(directory.path(), options(16 << 20));
    let key = store.hash_key();
    write(&store, model.replace(1, None, key)).expect("stored");
    for serial in 1..100 {
        write(&store, model.append(serial, serial + 1, key)).expect("stored");
    }
    let since = |serial| store.diffs_since(7, Serial(serial)).expect("readable");
    assert_eq!(since(100).expect("known").len(), 0);
    for serial in 88..100 {
        let diffs = since(serial).expect("within history-versions");
        assert_eq!(diffs.len() as u32, 100 - serial);
        let (served, _) = zone::apply(&model.snapshot(serial, key), &diffs).expect("applies");
        assert_eq!(model.check(&served, key), 100);
    }
    assert!(since(1).is_none(), "older differences are given up when the base moves");
    assert!(since(101).is_none() && store.diffs_since(8, Serial(1)).expect("readable").is_none());

    wait_until_tidy(&store);
    drop(store);
    // What the bounds give up leaves the disk: 12 versions up to the base and the journal behind it.
    assert!(keys(directory.path())[&'j'] < 60);
}

#[test]
fn a_replacement_with_its_difference_keeps_the_history_and_one_without_starts_anew() {
    let directory = tempfile::tempdir().expect("a directory");
    let model = Model { zone: 7, hosts: 97 };
    let (store, _) = open(directory.path(), options(16 << 20));
    let key = store.hash_key();
    write(&store, model.replace(1, None, key)).expect("stored");
    write(&store, model.append(1, 2, key)).expect("stored");
    write(&store, model.replace(9, Some(2), key)).expect("stored");
    let serials = |from| {
        let diffs = store.diffs_since(7, Serial(from)).expect("readable");
        diffs.map(|diffs| diffs.iter().map(|diff| diff.to_serial().0).collect::<Vec<_>>())
    };
    assert_eq!(serials(1), Some(vec![2, 9]));
    write(&store, model.replace(20, None, key)).expect("stored");
    assert_eq!(serials(9), None);
    assert_eq!(serials(20), Some(vec![]));
    // A difference that starts elsewhere is worth nothing.
    write(&store, model.replace(30, Some(25), key)).expect("stored");
    assert_eq!(serials(25), None);
}

/// The keeper may have been refused a write (full disk, full queue); its next one starts at a serial never stored.
#[test]
fn differences_that_do_not_follow_store_the_whole_zone_instead() {
    let directory = tempfile::tempdir().expect("a directory");
    let model = Model { zone: 7, hosts: 97 };
    let (store, _) = open(directory.path(), options(16 << 20));
    let key = store.hash_key();
    write(&store, model.append(4, 5, key)).expect("stored");
    write(&store, model.append(8, 9, key)).expect("stored");
    drop(store);
    let (_, zones) = open(directory.path(), options(16 << 20));
    assert_eq!(model.check(loaded(&zones, 7).expect("loaded"), key), 9);
}

#[test]
fn a_removed_zone_leaves_no_page_and_no_difference() {
    let directory = tempfile::tempdir().expect("a directory");
    let model = Model { zone: 7, hosts: 997 };
    let other = Model { zone: 8, hosts: 5 };
    let (store, _) = open(directory.path(), options(SMALL_BATCH_OCTETS));
    let key = store.hash_key();
    write(&store, model.replace(1, None, key)).expect("stored");
    write(&store, model.append(1, 4, key)).expect("stored");
    write(&store, other.replace(1, None, key)).expect("stored");
    write(&store, Write::Remove { zone: 7 }).expect("removed");
    // The same number again, at once.
    write(&store, Model { hosts: 11, ..model }.replace(3, None, key)).expect("stored");
    wait_until_tidy(&store);
    drop(store);
    let (_, zones) = open(directory.path(), options(SMALL_BATCH_OCTETS));
    assert_eq!(Model { hosts: 11, ..model }.check(loaded(&zones, 7).expect("loaded"), key), 3);
    assert_eq!(other.check(loaded(&zones, 8).expect("loaded"), key), 1);
    drop(zones);
    assert_eq!(stored_pages(directory.path()), 2);
    assert_eq!(page_files(directory.path()), [""; 0]);
    let tables = keys(directory.path());
    assert_eq!((tables.get(&'j'), tables[&'z']), (None, 2));
}

/// A store of format 1, which had all pages in the tree, however large the zone.
#[test]
fn pages_of_a_large_zone_in_the_tree_are_read_and_move_to_a_file_with_the_next_generation() {
    let directory = tempfile::tempdir().expect("a directory");
    let model = Model { zone: 7, hosts: 997 };
    let (store, _) = open(directory.path(), options(16 << 20));
    let key = store.hash_key();
    write(&store, model.replace(1, None, key)).expect("stored");
    write(&store, model.append(1, 3, key)).expect("stored");
    drop(store);
    assert_eq!(page_files(directory.path()), [""; 0]);
    set_format(directory.path(), 1);

    let (store, zones) = open(directory.path(), options(SMALL_BATCH_OCTETS));
    assert_eq!(model.check(loaded(&zones, 7).expect("loaded"), key), 3);
    write(&store, model.append(3, 4, key)).expect("stored");
    assert_eq!(page_files(directory.path()), [""; 0], "a difference moves nothing");
    write(&store, model.replace(30, Some(4), key)).expect("stored");
    assert_eq!(store.diffs_since(7, Serial(1)).expect("readable").map(|diffs| diffs.len()), Some(4));
    wait_until_tidy(&store);
    drop(store);
    assert_eq!(page_files(directory.path()), ["00000007-00000002"]);
    assert_eq!(keys(directory.path()).get(&'p'), None);
    let (_, zones) = open(directory.path(), options(SMALL_BATCH_OCTETS));
    assert_eq!(model.check(loaded(&zones, 7).expect("loaded"), key), 30);
}

/// What the primaries had is served all the same; the store heals with the next write.
#[test]
fn a_full_disk_leaves_the_old_version_and_no_piece_of_the_new_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let (model, other) = (Model { zone: 7, hosts: 997 }, Model { zone: 8, hosts: 3 });
    let (store, _) = open(directory.path(), options(SMALL_BATCH_OCTETS));
    let key = store.hash_key();
    write(&store, model.replace(1, None, key)).expect("stored");
    // The next file is a device without room.
    let next = directory.path().join("pages/00000007-00000002");
    std::os::unix::fs::symlink("/dev/full", &next).expect("linked");
    let error = write(&store, model.replace(2, None, key)).expect_err("no room").to_string();
    assert!(error.contains("pages/00000007-00000002: No space left"), "{error}");
    assert!(!next.is_symlink(), "removed");
    write(&store, other.replace(1, None, key)).expect("other zones are not concerned");
    drop(store);
    let (store, zones) = open(directory.path(), options(SMALL_BATCH_OCTETS));
    assert_eq!(model.check(loaded(&zones, 7).expect("loaded"), key), 1);
    write(&store, model.replace(3, None, key)).expect("stored");
    wait_until_tidy(&store);
    drop(store);
    assert_eq!(page_files(directory.path()).len(), 1);
    let (_, zones) = open(directory.path(), options(SMALL_BATCH_OCTETS));
    assert_eq!(model.check(loaded(&zones, 7).expect("loaded"), key), 3);
}

#[test]
fn files_that_no_zone_names_are_swept_at_start_and_others_are_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let model = Model { zone: 7, hosts: 997 };
    let (store, _) = open(directory.path(), options(SMALL_BATCH_OCTETS));
    let key = store.hash_key();
    write(&store, model.replace(1, None, key)).expect("stored");
    drop(store);
    let pages = directory.path().join("pages");
    let orphans = ["00000007-00000000", "00000007-00000009", "00000007-held-00000001", "00000009-00000001"];
    for orphan in orphans.iter().chain(&["README", "0000007-00000001"]) {
        std::fs::copy(pages.join("00000007-00000001"), pages.join(orphan)).expect("copied");
    }
    let (store, zones) = open(directory.path(), options(SMALL_BATCH_OCTETS));
    wait_until_tidy(&store);
    assert_eq!(model.check(loaded(&zones, 7).expect("loaded"), key), 1);
    assert_eq!(page_files(directory.path()), ["00000007-00000001", "0000007-00000001", "README"]);
    let octets = std::fs::metadata(pages.join("00000007-00000001")).expect("a file").len();
    let log = std::fs::metadata(directory.path().join("sled/db")).expect("a file").len();
    assert_eq!(store.statistics().file_octets, octets + log, "the size of the store has them");
}
