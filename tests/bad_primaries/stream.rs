//! B4 to B12, B20: answers to AXFR and IXFR that are no transfer.

use secondaryd::dns::RecordType;

use crate::primary::{Query, Step};
use crate::reply::{self, Reply, records, soa};
use crate::stage::{PATIENT, Stage, survive, transfer};

#[test]
fn b4_a_stream_that_ends_early_is_discarded() {
    survive(
        PATIENT,
        vec![
            transfer("at-once", "TRUNCATED_STREAM", |_, _| vec![Step::Close]),
            transfer("in-a-message", "TRUNCATED_STREAM", |query, zone| {
                let message = Reply::to(query).with(&reply::zone(zone, 2)).octets();
                let half = &message[..message.len() / 2];
                vec![Step::Raw([&(message.len() as u16).to_be_bytes()[..], half].concat()), Step::Close]
            }),
            transfer("in-a-length", "TRUNCATED_STREAM", |_, _| vec![Step::Raw(vec![0]), Step::Close]),
            transfer("between-messages", "TRUNCATED_STREAM", |query, zone| {
                let zone = reply::zone(zone, 2);
                vec![Reply::to(query).with(&zone[..zone.len() - 1]).send(), Step::Close]
            }),
            transfer("behind-the-first", "TRUNCATED_STREAM", |query, zone| {
                vec![Reply::to(query).with(&[soa(zone, 2)]).send(), Step::Close]
            }),
        ],
    );
}

/// A12: 50 M records and 4 GiB unless told otherwise; the detail names the key.
#[test]
fn b5_an_endless_stream_ends_at_a_limit() {
    let endless = |text: &'static str| {
        move |query: &Query, zone: &str| {
            let more = Reply::to(query).with(&vec![records(zone, text).remove(0); 50]);
            vec![
                Reply::to(query).with(&reply::zone(zone, 2)[..2]).send(),
                Step::Endless(more.octets(), std::time::Duration::ZERO),
            ]
        }
    };
    let text = format!("big 60 TXT {}", "\"0123456789012345678901234567890123456789\" ".repeat(20));
    survive(
        "max-records = 3000\nmax-bytes = \"512KiB\"\n",
        vec![
            transfer("records", "LIMIT_RECORDS", endless("a 60 A 192.0.2.1")),
            transfer("octets", "LIMIT_BYTES", endless(text.leak())),
        ],
    );
}

#[test]
fn b6_endless_empty_messages_end_at_a_limit() {
    survive(
        PATIENT,
        vec![
            transfer("from-the-start", "LIMIT_EMPTY", |query, _| {
                vec![Step::Endless(Reply::to(query).octets(), std::time::Duration::ZERO)]
            }),
            transfer("in-the-middle", "LIMIT_EMPTY", |query, zone| {
                let first = Reply::to(query).with(&reply::zone(zone, 2)[..2]).send();
                vec![first, Step::Endless(Reply::to(query).octets(), std::time::Duration::ZERO)]
            }),
            transfer("of-no-octets", "BAD_HEADER", |_, _| {
                vec![Step::Endless(Vec::new(), std::time::Duration::from_millis(1))]
            }),
        ],
    );
}

/// A3; B7: "immediate single retry, then RETRY".
#[test]
fn b7_a_zone_that_changed_in_flight_is_tried_once_more() {
    let stage = Stage::loaded(PATIENT, &["flight"]);
    let (zone, primary) = ("flight.example", stage.primary("flight.example"));
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let torn = |query: &Query| {
        let mut torn = reply::zone(zone, 2);
        *torn.last_mut().expect("a zone") = soa(zone, 3);
        vec![Reply::to(query).with(&torn).send()]
    };
    primary.play(reply::offering(zone, 2, move |query| {
        // IXFR, AXFR: torn; the second AXFR is whole.
        match asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
            0 | 1 => torn(query),
            _ => reply::good(zone, 3)(query),
        }
    }));
    let item = stage.refreshed(zone);
    assert_eq!(item["status"], "OK", "{item:#}");
    assert_eq!(item["lastError"]["code"], "SOA_MISMATCH", "{item:#}");
    assert_eq!(primary.seen_over_tcp(), [RecordType::IXFR, RecordType::AXFR, RecordType::AXFR]);
    stage.serves(zone, 3);
}

