//! A daemon in the test's process: control side, router and HTTP listener, without DNS listeners.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use secondaryd::api::settings::Settings;
use secondaryd::api::{self, Api};
use secondaryd::config::Config;
use secondaryd::control::{self, Control, Parts};
use secondaryd::net::Policy;
use secondaryd::served::{Publisher, inbox};
use secondaryd::store::{Options, Store};
use tempfile::TempDir;
use tokio::sync::watch;

use crate::client::{self, Reply};
use crate::document;

pub(crate) const ADMIN: (&str, &str) = ("Authorization", "Bearer admin-token");
pub(crate) const OBSERVER: (&str, &str) = ("Authorization", "Bearer observer-token");
/// An admin of another tenant.
pub(crate) const STRANGER: (&str, &str) = ("Authorization", "Bearer stranger-token");

pub(crate) struct Daemon {
    pub(crate) api: SocketAddr,
    /// The router as axum shows it to developers.
    pub(crate) routes: String,
    /// A port of the loopback addresses that refuses connections.
    pub(crate) closed_port: u16,
    dead_primaries: AtomicU8,
    stop: watch::Sender<bool>,
    runtime: Option<tokio::runtime::Runtime>,
    config: Config,
    state_dir: Option<TempDir>,
}

impl Daemon {
    /// With credentials, a key named `transfer`, and `configured.example` in the configuration.
    pub(crate) fn start() -> Daemon {
        Daemon::with(|closed_port| {
            format!(
                r#"
                [api]
                nameservers = ["ns1.example.net", "ns2.example.net"]
                max-body = "64KiB"
                [[api.credential]]
                tenant = "1000"
                user = "ann"
                role = "admin"
                token = "admin-token"
                [[api.credential]]
                tenant = "1000"
                user = "otto"
                role = "observer"
                token = "observer-token"
                [[api.credential]]
                tenant = "2000"
                user = "bob"
                role = "admin"
                token = "stranger-token"
                [transfer]
                retry-initial = "1h"
                [tsig-key.transfer]
                algorithm = "hmac-sha256"
                secret = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMzQ="
                [[secondary-zone]]
                name = "configured.example"
                primaries = ["127.0.0.1:{closed_port}"]
                tenant = "1000"
                "#
            )
        })
    }

    /// With the configuration that `text` makes for a closed port.
    pub(crate) fn with(text: impl FnOnce(u16) -> String) -> Daemon {
        let closed_port = closed_port();
        let config = Config::from_text(Path::new("test.toml"), &text(closed_port)).expect("a configuration");
        Daemon::on(config, closed_port, TempDir::new().expect("a directory"))
    }

    /// Stops, and starts again on what is on disk.
    pub(crate) fn restart(mut self) -> Daemon {
        self.stop();
        if let Some(runtime) = self.runtime.take() {
            // Ends as soon as nothing holds the store any more.
            runtime.shutdown_timeout(std::time::Duration::from_secs(10));
        }
        let state_dir = self.state_dir.take().expect("the daemon has not been restarted before");
        Daemon::on(self.config.clone(), self.closed_port, state_dir)
    }

    fn on(config: Config, closed_port: u16, state_dir: TempDir) -> Daemon {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let (stop, stopped) = watch::channel(false);
        let (api, routes) = runtime.block_on(async {
            let shared = Api::new(
                start_control(&config, state_dir.path()).await.handle,
                Settings::new(&config),
                Box::new(|| Ok(())),
                Box::new(|| "# metrics stand here\n".to_owned()),
                stopped.clone(),
            );
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a socket");
            let address = listener.local_addr().expect("an address");
            let routes = format!("{:?}", api::routes(shared.clone()));
            let router = api::router(shared);
            let listeners = vec![api::listen::Listener::Tcp(listener)];
            tokio::spawn(api::serve::serve(listeners, router, api::serve::CONNECTIONS_MAX, stopped));
            (address, routes)
        });
        Daemon {
            api,
            routes,
            closed_port,
            dead_primaries: AtomicU8::new(1),
            stop,
            runtime: Some(runtime),
            config,
            state_dir: Some(state_dir),
        }
    }

    pub(crate) fn get(&self, target: &str) -> Reply {
        self.send("GET", target, &[ADMIN], "")
    }

    /// Every reply must be one that `/openapi.json` foresees.
    pub(crate) fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let reply = client::send(self.api, method, target, headers, body.as_bytes());
        document::judge(self.api, method, target, &reply);
        reply
    }

    /// Makes a zone with these `primaryIps` and returns its id.
    pub(crate) fn create(&self, name: &str, primaries: &[String]) -> String {
        let body = serde_json::json!({"properties": {"zoneName": name, "primaryIps": primaries}}).to_string();
        let reply = self.send("POST", "/secondaryzones", &[ADMIN], &body);
        assert_eq!(reply.status, 202, "{reply:?}");
        reply.json()["id"].as_str().expect("an id").to_owned()
    }

    /// Makes a zone whose only primary refuses connections. Each such zone has an address of its own, so that it is
    /// tried although others are known to be unreachable.
    pub(crate) fn create_dead(&self, name: &str) -> String {
        let number = self.dead_primaries.fetch_add(1, Ordering::Relaxed);
        self.create(name, &[format!("127.0.1.{number}#{}", self.closed_port)])
    }

    /// Waits with `Prefer: wait` until the transfer status fits.
    pub(crate) fn await_status(&self, id: &str, fits: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        let target = format!("/secondaryzones/{id}/axfr");
        let (mut tag, mut last) = (String::new(), serde_json::Value::Null);
        for _ in 0..100 {
            let headers = [ADMIN, ("If-None-Match", tag.as_str()), ("Prefer", "wait=10")];
            let reply = self.send("GET", &target, &headers, "");
            assert_ne!(reply.status, 304, "the status did not become what it should within 10 s: {last:#}");
            tag = reply.header("etag").expect("a tag").to_owned();
            last = reply.json();
            if fits(&last) {
                return last;
            }
        }
        panic!("the status did not become what it should in 100 changes");
    }

    /// Tells the listener to stop; running requests end.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The control side on an empty store.
async fn start_control(config: &Config, state_dir: &Path) -> Control {
    let (store, restored) = Store::open(state_dir, Options::default()).expect("an empty store");
    let (publisher, _view) = Publisher::new(store.hash_key());
    let (_inbox, reader) = inbox::inbox(1, Box::new(|| ()));
    let parts = Parts {
        config: Arc::new(config.clone()),
        publisher,
        policy: Arc::new(Policy::default()),
        inbox: reader,
        store: Arc::new(store),
        give_way: || {},
    };
    let mut control = control::start(parts, restored, control::events()).expect("a thread");
    control.loaded(std::time::Duration::from_secs(30)).await;
    control
}

/// A port that was free for UDP and TCP a moment ago.
fn closed_port() -> u16 {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = tcp.local_addr().expect("an address").port();
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
