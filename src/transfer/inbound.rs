//! The answer to an AXFR or IXFR query, message by message, until it is a whole zone or a chain of differences.
//!
//! In: what was asked, then each message of the stream (TSIG verified and cut). Out: [`Received`], only when the last
//! SOA has come; until then nothing is visible to anybody. Called by `net`'s upstream exchanges, which own the
//! connection and its time limits. Decides nothing about what comes after: a [`Reason`] leads to AXFR, to the next
//! primary or to RETRY elsewhere.
//!
//! ```text
//!            SOA                    record            SOA = first
//! Start ──────────► FirstSoa ─────────────────► Zone ─────────────► Done(Full)
//!                    │    │ SOA = first (zone of one record) ──────► Done(Full)
//!                    │    │ SOA with our serial                      ▲ Done(Diffs)
//!  message ends,     │    └────────► Deleting ──► Adding ────────────┘
//!  serial not newer  ▼                   ▲  SOA      │ SOA           SOA = first
//!              Done(UpToDate)            └───────────┘
//! ```
//!
//! Cost: no allocation for single records; an owner that repeats the one before, or points where it pointed, is not
//! read again. RFC 5936 §2.2, §3; RFC 1995 §2, §4; RFC 1982; RFC 2181 §8.

use crate::dns::edns::Opt;
use crate::dns::message::{self, CLASS_IN, HEADER_OCTETS, Header, Question, RawRecord, Rcode, flag, opcode};
use crate::dns::name::{self, Name};
use crate::dns::{Record, RecordRef, RecordType, Serial, rdata};
use crate::reason::{Code, Reason};
use crate::zone::{Builder, DamagedDiff, Diff, DiffBuilder, HashKey, Limits};

use super::said::{self, Said};

/// Messages without records that are taken in a row, if nothing else is said (A12).
pub const EMPTY_MESSAGES_MAX: u32 = 100;

/// Octets of a record beside its owner and rdata.
const RECORD_OCTETS: usize = 10;

/// What the query asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The whole zone.
    Axfr,
    /// What changed since our version.
    Ixfr {
        /// The SOA of our version, as it stood in the query.
        ours: Record,
    },
}

/// Whether to go on reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The answer is not complete.
    More,
    /// It is; what follows on the connection does not belong to it.
    Done,
}

/// What a complete answer holds.
// There is one of these per transfer, so the size of its largest variant does not matter.
#[expect(clippy::large_enum_variant)]
#[derive(Debug)]
pub enum Received {
    /// The primary has nothing newer than we: its serial, which may also be older or not comparable.
    UpToDate {
        /// The primary's serial.
        serial: Serial,
    },
    /// Differences from our serial to that of the primary, to be applied in one step; at least one.
    Diffs(Vec<Diff>),
    /// The whole zone, not finished.
    Full(Builder),
}

/// What has been read so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages.
    pub messages: u64,
    /// Records of answer sections, SOAs included.
    pub records: u64,
    /// Octets of the messages as given to us.
    pub octets: u64,
    /// Records of a difference that do not belong to the zone and were left out (a builder counts its own).
    pub skipped_out_of_zone: u64,
    /// Records whose TTL had its top bit set and was read as 0 (RFC 2181 §8).
    pub negative_ttls: u64,
}

/// The assembling of one answer.
#[derive(Debug)]
pub struct Inbound {
    zone: Name,
    asked: Asked,
    id: u16,
    limits: Limits,
    key: HashKey,
    empty_messages_max: u32,
    difference_octets_max: u64,
    sequences_max: usize,
    counters: Counters,
    said: Said,
    empty_in_row: u32,
    difference_octets: u64,
    state: State,
    /// Differences that are complete.
    diffs: Vec<Diff>,
    owner: Owner,
    rdata: Vec<u8>,
}