#[test]
fn b7_a_wrong_soa_at_the_end_discards_everything() {
    let ending = |last: fn(&str) -> Vec<secondaryd::dns::Record>| {
        move |query: &Query, zone: &str| {
            let mut whole = reply::zone(zone, 2);
            whole.pop();
            whole.extend(last(zone));
            vec![Reply::to(query).with(&whole).send()]
        }
    };
    survive(
        PATIENT,
        vec![
            transfer("serial", "SOA_MISMATCH", ending(|zone| vec![soa(zone, 3)])),
            transfer("rdata", "SOA_MISMATCH", ending(|zone| vec![reply::soa_with(zone, 2, "1 2 3 4")])),
            transfer(
                "behind-the-end",
                "SOA_MISMATCH",
                ending(|zone| [vec![soa(zone, 2)], records(zone, "late 60 A 192.0.2.9")].concat()),
            ),
            transfer("in-the-middle", "SOA_MISMATCH", |query, zone| {
                let mut whole = reply::zone(zone, 2);
                whole.insert(3, soa(zone, 3));
                vec![Reply::to(query).with(&whole).send()]
            }),
        ],
    );
    let stage = Stage::loaded(PATIENT, &["twice"]);
    stage.primary("twice.example").play(reply::offering("twice.example", 2, move |query| {
        vec![Reply::to(query).with(&reply::around(soa("twice.example", 2), vec![soa("twice.example", 4)])).send()]
    }));
    stage.refreshed("twice.example");
    let asked = stage.primary("twice.example").seen_over_tcp();
    assert!(asked.len() <= 3, "one retry, not more: {asked:?}");
}

#[test]
fn b8_what_does_not_begin_with_the_soa_of_the_zone_is_no_transfer() {
    survive(
        PATIENT,
        vec![
            transfer("no-soa", "NOT_SOA_FIRST", |query, zone| {
                vec![Reply::to(query).with(&reply::zone(zone, 2)[1..]).send()]
            }),
            transfer("other-owner", "WRONG_ZONE", |query, _| {
                vec![Reply::to(query).with(&reply::zone("else.where", 2)).send()]
            }),
            transfer("below", "WRONG_ZONE", |query, zone| {
                vec![Reply::to(query).with(&reply::zone(&format!("sub.{zone}"), 2)).send()]
            }),
            transfer("other-owner-at-the-end", "WRONG_ZONE", |query, zone| {
                let mut whole = reply::zone(zone, 2);
                *whole.last_mut().expect("a zone") = soa("else.where", 2);
                vec![Reply::to(query).with(&whole).send()]
            }),
        ],
    );
}

/// A2: id, QR, opcode, question and counts of every message, not of the first alone.
#[test]
fn b9_headers_that_do_not_fit_the_query() {
    let first = |change: fn(&mut Reply)| {
        move |query: &Query, zone: &str| vec![Reply::to(query).with(&reply::zone(zone, 2)).but(change).send()]
    };
    let second = |change: fn(&mut Reply)| {
        move |query: &Query, zone: &str| {
            let whole = reply::zone(zone, 2);
            let rest = Reply::to(query).with(&whole[2..]).but(change);
            vec![Reply::to(query).with(&whole[..2]).send(), rest.send()]
        }
    };
    let other_question = |reply: &mut Reply| reply.question = Some(b"\x05other\x07example\0\0\xfc\0\x01".to_vec());
    survive(
        PATIENT,
        vec![
            transfer("id", "BAD_HEADER", first(|r| r.id = !r.id)),
            transfer("id-later", "BAD_HEADER", second(|r| r.id = !r.id)),
            transfer("query", "BAD_HEADER", first(|r| r.flags &= 0x7fff)),
            transfer("query-later", "BAD_HEADER", second(|r| r.flags &= 0x7fff)),
            transfer("opcode", "BAD_HEADER", first(|r| r.flags |= 0x2000)),
            transfer("question", "BAD_HEADER", first(other_question)),
            transfer("question-later", "BAD_HEADER", second(other_question)),
            transfer("no-question", "BAD_HEADER", first(|r| r.question = None)),
            transfer("short", "BAD_HEADER", |_, _| vec![Step::Send(b"too short".to_vec())]),
        ],
    );
}

