//! The HTTP listener: accepts connections and bounds what each may cost.
//!
//! In: bound sockets, the router, a signal to stop. Out: connections served by hyper, one task each. Bounds: number
//! of connections, in all and of one address, size of the header, time for a TLS handshake and for the header, time without
//! progress on writing. Bounds of bodies stand
//! in [`super::request`].

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, Sleep, sleep, timeout};

use super::listen::{Accepted, Listener, Octets};
use super::overload::Overload;
use super::places::Places;
use crate::net::{Quiet, belongs_to_client};
use crate::time::Timestamp;

/// Connections open at one time on all listeners, where there are descriptors for them; more wait in the kernel's queue.
pub const CONNECTIONS_MAX: usize = 1024;
/// Connections open at one time of one address, a proxy's too: no single client can take all places.
const CONNECTIONS_PER_CLIENT_MAX: usize = 256;
/// Time for the whole header of a request; also how long an idle connection is kept.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// Octets hyper buffers of a header. Above the bound of [`super::request::HEADERS_OCTETS_MAX`], which answers with a
/// body that names it; beyond this one the answer is a bare 431.
const HEADER_BUFFER_OCTETS: usize = 64 * 1024;
/// How long a client may take none of a response before it is dropped.
const WRITE_STALL_MAX: Duration = Duration::from_secs(30);
/// How long requests may run on after the signal to stop.
const DRAIN_MAX: Duration = Duration::from_secs(5);
/// Pause after `accept` failed for a reason that lies with us, e.g. no file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `router` on all `listeners`, over at most `connections_max` connections at one time, until `stop` becomes true
/// (or its sender is gone), then lets running requests end, at most five seconds.
pub async fn serve(listeners: Vec<Listener>, router: Router, connections_max: usize, stop: watch::Receiver<bool>) {
    let slots = Arc::new(Semaphore::new(connections_max));
    let clients = Places::new(CONNECTIONS_PER_CLIENT_MAX, connections_max);
    let overload = Arc::new(Overload::default());
    let accepting = listeners.into_iter().map(|listener| {
        let (router, slots, stop) = (router.clone(), slots.clone(), stop.clone());
        tokio::spawn(accept(listener, router, slots, (clients.clone(), overload.clone()), stop))
    });
    for task in accepting.collect::<Vec<_>>() {
        let _ = task.await;
    }
    // Every connection holds a slot; having them all means that none is left.
    if timeout(DRAIN_MAX, slots.acquire_many(connections_max as u32)).await.is_err() {
        tracing::warn!(open = connections_max - slots.available_permits(), "API connections cut off at shutdown");
    }
}

async fn accept(
    listener: Listener,
    router: Router,
    slots: Arc<Semaphore>,
    (clients, overload): (Arc<Places<IpAddr>>, Arc<Overload>),
    mut stop: watch::Receiver<bool>,
) {
    let quiet = Quiet::default();
    loop {
        let slot = tokio::select! {
            biased;
            () = stopped(&mut stop) => return,
            slot = slots.clone().acquire_owned() => slot.expect("the semaphore is never closed"),
        };
        let accepted = tokio::select! {
            biased;
            () = stopped(&mut stop) => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(accepted) => {
                // Callers without an address are those of this host.
                let place = accepted.ends.peer.map(|peer| clients.take(peer.ip().to_canonical()));
                if let Some(None) = place {
                    overload.refuse(accepted);
                    continue;
                }
                let (router, stop) = (router.clone(), stop.clone());
                tokio::spawn(async move {
                    connection(accepted, router, stop).await;
                    // in this order: who gets the slot finds a place
                    drop((place, slot));
                });
            }
            Err(error) if belongs_to_client(&error) => {}
            Err(error) => {
                if let Some(suppressed) = quiet.may_log((), Timestamp::now()) {
                    tracing::warn!(%listener, %error, suppressed, "API connections are not accepted");
                }
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, which is a signal to stop too.
    let _ = stop.wait_for(|&stop| stop).await;
}

/// The two ends of a connection; a UNIX socket has no addresses.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ends {
    /// The client, or the proxy before it.
    pub peer: Option<SocketAddr>,
    /// Where the client connected to.
    pub local: Option<SocketAddr>,
    /// Whether the stream is encrypted.
    pub is_tls: bool,
}

async fn connection(accepted: Accepted, router: Router, mut stop: watch::Receiver<bool>) {
    let ends = accepted.ends;
    let stream = match accepted.open().await {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(peer = ?ends.peer, %error, "API connection ended in its TLS handshake");
            return;
        }
    };
    let routed = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(ends));
        routed.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // A client may close its sending side behind its last request and still wants the answers (RFC 9112 §9.6).
        .half_close(true)
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_BUFFER_OCTETS)
        .serve_connection(TokioIo::new(StallGuard::new(stream)), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            match timeout(DRAIN_MAX, connection).await {
                Ok(ended) => ended,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(peer = ?ends.peer, %error, "API connection ended early");
    }
}

/// A stream whose writes fail once the peer has taken nothing for [`WRITE_STALL_MAX`].
struct StallGuard {
    stream: Pin<Box<dyn Octets>>,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl StallGuard {
    fn new(stream: Pin<Box<dyn Octets>>) -> StallGuard {
        StallGuard { stream, stalled: None }
    }

    fn watch<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let alarm =
            self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + WRITE_STALL_MAX)));
        alarm.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for StallGuard {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_read(cx, buf)
    }
}

impl AsyncWrite for StallGuard {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.stream.as_mut().poll_write(cx, buf);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.stream.as_mut().poll_write_vectored(cx, bufs);
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_shutdown(cx)
    }
}
