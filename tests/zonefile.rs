//! Whole zone files: ours against what other programs read and write.
//!
//! The other programs (`named-checkzone`, `ldns-read-zone`, `nsd-checkzone`) come from Debian's packages; a case whose
//! program is not installed says so and passes. hickory-proto is always there.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use hickory_proto::rr::{RData, RecordType as WitnessType};
use hickory_proto::serialize::binary::{BinDecoder, BinEncodable, BinEncoder, NameEncoding, Restrict};
use secondaryd::dns::{Name, Record, RecordType, presentation, rdata, zonefile};

/// Every zone of `fixtures/zones` with its apex.
const ZONES: [(&str, &str); 7] = [
    ("ordinary", "ordinary.example"),
    ("reverse", "2.0.192.in-addr.arpa"),
    ("delegations", "delegations.example"),
    ("all-types", "all-types.example"),
    ("obsolete-types", "obsolete-types.example"),
    ("signed-nsec", "signed-nsec.example"),
    ("signed-nsec3", "signed-nsec3.example"),
];

fn path(zone: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/zones").join(format!("{zone}.zone"))
}

fn read(zone: &str, apex: &str) -> Vec<Record> {
    let text = std::fs::read(path(zone)).expect("fixture");
    parse(&text, apex)
}

fn parse(text: &[u8], apex: &str) -> Vec<Record> {
    zonefile::parse(text, &apex.parse().expect("apex"))
        .unwrap_or_else(|errors| panic!("{apex}: {errors:#?}\n{}", String::from_utf8_lossy(text)))
}

/// Records as a set, in the form in which other programs may write them: names folded where DNSSEC folds them.
fn set(records: &[Record]) -> BTreeSet<String> {
    let line = |record: &Record| {
        let mut folded = Vec::new();
        rdata::canonical(record.rtype, &record.rdata, &mut folded);
        format!("{} {} {} {}", record.owner, record.ttl, record.rtype, presentation::generic_text(&folded))
    };
    records.iter().map(line).collect()
}

fn assert_same(what: &str, ours: &[Record], theirs: &[Record]) {
    let (ours, theirs) = (set(ours), set(theirs));
    let only = |a: &BTreeSet<String>, b: &BTreeSet<String>| a.difference(b).cloned().collect::<Vec<_>>();
    assert!(ours == theirs, "{what}\nonly we: {:#?}\nonly they: {:#?}", only(&ours, &theirs), only(&theirs, &ours));
}

/// What `program` prints; `None` with a line on stderr if it is not installed.
fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let output = match Command::new(program).args(arguments).output() {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("skipped: {program} is not installed");
            return None;
        }
        Err(error) => panic!("{program}: {error}"),
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}\n{text}{}", String::from_utf8_lossy(&output.stderr));
    Some(text)
}

/// BIND's own dump of a zone file.
fn bind_dump(apex: &str, file: &Path) -> Option<String> {
    let quiet = ["-q", "-D", "-s", "full", "-o", "-", "-k", "ignore", "-n", "ignore", "-i", "none", "-r", "ignore"];
    run("named-checkzone", &[&quiet[..], &[apex, file.to_str().expect("path")]].concat())
}

#[test]
fn every_fixture_reads_and_what_we_write_of_it_reads_back() {
    for (zone, apex) in ZONES {
        let records = read(zone, apex);
        let written = zonefile::write(records.iter().map(Record::borrow));
        assert_eq!(zonefile::parse(&written, &Name::root()), Ok(records), "{zone}");
    }
}

/// Types that only have a number for some programs stand as `\#` with their text behind `; =`.
#[test]
fn the_text_beside_a_generic_rdata_says_the_same() {
    let mut compared = 0;
    for (zone, apex) in ZONES {
        let text = std::fs::read_to_string(path(zone)).expect("fixture");
        let origin: Name = apex.parse().expect("apex");
        for line in text.lines() {
            let Some((generic, text)) = line.split_once("; = ") else { continue };
            let one = |line: &str| zonefile::parse(format!("$TTL 1\nx {line}"), &origin).expect(line).remove(0);
            let without_owner = generic.trim_start_matches(|c: char| c.is_ascii_lowercase() || c == '-');
            assert_eq!(one(without_owner), one(text), "{line}");
            compared += 1;
        }
    }
    assert!(compared > 20);
}

