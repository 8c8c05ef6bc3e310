//! What stands between a transfer and its publication: every new version is judged here, beside the served one.
//!
//! ```text
//! built and checked ──> guard rails ──> ZONEMD ──> signatures ──> hook ──> the door
//!                           └──────────────┴───────────┴────────────┴────> objection: held by `held`
//! ```
//!
//! In: what a transfer has prepared, the version it would replace, and the zone's policy. Out: the same with what was
//! found ([`Judged`]). Runs on the task of the transfer, the long steps on the pool for heavy work; never on the
//! keeper's. Decides nothing about held versions: an objection is a reason, and `held` does the rest.

use std::sync::Arc;

use crate::catalog::{self, Change};
use crate::config::{Guard, Hook, OnFailure, Strictness};
use crate::reason::{Code, Reason};
use crate::time::Timestamp;
use crate::zone::signatures::{self, Survey};
use crate::zone::{Diff, Difference, Snapshot, guard, zonemd};

use super::event::{Contents, Form, Prepared};
use super::hook::{Hooks, Subject, Verdict};

/// Zones up to this many records are walked on the task itself.
const LIGHT_RECORDS: u64 = 500;
/// Larger zones are not walked for their signatures after each difference.
const SURVEYED_RECORDS: u64 = 20_000;
/// But after this time at the latest, or when a warning is at stake.
const SURVEY_AGE_MAX_SECS: u64 = 900;

/// What was found about a new version.
#[derive(Clone, Debug, Default)]
pub struct Judged {
    /// Why it must not be served unless a person says so.
    pub(super) objection: Option<Reason>,
    /// Records it removes from the served version and adds to it, the SOA aside; to nothing it adds all.
    pub(super) changes: Changes,
    /// When its signatures lapse; `None` if there are none.
    pub(super) survey: Option<Survey>,
    /// The hash of a ZONEMD that matches.
    pub(super) digest: Option<&'static str>,
}

/// Size of a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) deleted: u64,
    pub(super) added: u64,
}

/// How versions of one zone are judged.
pub(super) struct Policy {
    pub(super) guard: Guard,
    pub(super) hook: Option<Hook>,
    pub(super) hooks: Arc<Hooks>,
    /// What is known of the signatures served now.
    pub(super) survey: Option<Survey>,
    /// It is a catalog that is followed.
    pub(super) is_catalog: bool,
}

/// Judges what a transfer has brought. `waiting` is called before the hook, which may take long: nothing of the network
/// is needed any more then.
///
/// An error is for the primary that sent it: differences to a zone whose digest does not match afterwards. The whole
/// zone may yet be right (a difference may have been lost long ago), so that is fetched before anything is held.
pub(super) async fn review(
    contents: Contents,
    base: Option<Arc<Snapshot>>,
    policy: &Policy,
    waiting: impl FnOnce(),
) -> Result<Contents, Reason> {
    let Contents::New(mut prepared) = contents else { return Ok(contents) };
    let judged = Judged { changes: changes(&prepared), ..Judged::default() };
    prepared.judged = judged;
    if let Some(old) = &base
        && let Err(reason) = judge(old, &prepared.snapshot, &policy.guard, policy.is_catalog)
    {
        prepared.judged.objection = Some(reason);
    }
    look(&mut prepared, policy).await?;
    if prepared.judged.objection.is_none()
        && let Some(hook) = &policy.hook
    {
        waiting();
        ask(&mut prepared, base, hook, &policy.hooks).await;
    }
    Ok(Contents::New(prepared))
}

/// The guard rails alone; also for a version whose base has changed since it was judged. A catalog must not lose its members
/// unseen, whatever else is in it. Costs as much as differs.
pub(super) fn judge(old: &Snapshot, new: &Snapshot, guard: &Guard, is_catalog: bool) -> Result<(), Reason> {
    let rules = rules(guard);
    guard::judge(old, new, &rules)?;
    // A broken one changes nothing.
    let Some(changes) = is_catalog.then(|| catalog::changes(Some(old), new)).and_then(Result::ok) else {
        return Ok(());
    };
    let gone = changes.iter().filter(|change| matches!(change, Change::Left(_) | Change::Reset(_))).count();
    guard::loss(gone as u64, catalog::members_about(old), "members would go or start anew", &rules)
}

fn rules(guard: &Guard) -> guard::Rules {
    guard::Rules {
        shrink_percent: guard.shrink_percent,
        shrink_records_min: guard.shrink_records_min,
        shrink_records: guard.shrink_records,
        apex: guard.apex,
        signatures: guard.signatures,
    }
}

fn changes(prepared: &Prepared) -> Changes {
    let of = |diff: &Diff| Changes { deleted: diff.deleted().count() as u64, added: diff.added().count() as u64 };
    match &prepared.form {
        Form::Diffs(diffs) => diffs
            .iter()
            .map(of)
            .fold(Changes::default(), |a, b| Changes { deleted: a.deleted + b.deleted, added: a.added + b.added }),
        Form::Full(Some(Difference::Sequence(diff))) => of(diff),
        Form::Full(Some(Difference::TooLong { deleted, added })) => Changes { deleted: *deleted, added: *added },
        Form::Full(None) => Changes { deleted: 0, added: prepared.snapshot.record_count() },
    }
}

