//! A query -> a reply, on bytes.
//!
//! ```text
//!  datagram or framed message                                 reply in the same buffer
//!        │                                                            ▲
//!        ▼                                                            │
//!   query::parse ──► View::enclosing ──► lookup::locate ──► resolve ──┴─► write (images, fix-ups, OPT)
//!        │               (zone)         (cut? name? wildcard?)  │  ▲
//!        │                                                      └──┘ CNAME and DNAME chains
//!        └──► Hand: NOTIFY, AXFR, IXFR, signed ──► net's cold path
//! ```
//!
//! Called by `net` (UDP workers, TCP) and by tests; one function, [`respond`], without socket, clock, lock, log line
//! or allocation (replies beyond 16 KiB, which only TCP knows, may allocate). Never fetches anything, never decides who may transfer,
//! never changes what it reads: one answer comes from one snapshot of each zone it touches.
//!
//! Follows RFC 1034 §4.3.2 (the algorithm), RFC 2181 (sections, TTLs), RFC 2308 (negative answers), RFC 4592
//! (wildcards), RFC 6672 (DNAME), RFC 6604 (RCODE of chains), RFC 6891 (EDNS), RFC 8482 (ANY), RFC 8906 (never
//! silent), RFC 8914 (why), RFC 9471 (glue), and for those who set DO RFC 4035 §3.1 and RFC 5155 §7.2 (signatures, and
//! proofs of what is not there).
//!
//! # Choices
//! - ANY is answered over UDP with one RRset (RFC 8482 §4.1), over TCP with all of them.
//! - A chain is followed through all zones we serve, at most [`CHAIN_LINKS_MAX`] links; where it leaves them, or comes
//!   back to a name it has been at, the answer ends and the client goes on by itself.
//! - Positive answers carry no NS in the authority section: nobody needs it, and it makes replies grow.
//! - A reply that does not fit has TC and as many whole RRsets as do fit.

mod additional;
mod denial;
mod folded;
mod lookup;
mod query;
mod resolve;
mod write;

use std::net::SocketAddr;

use crate::dns::edns::UDP_PAYLOAD_OCTETS;
use crate::served::{Transport, View};
use folded::Folded;
use query::{Parsed, Query, Refused};
use resolve::Reply;
use write::Writer;

/// Links of a CNAME or DNAME chain in one answer. Resolvers stop at about the same length.
pub const CHAIN_LINKS_MAX: usize = 16;

/// Octets a buffer must have, whatever the client says it takes: the longest question and a negative answer fit.
pub const REPLY_OCTETS_MIN: usize = query::PLAIN_REPLY_OCTETS;

/// Who asks, and what bounds the reply.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    /// How the query came. Over UDP the reply must fit what the client takes.
    pub transport: Transport,
    /// Where it came from.
    pub addr: SocketAddr,
    /// The largest reply we send over UDP to clients that take as much, e.g. [`UDP_PAYLOAD_OCTETS`].
    pub udp_octets_max: u16,
    /// Octets to leave free behind the reply, for a TSIG record.
    pub reserved: u16,
}

impl Client {
    /// A client with the default bounds.
    pub fn new(transport: Transport, addr: SocketAddr) -> Client {
        Client { transport, addr, udp_octets_max: UDP_PAYLOAD_OCTETS, reserved: 0 }
    }
}

/// Memory that one caller lends to one query after the other: what a query's name looks like to the lookup. Setting it
/// up anew each time would cost more than reading the name.
pub struct Workspace {
    name: Folded,
}

impl Workspace {
    /// Ready for any query; what was in it before never matters.
    pub fn new() -> Workspace {
        Workspace { name: Folded::new() }
    }
}

impl Default for Workspace {
    fn default() -> Workspace {
        Workspace::new()
    }
}

/// What is to be done with the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Send its first octets, so many.
    Reply(usize),
    /// Send nothing: it was no query.
    Drop,
    /// It is unchanged and for the cold path: NOTIFY, AXFR, IXFR, or signed by TSIG.
    Hand,
}

/// Answers the query in the first `len` octets of `buffer`, in place. The buffer is as long as the longest reply that
/// may be sent, but at least [`REPLY_OCTETS_MIN`] (a shorter one is answered by [`Outcome::Drop`]).
pub fn respond(view: &View, client: &Client, work: &mut Workspace, buffer: &mut [u8], len: usize) -> Outcome {
    if len > buffer.len() || buffer.len() < REPLY_OCTETS_MIN {
        return Outcome::Drop;
    }
    let name = &mut work.name;
    match query::parse(&buffer[..len], name) {
        Parsed::Query(query) => {
            name.hash(view.key());
            answer(view, client, buffer, &query, name)
        }
        Parsed::Refused(refused) => refuse(client, buffer, &refused),
        Parsed::Hand => Outcome::Hand,
        Parsed::Drop => Outcome::Drop,
    }
}

/// The stage behind parsing: finds the zone and answers from it.
#[inline]
fn answer(view: &View, client: &Client, buffer: &mut [u8], query: &Query, name: &mut Folded) -> Outcome {
    let writer = Writer::new(client, buffer, query.question_end, query.edns);
    Outcome::Reply(Reply::new(view, client, query, writer).resolve(name))
}

#[cold]
fn refuse(client: &Client, buffer: &mut [u8], refused: &Refused) -> Outcome {
    let mut writer = Writer::new(client, buffer, refused.question_end, refused.edns);
    writer.set_rcode(refused.rcode);
    Outcome::Reply(writer.finish(None))
}
