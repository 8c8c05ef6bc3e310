//! What the store does about files that are damaged or gone while it runs, about its own panics, and about writes of which it
//! is not known what has come of them.

use super::*;

/// A writer that has panicked is a bug; it must not be the end of all writes, and nobody may wait for ever.
#[test]
fn a_panic_of_the_writer_fails_what_it_was_at_and_nothing_else() {
    let directory = tempfile::tempdir().expect("a directory");
    let (store, _) = open(directory.path());
    let define = |zone| Write::Define { zone, bytes: octets(20) };
    store.submit(define(1), Box::new(|_| panic!("an acknowledgement that panics, for the test")));
    // Perhaps of the same group, and then it is not known what has become of it.
    let _ = write(&store, define(1));
    write(&store, define(2)).expect("stored by the writer that has begun anew");
    let (sender, told) = channel();
    drop(Answer::to(Box::new(move |outcome| sender.send(outcome).expect("the test waits"))));
    assert!(matches!(told.recv(), Ok(Err(StoreError::Failed { .. }))), "told though nobody has answered");
    drop(store);
    assert!(open(directory.path()).1.contains_key(&2));
}

/// "A flipped bit ... costs one zone": the settings of sled say nothing that is not known.
#[test]
fn damaged_settings_of_the_database_are_made_anew() {
    let directory = tempfile::tempdir().expect("a directory");
    let (store, _) = open(directory.path());
    write(&store, Write::Define { zone: 1, bytes: octets(20) }).expect("stored");
    drop(store);
    let file = directory.path().join("sled/conf");
    let settings = fs::read(&file).expect("sled's settings");
    for octet in 0..settings.len() {
        let mut damaged = settings.clone();
        damaged[octet] ^= 0x10;
        fs::write(&file, damaged).expect("damaged");
        let (store, zones) = open(directory.path());
        assert!(zones.contains_key(&1), "octet {octet}");
        drop(store);
    }
    fs::write(&file, []).expect("emptied");
    assert!(open(directory.path()).1.contains_key(&1));
}

/// A directory that somebody removes under us: what is written from then on is whole, and who has contents is told that he
/// must write them again.
#[test]
fn a_database_that_is_gone_is_made_anew_with_all_it_needs() {
    let directory = tempfile::tempdir().expect("a directory");
    let options = Options { rest: Duration::ZERO, ..quick() };
    let (store, restored) = Store::open(directory.path(), options).expect("opens");
    assert_eq!(restored.into_iter().count(), 0);
    let key = store.hash_key();
    let large = |zone| Write::Define { zone, bytes: octets(2 << 20) };
    write(&store, large(1)).expect("stored");
    fs::remove_dir_all(directory.path().join("sled")).expect("removed");
    let began = std::time::Instant::now();
    while store.rebuilds() == 0 && began.elapsed() < Duration::from_secs(30) {
        // It is opened again when it rests, or by the write that fails.
        let _ = write(&store, large(2));
    }
    assert_eq!(store.rebuilds(), 1);
    write(&store, large(3)).expect("stored");
    assert_eq!(store.trouble(), None);
    drop(store);
    let (store, zones) = open(directory.path());
    assert!(zones.contains_key(&3));
    assert_eq!(store.hash_key(), key, "pages in files are made with it");
}

/// A write that failed may be there all the same; the next one says what all of the zone is.
#[test]
fn a_whole_write_leaves_nothing_else_of_the_zone() {
    let directory = tempfile::tempdir().expect("a directory");
    let (store, _) = open(directory.path());
    let change = |entries: &[(u64, usize)], whole: Option<u64>, last: Option<u64>| {
        let entries = entries.iter().map(|(number, length)| (*number, Some(octets(*length)))).collect();
        let log = last.map(|last| Logged { last, bytes: octets(10), forget: 0 });
        let contents = LocalContents::Unchanged;
        let zone = LocalWrite { zone: 1, definition: Some(octets(30)), entries, contents, log, whole };
        Write::Local { zones: vec![zone], metas: Vec::new() }
    };
    write(&store, change(&[(0, 12), (7, 100), (8, 20_000), (9, 5)], None, Some(4))).expect("stored");
    write(&store, change(&[(10, 5)], None, Some(5))).expect("stored, and its writer was told otherwise");
    write(&store, change(&[(0, 12), (8, 10), (9, 5)], Some(4), None)).expect("stored");
    let mut logged = Vec::new();
    store
        .log(1, |bytes| {
            logged.push(bytes);
            true
        })
        .expect("the log reads");
    assert_eq!(logged.len(), 1);
    drop(store);
    let (_, zones) = open(directory.path());
    assert_eq!(zones[&1].entries, [(0, octets(12)), (8, octets(10)), (9, octets(5))]);
}
