//! B1, B2, B3, B13, B27: primaries that cannot be reached, are silent or slow.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use secondaryd::dns::RecordType;
use socket2::{Domain, Socket, Type};

use crate::address;
use crate::daemon::{Entry, Secondaryd};
use crate::primary::{Over, Primary, Step};
use crate::reply::{self, Reply, soa};
use crate::stage::{QUICK, Stage, case, survive, transfer};
use crate::wait::SOON;

/// P1: "One failure moves to the next *in the same round*". P2: the address is left alone for a while.
#[test]
fn b1_a_primary_that_cannot_be_connected_costs_one_round_nothing() {
    // Given one zone whose first primary is not there, one whose first primary takes no TCP, and one where nobody
    // accepts connections (the queue of the listener is full)
    let (nobody, good) = (address::ipv4(), Primary::start(reply::good("dead.example", 1)));
    let no_tcp = Primary::without_tcp(reply::good("refused.example", 2));
    let second = Primary::start(reply::good("refused.example", 1));
    let full = Primary::without_tcp(reply::good("full.example", 2));
    let third = Primary::start(reply::good("full.example", 1));
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    listener.bind(&full.address().into()).expect("a free port");
    listener.listen(0).expect("listening");
    let waiting: Vec<_> =
        (0..4).map(|_| TcpStream::connect_timeout(&full.address(), Duration::from_millis(50))).collect();
    // When the daemon starts
    let ours = Secondaryd::reserve()
        .with_settings(QUICK)
        .with_zone(Entry::new("dead.example", &[nobody, good.address()]))
        .with_zone(Entry::new("refused.example", &[no_tcp.address(), second.address()]))
        .with_zone(Entry::new("full.example", &[full.address(), third.address()]))
        .started();
    // Then every zone comes from its second primary, and the item of the first says why not from there
    for (zone, code) in [
        ("dead.example", "CONNECT_REFUSED"),
        ("refused.example", "CONNECT_REFUSED"),
        ("full.example", "CONNECT_TIMEOUT"),
    ] {
        ours.dns.wait_serial(zone, 1, SOON);
        let item = ours.wait_item(zone, 0, code, |item| item["errorCode"] == code);
        assert!(item["nextAttempt"].is_string(), "{item:#}");
        let other = ours.wait_item(zone, 1, "OK", |item| item["status"] == "OK");
        assert_eq!(other["lastTransfer"]["toSerial"], 1, "{other:#}");
    }
    drop(waiting);
}

