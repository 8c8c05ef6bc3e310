//! Where the pages of small zones are: behind the header, or under keys of their own.

use super::*;
use crate::store::layout::{Header, Place, table};

/// The header of zone 1, and how many keys of pages there are.
fn stored(directory: &Path) -> (Header, usize) {
    let raw = raw(directory);
    let key = layout::zone_key(table::ZONE, 1);
    let (_, value) = raw.iter().find(|(stored, _)| *stored == key).expect("a header");
    let (header, _) = Header::decode(layout::open(&key, value).expect("sound")).expect("understood");
    (header, raw.iter().filter(|(key, _)| key[0] == table::PAGE).count())
}

fn served(zones: &BTreeMap<ZoneNumber, StoredZone>) -> Vec<String> {
    match &zones[&1].contents {
        Contents::Loaded { snapshot } => lines(snapshot),
        other => panic!("{other:?}"),
    }
}

fn settle(store: &Store) {
    let began = std::time::Instant::now();
    while !store.statistics().is_tidy {
        assert!(began.elapsed() < Duration::from_secs(30), "left-overs go");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn one_small_page_stands_behind_the_header_and_more_under_keys_of_their_own() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut store, _) = open(directory.path());
    let key = store.hash_key();
    // given a zone that grows, shrinks, and changes while it is small
    for (serial, hosts, place) in [
        (1, 3, Place::Header),
        (2, 400, Place::Tree),
        (3, 500, Place::Tree),
        (4, 3, Place::Header),
        (5, 4, Place::Header),
    ] {
        let version = snapshot(key, serial, hosts);
        write(&store, Write::Replace { zone: 1, snapshot: version.clone(), diff: None }).expect("stored");
        settle(&store);
        drop(store);
        // then its pages are in one place only, and a restart finds them there
        let (header, keys) = stored(directory.path());
        assert_eq!(header.place, place, "serial {serial}");
        assert_eq!(keys, if place == Place::Tree { header.pages as usize } else { 0 }, "serial {serial}");
        let (again, zones) = open(directory.path());
        assert_eq!(served(&zones), lines(&version));
        store = again;
    }
}

#[test]
fn differences_behind_a_page_that_stands_with_its_header_are_replayed() {
    let directory = tempfile::tempdir().expect("a directory");
    let (store, _) = open(directory.path());
    let (first, second) = (snapshot(store.hash_key(), 1, 3), snapshot(store.hash_key(), 2, 4));
    write(&store, Write::Replace { zone: 1, snapshot: first.clone(), diff: None }).expect("stored");
    let diffs = vec![crate::zone::between(&first, &second)];
    write(&store, Write::Append { zone: 1, snapshot: second.clone(), diffs }).expect("stored");
    drop(store);
    assert_eq!(stored(directory.path()).0.base, Serial(1), "the page is the old one");
    assert_eq!(served(&open(directory.path()).1), lines(&second));
}

/// What a build of format 2 has written is read, and moves when it is written next.
#[test]
fn a_small_zone_of_the_format_before_has_its_page_under_a_key_until_it_is_replaced() {
    // given what such a build stores
    let directory = tempfile::tempdir().expect("a directory");
    let (store, _) = open(directory.path());
    let key = store.hash_key();
    let version = snapshot(key, 1, 3);
    write(&store, Write::Replace { zone: 1, snapshot: version.clone(), diff: None }).expect("stored");
    drop(store);
    let (header, _) = stored(directory.path());
    {
        let disk = Disk::open(directory.path(), 1 << 20, None).expect("the database opens");
        let mut changes = Changes::default();
        let (page_key, page) = version.pages().next().expect("a page");
        let page_key = layout::page_key(1, header.generation, page_key);
        let value = layout::seal(&page_key, page.as_bytes());
        let digest = compact::digest_start(&key).wrapping_add(compact::digest_of(&value));
        changes.put_sealed(&page_key, value);
        let header = Header { place: Place::Tree, digest, ..header };
        changes.put(&layout::zone_key(table::ZONE, 1), &header.encode(&[]));
        let hash_key = *key.as_bytes();
        changes.put(layout::VERSION_KEY, &layout::Version { format: 2, hash_key }.encode());
        disk.apply(changes).expect("written");
        disk.sync().expect("synced");
    }
    // when it is opened, then it is read, and is of our format
    let (store, zones) = open(directory.path());
    assert_eq!(served(&zones), lines(&version));
    // and when the zone is replaced, then the page leaves its old place
    let next = snapshot(key, 2, 3);
    write(&store, Write::Replace { zone: 1, snapshot: next.clone(), diff: None }).expect("stored");
    settle(&store);
    drop(store);
    let (header, keys) = stored(directory.path());
    assert_eq!((header.place, keys), (Place::Header, 0));
    let raw = raw(directory.path());
    let (key, value) = raw.iter().find(|(key, _)| key == layout::VERSION_KEY).expect("the version");
    let version = layout::open(key, value).expect("sound");
    assert_eq!(layout::Version::format_of(version), Some(layout::FORMAT));
    assert_eq!(served(&open(directory.path()).1), lines(&next));
}

/// A number that was used and whose zone is gone: its left-overs are seen.
#[test]
fn a_zone_that_comes_again_after_a_restart_finds_what_was_left_of_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let (store, _) = open(directory.path());
    let define = |length| Write::Define { zone: 1, bytes: octets(length) };
    let attempt = |sequence| Write::Attempt { zone: 1, ring: [0; 18], sequence, bytes: octets(9).into(), keep: 2 };
    write(&store, define(30_000)).expect("stored");
    (1..4).for_each(|sequence| write(&store, attempt(sequence)).expect("stored"));
    drop(store);
    let (store, _) = open(directory.path());
    write(&store, define(10)).expect("stored");
    write(&store, attempt(4)).expect("stored");
    let kept: Vec<u64> = store.attempts(1).expect("read").into_iter().map(|(_, sequence, _)| sequence).collect();
    assert_eq!(kept, [3, 4]);
    drop(store);
    let definitions = raw(directory.path()).into_iter().filter(|(key, _)| key[0] == table::DEFINITION).count();
    assert_eq!(definitions, 1, "nothing of the longer one");
}
