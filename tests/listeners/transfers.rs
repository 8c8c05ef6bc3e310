//! Transfers to the next tier: BEHAVIOUR O1 and O2, T5.

use std::io::Write;
use std::net::TcpStream;

use secondaryd::dns::edns::{ExtendedError, Opt};
use secondaryd::dns::message::{self, Header, Rcode};
use secondaryd::dns::tsig::{self, StreamVerifier};
use secondaryd::dns::{Record, RecordType, Serial};
use secondaryd::net::counters::TransferOutcome;
use secondaryd::net::{Options, TcpLimits};
use secondaryd::time::Timestamp;
use secondaryd::transfer::inbound::{Asked, Inbound, Progress, Received};
use secondaryd::zone::{Limits, apply};

use super::setup::{KEY, Server, exchange, framed, key, name, query, rcode, read_framed, records, snapshot, version};

/// Reads an answer to its end by the same rules as our own transfers in.
fn receive(stream: &mut TcpStream, asked: Asked, id: u16, mut verifier: Option<StreamVerifier>) -> Received {
    let mut inbound = Inbound::new(name("example"), asked, id, KEY, Limits::default());
    loop {
        let message = read_framed(stream).expect("a message");
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
    inbound.finish().expect("received")
}

fn soa(serial: u32) -> Record {
    records(&version(serial), &name("example")).remove(0)
}

fn zone_of(received: Received) -> Vec<Record> {
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
fn axfr_sends_the_zone_signed_or_not_and_queries_behind_it_are_answered() {
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
        assert_eq!(zone_of(receive(&mut stream, Asked::Axfr, 5, verifier)), expected);
        assert_eq!(read_framed(&mut stream).expect("a reply")[..2], [0, 6]);
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
