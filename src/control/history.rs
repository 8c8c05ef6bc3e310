//! What became of every ended attempt at a primary: noted by the keeper at one place, kept on disk in a bounded ring per
//! zone and primary, read by the API.
//!
//! ```text
//!   keeper --note--> running (the newest of each ring, in memory) --now or a little later--> store --> rings on disk
//!                         `-- on its way to the disk: `unwritten` --.                           |
//!   api <---- History::of: newest first, memory over disk ----------+---------------------------'
//! ```
//!
//! Equal successes in a row are one entry with a count: a thousand polls that found nothing new say no more than the
//! first and the last of them. Entries that only grow are written at most every [`WRITE_GAP`], so neither a poll nor a
//! zone with a thousand versions a second costs a write each. Nothing is read at start: a ring is met again when its
//! next attempt ends.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::definition::Primary;
use super::event::{Course, Ended};
use super::keeper::IN_MEMORY;
use crate::dns::{Name, Serial};
use crate::net::upstream::{self, TlsSession};
use crate::reason::{Code, Reason, StatusWord};
use crate::refresh::{TransferKind, Urgency};
use crate::served::ZoneId;
use crate::store::{Ring, Store, StoreError, Write};
use crate::time::Timestamp;

/// Entries that only count up are written at most this often. A crash forgets no more than that of a count.
pub const WRITE_GAP: Duration = Duration::from_secs(5);
/// Transfers that follow each other this closely are one entry: a zone with a thousand updates a second would fill its
/// ring in a blink.
pub const BURST: Duration = Duration::from_secs(10);
/// Octets of a detail that are kept; the rest is cut off.
const DETAIL_OCTETS_MAX: usize = 1000;

/// How far an attempt came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The connection, or the first datagram.
    Connect,
    /// The TLS handshake.
    Tls,
    /// The SOA query.
    Soa,
    /// Differences.
    Ixfr,
    /// The whole zone.
    Axfr,
    /// Our checks of what came.
    Verify,
    /// Publishing and storing it.
    Store,
}

impl From<upstream::Phase> for Phase {
    fn from(phase: upstream::Phase) -> Phase {
        match phase {
            upstream::Phase::Connect => Phase::Connect,
            upstream::Phase::Tls => Phase::Tls,
            upstream::Phase::Soa => Phase::Soa,
            upstream::Phase::Ixfr => Phase::Ixfr,
            upstream::Phase::Axfr => Phase::Axfr,
            upstream::Phase::Verify => Phase::Verify,
            upstream::Phase::Store => Phase::Store,
        }
    }
}

/// Why the primary was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trigger {
    /// REFRESH or RETRY had passed.
    Timer,
    /// A NOTIFY came.
    Notify,
    /// A person asked.
    Operator,
    /// The zone was never loaded.
    First,
    /// The zone had expired.
    Expired,
}

impl From<Urgency> for Trigger {
    fn from(urgency: Urgency) -> Trigger {
        match urgency {
            Urgency::Due => Trigger::Timer,
            Urgency::Expired => Trigger::Expired,
            Urgency::Initial => Trigger::First,
            Urgency::Notify => Trigger::Notify,
            Urgency::Operator => Trigger::Operator,
        }
    }
}

/// How messages travelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// Datagrams.
    Udp,
    /// A stream.
    Tcp,
    /// A stream inside TLS.
    Tls,
}

impl From<upstream::Transport> for Via {
    fn from(transport: upstream::Transport) -> Via {
        match transport {
            upstream::Transport::Udp => Via::Udp,
            upstream::Transport::Tcp => Via::Tcp,
            upstream::Transport::Tls => Via::Tls,
        }
    }
}

/// What was seen of a TLS session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// E.g. `TLSv1.3`.
    pub version: String,
    /// Names in the primary's certificate, bounded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peer_names: Vec<String>,
    /// When the primary's certificate ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_not_after: Option<Timestamp>,
    /// How the primary was authenticated, in a word.
    pub verified: String,
    /// When our own certificate ends, if we showed one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_not_after: Option<Timestamp>,
}

