//! B18, B19, B21, B22, B23, B29: zones that are well delivered and ill made.

use std::time::{Duration, Instant};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType as Hickory;
use secondaryd::dns::{Record, RecordType};

use crate::client::Over;
use crate::primary::{Query, Step};
use crate::reply::{self, Reply, around, body, records, soa};
use crate::stage::{PATIENT, Stage, survive, transfer};

/// A6. The index of the record, the SOA counting as the first, stands in the message.
#[test]
fn b18_records_that_do_not_parse() {
    // A good SOA, then the octets of a second record made by the case from the offset at which it stands.
    let broken = |record: fn(usize) -> Vec<u8>| {
        move |query: &Query, zone: &str| {
            let first = Reply::to(query).with(&[soa(zone, 2)]);
            let at = first.octets().len();
            vec![first.with_octets(&record(at)).with(&[soa(zone, 2)]).send()]
        }
    };
    fn rest(rtype: u16, rdlength: u16, rdata: &[u8]) -> Vec<u8> {
        [&rtype.to_be_bytes()[..], &[0, 1, 0, 0, 0, 60], &rdlength.to_be_bytes(), rdata].concat()
    }
    fn pointer(to: usize) -> [u8; 2] {
        (0xc000 | to as u16).to_be_bytes()
    }
    survive(
        PATIENT,
        vec![
            transfer(
                "pointer-to-itself",
                "MALFORMED_RR",
                broken(|at| [&pointer(at)[..], &rest(1, 4, &[192, 0, 2, 1])].concat()),
            ),
            transfer(
                "pointer-loop",
                "MALFORMED_RR",
                broken(|at| [&b"\x01a"[..], &pointer(at), &rest(1, 4, &[192, 0, 2, 1])].concat()),
            ),
            transfer(
                "pointer-forward",
                "MALFORMED_RR",
                broken(|at| [&pointer(at + 20)[..], &rest(1, 4, &[192, 0, 2, 1])].concat()),
            ),
            transfer(
                "pointer-in-rdata",
                "MALFORMED_RR",
                broken(|at| [&pointer(12)[..], &rest(2, 2, &pointer(at + 12))].concat()),
            ),
            transfer(
                "label-of-64",
                "MALFORMED_RR",
                broken(|_| [&[64][..], &[b'a'; 64], &pointer(12), &rest(1, 4, &[192, 0, 2, 1])].concat()),
            ),
            transfer(
                "label-type-2",
                "MALFORMED_RR",
                broken(|_| [&[0x80, 1][..], &pointer(12), &rest(1, 4, &[192, 0, 2, 1])].concat()),
            ),
            transfer(
                "name-of-256",
                "MALFORMED_RR",
                broken(|_| {
                    let label = [&[63][..], &[b'a'; 63]].concat();
                    [label.repeat(4), pointer(12).to_vec(), rest(1, 4, &[192, 0, 2, 1])].concat()
                }),
            ),
            transfer(
                "rdata-beyond-the-end",
                "MALFORMED_RR",
                broken(|_| [&pointer(12)[..], &rest(1, 60_000, &[192, 0, 2, 1])].concat()),
            ),
            transfer("a-of-3", "MALFORMED_RR", broken(|_| [&pointer(12)[..], &rest(1, 3, &[192, 0, 2])].concat())),
            transfer("aaaa-of-17", "MALFORMED_RR", broken(|_| [&pointer(12)[..], &rest(28, 17, &[0; 17])].concat())),
            transfer("mx-of-1", "MALFORMED_RR", broken(|_| [&pointer(12)[..], &rest(15, 1, &[0])].concat())),
            transfer(
                "txt-over-its-end",
                "MALFORMED_RR",
                broken(|_| [&pointer(12)[..], &rest(16, 3, b"\x09ab")].concat()),
            ),
            transfer("txt-of-0", "MALFORMED_RR", broken(|_| [&pointer(12)[..], &rest(16, 0, &[])].concat())),
            transfer(
                "ns-with-more",
                "MALFORMED_RR",
                broken(|_| [&pointer(12)[..], &rest(2, 3, &[&pointer(12)[..], &[0]].concat())].concat()),
            ),
            transfer("soa-of-4", "MALFORMED_RR", broken(|_| [&pointer(12)[..], &rest(6, 4, &[0, 0, 0, 1])].concat())),
            transfer("rrsig-of-10", "MALFORMED_RR", broken(|_| [&pointer(12)[..], &rest(46, 10, &[0; 10])].concat())),
            transfer("fewer-than-counted", "MALFORMED_RR", |query, zone| {
                vec![Reply::to(query).with(&reply::zone(zone, 2)[..3]).but(|r| r.answers += 1).send()]
            }),
            transfer("nothing-behind-the-name", "MALFORMED_RR", |query, zone| {
                vec![Reply::to(query).with(&[soa(zone, 2)]).with_octets(&[0xc0]).send()]
            }),
        ],
    );
}

