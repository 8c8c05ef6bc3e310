//! Catalogs of our zones, by single events of a keeper without network.

use super::*;
use crate::config::{self, Config};
use crate::control::fixture::{Events, keeper_with_events, settle, zone};
use crate::zone::HashKey;

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn zone_named(text: &str, tenant: &str) -> config::Zone {
    config::Zone { name: name(text), tenant: tenant.into(), ..zone() }
}

fn config(directory: &std::path::Path, settings: &str, zones: Vec<config::Zone>) -> Config {
    let text = format!("[[catalog-zone]]\nname = \"cat\"\nallow-transfer = [\"192.0.2.7\"]\n{settings}");
    let read = Config::from_text(std::path::Path::new("test.toml"), &text).expect("a configuration");
    Config { state_dir: directory.to_owned(), zones, ..read }
}

/// Whatever is due is made, stored and served.
async fn make(keeper: &mut Keeper, events: &mut Events) {
    let later = Timestamp::now() + PAUSE_FAILED;
    keeper.make_catalogs(later);
    settle(keeper, events, |keeper| keeper.made.values().all(|made| !made.is_busy)).await;
}

fn served(keeper: &Keeper) -> Arc<Snapshot> {
    keeper.board.by_name(&name("cat")).expect("the catalog").snapshot().expect("it is served")
}

fn listed(keeper: &Keeper) -> Vec<String> {
    let catalog = catalog::read(&served(keeper)).expect("a catalog");
    let mut names: Vec<_> = catalog.keys().map(Name::without_dot).collect();
    names.sort();
    names
}

/// C4: what is served here is listed, and each change is a difference of what has changed.
#[tokio::test]
async fn a_catalog_lists_what_is_there_but_catalogs() {
    let directory = tempfile::tempdir().expect("a directory");
    let followed = config::Zone {
        catalog: Some(Arc::new(config::Catalog {
            allow: Vec::new(),
            members: config::Members {
                primaries: [].into(),
                allow_notify: [].into(),
                allow_transfer: [].into(),
                allow_query: None,
                notify: [].into(),
                policy: None,
                tenant: "1000".into(),
            },
            groups: BTreeMap::new(),
        })),
        ..zone_named("followed", "1000")
    };
    let zones = vec![zone_named("a.example", "1000"), zone_named("b.example", "2000"), followed];
    let (mut keeper, restored, mut events) = keeper_with_events(config(directory.path(), "group = \"g\"", zones));
    keeper.load(restored, || {});
    make(&mut keeper, &mut events).await;
    assert_eq!(listed(&keeper), ["a.example", "b.example"]);
    let first = served(&keeper);
    assert!(catalog::read(&first).expect("a catalog").values().all(|member| member.groups == ["g"]));
    // one more, one less
    let id = keeper.allocate_id();
    keeper.add_zones(vec![zones::configured(&zone_named("c.example", "1000"), id, Timestamp::now())]);
    let gone = keeper.board.by_name(&name("b.example")).expect("there").id;
    keeper.forget(HashSet::from([gone]));
    make(&mut keeper, &mut events).await;
    assert_eq!(listed(&keeper), ["a.example", "c.example"]);
    assert!(served(&keeper).serial().is_newer_than(first.serial()));
    let diffs = keeper.store.diffs_since(keeper.made.keys().next().expect("it").0, first.serial());
    let diffs = diffs.expect("the store reads").expect("kept");
    assert_eq!((diffs.len(), diffs[0].added().count(), diffs[0].deleted().count()), (1, 2, 2));
    // there and gone again between two versions
    keeper.list(&keeper.zones[&id].definition.clone());
    make(&mut keeper, &mut events).await;
    assert_eq!(served(&keeper).serial(), diffs[0].to_serial(), "nothing differs, nobody is told");
}

/// Who may transfer the catalog may transfer what it lists, and nothing else.
#[tokio::test]
async fn members_are_for_those_the_catalog_is_for() {
    let directory = tempfile::tempdir().expect("a directory");
    let zones = || vec![zone_named("a.example", "1000"), zone_named("b.example", "2000")];
    let settings = "tenants = [\"1000\"]\nnotify = [\"192.0.2.8\"]\n";
    let (mut keeper, restored, mut events) = keeper_with_events(config(directory.path(), settings, zones()));
    keeper.load(restored, || {});
    make(&mut keeper, &mut events).await;
    assert_eq!(listed(&keeper), ["a.example"]);
    let may = |keeper: &Keeper, zone: &str| {
        let view = keeper.board.by_name(&name(zone)).expect("there");
        let verdict = keeper.policy.zone(view.id).expect("rules").transfer([192, 0, 2, 7].into(), None);
        let told = keeper.zones.get(&view.id).map(|zone| keeper.downstreams_of(&zone.definition).len());
        (verdict == crate::access::Verdict::Allow, told)
    };
    assert_eq!(may(&keeper, "a.example"), (true, Some(1)));
    assert_eq!(may(&keeper, "b.example"), (false, Some(0)));
    assert_eq!(may(&keeper, "cat"), (true, None));
    // a reload says that it is for the zones of the other
    keeper.reload(config(directory.path(), "tenants = [\"2000\"]\n", zones()));
    make(&mut keeper, &mut events).await;
    assert_eq!(listed(&keeper), ["b.example"]);
    assert_eq!((may(&keeper, "a.example").0, may(&keeper, "b.example").0), (false, true));
    // and another that there is none
    keeper.reload(Config { state_dir: directory.path().to_owned(), zones: zones(), ..Config::default() });
    assert!(keeper.board.by_name(&name("cat")).is_none() && keeper.made.is_empty());
    assert!(!may(&keeper, "b.example").0);
}

