//! NOTIFY and TSIG through the cold path: BEHAVIOUR N1 to N6 and N10.

use std::net::UdpSocket;
use std::sync::Arc;

use hickory_proto::op::Message;
use secondaryd::answer::{Cookies, Identity};
use secondaryd::dns::edns::{ExtendedError, Opt};
use secondaryd::dns::message::{self, Header, Rcode};
use secondaryd::dns::tsig::{self, StreamVerifier};
use secondaryd::dns::{RecordType, Serial};
use secondaryd::net::counters::{NotifyOutcome, TransferOutcome};
use secondaryd::served::{Notice, RefusedFor, Transport, ZoneId};
use secondaryd::time::Timestamp;

use super::setup::{PATIENCE, Server, exchange, key, name, query, rcode, receive, records};

fn notify(zone: &str, hint: Option<u32>, edns: bool) -> Vec<u8> {
    let soa = hint.map(|serial| records(&format!("@ 60 SOA m r {serial} 2 3 4 5"), &name(zone)).remove(0));
    message::notify(0x4711, &name(zone), soa.as_ref(), edns.then(Opt::default).as_ref())
}

fn error_of(reply: &[u8]) -> Option<u16> {
    let opt = Opt::find(reply).expect("a sound reply")?;
    opt.option(15).map(|value| u16::from_be_bytes([value[0], value[1]]))
}

