//! DNS over one stream, clear or under TLS: framing, pipelining, answers as they are ready, transfers to downstreams.
//!
//! ```text
//!   octets ──► frames ──► answer::respond ──► outgoing ──► written before the next read
//!                │ transfer                      ▲
//!                ▼                               │ one message at a time
//!             waiting ──► task of its own ───────┘
//! ```
//!
//! All whole queries that have arrived are answered and their replies written together (RFC 7766 §6.2.1.1 pipelining); the
//! next read happens only after the write, so a client that does not read is not read from either. A transfer is made by
//! a task beside the connection, and its messages go out between answers: a query behind it never waits for its end
//! (RFC 7766 §6.2.1.1: "responses SHOULD be sent as soon as they are available"; RFC 5936 §2.2). Further transfers on the
//! same connection wait for the ones before. Answers come from the same function as over UDP.
//!
//! RFC 1035 §4.2.2 (two-octet length), RFC 7766, RFC 7828 (keepalive), RFC 9103 (transfers over TLS), RFC 9210 (limits).

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::OutboundData;
use super::cold::{Done, TransferRequest};
use super::counters::{QueryCounters, TransferOutcome, shared};
use super::tcp::Server;
use crate::answer::{self, COOKIE_OCTETS, Client, Outcome, Workspace};
use crate::dns::message::MESSAGE_OCTETS_MAX;
use crate::dns::tsig::StreamSigner;
use crate::served::{Notice, Transport, View, ViewReader};
use crate::time::Timestamp;
use crate::transfer::outbound::{MESSAGE_OCTETS_TARGET, Outbound};

/// Replies are written when this much has gathered, even if more queries wait.
const WRITE_OCTETS: usize = 64 * 1024;

/// First capacity of a connection's read buffer; ordinary queries never make it grow.
const READ_OCTETS: usize = 2048;

/// Room that an OPT with the options EXPIRE and COOKIE takes in the first message of a transfer.
const OPT_OCTETS: usize = 11 + (4 + 4) + (4 + COOKIE_OCTETS);

/// Transfers of one connection that run beside each other; more wait. One client shall not take all that may run.
const TRANSFERS_RUNNING_MAX: usize = 2;

/// Transfers of one connection that wait; one more is answered SERVFAIL. Downstreams with many zones ask for many at
/// once (RFC 9103 §6.4).
const TRANSFERS_WAITING_MAX: usize = 256;

/// Messages of a transfer that are made before the one ahead is written.
const MESSAGES_AHEAD: usize = 2;

/// What a client does that is cut off by [`TcpLimits::write`](super::TcpLimits::write).
const TAKES_NOTHING: &str = "the client took nothing";

thread_local! {
    /// Where a reply is made before it is queued for writing: one for each runtime thread, not for each connection.
    static REPLY: RefCell<(Workspace, Box<[u8]>)> =
        RefCell::new((Workspace::new(), vec![0; MESSAGE_OCTETS_MAX].into()));
}

/// A stream and what has arrived on it.
pub(super) struct Connection<S> {
    server: Arc<Server>,
    stream: S,
    peer: SocketAddr,
    transport: Transport,
    /// Octets received and not answered yet.
    incoming: Vec<u8>,
    /// Framed replies not written yet.
    outgoing: Vec<u8>,
    /// Transfers that have been asked for and not begun.
    waiting: VecDeque<TransferRequest>,
    /// Transfers that are being sent.
    running: usize,
    /// The error that ended the connection, for the log of the transfers it breaks off.
    failure: Arc<OnceLock<String>>,
}

/// What a transfer's task gives to its connection.
enum Piece {
    /// The next message.
    Message(Vec<u8>),
    /// It is over. `false`: in the middle of an answer, so the connection must end.
    End(bool),
}

