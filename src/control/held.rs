//! Versions that wait for a verdict, and what was decided about versions: the keeper's side of guard rails.
//!
//! ```text
//!   objection ──> held ──approve──────────────────────> the door
//!                  │ └──reject, or the deadline──> refused: not fetched again until the primary offers another serial
//!                  └──another version is served, or its primary goes back to the served one──> forgotten
//! ```
//!
//! In: versions with an objection from `commit`, verdicts of operators, deadlines. Out: reviews and held versions in
//! the store (a restart keeps them), approved versions through `commit`. At most one version a zone is held; a newer
//! one takes its place. A held version confirms nothing: EXPIRE runs on, since no primary vouches for what is served.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::config::OnDeadline;
use crate::dns::Serial;
use crate::reason::Reason;
use crate::refresh::{self, Committed, TransferKind};
use crate::served::ZoneId;
use crate::store::Write;
use crate::telemetry;
use crate::time::Timestamp;
use crate::zone::{self, ContentPolicy, Findings, Snapshot};

use super::commit::soa_timers;
use super::event::{Brought, Event, Exchange, Form, Prepared};
use super::events::Kind;
use super::handle::EditError;
use super::keeper::{Keeper, report};
use super::review::{Changes, Judged};
use super::versions::{Giver, Pinned};

/// Who decides when nobody did.
const DEADLINE: &str = "deadline";
/// Who has rejected a version that its primary offers no more.
const WITHDRAWN: &str = "primary";
/// When a deadline decides again if its verdict had no effect.
const DECIDED_AGAIN: Duration = Duration::from_secs(60);

/// What was decided about versions of one zone, and what waits; durable. Nearly always nothing, so it is small then.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// The version that waits for a verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Box<Held>>,
    /// The version that was refused last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Box<Refused>>,
    /// Why no newer version is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<Box<Pinned>>,
}

/// A version that is not served until a person says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Names it in the API.
    pub id: Uuid,
    /// Its serial.
    pub serial: Serial,
    /// The serial served when it came.
    pub base: Option<Serial>,
    /// Who gave it.
    pub primary: SocketAddr,
    /// How it came.
    pub kind: TransferKind,
    /// When.
    pub received: Timestamp,
    /// Why it is held.
    pub reason: Reason,
    /// Its records.
    pub records: u64,
    /// Records it would remove, the SOA aside.
    pub deleted: u64,
    /// Records it would add.
    pub added: u64,
    /// When it is decided without a person.
    pub deadline: Timestamp,
}

/// A version nobody wants: it is not fetched again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Its serial.
    pub serial: Serial,
    /// Why it was held.
    pub reason: Reason,
    /// Who refused it.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

impl Review {
    /// The serial that is not to be fetched again.
    pub(super) fn known_serial(&self) -> Option<Serial> {
        self.held.as_ref().map(|held| held.serial).or(self.refused.as_ref().map(|refused| refused.serial))
    }

    /// Why the version with this serial is not taken; `None` if nothing is known of it.
    pub(super) fn objection_to(&self, serial: Serial) -> Option<Reason> {
        if let Some(held) = self.held.as_ref().filter(|held| held.serial == serial) {
            let Reason { code, detail } = &held.reason;
            let detail = format!("{detail}; serial {serial} waits for approval until {}", held.deadline);
            return Some(Reason::new(*code, detail));
        }
        let refused = self.refused.as_ref().filter(|refused| refused.serial == serial)?;
        let Reason { code, detail } = &refused.reason;
        Some(Reason::new(*code, format!("{detail}; serial {serial} was rejected by {} at {}", refused.by, refused.at)))
    }

    /// As the store keeps it; `None` if there is nothing to keep.
    pub(super) fn to_bytes(&self) -> Option<Vec<u8>> {
        (*self != Review::default()).then(|| serde_json::to_vec(self).expect("a review is plain data"))
    }

    /// What the store kept. One that cannot be read is as good as none: the version would be fetched and judged anew.
    pub(super) fn from_bytes(bytes: &[u8]) -> Review {
        serde_json::from_slice(bytes).unwrap_or_else(|error| {
            tracing::error!(%error, "a stored review of versions cannot be read");
            Review::default()
        })
    }
}

/// What to do with a held version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Serve it.
    Approve,
    /// Give it up.
    Reject,
}

pub(super) type Reply = oneshot::Sender<Result<(), EditError>>;

