//! Laws: every question on every fixture and on random zones is answered as the model says; rubbish harms nobody.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use secondaryd::answer::Outcome;
use secondaryd::dns::{Name, Record, RecordType, zonefile};
use secondaryd::served::Transport;

use super::model::Model;
use super::stage::{Edns, Question, Stage};
use super::witness;

/// Asks over TCP and over UDP and holds both replies against the model.
pub(crate) fn check(stage: &Stage, model: &Model, name: &Name, spelling: u64, qtype: RecordType, dnssec_ok: bool) {
    let edns = dnssec_ok.then_some(Edns { octets: 1232, version: 0, dnssec_ok });
    let mut question = Question { edns, ..Question::new(".", qtype) };
    question.name = name.as_wire().to_vec();
    for (at, octet) in question.name.iter_mut().enumerate().filter(|(_, octet)| octet.is_ascii_lowercase()) {
        *octet ^= ((spelling >> (at % 64)) as u8 & 1) << 5;
    }
    let query = question.to_message();
    let bytes = stage.respond(&query, Transport::Tcp).expect("a reply");
    assert_eq!(bytes[12..12 + question.name.len()], question.name, "the question's own spelling");
    let whole = witness::read(&query, &bytes);
    let place = || format!("{name} {qtype} do={dnssec_ok}\n{whole:#?}");
    let Some(expected) = model.answer(name, qtype, dnssec_ok) else {
        return assert_eq!((whole.rcode, whole.authoritative), (5, false), "{}", place());
    };
    assert_eq!((whole.rcode, whole.authoritative), (expected.rcode, expected.authoritative), "{}", place());
    assert!(!whole.truncated);
    if qtype != RecordType::RRSIG {
        assert_eq!(whole.answer, expected.answer, "{}", place());
        assert_eq!(whole.authority, expected.authority, "{}", place());
    }
    assert!(expected.glue.iter().all(|rr| whole.additional.contains(rr)), "glue {:?} of {}", expected.glue, place());
    assert!(whole.additional.iter().all(|rr| model.has_address(rr)), "{}", place());

    let bytes = stage.respond(&query, Transport::Udp).expect("a reply");
    assert!(bytes.len() <= if dnssec_ok { 1232 } else { 512 });
    let short = witness::read(&query, &bytes);
    assert_eq!((short.rcode, short.authoritative), (whole.rcode, whole.authoritative));
    if short.truncated {
        assert!(short.answer.iter().all(|rr| whole.answer.contains(rr)));
        assert!(short.authority.iter().all(|rr| whole.authority.contains(rr)));
    } else if qtype == RecordType::ANY || qtype == RecordType::RRSIG {
        assert_eq!(short.answer.is_empty(), whole.answer.is_empty());
    } else {
        assert_eq!((&short.answer, &short.authority), (&whole.answer, &whole.authority), "{}", place());
        assert!(expected.glue.iter().all(|rr| short.additional.contains(rr)), "{}", place());
    }
}

/// Every zone of the fixtures, all served together: each owner, its ancestors and some neighbours, with each type.
#[test]
fn every_question_on_the_fixtures_is_answered_as_the_model_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/zones");
    let (mut stage, mut model) = (Stage::new(), Model::default());
    let (mut names, mut types) = (BTreeSet::new(), BTreeSet::from([RecordType::ANY, RecordType::DS]));
    for (fixture, apex) in [
        ("ordinary", "ordinary.example"),
        ("reverse", "2.0.192.in-addr.arpa"),
        ("delegations", "delegations.example"),
        ("all-types", "all-types.example"),
        ("signed-nsec3-closed", "signed-nsec3-closed.example"),
        ("signed-nsec", "signed-nsec.example"),
        ("signed-nsec3", "signed-nsec3.example"),
    ] {
        let apex: Name = apex.parse().expect("a name");
        let text = fs::read(folder.join(fixture).with_extension("zone")).expect("a zone");
        let mut records = zonefile::parse(text, &apex).expect("records");
        // What hickory cannot witness: it does not expand the compressed names of the first four, although RFC 3597 §4
        // wants that for all types of RFC 1035, takes SIG for a signature of the message, and refuses empty rdata.
        let unseen = [RecordType::MB, RecordType::MG, RecordType::MR, RecordType::MINFO, RecordType::SIG];
        records.retain(|record| !unseen.contains(&record.rtype) && !record.rdata.is_empty());
        stage.serve(&apex, &records);
        model.add(&apex, &records);
        for record in &records {
            types.insert(record.rtype);
            let mut name = record.owner.clone();
            while name.is_at_or_below(&apex) {
                names.extend(
                    [&b"\x03new"[..], b"\x01*", b"\x01a\x01b"]
                        .map(|new| Name::from_relative(new, &name).unwrap_or_else(|_| name.clone())),
                );
                names.insert(name.clone());
                name = name.parent().expect("an apex is not the root");
            }
        }
    }
    // of the types of all-types one of each kind is enough: most have no rule of their own here
    types.retain(|t| t.0 < 70 || t.0 >= 255);
    for name in &names {
        for &qtype in &types {
            for dnssec_ok in [false, true] {
                check(&stage, &model, name, 0x5555_aaaa_3333_cccc, qtype, dnssec_ok);
            }
        }
    }
}

