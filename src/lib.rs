//! secondaryd, a secondary DNS server that tells its admins what every primary is doing and why.

pub mod access;
pub mod answer;
pub mod config;
pub mod dns;
pub mod manual;
pub mod net;
pub mod reason;
pub mod refresh;
pub mod served;
pub mod store;
pub mod telemetry;
pub mod time;
pub mod transfer;
pub mod zone;