/// A restart makes no version where nothing has changed, and goes on with the serials where something has.
#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_survives_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let with =
        |zones: &[&str]| config(directory.path(), "", zones.iter().map(|name| zone_named(name, "1000")).collect());
    let (mut keeper, restored, mut events) = keeper_with_events(with(&["a.example", "b.example"]));
    keeper.load(restored, || {});
    make(&mut keeper, &mut events).await;
    let (id, serial) = (*keeper.made.keys().next().expect("it"), served(&keeper).serial());
    keeper.store.close();
    let (mut keeper, restored, mut events) = keeper_with_events(with(&["a.example", "b.example"]));
    keeper.load(restored, || {});
    assert_eq!((served(&keeper).serial(), keeper.catalogs_due()), (serial, None));
    keeper.store.close();
    drop(events.try_recv());
    let (mut keeper, restored, mut events) = keeper_with_events(with(&["b.example", "c.example"]));
    keeper.load(restored, || {});
    assert_eq!(served(&keeper).serial(), serial, "as it was, until there is a new one");
    make(&mut keeper, &mut events).await;
    assert_eq!(
        (listed(&keeper), keeper.made.keys().next()),
        (vec!["b.example".to_owned(), "c.example".to_owned()], Some(&id))
    );
    assert!(served(&keeper).serial().is_newer_than(serial));
    keeper.store.close();
}

/// What is wanted is what the configuration says last, however fast it changes; and who may transfer may ask.
#[tokio::test]
async fn what_was_wanted_before_a_reload_is_not_listed_after_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let secret = config::Zone { allow_query: Some([].into()), ..zone_named("secret.example", "2000") };
    let zones = || vec![zone_named("a.example", "1000")];
    let (mut keeper, restored, mut events) = keeper_with_events(config(directory.path(), "", zones()));
    keeper.load(restored, || {});
    make(&mut keeper, &mut events).await;
    let first = served(&keeper).serial();
    keeper.reload(config(directory.path(), "group = \"b\"", [zones(), vec![secret.clone()]].concat()));
    let view = keeper.board.by_name(&name("secret.example")).expect("there");
    let access = keeper.policy.zone(view.id).expect("rules");
    let peer = |last| std::net::IpAddr::from([192, 0, 2, last]);
    assert_eq!(access.query(peer(7), None), crate::access::Verdict::Allow);
    assert_ne!(access.query(peer(9), None), crate::access::Verdict::Allow);
    keeper.reload(config(directory.path(), "tenants = [\"1000\"]", [zones(), vec![secret]].concat()));
    make(&mut keeper, &mut events).await;
    assert_eq!((listed(&keeper), served(&keeper).serial()), (vec!["a.example".to_owned()], first));
    // a clock that goes back holds nothing up
    keeper.made.values_mut().for_each(|made| made.due = Timestamp::now() + Duration::from_secs(3600));
    keeper.catalogs_are_due(Timestamp::now());
    keeper.list(&Arc::new(zones::configured(&zone_named("b.example", "1000"), ZoneId(5), Timestamp::now())));
    assert!(keeper.catalogs_due().expect("work") <= Timestamp::now() + PAUSE);
}

/// The name of a member, or of a catalog that was followed: the configuration wins, and nothing of the other is listed.
#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_of_ours_takes_the_name_of_others_and_nothing_else() {
    let directory = tempfile::tempdir().expect("a directory");
    let state_dir = directory.path().to_owned();
    {
        let foreign = vec![zone_named("cat", "1000")];
        let (mut keeper, restored, _) = keeper_with_events(Config { state_dir, zones: foreign, ..Config::default() });
        keeper.load(restored, || {});
        let id = keeper.board.by_name(&name("cat")).expect("there").id;
        let listing = |text: &str| Some(Listing { label: text.as_bytes().into(), group: None });
        let first = catalog::first_version(&name("cat"), keeper.store.hash_key(), Serial(7)).expect("a zone");
        let changes = [(name("foreign.example"), listing("foreign"))].into();
        let (snapshot, _) =
            catalog::next_version(&first, &BTreeMap::new(), &changes, Serial(8)).expect("a zone").expect("new");
        let snapshot = Arc::new(snapshot);
        keeper.store.submit(Write::Replace { zone: id.0, snapshot, diff: None }, Box::new(|_| {}));
        keeper.store.close();
    }
    let ours = |zones| config(directory.path(), "", zones);
    let (mut keeper, restored, mut events) = keeper_with_events(ours(vec![zone_named("a.example", "1000")]));
    keeper.load(restored, || {});
    make(&mut keeper, &mut events).await;
    assert_eq!(listed(&keeper), ["a.example"], "what somebody else listed is not ours");
    keeper.store.close();
}

#[test]
fn serials_follow_the_clock_and_never_go_back() {
    let now = Timestamp::from_secs(1_800_000_000);
    assert_eq!(next_serial(Serial(5), now), Serial(1_800_000_000));
    assert_eq!(next_serial(Serial(1_800_000_000), now), Serial(1_800_000_001));
    assert_eq!(next_serial(Serial(u32::MAX), Timestamp::from_secs(10)), Serial(10), "RFC 1982");
    let key = HashKey::from_bytes([1; 16]);
    assert!(catalog::first_version(&name("cat"), key, Serial(1)).is_ok());
}
