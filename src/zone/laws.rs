//! The laws of this room as properties, over zones made to hit its corners: wildcards, empty non-terminals that come and
//! go, delegations with glue, signatures, RRsets too large for a page, names that share suffixes, case in rdata, the root.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::denial::Denial;
use super::entry::{Base, Origin};
use super::text::KEY;
use super::*;
use crate::dns::{Name, Record, RecordRef, RecordType, Serial, rdata};
use crate::reason::{Code, Reason};

/// One or more records, small enough to shrink.
#[derive(Clone, Debug)]
struct Seed {
    labels: Vec<u8>,
    kind: u8,
    n: u8,
}

fn seed() -> impl Strategy<Value = Seed> {
    (prop::collection::vec(0..7u8, 0..4), 0..25u8, any::<u8>()).prop_map(|(labels, kind, n)| Seed { labels, kind, n })
}

fn seeds(count: usize) -> impl Strategy<Value = Vec<Seed>> {
    prop::collection::vec(seed(), 0..count)
}

fn apex() -> impl Strategy<Value = Name> {
    prop::sample::select(vec!["example.", ".", "b.a.example.", "com."]).prop_map(|text| text.parse().expect("a name"))
}

/// How many plain hosts stand beside the seeds, so that there are enough pages.
fn crowd() -> impl Strategy<Value = usize> {
    prop::sample::select(vec![0, 0, 0, 40, 300, 2000])
}

fn name(relative: &str, apex: &Name) -> Vec<u8> {
    let mut wire = Vec::new();
    if !relative.is_empty() {
        crate::dns::name::parse_labels(relative.as_bytes(), &mut wire).expect("labels");
    }
    wire.extend_from_slice(apex.as_wire());
    wire
}

/// Names for rdata. Each stands here in one spelling, so that no two records differ in case only.
fn target(n: u8, apex: &Name) -> Vec<u8> {
    const INSIDE: [&str; 8] = ["a", "ns1.a", "NS1.b.a", "b", "b.b", "ns1", "WWW", ""];
    const OUTSIDE: [&str; 5] = ["ns.hoster.net", "NS2.hoster.net", "ns3.Hoster.net", "net", "x.example"];
    match n as usize % 14 {
        n @ 0..8 => name(INSIDE[n], apex),
        n @ 8..13 => name(OUTSIDE[n - 8], &Name::root()),
        _ => vec![0],
    }
}

