//! The door: the one function through which a zone's contents change (invariant 1).
//!
//! ```text
//!   arrival --> serial rule --> publish --> store --> (durable) --> announce
//!                                   `--- with durability = "before" it is: store --> publish --> announce
//! ```
//!
//! What comes here has been built and checked beside the served contents (`exchange`); here it is decided whether it
//! may become the served version, and everybody who must know is told. Nothing is announced to downstreams before it
//! is durable.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::config::{Durability, NotifyTarget};
use crate::dns::Serial;
use crate::net::notifier::Downstream;
use crate::net::upstream::Volume;
use crate::reason::{Code, Reason};
use crate::refresh::{Accept, Committed, Confirmation, TransferKind, Transferred};
use crate::served::{Slot, State, ZoneId};
use crate::store::{Done, Write};
use crate::telemetry;
use crate::time::Timestamp;
use crate::zone::{Difference, Findings, Snapshot};

use super::event::{Arrival, Contents, Event, Exchange, Form, Prepared};
use super::events::Kind;
use super::keeper::Keeper;
use super::load::write_confirmation;
use super::look;
use super::review;
use super::versions::{self, Giver};
use super::zones::Unstored;

/// Most warnings kept of one version.
const WARNINGS_MAX: usize = 20;
/// A first version up to this size is stored when there is time for it: if it is lost it is fetched again in a moment.
const FETCHED_AGAIN_OCTETS: u64 = 256 << 10;
/// After a failed write of contents the next try waits this long.
const REWRITE_PAUSE: Duration = Duration::from_secs(10);

impl Keeper {
    /// Takes what a transfer has brought: nothing new, or a new version through the door.
    pub(super) fn take(
        &mut self,
        exchange: &Exchange,
        accept: Accept,
        arrival: Arrival,
    ) -> Result<Transferred, Reason> {
        let Arrival { volume, expire_secs: expire_option, contents } = arrival;
        let mut prepared = match contents {
            Contents::UpToDate(serial) => return self.up_to_date(exchange, serial, expire_option),
            Contents::New(prepared) => *prepared,
        };
        let committed = Committed {
            soa: soa_timers(&prepared.snapshot),
            kind: match prepared.form {
                Form::Full(_) => TransferKind::Axfr,
                Form::Diffs(_) => TransferKind::Ixfr,
            },
            expire_option,
            records: volume.records,
            messages: volume.messages,
            octets: volume.octets,
            duration_ms: volume.duration.as_millis() as u64,
            zone_records: Some(prepared.snapshot.record_count()),
        };
        prepared.findings.out_of_zone += volume.skipped_out_of_zone;
        let newest = self.zones.get(&exchange.zone).and_then(|zone| zone.newest_serial());
        // What was right when the transfer began may be wrong now: the zone may have been confirmed meanwhile.
        let accept_now = self.zones.get(&exchange.zone).map(|zone| zone.refresh.accept());
        let takes = |accept: Accept| accept.takes(newest, committed.soa.serial);
        let is_pinned = self.zones.get(&exchange.zone).is_some_and(|zone| zone.review.pinned.is_some());
        if is_pinned || !takes(accept) || !accept_now.is_none_or(takes) {
            return Ok(Transferred::UpToDate { serial: committed.soa.serial, expire_option });
        }
        if let Some(reason) = self.objection(exchange.zone, &prepared) {
            return Err(self.hold(exchange, prepared, &committed, reason));
        }
        self.count_transfer(exchange, &prepared, &committed, &volume);
        let giver = Giver::Transferred { primary: exchange.address, kind: committed.kind };
        prepared.warnings.splice(0..0, volume_notes(&volume));
        self.confirm_first(exchange, &committed);
        self.commit(exchange.zone, prepared, giver)?;
        Ok(Transferred::Committed(committed))
    }

    /// The primary has nothing to take: what we serve, something older, or a version that was held or refused before.
    fn up_to_date(
        &mut self,
        exchange: &Exchange,
        serial: Serial,
        expire_option: Option<u32>,
    ) -> Result<Transferred, Reason> {
        let zone = self.zones.get_mut(&exchange.zone).filter(|zone| zone.newest_serial() != Some(serial));
        if let Some(zone) = zone
            && let Some(reason) = zone.review.objection_to(serial)
        {
            zone.refresh.note_refused_serial(Timestamp::now(), exchange.primary, serial);
            return Err(reason);
        }
        Ok(Transferred::UpToDate { serial, expire_option })
    }

