//! A reply as hickory-proto reads it.

use hickory_proto::op::Message;
use hickory_proto::rr;
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder, NameEncoding};
use secondaryd::dns::{Record, RecordType, presentation, rdata};

/// A record, its names without case: compression may lend a suffix the question's spelling.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rr {
    pub(crate) owner: Vec<u8>,
    pub(crate) rtype: RecordType,
    pub(crate) ttl: u32,
    pub(crate) rdata: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Edns {
    pub(crate) octets: u16,
    pub(crate) version: u8,
    pub(crate) dnssec_ok: bool,
    /// INFO-CODE of the extended error.
    pub(crate) error: Option<u16>,
    /// All options as (code, value), in order.
    pub(crate) options: Vec<(u16, Vec<u8>)>,
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) rcode: u16,
    pub(crate) authoritative: bool,
    pub(crate) truncated: bool,
    /// Sorted.
    pub(crate) answer: Vec<Rr>,
    pub(crate) authority: Vec<Rr>,
    pub(crate) additional: Vec<Rr>,
    pub(crate) edns: Option<Edns>,
}

/// Decodes `reply` and holds it against `query` in what every reply of ours must keep.
pub(crate) fn read(query: &[u8], reply: &[u8]) -> Reply {
    let flags = reply[3];
    let reply = read_theirs(query, reply);
    assert_eq!(flags & 0xf0, 0, "RA, Z, AD and CD are clear");
    for rrs in [&reply.answer, &reply.authority, &reply.additional] {
        assert!(rrs.windows(2).all(|two| two[0] != two[1]), "a record twice in one section: {rrs:?}");
    }
    reply
}

/// Decodes a reply in which records may stand several times, as others send when a chain comes back.
pub(crate) fn read_theirs(query: &[u8], reply: &[u8]) -> Reply {
    let message = Message::from_vec(reply).unwrap_or_else(|error| panic!("{error}: {reply:02x?}"));
    let metadata = &message.metadata;
    assert_eq!(reply[..2], query[..2], "the id");
    assert_eq!(reply[2] & 0xf9, 0x80 | query[2] & 0x79, "QR set, opcode and RD kept");
    let sections = [&message.answers, &message.authorities, &message.additionals];
    let [mut answer, mut authority, mut additional] =
        sections.map(|section| section.iter().map(rr).collect::<Vec<_>>());
    [&mut answer, &mut authority, &mut additional].into_iter().for_each(|section| section.sort());
    let edns = message.edns.as_ref().map(|edns| {
        let mut octets = Vec::new();
        edns.options().emit(&mut BinEncoder::new(&mut octets)).expect("options");
        let options = options(&octets);
        let error = options.iter().find(|option| option.0 == 15);
        let error = error.map(|(_, value)| u16::from_be_bytes([value[0], value[1]]));
        Edns { octets: edns.max_payload(), version: edns.version(), dnssec_ok: edns.flags().dnssec_ok, error, options }
    });
    Reply {
        rcode: u16::from(metadata.response_code),
        authoritative: metadata.authoritative,
        truncated: metadata.truncation,
        answer,
        authority,
        additional,
        edns,
    }
}

/// Splits options in wire form.
fn options(mut octets: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let mut options = Vec::new();
    while let [c0, c1, l0, l1, rest @ ..] = octets {
        let (value, behind) = rest.split_at(usize::from(u16::from_be_bytes([*l0, *l1])));
        options.push((u16::from_be_bytes([*c0, *c1]), value.to_vec()));
        octets = behind;
    }
    options
}

fn rr(record: &rr::Record) -> Rr {
    assert_eq!(u16::from(record.dns_class), 1);
    Rr {
        owner: wire(&record.name).to_ascii_lowercase(),
        rtype: RecordType(record.record_type().into()),
        ttl: record.ttl,
        rdata: without_case(RecordType(record.record_type().into()), wire(&record.data)),
    }
}

fn wire(of: &impl BinEncodable) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut encoder = BinEncoder::new(&mut octets);
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    of.emit(&mut encoder).expect("what was decoded encodes");
    octets
}

/// Only names lose their case; other octets may look like letters.
fn without_case(rtype: RecordType, mut rdata: Vec<u8>) -> Vec<u8> {
    for name in rdata::names(rtype, &rdata.clone()) {
        rdata[name.at..name.at + name.len].make_ascii_lowercase();
    }
    rdata
}

impl From<&Record> for Rr {
    fn from(record: &Record) -> Rr {
        Rr {
            owner: record.owner.as_wire().to_vec(),
            rtype: record.rtype,
            ttl: record.ttl,
            rdata: without_case(record.rtype, record.rdata.to_vec()),
        }
    }
}

impl std::fmt::Debug for Rr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = String::new();
        secondaryd::dns::name::write_presentation(&self.owner, &mut text)?;
        write!(f, "{text} {} {} {}", self.ttl, self.rtype, presentation::rdata_text(self.rtype, &self.rdata))
    }
}
