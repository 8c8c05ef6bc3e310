//! The small values: definitions, confirmations, statuses; opening, refusing, closing. Contents of zones are in
//! `tests/store_crash`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::mpsc::channel;

use bytes::Bytes;

use super::disk::Disk;
use super::*;
use crate::dns::zonefile;
use crate::zone::{Builder, Limits};

mod failing;
mod held;
mod pages;

fn quick() -> Options {
    Options { patience: Duration::ZERO, ..Options::default() }
}

fn open(directory: &Path) -> (Store, BTreeMap<ZoneNumber, StoredZone>) {
    let (store, restored) = Store::open(directory, quick()).expect("the store opens");
    let zones = restored.into_iter().map(|stored| (stored.zone, stored)).collect();
    (store, zones)
}

/// Submits and waits for the acknowledgement.
fn write(store: &Store, write: Write) -> Result<(), StoreError> {
    let (sender, receiver) = channel();
    store.submit(write, Box::new(move |outcome| sender.send(outcome).expect("the test waits")));
    receiver.recv().expect("every write is acknowledged")
}

fn octets(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 7) as u8).collect()
}

/// A zone of `hosts` hosts; the text of one of them is the serial.
fn snapshot(key: HashKey, serial: u32, hosts: u32) -> Arc<Snapshot> {
    let apex: Name = "some.test.".parse().expect("a name");
    let mut builder = Builder::new(apex.clone(), key, Limits::default());
    let hosts: String = (0..hosts).map(|n| format!("h{n} 300 TXT {}\n", octets_text(n))).collect();
    let text = format!("@ 300 SOA ns1 h {serial} 2 3 4 5\nmark 300 TXT {serial}\n{hosts}");
    for record in zonefile::parse(text, &apex).expect("zone-file text") {
        builder.add(record.borrow()).expect("taken");
    }
    Arc::new(builder.finish(None).expect("a zone").0)
}

fn octets_text(n: u32) -> String {
    format!("{n:040}")
}

fn lines(snapshot: &Snapshot) -> Vec<String> {
    let mut lines: Vec<String> = snapshot.records().map(|record| record.to_string()).collect();
    lines.sort();
    lines
}

/// Every key and value as sled has it.
fn raw(directory: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    let disk = Disk::open(directory, 1 << 20, None).expect("the database opens");
    disk.read("test", |tree| tree.iter().map(|item| item.map(|(k, v)| (k.to_vec(), v.to_vec()))).collect())
        .expect("the database reads")
}

#[test]
fn definitions_confirmations_and_statuses_survive_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let (store, zones) = open(directory.path());
    assert!(zones.is_empty());
    let key = store.hash_key();
    write(&store, Write::Define { zone: 1, bytes: octets(20_000) }).expect("stored");
    write(&store, Write::Define { zone: 2, bytes: Vec::new() }).expect("stored");
    write(&store, Write::Confirm { zone: 1, bytes: octets(24).into() }).expect("stored");
    write(&store, Write::Primary { zone: 1, index: 0, bytes: octets(300).into() }).expect("stored");
    write(&store, Write::Primary { zone: 1, index: 259, bytes: octets(9_000).into() }).expect("stored");
    write(&store, Write::Meta { name: "next-zone".to_owned(), bytes: Some(octets(4)) }).expect("stored");
    drop(store);

    let (store, zones) = open(directory.path());
    assert_eq!(store.hash_key(), key, "pages are made with it");
    assert_eq!(zones.keys().copied().collect::<Vec<_>>(), [1, 2]);
    let zone = &zones[&1];
    assert_eq!(zone.definition, Some(octets(20_000).into()));
    assert_eq!(zone.confirmation, Some(octets(24)));
    assert_eq!(store.statuses()[&1], [(0, octets(300)), (259, octets(9_000))]);
    assert!(matches!(zone.contents, Contents::Empty));
    assert_eq!(zones[&2].definition, Some(Vec::new().into()));
    assert_eq!(store.meta("next-zone"), Ok(Some(octets(4))));
    assert_eq!(store.meta("next"), Ok(None));
}

