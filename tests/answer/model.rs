//! RFC 1034 §4.3.2 over a map of records, as plainly as it can be written: what the fast path is held against.

use std::collections::BTreeMap;

use secondaryd::answer::CHAIN_LINKS_MAX;
use secondaryd::dns::name::NAME_OCTETS_MAX;
use secondaryd::dns::{Name, Record, RecordType};

use super::proofs::{Absent, is_signed, proofs};
use super::witness::Rr;

type Zone = BTreeMap<Name, Vec<Record>>;

/// Zones by apex.
#[derive(Default)]
pub(crate) struct Model(BTreeMap<Name, Zone>);

/// What a reply with room for everything must hold, sections sorted.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    pub(crate) rcode: u16,
    pub(crate) authoritative: bool,
    pub(crate) answer: Vec<Rr>,
    pub(crate) authority: Vec<Rr>,
    /// Must be in the additional section; other addresses of the zones may be.
    pub(crate) glue: Vec<Rr>,
}

impl Model {
    pub(crate) fn add<'r>(&mut self, apex: &Name, records: impl IntoIterator<Item = &'r Record>) {
        let zone = self.0.entry(apex.clone()).or_default();
        for record in records.into_iter().filter(|record| record.owner.is_at_or_below(apex)) {
            zone.entry(record.owner.clone()).or_default().push(record.clone());
        }
    }

    /// Whether some zone has this address record.
    pub(crate) fn has_address(&self, rr: &Rr) -> bool {
        matches!(rr.rtype, RecordType::A | RecordType::AAAA | RecordType::RRSIG)
            && self.0.values().flat_map(|zone| zone.values().flatten()).any(|record| Rr::from(record) == *rr)
    }

    /// `None`: not ours.
    pub(crate) fn answer(&self, qname: &Name, qtype: RecordType, dnssec_ok: bool) -> Option<Expected> {
        self.zone_of(qname, qtype)?;
        let mut expected = Expected::default();
        let (mut name, mut visited) = (qname.clone(), Vec::new());
        while let Some((apex, zone)) = self.zone_of(&name, qtype) {
            if visited.contains(&name) || visited.len() > CHAIN_LINKS_MAX {
                break;
            }
            visited.push(name.clone());
            match step(apex, zone, &name, qtype, dnssec_ok, &mut expected) {
                Some(target) => name = target,
                None => break,
            }
        }
        for section in [&mut expected.answer, &mut expected.authority] {
            section.sort();
            section.dedup();
        }
        Some(expected)
    }

    fn zone_of(&self, name: &Name, qtype: RecordType) -> Option<(&Name, &Zone)> {
        let above =
            |name: &Name| self.0.iter().filter(|(apex, _)| name.is_at_or_below(apex)).max_by_key(|z| z.0.label_count());
        let zone = above(name)?;
        match name.parent() {
            Some(parent) if qtype == RecordType::DS && zone.0 == name => above(&parent).or(Some(zone)),
            _ => Some(zone),
        }
    }
}

