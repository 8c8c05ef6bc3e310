//! `secondaryctl` against a tiny HTTP server with canned replies of the API's contract: what it asks, what it prints,
//! and the exit codes monitoring relies on.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

const ZONE_ID: &str = "5d6b7b5e-8f0c-5c5a-9d53-0f0c3b1c2a11";

/// What came in: request line, headers in lower case, body.
#[derive(Clone, Debug)]
struct Asked {
    line: String,
    headers: String,
    body: String,
}

/// Answers `METHOD PATH` by the first canned reply whose request begins so; else 404.
struct Daemon {
    url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Daemon {
    /// Replies are `(beginning of the request line, status, body)`; of several for one request each serves once, the
    /// last one for ever.
    fn start(replies: &[(&str, u16, String)]) -> Daemon {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        let mut replies: Vec<(String, u16, String)> =
            replies.iter().map(|(line, status, body)| (line.to_string(), *status, body.clone())).collect();
        // The thread ends with the test process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let Some(request) = read_request(&stream) else { continue };
                let fitting: Vec<_> = (0..replies.len()).filter(|&i| request.line.starts_with(&replies[i].0)).collect();
                let (status, body) = match fitting[..] {
                    [] => (404, error("dns-not-found", "no such path")),
                    [last] => (replies[last].1, replies[last].2.clone()),
                    [first, ..] => {
                        let (_, status, body) = replies.remove(first);
                        (status, body)
                    }
                };
                log.lock().expect("no panic while held").push(request);
                let head = format!(
                    "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                let _ = (&stream).write_all((head + &body).as_bytes());
            }
        });
        Daemon { url, asked }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        ctl(&[&["--url", &self.url, "--token", "secret-token"], arguments].concat())
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no panic while held").clone()
    }
}

fn read_request(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut headers = String::new();
    let mut length = 0;
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header).ok()? <= 2 {
            break;
        }
        if let Some((name, value)) = header.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok()?;
        }
        headers += &header.to_ascii_lowercase();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked { line, headers, body: String::from_utf8(body).ok()? })
}

