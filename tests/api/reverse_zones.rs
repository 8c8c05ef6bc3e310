//! `/api/v1`: reverse zones by prefix, PTRs, domains and records, as their document shows them.

use serde_json::{Value, json};

use crate::client::Reply;
use crate::daemon::{ADMIN, Daemon, OBSERVER, STRANGER};
use crate::golden;

const ZONES: &str = "/api/v1/reverse-zones";
const DOMAINS: &str = "/api/v1/domains";

fn send(daemon: &Daemon, method: &str, target: &str, body: &Value) -> Reply {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    daemon.send(method, target, &[ADMIN], &body)
}

/// Sends and expects `status`; the body, null if there is none.
fn expect(daemon: &Daemon, method: &str, target: &str, body: &Value, status: u16) -> Value {
    let reply = send(daemon, method, target, body);
    assert_eq!(reply.status, status, "{method} {target} {body}: {reply:?}");
    if reply.body.is_empty() { Value::Null } else { reply.json() }
}

/// A reverse zone; its id.
fn zone(daemon: &Daemon, cidr: &str) -> String {
    let made = expect(daemon, "POST", ZONES, &json!({"cidr": cidr, "default_ttl": 1800}), 201);
    made["id"].as_str().expect("an id").to_owned()
}

fn hosts(list: &Value) -> Vec<&str> {
    list["data"].as_array().expect("data").iter().map(|ptr| ptr["ip"].as_str().expect("an ip")).collect()
}

#[test]
fn every_example_of_the_reference_is_answered_as_it_stands_there() {
    golden::play(&Daemon::start(), "reverse-zones.http");
}

#[test]
fn a_preview_says_what_zone_a_prefix_has_and_makes_none() {
    let daemon = Daemon::start();
    for (cidr, name, first, last, count, kind) in [
        ("10.0.0.0/8", "10.in-addr.arpa", "10.0.0.0", "10.255.255.255", "16777216", "reverse_ipv4"),
        ("10.0.0.0/16", "0.10.in-addr.arpa", "10.0.0.0", "10.0.255.255", "65536", "reverse_ipv4"),
        ("192.0.2.0/24", "2.0.192.in-addr.arpa", "192.0.2.0", "192.0.2.255", "256", "reverse_ipv4"),
        ("192.0.2.64/26", "64-26.2.0.192.in-addr.arpa", "192.0.2.64", "192.0.2.127", "64", "reverse_ipv4"),
        ("192.0.2.7/32", "7-32.2.0.192.in-addr.arpa", "192.0.2.7", "192.0.2.7", "1", "reverse_ipv4"),
        (
            "2001:db8::/32",
            "8.b.d.0.1.0.0.2.ip6.arpa",
            "2001:db8::",
            "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
            "79228162514264337593543950336",
            "reverse_ipv6",
        ),
    ] {
        let reply = send(&daemon, "POST", "/api/v1/reverse-zones/preview", &json!({ "cidr": cidr }));
        let shown = format!(
            r#"{{"zone_name":"{name}","start_ip":"{first}","end_ip":"{last}","ip_count":{count},"domain_type":"{kind}"}}"#
        );
        assert_eq!((reply.status, reply.body), (200, shown));
    }
    assert_eq!(expect(&daemon, "GET", ZONES, &Value::Null, 200)["total"], 0);
}

#[test]
fn prefixes_without_a_zone_are_refused_with_what_would_be_right() {
    let daemon = Daemon::start();
    for (cidr, part) in [
        ("192.0.0.0/20", "unsupported prefix length"),
        ("192.0.2.5/24", "192.0.2.0/24"),
        ("not-a-cidr", "is no prefix"),
        ("2001:db8::/33", "unsupported prefix length"),
        ("::ffff:192.0.2.0/120", "IPv4-mapped"),
        ("192.0.2.0", "is no prefix"),
    ] {
        for target in [ZONES, "/api/v1/reverse-zones/preview"] {
            let refused = expect(&daemon, "POST", target, &json!({ "cidr": cidr }), 400);
            assert!(refused["detail"].as_str().is_some_and(|text| text.contains(part)), "{refused}");
        }
    }
}

