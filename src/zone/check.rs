//! May this version be published? Rules on content, each refusing or warning by policy.
//!
//! In: a version just built or applied, and the policy. Out: warnings, or the reason for refusing. Called by
//! `control::commit` before publishing, and by nobody else. The sums kept with each version answer nearly always, so a clean zone of any
//! size is checked in no time; only to name an offender the zone is walked. Bounds (an RRset that fits no message, types at
//! an owner) are not here: the encoder refuses what it cannot hold.

use std::fmt;

use super::entry::Entry;
use super::snapshot::Snapshot;
use crate::dns::{Name, RecordType};
use crate::reason::{Code, Reason};

/// What happens when a rule is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The version is not published; the old one stays.
    Refuse,
    /// It is published with a warning.
    Warn,
    /// Nobody is told.
    Allow,
}

/// One rule on content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// CNAME beside other data (RFC 2181 §10.1; RRSIG and NSEC may stand there).
    CnameAndOther,
    /// Several CNAMEs at one owner (RFC 2181 §10.1).
    Cnames,
    /// Names below a DNAME (RFC 6672 §2.3).
    BelowDname,
    /// No NS at the apex.
    NoApexNs,
    /// DS at the apex, where it means nothing (RFC 4035 §2.4).
    DsAtApex,
    /// NS at a wildcard (RFC 4592 §4.2).
    WildcardNs,
    /// An RRset that fits no message together with its RRSIGs.
    UnsendableSigned,
}

/// A verdict for each rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentPolicy {
    /// For [`Rule::CnameAndOther`]; default refuse.
    pub cname_and_other: Verdict,
    /// For [`Rule::Cnames`]; default refuse.
    pub cnames: Verdict,
    /// For [`Rule::BelowDname`]; default warn.
    pub below_dname: Verdict,
    /// For [`Rule::NoApexNs`]; default warn (BIND refuses).
    pub no_apex_ns: Verdict,
    /// For [`Rule::DsAtApex`]; default warn.
    pub ds_at_apex: Verdict,
    /// For [`Rule::WildcardNs`]; default warn.
    pub wildcard_ns: Verdict,
    /// For [`Rule::UnsendableSigned`]; default warn.
    pub unsendable_signed: Verdict,
}

impl Default for ContentPolicy {
    fn default() -> ContentPolicy {
        use Verdict::{Refuse, Warn};
        ContentPolicy {
            cname_and_other: Refuse,
            cnames: Refuse,
            below_dname: Warn,
            no_apex_ns: Warn,
            ds_at_apex: Warn,
            wildcard_ns: Warn,
            unsendable_signed: Warn,
        }
    }
}

/// A broken rule that the policy lets pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The rule.
    pub rule: Rule,
    /// Owners that break it.
    pub count: u32,
    /// One of them.
    pub example: Name,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.rule {
            Rule::CnameAndOther => "CNAME and other data",
            Rule::Cnames => "more than one CNAME",
            Rule::BelowDname => "names below the DNAME",
            Rule::NoApexNs => "no NS at the apex",
            Rule::DsAtApex => "DS at the apex",
            Rule::WildcardNs => "NS at a wildcard",
            Rule::UnsendableSigned => "an RRset that fits no message with its signatures",
        };
        write!(f, "{what} at {}", self.example)?;
        if self.count > 1 { write!(f, " and {} more", self.count - 1) } else { Ok(()) }
    }
}

/// Holds `snapshot` against `policy`: the first broken rule that refuses, or all that warn.
pub fn check(snapshot: &Snapshot, policy: &ContentPolicy) -> Result<Vec<Warning>, Reason> {
    let offences = &snapshot.tally().offences;
    let at_apex = |rtype| snapshot.apex_entry().rrset(rtype).is_some_and(|block| block.rr_count() > 0);
    let findings = [
        (Rule::CnameAndOther, policy.cname_and_other, offences.cname_and_other),
        (Rule::Cnames, policy.cnames, offences.cnames),
        (Rule::BelowDname, policy.below_dname, offences.below_dname),
        (Rule::NoApexNs, policy.no_apex_ns, u32::from(!at_apex(RecordType::NS))),
        (Rule::DsAtApex, policy.ds_at_apex, u32::from(at_apex(RecordType::DS))),
        (Rule::WildcardNs, policy.wildcard_ns, offences.wildcard_ns),
        (Rule::UnsendableSigned, policy.unsendable_signed, offences.unsendable_signed),
    ];
    let mut warnings = Vec::new();
    for (rule, verdict, count) in findings {
        if count == 0 || verdict == Verdict::Allow {
            continue;
        }
        let warning = Warning { rule, count, example: example(snapshot, rule) };
        if verdict == Verdict::Refuse {
            return Err(Reason::new(rule.code(), warning.to_string()));
        }
        warnings.push(warning);
    }
    Ok(warnings)
}

