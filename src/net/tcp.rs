//! DNS over TCP: framing, pipelining, limits, transfers to downstreams.
//!
//! One tokio task for each connection. All whole queries that have arrived are answered in the order of arrival and
//! their replies written together (RFC 7766 §6.2.1.1 pipelining); the next read happens only after the write, so a client that
//! does not read is not read from either. Answers come from the same function as over UDP. A transfer is streamed
//! message by message; queries behind it on the same connection wait for its end.
//!
//! RFC 1035 §4.2.2 (two-octet length), RFC 7766, RFC 9210 (limits).

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout, timeout_at};

use super::cold::{Cold, Done, TransferRequest};
use super::counters::{TransferOutcome, shared};
use super::{Options, OutboundData, Services, TcpLimits};
use crate::answer::{self, Client, Outcome, Workspace};
use crate::dns::edns::Opt;
use crate::dns::message::MESSAGE_OCTETS_MAX;
use crate::dns::tsig::StreamSigner;
use crate::served::{Notice, Transport, View, ViewReader};
use crate::time::Timestamp;
use crate::transfer::outbound::{MESSAGE_OCTETS_TARGET, Outbound};

/// Replies are written when this much has gathered, even if more queries wait.
const WRITE_OCTETS: usize = 64 * 1024;

/// First capacity of a connection's read buffer; ordinary queries never make it grow.
const READ_OCTETS: usize = 1024;

/// Octets of an OPT without options.
const OPT_OCTETS: usize = 11;

/// Pause of the accept loop after an error such as "too many open files".
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

thread_local! {
    /// Where a reply is made before it is queued for writing: one for each runtime thread, not for each connection.
    static REPLY: RefCell<(Workspace, Box<[u8]>)> =
        RefCell::new((Workspace::new(), vec![0; MESSAGE_OCTETS_MAX].into()));
}

/// What all connections share.
pub(super) struct Server {
    services: Services,
    cold: Arc<Cold>,
    limits: TcpLimits,
    /// Connections now, in all and by client.
    open: AtomicUsize,
    clients: Mutex<HashMap<IpAddr, usize>>,
    transfers: Semaphore,
    stop: watch::Sender<bool>,
}

impl Server {
    pub(super) fn new(services: Services, cold: Arc<Cold>, options: &Options) -> Arc<Server> {
        Arc::new(Server {
            services,
            cold,
            limits: options.tcp.clone(),
            open: AtomicUsize::new(0),
            clients: Mutex::default(),
            transfers: Semaphore::new(options.tcp.transfers_max),
            stop: watch::Sender::new(false),
        })
    }

    /// Tells all tasks to finish.
    pub(super) fn order_stop(&self) {
        self.stop.send_replace(true);
    }