impl Keeper {
    /// Keeps a version with an objection and says so. The reason is for the primary that sent it.
    pub(super) fn hold(
        &mut self,
        exchange: &Exchange,
        prepared: Prepared,
        transfer: &Committed,
        reason: Reason,
    ) -> Reason {
        let Some(zone) = self.zones.get_mut(&exchange.zone) else { return reason };
        let (id, snapshot, now) = (exchange.zone, prepared.snapshot, Timestamp::now());
        let guard = self.config.guard_of(zone.definition.policy.as_deref());
        let held = Held {
            id: Uuid::new_v4(),
            serial: snapshot.serial(),
            base: prepared.base,
            primary: exchange.address,
            kind: transfer.kind,
            received: now,
            records: snapshot.record_count(),
            deleted: prepared.judged.changes.deleted,
            added: prepared.judged.changes.added,
            deadline: now + guard.deadline,
            reason,
        };
        metrics::counter!(telemetry::VERSIONS_HELD, "code" => held.reason.code.as_str()).increment(1);
        // The warning comes with the end of the transfer.
        tracing::info!(
            zone = %zone.definition.name, peer = %exchange.address, op = "hold", serial = held.serial.0,
            served = zone.served.map(|s| s.0), code = %held.reason.code, held = %held.id, deadline = %held.deadline,
            "{}; see secondaryctl held", held.reason.message()
        );
        let (held_id, definition) = (held.id, zone.definition.clone());
        let told = serde_json::json!({
            "id": held.id, "serial": held.serial, "code": held.reason.code, "message": held.reason.message(),
            "primary": held.primary.to_string(), "deadline": held.deadline.to_string(),
        });
        zone.refresh.note_refused_serial(now, exchange.primary, held.serial);
        zone.review.refused = None;
        zone.review.held = Some(Box::new(held));
        zone.held_contents = Some(snapshot.clone());
        let review = zone.review.to_bytes().expect("something is held");
        let events = self.events.clone();
        let done = move |outcome: Result<(), crate::store::StoreError>| match outcome {
            // Nobody listens any more when the daemon stops.
            Ok(()) => drop(events.send(Event::HeldStored(id, held_id))),
            Err(error) => tracing::error!(%error, "a held version could not be stored; a restart would forget it"),
        };
        self.store.submit(Write::Hold { zone: id.0, snapshot, review }, Box::new(done));
        let reason = zone.review.objection_to(transfer.soa.serial).expect("it has just been held");
        self.tell(&definition, Kind::Held, told);
        reason
    }

    /// A held version is on disk: its memory is given back.
    pub(super) fn held_stored(&mut self, id: ZoneId, held: Uuid) {
        if let Some(zone) = self.zones.get_mut(&id)
            && zone.review.held.as_ref().is_some_and(|current| current.id == held)
            && let Some(contents) = zone.held_contents.take()
        {
            tracing::debug!(zone = %zone.definition.name, %held, "held version is on disk");
            bury(Some(contents));
        }
    }

    /// An operator's verdict.
    pub(super) fn decide(&mut self, zone: Uuid, held: Uuid, decision: Decision, user: String, reply: Reply) {
        let id = match self.board.by_uuid(zone) {
            Some(view) => view.id,
            None => return answer(Some(reply), Err(EditError::NotFound)),
        };
        match decision {
            Decision::Approve => self.approve(id, held, user, Some(reply)),
            Decision::Reject => self.reject(id, held, user, Some(reply)),
        }
    }

    /// The deadlines of held versions that have come.
    pub(super) fn decide_overdue(&mut self, id: ZoneId, now: Timestamp) {
        let Some(zone) = self.zones.get(&id) else { return };
        let Some(held) = zone.undecided().filter(|held| held.deadline <= now) else { return };
        let held = held.id;
        match self.config.guard_of(zone.definition.policy.as_deref()).on_deadline {
            OnDeadline::Reject => self.reject(id, held, DEADLINE.to_owned(), None),
            OnDeadline::Approve => self.approve(id, held, DEADLINE.to_owned(), None),
        }
    }

