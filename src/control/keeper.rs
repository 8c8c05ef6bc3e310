//! The keeper: one task that owns the state of every zone and handles one [`Event`] after the other.
//!
//! In: events. Out: started exchanges, commits, durable confirmations and statuses, the read model. Never waits for
//! network or disk: whatever takes time runs elsewhere and comes back as an event.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;

use crate::config::Config;
use crate::dns::{Name, Serial};
use crate::net::notifier::Notifier;
use crate::net::upstream::{Phase, Upstream};
use crate::net::{self, Policy};
use crate::reason::Reason;
use crate::refresh::{self, Accept, Action, unreachable};
use crate::served::{InboxReader, Notice, Publisher, RefusedFor, State, ZoneId};
use crate::store::{Store, Write};
use crate::time::Timestamp;
use crate::zone::signatures;

use super::aside::Aside;
use super::catalogs::make::Made;
use super::event::{Arrival, Brought, Contents, Course, Ended, Event, Exchange};
use super::events::{self, About, Bus, Kind};
use super::exchange::Profiles;
use super::explain::Surroundings;
use super::handle::Command;
use super::history::History;
use super::hook::Hooks;
use super::load::write_confirmation;
use super::local::LocalDesk;
use super::look;
use super::newcomers::Newcomers;
use super::queue::Queue;
use super::schedule::Schedule;
use super::starting::{self, ProbeJob, TransferJob};
use super::status::{Board, RefusedNotify};
use super::terms;
use super::zones::Zone;

/// Events handled before timers and waiting jobs are looked at again.
const EVENTS_PER_TURN: usize = 256;
/// After a line about a NOTIFY, further ones of the zone are for debugging only: anybody who can forge the address of a
/// primary could fill the log. What they lead to is logged as ever.
const NOTIFY_LINE_GAP: Duration = Duration::from_secs(10);
/// When NOTIFYs were lost, all zones are asked for over this time, and not more often.
const SWEEP_SPREAD: Duration = Duration::from_secs(60);
/// Refused NOTIFYs of one zone are told to listeners at most this often, with how many there were: anybody can send them.
const REFUSED_EVENT_GAP: Duration = Duration::from_secs(60);
/// NOTIFYs of one zone are told to listeners at most this often.
const NOTIFY_EVENT_GAP: Duration = Duration::from_secs(1);
/// Why what is written for the store cannot fail.
pub(super) const IN_MEMORY: &str = "plain data, and memory takes it";
/// A clock that goes back by less is being slewed, or was read by another processor.
const CLOCK_STEP: Duration = Duration::from_secs(2);
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
    /// Has the calling thread give way to the others, as far as the system knows such a thing.
    pub give_way: fn(),
}

pub(super) struct Keeper {
    pub(super) config: Arc<Config>,
    pub(super) settings: Arc<refresh::Settings>,
    /// Boxed: a table keeps up to twice the room it uses, and a zone is large.
    pub(super) zones: HashMap<ZoneId, Box<Zone>>,
    /// Zones that are being made.
    pub(super) newcomers: Newcomers,
    /// Zones whose changed definition is on its way to the disk.
    pub(super) changing: HashSet<ZoneId>,
    /// Zones whose removal is on its way to the disk: nothing must be written about them behind it.
    pub(super) removing: HashSet<ZoneId>,
    /// Commands about zones that are on their way to the disk, in the order in which they came.
    pub(super) waiting: VecDeque<Command>,
    /// Zones from REST whose names the configuration has taken.
    pub(super) aside: Aside,
    /// Catalogs that are followed, and how many members of each are zones here, by its name.
    pub(super) followed: BTreeSet<ZoneId>,
    pub(super) members: HashMap<Name, usize>,
    /// Those of which more is to be carried out.
    pub(super) going_on: BTreeSet<ZoneId>,
    /// Names have become free that a catalog may be waiting for.
    pub(super) has_free_names: bool,
    /// Catalogs of our zones.
    pub(super) made: BTreeMap<ZoneId, Made>,
    pub(super) board: Arc<Board>,
    pub(super) publisher: Publisher,
    pub(super) policy: Arc<Policy>,
    pub(super) store: Arc<Store>,
    pub(super) upstream: Arc<Upstream>,
    pub(super) notifier: Notifier,
    pub(super) events: mpsc::UnboundedSender<Event>,
    pub(super) schedule: Schedule,
    pub(super) unreachable: unreachable::Cache,
    pub(super) profiles: Profiles,
    pub(super) next_id: u32,
    pub(super) generation: u64,
    /// Local zones.
    pub(super) local: LocalDesk,
    /// Where checks of new versions run.
    pub(super) hooks: Arc<Hooks>,
    /// Transfers whose place in the queue has been given back before their end: the check of what they brought runs.
    reviewing: HashSet<(ZoneId, u32)>,
    pub(super) history: Arc<History>,
    pub(super) bus: Arc<Bus>,
    /// What explanations know of this daemon.
    pub(super) surroundings: Arc<ArcSwap<Surroundings>>,
    inbox: InboxReader,
    /// How often the database has been replaced, see [`Store::rebuilds`].
    rebuilds: u64,
    /// When events were last handled.
    looked: Timestamp,
    /// When all zones were asked for last because NOTIFYs were lost, and when they will be again.
    swept: Timestamp,
    sweep_due: Option<Timestamp>,
    pub(super) probes: Queue<ProbeJob>,
    pub(super) transfers: Queue<TransferJob>,
}

