//! secondaryd, a secondary DNS server that tells its admins what every primary is doing and why.

pub mod access;
pub mod answer;
pub mod dns;
pub mod net;
pub mod reason;
pub mod served;
pub mod time;
pub mod transfer;
pub mod zone;
