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
//! * `starting`: jobs whose turn has come; `exchange`: one probe or transfer, run as a task; builds and checks new contents beside the served ones.
//! * `queue`, `schedule`: whose turn it is, and when.
//! * `telling`: what happened, to those who want to know; `terms`: the configuration as others understand it.
//! * [`history`]: what became of every attempt, on disk; [`mod@events`]: what happens, for whoever listens.
//! * [`status`]: the read model; [`handle`]: what the API may ask; [`definition`]: what a zone should be.
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

mod commit;
mod edits;
mod exchange;
mod findings;
mod hook;
mod keeper;
mod load;
mod look;
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
}

/// The queue of events, made first because the inbox' waker sends into it.
pub fn events() -> (mpsc::UnboundedSender<Event>, mpsc::UnboundedReceiver<Event>) {
    mpsc::unbounded_channel()
}

/// Starts to load every zone of the store and the configuration, and the keeper once they are there. Returns when every
/// zone with valid stored contents is in the view, or after `patience`; then loading goes on, and configured zones that
/// are not loaded yet are answered as such (SERVFAIL, EDE 14).
pub async fn start(
    parts: Parts,
    restored: Restored,
    (sender, receiver): (mpsc::UnboundedSender<Event>, mpsc::UnboundedReceiver<Event>),
    patience: Duration,
) -> Control {
    let board = Arc::new(Board::default());
    let upstream = Arc::new(Upstream::new(terms::bounds(&parts.config)));
    let outbound = outbound::source(board.clone(), parts.store.clone());
    parts.policy.keys.store(Arc::new(keyring(&parts.config)));
    let mut keeper = keeper::Keeper::new(parts, upstream, board.clone(), sender.clone());
    let handle = Handle::new(
        board,
        sender,
        keeper.history.clone(),
        keeper.bus.clone(),
        keeper.surroundings.clone(),
        keeper.store.clone(),
    );
    let (loaded, in_view) = oneshot::channel();
    let task = tokio::spawn(async move {
        let loading = tokio::task::spawn_blocking(move || {
            keeper.load(restored);
            keeper
        });
        let keeper = loading.await.expect("loading zones does not panic: damage is a value");
        // The daemon may have stopped waiting.
        let _ = loaded.send(());
        keeper.run(receiver).await;
    });
    if tokio::time::timeout(patience, in_view).await.is_err() {
        tracing::warn!(waited_s = patience.as_secs(), "zones are still being loaded; answering begins without them");
    }
    Control { handle, outbound, task }
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
