//! What a start can do before the zones of the configuration are known: the sockets for DNS, and the store.
//!
//! In: the sections of the main file, which stand before its zones ([`Config::beginning`]). Out: bound sockets, in which
//! questions wait instead of being refused by the system, and the opened store. A configuration of 100,000 zones takes a
//! quarter of a second to read, and the store twice as long to open. If the whole configuration says something else after
//! all, what was begun is given up, and done again as it says.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::descriptors::{self, Shares};
use super::{DaemonError, tls_identity};
use crate::config::{Beginning, Config};
use crate::net::{self, Listeners, Proxies, RateLimit, Spoken, TcpLimits, TlsIdentity};
use crate::store::{self, Restored, Store};

/// The store with what is read from it.
type Opened = Result<(Store, Restored), DaemonError>;

/// The sockets for DNS, before anybody reads them.
pub(super) struct Sockets {
    pub(super) listeners: Listeners,
    /// The certificate of those with TLS.
    pub(super) tls: Option<Arc<TlsIdentity>>,
}

/// What the beginning of the main file says, and the sockets it names.
pub(super) struct Early {
    config: Config,
    /// `None`: it does not say where to listen, or we cannot, and why will be said where it matters.
    sockets: Option<Sockets>,
    /// A first start has nothing to read, and makes nothing before the whole configuration is known to be right.
    has_state: bool,
}

impl Early {
    /// Reads no further than to the first zone, and binds the sockets.
    pub(super) fn bind(path: &Path) -> Option<Early> {
        let Beginning { config, says_where_to_listen } = Config::beginning(path)?;
        let has_state = config.state_dir.is_dir();
        let sockets = (says_where_to_listen && has_state).then(|| Sockets::bind(&config).ok()).flatten();
        Some(Early { config, sockets, has_state })
    }

    /// It stays so if no section follows the zones.
    pub(super) fn confirm(self, path: &Path) -> Option<Early> {
        Config::ends_with_zones(path).then_some(self)
    }

    /// What the main file says in all of its sections, once that is [confirmed](Early::confirm).
    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// Goes on with the store.
    pub(super) fn lay(self) -> Option<Groundwork> {
        let Early { config, sockets, has_state } = self;
        if has_state { Groundwork::lay(config, sockets).ok() } else { None }
    }
}

/// What has been begun. Dropping it ends it.
pub(super) struct Groundwork {
    /// By what.
    config: Arc<Config>,
    /// `None`: it failed, and why will be said where it matters.
    sockets: Option<Sockets>,
    /// `None`: taken.
    store: Option<JoinHandle<Opened>>,
}

impl Groundwork {
    /// Binds the sockets, unless they are, and begins to open the store.
    fn lay(config: impl Into<Arc<Config>>, sockets: Option<Sockets>) -> io::Result<Groundwork> {
        let config = config.into();
        let store = std::thread::Builder::new().name("open-store".to_owned()).spawn({
            let config = config.clone();
            move || open_store(&config)
        })?;
        Ok(Groundwork { sockets: sockets.or_else(|| Sockets::bind(&config).ok()), config, store: Some(store) })
    }

    /// Whether the whole configuration says the same.
    fn is_for(&self, config: &Config) -> bool {
        let Config { state_dir, store, dns, .. } = &*self.config;
        let shares = |config| Shares::of(config, descriptors::available());
        (state_dir, store, dns) == (&config.state_dir, &config.store, &config.dns)
            && shares(&self.config) == shares(config)
    }
}

impl Drop for Groundwork {
    fn drop(&mut self) {
        if let Some(Ok(Ok((store, restored)))) = self.store.take().map(JoinHandle::join) {
            end(store, restored);
        }
    }
}

/// Ends a store of which nothing has been taken.
fn end(store: Store, restored: Restored) {
    drop(restored);
    store.give_up();
}

/// What has been begun for `config`, or else is begun now, at its end.
pub(super) async fn finish(
    begun: Option<Groundwork>,
    config: Arc<Config>,
) -> Result<(Sockets, (Store, Restored)), DaemonError> {
    let finished = tokio::task::spawn_blocking(move || {
        let mut groundwork = match begun.filter(|begun| begun.is_for(&config)) {
            Some(begun) => begun,
            None => Groundwork::lay(config.clone(), None).map_err(DaemonError::no_thread)?,
        };
        let store = groundwork.store.take().expect("taken here only");
        let (store, restored) = store.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        match groundwork.sockets.take().map_or_else(|| Sockets::bind(&config), Ok) {
            Ok(sockets) => Ok((sockets, (store, restored))),
            Err(error) => {
                end(store, restored);
                Err(error)
            }
        }
    });
    finished.await.map_err(|error| DaemonError::Setup(error.to_string()))?
}

