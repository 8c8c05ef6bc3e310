//! Ordinary queries.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use hickory_proto::op::Message;
use secondaryd::dns::RecordType;
use secondaryd::net::{Options, RateLimit, TcpLimits};

use super::setup::{PATIENCE, Server, exchange, framed, query, rcode, read_framed, receive};

#[test]
fn both_transports_give_the_same_answer() {
    let server = Server::start();
    let query = query(0x1234, "www.example", RecordType::A);
    let reply = server.udp(&query);
    assert_eq!(exchange(&mut server.tcp(), &query).as_ref(), Some(&reply));
    let message = Message::from_vec(&reply).expect("a message");
    assert_eq!((message.metadata.id, message.answers.len(), message.metadata.authoritative), (0x1234, 1, true));
}

#[test]
fn every_client_gets_its_own_answer_and_the_counters_add_up() {
    let mut server = Server::start();
    let clients: Vec<_> = (0..200).map(|_| UdpSocket::bind("127.0.0.1:0").expect("a port")).collect();
    for (id, client) in clients.iter().enumerate() {
        client.set_read_timeout(Some(PATIENCE)).expect("timeout");
        let qname = if id % 2 == 0 { "www.example" } else { "nowhere.example" };
        client.send_to(&query(id as u16, qname, RecordType::A), server.address()).expect("sent");
    }
    for (id, client) in clients.iter().enumerate() {
        let reply = receive(client);
        assert_eq!(u16::from_be_bytes([reply[0], reply[1]]), id as u16);
        assert_eq!(rcode(&reply), if id % 2 == 0 { 0 } else { 3 });
    }
    let counters = std::sync::Arc::clone(server.running.as_ref().expect("running").counters());
    server.shutdown();
    let udp = counters.udp();
    assert_eq!((udp.received, udp.rcodes[0], udp.rcodes[3], udp.dropped), (200, 100, 100, 0));
}

/// RFC 7766 §6.2.1.1: "a server MUST NOT expect [clients to wait]; clients SHOULD pipeline their queries".
#[test]
fn pipelined_queries_are_all_answered() {
    let server = Server::start();
    let mut stream = server.tcp();
    let all: Vec<u8> = (0..500).flat_map(|id| framed(&query(id, "www.example", RecordType::A))).collect();
    stream.write_all(&all).expect("written");
    for id in 0..500u16 {
        assert_eq!(read_framed(&mut stream).expect("a reply")[..2], id.to_be_bytes());
    }
}

/// RFC 7766 §8: length and message may arrive in any number of segments.
#[test]
fn a_query_may_come_octet_by_octet() {
    let server = Server::start();
    let mut stream = server.tcp();
    stream.set_nodelay(true).expect("nodelay");
    for octet in framed(&query(7, "www.example", RecordType::A)) {
        stream.write_all(&[octet]).expect("written");
    }
    assert_eq!(rcode(&read_framed(&mut stream).expect("a reply")), 0);
}

#[test]
fn a_reply_that_is_too_long_for_udp_is_whole_over_tcp() {
    let server = Server::start();
    let text: String = (0..200).map(|i| format!("many A 192.0.2.{}\nmany A 198.51.100.{}\n", i, i)).collect();
    let apex = super::setup::name("example");
    let big = super::setup::snapshot(&apex, &(super::setup::version(3) + &text));
    server.publisher.publish(&server.slots[0], big.into());
    let query = query(9, "many.example", RecordType::A);
    let short = server.udp(&query);
    assert_eq!((short[2] & 2, &short[6..8]), (2, &[0, 0][..]), "TC and nothing else");
    let whole = Message::from_vec(&exchange(&mut server.tcp(), &query).expect("a reply")).expect("a message");
    assert_eq!((whole.answers.len(), whole.metadata.truncation), (400, false));
}

/// RFC 7766 §6.2.3: "it is RECOMMENDED that the default server application-level idle period be on the order of
/// seconds"; half a query does not count as activity.
#[test]
fn silent_and_half_asked_connections_are_closed() {
    let tcp = TcpLimits { idle: Duration::from_millis(100), ..TcpLimits::default() };
    let server = Server::with(&["127.0.0.1:0"], Options { workers: 1, pin: false, tcp, ..Options::default() });
    for sent in [&b""[..], b"\x00", b"\x00\x20half"] {
        let mut stream = server.tcp();
        stream.write_all(sent).expect("written");
        assert_eq!(stream.read(&mut [0; 16]).ok(), Some(0), "closed without a word");
    }
}

/// RFC 7766 §6.2.3 counts idle "if there is no outstanding query": what is no query keeps no connection open, however often
/// it comes.
#[test]
fn what_is_no_query_keeps_no_connection_open() {
    // given connections on which empty messages, and responses, come far more often than a connection may be idle
    let idle = Duration::from_millis(300);
    let tcp = TcpLimits { idle, ..TcpLimits::default() };
    let server = Server::with(&["127.0.0.1:0"], Options { workers: 1, pin: false, tcp, ..Options::default() });
    let mut response = query(9, "www.example", RecordType::A);
    response[2] |= 0x80;
    for message in [Vec::new(), response] {
        let mut stream = server.tcp();
        stream.set_read_timeout(Some(idle / 10)).expect("timeout");
        // when they go on and on, then it is closed all the same
        let began = Instant::now();
        let closed = std::iter::from_fn(|| (began.elapsed() < PATIENCE).then_some(()))
            .any(|()| stream.write_all(&framed(&message)).is_err() || !is_silent(&mut stream));
        assert!(closed, "{} octets", message.len());
    }
}

