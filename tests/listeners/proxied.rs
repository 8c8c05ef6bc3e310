//! PROXY protocol version 2: BEHAVIOUR N14 "the proxied address is what the ACL sees, and the proxy must be listed".

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use secondaryd::access::{Kind, PrimaryAccess, ZoneAccess};
use secondaryd::dns::{RecordType, message};
use secondaryd::net::{Options, Proxies};
use secondaryd::served::{Notice, ZoneId};

use super::setup::{PATIENCE, Server, exchange, framed, name, query, rcode, read_framed};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The header in which a proxy says it speaks for `client`; `None`: for itself.
fn header(client: Option<SocketAddr>, udp: bool) -> Vec<u8> {
    let protocol = if udp { 2 } else { 1 };
    let (head, addresses) = match client {
        None => ([0x20, 0], Vec::new()),
        Some(SocketAddr::V4(client)) => {
            let [p0, p1] = client.port().to_be_bytes();
            ([0x21, 0x10 | protocol], [&client.ip().octets()[..], &[127, 0, 0, 1], &[p0, p1, 0, 53]].concat())
        }
        Some(SocketAddr::V6(client)) => {
            let [p0, p1] = client.port().to_be_bytes();
            ([0x21, 0x20 | protocol], [&client.ip().octets()[..], &[0; 16], &[p0, p1, 0, 53]].concat())
        }
    };
    // and a value that nobody knows, behind the addresses
    let rest = [&addresses[..], if client.is_some() { &[0xe0, 0, 2, 7, 7] } else { &[] }].concat();
    [SIGNATURE, &head, &(rest.len() as u16).to_be_bytes(), &rest].concat()
}

fn listed(proxies: &str) -> Server {
    let proxies = Proxies::new(vec![proxies.parse().expect("a prefix")]);
    let server = Server::with(&["127.0.0.1:0"], Options { workers: 1, pin: false, proxies, ..Options::default() });
    // only the client behind the proxy is a primary, and may ask
    let access = ZoneAccess {
        kind: Kind::Secondary,
        primaries: [PrimaryAccess { address: "192.0.2.77".parse().expect("an address"), key: None }].into(),
        allow_notify: [].into(),
        allow_transfer: ["2001:db8::/32".parse().expect("a rule")].into(),
        allow_query: Some(["192.0.2.77".parse().expect("a rule")].into()),
    };
    server.policy.set_zone(ZoneId(0), access.into());
    server.publisher.set_restricted(&server.slots[0], true);
    server
}

fn client(text: &str) -> Option<SocketAddr> {
    Some(text.parse().expect("an address"))
}

#[test]
fn over_udp_the_proxied_address_is_the_one_that_counts() {
    let server = listed("127.0.0.0/8");
    let query = query(7, "www.example", RecordType::A);
    let via = |who| server.udp(&[header(who, true), query.clone()].concat());
    assert_eq!(rcode(&via(client("192.0.2.77:1234"))), 0);
    assert_eq!(rcode(&via(client("192.0.2.78:1234"))), 5, "REFUSED");
    assert_eq!(rcode(&via(None)), 5, "the proxy itself may not ask");
    assert_eq!(rcode(&server.udp(&query)), 5, "nor without a header");
    let notify = message::notify(0x4711, &name("example"), None, None);
    let reply = server.udp(&[header(client("192.0.2.77:4000"), true), notify].concat());
    assert_eq!(rcode(&reply), 0);
    let next = || server.notices.wait(PATIENCE).expect("workers live").expect("a notice");
    let from = loop {
        // What was refused before is told too.
        if let Notice::Notify { from, .. } = next() {
            break from;
        }
    };
    assert_eq!(Some(from), client("192.0.2.77:4000"));
}

