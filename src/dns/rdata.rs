//! The one table of what stands in the rdata of each type, and what follows from it on the wire.
//!
//! In: rdata as it came in a message, or uncompressed. Out: the uncompressed rdata, its canonical form, where its
//! names are. Used by `transfer` (every record that comes in), `zone` (pages, matching), `answer` (targets) and by
//! [`super::presentation`], which reads the same table for text.
//!
//! Never interprets more than it must: a value that some later RFC may allow is kept as it came; what does not parse
//! to its exact length is an error. A type without an entry is opaque (RFC 3597 §3). RFC 1035 §3.3, RFC 4034 §6.2
//! with RFC 6840 §5.1 (which names fold), RFC 3597 §4 (which names compress).

use super::name::{self, NameError};
use super::{RecordRef, RecordType};

/// Most octets of an rdata (RDLENGTH is 16 bits wide).
pub const RDATA_OCTETS_MAX: usize = 65_535;

/// Why octets are no rdata of their type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RdataError {
    /// A field runs past the end of the rdata.
    #[error("rdata ends inside a field")]
    Truncated,
    /// Octets are left behind the last field.
    #[error("octets behind the last field of the rdata")]
    Trailing,
    /// An embedded name is none.
    #[error("name in rdata: {0}")]
    Name(#[from] NameError),
    /// Uncompressed, the rdata is longer than 65,535 octets.
    #[error("rdata is longer than 65,535 octets when its names are expanded")]
    TooLong,
    /// A type bitmap with windows out of order or of a wrong length (RFC 4034 §4.1.2).
    #[error("type bitmap is malformed")]
    BadBitmap,
    /// SvcParamKeys that do not strictly ascend (RFC 9460 §2.2).
    #[error("SvcParamKeys do not ascend")]
    BadSvcParams,
    /// A gateway or relay type nobody has defined, so its length is not known.
    #[error("gateway type is not known")]
    BadGateway,
}

/// How the octets of a name in rdata may be treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameRule {
    /// A type of RFC 1035: may be compressed when sent (RFC 3597 §4), folds in canonical form.
    Classic,
    /// Never compressed when sent, folds in canonical form (RFC 4034 §6.2 as amended by RFC 6840 §5.1).
    Folds,
    /// Never compressed when sent, never folds.
    Plain,
}

/// One field of an rdata. The wire form follows from the variant alone, except for [`Field::Gateway`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    U8,
    U16,
    U32,
    /// `u32` seconds, may be written with units (`1h30m`).
    Period,
    /// `u32` seconds since 1970, written `YYYYMMDDHHmmSS` (RFC 4034 §3.2).
    Time,
    /// `u16` record type, written as its mnemonic.
    TypeCode,
    /// `u16` certificate type (RFC 4398 §2.1).
    CertType,
    /// `u8` DNSSEC algorithm; mnemonics are understood, numbers are written.
    Algorithm,
    Ip4,
    Ip6,
    /// One octet: the D bit and the type of an AMTRELAY's relay, written as two numbers (RFC 8777 §4.3.1).
    RelayType,
    /// Six octets `xx-xx-…`.
    Eui48,
    /// Eight octets `xx-xx-…`.
    Eui64,
    /// Eight octets `xxxx:xxxx:xxxx:xxxx`.
    Locator64,
    Name(NameRule),
    /// Names up to the end, maybe none.
    Names(NameRule),
    /// Nothing, IPv4, IPv6 or a name, by the value 0..=3 of the second octet of the rdata under this mask.
    Gateway(u8),
    /// A character-string (RFC 1035 §3.3), written quoted.
    Text,
    /// A character-string or nothing.
    TextOptional,
    /// Character-strings up to the end, at least one.
    Texts,
    /// A character-string that is written bare (a CAA tag).
    Tag,
    /// All octets up to the end as one quoted string.
    TextRest,
    /// Length octet and that many octets in hex; `-` if none.
    HexCounted,
    /// Length octet and that many octets in base32hex.
    Base32Counted,
    /// Octets up to the end, hex.
    Hex,
    /// Octets up to the end, base64.
    Base64,
    /// Octets up to the end, base64; `-` if none.
    Base64OrDash,
    /// Octets up to the end, `0x` and hex (RFC 1706 §7).
    NsapAddress,
    /// Octets up to the end, no text form but `\# n hex`.
    Opaque,
    /// Type bitmap of RFC 4034 §4.1.2 up to the end.
    Bitmap,
    /// Single bitmap of types 0..=127 of RFC 2535 §5.2 up to the end.
    NxtBitmap,
    /// SvcParams of RFC 9460 §2.2 up to the end.
    SvcParams,
    /// Address prefixes of RFC 3123 §4 up to the end.
    Prefixes,
    /// Version octet and, for version 0, the 15 octets of RFC 1876 §2.
    Location,
    /// Protocol octet and port bitmap of RFC 1035 §3.4.2 up to the end.
    Services,
    /// Format octet and address of ATM Forum AF-DANS-0152 up to the end.
    AtmAddress,
    /// Lengths, algorithm, HIT and public key of RFC 8005 §5.
    HostIdentity,
}

