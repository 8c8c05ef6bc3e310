//! Asking a primary for its SOA: the query, and what its answer says.
//!
//! In: the zone, an id, whether to speak EDNS; then each datagram or message that may be the answer. Out: the SOA with
//! the EXPIRE option, or what to do instead. Called by `net`'s prober, which owns tries, time-outs and transports.
//! RFC 1034 §4.3.5, RFC 7314, RFC 8906 (servers that choke on EDNS).

use siphasher::sip::SipHasher13;

use crate::dns::edns::{Opt, option};
use crate::dns::message::{self, HEADER_OCTETS, Header, Question, RawRecord, Rcode, flag, opcode};
use crate::dns::{Name, Record, RecordType, Serial, rdata};
use crate::reason::{Code, Reason};

use super::said;

/// One SOA query, without its transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Apex of the zone.
    pub zone: Name,
    /// Random for each try.
    pub id: u16,
    /// Whether to send an OPT record with an empty EXPIRE option (RFC 7314 §3.2).
    pub edns: bool,
    /// Whether to ask for the signatures of the SOA too (DO, RFC 3225); needs EDNS.
    pub signature: bool,
}

/// What a primary says about its zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SoaAnswer {
    /// Its SOA.
    pub soa: Record,
    /// The serial of it.
    pub serial: Serial,
    /// Seconds until the primary's own copy expires, if it says so.
    pub expire_secs: Option<u32>,
    /// A hash over the signatures of the SOA, whatever their order; `None` if there are none. Another value with an equal
    /// serial: the zone was signed again without a new serial (P5).
    pub signature: Option<u64>,
}

/// Why a message is not the answer we asked for; each leads somewhere else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// It answers something else. Over UDP: ignore it and keep listening, it may be forged or late.
    #[error("not an answer to this query: {0}")]
    Foreign(&'static str),
    /// TC is set: ask again over TCP.
    #[error("answer is truncated")]
    Truncated,
    /// The server does not take EDNS: ask once more without.
    #[error("server refuses EDNS: {0}")]
    NoEdns(Reason),
    /// The answer is an answer, and bad.
    #[error("{0}")]
    Failed(Reason),
}

/// The OPT record of our queries: the empty EXPIRE option asks for its value (RFC 7314 §3.2).
pub fn expire_wanted() -> Opt {
    Opt::default().with_option(option::EXPIRE, b"")
}

impl From<ProbeError> for Reason {
    fn from(error: ProbeError) -> Reason {
        match error {
            ProbeError::Foreign(what) => Reason::new(Code::BadHeader, what),
            ProbeError::Truncated => Reason::new(Code::TcInStream, "SOA answer is truncated"),
            ProbeError::NoEdns(reason) | ProbeError::Failed(reason) => reason,
        }
    }
}

fn failed<T>(code: Code, detail: impl Into<String>) -> Result<T, ProbeError> {
    Err(ProbeError::Failed(Reason::new(code, detail)))
}

impl Probe {
    /// The OPT record of the query.
    pub fn opt(&self) -> Option<Opt> {
        self.edns.then(|| {
            let mut opt = expire_wanted();
            opt.dnssec_ok = self.signature;
            opt
        })
    }

    /// The message to send, with [`Probe::opt`], to which the caller may have added options.
    pub fn query(&self, opt: Option<&Opt>) -> Vec<u8> {
        message::query(self.id, &self.zone, RecordType::SOA, opt)
    }

    /// Reads a message (TSIG verified and cut).
    pub fn read_answer(&self, message: &[u8]) -> Result<SoaAnswer, ProbeError> {
        let header = Header::read(message).map_err(|_| ProbeError::Foreign("message ends early"))?;
        let at = self.check_header(message, header)?;
        if header.has(flag::TC) {
            return Err(ProbeError::Truncated);
        }
        // A broken additional section costs the EXPIRE option and the error text, not the answer.
        let opt = said::opt_in(message, header);
        let rcode = opt.as_ref().map_or(header.rcode(), |opt| opt.rcode(header));
        if let Some(code) = rcode.code() {
            let text = opt.as_ref().and_then(Opt::errors_text);
            let detail = format!("SOA query: {rcode}{}", text.map(|t| format!(", {t}")).unwrap_or_default());
            let reason = Reason::new(code, detail);
            // The upper bits of an RCODE exist in OPT records only: whatever they say, it is about ours. Who answers with
            // an OPT record refuses something else than EDNS with SERVFAIL or REFUSED.
            let may_be_edns = matches!(rcode, Rcode::FORMERR | Rcode::NOTIMP)
                || rcode.0 >= Rcode::BADVERS.0
                || opt.is_none() && matches!(rcode, Rcode::SERVFAIL | Rcode::REFUSED);
            return Err(if self.edns && may_be_edns { ProbeError::NoEdns(reason) } else { ProbeError::Failed(reason) });
        }
        let (soa, signature) = self.find_soa(message, header, at)?;
        if !header.has(flag::AA) {
            return failed(Code::NotAuthoritative, "");
        }
        let serial = rdata::soa_serial(&soa.rdata).expect("the rdata of a SOA was validated");
        Ok(SoaAnswer { soa, serial, expire_secs: opt.and_then(|opt| opt.expire()), signature })
    }