impl Rule {
    /// The code with which a version is refused.
    pub fn code(self) -> Code {
        match self {
            Rule::CnameAndOther | Rule::Cnames => Code::ContentCname,
            Rule::BelowDname => Code::ContentDname,
            Rule::NoApexNs | Rule::WildcardNs => Code::ContentNs,
            Rule::DsAtApex => Code::ContentDs,
            Rule::UnsendableSigned => Code::LimitRrset,
        }
    }

    /// Whether `entry` breaks the rule; the rules of the apex look at nothing else.
    pub(super) fn is_broken_by(self, entry: Entry<'_>) -> bool {
        let rrs = |rtype| entry.rrset(rtype).map_or(0, |block| block.rr_count());
        match self {
            Rule::CnameAndOther => {
                let mut other = entry.rrsets().filter(|block| block.rr_count() > 0);
                let may_stand = [RecordType::CNAME, RecordType::NSEC, RecordType::RRSIG];
                rrs(RecordType::CNAME) > 0 && other.any(|block| !may_stand.contains(&block.rtype()))
            }
            Rule::Cnames => rrs(RecordType::CNAME) > 1,
            Rule::BelowDname => entry.is_dname() && entry.kids() > 0,
            Rule::NoApexNs => entry.name().is_empty() && rrs(RecordType::NS) == 0,
            Rule::DsAtApex => entry.name().is_empty() && rrs(RecordType::DS) > 0,
            Rule::WildcardNs => entry.is_cut() && entry.is_wildcard(),
            Rule::UnsendableSigned => entry
                .rrsets()
                .any(|block| block.image_octets() + block.signature_octets() > super::encode::RRSET_OCTETS_MAX),
        }
    }
}

/// The first owner in page order that breaks `rule`, which some owner does.
fn example(snapshot: &Snapshot, rule: Rule) -> Name {
    let mut entries = std::iter::once(snapshot.apex_entry()).chain(snapshot.entries());
    entries
        .find(|&entry| rule.is_broken_by(entry))
        .map_or(snapshot.apex().clone(), |entry| entry.owner(snapshot.apex()))
}

#[cfg(test)]
mod tests {
    use super::super::text::{build_records, records, soa_line, zone};
    use super::*;

    fn broken(text: &str) -> Vec<Rule> {
        let policy =
            ContentPolicy { cname_and_other: Verdict::Warn, cnames: Verdict::Warn, ..ContentPolicy::default() };
        check(&zone(text), &policy).expect("nothing refuses").into_iter().map(|warning| warning.rule).collect()
    }

    #[test]
    fn a_plain_zone_breaks_no_rule() {
        assert_eq!(broken("www A 192.0.2.1\nsub NS ns.sub\nns.sub A 192.0.2.2\n*.w A 192.0.2.3"), []);
    }

    /// RFC 2181 §10.1: "there may not be any other data"; RFC 4034 §2.5 excepts RRSIG and NSEC.
    #[test]
    fn cname_stands_alone_but_for_signatures() {
        assert_eq!(broken("a CNAME b\na TXT x"), [Rule::CnameAndOther]);
        assert_eq!(broken("a CNAME b\na CNAME c"), [Rule::Cnames]);
        assert_eq!(broken("a CNAME b\na NSEC b CNAME RRSIG NSEC"), []);
    }

    #[test]
    fn a_refusal_names_rule_and_owner() {
        let reason = check(&zone("a CNAME b\na TXT x"), &ContentPolicy::default()).expect_err("refused");
        assert_eq!((reason.code, &reason.detail[..]), (Code::ContentCname, "CNAME and other data at a.example."));
    }

    /// RFC 6672 §2.3: "resource records MUST NOT exist at any subdomain of the owner of a DNAME RR".
    #[test]
    fn names_below_a_dname_are_noticed() {
        assert_eq!(broken("d DNAME elsewhere.net.\nx.d A 192.0.2.1"), [Rule::BelowDname]);
        assert_eq!(broken("d DNAME elsewhere.net."), []);
    }

    #[test]
    fn oddities_of_apex_and_wildcards_are_noticed() {
        assert_eq!(broken("@ DS 1 8 2 00"), [Rule::DsAtApex]);
        assert_eq!(broken("*.w NS ns.hoster.net."), [Rule::WildcardNs]);
        let (bare, _) = build_records(&records(&soa_line(1))).expect("a zone");
        let warnings = check(&bare, &ContentPolicy::default()).expect("a warning");
        assert_eq!(warnings.iter().map(|w| w.rule).collect::<Vec<_>>(), [Rule::NoApexNs]);
        assert_eq!(check(&bare, &ContentPolicy { no_apex_ns: Verdict::Allow, ..ContentPolicy::default() }), Ok(vec![]));
    }
}
