//! What the layers above ask the store to keep: one [`Write`] is one change, durable as a whole or not at all.
//!
//! Made by `control`, queued by [`Store::submit`](super::Store::submit), carried out by `writer`. Definitions,
//! confirmations, statuses and entries are octets from above; only contents have a meaning here.

use std::sync::Arc;

use bytes::Bytes;

use super::layout::{Ring, ZoneNumber};
use super::writer::Haste;
use crate::zone::{Diff, Snapshot};

/// One change of what is stored about a zone (or, with `Meta`, beside zones).
#[derive(Clone, Debug)]
pub enum Write {
    /// The zone's definition, opaque; replaces the one before.
    Define {
        /// Which zone.
        zone: ZoneNumber,
        /// At most 8 MiB.
        bytes: Vec<u8>,
    },
    /// Everything about the zone goes.
    Remove {
        /// Which zone.
        zone: ZoneNumber,
    },
    /// New contents, whatever was stored before.
    Replace {
        /// Which zone.
        zone: ZoneNumber,
        /// The contents.
        snapshot: Arc<Snapshot>,
        /// The difference from the *stored* contents, if known: keeps the history unbroken. One that does not lead
        /// from the stored serial to the snapshot's is ignored, and the history starts anew.
        diff: Option<Diff>,
    },
    /// The contents moved on by `diffs`. Should they not start at the stored serial (a write before was refused or
    /// failed), this acts as a `Replace` without difference: the store always ends with `snapshot`.
    Append {
        /// Which zone.
        zone: ZoneNumber,
        /// The contents after `diffs`.
        snapshot: Arc<Snapshot>,
        /// In order, without a gap.
        diffs: Vec<Diff>,
    },
    /// Changes of local zones and named values, all or nothing.
    Local {
        /// Each zone once.
        zones: Vec<LocalWrite>,
        /// Named values, as with [`Write::Meta`]; `None` deletes.
        metas: Vec<(String, Option<Vec<u8>>)>,
    },
    /// When a primary last confirmed the zone, opaque. May wait for company.
    Confirm {
        /// Which zone.
        zone: ZoneNumber,
        /// At most 7,000 octets; meant are 16 to 32.
        bytes: Bytes,
    },
    /// One primary's status, opaque. May wait for company.
    Primary {
        /// Which zone.
        zone: ZoneNumber,
        /// Position in the zone's list of primaries.
        index: u16,
        /// At most 8 MiB; meant is a few hundred octets.
        bytes: Bytes,
    },
    /// The zone's list of primaries became shorter or another one: statuses from position `from` on go.
    ForgetPrimaries {
        /// Which zone.
        zone: ZoneNumber,
        /// First position to go.
        from: u16,
    },
    /// An ended attempt at a primary, opaque, into the ring of that primary's address. The same sequence number again
    /// replaces it. May wait for company.
    Attempt {
        /// Which zone.
        zone: ZoneNumber,
        /// Which ring.
        ring: Ring,
        /// Its place: higher numbers are newer.
        sequence: u64,
        /// At most 7,000 octets; meant are a few hundred.
        bytes: Bytes,
        /// How many attempts the ring keeps; older ones go.
        keep: u32,
    },
    /// The rings of addresses that are no longer the zone's go.
    ForgetAttempts {
        /// Which zone.
        zone: ZoneNumber,
        /// Rings that stay.
        keep: Vec<Ring>,
    },
    /// What was decided about versions of the zone, opaque.
    Review {
        /// Which zone.
        zone: ZoneNumber,
        /// `None`: nothing. At most 8 MiB; meant are a few hundred octets.
        bytes: Option<Vec<u8>>,
        /// Whether the held version goes.
        drop_held: bool,
    },
    /// A version that waits for a verdict, in the place of an earlier one; with the review that speaks of it.
    Hold {
        /// Which zone.
        zone: ZoneNumber,
        /// The version.
        snapshot: Arc<Snapshot>,
        /// As in `Review`.
        review: Vec<u8>,
    },
    /// A `Replace` or `Append` with who gave the version, opaque.
    Noted {
        /// Which zone.
        zone: ZoneNumber,
        /// The contents.
        contents: Box<Write>,
        /// At most 7,000 octets; meant are about 100.
        bytes: Bytes,
    },
    /// A named value beside zones (next zone number, jobs, tokens), opaque.
    Meta {
        /// Without a zero octet; see [`Store::meta`](super::Store::meta).
        name: String,
        /// `None` deletes it. At most 8 MiB.
        bytes: Option<Vec<u8>>,
    },
}

/// What changes of one local zone, see [`Write::Local`].
#[derive(Clone, Debug)]
pub struct LocalWrite {
    /// Which zone.
    pub zone: ZoneNumber,
    /// The new definition; `None` keeps the stored one.
    pub definition: Option<Vec<u8>>,
    /// Entries by their number, opaque; `None` deletes. Under number 0 stands what belongs to all of them.
    pub entries: Vec<(u64, Option<Vec<u8>>)>,
    /// What becomes of the contents.
    pub contents: LocalContents,
    /// What the write changes, for [`Store::log`](super::Store::log).
    pub log: Option<Logged>,
    /// The write holds all of the zone, of which it is not known what is stored: other entries go, and changes in the log behind
    /// this number.
    pub whole: Option<u64>,
}

impl LocalWrite {
    /// Nothing of the zone stays.
    #[must_use]
    pub fn removed(zone: ZoneNumber) -> LocalWrite {
        let contents = LocalContents::Removed;
        LocalWrite { zone, definition: None, entries: Vec::new(), contents, log: None, whole: None }
    }
}

/// An entry of a zone's log of changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// Number of the last change in it; larger than in every entry before.
    pub last: u64,
    /// The changes, opaque. At most 8 MiB.
    pub bytes: Vec<u8>,
    /// Entries whose last change has this number or a lower one go.
    pub forget: u64,
}

/// What becomes of a local zone's contents.
#[derive(Clone, Debug)]
pub enum LocalContents {
    /// Nothing.
    Unchanged,
    /// They moved on by the differences, or start anew without any.
    New {
        /// The contents after the differences.
        snapshot: Arc<Snapshot>,
        /// In order, without a gap.
        diffs: Vec<Diff>,
    },
    /// The zone goes, with its definition and all its entries.
    Removed,
}

impl Write {
    /// What losing it does no more than expire a zone early or forget an attempt need not start a sync of its own.
    pub(super) fn haste(&self) -> Haste {
        match self {
            Write::Confirm { .. } | Write::Primary { .. } | Write::Attempt { .. } => Haste::MayWait,
            Write::Noted { .. } => Haste::Lingers,
            _ => Haste::Urgent,
        }
    }
}