/// Why a connection ends; nobody is told but the debug log, and that of transfers which end with it.
type Ended = io::Result<()>;

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(super) fn new(server: Arc<Server>, stream: S, peer: SocketAddr, transport: Transport) -> Connection<S> {
        Connection {
            server,
            stream,
            peer,
            transport,
            incoming: Vec::with_capacity(READ_OCTETS),
            outgoing: Vec::new(),
            waiting: VecDeque::new(),
            running: 0,
            failure: Arc::default(),
        }
    }

    /// With octets that have been read off the stream already.
    pub(super) fn begun_with(mut self, early: Vec<u8>) -> Connection<S> {
        self.incoming.extend(early);
        self
    }

    /// Reads and answers until the client closes, is silent for too long, or we stop.
    pub(super) async fn run(mut self) -> Ended {
        let (sender, mut pieces) = mpsc::channel(MESSAGES_AHEAD);
        let ended = self.converse(&sender, &mut pieces).await;
        // before `pieces` goes, which ends the transfers
        if let Err(error) = &ended {
            let _ = self.failure.set(error.to_string());
        }
        ended
    }

    async fn converse(&mut self, sender: &mpsc::Sender<Piece>, pieces: &mut mpsc::Receiver<Piece>) -> Ended {
        let server = Arc::clone(&self.server);
        let mut stop = server.stop.subscribe();
        let mut view = server.services.view.reader();
        // One deadline for the whole next query: single octets now and then do not keep a connection open. The timer is
        // set again only when it rings: a busy connection moves its deadline with each query.
        let mut deadline = Instant::now() + server.limits.idle;
        let timer = sleep_until(deadline);
        let stopped = stop.wait_for(|&stop| stop);
        tokio::pin!(timer, stopped);
        let mut is_open = true;
        loop {
            if self.answer_arrived(&mut view).await? {
                deadline = Instant::now() + server.limits.idle;
            }
            self.begin_transfers(sender);
            self.flush().await?;
            let is_stopping = *server.stop.borrow();
            let is_busy = self.running > 0;
            if !is_busy && (is_stopping || !is_open) {
                // under TLS the end is said, so that nobody takes it for a cut (RFC 8446 §6.1)
                let _ = timeout(server.limits.write, self.stream.shutdown()).await;
                return Ok(());
            }
            if !is_busy {
                tokio::select! {
                    // mostly there is the next query, and then nobody else is asked
                    biased;
                    // no octets: the client has said all it will; what it has asked for still comes
                    read = self.stream.read_buf(&mut self.incoming) => is_open = read? > 0,
                    () = &mut timer => {
                        is_open = Instant::now() < deadline;
                        timer.as_mut().reset(deadline);
                    }
                    _ = &mut stopped => {}
                }
                continue;
            }
            tokio::select! {
                read = self.stream.read_buf(&mut self.incoming), if is_open && !is_stopping => is_open = read? > 0,
                piece = pieces.recv() => match piece {
                    Some(Piece::Message(message)) => push_frame(&mut self.outgoing, &message),
                    Some(Piece::End(true)) => {
                        self.running -= 1;
                        deadline = Instant::now() + server.limits.idle;
                    }
                    Some(Piece::End(false)) | None => return Ok(()),
                },
                _ = &mut stopped, if !is_stopping => {}
            }
        }
    }

    /// Answers all whole messages in the read buffer; whether there was one to answer. What is no query, be it a response or
    /// empty, keeps no connection open.
    async fn answer_arrived(&mut self, view: &mut ViewReader) -> io::Result<bool> {
        let (mut done, mut answered) = (0, false);
        let now = Timestamp::now();
        while let Some(octets) = frame(&self.incoming[done..]) {
            let query = done + 2..done + 2 + octets;
            done = query.end;
            let next = self.answer(view.current(), query, now);
            answered |= !matches!(next, Next::Ignore);
            match next {
                Next::Go | Next::Ignore => {}
                Next::Tell(notice) => {
                    // the acknowledgement first (BEHAVIOUR N2)
                    self.flush().await?;
                    self.server.services.inbox.try_send(notice);
                }
                Next::Transfer(request) if self.waiting.len() < TRANSFERS_WAITING_MAX => {
                    self.waiting.push_back(*request);
                }
                Next::Transfer(request) => {
                    self.server.cold.counters.count_transfer(TransferOutcome::Unavailable);
                    push_frame(&mut self.outgoing, &request.unavailable(Timestamp::now()));
                }
            }
            if self.outgoing.len() >= WRITE_OCTETS {
                self.flush().await?;
            }
        }
        self.incoming.drain(..done);
        Ok(answered)
    }

    /// Answers one query, the reply behind those that wait for writing.
    fn answer(&mut self, view: &View, query: Range<usize>, now: Timestamp) -> Next {
        let query = &self.incoming[query];
        let identity = self.server.cold.policy.identity.load();
        let client = Client {
            udp_octets_max: self.server.udp_octets_max,
            nsec3_iterations_max: self.server.nsec3_iterations_max,
            identity: &identity,
            now,
            keepalive: self.server.limits.idle,
            ..Client::new(self.transport, self.peer)
        };
        let counters = counters(&self.server, self.transport);
        let outgoing = &mut self.outgoing;
        let outcome = REPLY.with_borrow_mut(|(work, buffer)| {
            buffer[..query.len()].copy_from_slice(query);
            let outcome = answer::respond(view, &client, work, buffer, query.len());
            if let Outcome::Reply(len) = outcome {
                counters.count(Some(&buffer[..len]), shared);
                push_frame(outgoing, &buffer[..len]);
            }
            outcome
        });
        match outcome {
            Outcome::Reply(_) => Next::Go,
            Outcome::Drop => {
                counters.count(None, shared);
                Next::Ignore
            }
            Outcome::Hand => match self.server.cold.handle(view, &client, query, now) {
                Done::Reply(reply) => {
                    counters.count(Some(&reply.octets), shared);
                    push_frame(outgoing, &reply.octets);
                    reply.notice.map_or(Next::Go, Next::Tell)
                }
                Done::Transfer(request) => Next::Transfer(request),
                Done::Drop => {
                    counters.count(None, shared);
                    Next::Ignore
                }
            },
        }
    }

    /// Starts transfers that wait, as many as may run.
    fn begin_transfers(&mut self, sender: &mpsc::Sender<Piece>) {
        while self.running < TRANSFERS_RUNNING_MAX
            && let Some(request) = self.waiting.pop_front()
        {
            self.running += 1;
            let (server, sender, peer) = (Arc::clone(&self.server), sender.clone(), self.peer);
            let failure = Arc::clone(&self.failure);
            tokio::spawn(async move {
                let is_whole = transfer(&server, request, peer, &sender, &failure).await;
                // a connection that is gone has no use for it
                let _ = sender.send(Piece::End(is_whole)).await;
            });
        }
    }

    /// Writes what waits. A client that takes nothing for too long is cut off.
    async fn flush(&mut self) -> Ended {
        if self.outgoing.is_empty() {
            return Ok(());
        }
        let limit = self.server.limits.write;
        let mut rest: &[u8] = &self.outgoing;
        // mostly the socket takes all of it at once: no clock is asked then
        if let Some(written) = at_once(|cx| Pin::new(&mut self.stream).poll_write(cx, rest)).await {
            rest = &rest[written?..];
        }
        while !rest.is_empty() {
            let written = within(limit, TAKES_NOTHING, self.stream.write(rest)).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            rest = &rest[written..];
        }
        // a TLS stream keeps what the socket did not take
        match at_once(|cx| Pin::new(&mut self.stream).poll_flush(cx)).await {
            Some(flushed) => flushed?,
            None => within(limit, TAKES_NOTHING, self.stream.flush()).await?,
        }
        self.outgoing.clear();
        // one large burst shall not keep its memory for the life of the connection
        self.outgoing.shrink_to(WRITE_OCTETS);
        Ok(())
    }
}