/// Else a version could be there without the definition before it.
#[test]
fn what_is_stored_later_waits_for_company_and_is_overtaken_by_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let patient = Options { patience: Duration::from_secs(100), ..Options::default() };
    let (store, _) = Store::open(directory.path(), patient).expect("the store opens");
    let (sender, receiver) = channel();
    let done = |what: &'static str| -> Done {
        let sender = sender.clone();
        Box::new(move |outcome| sender.send(outcome.map(|()| what)).expect("the test waits"))
    };
    store.submit_later(Write::Define { zone: 1, bytes: octets(3) }, done("one"));
    store.submit_later(Write::Define { zone: 1, bytes: octets(4) }, done("two"));
    assert!(receiver.try_recv().is_err(), "it waits");
    store.submit(Write::Define { zone: 2, bytes: octets(5) }, done("three"));
    let acknowledged: Vec<_> = receiver.iter().take(3).collect();
    assert_eq!(acknowledged, [Ok("one"), Ok("two"), Ok("three")]);
    // and what still waits at the end is stored then
    store.submit_later(Write::Define { zone: 3, bytes: octets(6) }, done("four"));
    drop(store);
    assert_eq!(receiver.recv(), Ok(Ok("four")));
    let (_store, zones) = open(directory.path());
    assert_eq!(zones[&1].definition, Some(octets(4).into()));
    assert_eq!((zones[&2].definition.is_some(), zones[&3].definition.is_some()), (true, true));
}

#[test]
fn a_shorter_value_leaves_nothing_of_the_longer_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let (store, _) = open(directory.path());
    // Both in one group: the acknowledgement of the first comes after the second is staged, or not; both must do.
    store.submit(Write::Define { zone: 1, bytes: octets(30_000) }, Box::new(drop));
    store.submit(Write::Define { zone: 1, bytes: octets(50_000) }, Box::new(drop));
    write(&store, Write::Define { zone: 1, bytes: octets(10) }).expect("stored");
    store.submit(Write::Meta { name: "jobs".to_owned(), bytes: Some(octets(30_000)) }, Box::new(drop));
    write(&store, Write::Meta { name: "jobs".to_owned(), bytes: None }).expect("stored");
    drop(store);

    let keys: Vec<Vec<u8>> = raw(directory.path()).into_iter().map(|(key, _)| key).collect();
    let definition = layout::part_key(&layout::zone_key(layout::table::DEFINITION, 1), 0);
    assert_eq!(keys, [definition, layout::VERSION_KEY.to_vec()]);
}

#[test]
fn every_value_has_its_checksum_and_is_small_enough() {
    let directory = tempfile::tempdir().expect("a directory");
    let (store, _) = open(directory.path());
    write(&store, Write::Define { zone: 1, bytes: octets(100_000) }).expect("stored");
    write(&store, Write::Confirm { zone: 1, bytes: octets(7_000).into() }).expect("stored");
    let refused = write(&store, Write::Confirm { zone: 1, bytes: octets(7_001).into() });
    assert_eq!(refused, Err(StoreError::TooLarge { octets: 7_001, max: 7_000 }));
    write(&store, Write::Primary { zone: 1, index: 1, bytes: octets(7_001).into() }).expect("stored");
    drop(store);

    for (key, value) in raw(directory.path()) {
        let body = layout::open(&key, &value).expect("a right checksum");
        assert!(body.len() <= layout::BODY_OCTETS_MAX);
    }
}

#[test]
fn a_removed_zone_is_gone_and_may_come_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let (store, _) = open(directory.path());
    write(&store, Write::Define { zone: 1, bytes: octets(20_000) }).expect("stored");
    write(&store, Write::Primary { zone: 1, index: 0, bytes: octets(10).into() }).expect("stored");
    write(&store, Write::Confirm { zone: 1, bytes: octets(10).into() }).expect("stored");
    store.submit(Write::Primary { zone: 1, index: 1, bytes: octets(10).into() }, Box::new(drop));
    write(&store, Write::Remove { zone: 1 }).expect("removed");
    drop(store);
    let (store, zones) = open(directory.path());
    assert!(zones.is_empty(), "{zones:?}");
    write(&store, Write::Define { zone: 1, bytes: octets(3) }).expect("stored");
    drop(store);
    assert_eq!(open(directory.path()).1[&1].definition, Some(octets(3).into()));
}

