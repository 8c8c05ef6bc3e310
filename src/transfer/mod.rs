//! Zone transfers as rules: messages in, contents out, and the reverse.
//!
//! [`inbound`] assembles the answer to an AXFR or IXFR query; [`probe`] asks for a SOA and reads the answer; [`said`]
//! is what both learn beside the records;
//! [`outbound`] makes the messages for downstreams. Called by `net` on both sides. Never touches a socket, a clock or a
//! key: TSIG is verified and cut before a message comes here, and put on after it leaves.
//! RFC 5936 (AXFR), RFC 1995 (IXFR), RFC 1034 §4.3.5, RFC 7314 (EXPIRE).

pub mod inbound;
pub mod outbound;
pub mod probe;
pub mod said;