    /// Whether this is a reply to this very query; the offset of the answer section.
    fn check_header(&self, message: &[u8], header: Header) -> Result<usize, ProbeError> {
        if header.id != self.id {
            return Err(ProbeError::Foreign("id is another"));
        }
        if !header.has(flag::QR) || header.opcode() != opcode::QUERY {
            return Err(ProbeError::Foreign("not a reply to a query"));
        }
        if header.questions == 0 && header.rcode() != Rcode::NOERROR {
            // Servers that could not read the query have no question to repeat.
            return Ok(HEADER_OCTETS);
        }
        match Question::read(message, HEADER_OCTETS) {
            Ok((question, end)) if header.questions == 1 => {
                let asked = Question { name: self.zone.clone(), qtype: RecordType::SOA, class: message::CLASS_IN };
                if question == asked { Ok(end) } else { Err(ProbeError::Foreign("question is another")) }
            }
            _ => Err(ProbeError::Foreign("question is missing")),
        }
    }

    /// The one SOA of the apex in the answer section with a hash of its signatures, or what stands there instead.
    fn find_soa(&self, message: &[u8], header: Header, at: usize) -> Result<(Record, Option<u64>), ProbeError> {
        let malformed = |what: String| ProbeError::Failed(Reason::new(Code::MalformedRr, what));
        let (mut found, mut other_owner, mut signature) = (None, None, None);
        let mut records = message::records(message, at, header.answers as usize);
        for record in records.by_ref() {
            let record = record.map_err(|error| malformed(error.to_string()))?;
            let (owner, _) = Name::read(message, record.owner).map_err(|error| malformed(error.to_string()))?;
            match record.rtype {
                RecordType::CNAME if owner == self.zone => return failed(Code::SoaCname, ""),
                RecordType::SOA if owner != self.zone => other_owner = Some(owner),
                RecordType::SOA if found.is_some() => return failed(Code::SoaMultiple, ""),
                RecordType::SOA => found = Some(self.read_soa(message, &record)?),
                RecordType::RRSIG if self.signature && owner == self.zone => {
                    let rdata = &message[record.rdata..record.end()];
                    if rdata.starts_with(&RecordType::SOA.0.to_be_bytes()) {
                        let hash = SipHasher13::new().hash(rdata);
                        signature = Some(signature.unwrap_or(0u64).wrapping_add(hash));
                    }
                }
                _ => {}
            }
        }
        if let Some(soa) = found {
            return Ok((soa, signature));
        }
        if let Some(owner) = other_owner {
            return failed(Code::WrongZone, format!("SOA of {owner}"));
        }
        let authority = message::records(message, records.offset(), header.authorities as usize);
        let has_ns = authority.flatten().any(|record| record.rtype == RecordType::NS);
        match (header.has(flag::AA), has_ns) {
            (false, true) => failed(Code::SoaReferral, ""),
            (false, false) => failed(Code::NotAuthoritative, "no SOA in the answer"),
            (true, _) => failed(Code::SoaNodata, ""),
        }
    }

