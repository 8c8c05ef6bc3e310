//! Starting exchanges: what waits in the queues becomes a task when its turn has come.
//!
//! In: jobs that [`Keeper::follow_up`] has put into the queues. Out: one task a job, which ends as an [`Event`]; or an event at
//! once, if the primary cannot be asked as it is configured. Called by the keeper after each turn of events.

use tokio::sync::oneshot;

use crate::config::Config;
use crate::net::upstream::{Inquiry, Seen, Target};
use crate::net::{self, Policy};
use crate::reason::{Code, Reason};
use crate::refresh::{Accept, TransferKind, Urgency, unreachable};
use crate::time::Timestamp;
use crate::zone::ContentPolicy;

use super::definition::{Primary, Transport};
use super::event::{Arrival, Course, Event, Exchange};
use super::exchange::{self, Job, Profiles};
use super::keeper::Keeper;
use super::{queue, review, terms};

/// SOA probes in flight, in all and at one primary: a probe costs one socket and one datagram.
pub const PROBES: usize = 512;
const PROBES_PER_PRIMARY: usize = 128;
/// Probes that need not be made, passed over before events are handled again: at a start there may be 100,000.
const IDLE_PER_TURN: usize = 256;

/// A transfer that waits for its turn.
#[derive(Debug)]
pub(super) struct TransferJob {
    pub(super) exchange: Exchange,
    pub(super) kind: TransferKind,
    pub(super) accept: Accept,
    pub(super) urgency: Urgency,
}

/// A probe that waits for its turn.
#[derive(Debug)]
pub(super) struct ProbeJob {
    pub(super) exchange: Exchange,
    pub(super) urgency: Urgency,
}

impl Keeper {
    pub(super) fn set_queue_limits(&mut self) {
        self.probes.set_bounds(probe_bounds(&self.config));
        self.transfers.set_bounds(transfer_bounds(&self.config));
    }

    /// Starts every job whose turn has come; true if some are left because there are so many that were none.
    pub(super) fn start_jobs(&mut self) -> bool {
        let now = Timestamp::now();
        let mut idle = 0;
        while idle < IDLE_PER_TURN
            && let Some((address, job)) = self.probes.start_next(now)
        {
            if !self.start_probe(job) {
                self.probes.not_started(address);
                idle += 1;
            }
        }
        // What cannot be kept need not be fetched yet: each version that ends lets the next ones start.
        while self.store.has_room()
            && let Some((address, job)) = self.transfers.start_next(now)
        {
            if !self.start_transfer(job) {
                self.transfers.not_started(address);
            }
        }
        idle == IDLE_PER_TURN
    }

    /// False if nothing was started: the zone has gone, the primary is known to be dead, or the answer would tell nothing.
    fn start_probe(&mut self, job: ProbeJob) -> bool {
        let ProbeJob { exchange, urgency } = job;
        let target = match self.begin(&exchange, urgency, unreachable::Exchange::Probe) {
            None => return false,
            Some(Ok(target)) => target,
            Some(Err(reason)) => {
                let course = Course { trigger: urgency, started: Timestamp::now(), seen: Seen::new(TransferKind::Soa) };
                let _ = self.events.send(Event::Probed(exchange, Box::new(course), Err(reason)));
                return true;
            }
        };
        if urgency == Urgency::Initial && self.unreachable.answers(exchange.address, Timestamp::now()) {
            // The queue of transfers is as fair as that of probes, and what the primary refuses it refuses there, too.
            let zone = self.zones.get_mut(&exchange.zone).expect("its exchange has just begun");
            if zone.refresh.spare_probe(exchange.primary) {
                self.follow_up(exchange.zone);
                return false;
            }
        }
        let definition = &self.zones[&exchange.zone].definition;
        let inquiry = Inquiry {
            zone: definition.name.clone(),
            signature: self.config.transfer.detect_resigned,
            is_catalog: definition.catalog.is_some(),
        };
        let (upstream, events, started) = (self.upstream.clone(), self.events.clone(), Timestamp::now());
        tokio::spawn(async move {
            let (outcome, seen) = upstream.probe(&target, &inquiry).await;
            let course = Course { trigger: urgency, started, seen };
            // Nobody listens any more when the daemon stops.
            let _ = events.send(Event::Probed(exchange, Box::new(course), outcome));
        });
        self.show(exchange.zone);
        true
    }

    /// Begins an exchange whose turn has come; the target, or why it cannot be asked as configured. `None`: it must not
    /// start.
    fn begin(
        &mut self,
        exchange: &Exchange,
        urgency: Urgency,
        kind: unreachable::Exchange,
    ) -> Option<Result<Target, Reason>> {
        if !self.may_start(exchange, urgency, kind) {
            return None;
        }
        let zone = self.zones.get_mut(&exchange.zone)?;
        zone.refresh.handle_started(exchange.primary, kind);
        Some(target(&self.config, &self.policy, &mut self.profiles, &zone.definition.primaries[exchange.primary]))
    }