/// What every type's rdata consists of. A type that is missing is opaque.
pub(super) fn fields(rtype: RecordType) -> &'static [Field] {
    use Field::*;
    use NameRule::*;
    const SIGNATURE: &[Field] = &[TypeCode, Algorithm, U8, U32, Time, Time, U16, Name(Folds), Base64];
    const PUBLIC_KEY: &[Field] = &[U16, U8, Algorithm, Base64];
    const KEY_DIGEST: &[Field] = &[U16, Algorithm, U8, Hex];
    match rtype {
        RecordType::A => &[Ip4],
        RecordType::NS
        | RecordType::MD
        | RecordType::MF
        | RecordType::CNAME
        | RecordType::MB
        | RecordType::MG
        | RecordType::MR
        | RecordType::PTR => &[Name(Classic)],
        RecordType::SOA => &[Name(Classic), Name(Classic), U32, Period, Period, Period, Period],
        RecordType::WKS => &[Ip4, Services],
        RecordType::HINFO => &[Text, Text],
        RecordType::MINFO => &[Name(Classic), Name(Classic)],
        RecordType::MX => &[U16, Name(Classic)],
        RecordType::TXT
        | RecordType::SPF
        | RecordType::NINFO
        | RecordType::AVC
        | RecordType::RESINFO
        | RecordType::WALLET => &[Texts],
        RecordType::RP => &[Name(Folds), Name(Folds)],
        RecordType::AFSDB | RecordType::RT | RecordType::KX => &[U16, Name(Folds)],
        RecordType::X25 => &[Text],
        RecordType::ISDN => &[Text, TextOptional],
        RecordType::NSAP => &[NsapAddress],
        RecordType::NSAP_PTR => &[Name(Plain)],
        RecordType::SIG | RecordType::RRSIG => SIGNATURE,
        RecordType::KEY | RecordType::DNSKEY | RecordType::CDNSKEY | RecordType::RKEY => PUBLIC_KEY,
        RecordType::PX => &[U16, Name(Folds), Name(Folds)],
        RecordType::GPOS => &[Text, Text, Text],
        RecordType::AAAA => &[Ip6],
        RecordType::LOC => &[Location],
        RecordType::NXT => &[Name(Folds), NxtBitmap],
        RecordType::EID | RecordType::NIMLOC => &[Hex],
        RecordType::SRV => &[U16, U16, U16, Name(Folds)],
        RecordType::ATMA => &[AtmAddress],
        RecordType::NAPTR => &[U16, U16, Text, Text, Text, Name(Folds)],
        RecordType::CERT => &[CertType, U16, Algorithm, Base64],
        RecordType::DNAME => &[Name(Folds)],
        RecordType::APL => &[Prefixes],
        RecordType::DS | RecordType::CDS | RecordType::DLV | RecordType::TA => KEY_DIGEST,
        RecordType::SSHFP => &[U8, U8, Hex],
        RecordType::IPSECKEY => &[U8, U8, U8, Gateway(0xff), Base64],
        RecordType::NSEC => &[Name(Plain), Bitmap],
        RecordType::DHCID | RecordType::OPENPGPKEY => &[Base64],
        RecordType::NSEC3 => &[U8, U8, U16, HexCounted, Base32Counted, Bitmap],
        RecordType::NSEC3PARAM => &[U8, U8, U16, HexCounted],
        RecordType::TLSA | RecordType::SMIMEA => &[U8, U8, U8, Hex],
        RecordType::HIP => &[HostIdentity, Names(Plain)],
        RecordType::TALINK => &[Name(Plain), Name(Plain)],
        RecordType::CSYNC => &[U32, U16, Bitmap],
        RecordType::ZONEMD => &[U32, U8, U8, Hex],
        RecordType::SVCB | RecordType::HTTPS => &[U16, Name(Plain), SvcParams],
        RecordType::NID | RecordType::L64 => &[U16, Locator64],
        RecordType::L32 => &[U16, Ip4],
        RecordType::LP => &[U16, Name(Plain)],
        RecordType::EUI48 => &[Eui48],
        RecordType::EUI64 => &[Eui64],
        RecordType::URI => &[U16, U16, TextRest],
        RecordType::CAA => &[U8, Tag, TextRest],
        RecordType::DOA => &[U32, U32, U8, Text, Base64OrDash],
        RecordType::AMTRELAY => &[U8, RelayType, Gateway(0x7f)],
        _ => &[Opaque],
    }
}

