//! T6 without a primary in the way: recorded AXFR messages -> `transfer::Inbound` -> a version that can be published.
//!
//! `whole_zone` is the first transfer; `again_unchanged` has the version it replaces, so every page is compared and
//! shared; `delegations` is a first transfer whose hosts are all delegations with glue; `signed` also verifies TSIG
//! (HMAC-SHA256) over the messages. Records a second stand in the lower line.

use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;
use secondaryd::dns::tsig::{Algorithm, Key, Keyring, StreamSigner, StreamVerifier, sign, verify_request};
use secondaryd::dns::{RecordType, message};
use secondaryd::time::Timestamp;
use secondaryd::transfer::inbound::{Asked, Inbound, Progress, Received};
use secondaryd::transfer::outbound::{Outbound, Request};
use secondaryd::zone::{Limits, Snapshot};

use crate::contents::{Contents, KEY};
use crate::{sizes, zone};

const ID: u16 = 7;
/// When everything is signed and verified.
const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn key() -> Arc<Key> {
    Arc::new(Key::new("bench".parse().expect("a name"), Algorithm::HmacSha256, b"a secret of the benches, 32 octs"))
}

/// The messages of an AXFR, and the MAC of the request if they are signed.
fn recorded(contents: &Contents, snapshot: &Snapshot, signed: bool) -> (Vec<Vec<u8>>, Vec<u8>) {
    let mut query = message::query(ID, &contents.apex, RecordType::AXFR, None);
    let mac = if signed { sign(&mut query, &key(), NOW, None) } else { Vec::new() };
    let keyring: Keyring = [key()].into_iter().collect();
    let verified = verify_request(&query, &keyring, NOW).expect("a good signature");
    let mut signer = verified.map(|verified| StreamSigner::new(&verified));
    let reserved = signer.as_ref().map_or(0, StreamSigner::record_octets);
    let mut outbound = Outbound::new(Request::read(&query).expect("a request"), snapshot, None, reserved);
    let (mut messages, mut message) = (Vec::new(), Vec::new());
    while outbound.next(&mut message).expect("small records") {
        if let Some(signer) = &mut signer {
            signer.sign(&mut message, NOW);
        }
        messages.push(message.clone());
    }
    (messages, mac)
}

fn receive(contents: &Contents, messages: &[Vec<u8>], mac: Option<&[u8]>, old: Option<&Snapshot>) -> Snapshot {
    let mut inbound = Inbound::new(contents.apex.clone(), Asked::Axfr, ID, KEY, Limits::default());
    let mut verifier = mac.map(|mac| StreamVerifier::new(key(), mac.to_vec()));
    let mut progress = Progress::More;
    for message in messages {
        let unsigned = match &mut verifier {
            Some(verifier) => verifier.verify(message, NOW).expect("a good signature"),
            None => message.len(),
        };
        progress = inbound.message(&message[..unsigned]).expect("a good message");
    }
    assert_eq!(progress, Progress::Done);
    match inbound.finish().expect("complete") {
        Received::Full(builder) => builder.finish(old).expect("a zone").0,
        other => panic!("{other:?}"),
    }
}

fn ingest(bencher: Bencher<'_, '_>, records: usize, signed: bool, again: bool) {
    let (contents, snapshot) = zone(records);
    let (messages, mac) = recorded(contents, snapshot, signed);
    bencher.counter(ItemsCount::new(records)).bench_local(|| {
        let made = receive(contents, &messages, signed.then_some(&mac[..]), again.then_some(snapshot));
        assert_eq!(made.record_count(), snapshot.record_count());
        made
    });
}

#[divan::bench(args = sizes(), sample_count = 10, sample_size = 1)]
fn whole_zone(bencher: Bencher<'_, '_>, records: usize) {
    ingest(bencher, records, false, false);
}

#[divan::bench(args = sizes(), sample_count = 10, sample_size = 1)]
fn whole_zone_signed(bencher: Bencher<'_, '_>, records: usize) {
    ingest(bencher, records, true, false);
}

#[divan::bench(args = sizes(), sample_count = 10, sample_size = 1)]
fn again_unchanged(bencher: Bencher<'_, '_>, records: usize) {
    ingest(bencher, records, false, true);
}

#[divan::bench(args = sizes(), sample_count = 10, sample_size = 1)]
fn delegations(bencher: Bencher<'_, '_>, records: usize) {
    let contents = Contents { delegation_every: 1, ..Contents::new("bench.example", records) };
    let (messages, _) = recorded(&contents, &contents.snapshot(), false);
    bencher.counter(ItemsCount::new(records)).bench_local(|| receive(&contents, &messages, None, None));
}
