//! Absolute domain names in wire form, lower case.
//!
//! A [`Name`] is what the program reasons about: zone names, owners, key names. Names inside rdata keep the spelling
//! in which they came and stay raw bytes in the rdata (see [`super::rdata`]); a query's own spelling stays in the
//! query. RFC 1035 §3.1, RFC 4343 (case), RFC 4034 §6.1 (canonical order).

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Octets of the longest name, root label included (RFC 1035 §3.1).
pub const NAME_OCTETS_MAX: usize = 255;
/// Octets of the longest label.
pub const LABEL_OCTETS_MAX: usize = 63;
/// Most labels a name can have, the root label not counted.
pub const LABELS_MAX: usize = 127;

/// Why bytes or text are no domain name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The name does not end inside the message.
    #[error("name runs past the end of the message")]
    Truncated,
    /// A compression pointer that does not point backwards (RFC 1035 §4.1.4).
    #[error("compression pointer does not point backwards")]
    BadPointer,
    /// A label type other than "literal" or "pointer".
    #[error("label type is not known")]
    BadLabelType,
    /// More than 255 octets.
    #[error("name is longer than 255 octets")]
    TooLong,
    /// More than 63 octets.
    #[error("label is longer than 63 octets")]
    LabelTooLong,
    /// `a..b` or a leading dot.
    #[error("empty label")]
    EmptyLabel,
    /// A backslash without a character or three digits up to 255 behind it.
    #[error("bad escape sequence")]
    BadEscape,
}

/// An absolute name: uncompressed wire form with its final root label, ASCII letters in lower case; 1..=255 octets.
/// Clones share them: each zone's apex stands in a dozen places.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Name(Arc<[u8]>);

impl Name {
    /// The root, one zero octet.
    pub fn root() -> Name {
        Name(Arc::new([0]))
    }

    /// Reads the name at `offset` of `message`, following compression pointers, and folds its case.
    /// Returns it with the offset just behind its occurrence (behind the pointer, if there is one).
    pub fn read(message: &[u8], offset: usize) -> Result<(Name, usize), NameError> {
        let mut wire = Vec::with_capacity(64);
        let end = expand_into(message, offset, &mut wire)?;
        wire.make_ascii_lowercase();
        Ok((Name(wire.into()), end))
    }

    /// Takes exactly one uncompressed name, in any case.
    pub fn from_wire(wire: &[u8]) -> Result<Name, NameError> {
        let end = wire_len(wire)?;
        if end != wire.len() {
            return Err(NameError::Truncated);
        }
        Ok(Name(wire.to_ascii_lowercase().into()))
    }

    /// The wire form: labels with their length octets and the final zero.
    pub fn as_wire(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.len() == 1
    }

    /// Labels without their length octets, leftmost first, the root label not included.
    pub fn labels(&self) -> Labels<'_> {
        Labels { rest: &self.0 }
    }

    /// Why it cannot be the name of a host that NS, MX and the like refer to; `None` if it can (RFC 1123 §2.1, and `_`,
    /// which is in use).
    pub fn host_fault(&self) -> Option<&'static str> {
        if self.is_root() {
            return Some("must be a host name");
        }
        for label in self.labels() {
            // '/' stands in the targets of RFC 2317 CNAMEs.
            if !label.iter().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'/')) {
                return Some("host names are made of letters, digits, '-' and '_'; write others as A-labels (xn--...)");
            }
            if label.starts_with(b"-") || label.ends_with(b"-") {
                return Some("a label of a host name does not begin or end with '-'");
            }
        }
        if self.labels().any(|label| label.contains(&b'/')) && self.labels().last() != Some(b"arpa") {
            return Some("'/' stands in reverse names only");
        }
        if self.labels().all(|label| label.iter().all(u8::is_ascii_digit)) {
            return Some("must be a host name, not an address");
        }
        None
    }

    /// Labels, the root label not counted; 0..=127.
    pub fn label_count(&self) -> usize {
        self.labels().count()
    }

    /// Whether `self` is `ancestor` or lies below it.
    pub fn is_at_or_below(&self, ancestor: &Name) -> bool {
        let (mine, theirs) = (self.label_count(), ancestor.label_count());
        mine >= theirs && self.strip_left(mine - theirs) == ancestor.as_wire()
    }

    /// The wire form without its `labels` leftmost labels; the root alone if there are no more.
    pub fn strip_left(&self, labels: usize) -> &[u8] {
        let mut rest: &[u8] = &self.0;
        for _ in 0..labels {
            if rest[0] == 0 {
                break;
            }
            rest = &rest[1 + rest[0] as usize..];
        }
        rest
    }

    /// The name one label up; `None` for the root.
    pub fn parent(&self) -> Option<Name> {
        (!self.is_root()).then(|| Name(self.strip_left(1).into()))
    }

    /// The labels of `self` left of `apex`, in wire form without a final zero (empty for the apex itself);
    /// `None` if `self` does not lie at or below `apex`.
    pub fn relative_to(&self, apex: &Name) -> Option<&[u8]> {
        self.is_at_or_below(apex).then(|| &self.0[..self.0.len() - apex.0.len()])
    }

    /// `relative` (labels without a final zero, as from [`Name::relative_to`]) put before `apex`.
    pub fn from_relative(relative: &[u8], apex: &Name) -> Result<Name, NameError> {
        let wire = [relative, apex.as_wire()].concat();
        Name::from_wire(&wire)
    }

    /// Canonical order of RFC 4034 §6.1: by label from the right, absent before any label, octets unsigned.
    pub fn canonical_cmp(&self, other: &Name) -> Ordering {
        // Names that are compared mostly end alike, as those of one zone do: only the labels before that end decide.
        let same = common_end(&self.0, &other.0);
        let (mut mine, mut others) = (End::of(&self.0), End::of(&other.0));
        loop {
            if mine.len() > same || mine.len() > others.len() {
                mine.drop_label();
            } else if others.len() > same || others.len() > mine.len() {
                others.drop_label();
            } else {
                return mine.label_before().cmp(&others.label_before());
            }
        }
    }

    /// Presentation form without the final dot (as the REST API shows names); the root is `.`.
    pub fn without_dot(&self) -> String {
        let text = self.to_string();
        if text.len() > 1 { text[..text.len() - 1].to_owned() } else { text }
    }
}