#[test]
fn all_types_has_every_type_with_a_mnemonic() {
    let have: BTreeSet<RecordType> =
        [read("all-types", "all-types.example"), read("obsolete-types", "obsolete-types.example")]
            .concat()
            .iter()
            .map(|record| record.rtype)
            .collect();
    let all = (0..=u16::MAX).map(RecordType).filter(|t| t.mnemonic().is_some() && !t.is_meta());
    let missing: Vec<_> = all.filter(|t| !have.contains(t)).collect();
    assert_eq!(missing, []);
}

#[test]
fn bind_reads_the_same_records_from_the_same_file() {
    for (zone, apex) in ZONES {
        if zone == "obsolete-types" {
            continue; // BIND refuses MD and MF in text
        }
        let Some(dump) = bind_dump(apex, &path(zone)) else { return };
        assert_same(zone, &read(zone, apex), &parse(dump.as_bytes(), apex));
    }
}

#[test]
fn bind_reads_what_we_write() {
    for (zone, apex) in ZONES {
        if zone == "obsolete-types" {
            continue;
        }
        let records = read(zone, apex);
        let mut file = tempfile::NamedTempFile::new().expect("temporary file");
        file.write_all(zonefile::write(records.iter().map(Record::borrow)).as_bytes()).expect("write");
        let Some(dump) = bind_dump(apex, file.path()) else { return };
        assert_same(zone, &records, &parse(dump.as_bytes(), apex));
    }
}

#[test]
fn nsd_accepts_every_fixture_and_prints_the_same_records() {
    for (zone, apex) in ZONES {
        let file = path(zone);
        let Some(printed) = run("nsd-checkzone", &["-p", apex, file.to_str().expect("path")]) else { return };
        // the last line says "zone … is ok"
        let records: String = printed.lines().filter(|l| !l.starts_with("zone ")).flat_map(|l| [l, "\n"]).collect();
        assert_same(zone, &read(zone, apex), &parse(records.as_bytes(), apex));
    }
}

#[test]
fn ldns_reads_the_same_records_from_the_same_file() {
    for (zone, apex) in ZONES {
        if zone == "all-types" {
            continue; // ldns 1.8 does not know them all, and stops at the first
        }
        let file = path(zone);
        let Some(printed) = run("ldns-read-zone", &[file.to_str().expect("path")]) else { return };
        assert_same(zone, &read(zone, apex), &parse(printed.as_bytes(), apex));
    }
}

/// hickory-proto decodes our rdata and encodes it again to the same octets, for every type it knows.
#[test]
fn hickory_decodes_and_encodes_our_rdata_without_change() {
    let mut known = BTreeSet::new();
    for (zone, apex) in ZONES {
        for record in read(zone, apex) {
            let rtype = WitnessType::from(record.rtype.0);
            let length = Restrict::new(record.rdata.len() as u16);
            let mut decoder = BinDecoder::new(&record.rdata);
            let Ok(decoded) = RData::read(&mut decoder, rtype, length) else {
                panic!("hickory does not read {record}");
            };
            if !matches!(decoded, RData::Unknown { .. }) {
                known.insert(record.rtype);
            }
            let mut octets = Vec::new();
            let mut encoder = BinEncoder::new(&mut octets);
            encoder.set_name_encoding(NameEncoding::Uncompressed);
            decoded.emit(&mut encoder).expect("encodes");
            assert!(octets.eq_ignore_ascii_case(&record.rdata), "{record}");
        }
    }
    assert!(known.len() > 15, "{known:?}");
}
