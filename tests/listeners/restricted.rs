//! Who is answered, and how often: access lists for queries, response rate limiting, cookies.

use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

use secondaryd::access::ZoneAccess;
use secondaryd::answer::{Cookies, Identity};
use secondaryd::dns::edns::{ExtendedError, Opt};
use secondaryd::dns::{RecordType, message, tsig};
use secondaryd::net::{Options, RateLimit};
use secondaryd::served::ZoneId;
use secondaryd::time::Timestamp;

use super::setup::{PATIENCE, Server, exchange, key, name, query, rcode, receive};

fn restrict(server: &Server, rules: &[&str]) {
    let rules = rules.iter().map(|rule| rule.parse().expect("a rule")).collect();
    server.policy.set_zone(ZoneId(0), ZoneAccess { allow_query: Some(rules), ..ZoneAccess::default() }.into());
    server.publisher.set_restricted(&server.slots[0], true);
}

#[test]
fn a_zone_that_is_not_for_everybody_is_answered_to_those_it_is_for() {
    let server = Server::start();
    let opt = Opt::default();
    let query = message::query(7, &name("www.example"), RecordType::A, Some(&opt));
    restrict(&server, &["127.0.0.1"]);
    assert_eq!(rcode(&server.udp(&query)), 0);
    assert_eq!(rcode(&exchange(&mut server.tcp(), &query).expect("a reply")), 0);

    restrict(&server, &["192.0.2.0/24", "key:known"]);
    for reply in [server.udp(&query), exchange(&mut server.tls(), &query).expect("a reply")] {
        assert_eq!(rcode(&reply), 5);
        let opt = Opt::find(&reply).expect("sound").expect("EDNS");
        assert_eq!(opt.option(15), Some(&ExtendedError::PROHIBITED.0.to_be_bytes()[..]));
    }
    let mut signed = query.clone();
    tsig::sign(&mut signed, &key("known."), Timestamp::now(), None);
    assert_eq!(rcode(&server.udp(&signed)), 0);
    // other zones are not touched
    assert_eq!(rcode(&server.udp(&self::query(1, "local.example", RecordType::SOA))), 0);

    server.publisher.set_restricted(&server.slots[0], false);
    assert_eq!(rcode(&server.udp(&query)), 0);
}

/// How many replies come back to so many equal queries from one client: whole, short.
fn count_replies(server: &Server, query: &[u8], count: usize) -> (usize, usize) {
    let client = UdpSocket::bind("127.0.0.1:0").expect("a port");
    client.set_read_timeout(Some(PATIENCE)).expect("timeout");
    for _ in 0..count {
        client.send_to(query, server.address()).expect("sent");
    }
    let (mut whole, mut short) = (0, 0);
    client.set_read_timeout(Some(Duration::from_millis(500))).expect("timeout");
    let mut reply = vec![0; 4096];
    while let Ok(len) = client.recv(&mut reply) {
        let is_short = reply[2] & 2 != 0;
        *(if is_short { &mut short } else { &mut whole }) += 1;
        assert!(hickory_proto::op::Message::from_vec(&reply[..len]).is_ok());
        assert!(!is_short || reply[6..8] == [0, 0]);
    }
    (whole, short)
}

/// One worker, so that it has the whole limit.
fn limited(replies_per_second: u32, slip: u8) -> Server {
    let rate_limit = RateLimit { replies_per_second, slip, ..RateLimit::default() };
    Server::with(&["127.0.0.1:0"], Options { workers: 1, pin: false, rate_limit, ..Options::default() })
}

#[test]
fn equal_replies_over_the_limit_are_held_back_or_sent_short() {
    let server = limited(1, 2);
    let (whole, short) = count_replies(&server, &query(7, "www.example", RecordType::A), 100);
    // at least the first, and one more for each second the machine has taken
    assert!((1..50).contains(&whole), "{whole} whole replies");
    assert!((20..=50).contains(&short), "{short} short replies");
    assert!(server.running.as_ref().expect("running").counters().udp().limited >= 50);
    // nobody is left without a way in
    assert_eq!(rcode(&exchange(&mut server.tcp(), &query(7, "www.example", RecordType::A)).expect("a reply")), 0);
}

