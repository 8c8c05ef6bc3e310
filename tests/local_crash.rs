//! Local zones and SIGKILL: what was acknowledged is there, what was not is there wholly or not at all.
//!
//! The built program is killed while writers are at work, and started again on the same state; several times, so that
//! a start finds what a start after a kill has left.

mod harness;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use harness::daemon::Secondaryd;
use harness::wait;
use serde_json::{Value, json};

const ZONES: usize = 2;
const WRITERS: usize = 4;
/// Kills, each once this many writes were acknowledged since the start.
const ROUNDS: usize = 3;
const ACKNOWLEDGED: usize = 60;

fn make_zone(daemon: &Secondaryd, name: &str) -> String {
    let body = json!({"properties": {"zoneName": name}}).to_string();
    let (code, zone) = daemon.send("POST", "/zones", &body).expect("answered");
    assert_eq!(code, 202, "{zone}");
    zone["id"].as_str().expect("an id").to_owned()
}

/// All TXT records of a zone: id and content.
fn records(daemon: &Secondaryd, zone: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for offset in (0..).step_by(1000) {
        let list =
            daemon.expect("GET", &format!("/zones/{zone}/records?filter.type=TXT&limit=1000&offset={offset}"), 200);
        let items = list["items"].as_array().expect("items");
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        found.extend(items.iter().map(|item| (text(&item["id"]), text(&item["properties"]["content"]))));
        if items.len() < 1000 {
            return found;
        }
    }
    found
}

fn served_texts(daemon: &Secondaryd, zone: &str) -> (u32, BTreeSet<String>) {
    let (_, Value::String(text)) = daemon.call("GET", &format!("/zones/{zone}/zonefile")).expect("answered") else {
        panic!("a zone file is text")
    };
    let serial = text.lines().find_map(|line| line.split("\tSOA\t").nth(1)?.split(' ').nth(2)?.parse().ok());
    let texts = text.lines().filter_map(|line| Some(line.split("\tTXT\t\"").nth(1)?.trim_end_matches('"').to_owned()));
    (serial.expect("a SOA"), texts.collect())
}

/// Writers at work until the daemon is killed under them; what was acknowledged: zone, id and content.
fn write_until_killed(daemon: &Secondaryd, zones: &[String], round: usize) -> Vec<(usize, String, String)> {
    let (done, killed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let writer = |writer: usize| {
        let mut acknowledged = Vec::new();
        for n in 0..10 * ACKNOWLEDGED {
            let (zone, content) = ((writer + n) % ZONES, format!("{round}-{writer}-{n}"));
            let record = json!({"name": format!("w{writer}"), "type": "TXT", "content": content});
            let body = json!({ "properties": record }).to_string();
            match daemon.send("POST", &format!("/zones/{}/records", zones[zone]), &body) {
                Ok((202, reply)) => acknowledged.push((zone, reply["id"].as_str().expect("an id").to_owned(), content)),
                other => {
                    assert!(killed.load(Ordering::Relaxed), "before the kill: {other:?}");
                    break;
                }
            }
            done.fetch_add(1, Ordering::Relaxed);
        }
        acknowledged
    };
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|number| {
                let writer = &writer;
                scope.spawn(move || writer(number))
            })
            .collect();
        let enough = || done.load(Ordering::Relaxed) >= ACKNOWLEDGED;
        wait::until_true("writes are acknowledged", Duration::from_secs(60), enough);
        killed.store(true, Ordering::Relaxed);
        daemon.kill_now();
        writers.into_iter().flat_map(|writer| writer.join().expect("a writer ends")).collect()
    })
}

