//! Catalog zones on the control side: those whose members become zones here, and those that list our zones.
//!
//! ```text
//!  a durable version of a followed catalog ──> read beside the keeper ──> changes ──> zones come and go (`follow`)
//!  zones come and go ──> pending ──> a new version beside the keeper ──> stored ──> served, announced (`make`)
//! ```
//!
//! A member is a secondary zone like any other: it has a number, a status and a history, is stored, and transferred from
//! primaries that the configuration names. Only who defines it is another.

pub(super) mod follow;
pub(super) mod make;
