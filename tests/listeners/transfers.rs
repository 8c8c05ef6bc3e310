//! Transfers to the next tier: BEHAVIOUR O1 and O2, T5.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use secondaryd::dns::edns::{ExtendedError, Opt};
use secondaryd::dns::message::{self, Header, Rcode};
use secondaryd::dns::tsig::{self, StreamVerifier};
use secondaryd::dns::{Name, Record, RecordType, Serial};
use secondaryd::net::counters::TransferOutcome;
use secondaryd::net::{Options, TcpLimits};
use secondaryd::time::Timestamp;
use secondaryd::transfer::inbound::{Asked, Inbound, Progress, Received};
use secondaryd::zone::{Limits, apply};

use super::setup::{KEY, Server, exchange, framed, key, name, query, rcode, read_framed, records, snapshot, version};

/// Reads an answer to its end by the same rules as our own transfers in.
pub(crate) fn receive(stream: &mut impl Read, asked: Asked, id: u16, verifier: Option<StreamVerifier>) -> Received {
    let (received, others) = receive_among_others(stream, asked, id, verifier);
    assert!(others.is_empty(), "nothing else was asked");
    received
}

/// As above; replies to other queries that come in between are given back.
fn receive_among_others(
    stream: &mut impl Read,
    asked: Asked,
    id: u16,
    mut verifier: Option<StreamVerifier>,
) -> (Received, Vec<Vec<u8>>) {
    let mut others = Vec::new();
    let mut inbound = Inbound::new(name("example"), asked, id, KEY, Limits::default());
    loop {
        let message = read_framed(stream).expect("a message");
        if message[..2] != id.to_be_bytes() {
            others.push(message);
            continue;
        }
        let len = match &mut verifier {
            Some(verifier) => verifier.verify(&message, Timestamp::now()).expect("signed"),
            None => message.len(),
        };
        let mut message = message;
        tsig::cut(&mut message, len);
        match inbound.message(&message).expect("a sound transfer") {
            Progress::More => {}
            Progress::Done => break,
        }
    }
    if let Some(verifier) = verifier {
        verifier.finish().expect("the last is signed");
    }
    (inbound.finish().expect("received"), others)
}

pub(crate) fn soa(serial: u32) -> Record {
    records(&version(serial), &name("example")).remove(0)
}

pub(crate) fn zone_of(received: Received) -> Vec<Record> {
    match received {
        Received::Full(builder) => sorted(&builder.finish(None).expect("a zone").0),
        _ => panic!("not the whole zone"),
    }
}

fn sorted(zone: &secondaryd::zone::Snapshot) -> Vec<Record> {
    let mut records: Vec<Record> = zone.records().collect();
    records.sort_by(|a, b| (&a.owner, a.rtype, &a.rdata).cmp(&(&b.owner, b.rtype, &b.rdata)));
    records
}

#[test]
fn axfr_sends_the_zone_signed_or_not_and_queries_beside_it_are_answered() {
    let server = Server::start();
    let expected = sorted(&snapshot(&name("example"), &version(2)));
    let mut stream = server.tcp();
    for signed in [false, true] {
        let mut request = message::query(5, &name("example"), RecordType::AXFR, Some(&Opt::default()));
        let verifier = signed.then(|| {
            let mac = tsig::sign(&mut request, &key("known."), Timestamp::now(), None);
            StreamVerifier::new(key("known.").into(), mac)
        });
        let behind = query(6, "www.example", RecordType::A);
        stream.write_all(&[framed(&request), framed(&behind)].concat()).expect("written");
        let (received, mut others) = receive_among_others(&mut stream, Asked::Axfr, 5, verifier);
        assert_eq!(zone_of(received), expected);
        let reply = others.pop().unwrap_or_else(|| read_framed(&mut stream).expect("a reply"));
        assert_eq!((&reply[..2], rcode(&reply)), (&[0, 6][..], 0));
    }
    assert_eq!(server.running.as_ref().expect("running").counters().transfers(TransferOutcome::Completed), 2);
}

