//! The zone in the path, of either kind; its records under the names of this dialect.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::data::data;
use super::shown::{self, Date, NameServer};
use crate::api::auth::Caller;
use crate::api::fault::{ErrorCode, Fault};
use crate::api::request::segment;
use crate::api::transferred::{is_edited_elsewhere, record_id, record_num};
use crate::api::{Api, local};
use crate::control::definition::{PRIMARY_PORT, ZoneDefinition};
use crate::control::local::{LocalRefused, Step, StepOutcome};
use crate::control::roster::Kind;
use crate::control::status::{ZoneStatus, ZoneView};
use crate::dns::{Name, RecordRef, RecordType};
use crate::local::{Edit, Entry, LocalZone, email_of};
use crate::served::ZoneId;

/// A zone of the caller as it stood when the request came.
#[derive(Clone, Debug)]
pub(super) struct Zone {
    pub(super) view: Arc<ZoneView>,
    pub(super) status: Arc<ZoneStatus>,
    pub(super) local: Option<Arc<LocalZone>>,
}

impl Zone {
    /// What stands at this place of the board, if it is the caller's.
    pub(super) fn of(view: Arc<ZoneView>, caller: &Caller) -> Option<Zone> {
        let (status, local) = (view.status(), view.local());
        (*status.definition.tenant == *caller.tenant).then_some(Zone { view, status, local })
    }

    /// The zone with this number.
    pub(super) fn find(api: &Api, caller: &Caller, id: &str) -> Option<Zone> {
        let number: u32 = id.parse().ok().filter(|number: &u32| number.to_string() == id)?;
        Zone::of(api.control().board().by_number(ZoneId(number))?, caller)
    }

    /// The caller's of which this holds, in the order of their names. O(the caller's zones).
    pub(super) fn all(api: &Api, caller: &Caller, fits: impl Fn(&Name) -> bool) -> Vec<Zone> {
        let zones = api.control().board().zones(&caller.tenant, Kind::Any);
        let fitting = zones.iter().filter(|zone| fits(&zone.0.name));
        fitting.filter_map(|zone| Zone::of(zone.0.clone(), caller)).collect()
    }

    /// The caller's other zones below this one. O(log zones + those).
    pub(super) fn subdomains(&self, api: &Api, caller: &Caller) -> Vec<Zone> {
        let apex = &self.view.name;
        let zones = api.control().board().zones(&caller.tenant, Kind::Any);
        // In canonical order they stand right behind it.
        let below = zones.from(zones.rank(|zone| zone.0.name.cmp(apex)));
        let below = below.take_while(|zone| zone.0.name.is_at_or_below(apex)).filter(|zone| zone.0.name != *apex);
        below.filter_map(|zone| Zone::of(zone.0.clone(), caller)).collect()
    }

    pub(super) fn definition(&self) -> &ZoneDefinition {
        &self.status.definition
    }

    /// Its contents, if they are edited here; else why not.
    pub(super) fn managed(&self) -> Result<&Arc<LocalZone>, Fault> {
        self.local.as_ref().ok_or_else(|| {
            let text = is_edited_elsewhere(self.definition(), PRIMARY_PORT);
            Fault::new(ErrorCode::ZoneTransferred, format!("{text}."))
        })
    }

    /// Edits of its records, in one step.
    pub(super) async fn edit(&self, api: &Api, caller: &Caller, edits: Vec<Edit>) -> Result<StepOutcome, LocalRefused> {
        local::step(api, caller, Step::Edit { zone: self.view.uuid, description: None, edits }, false).await
    }

    /// The record with this identity of the dialect, if the zone is edited here.
    pub(super) fn entry(&self, id: &str) -> Option<&Arc<Entry>> {
        let (rtype, num) = read_record_id(id)?;
        self.local.as_ref()?.by_num(num).filter(|entry| entry.rtype == rtype)
    }

    /// As lists show it.
    pub(super) fn shown(&self) -> shown::Domain {
        let definition = self.definition();
        match &self.local {
            Some(zone) => shown_local(definition, zone),
            None => {
                let soa = self.view.snapshot().map(|snapshot| snapshot.soa().clone());
                shown::Domain {
                    kind: Some("secondary".to_owned()),
                    transfer_state: serde_json::to_value(self.status.state)
                        .ok()
                        .and_then(|state| state.as_str().map(str::to_owned)),
                    ..shown_domain(
                        definition,
                        soa.as_ref().map_or(crate::local::Attributes::DEFAULT_TTL, |soa| soa.ttl),
                        soa.map(|soa| email_of(&soa.rname())).unwrap_or_default(),
                    )
                }
            }
        }
    }

