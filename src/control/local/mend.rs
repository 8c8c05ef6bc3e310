//! Local zones of which it is not known what is stored are written whole.
//!
//! In: zones of a group whose write has failed, and all zones when the database was replaced while we run. Such a write may
//! stand on the disk all the same: the next one would go on from something else than what is there, and the zone would not be
//! whole at the next start. So nothing else is written before what is in memory has been, and those who want something are
//! told that it cannot be stored meanwhile.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::control::definition::ZoneDefinition;
use crate::control::event::Event;
use crate::control::handle::EditError;
use crate::control::keeper::Keeper;
use crate::control::zones::StoredDefinition;
use crate::local::LocalZone;
use crate::served::ZoneId;
use crate::store::{LocalContents, LocalWrite, StoreError, Write};
use crate::time::Timestamp;
use crate::zone::Snapshot;

use super::group::NEXT_RECORD;
use super::load::Head;
use super::request::LocalRefused;

/// Zones that are written at a time.
const AT_A_TIME: usize = 64;
/// After a failed write the next try waits this long, unless somebody wants something.
const PAUSE: std::time::Duration = std::time::Duration::from_secs(10);

/// Zones of which it is not known what is stored.
#[derive(Default)]
pub(in crate::control) struct Suspects {
    zones: BTreeSet<ZoneId>,
    due: Timestamp,
}

impl Suspects {
    pub(super) fn is_empty(&self) -> bool {
        self.zones.is_empty()
    }
}

impl Keeper {
    /// It is not known what is stored of these zones.
    pub(in crate::control) fn suspect(&mut self, zones: impl IntoIterator<Item = ZoneId>) {
        self.local.suspects.zones.extend(zones);
        self.local.suspects.due = Timestamp::now();
    }

    /// The same of all of them.
    pub(in crate::control) fn suspect_all(&mut self) {
        let all: Vec<ZoneId> = self.local.definitions().map(|definition| definition.id).collect();
        self.suspect(all);
    }

    /// When suspects are to be written, if nobody wants anything before.
    pub(in crate::control) fn mends_at(&self) -> Option<Timestamp> {
        (!self.local.is_busy && !self.local.suspects.is_empty()).then_some(self.local.suspects.due)
    }

    /// Writes some of them. Nothing else of local zones is under way.
    pub(super) fn mend(&mut self) {
        let ids: Vec<ZoneId> = self.local.suspects.zones.iter().copied().take(AT_A_TIME).collect();
        let zones: Vec<Suspect> = ids.iter().filter_map(|id| self.suspect_as_it_is(*id)).collect();
        let next_num = self.local.next_num.to_be_bytes().to_vec();
        let (store, events) = (self.store.clone(), self.events.clone());
        self.local.is_busy = true;
        tokio::task::spawn_blocking(move || {
            let write = Write::Local {
                zones: zones.iter().map(Suspect::write).collect(),
                metas: vec![(NEXT_RECORD.to_owned(), Some(next_num))],
            };
            // Nobody listens any more when the daemon stops.
            let done = move |outcome: Result<(), StoreError>| {
                let _ = events.send(Event::LocalMended(ids, outcome.map_err(|error| error.to_string())));
            };
            store.submit(write, Box::new(done));
        });
    }

    /// What is to be stored of a zone; `None` where nothing must be touched.
    fn suspect_as_it_is(&self, id: ZoneId) -> Option<Suspect> {
        if !self.local.holds(id) {
            // Made by a group that failed. One that the configuration displaces keeps what is stored.
            let is_aside = self.aside.values().any(|displaced| displaced.id() == id);
            return (!is_aside).then_some(Suspect::Gone(id));
        }
        let view = self.board.by_number(id)?;
        // Of one that is damaged nothing is known, and what is stored stays.
        Some(Suspect::There(view.status().definition.clone(), view.local()?, view.snapshot()?))
    }

    /// They are written, or not.
    pub(in crate::control) fn local_mended(&mut self, ids: &[ZoneId], outcome: Result<(), String>) {
        self.local.is_busy = false;
        match outcome {
            Ok(()) => {
                tracing::info!(zones = ids.len(), "local zones have been written whole, after a failure of the store");
                ids.iter().for_each(|id| {
                    self.local.suspects.zones.remove(id);
                });
            }
            Err(detail) => {
                self.local.suspects.due = Timestamp::now() + PAUSE;
                for (_, reply) in std::mem::take(&mut self.local.waiting) {
                    // A client that has gone away has nothing to be told.
                    let _ = reply.send(Err(LocalRefused::Failed(EditError::Storage(detail.clone()))));
                }
            }
        }
        self.begin_group();
    }
}

