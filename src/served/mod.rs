//! What query workers see: which zones there are and the version of each that is answered from.
//!
//! ```text
//!  control ──► Publisher ──┬─► Slot   (per zone: state and the current Snapshot, each one atomic store)
//!                          └─► View   (apex -> Slot, longest match; replaced whole when zones come or go)
//!                                │
//!  query workers, TCP, AXFR ◄────┘ read only: no lock, no wait, and never the last reference to anything
//!        │
//!        └──► Inbox ──► control      (what workers tell: a NOTIFY came)
//! ```
//!
//! In: zones and snapshots from `control` through the one [`Publisher`]. Out: a [`View`] for `answer` and `net`, and
//! notices for `control`. Never answers, never fetches, never frees a snapshot on a reader's thread: what has been
//! replaced goes to the [`reaper`]. Publishing is RFC 1034 §4.3.5's "new version" seen whole or not at all.

pub mod inbox;
pub mod publisher;
pub mod reaper;
pub mod slot;
pub mod view;

pub use inbox::{Inbox, InboxReader, Notice, RefusedFor};
pub use publisher::Publisher;
pub use slot::{Slot, State, ZoneId};
pub use view::{View, ViewHandle, ViewReader};

/// How a message reached us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// One datagram.
    Udp,
    /// A connection, clear.
    Tcp,
    /// A connection under TLS (RFC 7858).
    Tls,
}

impl Transport {
    /// The word for logs, metrics and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
        }
    }

    /// Whether a message may be as long as 65,535 octets.
    #[inline]
    pub fn is_stream(self) -> bool {
        self != Transport::Udp
    }
}