/// Digest and signatures.
async fn look(prepared: &mut Prepared, policy: &Policy) -> Result<(), Reason> {
    let (snapshot, guard, now) = (prepared.snapshot.clone(), &policy.guard, Timestamp::now());
    let digests = guard.zonemd != Strictness::Off && zonemd::is_present(&snapshot);
    let too_large = snapshot.record_count() > guard.zonemd_records_max;
    if digests && too_large {
        let (records, limit) = (snapshot.record_count(), guard.zonemd_records_max);
        prepared
            .warnings
            .push(format!("ZONEMD was not checked: {records} records, [guard] zonemd-records-max is {limit}"));
    }
    let carried = carried(prepared, policy, now);
    let surveys = carried.is_none() && signatures::is_signed(&snapshot);
    let (digests, heavy) = (digests && !too_large, snapshot.record_count() > LIGHT_RECORDS);
    let work = move || {
        let outcome = if digests { zonemd::verify(&snapshot) } else { zonemd::Outcome::Absent };
        (outcome, if surveys { Survey::of(&snapshot, now) } else { carried })
    };
    let (outcome, survey) = if heavy && (digests || surveys) {
        let failed = |_| Reason::new(Code::ZonemdMismatch, "internal error while the zone was digested");
        tokio::task::spawn_blocking(work).await.map_err(failed)?
    } else {
        work()
    };
    prepared.judged.survey = survey;
    match outcome {
        zonemd::Outcome::Absent => {}
        zonemd::Outcome::Verified(hash) => prepared.judged.digest = Some(hash),
        zonemd::Outcome::Unverifiable(why) => prepared.warnings.push(format!("ZONEMD cannot be checked: {why}")),
        zonemd::Outcome::Mismatch(why) => {
            let reason = Reason::new(Code::ZonemdMismatch, why);
            match (guard.zonemd, &prepared.form) {
                (Strictness::Refuse, Form::Diffs(_)) => return Err(reason),
                (Strictness::Refuse, Form::Full(_)) => object(prepared, reason),
                _ => prepared.warnings.push(format!("ZONEMD does not match: {}", reason.detail)),
            }
        }
    }
    if let Some(rtype) = signatures::lapsed_apex(&prepared.snapshot, now).filter(|_| guard.lapsed != Strictness::Off) {
        let detail = format!("all signatures over the apex {rtype} have expired");
        match guard.lapsed {
            Strictness::Refuse => object(prepared, Reason::new(Code::DnssecExpired, detail)),
            _ => prepared.warnings.push(detail),
        }
    }
    if let Some(iterations) = signatures::excessive_iterations(&prepared.snapshot) {
        let limit = crate::zone::NSEC3_ITERATIONS_ADVISED;
        prepared.warnings.push(format!(
            "{iterations} NSEC3 iterations, more than {limit}: validators take the zone for insecure or broken (RFC 9276), and \
             each proof costs that many hashes; beyond [dns] nsec3-iterations-max none is given"
        ));
    }
    Ok(())
}

/// The first objection is the one that is told.
fn object(prepared: &mut Prepared, reason: Reason) {
    prepared.judged.objection.get_or_insert(reason);
}

/// What is known of the signatures without a look at the whole zone; `None` if it must be looked at.
fn carried(prepared: &Prepared, policy: &Policy, now: Timestamp) -> Option<Survey> {
    let (Form::Diffs(diffs), Some(before)) = (&prepared.form, &policy.survey) else { return None };
    let after = before.after(diffs, now);
    let is_old = now.since(before.taken).as_secs() > SURVEY_AGE_MAX_SECS;
    let matters = after.first.at <= now + policy.guard.lapse_warning;
    let is_small = prepared.snapshot.record_count() <= SURVEYED_RECORDS;
    (!is_old && !matters && !is_small && signatures::is_signed(&prepared.snapshot)).then_some(after)
}

async fn ask(prepared: &mut Prepared, base: Option<Arc<Snapshot>>, hook: &Hook, hooks: &Hooks) {
    let old = base.as_ref().map(|base| base.serial());
    let diffs = match (&prepared.form, base) {
        (Form::Diffs(diffs), _) => diffs.clone(),
        (Form::Full(Some(Difference::Sequence(diff))), _) => vec![diff.clone()],
        // who checks sees all of it, however long
        (Form::Full(Some(Difference::TooLong { .. })), Some(base)) => {
            let snapshot = prepared.snapshot.clone();
            let whole = tokio::task::spawn_blocking(move || crate::zone::between(&base, &snapshot)).await;
            whole.into_iter().collect()
        }
        (Form::Full(_), _) => Vec::new(),
    };
    let subject = Subject { zone: prepared.snapshot.apex().clone(), old, snapshot: prepared.snapshot.clone(), diffs };
    match (hooks.ask(hook, subject).await, hook.on_failure) {
        (Verdict::Accepted, _) => {}
        (Verdict::Refused(reason), _) | (Verdict::Failed(reason), OnFailure::Refuse) => object(prepared, reason),
        (Verdict::Failed(reason), OnFailure::Accept) => {
            prepared.warnings.push(format!("the check gave no verdict: {}", reason.detail));
        }
    }
}
