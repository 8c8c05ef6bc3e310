//! Whatever is sent, the refusal is clear, in the dialect's shape (which [`Daemon::send`] checks), and nothing has changed.

use serde_json::{Value, json};

use crate::client;
use crate::daemon::{ADMIN, Daemon, STRANGER};

/// A daemon with one object of each kind, and where they are.
struct Stage {
    daemon: Daemon,
    zone: String,
    record: String,
    copy: String,
    reverse: String,
    ptr: String,
}

const IP: &str = "192.0.2.9";

impl Stage {
    fn set() -> Stage {
        let daemon = Daemon::start();
        let make = |target: &str, body: Value| {
            let reply = daemon.send("POST", target, &[ADMIN], &body.to_string());
            assert!(reply.status < 300, "{reply:?}");
            reply.json()["id"].as_str().expect("an id").to_owned()
        };
        let zone = make("/zones", json!({"properties": {"zoneName": "mine.example"}}));
        let www = json!({"properties": {"name": "www", "type": "A", "content": "192.0.2.1"}});
        let record = make(&format!("/zones/{zone}/records"), www);
        let reverse = make("/api/v1/reverse-zones", json!({"cidr": "192.0.2.0/24"}));
        let ptrs = format!("/api/v1/reverse-zones/{reverse}/ptr");
        make(&ptrs, json!({"ip": IP, "hostname": "host.mine.example"}));
        let copy = daemon.create_dead("copy.example");
        daemon.await_status(&copy, |status| status["items"][0]["status"] == "ERROR");
        let listed = daemon.get(&format!("/reverserecords?filter.recordIp={IP}")).json();
        let ptr = listed["items"][0]["id"].as_str().expect("an id").to_owned();
        Stage { daemon, zone, record, copy, reverse, ptr }
    }

    /// Everything the tenant has, as it is shown.
    fn everything(&self) -> Vec<String> {
        let copies = format!("/secondaryzones/{}/axfr/history", self.copy);
        let targets = [
            "/zones",
            "/secondaryzones",
            "/records?filter.type=ALL",
            "/reverserecords",
            "/quota",
            "/api/v1/domains",
            &copies,
        ];
        targets.iter().map(|target| self.daemon.get(target).body).collect()
    }

    /// Every endpoint of the IONOS dialect and of our own that takes JSON.
    fn json_endpoints(&self) -> Vec<(&'static str, String)> {
        let Stage { zone, record, copy, ptr, .. } = self;
        vec![
            ("POST", "/zones".to_owned()),
            ("PUT", format!("/zones/{zone}")),
            ("POST", format!("/zones/{zone}/records")),
            ("PUT", format!("/zones/{zone}/records/{record}")),
            ("POST", "/secondaryzones".to_owned()),
            ("PUT", format!("/secondaryzones/{copy}")),
            ("POST", "/reverserecords".to_owned()),
            ("PUT", format!("/reverserecords/{ptr}")),
            ("POST", "/transfers/check".to_owned()),
        ]
    }

    /// Those of the reverse-zones dialect.
    fn detail_endpoints(&self) -> Vec<(&'static str, String)> {
        let Stage { zone, record, reverse, .. } = self;
        vec![
            ("POST", "/api/v1/reverse-zones".to_owned()),
            ("POST", "/api/v1/reverse-zones/preview".to_owned()),
            ("POST", format!("/api/v1/reverse-zones/{reverse}/ptr")),
            ("POST", format!("/api/v1/reverse-zones/{reverse}/ptr/bulk")),
            ("PATCH", format!("/api/v1/reverse-zones/{reverse}/ptr/{IP}")),
            ("POST", "/api/v1/domains".to_owned()),
            ("PATCH", format!("/api/v1/domains/{zone}")),
            ("POST", format!("/api/v1/domains/{zone}/records")),
            ("PATCH", format!("/api/v1/domains/{zone}/records/{record}")),
            ("POST", format!("/api/v1/domains/{zone}/records/bulk")),
            ("POST", format!("/api/v1/domains/{zone}/records/bulk-delete")),
        ]
    }
}