/// Names of at most three labels from few letters, so that random ones meet.
fn relative() -> impl Strategy<Value = Vec<u8>> {
    vec(select(vec![&b"\x01a"[..], b"\x01b", b"\x01c", b"\x01*"]), 0..4).prop_map(|labels| labels.concat())
}

fn apexes() -> Vec<Name> {
    ["z", "a.z", "y"].map(|text| text.parse().expect("a name")).into()
}

/// A name in or near the zones, or (rarely) anywhere.
fn name() -> impl Strategy<Value = Name> {
    let anywhere = ["z", "a.z", "y", "z", "a.z", "y", "x"].map(|text| text.parse::<Name>().expect("a name"));
    (relative(), select(anywhere.to_vec()))
        .prop_map(|(relative, below)| Name::from_relative(&relative, &below).expect("short"))
}

fn record() -> impl Strategy<Value = Record> {
    let rdata = prop_oneof![
        4 => any::<[u8; 4]>().prop_map(|address| (RecordType::A, address.to_vec())),
        1 => Just((RecordType::AAAA, vec![7; 16])),
        2 => Just((RecordType::TXT, b"\x04text".to_vec())),
        3 => name().prop_map(|target| (RecordType::NS, target.as_wire().to_vec())),
        3 => name().prop_map(|target| (RecordType::CNAME, target.as_wire().to_vec())),
        2 => name().prop_map(|target| (RecordType::DNAME, target.as_wire().to_vec())),
        1 => name().prop_map(|target| (RecordType::MX, [&[0, 5], target.as_wire()].concat())),
        1 => Just((RecordType::DS, vec![0, 1, 8, 2, 9])),
    ];
    (name(), rdata).prop_map(|(owner, (rtype, rdata))| Record {
        owner,
        rtype,
        ttl: 60 + u32::from(rtype.0),
        rdata: rdata.into(),
    })
}

/// Records of all zones; of CNAME and DNAME one at an owner.
fn zones() -> impl Strategy<Value = Vec<(Name, Vec<Record>)>> {
    vec(record(), 0..60).prop_map(|records| {
        let mut singles = BTreeSet::new();
        let records: Vec<Record> = records
            .into_iter()
            .filter(|r| {
                let single = [RecordType::CNAME, RecordType::DNAME].contains(&r.rtype);
                !single || singles.insert((r.owner.clone(), r.rtype))
            })
            .collect();
        let zone_of =
            |owner: &Name| apexes().into_iter().filter(|apex| owner.is_at_or_below(apex)).max_by_key(Name::label_count);
        apexes()
            .into_iter()
            .map(|apex| {
                let soa = [&b"\x01m\x00\x01r\x00"[..], &[0, 0, 0, 9].repeat(5)].concat().into();
                let soa = Record { owner: apex.clone(), rtype: RecordType::SOA, ttl: 100, rdata: soa };
                // the parent also keeps what it has at and below the child's apex: a cut with glue, or occluded data
                let own = records.iter().filter(|r| {
                    zone_of(&r.owner).as_ref() == Some(&apex)
                        || r.owner.is_at_or_below(&apex) && r.rtype != RecordType::TXT
                });
                let all = [soa].into_iter().chain(own.cloned()).collect();
                (apex, all)
            })
            .collect()
    })
}

