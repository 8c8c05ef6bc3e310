//! Decides when a secondary zone asks its primaries, whom, and what for; and when it has expired.
//!
//! In: NOTIFYs, answers, commands, timeouts, each with `now`. Out: [`Action`]s from [`Refresh::poll_action`] and one
//! deadline from [`Refresh::poll_timeout`]. One [`Refresh`] per zone, owned and called by `control` only. It never
//! touches the network, the disk or a clock, and draws its jitter from a seed, so a week of failures runs in a
//! millisecond of test. Follows RFC 1034 §4.3.5 (refresh, retry, expire), RFC 1996 §4.4 (coalescing), RFC 1982
//! (serials), RFC 1995 §4 and RFC 5936 (which transfer), RFC 7314 (EXPIRE).
//!
//! # The machine
//!
//! ```text
//!            next poll due · NOTIFY · command · siblings due
//!   ┌───────┐ ───────────────────────────────────────────────▶ ┌──────────────────────── round ─────────────────────┐
//!   │ quiet │                                                  │  probes (any number)      transfer (at most one)   │
//!   │ timer │ ◀─ confirmed: REFRESH ── RETRY×2ⁿ: none gave ─── │  Due ─▶ Out ─▶ answered   IXFR ─▶ AXFR ─▶ next     │
//!   └───────┘                                                  └────────────────────────────────────────────────────┘
//!
//!   one primary in a round:   Open ──probe──▶ Answered(serial) ──best of all──▶ transfer ──▶ Done
//!                              │                  └─ equal: confirms the zone       │
//!                              └──────────────── Failed ◀──────────────────────────┘   (the next best is taken)
//!
//!   the zone:   never loaded ──commit──▶ fresh ──EXPIRE without confirmation──▶ expired ──any confirmation──▶ fresh
//! ```
//!
//! * A timed or forced round asks every primary for its SOA at once and transfers from the highest serial; a NOTIFY
//!   with a newer serial starts IXFR at its sender without asking (its answer begins with the SOA and is the check).
//! * While a transfer runs nothing but probes starts; what a NOTIFY wants meanwhile is followed up once, after it.
//! * An equal serial or a committed transfer *confirms* the zone: EXPIRE starts again. A lower serial never does.
//! * A round ends when nothing is outstanding and nobody is left who could give what is missing.
//!
//! # What the caller does
//!
//! After each `handle_*` it takes all actions and arms one timer from [`Refresh::poll_timeout`]. Each
//! [`Action::Probe`] and [`Action::Transfer`] is answered by exactly one [`Refresh::handle_probe`],
//! [`Refresh::handle_transfer`] or, if [`unreachable::Cache`] forbade it, [`Refresh::handle_unreachable`]. A probe of which
//! [`Refresh::handle_waiting`] was called may be handed out once more, more urgently: the first turn is the one that counts, see
//! [`Refresh::is_waiting`].
//! The rate limit towards each primary and the order of work between zones ([`Urgency`]) are the caller's. So is
//! [`Refresh::spare_probe`]: the first of 10,000 zones with one primary shows that it answers, and none of the others has to
//! ask for a SOA before it takes the whole zone.

mod asking;
mod clock;
mod findings;
mod frozen;
mod learned;
mod machine;
mod noticing;
mod outcome;
mod primary;
mod round;
mod status;
mod timers;
pub mod unreachable;

#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use findings::{Finding, FindingCode};
pub use learned::{Fingerprint, Learned};
pub use machine::Refresh;
pub use primary::{Activity, LastError, LastNotify, LastTransfer, PrimaryState, SharedState, TransferKind};
pub use status::{NextAttempt, Why, ZoneState};
pub use timers::{Settings, SoaTimers, Warning};

use crate::dns::Serial;
use crate::reason::{Code, Reason};
use crate::time::Timestamp;

/// After a refresh that a NOTIFY without news started, the next such one of the zone waits this long.
pub const NOTIFY_GAP: Duration = Duration::from_secs(1);
/// How long after a NOTIFY the zone's other primaries are asked.
pub const SIBLINGS_DELAY: Duration = Duration::from_secs(5);
/// At most this often.
pub const SIBLINGS_GAP: Duration = Duration::from_secs(10);
/// Once a primary has shown a newer serial, how long slower ones may still show a higher one.
pub const PROBE_GRACE: Duration = Duration::from_millis(500);
/// A serial that a NOTIFY announced and nobody has yet is asked for once more after this time, or RETRY if less.
pub const HINT_RETRY: Duration = Duration::from_secs(10);

