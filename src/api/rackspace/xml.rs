//! XML out and in. Out: elements under one root, no namespace. In: the element style of the published examples and the
//! attribute style of the full documentation, both brought into the shape of the JSON bodies, which are read once.
//!
//! A document type definition is refused, and with it every entity but the five of XML itself: nothing is fetched and
//! nothing grows (billion laughs).

use quick_xml::escape::escape;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use serde_json::{Map, Value};

/// Elements within elements.
const DEPTH_MAX: usize = 16;

/// What is written in both formats.
pub(super) trait Shown: serde::Serialize {
    /// The element, or for parts of one its children.
    fn xml(&self, out: &mut Xml);
}

/// A document being written.
#[derive(Default)]
pub(super) struct Xml(String);

impl Xml {
    /// The document of `shown`.
    pub(super) fn document(shown: &impl Shown) -> String {
        let mut out = Xml(String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>"));
        shown.xml(&mut out);
        out.0
    }

    /// An element with what `inside` writes.
    pub(super) fn element(&mut self, name: &str, inside: impl FnOnce(&mut Xml)) {
        self.0 += &format!("<{name}>");
        inside(self);
        self.0 += &format!("</{name}>");
    }

    /// An element with one attribute.
    pub(super) fn with(&mut self, name: &str, attribute: (&str, &str), inside: impl FnOnce(&mut Xml)) {
        self.0 += &format!("<{name} {}=\"{}\">", attribute.0, escape(printable(attribute.1)));
        inside(self);
        self.0 += &format!("</{name}>");
    }

    /// An element without content.
    pub(super) fn empty(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.0 += &format!("<{name}");
        for (attribute, value) in attributes {
            self.0 += &format!(" {attribute}=\"{}\"", escape(printable(value)));
        }
        self.0 += "/>";
    }

    /// An element with a text.
    pub(super) fn text(&mut self, name: &str, value: impl ToString) {
        self.0 += &format!("<{name}>{}</{name}>", escape(printable(&value.to_string())));
    }

    /// [`Xml::text`] if there is one.
    pub(super) fn optional(&mut self, name: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }
}

/// What XML 1.0 §2.2 has no place for becomes U+FFFD.
fn printable(text: &str) -> String {
    let fits = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    text.chars().map(|c| if fits(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}

/// One element as read.
#[derive(Debug, Default)]
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    children: Vec<Element>,
    text: String,
}

/// Reads a body into the shape of the JSON body that says the same, or says what is wrong with it.
pub(super) fn read(body: &str) -> Result<Value, String> {
    let root = parse(body)?;
    Ok(match root.name.as_str() {
        "recordsList" => root.list("records", &["record", "records"]),
        // Element style: `records` is one record; attribute style: it holds several.
        "records" if root.children.iter().any(|child| child.name == "record") => root.list("records", &["record"]),
        "domains" => root.list("domains", &["domain", "domains"]),
        "rdns" | "record" | "records" | "domain" => root.object(),
        other => return Err(format!("has the root {other:?}, and no such body is known")),
    })
}

impl Element {
    fn list(&self, member: &str, items: &[&str]) -> Value {
        let of_list = self.children.iter().filter(|child| items.contains(&child.name.as_str()));
        let list = of_list.map(Element::object).collect();
        Value::Object(Map::from_iter([(member.to_owned(), Value::Array(list))]))
    }

    /// Attributes and child elements as members; a text in none of them is `content`.
    fn object(&self) -> Value {
        let mut members: Map<String, Value> =
            self.attributes.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
        for child in &self.children {
            let value = match child.name.as_str() {
                "recordsList" => child.list("records", &["record", "records"]),
                "subdomains" => child.list("domains", &["domain", "domains"]),
                "link" => child.object(),
                _ => Value::from(child.text.as_str()),
            };
            members.insert(child.name.clone(), value);
        }
        Value::Object(members)
    }
}

fn parse(body: &str) -> Result<Element, String> {
    let mut reader = Reader::from_str(body);
    let mut open: Vec<Element> = Vec::new();
    let mut root = None;
    loop {
        let event = reader.read_event().map_err(|error| format!("is no XML: {error}"))?;
        if root.is_some() && matches!(event, Event::Start(_) | Event::Empty(_)) {
            return Err("has more than one root".to_owned());
        }
        match event {
            Event::Start(_) if open.len() == DEPTH_MAX => {
                return Err(format!("has elements more than {DEPTH_MAX} deep"));
            }
            Event::Start(start) => open.push(element(&start)?),
            Event::Empty(start) => close(element(&start)?, &mut open, &mut root),
            Event::End(_) => {
                if let Some(ended) = open.pop() {
                    close(ended, &mut open, &mut root);
                }
            }
            Event::Text(text) => append(&mut open, &text),
            Event::CData(text) => append(&mut open, &text),
            Event::GeneralRef(reference) => {
                let of_number = reference.resolve_char_ref().map_err(|error| format!("is no XML: {error}"))?;
                let c = match of_number {
                    Some(c) => c,
                    None => predefined(&reference).ok_or_else(|| {
                        format!("has the entity {:?}; only those of XML itself are known", &*reference)
                    })?,
                };
                append(&mut open, c.encode_utf8(&mut [0; 4]));
            }
            Event::DocType(_) => {
                return Err("has a document type definition, which is not taken".to_owned());
            }
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            Event::Eof => break,
        }
    }
    if !open.is_empty() {
        return Err("is no XML: an element does not end".to_owned());
    }
    root.ok_or_else(|| "holds no element".to_owned())
}

/// XML 1.0 §4.6.
fn predefined(name: &str) -> Option<char> {
    Some(match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "apos" => '\'',
        "quot" => '"',
        _ => return None,
    })
}

fn append(open: &mut [Element], text: &str) {
    if let Some(innermost) = open.last_mut() {
        innermost.text += text;
    }
}

fn close(mut ended: Element, open: &mut [Element], root: &mut Option<Element>) {
    // Blanks around the text of a lone element are layout.
    ended.text = ended.text.trim().to_owned();
    match open.last_mut() {
        Some(parent) => parent.children.push(ended),
        None => *root = Some(ended),
    }
}

/// Name and attributes without prefixes; declarations of namespaces say nothing here.
fn element(start: &BytesStart<'_>) -> Result<Element, String> {
    let local = |name: &str| name.rsplit(':').next().unwrap_or(name).to_owned();
    let mut element = Element { name: local(start.name().as_ref()), ..Element::default() };
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| format!("is no XML: {error}"))?;
        let name: &str = attribute.key.as_ref();
        if name == "xmlns" || name.starts_with("xmlns:") {
            continue;
        }
        let value =
            attribute.normalized_value(XmlVersion::Explicit1_0).map_err(|error| format!("is no XML: {error}"))?;
        element.attributes.push((local(name), value.into_owned()));
    }
    Ok(element)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn both_styles_say_the_same() {
        let expected = json!({"records": [{"type": "A", "name": "a.example", "data": "192.0.2.1", "ttl": "300"}]});
        for body in [
            r#"<recordsList><record type="A" name="a.example" data="192.0.2.1" ttl="300"/></recordsList>"#,
            r#"<records xmlns="http://docs.example/dns"><record type="A" name="a.example" data="192.0.2.1" ttl="300"/></records>"#,
            "<?xml version=\"1.0\"?>\n<ns2:recordsList xmlns:ns2=\"x\">\n <ns2:records><ns2:type>A</ns2:type><name> a.example\n</name>\
             <data>192.0.2.1</data><ttl>300</ttl></ns2:records></ns2:recordsList>",
        ] {
            assert_eq!(read(body).expect(body), expected);
        }
        let one = read("<record><data>a &amp; b&#x21;</data><comment><![CDATA[<c>]]></comment></record>");
        assert_eq!(one.expect("one"), json!({"data": "a & b!", "comment": "<c>"}));
    }

    #[test]
    fn domains_hold_records_and_subdomains() {
        let body = r#"<domains><domain name="a.example" emailAddress="x@a.example">
            <subdomains><domain name="b.a.example"/></subdomains>
            <recordsList><record type="NS" data="ns.example"/></recordsList></domain></domains>"#;
        let expected = json!({"domains": [{
            "name": "a.example", "emailAddress": "x@a.example",
            "subdomains": {"domains": [{"name": "b.a.example"}]},
            "recordsList": {"records": [{"type": "NS", "data": "ns.example"}]},
        }]});
        assert_eq!(read(body).expect("read"), expected);
        let body = r#"<rdns><link href="http://x/1" rel="servers"/><recordsList/></rdns>"#;
        let expected = json!({"link": {"href": "http://x/1", "rel": "servers"}, "recordsList": {"records": []}});
        assert_eq!(read(body).expect("read"), expected);
    }

    #[test]
    fn definitions_and_entities_are_refused() {
        let laughs = r#"<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><record><data>&b;</data></record>"#;
        let outside = r#"<!DOCTYPE x SYSTEM "file:///etc/passwd"><record/>"#;
        for (body, part) in [
            (laughs, "document type"),
            (outside, "document type"),
            ("<record><data>&b;</data></record>", "entity"),
            (r#"<record data="&b;"/>"#, "is no XML"),
            ("<record>", "is no XML"),
            ("<record></records>", "is no XML"),
            ("<record/><record/>", "more than one root"),
            ("<other/>", "no such body"),
            ("", "no element"),
            ("{}", "no element"),
            (&format!("{}{}", "<record>".repeat(20), "</record>".repeat(20)), "deep"),
        ] {
            let error = read(body).expect_err(body);
            assert!(error.contains(part), "{body}: {error}");
        }
    }

    #[test]
    fn what_is_written_is_escaped() {
        let mut out = Xml::default();
        out.with("a", ("b", "\"<"), |out| out.text("c", "1 & 2 \u{1}"));
        assert_eq!(out.0, "<a b=\"&quot;&lt;\"><c>1 &amp; 2 \u{fffd}</c></a>");
    }
}
