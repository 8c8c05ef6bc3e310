//! One SOA query: over UDP with three tries, over TCP where UDP says or brings nothing (T9).

use std::io;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::connection::{is_ours, unconnected};
use super::datagram::Datagram;
use super::exchange::silence;
use super::manners::Edns;
use super::seen::{Phase, Seen};
use super::{Inquiry, Probed, Target, Upstream, outgoing, random_id};
use crate::dns::message::Header;
use crate::dns::tsig::StreamVerifier;
use crate::reason::{Code, Reason};
use crate::refresh::TransferKind;
use crate::time::Timestamp;
use crate::transfer::probe::{Probe, ProbeError, SoaAnswer};
use crate::transfer::said::Said;

/// Time-outs of the UDP tries of one probe: growing, then TCP (T9).
const PROBE_TRIES: [Duration; 3] =
    [Duration::from_millis(800), Duration::from_millis(1600), Duration::from_millis(3200)];

impl Upstream {
    /// Asks for the zone's SOA: three tries over UDP, then TCP; TC means TCP at once (with signatures: without them over
    /// UDP, P5); a server that does not take EDNS is asked once more without (T9, B24). Of one that has never answered
    /// with an OPT record silence may mean the same: the last try over UDP is without, and so is a second one over TCP
    /// after a connection that it has closed in silence.
    pub async fn probe(&self, target: &Target, inquiry: &Inquiry) -> (Result<Probed, Reason>, Seen) {
        let mut seen = Seen::new(TransferKind::Soa);
        let began = Instant::now();
        let mut udp_blocked = false;
        let outcome = if target.tls.is_some() {
            // A probe tells who asks for what: it is as private as the transfer (RFC 9103 §9.3.3).
            self.probe_stream(target, inquiry, &mut seen).await
        } else {
            match self.probe_udp(target, inquiry, &mut seen).await {
                UdpProbe::Answered(answer) => Ok(answer),
                UdpProbe::Failed(reason) if inquiry.is_catalog && reason.code == Code::RcodeRefused => {
                    self.probe_stream(target, inquiry, &mut seen).await
                }
                UdpProbe::Failed(reason) => Err(reason),
                UdpProbe::Truncated => self.probe_stream(target, inquiry, &mut seen).await,
                UdpProbe::Silent => {
                    udp_blocked = true;
                    self.probe_stream(target, inquiry, &mut seen).await
                }
            }
        };
        seen.volume.duration = began.elapsed();
        let probed = self.both_ways(target, outcome, &seen).map(|answer| {
            seen.got = Some(TransferKind::Soa);
            seen.volume.records = 1;
            Probed { expire_secs: answer.expire_secs, signature: answer.signature, answer, udp_blocked }
        });
        (probed, seen)
    }

    fn speaks_edns(&self, target: &Target) -> bool {
        self.manners.edns(target.address) != Edns::Refused
    }

    async fn probe_udp(&self, target: &Target, inquiry: &Inquiry, seen: &mut Seen) -> UdpProbe {
        let mut probe = Probe {
            zone: inquiry.zone.clone(),
            id: random_id(),
            edns: self.speaks_edns(target),
            signature: inquiry.signature,
        };
        let mut tries = PROBE_TRIES.into_iter();
        let Some(mut patience) = tries.next() else { return UdpProbe::Silent };
        let mut refused = false;
        let bounds = self.bounds();
        loop {
            self.turn(target, &bounds).await;
            let outcome = match probe_udp_once(target, &probe, patience, seen).await {
                Ok(outcome) => outcome,
                // nothing was asked, so nobody was silent
                Err(error) if is_ours(&error) => return UdpProbe::Failed(unconnected(&error)),
                // Any other error is an ICMP message: nothing listens there over UDP. TCP tells whether anything does.
                Err(_) => return UdpProbe::Silent,
            };
            match outcome {
                Some(Ok(answer)) => {
                    self.learn_edns(target, refused, seen);
                    return UdpProbe::Answered(answer);
                }
                Some(Err(ProbeError::NoEdns(_))) => (probe.edns, refused) = (false, true),
                Some(Err(ProbeError::Truncated)) if probe.signature => probe.signature = false,
                Some(Err(ProbeError::Truncated)) => return UdpProbe::Truncated,
                Some(Err(error)) => return UdpProbe::Failed(error.into()),
                None => match tries.next() {
                    Some(longer) => {
                        patience = longer;
                        if tries.len() == 0 && probe.edns && self.may_choke_on_edns(target) {
                            (probe.edns, refused) = (false, true);
                        }
                    }
                    None => return UdpProbe::Silent,
                },
            }
            probe.id = random_id();
        }
    }