#[test]
fn b2_silence_ends_at_the_idle_timeout() {
    let began = Instant::now();
    survive(
        QUICK,
        vec![
            transfer("nothing", "IDLE_TIMEOUT", |_, _| vec![Step::Hold]),
            transfer("after-the-first", "IDLE_TIMEOUT", |query, zone| {
                vec![Reply::to(query).with(&reply::zone(zone, 2)[..2]).send(), Step::Hold]
            }),
            transfer("half-a-length", "IDLE_TIMEOUT", |_, _| vec![Step::Raw(vec![1]), Step::Hold]),
            transfer("half-a-message", "IDLE_TIMEOUT", |query, zone| {
                let message = Reply::to(query).with(&reply::zone(zone, 2)).octets();
                vec![Step::Raw([&1000u16.to_be_bytes()[..], &message].concat()), Step::Hold]
            }),
        ],
    );
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

/// B2, B3: "the slot is freed for others".
#[test]
fn b2_a_silent_transfer_gives_its_slot_back() {
    let settings = format!("{QUICK}concurrency-per-primary = 1\nconcurrency = 1\n");
    let stage = Stage::loaded(&settings, &["silent", "patient"]);
    stage.primary("silent.example").play(reply::offering("silent.example", 2, |_| vec![Step::Hold]));
    stage.primary("patient.example").play(reply::good("patient.example", 2));
    stage.refresh("silent.example");
    let item = stage.refreshed("patient.example");
    assert_eq!(item["status"], "OK", "{item:#}");
    stage.serves("patient.example", 2);
    stage.serves("silent.example", 1);
}

/// A12: "less than 1 KiB/s over 60 s". One octet now and then is no silence, and still too slow.
#[test]
fn b3_a_trickle_ends_at_the_lowest_rate() {
    survive(
        "idle-timeout = \"800ms\"\nlowest-rate = \"1KiB\"\nlowest-rate-window = \"600ms\"\n",
        vec![
            transfer("octets", "TOO_SLOW", |query, zone| {
                let message = Reply::to(query).with(&reply::zone(zone, 2)).octets();
                let framed = [&(message.len() as u16).to_be_bytes()[..], &message].concat();
                vec![Step::Drip(framed, Duration::from_millis(50))]
            }),
            transfer("messages", "TOO_SLOW", |query, zone| {
                let first = Reply::to(query).with(&reply::zone(zone, 2)[..2]).send();
                let more = Reply::to(query).with(&reply::body(zone, 2)[..1]).octets();
                vec![first, Step::Endless(more, Duration::from_millis(300))]
            }),
        ],
    );
}

#[test]
fn b3_a_trickle_ends_at_the_total_timeout() {
    survive(
        "idle-timeout = \"300ms\"\nconnect-timeout = \"300ms\"\ntotal-timeout = \"700ms\"\nlowest-rate = 0\n",
        vec![
            transfer("octets", "TOTAL_TIMEOUT", |query, zone| {
                let message = Reply::to(query).with(&reply::zone(zone, 2)).octets();
                let framed = [&(message.len() as u16).to_be_bytes()[..], &message].concat();
                vec![Step::Drip(framed, Duration::from_millis(50))]
            }),
            transfer("messages", "TOTAL_TIMEOUT", |query, zone| {
                let first = Reply::to(query).with(&reply::zone(zone, 2)[..2]).send();
                let more = Reply::to(query).with(&reply::body(zone, 2)[..1]).octets();
                vec![first, Step::Endless(more, Duration::from_millis(100))]
            }),
        ],
    );
}

/// A message that takes longer than the idle time is fine as long as octets come.
#[test]
fn b3_a_slow_line_is_no_silence() {
    let stage = Stage::loaded("idle-timeout = \"500ms\"\nlowest-rate = 10\n", &["slow"]);
    stage.primary("slow.example").play(reply::offering("slow.example", 2, |query| {
        let message = Reply::to(query).with(&reply::zone("slow.example", 2)).octets();
        let framed = [&(message.len() as u16).to_be_bytes()[..], &message].concat();
        vec![Step::Drip(framed, Duration::from_millis(4))]
    }));
    let item = stage.refreshed("slow.example");
    assert_eq!(item["status"], "OK", "{item:#}");
    assert!(item["lastTransfer"]["durationMs"].as_u64() > Some(500), "the test was slow enough: {item:#}");
    stage.serves("slow.example", 2);
}

/// T9: "3 tries with growing timeouts, then TCP".
#[test]
fn b13_udp_dead_and_tcp_alive_is_udp_blocked() {
    let stage = Stage::loaded(QUICK, &["blocked", "dead", "slow-soa"]);
    let tcp_only = |zone: &'static str, tcp: fn(&crate::primary::Query, &str) -> Vec<Step>| {
        move |query: &crate::primary::Query| match query.over {
            Over::Udp => Vec::new(),
            Over::Tcp | Over::Tls => tcp(query, zone),
        }
    };
    let blocked = stage.primary("blocked.example");
    blocked.play(tcp_only("blocked.example", |query, zone| reply::good(zone, 2)(query)));
    stage.primary("dead.example").play(tcp_only("dead.example", |_, _| vec![Step::Hold]));
    stage.primary("slow-soa.example").play(tcp_only("slow-soa.example", |query, zone| {
        let message = Reply::to(query).with(&[soa(zone, 2)]).octets();
        let framed = [&(message.len() as u16).to_be_bytes()[..], &message].concat();
        vec![Step::Drip(framed, Duration::from_millis(100))]
    }));
    stage.zones().for_each(|zone| stage.refresh(zone));
    for zone in stage.zones() {
        let item = stage.ours.settled(zone, 0);
        if zone == "blocked.example" {
            assert_eq!(item["status"], "OK", "{item:#}");
            assert_eq!(item["notes"], serde_json::json!(["UDP_BLOCKED"]), "{item:#}");
            assert_eq!(blocked.seen(Over::Udp, RecordType::SOA), 3, "three tries");
            stage.serves(zone, 2);
        } else {
            assert_eq!(item["errorCode"], "IDLE_TIMEOUT", "{zone}: {item:#}");
            stage.serves(zone, 1);
        }
    }
    // It is a note about the last answer: gone when UDP works again.
    blocked.play(reply::good("blocked.example", 3));
    let item = stage.refreshed("blocked.example");
    assert!(item["notes"].is_null(), "{item:#}");
}