#[test]
fn b18_the_index_and_the_owner_are_named() {
    let stage = Stage::loaded(PATIENT, &["named"]);
    stage.primary("named.example").play(reply::offering("named.example", 2, |query| {
        let whole = reply::zone("named.example", 2);
        let www = whole[4].owner.as_wire();
        vec![Reply::to(query).with(&whole[..4]).with_raw(www, 1, 1, 60, b"abc").with(&whole[5..]).send()]
    }));
    let item = stage.refreshed("named.example");
    let message = item["errorMessage"].as_str().unwrap_or_default();
    assert!(message.contains("record 5") && message.contains("www.named.example. A"), "{item:#}");
}

/// Whole zones in messages of a hundred records.
fn whole(query: &Query, records: &[Record]) -> Vec<Step> {
    records.chunks(100).map(|part| Reply::to(query).with(part).send()).collect()
}

fn holding(text: impl Fn(&str) -> String + Send + Sync + 'static) -> impl Fn(&Query, &str) -> Vec<Step> + Send + Sync {
    move |query, zone| {
        let mut all = body(zone, 2);
        all.extend(records(zone, &text(zone)));
        whole(query, &around(soa(zone, 2), all))
    }
}

/// A11, A12: what cannot be served is refused by name, in bounded time.
#[test]
fn b19_contents_that_cannot_be_served() {
    survive(
        PATIENT,
        vec![
            transfer("cname-and-other", "CONTENT_CNAME", holding(|_| "www 60 CNAME ns1".to_owned())),
            transfer("two-cnames", "CONTENT_CNAME", holding(|_| "two 60 CNAME ns1\ntwo 60 CNAME www".to_owned())),
            transfer("apex-cname", "CONTENT_CNAME", holding(|_| "@ 60 CNAME www.else.where.".to_owned())),
            transfer("two-soas", "SOA_MISMATCH", holding(|_| "@ 300 SOA ns2 hostmaster 2 1 2 3 4".to_owned())),
            transfer(
                "large-rrset",
                "LIMIT_RRSET",
                holding(|_| (0..300).map(|n| format!("large 60 TXT \"{n}{}\"\n", "x".repeat(240))).collect()),
            ),
        ],
    );
}

#[test]
fn b19_a_hundred_thousand_addresses_and_all_types_at_one_name() {
    let stage = Stage::loaded(PATIENT, &["addresses", "types"]);
    stage.primary("addresses.example").play(reply::offering("addresses.example", 2, |query| {
        many(query, "addresses.example", 100_000, |n| (1, (n as u32 + 0x0a00_0000).to_be_bytes().to_vec()))
    }));
    stage.primary("types.example").play(reply::offering("types.example", 2, |query| {
        // Nothing that is known and parsed.
        many(query, "types.example", 63_000, |n| (if n < 31_000 { 1_000 } else { 2_280 } + n as u16, b"xyz".to_vec()))
    }));
    let began = Instant::now();
    stage.refresh("addresses.example");
    let types = stage.refreshed("types.example");
    let addresses = stage.ours.settled("addresses.example", 0);
    assert_eq!(addresses["errorCode"], "LIMIT_RRSET", "{addresses:#}");
    assert_eq!(types["errorCode"], "LIMIT_TYPES", "{types:#}");
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    stage.serves("addresses.example", 1);
    stage.serves("types.example", 1);
}

