//! What is known of all local zones together: whose record an identity is, where the PTRs are, how much a tenant has.
//!
//! Immutable; the keeper puts a new one on the board with each group of changes. O(log) for what the API asks.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use uuid::Uuid;

use crate::dns::RecordType;
use crate::local::shelf::Shelf;
use crate::local::{Entry, LocalZone};
use crate::served::ZoneId;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct LocalIndex {
    ids: Shelf<Place>,
    tenants: BTreeMap<String, Holdings>,
}

/// What one tenant has.
#[derive(Clone, Debug, Default)]
struct Holdings {
    ptrs: Shelf<PtrPlace>,
    usage: Usage,
}

/// Numbers for quotas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Local zones, reverse ones too.
    pub zones: usize,
    /// Records without PTRs of addresses.
    pub records: usize,
    /// PTRs of addresses.
    pub reverse_records: usize,
}

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    id: Uuid,
    zone: ZoneId,
}

/// Where the PTR of an address is; in the order of addresses, IPv4 first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PtrPlace {
    /// The address.
    pub address: IpAddr,
    /// The zone it stands in.
    pub zone: ZoneId,
    /// The record.
    pub id: Uuid,
}

impl LocalIndex {
    /// The zone that has the record `id`, whoever owns it.
    pub fn zone_of(&self, id: Uuid) -> Option<ZoneId> {
        self.ids.find(|place| place.id.cmp(&id)).map(|place| place.zone)
    }

    /// How many PTRs of addresses a tenant has in local zones.
    pub fn ptr_count(&self, tenant: &str) -> usize {
        self.tenants.get(tenant).map_or(0, |holdings| holdings.ptrs.len())
    }

    /// A tenant's PTRs by address from the `skipped`-th on; a page costs the page.
    pub fn ptrs_from(&self, tenant: &str, skipped: usize) -> impl Iterator<Item = &PtrPlace> {
        self.tenants.get(tenant).into_iter().flat_map(move |holdings| holdings.ptrs.from(skipped))
    }

    /// A tenant's PTRs of one address.
    pub fn ptrs_at(&self, tenant: &str, address: IpAddr) -> impl Iterator<Item = &PtrPlace> {
        let order = move |place: &PtrPlace| -> Ordering { place.address.cmp(&address) };
        self.tenants.get(tenant).into_iter().flat_map(move |holdings| holdings.ptrs.range(order))
    }

    /// What a tenant has.
    pub fn usage(&self, tenant: &str) -> Usage {
        self.tenants.get(tenant).map(|holdings| holdings.usage).unwrap_or_default()
    }

    /// A zone comes with all its entries.
    pub(super) fn add_zone(&mut self, tenant: &str, id: ZoneId, zone: &LocalZone) {
        self.holdings(tenant).usage.zones += 1;
        for entry in zone.entries_from(0) {
            self.add(tenant, id, zone, entry);
        }
    }

    /// The index of all zones, as found at start.
    pub(in crate::control) fn of<'a>(
        zones: impl Iterator<Item = (&'a str, ZoneId, &'a LocalZone)> + Clone,
    ) -> LocalIndex {
        let places = |(_, id, zone): (&'a str, ZoneId, &'a LocalZone)| {
            zone.entries_from(0).map(move |entry| Place { id: entry.id, zone: id })
        };
        let ids = zones.clone().flat_map(places).collect();
        let mut by_tenant: BTreeMap<String, (Usage, Vec<PtrPlace>)> = BTreeMap::new();
        for (tenant, id, zone) in zones {
            let (usage, ptrs) = by_tenant.entry(tenant.to_owned()).or_default();
            let before = ptrs.len();
            ptrs.extend(zone.of_type_from(RecordType::PTR, 0).filter_map(|entry| ptr_place(id, zone, entry)));
            usage.zones += 1;
            usage.reverse_records = ptrs.len();
            usage.records += zone.len() - (ptrs.len() - before);
        }
        let holdings = |(tenant, (usage, ptrs)): (String, (Usage, Vec<PtrPlace>))| {
            (tenant, Holdings { ptrs: ptrs.into_iter().collect(), usage })
        };
        LocalIndex { ids, tenants: by_tenant.into_iter().map(holdings).collect() }
    }

    /// A zone goes with all its entries.
    pub(super) fn remove_zone(&mut self, tenant: &str, id: ZoneId, zone: &LocalZone) {
        self.holdings(tenant).usage.zones -= 1;
        for entry in zone.entries_from(0) {
            self.remove(tenant, id, zone, entry);
        }
    }

    /// Entries of a zone have changed.
    pub(super) fn change(
        &mut self,
        tenant: &str,
        id: ZoneId,
        (old, new): (&LocalZone, &LocalZone),
        written: &BTreeMap<u64, Option<Arc<Entry>>>,
    ) {
        for (num, entry) in written {
            if let Some(before) = old.by_num(*num) {
                self.remove(tenant, id, old, before);
            }
            if let Some(after) = entry {
                self.add(tenant, id, new, after);
            }
        }
    }

    fn holdings(&mut self, tenant: &str) -> &mut Holdings {
        self.tenants.entry(tenant.to_owned()).or_default()
    }

    fn add(&mut self, tenant: &str, id: ZoneId, zone: &LocalZone, entry: &Entry) {
        self.ids.insert(Place { id: entry.id, zone: id });
        let holdings = self.holdings(tenant);
        match ptr_place(id, zone, entry) {
            Some(place) => {
                holdings.ptrs.insert(place);
                holdings.usage.reverse_records += 1;
            }
            None => holdings.usage.records += 1,
        }
    }

    fn remove(&mut self, tenant: &str, id: ZoneId, zone: &LocalZone, entry: &Entry) {
        self.ids.remove(&Place { id: entry.id, zone: id });
        let holdings = self.holdings(tenant);
        match ptr_place(id, zone, entry) {
            Some(place) => {
                holdings.ptrs.remove(&place);
                holdings.usage.reverse_records -= 1;
            }
            None => holdings.usage.records -= 1,
        }
    }
}

fn ptr_place(id: ZoneId, zone: &LocalZone, entry: &Entry) -> Option<PtrPlace> {
    Some(PtrPlace { address: zone.address_of(entry)?, zone: id, id: entry.id })
}
