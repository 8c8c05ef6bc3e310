//! Zone files: text -> records, records -> text (RFC 1035 §5, RFC 2308 §4 `$TTL`, RFC 3597 §5).
//!
//! In: a whole file as text. Out: its records in the order of the file, or every line that is wrong. Called by the
//! demo, the API's import and export, and tests. Never opens a file: `$INCLUDE` is refused, as is `$GENERATE`.
//! Knows no zone rules: owners outside the origin, a missing SOA or two of them are for `zone::check`.

use std::fmt::{self, Write};

use super::name::NameError;
use super::presentation::{self, TextError, Token};
use super::{Name, Record, RecordRef, RecordType, rdata};

/// Lines reported at most; a file that is no zone file at all needs no longer list.
pub const ERRORS_MAX: usize = 100;
/// Largest TTL (RFC 2181 §8).
const TTL_MAX: u32 = i32::MAX as u32;

/// What is wrong at a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct LineError {
    /// Counted from 1; of a record over several lines, its first.
    pub line: usize,
    /// What.
    pub what: EntryError,
}

/// Why an entry of a zone file is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// A string in quotes that does not end on its line.
    #[error("quoted string does not end on its line")]
    OpenQuote,
    /// Parentheses that do not match.
    #[error("parentheses do not match")]
    Parentheses,
    /// A line of a record without owner, and no record before it.
    #[error("no owner, and no record before it to take one from")]
    NoOwner,
    /// Nothing but an owner.
    #[error("no record type")]
    NoType,
    /// A word where the type should be that is none.
    #[error("unknown record type {0:?}")]
    UnknownType(String),
    /// A type that cannot be zone data.
    #[error("type {0} cannot be zone data")]
    MetaType(RecordType),
    /// A class other than IN.
    #[error("class {0} is not IN")]
    Class(String),
    /// Neither the record, nor `$TTL`, nor a record before gives a TTL.
    #[error("no TTL, and none to take over ($TTL)")]
    NoTtl,
    /// Above 2^31 - 1 (RFC 2181 §8).
    #[error("TTL above 2147483647")]
    TtlTooLarge,
    /// `$INCLUDE`, `$GENERATE` and what nobody knows.
    #[error("{0} is not supported")]
    Directive(String),
    /// The fields of the record or directive.
    #[error(transparent)]
    Text(#[from] TextError),
}

/// Reads a whole zone file. `origin` holds until the first `$ORIGIN`. O(text).
///
/// Owners are folded; names in rdata keep the spelling of the file (and of `$ORIGIN`).
pub fn parse(text: impl AsRef<[u8]>, origin: &Name) -> Result<Vec<Record>, Vec<LineError>> {
    Ok(parse_numbered(text, origin)?.into_iter().map(|(_, record)| record).collect())
}

/// U+FEFF in UTF-8, which some editors put before all text (RFC 3629 §6); no zone begins with it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// As [`parse`], each record with the number of its first line, for those who find fault with it later.
pub fn parse_numbered(text: impl AsRef<[u8]>, origin: &Name) -> Result<Vec<(usize, Record)>, Vec<LineError>> {
    let text = text.as_ref();
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let mut entries = Entries { text, at: 0, line: 1 };
    let mut reader = Reader {
        origin: origin.as_wire().to_vec(),
        owner: None,
        default_ttl: None,
        last_ttl: None,
        records: Vec::new(),
    };
    let (mut errors, mut lines) = (Vec::new(), Vec::new());
    while let Some((line, entry)) = entries.next() {
        if let Err(what) = entry.and_then(|entry| reader.entry(&entry)) {
            errors.push(LineError { line, what });
            if errors.len() == ERRORS_MAX {
                break;
            }
        }
        // Directives give no record.
        lines.resize(reader.records.len(), line);
    }
    if errors.is_empty() { Ok(lines.into_iter().zip(reader.records).collect()) } else { Err(errors) }
}

/// Appends one line: owner, TTL, class, type and rdata, names absolute.
pub fn write_record(record: RecordRef<'_>, out: &mut String) {
    let _ = super::name::write_presentation(record.owner, out);
    let text = presentation::rdata_text(record.rtype, record.rdata);
    let _ = writeln!(out, "\t{}\tIN\t{}\t{text}", record.ttl, record.rtype);
}

