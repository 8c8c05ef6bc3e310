//! Transferred records have no identity of their own; the one they are given here stays the same as long as the record does,
//! and is the same in every dialect.

use uuid::Uuid;

use crate::control::definition::{ZoneDefinition, uuid_of};
use crate::dns::RecordRef;

/// v5 of the zone's and of owner, type and rdata.
pub fn record_id(zone: Uuid, record: RecordRef<'_>) -> Uuid {
    uuid_of(&zone, &[record.owner, &record.rtype.0.to_be_bytes(), record.rdata].concat())
}

/// The number that stands for such an identity: its first 53 bits, which every reader of JSON can hold.
pub fn record_num(id: Uuid) -> u64 {
    (id.as_u128() >> 75) as u64
}

/// Why a transferred zone cannot be edited here, and where it can.
pub fn is_edited_elsewhere(definition: &ZoneDefinition, primary_port: u16) -> String {
    let primaries: Vec<String> = definition.primaries.iter().map(|primary| primary.spelled(primary_port)).collect();
    format!("{} is transferred from {} and is edited there", definition.name.without_dot(), primaries.join(", "))
}
