//! Each broken set-up is a value; its explanation names cause and fix. The same set-ups with real primaries and a real
//! daemon stand in `tests/explain`.

use std::process::Command;

use super::*;
use crate::control::definition::{Arrangement, Origin, Primary};
use crate::control::held::{Held, Review};
use crate::control::history::{Phase, Tls, Trigger, Via};
use crate::control::status::{RefusedNotify, Remarked, Remarks};
use crate::reason::Reason;
use crate::refresh::{Finding, FindingCode, LastError, NextAttempt, PrimaryState, TransferKind, Why, ZoneState};
use crate::served::ZoneId;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const DAY: Duration = Duration::from_secs(86_400);

/// A zone that is well, with two primaries; each test breaks one thing.
struct Case {
    zone: ZoneStatus,
    surroundings: Surroundings,
}

impl Case {
    fn review(&mut self, review: Review) {
        self.zone.remarks = Remarks { review, ..Remarks::default() }.into();
    }

    fn new() -> Case {
        let primaries: Vec<Primary> =
            ["192.0.2.1:53", "192.0.2.2:5353"].map(|text| Primary::at(text.parse().expect("an address"))).to_vec();
        let state = |_| {
            let mut state = PrimaryState::new(NOW - DAY);
            state.code = Code::UpToDate;
            state.serial = Some(Serial(7));
            (state.last_attempt, state.last_success) = (Some(NOW - DAY / 24), Some(NOW - DAY / 24));
            let next_attempt = Some(NextAttempt { at: NOW + DAY / 24, why: Why::Refresh });
            PrimaryStatus { state: state.into(), next_attempt, attempt: None, behind_since: None, tls: None }
        };
        let definition = ZoneDefinition {
            id: ZoneId(1_000_001),
            uuid: uuid::Uuid::nil(),
            name: "example.com".parse().expect("a name"),
            description: String::new(),
            local: None,
            origin: Origin::Configured {
                file: std::path::Path::new("/etc/secondaryd/secondaryd.toml").into(),
                line: 9,
            },
            created: NOW - 30 * DAY,
            modified: NOW - 30 * DAY,
            arrangement: Arc::new(Arrangement::of_rest("1000".into(), "configuration".into(), primaries.into())),
        };
        let zone = ZoneStatus {
            state: ZoneState::Available,
            generation: 1,
            offered_serial: Some(Serial(7)),
            served_serial: Some(Serial(7)),
            stored_serial: Some(Serial(7)),
            last_refresh: Some(NOW - DAY / 24),
            next_refresh: Some(NOW + DAY / 24),
            expires: Some(NOW + 7 * DAY),
            stale_at: Some(NOW + DAY),
            expiring_at: Some(NOW + 5 * DAY),
            active_primary: Some(0),
            primaries: definition.primaries.iter().map(state).collect(),
            remarks: Remarked::default(),
            definition: Arc::new(definition),
        };
        let surroundings = Surroundings {
            keys: vec![("transfer".parse().expect("a name"), "hmac-sha512".to_owned())],
            listen: vec![
                "198.51.100.53:53".parse().expect("an address"),
                "[2001:db8::53]:53".parse().expect("an address"),
            ],
        };
        Case { zone, surroundings }
    }

    fn signed(mut self) -> Case {
        let definition = Arc::make_mut(&mut self.zone.definition);
        let primaries = Arc::make_mut(&mut definition.primaries);
        primaries.iter_mut().for_each(|p| p.tsig_key = Some("transfer".parse().expect("a name")));
        self
    }

    /// The first primary fails so since an hour.
    fn failing(mut self, code: Code, detail: &str) -> Case {
        let primary = &self.zone.definition.primaries[0];
        let shown = &mut self.zone.primaries[0];
        shown.state.code = code;
        shown.state.consecutive_failures = 6;
        shown.state.first_failure = Some(NOW - DAY / 24);
        let message = Reason::new(code, detail).message();
        shown.state.last_error = Some(Arc::new(LastError { code, message, time: NOW - DAY / 96 }));
        shown.attempt = Some(Arc::new(attempt(primary, code, detail)));
        self
    }

    fn alone(mut self) -> Case {
        let definition = Arc::make_mut(&mut self.zone.definition);
        definition.primaries = definition.primaries[..1].into();
        self.zone.primaries.truncate(1);
        self
    }

