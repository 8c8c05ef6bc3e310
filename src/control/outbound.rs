//! What downstreams get: the served version once it is durable (RFC 1995, RFC 5936).

use std::sync::Arc;

use crate::dns::Serial;
use crate::net::{OutboundData, OutboundSource};
use crate::served::Slot;
use crate::store::Store;
use crate::zone::Snapshot;

use super::status::Board;

/// Gives `net` what it sends to downstreams: contents that would survive a crash, and the differences since the serial
/// the downstream has, where the history reaches back so far.
pub(super) fn source(board: Arc<Board>, store: Arc<Store>) -> OutboundSource {
    Arc::new(move |slot: Arc<Slot>, since: Option<Serial>| {
        let (board, store) = (board.clone(), store.clone());
        Box::pin(async move {
            let asked_for = slot.snapshot()?;
            let view = board.by_name(slot.name());
            if let Some(view) = &view {
                // Late is better than never: the primary is the record of truth.
                view.wait_until_stored(asked_for.serial()).await;
            }
            // Where changes come faster than the disk takes them, what is served now is never durable: what was served when
            // the downstream asked is.
            let is_durable =
                |version: &Arc<Snapshot>| view.is_none_or(|view| view.status().stored_serial == Some(version.serial()));
            let snapshot = slot.snapshot().filter(is_durable).unwrap_or(asked_for);
            let (zone, served) = (slot.id().0, snapshot.serial());
            let diffs = match since.filter(|since| served.is_newer_than(*since)) {
                None => None,
                Some(since) => tokio::task::spawn_blocking(move || store.diffs_since(zone, since))
                    .await
                    .ok()?
                    .unwrap_or_else(|error| {
                        tracing::warn!(zone, %error, "the history of a zone cannot be read; downstreams get all of it");
                        None
                    }),
            };
            // The history may end before that, or begin behind it; then the whole zone is sent.
            let diffs = diffs.and_then(|mut diffs| {
                let last = diffs.iter().rposition(|diff| diff.to_serial() == served)?;
                diffs.truncate(last + 1);
                Some(diffs)
            });
            Some(OutboundData { snapshot, diffs })
        })
    })
}
