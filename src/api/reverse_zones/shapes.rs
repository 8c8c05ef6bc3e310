//! Domains and records as this dialect shows them.

use std::net::IpAddr;

use jiff::Timestamp as Moment;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Domain, ids};
use crate::api::settings::Settings;
use crate::api::transferred;
use crate::control::definition::ZoneDefinition;
use crate::dns::{Name, RecordRef, RecordType, presentation};
use crate::local::Entry;
use crate::refresh::ZoneState;
use crate::reverse;
use crate::time::Timestamp;
use crate::zone::Soa;

/// `2026-04-01T10:00:00Z`.
pub(super) struct Date(pub(super) Timestamp);

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let moment = Moment::from_second(self.0.as_secs() as i64).unwrap_or(Moment::UNIX_EPOCH);
        s.collect_str(&moment)
    }
}

#[derive(Serialize)]
pub(super) struct Shown {
    id: String,
    name: String,
    domain_type: &'static str,
    status: &'static str,
    default_ttl: u32,
    description: String,
    dnssec_enabled: bool,
    created_at: Date,
    updated_at: Date,
    #[serde(skip_serializing_if = "Option::is_none")]
    cidr: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Detail {
    #[serde(flatten)]
    shown: Shown,
    settings: Value,
    tenant_id: String,
    nameservers: Vec<String>,
    soa: Option<SoaShown>,
    record_count: usize,
}

#[derive(Serialize)]
struct SoaShown {
    mname: String,
    rname: String,
    serial: u32,
    refresh: u32,
    retry: u32,
    expire: u32,
    minimum: u32,
}

impl Domain {
    /// `primary`, `secondary`, `reverse_ipv4` or `reverse_ipv6`.
    pub(super) fn kind(&self) -> &'static str {
        kind(&self.status.definition)
    }

    /// `active` or `inactive`.
    pub(super) fn state(&self) -> &'static str {
        let is_active = match &self.status.definition.local {
            Some(attributes) => attributes.enabled,
            None => self.status.state == ZoneState::Available,
        };
        if is_active { "active" } else { "inactive" }
    }

    pub(super) fn shown(&self) -> Shown {
        let definition = &self.status.definition;
        let snapshot_ttl = || self.view.snapshot().map(|snapshot| snapshot.soa().ttl);
        let ttl = definition.local.as_ref().map(|attributes| attributes.default_ttl).or_else(snapshot_ttl);
        Shown {
            id: ids::text('d', definition.uuid),
            name: definition.name.without_dot(),
            domain_type: self.kind(),
            status: self.state(),
            default_ttl: ttl.unwrap_or(3600),
            description: definition.description.clone(),
            dnssec_enabled: false,
            created_at: Date(definition.created),
            updated_at: Date(definition.modified),
            cidr: reverse::prefix_of(&definition.name).map(|prefix| prefix.to_string()),
        }
    }

    pub(super) fn detail(&self, settings: &Settings) -> Detail {
        let definition = &self.status.definition;
        let snapshot = self.view.snapshot();
        let apex_ns = |rdata: &[u8]| Name::from_wire(rdata).map(|name| name.without_dot()).ok();
        let (soa, nameservers, record_count) = match (&self.local, &snapshot) {
            (Some(zone), _) => {
                let soa = zone.soa();
                let of_apex = zone.rrset(zone.apex(), RecordType::NS).filter_map(|entry| apex_ns(&entry.rdata));
                (Soa::parse(soa.ttl, &soa.rdata), of_apex.collect(), zone.len())
            }
            (None, Some(snapshot)) => {
                let (mut names, mut records) = (Vec::new(), snapshot.records_at(&definition.name));
                while let Some(record) = records.advance() {
                    names.extend((record.rtype == RecordType::NS).then(|| apex_ns(record.rdata)).flatten());
                }
                (Some(snapshot.soa().clone()), names, snapshot.record_count() as usize)
            }
            (None, None) => (None, settings.secondary_nameservers.clone(), 0),
        };
        let transfer = || {
            let primaries = definition.primaries.iter().map(|primary| primary.spelled(settings.primary_port));
            json!({"primaries": primaries.collect::<Vec<_>>(), "transfer_state": self.status.state})
        };
        Detail {
            shown: self.shown(),
            settings: if definition.local.is_some() { json!({}) } else { transfer() },
            tenant_id: definition.tenant.to_string(),
            nameservers,
            soa: soa.map(|soa| SoaShown {
                mname: soa.mname().without_dot(),
                rname: soa.rname().without_dot(),
                serial: soa.serial.0,
                refresh: soa.refresh,
                retry: soa.retry,
                expire: soa.expire,
                minimum: soa.minimum,
            }),
            record_count,
        }
    }
}

impl Detail {
    /// As the reply to the POST that made it says.
    pub(super) fn pending(mut self) -> Detail {
        self.shown.status = "pending_validation";
        self
    }
}

/// A zone that is transferred is `secondary`, whatever its name.
pub(super) fn kind(definition: &ZoneDefinition) -> &'static str {
    match (&definition.local, reverse::prefix_of(&definition.name)) {
        (None, _) => "secondary",
        (Some(_), None) => "primary",
        (Some(_), Some(ipnet::IpNet::V4(_))) => "reverse_ipv4",
        (Some(_), Some(ipnet::IpNet::V6(_))) => "reverse_ipv6",
    }
}

#[derive(Serialize)]
pub(super) struct Record {
    id: String,
    name: String,
    display_name: String,
    r#type: String,
    content: String,
    ttl: u32,
    disabled: bool,
    domain_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<Date>,
}

impl Record {
    pub(super) fn of(entry: &Entry, domain: &Domain) -> Record {
        let ttl = domain.local.as_ref().map_or(0, |zone| zone.ttl_of(entry));
        let record = RecordRef { owner: entry.owner.as_wire(), rtype: entry.rtype, ttl, rdata: &entry.rdata };
        Record {
            id: ids::text('r', entry.id),
            disabled: !entry.enabled,
            created_at: Some(Date(entry.created)),
            ..Record::transferred(record, domain)
        }
    }

    /// A record without an identity of its own; the one it is given stays as long as the record does.
    pub(super) fn transferred(record: RecordRef<'_>, domain: &Domain) -> Record {
        let apex = &domain.view.name;
        let owner = Name::from_wire(record.owner).map(|name| name.without_dot()).unwrap_or_default();
        let display_name = match owner.strip_suffix(&apex.without_dot()) {
            Some("") => "@".to_owned(),
            Some(labels) => labels.trim_end_matches('.').to_owned(),
            None => owner.clone(),
        };
        Record {
            id: ids::text('r', transferred::record_id(domain.view.uuid, record)),
            name: owner,
            display_name,
            r#type: record.rtype.to_string(),
            content: presentation::rdata_text(record.rtype, record.rdata),
            ttl: record.ttl,
            disabled: false,
            domain_id: ids::text('d', domain.view.uuid),
            created_at: None,
        }
    }
}

#[derive(Clone, Serialize)]
pub(super) struct Ptr {
    id: String,
    pub(super) ip: IpAddr,
    pub(super) hostname: String,
    ttl: u32,
    domain_id: String,
}

impl Ptr {
    pub(super) fn of(id: Uuid, ip: IpAddr, rdata: &[u8], ttl: u32, zone: Uuid) -> Ptr {
        Ptr { id: ids::text('r', id), ip, hostname: host(rdata), ttl, domain_id: ids::text('d', zone) }
    }
}

/// With its final dot.
pub(super) fn host(rdata: &[u8]) -> String {
    Name::from_wire(rdata).map(|name| name.to_string()).unwrap_or_default()
}
