//! One thread for each UDP socket: receive a batch, answer it in place, send it.
//!
//! Each worker has a socket of its own (SO_REUSEPORT: the kernel spreads clients over them), its own view, batch and
//! counters, and shares nothing that is written while answering. What `answer` hands over goes to [`super::cold`]; the
//! replies go out before any notice is passed on, so a slow primary never delays an acknowledgement (BEHAVIOUR N2).

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::ops::Range;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::cold::{Cold, Done};
use super::counters::{QueryCounters, alone};
use super::place::Place;
use super::proxy::{self, Head, Proxies};
use super::rate::{RateLimiter, Sentence};
use crate::answer::{self, Client, Outcome, Workspace};
use crate::served::{Inbox, Notice, Transport, View, ViewReader};
use crate::system::mmsg::{self, Batch, Datagram, SLOT_OCTETS};
use crate::system::schedule;
use crate::time::Timestamp;

/// How long a worker waits for a query before it looks whether it is to stop.
pub(super) const WAIT: Duration = Duration::from_millis(100);

/// Batches that are still taken from the socket's buffer after the order to stop; a full default buffer holds fewer.
const LAST_BATCHES: usize = 64;

/// Pause after an error of the socket itself, so that a broken one does not burn a core.
const ERROR_PAUSE: Duration = Duration::from_millis(10);

/// All one worker needs.
pub(super) struct Worker {
    pub(super) socket: UdpSocket,
    /// Whether the socket is bound to the wildcard address.
    pub(super) wildcard: bool,
    /// Where it runs; where it is started, if nothing is said.
    pub(super) place: Option<Place>,
    /// The largest reply to clients that take as much.
    pub(super) reply_octets_max: u16,
    pub(super) nsec3_iterations_max: u16,
    pub(super) view: ViewReader,
    pub(super) cold: Arc<Cold>,
    /// Who may speak for others.
    pub(super) proxies: Proxies,
    /// Bounds equal replies to one network; one for all workers.
    pub(super) limiter: Option<Arc<RateLimiter>>,
    pub(super) inbox: Inbox,
    /// This worker's place among the blocks of [`super::Counters`].
    pub(super) index: usize,
    pub(super) stop: Arc<AtomicBool>,
}

impl Worker {
    /// Answers until the order to stop, then what has arrived by then.
    pub(super) fn run(mut self) {
        schedule::take_short_turns();
        let counters = Arc::clone(&self.cold.counters);
        let counters = &counters.udp[self.index];
        let mut batch = Batch::new(self.wildcard);
        let mut work = Workspace::for_groups();
        // at most one notice for each datagram of a batch
        let mut notices = Vec::with_capacity(mmsg::SLOTS);
        while !self.stop.load(Ordering::Relaxed) {
            match batch.receive(self.socket.as_fd(), true) {
                Ok(count) => {
                    if let Some(place) = &mut self.place {
                        place.received(count);
                    }
                    self.answer(&mut batch, count, &mut work, counters, &mut notices);
                }
                Err(error) => {
                    if let Some(place) = &mut self.place {
                        place.rested();
                    }
                    pause_after(&error);
                }
            }
        }
        for _ in 0..LAST_BATCHES {
            match batch.receive(self.socket.as_fd(), false) {
                Ok(count) => self.answer(&mut batch, count, &mut work, counters, &mut notices),
                Err(_) => break,
            }
        }
    }

    fn answer(
        &mut self,
        batch: &mut Batch,
        count: usize,
        work: &mut Workspace,
        counters: &QueryCounters,
        notices: &mut Vec<Notice>,
    ) {
        let view = self.view.current();
        let now = Timestamp::now();
        let identity = self.cold.policy.identity.load();
        let everybody = Client {
            udp_octets_max: self.reply_octets_max,
            nsec3_iterations_max: self.nsec3_iterations_max,
            identity: &identity,
            now,
            ..Client::new(Transport::Udp, SocketAddr::from(([0, 0, 0, 0], 0)))
        };
        for start in (0..count).step_by(answer::GROUP) {
            let group = start..count.min(start + answer::GROUP);
            // behind a proxy it shows only below where the query begins
            if self.proxies.is_empty() {
                read(batch, group.clone(), work, view);
            }
            for index in group {
                let place = index - start;
                let Some(mut datagram) = batch.datagram(index) else {
                    counters.count(None, alone);
                    continue;
                };
                if !self.proxies.is_empty() {
                    if !unwrap(&self.proxies, &mut datagram) {
                        counters.count(None, alone);
                        continue;
                    }
                    work.read(view, place, &datagram.buffer[..datagram.len]);
                }
                let client = Client { addr: datagram.peer, ..everybody };
                let outcome = match work.answer(view, &client, place, datagram.buffer) {
                    Outcome::Hand => {
                        let done = self.cold.handle(view, &client, &datagram.buffer[..datagram.len], now);
                        take(done, self.limiter.as_deref(), &client, datagram.buffer, notices, counters)
                    }
                    Outcome::Reply(len) => match &self.limiter {
                        Some(limiter) => limit(limiter, work, &client, datagram.buffer, len, counters),
                        None => Outcome::Reply(len),
                    },
                    Outcome::Drop => Outcome::Drop,
                };
                match outcome {
                    Outcome::Reply(len) => {
                        counters.count(Some(&datagram.buffer[..len]), alone);
                        batch.queue_reply(index, len);
                    }
                    Outcome::Drop | Outcome::Hand => counters.count(None, alone),
                }
            }
        }
        batch.send(self.socket.as_fd());
        notices.drain(..).for_each(|notice| self.inbox.try_send(notice));
    }
}

