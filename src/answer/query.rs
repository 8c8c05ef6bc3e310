//! A query's bytes -> what is asked, read by hand once.
//!
//! The common shape (one question, at most one OPT and nothing else) takes the straight way through [`parse`];
//! everything else goes to functions marked cold. RFC 1035 §4.1, RFC 6891 §6 (OPT), RFC 8906 (answer odd queries,
//! never stay silent).

use super::folded::Folded;
use super::options::{Asked, BadOptions};
use crate::dns::RecordType;
pub(super) use crate::dns::message::HEADER_OCTETS;
use crate::dns::message::{Header, Rcode, opcode, skip_questions};

/// Octets of a UDP reply that every client takes (RFC 1035 §4.2.1); a smaller size in OPT means this too
/// (RFC 6891 §6.2.3).
pub(super) const PLAIN_REPLY_OCTETS: usize = 512;

/// What the OPT of a query says (RFC 6891 §6.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edns {
    /// The largest UDP reply the client takes, at least 512.
    pub(super) reply_octets: u16,
    /// Highest version the client speaks.
    pub(super) version: u8,
    /// DO: the client wants signatures (RFC 3225).
    pub(super) dnssec_ok: bool,
    /// Whether there are options; what they ask for stands in the [`Asked`] given to [`parse`].
    pub(super) has_options: bool,
}

/// A query that can be looked up. Its name stands in the [`Folded`] given to [`parse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) qtype: RecordType,
    pub(super) qclass: u16,
    /// Just behind the question: where the reply's records begin.
    pub(super) question_end: u16,
    pub(super) edns: Option<Edns>,
}

/// What a message turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// To be looked up.
    Query(Query),
    /// To be answered with an error.
    Refused(Refused),
    /// NOTIFY, a transfer or signed: for the cold path.
    Hand,
    /// Not a query at all, or too short to be answered.
    Drop,
}

/// An error that parsing has found, with as much of the query as the reply can repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) rcode: Rcode,
    /// [`HEADER_OCTETS`] if the question was not understood and is left out of the reply.
    pub(super) question_end: u16,
    pub(super) edns: Option<Edns>,
}

/// The counts of a message that has a question and nothing else.
const ONLY_QUESTION: [u8; 8] = [0, 1, 0, 0, 0, 0, 0, 0];
/// And one record in the additional section.
const WITH_ONE_MORE: [u8; 8] = [0, 1, 0, 0, 0, 0, 0, 1];

/// Reads `message`, the name of its question into `name`, what its EDNS options ask for into `asked`.
#[inline(always)]
pub(super) fn parse(message: &[u8], name: &mut Folded, asked: &mut Asked) -> Parsed {
    let Some((header, _)) = message.split_first_chunk::<HEADER_OCTETS>() else {
        return Parsed::Drop;
    };
    // "A responder MUST NOT reply to a response": two servers would talk to each other for ever.
    if header[2] & 0x80 != 0 {
        return Parsed::Drop;
    }
    match header[2] >> 3 & 0x0f {
        opcode::QUERY => {}
        opcode::NOTIFY => return Parsed::Hand,
        _ => return not_implemented(message, asked),
    }
    if header[4..6] != [0, 1] {
        return without_question(message, asked);
    }
    let Some(name_end) = name.read_question(message) else {
        return refused(Rcode::FORMERR, HEADER_OCTETS, None);
    };
    let Some(&[type_high, type_low, class_high, class_low]) =
        message.get(name_end..).and_then(|rest| rest.first_chunk::<4>())
    else {
        return refused(Rcode::FORMERR, HEADER_OCTETS, None);
    };
    let question_end = name_end + 4;
    let counts = header.last_chunk::<8>();
    let edns = match message.get(question_end..) {
        Some([]) if counts == Some(&ONLY_QUESTION) => None,
        Some(record) if counts == Some(&WITH_ONE_MORE) => match read_lone_opt(record) {
            Some(edns) => Some(edns),
            None => return unusual(message, name, asked, question_end),
        },
        _ => return unusual(message, name, asked, question_end),
    };
    finish(Query {
        qtype: RecordType(u16::from_be_bytes([type_high, type_low])),
        qclass: u16::from_be_bytes([class_high, class_low]),
        question_end: question_end as u16,
        edns,
    })
}

