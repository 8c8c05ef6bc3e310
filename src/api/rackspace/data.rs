//! The `data` of records: host names without final dot, the priority apart, texts raw.

use crate::api::content::content;
use crate::dns::{RecordType, presentation};
use crate::local::content::{ContentError, joined_text, raw_text, read};

/// Data, and the priority of the types that have one.
pub(super) fn data(rtype: RecordType, rdata: &[u8]) -> (String, Option<u16>) {
    match rtype {
        RecordType::TXT | RecordType::SPF => {
            (plain_text(rdata).unwrap_or_else(|| presentation::rdata_text(rtype, rdata)), None)
        }
        RecordType::URI => (presentation::rdata_text(rtype, rdata), None),
        _ => {
            let (text, priority) = content(rtype, rdata);
            (text, has_priority(rtype).then_some(priority))
        }
    }
}

/// Whether the priority stands apart.
pub(super) fn has_priority(rtype: RecordType) -> bool {
    matches!(rtype, RecordType::MX | RecordType::SRV)
}

/// All strings of a text joined, if that is a text which cannot be taken for one in quotes.
fn plain_text(rdata: &[u8]) -> Option<String> {
    let text = String::from_utf8(joined_text(rdata)).ok()?;
    let is_plain = !text.trim_start().starts_with('"') && !text.chars().any(char::is_control);
    is_plain.then_some(text)
}

/// The rdata that clients of this dialect mean. SRV may leave weight and port out, a text in quotes is without them.
pub(super) fn rdata(rtype: RecordType, data: &str, priority: u16) -> Result<Vec<u8>, ContentError> {
    match rtype {
        RecordType::SRV => {
            let fields: Vec<&str> = data.split_ascii_whitespace().collect();
            let text = match fields[..] {
                [target] => format!("0 0 {target}"),
                [port, target] => format!("0 {port} {target}"),
                [weight, port, target, ..] => format!("{weight} {port} {target}"),
                [] => String::new(),
            };
            read(rtype, &text, priority)
        }
        RecordType::TXT | RecordType::SPF => {
            let in_quotes = data.trim_start().starts_with('"').then(|| read(rtype, data, 0).ok()).flatten();
            in_quotes.map_or_else(|| raw_text(data.as_bytes()), Ok)
        }
        RecordType::URI => Ok(presentation::parse(rtype, data, b"\0")?),
        _ => read(rtype, data, priority),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(data: &str) -> (Vec<u8>, String) {
        let octets = rdata(RecordType::TXT, data, 0).expect(data);
        let shown = super::data(RecordType::TXT, &octets).0;
        assert_eq!(joined_text(&rdata(RecordType::TXT, &shown, 0).expect("read back")), joined_text(&octets), "{data}");
        (joined_text(&octets), shown)
    }

    #[test]
    fn a_text_is_raw_unless_it_is_in_quotes() {
        assert_eq!(text("a; b = \\ c"), (b"a; b = \\ c".to_vec(), "a; b = \\ c".to_owned()));
        assert_eq!(text("\"a \\\"b\\\"\""), (b"a \"b\"".to_vec(), "a \"b\"".to_owned()));
        assert_eq!(text("\"a\" \"b\"").1, "ab");
        assert_eq!(text("\"a\" b").0, b"\"a\" b");
        assert_eq!(text("\"\\\"a\\\"\""), (b"\"a\"".to_vec(), "\"\\\"a\\\"\"".to_owned()));
        assert_eq!(
            text("a\nb\tc"),
            (b"a\nb\tc".to_vec(), "\"a\\010b\\009c\"".to_owned()),
            "control characters are shown in quotes"
        );
        assert_eq!(text("ü"), ("ü".as_bytes().to_vec(), "ü".to_owned()));
        assert_eq!(text(&"x".repeat(600)).1.len(), 600);
        assert_eq!(data(RecordType::TXT, b"\x02\xff\x01"), ("\"\\255\\001\"".to_owned(), None));
    }

    #[test]
    fn a_service_may_leave_weight_and_port_out() {
        let shown = |text: &str| data(RecordType::SRV, &rdata(RecordType::SRV, text, 7).expect(text));
        assert_eq!(shown("1 3443 sip.example.com."), ("1 3443 sip.example.com".to_owned(), Some(7)));
        assert_eq!(shown("3443 sip.example.com").0, "0 3443 sip.example.com");
        assert_eq!(shown("sip.example.com").0, "0 0 sip.example.com");
        assert_eq!(shown("1 2 sip.example.com more").0, "1 2 sip.example.com");
        assert!(rdata(RecordType::SRV, "", 0).is_err());
    }
}