/// Reads the queries of a group and brings what they are answered from into the cache.
fn read(batch: &mut Batch, group: Range<usize>, work: &mut Workspace, view: &View) {
    let count = group.len();
    for (place, index) in group.enumerate() {
        let datagram = batch.datagram(index);
        work.read(view, place, datagram.as_ref().map_or(&[], |datagram| &datagram.buffer[..datagram.len]));
    }
    if count > 1 {
        work.look_ahead(view, count);
    }
}

/// Takes what comes from the cold path back into the slot, as far as the limit lets it pass.
#[cold]
fn take(
    done: Done,
    limiter: Option<&RateLimiter>,
    client: &Client<'_>,
    buffer: &mut [u8],
    notices: &mut Vec<Notice>,
    counters: &QueryCounters,
) -> Outcome {
    let mut reply = match done {
        Done::Reply(reply) if reply.octets.len() <= SLOT_OCTETS => reply,
        // transfers are only granted over TCP, and nothing else makes so long a reply
        Done::Reply(_) | Done::Transfer(_) | Done::Drop => return Outcome::Drop,
    };
    // whatever becomes of the reply: it was asked
    notices.extend(reply.notice.take());
    if let (Some(limiter), Some(subject)) = (limiter, reply.subject) {
        match sentence(limiter, client, &reply.octets, subject, counters) {
            Sentence::Send => {}
            Sentence::Slip => reply.octets = reply.shortened(),
            Sentence::Silence => return Outcome::Drop,
        }
    }
    buffer[..reply.octets.len()].copy_from_slice(&reply.octets);
    Outcome::Reply(reply.octets.len())
}

/// Takes the PROXY header off a datagram from a listed proxy. False if it begins one that cannot be understood.
#[cold]
fn unwrap(proxies: &Proxies, datagram: &mut Datagram<'_>) -> bool {
    if !proxies.contains(datagram.peer.ip()) {
        return true;
    }
    match proxy::read(&datagram.buffer[..datagram.len]) {
        Head::Absent => true,
        Head::Whole(proxied) => {
            datagram.buffer.copy_within(proxied.octets..datagram.len, 0);
            datagram.len -= proxied.octets;
            // the batch sends the reply where the datagram came from; only who asks has changed
            datagram.peer = proxied.client.unwrap_or(datagram.peer);
            true
        }
        Head::Partial(_) | Head::Broken => false,
    }
}

/// Lets a reply pass, makes it short, or holds it back.
fn limit(
    limiter: &RateLimiter,
    work: &Workspace,
    client: &Client<'_>,
    buffer: &mut [u8],
    len: usize,
    counters: &QueryCounters,
) -> Outcome {
    if work.cookie_is_valid() {
        return Outcome::Reply(len);
    }
    match sentence(limiter, client, &buffer[..len], work.subject(), counters) {
        Sentence::Send => Outcome::Reply(len),
        Sentence::Slip => Outcome::Reply(work.shorten(buffer, len)),
        Sentence::Silence => Outcome::Drop,
    }
}

/// What becomes of a reply; those that do not go out whole are counted.
fn sentence(
    limiter: &RateLimiter,
    client: &Client<'_>,
    reply: &[u8],
    subject: u64,
    counters: &QueryCounters,
) -> Sentence {
    let sentence = limiter.judge(client.addr.ip(), reply, subject, client.now.as_millis());
    if sentence != Sentence::Send {
        alone(&counters.limited);
    }
    sentence
}

fn pause_after(error: &io::Error) {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted => {}
        _ => {
            tracing::debug!(%error, "receiving datagrams failed");
            std::thread::sleep(ERROR_PAUSE);
        }
    }
}
