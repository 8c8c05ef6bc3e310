//! What the API may ask of the keeper: the one way in for every REST write.
//!
//! Reads go to the [`Board`] and never wait for the keeper. Each method here sends one [`Event::Command`] and waits
//! for the keeper's answer, so what it returns is already visible on the board and in DNS answers.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::{Semaphore, mpsc, oneshot};
use uuid::Uuid;

use super::definition::Primary;
use super::event::Event;
use super::events::Bus;
use super::explain::Surroundings;
use super::held::Decision;
use super::history::History;
use super::local::{Changes, LocalOutcome, LocalRefused, LocalRequest, read_log};
use super::preflight::{self, Ask, Checked, Plan};
use super::status::{Board, ZoneView};
use super::versions::{Past, Version};
use crate::dns::{Name, Serial};
use crate::store::{Store, Write};
use crate::time::Timestamp;
use crate::zone::Diff;

/// A secondary zone to be created by REST.
#[derive(Clone, Debug)]
pub struct NewSecondary {
    /// Identity chosen by the client (PUT); `None`: a new v4.
    pub uuid: Option<Uuid>,
    /// The apex.
    pub name: Name,
    /// Whose zone it is.
    pub tenant: String,
    /// User of the credential.
    pub user: String,
    /// Free text.
    pub description: String,
    /// In order.
    pub primaries: Vec<Primary>,
}

/// What may be changed; `None` leaves it as it is when the change is made, whatever the client has seen of it.
#[derive(Clone, Debug)]
pub struct SecondaryChange {
    /// User of the credential.
    pub user: String,
    /// Free text.
    pub description: Option<String>,
    /// In order.
    pub primaries: Option<Vec<Primary>>,
}

/// How a transfer is asked for by an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferMode {
    /// As a NOTIFY: SOA check, IXFR if possible.
    Refresh,
    /// SOA query to all, then AXFR from the best primary even if the serial is equal.
    Full {
        /// Take an older serial too.
        force: bool,
    },
}

/// Why an edit was not made; nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// No such zone (or no longer).
    #[error("zone not found")]
    NotFound,
    /// Another zone has this apex.
    #[error("zone {} exists already", .0.without_dot())]
    NameTaken(Name),
    /// The UUID belongs to another object.
    #[error("the id is taken by another object")]
    IdTaken,
    /// The zone would stand at, below or above a zone of another tenant, whose name is for the operator alone.
    #[error("zone {} would stand above or below a zone of another tenant", .name.without_dot())]
    Overlaps {
        /// The zone asked for.
        name: Name,
        /// The other tenant's zone.
        other: Name,
    },
    /// The definition stands in a configuration file.
    #[error("zone is configured in {file}; change it there")]
    Configured {
        /// The file.
        file: Arc<str>,
    },
    /// A catalog lists the zone.
    #[error("zone is a member of catalog {}; change it there", .catalog.without_dot())]
    Member {
        /// The catalog.
        catalog: Name,
    },
    /// The zone is a catalog of our zones.
    #[error("the catalog is made here, there is no primary to ask for it")]
    MadeHere,
    /// The tenant has as many secondary zones as it may have.
    #[error("the quota of {0} secondary zones is reached")]
    Quota(usize),
    /// `[transfer] allow-primaries` does not hold the address.
    #[error("primary {0} is not allowed by [transfer] allow-primaries")]
    PrimaryNotAllowed(std::net::IpAddr),
    /// No `[tsig-key.NAME]` of this name.
    #[error("no TSIG key {} is configured", .0.without_dot())]
    UnknownKey(Name),
    /// No such held version, or not any more.
    #[error("no version with this id is held")]
    NoSuchHeld,
    /// The held version cannot be served any more.
    #[error("the held version is lost: {0}; a transfer fetches it again")]
    HeldLost(String),
    /// Something else was served before the command could be done.
    #[error("another version has been served meanwhile; look again")]
    Superseded,
    /// The zone was rolled back.
    #[error("the zone was rolled back and takes no other version until it is released")]
    Pinned,
    /// The zone was not rolled back.
    #[error("the zone is not rolled back")]
    NotPinned,
    /// The history does not reach so far.
    #[error("the kept history does not lead from serial {from} to {to}; the list of versions says what is kept")]
    NotKept {
        /// From here.
        from: Serial,
        /// To there.
        to: Serial,
    },
    /// The disk refused it.
    #[error("the change could not be stored: {0}")]
    Storage(String),
    /// The daemon is stopping.
    #[error("the daemon is shutting down")]
    ShuttingDown,
}

impl EditError {
    /// Tells the operator what the tenant is not told.
    fn log(&self) {
        if let EditError::Overlaps { name, other } = self {
            tracing::info!(zone = %name, %other, "zone refused: it would stand above or below another tenant's");
        }
    }
}

