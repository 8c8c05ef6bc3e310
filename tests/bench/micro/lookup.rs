//! T1: one owner name found among many, by our pages, by a `BTreeMap` and by a published trie.
//!
//! All three get the name in lower-case wire form, relative to the apex, and give what stands there; hashing the name is
//! part of our time. The maps hold a number for each name, the pages whole entries, so the maps are flattered.

use std::collections::BTreeMap;
use std::hint::black_box;

use divan::Bencher;
use divan::counter::ItemsCount;
use secondaryd::zone::Snapshot;

use crate::contents::{Contents, uniform};
use crate::{sizes, zone};

/// Questions in a round: more than a cache holds pages of.
const QUESTIONS: usize = 10_000;

/// `present`: hosts of the zone in random order; else names that are not there.
fn questions(names: usize, present: bool) -> Vec<Vec<u8>> {
    let mut next = uniform(names);
    (0..QUESTIONS).map(|_| Contents::host(next() + if present { 0 } else { names })).collect()
}

fn ask<'q>(bencher: Bencher<'_, '_>, questions: &'q [Vec<u8>], find: impl Fn(&'q [u8]) -> bool + Sync, expected: bool) {
    bencher.counter(ItemsCount::new(questions.len())).bench(|| {
        let found = questions.iter().filter(|name| black_box(find(name))).count();
        assert_eq!(found, if expected { questions.len() } else { 0 });
    });
}

fn pages(bencher: Bencher<'_, '_>, names: usize, present: bool) {
    let snapshot: &Snapshot = zone(2 * names + 2).1;
    let (key, apex) = (snapshot.key(), snapshot.apex_hash());
    let find = |name: &[u8]| snapshot.lookup(key.below(apex, name), name).is_some();
    ask(bencher, &questions(names, present), find, present);
}

fn btree(bencher: Bencher<'_, '_>, names: usize, present: bool) {
    let map: BTreeMap<Vec<u8>, usize> = (0..names).map(|n| (Contents::host(n), n)).collect();
    ask(bencher, &questions(names, present), |name| map.contains_key(name), present);
}

fn qp_trie(bencher: Bencher<'_, '_>, names: usize, present: bool) {
    let trie: qp_trie::Trie<Vec<u8>, usize> = (0..names).map(|n| (Contents::host(n), n)).collect();
    ask(bencher, &questions(names, present), |name| trie.get(name).is_some(), present);
}

#[divan::bench(args = sizes())]
fn pages_hit(bencher: Bencher<'_, '_>, names: usize) {
    pages(bencher, names, true);
}

#[divan::bench(args = sizes())]
fn pages_miss(bencher: Bencher<'_, '_>, names: usize) {
    pages(bencher, names, false);
}

#[divan::bench(args = sizes())]
fn btree_hit(bencher: Bencher<'_, '_>, names: usize) {
    btree(bencher, names, true);
}

#[divan::bench(args = sizes())]
fn btree_miss(bencher: Bencher<'_, '_>, names: usize) {
    btree(bencher, names, false);
}

#[divan::bench(args = sizes())]
fn qp_trie_hit(bencher: Bencher<'_, '_>, names: usize) {
    qp_trie(bencher, names, true);
}

#[divan::bench(args = sizes())]
fn qp_trie_miss(bencher: Bencher<'_, '_>, names: usize) {
    qp_trie(bencher, names, false);
}
