//! What a primary says beside the records: the OPT record of an answer whose TSIG record has been cut off.
//!
//! Called by `probe` and `inbound`. A broken additional section costs what it would have said, never the answer.
//! RFC 7314 (EXPIRE), RFC 8914 (extended errors).

use crate::dns::RecordType;
use crate::dns::edns::{Opt, option};
use crate::dns::message::{self, Header};

/// Most octets kept of the text of an extended error.
const TEXT_OCTETS_MAX: usize = 200;

/// The OPT record behind `at`, where the answer section ends. The header still counts a TSIG record that is no longer
/// there, so the end of the message is no error here.
pub(super) fn opt_behind(message: &[u8], at: usize, header: Header) -> Option<Opt> {
    let count = header.authorities as usize + header.additionals as usize;
    let opt = message::records(message, at, count).flatten().find(|record| record.rtype == RecordType::OPT)?;
    Opt::from_record(message, &opt).ok()
}

/// As [`opt_behind`], over all sections.
pub(super) fn opt_in(message: &[u8], header: Header) -> Option<Opt> {
    let mut records =
        message::records(message, message::skip_questions(message, header).ok()?, header.answers as usize);
    records.by_ref().for_each(drop);
    opt_behind(message, records.offset(), header)
}

/// What an answer says beside its records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// It speaks EDNS.
    pub edns: bool,
    /// Seconds until the primary's own copy expires (RFC 7314).
    pub expire_secs: Option<u32>,
    /// Its extended error: code, and text without control characters.
    pub error: Option<(u16, String)>,
}

impl Said {
    /// Of a message whose answer section need not be read.
    pub fn in_message(message: &[u8]) -> Said {
        Header::read(message)
            .ok()
            .and_then(|header| opt_in(message, header))
            .as_ref()
            .map_or_else(Said::default, Said::by)
    }

    pub(super) fn by(opt: &Opt) -> Said {
        Said { edns: true, expire_secs: opt.expire(), error: extended_error(opt) }
    }
}

/// The first extended error: its code, and its text as valid UTF-8 without control characters.
fn extended_error(opt: &Opt) -> Option<(u16, String)> {
    let (code, text) = opt.option(option::EXTENDED_ERROR)?.split_first_chunk()?;
    let text = String::from_utf8_lossy(&text[..text.len().min(TEXT_OCTETS_MAX)]);
    Some((u16::from_be_bytes(*code), text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::edns::ExtendedError;

    /// RFC 8945 §5.3: the TSIG record is removed before the message is read, but ARCOUNT is that of the wire.
    #[test]
    fn an_opt_record_is_found_before_a_tsig_record_that_was_cut() {
        let mut message = message::query(1, &"example".parse().expect("name"), RecordType::SOA, None);
        Opt::default().with_option(option::EXPIRE, &9u32.to_be_bytes()).append(&mut message);
        message[11] = 2;
        let header = Header::read(&message).expect("header");
        assert_eq!(opt_in(&message, header).and_then(|opt| opt.expire()), Some(9));
    }

    #[test]
    fn an_extended_error_is_bounded_and_holds_no_control_characters() {
        let opt = Opt::default().with_error(ExtendedError::PROHIBITED, &format!("a\n\x1b{}", "x".repeat(500)));
        let (code, text) = extended_error(&opt).expect("one");
        assert_eq!((code, text.chars().count()), (18, TEXT_OCTETS_MAX));
        assert!(text.starts_with("a\u{fffd}\u{fffd}x"), "{text}");
        assert_eq!(extended_error(&Opt::default()), None);
    }
}
