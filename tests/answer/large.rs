//! RRsets that are stored apart, and replies beyond the reach of compression pointers.

use secondaryd::dns::{Name, Record, RecordType, zonefile};
use secondaryd::served::Transport;

use super::laws::check;
use super::model::Model;
use super::stage::{Edns, Question, Stage};
use super::witness;

const APEX: &str = "z";

fn serve(text: &str) -> (Stage, Model, Vec<Record>) {
    let apex: Name = APEX.parse().expect("a name");
    let text = format!("$TTL 60\n@ SOA ns.z. host.z. 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n{text}");
    let records = zonefile::parse(text, &apex).expect("records");
    let (mut stage, mut model) = (Stage::new(), Model::default());
    stage.serve(&apex, &records);
    model.add(&apex, &records);
    (stage, model, records)
}

fn addresses(owner: &str, count: usize) -> String {
    (0..count).map(|i| format!("{owner} A 10.0.{}.{}\n", i / 256, i % 256)).collect()
}

/// RFC 1035 §4.1.4: a pointer has 14 bits, so behind offset 16,383 names are written in full, or their owner by a pointer
/// to where it stands before.
#[test]
fn names_behind_the_reach_of_pointers_are_in_full() {
    // given RRsets with compressed names behind 24 kB of addresses, at one owner, of a wildcard and of a delegation
    let mut text = addresses("big", 1500) + &addresses("*.wild", 1500);
    for owner in ["big", "*.wild"] {
        text += &format!("{owner} MX 10 mail.big\n{owner} MX 20 mx\n{owner} TXT \"behind\"\n{owner} SRV 1 2 3 ns\n");
    }
    // and hosts named behind it
    text += &(0..900).map(|i| format!("hosts MX 5 a-host-with-a-long-name-{i}\n")).collect::<String>();
    text += &(0..40).map(|i| format!("a-host-with-a-long-name-{i} A 192.0.2.{i}\n")).collect::<String>();
    let (stage, model, records) = serve(&text);
    let owners = records.iter().map(|record| record.owner.clone());
    let below = ["x.wild.z", "y.x.wild.z"].map(|text| text.parse().expect("a name"));
    for name in owners.chain(below).collect::<std::collections::BTreeSet<_>>() {
        for qtype in [RecordType::A, RecordType::MX, RecordType::ANY, RecordType::SRV] {
            check(&stage, &model, &name, 0x0f0f_3333_5555_ffff, qtype, false);
        }
    }
}

#[test]
fn a_delegation_with_more_name_servers_than_fit_is_truncated_over_udp_only() {
    let mut text: String =
        (0..100).map(|i| format!("sub NS ns-{i}.sub\nns-{i}.sub A 10.1.{}.{}\n", i / 256, i % 256)).collect();
    text += &(0..100).map(|i| format!("ns-{i}.sub AAAA 2001:db8::{i:x}\n")).collect::<String>();
    let (stage, model, _) = serve(&text);
    check(&stage, &model, &"www.sub.z".parse().expect("a name"), 0, RecordType::A, true);
    let query = Question::new("www.sub.z", RecordType::A).to_message();
    let short = witness::read(&query, &stage.respond(&query, Transport::Udp).expect("a reply"));
    assert!(short.truncated);
    let whole = witness::read(&query, &stage.respond(&query, Transport::Tcp).expect("a reply"));
    assert_eq!((whole.authority.len(), whole.additional.len()), (100, 200));
}

/// RFC 9471 §2.1: all glue of in-domain name servers, "or MUST set TC=1 if constrained by message size".
#[test]
fn glue_that_does_not_fit_sets_tc() {
    let text: String = (0..12)
        .map(|i| format!("sub NS ns-{i}.sub\nns-{i}.sub A 10.1.1.{i}\nns-{i}.sub AAAA 2001:db8::{i}\n"))
        .collect();
    let (stage, _, _) = serve(&text);
    let mut question = Question::new("www.sub.z", RecordType::A);
    let ask = |question: &Question| {
        let query = question.to_message();
        witness::read(&query, &stage.respond(&query, Transport::Udp).expect("a reply"))
    };
    let short = ask(&question);
    assert!(short.truncated && short.authority.len() == 12 && short.additional.len() < 24);
    question.edns = Some(Edns { octets: 1232, version: 0, dnssec_ok: false });
    let whole = ask(&question);
    assert!(!whole.truncated && whole.additional.len() == 24);
}

/// RFC 9471 §2.2: sibling glue that does not fit may be left out without TC.
#[test]
fn sibling_glue_that_does_not_fit_is_left_out() {
    let text: String = (0..12)
        .map(|i| format!("sub NS ns-{i}.other\nns-{i}.other A 10.1.1.{i}\nns-{i}.other AAAA 2001:db8::{i}\n"))
        .collect();
    let (stage, _, _) = serve(&(text + "other NS ns-0.other\n"));
    let query = Question::new("www.sub.z", RecordType::A).to_message();
    let reply = witness::read(&query, &stage.respond(&query, Transport::Udp).expect("a reply"));
    assert!(!reply.truncated && reply.authority.len() == 12 && reply.additional.len() < 24);
}

