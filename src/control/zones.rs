//! The keeper's state of one zone, and how zones come to be at start: from the configuration, from the store, or both.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::access::{Kind, PrimaryAccess, ZoneAccess};
use crate::config::Config;
use crate::dns::{Name, Serial};
use crate::refresh::Refresh;
use crate::served::{Slot, ZoneId};
use crate::time::Timestamp;

use super::definition::{Origin, Primary, ZoneDefinition, configured_uuid};
use super::event::Exchange;
use super::status::{PrimaryStatus, ZoneStatus, ZoneView};

/// Everything the keeper knows of one zone.
pub(super) struct Zone {
    pub(super) definition: Arc<ZoneDefinition>,
    pub(super) view: Arc<ZoneView>,
    pub(super) slot: Arc<Slot>,
    /// When to ask whom.
    pub(super) refresh: Refresh,
    /// Counts the lists of primaries, so that outcomes of an older list are recognised.
    pub(super) epoch: u32,
    /// For when the schedule has the zone.
    pub(super) armed: Option<Timestamp>,
    pub(super) served: Option<Serial>,
    pub(super) stored: Option<Serial>,
    /// What was noticed in the contents served now.
    pub(super) warnings: Vec<String>,
    /// Dropping it cancels the running transfer.
    pub(super) transfer: Option<oneshot::Sender<()>>,
    /// Dropping it ends the running NOTIFYs to downstreams.
    pub(super) announcement: Option<oneshot::Sender<()>>,
    /// Why the served contents are not durable, and when they are written again.
    pub(super) unstored: Option<Unstored>,
    /// When a NOTIFY was last worth a line of the log.
    pub(super) notify_shown: Option<Timestamp>,
}

/// A write of contents that failed.
pub(super) struct Unstored {
    pub(super) detail: String,
    pub(super) again_at: Timestamp,
}

impl Zone {
    /// An exchange with a primary of the list as it is now.
    pub(super) fn exchange(&self, primary: usize) -> Exchange {
        let address = self.definition.primaries[primary].address;
        Exchange { zone: self.definition.id, epoch: self.epoch, primary, address }
    }

    /// The zone as the board shows it.
    pub(super) fn status(&self, generation: u64) -> ZoneStatus {
        let refresh = &self.refresh;
        let shown = refresh.primaries().filter_map(|primary| primary.serial);
        let offered = shown.chain(refresh.announced_serial()).chain(self.served).reduce(newest);
        let storage = self.unstored.as_ref().map(|unstored| format!("not on disk: {}", unstored.detail));
        let timers = refresh.warnings();
        ZoneStatus {
            definition: self.definition.clone(),
            state: refresh.state(),
            generation,
            offered_serial: offered,
            served_serial: self.served,
            stored_serial: self.stored,
            last_refresh: refresh.last_refresh(),
            next_refresh: refresh.next_refresh(),
            expires: refresh.expires(),
            active_primary: refresh.active_primary(),
            primaries: refresh
                .primaries()
                .enumerate()
                .map(|(ix, state)| PrimaryStatus { state: state.clone(), next_attempt: refresh.next_attempt(ix) })
                .collect(),
            warnings: storage
                .into_iter()
                .chain(timers.iter().map(ToString::to_string))
                .chain(self.warnings.iter().cloned())
                .collect(),
        }
    }

    /// Which primary a NOTIFY speaks for: the first with this address (and key, where it has one), whatever the port.
    pub(super) fn primary_at(&self, peer: IpAddr, key: Option<&Name>) -> Option<usize> {
        access(&self.definition).primary_at(peer, key)
    }
}

/// What the store keeps of a definition. Configured zones keep their number only; what they should be stands in the
/// configuration and is read anew at each start.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum StoredDefinition {
    Configured { name: Name },
    Rest(Box<ZoneDefinition>),
}

impl StoredDefinition {
    pub(super) fn of(definition: &ZoneDefinition) -> StoredDefinition {
        match definition.origin {
            Origin::Configured { .. } => StoredDefinition::Configured { name: definition.name.clone() },
            Origin::Rest => StoredDefinition::Rest(Box::new(definition.clone())),
        }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a definition is plain data")
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> serde_json::Result<StoredDefinition> {
        serde_json::from_slice(bytes)
    }
}

/// The definition of a zone of the configuration. `id` is the number it had before, or a new one.
pub(super) fn configured(zone: &crate::config::Zone, id: ZoneId, now: Timestamp) -> ZoneDefinition {
    ZoneDefinition {
        id,
        uuid: configured_uuid(&zone.name),
        name: zone.name.clone(),
        tenant: zone.tenant.to_string(),
        description: String::new(),
        primaries: zone.primaries.iter().map(Primary::from).collect(),
        allow_notify: zone.allow_notify.to_vec(),
        allow_transfer: zone.allow_transfer.to_vec(),
        notify: zone.notify.to_vec(),
        local: None,
        origin: Origin::Configured { file: zone.origin.to_string().into() },
        created: now,
        modified: now,
        created_by: "configuration".to_owned(),
        modified_by: "configuration".to_owned(),
    }
}

/// Who may notify and transfer the zone, for `net`.
pub(super) fn access(definition: &ZoneDefinition) -> ZoneAccess {
    ZoneAccess {
        kind: if definition.local.is_some() { Kind::Local } else { Kind::Secondary },
        primaries: definition
            .primaries
            .iter()
            .map(|p| PrimaryAccess { address: p.address.ip(), key: p.tsig_key.clone() })
            .collect(),
        allow_notify: definition.allow_notify.as_slice().into(),
        allow_transfer: definition.allow_transfer.as_slice().into(),
    }
}

/// The zones of a configuration by name.
pub(super) fn by_name(config: &Config) -> HashMap<&Name, &crate::config::Zone> {
    config.zones.iter().map(|zone| (&zone.name, zone)).collect()
}

fn newest(a: Serial, b: Serial) -> Serial {
    if b.is_newer_than(a) { b } else { a }
}