/// Whether nothing comes for as long as the stream waits, and it is not closed.
fn is_silent(stream: &mut TcpStream) -> bool {
    matches!(stream.read(&mut [0; 16]), Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
}

/// Not in an RFC: the limit is of the server, however many sockets it has.
#[test]
fn a_network_has_one_limit_on_all_addresses_together() {
    // given four addresses with two workers each, and a limit of 50 equal replies a second
    let rate_limit = RateLimit { replies_per_second: 50, slip: 1, ..RateLimit::default() };
    let options = Options { workers: 2, pin: false, rate_limit, ..Options::default() };
    let server = Server::with(&["127.0.0.1:0"; 4], options);
    let addresses = server.running.as_ref().expect("running").addresses().to_vec();
    let query = query(9, "www.example", RecordType::A);
    let began = Instant::now();
    // when a client asks each address 50 times
    let whole = addresses.iter().flat_map(|address| std::iter::repeat_n(address, 50)).filter(|address| {
        let client = UdpSocket::bind("127.0.0.1:0").expect("a port");
        client.set_read_timeout(Some(PATIENCE)).expect("timeout");
        client.send_to(&query, address).expect("sent");
        receive(&client)[2] & 2 == 0
    });
    // then 50 are answered whole, and what the time it took has earned
    let whole = whole.count() as u64;
    let earned = 50 * (began.elapsed().as_millis() as u64) / 1000 + 1;
    assert!((50..=50 + earned).contains(&whole), "{whole} whole, {earned} earned");
}

#[test]
fn one_client_cannot_take_all_connections() {
    let tcp = TcpLimits { connections_per_client_max: 2, ..TcpLimits::default() };
    let server = Server::with(&["127.0.0.1:0"], Options { workers: 1, pin: false, tcp, ..Options::default() });
    let query = query(9, "www.example", RecordType::A);
    let (mut first, mut second) = (server.tcp(), server.tcp());
    assert!(exchange(&mut first, &query).is_some() && exchange(&mut second, &query).is_some());
    let mut third = server.tcp();
    assert_eq!(third.read(&mut [0; 16]).unwrap_or(0), 0, "closed at once");
    drop(second);
    // the place is given back once the server has seen the end of the second
    let answered = (0..1000).any(|_| {
        std::thread::yield_now();
        let mut again = server.tcp();
        again.write_all(&framed(&query)).is_ok() && read_framed(&mut again).is_some()
    });
    assert!(answered);
    assert!(server.running.as_ref().expect("running").counters().connections().1 >= 1);
}

#[test]
fn what_arrived_before_the_end_is_answered() {
    let mut server = Server::start();
    let client = UdpSocket::bind("127.0.0.1:0").expect("a port");
    client.set_read_timeout(Some(PATIENCE)).expect("timeout");
    for id in 0..100 {
        client.send_to(&query(id, "www.example", RecordType::A), server.address()).expect("sent");
    }
    server.shutdown();
    let mut ids: Vec<u16> =
        (0..100).map(|_| receive(&client)).map(|reply| u16::from_be_bytes([reply[0], reply[1]])).collect();
    ids.sort();
    assert_eq!(ids, (0..100).collect::<Vec<_>>());
}

#[test]
fn wildcard_addresses_answer_from_the_address_that_was_asked() {
    let options = Options { workers: 1, pin: false, ..Options::default() };
    let server = Server::with(&["0.0.0.0:0", "[::]:0"], options);
    let addresses = server.running.as_ref().expect("running").addresses().to_vec();
    for (client, asked) in [
        ("127.0.0.1:0", SocketAddr::from(([127, 0, 0, 77], addresses[0].port()))),
        ("[::1]:0", SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, addresses[1].port()))),
    ] {
        let client = UdpSocket::bind(client).expect("a port");
        client.set_read_timeout(Some(PATIENCE)).expect("timeout");
        client.send_to(&query(1, "www.example", RecordType::A), asked).expect("sent");
        assert_eq!(client.recv_from(&mut [0; 512]).expect("a reply").1, asked);
    }
}

#[test]
fn an_address_in_use_is_named_in_the_error() {
    let server = Server::start();
    let taken = server.address();
    let error = secondaryd::net::Listeners::bind(&[taken], Options::default()).err().expect("in use");
    assert!(error.to_string().contains(&taken.to_string()), "{error}");
}

#[test]
fn junk_is_survived() {
    let server = Server::start();
    let client = UdpSocket::bind("127.0.0.1:0").expect("a port");
    client.set_read_timeout(Some(PATIENCE)).expect("timeout");
    for junk in [&b""[..], b"x", &[0xff; 12], &[0; 5000], &[0x80; 600]] {
        client.send_to(junk, server.address()).expect("sent");
    }
    let mut stream = server.tcp();
    stream.write_all(&[framed(&[0xff; 700]), framed(b""), framed(&[0; 12])].concat()).expect("written");
    assert_eq!(rcode(&read_framed(&mut stream).expect("FORMERR for the last")), 1);
    assert_eq!(rcode(&server.udp(&query(1, "www.example", RecordType::A))), 0);
}