/// An RRset near 64 KiB goes over TCP; with signatures that no message can hold together with it the answer is SERVFAIL
/// to those who want them.
#[test]
fn the_largest_rrsets_are_served_over_tcp() {
    let line = format!("huge TXT \"{}\"", "t".repeat(240));
    let mut text: String = (0..250).map(|i| format!("{line} \"{i}\"\n")).collect();
    text += &format!("huge RRSIG TXT 8 2 60 20300101000000 20200101000000 1 z. {}\n", "A".repeat(2400));
    let (stage, model, _) = serve(&text);
    let huge: Name = "huge.z".parse().expect("a name");
    check(&stage, &model, &huge, 0, RecordType::TXT, false);
    let mut question = Question::new("huge.z", RecordType::TXT);
    question.edns = Some(Edns { octets: 1232, version: 0, dnssec_ok: true });
    let query = question.to_message();
    let reply = witness::read(&query, &stage.respond(&query, Transport::Tcp).expect("a reply"));
    let error = reply.edns.expect("EDNS").error;
    assert_eq!((reply.rcode, reply.answer.len(), error), (2, 0, Some(0)));
}

/// RFC 9471 §2.1: "all available glue records": a delegation with some hundred addresses goes over TCP whole.
#[test]
fn all_glue_that_a_message_can_hold_is_given() {
    let text: String =
        (0..900).map(|i| format!("sub NS n{i}.sub\nn{i}.sub A 10.1.{}.{}\n", i / 256, i % 256)).collect();
    let (stage, _, _) = serve(&text);
    let query = Question::new("www.sub.z", RecordType::A).to_message();
    let whole = witness::read(&query, &stage.respond(&query, Transport::Tcp).expect("a reply"));
    assert_eq!((whole.rcode, whole.authority.len(), whole.additional.len()), (0, 900, 900));
    let short = witness::read(&query, &stage.respond(&query, Transport::Udp).expect("a reply"));
    assert!(short.truncated);
}

/// RFC 9471 §2.1 holds where names are out of a pointer's reach as well: few addresses behind very many name servers.
#[test]
fn glue_behind_the_reach_of_pointers_is_given() {
    let mut text: String = (0..900).map(|i| format!("sub NS a-name-server-elsewhere-{i}.y.\n")).collect();
    text += "sub NS ns.sub\nns.sub A 10.1.1.1\nns.sub AAAA 2001:db8::1\n";
    let (stage, model, _) = serve(&text);
    check(&stage, &model, &"www.sub.z".parse().expect("a name"), 0, RecordType::A, true);
    let query = Question::new("www.sub.z", RecordType::A).to_message();
    let whole = witness::read(&query, &stage.respond(&query, Transport::Tcp).expect("a reply"));
    assert_eq!((whole.rcode, whole.authority.len(), whole.additional.len()), (0, 901, 2));
}

/// RFC 8467 §4.1 pads "to the closest multiple of 468 octets", as far as the message goes: whatever else is asked for, no
/// reply is longer than a message.
#[test]
fn replies_as_long_as_a_message_are_padded_up_to_its_end() {
    let long = ["q", "r", "s"].map(|letter| letter.repeat(63)).join(".") + "." + &"w".repeat(54);
    for filler in 80..122 {
        // given a TXT that leaves next to nothing of a message
        let mut text: String = (0..243).map(|i| format!("{long} TXT \"{i:05}{}\"\n", "a".repeat(250))).collect();
        text += &format!("{long} TXT \"{}\"\n", "b".repeat(filler));
        let (stage, _, _) = serve(&text);
        let ask = |options: &[u16]| {
            let mut question = Question::new(&format!("{long}.z"), RecordType::TXT);
            question.edns = Some(Edns { octets: 1232, version: 0, dnssec_ok: false });
            question.options = options.iter().flat_map(|code| [0, *code as u8, 0, 0]).collect();
            let query = question.to_message();
            let bytes = stage.respond(&query, Transport::Tls).expect("a reply");
            (bytes.len(), witness::read(&query, &bytes))
        };
        let (plain, _) = ask(&[]);
        // when padding is asked for beside ZONEVERSION and EXPIRE
        let (octets, reply) = ask(&[19, 9, 12]);
        // then the answer is there as long as it fits together with what was asked for
        match plain + 10 + 8 <= 65_535 {
            true => assert_eq!((reply.rcode, reply.answer.len()), (0, 244), "{plain}"),
            false => assert_eq!((reply.rcode, reply.answer.len()), (2, 0), "{plain}"),
        }
        assert!(octets % 468 == 0 || octets == 65_535 || octets > 65_535 - 4, "{octets}");
    }
}

/// Asks with EDNS and room for `octets`.
fn ask(stage: &Stage, name: &str, qtype: RecordType, octets: u16, transport: Transport) -> witness::Reply {
    let mut question = Question::new(name, qtype);
    question.edns = Some(Edns { octets, version: 0, dnssec_ok: true });
    let query = question.to_message();
    let bytes = stage.respond(&query, transport).expect("a reply");
    assert!(transport.is_stream() || bytes.len() <= usize::from(octets));
    witness::read(&query, &bytes)
}

