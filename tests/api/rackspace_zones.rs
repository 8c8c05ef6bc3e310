//! The Rackspace dialect: import, export, clones, the log of changes, limits, PTRs of devices.

use serde_json::{Value, json};

use crate::daemon::{self, Daemon};
use crate::rackspace::{ADMIN, BASE, add, data, domain, done, failed, get, linked, refused, serial};
use crate::records::{APEX, ZONE, loaded};

/// The example of the original's chapter on imports, `@` in the mailbox included.
const IMPORTED: &str = "\nexample.net. 3600 IN SOA dns1.stabletransit.com. sample@rackspace.com. 1308874739 3600 3600 3600 3600\n\
    example.net. 86400 IN A 110.11.12.16\nexample.net. 3600 IN MX 5 mail2.example.net.\n\
    www.example.net. 5400 IN CNAME example.net.\n";

fn import(contents: &str) -> Value {
    json!({"domains": [{"contentType": "BIND_9", "comment": "imported", "contents": contents}]})
}

#[test]
fn a_zone_file_becomes_a_domain_and_a_domain_a_zone_file() {
    let daemon = Daemon::start();
    let made = done(&daemon, "POST", "/domains/import", &import(IMPORTED))["response"]["domains"][0].clone();
    assert_eq!(
        (&made["name"], &made["emailAddress"], &made["comment"]),
        (&json!("example.net"), &json!("sample@rackspace.com"), &json!("imported"))
    );
    assert_eq!(made["nameservers"], json!([{"name": "ns1.example.net"}, {"name": "ns2.example.net"}]));
    let id = made["id"].as_str().expect("an id");
    let list = get(&daemon, &format!("/domains/{id}/records"));
    assert_eq!(data(&list, "data")[..1], ["110.11.12.16"]);
    assert_eq!(list["totalEntries"], 5);
    let export = done(&daemon, "GET", &format!("/domains/{id}/export"), &Value::Null);
    let response = export["response"].as_object().expect("an object");
    assert_eq!(
        (&response["contentType"], &response["id"], &response["accountId"]),
        (&json!("BIND_9"), &json!(id), &json!("1000"))
    );
    assert!(export["request"].is_null() && export["verb"] == "GET");
    // What was exported is the same domain once it is imported again.
    let contents = response["contents"].as_str().expect("a file").to_owned();
    done(&daemon, "DELETE", &format!("/domains/{id}"), &Value::Null);
    let again = done(&daemon, "POST", "/domains/import", &import(&contents))["response"]["domains"][0]["id"].clone();
    let exported = done(&daemon, "GET", &format!("/domains/{}/export", again.as_str().expect("an id")), &Value::Null);
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().filter(|line| !line.contains("\tSOA\t")).map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(exported["response"]["contents"].as_str().expect("a file")), sorted(&contents));
    assert_eq!(failed(&daemon, "POST", "/domains/import", &import(IMPORTED), 409), "Domain already exists");
}

