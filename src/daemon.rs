//! The whole daemon put together: start order, signals, readiness, shutdown order.
//!
//! ```text
//!   start:  DNS sockets bound, store opened, and meanwhile the zones of the configuration read ([`groundwork`])
//!           -> zones loaded, each answered as soon as it is there -> HTTP -> ready (systemd, log, /readyz)
//!   stop:   no longer ready -> HTTP and DNS stop -> keeper stops -> store flushed and closed
//! ```
//!
//! Who asks before there is a store waits at the socket; before the zone has been read the answer is SERVFAIL, and then it
//! comes from the zone as it was before the restart.

mod descriptors;
mod groundwork;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::answer::{Cookies, Identity};
use crate::api::listen::{self, Listener};
use crate::api::{self, Api};
use crate::config::{self, ApiListen, Config, ConfigErrors};
use crate::control::event::Event;
use crate::control::{self, Control, Handle, Parts};
use crate::net::{Policy, Running, Services, Spoken, TlsIdentity};
use crate::scrape::Sources;
use crate::served::{Publisher, inbox};
use crate::store::{self, Store};
use crate::telemetry::{self, LogControl, LogError};
use descriptors::Shares;
use groundwork::{Early, Groundwork, Sockets};

/// How long the API and systemd wait for stored zones.
const LOAD_PATIENCE: Duration = Duration::from_secs(30);

/// Why the daemon does not start, or why it ended.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The configuration has mistakes; each is a line of its own.
    #[error("{0}")]
    Config(#[from] ConfigErrors),
    /// The state directory cannot be used.
    #[error("state-dir {directory}: {error}")]
    Store {
        /// The directory.
        directory: PathBuf,
        /// What is wrong with it.
        error: store::OpenError,
    },
    /// A socket could not be bound.
    #[error("{key}: {error}")]
    Listen {
        /// The key of the configuration.
        key: &'static str,
        /// Names the address, in the system's words.
        error: io::Error,
    },
    /// Log, metrics, runtime or signals could not be set up.
    #[error("{0}")]
    Setup(String),
    /// A part of the daemon ended by itself; that is a bug.
    #[error("the control task ended unexpectedly; see the log")]
    Crashed,
}

impl DaemonError {
    /// DNS cannot be answered.
    fn cannot_listen(error: io::Error) -> DaemonError {
        DaemonError::Listen { key: "[dns] listen", error }
    }

    /// The system gives no thread.
    fn no_thread(error: io::Error) -> DaemonError {
        DaemonError::Setup(format!("start a thread: {error}"))
    }
}

/// Runs the daemon with the configuration at `path` until SIGTERM or SIGINT.
pub fn run(path: &Path) -> Result<(), DaemonError> {
    crate::system::map_large_allocations();
    crate::system::outlive_file_size_limit();
    descriptors::take_all();
    // Before anything else, that is some hundred microseconds sooner: who asks meanwhile waits.
    let early = Early::bind(path);
    // While nothing else runs: the library measures the processor's clock, which takes twenty times as long beside busy threads.
    let metrics = telemetry::Metrics::install().map_err(|error| DaemonError::Setup(error.to_string()))?;
    let runtime = runtime()?;
    let in_runtime = runtime.enter();
    // Before anything is opened: a SIGHUP meanwhile would end the process, a SIGTERM end it uncleanly.
    let signals = Signals::listen()?;
    let setup = |error: LogError| DaemonError::Setup(error.to_string());
    let early = early.and_then(|early| early.confirm(path));
    let log = early.as_ref().map(|early| telemetry::install_log(&early.config().log)).transpose().map_err(setup)?;
    let groundwork = early.and_then(Early::lay);
    let config = Config::load(path)?;
    let log = match log {
        Some(log) => log.apply(&config.log).map(|()| log),
        None => telemetry::install_log(&config.log),
    };
    let log = log.map_err(setup)?;
    for warning in config.warnings.iter().chain(&lacks_descriptors(&config)) {
        tracing::warn!("{warning}");
    }
    drop(in_runtime);
    runtime.block_on(async {
        let daemon = Daemon::start_on(groundwork, config, Box::new(move || metrics.render())).await?;
        daemon.until_stopped(path, &log, signals).await
    })
}

/// That the system gives fewer file descriptors than `config` may need, and what becomes of it: a warning.
pub fn lacks_descriptors(config: &Config) -> Option<String> {
    Shares::of(config, descriptors::take_all()).warning()
}