/// An edit and where its outcome goes.
#[derive(Debug)]
pub enum Command {
    /// Says what a creation, a change or a removal would come to, and does nothing.
    Try(Trial, oneshot::Sender<Result<Arc<ZoneView>, EditError>>),
    /// Creates a secondary zone and queues its first transfer.
    Create(NewSecondary, oneshot::Sender<Result<Arc<ZoneView>, EditError>>),
    /// Changes description and primaries.
    Change(Uuid, SecondaryChange, oneshot::Sender<Result<Arc<ZoneView>, EditError>>),
    /// Removes a zone and its data.
    Remove(Uuid, oneshot::Sender<Result<(), EditError>>),
    /// Changes local zones.
    Local(LocalRequest, oneshot::Sender<Result<LocalOutcome, LocalRefused>>),
    /// Wants to check primaries.
    Preflight(Ask, oneshot::Sender<Result<Plan, EditError>>),
    /// Decides about a held version: zone, held version, what, who.
    Decide(Uuid, Uuid, Decision, String, oneshot::Sender<Result<(), EditError>>),
    /// Goes back to a kept version and pins it: zone, serial, who.
    RollBack(Uuid, Serial, String, oneshot::Sender<Result<(), EditError>>),
    /// Takes newer versions again: zone, who.
    Release(Uuid, String, oneshot::Sender<Result<(), EditError>>),
    /// Starts a transfer, or joins the running one.
    Transfer(Uuid, TransferMode, oneshot::Sender<Result<(), EditError>>),
}

/// An edit of a secondary zone that is only tried.
#[derive(Debug)]
pub enum Trial {
    /// See [`Handle::create`].
    Create(NewSecondary),
    /// See [`Handle::change`].
    Change(Uuid, SecondaryChange),
    /// See [`Handle::remove`].
    Remove(Uuid),
}

/// A cloneable line to the keeper.
#[derive(Clone)]
pub struct Handle {
    board: Arc<Board>,
    store: Arc<Store>,
    past: Past,
    events: mpsc::UnboundedSender<Event>,
    history: Arc<History>,
    bus: Arc<Bus>,
    surroundings: Arc<ArcSwap<Surroundings>>,
    /// Places for checks of primaries.
    checks: Arc<Semaphore>,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

impl Handle {
    pub(super) fn new(
        board: Arc<Board>,
        events: mpsc::UnboundedSender<Event>,
        history: Arc<History>,
        bus: Arc<Bus>,
        surroundings: Arc<ArcSwap<Surroundings>>,
        store: Arc<Store>,
    ) -> Handle {
        let checks = Arc::new(Semaphore::new(preflight::CHECKS_MAX));
        Handle { board, past: Past::new(store.clone()), store, events, history, bus, surroundings, checks }
    }

    /// What explanations need to know of this daemon.
    pub fn surroundings(&self) -> Arc<Surroundings> {
        self.surroundings.load_full()
    }

    /// Asks every primary for its SOA, and with `transfer` for the whole zone, which is built, checked and dropped.
    /// Nothing changes, neither the zone nor its statuses. Waits while [`preflight::CHECKS_MAX`] others run.
    pub async fn preflight(&self, ask: Ask, transfer: bool) -> Result<Vec<Checked>, EditError> {
        let _place = self.checks.acquire().await.map_err(|_| EditError::ShuttingDown)?;
        let plan = self.ask(|reply| Command::Preflight(ask, reply)).await?;
        Ok(plan.run(transfer).await)
    }

    /// What became of every attempt.
    pub fn history(&self) -> &Arc<History> {
        &self.history
    }

    /// What happens.
    pub fn bus(&self) -> &Arc<Bus> {
        &self.bus
    }

    /// The zones as they stand.
    pub fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// Creates a secondary zone; it is defined durably when this returns, its first transfer is queued.
    pub async fn create(&self, new: NewSecondary) -> Result<Arc<ZoneView>, EditError> {
        self.ask(|reply| Command::Create(new, reply)).await
    }

    /// [`Handle::create`] without doing it: the zone as it would be, or why not. Its identity is only an example.
    pub async fn try_create(&self, new: NewSecondary) -> Result<Arc<ZoneView>, EditError> {
        self.ask(|reply| Command::Try(Trial::Create(new), reply)).await
    }

    /// [`Handle::change`] without doing it: the zone as it would be, or why not.
    pub async fn try_change(&self, zone: Uuid, change: SecondaryChange) -> Result<Arc<ZoneView>, EditError> {
        self.ask(|reply| Command::Try(Trial::Change(zone, change), reply)).await
    }

    /// [`Handle::remove`] without doing it.
    pub async fn try_remove(&self, zone: Uuid) -> Result<(), EditError> {
        self.ask(|reply| Command::Try(Trial::Remove(zone), reply)).await.map(drop)
    }

    /// Changes description and primaries. Changed primaries start a refresh, an equal definition nothing.
    pub async fn change(&self, zone: Uuid, change: SecondaryChange) -> Result<Arc<ZoneView>, EditError> {
        self.ask(|reply| Command::Change(zone, change, reply)).await
    }

    /// Removes the zone: a running transfer is cancelled, it is no longer served, its data go.
    pub async fn remove(&self, zone: Uuid) -> Result<(), EditError> {
        self.ask(|reply| Command::Remove(zone, reply)).await
    }

