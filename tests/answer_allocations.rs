//! Answering allocates nothing, and every query of a UDP worker is answered that way (invariant 4).
//!
//! A test binary of its own: the counting allocator sees all threads, so nothing else may run beside it.

#![allow(unsafe_code, reason = "an allocator cannot be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use secondaryd::answer::{self, Client, Cookies, Identity, Outcome, Workspace};
use secondaryd::dns::edns::Opt;
use secondaryd::dns::{Name, RecordType, message, zonefile};
use secondaryd::served::{Publisher, State, Transport, ZoneId};
use secondaryd::time::Timestamp;
use secondaryd::zone::{Builder, HashKey, Limits};

struct Counting;

static CALLS: AtomicU64 = AtomicU64::new(0);

// SAFETY: passes every call on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        CALLS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as promised by the caller.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn no_query_over_udp_allocates_or_frees() {
    // given every fixture on one view, and every owner with many types, a neighbour and some rubbish as queries
    let key = HashKey::from_bytes([9; 16]);
    let (mut publisher, handle) = Publisher::new(key);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/zones");
    let mut queries = vec![vec![0xff; 40], vec![0; 12], vec![1; 3]];
    let fixture =
        |zone: &str| (zone.to_owned(), std::fs::read(folder.join(zone).with_extension("zone")).expect("a zone"));
    let fixtures = ["ordinary", "delegations", "all-types", "signed-nsec", "signed-nsec3"].map(fixture);
    // and one whose RRsets and glue are stored apart
    let apart = ("apart".to_owned(), stored_apart().into_bytes());
    for (id, (zone, text)) in fixtures.into_iter().chain([apart]).enumerate() {
        let apex: Name = format!("{zone}.example").parse().expect("a name");
        let mut builder = Builder::new(apex.clone(), key, Limits::default());
        for record in zonefile::parse(text, &apex).expect("records") {
            builder.add(record.borrow()).expect("a record");
            let below = Name::from_relative(b"\x01x\x01y", &record.owner).unwrap_or_else(|_| apex.clone());
            let types =
                [RecordType::A, RecordType::MX, RecordType::DS, RecordType::ANY, RecordType::RRSIG, record.rtype];
            for qtype in types {
                for name in [&record.owner, &below] {
                    queries.push(message::query(1, name, qtype, None));
                    let mut opt = Opt::default();
                    opt.dnssec_ok = true;
                    queries.push(message::query(1, name, qtype, Some(&opt)));
                    let asking =
                        [3, 9, 10, 11, 12, 19].iter().fold(opt, |opt, &code| opt.with_option(code, b"8 octets"));
                    queries.push(message::query(1, name, qtype, Some(&asking)));
                }
            }
        }
        let snapshot = builder.finish(None).expect("a zone").0;
        let slot = publisher.add_zones([(ZoneId(id as u32), apex)]).remove(0);
        publisher.publish(&slot, Arc::new(snapshot));
    }
    // and a zone that has expired, whose reply says when
    let gone: Name = "gone.example".parse().expect("a name");
    let slot = publisher.add_zones([(ZoneId(99), gone.clone())]).remove(0);
    publisher.set_state(&slot, State::Expired);
    publisher.set_expires(&slot, Some(Timestamp::from_secs(1_800_000_000)));
    queries.push(message::query(1, &gone, RecordType::A, Some(&Opt::default())));
    let identity = Identity::default().with_nsid(b"here").with_cookies(Cookies::new(vec![[1; 16]], false));
    let client =
        Client { identity: &identity, ..Client::new(Transport::Udp, SocketAddr::from(([192, 0, 2, 1], 5353))) };
    let mut reader = handle.reader();
    let mut buffer = vec![0; 4096];
    let mut work = Workspace::for_groups();
    let mut run = || {
        let view = reader.current();
        let mut replies = 0;
        for group in queries.chunks(answer::GROUP) {
            group.iter().enumerate().for_each(|(index, query)| work.read(view, index, query));
            work.look_ahead(view, group.len());
            for (index, query) in group.iter().enumerate() {
                buffer[..query.len()].copy_from_slice(query);
                replies += matches!(work.answer(view, &client, index, &mut buffer), Outcome::Reply(_)) as usize;
            }
        }
        replies
    };
    // the first round sets up what arc-swap keeps for each thread
    run();

    // when all are answered once more
    let before = CALLS.load(Ordering::SeqCst);
    let replies = run();
    let calls = CALLS.load(Ordering::SeqCst) - before;

    // then nothing was allocated or freed
    assert!(replies > 4_000, "{replies} replies");
    assert_eq!(calls, 0);

    // and what is stored apart was among it
    for (name, qtype) in [("m.apart.example", 1000), ("m.apart.example", 255), ("m.apart.example", 46)] {
        let query = message::query(1, &name.parse().expect("a name"), RecordType(qtype), Some(&Opt::default()));
        buffer[..query.len()].copy_from_slice(&query);
        assert!(matches!(
            answer::respond(reader.current(), &client, &mut work, &mut buffer, query.len()),
            Outcome::Reply(400..1232)
        ));
        assert_eq!((buffer[2] & 2, buffer[3] & 15, buffer[7]), (0, 0, 1), "{name} {qtype}: whole");
    }
}

/// A zone with an owner of nine RRsets of 400 octets with their signatures, and with a delegation to twenty hosts of twenty
/// addresses.
fn stored_apart() -> String {
    let mut text = "$TTL 60\n@ SOA ns host 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n".to_owned();
    for rtype in 1000..1009 {
        text += &format!("m TYPE{rtype} \\# 400 {}\n", "ab".repeat(400));
        text +=
            &format!("m RRSIG TYPE{rtype} 8 2 60 20300101000000 20200101000000 1 apart.example. {}\n", "A".repeat(600));
    }
    for i in 0..200 {
        let ns = i % 20;
        text += &format!("sub NS n{ns}.sub\nn{ns}.sub A 10.0.2.{i}\nn{ns}.sub AAAA 2001:db8:1::{i}\n");
    }
    text
}