#[test]
fn every_acknowledged_write_survives_a_kill() {
    let mut daemon = Secondaryd::reserve().started();
    let names: Vec<String> = (0..ZONES).map(|n| format!("z{n}.example")).collect();
    let zones: Vec<String> = names.iter().map(|name| make_zone(&daemon, name)).collect();
    let mut expected: Vec<BTreeMap<String, String>> = vec![BTreeMap::new(); ZONES];
    let mut serials = [0u32; ZONES];
    for round in 0..ROUNDS {
        let acknowledged = write_until_killed(&daemon, &zones, round);
        for (zone, id, content) in acknowledged {
            expected[zone].insert(id, content);
        }
        daemon.kill();
        daemon.start();
        for (index, zone) in zones.iter().enumerate() {
            let found = records(&daemon, zone);
            for (id, content) in &expected[index] {
                assert_eq!(found.get(id), Some(content), "round {round}: lost in {}", names[index]);
            }
            let (serial, texts) = served_texts(&daemon, zone);
            let listed: BTreeSet<String> = found.values().cloned().collect();
            assert_eq!(texts, listed, "round {round}: what is served is what is listed");
            assert!(serial > serials[index], "round {round}: the serial of {} moved on", names[index]);
            assert_eq!(daemon.dns.serial(&names[index]), Some(serial));
            serials[index] = serial;
            // What was written and not acknowledged may be there: wholly.
            expected[index] = found;
        }
    }
}

/// A small generator of its own, so that a run is told by its seed (Marsaglia's xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

/// One number of the environment, for longer runs than the one that is always made.
fn setting(name: &str, usual: usize) -> usize {
    std::env::var(name).ok().map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

/// What a writer knows of its own records when the daemon is gone.
#[derive(Default)]
struct Account {
    /// Content by zone and id, as acknowledged.
    there: BTreeMap<(usize, String), String>,
    /// Changes acknowledged in each zone.
    changes: BTreeMap<usize, u32>,
    /// The request that got no answer.
    open: Option<Open>,
}

/// A request that may have been carried out.
enum Open {
    /// Zone, key and body of a new record.
    Added(usize, String, String),
    /// A record that became this, or went.
    Changed(usize, String, Option<String>),
}

/// Adds, changes and removes records of its own until the daemon has gone.
fn keep_writing(daemon: &Daemon<'_>, writer: usize, mut random: Random, mut account: Account) -> Account {
    for n in 0..1_000_000 {
        // Half of all go to one zone.
        let zone = if random.below(2) == 0 { 0 } else { random.below(daemon.zones.len()) };
        let records = format!("/zones/{}/records", daemon.zones[zone]);
        let content = format!("{}-{writer}-{n}", daemon.round);
        let record =
            json!({"properties": {"name": format!("w{writer}"), "type": "TXT", "content": content}}).to_string();
        let mine: Vec<String> = account.there.keys().filter(|(z, _)| *z == zone).map(|(_, id)| id.clone()).collect();
        let answer = match (random.below(4), mine.is_empty()) {
            (0 | 1, _) | (_, true) => {
                let key = format!("key-{content}");
                let answer = daemon.it.send_keyed(&key, "POST", &records, &record);
                account.open = Some(Open::Added(zone, key, record));
                answer.map(|(code, reply)| {
                    assert_eq!(code, 202, "{reply}");
                    account.there.insert((zone, reply["id"].as_str().expect("an id").to_owned()), content);
                })
            }
            (action, false) => {
                let id = mine[random.below(mine.len())].clone();
                let path = format!("{records}/{id}");
                let (method, body, becomes) = match action {
                    2 => ("PUT", record.as_str(), Some(content)),
                    _ => ("DELETE", "", None),
                };
                account.open = Some(Open::Changed(zone, id.clone(), becomes.clone()));
                daemon.it.send(method, &path, body).map(|(code, reply)| {
                    assert_eq!(code, 202, "{method} {path}: {reply}");
                    match becomes {
                        Some(content) => account.there.insert((zone, id), content),
                        None => account.there.remove(&(zone, id)),
                    };
                })
            }
        };
        if let Err(error) = answer {
            assert!(daemon.is_killed.load(Ordering::Relaxed), "before the kill: {error}");
            return account;
        }
        account.open = None;
        *account.changes.entry(zone).or_default() += 1;
        daemon.acknowledged.fetch_add(1, Ordering::Relaxed);
    }
    account
}

/// What all writers of one life share.
struct Daemon<'a> {
    it: &'a Secondaryd,
    zones: &'a [String],
    round: usize,
    acknowledged: &'a AtomicUsize,
    is_killed: &'a AtomicBool,
}

