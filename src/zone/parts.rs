//! The parts of a zone that has been collected -> its pages.
//!
//! The hash space has 32 parts, the slots of the root node. Each is sorted, and the glue it has is handed to the parts of the
//! delegations; then the owners of each are encoded in order, put on pages, and it is freed. Called by [`super::Builder`]. Parts of a large zone are taken up by several threads; which of them makes which
//! part does not show in the pages. Cost: a sort of each part, and for each owner one miss of the cache, which are
//! waited for many at a time.

use super::builder::{CHILD_MARK, require_one_soa};
use super::directory::{Child, Edit, Pager, SLOTS, root_slot};
use super::encode::{Address, Encoder, Item, Items, Owner, level};
use super::entry::Entry;
use super::hash::HashKey;
use super::page::{Kind, Page};
use super::partition::{Partition, Run};
use super::snapshot::Snapshot;
use super::tally::Tally;
use crate::dns::RecordType;
use crate::reason::Reason;
use crate::threads::{self, in_threads};

/// Zones up to this many octets are made in one go: to build 32 trees and join them costs more than their contents.
const SMALL_OCTETS: u64 = 1 << 14;
/// From so many octets on a zone is worth the start of threads.
const LARGE_OCTETS: u64 = 4 << 20;

/// What has been collected of a part.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// Its records.
    pub(super) records: Partition,
    /// Hashes of in-domain NS targets that fall into this part, each with that of its delegation, which may be in any.
    pub(super) glue_wanted: Vec<(u64, u64)>,
}

/// Addresses at in-domain NS targets, copied before the parts they come from are freed: by part and hash of the delegation,
/// with the target as the owner.
type Glue = [Partition; SLOTS];

/// How many threads should make a zone of so many octets.
pub(super) fn threads_for(octets: u64) -> usize {
    if octets >= LARGE_OCTETS { threads::for_large_work() } else { 1 }
}

/// What all parts have in common.
#[derive(Clone, Copy)]
pub(super) struct Zone<'a> {
    pub(super) apex: &'a [u8],
    pub(super) key: HashKey,
    pub(super) apex_hash: u64,
    /// The version to be replaced, with the same apex and key.
    pub(super) old: Option<&'a Snapshot>,
}

impl<'a> Zone<'a> {
    fn pager(&self) -> Pager<'a> {
        Pager::new(Kind::Names, self.key, self.apex_hash, self.old.map(Snapshot::names))
    }
}

/// What comes of the encoding besides entries.
#[derive(Debug, Default)]
pub(super) struct Sums {
    pub(super) spills: Vec<Page>,
    pub(super) tally: Tally,
    pub(super) duplicates: u64,
    apex_kids: u32,
    apex_has_wildcard: bool,
}

impl Sums {
    fn merge(&mut self, other: Sums) {
        self.spills.extend(other.spills);
        self.tally.merge(&other.tally);
        self.duplicates += other.duplicates;
        self.apex_kids += other.apex_kids;
        self.apex_has_wildcard |= other.apex_has_wildcard;
    }
}

/// The pages of all `parts`, which are in order, and of the apex. The zone has so many `octets`.
pub(super) fn make(
    zone: Zone<'_>,
    parts: Vec<Part>,
    apex_records: &Partition,
    octets: u64,
    threads: usize,
) -> Result<(Child, Sums), Reason> {
    let (sorted, found) = in_threads(threads, parts, Glue::default, |glue, part| sort(part, glue))?;
    let mut found: Vec<_> = found.into_iter().map(IntoIterator::into_iter).collect();
    let with_glue = sorted.into_iter().map(|records| {
        let glue = found.iter_mut().filter_map(Iterator::next).filter(|part| !part.is_empty());
        (records, glue.collect::<Vec<_>>())
    });
    if octets <= SMALL_OCTETS {
        return make_at_once(zone, with_glue, apex_records);
    }
    let with_glue: Vec<_> = with_glue.enumerate().collect();
    let start = || (Maker::new(&zone), zone.pager());
    let (subtrees, makers) = in_threads(threads, with_glue, start, |(maker, pager), (slot, (records, mut glue))| {
        maker.clear();
        maker.encode(&records, &mut glue)?;
        // they are of no more use, and pages take room
        drop((records, glue));
        let entries: Vec<_> = maker.placed().collect();
        pager.subtree(slot as u64, &entries)
    })?;
    let mut whole = Maker::new(&zone);
    makers.into_iter().for_each(|(maker, _)| whole.sums.merge(maker.sums));
    let mut pager = zone.pager();
    let names = pager.join(subtrees.try_into().expect("32 parts"));
    let apex_entry = whole.encode_apex(apex_records, zone.apex_hash)?;
    let edit = Edit { hash: zone.apex_hash, name: &[], entry: Some(&apex_entry) };
    Ok((pager.edit(&names, &[edit])?, whole.sums))
}

