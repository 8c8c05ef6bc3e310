//! The keeper: one task that owns the state of every zone and handles one [`Event`] after the other.
//!
//! In: events. Out: started exchanges, commits, durable confirmations and statuses, the read model. Never waits for
//! network or disk: whatever takes time runs elsewhere and comes back as an event.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::config::Config;
use crate::dns::Name;
use crate::net::upstream::{Bounds, Target, Upstream};
use crate::net::{self, Policy};
use crate::reason::{Code, Reason};
use crate::refresh::{self, Accept, Action, TransferKind, Urgency, unreachable};
use crate::served::{InboxReader, Notice, Publisher, State, ZoneId};
use crate::store::{Store, Write};
use crate::telemetry;
use crate::time::Timestamp;
use crate::zone::{ContentPolicy, Limits};

use super::event::{Arrival, Event, Exchange};
use super::exchange::{self, Job};
use super::load::confirmation_bytes;
use super::local::LocalDesk;
use super::queue::Queue;
use super::schedule::Schedule;
use super::status::Board;
use super::zones::Zone;

/// Events handled before timers and waiting jobs are looked at again.
const EVENTS_PER_TURN: usize = 256;
/// SOA probes in flight, in all and at one primary: a probe costs one socket and one datagram.
const PROBES: usize = 512;
const PROBES_PER_PRIMARY: usize = 128;
/// After a line about a NOTIFY, further ones of the zone are for debugging only: anybody who can forge the address of a
/// primary could fill the log. What they lead to is logged as ever.
const NOTIFY_LINE_GAP: Duration = Duration::from_secs(10);
/// How often kept but unused connections are closed.
const TIDY: Duration = Duration::from_secs(5);

/// What the control side is made of; given by the daemon.
pub struct Parts {
    /// The configuration it starts with.
    pub config: Arc<Config>,
    /// The only writer of what workers see.
    pub publisher: Publisher,
    /// Access lists and keys of `net`.
    pub policy: Arc<Policy>,
    /// What workers have seen.
    pub inbox: InboxReader,
    /// The durable side.
    pub store: Arc<Store>,
}

/// A transfer that waits for its turn.
#[derive(Debug)]
struct TransferJob {
    exchange: Exchange,
    kind: TransferKind,
    accept: Accept,
    urgency: Urgency,
}

/// A probe that waits for its turn.
#[derive(Debug)]
struct ProbeJob {
    exchange: Exchange,
    urgency: Urgency,
}

pub(super) struct Keeper {
    pub(super) config: Arc<Config>,
    pub(super) settings: Arc<refresh::Settings>,
    pub(super) zones: HashMap<ZoneId, Zone>,
    pub(super) names: HashMap<Name, ZoneId>,
    /// Names whose definitions are on their way to the disk.
    pub(super) creating: HashSet<Name>,
    /// Their identities.
    pub(super) creating_ids: HashSet<Uuid>,
    pub(super) board: Arc<Board>,
    pub(super) publisher: Publisher,
    pub(super) policy: Arc<Policy>,
    pub(super) store: Arc<Store>,
    pub(super) upstream: Arc<Upstream>,
    pub(super) events: mpsc::UnboundedSender<Event>,
    pub(super) schedule: Schedule,
    pub(super) unreachable: unreachable::Cache,
    pub(super) next_id: u32,
    pub(super) generation: u64,
    /// Local zones.
    pub(super) local: LocalDesk,
    inbox: InboxReader,
    probes: Queue<ProbeJob>,
    transfers: Queue<TransferJob>,
}

impl Keeper {
    pub(super) fn new(
        parts: Parts,
        upstream: Arc<Upstream>,
        board: Arc<Board>,
        events: mpsc::UnboundedSender<Event>,
    ) -> Keeper {
        let Parts { config, publisher, policy, inbox, store } = parts;
        Keeper {
            settings: Arc::new(settings(&config)),
            probes: Queue::new(PROBES, PROBES_PER_PRIMARY),
            transfers: Queue::new(config.transfer.concurrency, config.transfer.concurrency_per_primary),
            zones: HashMap::new(),
            names: HashMap::new(),
            creating: HashSet::new(),
            creating_ids: HashSet::new(),
            schedule: Schedule::default(),
            unreachable: unreachable::Cache::new(),
            next_id: super::definition::FIRST_ZONE_ID,
            // Above every generation of an earlier run, so that an old entity tag never matches by accident.
            generation: Timestamp::now().0,
            local: LocalDesk::default(),
            config,
            board,
            publisher,
            policy,
            store,
            upstream,
            events,
            inbox,
        }
    }