#[test]
fn b10_tc_in_a_stream_discards_everything() {
    survive(
        PATIENT,
        vec![
            transfer("first", "TC_IN_STREAM", |query, zone| {
                vec![Reply::to(query).with(&reply::zone(zone, 2)).but(|r| r.flags |= 0x0200).send()]
            }),
            transfer("later", "TC_IN_STREAM", |query, zone| {
                let whole = reply::zone(zone, 2);
                let first = Reply::to(query).with(&whole[..2]).send();
                let cut = Reply::to(query).with(&whole[2..4]).but(|r| r.flags |= 0x0200).send();
                vec![first, cut, Reply::to(query).with(&whole[4..]).send()]
            }),
        ],
    );
}

const RCODES: [(u16, &str, &str); 7] = [
    (1, "formerr", "RCODE_FORMERR"),
    (2, "servfail", "RCODE_SERVFAIL"),
    (3, "nxdomain", "RCODE_NXDOMAIN"),
    (4, "notimp", "RCODE_NOTIMP"),
    (5, "refused", "RCODE_REFUSED"),
    (9, "notauth", "RCODE_NOTAUTH"),
    (11, "rcode11", "RCODE_OTHER"),
];

#[test]
fn b11_error_codes_refuse_at_once() {
    let cases = RCODES
        .map(|(rcode, name, code)| transfer(name, code, move |query, _| vec![Reply::to(query).rcode(rcode).send()]));
    survive(PATIENT, cases.into());
}

#[test]
fn b11_error_codes_in_the_middle_discard_everything() {
    let cases = RCODES.map(|(rcode, name, code)| {
        transfer(name, code, move |query, zone| {
            let first = Reply::to(query).with(&reply::zone(zone, 2)[..3]).send();
            vec![first, Reply::to(query).with(&reply::zone(zone, 2)[3..]).rcode(rcode).send()]
        })
    });
    survive(PATIENT, cases.into());
}

#[test]
fn b11_the_peers_own_words_are_shown() {
    let stage = Stage::loaded(PATIENT, &["words"]);
    stage.primary("words.example").play(reply::offering("words.example", 2, |query| {
        // An EDE with a line feed and an escape in its text: neither may reach a log or a terminal as they are.
        vec![Reply::to(query).rcode(5).opt(0, b"\0\x0f\0\x10\0\x12not\x0afor\x1b you !").send()]
    }));
    let item = stage.refreshed("words.example");
    let message = item["errorMessage"].as_str().unwrap_or_default();
    assert!(message.starts_with("Primary nameserver refused the transfer: AXFR: REFUSED, EDE 18"), "{item:#}");
    assert!(!message.contains(|c: char| c.is_control()), "{item:#}");
    assert!(!stage.ours.log().contains("not\nfor"), "a line of the log cannot be forged");
}

/// I5: "every failed IXFR falls back to AXFR at the same primary in the same round".
#[test]
fn b12_refused_ixfr_leads_to_axfr_in_the_same_round() {
    let names: Vec<&str> = RCODES.iter().map(|(_, name, _)| *name).chain(["empty", "closed", "garbage"]).collect();
    let stage = Stage::loaded(PATIENT, &names);
    for name in &names {
        let zone = format!("{name}.example");
        let rcode = RCODES.iter().find(|(_, known, _)| known == name).map(|(rcode, ..)| *rcode);
        stage.primary(&zone.clone()).play(move |query| match (query.qtype, rcode) {
            (RecordType::IXFR, Some(rcode)) => vec![Reply::to(query).rcode(rcode).send()],
            (RecordType::IXFR, None) if zone.starts_with("empty") => vec![Reply::to(query).send()],
            (RecordType::IXFR, None) if zone.starts_with("closed") => vec![Step::Close],
            (RecordType::IXFR, None) => vec![Step::Send(b"garbage".to_vec())],
            _ => reply::good(&zone, 2)(query),
        });
    }
    for zone in stage.zones() {
        let item = stage.refreshed(zone);
        assert_eq!(item["status"], "OK", "{zone}: {item:#}");
        assert_eq!(item["lastTransfer"]["asked"], "AXFR", "{zone}: {item:#}");
        assert!(item["lastError"].is_object(), "the refusal stays visible: {item:#}");
        stage.serves(zone, 2);
        // And it is not asked again for a while.
        stage.heals(zone, 3);
        assert_eq!(stage.primary(zone).seen_over_tcp(), [RecordType::AXFR], "{zone}");
    }
}

