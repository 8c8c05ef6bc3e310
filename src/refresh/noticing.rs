//! What the answers of primaries tell beside their serial: who is behind whom, which changes no NOTIFY announced, and
//! whether a zone was signed again under the same serial. Part of the machine; see [`super`] for the picture.

use super::learned::Fingerprint;
use super::*;

/// Transfers made in a row for signatures that are other ones in each answer; such a primary signs as it answers.
const RESIGNED_IN_VAIN_MAX: u8 = 3;

impl Refresh {
    /// What the SOA answer of the i-th primary that is about to be handed in looks like. Optional; call it before
    /// [`Refresh::handle_probe`].
    pub fn note_look(&mut self, ix: usize, look: Fingerprint) {
        if let Some(primary) = self.primaries.get_mut(ix) {
            primary.look = Some(look);
        }
    }

    /// What the served version looks like; call it when a version was published or restored.
    pub fn note_served(&mut self, look: Fingerprint) {
        self.served_look = Some(look);
    }

    /// The primary has shown `serial`; true if it cannot make up its mind lately.
    pub(super) fn note_shown(&mut self, now: Timestamp, ix: usize, serial: Serial) -> bool {
        let served = self.served_serial().zip(self.served_look);
        let look = self.primaries[ix].look.take();
        let flapping = self.primaries[ix].showed(now, serial, look, served);
        self.note_behind(now);
        flapping
    }

    /// The primary has given a version newer than `from`. Was it found by asking only? A person who asks right after a
    /// change proves nothing about NOTIFY.
    pub(super) fn note_how_found(&mut self, now: Timestamp, ix: usize, from: Option<Serial>, to: Serial) {
        let announced = std::mem::take(&mut self.announced);
        let commanded = self.round.as_ref().is_some_and(|round| round.urgency == Urgency::Operator);
        if !announced && !commanded && from.is_some_and(|from| to.is_newer_than(from)) {
            self.primaries[ix].state.learn().unannounced.note(now);
        }
    }

    /// Notes since when each primary is behind the newest serial known (3.7).
    pub(super) fn note_behind(&mut self, now: Timestamp) {
        let newest = self.newest_known();
        for primary in &mut self.primaries {
            let behind = match (newest, primary.state.serial) {
                (Some(newest), Some(shown)) => shown.is_older_than(newest),
                _ => false,
            };
            let known = primary.state.learned.as_ref().and_then(|learned| learned.behind_since);
            match (behind, known) {
                (true, None) => primary.state.learn().behind_since = Some(now),
                (false, Some(_)) => primary.state.learn().behind_since = None,
                _ => continue,
            }
            primary.changed = true;
        }
    }

    fn newest_known(&self) -> Option<Serial> {
        let shown = self.primaries.iter().filter_map(|primary| primary.state.serial);
        shown.chain(self.served_serial()).reduce(|a, b| if b.is_newer_than(a) { b } else { a })
    }

    /// A NOTIFY was accepted.
    pub(super) fn note_notify(&mut self, now: Timestamp, sender: Option<usize>) {
        for (ix, primary) in self.primaries.iter_mut().enumerate() {
            if sender == Some(ix) {
                primary.state.learn().rhythm.note(now);
                primary.changed = true;
            }
            if sender.is_none_or(|sender| sender == ix)
                && let Some(learned) = &mut primary.state.learned
            {
                learned.unannounced = Default::default();
                primary.changed = true;
            }
        }
    }

    /// Whether the primary that gave the served version shows other signatures under its serial (P5), so that a whole
    /// transfer is worth it.
    pub(super) fn is_resigned(&mut self, now: Timestamp, ix: usize, serial: Serial, look: Option<Fingerprint>) -> bool {
        if !self.settings.detect_resigned || self.source().is_some_and(|source| source != ix) {
            return false;
        }
        let served = self.served_look.and_then(|look| look.signature);
        let (Some(shown), Some(served)) = (look.and_then(|look| look.signature), served) else { return false };
        let state = &mut self.primaries[ix].state;
        if shown == served {
            if let Some(learned) = &mut state.learned {
                learned.resigned.in_vain = 0;
            }
            return false;
        }
        let resigned = &mut state.learn().resigned;
        let again = resigned.seen.is_some_and(|(known, _)| known == serial);
        if !again {
            *resigned = learned::Resigned { seen: Some((serial, now)), in_vain: 0 };
        }
        resigned.in_vain = resigned.in_vain.saturating_add(1);
        let is_worth_it = resigned.in_vain <= RESIGNED_IN_VAIN_MAX;
        self.primaries[ix].changed = true;
        is_worth_it
    }

    pub(super) fn join_resigned(&mut self, ix: usize) {
        if let Some(round) = &mut self.round {
            round.resigned = Some(ix as u16);
        }
    }

    /// What was worth a transfer has had it.
    pub(super) fn forget_resigned(&mut self, ix: usize) {
        if let Some(round) = self.round.as_mut().filter(|round| round.resigned == Some(ix as u16)) {
            round.resigned = None;
        }
    }

    /// The primary whose transfer the served version is.
    pub fn source(&self) -> Option<usize> {
        let finished = |state: &PrimaryState| {
            state.last_transfer.as_ref().filter(|last| last.kind != TransferKind::Soa).map(|last| last.finished)
        };
        let given = self.primaries.iter().enumerate().filter_map(|(ix, primary)| Some((finished(&primary.state)?, ix)));
        given.max_by_key(|(finished, ix)| (*finished, usize::MAX - ix)).map(|(_, ix)| ix)
    }

    /// The primary that new versions are taken from although others have newer ones (P4): the one that gave the served
    /// version, unless it has been behind for longer than [`Settings::pin_tolerance`].
    pub(super) fn pinned(&self, now: Timestamp) -> Option<usize> {
        let commanded = self.round.as_deref().is_some_and(round::Round::wants_whole);
        let free = self.settings.pin_tolerance.is_zero() || self.takes_any_serial() || self.soa.is_none() || commanded;
        let source = self.source().filter(|_| !free && self.primaries.len() > 1)?;
        self.pin_ends(source).is_none_or(|end| now < end).then_some(source)
    }

    /// When another primary may give the zone because this one is behind.
    pub(super) fn pin_ends(&self, ix: usize) -> Option<Timestamp> {
        let since = self.primaries[ix].state.learned.as_ref()?.behind_since?;
        Some(since + self.settings.pin_tolerance)
    }
}