/// The signals the daemon obeys; those that come before it is ready wait here.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> Result<Signals, DaemonError> {
        let listen = |kind| signal(kind).map_err(|error| DaemonError::Setup(format!("signals: {error}")));
        Ok(Signals {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }
}

/// The runtime for TCP, upstream exchanges, HTTP and control.
pub fn runtime() -> Result<tokio::runtime::Runtime, DaemonError> {
    let built = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("secondaryd").build();
    built.map_err(|error| DaemonError::Setup(format!("runtime: {error}")))
}

/// A running daemon.
pub struct Daemon {
    handle: Handle,
    events: mpsc::UnboundedSender<Event>,
    control: JoinHandle<()>,
    listeners: Running,
    dns_addresses: Vec<SocketAddr>,
    api: Arc<Api>,
    api_task: JoinHandle<()>,
    api_addresses: Vec<SocketAddr>,
    store: Arc<Store>,
    ready: Arc<AtomicBool>,
    stop: watch::Sender<bool>,
    policy: Arc<Policy>,
    tls: Option<Arc<TlsIdentity>>,
    api_tls: Option<Arc<TlsIdentity>>,
    /// Makes cookies while the configuration names no secret; as long as this run.
    cookie_secret: [u8; 16],
}

impl Daemon {
    /// Starts everything; when this returns the daemon is ready. `metrics` renders `/metrics`.
    pub async fn start(config: Config, metrics: api::Metrics) -> Result<Daemon, DaemonError> {
        Daemon::start_on(None, config, metrics).await
    }

    /// As [`Daemon::start`], with what has been begun before the whole configuration was known.
    async fn start_on(
        groundwork: Option<Groundwork>,
        config: Config,
        metrics: api::Metrics,
    ) -> Result<Daemon, DaemonError> {
        let began = Instant::now();
        let config = Arc::new(config);
        let (Sockets { listeners, tls }, (store, restored)) = groundwork::finish(groundwork, config.clone()).await?;
        let store = Arc::new(store);
        if let Some(damage) = restored.damage() {
            tracing::error!(
                why = damage.why, moved_to = %damage.moved_to.display(), values_kept = damage.values_kept,
                "the store was damaged and has been replaced; what could be read was kept, transferred zones come again"
            );
        }
        let (publisher, view) = Publisher::new(store.hash_key());
        let (events, received) = control::events();
        let (inbox, reader) = inbox::inbox(inbox::INBOX_NOTICES_MAX, {
            let events = events.clone();
            Box::new(move || {
                // Nobody listens any more when the daemon stops.
                let _ = events.send(Event::Inbox);
            })
        });
        let policy = Arc::new(Policy::default());
        let mut cookie_secret = [0; 16];
        ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut cookie_secret)
            .map_err(|_| DaemonError::Setup("the system gives no random numbers".to_owned()))?;
        policy.identity.store(Arc::new(identity(&config, cookie_secret)));
        let parts = Parts {
            config: config.clone(),
            publisher,
            policy: policy.clone(),
            inbox: reader,
            store: store.clone(),
            give_way: crate::system::schedule::give_way,
        };
        // Each zone is answered as soon as it has been read, and until then who asks is told to ask somebody else.
        let mut control =
            control::start(parts, restored, (events.clone(), received)).map_err(DaemonError::no_thread)?;
        let services = Services { view, policy: policy.clone(), inbox, outbound: control.outbound.clone() };
        let listeners =
            listeners.start(services, &tokio::runtime::Handle::current()).map_err(DaemonError::cannot_listen)?;
        let dns_addresses = listeners.addresses().to_vec();
        control.loaded(LOAD_PATIENCE).await;
        let Control { handle, task, .. } = control;

