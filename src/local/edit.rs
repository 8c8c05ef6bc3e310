//! What may be asked of a locally managed zone, and why it may be refused.

use std::net::IpAddr;
use std::sync::Arc;

use uuid::Uuid;

use super::content::ContentError;
use super::entry::{Entry, Link};
use crate::dns::{Name, RecordType};
use crate::reason::Reason;

/// One change of a zone. Edits of one request are made in order, each seeing the ones before.
#[derive(Clone, Debug)]
pub enum Edit {
    /// A new record.
    Add(Draft),
    /// The record with this identity becomes the draft, but for what is unsaid, and is made if there is none.
    Put(Uuid, Draft, Unsaid),
    /// Parts of a record change; all else stays.
    Update(Uuid, Patch),
    /// A record goes.
    Delete(Uuid),
    /// All PTRs of an address go; refused as not found if there is none.
    DeletePtrs(IpAddr),
    /// The zone gets these records and no others (the import of a zone file). Entries with the same owner, type and rdata
    /// keep their identity and what the file does not say. Without NS of the apex the present ones stay.
    ReplaceAll(Vec<Draft>),
    /// What stands behind the SOA changes.
    Attributes(AttributesPatch),
}

/// A record as a client wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Identity chosen by the client; `None`: a new v4.
    pub id: Option<Uuid>,
    /// Owner, at or below the apex.
    pub owner: Name,
    /// Type.
    pub rtype: RecordType,
    /// Uncompressed; brought into canonical form when it is taken.
    pub rdata: Box<[u8]>,
    /// Seconds; `None` inherits the zone's.
    pub ttl: Option<u32>,
    /// Comment or description.
    pub text: String,
    /// Whether it is answered.
    pub enabled: bool,
    /// See [`Entry::link`].
    pub link: Option<Link>,
    /// See [`Entry::spelled`].
    pub spelled: Option<String>,
    /// Number and birth of the record it was before it moved here from another zone.
    pub moved: Option<(u64, crate::time::Timestamp)>,
}

impl Draft {
    /// An enabled record that inherits its TTL.
    pub fn new(owner: Name, rtype: RecordType, rdata: impl Into<Box<[u8]>>) -> Draft {
        Draft {
            id: None,
            owner,
            rtype,
            rdata: rdata.into(),
            ttl: None,
            text: String::new(),
            enabled: true,
            link: None,
            spelled: None,
            moved: None,
        }
    }
}

/// Parts of a record that a dialect does not show, so that a replacement by it cannot mean them: they stay as they are when
/// the edit is made. Of a record that is made the draft says them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unsaid {
    /// See [`Entry::ttl`].
    pub ttl: bool,
    /// See [`Entry::text`].
    pub text: bool,
    /// See [`Entry::link`].
    pub link: bool,
}

/// Parts of a record; `None` leaves the part as it is when the edit is made, whatever the client has seen of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patch {
    /// The type for which `content` was read; a record that has become one of another type is not the one that is meant.
    pub rtype: Option<RecordType>,
    /// Another owner, for SRV records whose service changes.
    pub owner: Option<Name>,
    /// New rdata.
    pub content: Option<NewContent>,
    /// New TTL; `Some(None)` inherits the zone's from now on.
    pub ttl: Option<Option<u32>>,
    /// New text.
    pub text: Option<String>,
    /// New state.
    pub enabled: Option<bool>,
    /// New link.
    pub link: Option<Option<Link>>,
}

/// What becomes of the rdata of a record. Where that says what the record says already, its spelling stays too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NewContent {
    /// All of it is new.
    Whole(Box<[u8]>),
    /// The text of a TXT or SPF record: its cuts into strings do not count.
    Text(Box<[u8]>),
    /// What stands behind the priority is as in this rdata, whose own priority does not count.
    BehindPriority(Box<[u8]>),
    /// The priority; what stands behind it stays.
    Priority(u16),
}

/// Parts of a zone's attributes; `None` leaves the part as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttributesPatch {
    /// First name server.
    pub mname: Option<Name>,
    /// Mailbox, see [`rname_of`](super::rname_of).
    pub rname: Option<Name>,
    /// Seconds.
    pub default_ttl: Option<u32>,
    /// REFRESH, RETRY, EXPIRE, MINIMUM in seconds.
    pub timers: Option<[u32; 4]>,
    /// Whether queries are answered.
    pub enabled: Option<bool>,
    /// A serial that is taken if it is ahead of ours (from an imported zone file).
    pub serial: Option<crate::dns::Serial>,
}

/// Why an edit is refused. Stable kinds: each dialect maps each of them to its own code and words.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refusal {
    /// No record with this identity in the zone.
    #[error("record {0} does not exist")]
    NotFound(Uuid),
    /// No PTR of this address in the zone.
    #[error("no PTR for {0}")]
    NoPtr(IpAddr),
    /// The identity belongs to a record of another zone.
    #[error("the id {0} is taken by a record of another zone")]
    IdTaken(Uuid),
    /// The owner is not at or below the apex.
    #[error("the name {} is outside the zone", .0.without_dot())]
    OutsideZone(Name),
    /// The owner or the rdata is not what this type may have.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// There is a record with the same owner, type and rdata.
    #[error("the record exists already at {}", .0.owner.without_dot())]
    Duplicate(Arc<Entry>),
    /// A CNAME or DNAME would stand beside something it must not stand beside.
    #[error("{} has a {} record, and a CNAME must stand alone", .0.owner.without_dot(), .0.rtype)]
    CnameConflict(Arc<Entry>),
    /// A null MX must stand alone (RFC 7505 §3).
    #[error("{} has another MX record, and a null MX must stand alone", .0.owner.without_dot())]
    NullMxConflict(Arc<Entry>),
    /// The last name server of the zone would go.
    #[error("the last NS record of the zone cannot be removed or disabled")]
    LastNs,
    /// The owner, or the address in another zone, has a PTR.
    #[error("a PTR for this address exists already")]
    PtrExists(Arc<Entry>),
    /// What would be served cannot be held: an RRset too large for a message, too many types at an owner.
    #[error("{0}")]
    Limit(Reason),
}

/// One refused edit of a request.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{why}")]
pub struct Refused {
    /// Index of the edit.
    pub edit: usize,
    /// Index of the draft within [`Edit::ReplaceAll`]; 0 for other edits.
    pub item: usize,
    /// Why.
    pub why: Refusal,
}
