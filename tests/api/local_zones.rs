//! `/zones`, `/records`, `/reverserecords`, zone files, tokens: zones that are edited here.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::client;
use crate::daemon::{ADMIN, Daemon, STRANGER};
use crate::golden;

/// Two tenants, and reverse zones in some prefixes.
fn with_reverse() -> Daemon {
    Daemon::with(|_| {
        r#"
        [api]
        nameservers = ["ns1.example.net", "ns2.example.net"]
        owned-cidrs = ["5.0.0.0/8", "1.0.0.0/8", "192.0.2.0/24", "2001:db8::/32"]
        [[api.credential]]
        tenant = "1000"
        user = "ann"
        role = "admin"
        token = "admin-token"
        api-key = "ann's password"
        [[api.credential]]
        tenant = "2000"
        user = "bob"
        role = "admin"
        token = "stranger-token"
        "#
        .to_owned()
    })
}

fn make(daemon: &Daemon, name: &str) -> String {
    let body = json!({"properties": {"zoneName": name}}).to_string();
    let reply = daemon.send("POST", "/zones", &[ADMIN], &body);
    assert_eq!(reply.status, 202, "{reply:?}");
    reply.json()["id"].as_str().expect("an id").to_owned()
}

fn add(daemon: &Daemon, zone: &str, properties: Value) -> client::Reply {
    let body = json!({ "properties": properties }).to_string();
    daemon.send("POST", &format!("/zones/{zone}/records"), &[ADMIN], &body)
}

fn zone_file(daemon: &Daemon, zone: &str) -> String {
    daemon.get(&format!("/zones/{zone}/zonefile")).body.replace('\t', " ")
}

/// The serial in the zone file.
fn serial(daemon: &Daemon, zone: &str) -> u32 {
    let text = zone_file(daemon, zone);
    let soa = text.lines().find(|line| line.contains(" SOA ")).expect("a SOA");
    soa.split(' ').nth(6).and_then(|serial| serial.parse().ok()).expect("a serial")
}

fn contents(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().expect("items");
    items.iter().map(|item| item["properties"]["content"].as_str().expect("a content")).collect()
}

#[test]
fn the_life_of_a_local_zone_is_as_recorded() {
    golden::play(&Daemon::start(), "zones.http");
}

#[test]
fn the_life_of_a_reverse_record_is_as_recorded() {
    golden::play(&with_reverse(), "reverse-records.http");
}

/// A page without filters is counted, not walked; the count must be of the same kind of zone as the page.
#[test]
fn each_list_holds_and_counts_the_zones_of_its_own_kind() {
    let daemon = with_reverse();
    let counts = |path: &str| {
        let list = daemon.get(path).json();
        (list["items"].as_array().expect("items").len(), list["totalCount"].as_u64().expect("a count"))
    };
    assert_eq!((counts("/zones"), counts("/secondaryzones")), ((0, 0), (0, 0)));
    let first = make(&daemon, "first.example");
    make(&daemon, "third.example");
    let body = json!({"properties": {"zoneName": "second.example", "primaryIps": ["127.0.0.1#9"]}}).to_string();
    assert_eq!(daemon.send("POST", "/secondaryzones", &[ADMIN], &body).status, 202);
    assert_eq!((counts("/zones"), counts("/secondaryzones")), ((2, 2), (1, 1)));
    assert_eq!(counts("/zones?limit=1"), (1, 2));
    assert_eq!(daemon.send("DELETE", &format!("/zones/{first}"), &[ADMIN], "").status, 202);
    assert_eq!((counts("/zones"), counts("/secondaryzones")), ((1, 1), (1, 1)));
}

#[test]
fn each_request_moves_the_serial_once_if_it_changes_something() {
    let daemon = Daemon::start();
    let zone = make(&daemon, "example.com");
    let first = serial(&daemon, &zone);
    assert_eq!(first % 100, 1, "a zone begins with YYYYMMDD01");
    let record = json!({"name": "a", "type": "A", "content": "192.0.2.1"});
    let id = add(&daemon, &zone, record.clone()).json()["id"].as_str().expect("an id").to_owned();
    assert_eq!(serial(&daemon, &zone), first + 1);
    let target = format!("/zones/{zone}/records/{id}");
    let same = json!({ "properties": record }).to_string();
    assert_eq!(daemon.send("PUT", &target, &[ADMIN], &same).status, 202);
    assert_eq!(serial(&daemon, &zone), first + 1, "the same again changes nothing");
    assert_eq!(daemon.send("DELETE", &target, &[ADMIN], "").body, "{}");
    assert_eq!(serial(&daemon, &zone), first + 2);
}