    /// The NS of the apex.
    pub(super) fn nameservers(&self) -> Vec<NameServer> {
        let apex = &self.view.name;
        match (&self.local, self.view.snapshot()) {
            (Some(zone), _) => nameservers_of(zone),
            (None, Some(snapshot)) => {
                let (mut names, mut records) = (Vec::new(), snapshot.records_at(apex));
                while let Some(record) = records.advance() {
                    if record.rtype == RecordType::NS {
                        names.push(NameServer { name: data(record.rtype, record.rdata).0 });
                    }
                }
                names
            }
            (None, None) => Vec::new(),
        }
    }

    /// A record without an identity of its own.
    pub(super) fn transferred(&self, record: RecordRef<'_>) -> shown::Record {
        let (data, priority) = data(record.rtype, record.rdata);
        let definition = self.definition();
        shown::Record {
            name: Name::from_wire(record.owner).map(|name| name.without_dot()).unwrap_or_default(),
            priority,
            id: format!("{}-{}", record.rtype, record_num(record_id(self.view.uuid, record))),
            r#type: record.rtype.to_string(),
            comment: None,
            data,
            updated: Date(definition.modified),
            ttl: record.ttl,
            created: Date(definition.created),
            enabled: None,
        }
    }
}

/// A local zone as lists show it.
pub(super) fn shown_local(definition: &ZoneDefinition, zone: &LocalZone) -> shown::Domain {
    let attributes = zone.attributes();
    shown_domain(definition, attributes.default_ttl, email_of(&attributes.rname))
}

pub(super) fn nameservers_of(zone: &LocalZone) -> Vec<NameServer> {
    let of_apex = zone.rrset(zone.apex(), RecordType::NS);
    of_apex.map(|entry| NameServer { name: data(entry.rtype, &entry.rdata).0 }).collect()
}

fn shown_domain(definition: &ZoneDefinition, ttl: u32, email: String) -> shown::Domain {
    shown::Domain {
        id: definition.id.0.to_string(),
        account: definition.tenant.to_string(),
        name: definition.name.without_dot(),
        comment: Some(definition.description.clone()).filter(|text| !text.is_empty()),
        updated: Date(definition.modified),
        created: Date(definition.created),
        ttl,
        email,
        nameservers: None,
        records: None,
        subdomains: None,
        kind: None,
        transfer_state: None,
    }
}

/// A record of a local zone.
pub(super) fn shown_record(entry: &Entry, zone: &LocalZone) -> shown::Record {
    let (data, priority) = data(entry.rtype, &entry.rdata);
    shown::Record {
        name: entry.owner.without_dot(),
        priority,
        id: record_id_of(entry),
        r#type: entry.rtype.to_string(),
        comment: Some(entry.text.clone()).filter(|text| !text.is_empty()),
        data,
        updated: Date(entry.modified),
        ttl: zone.ttl_of(entry),
        created: Date(entry.created),
        enabled: (!entry.enabled).then_some(false),
    }
}

/// `A-1000042`.
pub(super) fn record_id_of(entry: &Entry) -> String {
    format!("{}-{}", entry.rtype, entry.num)
}

/// Type and number of an identity.
pub(super) fn read_record_id(id: &str) -> Option<(RecordType, u64)> {
    let (rtype, num) = id.rsplit_once('-')?;
    let num: u64 = num.parse().ok().filter(|n: &u64| n.to_string() == num)?;
    Some((rtype.parse().ok()?, num))
}

impl FromRequestParts<Arc<Api>> for Zone {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Zone, Fault> {
        let caller = Caller::from_request_parts(parts, api).await?;
        let id = segment(parts, api, "domain").await;
        Zone::find(api, &caller, &id).ok_or_else(domain_not_found)
    }
}

pub(super) fn domain_not_found() -> Fault {
    Fault::new(ErrorCode::ZoneNotFound, "There is no domain with this id.")
}

pub(super) fn record_not_found(id: &str) -> Fault {
    Fault::new(ErrorCode::RecordNotFound, format!("The record with ID {id} was not found."))
}

/// The record in the path.
pub(super) struct RecordId(pub(super) String);

impl FromRequestParts<Arc<Api>> for RecordId {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<RecordId, Self::Rejection> {
        Ok(RecordId(segment(parts, api, "item").await))
    }
}

/// Which record of a transferred zone an identity means; O(records of the zone).
pub(super) fn find_transferred(zone: &Zone, id: &str) -> Option<shown::Record> {
    let (rtype, num) = read_record_id(id)?;
    let snapshot = zone.view.snapshot()?;
    let mut records = snapshot.records_from(0);
    while let Some(record) = records.advance() {
        if record.rtype == rtype && record_num(record_id(zone.view.uuid, record)) == num {
            return Some(zone.transferred(record));
        }
    }
    None
}
