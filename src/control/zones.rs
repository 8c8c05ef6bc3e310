//! The keeper's state of one zone, and how zones come to be at start: from the configuration, from the store, or both.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::access::{Kind, PrimaryAccess, ZoneAccess};
use crate::config::Config;
use crate::dns::{Name, Serial};
use crate::net::tls::TlsSession;
use crate::refresh::{Refresh, Settings};
use crate::served::{Slot, ZoneId};
use crate::time::Timestamp;
use crate::zone::Snapshot;
use crate::zone::signatures::{Lapse, Survey};

use super::catalogs::follow::Followed;
use super::definition::{Arrangement, Membership, Origin, Primary, ZoneDefinition, configured_uuid};
use super::event::Exchange;
use super::held::{Held, Review};
use super::history::Newest;
use super::keeper::Keeper;
use super::status::{PrimaryStatus, RefusedNotify, Remarked, Remarks, ZoneStatus, ZoneView};
use super::versions::Pinned;

/// Everything the keeper knows of one zone.
pub(super) struct Zone {
    pub(super) definition: Arc<ZoneDefinition>,
    pub(super) view: Arc<ZoneView>,
    pub(super) slot: Arc<Slot>,
    /// When to ask whom.
    pub(super) refresh: Refresh,
    /// Counts the lists of primaries, so that outcomes of an older list are recognised.
    pub(super) epoch: u32,
    /// For when the schedule has the zone.
    pub(super) armed: Option<Timestamp>,
    pub(super) served: Option<Serial>,
    pub(super) stored: Option<Serial>,
    /// The newest version that was taken, while it is not served because it is not on the disk (`durability = "before"`).
    pub(super) coming: Option<Arc<Snapshot>>,
    /// What was noticed in the contents served now.
    pub(super) warnings: Vec<String>,
    /// Dropping it cancels the running transfer.
    pub(super) transfer: Option<oneshot::Sender<()>>,
    /// Dropping it ends the running NOTIFYs to downstreams.
    pub(super) announcement: Option<oneshot::Sender<()>>,
    /// Why the served contents are not durable, and when they are written again.
    pub(super) unstored: Option<Box<Unstored>>,
    /// What is known of it as a catalog that is followed.
    pub(super) followed: Option<Box<Followed>>,
    /// What was decided about versions, and what waits.
    pub(super) review: Review,
    /// The held version until it is on disk.
    pub(super) held_contents: Option<Arc<Snapshot>>,
    /// A held version is on its way to the door.
    pub(super) is_deciding: bool,
    /// What is known of the signatures of the served version.
    pub(super) survey: Option<Box<Survey>>,
    /// The newest attempt at each primary, where one has ended since the start.
    pub(super) newest: Vec<Option<Newest>>,
    /// The last NOTIFY that was refused.
    pub(super) refused_notify: Option<Box<RefusedNotify>>,
    /// When a NOTIFY was last worth an event.
    pub(super) notify_told: Timestamp,
    /// When a refused one was.
    pub(super) refused_told: Timestamp,
    /// The last TLS session with each primary that is asked so.
    pub(super) tls: BTreeMap<usize, Arc<TlsSession>>,
    /// When a NOTIFY was last worth a line of the log.
    pub(super) notify_shown: Option<Timestamp>,
}

/// A write of contents that failed.
pub(super) struct Unstored {
    pub(super) detail: String,
    pub(super) again_at: Timestamp,
}

impl Zone {
    /// Whether a NOTIFY of the zone has been accepted since the start, or from one of its primaries ever.
    pub(super) fn has_accepted_notify(&self) -> bool {
        let heard = |ix| self.refresh.primary(ix).is_some_and(|state| state.last_notify.is_some());
        self.notify_shown.is_some() || (0..self.definition.primaries.len()).any(heard)
    }

    /// An exchange with a primary of the list as it is now.
    pub(super) fn exchange(&self, primary: usize) -> Exchange {
        let address = self.definition.primaries[primary].address;
        Exchange { zone: self.definition.id, epoch: self.epoch, primary, address }
    }

