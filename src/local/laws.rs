//! Laws of projection: it agrees with building the zone anew from its entries, whatever was edited.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::dns::{Name, RecordType, Serial};
use crate::time::Timestamp;
use crate::zone::{self, Diff, HashKey};

const KEY: HashKey = HashKey::from_bytes([7; 16]);
const NOW: Timestamp = Timestamp::from_secs(1_795_305_000);

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

/// A list of edits as one request.
struct Settled {
    zone: LocalZone,
    diff: Option<Diff>,
    written: BTreeMap<u64, Option<Arc<Entry>>>,
    outcomes: Vec<Option<Arc<Entry>>>,
    refused: Vec<Refused>,
}

/// Gives out what projecting needs.
struct World {
    next_num: u64,
    ids: u128,
    /// The PTR of an address in another zone.
    elsewhere: Option<(std::net::IpAddr, Arc<Entry>)>,
}

impl World {
    fn new() -> World {
        World { next_num: 1, ids: 1 << 100, elsewhere: None }
    }

    fn project(&mut self, zone: &LocalZone, edits: &[Edit]) -> Settled {
        let ids = &mut self.ids;
        let mut fresh_id = || {
            *ids += 1;
            Uuid::from_u128(*ids)
        };
        let taken = Uuid::from_u128(u128::MAX);
        let mut around = Surroundings {
            now: NOW,
            next_num: &mut self.next_num,
            fresh_id: &mut fresh_id,
            is_taken: &|id| id == taken,
            ptr_elsewhere: &|address| self.elsewhere.clone().filter(|ptr| ptr.0 == address).map(|ptr| ptr.1),
        };
        let Projected { zone: mut next, wanted_serial, written, outcomes, refused } = project(zone, edits, &mut around);
        let diff = difference(zone, &mut next, &written, wanted_serial, NOW);
        Settled { zone: next, diff, written, outcomes, refused }
    }

    /// example. with its name server.
    fn zone(&mut self, apex: &str) -> LocalZone {
        let apex = name(apex);
        let zone = LocalZone::new(apex.clone(), Attributes::new(&apex, name("ns1.example.net")), Serial(1), []);
        let ns = Draft::new(apex, RecordType::NS, name("ns1.example.net").as_wire());
        self.project(&zone, &[Edit::Add(ns)]).zone
    }
}

fn draft(owner: &str, rtype: &str, content: &str) -> Draft {
    let rtype: RecordType = rtype.parse().expect("a type");
    Draft::new(name(owner), rtype, content::read(rtype, content, 0).expect("content"))
}

fn refusal(projected: &Settled) -> &Refusal {
    &projected.refused.first().expect("refused").why
}

fn records(zone: &LocalZone) -> Vec<String> {
    let snapshot = zone.build(KEY).expect("builds");
    let mut lines = Vec::new();
    let mut records = snapshot.records_canonical(0);
    while let Some(record) = records.advance() {
        lines.push(record.to_record().to_string().replace('\t', " "));
    }
    lines
}

#[test]
fn a_request_moves_the_serial_once_and_one_that_changes_nothing_not_at_all() {
    let mut world = World::new();
    let zone = world.zone("example");
    let (a, b) = (draft("a.example", "A", "192.0.2.1"), draft("b.example", "A", "192.0.2.2"));
    let both = world.project(&zone, &[Edit::Add(a.clone()), Edit::Add(b)]);
    assert_eq!(both.zone.serial(), zone.serial().plus(1));
    let id = both.outcomes[0].as_ref().expect("made").id;
    let again = world.project(&both.zone, &[Edit::Put(id, a, Unsaid::default())]);
    assert!(again.diff.is_none() && again.written.is_empty());
    assert_eq!(again.zone.serial(), both.zone.serial());
}

#[test]
fn what_dns_does_not_show_moves_no_serial_but_is_written() {
    let mut world = World::new();
    let zone = world.zone("example");
    let hidden = Draft { enabled: false, ..draft("a.example", "A", "192.0.2.1") };
    let made = world.project(&zone, &[Edit::Add(hidden)]);
    assert!(made.diff.is_none() && made.written.len() == 1);
    let id = made.outcomes[0].as_ref().expect("made").id;
    let enabled = world.project(&made.zone, &[Edit::Update(id, Patch { enabled: Some(true), ..Patch::default() })]);
    assert_eq!(enabled.diff.expect("shown now").added().count(), 1);
}