#[test]
fn what_is_missing_or_of_another_type_is_422_member_by_member() {
    let daemon = Daemon::start();
    let missing = expect(&daemon, "POST", ZONES, &json!({"description": "x"}), 422);
    let field_required = json!({"loc": ["body", "cidr"], "msg": "field required", "type": "value_error.missing"});
    assert_eq!(missing, json!({"detail": [field_required]}));
    let mistyped = expect(&daemon, "POST", ZONES, &json!({"cidr": 5, "default_ttl": "1"}), 422);
    assert_eq!(mistyped["detail"].as_array().map(Vec::len), Some(2), "{mistyped}");
    assert_eq!(expect(&daemon, "GET", "/api/v1/domains?page=0", &Value::Null, 422)["detail"][0]["loc"][1], "page");
}

#[test]
fn a_reverse_zone_is_pending_in_its_first_reply_and_active_from_then_on() {
    let daemon = Daemon::start();
    let body = json!({"cidr": "192.0.2.0/24", "default_ttl": 1800, "description": "lab"});
    let made = expect(&daemon, "POST", "/api/v1/reverse-zones/", &body, 201);
    assert_eq!(made["status"], "pending_validation");
    assert_eq!((&made["name"], &made["cidr"]), (&json!("2.0.192.in-addr.arpa"), &json!("192.0.2.0/24")));
    assert_eq!(made["nameservers"], json!(["ns1.example.net", "ns2.example.net"]));
    assert_eq!((&made["soa"]["mname"], &made["tenant_id"]), (&json!("ns1.example.net"), &json!("1000")));
    let id = made["id"].as_str().expect("an id");
    assert_eq!(expect(&daemon, "GET", &format!("{DOMAINS}/{id}"), &Value::Null, 200)["status"], "active");
    expect(&daemon, "POST", ZONES, &body, 409);
    for search in ["2.0.192", "192.0.2.0%2F24"] {
        let list = expect(&daemon, "GET", &format!("{ZONES}?search={search}"), &Value::Null, 200);
        assert_eq!((&list["total"], &list["data"][0]["id"]), (&json!(1), &made["id"]));
        assert_eq!((&list["page"], &list["page_size"], &list["total_pages"]), (&json!(1), &json!(50), &json!(1)));
    }
    expect(&daemon, "DELETE", &format!("{DOMAINS}/{id}"), &Value::Null, 204);
    assert_eq!(
        expect(&daemon, "GET", &format!("{DOMAINS}/{id}"), &Value::Null, 404),
        json!({"detail": "Zone not found"})
    );
}

#[test]
fn the_ptr_of_an_address_is_made_once_found_from_everywhere_and_removed() {
    let daemon = Daemon::start();
    let id = zone(&daemon, "192.0.2.0/24");
    let ptrs = format!("{ZONES}/{id}/ptr");
    let body = json!({"ip": "192.0.2.10", "hostname": "Host-10.example.com"});
    let made = expect(&daemon, "POST", &ptrs, &body, 201);
    assert_eq!(
        (&made["ip"], &made["hostname"], &made["ttl"]),
        (&json!("192.0.2.10"), &json!("host-10.example.com."), &json!(1800))
    );
    let taken = expect(&daemon, "POST", &ptrs, &body, 409);
    let detail = json!({"message": "PTR already exists for this IP", "field": "ip", "conflicts": [made["id"]]});
    assert_eq!(taken, json!({ "detail": detail }));
    // One object in all dialects.
    let listed = daemon.get("/reverserecords").json();
    assert_eq!(listed["items"][0]["properties"]["ip"], "192.0.2.10");
    let found = expect(&daemon, "GET", &format!("{ZONES}/lookup/192.0.2.10"), &Value::Null, 200);
    assert_eq!(
        found,
        json!({"ip": "192.0.2.10", "hostname": "host-10.example.com.", "zone_id": id, "zone_name": "2.0.192.in-addr.arpa"})
    );
    for (body, status) in [
        (json!({"ip": "198.51.100.1", "hostname": "x.example.com"}), 400),
        (json!({"ip": "2001:db8::1", "hostname": "x.example.com"}), 400),
        (json!({"ip": "192.0.2.11", "hostname": "192.0.2.12"}), 400),
        (json!({"ip": "192.0.2.11", "hostname": "single"}), 400),
        (json!({"ip": "192.0.2.11", "hostname": "x.example.com", "ttl": -1}), 400),
        (json!({"ip": "192.0.2.11"}), 422),
    ] {
        expect(&daemon, "POST", &ptrs, &body, status);
    }
    let changed = expect(&daemon, "PATCH", &format!("{ptrs}/192.0.2.10"), &json!({"hostname": "b.example.com"}), 200);
    assert_eq!((&changed["hostname"], &changed["id"]), (&json!("b.example.com."), &made["id"]));
    expect(&daemon, "DELETE", &format!("{ptrs}/192.0.2.10"), &Value::Null, 204);
    let gone = expect(&daemon, "DELETE", &format!("{ptrs}/192.0.2.10"), &Value::Null, 404);
    assert_eq!(gone, json!({"detail": "PTR not found"}));
    let none = expect(&daemon, "GET", &format!("{ZONES}/lookup/192.0.2.10"), &Value::Null, 404);
    assert_eq!(none, json!({"detail": "No PTR for 192.0.2.10"}));
    expect(&daemon, "GET", &format!("{ZONES}/lookup/nonsense"), &Value::Null, 400);
}