#[test]
fn statuses_behind_a_shortened_list_go() {
    let directory = tempfile::tempdir().expect("a directory");
    let (store, _) = open(directory.path());
    for index in 0..4 {
        store.submit(Write::Primary { zone: 1, index, bytes: octets(8).into() }, Box::new(drop));
    }
    write(&store, Write::ForgetPrimaries { zone: 1, from: 2 }).expect("stored");
    drop(store);
    assert_eq!(open(directory.path()).0.statuses()[&1], [(0, octets(8)), (1, octets(8))]);
}

#[test]
fn writes_that_come_during_a_sync_share_the_next_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let (store, _) = open(directory.path());
    let store = Arc::new(store);
    let (sender, receiver) = channel();
    // On the writer's thread, so that all hundred are there before it looks again.
    let from_within: Done = Box::new({
        let store = store.clone();
        move |_| {
            let before = store.statistics().syncs;
            for zone in 0..100 {
                let (counted, sender) = (store.clone(), sender.clone());
                let done: Done = Box::new(move |outcome| {
                    outcome.expect("stored");
                    sender.send(counted.statistics().syncs - before).expect("the test waits");
                });
                store.submit(Write::Define { zone, bytes: octets(10) }, done);
            }
        }
    });
    store.submit(Write::Define { zone: 0, bytes: octets(10) }, from_within);
    let syncs: Vec<u64> = receiver.iter().take(100).collect();
    assert_eq!(syncs, [1; 100]);
}

#[test]
fn a_full_queue_refuses_at_once_and_a_closed_one_too() {
    let directory = tempfile::tempdir().expect("a directory");
    let options = Options { queue_max: 1, patience: Duration::from_secs(3_600), ..Options::default() };
    let (store, _) = Store::open(directory.path(), options).expect("the store opens");
    // A status may wait, so it still stands in the queue.
    store.submit(
        Write::Confirm { zone: 1, bytes: octets(8).into() },
        Box::new(|outcome| outcome.expect("stored at close")),
    );
    assert_eq!(write(&store, Write::Define { zone: 1, bytes: octets(8) }), Err(StoreError::QueueFull));
    store.close();
    assert_eq!(write(&store, Write::Define { zone: 1, bytes: octets(8) }), Err(StoreError::Closed));
    drop(store);
    assert_eq!(open(directory.path()).1[&1].confirmation, Some(octets(8)));
}

#[test]
fn an_unknown_format_refuses_to_start_and_is_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    drop(open(directory.path()));
    {
        let disk = Disk::open(directory.path(), 1 << 20, None).expect("the database opens");
        let mut changes = Changes::default();
        // A later version may have a longer body.
        changes.put(layout::VERSION_KEY, &[&77u32.to_le_bytes()[..], &octets(60)].concat());
        disk.apply(changes).expect("written");
        disk.sync().expect("synced");
    }
    let before = raw(directory.path());
    let error = Store::open(directory.path(), quick()).err().expect("refused");
    assert!(matches!(error, OpenError::UnknownFormat { found: 77, expected: layout::FORMAT }), "{error}");
    assert!(error.to_string().contains("format 77"));
    assert_eq!(raw(directory.path()), before);
}

#[test]
fn a_store_in_use_refuses_to_start() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_store, _) = open(directory.path());
    let error = Store::open(directory.path(), quick()).err().expect("refused");
    assert!(matches!(error, OpenError::Locked), "{error}");
    let names = fs::read_dir(directory.path()).expect("a directory").map(|entry| entry.expect("an entry").file_name());
    assert!(names.map(|name| name.into_string().expect("text")).all(|name| !name.starts_with("damaged")));
}

