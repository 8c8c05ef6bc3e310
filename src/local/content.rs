//! What records of a locally managed zone may hold, whichever dialect writes them; and texts with the priority apart.
//!
//! Two steps: [`read`] (or the zone file reader) makes octets of a text; [`check`] holds owner and octets against the
//! rules of the type. So a record that came as octets is held to the same rules as one that came as text.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::dns::name::{self, wire_len};
use crate::dns::presentation::{self, TextError};
use crate::dns::{Name, RecordType};
use crate::reverse;

/// Longest character-string (RFC 1035 §3.3).
const STRING_OCTETS_MAX: usize = 255;
/// Most octets of text in one record: with length octets, owner and header it fits a message of 65,535 octets.
const TEXT_OCTETS_MAX: usize = 64_000;

/// Why a record may not be as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// Types that are ours to make (SOA, DNSSEC), or that are no data.
    #[error("records of type {0} cannot be written here")]
    Type(RecordType),
    /// A name with characters, labels or wildcards where they may not be.
    #[error("{name}: {what}")]
    Name {
        /// Which.
        name: String,
        /// What is wrong.
        what: &'static str,
    },
    /// A type that does not belong at this owner.
    #[error("{rtype} records {what}")]
    Owner {
        /// The type.
        rtype: RecordType,
        /// Where they may stand.
        what: &'static str,
    },
    /// The content does not read as the type wants it.
    #[error("{0}")]
    Text(#[from] TextError),
    /// The content reads, but has a value that is not allowed.
    #[error("{0}")]
    Value(String),
}

/// Whether a type is data that clients may write.
pub fn is_writable(rtype: RecordType) -> bool {
    use RecordType as T;
    const OURS: [RecordType; 11] = [
        T::SOA,
        T::DNSKEY,
        T::RRSIG,
        T::NSEC,
        T::NSEC3,
        T::NSEC3PARAM,
        T::SIG,
        T::KEY,
        T::NXT,
        T::ZONEMD,
        // A block of glue in a page; nobody has assigned it (RFC 6895 §3.1).
        RecordType(u16::MAX),
    ];
    !rtype.is_meta() && !OURS.contains(&rtype)
}

/// Holds a record of the zone `apex` against the rules of its type. `rdata` is uncompressed and valid.
pub fn check(apex: &Name, owner: &Name, rtype: RecordType, rdata: &[u8]) -> Result<(), ContentError> {
    if !is_writable(rtype) {
        return Err(ContentError::Type(rtype));
    }
    check_owner(apex, owner)?;
    let at = |what| Err(ContentError::Owner { rtype, what });
    match rtype {
        RecordType::CNAME | RecordType::DS if owner == apex => return at("cannot stand at the apex of a zone"),
        RecordType::PTR if reverse::prefix_of(apex).is_none() => return at("belong in reverse zones"),
        RecordType::SRV => check_service(owner)?,
        _ => {}
    }
    check_rdata(rtype, rdata)
}

/// RFC 2782: `_Service._Proto.Name`.
fn check_service(owner: &Name) -> Result<(), ContentError> {
    let mut labels = owner.labels();
    let starts = |label: Option<&[u8]>| label.is_some_and(|l| l.len() > 1 && l[0] == b'_');
    if starts(labels.next()) && starts(labels.next()) {
        return Ok(());
    }
    Err(ContentError::Owner { rtype: RecordType::SRV, what: "stand at names that begin with _service._protocol" })
}

/// Letters, digits, `-` and `_`; `*` as the whole leftmost label; `/` in reverse names (RFC 2317 §4).
pub fn check_owner(apex: &Name, owner: &Name) -> Result<(), ContentError> {
    let in_arpa = apex.labels().last() == Some(b"arpa");
    for (place, label) in owner.labels().enumerate() {
        if label == b"*" && place == 0 {
            continue;
        }
        let fits = |c: &u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_') || (*c == b'/' && in_arpa);
        if !label.iter().all(fits) {
            let what = if label.contains(&b'*') {
                "'*' can only be the whole leftmost label"
            } else {
                "names are made of letters, digits, '-' and '_'; write others as A-labels (xn--...)"
            };
            return Err(ContentError::Name { name: owner.without_dot(), what });
        }
    }
    Ok(())
}

