//! What happened, told to whoever listens: one bounded ring for the whole daemon, numbered upwards.
//!
//! In: [`Bus::publish`] by the keeper, which never waits. Out: [`Bus::after`] for readers that hold nothing but the
//! number of the last event they have seen, so a slow reader costs nothing and a reader that comes back goes on where
//! it was, as long as the ring reaches back so far. Numbers go on rising after a restart. Nothing here is durable: the
//! history is.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::watch;
use uuid::Uuid;

use super::keeper::IN_MEMORY;
use crate::store::Sheet;
use crate::time::Timestamp;

/// Events kept for readers that come back or are slow.
pub const KEPT: usize = 4096;

/// Refused NOTIFYs take at most this part of them: anybody can send some for each of our zones, and nobody shall push what
/// else has happened out of the ring with them.
const REFUSED_PART: usize = 16;

/// What kind of event it is; the word is the event's name in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// An attempt at a primary ended.
    Attempt,
    /// A new version is served.
    Version,
    /// The zone's state, or a primary's status, became another.
    State,
    /// A NOTIFY was accepted.
    Notify,
    /// A NOTIFY for a zone of ours was refused.
    NotifyRefused,
    /// A version waits for approval.
    Held,
    /// A held version was approved.
    Approved,
    /// A held version was rejected.
    Rejected,
    /// An older version is served again.
    RolledBack,
    /// The zone has expired.
    Expired,
    /// The engine found something worth a look.
    Finding,
    /// The zone was created, changed or removed.
    Definition,
}

impl Kind {
    /// All, in the order of the manual.
    pub const ALL: [Kind; 12] = [
        Kind::Attempt,
        Kind::Version,
        Kind::State,
        Kind::Notify,
        Kind::NotifyRefused,
        Kind::Held,
        Kind::Approved,
        Kind::Rejected,
        Kind::RolledBack,
        Kind::Expired,
        Kind::Finding,
        Kind::Definition,
    ];

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Attempt => "attempt",
            Kind::Version => "version",
            Kind::State => "state",
            Kind::Notify => "notify",
            Kind::NotifyRefused => "notify-refused",
            Kind::Held => "held",
            Kind::Approved => "approved",
            Kind::Rejected => "rejected",
            Kind::RolledBack => "rolled-back",
            Kind::Expired => "expired",
            Kind::Finding => "finding",
            Kind::Definition => "definition",
        }
    }
}

/// An event and its place.
#[derive(Clone, Debug)]
pub struct Published {
    /// Rises by one from event to event.
    pub sequence: u64,
    /// When.
    pub time: Timestamp,
    /// What kind.
    pub kind: Kind,
    /// The zone it is about.
    pub zone: Uuid,
    /// Name, tenant and details, one behind the other. The ring's texts share blocks: with allocations of its own each of
    /// some thousand events kept a page of what was freed around it, three megabytes after a storm of NOTIFYs.
    text: Bytes,
    name_octets: usize,
    tenant_octets: usize,
}

impl Published {
    /// The apex, without the final dot.
    pub fn zone_name(&self) -> &str {
        self.part(0, self.name_octets)
    }

    /// Whose zone it is.
    pub fn tenant(&self) -> &str {
        self.part(self.name_octets, self.name_octets + self.tenant_octets)
    }

    /// What else there is to say: the text of a JSON object. As a tree it would be five times as large, and most events
    /// are never read.
    pub fn details(&self) -> &str {
        self.part(self.name_octets + self.tenant_octets, self.text.len())
    }

    fn part(&self, from: usize, to: usize) -> &str {
        std::str::from_utf8(&self.text[from..to]).expect("it was written as text")
    }
}

/// Which zone an event is about.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// The zone.
    pub zone: Uuid,
    /// Its apex, without the final dot.
    pub name: &'a str,
    /// Whose zone it is.
    pub tenant: &'a str,
}

/// The events a reader asked for are gone; the ring begins at `oldest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone {
    /// The oldest event there is.
    pub oldest: u64,
}

/// The ring.
#[derive(Debug)]
pub struct Bus {
    ring: Mutex<Ring>,
    sheet: Sheet,
    newest: watch::Sender<u64>,
    kept: usize,
}

#[derive(Debug)]
struct Ring {
    events: VecDeque<Published>,
    /// Number of the next event.
    next: u64,
    /// From this number on all are there, but for refused NOTIFYs.
    begins: u64,
    /// How many refused NOTIFYs there are.
    refused: usize,
}

impl Ring {
    /// The oldest event goes.
    fn forget(&mut self) {
        if let Some(oldest) = self.events.pop_front() {
            self.begins = oldest.sequence + 1;
            self.refused -= usize::from(oldest.kind == Kind::NotifyRefused);
        }
    }

    /// The oldest refused NOTIFY goes.
    fn forget_refused(&mut self) {
        if let Some(at) = self.events.iter().position(|event| event.kind == Kind::NotifyRefused) {
            self.events.remove(at);
            self.refused -= 1;
        }
    }
}

impl Bus {
    /// An empty ring for `kept` events, whose numbers are above those of every earlier run.
    pub fn new(kept: usize, now: Timestamp) -> Bus {
        // A run would have to publish a thousand events a millisecond to meet the numbers of the next one.
        let next = now.as_millis() << 10;
        let ring = Mutex::new(Ring { events: VecDeque::new(), next, begins: next, refused: 0 });
        Bus { ring, sheet: Sheet::default(), newest: watch::channel(next - 1).0, kept }
    }