/// RFC 2181 §5.2: "the TTLs of all RRs in an RRSet must be the same"; the lowest is the one to be believed.
#[test]
fn records_of_one_rrset_are_answered_with_their_lowest_ttl() {
    let mut world = World::new();
    let zone = world.zone("example");
    let with_ttl = |content, ttl| Edit::Add(Draft { ttl, ..draft("a.example", "A", content) });
    let zone = world.project(&zone, &[with_ttl("192.0.2.1", Some(600)), with_ttl("192.0.2.2", None)]).zone;
    assert!(records(&zone).contains(&"a.example. 600 IN A 192.0.2.2".to_owned()));
    let lower = world.project(&zone, &[with_ttl("192.0.2.3", Some(60))]);
    let diff = lower.diff.expect("a change");
    assert_eq!((diff.deleted().count(), diff.added().count()), (2, 3));
}

/// RFC 2181 §10.1: "there may be only one such canonical name", and no other data beside it.
#[test]
fn a_cname_stands_alone() {
    let mut world = World::new();
    let zone = world.zone("example");
    let cname = Edit::Add(draft("a.example", "CNAME", "b.example"));
    let both = world.project(&zone, &[cname.clone(), Edit::Add(draft("a.example", "A", "192.0.2.1"))]);
    assert!(matches!(refusal(&both), Refusal::CnameConflict(other) if other.rtype == RecordType::CNAME));
    let second = world.project(&both.zone, &[Edit::Add(draft("a.example", "CNAME", "c.example"))]);
    assert!(matches!(refusal(&second), Refusal::CnameConflict(_)));
    let apex = world.project(&zone, &[Edit::Add(draft("example", "CNAME", "b.example"))]);
    assert!(matches!(refusal(&apex), Refusal::Content(_)));
}

#[test]
fn duplicates_are_told_by_owner_type_and_rdata_in_any_case() {
    let mut world = World::new();
    let zone = world.zone("example");
    let zone = world.project(&zone, &[Edit::Add(draft("a.example", "NS", "NS.Example"))]).zone;
    let again = Draft { ttl: Some(5), ..draft("a.example", "NS", "ns.example.") };
    assert!(matches!(refusal(&world.project(&zone, &[Edit::Add(again)])), Refusal::Duplicate(_)));
}

#[test]
fn the_last_ns_of_the_apex_stays() {
    let mut world = World::new();
    let zone = world.zone("example");
    let ns = zone.entries_from(0).next().expect("the NS").id;
    let off = Patch { enabled: Some(false), ..Patch::default() };
    for edit in [
        Edit::Delete(ns),
        Edit::Update(ns, off),
        Edit::Put(ns, draft("a.example", "A", "192.0.2.1"), Unsaid::default()),
    ] {
        assert!(matches!(refusal(&world.project(&zone, std::slice::from_ref(&edit))), Refusal::LastNs), "{edit:?}");
    }
    let renamed = world.project(&zone, &[Edit::Put(ns, draft("example", "NS", "other.example"), Unsaid::default())]);
    assert!(renamed.refused.is_empty());
    let two = [Edit::Add(draft("example", "NS", "ns2.example.net")), Edit::Delete(ns)];
    assert!(world.project(&zone, &two).refused.is_empty());
}

/// RFC 7505 §3: "a domain with a Null MX RR MUST NOT have any other MX records".
#[test]
fn a_null_mx_stands_alone() {
    let mut world = World::new();
    let zone = world.zone("example");
    let null = Edit::Add(draft("example", "MX", "."));
    let both = world.project(&zone, &[null, Edit::Add(draft("example", "MX", "mail.example"))]);
    assert!(matches!(refusal(&both), Refusal::NullMxConflict(_)));
}

#[test]
fn an_address_has_one_ptr() {
    let mut world = World::new();
    let zone = world.zone("2.0.192.in-addr.arpa");
    let ptr = |host| Edit::Add(draft("7.2.0.192.in-addr.arpa", "PTR", host));
    let both = world.project(&zone, &[ptr("a.example"), ptr("b.example")]);
    assert!(matches!(refusal(&both), Refusal::PtrExists(_)));
    let address = "192.0.2.7".parse().expect("an address");
    let gone = world.project(&both.zone, &[Edit::DeletePtrs(address), Edit::DeletePtrs(address)]);
    assert!(matches!(refusal(&gone), Refusal::NoPtr(_)) && gone.refused[0].edit == 1);
}

