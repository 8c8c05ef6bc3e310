//! DNS over sockets: what is listened on, and who answers there.
//!
//! ```text
//!  UDP worker (thread, one per core and address) ──► answer::respond ──► reply ──► rate limit (UDP)
//!  TCP or TLS task (tokio, one per connection)   ──►      │ Hand
//!                                                         ▼
//!                     cold: TSIG, access, NOTIFY ──► reply, then served::Inbox ──► control
//!                                    AXFR, IXFR  ──► OutboundSource (control) ──► transfer::outbound ──► TCP
//! ```
//!
//! In: datagrams, connections; the served view; [`Policy`]. Out: replies and notices. Started by `daemon` with what
//! `control` provides. Never changes a zone and never asks a primary. RFC 1035 §4.2, RFC 7766 (TCP), RFC 1996
//! (NOTIFY), RFC 5936 and RFC 1995 (transfers out), RFC 8945 (TSIG).
//!
//! Counters are plain atomics ([`Counters`]); whoever exports metrics reads them.

mod cold;
mod connection;
pub mod counters;
pub mod notifier;
mod place;
mod proxy;
mod quiet;
mod rate;
mod tcp;
pub mod tls;
mod tls_listen;
mod udp;
pub mod upstream;

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use socket2::{Domain, Protocol, Socket, Type};

use crate::access::ZoneAccess;
use crate::answer::{Identity, NSEC3_ITERATIONS_MAX};
use crate::dns::Serial;
use crate::dns::edns::UDP_PAYLOAD_OCTETS;
use crate::dns::tsig::Keyring;
use crate::served::{Inbox, Slot, Transport, ViewHandle, ZoneId};
use crate::system::{mmsg, schedule};
use crate::zone::{Diff, Snapshot};
use cold::Cold;
pub use counters::Counters;
use place::Place;
pub use proxy::Proxies;
pub(crate) use quiet::Quiet;
pub use rate::RateLimit;
use rate::RateLimiter;
pub(crate) use tcp::belongs_to_client;
pub use tls_listen::{Spoken, TlsIdentity};

/// Octets asked for as the receive buffer of a UDP socket; the kernel may grant less (`net.core.rmem_max`).
const RECEIVE_BUFFER_OCTETS: usize = 4 << 20;

/// Connections that wait for `accept`.
const TCP_BACKLOG: i32 = 1024;

/// Attempts to find a port that is free for both transports when port 0 was asked for.
const PORT_ATTEMPTS: usize = 32;

/// How long open connections may go on after the order to stop.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(3);

/// Who may do what; changed by `control`, read by the cold path.
#[derive(Debug, Default)]
pub struct Policy {
    /// All TSIG keys.
    pub keys: ArcSwap<Keyring>,
    /// What we tell about ourselves, and the secrets of cookies.
    pub identity: ArcSwap<Identity>,
    /// The rules of each zone; a zone without an entry admits nothing.
    pub zones: RwLock<HashMap<ZoneId, Arc<ZoneAccess>>>,
}

