//! Frees what has been replaced, away from the threads that read it.
//!
//! A worker that dropped the last reference to a zone of a million records would free them between two queries. So
//! the publisher gives each replaced value here, and the reaper lets go of it only when it is the last holder.

use std::any::Any;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// Replaced values that may wait while the reaper is busy freeing; then the publisher waits too.
const QUEUE: usize = 1024;
/// First pause before asking again whether readers have let go; a batch of queries takes far less.
const PAUSE_MIN: Duration = Duration::from_millis(2);
/// Longest pause: a transfer may hold a snapshot for an hour.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Anything that readers may still hold.
type Replaced = Arc<dyn Any + Send + Sync>;

/// The way to the reaper's thread, which ends when this is dropped.
pub struct Reaper {
    queue: SyncSender<Replaced>,
}

impl Reaper {
    /// Starts the thread.
    pub fn start() -> Reaper {
        let (queue, incoming) = sync_channel(QUEUE);
        std::thread::Builder::new()
            .name("reaper".into())
            .spawn(move || run(&incoming))
            .expect("a thread can be started while the daemon starts");
        Reaper { queue }
    }

    /// Gives up `value`: it is dropped by the reaper once nobody else holds it. The caller must have taken away every
    /// way by which others could still come to it.
    pub fn bury(&self, value: Replaced) {
        // If the thread were gone, dropping here is the right thing to do.
        let _ = self.queue.send(value);
    }
}

fn run(incoming: &Receiver<Replaced>) {
    let mut held: Vec<Replaced> = Vec::new();
    let mut pause = PAUSE_MIN;
    loop {
        let next = if held.is_empty() {
            incoming.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            incoming.recv_timeout(pause)
        };
        match next {
            Ok(value) => {
                held.push(value);
                pause = PAUSE_MIN;
            }
            Err(RecvTimeoutError::Timeout) => pause = (pause * 2).min(PAUSE_MAX),
            Err(RecvTimeoutError::Disconnected) => return,
        }
        held.extend(incoming.try_iter());
        held.retain(|value| Arc::strong_count(value) > 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::thread::ThreadId;

    /// Says on which thread it was dropped.
    struct Witness(mpsc::Sender<ThreadId>);

    impl Drop for Witness {
        fn drop(&mut self) {
            let _ = self.0.send(std::thread::current().id());
        }
    }

    /// Invariant 4: a query worker never frees a snapshot; the reaper drops the last reference.
    #[test]
    fn the_last_reference_is_dropped_by_the_reaper() {
        let reaper = Reaper::start();
        let (said, heard) = mpsc::channel();
        let value = Arc::new(Witness(said));
        let readers: Vec<_> = (0..4).map(|_| Arc::clone(&value)).collect();
        reaper.bury(value);
        assert!(heard.try_recv().is_err(), "readers still hold it");
        drop(readers);
        let by = heard.recv_timeout(Duration::from_secs(20)).expect("dropped in the end");
        assert_ne!(by, std::thread::current().id());
    }

    #[test]
    fn what_nobody_holds_is_dropped_at_once() {
        let reaper = Reaper::start();
        let (said, heard) = mpsc::channel();
        reaper.bury(Arc::new(Witness(said)));
        assert!(heard.recv_timeout(Duration::from_secs(20)).is_ok());
    }
}
