//! Records, domains and lists as this dialect shows them, in JSON and in XML.
//!
//! The order of the members is part of the dialect: shell clients cut values out by their place. Our own members stand at
//! the end. What a job answers is stored in the JSON form and read back, so each shape is read as well.

use jiff::Timestamp as Moment;
use jiff::fmt::strtime;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use super::xml::{Shown, Xml};
use crate::time::Timestamp;

/// `2026-11-21T23:00:00.000+0000` in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Date(pub(super) Timestamp);

impl Date {
    /// `2026-11-21T23:00:00Z`, in XML.
    pub(super) fn plain(self) -> String {
        let moment = Moment::from_second(self.0.as_secs() as i64).unwrap_or(Moment::UNIX_EPOCH);
        moment.to_string()
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let text = self.0.to_string();
        s.collect_str(&format_args!("{}+0000", text.trim_end_matches('Z')))
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Date, D::Error> {
        let text = String::deserialize(d)?;
        read_date(&text).map(Date).ok_or_else(|| D::Error::custom("no date"))
    }
}

/// A date as this dialect writes it in either format, in ISO 8601 with any offset, or as JavaScript writes one
/// (`Sat Nov 21 2026 23:00:00 GMT+0000 (UTC)`), which is what pkgcloud sends.
pub(super) fn read_date(text: &str) -> Option<Timestamp> {
    let script = text.split(" (").next().unwrap_or(text);
    if let Ok(moment) = strtime::parse("%a %b %d %Y %H:%M:%S GMT%z", script).and_then(|read| read.to_timestamp()) {
        return u64::try_from(moment.as_millisecond()).ok().map(Timestamp::from_millis);
    }
    let colon = |text: &str| {
        // `+0000` of the JSON form.
        let (rest, offset) = text.split_at_checked(text.len().checked_sub(4)?)?;
        let is_offset = rest.ends_with(['+', '-']) && offset.bytes().all(|c| c.is_ascii_digit());
        is_offset.then(|| format!("{rest}{}:{}", &offset[..2], &offset[2..]))
    };
    let moment: Moment = colon(text).as_deref().unwrap_or(text).parse().ok()?;
    u64::try_from(moment.as_millisecond()).ok().map(Timestamp::from_millis)
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) priority: Option<u16>,
    pub(super) id: String,
    pub(super) r#type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) comment: Option<String>,
    pub(super) data: String,
    pub(super) updated: Date,
    pub(super) ttl: u32,
    pub(super) created: Date,
    /// Said of disabled records only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) enabled: Option<bool>,
}

impl Record {
    fn members(&self, out: &mut Xml) {
        out.text("id", &self.id);
        out.text("name", &self.name);
        out.text("type", &self.r#type);
        out.text("data", &self.data);
        out.text("ttl", self.ttl);
        out.optional("priority", self.priority);
        out.text("updated", self.updated.plain());
        out.text("created", self.created.plain());
        out.optional("comment", self.comment.as_ref());
        out.optional("enabled", self.enabled);
    }
}

impl Shown for Record {
    fn xml(&self, out: &mut Xml) {
        out.element("record", |out| self.members(out));
    }
}

/// A page of records.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct RecordList {
    #[serde(rename = "totalEntries")]
    pub(super) total: usize,
    pub(super) records: Vec<Record>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) links: Vec<Link>,
}

impl Shown for RecordList {
    fn xml(&self, out: &mut Xml) {
        out.element("recordsList", |out| {
            out.text("totalEntries", self.total);
            records(&self.records, out);
            self.links.iter().for_each(|link| link.xml(out));
        });
    }
}

/// Each record as an element `records`, as in the published examples.
pub(super) fn records(records: &[Record], out: &mut Xml) {
    for record in records {
        out.element("records", |out| record.members(out));
    }
}

/// A link to another page, or of a device.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Link {
    pub(super) content: String,
    pub(super) href: String,
    pub(super) rel: String,
}