impl Keeper {
    pub(super) fn new(
        parts: Parts,
        upstream: Arc<Upstream>,
        board: Arc<Board>,
        events: mpsc::UnboundedSender<Event>,
    ) -> Keeper {
        let Parts { config, publisher, policy, inbox, store, give_way: _ } = parts;
        Keeper {
            settings: Arc::new(terms::settings(&config)),
            probes: Queue::new(starting::probe_bounds(&config)),
            transfers: Queue::new(starting::transfer_bounds(&config)),
            hooks: Arc::new(Hooks::new(&config.state_dir)),
            reviewing: HashSet::new(),
            zones: HashMap::new(),
            newcomers: Newcomers::default(),
            changing: HashSet::new(),
            removing: HashSet::new(),
            waiting: VecDeque::new(),
            aside: Aside::new(),
            followed: BTreeSet::new(),
            members: HashMap::new(),
            going_on: BTreeSet::new(),
            has_free_names: false,
            made: BTreeMap::new(),
            schedule: Schedule::default(),
            unreachable: unreachable::Cache::new(),
            profiles: Profiles::default(),
            next_id: super::definition::FIRST_ZONE_ID,
            // Above every generation of an earlier run, so that an old entity tag never matches by accident.
            generation: Timestamp::now().as_millis(),
            local: LocalDesk::new(store.directory()),
            history: History::new(store.clone(), config.store.history_attempts),
            surroundings: Arc::new(ArcSwap::from_pointee(terms::surroundings(&config))),
            bus: Arc::new(Bus::new(events::KEPT, Timestamp::now())),
            config,
            board,
            publisher,
            policy,
            store,
            upstream,
            notifier: Notifier::default(),
            events,
            inbox,
            rebuilds: 0,
            looked: Timestamp::default(),
            swept: Timestamp::default(),
            sweep_due: None,
        }
    }

    /// Handles events until told to stop.
    pub(super) async fn run(mut self, mut events: mpsc::UnboundedReceiver<Event>) {
        let mut tidy = tokio::time::interval(TIDY);
        self.survey_loaded();
        let mut has_more = false;
        loop {
            let queues = [self.schedule.next(), self.probes.next_start(), self.transfers.next_start()];
            let due = queues.into_iter().chain([self.catalogs_due(), self.mends_at()]);
            let wait = due.flatten().min().map_or(TIDY, |at| at.since(Timestamp::now()));
            let wait = if has_more { Duration::ZERO } else { wait };
            let event = tokio::select! {
                event = events.recv() => event,
                () = tokio::time::sleep(wait) => None,
                _ = tidy.tick() => {
                    self.upstream.drop_unused();
                    self.probes.tidy(Timestamp::now());
                    self.transfers.tidy(Timestamp::now());
                    self.settle_history();
                    self.watch_store();
                    self.make_copies(Timestamp::now());
                    None
                }
            };
            self.watch_clock(Timestamp::now());
            let more = std::iter::from_fn(|| events.try_recv().ok()).take(EVENTS_PER_TURN);
            for event in event.into_iter().chain(more) {
                if matches!(event, Event::Shutdown) {
                    self.settle_history();
                    self.make_last_copies();
                    return;
                }
                self.handle(event);
            }
            self.run_timers();
            if self.has_free_names {
                self.take_left_out();
            }
            self.make_catalogs(Timestamp::now());
            self.begin_group();
            has_more = self.start_jobs() | self.go_on_with_members();
        }
    }

