//! Answers to AXFR and IXFR queries of downstreams: records in, messages out.
//!
//! In: the query, and a snapshot, the differences up to it, or both. Out: one message at a time, full but with room
//! left for a TSIG record. Called by `net`, which has asked `access`, signs each message and sends it. Never looks at the
//! served view again: the answer is the version it began with, even if the zone is replaced meanwhile (O1).
//! RFC 5936 §2.2, RFC 1995 §4, RFC 3597 §4 (which names compress).

use crate::dns::message::{self, CLASS_IN, HEADER_OCTETS, Header, MESSAGE_OCTETS_MAX, Question, Rcode, flag};
use crate::dns::name::{self, Name};
use crate::dns::{RecordRef, RecordType, Serial, rdata};
use crate::zone::{Diff, DiffRecords, Records, Snapshot};

/// Octets to which messages are filled: all of it is in the reach of compression pointers (RFC 1035 §4.1.4). A larger
/// record goes in a message of its own.
pub const MESSAGE_OCTETS_TARGET: usize = 16 * 1024;

/// A query for a transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The zone, folded.
    pub zone: Name,
    /// The serial the client has, if it asked for IXFR and said so; `None` asks for the whole zone.
    pub theirs: Option<Serial>,
    header: Header,
    /// The question as it was spelt.
    question: Vec<u8>,
}

/// The query cannot be read as one for a transfer: FORMERR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a well-formed AXFR or IXFR query")]
pub struct Malformed;

impl Request {
    /// Reads a query of type AXFR or IXFR. An IXFR without a SOA of the zone in its authority section is malformed
    /// (RFC 1995 §3).
    pub fn read(query: &[u8]) -> Result<Request, Malformed> {
        let header = Header::read(query).map_err(|_| Malformed)?;
        let (question, end) = Question::read(query, HEADER_OCTETS).map_err(|_| Malformed)?;
        if header.questions != 1 || question.class != CLASS_IN {
            return Err(Malformed);
        }
        let theirs = match question.qtype {
            RecordType::AXFR => None,
            RecordType::IXFR => Some(serial_of_client(query, header, &question, end).ok_or(Malformed)?),
            _ => return Err(Malformed),
        };
        Ok(Request { zone: question.name, theirs, header, question: query[HEADER_OCTETS..end].to_vec() })
    }
}

fn serial_of_client(query: &[u8], header: Header, question: &Question, at: usize) -> Option<Serial> {
    let before = header.answers as usize;
    let all = message::records(query, at, before + header.authorities as usize);
    for record in all.skip(before) {
        let record = record.ok()?;
        let (owner, _) = Name::read(query, record.owner).ok()?;
        if record.rtype == RecordType::SOA && owner == question.name {
            let mut soa = Vec::new();
            rdata::expand(query, record.rdata, record.rdata_len, record.rtype, &mut soa).ok()?;
            return rdata::soa_serial(&soa);
        }
    }
    None
}

/// A record that fits no message; the transfer cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{owner} {rtype} fits no message")]
pub struct Oversize {
    /// Its owner.
    pub owner: Name,
    /// Its type.
    pub rtype: RecordType,
}

/// The making of one answer.
#[derive(Debug)]
pub struct Outbound<'a> {
    header: Header,
    /// Taken by the first message.
    question: Vec<u8>,
    soa: Soa<'a>,
    content: Content<'a>,
    octets_max: usize,
    names: Names,
    /// Whether the first SOA, and the one at the end, are still to come.
    first: bool,
    last: bool,
    /// A record that did not fit the message before.
    held: Held,
    records: u64,
}

/// The SOA of the version sent.
#[derive(Clone, Copy, Debug)]
struct Soa<'a> {
    owner: &'a Name,
    ttl: u32,
    rdata: &'a [u8],
}

#[derive(Debug)]
enum Content<'a> {
    /// Everything but the apex SOA, which frames it.
    Zone(Box<Records<'a>>),
    Diffs {
        current: Option<DiffRecords<'a>>,
        rest: &'a [Diff],
    },
    Nothing,
}

#[derive(Debug, Default)]
struct Held {
    is_some: bool,
    owner: Vec<u8>,
    rtype: u16,
    ttl: u32,
    rdata: Vec<u8>,
}