    /// Handles events until told to stop.
    pub(super) async fn run(mut self, mut events: mpsc::UnboundedReceiver<Event>) {
        let mut tidy = tokio::time::interval(TIDY);
        loop {
            let wait = self.schedule.next().map_or(TIDY, |at| at.since(Timestamp::now()));
            let event = tokio::select! {
                event = events.recv() => event,
                () = tokio::time::sleep(wait) => None,
                _ = tidy.tick() => {
                    self.upstream.drop_unused();
                    None
                }
            };
            let more = std::iter::from_fn(|| events.try_recv().ok()).take(EVENTS_PER_TURN);
            for event in event.into_iter().chain(more) {
                if matches!(event, Event::Shutdown) {
                    return;
                }
                self.handle(event);
            }
            self.run_timers();
            self.start_jobs();
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Command(command) => self.command(command),
            Event::Written(written, outcome) => self.written(written, outcome),
            Event::Inbox => self.read_inbox(),
            Event::Probed(exchange, outcome) => self.probed(exchange, outcome),
            Event::Transferred(exchange, accept, outcome) => self.transferred(exchange, accept, outcome),
            Event::Stored { zone, serial, unpublished, outcome } => self.stored(zone, serial, unpublished, outcome),
            Event::LocalStored(finished, outcome) => self.local_stored(*finished, outcome),
            Event::Reload(config) => self.reload(*config),
            Event::Shutdown => {}
        }
    }

    fn read_inbox(&mut self) {
        let now = Timestamp::now();
        while let Some(Notice::Notify { zone, from, key, hint, .. }) = self.inbox.try_next() {
            let Some(state) = self.zones.get_mut(&zone) else { continue };
            let sender = state.primary_at(from.ip(), key.as_ref());
            if let Some(primary) = sender {
                self.unreachable.heard_from(state.exchange(primary).address, now);
            }
            let (name, serial) = (&state.definition.name, hint.map(|s| s.0));
            if state.notify_shown.is_none_or(|shown| now.since(shown) >= NOTIFY_LINE_GAP) {
                state.notify_shown = Some(now);
                tracing::info!(zone = %name, peer = %from, serial, op = "notify", "NOTIFY");
            } else {
                tracing::debug!(zone = %name, peer = %from, serial, op = "notify", "NOTIFY");
            }
            state.refresh.handle_notify(now, sender, hint);
            self.follow_up(zone);
        }
        if self.inbox.take_sweep() {
            tracing::warn!("more NOTIFYs came than could be kept; every zone is checked instead");
            for zone in self.zones.keys().copied().collect::<Vec<_>>() {
                self.zones.get_mut(&zone).expect("its key was just listed").refresh.handle_notify(now, None, None);
                self.follow_up(zone);
            }
        }
    }

    fn run_timers(&mut self) {
        let now = Timestamp::now();
        while let Some(zone) = self.schedule.pop_due(now) {
            let Some(state) = self.zones.get_mut(&zone) else { continue };
            state.armed = None;
            state.refresh.handle_timeout(now);
            if state.unstored.as_ref().is_some_and(|unstored| unstored.again_at <= now) {
                self.rewrite(zone);
            }
            self.follow_up(zone);
        }
    }

    fn probed(&mut self, exchange: Exchange, outcome: Result<net::upstream::Probed, Reason>) {
        let now = Timestamp::now();
        self.probes.finished(exchange.address);
        let code = outcome.as_ref().map(|_| ()).map_err(|reason| reason.code);
        self.unreachable.ended(exchange.address, unreachable::Exchange::Probe, code, now);
        let Some(state) = self.current(&exchange) else { return };
        log_failure("soa", state, &exchange, &outcome);
        if let Ok(probed) = &outcome {
            state.refresh.note_udp_blocked(exchange.primary, probed.udp_blocked);
        }
        let probed = outcome.map(|p| refresh::Probed { serial: p.answer.serial, expire_option: p.answer.expire_secs });
        state.refresh.handle_probe(now, exchange.primary, probed);
        self.follow_up(exchange.zone);
    }

