//! `secondaryctl explain` before a real daemon on ten broken set-ups, each with a scripted primary: it names the cause
//! and what to do. The outputs stand together in `target/tmp/explain.txt` afterwards, for people.

#[path = "../harness/mod.rs"]
mod harness;
#[path = "../bad_primaries/primary.rs"]
#[allow(dead_code)]
mod primary;
#[path = "../bad_primaries/reply.rs"]
#[allow(dead_code)]
mod reply;

use std::fmt::Write as _;
use std::net::UdpSocket;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use secondaryd::dns::tsig::{self, Algorithm, Keyring};
use secondaryd::dns::{RecordType, message};
use secondaryd::time::Timestamp;
use serde_json::Value;

use harness::{Key, address, certificates, daemon, wait};
use primary::{Greeting, Primary, Query, Step};
use reply::Reply;
use wait::SOON;

use daemon::{Entry, Secondaryd};

const KEY: Key =
    Key { name: "shared", algorithm: "hmac-sha256", secret: "c2Vjb25kYXJ5ZCB0ZXN0IGtleSBudW1iZXIgb25lISE=" };

/// A broken set-up: its zone, the verdict's key, the exit code, and what must be said.
struct Case {
    zone: &'static str,
    cause: &'static str,
    exit: i32,
    words: &'static [&'static str],
}

const CASES: [Case; 10] = [
    Case {
        zone: "refused.example",
        cause: "REFUSED",
        exit: 2,
        words: &["has never been loaded", "refuses us", "RCODE_REFUSED", "Allow transfers of refused.example", "AXFR"],
    },
    Case {
        zone: "wrong-key.example",
        cause: "WRONG_KEY",
        exit: 2,
        words: &["TSIG_BADKEY", "does not know the key shared", "signed with shared"],
    },
    Case {
        zone: "skewed.example",
        cause: "CLOCK_SKEW",
        exit: 2,
        words: &["TSIG_BADTIME", "disagree about the time", "NTP"],
    },
    Case {
        zone: "dead.example",
        cause: "UNREACHABLE",
        exit: 2,
        words: &["does not answer", "CONNECT_REFUSED", "Nothing listens at", "nc -vz"],
    },
    Case {
        zone: "expired.example",
        cause: "OTHER",
        exit: 2,
        words: &["has expired", "SERVFAIL", "RCODE_SERVFAIL", "secondaryctl retransfer expired.example --wait"],
    },
    Case {
        zone: "held.example",
        cause: "HELD",
        exit: 1,
        words: &["is served and confirmed (serial 1)", "version 2", "GUARD_APEX", "secondaryctl approve held.example"],
    },
    Case {
        zone: "tls-name.example",
        cause: "TLS",
        exit: 2,
        words: &["TLS_NAME", "other.example", "tls-name = \"other.example\""],
    },
    Case {
        zone: "lower.example",
        cause: "SERIAL_LOWER",
        exit: 1,
        words: &["older serial", "has serial 3", "above 5", "secondaryctl retransfer lower.example --force --wait"],
    },
    Case {
        zone: "never.example",
        cause: "NOT_SERVED",
        exit: 2,
        words: &["has never been loaded", "SOA_NODATA", "authoritative for never.example"],
    },
    Case {
        zone: "notify.example",
        cause: "NOTIFY_REFUSED",
        exit: 0,
        words: &["NOTIFY from 127.0.0.1 is refused", "polling only", "allow-notify = [\"127.0.0.1/32\"]"],
    },
];

