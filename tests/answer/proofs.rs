//! RFC 4035 §3.1.3 and RFC 5155 §7.2 over a map of records: whose NSEC or NSEC3 must stand in a reply.

use std::collections::{BTreeMap, BTreeSet};

use ring::digest;
use secondaryd::dns::{Name, Record, RecordType};

/// What is not there.
pub(crate) enum Absent<'n> {
    /// No such name, and no wildcard below its closest encloser.
    Name { name: &'n Name, encloser: &'n Name },
    /// No such type, be it DS at a cut.
    Type { name: &'n Name },
    /// No such name, and no such type at the wildcard below its closest encloser.
    TypeAtWildcard { name: &'n Name, encloser: &'n Name },
    /// A wildcard has answered, as there is nothing closer.
    Closer { name: &'n Name, encloser: &'n Name },
}

/// Type of the proofs and the owners that have them.
pub(crate) fn proofs(
    apex: &Name,
    zone: &BTreeMap<Name, Vec<Record>>,
    absent: &Absent<'_>,
) -> (RecordType, BTreeSet<Name>) {
    let wildcard = |encloser: &Name| Name::from_relative(b"\x01*", encloser).expect("short");
    if !is_signed(apex, zone) {
        return (RecordType::NSEC, BTreeSet::new());
    }
    let params = zone[apex].iter().find(|record| record.rtype == RecordType::NSEC3PARAM);
    let Some(params) = params else {
        let names = match absent {
            Absent::Name { name, encloser } | Absent::TypeAtWildcard { name, encloser } => {
                vec![(*name).clone(), wildcard(encloser)]
            }
            Absent::Type { name } | Absent::Closer { name, .. } => vec![(*name).clone()],
        };
        let owners = owners(zone, RecordType::NSEC);
        let at_or_before = |name: &Name| owners.range(..=name).next_back().cloned();
        return (RecordType::NSEC, names.iter().filter_map(at_or_before).collect());
    };
    let chain: BTreeMap<Vec<u8>, Name> =
        owners(zone, RecordType::NSEC3).into_iter().map(|owner| (owner.as_wire()[1..33].to_vec(), owner)).collect();
    let of = |name: &Name| {
        let hash = base32(&hash(name, &params.rdata));
        let before = chain.range(..=hash.clone()).next_back().or(chain.last_key_value());
        before.map(|(at, owner)| (*at == hash, owner.clone()))
    };
    let owner_of = |name: &Name| of(name).map(|found| found.1);
    let matches = |name: &Name| of(name).is_some_and(|found| found.0);
    // the closest provable encloser and the next closer name
    let enclosing = |name: &Name, from: &Name| {
        let (mut encloser, mut next) = (from.clone(), ancestor(name, from.label_count() + 1));
        while !matches(&encloser) && encloser != *apex {
            next = encloser.clone();
            encloser = encloser.parent().expect("below the apex");
        }
        (encloser, next)
    };
    let names = match absent {
        Absent::Name { name, encloser } | Absent::TypeAtWildcard { name, encloser } => {
            let (encloser, next) = enclosing(name, encloser);
            vec![wildcard(&encloser), encloser, next]
        }
        Absent::Type { name } if matches(name) => vec![(*name).clone()],
        Absent::Type { name } => {
            let (encloser, next) = enclosing(name, &name.parent().expect("the apex has one"));
            vec![encloser, next]
        }
        Absent::Closer { name, encloser } => vec![ancestor(name, encloser.label_count() + 1)],
    };
    (RecordType::NSEC3, names.iter().filter_map(owner_of).collect())
}

/// Whether the SOA is signed.
pub(crate) fn is_signed(apex: &Name, zone: &BTreeMap<Name, Vec<Record>>) -> bool {
    let signs_soa = |r: &Record| r.rtype == RecordType::RRSIG && r.rdata[..2] == RecordType::SOA.0.to_be_bytes();
    zone[apex].iter().any(signs_soa)
}

fn owners(zone: &BTreeMap<Name, Vec<Record>>, rtype: RecordType) -> BTreeSet<Name> {
    zone.iter()
        .filter(|(_, records)| records.iter().any(|r| r.rtype == rtype))
        .map(|(owner, _)| owner.clone())
        .collect()
}

/// The name's rightmost `labels`.
fn ancestor(name: &Name, labels: usize) -> Name {
    Name::from_wire(name.strip_left(name.label_count() - labels)).expect("a suffix of a name")
}

/// RFC 5155 §5: IH(salt, x, 0) = H(x || salt), IH(salt, x, k) = H(IH(salt, x, k-1) || salt).
pub(crate) fn hash(name: &Name, params: &[u8]) -> Vec<u8> {
    let (iterations, salt) = (u16::from_be_bytes([params[2], params[3]]), &params[5..]);
    let round =
        |input: &[u8]| digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &[input, salt].concat()).as_ref().to_vec();
    (0..iterations).fold(round(name.as_wire()), |hash, _| round(&hash))
}

/// RFC 4648 §7 in lower case.
pub(crate) fn base32(octets: &[u8]) -> Vec<u8> {
    let bit = |at: usize| octets[at / 8] >> (7 - at % 8) & 1;
    let digit = |at: usize| (0..5).fold(0, |digit, n| digit << 1 | bit(5 * at + n));
    (0..octets.len() * 8 / 5).map(|at| b"0123456789abcdefghijklmnopqrstuv"[digit(at) as usize]).collect()
}