    fn transferred(&mut self, exchange: Exchange, accept: Accept, outcome: Result<Arrival, Reason>) {
        let now = Timestamp::now();
        self.transfers.finished(exchange.address);
        let code = outcome.as_ref().map(|_| ()).map_err(|reason| reason.code);
        self.unreachable.ended(exchange.address, unreachable::Exchange::Transfer, code, now);
        let Some(state) = self.current(&exchange) else { return };
        state.transfer = None;
        log_failure("transfer", state, &exchange, &outcome);
        let outcome = outcome.and_then(|arrival| self.take(&exchange, accept, arrival));
        let state = self.zones.get_mut(&exchange.zone).expect("taking contents removes no zone");
        state.refresh.handle_transfer(now, exchange.primary, outcome);
        self.follow_up(exchange.zone);
    }

    /// The zone of an exchange, unless it has gone or its primaries were changed meanwhile.
    fn current(&mut self, exchange: &Exchange) -> Option<&mut Zone> {
        self.zones.get_mut(&exchange.zone).filter(|zone| zone.epoch == exchange.epoch)
    }

    /// Does what the zone's machine wants done now, arms its timer and shows how it stands.
    pub(super) fn follow_up(&mut self, id: ZoneId) {
        let Some(zone) = self.zones.get_mut(&id) else { return };
        while let Some(action) = zone.refresh.poll_action() {
            match action {
                Action::Probe { primary, urgency } => {
                    let exchange = zone.exchange(primary);
                    self.probes.push(urgency, exchange.address, ProbeJob { exchange, urgency });
                    zone.refresh.handle_waiting(primary);
                }
                Action::Transfer { primary, kind, accept, urgency } => {
                    let exchange = zone.exchange(primary);
                    let job = TransferJob { exchange, kind, accept, urgency };
                    self.transfers.push(urgency, exchange.address, job);
                    zone.refresh.handle_waiting(primary);
                }
                Action::Expire => {
                    tracing::warn!(zone = %zone.definition.name, serial = zone.served.map(|s| s.0), "zone has expired: no primary has confirmed it in time; it is answered with SERVFAIL");
                    self.publisher.set_state(&zone.slot, State::Expired);
                }
                Action::Confirm { .. } => {
                    // An expired zone that was confirmed is served again from what is there (T5).
                    if zone.slot.state() == State::Expired && zone.served.is_some() {
                        self.publisher.set_state(&zone.slot, State::Served);
                    }
                    self.publisher.set_expires(&zone.slot, zone.refresh.expires());
                    if let Some(confirmation) = zone.refresh.confirmation() {
                        let bytes = confirmation_bytes(&confirmation);
                        self.store.submit(Write::Confirm { zone: id.0, bytes }, report("confirmation"));
                    }
                }
            }
        }
        let again_at = zone.unstored.as_ref().map(|unstored| unstored.again_at);
        let wanted = [zone.refresh.poll_timeout(), again_at].into_iter().flatten().min();
        self.schedule.arm(id, &mut zone.armed, wanted);
        while let Some(index) = zone.refresh.poll_changed() {
            let Some(state) = zone.refresh.primary(index) else { continue };
            let bytes = serde_json::to_vec(state).expect("a status is plain data");
            let write = Write::Primary { zone: id.0, index: index as u16, bytes };
            self.store.submit(write, report("status of a primary"));
        }
        self.show(id);
    }

    /// Puts the zone as it stands on the board.
    fn show(&mut self, id: ZoneId) {
        let Some(zone) = self.zones.get(&id) else { return };
        let shown = zone.view.status();
        let mut status = zone.status(shown.generation);
        if status != *shown {
            self.generation += 1;
            status.generation = self.generation;
            zone.view.replace(status);
        }
    }

    pub(super) fn set_queue_limits(&mut self) {
        let t = &self.config.transfer;
        self.transfers.set_limits(t.concurrency, t.concurrency_per_primary);
    }

    /// Starts every job whose turn has come.
    fn start_jobs(&mut self) {
        while let Some((address, job)) = self.probes.start_next() {
            if !self.start_probe(job) {
                self.probes.finished(address);
            }
        }
        while let Some((address, job)) = self.transfers.start_next() {
            if !self.start_transfer(job) {
                self.transfers.finished(address);
            }
        }
    }

