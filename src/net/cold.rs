//! What is not an ordinary query: NOTIFY, requests for transfers, everything signed, and questions about zones that
//! are not open to everybody.
//!
//! Called by the UDP workers and the TCP tasks with each message that `answer` hands back. Verifies the signature,
//! asks [`crate::access`], writes the reply, signs it, and says what `control` must know; the caller sends the reply
//! first and only then passes the notice on (BEHAVIOUR N2). It allocates and may log, but never waits.
//!
//! While zones are being read from the disk NOTIFYs get no answer, so that they are sent again, and requests for transfers are
//! put off.
//!
//! RFC 1996 (NOTIFY), RFC 5936 §2.2 and RFC 1995 §2 (requests), RFC 8945 §5 (TSIG), RFC 8914 (why).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::Policy;
use super::counters::{Counters, NotifyOutcome, TransferOutcome};
use super::quiet::Quiet;
use crate::access::{Refusal, Verdict};
use crate::answer::{self, Client, Judged, Outcome, Workspace};
use crate::dns::edns::{EdnsError, ExtendedError, Opt, option};
use crate::dns::message::{self, CLASS_IN, HEADER_OCTETS, Header, MESSAGE_OCTETS_MAX, Notify, Question, Rcode, flag};
use crate::dns::tsig::{self, Verified};
use crate::dns::{Name, RecordType};
use crate::served::{Notice, RefusedFor, Slot, State, Transport, View, ZoneId};
use crate::time::Timestamp;
use crate::transfer::outbound::{self, Outbound};
use crate::zone::Snapshot;

/// What to do with a message that was handed over.
pub(super) enum Done {
    /// Send this.
    Reply(Reply),
    /// Send a zone: TCP only.
    Transfer(Box<TransferRequest>),
    /// Send nothing.
    Drop,
}

/// A reply to a message that was handed over.
pub(super) struct Reply {
    pub(super) octets: Vec<u8>,
    /// To be passed on when the reply is sent.
    pub(super) notice: Option<Notice>,
    /// What it is about, to those who limit how many of a kind a client gets, as [`Workspace::subject`]; `None`: the client
    /// has proved that its address is its own.
    pub(super) subject: Option<u64>,
}

impl Reply {
    /// The reply that only says "ask over TCP" (RFC 2181 §9).
    pub(super) fn shortened(&self) -> Vec<u8> {
        let header = Header::read(&self.octets).unwrap_or_default();
        let mut short = message::reply(&self.octets, header.flags & flag::AA | flag::TC, header.rcode());
        if let Ok(Some(opt)) = Opt::find(&self.octets) {
            opt.append(&mut short);
        }
        short
    }
}

/// [`Reply::subject`] of errors: those of one client are all alike.
const ERRORS: u64 = 0;

/// [`Reply::subject`] of what is said about a whole zone.
fn about(zone: ZoneId) -> u64 {
    u64::from(zone.0)
}

/// A transfer that has been allowed.
pub(super) struct TransferRequest {
    /// The zone.
    pub(super) slot: Arc<Slot>,
    /// What exactly was asked for.
    pub(super) request: outbound::Request,
    /// The request as it came, for an error reply to it.
    pub(super) message: Vec<u8>,
    /// The OPT of the first message of the answer, if the request speaks EDNS.
    pub(super) opt: Option<Opt>,
    /// How it was signed.
    pub(super) signed: Option<Verified>,
}

impl TransferRequest {
    /// SERVFAIL, signed if the request was: there is nothing to send now.
    pub(super) fn unavailable(&self, now: Timestamp) -> Vec<u8> {
        let header = Header::read(&self.message).unwrap_or_default();
        let cookie = self.opt.as_ref().and_then(|opt| opt.option(option::COOKIE)).map(<[u8]>::to_vec);
        let exchange =
            Exchange { request: &self.message, header, signed: self.signed.as_ref(), cookie, is_proved: true, now };
        exchange.reply(0, Rcode::SERVFAIL, Some(ExtendedError::NOT_READY))
    }
}

/// The cold path's own state, one for all listeners.
pub(super) struct Cold {
    pub(super) policy: Arc<Policy>,
    pub(super) counters: Arc<Counters>,
    quiet: Quiet,
    /// Which refused NOTIFYs control has been told of.
    told: Quiet<(ZoneId, IpAddr)>,
}

impl Cold {
    pub(super) fn new(policy: Arc<Policy>, counters: Arc<Counters>) -> Cold {
        Cold { policy, counters, quiet: Quiet::default(), told: Quiet::default() }
    }