#[test]
fn a_zone_file_that_is_read_back_changes_nothing_and_keeps_the_ids() {
    let daemon = Daemon::start();
    let zone = make(&daemon, "example.com");
    let id = add(&daemon, &zone, json!({"name": "a", "type": "TXT", "content": "x \\ y \"z\""})).json()["id"].clone();
    add(&daemon, &zone, json!({"name": "_x._tcp", "type": "SRV", "content": "1 2 b.example.com", "priority": 3}));
    let (before, text) = (serial(&daemon, &zone), zone_file(&daemon, &zone));
    let put = |text: &str| {
        let headers = [ADMIN, ("Content-Type", "text/plain")];
        daemon.send("PUT", &format!("/zones/{zone}/zonefile"), &headers, text)
    };
    assert_eq!(put(&text).status, 200);
    assert_eq!((serial(&daemon, &zone), zone_file(&daemon, &zone)), (before, text));

    // All or nothing, and each wrong line by its number.
    let bad =
        "$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns1.example.net.\nb CNAME a\nb A 192.0.2.1\nother.org. A 192.0.2.1\n";
    let reply = put(bad);
    assert_eq!(reply.status, 400);
    assert!(reply.body.contains("line 5: ") && !reply.body.contains("line 4: "), "{}", reply.body);
    assert_eq!(serial(&daemon, &zone), before);
    let good = "$TTL 60\n@ SOA ns h.example.com. 1 7 8 9 10\na TXT \"x \\\\ y \\\"z\\\"\"\n  TYPE65280 \\# 2 abcd\n";
    let reply = put(good);
    assert_eq!(reply.status, 200, "{}", reply.body);
    let records = daemon.get(&format!("/zones/{zone}/records?filter.type=ALL")).json();
    assert_eq!(records["items"][2]["id"], id, "{records:#}");
    let text = zone_file(&daemon, &zone);
    assert!(text.contains("ns1.example.net. h.example.com. ") && text.contains(" 7 8 9 10"), "{text}");
    assert!(text.contains("a.example.com. 60 IN TYPE65280 \\# 2 ABCD"), "{text}");
    assert_eq!(serial(&daemon, &zone), before + 1);
}

#[test]
fn a_record_filter_by_name_means_the_whole_name_and_empty_means_the_apex() {
    let daemon = Daemon::start();
    let (one, two) = (make(&daemon, "a.example"), make(&daemon, "b.example"));
    for (zone, name) in [(&one, "www"), (&one, "x.www"), (&two, "www"), (&two, "wwww")] {
        assert_eq!(add(&daemon, zone, json!({"name": name, "type": "A", "content": "192.0.2.1"})).status, 202);
    }
    let total = |query: &str| daemon.get(&format!("/records?{query}")).json()["totalCount"].as_u64().expect("a number");
    assert_eq!(total("filter.name=WWW"), 2);
    assert_eq!(total("filter.name="), 4, "two NS each");
    assert_eq!(total("filter.type=A"), 4);
    assert_eq!(total(&format!("filter.zoneId={two}")), 4);
    assert_eq!(total("filter.state=FAILED"), 0);
    assert_eq!(daemon.send("GET", "/records", &[STRANGER], "").json()["totalCount"], 0);
    let walk: Vec<String> = (0..8)
        .map(|offset| {
            let page = daemon.get(&format!("/records?limit=1&offset={offset}")).json();
            page["items"][0]["metadata"]["fqdn"].as_str().expect("a name").to_owned()
        })
        .collect();
    assert_eq!(
        walk,
        [
            "a.example",
            "a.example",
            "www.a.example",
            "x.www.a.example",
            "b.example",
            "b.example",
            "www.b.example",
            "wwww.b.example"
        ]
    );
}

/// A hundred writers, each sure of its own record, and no step of the serial lost or taken twice.
#[test]
fn many_writers_lose_nothing() {
    let daemon = Daemon::start();
    let zones: Vec<String> = (0..3).map(|n| make(&daemon, &format!("z{n}.example"))).collect();
    let first: Vec<u32> = zones.iter().map(|zone| serial(&daemon, zone)).collect();
    const WRITERS: usize = 12;
    const EACH: usize = 10;
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (daemon, zones) = (&daemon, &zones);
            scope.spawn(move || {
                for n in 0..EACH {
                    let record = json!({"name": "same", "type": "TXT", "content": format!("{writer}-{n}")});
                    let reply = add(daemon, &zones[n % zones.len()], record);
                    assert_eq!(reply.status, 202, "{reply:?}");
                    // Read after write, in the contents that are served.
                    let text = zone_file(daemon, &zones[n % zones.len()]);
                    assert!(text.contains(&format!("\"{writer}-{n}\"")), "{writer}-{n}");
                }
            });
        }
    });
    for (index, zone) in zones.iter().enumerate() {
        let written = (0..EACH).filter(|n| n % zones.len() == index).count() * WRITERS;
        assert_eq!(serial(&daemon, zone), first[index] + written as u32);
        let list = daemon.get(&format!("/zones/{zone}/records?filter.name=same&limit=1000")).json();
        let distinct: BTreeSet<&str> = contents(&list).into_iter().collect();
        assert_eq!((distinct.len(), list["totalCount"].as_u64()), (written, Some(written as u64)));
    }
}