#[test]
fn files_that_sled_cannot_open_are_moved_aside_and_salvaged() {
    let directory = tempfile::tempdir().expect("a directory");
    let (store, _) = open(directory.path());
    write(&store, Write::Define { zone: 1, bytes: octets(100) }).expect("stored");
    drop(store);
    // A second opening writes sled's own snapshot, whose damage sled cannot get over.
    drop(open(directory.path()));
    let sled = directory.path().join("sled");
    let mut spoilt = 0;
    for entry in fs::read_dir(&sled).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("snap.")) {
            let mut bytes = fs::read(&path).expect("a snapshot");
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x10;
            fs::write(&path, bytes).expect("written");
            spoilt += 1;
        }
    }
    assert_eq!(spoilt, 1);

    let (store, restored) = Store::open(directory.path(), quick()).expect("starts");
    let damage = restored.damage().expect("reported").clone();
    assert!(damage.moved_to.join("db").exists(), "the damaged files are kept");
    assert!(damage.moved_to.file_name().is_some_and(|name| name.to_string_lossy().starts_with("damaged-")));
    assert!(!damage.why.is_empty());
    assert_eq!(damage.values_kept, 2, "the log holds what the snapshot does");
    assert_eq!(restored.into_iter().map(|zone| zone.definition).collect::<Vec<_>>(), [Some(octets(100).into())]);
    write(&store, Write::Define { zone: 1, bytes: octets(100) }).expect("stored");
}

#[test]
fn a_damaged_definition_costs_only_itself() {
    let directory = tempfile::tempdir().expect("a directory");
    let (store, _) = open(directory.path());
    for zone in 1..=3 {
        write(&store, Write::Define { zone, bytes: octets(10_000) }).expect("stored");
        write(&store, Write::Confirm { zone, bytes: octets(10).into() }).expect("stored");
    }
    drop(store);
    {
        let disk = Disk::open(directory.path(), 1 << 20, None).expect("the database opens");
        let key = layout::part_key(&layout::zone_key(layout::table::DEFINITION, 2), 1);
        let mut value = disk.read("test", |tree| tree.get(&key)).expect("read").expect("there").to_vec();
        value[100] ^= 1;
        let mut changes = Changes::default();
        changes.put_sealed(&key, value);
        disk.apply(changes).expect("written");
    }
    let (_, zones) = open(directory.path());
    assert_eq!(zones[&2].definition, None);
    assert_eq!(zones[&2].confirmation, Some(octets(10)));
    assert!(zones[&1].definition.is_some() && zones[&3].definition.is_some());
}

/// sled notices a flipped bit by the checksum of a whole leaf.
#[test]
fn a_bit_flipped_in_the_file_costs_no_more_than_one_leaf() {
    const ZONES: u32 = 300;
    let directory = tempfile::tempdir().expect("a directory");
    let (store, _) = open(directory.path());
    for zone in 0..ZONES {
        write(&store, Write::Define { zone, bytes: octets(5_000) }).expect("stored");
    }
    drop(store);
    // The log has been read once and what follows finds sled's snapshot of it, as any start but the first after a crash.
    drop(open(directory.path()));
    let log = fs::read(directory.path().join("sled/db")).expect("the log");
    let mut noticed = 0;
    for sample in 0..40 {
        let at = log.len() / 2 * sample / 40 + 777;
        let copy = tempfile::tempdir().expect("a directory");
        let files = copy.path().join("sled");
        fs::create_dir_all(files.join("blobs")).expect("created");
        for entry in fs::read_dir(directory.path().join("sled")).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_file() {
                fs::copy(&path, files.join(path.file_name().expect("a name"))).expect("copied");
            }
        }
        let mut flipped = log.clone();
        flipped[at] ^= 4;
        fs::write(files.join("db"), flipped).expect("written");

        let (store, restored) = Store::open(copy.path(), quick()).expect("the store opens");
        noticed += usize::from(restored.damage().is_some());
        let left = restored.into_iter().filter(|zone| zone.definition == Some(octets(5_000).into())).count();
        assert!(left + 17 >= ZONES as usize, "only {left} definitions left after a flip at {at}");
        for zone in 0..ZONES {
            store.submit(Write::Define { zone, bytes: octets(10) }, Box::new(|done| done.expect("can be written")));
        }
        drop(store);
        assert_eq!(open(copy.path()).1.len(), ZONES as usize);
    }
    assert!(noticed > 0, "no sample hit a live leaf");
}

