//! T2: `answer::respond` over and over, from the octets of a query to the octets of its reply.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;
use secondaryd::answer::{Client, GROUP, Outcome, Workspace};
use secondaryd::dns::edns::Opt;
use secondaryd::dns::{Name, RecordType, message, zonefile};
use secondaryd::served::{Publisher, Transport, ViewHandle, ZoneId};
use secondaryd::zone::{Builder, Limits};

use crate::contents::{Contents, DELEGATION_EVERY, KEY, uniform, zipf};
use crate::sizes;

const QUESTIONS: usize = 10_000;

/// What a reply must show, so that the bench measures what its name says.
#[derive(Clone, Copy)]
struct Expected {
    rcode: u8,
    answers: u8,
}

const POSITIVE: Expected = Expected { rcode: 0, answers: 1 };
const ABSENT: Expected = Expected { rcode: 3, answers: 0 };
const REFERRAL: Expected = Expected { rcode: 0, answers: 0 };

/// A publisher ends its reaper when dropped, so it stays with its view.
struct Served {
    _publisher: Publisher,
    view: Arc<ViewHandle>,
}

fn served(zones: impl IntoIterator<Item = Arc<secondaryd::zone::Snapshot>>) -> Served {
    let (mut publisher, view) = Publisher::new(KEY);
    let snapshots: Vec<_> = zones.into_iter().collect();
    let names = snapshots.iter().enumerate().map(|(id, snapshot)| (ZoneId(id as u32), snapshot.apex().clone()));
    let slots = publisher.add_zones(names.collect::<Vec<_>>());
    for (slot, snapshot) in slots.iter().zip(snapshots) {
        publisher.publish(slot, snapshot);
    }
    Served { _publisher: publisher, view }
}

fn query(relative: &[u8], apex: &Name, dnssec_ok: bool) -> Vec<u8> {
    let name = Name::from_relative(relative, apex).expect("a short name");
    let mut opt = Opt::default();
    opt.dnssec_ok = dnssec_ok;
    message::query(7, &name, RecordType::A, Some(&opt))
}

/// As the UDP workers do it: `group` queries are read, then each is answered where it stands.
fn replay(
    bencher: Bencher<'_, '_>,
    group: usize,
    served: &Served,
    queries: &[Vec<u8>],
    Expected { rcode, answers }: Expected,
) {
    let client = Client::new(Transport::Udp, SocketAddr::from(([192, 0, 2, 1], 5353)));
    let (mut buffers, mut work) = (vec![vec![0; 4096]; 64], Workspace::for_groups());
    let view = served.view.load();
    bencher.counter(ItemsCount::new(queries.len())).bench_local(|| {
        for (number, queries) in queries.chunks(group).enumerate() {
            let start = number * group % 64;
            let buffers = &mut buffers[start..start + queries.len()];
            for (index, (query, buffer)) in queries.iter().zip(&mut *buffers).enumerate() {
                buffer[..query.len()].copy_from_slice(query);
                work.read(&view, index, &buffer[..query.len()]);
            }
            if group > 1 {
                work.look_ahead(&view, queries.len());
            }
            for (index, buffer) in buffers.iter_mut().enumerate() {
                assert!(matches!(work.answer(&view, &client, index, buffer), Outcome::Reply(_)));
                assert_eq!((buffer[3] & 15, buffer[7].min(1)), (rcode, answers));
            }
        }
    });
}

/// A zone of so many names; `pick` numbers the questions.
fn big(bencher: Bencher<'_, '_>, group: usize, names: usize, expected: Expected, mut name: impl FnMut() -> Vec<u8>) {
    let contents = Contents::new("bench.example", 2 * names + 2);
    let served = served([Arc::new(contents.snapshot())]);
    let queries: Vec<_> = (0..QUESTIONS).map(|_| query(&name(), &contents.apex, false)).collect();
    replay(bencher, group, &served, &queries, expected);
}

/// A host that is no delegation.
fn plain(host: usize) -> Vec<u8> {
    Contents::host(if host % DELEGATION_EVERY == DELEGATION_EVERY - 1 { host - 1 } else { host })
}

#[divan::bench(args = sizes())]
fn positive_hot(bencher: Bencher<'_, '_>, names: usize) {
    big(bencher, GROUP, names, POSITIVE, || plain(1));
}

#[divan::bench(args = sizes())]
fn positive_zipf(bencher: Bencher<'_, '_>, names: usize) {
    let mut next = zipf(names);
    big(bencher, GROUP, names, POSITIVE, || plain(next()));
}

#[divan::bench(args = sizes())]
fn positive_uniform(bencher: Bencher<'_, '_>, names: usize) {
    let mut next = uniform(names);
    big(bencher, GROUP, names, POSITIVE, || plain(next()));
}

#[divan::bench(args = sizes())]
fn positive_uniform_one_by_one(bencher: Bencher<'_, '_>, names: usize) {
    let mut next = uniform(names);
    big(bencher, 1, names, POSITIVE, || plain(next()));
}

#[divan::bench(args = sizes())]
fn absent_uniform(bencher: Bencher<'_, '_>, names: usize) {
    let mut next = uniform(names);
    big(bencher, GROUP, names, ABSENT, || Contents::host(names + next()));
}

#[divan::bench(args = sizes())]
fn referral_uniform(bencher: Bencher<'_, '_>, names: usize) {
    let mut next = uniform(names / DELEGATION_EVERY);
    big(bencher, GROUP, names, REFERRAL, || {
        [b"\x03www", &Contents::host(next() * DELEGATION_EVERY + DELEGATION_EVERY - 1)[..]].concat()
    });
}

/// T10: one of so many zones of ten records.
#[divan::bench(args = zone_counts())]
fn positive_in_one_of_many_zones(bencher: Bencher<'_, '_>, zones: usize) {
    let all: Vec<Contents> = (0..zones).map(|n| Contents::new(&format!("zone{n}.example"), 10)).collect();
    let served = served(all.iter().map(|contents| Arc::new(contents.snapshot())));
    let mut next = uniform(zones);
    let queries: Vec<_> = (0..QUESTIONS).map(|_| query(b"\x02h1", &all[next()].apex, false)).collect();
    replay(bencher, GROUP, &served, &queries, POSITIVE);
}

fn zone_counts() -> Vec<usize> {
    if sizes() == [100] { vec![10] } else { vec![1, 1_000, 10_000, 100_000] }
}

/// The signed fixture: NSEC3 with opt-out, 5 more iterations.
fn signed() -> (Served, Name) {
    let apex: Name = "signed-nsec3.example".parse().expect("a name");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/zones/signed-nsec3.zone");
    let text = std::fs::read(path).expect("the fixture");
    let mut builder = Builder::new(apex.clone(), KEY, Limits::default());
    for record in zonefile::parse(text, &apex).expect("records") {
        builder.add(record.borrow()).expect("a record");
    }
    (served([Arc::new(builder.finish(None).expect("a zone").0)]), apex)
}

#[divan::bench]
fn positive_signed_with_do(bencher: Bencher<'_, '_>) {
    let (served, apex) = signed();
    let queries: Vec<_> = (0..QUESTIONS).map(|_| query(b"\x04mail", &apex, true)).collect();
    replay(bencher, GROUP, &served, &queries, POSITIVE);
}

#[divan::bench]
fn absent_signed_with_do(bencher: Bencher<'_, '_>) {
    let (served, apex) = signed();
    let queries: Vec<_> = (0..QUESTIONS).map(|n| query(&Contents::host(n), &apex, true)).collect();
    replay(bencher, GROUP, &served, &queries, ABSENT);
}