/// A zone with `count` records at one name.
fn many(query: &Query, zone: &str, count: usize, record: impl Fn(usize) -> (u16, Vec<u8>)) -> Vec<Step> {
    let owner: secondaryd::dns::Name = format!("many.{zone}").parse().expect("a name");
    let mut steps = vec![Reply::to(query).with(&[soa(zone, 2)]).send()];
    let numbers: Vec<usize> = (0..count).collect();
    for part in numbers.chunks(800) {
        let mut reply = Reply::to(query);
        for n in part {
            let (rtype, rdata) = record(*n);
            reply = reply.with_raw(owner.as_wire(), rtype, 1, 60, &rdata);
        }
        steps.push(reply.send());
    }
    steps.push(Reply::to(query).with(&[soa(zone, 2)]).send());
    steps
}

/// B21: "zone without NS; empty zone (SOA only); zone suddenly 99 % smaller": held where the served version is better,
/// fetched once and not again while the primary offers nothing else.
#[test]
fn b21_a_zone_that_loses_its_ns_or_nearly_everything_is_held() {
    let settings = format!("{PATIENT}[guard]\nshrink-percent = 90\nshrink-records-min = 1\n");
    let stage = Stage::loaded(&settings, &["no-ns", "soa-only", "smaller"]);
    let play = |name: &str, serial: u32, body: Vec<Record>| {
        let zone = format!("{name}.example");
        let records = around(soa(&zone, serial), body);
        stage
            .primary(&zone)
            .play(reply::offering(&zone, serial, move |query| vec![Reply::to(query).with(&records).send()]));
        stage.refreshed(&zone)
    };
    let grown = |serial| {
        let mut all = body("smaller.example", serial);
        all.extend((0..500).flat_map(|n| records("smaller.example", &format!("h{n} 60 A 192.0.2.1"))));
        all
    };
    assert_eq!(play("smaller", 2, grown(2))["status"], "OK");
    for (name, serial, body, code) in [
        ("no-ns", 2, body("no-ns.example", 2)[1..].to_vec(), "GUARD_APEX"),
        ("soa-only", 2, Vec::new(), "GUARD_APEX"),
        ("smaller", 3, body("smaller.example", 3), "GUARD_SHRINK"),
    ] {
        let item = play(name, serial, body);
        let zone = format!("{name}.example");
        assert_eq!(item["errorCode"], code, "{zone}: {item:#}");
        stage.serves(&zone, serial - 1);
        let fetched = stage.primary(&zone).seen_over_tcp().len();
        assert_eq!(stage.refreshed(&zone)["errorCode"], code);
        assert_eq!(stage.primary(&zone).seen_over_tcp().len(), fetched, "{zone} is not fetched again");
    }
    stage.heals("no-ns.example", 3);
    stage.heals("soa-only.example", 3);
}