/// B9, B27: what does not answer our question, or comes from elsewhere, is ignored, and we keep listening.
#[test]
fn b27_answers_from_another_address_are_ignored() {
    let stage = Stage::loaded(QUICK, &["elsewhere"]);
    let zone = "elsewhere.example";
    stage.primary(zone).play(move |query| match query.qtype {
        RecordType::SOA => vec![
            Step::Elsewhere(Reply::to(query).with(&[soa(zone, 9)]).octets()),
            Step::Elsewhere(Reply::to(query).rcode(5).octets()),
            Reply::to(query).with(&[soa(zone, 2)]).send(),
        ],
        _ => reply::good(zone, 2)(query),
    });
    let item = stage.refreshed(zone);
    assert_eq!((&item["status"], &item["serial"]), (&"OK".into(), &2.into()), "{item:#}");
    stage.serves(zone, 2);
}

/// B9: "on UDP the packet is ignored and we keep listening".
#[test]
fn b9_bad_datagrams_are_ignored() {
    let stage = Stage::loaded(QUICK, &["noise"]);
    let zone = "noise.example";
    stage.primary(zone).play(move |query| match query.qtype {
        RecordType::SOA => {
            let lie = Reply::to(query).with(&[soa(zone, 9)]);
            vec![
                lie.clone().but(|r| r.id = !r.id).send(),
                lie.clone().but(|r| r.flags &= 0x7fff).send(),
                lie.clone().but(|r| r.question = Some(b"\x05other\x07example\0\0\x06\0\x01".to_vec())).send(),
                lie.clone().but(|r| r.question = None).send(),
                lie.but(|r| r.flags |= 0x2000).send(),
                Step::Send(b"?".to_vec()),
                Step::Send(Vec::new()),
                Reply::to(query).with(&[soa(zone, 2)]).send(),
            ]
        }
        _ => reply::good(zone, 2)(query),
    });
    let item = stage.refreshed(zone);
    assert_eq!((&item["status"], &item["serial"]), (&"OK".into(), &2.into()), "{item:#}");
    stage.serves(zone, 2);
}

