//! Telling what happened: ended exchanges into history, log and events; changed statuses onto the board.
//!
//! In: what the keeper has seen, before the zone's machine hears of it, and how each zone stands after that. Out: entries of the
//! [history](super::history), events, log lines, the read model. Decides nothing.

use serde::Serialize;

use crate::dns::Serial;
use crate::reason::{Code, Reason, StatusWord};
use crate::refresh::{Finding, TransferKind};
use crate::served::ZoneId;
use crate::telemetry;
use crate::time::Timestamp;

use super::definition::ZoneDefinition;
use super::event::{Course, Ended, Exchange};
use super::events::{About, Kind};
use super::history::{Attempt, Phase, Trigger};
use super::keeper::Keeper;
use super::status::ZoneStatus;
use super::zones::Zone;

impl Keeper {
    /// Tells of an exchange that has ended, before the zone's machine hears of it.
    pub(super) fn note_attempt(&mut self, exchange: &Exchange, course: &Course, ended: Result<Ended, &Reason>) {
        let Some(zone) = self.zones.get_mut(&exchange.zone) else { return };
        zone.refresh.note_clear_text(exchange.primary, course.seen.fell_back.is_some());
        if let Some(session) = &course.seen.tls {
            zone.note_tls(exchange.primary, session);
        }
        if let Err(reason) = ended {
            let op = if course.seen.asked == TransferKind::Soa { "soa" } else { "transfer" };
            log_failure(op, zone, exchange, reason);
        }
        let Some(zone) = self.zones.get_mut(&exchange.zone) else { return };
        let (Some(primary), Some(newest)) =
            (zone.definition.primaries.get(exchange.primary), zone.newest.get_mut(exchange.primary))
        else {
            return;
        };
        // A commit has moved the served serial on already.
        let served = match ended {
            Ok(Ended::Committed { from, .. }) => from,
            _ => zone.served,
        };
        let attempt = Attempt::new(primary, course, ended, served, Timestamp::now());
        if self.history.note(exchange.zone, newest, attempt)
            && let Some(newest) = newest
        {
            let (definition, attempt) = (zone.definition.clone(), newest.attempt.clone());
            self.tell(&definition, Kind::Attempt, Told::of(&attempt));
        }
    }

    /// Publishes an event about a zone.
    pub(super) fn tell(&self, definition: &ZoneDefinition, kind: Kind, details: impl Serialize) {
        let name = definition.name.without_dot();
        let about = About { zone: definition.uuid, name: &name, tenant: &definition.tenant };
        self.bus.publish(Timestamp::now(), kind, about, details);
    }

    /// Writes the entries of the history that have only grown since they were written.
    pub(super) fn settle_history(&mut self) {
        let now = Timestamp::now();
        for id in self.history.unsettled() {
            let Some(zone) = self.zones.get_mut(&id) else { continue };
            zone.newest.iter_mut().flatten().for_each(|newest| self.history.settle(id, newest, now));
        }
    }

    /// Puts the zone as it stands on the board.
    pub(super) fn show(&mut self, id: ZoneId) {
        let Some(zone) = self.zones.get(&id) else { return };
        let shown = zone.view.status();
        let guard = self.config.guard_of(zone.definition.policy.as_deref());
        let mut status = zone.status(Timestamp::now(), shown.generation, &self.settings, guard.lapse_warning);
        if status != *shown {
            self.generation += 1;
            status.generation = self.generation;
            self.tell_findings(&shown, &status);
            for change in changes(&shown, &status) {
                self.tell(&status.definition, Kind::State, change);
            }
            for found in status
                .remarks
                .findings
                .iter()
                .filter(|found| !shown.remarks.findings.iter().any(|old| is_same(old, found)))
            {
                let primary = found.primary.and_then(|ix| status.definition.primaries.get(ix));
                let primary = primary.map(|primary| primary.address.to_string());
                let told = serde_json::json!({"code": found.code, "primary": primary, "message": found.evidence});
                self.tell(&status.definition, Kind::Finding, told);
            }
            self.board.show(&zone.view, status);
        }
    }
}

/// An attempt as the event stream tells it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    primary: String,
    code: Code,
    asked: TransferKind,
    phase: Phase,
    trigger: Trigger,
    duration_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    got: Option<TransferKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_serial: Option<Serial>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to_serial: Option<Serial>,
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
}

impl Told {
    fn of(attempt: &Attempt) -> Told {
        Told {
            primary: attempt.primary.to_string(),
            code: attempt.code,
            asked: attempt.asked,
            phase: attempt.phase,
            trigger: attempt.trigger,
            duration_ms: attempt.duration_ms,
            got: attempt.got,
            from_serial: attempt.from_serial,
            to_serial: attempt.to_serial,
            message: attempt.message(),
        }
    }
}

/// What of a status is another state than before: of the zone, or the word of a primary.
fn changes(old: &ZoneStatus, new: &ZoneStatus) -> Vec<serde_json::Value> {
    let mut changes = Vec::new();
    if old.state != new.state {
        changes.push(serde_json::json!({"from": old.state, "to": new.state}));
    }
    let settled = |word: StatusWord| !matches!(word, StatusWord::Pending | StatusWord::InProgress);
    for (ix, primary) in new.primaries.iter().enumerate() {
        // While an exchange runs the word of the last one is still what is known.
        let Some(before) = old.primaries.get(ix).filter(|before| before.state.code != primary.state.code) else {
            continue;
        };
        let (from, to) = (before.state.code.status(), primary.state.code.status());
        if from != to && settled(to) {
            let address = new.definition.primaries.get(ix).map(|primary| primary.address.to_string());
            let code = primary.state.code;
            changes.push(serde_json::json!({"primary": address, "from": from, "to": to, "code": code}));
        }
    }
    changes
}

fn is_same(a: &Finding, b: &Finding) -> bool {
    (a.code, a.primary) == (b.code, b.primary)
}

fn log_failure(op: &'static str, zone: &Zone, exchange: &Exchange, reason: &Reason) {
    metrics::counter!(telemetry::EXCHANGE_FAILURES, "op" => op, "code" => reason.code.as_str()).increment(1);
    // Only a change of the reason is news; repetitions are in the status and the metrics. That includes the AXFR
    // that fails as the IXFR before it did: the error is noted, but the attempt has not ended with it.
    let known = zone.refresh.primary(exchange.primary).is_some_and(|primary| {
        let noted = primary.last_error.as_deref().filter(|error| primary.last_success < Some(error.time));
        primary.code == reason.code || noted.is_some_and(|error| error.code == reason.code)
    });
    if known || reason.code == Code::Cancelled {
        tracing::debug!(zone = %zone.definition.name, peer = %exchange.address, op, code = %reason.code, detail = reason.detail);
    } else {
        tracing::warn!(zone = %zone.definition.name, peer = %exchange.address, op, code = %reason.code, "{}", reason.message());
    }
}