impl Shown for Link {
    fn xml(&self, out: &mut Xml) {
        out.empty("link", &[("href", &self.href), ("rel", &self.rel)]);
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Domain {
    pub(super) id: String,
    #[serde(rename = "accountId")]
    pub(super) account: String,
    pub(super) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) comment: Option<String>,
    pub(super) updated: Date,
    pub(super) created: Date,
    pub(super) ttl: u32,
    #[serde(rename = "emailAddress")]
    pub(super) email: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) nameservers: Option<Vec<NameServer>>,
    #[serde(rename = "recordsList", default, skip_serializing_if = "Option::is_none")]
    pub(super) records: Option<RecordList>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) subdomains: Option<Subdomains>,
    /// `secondary`, of such zones only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) kind: Option<String>,
    #[serde(rename = "transferState", skip_serializing_if = "Option::is_none")]
    pub(super) transfer_state: Option<String>,
}

impl Shown for Domain {
    fn xml(&self, out: &mut Xml) {
        out.element("domain", |out| {
            out.text("id", &self.id);
            out.text("accountId", &self.account);
            out.text("name", &self.name);
            out.optional("comment", self.comment.as_ref());
            out.text("updated", self.updated.plain());
            out.text("created", self.created.plain());
            out.text("ttl", self.ttl);
            out.text("emailAddress", &self.email);
            if let Some(nameservers) = &self.nameservers {
                out.element("nameservers", |out| {
                    nameservers.iter().for_each(|ns| out.element("nameserver", |out| out.text("name", &ns.name)));
                });
            }
            if let Some(records) = &self.records {
                records.xml(out);
            }
            if let Some(subdomains) = &self.subdomains {
                out.element("subdomains", |out| {
                    subdomains.domains.iter().for_each(|domain| domain.xml(out));
                    out.text("totalEntries", subdomains.total);
                });
            }
            out.optional("kind", self.kind.as_ref());
            out.optional("transferState", self.transfer_state.as_ref());
        });
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct NameServer {
    pub(super) name: String,
}

/// The subdomains of a domain.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Subdomains {
    pub(super) domains: Vec<Domain>,
    #[serde(rename = "totalEntries")]
    pub(super) total: usize,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) links: Vec<Link>,
}

/// A page of domains.
#[derive(Clone, Debug, Serialize)]
pub(super) struct DomainList {
    #[serde(rename = "totalEntries")]
    pub(super) total: usize,
    pub(super) domains: Vec<Domain>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) links: Vec<Link>,
}

impl Shown for DomainList {
    fn xml(&self, out: &mut Xml) {
        out.element("domains", |out| {
            out.text("totalEntries", self.total);
            self.domains.iter().for_each(|domain| domain.xml(out));
            self.links.iter().for_each(|link| link.xml(out));
        });
    }
}

/// PTRs of addresses. Both spellings: the documentation shows one and clients read the other.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Ptrs {
    pub(super) records: Vec<Record>,
    #[serde(rename = "recordsList")]
    pub(super) list: PtrList,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) link: Option<Link>,
    /// To other pages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) links: Vec<Link>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct PtrList {
    pub(super) records: Vec<Record>,
}

impl Ptrs {
    pub(super) fn new(records: Vec<Record>, link: Option<Link>) -> Ptrs {
        Ptrs { list: PtrList { records: records.clone() }, records, link, links: Vec::new() }
    }
}

impl Shown for Ptrs {
    fn xml(&self, out: &mut Xml) {
        out.element("rdns", |out| {
            out.element("recordsList", |out| records(&self.records, out));
            self.link.iter().chain(&self.links).for_each(|link| link.xml(out));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_in_either_form_and_with_any_offset() {
        let at = Timestamp::from_millis(1_795_302_000_000);
        assert_eq!(serde_json::to_string(&Date(at)).expect("text"), "\"2026-11-21T23:00:00.000+0000\"");
        assert_eq!(Date(at).plain(), "2026-11-21T23:00:00Z");
        for text in [
            "2026-11-21T23:00:00.000+0000",
            "2026-11-21T23:00:00Z",
            "2026-11-22T00:00:00+01:00",
            "2026-11-21T18:00:00-0500",
            "Sat Nov 21 2026 23:00:00 GMT+0000 (Coordinated Universal Time)",
            "Sun Nov 22 2026 00:00:00 GMT+0100",
        ] {
            assert_eq!(read_date(text), Some(at), "{text}");
        }
        for text in ["", "2026", "2026-11-21", "2026-13-21T23:00:00Z", "1960-01-01T00:00:00Z", "x+0000"] {
            assert_eq!(read_date(text), None, "{text}");
        }
    }
}
