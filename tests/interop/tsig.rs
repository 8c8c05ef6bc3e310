//! TSIG on NOTIFY, SOA, AXFR and IXFR, and what the status says when keys do not match.

use crate::Key;
use crate::compare::assert_same_zone;
use crate::daemon::{Entry, Secondaryd};
use crate::peer::{Program, Setup};
use crate::primaries::{answers_ixfr_with, installed, pair};
use crate::wait::SOON;
use crate::zones;

const NAME: &str = "tsig.example";

/// One key of each algorithm every server has.
pub(crate) const KEYS: [Key; 3] = [
    Key { name: "first", algorithm: "hmac-sha256", secret: "c2Vjb25kYXJ5ZCBpbnRlcm9wIGtleSBudW1iZXIgb25lIQ==" },
    Key { name: "second", algorithm: "hmac-sha384", secret: "c2Vjb25kYXJ5ZCBpbnRlcm9wIGtleSBudW1iZXIgdHdvIQ==" },
    Key { name: "third.key", algorithm: "hmac-sha512", secret: "c2Vjb25kYXJ5ZCBpbnRlcm9wIGtleSBudW1iZXIgdGhyZWUh" },
];

/// Keys of old primaries (G2).
const OLD: [Key; 3] = [
    Key { name: "fourth", algorithm: "hmac-sha224", secret: "c2Vjb25kYXJ5ZCBpbnRlcm9wIGtleSBudW1iZXIgZm91cg==" },
    Key { name: "fifth", algorithm: "hmac-sha1", secret: "c2Vjb25kYXJ5ZCBpbnRlcm9wIGtleSBudW1iZXIgZml2ZQ==" },
    Key { name: "sixth", algorithm: "hmac-md5", secret: "c2Vjb25kYXJ5ZCBpbnRlcm9wIGtleSBudW1iZXIgc2l4IQ==" },
];

#[test]
fn every_algorithm_signs_every_exchange() {
    for program in installed() {
        for key in KEYS.into_iter().chain(OLD) {
            let setup = Setup::primary(program).with_key(Some(key));
            let (mut peer, ours) = pair(setup, &[zones::small(NAME, 1)]);
            ours.dns.wait_serial(NAME, 1, SOON);
            peer.load(&zones::small(NAME, 2));
            ours.dns.wait_serial(NAME, 2, SOON);
            let item = ours.wait_item(NAME, 0, "at 2", |item| item["lastTransfer"]["toSerial"] == 2);
            assert_eq!(item["status"], "OK", "{program:?} {}: {item:#}", key.algorithm);
            assert_eq!(item["lastTransfer"]["type"], answers_ixfr_with(program), "{program:?}: {item:#}");
            assert_eq!(item["tsigKey"], key.name, "{item:#}");
            assert!(item["lastNotify"].is_string(), "the signed NOTIFY was taken: {item:#}");
            assert_same_zone(NAME, peer.address(), Some(key), ours.address());
            let status = ours.status(NAME).to_string() + &ours.log();
            assert!(!status.contains(key.secret), "secrets never leave the daemon");
        }
    }
}

/// G1: each failure has its own code.
#[test]
fn keys_that_do_not_match_are_told_apart() {
    for program in installed() {
        let theirs = KEYS[0];
        let wrong_secret = Key { secret: KEYS[1].secret, ..theirs };
        for (what, key, code) in
            [("other secret", wrong_secret, "TSIG_BADSIG"), ("unknown name", KEYS[1], "TSIG_BADKEY")]
        {
            // PowerDNS 4.7 says NOTAUTH without a TSIG record, so nobody can know why.
            let code = if program == Program::PowerDns { "TSIG_MISSING" } else { code };
            let peer = Setup::primary(program).with_key(Some(theirs)).start(&[zones::small(NAME, 1)]);
            let ours = Secondaryd::reserve();
            let ours = ours.with_zone(Entry::new(NAME, &[peer.address()]).with_key(Some(key))).started();
            let item = ours.wait_item(NAME, 0, "ERROR", |item| item["status"] == "ERROR");
            assert_eq!(item["errorCode"], code, "{program:?}, {what}: {item:#}");
            let message = item["errorMessage"].as_str().unwrap_or_default();
            assert!(message.starts_with("Transfer could not be authenticated (TSIG)"), "{program:?}, {what}: {item:#}");
            assert_eq!(ours.dns.serial(NAME), None, "nothing is served");
        }
    }
}

/// A transfer that needs a key is refused without one, and the code says that it was the primary.
#[test]
fn unsigned_where_a_key_is_needed_is_refused() {
    for program in installed() {
        let peer = Setup::primary(program).with_key(Some(KEYS[0])).start(&[zones::small(NAME, 1)]);
        let ours = Secondaryd::reserve();
        let ours = ours.with_zone(Entry::new(NAME, &[peer.address()])).started();
        let item = ours.wait_item(NAME, 0, "ERROR", |item| item["status"] == "ERROR");
        let code = item["errorCode"].as_str().unwrap_or_default();
        // PowerDNS and Knot say NOTAUTH, the others REFUSED.
        assert!(["RCODE_REFUSED", "RCODE_NOTAUTH"].contains(&code), "{program:?}: {item:#}");
        assert_eq!(ours.dns.serial(NAME), None, "nothing is served");
    }
}
