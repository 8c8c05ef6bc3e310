//! Fields with a grammar of their own: SvcParams (RFC 9460), address prefixes (RFC 3123), locations (RFC 1876) and
//! the ports of WKS (RFC 1035 §3.4.2).

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::codec::{self, bad, number};
use super::{TextError, Token};

const KEYS: [&str; 9] =
    ["mandatory", "alpn", "no-default-alpn", "port", "ipv4hint", "ech", "ipv6hint", "dohpath", "ohttp"];
const MANDATORY: u16 = 0;
const ALPN: u16 = 1;
const NO_DEFAULT_ALPN: u16 = 2;
const PORT: u16 = 3;
const IPV4HINT: u16 = 4;
const ECH: u16 = 5;
const IPV6HINT: u16 = 6;
const OHTTP: u16 = 8;

fn key_text(key: u16) -> String {
    KEYS.get(key as usize).map_or_else(|| format!("key{key}"), |text| (*text).to_owned())
}

fn key_number(text: &[u8]) -> Result<u16, TextError> {
    if let Some(key) = KEYS.iter().position(|k| k.as_bytes() == text) {
        return Ok(key as u16);
    }
    let digits = text.strip_prefix(b"key").ok_or_else(|| bad("a SvcParamKey", text))?;
    Ok(number(digits, "a SvcParamKey", u16::MAX as u64)? as u16)
}

pub(super) fn write_svc_params(mut rest: &[u8], out: &mut String) -> Option<()> {
    let mut first = true;
    while let Some((&[k0, k1, l0, l1], tail)) = rest.split_first_chunk() {
        let key = u16::from_be_bytes([k0, k1]);
        let (value, tail) = tail.split_at_checked(u16::from_be_bytes([l0, l1]) as usize)?;
        rest = tail;
        if !std::mem::take(&mut first) {
            out.push(' ');
        }
        out.push_str(&key_text(key));
        match key {
            NO_DEFAULT_ALPN | OHTTP if value.is_empty() => continue,
            MANDATORY => {
                let keys = value.chunks(2).map(|k| Some(key_text(u16::from_be_bytes(k.try_into().ok()?))));
                write!(out, "={}", keys.collect::<Option<Vec<_>>>()?.join(",")).ok()?;
            }
            ALPN => {
                out.push('=');
                codec::write_quoted(&alpn_list(value)?, out);
            }
            PORT => write!(out, "={}", u16::from_be_bytes(value.try_into().ok()?)).ok()?,
            IPV4HINT => {
                let hints = value.chunks(4).map(|a| Some(Ipv4Addr::from(<[u8; 4]>::try_from(a).ok()?).to_string()));
                write!(out, "={}", hints.collect::<Option<Vec<_>>>()?.join(",")).ok()?;
            }
            IPV6HINT => {
                let hints = value.chunks(16).map(|a| Some(Ipv6Addr::from(<[u8; 16]>::try_from(a).ok()?).to_string()));
                write!(out, "={}", hints.collect::<Option<Vec<_>>>()?.join(",")).ok()?;
            }
            ECH => {
                out.push('=');
                codec::write_base64(value, out);
            }
            _ if value.is_empty() => {}
            _ => {
                out.push('=');
                codec::write_quoted(value, out);
            }
        }
    }
    Some(())
}

/// The comma-separated value of RFC 9460 appendix A.1, before the escapes of the string around it.
fn alpn_list(mut value: &[u8]) -> Option<Vec<u8>> {
    let mut list = Vec::new();
    while let [len, tail @ ..] = value {
        let (one, tail) = tail.split_at_checked(*len as usize)?;
        value = tail;
        if !list.is_empty() {
            list.push(b',');
        }
        for &c in one {
            if matches!(c, b',' | b'\\') {
                list.push(b'\\');
            }
            list.push(c);
        }
    }
    Some(list)
}

