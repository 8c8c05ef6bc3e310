//! The `metadata` of zones and reverse records: who made them, when, and where they stand.

use serde::Serialize;
use uuid::Uuid;

use super::Date;
use super::collection::id_of_url;
use crate::control::definition::ZoneDefinition;
use crate::refresh::ZoneState;
use crate::time::Timestamp;

/// Of a zone of either kind.
#[derive(Serialize)]
pub(super) struct Metadata {
    #[serde(flatten)]
    authors: Authors,
    state: ZoneState,
    nameservers: Vec<String>,
    /// The file of a zone that REST cannot change.
    #[serde(rename = "configuredIn", skip_serializing_if = "Option::is_none")]
    configured_in: Option<String>,
}

impl Metadata {
    /// `path` without the first slash.
    pub(super) fn of(definition: &ZoneDefinition, path: &str, state: ZoneState, nameservers: Vec<String>) -> Metadata {
        Metadata {
            authors: Authors::of(definition, path, (definition.created, definition.modified)),
            state,
            nameservers,
            configured_in: definition.origin.place(),
        }
    }
}

/// Who and when; all there is of reverse records.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Authors {
    created_date: Date,
    created_by: String,
    created_by_user_id: Uuid,
    last_modified_date: Date,
    last_modified_by: String,
    last_modified_by_user_id: Uuid,
    #[serde(rename = "resourceURN")]
    resource_urn: String,
}

impl Authors {
    /// The users are those of the zone: records do not keep theirs.
    pub(super) fn of(definition: &ZoneDefinition, path: &str, (created, modified): (Timestamp, Timestamp)) -> Authors {
        let user_urn = |user: &str| format!("secondaryd:{}:users/{user}", definition.tenant);
        let (created_by, modified_by) = (user_urn(&definition.created_by), user_urn(&definition.modified_by));
        Authors {
            created_date: Date(created),
            created_by_user_id: id_of_url(&created_by),
            created_by,
            last_modified_date: Date(modified),
            last_modified_by_user_id: id_of_url(&modified_by),
            last_modified_by: modified_by,
            resource_urn: format!("secondaryd:dns:{}:{path}", definition.tenant),
        }
    }
}
