//! The small codes that fields of many types share: numbers, hex, base32hex, base64, strings, periods, times.

use std::fmt::Write;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::{TextError, Token};

/// Zone files come with and without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
const BASE32HEX: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";

pub(super) fn bad(what: &'static str, text: &[u8]) -> TextError {
    TextError::Bad { what, text: String::from_utf8_lossy(text).into_owned() }
}

pub(super) fn number(text: &[u8], what: &'static str, max: u64) -> Result<u64, TextError> {
    let digits = std::str::from_utf8(text).ok().filter(|t| t.bytes().all(|c| c.is_ascii_digit()));
    digits.and_then(|t| t.parse().ok()).filter(|n| *n <= max).ok_or_else(|| bad(what, text))
}

/// The texts of all tokens in one, as hex and base64 may be broken by white space.
pub(super) fn joined(tokens: &[Token<'_>]) -> Vec<u8> {
    tokens.iter().flat_map(|t| t.text.iter().copied()).collect()
}

pub(super) fn write_hex(octets: &[u8], out: &mut String) {
    for octet in octets {
        let _ = write!(out, "{octet:02X}");
    }
}

pub(super) fn read_hex(text: &[u8]) -> Result<Vec<u8>, TextError> {
    let digit = |c: u8| (c as char).to_digit(16).ok_or_else(|| bad("hex", text));
    if !text.len().is_multiple_of(2) {
        return Err(bad("hex with an even number of digits", text));
    }
    text.chunks_exact(2).map(|pair| Ok((digit(pair[0])? << 4 | digit(pair[1])?) as u8)).collect()
}

pub(super) fn write_base64(octets: &[u8], out: &mut String) {
    BASE64.encode_string(octets, out);
}

pub(super) fn read_base64(text: &[u8]) -> Result<Vec<u8>, TextError> {
    BASE64.decode(text).map_err(|_| bad("base64", text))
}

/// RFC 4648 §7 without padding, as RFC 5155 §3.3 wants.
pub(super) fn write_base32hex(octets: &[u8], out: &mut String) {
    let (mut bits, mut have) = (0u32, 0);
    for &octet in octets {
        bits = bits << 8 | octet as u32;
        have += 8;
        while have >= 5 {
            have -= 5;
            out.push(BASE32HEX[(bits >> have & 31) as usize] as char);
        }
    }
    if have > 0 {
        out.push(BASE32HEX[(bits << (5 - have) & 31) as usize] as char);
    }
}

pub(super) fn read_base32hex(text: &[u8]) -> Result<Vec<u8>, TextError> {
    let (mut out, mut bits, mut have) = (Vec::new(), 0u32, 0);
    for c in text.to_ascii_lowercase() {
        let digit = BASE32HEX.iter().position(|d| *d == c).ok_or_else(|| bad("base32hex", text))?;
        bits = bits << 5 | digit as u32;
        have += 5;
        if have >= 8 {
            have -= 8;
            out.push((bits >> have) as u8);
        }
    }
    Ok(out)
}

/// Takes the escapes of RFC 1035 §5.1 out: `\DDD` and `\x`.
pub fn unescape(text: &[u8]) -> Result<Vec<u8>, TextError> {
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text);
    loop {
        match rest {
            [] => return Ok(out),
            [b'\\', a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', tail @ ..] => {
                let value = (a - b'0') as u32 * 100 + (b - b'0') as u32 * 10 + (c - b'0') as u32;
                out.push(u8::try_from(value).map_err(|_| bad("a string with escapes up to \\255", text))?);
                rest = tail;
            }
            [b'\\', c, tail @ ..] if !c.is_ascii_digit() => {
                out.push(*c);
                rest = tail;
            }
            [b'\\', ..] => return Err(bad("a string with whole escapes", text)),
            [c, tail @ ..] => {
                out.push(*c);
                rest = tail;
            }
        }
    }
}

/// Writes octets between quotes.
pub(super) fn write_quoted(octets: &[u8], out: &mut String) {
    out.push('"');
    for &c in octets {
        match c {
            b'"' | b'\\' => out.extend(['\\', c as char]),
            0x20..=0x7e => out.push(c as char),
            _ => {
                let _ = write!(out, "\\{c:03}");
            }
        }
    }
    out.push('"');
}

/// Writes octets without quotes.
pub(super) fn write_bare(octets: &[u8], out: &mut String) {
    for &c in octets {
        match c {
            b'"' | b'\\' | b';' | b'(' | b')' => out.extend(['\\', c as char]),
            0x21..=0x7e => out.push(c as char),
            _ => {
                let _ = write!(out, "\\{c:03}");
            }
        }
    }
}

/// Seconds, plain or with units: `3600`, `1h`, `1w2d3h4m5s` in any case.
pub fn parse_period(text: &[u8]) -> Result<u32, TextError> {
    let fail = || bad("a number of seconds (or 1w2d3h4m5s)", text);
    if text.iter().all(u8::is_ascii_digit) {
        return Ok(number(text, "a number of seconds (or 1w2d3h4m5s)", u32::MAX as u64)? as u32);
    }
    let (mut total, mut count, mut digits) = (0u64, 0u64, 0);
    for c in text {
        let unit = match c.to_ascii_lowercase() {
            digit @ b'0'..=b'9' => {
                count = count.saturating_mul(10).saturating_add((digit - b'0') as u64);
                digits += 1;
                continue;
            }
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'd' => 86_400,
            b'w' => 604_800,
            _ => return Err(fail()),
        };
        if digits == 0 {
            return Err(fail());
        }
        total = total.saturating_add(count.saturating_mul(unit));
        (count, digits) = (0, 0);
    }
    if digits > 0 { Err(fail()) } else { u32::try_from(total).map_err(|_| fail()) }
}

const TIME: &str = "a time (YYYYMMDDHHmmSS, or seconds since 1970)";

/// RFC 4034 §3.2: `YYYYMMDDHHmmSS`, or seconds since 1970; 14 digits tell the two apart.
pub(super) fn read_time(text: &[u8]) -> Result<u32, TextError> {
    if text.len() != 14 {
        return Ok(number(text, TIME, u32::MAX as u64)? as u32);
    }
    let part = |from: usize, to: usize| number(&text[from..to], TIME, 9999).map(|n| n as i16);
    let time = jiff::civil::DateTime::new(
        part(0, 4)?,
        part(4, 6)? as i8,
        part(6, 8)? as i8,
        part(8, 10)? as i8,
        part(10, 12)? as i8,
        part(12, 14)? as i8,
        0,
    );
    let seconds = time.and_then(|t| t.to_zoned(jiff::tz::TimeZone::UTC)).map_err(|_| bad(TIME, text))?;
    // times are serials: years past 2106 wrap (RFC 4034 §3.1.5)
    Ok(seconds.timestamp().as_second() as u32)
}

pub(super) fn write_time(seconds: u32, out: &mut String) {
    let time = jiff::Timestamp::from_second(seconds as i64).expect("32 bits of seconds are a time");
    let _ = write!(out, "{}", time.strftime("%Y%m%d%H%M%S"));
}