fn ctl(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_secondaryctl"))
        .args(arguments)
        .env_remove("SECONDARYD_URL")
        .env_remove("SECONDARYD_TOKEN")
        .output()
        .expect("secondaryctl runs")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn error(code: &str, message: &str) -> String {
    format!(r#"{{"httpStatus":0,"messages":[{{"errorCode":"{code}","message":"{message}"}}]}}"#)
}

fn zone(name: &str, state: &str) -> String {
    format!(
        r#"{{"id":"{ZONE_ID}","type":"zone","href":"/secondaryzones/{ZONE_ID}","metadata":{{"createdDate":"2026-11-21T23:00:00.123Z","state":"{state}","nameservers":[]}},"properties":{{"zoneName":"{name}","description":"first","primaryIps":["192.0.2.1","192.0.2.2#5353"]}}}}"#
    )
}

fn list(items: &[String]) -> String {
    format!(
        r#"{{"id":"x","type":"collection","href":"/","items":[{}],"offset":0,"limit":1000,"_links":{{}}}}"#,
        items.join(",")
    )
}

const GOOD: &str = r#"{"primaryIp":"192.0.2.1","status":"OK","errorCode":"UP_TO_DATE","serial":2026112201,"lastSuccess":"2026-11-22T01:00:00.123Z","nextAttempt":"2126-11-22T01:00:00.123Z","consecutiveFailures":0}"#;
const BAD: &str = r#"{"primaryIp":"192.0.2.2#5353","status":"ERROR","errorMessage":"Connection with primary nameserver could not be established: connection refused","errorCode":"CONNECT_REFUSED","consecutiveFailures":14,"nextAttempt":"2126-11-22T01:00:00.123Z"}"#;
const RUNNING: &str = r#"{"primaryIp":"192.0.2.1","status":"IN_PROGRESS","serial":2026112201}"#;

fn axfr(state: &str, items: &[&str]) -> String {
    format!(
        r#"{{"type":"collection","items":[{}],"zoneId":"{ZONE_ID}","zoneName":"example.com","state":"{state}","servedSerial":2026112201,"lastRefresh":"2026-11-22T01:00:00.123Z","expires":"2126-11-22T01:00:00.123Z","generation":7}}"#,
        items.join(",")
    )
}

fn get_axfr() -> String {
    format!("GET /secondaryzones/{ZONE_ID}/axfr ")
}

const FIND: &str = "GET /secondaryzones?limit=1&filter.zoneName=example.com ";
const LIST: &str = "GET /secondaryzones?limit=1000&offset=0 ";

#[test]
fn zone_shows_at_one_look_which_primary_fails_and_why() {
    let daemon = Daemon::start(&[
        (FIND, 200, list(&[zone("example.com", "AVAILABLE")])),
        (&get_axfr(), 202, axfr("AVAILABLE", &[GOOD, BAD])),
    ]);
    let output = daemon.run(&["zone", "Example.COM."]);
    let text = out(&output);
    assert_eq!(output.status.code(), Some(1), "{text}{}", err(&output));
    assert!(text.starts_with("WARNING: example.com AVAILABLE, serial 2026112201\n"), "{text}");
    let lines: Vec<_> = text.lines().collect();
    let heading = lines.iter().position(|line| line.starts_with("PRIMARY")).expect("a table");
    let column = lines[heading].find("STATUS").expect("a column");
    assert_eq!(&lines[heading + 1][column..column + 2], "OK");
    assert_eq!(&lines[heading + 2][column..column + 5], "ERROR");
    assert!(lines[heading + 2].contains("never") && lines[heading + 2].contains("14 in a row"), "{text}");
    assert!(
        lines[heading + 2].ends_with(
            "CONNECT_REFUSED: Connection with primary nameserver could not be established: connection refused"
        )
    );
    assert!(daemon.asked().iter().all(|asked| asked.headers.contains("authorization: bearer secret-token")));
}

fn transfers(status: &str) -> String {
    format!("GET /transfers?limit=1000&offset=0&status={status} ")
}

/// What `/transfers?status=ERROR` lists of the one zone.
fn failing(fails: bool) -> String {
    list(&[BAD.replacen('{', r#"{"zoneName":"example.com","#, 1)][..usize::from(fails)])
}

#[test]
fn status_names_only_trouble_and_exits_by_the_worst() {
    let verdicts = [
        ("AVAILABLE", vec![GOOD], 0, "OK: 1 zones, 1 available; 0 of 1 primaries fail\n"),
        ("AVAILABLE", vec![GOOD, BAD], 1, "WARNING: 1 zones, 1 available; 1 of 2 primaries fail\n"),
        ("PROVISIONING", vec![RUNNING], 1, "WARNING: 1 zones, 1 waiting for a first transfer; 0 of 1 primaries fail\n"),
        ("FAILED", vec![BAD], 2, "CRITICAL: 1 zones, 1 failed; 1 of 1 primaries fail\n"),
    ];
    for (state, items, code, first_line) in verdicts {
        let daemon = Daemon::start(&[
            ("GET /readyz", 200, "ok".to_owned()),
            (LIST, 200, list(&[zone("example.com", state)])),
            (&transfers("ERROR"), 200, failing(items.contains(&BAD))),
            (&transfers("LAGGING"), 200, list(&[])),
            ("GET /transfers/summary ", 200, format!(r#"{{"primaries":{}}}"#, items.len())),
        ]);
        let output = daemon.run(&["status"]);
        let text = out(&output);
        assert!(text.starts_with(first_line), "{text}{}", err(&output));
        assert_eq!(output.status.code(), Some(code));
        assert_eq!(text.contains("192.0.2.2#5353  ERROR"), items.contains(&BAD), "{text}");
    }
}

#[test]
fn status_tells_that_the_daemon_is_not_ready() {
    let daemon = Daemon::start(&[
        ("GET /readyz", 503, String::new()),
        (LIST, 200, list(&[])),
        (&transfers("ERROR"), 200, list(&[])),
        (&transfers("LAGGING"), 200, list(&[])),
        ("GET /transfers/summary ", 200, r#"{"primaries":0}"#.to_owned()),
    ]);
    let output = daemon.run(&["status"]);
    assert!(out(&output).starts_with("WARNING: 0 zones; 0 of 0 primaries fail; not ready yet"), "{}", out(&output));
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn zones_are_listed_page_by_page() {
    let page: Vec<_> = (0..1000).map(|i| zone(&format!("z{i}.example"), "AVAILABLE")).collect();
    let daemon = Daemon::start(&[
        (LIST, 200, list(&page)),
        ("GET /secondaryzones?limit=1000&offset=1000 ", 200, list(&[zone("last.example", "FAILED")])),
    ]);
    let output = daemon.run(&["zones"]);
    let text = out(&output);
    assert_eq!(text.lines().count(), 1 + 1001, "{}", err(&output));
    assert!(text.lines().last().is_some_and(|line| line.starts_with("last.example  FAILED")), "{text}");
    let json = out(&daemon.run(&["zones", "--json"]));
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json).expect("JSON").as_array().map(Vec::len), Some(1001));
}

#[test]
fn refresh_and_retransfer_ask_for_what_they_say() {
    let daemon =
        Daemon::start(&[(FIND, 200, list(&[zone("example.com", "AVAILABLE")])), ("PUT ", 202, "{}".to_owned())]);
    for (arguments, path) in [
        (&["refresh", "example.com"][..], "axfr?mode=refresh "),
        (&["retransfer", "example.com"], "axfr "),
        (&["retransfer", "example.com", "--force"], "axfr?force=true "),
    ] {
        let output = daemon.run(arguments);
        assert_eq!(output.status.code(), Some(0), "{}", err(&output));
        let last = daemon.asked().pop().expect("a request");
        assert!(last.line.starts_with(&format!("PUT /secondaryzones/{ZONE_ID}/{path}")), "{last:?}");
    }
}

#[test]
fn retransfer_with_wait_exits_by_the_outcome() {
    let daemon = Daemon::start(&[
        (FIND, 200, list(&[zone("example.com", "AVAILABLE")])),
        ("PUT ", 202, "{}".to_owned()),
        (&get_axfr(), 202, axfr("AVAILABLE", &[RUNNING])),
        (&get_axfr(), 202, axfr("AVAILABLE", &[GOOD])),
    ]);
    let output = daemon.run(&["retransfer", "example.com", "--wait"]);
    assert!(out(&output).starts_with("OK: example.com AVAILABLE"), "{}{}", out(&output), err(&output));
    assert_eq!(output.status.code(), Some(0));

    let stuck = Daemon::start(&[
        (FIND, 200, list(&[zone("example.com", "AVAILABLE")])),
        ("PUT ", 202, "{}".to_owned()),
        (&get_axfr(), 202, axfr("AVAILABLE", &[RUNNING])),
    ]);
    let output = stuck.run(&["retransfer", "example.com", "--wait", "--timeout", "0"]);
    assert_eq!(output.status.code(), Some(1), "{}", err(&output));
}

#[test]
fn add_sends_addresses_and_keys_apart() {
    let daemon = Daemon::start(&[("POST /secondaryzones ", 202, zone("example.com", "PROVISIONING"))]);
    let output = daemon.run(&["add", "example.com", "--primary", "192.0.2.1", "192.0.2.2#5353"]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let arguments =
        ["add", "example.com", "--primary", "2001:db8::1", "--primary", "[2001:db8::2]:5353", "--tsig-key", "t"];
    assert_eq!(daemon.run(&arguments).status.code(), Some(0));
    let bodies: Vec<serde_json::Value> =
        daemon.asked().iter().map(|asked| serde_json::from_str(&asked.body).expect("JSON")).collect();
    assert_eq!(bodies[0]["properties"]["primaryIps"], serde_json::json!(["192.0.2.1", "192.0.2.2#5353"]));
    assert_eq!(
        bodies[1]["properties"]["primaries"],
        serde_json::json!([{"ip":"2001:db8::1","tsigKey":"t"},{"ip":"2001:db8::2","port":5353,"tsigKey":"t"}])
    );
}

#[test]
fn the_transport_of_primaries_is_said_or_left_to_the_daemon() {
    let daemon = Daemon::start(&[("POST /transfers/check", 200, r#"{"status":"OK","items":[]}"#.to_owned())]);
    for transport in [&[][..], &["--transport", "tls"], &["--transport", "tcp"]] {
        let arguments = [&["check", "example.com", "--primary", "192.0.2.1", "192.0.2.2#8853"], transport].concat();
        let output = daemon.run(&arguments);
        assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    }
    let bodies: Vec<serde_json::Value> =
        daemon.asked().iter().map(|asked| serde_json::from_str(&asked.body).expect("JSON")).collect();
    assert_eq!(bodies[0]["properties"]["primaryIps"], serde_json::json!(["192.0.2.1", "192.0.2.2#8853"]));
    for (body, transport) in bodies[1..].iter().zip(["tls", "tcp"]) {
        let expected = serde_json::json!([
            {"ip":"192.0.2.1","transport":transport},
            {"ip":"192.0.2.2","port":8853,"transport":transport},
        ]);
        assert_eq!(body["properties"]["primaries"], expected);
    }
    assert_eq!(daemon.run(&["check", "example.com", "--transport", "tls"]).status.code(), Some(3));
}

#[test]
fn remove_deletes_the_zone_of_that_very_name() {
    // The filter is a substring: what comes back may be another zone.
    let daemon = Daemon::start(&[(FIND, 200, list(&[zone("sub.example.com", "AVAILABLE")]))]);
    let output = daemon.run(&["remove", "example.com"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(err(&output).contains("no secondary zone example.com"), "{}", err(&output));

    let daemon = Daemon::start(&[
        (FIND, 200, list(&[zone("example.com", "AVAILABLE")])),
        (&format!("DELETE /secondaryzones/{ZONE_ID} "), 202, "{}".to_owned()),
    ]);
    assert_eq!(daemon.run(&["remove", "example.com"]).status.code(), Some(0));
}

#[test]
fn records_show_true_ttls_and_priorities() {
    let record = |meta: &str, properties: &str| {
        format!(r#"{{"type":"record","metadata":{{"fqdn":"example.com"{meta}}},"properties":{{{properties}}}}}"#)
    };
    let daemon = Daemon::start(&[
        (FIND, 200, list(&[zone("example.com", "AVAILABLE")])),
        (
            &format!("GET /secondaryzones/{ZONE_ID}/records?limit=1000&offset=0&filter.type=ALL "),
            200,
            list(&[
                record(
                    "",
                    r#""content":"mail.example.com","enabled":true,"name":"","priority":10,"ttl":3600,"type":"MX""#,
                ),
                record(
                    r#","ttl":5"#,
                    r#""content":"evil \u001b[31m","enabled":true,"name":"","priority":0,"ttl":60,"type":"TXT""#,
                ),
            ]),
        ),
    ]);
    let output = daemon.run(&["records", "example.com"]);
    let text = out(&output);
    assert!(text.contains("example.com  3600  MX    10 mail.example.com\n"), "{text}{}", err(&output));
    assert!(
        text.contains("example.com  5     TXT   evil ?[31m\n"),
        "control characters must not reach the terminal: {text}"
    );
}

#[test]
fn names_are_compared_as_domain_names() {
    let daemon = Daemon::start(&[
        (FIND, 200, list(&[zone("example.com", "AVAILABLE")])),
        (
            r"GET /secondaryzones?limit=1&filter.zoneName=a%5C.b.example ",
            200,
            list(&[zone(r"A\\046b.example", "AVAILABLE")]),
        ),
        (&get_axfr(), 202, axfr("AVAILABLE", &[GOOD])),
    ]);
    for name in ["example.com", "Example.COM.", r"ex\097mple.com", r"a\.b.example", r"A\046B.example."] {
        let output = daemon.run(&["zone", name]);
        assert_eq!(output.status.code(), Some(0), "{name}: {}", err(&output));
    }
    let output = daemon.run(&["zone", "example..com"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(err(&output).contains("\"example..com\" is no domain name"), "{}", err(&output));
}

#[test]
fn a_zone_without_contents_is_told_from_one_without_such_records() {
    let empty = |axfr| {
        Daemon::start(&[
            (FIND, 200, list(&[zone("example.com", "PROVISIONING")])),
            (&format!("GET /secondaryzones/{ZONE_ID}/records"), 200, list(&[])),
            (&get_axfr(), 202, axfr),
        ])
    };
    let never = axfr("PROVISIONING", &[BAD]).replace(r#""servedSerial":2026112201,"#, "");
    for arguments in [&["records", "example.com"][..], &["records", "example.com", "--json"]] {
        let output = empty(never.clone()).run(arguments);
        // As `export`, to which the daemon says so.
        assert_eq!((output.status.code(), out(&output)), (Some(3), String::new()));
        assert!(err(&output).contains("example.com has no contents yet"), "{}", err(&output));
    }
    let output = empty(axfr("AVAILABLE", &[GOOD])).run(&["records", "example.com", "--type", "MX"]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
}

#[test]
fn export_has_no_json() {
    let daemon = Daemon::start(&[(FIND, 200, list(&[zone("example.com", "AVAILABLE")]))]);
    let output = daemon.run(&["export", "example.com", "--json"]);
    assert_eq!((output.status.code(), out(&output)), (Some(3), String::new()));
    assert!(err(&output).contains("secondaryctl records --json"), "{}", err(&output));
}

#[test]
fn events_of_a_zone_that_is_not_here_are_not_waited_for() {
    const EVENTS: &str = "event: version\nid: 7\ndata: {\"zoneName\":\"example.com\",\"serial\":1}\n\n";
    let daemon = Daemon::start(&[
        (FIND, 200, list(&[zone("example.com", "AVAILABLE")])),
        ("GET /secondaryzones?limit=1&filter.zoneName=nosuch.example ", 200, list(&[])),
        (&format!("GET /secondaryzones/{ZONE_ID} "), 200, zone("example.com", "AVAILABLE")),
        (&format!("GET /events?zone=example.com%2C{ZONE_ID} "), 200, EVENTS.repeat(2)),
    ]);
    for zones in ["nosuch.example", "example.com,nosuch.example"] {
        let output = daemon.run(&["events", "--zone", zones]);
        assert_eq!(output.status.code(), Some(3));
        assert!(err(&output).contains("no secondary zone nosuch.example"), "{}", err(&output));
    }
    let absent = "00000000-0000-4000-8000-000000000000";
    assert_eq!(daemon.run(&["events", "--zone", absent]).status.code(), Some(3));
    let output = daemon.run(&["events", "--zone", &format!("Example.COM., {ZONE_ID}"), "--count", "1"]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert_eq!(out(&output).lines().count(), 1, "{}", out(&output));
    // "None at all" is nothing to wait for: a mistake.
    assert_eq!(daemon.run(&["events", "--count", "0"]).status.code(), Some(3));
}

#[test]
fn a_token_that_cannot_be_one_is_told_and_never_shown() {
    for (token, place) in [("secr\u{e9}t-token", 5), ("secret token", 7), ("secret\n", 7)] {
        let output = ctl(&["--url", "http://127.0.0.1:1", "--token", token, "zones"]);
        assert_eq!(output.status.code(), Some(3));
        let said = err(&output);
        assert!(said.contains(&format!("visible ASCII characters; its character {place} is none")), "{said}");
        assert!(!said.contains("secr"), "{said}");
    }
}

#[test]
fn failures_say_what_to_do_and_exit_as_monitoring_expects() {
    let refusing = Daemon::start(&[("GET ", 401, error("dns-unauthorized", "no such token"))]);
    let output = refusing.run(&["zones"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(err(&output).contains("401: no such token"), "{}", err(&output));
    let output = ctl(&["--url", &refusing.url, "zones"]);
    assert!(err(&output).contains("SECONDARYD_TOKEN"), "{}", err(&output));

    let broken = Daemon::start(&[("GET ", 500, "oops".to_owned())]);
    assert_eq!(broken.run(&["zones"]).status.code(), Some(2));
    let foreign = Daemon::start(&[("GET ", 200, "<html>".to_owned())]);
    let output = foreign.run(&["zones"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(err(&output).contains("is it a secondaryd?"), "{}", err(&output));

    // A port that was free a moment ago.
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port");
    let output = ctl(&["--url", &format!("http://{closed}"), "status"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(err(&output).starts_with("CRITICAL: ") && err(&output).contains("does not answer"), "{}", err(&output));
    let output = ctl(&["--url", "ftp://127.0.0.1:1", "status"]);
    assert_eq!(output.status.code(), Some(3), "{}", err(&output));
    assert_eq!(ctl(&["nonsense"]).status.code(), Some(3));
    assert_eq!(ctl(&["--help"]).status.code(), Some(0));
}

#[test]
fn help_prints_the_manual() {
    let output = ctl(&["help"]);
    assert!(out(&output).contains("getting-started  from nothing to a served zone\n"), "{}", out(&output));
    assert!(out(&ctl(&["help", "reasons"])).starts_with("# Reason codes\n"));
    assert!(out(&ctl(&["help", "RCODE_REFUSED"])).contains("provide-xfr"));
    assert_eq!(ctl(&["help", "nonsense"]).status.code(), Some(3));
}
