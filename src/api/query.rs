//! Query parameters and pages, as all dialects read them before giving them their own names and bounds.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::fault::Fault;

/// The decoded parameters of a request target, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// Parses what stands behind the `?` (`application/x-www-form-urlencoded`).
    pub fn parse(query: &str) -> Params {
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let split = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        };
        Params(pairs.map(split).collect())
    }

    /// The value of a parameter that may stand once.
    pub fn single(&self, name: &str) -> Result<Option<&str>, Fault> {
        let mut values = self.0.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str());
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            _ => Err(Fault::bad_parameter(name, "is given more than once, but has one value")),
        }
    }

    /// Every value of a parameter that may be repeated, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// A parameter that is `true` or `false`.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, Fault> {
        match self.single(name)? {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(Fault::bad_parameter(name, "must be true or false")),
        }
    }

    /// A whole number within `bounds`, or `default`.
    pub fn number(&self, name: &str, bounds: std::ops::RangeInclusive<usize>, default: usize) -> Result<usize, Fault> {
        let Some(text) = self.single(name)? else {
            return Ok(default);
        };
        let digits = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
        text.parse().ok().filter(|n| digits && bounds.contains(n)).ok_or_else(|| {
            let (low, high) = (bounds.start(), bounds.end());
            Fault::bad_parameter(name, format_args!("must be a whole number from {low} to {high}"))
        })
    }
}

impl<S: Sync> FromRequestParts<S> for Params {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Params, Self::Rejection> {
        Ok(Params::parse(parts.uri.query().unwrap_or("")))
    }
}

/// Percent-decoding with `+` as blank. What is no `%XX` stays as it is; octets that are no UTF-8 become U+FFFD and so
/// match nothing.
fn decode(text: &str) -> String {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        octets.push(match (first, tail) {
            (b'+', _) => b' ',
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    rest = after;
                    high << 4 | low
                }
                _ => b'%',
            },
            (&other, _) => other,
        });
    }
    String::from_utf8_lossy(&octets).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|value| value as u8)
}

/// Writes `text` so that it stands for itself as a parameter's value.
pub fn encode(text: &str, out: &mut String) {
    for octet in text.bytes() {
        match octet {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(octet as char),
            _ => out.push_str(&format!("%{octet:02X}")),
        }
    }
}

/// A stretch of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Items left out before it.
    pub offset: usize,
    /// Items it may hold; at least 1.
    pub limit: usize,
}

impl Page {
    /// Whether the item with this index stands on the page.
    pub fn holds(self, index: usize) -> bool {
        index >= self.offset && index - self.offset < self.limit
    }

    /// Offset of the page before, which may be shorter than this one's distance; `None` on the first.
    pub fn previous(self) -> Option<usize> {
        (self.offset > 0).then(|| self.offset.saturating_sub(self.limit))
    }

    /// Offset of the page behind, if any of `total` items stands there.
    pub fn next(self, total: usize) -> Option<usize> {
        self.offset.checked_add(self.limit).filter(|&next| next < total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_repeated_single_valued_parameter_is_refused() {
        let params = Params::parse("limit=1&limit=1&offset=2");
        assert!(params.single("limit").is_err());
        assert_eq!(params.single("offset").expect("one"), Some("2"));
        assert_eq!(params.single("absent").expect("none"), None);
    }

    #[test]
    fn numbers_are_digits_within_their_bounds() {
        let number = |text: &str| Params::parse(&format!("n={text}")).number("n", 1..=1000, 100);
        assert_eq!(number("1").expect("a number"), 1);
        assert_eq!(number("1000").expect("a number"), 1000);
        for text in ["0", "1001", "-1", "%2B5", "1.0", "", "x", "99999999999999999999999"] {
            assert!(number(text).is_err(), "{text}");
        }
        assert_eq!(Params::default().number("n", 1..=1000, 100).expect("the default"), 100);
    }

    #[test]
    fn values_are_percent_decoded() {
        let params = Params::parse("a=%C3%BC+b&c=%zz%4&&d");
        assert_eq!(params.single("a").expect("one"), Some("ü b"));
        assert_eq!(params.single("c").expect("one"), Some("%zz%4"));
        assert_eq!(params.single("d").expect("one"), Some(""));
    }

    #[test]
    fn pages_beside_a_page_exist_only_where_items_are() {
        let page = Page { offset: 10, limit: 25 };
        assert_eq!(page.previous(), Some(0));
        assert_eq!((page.next(35), page.next(36)), (None, Some(35)));
        assert_eq!(Page { offset: 0, limit: 1 }.previous(), None);
        assert_eq!(Page { offset: usize::MAX, limit: 2 }.next(usize::MAX), None);
        assert!(page.holds(10) && page.holds(34) && !page.holds(9) && !page.holds(35));
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_itself(text in ".*") {
            let mut encoded = String::new();
            encode(&text, &mut encoded);
            prop_assert_eq!(decode(&encoded), text);
        }
    }
}