/// Decides by type and EDNS version what becomes of a well-formed query.
#[inline]
fn finish(query: Query) -> Parsed {
    if query.edns.is_some_and(|edns| edns.version != 0) {
        return refused(Rcode::BADVERS, query.question_end.into(), query.edns);
    }
    match query.qtype {
        // OPT, IXFR, AXFR, MAILB and MAILA: one test for all of them
        RecordType::OPT | RecordType(251..=254) => of_no_data(query),
        _ => Parsed::Query(query),
    }
}

/// What becomes of a question for a type that is no type of data.
#[cold]
fn of_no_data(query: Query) -> Parsed {
    match query.qtype {
        RecordType::AXFR | RecordType::IXFR => Parsed::Hand,
        // OPT is never asked for (RFC 6891 §6.1.1: "OPT RRs MUST NOT be cached, forwarded, or stored").
        RecordType::OPT => refused(Rcode::FORMERR, query.question_end.into(), query.edns),
        // MAILB and MAILA ask for a procedure nobody has any more (RFC 1035 §3.2.3). The other meta types (TKEY, TSIG and
        // those unassigned, RFC 6895 §3.1) are no types of data either: no name has any, as NSD and Knot say too.
        RecordType(253 | 254) => refused(Rcode::NOTIMP, query.question_end.into(), query.edns),
        _ => Parsed::Query(query),
    }
}

fn refused(rcode: Rcode, question_end: usize, edns: Option<Edns>) -> Parsed {
    Parsed::Refused(Refused { rcode, question_end: question_end as u16, edns })
}

/// Reads an OPT without options that fills `record` exactly.
#[inline(always)]
fn read_lone_opt(record: &[u8]) -> Option<Edns> {
    match *record {
        [0, 0, 41, size_high, size_low, _, version, flags, _, 0, 0] => Some(Edns {
            reply_octets: u16::from_be_bytes([size_high, size_low]).max(PLAIN_REPLY_OCTETS as u16),
            version,
            dnssec_ok: flags & 0x80 != 0,
            has_options: false,
        }),
        _ => None,
    }
}

/// No question, or more than one: an error, but "for servers with DNS Cookies enabled, the QUERY opcode behavior is
/// extended to support queries with an empty Question Section" (RFC 7873 §5.4), which a lone OPT with a COOKIE asks.
#[cold]
fn without_question(message: &[u8], asked: &mut Asked) -> Parsed {
    let only_opt = message[4..12] == [0, 0, 0, 0, 0, 0, 0, 1];
    let record = read_record(message, HEADER_OCTETS).filter(|record| only_opt && record.end == message.len());
    match record {
        Some(record) if record.rtype == RecordType::OPT && record.owner_is_root => {
            let edns = record.edns();
            match Asked::read(record.rdata) {
                Ok(read) if read.cookie.is_some() => {
                    *asked = read;
                    let rcode = if edns.version == 0 { Rcode::NOERROR } else { Rcode::BADVERS };
                    refused(rcode, HEADER_OCTETS, Some(edns))
                }
                Ok(_) | Err(BadOptions::Length) => {
                    refused(Rcode::FORMERR, HEADER_OCTETS, Some(Edns { has_options: false, ..edns }))
                }
                Err(BadOptions::Torn) => refused(Rcode::FORMERR, HEADER_OCTETS, None),
            }
        }
        _ => refused(Rcode::FORMERR, HEADER_OCTETS, None),
    }
}

