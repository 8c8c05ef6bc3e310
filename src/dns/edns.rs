//! EDNS(0): the OPT record and the options we speak (RFC 6891, RFC 7314 EXPIRE, RFC 8914 extended errors).
//!
//! In: the additional section of a message. Out: [`Opt`], and octets to append. Used by probes, NOTIFY, the cold
//! paths of `net` and the errors of `answer`. Unknown options are kept and ignored (RFC 6891 §6.1.2).

use super::message::{self, Header, MessageError, RawRecord, Rcode};
use super::{Name, RecordType};

/// Largest UDP payload we announce and send (RFC 9715 §3.2).
pub const UDP_PAYLOAD_OCTETS: u16 = 1232;

/// Option codes.
pub mod option {
    /// RFC 5001.
    pub const NSID: u16 = 3;
    /// RFC 7314.
    pub const EXPIRE: u16 = 9;
    /// RFC 7873.
    pub const COOKIE: u16 = 10;
    /// RFC 7828.
    pub const KEEPALIVE: u16 = 11;
    /// RFC 7830.
    pub const PADDING: u16 = 12;
    /// RFC 8914.
    pub const EXTENDED_ERROR: u16 = 15;
    /// RFC 9660.
    pub const ZONE_VERSION: u16 = 19;
}

/// INFO-CODEs of RFC 8914 that we send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ExtendedError(pub u16);

impl ExtendedError {
    /// None of the other codes says it; the text does.
    pub const OTHER: ExtendedError = ExtendedError(0);
    /// The zone has never been loaded.
    pub const NOT_READY: ExtendedError = ExtendedError(14);
    /// The client may not do this.
    pub const PROHIBITED: ExtendedError = ExtendedError(18);
    /// The zone is not ours.
    pub const NOT_AUTHORITATIVE: ExtendedError = ExtendedError(20);
    /// We do not do this, for nobody.
    pub const NOT_SUPPORTED: ExtendedError = ExtendedError(21);
    /// The zone has expired or is damaged.
    pub const INVALID_DATA: ExtendedError = ExtendedError(24);
    /// A proof would cost too many rounds of the NSEC3 hash (RFC 9276 §3.2).
    pub const NSEC3_ITERATIONS: ExtendedError = ExtendedError(27);
}

/// Why the additional section holds no usable OPT; either answer is FORMERR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EdnsError {
    /// A record of the additional section cannot be read.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// RFC 6891 §6.1.1: "if a query message with more than one OPT RR is received, a FORMERR MUST be returned".
    #[error("more than one OPT record")]
    Several,
    /// Its owner is not the root (RFC 6891 §6.1.2).
    #[error("OPT record with an owner other than the root")]
    Owner,
    /// Options that do not fill the rdata.
    #[error("OPT record with malformed options")]
    Options,
}

/// What an OPT record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opt {
    /// Largest UDP payload the sender takes.
    pub udp_payload: u16,
    /// Upper eight bits of the RCODE.
    pub extended_rcode: u8,
    /// EDNS version; only 0 is defined.
    pub version: u8,
    /// The DO bit (RFC 3225).
    pub dnssec_ok: bool,
    /// Options in wire form.
    options: Vec<u8>,
}

impl Default for Opt {
    /// What we send: version 0, 1232 octets, no options.
    fn default() -> Opt {
        Opt { udp_payload: UDP_PAYLOAD_OCTETS, extended_rcode: 0, version: 0, dnssec_ok: false, options: Vec::new() }
    }
}

impl Opt {
    /// The OPT record of `message`, if it has one. Walks all sections.
    pub fn find(message: &[u8]) -> Result<Option<Opt>, EdnsError> {
        let header = Header::read(message)?;
        let at = message::skip_questions(message, header)?;
        let before = header.answers as usize + header.authorities as usize;
        let mut found = None;
        for (i, record) in message::records(message, at, before + header.additionals as usize).enumerate() {
            let record = record?;
            if i >= before && record.rtype == RecordType::OPT {
                if found.is_some() {
                    return Err(EdnsError::Several);
                }
                found = Some(Opt::from_record(message, &record)?);
            }
        }
        Ok(found)
    }

    /// Reads the OPT record at `record`.
    pub fn from_record(message: &[u8], record: &RawRecord) -> Result<Opt, EdnsError> {
        if Name::read(message, record.owner).map_err(MessageError::from)?.0 != Name::root() {
            return Err(EdnsError::Owner);
        }
        let [extended_rcode, version, flags, _] = record.ttl_bits.to_be_bytes();
        let options = message[record.rdata..record.end()].to_vec();
        let opt = Opt { udp_payload: record.class, extended_rcode, version, dnssec_ok: flags & 0x80 != 0, options };
        let filled: usize = opt.options().map(|(_, value)| 4 + value.len()).sum();
        if filled == opt.options.len() { Ok(opt) } else { Err(EdnsError::Options) }
    }

