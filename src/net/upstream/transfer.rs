//! One AXFR or IXFR, from the query to the last message.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::datagram::Datagram;
use super::manners::Edns;
use super::seen::{Phase, Seen, Transport, Volume};
use super::{Bounds, Order, Target, Transferred, Upstream, outgoing, random_id};
use crate::dns::tsig::StreamVerifier;
use crate::dns::{RecordType, Serial, message};
use crate::reason::{Code, Reason};
use crate::refresh::TransferKind;
use crate::time::Timestamp;
use crate::transfer::inbound::{Asked, Inbound, Progress, Received};
use crate::transfer::probe::expire_wanted;

/// An answer to IXFR over UDP may take this long before TCP is asked.
const UDP_PATIENCE: Duration = Duration::from_millis(1600);

impl Upstream {
    /// Transfers the zone. Nothing is applied here. Ends as up to date once the answer has shown a serial that `wanted`
    /// declines, whatever comes behind it. A server that does not take EDNS is asked once more without (B24).
    pub async fn transfer(
        &self,
        target: &Target,
        order: Order,
        wanted: impl Fn(Serial) -> bool,
    ) -> (Result<Transferred, Reason>, Seen) {
        let bounds = self.bounds();
        let mut seen = Seen::new(match order.asked {
            Asked::Axfr => TransferKind::Axfr,
            Asked::Ixfr { .. } => TransferKind::Ixfr,
        });
        let began = Instant::now();
        if bounds.ixfr_over_udp
            && let Some(transferred) = self.ixfr_over_udp(target, &order, &bounds, &mut seen).await
        {
            seen.volume.duration = began.elapsed();
            return (Ok(transferred), seen);
        }
        let exchange = self.with_or_without_edns(target, order, wanted, &bounds, &mut seen);
        let outcome = timeout(bounds.total, exchange).await.unwrap_or_else(|_| {
            let detail = format!("not complete after {} s ([transfer] total-timeout)", bounds.total.as_secs());
            Err(Reason::new(Code::TotalTimeout, detail))
        });
        seen.volume.duration = began.elapsed();
        (self.both_ways(target, outcome, &seen), seen)
    }

    /// Asks for differences over UDP, once (RFC 1995 §2); `None` if TCP has to tell. Only signed: a forged answer would
    /// change the zone (I8).
    async fn ixfr_over_udp(
        &self,
        target: &Target,
        order: &Order,
        bounds: &Bounds,
        seen: &mut Seen,
    ) -> Option<Transferred> {
        let (Asked::Ixfr { ours }, Some(key), None) = (&order.asked, &target.key, &target.tls) else { return None };
        let edns = self.manners.edns(target.address) != Edns::Refused;
        let id = random_id();
        let (query, request_mac) =
            outgoing(target, edns.then(expire_wanted), |opt| message::ixfr_query(id, &order.zone, ours, opt));
        let verify = |answer: &[u8]| {
            let mut verifier = StreamVerifier::new(key.clone(), request_mac.clone()?);
            let unsigned = verifier.verify(answer, Timestamp::now()).ok()?;
            verifier.finish().ok()?;
            let (zone, asked, limits) = (order.zone.clone(), order.asked.clone(), order.limits);
            let mut inbound = Inbound::new(zone, asked, id, order.hash_key, limits)
                .with_difference_octets_max(order.difference_octets_max);
            // A single newer SOA says that the differences do not fit (RFC 1995 §2): that is no end, and nothing follows.
            let whole = inbound.message(&answer[..unsigned]).ok()? == Progress::Done;
            Some((whole, inbound))
        };
        self.turn(target, bounds).await;
        seen.transport = Transport::Udp;
        let asked = Instant::now();
        let datagram = Datagram::send(target, &query).await.ok()?;
        (seen.local, seen.phase) = (datagram.local(), Phase::Ixfr);
        loop {
            let left = UDP_PATIENCE.checked_sub(asked.elapsed())?;
            let answer = timeout(left, datagram.receive()).await.ok()?.ok()?;
            // Anybody can send a datagram; only what is signed counts, be it the error of a primary that takes no UDP.
            let Some((whole, inbound)) = verify(&answer) else { continue };
            self.octets_in.fetch_add(answer.len() as u64, Ordering::Relaxed);
            if !whole {
                return None;
            }
            seen.round_trip = Some(asked.elapsed());
            note(seen, &inbound);
            let expire_secs = inbound.said().expire_secs;
            return Some(Transferred { received: inbound.finish().ok()?, expire_secs });
        }
    }