/// A zone file of `records` in their order; put the SOA first.
pub fn write<'a>(records: impl IntoIterator<Item = RecordRef<'a>>) -> String {
    let mut out = String::new();
    records.into_iter().for_each(|record| write_record(record, &mut out));
    out
}

impl fmt::Display for Record {
    /// A line of a zone file, without line end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = String::new();
        write_record(self.borrow(), &mut line);
        f.write_str(line.trim_end())
    }
}

/// One logical line.
struct Entry<'a> {
    /// It began with white space: the owner is that of the record before.
    indented: bool,
    tokens: Vec<Token<'a>>,
}

/// Cuts the text into logical lines: comments go, parentheses join lines (RFC 1035 §5.1).
struct Entries<'a> {
    text: &'a [u8],
    at: usize,
    line: usize,
}

impl<'a> Entries<'a> {
    /// The next entry that is not empty, with its first line. After an error it goes on behind that line.
    fn next(&mut self) -> Option<(usize, Result<Entry<'a>, EntryError>)> {
        while self.at < self.text.len() {
            let line = self.line;
            match self.entry() {
                Ok(entry) if entry.tokens.is_empty() => {}
                Ok(entry) => return Some((line, Ok(entry))),
                Err(error) => {
                    self.skip_line();
                    return Some((line, Err(error)));
                }
            }
        }
        None
    }

    fn entry(&mut self) -> Result<Entry<'a>, EntryError> {
        let indented = matches!(self.text[self.at], b' ' | b'\t');
        let (mut tokens, mut depth) = (Vec::new(), 0usize);
        while let Some(&c) = self.text.get(self.at) {
            match c {
                b'\n' => {
                    self.at += 1;
                    self.line += 1;
                    if depth == 0 {
                        return Ok(Entry { indented, tokens });
                    }
                }
                b';' => self.at += self.text[self.at..].iter().take_while(|c| **c != b'\n').count(),
                b'(' => {
                    depth += 1;
                    self.at += 1;
                }
                b')' => {
                    depth = depth.checked_sub(1).ok_or(EntryError::Parentheses)?;
                    self.at += 1;
                }
                _ if c.is_ascii_whitespace() => self.at += 1,
                _ => {
                    let (token, end) = presentation::token(self.text, self.at, b";()").ok_or(EntryError::OpenQuote)?;
                    tokens.push(token);
                    self.at = end;
                }
            }
        }
        if depth > 0 { Err(EntryError::Parentheses) } else { Ok(Entry { indented, tokens }) }
    }

    fn skip_line(&mut self) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        match rest.iter().position(|c| *c == b'\n') {
            Some(end) => {
                self.at += end + 1;
                self.line += 1;
            }
            None => self.at = self.text.len(),
        }
    }
}

struct Reader {
    /// Wire form in its own spelling.
    origin: Vec<u8>,
    owner: Option<Name>,
    default_ttl: Option<u32>,
    last_ttl: Option<u32>,
    records: Vec<Record>,
}

impl Reader {
    fn entry(&mut self, entry: &Entry<'_>) -> Result<(), EntryError> {
        let tokens = &entry.tokens[..];
        match &tokens[0] {
            first if !entry.indented && !first.quoted && first.text.starts_with(b"$") => {
                self.directive(&first.text, &tokens[1..])
            }
            first if !entry.indented => {
                self.owner = None;
                self.owner = Some(self.name(&first.text)?);
                self.record(&tokens[1..])
            }
            _ => self.record(tokens),
        }
    }

    fn name(&self, text: &[u8]) -> Result<Name, EntryError> {
        let mut wire = Vec::new();
        presentation::parse_name(text, &self.origin, &mut wire)?;
        Name::from_wire(&wire).map_err(|error| name_error(text, error))
    }