    /// The newest version that was taken, whether it is served or on its way to the disk: what comes next comes after it.
    pub(super) fn newest_version(&self) -> Option<Arc<Snapshot>> {
        self.coming.clone().or_else(|| self.slot.snapshot())
    }

    /// Its serial.
    pub(super) fn newest_serial(&self) -> Option<Serial> {
        self.coming.as_ref().map(|version| version.serial()).or(self.served)
    }

    /// Keeps what a primary has shown of itself.
    pub(super) fn note_tls(&mut self, primary: usize, session: &TlsSession) {
        if self.tls.get(&primary).is_none_or(|known| **known != *session) {
            self.tls.insert(primary, Arc::new(session.clone()));
        }
    }

    /// The held version, if its deadline counts: not while it is decided, nor while a person holds on to another version.
    pub(super) fn undecided(&self) -> Option<&Held> {
        self.review.held.as_deref().filter(|_| !self.is_deciding && self.review.pinned.is_none())
    }

    /// When something is to be done for it next.
    pub(super) fn wants_to_be_looked_at(&self, lapse_warning: Duration, now: Timestamp) -> Option<Timestamp> {
        let again_at = self.unstored.as_ref().map(|unstored| unstored.again_at);
        let deadline = self.undecided().map(|held| held.deadline);
        let lapse = self.lapse_due(lapse_warning, now);
        [self.refresh.poll_timeout(), again_at, deadline, lapse].into_iter().flatten().min()
    }

    /// The zone as the board shows it.
    pub(super) fn status(
        &self,
        now: Timestamp,
        generation: u64,
        settings: &Settings,
        lapse_warning: Duration,
    ) -> ZoneStatus {
        let refresh = &self.refresh;
        let shown = refresh.primaries().filter_map(|primary| primary.serial);
        let offered = shown.chain(refresh.announced_serial()).chain(self.served).reduce(newest);
        let storage = self.unstored.as_ref().map(|unstored| format!("not on disk: {}", unstored.detail));
        let timers = refresh.warnings();
        let confirmation = refresh.confirmation();
        let patience = refresh.soa().map(|soa| soa.refresh(settings) + 2 * soa.retry(settings));
        let reviewed = self.review_warnings(now + lapse_warning);
        ZoneStatus {
            definition: self.definition.clone(),
            state: refresh.state(),
            generation,
            offered_serial: offered,
            served_serial: self.served,
            stored_serial: self.stored,
            last_refresh: refresh.last_refresh(),
            next_refresh: refresh.next_refresh(),
            expires: refresh.expires(),
            stale_at: confirmation.zip(patience).map(|(confirmation, patience)| confirmation.at + patience),
            expiring_at: confirmation.map(|c| c.expires - c.expires.since(c.at) / 4),
            active_primary: refresh.active_primary(),
            primaries: refresh
                .items()
                .enumerate()
                .map(|(ix, state)| PrimaryStatus {
                    state,
                    next_attempt: refresh.next_attempt(ix),
                    behind_since: refresh.lag(ix, now).map(|lag| now - lag),
                    attempt: self.newest.get(ix).and_then(Option::as_ref).map(|newest| newest.attempt.clone()),
                    tls: self.tls.get(&ix).cloned(),
                })
                .collect(),
            remarks: Remarked::from(Remarks {
                review: self.review.clone(),
                signatures: self.survey.as_ref().map(|survey| survey.first.clone()),
                refused_notify: self.refused_notify.clone(),
                catalog: self.followed.as_ref().map(|followed| followed.listed()),
                findings: refresh.findings(now),
                warnings: storage
                    .into_iter()
                    .chain(reviewed)
                    .chain(self.followed.iter().flat_map(|followed| followed.warnings()))
                    .chain(timers.iter().map(ToString::to_string))
                    .chain(self.warnings.iter().cloned())
                    .collect(),
            }),
        }
    }