    /// Adds an event; the oldest goes if there is no room. Never waits.
    /// `details` is an object in JSON.
    pub fn publish(&self, now: Timestamp, kind: Kind, about: About<'_>, details: impl Serialize) {
        let text = self.sheet.write(|out| {
            out.write_all(about.name.as_bytes()).expect(IN_MEMORY);
            out.write_all(about.tenant.as_bytes()).expect(IN_MEMORY);
            serde_json::to_writer(out, &details).expect(IN_MEMORY);
        });
        let mut ring = self.lock();
        let sequence = ring.next;
        ring.next += 1;
        let is_refused = kind == Kind::NotifyRefused;
        if is_refused && ring.refused >= (self.kept / REFUSED_PART).max(1) {
            ring.forget_refused();
        } else if ring.events.len() >= self.kept {
            ring.forget();
        }
        ring.refused += usize::from(is_refused);
        ring.events.push_back(Published {
            sequence,
            time: now,
            kind,
            zone: about.zone,
            text,
            name_octets: about.name.len(),
            tenant_octets: about.tenant.len(),
        });
        drop(ring);
        self.newest.send_replace(sequence);
    }

    /// Number of the newest event; that before the first if there is none.
    pub fn newest(&self) -> u64 {
        *self.newest.borrow()
    }

    /// Sees the number of every new event, or of the last of several.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// Up to `max` events behind number `seen`, in order. `Err` if some of them are gone already.
    pub fn after(&self, seen: u64, max: usize) -> Result<Vec<Published>, Gone> {
        let ring = self.lock();
        if seen.saturating_add(1) < ring.begins {
            return Err(Gone { oldest: ring.begins });
        }
        let skip = ring.events.partition_point(|event| event.sequence <= seen);
        Ok(ring.events.iter().skip(skip).take(max).cloned().collect())
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABOUT: About<'static> = About { zone: Uuid::nil(), name: "example.com", tenant: "1000" };

    fn bus(events: u64) -> Bus {
        let bus = Bus::new(4, Timestamp::from_millis(1));
        (0..events)
            .for_each(|n| bus.publish(Timestamp::from_millis(n), Kind::Notify, ABOUT, serde_json::json!({ "n": n })));
        bus
    }

    fn numbers(events: Result<Vec<Published>, Gone>) -> Vec<u64> {
        events.expect("kept").iter().map(|event| event.sequence - 1024).collect()
    }

    #[test]
    fn a_reader_goes_on_behind_the_event_it_has_seen() {
        let bus = bus(4);
        assert_eq!(numbers(bus.after(1023, 10)), [0, 1, 2, 3]);
        assert_eq!(numbers(bus.after(1024 + 1, 10)), [2, 3]);
        assert_eq!(numbers(bus.after(1023, 2)), [0, 1]);
        assert!(numbers(bus.after(bus.newest(), 10)).is_empty());
    }

    #[test]
    fn an_event_says_whose_zone_it_is_about_and_what_else() {
        let bus = bus(1);
        let event = &bus.after(1023, 1).expect("kept")[0];
        assert_eq!((event.zone_name(), event.tenant(), event.details()), ("example.com", "1000", r#"{"n":0}"#));
    }

    #[test]
    fn a_reader_that_has_missed_events_is_told() {
        let bus = bus(6);
        assert_eq!(bus.after(1024, 10).err(), Some(Gone { oldest: 1024 + 2 }));
        assert_eq!(numbers(bus.after(1024 + 1, 10)), [2, 3, 4, 5], "the last that is complete");
    }

    #[test]
    fn refused_notifies_push_nothing_else_out() {
        // given a full ring
        let bus = bus(4);
        // when there are more refused NOTIFYs than it holds
        for _ in 0..100 {
            bus.publish(Timestamp::from_millis(9), Kind::NotifyRefused, ABOUT, serde_json::json!({}));
        }
        // then the first has taken the place of the oldest, and the others only that of each other
        assert_eq!(numbers(bus.after(1024, 10)), [1, 2, 3, 103]);
        assert_eq!(bus.after(1023, 10).err(), Some(Gone { oldest: 1025 }));
        assert_eq!(
            numbers(bus.after(1024 + 50, 10)),
            [103],
            "a reader that has seen one that is gone misses nothing else"
        );
        // and they go like others
        (0..4).for_each(|n| bus.publish(Timestamp::from_millis(n), Kind::Notify, ABOUT, serde_json::json!({})));
        assert_eq!(numbers(bus.after(1024 + 103, 10)), [104, 105, 106, 107]);
        assert_eq!(bus.after(1024, 10).err(), Some(Gone { oldest: 1024 + 104 }));
    }

    #[test]
    fn numbers_of_a_later_run_are_above() {
        let (earlier, later) = (Bus::new(4, Timestamp::from_millis(1)), Bus::new(4, Timestamp::from_millis(2)));
        (0..1000).for_each(|_| earlier.publish(Timestamp::from_millis(1), Kind::State, ABOUT, serde_json::json!({})));
        assert!(later.newest() > earlier.newest());
        assert!(later.after(earlier.newest(), 10).is_err(), "what happened between the two is not known");
    }

    #[test]
    fn words_are_those_of_the_json() {
        for kind in Kind::ALL {
            assert_eq!(serde_json::to_value(kind).expect("a word"), kind.as_str());
        }
    }
}