    /// Handles a message that [`answer::respond`] handed over: at least a header, and no response.
    pub(super) fn handle(&self, view: &View, client: &Client<'_>, request: &[u8], now: Timestamp) -> Done {
        let Ok(header) = Header::read(request) else {
            return Done::Drop;
        };
        let is_notify = header.opcode() == message::opcode::NOTIFY;
        let question = Question::read(request, HEADER_OCTETS).map(|(question, _)| question);
        let is_transfer = |q: &&Question| matches!(q.qtype, RecordType::AXFR | RecordType::IXFR);
        let transfer = question.as_ref().ok().filter(is_transfer).filter(|_| !is_notify);
        let cookie = self.judge_cookie(client, request, now);
        let unsigned = Exchange {
            request,
            header,
            signed: None,
            is_proved: cookie.as_ref().is_some_and(|judged| judged.is_valid),
            cookie: cookie.map(|judged| judged.reply.to_vec()),
            now,
        };
        let signed = match tsig::verify_request(request, &self.policy.keys.load(), now) {
            Ok(signed) => signed,
            Err(failure) => {
                if is_notify {
                    self.counters.count_notify(NotifyOutcome::BadSignature);
                } else if transfer.is_some() {
                    self.counters.count_transfer(TransferOutcome::Refused);
                }
                if let Some(suppressed) = self.quiet.may_log(client.addr.ip(), now) {
                    tracing::warn!(peer = %client.addr, reason = %failure.reason, suppressed, "signature not accepted");
                }
                return unsigned.done(failure.response(request, unsigned.opt(None).as_ref()), None, ERRORS);
            }
        };
        let exchange = Exchange { signed: signed.as_ref(), ..unsigned };
        if is_notify && !view.is_whole() {
            // "a master periodically sends a NOTIFY request to a slave until [...] a response is received" (RFC 1996 §3.6)
            return Done::Drop;
        }
        if is_notify {
            let (octets, notice) = self.notify(view, client, &exchange);
            let subject = match &notice {
                Some(Notice::Notify { zone, .. }) => about(*zone),
                _ => ERRORS,
            };
            return exchange.done(octets, notice, subject);
        }
        let Some(question) = transfer else { return self.query(view, client, &exchange) };
        self.transfer(view, client, &exchange, question).unwrap_or_else(|reply| {
            self.counters.count_transfer(TransferOutcome::Refused);
            exchange.done(reply, None, ERRORS)
        })
    }

    /// What becomes of the cookie that the request shows, if it does and we speak of them.
    fn judge_cookie(&self, client: &Client<'_>, request: &[u8], now: Timestamp) -> Option<Judged> {
        let cookies = client.identity.cookies()?;
        let opt = Opt::find(request).ok()??;
        cookies.judge_option(opt.option(option::COOKIE)?, client.addr.ip(), now)
    }

    fn notify(&self, view: &View, client: &Client<'_>, exchange: &Exchange<'_>) -> (Vec<u8>, Option<Notice>) {
        let refuse = |outcome, rcode, error| {
            self.counters.count_notify(outcome);
            (exchange.reply(0, rcode, error), None)
        };
        let malformed = |rcode| refuse(NotifyOutcome::Malformed, rcode, None);
        if let Some(rcode) = exchange.edns_error() {
            return malformed(rcode);
        }
        let notify = match Notify::read(exchange.request) {
            Ok(notify) if exchange.header.questions == 1 && !exchange.has_trailing_octets() => notify,
            _ => return malformed(Rcode::FORMERR),
        };
        let slot = view.zone(&notify.zone).filter(|slot| notify.class == CLASS_IN && slot.state() != State::Disabled);
        let key = exchange.key();
        let verdict = match slot.and_then(|slot| self.policy.zone(slot.id())) {
            Some(access) => access.notify(client.addr.ip(), key),
            None => Verdict::NotAuth,
        };
        match (verdict, slot) {
            // after the question who asks: strangers learn nothing about what we understand
            (Verdict::Allow, Some(_)) if notify.qtype != RecordType::SOA => malformed(Rcode::NOTIMP),
            (Verdict::Allow, Some(slot)) => {
                self.counters.count_notify(NotifyOutcome::Accepted);
                let notice = Notice::Notify {
                    zone: slot.id(),
                    from: client.addr,
                    key: key.cloned(),
                    hint: notify.hint,
                    transport: client.transport,
                };
                (exchange.reply(flag::AA, Rcode::NOERROR, None), Some(notice))
            }
            (Verdict::Refuse(refusal), slot) => {
                self.log_refusal("NOTIFY", client.addr, &notify.zone, refusal, exchange);
                let (reply, _) = refuse(NotifyOutcome::Refused, Rcode::REFUSED, Some(ExtendedError::PROHIBITED));
                let untold = |zone| self.told.may_log((zone, client.addr.ip()), exchange.now).is_some();
                let notice = slot.map(|slot| slot.id()).filter(|zone| untold(*zone)).map(|zone| {
                    let why = match refusal {
                        Refusal::Address => RefusedFor::Source,
                        Refusal::Unsigned => RefusedFor::Unsigned,
                        Refusal::Key => RefusedFor::Key,
                    };
                    Notice::Refused { zone, from: client.addr, why }
                });
                (reply, notice)
            }
            (Verdict::NotAuth | Verdict::Allow, _) => {
                if let Some(suppressed) = self.quiet.may_log(client.addr.ip(), exchange.now) {
                    let zone = &notify.zone;
                    tracing::warn!(peer = %client.addr, %zone, suppressed, "NOTIFY for a zone that is not a secondary here");
                }
                refuse(NotifyOutcome::NotAuth, Rcode::NOTAUTH, Some(ExtendedError::NOT_AUTHORITATIVE))
            }
        }
    }

