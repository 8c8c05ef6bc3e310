//! What one answer costs. Prints; asserts nothing about time, which is not ours alone.
//!
//! ```text
//! cargo test --release --test answer_cost -- --nocapture
//! ANSWER_COST_ONLY=positive valgrind --tool=callgrind --toggle-collect='*measured*' target/release/deps/answer_cost-...
//! ```
//! Instructions for each answer: what callgrind collected, divided by [`QUESTIONS`] times [`ROUNDS`].
//! `ANSWER_COST_NAMES` sets the size of the zone.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use secondaryd::answer::{self, Client, Outcome, Workspace};
use secondaryd::dns::{Name, RecordRef, RecordType, message};
use secondaryd::served::{Publisher, Transport, View, ZoneId};
use secondaryd::zone::{Builder, HashKey, Limits};

const QUESTIONS: usize = 10_000;
const ROUNDS: usize = 20;

struct Load {
    client: Client<'static>,
    buffer: Vec<u8>,
    work: Workspace,
    queries: Vec<Vec<u8>>,
    /// RCODE and ANCOUNT every reply must have.
    expected: (u8, u8),
}

impl Load {
    fn new(expected: (u8, u8), question: impl Fn(usize) -> (String, RecordType)) -> Load {
        let queries = (0..QUESTIONS)
            .map(|i| question(i.wrapping_mul(2_654_435_761)))
            .map(|(name, qtype)| message::query(7, &name.parse().expect("a name"), qtype, Some(&Default::default())));
        let client = Client::new(Transport::Udp, SocketAddr::from(([192, 0, 2, 1], 5353)));
        Load { client, buffer: vec![0; 4096], work: Workspace::new(), queries: queries.collect(), expected }
    }

    fn ask(&mut self, view: &View, index: usize) -> (u8, u8) {
        let query = &self.queries[index];
        self.buffer[..query.len()].copy_from_slice(query);
        match answer::respond(view, &self.client, &mut self.work, &mut self.buffer, query.len()) {
            Outcome::Reply(_) => (self.buffer[3] & 15, self.buffer[7]),
            _ => (99, 99),
        }
    }
}

#[inline(never)]
fn measured(load: &mut Load, view: &View) -> usize {
    (0..QUESTIONS).filter(|&i| load.ask(view, i) == load.expected).count()
}

fn time(what: &str, load: &mut Load, view: &View) {
    if std::env::var("ANSWER_COST_ONLY").is_ok_and(|only| only != what) {
        return;
    }
    let best = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            assert_eq!(measured(load, view), QUESTIONS);
            start.elapsed().as_nanos() as usize / QUESTIONS
        })
        .min();
    println!("{what}: {} ns", best.expect("rounds"));
}

#[test]
fn cost_of_one_answer() {
    let names: usize = std::env::var("ANSWER_COST_NAMES").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000);
    let key = HashKey::from_bytes([5; 16]);
    let apex: Name = "example.com".parse().expect("a name");
    let mut builder = Builder::new(apex.clone(), key, Limits::default());
    let mut add = |owner: &str, rtype, rdata: &[u8]| {
        let owner: Name = owner.parse().expect("a name");
        builder.add(RecordRef { owner: owner.as_wire(), rtype, ttl: 300, rdata }).expect("a record");
    };
    let soa = [&b"\x02ns\x07example\x03com\x00\x04host\x07example\x03com\x00"[..], &[0, 0, 0, 9].repeat(5)].concat();
    add("example.com", RecordType::SOA, &soa);
    add("example.com", RecordType::NS, b"\x02ns\x07example\x03com\x00");
    for i in 0..names {
        add(&format!("host-{i}.example.com"), RecordType::A, &(i as u32).to_be_bytes());
    }
    for i in 0..names / 10 {
        let ns = format!("ns.child-{i}.sub.example.com");
        add(&format!("child-{i}.sub.example.com"), RecordType::NS, ns.parse::<Name>().expect("a name").as_wire());
        add(&ns, RecordType::A, &(i as u32).to_be_bytes());
    }
    let snapshot = builder.finish(None).expect("a zone").0;
    let (mut publisher, handle) = Publisher::new(key);
    let slot = publisher.add_zones([(ZoneId(1), apex)]).remove(0);
    publisher.publish(&slot, Arc::new(snapshot));
    let view = handle.load();

    let mut positive = Load::new((0, 1), |i| (format!("host-{}.example.com", i % names), RecordType::A));
    time("positive", &mut positive, &view);
    let mut absent = Load::new((3, 0), |i| (format!("nobody-{i}.example.com"), RecordType::A));
    time("nxdomain", &mut absent, &view);
    let mut without = Load::new((0, 0), |i| (format!("host-{}.example.com", i % names), RecordType::MX));
    time("nodata", &mut without, &view);
    let mut below = Load::new((0, 0), |i| (format!("www.child-{}.sub.example.com", i % (names / 10)), RecordType::A));
    time("referral", &mut below, &view);
}
