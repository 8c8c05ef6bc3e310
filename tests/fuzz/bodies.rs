//! What is fuzzed: each body takes any octets and panics if something is wrong. Used by the ordinary test beside this file
//! and by libFuzzer (`tests/fuzz/Cargo.toml`).

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use secondaryd::answer::{self, Client, Cookies, Identity, Outcome, Workspace};
use secondaryd::dns::message::{self, HEADER_OCTETS, Header};
use secondaryd::dns::{Name, RecordRef, RecordType, zonefile};
use secondaryd::net::{Listeners, Options, Policy, Proxies, Services};
use secondaryd::served::{Publisher, Transport, View, ViewHandle, ZoneId, inbox};
use secondaryd::time::Timestamp;
use secondaryd::transfer::inbound::{Asked, Inbound, Progress};
use secondaryd::zone::{Builder, HashKey, Limits, Snapshot};

const KEY: HashKey = HashKey::from_bytes([6; 16]);
const CLIENT: ([u8; 4], u16) = ([192, 0, 2, 1], 5353);
const FIXTURES: [&str; 6] =
    ["ordinary", "delegations", "all-types", "signed-nsec", "signed-nsec3", "signed-nsec3-closed"];

/// Octets -> a query -> a reply over each transport that is a sound message and no longer than it may be.
pub(crate) fn answer(data: &[u8]) {
    thread_local! {
        static STAGE: (Publisher, Arc<ViewHandle>) = fixtures();
        static WORK: RefCell<Workspace> = RefCell::default();
    }
    STAGE.with(|(_, view)| {
        WORK.with_borrow_mut(|work| {
            for transport in [Transport::Udp, Transport::Tcp, Transport::Tls] {
                respond(&view.load(), work, transport, data);
            }
        });
    });
}

/// Octets -> a zone, as records in a row, and questions about it: whatever is in it, replies are sound messages.
pub(crate) fn zone(data: &[u8]) {
    let mut octets = data.iter().copied();
    let mut next = move || octets.next();
    let apex: Name = "z".parse().expect("a name");
    let mut builder = Builder::new(apex.clone(), KEY, Limits::default());
    let soa = [&b"\x01m\x00\x01r\x00"[..], &[0, 0, 0, 9].repeat(5)].concat();
    let mut add = |owner: &Name, rtype, ttl, rdata: &[u8]| {
        // what the builder refuses, transfers refuse too
        let _ = builder.add(RecordRef { owner: owner.as_wire(), rtype, ttl, rdata });
    };
    add(&apex, RecordType::SOA, 60, &soa);
    let mut owners = vec![apex.clone()];
    while let (Some(shape), Some(kind)) = (next(), next()) {
        let mut relative = Vec::new();
        for label in 0..shape & 3 {
            relative.extend_from_slice(
                [&b"\x01a"[..], b"\x01*", b"\x01b", b"\x03www"][usize::from(shape >> (2 + 2 * label) & 3)],
            );
        }
        let Ok(owner) = Name::from_relative(&relative, &apex) else { continue };
        let target = &owners[usize::from(kind >> 4) % owners.len()];
        let len = usize::from(next().unwrap_or(0));
        let mut many: Vec<u8> = std::iter::from_fn(&mut next).take(len).collect();
        let (rtype, rdata) = match kind & 15 {
            0..=2 => (RecordType::A, [&many[..], &[0; 4]].concat()[..4].to_vec()),
            3 => (RecordType::NS, target.as_wire().to_vec()),
            4 => (RecordType::CNAME, target.as_wire().to_vec()),
            5 => (RecordType::DNAME, target.as_wire().to_vec()),
            6 => (RecordType::MX, [&[0, 5], target.as_wire()].concat()),
            7 => {
                many.truncate(255);
                (RecordType::TXT, [&[many.len() as u8][..], &many].concat())
            }
            8 => (RecordType::DS, [&[0, 1, 8, 2][..], &many].concat()),
            9 => (
                RecordType::RRSIG,
                [&[0, kind, 8, 2, 0, 0, 0, 9, 0, 0, 0, 9, 0, 0, 0, 9, 0, 1][..], apex.as_wire(), &many].concat(),
            ),
            10 => (RecordType::NSEC, [target.as_wire(), &[0, 1, 0x40]].concat()),
            11 => (RecordType::NSEC3PARAM, vec![1, 0, 0, kind & 3, 0]),
            12 => (RecordType::NSEC3, [&[1, 1, 0, 0, 0, 20][..], &[kind; 20], &[0, 1, 0x40]].concat()),
            _ => (RecordType(u16::from(kind) << 8 | 0xf0), many),
        };
        add(&owner, rtype, u32::from(kind), &rdata);
        owners.push(owner);
    }
    let Ok((snapshot, _)) = builder.finish(None) else { return };
    let (mut publisher, view) = Publisher::new(KEY);
    publish(&mut publisher, 1, &apex, snapshot);
    let mut work = Workspace::new();
    for owner in &owners {
        for name in [Some(owner.clone()), Name::from_relative(b"\x01n\x01*", owner).ok()].into_iter().flatten() {
            for qtype in [1, 5, 15, 16, 43, 46, 255] {
                let mut opt = secondaryd::dns::edns::Opt::default();
                opt.dnssec_ok = true;
                let query = message::query(7, &name, RecordType(qtype), Some(&opt).filter(|_| qtype != 15));
                respond(&view.load(), &mut work, Transport::Udp, &query);
                respond(&view.load(), &mut work, Transport::Tcp, &query);
            }
        }
    }
}