#[test]
fn an_import_keeps_identities_and_the_name_servers_it_does_not_name() {
    let mut world = World::new();
    let zone = world.zone("example");
    let kept = draft("a.example", "A", "192.0.2.1");
    let commented = Draft { text: "keep me".to_owned(), ..kept.clone() };
    let made = world.project(&zone, &[Edit::Add(commented), Edit::Add(draft("b.example", "A", "192.0.2.2"))]);
    let id = made.outcomes[0].as_ref().expect("made").id;
    let new = vec![kept.clone(), kept, draft("c.example", "A", "192.0.2.3")];
    let imported = world.project(&made.zone, &[Edit::ReplaceAll(new)]);
    assert!(imported.refused.is_empty(), "{:?}", imported.refused);
    let entry = imported.zone.by_id(id).expect("kept");
    assert_eq!((entry.text.as_str(), imported.zone.len()), ("keep me", 3));
    assert_eq!(imported.zone.rrset(&name("example"), RecordType::NS).count(), 1);
    let numbers: Vec<u64> = imported.zone.entries_from(0).map(|entry| entry.num).collect();
    assert!(numbers.iter().all(|num| *num > 0) && imported.zone.by_num(numbers[1]).is_some());
}

#[test]
fn a_refused_import_names_the_record_and_changes_nothing() {
    let mut world = World::new();
    let zone = world.zone("example");
    let drafts = vec![
        draft("a.example", "A", "192.0.2.1"),
        draft("b.example", "CNAME", "a.example"),
        draft("b.example", "A", "192.0.2.1"),
    ];
    let imported = world.project(&zone, &[Edit::ReplaceAll(drafts)]);
    assert_eq!((imported.refused[0].item, imported.diff.is_none(), imported.written.len()), (2, true, 0));
    assert_eq!(records(&imported.zone), records(&zone));
}

/// What may not be written one by one may not be imported together.
#[test]
fn an_import_keeps_the_rules_of_single_records() {
    let mut world = World::new();
    let zone = world.zone("2.0.192.in-addr.arpa");
    let at = |owner: &str, rtype, content| draft(&format!("{owner}.2.0.192.in-addr.arpa"), rtype, content);
    let other = at("9", "PTR", "elsewhere.example");
    let elsewhere = world.project(&zone, &[Edit::Add(other.clone())]).outcomes.remove(0).expect("made");
    world.elsewhere = Some(("192.0.2.9".parse().expect("an address"), elsewhere));
    let mut refused = |drafts: &[Draft]| {
        let singly = world.project(&zone, &drafts.iter().cloned().map(Edit::Add).collect::<Vec<_>>());
        let imported = world.project(&zone, &[Edit::ReplaceAll(drafts.to_vec())]);
        assert_eq!(imported.refused[0].item, singly.refused[0].edit, "{drafts:?}");
        assert_eq!(refusal(&imported).to_string(), refusal(&singly).to_string());
        assert!(imported.diff.is_none() && imported.written.is_empty());
        refusal(&imported).clone()
    };
    let dnames = [at("d", "DNAME", "a.example"), at("d", "DNAME", "b.example")];
    assert!(matches!(refused(&dnames), Refusal::CnameConflict(_)));
    // RFC 7505 §3: "a domain with a Null MX RR MUST NOT have any other MX records"
    let mx = [at("m", "MX", "."), at("m", "MX", "mail.example")];
    assert!(matches!(refused(&mx), Refusal::NullMxConflict(_)));
    let mx = [at("m", "A", "192.0.2.1"), at("m", "MX", "a.example"), at("m", "MX", "b.example"), at("m", "MX", ".")];
    assert!(matches!(refused(&mx), Refusal::NullMxConflict(_)));
    let ptrs = [at("7", "PTR", "a.example"), at("7", "PTR", "b.example")];
    assert!(matches!(refused(&ptrs), Refusal::PtrExists(_)));
    assert!(matches!(refused(&[at("8", "PTR", "a.example"), other]), Refusal::PtrExists(_)));
    // a file may say a thing twice
    let twice = [at("7", "PTR", "a.example"), at("7", "PTR", "a.example"), at("m", "MX", "."), at("m", "MX", ".")];
    assert!(world.project(&zone, &[Edit::ReplaceAll(twice.to_vec())]).refused.is_empty());
}