    /// Adds an option. Values longer than 65,535 octets are cut.
    pub fn with_option(mut self, code: u16, value: &[u8]) -> Opt {
        let len = value.len().min(u16::MAX as usize);
        self.options.extend_from_slice(&code.to_be_bytes());
        self.options.extend_from_slice(&(len as u16).to_be_bytes());
        self.options.extend_from_slice(&value[..len]);
        self
    }

    /// Adds an extended error with its text (RFC 8914 §2).
    pub fn with_error(self, error: ExtendedError, text: &str) -> Opt {
        self.with_option(option::EXTENDED_ERROR, &[&error.0.to_be_bytes(), text.as_bytes()].concat())
    }

    /// Options as (code, value), in order.
    pub fn options(&self) -> impl Iterator<Item = (u16, &[u8])> {
        let mut rest: &[u8] = &self.options;
        std::iter::from_fn(move || {
            let (&[c0, c1, l0, l1], tail) = rest.split_first_chunk()?;
            let (value, tail) = tail.split_at_checked(u16::from_be_bytes([l0, l1]) as usize)?;
            rest = tail;
            Some((u16::from_be_bytes([c0, c1]), value))
        })
    }

    /// The first option with `code`.
    pub fn option(&self, code: u16) -> Option<&[u8]> {
        self.options().find(|o| o.0 == code).map(|o| o.1)
    }

    /// Seconds of the EXPIRE option in an answer; `None` if it is absent or empty (as in a query).
    pub fn expire(&self) -> Option<u32> {
        self.option(option::EXPIRE).and_then(|v| v.try_into().ok()).map(u32::from_be_bytes)
    }

    /// The extended errors as text for people: `EDE 18 "not you"`; octets of the peer are escaped.
    pub fn errors_text(&self) -> Option<String> {
        let texts: Vec<String> = self
            .options()
            .filter(|o| o.0 == option::EXTENDED_ERROR)
            .filter_map(|(_, value)| {
                let (code, text) = value.split_first_chunk()?;
                let code = u16::from_be_bytes(*code);
                Some(match text {
                    [] => format!("EDE {code}"),
                    text => format!("EDE {code} {:?}", String::from_utf8_lossy(&text[..text.len().min(200)])),
                })
            })
            .collect();
        (!texts.is_empty()).then(|| texts.join(", "))
    }

    /// The whole RCODE of a message with this OPT and `header`.
    pub fn rcode(&self, header: Header) -> Rcode {
        Rcode((self.extended_rcode as u16) << 4 | header.rcode().0)
    }

    /// Appends the record; the caller counts it in ARCOUNT.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(0);
        out.extend_from_slice(&RecordType::OPT.0.to_be_bytes());
        out.extend_from_slice(&self.udp_payload.to_be_bytes());
        out.extend_from_slice(&[self.extended_rcode, self.version, (self.dnssec_ok as u8) << 7, 0]);
        out.extend_from_slice(&(self.options.len() as u16).to_be_bytes());
        out.extend_from_slice(&self.options);
    }

    /// Appends the record to a whole message and counts it.
    ///
    /// # Panics
    /// If `message` has no header.
    pub fn append(&self, message: &mut Vec<u8>) {
        self.write(message);
        message::add_additionals(message, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(opts: &[&Opt]) -> Vec<u8> {
        let mut message = message::query(1, &"example".parse().expect("name"), RecordType::SOA, None);
        for opt in opts {
            opt.append(&mut message);
        }
        message
    }

    #[test]
    fn an_opt_reads_back() {
        let opt = Opt { dnssec_ok: true, extended_rcode: 1, ..Opt::default() }
            .with_option(option::EXPIRE, &77u32.to_be_bytes())
            .with_error(ExtendedError::PROHIBITED, "not \"you\"\n");
        let message = with(&[&opt]);
        let found = Opt::find(&message).expect("parses").expect("is there");
        assert_eq!(found, opt);
        assert_eq!(found.expire(), Some(77));
        assert_eq!(found.errors_text().as_deref(), Some("EDE 18 \"not \\\"you\\\"\\n\""));
        assert_eq!(found.rcode(Header::read(&message).expect("header")), Rcode::BADVERS);
        assert_eq!(Opt::find(&with(&[])), Ok(None));
    }

    /// RFC 6891 §6.1.1.
    #[test]
    fn more_than_one_opt_is_an_error() {
        assert_eq!(Opt::find(&with(&[&Opt::default(), &Opt::default()])), Err(EdnsError::Several));
    }

    #[test]
    fn options_must_fill_the_rdata() {
        let mut message = with(&[&Opt::default().with_option(option::NSID, b"abc")]);
        let at = message.len() - 4;
        message[at] = 9;
        assert_eq!(Opt::find(&message), Err(EdnsError::Options));
    }

    /// RFC 7314 §3.2: the option is empty in a query.
    #[test]
    fn an_empty_expire_says_nothing() {
        assert_eq!(Opt::default().with_option(option::EXPIRE, b"").expire(), None);
    }
}
