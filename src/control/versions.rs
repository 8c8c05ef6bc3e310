//! Looking back: who gave which version, what it changed, and the way back to one that is kept.
//!
//! In: commands of operators; the store's history. Out: lists and differences for the API, and for a roll-back the
//! earlier version through `commit`, like any other. A roll-back pins: until it is released no refresh replaces what is
//! served. It is the one case where the served serial moves backwards under our hands (invariant 3); primaries go on
//! being asked, so their items tell the truth, and one that answers confirms the zone. Downstreams are notified, but one
//! that has the newer serial already keeps it (RFC 1982): they compare serials as we do.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::dns::Serial;
use crate::refresh::{self, TransferKind};
use crate::served::ZoneId;
use crate::store::{History, Sheet, Step, Store};
use crate::time::Timestamp;
use crate::zone::{self, ContentPolicy, Diff, Snapshot};

use super::commit::soa_timers;
use super::event::{Brought, Event, Form, Prepared};
use super::events::Kind;
use super::handle::EditError;
use super::held::{Reply, answer};
use super::keeper::{IN_MEMORY, Keeper};
use super::review::Judged;

/// Reads of histories running at one time; each may hold megabytes.
const READS_MAX: usize = 4;

/// A served version that no refresh may replace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pinned {
    /// The serial that is served.
    pub serial: Serial,
    /// The serial that was served before.
    pub left: Serial,
    /// Who went back.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// Where a version came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "how")]
pub enum Giver {
    /// A primary gave it.
    Transferred {
        /// Which.
        primary: SocketAddr,
        /// How it came.
        kind: TransferKind,
    },
    /// A primary gave it, and a person approved of it.
    Approved {
        /// Which.
        primary: SocketAddr,
        /// Who.
        user: String,
    },
    /// A person went back to it.
    RolledBack {
        /// Who.
        user: String,
    },
}

/// What is kept of one publication.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    from: Option<Serial>,
    to: Serial,
    at: Timestamp,
    giver: Giver,
    deleted: u64,
    added: u64,
    records: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
}

/// A version that can be looked at and gone back to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Its serial.
    pub serial: Serial,
    /// The serial served before it; `None` for the oldest that is kept and for a first one.
    pub from: Option<Serial>,
    /// When, from whom and how it came; `None` if that is not known any more.
    pub published: Option<Published>,
    /// Octets of the differences that led to it.
    pub octets: u64,
}

/// How a version came to be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// When.
    pub at: Timestamp,
    /// From whom.
    pub giver: Giver,
    /// Records it removed, the SOA aside.
    pub deleted: u64,
    /// Records it added.
    pub added: u64,
    /// Its records.
    pub records: u64,
    /// The hash of its ZONEMD, if that was verified.
    pub digest: Option<String>,
}

/// The kept versions in the order in which they were served, the oldest first.
fn versions(history: &History) -> Vec<Version> {
    let notes: BTreeMap<u64, Note> = history
        .notes
        .iter()
        .filter_map(|(sequence, bytes)| Some((*sequence, serde_json::from_slice(bytes).ok()?)))
        .collect();
    let Some(oldest) = history.steps.first().map(|step| step.from).or(history.stored) else { return Vec::new() };
    let before = history.steps.first().map_or(u64::MAX, |step| step.sequence - 1);
    let note = notes.range(..=before).next_back().map(|(_, note)| note).filter(|note| note.to == oldest);
    let mut versions = vec![Version { serial: oldest, from: None, published: note.map(published), octets: 0 }];
    let mut passed: Vec<&Step> = Vec::new();
    for step in &history.steps {
        passed.push(step);
        let from = passed[0].from;
        let next = notes.range(step.sequence..).next();
        let note = match next {
            Some((sequence, note)) if *sequence == step.sequence && note.to == step.to => Some(note),
            // Several steps of one answer were published together.
            Some((_, note)) if note.from == Some(from) => continue,
            _ => None,
        };
        let octets = passed.drain(..).map(|step| u64::from(step.octets)).sum();
        versions.push(Version { serial: step.to, from: Some(from), published: note.map(published), octets });
    }
    versions
}

fn published(note: &Note) -> Published {
    let Note { at, giver, deleted, added, records, digest, .. } = note.clone();
    Published { at, giver, deleted, added, records, digest }
}

/// Reads the past of zones for the API.
#[derive(Clone)]
pub(super) struct Past {
    store: Arc<Store>,
    reads: Arc<Semaphore>,
}

impl std::fmt::Debug for Past {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Past").finish_non_exhaustive()
    }
}

impl Past {
    pub(super) fn new(store: Arc<Store>) -> Past {
        Past { store, reads: Arc::new(Semaphore::new(READS_MAX)) }
    }

    /// The kept versions, oldest first.
    pub(super) async fn versions(&self, zone: ZoneId) -> Result<Vec<Version>, EditError> {
        self.read(move |store| Ok(versions(&store.history(zone.0).map_err(storage)?))).await
    }

