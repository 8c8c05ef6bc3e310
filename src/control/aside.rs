//! Zones from REST whose names stand in the configuration now: the configuration wins, they are kept, and come back at the reload
//! that drops the name.
//!
//! In: from `edits` what a reload displaces, from `load` what a start finds displaced. Out: the same to `edits`, when the name is
//! free again. Their definitions and entries stay in the store all the time, under their own numbers.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::definition::ZoneDefinition;
use super::keeper::Keeper;
use crate::dns::Name;
use crate::local::LocalZone;
use crate::served::ZoneId;
use crate::zone::Snapshot;

/// Zones that are kept aside, by name.
pub(super) type Aside = HashMap<Name, Displaced>;

/// A zone that is kept aside.
pub(super) enum Displaced {
    /// A secondary zone: it is transferred again when it comes back.
    Secondary(Box<ZoneDefinition>),
    /// A local zone with what is served of it.
    Local(Arc<ZoneDefinition>, Arc<LocalZone>, Arc<Snapshot>),
}

impl Displaced {
    /// Its number.
    pub(super) fn id(&self) -> ZoneId {
        self.definition().id
    }

    fn definition(&self) -> &ZoneDefinition {
        match self {
            Displaced::Secondary(definition) => definition,
            Displaced::Local(definition, ..) => definition,
        }
    }
}

impl Keeper {
    /// Whether a zone that is kept aside has this identity, and will have it again.
    pub(super) fn is_id_aside(&self, uuid: Uuid) -> bool {
        self.aside.values().any(|displaced| displaced.definition().uuid == uuid)
    }

    /// Brings a zone back whose name the configuration has dropped; the number of a secondary zone, whose machine has not been
    /// looked at yet.
    pub(super) fn bring_back(&mut self, name: &Name) -> Option<ZoneId> {
        let displaced = self.aside.remove(name)?;
        tracing::info!(zone = %name, op = "create", "the configuration no longer has this zone; the one made by REST is there again");
        match displaced {
            Displaced::Secondary(definition) => {
                let id = definition.id;
                self.add_zones(vec![*definition]);
                Some(id)
            }
            Displaced::Local(definition, zone, snapshot) => {
                self.add_local_zones(vec![(definition, zone, snapshot)]);
                None
            }
        }
    }
}
