//! `secondaryd demo`: the main job on a machine with nothing installed.
//!
//! A hidden primary lives in this process: our own listeners on a free port, a zone from `fixtures/`, one change every
//! few seconds, a NOTIFY for each. The other half is the real daemon with a real configuration, which gets every
//! change by IXFR and shows it over DNS, REST and the dashboard. State goes to a temporary directory.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use uuid::Uuid;

use crate::access::{Kind, ZoneAccess};
use crate::config::{ApiListen, Config, Credential, Primary, Role, Zone};
use crate::daemon::{self, Daemon, DaemonError};
use crate::dns::{Name, Record, RecordType, zonefile};
use crate::net::notifier::{Downstream, Notifier};
use crate::net::{self, Listeners, OutboundData, OutboundSource, Policy, Services};
use crate::served::{Publisher, Slot, ZoneId, inbox};
use crate::telemetry;
use crate::time::Timestamp;
use crate::zone::{self, Builder, Diff, DiffBuilder, HashKey, Limits, Snapshot};

/// The zone of the demonstration.
const ZONE_TEXT: &str = include_str!("../fixtures/zones/ordinary.zone");
const ZONE_NAME: &str = "ordinary.example";
/// The owner whose TXT record tells the time of the last change.
const CLOCK: &str = "clock.ordinary.example";
/// Between two changes.
const PACE: Duration = Duration::from_secs(4);
/// Differences the primary keeps for IXFR.
const HISTORY: usize = 100;