impl<'a> Outbound<'a> {
    /// The answer to `request` from `snapshot`: a single SOA if the client has nothing to fetch; else `diffs`, if they
    /// lead from the client's serial to the snapshot's and are not larger than the zone (O2); else the whole zone.
    /// `reserved`: octets to leave free in each message.
    pub fn new(request: Request, snapshot: &'a Snapshot, diffs: Option<&'a [Diff]>, reserved: usize) -> Outbound<'a> {
        let theirs = request.theirs;
        let mut outbound = Outbound::soa_only(request, snapshot, reserved);
        if theirs.is_some_and(|theirs| !snapshot.serial().is_newer_than(theirs)) {
            return outbound;
        }
        outbound.last = true;
        outbound.content = match diffs.filter(|diffs| are_worth_sending(theirs, diffs, snapshot)) {
            Some(rest) => Content::Diffs { current: None, rest },
            None => Content::Zone(Box::new(snapshot.records())),
        };
        outbound
    }

    /// A single SOA: nothing is newer, or (over UDP) "ask over TCP" (RFC 1995 §2).
    pub fn soa_only(request: Request, snapshot: &'a Snapshot, reserved: usize) -> Outbound<'a> {
        let soa = snapshot.soa();
        Outbound {
            header: request.header.reply(flag::AA, Rcode::NOERROR),
            question: request.question,
            soa: Soa { owner: snapshot.apex(), ttl: soa.ttl, rdata: &soa.rdata },
            content: Content::Nothing,
            octets_max: MESSAGE_OCTETS_MAX.saturating_sub(reserved),
            names: Names::default(),
            first: true,
            last: false,
            held: Held::default(),
            records: 0,
        }
    }

    /// Records put into messages so far.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Writes the next message into `out`, whose contents are replaced. `false`: there is none any more.
    pub fn next(&mut self, out: &mut Vec<u8>) -> Result<bool, Oversize> {
        out.clear();
        out.extend_from_slice(&self.header.to_bytes());
        let question = std::mem::take(&mut self.question);
        out.extend_from_slice(&question);
        self.names.start();
        let mut answers = 0u16;
        while answers < u16::MAX && self.fetch() {
            let before = out.len();
            self.names.write_record(out, &self.held);
            let is_alone = answers == 0;
            if out.len() > self.octets_max.min(if is_alone { usize::MAX } else { MESSAGE_OCTETS_TARGET }) {
                out.truncate(before);
                if is_alone {
                    let owner = Name::from_wire(&self.held.owner).expect("the owner of a record is one whole name");
                    return Err(Oversize { owner, rtype: RecordType(self.held.rtype) });
                }
                break;
            }
            self.held.is_some = false;
            self.records += 1;
            answers += 1;
        }
        out[4..6].copy_from_slice(&(!question.is_empty() as u16).to_be_bytes());
        out[6..8].copy_from_slice(&answers.to_be_bytes());
        Ok(answers > 0)
    }

    /// Makes sure that a record is held; `false` at the end.
    fn fetch(&mut self) -> bool {
        if self.held.is_some {
            return true;
        }
        if std::mem::take(&mut self.first) {
            self.held.set(self.soa.record());
            return true;
        }
        let next = match &mut self.content {
            Content::Nothing => None,
            Content::Zone(records) => {
                // The apex SOA frames the others; they come in any order.
                let mut next = records.advance();
                while next.is_some_and(|record| record.rtype == RecordType::SOA) {
                    next = records.advance();
                }
                next
            }
            Content::Diffs { current, rest } => loop {
                if let Some(record) = current.as_mut().and_then(Iterator::next) {
                    break Some(record);
                }
                let Some((diff, tail)) = rest.split_first() else { break None };
                (*current, *rest) = (Some(diff.all_records()), tail);
            },
        };
        match next {
            Some(record) => self.held.set(record),
            None if std::mem::take(&mut self.last) => self.held.set(self.soa.record()),
            None => return false,
        }
        true
    }
}

impl<'a> Soa<'a> {
    fn record(self) -> RecordRef<'a> {
        RecordRef { owner: self.owner.as_wire(), rtype: RecordType::SOA, ttl: self.ttl, rdata: self.rdata }
    }
}

impl Held {
    fn set(&mut self, record: RecordRef<'_>) {
        (self.is_some, self.rtype, self.ttl) = (true, record.rtype.0, record.ttl);
        self.owner.clear();
        self.owner.extend_from_slice(record.owner);
        self.rdata.clear();
        self.rdata.extend_from_slice(record.rdata);
    }
}

fn are_worth_sending(theirs: Option<Serial>, diffs: &[Diff], snapshot: &Snapshot) -> bool {
    let (Some(theirs), Some(last)) = (theirs, diffs.last()) else { return false };
    let contiguous = diffs.windows(2).all(|pair| pair[0].to_serial() == pair[1].from_serial());
    // After a roll-back the history goes back in places. NSD refuses such a chain at each try, and whoever takes it may have
    // other contents under a serial that the primary has used twice.
    let is_forward = diffs.iter().all(|diff| diff.to_serial().is_newer_than(diff.from_serial()));
    let octets: usize = diffs.iter().map(|diff| diff.as_bytes().len()).sum();
    // Differences hold names in full where images are compressed, so twice the image is about the size on the wire.
    contiguous
        && is_forward
        && diffs[0].from_serial() == theirs
        && last.to_serial() == snapshot.serial()
        && octets as u64 <= 2 * snapshot.image_octets()
}

