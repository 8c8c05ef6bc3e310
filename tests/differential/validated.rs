//! What we serve from signed zones convinces a validator that knows the trust anchor and nothing else.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use crate::serve::Served;
use crate::zones::{self, Zone};

/// What `delv` says of an answer.
const SECURE: &str = "; fully validated";
const SECURELY_ABSENT: &str = "; negative response, fully validated";
/// A wildcard in an opt-out span: an unsigned name closer than it might exist (RFC 5155 §12.2.1).
const INSECURE: &str = "; unsigned answer";

/// The key-signing key of the fixture as `delv` wants it.
fn anchors(zone: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/zones").join(zone).with_extension("anchors");
    let text = std::fs::read_to_string(path).expect("anchors");
    let mut keys = String::from("trust-anchors {\n");
    for line in text.lines().filter(|line| line.contains("DNSKEY 257")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [owner, _, _, flags, protocol, algorithm, ref key @ ..] = words[..] else { panic!("{line}") };
        writeln!(keys, " {owner} static-key {flags} {protocol} {algorithm} {:?};", key.concat()).expect("text");
    }
    keys + "};\n"
}

fn check(fixture: &str, questions: &[(&str, &str, &str)]) {
    check_zone(fixture, &format!("{fixture}.example"), questions);
}

fn check_zone(fixture: &str, name: &str, questions: &[(&str, &str, &str)]) {
    if Command::new("delv").arg("-v").output().is_err() {
        eprintln!("skipped: delv is not installed");
        return;
    }
    let zone: Zone = zones::fixture(&format!("{fixture}.zone"), name, 7);
    let served = Served::start(&[zone]);
    let directory = tempfile::tempdir().expect("directory");
    let file = directory.path().join("anchors");
    std::fs::write(&file, anchors(fixture)).expect("anchors");
    let mut wrong = String::new();
    for &(owner, qtype, expected) in questions {
        let full = match owner {
            "@" => name.to_owned(),
            owner => format!("{owner}.{}", name.trim_end_matches('.')),
        };
        let output = Command::new("delv")
            .args(["-4", "+multiline", &format!("+root={name}")])
            .arg(format!("@{}", served.address.ip()))
            .args(["-p", &served.address.port().to_string(), "-a"])
            .arg(&file)
            .args([&full, qtype])
            .output()
            .expect("delv runs");
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if !text.lines().any(|line| line == expected) {
            writeln!(wrong, "{full} {qtype}: expected {expected:?}, but\n{text}").expect("text");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Positive answers and chains, NXDOMAIN, no data, wildcards, empty non-terminals, absent DS.
#[test]
fn answers_of_a_zone_with_nsec_are_validated() {
    check(
        "signed-nsec",
        &[
            ("@", "SOA", SECURE),
            ("www", "A", SECURE),
            ("alias", "A", SECURE),
            ("www.dname", "A", SECURE),
            ("some.wild", "A", SECURE),
            ("a.b.wild", "TXT", SECURE),
            ("some.cname", "A", SECURE),
            ("secure", "DS", SECURE),
            ("nowhere", "A", SECURELY_ABSENT),
            ("zzz", "A", SECURELY_ABSENT),
            ("a.b.www", "A", SECURELY_ABSENT),
            ("www", "TXT", SECURELY_ABSENT),
            ("@", "TXT", SECURELY_ABSENT),
            ("y.ent", "A", SECURELY_ABSENT),
            ("some.wild", "MX", SECURELY_ABSENT),
            ("insecure", "DS", SECURELY_ABSENT),
            ("insecure2.optent", "DS", SECURELY_ABSENT),
            ("optent", "A", SECURELY_ABSENT),
        ],
    );
}

#[test]
fn answers_of_a_zone_with_nsec3_and_opt_out_are_validated() {
    check(
        "signed-nsec3",
        &[
            ("@", "SOA", SECURE),
            ("www", "A", SECURE),
            ("alias", "A", SECURE),
            ("www.dname", "A", SECURE),
            ("some.wild", "A", INSECURE),
            ("a.b.wild", "TXT", INSECURE),
            ("some.cname", "A", SECURE),
            ("secure", "DS", SECURE),
            ("a.b.www", "A", SECURELY_ABSENT),
            ("www", "TXT", SECURELY_ABSENT),
            ("@", "TXT", SECURELY_ABSENT),
            ("y.ent", "A", SECURELY_ABSENT),
            ("some.wild", "MX", SECURELY_ABSENT),
            ("nowhere", "A", SECURELY_ABSENT),
            ("insecure", "DS", SECURELY_ABSENT),
            ("insecure2.optent", "DS", SECURELY_ABSENT),
            ("optent", "A", SECURELY_ABSENT),
        ],
    );
}

/// The same zone with NSEC3 as RFC 9276 wants it: without opt-out a wildcard's answer is proved to the end.
#[test]
fn answers_of_a_zone_with_nsec3_and_no_opt_out_are_validated() {
    check(
        "signed-nsec3-closed",
        &[
            ("@", "SOA", SECURE),
            ("www", "A", SECURE),
            ("alias", "A", SECURE),
            ("www.dname", "A", SECURE),
            ("some.wild", "A", SECURE),
            ("a.b.wild", "TXT", SECURE),
            ("some.cname", "A", SECURE),
            ("secure", "DS", SECURE),
            ("a.b.www", "A", SECURELY_ABSENT),
            ("www", "TXT", SECURELY_ABSENT),
            ("@", "TXT", SECURELY_ABSENT),
            ("y.ent", "A", SECURELY_ABSENT),
            ("ent", "TXT", SECURELY_ABSENT),
            ("some.wild", "MX", SECURELY_ABSENT),
            ("nowhere", "A", SECURELY_ABSENT),
            ("insecure", "DS", SECURELY_ABSENT),
            ("insecure2.optent", "DS", SECURELY_ABSENT),
            ("optent", "A", SECURELY_ABSENT),
        ],
    );
}

#[test]
fn answers_of_a_root_are_validated() {
    check_zone(
        "root",
        ".",
        &[
            ("@", "SOA", SECURE),
            ("@", "NS", SECURE),
            ("@", "DNSKEY", SECURE),
            ("com", "DS", SECURE),
            ("example", "DS", SECURELY_ABSENT),
            ("nowhere", "A", SECURELY_ABSENT),
            ("a.b.c.nowhere", "A", SECURELY_ABSENT),
            ("@", "TXT", SECURELY_ABSENT),
        ],
    );
}