    async fn probe_stream(&self, target: &Target, inquiry: &Inquiry, seen: &mut Seen) -> Result<SoaAnswer, Reason> {
        let mut edns = self.speaks_edns(target);
        let mut refused = false;
        loop {
            match self.probe_stream_once(target, inquiry, edns, seen).await {
                Ok(answer) => {
                    self.learn_edns(target, refused, seen);
                    return Ok(answer);
                }
                Err(ProbeError::NoEdns(_)) => (edns, refused) = (false, true),
                // Not after mere silence: that costs the whole time limit once more.
                Err(ProbeError::Failed(reason))
                    if edns && reason.code == Code::TruncatedStream && self.may_choke_on_edns(target) =>
                {
                    (edns, refused) = (false, true);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn probe_stream_once(
        &self,
        target: &Target,
        inquiry: &Inquiry,
        edns: bool,
        seen: &mut Seen,
    ) -> Result<SoaAnswer, ProbeError> {
        let bounds = self.bounds();
        let probe = |id| Probe { zone: inquiry.zone.clone(), id, edns, signature: inquiry.signature };
        let compose = |id| {
            let probe = probe(id);
            outgoing(target, probe.opt(), |opt| probe.query(opt))
        };
        let asked = self.ask(target, &bounds, Phase::Soa, seen, compose).await;
        let (mut exchange, request_mac) = asked.map_err(ProbeError::Failed)?;
        // A SOA answer is small: slowly is as good as never.
        let whole = timeout(bounds.idle, exchange.next(&bounds)).await;
        let message = whole.unwrap_or_else(|_| Err(silence(bounds.idle))).map_err(ProbeError::Failed)?;
        heard(seen, &message);
        let answer = read_probe(&probe(exchange.id()), &message, target, request_mac)?;
        exchange.finish();
        Ok(answer)
    }

    /// Whether nothing that the primary has said shows that it takes EDNS.
    fn may_choke_on_edns(&self, target: &Target) -> bool {
        self.manners.edns(target.address) == Edns::Unknown
    }

    /// After a good answer: it had an OPT record, or came to a query without one after EDNS was refused.
    fn learn_edns(&self, target: &Target, refused: bool, seen: &Seen) {
        if refused {
            self.manners.learn_edns(target.address, Edns::Refused);
        } else if seen.edns {
            self.manners.learn_edns(target.address, Edns::Spoken);
        }
    }
}

enum UdpProbe {
    Answered(SoaAnswer),
    Failed(Reason),
    Truncated,
    Silent,
}

/// One query from a fresh random port with a fresh random id; `None` is silence. A connected socket takes datagrams from
/// the asked address only (B27), and what does not answer our question is ignored (B9).
async fn probe_udp_once(
    target: &Target,
    probe: &Probe,
    patience: Duration,
    seen: &mut Seen,
) -> io::Result<Option<Result<SoaAnswer, ProbeError>>> {
    let (query, request_mac) = outgoing(target, probe.opt(), |opt| probe.query(opt));
    let asked = Instant::now();
    let datagram = Datagram::send(target, &query).await?;
    seen.reached(Phase::Soa);
    seen.local = datagram.local();
    loop {
        let Some(left) = patience.checked_sub(asked.elapsed()) else { return Ok(None) };
        let Ok(received) = timeout(left, datagram.receive()).await else { return Ok(None) };
        let message = &received?[..];
        match read_probe(probe, message, target, request_mac.clone()) {
            Err(ProbeError::Foreign(_)) => {}
            // Anybody can send an unsigned or badly signed datagram; the true answer may still come. If the primary itself
            // cannot sign, TCP tells how.
            Err(ProbeError::Failed(reason)) if is_tsig(reason.code) => {}
            outcome => {
                seen.round_trip = Some(asked.elapsed());
                heard(seen, message);
                return Ok(Some(outcome));
            }
        }
    }
}

/// Notes a message that answers our question.
fn heard(seen: &mut Seen, message: &[u8]) {
    seen.volume.messages += 1;
    seen.volume.octets += message.len() as u64;
    let said = Said::in_message(message);
    (seen.edns, seen.ede) = (said.edns, said.error);
}

fn is_tsig(code: Code) -> bool {
    code.as_str().starts_with("TSIG_")
}

/// Verifies the signature if one is due, then reads the SOA.
fn read_probe(
    probe: &Probe,
    message: &[u8],
    target: &Target,
    request_mac: Option<Vec<u8>>,
) -> Result<SoaAnswer, ProbeError> {
    let mut unsigned = message.len();
    if let (Some(key), Some(mac)) = (&target.key, request_mac) {
        if Header::read(message).map_or(true, |header| header.id != probe.id) {
            return Err(ProbeError::Foreign("id is another"));
        }
        let mut verifier = StreamVerifier::new(key.clone(), mac);
        unsigned = verifier.verify(message, Timestamp::now()).map_err(ProbeError::Failed)?;
        verifier.finish().map_err(ProbeError::Failed)?;
    }
    probe.read_answer(&message[..unsigned])
}