    /// Where the database was replaced by what could be read of it, all that is known is written again; what is wrong with it now
    /// is told.
    fn watch_store(&mut self) {
        let rebuilds = self.store.rebuilds();
        if std::mem::replace(&mut self.rebuilds, rebuilds) < rebuilds {
            tracing::warn!("the database is another one than it was; every zone is written again");
            self.write_all_again();
        }
        let trouble = self.store.trouble();
        if let Some(why) = trouble.as_ref().filter(|_| self.board.trouble().is_none()) {
            tracing::error!(why, "nothing can be stored; what is served stays served");
        } else if trouble.is_none() && self.board.trouble().is_some() {
            tracing::info!("the store is well again");
        }
        self.board.set_trouble(trouble);
    }

    pub(super) fn write_all_again(&mut self) {
        for zone in self.zones.values() {
            self.remember(&zone.definition);
            if let Some(confirmation) = zone.refresh.confirmation() {
                write_confirmation(&self.store, zone.definition.id, &confirmation);
            }
            if let Some(snapshot) = zone.slot.snapshot().filter(|_| zone.coming.is_none()) {
                let write = Write::Replace { zone: zone.definition.id.0, snapshot: snapshot.clone(), diff: None };
                self.write_contents(zone.definition.id, snapshot, write, true);
            }
        }
        self.write_catalogs_again();
        self.suspect_all();
        self.begin_group();
    }

    /// Plans what is to come as much sooner as the system's clock was set back.
    fn watch_clock(&mut self, now: Timestamp) {
        let by = std::mem::replace(&mut self.looked, now).since(now);
        if by < CLOCK_STEP {
            return;
        }
        tracing::warn!(
            seconds = by.as_secs(),
            "the system's clock was set back; what was planned is done as much sooner"
        );
        self.unreachable = unreachable::Cache::new();
        self.probes.clock_set_back();
        self.transfers.clock_set_back();
        (self.swept, self.sweep_due) = (Timestamp::default(), self.sweep_due.map(|_| now));
        self.catalogs_are_due(now);
        for (id, zone) in &mut self.zones {
            zone.refresh.clock_set_back(by);
            (zone.notify_told, zone.refused_told, zone.notify_shown) =
                (Timestamp::default(), Timestamp::default(), None);
            if let Some(unstored) = &mut zone.unstored {
                unstored.again_at = now;
            }
            self.publisher.set_expires(&zone.slot, zone.refresh.expires());
            let guard = self.config.guard_of(zone.definition.policy.as_deref());
            let wanted = zone.wants_to_be_looked_at(guard.lapse_warning, now);
            self.schedule.arm(*id, &mut zone.armed, wanted);
        }
    }

    pub(super) fn handle(&mut self, event: Event) {
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
            Event::Stored { zone, version, is_served, outcome } => self.stored(zone, version, is_served, outcome),
            Event::LocalStored(finished, outcome) => self.local_stored(*finished, outcome),
            Event::LocalCopied(copied) => self.local_copied(copied),
            Event::LocalMended(ids, outcome) => self.local_mended(&ids, outcome),
            Event::CatalogRead(reading) => self.catalog_read(*reading),
            Event::CatalogMade(making) => self.catalog_made(*making),
            Event::CatalogStored(zone, outcome) => self.catalog_stored(zone, outcome),
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
            if let Some(refused) = &mut state.refused_notify {
                refused.polling_only = false;
            }
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
        let now = Timestamp::now();
        let Some(zone) = self.zones.get_mut(&id) else { return };
        let count = zone.refused_notify.as_ref().map_or(0, |refused| refused.count).saturating_add(1);
        let polling_only = !zone.has_accepted_notify();
        zone.refused_notify = Some(Box::new(RefusedNotify { from, at: now, why, count, polling_only }));
        if now.since(zone.refused_told) >= REFUSED_EVENT_GAP {
            zone.refused_told = now;
            let definition = zone.definition.clone();
            let details = serde_json::json!({
                "from": from.to_string(), "why": format!("{why:?}").to_lowercase(), "count": count,
            });
            self.tell(&definition, Kind::NotifyRefused, details);
        }
        self.show(id);
    }

