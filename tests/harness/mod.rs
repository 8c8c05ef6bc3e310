//! What tests of the whole daemon share: the built program as a child process with a configuration of the test
//! ([`daemon`]), an independent DNS client ([`client`]), loopback addresses of their own ([`address`]), certificates
//! ([`certificates`]), child processes
//! ([`process`]) and polling with a deadline ([`wait`]).
//!
//! Part of each test program that names it; not every program uses all of it.
#![allow(dead_code)]

pub(crate) mod address;
pub(crate) mod certificates;
pub(crate) mod client;
pub(crate) mod daemon;
pub(crate) mod process;
pub(crate) mod wait;

/// A TSIG key as both sides have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) algorithm: &'static str,
    pub(crate) secret: &'static str,
}
