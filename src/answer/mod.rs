//! A query -> a reply, on bytes.
//!
//! ```text
//!  datagram or framed message                                 reply in the same buffer
//!        │                                                            ▲
//!        ▼                                                            │
//!   query::parse ──► View::enclosing ──► lookup::locate ──► resolve ──┴─► write (images, fix-ups, OPT)
//!        │               (zone)         (cut? name? wildcard?)  │  ▲          ▲
//!        │                                        │             └──┘ chains   │
//!        │                                        └─────────► straight ───────┘ one RRset, as most answers are
//!        └──► Hand: NOTIFY, AXFR, IXFR, signed ──► net's cold path
//! ```
//!
//! Called by `net` (UDP workers, which read a group of queries before they answer each: `ahead`; TCP) and by tests; one
//! function, [`respond`], in one step or in those of [`Workspace`], without socket, clock, lock, log line
//! or allocation (replies beyond 16 KiB, which only TCP knows, may allocate). Never fetches anything, never decides who may transfer,
//! never changes what it reads: one answer comes from one snapshot of each zone it touches.
//!
//! Follows RFC 1034 §4.3.2 (the algorithm), RFC 2181 (sections, TTLs), RFC 2308 (negative answers), RFC 4592
//! (wildcards), RFC 6672 (DNAME), RFC 6604 (RCODE of chains), RFC 6891 (EDNS), RFC 8482 (ANY), RFC 8906 (never
//! silent), RFC 8914 (why), RFC 9471 (glue), and for those who set DO RFC 4035 §3.1 and RFC 5155 §7.2 (signatures, and
//! proofs of what is not there).
//!
//! # Choices
//! - ANY is answered over UDP with one RRset (RFC 8482 §4.1), over TCP with all that a message can hold together.
//! - A chain is followed through all zones we serve, at most [`CHAIN_LINKS_MAX`] links; where it leaves them, or comes
//!   back to a name it has been at, the answer ends and the client goes on by itself.
//! - Positive answers carry no NS in the authority section: nobody needs it, and it makes replies grow.
//! - A proof that would cost too many rounds of the NSEC3 hash is not given, and an answer that lacks its proof would be a
//!   lie to a validator: such a question is SERVFAIL with the extended error 27.
//! - A reply that does not fit has TC and as many whole RRsets as do fit.

mod additional;
mod ahead;
mod chaos;
mod cookie;
mod denial;
mod folded;
mod identity;
mod lookup;
mod options;
mod query;
mod resolve;
mod straight;
mod why;
mod write;

use std::net::SocketAddr;
use std::time::Duration;

pub use ahead::GROUP;
pub use cookie::{COOKIE_OCTETS, COOKIE_SECRETS_MAX, CookieSecret, Cookies, Judged};
pub use identity::{CHAOS_OCTETS_MAX, Identity};
pub use options::NSID_OCTETS_MAX;

use crate::dns::edns::UDP_PAYLOAD_OCTETS;
use crate::dns::message::Rcode;
use crate::served::{Slot, Transport, View};
use crate::time::Timestamp;
use ahead::Reading;
use cookie::ServerCookie;
use folded::Known;
use options::{Asked, Gathered};
use query::{Edns, Parsed, Refused};
use resolve::Reply;
use write::{Finished, Writer};

/// Links of a CNAME or DNAME chain in one answer. Resolvers stop at about the same length.
pub const CHAIN_LINKS_MAX: usize = 16;

/// The most additional rounds of the NSEC3 hash that any zone was ever allowed (RFC 5155 §10.3, for keys of 4,096 bits).
/// A proof takes a few hashes of so many rounds: under a millisecond each.
pub const NSEC3_ITERATIONS_MAX: u16 = 2_500;

/// Octets a buffer must have, whatever the client says it takes: the longest question and a negative answer fit.
pub const REPLY_OCTETS_MIN: usize = query::PLAIN_REPLY_OCTETS;

/// Whether a client may ask about a zone that is not open to everybody.
pub type Judge<'a> = &'a dyn Fn(&Slot) -> bool;

/// Who asks, whom, when, and what bounds the reply.
#[derive(Clone, Copy)]
pub struct Client<'a> {
    /// How the query came. Over UDP the reply must fit what the client takes.
    pub transport: Transport,
    /// Where it came from.
    pub addr: SocketAddr,
    /// The largest reply we send over UDP to clients that take as much, and announce to take ourselves, e.g.
    /// [`UDP_PAYLOAD_OCTETS`].
    pub udp_octets_max: u16,
    /// Octets to leave free behind the reply, for a TSIG record.
    pub reserved: u16,
    /// Who we are.
    pub identity: &'a Identity,
    /// Now, for cookies and the EXPIRE option. May be some seconds old.
    pub now: Timestamp,
    /// How long an idle connection is kept, for the keepalive option; zero: nothing is said.
    pub keepalive: Duration,
    /// Zones with more rounds of the NSEC3 hash are not proved with: what would need a proof is SERVFAIL.
    pub nsec3_iterations_max: u16,
    /// Decides about zones that are not open to everybody; `None`: such a question is handed on.
    pub judge: Option<Judge<'a>>,
}

