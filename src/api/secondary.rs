//! Changes of secondary zones as every dialect makes them: done, or tried where the request says `?dryRun=true`.

use std::sync::Arc;

use uuid::Uuid;

use super::Api;
use super::intent::Intent;
use crate::control::handle::{EditError, NewSecondary, SecondaryChange};
use crate::control::status::ZoneView;

/// Makes a zone; a tried one is shown and nowhere else.
pub async fn create(api: &Api, new: NewSecondary) -> Result<Arc<ZoneView>, EditError> {
    match Intent::of_request().dry_run {
        true => api.control().try_create(new).await,
        false => api.control().create(new).await,
    }
}

/// Changes description and primaries.
pub async fn change(api: &Api, zone: Uuid, change: SecondaryChange) -> Result<Arc<ZoneView>, EditError> {
    match Intent::of_request().dry_run {
        true => api.control().try_change(zone, change).await,
        false => api.control().change(zone, change).await,
    }
}

/// Removes a zone with its data.
pub async fn remove(api: &Api, zone: Uuid) -> Result<(), EditError> {
    match Intent::of_request().dry_run {
        true => api.control().try_remove(zone).await,
        false => api.control().remove(zone).await,
    }
}