/// B24, T9: "FORMERR to EDNS -> once without".
#[test]
fn b24_servers_that_choke_on_edns_are_asked_without() {
    let names = [
        "formerr",
        "bare-formerr",
        "notimp",
        "servfail",
        "refused",
        "badvers",
        "odd-high",
        "ignores",
        "unknown-options",
        "broken-opt",
    ];
    let stage = Stage::loaded(QUICK, &names);
    for zone in stage.zones().map(str::to_owned).collect::<Vec<_>>() {
        let kind = zone.trim_end_matches(".example").to_owned();
        let name = zone.clone();
        stage.primary(&zone).play(move |query| {
            if query.qtype != RecordType::SOA {
                return reply::good(&name, 2)(query);
            }
            let (good, has_opt) = (Reply::to(query).with(&[soa(&name, 2)]), query.message[11] == 1);
            let reply = match (kind.as_str(), has_opt) {
                ("formerr", true) => Reply::to(query).rcode(1),
                ("bare-formerr", true) => Reply::to(query).rcode(1).but(|r| r.question = None),
                ("notimp", true) => Reply::to(query).rcode(4),
                ("servfail", true) => Reply::to(query).rcode(2),
                ("refused", true) => Reply::to(query).rcode(5),
                ("badvers", true) => Reply::to(query).opt(1, b""),
                ("odd-high", true) => Reply::to(query).opt(0xff, b""),
                ("unknown-options", true) => good.opt(0, b"\xff\xff\0\x03abc\0\x09\0\0"),
                ("broken-opt", true) => good.opt(0, b"\0\x09\0\xffabc"),
                _ => good,
            };
            vec![reply.send()]
        });
    }
    stage.zones().for_each(|zone| stage.refresh(zone));
    for zone in stage.zones() {
        let item = stage.ours.settled(zone, 0);
        assert_eq!(item["status"], "OK", "{zone}: {item:#}");
        assert!(stage.primary(zone).seen(Over::Udp, RecordType::SOA) <= 2, "{zone}");
        stage.serves(zone, 2);
    }
}

/// RFC 8906 §3.2.1: some servers, and firewalls before them, drop what has an OPT record.
#[test]
fn b24_who_drops_queries_with_edns_is_asked_without() {
    let names = ["drops", "closes"];
    let stage = Stage::loaded(QUICK, &names);
    for name in names {
        let zone = format!("{name}.example");
        let serves = zone.clone();
        stage.primary(&zone).play(move |query| match (query.message[11] == 1, query.over) {
            (false, Over::Udp) if name == "closes" => Vec::new(),
            (false, _) => reply::good(&serves, 2)(query),
            (true, Over::Udp) => Vec::new(),
            (true, _) => vec![Step::Close],
        });
    }
    // When both have a new version
    stage.zones().for_each(|zone| stage.refresh(zone));
    for zone in stage.zones() {
        // Then it is found, over UDP with the third try
        let item = stage.ours.settled(zone, 0);
        assert_eq!(item["status"], "OK", "{zone}: {item:#}");
        assert_eq!(stage.primary(zone).seen(Over::Udp, RecordType::SOA), 3, "{zone}");
        stage.serves(zone, 2);
        // And from then on the first try is without
        assert_eq!(stage.refreshed(zone)["status"], "OK", "{zone}");
        let tries = if zone.starts_with("drops") { 4 } else { 6 };
        assert_eq!(stage.primary(zone).seen(Over::Udp, RecordType::SOA), tries, "{zone}");
    }
}

/// B24 for transfers: refused with an OPT record they are asked for once more without, and that is remembered.
#[test]
fn b24_transfers_are_asked_for_without_edns_where_it_is_refused() {
    let stage = Stage::loaded(QUICK, &["formerr", "badvers", "odd-high"]);
    for zone in ["formerr.example", "badvers.example", "odd-high.example"] {
        let play = |serial: u32| {
            stage.primary(zone).play(move |query| {
                let has_opt = query.message[11] == 1;
                match query.qtype {
                    // SOA queries do not tell: the answer has no OPT record and no error.
                    RecordType::SOA => reply::good(zone, serial)(query),
                    _ if has_opt && zone.starts_with("formerr") => vec![Reply::to(query).rcode(1).send()],
                    _ if has_opt && zone.starts_with("badvers") => vec![Reply::to(query).opt(1, b"").send()],
                    _ if has_opt => vec![Reply::to(query).opt(0xff, b"").send()],
                    _ => reply::good(zone, serial)(query),
                }
            });
        };
        // When a primary that refuses EDNS has a new version
        play(2);
        // Then IXFR is asked for twice and AXFR not at all
        let item = stage.refreshed(zone);
        assert_eq!(item["status"], "OK", "{zone}: {item:#}");
        stage.serves(zone, 2);
        assert_eq!(stage.primary(zone).seen_over_tcp(), [RecordType::IXFR, RecordType::IXFR], "{zone}");
        // And the next version costs one query
        play(3);
        stage.refreshed(zone);
        stage.serves(zone, 3);
        assert_eq!(stage.primary(zone).seen_over_tcp(), [RecordType::IXFR], "{zone}");
    }
}