fn check_rdata(rtype: RecordType, rdata: &[u8]) -> Result<(), ContentError> {
    match rtype {
        RecordType::NS | RecordType::CNAME | RecordType::DNAME => check_host(rdata, false),
        RecordType::PTR => {
            check_host(rdata, false)?;
            if label_count(rdata) < 2 {
                let name = Name::from_wire(rdata).map(|name| name.without_dot()).unwrap_or_default();
                return Err(ContentError::Name { name, what: "the host of a PTR has at least two labels" });
            }
            Ok(())
        }
        RecordType::MX => match rdata {
            [0, 0, 0] => Ok(()),
            [_, _, 0] => Err(ContentError::Value("a null MX has priority 0 (RFC 7505)".to_owned())),
            rdata => check_host(rdata.get(2..).unwrap_or_default(), false),
        },
        RecordType::SRV => check_host(rdata.get(6..).unwrap_or_default(), true),
        RecordType::CAA => {
            let tag = rdata.get(2..2 + usize::from(rdata.get(1).copied().unwrap_or(0))).unwrap_or_default();
            if tag.is_empty() || !tag.iter().all(u8::is_ascii_alphanumeric) {
                return Err(ContentError::Value("the tag of a CAA record is made of letters and digits".to_owned()));
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn label_count(wire: &[u8]) -> usize {
    Name::from_wire(wire).map_or(0, |name| name.label_count())
}

/// A host name inside of rdata: no `*`, no label that begins or ends with `-`, no address.
fn check_host(wire: &[u8], root_too: bool) -> Result<(), ContentError> {
    let bad = |what| {
        let name = Name::from_wire(wire).map_or_else(|_| "the name".to_owned(), |name| name.without_dot());
        Err(ContentError::Name { name, what })
    };
    if wire.is_empty() || wire_len(wire) != Ok(wire.len()) {
        return bad("is no single name");
    }
    let Ok(name) = Name::from_wire(wire) else { return bad("is no domain name") };
    match name.host_fault() {
        Some(_) if root_too && name.is_root() => Ok(()),
        Some(what) => bad(what),
        None => Ok(()),
    }
}

/// The rdata that `content` describes in the form of APIs, where the priority stands apart: host names are absolute with
/// or without a final dot; MX, SRV and URI take `priority`; TXT is raw unless it is in quotes; everything else is as in
/// a zone file.
pub fn read(rtype: RecordType, content: &str, priority: u16) -> Result<Vec<u8>, ContentError> {
    let with_priority = |rest: Vec<u8>| [&priority.to_be_bytes()[..], &rest].concat();
    match rtype {
        RecordType::A => {
            let bad = || ContentError::Value(format!("{content:?} is no IPv4 address"));
            Ok(content.parse::<Ipv4Addr>().map_err(|_| bad())?.octets().to_vec())
        }
        RecordType::AAAA => {
            let bad = || ContentError::Value(format!("{content:?} is no IPv6 address"));
            Ok(content.parse::<Ipv6Addr>().map_err(|_| bad())?.octets().to_vec())
        }
        RecordType::NS | RecordType::CNAME | RecordType::DNAME | RecordType::PTR => host(content),
        RecordType::MX => Ok(with_priority(host(content)?)),
        RecordType::SRV => {
            let fields: Vec<&str> = content.split_ascii_whitespace().collect();
            let [weight, port, target] = fields[..] else {
                return Err(ContentError::Value("the content of a SRV record is 'weight port target'".to_owned()));
            };
            let mut rest = number(weight, "weight")?.to_be_bytes().to_vec();
            rest.extend(number(port, "port")?.to_be_bytes());
            rest.extend(host(target)?);
            Ok(with_priority(rest))
        }
        RecordType::URI => Ok(presentation::parse(rtype, &format!("{priority} {content}"), ROOT)?),
        RecordType::TXT | RecordType::SPF => text(content),
        _ => Ok(presentation::parse(rtype, content, ROOT)?),
    }
}

/// Names in contents are absolute.
const ROOT: &[u8] = b"\0";

fn number(text: &str, what: &str) -> Result<u16, ContentError> {
    let digits = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|_| digits)
        .ok_or_else(|| ContentError::Value(format!("the {what} {text:?} is not 0..65535")))
}

/// A host name in wire form, lower case; absolute with or without the final dot.
pub fn host(text: &str) -> Result<Vec<u8>, ContentError> {
    if text.is_empty() || text.contains('\\') {
        return Err(ContentError::Name { name: text.to_owned(), what: "must be a host name" });
    }
    match text.parse::<Name>() {
        Ok(name) => Ok(name.as_wire().to_vec()),
        Err(error) => Err(TextError::Name { text: text.to_owned(), error }.into()),
    }
}

/// The strings of a TXT record: those in quotes as they are, a bare text as it is; pieces of at most 255 octets.
fn text(content: &str) -> Result<Vec<u8>, ContentError> {
    if !content.trim_start().starts_with('"') {
        return raw_text(content.as_bytes());
    }
    let tokens = presentation::tokens(content.trim().as_bytes())?;
    if tokens.iter().any(|token| !token.quoted) {
        return Err(ContentError::Value("behind a string in quotes only further ones may follow".to_owned()));
    }
    let strings: Vec<Vec<u8>> =
        tokens.iter().map(|token| presentation::unescape(&token.text)).collect::<Result<_, _>>()?;
    of_strings(&strings)
}

/// The rdata of a TXT record that holds these octets, whatever they are.
pub fn raw_text(octets: &[u8]) -> Result<Vec<u8>, ContentError> {
    of_strings(&[octets.to_vec()])
}

fn of_strings(strings: &[Vec<u8>]) -> Result<Vec<u8>, ContentError> {
    let octets: usize = strings.iter().map(Vec::len).sum();
    if octets > TEXT_OCTETS_MAX {
        return Err(ContentError::Value(format!(
            "{octets} octets of text; at most {TEXT_OCTETS_MAX} fit a DNS message"
        )));
    }
    let mut rdata = Vec::with_capacity(octets + octets / 255 + strings.len());
    for string in strings {
        let mut rest = &string[..];
        loop {
            let (piece, more) = rest.split_at(rest.len().min(STRING_OCTETS_MAX));
            rdata.push(piece.len() as u8);
            rdata.extend_from_slice(piece);
            rest = more;
            if rest.is_empty() {
                break;
            }
        }
    }
    Ok(rdata)
}

/// The octets of all strings of a TXT record, joined; what raw forms of APIs show.
pub fn joined_text(rdata: &[u8]) -> Vec<u8> {
    let (mut octets, mut rest) = (Vec::with_capacity(rdata.len()), rdata);
    while let [length, tail @ ..] = rest {
        let (string, tail) = tail.split_at(tail.len().min(usize::from(*length)));
        octets.extend_from_slice(string);
        rest = tail;
    }
    octets
}

/// A name relative to `apex` as APIs take it: empty and `@` are the apex, a final dot makes it absolute. The escapes of zone
/// files are none here: no character that has to be escaped may stand in a name.
pub fn owner(text: &str, apex: &Name) -> Result<Name, ContentError> {
    if text.contains('\\') {
        return Err(ContentError::Name { name: text.to_owned(), what: "must be written without escapes" });
    }
    if text.is_empty() || text == "@" {
        return Ok(apex.clone());
    }
    let bad = |error| ContentError::from(TextError::Name { text: text.to_owned(), error });
    let mut wire = Vec::new();
    let absolute = name::parse_labels(text.as_bytes(), &mut wire).map_err(bad)?;
    if absolute {
        return text.parse().map_err(bad);
    }
    Name::from_relative(&wire, apex).map_err(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().expect("a name")
    }

    fn tried(zone: &str, owner: &str, rtype: &str, content: &str, priority: u16) -> Result<(), String> {
        let rtype: RecordType = rtype.parse().expect("a type");
        let rdata = read(rtype, content, priority).map_err(|e| e.to_string())?;
        check(&name(zone), &name(owner), rtype, &rdata).map_err(|e| e.to_string())
    }

    #[test]
    fn what_a_type_takes() {
        for (owner, rtype, content) in [
            ("a.example", "A", "192.0.2.1"),
            ("*.a.example", "AAAA", "2001:DB8::1"),
            ("_x.example", "CNAME", "_y.example"),
            ("example", "NS", "ns1.example."),
            ("example", "MX", "mail.example"),
            ("example", "MX", "."),
            ("_sip._tcp.example", "SRV", "5 5060 sip.example"),
            ("_sip._tcp.example", "SRV", "0 0 ."),
            ("example", "TXT", "v=spf1 -all"),
            ("example", "TXT", "\"a\" \"b\""),
            ("example", "CAA", "0 issue \"ca.example.net\""),
            ("_443._tcp.www.example", "TLSA", "3 1 1 abab"),
            ("www.example", "HTTPS", "1 . alpn=h2"),
            ("x.example", "URI", "1 \"ftp://x/\""),
        ] {
            assert_eq!(tried("example", owner, rtype, content, 0), Ok(()), "{owner} {rtype} {content}");
        }
    }

    #[test]
    fn what_a_type_does_not_take() {
        let cases = [
            ("a.example", "A", "192.0.2.300", "is no IPv4 address"),
            ("a.example", "A", "192.0.2.01", "is no IPv4 address"),
            ("a.example", "AAAA", "192.0.2.1", "is no IPv6 address"),
            ("example", "CNAME", "x.example", "cannot stand at the apex"),
            ("example", "DS", "1 8 2 ab", "cannot stand at the apex"),
            ("example", "NS", "192.0.2.1", "not an address"),
            ("a.example", "CNAME", "*.example", "host names are made of"),
            ("a.example", "CNAME", "-x.example", "begin or end with '-'"),
            ("a.example", "CNAME", "", "must be a host name"),
            ("a.example", "CNAME", ".", "must be a host name"),
            ("a.example", "CNAME", "b\u{fc}cher.example", "A-labels"),
            ("a.example", "PTR", "x.example", "belong in reverse zones"),
            ("sip.example", "SRV", "5 5060 sip.example", "_service._protocol"),
            ("_sip._tcp.example", "SRV", "5 sip.example", "'weight port target'"),
            ("_sip._tcp.example", "SRV", "5 70000 sip.example", "is not 0..65535"),
            ("a.*.example", "A", "192.0.2.1", "leftmost label"),
            ("a!.example", "A", "192.0.2.1", "letters, digits"),
            ("a/b.example", "A", "192.0.2.1", "letters, digits"),
            ("example", "SOA", "a. b. 1 2 3 4 5", "cannot be written"),
            ("example", "DNSKEY", "256 3 8 AQID", "cannot be written"),
            ("example", "CAA", "0 is-sue \"x\"", "letters and digits"),
            ("example", "TXT", "\"a\" b", "only further ones"),
            ("example", "TXT", "\"a", "does not end"),
        ];
        for (owner, rtype, content, part) in cases {
            let error = tried("example", owner, rtype, content, 0).expect_err(content);
            assert!(error.contains(part), "{owner} {rtype} {content}: {error}");
        }
        assert!(tried("example", "example", "MX", ".", 5).is_err_and(|e| e.contains("priority 0")));
        assert!(tried("2.0.192.in-addr.arpa", "1.2.0.192.in-addr.arpa", "PTR", "localhost", 0).is_err());
        assert!(tried("2.0.192.in-addr.arpa", "1.2.0.192.in-addr.arpa", "PTR", "a.example", 0).is_ok());
    }

    /// RFC 1035 §3.3: a character-string has at most 255 octets.
    #[test]
    fn long_texts_are_cut_at_255_octets() {
        let long = "x".repeat(600);
        let rdata = read(RecordType::TXT, &long, 0).expect("read");
        assert_eq!((rdata[0], rdata[256], rdata[512]), (255, 255, 90));
        assert_eq!(joined_text(&rdata), long.as_bytes());
        assert_eq!(read(RecordType::TXT, "", 0).expect("read"), [0]);
        assert_eq!(read(RecordType::TXT, "\"\"", 0).expect("read"), [0]);
        assert_eq!(read(RecordType::TXT, "a\\b\"c", 0).expect("read"), b"\x05a\\b\"c");
        assert_eq!(read(RecordType::TXT, "\"a\\\"\\\\b\" \"c\"", 0).expect("read"), b"\x04a\"\\b\x01c");
        assert!(read(RecordType::TXT, &"x".repeat(70_000), 0).is_err());
    }

    #[test]
    fn names_are_relative_unless_they_end_in_a_dot() {
        let apex = name("example.com");
        for (text, full) in [
            ("", "example.com"),
            ("@", "example.com"),
            ("WWW", "www.example.com"),
            ("example.com", "example.com.example.com"),
            ("www.example.com.", "www.example.com"),
            ("other.", "other"),
        ] {
            assert_eq!(owner(text, &apex).expect(text), name(full));
        }
        assert!(owner("a..b", &apex).is_err());
    }
}
