//! Connections that wait for the next exchange with their primary (RFC 7766 §6.2.1: "clients … SHOULD reuse").

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::{POISONED, Target};

/// Unused connections are kept this long; primaries close idle ones after ten seconds and more.
const KEEP: Duration = Duration::from_secs(8);
/// Most unused connections kept to one primary.
const KEPT_PER_PRIMARY: usize = 4;

/// Kept connections by where they lead and where they come from.
#[derive(Debug, Default)]
pub(super) struct Kept {
    streams: Mutex<HashMap<Route, Vec<Waiting>>>,
}

/// Address, source, and the TLS profile.
type Route = (SocketAddr, Option<IpAddr>, Option<u64>);

fn route(target: &Target) -> Route {
    (target.address, target.source, target.tls.as_ref().map(|profile| profile.id()))
}

#[derive(Debug)]
struct Waiting {
    connection: Connection,
    since: Instant,
}

impl Kept {
    /// The connection to `target` that was used last, if one is young enough.
    pub(super) fn take(&self, target: &Target) -> Option<Connection> {
        let mut kept = self.streams.lock().expect(POISONED);
        let route = route(target);
        let streams = kept.get_mut(&route)?;
        streams.retain(|waiting| waiting.since.elapsed() < KEEP);
        let taken = streams.pop();
        if streams.is_empty() {
            kept.remove(&route);
        }
        taken.map(|waiting| waiting.connection)
    }

    /// Keeps a connection whose last answer was read to its end.
    pub(super) fn put(&self, target: &Target, connection: Connection) {
        let mut kept = self.streams.lock().expect(POISONED);
        let streams = kept.entry(route(target)).or_default();
        streams.retain(|waiting| waiting.since.elapsed() < KEEP);
        if streams.len() < KEPT_PER_PRIMARY {
            streams.push(Waiting { connection, since: Instant::now() });
        }
    }

    /// Closes connections that have waited too long.
    pub(super) fn drop_unused(&self) {
        self.streams.lock().expect(POISONED).retain(|_, streams| {
            streams.retain(|waiting| waiting.since.elapsed() < KEEP);
            !streams.is_empty()
        });
    }
}
