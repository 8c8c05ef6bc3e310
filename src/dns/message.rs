//! Messages as octets: header, question, records by offset, and the few messages we ask with.
//!
//! In: a message as it came. Out: where its parts are, each bounds-checked; nothing is copied but names that are
//! asked for. Used by `transfer`, by `net`'s cold paths and by [`super::tsig`] and [`super::edns`]; the hot path of
//! `answer` parses on its own. Never keeps state, never panics on what it reads. RFC 1035 §4, RFC 1995, RFC 1996.

use std::fmt;

use super::edns;
use super::name::{self, NameError};
use super::{Name, Record, RecordRef, RecordType, Serial};
use crate::reason::Code;

/// Octets of the header.
pub const HEADER_OCTETS: usize = 12;
/// Octets of the largest message (the two length octets of TCP).
pub const MESSAGE_OCTETS_MAX: usize = 65_535;
/// Class IN.
pub const CLASS_IN: u16 = 1;
/// Class ANY (as in TSIG records).
pub const CLASS_ANY: u16 = 255;
/// Class CHAOS, in which servers speak about themselves (RFC 4892).
pub const CLASS_CHAOS: u16 = 3;

/// Bits of [`Header::flags`].
pub mod flag {
    /// Response.
    pub const QR: u16 = 0x8000;
    /// Authoritative answer.
    pub const AA: u16 = 0x0400;
    /// Truncated.
    pub const TC: u16 = 0x0200;
    /// Recursion desired.
    pub const RD: u16 = 0x0100;
    /// Recursion available.
    pub const RA: u16 = 0x0080;
    /// Authentic data.
    pub const AD: u16 = 0x0020;
    /// Checking disabled.
    pub const CD: u16 = 0x0010;
}

/// Opcodes.
pub mod opcode {
    /// A standard query.
    pub const QUERY: u8 = 0;
    /// RFC 1996.
    pub const NOTIFY: u8 = 4;
    /// RFC 2136.
    pub const UPDATE: u8 = 5;
}

/// Why octets are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The message ends inside its header, a question or a record.
    #[error("message ends early")]
    Truncated,
    /// An owner or question name is none.
    #[error("{0}")]
    Name(#[from] NameError),
}

/// The twelve octets at the start of each message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Header {
    /// Chosen by who asks, repeated in the answer.
    pub id: u16,
    /// QR, opcode, the bits of [`flag`] and the low four bits of the RCODE.
    pub flags: u16,
    /// QDCOUNT.
    pub questions: u16,
    /// ANCOUNT.
    pub answers: u16,
    /// NSCOUNT.
    pub authorities: u16,
    /// ARCOUNT.
    pub additionals: u16,
}

impl Header {
    /// Reads the first twelve octets.
    pub fn read(message: &[u8]) -> Result<Header, MessageError> {
        let head: &[u8; HEADER_OCTETS] = message.first_chunk().ok_or(MessageError::Truncated)?;
        let at = |i: usize| u16::from_be_bytes([head[i], head[i + 1]]);
        Ok(Header {
            id: at(0),
            flags: at(2),
            questions: at(4),
            answers: at(6),
            authorities: at(8),
            additionals: at(10),
        })
    }

    /// The octets.
    pub fn to_bytes(self) -> [u8; HEADER_OCTETS] {
        let mut out = [0; HEADER_OCTETS];
        let fields = [self.id, self.flags, self.questions, self.answers, self.authorities, self.additionals];
        for (i, field) in fields.into_iter().enumerate() {
            out[2 * i..2 * i + 2].copy_from_slice(&field.to_be_bytes());
        }
        out
    }

    /// Whether all of `bits` of [`flag`] are set.
    pub fn has(self, bits: u16) -> bool {
        self.flags & bits == bits
    }

    /// The opcode, 0..=15.
    pub fn opcode(self) -> u8 {
        (self.flags >> 11 & 15) as u8
    }

    /// The RCODE as far as the header holds it (RFC 6891 extends it).
    pub fn rcode(self) -> Rcode {
        Rcode(self.flags & 15)
    }

