//! Zones and differences from zone-file text, for the tests of this room.

use super::{Builder, Diff, DiffBuilder, Findings, HashKey, Limits, Snapshot};
use crate::dns::{Name, Record, RecordType, zonefile};
use crate::reason::Reason;

pub(super) const KEY: HashKey = HashKey::from_bytes(*b"0123456789abcdef");

/// Records below `example.`; lines without a TTL have 300.
pub(super) fn records(text: &str) -> Vec<Record> {
    let origin: Name = "example.".parse().expect("a name");
    zonefile::parse(format!("$TTL 300\n{text}"), &origin).expect("zone-file text")
}

pub(super) fn soa_line(serial: u32) -> String {
    format!("@ SOA ns1 hostmaster {serial} 3600 600 86400 300\n")
}

/// What the builder makes of `text`, with a SOA and an apex NS before it.
pub(super) fn build(text: &str) -> Result<(Snapshot, Findings), Reason> {
    build_records(&records(&format!("{}@ NS ns.hoster.net.\n{text}", soa_line(1))))
}

pub(super) fn build_records(records: &[Record]) -> Result<(Snapshot, Findings), Reason> {
    let mut builder = Builder::new("example.".parse().expect("a name"), KEY, Limits::default());
    records.iter().try_for_each(|record| builder.add(record.borrow()))?;
    builder.finish(None)
}

pub(super) fn zone(text: &str) -> Snapshot {
    build(text).expect("a zone").0
}

/// A sequence from serial 1 to serial 2 (or the given ones).
pub(super) fn diff(serials: (u32, u32), deleted: &str, added: &str) -> Diff {
    let soa = |serial| records(&soa_line(serial)).remove(0);
    let mut builder = DiffBuilder::new(soa(serials.0).borrow());
    records(deleted).iter().for_each(|record| builder.delete(record.borrow()).expect("no SOA"));
    records(added).iter().for_each(|record| builder.add(record.borrow()).expect("no SOA"));
    builder.finish(soa(serials.1).borrow()).expect("two SOAs")
}

/// The records as text, sorted; for comparing.
pub(super) fn lines(snapshot: &Snapshot) -> Vec<String> {
    let records = snapshot.records().filter(|r| r.rtype != RecordType::SOA);
    let mut lines: Vec<_> = records.map(|r| format!("{} {} {} {:02x?}", r.owner, r.ttl, r.rtype, r.rdata)).collect();
    lines.sort();
    lines
}