impl From<&TlsSession> for Tls {
    fn from(session: &TlsSession) -> Tls {
        Tls {
            version: session.version.to_owned(),
            peer_names: session.peer_names.clone(),
            peer_not_after: session.peer_not_after,
            verified: session.verified.as_str().to_owned(),
            own_not_after: session.own_not_after,
        }
    }
}

/// One ended attempt, or several equal ones in a row. Plain data; also the stored form (as JSON).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Whom.
    pub primary: SocketAddr,
    /// Why then.
    pub trigger: Trigger,
    /// What was asked for: [`TransferKind::Soa`] is a probe.
    pub asked: TransferKind,
    /// What came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub got: Option<TransferKind>,
    /// How far it came.
    pub phase: Phase,
    /// How it ended.
    pub code: Code,
    /// What is particular; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// When the (last) attempt began.
    pub started: Timestamp,
    /// When the (last) attempt ended.
    pub ended: Timestamp,
    /// When the first of them ended.
    pub first: Timestamp,
    /// How many equal ones in a row this stands for.
    pub count: u32,
    /// The serial served before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_serial: Option<Serial>,
    /// The serial shown or brought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_serial: Option<Serial>,
    /// Records received.
    pub records: u64,
    /// DNS messages received.
    pub messages: u64,
    /// Octets received.
    pub octets: u64,
    /// Microseconds until the connection stood, at most 71 minutes; none for a kept one and for UDP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_us: Option<u32>,
    /// Microseconds from the query to the first octet of its answer, at most 71 minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round_trip_us: Option<u32>,
    /// From the start to the end.
    pub duration_ms: u64,
    /// Name of the key both sides sign with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Name>,
    /// How messages travelled at last.
    pub via: Via,
    /// The address the primary saw us come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<SocketAddr>,
    /// The session, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Box<Tls>>,
    /// The primary's extended error (RFC 8914): number and text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ede: Option<Box<(u16, String)>>,
}

impl Attempt {
    /// An exchange that has ended now. `served`: the serial in our answers before it.
    pub(super) fn new(
        primary: &Primary,
        course: &Course,
        ended: Result<Ended, &Reason>,
        served: Option<Serial>,
        now: Timestamp,
    ) -> Attempt {
        let seen = &course.seen;
        let (code, detail, to_serial) = match ended {
            Err(reason) => (reason.code, reason.detail.clone(), None),
            Ok(Ended::Committed { to, .. }) => (Code::Ok, String::new(), Some(to)),
            Ok(Ended::Shown(serial) | Ended::UpToDate(serial)) => (shown(serial, served), String::new(), Some(serial)),
        };
        let micros = |duration: Duration| u32::try_from(duration.as_micros()).unwrap_or(u32::MAX);
        Attempt {
            primary: primary.address,
            trigger: course.trigger.into(),
            asked: seen.asked,
            got: seen.got,
            phase: seen.phase.into(),
            code,
            detail,
            started: course.started,
            ended: now,
            first: now,
            count: 1,
            from_serial: served,
            to_serial,
            records: seen.volume.records,
            messages: seen.volume.messages,
            octets: seen.volume.octets,
            connect_us: seen.connected_in.map(micros),
            round_trip_us: seen.round_trip.map(micros),
            duration_ms: now.since(course.started).as_millis() as u64,
            key: primary.tsig_key.clone(),
            via: seen.transport.into(),
            local: seen.local,
            tls: seen.tls.as_ref().map(|session| Box::new(session.into())),
            ede: seen.ede.clone().map(Box::new),
        }
    }

    /// Whether it ended well.
    pub fn is_success(&self) -> bool {
        self.code.status() == StatusWord::Ok
    }

    /// Whether a query for differences was answered as one: with differences, or with a single SOA.
    pub fn gives_differences(&self) -> bool {
        self.is_success() && matches!(self.got, Some(TransferKind::Ixfr | TransferKind::Soa))
    }

    /// Sentence and detail for people; empty for a success without detail.
    pub fn message(&self) -> String {
        Reason { code: self.code, detail: self.detail.clone() }.message()
    }