    async fn with_or_without_edns(
        &self,
        target: &Target,
        order: Order,
        wanted: impl Fn(Serial) -> bool,
        bounds: &Bounds,
        seen: &mut Seen,
    ) -> Result<Transferred, Reason> {
        let known = self.manners.edns(target.address);
        if known == Edns::Refused {
            return self.exchange(target, order, &wanted, false, bounds, seen).await;
        }
        let outcome = self.exchange(target, order.clone(), &wanted, true, bounds, seen).await;
        match outcome {
            Err(reason) if known == Edns::Unknown && is_about_edns(reason.code, seen) => {
                let outcome = self.exchange(target, order, &wanted, false, bounds, seen).await;
                if outcome.is_ok() {
                    self.manners.learn_edns(target.address, Edns::Refused);
                }
                outcome
            }
            outcome => {
                if seen.edns {
                    self.manners.learn_edns(target.address, Edns::Spoken);
                }
                outcome
            }
        }
    }

    async fn exchange(
        &self,
        target: &Target,
        order: Order,
        wanted: &impl Fn(Serial) -> bool,
        edns: bool,
        bounds: &Bounds,
        seen: &mut Seen,
    ) -> Result<Transferred, Reason> {
        let Order { zone, asked, hash_key, limits, difference_octets_max, sequences_max } = order;
        let compose = |id| {
            outgoing(target, edns.then(expire_wanted), |opt| match &asked {
                Asked::Axfr => message::query(id, &zone, RecordType::AXFR, opt),
                Asked::Ixfr { ours } => message::ixfr_query(id, &zone, ours, opt),
            })
        };
        let phase = Phase::asking(seen.asked);
        let (mut exchange, request_mac) = self.ask(target, bounds, phase, seen, compose).await?;
        let mut verifier = target.key.as_ref().zip(request_mac).map(|(key, mac)| StreamVerifier::new(key.clone(), mac));
        let mut inbound = Inbound::new(zone, asked, exchange.id(), hash_key, limits)
            .with_difference_octets_max(difference_octets_max)
            .with_sequences_max(sequences_max);
        let (mut judged, mut declined) = (false, None);
        loop {
            let message = exchange.next(bounds).await?;
            self.octets_in.fetch_add(message.len() as u64, Ordering::Relaxed);
            let unsigned = match &mut verifier {
                Some(verifier) => verifier.verify(&message, Timestamp::now())?,
                None => message.len(),
            };
            let progress = inbound.message(&message[..unsigned]);
            note(seen, &inbound);
            if progress? == Progress::Done {
                break;
            }
            if !judged && let Some(offered) = inbound.offered() {
                judged = true;
                if !wanted(offered) {
                    declined = Some(offered);
                    break;
                }
            }
        }
        let expire_secs = inbound.said().expire_secs;
        if let Some(serial) = declined {
            // The rest of the answer is still coming: the connection is no good for others.
            return Ok(Transferred { received: Received::UpToDate { serial }, expire_secs });
        }
        if let Some(verifier) = verifier {
            verifier.finish()?;
        }
        exchange.finish();
        Ok(Transferred { received: inbound.finish()?, expire_secs })
    }
}

/// Servers that know no EDNS answer so to the first message (RFC 6891 §7), and without an OPT record of their own; one
/// that knows another version of it says BADVERS (§6.1.3), or something that is meant to be it. NOTIMP is what a server
/// says that knows no IXFR.
fn is_about_edns(code: Code, seen: &Seen) -> bool {
    let first = seen.volume.messages == 1;
    first && (matches!(code, Code::RcodeBadvers | Code::RcodeOther) || code == Code::RcodeFormerr && !seen.edns)
}

/// Notes what has come so far.
fn note(seen: &mut Seen, inbound: &Inbound) {
    let counters = inbound.counters();
    seen.volume = Volume {
        messages: counters.messages,
        records: counters.records,
        octets: counters.octets,
        skipped_out_of_zone: counters.skipped_out_of_zone,
        negative_ttls: counters.negative_ttls,
        duration: seen.volume.duration,
    };
    seen.got = match inbound.form() {
        Some(RecordType::AXFR) => Some(TransferKind::Axfr),
        Some(RecordType::IXFR) => Some(TransferKind::Ixfr),
        Some(_) => Some(TransferKind::Soa),
        None => seen.got,
    };
    let said = inbound.said();
    if said.edns {
        seen.edns = true;
        seen.ede.clone_from(&said.error);
    }
}