/// Whether two names in lower case, or the same parts of two, are equal. Names are so short that calling the general
/// comparison costs more than this.
#[inline]
pub fn is_same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    match (a.first_chunk::<8>(), b.first_chunk::<8>(), a.last_chunk::<8>(), b.last_chunk::<8>()) {
        // the last eight overlap what has been compared
        (Some(a_first), Some(b_first), Some(a_last), Some(b_last)) => {
            a_first == b_first && a_last == b_last && (a.len() <= 16 || a == b)
        }
        _ => a.iter().zip(b).all(|(a, b)| a == b),
    }
}

/// Where each label of `wire` begins (at its length octet), leftmost first; stops at a zero octet or at the end.
/// `wire` is a checked name of at most 255 octets.
pub fn label_starts(wire: &[u8], starts: &mut [u8; LABELS_MAX + 1]) -> usize {
    let (mut at, mut count) = (0, 0);
    while let Some(&len) = wire.get(at).filter(|&&len| len != 0) {
        starts[count] = at as u8;
        count += 1;
        at += 1 + len as usize;
    }
    count
}

/// How many octets at the end are the same.
fn common_end(a: &[u8], b: &[u8]) -> usize {
    let (mut a, mut b, mut len) = (a, b, 0);
    while let (Some((a_rest, a_last)), Some((b_rest, b_last))) = (a.split_last_chunk::<8>(), b.split_last_chunk::<8>())
    {
        let differing = u64::from_le_bytes(*a_last) ^ u64::from_le_bytes(*b_last);
        if differing != 0 {
            return len + differing.leading_zeros() as usize / 8;
        }
        (a, b, len) = (a_rest, b_rest, len + 8);
    }
    len + a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count()
}

/// The rightmost labels of a checked name: first all of them.
struct End<'a> {
    wire: &'a [u8],
    at: usize,
    /// Where the label before begins.
    before: Option<usize>,
}

impl<'a> End<'a> {
    fn of(wire: &'a [u8]) -> End<'a> {
        End { wire, at: 0, before: None }
    }

    /// Octets; 1 is the root alone, and less there is not.
    fn len(&self) -> usize {
        self.wire.len() - self.at
    }

    fn drop_label(&mut self) {
        self.before = Some(self.at);
        self.at += 1 + usize::from(self.wire[self.at]);
    }

    /// The label left of it.
    fn label_before(&self) -> Option<&'a [u8]> {
        self.before.map(|start| &self.wire[start + 1..self.at])
    }
}

/// Iterator over labels, see [`Name::labels`].
#[derive(Clone, Debug)]
pub struct Labels<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Labels<'a> {
    type Item = &'a [u8];
    fn next(&mut self) -> Option<&'a [u8]> {
        let len = *self.rest.first()? as usize;
        if len == 0 {
            return None;
        }
        let label = &self.rest[1..1 + len];
        self.rest = &self.rest[1 + len..];
        Some(label)
    }
}