/// Many writers to one zone and to many, killed at any moment: no update is lost or made twice, the serial moves once for
/// each change, and a request without an answer can be sent again under its key. Longer: see the manual of the tests,
/// `CRASH_ROUNDS=100 CRASH_WRITERS=32 CRASH_SEED=7 cargo test --release --test local_crash many_writers`.
#[test]
fn many_writers_lose_nothing_and_do_nothing_twice_when_killed() {
    let (rounds, writers) = (setting("CRASH_ROUNDS", 3), setting("CRASH_WRITERS", 8));
    let seed = setting("CRASH_SEED", 20_261_129);
    println!("seed {seed}");
    let mut random = Random(seed as u64 | 1);
    let mut daemon = Secondaryd::reserve().started();
    let names: Vec<String> = (0..6).map(|n| format!("z{n}.example")).collect();
    let zones: Vec<String> = names.iter().map(|name| make_zone(&daemon, name)).collect();
    let mut accounts: Vec<Account> = (0..writers).map(|_| Account::default()).collect();
    for round in 0..rounds {
        let before: Vec<u32> = names.iter().map(|name| daemon.dns.serial(name).expect("served")).collect();
        let (acknowledged, is_killed) = (AtomicUsize::new(0), AtomicBool::new(false));
        let life = Daemon { it: &daemon, zones: &zones, round, acknowledged: &acknowledged, is_killed: &is_killed };
        let enough = 20 + random.below(120);
        let seeds: Vec<u64> = (0..writers).map(|_| random.below(1 << 60) as u64 | 1).collect();
        accounts = std::thread::scope(|scope| {
            let writing: Vec<_> = std::mem::take(&mut accounts)
                .into_iter()
                .zip(seeds)
                .enumerate()
                .map(|(writer, (account, seed))| {
                    let life = &life;
                    scope.spawn(move || keep_writing(life, writer, Random(seed), account))
                })
                .collect();
            wait::until_true("writes are acknowledged", Duration::from_secs(120), || {
                acknowledged.load(Ordering::Relaxed) >= enough
            });
            is_killed.store(true, Ordering::Relaxed);
            daemon.kill_now();
            writing.into_iter().map(|writing| writing.join().expect("a writer ends")).collect()
        });
        daemon.kill();
        daemon.start();
        check(&daemon, &names, &zones, &before, &mut accounts);
    }
}

