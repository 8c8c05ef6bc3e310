//! What can be asked of a zone's refresh: the numbers and words behind every status answer. Getters only.

use super::primary::Notified;
use super::*;

/// The zone as the API names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ZoneState {
    /// Waits for its first version, or for the first answer of new primaries.
    Provisioning,
    /// Served.
    Available,
    /// Every primary was tried and none gave the zone, or it has expired. Retries go on.
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Created, given other primaries, or told to try again after a failure; no round has ended since.
    Provisioning,
    /// A primary has answered.
    Settled,
    /// None has.
    Failed,
}

/// Why the next attempt is when it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// REFRESH has passed then.
    Refresh,
    /// RETRY after a failure, grown with each.
    Retry,
    /// The zone was never loaded.
    First,
    /// A NOTIFY announced a serial that nobody has yet, or waits for its second.
    Notify,
    /// Another primary of the zone sent a NOTIFY.
    Sibling,
    /// The address does not answer and is left alone until then.
    Unreachable,
}

/// When a primary is asked next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextAttempt {
    /// Not before.
    pub at: Timestamp,
    /// For what reason then.
    pub why: Why,
}

impl Refresh {
    /// The status of the i-th primary.
    pub fn primary(&self, ix: usize) -> Option<&PrimaryState> {
        self.primaries.get(ix).map(|primary| &*primary.state)
    }

    /// What a transfer from the i-th primary would bring: what it showed last, or the newer serial that it has announced
    /// since. `None` if nothing is known.
    pub fn expected(&self, ix: usize) -> Option<Serial> {
        let announced = self.hint.filter(|hint| !hint.forgotten && hint.from.map(usize::from) == Some(ix));
        let shown = self.primaries.get(ix)?.state.serial;
        let newer = |announced: &Serial| shown.is_none_or(|shown| announced.is_newer_than(shown));
        announced.map(|hint| hint.serial).filter(newer).or(shown)
    }

    /// All of them as they are shown, in the order of the list.
    pub fn items(&self) -> impl ExactSizeIterator<Item = SharedState> {
        self.primaries.iter().map(|primary| primary.state.to_item())
    }

    /// All of them, in the order of the list.
    pub fn primaries(&self) -> impl ExactSizeIterator<Item = &PrimaryState> {
        self.primaries.iter().map(|primary| &*primary.state)
    }

    /// When the i-th primary is asked next, as far as is known now; `None` while an exchange with it is running or
    /// waiting.
    pub fn next_attempt(&self, ix: usize) -> Option<NextAttempt> {
        let primary = self.primaries.get(ix)?;
        if primary.state.activity != Activity::Idle {
            return None;
        }
        let own = |at, why| Some(NextAttempt { at, why });
        let siblings = self.siblings_due.filter(|_| primary.unheard).map(|at| NextAttempt { at, why: Why::Sibling });
        let round = self.next_refresh().map(|at| NextAttempt { at, why: self.why });
        let soonest = match primary.notified {
            Notified::No => [siblings, round].into_iter().flatten().min_by_key(|next| next.at),
            _ => own(self.gate, Why::Notify),
        };
        // Within a round nothing is known of the next one, but the end of a pause is.
        let blocked = primary.blocked_until;
        match soonest {
            Some(next) if next.at >= blocked => Some(next),
            None if blocked == Timestamp::default() => None,
            _ => own(blocked, Why::Unreachable),
        }
    }

    /// Provisioning, available or failed.
    pub fn state(&self) -> ZoneState {
        match self.phase {
            Phase::Provisioning => ZoneState::Provisioning,
            // None of its new primaries gave it, but the version of the old ones is served: FAILED means SERVFAIL.
            Phase::Failed if self.soa.is_some() && !self.expired => ZoneState::Provisioning,
            Phase::Failed => ZoneState::Failed,
            Phase::Settled if self.expired => ZoneState::Failed,
            Phase::Settled => ZoneState::Available,
        }
    }

    /// The serial of the served version.
    pub fn served_serial(&self) -> Option<Serial> {
        self.soa.map(|soa| soa.serial)
    }

    /// The timers of the served version.
    pub fn soa(&self) -> Option<SoaTimers> {
        self.soa
    }

    /// Which serials may be committed now. An expired zone can be confirmed while a transfer runs that was started to
    /// take any: judge again before the commit, and report a version that is declined as [`Transferred::UpToDate`].
    pub fn accept(&self) -> Accept {
        match () {
            _ if self.soa.is_none() || self.takes_any_serial() => Accept::Any,
            _ if self.round.as_ref().is_some_and(|round| round.wants_whole() || round.resigned.is_some()) => {
                Accept::SameOrNewer
            }
            _ => Accept::Newer,
        }
    }

    /// Whether the zone must not be answered because nobody has confirmed it for too long.
    pub fn is_expired(&self) -> bool {
        self.expired
    }

    /// When the zone expires, or expired; `None` before the first version. Less `now`, the answer to the EXPIRE option.
    pub fn expires(&self) -> Option<Timestamp> {
        self.confirmation.map(|confirmation| confirmation.expires)
    }

    /// The durable form of that.
    pub fn confirmation(&self) -> Option<Confirmation> {
        self.confirmation
    }

    /// When a primary last confirmed the zone.
    pub fn last_refresh(&self) -> Option<Timestamp> {
        self.confirmation.map(|confirmation| confirmation.at)
    }

    /// When the next round begins by itself; `None` while one is running.
    pub fn next_refresh(&self) -> Option<Timestamp> {
        match &self.round {
            Some(round) if !round.sibling => None,
            _ => Some(self.next),
        }
    }

    /// The primary that gives or gave the zone: of the running transfer, else of the last confirmation.
    pub fn active_primary(&self) -> Option<usize> {
        let running = self.round.as_ref().and_then(|round| round.transfer).map(|running| running.primary);
        let by = running.or(self.confirmation.map(|confirmation| confirmation.by))?;
        Some(usize::from(by)).filter(|&ix| ix < self.primaries.len())
    }

    /// Whether a transfer is running or about to.
    pub fn is_transferring_now(&self) -> bool {
        self.round.as_ref().is_some_and(|round| round.transfer.is_some())
    }

    /// Whether a round is running.
    pub fn is_refreshing(&self) -> bool {
        self.round.is_some()
    }

    /// Rounds in a row in which no primary confirmed the zone.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// The serial a NOTIFY announced that has not been seen yet.
    pub fn announced_serial(&self) -> Option<Serial> {
        self.hint.map(|hint| hint.serial)
    }

    /// Moves with every visible change; the basis of an entity tag. Wraps.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Timers of the SOA that are not used as they came.
    pub fn warnings(&self) -> Vec<Warning> {
        self.soa.map_or_else(Vec::new, |soa| soa.warnings(&self.settings))
    }
}
