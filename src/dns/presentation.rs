//! Rdata in text, both ways, for every type, by the table of [`super::rdata`].
//!
//! In: rdata octets, or the tokens behind a type in a zone file or an API body. Out: the other. Used by
//! [`super::zonefile`], the record listings of `api`, `local` and tests. Never looks at owners, TTLs or classes.
//!
//! One law holds for all types: what [`rdata_text`] writes, [`parse_rdata`] reads back to the same octets. Octets
//! that the text form of their type cannot express are written as RFC 3597 §5 has it, `\# length hex`, which is
//! understood for every type. RFC 1035 §5.1, and the RFC of each type.

mod codec;
mod field;
mod service;

use std::borrow::Cow;

use super::RecordType;
use super::name::{self, NameError};
use super::rdata::{self, RDATA_OCTETS_MAX, RdataError};

pub use codec::{parse_period, unescape};

/// A piece of text between white space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    /// The characters, escapes still in place, quotes around it taken off.
    pub text: Cow<'a, [u8]>,
    /// Whether it stood in quotes.
    pub quoted: bool,
}

/// Why text is no rdata of its type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// The text ends before this field.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// Something stands behind the last field.
    #[error("nothing may follow before {0:?}")]
    Surplus(String),
    /// A field that does not read as what it has to be.
    #[error("{text:?} is not {what}")]
    Bad {
        /// What is expected, with its article.
        what: &'static str,
        /// What is there.
        text: String,
    },
    /// A name that is none.
    #[error("{text:?}: {error}")]
    Name {
        /// What is there.
        text: String,
        /// What is wrong with it.
        error: NameError,
    },
    /// Types without a text form of their own.
    #[error("type {0} is written as \\# length hex (RFC 3597)")]
    OnlyGeneric(RecordType),
    /// `\#` with a length that its hex does not have.
    #[error("\\# says {said} octets but {are} follow")]
    GenericLength {
        /// The number given.
        said: usize,
        /// The number of octets.
        are: usize,
    },
    /// The octets are no rdata of the type.
    #[error(transparent)]
    Rdata(#[from] RdataError),
    /// A quote that does not end.
    #[error("quoted string does not end")]
    OpenQuote,
}

/// The text of `rdata`; embedded names are absolute and keep their spelling.
pub fn rdata_text(rtype: RecordType, rdata: &[u8]) -> String {
    let mut text = String::new();
    let written = field::write_fields(rtype, rdata, &mut text);
    if written.is_some() && parse(rtype, &text, b"\0").as_deref() == Ok(rdata) {
        return text;
    }
    generic_text(rdata)
}

/// `\# length hex` (RFC 3597 §5).
pub fn generic_text(rdata: &[u8]) -> String {
    let mut text = format!("\\# {}", rdata.len());
    if !rdata.is_empty() {
        text.push(' ');
        codec::write_hex(rdata, &mut text);
    }
    text
}

/// [`parse_rdata`] on a text that holds only the rdata (as API bodies do).
pub fn parse(rtype: RecordType, text: &str, origin: &[u8]) -> Result<Vec<u8>, TextError> {
    parse_rdata(rtype, &tokens(text.as_bytes())?, origin)
}

/// The rdata that `tokens` describe. `origin` is an uncompressed name in wire form; it is put behind relative names
/// in its own spelling (the root makes every name absolute) and is what `@` stands for.
pub fn parse_rdata(rtype: RecordType, tokens: &[Token<'_>], origin: &[u8]) -> Result<Vec<u8>, TextError> {
    let rdata = match tokens {
        [first, rest @ ..] if !first.quoted && &*first.text == b"\\#" => parse_generic(rest)?,
        _ => field::read_fields(rtype, tokens, origin)?,
    };
    if rdata.len() > RDATA_OCTETS_MAX {
        return Err(RdataError::TooLong.into());
    }
    rdata::validate(rtype, &rdata)?;
    Ok(rdata)
}

fn parse_generic(tokens: &[Token<'_>]) -> Result<Vec<u8>, TextError> {
    let (length, hex) = tokens.split_first().ok_or(TextError::Missing("the length"))?;
    let said = codec::number(&length.text, "a length", RDATA_OCTETS_MAX as u64)? as usize;
    let octets = codec::read_hex(&codec::joined(hex))?;
    if octets.len() == said { Ok(octets) } else { Err(TextError::GenericLength { said, are: octets.len() }) }
}

/// Appends `text` as an uncompressed name: as it is if it ends in a dot, else with `origin` behind it.
pub fn parse_name(text: &[u8], origin: &[u8], out: &mut Vec<u8>) -> Result<(), TextError> {
    let fail = |error| TextError::Name { text: String::from_utf8_lossy(text).into_owned(), error };
    if text == b"@" {
        out.extend_from_slice(origin);
        return Ok(());
    }
    let start = out.len();
    let absolute = name::parse_labels(text, out).map_err(fail)?;
    out.extend_from_slice(if absolute { b"\0" } else { origin });
    if out.len() - start > name::NAME_OCTETS_MAX { Err(fail(NameError::TooLong)) } else { Ok(()) }
}

/// Splits a single line at white space; quotes hold together, a backslash takes the next character along.
pub fn tokens(line: &[u8]) -> Result<Vec<Token<'_>>, TextError> {
    let (mut out, mut at) = (Vec::new(), 0);
    while let Some(&c) = line.get(at) {
        if c.is_ascii_whitespace() {
            at += 1;
        } else {
            let (token, end) = token(line, at, b"").ok_or(TextError::OpenQuote)?;
            out.push(token);
            at = end;
        }
    }
    Ok(out)
}

/// The token at `at`, which is not white space, with the offset behind it. `stops` end an unquoted token beside
/// white space. `None`: a quote that does not end on its line.
pub(super) fn token<'a>(text: &'a [u8], at: usize, stops: &[u8]) -> Option<(Token<'a>, usize)> {
    if text[at] == b'"' {
        let end = quote_end(text, at + 1)?;
        return Some((Token { text: text[at + 1..end].into(), quoted: true }, end + 1));
    }
    let mut end = at;
    // key="value" of SvcParams: the quotes go, what they held together stays one token (RFC 9460 §2.1)
    let mut joined: Option<Vec<u8>> = None;
    while let Some(&c) = text.get(end) {
        match c {
            b'\\' => {
                let pair = &text[end..text.len().min(end + 2)];
                joined.iter_mut().for_each(|j| j.extend_from_slice(pair));
                end += pair.len();
            }
            b'"' if end > at && text[end - 1] == b'=' && joined.is_none() => {
                let close = quote_end(text, end + 1)?;
                joined = Some([&text[at..end], &text[end + 1..close]].concat());
                end = close + 1;
            }
            _ if c.is_ascii_whitespace() || stops.contains(&c) => break,
            _ => {
                joined.iter_mut().for_each(|j| j.push(c));
                end += 1;
            }
        }
    }
    let whole = joined.map_or(Cow::Borrowed(&text[at..end]), Cow::Owned);
    Some((Token { text: whole, quoted: false }, end))
}

fn quote_end(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match text.get(at)? {
            b'"' => return Some(at),
            b'\n' => return None,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests;
