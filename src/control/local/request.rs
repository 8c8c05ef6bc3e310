//! What a dialect may ask about local zones, and what it gets: the seam between `api` and the keeper.
//!
//! A [`LocalRequest`] is atomic: all its steps, over as many zones as they name, are one batch on disk and one serial
//! step a zone, or nothing happens. What comes back shows the zones as they were right after the request; the change
//! is durable and answered by then.

use std::net::IpAddr;
use std::sync::Arc;

use uuid::Uuid;

use crate::control::definition::ZoneDefinition;
use crate::control::handle::EditError;
use crate::dns::Name;
use crate::local::{AttributesPatch, Edit, Entry, Link, LocalZone, Refused};

/// Changes that belong together.
#[derive(Clone, Debug)]
pub struct LocalRequest {
    /// Whose zones; a step on another tenant's zone is refused as not found.
    pub tenant: String,
    /// User of the credential, for `modified_by`.
    pub user: String,
    /// Name servers that a zone made by this request gets; at least one. The first is the SOA's MNAME.
    pub name_servers: Vec<Name>,
    /// In order; each sees what the ones before have done.
    pub steps: Vec<Step>,
    /// True: of [`Step::Edit`]s the good edits are made and the others named in the outcome. False: a refused edit
    /// refuses the request.
    pub keep_good: bool,
    /// Everything is checked and nothing done.
    pub dry_run: bool,
    /// Is written in the same batch as the change, if there is a change.
    pub mark: Option<Mark>,
}

/// A named value that says that a request was carried out.
#[derive(Clone, Debug)]
pub struct Mark {
    /// As of [`Handle::remember`](crate::control::Handle::remember).
    pub name: String,
    /// Opaque.
    pub bytes: Vec<u8>,
}

/// One step of a request.
#[derive(Clone, Debug)]
pub enum Step {
    /// A new zone.
    Create(NewLocal),
    /// Text, attributes or records of a zone change.
    Edit {
        /// Which.
        zone: Uuid,
        /// Description; `None` leaves it.
        description: Option<String>,
        /// In order.
        edits: Vec<Edit>,
    },
    /// A zone goes, with everything in it.
    Remove {
        /// Which.
        zone: Uuid,
    },
    /// The PTR of an address is put where it belongs: into the tenant's reverse zone with the longest prefix, or into a
    /// new one within `owned-cidrs`.
    PutPtr(PtrDraft),
}

/// A zone to be made. SOA and NS come from the name servers of the request.
#[derive(Clone, Debug)]
pub struct NewLocal {
    /// Identity chosen by the client; `None`: a new v4.
    pub uuid: Option<Uuid>,
    /// The apex.
    pub name: Name,
    /// Free text.
    pub description: String,
    /// What differs from the defaults of [`crate::local::Attributes::new`].
    pub attributes: AttributesPatch,
    /// Records it begins with.
    pub edits: Vec<Edit>,
}

/// The PTR of one address.
#[derive(Clone, Debug)]
pub struct PtrDraft {
    /// The PTR with this identity becomes the draft, but for TTL and device, and moves if its address changed; it is made if
    /// there is none. `None`: a new one.
    pub id: Option<Uuid>,
    /// The address.
    pub address: IpAddr,
    /// The host in wire form, lower case.
    pub host: Box<[u8]>,
    /// Of a new one, in seconds; `None` inherits the zone's.
    pub ttl: Option<u32>,
    /// Description.
    pub text: String,
    /// The device of a new one.
    pub link: Option<Link>,
}

/// What a request has done, or would do.
#[derive(Clone, Debug)]
pub struct LocalOutcome {
    /// One for each step.
    pub steps: Vec<StepOutcome>,
}

/// What a step has done.
#[derive(Clone, Debug)]
pub struct StepOutcome {
    /// The zone's definition after the request (of a removed one: before).
    pub definition: Arc<ZoneDefinition>,
    /// The zone after the step (of a removed one: before).
    pub zone: Arc<LocalZone>,
    /// Whether the zone was made by this step.
    pub created: bool,
    /// For each edit what [`crate::local::Projected::outcomes`] has; for a PTR the one entry.
    pub entries: Vec<Option<Arc<Entry>>>,
    /// With [`LocalRequest::keep_good`]: the edits that were not made.
    pub refused: Vec<Refused>,
}

/// Why nothing of a request was done.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LocalRefused {
    /// The zone a step names is not there, or the one it wants to make may not be.
    #[error("{why}")]
    Zone {
        /// Index of the step.
        step: usize,
        /// Why.
        why: EditError,
    },
    /// Edits of a step may not be made; all of them, in order.
    #[error("{}", .refused.first().map(ToString::to_string).unwrap_or_default())]
    Edits {
        /// Index of the step.
        step: usize,
        /// The step's zone.
        zone: Uuid,
        /// At least one.
        refused: Vec<Refused>,
    },
    /// No zone of the tenant takes the PTR.
    #[error("{address} is not available")]
    NotAvailable {
        /// Index of the step.
        step: usize,
        /// The address.
        address: IpAddr,
    },
    /// The tenant would have more than it may.
    #[error("the quota of {max} {what} is reached")]
    Quota {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        max: usize,
    },
    /// The disk refused it, or the daemon is stopping.
    #[error(transparent)]
    Failed(EditError),
}