/// A11: "no NS at the apex [warn]"; A4: "lowest TTL, flagged and reported"; B22: top bit of the TTL; occluded data.
#[test]
fn b21_b22_strange_zones_are_served_with_a_warning() {
    let stage = Stage::loaded(
        &format!("{PATIENT}[guard]\napex = false\n"),
        &["no-ns", "soa-only", "ttl-bit", "ttls", "below-dname"],
    );
    let play = |name: &str, serial: u32, reply: fn(&Query, &str, u32) -> Reply| {
        let zone = format!("{name}.example");
        let played = zone.clone();
        stage
            .primary(&zone)
            .play(reply::offering(&zone, serial, move |query| vec![reply(query, &played, serial).send()]));
        let item = stage.refreshed(&zone);
        assert_eq!(item["status"], "OK", "{zone}: {item:#}");
        assert_eq!(stage.ours.dns.serial(&zone), Some(serial), "{zone}");
        stage.ours.status(&zone)["warnings"].to_string()
    };
    let no_ns = play("no-ns", 2, |query, zone, serial| {
        Reply::to(query).with(&around(soa(zone, serial), body(zone, serial)[1..].to_vec()))
    });
    assert!(no_ns.contains("no NS at the apex"), "{no_ns}");
    let soa_only =
        play("soa-only", 2, |query, zone, serial| Reply::to(query).with(&around(soa(zone, serial), Vec::new())));
    assert!(soa_only.contains("no NS at the apex"), "{soa_only}");
    assert_eq!(stage.ours.record_count("soa-only.example"), 1);
    let ttl_bit = play("ttl-bit", 2, |query, zone, serial| {
        let whole = reply::zone(zone, serial);
        let www = whole[4].owner.as_wire();
        Reply::to(query).with(&whole[..4]).with_raw(www, 1, 1, 0x8000_0010, &whole[4].rdata).with(&whole[5..])
    });
    assert!(ttl_bit.contains("1 records came with the top bit of the TTL set"), "{ttl_bit}");
    let www = stage.ours.dns.ask(Over::Udp, "www.ttl-bit.example", Hickory::A).expect("an answer");
    assert_eq!(www.answers[0].ttl, 0);
    let ttls = play("ttls", 2, |query, zone, serial| {
        let mut all = body(zone, serial);
        all.extend(records(zone, "mixed 60 A 192.0.2.1\nmixed 30 A 192.0.2.2\nmixed 90 A 192.0.2.3"));
        Reply::to(query).with(&around(soa(zone, serial), all))
    });
    assert!(ttls.contains("TTL"), "{ttls}");
    let mixed = stage.ours.dns.ask(Over::Udp, "mixed.ttls.example", Hickory::A).expect("an answer");
    assert!(mixed.answers.len() == 3 && mixed.answers.iter().all(|record| record.ttl == 30), "{mixed}");
    let below = play("below-dname", 2, |query, zone, serial| {
        let mut all = body(zone, serial);
        all.extend(records(zone, "d 60 DNAME else.where.\nunder.d 60 A 192.0.2.1"));
        Reply::to(query).with(&around(soa(zone, serial), all))
    });
    assert!(below.contains("names below the DNAME"), "{below}");
}

/// B23: served as it is. A chain that is broken or costs too much must not take the server down.
#[test]
fn b23_broken_nsec3_is_served_as_it_is() {
    let variants = [
        (
            "other-hash",
            "2 0 0 -",
            "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom 60 NSEC3 2 0 0 - 2t7b4g4vsa5smi47k61mv5bv1a22bojr A",
        ),
        (
            "costly",
            "1 0 5000 AABB",
            "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom 60 NSEC3 1 0 5000 AABB 2t7b4g4vsa5smi47k61mv5bv1a22bojr A",
        ),
        (
            "most",
            "1 0 65535 AABB",
            "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom 60 NSEC3 1 0 65535 AABB 2t7b4g4vsa5smi47k61mv5bv1a22bojr A",
        ),
        ("no-chain", "1 0 0 -", "nothing 60 A 192.0.2.1"),
        ("no-hash", "1 1 0 -", "not-a-hash 60 NSEC3 1 1 0 - 2t7b4g4vsa5smi47k61mv5bv1a22bojr A"),
    ];
    let stage = Stage::loaded(PATIENT, &variants.map(|variant| variant.0));
    for (name, params, chain) in variants {
        let zone = format!("{name}.example");
        let played = zone.clone();
        stage.primary(&zone).play(reply::offering(&zone, 2, move |query| {
            let mut all = body(&played, 2);
            all.extend(records(&played, &format!("@ 60 NSEC3PARAM {params}\n{chain}")));
            whole(query, &around(soa(&played, 2), all))
        }));
        let item = stage.refreshed(&zone);
        assert_eq!(item["status"], "OK", "{zone}: {item:#}");
        stage.serves(&zone, 2);
        let began = Instant::now();
        for n in 0..10 {
            let rcode = stage.ours.dns.rcode(&format!("nobody{n}.a.b.c.{zone}"), Hickory::A);
            assert_eq!(rcode, Some(ResponseCode::NXDomain), "{zone}");
            assert_eq!(dnssec_rcode(&stage, &format!("nobody{n}.a.b.c.{zone}")), 3, "{zone}");
        }
        assert!(began.elapsed() < Duration::from_secs(5), "{zone}: {:?}", began.elapsed());
    }
}