    /// Whether `next` says nothing that this does not say already, but that it happened again: an equal success. A
    /// committed version is news unless the last one is a moment old.
    fn absorbs(&self, next: &Attempt) -> bool {
        let alike = self.is_success()
            && (self.code, self.asked, self.got, self.via, self.trigger)
                == (next.code, next.asked, next.got, next.via, next.trigger)
            && (&self.detail, &self.key, self.local.map(|l| l.ip()))
                == (&next.detail, &next.key, next.local.map(|l| l.ip()));
        match self.to_serial == next.to_serial {
            true => alike && (self.asked == TransferKind::Soa || self.code == Code::UpToDate),
            false => alike && self.asked != TransferKind::Soa && next.ended.since(self.first) < BURST,
        }
    }

    /// Takes `next`, which it [absorbs](Attempt::absorbs), into itself: volumes add up, everything else is the last one's.
    fn absorb(&mut self, next: Attempt) {
        *self = Attempt {
            first: self.first,
            count: self.count.saturating_add(1),
            from_serial: self.from_serial,
            records: self.records + next.records,
            messages: self.messages + next.messages,
            octets: self.octets + next.octets,
            ..next
        };
    }
}

/// The newest entry of a ring, kept with the zone.
#[derive(Clone, Debug)]
pub(super) struct Newest {
    sequence: u64,
    pub(super) attempt: Arc<Attempt>,
    /// When it was given to the store.
    written: Timestamp,
    /// It has grown since.
    grown: bool,
}

type Place = (ZoneId, Ring, u64);

/// The rings of all zones; shared by the keeper, who notes, and the API, which reads.
#[derive(Debug)]
pub struct History {
    store: Arc<Store>,
    keep: AtomicU32,
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    /// The last number given out: numbers follow the clock, so that they go on rising after a restart.
    last_sequence: u64,
    /// What is on its way to the disk, or grows and has not been written again.
    /// One table: a table for each zone is an allocation that goes when others have come beside it to stay.
    unwritten: BTreeMap<Place, Arc<Attempt>>,
}

impl Memory {
    /// The entries of a zone, ring by ring.
    fn of(&self, zone: ZoneId) -> impl Iterator<Item = (&Place, &Arc<Attempt>)> {
        self.unwritten.range((zone, Ring::default(), 0)..).take_while(move |((of, ..), _)| *of == zone)
    }