    fn directive(&mut self, word: &[u8], arguments: &[Token<'_>]) -> Result<(), EntryError> {
        let argument = || arguments.first().map(|token| &*token.text);
        match word.to_ascii_uppercase().as_slice() {
            b"$ORIGIN" => {
                let mut wire = Vec::new();
                let text = argument().ok_or(TextError::Missing("a name"))?;
                presentation::parse_name(text, &self.origin, &mut wire)?;
                Name::from_wire(&wire).map_err(|error| name_error(text, error))?;
                self.origin = wire;
            }
            b"$TTL" => {
                let text = argument().ok_or(TextError::Missing("a number of seconds"))?;
                self.default_ttl = Some(ttl(text)?);
            }
            other => return Err(EntryError::Directive(String::from_utf8_lossy(other).into_owned())),
        }
        match arguments.get(1) {
            None => Ok(()),
            Some(more) => Err(TextError::Surplus(String::from_utf8_lossy(&more.text).into_owned()).into()),
        }
    }

    /// `[TTL] [class] type rdata`, TTL and class in either order.
    fn record(&mut self, mut tokens: &[Token<'_>]) -> Result<(), EntryError> {
        let owner = self.owner.clone().ok_or(EntryError::NoOwner)?;
        let (mut explicit_ttl, mut class_seen) = (None, false);
        let rtype = loop {
            let (first, rest) = tokens.split_first().ok_or(EntryError::NoType)?;
            tokens = rest;
            let word = String::from_utf8_lossy(&first.text).to_ascii_uppercase();
            if explicit_ttl.is_none() && word.starts_with(|c: char| c.is_ascii_digit()) {
                explicit_ttl = Some(ttl(&first.text)?);
            } else if !class_seen && matches!(word.as_str(), "IN" | "CLASS1") {
                class_seen = true;
            } else if matches!(word.as_str(), "CH" | "HS" | "CS") || word.starts_with("CLASS") {
                return Err(EntryError::Class(word));
            } else {
                break word.parse::<RecordType>().map_err(|_| EntryError::UnknownType(word))?;
            }
        };
        if rtype.is_meta() {
            return Err(EntryError::MetaType(rtype));
        }
        let rdata = presentation::parse_rdata(rtype, tokens, &self.origin)?;
        let ttl = explicit_ttl
            .or(self.default_ttl)
            .or(self.last_ttl)
            // RFC 1035 §3.3.13 made MINIMUM the lower bound of all TTLs; files without $TTL rely on it
            .or_else(|| (rtype == RecordType::SOA).then(|| soa_minimum(&rdata)))
            .ok_or(EntryError::NoTtl)?;
        self.last_ttl = Some(ttl);
        self.records.push(Record { owner, rtype, ttl, rdata: rdata.into() });
        Ok(())
    }
}

fn ttl(text: &[u8]) -> Result<u32, EntryError> {
    let seconds = presentation::parse_period(text)?;
    if seconds > TTL_MAX { Err(EntryError::TtlTooLarge) } else { Ok(seconds) }
}

fn soa_minimum(soa: &[u8]) -> u32 {
    debug_assert!(rdata::validate(RecordType::SOA, soa).is_ok());
    let minimum: [u8; 4] = *soa.last_chunk().expect("a SOA ends with MINIMUM");
    u32::from_be_bytes(minimum).min(TTL_MAX)
}

fn name_error(text: &[u8], error: NameError) -> EntryError {
    TextError::Name { text: String::from_utf8_lossy(text).into_owned(), error }.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(text: &str) -> Vec<String> {
        match parse(text, &"example.".parse().expect("name")) {
            Ok(records) => records.iter().map(|r| r.to_string().replace('\t', " ")).collect(),
            Err(errors) => errors.iter().map(LineError::to_string).collect(),
        }
    }

    /// RFC 3629 §6: U+FEFF "as the first character of a stream" is a signature. Editors on Windows write it.
    #[test]
    fn a_byte_order_mark_at_the_start_is_no_part_of_the_first_line() {
        let text = "@ 60 IN NS a.b.\r\n";
        assert_eq!(lines(&format!("\u{feff}{text}")), lines(text));
        assert_eq!(lines("\u{feff}$TTL 60\r\n@ NS a.b.\r\n"), ["example. 60 IN NS a.b."]);
        assert_ne!(lines(&format!("{text}\u{feff}{text}")), lines(text), "only there");
    }

    /// RFC 1035 §5.1 with what everyone adds to it.
    #[test]
    fn records_take_what_they_leave_out_from_before() {
        let text = "$TTL 1h ; comment\n\
            @ IN SOA ns hostmaster ( 1 ; serial\n  2 3\n 4 5 )\n\
            \tNS ns\n\
            ns 60 IN A 192.0.2.1\n\
            \tIN 1m AAAA 2001:db8::1\n\
            $ORIGIN Sub\n\
            a MX 10 @\n\
            *.b.example. TXT \"a;b\" c\\;d (\"(e)\"\n)\n\
            x TYPE65280 \\# 1 00";
        assert_eq!(
            lines(text),
            [
                "example. 3600 IN SOA ns.example. hostmaster.example. 1 2 3 4 5",
                "example. 3600 IN NS ns.example.",
                "ns.example. 60 IN A 192.0.2.1",
                "ns.example. 60 IN AAAA 2001:db8::1",
                "a.sub.example. 3600 IN MX 10 Sub.example.",
                "*.b.example. 3600 IN TXT \"a;b\" \"c;d\" \"(e)\"",
                "x.sub.example. 3600 IN TYPE65280 \\# 1 00",
            ]
        );
    }

    #[test]
    fn without_ttl_the_last_one_holds_and_first_the_minimum_of_the_soa() {
        let text = "@ SOA a b 1 2 3 4 77\n@ NS a\na 60 A 192.0.2.1\nb A 192.0.2.2\n";
        let ttls: Vec<u32> = parse(text, &Name::root()).expect("parses").iter().map(|record| record.ttl).collect();
        assert_eq!(ttls, [77, 77, 60, 60]);
    }

    #[test]
    fn every_wrong_line_is_named_with_what_is_wrong() {
        let text = " A 192.0.2.1\n\
            $TTL 60\n\
            $INCLUDE other.zone\n\
            $GENERATE 1-2 a A 192.0.2.$\n\
            a CH TXT x\n\
            a A (\n192.0.2\n)\n\
            b TXT \"open\n\
            c NOPE x\n\
            d OPT \\# 0\n\
            e 1h\n\
            f 2147483648 A 192.0.2.1\n\
            g A 192.0.2.1 )\n\
            h A 192.0.2.1\n\
            i A ( 192.0.2.1\n";
        assert_eq!(
            lines(text),
            [
                "line 1: no owner, and no record before it to take one from",
                "line 3: $INCLUDE is not supported",
                "line 4: $GENERATE is not supported",
                "line 5: class CH is not IN",
                "line 6: \"192.0.2\" is not an IPv4 address",
                "line 9: quoted string does not end on its line",
                "line 10: unknown record type \"NOPE\"",
                "line 11: type OPT cannot be zone data",
                "line 12: no record type",
                "line 13: TTL above 2147483647",
                "line 14: parentheses do not match",
                "line 16: parentheses do not match",
            ]
        );
    }

    #[test]
    fn a_record_below_a_bad_owner_does_not_fall_to_the_owner_before() {
        assert_eq!(
            lines("$TTL 1\na A 192.0.2.1\nb..c A 192.0.2.2\n A 192.0.2.3\n"),
            ["line 3: \"b..c\": empty label", "line 4: no owner, and no record before it to take one from"]
        );
    }

    #[test]
    fn what_is_written_reads_back() {
        let text =
            "$TTL 5\n@ SOA a b 1 2 3 4 5\n\\@ TXT \"\\\"\"\n\\000.a\\.b NS \\(\n\\$x A 192.0.2.1\n1 A 192.0.2.2\n";
        let records = parse(text, &"example.".parse().expect("name")).expect("parses");
        let written = write(records.iter().map(Record::borrow));
        assert_eq!(parse(&written, &Name::root()), Ok(records), "{written}");
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "([ -~\\n\\t\"();\\\\$@]|IN |SOA |A |60 |\\$TTL |\\$ORIGIN ){0,60}") {
            let _ = parse(&text, &Name::root());
        }
    }
}
