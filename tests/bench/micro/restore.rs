//! T8: a zone and ten thousand zones read back from the store. The files are in the page cache.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;

use divan::Bencher;
use divan::counter::ItemsCount;
use secondaryd::store::{Contents as Stored, Options, Store, Write};
use secondaryd::zone::{Builder, Limits};

use crate::contents::Contents;
use crate::sizes;

fn write(directory: &Path, zones: &[Contents]) {
    let (store, _) = Store::open(directory, Options::default()).expect("opens");
    let (sender, receiver) = channel();
    for (number, contents) in (1..).zip(zones) {
        let mut builder = Builder::new(contents.apex.clone(), store.hash_key(), Limits::default());
        for record in contents.all() {
            builder.add(record.borrow()).expect("a record that belongs to the zone");
        }
        let snapshot = Arc::new(builder.finish(None).expect("a zone").0);
        let sender = sender.clone();
        let done = Box::new(move |outcome| sender.send(outcome).expect("waited for"));
        store.submit(Write::Replace { zone: number, snapshot, diff: None }, done);
    }
    receiver.iter().take(zones.len()).for_each(|outcome| outcome.expect("stored"));
}

fn restore(bencher: Bencher<'_, '_>, zones: &[Contents]) {
    let directory = tempfile::tempdir().expect("a directory");
    write(directory.path(), zones);
    let records: usize = zones.iter().map(|contents| contents.records).sum();
    bencher.counter(ItemsCount::new(records)).bench_local(|| {
        let (store, restored) = Store::open(directory.path(), Options::default()).expect("opens");
        let zones: Vec<_> = restored.into_iter().collect();
        let loaded: u64 = zones
            .iter()
            .map(|zone| match &zone.contents {
                Stored::Loaded { snapshot } => snapshot.record_count(),
                other => panic!("{other:?}"),
            })
            .sum();
        assert_eq!(loaded, records as u64);
        (store, zones)
    });
}

#[divan::bench(args = sizes(), sample_count = 5, sample_size = 1)]
fn one_zone(bencher: Bencher<'_, '_>, records: usize) {
    restore(bencher, &[Contents::new("bench.example", records)]);
}

#[divan::bench(args = zone_counts(), sample_count = 3, sample_size = 1)]
fn zones_of_ten_records(bencher: Bencher<'_, '_>, zones: usize) {
    let all: Vec<_> = (0..zones).map(|n| Contents::new(&format!("zone{n}.example"), 10)).collect();
    restore(bencher, &all);
}

fn zone_counts() -> Vec<usize> {
    if sizes() == [100] { vec![10] } else { vec![1_000, 10_000] }
}
