//! The control side: decides when to ask whom, takes new contents through the one door, and tells what happened.
//!
//! ```text
//!   net (NOTIFY) --inbox--+                                     +--> board (status) --> api
//!   api ------- handle ---+--> event --> keeper --> commit -----+--> served (publisher) --> query workers
//!   upstream tasks -------+                 |                   +--> store (writer)
//!                                           +--> queue --> exchange tasks --> net::upstream
//! ```
//!
//! * [`event`]: everything that can happen, one closed enum.
//! * `keeper`: owns the state of every zone; one task, microseconds an event; never waits.
//! * `commit`: the door, the only caller of `Publisher::publish`.
//! * `review`: judges each new version; `hook`: the operator's own check; `held`: versions that wait for a verdict.
//! * `versions`: who gave which version, and the way back.
//! * `edits`: what operators change; `newcomers`: zones that are being made; `aside`: zones from REST whose names the configuration has.
//! * `starting`: jobs whose turn has come; `exchange`: one probe or transfer, run as a task; builds and checks new contents beside the served ones.
//! * `queue`, `schedule`: whose turn it is, and when.
//! * `telling`: what happened, to those who want to know; `terms`: the configuration as others understand it.
//! * [`history`]: what became of every attempt, on disk; [`mod@events`]: what happens, for whoever listens.
//! * [`status`]: the read model; [`handle`]: what the API may ask; [`definition`]: what a zone should be.
//! * `catalogs`: zones that come by catalogs, and catalogs of our zones.
//! * [`local`]: zones that are edited here.
//! * `outbound`: what downstreams get, once it is durable.

pub mod definition;
pub mod event;
pub mod events;
pub mod explain;
pub mod handle;
pub mod health;
pub mod held;
pub mod history;
pub mod local;
pub mod preflight;
pub mod roster;
pub mod status;
pub mod versions;

mod aside;
mod catalogs;
mod commit;
mod edits;
mod exchange;
mod findings;
#[cfg(test)]
mod fixture;
mod hook;
mod keeper;
mod load;
mod look;
mod newcomers;
mod outbound;
mod queue;
mod review;
mod schedule;
mod starting;
mod telling;
mod terms;
mod zones;

pub use definition::{Origin, Primary, Transport, ZoneDefinition};
pub use handle::{EditError, Handle, NewSecondary, SecondaryChange, TransferMode};
pub use keeper::Parts;
pub use starting::PROBES;
pub use status::{Board, PrimaryStatus, ZoneStatus, ZoneView};

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::config::Config;
use crate::dns::tsig::{Algorithm, Key, Keyring};
use crate::net::OutboundSource;
use crate::net::upstream::Upstream;
use crate::store::Restored;

use event::Event;

/// The running control side.
pub struct Control {
    /// The line to it.
    pub handle: Handle,
    /// What `net` gives to downstreams.
    pub outbound: OutboundSource,
    /// Ends when it has stopped.
    pub task: tokio::task::JoinHandle<()>,
    loaded: oneshot::Receiver<()>,
}

impl Control {
    /// Waits until every zone with valid stored contents is served, or for `patience`; then loading goes on.
    pub async fn loaded(&mut self, patience: Duration) {
        if tokio::time::timeout(patience, &mut self.loaded).await.is_err() {
            tracing::warn!(waited_s = patience.as_secs(), "zones are still being loaded; the API begins without them");
        }
    }
}

/// The queue of events, made first because the inbox' waker sends into it.
pub fn events() -> (mpsc::UnboundedSender<Event>, mpsc::UnboundedReceiver<Event>) {
    mpsc::unbounded_channel()
}

/// Starts to load every zone of the store and the configuration, and the keeper once they are there, see
/// [`Control::loaded`]. Until then the view is not whole, and queries are answered as such (SERVFAIL, EDE 14). Fails if the
/// system gives no thread.
pub fn start(
    parts: Parts,
    restored: Restored,
    (sender, receiver): (mpsc::UnboundedSender<Event>, mpsc::UnboundedReceiver<Event>),
) -> std::io::Result<Control> {
    parts.publisher.set_whole(false);
    let board = Arc::new(Board::default());
    let upstream = Arc::new(Upstream::new(terms::bounds(&parts.config)));
    let outbound = outbound::source(board.clone(), parts.store.clone());
    parts.policy.keys.store(Arc::new(keyring(&parts.config)));
    let give_way = parts.give_way;
    let mut keeper = keeper::Keeper::new(parts, upstream, board.clone(), sender.clone());
    let handle = Handle::new(
        board,
        sender,
        keeper.history.clone(),
        keeper.bus.clone(),
        keeper.surroundings.clone(),
        keeper.store.clone(),
    );
    let (are_served, loaded) = oneshot::channel();
    let (is_loaded, loading) = oneshot::channel();
    let runtime = tokio::runtime::Handle::current();
    // A thread of its own, since it gives way in the end.
    std::thread::Builder::new().name("load".to_owned()).spawn(move || {
        let _in_runtime = runtime.enter();
        keeper.load(restored, give_way);
        // The daemon may have ended meanwhile.
        let _ = is_loaded.send(keeper);
    })?;
    let task = tokio::spawn(async move {
        let keeper = loading.await.expect("loading zones does not panic: damage is a value");
        // The daemon may have stopped waiting.
        let _ = are_served.send(());
        keeper.run(receiver).await;
    });
    Ok(Control { handle, outbound, task, loaded })
}

/// The keys of the configuration, ready to sign and verify.
fn keyring(config: &Config) -> Keyring {
    let keys = config.tsig_keys.values().map(|key| {
        let algorithm: Algorithm =
            key.algorithm.as_str().parse().expect("the configuration names only algorithms that are known");
        Arc::new(Key::new(key.name.clone(), algorithm, key.secret.expose()))
    });
    keys.collect()
}
