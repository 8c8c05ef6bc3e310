//! secondaryd against real name servers: Knot DNS, NSD, BIND 9 and PowerDNS, as primaries and as downstreams.
//!
//! Every server is started by the test on a loopback address of its own ([`address`]) with a temporary directory, and
//! ended by its process id; nothing is a system service and nothing leaves the host. A server that is not installed
//! makes its tests say so and pass ([`peer::Program::version`]). Waiting is always polling with a deadline ([`wait`]).
//!
//! The harness: [`harness`] with our daemon, child processes and the independent DNS client; [`peer`] with one file per
//! program, [`compare`] (whole zones, read by `kdig` from both sides), [`zones`] (zone texts).
//! `alone` tests the harness without us. The rest are the tests, by what they are about.

#[path = "../harness/mod.rs"]
mod harness;

mod compare;
mod peer;
mod random;
mod relay;
mod zones;

mod alone;
mod catalogs;
mod downstream;
mod edits;
mod encrypted;
mod million;
mod primaries;
mod restarts;
mod serials;
mod statuses;
mod transfers;
mod tsig;

use harness::{Key, address, certificates, client, daemon, process, wait};
