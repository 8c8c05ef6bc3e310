use super::super::fixture::{keeper, keeper_with_events, prepared, settle, zone};
use super::super::local::{LocalRefused, LocalRequest, NewLocal, Step};
use super::super::versions::Giver;
use super::*;

/// "An acknowledged edit survives a crash": what is written about a zone behind its removal would bring it back.
#[tokio::test]
async fn nothing_is_written_about_a_zone_that_is_being_removed() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut keeper = keeper(directory.path());
    let mut definition = zones::configured(&zone(), ZoneId(1), Timestamp::now());
    definition.origin = Origin::Rest;
    let (id, uuid) = (definition.id, definition.uuid);
    keeper.add_zones(vec![definition]);
    let (reply, mut removed) = oneshot::channel();
    // given a removal on its way to the disk
    keeper.command(Command::Remove(uuid, reply));
    assert!(removed.try_recv().is_err(), "not durable yet");
    let (reply, mut changed) = oneshot::channel();
    keeper.command(Command::Change(uuid, described("changed"), reply));
    assert!(changed.try_recv().is_err() && !keeper.changing.contains(&id), "whether it is there is not known yet");
    let giver = Giver::RolledBack { user: "admin".to_owned() };
    let version = prepared(&keeper, 1, None);
    assert!(keeper.commit(id, version, giver).is_err());
    // when it fails after all the zone is there as before, and the change is made
    let (reply, _) = oneshot::channel();
    keeper.written(Written::Removed(id, reply), Err("the disk is full".to_owned()));
    assert_eq!(keeper.editable(uuid).ok(), Some(id));
    assert!(keeper.changing.contains(&id));
}

fn described(text: &str) -> SecondaryChange {
    SecondaryChange { user: "admin".to_owned(), description: Some(text.to_owned()), primaries: None }
}

/// What a change leaves out stays, as the change before has left it: also while that one is on its way to the disk.
#[tokio::test(flavor = "multi_thread")]
async fn changes_of_one_zone_at_once_are_all_made() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut keeper, _, mut events) = keeper_with_events(config(directory.path(), Vec::new()));
    let mut definition = zones::configured(&zone(), ZoneId(1), Timestamp::now());
    definition.origin = Origin::Rest;
    let uuid = definition.uuid;
    keeper.add_zones(vec![definition]);
    // given a change of each part, and the removal, before the first is durable
    let primaries = vec![Primary {
        address: ([192, 0, 2, 9], 53).into(),
        ..keeper.zones[&ZoneId(1)].definition.primaries[0].clone()
    }];
    let other = SecondaryChange { user: "other".to_owned(), description: None, primaries: Some(primaries.clone()) };
    let replies = [described("mine"), other].map(|change| {
        let (reply, changed) = oneshot::channel();
        keeper.command(Command::Change(uuid, change, reply));
        changed
    });
    let (reply, removed) = oneshot::channel();
    keeper.command(Command::Remove(uuid, reply));
    // when they are
    settle(&mut keeper, &mut events, |keeper| keeper.zones.is_empty()).await;
    // then each begins where the one before has ended
    let [mine, other] = replies.map(|mut reply| reply.try_recv().expect("answered").expect("changed"));
    let definition = other.status().definition.clone();
    assert!(Arc::ptr_eq(&mine, &other));
    assert_eq!((&*definition.description, &definition.primaries[..]), ("mine", &primaries[..]));
    assert!(removed.await.expect("answered").is_ok());
}

fn config(directory: &std::path::Path, zones: Vec<config::Zone>) -> Config {
    Config { state_dir: directory.to_owned(), zones, ..Config::default() }
}

fn new_zone(name: &str, tenant: &str) -> NewSecondary {
    NewSecondary {
        uuid: None,
        name: name.parse().expect("a name"),
        tenant: tenant.to_owned(),
        user: "admin".to_owned(),
        description: String::new(),
        primaries: zones::configured(&zone(), ZoneId(1), Timestamp::now()).primaries.to_vec(),
    }
}

type Answer<T> = oneshot::Receiver<Result<T, EditError>>;

fn create(keeper: &mut Keeper, new: NewSecondary) -> Answer<Arc<ZoneView>> {
    let (reply, created) = oneshot::channel();
    keeper.command(Command::Create(new, reply));
    created
}

