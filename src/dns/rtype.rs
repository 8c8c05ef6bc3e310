//! Record types by number and mnemonic.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A record type (or QTYPE); unknown ones read and print as `TYPEnnn` (RFC 3597 §5).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordType(pub u16);

macro_rules! types {
    ($($name:ident = $value:literal $(as $text:literal)?,)*) => {
        impl RecordType {
            $(#[doc = concat!("Type ", stringify!($value), ".")] pub const $name: RecordType = RecordType($value);)*
        }
        /// Every type with a mnemonic, ascending by number.
        const MNEMONICS: &[(u16, &str)] = &[$(($value, types!(@text $name $($text)?)),)*];
    };
    (@text $name:ident) => { stringify!($name) };
    (@text $name:ident $text:literal) => { $text };
}

types! {
    A = 1, NS = 2, MD = 3, MF = 4, CNAME = 5, SOA = 6, MB = 7, MG = 8, MR = 9, NULL = 10, WKS = 11, PTR = 12, HINFO = 13,
    MINFO = 14, MX = 15, TXT = 16, RP = 17, AFSDB = 18, X25 = 19, ISDN = 20, RT = 21, NSAP = 22,
    NSAP_PTR = 23 as "NSAP-PTR", SIG = 24,
    KEY = 25, PX = 26, GPOS = 27, AAAA = 28, LOC = 29, NXT = 30, EID = 31, NIMLOC = 32, SRV = 33, ATMA = 34, NAPTR = 35,
    KX = 36, CERT = 37, DNAME = 39, OPT = 41, APL = 42, DS = 43, SSHFP = 44, IPSECKEY = 45, RRSIG = 46, NSEC = 47,
    DNSKEY = 48, DHCID = 49, NSEC3 = 50, NSEC3PARAM = 51, TLSA = 52, SMIMEA = 53, HIP = 55, NINFO = 56, RKEY = 57,
    TALINK = 58, CDS = 59, CDNSKEY = 60, OPENPGPKEY = 61, CSYNC = 62, ZONEMD = 63, SVCB = 64, HTTPS = 65, SPF = 99,
    NID = 104, L32 = 105, L64 = 106, LP = 107, EUI48 = 108, EUI64 = 109, TKEY = 249, TSIG = 250, IXFR = 251, AXFR = 252,
    MAILB = 253, MAILA = 254, ANY = 255, URI = 256, CAA = 257, AVC = 258, DOA = 259, AMTRELAY = 260, RESINFO = 261,
    WALLET = 262, TA = 32768, DLV = 32769,
}

impl RecordType {
    /// Whether zone data can never be of this type: 0, OPT, and the QTYPEs and meta types 128..=255 (RFC 6895 §3.1).
    /// SPF (99) and the assigned data types below 128 are data.
    pub fn is_meta(self) -> bool {
        matches!(self.0, 0 | 41 | 128..=255)
    }

    /// The mnemonic, if there is one.
    pub fn mnemonic(self) -> Option<&'static str> {
        MNEMONICS.binary_search_by_key(&self.0, |m| m.0).ok().map(|i| MNEMONICS[i].1)
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mnemonic() {
            Some(text) => f.pad(text),
            None => f.pad(&format!("TYPE{}", self.0)),
        }
    }
}

impl fmt::Debug for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text names no record type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown record type {0:?}")]
pub struct UnknownType(pub String);

impl FromStr for RecordType {
    type Err = UnknownType;

    /// A mnemonic in any case, or `TYPEnnn`.
    fn from_str(text: &str) -> Result<RecordType, UnknownType> {
        if let Some(m) = MNEMONICS.iter().find(|m| m.1.eq_ignore_ascii_case(text)) {
            return Ok(RecordType(m.0));
        }
        match text.get(..4) {
            Some(prefix) if prefix.eq_ignore_ascii_case("TYPE") => text[4..].parse().ok().map(RecordType),
            _ => None,
        }
        .ok_or_else(|| UnknownType(text.to_owned()))
    }
}

impl Serialize for RecordType {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RecordType {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<RecordType, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mnemonics_are_sorted_and_round_trip() {
        assert!(MNEMONICS.windows(2).all(|w| w[0].0 < w[1].0));
        for &(number, text) in MNEMONICS {
            assert_eq!(text.to_lowercase().parse(), Ok(RecordType(number)));
            assert_eq!(RecordType(number).to_string(), text);
        }
    }

    /// RFC 3597 §5: "TYPE" immediately followed by the decimal RR type number.
    #[test]
    fn unknown_types_are_written_by_number() {
        assert_eq!(RecordType(65280).to_string(), "TYPE65280");
        assert_eq!("type65280".parse(), Ok(RecordType(65280)));
        assert_eq!("TYPE1".parse(), Ok(RecordType::A));
        assert!("TYPE65536".parse::<RecordType>().is_err());
        assert!("NOPE".parse::<RecordType>().is_err());
    }
}