#[test]
fn ixfr_sends_the_difference_nothing_or_the_whole_zone() {
    let server = Server::start();
    let asked = |serial| Asked::Ixfr { ours: soa(serial) };
    let mut stream = server.tcp();
    let mut ask = |serial| {
        stream.write_all(&framed(&message::ixfr_query(8, &name("example"), &soa(serial), None))).expect("written");
        receive(&mut stream, asked(serial), 8, None)
    };
    match ask(1) {
        Received::Diffs(diffs) => {
            let old = snapshot(&name("example"), &version(1));
            let (new, _) = apply(&old, &diffs).expect("applies");
            assert_eq!(sorted(&new), sorted(&snapshot(&name("example"), &version(2))));
        }
        _ => panic!("not a difference"),
    }
    assert!(matches!(ask(2), Received::UpToDate { serial: Serial(2) }));
    assert_eq!(zone_of(ask(0)).len(), 405, "no history: the whole zone");
}

/// O1: "TCP only (UDP -> FORMERR), refused by default"; O2: over UDP "single SOA when it does not fit"; T5: an expired zone
/// "answers SERVFAIL (EDE 24 Invalid Data), to AXFR/IXFR requests too".
#[test]
fn transfers_that_are_not_given_say_why() {
    let server = Server::start();
    let axfr = |zone: &str| message::query(5, &name(zone), RecordType::AXFR, Some(&Opt::default()));
    assert_eq!(rcode(&server.udp(&axfr("example"))), Rcode::FORMERR.0 as u8);

    let lone = server.udp(&message::ixfr_query(8, &name("example"), &soa(1), None));
    let header = Header::read(&lone).expect("header");
    assert_eq!((header.rcode(), header.answers, header.authorities), (Rcode::NOERROR, 1, 0));

    server.allow(1, "127.0.0.1", None);
    let mut stream = server.tcp();
    for (zone, rcode, error) in [
        ("expired.example", Rcode::SERVFAIL, ExtendedError::INVALID_DATA),
        ("local.example", Rcode::REFUSED, ExtendedError::PROHIBITED),
        ("www.example", Rcode::NOTAUTH, ExtendedError::NOT_AUTHORITATIVE),
    ] {
        let reply = exchange(&mut stream, &axfr(zone)).expect("a reply");
        assert_eq!(Header::read(&reply).expect("header").rcode(), rcode, "{zone}");
        let opt = Opt::find(&reply).expect("sound").expect("EDNS");
        assert_eq!(opt.option(15), Some(&error.0.to_be_bytes()[..]), "{zone}");
    }
    let mut no_soa = query(9, "example", RecordType::IXFR);
    no_soa[9] = 0;
    assert_eq!(rcode(&exchange(&mut stream, &no_soa).expect("a reply")), Rcode::FORMERR.0 as u8);
}

#[test]
fn one_transfer_too_many_is_told_to_come_back() {
    let tcp = TcpLimits { transfers_max: 0, ..TcpLimits::default() };
    let server = Server::with(&["127.0.0.1:0"], Options { workers: 1, pin: false, tcp, ..Options::default() });
    let reply = exchange(&mut server.tcp(), &query(5, "example", RecordType::AXFR)).expect("a reply");
    assert_eq!(rcode(&reply), Rcode::SERVFAIL.0 as u8);
    assert_eq!(server.running.as_ref().expect("running").counters().transfers(TransferOutcome::Unavailable), 1);
}

/// Some megabytes: more than the buffers of a connection hold.
fn serve_large_zone(server: &Server) -> Name {
    let apex = name("example");
    let text: String = (0..40_000).map(|i| format!("more-{i} TXT \"{}\"\n", "y".repeat(200))).collect();
    server.publisher.publish(&server.slots[0], snapshot(&apex, &(version(2) + &text)).into());
    apex
}

/// RFC 7766 §6.2.1.1: "responses SHOULD be sent as soon as they are available": the answer to a query behind a transfer does
/// not wait for its end, which the downstream decides by how fast it reads.
#[test]
fn a_query_behind_a_long_transfer_is_answered_before_its_end() {
    // given a large zone
    let server = Server::start();
    let apex = serve_large_zone(&server);
    let mut stream = server.tcp();
    // when it is asked for, and then something else, and after both the first message has been read
    let request = message::query(5, &apex, RecordType::AXFR, None);
    stream.write_all(&framed(&request)).expect("written");
    let first = read_framed(&mut stream).expect("the first message");
    let answers = |message: &[u8]| usize::from(u16::from_be_bytes([message[6], message[7]]));
    let mut records = answers(&first);
    stream.write_all(&framed(&query(6, "www.example", RecordType::A))).expect("written");
    // then its reply stands between messages of the transfer
    let (mut before, mut behind, mut answered) = (0, 0, false);
    while records < 40_406 {
        let message = read_framed(&mut stream).expect("a message");
        if message[..2] == [0, 6] {
            answered = true;
            continue;
        }
        records += answers(&message);
        *(if answered { &mut behind } else { &mut before }) += 1;
    }
    assert!(answered && behind > 0, "{before} messages before the reply, {behind} behind it");
}