    /// Judges a request for a transfer. `Err` is the reply to a refused one.
    fn transfer(
        &self,
        view: &View,
        client: &Client<'_>,
        exchange: &Exchange<'_>,
        question: &Question,
    ) -> Result<Done, Vec<u8>> {
        let error = |rcode, error| Err(exchange.reply(0, rcode, error));
        if let Some(rcode) = exchange.edns_error() {
            return error(rcode, None);
        }
        let what = if question.qtype == RecordType::AXFR { "AXFR" } else { "IXFR" };
        if question.class != CLASS_IN {
            return error(Rcode::REFUSED, Some(ExtendedError::NOT_AUTHORITATIVE));
        }
        if !view.is_whole() {
            return error(Rcode::SERVFAIL, Some(ExtendedError::NOT_READY));
        }
        let slot = view.zone(&question.name).filter(|slot| slot.state() != State::Disabled);
        let Some(slot) = slot else {
            return error(Rcode::NOTAUTH, Some(ExtendedError::NOT_AUTHORITATIVE));
        };
        // RFC 5936 §4.2 leaves AXFR over UDP undefined
        let over_udp = client.transport == Transport::Udp;
        let request = match outbound::Request::read(exchange.request) {
            Ok(request) if !over_udp || request.theirs.is_some() => request,
            _ => return error(Rcode::FORMERR, None),
        };
        let verdict = match self.policy.zone(slot.id()) {
            Some(access) => access.transfer(client.addr.ip(), exchange.key()),
            None => Verdict::Refuse(Refusal::Address),
        };
        match verdict {
            Verdict::Allow => {}
            Verdict::Refuse(refusal) => {
                self.log_refusal(what, client.addr, &question.name, refusal, exchange);
                return error(Rcode::REFUSED, Some(ExtendedError::PROHIBITED));
            }
            Verdict::NotAuth => return error(Rcode::NOTAUTH, Some(ExtendedError::NOT_AUTHORITATIVE)),
        }
        match (slot.state(), slot.snapshot()) {
            (State::Served, Some(snapshot)) if over_udp => {
                Ok(exchange.done(exchange.lone_soa(request, slot, &snapshot), None, about(slot.id())))
            }
            (State::Served, Some(_)) => Ok(Done::Transfer(Box::new(TransferRequest {
                slot: Arc::clone(slot),
                request,
                message: exchange.request.to_vec(),
                opt: exchange.opt(Some(slot)),
                signed: exchange.signed.cloned(),
            }))),
            (State::Expired | State::Damaged, _) => error(Rcode::SERVFAIL, Some(ExtendedError::INVALID_DATA)),
            _ => error(Rcode::SERVFAIL, Some(ExtendedError::NOT_READY)),
        }
    }

    /// An ordinary question: answered if the zone's rules admit this client with this key, and signed if it was.
    fn query(&self, view: &View, client: &Client<'_>, exchange: &Exchange<'_>) -> Done {
        let judge = |slot: &Slot| match self.policy.zone(slot.id()) {
            Some(access) => access.query(client.addr.ip(), exchange.key()) == Verdict::Allow,
            None => false,
        };
        let mut query = exchange.request.to_vec();
        let mut client = Client { judge: Some(&judge), ..*client };
        if let Some(signed) = exchange.signed {
            tsig::cut(&mut query, signed.unsigned_len);
            client.reserved = signed.key.record_octets() as u16;
        }
        let len = query.len();
        query.resize(MESSAGE_OCTETS_MAX, 0);
        let mut work = Workspace::new();
        match answer::respond(view, &client, &mut work, &mut query, len) {
            Outcome::Reply(len) => {
                query.truncate(len);
                if let Some(signed) = exchange.signed {
                    tsig::sign(&mut query, &signed.key, exchange.now, Some(&signed.mac));
                }
                let subject = (exchange.signed.is_none() && !work.cookie_is_valid()).then(|| work.subject());
                Done::Reply(Reply { octets: query, notice: None, subject })
            }
            Outcome::Drop | Outcome::Hand => Done::Drop,
        }
    }