#[derive(Debug)]
enum State {
    Start,
    /// The first SOA has come, nothing behind it yet.
    FirstSoa(Soa),
    Zone(Soa, Builder),
    Deleting(Soa, DiffBuilder, Serial),
    Adding(Soa, DiffBuilder, Soa),
    UpToDate(Serial),
    Diffs,
    Full(Builder),
    /// After an error.
    Void,
}

/// A SOA of the apex.
#[derive(Clone, Debug)]
struct Soa {
    serial: Serial,
    record: Record,
    /// For comparisons "of the whole rdata", names folded.
    canonical: Vec<u8>,
}

impl Soa {
    fn new(record: RecordRef<'_>) -> Soa {
        let mut canonical = Vec::with_capacity(record.rdata.len());
        rdata::canonical(RecordType::SOA, record.rdata, &mut canonical);
        let serial = rdata::soa_serial(record.rdata).expect("the rdata of a SOA was validated");
        Soa { serial, record: record.to_record(), canonical }
    }

    fn is(&self, other: &Soa) -> bool {
        self.canonical == other.canonical
    }
}

impl Inbound {
    /// For the answer to a query with `id`. `key` is the hash key of the version that may be replaced.
    pub fn new(zone: Name, asked: Asked, id: u16, key: HashKey, limits: Limits) -> Inbound {
        Inbound {
            zone,
            asked,
            id,
            limits,
            key,
            empty_messages_max: EMPTY_MESSAGES_MAX,
            difference_octets_max: u64::MAX,
            sequences_max: usize::MAX,
            counters: Counters::default(),
            said: Said::default(),
            empty_in_row: 0,
            difference_octets: 0,
            state: State::Start,
            diffs: Vec::new(),
            owner: Owner::default(),
            rdata: Vec::with_capacity(512),
        }
    }

    /// Takes at most `messages` without records in a row (`[transfer] max-empty-messages`).
    pub fn with_empty_messages_max(mut self, messages: u32) -> Inbound {
        self.empty_messages_max = messages;
        self
    }

    /// Gives up differences (`IXFR_INAPPLICABLE`) that grow beyond `octets` with names in full; the size of our version
    /// is a good value, since a full transfer costs no more (I9).
    pub fn with_difference_octets_max(mut self, octets: u64) -> Inbound {
        self.difference_octets_max = octets;
        self
    }

    /// Gives up differences (`IXFR_INAPPLICABLE`) of more than `sequences` steps (`[transfer] max-ixfr-sequences`, I9).
    pub fn with_sequences_max(mut self, sequences: u32) -> Inbound {
        self.sequences_max = sequences as usize;
        self
    }

    /// What has been read so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// What the answer has said beside its records so far.
    pub fn said(&self) -> &Said {
        &self.said
    }

    /// What the answer is, as far as it can be told: the whole zone, differences, or a single SOA.
    pub fn form(&self) -> Option<RecordType> {
        match &self.state {
            State::Zone(..) | State::Full(_) => Some(RecordType::AXFR),
            State::Deleting(..) | State::Adding(..) | State::Diffs => Some(RecordType::IXFR),
            State::UpToDate(_) => Some(RecordType::SOA),
            State::Start | State::FirstSoa(_) | State::Void => None,
        }
    }

    /// The serial of the first SOA, which the answer leads to.
    pub fn offered(&self) -> Option<Serial> {
        match &self.state {
            State::FirstSoa(first) | State::Zone(first, _) | State::Deleting(first, ..) | State::Adding(first, ..) => {
                Some(first.serial)
            }
            State::UpToDate(serial) => Some(*serial),
            State::Diffs => self.diffs.last().map(Diff::to_serial),
            _ => None,
        }
    }

    /// Takes the next message. After an error, or after [`Progress::Done`], no further message is taken.
    pub fn message(&mut self, message: &[u8]) -> Result<Progress, Reason> {
        let progress = self.take(message);
        if progress.is_err() {
            self.state = State::Void;
        }
        progress
    }