#[test]
fn what_is_no_json_object_is_refused_by_every_endpoint() {
    let stage = Stage::set();
    let before = stage.everything();
    let bodies = [
        "",
        " ",
        "{",
        "}",
        "[]",
        "[{}]",
        "null",
        "5",
        "\"properties\"",
        "{}{}",
        "{\"properties\":{},}",
        "{'properties':{}}",
        "{properties:{}}",
        "{\"properties\":NaN}",
        "\u{feff}{}",
        "{\"a\":\"\u{1}\"}",
        "{\"a\":\"\\ud800\"}",
        "<properties/>",
        "properties=1",
        "{\"properties\":{\"zoneName\":\"x.example\"}",
    ];
    let deep = [format!("{{\"properties\":{}", "[".repeat(30_000)), "{\"a\":".repeat(9_000)];
    let endpoints = [stage.json_endpoints(), stage.detail_endpoints()].concat();
    for (method, target) in &endpoints {
        for body in bodies.iter().copied().chain(deep.iter().map(String::as_str)) {
            let reply = stage.daemon.send(method, target, &[ADMIN], body);
            assert_eq!(reply.status, 400, "{method} {target} {:.60}: {reply:?}", body);
        }
        // Octets that are no UTF-8 are no JSON (RFC 8259 §8.1).
        let reply =
            client::send(stage.daemon.api, method, target, &[ADMIN], b"{\"properties\":{\"zoneName\":\"\xff\"}}");
        assert_eq!(reply.status, 400, "{method} {target}: {reply:?}");
    }
    assert_eq!(stage.everything(), before);
}

#[test]
fn another_content_type_is_415_and_a_larger_body_413() {
    let stage = Stage::set();
    let before = stage.everything();
    let large = format!("{{\"properties\":{{\"description\":\"{}\"}}}}", "x".repeat(70_000));
    for (method, target) in [stage.json_endpoints(), stage.detail_endpoints()].concat() {
        for kind in
            ["text/plain", "application/x-www-form-urlencoded", "application/xml", "multipart/form-data", "json", ""]
        {
            let reply = stage.daemon.send(method, &target, &[ADMIN, ("Content-Type", kind)], "{}");
            assert_eq!(reply.status, 415, "{method} {target} {kind}: {reply:?}");
        }
        let reply = stage.daemon.send(method, &target, &[ADMIN], &large);
        assert_eq!(reply.status, 413, "{method} {target}: {reply:?}");
    }
    assert_eq!(stage.everything(), before);
}

/// Read as a file, nothing at all would take every record away.
#[test]
fn an_empty_body_is_no_zone_file() {
    let stage = Stage::set();
    let before = stage.everything();
    let target = format!("/zones/{}/zonefile", stage.zone);
    for body in ["", " ", "\r\n\t\n"] {
        let reply = stage.daemon.send("PUT", &target, &[ADMIN], body);
        assert_eq!((reply.status, reply.error_code().as_str()), (400, "dns-bad-body"), "{body:?}");
    }
    assert_eq!(stage.everything(), before);
}