    /// The header of a reply without any section: same id, opcode and RD, QR set, `bits` and `rcode` added.
    pub fn reply(self, bits: u16, rcode: Rcode) -> Header {
        Header {
            id: self.id,
            flags: self.flags & (flag::RD | 0x7800) | flag::QR | bits | (rcode.0 & 15),
            ..Header::default()
        }
    }
}

/// A response code, extended or not.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rcode(pub u16);

impl Rcode {
    /// No error.
    pub const NOERROR: Rcode = Rcode(0);
    /// The server could not read the query.
    pub const FORMERR: Rcode = Rcode(1);
    /// The server failed.
    pub const SERVFAIL: Rcode = Rcode(2);
    /// The name does not exist.
    pub const NXDOMAIN: Rcode = Rcode(3);
    /// Not implemented.
    pub const NOTIMP: Rcode = Rcode(4);
    /// Refused by policy.
    pub const REFUSED: Rcode = Rcode(5);
    /// A DNAME would make the name too long (RFC 6672 §2.2).
    pub const YXDOMAIN: Rcode = Rcode(6);
    /// Not authoritative, or TSIG failed.
    pub const NOTAUTH: Rcode = Rcode(9);
    /// EDNS version not supported (RFC 6891 §9).
    pub const BADVERS: Rcode = Rcode(16);
    /// The client has to come back with the cookie it gets (RFC 7873 §8).
    pub const BADCOOKIE: Rcode = Rcode(23);

    /// The reason code of an answer with this RCODE; `None` for NOERROR.
    pub fn code(self) -> Option<Code> {
        Some(match self {
            Rcode::NOERROR => return None,
            Rcode::FORMERR => Code::RcodeFormerr,
            Rcode::SERVFAIL => Code::RcodeServfail,
            Rcode::NXDOMAIN => Code::RcodeNxdomain,
            Rcode::NOTIMP => Code::RcodeNotimp,
            Rcode::REFUSED => Code::RcodeRefused,
            Rcode::NOTAUTH => Code::RcodeNotauth,
            Rcode::BADVERS => Code::RcodeBadvers,
            _ => Code::RcodeOther,
        })
    }
}

impl fmt::Display for Rcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const WORDS: [&str; 12] = [
            "NOERROR",
            "FORMERR",
            "SERVFAIL",
            "NXDOMAIN",
            "NOTIMP",
            "REFUSED",
            "YXDOMAIN",
            "YXRRSET",
            "NXRRSET",
            "NOTAUTH",
            "NOTZONE",
            "DSOTYPENI",
        ];
        match (WORDS.get(self.0 as usize), self.0) {
            (Some(word), _) => f.pad(word),
            (None, 16) => f.pad("BADVERS"),
            (None, 23) => f.pad("BADCOOKIE"),
            (None, other) => f.pad(&format!("RCODE{other}")),
        }
    }
}

impl fmt::Debug for Rcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An entry of the question section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// QNAME, folded.
    pub name: Name,
    /// QTYPE.
    pub qtype: RecordType,
    /// QCLASS.
    pub class: u16,
}

impl Question {
    /// Reads the question at `at`; returns it with the offset behind it.
    pub fn read(message: &[u8], at: usize) -> Result<(Question, usize), MessageError> {
        let (name, end) = Name::read(message, at)?;
        let fixed: &[u8; 4] = message.get(end..).and_then(<[u8]>::first_chunk).ok_or(MessageError::Truncated)?;
        let qtype = RecordType(u16::from_be_bytes([fixed[0], fixed[1]]));
        Ok((Question { name, qtype, class: u16::from_be_bytes([fixed[2], fixed[3]]) }, end + 4))
    }
}

/// Where one record of a message is; its owner and rdata may be compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawRecord {
    /// Offset of the owner.
    pub owner: usize,
    /// Type.
    pub rtype: RecordType,
    /// Class (in OPT: a payload size).
    pub class: u16,
    /// The 32 bits as they stand (in OPT: flags).
    pub ttl_bits: u32,
    /// Offset of the rdata.
    pub rdata: usize,
    /// Octets of the rdata; they lie inside the message.
    pub rdata_len: usize,
}

