//! secondaryd against bad primaries: a scripted primary ([`primary`]) plays every misbehaviour, and the built daemon is
//! watched from outside.
//!
//! What must hold each time ([`stage::survive`]): the old version stays served, the status item has the code of the
//! misbehaviour and the time of the next attempt, an IXFR that failed is followed by an AXFR at once (not where it would
//! fare no better), the connection is closed, the same failure repeated is no news in the log, and the zone heals when
//! the primary does. No test sleeps; time limits are set low.
//!
//! | B | behaviour | tests | rules |
//! | --- | --- | --- | --- |
//! | B1 | refused, no TCP, no answer to SYN | [`network`] `b1_…` | P1, P2 |
//! | B2 | accepts, never sends | [`network`] `b2_…` | A12 |
//! | B3 | slow loris | [`network`] `b3_…` | A12 |
//! | B4 | closes early | [`stream`] `b4_…` | A8 |
//! | B5 | endless stream, large differences | [`stream`], [`serials`] `b5_…` | A12, I9 |
//! | B6 | endless empty messages | [`stream`] `b6_…` | A12 |
//! | B7 | another SOA at the end | [`stream`] `b7_…` | A3 |
//! | B8 | no SOA first, another zone | [`stream`] `b8_…` | A3 |
//! | B9 | headers of another exchange | [`network`], [`stream`] `b9_…` | A2, T9 |
//! | B10 | TC in a stream | [`stream`] `b10_…` | A2 |
//! | B11 | RCODEs, to SOA and transfers, also in the middle | [`network`], [`stream`] `b11_…` | A2, T9 |
//! | B12 | IXFR refused | [`stream`] `b12_…` | I5 |
//! | B13 | UDP dead, TCP alive | [`network`] `b13_…` | T9 |
//! | B14 | lower, undefined, flapping serials | [`serials`] `b14_…` | T7 |
//! | B15 | announces N, gives N-1 | [`serials`] `b15_…` | N5, N9 |
//! | B16 | other contents, same serial | [`serials`] `b16_…` | |
//! | B17 | signatures | [`signed`] `b17_…` | G1, G3 |
//! | B18 | names and rdata that do not parse | [`content`] `b18_…` | A6 |
//! | B19 | CNAME and other, two SOAs, too large | [`content`] `b19_…` | A11, A12 |
//! | B20 | out of zone, classes, meta types | [`stream`] `b20_…` | A5, A7 |
//! | B21 | no NS, SOA only, 99 % smaller | [`content`] `b21_…`, `b21_b22_…` | A11 |
//! | B22 | strange TTLs | [`content`] `b21_b22_…` | A4 |
//! | B23 | broken NSEC3 | [`content`] `b23_…` | |
//! | B24 | no EDNS | [`network`] `b24_…` | T9 |
//! | B25 | another history | [`serials`] `b25_…` | I3, I4, I5, P4 |
//! | B26 | TLS | [`encrypted`] `b26_…` | X1 |
//! | B27 | answers from elsewhere | [`network`] `b27_…` | |
//! | B28 | ourselves, two secondaries naming each other | [`serials`] `b28_…` | T10, T11 |
//! | B29 | colliding hashes | [`content`] `b29_…` | |

#[path = "../harness/mod.rs"]
mod harness;

mod primary;
mod reply;
mod stage;

mod content;
mod encrypted;
mod histories;
mod kills;
mod network;
mod peers;
mod serials;
mod shared;
mod signed;
mod stream;

use harness::{Key, address, certificates, client, daemon, process, wait};
