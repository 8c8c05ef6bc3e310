//! What single parts cost, in this process and without sockets.
//!
//! ```text
//! cargo bench --bench micro                       everything at 1k, 100k and 1M names or records
//! cargo bench --bench micro -- lookup             what has this word in its path
//! BENCH_LARGE=1 cargo bench --bench micro -- 10000000   the sizes of ten million too
//! cargo test --bench micro                        everything once and tiny: does it still work?
//! ```
//! Times are of one core and vary with what else runs; compare rows of one run only. The median is the column to read.

#[path = "../contents.rs"]
mod contents;

mod apply;
mod ingest;
mod lookup;
mod respond;
mod restore;

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock};

use contents::Contents;
use secondaryd::zone::Snapshot;

fn main() {
    divan::main();
}

/// Sizes of zones, in names or records: tiny ones unless measured.
fn sizes() -> Vec<usize> {
    if !std::env::args().any(|argument| argument == "--bench") {
        return vec![100];
    }
    let mut sizes = vec![1_000, 100_000, 1_000_000];
    if std::env::var_os("BENCH_LARGE").is_some() {
        sizes.push(10_000_000);
    }
    sizes
}

/// The zone of `records` records; made once in a run.
fn zone(records: usize) -> (&'static Contents, &'static Snapshot) {
    type Zones = Mutex<HashMap<usize, &'static (Contents, Snapshot)>>;
    static ZONES: OnceLock<Zones> = OnceLock::new();
    let mut zones = ZONES.get_or_init(Default::default).lock().expect("no bench panics here");
    let (contents, snapshot) = *zones.entry(records).or_insert_with(|| {
        let contents = Contents::new("bench.example", records);
        let snapshot = contents.snapshot();
        Box::leak(Box::new((contents, snapshot)))
    });
    (contents, snapshot)
}
