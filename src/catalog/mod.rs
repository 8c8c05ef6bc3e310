//! Catalog zones (RFC 9432): a list of zones that is itself a zone, and travels as one.
//!
//! ```text
//!  a version of a catalog that was transferred ──┐
//!  the one that was followed before ──────────────┴─> changes: who joins, leaves, is another ──> control
//!
//!  our own list of zones ──> list (the difference to what was listed before) ──> control: a new version
//! ```
//!
//! In: versions of catalog zones, the list of our own zones. Out: what a reader of the first has to do, and the next version
//! of the second. Called by `control`, which knows the zones; nothing here does.

mod list;
mod read;

pub use list::{Listing, first_version, next_version};
pub use read::{Broken, Catalog, Change, Member, changes, members_about, read};

/// The label below the apex under which members stand.
const ZONES: &[u8] = b"\x05zones";
/// The owner of the version, relative to the apex.
const VERSION: &[u8] = b"\x07version";
/// The version of the schema that RFC 9432 §4.1 defines.
const SCHEMA: &[u8] = b"2";
/// The label of a group (§4.3.2), relative to the member's node.
const GROUP: &[u8] = b"\x05group";
/// The label of a change of ownership (§4.3.1).
const COO: &[u8] = b"\x03coo";
