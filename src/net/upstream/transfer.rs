//! One AXFR or IXFR, from the query to the last message.

use std::sync::atomic::Ordering;
use std::time::Instant;

use tokio::time::timeout;

use super::connection::{Pace, read_message};
use super::manners::Edns;
use super::seen::{Phase, Seen, Volume};
use super::{Bounds, Order, Target, Transferred, Upstream, random_id, signed};
use crate::dns::tsig::StreamVerifier;
use crate::dns::{RecordType, Serial, message};
use crate::reason::{Code, Reason};
use crate::refresh::TransferKind;
use crate::time::Timestamp;
use crate::transfer::inbound::{Asked, Inbound, Progress, Received};
use crate::transfer::probe::expire_wanted;

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
        let exchange = self.with_or_without_edns(target, order, wanted, &bounds, &mut seen);
        let outcome = timeout(bounds.total, exchange).await.unwrap_or_else(|_| {
            let detail = format!("not complete after {} s ([transfer] total-timeout)", bounds.total.as_secs());
            Err(Reason::new(Code::TotalTimeout, detail))
        });
        seen.volume.duration = began.elapsed();
        (outcome, seen)
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
        let (id, Order { zone, asked, hash_key, limits, difference_octets_max, sequences_max }) = (random_id(), order);
        let opt = edns.then(expire_wanted);
        let unsigned = match &asked {
            Asked::Axfr => message::query(id, &zone, RecordType::AXFR, opt.as_ref()),
            Asked::Ixfr { ours } => message::ixfr_query(id, &zone, ours, opt.as_ref()),
        };
        let (query, request_mac) = signed(unsigned, target);
        let mut verifier = target.key.as_ref().zip(request_mac).map(|(key, mac)| StreamVerifier::new(key.clone(), mac));
        let mut inbound = Inbound::new(zone, asked, id, hash_key, limits)
            .with_difference_octets_max(difference_octets_max)
            .with_sequences_max(sequences_max);
        let phase = Phase::asking(seen.asked);
        let mut connection = self.ask(target, &query, bounds, phase, seen).await?;
        let (mut message, mut pace, mut judged) = (Vec::new(), Pace::new(), false);
        let mut declined = None;
        loop {
            read_message(&mut connection, &mut message, &mut pace, bounds).await?;
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
            // The rest of the answer is still coming: this connection ends with it.
            return Ok(Transferred { received: Received::UpToDate { serial }, expire_secs });
        }
        if let Some(verifier) = verifier {
            verifier.finish()?;
        }
        // What follows the last message would be an answer to nothing: such a connection is not used again.
        if connection.stream.buffer().is_empty() {
            self.kept.put(target, connection);
        }
        Ok(Transferred { received: inbound.finish()?, expire_secs })
    }
}

/// Servers that know no EDNS answer so to the first message (RFC 6891 §7), and without an OPT record of their own; one
/// that knows another version of it says BADVERS (§6.1.3). NOTIMP is what a server says that knows no IXFR.
fn is_about_edns(code: Code, seen: &Seen) -> bool {
    let first = seen.volume.messages == 1;
    first && (code == Code::RcodeBadvers || code == Code::RcodeFormerr && !seen.edns)
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