/// "Quota reached: 403", and "a zone at, below or above another tenant's zone is 409": whoever comes first, also if what it
/// makes is not durable yet.
#[tokio::test(flavor = "multi_thread")]
async fn a_zone_that_is_being_made_counts_already() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut config = config(directory.path(), Vec::new());
    config.quota.secondary_zones = 1;
    let (mut keeper, _, mut events) = keeper_with_events(config);
    // given a zone on its way to the disk
    let mut first = create(&mut keeper, new_zone("r.example", "1000"));
    assert!(first.try_recv().is_err());
    // then its name, its place and all around it are taken
    for (new, why) in [
        (new_zone("r.example", "2000"), EditError::NameTaken("r.example".parse().expect("a name"))),
        (new_zone("other.example", "1000"), EditError::Quota(1)),
    ] {
        assert_eq!(create(&mut keeper, new).try_recv().expect("at once").err(), Some(why));
    }
    for overlapping in ["sub.r.example", "example"] {
        let refused = create(&mut keeper, new_zone(overlapping, "2000")).try_recv().expect("at once");
        assert!(matches!(refused, Err(EditError::Overlaps { .. })), "{overlapping}");
    }
    // and all others are free
    let mut other = create(&mut keeper, new_zone("s.example", "2000"));
    settle(&mut keeper, &mut events, |keeper| keeper.zones.len() == 2).await;
    assert!(first.try_recv().is_ok_and(|made| made.is_ok()) && other.try_recv().is_ok_and(|made| made.is_ok()));
    // when one could not be stored it is as if it had never been
    let definition = keeper.create(new_zone("t.example", "3000")).expect("free");
    keeper.newcomers.begin(&definition);
    let (reply, _) = oneshot::channel();
    keeper.written(Written::Created(Box::new(definition), reply), Err("the disk is full".to_owned()));
    assert!(keeper.create(new_zone("t.example", "3000")).is_ok());
}

fn new_local(name: &str, tenant: &str) -> LocalRequest {
    let new = NewLocal {
        uuid: None,
        name: name.parse().expect("a name"),
        description: String::new(),
        attributes: Default::default(),
        edits: Vec::new(),
    };
    LocalRequest {
        tenant: tenant.to_owned(),
        user: "admin".to_owned(),
        name_servers: vec!["ns1.example.org".parse().expect("a name")],
        steps: vec![Step::Create(new)],
        keep_good: false,
        dry_run: false,
        mark: None,
    }
}

/// The same between zones that are edited here and zones that are transferred.
#[tokio::test(flavor = "multi_thread")]
async fn zones_of_both_kinds_that_are_made_at_once_do_not_overlap() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut keeper, _, mut events) = keeper_with_events(config(directory.path(), Vec::new()));
    let overlaps = |error: &EditError| matches!(error, EditError::Overlaps { .. });
    // given a local zone that may come to be, and a secondary one below it
    let (reply, mut local) = oneshot::channel();
    keeper.local(new_local("r.example", "1000"), reply);
    let mut secondary = create(&mut keeper, new_zone("sub.r.example", "2000"));
    assert!(secondary.try_recv().is_err(), "who knows what becomes of the other");
    settle(&mut keeper, &mut events, |keeper| keeper.waiting.is_empty()).await;
    // then the one that came first is made
    assert!(local.try_recv().expect("answered").is_ok());
    assert!(secondary.try_recv().expect("answered").as_ref().err().is_some_and(overlaps));
    // given a secondary zone on its way to the disk, and a local one below it
    let mut secondary = create(&mut keeper, new_zone("s.example", "2000"));
    let (reply, local) = oneshot::channel();
    keeper.local(new_local("sub.s.example", "1000"), reply);
    settle(&mut keeper, &mut events, |keeper| keeper.zones.len() == 1 && !keeper.local.is_busy()).await;
    // then again
    assert!(secondary.try_recv().expect("answered").is_ok());
    let refused = local.await.expect("answered");
    assert!(matches!(&refused, Err(LocalRefused::Zone { why, .. }) if overlaps(why)), "{refused:?}");
    // and a local zone that is not made stands in nobody's way
    let (reply, _) = oneshot::channel();
    keeper.local(LocalRequest { dry_run: true, ..new_local("t.example", "1000") }, reply);
    let mut secondary = create(&mut keeper, new_zone("sub.t.example", "2000"));
    settle(&mut keeper, &mut events, |keeper| keeper.zones.len() == 2).await;
    assert!(secondary.try_recv().expect("answered").is_ok());
}