/// Another opcode. "If an OPT record is present in a received request, compliant responders MUST include an OPT record in their
/// respective responses" (RFC 6891 §6.1.1): all opcodes have the sections of a query, as far as anybody can know.
#[cold]
fn not_implemented(message: &[u8], asked: &mut Asked) -> Parsed {
    refused(Rcode::NOTIMP, HEADER_OCTETS, lone_opt(message, asked))
}

/// The one OPT of a message of any opcode, if all of the message can be read.
fn lone_opt(message: &[u8], asked: &mut Asked) -> Option<Edns> {
    let header = Header::read(message).ok()?;
    let before = usize::from(header.answers) + usize::from(header.authorities);
    let mut at = skip_questions(message, header).ok()?;
    let mut edns = None;
    for index in 0..before + usize::from(header.additionals) {
        let record = read_record(message, at)?;
        at = record.end;
        if record.rtype == RecordType::OPT && index >= before && record.owner_is_root {
            let has_options = Asked::read(record.rdata).map(|read| *asked = read).is_ok() && !record.rdata.is_empty();
            if edns.replace(Edns { has_options, ..record.edns() }).is_some() {
                return None;
            }
        }
    }
    edns
}

/// Walks whatever else stands behind the question: options, several records, TSIG, rubbish.
#[cold]
fn unusual(message: &[u8], name: &Folded, asked: &mut Asked, question_end: usize) -> Parsed {
    let count = |at: usize| usize::from(u16::from_be_bytes([message[at], message[at + 1]]));
    let (before, additional) = (count(6) + count(8), count(10));
    let mut edns = None;
    let mut signed = false;
    let mut at = question_end;
    for index in 0..before + additional {
        let Some(record) = read_record(message, at) else {
            return refused(Rcode::FORMERR, question_end, None);
        };
        let in_additional = index >= before;
        match record.rtype {
            // "If a query message with more than one OPT RR is received, a FORMERR (RCODE=1) MUST be returned."
            // (RFC 6891 §6.1.1) So is one elsewhere, or with an owner other than the root.
            // Which OPT would speak for the client is not known, so none is sent back.
            RecordType::OPT if edns.is_some() || !in_additional || !record.owner_is_root => {
                return refused(Rcode::FORMERR, question_end, None);
            }
            RecordType::OPT => {
                edns = Some(record.edns());
                match Asked::read(record.rdata) {
                    Ok(read) => *asked = read,
                    Err(BadOptions::Torn) => return refused(Rcode::FORMERR, question_end, None),
                    Err(BadOptions::Length) => {
                        let edns = Edns { has_options: false, ..record.edns() };
                        return refused(Rcode::FORMERR, question_end, Some(edns));
                    }
                }
            }
            // RFC 8945 §5.1: TSIG is the last record of the additional section, else FORMERR.
            RecordType::TSIG if !in_additional || index + 1 != before + additional => {
                return refused(Rcode::FORMERR, question_end, edns);
            }
            RecordType::TSIG => signed = true,
            _ => {}
        }
        at = record.end;
    }
    if at != message.len() {
        return refused(Rcode::FORMERR, question_end, edns);
    }
    if signed {
        return Parsed::Hand;
    }
    let question = &message[HEADER_OCTETS + name.len()..question_end];
    finish(Query {
        qtype: RecordType(u16::from_be_bytes([question[0], question[1]])),
        qclass: u16::from_be_bytes([question[2], question[3]]),
        question_end: question_end as u16,
        edns,
    })
}

struct RecordAt<'a> {
    owner_is_root: bool,
    rtype: RecordType,
    class: u16,
    ttl: [u8; 4],
    rdata: &'a [u8],
    end: usize,
}

impl RecordAt<'_> {
    /// What it says as an OPT.
    fn edns(&self) -> Edns {
        Edns {
            reply_octets: self.class.max(PLAIN_REPLY_OCTETS as u16),
            version: self.ttl[1],
            dnssec_ok: self.ttl[2] & 0x80 != 0,
            has_options: !self.rdata.is_empty(),
        }
    }
}

