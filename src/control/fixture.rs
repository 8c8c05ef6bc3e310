//! A keeper without network, for tests of what it does with single events.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::definition::Origin as From;
use super::event::{Event, Form, Prepared};
use super::keeper::{Keeper, Parts};
use super::review::Judged;
use super::terms;
use super::zones::configured;
use crate::config::{Config, Origin, Primary, Zone};
use crate::dns::{Name, RecordType, Serial};
use crate::local::{Attributes, Draft, Edit, LocalZone, Surroundings, project};
use crate::net::Policy;
use crate::net::upstream::Upstream;
use crate::served::{Publisher, ZoneId, inbox};
use crate::store::{Options, Restored, Store};
use crate::time::Timestamp;
use crate::zone::{Builder, Findings, Limits, Snapshot};

/// What happens to a keeper.
pub(super) type Events = mpsc::UnboundedReceiver<Event>;

/// A keeper with the store in `config`'s state directory, and what is to be loaded from it.
pub(super) fn keeper_of(config: Config) -> (Keeper, Restored) {
    let (keeper, restored, _) = keeper_with_events(config);
    (keeper, restored)
}

/// The same with what happens to it, for [`settle`].
pub(super) fn keeper_with_events(config: Config) -> (Keeper, Restored, Events) {
    let (store, restored) = Store::open(&config.state_dir, Options::default()).expect("the store opens");
    let (publisher, _) = Publisher::new(store.hash_key());
    let (_, inbox) = inbox::inbox(1, Box::new(|| {}));
    let upstream = Arc::new(Upstream::new(terms::bounds(&config)));
    let policy = Arc::new(Policy::default());
    let parts = Parts { config: Arc::new(config), publisher, policy, inbox, store: Arc::new(store), give_way: || {} };
    let (sender, events) = mpsc::unbounded_channel();
    (Keeper::new(parts, upstream, Arc::default(), sender), restored, events)
}

/// Has the keeper deal with what happens until `is_done`. Timers and queues are not looked at.
pub(super) async fn settle(keeper: &mut Keeper, events: &mut Events, is_done: impl Fn(&Keeper) -> bool) {
    const LONG: std::time::Duration = std::time::Duration::from_secs(30);
    while !is_done(keeper) {
        let event = tokio::time::timeout(LONG, events.recv()).await.expect("something happens").expect("it listens");
        keeper.handle(event);
    }
}

/// The same with the default configuration.
pub(super) fn keeper(directory: &Path) -> Keeper {
    keeper_of(Config { state_dir: directory.to_owned(), ..Config::default() }).0
}

/// `example.com`, from 192.0.2.1.
pub(super) fn zone() -> Zone {
    Zone {
        name: apex(),
        primaries: [Primary::at(([192, 0, 2, 1], 53).into())].into(),
        allow_notify: [].into(),
        allow_transfer: [].into(),
        allow_query: None,
        notify: [].into(),
        policy: None,
        catalog: None,
        tenant: "1000".into(),
        origin: Origin { file: Path::new("/etc/a.toml").into(), line: 7 },
    }
}

fn apex() -> Name {
    "example.com".parse().expect("a name")
}

/// Its version with this serial.
pub(super) fn version(keeper: &Keeper, serial: u32) -> Arc<Snapshot> {
    let text = format!("@ SOA ns hostmaster {serial} 3600 600 86400 300\n@ NS ns.example.org.\n");
    let mut builder = Builder::new(apex(), keeper.store.hash_key(), Limits::default());
    let records = crate::dns::zonefile::parse(&text, &apex()).expect("a zone");
    records.iter().for_each(|record| builder.add(record.borrow()).expect("a record of the zone"));
    Arc::new(builder.finish(None).expect("a zone").0)
}

/// It, as a transfer brings it that began when `base` was the newest.
pub(super) fn prepared(keeper: &Keeper, serial: u32, base: Option<u32>) -> Prepared {
    Prepared {
        snapshot: version(keeper, serial),
        form: Form::Full(None),
        findings: Findings::default(),
        warnings: Vec::new(),
        base: base.map(Serial),
        judged: Judged::default(),
    }
}

/// Puts `example.com` with five addresses into memory, as a local zone with so many changes.
pub(super) fn add_local_zone(keeper: &mut Keeper, id: ZoneId) {
    let mname = "ns1.example.org".parse().expect("a name");
    let attributes = Attributes::new(&zone().name, mname);
    let mut definition = configured(&zone(), id, Timestamp::now());
    (definition.origin, definition.local) = (From::Rest, Some(Box::new(attributes.clone())));
    let empty = LocalZone::new(zone().name, attributes, Serial(7), []);
    let edits: Vec<Edit> =
        (0..5u8).map(|n| Edit::Add(Draft::new(zone().name, RecordType::A, &[192, 0, 2, n][..]))).collect();
    let mut around = Surroundings {
        now: Timestamp::now(),
        next_num: &mut keeper.local.next_num,
        fresh_id: &mut uuid::Uuid::new_v4,
        is_taken: &|_| false,
        ptr_elsewhere: &|_| None,
    };
    let filled = project(&empty, &edits, &mut around);
    assert!(filled.refused.is_empty());
    let snapshot = filled.zone.build(keeper.store.hash_key()).expect("a zone");
    keeper.add_local_zones(vec![(Arc::new(definition), Arc::new(filled.zone), Arc::new(snapshot))]);
}
