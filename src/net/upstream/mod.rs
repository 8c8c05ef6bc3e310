//! Exchanges with primaries: SOA probes over UDP (TCP where UDP fails), transfers over kept TCP connections; everything
//! over TLS where the primary is configured so.
//!
//! In: a [`Target`] and what to ask. Out: the answer, as `transfer` reads it, or a [`Reason`]; and beside it what the
//! exchange has [`Seen`]. Called by tasks that `control` starts; decides nothing about what comes next. Every exchange
//! ends: connecting, silence, the whole exchange and the lowest rate are bounded by [`Bounds`] (BEHAVIOUR B1..B6).
//!
//! * `probe`, `transfer`: one exchange each, from the query to the whole answer.
//! * `exchange`: one query and its answer; `line`: a connection that several share; `lines`: which one a query takes.
//! * `connection`: how a connection is made, in clear text or over TLS; `datagram`: a query over UDP.
//! * `turns`: how many queries a second a primary gets. `manners`: what was learnt of each primary, so that it is not asked twice in a way it does not take.
//! * [`seen`]: what is told of an exchange, however it ended.
//!
//! RFC 1996 §3.6, RFC 5936 §4 (transport of AXFR), RFC 1995 §2, RFC 7766 (connection reuse), RFC 8945
//! (TSIG), RFC 9103 (TLS).

mod connection;
mod datagram;
mod exchange;
mod line;
mod lines;
mod manners;
mod probe;
pub mod seen;
mod transfer;
mod turns;

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub use crate::net::tls::{TlsSession, Verified};
pub use seen::{Phase, Seen, Transport, Volume};

use crate::dns::Name;
use crate::dns::edns::{Opt, option};
use crate::dns::tsig::{self, Key};
use crate::net::tls;
use crate::reason::{Code, Reason};
use crate::refresh::unreachable::is_unreachable;
use crate::time::Timestamp;
use crate::transfer::inbound::{Asked, Received};
use crate::transfer::probe::SoaAnswer;
use crate::zone::{HashKey, Limits};

use lines::Lines;
use manners::Manners;
use turns::Turns;

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
    /// Exchanges under way at once on one connection; 1: one after the other.
    pub pipelining: usize,
    /// Queries a second to one primary; 0: any number.
    pub queries_per_second: u32,
    /// Whether differences are asked for over UDP first, where a key signs them (I8).
    pub ixfr_over_udp: bool,
}

/// What to probe for.
#[derive(Clone, Debug)]
pub struct Inquiry {
    /// Apex of the zone.
    pub zone: Name,
    /// Whether to ask for the signatures of the SOA, too ([`Probed::signature`]).
    pub signature: bool,
    /// Whether a server that refuses it over UDP is asked over TCP: Knot answers queries for catalogs there only.
    pub is_catalog: bool,
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
    lines: Lines,
    manners: Arc<Manners>,
    turns: Turns,
    octets_in: AtomicU64,
}

/// Queries over TLS have a multiple of this many octets (RFC 8467 §4.1).
const PADDED_OCTETS: usize = 128;
const POISONED: &str = "no holder of this lock can panic";

impl Upstream {
    /// A client with nothing connected.
    pub fn new(bounds: Bounds) -> Upstream {
        Upstream {
            bounds: Mutex::new(bounds),
            lines: Lines::default(),
            manners: Arc::default(),
            turns: Turns::default(),
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

    /// The outcome of an exchange. If it went in clear text because TLS was not to be had (opportunistic profile), and failed, TLS
    /// is tried again the next time; where clear text got no answer, TLS is what is wrong.
    fn both_ways<T>(&self, target: &Target, outcome: Result<T, Reason>, seen: &Seen) -> Result<T, Reason> {
        let (Err(reason), Some(tls)) = (&outcome, &seen.fell_back) else { return outcome };
        self.manners.forget_no_tls(target.address);
        let is_silence =
            is_unreachable(reason.code) || matches!(reason.code, Code::IdleTimeout | Code::TruncatedStream);
        if !is_silence {
            return outcome;
        }
        let port = connection::in_clear_text(target.address).port();
        let detail = format!("{}; in clear text at port {port}: {}", tls.detail, reason.detail);
        Err(Reason::new(tls.code, detail))
    }

    /// Waits for the turn of one query to the target.
    async fn turn(&self, target: &Target, bounds: &Bounds) {
        let wait = self.turns.take(target.address, bounds.queries_per_second, Instant::now());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    /// Closes connections that have not been used for a while; called now and then.
    pub fn drop_unused(&self) {
        self.lines.tidy();
    }
}

/// A query as it goes out, and the MAC that the answer's signature builds on. Over TLS it is padded to a multiple of 128
/// octets (RFC 8467 §4.1, RFC 9103 §9.4), if it has an OPT record to hold the padding.
fn outgoing(
    target: &Target,
    opt: Option<Opt>,
    compose: impl Fn(Option<&Opt>) -> Vec<u8>,
) -> (Vec<u8>, Option<Vec<u8>>) {
    let opt = opt.map(|opt| {
        if target.tls.is_none() {
            return opt;
        }
        let bare = opt.clone().with_option(option::PADDING, b"");
        let octets = signed(compose(Some(&bare)), target).0.len();
        opt.with_option(option::PADDING, &vec![0; octets.next_multiple_of(PADDED_OCTETS) - octets])
    });
    signed(compose(opt.as_ref()), target)
}

/// Signs a query if the primary has a key.
fn signed(mut query: Vec<u8>, target: &Target) -> (Vec<u8>, Option<Vec<u8>>) {
    let mac = target.key.as_ref().map(|key| tsig::sign(&mut query, key, Timestamp::now(), None));
    (query, mac)
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
