//! Messages of a primary, good and bad: written octet by octet, so that everything can be wrong.

use secondaryd::dns::message::HEADER_OCTETS;
use secondaryd::dns::{Name, Record, RecordType, name, zonefile};

use crate::primary::{Query, Step};

/// An answer in the making: the header and question of a query, then records.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) id: u16,
    pub(crate) flags: u16,
    pub(crate) question: Option<Vec<u8>>,
    pub(crate) answers: u16,
    pub(crate) records: Vec<u8>,
    /// The additional section and how many records stand in it.
    pub(crate) additional: (u16, Vec<u8>),
}

/// QR and AA.
const AUTHORITATIVE: u16 = 0x8400;

impl Reply {
    /// An authoritative answer to `query` without records.
    pub(crate) fn to(query: &Query) -> Reply {
        Reply {
            id: u16::from_be_bytes([query.message[0], query.message[1]]),
            flags: AUTHORITATIVE,
            question: Some(question(&query.message).to_vec()),
            answers: 0,
            records: Vec::new(),
            additional: (0, Vec::new()),
        }
    }

    /// With these records behind those that are there.
    pub(crate) fn with(mut self, records: &[Record]) -> Reply {
        for record in records {
            let ttl = record.ttl;
            self = self.with_raw(record.owner.as_wire(), record.rtype.0, 1, ttl, &record.rdata);
        }
        self
    }

    /// With one record of which nothing is checked.
    pub(crate) fn with_raw(mut self, owner: &[u8], rtype: u16, class: u16, ttl: u32, rdata: &[u8]) -> Reply {
        self.answers += 1;
        self.records.extend_from_slice(owner);
        self.records.extend_from_slice(&rtype.to_be_bytes());
        self.records.extend_from_slice(&class.to_be_bytes());
        self.records.extend_from_slice(&ttl.to_be_bytes());
        self.records.extend_from_slice(&(rdata.len() as u16).to_be_bytes());
        self.records.extend_from_slice(rdata);
        self
    }

    /// With octets in place of a record.
    pub(crate) fn with_octets(mut self, octets: &[u8]) -> Reply {
        self.answers += 1;
        self.records.extend_from_slice(octets);
        self
    }

    pub(crate) fn rcode(mut self, rcode: u16) -> Reply {
        self.flags = self.flags & !0xf | rcode & 0xf;
        self
    }

    /// With an OPT record: the upper bits of the RCODE and options in wire form.
    pub(crate) fn opt(mut self, rcode_high: u8, options: &[u8]) -> Reply {
        let mut opt = vec![0, 0, 41, 4, 208, rcode_high, 0, 0, 0];
        opt.extend_from_slice(&(options.len() as u16).to_be_bytes());
        opt.extend_from_slice(options);
        self.additional = (1, opt);
        self
    }

    /// Other header fields.
    pub(crate) fn but(mut self, change: impl Fn(&mut Reply)) -> Reply {
        change(&mut self);
        self
    }

    pub(crate) fn octets(&self) -> Vec<u8> {
        let mut out = self.id.to_be_bytes().to_vec();
        for field in [self.flags, u16::from(self.question.is_some()), self.answers, 0, self.additional.0] {
            out.extend_from_slice(&field.to_be_bytes());
        }
        out.extend_from_slice(self.question.as_deref().unwrap_or_default());
        out.extend_from_slice(&self.records);
        out.extend_from_slice(&self.additional.1);
        out
    }

    pub(crate) fn send(&self) -> Step {
        Step::Send(self.octets())
    }
}

/// Records of a zone file, relative to `zone`.
#[track_caller]
pub(crate) fn records(zone: &str, text: &str) -> Vec<Record> {
    let apex: Name = zone.parse().expect("a zone");
    zonefile::parse(text, &apex).unwrap_or_else(|errors| panic!("{text}: {errors:?}"))
}

/// The timers of every SOA here: nothing happens by itself within a test.
const TIMERS: &str = "86400 43200 1209600 60";

/// The SOA of `zone`.
pub(crate) fn soa(zone: &str, serial: u32) -> Record {
    soa_with(zone, serial, TIMERS)
}

/// The SOA of `zone` with "REFRESH RETRY EXPIRE MINIMUM".
pub(crate) fn soa_with(zone: &str, serial: u32, timers: &str) -> Record {
    records(zone, &format!("@ 300 SOA ns1 hostmaster {serial} {timers}")).remove(0)
}

/// What a good zone holds beside its SOA; `mark TXT` says the serial.
pub(crate) fn body(zone: &str, serial: u32) -> Vec<Record> {
    records(zone, &format!("$TTL 300\n@ NS ns1\nns1 A 192.0.2.1\nmark TXT \"{serial}\"\nwww A 192.0.2.2\n"))
}

/// SOA, body, SOA.
pub(crate) fn zone(zone: &str, serial: u32) -> Vec<Record> {
    around(soa(zone, serial), body(zone, serial))
}

/// `soa` before and behind `body`.
pub(crate) fn around(soa: Record, mut body: Vec<Record>) -> Vec<Record> {
    body.insert(0, soa.clone());
    body.push(soa);
    body
}

/// The difference sequence between two good zones, as an IXFR answer holds it.
pub(crate) fn difference(zone: &str, from: u32, to: u32) -> Vec<Record> {
    let mark = |serial: u32| records(zone, &format!("mark 300 TXT \"{serial}\"")).remove(0);
    vec![soa(zone, to), soa(zone, from), mark(from), soa(zone, to), mark(to), soa(zone, to)]
}

/// What a good primary of `zone` answers. It has no differences and sends the whole zone for IXFR.
pub(crate) fn good(zone: &str, serial: u32) -> impl Fn(&Query) -> Vec<Step> + Send + Sync + 'static {
    let zone = zone.to_owned();
    move |query| match query.qtype {
        RecordType::SOA => vec![Reply::to(query).with(&[soa(&zone, serial)]).send()],
        _ => vec![Reply::to(query).with(&self::zone(&zone, serial)).send()],
    }
}

/// Answers SOA queries well with `serial`, and transfers as `transfer` says.
pub(crate) fn offering(
    zone: &str,
    serial: u32,
    transfer: impl Fn(&Query) -> Vec<Step> + Send + Sync + 'static,
) -> impl Fn(&Query) -> Vec<Step> + Send + Sync + 'static {
    let soa = soa(zone, serial);
    move |query| match query.qtype {
        RecordType::SOA => vec![Reply::to(query).with(std::slice::from_ref(&soa)).send()],
        _ => transfer(query),
    }
}

/// The type a query asks for.
pub(crate) fn qtype(query: &[u8]) -> Option<RecordType> {
    let question = query.get(HEADER_OCTETS..)?;
    let at = name::wire_len(question).ok()?;
    Some(RecordType(u16::from_be_bytes([*question.get(at)?, *question.get(at + 1)?])))
}

fn question(query: &[u8]) -> &[u8] {
    let name = name::wire_len(&query[HEADER_OCTETS..]).expect("a question");
    &query[HEADER_OCTETS..HEADER_OCTETS + name + 4]
}