#[test]
fn ptrs_are_listed_by_address_and_searched_by_address_or_host() {
    let daemon = Daemon::start();
    let id = zone(&daemon, "192.0.2.0/24");
    let ptrs = format!("{ZONES}/{id}/ptr");
    let record = |n: u8| json!({"ip": format!("192.0.2.{n}"), "hostname": format!("host-{n}.example.com")});
    let records: Vec<Value> = [100, 9, 20, 10].into_iter().map(record).collect();
    let bulk = expect(&daemon, "POST", &format!("{ptrs}/bulk"), &json!({ "records": records }), 201);
    assert_eq!((&bulk["total_created"], &bulk["total_errors"]), (&json!(4), &json!(0)));
    assert_eq!(bulk["created"][0]["ip"], "192.0.2.100");
    let list = expect(&daemon, "GET", &format!("{ptrs}?page_size=3"), &Value::Null, 200);
    assert_eq!(hosts(&list), ["192.0.2.9", "192.0.2.10", "192.0.2.20"]);
    assert_eq!((&list["total"], &list["total_pages"]), (&json!(4), &json!(2)));
    let list = expect(&daemon, "GET", &format!("{ptrs}?search=HOST-10"), &Value::Null, 200);
    assert_eq!(hosts(&list), ["192.0.2.10", "192.0.2.100"]);
}