    fn never_loaded(mut self) -> Case {
        self.zone.state = ZoneState::Failed;
        (self.zone.served_serial, self.zone.offered_serial, self.zone.stored_serial) = (None, None, None);
        (self.zone.last_refresh, self.zone.expires, self.zone.stale_at, self.zone.expiring_at) =
            (None, None, None, None);
        self.zone
            .primaries
            .iter_mut()
            .for_each(|primary| (primary.state.last_success, primary.state.serial) = (None, None));
        self
    }

    fn expired(mut self) -> Case {
        self.zone.state = ZoneState::Failed;
        self.zone.last_refresh = Some(NOW - 9 * DAY);
        self.zone.expires = Some(NOW - 2 * DAY);
        self.zone.stale_at = Some(NOW - 8 * DAY);
        self.zone.expiring_at = Some(NOW - 3 * DAY);
        self
    }

    fn explained(self) -> Explanation {
        explain(&Facts {
            now: NOW,
            zone: Arc::new(self.zone),
            attempts: Vec::new(),
            surroundings: Arc::new(self.surroundings),
        })
    }
}

fn attempt(primary: &Primary, code: Code, detail: &str) -> Attempt {
    Attempt {
        primary: primary.address,
        trigger: Trigger::Timer,
        asked: TransferKind::Axfr,
        got: None,
        phase: Phase::Axfr,
        code,
        detail: detail.to_owned(),
        started: NOW - DAY / 96,
        ended: NOW - DAY / 96,
        first: NOW - DAY / 96,
        count: 1,
        from_serial: None,
        to_serial: None,
        records: 0,
        messages: 1,
        octets: 40,
        connect_us: Some(300),
        round_trip_us: Some(900),
        duration_ms: 2,
        key: primary.tsig_key.clone(),
        via: Via::Tcp,
        local: Some("198.51.100.53:41234".parse().expect("an address")),
        tls: None,
        ede: None,
    }
}

/// Everything of an explanation that a person reads.
fn text(explanation: &Explanation) -> String {
    let fixes = explanation.fixes.iter().map(|fix| {
        format!("{} {} {}", fix.text, fix.command.as_deref().unwrap_or(""), fix.configuration.as_deref().unwrap_or(""))
    });
    [explanation.verdict.clone()]
        .into_iter()
        .chain(explanation.evidence.clone())
        .chain(fixes)
        .collect::<Vec<_>>()
        .join("\n")
}

#[track_caller]
fn says(explanation: &Explanation, cause: Cause, words: &[&str]) {
    let text = text(explanation);
    assert_eq!(explanation.cause, cause, "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is missing in:\n{text}");
    }
    assert!(!explanation.fixes.is_empty(), "a cause has a fix");
}

#[test]
fn a_zone_that_is_well_needs_nothing() {
    let explanation = Case::new().explained();
    assert_eq!((explanation.cause, explanation.health), (Cause::Healthy, Health::Ok));
    assert_eq!(explanation.verdict, "example.com is served and confirmed (serial 7). Nothing has to be done.");
    assert!(explanation.fixes.is_empty());
}

#[test]
fn refused_axfr() {
    let explanation = Case::new().failing(Code::RcodeRefused, "").explained();
    says(
        &explanation,
        Cause::Refused,
        &[
            "primary 192.0.2.1 refuses us",
            "Allow transfers of example.com",
            "198.51.100.53",
            "dig -b 198.51.100.53 @192.0.2.1 -p 53 example.com AXFR",
        ],
    );
    assert_eq!(explanation.health, Health::Degraded);
}

#[test]
fn wrong_key() {
    let explanation = Case::new().signed().failing(Code::TsigBadKey, "the primary says BADKEY").explained();
    says(&explanation, Cause::WrongKey, &["does not know the key transfer", "signed with transfer"]);
    let explanation = Case::new().signed().failing(Code::TsigBadSig, "").explained();
    says(&explanation, Cause::WrongKey, &["another secret"]);
    let explanation =
        Case::new().signed().failing(Code::TsigBadKey, "no [tsig-key.transfer] is configured").explained();
    says(&explanation, Cause::WrongKey, &["Configure the key transfer here", "[tsig-key.\"transfer\"]"]);
}