/// Appends the rdata at `message[start..start + len]` to `out`, its names expanded in their own spelling.
///
/// Names are expanded in every type that has names, whether the type allows compression or not: old servers
/// compressed them (RFC 3597 §4: receivers "SHOULD also decompress" RP, AFSDB, RT, SIG, PX, NXT, NAPTR and SRV).
/// Validates to the exact length. On an error `out` may hold a part. O(len), no allocation but `out`'s growth.
pub fn expand(
    message: &[u8],
    start: usize,
    len: usize,
    rtype: RecordType,
    out: &mut Vec<u8>,
) -> Result<(), RdataError> {
    let end = start + len;
    let octets = message.get(..end).ok_or(RdataError::Truncated)?;
    let before = out.len();
    let mut cursor = Cursor::new(rtype, start);
    let mut copied = start;
    while cursor.next_name(octets)?.is_some() {
        out.extend_from_slice(&octets[copied..cursor.at]);
        cursor.at = name::expand_into(octets, cursor.at, out)?;
        copied = cursor.at;
        if out.len() - before > RDATA_OCTETS_MAX {
            return Err(RdataError::TooLong);
        }
    }
    out.extend_from_slice(&octets[copied..end]);
    if out.len() - before > RDATA_OCTETS_MAX { Err(RdataError::TooLong) } else { Ok(()) }
}

/// Whether `rdata` (uncompressed) is a whole rdata of `rtype`.
pub fn validate(rtype: RecordType, rdata: &[u8]) -> Result<(), RdataError> {
    if rdata.len() > RDATA_OCTETS_MAX {
        return Err(RdataError::TooLong);
    }
    let mut cursor = Cursor::new(rtype, 0);
    while cursor.next_name(rdata)?.is_some() {
        cursor.at += name::wire_len(&rdata[cursor.at..])?;
    }
    Ok(())
}

/// Appends the canonical form of `rdata` (uncompressed, valid): names in lower case in the types of RFC 4034 §6.2
/// without NSEC (RFC 6840 §5.1). Invalid rdata is copied as it is.
pub fn canonical(rtype: RecordType, rdata: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(rdata);
    for name in names(rtype, rdata) {
        if name.rule != NameRule::Plain {
            out[start + name.at..start + name.at + name.len].make_ascii_lowercase();
        }
    }
}

/// Whether [`canonical`] can change rdata of this type at all; if not, its octets compare as they are.
pub fn folds(rtype: RecordType) -> bool {
    fields(rtype).iter().any(|f| matches!(f, Field::Name(rule) | Field::Names(rule) if *rule != NameRule::Plain))
}