impl RawRecord {
    /// Reads the record at `at`. The owner is only skipped, not checked.
    #[inline]
    pub fn read(message: &[u8], at: usize) -> Result<RawRecord, MessageError> {
        let end = skip_name(message, at)?;
        let fixed: &[u8; 10] = message.get(end..).and_then(<[u8]>::first_chunk).ok_or(MessageError::Truncated)?;
        let record = RawRecord {
            owner: at,
            rtype: RecordType(u16::from_be_bytes([fixed[0], fixed[1]])),
            class: u16::from_be_bytes([fixed[2], fixed[3]]),
            ttl_bits: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            rdata: end + 10,
            rdata_len: u16::from_be_bytes([fixed[8], fixed[9]]) as usize,
        };
        if record.end() > message.len() { Err(MessageError::Truncated) } else { Ok(record) }
    }

    /// Offset behind the record.
    pub fn end(&self) -> usize {
        self.rdata + self.rdata_len
    }

    /// TTL in seconds; RFC 2181 §8: "a TTL value received with the most significant bit set [is treated] as zero".
    pub fn ttl(&self) -> u32 {
        if self.ttl_bits >> 31 == 0 { self.ttl_bits } else { 0 }
    }
}

/// The offset behind the name at `at`, whose pointers are not followed.
#[inline]
pub fn skip_name(message: &[u8], mut at: usize) -> Result<usize, MessageError> {
    loop {
        match *message.get(at).ok_or(MessageError::Truncated)? {
            0 => return Ok(at + 1),
            0xc0.. => return Ok(at + 2),
            len if len as usize <= name::LABEL_OCTETS_MAX => at += 1 + len as usize,
            _ => return Err(NameError::BadLabelType.into()),
        }
    }
}

/// The offset behind the question section, which starts behind the header.
pub fn skip_questions(message: &[u8], header: Header) -> Result<usize, MessageError> {
    let mut at = HEADER_OCTETS;
    for _ in 0..header.questions {
        at = skip_name(message, at)? + 4;
    }
    if at > message.len() { Err(MessageError::Truncated) } else { Ok(at) }
}

/// `count` records from `at` on. After an error nothing more comes.
pub fn records(message: &[u8], at: usize, count: usize) -> Records<'_> {
    Records { message, at, left: count }
}

/// Iterator of [`records`].
#[derive(Clone, Debug)]
pub struct Records<'a> {
    message: &'a [u8],
    at: usize,
    left: usize,
}

impl Records<'_> {
    /// Offset behind the records read so far.
    pub fn offset(&self) -> usize {
        self.at
    }
}

impl Iterator for Records<'_> {
    type Item = Result<RawRecord, MessageError>;
    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let record = RawRecord::read(self.message, self.at);
        match &record {
            Ok(r) => self.at = r.end(),
            Err(_) => self.left = 0,
        }
        Some(record)
    }
}

/// Appends a record with its names in full.
///
/// # Panics
/// If the rdata is longer than 65,535 octets, which no [`RecordRef`] holds.
pub fn write_record(out: &mut Vec<u8>, record: RecordRef<'_>) {
    let len = u16::try_from(record.rdata.len()).expect("a RecordRef's rdata fits RDLENGTH");
    out.extend_from_slice(record.owner);
    out.extend_from_slice(&record.rtype.0.to_be_bytes());
    out.extend_from_slice(&CLASS_IN.to_be_bytes());
    out.extend_from_slice(&record.ttl.to_be_bytes());
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(record.rdata);
}

/// Appends a question of class IN.
pub fn write_question(out: &mut Vec<u8>, name: &Name, qtype: RecordType) {
    out.extend_from_slice(name.as_wire());
    out.extend_from_slice(&qtype.0.to_be_bytes());
    out.extend_from_slice(&CLASS_IN.to_be_bytes());
}

/// A query for `qtype` of the apex of `zone`, RD clear.
pub fn query(id: u16, zone: &Name, qtype: RecordType, opt: Option<&edns::Opt>) -> Vec<u8> {
    compose(Header { id, questions: 1, ..Header::default() }, zone, qtype, None, opt)
}