/// Names that do not exist are one kind, however many of them are made up.
#[test]
fn names_made_up_for_a_flood_count_as_one() {
    let server = limited(1, 0);
    let client = UdpSocket::bind("127.0.0.1:0").expect("a port");
    for i in 0..100 {
        let query = query(i, &format!("nobody-{i}.example"), RecordType::A);
        client.send_to(&query, server.address()).expect("sent");
    }
    client.set_read_timeout(Some(Duration::from_millis(500))).expect("timeout");
    let mut replies = 0;
    while client.recv(&mut [0; 512]).is_ok() {
        replies += 1;
    }
    assert!((1..50).contains(&replies), "{replies} replies");
}

/// RFC 7873 §5.2.5: a client with a correct server cookie is no forgery; it is not limited. §5.2.3: one without may be
/// told to come back with it (BADCOOKIE).
#[test]
fn a_client_with_a_valid_cookie_is_neither_limited_nor_sent_back() {
    let server = limited(1, 0);
    let cookies = Cookies::new(vec![[7; 16]], true);
    server.policy.identity.store(Arc::new(Identity::default().with_cookies(cookies)));
    let ask = |cookie: &[u8]| {
        message::query(7, &name("www.example"), RecordType::A, Some(&Opt::default().with_option(10, cookie)))
    };
    let client = UdpSocket::bind("127.0.0.1:0").expect("a port");
    client.set_read_timeout(Some(PATIENCE)).expect("timeout");
    client.send_to(&ask(b"8 octets"), server.address()).expect("sent");
    let reply = receive(&client);
    let opt = Opt::find(&reply).expect("sound").expect("EDNS");
    assert_eq!((opt.extended_rcode, rcode(&reply)), (1, 7), "BADCOOKIE is 23");
    let cookie = opt.option(10).expect("a cookie").to_vec();
    assert_eq!((cookie.len(), &cookie[..8]), (24, &b"8 octets"[..]));
    for _ in 0..50 {
        client.send_to(&ask(&cookie), server.address()).expect("sent");
        assert_eq!(rcode(&receive(&client)), 0);
    }
    // a connection proves the address by itself
    assert_eq!(rcode(&exchange(&mut server.tcp(), &ask(b"8 octets")).expect("a reply")), 0);
}

/// What only the cold path can judge is no way around the limit; only a signature that holds proves who asks.
#[test]
fn replies_of_the_cold_path_are_limited_unless_the_query_was_signed() {
    let signed_by = |owner: &str, mut query: Vec<u8>| {
        tsig::sign(&mut query, &key(owner), Timestamp::now(), None);
        query
    };
    let about_zone = |id| message::query(id, &name("www.example"), RecordType::A, Some(&Opt::default()));
    let queries = [
        ("refused", "192.0.2.1", about_zone(1)),
        ("admitted", "127.0.0.1", about_zone(2)),
        ("transfer", "127.0.0.1", query(3, "example", RecordType::AXFR)),
        ("NOTIFY for a stranger", "127.0.0.1", message::notify(4, &name("stranger"), None, Some(&Opt::default()))),
        ("unknown key", "127.0.0.1", signed_by("nobody.", about_zone(5))),
    ];
    for (what, client, query) in queries {
        let server = limited(1, 2);
        restrict(&server, &[client]);
        let (whole, short) = count_replies(&server, &query, 100);
        assert!((1..50).contains(&whole), "{what}: {whole} whole replies");
        assert!((20..=50).contains(&short), "{what}: {short} short replies");
        assert!(server.running.as_ref().expect("running").counters().udp().limited >= 50, "{what}");
    }
    let server = limited(1, 2);
    restrict(&server, &["key:known"]);
    assert_eq!(count_replies(&server, &signed_by("known.", about_zone(6)), 50), (50, 0));
}

/// A NOTIFY counts although its answer is held back: the primary would send it again.
#[test]
fn a_notify_is_heard_over_the_limit() {
    let server = limited(1, 0);
    let query = message::notify(4, &name("example"), None, None);
    let (whole, _) = count_replies(&server, &query, 20);
    assert!((1..20).contains(&whole), "{whole} replies");
    assert_eq!(std::iter::from_fn(|| server.notices.try_next()).count(), 20);
}
