//! `/domains/{domain}/records`: listing and searching records of a zone of either kind.
//!
//! Clients stumble over types they do not know, so only the dialect's eight are listed unless another is asked for. A
//! page costs what stands before it where types are left out, and the whole zone where data is searched.

use std::sync::Arc;

use axum::response::Response as Reply;

use super::call::{Call, from_marker, lost, page};
use super::data::data;
use super::shown::{Record, RecordList};
use super::zone::{Zone, record_id_of, shown_record};
use crate::api::fault::Fault;
use crate::api::query::{Page, Params};
use crate::api::transferred;
use crate::dns::{Name, RecordRef, RecordType};
use crate::local::Entry;

/// The types of the dialect.
const KNOWN: [RecordType; 8] = [
    RecordType::A,
    RecordType::AAAA,
    RecordType::CNAME,
    RecordType::MX,
    RecordType::NS,
    RecordType::PTR,
    RecordType::SRV,
    RecordType::TXT,
];
/// Parameters that links keep.
const FILTERS: [&str; 4] = ["type", "name", "data", "allTypes"];

/// GET `/domains/{domain}/records`.
pub(super) async fn list(zone: Zone, call: Call, params: Params) -> Result<Reply, Fault> {
    let (filter, page) = (Filter::read(&params)?, page(&params)?);
    let found = tokio::task::spawn_blocking(move || {
        let page = from_marker(page, &params, |id| filter.place(&zone, id));
        page.map(|page| (filter.select(&zone, page), page, params))
    });
    let ((records, total), page, params) = found.await.map_err(|_| lost("The listing of the records"))??;
    let links = call.links(page, total, &params, &FILTERS);
    Ok(call.ok(&RecordList { total, records, links }))
}

/// The records of a domain, as its details show them.
pub(super) fn of_domain(zone: &Zone, page: Page) -> (Vec<Record>, usize) {
    Filter::default().select(zone, page)
}

/// Which records a list holds.
#[derive(Default)]
struct Filter {
    types: Types,
    owner: Owner,
    data: Option<String>,
}

#[derive(Clone, Copy, Default)]
enum Types {
    #[default]
    Known,
    AllButSoa,
    One(RecordType),
}

#[derive(Default)]
enum Owner {
    #[default]
    Any,
    At(Name),
    /// What is searched for is no name.
    Nowhere,
}

impl Types {
    fn hold(self, rtype: RecordType) -> bool {
        match self {
            Types::Known => KNOWN.contains(&rtype),
            Types::AllButSoa => rtype != RecordType::SOA,
            Types::One(one) => rtype == one && rtype != RecordType::SOA,
        }
    }
}

impl Filter {
    fn read(params: &Params) -> Result<Filter, Fault> {
        let types = match params.single("type")? {
            Some(text) => {
                let rtype = text.to_ascii_uppercase().parse();
                Types::One(rtype.map_err(|_| Fault::bad_parameter("type", "must be a record type such as AAAA"))?)
            }
            None if super::call::flag(params, "allTypes", false)? => Types::AllButSoa,
            None => Types::Known,
        };
        let owner = match params.single("name")?.filter(|text| !text.is_empty()) {
            None => Owner::Any,
            Some(text) => text.parse().map_or(Owner::Nowhere, Owner::At),
        };
        Ok(Filter { types, owner, data: params.single("data")?.filter(|text| !text.is_empty()).map(str::to_owned) })
    }

    fn holds(&self, rtype: RecordType, rdata: &[u8]) -> bool {
        self.types.hold(rtype) && self.data.as_ref().is_none_or(|wanted| data(rtype, rdata).0 == *wanted)
    }