    /// What an operator should know of held, pinned and lapsing versions. Signatures that end before `soon` are told.
    fn review_warnings(&self, soon: Timestamp) -> Vec<String> {
        let held = self.review.held.as_ref().map(|held| {
            format!("serial {} is held ({}) and waits for approval until {}", held.serial, held.reason, held.deadline)
        });
        let pinned = self.review.pinned.as_ref().map(|pinned| {
            let Pinned { serial, left, by, at } = &**pinned;
            format!("rolled back from serial {left} to {serial} by {by} at {at}; newer versions are not taken until released")
        });
        let lapse = self.survey.as_ref().map(|survey| &survey.first).filter(|first| first.at <= soon);
        let lapse = lapse.map(|Lapse { at, owner, covered }| {
            format!("signatures lapse, the first at {at}: {covered} of {owner}; the signer should have renewed it")
        });
        [held, pinned, lapse].into_iter().flatten().collect()
    }

    /// When a warning about signatures begins, if it has not yet.
    pub(super) fn lapse_due(&self, lapse_warning: Duration, now: Timestamp) -> Option<Timestamp> {
        self.survey.as_ref().map(|survey| survey.first.at - lapse_warning).filter(|due| *due > now)
    }

    /// Which primary a NOTIFY speaks for: the first with this address (and key, where it has one), whatever the port.
    pub(super) fn primary_at(&self, peer: IpAddr, key: Option<&Name>) -> Option<usize> {
        access(&self.definition).primary_at(peer, key)
    }
}

/// What the store keeps of a definition. Configured zones keep their number, and whose the stored statuses of primaries are;
/// what they should be stands in the configuration and is read anew at each start.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum StoredDefinition {
    Configured {
        name: Name,
        /// `None`: not known, as before there was this.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        primaries: Option<Arc<[Primary]>>,
    },
    /// Members of a catalog keep their number and what the catalog said of them; the rest is as with configured ones.
    Member {
        uuid: Uuid,
        created: Timestamp,
        primaries: Arc<[Primary]>,
        membership: Box<Membership>,
    },
    Rest(Box<ZoneDefinition>),
}

