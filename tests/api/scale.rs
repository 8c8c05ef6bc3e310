//! What a page and an edit cost in large collections: what they hold, not what is there.
//!
//! Costs are compared, not read off a clock: the cheapest of several tries in a small collection against that in one many
//! times larger, with room for a busy machine.

use std::fmt::Write;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::daemon::{ADMIN, Daemon};

const SMALL: usize = 200;
const LARGE: usize = 10_000;
/// What is linear would be 50 times dearer.
const GROWTH_MAX: u32 = 12;
const TRIES: usize = 12;

fn start() -> Daemon {
    Daemon::with(|_| {
        "[api]\nnameservers = [\"ns1.example.net\"]\n[quota]\nrecords = 200000\nreverse-records = 100000\n\
         [[api.credential]]\ntenant = \"1000\"\nuser = \"ann\"\nrole = \"admin\"\ntoken = \"admin-token\"\n"
            .to_owned()
    })
}

/// A zone of so many records.
fn zone(daemon: &Daemon, name: &str, records: usize, line: impl Fn(usize) -> String) -> String {
    let reply = daemon.send("POST", "/zones", &[ADMIN], &json!({"properties": {"zoneName": name}}).to_string());
    assert_eq!(reply.status, 202, "{reply:?}");
    let id = reply.json()["id"].as_str().expect("an id").to_owned();
    let mut text =
        format!("$ORIGIN {name}.\n$TTL 3600\n@ SOA ns1.example.net. h 1 7200 900 1209600 300\n@ NS ns1.example.net.\n");
    for n in 0..records {
        let _ = writeln!(text, "{}", line(n));
    }
    let headers = [ADMIN, ("Content-Type", "text/plain")];
    let reply = daemon.send("PUT", &format!("/zones/{id}/zonefile"), &headers, &text);
    assert_eq!(reply.status, 200, "{reply:?}");
    id
}

/// The cheapest of several tries.
fn cost(mut work: impl FnMut(usize)) -> Duration {
    let once = |n| {
        let started = Instant::now();
        work(n);
        started.elapsed()
    };
    (0..TRIES).map(once).min().expect("some tries")
}

#[track_caller]
fn assert_grows_little(what: &str, small: Duration, large: Duration) {
    // Below a millisecond a round trip is all noise.
    let small = small.max(Duration::from_millis(1));
    assert!(large < small * GROWTH_MAX, "{what}: {small:?} of {SMALL}, {large:?} of {LARGE}");
}

#[test]
fn an_edit_and_a_page_cost_the_same_in_a_zone_of_any_size() {
    let daemon = start();
    let host = |n: usize| format!("h{n} A 192.0.2.{}", n % 250);
    let zones = [zone(&daemon, "small.example", SMALL, host), zone(&daemon, "large.example", LARGE, host)];
    let edit = |id: &str| {
        cost(|n| {
            let record = json!({"properties": {"name": format!("new{n}"), "type": "A", "content": "192.0.2.1"}});
            let reply = daemon.send("POST", &format!("/zones/{id}/records"), &[ADMIN], &record.to_string());
            assert_eq!(reply.status, 202, "{reply:?}");
        })
    };
    assert_grows_little("an edit", edit(&zones[0]), edit(&zones[1]));
    let page = |id: &str, query: &str| {
        cost(|_| {
            let reply = daemon.get(&format!("/zones/{id}/records?limit=10&{query}"));
            assert_eq!(reply.json()["items"].as_array().map(Vec::len), Some(10), "{reply:?}");
        })
    };
    let deep = format!("offset={}", LARGE - 10);
    let deep_of_small = format!("offset={}", SMALL - 10);
    assert_grows_little("a deep page", page(&zones[0], &deep_of_small), page(&zones[1], &deep));
    let typed = format!("filter.type=A&{deep}");
    assert_grows_little(
        "a page of a type",
        page(&zones[0], &format!("filter.type=A&{deep_of_small}")),
        page(&zones[1], &typed),
    );
    let by_domain = |id: &str, page: usize, query: &str| {
        cost(|_| {
            let target = format!("/api/v1/domains/{id}/records?page_size=10&page={page}{query}");
            let reply = daemon.get(&target);
            assert_eq!(reply.json()["data"].as_array().map(Vec::len), Some(10), "{target}: {reply:?}");
        })
    };
    for query in ["", "&type=A", "&name=h"] {
        let (small, large) = (by_domain(&zones[0], SMALL / 10 - 1, query), by_domain(&zones[1], LARGE / 10 - 1, query));
        assert_grows_little(&format!("a deep page of a domain {query}"), small, large);
    }
    let all = cost(|_| assert_eq!(daemon.get(&format!("/records?limit=10&{deep}")).status, 200));
    assert_grows_little("a deep page of all zones", page(&zones[0], "offset=0"), all);
}

#[test]
fn the_ptrs_of_a_large_reverse_zone_come_by_address_page_by_page() {
    let daemon = start();
    let ptr = |n: usize| format!("{}.{} PTR h{n}.example.", n % 256, n / 256);
    let zones = [zone(&daemon, "1.10.in-addr.arpa", SMALL, ptr), zone(&daemon, "2.10.in-addr.arpa", LARGE, ptr)];
    let page = |id: &str, page: usize, query: &str| {
        let target = format!("/api/v1/reverse-zones/{id}/ptr?page_size=10&page={page}{query}");
        let mut list = Value::Null;
        let cost = cost(|_| list = daemon.get(&target).json());
        let ips =
            list["data"].as_array().expect("data").iter().map(|ptr| ptr["ip"].as_str().expect("an ip").to_owned());
        (cost, ips.collect::<Vec<_>>(), list["total"].as_u64().expect("a total"))
    };
    let (small, ..) = page(&zones[0], SMALL / 10, "");
    let (large, ips, total) = page(&zones[1], LARGE / 10, "");
    let expected: Vec<String> = (LARGE - 10..LARGE).map(|n| format!("10.2.{}.{}", n / 256, n % 256)).collect();
    assert_eq!((ips, total), (expected, LARGE as u64), "by address, not by the spelling of the owner");
    assert_grows_little("a deep page of PTRs", small, large);
    let (small, ..) = page(&zones[0], 1, "&search=h1");
    let (large, ips, _) = page(&zones[1], 50, "&search=h1");
    assert_eq!(ips.len(), 10);
    assert_grows_little("a deep page of a search", small, large);
    let lookup =
        |net: u8| cost(|_| assert_eq!(daemon.get(&format!("/api/v1/reverse-zones/lookup/10.{net}.0.9")).status, 200));
    assert_grows_little("a lookup", lookup(1), lookup(2));
    assert_grows_little("the quota", lookup(1), cost(|_| assert_eq!(daemon.get("/quota").status, 200)));
}