    /// The contents. Fails if the stream ended too early.
    pub fn finish(self) -> Result<Received, Reason> {
        match self.state {
            State::UpToDate(serial) => Ok(Received::UpToDate { serial }),
            State::Diffs => Ok(Received::Diffs(self.diffs)),
            State::Full(builder) => Ok(Received::Full(builder)),
            State::Start => Err(Reason::new(Code::TruncatedStream, "no record came")),
            State::FirstSoa(_) => Err(Reason::new(Code::TruncatedStream, "nothing came after the first SOA")),
            _ => {
                let detail = format!("{} records came, but not the last SOA", self.counters.records);
                Err(Reason::new(Code::TruncatedStream, detail))
            }
        }
    }

    fn is_done(&self) -> bool {
        matches!(self.state, State::UpToDate(_) | State::Diffs | State::Full(_))
    }

    fn take(&mut self, message: &[u8]) -> Result<Progress, Reason> {
        if self.is_done() || matches!(self.state, State::Void) {
            return Err(Reason::new(Code::SoaMismatch, "a message after the end"));
        }
        self.counters.messages += 1;
        self.counters.octets += message.len() as u64;
        if self.counters.octets > self.limits.octets_max {
            let detail = format!("more than {} octets ([transfer] max-bytes)", self.limits.octets_max);
            return Err(Reason::new(Code::LimitBytes, detail));
        }
        let header = Header::read(message).map_err(|_| bad_header("a message of less than 12 octets"))?;
        let at = self.check_header(message, header)?;
        self.check_empty(header)?;
        self.owner.forget();
        let mut records = message::records(message, at, header.answers as usize);
        for raw in records.by_ref() {
            self.counters.records += 1;
            // the two SOAs around the answer are not records of the zone
            if self.counters.records > self.limits.records_max.saturating_add(2) {
                let detail = format!("more than {} records ([transfer] max-records)", self.limits.records_max);
                return Err(Reason::new(Code::LimitRecords, detail));
            }
            let raw = raw.map_err(|error| self.malformed(None, error))?;
            if self.is_done() {
                return Err(Reason::new(Code::SoaMismatch, "records after the last SOA"));
            }
            self.record(message, &raw)?;
        }
        if header.additionals > 0
            && !self.said.edns
            && let Some(opt) = said::opt_behind(message, records.offset(), header)
        {
            self.said = Said::by(&opt);
        }
        self.end_of_message(header);
        Ok(if self.is_done() { Progress::Done } else { Progress::More })
    }

    /// A2; the offset of the answer section. RFC 5936 §2.2.1.
    fn check_header(&mut self, message: &[u8], header: Header) -> Result<usize, Reason> {
        if header.id != self.id {
            return Err(bad_header(format!("id {} instead of {}", header.id, self.id)));
        }
        if !header.has(flag::QR) {
            return Err(bad_header("QR is clear"));
        }
        if header.opcode() != opcode::QUERY {
            return Err(bad_header(format!("opcode {}", header.opcode())));
        }
        // The upper bits of an RCODE stand in the OPT record; an answer with records has none.
        if header.rcode() != Rcode::NOERROR || header.answers == 0 {
            let opt = said::opt_in(message, header);
            self.said = opt.as_ref().map_or_else(Said::default, Said::by);
            let rcode = opt.as_ref().map_or(header.rcode(), |opt| opt.rcode(header));
            if let Some(code) = rcode.code() {
                return Err(Reason::new(code, self.rcode_text(rcode, opt)));
            }
        }
        if header.has(flag::TC) {
            return Err(Code::TcInStream.into());
        }
        let first = self.counters.messages == 1;
        if header.questions > 1 || (first && header.questions == 0) {
            return Err(bad_header(format!("{} questions", header.questions)));
        }
        if header.authorities != 0 {
            return Err(bad_header(format!("{} records in the authority section", header.authorities)));
        }
        if header.questions == 0 {
            return Ok(HEADER_OCTETS);
        }
        let (question, end) = Question::read(message, HEADER_OCTETS).map_err(|e| bad_header(e.to_string()))?;
        let qtype = match self.asked {
            Asked::Axfr => RecordType::AXFR,
            Asked::Ixfr { .. } => RecordType::IXFR,
        };
        if question != (Question { name: self.zone.clone(), qtype, class: CLASS_IN }) {
            return Err(bad_header(format!("question {} {} was not asked", question.name, question.qtype)));
        }
        Ok(end)
    }