#[test]
fn over_tcp_and_tls_the_header_comes_first_be_it_in_pieces() {
    let server = listed("127.0.0.0/8");
    let query = query(7, "www.example", RecordType::A);
    for (who, expected) in [(client("192.0.2.77:1"), 0), (client("192.0.2.78:1"), 5), (None, 5)] {
        let mut stream = server.tcp();
        stream.set_nodelay(true).expect("nodelay");
        for piece in header(who, false).chunks(5) {
            stream.write_all(piece).expect("written");
        }
        assert_eq!(rcode(&exchange(&mut stream, &query).expect("a reply")), expected, "{who:?}");

        let mut stream = TcpStream::connect(server.tls_address()).expect("connected");
        stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
        stream.write_all(&header(who, false)).expect("written");
        let mut stream = server.certificate.secure(stream, &[&rustls::version::TLS13], b"dot").expect("a session");
        assert_eq!(rcode(&exchange(&mut stream, &query).expect("a reply")), expected, "{who:?}");
    }
    let mut stream = server.tcp();
    stream.write_all(&header(client("[2001:db8::9]:1"), false)).expect("written");
    stream.write_all(&framed(&message::query(5, &name("example"), RecordType::AXFR, None))).expect("written");
    assert_eq!(rcode(&read_framed(&mut stream).expect("a transfer")), 0);
    // without a header the proxy speaks for itself
    assert_eq!(rcode(&exchange(&mut server.tcp(), &query).expect("a reply")), 5);
}

#[test]
fn nobody_else_speaks_for_others() {
    let server = listed("192.0.2.0/24");
    let query = query(7, "www.example", RecordType::A);
    let reply = server.udp(&[header(client("192.0.2.77:1234"), true), query.clone()].concat());
    assert_eq!(rcode(&reply), 4, "an inverse query, as it looks: NOTIMP");
    let mut stream = server.tcp();
    stream.write_all(&[header(client("192.0.2.77:1"), false), framed(&query)].concat()).expect("written");
    stream.shutdown(std::net::Shutdown::Write).expect("closed");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("closed");
    assert!(rest.is_empty(), "a frame of 3,338 octets that never comes");
    assert_eq!(server.running.as_ref().expect("running").counters().tcp().received, 0);
}

/// A proxy that goes away in the middle of its header is gone: nothing waits for the rest.
#[test]
fn a_header_that_is_cut_off_ends_the_connection_at_once() {
    let server = listed("127.0.0.0/8");
    let whole = header(client("192.0.2.77:1"), false);
    for octets in [0, 1, 11, 15, 16, whole.len() - 1] {
        let mut stream = server.tcp();
        stream.write_all(&whole[..octets]).expect("written");
        stream.shutdown(std::net::Shutdown::Write).expect("closed");
        assert_eq!(stream.read(&mut [0; 8]).expect("the end, before any time limit"), 0, "{octets} octets");
    }
}

/// A message of 3,338 octets begins like a header. It is read whole, whoever sends it.
#[test]
fn a_message_whose_length_looks_like_a_header_is_a_message() {
    let server = listed("127.0.0.0/8");
    let mut long = query(7, "www.example", RecordType::A);
    long.resize(0x0d0a, 0);
    let mut stream = server.tcp();
    let reply = exchange(&mut stream, &long).expect("a reply");
    assert_eq!(rcode(&reply), 1, "octets behind the question: FORMERR");
}

/// Headers that begin right and go wrong cost nobody else anything.
#[test]
fn broken_headers_are_not_answered() {
    let server = listed("127.0.0.0/8");
    let mut broken = header(client("192.0.2.77:1234"), true);
    broken[12] = 0x31;
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.send_to(&broken, server.address()).expect("sent");
    let mut stream = server.tcp();
    stream.write_all(&broken).expect("written");
    assert_eq!(stream.read(&mut [0; 8]).unwrap_or(0), 0, "closed");
    let good = [header(client("192.0.2.77:1234"), true), query(7, "www.example", RecordType::A)].concat();
    assert_eq!(rcode(&server.udp(&good)), 0);
    assert_eq!(server.running.as_ref().expect("running").counters().udp().dropped, 1);
}