/// Octets on a connection, in segments that they decide themselves: what comes back are whole frames with whole messages,
/// and the server goes on.
pub(crate) fn framing(data: &[u8]) {
    static SERVER: OnceLock<SocketAddr> = OnceLock::new();
    let address = *SERVER.get_or_init(serve);
    let mut stream = TcpStream::connect(address).expect("the server lives");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("timeout");
    stream.set_nodelay(true).expect("nodelay");
    let mut rest = data;
    while let Some((&first, _)) = rest.split_first() {
        let (segment, behind) = rest.split_at(rest.len().min(1 + usize::from(first % 97)));
        // the server may have closed already: it owes nothing to rubbish
        if stream.write_all(segment).is_err() {
            break;
        }
        rest = behind;
    }
    let _ = stream.shutdown(Shutdown::Write);
    let mut replies = Vec::new();
    let _ = stream.read_to_end(&mut replies);
    let mut at = 0;
    while let Some(&[high, low]) = replies.get(at..at + 2) {
        let end = at + 2 + usize::from(u16::from_be_bytes([high, low]));
        // a close with octets unread can cut the last one off
        let Some(reply) = replies.get(at + 2..end) else { break };
        check(reply);
        at = end;
    }
}

/// Octets as the frames of a transfer in: it ends, fails, or asks for more, and what it builds is a zone.
pub(crate) fn transfer(data: &[u8]) {
    let apex: Name = "z".parse().expect("a name");
    let mut inbound = Inbound::new(apex, Asked::Axfr, 0x0005, KEY, Limits::default());
    let mut rest = data;
    while let Some((&[high, low], behind)) = rest.split_first_chunk::<2>() {
        let len = usize::from(u16::from_be_bytes([high, low])).min(behind.len());
        let (frame, behind) = behind.split_at(len);
        rest = behind;
        match inbound.message(frame) {
            Ok(Progress::More) => {}
            Ok(Progress::Done) => {
                let _ = inbound.finish();
                return;
            }
            Err(_) => return,
        }
    }
}