/// The record at `at`; nothing if its owner is no name, as where a pointer does not lead backwards.
fn read_record(message: &[u8], at: usize) -> Option<RecordAt<'_>> {
    if !Folded::new().read(message, at) {
        return None;
    }
    let mut name_end = at;
    loop {
        match *message.get(name_end)? {
            0 => break name_end += 1,
            len @ 1..=63 => name_end += 1 + usize::from(len),
            0xc0.. => break name_end += 2,
            _ => return None,
        }
    }
    let fixed = message.get(name_end..)?.first_chunk::<10>()?;
    let rdata_at = name_end + 10;
    let end = rdata_at + usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
    Some(RecordAt {
        owner_is_root: message[at] == 0,
        rtype: RecordType(u16::from_be_bytes([fixed[0], fixed[1]])),
        class: u16::from_be_bytes([fixed[2], fixed[3]]),
        ttl: [fixed[4], fixed[5], fixed[6], fixed[7]],
        rdata: message.get(rdata_at..end)?,
        end,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUESTION: &[u8] = b"\x03WWW\x07example\x00\x00\x01\x00\x01";
    const OPT: &[u8] = b"\x00\x00\x29\x04\xd0\x00\x00\x80\x00\x00\x00";

    fn message(flags: [u8; 2], counts: [u8; 4], parts: &[&[u8]]) -> Vec<u8> {
        let [q, an, ns, ar] = counts;
        let mut message = vec![0xab, 0xcd, flags[0], flags[1], 0, q, 0, an, 0, ns, 0, ar];
        parts.iter().for_each(|part| message.extend_from_slice(part));
        message
    }

    fn parsed(message: &[u8]) -> Parsed {
        parse(message, &mut Folded::new(), &mut Asked::default())
    }

    fn rcode(message: &[u8]) -> Rcode {
        match parsed(message) {
            Parsed::Refused(refused) => refused.rcode,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_common_shapes_are_understood() {
        let mut name = Folded::new();
        let plain = parse(&message([1, 0], [1, 0, 0, 0], &[QUESTION]), &mut name, &mut Asked::default());
        let expected = Query { qtype: RecordType::A, qclass: 1, question_end: 12 + QUESTION.len() as u16, edns: None };
        assert_eq!(plain, Parsed::Query(expected));
        assert_eq!(name.lower(), b"\x03www\x07example\x00");
        let edns = Some(Edns { reply_octets: 1232, version: 0, dnssec_ok: true, has_options: false });
        let with_opt = parsed(&message([1, 0], [1, 0, 0, 1], &[QUESTION, OPT]));
        assert_eq!(with_opt, Parsed::Query(Query { edns, ..expected }));
    }

    /// RFC 6891 §6.2.3: "Values lower than 512 MUST be treated as equal to 512."
    #[test]
    fn small_payload_sizes_mean_512() {
        let opt = b"\x00\x00\x29\x00\x10\x00\x00\x00\x00\x00\x00";
        match parsed(&message([0, 0], [1, 0, 0, 1], &[QUESTION, opt])) {
            Parsed::Query(Query { edns: Some(edns), .. }) => assert_eq!(edns.reply_octets, 512),
            other => panic!("{other:?}"),
        }
    }

    /// RFC 6891 §6.1.2: "Any OPTION-CODE values not understood by a responder or requestor MUST be ignored."
    #[test]
    fn unknown_options_are_ignored_and_broken_ones_are_an_error() {
        let unknown = b"\x00\x00\x29\x02\x00\x00\x00\x00\x00\x00\x07\xfd\xe9\x00\x03abc";
        assert!(matches!(parsed(&message([0, 0], [1, 0, 0, 1], &[QUESTION, unknown])), Parsed::Query(_)));
        let broken = b"\x00\x00\x29\x02\x00\x00\x00\x00\x00\x00\x07\xfd\xe9\x00\x04abc";
        assert_eq!(rcode(&message([0, 0], [1, 0, 0, 1], &[QUESTION, broken])), Rcode::FORMERR);
    }

    /// RFC 6891 §6.1.1: "If a query message with more than one OPT RR is received, a FORMERR (RCODE=1) MUST be
    /// returned."
    #[test]
    fn two_opts_are_an_error() {
        assert_eq!(rcode(&message([0, 0], [1, 0, 0, 2], &[QUESTION, OPT, OPT])), Rcode::FORMERR);
        assert_eq!(rcode(&message([0, 0], [1, 1, 0, 0], &[QUESTION, OPT])), Rcode::FORMERR);
        let named = b"\x01x\x00\x00\x29\x04\xd0\x00\x00\x80\x00\x00\x00";
        assert_eq!(rcode(&message([0, 0], [1, 0, 0, 1], &[QUESTION, named])), Rcode::FORMERR);
    }

    /// RFC 1035 §4.1.4: a pointer leads to "a prior occurance of the same name"; NSD, Knot and BIND agree on FORMERR.
    #[test]
    fn a_record_whose_owner_is_no_name_is_an_error() {
        let record = |owner: &[u8]| [owner, b"\x00\x01\x00\x01\x00\x00\x00\x00\x00\x04\x7f\x00\x00\x01"].concat();
        assert!(matches!(parsed(&message([0, 0], [1, 0, 0, 1], &[QUESTION, &record(b"\xc0\x0c")])), Parsed::Query(_)));
        let too_long = [&b"\x3f".repeat(64).repeat(4)[..], b"\0"].concat();
        for owner in [&b"\xc7\x00"[..], b"\xc0\x1d", b"\x01x\xc0\xff", &too_long] {
            assert_eq!(rcode(&message([0, 0], [1, 0, 0, 1], &[QUESTION, &record(owner)])), Rcode::FORMERR, "{owner:?}");
        }
    }

    /// RFC 6891 §6.1.3: "If a responder does not implement the VERSION level of the request, then it MUST respond
    /// with RCODE=BADVERS."
    #[test]
    fn later_edns_versions_are_badvers() {
        let opt = b"\x00\x00\x29\x02\x00\x00\x01\x00\x00\x00\x00";
        assert_eq!(rcode(&message([0, 0], [1, 0, 0, 1], &[QUESTION, opt])), Rcode::BADVERS);
    }

    #[test]
    fn transfers_notifies_and_signed_queries_are_handed_on() {
        assert_eq!(parsed(&message([0x20, 0], [1, 0, 0, 0], &[QUESTION])), Parsed::Hand);
        assert_eq!(parsed(&message([0, 0], [1, 0, 0, 0], &[b"\x00\x00\xfc\x00\x01"])), Parsed::Hand);
        assert_eq!(parsed(&message([0, 0], [1, 0, 0, 0], &[b"\x00\x00\xfb\x00\x01"])), Parsed::Hand);
        let tsig = b"\x01k\x00\x00\xfa\x00\xff\x00\x00\x00\x00\x00\x00";
        assert_eq!(parsed(&message([0, 0], [1, 0, 0, 1], &[QUESTION, tsig])), Parsed::Hand);
        assert_eq!(rcode(&message([0, 0], [1, 0, 0, 2], &[QUESTION, tsig, OPT])), Rcode::FORMERR);
    }

    /// RFC 8906 §3.2.2: an unknown opcode is answered with NOTIMP.
    #[test]
    fn other_opcodes_and_meta_types_are_not_implemented() {
        for opcode in [1u8, 2, 3, 5, 6, 15] {
            assert_eq!(rcode(&message([opcode << 3, 0], [0, 0, 0, 0], &[])), Rcode::NOTIMP);
            // RFC 6891 §6.1.1: who sends an OPT gets one
            for (counts, parts, is_there) in [
                ([1, 0, 0, 1], &[QUESTION, OPT][..], true),
                ([0, 0, 0, 1], &[OPT], true),
                ([1, 0, 0, 0], &[QUESTION], false),
                ([1, 0, 0, 2], &[QUESTION, OPT, OPT], false),
                ([1, 0, 0, 1], &[OPT], false),
            ] {
                match parsed(&message([opcode << 3, 0], counts, parts)) {
                    Parsed::Refused(refused) => {
                        assert_eq!((refused.rcode, refused.edns.is_some()), (Rcode::NOTIMP, is_there), "{counts:?}");
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        assert_eq!(rcode(&message([0, 0], [1, 0, 0, 0], &[b"\x00\x00\xfe\x00\x01"])), Rcode::NOTIMP);
        assert!(matches!(parsed(&message([0, 0], [1, 0, 0, 0], &[b"\x00\x00\xf8\x00\x01"])), Parsed::Query(_)));
        assert_eq!(rcode(&message([0, 0], [1, 0, 0, 0], &[b"\x00\x00\x29\x00\x01"])), Rcode::FORMERR);
    }

    #[test]
    fn responses_and_scraps_are_dropped() {
        assert_eq!(parsed(&message([0x80, 0], [1, 0, 0, 0], &[QUESTION])), Parsed::Drop);
        assert_eq!(parsed(b"elevenbytes"), Parsed::Drop);
        assert_eq!(parsed(b""), Parsed::Drop);
    }

    #[test]
    fn malformed_queries_are_a_format_error() {
        let long_label = [&[63u8][..], &[b'a'; 63]].concat();
        let too_long = [&long_label[..], &long_label, &long_label, &long_label, b"\x00\x00\x01\x00\x01"].concat();
        for (what, bytes) in [
            ("no question", message([0, 0], [0, 0, 0, 0], &[])),
            ("two questions", message([0, 0], [2, 0, 0, 0], &[QUESTION, QUESTION])),
            ("name past the end", message([0, 0], [1, 0, 0, 0], &[b"\x03ww"])),
            ("no type", message([0, 0], [1, 0, 0, 0], &[b"\x01w\x00\x00"])),
            ("compressed question", message([0, 0], [1, 0, 0, 0], &[b"\xc0\x0c\x00\x01\x00\x01"])),
            ("label type 01", message([0, 0], [1, 0, 0, 0], &[b"\x41a\x00\x00\x01\x00\x01"])),
            ("256 octets", message([0, 0], [1, 0, 0, 0], &[&too_long])),
            ("octets behind the question", message([0, 0], [1, 0, 0, 0], &[QUESTION, b"x"])),
            ("a record promised", message([0, 0], [1, 0, 0, 1], &[QUESTION])),
            ("a record cut short", message([0, 0], [1, 0, 0, 1], &[QUESTION, &OPT[..10]])),
        ] {
            assert_eq!(rcode(&bytes), Rcode::FORMERR, "{what}");
        }
    }

    #[test]
    fn the_longest_names_are_read() {
        let octets = [b"\x3f".as_slice(), &[b'A'; 63]].concat();
        let longest = [&octets[..], &octets, &octets, &[61], &[b'B'; 61], b"\x00\x00\x01\x00\x01"].concat();
        let mut name = Folded::new();
        assert!(matches!(
            parse(&message([0, 0], [1, 0, 0, 0], &[&longest]), &mut name, &mut Asked::default()),
            Parsed::Query(_)
        ));
        assert_eq!((name.len(), name.labels()), (255, 4));
        let deepest = [&b"\x01x".repeat(127)[..], b"\x00\x00\x01\x00\x01"].concat();
        assert!(matches!(
            parse(&message([0, 0], [1, 0, 0, 0], &[&deepest]), &mut name, &mut Asked::default()),
            Parsed::Query(_)
        ));
        assert_eq!((name.len(), name.labels()), (255, 127));
    }
}
