//! Catalogs that are followed, and catalogs that are made here.

use super::*;

fn followed(settings: &str) -> String {
    format!(
        "[tsig-key.t]\nsecret = \"c2VjcmV0\"\n[[secondary-zone]]\nname = \"cat.example\"\nprimaries = [\"192.0.2.1\"]\n\
         allow-transfer = [\"192.0.2.7\"]\nnotify = [\"192.0.2.8\"]\ntenant = \"1000\"\n{settings}"
    )
}

/// The simplest catalog: its members are what it is itself, but that everybody may ask for them.
#[test]
fn members_are_as_their_catalog_unless_something_else_is_said() {
    let catalog = |settings: &str| {
        let mut config = config(&followed(settings));
        let zone = config.zones.remove(0);
        (zone.catalog.clone().expect("a catalog"), zone)
    };
    let (one, zone) = catalog("catalog = {}\n");
    assert_eq!((&one.members.primaries, &one.members.notify), (&zone.primaries, &zone.notify));
    assert_eq!((&one.members.allow_transfer, &*one.members.tenant), (&zone.allow_transfer, "1000"));
    assert_eq!(one.members.allow_query, None);
    assert!(one.allows(&"anything.at.all".parse().expect("a name")));

    let (two, _) = catalog(
        "[secondary-zone.catalog]\nallow = [\"example.com\"]\n[secondary-zone.catalog.members]\n\
         primaries = [\"192.0.2.2\"]\ntsig-key = \"t\"\nallow-transfer = []\n\
         [secondary-zone.catalog.group.signed]\nguard = { lapsed = \"refuse\" }\ntenant = \"2000\"\n",
    );
    let (group, settings) = two.settings(&["other".to_owned(), "signed".to_owned()]);
    assert_eq!((group, &*settings.tenant), (Some("signed"), "2000"));
    assert_eq!(settings.primaries, two.members.primaries, "a group says what is different");
    assert!(two.members.primaries[0].tsig_key.is_some() && settings.allow_transfer.is_empty());
    assert_eq!(two.settings(&[]).0, None);
    let allows = |name: &str| two.allows(&name.parse().expect("a name"));
    assert!(allows("example.com") && allows("a.b.example.com") && !allows("example.org"));
}

/// RFC 9432 §7: who reads a catalog knows every customer. And losing most of it at once loses most of the zones.
#[test]
fn a_catalog_is_private_and_guarded_unless_something_else_is_said() {
    let zone = |settings: &str| config(&followed(settings)).zones.remove(0);
    let guard =
        |zone: &Zone| Guard::default().with(&zone.policy.as_ref().map(|policy| policy.guard).unwrap_or_default());
    let plain = zone("");
    assert_eq!((&plain.allow_query, guard(&plain).shrink_percent), (&None, None));
    let catalog = zone("catalog = {}\n");
    assert_eq!(catalog.allow_query.as_ref(), Some(&catalog.allow_transfer));
    assert_eq!((guard(&catalog).shrink_percent, guard(&catalog).shrink_records_min), (Some(50), 20));
    let own = zone("allow-query = []\nguard = { shrink-percent = 100 }\ncatalog = {}\n");
    assert_eq!((own.allow_query.as_deref(), guard(&own).shrink_percent), (Some(&[][..]), Some(100)));
}

#[test]
fn mistakes_in_catalogs_are_told_with_their_lines() {
    let wrong = |settings: &str| errors(&followed(settings)).join("\n");
    let line = "test.toml:9: secondary-zone.catalog";
    assert!(wrong("catalog = { allow = [\"a..b\"] }").starts_with(&format!("{line}.allow: ")));
    assert!(wrong("catalog = { members = { tsig-key = \"t\" } }").starts_with(&format!("{line}.tsig-key: is for")));
    assert!(wrong("catalog = { members = { primaries = [] } }").contains("at least one primary"));
    assert!(wrong("catalog = { members = { tenant = \"a b\" } }").starts_with(&format!("{line}.tenant: ")));
    assert!(wrong("catalog = { member = {} }").contains("unknown key `member`"));
    assert!(wrong("catalog = { group = { \"\" = {} } }").contains("1 to 255 octets"));
    let made = "[[catalog-zone]]\nname = \"zones.example\"\n";
    assert_error(&format!("{made}notify = [\"192.0.2.1 key:no\"]"), "test.toml:3: catalog-zone.notify: ", &["no"]);
    let long = format!("[[catalog-zone]]\nname = \"{0}.{0}.{0}.{0}\"\n", "l".repeat(60));
    assert_error(&long, "test.toml:2: catalog-zone.name: ", &["at most 210 octets"]);
    assert_error(&format!("{made}group = \"\""), "test.toml:3: catalog-zone.group: ", &["1 to 255"]);
    assert_error(&format!("{made}{made}"), "test.toml:4: catalog-zone.name: ", &["test.toml:1"]);
    let zone = "[[secondary-zone]]\nname = \"zones.example\"\nprimaries = [\"192.0.2.1\"]\n";
    assert_error(&format!("{made}{zone}"), "test.toml:2: catalog-zone.name: ", &["test.toml:3"]);
}

#[test]
fn a_catalog_that_is_made_is_for_those_who_may_transfer_it() {
    let catalog = |more: &str| {
        let text = format!("[[catalog-zone]]\nname = \"zones.example.\"\nallow-transfer = [\"192.0.2.7\"]\n{more}");
        config(&text).catalogs.remove(0)
    };
    let plain = catalog("");
    assert_eq!((&plain.allow_query, &*plain.tenant), (&plain.allow_transfer, DEFAULT_TENANT));
    assert!(plain.lists_zones_of("1000") && plain.lists_zones_of("2000"));
    // who sees it sees the names of all zones
    let of = |tenant: &str| {
        format!("[[api.credential]]\ntenant = \"{tenant}\"\nuser = \"u\"\nrole = \"admin\"\ntoken = \"{tenant}\"\n")
    };
    assert_eq!(&*catalog(&of("1000")).tenant, "1000");
    assert_eq!(&*catalog(&(of("1000") + &of("2000"))).tenant, "");
    let some = catalog("tenants = [\"1000\"]\nallow-query = []\ntenant = \"2000\"");
    assert!(some.lists_zones_of("1000") && !some.lists_zones_of("2000") && some.allow_query.is_empty());
    let (old, new) = (config(""), Config { catalogs: vec![some], ..config("") });
    assert_eq!(difference(&old, &new).settings_changed, ["catalog-zone"]);
    assert!(difference(&new, &new).is_empty());
}
