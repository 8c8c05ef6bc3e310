//! secondaryd, a secondary DNS server that tells its admins what every primary is doing and why.

pub mod config;
pub mod dns;
pub mod manual;
pub mod reason;
pub mod telemetry;
pub mod time;
