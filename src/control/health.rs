//! One word for how a zone is: a rule over its status, for load balancers, orchestration and checks.
//!
//! In: a [`ZoneStatus`] and `now`. Out: a [`Health`]. Called by the API and the metrics. Never reads a clock.

use serde::Serialize;

use super::status::ZoneStatus;
use crate::reason::StatusWord;
use crate::refresh::ZoneState;
use crate::time::Timestamp;

/// How a zone is, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// Served and confirmed in time; every primary is well.
    Ok,
    /// Waits for its first version; nobody has failed to give it yet.
    Loading,
    /// Served and confirmed in time, but a primary fails, lags or is held back.
    Degraded,
    /// Served, but no primary has confirmed it for longer than REFRESH and two RETRYs.
    Stale,
    /// Served, but only a quarter of its lease is left.
    Expiring,
    /// Every primary was tried and none gave it: never served.
    Unloaded,
    /// No primary has confirmed it for EXPIRE: answered with SERVFAIL.
    Expired,
}

impl Health {
    /// All, the best first.
    pub const ALL: [Health; 7] = [
        Health::Ok,
        Health::Loading,
        Health::Degraded,
        Health::Stale,
        Health::Expiring,
        Health::Unloaded,
        Health::Expired,
    ];

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Health::Ok => "ok",
            Health::Loading => "loading",
            Health::Degraded => "degraded",
            Health::Stale => "stale",
            Health::Expiring => "expiring",
            Health::Unloaded => "unloaded",
            Health::Expired => "expired",
        }
    }

    /// How the zone is at `now`.
    pub fn of(zone: &ZoneStatus, now: Timestamp) -> Health {
        let past = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
        if zone.served_serial.is_none() {
            return if zone.state == ZoneState::Failed { Health::Unloaded } else { Health::Loading };
        }
        if zone.state == ZoneState::Failed || past(zone.expires) {
            return Health::Expired;
        }
        match () {
            () if past(zone.expiring_at) => Health::Expiring,
            () if past(zone.stale_at) => Health::Stale,
            () if zone.primaries.iter().any(|p| is_bad(p.state.code.status())) => Health::Degraded,
            () => Health::Ok,
        }
    }
}

fn is_bad(word: StatusWord) -> bool {
    matches!(word, StatusWord::Error | StatusWord::Lagging)
}