/// Octets of the uncompressed name at the start of `wire`, its final zero included.
pub fn wire_len(wire: &[u8]) -> Result<usize, NameError> {
    let mut at = 0;
    loop {
        match *wire.get(at).ok_or(NameError::Truncated)? {
            0 => return Ok(at + 1),
            len if len as usize <= LABEL_OCTETS_MAX => at += 1 + len as usize,
            _ => return Err(NameError::BadLabelType),
        }
        if at >= NAME_OCTETS_MAX {
            return Err(NameError::TooLong);
        }
    }
}

/// Appends the name at `offset` of `message` to `out`, decompressed, in the spelling it came in.
/// Returns the offset just behind its occurrence. On an error `out` may hold a part of the name.
pub fn expand_into(message: &[u8], offset: usize, out: &mut Vec<u8>) -> Result<usize, NameError> {
    let start = out.len();
    // Every pointer must go before the place where the stretch it stands in began, so no loop can form.
    let (mut at, mut stretch, mut end) = (offset, offset, None);
    loop {
        let len = *message.get(at).ok_or(NameError::Truncated)?;
        match len {
            0 => {
                out.push(0);
                return Ok(end.unwrap_or(at + 1));
            }
            1..=63 => {
                let label = message.get(at..at + 1 + len as usize).ok_or(NameError::Truncated)?;
                // one octet stays free for the root label
                if out.len() - start + label.len() >= NAME_OCTETS_MAX {
                    return Err(NameError::TooLong);
                }
                out.extend_from_slice(label);
                at += label.len();
            }
            0xc0.. => {
                let low = *message.get(at + 1).ok_or(NameError::Truncated)?;
                let target = ((len as usize & 0x3f) << 8) | low as usize;
                if target >= stretch {
                    return Err(NameError::BadPointer);
                }
                end.get_or_insert(at + 2);
                (at, stretch) = (target, target);
            }
            _ => return Err(NameError::BadLabelType),
        }
    }
}

impl FromStr for Name {
    type Err = NameError;

    /// Presentation form (RFC 1035 §5.1): always taken as absolute, the final dot is optional, `.` is the root.
    fn from_str(text: &str) -> Result<Name, NameError> {
        let mut wire = Vec::with_capacity(text.len() + 2);
        parse_labels(text.as_bytes(), &mut wire)?;
        wire.push(0);
        if wire.len() > NAME_OCTETS_MAX {
            return Err(NameError::TooLong);
        }
        wire.make_ascii_lowercase();
        Ok(Name(wire.into()))
    }
}

/// Appends the labels of `text` without a final zero, in the spelling given. Returns whether `text` ended in a dot.
/// The empty text is [`NameError::EmptyLabel`]; `.` gives no label and `true`.
pub fn parse_labels(text: &[u8], wire: &mut Vec<u8>) -> Result<bool, NameError> {
    if text == b"." {
        return Ok(true);
    }
    let mut rest = text;
    loop {
        let length_at = wire.len();
        wire.push(0);
        let ended_by_dot = loop {
            match rest {
                [] => break false,
                [b'.', tail @ ..] => {
                    rest = tail;
                    break true;
                }
                [b'\\', a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', tail @ ..] => {
                    let value = (*a - b'0') as u32 * 100 + (*b - b'0') as u32 * 10 + (*c - b'0') as u32;
                    wire.push(u8::try_from(value).map_err(|_| NameError::BadEscape)?);
                    rest = tail;
                }
                [b'\\', c, tail @ ..] if !c.is_ascii_digit() => {
                    wire.push(*c);
                    rest = tail;
                }
                [b'\\', ..] => return Err(NameError::BadEscape),
                [c, tail @ ..] => {
                    wire.push(*c);
                    rest = tail;
                }
            }
        };
        let len = wire.len() - length_at - 1;
        if len == 0 {
            return Err(NameError::EmptyLabel);
        }
        if len > LABEL_OCTETS_MAX {
            return Err(NameError::LabelTooLong);
        }
        wire[length_at] = len as u8;
        if wire.len() > 4 * NAME_OCTETS_MAX {
            return Err(NameError::TooLong);
        }
        if rest.is_empty() {
            return Ok(ended_by_dot);
        }
    }
}

/// Writes the uncompressed name at the start of `wire` in presentation form with a final dot, escaping what
/// RFC 1035 §5.1 asks for. Shows `.` for the root.
pub fn write_presentation(wire: &[u8], f: &mut impl fmt::Write) -> fmt::Result {
    let labels = Labels { rest: wire };
    let mut any = false;
    for label in labels {
        any = true;
        for &c in label {
            match c {
                b'.' | b'\\' | b'"' | b';' | b'(' | b')' | b'@' | b'$' => write!(f, "\\{}", c as char)?,
                0x21..=0x7e => f.write_char(c as char)?,
                _ => write!(f, "\\{c:03}")?,
            }
        }
        f.write_char('.')?;
    }
    if any { Ok(()) } else { f.write_char('.') }
}