fn records(seed: &Seed, apex: &Name, ttls: u32) -> Vec<Record> {
    const LABELS: [&str; 7] = ["a", "b", "ns1", "*", "www", "_tcp", "x.y"];
    let text: Vec<_> = seed.labels.iter().map(|&l| LABELS[l as usize]).collect();
    let n = seed.n;
    let text = match seed.kind {
        18 | 19 => format!("d{}", n / 2 % 2),
        22 => ["0", "5", "k", "v"][n as usize % 4].repeat(32),
        23 => String::new(),
        20 => format!("ns{}.d{}", n % 2, n / 2 % 2),
        _ => text.join("."),
    };
    let owner = Name::from_wire(&name(&text, apex)).expect("a name");
    let string = |len: usize, tag: u8| {
        let mut octets = Vec::new();
        for chunk in vec![tag; len].chunks(255) {
            octets.push(chunk.len() as u8);
            octets.extend_from_slice(chunk);
        }
        octets
    };
    let many = |rtype, rdatas: Vec<Vec<u8>>| rdatas.into_iter().map(|rdata| (rtype, rdata)).collect::<Vec<_>>();
    use RecordType as T;
    let made = match seed.kind {
        0 | 1 => many(T::A, vec![vec![10, 0, 0, n % 4]]),
        2 => many(T::AAAA, vec![vec![n % 4; 16]]),
        3 | 4 => many(T::NS, vec![target(n, apex)]),
        5 => many(T::CNAME, vec![target(n, apex)]),
        6 => many(T::MX, vec![[&[0, n % 3][..], &target(n / 3, apex)].concat()]),
        7 => many(T::TXT, vec![string(20, n % 5)]),
        8 => many(T::TXT, vec![string(1200, n % 5)]),
        9 => many(T::SRV, vec![[&[0, 1, 0, 2, 0, 53][..], &target(n, apex)].concat()]),
        10 | 11 => {
            let covered = [T::A, T::NS, T::SOA, T::TXT, T::DS, T::RRSIG, T::MX, RecordType(65280)][n as usize % 8];
            let fixed = [&covered.0.to_be_bytes()[..], &[8, 2, 0, 0, 1, 44], &[n / 64; 10], apex.as_wire(), &[7; 40]];
            many(T::RRSIG, vec![fixed.concat()])
        }
        12 => many(T::DNAME, vec![target(n, apex)]),
        13 => many(T::PTR, (0..n % 20).map(|m| name(&format!("Host{m}.pool"), apex)).collect()),
        14 => many(T::DS, vec![[&[0, n % 4, 8, 2][..], &[n % 4; 32]].concat()]),
        15 => many(RecordType(65280), vec![vec![n % 3; n as usize % 3]]),
        // delegations and their hosts, few enough to meet each other
        18 | 19 => many(T::NS, vec![name(&format!("ns{}.d{}", n % 2, n / 2 % 2), apex)]),
        20 => many(T::A, vec![vec![192, 0, 2, n / 4]]),
        21 => many(T::NSEC, vec![[&target(n, apex)[..], &[0, 1, 0x40]].concat()]),
        // two parameter sets, of which the apex may name one or both
        22 => many(T::NSEC3, vec![[&[1, 0, 0, n / 8 % 2, 0, 20][..], &[n; 20], &[0, 1, 0x40]].concat()]),
        23 => many(T::NSEC3PARAM, vec![vec![1, 0, 0, n % 2, 0]]),
        16 => many(T::A, (0..n.max(1) as u16 * 2).map(|m| vec![10, 1, (m >> 8) as u8, m as u8]).collect()),
        17 => many(T::TXT, (0..n % 8).map(|m| string(2500, 100 + m)).collect()),
        _ => many(T::NS, (0..n % 40).map(|m| name(format!("h{m}.{text}").trim_end_matches('.'), apex)).collect()),
    };
    let mut made = made;
    made.retain(|(_, rdata)| rdata.len() < 60_000);
    let record = |(rtype, rdata): (T, Vec<u8>)| {
        let block = if rtype == T::RRSIG { 3 } else { rtype.0 as u32 };
        let ttl = 300 * (1 + (block + owner.as_wire().len() as u32 + ttls) % 3);
        Record { owner: owner.clone(), rtype, ttl, rdata: rdata.into() }
    };
    made.into_iter().map(record).collect()
}

fn soa(apex: &Name, serial: u32) -> Record {
    let mut rdata = [target(1, apex), target(9, apex)].concat();
    for number in [serial, 3600, 600, 86400, 300] {
        rdata.extend_from_slice(&number.to_be_bytes());
    }
    Record { owner: apex.clone(), rtype: RecordType::SOA, ttl: 900, rdata: rdata.into() }
}

/// Contents without the SOA, free of duplicates.
type Contents = BTreeSet<(Name, RecordType, Box<[u8]>, u32)>;

fn contents(seeds: &[Seed], apex: &Name, crowd: usize, ttls: u32) -> Contents {
    let of_seeds = seeds.iter().flat_map(|seed| records(seed, apex, ttls));
    let hosts = (0..crowd).map(|n| Record {
        owner: Name::from_wire(&name(&format!("host{n}"), apex)).expect("a name"),
        rtype: RecordType::A,
        ttl: 60,
        rdata: (n as u32).to_be_bytes().into(),
    });
    of_seeds.chain(hosts).map(|r| (r.owner, r.rtype, r.rdata, r.ttl)).collect()
}

fn build(apex: &Name, serial: u32, contents: &Contents) -> Result<(Snapshot, Findings), Reason> {
    let mut builder = Builder::new(apex.clone(), KEY, Limits::default());
    builder.add(soa(apex, serial).borrow())?;
    for (owner, rtype, rdata, ttl) in contents {
        builder.add(RecordRef { owner: owner.as_wire(), rtype: *rtype, ttl: *ttl, rdata })?;
    }
    builder.finish(None)
}

