//! When do the signatures of a version lapse? What an operator must know before validating resolvers do.
//!
//! In: a version, or what a survey found before and the differences since; and `now`, because the times in RRSIGs are
//! 32-bit numbers that wrap (RFC 4034 §3.1.5). Out: a [`Survey`]. Called by `control::review` for each new version and
//! after a restart. Signatures are not verified: a secondary serves what its primary signed.

use super::denial::NSEC3_ITERATIONS_ADVISED;
use super::diff::Diff;
use super::entry::{Entry, Rrs, RrsetBlock};
use super::snapshot::Snapshot;
use crate::dns::{Name, RecordType};
use crate::time::Timestamp;
use std::time::Duration;

/// What is known of a version's signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// When all of them were looked at.
    pub taken: Timestamp,
    /// The signature that lapses first. After [`Survey::after`] it may be one that has been replaced meanwhile, so it
    /// can be too early, never too late.
    pub first: Lapse,
}

/// One signature and its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lapse {
    /// End of its validity.
    pub at: Timestamp,
    /// Its owner.
    pub owner: Name,
    /// The type it covers.
    pub covered: RecordType,
}

impl Survey {
    /// Looks at every signature; `None` in an unsigned zone. O(zone).
    pub fn of(snapshot: &Snapshot, now: Timestamp) -> Option<Survey> {
        if !is_signed(snapshot) {
            return None;
        }
        let mut first: Option<(Timestamp, Entry<'_>, RecordType)> = None;
        for entry in snapshot.entries() {
            for block in entry.rrsets().filter(|block| block.signature_count() > 0) {
                for_each_signature(snapshot, entry, block, |rdata| {
                    if let Some(at) = end(rdata, now).filter(|at| first.is_none_or(|(first, ..)| *at < first)) {
                        first = Some((at, entry, block.rtype()));
                    }
                });
            }
        }
        let (at, entry, covered) = first?;
        Some(Survey { taken: now, first: Lapse { at, owner: entry.owner(snapshot.apex()), covered } })
    }

    /// What is known after `diffs`, without another look at the zone. O(differences).
    pub fn after<'a>(&self, diffs: impl IntoIterator<Item = &'a Diff>, now: Timestamp) -> Survey {
        let mut survey = self.clone();
        for record in diffs.into_iter().flat_map(Diff::added).filter(|record| record.rtype == RecordType::RRSIG) {
            let Some(at) = end(record.rdata, now).filter(|at| *at < survey.first.at) else { continue };
            if let (Ok(owner), [high, low, ..]) = (Name::from_wire(record.owner), record.rdata) {
                survey.first = Lapse { at, owner, covered: RecordType(u16::from_be_bytes([*high, *low])) };
            }
        }
        survey
    }
}

/// Whether there is any RRSIG. O(log types).
pub fn is_signed(snapshot: &Snapshot) -> bool {
    snapshot.type_counts().binary_search_by_key(&RecordType::RRSIG, |t| t.0).is_ok()
}

/// The type of the apex, SOA or DNSKEY, whose signatures have all expired at `now`: no resolver that validates can use
/// the zone then. Looks at the apex only.
pub fn lapsed_apex(snapshot: &Snapshot, now: Timestamp) -> Option<RecordType> {
    let apex = snapshot.apex_entry();
    [RecordType::SOA, RecordType::DNSKEY].into_iter().find(|rtype| {
        let Some(block) = apex.rrset(*rtype).filter(|block| block.signature_count() > 0) else { return false };
        let mut all_ended = true;
        for_each_signature(snapshot, apex, block, |rdata| {
            all_ended &= end(rdata, now).is_some_and(|at| at <= now);
        });
        all_ended
    })
}

/// The NSEC3 iterations of the zone if they are more than validators go along with. Looks at the apex only.
pub fn excessive_iterations(snapshot: &Snapshot) -> Option<u16> {
    let apex = snapshot.apex_entry();
    let block = apex.rrset(RecordType::NSEC3PARAM)?;
    let iterations =
        snapshot.block_items(apex, block).into_iter().filter(|item| !item.is_signature).filter_map(|item| {
            let [_, _, high, low, ..] = item.rdata[..] else { return None };
            Some(u16::from_be_bytes([high, low]))
        });
    iterations.min().filter(|iterations| *iterations > NSEC3_ITERATIONS_ADVISED)
}