#[test]
fn a_wrong_line_of_a_zone_file_is_named_and_nothing_made() {
    let daemon = Daemon::start();
    for (contents, part) in [
        ("a.example. 60 IN A 192.0.2.1\n", "no SOA"),
        ("example.net. 60 IN SOA a. b. 1 2 3 4 5\nwww.example.net. 60 IN A 192.0.2.256\n", "line 2:"),
        ("example.net. 60 IN SOA a. b. 1 2 3 4 5\n\nother.org. 60 IN A 192.0.2.1\n", "line 3:"),
        (". 60 IN SOA a. b. 1 2 3 4 5\n", "two labels"),
        ("$INCLUDE /etc/passwd\n", "line 1:"),
    ] {
        let details = refused(&daemon, "POST", "/domains/import", &import(contents), 400);
        assert!(details.contains(part), "{contents}: {details}");
    }
    // Of several files the one that is wrong is named, whether it does not read or may not be.
    for wrong in ["www.example.com. 60 IN A 192.0.2.256", "www.example.com. 60 IN PTR a.example.com."] {
        let mut several = import(IMPORTED);
        let contents = format!("example.com. 60 IN SOA a. b. 1 2 3 4 5\n{wrong}\n");
        several["domains"].as_array_mut().expect("domains").push(import(&contents)["domains"][0].clone());
        let details = refused(&daemon, "POST", "/domains/import", &several, 400);
        assert!(details.contains("domains[1].contents: line 2: "), "{details}");
    }
    let other = json!({"domains": [{"contentType": "DJB", "contents": IMPORTED}]});
    assert!(refused(&daemon, "POST", "/domains/import", &other, 400).contains("BIND_9"));
    assert_eq!(get(&daemon, "/domains")["totalEntries"], 1);
    // In XML too.
    let body = format!(
        "<domains><domain contentType=\"BIND_9\"><contents><![CDATA[{IMPORTED}]]></contents></domain></domains>"
    );
    let xml = [ADMIN, ("Content-Type", "application/xml"), ("Accept", "application/xml")];
    let reply = daemon.send("POST", &format!("{BASE}/domains/import"), &xml, &body);
    assert_eq!((reply.status, reply.header("content-type")), (202, Some("application/xml")), "{reply:?}");
    assert_eq!(get(&daemon, "/domains")["totalEntries"], 2);
}

#[test]
fn a_clone_follows_its_new_name() {
    let daemon = Daemon::start();
    let body = json!({"domains": [{"name": "example.com", "emailAddress": "ops@example.com", "comment": "of example.com", "ttl": 900,
        "recordsList": {"records": [
            {"name": "www.example.com", "type": "CNAME", "data": "web.example.com"},
            {"name": "example.com", "type": "MX", "data": "mail.example.com", "priority": 5, "ttl": 600},
            {"name": "example.com", "type": "TXT", "data": "v=spf1 include:example.com", "comment": "see example.com"},
            {"name": "example.com", "type": "A", "data": "192.0.2.1"},
            {"name": "example.com", "type": "NS", "data": "ns.example.com"}]},
        "subdomains": {"domains": [{"name": "sub.example.com"}]}}]});
    let made = done(&daemon, "POST", "/domains", &body)["response"]["domains"][0].clone();
    let id = made["id"].as_str().expect("an id");
    let job = done(&daemon, "POST", &format!("/domains/{id}/clone?cloneName=new.example"), &Value::Null);
    let domains = job["response"]["domains"].as_array().expect("domains");
    let names: Vec<&str> = domains.iter().map(|domain| domain["name"].as_str().expect("a name")).collect();
    assert_eq!(names, ["new.example", "sub.new.example"]);
    assert_eq!(
        (&domains[0]["emailAddress"], &domains[0]["comment"], &domains[0]["ttl"]),
        (&json!("ops@new.example"), &json!("of new.example"), &json!(900))
    );
    let clone = format!("/domains/{}/records", domains[0]["id"].as_str().expect("an id"));
    let list = get(&daemon, &clone);
    assert_eq!(
        data(&list, "data"),
        [
            "192.0.2.1",
            "ns.example.com",
            "ns1.example.net",
            "ns2.example.net",
            "mail.new.example",
            "v=spf1 include:new.example",
            "web.new.example"
        ]
    );
    assert_eq!(data(&get(&daemon, &format!("{clone}?type=TXT")), "comment"), ["see new.example"]);
    let inherited = &get(&daemon, &format!("{clone}?type=A"))["records"][0]["ttl"];
    assert_eq!(inherited, 900);
    let target = format!(
        "/domains/{id}/clone?cloneName=as-is.example&cloneSubdomains=false&modifyRecordData=false&modifyEmailAddress=false&modifyComment=false"
    );
    let job = done(&daemon, "POST", &target, &Value::Null);
    assert_eq!(job["response"]["domains"][0]["emailAddress"], "ops@example.com");
    let list = get(
        &daemon,
        &format!("/domains/{}/records?type=CNAME", job["response"]["domains"][0]["id"].as_str().expect("an id")),
    );
    assert_eq!((data(&list, "name"), data(&list, "data")), (vec!["www.as-is.example"], vec!["web.example.com"]));
    assert_eq!(
        failed(&daemon, "POST", &format!("/domains/{id}/clone?cloneName=new.example"), &Value::Null, 409),
        "Domain already exists"
    );
    assert!(refused(&daemon, "POST", &format!("/domains/{id}/clone"), &Value::Null, 400).contains("cloneName"));
}