impl Policy {
    /// The rules of one zone.
    pub fn zone(&self, id: ZoneId) -> Option<Arc<ZoneAccess>> {
        self.zones.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// Sets the rules of one zone.
    pub fn set_zone(&self, id: ZoneId, access: Arc<ZoneAccess>) {
        self.zones.write().unwrap_or_else(PoisonError::into_inner).insert(id, access);
    }

    /// Makes room for so many more zones.
    pub fn reserve(&self, zones: usize) {
        self.zones.write().unwrap_or_else(PoisonError::into_inner).reserve(zones);
    }

    /// Forgets the rules of one zone: nothing is admitted any more.
    pub fn remove_zone(&self, id: ZoneId) {
        self.zones.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}

/// What a downstream is sent.
#[derive(Clone)]
pub struct OutboundData {
    /// The version to send, or to send the way to.
    pub snapshot: Arc<Snapshot>,
    /// For IXFR: the difference sequences from the downstream's serial to the snapshot's, contiguous; `None` if they
    /// are not kept (the whole zone is sent then).
    pub diffs: Option<Vec<Diff>>,
}

/// Asks `control` for what to send: the zone, and for IXFR the downstream's serial. `None`: not available now.
pub type OutboundSource =
    Arc<dyn Fn(Arc<Slot>, Option<Serial>) -> Pin<Box<dyn Future<Output = Option<OutboundData>> + Send>> + Send + Sync>;

/// How to listen. [`Options::default`] is right for a daemon; tests leave workers where they are started.
#[derive(Clone)]
pub struct Options {
    /// UDP workers per address; 0: one per CPU we may use.
    pub workers: usize,
    /// Whether each worker stays on a CPU of its own from a full batch on until it rests.
    pub pin: bool,
    /// Largest UDP reply to clients that take as much (RFC 9715: 1232).
    pub udp_octets_max: u16,
    /// Rounds of the NSEC3 hash beyond which nothing is proved.
    pub nsec3_iterations_max: u16,
    /// Bounds for TCP and TLS together.
    pub tcp: TcpLimits,
    /// Addresses for TLS, beside those for UDP and TCP; of no use without [`Options::tls`].
    pub tls_addresses: Vec<SocketAddr>,
    /// The certificate for them.
    pub tls: Option<Arc<TlsIdentity>>,
    /// Who may say for whom it speaks (PROXY protocol version 2).
    pub proxies: Proxies,
    /// Bounds equal replies over UDP.
    pub rate_limit: RateLimit,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            workers: 0,
            pin: true,
            udp_octets_max: UDP_PAYLOAD_OCTETS,
            nsec3_iterations_max: NSEC3_ITERATIONS_MAX,
            tcp: TcpLimits::default(),
            tls_addresses: Vec::new(),
            tls: None,
            proxies: Proxies::default(),
            rate_limit: RateLimit::default(),
        }
    }
}

/// Bounds for TCP (RFC 7766 §6, RFC 9210 §4).
#[derive(Clone, Debug)]
pub struct TcpLimits {
    /// Connections in all; one more is closed at once.
    pub connections_max: usize,
    /// Connections of one client: an IPv4 address, a /64 of IPv6.
    pub connections_per_client_max: usize,
    /// Time for the next whole query to arrive; then the connection is closed.
    pub idle: Duration,
    /// Time for one write to make progress; then the client is too slow and cut off.
    pub write: Duration,
    /// Longest time for one transfer to a downstream; then it is too slow and cut off.
    pub transfer: Duration,
    /// Transfers running at once; one more is answered SERVFAIL.
    pub transfers_max: usize,
}

impl Default for TcpLimits {
    fn default() -> TcpLimits {
        TcpLimits {
            connections_max: 4096,
            connections_per_client_max: 256,
            idle: Duration::from_secs(15),
            write: Duration::from_secs(15),
            transfer: Duration::from_secs(3600),
            transfers_max: 64,
        }
    }
}

/// What the listeners work with.
#[derive(Clone)]
pub struct Services {
    /// The zones.
    pub view: Arc<ViewHandle>,
    /// Keys and rules.
    pub policy: Arc<Policy>,
    /// Where notices go.
    pub inbox: Inbox,
    /// Where zones for downstreams come from.
    pub outbound: OutboundSource,
}

/// Bound sockets that nobody reads yet: what arrives waits in their buffers.
pub struct Listeners {
    options: Options,
    bound: Vec<Bound>,
    tls: Vec<(SocketAddr, TcpListener)>,
}

struct Bound {
    address: SocketAddr,
    udp: Vec<UdpSocket>,
    tcp: TcpListener,
}

/// UDP workers of each address where so many are configured; 0: one for each processor.
pub(crate) fn workers(configured: usize) -> usize {
    match configured {
        0 => schedule::allowed_cpus().len().max(1),
        workers => workers,
    }
}

