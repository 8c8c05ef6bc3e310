//! Members come, go and change with their catalogs, by single events of a keeper without network.

use super::*;
use crate::config::{self, Config};
use crate::control::fixture::{keeper, keeper_of, zone};
use crate::control::zones::configured;
use crate::dns::zonefile;
use crate::zone::{Builder, Limits};

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

/// A zone of the configuration that is a catalog; `settings` are the lines of its `[secondary-zone.catalog]`.
fn catalog_zone(name: &str, settings: &str) -> config::Zone {
    let text = format!(
        "[[secondary-zone]]\nname = \"{name}\"\nprimaries = [\"192.0.2.1\"]\n[secondary-zone.catalog]\n{settings}"
    );
    Config::from_text(std::path::Path::new("test.toml"), &text).expect("a configuration").zones.remove(0)
}

/// Puts the catalog into memory, with nothing in it yet.
fn add_catalog(keeper: &mut Keeper, zone: &config::Zone) -> ZoneId {
    let id = keeper.allocate_id();
    keeper.add_zones(vec![configured(zone, id, Timestamp::now())]);
    id
}

/// Members as pairs of label and name, with what stands behind in zone-file lines.
fn listing(keeper: &Keeper, apex: &str, serial: u32, lines: &str) -> Arc<Snapshot> {
    let apex = name(apex);
    let text =
        format!("@ 0 SOA invalid. invalid. {serial} 3600 600 86400 0\n@ 0 NS invalid.\nversion 0 TXT 2\n{lines}");
    let mut builder = Builder::new(apex.clone(), keeper.store.hash_key(), Limits::default());
    for record in zonefile::parse(text, &apex).expect("records") {
        builder.add(record.borrow()).expect("a record");
    }
    Arc::new(builder.finish(None).expect("a zone").0)
}

/// A version of the catalog comes: read as it would be, and carried out to the end.
fn comes(keeper: &mut Keeper, id: ZoneId, apex: &str, serial: u32, lines: &str) {
    let version = listing(keeper, apex, serial, lines);
    let followed = keeper.zones[&id].followed.as_deref().expect("it is followed");
    let (before, number) = (followed.done.clone(), followed.number);
    let outcome = catalog::changes(before.as_deref(), &version).map_err(broken);
    keeper.catalog_read(Reading { catalog: id, number, version, outcome });
    while keeper.go_on_with_members() {}
    if keeper.has_free_names {
        keeper.take_left_out();
    }
}

fn owner(keeper: &Keeper, zone: &str) -> Option<String> {
    keeper.board.by_name(&name(zone)).and_then(|view| view.status().definition.origin.place())
}

fn number(keeper: &Keeper, zone: &str) -> ZoneId {
    keeper.board.by_name(&name(zone)).expect("it is there").id
}

fn warnings(keeper: &Keeper, id: ZoneId) -> Vec<String> {
    keeper.zones[&id].view.status().remarks.warnings.clone()
}

/// RFC 9432 §5: members come, go, and start anew with another label; nothing else is touched.
#[tokio::test]
async fn members_become_zones_and_go_with_their_catalog() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut keeper = keeper(directory.path());
    let id = add_catalog(&mut keeper, &catalog_zone("cat", ""));
    comes(&mut keeper, id, "cat", 1, "1.zones 0 PTR a.example.\n2.zones 0 PTR b.example.\n");
    let (a, b) = (number(&keeper, "a.example"), number(&keeper, "b.example"));
    assert_eq!(owner(&keeper, "a.example").as_deref(), Some("catalog cat"));
    assert_eq!(keeper.zones[&a].definition.primaries[0].address.ip().to_string(), "192.0.2.1");
    comes(&mut keeper, id, "cat", 2, "1.zones 0 PTR a.example.\n3.zones 0 PTR b.example.\n4.zones 0 PTR c.example.\n");
    assert_eq!(number(&keeper, "a.example"), a, "it is as it was");
    assert_ne!(number(&keeper, "b.example"), b, "\"its associated state MUST be reset\" (§5.4)");
    let listed = keeper.zones[&id].view.status().remarks.catalog.expect("a catalog");
    assert_eq!((listed.members, listed.left_out), (3, 0));
    comes(&mut keeper, id, "cat", 3, "4.zones 0 PTR c.example.\n");
    assert_eq!((owner(&keeper, "a.example"), owner(&keeper, "b.example")), (None, None));
    assert!(owner(&keeper, "c.example").is_some());
    // the catalog is no longer configured
    keeper.forget(HashSet::from([id]));
    assert!(keeper.zones.is_empty() && keeper.members.values().all(|count| *count == 0));
}

