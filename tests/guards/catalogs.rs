//! Catalogs that are followed (RFC 9432), and what must not take their members away.

use secondaryd::dns::{Record, RecordType};

use crate::daemon::{Entry, Secondaryd};
use crate::primary::{Primary, Query, Step};
use crate::reply::{self, Reply};
use crate::wait::{self, SOON};

const CATALOG: &str = "catalog.example";
const LONG: &str = "86400 43200 1209600 60";

fn member(number: usize) -> String {
    format!("zone{number}.example")
}

/// A catalog of so many zones, with the timers of its SOA.
fn catalog(serial: u32, members: usize, timers: &str) -> Vec<Record> {
    let listed: String = (0..members).map(|n| format!("m{n}.zones 0 PTR {}.\n", member(n))).collect();
    let body = reply::records(CATALOG, &format!("@ 0 NS invalid.\nversion 0 TXT 2\n{listed}"));
    reply::around(reply::soa_with(CATALOG, serial, timers), body)
}

/// A primary of the catalog, as `catalog` answers it, and of every member.
fn primary(catalog: impl Fn(&Query) -> Vec<Step> + Send + Sync + 'static) -> impl Fn(&Query) -> Vec<Step> {
    move |query| match query.zone().as_str() {
        CATALOG => catalog(query),
        zone => reply::good(zone, 1)(query),
    }
}

fn whole(records: Vec<Record>) -> impl Fn(&Query) -> Vec<Step> + Send + Sync + 'static {
    crate::stage::whole(records)
}

fn following(primary: &Primary) -> Secondaryd {
    let entry = Entry { settings: "catalog = {}\n".to_owned(), ..Entry::new(CATALOG, &[primary.address()]) };
    Secondaryd::reserve().with_zone(entry).started()
}

/// C3: "a guard rail on mass removal". The members are served while a person is asked, and go when he says so.
#[test]
fn a_catalog_that_loses_most_of_its_members_is_held() {
    const MEMBERS: usize = 30;
    let at_primary = Primary::start(primary(whole(catalog(1, MEMBERS, LONG))));
    let ours = following(&at_primary);
    (0..MEMBERS).for_each(|n| ours.dns.wait_serial(&member(n), 1, SOON));
    at_primary.play(primary(whole(catalog(2, 5, LONG))));
    ours.expect("PUT", &format!("{}/axfr?mode=refresh", ours.zone_path(CATALOG)), 202);
    let item = ours.settled(CATALOG, 0);
    assert_eq!(item["errorCode"], "GUARD_SHRINK", "{item:#}");
    (0..MEMBERS).for_each(|n| assert_eq!(ours.dns.serial(&member(n)), Some(1), "{} is still served", member(n)));
    let approved = ours.ctl(&["approve", CATALOG]);
    assert!(approved.status.success(), "{}", String::from_utf8_lossy(&approved.stderr));
    wait::until_true("the others are gone", SOON, || {
        (0..MEMBERS).filter(|n| ours.dns.serial(&member(*n)).is_some()).count() == 5
    });
    let status = ours.status(CATALOG);
    assert_eq!(status["catalog"], serde_json::json!({"members": 5, "leftOut": 0}), "{status:#}");
}

/// The members count, not the records: what takes their place, and what else stands in a catalog, hides nothing.
#[test]
fn a_catalog_whose_members_are_replaced_is_held() {
    const MEMBERS: usize = 30;
    let at_primary = Primary::start(primary(whole(catalog(1, MEMBERS, LONG))));
    let ours = following(&at_primary);
    (0..MEMBERS).for_each(|n| ours.dns.wait_serial(&member(n), 1, SOON));
    let others: String = (0..MEMBERS).map(|n| format!("m{n}.zones 0 PTR other{n}.example.\n")).collect();
    let body = reply::records(CATALOG, &format!("@ 0 NS invalid.\nversion 0 TXT 2\n{others}"));
    at_primary.play(primary(whole(reply::around(reply::soa_with(CATALOG, 2, LONG), body))));
    ours.expect("PUT", &format!("{}/axfr?mode=refresh", ours.zone_path(CATALOG)), 202);
    let item = ours.settled(CATALOG, 0);
    let message = item["errorMessage"].as_str().unwrap_or("");
    assert!(message.contains("30 of 30 members would go or start anew (100.0 %; limit 50 %)"), "{item:#}");
    assert_eq!(ours.dns.serial(&member(0)), Some(1));
}

/// C5: an expired catalog is answered no more, its members are; also after a restart.
#[test]
fn members_outlive_their_catalog() {
    let at_primary = Primary::start(primary(whole(catalog(1, 2, "1 1 3 0"))));
    let mut ours = following(&at_primary);
    (0..2).for_each(|n| ours.dns.wait_serial(&member(n), 1, SOON));
    at_primary.play(primary(|query| match query.qtype {
        RecordType::SOA => vec![Reply::to(query).rcode(5).send()],
        _ => vec![Step::Close],
    }));
    wait::until_true("the catalog has expired", SOON, || ours.log().contains("zone has expired"));
    for _ in 0..2 {
        (0..2).for_each(|n| assert_eq!(ours.dns.serial(&member(n)), Some(1)));
        ours.kill();
        ours.start();
    }
    // and what cannot be followed is told, with its code
    at_primary.play(primary(whole(reply::zone(CATALOG, 2))));
    ours.expect("PUT", &format!("{}/axfr?mode=refresh", ours.zone_path(CATALOG)), 202);
    wait::until_true("the version is found broken", SOON, || {
        ours.status(CATALOG)["warnings"].to_string().contains("CATALOG_BROKEN")
    });
    (0..2).for_each(|n| assert_eq!(ours.dns.serial(&member(n)), Some(1)));
    let explained = ours.ctl(&["explain", CATALOG]);
    let explained = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert!(explained.contains("CATALOG_BROKEN") && explained.contains("stay as they were"), "{explained}");
}