impl StoredDefinition {
    pub(super) fn of(definition: &ZoneDefinition) -> StoredDefinition {
        match &definition.origin {
            Origin::Configured { .. } => StoredDefinition::Configured {
                name: definition.name.clone(),
                primaries: Some(definition.primaries.clone()),
            },
            Origin::Catalog(membership) => StoredDefinition::Member {
                uuid: definition.uuid,
                created: definition.created,
                primaries: definition.primaries.clone(),
                membership: membership.clone(),
            },
            Origin::Rest => StoredDefinition::Rest(Box::new(definition.clone())),
        }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a definition is plain data")
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> serde_json::Result<StoredDefinition> {
        serde_json::from_slice(bytes)
    }
}

/// What a list of primaries has in common with the one before.
pub(super) struct KeptPrimaries {
    /// Where each of the new list stood in the old one.
    pub(super) places: Vec<Option<usize>>,
    /// No server of the old list is in the new one: the serials of the two may have nothing to do with each other.
    pub(super) none: bool,
}

/// See [`KeptPrimaries`].
pub(super) fn kept_primaries(old: &[Primary], new: &[Primary]) -> KeptPrimaries {
    let places = new.iter().map(|new| old.iter().position(|old| old == new)).collect();
    let none = !old.iter().any(|old| new.iter().any(|new| new.address == old.address));
    KeptPrimaries { places, none }
}

/// Who creates and changes zones of the configuration; one text for all of them.
static CONFIGURATION: LazyLock<Arc<str>> = LazyLock::new(|| "configuration".into());

/// The definition of a zone of the configuration. `id` is the number it had before, or a new one.
pub(super) fn configured(zone: &crate::config::Zone, id: ZoneId, now: Timestamp) -> ZoneDefinition {
    arranged(zone, Arc::new(arrangement(zone)), id, now)
}

/// As [`configured`], with the zone's arrangement, which may be that of others as well.
fn arranged(zone: &crate::config::Zone, arrangement: Arc<Arrangement>, id: ZoneId, now: Timestamp) -> ZoneDefinition {
    ZoneDefinition {
        id,
        uuid: configured_uuid(&zone.name),
        name: zone.name.clone(),
        description: String::new(),
        local: None,
        origin: Origin::Configured { file: zone.origin.file.clone(), line: zone.origin.line },
        created: now,
        modified: now,
        arrangement,
    }
}

fn arrangement(zone: &crate::config::Zone) -> Arrangement {
    Arrangement {
        tenant: zone.tenant.clone(),
        primaries: zone.primaries.iter().map(Primary::from).collect(),
        allow_notify: zone.allow_notify.clone(),
        allow_transfer: zone.allow_transfer.clone(),
        allow_query: zone.allow_query.clone(),
        notify: zone.notify.clone(),
        policy: zone.policy.clone(),
        catalog: zone.catalog.clone(),
        created_by: CONFIGURATION.clone(),
        modified_by: CONFIGURATION.clone(),
    }
}

/// What the zone before had, while many come: those of one group nearly always come one behind the other.
#[derive(Default)]
pub(super) struct Before<'a> {
    arranged: Option<(&'a crate::config::Zone, Arc<Arrangement>)>,
    /// A list of primaries as it is stored, and what it says.
    list: Option<(&'a str, Arc<[Primary]>)>,
}

impl<'a> Before<'a> {
    /// As [`configured`].
    pub(super) fn configured(&mut self, zone: &'a crate::config::Zone, id: ZoneId, now: Timestamp) -> ZoneDefinition {
        let arrangement = match &self.arranged {
            Some((before, known)) if before.is_arranged_as(zone) => known.clone(),
            _ => Arc::new(arrangement(zone)),
        };
        self.arranged = Some((zone, arrangement.clone()));
        arranged(zone, arrangement, id, now)
    }

    /// As [`StoredDefinition::from_bytes`]. Most are of the configuration, and most of what these hold is the list.
    pub(super) fn read(&mut self, bytes: &'a [u8]) -> serde_json::Result<StoredDefinition> {
        /// [`StoredDefinition::Configured`], its list not read.
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case")]
        enum Outline<'a> {
            Configured {
                name: Name,
                #[serde(borrow)]
                primaries: &'a RawValue,
            },
        }
        let Ok(Outline::Configured { name, primaries }) = serde_json::from_slice(bytes) else {
            return StoredDefinition::from_bytes(bytes);
        };
        let written = primaries.get();
        let primaries: Option<Arc<[Primary]>> = match &self.list {
            Some((before, known)) if *before == written => Some(known.clone()),
            _ => serde_json::from_str(written)?,
        };
        self.list = primaries.clone().map(|primaries| (written, primaries));
        Ok(StoredDefinition::Configured { name, primaries })
    }
}

/// The zone as the configuration has it, which [`configured`] made this definition of; `None` if it came by REST.
fn as_configured(definition: &ZoneDefinition) -> Option<crate::config::Zone> {
    let Origin::Configured { file, line } = &definition.origin else { return None };
    Some(crate::config::Zone {
        name: definition.name.clone(),
        primaries: definition.primaries.iter().map(crate::config::Primary::from).collect(),
        allow_notify: definition.allow_notify.clone(),
        allow_transfer: definition.allow_transfer.clone(),
        allow_query: definition.allow_query.clone(),
        notify: definition.notify.clone(),
        policy: definition.policy.clone(),
        catalog: definition.catalog.clone(),
        tenant: definition.tenant.clone(),
        origin: crate::config::Origin { file: file.clone(), line: *line },
    })
}

impl Keeper {
    /// Lets the configuration's list of zones go: all of it stands in the zones' definitions, and there may be 100,000.
    pub(super) fn drop_configured_zones(&mut self) {
        self.config = Arc::new(Config { zones: Vec::new(), ..Config::clone(&self.config) });
    }