/// "a catalog zone that is broken MUST NOT be processed" (RFC 9432 §5.1), and it is told.
#[tokio::test]
async fn a_broken_catalog_changes_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut keeper = keeper(directory.path());
    let id = add_catalog(&mut keeper, &catalog_zone("cat", ""));
    comes(&mut keeper, id, "cat", 1, "1.zones 0 PTR a.example.\n");
    comes(&mut keeper, id, "cat", 2, "version 0 TXT 3\n2.zones 0 PTR b.example.\n");
    assert!(owner(&keeper, "a.example").is_some() && owner(&keeper, "b.example").is_none());
    assert!(warnings(&keeper, id)[0].starts_with("CATALOG_BROKEN"), "{:?}", warnings(&keeper, id));
    // listed twice, once where nothing has changed
    comes(&mut keeper, id, "cat", 3, "1.zones 0 PTR a.example.\n2.zones 0 PTR a.example.\n");
    assert!(warnings(&keeper, id)[0].contains("a.example. is listed twice"), "{:?}", warnings(&keeper, id));
    comes(&mut keeper, id, "cat", 4, "2.zones 0 PTR b.example.\n");
    assert!(owner(&keeper, "a.example").is_none() && owner(&keeper, "b.example").is_some());
    assert_eq!(warnings(&keeper, id), [""; 0]);
}

/// "In case of a name clash the existing zone is kept as it is" (§5.2): whoever was there first, until he goes.
#[tokio::test]
async fn a_name_that_is_taken_is_left_out_and_taken_when_it_is_free() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut keeper = keeper(directory.path());
    let configured_id = keeper.allocate_id();
    keeper.add_zones(vec![configured(&zone(), configured_id, Timestamp::now())]);
    let one = add_catalog(&mut keeper, &catalog_zone("one", "allow = [\"com\", \"net\"]"));
    let two = add_catalog(&mut keeper, &catalog_zone("two", ""));
    comes(&mut keeper, one, "one", 1, "1.zones 0 PTR example.com.\n2.zones 0 PTR a.net.\n3.zones 0 PTR a.org.\n");
    comes(&mut keeper, two, "two", 1, "1.zones 0 PTR a.net.\n2.zones 0 PTR one.\n");
    assert_eq!(owner(&keeper, "example.com").as_deref(), Some("/etc/a.toml:7"));
    assert_eq!(owner(&keeper, "a.net").as_deref(), Some("catalog one"));
    assert!(owner(&keeper, "a.org").is_none(), "allow does not have it");
    let told = warnings(&keeper, one).join("\n");
    assert!(
        told.starts_with("2 members are not taken") && told.contains("a.org (not at") && told.contains("/etc/a.toml:7"),
        "{told}"
    );
    assert!(
        warnings(&keeper, two)[0].contains("a.net (the name belongs to catalog one)"),
        "{:?}",
        warnings(&keeper, two)
    );
    // the other one is gone
    keeper.forget(HashSet::from([configured_id]));
    comes(&mut keeper, one, "one", 2, "1.zones 0 PTR example.com.\n");
    assert_eq!(owner(&keeper, "example.com").as_deref(), Some("catalog one"));
    assert_eq!(owner(&keeper, "a.net").as_deref(), Some("catalog two"));
}

