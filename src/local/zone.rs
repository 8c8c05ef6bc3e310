//! All entries of one locally managed zone, findable by place, type and identity.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use uuid::Uuid;

use super::entry::Entry;
use super::shelf::Shelf;
use super::soa::Attributes;
use crate::dns::{Name, Record, RecordType, Serial};
use crate::reason::Reason;
use crate::reverse;
use crate::zone::{Builder, HashKey, Limits, Snapshot};

/// A locally managed zone as it is at one moment. Immutable to everybody but `project`; cheap to clone.
#[derive(Clone, Debug)]
pub struct LocalZone {
    apex: Name,
    prefix: Option<IpNet>,
    pub(super) attributes: Attributes,
    pub(super) serial: Serial,
    by_place: Shelf<ByPlace>,
    by_type: Shelf<ByType>,
    by_id: Shelf<ById>,
    by_num: Shelf<ByNum>,
    /// PTRs of addresses.
    by_address: Shelf<ByAddress>,
    counts: BTreeMap<RecordType, usize>,
    changes: u64,
}

impl LocalZone {
    /// A zone with these entries; of two at one place (which `project` never makes) one is kept.
    pub fn new(
        apex: Name,
        attributes: Attributes,
        serial: Serial,
        entries: impl IntoIterator<Item = Arc<Entry>>,
    ) -> LocalZone {
        let entries: Vec<Arc<Entry>> = entries.into_iter().collect();
        let mut counts = BTreeMap::new();
        for entry in &entries {
            *counts.entry(entry.rtype).or_default() += 1;
        }
        let prefix = reverse::prefix_of(&apex);
        let ptrs = entries.iter().filter(|entry| prefix.is_some() && entry.rtype == RecordType::PTR);
        let by_address = ptrs.filter_map(|entry| ByAddress::of(entry, &apex)).collect();
        LocalZone {
            prefix,
            apex,
            attributes,
            serial,
            by_place: entries.iter().cloned().map(ByPlace).collect(),
            by_type: entries.iter().cloned().map(ByType).collect(),
            by_id: entries.iter().cloned().map(ById).collect(),
            by_num: entries.iter().cloned().map(ByNum).collect(),
            by_address,
            counts,
            changes: 0,
        }
    }

    /// The zone after so many changes.
    pub fn with_changes(self, changes: u64) -> LocalZone {
        LocalZone { changes, ..self }
    }

    /// The zone's name.
    pub fn apex(&self) -> &Name {
        &self.apex
    }

    /// The addresses a reverse zone is for.
    pub fn prefix(&self) -> Option<IpNet> {
        self.prefix
    }

    /// What stands behind the SOA.
    pub fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    /// The SOA's serial.
    pub fn serial(&self) -> Serial {
        self.serial
    }

    /// The SOA as it is served; it has no entry and no identity.
    pub fn soa(&self) -> Record {
        self.attributes.soa(&self.apex, self.serial)
    }