    fn run_timers(&mut self) {
        let now = Timestamp::now();
        self.sweep(now);
        // Who is due again at once has its next turn behind the events: one zone must not keep the others, or a stop, waiting.
        let due: Vec<_> = std::iter::from_fn(|| self.schedule.pop_due(now)).collect();
        for zone in due {
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
        if let Ok(probed) = &outcome {
            self.note_shown(&exchange, probed.answer.serial);
        }
        let Some(state) = self.current(&exchange) else { return };
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
        let from = state.newest_serial();
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
        if let Ok(refresh::Transferred::UpToDate { serial, .. }) = &outcome {
            self.note_shown(&exchange, *serial);
        }
        let state = self.zones.get_mut(&exchange.zone).expect("taking contents removes no zone");
        state.refresh.handle_transfer(now, exchange.primary, outcome);
        self.follow_up(exchange.zone);
    }

    /// The zone of an exchange, unless it has gone or its primaries were changed meanwhile.
    fn current(&mut self, exchange: &Exchange) -> Option<&mut Zone> {
        self.zones.get_mut(&exchange.zone).map(Box::as_mut).filter(|zone| zone.epoch == exchange.epoch)
    }

    /// Does what the zone's machine wants done now, arms its timer and shows how it stands.
    pub(super) fn follow_up(&mut self, id: ZoneId) {
        // What would be written about a zone behind its removal is there at the next start.
        let Some(zone) = self.zones.get_mut(&id).filter(|_| !self.removing.contains(&id)) else { return };
        // for the words of SERVFAIL, should nothing of the zone be served
        self.publisher.set_held(&zone.slot, zone.review.held.is_some());
        while let Some(action) = zone.refresh.poll_action() {
            match action {
                Action::Probe { primary, urgency } => {
                    let exchange = zone.exchange(primary);
                    self.probes.push(urgency, exchange.address, ProbeJob { exchange, urgency });
                    zone.refresh.handle_waiting(primary, unreachable::Exchange::Probe);
                }
                Action::Transfer { primary, kind, accept, urgency } => {
                    let exchange = zone.exchange(primary);
                    let job = TransferJob { exchange, kind, accept, urgency };
                    self.transfers.push(urgency, exchange.address, job);
                    zone.refresh.handle_waiting(primary, unreachable::Exchange::Transfer);
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
                        write_confirmation(&self.store, id, &confirmation);
                    }
                }
            }
        }
        let guard = self.config.guard_of(zone.definition.policy.as_deref());
        let wanted = zone.wants_to_be_looked_at(guard.lapse_warning, Timestamp::now());
        self.schedule.arm(id, &mut zone.armed, wanted);
        while let Some(index) = zone.refresh.poll_changed() {
            let Some(state) = zone.refresh.primary(index) else { continue };
            let bytes = self.store.sheet().write(|out| serde_json::to_writer(out, state).expect(IN_MEMORY));
            let write = Write::Primary { zone: id.0, index: index as u16, bytes };
            self.store.submit(write, report("status of a primary"));
        }
        self.show(id);
    }

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

/// A write nobody waits for: only its failure is worth a line.
pub(super) fn report(what: &'static str) -> crate::store::Done {
    Box::new(move |outcome| {
        if let Err(error) = outcome {
            tracing::warn!(%error, "{what} could not be stored");
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::fixture::{keeper, zone};
    use crate::control::zones::{Unstored, configured};

    /// The answer of the store is an event, and events are handled when the timers have been: a zone that stayed due until
    /// then would keep them for ever.
    #[test]
    fn contents_that_could_not_be_written_are_due_again_only_later() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut keeper = keeper(directory.path());
        let (id, now) = (ZoneId(1), Timestamp::now());
        keeper.add_zones(vec![configured(&zone(), id, now)]);
        keeper.store.close();
        let zone = keeper.zones.get_mut(&id).expect("added");
        zone.unstored = Some(Box::new(Unstored { detail: "the disk was full".to_owned(), again_at: now }));
        keeper.schedule.arm(id, &mut zone.armed, Some(now));
        keeper.run_timers();
        let zone = &keeper.zones[&id];
        assert!(zone.unstored.as_ref().is_some_and(|unstored| unstored.again_at > now));
        assert!(keeper.schedule.next().is_none_or(|next| next > now));
    }

    /// T1, N6: nothing waits for a moment that a clock set back has put far ahead.
    #[test]
    fn a_clock_that_is_set_back_is_noticed() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut keeper = keeper(directory.path());
        let (id, by) = (ZoneId(1), Duration::from_secs(3600));
        let now = Timestamp::now();
        keeper.add_zones(vec![configured(&zone(), id, now + by)]);
        let zone = keeper.zones.get_mut(&id).expect("added");
        zone.unstored = Some(Box::new(Unstored { detail: "the disk was full".to_owned(), again_at: now + by }));
        keeper.watch_clock(now + by);
        assert_eq!(keeper.schedule.next(), None, "not looked at yet");
        keeper.watch_clock(now);
        assert!(keeper.schedule.next().is_some_and(|next| next <= now));
    }
}