/// A name inside an uncompressed rdata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmbeddedName {
    /// Offset in the rdata.
    pub at: usize,
    /// Octets with the final zero.
    pub len: usize,
    /// What may be done with it.
    pub rule: NameRule,
}

impl EmbeddedName {
    /// Whether it may be compressed in a message we send.
    pub fn is_compressible(&self) -> bool {
        self.rule == NameRule::Classic
    }
}

/// The names in `rdata` (uncompressed, valid), in order. Stops early at whatever is not valid.
pub fn names(rtype: RecordType, rdata: &[u8]) -> Names<'_> {
    Names { cursor: Cursor::new(rtype, 0), rdata }
}

/// Iterator of [`names`].
#[derive(Clone, Debug)]
pub struct Names<'a> {
    cursor: Cursor,
    rdata: &'a [u8],
}

impl Iterator for Names<'_> {
    type Item = EmbeddedName;
    fn next(&mut self) -> Option<EmbeddedName> {
        let rule = self.cursor.next_name(self.rdata).ok()??;
        let at = self.cursor.at;
        let len = name::wire_len(&self.rdata[at..]).ok()?;
        self.cursor.at += len;
        Some(EmbeddedName { at, len, rule })
    }
}

impl RecordRef<'_> {
    /// The serial, if this is a whole SOA.
    pub fn soa_serial(&self) -> Option<super::Serial> {
        (self.rtype == RecordType::SOA).then(|| soa_serial(self.rdata)).flatten()
    }
}

/// The serial of an uncompressed SOA rdata; `None` if it is none.
pub fn soa_serial(rdata: &[u8]) -> Option<super::Serial> {
    validate(RecordType::SOA, rdata).ok()?;
    let at = rdata.len() - 20;
    Some(super::Serial(u32::from_be_bytes([rdata[at], rdata[at + 1], rdata[at + 2], rdata[at + 3]])))
}

/// A walk over the fields of one rdata that stops at each name.
#[derive(Clone, Debug)]
struct Cursor {
    rest: &'static [Field],
    start: usize,
    at: usize,
}

impl Cursor {
    fn new(rtype: RecordType, start: usize) -> Cursor {
        Cursor { rest: fields(rtype), start, at: start }
    }

    /// Goes on to the next name; the caller then sets `at` behind it. `octets` ends where the rdata ends.
    /// `None`: all fields are read and fill the rdata exactly.
    fn next_name(&mut self, octets: &[u8]) -> Result<Option<NameRule>, RdataError> {
        while let [field, tail @ ..] = self.rest {
            self.rest = tail;
            match *field {
                // a name takes at least one octet, so there has to be one
                Field::Name(rule) if self.at < octets.len() => return Ok(Some(rule)),
                Field::Name(_) => return Err(RdataError::Truncated),
                Field::Names(rule) => {
                    if self.at < octets.len() {
                        self.rest = std::slice::from_ref(field);
                        return Ok(Some(rule));
                    }
                }
                Field::Gateway(mask) => match octets.get(self.start + 1).ok_or(RdataError::Truncated)? & mask {
                    0 => {}
                    1 => self.at += 4,
                    2 => self.at += 16,
                    3 if self.at < octets.len() => return Ok(Some(NameRule::Plain)),
                    3 => return Err(RdataError::Truncated),
                    _ => return Err(RdataError::BadGateway),
                },
                simple => {
                    let rest = octets.get(self.at..).ok_or(RdataError::Truncated)?;
                    self.at += simple.octets(rest)?;
                }
            }
        }
        match self.at.cmp(&octets.len()) {
            std::cmp::Ordering::Less => Err(RdataError::Trailing),
            std::cmp::Ordering::Equal => Ok(None),
            std::cmp::Ordering::Greater => Err(RdataError::Truncated),
        }
    }
}

