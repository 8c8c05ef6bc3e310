//! secondaryd, a secondary DNS server that tells its admins what every primary is doing and why.

pub mod api;
pub mod config;
pub mod access;
pub mod dns;
pub mod net;
pub mod reason;
pub mod refresh;
pub mod time;
pub mod zone;