/// What `work` comes to, or that it did not end in time: `problem` says what went on for so long.
async fn within<T>(limit: Duration, problem: &str, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(limit, work).await.unwrap_or_else(|_| {
        Err(io::Error::new(io::ErrorKind::TimedOut, format!("{problem} for {} ms", limit.as_millis())))
    })
}

/// What `poll` gives, if it is ready now.
async fn at_once<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Option<T> {
    poll_fn(|cx| match poll(cx) {
        Poll::Ready(ready) => Poll::Ready(Some(ready)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

fn counters(server: &Server, transport: Transport) -> &QueryCounters {
    match transport {
        Transport::Tls => &server.cold.counters.tls,
        Transport::Tcp | Transport::Udp => &server.cold.counters.tcp,
    }
}

/// Sends a zone, or the way from one version to another. Whether the answer is whole, be it an error.
async fn transfer(
    server: &Arc<Server>,
    request: TransferRequest,
    peer: SocketAddr,
    sender: &mpsc::Sender<Piece>,
    failure: &OnceLock<String>,
) -> bool {
    let counters = &server.cold.counters;
    let permit = server.transfers.try_acquire();
    let data = match &permit {
        Ok(_) => (server.services.outbound)(Arc::clone(&request.slot), request.request.theirs).await,
        Err(_) => None,
    };
    let Some(data) = data else {
        counters.count_transfer(TransferOutcome::Unavailable);
        return sender.send(Piece::Message(request.unavailable(Timestamp::now()))).await.is_ok();
    };
    let started = Instant::now();
    let zone = request.slot.name().clone();
    let limit = server.limits.transfer;
    let sent = within(limit, "the transfer was under way", stream_zone(request, &data, sender, failure)).await;
    counters.count_transfer(if sent.is_ok() { TransferOutcome::Completed } else { TransferOutcome::Broken });
    let duration_ms = started.elapsed().as_millis() as u64;
    match &sent {
        Ok(Sent { records, octets }) => {
            let serial = data.snapshot.serial().0;
            tracing::info!(%zone, %peer, serial, records, octets, duration_ms, "transfer sent");
        }
        Err(error) => tracing::warn!(%zone, %peer, %error, duration_ms, "transfer broken off"),
    }
    sent.is_ok()
}

/// Makes one message after the other. An error leaves the stream in the middle of an answer.
async fn stream_zone(
    request: TransferRequest,
    data: &OutboundData,
    sender: &mpsc::Sender<Piece>,
    failure: &OnceLock<String>,
) -> io::Result<Sent> {
    let mut signer = request.signed.as_ref().map(StreamSigner::new);
    let mut opt = request.opt;
    let reserved = signer.as_ref().map_or(0, StreamSigner::record_octets) + OPT_OCTETS;
    let mut outbound = Outbound::new(request.request, &data.snapshot, data.diffs.as_deref(), reserved);
    let mut octets = 0;
    loop {
        let mut message = Vec::with_capacity(MESSAGE_OCTETS_TARGET + MESSAGE_OCTETS_TARGET / 8);
        if !outbound.next(&mut message).map_err(io::Error::other)? {
            return Ok(Sent { records: outbound.records(), octets });
        }
        if let Some(opt) = opt.take() {
            opt.append(&mut message);
        }
        if let Some(signer) = &mut signer {
            signer.sign(&mut message, Timestamp::now());
        }
        octets += message.len() as u64;
        if sender.send(Piece::Message(message)).await.is_err() {
            let why = failure.get().map_or("the connection has ended", String::as_str);
            return Err(io::Error::new(io::ErrorKind::BrokenPipe, why.to_owned()));
        }
    }
}

/// What a finished transfer came to.
struct Sent {
    records: u64,
    octets: u64,
}

/// How a connection goes on after a query.
enum Next {
    /// With the next query.
    Go,
    /// With the next query; this was none, or one that gets no answer.
    Ignore,
    /// By writing, and then passing a notice on.
    Tell(Notice),
    /// By sending a zone beside the answers to come.
    Transfer(Box<TransferRequest>),
}

/// Octets of the message framed at the start of `incoming`, if all of it is there.
fn frame(incoming: &[u8]) -> Option<usize> {
    let (&[high, low], rest) = incoming.split_first_chunk()?;
    let octets = usize::from(u16::from_be_bytes([high, low]));
    (rest.len() >= octets).then_some(octets)
}

/// Appends `message`, at most 65,535 octets, behind its length.
fn push_frame(outgoing: &mut Vec<u8>, message: &[u8]) {
    debug_assert!(message.len() <= MESSAGE_OCTETS_MAX);
    outgoing.extend_from_slice(&(message.len() as u16).to_be_bytes());
    outgoing.extend_from_slice(message);
}