    fn read_soa(&self, message: &[u8], record: &RawRecord) -> Result<Record, ProbeError> {
        if record.class != message::CLASS_IN {
            return failed(Code::BadClass, format!("class {} of the SOA", record.class));
        }
        let mut rdata = Vec::new();
        if let Err(error) = rdata::expand(message, record.rdata, record.rdata_len, record.rtype, &mut rdata) {
            return failed(Code::MalformedRr, format!("SOA: {error}"));
        }
        Ok(Record { owner: self.zone.clone(), rtype: RecordType::SOA, ttl: record.ttl(), rdata: rdata.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::zonefile;
    use proptest::prelude::*;

    const SOA: &str = "example. 60 IN SOA ns. host. 7 2 3 4 5";

    fn probe() -> Probe {
        Probe { zone: "example".parse().expect("name"), id: 77, edns: true, signature: false }
    }

    /// An answer to [`probe`] with these records in the answer and authority sections.
    fn answer(flags: u16, answers: &[&str], authorities: &[&str]) -> Vec<u8> {
        let header = Header {
            id: 77,
            flags: flag::QR | flags,
            questions: 1,
            answers: answers.len() as u16,
            authorities: authorities.len() as u16,
            additionals: 0,
        };
        let mut out = header.to_bytes().to_vec();
        message::write_question(&mut out, &probe().zone, RecordType::SOA);
        for text in answers.iter().chain(authorities) {
            for record in zonefile::parse(text, &Name::root()).expect("record") {
                message::write_record(&mut out, record.borrow());
            }
        }
        out
    }

    fn code(message: &[u8]) -> Code {
        match probe().read_answer(message) {
            Err(ProbeError::Failed(reason)) => reason.code,
            Err(ProbeError::NoEdns(reason)) if [Code::RcodeRefused, Code::RcodeServfail].contains(&reason.code) => {
                reason.code
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_good_answer_gives_soa_serial_and_expire() {
        let mut message = answer(flag::AA, &[SOA], &[]);
        Opt::default().with_option(option::EXPIRE, &99u32.to_be_bytes()).append(&mut message);
        let answer = probe().read_answer(&message).expect("good");
        assert_eq!((answer.serial, answer.expire_secs), (Serial(7), Some(99)));
        assert_eq!(answer.soa.to_string().replace('\t', " "), SOA);
    }

    #[test]
    fn the_query_asks_for_expire_and_without_edns_for_nothing() {
        let probe = probe();
        let opt = Opt::find(&probe.query(probe.opt().as_ref())).expect("parses").expect("has OPT");
        assert_eq!(opt.option(option::EXPIRE), Some(&b""[..]));
        assert_eq!(Probe { edns: false, ..probe }.opt(), None);
    }

    #[test]
    fn every_bad_answer_has_its_own_code() {
        let ns = "example. 60 IN NS ns.";
        for (flags, answers, authorities, expected) in [
            (0, &[SOA][..], &[][..], Code::NotAuthoritative),
            (0, &[], &[ns][..], Code::SoaReferral),
            (0, &[], &[], Code::NotAuthoritative),
            (flag::AA, &[], &[SOA], Code::SoaNodata),
            (flag::AA, &[ns], &[], Code::SoaNodata),
            (flag::AA, &["example. 60 IN CNAME other.", "other. 60 SOA a. b. 1 2 3 4 5"], &[], Code::SoaCname),
            (flag::AA, &[SOA, "example. 60 IN SOA ns. host. 8 2 3 4 5"], &[], Code::SoaMultiple),
            (flag::AA, &["example.net. 60 IN SOA ns. host. 7 2 3 4 5"], &[], Code::WrongZone),
            (flag::AA | 5, &[], &[], Code::RcodeRefused),
            (flag::AA | 3, &[], &[], Code::RcodeNxdomain),
            (9, &[], &[], Code::RcodeNotauth),
        ] {
            assert_eq!(code(&answer(flags, answers, authorities)), expected, "{answers:?} {authorities:?}");
        }
        let mut cut = answer(flag::AA, &[SOA], &[]);
        cut.pop();
        assert_eq!(code(&cut), Code::MalformedRr);
    }

    /// B9: over UDP such packets are ignored and we keep listening.
    #[test]
    fn answers_to_something_else_are_foreign() {
        let good = answer(flag::AA, &[SOA], &[]);
        for (at, octet) in [(1, 78), (2, 0x04), (2, 0xa4), (13, b'x'), (5, 0), (5, 2), (22, 1)] {
            let mut message = good.clone();
            message[at] = octet;
            assert!(matches!(probe().read_answer(&message), Err(ProbeError::Foreign(_))), "{at}");
        }
        assert!(matches!(probe().read_answer(b"\x00"), Err(ProbeError::Foreign(_))));
    }

    #[test]
    fn truncation_leads_to_tcp() {
        assert_eq!(probe().read_answer(&answer(flag::AA | flag::TC, &[], &[])), Err(ProbeError::Truncated));
    }

    /// RFC 6891 §7: servers without EDNS answer FORMERR; some leave the question out.
    #[test]
    fn formerr_to_edns_leads_to_a_query_without() {
        let mut message = answer(1, &[], &[]);
        assert!(matches!(probe().read_answer(&message), Err(ProbeError::NoEdns(_))));
        message.truncate(HEADER_OCTETS);
        message[5] = 0;
        assert!(matches!(probe().read_answer(&message), Err(ProbeError::NoEdns(_))));
        let plain = Probe { edns: false, ..probe() };
        assert!(matches!(plain.read_answer(&message), Err(ProbeError::Failed(_))));
    }

    /// RFC 8906 §3.2.1: some that know no EDNS say REFUSED or SERVFAIL. With an OPT record of their own it is not about ours.
    #[test]
    fn an_error_without_opt_may_be_about_edns() {
        for rcode in [2, 5] {
            let mut message = answer(rcode, &[], &[]);
            assert!(matches!(probe().read_answer(&message), Err(ProbeError::NoEdns(_))), "{rcode}");
            Opt::default().append(&mut message);
            assert!(matches!(probe().read_answer(&message), Err(ProbeError::Failed(_))), "{rcode}");
        }
    }

    #[test]
    fn the_peers_error_text_is_shown() {
        let mut message = answer(5, &[], &[]);
        let refused = crate::dns::edns::ExtendedError::PROHIBITED;
        Opt::default().with_error(refused, "who are you").append(&mut message);
        let Err(ProbeError::Failed(reason)) = probe().read_answer(&message) else { panic!("must fail") };
        assert_eq!(reason.detail, "SOA query: REFUSED, EDE 18 \"who are you\"");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120), keep in 0usize..30) {
            let good = answer(flag::AA, &[SOA], &[]);
            let _ = probe().read_answer(&[&good[..keep.min(good.len())], &bytes].concat());
        }
    }
}