/// What comes behind the end of a transfer is not read as the answer to the next query of the connection.
#[test]
fn messages_behind_the_end_do_not_spoil_the_next_exchange() {
    let stage = Stage::loaded(PATIENT, &["late"]);
    let zone = "late.example";
    let talkative = |serial: u32| {
        reply::offering(zone, serial, move |query| {
            let whole = Reply::to(query).with(&reply::zone(zone, serial)).send();
            vec![whole, Reply::to(query).with(&reply::body(zone, serial)).send()]
        })
    };
    for serial in 2..6 {
        stage.primary(zone).play(talkative(serial));
        let item = stage.refreshed(zone);
        assert_eq!((&item["status"], item["lastError"].is_null()), (&"OK".into(), true), "{item:#}");
        stage.serves(zone, serial);
    }
}

/// A5: "skipped and counted, not stored".
#[test]
fn b20_records_outside_the_zone_are_skipped_and_counted() {
    let stage = Stage::loaded(PATIENT, &["inside"]);
    let zone = "inside.example";
    let strangers = |serial: u32| {
        reply::offering(zone, serial, move |query| {
            let strange = records("example", "stranger 60 A 192.0.2.66\nnotinside 60 A 192.0.2.66");
            let mut body = reply::body(zone, serial);
            body.extend(strange);
            vec![Reply::to(query).with(&reply::around(soa(zone, serial), body)).send()]
        })
    };
    stage.primary(zone).play(strangers(2));
    let item = stage.refreshed(zone);
    assert_eq!(item["status"], "OK", "{item:#}");
    let warnings = stage.ours.status(zone)["warnings"].to_string();
    assert!(warnings.contains("2 records outside the zone were skipped"), "{warnings}");
    assert_eq!(stage.ours.record_count(zone), 5);
    // The same warning with each new version is no news.
    for serial in 3..6 {
        stage.primary(zone).play(strangers(serial));
        stage.refreshed(zone);
        stage.serves(zone, serial);
    }
    let lines = stage.lines(zone);
    assert_eq!(lines.iter().filter(|line| line.contains("were skipped")).count(), 1, "{lines:#?}");
}

/// A7.
#[test]
fn b20_other_classes_and_meta_types_are_refused() {
    let holding = |rtype: u16, class: u16| {
        move |query: &Query, zone: &str| {
            let whole = reply::zone(zone, 2);
            let owner = whole[0].owner.as_wire();
            let reply = Reply::to(query).with(&whole[..2]).with_raw(owner, rtype, class, 60, b"\xc0\0\x02\x01");
            vec![reply.with(&whole[2..]).send()]
        }
    };
    survive(
        PATIENT,
        vec![
            transfer("chaos", "BAD_CLASS", holding(1, 3)),
            transfer("none", "BAD_CLASS", holding(1, 254)),
            transfer("any-class", "BAD_CLASS", holding(1, 255)),
            transfer("type0", "META_TYPE", holding(0, 1)),
            transfer("opt", "META_TYPE", holding(41, 1)),
            transfer("opt-as-sent", "META_TYPE", holding(41, 1232)),
            transfer("tsig", "META_TYPE", holding(250, 1)),
            transfer("tsig-as-sent", "META_TYPE", holding(250, 255)),
            transfer("ixfr", "META_TYPE", holding(251, 1)),
            transfer("axfr", "META_TYPE", holding(252, 1)),
            transfer("any", "META_TYPE", holding(255, 1)),
        ],
    );
}
