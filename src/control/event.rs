//! Everything that can happen to the keeper, as one closed enum.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::dns::Serial;
use crate::net::upstream::{Probed, Volume};
use crate::reason::Reason;
use crate::refresh::Accept;
use crate::served::ZoneId;
use crate::zone::{Diff, Findings, Snapshot};

use super::definition::ZoneDefinition;
use super::handle::{Command, EditError};
use super::status::ZoneView;

/// Something happened. The queue of events is bounded by what can be under way: commands of connected clients, and one
/// outcome for each probe, transfer and write the keeper itself has started.
#[derive(Debug)]
pub enum Event {
    /// A REST client wants something.
    Command(Command),
    /// NOTIFYs wait in the inbox.
    Inbox,
    /// A probe has ended.
    Probed(Exchange, Result<Probed, Reason>),
    /// A transfer has ended; its contents are checked and ready to be published.
    Transferred(Exchange, Accept, Result<Arrival, Reason>),
    /// A definition has been written, or not.
    Written(Written, Result<(), String>),
    /// A write of contents has ended.
    Stored {
        /// Which zone.
        zone: ZoneId,
        /// Up to which serial its contents are durable now.
        serial: Serial,
        /// With `durability = "before"`: what may be published now.
        unpublished: Option<Arc<Snapshot>>,
        /// Whether they are.
        outcome: Result<(), String>,
    },
    /// A group of changes of local zones has been written, or not.
    LocalStored(Box<super::local::Finished>, Result<(), String>),
    /// The configuration was read again (SIGHUP).
    Reload(Box<crate::config::Config>),
    /// Stop: cancel what runs, then end.
    Shutdown,
}

/// Which exchange an outcome belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The zone.
    pub zone: ZoneId,
    /// The zone's list of primaries at the start; outcomes of an older list are ignored.
    pub epoch: u32,
    /// Index in that list.
    pub primary: usize,
    /// Address it ran against, to free its place in the queue.
    pub address: std::net::SocketAddr,
}

/// A finished transfer.
#[derive(Debug)]
pub struct Arrival {
    /// What it moved.
    pub volume: Volume,
    /// What it means for the zone.
    pub contents: Contents,
}

/// What a transfer means for the zone.
#[derive(Debug)]
pub enum Contents {
    /// The primary has what we have.
    UpToDate(Serial),
    /// New contents, built and checked beside the served ones.
    New(Box<Prepared>),
}

/// Contents that are ready for the door.
#[derive(Debug)]
pub struct Prepared {
    /// The whole zone.
    pub snapshot: Snapshot,
    /// How it came and how it is to be stored.
    pub form: Form,
    /// What was noticed on the way.
    pub findings: Findings,
    /// What the content rules warn of.
    pub warnings: Vec<String>,
    /// The serial it was applied to; `None`: to nothing.
    pub base: Option<Serial>,
}

/// How new contents came.
#[derive(Debug)]
pub enum Form {
    /// Whole; with the difference to the old contents where there were any.
    Full(Option<Diff>),
    /// As differences, which have been applied.
    Diffs(Vec<Diff>),
}

/// A definition that was given to the store, and who waits for it.
#[derive(Debug)]
pub enum Written {
    /// A new zone.
    Created(Box<ZoneDefinition>, oneshot::Sender<Result<Arc<ZoneView>, EditError>>),
    /// A zone with other primaries or another description.
    Changed(Box<ZoneDefinition>, oneshot::Sender<Result<Arc<ZoneView>, EditError>>),
    /// A zone that goes.
    Removed(ZoneId, oneshot::Sender<Result<(), EditError>>),
}