fn fixtures() -> (Publisher, Arc<ViewHandle>) {
    let (mut publisher, view) = Publisher::new(KEY);
    for (id, fixture) in FIXTURES.iter().enumerate() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let name = Path::new("fixtures/zones").join(fixture).with_extension("zone");
        // libFuzzer's package lies two directories further down
        let path = [folder.join(&name), folder.join("../..").join(&name)].into_iter().find(|path| path.exists());
        let text = std::fs::read(path.expect("the fixtures")).expect("a zone");
        let apex: Name = format!("{fixture}.example").parse().expect("a name");
        let mut builder = Builder::new(apex.clone(), KEY, Limits::default());
        for record in zonefile::parse(text, &apex).expect("records") {
            builder.add(record.borrow()).expect("a record");
        }
        publish(&mut publisher, id as u32, &apex, builder.finish(None).expect("a zone").0);
    }
    (publisher, view)
}

fn publish(publisher: &mut Publisher, id: u32, apex: &Name, snapshot: Snapshot) {
    let slot = publisher.add_zones([(ZoneId(id), apex.clone())]).remove(0);
    publisher.publish(&slot, Arc::new(snapshot));
}

/// Listeners of the fixtures that live as long as the process.
fn serve() -> SocketAddr {
    let (publisher, view) = fixtures();
    let (sender, _) = inbox::inbox(1, Box::new(|| {}));
    let services = Services {
        view,
        policy: Arc::new(Policy::default()),
        inbox: sender,
        outbound: Arc::new(|_, _| Box::pin(async { None })),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("runtime");
    let proxies = Proxies::new(vec!["127.0.0.0/8".parse().expect("a prefix")]);
    let options = Options { workers: 1, pin: false, proxies, ..Options::default() };
    let listeners = Listeners::bind(&[SocketAddr::from(([127, 0, 0, 1], 0))], options).expect("bound");
    let running = listeners.start(services, runtime.handle()).expect("started");
    let address = running.addresses()[0];
    // never stopped: the process ends with the fuzzing
    std::mem::forget((publisher, running, runtime));
    address
}

fn respond(view: &View, work: &mut Workspace, transport: Transport, query: &[u8]) {
    let query = &query[..query.len().min(4096)];
    let mut buffer = vec![0xee; if transport == Transport::Udp { 4096 } else { 65_535 }];
    buffer[..query.len()].copy_from_slice(query);
    let identity = Identity::default()
        .with_nsid(b"here")
        .with_version(b"fuzzed")
        .with_cookies(Cookies::new(vec![[1; 16]], query.first() == Some(&1)));
    let client = Client {
        identity: &identity,
        now: Timestamp::from_secs(1_800_000_000),
        keepalive: Duration::from_secs(9),
        ..Client::new(transport, SocketAddr::from(CLIENT))
    };
    match answer::respond(view, &client, work, &mut buffer, query.len()) {
        Outcome::Reply(len) => {
            let reply = &buffer[..len];
            assert!(transport != Transport::Udp || len <= 1232, "{len} octets over UDP");
            assert_eq!(reply[..2], query[..2], "the id");
            assert!(reply[2] & 0x80 != 0, "a response");
            check(reply);
            let mut short = reply.to_vec();
            let len = work.shorten(&mut short, len);
            check(&short[..len]);
            assert!(short[2] & 2 != 0, "shortened with TC");
        }
        Outcome::Hand => assert_eq!(&buffer[..query.len()], query, "unchanged"),
        Outcome::Drop => assert!(query.len() < HEADER_OCTETS || query[2] & 0x80 != 0, "silence: {query:02x?}"),
    }
}

/// A reply is walked to its end by its own counts, and every record in it has sound names.
fn check(reply: &[u8]) {
    let header = Header::read(reply).expect("a header");
    let mut at = message::skip_questions(reply, header).expect("a question");
    let count = usize::from(header.answers) + usize::from(header.authorities) + usize::from(header.additionals);
    for record in message::records(reply, at, count) {
        let record = record.unwrap_or_else(|error| panic!("{error}: {reply:02x?}"));
        Name::read(reply, record.owner).expect("an owner");
        at = record.end();
    }
    assert_eq!(at, reply.len(), "octets behind the last record: {reply:02x?}");
}
