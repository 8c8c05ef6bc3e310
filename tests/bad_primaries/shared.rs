//! Many zones over few connections (RFC 7766 §6.2.1.1, RFC 9103 §6.3), and primaries that do not take that.

use std::sync::Mutex;

use secondaryd::dns::RecordType;

use crate::daemon::{Entry, Secondaryd};
use crate::primary::{Over, Primary, Query, Step};
use crate::reply::{self, Reply};
use crate::wait::{self, SOON};

const ZONES: usize = 40;

/// Nobody waits so long in a test: what is waited for must come another way.
const ENDLESS: &str = "idle-timeout = \"10m\"\ntotal-timeout = \"20m\"\nlowest-rate = 0\n";

/// A good answer for whatever zone is asked for.
fn any(serial: u32) -> impl Fn(&Query) -> Vec<Step> + Send + Sync + 'static {
    move |query| reply::good(&query.zone(), serial)(query)
}

/// A daemon with `count` zones of one primary.
fn daemon(settings: &str, primary: &Primary, count: usize) -> (Secondaryd, Vec<String>) {
    let names: Vec<String> = (0..count).map(|n| format!("zone{n}.example")).collect();
    let mut ours = Secondaryd::reserve().with_settings(settings);
    for name in &names {
        ours = ours.with_zone(Entry::new(name, &[primary.address()]));
    }
    (ours.started(), names)
}

fn refresh(ours: &Secondaryd, zone: &str) {
    ours.expect("PUT", &format!("{}/axfr?mode=refresh", ours.zone_path(zone)), 202);
}

#[test]
fn many_zones_come_over_few_connections() {
    let primary = Primary::start(any(1));
    let (ours, zones) = daemon("", &primary, ZONES);
    for zone in &zones {
        ours.dns.wait_serial(zone, 1, SOON);
    }
    assert!(primary.opened() <= ZONES / 8, "{} connections for {ZONES} zones", primary.opened());
}

#[test]
fn without_pipelining_a_connection_serves_one_exchange_after_the_other() {
    let primary = Primary::start(move |query| {
        assert!(query.over == Over::Udp || query.nth < ZONES, "bounded");
        any(1)(query)
    });
    let (ours, zones) = daemon("pipelining = 1\nconcurrency-per-primary = 1\n", &primary, ZONES);
    for zone in &zones {
        ours.dns.wait_serial(zone, 1, SOON);
    }
    assert_eq!(primary.opened(), 1, "reused");
}

/// RFC 7766 §6.2.1.1: servers may answer one query at a time; some close the connection behind each answer.
#[test]
fn a_primary_that_closes_behind_each_answer_is_asked_over_a_connection_each() {
    let primary = Primary::start(|query| [any(1)(query), vec![Step::Close]].concat());
    let (ours, zones) = daemon(ENDLESS, &primary, ZONES);
    for zone in &zones {
        ours.dns.wait_serial(zone, 1, SOON);
        let item = ours.wait_item(zone, 0, "OK", |item| item["status"] == "OK");
        assert_eq!(item["lastError"], serde_json::Value::Null, "{zone}: no failure of the primary: {item:#}");
    }
}

#[test]
fn a_primary_that_answers_one_query_a_connection_and_ignores_others_still_serves_every_zone() {
    let primary = Primary::start(|query| match query.nth {
        0 => any(1)(query),
        _ => Vec::new(),
    });
    let (ours, zones) = daemon(ENDLESS, &primary, ZONES);
    for zone in &zones {
        ours.dns.wait_serial(zone, 1, SOON);
    }
}