#[test]
fn a_bulk_is_all_or_nothing_and_names_every_objection() {
    let daemon = Daemon::start();
    let id = zone(&daemon, "192.0.2.0/24");
    let bulk = format!("{ZONES}/{id}/ptr/bulk");
    let ptr = |ip: &str| json!({"ip": ip, "hostname": "x.example.com"});
    expect(&daemon, "POST", &bulk, &json!({"records": [ptr("192.0.2.1")]}), 201);
    let records = json!([ptr("192.0.2.2"), ptr("192.0.2.1"), ptr("192.0.2.2"), ptr("198.51.100.1"), ptr("x")]);
    let refused = expect(&daemon, "POST", &bulk, &json!({ "records": records }), 400);
    let codes: Vec<(u64, &str)> = refused["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|error| (error["index"].as_u64().expect("an index"), error["code"].as_str().expect("a code")))
        .collect();
    assert_eq!(codes, [(1, "exists"), (2, "duplicate"), (3, "outside"), (4, "invalid")]);
    assert_eq!((&refused["total_created"], &refused["created"]), (&json!(0), &json!([])));
    expect(&daemon, "GET", &format!("{ZONES}/lookup/192.0.2.2"), &Value::Null, 404);
    // Collisions alone are a conflict.
    expect(&daemon, "POST", &bulk, &json!({"records": [ptr("192.0.2.1")]}), 409);
    let kept = json!({"records": records, "continue_on_error": true});
    let some = expect(&daemon, "POST", &bulk, &kept, 201);
    assert_eq!((&some["total_created"], &some["total_errors"]), (&json!(1), &json!(4)));
    let many: Vec<Value> = (0..1001).map(|_| ptr("192.0.2.3")).collect();
    expect(&daemon, "POST", &bulk, &json!({ "records": many }), 413);
    expect(&daemon, "POST", &bulk, &json!({"records": []}), 422);
}

#[test]
fn the_most_specific_zone_takes_a_ptr() {
    let daemon = Daemon::start();
    let wide = zone(&daemon, "192.0.2.0/24");
    let narrow = zone(&daemon, "192.0.2.64/26");
    let body = json!({"ip": "192.0.2.70", "hostname": "x.example.com"});
    let refused = expect(&daemon, "POST", &format!("{ZONES}/{wide}/ptr"), &body, 409);
    assert!(refused["detail"].as_str().is_some_and(|text| text.contains("64-26.2.0.192.in-addr.arpa")), "{refused}");
    expect(&daemon, "POST", &format!("{ZONES}/{narrow}/ptr"), &body, 201);
    let records = expect(&daemon, "GET", &format!("{DOMAINS}/{narrow}/records?type=PTR"), &Value::Null, 200);
    assert_eq!(records["data"][0]["name"], "70.64-26.2.0.192.in-addr.arpa");
    let found = expect(&daemon, "GET", &format!("{ZONES}/lookup/192.0.2.70"), &Value::Null, 200);
    assert_eq!(found["zone_id"], json!(narrow));
}

#[test]
fn ipv6_addresses_are_taken_in_any_spelling() {
    let daemon = Daemon::start();
    let id = zone(&daemon, "2001:db8::/64");
    let body = json!({"ip": "2001:0DB8:0:0::000a", "hostname": "six.example.com."});
    assert_eq!(expect(&daemon, "POST", &format!("{ZONES}/{id}/ptr"), &body, 201)["ip"], "2001:db8::a");
    let target = format!("{ZONES}/lookup/2001%3Adb8%3A0%3A0%3A0%3A0%3A0%3AA");
    assert_eq!(expect(&daemon, "GET", &target, &Value::Null, 200)["ip"], "2001:db8::a");
    expect(&daemon, "DELETE", &format!("{ZONES}/{id}/ptr/2001:db8::A"), &Value::Null, 204);
}

#[test]
fn domains_and_records_of_any_zone_are_served_by_the_generic_paths() {
    let daemon = Daemon::start();
    let made = expect(&daemon, "POST", DOMAINS, &json!({"name": "example.com", "domain_type": "primary"}), 201);
    let id = made["id"].as_str().expect("an id");
    let records = format!("{DOMAINS}/{id}/records");
    let mx = json!({"name": "@", "type": "MX", "content": "10 mail.example.com."});
    let shown = expect(&daemon, "POST", &records, &mx, 201);
    assert_eq!(
        (&shown["name"], &shown["display_name"], &shown["content"], &shown["ttl"], &shown["disabled"]),
        (&json!("example.com"), &json!("@"), &json!("10 mail.example.com."), &json!(3600), &json!(false))
    );
    let again = expect(&daemon, "POST", &records, &mx, 409);
    assert_eq!(again["detail"]["conflicts"], json!([shown["id"]]));
    let one = format!("{records}/{}", shown["id"].as_str().expect("an id"));
    assert_eq!(expect(&daemon, "GET", &one, &Value::Null, 200), shown);
    let changed = expect(&daemon, "PATCH", &one, &json!({"ttl": 600, "disabled": true}), 200);
    assert_eq!((&changed["ttl"], &changed["disabled"]), (&json!(600), &json!(true)));
    expect(&daemon, "PATCH", &one, &json!({"name": "www"}), 422);
    // SOA and apex NS are shown to those who ask.
    assert_eq!(expect(&daemon, "GET", &records, &Value::Null, 200)["total"], 1);
    let all = expect(&daemon, "GET", &format!("{records}?include_system=true"), &Value::Null, 200);
    assert_eq!(all["total"], 4);
    let app = |n: u8| json!({"name": format!("app{n}"), "type": "A", "content": format!("192.0.2.{n}"), "ttl": 300});
    let bulk = expect(&daemon, "POST", &format!("{records}/bulk"), &json!({"records": [app(1), app(2)]}), 201);
    let ids: Vec<&Value> = bulk["created"].as_array().expect("records").iter().map(|record| &record["id"]).collect();
    let unknown = json!({"record_ids": [ids[0], "r_aaaaaaaaaaaaaaaaaaaaaaaaaa"]});
    expect(&daemon, "POST", &format!("{records}/bulk-delete"), &unknown, 404);
    let gone = expect(&daemon, "POST", &format!("{records}/bulk-delete"), &json!({ "record_ids": ids }), 200);
    assert_eq!((&gone["total_deleted"], &gone["total_errors"]), (&json!(2), &json!(0)));
    let export = expect(&daemon, "GET", &format!("{DOMAINS}/{id}/export"), &Value::Null, 200);
    assert_eq!((&export["format"], &export["domain_name"]), (&json!("bind"), &json!("example.com")));
    assert!(export["zone_file"].as_str().is_some_and(|text| text.starts_with("$ORIGIN example.com.\n")));
    let file = daemon.get(&format!("{DOMAINS}/{id}/export/download"));
    assert_eq!(file.header("content-disposition"), Some("attachment; filename=\"example.com.zone\""));
    expect(&daemon, "GET", &format!("{ZONES}/{id}/ptr"), &Value::Null, 400);
    assert_eq!(daemon.get(&format!("{DOMAINS}/{id}/validation")).body, "null");
    expect(&daemon, "POST", &format!("{DOMAINS}/{id}/restore"), &Value::Null, 501);
}

#[test]
fn a_bulk_deletion_names_what_stays_by_its_place_in_the_request() {
    // given
    let daemon = Daemon::start();
    let made = expect(&daemon, "POST", DOMAINS, &json!({"name": "example.com", "domain_type": "primary"}), 201);
    let records = format!("{DOMAINS}/{}/records", made["id"].as_str().expect("an id"));
    let add = |n: u8| {
        let record = json!({"name": "app", "type": "A", "content": format!("192.0.2.{n}")});
        expect(&daemon, "POST", &records, &record, 201)["id"].clone()
    };
    let (first, second) = (add(1), add(2));
    let servers = expect(&daemon, "GET", &format!("{records}?include_system=true&type=NS"), &Value::Null, 200);
    let server = |n: usize| servers["data"][n]["id"].clone();
    let delete = |ids: &[&Value], keep_good: bool| {
        let body = json!({"record_ids": ids, "continue_on_error": keep_good});
        expect(&daemon, "POST", &format!("{records}/bulk-delete"), &body, 200)
    };
    // when: unknown ones, the last name server, and a record twice
    let (unknown, other) = (json!("r_aaaaaaaaaaaaaaaaaaaaaaaaaa"), json!("x"));
    let done = delete(&[&unknown, &server(0), &first, &server(1), &other, &first], true);
    // then
    assert_eq!(done["deleted"], json!([server(0), first]));
    let errors = done["errors"].as_array().expect("errors").iter();
    let told: Vec<_> = errors.map(|error| (error["index"].as_u64(), &error["id"])).collect();
    assert_eq!(told, [(Some(0), &unknown), (Some(3), &server(1)), (Some(4), &other)]);
    // A record that is there is deleted, however often it is named.
    assert_eq!(delete(&[&second, &second], false)["deleted"], json!([second]));
}

#[test]
fn a_transferred_zone_is_read_only_and_names_its_primaries() {
    let daemon = Daemon::start();
    let settings = json!({"primaries": [format!("127.0.0.9#{}", daemon.closed_port)]});
    let body = json!({"name": "8.0.10.in-addr.arpa", "domain_type": "secondary", "settings": settings});
    let made = expect(&daemon, "POST", DOMAINS, &body, 201);
    assert_eq!((&made["domain_type"], &made["settings"]["primaries"]), (&json!("secondary"), &settings["primaries"]));
    let id = made["id"].as_str().expect("an id");
    let ptr = json!({"ip": "10.0.8.1", "hostname": "x.example.com"});
    let refused = expect(&daemon, "POST", &format!("{ZONES}/{id}/ptr"), &ptr, 403);
    assert!(refused["detail"].as_str().is_some_and(|text| text.contains("127.0.0.9")), "{refused}");
    let record = json!({"name": "@", "type": "TXT", "content": "x"});
    expect(&daemon, "POST", &format!("{DOMAINS}/{id}/records"), &record, 403);
    expect(&daemon, "DELETE", &format!("{DOMAINS}/{id}"), &Value::Null, 204);
}

#[test]
fn callers_come_with_either_field_and_see_their_own_zones_only() {
    let daemon = Daemon::start();
    let id = zone(&daemon, "192.0.2.0/24");
    let target = format!("{DOMAINS}/{id}");
    assert_eq!(daemon.send("GET", &target, &[("X-API-Key", "admin-token")], "").status, 200);
    for headers in [&[][..], &[("X-API-Key", "wrong")], &[("X-Auth-Token", "admin-token")]] {
        let reply = daemon.send("GET", &target, headers, "");
        assert_eq!((reply.status, reply.json()), (401, json!({"detail": "Not authenticated"})));
    }
    // The field belongs to this dialect alone.
    assert_eq!(daemon.send("GET", "/zones", &[("X-API-Key", "admin-token")], "").status, 401);
    assert_eq!(daemon.send("GET", &target, &[STRANGER], "").status, 404);
    assert_eq!(daemon.send("GET", &target, &[OBSERVER], "").status, 200);
    assert_eq!(daemon.send("DELETE", &target, &[OBSERVER], "").status, 403);
    let reply = daemon.send("PUT", &target, &[ADMIN], "");
    assert!(reply.status == 405 && reply.header("allow").is_some() && reply.json()["detail"].is_string());
    assert!(daemon.get("/api/v1/nothing").json()["detail"].is_string());
}
