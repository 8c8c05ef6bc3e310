//! The catalog of our own zones, for those behind us.

use std::collections::BTreeMap;

use crate::dns::name::NAME_OCTETS_MAX;
use crate::dns::{Name, RecordRef, RecordType, Serial};
use crate::reason::{Code, Reason};
use crate::zone::{self, Builder, Diff, DiffBuilder, Findings, HashKey, Limits, Snapshot};

use super::{GROUP, SCHEMA, VERSION, ZONES};

/// TTL of all records: nobody is to keep them ("TTL ... MAY be 0", RFC 9432 §4).
const TTL: u32 = 0;
/// Refresh, retry, expire and minimum of the SOA: as the zone changes with each new member, downstreams that missed a
/// NOTIFY ask every ten minutes; members of an expired catalog stay (§5.1), so that it may be early.
const TIMERS: [u32; 4] = [600, 60, 2_419_200, 0];

/// What a catalog says of one zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The label of its node, without its length; 1..=63 octets. A zone that is made anew has to get another one.
    pub label: Box<[u8]>,
    /// Its group, if it has one.
    pub group: Option<String>,
}

/// The first version of a catalog, which lists nothing.
pub fn first_version(apex: &Name, key: HashKey, serial: Serial) -> Result<Snapshot, Reason> {
    let mut builder = Builder::new(apex.clone(), key, Limits::default());
    let (soa, ns) = (soa(serial), [&b"\x07invalid"[..], b"\0"].concat());
    let version = [&[SCHEMA.len() as u8], SCHEMA].concat();
    let owner = [VERSION, apex.as_wire()].concat();
    let record = |owner, rtype, rdata| RecordRef { owner, rtype, ttl: TTL, rdata };
    builder.add(record(apex.as_wire(), RecordType::SOA, &soa))?;
    // "an NS record ... with the single target invalid." (§4)
    builder.add(record(apex.as_wire(), RecordType::NS, &ns))?;
    builder.add(record(&owner, RecordType::TXT, &version))?;
    Ok(builder.finish(None)?.0)
}

/// The version after `old`, and what leads to it: the zones of `changes` are listed so, or no longer; what is so already is
/// passed over. `listed` is how they stand in `old`. `None` if nothing differs. Costs as much as what differs.
pub fn next_version(
    old: &Snapshot,
    listed: &BTreeMap<Name, Listing>,
    changes: &BTreeMap<Name, Option<Listing>>,
    serial: Serial,
) -> Result<Option<(Snapshot, Diff)>, Reason> {
    let apex = old.apex();
    let old_soa = old.soa_record();
    let mut diff = DiffBuilder::new(old_soa.borrow());
    let mut differs = false;
    for (zone, wanted) in changes {
        let before = listed.get(zone);
        if before == wanted.as_ref() {
            continue;
        }
        differs = true;
        if let Some(before) = before {
            records(apex, zone, before, |record| diff.delete(record))?;
        }
        if let Some(wanted) = wanted {
            records(apex, zone, wanted, |record| diff.add(record))?;
        }
    }
    if !differs {
        return Ok(None);
    }
    let soa = soa(serial);
    let new_soa = RecordRef { owner: apex.as_wire(), rtype: RecordType::SOA, ttl: TTL, rdata: &soa };
    let diff = diff.finish(new_soa).expect("two SOAs of one zone");
    let (snapshot, Findings { .. }) = zone::apply(old, std::slice::from_ref(&diff)).map_err(Reason::from)?;
    Ok(Some((snapshot, diff)))
}

/// The records of one member.
fn records(
    apex: &Name,
    zone: &Name,
    listing: &Listing,
    mut each: impl FnMut(RecordRef<'_>) -> Result<(), Reason>,
) -> Result<(), Reason> {
    let node = [&[listing.label.len() as u8], &*listing.label, ZONES, apex.as_wire()].concat();
    if GROUP.len() + node.len() > NAME_OCTETS_MAX {
        let detail = format!("{zone} cannot be listed: the name of its node would be too long");
        return Err(Reason::new(Code::CatalogBroken, detail));
    }
    each(RecordRef { owner: &node, rtype: RecordType::PTR, ttl: TTL, rdata: zone.as_wire() })?;
    if let Some(group) = &listing.group {
        let owner = [GROUP, &node].concat();
        let text = [&[group.len() as u8], group.as_bytes()].concat();
        each(RecordRef { owner: &owner, rtype: RecordType::TXT, ttl: TTL, rdata: &text })?;
    }
    Ok(())
}

fn soa(serial: Serial) -> Vec<u8> {
    let numbers = std::iter::once(serial.0).chain(TIMERS).flat_map(u32::to_be_bytes);
    b"\x07invalid\0".iter().chain(b"\x07invalid\0").copied().chain(numbers).collect()
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;

    const KEY: HashKey = HashKey::from_bytes([7; 16]);

    fn name(text: &str) -> Name {
        text.parse().expect("a name")
    }

    fn listing(label: &[u8], group: Option<&str>) -> Listing {
        Listing { label: label.into(), group: group.map(str::to_owned) }
    }

    /// What is written is what a reader of RFC 9432 finds, and each step costs what differs.
    #[test]
    fn what_is_listed_can_be_read() {
        let first = first_version(&name("catalog.example"), KEY, Serial(1)).expect("a zone");
        assert!(read(&first).expect("a catalog").is_empty());
        let joins: BTreeMap<_, _> = [
            (name("a.example"), Some(listing(b"one", None))),
            (name("b.example"), Some(listing(b"two", Some("signed")))),
        ]
        .into();
        let (second, diff) =
            next_version(&first, &BTreeMap::new(), &joins, Serial(2)).expect("a zone").expect("a change");
        assert_eq!(second.serial(), Serial(2));
        assert_eq!((diff.deleted().count(), diff.added().count()), (0, 3));
        let catalog = read(&second).expect("a catalog");
        assert_eq!(catalog[&name("b.example")].groups, ["signed"]);
        assert_eq!(&*catalog[&name("a.example")].label, b"one");

        let listed: BTreeMap<_, _> =
            joins.into_iter().map(|(zone, listing)| (zone, listing.expect("listed"))).collect();
        let next: BTreeMap<_, _> =
            [(name("a.example"), Some(listing(b"one", None))), (name("b.example"), None), (name("c.example"), None)]
                .into();
        let (third, diff) = next_version(&second, &listed, &next, Serial(3)).expect("a zone").expect("a change");
        assert_eq!((diff.deleted().count(), diff.added().count()), (2, 0));
        assert_eq!(read(&third).expect("a catalog").len(), 1);
        let long: Name = format!("{0}.{0}.{0}.{1}", "l".repeat(63), "x".repeat(20)).parse().expect("a name");
        let first = first_version(&long, KEY, Serial(1)).expect("a zone");
        let label = [(name("a.example"), Some(listing(&[b'x'; 32], None)))].into();
        assert!(next_version(&first, &BTreeMap::new(), &label, Serial(2)).is_err(), "no room for its node");
        let same: BTreeMap<_, _> = [(name("a.example"), Some(listing(b"one", None)))].into();
        assert_eq!(next_version(&third, &listed, &same, Serial(4)).expect("a zone").map(|_| ()), None);
    }
}