    /// Why the version must not be served without a person. It was judged beside the version it came for; where that has
    /// changed, the guard rails are asked once more.
    fn objection(&self, id: ZoneId, prepared: &Prepared) -> Option<Reason> {
        let zone = self.zones.get(&id)?;
        if prepared.judged.objection.is_some() || prepared.base == zone.newest_serial() {
            return prepared.judged.objection.clone();
        }
        let guard = self.config.guard_of(zone.definition.policy.as_deref());
        let is_catalog = zone.definition.catalog.is_some();
        review::judge(&*zone.newest_version()?, &prepared.snapshot, &guard, is_catalog).err()
    }

    fn count_transfer(&self, exchange: &Exchange, prepared: &Prepared, transfer: &Committed, volume: &Volume) {
        let Some(zone) = self.zones.get(&exchange.zone) else { return };
        let (kind, changes) = (kind_word(transfer.kind), prepared.judged.changes);
        tracing::info!(
            zone = %zone.definition.name, peer = %exchange.address, op = kind, from_serial = zone.newest_serial().map(|s| s.0),
            serial = transfer.soa.serial.0, records = transfer.records, octets = transfer.octets,
            changes = changes.deleted + changes.added, duration_ms = transfer.duration_ms, "new version"
        );
        metrics::counter!(telemetry::TRANSFERS, "type" => kind).increment(1);
        metrics::counter!(telemetry::TRANSFER_OCTETS, "type" => kind).increment(transfer.octets);
        metrics::histogram!(telemetry::TRANSFER_SECONDS, "type" => kind).record(volume.duration.as_secs_f64());
    }

    /// Makes a version the served one: publishes and stores it, and tells everybody who must know.
    pub(super) fn commit(&mut self, id: ZoneId, prepared: Prepared, giver: Giver) -> Result<(), Reason> {
        if self.removing.contains(&id) {
            return Err(Reason::new(Code::Cancelled, "the zone is being removed"));
        }
        let Prepared { snapshot, form, findings, warnings, base, judged } = prepared;
        let zone = self.zones.get_mut(&id).expect("the caller has found the zone");
        let (serial, before) = (snapshot.serial(), zone.newest_serial());
        if let Form::Diffs(_) = form
            && base != before
        {
            return Err(Reason::new(Code::IxfrInapplicable, "the zone has changed while the differences came"));
        }
        let notes = notes(&findings, snapshot.mixed_count());
        let warnings = notes.into_iter().chain(warnings).take(WARNINGS_MAX).collect();
        let known = std::mem::replace(&mut zone.warnings, warnings);
        // What was said of the last version is no news: a zone may get a thousand versions a second.
        for warning in zone.warnings.iter().filter(|warning| !known.contains(warning)) {
            tracing::warn!(zone = %zone.definition.name, serial = serial.0, "{warning}");
        }
        zone.survey = judged.survey.clone().map(Box::new);
        // Its members wait for what is stored of it.
        let is_catalog = zone.definition.catalog.is_some();
        let note = versions::note(self.store.sheet(), before, &snapshot, &judged, giver);
        let is_levelled = zone.newest_version().is_some_and(|base| base.mixed_count() < snapshot.mixed_count());
        let contents = match form {
            // That an RRset was levelled is marked on its page; the difference does not tell.
            Form::Diffs(diffs) if is_levelled && diffs.len() == 1 => {
                Write::Replace { zone: id.0, snapshot: snapshot.clone(), diff: diffs.into_iter().next() }
            }
            Form::Diffs(diffs) => Write::Append { zone: id.0, snapshot: snapshot.clone(), diffs },
            Form::Full(difference) => {
                let diff = match difference {
                    Some(Difference::Sequence(diff)) => Some(diff),
                    Some(Difference::TooLong { .. }) | None => None,
                };
                Write::Replace { zone: id.0, snapshot: snapshot.clone(), diff }
            }
        };
        let write = Write::Noted { zone: id.0, contents: Box::new(contents), bytes: note };
        match self.config.durability {
            Durability::Behind => {
                self.store.note_ahead(id.0);
                self.publish(id, snapshot.clone());
                if before.is_none() && snapshot.image_octets() <= FETCHED_AGAIN_OCTETS && !is_catalog {
                    self.store.submit_later(write, self.when_stored(id, snapshot, true));
                } else {
                    self.write_contents(id, snapshot, write, true);
                }
            }
            Durability::Before => {
                zone.coming = Some(snapshot.clone());
                self.write_contents(id, snapshot, write, false);
            }
        }
        self.forget_held(id);
        Ok(())
    }