/// RFC 5936 §6 leaves the pace to the client: one that takes little, but takes it all the time, is not one that has stopped.
#[test]
fn a_downstream_that_reads_slowly_all_the_time_is_not_cut_off() {
    // given a large zone, and two seconds for a client that takes nothing
    let tcp = TcpLimits { write: Duration::from_secs(2), ..TcpLimits::default() };
    let server = Server::with(&["127.0.0.1:0"], Options { workers: 1, pin: false, tcp, ..Options::default() });
    let apex = serve_large_zone(&server);
    // when a downstream with a small buffer takes some 160 kB/s for three times as long
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(32 * 1024).expect("a small buffer");
    socket.connect(&server.address().into()).expect("connected");
    let mut stream = std::net::TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("timeout");
    stream.write_all(&framed(&message::query(5, &apex, RecordType::AXFR, None))).expect("written");
    let begun = Instant::now();
    let mut early = Vec::new();
    while begun.elapsed() < Duration::from_secs(6) {
        let mut some = [0; 4096];
        let octets = stream.read(&mut some).expect("not cut off");
        assert!(octets > 0, "not cut off");
        early.extend_from_slice(&some[..octets]);
        std::thread::sleep(Duration::from_millis(25));
    }
    // then the zone comes whole
    let mut stream = early.as_slice().chain(&mut stream);
    let whole = receive(&mut stream, Asked::Axfr, 5, None);
    assert!(matches!(whole, Received::Full(_)));
}

/// RFC 9103 §6.4: several transfers are asked for on one connection at once; each is whole.
#[test]
fn transfers_asked_for_at_once_on_one_connection_are_all_sent() {
    let server = Server::start();
    let mut stream = server.tls();
    let all: Vec<u8> =
        (10..15).flat_map(|id| framed(&message::query(id, &name("example"), RecordType::AXFR, None))).collect();
    stream.write_all(&all).expect("written");
    let mut soas = [0; 5];
    while soas.iter().any(|count| *count < 2) {
        let message = hickory_proto::op::Message::from_vec(&read_framed(&mut stream).expect("a message"));
        let message = message.expect("a sound message");
        let of_type_soa =
            |record: &&hickory_proto::rr::Record| record.record_type() == hickory_proto::rr::RecordType::SOA;
        soas[usize::from(message.metadata.id) - 10] += message.answers.iter().filter(of_type_soa).count();
    }
    assert_eq!(soas, [2; 5]);
}

/// RFC 7314 §3.2: "In the case of a secondary server, the EXPIRE option ... contains the remaining time", in the answer to
/// SOA, AXFR and IXFR.
#[test]
fn downstreams_learn_how_long_the_zone_lives() {
    let server = Server::start();
    let now = Timestamp::now();
    server.publisher.set_expires(&server.slots[0], Some(now + Duration::from_secs(1000)));
    let opt = Opt::default().with_option(9, b"");
    let mut stream = server.tcp();
    for qtype in [RecordType::SOA, RecordType::AXFR] {
        let reply = exchange(&mut stream, &message::query(5, &name("example"), qtype, Some(&opt))).expect("a reply");
        let expire = Opt::find(&reply).expect("sound").expect("EDNS").expire().expect("EXPIRE");
        assert!((900..=1000).contains(&expire), "{qtype}: {expire}");
        stream = server.tcp();
    }
    let a = message::query(5, &name("www.example"), RecordType::A, Some(&opt));
    let reply = exchange(&mut stream, &a).expect("a reply");
    assert_eq!(Opt::find(&reply).expect("sound").expect("EDNS").expire(), None);
}