    /// The RCODE with the peer's own words, if it has any.
    fn rcode_text(&self, rcode: Rcode, opt: Option<Opt>) -> String {
        let asked = if self.asked == Asked::Axfr { "AXFR" } else { "IXFR" };
        let place = match self.counters.messages {
            1 => String::new(),
            n => format!(" in message {n}"),
        };
        let text = opt.and_then(|opt| opt.errors_text());
        format!("{asked}: {rcode}{place}{}", text.map(|t| format!(", {t}")).unwrap_or_default())
    }

    fn check_empty(&mut self, header: Header) -> Result<(), Reason> {
        if header.answers > 0 {
            self.empty_in_row = 0;
            return Ok(());
        }
        if matches!(self.asked, Asked::Ixfr { .. }) && self.counters.messages == 1 {
            // Servers that know no IXFR say so in many ways, this is one of them (I5).
            return Err(Reason::new(Code::NotSoaFirst, "the answer to IXFR is empty"));
        }
        self.empty_in_row += 1;
        if self.empty_in_row > self.empty_messages_max {
            let detail = format!(
                "more than {} messages without records in a row ([transfer] max-empty-messages)",
                self.empty_messages_max
            );
            return Err(Reason::new(Code::LimitEmpty, detail));
        }
        Ok(())
    }

    /// RFC 1995 §2: a server with nothing newer answers with its SOA alone. A newer one may have sent each record in
    /// a message of its own, so only the end of the message can tell, and only for a serial that is not newer.
    fn end_of_message(&mut self, header: Header) {
        if let (State::FirstSoa(first), Asked::Ixfr { ours }) = (&self.state, &self.asked)
            && header.answers > 0
            && !rdata::soa_serial(&ours.rdata).is_some_and(|ours| first.serial.is_newer_than(ours))
        {
            self.state = State::UpToDate(first.serial);
        }
    }

    fn malformed(&self, rtype: Option<RecordType>, error: impl std::fmt::Display) -> Reason {
        let what = match rtype {
            Some(rtype) => format!(" ({} {rtype})", ShownOwner(&self.owner.wire)),
            None => String::new(),
        };
        Reason::new(Code::MalformedRr, format!("record {}{what}: {error}", self.counters.records))
    }