/// RFC 9432 §4.3.1: a zone goes over when the one catalog lets it go and the other has it, in whatever order that comes.
#[tokio::test]
async fn a_change_of_ownership_keeps_the_zone() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut keeper = keeper(directory.path());
    let one = add_catalog(&mut keeper, &catalog_zone("one", ""));
    let two =
        add_catalog(&mut keeper, &catalog_zone("two", "[secondary-zone.catalog.members]\nprimaries = [\"192.0.2.2\"]"));
    comes(&mut keeper, one, "one", 1, "1.zones 0 PTR a.example.\n2.zones 0 PTR b.example.\n");
    comes(&mut keeper, two, "two", 1, "1.zones 0 PTR a.example.\n9.zones 0 PTR b.example.\n");
    let (a, b) = (number(&keeper, "a.example"), number(&keeper, "b.example"));
    assert_eq!(owner(&keeper, "a.example").as_deref(), Some("catalog one"), "it was not let go");
    comes(
        &mut keeper,
        one,
        "one",
        2,
        "1.zones 0 PTR a.example.\ncoo.1.zones 0 PTR two.\n2.zones 0 PTR b.example.\ncoo.2.zones 0 PTR two.\n",
    );
    assert_eq!(owner(&keeper, "a.example").as_deref(), Some("catalog two"));
    assert_eq!(number(&keeper, "a.example"), a, "the same label: the same zone");
    assert_eq!(keeper.zones[&a].definition.primaries[0].address.ip().to_string(), "192.0.2.2");
    assert_ne!(number(&keeper, "b.example"), b, "another label: it starts anew");
    assert!(warnings(&keeper, one)[0].contains("belongs to catalog two"), "{:?}", warnings(&keeper, one));
    // the old owner lets go of what is no longer his
    comes(&mut keeper, one, "one", 3, "");
    assert_eq!(number(&keeper, "a.example"), a);
    let members = |keeper: &Keeper, id| keeper.zones[&id].view.status().remarks.catalog.map(|listed| listed.members);
    assert_eq!((members(&keeper, one), members(&keeper, two)), (Some(0), Some(2)));
}

/// "`group` selects a template" (§4.3.2), also when it is given later; a reload gives members their new settings.
#[tokio::test]
async fn members_have_the_settings_of_their_group() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut keeper = keeper(directory.path());
    let groups = "[secondary-zone.catalog.group.east]\nprimaries = [\"192.0.2.7\"]\ntenant = \"east\"\n";
    let zone = catalog_zone("cat", groups);
    let id = add_catalog(&mut keeper, &zone);
    comes(&mut keeper, id, "cat", 1, "1.zones 0 PTR a.example.\ngroup.1.zones 0 TXT east\n2.zones 0 PTR b.example.\n");
    let settings = |keeper: &Keeper, zone: &str| {
        let definition = keeper.zones[&number(keeper, zone)].definition.clone();
        (definition.primaries[0].address.ip().to_string(), definition.tenant.to_string())
    };
    assert_eq!(settings(&keeper, "a.example"), ("192.0.2.7".to_owned(), "east".to_owned()));
    assert_eq!(settings(&keeper, "b.example").0, "192.0.2.1");
    let (a, b) = (number(&keeper, "a.example"), number(&keeper, "b.example"));
    comes(&mut keeper, id, "cat", 2, "1.zones 0 PTR a.example.\n2.zones 0 PTR b.example.\ngroup.2.zones 0 TXT east\n");
    assert_eq!(
        (settings(&keeper, "a.example").0, settings(&keeper, "b.example").0),
        ("192.0.2.1".to_owned(), "192.0.2.7".to_owned())
    );
    let config = |zone| Config { state_dir: directory.path().to_owned(), zones: vec![zone], ..Config::default() };
    keeper.reload(config(catalog_zone("cat", &groups.replace("192.0.2.7", "192.0.2.8"))));
    assert_eq!(settings(&keeper, "b.example").0, "192.0.2.8");
    assert_eq!((number(&keeper, "a.example"), number(&keeper, "b.example")), (a, b));
    keeper.reload(config(catalog_zone("cat", "allow = [\"a.example\"]")));
    keeper.take_left_out();
    assert!(owner(&keeper, "a.example").is_some() && owner(&keeper, "b.example").is_none());
    // the configuration takes a member, which goes on, and gives it back
    let own = config::Zone { name: name("a.example"), ..self::zone() };
    let cat = || catalog_zone("cat", "allow = [\"a.example\"]");
    keeper.reload(Config { zones: vec![cat(), own], ..config(cat()) });
    assert_eq!((owner(&keeper, "a.example").as_deref(), number(&keeper, "a.example")), (Some("/etc/a.toml:7"), a));
    keeper.reload(config(cat()));
    assert_eq!((owner(&keeper, "a.example").as_deref(), number(&keeper, "a.example")), (Some("catalog cat"), a));
    // no catalog any more
    keeper.reload(config(config::Zone { catalog: None, ..catalog_zone("cat", "") }));
    assert_eq!(keeper.zones.keys().collect::<Vec<_>>(), [&id]);
}

