//! Figures of the store (T8, T11): `cargo test --release --test store_measure -- --ignored --nocapture`.
//!
//! A busy two-core machine, 1,000,002 records in 8,194 pages (44 MB): Replace 0.5 s, 3.8 x the image written; restore
//! 0.2-0.5 s wall, 0.06-0.17 s processor; one-record Append 0.7-2.2 ms (its sync), 2.9 KB of log; Replace of equal
//! contents 0.04-0.14 s and one value. 20,000 zones of 12 records: stored in 1.6-2.2 s with 13 syncs, restored in 0.5-1 s.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use secondaryd::dns::{Name, Record, RecordType};
use secondaryd::store::{Contents, Options, Ring, Store, Write};
use secondaryd::zone::{Builder, Diff, DiffBuilder, HashKey, Limits, Snapshot};

fn records(apex: &Name, serial: u32, names: u32, special: u32) -> impl Iterator<Item = Record> {
    let record = |owner: Name, rtype, rdata: Vec<u8>| Record { owner, rtype, ttl: 3_600, rdata: rdata.into() };
    let apex = apex.clone();
    let soa = record(apex.clone(), RecordType::SOA, soa(&apex, serial));
    let ns = record(apex.clone(), RecordType::NS, apex.as_wire().to_vec());
    let hosts = (0..names).map(move |host| {
        let owner: Name = format!("host-{host}.{apex}").parse().expect("a name");
        let address = if host == 0 { special } else { host.wrapping_mul(2_654_435_761) };
        record(owner, RecordType::A, address.to_be_bytes().to_vec())
    });
    [soa, ns].into_iter().chain(hosts)
}

fn soa(apex: &Name, serial: u32) -> Vec<u8> {
    let mut soa = [apex.as_wire(), apex.as_wire()].concat();
    for field in [serial, 3_600, 600, 86_400, 300] {
        soa.extend_from_slice(&field.to_be_bytes());
    }
    soa
}

fn build(apex: &Name, names: u32, key: HashKey) -> Snapshot {
    build_version(apex, 1, names, key, |_| ())
}

/// With every record but the SOA changed as `change` likes.
fn build_version(apex: &Name, serial: u32, names: u32, key: HashKey, change: impl Fn(&mut Record)) -> Snapshot {
    let mut builder = Builder::new(apex.clone(), key, Limits::default());
    for mut record in records(apex, serial, names, 1) {
        if record.rtype == RecordType::A {
            change(&mut record);
        }
        builder.add(record.borrow()).expect("a good record");
    }
    builder.finish(None).expect("a good zone").0
}

fn write(store: &Store, write: Write) {
    let (sender, receiver) = channel();
    store.submit(write, Box::new(move |outcome| sender.send(outcome).expect("waited for")));
    receiver.recv().expect("acknowledged").expect("stored");
}

/// Octets this process has sent to the block layer.
fn written() -> u64 {
    let io = fs::read_to_string("/proc/self/io").expect("Linux");
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).expect("a counter");
    line.parse().expect("a number")
}

/// Processor time of this process so far; the machine may be busy with other things.
fn processor() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux");
    let after_name = stat.rsplit(')').next().expect("a name");
    let ticks: u64 = after_name.split_whitespace().skip(11).take(2).map(|n| n.parse::<u64>().expect("a number")).sum();
    Duration::from_millis(ticks * 10)
}

