//! Does a new version take so much away that a person should look first? Guard rails, as a pure rule.
//!
//! In: the version that is served, the one that shall replace it, and the [`Rules`]. Out: nothing, or the reason for
//! holding the new one. Called by `control::review` for every version, whether it came whole or as differences, and by
//! nobody else. What happens to a held version is not decided here.
//!
//! Only the sums and the apex entries of both versions are read, so a zone of a million records is judged in
//! microseconds. Records are therefore counted, not followed: a version that replaces every record by another one
//! passes. Signatures and proofs (RRSIG, NSEC, NSEC3) do not count as records here, so that signing a zone cannot hide
//! that its data vanish, and signing it anew changes nothing.

use super::snapshot::Snapshot;
use crate::dns::RecordType;
use crate::reason::{Code, Reason};

/// What a new version must not take away unseen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Hold what removes more than this share of the records, in per cent; `None`: any share may go.
    pub shrink_percent: Option<u8>,
    /// Zones with fewer records than this are not judged by the share.
    pub shrink_records_min: u64,
    /// Hold what removes more than this many records; `None`: any number may go.
    pub shrink_records: Option<u64>,
    /// Hold what leaves the apex without NS, or without DNSKEY, when the served version has them.
    pub apex: bool,
    /// Hold what leaves no RRSIG in the zone when the served version has some.
    pub signatures: bool,
}

/// Holds `new` against `old`: the first rule it breaks, as a reason in words. O(types of the zone).
pub fn judge(old: &Snapshot, new: &Snapshot, rules: &Rules) -> Result<(), Reason> {
    if rules.apex {
        apex(old, new)?;
    }
    if rules.signatures {
        signatures(old, new)?;
    }
    shrink(data_records(old), data_records(new), rules)
}

fn apex(old: &Snapshot, new: &Snapshot) -> Result<(), Reason> {
    for rtype in [RecordType::NS, RecordType::DNSKEY] {
        let (before, after) = (at_apex(old, rtype), at_apex(new, rtype));
        if before > 0 && after == 0 {
            let detail = format!("the apex would lose its {rtype} ({before} in serial {})", old.serial());
            return Err(Reason::new(Code::GuardApex, detail));
        }
    }
    Ok(())
}

fn signatures(old: &Snapshot, new: &Snapshot) -> Result<(), Reason> {
    let (before, after) = (count(old, RecordType::RRSIG), count(new, RecordType::RRSIG));
    if before > 0 && after == 0 {
        let detail = format!("all {before} signatures of serial {} would go", old.serial());
        return Err(Reason::new(Code::GuardSigned, detail));
    }
    Ok(())
}

fn shrink(before: u64, after: u64, rules: &Rules) -> Result<(), Reason> {
    loss(before.saturating_sub(after), before, "records would go", rules)
}

/// Holds a version in which so many of so many things are lost, by the rules for records; `what` says what happens to them.
pub fn loss(gone: u64, before: u64, what: &str, rules: &Rules) -> Result<(), Reason> {
    let held = |limit: String| {
        let tenths = gone.saturating_mul(1000) / before.max(1);
        let share = format!("{}.{} %", tenths / 10, tenths % 10);
        Err(Reason::new(Code::GuardShrink, format!("{gone} of {before} {what} ({share}; limit {limit})")))
    };
    if let Some(limit) = rules.shrink_records.filter(|&limit| gone > limit) {
        return held(format!("{limit} records"));
    }
    let above = |limit: &u8| u128::from(gone) * 100 > u128::from(before) * u128::from(*limit);
    match rules.shrink_percent.filter(above) {
        Some(limit) if before >= rules.shrink_records_min => held(format!("{limit} %")),
        _ => Ok(()),
    }
}

/// Records but for those that signing makes.
fn data_records(snapshot: &Snapshot) -> u64 {
    let made = [RecordType::RRSIG, RecordType::NSEC, RecordType::NSEC3];
    snapshot
        .type_counts()
        .iter()
        .filter(|(rtype, _)| !made.contains(rtype))
        .map(|(_, records)| u64::from(*records))
        .sum()
}

fn count(snapshot: &Snapshot, rtype: RecordType) -> u64 {
    let types = snapshot.type_counts();
    types.binary_search_by_key(&rtype, |t| t.0).map_or(0, |at| types[at].1.into())
}