    fn record(&mut self, message: &[u8], raw: &RawRecord) -> Result<(), Reason> {
        self.owner.read(message, raw.owner).map_err(|error| self.malformed(None, error))?;
        // The type first: the class of an OPT record is a size, that of a TSIG record ANY.
        if raw.rtype.is_meta() {
            let detail = format!("record {}: type {}", self.counters.records, raw.rtype);
            return Err(Reason::new(Code::MetaType, detail));
        }
        if raw.class != CLASS_IN {
            let detail = format!("record {}: class {}", self.counters.records, raw.class);
            return Err(Reason::new(Code::BadClass, detail));
        }
        self.rdata.clear();
        rdata::expand(message, raw.rdata, raw.rdata_len, raw.rtype, &mut self.rdata)
            .map_err(|error| self.malformed(Some(raw.rtype), error))?;
        self.counters.negative_ttls += (raw.ttl_bits >> 31) as u64;
        let record = RecordRef { owner: &self.owner.wire, rtype: raw.rtype, ttl: raw.ttl(), rdata: &self.rdata };
        if raw.rtype == RecordType::SOA {
            if record.owner != self.zone.as_wire() {
                let detail = format!("SOA of {}", ShownOwner(record.owner));
                return Err(Reason::new(Code::WrongZone, detail));
            }
            let (soa, octets) = (Soa::new(record), record.owner.len() + RECORD_OCTETS + record.rdata.len());
            self.soa(soa)?;
            if self.diffs.len() > self.sequences_max {
                let detail =
                    format!("more than {} difference sequences ([transfer] max-ixfr-sequences)", self.sequences_max);
                return Err(Reason::new(Code::IxfrInapplicable, detail));
            }
            // A chain may consist of nothing but SOAs, and each of its links costs memory.
            return match self.state {
                State::Deleting(..) | State::Adding(..) => self.count_difference(octets),
                _ => Ok(()),
            };
        }
        let is_deleting = matches!(self.state, State::Deleting(..));
        match &mut self.state {
            State::Start => {
                let detail = format!("the first record is {} {}", ShownOwner(record.owner), raw.rtype);
                return Err(Reason::new(Code::NotSoaFirst, detail));
            }
            State::FirstSoa(first) => {
                let mut builder = Builder::new(self.zone.clone(), self.key, self.limits);
                builder.add(first.record.borrow())?;
                builder.add(record)?;
                self.state = State::Zone(first.clone(), builder);
            }
            State::Zone(_, builder) => builder.add(record)?,
            // A5; a builder skips and counts such records on its own
            State::Deleting(..) | State::Adding(..) if !is_below(record.owner, &self.zone) => {
                self.counters.skipped_out_of_zone += 1;
            }
            State::Deleting(_, diff, _) | State::Adding(_, diff, _) => {
                let octets = record.owner.len() + RECORD_OCTETS + record.rdata.len();
                if is_deleting {
                    diff.delete(record)?
                } else {
                    diff.add(record)?
                }
                self.count_difference(octets)?;
            }
            State::UpToDate(_) | State::Diffs | State::Full(_) | State::Void => {}
        }
        Ok(())
    }

    fn count_difference(&mut self, octets: usize) -> Result<(), Reason> {
        self.difference_octets += octets as u64;
        if self.difference_octets > self.difference_octets_max {
            let detail = format!("differences of more than {} octets", self.difference_octets_max);
            return Err(Reason::new(Code::IxfrInapplicable, detail));
        }
        Ok(())
    }

    /// A SOA of the apex: it starts, turns or ends whatever is under way.
    fn soa(&mut self, soa: Soa) -> Result<(), Reason> {
        self.state = match std::mem::replace(&mut self.state, State::Void) {
            State::Start => State::FirstSoa(soa),
            State::FirstSoa(first) => self.second_soa(first, soa)?,
            // A3: "whose whole RDATA equals it"; RFC 5936 §2.2: the same SOA first and last.
            State::Zone(first, builder) if soa.is(&first) => State::Full(builder),
            State::Zone(first, _) => {
                let detail = format!("began with serial {}, then came {}", first.serial, soa.serial);
                return Err(Reason::new(Code::SoaMismatch, detail));
            }
            State::Deleting(first, diff, from) => self.turn(first, diff, from, soa)?,
            State::Adding(first, diff, new) => self.next_sequence(first, diff, new, soa)?,
            done => done,
        };
        Ok(())
    }

    /// I2: what follows the first SOA directly.
    fn second_soa(&self, first: Soa, second: Soa) -> Result<State, Reason> {
        if second.is(&first) {
            let mut builder = Builder::new(self.zone.clone(), self.key, self.limits);
            builder.add(first.record.borrow())?;
            return Ok(State::Full(builder));
        }
        let Asked::Ixfr { ours } = &self.asked else {
            let detail = format!("began with serial {}, then came {}", first.serial, second.serial);
            return Err(Reason::new(Code::SoaMismatch, detail));
        };
        let ours = Soa::new(ours.borrow());
        if second.serial != ours.serial {
            let detail = format!("differences start at {}, ours is {}", second.serial, ours.serial);
            return Err(Reason::new(Code::IxfrGap, detail));
        }
        if !second.is(&ours) {
            let detail = format!("the SOA at serial {} is not the one we have", ours.serial);
            return Err(Reason::new(Code::IxfrInapplicable, detail));
        }
        let from = second.serial;
        Ok(State::Deleting(first, DiffBuilder::new(second.record.borrow()), from))
    }

