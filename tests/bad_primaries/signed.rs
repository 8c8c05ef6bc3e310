//! B17: signatures that are missing, wrong, late or from another clock.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use secondaryd::dns::RecordType;
use secondaryd::dns::tsig::{self, Algorithm, Keyring, StreamSigner};
use secondaryd::time::Timestamp;

use crate::Key;
use crate::daemon::{Entry, Secondaryd};
use crate::primary::{Over, Primary, Query, Step};
use crate::reply::{self, Reply, soa};
use crate::wait::SOON;

pub(crate) const KEY: Key =
    Key { name: "shared", algorithm: "hmac-sha256", secret: "c2Vjb25kYXJ5ZCB0ZXN0IGtleSBudW1iZXIgb25lISE=" };

/// What is done to the messages of a transfer, by their index.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Signing {
    Good,
    /// Nothing is signed.
    Never,
    /// This message and those behind it are not signed.
    NotFrom(usize),
    /// The MAC of this message is wrong.
    BadMac(usize),
    /// Signed with another secret under the same name.
    OtherSecret,
    /// Signed with a key of another name.
    OtherName,
    /// Signed at another time.
    At(i64),
}

fn secret() -> Vec<u8> {
    base64::engine::general_purpose::STANDARD.decode(KEY.secret).expect("base64")
}

fn key(name: &str, secret: &[u8]) -> Arc<tsig::Key> {
    let algorithm: Algorithm = KEY.algorithm.parse().expect("known");
    Arc::new(tsig::Key::new(name.parse().expect("a name"), algorithm, secret))
}

/// [`KEY`] as messages are signed with it.
pub(crate) fn shared_key() -> Arc<tsig::Key> {
    key(KEY.name, &secret())
}

/// A transfer in three messages, signed so.
fn signed(query: &Query, messages: &[Reply], signing: Signing) -> Vec<Step> {
    let secret = secret();
    let ring: Keyring = [key(KEY.name, &secret)].into_iter().collect();
    let mut request = tsig::verify_request(&query.message, &ring, Timestamp::now()).expect("good").expect("signed");
    match signing {
        Signing::OtherSecret => request.key = key(KEY.name, b"another secret of some length !!"),
        Signing::OtherName => request.key = key("other", &secret),
        _ => {}
    }
    let mut signer = StreamSigner::new(&request);
    let sent = messages.iter().enumerate().map(|(index, reply)| {
        let mut message = reply.octets();
        let now = match signing {
            Signing::At(secs) if secs < 0 => {
                Timestamp::from_millis(Timestamp::now().as_millis() - secs.unsigned_abs() * 1000)
            }
            Signing::At(secs) => Timestamp::now() + Duration::from_secs(secs.unsigned_abs()),
            _ => Timestamp::now(),
        };
        match signing {
            Signing::Never => {}
            Signing::NotFrom(first) if index >= first => {}
            _ => signer.sign(&mut message, now),
        }
        if let Signing::BadMac(bad) = signing
            && bad == index
        {
            // Original id, error and other length stand behind the MAC.
            let at = message.len() - 7;
            message[at] ^= 1;
        }
        Step::Send(message)
    });
    sent.collect()
}

pub(crate) fn script(
    zone: &str,
    serial: u32,
    probe: Signing,
    transfer: Signing,
) -> impl Fn(&Query) -> Vec<Step> + Send + Sync + 'static {
    let zone = zone.to_owned();
    move |query| {
        let whole = reply::zone(&zone, serial);
        let parts = match query.qtype {
            RecordType::SOA => return signed(query, &[Reply::to(query).with(&[soa(&zone, serial)])], probe),
            _ => [&whole[..2], &whole[2..4], &whole[4..]],
        };
        signed(query, &parts.map(|part| Reply::to(query).with(part)), transfer)
    }
}

/// G1, G3: each has its own code, nothing of the transfer is used, and AXFR is not tried: it would fare no better.
#[test]
fn b17_bad_signatures_discard_the_whole_transfer() {
    let cases = [
        ("unsigned", Signing::Never, "TSIG_MISSING"),
        ("unsigned-end", Signing::NotFrom(1), "TSIG_MISSING"),
        ("unsigned-last", Signing::NotFrom(2), "TSIG_MISSING"),
        ("bad-first", Signing::BadMac(0), "TSIG_BADSIG"),
        ("bad-second", Signing::BadMac(1), "TSIG_BADSIG"),
        ("bad-last", Signing::BadMac(2), "TSIG_BADSIG"),
        ("other-secret", Signing::OtherSecret, "TSIG_BADSIG"),
        ("other-name", Signing::OtherName, "TSIG_BADKEY"),
        ("slow-clock", Signing::At(-600), "TSIG_BADTIME"),
        ("fast-clock", Signing::At(600), "TSIG_BADTIME"),
    ];
    let mut ours = Secondaryd::reserve();
    let mut primaries = Vec::new();
    for (name, ..) in cases {
        let zone = format!("{name}.example");
        let primary = Primary::start(script(&zone, 1, Signing::Good, Signing::Good));
        ours = ours.with_zone(Entry::new(&zone, &[primary.address()]).with_key(Some(KEY)));
        primaries.push((zone, primary));
    }
    let ours = ours.started();
    for ((_, signing, code), (zone, primary)) in cases.into_iter().zip(&primaries) {
        // Given a zone that came well signed
        ours.dns.wait_serial(zone, 1, SOON);
        ours.wait_item(zone, 0, "idle", |item| item["activity"] == "idle" && item["status"] == "OK");
        // When the next version is signed badly
        primary.play(script(zone, 2, Signing::Good, signing));
        ours.expect("PUT", &format!("{}/axfr?mode=refresh", ours.zone_path(zone)), 202);
        // Then it is not taken, and the item says why
        let item = ours.wait_item(zone, 0, code, |item| item["errorCode"] == code);
        let message = item["errorMessage"].as_str().unwrap_or_default();
        assert!(message.starts_with("Transfer could not be authenticated (TSIG)"), "{item:#}");
        assert!(code != "TSIG_BADTIME" || message.contains("600 s") || message.contains("599 s"), "{item:#}");
        assert_eq!(ours.dns.serial(zone), Some(1), "{zone}");
        assert_eq!(primary.seen_over_tcp(), [RecordType::IXFR], "{zone}");
        assert!(!ours.log().contains(KEY.secret), "secrets never appear");
        // And the zone heals
        primary.play(script(zone, 3, Signing::Good, Signing::Good));
        ours.expect("PUT", &format!("{}/axfr?mode=refresh", ours.zone_path(zone)), 202);
        ours.dns.wait_serial(zone, 3, SOON);
    }
}