/// RFC 7314 §4.1, T10: "after a transfer it is min(option, SOA EXPIRE)", "an equal-serial answer sets expiry to
/// max(current, option)", below 2 s it is not renewed.
#[test]
fn t10_the_expire_option_of_transfers_and_probes_is_followed() {
    let zone = "option.example";
    // A primary that is a secondary itself, and whose copy has so many seconds left.
    let play = |serial: u32, probe: u32, transfer: u32| {
        let option = |secs: u32| [&[0, 9, 0, 4][..], &secs.to_be_bytes()].concat();
        move |query: &crate::primary::Query| match query.qtype {
            RecordType::SOA => vec![Reply::to(query).with(&[soa(zone, serial)]).opt(0, &option(probe)).send()],
            _ => vec![Reply::to(query).with(&reply::zone(zone, serial)).opt(0, &option(transfer)).send()],
        }
    };
    let primary = Primary::start(play(1, 5000, 5000));
    let ours = Secondaryd::reserve().with_zone(Entry::new(zone, &[primary.address()])).started();
    ours.dns.wait_serial(zone, 1, SOON);
    let left = || {
        let status = ours.status(zone);
        let time = |text: &serde_json::Value| -> jiff::Timestamp {
            text.as_str().unwrap_or_default().parse().unwrap_or_else(|_| panic!("{status:#}"))
        };
        let confirmed = time(&status["items"][0]["lastSuccess"]);
        (time(&status["expires"]).duration_since(confirmed).as_millis() + 500) / 1000
    };
    let settle = |serial: u32, probe: u32, transfer: u32| {
        primary.play(play(serial, probe, transfer));
        ours.expect("PUT", &format!("{}/axfr?mode=refresh", ours.zone_path(zone)), 202);
        ours.settled(zone, 0);
    };
    assert_eq!(left(), 5000, "of the AXFR, less than SOA EXPIRE");
    settle(1, 9000, 0);
    assert_eq!(left(), 9000, "of a probe, more than there was");
    settle(2, 100, 3000);
    ours.dns.wait_serial(zone, 2, SOON);
    assert_eq!(left(), 3000, "of the answer to IXFR");
    let expires = ours.status(zone)["expires"].clone();
    settle(2, 1, 0);
    assert_eq!(ours.status(zone)["expires"], expires, "a dying copy renews nothing");
}

