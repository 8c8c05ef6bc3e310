//! The text of each kind of field: for every variant of [`Field`] how it is written and how it is read.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::codec::{self, bad, joined, number};
use super::{TextError, Token, parse_name, service};
use crate::dns::RecordType;
use crate::dns::name;
use crate::dns::rdata::{self, Field};

const ALGORITHMS: &[(u8, &str)] = &[
    (1, "RSAMD5"),
    (2, "DH"),
    (3, "DSA"),
    (5, "RSASHA1"),
    (6, "DSA-NSEC3-SHA1"),
    (6, "NSEC3DSA"),
    (7, "RSASHA1-NSEC3-SHA1"),
    (7, "NSEC3RSASHA1"),
    (8, "RSASHA256"),
    (10, "RSASHA512"),
    (12, "ECC-GOST"),
    (12, "ECCGOST"),
    (13, "ECDSAP256SHA256"),
    (14, "ECDSAP384SHA384"),
    (15, "ED25519"),
    (16, "ED448"),
    (252, "INDIRECT"),
    (253, "PRIVATEDNS"),
    (254, "PRIVATEOID"),
];

const CERT_TYPES: &[(u16, &str)] = &[
    (1, "PKIX"),
    (2, "SPKI"),
    (3, "PGP"),
    (4, "IPKIX"),
    (5, "ISPKI"),
    (6, "IPGP"),
    (7, "ACPKIX"),
    (8, "IACPKIX"),
    (253, "URI"),
    (254, "OID"),
];

/// Writes all fields; `None` if the octets are no rdata of the type or have no text of their own.
pub(super) fn write_fields(rtype: RecordType, rdata: &[u8], out: &mut String) -> Option<()> {
    rdata::validate(rtype, rdata).ok()?;
    let mut rest = rdata;
    for &field in rdata::fields(rtype) {
        let len = match field {
            Field::Name(_) => name::wire_len(rest).ok()?,
            Field::Names(_) => rest.len(),
            Field::Gateway(mask) => match rdata[1] & mask {
                0 => 0,
                1 => 4,
                2 => 16,
                _ => name::wire_len(rest).ok()?,
            },
            other => other.octets(rest).ok()?,
        };
        let (octets, tail) = rest.split_at_checked(len)?;
        rest = tail;
        let before = out.len();
        write_field(field, octets, out)?;
        if before > 0 && out.len() > before {
            out.insert(before, ' ');
        }
    }
    Some(())
}

fn write_field(field: Field, octets: &[u8], out: &mut String) -> Option<()> {
    let number = octets.iter().take(4).fold(0u32, |n, &octet| n << 8 | octet as u32);
    match field {
        Field::U8 | Field::U16 | Field::U32 | Field::Period | Field::Algorithm | Field::CertType => {
            write!(out, "{number}").ok()?;
        }
        Field::Time => codec::write_time(number, out),
        Field::TypeCode => write!(out, "{}", RecordType(number as u16)).ok()?,
        Field::RelayType => write!(out, "{} {}", number >> 7, number & 0x7f).ok()?,
        Field::Ip4 => write!(out, "{}", Ipv4Addr::from(<[u8; 4]>::try_from(octets).ok()?)).ok()?,
        Field::Ip6 => write!(out, "{}", Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?)).ok()?,
        Field::Eui48 | Field::Eui64 => write_groups(octets, 1, '-', out),
        Field::Locator64 => write_groups(octets, 2, ':', out),
        Field::Name(_) => name::write_presentation(octets, out).ok()?,
        Field::Names(_) => {
            let mut rest = octets;
            while !rest.is_empty() {
                let (one, tail) = rest.split_at(name::wire_len(rest).ok()?);
                if rest.len() < octets.len() {
                    out.push(' ');
                }
                name::write_presentation(one, out).ok()?;
                rest = tail;
            }
        }
        Field::Gateway(_) => match octets.len() {
            0 => out.push('.'),
            _ => return write_gateway(octets, out),
        },
        Field::Text => codec::write_quoted(octets.get(1..)?, out),
        Field::TextOptional | Field::Texts => {
            let mut rest = octets;
            while let [len, tail @ ..] = rest {
                if rest.len() < octets.len() {
                    out.push(' ');
                }
                let (one, tail) = tail.split_at_checked(*len as usize)?;
                codec::write_quoted(one, out);
                rest = tail;
            }
        }
        Field::Tag => codec::write_bare(octets.get(1..)?, out),
        Field::TextRest => codec::write_quoted(octets, out),
        Field::HexCounted if octets.len() == 1 => out.push('-'),
        Field::HexCounted => codec::write_hex(octets.get(1..)?, out),
        Field::Base32Counted => codec::write_base32hex(octets.get(1..)?, out),
        Field::Hex => codec::write_hex(octets, out),
        Field::Base64OrDash if octets.is_empty() => out.push('-'),
        Field::Base64 | Field::Base64OrDash => codec::write_base64(octets, out),
        Field::NsapAddress => {
            out.push_str("0x");
            codec::write_hex(octets, out);
        }
        Field::Bitmap => write_types(bitmap_types(octets), out),
        Field::NxtBitmap => write_types(bits(octets).map(|bit| RecordType(bit as u16)), out),
        Field::SvcParams => service::write_svc_params(octets, out)?,
        Field::Prefixes => service::write_prefixes(octets, out)?,
        Field::Location => service::write_location(octets, out)?,
        Field::Services => {
            let (protocol, ports) = octets.split_first()?;
            write!(out, "{protocol}").ok()?;
            bits(ports).try_for_each(|port| write!(out, " {port}").ok())?;
        }
        Field::AtmAddress => match octets.split_first()? {
            (0, address) => codec::write_hex(address, out),
            (1, address) => {
                out.push('+');
                codec::write_bare(address, out);
            }
            _ => return None,
        },
        Field::HostIdentity => {
            let (hit, key) = octets.get(4..)?.split_at_checked(octets[0] as usize)?;
            write!(out, "{} ", octets[1]).ok()?;
            codec::write_hex(hit, out);
            out.push(' ');
            codec::write_base64(key, out);
        }
        Field::Opaque => return None,
    }
    Some(())
}