    /// The new SOA of a sequence. I3: each step moves forward.
    fn turn(&self, first: Soa, diff: DiffBuilder, from: Serial, new: Soa) -> Result<State, Reason> {
        if !new.serial.is_newer_than(from) {
            let detail = format!("a difference from {from} to {}, which is not newer", new.serial);
            return Err(Reason::new(Code::IxfrGap, detail));
        }
        if new.serial == first.serial && !new.is(&first) {
            let detail = format!("the new SOA at serial {} is not the first SOA", first.serial);
            return Err(Reason::new(Code::SoaMismatch, detail));
        }
        Ok(State::Adding(first, diff, new))
    }

    /// The SOA behind the added records: the end, or the old SOA of the next sequence.
    fn next_sequence(&mut self, first: Soa, diff: DiffBuilder, new: Soa, soa: Soa) -> Result<State, Reason> {
        if soa.serial != new.serial {
            let detail = format!("a difference leads to {}, the next SOA is {}", new.serial, soa.serial);
            return Err(Reason::new(Code::IxfrGap, detail));
        }
        if !soa.is(&new) {
            let detail = format!("two different SOAs with serial {}", soa.serial);
            return Err(Reason::new(Code::SoaMismatch, detail));
        }
        let damaged = |error: DamagedDiff| Reason::new(Code::IxfrInapplicable, error.to_string());
        self.diffs.push(diff.finish(new.record.borrow()).map_err(damaged)?);
        if soa.serial == first.serial {
            return Ok(State::Diffs);
        }
        let from = soa.serial;
        Ok(State::Deleting(first, DiffBuilder::new(soa.record.borrow()), from))
    }
}

fn bad_header(detail: impl Into<String>) -> Reason {
    Reason::new(Code::BadHeader, detail)
}

/// Whether `owner` lies at or below `zone`; both in lower case.
fn is_below(owner: &[u8], zone: &Name) -> bool {
    let Some(cut) = owner.len().checked_sub(zone.as_wire().len()) else { return false };
    if owner[cut..] != *zone.as_wire() {
        return false;
    }
    // the cut has to fall between two labels
    let mut at = 0;
    while at < cut {
        at += 1 + owner[at] as usize;
    }
    at == cut
}

/// The owner of the current record, kept for the next one.
#[derive(Debug, Default)]
struct Owner {
    /// Uncompressed, lower case.
    wire: Vec<u8>,
    /// Where in this message the last owner stood, and where it pointed if it was nothing but a pointer.
    at: Option<usize>,
    pointer: Option<usize>,
}

impl Owner {
    /// Offsets mean nothing in another message.
    fn forget(&mut self) {
        (self.at, self.pointer) = (None, None);
    }

    #[inline]
    fn read(&mut self, message: &[u8], at: usize) -> Result<(), name::NameError> {
        let pointer = match message[at..] {
            [high @ 0xc0..=0xff, low, ..] => Some((high as usize & 0x3f) << 8 | low as usize),
            _ => None,
        };
        if pointer.is_some() && (pointer == self.pointer || pointer == self.at) {
            return Ok(());
        }
        self.wire.clear();
        self.forget();
        name::expand_into(message, at, &mut self.wire)?;
        self.wire.make_ascii_lowercase();
        (self.at, self.pointer) = (Some(at), pointer);
        Ok(())
    }
}

/// An owner in text, for details.
struct ShownOwner<'a>(&'a [u8]);

impl std::fmt::Display for ShownOwner<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        name::write_presentation(self.0, f)
    }
}
