//! Zone texts: small ones made here, and those of `fixtures/zones`.

use std::fmt::Write as _;
use std::path::Path;

use secondaryd::dns::{Record, RecordType, presentation, zonefile};

use crate::peer::Program;

/// A zone as a primary gets it.
#[derive(Clone, Debug)]
pub(crate) struct Zone {
    /// The apex, without the final dot.
    pub(crate) name: String,
    /// The master file.
    pub(crate) text: String,
    /// Its serial.
    pub(crate) serial: u32,
}

/// The timers of a SOA, in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timers {
    pub(crate) refresh: u32,
    pub(crate) retry: u32,
    pub(crate) expire: u32,
}

/// So long that only a NOTIFY can explain an update within a test.
pub(crate) const SLOW: Timers = Timers { refresh: 86_400, retry: 43_200, expire: 1_209_600 };

/// Hosts of a [`small`] zone.
pub(crate) const HOSTS: u32 = 200;

/// A zone of some hundred records; `mark.NAME TXT` says the serial, and one host moves with it.
pub(crate) fn small(name: &str, serial: u32) -> Zone {
    with_timers(name, serial, SLOW)
}

/// As [`small`] with the timers of the SOA.
pub(crate) fn with_timers(name: &str, serial: u32, timers: Timers) -> Zone {
    let Timers { refresh, retry, expire } = timers;
    let mut text = format!(
        "$ORIGIN {name}.\n$TTL 300\n@ SOA ns1 hostmaster {serial} {refresh} {retry} {expire} 60\n\
         @ NS ns1\nns1 A 192.0.2.1\nmark TXT \"{serial}\"\n"
    );
    for host in 0..HOSTS {
        let moved = u32::from(host == serial % HOSTS);
        writeln!(text, "host{host} A 10.{moved}.0.{}\nhost{host} TXT \"host number {host}\"", host % 256)
            .expect("text");
    }
    Zone { name: name.to_owned(), text, serial }
}

/// A zone of `fixtures/zones`.
pub(crate) fn fixture(file: &str, name: &str, serial: u32) -> Zone {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/zones").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Zone { name: name.to_owned(), text, serial }
}

/// The unsigned fixtures every server loads.
pub(crate) fn ordinary() -> Vec<Zone> {
    vec![
        fixture("ordinary.zone", "ordinary.example", 2026112101),
        fixture("reverse.zone", "2.0.192.in-addr.arpa", 2026112101),
        fixture("delegations.zone", "delegations.example", 7),
    ]
}

/// The signed fixtures: one with NSEC, one with NSEC3 and opt-out.
pub(crate) fn signed() -> Vec<Zone> {
    vec![fixture("signed-nsec.zone", "signed-nsec.example", 7), fixture("signed-nsec3.zone", "signed-nsec3.example", 7)]
}

/// The zone with a record of every type. All but the SOA are in the form of RFC 3597, which servers read for types
/// whose mnemonic they do not know; PowerDNS takes that form only for types it does not know.
pub(crate) fn all_types(program: Program) -> Zone {
    let mut zone = fixture("all-types.zone", "all-types.example", 1);
    let apex = zone.name.parse().expect("name");
    let records = zonefile::parse(zone.text.as_bytes(), &apex).expect("fixture");
    zone.text.clear();
    for record in &records {
        let Record { owner, ttl, rtype, rdata } = record;
        let mnemonic = rtype.to_string();
        let powerdns = program == Program::PowerDns;
        if powerdns && POWERDNS_BROKEN.contains(&mnemonic.as_str()) {
            continue;
        }
        let known = powerdns && !POWERDNS_UNKNOWN.contains(&mnemonic.as_str());
        if known || *rtype == RecordType::SOA {
            zonefile::write_record(record.borrow(), &mut zone.text);
        } else {
            let data = presentation::generic_text(rdata);
            writeln!(zone.text, "{owner} {ttl} IN TYPE{} {data}", rtype.0).expect("text");
        }
    }
    zone
}

/// Types whose mnemonic PowerDNS 4.7 does not read.
const POWERDNS_UNKNOWN: [&str; 23] = [
    "AMTRELAY", "ATMA", "AVC", "DOA", "EID", "GPOS", "HIP", "ISDN", "NIMLOC", "NINFO", "NSAP", "NSAP-PTR", "NULL",
    "NXT", "PX", "RESINFO", "RT", "SIG", "TA", "TALINK", "WALLET", "WKS", "X25",
];

/// Types at which its own AXFR breaks off: an IPSECKEY without gateway, an SVCB with `dohpath`.
const POWERDNS_BROKEN: [&str; 2] = ["IPSECKEY", "SVCB"];