/// Slots of the table of names; a power of two.
const SLOTS: usize = 4096;
/// Names remembered for one message at most, so that probing stays short.
const NAMES_MAX: usize = 2048;
/// Offsets that a pointer can hold.
const POINTER_MAX: usize = 0x3fff;

/// Suffixes that stand in the current message, for compression. A suffix is used only where its octets are equal, so
/// that names keep their spelling (A10).
#[derive(Debug)]
struct Names {
    /// Offset of the suffix; 0 is free (there stands the header).
    slots: Box<[u16; SLOTS]>,
    used: usize,
    /// The last owner written, and where it stands.
    owner: Vec<u8>,
    owner_at: usize,
}

impl Default for Names {
    fn default() -> Names {
        Names { slots: Box::new([0; SLOTS]), used: 0, owner: Vec::new(), owner_at: 0 }
    }
}

impl Names {
    /// Begins a message. Nothing points into its question, whose spelling is the client's.
    fn start(&mut self) {
        self.slots.fill(0);
        self.used = 0;
        self.owner.clear();
    }

    fn write_record(&mut self, out: &mut Vec<u8>, record: &Held) {
        if self.owner == record.owner && self.owner_at <= POINTER_MAX {
            out.extend_from_slice(&(0xc000 | self.owner_at as u16).to_be_bytes());
        } else {
            self.owner_at = out.len();
            self.write_name(out, &record.owner);
            self.owner.clone_from(&record.owner);
        }
        out.extend_from_slice(&record.rtype.to_be_bytes());
        out.extend_from_slice(&CLASS_IN.to_be_bytes());
        out.extend_from_slice(&record.ttl.to_be_bytes());
        let length_at = out.len();
        out.extend_from_slice(&[0, 0]);
        let mut copied = 0;
        for name in rdata::names(RecordType(record.rtype), &record.rdata).filter(|n| n.is_compressible()) {
            out.extend_from_slice(&record.rdata[copied..name.at]);
            copied = name.at + name.len;
            self.write_name(out, &record.rdata[name.at..copied]);
        }
        out.extend_from_slice(&record.rdata[copied..]);
        let length = (out.len() - length_at - 2) as u16;
        out[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
    }

    /// Appends `name`, its longest suffix that stands already as a pointer, and remembers the rest.
    fn write_name(&mut self, out: &mut Vec<u8>, name: &[u8]) {
        let mut starts = [0usize; name::LABELS_MAX];
        let (mut labels, mut at) = (0, 0);
        while name[at] != 0 {
            starts[labels] = at;
            labels += 1;
            at += 1 + name[at] as usize;
        }
        let mut hashes = [0u32; name::LABELS_MAX];
        let mut hash = 0;
        for label in (0..labels).rev() {
            let start = starts[label];
            for &octet in &name[start..=start + name[start] as usize] {
                hash = (hash ^ octet as u32).wrapping_mul(0x0100_0193);
            }
            hashes[label] = hash;
        }
        // from the right: as soon as one suffix is new, all longer ones are
        let (mut literal, mut new, mut pointer) = (name.len(), labels, None);
        while new > 0 {
            let Some(offset) = self.find(out, hashes[new - 1], &name[starts[new - 1]..]) else { break };
            new -= 1;
            (literal, pointer) = (starts[new], Some(offset));
        }
        for label in 0..new {
            let offset = out.len() + starts[label];
            if offset <= POINTER_MAX && self.used < NAMES_MAX {
                self.insert(hashes[label], offset as u16);
            }
        }
        out.extend_from_slice(&name[..literal]);
        if let Some(offset) = pointer {
            out.extend_from_slice(&(0xc000 | offset).to_be_bytes());
        }
    }

    /// Where `suffix` stands.
    fn find(&self, message: &[u8], hash: u32, suffix: &[u8]) -> Option<u16> {
        let mut slot = hash as usize % SLOTS;
        while self.slots[slot] != 0 {
            if stands_at(message, self.slots[slot] as usize, suffix) {
                return Some(self.slots[slot]);
            }
            slot = (slot + 1) % SLOTS;
        }
        None
    }

    fn insert(&mut self, hash: u32, offset: u16) {
        let mut slot = hash as usize % SLOTS;
        while self.slots[slot] != 0 {
            slot = (slot + 1) % SLOTS;
        }
        self.slots[slot] = offset;
        self.used += 1;
    }
}

/// Whether the name at `at` of `message`, which we wrote, has just these octets.
fn stands_at(message: &[u8], mut at: usize, mut name: &[u8]) -> bool {
    loop {
        let Some(&len) = message.get(at) else { return false };
        if len >= 0xc0 {
            at = (len as usize & 0x3f) << 8 | message[at + 1] as usize;
            continue;
        }
        let end = 1 + len as usize;
        if message.get(at..at + end) != name.get(..end) {
            return false;
        }
        if len == 0 {
            return true;
        }
        at += end;
        name = &name[end..];
    }
}
