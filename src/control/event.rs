//! Everything that can happen to the keeper, as one closed enum.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::dns::Serial;
use crate::net::upstream::{Probed, Seen, Volume};
use crate::reason::Reason;
use crate::refresh::{Accept, Urgency};
use crate::served::ZoneId;
use crate::time::Timestamp;
use crate::zone::signatures::Survey;
use crate::zone::{Diff, Difference, Findings, Snapshot};

use super::catalogs::follow::Reading;
use super::catalogs::make::Making;
use super::definition::ZoneDefinition;
use super::handle::{Command, EditError};
use super::review::Judged;
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
    Probed(Exchange, Box<Course>, Result<Probed, Reason>),
    /// A transfer has ended; its contents are checked and ready to be published.
    Transferred(Exchange, Box<Course>, Accept, Result<Arrival, Reason>),
    /// The network's part of a transfer has ended, and its check may take long: the place in the queue is free.
    Reviewing(Exchange),
    /// A held version is on disk: its zone and its id.
    HeldStored(ZoneId, uuid::Uuid),
    /// A version that an operator wants served has been fetched or made.
    Brought(Box<Brought>),
    /// What a look at a zone's signatures has shown, at this serial.
    Surveyed(ZoneId, Serial, Option<Survey>),
    /// A definition has been written, or not.
    Written(Written, Result<(), String>),
    /// A write of contents has ended.
    Stored {
        /// Which zone.
        zone: ZoneId,
        /// Its contents, which are durable now.
        version: Arc<Snapshot>,
        /// Whether it is served: with `durability = "before"` it may be now.
        is_served: bool,
        /// Whether they are.
        outcome: Result<(), String>,
    },
    /// A group of changes of local zones has been written, or not.
    LocalStored(Box<super::local::Finished>, Result<(), String>),
    /// Copies of local zones have been made, or not.
    LocalCopied(super::local::copy::Copied),
    /// Local zones have been written whole, or not.
    LocalMended(Vec<ZoneId>, Result<(), String>),
    /// A version of a catalog that is followed has been read.
    CatalogRead(Box<Reading>),
    /// A version of a catalog of our zones has been made.
    CatalogMade(Box<Making>),
    /// It has been written, or not.
    CatalogStored(ZoneId, Result<(), String>),
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

/// How an exchange came about, and what it saw until it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Course {
    /// What it was started for.
    pub trigger: Urgency,
    /// When its turn had come.
    pub started: Timestamp,
    /// What it saw.
    pub seen: Seen,
}

/// What an exchange that ended well means for the zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The primary has shown this serial.
    Shown(Serial),
    /// There was nothing to take from a primary with this serial.
    UpToDate(Serial),
    /// A new version was taken.
    Committed {
        /// Served before; `None`: nothing.
        from: Option<Serial>,
        /// Of the new version.
        to: Serial,
    },
}

/// A finished transfer.
#[derive(Debug)]
pub struct Arrival {
    /// What it moved.
    pub volume: Volume,
    /// Seconds until the primary's own copy expires, if it says so (RFC 7314).
    pub expire_secs: Option<u32>,
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
    pub snapshot: Arc<Snapshot>,
    /// How it came and how it is to be stored.
    pub form: Form,
    /// What was noticed on the way.
    pub findings: Findings,
    /// What the content rules warn of.
    pub warnings: Vec<String>,
    /// The serial it was applied to; `None`: to nothing.
    pub base: Option<Serial>,
    /// What `review` found.
    pub judged: Judged,
}

/// How new contents came.
#[derive(Debug)]
pub enum Form {
    /// Whole; with the difference to the old contents where there were any.
    Full(Option<Difference>),
    /// As differences, which have been applied.
    Diffs(Vec<Diff>),
}

/// A version that an operator wants served, and who waits for it.
#[derive(Debug)]
pub enum Brought {
    /// A held version.
    Approved {
        /// The zone.
        zone: ZoneId,
        /// Which held version.
        held: uuid::Uuid,
        /// Who approved.
        user: String,
        /// The version.
        outcome: Result<Prepared, EditError>,
        /// `None`: the deadline approved.
        reply: Option<oneshot::Sender<Result<(), EditError>>>,
    },
    /// A kept version.
    RolledBack {
        /// The zone.
        zone: ZoneId,
        /// The serial it was made from.
        base: Serial,
        /// Its own.
        to: Serial,
        /// Who went back.
        user: String,
        /// The version; `None` if it is the served one.
        outcome: Result<Option<Prepared>, EditError>,
        /// Who waits.
        reply: oneshot::Sender<Result<(), EditError>>,
    },
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