/// Runs the demonstration until Ctrl-C, then cleans up.
pub fn run(dns: SocketAddr, api: SocketAddr) -> Result<(), DaemonError> {
    let mut config = Config::default();
    config.log.filter = "warn,secondaryd::control=info".to_owned();
    telemetry::install_log(&config.log).map_err(|error| DaemonError::Setup(error.to_string()))?;
    let metrics = telemetry::Metrics::install().map_err(|error| DaemonError::Setup(error.to_string()))?;
    let token = Uuid::new_v4().simple().to_string();
    let directory = std::env::temp_dir().join(format!("secondaryd-demo-{}", Uuid::new_v4().simple()));
    config.state_dir.clone_from(&directory);
    config.dns.listen = vec![dns];
    config.api.listen = vec![ApiListen::Tcp(api)];
    config.api.credentials = vec![Credential::new("demo", "visitor", Role::Admin, &token)];

    let outcome = daemon::runtime()?.block_on(async {
        let primary = HiddenPrimary::start()?;
        config.zones = vec![zone(primary.address)];
        let daemon = Daemon::start(config, Box::new(move || metrics.render())).await?;
        introduce(&daemon, primary.address, &token);
        let downstream = daemon.dns_addresses()[0];
        let mut interrupt = interrupts()?;
        let mut terminate = signal(SignalKind::terminate()).map_err(setup)?;
        tokio::select! {
            () = primary.keep_changing(downstream) => {}
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        daemon.stop().await;
        Ok(())
    });
    let removed = std::fs::remove_dir_all(&directory);
    println!(
        "\nStopped. {}",
        match removed {
            Ok(()) => "The temporary state directory is gone.".to_owned(),
            Err(error) => format!("{} could not be removed: {error}", directory.display()),
        }
    );
    outcome
}

fn interrupts() -> Result<tokio::signal::unix::Signal, DaemonError> {
    signal(SignalKind::interrupt()).map_err(setup)
}

fn setup(error: std::io::Error) -> DaemonError {
    DaemonError::Setup(format!("signals: {error}"))
}

fn zone(primary: SocketAddr) -> Zone {
    Zone {
        name: ZONE_NAME.parse().expect("a domain name"),
        primaries: [Primary::at(primary)].into(),
        allow_notify: [].into(),
        allow_transfer: ["127.0.0.0/8".parse().expect("an access rule")].into(),
        allow_query: None,
        notify: [].into(),
        policy: None,
        catalog: None,
        tenant: "demo".into(),
        origin: crate::config::Origin { file: PathBuf::from("(demo)").into(), line: 1 },
    }
}

fn introduce(daemon: &Daemon, primary: SocketAddr, token: &str) {
    let (dns, api) = (daemon.dns_addresses()[0], daemon.api_addresses()[0]);
    let uuid = crate::control::definition::configured_uuid(&ZONE_NAME.parse().expect("a domain name"));
    println!(
        "secondaryd demo: a hidden primary at {primary} changes {ZONE_NAME} every {} s and sends NOTIFY;
secondaryd takes each change by IXFR and answers it. Try, in another terminal:

  dig @{} -p {} {CLOCK} TXT
  dig @{} -p {} {ZONE_NAME} SOA +norecurse
  curl -s -H 'Authorization: Bearer {token}' http://{api}/secondaryzones/{uuid}/axfr
  cargo run --release --bin secondaryctl -- --url http://{api} --token {token} zone {ZONE_NAME}

Dashboard: http://{api}/   (token: {token})
Ctrl-C ends the demonstration and removes its state.
",
        PACE.as_secs(),
        dns.ip(),
        dns.port(),
        dns.ip(),
        dns.port(),
    );
}

/// The primary in this process: serves one zone to transfers and changes it.
struct HiddenPrimary {
    address: SocketAddr,
    publisher: Publisher,
    slot: Arc<Slot>,
    history: Arc<Mutex<VecDeque<Diff>>>,
    _listeners: net::Running,
}

impl HiddenPrimary {
    fn start() -> Result<HiddenPrimary, DaemonError> {
        let key = HashKey::from_bytes(*Uuid::new_v4().as_bytes());
        let (mut publisher, view) = Publisher::new(key);
        let name: Name = ZONE_NAME.parse().expect("a domain name");
        let slot = publisher.add_zones([(ZoneId(1), name.clone())]).remove(0);
        publisher.publish(&slot, Arc::new(first_version(&name, key)));

        let history: Arc<Mutex<VecDeque<Diff>>> = Arc::default();
        let policy = Arc::new(Policy::default());
        let access = ZoneAccess {
            kind: Kind::Local,
            allow_transfer: Arc::new(["127.0.0.0/8".parse().expect("an access rule")]),
            ..ZoneAccess::default()
        };
        policy.set_zone(ZoneId(1), Arc::new(access));
        let (inbox, _) = inbox::inbox(1, Box::new(|| {}));
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let failed = |error| DaemonError::Listen { key: "the hidden primary", error };
        let options = net::Options { workers: 1, pin: false, ..net::Options::default() };
        let listeners = Listeners::bind(&[loopback], options).map_err(failed)?;
        let services = Services { view, policy, inbox, outbound: source(history.clone()) };
        let listeners = listeners.start(services, &tokio::runtime::Handle::current()).map_err(failed)?;
        let address = listeners.addresses()[0];
        Ok(HiddenPrimary { address, publisher, slot, history, _listeners: listeners })
    }

    /// Changes the zone again and again, and tells `secondary` of each change.
    async fn keep_changing(&self, secondary: SocketAddr) {
        let notifier = Notifier::default();
        loop {
            tokio::time::sleep(PACE).await;
            let old = self.slot.snapshot().expect("the zone was published at the start");
            let diff = next_change(&old, Timestamp::now());
            let (new, _) =
                zone::apply(&old, std::slice::from_ref(&diff)).expect("the difference was made from this version");
            let new = Arc::new(new);
            {
                let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
                history.push_back(diff);
                if history.len() > HISTORY {
                    history.pop_front();
                }
            }
            self.publisher.publish(&self.slot, new.clone());
            // The next change ends the repetitions of this one's NOTIFY.
            let _telling = notifier.announce(&new, vec![Downstream { address: secondary, key: None }]);
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

fn first_version(name: &Name, key: HashKey) -> Snapshot {
    let records = zonefile::parse(ZONE_TEXT, name).expect("a zone of the fixtures");
    let mut builder = Builder::new(name.clone(), key, Limits::default());
    for record in &records {
        builder.add(record.borrow()).expect("a record of the fixtures");
    }
    builder.finish(None).expect("a zone of the fixtures").0
}

/// The next serial, with the time in a TXT record.
fn next_change(old: &Snapshot, now: Timestamp) -> Diff {
    let before = old.soa_record();
    let mut after = before.clone();
    let serial = old.serial().plus(1);
    let serial_at = after.rdata.len() - 20;
    after.rdata[serial_at..serial_at + 4].copy_from_slice(&serial.0.to_be_bytes());
    let clock: Name = CLOCK.parse().expect("a domain name");
    const NO_SOA: &str = "a TXT record is no SOA";
    let mut diff = DiffBuilder::new(before.borrow());
    for old in old.records().filter(|record| record.owner == clock && record.rtype == RecordType::TXT) {
        diff.delete(old.borrow()).expect(NO_SOA);
    }
    let text = now.to_string();
    let rdata = [&[text.len() as u8][..], text.as_bytes()].concat();
    diff.add(Record { owner: clock, rtype: RecordType::TXT, ttl: 1, rdata: rdata.into() }.borrow()).expect(NO_SOA);
    diff.finish(after.borrow()).expect("both SOAs are of one zone")
}

/// What the primary sends: the zone as it is, and the differences since the secondary's serial.
fn source(history: Arc<Mutex<VecDeque<Diff>>>) -> OutboundSource {
    Arc::new(move |slot, since| {
        let snapshot = slot.snapshot();
        let diffs = since.map(|since| {
            let history = history.lock().unwrap_or_else(PoisonError::into_inner);
            history.iter().skip_while(|diff| diff.from_serial() != since).cloned().collect::<Vec<_>>()
        });
        Box::pin(
            async move { Some(OutboundData { snapshot: snapshot?, diffs: diffs.filter(|diffs| !diffs.is_empty()) }) },
        )
    })
}