/// Members are there again after a restart without their catalog's primary, and what the catalog has lost is gone (C5: a
/// catalog may be as old as it wants).
#[tokio::test(flavor = "multi_thread")]
async fn members_survive_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = |name: &str| Config {
        state_dir: directory.path().to_owned(),
        zones: vec![catalog_zone(name, "")],
        ..Config::default()
    };
    let (a, catalog_id) = {
        let (mut keeper, restored) = keeper_of(config("cat"));
        keeper.load(restored, || {});
        let id = number(&keeper, "cat");
        comes(&mut keeper, id, "cat", 1, "1.zones 0 PTR a.example.\n2.zones 0 PTR b.example.\n");
        // what is stored of the catalog is newer: it was killed in between
        let snapshot = listing(&keeper, "cat", 2, "1.zones 0 PTR a.example.\n");
        keeper.store.submit(Write::Replace { zone: id.0, snapshot, diff: None }, Box::new(|_| {}));
        keeper.store.close();
        (number(&keeper, "a.example"), id)
    };
    let (mut keeper, restored) = keeper_of(config("cat"));
    keeper.load(restored, || {});
    assert_eq!((number(&keeper, "a.example"), number(&keeper, "cat")), (a, catalog_id));
    assert!(owner(&keeper, "b.example").is_some(), "until the catalog has been read");
    comes(&mut keeper, catalog_id, "cat", 2, "1.zones 0 PTR a.example.\n");
    assert!(owner(&keeper, "b.example").is_none());
    keeper.store.close();
    // a configuration without the catalog: its members are not served
    let (mut keeper, restored) = keeper_of(config("other"));
    keeper.load(restored, || {});
    assert!(owner(&keeper, "a.example").is_none());
    keeper.store.close();
}

/// Who goes to the file and who comes back from it keeps what he serves; and no name is made twice on the way.
#[tokio::test]
async fn a_reload_that_turns_members_into_zones_of_the_file_keeps_them() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut keeper = keeper(directory.path());
    let config =
        |zones: Vec<config::Zone>| Config { state_dir: directory.path().to_owned(), zones, ..Config::default() };
    let own = |text: &str| config::Zone { name: name(text), ..zone() };
    let id = add_catalog(&mut keeper, &catalog_zone("cat", ""));
    let lines = "1.zones 0 PTR a.example.\n2.zones 0 PTR b.example.\n3.zones 0 PTR c.example.\n";
    comes(&mut keeper, id, "cat", 1, lines);
    let (a, b) = (number(&keeper, "a.example"), number(&keeper, "b.example"));
    // two of them stand in the file, and the catalog goes with the third
    keeper.reload(config(vec![own("a.example"), own("b.example")]));
    assert_eq!((number(&keeper, "a.example"), number(&keeper, "b.example")), (a, b));
    assert_eq!(keeper.zones.len(), 2);
    // one of them is given back to a catalog that lists it
    keeper.reload(config(vec![own("a.example"), own("b.example"), catalog_zone("cat", "")]));
    let id = number(&keeper, "cat");
    comes(&mut keeper, id, "cat", 1, lines);
    keeper.reload(config(vec![own("a.example"), catalog_zone("cat", "")]));
    assert_eq!((number(&keeper, "b.example"), owner(&keeper, "b.example").as_deref()), (b, Some("catalog cat")));
    // a reload that adds a zone and lets it come by the catalog, too
    keeper.reload(config(vec![own("a.example"), catalog_zone("cat", "allow = [\"a.example\"]")]));
    keeper.take_left_out();
    assert!(owner(&keeper, "c.example").is_none());
    keeper.reload(config(vec![own("a.example"), catalog_zone("cat", ""), own("c.example")]));
    keeper.take_left_out();
    assert_eq!(owner(&keeper, "c.example").as_deref(), Some("/etc/a.toml:7"));
    let names: Vec<_> = keeper.zones.values().map(|zone| zone.definition.name.clone()).collect();
    assert_eq!(names.len(), names.iter().collect::<HashSet<_>>().len(), "each name once: {names:?}");
}