    /// Returns when no connection is open any more.
    pub(super) async fn finished(&self) {
        while self.open.load(Ordering::Acquire) > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Accepts connections until the order to stop.
    pub(super) async fn accept(self: Arc<Self>, listener: TcpListener) {
        let mut stop = self.stop.subscribe();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = stop.wait_for(|&stop| stop) => return,
            };
            match accepted {
                Ok((stream, peer)) => match Admission::of(&self, peer.ip()) {
                    Some(admission) => {
                        tokio::spawn(Connection::new(Arc::clone(&self), stream, peer, admission).run());
                    }
                    None => shared(&self.cold.counters.connections_refused),
                },
                Err(error) => {
                    tracing::debug!(%error, "accepting a connection failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// A place among the open connections, given back when dropped.
struct Admission {
    server: Arc<Server>,
    client: IpAddr,
}

impl Admission {
    fn of(server: &Arc<Server>, client: IpAddr) -> Option<Admission> {
        let mut clients = server.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let count = clients.get(&client).copied().unwrap_or(0);
        if server.open.load(Ordering::Acquire) >= server.limits.connections_max
            || count >= server.limits.connections_per_client_max
        {
            return None;
        }
        clients.insert(client, count + 1);
        server.open.fetch_add(1, Ordering::AcqRel);
        shared(&server.cold.counters.connections);
        Some(Admission { server: Arc::clone(server), client })
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut clients = self.server.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = clients.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                clients.remove(&self.client);
            }
        }
        self.server.open.fetch_sub(1, Ordering::AcqRel);
    }
}

struct Connection {
    server: Arc<Server>,
    stream: TcpStream,
    peer: SocketAddr,
    /// Octets received and not answered yet.
    incoming: Vec<u8>,
    /// Framed replies not written yet.
    outgoing: Vec<u8>,
    _admission: Admission,
}

/// Why a connection ends; nobody is told but the debug log.
type Ended = io::Result<()>;

impl Connection {
    fn new(server: Arc<Server>, stream: TcpStream, peer: SocketAddr, admission: Admission) -> Connection {
        Connection {
            server,
            stream,
            peer,
            incoming: Vec::with_capacity(READ_OCTETS),
            outgoing: Vec::new(),
            _admission: admission,
        }
    }

    async fn run(mut self) {
        let _ = self.stream.set_nodelay(true);
        if let Err(error) = self.serve().await {
            tracing::debug!(peer = %self.peer, %error, "connection ended");
        }
    }

    /// Reads and answers until the client closes, is silent for too long, or we stop.
    async fn serve(&mut self) -> Ended {
        let mut stop = self.server.stop.subscribe();
        let mut view = self.server.services.view.reader();
        loop {
            self.answer_arrived(&mut view).await?;
            if *stop.borrow() {
                return Ok(());
            }
            // One deadline for the whole next query: single octets now and then do not keep a connection open.
            let deadline = Instant::now() + self.server.limits.idle;
            while frame(&self.incoming).is_none() {
                let read = tokio::select! {
                    read = timeout_at(deadline, self.stream.read_buf(&mut self.incoming)) => read,
                    _ = stop.wait_for(|&stop| stop) => return Ok(()),
                };
                match read {
                    Ok(Ok(0)) | Err(_) => return Ok(()),
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => return Err(error),
                }
            }
        }
    }

    /// Answers all whole queries in the read buffer and writes the replies.
    async fn answer_arrived(&mut self, view: &mut ViewReader) -> Ended {
        let mut done = 0;
        while let Some(octets) = frame(&self.incoming[done..]) {
            let query = done + 2..done + 2 + octets;
            done = query.end;
            match self.answer(view.current(), query) {
                Next::Go => {}
                Next::Tell(notice) => {
                    // the acknowledgement first (BEHAVIOUR N2)
                    self.flush().await?;
                    self.server.services.inbox.try_send(notice);
                }
                Next::Transfer(request) => {
                    self.flush().await?;
                    self.transfer(*request).await?;
                }
            }
            if self.outgoing.len() >= WRITE_OCTETS {
                self.flush().await?;
            }
        }
        self.incoming.drain(..done);
        self.flush().await
    }

    /// Answers one query, the reply behind those that wait for writing.
    fn answer(&mut self, view: &View, query: Range<usize>) -> Next {
        let query = &self.incoming[query];
        let client = Client::new(Transport::Tcp, self.peer);
        let counters = &self.server.cold.counters.tcp;
        let outcome = REPLY.with_borrow_mut(|(work, buffer)| {
            buffer[..query.len()].copy_from_slice(query);
            let outcome = answer::respond(view, &client, work, buffer, query.len());
            if let Outcome::Reply(len) = outcome {
                counters.count(Some(&buffer[..len]), shared);
                push_frame(&mut self.outgoing, &buffer[..len]);
            }
            outcome
        });
        match outcome {
            Outcome::Reply(_) => Next::Go,
            Outcome::Drop => {
                counters.count(None, shared);
                Next::Go
            }
            Outcome::Hand => match self.server.cold.handle(view, &client, query, Timestamp::now()) {
                Done::Reply(reply, notice) => {
                    counters.count(Some(&reply), shared);
                    push_frame(&mut self.outgoing, &reply);
                    notice.map_or(Next::Go, Next::Tell)
                }
                Done::Transfer(request) => Next::Transfer(request),
                Done::Drop => {
                    counters.count(None, shared);
                    Next::Go
                }
            },
        }
    }

    /// Sends a zone, or the way from one version to another.
    async fn transfer(&mut self, request: TransferRequest) -> Ended {
        let server = Arc::clone(&self.server);
        let counters = &server.cold.counters;
        let permit = server.transfers.try_acquire();
        let data = match &permit {
            Ok(_) => (server.services.outbound)(Arc::clone(&request.slot), request.request.theirs).await,
            Err(_) => None,
        };
        let Some(data) = data else {
            counters.count_transfer(TransferOutcome::Unavailable);
            push_frame(&mut self.outgoing, &request.unavailable(Timestamp::now()));
            return self.flush().await;
        };
        let started = Instant::now();
        let zone = request.slot.name().clone();
        let sent = match timeout(server.limits.transfer, self.stream_zone(request, &data)).await {
            Ok(sent) => sent,
            Err(elapsed) => Err(elapsed.into()),
        };
        counters.count_transfer(if sent.is_ok() { TransferOutcome::Completed } else { TransferOutcome::Broken });
        let duration_ms = started.elapsed().as_millis() as u64;
        match &sent {
            Ok(Sent { records, octets }) => {
                let serial = data.snapshot.serial().0;
                tracing::info!(%zone, peer = %self.peer, serial, records, octets, duration_ms, "transfer sent");
            }
            Err(error) => tracing::warn!(%zone, peer = %self.peer, %error, duration_ms, "transfer broken off"),
        }
        sent.map(|_| ())
    }

    /// Makes and writes one message after the other. An error leaves the stream in the middle of an answer, so the
    /// connection must end.
    async fn stream_zone(&mut self, request: TransferRequest, data: &OutboundData) -> io::Result<Sent> {
        let mut signer = request.signed.as_ref().map(StreamSigner::new);
        let mut opt = request.has_edns.then(Opt::default);
        let reserved = signer.as_ref().map_or(0, StreamSigner::record_octets) + OPT_OCTETS;
        let mut outbound = Outbound::new(request.request, &data.snapshot, data.diffs.as_deref(), reserved);
        let mut message = Vec::with_capacity(2 * MESSAGE_OCTETS_TARGET);
        let mut octets = 0;
        while outbound.next(&mut message).map_err(io::Error::other)? {
            if let Some(opt) = opt.take() {
                opt.append(&mut message);
            }
            if let Some(signer) = &mut signer {
                signer.sign(&mut message, Timestamp::now());
            }
            octets += message.len() as u64;
            push_frame(&mut self.outgoing, &message);
            self.flush().await?;
        }
        Ok(Sent { records: outbound.records(), octets })
    }

    /// Writes what waits. A client that takes nothing for too long is cut off.
    async fn flush(&mut self) -> Ended {
        let mut rest: &[u8] = &self.outgoing;
        while !rest.is_empty() {
            let written = timeout(self.server.limits.write, self.stream.write(rest)).await??;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            rest = &rest[written..];
        }
        self.outgoing.clear();
        // one large burst shall not keep its memory for the life of the connection
        self.outgoing.shrink_to(WRITE_OCTETS);
        Ok(())
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
    /// By writing, and then passing a notice on.
    Tell(Notice),
    /// By writing, and then sending a zone.
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