        let (stop, stopped) = watch::channel(false);
        let ready = Arc::new(AtomicBool::new(true));
        let readiness: api::Readiness = {
            let ready = ready.clone();
            Box::new(move || if ready.load(Ordering::Relaxed) { Ok(()) } else { Err("shutting down".to_owned()) })
        };
        let files = (&config.api.tls_cert, &config.api.tls_key);
        let api_tls = tls_identity(&config.api.listen_tls, files, Spoken::Http, "[api] tls-cert")?;
        let certificates = [("dns", &tls), ("api", &api_tls)];
        let certificates =
            certificates.into_iter().filter_map(|(section, tls)| Some((section, tls.clone()?))).collect();
        let sources = Sources {
            board: handle.board().clone(),
            counters: listeners.counters().clone(),
            ready: ready.clone(),
            certificates,
        };
        let metrics: api::Metrics = Box::new(move || {
            sources.collect();
            metrics()
        });
        let (sockets, api_addresses) = bind_api(&config.api, api_tls.as_ref()).await?;
        let settings = api::settings::Settings::new(&config);
        let api = Api::new(handle.clone(), settings, readiness, metrics, stopped.clone());
        let shown_sockets: Vec<String> = sockets.iter().map(ToString::to_string).collect();
        let connections_max = Shares::of(&config, descriptors::available()).api;
        let serving = api::serve::serve(sockets, api::router(api.clone()), connections_max, stopped);
        let api_task = tokio::spawn(serving);
        tracing::info!(
            zones = handle.board().len(), dns = ?dns_addresses, tls = ?listeners.tls_addresses(), api = ?shown_sockets,
            duration_ms = began.elapsed().as_millis() as u64, "ready"
        );
        // What loading has used and freed again is the system's, not ours for good. Some milliseconds, and nobody waits.
        tokio::task::spawn_blocking(crate::system::give_back_freed_memory);
        Ok(Daemon {
            handle,
            events,
            control: task,
            listeners,
            dns_addresses,
            api,
            api_task,
            api_addresses,
            store,
            ready,
            stop,
            policy,
            tls,
            api_tls,
            cookie_secret,
        })
    }

    /// Addresses on which DNS is answered, with their real ports.
    pub fn dns_addresses(&self) -> &[SocketAddr] {
        &self.dns_addresses
    }

    /// Addresses on which HTTP is answered, with their real ports; those with TLS behind the others.
    pub fn api_addresses(&self) -> &[SocketAddr] {
        &self.api_addresses
    }

    /// The line to the control side.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Takes over a configuration that was read again.
    pub fn reload(&self, config: Config) {
        self.api.reconfigure(api::settings::Settings::new(&config));
        self.policy.identity.store(Arc::new(identity(&config, self.cookie_secret)));
        self.reload_certificates(&config);
        let _ = self.events.send(Event::Reload(Box::new(config)));
    }

    /// Reads certificates and keys again, be it from other files; on failure the old ones stay in use.
    fn reload_certificates(&self, config: &Config) {
        let (dns, api) = (&config.dns, &config.api);
        for (tls, certificate, key) in
            [(&self.tls, &dns.tls_cert, &dns.tls_key), (&self.api_tls, &api.tls_cert, &api.tls_key)]
        {
            let (Some(tls), Some(certificate), Some(key)) = (tls, certificate, key) else { continue };
            match tls.reload(certificate, key) {
                Ok(()) => tracing::info!(certificate = %certificate.display(), "certificate read"),
                Err(error) => tracing::error!(%error, "certificate not read, the old one stays"),
            }
        }
    }

    /// Tells systemd, then serves until a signal comes. SIGHUP reads `path` again.
    async fn until_stopped(mut self, path: &Path, log: &LogControl, mut signals: Signals) -> Result<(), DaemonError> {
        tell_systemd(&[sd_notify::NotifyState::Ready]);
        let mut watchdog = tokio::time::interval(watchdog_interval());
        loop {
            tokio::select! {
                _ = signals.terminate.recv() => break,
                _ = signals.interrupt.recv() => break,
                _ = signals.hangup.recv() => {
                    let now = sd_notify::NotifyState::monotonic_usec_now();
                    tell_systemd(&[&[sd_notify::NotifyState::Reloading][..], now.as_ref().map_or(&[], std::slice::from_ref)].concat());
                    self.read_again(path, log).await;
                    tell_systemd(&[sd_notify::NotifyState::Ready]);
                }
                _ = watchdog.tick() => tell_systemd(&[sd_notify::NotifyState::Watchdog]),
                _ = &mut self.control => return Err(DaemonError::Crashed),
            }
        }
        tell_systemd(&[sd_notify::NotifyState::Stopping]);
        tracing::info!("stopping");
        self.stop().await;
        tracing::info!("stopped");
        Ok(())
    }

    async fn read_again(&self, path: &Path, log: &LogControl) {
        let path = path.to_owned();
        match tokio::task::spawn_blocking(move || Config::load(&path)).await {
            Ok(Ok(config)) => {
                config.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
                if let Err(error) = log.apply(&config.log) {
                    tracing::warn!(%error, "the log keeps its filter");
                }
                metrics::counter!(telemetry::RELOADS, "outcome" => "ok").increment(1);
                self.reload(config);
            }
            Ok(Err(errors)) => {
                metrics::counter!(telemetry::RELOADS, "outcome" => "refused").increment(1);
                tracing::error!("configuration not reloaded, the old one stays:\n{errors}");
            }
            Err(error) => tracing::error!(%error, "configuration not reloaded, the old one stays"),
        }
    }

    /// Stops everything in order; what was acknowledged is on disk when this returns.
    pub async fn stop(self) {
        self.ready.store(false, Ordering::Relaxed);
        let _ = self.stop.send(true);
        let _ = self.api_task.await;
        self.listeners.shutdown().await;
        let _ = self.events.send(Event::Shutdown);
        // It may have been awaited already if it crashed.
        if !self.control.is_finished() {
            let _ = self.control.await;
        }
        let store = self.store;
        let _ = tokio::task::spawn_blocking(move || store.close()).await;
    }
}

