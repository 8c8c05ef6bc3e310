//! What workers tell `control`, through one bounded queue that never makes them wait.
//!
//! If the queue is full a notice is not kept, but the fact is: the reader is told to *sweep*, that is to treat every
//! zone as notified, so nothing is lost, only made more expensive.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use super::Transport;
use super::slot::ZoneId;
use crate::dns::{Name, Serial};

/// Notices that may wait: a burst of one NOTIFY for each of 65,536 zones fits.
pub const INBOX_NOTICES_MAX: usize = 65_536;

/// Something that workers have seen and `control` must know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A NOTIFY that was allowed; it has been answered already.
    Notify {
        /// The zone it names.
        zone: ZoneId,
        /// Who sent it.
        from: SocketAddr,
        /// The TSIG key by which it was signed.
        key: Option<Name>,
        /// The serial in its answer section: a hint, never a fact (RFC 1996 §3.7).
        hint: Option<Serial>,
        /// How it came.
        transport: Transport,
    },
    /// A NOTIFY for a zone of ours was refused; told once a minute for each zone and source.
    Refused {
        /// The zone it names.
        zone: ZoneId,
        /// Who sent it.
        from: SocketAddr,
        /// What was wrong with it.
        why: RefusedFor,
    },
}

/// Why a NOTIFY was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusedFor {
    /// Its source is neither a primary of the zone nor listed.
    Source,
    /// It would have to be signed.
    Unsigned,
    /// It is signed with a known key that is not the one needed.
    Key,
}

/// Called after a notice was queued where none waited, or after an overflow. Must not block.
pub type Waker = Box<dyn Fn() + Send + Sync>;

struct Shared {
    /// Notices that wait. The bound is kept here and not by the channel, which would set aside room for all of them (5 MB)
    /// from the start.
    waiting: AtomicUsize,
    notices_max: usize,
    /// Notices were lost; the reader must look at all zones.
    sweep: AtomicBool,
    /// Notices not kept since the start.
    overflows: AtomicU64,
    /// The reader has been woken and has not begun to read yet.
    woken: AtomicBool,
    waker: Waker,
}

/// The sending end; clones share one queue.
#[derive(Clone)]
pub struct Inbox {
    queue: Sender<Notice>,
    shared: Arc<Shared>,
}

/// The reading end, for one reader.
pub struct InboxReader {
    queue: Receiver<Notice>,
    shared: Arc<Shared>,
}

/// A queue of at most `notices_max`. `waker` is called by senders, so that an async reader needs no thread; a reader
/// with a thread of its own passes an empty one and uses [`InboxReader::wait`].
pub fn inbox(notices_max: usize, waker: Waker) -> (Inbox, InboxReader) {
    let (sender, receiver) = channel();
    let shared = Arc::new(Shared {
        waiting: AtomicUsize::new(0),
        notices_max,
        sweep: AtomicBool::new(false),
        overflows: AtomicU64::new(0),
        woken: AtomicBool::new(false),
        waker,
    });
    (Inbox { queue: sender, shared: Arc::clone(&shared) }, InboxReader { queue: receiver, shared })
}

impl Inbox {
    /// Queues `notice` without waiting. If there is no room (or no reader any more) the reader will sweep instead.
    pub fn try_send(&self, notice: Notice) {
        // Counted before it is sent, so that the reader never takes off more than there are.
        if self.shared.waiting.fetch_add(1, Ordering::Relaxed) < self.shared.notices_max {
            // Without a reader nobody misses it.
            let _ = self.queue.send(notice);
        } else {
            self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
            self.shared.overflows.fetch_add(1, Ordering::Relaxed);
            self.shared.sweep.store(true, Ordering::Release);
        }
        // Sender: queue, then look at `woken`. Reader: clear `woken`, then look at the queue. The fences keep each
        // pair in this order, so that at least one of the two sees the other.
        fence(Ordering::SeqCst);
        if !self.shared.woken.swap(true, Ordering::SeqCst) {
            (self.shared.waker)();
        }
    }

    /// Notices not kept since the start.
    pub fn overflows(&self) -> u64 {
        self.shared.overflows.load(Ordering::Relaxed)
    }
}

impl InboxReader {
    /// Whether notices were lost since the last call, so that every zone must be treated as notified.
    pub fn take_sweep(&self) -> bool {
        self.shared.sweep.swap(false, Ordering::AcqRel)
    }

    /// The next notice, if one is there. Read until `None` after each call of the waker.
    pub fn try_next(&self) -> Option<Notice> {
        self.shared.woken.store(false, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        self.queue.try_recv().ok().inspect(|_| self.taken())
    }

    /// The next notice, waiting at most `timeout`; `Err` once all senders are gone.
    pub fn wait(&self, timeout: Duration) -> Result<Option<Notice>, SendersGone> {
        match self.queue.recv_timeout(timeout) {
            Ok(notice) => {
                self.taken();
                Ok(Some(notice))
            }
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(SendersGone),
        }
    }

    fn taken(&self) {
        self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// All workers have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no worker is left")]
pub struct SendersGone;

#[cfg(test)]
mod tests {
    use super::*;

    fn notify(zone: u32) -> Notice {
        Notice::Notify {
            zone: ZoneId(zone),
            from: ([192, 0, 2, 1], 4242).into(),
            key: None,
            hint: Some(Serial(7)),
            transport: Transport::Udp,
        }
    }

    #[test]
    fn notices_come_out_in_order_and_an_overflow_asks_for_a_sweep() {
        let (sender, reader) = inbox(2, Box::new(|| {}));
        (1..=3).for_each(|zone| sender.try_send(notify(zone)));
        assert_eq!(sender.overflows(), 1);
        assert_eq!((reader.try_next(), reader.try_next(), reader.try_next()), (Some(notify(1)), Some(notify(2)), None));
        assert!(reader.take_sweep() && !reader.take_sweep());
    }

    #[test]
    fn the_reader_is_woken_once_until_it_reads() {
        let calls = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&calls);
        let (sender, reader) = inbox(8, Box::new(move || _ = counter.fetch_add(1, Ordering::Relaxed)));
        sender.try_send(notify(1));
        sender.try_send(notify(2));
        assert_eq!(calls.load(Ordering::Relaxed), 1);
        while reader.try_next().is_some() {}
        sender.try_send(notify(3));
        assert_eq!(calls.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_waiting_reader_learns_that_the_workers_are_gone() {
        let (sender, reader) = inbox(8, Box::new(|| {}));
        sender.try_send(notify(1));
        assert_eq!(reader.wait(Duration::ZERO), Ok(Some(notify(1))));
        assert_eq!(reader.wait(Duration::ZERO), Ok(None));
        drop(sender);
        assert_eq!(reader.wait(Duration::ZERO), Err(SendersGone));
    }
}