#[test]
fn ten_broken_set_ups_are_explained_with_cause_and_fix() {
    let directory = tempfile::tempdir().expect("a directory");
    let authority = certificates::Authority::new("test authority");
    let ca = certificates::write(directory.path(), "ca.pem", &authority.certificate);

    let refused = Primary::start(reply::offering("refused.example", 2, |query| vec![Reply::to(query).rcode(5).send()]));
    let wrong_key = Primary::start(|query| unsigned_answer(query, &Keyring::default(), 0));
    let skewed = Primary::start(|query| unsigned_answer(query, &ring(), 600));
    let expired = Primary::start(brief("expired.example", 1));
    let held = Primary::start(reply::good("held.example", 1));
    let tls = Primary::greeting(
        greeting(&authority.signs(&["other.example"], certificates::VALID)),
        reply::good("tls-name.example", 1),
    );
    let lower = Primary::start(reply::good("lower.example", 5));
    let never = Primary::start(|query: &Query| vec![Reply::to(query).send()]);
    let notify = Primary::start(reply::good("notify.example", 1));
    let tables = format!(
        "[primary.over-tls]\naddress = \"{}\"\ntransport = \"tls\"\ntls-name = \"ns1.example\"\ntls-ca = {ca:?}\n\
         [[secondary-zone]]\nname = \"tls-name.example\"\nprimaries = [\"over-tls\"]\n",
        tls.address()
    );
    let ours = Secondaryd::reserve()
        .with_settings("idle-timeout = \"2s\"\nconnect-timeout = \"2s\"\n")
        .with_tables(&tables)
        .with_zone(Entry::new("refused.example", &[refused.address()]))
        .with_zone(Entry::new("wrong-key.example", &[wrong_key.address()]).with_key(Some(KEY)))
        .with_zone(Entry::new("skewed.example", &[skewed.address()]).with_key(Some(KEY)))
        .with_zone(Entry::new("dead.example", &[address::ipv4()]))
        .with_zone(Entry::new("expired.example", &[expired.address()]))
        .with_zone(Entry::new("held.example", &[held.address()]))
        .with_zone(Entry::new("lower.example", &[lower.address()]))
        .with_zone(Entry::new("never.example", &[never.address()]))
        .with_zone(Entry::new("notify.example", &[notify.address()]))
        .started();
    for (zone, serial) in [("expired.example", 1), ("held.example", 1), ("lower.example", 5), ("notify.example", 1)] {
        ours.dns.wait_serial(zone, serial, SOON);
    }

    // Then they break.
    expired.play(|query: &Query| vec![Reply::to(query).rcode(2).send()]);
    lower.play(reply::good("lower.example", 3));
    let without_ns = reply::around(reply::soa("held.example", 2), reply::body("held.example", 2)[1..].to_vec());
    held.play(move |query: &Query| match query.qtype {
        RecordType::SOA => vec![Reply::to(query).with(&without_ns[..1]).send()],
        _ => vec![Reply::to(query).with(&without_ns).send()],
    });
    for zone in ["lower.example", "held.example"] {
        ours.expect("PUT", &format!("{}/axfr?mode=refresh", ours.zone_path(zone)), 202);
    }
    let strange = message::notify(7, &"notify.example".parse().expect("a zone"), None, None);
    let stranger = UdpSocket::bind("127.0.0.1:0").expect("a port");
    stranger.send_to(&strange, ours.address()).expect("loopback takes it");

    let mut outputs = String::new();
    for case in &CASES {
        explained(&ours, case, &mut outputs);
    }
    std::fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join("explain.txt"), outputs).expect("written");
}