#[test]
fn a_new_default_ttl_moves_the_records_that_inherit_it() {
    let mut world = World::new();
    let zone = world.zone("example");
    let own = Draft { ttl: Some(60), ..draft("a.example", "A", "192.0.2.1") };
    let zone = world.project(&zone, &[Edit::Add(own), Edit::Add(draft("b.example", "A", "192.0.2.1"))]).zone;
    let patch = AttributesPatch { default_ttl: Some(77), ..AttributesPatch::default() };
    let changed = world.project(&zone, &[Edit::Attributes(patch)]);
    assert_eq!(
        records(&changed.zone)[1..],
        ["example. 77 IN NS ns1.example.net.", "a.example. 60 IN A 192.0.2.1", "b.example. 77 IN A 192.0.2.1"]
    );
    assert!(changed.written.is_empty(), "entries say 'inherit' as before");
}

/// "Left-out fields stay": those that the record has when the edit is made, however old what the client has seen of it is.
#[test]
fn parts_of_a_record_change_each_on_its_own() {
    let mut world = World::new();
    let zone = world.zone("example");
    let mx = Draft { ttl: Some(60), ..draft("a.example", "MX", "x.example") };
    let text = Draft { spelled: Some("\"one\"".to_owned()), ..draft("t.example", "TXT", "\"o\" \"ne\"") };
    let made = world.project(&zone, &[Edit::Add(mx), Edit::Add(text.clone())]);
    let [mx, text_id] = [0, 1].map(|edit| made.outcomes[edit].as_ref().expect("made").id);
    let content = |content| Patch { content: Some(content), ..Patch::default() };
    let rdata = |rtype, text, priority| content::read(rtype, text, priority).expect("content").into();
    // when two clients have changed one part each
    let priority = content(NewContent::Priority(7));
    let host = content(NewContent::BehindPriority(rdata(RecordType::MX, "y.example", 0)));
    let both = world.project(&made.zone, &[Edit::Update(mx, priority), Edit::Update(mx, host)]);
    // then both changes are there, and all else
    let entry = both.zone.by_id(mx).expect("there");
    assert_eq!((&entry.rdata, entry.ttl), (&rdata(RecordType::MX, "y.example", 7), Some(60)));
    // what a part makes of the whole is judged with the whole
    let null = content(NewContent::BehindPriority(rdata(RecordType::MX, ".", 0)));
    assert!(matches!(refusal(&world.project(&both.zone, &[Edit::Update(mx, null)])), Refusal::Content(_)));
    assert!(matches!(
        refusal(&world.project(&both.zone, &[Edit::Update(text_id, content(NewContent::Priority(1)))])),
        Refusal::Content(_)
    ));
    let of_other_type = Patch { rtype: Some(RecordType::A), ..content(NewContent::Priority(1)) };
    assert!(matches!(refusal(&world.project(&both.zone, &[Edit::Update(mx, of_other_type)])), Refusal::NotFound(_)));
    // and the same text again changes neither its cuts nor its spelling
    let same = content(NewContent::Text(rdata(RecordType::TXT, "one", 0)));
    let same = world.project(&both.zone, &[Edit::Update(text_id, same)]);
    assert!(same.refused.is_empty() && same.written.is_empty());
    assert_eq!(same.zone.by_id(text_id).expect("there").rdata, text.rdata);
}

/// What a dialect does not show it cannot mean to change: that stays as it is when the record is replaced.
#[test]
fn a_replacement_leaves_what_it_cannot_say() {
    let mut world = World::new();
    let zone = world.zone("example");
    let id = Uuid::from_u128(7);
    let link = Some(Link { href: "http://x/1".to_owned(), rel: "servers".to_owned() });
    let first = Draft { link: link.clone(), ttl: Some(60), ..draft("a.example", "A", "192.0.2.1") };
    let made = world.project(&zone, &[Edit::Put(id, first, Unsaid { ttl: true, text: true, link: true })]);
    // given a text that came after the replacement was drafted
    let text = Patch { text: Some("mine".to_owned()), ..Patch::default() };
    let other = Draft { ttl: Some(90), ..draft("b.example", "A", "192.0.2.2") };
    let edits = |unsaid| [Edit::Update(id, text.clone()), Edit::Put(id, other.clone(), unsaid)];
    let entry = |zone: &LocalZone| zone.by_id(id).map(|e| (e.owner.clone(), e.ttl, e.text.clone(), e.link.clone()));
    // then all that is said is new, and nothing else
    let hidden = world.project(&made.zone, &edits(Unsaid { text: true, link: true, ..Unsaid::default() })).zone;
    assert_eq!(entry(&hidden), Some((name("b.example"), Some(90), "mine".to_owned(), link.clone())));
    let hidden = world.project(&made.zone, &edits(Unsaid { ttl: true, ..Unsaid::default() })).zone;
    assert_eq!(entry(&hidden), Some((name("b.example"), Some(60), String::new(), None)));
}