    /// False if nothing was started: the zone has gone, or the primary is known to be dead.
    fn start_probe(&mut self, job: ProbeJob) -> bool {
        let ProbeJob { exchange, urgency } = job;
        let target = match self.begin(&exchange, urgency, unreachable::Exchange::Probe) {
            None => return false,
            Some(Ok(target)) => target,
            Some(Err(reason)) => {
                let _ = self.events.send(Event::Probed(exchange, Err(reason)));
                return true;
            }
        };
        let name = self.zones[&exchange.zone].definition.name.clone();
        let (upstream, events) = (self.upstream.clone(), self.events.clone());
        tokio::spawn(async move {
            let outcome = upstream.probe(&target, &name).await;
            // Nobody listens any more when the daemon stops.
            let _ = events.send(Event::Probed(exchange, outcome));
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
        zone.refresh.handle_started(exchange.primary);
        Some(target(&self.config, &self.policy, zone, exchange.primary))
    }

    /// Whether an exchange whose turn has come may start: its zone still has this list of primaries, and the address is
    /// not known to be dead. Asked at the turn, not before, so that what waited behind the first failure does not pay for
    /// it again (P2). Operators always may.
    fn may_start(&mut self, exchange: &Exchange, urgency: Urgency, kind: unreachable::Exchange) -> bool {
        let now = Timestamp::now();
        let Some(zone) = self.zones.get_mut(&exchange.zone).filter(|zone| zone.epoch == exchange.epoch) else {
            return false;
        };
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
                let _ = self.events.send(Event::Transferred(exchange, accept, Err(reason)));
                return true;
            }
        };
        let zone = self.zones.get_mut(&exchange.zone).expect("its exchange has just begun");
        let job = Job {
            zone: zone.definition.name.clone(),
            target,
            base: zone.slot.snapshot(),
            incremental: kind == TransferKind::Ixfr,
            hash_key: self.store.hash_key(),
            accept,
            limits: limits(&self.config),
            policy: ContentPolicy::default(),
        };
        let (cancel, cancelled) = oneshot::channel();
        zone.transfer = Some(cancel);
        let (upstream, events) = (self.upstream.clone(), self.events.clone());
        tokio::spawn(async move {
            let outcome = tokio::select! {
                outcome = exchange::transfer(&upstream, job) => outcome,
                _ = cancelled => Err(Reason::new(Code::Cancelled, "the zone or its primaries were changed")),
            };
            let _ = events.send(Event::Transferred(exchange, accept, outcome));
        });
        self.show(exchange.zone);
        true
    }
}

/// A write nobody waits for: only its failure is worth a line.
pub(super) fn report(what: &'static str) -> crate::store::Done {
    Box::new(move |outcome| {
        if let Err(error) = outcome {
            tracing::warn!(%error, "{what} could not be stored");
        }
    })
}

fn log_failure<T>(op: &'static str, zone: &Zone, exchange: &Exchange, outcome: &Result<T, Reason>) {
    if let Err(reason) = outcome {
        metrics::counter!(telemetry::EXCHANGE_FAILURES, "op" => op, "code" => reason.code.as_str()).increment(1);
        // Only a change of the reason is news; repetitions are in the status and the metrics. That includes the AXFR
        // that fails as the IXFR before it did: the error is noted, but the attempt has not ended with it.
        let known = zone.refresh.primary(exchange.primary).is_some_and(|primary| {
            let noted = primary.last_error.as_deref().filter(|error| primary.last_success < Some(error.time));
            primary.code == reason.code || noted.is_some_and(|error| error.code == reason.code)
        });
        if known || reason.code == Code::Cancelled {
            tracing::debug!(zone = %zone.definition.name, peer = %exchange.address, op, code = %reason.code, detail = reason.detail);
        } else {
            tracing::warn!(zone = %zone.definition.name, peer = %exchange.address, op, code = %reason.code, "{}", reason.message());
        }
    }
}

/// Where the primary of an exchange is and how its messages are signed.
fn target(config: &Config, policy: &Policy, zone: &Zone, primary: usize) -> Result<Target, Reason> {
    let primary = &zone.definition.primaries[primary];
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
    Ok(Target { address: primary.address, source: primary.source, key })
}

pub(super) fn settings(config: &Config) -> refresh::Settings {
    let t = &config.transfer;
    refresh::Settings {
        retry_initial: t.retry_initial,
        refresh_min: t.refresh_min,
        refresh_max: t.refresh_max,
        retry_min: t.retry_min,
        retry_max: t.retry_max,
        expire_min: t.expire_min,
        expire_max: t.expire_max,
        ..refresh::Settings::default()
    }
}

pub(super) fn bounds(config: &Config) -> Bounds {
    let t = &config.transfer;
    Bounds {
        connect: t.connect_timeout,
        idle: t.idle_timeout,
        total: t.total_timeout,
        rate_min: t.lowest_rate,
        rate_window: t.lowest_rate_window,
        octets_max: t.max_bytes,
    }
}

fn limits(config: &Config) -> Limits {
    let t = &config.transfer;
    Limits { octets_max: t.max_bytes, records_max: t.max_records }
}