#[test]
fn a_secondary_zone_without_data_has_nothing_to_clone() {
    // given
    let daemon = Daemon::start();
    daemon.create_dead("dead.example");
    let list = get(&daemon, "/domains?name=dead.example");
    let id = list["domains"][0]["id"].as_str().expect("an id");
    // when
    let why = refused(&daemon, "POST", &format!("/domains/{id}/clone?cloneName=new.example"), &Value::Null, 404);
    // then
    assert!(why.contains("No primary has given dead.example yet"), "{why}");
    assert_eq!(get(&daemon, "/domains?name=new.example")["totalEntries"], 0);
}

#[test]
fn changes_are_told_newest_first_over_a_restart_and_whatever_dialect_made_them() {
    let daemon = Daemon::start();
    let id = domain(&daemon, "example.com");
    let record = add(&daemon, &id, json!({"name": "a.example.com", "type": "A", "data": "192.0.2.1", "ttl": 600}));
    let record = record["id"].as_str().expect("an id").to_owned();
    done(&daemon, "PUT", &format!("/domains/{id}/records/{record}"), &json!({"data": "192.0.2.2", "comment": "c"}));
    done(&daemon, "PUT", &format!("/domains/{id}"), &json!({"ttl": 900}));
    // By another dialect.
    let zone = daemon.send("GET", "/zones", &[daemon::ADMIN], "").json()["items"][0]["id"].clone();
    let body =
        json!({"properties": {"name": "b", "type": "MX", "content": "m.example.com", "priority": 1}}).to_string();
    let target = format!("/zones/{}/records", zone.as_str().expect("an id"));
    assert_eq!(daemon.send("POST", &target, &[daemon::ADMIN], &body).status, 202);
    done(&daemon, "DELETE", &format!("/domains/{id}/records/{record}"), &Value::Null);

    let daemon = daemon.restart();
    let list = get(&daemon, &format!("/domains/{id}/changes"));
    let told: Vec<String> = list["changes"]
        .as_array()
        .expect("changes")
        .iter()
        .map(|change| {
            let details = change["changeDetails"].as_array().expect("details").iter();
            let details = details.map(|d| {
                format!(
                    "{}:{}>{}",
                    d["field"].as_str().expect("a field"),
                    d["originalValue"].as_str().expect("a value"),
                    d["newValue"].as_str().expect("a value")
                )
            });
            format!(
                "{} {} {}",
                change["targetType"].as_str().expect("a type"),
                change["action"].as_str().expect("a word"),
                details.collect::<Vec<_>>().join(",")
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "A Record delete name:a.example.com>,data:192.0.2.2>,ttl:600>,comment:c>,enabled:true>",
            "MX Record create name:>b.example.com,data:>m.example.com,ttl:>3600,priority:>1,enabled:>true",
            "Domain update ttl:3600>900",
            "A Record update data:192.0.2.1>192.0.2.2,comment:>c",
            "A Record create name:>a.example.com,data:>192.0.2.1,ttl:>600,enabled:>true",
            "NS Record create name:>example.com,data:>ns2.example.net,enabled:>true",
            "NS Record create name:>example.com,data:>ns1.example.net,enabled:>true",
            "Domain create name:>example.com,ttl:>3600,emailAddress:>ops@example.com",
        ]
    );
    assert_eq!(
        (&list["totalEntries"], &list["changes"][0]["targetId"], &list["changes"][0]["accountId"]),
        (&json!(8), &json!(record), &json!("1000"))
    );
    assert!(list["from"].as_str().expect("a date").ends_with("T00:00:00.000+0000"));
    let total = |since: &str| get(&daemon, &format!("/domains/{id}/changes?since={since}"))["totalEntries"].clone();
    assert_eq!((total("2020-01-01T00:00:00Z"), total("2020-01-01T00:00:00.000+0000")), (json!(8), json!(8)));
    assert_eq!(total("2099-01-01T00:00:00-05:00"), 0);
    assert_eq!(
        get(&daemon, &format!("/domains/{id}/changes?limit=3&offset=3"))["links"].as_array().expect("links").len(),
        2
    );
    refused(&daemon, "GET", &format!("/domains/{id}/changes?since=yesterday"), &Value::Null, 400);
    // It goes with the zone.
    done(&daemon, "DELETE", &format!("/domains/{id}"), &Value::Null);
    let id = domain(&daemon, "example.com");
    assert_eq!(get(&daemon, &format!("/domains/{id}/changes"))["totalEntries"], 3);
}

#[test]
fn limits_are_told_in_both_shapes() {
    let daemon = Daemon::start();
    let limits = get(&daemon, "/limits");
    assert_eq!(limits["limits"]["absolute"]["domains"], limits["absolute"]["limit"][0]["value"]);
    assert_eq!(limits["absolute"]["limit"][1]["name"], "records per domain");
    assert_eq!(
        get(&daemon, "/limits/types"),
        json!({"limitTypes": ["RATE_LIMIT", "DOMAIN_LIMIT", "DOMAIN_RECORD_LIMIT"]})
    );
    assert_eq!(get(&daemon, "/limits/Rate_Limit"), json!({"rates": {"rate": []}}));
    assert_eq!(get(&daemon, "/limits/domain_limit")["absolute"]["limit"][0]["name"], "domains");
    refused(&daemon, "GET", "/limits/other", &Value::Null, 404);
}

#[test]
fn a_configured_rate_limit_is_told_with_what_is_left_of_it() {
    let daemon = Daemon::with(|_| {
        r#"
        [api]
        rate-limit = 500
        [[api.credential]]
        tenant = "1000"
        user = "ann"
        role = "admin"
        token = "admin-token"
        "#
        .to_owned()
    });
    let limits = get(&daemon, "/limits");
    assert_eq!(limits["limits"]["rate"], limits["rates"]["rate"]);
    let of_get = &limits["rates"]["rate"][0]["limit"][0];
    assert_eq!((&of_get["verb"], &of_get["value"], &of_get["unit"]), (&json!("GET"), &json!(500), &json!("SECOND")));
    assert!(of_get["remaining"].as_u64().is_some_and(|left| left < 500), "{of_get}");
    assert_eq!(get(&daemon, "/limits/rate_limit")["rates"]["rate"][0]["uri"], "*");
}

#[test]
fn a_quota_that_is_reached_fails_the_job() {
    let daemon = Daemon::with(|_| {
        r#"
        [quota]
        zones = 1
        records = 4
        [[api.credential]]
        tenant = "1000"
        user = "ann"
        role = "admin"
        token = "admin-token"
        "#
        .to_owned()
    });
    let id = domain(&daemon, "example.com");
    let records: Vec<Value> =
        (0..5).map(|n| json!({"name": format!("a{n}.example.com"), "type": "A", "data": "192.0.2.1"})).collect();
    let details = failed(&daemon, "POST", &format!("/domains/{id}/records"), &json!({"records": records}), 413);
    assert_eq!(details, "Limit of 4 records per domain has been reached.");
    let other = json!({"domains": [{"name": "b.example", "emailAddress": "a@b.example"}]});
    assert_eq!(failed(&daemon, "POST", "/domains", &other, 413), "Limit of 1 domains has been reached.");
    assert_eq!(get(&daemon, "/limits")["limits"]["absolute"], json!({"domains": 1, "records per domain": 4}));
}

#[test]
fn records_of_a_transferred_zone_have_numbers_that_last() {
    let (daemon, primary, uuid) = loaded(ZONE);
    let shown = get(&daemon, "/domains?name=example.com")["domains"][0].clone();
    assert_eq!(
        (&shown["kind"], &shown["transferState"], &shown["emailAddress"], &shown["ttl"]),
        (&json!("secondary"), &json!("AVAILABLE"), &json!("hostmaster@example.com"), &json!(3600))
    );
    let id = shown["id"].as_str().expect("an id");
    let list = get(&daemon, &format!("/domains/{id}/records"));
    assert_eq!(list["totalEntries"], 10, "neither SOA nor CAA: {list}");
    assert_eq!(data(&list, "data")[..3], ["ns1.example.com", "mail.example.com", "v=spf1 mx -all"]);
    assert_eq!(get(&daemon, &format!("/domains/{id}/records?allTypes=true"))["totalEntries"], 11);
    assert_eq!(get(&daemon, &format!("/domains/{id}/records?type=SOA"))["totalEntries"], 0);
    for record in list["records"].as_array().expect("records") {
        let one = format!("/domains/{id}/records/{}", record["id"].as_str().expect("an id"));
        assert_eq!(get(&daemon, &one), *record);
    }
    let ids = data(&list, "id");
    let number: u64 = ids[0].strip_prefix("NS-").and_then(|number| number.parse().ok()).expect("a number");
    assert!(number < 1 << 53);
    refused(&daemon, "GET", &format!("/domains/{id}/records/A-{number}"), &Value::Null, 404);
    assert_eq!(data(&get(&daemon, &format!("/domains/{id}/records?marker={}&limit=1", ids[3])), "id"), [ids[3]]);
    assert_eq!(data(&get(&daemon, &format!("/domains/{id}/records?name=txt.example.com&data=ab")), "type"), ["TXT"]);
    let pages: Vec<Value> =
        (0..5).map(|page| get(&daemon, &format!("/domains/{id}/records?limit=2&offset={}", 2 * page))).collect();
    assert_eq!(pages.iter().flat_map(|page| data(page, "id")).collect::<Vec<_>>(), ids);
    assert_eq!(get(&daemon, &format!("/domains/{id}"))["nameservers"], json!([{"name": "ns1.example.com"}]));
    // Another version keeps the numbers of what is still there; a clone of it is edited here.
    primary.replace(APEX, &ZONE.replace("hostmaster 7", "hostmaster 8").replace("192.0.2.2", "192.0.2.3"));
    assert_eq!(daemon.send("PUT", &format!("/secondaryzones/{uuid}/axfr?wait=20s"), &[daemon::ADMIN], "").status, 200);
    let newer = get(&daemon, &format!("/domains/{id}/records"));
    let lasting = |list: &Value| {
        data(list, "id").into_iter().filter(|id| !id.starts_with("A-")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(data(&newer, "data").contains(&"192.0.2.3"), "{newer}");
    assert_eq!(lasting(&newer), lasting(&list));
    let clone = format!("/domains/{id}/clone?cloneName=copy.example");
    assert!(failed(&daemon, "POST", &clone, &Value::Null, 400).contains("PTR records belong in reverse zones"));
    primary.replace(APEX, &ZONE.replace("hostmaster 7", "hostmaster 9").replace("1 3600 IN PTR", "b 3600 IN CNAME"));
    assert_eq!(daemon.send("PUT", &format!("/secondaryzones/{uuid}/axfr?wait=20s"), &[daemon::ADMIN], "").status, 200);
    let made = done(&daemon, "POST", &clone, &Value::Null)["response"]["domains"][0].clone();
    assert!(made["kind"].is_null());
    let copied = get(&daemon, &format!("/domains/{}/records?type=MX", made["id"].as_str().expect("an id")));
    assert_eq!((data(&copied, "data"), &copied["records"][0]["ttl"]), (vec!["mail.copy.example"], &json!(30)));
    let export = done(&daemon, "GET", &format!("/domains/{id}/export"), &Value::Null);
    assert!(export["response"]["contents"].as_str().expect("a file").contains("CNAME"));
    assert_eq!(get(&daemon, &format!("/domains/{id}/changes?since=2020-01-01T00:00:00Z"))["totalEntries"], 0);
    let edits = json!({"records": [{"name": "x.example.com", "type": "A", "data": "192.0.2.1"}]});
    let why = refused(&daemon, "POST", &format!("/domains/{id}/records"), &edits, 403);
    assert!(why.contains(&primary.address()), "{why}");
}

const DEVICE: &str = "https://servers.example/v2/1000/servers/1";

fn of_device(records: Value) -> Value {
    json!({"recordsList": {"records": records}, "link": {"content": "", "href": DEVICE, "rel": "cloudServersOpenStack"}})
}

fn with_reverse() -> Daemon {
    Daemon::with(|_| {
        r#"
        [api]
        nameservers = ["ns1.example.net", "ns2.example.net"]
        owned-cidrs = ["192.0.2.0/24", "2001:db8::/32"]
        [[api.credential]]
        tenant = "1000"
        user = "ann"
        role = "admin"
        token = "admin-token"
        [[api.credential]]
        tenant = "2000"
        user = "bob"
        role = "admin"
        token = "stranger-token"
        "#
        .to_owned()
    })
}

#[test]
fn the_ptr_of_a_device_is_one_object_in_all_dialects() {
    let daemon = with_reverse();
    let list = format!("/rdns/cloudServersOpenStack?href={DEVICE}");
    assert_eq!(get(&daemon, &list)["recordsList"]["records"], json!([]));
    let body = of_device(json!([
        {"name": "host.example.com", "type": "PTR", "data": "192.0.2.7", "ttl": 56000, "comment": "a PTR"},
        {"name": "six.example.com", "type": "PTR", "data": "2001:db8::7"}]));
    let made = done(&daemon, "POST", "/rdns", &body)["response"].clone();
    assert_eq!(
        (data(&made, "data"), data(&made, "name")),
        (vec!["192.0.2.7", "2001:db8::7"], vec!["host.example.com", "six.example.com"])
    );
    assert_eq!((&made["recordsList"]["records"], &made["link"]["href"]), (&made["records"], &json!(DEVICE)));
    let id = made["records"][0]["id"].as_str().expect("an id").to_owned();
    assert!(id.starts_with("PTR-"));
    assert_eq!(get(&daemon, &list)["records"], made["records"]);
    let one = get(&daemon, &format!("/rdns/cloudServersOpenStack/{id}"));
    assert_eq!((&one["records"][0], &one["link"]), (&made["records"][0], &made["link"]));
    // The other dialects see it.
    let reverse = daemon.send("GET", "/reverserecords", &[daemon::ADMIN], "").json();
    assert_eq!(
        reverse["items"][0]["properties"],
        json!({"name": "host.example.com", "description": "a PTR", "ip": "192.0.2.7"})
    );
    let lookup = daemon.send("GET", "/api/v1/reverse-zones/lookup/2001:db8::7", &[daemon::ADMIN], "").json();
    assert_eq!(lookup["hostname"], "six.example.com.");
    let zone =
        get(&daemon, "/domains?name=2.0.192.in-addr.arpa")["domains"][0]["id"].as_str().expect("an id").to_owned();
    let in_zone = get(&daemon, &format!("/domains/{zone}/records/{id}"));
    assert_eq!((&in_zone["name"], &in_zone["data"]), (&json!("7.2.0.192.in-addr.arpa"), &json!("host.example.com")));
    // What another dialect changes keeps the device.
    let uuid = reverse["items"][0]["id"].as_str().expect("an id");
    let body = json!({"properties": {"name": "other.example.com", "ip": "192.0.2.7"}}).to_string();
    assert_eq!(daemon.send("PUT", &format!("/reverserecords/{uuid}"), &[daemon::ADMIN], &body).status, 200);
    assert_eq!(data(&get(&daemon, &list), "name"), ["other.example.com", "six.example.com"]);
    // One without a device is seen under any.
    let body = json!({"properties": {"name": "bare.example.com", "ip": "192.0.2.8"}}).to_string();
    assert_eq!(daemon.send("POST", "/reverserecords", &[daemon::ADMIN], &body).status, 201);
    assert_eq!(data(&get(&daemon, "/rdns/cloudServersOpenStack"), "data"), ["192.0.2.7", "2001:db8::7"]);
    assert_eq!(data(&get(&daemon, "/rdns/any"), "data"), ["192.0.2.7", "192.0.2.8", "2001:db8::7"]);
    assert_eq!(get(&daemon, "/rdns/cloudLoadBalancers")["records"], json!([]));
    let paged = get(&daemon, "/rdns/any?limit=1&offset=1");
    assert_eq!((data(&paged, "data"), paged["links"].as_array().expect("links").len()), (vec!["192.0.2.8"], 2));

    // It changes and goes.
    let before = serial(&daemon, &zone);
    let put = |record: Value| of_device(json!([record]));
    let renamed = done(
        &daemon,
        "PUT",
        "/rdns",
        &put(json!({"id": id, "name": "new.example.com", "data": "192.0.2.7", "ttl": 600})),
    );
    assert_eq!(
        (data(&renamed["response"], "name"), &renamed["response"]["records"][0]["comment"]),
        (vec!["new.example.com"], &Value::Null)
    );
    assert_eq!(serial(&daemon, &zone), before + 1);
    assert!(refused(&daemon, "PUT", "/rdns", &put(json!({"id": id, "data": "192.0.2.9"})), 400).contains("192.0.2.7"));
    assert_eq!(
        failed(&daemon, "PUT", "/rdns", &put(json!({"id": "PTR-1", "name": "a.example.com"})), 404),
        "The record with ID PTR-1 was not found."
    );
    assert!(
        failed(&daemon, "POST", "/rdns", &put(json!({"name": "a.example.com", "data": "192.0.2.7"})), 409)
            .contains("PTR record already")
    );
    assert!(
        failed(&daemon, "POST", "/rdns", &put(json!({"name": "a.example.com", "data": "198.51.100.1"})), 409)
            .contains("not available")
    );
    for (record, part) in [
        (json!({"name": "a.example.com", "data": "192.0.2.0/24"}), "must be an IPv4"),
        (json!({"name": "localhost", "data": "192.0.2.9"}), "two labels"),
        (json!({"name": "a.example.com", "data": "192.0.2.9", "type": "A"}), "must be PTR"),
        (json!({"data": "192.0.2.9"}), "name: is missing"),
    ] {
        assert!(refused(&daemon, "POST", "/rdns", &put(record), 400).contains(part), "{part}");
    }
    done(&daemon, "DELETE", &format!("/rdns/cloudServersOpenStack?href={DEVICE}&ip=192.0.2.7"), &Value::Null);
    assert_eq!(data(&get(&daemon, &list), "data"), ["2001:db8::7"]);
    refused(&daemon, "DELETE", &format!("/rdns/cloudServersOpenStack?href={DEVICE}&ip=192.0.2.8"), &Value::Null, 404);
    refused(&daemon, "DELETE", "/rdns/cloudServersOpenStack", &Value::Null, 400);
    done(&daemon, "DELETE", &format!("/rdns/cloudServersOpenStack?href={DEVICE}"), &Value::Null);
    refused(&daemon, "DELETE", &format!("/rdns/cloudServersOpenStack?href={DEVICE}"), &Value::Null, 404);
    done(&daemon, "DELETE", "/rdns/any?ip=192.0.2.8", &Value::Null);
    assert_eq!(get(&daemon, "/rdns/any")["records"], json!([]));
}

#[test]
fn the_ptr_of_another_account_is_no_ones_business() {
    let daemon = with_reverse();
    let made = done(&daemon, "POST", "/rdns", &of_device(json!([{"name": "a.example.com", "data": "192.0.2.7"}])));
    let id = made["response"]["records"][0]["id"].as_str().expect("an id").to_owned();
    let stranger = |method: &str, target: &str, body: &str| {
        daemon.send(method, &format!("/v1.0/2000{target}"), &[("X-Auth-Token", "stranger-token")], body)
    };
    assert_eq!(stranger("GET", &format!("/rdns/cloudServersOpenStack/{id}"), "").status, 404);
    assert_eq!(stranger("GET", "/rdns/any", "").json()["records"], json!([]));
    assert_eq!(stranger("DELETE", "/rdns/any?ip=192.0.2.7", "").status, 404);
    let body = json!({"recordsList": {"records": [{"id": id, "name": "b.example.com"}]}}).to_string();
    let reply = stranger("PUT", "/rdns", &body);
    let job = stranger("GET", &format!("/status/{}", reply.json()["jobId"].as_str().expect("an id")), "");
    assert_eq!(job.json()["status"], "ERROR");
    assert_eq!(data(&get(&daemon, "/rdns/any"), "name"), ["a.example.com"]);
    let xml = [ADMIN, ("Accept", "application/xml")];
    let list = daemon.send("GET", &format!("{BASE}/rdns/cloudServersOpenStack?href={DEVICE}"), &xml, "");
    assert!(list.body.contains("<rdns><recordsList><records><id>PTR-"), "{list:?}");
    assert!(
        list.body.ends_with(&format!("<link href=\"{DEVICE}\" rel=\"cloudServersOpenStack\"/></rdns>")),
        "{list:?}"
    );
}

/// A page of jobs with details is made in memory, and the details of one export may be 4 MiB.
#[test]
fn a_page_of_jobs_ends_early_where_its_details_are_many_octets_and_its_link_leads_to_the_rest() {
    // given: five jobs that together are longer than a page may be
    let daemon = Daemon::start();
    let strings = format!("\"{}\" ", "x".repeat(250)).repeat(16);
    let mut contents = "big.example. 3600 IN SOA ns1.example.net. ops.big.example. 1 3600 3600 3600 3600\n".to_owned();
    (0..300).for_each(|n| contents += &format!("t{n}.big.example. 300 IN TXT {strings}\n"));
    let made = done(&daemon, "POST", "/domains/import", &import(&contents))["response"]["domains"][0]["id"].clone();
    let export = format!("/domains/{}/export", made.as_str().expect("an id"));
    (0..5).for_each(|_| drop(done(&daemon, "GET", &export, &Value::Null)));
    // when
    let (mut seen, mut pages, mut target) = (Vec::new(), Vec::new(), Some("/status?showDetails=true".to_owned()));
    while let Some(next) = target {
        let page = get(&daemon, &next);
        assert_eq!(page["totalEntries"], 6);
        let jobs = page["asyncResponses"].as_array().expect("jobs");
        assert!(page.to_string().len() < 5 << 20);
        assert!(jobs.iter().all(|job| job["requestUrl"].is_string()), "all have their details");
        seen.extend(jobs.iter().map(|job| job["jobId"].to_string()));
        pages.push(jobs.len());
        target = linked(&page, "next");
    }
    // then
    assert_eq!(pages, [3, 3]);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 6, "each stands on one page");
    let short = get(&daemon, "/status");
    assert_eq!((short["asyncResponses"].as_array().map(Vec::len), linked(&short, "next")), (Some(6), None));
}