/// What is there is what the accounts say, but for the requests without an answer, which are there wholly or not at all.
fn check(daemon: &Secondaryd, names: &[String], zones: &[String], before: &[u32], accounts: &mut [Account]) {
    for (index, zone) in zones.iter().enumerate() {
        let found = records(daemon, zone);
        let (serial, texts) = served_texts(daemon, zone);
        assert_eq!(texts, found.values().cloned().collect(), "what is served is what is listed");
        let changes: u32 = accounts.iter().map(|account| account.changes.get(&index).copied().unwrap_or(0)).sum();
        let open = accounts.iter().filter(|account| account.open_zone() == Some(index)).count() as u32;
        let moved = serial.wrapping_sub(before[index]);
        assert!((changes..=changes + open).contains(&moved), "{}: {moved} for {changes} (+{open})", names[index]);
    }
    for account in accounts {
        account.changes.clear();
        match account.open.take() {
            None => {}
            Some(Open::Changed(zone, id, becomes)) => {
                let found = records(daemon, &zones[zone]).remove(&id);
                let was = account.there.get(&(zone, id.clone())).cloned();
                assert!(found == was || found == becomes, "{id}: {found:?} is neither {was:?} nor {becomes:?}");
                match found {
                    Some(content) => account.there.insert((zone, id), content),
                    None => account.there.remove(&(zone, id)),
                };
            }
            Some(Open::Added(zone, key, body)) => {
                let path = format!("/zones/{}/records", zones[zone]);
                let (code, reply) = daemon.send_keyed(&key, "POST", &path, &body).expect("answered");
                let is_told = code == 409 && reply["messages"][0]["errorCode"] == "dns-idempotency-reply-lost";
                assert!(code == 202 || is_told, "{code} {reply}");
                let body: Value = serde_json::from_str(&body).expect("JSON");
                let content = body["properties"]["content"].as_str().expect("text");
                let found = records(daemon, &zones[zone]);
                let made: Vec<_> = found.iter().filter(|(_, other)| *other == content).collect();
                assert_eq!(made.len(), 1, "once, whether it had been carried out or not: {made:?}");
                account.there.insert((zone, made[0].0.clone()), content.to_owned());
            }
        }
        for ((zone, id), content) in &account.there {
            let (code, reply) = daemon.call("GET", &format!("/zones/{}/records/{id}", zones[*zone])).expect("answered");
            assert_eq!((code, reply["properties"]["content"].as_str()), (200, Some(content.as_str())), "{id}");
        }
    }
}

impl Account {
    fn open_zone(&self) -> Option<usize> {
        match self.open.as_ref()? {
            Open::Added(zone, ..) | Open::Changed(zone, ..) => Some(*zone),
        }
    }
}

#[test]
fn local_zones_are_counted_apart_from_secondary_ones() {
    // given
    let daemon = Secondaryd::reserve().started();

    // when
    make_zone(&daemon, "example.com");

    // then
    let text = daemon.expect("GET", "/metrics", 200);
    let text = text.as_str().expect("text");
    for line in ["secondaryd_zones{state=\"AVAILABLE\"} 0", "secondaryd_local_zones{state=\"AVAILABLE\"} 1"] {
        assert!(text.contains(&format!("\n{line}\n")), "{line} is not in\n{text}");
    }
}

/// A local zone, a reverse zone that a PTR has made, a switched-off zone and an issued token come back after a stop.
#[test]
fn local_zones_come_back_as_they_were() {
    let mut daemon = Secondaryd::reserve().started();
    let zone = make_zone(&daemon, "example.com");
    let ptr = json!({"properties": {"name": "host.example.com", "ip": "192.0.2.9"}}).to_string();
    assert_eq!(daemon.send("POST", "/reverserecords", &ptr).expect("answered").0, 201);
    let off = make_zone(&daemon, "off.example");
    let body = json!({"properties": {"zoneName": "off.example", "enabled": false}}).to_string();
    assert_eq!(daemon.send("PUT", &format!("/zones/{off}"), &body).expect("answered").0, 202);
    let token = daemon.expect("GET", "/auth/v1/tokens/generate?ttl=3600", 200);
    let token = token["token"].as_str().expect("a token");
    let before = ["/zones", "/records?filter.type=ALL", "/reverserecords"].map(|path| daemon.expect("GET", path, 200));
    daemon.stop();
    daemon.start();
    let after = ["/zones", "/records?filter.type=ALL", "/reverserecords"].map(|path| daemon.expect("GET", path, 200));
    assert_eq!(before, after);
    assert_eq!(daemon.call_as(token, "GET", &format!("/zones/{zone}")).expect("answered").0, 200);
    use hickory_proto::op::ResponseCode;
    use hickory_proto::rr::RecordType;
    assert_eq!(daemon.dns.rcode("off.example", RecordType::SOA), Some(ResponseCode::Refused));
    assert_eq!(daemon.dns.rcode("9.2.0.192.in-addr.arpa", RecordType::PTR), Some(ResponseCode::NoError));
    let (code, _) = daemon.call("DELETE", &format!("/zones/{zone}")).expect("answered");
    assert_eq!(code, 202);
    daemon.kill();
    daemon.start();
    assert_eq!(daemon.dns.rcode("example.com", RecordType::SOA), Some(ResponseCode::Refused));
    let zones = daemon.expect("GET", "/zones", 200);
    assert_eq!(zones["totalCount"], 2);
}

