//! What downstreams get: the served version once it is durable (RFC 1995, RFC 5936).

use std::sync::Arc;

use crate::dns::Serial;
use crate::net::{OutboundData, OutboundSource};
use crate::served::Slot;
use crate::store::Store;

use super::status::Board;

/// Gives `net` what it sends to downstreams: contents that would survive a crash, and the differences since the serial
/// the downstream has, where the history reaches back so far.
pub(super) fn source(board: Arc<Board>, store: Arc<Store>) -> OutboundSource {
    Arc::new(move |slot: Arc<Slot>, since: Option<Serial>| {
        let (board, store) = (board.clone(), store.clone());
        Box::pin(async move {
            if let Some(view) = board.by_name(slot.name()) {
                // Late is better than never: the primary is the record of truth.
                view.wait_until_durable().await;
            }
            let snapshot = slot.snapshot()?;
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
            // The history may end before or behind what is served now; then the whole zone is sent.
            let diffs = diffs.filter(|d| d.last().is_some_and(|last| last.to_serial() == served));
            Some(OutboundData { snapshot, diffs })
        })
    })
}
