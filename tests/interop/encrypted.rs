//! XFR over TLS (RFC 9103) from real primaries: BIND 9.18 and NSD 4.6 speak it; Knot from 3.3 on only over QUIC, and
//! PowerDNS not at all (both behind a proxy at best).

use crate::Key;
use crate::certificates::{self, Authority, VALID};
use crate::compare::assert_same_zone;
use crate::daemon::Secondaryd;
use crate::peer::{Program, Setup};
use crate::primaries;
use crate::tsig::KEYS;
use crate::wait::{self, SOON};
use crate::zones;

const NAME: &str = "encrypted.example";

/// Primaries that are installed and speak TLS; says why others are left out.
fn installed() -> impl Iterator<Item = Program> {
    primaries::installed().filter(|program| {
        let speaks = matches!(program, Program::Bind | Program::Nsd);
        if !speaks {
            eprintln!("skipped: {program:?} ({}) answers no transfers over TLS", program.version().unwrap_or_default());
        }
        speaks
    })
}

/// X1: AXFR, IXFR and SOA over TLS with a strict profile; mutual where the primary can demand it; TSIG inside.
#[test]
fn x1_zones_come_over_tls() {
    let authority = Authority::new("interop authority");
    for program in installed() {
        for (mutual, key) in [(false, None), (false, Some(KEYS[0])), (true, None)] {
            // NSD demands certificates from 4.8 on (tls-auth-port).
            if mutual && program == Program::Nsd {
                eprintln!("skipped: {program:?} demands no certificate of clients");
                continue;
            }
            zone_comes_over_tls(&authority, program, mutual, key);
        }
    }
}

fn zone_comes_over_tls(authority: &Authority, program: Program, mutual: bool, key: Option<Key>) {
    let directory = tempfile::Builder::new().prefix("secondaryd-tls-").tempdir().expect("a directory");
    let file =
        |key: &str, name: &str, pem: &str| format!("{key} = {:?}\n", certificates::write(directory.path(), name, pem));
    let mut ours = Secondaryd::reserve();
    let clients = mutual.then(|| authority.certificate.clone());
    let mut peer = Setup::primary(program)
        .with_key(key)
        .with_tls(authority.signs(&["ns1.example"], VALID), clients)
        .notifying(ours.address())
        .start(&[zones::small(NAME, 1)]);
    let mut keys = format!("tls-name = \"ns1.example\"\n{}", file("tls-ca", "ca.pem", &authority.certificate));
    if program == Program::Nsd {
        keys += "tls-alpn = \"optional\"\n";
    }
    if mutual {
        let pair = authority.signs(&["secondary.example"], VALID);
        keys += &(file("tls-cert", "ours.pem", &pair.certificate) + &file("tls-key", "ours.key", &pair.key));
    }
    if let Some(key) = key {
        keys += &format!("tsig-key = {:?}\n", key.name);
        let Key { name, algorithm, secret } = key;
        ours = ours.with_tables(&format!("[tsig-key.{name:?}]\nalgorithm = {algorithm:?}\nsecret = {secret:?}\n"));
    }
    let ours = ours
        .with_tables(&format!(
            "[primary.xot]\naddress = \"{}\"\ntransport = \"tls\"\n{keys}[[secondary-zone]]\nname = {NAME:?}\nprimaries = \
             [\"xot\"]\nallow-notify = [\"127.0.0.0/8\"]\nallow-transfer = [\"127.0.0.0/8\"]\n",
            peer.tls_address()
        ))
        .started();
    let what = format!("{program:?}, mutual {mutual}, {}", if key.is_some() { "signed" } else { "unsigned" });
    ours.dns.wait_serial(NAME, 1, SOON);
    for serial in 2..5 {
        peer.load(&zones::small(NAME, serial));
        ours.dns.wait_serial(NAME, serial, SOON);
        let item = ours.wait_item(NAME, 0, "at the serial", |item| item["lastTransfer"]["toSerial"] == serial);
        assert_eq!(item["lastTransfer"]["type"], primaries::answers_ixfr_with(program), "{what}: {item:#}");
        assert_eq!((&item["status"], &item["transport"]), (&"OK".into(), &"tls".into()), "{what}: {item:#}");
        assert_eq!((&item["tls"]["version"], &item["tls"]["verified"]), (&"TLSv1.3".into(), &"authority".into()));
        assert_eq!(item["tls"]["names"][0], "ns1.example", "{what}: {item:#}");
    }
    // A SOA query alone, over TLS as well
    ours.expect("PUT", &format!("{}/axfr?mode=refresh", ours.zone_path(NAME)), 202);
    ours.wait_item(NAME, 0, "up to date", |item| item["activity"] == "idle" && item["errorCode"].is_null());
    wait::until_true("the zone is the same", SOON, || ours.dns.serial(NAME) == Some(4));
    assert_same_zone(NAME, peer.address(), key, ours.address());
}