#[test]
fn clock_skew() {
    let explanation = Case::new().signed().failing(Code::TsigBadTime, "the primary's clock is 600 s ahead").explained();
    says(&explanation, Cause::ClockSkew, &["disagree about the time", "600 s ahead", "NTP", "timedatectl"]);
}

#[test]
fn dead_primary() {
    let explanation = Case::new().failing(Code::ConnectTimeout, "timed out after 5 s").explained();
    says(
        &explanation,
        Cause::Unreachable,
        &["does not answer", "timed out after 5 s", "6 failures in a row", "ping -c 3 192.0.2.1"],
    );
}

#[test]
fn expired() {
    let explanation = Case::new().failing(Code::ConnectRefused, "connection refused").alone().expired().explained();
    says(
        &explanation,
        Cause::Unreachable,
        &[
            "has expired 2 d 0 h ago",
            "SERVFAIL",
            "Nothing listens at 192.0.2.1 port 53",
            "retransfer example.com --wait",
        ],
    );
    assert_eq!(explanation.health, Health::Expired);
}

#[test]
fn guard_rail() {
    let explanation = Case::new().failing(Code::GuardShrink, "998 of 1000 records would go").explained();
    says(&explanation, Cause::Held, &["policy holds back", "998 of 1000", "secondaryctl held example.com"]);
}

/// A held version is told with its own numbers, whatever its primary's status says by now.
#[test]
fn a_version_that_waits_for_approval() {
    let mut case = Case::new();
    let held = Held {
        id: uuid::Uuid::nil(),
        serial: Serial(9),
        base: Some(Serial(7)),
        primary: case.zone.definition.primaries[0].address,
        kind: TransferKind::Axfr,
        received: NOW - DAY / 24,
        reason: Reason::new(Code::GuardShrink, "998 of 1000 records would go"),
        records: 2,
        deleted: 998,
        added: 0,
        deadline: NOW + DAY,
    };
    case.review(Review { held: Some(Box::new(held)), ..Review::default() });
    let explanation = case.explained();
    says(
        &explanation,
        Cause::Held,
        &[
            "version 9 from primary 192.0.2.1",
            "998 of 1000",
            "secondaryctl approve example.com",
            "secondaryctl diff example.com",
        ],
    );
}

#[test]
fn a_rejected_version() {
    let mut case = Case::new().failing(Code::GuardApex, "the apex would lose its NS");
    let refused = crate::control::held::Refused {
        serial: Serial(8),
        reason: Reason::new(Code::GuardApex, ""),
        by: "alice".to_owned(),
        at: NOW,
    };
    case.review(Review { refused: Some(Box::new(refused)), ..Review::default() });
    says(&case.explained(), Cause::Held, &["Serial 8 was rejected by alice", "secondaryctl retransfer example.com"]);
}

#[test]
fn rolled_back() {
    let mut case = Case::new();
    let (serial, left) = (Serial(5), Serial(7));
    let pinned = crate::control::versions::Pinned { serial, left, by: "alice".to_owned(), at: NOW };
    case.review(Review { pinned: Some(Box::new(pinned)), ..Review::default() });
    says(
        &case.explained(),
        Cause::Pinned,
        &["alice has rolled it back to serial 5", "secondaryctl release example.com"],
    );
}

#[test]
fn wrong_tls_name() {
    let mut case = Case::new().failing(Code::TlsName, "expected ns1.example.net, certificate has other.example.net");
    let attempt = case.zone.primaries[0].attempt.as_mut().expect("an attempt");
    Arc::make_mut(attempt).tls = Some(Box::new(Tls {
        version: "TLSv1.3".to_owned(),
        peer_names: vec!["other.example.net".to_owned()],
        peer_not_after: None,
        verified: "not verified".to_owned(),
        own_not_after: None,
    }));
    says(&case.explained(), Cause::Tls, &["expected ns1.example.net", "tls-name = \"other.example.net\""]);
}

#[test]
fn lower_serial() {
    let mut case = Case::new().failing(Code::SerialBehind, "");
    case.zone.primaries[0].state.serial = Some(Serial(3));
    let explanation = case.explained();
    says(
        &explanation,
        Cause::SerialLower,
        &["older serial", "has serial 3", "above 7", "secondaryctl retransfer example.com --force"],
    );
}

