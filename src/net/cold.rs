//! What is not an ordinary query: NOTIFY, requests for transfers, and everything signed.
//!
//! Called by the UDP workers and the TCP tasks with each message that `answer` hands back. Verifies the signature,
//! asks [`crate::access`], writes the reply, signs it, and says what `control` must know; the caller sends the reply
//! first and only then passes the notice on (BEHAVIOUR N2). It allocates and may log, but never waits.
//!
//! RFC 1996 (NOTIFY), RFC 5936 §2.2 and RFC 1995 §2 (requests), RFC 8945 §5 (TSIG), RFC 8914 (why).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::Policy;
use super::counters::{Counters, NotifyOutcome, TransferOutcome};
use super::quiet::Quiet;
use crate::access::{Refusal, Verdict};
use crate::answer::{self, Client, Outcome, Workspace};
use crate::dns::edns::{EdnsError, ExtendedError, Opt};
use crate::dns::message::{self, CLASS_IN, HEADER_OCTETS, Header, MESSAGE_OCTETS_MAX, Notify, Question, Rcode, flag};
use crate::dns::tsig::{self, Verified};
use crate::dns::{Name, RecordType};
use crate::served::{Notice, RefusedFor, Slot, State, Transport, View, ZoneId};
use crate::time::Timestamp;
use crate::transfer::outbound::{self, Outbound};
use crate::zone::Snapshot;

/// What to do with a message that was handed over.
pub(super) enum Done {
    /// Send this; then pass the notice on, if there is one.
    Reply(Vec<u8>, Option<Notice>),
    /// Send a zone: TCP only.
    Transfer(Box<TransferRequest>),
    /// Send nothing.
    Drop,
}

/// A transfer that has been allowed.
pub(super) struct TransferRequest {
    /// The zone.
    pub(super) slot: Arc<Slot>,
    /// What exactly was asked for.
    pub(super) request: outbound::Request,
    /// The request as it came, for an error reply to it.
    pub(super) message: Vec<u8>,
    /// Whether it speaks EDNS, so that the first message of the answer carries an OPT.
    pub(super) has_edns: bool,
    /// How it was signed.
    pub(super) signed: Option<Verified>,
}