    fn remove_unless(&mut self, zone: ZoneId, is_kept: impl Fn(&Ring) -> bool) {
        let outlived: Vec<Place> =
            self.of(zone).map(|(place, _)| *place).filter(|(_, ring, _)| !is_kept(ring)).collect();
        outlived.iter().for_each(|place| drop(self.unwritten.remove(place)));
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

impl History {
    /// Rings of `keep` entries each, in `store`.
    pub(super) fn new(store: Arc<Store>, keep: u32) -> Arc<History> {
        Arc::new(History { store, keep: AtomicU32::new(keep), memory: Mutex::default() })
    }

    /// How many entries a ring keeps from now on.
    pub(super) fn set_keep(&self, keep: u32) {
        self.keep.store(keep, Ordering::Relaxed);
    }

    /// Notes an attempt that has ended; false if it says nothing that the one before did not say. `newest` is the place
    /// of the ring's newest entry.
    pub(super) fn note(self: &Arc<History>, zone: ZoneId, newest: &mut Option<Newest>, mut attempt: Attempt) -> bool {
        truncate(&mut attempt.detail);
        let ring = ring_of(attempt.primary);
        let now = attempt.ended;
        if let Some(known) = newest.as_mut().filter(|known| known.attempt.absorbs(&attempt)) {
            Arc::make_mut(&mut known.attempt).absorb(attempt);
            known.grown = true;
            self.lock().unwritten.insert((zone, ring, known.sequence), known.attempt.clone());
            if now.since(known.written) >= WRITE_GAP {
                self.write((zone, ring, known.sequence), known, now);
            }
            return false;
        }
        if let Some(known) = newest.as_mut() {
            // What it grew by since it was last written is due before its successor.
            self.settle(zone, known, now);
        }
        let sequence = self.next_sequence(now);
        let attempt = Arc::new(attempt);
        self.lock().unwritten.insert((zone, ring, sequence), attempt.clone());
        let known = newest.insert(Newest { sequence, attempt, written: now, grown: false });
        self.write((zone, ring, sequence), known, now);
        true
    }

    /// Writes an entry that has grown since it was written last.
    pub(super) fn settle(self: &Arc<History>, zone: ZoneId, newest: &mut Newest, now: Timestamp) {
        if newest.grown {
            self.write((zone, ring_of(newest.attempt.primary), newest.sequence), newest, now);
        }
    }

    /// The zone's rings go but for those of `primaries`.
    pub(super) fn forget(&self, zone: ZoneId, primaries: impl IntoIterator<Item = SocketAddr>) {
        let keep: Vec<Ring> = primaries.into_iter().map(ring_of).collect();
        self.lock().remove_unless(zone, |ring| keep.contains(ring));
        self.store.submit(Write::ForgetAttempts { zone: zone.0, keep }, super::keeper::report("history of primaries"));
    }

    /// The zone is removed; the store forgets its rings with it.
    pub(super) fn forget_zone(&self, zone: ZoneId) {
        self.lock().remove_unless(zone, |_| false);
    }

    /// The zone's attempts, newest first. Reads from disk: not for the runtime's own threads.
    pub fn of(&self, zone: ZoneId) -> Result<Vec<Arc<Attempt>>, StoreError> {
        // Memory first: what reaches the disk meanwhile is then seen twice, not never.
        let mut found: HashMap<(Ring, u64), Arc<Attempt>> =
            self.lock().of(zone).map(|(&(_, ring, sequence), attempt)| ((ring, sequence), attempt.clone())).collect();
        for (ring, sequence, bytes) in self.store.attempts(zone.0)? {
            if let Ok(attempt) = serde_json::from_slice(&bytes) {
                found.entry((ring, sequence)).or_insert_with(|| Arc::new(attempt));
            }
        }
        let mut found: Vec<_> = found.into_iter().collect();
        found.sort_unstable_by_key(|((_, sequence), _)| std::cmp::Reverse(*sequence));
        let keep = self.keep.load(Ordering::Relaxed);
        let mut counts: HashMap<Ring, u32> = HashMap::new();
        found.retain(|((ring, _), _)| {
            let count = counts.entry(*ring).or_default();
            *count += 1;
            *count <= keep
        });
        Ok(found.into_iter().map(|(_, attempt)| attempt).collect())
    }

    fn write(self: &Arc<History>, place: Place, newest: &mut Newest, now: Timestamp) {
        (newest.written, newest.grown) = (now, false);
        let (zone, ring, sequence) = place;
        let written = newest.attempt.clone();
        let bytes = self.store.sheet().write(|out| serde_json::to_writer(out, &*written).expect(IN_MEMORY));
        let history = self.clone();
        let done = move |outcome: Result<(), StoreError>| {
            if let Err(error) = outcome {
                tracing::debug!(%error, "an attempt could not be stored");
            }
            history.acknowledged(place, &written);
        };
        let keep = self.keep.load(Ordering::Relaxed);
        self.store.submit(Write::Attempt { zone: zone.0, ring, sequence, bytes, keep }, Box::new(done));
    }

    /// The disk has it, or never will: memory need not, unless it has grown meanwhile.
    fn acknowledged(&self, place: Place, written: &Arc<Attempt>) {
        let mut memory = self.lock();
        if memory.unwritten.get(&place).is_some_and(|attempt| attempt == written) {
            memory.unwritten.remove(&place);
        }
    }

    /// Zones with entries that have grown since they were written, or are on their way.
    pub(super) fn unsettled(&self) -> Vec<ZoneId> {
        let mut zones: Vec<ZoneId> = self.lock().unwritten.keys().map(|(zone, ..)| *zone).collect();
        zones.dedup();
        zones
    }

    fn next_sequence(&self, now: Timestamp) -> u64 {
        let mut memory = self.lock();
        // A millisecond has room for a million of them.
        memory.last_sequence = (memory.last_sequence + 1).max(now.as_millis() << 20);
        memory.last_sequence
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a serial that was merely shown means beside ours.
fn shown(offered: Serial, served: Option<Serial>) -> Code {
    match served {
        None => Code::Ok,
        Some(served) if served == offered => Code::UpToDate,
        Some(served) if offered.is_newer_than(served) => Code::Ok,
        Some(served) if offered.is_older_than(served) => Code::SerialBehind,
        Some(_) => Code::SerialUndefined,
    }
}

/// The ring of a primary.
fn ring_of(primary: SocketAddr) -> Ring {
    let address = match primary.ip() {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    let mut ring = Ring::default();
    ring[..16].copy_from_slice(&Ipv6Addr::octets(&address));
    ring[16..].copy_from_slice(&primary.port().to_be_bytes());
    ring
}

fn truncate(detail: &mut String) {
    if detail.len() > DETAIL_OCTETS_MAX {
        let end = (0..=DETAIL_OCTETS_MAX).rev().find(|&end| detail.is_char_boundary(end)).unwrap_or(0);
        detail.truncate(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Options;

    const ZONE: ZoneId = ZoneId(1_000_001);

    fn attempt(code: Code, at: u64) -> Attempt {
        Attempt {
            primary: ([192, 0, 2, 1], 53).into(),
            trigger: Trigger::Timer,
            asked: TransferKind::Soa,
            got: Some(TransferKind::Soa),
            phase: Phase::Soa,
            code,
            detail: String::new(),
            started: Timestamp::from_secs(at),
            ended: Timestamp::from_secs(at),
            first: Timestamp::from_secs(at),
            count: 1,
            from_serial: Some(Serial(7)),
            to_serial: Some(Serial(7)),
            records: 1,
            messages: 1,
            octets: 60,
            connect_us: None,
            round_trip_us: Some(900),
            duration_ms: 1,
            key: None,
            via: Via::Udp,
            local: None,
            tls: None,
            ede: None,
        }
    }

    fn commit(at: u64, to: u32) -> Attempt {
        Attempt {
            asked: TransferKind::Ixfr,
            got: Some(TransferKind::Ixfr),
            from_serial: Some(Serial(to - 1)),
            to_serial: Some(Serial(to)),
            ..attempt(Code::Ok, at)
        }
    }

    struct Setup {
        history: Arc<History>,
        store: Arc<Store>,
        directory: tempfile::TempDir,
    }

    fn setup() -> Setup {
        let directory = tempfile::tempdir().expect("a directory");
        let (store, _) = Store::open(directory.path(), Options::default()).expect("the store opens");
        let store = Arc::new(store);
        Setup { history: History::new(store.clone(), 10), store, directory }
    }

    impl Setup {
        /// What a new process finds.
        fn restarted(self) -> Setup {
            let Setup { history, store, directory } = self;
            store.close();
            drop((history, store));
            let (store, _) = Store::open(directory.path(), Options::default()).expect("the store opens");
            let store = Arc::new(store);
            Setup { history: History::new(store.clone(), 10), store, directory }
        }

        fn shown(&self) -> Vec<(Code, u32, u64)> {
            let attempts = self.history.of(ZONE).expect("the store reads");
            attempts.iter().map(|a| (a.code, a.count, a.ended.as_secs())).collect()
        }
    }

    #[test]
    fn an_attempt_can_be_read_at_once_and_after_a_restart() {
        let setup = setup();
        let mut newest = None;
        setup.history.note(ZONE, &mut newest, attempt(Code::ConnectRefused, 100));
        setup.history.note(ZONE, &mut newest, attempt(Code::ConnectTimeout, 200));
        let expected = [(Code::ConnectTimeout, 1, 200), (Code::ConnectRefused, 1, 100)];
        assert_eq!(setup.shown(), expected, "newest first, though the disk has nothing yet");
        assert_eq!(setup.restarted().shown(), expected);
    }

    /// A poll that finds nothing new a thousand times: one entry, and a write only now and then.
    #[test]
    fn equal_successes_are_one_entry_with_a_count() {
        let setup = setup();
        let mut newest = None;
        for n in 0..1000 {
            setup.history.note(ZONE, &mut newest, attempt(Code::UpToDate, 100 + n / 100));
        }
        assert_eq!(setup.shown(), [(Code::UpToDate, 1000, 109)]);
        let octets = setup.store.statistics().value_octets;
        assert!(octets < 5_000, "{octets} octets were written for a thousand equal polls");
        let attempts = setup.history.of(ZONE).expect("read");
        assert_eq!((attempts[0].first, attempts[0].octets), (Timestamp::from_secs(100), 60_000));
        setup.history.settle(ZONE, newest.as_mut().expect("noted"), Timestamp::from_secs(110));
        assert_eq!(setup.restarted().shown(), [(Code::UpToDate, 1000, 109)]);
    }

    #[test]
    fn failures_are_one_entry_each_and_end_a_row_of_successes() {
        let setup = setup();
        let mut newest = None;
        for (n, code) in [Code::UpToDate, Code::UpToDate, Code::RcodeRefused, Code::RcodeRefused, Code::UpToDate]
            .into_iter()
            .enumerate()
        {
            setup.history.note(ZONE, &mut newest, attempt(code, n as u64));
        }
        let expected =
            [(Code::UpToDate, 1, 4), (Code::RcodeRefused, 1, 3), (Code::RcodeRefused, 1, 2), (Code::UpToDate, 2, 1)];
        assert_eq!(setup.shown(), expected);
        assert_eq!(setup.restarted().shown(), expected);
    }

    #[test]
    fn versions_are_one_entry_each_unless_they_come_in_a_burst() {
        let setup = setup();
        let mut newest = None;
        for (at, to) in [(0, 8), (20, 9), (20, 10), (21, 11), (60, 12)] {
            setup.history.note(ZONE, &mut newest, commit(at, to));
        }
        let attempts = setup.history.of(ZONE).expect("read");
        let serials: Vec<_> =
            attempts.iter().map(|a| (a.count, a.from_serial.expect("from").0, a.to_serial.expect("to").0)).collect();
        assert_eq!(serials, [(1, 11, 12), (3, 8, 11), (1, 7, 8)]);
    }

    #[test]
    fn a_ring_is_bounded_and_belongs_to_one_primary() {
        let setup = setup();
        let (mut first, mut second) = (None, None);
        let other = Attempt { primary: ([192, 0, 2, 1], 5353).into(), ..attempt(Code::RcodeRefused, 0) };
        setup.history.note(ZONE, &mut second, other.clone());
        for at in 1..50 {
            setup.history.note(ZONE, &mut first, attempt(Code::ConnectTimeout, at));
        }
        let shown = setup.shown();
        assert_eq!(shown.len(), 11);
        assert_eq!((shown[0], shown[10]), ((Code::ConnectTimeout, 1, 49), (Code::RcodeRefused, 1, 0)));
        setup.history.forget(ZONE, [other.primary]);
        let setup = setup.restarted();
        assert_eq!(setup.shown(), [(Code::RcodeRefused, 1, 0)]);
    }

    #[test]
    fn what_the_disk_has_is_not_kept_in_memory() {
        let setup = setup();
        let mut newest = None;
        setup.history.note(ZONE, &mut newest, attempt(Code::RcodeRefused, 1));
        setup.store.close();
        assert!(setup.history.lock().unwritten.is_empty());
        assert_eq!(setup.restarted().shown(), [(Code::RcodeRefused, 1, 1)]);
    }

    #[test]
    fn a_long_detail_is_cut_between_characters() {
        let mut detail = "ü".repeat(600);
        truncate(&mut detail);
        assert_eq!(detail.len(), 1000);
        let mut detail = format!("x{}", "ü".repeat(600));
        truncate(&mut detail);
        assert_eq!(detail.len(), 999);
    }
}