pub(super) fn read_svc_params(tokens: &[Token<'_>], out: &mut Vec<u8>) -> Result<(), TextError> {
    let mut params = Vec::with_capacity(tokens.len());
    for token in tokens {
        let (key, value) = match token.text.iter().position(|c| *c == b'=') {
            Some(at) => (&token.text[..at], Some(&token.text[at + 1..])),
            None => (&*token.text, None),
        };
        let key = key_number(key)?;
        params.push((key, svc_value(key, value, &token.text)?));
    }
    params.sort();
    if params.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        let text = codec::joined(tokens);
        return Err(bad("a list of different SvcParams", &text));
    }
    for (key, value) in params {
        let len = u16::try_from(value.len()).map_err(|_| bad("a value of at most 65535 octets", &value))?;
        out.extend(key.to_be_bytes());
        out.extend(len.to_be_bytes());
        out.extend(value);
    }
    Ok(())
}

fn svc_value(key: u16, value: Option<&[u8]>, whole: &[u8]) -> Result<Vec<u8>, TextError> {
    let text = value.unwrap_or_default();
    let items = || text.split(|c| *c == b',');
    match key {
        MANDATORY => {
            let mut keys = items().map(key_number).collect::<Result<Vec<_>, _>>()?;
            keys.sort_unstable();
            Ok(keys.into_iter().flat_map(u16::to_be_bytes).collect())
        }
        ALPN => read_alpn(&codec::unescape(text)?).ok_or_else(|| bad("a list of protocol names", whole)),
        NO_DEFAULT_ALPN | OHTTP if value.is_some() => Err(bad("a SvcParam without a value", whole)),
        PORT => Ok((number(text, "a port", u16::MAX as u64)? as u16).to_be_bytes().to_vec()),
        IPV4HINT => addresses::<Ipv4Addr, 4>(items(), "an IPv4 address", |a| a.octets()),
        IPV6HINT => addresses::<Ipv6Addr, 16>(items(), "an IPv6 address", |a| a.octets()),
        ECH => codec::read_base64(text),
        _ => codec::unescape(text),
    }
}

fn addresses<'a, A: std::str::FromStr, const N: usize>(
    items: impl Iterator<Item = &'a [u8]>,
    what: &'static str,
    octets: impl Fn(A) -> [u8; N],
) -> Result<Vec<u8>, TextError> {
    let mut out = Vec::new();
    for item in items {
        let address = std::str::from_utf8(item).ok().and_then(|t| t.parse().ok());
        out.extend(octets(address.ok_or_else(|| bad(what, item))?));
    }
    Ok(out)
}

fn read_alpn(list: &[u8]) -> Option<Vec<u8>> {
    let (mut out, mut item, mut rest) = (Vec::new(), Vec::new(), list);
    loop {
        let ended = match rest {
            [b'\\', c, tail @ ..] => {
                item.push(*c);
                rest = tail;
                continue;
            }
            [b',', tail @ ..] => {
                rest = tail;
                false
            }
            [c, tail @ ..] => {
                item.push(*c);
                rest = tail;
                continue;
            }
            [] => true,
        };
        // "alpn-ids are non-empty" (RFC 9460 §7.1.1 with RFC 7301 §3.1)
        if item.is_empty() || item.len() > 255 {
            return None;
        }
        out.push(item.len() as u8);
        out.append(&mut item);
        if ended {
            return Some(out);
        }
    }
}

pub(super) fn write_prefixes(mut rest: &[u8], out: &mut String) -> Option<()> {
    let mut first = true;
    while let Some((&[f0, f1, prefix, len], tail)) = rest.split_first_chunk() {
        let (octets, tail) = tail.split_at_checked((len & 0x7f) as usize)?;
        rest = tail;
        let mut address = [0u8; 16];
        address.get_mut(..octets.len())?.copy_from_slice(octets);
        let [a, b, c, d, ..] = address;
        let text = match u16::from_be_bytes([f0, f1]) {
            1 => format!("1:{}", Ipv4Addr::new(a, b, c, d)),
            2 => format!("2:{}", Ipv6Addr::from(address)),
            _ => return None,
        };
        let space = if std::mem::take(&mut first) { "" } else { " " };
        let negation = if len & 0x80 != 0 { "!" } else { "" };
        write!(out, "{space}{negation}{text}/{prefix}").ok()?;
    }
    Some(())
}