impl Field {
    /// Octets of this field at the start of `rest` (which ends where the rdata ends); may be more than there are,
    /// the caller looks. Never called for names and gateways.
    #[inline]
    pub(super) fn octets(self, rest: &[u8]) -> Result<usize, RdataError> {
        Ok(match self {
            Field::U8 | Field::Algorithm | Field::RelayType => 1,
            Field::U16 | Field::TypeCode | Field::CertType => 2,
            Field::U32 | Field::Period | Field::Time | Field::Ip4 => 4,
            Field::Eui48 => 6,
            Field::Eui64 | Field::Locator64 => 8,
            Field::Ip6 => 16,
            Field::Text | Field::Tag | Field::HexCounted | Field::Base32Counted => counted(rest)?,
            Field::TextOptional if rest.is_empty() => 0,
            Field::TextOptional => counted(rest)?,
            Field::Texts => {
                let mut at = counted(rest)?;
                while at < rest.len() {
                    at += counted(&rest[at..])?;
                }
                at
            }
            Field::Bitmap => check_bitmap(rest)?,
            Field::SvcParams => check_svc_params(rest)?,
            Field::Prefixes => {
                let mut at = 0;
                while at < rest.len() {
                    at += 4 + (rest.get(at + 3).ok_or(RdataError::Truncated)? & 0x7f) as usize;
                }
                at
            }
            Field::Location if rest.first() == Some(&0) => 16,
            Field::Location | Field::Services | Field::AtmAddress => rest.len().max(1),
            Field::HostIdentity => match *rest {
                [hit, _, high, low, ..] => 4 + hit as usize + u16::from_be_bytes([high, low]) as usize,
                _ => return Err(RdataError::Truncated),
            },
            Field::TextRest
            | Field::Hex
            | Field::Base64
            | Field::Base64OrDash
            | Field::NsapAddress
            | Field::NxtBitmap
            | Field::Opaque => rest.len(),
            Field::Name(_) | Field::Names(_) | Field::Gateway(_) => 0,
        })
    }
}

fn counted(rest: &[u8]) -> Result<usize, RdataError> {
    rest.first().map(|&n| 1 + n as usize).ok_or(RdataError::Truncated)
}

/// RFC 4034 §4.1.2: windows ascend, each with 1..=32 octets.
fn check_bitmap(rest: &[u8]) -> Result<usize, RdataError> {
    let (mut at, mut last) = (0, None);
    while let [window, len, ..] = rest[at..] {
        if len == 0 || len > 32 || last.is_some_and(|l| l >= window) {
            return Err(RdataError::BadBitmap);
        }
        last = Some(window);
        at += 2 + len as usize;
        if at > rest.len() {
            return Err(RdataError::Truncated);
        }
    }
    Ok(at)
}

