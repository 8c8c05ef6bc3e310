//! The keeper: one task that owns the state of every zone and handles one [`Event`] after the other.
//!
//! In: events. Out: started exchanges, commits, durable confirmations and statuses, the read model. Never waits for
//! network or disk: whatever takes time runs elsewhere and comes back as an event.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::config::{Config, PrimaryChoice};
use crate::dns::{Name, Serial};
use crate::net::upstream::{Bounds, Inquiry, Phase, Seen, Target, Upstream};
use crate::net::{self, Policy};
use crate::reason::{Code, Reason, StatusWord};
use crate::refresh::{self, Accept, Action, Finding, TransferKind, Urgency, unreachable};
use crate::served::{InboxReader, Notice, Publisher, RefusedFor, State, ZoneId};
use crate::store::{Store, Write};
use crate::telemetry;
use crate::time::Timestamp;
use crate::zone::{ContentPolicy, Limits, signatures};

use super::definition::{Primary, Transport, ZoneDefinition};
use super::event::{Arrival, Brought, Contents, Course, Ended, Event, Exchange};
use super::events::{self, About, Bus, Kind};
use super::exchange::{self, Job, Profiles};
use super::explain::Surroundings;
use super::history::{Attempt, History};
use super::hook::Hooks;
use super::load::confirmation_bytes;
use super::local::LocalDesk;
use super::look;
use super::queue::{self, Queue};
use super::review;
use super::schedule::Schedule;
use super::status::{Board, RefusedNotify, ZoneStatus};
use super::zones::Zone;