/// What the server says about itself.
fn identity(config: &Config, cookie_secret: [u8; 16]) -> Identity {
    let dns = &config.dns;
    let secrets = match dns.cookie_keys.iter().map(|key| key.0).collect::<Vec<_>>() {
        none if none.is_empty() => vec![cookie_secret],
        secrets => secrets,
    };
    Identity::default()
        .with_nsid(dns.nsid.as_bytes())
        .with_version(dns.version.as_bytes())
        .with_host(dns.identity.as_deref().unwrap_or(&host_name()).as_bytes())
        .with_cookies(Cookies::new(secrets, dns.require_cookie).filter(|_| dns.cookies))
}

/// The name of this host; empty if the system does not say.
fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}

/// The certificate of a section that listens at `addresses` with TLS; `None` if it does not. `named`: the key of the
/// configuration that a failure is told with.
fn tls_identity(
    addresses: &[SocketAddr],
    files: (&Option<PathBuf>, &Option<PathBuf>),
    spoken: Spoken,
    named: &'static str,
) -> Result<Option<Arc<TlsIdentity>>, DaemonError> {
    let (Some(certificate), Some(key)) = files else { return Ok(None) };
    if addresses.is_empty() {
        return Ok(None);
    }
    let identity = TlsIdentity::load(certificate, key, spoken);
    identity.map(|identity| Some(Arc::new(identity))).map_err(|error| DaemonError::Listen { key: named, error })
}

/// The sockets of the API, and the addresses of those that have one.
async fn bind_api(
    api: &config::Api,
    tls: Option<&Arc<TlsIdentity>>,
) -> Result<(Vec<Listener>, Vec<SocketAddr>), DaemonError> {
    let (mut sockets, mut bound) = (Vec::new(), Vec::new());
    for listen in &api.listen {
        match listen {
            ApiListen::Tcp(address) => {
                let (socket, address) = bind_tcp("[api] listen", *address).await?;
                bound.push(address);
                sockets.push(Listener::Tcp(socket));
            }
            ApiListen::Unix(path) => {
                let socket = listen::bind_unix(path, api.socket_mode);
                sockets.push(Listener::Unix(socket.map_err(|error| cannot_listen("[api] listen", listen, error))?));
            }
        }
    }
    for address in &api.listen_tls {
        let (socket, address) = bind_tcp("[api] listen-tls", *address).await?;
        bound.push(address);
        let tls = tls.expect("the configuration demands a certificate with these addresses");
        sockets.push(Listener::Tls(socket, tls.clone()));
    }
    Ok((sockets, bound))
}

async fn bind_tcp(key: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), DaemonError> {
    let socket = TcpListener::bind(address).await.map_err(|error| cannot_listen(key, &address, error))?;
    let bound = socket.local_addr().map_err(|error| cannot_listen(key, &address, error))?;
    Ok((socket, bound))
}

fn cannot_listen(key: &'static str, place: &dyn std::fmt::Display, error: io::Error) -> DaemonError {
    DaemonError::Listen { key, error: io::Error::new(error.kind(), format!("cannot listen on {place}: {error}")) }
}

fn tell_systemd(states: &[sd_notify::NotifyState<'_>]) {
    // Without systemd there is nobody to tell.
    let _ = sd_notify::notify(states);
}

/// Half of what systemd allows; without a watchdog hours, so that the timer costs nothing.
fn watchdog_interval() -> Duration {
    sd_notify::watchdog_enabled()
        .map_or(Duration::from_secs(86_400), |allowed| (allowed / 2).max(Duration::from_millis(100)))
}