/// An IXFR query: "the authority section of the query contains the SOA record of client's version of the zone"
/// (RFC 1995 §3).
pub fn ixfr_query(id: u16, zone: &Name, ours: &Record, opt: Option<&edns::Opt>) -> Vec<u8> {
    let header = Header { id, questions: 1, authorities: 1, ..Header::default() };
    compose(header, zone, RecordType::IXFR, Some(ours), opt)
}

/// A NOTIFY, with our SOA as the hint if given (RFC 1996 §3.7, §4.5: AA is set).
pub fn notify(id: u16, zone: &Name, soa: Option<&Record>, opt: Option<&edns::Opt>) -> Vec<u8> {
    let flags = (opcode::NOTIFY as u16) << 11 | flag::AA;
    let header = Header { id, flags, questions: 1, answers: soa.is_some() as u16, ..Header::default() };
    compose(header, zone, RecordType::SOA, soa, opt)
}

fn compose(
    mut header: Header,
    zone: &Name,
    qtype: RecordType,
    record: Option<&Record>,
    opt: Option<&edns::Opt>,
) -> Vec<u8> {
    header.additionals = opt.is_some() as u16;
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(&header.to_bytes());
    write_question(&mut out, zone, qtype);
    if let Some(record) = record {
        write_record(&mut out, record.borrow());
    }
    if let Some(opt) = opt {
        opt.write(&mut out);
    }
    out
}

/// A reply without records to `request`: its question repeated as it was spelt (left out if it cannot be read).
pub fn reply(request: &[u8], bits: u16, rcode: Rcode) -> Vec<u8> {
    let header = Header::read(request).unwrap_or_default();
    let mut reply = header.reply(bits, rcode);
    // Only a single question that stands in full can be repeated octet by octet.
    let question = match Question::read(request, HEADER_OCTETS) {
        Ok((_, end)) if header.questions == 1 => &request[HEADER_OCTETS..end],
        _ => &[],
    };
    reply.questions = !question.is_empty() as u16;
    [&reply.to_bytes()[..], question].concat()
}

/// Adds `more` to the ARCOUNT of a message that has at least a header.
pub(super) fn add_additionals(message: &mut [u8], more: i32) {
    let count = u16::from_be_bytes([message[10], message[11]]) as i32 + more;
    message[10..12].copy_from_slice(&(count as u16).to_be_bytes());
}

/// What a NOTIFY says (RFC 1996).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notify {
    /// The zone.
    pub zone: Name,
    /// QTYPE; anything but SOA is not for us.
    pub qtype: RecordType,
    /// QCLASS.
    pub class: u16,
    /// Serial of the SOA in the answer section, if there is one of this zone. A hint, never a fact.
    pub hint: Option<Serial>,
}

