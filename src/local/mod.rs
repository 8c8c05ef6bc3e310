//! Locally managed zones: entries with lasting identities, the edits of them, and what those mean in DNS.
//!
//! ```text
//!  dialects of api ──> Edit ─┐
//!                            ├─> project ──> the next LocalZone ──> difference: one Diff   (or why not)
//!  the served LocalZone ─────┘                     │                                   │
//!                               lists of the API <─┘      zone::apply, store, IXFR out <─┘
//! ```
//!
//! In: the zone as it is, edits, the time. Out: the zone as it is to be, the difference sequence that leads there, and the
//! entries to be written; or a [`Refusal`]. Called by `control::local` only; the API reads [`LocalZone`]s.
//! Never stores, publishes, or reads a clock. Rules about the content of records that hold for every dialect live in
//! [`content`]; a dialect that seems to need one of its own has found a gap here.
//!
//! RFC 1034 §3.6.2 and RFC 2181 §10.1 (CNAME), RFC 2181 §5.2 (one TTL an RRset), RFC 1982 (serials), RFC 7505 (null MX).
//!
//! | File | What |
//! | --- | --- |
//! | [`shelf`] | an immutable sorted sequence with ranks, cheap to change one place of |
//! | `entry` | one record with its identity, as stored |
//! | `zone` | all entries of one zone, findable by place, type and identity |
//! | `edit` | what may be asked, and why it may be refused |
//! | `project` | zone x edits -> zone and difference |
//! | `change` | what a request has changed, record by record |
//! | [`content`] | rules on owners and rdata; texts with the priority apart |
//! | `soa` | the attributes behind the SOA, and the serial policy |

mod change;
pub mod content;
mod edit;
mod entry;
#[cfg(test)]
mod laws;
mod project;
pub mod shelf;
mod soa;
mod zone;

pub use change::{Change, Face, changes};
pub use edit::{AttributesPatch, Draft, Edit, NewContent, Patch, Refusal, Refused, Unsaid};
pub use entry::{Entry, Link};
pub use project::{Projected, Surroundings, difference, project};
pub use soa::{Attributes, EmailError, email_of, first_serial, next_serial, rname_of};
pub use zone::LocalZone;