#[test]
fn what_passed_through_the_cache_is_shed_in_a_quiet_moment_and_nothing_is_lost() {
    // given a cache of 64 KiB
    let directory = tempfile::tempdir().expect("a directory");
    let options = Options { cache_octets: 64 << 10, ..quick() };
    let (store, restored) = Store::open(directory.path(), options).expect("the store opens");
    drop(restored);

    // when four times as much is written
    for zone in 1..=4 {
        write(&store, Write::Define { zone, bytes: octets(65_536) }).expect("stored");
    }
    let quiet = (0..1_000).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        store.statistics().sheds > 0
    });

    // then the database was opened again, goes on taking writes, and has everything
    assert!(quiet, "shed");
    write(&store, Write::Define { zone: 5, bytes: octets(10) }).expect("stored");
    drop(store);
    let (_, zones) = open(directory.path());
    assert_eq!(zones.keys().copied().collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert!((1..=4).all(|zone| zones[&zone].definition == Some(octets(65_536).into())));
}

#[test]
fn what_sled_holds_below_its_capacity_is_given_back_after_a_rest() {
    // given a cache that is large enough for all there is
    let directory = tempfile::tempdir().expect("a directory");
    let options = Options { cache_octets: 64 << 20, rest: Duration::from_millis(200), ..quick() };
    let (store, restored) = Store::open(directory.path(), options).expect("the store opens");
    drop(restored);

    // when a little is written, and then nothing
    let write_zones = |zones: std::ops::RangeInclusive<u32>| {
        zones.for_each(|zone| write(&store, Write::Define { zone, bytes: octets(65_536) }).expect("stored"));
    };
    write_zones(1..=24);
    let rested = (0..1_000).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        store.statistics().sheds > 0
    });

    // then the database was opened again, and goes on
    assert!(rested);
    write_zones(25..=25);
    drop(store);
    assert_eq!(open(directory.path()).1.len(), 25);
}

fn ring(last: u8) -> Ring {
    let mut ring = Ring::default();
    ring[17] = last;
    ring
}

fn attempt(zone: ZoneNumber, of: u8, sequence: u64, body: &[u8]) -> Write {
    Write::Attempt { zone, ring: ring(of), sequence, bytes: Bytes::copy_from_slice(body), keep: 3 }
}

#[test]
fn attempts_survive_a_restart_in_the_order_of_their_rings_and_numbers() {
    let directory = tempfile::tempdir().expect("a directory");
    let (store, _) = open(directory.path());
    for (of, sequence) in [(2, 5), (1, 9), (1, 8)] {
        write(&store, attempt(1, of, sequence, &[of])).expect("stored");
    }
    write(&store, attempt(1, 1, 9, b"again")).expect("stored");
    write(&store, attempt(7, 1, 1, b"another zone's")).expect("stored");
    drop(store);
    let (store, _) = open(directory.path());
    let expected = [(ring(1), 8, vec![1]), (ring(1), 9, b"again".to_vec()), (ring(2), 5, vec![2])];
    assert_eq!(store.attempts(1).expect("read"), expected);
}

#[test]
fn a_ring_of_attempts_keeps_the_newest() {
    let directory = tempfile::tempdir().expect("a directory");
    let (store, _) = open(directory.path());
    for sequence in 0..50 {
        write(&store, attempt(1, 1, sequence, b"x")).expect("stored");
    }
    let kept: Vec<u64> = store.attempts(1).expect("read").iter().map(|(_, sequence, _)| *sequence).collect();
    assert_eq!(kept, [47, 48, 49]);
}