/// The same for a small zone.
fn make_at_once(
    zone: Zone<'_>,
    parts: impl Iterator<Item = (Partition, Vec<Partition>)>,
    apex_records: &Partition,
) -> Result<(Child, Sums), Reason> {
    let mut maker = Maker::new(&zone);
    for (records, mut glue) in parts {
        maker.encode(&records, &mut glue)?;
    }
    let apex_entry = maker.encode_apex(apex_records, zone.apex_hash)?;
    let mut entries: Vec<_> = maker.placed().collect();
    // Before others with its hash: its relative name is the empty one.
    let at = entries.partition_point(|entry| entry.0 < zone.apex_hash);
    entries.insert(at, (zone.apex_hash, &apex_entry));
    Ok((zone.pager().tree(&entries)?, maker.sums))
}

/// Sorts a part and hands out its glue.
fn sort(part: Part, glue: &mut Glue) -> Result<Partition, Reason> {
    let Part { mut records, glue_wanted: mut wanted } = part;
    records.sort();
    wanted.sort_unstable();
    wanted.dedup();
    records.find(&wanted, |target, cut| {
        let mut addresses = target.records().filter(|r| matches!(r.rtype, RecordType::A | RecordType::AAAA));
        addresses.try_for_each(|address| glue[root_slot(cut)].push(cut, target.owner, address))
    })?;
    Ok(records)
}

/// Encodes owners, part by part.
struct Maker<'z> {
    encoder: Encoder<'z>,
    /// Entries that are not on pages yet, and where each begins.
    entries: Vec<u8>,
    places: Vec<(u64, usize)>,
    sums: Sums,
}

impl<'z> Maker<'z> {
    fn new(zone: &Zone<'z>) -> Maker<'z> {
        Maker {
            encoder: Encoder::new(zone.apex, zone.key),
            entries: Vec::new(),
            places: Vec::new(),
            sums: Sums::default(),
        }
    }

    fn placed(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let ends = self.places.iter().skip(1).map(|p| p.1).chain([self.entries.len()]);
        self.places.iter().zip(ends).map(|(&(hash, start), end)| (hash, &self.entries[start..end]))
    }

    /// Lets go of the entries made so far.
    fn clear(&mut self) {
        self.entries.clear();
        self.places.clear();
    }

    /// Encodes all owners of a sorted part in order.
    fn encode(&mut self, records: &Partition, glue: &mut [Partition]) -> Result<(), Reason> {
        glue.iter_mut().for_each(Partition::sort);
        let (mut items, mut children) = (Items::new(), Vec::new());
        records.groups(|hash, runs| {
            if runs.windows(2).any(|two| two[0].owner != two[1].owner) {
                runs.sort_by_key(|run| run.owner);
            }
            for of_one in runs.chunk_by(|a, b| a.owner == b.owner) {
                items.clear();
                children.clear();
                for stored in of_one.iter().flat_map(|run| run.records()) {
                    if stored.rtype == CHILD_MARK {
                        children.push(stored.rdata);
                    } else {
                        items.push(Item::new(stored.rtype, stored.ttl, stored.rdata)?);
                    }
                }
                if children.len() > 1 {
                    children.sort_unstable();
                    children.dedup();
                }
                self.sums.duplicates += level(&mut items) as u64;
                let owner = Owner {
                    relative: of_one[0].owner,
                    hash,
                    kids: children.len() as u32,
                    has_wildcard: children.contains(&&b"*"[..]),
                };
                self.push(owner, &items, glue)?;
            }
            Ok(())
        })
    }

    /// Encodes one owner other than the apex.
    fn push(&mut self, owner: Owner<'_>, items: &[Item<'_>], glue: &[Partition]) -> Result<(), Reason> {
        let mut addresses = |target: &[u8], out: &mut Vec<Address>| {
            let of_cut = glue.iter().flat_map(|part| part.with_hash(owner.hash));
            let runs = of_cut.filter(|run| run.owner == target);
            out.extend(runs.flat_map(Run::records).filter_map(|r| Address::new(r.rtype, r.ttl, r.rdata)));
        };
        let (entries, spills) = (&mut self.entries, &mut self.sums.spills);
        let start = entries.len();
        self.places.push((owner.hash, start));
        self.encoder.entry(owner, items, std::iter::empty(), &mut addresses, entries, spills)?;
        let entry = Entry::new(&entries[start..]);
        if entry.labels() == 1 {
            self.sums.apex_kids += 1;
            self.sums.apex_has_wildcard |= owner.relative == b"\x01*";
        }
        self.sums.tally.add(entry);
        Ok(())
    }

    /// The entry of the apex, whose children have all been encoded.
    fn encode_apex(&mut self, records: &Partition, hash: u64) -> Result<Vec<u8>, Reason> {
        let items = records.records().map(|stored| Item::new(stored.rtype, stored.ttl, stored.rdata));
        let mut items = items.collect::<Result<Items<'_>, _>>()?;
        self.sums.duplicates += level(&mut items) as u64;
        require_one_soa(&items)?;
        let (kids, has_wildcard) = (self.sums.apex_kids, self.sums.apex_has_wildcard);
        let owner = Owner { relative: &[], hash, kids, has_wildcard };
        let (mut entry, mut no_glue) = (Vec::new(), |_: &[u8], _: &mut Vec<Address>| {});
        let spills = &mut self.sums.spills;
        self.encoder.entry(owner, &items, std::iter::empty(), &mut no_glue, &mut entry, spills)?;
        self.sums.tally.add(Entry::new(&entry));
        Ok(entry)
    }
}
