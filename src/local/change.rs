//! What a request has changed of a zone, record by record: what a log of changes keeps.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::entry::Entry;
use super::zone::LocalZone;
use crate::dns::Name;

/// One thing that is another than before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// A record came (`before` is `None`), changed, or went (`after` is `None`).
    #[serde(rename = "r")]
    Record {
        /// As it was.
        #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
        before: Option<Arc<Entry>>,
        /// As it is.
        #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
        after: Option<Arc<Entry>>,
    },
    /// The zone came, or what is told of it as a whole changed.
    #[serde(rename = "z")]
    Zone {
        /// As it was; `None`: it was not there.
        #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
        before: Option<Face>,
        /// As it is.
        #[serde(rename = "a")]
        after: Face,
    },
}

/// What is told of a zone as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Face {
    /// Seconds.
    #[serde(rename = "l")]
    pub default_ttl: u32,
    /// The mailbox, see [`email_of`](super::email_of).
    #[serde(rename = "r")]
    pub rname: Name,
    /// Description.
    #[serde(rename = "x")]
    pub text: String,
}

/// How the records of `written` differ from `old`, in the order of their numbers.
pub fn changes(old: &LocalZone, written: &BTreeMap<u64, Option<Arc<Entry>>>) -> Vec<Change> {
    let change = |(num, after): (&u64, &Option<Arc<Entry>>)| {
        let before = old.by_num(*num).cloned();
        (before != *after).then(|| Change::Record { before, after: after.clone() })
    };
    written.iter().filter_map(change).collect()
}
