//! T5: difference sequences of 1, 100 and 10,000 changes on zones of any size, and differences found between versions.

use divan::Bencher;
use divan::counter::ItemsCount;
use secondaryd::dns::RecordRef;
use secondaryd::zone::{self, Page};

use crate::contents::difference;
use crate::sizes;

/// More than any cache holds.
const OTHER_OCTETS: usize = 256 << 20;

fn apply(bencher: Bencher<'_, '_>, records: usize, changes: usize) {
    let (contents, old) = crate::zone(records);
    let new = contents.changed(changes).snapshot();
    let diff = difference(old, &new);
    bencher.counter(ItemsCount::new(changes)).bench_local(|| {
        let (made, _) = zone::apply(old, std::slice::from_ref(&diff)).expect("applies");
        assert_eq!(made.serial(), new.serial());
        made
    });
}

#[divan::bench(args = sizes())]
fn one_change(bencher: Bencher<'_, '_>, records: usize) {
    apply(bencher, records, 1);
}

#[divan::bench(args = sizes())]
fn a_hundred_changes(bencher: Bencher<'_, '_>, records: usize) {
    apply(bencher, records, 100);
}

#[divan::bench(args = sizes(), sample_count = 20)]
fn ten_thousand_changes(bencher: Bencher<'_, '_>, records: usize) {
    apply(bencher, records, 10_000);
}

/// As in a daemon that had nothing to do for a while: nothing of the zone is in the processor's caches.
#[divan::bench(args = sizes(), sample_count = 20)]
fn ten_thousand_changes_cold(bencher: Bencher<'_, '_>, records: usize) {
    let (contents, old) = crate::zone(records);
    let new = contents.changed(10_000).snapshot();
    let diff = difference(old, &new);
    let mut other = vec![0u8; OTHER_OCTETS];
    bencher
        .counter(ItemsCount::new(10_000usize))
        .with_inputs(|| other.iter_mut().for_each(|octet| *octet = octet.wrapping_add(1)))
        .bench_local_values(|()| zone::apply(old, std::slice::from_ref(&diff)).expect("applies"));
}

/// What none can do without that leaves the old version as it is: the page of each changed owner is found, and those found are
/// copied, with nothing changed in them and by one thread.
#[divan::bench(args = sizes(), sample_count = 20)]
fn pages_of_ten_thousand_changes_copied_cold(bencher: Bencher<'_, '_>, records: usize) {
    let (contents, old) = crate::zone(records);
    let new = contents.changed(10_000).snapshot();
    let diff = difference(old, &new);
    let mut other = vec![0u8; OTHER_OCTETS];
    bencher
        .counter(ItemsCount::new(10_000usize))
        .with_inputs(|| other.iter_mut().for_each(|octet| *octet = octet.wrapping_add(1)))
        .bench_local_values(|()| {
            let page = |record: RecordRef<'_>| old.page(old.key().name(record.owner));
            let mut pages: Vec<&Page> = diff.deleted().chain(diff.added()).filter_map(page).collect();
            pages.sort_unstable_by_key(|page| page.as_bytes().as_ptr());
            pages.dedup_by_key(|page| page.as_bytes().as_ptr());
            pages.into_iter().map(|page| Box::from(page.as_bytes())).collect::<Vec<Box<[u8]>>>()
        });
}

/// Versions that share all pages but those of a hundred changes: what an AXFR of a little-changed zone costs.
#[divan::bench(args = sizes())]
fn between_versions_that_share_pages(bencher: Bencher<'_, '_>, records: usize) {
    let (contents, old) = crate::zone(records);
    let new = contents.changed(100).snapshot_on(Some(old));
    bencher.bench_local(|| difference(old, &new));
}