#[test]
fn only_one_of_many_gets_a_name_or_an_address() {
    let daemon = with_reverse();
    let count = |method: &'static str, target: &'static str, body: String| {
        let codes: Vec<u16> = std::thread::scope(|scope| {
            let one = || scope.spawn(|| daemon.send(method, target, &[ADMIN], &body).status);
            let all: Vec<_> = (0..8).map(|_| one()).collect();
            all.into_iter().map(|thread| thread.join().expect("answered")).collect()
        });
        (codes.iter().filter(|code| **code < 300).count(), codes.iter().filter(|code| **code == 409).count())
    };
    let zone = json!({"properties": {"zoneName": "example.com"}}).to_string();
    assert_eq!(count("POST", "/zones", zone), (1, 7));
    let ptr = json!({"properties": {"name": "a.example.com", "ip": "192.0.2.7"}}).to_string();
    assert_eq!(count("POST", "/reverserecords", ptr), (1, 7));
}

/// One PTR is one object: made as a reverse record, it is a record of its zone, and gone in both views when it goes.
#[test]
fn a_reverse_record_is_a_record_of_its_zone() {
    let daemon = with_reverse();
    let classless = make(&daemon, "64-26.2.0.192.in-addr.arpa");
    let post = |ip: &str| {
        let body = json!({"properties": {"name": "host.example.com", "ip": ip}}).to_string();
        daemon.send("POST", "/reverserecords", &[ADMIN], &body).json()
    };
    let (inside, outside, v6) = (post("192.0.2.70"), post("192.0.2.7"), post("2001:DB8:0::25"));
    assert_eq!(v6["properties"]["ip"], "2001:db8::25");
    let list = daemon.get(&format!("/zones/{classless}/records?filter.type=PTR")).json();
    assert_eq!((&list["items"][0]["id"], list["totalCount"].as_u64()), (&inside["id"], Some(1)));
    assert_eq!(list["items"][0]["metadata"]["fqdn"], "70.64-26.2.0.192.in-addr.arpa");
    let zones = daemon.get("/zones").json();
    let names: Vec<&str> =
        zones["items"].as_array().expect("items").iter().filter_map(|z| z["properties"]["zoneName"].as_str()).collect();
    assert_eq!(
        names,
        ["2.0.192.in-addr.arpa", "64-26.2.0.192.in-addr.arpa", "0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"]
    );

    let record = outside["id"].as_str().expect("an id");
    let zone = zones["items"][0]["id"].as_str().expect("an id");
    assert_eq!(daemon.send("DELETE", &format!("/zones/{zone}/records/{record}"), &[ADMIN], "").status, 202);
    assert_eq!(daemon.get(&format!("/reverserecords/{record}")).status, 404);
    let addresses: Vec<String> = daemon.get("/reverserecords").json()["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|item| item["properties"]["ip"].as_str().expect("an address").to_owned())
        .collect();
    assert_eq!(addresses, ["192.0.2.70", "2001:db8::25"]);
}

#[test]
fn a_token_is_issued_for_a_password_and_serves_as_one() {
    let daemon = with_reverse();
    // ann:ann's password
    let basic = ("Authorization", "Basic YW5uOmFubidzIHBhc3N3b3Jk");
    let reply = daemon.send("GET", "/auth/v1/tokens/generate?ttl=60", &[basic], "");
    assert_eq!(reply.status, 200, "{reply:?}");
    let bearer = format!("Bearer {}", reply.json()["token"].as_str().expect("a token"));
    let with_token = [("Authorization", bearer.as_str())];
    assert_eq!(daemon.send("GET", "/zones", &with_token, "").status, 200);
    assert_eq!(daemon.send("GET", "/auth/v1/tokens/generate", &with_token, "").status, 401, "else it would never end");
    assert_eq!(daemon.send("GET", "/auth/v1/tokens/generate?ttl=0", &[basic], "").status, 400);
    let wrong = ("Authorization", "Basic YW5uOm5vcGU=");
    assert_eq!(daemon.send("GET", "/auth/v1/tokens/generate", &[wrong], "").status, 401);
}

/// A page costs the page: the last hundred of 20,000 records come as fast as the first, which is to say they come.
#[test]
fn a_large_local_zone_is_imported_and_paged() {
    let daemon = with_reverse();
    let zone = make(&daemon, "large.example");
    let mut text = String::from("$TTL 300\n");
    (0..20_000).for_each(|n| text.push_str(&format!("h{n:05} A 192.0.2.{}\n", n % 250)));
    let headers = [ADMIN, ("Content-Type", "text/plain")];
    let reply = daemon.send("PUT", &format!("/zones/{zone}/zonefile"), &headers, &text);
    assert_eq!(reply.status, 200, "{}", &reply.body[..reply.body.len().min(500)]);
    let last = daemon.get(&format!("/zones/{zone}/records?offset=19902&limit=1000")).json();
    assert_eq!(last["totalCount"], 20_002);
    let items = last["items"].as_array().expect("items");
    assert_eq!((items.len(), &items[99]["properties"]["name"]), (100, &json!("h19999")));
    let named = daemon.get("/records?filter.name=h12345").json();
    assert_eq!(named["totalCount"], 1);
}
