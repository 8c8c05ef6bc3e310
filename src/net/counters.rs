//! What listeners count: plain atomics that telemetry adds up when it is asked.
//!
//! Each UDP worker has a block of its own, written by that thread alone (a relaxed load and store, no locked
//! instruction, no cache line shared with another worker). TCP tasks share one block and add atomically.

use std::sync::atomic::{AtomicU64, Ordering};

/// Response codes counted one by one; the last place takes all others.
pub const RCODES: usize = 12;

/// Counts of ordinary queries of one writer (or one transport).
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct QueryCounters {
    /// Messages received.
    pub(super) received: AtomicU64,
    /// Replies by RCODE, as in the header.
    pub(super) rcodes: [AtomicU64; RCODES],
    /// Replies with TC.
    pub(super) truncated: AtomicU64,
    /// Messages not answered: no queries.
    pub(super) dropped: AtomicU64,
    /// Replies held back or sent short by the rate limit.
    pub(super) limited: AtomicU64,
}

/// What can become of a NOTIFY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum NotifyOutcome {
    /// Answered NOERROR and passed on.
    Accepted,
    /// REFUSED: the source or its key is not allowed.
    Refused,
    /// NOTAUTH: no such zone here, or one without primaries.
    NotAuth,
    /// The signature did not verify.
    BadSignature,
    /// FORMERR or NOTIMP.
    Malformed,
}

impl NotifyOutcome {
    /// All, in the order of their places.
    pub const ALL: [NotifyOutcome; 5] = [
        NotifyOutcome::Accepted,
        NotifyOutcome::Refused,
        NotifyOutcome::NotAuth,
        NotifyOutcome::BadSignature,
        NotifyOutcome::Malformed,
    ];

    /// The label of the metric.
    pub fn as_str(self) -> &'static str {
        match self {
            NotifyOutcome::Accepted => "accepted",
            NotifyOutcome::Refused => "refused",
            NotifyOutcome::NotAuth => "notauth",
            NotifyOutcome::BadSignature => "bad_signature",
            NotifyOutcome::Malformed => "malformed",
        }
    }
}

/// What can become of a request for a transfer from us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum TransferOutcome {
    /// Sent to its end.
    Completed,
    /// REFUSED or NOTAUTH.
    Refused,
    /// SERVFAIL, or too many at once.
    Unavailable,
    /// Broken off: the downstream was too slow or went away.
    Broken,
}

impl TransferOutcome {
    /// All, in the order of their places.
    pub const ALL: [TransferOutcome; 4] =
        [TransferOutcome::Completed, TransferOutcome::Refused, TransferOutcome::Unavailable, TransferOutcome::Broken];

    /// The label of the metric.
    pub fn as_str(self) -> &'static str {
        match self {
            TransferOutcome::Completed => "completed",
            TransferOutcome::Refused => "refused",
            TransferOutcome::Unavailable => "unavailable",
            TransferOutcome::Broken => "broken",
        }
    }
}

/// All counts of the listeners.
#[derive(Debug)]
pub struct Counters {
    pub(super) udp: Box<[QueryCounters]>,
    pub(super) tcp: QueryCounters,
    pub(super) tls: QueryCounters,
    notifies: [AtomicU64; NotifyOutcome::ALL.len()],
    transfers: [AtomicU64; TransferOutcome::ALL.len()],
    /// Connections accepted.
    pub(super) connections: AtomicU64,
    /// Connections closed at once because a limit was reached.
    pub(super) connections_refused: AtomicU64,
}

/// The sum of [`QueryCounters`] at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queries {
    /// Messages received.
    pub received: u64,
    /// Replies by RCODE; the last place holds all higher ones.
    pub rcodes: [u64; RCODES],
    /// Replies with TC.
    pub truncated: u64,
    /// Messages not answered: no queries.
    pub dropped: u64,
    /// Replies held back or sent short by the rate limit.
    pub limited: u64,
}

impl Counters {
    pub(super) fn new(udp_workers: usize) -> Counters {
        Counters {
            udp: (0..udp_workers).map(|_| QueryCounters::default()).collect(),
            tcp: QueryCounters::default(),
            tls: QueryCounters::default(),
            notifies: Default::default(),
            transfers: Default::default(),
            connections: AtomicU64::new(0),
            connections_refused: AtomicU64::new(0),
        }
    }

    /// What came over UDP, all workers together.
    pub fn udp(&self) -> Queries {
        self.udp.iter().fold(Queries::default(), |sum, worker| sum.plus(worker))
    }

    /// What came over TCP.
    pub fn tcp(&self) -> Queries {
        Queries::default().plus(&self.tcp)
    }

    /// What came over TLS.
    pub fn tls(&self) -> Queries {
        Queries::default().plus(&self.tls)
    }

    /// NOTIFYs by outcome, over both transports.
    pub fn notifies(&self, outcome: NotifyOutcome) -> u64 {
        self.notifies[outcome as usize].load(Ordering::Relaxed)
    }

    /// Transfers to downstreams by outcome.
    pub fn transfers(&self, outcome: TransferOutcome) -> u64 {
        self.transfers[outcome as usize].load(Ordering::Relaxed)
    }

    /// TCP connections accepted, and those closed at once because of a limit.
    pub fn connections(&self) -> (u64, u64) {
        (self.connections.load(Ordering::Relaxed), self.connections_refused.load(Ordering::Relaxed))
    }

    pub(super) fn count_notify(&self, outcome: NotifyOutcome) {
        self.notifies[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_transfer(&self, outcome: TransferOutcome) {
        self.transfers[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }
}

impl Queries {
    fn plus(mut self, counters: &QueryCounters) -> Queries {
        self.received += counters.received.load(Ordering::Relaxed);
        self.truncated += counters.truncated.load(Ordering::Relaxed);
        self.dropped += counters.dropped.load(Ordering::Relaxed);
        self.limited += counters.limited.load(Ordering::Relaxed);
        for (sum, counter) in self.rcodes.iter_mut().zip(&counters.rcodes) {
            *sum += counter.load(Ordering::Relaxed);
        }
        self
    }
}

impl QueryCounters {
    /// Counts a reply, given its first four octets, or silence. `add` is [`alone`] or [`shared`].
    #[inline]
    pub(super) fn count(&self, reply: Option<&[u8]>, add: fn(&AtomicU64)) {
        add(&self.received);
        match reply {
            Some(&[_, _, high, low, ..]) => {
                add(&self.rcodes[usize::from(low & 0x0f).min(RCODES - 1)]);
                if high & 2 != 0 {
                    add(&self.truncated);
                }
            }
            _ => add(&self.dropped),
        }
    }
}

/// Adds one to a counter that only the calling thread writes.
#[inline]
pub(super) fn alone(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

/// Adds one to a counter that several threads write.
pub(super) fn shared(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_add_up() {
        let counters = Counters::new(2);
        counters.udp[0].count(Some(&[0, 0, 0x80, 3]), alone);
        counters.udp[1].count(Some(&[0, 0, 0x82, 3, 0]), alone);
        counters.udp[1].count(None, alone);
        counters.tcp.count(Some(&[0, 0, 0x80, 15]), shared);
        let udp = counters.udp();
        assert_eq!((udp.received, udp.rcodes[3], udp.truncated, udp.dropped), (3, 2, 1, 1));
        assert_eq!((counters.tcp().received, counters.tcp().rcodes[RCODES - 1]), (1, 1));
    }
}