/// A version that was read for a catalog that has been none meanwhile says nothing of the one that is one again.
#[tokio::test]
async fn a_reading_of_an_earlier_life_counts_for_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut keeper = keeper(directory.path());
    let id = add_catalog(&mut keeper, &catalog_zone("cat", ""));
    comes(&mut keeper, id, "cat", 1, "1.zones 0 PTR a.example.\n");
    let number = keeper.zones[&id].followed.as_ref().expect("followed").number;
    let config = |zone| Config { state_dir: directory.path().to_owned(), zones: vec![zone], ..Config::default() };
    keeper.reload(config(config::Zone { catalog: None, ..catalog_zone("cat", "") }));
    keeper.reload(config(catalog_zone("cat", "")));
    let version = listing(&keeper, "cat", 2, "1.zones 0 PTR a.example.\n2.zones 0 PTR b.example.\n");
    let joined = catalog::read(&version).expect("a catalog")[&name("b.example")].clone();
    keeper.catalog_read(Reading { catalog: id, number, version, outcome: Ok(vec![Change::Joined(joined)]) });
    assert!(owner(&keeper, "b.example").is_none());
    comes(&mut keeper, id, "cat", 2, "1.zones 0 PTR a.example.\n2.zones 0 PTR b.example.\n");
    assert!(owner(&keeper, "a.example").is_some() && owner(&keeper, "b.example").is_some());
}

/// RFC 9432 §7: what may not come is not served, also where that was said while nobody looked.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_longer_allowed_is_gone_after_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = |allow: &str| Config {
        state_dir: directory.path().to_owned(),
        zones: vec![catalog_zone("cat", allow)],
        ..Config::default()
    };
    let lines = "1.zones 0 PTR a.example.\n2.zones 0 PTR b.example.\n";
    let b = {
        let (mut keeper, restored) = keeper_of(config(""));
        keeper.load(restored, || {});
        let id = number(&keeper, "cat");
        comes(&mut keeper, id, "cat", 1, lines);
        keeper.store.close();
        number(&keeper, "b.example")
    };
    let (mut keeper, restored) = keeper_of(config("allow = [\"a.example\"]"));
    keeper.load(restored, || {});
    assert!(owner(&keeper, "a.example").is_some() && owner(&keeper, "b.example").is_none());
    let id = number(&keeper, "cat");
    comes(&mut keeper, id, "cat", 1, lines);
    assert!(warnings(&keeper, id)[0].starts_with("a member is not taken: b.example (not at"));
    keeper.store.close();
    // and what it had been is not there when it may come again
    let (mut keeper, restored) = keeper_of(config(""));
    keeper.load(restored, || {});
    let id = number(&keeper, "cat");
    comes(&mut keeper, id, "cat", 1, lines);
    assert_ne!(number(&keeper, "b.example"), b);
    keeper.store.close();
}