#[test]
fn never_loaded() {
    let explanation = Case::new().failing(Code::SoaNodata, "").alone().never_loaded().explained();
    says(
        &explanation,
        Cause::NotServed,
        &["has never been loaded", "SERVFAIL", "does not serve the zone", "Make 192.0.2.1 authoritative"],
    );
    assert_eq!(explanation.health, Health::Unloaded);
}

/// RFC 1996 §4.7 leaves a NOTIFY unauthenticated: what a stranger can send must not make us say something false of a zone.
#[test]
fn a_refused_notify_is_no_cause_where_others_are_accepted_or_it_is_old_or_more_is_known() {
    let refused = |at, polling_only| {
        let from = "203.0.113.9:3333".parse().expect("an address");
        Some(Box::new(RefusedNotify { from, at, why: RefusedFor::Source, count: 1, polling_only }))
    };
    // given a refused NOTIFY of a zone whose own are accepted, one of yesterday, and one beside a warning
    for (at, polling_only, warnings, expected) in [
        (NOW, false, Vec::new(), Cause::Healthy),
        (NOW - DAY, true, Vec::new(), Cause::Healthy),
        (NOW, true, vec!["two records were skipped".to_owned()], Cause::Finding),
    ] {
        let mut case = Case::new();
        case.zone.remarks =
            Remarks { refused_notify: refused(at, polling_only), warnings, ..Remarks::default() }.into();
        // when it is explained
        let explanation = case.explained();
        // then it is told as what it is, and is no cause; nobody is asked to allow a stranger
        assert_eq!(explanation.cause, expected);
        assert!(!explanation.verdict.contains("polling only"), "{}", explanation.verdict);
        assert!(explanation.evidence.iter().any(|line| line.contains("NOTIFY from 203.0.113.9:3333 refused")));
        let allows =
            explanation.fixes.iter().any(|fix| fix.configuration.as_ref().is_some_and(|c| c.contains("allow-notify")));
        assert_eq!(allows, expected == Cause::Finding);
    }
}

#[test]
fn notify_from_an_unlisted_address() {
    let mut case = Case::new();
    let refused_notify = Some(Box::new(RefusedNotify {
        from: "203.0.113.9:3333".parse().expect("an address"),
        at: NOW - DAY / 2,
        why: RefusedFor::Source,
        count: 1,
        polling_only: true,
    }));
    case.zone.remarks = Remarks { refused_notify, ..Remarks::default() }.into();
    let explanation = case.explained();
    says(
        &explanation,
        Cause::NotifyRefused,
        &[
            "NOTIFY from 203.0.113.9 is refused",
            "polling only",
            "allow-notify = [\"203.0.113.9/32\"]",
            "/etc/secondaryd/secondaryd.toml",
        ],
    );
    assert_eq!(explanation.health, Health::Ok);
}

#[test]
fn every_finding_is_told_with_what_to_do() {
    for code in FindingCode::ALL {
        let mut case = Case::new();
        let evidence = "it was seen".to_owned();
        let findings = vec![Finding { code, primary: Some(1), since: NOW - DAY, evidence }];
        case.zone.remarks = Remarks { findings, ..Remarks::default() }.into();
        let explanation = case.explained();
        says(&explanation, Cause::Finding, &[code.as_str(), "But primary 192.0.2.2#5353: it was seen"]);
        assert_eq!(explanation.fixes.len(), 1);
    }
}

/// What somebody must repair by hand is told before what may pass by itself.
#[test]
fn of_two_failing_primaries_the_one_that_needs_a_hand_is_named() {
    let mut case = Case::new().failing(Code::ConnectTimeout, "timed out after 5 s");
    case.zone.primaries[1].state.code = Code::RcodeRefused;
    let explanation = case.explained();
    says(
        &explanation,
        Cause::Refused,
        &["primary 192.0.2.2#5353 refuses us", "one more primary fails", "192.0.2.1: ERROR CONNECT_TIMEOUT"],
    );
    assert!(explanation.fixes.iter().any(|fix| fix.text.contains("Nothing comes back from 192.0.2.1")));
}