/// A gateway that is there: whether it is an address or a name, reading back decides (see `rdata_text`).
fn write_gateway(octets: &[u8], out: &mut String) -> Option<()> {
    if name::wire_len(octets) == Ok(octets.len()) {
        return name::write_presentation(octets, out).ok();
    }
    write_field(if octets.len() == 4 { Field::Ip4 } else { Field::Ip6 }, octets, out)
}

fn write_groups(octets: &[u8], octets_each: usize, between: char, out: &mut String) {
    for (i, group) in octets.chunks(octets_each).enumerate() {
        if i > 0 {
            out.push(between);
        }
        group.iter().for_each(|octet| {
            let _ = write!(out, "{octet:02x}");
        });
    }
}

fn write_types(types: impl Iterator<Item = RecordType>, out: &mut String) {
    for (i, rtype) in types.enumerate() {
        let _ = write!(out, "{}{rtype}", if i > 0 { " " } else { "" });
    }
}

/// The types of a bitmap of RFC 4034 §4.1.2, ascending.
pub(in crate::dns) fn bitmap_types(bitmap: &[u8]) -> impl Iterator<Item = RecordType> {
    let mut rest = bitmap;
    std::iter::from_fn(move || {
        let (&[window, len], tail) = rest.split_first_chunk()?;
        let (block, tail) = tail.split_at_checked(len as usize)?;
        rest = tail;
        Some(bits(block).map(move |bit| RecordType((window as u16) << 8 | bit as u16)))
    })
    .flatten()
}

/// Indexes of the bits set, counted from the left.
fn bits(octets: &[u8]) -> impl Iterator<Item = usize> {
    (0..octets.len() * 8).filter(|bit| octets[bit / 8] & 0x80 >> (bit % 8) != 0)
}

/// A bitmap just long enough for `set`; each is below 65,536.
fn bitmap(set: &[usize]) -> Vec<u8> {
    let mut out = vec![0; set.iter().max().map_or(0, |max| max / 8 + 1)];
    set.iter().for_each(|bit| out[bit / 8] |= 0x80 >> (bit % 8));
    out
}

/// Reads all fields, in order, and demands that nothing is left.
pub(super) fn read_fields(rtype: RecordType, tokens: &[Token<'_>], origin: &[u8]) -> Result<Vec<u8>, TextError> {
    let mut reader = Reader { rest: tokens, origin, out: Vec::with_capacity(64) };
    for &field in rdata::fields(rtype) {
        if field == Field::Opaque {
            return Err(TextError::OnlyGeneric(rtype));
        }
        reader.field(field)?;
    }
    match reader.rest.first() {
        None => Ok(reader.out),
        Some(token) => Err(TextError::Surplus(String::from_utf8_lossy(&token.text).into_owned())),
    }
}

struct Reader<'t> {
    rest: &'t [Token<'t>],
    origin: &'t [u8],
    out: Vec<u8>,
}

impl<'t> Reader<'t> {
    fn next(&mut self, what: &'static str) -> Result<&'t [u8], TextError> {
        let (token, rest) = self.rest.split_first().ok_or(TextError::Missing(what))?;
        self.rest = rest;
        Ok(&token.text)
    }

    fn all(&mut self) -> &'t [Token<'t>] {
        std::mem::take(&mut self.rest)
    }

