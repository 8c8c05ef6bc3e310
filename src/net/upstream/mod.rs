//! Exchanges with primaries: SOA probes over UDP (TCP where UDP fails), transfers over kept TCP connections; everything
//! over TLS where the primary is configured so.
//!
//! In: a [`Target`] and what to ask. Out: the answer, as `transfer` reads it, or a [`Reason`](crate::reason::Reason); and beside it what the
//! exchange has [`Seen`]. Called by tasks that `control` starts; decides nothing about what comes next. Every exchange
//! ends: connecting, silence, the whole exchange and the lowest rate are bounded by [`Bounds`] (BEHAVIOUR B1..B6).
//!
//! * `probe`, `transfer`: one exchange each, from the query to the whole answer.
//! * `connection`: a connection, its messages, its pace. `kept`: connections that wait for the next exchange.
//! * `manners`: what was learnt of each primary, so that it is not asked twice in a way it does not take.
//! * [`seen`]: what is told of an exchange, however it ended.
//!
//! RFC 1996 §3.6, RFC 5936 §4 (transport of AXFR), RFC 1995 §2, RFC 7766 (connection reuse), RFC 8945
//! (TSIG), RFC 9103 (TLS).

mod connection;
mod kept;
mod manners;
mod probe;
pub mod seen;
mod transfer;

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use crate::net::tls::{TlsSession, Verified};
pub use seen::{Phase, Seen, Transport, Volume};

use crate::dns::Name;
use crate::dns::tsig::{self, Key};
use crate::net::tls;
use crate::time::Timestamp;
use crate::transfer::inbound::{Asked, Received};
use crate::transfer::probe::SoaAnswer;
use crate::zone::{HashKey, Limits};

use kept::Kept;
use manners::Manners;

/// Where and how to ask.
#[derive(Clone, Debug)]
pub struct Target {
    /// Address and port of the primary.
    pub address: SocketAddr,
    /// Local address to ask from; `None`: the routing table's choice.
    pub source: Option<IpAddr>,
    /// Signs the query and must sign the answer.
    pub key: Option<Arc<Key>>,
    /// Everything goes over TLS, as this says; `None`: in clear text.
    pub tls: Option<Arc<tls::Profile>>,
}

/// How long an exchange may take, and how slow it may be.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// For a connection to stand.
    pub connect: Duration,
    /// Longest silence within an exchange.
    pub idle: Duration,
    /// Longest transfer in all.
    pub total: Duration,
    /// Octets a second that a transfer must bring, measured over `rate_window`; 0: any.
    pub rate_min: u64,
    /// Over what time the rate is measured.
    pub rate_window: Duration,
    /// Most octets of one transfer.
    pub octets_max: u64,
}

/// What to probe for.
#[derive(Clone, Debug)]
pub struct Inquiry {
    /// Apex of the zone.
    pub zone: Name,
    /// Whether to ask for the signatures of the SOA, too ([`Probed::signature`]).
    pub signature: bool,
}

/// What a probe brought.
#[derive(Clone, Debug)]
pub struct Probed {
    /// The answer.
    pub answer: SoaAnswer,
    /// Seconds until the primary's own copy expires, if it says so (RFC 7314).
    pub expire_secs: Option<u32>,
    /// A hash over the signatures of the SOA, if they were asked for and came (P5).
    pub signature: Option<u64>,
    /// UDP brought nothing although TCP works (note `UDP_BLOCKED`).
    pub udp_blocked: bool,
}

/// What a transfer brought, not yet applied.
#[derive(Debug)]
pub struct Transferred {
    /// The contents or differences.
    pub received: Received,
    /// Seconds until the primary's own copy expires, if it says so (RFC 7314).
    pub expire_secs: Option<u32>,
}

/// What to transfer.
#[derive(Clone, Debug)]
pub struct Order {
    /// Apex of the zone.
    pub zone: Name,
    /// AXFR, or IXFR from our SOA.
    pub asked: Asked,
    /// Key of the version that may be replaced.
    pub hash_key: HashKey,
    /// Bounds of the contents.
    pub limits: Limits,
    /// Most octets of differences; beyond, a whole zone costs no more (I9).
    pub difference_octets_max: u64,
    /// Most difference sequences (I9).
    pub sequences_max: u32,
}

/// The client side towards all primaries; shared by all tasks.
#[derive(Debug)]
pub struct Upstream {
    bounds: Mutex<Bounds>,
    kept: Kept,
    manners: Manners,
    octets_in: AtomicU64,
}

const POISONED: &str = "no holder of this lock can panic";

impl Upstream {
    /// A client with nothing connected.
    pub fn new(bounds: Bounds) -> Upstream {
        Upstream {
            bounds: Mutex::new(bounds),
            kept: Kept::default(),
            manners: Manners::default(),
            octets_in: AtomicU64::new(0),
        }
    }

    /// Takes new bounds for exchanges that start from now on.
    pub fn set_bounds(&self, bounds: Bounds) {
        *self.bounds.lock().expect(POISONED) = bounds;
    }

    /// Octets received in transfers since the start.
    pub fn octets_in(&self) -> u64 {
        self.octets_in.load(Ordering::Relaxed)
    }

    fn bounds(&self) -> Bounds {
        *self.bounds.lock().expect(POISONED)
    }

    /// Closes connections that have not been used for a while; called now and then.
    pub fn drop_unused(&self) {
        self.kept.drop_unused();
    }
}

/// Signs a query if the primary has a key; gives the MAC that the answer's signature builds on.
fn signed(mut query: Vec<u8>, target: &Target) -> (Vec<u8>, Option<Vec<u8>>) {
    let mac = target.key.as_ref().map(|key| tsig::sign(&mut query, key, Timestamp::now(), None));
    (query, mac)
}

fn unspecified(remote: SocketAddr) -> IpAddr {
    match remote {
        SocketAddr::V4(_) => IpAddr::from([0; 4]),
        SocketAddr::V6(_) => IpAddr::from([0; 16]),
    }
}

fn random_id() -> u16 {
    u16::from_be_bytes(random())
}

fn random<const N: usize>() -> [u8; N] {
    use ring::rand::SecureRandom;
    let mut octets = [0; N];
    ring::rand::SystemRandom::new().fill(&mut octets).expect("the system's random source works");
    octets
}