impl Notify {
    /// Reads a NOTIFY request. An answer section that does not parse gives no hint and is no error: the hint is
    /// optional and the question alone is enough to act on.
    pub fn read(message: &[u8]) -> Result<Notify, MessageError> {
        let header = Header::read(message)?;
        let (question, end) = Question::read(message, HEADER_OCTETS)?;
        let mut hint = None;
        for record in records(message, end, header.answers as usize) {
            let Ok(record) = record else { break };
            let mut rdata = Vec::new();
            if record.rtype == RecordType::SOA
                && Name::read(message, record.owner).is_ok_and(|(owner, _)| owner == question.name)
                && super::rdata::expand(message, record.rdata, record.rdata_len, record.rtype, &mut rdata).is_ok()
            {
                hint = super::rdata::soa_serial(&rdata);
                break;
            }
        }
        Ok(Notify { zone: question.name, qtype: question.qtype, class: question.class, hint })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> Name {
        text.parse().expect("a name")
    }

    fn soa(serial: u32) -> Record {
        let numbers: Vec<u8> = [serial, 2, 3, 4, 5].iter().flat_map(|n: &u32| n.to_be_bytes()).collect();
        let rdata = [&b"\x01m\x00\x01r\x00"[..], &numbers].concat().into();
        Record { owner: name("example.com"), rtype: RecordType::SOA, ttl: 60, rdata }
    }

    /// RFC 1995 §3.
    #[test]
    fn ixfr_query_carries_our_soa_in_the_authority_section() {
        let message = ixfr_query(7, &name("example.com"), &soa(9), None);
        let header = Header::read(&message).expect("header");
        assert_eq!((header.id, header.flags, header.questions, header.authorities), (7, 0, 1, 1));
        let (question, end) = Question::read(&message, HEADER_OCTETS).expect("question");
        assert_eq!((question.name, question.qtype, question.class), (name("example.com"), RecordType::IXFR, 1));
        let all: Vec<_> = records(&message, end, 1).collect();
        let record = all[0].expect("record");
        assert_eq!((record.rtype, record.ttl(), record.end()), (RecordType::SOA, 60, message.len()));
    }

    #[test]
    fn notify_reads_back_with_its_hint() {
        let message = notify(7, &name("example.com"), Some(&soa(9)), Some(&edns::Opt::default()));
        let header = Header::read(&message).expect("header");
        assert_eq!((header.opcode(), header.has(flag::AA), header.additionals), (opcode::NOTIFY, true, 1));
        let notify = Notify::read(&message).expect("notify");
        assert_eq!((notify.zone, notify.hint), (name("example.com"), Some(Serial(9))));
    }

    /// RFC 1996 §3.7: the answer section is optional; PowerDNS sends none.
    #[test]
    fn notify_without_soa_is_normal() {
        let message = notify(7, &name("example.com"), None, None);
        assert_eq!(Notify::read(&message).expect("notify").hint, None);
    }

    #[test]
    fn a_broken_hint_is_no_hint() {
        let mut message = notify(7, &name("example.com"), Some(&soa(9)), None);
        message.truncate(message.len() - 1);
        assert_eq!(Notify::read(&message).expect("notify").hint, None);
        let other = Record { owner: name("example.net"), ..soa(9) };
        let message = notify(7, &name("example.com"), Some(&other), None);
        assert_eq!(Notify::read(&message).expect("notify").hint, None);
    }

    #[test]
    fn reply_keeps_id_opcode_rd_and_spelling() {
        let mut request = notify(7, &name("example.com"), Some(&soa(9)), None);
        request[13] = b'E';
        request[2] |= 1;
        let answer = reply(&request, flag::AA, Rcode::REFUSED);
        assert_eq!(answer[..12], [0, 7, 0xa5, 5, 0, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(answer[12..], request[12..29]);
        assert_eq!(reply(b"\x00\x07", 0, Rcode::FORMERR).len(), HEADER_OCTETS);
    }

    /// RFC 2181 §8.
    #[test]
    fn a_ttl_with_the_top_bit_set_is_zero() {
        let mut record = RawRecord::read(b"\x00\x00\x01\x00\x01\x80\x00\x00\x01\x00\x00", 0).expect("record");
        assert_eq!(record.ttl(), 0);
        record.ttl_bits = i32::MAX as u32;
        assert_eq!(record.ttl(), i32::MAX as u32);
    }

    #[test]
    fn rcodes_have_their_reason_and_word() {
        assert_eq!(Rcode::NOERROR.code(), None);
        assert_eq!(Rcode::REFUSED.code(), Some(Code::RcodeRefused));
        assert_eq!(Rcode(10).code(), Some(Code::RcodeOther));
        assert_eq!(
            format!("{} {} {} {}", Rcode::NOTAUTH, Rcode::BADVERS, Rcode::BADCOOKIE, Rcode(24)),
            "NOTAUTH BADVERS BADCOOKIE RCODE24"
        );
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = Notify::read(&bytes);
            let _ = reply(&bytes, 0, Rcode::FORMERR);
            if let Ok(header) = Header::read(&bytes) {
                prop_assert_eq!(&header.to_bytes(), &bytes[..12]);
                if let Ok(at) = skip_questions(&bytes, header) {
                    for record in records(&bytes, at, header.answers as usize).flatten() {
                        prop_assert!(record.end() <= bytes.len());
                    }
                }
            }
        }
    }
}