    fn number(&mut self, octets: usize, what: &'static str) -> Result<(), TextError> {
        let max = u64::MAX >> (64 - 8 * octets);
        let value = number(self.next(what)?, what, max)?;
        self.out.extend_from_slice(&value.to_be_bytes()[8 - octets..]);
        Ok(())
    }

    fn counted(&mut self, octets: &[u8], text: &[u8]) -> Result<(), TextError> {
        let len = u8::try_from(octets.len()).map_err(|_| bad("a string of at most 255 octets", text))?;
        self.out.push(len);
        self.out.extend_from_slice(octets);
        Ok(())
    }

    fn address<A: std::str::FromStr>(&mut self, what: &'static str) -> Result<A, TextError> {
        let text = self.next(what)?;
        std::str::from_utf8(text).ok().and_then(|t| t.parse().ok()).ok_or_else(|| bad(what, text))
    }

    fn groups(&mut self, count: usize, octets_each: usize, between: u8, what: &'static str) -> Result<(), TextError> {
        let text = self.next(what)?;
        let groups: Vec<&[u8]> = text.split(|c| *c == between).collect();
        let widths_fit = groups.iter().all(|g| !g.is_empty() && g.len() <= 2 * octets_each);
        if groups.len() != count || !widths_fit {
            return Err(bad(what, text));
        }
        for group in groups {
            let padded = [&b"0000"[..2 * octets_each - group.len()], group].concat();
            self.out.extend(codec::read_hex(&padded).map_err(|_| bad(what, text))?);
        }
        Ok(())
    }

    fn types(&mut self) -> Result<Vec<usize>, TextError> {
        self.all().iter().map(|token| Ok(record_type(&token.text)?.0 as usize)).collect()
    }