    /// Whether an exchange whose turn has come may start: its zone still has this list of primaries, and the address is
    /// not known to be dead. Asked at the turn, not before, so that what waited behind the first failure does not pay for
    /// it again (P2). Operators always may.
    fn may_start(&mut self, exchange: &Exchange, urgency: Urgency, kind: unreachable::Exchange) -> bool {
        let now = Timestamp::now();
        let Some(zone) = self.zones.get_mut(&exchange.zone).filter(|zone| zone.epoch == exchange.epoch) else {
            return false;
        };
        let is_stale = kind == unreachable::Exchange::Probe && !zone.refresh.is_waiting(exchange.primary);
        if is_stale || self.removing.contains(&exchange.zone) {
            return false;
        }
        if urgency == Urgency::Operator {
            return true;
        }
        match self.unreachable.check(exchange.address, now) {
            Ok(()) => true,
            Err(blocked) => {
                zone.refresh.handle_unreachable(now, exchange.primary, kind, blocked);
                self.follow_up(exchange.zone);
                false
            }
        }
    }

    fn start_transfer(&mut self, job: TransferJob) -> bool {
        let TransferJob { exchange, kind, accept, urgency } = job;
        let target = match self.begin(&exchange, urgency, unreachable::Exchange::Transfer) {
            None => return false,
            Some(Ok(target)) => target,
            Some(Err(reason)) => {
                let course = Course { trigger: urgency, started: Timestamp::now(), seen: Seen::new(kind) };
                let _ = self.events.send(Event::Transferred(exchange, Box::new(course), accept, Err(reason)));
                return true;
            }
        };
        let zone = self.zones.get_mut(&exchange.zone).expect("its exchange has just begun");
        // Somebody who asks for the whole zone again wants it judged again, too.
        let is_forced = urgency == Urgency::Operator && kind == TransferKind::Axfr;
        let offered = zone.refresh.expected(exchange.primary);
        if let Some(reason) = offered.filter(|_| !is_forced).and_then(|serial| zone.review.objection_to(serial)) {
            let course = Course { trigger: urgency, started: Timestamp::now(), seen: Seen::new(kind) };
            let _ = self.events.send(Event::Transferred(exchange, Box::new(course), accept, Err(reason)));
            return true;
        }
        let policy = review::Policy {
            guard: self.config.guard_of(zone.definition.policy.as_deref()),
            hook: self.config.hook_of(zone.definition.policy.as_deref()),
            hooks: self.hooks.clone(),
            survey: zone.survey.as_deref().cloned(),
            is_catalog: zone.definition.catalog.is_some(),
        };
        let base = zone.newest_version();
        let job = Job {
            refused: zone.review.known_serial().filter(|_| !is_forced),
            zone: zone.definition.name.clone(),
            target,
            base: base.clone(),
            incremental: kind == TransferKind::Ixfr,
            hash_key: self.store.hash_key(),
            accept,
            limits: terms::limits(&self.config),
            policy: ContentPolicy::default(),
            // Of one and the same history only: what another primary removes may never have been here (P4).
            sequences_max: self.config.transfer.max_ixfr_sequences,
            lenient: self.config.transfer.lenient_ixfr && zone.refresh.source() == Some(exchange.primary),
        };
        let (cancel, cancelled) = oneshot::channel();
        zone.transfer = Some(cancel);
        let (upstream, events, started) = (self.upstream.clone(), self.events.clone(), Timestamp::now());
        tokio::spawn(async move {
            let waiting = events.clone();
            let reviewed = async {
                let (outcome, seen) = exchange::transfer(&upstream, job).await;
                let Arrival { volume, expire_secs, contents } = match outcome {
                    Ok(arrival) => arrival,
                    Err(reason) => return (Err(reason), seen),
                };
                // Nobody listens any more when the daemon stops.
                let waiting = || drop(waiting.send(Event::Reviewing(exchange)));
                let contents = review::review(contents, base, &policy, waiting).await;
                (contents.map(|contents| Arrival { volume, expire_secs, contents }), seen)
            };
            let (outcome, seen) = tokio::select! {
                ended = reviewed => ended,
                _ = cancelled => {
                    (Err(Reason::new(Code::Cancelled, "the zone or its primaries were changed")), Seen::new(kind))
                }
            };
            let course = Course { trigger: urgency, started, seen };
            let _ = events.send(Event::Transferred(exchange, Box::new(course), accept, outcome));
        });
        self.show(exchange.zone);
        true
    }
}

/// Where the primary of an exchange is and how its messages are signed.
pub(super) fn target(
    config: &Config,
    policy: &Policy,
    profiles: &mut Profiles,
    primary: &Primary,
) -> Result<Target, Reason> {
    if let Some(listening) = net::listens_at(primary.address, &config.dns.listen) {
        return Err(Reason::new(Code::Loop, format!("[dns] listen has {listening}")));
    }
    let key = match &primary.tsig_key {
        None => None,
        Some(name) => match policy.keys.load().find(name) {
            Some(key) => Some(key.clone()),
            None => return Err(Reason::new(Code::TsigBadKey, format!("no [tsig-key.{name}] is configured"))),
        },
    };
    let tls = match primary.transport {
        Transport::Tcp => None,
        Transport::Tls => Some(profiles.at(config, primary.address)),
    };
    Ok(Target { address: primary.address, source: primary.source, key, tls })
}

pub(super) fn probe_bounds(config: &Config) -> queue::Bounds {
    let per_second = config.transfer.queries_per_second;
    queue::Bounds { in_flight_max: PROBES, per_primary_max: PROBES_PER_PRIMARY, per_second }
}

pub(super) fn transfer_bounds(config: &Config) -> queue::Bounds {
    let t = &config.transfer;
    // Each update of a zone that is announced by NOTIFY is a transfer: no rate but that of the primary bounds them.
    queue::Bounds { in_flight_max: t.concurrency, per_primary_max: t.concurrency_per_primary, per_second: 0 }
}
