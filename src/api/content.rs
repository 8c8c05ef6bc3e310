//! Rdata as APIs show it: host names without their final dot, the priority apart, a single text without quotes. Types
//! there is no rule for come in zone-file text. Where a dialect differs (texts of Rackspace), it says so itself.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::dns::name::{self, write_presentation};
use crate::dns::{RecordType, presentation};

/// The text and the priority (0 where it means nothing) of an uncompressed rdata that has been validated.
pub fn content(rtype: RecordType, rdata: &[u8]) -> (String, u16) {
    special(rtype, rdata).unwrap_or_else(|| (zone_file_text(rtype, rdata), 0))
}

fn special(rtype: RecordType, rdata: &[u8]) -> Option<(String, u16)> {
    Some(match rtype {
        RecordType::A => (Ipv4Addr::from(<[u8; 4]>::try_from(rdata).ok()?).to_string(), 0),
        RecordType::AAAA => (Ipv6Addr::from(<[u8; 16]>::try_from(rdata).ok()?).to_string(), 0),
        RecordType::NS | RecordType::CNAME | RecordType::PTR | RecordType::DNAME => (host(rdata)?, 0),
        RecordType::MX => {
            let (priority, rest) = u16_at_start(rdata)?;
            (host(rest)?, priority)
        }
        RecordType::SRV => {
            let (priority, rest) = u16_at_start(rdata)?;
            let (weight, rest) = u16_at_start(rest)?;
            let (port, rest) = u16_at_start(rest)?;
            (format!("{weight} {port} {}", host(rest)?), priority)
        }
        RecordType::URI => {
            let (priority, rest) = u16_at_start(rdata)?;
            let (weight, target) = u16_at_start(rest)?;
            (format!("{weight} {}", quoted(target)), priority)
        }
        RecordType::CAA => {
            let [flags, tag_len, rest @ ..] = rdata else {
                return None;
            };
            let (tag, value) = rest.split_at_checked(usize::from(*tag_len))?;
            (format!("{flags} {} {}", std::str::from_utf8(tag).ok()?, quoted(value)), 0)
        }
        RecordType::TXT | RecordType::SPF => (texts(rdata)?, 0),
        _ => return None,
    })
}

fn u16_at_start(rdata: &[u8]) -> Option<(u16, &[u8])> {
    let (number, rest) = rdata.split_at_checked(2)?;
    Some((u16::from_be_bytes([number[0], number[1]]), rest))
}

/// A name without its final dot; the root stays `.`.
fn host(wire: &[u8]) -> Option<String> {
    (name::wire_len(wire).ok()? == wire.len()).then_some(())?;
    let mut text = String::with_capacity(wire.len() + 1);
    write_presentation(wire, &mut text).ok()?;
    if text.len() > 1 {
        text.pop();
    }
    Some(text)
}

/// One string without quotes, several (or one that could be taken for a quoted one) each in quotes.
fn texts(rdata: &[u8]) -> Option<String> {
    let (mut strings, mut rest) = (Vec::new(), rdata);
    while let [len, tail @ ..] = rest {
        let (string, tail) = tail.split_at_checked(usize::from(*len))?;
        strings.push(string);
        rest = tail;
    }
    Some(match strings.as_slice() {
        [only] if !only.starts_with(b"\"") => escaped(only, false),
        _ => strings.iter().map(|string| quoted(string)).collect::<Vec<_>>().join(" "),
    })
}

fn quoted(octets: &[u8]) -> String {
    format!("\"{}\"", escaped(octets, true))
}

/// Text as it is, where it is text; other octets and backslashes escaped as in zone files (RFC 1035 §5.1).
fn escaped(octets: &[u8], quotes_too: bool) -> String {
    let mut text = String::with_capacity(octets.len());
    for chunk in octets.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => text.push_str("\\\\"),
                '"' if quotes_too => text.push_str("\\\""),
                c if c.is_ascii_control() => push_octet(&mut text, c as u8),
                c => text.push(c),
            }
        }
        for &octet in chunk.invalid() {
            push_octet(&mut text, octet);
        }
    }
    text
}

fn push_octet(text: &mut String, octet: u8) {
    let _ = write!(text, "\\{octet:03}"); // writing into a String cannot fail
}

fn zone_file_text(rtype: RecordType, rdata: &[u8]) -> String {
    presentation::rdata_text(rtype, rdata)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(name: &str) -> Vec<u8> {
        name.parse::<crate::dns::Name>().expect("a name").as_wire().to_vec()
    }

    fn shown(rtype: RecordType, rdata: &[u8]) -> String {
        let (text, priority) = content(rtype, rdata);
        format!("{text}|{priority}")
    }

    #[test]
    fn hosts_have_no_final_dot_and_the_priority_stands_apart() {
        assert_eq!(shown(RecordType::NS, &wire("ns1.example.com")), "ns1.example.com|0");
        assert_eq!(shown(RecordType::MX, &[&[0, 10][..], &wire("mail.example.com")].concat()), "mail.example.com|10");
        // RFC 7505: the null MX
        assert_eq!(shown(RecordType::MX, &[0, 0, 0]), ".|0");
        let srv = [&[0, 1, 0, 2, 0x14, 0x66][..], &wire("sip.example.com")].concat();
        assert_eq!(shown(RecordType::SRV, &srv), "2 5222 sip.example.com|1");
    }

    #[test]
    fn addresses_are_in_their_short_form() {
        assert_eq!(shown(RecordType::A, &[192, 0, 2, 1]), "192.0.2.1|0");
        let mut loopback = [0; 16];
        loopback[15] = 1;
        assert_eq!(shown(RecordType::AAAA, &loopback), "::1|0");
    }

    #[test]
    fn one_text_is_bare_and_several_are_quoted() {
        assert_eq!(shown(RecordType::TXT, b"\x08v=spf1 a"), "v=spf1 a|0");
        assert_eq!(shown(RecordType::TXT, b"\x01a\x01b"), "\"a\" \"b\"|0");
        assert_eq!(shown(RecordType::TXT, b"\x03\"a\""), "\"\\\"a\\\"\"|0");
        assert_eq!(shown(RecordType::TXT, b"\x03a\\b"), "a\\\\b|0");
        assert_eq!(shown(RecordType::TXT, b"\x00"), "|0");
        assert_eq!(shown(RecordType::TXT, b"\x04\xc3\xbc\xff\x0a"), "ü\\255\\010|0");
    }

    #[test]
    fn caa_values_are_quoted() {
        assert_eq!(shown(RecordType::CAA, b"\x80\x05issueca.example"), "128 issue \"ca.example\"|0");
    }

    #[test]
    fn the_priority_of_uri_stands_apart_too() {
        assert_eq!(shown(RecordType::URI, b"\x00\x0a\x00\x01ftp://x/"), "1 \"ftp://x/\"|10");
    }
}
