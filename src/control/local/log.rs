//! The log of what was changed of each local zone, whichever dialect asked: written with the change, in the same batch.
//!
//! One entry a zone and write. Kept are the last [`LOG_CHANGES_MAX`] changes of a zone (and what stands in one entry with
//! the first of them), shown those of [`KEPT_FOR`].

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::control::definition::ZoneDefinition;
use crate::local::{Change, Face};
use crate::store::{Logged, Store, StoreError};
use crate::time::Timestamp;

/// Changes of a zone that are kept.
pub const LOG_CHANGES_MAX: u64 = 10_000;
/// How long changes are shown.
pub const KEPT_FOR: Duration = Duration::from_secs(30 * 24 * 3600);
/// Octets of one entry; of a request that changed more the first changes are left out.
const ENTRY_OCTETS_MAX: usize = 4 << 20;

/// What one request has changed of a zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// When.
    pub at: Timestamp,
    /// User of the credential.
    pub by: String,
    /// In order.
    pub changes: Vec<Change>,
}

/// What is told of a local zone as a whole.
pub(super) fn face(definition: &ZoneDefinition) -> Option<Face> {
    let attributes = definition.local.as_ref()?;
    Some(Face {
        default_ttl: attributes.default_ttl,
        rname: attributes.rname.clone(),
        text: definition.description.clone(),
    })
}

/// The entry for what a group's requests have changed; `last` is the number of the last change.
pub(super) fn written(log: &[Changes], last: u64) -> Option<Logged> {
    let (mut octets, mut count) = (0, 0);
    let mut kept: Vec<Changes> = Vec::new();
    for request in log.iter().rev() {
        let fits = |change: &&Change| {
            octets += serde_json::to_vec(change).map_or(0, |bytes| bytes.len());
            count += 1;
            octets <= ENTRY_OCTETS_MAX && count <= LOG_CHANGES_MAX
        };
        let mut changes: Vec<Change> = request.changes.iter().rev().take_while(fits).cloned().collect();
        let is_whole = changes.len() == request.changes.len();
        changes.reverse();
        kept.push(Changes { changes, ..request.clone() });
        if !is_whole {
            break;
        }
    }
    kept.reverse();
    let bytes = serde_json::to_vec(&kept).expect("changes are plain data");
    (!log.is_empty()).then_some(Logged { last, bytes, forget: last.saturating_sub(LOG_CHANGES_MAX) })
}

/// The newest changes first, at most [`LOG_CHANGES_MAX`], none from before `since`.
pub(in crate::control) fn read(store: &Store, zone: u32, since: Timestamp) -> Result<Vec<Changes>, StoreError> {
    let (mut found, mut left) = (Vec::new(), LOG_CHANGES_MAX as usize);
    store.log(zone, |bytes| {
        let requests: Vec<Changes> = serde_json::from_slice(&bytes).unwrap_or_else(|error| {
            tracing::error!(zone, %error, "an entry of a log of changes cannot be read");
            Vec::new()
        });
        for mut request in requests.into_iter().rev() {
            if request.at < since || left == 0 {
                return false;
            }
            request.changes.reverse();
            request.changes.truncate(left);
            left -= request.changes.len();
            found.push(request);
        }
        true
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(text: &str) -> Change {
        let rname = "h.example".parse().expect("a name");
        Change::Zone { before: None, after: Face { default_ttl: 60, rname, text: text.to_owned() } }
    }

    #[test]
    fn of_too_many_changes_the_last_ones_are_kept() {
        let long = "x".repeat(1 << 20);
        let request = |texts: &[&str]| {
            let changes = texts.iter().map(|text| change(text)).collect();
            Changes { at: Timestamp::from_millis(1), by: "ann".to_owned(), changes }
        };
        assert_eq!(written(&[], 7), None);
        let small = [request(&["a"]), request(&["b", "c"])];
        let logged = written(&small, 20_000).expect("an entry");
        assert_eq!((logged.last, logged.forget), (20_000, 10_000));
        assert_eq!(serde_json::from_slice::<Vec<Changes>>(&logged.bytes).expect("read"), small);
        let large = [request(&["a"]), request(&["b", &long, &long, &long, "c"]), request(&["d"])];
        let logged = written(&large, 7).expect("an entry");
        let kept: Vec<Changes> = serde_json::from_slice(&logged.bytes).expect("read");
        assert_eq!(kept.len(), 3, "three long ones fit");
        let larger = [request(&["a"]), request(&["b", &long, &long, &long, &long, "c"]), request(&["d"])];
        let kept: Vec<Changes> = serde_json::from_slice(&written(&larger, 7).expect("an entry").bytes).expect("read");
        assert_eq!(kept.iter().map(|request| request.changes.len()).collect::<Vec<_>>(), [4, 1]);
        assert!(written(&larger, 7).expect("an entry").bytes.len() <= ENTRY_OCTETS_MAX + 1024);
    }
}
