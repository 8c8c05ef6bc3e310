//! The Rackspace dialect: the login of its Identity, domains, records and jobs.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::client::Reply;
use crate::daemon::Daemon;
use crate::golden;

const TOKENS: &str = "/v2.0/tokens";

pub(crate) fn key_login(user: &str, key: &str) -> String {
    json!({"auth": {"RAX-KSKEY:apiKeyCredentials": {"username": user, "apiKey": key}}}).to_string()
}

#[test]
fn a_login_gives_a_token_last_and_one_endpoint_without_region() {
    let daemon = Daemon::start();
    let reply = daemon.send("POST", TOKENS, &[], &key_login("ann", "admin-token"));
    assert_eq!(reply.status, 200, "{reply:?}");
    let (start, end) = (r#"{"access":{"serviceCatalog":[{"endpoints":[{"tenantId":"1000","publicURL":"#, "}}}}");
    assert!(reply.body.starts_with(start) && reply.body.ends_with(end), "{reply:?}");
    assert!(reply.body.contains(r#""token":{"expires":"#) && !reply.body.contains("region"), "{reply:?}");
    let token = reply.json()["access"]["token"]["id"].as_str().expect("a token").to_owned();
    // It holds in the other dialects.
    assert_eq!(daemon.send("GET", "/zones", &[("Authorization", &format!("Bearer {token}"))], "").status, 200);
    assert_eq!(daemon.send("GET", "/v1.0/1000/domains", &[("X-Auth-Token", &token)], "").status, 200);
    let health = daemon.send("GET", "/health/zones", &[("Authorization", &format!("Bearer {token}"))], "");
    assert!(health.json()["items"].is_array(), "the caller's zones by name: {health:?}");
}

#[test]
fn a_wrong_login_is_401_and_an_unreadable_one_400() {
    let daemon = Daemon::start();
    let message = "Unable to authenticate user with credentials provided.";
    let unauthorized = json!({"unauthorized": {"code": 401, "message": message}});
    let foreign = r#"{"auth":{"passwordCredentials":{"username":"ann","password":"admin-token"},"tenantId":"2000"}}"#;
    for body in [&key_login("ann", "wrong"), &key_login("bob", "admin-token"), foreign] {
        let reply = daemon.send("POST", TOKENS, &[], body);
        assert_eq!((reply.status, reply.json()), (401, unauthorized.clone()));
    }
    let reply = daemon.send("POST", TOKENS, &[], "{");
    assert!(reply.status == 400 && reply.json()["badRequest"]["code"] == 400, "{reply:?}");
    let reply = daemon.send("GET", "/v1.0/1000/domains", &[("X-Auth-Token", "wrong")], "");
    assert_eq!((reply.status, reply.json()["code"].clone()), (401, json!(401)));
}

// -- Cloud DNS v1.0 -------------------------------------------------------------------------------

pub(crate) const ADMIN: (&str, &str) = ("X-Auth-Token", "admin-token");
const OBSERVER: (&str, &str) = ("X-Auth-Token", "observer-token");
const STRANGER: (&str, &str) = ("X-Auth-Token", "stranger-token");
pub(crate) const BASE: &str = "/v1.0/1000";

fn send(daemon: &Daemon, method: &str, target: &str, body: &Value) -> Reply {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    daemon.send(method, &format!("{BASE}{target}"), &[ADMIN], &body)
}

pub(crate) fn get(daemon: &Daemon, target: &str) -> Value {
    let reply = send(daemon, "GET", target, &Value::Null);
    assert_eq!(reply.status, 200, "{target}: {reply:?}");
    reply.json()
}

/// Sends what is answered with a job; the job with its details.
pub(crate) fn job(daemon: &Daemon, method: &str, target: &str, body: &Value) -> Value {
    let reply = send(daemon, method, target, body);
    assert_eq!((reply.status, &reply.json()["status"]), (202, &json!("RUNNING")), "{method} {target}: {reply:?}");
    let job = get(daemon, &format!("/status/{}?showDetails=true", reply.json()["jobId"].as_str().expect("an id")));
    assert_eq!(reply.json()["callbackUrl"], job["callbackUrl"]);
    job
}

/// A job that must have succeeded.
pub(crate) fn done(daemon: &Daemon, method: &str, target: &str, body: &Value) -> Value {
    let job = job(daemon, method, target, body);
    assert_eq!(job["status"], "COMPLETED", "{method} {target}: {job}");
    job
}

/// A job that must have failed with this code; its details.
pub(crate) fn failed(daemon: &Daemon, method: &str, target: &str, body: &Value, code: u16) -> String {
    let job = job(daemon, method, target, body);
    assert_eq!((&job["status"], &job["error"]["code"]), (&json!("ERROR"), &json!(code)), "{method} {target}: {job}");
    job["error"]["details"].as_str().expect("details are always there").to_owned()
}

/// A request that must be refused at once; what the fault says.
pub(crate) fn refused(daemon: &Daemon, method: &str, target: &str, body: &Value, status: u16) -> String {
    let reply = send(daemon, method, target, body);
    assert_eq!(reply.status, status, "{method} {target}: {reply:?}");
    let fault = reply.json();
    assert!(fault["message"].is_string() && fault["code"] == status, "{fault}");
    fault["details"].as_str().expect("details are always there").to_owned()
}

pub(crate) fn domain(daemon: &Daemon, name: &str) -> String {
    let body = json!({"domains": [{"name": name, "emailAddress": format!("ops@{name}")}]});
    let job = done(daemon, "POST", "/domains", &body);
    job["response"]["domains"][0]["id"].as_str().expect("an id").to_owned()
}

pub(crate) fn add(daemon: &Daemon, domain: &str, record: Value) -> Value {
    let job = done(daemon, "POST", &format!("/domains/{domain}/records"), &json!({"records": [record]}));
    job["response"]["records"][0].clone()
}

pub(crate) fn data<'a>(list: &'a Value, member: &str) -> Vec<&'a str> {
    let records = list["records"].as_array().expect("records");
    records.iter().map(|record| record[member].as_str().expect("a text")).collect()
}

/// The serial in DNS, from the exported file.
pub(crate) fn serial(daemon: &Daemon, domain: &str) -> u32 {
    let job = done(daemon, "GET", &format!("/domains/{domain}/export"), &Value::Null);
    let text = job["response"]["contents"].as_str().expect("a file");
    let soa = text.lines().find(|line| line.contains("\tSOA\t")).expect("a SOA");
    soa.split(' ').nth(2).and_then(|serial| serial.parse().ok()).expect("a serial")
}

#[test]
fn the_examples_on_records_are_as_recorded() {
    golden::play(&Daemon::start(), "rackspace-records.http");
}

#[test]
fn the_examples_in_xml_are_as_recorded() {
    golden::play(&Daemon::start(), "rackspace-xml.http");
}

#[test]
fn one_request_is_one_serial_step_and_an_equal_value_none() {
    let daemon = Daemon::start();
    let id = domain(&daemon, "example.com");
    let first = serial(&daemon, &id);
    let records = json!({"records": (1..=50).map(|n| json!({"name": format!("a{n}.example.com"), "type": "A", "data": "192.0.2.1"})).collect::<Vec<_>>()});
    let made = done(&daemon, "POST", &format!("/domains/{id}/records"), &records)["response"]["records"].clone();
    assert_eq!(serial(&daemon, &id), first + 1);
    let same = json!({"records": made.as_array().expect("records").iter().map(|r| json!({"id": r["id"], "data": r["data"]})).collect::<Vec<_>>()});
    done(&daemon, "PUT", &format!("/domains/{id}/records"), &same);
    assert_eq!(serial(&daemon, &id), first + 1, "equal values");
    let ids: Vec<String> =
        made.as_array().expect("records").iter().map(|r| format!("id={}", r["id"].as_str().expect("an id"))).collect();
    done(&daemon, "DELETE", &format!("/domains/{id}/records?{}", ids.join("&")), &Value::Null);
    assert_eq!(serial(&daemon, &id), first + 2);
}

#[test]
fn a_ttl_that_is_left_out_follows_the_domains() {
    let daemon = Daemon::start();
    let id = domain(&daemon, "example.com");
    let record = add(&daemon, &id, json!({"name": "a.example.com", "type": "A", "data": "192.0.2.1"}));
    let fixed = add(&daemon, &id, json!({"name": "b.example.com", "type": "A", "data": "192.0.2.1", "ttl": "600"}));
    assert_eq!((&record["ttl"], &fixed["ttl"]), (&json!(3600), &json!(600)));
    done(
        &daemon,
        "PUT",
        &format!("/domains/{id}"),
        &json!({"ttl": 900, "comment": "c", "emailAddress": "x@example.com"}),
    );
    let shown = get(&daemon, &format!("/domains/{id}"));
    assert_eq!(
        (&shown["ttl"], &shown["comment"], &shown["emailAddress"]),
        (&json!(900), &json!("c"), &json!("x@example.com"))
    );
    let ttl = |record: &Value| {
        get(&daemon, &format!("/domains/{id}/records/{}", record["id"].as_str().expect("an id")))["ttl"].clone()
    };
    assert_eq!((ttl(&record), ttl(&fixed)), (json!(900), json!(600)));
    done(&daemon, "PUT", &format!("/domains/{id}"), &json!({"comment": ""}));
    assert!(get(&daemon, &format!("/domains/{id}"))["comment"].is_null(), "an empty comment is none");
}

#[test]
fn a_batch_is_made_as_a_whole_or_not_at_all() {
    let daemon = Daemon::start();
    let id = domain(&daemon, "example.com");
    let records = format!("/domains/{id}/records");
    let a = add(&daemon, &id, json!({"name": "a.example.com", "type": "A", "data": "192.0.2.1"}));
    let b = add(&daemon, &id, json!({"name": "a.example.com", "type": "A", "data": "192.0.2.2"}));
    let before = serial(&daemon, &id);
    // An unknown id, and one whose type is another's.
    for unknown in ["A-1", "AAAA-1000003", "1000003", "A-01000003"] {
        let body = json!({"records": [{"id": a["id"], "data": "192.0.2.9"}, {"id": unknown, "data": "192.0.2.8"}]});
        assert_eq!(
            failed(&daemon, "PUT", &records, &body, 404),
            format!("The record with ID {unknown} was not found.")
        );
    }
    let body = json!({"records": [{"id": a["id"], "ttl": 300}, {"id": b["id"], "data": "192.0.2.1"}]});
    let details = failed(&daemon, "PUT", &records, &body, 400);
    assert_eq!(details, "Record is a duplicate of another record: (id=1000003, fqdn=a.example.com, data=192.0.2.1)");
    let cname = json!({"records": [{"name": "c.example.com", "type": "A", "data": "192.0.2.1"}, {"name": "a.example.com", "type": "CNAME", "data": "x.example.net"}]});
    assert!(failed(&daemon, "POST", &records, &cname, 409).contains("id=1000003"));
    assert_eq!(serial(&daemon, &id), before);
    assert_eq!(data(&get(&daemon, &format!("{records}?type=A")), "data"), ["192.0.2.1", "192.0.2.2"]);
    assert_eq!(done(&daemon, "PUT", &records, &json!({"records": []}))["error"], Value::Null);
    // The last NS stays; each deletion stands on its own.
    let gone = job(
        &daemon,
        "DELETE",
        &format!("{records}?id=NS-1000001&id=NS-1000002&id={}", a["id"].as_str().expect("an id")),
        &Value::Null,
    );
    assert_eq!(gone["error"]["failedItems"]["faults"][0]["code"], 409, "{gone}");
    assert_eq!(data(&get(&daemon, &records), "id"), ["NS-1000002", "A-1000004"]);
}

/// "Changes only data, priority, ttl, comment; left-out fields stay": those that are there when the change is made.
#[test]
fn fields_that_are_left_out_stay_as_the_change_before_has_left_them() {
    let daemon = Daemon::start();
    let id = domain(&daemon, "example.com");
    let records = format!("/domains/{id}/records");
    let mx = add(&daemon, &id, json!({"name": "a.example.com", "type": "MX", "data": "m.example.com", "priority": 1}));
    let srv = json!({"name": "_sip._tcp.example.com", "type": "SRV", "data": "1 5060 s.example.com", "priority": 1});
    let srv = add(&daemon, &id, srv);
    // given a request whose second half was read before its first was made, as two requests at once are
    let body = json!({"records": [
        {"id": mx["id"], "priority": 7777}, {"id": mx["id"], "data": "n.example.com"},
        {"id": srv["id"], "data": "2 5061 t.example.com"}, {"id": srv["id"], "priority": 9}, {"id": srv["id"], "comment": "c"},
    ]});
    // when it is made
    done(&daemon, "PUT", &records, &body);
    // then nothing of it is lost
    let shown = |record: &Value| get(&daemon, &format!("{records}/{}", record["id"].as_str().expect("an id")));
    let (mx_now, srv_now) = (shown(&mx), shown(&srv));
    assert_eq!((&mx_now["priority"], &mx_now["data"]), (&json!(7777), &json!("n.example.com")));
    assert_eq!((&srv_now["priority"], &srv_now["data"]), (&json!(9), &json!("2 5061 t.example.com")));
    assert_eq!(srv_now["comment"], "c");
    // and what only both together make wrong is a bad value still, no failed job
    for (body, place) in [
        (json!({"records": [{"id": srv["id"], "ttl": 400}, {"id": mx["id"], "data": "."}]}), "records[1].data: "),
        (
            json!({"records": [{"id": mx["id"], "data": ".", "priority": 0}, {"id": mx["id"], "priority": 5}]}),
            "records[1].data: ",
        ),
    ] {
        let reply = send(&daemon, "PUT", &records, &body);
        let wrong = reply.json()["validationErrors"]["messages"][0].as_str().unwrap_or_default().to_owned();
        assert_eq!((reply.status, wrong), (400, format!("{place}a null MX has priority 0 (RFC 7505).")));
    }
    assert_eq!((shown(&mx)["data"].clone(), shown(&srv)["ttl"].clone()), (json!("n.example.com"), json!(3600)));
}

#[test]
fn what_the_body_alone_shows_to_be_wrong_is_refused_at_once() {
    let daemon = Daemon::start();
    let id = domain(&daemon, "example.com");
    let records = format!("/domains/{id}/records");
    for (record, part) in [
        (json!({"type": "A"}), "records[0].data: is missing"),
        (json!({"data": "x"}), "type: is missing"),
        (json!({"type": "X", "data": "x"}), "is no record type"),
        (json!({"type": "SOA", "data": "a. b. 1 2 3 4 5"}), "cannot be written"),
        (json!({"type": "A", "data": "192.0.2.1", "priority": 1}), "only MX and SRV"),
        (json!({"type": "A", "data": "192.0.2.1", "ttl": "300s"}), "ttl: must be"),
        (json!({"type": "A", "data": "192.0.2.1", "name": "a.example.org"}), "example.com or a name below it"),
        (json!({"type": "A", "data": "192.0.2.1", "comment": "x".repeat(161)}), "161 characters"),
        (json!({"type": "SRV", "data": "1 2 a.example.com"}), "must be given for SRV"),
        (json!({"type": "PTR", "data": "a.example.com"}), "belong in reverse zones"),
        (json!({"type": "CNAME", "data": "a.example.com"}), "apex"),
        (json!({"type": "A", "data": 5}), "data: must be a string"),
        (json!({"name": "x*.example.com", "type": "A", "data": "192.0.2.1"}), "records[0].name: x*.example.com"),
    ] {
        let body = json!({"records": [record]});
        assert!(refused(&daemon, "POST", &records, &body, 400).contains(part), "{body}");
    }
    let ok = json!({"type": "TXT", "data": "x", "comment": "ü".repeat(160), "ttl": null, "priority": null});
    assert_eq!(add(&daemon, &id, ok)["comment"], "ü".repeat(160));
    let many: Vec<Value> =
        (0..101).map(|n| json!({"name": format!("a{n}.example.com"), "type": "A", "data": "192.0.2.1"})).collect();
    assert!(refused(&daemon, "POST", &records, &json!({"records": many}), 413).contains("at most 100"));
    let domain = json!({"domains": [{"name": "b.example", "emailAddress": "a@b.example", "recordsList": {"records": &many[..100]}}]});
    refused(&daemon, "POST", "/domains", &domain, 413);
    for body in [json!({"records": 5}), json!({"records": [5]})] {
        refused(&daemon, "POST", &records, &body, 400);
    }
    assert_eq!(daemon.send("POST", &format!("{BASE}{records}"), &[ADMIN], "[]").status, 400);
    assert_eq!(daemon.send("POST", &format!("{BASE}{records}"), &[ADMIN], "{").status, 400);
    let text = [ADMIN, ("Content-Type", "text/plain")];
    assert_eq!(daemon.send("POST", &format!("{BASE}{records}"), &text, "{}").status, 415);
    refused(&daemon, "DELETE", &records, &Value::Null, 400);
    let put = |body: Value| refused(&daemon, "PUT", &format!("{records}/TXT-1000003"), &body, 400);
    assert!(put(json!({"name": "b.example.com"})).contains("cannot be changed"));
    assert!(put(json!({"type": "A"})).contains("cannot be changed"));
    assert!(put(json!({"id": "TXT-1"})).contains("the path names"));
    assert!(refused(&daemon, "PUT", &format!("/domains/{id}"), &json!({"name": "example.com"}), 400).contains("name"));
    assert!(
        refused(&daemon, "POST", "/domains", &json!({"domains": [{"name": "x.example"}]}), 400)
            .contains("emailAddress")
    );
    let record = json!({"type": "A", "data": "192.0.2.1"});
    for (member, value, part) in [
        ("recordsList", json!([record]), "recordsList must be an object"),
        ("recordsList", json!("x"), "recordsList must be an object"),
        ("recordsList", json!({"record": [record]}), "with the list records"),
        ("recordsList", json!({"records": record}), "records must be a list"),
        ("subdomains", json!([{"name": "a.x.example"}]), "subdomains must be an object"),
    ] {
        let mut body = json!({"domains": [{"name": "x.example", "emailAddress": "a@x.example"}]});
        body["domains"][0][member] = value;
        assert!(refused(&daemon, "POST", "/domains", &body, 400).contains(part), "{body}");
    }
    for target in ["/domains?limit=0", "/domains?limit=10&offset=5", "/domains?limit=x", "/domains?marker=1"] {
        refused(&daemon, "GET", target, &Value::Null, 400);
    }
    refused(&daemon, "GET", &format!("{records}?type=X"), &Value::Null, 400);
    refused(&daemon, "GET", &format!("{records}?type="), &Value::Null, 400);
}

#[test]
fn services_may_change_their_name_and_other_records_may_not() {
    let daemon = Daemon::start();
    let id = domain(&daemon, "example.com");
    let srv = add(
        &daemon,
        &id,
        json!({"name": "_sip._tcp.example.com", "type": "SRV", "data": "3443 sip.example.com", "priority": 30}),
    );
    assert_eq!((&srv["data"], &srv["priority"]), (&json!("0 3443 sip.example.com"), &json!(30)));
    let target = format!("/domains/{id}/records/{}", srv["id"].as_str().expect("an id"));
    done(&daemon, "PUT", &target, &json!({"name": "_sips._tcp.example.com", "priority": 1}));
    let shown = get(&daemon, &target);
    assert_eq!(
        (&shown["name"], &shown["data"], &shown["priority"]),
        (&json!("_sips._tcp.example.com"), &json!("0 3443 sip.example.com"), &json!(1))
    );
    assert!(
        refused(&daemon, "PUT", &target, &json!({"name": "_sips._tcp.a.example.com"}), 400)
            .contains("cannot be changed")
    );
    let text = add(&daemon, &id, json!({"type": "TXT", "data": "\"a \\\"b\\\"\""}));
    assert_eq!(text["data"], "a \"b\"");
}

#[test]
fn records_are_found_by_name_type_and_data() {
    let daemon = Daemon::start();
    let id = domain(&daemon, "example.com");
    for name in ["_acme-challenge.example.com", "*.example.com", "www.example.com"] {
        add(&daemon, &id, json!({"name": name, "type": "TXT", "data": "x"}));
    }
    add(&daemon, &id, json!({"name": "example.com", "type": "CAA", "data": "0 issue \"ca.example.net\""}));
    let found = |query: &str| {
        let list = get(&daemon, &format!("/domains/{id}/records?{query}"));
        let names = data(&list, "name").into_iter().map(str::to_owned).collect::<Vec<_>>();
        (names.join(" "), list["totalEntries"].as_u64().expect("a number"))
    };
    assert_eq!(found("name=_ACME-challenge.example.com."), ("_acme-challenge.example.com".to_owned(), 1));
    assert_eq!(found("name=*.example.com&type=TXT"), ("*.example.com".to_owned(), 1));
    assert_eq!(found("type=txt&data=x&limit=1&offset=1&per_page=7").1, 3);
    assert_eq!(found("data=y"), (String::new(), 0));
    assert_eq!(found("name=a..b").1, 0);
    assert_eq!(found("type=CAA").1, 1);
    assert_eq!((found("").1, found("allTypes=true").1), (5, 6), "other types are listed on demand");
    assert_eq!(found("type=SOA").1, 0);
    assert_eq!(found("marker=TXT-1000005&limit=1").0, "www.example.com");
}

/// The target, below the account, of a list's link.
pub(crate) fn linked(list: &Value, rel: &str) -> Option<String> {
    let link = list["links"].as_array()?.iter().find(|link| link["rel"] == rel)?;
    let (_, target) = link["href"].as_str().expect("a URL").split_once(BASE).expect("of the account");
    Some(target.to_owned())
}

/// Offsets are multiples of the limit; the place of a marker need not be one.
#[test]
fn links_of_a_page_that_begins_with_a_marker_lead_on_and_back() {
    // given
    let daemon = Daemon::start();
    let ids = ["a", "b", "d", "e", "f"].map(|label| domain(&daemon, &format!("{label}.example")));
    let names = |list: &Value| {
        let domains = list["domains"].as_array().expect("domains").iter();
        domains.map(|domain| domain["name"].as_str().expect("a name")).collect::<Vec<_>>().join(" ")
    };
    // when
    let first = get(&daemon, &format!("/domains?limit=2&marker={}", ids[1]));
    let second = get(&daemon, &linked(&first, "next").expect("more"));
    let third = get(&daemon, &linked(&second, "next").expect("more"));
    // then
    assert_eq!(
        [&first, &second, &third].map(names),
        ["b.example configured.example", "d.example e.example", "f.example"]
    );
    assert_eq!(linked(&third, "next"), None);
    let back = |list: &Value| names(&get(&daemon, &linked(list, "previous").expect("less")));
    assert_eq!((back(&third), back(&second)), (names(&second), names(&first)));
    assert_eq!(back(&first), "a.example b.example", "the page that holds what stands before the marker");
}

#[test]
fn domains_are_found_paged_and_deleted_with_what_is_below() {
    let daemon = Daemon::start();
    for name in ["example.com", "a.example.com", "b.a.example.com", "other.example"] {
        domain(&daemon, name);
    }
    let names = |target: &str| {
        let list = get(&daemon, target);
        let names =
            list["domains"].as_array().expect("domains").iter().map(|d| d["name"].as_str().expect("a name").to_owned());
        (names.collect::<Vec<_>>().join(" "), list["totalEntries"].as_u64().expect("a number"))
    };
    assert_eq!(names("/domains").0, "example.com a.example.com b.a.example.com configured.example other.example");
    assert_eq!(names("/domains?name=a.Example.com."), ("a.example.com".to_owned(), 1));
    assert_eq!(names("/domains?name=nothing.example"), (String::new(), 0));
    assert_eq!(names("/domains/search?name=EXAMPLE.c").1, 3);
    assert_eq!(names("/domains/search?name=ex").1, 0, "three characters at least");
    assert_eq!(names("/domains/1000002/subdomains").0, "a.example.com b.a.example.com");
    assert_eq!(names("/domains?marker=1000005&limit=1").0, "other.example");
    let page = get(&daemon, "/domains?limit=2&offset=2");
    let link = |offset: u32, rel: &str| json!({"content": "", "href": format!("http://{}{BASE}/domains?limit=2&offset={offset}", daemon.api), "rel": rel});
    assert_eq!(page["links"], json!([link(0, "previous"), link(4, "next")]));
    assert_eq!(names("/domains?limit=1000&offset=100"), (String::new(), 5), "a page behind the end is empty");
    let shown = get(&daemon, "/domains/1000002?limit=1");
    assert_eq!((&shown["subdomains"]["totalEntries"], &shown["recordsList"]["totalEntries"]), (&json!(2), &json!(2)));
    assert!(shown["recordsList"]["links"].is_array() && shown["nameservers"][1]["name"] == "ns2.example.net");
    let bare = get(&daemon, "/domains/1000002?showRecords=false&showSubdomains=False");
    assert!(bare["recordsList"].is_null() && bare["subdomains"].is_null());

    assert!(failed(&daemon, "POST", "/domains", &json!({"domains": [{"name": "new.example", "emailAddress": "a@b.example"}, {"name": "example.com", "emailAddress": "a@b.example"}]}), 409).contains("already exists"));
    assert_eq!(names("/domains?name=new.example").1, 0, "all or none");
    let put = json!({"domains": [{"id": 1000002, "ttl": 600}, {"id": "1000005", "ttl": 600}, {"id": "7", "ttl": 600}]});
    assert_eq!(failed(&daemon, "PUT", "/domains", &put, 404), "The domain with ID 7 was not found.");
    assert_eq!(get(&daemon, "/domains/1000002")["ttl"], 3600);
    let put = json!({"domains": [{"id": 1000002, "ttl": 600}, {"id": "1000005", "ttl": 600}]});
    done(&daemon, "PUT", "/domains", &put);
    assert_eq!(get(&daemon, "/domains/1000002")["ttl"], 600);

    let gone = job(&daemon, "DELETE", "/domains?id=1000005&id=7&deleteSubdomains=true", &Value::Null);
    assert_eq!(gone["error"]["failedItems"]["faults"][0]["details"], "The domain with ID 7 was not found.");
    done(&daemon, "DELETE", "/domains/1000003", &Value::Null);
    assert_eq!(names("/domains").0, "example.com b.a.example.com configured.example");
    done(&daemon, "DELETE", "/domains/1000002?deleteSubzones=true", &Value::Null);
    assert_eq!(names("/domains").0, "configured.example");
    refused(&daemon, "DELETE", "/domains/1000002", &Value::Null, 404);
    // A domain of the configuration is deleted there.
    refused(&daemon, "DELETE", "/domains/1000001", &Value::Null, 403);
}

#[test]
fn name_servers_that_are_sent_take_the_place_of_the_default_ones() {
    let daemon = Daemon::start();
    let records = json!([{"type": "NS", "data": "ns2.example.net.", "ttl": 900, "comment": "ours"}, {"type": "NS", "data": "ns.example.org"}]);
    let body = json!({"domains": [{"name": "example.com", "emailAddress": "a@example.com", "recordsList": {"records": records}}]});
    let made = done(&daemon, "POST", "/domains", &body)["response"]["domains"][0].clone();
    assert_eq!(data(&made["recordsList"], "data"), ["ns2.example.net", "ns.example.org"]);
    let list = get(&daemon, "/domains/1000002/records");
    assert_eq!(data(&list, "data"), ["ns.example.org", "ns1.example.net", "ns2.example.net"]);
    assert_eq!((&list["records"][2]["ttl"], &list["records"][2]["comment"]), (&json!(900), &json!("ours")));
}

#[test]
fn jobs_are_kept_over_a_restart_and_belong_to_their_account() {
    let daemon = Daemon::start();
    let id = domain(&daemon, "example.com");
    let reply = send(
        &daemon,
        "POST",
        &format!("/domains/{id}/records"),
        &json!({"records": [{"type": "A", "data": "192.0.2.1"}]}),
    );
    let made = reply.json()["jobId"].as_str().expect("an id").to_owned();
    failed(
        &daemon,
        "POST",
        &format!("/domains/{id}/records"),
        &json!({"records": [{"type": "A", "data": "192.0.2.1"}]}),
        400,
    );
    let before = get(&daemon, "/status?showDetails=true");
    let order: Vec<&str> = before["asyncResponses"]
        .as_array()
        .expect("jobs")
        .iter()
        .map(|job| job["status"].as_str().expect("a word"))
        .collect();
    assert_eq!((order, &before["totalEntries"]), (vec!["ERROR", "COMPLETED", "COMPLETED"], &json!(3)));
    assert_eq!(get(&daemon, "/status?showErrors=false&limit=1")["totalEntries"], 2);
    assert_eq!(get(&daemon, "/status?showCompleted=false")["asyncResponses"][0].as_object().expect("a job").len(), 3);

    let daemon = daemon.restart();
    let at = |callback: &Value| callback.as_str().map(|url| url.split_once("/v1.0").expect("a path").1.to_owned());
    let after = get(&daemon, "/status?showDetails=true");
    for (before, after) in
        before["asyncResponses"].as_array().expect("jobs").iter().zip(after["asyncResponses"].as_array().expect("jobs"))
    {
        for member in ["request", "status", "response", "error", "verb", "jobId", "requestUrl"] {
            assert_eq!(before[member], after[member]);
        }
        assert_eq!(at(&before["callbackUrl"]), at(&after["callbackUrl"]));
    }
    let job = get(&daemon, &format!("/status/{made}?showDetails=true"));
    assert_eq!(job["response"]["records"][0]["data"], "192.0.2.1");
    let foreign = daemon.send("GET", &format!("/v1.0/2000/status/{made}"), &[STRANGER], "");
    assert_eq!(foreign.status, 404, "{foreign:?}");
    for id in [&made[1..], "x", "e74d0d15-f567-4b7b-9069-26ee1f93bae3"] {
        refused(&daemon, "GET", &format!("/status/{id}"), &Value::Null, 404);
    }
    // New ones stand before the old.
    domain(&daemon, "later.example");
    assert_eq!(get(&daemon, "/status?showErrors=false")["totalEntries"], 3);
}

#[test]
fn other_accounts_and_their_objects_are_out_of_reach() {
    let daemon = Daemon::start();
    let id = domain(&daemon, "example.com");
    let record = add(&daemon, &id, json!({"type": "A", "data": "192.0.2.1"}))["id"].as_str().expect("an id").to_owned();
    let theirs =
        |method: &str, target: &str, body: &str| daemon.send(method, &format!("/v1.0/2000{target}"), &[STRANGER], body);
    for (method, target) in [
        ("GET", format!("/domains/{id}")),
        ("GET", format!("/domains/{id}/records")),
        ("GET", format!("/domains/{id}/records/{record}")),
        ("DELETE", format!("/domains/{id}/records?id={record}")),
        ("DELETE", format!("/domains/{id}")),
        ("GET", format!("/domains/{id}/export")),
        ("GET", format!("/domains/{id}/changes")),
    ] {
        let reply = theirs(method, &target, "");
        assert_eq!(reply.status, 404, "{method} {target}: {reply:?}");
    }
    assert_eq!(theirs("GET", "/domains", "").json()["totalEntries"], 0);
    let ids = theirs("DELETE", &format!("/domains?id={id}"), "");
    let job = theirs("GET", &format!("/status/{}", ids.json()["jobId"].as_str().expect("an id")), "");
    assert_eq!(job.json()["status"], "ERROR");
    // An account that is not the token's is 401, whatever the path; unknown paths and methods of one's own are 404 and 405.
    for (headers, account) in [(ADMIN, "2000"), (STRANGER, "1000"), (ADMIN, "01000"), (("X-Auth-Token", "no"), "1000")]
    {
        for path in ["domains", "nothing"] {
            let reply = daemon.send("GET", &format!("/v1.0/{account}/{path}"), &[headers], "");
            assert_eq!((reply.status, reply.header("x-api-version")), (401, Some("1.0.17")), "{account}: {reply:?}");
        }
    }
    assert_eq!(refused(&daemon, "GET", "/nothing", &Value::Null, 404), "There is nothing at /v1.0/1000/nothing.");
    let reply = send(&daemon, "PATCH", "/domains", &Value::Null);
    assert_eq!((reply.status, reply.header("x-api-version")), (405, Some("1.0.17")));
    assert!(reply.header("allow").is_some_and(|allow| allow.contains("POST")));
    // Observers look and write nothing.
    let observe = |method: &str, target: &str, body: &str| {
        daemon.send(method, &format!("{BASE}{target}"), &[OBSERVER], body).status
    };
    assert_eq!(observe("GET", &format!("/domains/{id}"), ""), 200);
    assert_eq!(observe("GET", &format!("/domains/{id}/export"), ""), 202);
    assert_eq!(observe("POST", "/domains", "{}"), 403);
    assert_eq!(observe("DELETE", &format!("/domains/{id}"), ""), 403);
}

#[test]
fn transferred_zones_are_shown_and_deleted_but_edited_at_their_primaries() {
    let daemon = Daemon::start();
    daemon.create_dead("second.example");
    let shown = get(&daemon, "/domains?name=second.example")["domains"][0].clone();
    assert_eq!(shown["kind"], "secondary");
    // Its one primary refuses connections, sooner or later.
    assert!(matches!(shown["transferState"].as_str(), Some("PROVISIONING" | "FAILED")), "{shown}");
    let id = shown["id"].as_str().expect("an id");
    assert_eq!(get(&daemon, &format!("/domains/{id}/records")), json!({"totalEntries": 0, "records": []}));
    let primary = format!("127.0.1.1#{}", daemon.closed_port);
    for (method, target, body) in [
        ("POST", format!("/domains/{id}/records"), json!({"records": []})),
        ("PUT", format!("/domains/{id}/records"), json!({"records": []})),
        ("DELETE", format!("/domains/{id}/records?id=A-1"), Value::Null),
        ("PUT", format!("/domains/{id}/records/A-1"), json!({})),
        ("DELETE", format!("/domains/{id}/records/A-1"), Value::Null),
        ("PUT", format!("/domains/{id}"), json!({"ttl": 300})),
    ] {
        assert!(refused(&daemon, method, &target, &body, 403).contains(&primary), "{method} {target}");
    }
    refused(&daemon, "GET", &format!("/domains/{id}/records/A-1"), &Value::Null, 404);
    done(&daemon, "DELETE", &format!("/domains/{id}"), &Value::Null);
    refused(&daemon, "GET", &format!("/domains/{id}"), &Value::Null, 404);
}

#[test]
fn writers_at_the_same_time_lose_nothing_and_each_batch_is_whole() {
    let daemon = Daemon::start();
    let id = domain(&daemon, "example.com");
    let first = serial(&daemon, &id);
    const WRITERS: usize = 8;
    const BATCHES: usize = 5;
    const RECORDS: usize = 10;
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (daemon, id) = (&daemon, &id);
            scope.spawn(move || {
                for batch in 0..BATCHES {
                    let name = |n: usize| format!("w{writer}-{batch}-{n}.example.com");
                    let records: Vec<Value> = (0..RECORDS).map(|n| json!({"name": name(n), "type": "A", "data": "192.0.2.1"})).collect();
                    done(daemon, "POST", &format!("/domains/{id}/records"), &json!({"records": records}));
                    // One that fails leaves nothing, beside those that do not.
                    let bad = json!({"records": [{"name": format!("bad{writer}-{batch}.example.com"), "type": "A", "data": "192.0.2.1"}, {"name": name(0), "type": "A", "data": "192.0.2.1"}]});
                    failed(daemon, "POST", &format!("/domains/{id}/records"), &bad, 400);
                }
            });
        }
    });
    assert_eq!(get(&daemon, &format!("/domains/{id}/records?type=A"))["totalEntries"], WRITERS * BATCHES * RECORDS);
    assert_eq!(serial(&daemon, &id), first + (WRITERS * BATCHES) as u32);
    let numbers: BTreeSet<String> = (0..4)
        .flat_map(|page| {
            data(&get(&daemon, &format!("/domains/{id}/records?type=A&limit=100&offset={}", page * 100)), "id")
                .into_iter()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(numbers.len(), WRITERS * BATCHES * RECORDS, "no page shows a record twice");
}

#[test]
fn a_definition_in_xml_is_refused_before_it_can_grow() {
    let daemon = Daemon::start();
    let id = domain(&daemon, "example.com");
    let xml = [ADMIN, ("Content-Type", "application/xml")];
    let target = format!("{BASE}/domains/{id}/records");
    for body in [
        r#"<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]><record><type>TXT</type><data>&b;</data></record>"#,
        r#"<!DOCTYPE r SYSTEM "http://127.0.0.1:1/x.dtd"><record><type>TXT</type><data>x</data></record>"#,
        "<record><type>TXT</type><data>&outside;</data></record>",
        "<record><type>TXT</type>",
        "not XML",
    ] {
        let reply = daemon.send("POST", &target, &xml, body);
        assert_eq!((reply.status, &reply.json()["code"]), (400, &json!(400)), "{body}: {reply:?}");
    }
    let deep = format!("{}{}", "<a>".repeat(20_000), "</a>".repeat(20_000));
    assert_eq!(daemon.send("POST", &target, &xml, &deep[..60_000]).status, 400);
    assert_eq!(get(&daemon, &format!("/domains/{id}/records"))["totalEntries"], 2);
}
