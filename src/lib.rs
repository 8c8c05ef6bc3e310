//! secondaryd, a secondary DNS server that tells its admins what every primary is doing and why.

pub mod dns;
pub mod reason;
pub mod store;
pub mod time;
pub mod transfer;
pub mod zone;