fn at_apex(snapshot: &Snapshot, rtype: RecordType) -> usize {
    snapshot.apex_entry().rrset(rtype).map_or(0, |block| block.rr_count())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::text::{build_records, records, soa_line, zone};
    use super::*;

    const RULES: Rules =
        Rules { shrink_percent: Some(50), shrink_records_min: 10, shrink_records: None, apex: true, signatures: true };
    const KEY: &str = "@ DNSKEY 257 3 13 AAAA\n";

    /// SOA, NS and `hosts` addresses.
    fn hosts(hosts: u64) -> String {
        (0..hosts).map(|n| format!("h{n} A 192.0.2.1\n")).collect()
    }

    fn signature(owner: &str) -> String {
        format!("{owner} RRSIG A 13 2 300 20300101000000 20200101000000 1 example. AAAA\n")
    }

    fn code(old: &str, new: &str) -> Option<Code> {
        judge(&zone(old), &zone(new), &RULES).err().map(|reason| reason.code)
    }

    #[test]
    fn a_version_that_keeps_what_is_there_passes() {
        assert_eq!(code(&hosts(20), &hosts(20)), None);
        assert_eq!(code(&hosts(20), &hosts(200)), None);
    }

    #[test]
    fn losing_exactly_the_limit_passes_and_one_record_more_is_held() {
        let old = zone(&hosts(18));
        assert_eq!(old.record_count(), 20, "with SOA and NS");
        assert_eq!(judge(&old, &zone(&hosts(8)), &RULES), Ok(()));
        let reason = judge(&old, &zone(&hosts(7)), &RULES).expect_err("held");
        assert_eq!(reason.code, Code::GuardShrink);
        assert_eq!(reason.detail, "11 of 20 records would go (55.0 %; limit 50 %)");
    }

    #[test]
    fn small_zones_are_not_judged_by_their_share() {
        assert_eq!(code(&hosts(7), ""), None);
        assert_eq!(code(&hosts(8), ""), Some(Code::GuardShrink));
    }

    #[test]
    fn a_number_of_records_is_a_limit_for_zones_of_any_size() {
        let rules = Rules { shrink_percent: None, shrink_records: Some(3), ..RULES };
        assert_eq!(judge(&zone(&hosts(4)), &zone(&hosts(1)), &rules), Ok(()));
        let reason = judge(&zone(&hosts(4)), &zone(""), &rules).expect_err("held");
        assert!(reason.detail.ends_with("limit 3 records)"), "{reason}");
    }

    #[test]
    fn the_apex_must_keep_its_ns_and_its_keys() {
        let (bare, _) = build_records(&records(&soa_line(2))).expect("a zone");
        assert_eq!(judge(&zone(""), &bare, &RULES).map_err(|r| r.code), Err(Code::GuardApex));
        assert_eq!(judge(&bare, &bare, &RULES), Ok(()), "what was never there is not lost");
        assert_eq!(code(KEY, ""), Some(Code::GuardApex));
        assert_eq!(code(KEY, "@ DNSKEY 256 3 13 BBBB\n"), None, "another key is a key");
    }

    #[test]
    fn one_signature_left_is_not_all_signatures_lost() {
        let signed = hosts(2) + &signature("h0") + &signature("h1");
        assert_eq!(code(&signed, &hosts(2)), Some(Code::GuardSigned));
        assert_eq!(code(&signed, &(hosts(2) + &signature("h1"))), None);
    }

    #[test]
    fn signing_a_zone_does_not_hide_that_its_data_vanish() {
        let signed: String = (0..6).map(|n| format!("h{n} A 192.0.2.1\n") + &signature(&format!("h{n}"))).collect();
        assert_eq!(code(&hosts(18), &signed), Some(Code::GuardShrink));
    }

    #[test]
    fn rules_that_are_off_hold_nothing() {
        let off = Rules { shrink_percent: None, apex: false, signatures: false, ..RULES };
        let (bare, _) = build_records(&records(&soa_line(2))).expect("a zone");
        assert_eq!(judge(&zone(&(hosts(50) + KEY + &signature("h0"))), &bare, &off), Ok(()));
    }

    proptest! {
        /// Held exactly when the share that goes is above the limit.
        #[test]
        fn the_share_is_exact(before in 0u64..1 << 40, after in 0u64..1 << 40, limit in 0u8..=100) {
            let rules = Rules { shrink_percent: Some(limit), shrink_records_min: 0, ..RULES };
            let gone = before.saturating_sub(after);
            let is_held = shrink(before, after, &rules).is_err();
            prop_assert_eq!(is_held, gone as u128 * 100 > before as u128 * limit as u128);
        }
    }
}