/// One name in one zone. Returns the name to go on with.
fn step(
    apex: &Name,
    zone: &Zone,
    name: &Name,
    qtype: RecordType,
    dnssec_ok: bool,
    expected: &mut Expected,
) -> Option<Name> {
    let rrset = |owner: &Name, rtype: RecordType| -> Vec<&Record> {
        zone.get(owner).into_iter().flatten().filter(|record| record.rtype == rtype).collect()
    };
    let with = |owner: &Name, rtype: RecordType, as_owner: &Name, signatures: bool| -> Vec<Rr> {
        let signatures =
            rrset(owner, RecordType::RRSIG).into_iter().filter(|s| signatures && s.rdata[..2] == rtype.0.to_be_bytes());
        let mut all: Vec<Rr> = rrset(owner, rtype).into_iter().chain(signatures).map(Rr::from).collect();
        all.iter_mut().for_each(|rr| rr.owner = as_owner.as_wire().to_vec());
        all
    };
    let signed = |owner: &Name, rtype: RecordType, as_owner: &Name| with(owner, rtype, as_owner, dnssec_ok);
    let prove = |absent: Absent<'_>| -> Vec<Rr> {
        if !dnssec_ok {
            return Vec::new();
        }
        let (rtype, owners) = proofs(apex, zone, &absent);
        owners.iter().flat_map(|owner| signed(owner, rtype, owner)).collect()
    };
    // from the apex down: is there a cut or a DNAME above the name?
    for depth in apex.label_count()..=name.label_count() {
        let ancestor = suffix(name, depth);
        let is_cut = ancestor != *apex && !rrset(&ancestor, RecordType::NS).is_empty();
        if is_cut && !(ancestor == *name && qtype == RecordType::DS) {
            expected.authority.extend(rrset(&ancestor, RecordType::NS).into_iter().map(Rr::from));
            if dnssec_ok && is_signed(apex, zone) {
                let ds = signed(&ancestor, RecordType::DS, &ancestor);
                let is_secure = !ds.is_empty();
                expected.authority.extend(ds);
                if !is_secure {
                    expected.authority.extend(prove(Absent::Type { name: &ancestor }));
                }
            }
            for ns in rrset(&ancestor, RecordType::NS) {
                let host = Name::from_wire(&ns.rdata).expect("a name");
                if host.is_at_or_below(&ancestor) {
                    let addresses = [RecordType::A, RecordType::AAAA].map(|rtype| rrset(&host, rtype)).concat();
                    expected.glue.extend(addresses.into_iter().map(Rr::from));
                }
            }
            return None;
        }
        if ancestor != *name
            && let [dname, ..] = rrset(&ancestor, RecordType::DNAME)[..]
        {
            expected.authoritative = true;
            expected.answer.extend(signed(&ancestor, RecordType::DNAME, &ancestor));
            let kept = &name.as_wire()[..name.as_wire().len() - ancestor.as_wire().len()];
            if kept.len() + dname.rdata.len() > NAME_OCTETS_MAX {
                expected.rcode = 6;
                return None;
            }
            let target = Name::from_wire(&[kept, &dname.rdata].concat()).expect("a name");
            expected.answer.push(Rr {
                owner: name.as_wire().to_vec(),
                rtype: RecordType::CNAME,
                ttl: dname.ttl,
                rdata: target.as_wire().to_vec(),
            });
            let is_endless = Name::from_wire(&dname.rdata).expect("a name").is_at_or_below(&ancestor);
            return (!is_endless && ![RecordType::CNAME, RecordType::ANY].contains(&qtype)).then_some(target);
        }
    }
    expected.authoritative = true;
    // RFC 5155 §7.2.8: an owner of NSEC3 only does not exist
    let is_seen = |record: &Record| {
        let covers_nsec3 = record.rtype == RecordType::RRSIG && record.rdata[..2] == RecordType::NSEC3.0.to_be_bytes();
        record.rtype != RecordType::NSEC3 && !covers_nsec3
    };
    let exists =
        |name: &Name| zone.iter().any(|(owner, records)| owner.is_at_or_below(name) && records.iter().any(is_seen));
    let encloser =
        (0..=name.label_count()).rev().map(|depth| suffix(name, depth)).find(exists).expect("the apex exists");
    let source = if encloser == *name {
        Some(name.clone())
    } else {
        Name::from_relative(b"\x01*", &encloser).ok().filter(exists)
    };
    let is_wildcard = encloser != *name;
    let Some(source) = source else {
        expected.rcode = 3;
        negative(apex, &signed, &rrset, expected);
        expected.authority.extend(prove(Absent::Name { name, encloser: &encloser }));
        return None;
    };
    let no_closer = || match is_wildcard {
        true => prove(Absent::Closer { name, encloser: &encloser }),
        false => Vec::new(),
    };
    let mut types: Vec<RecordType> = zone.get(&source).into_iter().flatten().map(|record| record.rtype).collect();
    types.sort();
    types.dedup();
    let before = expected.answer.len();
    match qtype {
        RecordType::ANY => {
            // signatures may be left over where nothing is that they sign
            let signed_types = rrset(&source, RecordType::RRSIG)
                .into_iter()
                .map(|s| RecordType(u16::from_be_bytes([s.rdata[0], s.rdata[1]])));
            let types: std::collections::BTreeSet<RecordType> = types.into_iter().chain(signed_types).collect();
            for rtype in types.into_iter().filter(|&rtype| rtype != RecordType::RRSIG) {
                // "any other RRset" (RFC 4035 §3), so RRSIGs are a part of everything
                expected.answer.extend(with(&source, rtype, name, true));
            }
        }
        _ if types.contains(&qtype) => expected.answer.extend(signed(&source, qtype, name)),
        RecordType::RRSIG => {}
        _ => {
            // NSEC stands beside a CNAME (RFC 4035 §2.5)
            if let [cname, ..] = rrset(&source, RecordType::CNAME)[..]
                && qtype != RecordType::NSEC
            {
                expected.answer.extend(signed(&source, RecordType::CNAME, name));
                expected.authority.extend(no_closer());
                return Some(Name::from_wire(&cname.rdata).expect("a name"));
            }
        }
    }
    if expected.answer.len() == before {
        negative(apex, &signed, &rrset, expected);
        expected.authority.extend(match is_wildcard {
            true => prove(Absent::TypeAtWildcard { name, encloser: &encloser }),
            false => prove(Absent::Type { name }),
        });
    } else {
        expected.authority.extend(no_closer());
    }
    None
}

fn negative<'z>(
    apex: &Name,
    signed: &impl Fn(&Name, RecordType, &Name) -> Vec<Rr>,
    rrset: &impl Fn(&Name, RecordType) -> Vec<&'z Record>,
    expected: &mut Expected,
) {
    let soa = rrset(apex, RecordType::SOA)[0];
    let minimum = soa.rdata.last_chunk::<4>().map(|octets| u32::from_be_bytes(*octets)).expect("a SOA");
    let mut rrs = signed(apex, RecordType::SOA, apex);
    rrs.iter_mut().for_each(|rr| rr.ttl = rr.ttl.min(minimum));
    expected.authority.extend(rrs);
}

fn suffix(name: &Name, labels: usize) -> Name {
    Name::from_wire(name.strip_left(name.label_count() - labels)).expect("a suffix of a name")
}