/// RFC 9460 §2.2: "SvcParamKeys SHALL appear in increasing numeric order", each once.
fn check_svc_params(rest: &[u8]) -> Result<usize, RdataError> {
    let (mut at, mut last) = (0, None);
    while let [k0, k1, l0, l1, ..] = rest[at..] {
        let key = u16::from_be_bytes([k0, k1]);
        if last.is_some_and(|l| l >= key) {
            return Err(RdataError::BadSvcParams);
        }
        last = Some(key);
        at += 4 + u16::from_be_bytes([l0, l1]) as usize;
        if at > rest.len() {
            return Err(RdataError::Truncated);
        }
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn expanded(message: &[u8], start: usize, len: usize, rtype: RecordType) -> Result<Vec<u8>, RdataError> {
        let mut out = Vec::new();
        expand(message, start, len, rtype, &mut out).map(|()| out)
    }

    /// RFC 3597 §4: receiving servers "MUST decompress domain names in RRs of well-known type", and should in SRV,
    /// NAPTR, RP and the other early ones.
    #[test]
    fn names_are_expanded_wherever_old_servers_compressed_them() {
        let mut message = b"\x02Ex\x00".to_vec();
        for (rtype, head) in
            [(RecordType::NS, &b""[..]), (RecordType::MX, &[0, 5]), (RecordType::SRV, &[0, 1, 0, 2, 0, 3])]
        {
            message.truncate(4);
            message.extend_from_slice(head);
            message.extend_from_slice(b"\x01a\xc0\x00");
            let whole = expanded(&message, 4, message.len() - 4, rtype).expect("expands");
            assert_eq!(whole, [head, b"\x01a\x02Ex\x00"].concat(), "{rtype}");
        }
        let soa = [&b"\x02Ex\x00"[..], b"\xc0\x00\x01h\xc0\x00", &[7; 20]].concat();
        let whole = expanded(&soa, 4, 26, RecordType::SOA).expect("expands");
        assert_eq!(whole, [&b"\x02Ex\x00\x01h\x02Ex\x00"[..], &[7; 20]].concat());
    }

    #[test]
    fn rdata_must_fill_its_length_exactly() {
        for (rtype, rdata, error) in [
            (RecordType::A, &b"\x01\x02\x03"[..], RdataError::Truncated),
            (RecordType::A, b"\x01\x02\x03\x04\x05", RdataError::Trailing),
            (RecordType::NS, b"\x01a\x00\x00", RdataError::Trailing),
            (RecordType::NS, b"\x01a", RdataError::Name(NameError::Truncated)),
            (RecordType::NS, b"", RdataError::Truncated),
            (RecordType::TXT, b"", RdataError::Truncated),
            (RecordType::TXT, b"\x02a", RdataError::Truncated),
            (RecordType::HINFO, b"\x01a", RdataError::Truncated),
            (RecordType::NSEC, b"\x00\x00\x00", RdataError::BadBitmap),
            (RecordType::NSEC, b"\x00\x01\x01\x80\x00\x01\x80", RdataError::BadBitmap),
            (RecordType::NSEC, b"\x00\x01\x21\x80", RdataError::BadBitmap),
            (RecordType::NSEC, b"\x00\x01", RdataError::Trailing),
            (RecordType::SVCB, b"\x00\x01\x00\x00\x02\x00\x00\x00\x01\x00\x00", RdataError::BadSvcParams),
            (RecordType::IPSECKEY, b"\x00\x04\x00", RdataError::BadGateway),
            (RecordType::IPSECKEY, b"\x00\x03", RdataError::Truncated),
            (RecordType::IPSECKEY, b"\x00\x01\x00\x7f\x00\x00", RdataError::Truncated),
            (RecordType::HIP, b"\x10\x02\x00\x01\x00", RdataError::Truncated),
            (RecordType::LOC, b"\x00\x01", RdataError::Truncated),
        ] {
            assert_eq!(validate(rtype, rdata), Err(error), "{rtype} {rdata:02x?}");
            assert_eq!(expanded(rdata, 0, rdata.len(), rtype), Err(error), "{rtype} {rdata:02x?}");
        }
        assert_eq!(validate(RecordType(65280), b"anything"), Ok(()));
        assert_eq!(validate(RecordType(65280), b""), Ok(()));
    }

    /// The name has to end inside the rdata, even if the message goes on.
    #[test]
    fn a_name_must_not_run_out_of_its_rdata() {
        assert_eq!(expanded(b"\x03abc\x00", 0, 3, RecordType::NS), Err(RdataError::Name(NameError::Truncated)));
    }

    /// RFC 6840 §5.1: names "in the RDATA section of NSEC resource records are not converted to lowercase", those of
    /// RRSIG are.
    #[test]
    fn canonical_form_folds_only_the_listed_types() {
        let fold = |rtype, rdata: &[u8]| {
            let mut out = Vec::new();
            canonical(rtype, rdata, &mut out);
            out
        };
        assert_eq!(fold(RecordType::MX, b"AB\x01A\x00"), b"AB\x01a\x00");
        assert_eq!(fold(RecordType::SRV, b"ABABAB\x01A\x00"), b"ABABAB\x01a\x00");
        let signature = [&[b'A'; 18][..], b"\x01A\x00SIG"].concat();
        assert_eq!(fold(RecordType::RRSIG, &signature), [&[b'A'; 18][..], b"\x01a\x00SIG"].concat());
        for rtype in [RecordType::NSEC, RecordType::TALINK, RecordType(65280)] {
            assert_eq!(fold(rtype, b"\x01A\x00"), b"\x01A\x00");
            assert!(!folds(rtype));
        }
        assert_eq!(fold(RecordType::SVCB, b"AB\x01A\x00"), b"AB\x01A\x00");
        assert_eq!(fold(RecordType::TXT, b"\x01A"), b"\x01A");
        assert!(folds(RecordType::NAPTR) && folds(RecordType::SOA) && !folds(RecordType::A));
    }

    #[test]
    fn embedded_names_are_found_with_what_may_be_done_to_them() {
        let all = |rtype, rdata: &[u8]| names(rtype, rdata).map(|n| (n.at, n.len, n.rule)).collect::<Vec<_>>();
        let soa = [&b"\x01a\x00\x01b\x01c\x00"[..], &[0; 20]].concat();
        assert_eq!(all(RecordType::SOA, &soa), [(0, 3, NameRule::Classic), (3, 5, NameRule::Classic)]);
        assert_eq!(all(RecordType::MX, b"\x00\x01\x00"), [(2, 1, NameRule::Classic)]);
        let hip = b"\x01\x02\x00\x01HK\x01a\x00\x01b\x00";
        assert_eq!(all(RecordType::HIP, hip), [(6, 3, NameRule::Plain), (9, 3, NameRule::Plain)]);
        assert_eq!(all(RecordType::IPSECKEY, b"\x00\x03\x02\x01a\x00KEY"), [(3, 3, NameRule::Plain)]);
        assert_eq!(all(RecordType::AMTRELAY, b"\x00\x83\x01a\x00"), [(2, 3, NameRule::Plain)]);
        assert_eq!(all(RecordType::A, b"\x01\x02\x03\x04"), []);
    }

    /// RFC 3597 §4 allows compression only in "the RR types defined in [RFC 1035]".
    #[test]
    fn only_types_of_rfc_1035_compress() {
        for number in 0..=u16::MAX {
            let compresses = fields(RecordType(number)).contains(&Field::Name(NameRule::Classic));
            assert_eq!(compresses, matches!(number, 2..=9 | 12 | 14 | 15), "{number}");
        }
    }

    #[test]
    fn names_that_expand_beyond_any_rdata_are_refused() {
        // given a HIP record of 30,000 pointers to a name of 200 octets
        let mut message = [&[49; 1][..], &[b'x'; 49], &[49], &[b'y'; 49], &[0]].concat();
        let start = message.len();
        message.extend_from_slice(&[0, 2, 0, 0]);
        message.extend(std::iter::repeat_n([0xc0, 0x00], 30_000).flatten());
        assert_eq!(expanded(&message, start, message.len() - start, RecordType::HIP), Err(RdataError::TooLong));
    }

    fn some_type() -> impl Strategy<Value = RecordType> {
        prop_oneof![(0u16..110).prop_map(RecordType), (255u16..264).prop_map(RecordType)]
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_and_what_expands_is_valid(
            message in proptest::collection::vec(prop_oneof![any::<u8>(), 0u8..4, Just(0xc0)], 0..120),
            start in 0usize..60, len in 0usize..80, rtype in some_type(),
        ) {
            let _ = validate(rtype, &message);
            let _ = names(rtype, &message).count();
            if let Ok(rdata) = expanded(&message, start, len, rtype) {
                prop_assert_eq!(validate(rtype, &rdata), Ok(()));
                prop_assert_eq!(expanded(&rdata, 0, rdata.len(), rtype), Ok(rdata.clone()));
                let (mut once, mut twice) = (Vec::new(), Vec::new());
                canonical(rtype, &rdata, &mut once);
                canonical(rtype, &once, &mut twice);
                prop_assert_eq!(&once, &twice);
                prop_assert!(once.eq_ignore_ascii_case(&rdata));
                prop_assert!(folds(rtype) || once == rdata);
            }
        }
    }
}