    /// What leads from one kept version to the other.
    pub(super) async fn difference(&self, zone: ZoneId, from: Serial, to: Serial) -> Result<Diff, EditError> {
        self.read(move |store| {
            let diffs = store.diffs_between(zone.0, from, to).map_err(storage)?;
            let diffs = diffs.filter(|diffs| !diffs.is_empty()).ok_or(EditError::NotKept { from, to })?;
            Diff::compose(&diffs).map_err(|error| EditError::Storage(error.to_string()))
        })
        .await
    }

    /// What leads from the served version to the held one.
    pub(super) async fn held_difference(&self, zone: ZoneId, served: Arc<Snapshot>) -> Result<Diff, EditError> {
        self.read(move |store| match store.held(zone.0).map_err(storage)? {
            Some(held) => Ok(zone::between(&served, &held)),
            None => Err(EditError::NoSuchHeld),
        })
        .await
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, EditError> + Send + 'static,
    ) -> Result<T, EditError> {
        let turn = self.reads.clone().acquire_owned().await.expect("it is never closed");
        let store = self.store.clone();
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work(&store)
        });
        done.await.unwrap_or(Err(EditError::ShuttingDown))
    }
}

fn storage(error: crate::store::StoreError) -> EditError {
    EditError::Storage(error.to_string())
}

/// What is kept of a publication, for the store.
pub(super) fn note(sheet: &Sheet, from: Option<Serial>, snapshot: &Snapshot, judged: &Judged, giver: Giver) -> Bytes {
    let note = Note {
        from,
        to: snapshot.serial(),
        at: Timestamp::now(),
        giver,
        deleted: judged.changes.deleted,
        added: judged.changes.added,
        records: snapshot.record_count(),
        digest: judged.digest.map(str::to_owned),
    };
    sheet.write(|out| serde_json::to_writer(out, &note).expect(IN_MEMORY))
}

impl Keeper {
    /// Goes back (or forwards again) to a kept version and pins it; the served one can be pinned, too.
    pub(super) fn roll_back(&mut self, zone: Uuid, to: Serial, user: String, reply: Reply) {
        let Some(view) = self.board.by_uuid(zone) else { return answer(Some(reply), Err(EditError::NotFound)) };
        let Some(zone) = self.zones.get(&view.id) else {
            return answer(Some(reply), Err(self.not_asked_for(view.id)));
        };
        let id = zone.definition.id;
        let Some(base) = zone.newest_version() else {
            return answer(Some(reply), Err(EditError::NotKept { from: to, to }));
        };
        let (store, events) = (self.store.clone(), self.events.clone());
        tokio::task::spawn_blocking(move || {
            let outcome = earlier(&store, id, &base, to);
            let brought = Brought::RolledBack { zone: id, base: base.serial(), to, user, outcome, reply };
            // Nobody listens any more when the daemon stops.
            let _ = events.send(Event::Brought(Box::new(brought)));
        });
    }

    /// The earlier version has been made; `None` if it is the served one.
    pub(super) fn rolled_back(
        &mut self,
        id: ZoneId,
        base: Serial,
        to: Serial,
        user: String,
        outcome: Result<Option<Prepared>, EditError>,
        reply: Reply,
    ) {
        let Some(zone) = self.zones.get(&id) else { return answer(Some(reply), Err(EditError::NotFound)) };
        let prepared = match outcome {
            Ok(prepared) if zone.newest_serial() == Some(base) => prepared,
            Ok(_) => return answer(Some(reply), Err(EditError::Superseded)),
            Err(error) => return answer(Some(reply), Err(error)),
        };
        tracing::warn!(zone = %zone.definition.name, from_serial = base.0, serial = to.0, user, op = "rollback", "rolled back; newer versions are not taken until it is released");
        let soa = match prepared {
            Some(prepared) => {
                let soa = soa_timers(&prepared.snapshot);
                if let Err(reason) = self.commit(id, prepared, Giver::RolledBack { user: user.clone() }) {
                    return answer(Some(reply), Err(EditError::Storage(reason.to_string())));
                }
                Some(soa)
            }
            None => None,
        };
        let (zone, now) = (self.zones.get_mut(&id).expect("a commit removes no zone"), Timestamp::now());
        let definition = zone.definition.clone();
        let told = serde_json::json!({"fromSerial": base, "serial": to, "by": user.as_str()});
        let left = zone.review.pinned.as_ref().map_or(base, |pinned| pinned.left);
        zone.review.pinned = Some(Box::new(Pinned { serial: to, left, by: user, at: now }));
        zone.refresh.set_frozen(true);
        if let Some(soa) = soa {
            let by = zone.refresh.active_primary().unwrap_or(0);
            zone.refresh.handle_exchanged(now, soa, (by, now));
        }
        self.tell(&definition, Kind::RolledBack, told);
        self.store_review(id, false, Some(reply));
        self.follow_up(id);
    }

