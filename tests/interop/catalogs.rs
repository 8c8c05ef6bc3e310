//! Catalog zones (RFC 9432): our list of zones, followed by others, and the lists of others, followed by us.

use crate::daemon::{Entry, Secondaryd};
use crate::peer::{GROUP, Program, Setup};
use crate::wait::{self, SOON};
use crate::zones;

const CATALOG: &str = "zones.catalog.example";

/// One line at each server below leads to every zone of ours, now and later: "a fleet hangs behind one node by DNS's own
/// replication". A zone that comes by REST is served everywhere, and one that goes is served nowhere.
#[test]
fn servers_below_us_follow_the_catalog_of_our_zones() {
    if !Program::Knot.is_installed() {
        return;
    }
    let names = ["one.example", "two.example", "three.example"];
    let zones: Vec<_> = names.iter().map(|name| zones::small(name, 1)).collect();
    let upper = Setup::primary(Program::Knot).start(&zones);
    let ours = Secondaryd::reserve();
    let below = Secondaryd::reserve();
    let others: Vec<Setup> = [Program::Knot, Program::Bind]
        .into_iter()
        .filter(|program| program.is_installed())
        .map(|program| Setup::secondary(program, ours.address()).with_catalog(CATALOG))
        .collect();
    let downstreams = others.iter().map(|setup| setup.listen).chain([below.address()]);
    let notify: Vec<String> = downstreams.map(|address| format!("{:?}", address.to_string())).collect();
    let tables = format!(
        "[[catalog-zone]]\nname = \"{CATALOG}\"\nallow-transfer = [\"127.0.0.0/8\"]\nnotify = [{}]\n",
        notify.join(", ")
    );
    let entry = |name: &str| Entry::new(name, &[upper.address()]);
    let ours = ours.with_tables(&tables).with_zone(entry(names[0])).with_zone(entry(names[1])).started();
    names[..2].iter().for_each(|name| ours.dns.wait_serial(name, 1, SOON));

    let below = below
        .with_zone(Entry {
            settings: "catalog = {}\nallow-notify = [\"127.0.0.0/8\"]\n".to_owned(),
            ..Entry::new(CATALOG, &[ours.address()])
        })
        .started();
    let others: Vec<_> = others
        .into_iter()
        .map(|setup| {
            let mut peer = setup.prepare(&[]);
            peer.launch();
            peer
        })
        .collect();
    let everywhere = || others.iter().map(|peer| &peer.dns).chain([&below.dns]);
    for dns in everywhere() {
        names[..2].iter().for_each(|name| dns.wait_serial(name, 1, SOON * 3));
    }

    // a zone that comes
    let added = ours.ctl(&["add", names[2], "--primary", &upper.address().to_string()]);
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    everywhere().for_each(|dns| dns.wait_serial(names[2], 1, SOON * 3));
    // and one that goes, over two steps
    let removed = ours.ctl(&["remove", names[2]]);
    assert!(removed.status.success(), "{}", String::from_utf8_lossy(&removed.stderr));
    for dns in everywhere() {
        wait::until_true("it is not served any more", SOON * 3, || dns.serial(names[2]).is_none());
        assert_eq!(dns.serial(names[0]), Some(1), "the others are");
    }
    let shown = below.ctl(&["zone", CATALOG]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("catalog of 2 zones here"), "{shown}");
    // of ours it says where it comes from, and that there is nobody to ask
    let explained = ours.ctl(&["explain", CATALOG]);
    let explained = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert!(explained.contains("is a catalog of 2 zones that is made here"), "{explained}");
    let asked = ours.ctl(&["refresh", CATALOG]);
    let why = String::from_utf8_lossy(&asked.stderr).into_owned();
    assert!(!asked.status.success() && why.contains("made here"), "{why}");
    // members are changed in the catalog, and nowhere else
    let refused = below.ctl(&["remove", names[0]]);
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && why.contains(&format!("member of catalog {CATALOG}")), "{why}");
}

/// What Knot makes of its zones is what we serve, with the settings of their group; after a restart, too, and without Knot.
#[test]
fn we_follow_a_catalog_of_knot() {
    if !Program::Knot.is_installed() {
        return;
    }
    let zones = [zones::small("one.example", 1), zones::small("two.example", 1)];
    let mut upper = Setup::primary(Program::Knot).with_catalog(CATALOG).start(&zones);
    let settings = format!(
        "[secondary-zone.catalog.group.{GROUP}]\nallow-query = [\"127.0.0.0/8\"]\ntenant = \"1000\"\n\
         [secondary-zone.catalog.members]\nallow-query = []\n"
    );
    let entry = Entry { settings, ..Entry::new(CATALOG, &[upper.address()]) };
    let mut ours = Secondaryd::reserve().with_zone(entry).started();
    zones.iter().for_each(|zone| ours.dns.wait_serial(&zone.name, 1, SOON * 2));
    ours.stop();
    upper.stop();
    ours.start();
    for zone in &zones {
        assert_eq!(ours.dns.serial(&zone.name), Some(1), "{} is served from disk", zone.name);
    }
}
