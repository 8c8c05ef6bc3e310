//! The HTTP API as clients see it: the real router on a real socket, before a real control side.
//!
//! Each test has a daemon of its own on 127.0.0.1 with free ports. `fixtures/api` holds the exchanges that must be
//! right octet for octet; what depends on time or size stands here.

mod access;
mod acme;
mod axfr;
mod bad_input;
mod callers;
mod client;
mod daemon;
mod document;
mod events;
mod explain;
mod golden;
#[path = "../harness/mod.rs"]
mod harness;
mod history;
mod limits;
mod local_zones;
mod openapi;
mod page;
mod primary;
mod published_clients;
mod rackspace;
mod rackspace_zones;
mod records;
mod repeated;
mod reverse_zones;
mod scale;
mod secondary_zones;
mod smuggling;
mod trials;
mod validators;