    /// Fetches the held version from memory or disk and brings it to the door.
    fn approve(&mut self, id: ZoneId, held: Uuid, user: String, reply: Option<Reply>) {
        let Some(zone) = self.zones.get_mut(&id) else { return answer(reply, Err(EditError::NotFound)) };
        if zone.review.held.as_ref().is_none_or(|current| current.id != held) {
            return answer(reply, Err(EditError::NoSuchHeld));
        }
        if zone.review.pinned.is_some() {
            return answer(reply, Err(EditError::Pinned));
        }
        zone.is_deciding = true;
        let (contents, base) = (zone.held_contents.clone(), zone.newest_version());
        let (store, events) = (self.store.clone(), self.events.clone());
        tokio::task::spawn_blocking(move || {
            let outcome = match contents {
                Some(contents) => Ok(contents),
                None => match store.held(id.0) {
                    Ok(Some(snapshot)) => Ok(Arc::new(snapshot)),
                    Ok(None) => {
                        Err(EditError::HeldLost("the daemon stopped before it was complete on disk".to_owned()))
                    }
                    Err(error) => Err(EditError::HeldLost(error.to_string())),
                },
            };
            let outcome = outcome.and_then(|snapshot| prepared(snapshot, base.as_deref()));
            let brought = Brought::Approved { zone: id, held, user, outcome, reply };
            // Nobody listens any more when the daemon stops.
            let _ = events.send(Event::Brought(Box::new(brought)));
        });
    }

    /// An approved version has come from memory or disk.
    pub(super) fn approved(
        &mut self,
        id: ZoneId,
        held: Uuid,
        user: String,
        outcome: Result<Prepared, EditError>,
        reply: Option<Reply>,
    ) {
        let Some(zone) = self.zones.get_mut(&id) else { return answer(reply, Err(EditError::NotFound)) };
        zone.is_deciding = false;
        let Some(current) = zone.review.held.clone().filter(|current| current.id == held) else {
            return answer(reply, Err(EditError::NoSuchHeld));
        };
        let mut prepared = match outcome {
            Ok(prepared) if prepared.base == zone.newest_serial() => prepared,
            Ok(_) => {
                self.decide_later(id);
                return answer(reply, Err(EditError::Superseded));
            }
            Err(error) => {
                tracing::warn!(zone = %zone.definition.name, serial = current.serial.0, op = "approve", %error, "not approved");
                if matches!(error, EditError::HeldLost(_)) {
                    // Nothing is left to decide about; the primary still has it.
                    zone.review.held = None;
                    self.keep_review(id, true);
                }
                self.decide_later(id);
                return answer(reply, Err(error));
            }
        };
        // It was held beside the version that is still served: another one would have had it forgotten.
        prepared.judged.changes = Changes { deleted: current.deleted, added: current.added };
        tracing::warn!(zone = %zone.definition.name, serial = current.serial.0, user, op = "approve", "held version approved");
        let (soa, definition) = (soa_timers(&prepared.snapshot), zone.definition.clone());
        self.tell(&definition, Kind::Approved, serde_json::json!({"serial": current.serial, "by": user.as_str()}));
        let giver = Giver::Approved { primary: current.primary, user };
        let outcome = self.commit(id, prepared, giver).map_err(|reason| EditError::Storage(reason.to_string()));
        let now = Timestamp::now();
        if let Some(zone) = self.zones.get_mut(&id).filter(|_| outcome.is_ok()) {
            let by = zone.definition.primaries.iter().position(|primary| primary.address == current.primary);
            zone.refresh.handle_exchanged(now, soa, (by.unwrap_or(0), current.received));
            // It may have waited long: what do the primaries have now?
            zone.refresh.handle_command(now, refresh::Command::Refresh);
        }
        match outcome {
            Ok(()) => self.follow_up(id),
            Err(_) => self.decide_later(id),
        }
        answer(reply, outcome);
    }

    /// A verdict had no effect: where the deadline gave it, it gives it again after a pause.
    fn decide_later(&mut self, id: ZoneId) {
        if let Some(held) = self.zones.get_mut(&id).and_then(|zone| zone.review.held.as_mut()) {
            held.deadline = held.deadline.max(Timestamp::now() + DECIDED_AGAIN);
        }
        self.follow_up(id);
    }

    /// A primary has shown a serial. If it gave the held version and has gone back to what is served, or further, nobody offers
    /// that version any more: to serve it would leave the zone without a primary to confirm it.
    pub(super) fn note_shown(&mut self, exchange: &Exchange, shown: Serial) {
        let Some(zone) = self.zones.get_mut(&exchange.zone).filter(|zone| !zone.is_deciding) else { return };
        let is_news = zone.newest_serial().is_none_or(|served| shown.is_newer_than(served));
        let is_withdrawn = |held: &mut Box<Held>| held.primary == exchange.address && held.serial != shown && !is_news;
        let Some(held) = zone.review.held.take_if(is_withdrawn) else { return };
        tracing::warn!(zone = %zone.definition.name, serial = held.serial.0, primary = %exchange.address, shown = shown.0, op = "hold", "held version withdrawn by its primary");
        bury(zone.held_contents.take());
        let definition = zone.definition.clone();
        self.tell(&definition, Kind::Rejected, serde_json::json!({"serial": held.serial, "by": WITHDRAWN}));
        self.keep_review(exchange.zone, true);
    }