    fn log_refusal(&self, what: &str, peer: SocketAddr, zone: &Name, refusal: Refusal, exchange: &Exchange<'_>) {
        if let Some(suppressed) = self.quiet.may_log(peer.ip(), exchange.now) {
            let key = exchange.key().map(tracing::field::display);
            tracing::warn!(%peer, %zone, key, cause = ?refusal, suppressed, "{what} refused");
        }
    }
}

/// A request and what its replies need.
struct Exchange<'a> {
    request: &'a [u8],
    header: Header,
    signed: Option<&'a Verified>,
    /// What goes back in the COOKIE option: "the server SHALL [...] include the COOKIE option in the response" (RFC 7873
    /// §5.2.3).
    cookie: Option<Vec<u8>>,
    /// The client has shown a cookie that only we can have given it.
    is_proved: bool,
    now: Timestamp,
}

impl Exchange<'_> {
    fn key(&self) -> Option<&Name> {
        self.signed.map(|signed| &signed.key.name)
    }

    /// A reply about `subject`, where the client has proved itself neither by a signature nor by a cookie.
    fn done(&self, octets: Vec<u8>, notice: Option<Notice>, subject: u64) -> Done {
        let is_limited = self.signed.is_none() && !self.is_proved;
        Done::Reply(Reply { octets, notice, subject: is_limited.then_some(subject) })
    }

    /// The RCODE for a request whose OPT cannot be taken.
    fn edns_error(&self) -> Option<Rcode> {
        match Opt::find(self.request) {
            Ok(Some(opt)) if opt.version != 0 => Some(Rcode::BADVERS),
            Ok(_) => None,
            Err(EdnsError::Several | EdnsError::Owner | EdnsError::Options | EdnsError::Message(_)) => {
                Some(Rcode::FORMERR)
            }
        }
    }

    /// Whether something stands behind a lone question that the counts do not promise.
    fn has_trailing_octets(&self) -> bool {
        let Header { answers, authorities, additionals, .. } = self.header;
        let promised = answers != 0 || authorities != 0 || additionals != 0;
        !promised && Question::read(self.request, HEADER_OCTETS).is_ok_and(|(_, end)| end != self.request.len())
    }

    fn has_edns(&self) -> bool {
        !matches!(Opt::find(self.request), Ok(None) | Err(EdnsError::Message(_)))
    }

    /// The OPT of an answer about `slot`: with the cookie of the client, and with EXPIRE if the request asks for it (RFC 7314
    /// §3.2 names SOA, AXFR and IXFR).
    fn opt(&self, slot: Option<&Slot>) -> Option<Opt> {
        if !self.has_edns() {
            return None;
        }
        let asked = |code| matches!(Opt::find(self.request), Ok(Some(opt)) if opt.option(code).is_some());
        let expire = slot.filter(|_| asked(option::EXPIRE)).and_then(|slot| {
            let soa_expire = || slot.snapshot().map(|snapshot| snapshot.soa().expire);
            slot.expires().map(|at| at.since(self.now).as_secs().min(u64::from(u32::MAX)) as u32).or_else(soa_expire)
        });
        let mut opt = Opt::default();
        if let Some(secs) = expire {
            opt = opt.with_option(option::EXPIRE, &secs.to_be_bytes());
        }
        if let Some(cookie) = &self.cookie {
            opt = opt.with_option(option::COOKIE, cookie);
        }
        Some(opt)
    }

    /// A reply without records, signed if the request was.
    fn reply(&self, bits: u16, rcode: Rcode, error: Option<ExtendedError>) -> Vec<u8> {
        self.finish(message::reply(self.request, bits, rcode), rcode, error, None)
    }

    /// The answer to IXFR over UDP: our SOA alone. If it is newer than theirs it says "use TCP" (RFC 1995 §2: "If the
    /// UDP reply does not fit, the query is responded to with a single SOA record of the server's current version to
    /// inform the client that a TCP query should be initiated").
    fn lone_soa(&self, request: outbound::Request, slot: &Slot, snapshot: &Snapshot) -> Vec<u8> {
        let mut out = Vec::new();
        match Outbound::soa_only(request, snapshot, 0).next(&mut out) {
            Ok(true) => self.finish(out, Rcode::NOERROR, None, Some(slot)),
            _ => self.reply(0, Rcode::SERVFAIL, Some(ExtendedError::NOT_READY)),
        }
    }

    fn finish(&self, mut out: Vec<u8>, rcode: Rcode, error: Option<ExtendedError>, about: Option<&Slot>) -> Vec<u8> {
        if let Some(mut opt) = self.opt(about) {
            opt.extended_rcode = (rcode.0 >> 4) as u8;
            if let Some(error) = error {
                opt = opt.with_error(error, "");
            }
            opt.append(&mut out);
        }
        if let Some(signed) = self.signed {
            tsig::sign(&mut out, &signed.key, self.now, Some(&signed.mac));
        }
        out
    }
}
