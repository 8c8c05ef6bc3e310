//! Is the zone what its publisher digested? ZONEMD (RFC 8976): scheme SIMPLE, SHA-384 and SHA-512.
//!
//! In: a version. Out: an [`Outcome`]. Called by `control::review` for a new version whose apex has a ZONEMD, and by
//! nobody else. One pass over the whole zone in canonical order, whatever has changed; the caller bounds for which zones
//! it is worth that and runs it off every thread that must not wait.
//!
//! The digest tells transport and software errors, not forgery: we do not validate the signatures over the ZONEMD
//! (RFC 8976 §1.2), since whoever could change the zone could leave the ZONEMD out.

use ring::digest::{self, Context};

use super::encode::Item;
use super::records::CanonicalOrder;
use super::snapshot::Snapshot;
use crate::dns::{RecordType, Serial};

/// The one scheme there is (RFC 8976 §5.3).
const SIMPLE: u8 = 1;

/// What the apex ZONEMDs say of the zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There is none.
    Absent,
    /// A digest matches, made with this hash.
    Verified(&'static str),
    /// None of them can be checked; says why.
    Unverifiable(String),
    /// One could be checked, and none matches; says how.
    Mismatch(String),
}

/// One ZONEMD that can be checked.
struct Candidate<'a> {
    hash: &'static str,
    expected: &'a [u8],
    context: Context,
}

/// Whether the version has a ZONEMD at the apex. O(1).
pub fn is_present(snapshot: &Snapshot) -> bool {
    snapshot.apex_entry().rrset(RecordType::ZONEMD).is_some_and(|block| block.rr_count() > 0)
}

/// Digests the zone and compares (RFC 8976 §4). O(zone), sorts its owners.
pub fn verify(snapshot: &Snapshot) -> Outcome {
    let apex = snapshot.apex_entry();
    let Some(block) = apex.rrset(RecordType::ZONEMD) else { return Outcome::Absent };
    let mut items = snapshot.block_items(apex, block);
    items.retain(|item| !item.is_signature);
    let (mut candidates, mut unusable, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
    for item in &items {
        let twins = |other: &&Item<'_>| other.rdata.get(4..6) == item.rdata.get(4..6);
        match candidate(&item.rdata, snapshot.serial()) {
            // §4: of two with one scheme and hash neither counts.
            _ if items.iter().filter(twins).count() > 1 => wrong.push("two with one scheme and hash".to_owned()),
            Ok(candidate) => candidates.push(candidate),
            Err(Unusable::Unknown(why)) => unusable.push(why),
            Err(Unusable::Wrong(why)) => wrong.push(why),
        }
    }
    if !candidates.is_empty() {
        digest(snapshot, &mut candidates);
    }
    for Candidate { hash, expected, context } in candidates {
        if context.finish().as_ref() == expected {
            return Outcome::Verified(hash);
        }
        wrong.push(format!("the {hash} digest of serial {} is another one", snapshot.serial()));
    }
    match (items.is_empty(), wrong.is_empty()) {
        (true, _) => Outcome::Absent,
        (false, false) => Outcome::Mismatch(wrong.join("; ")),
        (false, true) => Outcome::Unverifiable(unusable.join("; ")),
    }
}

enum Unusable {
    /// Made in a way we do not know.
    Unknown(String),
    /// Never right.
    Wrong(String),
}

fn candidate(rdata: &[u8], serial: Serial) -> Result<Candidate<'_>, Unusable> {
    let [a, b, c, d, scheme, hash, expected @ ..] = rdata else {
        return Err(Unusable::Wrong("its fields are cut short".to_owned()));
    };
    let stated = Serial(u32::from_be_bytes([*a, *b, *c, *d]));
    let (name, algorithm) = match (*scheme, *hash) {
        (SIMPLE, 1) => ("SHA-384", &digest::SHA384),
        (SIMPLE, 2) => ("SHA-512", &digest::SHA512),
        (SIMPLE, hash) => return Err(Unusable::Unknown(format!("hash algorithm {hash} is not known"))),
        (scheme, _) => return Err(Unusable::Unknown(format!("scheme {scheme} is not known"))),
    };
    if expected.len() != algorithm.output_len() {
        let (octets, right) = (expected.len(), algorithm.output_len());
        return Err(Unusable::Wrong(format!("its {name} digest has {octets} octets, not {right}")));
    }
    if expected.iter().all(|octet| *octet == 0) {
        return Err(Unusable::Unknown(format!("its {name} digest is a placeholder of zeros")));
    }
    if stated != serial {
        return Err(Unusable::Wrong(format!("it was made for serial {stated}, the zone has {serial}")));
    }
    Ok(Candidate { hash: name, expected, context: Context::new(algorithm) })
}

