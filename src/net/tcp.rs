//! Connections of clients, clear and under TLS: accepting, admitting, finding out who is there.
//!
//! Each connection becomes one tokio task: a place among the admitted ones, the header of a listed proxy if there is one,
//! the TLS handshake where that is spoken, then [`super::connection`]. The bounds count clear and encrypted connections
//! together, in all and for each client address (of IPv6: /64), which behind a proxy is the proxied one.
//!
//! RFC 7766, RFC 9210 (limits), RFC 7858 (TLS).

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::cold::Cold;
use super::connection::Connection;
use super::counters::shared;
use super::proxy::{self, Head, Proxies};
use super::quiet::Quiet;
use super::tls_listen::TlsIdentity;
use super::{Options, Services, TcpLimits};
use crate::served::Transport;
use crate::time::Timestamp;

/// Pause of the accept loop after an error such as "too many open files".
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// So many octets wait to be sent on a connection at most, those on their way not counted: a client that takes fewer within
/// the time for one write ([`TcpLimits::write`]) is cut off. By default a socket is ready for more when a third of its buffer is
/// free, which may be megabytes: a client that reads slowly all the time then looks like one that has stopped.
const UNSENT_OCTETS: u32 = 128 * 1024;

/// What all connections share.
pub(super) struct Server {
    pub(super) services: Services,
    pub(super) cold: Arc<Cold>,
    pub(super) limits: TcpLimits,
    /// What we say we take over UDP.
    pub(super) udp_octets_max: u16,
    pub(super) nsec3_iterations_max: u16,
    proxies: Proxies,
    tls: Option<Arc<TlsIdentity>>,
    /// Connections now, in all and by client.
    open: AtomicUsize,
    clients: Mutex<HashMap<IpAddr, usize>>,
    /// Who was told of in the log as having too many; `None`: all together.
    refused: Quiet<Option<IpAddr>>,
    pub(super) transfers: Arc<Semaphore>,
    pub(super) stop: watch::Sender<bool>,
}