fn for_each_signature(snapshot: &Snapshot, entry: Entry<'_>, block: RrsetBlock<'_>, mut each: impl FnMut(&[u8])) {
    if block.is_spilled() {
        let items = snapshot.block_items(entry, block);
        items.iter().filter(|item| item.is_signature).for_each(|item| each(&item.rdata));
        return;
    }
    let signatures = block.signatures();
    Rrs::new(signatures).for_each(|rr| each(&signatures[rr.rdata]));
}

/// When a RRSIG ends: the moment nearest to `now` that its 32 bits can mean (RFC 4034 §3.1.5, RFC 1982).
fn end(rrsig: &[u8], now: Timestamp) -> Option<Timestamp> {
    let expiration = u32::from_be_bytes(*rrsig.get(8..12)?.first_chunk()?);
    let ahead = expiration.wrapping_sub(now.as_secs() as u32) as i32;
    let now = Timestamp::from_secs(now.as_secs());
    let distance = Duration::from_secs(ahead.unsigned_abs().into());
    Some(if ahead < 0 { now - distance } else { now + distance })
}

#[cfg(test)]
mod tests {
    use super::super::text::{diff, zone};
    use super::*;

    /// 2026-01-01.
    const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);

    fn rrsig(owner: &str, covered: &str, expires: &str) -> String {
        format!("{owner} RRSIG {covered} 13 2 300 {expires} 20250101000000 1 example. AAAA\n")
    }

    #[test]
    fn the_earliest_end_of_all_signatures_is_found() {
        let text = "a A 192.0.2.1\nb A 192.0.2.2\n".to_owned()
            + &rrsig("a", "A", "20260301000000")
            + &rrsig("b", "A", "20260201000000");
        let survey = Survey::of(&zone(&text), NOW).expect("signed");
        assert_eq!(survey.first.owner.to_string(), "b.example.");
        assert_eq!(survey.first.covered, RecordType::A);
        assert_eq!(survey.first.at.to_string(), "2026-02-01T00:00:00.000Z");
        assert_eq!(Survey::of(&zone("a A 192.0.2.1"), NOW), None);
    }

    /// RFC 4034 §3.1.5: "a 32-bit unsigned number ... comparisons ... MUST use 'Serial number arithmetic'".
    #[test]
    fn times_beyond_the_wrap_lie_ahead() {
        let now = Timestamp::from_secs(u64::from(u32::MAX) - 10);
        let rdata = [&[0, 1, 13, 2, 0, 0, 1, 44][..], &100u32.to_be_bytes()].concat();
        assert_eq!(end(&rdata, now), Some(Timestamp::from_secs((1 << 32) + 100)));
    }

    #[test]
    fn differences_can_bring_the_end_nearer_and_not_push_it_away() {
        let survey = Survey::of(&zone(&("a A 192.0.2.1\n".to_owned() + &rrsig("a", "A", "20260301000000"))), NOW);
        let survey = survey.expect("signed");
        let later = diff((1, 2), &rrsig("a", "A", "20260301000000"), &rrsig("a", "A", "20260401000000"));
        assert_eq!(survey.after([&later], NOW).first, survey.first);
        let sooner = diff((1, 2), "", &rrsig("c", "AAAA", "20260115000000"));
        let first = survey.after([&sooner], NOW).first;
        assert_eq!((first.owner.to_string(), first.covered), ("c.example.".to_owned(), RecordType::AAAA));
    }

    #[test]
    fn the_apex_has_lapsed_when_the_last_signature_over_soa_or_dnskey_has() {
        let old = rrsig("@", "SOA", "20251231235959");
        assert_eq!(lapsed_apex(&zone(&old), NOW), Some(RecordType::SOA));
        assert_eq!(lapsed_apex(&zone(&(old.clone() + &rrsig("@", "SOA", "20260102000000"))), NOW), None);
        let keys = "@ DNSKEY 257 3 13 AAAA\n".to_owned() + &rrsig("@", "DNSKEY", "20251231235959");
        assert_eq!(lapsed_apex(&zone(&keys), NOW), Some(RecordType::DNSKEY));
        assert_eq!(lapsed_apex(&zone("a A 192.0.2.1"), NOW), None, "unsigned is not expired");
    }

    #[test]
    fn only_iterations_beyond_what_validators_take_are_told() {
        assert_eq!(excessive_iterations(&zone("@ NSEC3PARAM 1 0 5000 -")), Some(5000));
        assert_eq!(excessive_iterations(&zone("@ NSEC3PARAM 1 0 150 -")), None);
        assert_eq!(excessive_iterations(&zone("")), None);
    }
}
