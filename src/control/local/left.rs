//! Serials that removed local zones had: whoever transferred such a zone may have it still.
//!
//! A zone that is made again under the same name begins behind that serial, or its downstreams would take it for what they have,
//! and apply its changes to the contents of the one before. Kept by the store under the name, from the batch that removes the
//! zone to the batch that makes the next one; not at all where the first serial of a day is ahead anyway.

use std::collections::HashMap;

use crate::dns::{Name, Serial};
use crate::local::first_serial;
use crate::store::{Store, Write};
use crate::time::Timestamp;

use super::super::keeper::report;

/// Names of the store's values begin with this.
const PREFIX: &str = "last-serial/";

/// Under which name the store keeps the last serial of a removed zone.
fn key(name: &Name) -> String {
    format!("{PREFIX}{name}")
}

/// What is to be kept when a zone with this serial is removed; `None`: nothing.
pub(super) fn kept(name: &Name, serial: Serial, now: Timestamp) -> Option<(String, Option<Vec<u8>>)> {
    (!first_serial(now).is_newer_than(serial)).then(|| (key(name), Some(serial.0.to_be_bytes().to_vec())))
}

/// That it need not be kept any more.
pub(super) fn outrun(name: &Name) -> (String, Option<Vec<u8>>) {
    (key(name), None)
}

fn serial_from(bytes: &[u8]) -> Option<Serial> {
    Some(Serial(u32::from_be_bytes(bytes.try_into().ok()?)))
}

/// What is kept of these names. Reads from disk: not for the keeper's thread.
pub(super) fn read<'a>(store: &Store, names: impl Iterator<Item = &'a Name>) -> HashMap<Name, Serial> {
    let kept = |name: &'a Name| match store.meta(&key(name)) {
        Ok(bytes) => Some((name.clone(), serial_from(&bytes?)?)),
        Err(error) => {
            tracing::error!(zone = %name, %error, "the last serial of a removed zone cannot be read");
            None
        }
    };
    names.filter_map(kept).collect()
}

/// At a start: lets go of what the first serial of the day is ahead of by now.
pub(in crate::control) fn forget_outrun(store: &Store, now: Timestamp) {
    let kept = store.metas(PREFIX).unwrap_or_else(|error| {
        tracing::error!(%error, "the last serials of removed zones cannot be read");
        Vec::new()
    });
    let is_behind = |bytes: &[u8]| serial_from(bytes).is_none_or(|serial| first_serial(now).is_newer_than(serial));
    for (name, _) in kept.into_iter().filter(|(_, bytes)| is_behind(bytes)) {
        store.submit(Write::Meta { name, bytes: None }, report("last serial of a removed zone"));
    }
}