    /// The first contents of a zone are of no use after a crash without a confirmation, which may wait for company in the
    /// store: it goes before them, so that they are never there without it. Later versions have the one before.
    fn confirm_first(&self, exchange: &Exchange, committed: &Committed) {
        let is_first = self.zones.get(&exchange.zone).is_some_and(|zone| zone.stored.is_none());
        if is_first {
            let now = Timestamp::now();
            let whole = committed.soa.expire(&self.settings);
            let left = committed.expire_option.map_or(whole, |secs| whole.min(Duration::from_secs(u64::from(secs))));
            let confirmation = Confirmation { at: now, by: exchange.primary as u16, expires: now + left };
            write_confirmation(&self.store, exchange.zone, &confirmation);
        }
    }

    /// Makes `snapshot` the served version.
    pub(super) fn publish(&mut self, id: ZoneId, snapshot: Arc<Snapshot>) {
        let Some(zone) = self.zones.get_mut(&id) else { return };
        let (from, to, records) = (zone.served, snapshot.serial(), snapshot.record_count());
        zone.served = Some(to);
        zone.refresh.note_served(look::of_version(&snapshot));
        self.publisher.publish(&zone.slot, snapshot);
        let definition = zone.definition.clone();
        let details = serde_json::json!({"fromSerial": from, "serial": to, "records": records});
        self.tell(&definition, Kind::Version, details);
    }

    /// The same for a local zone, whose contents are durable already; `None` changes the state only.
    pub(super) fn publish_local(&mut self, slot: &Slot, snapshot: Option<Arc<Snapshot>>, state: State) {
        match snapshot {
            Some(snapshot) => self.publisher.publish_as(slot, snapshot, state),
            None => self.publisher.set_state(slot, state),
        }
    }

    pub(super) fn write_contents(&self, zone: ZoneId, version: Arc<Snapshot>, write: Write, is_served: bool) {
        self.store.submit(write, self.when_stored(zone, version, is_served));
    }

    fn when_stored(&self, zone: ZoneId, version: Arc<Snapshot>, is_served: bool) -> Done {
        let events = self.events.clone();
        Box::new(move |outcome| {
            let outcome = outcome.map_err(|error| error.to_string());
            // Nobody listens any more when the daemon stops.
            let _ = events.send(Event::Stored { zone, version, is_served, outcome });
        })
    }

    /// The store has answered: the version is durable, or has to be written again.
    pub(super) fn stored(&mut self, id: ZoneId, version: Arc<Snapshot>, is_served: bool, outcome: Result<(), String>) {
        let Some(zone) = self.zones.get_mut(&id) else { return };
        let serial = version.serial();
        zone.coming.take_if(|coming| Arc::ptr_eq(coming, &version));
        match outcome {
            Ok(()) => {
                zone.stored = Some(serial);
                zone.unstored = None;
                if zone.stored == zone.served {
                    self.store.note_caught_up(id.0);
                }
                if !is_served {
                    self.publish(id, version.clone());
                }
                // A newer one may be served already, and the next follow before that is durable, for as long as changes come
                // faster than the disk takes them: downstreams are told of each that they can be given.
                self.announce(id, &version);
                self.follow(id, &version);
            }
            Err(detail) => {
                tracing::error!(zone = %zone.definition.name, serial = serial.0, detail, "{}", Code::StorageFailed.sentence());
                metrics::counter!(telemetry::STORE_FAILURES).increment(1);
                // Served all the same: the primary is the record of truth. Written again with the next version, or now
                // and then until it works.
                let again_at = Timestamp::now() + REWRITE_PAUSE;
                zone.unstored = Some(Box::new(Unstored { detail, again_at }));
                if !is_served {
                    self.publish(id, version);
                }
            }
        }
        self.follow_up(id);
    }