impl TransferRequest {
    /// SERVFAIL, signed if the request was: there is nothing to send now.
    pub(super) fn unavailable(&self, now: Timestamp) -> Vec<u8> {
        let header = Header::read(&self.message).unwrap_or_default();
        let exchange = Exchange { request: &self.message, header, signed: self.signed.as_ref(), now };
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
    pub(super) fn handle(&self, view: &View, client: &Client, request: &[u8], now: Timestamp) -> Done {
        let Ok(header) = Header::read(request) else {
            return Done::Drop;
        };
        let is_notify = header.opcode() == message::opcode::NOTIFY;
        let signed = match tsig::verify_request(request, &self.policy.keys.load(), now) {
            Ok(signed) => signed,
            Err(failure) => {
                if is_notify {
                    self.counters.count_notify(NotifyOutcome::BadSignature);
                } else {
                    self.counters.count_transfer(TransferOutcome::Refused);
                }
                if let Some(suppressed) = self.quiet.may_log(client.addr.ip(), now) {
                    tracing::warn!(peer = %client.addr, reason = %failure.reason, suppressed, "signature not accepted");
                }
                return Done::Reply(failure.response(request), None);
            }
        };
        let exchange = Exchange { request, header, signed: signed.as_ref(), now };
        if is_notify {
            let (reply, notice) = self.notify(view, client, &exchange);
            return Done::Reply(reply, notice);
        }
        let is_transfer = |q: &Question| matches!(q.qtype, RecordType::AXFR | RecordType::IXFR);
        match Question::read(request, HEADER_OCTETS) {
            Ok((question, _)) if is_transfer(&question) => {
                let done = self.transfer(view, client, &exchange, &question);
                done.unwrap_or_else(|reply| {
                    self.counters.count_transfer(TransferOutcome::Refused);
                    Done::Reply(reply, None)
                })
            }
            _ => signed_query(view, client, &exchange),
        }
    }

    fn notify(&self, view: &View, client: &Client, exchange: &Exchange<'_>) -> (Vec<u8>, Option<Notice>) {
        let refuse = |outcome, rcode, error| {
            self.counters.count_notify(outcome);
            (exchange.reply(0, rcode, error), None)
        };
        let malformed = |rcode| refuse(NotifyOutcome::Malformed, rcode, None);
        if let Some(rcode) = exchange.edns_error() {
            return malformed(rcode);
        }
        let notify = match Notify::read(exchange.request) {
            Ok(notify) if exchange.header.questions == 1 => notify,
            _ => return malformed(Rcode::FORMERR),
        };
        if notify.qtype != RecordType::SOA {
            return malformed(Rcode::NOTIMP);
        }
        let slot = view.zone(&notify.zone).filter(|slot| notify.class == CLASS_IN && slot.state() != State::Disabled);
        let key = exchange.key();
        let verdict = match slot.and_then(|slot| self.policy.zone(slot.id())) {
            Some(access) => access.notify(client.addr.ip(), key),
            None => Verdict::NotAuth,
        };
        match (verdict, slot) {
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
        client: &Client,
        exchange: &Exchange<'_>,
        question: &Question,
    ) -> Result<Done, Vec<u8>> {
        let error = |rcode, error| Err(exchange.reply(0, rcode, error));
        if let Some(rcode) = exchange.edns_error() {
            return error(rcode, None);
        }
        let what = if question.qtype == RecordType::AXFR { "AXFR" } else { "IXFR" };
        // RFC 5936 §4.2 leaves AXFR over UDP undefined
        let over_udp = client.transport == Transport::Udp;
        let request = match outbound::Request::read(exchange.request) {
            Ok(request) if !over_udp || request.theirs.is_some() => request,
            _ => return error(Rcode::FORMERR, None),
        };
        let slot = view.zone(&request.zone).filter(|slot| slot.state() != State::Disabled);
        let Some(slot) = slot else {
            return error(Rcode::NOTAUTH, Some(ExtendedError::NOT_AUTHORITATIVE));
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
            (State::Served, Some(snapshot)) if over_udp => Ok(Done::Reply(exchange.lone_soa(request, &snapshot), None)),
            (State::Served, Some(_)) => Ok(Done::Transfer(Box::new(TransferRequest {
                slot: Arc::clone(slot),
                request,
                message: exchange.request.to_vec(),
                has_edns: exchange.has_edns(),
                signed: exchange.signed.cloned(),
            }))),
            (State::Expired | State::Damaged, _) => error(Rcode::SERVFAIL, Some(ExtendedError::INVALID_DATA)),
            _ => error(Rcode::SERVFAIL, Some(ExtendedError::NOT_READY)),
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
    now: Timestamp,
}

impl Exchange<'_> {
    fn key(&self) -> Option<&Name> {
        self.signed.map(|signed| &signed.key.name)
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

    fn has_edns(&self) -> bool {
        !matches!(Opt::find(self.request), Ok(None) | Err(EdnsError::Message(_)))
    }

    /// A reply without records, signed if the request was.
    fn reply(&self, bits: u16, rcode: Rcode, error: Option<ExtendedError>) -> Vec<u8> {
        self.finish(message::reply(self.request, bits, rcode), rcode, error)
    }

    /// The answer to IXFR over UDP: our SOA alone. If it is newer than theirs it says "use TCP" (RFC 1995 §2: "If the
    /// UDP reply does not fit, the query is responded to with a single SOA record of the server's current version to
    /// inform the client that a TCP query should be initiated").
    fn lone_soa(&self, request: outbound::Request, snapshot: &Snapshot) -> Vec<u8> {
        let mut out = Vec::new();
        match Outbound::soa_only(request, snapshot, 0).next(&mut out) {
            Ok(true) => self.finish(out, Rcode::NOERROR, None),
            _ => self.reply(0, Rcode::SERVFAIL, Some(ExtendedError::NOT_READY)),
        }
    }

    fn finish(&self, mut out: Vec<u8>, rcode: Rcode, error: Option<ExtendedError>) -> Vec<u8> {
        if self.has_edns() {
            let mut opt = Opt::default();
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

/// An ordinary query with a good signature: answered like any other, then signed.
fn signed_query(view: &View, client: &Client, exchange: &Exchange<'_>) -> Done {
    let Some(signed) = exchange.signed else {
        return Done::Drop;
    };
    let mut query = exchange.request.to_vec();
    tsig::cut(&mut query, signed.unsigned_len);
    let len = query.len();
    query.resize(MESSAGE_OCTETS_MAX, 0);
    let client = Client { reserved: signed.key.record_octets() as u16, ..*client };
    match answer::respond(view, &client, &mut Workspace::new(), &mut query, len) {
        Outcome::Reply(len) => {
            query.truncate(len);
            tsig::sign(&mut query, &signed.key, exchange.now, Some(&signed.mac));
            Done::Reply(query, None)
        }
        Outcome::Drop | Outcome::Hand => Done::Drop,
    }
}