pub(super) fn read_prefixes(tokens: &[Token<'_>], out: &mut Vec<u8>) -> Result<(), TextError> {
    const WHAT: &str = "an address prefix [!]1:a.b.c.d/n or [!]2:a:b::/n";
    for token in tokens {
        let fail = || bad(WHAT, &token.text);
        let text = std::str::from_utf8(&token.text).map_err(|_| fail())?;
        let (negation, plain) = match text.strip_prefix('!') {
            Some(plain) => (0x80, plain),
            None => (0, text),
        };
        let (family, plain) = plain.split_once(':').ok_or_else(fail)?;
        let (address, prefix) = plain.split_once('/').ok_or_else(fail)?;
        let (family, mut octets) = match family {
            "1" => (1u16, address.parse::<Ipv4Addr>().map_err(|_| fail())?.octets().to_vec()),
            "2" => (2u16, address.parse::<Ipv6Addr>().map_err(|_| fail())?.octets().to_vec()),
            _ => return Err(fail()),
        };
        let prefix = number(prefix.as_bytes(), WHAT, octets.len() as u64 * 8)? as u8;
        // RFC 3123 §4: "trailing zero octets do not bear any information ... and MUST be suppressed"
        while octets.last() == Some(&0) {
            octets.pop();
        }
        out.extend(family.to_be_bytes());
        out.extend([prefix, negation | octets.len() as u8]);
        out.extend(octets);
    }
    Ok(())
}

/// A port by number, or by the names that old zone files use.
pub(super) fn port(text: &[u8]) -> Result<usize, TextError> {
    const NAMES: [(&str, usize); 17] = [
        ("tcpmux", 1),
        ("echo", 7),
        ("discard", 9),
        ("daytime", 13),
        ("ftp-data", 20),
        ("ftp", 21),
        ("ssh", 22),
        ("telnet", 23),
        ("smtp", 25),
        ("time", 37),
        ("domain", 53),
        ("tftp", 69),
        ("finger", 79),
        ("http", 80),
        ("pop3", 110),
        ("ntp", 123),
        ("https", 443),
    ];
    match NAMES.iter().find(|n| n.0.as_bytes().eq_ignore_ascii_case(text)) {
        Some((_, port)) => Ok(*port),
        None => Ok(number(text, "a port (a number)", u16::MAX as u64)? as usize),
    }
}

/// The equator, the prime meridian: coordinates count thousandths of an arc second from here (RFC 1876 §2).
const MERIDIAN: i64 = 1 << 31;
/// Altitudes count centimetres from 100,000 m below the reference.
const ALTITUDE_BASE_CM: i64 = 10_000_000;

pub(super) fn write_location(octets: &[u8], out: &mut String) -> Option<()> {
    let [0, size, horizontal, vertical, ..] = *octets else { return None };
    let word = |at: usize| octets.get(at..at + 4)?.try_into().ok().map(|w| u32::from_be_bytes(w) as i64);
    for (at, positive, negative) in [(4, 'N', 'S'), (8, 'E', 'W')] {
        let offset = word(at)? - MERIDIAN;
        let (hemisphere, thousandths) = if offset < 0 { (negative, -offset) } else { (positive, offset) };
        let (degrees, minutes) = (thousandths / 3_600_000, thousandths / 60_000 % 60);
        let (seconds, fraction) = (thousandths / 1000 % 60, thousandths % 1000);
        write!(out, "{degrees} {minutes} {seconds}.{fraction:03} {hemisphere} ").ok()?;
    }
    let altitude = word(12)? - ALTITUDE_BASE_CM;
    let sign = if altitude < 0 { "-" } else { "" };
    write!(out, "{sign}{}.{:02}m", altitude.abs() / 100, altitude.abs() % 100).ok()?;
    for precision in [size, horizontal, vertical] {
        let centimetres = (precision >> 4) as u64 * 10u64.pow((precision & 15) as u32);
        write!(out, " {}.{:02}m", centimetres / 100, centimetres % 100).ok()?;
    }
    Some(())
}

pub(super) fn read_location(tokens: &[Token<'_>], out: &mut Vec<u8>) -> Result<(), TextError> {
    let mut words = tokens.iter().map(|t| &*t.text);
    let latitude = coordinate(&mut words, b"NS", 90)?;
    let longitude = coordinate(&mut words, b"EW", 180)?;
    const ALTITUDE: &str = "an altitude in metres";
    let altitude = metres(words.next().ok_or(TextError::Missing(ALTITUDE))?, ALTITUDE)?;
    let altitude = u32::try_from(altitude + ALTITUDE_BASE_CM).map_err(|_| TextError::Missing(ALTITUDE))?;
    // RFC 1876 §3: size 1 m, horizontal precision 10,000 m, vertical 10 m
    let mut precisions = [0x12, 0x16, 0x13];
    for (precision, text) in precisions.iter_mut().zip(words.by_ref()) {
        let fail = || bad("a precision in metres, up to 90000000", text);
        let (mut mantissa, mut exponent) = (metres(text, "a precision in metres")?, 0);
        while mantissa > 9 {
            (mantissa, exponent) = (mantissa / 10, exponent + 1);
        }
        if mantissa < 0 || exponent > 9 {
            return Err(fail());
        }
        *precision = (mantissa << 4 | exponent) as u8;
    }
    if let Some(text) = words.next() {
        return Err(TextError::Surplus(String::from_utf8_lossy(text).into_owned()));
    }
    out.push(0);
    out.extend(precisions);
    for word in [latitude, longitude, altitude] {
        out.extend(word.to_be_bytes());
    }
    Ok(())
}

/// `degrees [minutes [seconds]] letter`.
fn coordinate<'a>(
    words: &mut impl Iterator<Item = &'a [u8]>,
    letters: &[u8; 2],
    degrees_max: i64,
) -> Result<u32, TextError> {
    const WHAT: &str = "degrees, minutes, seconds and a letter N, S, E or W";
    let (mut thousandths, mut parts) = (0i64, 0);
    for word in words {
        let letter = word.first().map(u8::to_ascii_uppercase).filter(|c| word.len() == 1 && letters.contains(c));
        if let Some(letter) = letter {
            if parts == 0 || thousandths > degrees_max * 3_600_000 {
                return Err(bad(WHAT, word));
            }
            let offset = if letter == letters[0] { thousandths } else { -thousandths };
            return u32::try_from(MERIDIAN + offset).map_err(|_| bad(WHAT, word));
        }
        let (digits, max, unit) = match parts {
            0 => (0, degrees_max, 3_600_000),
            1 => (0, 59, 60_000),
            2 => (3, 59, 1),
            _ => return Err(bad(WHAT, word)),
        };
        let value = decimal(word, digits, WHAT)?;
        if value < 0 || value > max * 10i64.pow(digits) + if digits > 0 { 999 } else { 0 } {
            return Err(bad(WHAT, word));
        }
        thousandths += value * unit;
        parts += 1;
    }
    Err(TextError::Missing(WHAT))
}

/// Centimetres of `12`, `12.3`, `-12.34m`.
fn metres(text: &[u8], what: &'static str) -> Result<i64, TextError> {
    decimal(text.strip_suffix(b"m").or_else(|| text.strip_suffix(b"M")).unwrap_or(text), 2, what)
}

/// A decimal number in units of its last of `digits` fraction digits.
fn decimal(text: &[u8], digits: u32, what: &'static str) -> Result<i64, TextError> {
    let fail = || bad(what, text);
    let (sign, plain) = match text {
        [b'-', tail @ ..] => (-1, tail),
        [b'+', tail @ ..] => (1, tail),
        _ => (1, text),
    };
    let (whole, fraction) = match plain.iter().position(|c| *c == b'.') {
        Some(at) => (&plain[..at], &plain[at + 1..]),
        None => (plain, &b""[..]),
    };
    if fraction.len() > digits as usize {
        return Err(fail());
    }
    let padded = [fraction, &b"000"[..digits as usize - fraction.len()]].concat();
    let whole = number(whole, what, 1 << 40)? as i64;
    let fraction = if padded.is_empty() { 0 } else { number(&padded, what, 999)? as i64 };
    Ok(sign * (whole * 10i64.pow(digits) + fraction))
}