/// Kind, owner, type, content, TTL and state of an edit, as numbers.
type Raw = (u8, u8, u8, u8, Option<u32>, bool);

/// One edit out of a small world, so that edits meet.
fn edit() -> impl Strategy<Value = Vec<Raw>> {
    let ttl = proptest::option::of(prop_oneof![Just(60u32), Just(600)]);
    proptest::collection::vec((0u8..7, 0u8..4, 0u8..4, 0u8..3, ttl, any::<bool>()), 1..12)
}

fn edits_of(zone: &LocalZone, raw: &[Raw]) -> Vec<Edit> {
    let owners = ["example", "a.example", "b.a.example", "c.example"];
    let contents = [
        ("A", ["192.0.2.1", "192.0.2.2", "192.0.2.3"]),
        ("NS", ["x.example", "y.example", "z.example"]),
        ("CNAME", ["x.example", "y.example", "z.example"]),
        ("TXT", ["one", "two", "\"a\" \"b\""]),
    ];
    let entries: Vec<Uuid> = zone.entries_from(0).map(|entry| entry.id).collect();
    let made = |owner: u8, rtype: u8, content: u8, ttl, enabled| {
        let (rtype, texts) = contents[usize::from(rtype)];
        Draft { ttl, enabled, ..draft(owners[usize::from(owner)], rtype, texts[usize::from(content)]) }
    };
    let edit = |&(kind, owner, rtype, content, ttl, enabled): &Raw| {
        let draft = made(owner, rtype, content, ttl, enabled);
        let some = entries.get(usize::from(owner) * 4 + usize::from(content)).copied().unwrap_or(Uuid::from_u128(5));
        match kind {
            0 | 1 => Edit::Add(draft),
            2 => Edit::Put(some, draft, Unsaid::default()),
            3 => Edit::Delete(some),
            4 => Edit::Update(some, Patch { ttl: Some(ttl), enabled: Some(enabled), ..Patch::default() }),
            5 => Edit::Attributes(AttributesPatch { default_ttl: Some(ttl.unwrap_or(300)), ..Default::default() }),
            _ => Edit::ReplaceAll((0..content).map(|n| made(n, rtype, content, ttl, true)).collect()),
        }
    };
    raw.iter().map(edit).collect()
}

proptest! {
    /// The law of the room: what is served after the difference is what the entries build, octet for octet; and what is
    /// written is what has changed.
    #[test]
    fn the_difference_leads_to_what_the_entries_build(requests in proptest::collection::vec(edit(), 1..8)) {
        let mut world = World::new();
        let mut zone = world.zone("example");
        let mut served = zone.build(KEY).expect("builds");
        let mut stored: BTreeMap<u64, Arc<Entry>> =
            zone.entries_from(0).map(|entry| (entry.num, entry.clone())).collect();
        for raw in &requests {
            let projected = world.project(&zone, &edits_of(&zone, raw));
            if let Some(diff) = &projected.diff {
                served = zone::apply(&served, std::slice::from_ref(diff)).expect("applies").0;
                prop_assert!(diff.to_serial().is_newer_than(diff.from_serial()));
            }
            for (num, entry) in &projected.written {
                match entry {
                    Some(entry) => stored.insert(*num, entry.clone()),
                    None => stored.remove(num),
                };
            }
            zone = projected.zone;
            let built = zone.build(KEY).expect("builds");
            prop_assert!(built.pages().map(|p| p.1.as_bytes()).eq(served.pages().map(|p| p.1.as_bytes())));
            let entries: BTreeMap<u64, Arc<Entry>> = zone.entries_from(0).map(|e| (e.num, e.clone())).collect();
            prop_assert_eq!(&entries, &stored);
            prop_assert!(zone.rrset(&name("example"), RecordType::NS).any(|ns| ns.enabled));
            let again = LocalZone::new(zone.apex().clone(), zone.attributes().clone(), zone.serial(), stored.values().cloned());
            prop_assert_eq!(records(&again), records(&zone));
        }
    }
}
