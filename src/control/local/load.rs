//! Local zones at start: entries become zones again, and the stored contents are served if they belong to them.

use std::sync::Arc;

use crate::control::definition::ZoneDefinition;
use crate::dns::Serial;
use crate::local::{Entry, LocalZone};
use crate::store::{Contents, StoredZone};
use crate::zone::{HashKey, Snapshot};

/// What is stored under number 0, beside the entries: enough to notice that one is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    serial: Serial,
    entries: u64,
    /// See [`LocalZone::changes`].
    changes: u64,
}

impl Head {
    pub(super) fn of(zone: &LocalZone) -> Head {
        Head { serial: zone.serial(), entries: zone.len() as u64, changes: zone.changes() }
    }

    /// The zone with these entries, if they are all.
    pub(super) fn zone(self, definition: &ZoneDefinition, entries: Vec<Arc<Entry>>) -> Option<LocalZone> {
        let attributes = definition.local.as_deref().cloned()?;
        let is_whole = self.entries == entries.len() as u64;
        let zone =
            || LocalZone::new(definition.name.clone(), attributes, self.serial, entries).with_changes(self.changes);
        is_whole.then(zone)
    }

    /// Serial, number of entries, number of changes, big endian.
    pub(super) fn to_bytes(self) -> Vec<u8> {
        [&self.serial.0.to_be_bytes()[..], &self.entries.to_be_bytes(), &self.changes.to_be_bytes()].concat()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Head> {
        let (serial, rest) = bytes.split_first_chunk::<4>()?;
        let (entries, changes) = rest.split_first_chunk::<8>()?;
        // Zones that were stored before changes were counted have no such number.
        let changes = if changes.is_empty() { [0; 8] } else { changes.try_into().ok()? };
        Some(Head {
            serial: Serial(u32::from_be_bytes(*serial)),
            entries: u64::from_be_bytes(*entries),
            changes: u64::from_be_bytes(changes),
        })
    }
}

/// A local zone as it was found.
pub(in crate::control) struct Found {
    pub(in crate::control) definition: ZoneDefinition,
    /// The zone with what is served of it; or what is damaged, and then the stored octets are left alone.
    pub(in crate::control) zone: Result<(LocalZone, Arc<Snapshot>), String>,
    /// The stored contents did not belong to the entries, so those served have to be written.
    pub(in crate::control) is_rebuilt: bool,
}

/// Reads a stored zone whose definition says that it is local.
pub(in crate::control) fn read(definition: ZoneDefinition, stored: StoredZone, key: HashKey) -> Found {
    let (zone, is_rebuilt) = match zone_of(&definition, &stored) {
        Err(why) => (Err(why), false),
        Ok(zone) => match stored.contents {
            // One batch wrote both, so the same serial means the same contents.
            Contents::Loaded { snapshot } if snapshot.serial() == zone.serial() => (Ok((zone, snapshot)), false),
            _ => (zone.build(key).map(|built| (zone, Arc::new(built))).map_err(|reason| reason.to_string()), true),
        },
    };
    Found { definition, zone, is_rebuilt }
}

fn zone_of(definition: &ZoneDefinition, stored: &StoredZone) -> Result<LocalZone, String> {
    if let Some(damage) = stored.damaged.first() {
        return Err(damage.clone());
    }
    if definition.local.is_none() {
        return Err("the definition is of a secondary zone".to_owned());
    }
    let mut entries = Vec::with_capacity(stored.entries.len());
    let mut head = None;
    for (number, bytes) in &stored.entries {
        if *number == 0 {
            head = Head::from_bytes(bytes);
            continue;
        }
        let entry = Entry::from_bytes(bytes).map_err(|error| format!("entry {number} cannot be read: {error}"))?;
        entries.push(Arc::new(entry));
    }
    let head = head.ok_or("the number of entries is not known")?;
    let there = entries.len();
    head.zone(definition, entries).ok_or_else(|| format!("{there} of {} entries are there", head.entries))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_survives_being_stored() {
        let head = Head { serial: Serial(2_026_112_101), entries: 1 << 40, changes: 7 };
        assert_eq!(Head::from_bytes(&head.to_bytes()), Some(head));
        let uncounted = Head { changes: 0, ..head };
        assert_eq!(Head::from_bytes(&head.to_bytes()[..12]), Some(uncounted));
        assert_eq!(Head::from_bytes(&[0; 11]), None);
        assert_eq!(Head::from_bytes(&[0; 13]), None);
        assert_eq!(Head::from_bytes(&[0; 21]), None);
    }
}