    /// Newer versions are taken again.
    pub(super) fn release(&mut self, zone: Uuid, user: &str, reply: Reply) {
        let Some(view) = self.board.by_uuid(zone) else { return answer(Some(reply), Err(EditError::NotFound)) };
        let none = self.not_asked_for(view.id);
        let Some(zone) = self.zones.get_mut(&view.id) else { return answer(Some(reply), Err(none)) };
        let id = zone.definition.id;
        if zone.review.pinned.take().is_none() {
            return answer(Some(reply), Err(EditError::NotPinned));
        }
        tracing::warn!(zone = %zone.definition.name, serial = zone.served.map(|s| s.0), user, op = "release", "newer versions are taken again");
        zone.refresh.set_frozen(false);
        zone.refresh.handle_command(Timestamp::now(), refresh::Command::Refresh);
        self.store_review(id, false, Some(reply));
        self.follow_up(id);
    }
}

/// The version with the serial `to`, made from `base`, which is served.
fn earlier(store: &Store, id: ZoneId, base: &Snapshot, to: Serial) -> Result<Option<Prepared>, EditError> {
    let from = base.serial();
    if from == to {
        return Ok(None);
    }
    let not_kept = || EditError::NotKept { from, to };
    let diffs = store.diffs_back(id.0, from, to).map_err(storage)?.ok_or_else(not_kept)?;
    let (snapshot, findings) = zone::apply_own(base, &diffs).map_err(|error| EditError::Storage(error.to_string()))?;
    let warnings =
        zone::check(&snapshot, &ContentPolicy::default()).map_err(|reason| EditError::Storage(reason.to_string()))?;
    let count = |diff: &Diff| (diff.deleted().count() as u64, diff.added().count() as u64);
    let (deleted, added) = diffs.iter().map(count).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    Ok(Some(Prepared {
        judged: Judged {
            changes: super::review::Changes { deleted, added },
            survey: zone::signatures::Survey::of(&snapshot, Timestamp::now()),
            ..Judged::default()
        },
        snapshot: Arc::new(snapshot),
        form: Form::Diffs(diffs),
        findings,
        warnings: warnings.iter().map(ToString::to_string).collect(),
        base: Some(from),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(sequence: u64, from: u32, to: u32) -> Step {
        Step { sequence, from: Serial(from), to: Serial(to), octets: 10 }
    }

    fn note(sequence: u64, from: Option<u32>, to: u32) -> (u64, Vec<u8>) {
        let primary = "192.0.2.1:53".parse().expect("an address");
        let note = Note {
            from: from.map(Serial),
            to: Serial(to),
            at: Timestamp::from_millis(1000 * u64::from(to)),
            giver: Giver::Transferred { primary, kind: TransferKind::Ixfr },
            deleted: 0,
            added: 1,
            records: 2,
            digest: None,
        };
        (sequence, serde_json::to_vec(&note).expect("plain data"))
    }

    fn listed(history: &History) -> Vec<(u32, Option<u32>, bool, u64)> {
        let shown = |v: Version| (v.serial.0, v.from.map(|s| s.0), v.published.is_some(), v.octets);
        versions(history).into_iter().map(shown).collect()
    }

    #[test]
    fn steps_of_one_answer_are_one_version() {
        let history = History {
            steps: vec![step(5, 1, 2), step(6, 2, 3), step(7, 3, 4)],
            notes: vec![note(4, None, 1), note(6, Some(1), 3), note(7, Some(3), 4)],
            stored: Some(Serial(4)),
        };
        assert_eq!(listed(&history), [(1, None, true, 0), (3, Some(1), true, 20), (4, Some(3), true, 10)]);
    }

    #[test]
    fn a_version_without_a_note_is_a_version() {
        let history = History {
            steps: vec![step(5, 1, 2), step(6, 2, 3)],
            notes: vec![note(6, Some(2), 3)],
            stored: Some(Serial(3)),
        };
        assert_eq!(listed(&history), [(1, None, false, 0), (2, Some(1), false, 10), (3, Some(2), true, 10)]);
    }

    #[test]
    fn a_zone_without_steps_has_the_version_it_serves() {
        let history = History { steps: vec![], notes: vec![note(9, Some(1), 7)], stored: Some(Serial(7)) };
        assert_eq!(listed(&history), [(7, None, true, 0)]);
        assert_eq!(listed(&History::default()), []);
    }

    #[test]
    fn a_note_of_another_version_is_not_taken_for_its() {
        let history = History { steps: vec![], notes: vec![note(9, Some(1), 6)], stored: Some(Serial(7)) };
        assert_eq!(listed(&history), [(7, None, false, 0)]);
    }

    #[test]
    fn going_back_and_forth_shows_each_time() {
        let history = History {
            steps: vec![step(1, 1, 2), step(2, 2, 1), step(3, 1, 2)],
            notes: vec![note(1, Some(1), 2), note(2, Some(2), 1), note(3, Some(1), 2)],
            stored: Some(Serial(2)),
        };
        let serials: Vec<_> = versions(&history).iter().map(|version| version.serial.0).collect();
        assert_eq!(serials, [1, 2, 1, 2]);
    }
}