    fn reject(&mut self, id: ZoneId, held: Uuid, user: String, reply: Option<Reply>) {
        let Some(zone) = self.zones.get_mut(&id) else { return answer(reply, Err(EditError::NotFound)) };
        let waiting = zone.review.held.as_ref().and_then(|held| zone.review.objection_to(held.serial));
        let Some(held) = zone.review.held.take_if(|current| current.id == held) else {
            return answer(reply, Err(EditError::NoSuchHeld));
        };
        tracing::warn!(zone = %zone.definition.name, serial = held.serial.0, user, op = "reject", "held version rejected");
        let (serial, reason) = (held.serial, held.reason);
        let (told, definition) = (serde_json::json!({"serial": serial, "by": user.as_str()}), zone.definition.clone());
        let refused = Refused { serial, reason, by: user, at: Timestamp::now() };
        zone.review.refused = Some(Box::new(refused));
        // What primaries show must not wait for a verdict that has been given.
        if let (Some(waiting), Some(rejected)) = (waiting, zone.review.objection_to(serial)) {
            zone.refresh.reword(&waiting, &rejected);
        }
        bury(zone.held_contents.take());
        self.tell(&definition, Kind::Rejected, told);
        self.store_review(id, true, reply);
        self.follow_up(id);
    }

    /// Another version is served: what was held or refused before it no longer matters.
    pub(super) fn forget_held(&mut self, id: ZoneId) {
        let Some(zone) = self.zones.get_mut(&id) else { return };
        if zone.review.held.take().is_some() | zone.review.refused.take().is_some() {
            bury(zone.held_contents.take());
            self.keep_review(id, true);
        }
    }

    /// Makes the review durable; nobody waits for it.
    fn keep_review(&self, id: ZoneId, drop_held: bool) {
        let Some(zone) = self.zones.get(&id) else { return };
        let write = Write::Review { zone: id.0, bytes: zone.review.to_bytes(), drop_held };
        self.store.submit(write, report("what was decided about a version"));
    }

    /// Makes the review durable, then replies.
    pub(super) fn store_review(&self, id: ZoneId, drop_held: bool, reply: Option<Reply>) {
        let Some(zone) = self.zones.get(&id) else { return answer(reply, Err(EditError::NotFound)) };
        let write = Write::Review { zone: id.0, bytes: zone.review.to_bytes(), drop_held };
        let done = move |outcome: Result<(), crate::store::StoreError>| {
            if let Err(error) = &outcome {
                tracing::error!(%error, "what was decided about a version could not be stored");
            }
            answer(reply, outcome.map_err(|error| EditError::Storage(error.to_string())));
        };
        self.store.submit(write, Box::new(done));
    }
}

/// Frees a version, if there is one, away from the keeper: it may be large.
fn bury(contents: Option<Arc<Snapshot>>) {
    if let Some(contents) = contents {
        tokio::task::spawn_blocking(move || drop(contents));
    }
}

/// A version for the door, checked and compared with what is served.
fn prepared(snapshot: Arc<Snapshot>, base: Option<&Snapshot>) -> Result<Prepared, EditError> {
    let warnings = zone::check(&snapshot, &ContentPolicy::default());
    let warnings = warnings.map_err(|reason| EditError::HeldLost(reason.to_string()))?;
    let difference = base.filter(|base| snapshot.serial().is_newer_than(base.serial()));
    Ok(Prepared {
        form: Form::Full(difference.map(|base| super::exchange::difference(base, &snapshot))),
        findings: Findings::default(),
        warnings: warnings.iter().map(ToString::to_string).collect(),
        base: base.map(Snapshot::serial),
        judged: Judged { survey: zone::signatures::Survey::of(&snapshot, Timestamp::now()), ..Judged::default() },
        snapshot,
    })
}

/// Tells whoever waits. A client that has gone away does not undo what was decided.
pub(super) fn answer(reply: Option<Reply>, outcome: Result<(), EditError>) {
    if let Some(reply) = reply {
        let _ = reply.send(outcome);
    }
}
