//! `/secondaryzones/{id}/records`: the transferred records, page by page.
//!
//! Typed clients of this dialect refuse a whole list for one record of a type they do not know, or a TTL out of their
//! bounds. So such types are left out (and counted) unless asked for, and TTLs are shown within the bounds, with the
//! true one beside. A page costs what stands on it; where types are left out amid the zone, or one is asked for, the zone is
//! looked through once for each version of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::collection::{self, Address, Links, id_of_url};
use super::{json, primaries};
use crate::api::Api;
use crate::api::content::content;
use crate::api::fault::{ErrorCode, Fault};
use crate::api::query::{Page, Params};
use crate::api::request::Zone;
use crate::api::selection::{self, Positions, Searched};
use crate::api::serve::Ends;
use crate::api::transferred;
use crate::dns::name::{parse_labels, write_presentation};
use crate::dns::{Name, RecordRef, RecordType};
use crate::zone::Snapshot;

/// Seconds; clients refuse a response with a TTL outside.
pub(super) const TTL_SHOWN: std::ops::RangeInclusive<u32> = 60..=604_800;

/// The types of the specification (but ALIAS, which is no type of DNS); clients refuse a list that holds others.
pub(super) const KNOWN: [RecordType; 19] = [
    RecordType::A,
    RecordType::AAAA,
    RecordType::CNAME,
    RecordType::MX,
    RecordType::NS,
    RecordType::SRV,
    RecordType::TXT,
    RecordType::CAA,
    RecordType::SSHFP,
    RecordType::TLSA,
    RecordType::SMIMEA,
    RecordType::DS,
    RecordType::HTTPS,
    RecordType::SVCB,
    RecordType::OPENPGPKEY,
    RecordType::CERT,
    RecordType::URI,
    RecordType::RP,
    RecordType::LOC,
];

const FILTERS: [&str; 2] = ["filter.name", "filter.type"];

/// GET `/secondaryzones/{id}/records`.
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    zone: Zone,
    ends: Option<Extension<ConnectInfo<Ends>>>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let settings = api.settings();
    let page = collection::page(&params)?;
    let filter = Filter::read(&params, &zone.view.name)?;
    let address = Address {
        base: settings.base_url(&headers, ends.map(|ends| ends.0.0)),
        path: format!("/secondaryzones/{}/records", zone.view.uuid),
        filters: collection::given(&params, &FILTERS)?,
        page,
    };
    let definition = &zone.status.definition;
    let origin =
        Origin { id: zone.view.uuid, name: zone.view.name.clone(), root_name: zone.view.name.without_dot().into() };
    let snapshot = zone.view.snapshot();
    let positions = match &snapshot {
        Some(snapshot) => filter.positions(&api, snapshot, page).await?,
        None => None,
    };
    // Sorting a zone for its first listing is too long for a thread that serves others.
    let found = tokio::task::spawn_blocking(move || {
        snapshot.map(|snapshot| filter.select(&snapshot, &origin, page, positions.as_deref())).unwrap_or_default()
    });
    let found = found.await.map_err(|_| Fault::new(ErrorCode::Internal, "The records could not be listed."))?;
    let href = address.href();
    let body = List {
        id: id_of_url(&href),
        r#type: "collection",
        href,
        metadata: ListMetadata { primary_ips: primaries::spelled(&definition.primaries, settings.primary_port) },
        links: address.links(found.total),
        items: found.items,
        offset: page.offset,
        limit: page.limit,
        total_count: found.total,
        omitted: found.omitted,
    };
    Ok(json(StatusCode::OK, &body))
}

/// Which records a list holds.
struct Filter {
    types: Types,
    owner: Owner,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Types {
    /// Those of the specification.
    Known,
    All,
    One(RecordType),
}

enum Owner {
    Any,
    At(Name),
    /// The filter names what cannot be in the zone.
    Nowhere,
}

impl Types {
    /// `filter.type`.
    pub(super) fn read(params: &Params) -> Result<Types, Fault> {
        Ok(match params.single("filter.type")? {
            None => Types::Known,
            Some("ALL") => Types::All,
            Some(text) => Types::One(text.parse().map_err(|_| {
                Fault::bad_parameter("filter.type", "must be a record type such as AAAA or TYPE65534, or ALL")
            })?),
        })
    }

    pub(super) fn hold(self, rtype: RecordType) -> bool {
        match self {
            Types::Known => KNOWN.contains(&rtype),
            Types::All => true,
            Types::One(one) => rtype == one,
        }
    }
}

impl Filter {
    fn read(params: &Params, apex: &Name) -> Result<Filter, Fault> {
        let types = Types::read(params)?;
        let owner = params.single("filter.name")?.map_or(Owner::Any, |text| owner(text, apex));
        Ok(Filter { types, owner })
    }

    /// Where the records that fit stand, unless that follows from the page alone. Found once for each version and type.
    async fn positions(
        &self,
        api: &Arc<Api>,
        snapshot: &Arc<Snapshot>,
        page: Page,
    ) -> Result<Option<Positions>, Fault> {
        let mut found = Found::default();
        self.count(snapshot, &mut found);
        let is_plain = !matches!(self.owner, Owner::Any) || self.skipped(snapshot, found.total).is_some();
        if is_plain || page.offset >= found.total {
            return Ok(None);
        }
        let (types, looked_at) = (self.types, snapshot.clone());
        let look = move || selection::ranks(&looked_at, |record| types.hold(record.rtype));
        let searched = Searched::Transferred(Arc::downgrade(snapshot));
        selection::find(api, searched, format!("types {types:?}"), look).await.map(Some)
    }