/// The RCODE of an answer to a question with DO.
fn dnssec_rcode(stage: &Stage, name: &str) -> u8 {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.set_read_timeout(Some(Duration::from_secs(3))).expect("a timeout");
    let mut query = b"\x00\x07\0\0\0\x01\0\0\0\0\0\x01".to_vec();
    query.extend_from_slice(name.parse::<secondaryd::dns::Name>().expect("a name").as_wire());
    query.extend_from_slice(b"\0\x01\0\x01\0\0\x29\x04\xd0\0\0\x80\0\0\0");
    socket.send_to(&query, stage.ours.address()).expect("sent");
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).expect("an answer in time");
    assert!(length > 12);
    buffer[3] & 0xf
}

/// B29: "names chosen to collide": bounded depth and time. (Owner names hash under a secret key; only the hashes of
/// NSEC3 can be chosen.)
#[test]
fn b29_nsec3_hashes_with_a_common_prefix() {
    const COUNT: usize = 20_000;
    let stage = Stage::loaded(PATIENT, &["prefix"]);
    let zone = "prefix.example";
    stage.primary(zone).play(reply::offering(zone, 2, move |query| {
        // 160 bits are 32 characters; the first 20 are the same.
        let label = |n: usize| {
            let digits: String = (0..12)
                .rev()
                .map(|d| char::from(b"0123456789abcdefghijklmnopqrstuv"[n >> (5 * d).min(60) & 31]))
                .collect();
            format!("{}{digits}", "a".repeat(20))
        };
        let mut steps = vec![
            Reply::to(query)
                .with(&[soa(zone, 2)])
                .with(&body(zone, 2))
                .with(&records(zone, "@ 60 NSEC3PARAM 1 0 0 -"))
                .send(),
        ];
        let apex: secondaryd::dns::Name = zone.parse().expect("a name");
        for part in (0..COUNT).collect::<Vec<_>>().chunks(400) {
            let mut reply = Reply::to(query);
            for &n in part {
                let owner = [&[32][..], label(n).as_bytes(), apex.as_wire()].concat();
                let mut rdata = vec![1, 0, 0, 0, 0, 20];
                rdata.extend_from_slice(&[0x52; 12]);
                rdata.extend_from_slice(&(n as u64 + 1).to_be_bytes());
                rdata.extend_from_slice(&[0, 1, 0x40]);
                reply = reply.with_raw(&owner, 50, 1, 60, &rdata);
            }
            steps.push(reply.send());
        }
        steps.push(Reply::to(query).with(&[soa(zone, 2)]).send());
        steps
    }));
    let began = Instant::now();
    let item = stage.refreshed(zone);
    assert_eq!(item["status"], "OK", "{item:#}");
    assert_eq!(stage.ours.record_count(zone), COUNT as u64 + 6);
    assert_eq!(dnssec_rcode(&stage, "nobody.prefix.example"), 3);
    stage.serves(zone, 2);
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    assert_eq!(stage.primary(zone).seen_over_tcp(), [RecordType::IXFR]);
}