/// RFC 1996 §4.7 and RFC 1995: a downstream is told of each new serial and fetches the difference.
#[test]
fn a_downstream_follows_a_local_zone_by_notify_and_ixfr() {
    let downstream = Secondaryd::reserve();
    let tables = format!("[local]\nallow-transfer = [\"127.0.0.0/8\"]\nnotify = [\"{}\"]\n", downstream.address());
    // NOTIFY leaves by the address of the routing table, which for loopback is this one.
    let primary = harness::address::localhost();
    let daemon = Secondaryd::reserve().listening_at(primary).with_tables(&tables).started();
    let zone = make_zone(&daemon, "example.com");
    for n in 0..50 {
        let record = json!({"properties": {"name": format!("h{n}"), "type": "A", "content": "192.0.2.1"}});
        let (code, _) = daemon.send("POST", &format!("/zones/{zone}/records"), &record.to_string()).expect("answered");
        assert_eq!(code, 202);
    }
    let first = daemon.dns.serial("example.com").expect("served");
    let entry = harness::daemon::Entry::new("example.com", &[primary]);
    let downstream = downstream.with_zone(entry).started();
    downstream.dns.wait_serial("example.com", first, Duration::from_secs(30));
    let record = json!({"properties": {"name": "new", "type": "A", "content": "192.0.2.2"}}).to_string();
    assert_eq!(daemon.send("POST", &format!("/zones/{zone}/records"), &record).expect("answered").0, 202);
    // Its refresh is two hours away: only the NOTIFY can have told it.
    downstream.dns.wait_serial("example.com", first + 1, Duration::from_secs(30));
    let item =
        downstream.wait_item("example.com", 0, "done with an IXFR", |item| item["lastTransfer"]["type"] == "IXFR");
    assert_eq!(item["lastTransfer"]["toSerial"], first + 1);
    assert_eq!(downstream.record_count("example.com"), daemon_records(&daemon, &zone) + 1, "and the SOA");

    // What changes while the zone is switched off is told when it is switched on.
    let enable = |enabled: bool| {
        let body = json!({"properties": {"zoneName": "example.com", "enabled": enabled}}).to_string();
        assert_eq!(daemon.send("PUT", &format!("/zones/{zone}"), &body).expect("answered").0, 202);
    };
    enable(false);
    let record = json!({"properties": {"name": "off", "type": "A", "content": "192.0.2.3"}}).to_string();
    assert_eq!(daemon.send("POST", &format!("/zones/{zone}/records"), &record).expect("answered").0, 202);
    enable(true);
    let last = daemon.dns.serial("example.com").expect("served");
    downstream.dns.wait_serial("example.com", last, Duration::from_secs(30));

    // A zone of the same name that is made anew on the same day is another one, and its serials say so.
    assert_eq!(daemon.call("DELETE", &format!("/zones/{zone}")).expect("answered").0, 202);
    let zone = make_zone(&daemon, "example.com");
    let first = daemon.dns.serial("example.com").expect("served");
    assert_eq!(first, last + 1);
    downstream.dns.wait_serial("example.com", first, Duration::from_secs(30));
    assert_eq!(downstream.record_count("example.com"), daemon_records(&daemon, &zone) + 1);
}

/// Records of a local zone, the SOA not among them.
fn daemon_records(daemon: &Secondaryd, zone: &str) -> u64 {
    let list = daemon.expect("GET", &format!("/zones/{zone}/records?filter.type=ALL&limit=1"), 200);
    list["totalCount"].as_u64().expect("totalCount")
}