/// Waits until the verdict is the one expected, then looks at what a person is told.
#[track_caller]
fn explained(ours: &Secondaryd, case: &Case, outputs: &mut String) {
    let path = format!("/zones/{}/explain", case.zone);
    let mut last = Value::Null;
    let found = wait::poll(SOON * 3, || {
        last = ours.expect("GET", &path, 200);
        let expired = case.zone != "expired.example" || last["health"] == "expired";
        // While a primary is being asked once more the cause is already known from the last time.
        (last["cause"] == case.cause && expired).then_some(())
    });
    assert!(found.is_some(), "{}: {last:#}", case.zone);
    let output = ours.ctl(&["explain", case.zone]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for word in case.words {
        assert!(text.contains(word), "{word:?} is missing in:\n{text}\n{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(output.status.code(), Some(case.exit), "{text}");
    let _ = write!(outputs, "$ secondaryctl explain {}\n{text}\n", case.zone);
}

/// What a server says to a signature that it cannot accept: it has these keys, and its clock is `ahead` by so many
/// seconds.
fn unsigned_answer(query: &Query, keys: &Keyring, ahead: u64) -> Vec<Step> {
    match tsig::verify_request(&query.message, keys, Timestamp::now() + Duration::from_secs(ahead)) {
        Err(failure) => vec![Step::Send(failure.response(&query.message, None))],
        Ok(_) => vec![Reply::to(query).rcode(5).send()],
    }
}

fn ring() -> Keyring {
    let algorithm: Algorithm = KEY.algorithm.parse().expect("known");
    let secret = base64::engine::general_purpose::STANDARD.decode(KEY.secret).expect("base64");
    [Arc::new(tsig::Key::new(KEY.name.parse().expect("a name"), algorithm, &secret))].into_iter().collect()
}

/// A good zone that expires within seconds.
fn brief(zone: &'static str, serial: u32) -> impl Fn(&Query) -> Vec<Step> + Send + Sync + 'static {
    let soa = reply::soa_with(zone, serial, "1 1 2 60");
    move |query| match query.qtype {
        RecordType::SOA => vec![Reply::to(query).with(std::slice::from_ref(&soa)).send()],
        _ => vec![Reply::to(query).with(&reply::around(soa.clone(), reply::body(zone, serial))).send()],
    }
}

fn greeting(pair: &certificates::Pair) -> Greeting {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    let chain = vec![CertificateDer::from_pem_slice(pair.certificate.as_bytes()).expect("PEM")];
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("PEM");
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key).expect("key and certificate");
    config.alpn_protocols = vec![b"dot".to_vec()];
    Greeting::Tls(Arc::new(config))
}

/// What was seen before a restart is seen after it: the status tells of the last attempt, the history of all.
#[test]
fn history_and_last_attempt_survive_a_restart() {
    let primary = Primary::start(reply::good("kept.example", 1));
    let mut ours = Secondaryd::reserve().with_zone(Entry::new("kept.example", &[primary.address()])).started();
    ours.dns.wait_serial("kept.example", 1, SOON);
    let path = ours.zone_path("kept.example");
    let before = ours.expect("GET", &format!("{path}/axfr/history?kind=transfer"), 200);
    assert_eq!(before["items"][0]["got"], "AXFR", "{before:#}");
    ours.stop();
    ours.start();
    let after = ours.expect("GET", &format!("{path}/axfr/history?kind=transfer"), 200);
    assert_eq!(after["items"], before["items"]);
    let item = ours.item("kept.example", 0);
    assert_eq!(item["attempt"]["got"], "AXFR", "a zone that is fresh is not asked at start: {item:#}");
}

/// Exit codes are what monitoring reads: 0 ok, 1 warning, 2 critical, 3 unknown.
#[test]
fn the_verbs_that_tell_why_exit_as_monitoring_expects() {
    let good = Primary::start(reply::good("good.example", 1));
    let half = Primary::start(reply::good("half.example", 1));
    let dead = address::ipv4();
    let ours = Secondaryd::reserve()
        .with_zone(Entry::new("good.example", &[good.address()]))
        .with_zone(Entry::new("half.example", &[half.address(), dead]))
        .started();
    ours.dns.wait_serial("good.example", 1, SOON);
    ours.dns.wait_serial("half.example", 1, SOON);
    ours.wait_item("half.example", 1, "failed", |item| item["status"] == "ERROR");
    let run = |arguments: &[&str]| {
        let output = ours.ctl(arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code().expect("it exits"), text)
    };

    let (code, text) = run(&["explain", "good.example"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("Nothing has to be done"), "{text}");
    let (code, text) = run(&["explain", "good.example", "--snippet", "knot"]);
    assert!(code == 0 && text.contains("domain: good.example"), "{text}");
    assert_eq!(run(&["explain", "good.example", "--snippet", "djbdns"]).0, 3);
    // a zone that is edited here has no primaries to explain
    let local = r#"{"properties": {"zoneName": "local.example"}}"#;
    assert_eq!(ours.send("POST", "/zones", local).expect("answered").0, 202);
    for name in ["nothing.example", "local.example"] {
        let (code, text) = run(&["explain", name]);
        assert_eq!(code, 3, "{text}");
        assert!(text.contains(&format!("there is no secondary zone {name}; secondaryctl zones lists them")), "{text}");
    }
    assert_eq!(run(&["explain", "GOOD.example."]).0, 0);

    let (code, text) = run(&["history", "half.example", "--code", "CONNECT_REFUSED"]);
    assert!(code == 0 && text.contains("CONNECT_REFUSED") && !text.contains("AXFR"), "{text}");
    let (code, text) = run(&["history", "good.example", "--kind", "transfer"]);
    assert!(code == 0 && text.contains("AXFR"), "{text}");

    let (code, text) = run(&["check", "good.example", "--transfer"]);
    assert!(code == 0 && text.contains("serial 1 is served here"), "{text}");
    assert_eq!(run(&["check", "half.example"]).0, 1);
    let (code, text) = run(&["check", "new.example", "--primary", &dead.to_string()]);
    assert!(code == 2 && text.contains("CONNECT_REFUSED"), "{text}");

    let (code, text) = run(&["health"]);
    assert!(code == 1 && text.contains("1 degraded") && text.contains("half.example"), "{text}");
    let (code, text) = run(&["transfers", "--status", "ERROR"]);
    assert!(code == 1 && text.contains("half.example") && !text.contains("good.example"), "{text}");
    let (code, text) = run(&["export", "good.example"]);
    assert!(code == 0 && text.contains("SOA"), "{text}");

    // Behind no event of this life of the daemon: the gap is told, and what is kept follows.
    let (code, text) = run(&["--json", "events", "--count", "1", "--zone", "good.example", "--since", "1"]);
    assert!(code == 0 && text.contains("\"type\":\"gap\""), "{text}");
}