    fn select(&self, snapshot: &Snapshot, origin: &Origin, page: Page, positions: Option<&[u32]>) -> Found {
        let mut found = Found::default();
        match &self.owner {
            Owner::Nowhere => {}
            Owner::At(owner) => {
                let mut records = snapshot.records_at(owner);
                while let Some(record) = records.advance() {
                    if self.types.hold(record.rtype) {
                        if page.holds(found.total) {
                            found.items.push(origin.item(record));
                        }
                        found.total += 1;
                    } else if matches!(self.types, Types::Known) {
                        *found.omitted.entry(Type(record.rtype)).or_default() += 1;
                    }
                }
            }
            Owner::Any => {
                self.count(snapshot, &mut found);
                match positions {
                    Some(positions) => {
                        let on_page = positions.get(page.offset..).unwrap_or_default();
                        let on_page = &on_page[..on_page.len().min(page.limit)];
                        selection::records(snapshot, on_page, |record| found.items.push(origin.item(record)));
                    }
                    None => self.page(snapshot, origin, page, &mut found),
                }
            }
        }
        found
    }

    /// What the whole zone has, without looking at its records.
    fn count(&self, snapshot: &Snapshot, found: &mut Found) {
        for &(rtype, records) in snapshot.type_counts() {
            if self.types.hold(rtype) {
                found.total += records as usize;
            } else if matches!(self.types, Types::Known) {
                found.omitted.insert(Type(rtype), records.into());
            }
        }
    }

    fn page(&self, snapshot: &Snapshot, origin: &Origin, page: Page, found: &mut Found) {
        let Some(skipped) = self.skipped(snapshot, found.total) else { return };
        let left = found.total.saturating_sub(page.offset).min(page.limit);
        let mut records = snapshot.records_canonical(skipped + page.offset as u64);
        while found.items.len() < left
            && let Some(record) = records.advance()
        {
            found.items.push(origin.item(record));
        }
    }

    /// How many records stand before those that fit; `None` if others stand among them.
    fn skipped(&self, snapshot: &Snapshot, total: usize) -> Option<u64> {
        match snapshot.record_count() - total as u64 {
            0 => Some(0),
            // The SOA is the first record of all.
            1 if !self.types.hold(RecordType::SOA) => Some(1),
            _ => None,
        }
    }
}

/// The owner a filter names: relative to the zone, or absolute with a final dot; empty or `@` is the apex.
fn owner(text: &str, apex: &Name) -> Owner {
    if text.is_empty() || text == "@" {
        return Owner::At(apex.clone());
    }
    let mut wire = Vec::new();
    let name = match parse_labels(text.as_bytes(), &mut wire) {
        Ok(true) => text.parse().ok(),
        Ok(false) => Name::from_relative(&wire, apex).ok(),
        Err(_) => None,
    };
    name.filter(|name| name.is_at_or_below(apex)).map_or(Owner::Nowhere, Owner::At)
}

/// What a list is made of.
#[derive(Default)]
struct Found {
    items: Vec<Item>,
    /// Records that fit, on all pages.
    total: usize,
    omitted: BTreeMap<Type, u64>,
}

/// A type by its mnemonic, in the order of the numbers.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Type(pub(super) RecordType);

impl Serialize for Type {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&self.0)
    }
}

#[derive(Serialize)]
struct List {
    id: Uuid,
    r#type: &'static str,
    href: String,
    metadata: ListMetadata,
    items: Vec<Item>,
    offset: usize,
    limit: usize,
    #[serde(rename = "_links")]
    links: Links,
    #[serde(rename = "totalCount")]
    total_count: usize,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    omitted: BTreeMap<Type, u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListMetadata {
    primary_ips: Vec<String>,
}

#[derive(Serialize)]
struct Item {
    r#type: &'static str,
    metadata: Metadata,
    properties: Properties,
    id: Uuid,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    fqdn: String,
    zone_id: Uuid,
    root_name: Arc<str>,
    /// The true TTL where another is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<u32>,
}

#[derive(Serialize)]
struct Properties {
    content: String,
    enabled: bool,
    name: String,
    priority: u16,
    ttl: u32,
    r#type: Type,
}

/// The zone the items of a list belong to.
struct Origin {
    id: Uuid,
    name: Name,
    root_name: Arc<str>,
}

impl Origin {
    fn item(&self, record: RecordRef<'_>) -> Item {
        let (content, priority) = content(record.rtype, record.rdata);
        let shown = record.ttl.clamp(*TTL_SHOWN.start(), *TTL_SHOWN.end());
        Item {
            r#type: "record",
            metadata: Metadata {
                fqdn: text(record.owner),
                zone_id: self.id,
                root_name: self.root_name.clone(),
                ttl: (shown != record.ttl).then_some(record.ttl),
            },
            properties: Properties {
                content,
                enabled: true,
                name: self.relative(record.owner),
                priority,
                ttl: shown,
                r#type: Type(record.rtype),
            },
            id: transferred::record_id(self.id, record),
        }
    }

    /// Owner relative to the apex; empty for the apex.
    fn relative(&self, owner: &[u8]) -> String {
        let labels = owner.len() - self.name.as_wire().len();
        if labels == 0 { String::new() } else { text(&[&owner[..labels], &[0]].concat()) }
    }
}

/// A name without its final dot.
pub(in crate::api) fn text(wire: &[u8]) -> String {
    let mut text = String::with_capacity(wire.len() + 1);
    let _ = write_presentation(wire, &mut text); // writing into a String cannot fail
    if text.len() > 1 {
        text.pop();
    }
    text
}
