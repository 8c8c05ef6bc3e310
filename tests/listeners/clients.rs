//! The clients people use, unmodified: dig, kdig and dnsperf over UDP, TCP and TLS. One that is not installed is skipped.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::Arc;

use secondaryd::answer::{Cookies, Identity};

use super::setup::Server;

/// What a client prints; `None` if it is not installed.
fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let output = match Command::new(program).args(arguments).stdin(Stdio::null()).output() {
        Ok(output) => output,
        Err(_) => {
            eprintln!("skipped: {program} is not installed");
            return None;
        }
    };
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {arguments:?}\n{text}");
    Some(text)
}

fn started() -> Server {
    let server = Server::start();
    let identity = Identity::default().with_nsid(b"here").with_version(b"ours").with_host(b"ns1");
    server.policy.identity.store(Arc::new(identity.with_cookies(Cookies::new(vec![[7; 16]], false))));
    server
}

/// All of `wanted` stand in `text`, and no warning does.
#[track_caller]
fn expect(text: Option<String>, wanted: &[&str]) {
    let Some(text) = text else { return };
    for wanted in wanted {
        assert!(text.contains(wanted), "{wanted} is missing in\n{text}");
    }
    assert!(!text.to_lowercase().contains("warning"), "{text}");
}

#[test]
fn dig_is_content_over_every_transport() {
    let server = started();
    let (port, tls) = (server.address().port().to_string(), server.tls_address().port().to_string());
    let ask = |port: &str, more: &[&str]| run("dig", &[&["@127.0.0.1", "-p", port][..], more].concat());
    let good = ["status: NOERROR", "flags: qr aa", "192.0.2.2"];
    // two questions in one run: the second comes with the cookie the first has brought
    let twice = ask(&port, &["+norec", "+nsid", "www.example", "www.example"]);
    expect(twice, &[&good[..], &["(good)", "NSID: 68 65 72 65"]].concat());
    expect(
        ask(&port, &["+norec", "+tcp", "+keepopen", "+keepalive", "www.example"]),
        &[&good[..], &["KEEPALIVE"]].concat(),
    );
    let certificate = format!("+tls-ca={}", server.certificate.files.0.display());
    let over_tls = ["+norec", "+tls", "+tls-hostname=ns.example", &certificate, "www.example"];
    expect(ask(&tls, &over_tls), &good);
    expect(ask(&port, &["+norec", "+dnssec", "nobody.example"]), &["status: NXDOMAIN", "SOA", "flags: do"]);
    expect(ask(&port, &["+norec", "www.expired.example"]), &["status: SERVFAIL", "EDE: 24 (Invalid Data)", "expired"]);
    expect(ask(&port, &["+norec", "CH", "TXT", "id.server"]), &["\"ns1\""]);
    expect(ask(&port, &["AXFR", "example"]), &["XFR size: 406 records"]);
    expect(
        ask(&tls, &["AXFR", "+tls", "+tls-hostname=ns.example", &certificate, "example"]),
        &["XFR size: 406 records"],
    );
}

#[test]
fn kdig_is_content_over_every_transport() {
    let server = started();
    let (port, tls) = (server.address().port().to_string(), server.tls_address().port().to_string());
    let ask = |port: &str, more: &[&str]| run("kdig", &[&["@127.0.0.1", "-p", port][..], more].concat());
    let good = ["status: NOERROR", "192.0.2.2"];
    expect(ask(&port, &["+norec", "+cookie=00112233445566ff", "www.example"]), &[&good[..], &["COOKIE"]].concat());
    expect(ask(&port, &["+tcp", "+norec", "www.example"]), &good);
    let certificate = format!("+tls-ca={}", server.certificate.files.0.display());
    let secure = ["+tls-hostname=ns.example", &certificate, "+norec", "+padding", "www.example"];
    expect(ask(&tls, &secure), &[&good[..], &["TLS1.3", "PADDING"]].concat());
    expect(ask(&tls, &["+tls-hostname=ns.example", &certificate, "AXFR", "example"]), &["406 records"]);
    expect(ask(&port, &["+ednsopt=19", "+norec", "www.example"]), &good);
}

#[test]
fn dnsperf_loses_nothing() {
    let server = started();
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("queries");
    let questions: String =
        (0..400).map(|i| format!("host-{i}.example TXT\nnobody-{i}.example A\nwww.example A\n")).collect();
    fs::write(&file, questions).expect("written");
    let file = file.to_str().expect("a plain path");
    let (port, tls) = (server.address().port().to_string(), server.tls_address().port().to_string());
    for (mode, port) in [("udp", &port), ("tcp", &port), ("dot", &tls)] {
        let text = run("dnsperf", &["-s", "127.0.0.1", "-p", port, "-m", mode, "-d", file, "-n", "5", "-c", "4", "-D"]);
        let Some(text) = text else { return };
        assert!(text.contains("Queries completed:    6000 (100.00%)"), "{mode}\n{text}");
        assert!(text.contains("NOERROR 4000 (66.67%), NXDOMAIN 2000 (33.33%)"), "{mode}\n{text}");
    }
}