/// RFC 2181 §9: TC "should be set in responses only when an RRSet is required as a part of the response, but could not be
/// included in its entirety". Where an RRset is stored is no reason: at an owner with many of them even short ones are
/// stored apart.
#[test]
fn an_rrset_that_is_stored_apart_is_answered_over_udp_if_it_fits() {
    let mut text: String = (0..9).map(|i| format!("m TYPE{} \\# 400 {}\n", 1000 + i, "ab".repeat(400))).collect();
    for i in 0..9 {
        text += &format!("m RRSIG TYPE{} 8 2 60 20300101000000 20200101000000 1 z. {}\n", 1000 + i, "A".repeat(100));
    }
    // hosts beyond that, named by an MX, and below a cut with glue of thousands of octets
    text += "mx MX 5 m\n";
    for i in 0..60 {
        text += &format!("m A 10.0.1.{i}\nm AAAA 2001:db8::{i}\n");
    }
    for i in 0..200 {
        text += &format!("sub NS n{0}.sub\nn{0}.sub A 10.0.2.{i}\nn{0}.sub AAAA 2001:db8:1::{i}\n", i % 20);
    }
    let (stage, model, _) = serve(&text);
    for name in ["m.z", "mx.z", "www.sub.z", "n1.sub.z"] {
        let name: Name = name.parse().expect("a name");
        for qtype in [1, 15, 28, 255, 1000, 1004, 1008] {
            check(&stage, &model, &name, 0x5555_3333_0f0f_ffff, RecordType(qtype), false);
            check(&stage, &model, &name, 0, RecordType(qtype), true);
        }
    }
    // one RRset, with its signature, alone or as one of many
    for qtype in [1000, 1004, 1008, 1, 255].map(RecordType) {
        let reply = ask(&stage, "m.z", qtype, 4096, Transport::Udp);
        assert!(!reply.truncated && !reply.answer.is_empty(), "{qtype}: {reply:?}");
    }
    assert_eq!(ask(&stage, "m.z", RecordType(1000), 1232, Transport::Udp).answer.len(), 2);
    let signatures = ask(&stage, "m.z", RecordType::RRSIG, 1232, Transport::Udp);
    assert_eq!(
        (signatures.truncated, signatures.answer.len(), signatures.answer[0].rtype),
        (false, 1, RecordType::RRSIG)
    );
    let all = ask(&stage, "m.z", RecordType::RRSIG, 1232, Transport::Tcp);
    assert_eq!(all.answer.len(), 9);
    // and what does not fit has TC
    let many = ask(&stage, "m.z", RecordType::A, 600, Transport::Udp);
    assert_eq!((many.truncated, many.answer.len()), (true, 0));
    // addresses that are stored apart are added where they fit, and the glue that does
    let mx = ask(&stage, "mx.z", RecordType::MX, 1232, Transport::Udp);
    assert_eq!((mx.truncated, mx.additional.len()), (false, 60));
    let referral = ask(&stage, "www.sub.z", RecordType::A, 4096, Transport::Udp);
    assert_eq!((referral.truncated, referral.authority.len()), (true, 20));
    assert!(referral.additional.len() > 20, "{}", referral.additional.len());
}

/// RFC 8482 §4.1: "A DNS responder that receives an ANY query MAY decline to provide a conventional ANY response or MAY
/// instead send a response with a single RRset (or a larger subset of available RRsets) in the answer section."
#[test]
fn any_over_tcp_leaves_out_what_no_message_can_hold_together() {
    let mut text = addresses("two", 2500);
    text += &(0..1200).map(|i| format!("two AAAA 2001:db8::{i:x}\n")).collect::<String>();
    text += "two TXT \"short\"\n";
    let (stage, _, _) = serve(&text);
    let reply = ask(&stage, "two.z", RecordType::ANY, 1232, Transport::Tcp);
    assert_eq!((reply.rcode, reply.truncated, reply.answer.len()), (0, false, 2501));
}

/// RFC 9471 §2.1: a server "MUST set TC=1 if constrained by message size", over TCP as well; RFC 2181 §9 keeps the rest.
#[test]
fn glue_that_no_message_can_hold_sets_tc_over_tcp_as_well() {
    let below = format!("{}.cut", "g".repeat(60));
    let text: String = (0..150)
        .map(|i| {
            let addresses: String = (0..3).map(|j| format!("n{i}.{below} A 10.9.{i}.{j}\n")).collect();
            format!("cut NS n{i}.{below}\n{addresses}n{i}.{below} AAAA 2001:db8:1::{i:x}\n")
        })
        .collect();
    let (stage, _, _) = serve(&text);
    for transport in [Transport::Tcp, Transport::Tls] {
        let reply = ask(&stage, "a.cut.z", RecordType::A, 1232, transport);
        assert_eq!((reply.rcode, reply.truncated, reply.authority.len()), (0, true, 150));
        assert!(reply.additional.len() > 500, "{}", reply.additional.len());
    }
    let short = ask(&stage, "a.cut.z", RecordType::A, 1232, Transport::Udp);
    assert!(short.truncated);
}