impl Listeners {
    /// Binds UDP and TCP on each of `addresses`. Port 0 takes one free port for both transports. On a wildcard
    /// address replies leave from the address that was asked; `[::]` does not take IPv4.
    pub fn bind(addresses: &[SocketAddr], options: Options) -> io::Result<Listeners> {
        let workers = workers(options.workers);
        let bound = addresses.iter().map(|&address| bind(address, workers)).collect::<io::Result<_>>()?;
        let tls = options.tls_addresses.iter().map(|&address| {
            let named = |error: io::Error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"));
            let listener = bind_tcp(address).map_err(named)?;
            Ok((listener.local_addr().map_err(named)?, listener))
        });
        let tls = tls.collect::<io::Result<_>>()?;
        Ok(Listeners { options, bound, tls })
    }

    /// The addresses with their real ports, in the order given to [`Listeners::bind`].
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.bound.iter().map(|bound| bound.address).collect()
    }

    /// Starts answering: UDP on threads of its own, TCP on `runtime`.
    pub fn start(self, services: Services, runtime: &tokio::runtime::Handle) -> io::Result<Running> {
        let addresses = self.addresses();
        let tls_addresses = self.tls.iter().map(|(address, _)| *address).collect();
        let sockets = self.bound.iter().map(|bound| bound.udp.len()).sum();
        let counters = Arc::new(Counters::new(sockets));
        let cold = Arc::new(Cold::new(Arc::clone(&services.policy), Arc::clone(&counters)));
        let stop = Arc::new(AtomicBool::new(false));
        let cpus: Arc<[usize]> = if self.options.pin { schedule::allowed_cpus().into() } else { Arc::default() };
        let tcp = tcp::Server::new(services.clone(), Arc::clone(&cold), &self.options);
        // From here on a failure must stop what has been started: `Running` does that when it is dropped.
        let mut running =
            Running { addresses, tls_addresses, counters, stop: Arc::clone(&stop), workers: Vec::new(), tcp };
        let mut index = 0;
        let limiter = RateLimiter::new(&self.options.rate_limit, random_key()).map(Arc::new);
        for bound in self.bound {
            for (core, socket) in bound.udp.into_iter().enumerate() {
                let worker = udp::Worker {
                    socket,
                    wildcard: bound.address.ip().is_unspecified(),
                    place: (!cpus.is_empty()).then(|| Place::new(cpus[core % cpus.len()], cpus.clone())),
                    reply_octets_max: self.options.udp_octets_max,
                    nsec3_iterations_max: self.options.nsec3_iterations_max,
                    view: services.view.reader(),
                    cold: Arc::clone(&cold),
                    proxies: self.options.proxies.clone(),
                    limiter: limiter.clone(),
                    inbox: services.inbox.clone(),
                    index,
                    stop: Arc::clone(&stop),
                };
                let thread = std::thread::Builder::new().name(format!("udp-{index}"));
                running.workers.push(thread.spawn(move || worker.run())?);
                index += 1;
            }
            let _in_runtime = runtime.enter();
            let listener = tokio::net::TcpListener::from_std(bound.tcp)?;
            runtime.spawn(Arc::clone(&running.tcp).accept(listener, Transport::Tcp));
        }
        for (_, listener) in self.tls {
            let _in_runtime = runtime.enter();
            let listener = tokio::net::TcpListener::from_std(listener)?;
            runtime.spawn(Arc::clone(&running.tcp).accept(listener, Transport::Tls));
        }
        Ok(running)
    }
}

