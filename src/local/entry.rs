//! One record of a locally managed zone: what DNS answers, and what the API keeps beside it.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::dns::{Name, RecordType};
use crate::time::Timestamp;

/// A record with a lasting identity. Immutable: an edit makes a new value under the same identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Identity in the API: v4, or what the client chose. Unique over the daemon.
    #[serde(rename = "i")]
    pub id: Uuid,
    /// The other identity, a number over all records of the daemon, allocated upwards and never reused.
    #[serde(rename = "n")]
    pub num: u64,
    /// Owner, at or below the apex.
    #[serde(rename = "o")]
    pub owner: Name,
    /// Type.
    #[serde(rename = "t")]
    pub rtype: RecordType,
    /// Uncompressed rdata; host names in it are in lower case.
    #[serde(rename = "d", with = "hex")]
    pub rdata: Box<[u8]>,
    /// Seconds; `None` inherits the zone's and follows its changes.
    #[serde(rename = "l", default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u32>,
    /// Comment or description.
    #[serde(rename = "x", default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// False: kept and listed, not answered.
    #[serde(rename = "e", default = "yes", skip_serializing_if = "is_yes")]
    pub enabled: bool,
    /// The device a PTR belongs to, kept for clients and never interpreted.
    #[serde(rename = "k", default, skip_serializing_if = "Option::is_none")]
    pub link: Option<Link>,
    /// The content as the client wrote it, where another spelling of the same octets is shown back to it.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    pub spelled: Option<String>,
    /// When it was made.
    #[serde(rename = "c")]
    pub created: Timestamp,
    /// When it was last changed.
    #[serde(rename = "m")]
    pub modified: Timestamp,
}

/// A link of the Rackspace rDNS API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// URL of the device.
    pub href: String,
    /// Name of the service.
    pub rel: String,
}

impl Entry {
    /// As it is stored.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an entry is plain data")
    }

    /// Back from [`Entry::to_bytes`].
    pub fn from_bytes(bytes: &[u8]) -> serde_json::Result<Entry> {
        serde_json::from_slice(bytes)
    }
}

fn yes() -> bool {
    true
}

fn is_yes(flag: &bool) -> bool {
    *flag
}

/// Octets as lower-case hex digits.
mod hex {
    use std::fmt::Write;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(octets: &[u8], s: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(2 * octets.len());
        for octet in octets {
            let _ = write!(text, "{octet:02x}"); // writing into a String cannot fail
        }
        s.serialize_str(&text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Box<[u8]>, D::Error> {
        let text = String::deserialize(d)?;
        let digit = |c: u8| char::from(c).to_digit(16).map(|n| n as u8);
        let pairs = text.as_bytes().chunks(2).map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        });
        pairs
            .collect::<Option<Box<[u8]>>>()
            .ok_or_else(|| D::Error::custom("octets are written as pairs of hex digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_survives_being_stored() {
        let plain = Entry {
            id: Uuid::from_u128(7),
            num: u64::MAX,
            owner: "*.a\\.b.example".parse().expect("a name"),
            rtype: RecordType(65280),
            rdata: (0..=255).collect(),
            ttl: None,
            text: String::new(),
            enabled: true,
            link: None,
            spelled: None,
            created: Timestamp::from_millis(1),
            modified: Timestamp::from_millis(2),
        };
        let full = Entry {
            ttl: Some(0),
            text: "ü \"".to_owned(),
            enabled: false,
            link: Some(Link { href: "http://x/1".to_owned(), rel: "servers".to_owned() }),
            spelled: Some("\"a\"".to_owned()),
            ..plain.clone()
        };
        for entry in [plain, full] {
            assert_eq!(Entry::from_bytes(&entry.to_bytes()).expect("reads back"), entry);
        }
        assert!(Entry::from_bytes(b"{}").is_err());
    }
}