#[test]
fn attempts_go_with_their_zone_or_their_primary() {
    let directory = tempfile::tempdir().expect("a directory");
    let (store, _) = open(directory.path());
    for (zone, of) in [(1, 1), (1, 2), (2, 1)] {
        write(&store, attempt(zone, of, 1, b"x")).expect("stored");
    }
    write(&store, Write::ForgetAttempts { zone: 1, keep: vec![ring(2)] }).expect("stored");
    assert_eq!(store.attempts(1).expect("read"), [(ring(2), 1, b"x".to_vec())]);
    write(&store, Write::Remove { zone: 1 }).expect("stored");
    assert_eq!(store.attempts(1).expect("read"), []);
    assert_eq!(store.attempts(2).expect("read").len(), 1);
}

#[test]
fn entries_of_local_zones_come_and_go_in_one_batch() {
    let directory = tempfile::tempdir().expect("a directory");
    let (store, _) = open(directory.path());
    let change = |zone, definition: Option<usize>, entries: &[(u64, Option<usize>)]| LocalWrite {
        zone,
        definition: definition.map(octets),
        entries: entries.iter().map(|(number, length)| (*number, length.map(octets))).collect(),
        contents: LocalContents::Unchanged,
        log: None,
        whole: None,
    };
    let all = |zones: Vec<LocalWrite>| Write::Local { zones, metas: vec![("next-record".to_owned(), Some(octets(8)))] };
    let first = change(1, Some(30), &[(0, Some(12)), (7, Some(100)), (8, Some(20_000)), (9, Some(5))]);
    write(&store, all(vec![first, change(2, Some(40), &[(10, Some(1))])])).expect("stored");
    write(&store, all(vec![change(1, None, &[(7, None), (8, Some(10))])])).expect("stored");
    let gone = LocalWrite { contents: LocalContents::Removed, ..change(2, None, &[]) };
    write(&store, all(vec![gone])).expect("stored");
    // One value too large: nothing of it is stored, and the store goes on.
    let bad = all(vec![change(1, None, &[(9, None)]), change(3, Some(layout::OPAQUE_OCTETS_MAX + 1), &[])]);
    assert!(matches!(write(&store, bad), Err(StoreError::TooLarge { .. })));
    drop(store);

    let (store, zones) = open(directory.path());
    assert_eq!(zones.keys().copied().collect::<Vec<_>>(), [1]);
    assert_eq!(zones[&1].definition, Some(octets(30).into()));
    assert_eq!(zones[&1].entries, [(0, octets(12)), (8, octets(10)), (9, octets(5))]);
    assert_eq!(store.meta("next-record"), Ok(Some(octets(8))));
}

#[test]
fn a_log_of_changes_is_read_from_its_end_and_forgets_its_beginning() {
    let directory = tempfile::tempdir().expect("a directory");
    let (store, _) = open(directory.path());
    let log = |store: &Store, zone| {
        let mut lengths = Vec::new();
        store
            .log(zone, |bytes| {
                lengths.push(bytes.len());
                lengths.len() < 3
            })
            .expect("read");
        lengths
    };
    let add = |zone, last, length, forget| {
        let logged = Logged { last, bytes: octets(length), forget };
        let contents = LocalContents::Unchanged;
        let change = LocalWrite {
            zone,
            definition: Some(octets(1)),
            entries: Vec::new(),
            contents,
            log: Some(logged),
            whole: None,
        };
        write(&store, Write::Local { zones: vec![change], metas: Vec::new() }).expect("stored");
    };
    for (last, length) in [(2, 10), (300, 20_000), (301, 12), (70_000, 13)] {
        add(1, last, length, 0);
    }
    add(2, 1, 5, 0);
    assert_eq!(log(&store, 1), [13, 12, 20_000], "no more than is wanted");
    add(1, 70_001, 14, 300);
    assert_eq!(log(&store, 1), [14, 13, 12]);
    add(1, 70_002, 15, 70_001);
    assert_eq!((log(&store, 1), log(&store, 2)), (vec![15], vec![5]));
    let gone = LocalWrite {
        zone: 1,
        definition: None,
        entries: Vec::new(),
        contents: LocalContents::Removed,
        log: None,
        whole: None,
    };
    write(&store, Write::Local { zones: vec![gone], metas: Vec::new() }).expect("stored");
    assert_eq!((log(&store, 1), log(&store, 2)), (vec![], vec![5]));
}