impl Client<'static> {
    /// A client with the default bounds, of a server that tells nothing about itself.
    pub fn new(transport: Transport, addr: SocketAddr) -> Client<'static> {
        Client {
            transport,
            addr,
            udp_octets_max: UDP_PAYLOAD_OCTETS,
            reserved: 0,
            identity: &identity::NOBODY,
            now: Timestamp::default(),
            keepalive: Duration::ZERO,
            nsec3_iterations_max: NSEC3_ITERATIONS_MAX,
            judge: None,
        }
    }
}

/// Memory that one caller lends to one query after the other, or to [`GROUP`] at a time: what a query's name looks like
/// to the lookup. Setting it up anew each time would cost more than reading the name.
pub struct Workspace {
    readings: Box<[Reading]>,
    /// Which of them was answered last.
    last: usize,
    known: Known,
    gathered: Gathered,
    account: Account,
}

/// What kind of reply the last one was, for those who limit how many of a kind a client gets.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    question_end: u16,
    /// Where the reply's OPT begins; 0 without one.
    opt_at: u16,
    /// Labels of the name the reply stands for ([`write::WHOLE_NAME`]: all of them): that of a wildcard's encloser, of a
    /// DNAME, of a cut, of the zone in which there is nothing. [`write::KEPT_NAME`]: a chain was followed from there.
    depth: u8,
    cookie_is_valid: bool,
}

impl Workspace {
    /// Ready for any query; what was in it before never matters.
    pub fn new() -> Workspace {
        Workspace::with_room(1)
    }

    /// Ready for [`GROUP`] queries at a time.
    pub fn for_groups() -> Workspace {
        Workspace::with_room(GROUP)
    }

    fn with_room(queries: usize) -> Workspace {
        Workspace {
            readings: (0..queries).map(|_| Reading::new()).collect(),
            last: 0,
            known: Known::new(),
            gathered: Gathered::new(),
            account: Account::default(),
        }
    }

    /// Reads the query `message` as number `index` of a group.
    #[inline(always)]
    pub fn read(&mut self, view: &View, index: usize, message: &[u8]) {
        self.readings[index].read(view, &self.known, message);
    }

    /// Brings into the cache what the first `count` queries of the group, read with the same view, are answered from.
    pub fn look_ahead(&mut self, view: &View, count: usize) {
        ahead::look_ahead(view, &mut self.known, &mut self.readings[..count]);
    }

    /// Answers query number `index` of the group, which was read with the same view and still stands in `buffer`. As
    /// [`respond`] otherwise.
    #[inline(always)]
    pub fn answer(&mut self, view: &View, client: &Client<'_>, index: usize, buffer: &mut [u8]) -> Outcome {
        if buffer.len() < REPLY_OCTETS_MIN {
            return Outcome::Drop;
        }
        self.last = index;
        let Workspace { readings, known, gathered, account, .. } = self;
        let Reading { name, asked, parsed, enclosing } = &mut readings[index];
        let Parsed::Query(query) = parsed else {
            return match *parsed {
                Parsed::Refused(refused) => refuse(view, client, self, buffer, &refused),
                Parsed::Hand => Outcome::Hand,
                Parsed::Query(_) | Parsed::Drop => Outcome::Drop,
            };
        };
        let mut cookie_is_valid = false;
        let mut options = None;
        if query.edns.is_some_and(|edns| edns.has_options) {
            match begin_options(client, asked, gathered) {
                Cookie::Valid => cookie_is_valid = true,
                Cookie::Unknown => {}
                Cookie::Required => {
                    let refused =
                        Refused { rcode: Rcode::BADCOOKIE, question_end: query.question_end, edns: query.edns };
                    return refuse(view, client, self, buffer, &refused);
                }
            }
            options = Some(gathered);
        }
        let straight = match options {
            None => straight::answer(view, client, query, name, *enclosing, buffer),
            Some(_) => None,
        };
        let finished = straight.or_else(|| {
            let writer = Writer::new(client, buffer, query.question_end.into(), query.edns, options);
            Reply::new(view, client, query, writer).resolve(name, known, *enclosing)
        });
        let Some(Finished { octets, opt_at, depth }) = finished else { return Outcome::Hand };
        *account = Account { question_end: query.question_end, opt_at, depth, cookie_is_valid };
        Outcome::Reply(octets)
    }

    /// Whether the client of the last query has shown a cookie that only we can have given it: its address is no
    /// forgery (RFC 7873 §5.2.5).
    pub fn cookie_is_valid(&self) -> bool {
        self.account.cookie_is_valid
    }

    /// A hash of what the last reply was about. Replies that a forger of questions could vary without end, because
    /// each name gives another one, have one value: those of one wildcard or DNAME, wherever that leads, those about what is
    /// not in a zone, the referrals of one cut, errors.
    pub fn subject(&self) -> u64 {
        let name = &self.readings[self.last].name;
        match self.account.depth {
            write::KEPT_NAME => name.kept_hash(),
            depth => name.hash_at(usize::from(depth).min(name.labels())),
        }
    }