impl Sockets {
    /// Binds them.
    fn bind(config: &Config) -> Result<Sockets, DaemonError> {
        let dns = &config.dns;
        let tls = tls_identity(&dns.listen_tls, (&dns.tls_cert, &dns.tls_key), Spoken::Dns, "[dns] tls-cert")?;
        let options = net_options(config, tls.clone());
        let listeners = Listeners::bind(&dns.listen, options).map_err(DaemonError::cannot_listen)?;
        Ok(Sockets { listeners, tls })
    }
}

fn open_store(config: &Config) -> Opened {
    let directory = config.state_dir.clone();
    let options = store::Options {
        cache_octets: config.store.cache_size,
        history_octets: config.store.history_bytes,
        history_versions: config.store.history_versions,
        ..store::Options::default()
    };
    std::fs::create_dir_all(&directory)
        .map_err(store::OpenError::from)
        .and_then(|()| Store::open(&directory, options))
        .map_err(|error| DaemonError::Store { directory, error })
}

fn net_options(config: &Config, tls: Option<Arc<TlsIdentity>>) -> net::Options {
    let dns = &config.dns;
    net::Options {
        workers: dns.workers,
        udp_octets_max: dns.edns_size,
        nsec3_iterations_max: dns.nsec3_iterations_max,
        tcp: TcpLimits {
            connections_max: Shares::of(config, descriptors::available()).dns,
            connections_per_client_max: dns.tcp_connections_per_client,
            idle: dns.tcp_idle_timeout,
            transfers_max: dns.outbound_transfers,
            ..TcpLimits::default()
        },
        tls_addresses: dns.listen_tls.clone(),
        tls,
        proxies: Proxies::new(dns.allow_proxy.clone()),
        rate_limit: RateLimit {
            replies_per_second: dns.rate_limit,
            slip: dns.rate_limit_slip,
            ipv4_bits: dns.rate_limit_ipv4_prefix,
            ipv6_bits: dns.rate_limit_ipv6_prefix,
        },
        ..net::Options::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(state_dir: &Path) -> Config {
        let mut config = Config { state_dir: state_dir.to_owned(), ..Config::default() };
        config.dns.listen = vec!["127.0.0.1:0".parse().expect("an address")];
        config
    }

    #[tokio::test]
    async fn what_was_begun_is_taken_if_the_whole_configuration_says_the_same() {
        let directory = tempfile::tempdir().expect("a directory");
        let begun = Groundwork::lay(config(directory.path()), None).expect("begins");
        let bound = begun.sockets.as_ref().expect("a free port").listeners.addresses();
        let (sockets, (store, _)) =
            finish(Some(begun), config(directory.path()).into()).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(sockets.listeners.addresses(), bound);
        store.close();
    }

    #[tokio::test]
    async fn what_was_begun_for_another_configuration_is_given_up() {
        let (other, directory) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        let begun = Groundwork::lay(config(other.path()), None).expect("begins");
        let (_, (store, _)) =
            finish(Some(begun), config(directory.path()).into()).await.unwrap_or_else(|error| panic!("{error}"));
        assert!(directory.path().join("sled").is_dir());
        store.close();
        // The lock of the other one is free.
        drop(Groundwork::lay(config(other.path()), None).expect("begins"));
        let (store, _) = open_store(&config(other.path())).unwrap_or_else(|error| panic!("{error}"));
        store.close();
    }

    #[tokio::test]
    async fn where_no_socket_can_be_bound_the_store_keeps_what_it_found() {
        let directory = tempfile::tempdir().expect("a directory");
        let mark = directory.path().join("running");
        std::fs::write(&mark, "another boot\n").expect("written");
        let other = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let mut config = config(directory.path());
        config.dns.listen = vec![other.local_addr().expect("bound")];
        let outcome = finish(None, config.into()).await;
        assert!(matches!(outcome, Err(DaemonError::Listen { key: "[dns] listen", .. })));
        assert_eq!(std::fs::read_to_string(&mark).expect("still there"), "another boot\n");
    }
}