impl Server {
    pub(super) fn new(services: Services, cold: Arc<Cold>, options: &Options) -> Arc<Server> {
        Arc::new(Server {
            services,
            cold,
            limits: options.tcp.clone(),
            udp_octets_max: options.udp_octets_max,
            nsec3_iterations_max: options.nsec3_iterations_max,
            proxies: options.proxies.clone(),
            tls: options.tls.clone(),
            open: AtomicUsize::new(0),
            clients: Mutex::default(),
            refused: Quiet::default(),
            transfers: Arc::new(Semaphore::new(options.tcp.transfers_max)),
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
    pub(super) async fn accept(self: Arc<Self>, listener: TcpListener, transport: Transport) {
        let mut stop = self.stop.subscribe();
        let quiet = Quiet::default();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = stop.wait_for(|&stop| stop) => return,
            };
            match accepted {
                Ok((stream, peer)) => match Place::take(&self) {
                    Some(place) => _ = tokio::spawn(Arc::clone(&self).welcome(stream, peer, place, transport)),
                    None => self.refuse(peer, None),
                },
                Err(error) if belongs_to_client(&error) => {}
                Err(error) => {
                    if let Some(suppressed) = quiet.may_log((), Timestamp::now()) {
                        tracing::warn!(%error, suppressed, "TCP connections are not accepted");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Notes that a connection of `peer` is closed at once: `client` has as many as one may, or all together have.
    fn refuse(&self, peer: SocketAddr, client: Option<IpAddr>) {
        shared(&self.cold.counters.connections_refused);
        let Some(suppressed) = self.refused.may_log(client, Timestamp::now()) else { return };
        let (limit, connections) = match client {
            None => ("tcp-connections", self.limits.connections_max),
            Some(_) => ("tcp-connections-per-client", self.limits.connections_per_client_max),
        };
        tracing::warn!(%peer, limit, connections, suppressed, "TCP connection refused: there are as many as may be");
    }

    /// One connection from its first octet to its end.
    async fn welcome(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, place: Place, transport: Transport) {
        if let Err(error) = self.serve(stream, peer, place, transport).await {
            tracing::debug!(%peer, %error, "connection ended");
        }
    }

    async fn serve(
        self: &Arc<Self>,
        mut stream: TcpStream,
        mut peer: SocketAddr,
        place: Place,
        transport: Transport,
    ) -> io::Result<()> {
        let _ = stream.set_nodelay(true);
        let _ = SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT_OCTETS);
        let mut early = Vec::new();
        if self.proxies.contains(peer.ip()) {
            let opening = timeout(self.limits.idle, take_head(&mut stream)).await??;
            (peer, early) = (opening.client.unwrap_or(peer), opening.early);
        }
        let Some(_admission) = Admission::of(place, peer.ip()) else {
            self.refuse(peer, Some(counted_as(peer.ip())));
            return Ok(());
        };
        shared(&self.cold.counters.connections);
        match (&self.tls, transport) {
            // a TLS record does not begin like a header (RFC 8446 §5.1)
            (Some(_), Transport::Tls) if !early.is_empty() => Err(io::ErrorKind::InvalidData.into()),
            (Some(identity), Transport::Tls) => {
                let handshake = TlsAcceptor::from(identity.current()).accept(stream);
                let stream = timeout(self.limits.idle, handshake).await??;
                Connection::new(Arc::clone(self), stream, peer, transport).run().await
            }
            _ => Connection::new(Arc::clone(self), stream, peer, transport).begun_with(early).run().await,
        }
    }
}

/// The address under which connections of `client` are counted: one host of IPv6 has a whole /64 to ask from (RFC 4291 §2.5.4).
fn counted_as(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V4(ip) => ip.into(),
        IpAddr::V6(ip) => Ipv6Addr::from(u128::from(ip) & (u128::MAX << 64)).into(),
    }
}

/// Whether what `accept` reports is an error of the new connection, not of the listener.
pub(crate) fn belongs_to_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// What stands before the first message of a connection from a listed proxy.
struct Opening {
    /// Who is behind the proxy, if it speaks for somebody.
    client: Option<SocketAddr>,
    /// Octets that began like a header and were none: they belong to the first message.
    early: Vec<u8>,
}

/// Reads the header of a listed proxy off the stream, if it sends one, and nothing behind it.
async fn take_head(stream: &mut TcpStream) -> io::Result<Opening> {
    let mut first = [0; 1];
    stream.peek(&mut first).await?;
    let mut early = Vec::new();
    // What is no header from its first octet on stays in the socket, for DNS or TLS to read.
    while !matches!(proxy::read(&first), Head::Absent) {
        let missing = match proxy::read(&early) {
            Head::Absent => break,
            Head::Partial(octets) => octets - early.len(),
            Head::Whole(proxied) => return Ok(Opening { client: proxied.client, early: Vec::new() }),
            Head::Broken => return Err(io::ErrorKind::InvalidData.into()),
        };
        // Never more than the header: the octets behind it are somebody else's.
        if (&mut *stream).take(missing as u64).read_buf(&mut early).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(Opening { client: None, early })
}

/// A place among all open connections, given back when dropped.
struct Place(Arc<Server>);

impl Place {
    fn take(server: &Arc<Server>) -> Option<Place> {
        let max = server.limits.connections_max;
        let taken =
            server.open.fetch_update(Ordering::AcqRel, Ordering::Acquire, |open| (open < max).then_some(open + 1));
        taken.ok().map(|_| Place(Arc::clone(server)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A place among the open connections of one client, given back when dropped.
struct Admission {
    place: Place,
    client: IpAddr,
}

impl Admission {
    fn of(place: Place, client: IpAddr) -> Option<Admission> {
        let client = counted_as(client);
        let mut clients = place.0.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let count = clients.get(&client).copied().unwrap_or(0);
        if count >= place.0.limits.connections_per_client_max {
            return None;
        }
        clients.insert(client, count + 1);
        drop(clients);
        Some(Admission { place, client })
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut clients = self.place.0.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = clients.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                clients.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4291 §2.5.4: interface identifiers are 64 bits long, so a host has all addresses of its /64.
    #[test]
    fn a_client_of_ipv6_is_a_64() {
        let counted = |text: &str| counted_as(text.parse().expect("an address")).to_string();
        assert_eq!(counted("2001:db8:0:1::1"), counted("2001:db8:0:1:ffff:ffff:ffff:ffff"));
        assert_ne!(counted("2001:db8:0:1::1"), counted("2001:db8:0:2::1"));
        assert_eq!(counted("::ffff:192.0.2.1"), "192.0.2.1");
        assert_ne!(counted("192.0.2.1"), counted("192.0.2.2"));
    }
}