    /// The records of the page, and how many fit in all.
    fn select(&self, zone: &Zone, page: Page) -> (Vec<Record>, usize) {
        if let Some(records) = self.plain(zone, page) {
            return records;
        }
        let mut found = Found { page, records: Vec::new(), total: 0 };
        match (&zone.local, zone.view.snapshot()) {
            (Some(local), _) => {
                for entry in self.entries(zone) {
                    found.take(|| shown_record(entry, local));
                    if self.is_full(&found) {
                        break;
                    }
                }
                if self.counts_alone() {
                    let counts = local.type_counts().iter();
                    found.total = counts.filter(|(rtype, _)| self.types.hold(**rtype)).map(|(_, n)| n).sum();
                }
            }
            (None, Some(snapshot)) => {
                let mut records = match &self.owner {
                    Owner::Any => snapshot.records_canonical(0),
                    Owner::At(owner) => snapshot.records_at(owner),
                    Owner::Nowhere => return (Vec::new(), 0),
                };
                while let Some(record) = records.advance() {
                    if self.holds(record.rtype, record.rdata) {
                        found.take(|| zone.transferred(record));
                        if self.is_full(&found) {
                            break;
                        }
                    }
                }
                if self.counts_alone() {
                    let counts = snapshot.type_counts().iter();
                    found.total = counts.filter(|(rtype, _)| self.types.hold(*rtype)).map(|(_, n)| *n as usize).sum();
                }
            }
            (None, None) => {}
        }
        (found.records, found.total)
    }

    /// The page where every record but the SOA fits, and so is found by its rank.
    fn plain(&self, zone: &Zone, page: Page) -> Option<(Vec<Record>, usize)> {
        if !self.counts_alone() {
            return None;
        }
        match (&zone.local, zone.view.snapshot()) {
            (Some(local), _) if local.type_counts().keys().all(|rtype| self.types.hold(*rtype)) => {
                let on_page = local.entries_from(page.offset).take(page.limit);
                Some((on_page.map(|entry| shown_record(entry, local)).collect(), local.len()))
            }
            (None, Some(snapshot)) => {
                let mut others = snapshot.type_counts().iter().filter(|(rtype, _)| *rtype != RecordType::SOA);
                if !others.all(|(rtype, _)| self.types.hold(*rtype)) {
                    return None;
                }
                // The SOA is the first record of all.
                let mut records = snapshot.records_canonical(page.offset as u64 + 1);
                let mut shown = Vec::new();
                while shown.len() < page.limit
                    && let Some(record) = records.advance()
                {
                    shown.push(zone.transferred(record));
                }
                Some((shown, (snapshot.record_count() - 1) as usize))
            }
            _ => None,
        }
    }

    /// Whether the numbers of records by type say how many fit.
    fn counts_alone(&self) -> bool {
        matches!(self.owner, Owner::Any) && self.data.is_none()
    }

    fn is_full(&self, found: &Found) -> bool {
        self.counts_alone() && found.records.len() == found.page.limit
    }

    /// The entries of a local zone that fit.
    fn entries<'a>(&'a self, zone: &'a Zone) -> impl Iterator<Item = &'a Arc<Entry>> {
        let local = zone.local.iter();
        let entries = local.flat_map(|local| -> Box<dyn Iterator<Item = &'a Arc<Entry>> + 'a> {
            match &self.owner {
                Owner::Any => Box::new(local.entries_from(0)),
                Owner::At(owner) => Box::new(local.at(owner)),
                Owner::Nowhere => Box::new(std::iter::empty()),
            }
        });
        entries.filter(|entry| self.holds(entry.rtype, &entry.rdata))
    }

    /// The index of a record in the list.
    fn place(&self, zone: &Zone, id: &str) -> Option<usize> {
        if zone.local.is_some() {
            return self.entries(zone).position(|entry| record_id_of(entry) == id);
        }
        let snapshot = zone.view.snapshot()?;
        let mut records = snapshot.records_canonical(0);
        let name = |record: RecordRef<'_>| {
            let num = transferred::record_num(transferred::record_id(zone.view.uuid, record));
            format!("{}-{num}", record.rtype)
        };
        let mut index = 0;
        while let Some(record) = records.advance() {
            if self.holds(record.rtype, record.rdata) {
                if name(record) == id {
                    return Some(index);
                }
                index += 1;
            }
        }
        None
    }
}

struct Found {
    page: Page,
    records: Vec<Record>,
    /// Records that fit, on all pages.
    total: usize,
}

impl Found {
    fn take(&mut self, record: impl FnOnce() -> Record) {
        if self.page.holds(self.total) {
            self.records.push(record());
        }
        self.total += 1;
    }
}