/// N1: "a NOERROR answer with QR and AA set, same id, same question, empty other sections, and starts a refresh at once";
/// N5: the hint is passed on; N6: without SOA it is normal; N10: UDP, TCP and TLS.
#[test]
fn a_notify_from_a_primary_is_acknowledged_and_passed_on() {
    let server = Server::start();
    for (hint, transport) in
        [(None, Transport::Udp), (Some(77), Transport::Udp), (None, Transport::Tcp), (Some(u32::MAX), Transport::Tls)]
    {
        let request = notify("EXAMPLE", hint, false);
        let reply = match transport {
            Transport::Udp => server.udp(&request),
            Transport::Tcp => exchange(&mut server.tcp(), &request).expect("a reply"),
            Transport::Tls => exchange(&mut server.tls(), &request).expect("a reply"),
        };
        assert_eq!(reply[..4], [0x47, 0x11, 0x80 | 4 << 3 | 4, 0], "id, QR, opcode, AA, NOERROR");
        assert_eq!(reply[4..12], [0, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(reply[12..], request[12..reply.len()], "the question");
        let notice = server.notices.wait(PATIENCE).expect("workers live").expect("a notice");
        let Notice::Notify { zone, from, key, hint: passed, transport: by } = notice else {
            panic!("refused: {notice:?}")
        };
        assert_eq!((zone, key, passed, by), (ZoneId(0), None, hint.map(Serial), transport));
        assert!(from.ip().is_loopback());
    }
    let counters = server.running.as_ref().expect("running").counters();
    assert_eq!(counters.notifies(NotifyOutcome::Accepted), 4);
}

/// N3: "From any other source: REFUSED (with EDE 18 Prohibited if EDNS), no refresh [...] Unknown zone: NOTAUTH (EDE 20).
/// Local (primary) zone: NOTAUTH."
#[test]
fn other_notifies_are_refused_and_told_why() {
    let server = Server::start();
    server.allow(0, "192.0.2.1", None);
    for (zone, rcode, error) in [
        ("example", Rcode::REFUSED, ExtendedError::PROHIBITED),
        ("unknown.example.net", Rcode::NOTAUTH, ExtendedError::NOT_AUTHORITATIVE),
        ("www.example", Rcode::NOTAUTH, ExtendedError::NOT_AUTHORITATIVE),
        ("local.example", Rcode::NOTAUTH, ExtendedError::NOT_AUTHORITATIVE),
    ] {
        let reply = server.udp(&notify(zone, Some(9), true));
        assert_eq!(Header::read(&reply).expect("header").rcode(), rcode, "{zone}");
        assert_eq!(error_of(&reply), Some(error.0), "{zone}");
        let plain = server.udp(&notify(zone, Some(9), false));
        assert_eq!((Header::read(&plain).expect("header").rcode(), error_of(&plain)), (rcode, None), "{zone}");
    }
    // Told, once for the zone and source; nothing is to be done.
    let told = server.notices.wait(PATIENCE).expect("workers live");
    assert!(matches!(told, Some(Notice::Refused { zone: ZoneId(0), why: RefusedFor::Source, .. })), "{told:?}");
    assert_eq!(server.notices.try_next(), None);
    let counters = server.running.as_ref().expect("running").counters();
    assert_eq!((counters.notifies(NotifyOutcome::Refused), counters.notifies(NotifyOutcome::NotAuth)), (2, 6));
}

/// N10: "QDCOUNT != 1: FORMERR; QTYPE != SOA: NOTIMP".
#[test]
fn odd_notifies_get_the_error_that_fits() {
    let server = Server::start();
    let mut two = notify("example", None, false);
    two[5] = 2;
    let mut none = notify("example", None, false)[..12].to_vec();
    none[5] = 0;
    let mut of_a = notify("example", None, false);
    let type_at = of_a.len() - 3;
    of_a[type_at] = RecordType::A.0 as u8;
    for (request, rcode) in [(two, Rcode::FORMERR), (none, Rcode::FORMERR), (of_a, Rcode::NOTIMP)] {
        let reply = server.udp(&request);
        assert_eq!(Header::read(&reply).expect("header").rcode(), rcode);
    }
    assert_eq!(server.notices.try_next(), None);
}

/// N4: "If the zone demands a TSIG key: unsigned, or a known valid key that is not allowed here -> REFUSED (signed if the
/// request was)"; "the answer to a signed NOTIFY is signed".
#[test]
fn a_zone_with_a_key_wants_its_notifies_signed_with_it() {
    let server = Server::start();
    server.allow(0, "127.0.0.1", Some("known."));
    assert_eq!(rcode(&server.udp(&notify("example", None, false))), Rcode::REFUSED.0 as u8);
    for (signer, expected) in [("other.", Rcode::REFUSED), ("known.", Rcode::NOERROR)] {
        let mut request = notify("example", Some(5), true);
        let mac = tsig::sign(&mut request, &key(signer), Timestamp::now(), None);
        let reply = server.udp(&request);
        assert_eq!(Header::read(&reply).expect("header").rcode(), expected);
        let mut verifier = StreamVerifier::new(key(signer).into(), mac);
        verifier.verify(&reply, Timestamp::now()).expect("signed by the same key");
        verifier.finish().expect("the last is signed");
    }
    let next = || server.notices.wait(PATIENCE).expect("workers live").expect("a notice");
    // A worker replies before it tells, and each of the requests may have another one.
    let mut notices = [next(), next()];
    notices.sort_by_key(|notice| matches!(notice, Notice::Notify { .. }));
    let [refused, notice] = notices;
    assert!(matches!(refused, Notice::Refused { why: RefusedFor::Unsigned, .. }), "told once a minute, not of each");
    let Notice::Notify { key, hint, .. } = notice else { panic!("refused: {notice:?}") };
    assert_eq!((key, hint), (Some(name("known.")), Some(Serial(5))));
    assert_eq!(server.notices.try_next(), None, "only the last was accepted");
}

/// MAC Size and Error of the TSIG record at the end of `reply` (RFC 8945 §4.2).
fn tsig_of(reply: &[u8]) -> (u16, u16) {
    let header = Header::read(reply).expect("header");
    let at = message::skip_questions(reply, header).expect("question");
    let record = message::records(reply, at, header.additionals.into()).last().expect("a record").expect("sound");
    assert_eq!(record.rtype, RecordType::TSIG);
    let algorithm_end = message::skip_name(reply, record.rdata).expect("algorithm");
    let number = |at: usize| u16::from_be_bytes([reply[at], reply[at + 1]]);
    let mac_octets = number(algorithm_end + 8);
    (mac_octets, number(algorithm_end + 10 + usize::from(mac_octets) + 2))
}

/// N4 with RFC 8945 §5.3.2: "unknown key or algorithm -> NOTAUTH/BADKEY and bad MAC -> NOTAUTH/BADSIG, both with an
/// unsigned TSIG; skewed clock -> NOTAUTH/BADTIME, signed".
#[test]
fn bad_signatures_are_answered_notauth() {
    let server = Server::start();
    let mut unknown = notify("example", None, false);
    tsig::sign(&mut unknown, &key("unknown."), Timestamp::now(), None);
    let mut forged = notify("example", None, false);
    tsig::sign(&mut forged, &key("known."), Timestamp::now(), None);
    forged[0] ^= 1;
    // the id is not covered (Original ID is), so damage the question's class too
    let class_at = 12 + 9 + 3;
    forged[class_at] ^= 2;
    let mut late = notify("example", None, false);
    tsig::sign(&mut late, &key("known."), Timestamp::from_secs(1_000_000), None);
    for (request, error) in [(unknown, 17), (forged, 16), (late, 18)] {
        let reply = server.udp(&request);
        assert_eq!(Header::read(&reply).expect("header").rcode(), Rcode::NOTAUTH);
        let (mac_octets, stated) = tsig_of(&reply);
        assert_eq!(stated, error);
        assert_eq!(mac_octets == 0, error != 18, "only BADTIME is signed");
    }
    assert_eq!(server.notices.try_next(), None);
    assert_eq!(server.running.as_ref().expect("running").counters().notifies(NotifyOutcome::BadSignature), 3);
}

/// RFC 8945 §5.2 is about messages with a TSIG record; what is torn before one is malformed, and no signature is to blame. And
/// a query that is no request for a transfer is none that was refused.
#[test]
fn what_is_wrong_is_counted_as_what_it_is() {
    // given a NOTIFY with a record that ends in the middle, and an ordinary query with a bad signature
    let server = Server::start();
    let mut torn = notify("example", None, true);
    torn.truncate(torn.len() - 6);
    let mut forged = query(3, "www.example", RecordType::A);
    tsig::sign(&mut forged, &key("unknown."), Timestamp::now(), None);
    // when they are answered
    assert_eq!(rcode(&server.udp(&torn)), Rcode::FORMERR.0 as u8);
    assert_eq!(rcode(&server.udp(&forged)), Rcode::NOTAUTH.0 as u8);
    // then the first is malformed and the second no transfer
    let counters = server.running.as_ref().expect("running").counters();
    let notifies = [NotifyOutcome::Malformed, NotifyOutcome::BadSignature].map(|outcome| counters.notifies(outcome));
    assert_eq!((notifies, counters.transfers(TransferOutcome::Refused)), ([1, 0], 0));
}

/// RFC 7873 §5.2.3: the COOKIE option comes back in every response; RFC 6891 §6.1.1: so does an OPT, also where TSIG fails.
#[test]
fn whatever_is_asked_the_reply_has_the_cookie_and_the_opt() {
    // given a server with cookies, and a client that shows one with every kind of request
    let server = Server::start();
    let identity = Identity::default().with_cookies(Cookies::new(vec![[7; 16]], false));
    server.policy.identity.store(Arc::new(identity));
    let opt = Opt::default().with_option(10, b"8 octets");
    let mut unknown = message::notify(1, &name("example"), None, Some(&opt));
    tsig::sign(&mut unknown, &key("unknown."), Timestamp::now(), None);
    let soa = records("@ 60 SOA m r 2 2 3 4 5", &name("example")).remove(0);
    let mut update = message::query(4, &name("example"), RecordType::SOA, Some(&opt));
    update[2] |= 5 << 3;
    for (what, request, expected) in [
        ("NOTIFY", message::notify(1, &name("example"), None, Some(&opt)), 0),
        ("NOTIFY for another", message::notify(1, &name("elsewhere"), None, Some(&opt)), 9),
        ("a bad signature", unknown, 9),
        ("AXFR over UDP", message::query(2, &name("example"), RecordType::AXFR, Some(&opt)), 1),
        ("IXFR", message::ixfr_query(3, &name("example"), &soa, Some(&opt)), 0),
        ("UPDATE", update, 4),
    ] {
        // when it is answered over either transport, then there is a server cookie, the same in an error
        let over_tcp = (what != "AXFR over UDP").then(|| exchange(&mut server.tcp(), &request).expect("a reply"));
        for reply in [Some(server.udp(&request)), over_tcp].into_iter().flatten() {
            assert_eq!(rcode(&reply), expected, "{what}");
            let found = Opt::find(&reply).expect("a sound reply").unwrap_or_else(|| panic!("{what}: no OPT"));
            let cookie = found.option(10).unwrap_or_else(|| panic!("{what}: no cookie"));
            assert_eq!((&cookie[..8], cookie.len()), (&b"8 octets"[..], 24), "{what}");
        }
    }
    // and in the first message of a zone
    let axfr = message::query(5, &name("example"), RecordType::AXFR, Some(&opt));
    let first = exchange(&mut server.tcp(), &axfr).expect("a reply");
    assert!(Opt::find(&first).expect("sound").expect("an OPT").option(10).is_some());
}

/// While zones are being read from the disk it is not known which there are. RFC 1996 §3.6: "a master periodically sends a
/// NOTIFY request to a slave until [...] a response is received", so there is none: what is announced now is heard later.
#[test]
fn while_zones_are_being_loaded_a_notify_waits_and_others_are_put_off() {
    let server = Server::start();
    server.publisher.set_whole(false);
    let client = UdpSocket::bind("127.0.0.1:0").expect("a port");
    client.connect(server.address()).expect("connected");
    client.set_read_timeout(Some(PATIENCE)).expect("timeout");
    for zone in ["example", "not-ours.org"] {
        client.send(&notify(zone, Some(77), false)).expect("sent");
        // one socket is read in order: whatever the NOTIFY got would come before this
        for qtype in [RecordType::AXFR, RecordType::IXFR, RecordType::SOA] {
            let asked = message::query(0x1234, &name(zone), qtype, Some(&Opt::default()));
            client.send(&asked).expect("sent");
            let reply = receive(&client);
            assert_eq!(Header::read(&reply).expect("header").id, 0x1234, "{zone} {qtype}");
            let is_served = zone == "example" && qtype == RecordType::SOA;
            let expected = if is_served { (0, None) } else { (2, Some(ExtendedError::NOT_READY.0)) };
            assert_eq!((rcode(&reply), error_of(&reply)), expected, "{zone} {qtype}");
        }
    }
    assert_eq!(server.notices.try_next(), None);
    server.publisher.set_whole(true);
    assert_eq!(rcode(&server.udp(&notify("example", Some(77), false))), 0);
    assert_eq!(rcode(&server.udp(&query(1, "not-ours.org", RecordType::SOA))), 5);
    assert!(server.notices.wait(PATIENCE).expect("workers live").is_some());
}

#[test]
fn a_signed_query_gets_a_signed_answer_over_every_transport() {
    let server = Server::start();
    for transport in [Transport::Udp, Transport::Tcp, Transport::Tls] {
        let mut request = query(3, "www.example", RecordType::A);
        let mac = tsig::sign(&mut request, &key("known."), Timestamp::now(), None);
        let reply = match transport {
            Transport::Udp => server.udp(&request),
            Transport::Tcp => exchange(&mut server.tcp(), &request).expect("a reply"),
            Transport::Tls => exchange(&mut server.tls(), &request).expect("a reply"),
        };
        assert!(transport.is_stream() || reply.len() <= 512);
        StreamVerifier::new(key("known.").into(), mac).verify(&reply, Timestamp::now()).expect("signed");
        assert_eq!(Message::from_vec(&reply).expect("a message").answers.len(), 1);
    }
}