/// A zone as it is to be stored.
enum Suspect {
    Gone(ZoneId),
    There(Arc<ZoneDefinition>, Arc<LocalZone>, Arc<Snapshot>),
}

impl Suspect {
    fn write(&self) -> LocalWrite {
        match self {
            Suspect::Gone(id) => LocalWrite::removed(id.0),
            Suspect::There(definition, zone, snapshot) => {
                let entries = zone.entries_from(0).map(|entry| (entry.num, Some(entry.to_bytes())));
                let head = (0, Some(Head::of(zone).to_bytes()));
                LocalWrite {
                    zone: definition.id.0,
                    definition: Some(StoredDefinition::of(definition).to_bytes()),
                    entries: entries.chain([head]).collect(),
                    contents: LocalContents::New { snapshot: snapshot.clone(), diffs: Vec::new() },
                    log: None,
                    whole: Some(zone.changes()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::control::fixture::{Events, add_local_zone, keeper_with_events, settle, zone};

    async fn mended(keeper: &mut Keeper, events: &mut Events) {
        keeper.begin_group();
        settle(keeper, events, |keeper| keeper.local.suspects.is_empty() && !keeper.local.is_busy).await;
    }

    /// "What fails on disk is undone": also where it stands on the disk all the same, which a failed sync does not tell.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_change_that_failed_is_undone_on_the_disk_too() {
        let directory = tempfile::tempdir().expect("a directory");
        let config = || Config { state_dir: directory.path().to_owned(), ..Config::default() };
        let (id, gone) = (ZoneId(1_000_001), ZoneId(1_000_002));
        {
            let (mut keeper, restored, mut events) = keeper_with_events(config());
            keeper.load(restored, || {});
            add_local_zone(&mut keeper, id);
            keeper.suspect([id]);
            mended(&mut keeper, &mut events).await;
            // given a deletion, and a new zone, of which the clients were told that they could not be stored
            let view = keeper.board.by_number(id).expect("there");
            let first = view.local().expect("a local zone").entries_from(0).next().expect("an entry").num;
            let change = |zone: ZoneId, entries| LocalWrite {
                zone: zone.0,
                definition: None,
                entries,
                contents: LocalContents::Unchanged,
                log: None,
                whole: None,
            };
            let definition = Some(StoredDefinition::of(&view.status().definition).to_bytes());
            let zones = vec![
                change(id, vec![(first, None), (0, Some(vec![0; 20]))]),
                LocalWrite { definition, ..change(gone, vec![(5, Some(vec![1]))]) },
            ];
            keeper.store.submit(Write::Local { zones, metas: Vec::new() }, Box::new(|_| {}));
            keeper.suspect([id, gone]);
            mended(&mut keeper, &mut events).await;
            keeper.store.close();
        }
        let (mut keeper, restored, _) = keeper_with_events(config());
        keeper.load(restored, || {});
        let view = keeper.board.by_number(id).expect("there");
        assert_eq!(view.local().map(|zone| zone.len()), Some(5), "all of it: {:?}", view.status().remarks.warnings);
        assert!(keeper.board.by_number(gone).is_none());
        keeper.store.close();
    }

    /// A database that was replaced while we run gets everything again.
    #[tokio::test(flavor = "multi_thread")]
    async fn everything_is_written_again_where_the_database_is_another() {
        let directory = tempfile::tempdir().expect("a directory");
        let other = crate::config::Zone { name: "other.example".parse().expect("a name"), ..zone() };
        let config =
            || Config { state_dir: directory.path().to_owned(), zones: vec![other.clone()], ..Config::default() };
        let id = ZoneId(1_000_009);
        {
            let (mut keeper, restored, mut events) = keeper_with_events(config());
            keeper.load(restored, || {});
            add_local_zone(&mut keeper, id);
            keeper.write_all_again();
            mended(&mut keeper, &mut events).await;
            keeper.store.close();
        }
        let (mut keeper, restored, _) = keeper_with_events(config());
        keeper.load(restored, || {});
        assert!(keeper.board.by_number(id).is_some_and(|view| view.local().is_some()));
        assert_eq!(keeper.zones.len(), 1);
        keeper.store.close();
    }
}