/// Which of our `listening` addresses a query to `target` would come back to, if any (B28). For a wildcard the host is
/// asked whether the address is its own, which costs a few system calls.
pub fn listens_at(target: SocketAddr, listening: &[SocketAddr]) -> Option<SocketAddr> {
    let ip = match target.ip().to_canonical() {
        // Connecting to "any" connects to this host.
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let is_here = |own: &SocketAddr| match own.ip().to_canonical() {
        wildcard if wildcard.is_unspecified() => wildcard.is_ipv4() == ip.is_ipv4() && UdpSocket::bind((ip, 0)).is_ok(),
        own => own == ip,
    };
    listening.iter().copied().find(|own| own.port() == target.port() && is_here(own))
}

/// Listeners at work. Dropping it orders them to stop without waiting.
pub struct Running {
    addresses: Vec<SocketAddr>,
    tls_addresses: Vec<SocketAddr>,
    counters: Arc<Counters>,
    stop: Arc<AtomicBool>,
    workers: Vec<JoinHandle<()>>,
    tcp: Arc<tcp::Server>,
}

impl Running {
    /// The addresses with their real ports.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The addresses for TLS with their real ports.
    pub fn tls_addresses(&self) -> &[SocketAddr] {
        &self.tls_addresses
    }

    /// What has been counted so far; valid after the end too.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Stops: no new connections; queries that have arrived are answered; open connections get a few seconds to
    /// finish what they are at.
    pub async fn shutdown(mut self) {
        self.order_stop();
        let workers = std::mem::take(&mut self.workers);
        let threads = tokio::task::spawn_blocking(|| {
            for worker in workers {
                if worker.join().is_err() {
                    tracing::error!("a UDP worker has panicked");
                }
            }
        });
        let _ = threads.await;
        let _ = tokio::time::timeout(SHUTDOWN_GRACE, self.tcp.finished()).await;
    }

    fn order_stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.tcp.order_stop();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.order_stop();
    }
}

/// Binds one address for both transports.
fn bind(address: SocketAddr, workers: usize) -> io::Result<Bound> {
    let attempts = if address.port() == 0 { PORT_ATTEMPTS } else { 1 };
    let mut result = Err(io::ErrorKind::AddrInUse.into());
    for _ in 0..attempts {
        result = bind_once(address, workers);
        match &result {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            _ => break,
        }
    }
    result.map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))
}

/// A key for the table of equal replies. Without randomness rows can be guessed, which only helps to share one.
fn random_key() -> [u8; 16] {
    let mut key = [0; 16];
    let _ = ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut key);
    key
}

fn bind_once(mut address: SocketAddr, workers: usize) -> io::Result<Bound> {
    let is_free_port = address.port() == 0;
    let tcp = bind_tcp(address)?;
    address.set_port(tcp.local_addr()?.port());
    if is_free_port {
        // with SO_REUSEPORT alone we would share it with one who is about to close it, and lose queries to them
        drop(UdpSocket::bind(address)?);
    }
    let udp = (0..workers).map(|_| bind_udp(address)).collect::<io::Result<_>>()?;
    Ok(Bound { address, udp, tcp })
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    listener.set_reuse_address(true)?;
    if address.is_ipv6() {
        listener.set_only_v6(true)?;
    }
    listener.set_nonblocking(true)?;
    listener.bind(&address.into())?;
    listener.listen(TCP_BACKLOG)?;
    Ok(TcpListener::from(listener))
}

fn bind_udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_port(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Best effort: the kernel's bound may be lower, and a smaller buffer only loses more under overload.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER_OCTETS);
    socket.set_read_timeout(Some(udp::WAIT))?;
    socket.bind(&address.into())?;
    let socket = UdpSocket::from(socket);
    mmsg::ignore_path_mtu(socket.as_fd(), address.is_ipv6())?;
    if address.ip().is_unspecified() {
        mmsg::report_local_address(socket.as_fd(), address.is_ipv6())?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_we_listen_at_is_known_also_behind_a_wildcard() {
        let own = |target: &str, listening: &str| {
            let [target, listening] = [target, listening].map(|text| text.parse().expect("an address"));
            listens_at(target, &[listening]).is_some()
        };
        assert!(own("127.0.0.1:5300", "127.0.0.1:5300"));
        assert!(own("[::ffff:127.0.0.1]:5300", "127.0.0.1:5300"));
        assert!(own("127.0.0.9:5300", "0.0.0.0:5300"));
        assert!(own("0.0.0.0:5300", "127.0.0.1:5300"));
        assert!(!own("127.0.0.1:5301", "127.0.0.1:5300"), "another port is another server");
        assert!(!own("127.0.0.9:5300", "127.0.0.1:5300"));
        assert!(!own("192.0.2.1:5300", "0.0.0.0:5300"), "not an address of any host");
        assert!(!own("127.0.0.1:5300", "[::]:5300"), "[::] does not take IPv4");
    }
}