    fn field(&mut self, field: Field) -> Result<(), TextError> {
        match field {
            Field::U8 => self.number(1, "a number up to 255")?,
            Field::U16 => self.number(2, "a number up to 65535")?,
            Field::U32 => self.number(4, "a number up to 4294967295")?,
            Field::Period => {
                let seconds = codec::parse_period(self.next("a number of seconds")?)?;
                self.out.extend_from_slice(&seconds.to_be_bytes());
            }
            Field::Time => {
                let seconds = codec::read_time(self.next("a time")?)?;
                self.out.extend_from_slice(&seconds.to_be_bytes());
            }
            Field::TypeCode => {
                let rtype = record_type(self.next("a record type")?)?;
                self.out.extend_from_slice(&rtype.0.to_be_bytes());
            }
            Field::CertType => {
                let text = self.next("a certificate type")?;
                let known = CERT_TYPES.iter().find(|t| t.1.as_bytes().eq_ignore_ascii_case(text));
                let value = match known {
                    Some((value, _)) => *value,
                    None => number(text, "a certificate type", u16::MAX as u64)? as u16,
                };
                self.out.extend_from_slice(&value.to_be_bytes());
            }
            Field::Algorithm => {
                let text = self.next("an algorithm")?;
                let known = ALGORITHMS.iter().find(|a| a.1.as_bytes().eq_ignore_ascii_case(text));
                self.out.push(match known {
                    Some((value, _)) => *value,
                    None => number(text, "an algorithm", u8::MAX as u64)? as u8,
                });
            }
            Field::RelayType => {
                let discovery = number(self.next("the D bit")?, "the D bit (0 or 1)", 1)?;
                let relay = number(self.next("a relay type")?, "a relay type", 127)?;
                self.out.push((discovery << 7 | relay) as u8);
            }
            Field::Ip4 => {
                let address: Ipv4Addr = self.address("an IPv4 address")?;
                self.out.extend_from_slice(&address.octets());
            }
            Field::Ip6 => {
                let address: Ipv6Addr = self.address("an IPv6 address")?;
                self.out.extend_from_slice(&address.octets());
            }
            Field::Eui48 => self.groups(6, 1, b'-', "six octets xx-xx-xx-xx-xx-xx")?,
            Field::Eui64 => self.groups(8, 1, b'-', "eight octets xx-xx-xx-xx-xx-xx-xx-xx")?,
            Field::Locator64 => self.groups(4, 2, b':', "64 bits xxxx:xxxx:xxxx:xxxx")?,
            Field::Name(_) => parse_name(self.next("a name")?, self.origin, &mut self.out)?,
            Field::Names(_) => {
                for token in self.all() {
                    parse_name(&token.text, self.origin, &mut self.out)?;
                }
            }
            Field::Gateway(mask) => match self.out[1] & mask {
                0 => match self.next("a gateway")? {
                    b"." => {}
                    text => return Err(bad("a dot (type 0: no gateway)", text)),
                },
                1 => self.field(Field::Ip4)?,
                2 => self.field(Field::Ip6)?,
                3 => parse_name(self.next("a gateway")?, self.origin, &mut self.out)?,
                _ => return Err(rdata::RdataError::BadGateway.into()),
            },
            Field::Text | Field::Tag => {
                let text = self.next("a string")?;
                self.counted(&codec::unescape(text)?, text)?;
            }
            Field::TextOptional if self.rest.is_empty() => {}
            Field::TextOptional => self.field(Field::Text)?,
            Field::Texts => {
                self.field(Field::Text)?;
                while !self.rest.is_empty() {
                    self.field(Field::Text)?;
                }
            }
            Field::TextRest => {
                let text = self.next("a string")?;
                self.out.extend(codec::unescape(text)?);
            }
            Field::HexCounted => match self.next("hex (or -)")? {
                b"-" => self.out.push(0),
                text => self.counted(&codec::read_hex(text)?, text)?,
            },
            Field::Base32Counted => {
                let text = self.next("base32hex")?;
                self.counted(&codec::read_base32hex(text)?, text)?;
            }
            Field::Hex => {
                let octets = codec::read_hex(&joined(self.all()))?;
                self.out.extend(octets);
            }
            Field::Base64 | Field::Base64OrDash => {
                let text = joined(self.all());
                if text != b"-" || field == Field::Base64 {
                    self.out.extend(codec::read_base64(&text)?);
                }
            }
            Field::NsapAddress => {
                let text = self.next("0x and hex")?;
                let digits = text.strip_prefix(b"0x").or_else(|| text.strip_prefix(b"0X"));
                let digits = digits.ok_or_else(|| bad("0x and hex", text))?;
                let digits: Vec<u8> = digits.iter().copied().filter(|c| *c != b'.').collect();
                self.out.extend(codec::read_hex(&digits)?);
            }
            Field::Bitmap => {
                let mut set = self.types()?;
                set.sort_unstable();
                for window in set.chunk_by(|a, b| a >> 8 == b >> 8) {
                    let block = bitmap(&window.iter().map(|t| t & 0xff).collect::<Vec<_>>());
                    self.out.extend([(window[0] >> 8) as u8, block.len() as u8]);
                    self.out.extend(block);
                }
            }
            Field::NxtBitmap => {
                let set = self.types()?;
                self.out.extend(bitmap(&set));
            }
            Field::SvcParams => service::read_svc_params(self.all(), &mut self.out)?,
            Field::Prefixes => service::read_prefixes(self.all(), &mut self.out)?,
            Field::Location => service::read_location(self.all(), &mut self.out)?,
            Field::Services => {
                let text = self.next("a protocol")?;
                self.out.push(match text.to_ascii_lowercase().as_slice() {
                    b"tcp" => 6,
                    b"udp" => 17,
                    _ => number(text, "a protocol (tcp, udp or a number)", 255)? as u8,
                });
                let ports = self.all().iter().map(|t| service::port(&t.text)).collect::<Result<Vec<_>, _>>()?;
                self.out.extend(bitmap(&ports));
            }
            Field::AtmAddress => {
                let text = self.next("an ATM address")?;
                let digits = |text: &[u8]| text.iter().copied().filter(|c| *c != b'.').collect::<Vec<u8>>();
                if let Some(e164) = text.strip_prefix(b"+") {
                    let digits = digits(e164);
                    if !digits.iter().all(u8::is_ascii_digit) {
                        return Err(bad("+ and digits", text));
                    }
                    self.out.push(1);
                    self.out.extend(digits);
                } else {
                    self.out.push(0);
                    self.out.extend(codec::read_hex(&digits(text))?);
                }
            }
            Field::HostIdentity => {
                let algorithm = number(self.next("an algorithm")?, "a number up to 255", 255)? as u8;
                let hit_text = self.next("a HIT in hex")?;
                let hit = codec::read_hex(hit_text)?;
                let key_text = self.next("a public key in base64")?;
                let key = codec::read_base64(key_text)?;
                let hit_len = u8::try_from(hit.len()).map_err(|_| bad("a HIT of at most 255 octets", hit_text))?;
                let key_len = u16::try_from(key.len()).map_err(|_| bad("a key of at most 65535 octets", key_text))?;
                self.out.extend([hit_len, algorithm]);
                self.out.extend(key_len.to_be_bytes());
                self.out.extend(hit);
                self.out.extend(key);
            }
            Field::Opaque => {}
        }
        Ok(())
    }
}

fn record_type(text: &[u8]) -> Result<RecordType, TextError> {
    std::str::from_utf8(text).ok().and_then(|t| t.parse().ok()).ok_or_else(|| bad("a record type", text))
}