/// Events handled before timers and waiting jobs are looked at again.
const EVENTS_PER_TURN: usize = 256;
/// SOA probes in flight, in all and at one primary: a probe costs one socket and one datagram.
const PROBES: usize = 512;
const PROBES_PER_PRIMARY: usize = 128;
/// After a line about a NOTIFY, further ones of the zone are for debugging only: anybody who can forge the address of a
/// primary could fill the log. What they lead to is logged as ever.
const NOTIFY_LINE_GAP: Duration = Duration::from_secs(10);
/// When NOTIFYs were lost, all zones are asked for over this time, and not more often.
const SWEEP_SPREAD: Duration = Duration::from_secs(60);
/// NOTIFYs of one zone are told to listeners at most this often.
const NOTIFY_EVENT_GAP: Duration = Duration::from_secs(1);
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
    /// Boxed: a table keeps up to twice the room it uses, and a zone is large.
    pub(super) zones: HashMap<ZoneId, Box<Zone>>,
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
    pub(super) profiles: Profiles,
    pub(super) next_id: u32,
    pub(super) generation: u64,
    /// Local zones.
    pub(super) local: LocalDesk,
    /// Where checks of new versions run.
    hooks: Arc<Hooks>,
    /// Transfers whose place in the queue has been given back before their end: the check of what they brought runs.
    reviewing: HashSet<(ZoneId, u32)>,
    pub(super) history: Arc<History>,
    pub(super) bus: Arc<Bus>,
    /// What explanations know of this daemon.
    pub(super) surroundings: Arc<ArcSwap<Surroundings>>,
    inbox: InboxReader,
    /// When all zones were asked for last because NOTIFYs were lost, and when they will be again.
    swept: Timestamp,
    sweep_due: Option<Timestamp>,
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
            probes: Queue::new(probe_bounds(&config)),
            transfers: Queue::new(transfer_bounds(&config)),
            hooks: Arc::new(Hooks::new(&config.state_dir)),
            reviewing: HashSet::new(),
            zones: HashMap::new(),
            names: HashMap::new(),
            creating: HashSet::new(),
            creating_ids: HashSet::new(),
            schedule: Schedule::default(),
            unreachable: unreachable::Cache::new(),
            profiles: Profiles::default(),
            next_id: super::definition::FIRST_ZONE_ID,
            // Above every generation of an earlier run, so that an old entity tag never matches by accident.
            generation: Timestamp::now().0,
            local: LocalDesk::default(),
            history: History::new(store.clone(), config.store.history_attempts),
            surroundings: Arc::new(ArcSwap::from_pointee(surroundings(&config))),
            bus: Arc::new(Bus::new(events::KEPT, Timestamp::now())),
            config,
            board,
            publisher,
            policy,
            store,
            upstream,
            events,
            inbox,
            swept: Timestamp(0),
            sweep_due: None,
        }
    }

    /// Handles events until told to stop.
    pub(super) async fn run(mut self, mut events: mpsc::UnboundedReceiver<Event>) {
        let mut tidy = tokio::time::interval(TIDY);
        self.survey_loaded();
        loop {
            let due = [self.schedule.next(), self.probes.next_start(), self.transfers.next_start()];
            let wait = due.into_iter().flatten().min().map_or(TIDY, |at| at.since(Timestamp::now()));
            let event = tokio::select! {
                event = events.recv() => event,
                () = tokio::time::sleep(wait) => None,
                _ = tidy.tick() => {
                    self.upstream.drop_unused();
                    self.probes.tidy(Timestamp::now());
                    self.transfers.tidy(Timestamp::now());
                    self.settle_history();
                    None
                }
            };
            let more = std::iter::from_fn(|| events.try_recv().ok()).take(EVENTS_PER_TURN);
            for event in event.into_iter().chain(more) {
                if matches!(event, Event::Shutdown) {
                    self.settle_history();
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
            Event::Reviewing(exchange) => {
                if self.reviewing.insert((exchange.zone, exchange.epoch)) {
                    self.transfers.finished(exchange.address);
                }
            }
            Event::HeldStored(zone, held) => self.held_stored(zone, held),
            Event::Brought(brought) => match *brought {
                Brought::Approved { zone, held, user, outcome, reply } => {
                    self.approved(zone, held, user, outcome, reply)
                }
                Brought::RolledBack { zone, base, to, user, outcome, reply } => {
                    self.rolled_back(zone, base, to, user, outcome, reply);
                }
            },
            Event::Surveyed(zone, serial, survey) => self.surveyed(zone, serial, survey),
            Event::Inbox => self.read_inbox(),
            Event::Probed(exchange, course, outcome) => self.probed(exchange, &course, outcome),
            Event::Transferred(exchange, course, accept, outcome) => {
                self.transferred(exchange, *course, accept, outcome);
            }
            Event::Stored { zone, serial, unpublished, outcome } => self.stored(zone, serial, unpublished, outcome),
            Event::LocalStored(finished, outcome) => self.local_stored(*finished, outcome),
            Event::Reload(config) => self.reload(*config),
            Event::Shutdown => {}
        }
    }

    fn read_inbox(&mut self) {
        let now = Timestamp::now();
        while let Some(notice) = self.inbox.try_next() {
            let (zone, from, key, hint) = match notice {
                Notice::Notify { zone, from, key, hint, .. } => (zone, from, key, hint),
                Notice::Refused { zone, from, why } => {
                    self.note_refused(zone, from, why);
                    continue;
                }
            };
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
            if now.since(state.notify_told) >= NOTIFY_EVENT_GAP {
                state.notify_told = now;
                let definition = state.definition.clone();
                self.tell(&definition, Kind::Notify, serde_json::json!({"from": from.to_string(), "serial": serial}));
            }
            self.follow_up(zone);
        }
        if self.inbox.take_sweep() {
            // While one sweep is under way it has asked some zones already: those need the next one.
            self.sweep_due = Some(self.sweep_due.unwrap_or(now).max(self.swept + SWEEP_SPREAD));
            self.sweep(now);
        }
    }

    /// Has every zone asked for, spread over [`SWEEP_SPREAD`] and not more often, if that is due.
    fn sweep(&mut self, now: Timestamp) {
        if self.sweep_due.is_none_or(|due| due > now) {
            return;
        }
        (self.sweep_due, self.swept) = (None, now);
        tracing::warn!("more NOTIFYs came than could be kept; every zone is asked for within a minute instead");
        for (id, zone) in &mut self.zones {
            zone.refresh.handle_lost_notifies(now, SWEEP_SPREAD);
            let guard = self.config.guard_of(zone.definition.policy.as_deref());
            let wanted = zone.wants_to_be_looked_at(guard.lapse_warning, now);
            self.schedule.arm(*id, &mut zone.armed, wanted);
        }
    }

    /// A NOTIFY was refused: the answer to "why does this zone not follow its primary?" may be here.
    fn note_refused(&mut self, id: ZoneId, from: SocketAddr, why: RefusedFor) {
        let Some(zone) = self.zones.get_mut(&id) else { return };
        let count = zone.refused_notify.as_ref().map_or(0, |refused| refused.count).saturating_add(1);
        zone.refused_notify = Some(Box::new(RefusedNotify { from, at: Timestamp::now(), why, count }));
        let definition = zone.definition.clone();
        let why = format!("{why:?}").to_lowercase();
        self.tell(&definition, Kind::NotifyRefused, serde_json::json!({"from": from.to_string(), "why": why}));
        self.show(id);
    }

    fn run_timers(&mut self) {
        let now = Timestamp::now();
        self.sweep(now);
        while let Some(zone) = self.schedule.pop_due(now) {
            let Some(state) = self.zones.get_mut(&zone) else { continue };
            state.armed = None;
            state.refresh.handle_timeout(now);
            if state.unstored.as_ref().is_some_and(|unstored| unstored.again_at <= now) {
                self.rewrite(zone);
            }
            self.decide_overdue(zone, now);
            self.follow_up(zone);
        }
    }

    fn probed(&mut self, exchange: Exchange, course: &Course, outcome: Result<net::upstream::Probed, Reason>) {
        let now = Timestamp::now();
        self.probes.finished(exchange.address);
        let code = outcome.as_ref().map(|_| ()).map_err(|reason| reason.code);
        self.unreachable.ended(exchange.address, unreachable::Exchange::Probe, code, now);
        if self.current(&exchange).is_none() {
            return;
        }
        self.note_attempt(&exchange, course, outcome.as_ref().map(|probed| Ended::Shown(probed.answer.serial)));
        let Some(state) = self.current(&exchange) else { return };
        if let Ok(probed) = &outcome {
            state.refresh.note_udp_blocked(now, exchange.primary, probed.udp_blocked);
            let look = refresh::Fingerprint { signature: probed.signature, ..look::of_soa(&probed.answer.soa) };
            state.refresh.note_look(exchange.primary, look);
        }
        let probed = outcome.map(|p| refresh::Probed { serial: p.answer.serial, expire_option: p.expire_secs });
        state.refresh.handle_probe(now, exchange.primary, probed);
        self.follow_up(exchange.zone);
    }

    fn transferred(
        &mut self,
        exchange: Exchange,
        mut course: Course,
        accept: Accept,
        outcome: Result<Arrival, Reason>,
    ) {
        let now = Timestamp::now();
        if !self.reviewing.remove(&(exchange.zone, exchange.epoch)) {
            self.transfers.finished(exchange.address);
        }
        let code = outcome.as_ref().map(|_| ()).map_err(|reason| reason.code);
        self.unreachable.ended(exchange.address, unreachable::Exchange::Transfer, code, now);
        let Some(state) = self.current(&exchange) else { return };
        state.transfer = None;
        let from = state.served;
        let outcome = outcome.and_then(|arrival| {
            if matches!(arrival.contents, Contents::New(_)) {
                course.seen.reached(Phase::Store);
            }
            self.take(&exchange, accept, arrival)
        });
        let ended = outcome.as_ref().map(|transferred| match transferred {
            refresh::Transferred::UpToDate { serial, .. } => Ended::UpToDate(*serial),
            refresh::Transferred::Committed(committed) => Ended::Committed { from, to: committed.soa.serial },
        });
        self.note_attempt(&exchange, &course, ended);
        let state = self.zones.get_mut(&exchange.zone).expect("taking contents removes no zone");
        state.refresh.handle_transfer(now, exchange.primary, outcome);
        self.follow_up(exchange.zone);
    }

    /// Tells of an exchange that has ended, before the zone's machine hears of it.
    fn note_attempt(&mut self, exchange: &Exchange, course: &Course, ended: Result<Ended, &Reason>) {
        let Some(zone) = self.zones.get_mut(&exchange.zone) else { return };
        zone.refresh.note_clear_text(exchange.primary, course.seen.fell_back.is_some());
        if let Some(session) = &course.seen.tls {
            zone.note_tls(exchange.primary, session);
        }
        if let Err(reason) = ended {
            let op = if course.seen.asked == TransferKind::Soa { "soa" } else { "transfer" };
            log_failure(op, zone, exchange, reason);
        }
        let Some(zone) = self.zones.get_mut(&exchange.zone) else { return };
        let (Some(primary), Some(newest)) =
            (zone.definition.primaries.get(exchange.primary), zone.newest.get_mut(exchange.primary))
        else {
            return;
        };
        // A commit has moved the served serial on already.
        let served = match ended {
            Ok(Ended::Committed { from, .. }) => from,
            _ => zone.served,
        };
        let attempt = Attempt::new(primary, course, ended, served, Timestamp::now());
        let told = told_of(&attempt);
        if self.history.note(exchange.zone, newest, attempt) {
            let definition = zone.definition.clone();
            self.tell(&definition, Kind::Attempt, told);
        }
    }

    /// Publishes an event about a zone.
    pub(super) fn tell(&self, definition: &ZoneDefinition, kind: Kind, details: serde_json::Value) {
        let name = definition.name.without_dot();
        let about = About { zone: definition.uuid, name: &name, tenant: &definition.tenant };
        self.bus.publish(Timestamp::now(), kind, about, details);
    }

    /// Writes the entries of the history that have only grown since they were written.
    fn settle_history(&mut self) {
        let now = Timestamp::now();
        for id in self.history.unsettled() {
            let Some(zone) = self.zones.get_mut(&id) else { continue };
            zone.newest.iter_mut().flatten().for_each(|newest| self.history.settle(id, newest, now));
        }
    }

    /// The zone of an exchange, unless it has gone or its primaries were changed meanwhile.
    fn current(&mut self, exchange: &Exchange) -> Option<&mut Zone> {
        self.zones.get_mut(&exchange.zone).map(Box::as_mut).filter(|zone| zone.epoch == exchange.epoch)
    }

    /// Does what the zone's machine wants done now, arms its timer and shows how it stands.
    pub(super) fn follow_up(&mut self, id: ZoneId) {
        let Some(zone) = self.zones.get_mut(&id) else { return };
        // for the words of SERVFAIL, should nothing of the zone be served
        self.publisher.set_held(&zone.slot, zone.review.held.is_some());
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
                    let name = zone.definition.name.without_dot();
                    let about = About { zone: zone.definition.uuid, name: &name, tenant: &zone.definition.tenant };
                    let serial = zone.served.map(|serial| serial.0);
                    self.bus.publish(Timestamp::now(), Kind::Expired, about, serde_json::json!({"serial": serial}));
                }
                Action::Confirm { .. } => {
                    // An expired zone that was confirmed is served again from what is there (T5).
                    if zone.slot.state() == State::Expired && zone.served.is_some() {
                        self.publisher.set_state(&zone.slot, State::Served);
                    }
                    self.publisher.set_expires(&zone.slot, zone.refresh.expires());
                    if zone.stored == zone.served {
                        self.store.note_caught_up(id.0);
                    }
                    if let Some(confirmation) = zone.refresh.confirmation() {
                        let bytes = confirmation_bytes(&confirmation);
                        self.store.submit(Write::Confirm { zone: id.0, bytes }, report("confirmation"));
                    }
                }
            }
        }
        let guard = self.config.guard_of(zone.definition.policy.as_deref());
        let wanted = zone.wants_to_be_looked_at(guard.lapse_warning, Timestamp::now());
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
        let guard = self.config.guard_of(zone.definition.policy.as_deref());
        let mut status = zone.status(Timestamp::now(), shown.generation, &self.settings, guard.lapse_warning);
        if status != *shown {
            self.generation += 1;
            status.generation = self.generation;
            self.tell_findings(&shown, &status);
            for change in changes(&shown, &status) {
                self.tell(&status.definition, Kind::State, change);
            }
            for found in status.findings.iter().filter(|found| !shown.findings.iter().any(|old| is_same(old, found))) {
                let primary = found.primary.and_then(|ix| status.definition.primaries.get(ix));
                let primary = primary.map(|primary| primary.address.to_string());
                let told = serde_json::json!({"code": found.code, "primary": primary, "message": found.evidence});
                self.tell(&status.definition, Kind::Finding, told);
            }
            self.board.show(&zone.view, status);
        }
    }

    pub(super) fn set_queue_limits(&mut self) {
        self.probes.set_bounds(probe_bounds(&self.config));
        self.transfers.set_bounds(transfer_bounds(&self.config));
    }

    /// Starts every job whose turn has come.
    fn start_jobs(&mut self) {
        let now = Timestamp::now();
        while let Some((address, job)) = self.probes.start_next(now) {
            if !self.start_probe(job) {
                self.probes.not_started(address);
            }
        }
        while let Some((address, job)) = self.transfers.start_next(now) {
            if !self.start_transfer(job) {
                self.transfers.not_started(address);
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
                let course = Course { trigger: urgency, started: Timestamp::now(), seen: Seen::new(TransferKind::Soa) };
                let _ = self.events.send(Event::Probed(exchange, Box::new(course), Err(reason)));
                return true;
            }
        };
        let inquiry = Inquiry {
            zone: self.zones[&exchange.zone].definition.name.clone(),
            signature: self.config.transfer.detect_resigned,
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
        zone.refresh.handle_started(exchange.primary);
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
        let offered = zone.refresh.primary(exchange.primary).and_then(|primary| primary.serial);
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
        };
        let base = zone.slot.snapshot();
        let job = Job {
            refused: zone.review.known_serial().filter(|_| !is_forced),
            zone: zone.definition.name.clone(),
            target,
            base: base.clone(),
            incremental: kind == TransferKind::Ixfr,
            hash_key: self.store.hash_key(),
            accept,
            limits: limits(&self.config),
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

impl Keeper {
    /// Looks at the signatures of the zones that came from the disk, away from here.
    fn survey_loaded(&self) {
        let loaded = self.zones.values().filter_map(|zone| Some((zone.definition.id, zone.slot.snapshot()?)));
        let signed: Vec<_> = loaded.filter(|(_, snapshot)| signatures::is_signed(snapshot)).collect();
        if signed.is_empty() {
            return;
        }
        let events = self.events.clone();
        tokio::task::spawn_blocking(move || {
            for (id, snapshot) in signed {
                let survey = signatures::Survey::of(&snapshot, Timestamp::now());
                // Nobody listens any more when the daemon stops.
                let _ = events.send(Event::Surveyed(id, snapshot.serial(), survey));
            }
        });
    }

    fn surveyed(&mut self, id: ZoneId, serial: Serial, survey: Option<signatures::Survey>) {
        if let Some(zone) = self.zones.get_mut(&id).filter(|zone| zone.served == Some(serial)) {
            zone.survey = survey.map(Box::new);
            self.follow_up(id);
        }
    }
}

/// An attempt as the event stream tells it.
fn told_of(attempt: &Attempt) -> serde_json::Value {
    let mut told = serde_json::json!({
        "primary": attempt.primary.to_string(),
        "code": attempt.code,
        "asked": attempt.asked,
        "phase": attempt.phase,
        "trigger": attempt.trigger,
        "durationMs": attempt.duration_ms,
    });
    let optional = [
        ("got", serde_json::to_value(attempt.got)),
        ("fromSerial", serde_json::to_value(attempt.from_serial)),
        ("toSerial", serde_json::to_value(attempt.to_serial)),
    ];
    for (member, value) in optional {
        if let Ok(value) = value
            && !value.is_null()
        {
            told[member] = value;
        }
    }
    let message = attempt.message();
    if !message.is_empty() {
        told["message"] = message.into();
    }
    told
}

/// What of a status is another state than before: of the zone, or the word of a primary.
fn changes(old: &ZoneStatus, new: &ZoneStatus) -> Vec<serde_json::Value> {
    let mut changes = Vec::new();
    if old.state != new.state {
        changes.push(serde_json::json!({"from": old.state, "to": new.state}));
    }
    let settled = |word: StatusWord| !matches!(word, StatusWord::Pending | StatusWord::InProgress);
    for (ix, primary) in new.primaries.iter().enumerate() {
        // While an exchange runs the word of the last one is still what is known.
        let Some(before) = old.primaries.get(ix).filter(|before| before.state.code != primary.state.code) else {
            continue;
        };
        let (from, to) = (before.state.code.status(), primary.state.code.status());
        if from != to && settled(to) {
            let address = new.definition.primaries.get(ix).map(|primary| primary.address.to_string());
            let code = primary.state.code;
            changes.push(serde_json::json!({"primary": address, "from": from, "to": to, "code": code}));
        }
    }
    changes
}

fn is_same(a: &Finding, b: &Finding) -> bool {
    (a.code, a.primary) == (b.code, b.primary)
}

/// A write nobody waits for: only its failure is worth a line.
pub(super) fn report(what: &'static str) -> crate::store::Done {
    Box::new(move |outcome| {
        if let Err(error) = outcome {
            tracing::warn!(%error, "{what} could not be stored");
        }
    })
}

fn log_failure(op: &'static str, zone: &Zone, exchange: &Exchange, reason: &Reason) {
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

/// What explanations need of the configuration.
pub(super) fn surroundings(config: &Config) -> Surroundings {
    let keys = config.tsig_keys.values().map(|key| (key.name.clone(), key.algorithm.as_str().to_owned()));
    Surroundings { keys: keys.collect(), listen: config.dns.listen.clone() }
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
        ordered: t.primary_choice == PrimaryChoice::Ordered,
        pin_tolerance: t.pin_tolerance,
        detect_resigned: t.detect_resigned,
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
        pipelining: t.pipelining,
        queries_per_second: t.queries_per_second,
        ixfr_over_udp: t.ixfr_over_udp,
    }
}

fn probe_bounds(config: &Config) -> queue::Bounds {
    let per_second = config.transfer.queries_per_second;
    queue::Bounds { in_flight_max: PROBES, per_primary_max: PROBES_PER_PRIMARY, per_second }
}

fn transfer_bounds(config: &Config) -> queue::Bounds {
    let t = &config.transfer;
    // Each update of a zone that is announced by NOTIFY is a transfer: no rate but that of the primary bounds them.
    queue::Bounds { in_flight_max: t.concurrency, per_primary_max: t.concurrency_per_primary, per_second: 0 }
}

pub(super) fn limits(config: &Config) -> Limits {
    let t = &config.transfer;
    Limits { octets_max: t.max_bytes, records_max: t.max_records }
}
