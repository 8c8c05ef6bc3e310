//! DNS over TLS (RFC 7858) and transfers over TLS (RFC 9103).

use secondaryd::dns::edns::Opt;
use secondaryd::dns::{RecordType, message};
use secondaryd::net::{Options, TcpLimits};
use secondaryd::transfer::inbound::Asked;

use super::setup::{Server, exchange, framed, name, query, rcode, read_framed, snapshot, version};
use super::transfers::{receive, zone_of};
use std::io::Write;

/// RFC 7858 §3.1 and RFC 9103 §7: TLS 1.2 and 1.3, with ALPN "dot" or without; a client of another protocol is sent away.
#[test]
fn clients_of_both_versions_are_answered_and_those_of_other_protocols_are_not() {
    let server = Server::start();
    let query = query(7, "www.example", RecordType::A);
    let expected = server.udp(&query);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for alpn in [&b"dot"[..], b""] {
            let mut stream = server.certificate.connect(server.tls_address(), &[version], alpn).expect("a session");
            assert_eq!(exchange(&mut stream, &query).as_ref(), Some(&expected));
            assert_eq!(stream.conn.alpn_protocol().unwrap_or_default(), alpn);
        }
        assert!(server.certificate.connect(server.tls_address(), &[version], b"h2").is_err());
    }
    assert_eq!(server.running.as_ref().expect("running").counters().tls().received, 4);
}

/// RFC 8467 §4.1: "servers pad to a multiple of 468 octets"; RFC 7830 §4: only if the query has the option.
#[test]
fn replies_are_padded_over_tls_if_the_client_asks() {
    let server = Server::start();
    let padded =
        message::query(7, &name("www.example"), RecordType::A, Some(&Opt::default().with_option(12, &[0; 40])));
    let plain = message::query(7, &name("www.example"), RecordType::A, Some(&Opt::default()));
    let mut stream = server.tls();
    assert_eq!(exchange(&mut stream, &padded).expect("a reply").len(), 468);
    assert!(exchange(&mut stream, &plain).expect("a reply").len() < 100);
    // clear text is not padded: there is nothing to hide
    assert!(exchange(&mut server.tcp(), &padded).expect("a reply").len() < 100);
    let reply = exchange(&mut stream, &padded).expect("a reply");
    assert!(hickory_proto::op::Message::from_vec(&reply).is_ok());
}

/// RFC 7828 §3.2.2: the server says how long an idle connection is kept, in units of 100 ms; §3.2.1: never over UDP.
#[test]
fn keepalive_is_answered_on_connections_only() {
    let tcp = TcpLimits { idle: std::time::Duration::from_millis(12_340), ..TcpLimits::default() };
    let server = Server::with(&["127.0.0.1:0"], Options { workers: 1, pin: false, tcp, ..Options::default() });
    let query = message::query(7, &name("www.example"), RecordType::A, Some(&Opt::default().with_option(11, b"")));
    let keepalive = |reply: &[u8]| Opt::find(reply).expect("sound").expect("EDNS").option(11).map(<[u8]>::to_vec);
    assert_eq!(keepalive(&exchange(&mut server.tcp(), &query).expect("a reply")), Some(vec![0, 123]));
    assert_eq!(keepalive(&exchange(&mut server.tls(), &query).expect("a reply")), Some(vec![0, 123]));
    assert_eq!(keepalive(&server.udp(&query)), None);
}

#[test]
fn a_zone_is_transferred_over_tls() {
    let server = Server::start();
    let mut stream = server.tls();
    stream.write_all(&framed(&message::query(5, &name("example"), RecordType::AXFR, None))).expect("written");
    let records = zone_of(receive(&mut stream, Asked::Axfr, 5, None));
    assert_eq!(records.len() as u64, snapshot(&name("example"), &version(2)).records().count() as u64);
}

#[test]
fn a_renewed_certificate_is_shown_to_new_connections_and_a_broken_one_to_nobody() {
    let server = Server::start();
    let query = query(7, "www.example", RecordType::A);
    let mut old = server.tls();
    server.certificate.renew();
    let (certificate, key) = &server.certificate.files;
    assert!(server.certificate.connect(server.tls_address(), &[&rustls::version::TLS13], b"dot").is_err());
    server.certificate.identity.reload(certificate, key).expect("read");
    assert_eq!(rcode(&exchange(&mut server.tls(), &query).expect("a reply")), 0);
    assert_eq!(rcode(&exchange(&mut old, &query).expect("the old session goes on")), 0);

    let good = std::fs::read(key).expect("a key");
    std::fs::write(key, "no key").expect("written");
    let error = server.certificate.identity.reload(certificate, key).expect_err("refused").to_string();
    assert!(error.contains("key.pem"), "{error}");
    std::fs::write(key, good).expect("written");
    assert_eq!(rcode(&exchange(&mut server.tls(), &query).expect("a reply")), 0);
}

/// RFC 9210 §4: the bounds on connections count those under TLS too, and a handshake that does not come ends.
#[test]
fn limits_hold_for_tls_as_for_tcp() {
    let idle = std::time::Duration::from_millis(200);
    let tcp = TcpLimits { connections_per_client_max: 2, idle, ..TcpLimits::default() };
    let server = Server::with(&["127.0.0.1:0"], Options { workers: 1, pin: false, tcp, ..Options::default() });
    let mut silent = std::net::TcpStream::connect(server.tls_address()).expect("connected");
    silent.set_read_timeout(Some(super::setup::PATIENCE)).expect("timeout");
    assert_eq!(std::io::Read::read(&mut silent, &mut [0; 8]).unwrap_or(0), 0, "closed without a handshake");
    let query = query(7, "www.example", RecordType::A);
    let (mut first, mut second) = (server.tls(), server.tcp());
    assert!(exchange(&mut first, &query).is_some() && exchange(&mut second, &query).is_some());
    assert!(server.certificate.connect(server.tls_address(), &[&rustls::version::TLS13], b"dot").is_err());
    assert!(read_framed(&mut first).is_none(), "closed after the idle time");
}