impl fmt::Display for Name {
    /// Presentation form with the final dot.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_presentation(&self.0, f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Name) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    /// [`Name::canonical_cmp`].
    fn cmp(&self, other: &Name) -> Ordering {
        self.canonical_cmp(other)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Name, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> Name {
        text.parse().expect("a name")
    }

    /// RFC 4343 §3: "comparisons on name lookup for DNS queries should be case insensitive".
    #[test]
    fn names_compare_without_case() {
        assert_eq!(name("WWW.Example.COM."), name("www.example.com"));
    }

    #[test]
    fn presentation_escapes_what_would_be_misread() {
        let n = Name::from_wire(b"\x03a.b\x02\x00\xff\x00").expect("wire");
        assert_eq!(n.to_string(), "a\\.b.\\000\\255.");
        assert_eq!(name(&n.to_string()), n);
        assert_eq!(Name::root().to_string(), ".");
        assert_eq!(name("."), Name::root());
    }

    #[test]
    fn bad_text_is_refused_with_its_reason() {
        for (text, error) in [
            ("a..b", NameError::EmptyLabel),
            (".a", NameError::EmptyLabel),
            ("", NameError::EmptyLabel),
            ("a\\25", NameError::BadEscape),
            ("a\\256", NameError::BadEscape),
            (&"x".repeat(64), NameError::LabelTooLong),
            (&"a.".repeat(128), NameError::TooLong),
        ] {
            assert_eq!(text.parse::<Name>(), Err(error), "{text}");
        }
        assert_eq!(name(&"a.".repeat(127)).label_count(), LABELS_MAX);
    }

    /// RFC 1035 §4.1.4: a pointer is "an occurrence of the same name at a *prior* position".
    #[test]
    fn pointers_must_go_backwards() {
        let message = b"\x01a\x00\x01b\xc0\x00\xc0\x07\xc0\x09\xc0\x03";
        assert_eq!(Name::read(message, 3).map(|r| (r.0.to_string(), r.1)), Ok(("b.a.".into(), 7)));
        assert_eq!(Name::read(message, 7), Err(NameError::BadPointer));
        assert_eq!(Name::read(message, 9), Err(NameError::BadPointer));
        assert_eq!(Name::read(message, 11).map(|r| r.1), Ok(13));
        assert_eq!(Name::read(b"\xc0", 0), Err(NameError::Truncated));
        assert_eq!(Name::read(b"\x41a", 0), Err(NameError::BadLabelType));
    }

    /// The example of RFC 4034 §6.1.
    #[test]
    fn canonical_order_is_by_label_from_the_right() {
        let sorted = [
            "example",
            "a.example",
            "yljkjljk.a.example",
            "z.a.example",
            "zabc.a.example",
            "z.example",
            "\\001.z.example",
            "*.z.example",
            "\\200.z.example",
        ]
        .map(name);
        assert!(sorted.windows(2).all(|w| w[0] < w[1]), "{sorted:?}");
    }

    #[test]
    fn below_is_by_label_not_by_octet() {
        assert!(name("a.example").is_at_or_below(&name("example")));
        assert!(name("example").is_at_or_below(&name("example")));
        assert!(!name("notexample").is_at_or_below(&name("example")));
        assert!(name("x.y").is_at_or_below(&Name::root()));
        assert_eq!(name("a.b.example").relative_to(&name("example")), Some(&b"\x01a\x01b"[..]));
        assert_eq!(name("example").parent(), Some(Name::root()));
        assert_eq!(Name::root().parent(), None);
    }

    proptest! {
        /// RFC 4034 §6.1: "sorted according to the most significant (rightmost) labels", then the next, "etc."
        #[test]
        fn canonical_order_compares_label_after_label(
            [a, b] in proptest::array::uniform2(proptest::collection::vec(proptest::collection::vec(0u8..4, 1..4), 0..4))
        ) {
            let name = |labels: &[Vec<u8>]| {
                let mut wire: Vec<u8> = Vec::new();
                labels.iter().rev().for_each(|label| wire.extend([&[label.len() as u8], &label[..]].concat()));
                wire.push(0);
                Name::from_wire(&wire).expect("a name")
            };
            prop_assert_eq!(name(&a).canonical_cmp(&name(&b)), a.cmp(&b));
        }

        #[test]
        fn reading_arbitrary_bytes_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80), at in 0usize..90) {
            if let Ok((n, _)) = Name::read(&bytes, at) {
                prop_assert!(n.as_wire().len() <= NAME_OCTETS_MAX);
                prop_assert_eq!(n.to_string().parse::<Name>(), Ok(n));
            }
        }
    }
}