    /// Turns the reply in `buffer` into one that only says "ask over TCP" (RFC 2181 §9); returns its octets.
    pub fn shorten(&self, buffer: &mut [u8], len: usize) -> usize {
        let (start, opt_at) = (usize::from(self.account.question_end), usize::from(self.account.opt_at));
        if len < query::HEADER_OCTETS || len > buffer.len() || start > len || opt_at > len {
            return len.min(buffer.len());
        }
        buffer[2] |= 0x02;
        buffer[6..12].fill(0);
        if opt_at == 0 {
            return start;
        }
        buffer[11] = 1;
        buffer.copy_within(opt_at..len, start);
        start + len - opt_at
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
    /// It is unchanged and for the cold path: NOTIFY, AXFR, IXFR, signed by TSIG, or about a zone that is not open to
    /// everybody while no [`Client::judge`] was given.
    Hand,
}

/// Answers the query in the first `len` octets of `buffer`, in place. The buffer is as long as the longest reply that
/// may be sent, but at least [`REPLY_OCTETS_MIN`] (a shorter one is answered by [`Outcome::Drop`]).
pub fn respond(view: &View, client: &Client<'_>, work: &mut Workspace, buffer: &mut [u8], len: usize) -> Outcome {
    if len > buffer.len() || buffer.len() < REPLY_OCTETS_MIN {
        return Outcome::Drop;
    }
    work.read(view, 0, &buffer[..len]);
    work.answer(view, client, 0, buffer)
}

/// What a client's cookie comes to.
enum Cookie {
    /// It is one that we have made.
    Valid,
    /// There is none, or none of ours; the question is answered all the same.
    Unknown,
    /// Without one of ours there is no answer (BADCOOKIE).
    Required,
}

/// Puts into the reply's options what does not depend on a zone.
#[cold]
fn begin_options(client: &Client<'_>, asked: &Asked, gathered: &mut Gathered) -> Cookie {
    gathered.begin(asked);
    let identity = client.identity;
    if asked.nsid && !identity.nsid().is_empty() {
        gathered.put_nsid(identity.nsid());
    }
    // "DNS servers ... MUST NOT send the option over UDP" (RFC 7828 §3.2.1 and §3.3.2)
    if asked.keepalive && client.transport.is_stream() && !client.keepalive.is_zero() {
        gathered.put_keepalive((client.keepalive.as_millis() / 100).min(u128::from(u16::MAX)) as u16);
    }
    // clear text is not padded: its length hides nothing (RFC 8467 §4.1 is about encrypted transports)
    gathered.padded = asked.padding && client.transport == Transport::Tls;
    match (&asked.cookie, identity.cookies()) {
        (Some(shown), Some(cookies)) => {
            let judged = cookies.judge(shown, client.addr.ip(), client.now.as_secs());
            gathered.put_cookie(&judged.reply);
            match judged.is_valid {
                true => Cookie::Valid,
                // a connection proves the address by itself
                false if cookies.required && !client.transport.is_stream() => Cookie::Required,
                false => Cookie::Unknown,
            }
        }
        _ => Cookie::Unknown,
    }
}

#[cold]
fn refuse(view: &View, client: &Client<'_>, work: &mut Workspace, buffer: &mut [u8], refused: &Refused) -> Outcome {
    let Workspace { readings, last, gathered, account, .. } = work;
    let Reading { name, asked, .. } = &mut readings[*last];
    let mut rcode = refused.rcode;
    let options = refused.edns.filter(|edns: &Edns| edns.has_options).map(|_| {
        let cookie = begin_options(client, asked, gathered);
        if rcode == Rcode::NOERROR {
            rcode = of_cookie_alone(client, asked, &cookie);
        }
        gathered
    });
    let mut writer = Writer::new(client, buffer, refused.question_end.into(), refused.edns, options);
    writer.set_rcode(rcode);
    let Finished { octets, opt_at, .. } = writer.finish_aside(None);
    // errors of one client are all alike
    name.clear(view.key());
    *account = Account { question_end: refused.question_end, opt_at, depth: 0, cookie_is_valid: false };
    Outcome::Reply(octets)
}

/// The RCODE for a query without question that shows a cookie. With a server cookie "the response SHALL have the RCODE BADCOOKIE
/// if the Server Cookie sent with the query was invalid and the RCODE NOERROR if it was valid"; without cookies such a query is
/// malformed (RFC 7873 §5.4).
fn of_cookie_alone(client: &Client<'_>, asked: &Asked, cookie: &Cookie) -> Rcode {
    let asks_for_one = asked.cookie.is_some_and(|shown| shown.server == ServerCookie::None);
    match (client.identity.cookies(), cookie) {
        (None, _) => Rcode::FORMERR,
        (Some(_), Cookie::Valid) => Rcode::NOERROR,
        (Some(_), _) if asks_for_one => Rcode::NOERROR,
        (Some(_), _) => Rcode::BADCOOKIE,
    }
}