/// PUT "replaces the zone, or makes it": which of both is to be known, so a request waits for the one before.
#[tokio::test(flavor = "multi_thread")]
async fn what_names_a_zone_that_is_being_made_waits_for_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut keeper, _, mut events) = keeper_with_events(config(directory.path(), Vec::new()));
    let uuid = Uuid::new_v4();
    let put = || NewSecondary { uuid: Some(uuid), ..new_zone("r.example", "1000") };
    // given a zone on its way to the disk, the same once more, its removal, and its creation after all
    let mut made = create(&mut keeper, put());
    let mut again = create(&mut keeper, put());
    let (reply, mut removed) = oneshot::channel();
    keeper.command(Command::Remove(uuid, reply));
    let mut anew = create(&mut keeper, put());
    // then each sees what the one before has left
    settle(&mut keeper, &mut events, |keeper| keeper.waiting.is_empty() && keeper.board.by_uuid(uuid).is_some()).await;
    assert!(made.try_recv().expect("answered").is_ok());
    assert!(matches!(again.try_recv().expect("answered"), Err(EditError::NameTaken(_) | EditError::IdTaken)));
    assert!(removed.try_recv().expect("answered").is_ok());
    assert!(anew.try_recv().expect("answered").is_ok());
}

/// "If the same name stands in the file too, the file wins, and the stored one is kept aside and reported."
#[tokio::test]
async fn a_zone_from_rest_comes_back_when_the_configuration_drops_its_name() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut keeper = keeper(directory.path());
    let mut definition = zones::configured(&zone(), ZoneId(1), Timestamp::now());
    (definition.origin, definition.uuid) = (Origin::Rest, Uuid::new_v4());
    definition.description = "mine".to_owned();
    let (uuid, name) = (definition.uuid, definition.name.clone());
    keeper.add_zones(vec![definition]);
    let served = prepared(&keeper, 7, None);
    keeper.commit(ZoneId(1), served, Giver::RolledBack { user: "admin".to_owned() }).expect("taken");
    // given the configuration's zone, with another primary, which goes on serving what was there
    let primaries = [config::Primary::at(([192, 0, 2, 2], 53).into())].into();
    keeper.reload(config(directory.path(), vec![config::Zone { primaries, ..zone() }]));
    let configured = keeper.board.by_name(&name).expect("the configuration's zone");
    assert_ne!(configured.id, ZoneId(1));
    assert!(configured.snapshot().is_some());
    // the numbering of another primary has nothing to do with the one served
    assert_eq!(keeper.zones[&configured.id].refresh.accept(), refresh::Accept::Any);
    assert!(keeper.board.by_uuid(uuid).is_none());
    assert!(keeper.is_id_aside(uuid), "nobody else can have its identity meanwhile");
    // what it serves is not on the disk under its own number yet
    assert_eq!(
        (keeper.zones[&configured.id].served, keeper.zones[&configured.id].stored),
        (Some(crate::dns::Serial(7)), None)
    );
    keeper.reload(config(directory.path(), Vec::new()));
    let back = keeper.board.by_uuid(uuid).expect("it is there again");
    assert_eq!((back.id, &*back.status().definition.description), (ZoneId(1), "mine"));
    assert!(keeper.aside.is_empty());
}

/// A name is "unique over the whole daemon, whoever owns it": nobody else can have that of a local zone whose name the
/// configuration took and dropped, and its contents are served again.
#[tokio::test]
async fn a_local_zone_comes_back_when_the_configuration_drops_its_name() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut keeper = keeper(directory.path());
    let mname = "ns1.example.org".parse().expect("a name");
    let attributes = crate::local::Attributes::new(&zone().name, mname);
    let mut definition = zones::configured(&zone(), ZoneId(1), Timestamp::now());
    (definition.origin, definition.local) = (Origin::Rest, Some(Box::new(attributes.clone())));
    let (uuid, name) = (definition.uuid, definition.name.clone());
    let local = crate::local::LocalZone::new(name.clone(), attributes, crate::dns::Serial(7), []);
    let snapshot = crate::control::fixture::version(&keeper, 7);
    keeper.add_local_zones(vec![(Arc::new(definition), Arc::new(local), snapshot)]);
    keeper.reload(config(directory.path(), vec![zone()]));
    assert!(!keeper.local.holds(keeper.board.by_name(&name).expect("the configuration's zone").id));
    keeper.reload(config(directory.path(), Vec::new()));
    let back = keeper.board.by_name(&name).expect("it is there again");
    assert_eq!((back.id, back.status().definition.uuid), (ZoneId(1), uuid));
    assert!(keeper.local.holds(back.id) && back.snapshot().is_some());
}
