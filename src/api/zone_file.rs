//! Zone files as APIs take and give them: a file as the contents of a local zone, every wrong line named; a zone as a file.

use crate::api::fault::{ErrorCode, Fault, Message};
use crate::control::local::LocalRefused;
use crate::dns::{Name, Record, RecordType, zonefile};
use crate::local::{AttributesPatch, Draft};
use crate::zone::{Snapshot, Soa};

/// Octets of a zone file that is read.
pub const OCTETS_MAX: u64 = 32 << 20;

/// A zone file for one zone.
#[derive(Debug)]
pub struct ZoneFile {
    /// The zone.
    pub apex: Name,
    /// Its records without the SOA.
    pub drafts: Vec<Draft>,
    /// The line of each draft.
    lines: Vec<usize>,
    /// What its SOA says.
    pub soa: AttributesPatch,
}

impl ZoneFile {
    /// Reads a file for the zone `apex`; without one, for the zone its SOA stands at. O(text).
    pub fn read(text: &[u8], apex: Option<&Name>) -> Result<ZoneFile, Fault> {
        let root = Name::from_wire(&[0]).expect("the root is a name");
        let records = zonefile::parse_numbered(text, apex.unwrap_or(&root)).map_err(|errors| {
            let messages = errors.iter().map(|error| bad_line(error.line, &error.what.to_string())).collect();
            Fault::all(messages).unwrap_or_else(|| bad_file("The zone file could not be read."))
        })?;
        let of_soa =
            || records.iter().find(|(_, record)| record.rtype == RecordType::SOA).map(|(_, soa)| soa.owner.clone());
        let apex = apex
            .cloned()
            .or_else(of_soa)
            .ok_or_else(|| bad_file("The zone file has no SOA record, which names the zone."))?;
        let mut file = ZoneFile { apex, drafts: Vec::new(), lines: Vec::new(), soa: AttributesPatch::default() };
        let (mut soa_line, mut wrong) = (None, Vec::new());
        for (line, Record { owner, rtype, ttl, rdata }) in records {
            if rtype != RecordType::SOA {
                file.drafts.push(Draft { ttl: Some(ttl), ..Draft::new(owner, rtype, rdata) });
                file.lines.push(line);
                continue;
            }
            if owner != file.apex {
                wrong.push(bad_line(line, &format!("a SOA at {}, which is not the apex", owner.without_dot())));
            } else if let Some(first) = soa_line.replace(line) {
                wrong.push(bad_line(line, &format!("a second SOA; the first is in line {first}")));
            } else if let Some(soa) = Soa::parse(ttl, &rdata) {
                file.soa = AttributesPatch {
                    rname: Some(without_at(soa.rname())),
                    timers: Some([soa.refresh, soa.retry, soa.expire, soa.minimum]),
                    serial: Some(soa.serial),
                    ..AttributesPatch::default()
                };
            }
        }
        match Fault::all(wrong) {
            None => Ok(file),
            Some(fault) => Err(fault),
        }
    }

    /// Why the zone did not become what the file says: a refused record is a wrong line, other refusals are as everywhere.
    pub fn at_line(&self, refused: LocalRefused) -> Fault {
        let LocalRefused::Edits { refused: edits, .. } = &refused else { return refused.into() };
        let messages = edits.iter().map(|edit| match self.lines.get(edit.item) {
            Some(line) => bad_line(*line, &edit.why.to_string()),
            None => Message {
                code: ErrorCode::BadZoneFile,
                text: format!("The zone file was refused: {}.", edit.why).into(),
            },
        });
        Fault::all(messages.collect()).unwrap_or_else(|| bad_file("The zone file was refused."))
    }
}

/// A mailbox written with `@` where a name belongs, as a name: `a@b.c.` is `a.b.c.`.
fn without_at(rname: Name) -> Name {
    let mut labels = rname.labels();
    let Some(first) = labels.next() else { return rname };
    let Some(at) = first.iter().position(|c| *c == b'@') else { return rname };
    let mut wire = Vec::with_capacity(rname.as_wire().len() + 1);
    for label in [&first[..at], &first[at + 1..]].into_iter().chain(labels) {
        wire.push(label.len() as u8);
        wire.extend_from_slice(label);
    }
    wire.push(0);
    Name::from_wire(&wire).unwrap_or(rname)
}

fn bad_line(line: usize, what: &str) -> Message {
    Message { code: ErrorCode::BadZoneFile, text: format!("line {line}: {what}.").into() }
}

fn bad_file(text: &'static str) -> Fault {
    Fault::new(ErrorCode::BadZoneFile, text)
}

/// The zone as a file, the SOA first; `None` if it has more than `octets_max`. O(records), for zones in replies of JSON;
/// [`super::ionos::zonefile`] sends it piece by piece.
pub fn text(snapshot: &Snapshot, octets_max: usize) -> Option<String> {
    let mut text = format!("$ORIGIN {}\n", snapshot.apex());
    let mut records = snapshot.records_from(0);
    while let Some(record) = records.advance() {
        zonefile::write_record(record, &mut text);
        if text.len() > octets_max {
            return None;
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soa_names_the_zone_where_nothing_else_does() {
        let text = b"example.net. 3600 IN SOA ns.example.net. sample@rackspace.com. 1 2 3 4 5\na.example.net. 60 A 192.0.2.1\n";
        let file = ZoneFile::read(text, None).expect("a file");
        assert_eq!(file.apex.without_dot(), "example.net");
        assert_eq!(file.soa.rname.expect("a mailbox").without_dot(), "sample.rackspace.com");
        assert_eq!((file.drafts.len(), file.lines), (1, vec![2]));
        let fault = ZoneFile::read(b"a.example.net. 60 A 192.0.2.1\n", None).expect_err("refused");
        assert!(fault.messages().next().expect("one").text.contains("no SOA"));
    }
}
