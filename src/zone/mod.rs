//! One zone's contents, immutable: a directory of small pages whose bytes are the same in memory, on disk and almost on
//! the wire.
//!
//! ```text
//! records ──> Builder ──> Snapshot ──> lookup ──> Entry ──> RrsetBlock: an image, copied into a reply
//!                          │   ▲  │
//!        between <─────────┤   │  └──> records(): transfers out, listings
//!            │             │ apply
//!            └─> Diff ─────┴───┘       pages() <──> store
//! ```
//!
//! In: records of transfers and edits, difference sequences. Out: versions ([`Snapshot`]), looked up by query workers,
//! stored page by page, compared with each other. Used by everything above `dns`; knows no network, clock, disk or task,
//! and never decides whether a version is published ([`check()`] says whether the content may be).
//!
//! | File | What |
//! | --- | --- |
//! | [`hash`] | the keyed hash of owner names |
//! | [`page`], [`entry`], [`spill`] | byte layouts and their readers; read these first |
//! | `encode` | records of one owner -> an entry: the only writer of entries |
//! | `directory` | the tree of pages; its shape is a function of the contents |
//! | `tally` | sums over entries, kept with each version |
//! | `snapshot`, `records` | a version; its contents as a sequence |
//! | `denial`, `order` | the owners of NSEC and NSEC3 in their orders |
//! | [`builder`], `partition`, `parts` | records in any order -> a version |
//! | `work` | owners taken out of their pages |
//! | `heap` | memory for many pages |
//! | `diff`, `apply`, `between` | difference sequences: the form, forwards, and back from two versions |
//! | [`mod@check`] | rules on content |
//! | [`guard`] | what a version must not take away unseen |
//! | [`zonemd`] | whether a version is what its publisher digested |
//! | [`signatures`] | when the signatures of a version lapse |
//!
//! The law that holds the room together: `apply(old, diff)` equals `build(new)` octet for octet (`laws`).

mod apply;
mod between;
pub mod builder;
pub mod check;
mod denial;
mod diff;
mod directory;
mod encode;
pub mod entry;
pub mod guard;
pub mod hash;
mod heap;
#[cfg(test)]
mod laws;
mod order;
pub mod page;
mod partition;
mod parts;
mod records;
pub mod signatures;
mod snapshot;
pub mod spill;
mod tally;
#[cfg(test)]
mod text;
mod work;
pub mod zonemd;

pub use apply::{ApplyError, apply, apply_leniently, apply_own};
pub use between::{Difference, between, between_within};
pub use builder::{Builder, Findings, Limits};
pub use check::{ContentPolicy, Verdict, Warning, check};
pub use denial::{ApexHashes, NSEC3_HASH_OCTETS, NSEC3_ITERATIONS_ADVISED, Nsec3Of, Nsec3Params};
pub use diff::{DamagedDiff, Diff, DiffBuilder, DiffRecords, NotContiguous};
pub use encode::{RRSET_OCTETS_MAX, TYPES_MAX};
pub use hash::{HashKey, Parent};
pub use page::{DamagedPage, Entry, Kind, Page, PageKey, RrsetBlock};
pub use records::Records;
pub use snapshot::{Snapshot, Soa};
pub use spill::Spilled;
