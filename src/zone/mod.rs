//! One zone's contents, immutable: a directory of small pages whose bytes are the same in memory, on disk and almost on
//! the wire.

mod apply;
mod between;
pub mod builder;
pub mod check;
mod diff;
mod directory;
mod encode;
pub mod entry;
pub mod hash;
#[cfg(test)]
mod laws;
pub mod page;
mod records;
mod snapshot;
pub mod spill;
mod tally;

pub use apply::{ApplyError, apply};
pub use between::between;
pub use builder::{Builder, Findings, Limits};
pub use check::{ContentPolicy, Verdict, Warning, check};
pub use diff::{DamagedDiff, Diff, DiffBuilder, DiffRecords, NotContiguous};
pub use encode::{RRSET_OCTETS_MAX, TYPES_MAX};
pub use hash::HashKey;
pub use page::{DamagedPage, Entry, Kind, Page, PageKey, RrsetBlock};
pub use records::Records;
pub use snapshot::{Snapshot, Soa};