    /// Number of entries, disabled ones included, the SOA not.
    pub fn len(&self) -> usize {
        self.by_place.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many changes there have been since the zone was made: the number of the last one.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// There were `more` changes.
    pub fn count_changes(&mut self, more: usize) {
        self.changes += more as u64;
    }

    /// Entries by type.
    pub fn type_counts(&self) -> &BTreeMap<RecordType, usize> {
        &self.counts
    }

    /// Entries of one type.
    pub fn count_of(&self, rtype: RecordType) -> usize {
        self.counts.get(&rtype).copied().unwrap_or(0)
    }

    /// Every entry: apex first, then owners in canonical order (RFC 4034 §6.1), in each by type, then rdata.
    /// `skipped` of them are left out at no cost.
    pub fn entries_from(&self, skipped: usize) -> impl Iterator<Item = &Arc<Entry>> {
        self.by_place.from(skipped).map(|place| &place.0)
    }

    /// The entries of one type in the same order, `skipped` of them left out at no cost. The apex's come first.
    pub fn of_type_from(&self, rtype: RecordType, skipped: usize) -> impl Iterator<Item = &Arc<Entry>> {
        let first = self.by_type.rank(|item| item.0.rtype.cmp(&rtype));
        let left = self.count_of(rtype).saturating_sub(skipped);
        self.by_type.from(first + skipped).take(left).map(|item| &item.0)
    }

    /// The PTRs of addresses with their address, by address, `skipped` of them left out at no cost.
    pub fn ptrs_from(&self, skipped: usize) -> impl Iterator<Item = (IpAddr, &Arc<Entry>)> {
        self.by_address.from(skipped).map(|item| (item.address, &item.entry))
    }

    /// Number of PTRs of addresses.
    pub fn ptr_count(&self) -> usize {
        self.by_address.len()
    }

    /// The entries of one owner.
    pub fn at<'a>(&'a self, owner: &'a Name) -> impl Iterator<Item = &'a Arc<Entry>> {
        self.by_place.range(|place| place.0.owner.cmp(owner)).map(|place| &place.0)
    }

    /// The entries of one owner and type.
    pub fn rrset<'a>(&'a self, owner: &'a Name, rtype: RecordType) -> impl Iterator<Item = &'a Arc<Entry>> {
        let order = move |place: &ByPlace| place.0.owner.cmp(owner).then_with(|| place.0.rtype.cmp(&rtype));
        self.by_place.range(order).map(|place| &place.0)
    }

    /// The entry with this identity.
    pub fn by_id(&self, id: Uuid) -> Option<&Arc<Entry>> {
        self.by_id.find(|item| item.0.id.cmp(&id)).map(|item| &item.0)
    }

    /// The entry with this number.
    pub fn by_num(&self, num: u64) -> Option<&Arc<Entry>> {
        self.by_num.find(|item| item.0.num.cmp(&num)).map(|item| &item.0)
    }

    /// The largest number of any entry.
    pub fn largest_num(&self) -> Option<u64> {
        self.by_num.from(self.by_num.len().checked_sub(1)?).next().map(|item| item.0.num)
    }

    /// The entry at this place; `rdata` in canonical form.
    pub fn find(&self, owner: &Name, rtype: RecordType, rdata: &[u8]) -> Option<&Arc<Entry>> {
        let order = |place: &ByPlace| place_order(&place.0, owner, rtype, rdata);
        self.by_place.find(order).map(|place| &place.0)
    }

    /// The TTL a client may rely on: the entry's own, or the zone's.
    pub fn ttl_of(&self, entry: &Entry) -> u32 {
        entry.ttl.unwrap_or(self.attributes.default_ttl)
    }

    /// The address an entry is the PTR of, where its owner is a full address of this zone.
    pub fn address_of(&self, entry: &Entry) -> Option<IpAddr> {
        self.prefix?;
        if entry.rtype == RecordType::PTR { reverse::address_at(&entry.owner, &self.apex) } else { None }
    }

    /// An RRset as DNS shows it: the rdata of enabled entries in order, and the lowest of their TTLs (RFC 2181 §5.2).
    pub(super) fn shown(&self, owner: &Name, rtype: RecordType) -> Option<(u32, Vec<Arc<Entry>>)> {
        let enabled: Vec<Arc<Entry>> = self.rrset(owner, rtype).filter(|entry| entry.enabled).cloned().collect();
        Some((enabled.iter().map(|entry| self.ttl_of(entry)).min()?, enabled))
    }

    /// What is served, built anew from the entries.
    pub fn build(&self, key: HashKey) -> Result<Snapshot, Reason> {
        let mut builder = Builder::new(self.apex.clone(), key, Limits::default());
        builder.add(self.soa().borrow())?;
        let entries: Vec<&Arc<Entry>> = self.by_place.iter().map(|place| &place.0).collect();
        for rrset in entries.chunk_by(|a, b| (&a.owner, a.rtype) == (&b.owner, b.rtype)) {
            let enabled = || rrset.iter().filter(|entry| entry.enabled);
            let Some(ttl) = enabled().map(|entry| self.ttl_of(entry)).min() else { continue };
            for entry in enabled() {
                let record = crate::dns::RecordRef {
                    owner: entry.owner.as_wire(),
                    rtype: entry.rtype,
                    ttl,
                    rdata: &entry.rdata,
                };
                builder.add(record)?;
            }
        }
        Ok(builder.finish(None)?.0)
    }

    /// Puts an entry at its place, which is free or its own.
    pub(super) fn put(&mut self, entry: Arc<Entry>) {
        if let Some(old) = self.by_id(entry.id).cloned() {
            self.take(&old);
        }
        *self.counts.entry(entry.rtype).or_default() += 1;
        self.by_place.insert(ByPlace(entry.clone()));
        self.by_type.insert(ByType(entry.clone()));
        self.by_id.insert(ById(entry.clone()));
        if let Some(item) = self.address_of(&entry).map(|address| ByAddress { address, entry: entry.clone() }) {
            self.by_address.insert(item);
        }
        self.by_num.insert(ByNum(entry));
    }

    /// Takes an entry out.
    pub(super) fn take(&mut self, entry: &Arc<Entry>) {
        if self.by_place.remove(&ByPlace(entry.clone())).is_none() {
            return;
        }
        self.by_type.remove(&ByType(entry.clone()));
        self.by_id.remove(&ById(entry.clone()));
        self.by_num.remove(&ByNum(entry.clone()));
        if let Some(item) = self.address_of(entry).map(|address| ByAddress { address, entry: entry.clone() }) {
            self.by_address.remove(&item);
        }
        if let Some(count) = self.counts.get_mut(&entry.rtype) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&entry.rtype);
            }
        }
    }
}