    /// Writes the served contents once more after a failure.
    pub(super) fn rewrite(&mut self, id: ZoneId) {
        let Some(zone) = self.zones.get_mut(&id) else { return };
        if let Some(unstored) = &mut zone.unstored {
            // The store answers later, and until then the zone must not be due again: its timer would never let go.
            unstored.again_at = Timestamp::now() + REWRITE_PAUSE;
        }
        // What refused the contents may have refused the confirmation, without which they are of no use after a restart.
        if let Some(confirmation) = zone.refresh.confirmation() {
            write_confirmation(&self.store, id, &confirmation);
        }
        // What is coming has been given to the store, and must not be followed by what it replaces.
        if let Some(snapshot) = zone.slot.snapshot().filter(|_| zone.coming.is_none()) {
            let write = Write::Replace { zone: id.0, snapshot: snapshot.clone(), diff: None };
            self.write_contents(id, snapshot, write, true);
        }
    }

    /// Tells the zone's downstreams of a durable version (RFC 1996 §3.1).
    fn announce(&mut self, id: ZoneId, version: &Snapshot) {
        let notify = self.zones.get(&id).map(|zone| self.downstreams_of(&zone.definition));
        let Some(notify) = notify.filter(|notify| !notify.is_empty()) else { return };
        let announcement = self.announced_to(&notify, version);
        if let Some(zone) = self.zones.get_mut(&id) {
            zone.announcement = Some(announcement);
        }
    }

    /// Starts telling these downstreams; goes on until the answer is dropped.
    pub(super) fn announced_to(&self, notify: &[NotifyTarget], version: &Snapshot) -> oneshot::Sender<()> {
        let downstreams = notify.iter().map(|target| Downstream {
            address: target.address,
            key: target.key.as_ref().and_then(|name| self.config.tsig_keys.get(name)).cloned(),
        });
        self.notifier.announce(version, downstreams.collect())
    }
}

/// What an operator should know of records that were not taken as they came.
pub(super) fn notes(findings: &Findings, mixed: u32) -> Vec<String> {
    let mut notes = Vec::new();
    if findings.out_of_zone > 0 {
        let example = findings.out_of_zone_example.as_ref().map(|name| format!(", e.g. {name}")).unwrap_or_default();
        notes.push(format!("{} records outside the zone were skipped{example}", findings.out_of_zone));
    }
    if findings.passed_over > 0 {
        notes.push(format!(
            "{} changes of the differences did not fit and were passed over ([transfer] lenient-ixfr); PUT .../axfr brings \
             the whole zone",
            findings.passed_over
        ));
    }
    if mixed > 0 {
        notes.push(format!(
            "{mixed} RRsets came with differing TTLs or spellings of one owner; the lowest TTL is used (RFC 2181 §5.2)"
        ));
    }
    notes
}

/// The same of what the transfer itself has seen.
pub(super) fn volume_notes(volume: &Volume) -> Vec<String> {
    let mut notes = Vec::new();
    if volume.negative_ttls > 0 {
        notes.push(format!(
            "{} records came with the top bit of the TTL set; read as 0 (RFC 2181 §8)",
            volume.negative_ttls
        ));
    }
    notes
}

fn kind_word(kind: TransferKind) -> &'static str {
    match kind {
        TransferKind::Axfr => "axfr",
        TransferKind::Ixfr => "ixfr",
        TransferKind::Soa => "soa",
    }
}

/// The timers of the version's SOA.
pub(super) fn soa_timers(snapshot: &Snapshot) -> crate::refresh::SoaTimers {
    let soa = snapshot.soa();
    crate::refresh::SoaTimers {
        serial: soa.serial,
        refresh_secs: soa.refresh,
        retry_secs: soa.retry,
        expire_secs: soa.expire,
    }
}

#[cfg(test)]
mod tests;
