//! Bytes <-> meaning: what a name, a serial, a record type is, on the wire and in text. Knows no zone.
//!
//! The lowest room: everything above speaks in these words, nothing here uses another room.

pub mod edns;
pub mod message;
pub mod name;
pub mod presentation;
pub mod rdata;
pub mod record;
pub mod rtype;
pub mod serial;
pub mod tsig;
pub mod zonefile;

pub use name::Name;
pub use record::{Record, RecordRef};
pub use rtype::RecordType;
pub use serial::Serial;