fn built(apex: &Name, serial: u32, contents: &Contents) -> Snapshot {
    build(apex, serial, contents).expect("the contents are a zone").0
}

fn listed(snapshot: &Snapshot) -> Vec<(Name, RecordType, Box<[u8]>, u32)> {
    snapshot.records().map(|r| (r.owner, r.rtype, r.rdata, r.ttl)).collect()
}

fn contents_of(snapshot: &Snapshot) -> Contents {
    listed(snapshot).into_iter().filter(|r| r.1 != RecordType::SOA).collect()
}

fn diff(apex: &Name, serials: (u32, u32), old: &Contents, new: &Contents) -> Diff {
    let mut builder = DiffBuilder::new(soa(apex, serials.0).borrow());
    let record = |r: &'_ (Name, RecordType, Box<[u8]>, u32)| Record {
        owner: r.0.clone(),
        rtype: r.1,
        ttl: r.3,
        rdata: r.2.clone(),
    };
    old.difference(new).for_each(|r| builder.delete(record(r).borrow()).expect("no SOA"));
    new.difference(old).for_each(|r| builder.add(record(r).borrow()).expect("no SOA"));
    builder.finish(soa(apex, serials.1).borrow()).expect("two SOAs")
}

#[track_caller]
fn assert_same(a: &Snapshot, b: &Snapshot) {
    for (x, y) in a.entries().zip(b.entries()) {
        assert_eq!(x, y, "entry of {:?} and {:?}", x.owner(a.apex()), y.owner(b.apex()));
    }
    let pages = |s: &Snapshot| s.pages().map(|(key, page)| (key, page.clone())).collect::<Vec<_>>();
    assert!(pages(a) == pages(b), "pages differ: {:?} {:?}", pages(a), pages(b));
    assert_eq!(a.tally(), b.tally());
    assert_eq!(a.soa(), b.soa());
    assert_eq!(a.denial().map(Denial::keys), b.denial().map(Denial::keys));
    assert_eq!((a.cut_depths(), a.max_depth(), a.record_count()), (b.cut_depths(), b.max_depth(), b.record_count()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn a_zone_gives_back_exactly_the_records_put_in(apex in apex(), seeds in seeds(40), crowd in crowd()) {
        let contents = contents(&seeds, &apex, crowd, 0);
        let snapshot = built(&apex, 1, &contents);
        let listed = listed(&snapshot);
        prop_assert_eq!(&listed[0].1, &RecordType::SOA);
        prop_assert_eq!(listed.len(), contents.len() + 1);
        prop_assert_eq!(snapshot.record_count(), listed.len() as u64);
        prop_assert_eq!(contents_of(&snapshot), contents);
        let by_type: u64 = snapshot.type_counts().iter().map(|t| u64::from(t.1)).sum();
        prop_assert_eq!(by_type, snapshot.record_count());
        prop_assert_eq!(snapshot.mixed_count(), 0);
    }

    #[test]
    fn the_order_of_arrival_does_not_matter(apex in apex(), seeds in seeds(30), crowd in crowd(), salt in any::<u64>()) {
        let contents = contents(&seeds, &apex, crowd, 0);
        let snapshot = built(&apex, 1, &contents);
        let key = HashKey::from_bytes([salt as u8; 16]);
        let mut shuffled: Vec<_> = contents.into_iter().collect();
        shuffled.sort_by_cached_key(|r| key.bytes(format!("{r:?}").as_bytes()));
        let mut builder = Builder::new(apex.clone(), KEY, Limits::default());
        for (owner, rtype, rdata, ttl) in &shuffled {
            // each twice: duplicates do not matter either
            for _ in 0..2 {
                let spelled = owner.as_wire().to_ascii_uppercase();
                builder.add(RecordRef { owner: &spelled, rtype: *rtype, ttl: *ttl, rdata }).expect("a record");
            }
        }
        builder.add(soa(&apex, 1).borrow()).expect("a record");
        let (again, findings) = builder.finish(Some(&snapshot)).expect("a zone");
        assert_same(&snapshot, &again);
        prop_assert_eq!(findings.duplicates, shuffled.len() as u64);
        prop_assert!(snapshot.pages().zip(again.pages()).all(|(a, b)| a.1.is_same(b.1)), "equal pages are shared");
    }

    #[test]
    fn pages_restore_the_version(apex in apex(), seeds in seeds(40), crowd in crowd()) {
        let snapshot = built(&apex, 1, &contents(&seeds, &apex, crowd, 0));
        let mut pages: Vec<Page> = Vec::new();
        for (key, page) in snapshot.pages() {
            prop_assert!(page.as_bytes().len() <= page::PAGE_OCTETS_MAX);
            prop_assert_eq!(PageKey::from_bytes(&key.to_bytes()), Some(key));
            pages.push(Page::from_bytes(page.as_bytes()).expect("a sound page"));
        }
        pages.reverse();
        let restored = Snapshot::from_pages(apex.clone(), KEY, pages.clone()).expect("a version");
        assert_same(&snapshot, &restored);
        if pages.len() > 1 {
            pages.pop();
            prop_assert!(Snapshot::from_pages(apex, KEY, pages).is_err() || snapshot.owner_count() > 1);
        }
    }

    #[test]
    fn damaged_pages_are_refused_or_read_without_panic(
        seeds in seeds(12), at in any::<prop::sample::Index>(), octet in any::<u8>(), cut in any::<bool>()
    ) {
        let apex: Name = "example".parse().expect("a name");
        let snapshot = built(&apex, 1, &contents(&seeds, &apex, 0, 0));
        let mut pages = Vec::new();
        for (n, (_, page)) in snapshot.pages().enumerate() {
            let mut bytes = page.as_bytes().to_vec();
            let place = at.index(bytes.len());
            if cut { bytes.truncate(place) } else if n == 0 { bytes[place] = octet }
            match Page::from_bytes(&bytes) {
                Ok(page) => pages.push(page),
                Err(_) => return Ok(()),
            }
        }
        let _ = Snapshot::from_pages(apex, KEY, pages);
    }

    /// What the tree must say about names, computed the slow way.
    #[test]
    fn the_directory_equals_a_map_of_names(apex in apex(), seeds in seeds(40), crowd in crowd()) {
        let contents = contents(&seeds, &apex, crowd, 0);
        let snapshot = built(&apex, 1, &contents);
        let mut names: BTreeMap<Name, BTreeSet<Name>> = BTreeMap::from([(apex.clone(), BTreeSet::new())]);
        for (owner, ..) in &contents {
            let mut name = owner.clone();
            while name != apex {
                names.entry(name.clone()).or_default();
                let parent = name.parent().expect("below the apex");
                names.entry(parent.clone()).or_default().insert(name);
                name = parent;
            }
        }
        prop_assert_eq!(snapshot.owner_count(), names.len() as u64);
        let has = |name: &Name, rtype| contents.iter().any(|r| r.0 == *name && r.1 == rtype);
        let is_cut = |name: &Name| *name != apex && has(name, RecordType::NS);
        let depths = names.keys().filter(|&name| is_cut(name) || has(name, RecordType::DNAME));
        let cut_depths = depths.fold(0u128, |all, name| all | 1 << (name.label_count() - apex.label_count()));
        for (name, children) in names.iter().filter(|n| crowd == 0 || n.0.label_count() < 9) {
            if crowd > 0 && name.to_string().starts_with("host") && !name.to_string().contains("77") { continue }
            let entry = snapshot.find(name).expect("the name exists");
            prop_assert_eq!(entry.owner(&apex), name.clone());
            prop_assert_eq!(entry.kids() as usize, children.len(), "{}", name);
            prop_assert_eq!(entry.labels(), name.label_count() - apex.label_count());
            prop_assert_eq!(entry.has_wildcard(), children.iter().any(|c| c.as_wire().starts_with(b"\x01*")));
            prop_assert_eq!(entry.is_empty_non_terminal(), *name != apex && !contents.iter().any(|r| r.0 == *name));
            prop_assert_eq!(entry.is_cut(), is_cut(name));
            prop_assert_eq!(entry.is_dname(), has(name, RecordType::DNAME));
            prop_assert_eq!(entry.is_signed(), has(name, RecordType::RRSIG));
            let absent = Name::from_relative(b"\x06absent", name).expect("a name");
            prop_assert!(snapshot.find(&absent).is_none());
        }
        prop_assert_eq!(snapshot.cut_depths(), cut_depths);
        let broken = |rule: check::Rule| snapshot.entries().filter(|&entry| rule.is_broken_by(entry)).count() as u32;
        let offences = snapshot.tally().offences;
        prop_assert_eq!(offences.cname_and_other, broken(check::Rule::CnameAndOther));
        prop_assert_eq!(offences.cnames, broken(check::Rule::Cnames));
        prop_assert_eq!(offences.below_dname, broken(check::Rule::BelowDname));
        prop_assert_eq!(offences.wildcard_ns, broken(check::Rule::WildcardNs));
        prop_assert_eq!(offences.unsendable_signed, broken(check::Rule::UnsendableSigned));
        prop_assert_eq!(snapshot.max_depth(), names.keys().map(|n| n.label_count() - apex.label_count()).max().unwrap_or(0));
        let hashes: Vec<_> = snapshot.entries().map(|e| (KEY.name(e.owner(&apex).as_wire()), e.name())).collect();
        prop_assert!(hashes.is_sorted() && hashes.len() == names.len());
    }

    /// RFC 9471 §2.2: "in-domain" name servers' addresses are what a referral must carry.
    #[test]
    fn glue_is_the_addresses_of_in_domain_targets(apex in apex(), seeds in seeds(60)) {
        let contents = contents(&seeds, &apex, 0, 0);
        let snapshot = built(&apex, 1, &contents);
        for entry in snapshot.entries() {
            let owner = entry.owner(&apex);
            let targets: BTreeSet<Name> = contents.iter()
                .filter(|r| owner != apex && r.0 == owner && r.1 == RecordType::NS)
                .map(|r| Name::from_wire(&r.2).expect("a name"))
                .filter(|t| t.is_at_or_below(&owner))
                .collect();
            let expected: Contents = contents.iter()
                .filter(|r| targets.contains(&r.0) && matches!(r.1, RecordType::A | RecordType::AAAA))
                .cloned().collect();
            let mut found = Contents::new();
            if let Some(block) = entry.glue() {
                let mut add = |owner: &[u8], rr: &page::Rr, rdata: &[u8]| {
                    found.insert((Name::from_wire(owner).expect("a name"), rr.rtype, rdata.into(), rr.ttl));
                };
                if let Some(spilled) = snapshot.spilled(entry, &block) {
                    let image = spilled.to_parts().0;
                    entry::Rrs::new(&image).for_each(|rr| add(&image[rr.owner.clone()], &rr, &image[rr.rdata.clone()]));
                }
                for rr in block.rrs() {
                    let mut name = Vec::new();
                    block.expand_owner(&rr, Origin { apex: apex.as_wire(), relative: entry.name() }, &mut name);
                    add(&name, &rr, &block.image()[rr.rdata.clone()]);
                }
            }
            if expected.len() < 200 {
                prop_assert_eq!(found, expected, "{}", owner);
            }
        }
    }

    /// What `answer` does with an image, read by the parser of messages.
    #[test]
    fn an_image_behind_its_question_reads_as_the_rrset(apex in apex(), seeds in seeds(40)) {
        let snapshot = built(&apex, 1, &contents(&seeds, &apex, 0, 0));
        for entry in snapshot.entries() {
            let origin = Origin { apex: apex.as_wire(), relative: entry.name() };
            // the answer from a wildcard has another owner
            let qname = match entry.is_wildcard() {
                true => [b"\x05other", &entry.name()[2..], apex.as_wire()].concat(),
                false => [entry.name(), apex.as_wire()].concat(),
            };
            for block in entry.rrsets().filter(|block| !block.is_spilled()) {
                let mut message = [&[0; 12][..], &qname, &[0, 1, 0, 1]].concat();
                let start = message.len();
                message.extend_from_slice(block.image());
                for fixup in block.fixups() {
                    let base = match fixup.base {
                        Base::Image => start,
                        Base::Apex => 12 + qname.len() - apex.as_wire().len(),
                        Base::Owner => 12,
                    };
                    prop_assert!(fixup.base != Base::Owner || !entry.is_wildcard());
                    let at = start + fixup.at;
                    let pointer = u16::from_be_bytes([message[at], message[at + 1]]) + base as u16;
                    message[at..at + 2].copy_from_slice(&pointer.to_be_bytes());
                }
                for rr in block.rrs() {
                    let (mut read, mut expanded) = (Vec::new(), Vec::new());
                    let rdata_start = start + rr.rdata.start;
                    rdata::expand(&message, rdata_start, rr.rdata.len(), rr.rtype, &mut read)
                        .map_err(|e| TestCaseError::fail(format!("{e} in {entry:?}")))?;
                    block.expand_rdata(&rr, origin, &mut expanded);
                    prop_assert_eq!(&read, &expanded);
                    prop_assert_eq!(&message[start + rr.owner.start..start + rr.owner.end], b"\xc0\x0c");
                }
            }
        }
    }

    #[test]
    fn any_offset_continues_the_listing(apex in apex(), seeds in seeds(30), crowd in crowd(), at in any::<prop::sample::Index>()) {
        let snapshot = built(&apex, 1, &contents(&seeds, &apex, crowd, 0));
        let all: Vec<Record> = snapshot.records().collect();
        let skipped = at.index(all.len() + 2);
        let rest: Vec<Record> = snapshot.records_from(skipped as u64).collect();
        prop_assert_eq!(&rest[..], &all[skipped.min(all.len())..]);
        let canonical: Vec<Record> = snapshot.records_canonical(0).collect();
        prop_assert!(canonical.is_sorted_by_key(|r| &r.owner));
        prop_assert_eq!(canonical[0].rtype, RecordType::SOA);
        let rest: Vec<Record> = snapshot.records_canonical(skipped as u64).collect();
        prop_assert_eq!(&rest[..], &canonical[skipped.min(canonical.len())..]);
        prop_assert_eq!(canonical.len(), all.len());
    }

    #[test]
    fn applying_a_difference_equals_building_the_new_version(
        apex in apex(), kept in seeds(30), gone in seeds(20), come in seeds(20), crowds in (crowd(), crowd()), ttls in 0..2u32
    ) {
        let old = contents(&[&kept[..], &gone].concat(), &apex, crowds.0, 0);
        let new = contents(&[&kept[..], &come].concat(), &apex, crowds.1, ttls);
        let (base, target) = (built(&apex, 1, &old), built(&apex, 2, &new));
        let diff = diff(&apex, (1, 2), &old, &new);
        let (next, _) = apply(&base, &[diff]).expect("applicable");
        assert_same(&next, &target);
    }

    #[test]
    fn applying_several_differences_equals_building_the_last_version(
        apex in apex(), parts in prop::collection::vec(seeds(12), 4), crowd in crowd()
    ) {
        let versions: Vec<_> =
            parts.windows(2).map(|pair| contents(&pair.concat(), &apex, crowd, 0)).collect();
        let diffs: Vec<_> = versions.windows(2).enumerate()
            .map(|(n, pair)| diff(&apex, (n as u32, n as u32 + 1), &pair[0], &pair[1])).collect();
        let base = built(&apex, 0, &versions[0]);
        let target = built(&apex, 2, &versions[2]);
        assert_same(&apply(&base, &diffs).expect("applicable").0, &target);
        let composed = Diff::compose(&diffs).expect("contiguous");
        assert_same(&apply(&base, &[composed]).expect("applicable").0, &target);
        let back: Vec<_> = diffs.iter().rev().map(Diff::invert).collect();
        assert_same(&apply(&target, &back).expect("applicable").0, &base);
    }

    #[test]
    fn what_lies_between_two_versions_leads_from_one_to_the_other(
        apex in apex(), kept in seeds(30), gone in seeds(20), come in seeds(20), crowds in (crowd(), crowd()), ttls in 0..2u32
    ) {
        let old = contents(&[&kept[..], &gone].concat(), &apex, crowds.0, 0);
        let new = contents(&[&kept[..], &come].concat(), &apex, crowds.1, ttls);
        let (base, target) = (built(&apex, 1, &old), built(&apex, 2, &new));
        let found = between(&base, &target);
        let set = |records: DiffRecords<'_>| records.map(|r| r.to_record()).map(|r| (r.owner, r.rtype, r.rdata, r.ttl)).collect::<Contents>();
        prop_assert_eq!(set(found.deleted()), old.difference(&new).cloned().collect::<Contents>());
        prop_assert_eq!(set(found.added()), new.difference(&old).cloned().collect::<Contents>());
        assert_same(&apply(&base, std::slice::from_ref(&found)).expect("applicable").0, &target);
        assert_same(&apply(&target, &[found.invert()]).expect("applicable").0, &base);
        prop_assert_eq!(Diff::from_bytes(found.as_bytes().to_vec()), Ok(found.clone()));
        prop_assert!(between(&base, &base).is_only_soa());
        for octets_max in [0, found.as_bytes().len() / 2, found.as_bytes().len()] {
            match between_within(&base, &target, octets_max) {
                Difference::Sequence(diff) => prop_assert_eq!(&diff, &found),
                Difference::TooLong { deleted, added } => {
                    prop_assert!(octets_max < found.as_bytes().len());
                    prop_assert_eq!((deleted, added), (found.deleted().count() as u64, found.added().count() as u64));
                }
            }
        }
    }

    /// RFC 2181 §5.2: differing TTLs in an RRset are an error to be levelled; then only a full transfer is safe.
    #[test]
    fn whatever_ttls_and_case_come_the_result_is_right_or_refused(
        kept in seeds(20), gone in seeds(10), come in seeds(10), ttls in any::<u64>()
    ) {
        let apex: Name = "example".parse().expect("a name");
        let loose = |contents: Contents| -> Contents {
            let mut loosened = Contents::new();
            for (owner, rtype, mut rdata, ttl) in contents {
                let dice = KEY.bytes(&[&rdata[..], &ttls.to_le_bytes()].concat());
                let ttl = ttl + u32::from(dice % 3 == 1);
                if dice % 7 == 1 {
                    loosened.insert((owner.clone(), rtype, rdata.clone(), ttl));
                }
                if dice % 5 == 1 && rdata::folds(rtype) {
                    for name in rdata::names(rtype, &rdata.clone()) {
                        rdata[name.at..name.at + name.len].make_ascii_uppercase();
                    }
                }
                loosened.insert((owner, rtype, rdata, ttl));
            }
            loosened
        };
        let old = loose(contents(&[&kept[..], &gone].concat(), &apex, 0, 0));
        let new = loose(contents(&[&kept[..], &come].concat(), &apex, 0, 0));
        let (base, target) = (built(&apex, 1, &old), built(&apex, 2, &new));
        match apply(&base, &[diff(&apex, (1, 2), &old, &new)]) {
            Ok((next, _)) => assert_same(&next, &target),
            Err(ApplyError::Mixed(_)) => prop_assert!(base.mixed_count() > 0),
            // two spellings of one record were to be added
            Err(error) => prop_assert!(matches!(error, ApplyError::Present(_)) && target.mixed_count() > 0, "{}", error),
        }
        let found = between(&base, &target);
        if let Ok((next, _)) = apply(&base, &[found]) {
            prop_assert_eq!(listed(&next), listed(&target));
        }
    }

    #[test]
    fn octets_that_are_no_difference_are_refused_without_panic(octets in prop::collection::vec(any::<u8>(), 0..120)) {
        let _ = Diff::from_bytes(octets);
    }
}

#[test]
fn serials_that_do_not_follow_are_a_gap() {
    let apex: Name = "example".parse().expect("a name");
    let empty = Contents::new();
    let base = built(&apex, 5, &empty);
    let error = apply(&base, &[diff(&apex, (4, 6), &empty, &empty)]).expect_err("a gap");
    assert_eq!(error, ApplyError::Gap { ours: Serial(5), starts: Serial(4) });
    assert_eq!(Reason::from(error).code, Code::IxfrGap);
}