fn settle(store: &Store) {
    for _ in 0..6_000 {
        if store.statistics().is_tidy {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("not tidy after 30 s");
}

fn restore(directory: &Path, what: &str) -> (Store, usize) {
    let (started, processor_before) = (Instant::now(), processor());
    let (store, restored) = Store::open(directory, Options::default()).expect("opens");
    let opened = started.elapsed();
    let mut loaded = 0;
    for zone in restored {
        match zone.contents {
            Contents::Loaded { snapshot } => loaded += snapshot.record_count() as usize,
            other => panic!("{other:?}"),
        }
    }
    let elapsed = started.elapsed();
    let used = processor() - processor_before;
    println!("{what}: open {opened:?}, all {loaded} records after {elapsed:?} ({used:?} of processor time)");
    (store, loaded)
}

#[test]
#[ignore = "measures, and means something in a release build only"]
fn one_zone_of_a_million_records() {
    let names: u32 = std::env::var("NAMES").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    let directory = tempfile::tempdir().expect("a directory");
    let (store, _) = Store::open(directory.path(), Options::default()).expect("opens");
    let apex: Name = "big.test.".parse().expect("a name");
    let first = Arc::new(build(&apex, names, store.hash_key()));
    let image = first.image_octets();
    println!("image {image} octets, {} pages", first.pages().count());
    let (before, started) = (written(), Instant::now());
    write(&store, Write::Replace { zone: 1, snapshot: first.clone(), diff: None });
    println!("Replace: {:?}, {} x image written", started.elapsed(), (written() - before) as f64 / image as f64);
    drop(store);
    println!("with close: {} x image written", (written() - before) as f64 / image as f64);

    let (store, _) = restore(directory.path(), "restore after Replace");
    drop(store);
    let (store, _) = restore(directory.path(), "restore again");

    settle(&store);
    let appends: u32 = 2_000;
    let mut worst = Duration::ZERO;
    let mut at = first.clone();
    let statistics = store.statistics();
    let (before, before_values, started) = (statistics.log_octets, statistics.value_octets, Instant::now());
    let mut applying = Duration::ZERO;
    for serial in 1..=appends {
        let record = |serial| Record {
            owner: apex.clone(),
            rtype: RecordType::SOA,
            ttl: 3_600,
            rdata: soa(&apex, serial).into(),
        };
        let host = |address: u32| Record {
            owner: format!("host-0.{apex}").parse().expect("a name"),
            rtype: RecordType::A,
            ttl: 3_600,
            rdata: address.to_be_bytes().to_vec().into(),
        };
        let mut diff = DiffBuilder::new(record(serial).borrow());
        diff.delete(host(serial).borrow()).expect("fits");
        diff.add(host(serial + 1).borrow()).expect("fits");
        let diff = diff.finish(record(serial + 1).borrow()).expect("a difference");
        let apply_started = Instant::now();
        at = Arc::new(secondaryd::zone::apply(&at, std::slice::from_ref(&diff)).expect("applies").0);
        applying += apply_started.elapsed();
        let one = Instant::now();
        write(&store, Write::Append { zone: 1, snapshot: at.clone(), diffs: vec![diff] });
        worst = worst.max(one.elapsed());
    }
    let each = (started.elapsed() - applying) / appends;
    let now = store.statistics();
    println!(
        "Append, each waited for: {each:?} mean, {worst:?} worst; {} octets of log, {} octets of values each",
        (now.log_octets - before) / u64::from(appends),
        (now.value_octets - before_values) / u64::from(appends),
    );
    println!("sync mean {:?}", Duration::from_nanos(now.sync_nanos / now.syncs.max(1)));
    drop(store);
    let (store, _) = restore(directory.path(), "restore with a journal of 2,000");

    let again = Arc::new(build(&apex, names, store.hash_key()));
    let (before, started) = (store.statistics().log_octets, Instant::now());
    write(&store, Write::Replace { zone: 1, snapshot: again, diff: None });
    let octets = store.statistics().log_octets - before;
    println!("Replace, nearly unchanged: {:?}, {octets} octets of log", started.elapsed());
    drop(store);
}

/// One record changes, and the SOA with it.
fn one_change(apex: &Name, serial: u32) -> Diff {
    let record =
        |serial| Record { owner: apex.clone(), rtype: RecordType::SOA, ttl: 3_600, rdata: soa(apex, serial).into() };
    let host = Record {
        owner: format!("new-{serial}.{apex}").parse().expect("a name"),
        rtype: RecordType::A,
        ttl: 3_600,
        rdata: serial.to_be_bytes().to_vec().into(),
    };
    let mut diff = DiffBuilder::new(record(serial).borrow());
    diff.add(host.borrow()).expect("fits");
    diff.finish(record(serial + 1).borrow()).expect("a difference")
}

/// Resident memory now, and at most since the last call.
fn memory() -> (u64, u64) {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let of = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
    };
    let found = (of("VmRSS:"), of("VmHWM:"));
    fs::write("/proc/self/clear_refs", "5").expect("Linux");
    found
}

/// T7, T11: what a large zone costs while it is replaced, and what each small change costs for a minute afterwards.
#[test]
#[ignore = "measures, and means something in a release build only"]
fn one_large_zone_that_is_replaced_and_changed() {
    let names: u32 = std::env::var("NAMES").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    let changes: u32 = std::env::var("CHANGES").ok().and_then(|n| n.parse().ok()).unwrap_or(50);
    let directory = tempfile::tempdir().expect("a directory");
    let (store, _) = Store::open(directory.path(), Options::default()).expect("opens");
    let apex: Name = "big.test.".parse().expect("a name");
    let key = store.hash_key();
    let every_page = |serial: u32| {
        move |record: &mut Record| record.rdata = [&serial.to_be_bytes()[..2], &record.rdata[2..]].concat().into()
    };
    let mut at = Arc::new(build_version(&apex, 1, names, key, every_page(1)));
    let image = at.image_octets();
    let mut next = Arc::new(build_version(&apex, 2, names, key, every_page(0x7777_0000)));
    for what in ["first write", "replacement"] {
        let ((rest, _), before, started) = (memory(), written(), Instant::now());
        write(&store, Write::Replace { zone: 1, snapshot: at.clone(), diff: None });
        let elapsed = started.elapsed();
        settle(&store);
        std::thread::sleep(Duration::from_secs(2));
        let (now, peak) = memory();
        println!(
            "{what}: {elapsed:?}, {} octets written ({:.2} x image {image}); memory {} -> {} KiB, at most {} KiB",
            written() - before,
            (written() - before) as f64 / image as f64,
            rest >> 10,
            now >> 10,
            peak >> 10,
        );
        std::mem::swap(&mut at, &mut next);
    }
    let at_first = at;
    let mut at = next;
    let mut each = Vec::new();
    for serial in 2..2 + changes {
        let diff = one_change(&apex, serial);
        at = Arc::new(secondaryd::zone::apply(&at, std::slice::from_ref(&diff)).expect("applies").0);
        let before = written();
        write(&store, Write::Append { zone: 1, snapshot: at.clone(), diffs: vec![diff] });
        std::thread::sleep(Duration::from_secs(1));
        each.push(written() - before);
    }
    let total: u64 = each.iter().sum();
    println!(
        "{changes} changes of one record, one a second: {} octets written each, {each:?}",
        total / u64::from(changes)
    );
    println!("files {} octets", store.statistics().file_octets);
    drop((store, at, at_first));
    memory();
    let (store, _) = restore(directory.path(), "restore");
    let (now, peak) = memory();
    println!("memory after restore {} KiB, at most {} KiB", now >> 10, peak >> 10);
    drop(store);
}

#[test]
#[ignore = "measures, and means something in a release build only"]
fn many_small_zones() {
    let zones: u32 = std::env::var("ZONES").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000);
    let directory = tempfile::tempdir().expect("a directory");
    let (store, _) = Store::open(directory.path(), Options::default()).expect("opens");
    let snapshots: Vec<_> = (0..zones)
        .map(|zone| Arc::new(build(&format!("zone{zone}.test.").parse().expect("a name"), 10, store.hash_key())))
        .collect();
    let image: u64 = snapshots.iter().map(|snapshot| snapshot.image_octets()).sum();
    let (before, started, processor_before) = (written(), Instant::now(), processor());
    let (sender, receiver) = channel();
    let ring: Ring = [0; 18];
    // what a zone's definition and its first transfer bring
    for (zone, snapshot) in (0..).zip(&snapshots) {
        let contents = Box::new(Write::Replace { zone, snapshot: snapshot.clone(), diff: None });
        let writes = [
            Write::Define { zone, bytes: vec![0; 200] },
            Write::Noted { zone, contents, bytes: vec![0; 100].into() },
            Write::Attempt { zone, ring, sequence: u64::from(zone), bytes: vec![0; 250].into(), keep: 20 },
            Write::Confirm { zone, bytes: vec![0; 18].into() },
        ];
        for write in writes {
            store.submit(write, Box::new(|outcome| outcome.expect("stored")));
        }
        let sender = sender.clone();
        let done = Box::new(move |outcome| sender.send(outcome).expect("waited for"));
        store.submit(Write::Primary { zone, index: 0, bytes: vec![0; 200].into() }, done);
    }
    for outcome in receiver.iter().take(zones as usize) {
        outcome.expect("stored");
    }
    println!(
        "{zones} zones of 12 records: {:?} ({:?} of processor time), image {image}, {} x image written, {} syncs",
        started.elapsed(),
        processor() - processor_before,
        (written() - before) as f64 / image as f64,
        store.statistics().syncs
    );
    drop(store);
    drop(restore(directory.path(), "restore"));
    drop(restore(directory.path(), "restore again"));
}
