//! The HTTP listener: accepts connections and bounds what each may cost.
//!
//! In: bound sockets, the router, a signal to stop. Out: connections served by hyper, one task each. Bounds: number
//! of connections, size of the header, time for the header, time without progress on writing. Bounds of bodies stand
//! in [`super::request`].

use std::future::Future;
use std::io;
use std::net::SocketAddr;
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
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, Sleep, sleep, timeout};

/// Connections open at one time on all listeners; more wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 1024;
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

/// Serves `router` on all `listeners` until `stop` becomes true (or its sender is gone), then lets running requests
/// end, at most five seconds.
pub async fn serve(listeners: Vec<TcpListener>, router: Router, stop: watch::Receiver<bool>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let accepting = listeners.into_iter().map(|listener| {
        let (router, slots, stop) = (router.clone(), slots.clone(), stop.clone());
        tokio::spawn(accept(listener, router, slots, stop))
    });
    for task in accepting.collect::<Vec<_>>() {
        let _ = task.await;
    }
    // Every connection holds a slot; having them all means that none is left.
    if timeout(DRAIN_MAX, slots.acquire_many(CONNECTIONS_MAX as u32)).await.is_err() {
        tracing::warn!(open = CONNECTIONS_MAX - slots.available_permits(), "API connections cut off at shutdown");
    }
}

async fn accept(listener: TcpListener, router: Router, slots: Arc<Semaphore>, mut stop: watch::Receiver<bool>) {
    let Ok(local) = listener.local_addr() else {
        return;
    };
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
            Ok((stream, peer)) => {
                let (router, stop) = (router.clone(), stop.clone());
                tokio::spawn(async move {
                    connection(stream, Ends { peer, local }, router, stop).await;
                    drop(slot);
                });
            }
            Err(error) if belongs_to_client(&error) => {}
            Err(error) => {
                tracing::warn!(%local, %error, "API connection not accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, which is a signal to stop too.
    let _ = stop.wait_for(|&stop| stop).await;
}

/// `accept` reports errors of the new connection itself as its own.
fn belongs_to_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// The two ends of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    /// The client, or the proxy before it.
    pub peer: SocketAddr,
    /// Where the client connected to.
    pub local: SocketAddr,
}

async fn connection(stream: TcpStream, ends: Ends, router: Router, mut stop: watch::Receiver<bool>) {
    let _ = stream.set_nodelay(true);
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
        tracing::debug!(peer = %ends.peer, %error, "API connection ended early");
    }
}

/// A stream whose writes fail once the peer has taken nothing for [`WRITE_STALL_MAX`].
struct StallGuard {
    stream: TcpStream,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl StallGuard {
    fn new(stream: TcpStream) -> StallGuard {
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
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for StallGuard {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