/// RFC 8259 §4: "The names within an object SHOULD be unique"; which of two values counts, nobody could tell.
#[test]
fn a_member_that_stands_twice_is_refused() {
    let stage = Stage::set();
    let before = stage.everything();
    for (method, target) in stage.json_endpoints() {
        let twice = r#"{"properties":{"zoneName":"a.example"},"properties":{"zoneName":"b.example"}}"#;
        let reply = stage.daemon.send(method, &target, &[ADMIN], twice);
        assert_eq!((reply.status, reply.body.contains("duplicate")), (400, true), "{method} {target}: {reply:?}");
    }
    for (method, target) in stage.detail_endpoints() {
        for twice in
            [r#"{"cidr":"10.0.0.0/8","cidr":"11.0.0.0/8"}"#, r#"{"records":[{"ip":"192.0.2.1","ip":"192.0.2.2"}]}"#]
        {
            let reply = stage.daemon.send(method, &target, &[ADMIN], twice);
            assert_eq!((reply.status, reply.body.contains("duplicate")), (400, true), "{method} {target}: {reply:?}");
        }
    }
    assert_eq!(stage.everything(), before);
}

#[test]
fn members_of_another_type_are_named() {
    let stage = Stage::set();
    let before = stage.everything();
    let others = [json!(5), json!(1.5), json!(true), json!([]), json!({}), json!(["x"]), json!("x")];
    for (method, target) in stage.json_endpoints() {
        let (texts, lists): (&[&str], &[&str]) = match &*target {
            path if path.contains("/records") => (&["name", "type", "content"], &[]),
            path if path.starts_with("/zones") => (&["zoneName", "description"], &[]),
            path if path.starts_with("/reverserecords") => (&["name", "ip", "description"], &[]),
            _ => (&["zoneName", "description"], &["primaryIps", "primaries"]),
        };
        for other in &others {
            let wrong = texts.iter().filter(|_| !other.is_string()).chain(lists.iter().filter(|_| !other.is_array()));
            for member in wrong {
                let body = json!({"properties": {(*member): other}}).to_string();
                let reply = stage.daemon.send(method, &target, &[ADMIN], &body);
                let is_named = reply.body.contains(&format!("properties.{member}"));
                assert!(reply.status == 400 && is_named, "{method} {target} {body}: {reply:?}");
            }
        }
    }
    for (method, target) in stage.detail_endpoints() {
        let members: &[&str] = match (method, &*target) {
            (_, path) if path.contains("bulk") => &["records", "record_ids", "continue_on_error"],
            ("PATCH", path) if path.contains("/ptr/") => &["hostname", "ttl"],
            ("PATCH", path) if path.contains("/records/") => &["content", "ttl", "disabled"],
            ("PATCH", _) => &["description", "default_ttl", "settings"],
            (_, path) if path.contains("/ptr") => &["ip", "hostname", "ttl"],
            (_, path) if path.contains("/records") => &["name", "type", "content", "ttl", "disabled"],
            (_, path) if path.contains("reverse-zones") => &["cidr"],
            _ => &["name", "domain_type", "default_ttl", "description", "cidr", "settings"],
        };
        for (member, other) in members.iter().flat_map(|member| others.iter().map(move |other| (member, other))) {
            let is_right = match *member {
                "ttl" | "default_ttl" => other.is_i64(),
                "disabled" | "continue_on_error" => other.is_boolean(),
                "settings" => other.is_object(),
                "records" | "record_ids" => other.is_array(),
                _ => other.is_string(),
            };
            if !is_right {
                let body = json!({ (*member): other }).to_string();
                let reply = stage.daemon.send(method, &target, &[ADMIN], &body);
                let is_named = reply.status == 422 && reply.body.contains(&format!("\"{member}\""));
                assert!(
                    is_named || reply.status == 422 && target.contains("bulk"),
                    "{method} {target} {body}: {reply:?}"
                );
            }
        }
    }
    assert_eq!(stage.everything(), before);
}

#[test]
fn numbers_out_of_their_bounds_are_refused() {
    let stage = Stage::set();
    let before = stage.everything();
    let records = format!("/zones/{}/records", stage.zone);
    for wrong in [
        r#""ttl":59"#,
        r#""ttl":604801"#,
        r#""ttl":-1"#,
        r#""ttl":4294967296"#,
        r#""ttl":99999999999999999999"#,
        r#""ttl":1e400"#,
        r#""ttl":300.5"#,
        r#""ttl":"300""#,
        r#""type":"MX","content":"m.example","priority":65536"#,
        r#""type":"MX","content":"m.example","priority":-1"#,
        r#""enabled":"yes""#,
        r#""enabled":1"#,
    ] {
        let rest = if wrong.contains("type") { "" } else { r#""type":"A","content":"192.0.2.3","# };
        let body = format!(r#"{{"properties":{{"name":"x",{rest}{wrong}}}}}"#);
        let reply = stage.daemon.send("POST", &records, &[ADMIN], &body);
        assert_eq!(reply.status, 400, "{body}: {reply:?}");
    }
    let ptrs = format!("/api/v1/reverse-zones/{}/ptr", stage.reverse);
    for (ttl, status) in
        [("-1", 400), ("2147483648", 400), ("1.5", 422), ("\"60\"", 422), ("1e400", 400), ("99999999999999999999", 422)]
    {
        let body = format!(r#"{{"ip":"192.0.2.33","hostname":"h.example.com","ttl":{ttl}}}"#);
        assert_eq!(stage.daemon.send("POST", &ptrs, &[ADMIN], &body).status, status, "{body}");
    }
    assert_eq!(stage.everything(), before);
}

/// Names that are none, or that would be another name than people see.
const NO_NAMES: [&str; 22] = [
    "bücher.example",
    "пример.example",
    "例え.テスト",
    "ex\u{200b}ample.com",
    "\u{202e}moc.example",
    "example。com",
    "＊.example",
    "a\u{0}b.example",
    "a\nb.example",
    "a\r\nHost: x.example",
    "a\tb.example",
    "a b.example",
    " example.com",
    "example.com ",
    "a..example",
    ".example",
    "ex\\097mple.com",
    "\\000.example",
    "a;b.example",
    "a'b.example",
    "<b>.example",
    "a%00.example",
];

#[test]
fn names_hold_what_host_names_hold_and_nothing_else() {
    let stage = Stage::set();
    let before = stage.everything();
    let long_label = format!("{}.example", "a".repeat(64));
    let long_name = format!("{}.example", ["a".repeat(50).as_str(); 5].join("."));
    let Stage { daemon, zone, reverse, .. } = &stage;
    for name in NO_NAMES.into_iter().chain([long_label.as_str(), &long_name]) {
        for (target, body) in [
            ("/zones".to_owned(), json!({"properties": {"zoneName": name}})),
            ("/secondaryzones".to_owned(), json!({"properties": {"zoneName": name, "primaryIps": ["127.0.0.1#1"]}})),
            (
                format!("/zones/{zone}/records"),
                json!({"properties": {"name": name, "type": "A", "content": "192.0.2.1"}}),
            ),
            (format!("/zones/{zone}/records"), json!({"properties": {"name": "x", "type": "CNAME", "content": name}})),
            (format!("/zones/{zone}/records"), json!({"properties": {"name": "x", "type": "MX", "content": name}})),
            ("/reverserecords".to_owned(), json!({"properties": {"name": name, "ip": "192.0.2.55"}})),
            ("/api/v1/domains".to_owned(), json!({"name": name, "domain_type": "primary"})),
            (format!("/api/v1/reverse-zones/{reverse}/ptr"), json!({"ip": "192.0.2.55", "hostname": name})),
            (format!("/api/v1/domains/{zone}/records"), json!({"name": name, "type": "A", "content": "192.0.2.1"})),
            (format!("/api/v1/domains/{zone}/records"), json!({"name": "x", "type": "NS", "content": name})),
        ] {
            let reply = daemon.send("POST", &target, &[ADMIN], &body.to_string());
            assert_eq!(reply.status, 400, "{target} {body}: {reply:?}");
        }
    }
    for ip in [
        "192.0.2.256",
        "192.0.2.01",
        "192.0.2.1 ",
        "0x7f.1",
        "2130706433",
        "::ffff:192.0.2.1",
        "fe80::1%eth0",
        "١٩٢.0.2.1",
        "",
    ] {
        let body = json!({"properties": {"name": "h.example.com", "ip": ip}}).to_string();
        assert_eq!(daemon.send("POST", "/reverserecords", &[ADMIN], &body).status, 400, "{ip}");
        let body = json!({"ip": ip, "hostname": "h.example.com"}).to_string();
        let ptrs = format!("/api/v1/reverse-zones/{reverse}/ptr");
        assert_eq!(daemon.send("POST", &ptrs, &[ADMIN], &body).status, 400, "{ip}");
        let body = json!({"properties": {"zoneName": "p.example", "primaryIps": [ip]}}).to_string();
        assert_eq!(daemon.send("POST", "/secondaryzones", &[ADMIN], &body).status, 400, "{ip}");
    }
    assert_eq!(stage.everything(), before);
}

#[test]
fn ids_that_are_none_are_400_or_nothing_is_there() {
    let stage = Stage::set();
    let before = stage.everything();
    let Stage { daemon, zone, .. } = &stage;
    for id in [
        "17",
        "x",
        "%00",
        "%ff%fe",
        "..",
        "%2e%2e",
        "e74d0d15f5674b7b906926ee1f93bae3",
        "e74d0d15-f567-4b7b-9069-26ee1f93baeg",
        "%7Bx%7D",
        "%0d%0aX:y",
    ] {
        for target in [
            format!("/zones/{id}"),
            format!("/secondaryzones/{id}"),
            format!("/reverserecords/{id}"),
            format!("/zones/{zone}/records/{id}"),
        ] {
            for method in ["GET", "PUT", "DELETE"] {
                let reply = daemon.send(method, &target, &[ADMIN], "");
                assert_eq!((reply.status, reply.error_code().as_str()), (400, "dns-bad-id"), "{method} {target}");
            }
        }
        // Identities of this dialect have two spellings; everything else is nobody's.
        for target in [format!("/api/v1/domains/{id}"), format!("/api/v1/domains/{zone}/records/{id}")] {
            let reply = daemon.send("GET", &target, &[ADMIN], "");
            assert_eq!(reply.status, 404, "{target}");
        }
    }
    for path in
        ["//zones", "/zones//records", "/zones/../zones", "/Zones", "/zones%2f", "/zones/%2e", "/api/v1/../../zones"]
    {
        let reply = daemon.get(path);
        assert!(matches!(reply.status, 400 | 404), "{path}: {reply:?}");
    }
    assert_eq!(stage.everything(), before);
}

/// The reply to a stranger is that for an id nobody has: it does not tell that the object exists.
#[test]
fn another_tenants_objects_are_absent_whatever_is_asked() {
    let stage = Stage::set();
    let before = stage.everything();
    let Stage { daemon, zone, record, copy, reverse, ptr } = &stage;
    let nobody = "e74d0d15-f567-4b7b-9069-26ee1f93bae3";
    let record_body = json!({"properties": {"name": "x", "type": "A", "content": "192.0.2.66"}}).to_string();
    let mut asked = 0;
    for (method, target, body) in [
        ("GET", format!("/zones/{zone}"), ""),
        ("DELETE", format!("/zones/{zone}"), ""),
        ("GET", format!("/zones/{zone}/records"), ""),
        ("POST", format!("/zones/{zone}/records"), record_body.as_str()),
        ("GET", format!("/zones/{zone}/records/{record}"), ""),
        ("PUT", format!("/zones/{zone}/records/{record}"), record_body.as_str()),
        ("DELETE", format!("/zones/{zone}/records/{record}"), ""),
        ("GET", format!("/zones/{zone}/zonefile"), ""),
        ("PUT", format!("/zones/{zone}/zonefile"), "www IN A 192.0.2.66"),
        ("GET", format!("/zones/{zone}/keys"), ""),
        ("POST", format!("/zones/{zone}/keys"), "{}"),
        ("GET", format!("/zones/{copy}/explain"), ""),
        ("GET", format!("/secondaryzones/{copy}"), ""),
        ("DELETE", format!("/secondaryzones/{copy}"), ""),
        ("GET", format!("/secondaryzones/{copy}/axfr"), ""),
        ("PUT", format!("/secondaryzones/{copy}/axfr"), ""),
        ("POST", format!("/secondaryzones/{copy}/axfr/check"), ""),
        ("GET", format!("/secondaryzones/{copy}/axfr/history"), ""),
        ("GET", format!("/secondaryzones/{copy}/records"), ""),
        ("GET", format!("/secondaryzones/{copy}/zonefile"), ""),
        ("GET", format!("/secondaryzones/{copy}/explain"), ""),
        ("GET", format!("/secondaryzones/{copy}/held"), ""),
        ("GET", format!("/secondaryzones/{copy}/versions"), ""),
        ("POST", format!("/secondaryzones/{copy}/release"), ""),
        ("GET", format!("/reverserecords/{ptr}"), ""),
        ("DELETE", format!("/reverserecords/{ptr}"), ""),
        ("GET", format!("/api/v1/domains/{zone}"), ""),
        ("PATCH", format!("/api/v1/domains/{zone}"), r#"{"description":"x"}"#),
        ("DELETE", format!("/api/v1/domains/{reverse}"), ""),
        ("GET", format!("/api/v1/domains/{zone}/records/{record}"), ""),
        ("DELETE", format!("/api/v1/domains/{zone}/records/{record}"), ""),
        ("GET", format!("/api/v1/reverse-zones/{reverse}/ptr"), ""),
        ("DELETE", format!("/api/v1/reverse-zones/{reverse}/ptr/{IP}"), ""),
        ("GET", format!("/api/v1/reverse-zones/lookup/{IP}"), ""),
    ] {
        let reply = daemon.send(method, &target, &[STRANGER], body);
        assert_eq!(reply.status, 404, "{method} {target}: {reply:?}");
        let absent =
            [zone, copy, reverse, ptr].iter().fold(target.clone(), |target, id| target.replace(id.as_str(), nobody));
        if absent != target {
            let other = daemon.send(method, &absent, &[STRANGER], body);
            assert_eq!((other.status, other.body), (reply.status, reply.body), "{method} {target}");
            asked += 1;
        }
    }
    assert!(asked > 30, "{asked}");
    // A creating PUT under an id that somebody else has is refused, whatever it belongs to.
    for (target, body) in [
        (format!("/zones/{zone}"), json!({"properties": {"zoneName": "theirs.example"}})),
        (format!("/zones/{copy}"), json!({"properties": {"zoneName": "theirs.example"}})),
        (
            format!("/secondaryzones/{zone}"),
            json!({"properties": {"zoneName": "t.example", "primaryIps": ["127.0.0.1#1"]}}),
        ),
    ] {
        let reply = daemon.send("PUT", &target, &[STRANGER], &body.to_string());
        assert_eq!((reply.status, reply.error_code().as_str()), (409, "dns-id-taken"), "{target}: {reply:?}");
    }
    assert_eq!(stage.everything(), before);
}