    /// The configuration in force with its list of zones, to compare another one with. O(zones).
    pub(super) fn config_with_zones(&self) -> Config {
        let zones = self.zones.values().filter_map(|zone| as_configured(&zone.definition)).collect();
        Config { zones, ..Config::clone(&self.config) }
    }
}

/// Who may notify and transfer the zone, for `net`.
pub(super) fn access(definition: &ZoneDefinition) -> ZoneAccess {
    ZoneAccess {
        kind: if definition.local.is_some() { Kind::Local } else { Kind::Secondary },
        primaries: definition
            .primaries
            .iter()
            .map(|p| PrimaryAccess { address: p.address.ip(), key: p.tsig_key.clone() })
            .collect(),
        allow_notify: definition.allow_notify.clone(),
        allow_transfer: definition.allow_transfer.clone(),
        allow_query: definition.allow_query.clone(),
    }
}

/// The zones of a configuration by name.
pub(super) fn by_name(config: &Config) -> HashMap<&Name, &crate::config::Zone> {
    config.zones.iter().map(|zone| (&zone.name, zone)).collect()
}

fn newest(a: Serial, b: Serial) -> Serial {
    if b.is_newer_than(a) { b } else { a }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Transport, Zone};

    /// A reload compares the new file with this: a zone that nobody has touched must not look changed.
    #[test]
    fn a_configured_zone_can_be_told_from_its_definition() {
        let primary = |text: &str| crate::config::Primary::at(text.parse().expect("an address"));
        let secured = crate::config::Primary {
            tsig_key: Some("key.example".parse().expect("a name")),
            source: Some([192, 0, 2, 9].into()),
            transport: Transport::Tls,
            ..primary("[2001:db8::1]:853")
        };
        let zone = Zone {
            name: "example.com".parse().expect("a name"),
            primaries: [primary("192.0.2.1:53"), secured].into(),
            allow_notify: ["192.0.2.0/24".parse().expect("a rule")].into(),
            allow_transfer: ["key:down.".parse().expect("a rule")].into(),
            allow_query: Some([].into()),
            notify: ["192.0.2.7".parse().expect("a target")].into(),
            policy: None,
            catalog: None,
            tenant: "1000".into(),
            origin: crate::config::Origin { file: std::path::Path::new("/etc/a.toml").into(), line: 7 },
        };
        let definition = configured(&zone, ZoneId(1), Timestamp::from_millis(1));
        assert_eq!(as_configured(&definition), Some(zone));
        assert_eq!(definition.origin.place().as_deref(), Some("/etc/a.toml:7"));
        assert_eq!(as_configured(&ZoneDefinition { origin: Origin::Rest, ..definition }), None);
    }

    #[test]
    fn a_zone_is_what_it_is_whichever_came_before_it() {
        let primary = |last| crate::config::Primary::at(([192, 0, 2, last], 53).into());
        let named = |name: &str, last| Zone {
            name: name.parse().expect("a name"),
            primaries: [primary(last)].into(),
            ..crate::control::fixture::zone()
        };
        let zones = [named("a.example", 1), named("b.example", 1), named("c.example", 2)];
        let now = Timestamp::from_millis(1);
        // Given what is stored of zones of the configuration, of one without a list (earlier builds), and of one from REST
        let of = |zone: &Zone| StoredDefinition::of(&configured(zone, ZoneId(1), now)).to_bytes();
        let mut stored: Vec<Vec<u8>> = zones.iter().map(of).collect();
        stored.push(br#"{"configured":{"name":"d.example."}}"#.to_vec());
        stored.push(br#"{"configured":{"name":"d.example.","primaries":null}}"#.to_vec());
        let rest = ZoneDefinition { origin: Origin::Rest, ..configured(&zones[2], ZoneId(1), now) };
        stored.push(StoredDefinition::of(&rest).to_bytes());
        stored.push(b"{\"configured\":".to_vec());
        // When they are read one behind the other, in any order
        for order in [stored.iter().collect::<Vec<_>>(), stored.iter().rev().collect()] {
            let mut before = Before::default();
            for bytes in order {
                // Then each is what it would be alone
                let alone = StoredDefinition::from_bytes(bytes).map(|definition| definition.to_bytes());
                let read = before.read(bytes).map(|definition| definition.to_bytes());
                assert_eq!(read.ok(), alone.ok());
            }
        }
        let mut before = Before::default();
        let made = zones.each_ref().map(|zone| before.configured(zone, ZoneId(1), now));
        assert_eq!(made, zones.each_ref().map(|zone| configured(zone, ZoneId(1), now)));
        assert!(Arc::ptr_eq(&made[0].arrangement, &made[1].arrangement), "they share what they have in common");
    }
}