/// RFC 7766 §7: "responses … may be returned out of order"; RFC 9103 §6.3: messages of several transfers interleaved.
#[test]
fn interleaved_answers_find_their_zones() {
    let waiting: Mutex<Vec<Query>> = Mutex::default();
    let primary = Primary::start(move |query| {
        if query.qtype == RecordType::SOA {
            return any(1)(query);
        }
        let mut waiting = waiting.lock().expect("not poisoned");
        waiting.push(query.clone());
        if waiting.len() < 4 {
            return Vec::new();
        }
        // All four, the last first, record by record in turn.
        let asked: Vec<Query> = waiting.drain(..).rev().collect();
        let zones: Vec<_> = asked.iter().map(|query| reply::zone(&query.zone(), 1)).collect();
        let turns = 0..zones[0].len();
        turns
            .flat_map(|turn| {
                asked.iter().zip(&zones).map(move |(query, zone)| Reply::to(query).with(&zone[turn..=turn]).send())
            })
            .collect()
    });
    let (ours, zones) = daemon(ENDLESS, &primary, 4);
    for zone in &zones {
        ours.dns.wait_serial(zone, 1, SOON);
        let mark = ours.dns.txt(crate::client::Over::Udp, &format!("mark.{zone}"));
        assert_eq!(mark.as_deref(), Some("1"), "{zone}");
    }
    assert_eq!(primary.opened(), 1);
}

/// A kept connection on which the primary has silently died costs a moment, not the idle time.
#[test]
fn a_kept_connection_that_died_unnoticed_does_not_cost_the_idle_time() {
    let primary = Primary::start(any(1));
    let (ours, zones) = daemon(ENDLESS, &primary, 1);
    let zone = &zones[0];
    ours.dns.wait_serial(zone, 1, SOON);
    ours.wait_item(zone, 0, "idle", |item| item["activity"] == "idle");
    primary.play(|query| match query.nth {
        0 => any(2)(query),
        _ => vec![Step::Hold],
    });
    refresh(&ours, zone);
    ours.dns.wait_serial(zone, 2, SOON);
}

/// A small zone behind a large one on one connection goes over another.
#[test]
fn a_large_transfer_does_not_starve_small_ones() {
    let primary = Primary::start(any(1));
    let (ours, zones) = daemon(ENDLESS, &primary, 4);
    for zone in &zones {
        ours.dns.wait_serial(zone, 1, SOON);
        ours.wait_item(zone, 0, "idle", |item| item["activity"] == "idle");
    }
    let (large, small) = (zones[0].clone(), &zones[1..]);
    primary.play({
        let large = large.clone();
        move |query| {
            if query.zone() != large || query.qtype == RecordType::SOA {
                return any(2)(query);
            }
            let body = reply::body(&large, 2);
            let many: Vec<_> = (0..300).flat_map(|_| body.clone()).collect();
            let first = Reply::to(query).with(&[reply::soa(&large, 2)]).send();
            vec![first, Step::Endless(Reply::to(query).with(&many).octets(), std::time::Duration::from_millis(10))]
        }
    });
    refresh(&ours, &large);
    wait::until_true("the large zone comes", SOON, || primary.seen(Over::Tcp, RecordType::IXFR) > 0);
    for zone in small {
        refresh(&ours, zone);
    }
    for zone in small {
        ours.dns.wait_serial(zone, 2, SOON);
    }
    assert_eq!(ours.item(&large, 0)["status"], "IN_PROGRESS", "{:#}", ours.item(&large, 0));
}

/// N9, N11: a flood of NOTIFYs, each with news, does not go past the rate towards the primary.
#[test]
fn n11_notifies_do_not_go_past_the_rate_of_queries() {
    let primary = Primary::start(any(1));
    let (ours, zones) = daemon("queries-per-second = 5\n", &primary, 1);
    let zone = &zones[0];
    ours.dns.wait_serial(zone, 1, SOON);
    let began = std::time::Instant::now();
    let mut serial = 1;
    primary.play(any(1));
    while began.elapsed() < std::time::Duration::from_secs(3) {
        serial += 1;
        // Not play(): that forgets the count.
        primary.notify(ours.address(), zone, serial);
        std::thread::yield_now();
    }
    let queries = primary.seen(Over::Udp, RecordType::SOA) + primary.seen_over_tcp().len();
    let allowed = 5.0 * (began.elapsed().as_secs_f64() + 1.0) + 1.0;
    assert!(queries as f64 <= allowed, "{queries} queries after {serial} NOTIFYs");
    assert!(queries > 0, "it does ask");
}