#[test]
fn every_failure_has_advice() {
    for &code in Code::ALL.iter().filter(|code| matches!(code.status(), StatusWord::Error | StatusWord::Lagging)) {
        let explanation = Case::new().signed().failing(code, "detail").explained();
        if !matches!(code, Code::Interrupted | Code::Cancelled) {
            assert!(explanation.cause > Cause::UnderWay, "{code} is no cause");
        }
        assert!(!explanation.fixes.is_empty(), "{code}");
        assert!(explanation.verdict.contains(code.as_str()), "{code}: {}", explanation.verdict);
    }
}

// -- the card -------------------------------------------------------------------------------------

fn snippet(explanation: &Explanation, server: &str) -> String {
    let found = explanation.card.snippets.iter().find(|snippet| snippet.server == server);
    found.expect("a snippet").text.clone()
}

#[test]
fn the_card_names_our_addresses_and_key_but_never_a_secret() {
    let explanation = Case::new().signed().failing(Code::RcodeRefused, "").explained();
    let card = &explanation.card;
    assert_eq!(card.source_addresses, ["198.51.100.53"]);
    assert_eq!(card.notify_addresses, ["198.51.100.53#53", "2001:db8::53#53"]);
    assert_eq!((card.tsig_key.as_deref(), card.algorithm.as_deref()), (Some("transfer"), Some("hmac-sha512")));
    assert_eq!(card.snippets.len(), 5);
    assert!(snippet(&explanation, "BIND").contains("REPLACE/THIS"));
}

/// A wildcard is no address to write into another's configuration.
#[test]
fn a_wildcard_listener_is_told_by_the_addresses_we_ask_from() {
    let mut case = Case::new().failing(Code::RcodeRefused, "");
    case.surroundings.listen = vec!["0.0.0.0:5300".parse().expect("an address")];
    assert_eq!(case.explained().card.notify_addresses, ["198.51.100.53#5300"]);
}

/// Gives `text` to a checker; skipped, with a word, where it is not installed.
fn checked(program: &str, arguments: &[&str], file: &str, text: &str) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join(file);
    std::fs::write(&path, text).expect("written");
    let found = ["/usr/bin", "/usr/sbin"]
        .iter()
        .map(|dir| format!("{dir}/{program}"))
        .find(|path| std::path::Path::new(path).exists());
    let Some(program) = found else {
        eprintln!("{program} is not installed: its snippet is not checked");
        return;
    };
    let output = Command::new(program)
        .args(arguments)
        .arg(&path)
        .current_dir(directory.path())
        .output()
        .expect("the checker runs");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{text}");
}

#[test]
fn snippets_are_taken_by_the_servers_they_are_for() {
    for case in [Case::new().failing(Code::RcodeRefused, ""), Case::new().signed().failing(Code::RcodeRefused, "")] {
        let explanation = case.explained();
        checked("named-checkconf", &[], "named.conf", &snippet(&explanation, "BIND"));
        checked("nsd-checkconf", &[], "nsd.conf", &snippet(&explanation, "NSD"));
        let knot = snippet(&explanation, "Knot DNS");
        let path_comes_last = ["conf-check", "-c"];
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("knot.conf");
        std::fs::write(&path, &knot).expect("written");
        if std::path::Path::new("/usr/sbin/knotc").exists() {
            let output =
                Command::new("/usr/sbin/knotc").arg(path_comes_last[1]).arg(&path).arg(path_comes_last[0]).output();
            let output = output.expect("knotc runs");
            assert!(output.status.success(), "{}\n{knot}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

#[test]
fn snippets_for_powerdns_and_windows_name_zone_addresses_and_key() {
    let explanation = Case::new().signed().failing(Code::RcodeRefused, "").explained();
    let powerdns = snippet(&explanation, "PowerDNS");
    for line in [
        "pdnsutil activate-tsig-key example.com transfer primary\n",
        "pdnsutil set-meta example.com ALLOW-AXFR-FROM 198.51.100.53\n",
        "pdnsutil set-meta example.com ALSO-NOTIFY 198.51.100.53:53 [2001:db8::53]:53\n",
    ] {
        assert!(powerdns.contains(line), "{powerdns}");
    }
    let windows = snippet(&explanation, "Windows DNS");
    assert!(
        windows.contains(
            "-SecondaryServers 198.51.100.53 -Notify NotifyServers -NotifyServers 198.51.100.53,2001:db8::53"
        )
    );
    assert!(windows.contains("does not know TSIG"));
}