/// What the machine wants done. Primaries are named by their index in the zone's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Ask the primary for its SOA.
    Probe {
        /// Whom.
        primary: usize,
        /// How soon; an [`Urgency::Operator`] probe does not ask the unreachable cache.
        urgency: Urgency,
    },
    /// Transfer the zone from the primary, check it against `accept`, commit it.
    Transfer {
        /// Whom.
        primary: usize,
        /// [`TransferKind::Axfr`] or [`TransferKind::Ixfr`]; the answer to an IXFR may be a whole zone.
        kind: TransferKind,
        /// Which serials to take; [`Refresh::accept`] has the last word at the commit.
        accept: Accept,
        /// How soon; as with a probe.
        urgency: Urgency,
    },
    /// The zone has expired: answer SERVFAIL, keep the data.
    Expire,
    /// A primary has confirmed the zone: store [`Refresh::confirmation`] and serve until `expires`. Also brings an
    /// expired zone back.
    Confirm {
        /// Which.
        by: usize,
        /// When the zone expires unless confirmed again.
        expires: Timestamp,
    },
}

/// The order of work between zones, least urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Urgency {
    /// A timer of a healthy zone.
    Due,
    /// A zone that is answered with SERVFAIL because it expired.
    Expired,
    /// A zone that was never loaded.
    Initial,
    /// A NOTIFY.
    Notify,
    /// A person waits.
    Operator,
}

/// Which offered serials a transfer may bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accept {
    /// Only newer than the served one.
    Newer,
    /// Also the served one, to repair a damaged copy.
    SameOrNewer,
    /// Any: never loaded, expired, forced, or all primaries were replaced.
    Any,
}

impl Accept {
    /// Judges the serial in the first SOA of a transfer. If it is not to be taken, nothing else has to be read: end the
    /// transfer as [`Transferred::UpToDate`] with that serial, also if it is older; the machine tells them apart.
    pub fn takes(self, served: Option<Serial>, offered: Serial) -> bool {
        let Some(served) = served else { return true };
        match self {
            Accept::Any => true,
            Accept::SameOrNewer => offered == served || offered.is_newer_than(served),
            Accept::Newer => offered.is_newer_than(served),
        }
    }
}

fn undefined(offered: Serial, served: Serial) -> Reason {
    Reason::new(Code::SerialUndefined, format!("offered {offered}, served {served}: exactly 2^31 apart"))
}

/// What a person asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Ask every primary and transfer what is newer.
    Refresh,
    /// Transfer the whole zone even if the serial is equal; joins a run that does so already.
    Retransfer {
        /// Take an older serial, too.
        force: bool,
    },
}

/// A good answer to a SOA query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probed {
    /// The serial shown.
    pub serial: Serial,
    /// The EXPIRE option in seconds, if it came (RFC 7314).
    pub expire_option: Option<u32>,
}

/// How a transfer ended well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transferred {
    /// There was nothing to take: a single SOA, or a serial that [`Accept::takes`] declines, be it equal or older.
    UpToDate {
        /// The serial shown.
        serial: Serial,
        /// The EXPIRE option in seconds, if it came.
        expire_option: Option<u32>,
    },
    /// A version was committed.
    Committed(Committed),
}

/// A version as it was committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Of the new version.
    pub soa: SoaTimers,
    /// What came.
    pub kind: TransferKind,
    /// The EXPIRE option in seconds, if it came.
    pub expire_option: Option<u32>,
    /// Records received.
    pub records: u64,
    /// DNS messages received.
    pub messages: u64,
    /// Octets received.
    pub octets: u64,
    /// From the query to the commit.
    pub duration_ms: u64,
    /// Records of the new version, if known.
    pub zone_records: Option<u64>,
}

/// Who confirmed the zone last, and how long that holds. Durable: EXPIRE runs while the daemon is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// When the primary said so.
    pub at: Timestamp,
    /// Its index in the list of that time.
    pub by: u16,
    /// When the zone expires without another.
    pub expires: Timestamp,
}

/// What a restart brings back.
#[derive(Clone, Debug, Default)]
pub struct Restored {
    /// Of the stored version; `None` if there are no contents.
    pub soa: Option<SoaTimers>,
    /// The last one that was stored. Contents without one count as expired: a lost confirmation may only expire a
    /// zone earlier.
    pub confirmation: Option<Confirmation>,
    /// In the order of the primaries; `None` or missing for those not known from before.
    pub primaries: Vec<Option<PrimaryState>>,
    /// A later version may have been served before: the primaries are to be asked so soon, or within
    /// [`Settings::start_spread`] if that is longer.
    pub ask_within: Option<Duration>,
}
