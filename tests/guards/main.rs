//! What stands between a transfer and its publication, and looking back, with the built daemon and a scripted primary:
//! versions that are held and the verdict ([`verdicts`]), the operator's own check ([`check`]), digests and signatures
//! ([`digests`]), kept versions and roll-back ([`past`]), catalogs that are followed ([`catalogs`]).
//!
//! What must hold each time: the old version stays served, the primary's item says why, and nothing that was decided is
//! lost by a restart.

#[path = "../harness/mod.rs"]
mod harness;
#[path = "../bad_primaries/primary.rs"]
#[allow(dead_code)]
mod primary;
#[path = "../bad_primaries/reply.rs"]
#[allow(dead_code)]
mod reply;

mod catalogs;
mod check;
mod digests;
mod past;
mod stage;
mod verdicts;

use harness::{address, client, daemon, wait};
