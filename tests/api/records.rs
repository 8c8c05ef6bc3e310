//! `/secondaryzones/{id}/records` and `/zonefile`: what was transferred, as served.

use std::collections::HashSet;
use std::fmt::Write;

use serde_json::Value;

use crate::daemon::{ADMIN, Daemon};
use crate::golden;
use crate::primary::Primary;

pub(crate) const APEX: &str = "example.com";

pub(crate) const ZONE: &str = "\
$ORIGIN example.com.
@ 3600 IN SOA ns1 hostmaster 7 3600 600 86400 300
@ 3600 IN NS ns1
@ 30 IN MX 10 mail
@ 3600 IN TXT \"v=spf1 mx -all\"
@ 3600 IN CAA 0 issue \"ca.example\"
ns1 3600 IN A 192.0.2.1
ns1 3600 IN AAAA 2001:db8::1
mail 999999 IN A 192.0.2.2
txt 3600 IN TXT \"a\" \"b\"
_sip._tcp 3600 IN SRV 1 2 5060 sip
www 3600 IN CNAME mail
1 3600 IN PTR host.example.net.
";

pub(crate) fn loaded(text: &str) -> (Daemon, Primary, String) {
    let (daemon, primary) = (Daemon::start(), Primary::start(APEX, text));
    let id = daemon.create(APEX, &[primary.address()]);
    daemon.await_status(&id, |status| status["state"] == "AVAILABLE");
    (daemon, primary, id)
}

#[test]
fn records_are_as_recorded() {
    let (daemon, primary, id) = loaded(ZONE);
    golden::play_with(&daemon, "records.http", &[("uuid:zone", &id), ("primary", &primary.address())]);
}

#[test]
fn the_zone_file_has_every_record_and_begins_with_the_soa() {
    let (daemon, _primary, id) = loaded(ZONE);
    let reply = daemon.get(&format!("/secondaryzones/{id}/zonefile"));
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("text/plain; charset=utf-8")));
    let apex = APEX.parse().expect("a name");
    let sorted = |text: &str| {
        let mut records = secondaryd::dns::zonefile::parse(text, &apex).expect("a zone file");
        records.sort_by(|a, b| (&a.owner, a.rtype, &a.rdata).cmp(&(&b.owner, b.rtype, &b.rdata)));
        records
    };
    assert_eq!(sorted(&reply.body), sorted(ZONE));
    let mut lines = reply.body.lines();
    assert_eq!(lines.next(), Some("$ORIGIN example.com."));
    assert!(lines.next().is_some_and(|line| line.contains("SOA")));
}

/// More than fits one piece of the streamed body.
#[test]
fn a_large_zone_comes_whole() {
    let mut text = ZONE.to_owned();
    for n in 0..5_000 {
        writeln!(text, "h{n} 3600 IN A 10.0.{}.{}", n / 256, n % 256).expect("written");
    }
    let (daemon, _primary, id) = loaded(&text);
    let file = daemon.get(&format!("/secondaryzones/{id}/zonefile")).body;
    assert_eq!(file.lines().count(), 1 + 12 + 5_000);

    let (mut seen, mut target) = (HashSet::new(), format!("/secondaryzones/{id}/records?limit=1000"));
    loop {
        let page = daemon.get(&target).json();
        assert_eq!(page["totalCount"], 5_010); // without SOA and PTR
        for item in page["items"].as_array().expect("items") {
            assert!(seen.insert(item["id"].as_str().expect("an id").to_owned()), "{item} twice");
        }
        match page["_links"]["next"].as_str() {
            Some(next) => target = next.strip_prefix(&format!("http://{}", daemon.api)).expect("absolute").to_owned(),
            None => break,
        }
    }
    assert_eq!(seen.len(), 5_010);
}

#[test]
fn ids_of_records_last_over_a_transfer() {
    let (daemon, primary, id) = loaded(ZONE);
    let ids = |of: &Value| -> HashSet<String> {
        of["items"].as_array().expect("items").iter().map(|item| item["id"].to_string()).collect()
    };
    let before = ids(&daemon.get(&format!("/secondaryzones/{id}/records")).json());
    primary.replace(APEX, &(ZONE.replace("hostmaster 7", "hostmaster 8") + "new 3600 IN A 192.0.2.9\n"));
    assert_eq!(daemon.send("PUT", &format!("/secondaryzones/{id}/axfr?mode=refresh"), &[ADMIN], "").status, 202);
    daemon.await_status(&id, |status| status["servedSerial"] == 8);
    let after = ids(&daemon.get(&format!("/secondaryzones/{id}/records")).json());
    assert!(after.is_superset(&before));
    assert_eq!(after.len(), before.len() + 1);
}

#[test]
fn the_status_of_a_transfer_is_as_recorded() {
    let (daemon, primary, id) = loaded(ZONE);
    let done = |status: &Value| status["items"][0]["status"] == "OK" && status["storedSerial"] == 7;
    daemon.await_status(&id, done);
    golden::play_with(&daemon, "axfr-transferred.http", &[("uuid:zone", &id), ("primary", &primary.address())]);
}