/// Feeds every record in the order and form of RFC 8976 §3.3.1 and §3.4.1: owners canonically ordered, at one owner by
/// type, then by rdata; without the apex ZONEMDs and their signatures; occluded records and glue like all others.
fn digest(snapshot: &Snapshot, candidates: &mut [Candidate<'_>]) {
    let order = CanonicalOrder::of(snapshot);
    let mut octets = Vec::new();
    for entry in order.entries() {
        let mut items = snapshot.items(entry);
        if entry.name().is_empty() {
            items.retain(|item| item.block != RecordType::ZONEMD);
        }
        items.sort_by(|a, b| (a.rtype(), &a.canonical).cmp(&(b.rtype(), &b.canonical)));
        octets.clear();
        for item in &items {
            octets.extend(entry.name().iter().chain(snapshot.apex().as_wire()).map(u8::to_ascii_lowercase));
            octets.extend_from_slice(&item.rtype().0.to_be_bytes());
            octets.extend_from_slice(&[0, 1]);
            octets.extend_from_slice(&item.ttl.to_be_bytes());
            octets.extend_from_slice(&(item.canonical.len() as u16).to_be_bytes());
            octets.extend_from_slice(&item.canonical);
        }
        candidates.iter_mut().for_each(|candidate| candidate.context.update(&octets));
    }
}

#[cfg(test)]
mod tests {
    use super::super::text::KEY;
    use super::super::{Builder, Limits};
    use super::*;
    use crate::dns::{Name, zonefile};

    fn zone(text: &str, apex: &str) -> Snapshot {
        let apex: Name = apex.parse().expect("a name");
        let mut builder = Builder::new(apex.clone(), KEY, Limits::default());
        for record in zonefile::parse(text, &apex).expect("zone-file text") {
            builder.add(record.borrow()).expect("taken or skipped");
        }
        builder.finish(None).expect("a zone").0
    }

    fn example(name: &str) -> String {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/zones/");
        std::fs::read_to_string(format!("{path}{name}")).expect("a fixture")
    }

    /// RFC 8976 appendices A.1, A.2 and A.3: "simple EXAMPLE zone", "complex EXAMPLE zone", "multiple digests".
    #[test]
    fn the_examples_of_the_rfc_verify() {
        for (name, expected) in
            [("zonemd-simple.zone", "SHA-384"), ("zonemd-complex.zone", "SHA-384"), ("zonemd-multiple.zone", "SHA-384")]
        {
            assert_eq!(verify(&zone(&example(name), "example.")), Outcome::Verified(expected), "{name}");
        }
    }

    /// RFC 8976 A.3 again: the SHA-512 digest by itself.
    #[test]
    fn either_hash_is_enough() {
        let text = example("zonemd-multiple.zone").replace("62e6cf51", "62e6cf52");
        assert_eq!(verify(&zone(&text, "example.")), Outcome::Verified("SHA-512"));
    }

    #[test]
    fn one_changed_record_is_a_mismatch() {
        for (from, to) in
            [("203.0.113.63", "203.0.113.64"), ("3600   IN  A", "3601   IN  A"), ("2018031900 (", "2018031901 (")]
        {
            let text = example("zonemd-simple.zone");
            assert!(text.contains(from), "{from}");
            let outcome = verify(&zone(&text.replacen(from, to, 1), "example."));
            assert!(matches!(outcome, Outcome::Mismatch(_)), "{from}: {outcome:?}");
        }
    }

    #[test]
    fn without_zonemd_there_is_nothing_to_check() {
        let text = "@ 300 SOA ns1 h 1 2 3 4 5\nsub 300 ZONEMD 1 1 1 616c6c6f77656420616c6c6f77656420";
        let snapshot = zone(text, "example.");
        assert!(!is_present(&snapshot), "below the apex it is a record like any other");
        assert_eq!(verify(&snapshot), Outcome::Absent);
    }

    #[test]
    fn unknown_schemes_hashes_and_placeholders_are_told_and_no_mismatch() {
        for (fields, expected) in [
            ("1 241 1 e1846540e33a9e4189792d18d5d131f6", "scheme 241 is not known"),
            ("1 1 240 e1846540e33a9e4189792d18d5d131f6", "hash algorithm 240 is not known"),
            (&format!("1 1 1 {}", "0".repeat(96)), "its SHA-384 digest is a placeholder of zeros"),
        ] {
            let outcome = verify(&zone(&format!("@ 300 SOA ns1 h 1 2 3 4 5\n@ 300 ZONEMD {fields}"), "example."));
            assert_eq!(outcome, Outcome::Unverifiable(expected.to_owned()));
        }
    }

    /// RFC 8976 §2.2.1: the serial "is used to ... identify the zone version".
    #[test]
    fn a_digest_of_another_serial_or_length_is_a_mismatch() {
        for fields in [format!("2 1 1 {}", "ab".repeat(48)), format!("1 1 1 {}", "ab".repeat(20))] {
            let outcome = verify(&zone(&format!("@ 300 SOA ns1 h 1 2 3 4 5\n@ 300 ZONEMD {fields}"), "example."));
            assert!(matches!(outcome, Outcome::Mismatch(_)), "{fields}: {outcome:?}");
        }
    }

    #[test]
    fn two_digests_of_one_kind_are_none() {
        let text = example("zonemd-simple.zone") + &format!("\n@ 86400 ZONEMD 2018031900 1 1 {}\n", "ab".repeat(48));
        assert!(matches!(verify(&zone(&text, "example.")), Outcome::Mismatch(_)));
    }
}