/// The PTR of an address, in the order of addresses, IPv4 first.
#[derive(Clone, Debug)]
struct ByAddress {
    address: IpAddr,
    entry: Arc<Entry>,
}

impl ByAddress {
    fn of(entry: &Arc<Entry>, apex: &Name) -> Option<ByAddress> {
        Some(ByAddress { address: reverse::address_at(&entry.owner, apex)?, entry: entry.clone() })
    }
}

impl PartialEq for ByAddress {
    fn eq(&self, other: &ByAddress) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for ByAddress {}

impl PartialOrd for ByAddress {
    fn partial_cmp(&self, other: &ByAddress) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ByAddress {
    fn cmp(&self, other: &ByAddress) -> Ordering {
        self.address.cmp(&other.address).then_with(|| self.entry.rdata.cmp(&other.entry.rdata))
    }
}

fn place_order(entry: &Entry, owner: &Name, rtype: RecordType, rdata: &[u8]) -> Ordering {
    entry.owner.cmp(owner).then_with(|| entry.rtype.cmp(&rtype)).then_with(|| (*entry.rdata).cmp(rdata))
}

/// An entry on a shelf in one order.
macro_rules! ordered {
    ($name:ident, $order:expr) => {
        #[derive(Clone, Debug)]
        struct $name(Arc<Entry>);

        impl PartialEq for $name {
            fn eq(&self, other: &$name) -> bool {
                self.cmp(other).is_eq()
            }
        }

        impl Eq for $name {}

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &$name) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &$name) -> Ordering {
                let order: fn(&Entry, &Entry) -> Ordering = $order;
                order(&self.0, &other.0)
            }
        }
    };
}

ordered!(ByPlace, |a, b| place_order(a, &b.owner, b.rtype, &b.rdata));
ordered!(ByType, |a, b| a.rtype.cmp(&b.rtype).then_with(|| place_order(a, &b.owner, b.rtype, &b.rdata)));
ordered!(ById, |a, b| a.id.cmp(&b.id));
ordered!(ByNum, |a, b| a.num.cmp(&b.num));