const QTYPES: [RecordType; 10] = [
    RecordType::A,
    RecordType::AAAA,
    RecordType::TXT,
    RecordType::NS,
    RecordType::CNAME,
    RecordType::DNAME,
    RecordType::MX,
    RecordType::DS,
    RecordType::SOA,
    RecordType::ANY,
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, failure_persistence: None, ..ProptestConfig::default() })]

    /// RFC 1034 §4.3.2, with RFC 4592, 6672 and 9471 in it.
    #[test]
    fn random_zones_are_answered_as_the_model_says(
        zones in zones(),
        names in vec(name(), 1..40),
        spelling in any::<u64>(),
    ) {
        let (mut stage, mut model) = (Stage::new(), Model::default());
        for (apex, records) in &zones {
            stage.serve(apex, records);
            model.add(apex, records);
        }
        let owners = zones.iter().flat_map(|zone| zone.1.iter().map(|record| &record.owner));
        for name in names.iter().chain(owners) {
            for qtype in QTYPES {
                check(&stage, &model, name, spelling, qtype, spelling & 1 == 1);
            }
        }
    }

    /// Whatever arrives, nothing panics, and what goes out is a message (RFC 8906 §3: it does go out).
    #[test]
    fn rubbish_is_answered_or_dropped_but_never_harms(
        mut bytes in vec(any::<u8>(), 0..600),
        counts in any::<[u8; 4]>(),
        plain_header in any::<bool>(),
        udp in any::<bool>(),
    ) {
        if plain_header && bytes.len() >= 12 {
            bytes[2..12].copy_from_slice(&[1, 0, 0, 1, 0, counts[1] & 1, 0, counts[2] & 1, 0, counts[3] & 3]);
        }
        survives(&served_fixture(), &bytes, if udp { Transport::Udp } else { Transport::Tcp })?;
    }

    /// The same for queries with a few octets changed, which come much further.
    #[test]
    fn damaged_queries_are_answered_or_dropped_but_never_harm(
        name in name(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
        tail in vec(any::<u8>(), 0..20),
    ) {
        let mut question = Question::new(".", RecordType::ANY);
        question.name = name.as_wire().to_vec();
        question.edns = Some(Edns { octets: 4096, version: 0, dnssec_ok: true });
        let mut bytes = question.to_message();
        for (index, octet) in changes {
            let at = index.index(bytes.len());
            bytes[at] = octet;
        }
        bytes.extend_from_slice(&tail);
        survives(&served_fixture(), &bytes, Transport::Udp)?;
        bytes.truncate(cut.index(bytes.len()));
        survives(&served_fixture(), &bytes, Transport::Tcp)?;
    }
}

fn served_fixture() -> Stage {
    let apex: Name = "z".parse().expect("a name");
    let text = "@ 60 SOA m r 1 2 3 4 5\n@ 60 NS a\na 60 A 192.0.2.1\n*.b 60 CNAME a\nc 60 DNAME b\nd 60 NS e.d\ne.d 60 A 192.0.2.2";
    let mut stage = Stage::new();
    stage.serve(&apex, &zonefile::parse(text, &apex).expect("records"));
    stage
}

fn survives(stage: &Stage, query: &[u8], transport: Transport) -> Result<(), TestCaseError> {
    match stage.respond(query, transport) {
        Ok(reply) => {
            witness::read(query, &reply);
        }
        // silence only for what is no query at all
        Err(Outcome::Drop) => prop_assert!(query.len() < 12 || query[2] & 0x80 != 0),
        Err(_) => {}
    }
    Ok(())
}

/// RFC 6672 §3.1: the CNAME that a DNAME makes has what is left of the DNAME's owner from the name that it replaces. Who
/// mixes cases on purpose (0x20), or a CNAME's own spelling, is followed letter by letter.
#[test]
fn a_made_cname_keeps_the_spelling_of_the_name_it_replaces() {
    let apex: Name = "example".parse().expect("a name");
    let text =
        "$TTL 60\n@ SOA ns host 1 2 3 4 5\n@ NS ns\nalias CNAME A.Www.old\nold DNAME new\na.www.new A 192.0.2.1\n";
    let mut stage = Stage::new();
    stage.serve(&apex, &zonefile::parse(text, &apex).expect("records"));
    for (asked, spelling) in [("alias.example.", b"\x01A\x03Www\xc0"), ("a.wWw.old.example.", b"\x01a\x03wWw\xc0")] {
        let query = Question::new(asked, RecordType::A).to_message();
        let reply = stage.respond(&query, Transport::Udp).expect("a reply");
        let made = reply.windows(spelling.len()).filter(|octets| octets == spelling).count();
        // everywhere else `old` follows
        assert_eq!(made, 1, "{asked}: {reply:02x?}");
        assert_eq!(reply[3] & 15, 0);
    }
}