/// T9: each way in which the answer to the SOA query can be wrong has its own code, and no transfer follows.
#[test]
fn b11_every_bad_soa_answer_has_its_own_code() {
    let rcode = |code: u16| move |query: &crate::primary::Query, _: &str| vec![Reply::to(query).rcode(code).send()];
    survive(
        QUICK,
        vec![
            case("refused", "RCODE_REFUSED", rcode(5)),
            case("servfail", "RCODE_SERVFAIL", rcode(2)),
            case("nxdomain", "RCODE_NXDOMAIN", rcode(3)),
            case("notauth", "RCODE_NOTAUTH", rcode(9)),
            case("notimp", "RCODE_NOTIMP", rcode(4)),
            case("formerr", "RCODE_FORMERR", rcode(1)),
            case("yxdomain", "RCODE_OTHER", rcode(6)),
            case("badvers", "RCODE_BADVERS", |query, _| vec![Reply::to(query).opt(1, b"").send()]),
            case("lame", "NOT_AUTHORITATIVE", |query, zone| {
                vec![Reply::to(query).with(&[soa(zone, 2)]).but(|r| r.flags &= !0x0400).send()]
            }),
            case("nodata", "SOA_NODATA", |query, _| vec![Reply::to(query).send()]),
            case("cname", "SOA_CNAME", |query, zone| {
                vec![Reply::to(query).with(&reply::records(zone, "@ 60 CNAME www")).send()]
            }),
            case("two", "SOA_MULTIPLE", |query, zone| {
                vec![Reply::to(query).with(&[soa(zone, 2), soa(zone, 3)]).send()]
            }),
            case("other", "WRONG_ZONE", |query, _| vec![Reply::to(query).with(&[soa("else.where", 2)]).send()]),
            case("bad-rdata", "MALFORMED_RR", |query, zone| {
                let soa = soa(zone, 2);
                let cut = &soa.rdata[..soa.rdata.len() - 1];
                vec![Reply::to(query).with_raw(soa.owner.as_wire(), 6, 1, 60, cut).send()]
            }),
            case("truncated", "TC_IN_STREAM", |query, zone| {
                vec![Reply::to(query).with(&[soa(zone, 2)]).but(|r| r.flags |= 0x0200).send()]
            }),
        ],
    );
}

/// A machine of ours without a socket tells nothing about the primary, be it over UDP or TCP.
#[test]
fn what_this_host_has_no_socket_for_is_no_fault_of_the_primary() {
    // Given a primary that is well, and an address to ask it from that is not ours (RFC 5737)
    let good = Primary::start(reply::good("ours.example", 1));
    let tables = format!(
        "[primary.good]\naddress = \"{}\"\nsource = \"192.0.2.1\"\n\
         [[secondary-zone]]\nname = \"ours.example\"\nprimaries = [\"good\"]\n",
        good.address()
    );
    // When it is asked
    let ours = Secondaryd::reserve().with_settings(QUICK).with_tables(&tables).started();
    // Then the code says whose fault it is, and nobody says that UDP is blocked
    let item = ours.wait_item("ours.example", 0, "LOCAL_SOCKET", |item| item["errorCode"] == "LOCAL_SOCKET");
    assert!(item["notes"].is_null(), "{item:#}");
    assert_eq!(good.seen(Over::Udp, RecordType::SOA) + good.seen(Over::Tcp, RecordType::SOA), 0);
}

/// Strangers may take all connections that they are let have; a zone is fetched, stored and looked at all the same.
#[test]
fn strangers_cannot_take_the_descriptors_of_transfers_and_the_store() {
    // Given a daemon with few descriptors, and more strangers than those
    let primary = Primary::start(reply::good("flooded.example", 1));
    let mut ours = Secondaryd::reserve()
        .with_settings(QUICK)
        .with_descriptors(128, 256)
        .with_zone(Entry::new("flooded.example", &[primary.address()]));
    ours.set_dns("tcp-connections-per-client = 1000\n");
    ours.start();
    ours.dns.wait_serial("flooded.example", 1, SOON);
    let strangers: Vec<_> =
        (0..300).map(|_| TcpStream::connect(ours.address()).expect("the kernel takes it")).collect();
    // When there is a new version
    primary.play(reply::good("flooded.example", 2));
    ours.settled("flooded.example", 0);
    ours.expect("PUT", &format!("{}/axfr?mode=refresh", ours.zone_path("flooded.example")), 202);
    // Then it comes, and a start without the primary finds it
    ours.dns.wait_serial("flooded.example", 2, SOON);
    assert_eq!(ours.settled("flooded.example", 0)["status"], "OK");
    drop(strangers);
    assert!(ours.log().contains("limit of 256 file descriptors"), "nobody was told");
    assert!(!ours.log().contains("Too many open files"), "{}", ours.log());
    ours.set_primaries(0, &[address::ipv4()]);
    ours.stop();
    ours.start();
    ours.dns.wait_serial("flooded.example", 2, SOON);
}