/// Anybody can send a datagram, so a bad signature over UDP decides nothing: TCP tells.
#[test]
fn b17_bad_signatures_of_the_soa_answer() {
    let zone = "probe.example";
    let primary = Primary::start(script(zone, 1, Signing::Good, Signing::Good));
    let ours = Secondaryd::reserve().with_zone(Entry::new(zone, &[primary.address()]).with_key(Some(KEY))).started();
    ours.dns.wait_serial(zone, 1, SOON);
    ours.wait_item(zone, 0, "OK", |item| item["activity"] == "idle" && item["status"] == "OK");
    primary.play(script(zone, 2, Signing::BadMac(0), Signing::Good));
    ours.expect("PUT", &format!("{}/axfr?mode=refresh", ours.zone_path(zone)), 202);
    ours.wait_item(zone, 0, "TSIG_BADSIG", |item| item["errorCode"] == "TSIG_BADSIG");
    assert_eq!(ours.dns.serial(zone), Some(1));
    assert_eq!(primary.seen_over_tcp(), [RecordType::SOA], "no transfer follows");
}

/// I8, RFC 1995 §2: IXFR over UDP where it is asked for and a key signs it. "If the query type is IXFR … and the reply does
/// not fit … the server responds with a single SOA record": then TCP tells. Without a key nothing of it goes over UDP.
#[test]
fn i8_differences_over_udp_only_with_a_key_and_what_does_not_fit_over_tcp() {
    let good = |zone: &str, serial: u32| {
        let zone = zone.to_owned();
        move |query: &Query| {
            let sign = |records: &[secondaryd::dns::Record]| {
                let reply = Reply::to(query).with(records);
                if zone == "open.example" { vec![reply.send()] } else { signed(query, &[reply], Signing::Good) }
            };
            match (query.over, query.qtype) {
                (_, RecordType::SOA) => sign(&[soa(&zone, serial)]),
                (Over::Udp, RecordType::IXFR) if zone == "large.example" => sign(&[soa(&zone, serial)]),
                (Over::Udp, RecordType::IXFR) if zone == "silent.example" => Vec::new(),
                (Over::Udp, RecordType::IXFR) if zone == "forged.example" => {
                    // Somebody else is faster
                    let forged = Reply::to(query).with(&reply::difference(&zone, serial - 1, serial + 50)).send();
                    [vec![forged], sign(&reply::difference(&zone, serial - 1, serial))].concat()
                }
                (_, RecordType::IXFR) => sign(&reply::difference(&zone, serial - 1, serial)),
                _ => sign(&reply::zone(&zone, serial)),
            }
        }
    };
    let names = ["fits.example", "large.example", "silent.example", "forged.example", "open.example"];
    let mut ours = Secondaryd::reserve().with_settings("ixfr-over-udp = true\n");
    let mut primaries = Vec::new();
    for zone in names {
        let primary = Primary::start(good(zone, 1));
        let key = (zone != "open.example").then_some(KEY);
        ours = ours.with_zone(Entry::new(zone, &[primary.address()]).with_key(key));
        primaries.push(primary);
    }
    let ours = ours.started();
    for (zone, primary) in names.into_iter().zip(&primaries) {
        ours.dns.wait_serial(zone, 1, SOON);
        ours.wait_item(zone, 0, "idle", |item| item["activity"] == "idle" && item["status"] == "OK");
        primary.play(good(zone, 2));
        ours.expect("PUT", &format!("{}/axfr?mode=refresh", ours.zone_path(zone)), 202);
        ours.dns.wait_serial(zone, 2, SOON);
        let item = ours.wait_item(zone, 0, "at 2", |item| item["lastTransfer"]["toSerial"] == 2);
        assert_eq!(item["lastTransfer"]["type"], "IXFR", "{zone}: {item:#}");
        let counts = (primary.seen(Over::Udp, RecordType::IXFR), primary.seen(Over::Tcp, RecordType::IXFR));
        let expected = match zone {
            "fits.example" | "forged.example" => (1, 0),
            "open.example" => (0, 1),
            _ => (1, 1),
        };
        assert_eq!(counts, expected, "{zone}");
    }
}