    /// Starts a transfer at once, past every back-off and cache of unreachable primaries.
    pub async fn transfer(&self, zone: Uuid, mode: TransferMode) -> Result<(), EditError> {
        self.ask(|reply| Command::Transfer(zone, mode, reply)).await
    }

    /// Makes changes of local zones: all of `request` or nothing. When this returns they are durable, in DNS answers
    /// and on the board.
    pub async fn local(&self, request: LocalRequest) -> Result<LocalOutcome, LocalRefused> {
        let (reply, answer) = oneshot::channel();
        let stopping = || LocalRefused::Failed(EditError::ShuttingDown);
        let command = Command::Local(request, reply);
        self.events.send(Event::Command(command)).map_err(|_| stopping())?;
        let answer = answer.await.unwrap_or_else(|_| Err(stopping()));
        answer.inspect_err(|refused| {
            if let LocalRefused::Zone { why, .. } = refused {
                why.log();
            }
        })
    }

    /// Keeps a named value of the API (issued tokens, jobs) over restarts, or forgets it; durable when this returns.
    pub async fn remember(&self, name: String, bytes: Option<Vec<u8>>) -> Result<(), EditError> {
        let (reply, answer) = oneshot::channel();
        let done = move |outcome: Result<(), crate::store::StoreError>| {
            // A client that has gone away does not undo the change.
            let _ = reply.send(outcome.map_err(|error| EditError::Storage(error.to_string())));
        };
        self.store.submit(Write::Meta { name, bytes }, Box::new(done));
        answer.await.unwrap_or(Err(EditError::ShuttingDown))
    }

    /// [`Handle::remember`] for several values at once: all of them or none.
    pub async fn remember_all(&self, values: Vec<(String, Option<Vec<u8>>)>) -> Result<(), EditError> {
        let (reply, answer) = oneshot::channel();
        let done = move |outcome: Result<(), crate::store::StoreError>| {
            // A client that has gone away does not undo the change.
            let _ = reply.send(outcome.map_err(|error| EditError::Storage(error.to_string())));
        };
        self.store.submit(Write::Local { zones: Vec::new(), metas: values }, Box::new(done));
        answer.await.unwrap_or(Err(EditError::ShuttingDown))
    }

    /// The values that were kept under names that begin with `prefix`. Reads from disk: not for the runtime's threads.
    pub fn remembered(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, EditError> {
        self.store.metas(prefix).map_err(|error| EditError::Storage(error.to_string()))
    }

    /// What was changed of a local zone since `since`, request by request, the newest first. Reads from disk: not for the
    /// runtime's threads.
    pub fn changes(&self, zone: &ZoneView, since: Timestamp) -> Result<Vec<Changes>, EditError> {
        read_log(&self.store, zone.id.0, since).map_err(|error| EditError::Storage(error.to_string()))
    }

    /// Serves or gives up a held version; done and durable when this returns.
    pub async fn decide(&self, zone: Uuid, held: Uuid, decision: Decision, user: String) -> Result<(), EditError> {
        self.ask(|reply| Command::Decide(zone, held, decision, user, reply)).await
    }

    /// Serves a kept version and takes no newer one until [`Handle::release`]; done and durable when this returns.
    pub async fn roll_back(&self, zone: Uuid, to: Serial, user: String) -> Result<(), EditError> {
        if let Some(view) = self.board.by_uuid(zone) {
            // else what is served now might not be kept yet, and the way from it not be known
            view.wait_until_durable().await;
        }
        self.ask(|reply| Command::RollBack(zone, to, user, reply)).await
    }

    /// Takes newer versions again, and asks for them at once.
    pub async fn release(&self, zone: Uuid, user: String) -> Result<(), EditError> {
        self.ask(|reply| Command::Release(zone, user, reply)).await
    }

    /// The versions that are kept, in the order in which they were served. Reads from disk.
    pub async fn versions(&self, zone: &ZoneView) -> Result<Vec<Version>, EditError> {
        zone.wait_until_durable().await;
        self.past.versions(zone.id).await
    }

    /// What leads from one kept version to another, whichever is the older. Reads from disk.
    pub async fn difference(&self, zone: &ZoneView, from: Serial, to: Serial) -> Result<Diff, EditError> {
        zone.wait_until_durable().await;
        self.past.difference(zone.id, from, to).await
    }

    /// What leads from the served version to the one that is held. Reads from disk.
    pub async fn held_difference(&self, zone: &ZoneView) -> Result<Diff, EditError> {
        let served = zone.snapshot().ok_or(EditError::NoSuchHeld)?;
        self.past.held_difference(zone.id, served).await
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, EditError>>) -> Command,
    ) -> Result<T, EditError> {
        let (reply, answer) = oneshot::channel();
        self.events.send(Event::Command(command(reply))).map_err(|_| EditError::ShuttingDown)?;
        answer.await.unwrap_or(Err(EditError::ShuttingDown)).inspect_err(EditError::log)
    }
}
