//! Tries primaries without changing anything: their SOA, and on demand a whole transfer that is built, checked and
//! dropped, and whether they give differences. For zones that are here and zones that are yet to be added.
//!
//! In: a [`Plan`] from the keeper, which resolves keys and limits. Out: a [`Checked`] for each primary. Runs as part of
//! the request that asked; the caches of dead primaries are passed by (P2), and the queues too, so the number of checks
//! at one time is bounded by [`CHECKS_MAX`].

use std::sync::Arc;

use tokio::task::JoinSet;
use uuid::Uuid;

use super::definition::Primary;
use super::event::{Arrival, Contents, Course, Ended};
use super::exchange::{self, Job};
use super::history::Attempt;
use crate::dns::{Name, RecordType, Serial};
use crate::net::upstream::{Inquiry, Seen, Target, Upstream};
use crate::reason::{Code, Reason};
use crate::refresh::{Accept, TransferKind, Urgency};
use crate::time::Timestamp;
use crate::zone::{ContentPolicy, HashKey, Limits, Snapshot};

/// Checks at one time; more wait. A dry transfer holds a whole zone in memory.
pub const CHECKS_MAX: usize = 4;

/// What is to be checked.
#[derive(Clone, Debug)]
pub enum Ask {
    /// The primaries of a zone that is here.
    Zone(Uuid),
    /// Primaries of a zone that is not.
    New {
        /// Its apex.
        zone: Name,
        /// In order.
        primaries: Vec<Primary>,
    },
}

/// Everything a check needs.
pub struct Plan {
    pub(super) zone: Name,
    pub(super) is_catalog: bool,
    /// Each primary, or why it cannot be asked as configured.
    pub(super) targets: Vec<(Primary, Result<Target, Reason>)>,
    /// What is served.
    pub(super) base: Option<Arc<Snapshot>>,
    pub(super) upstream: Arc<Upstream>,
    pub(super) hash_key: HashKey,
    pub(super) limits: Limits,
    /// Most difference sequences.
    pub(super) sequences_max: u32,
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan").field("zone", &self.zone).field("targets", &self.targets).finish_non_exhaustive()
    }
}

/// What a primary has shown.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Which.
    pub primary: Primary,
    /// The SOA query.
    pub soa: Attempt,
    /// The serial it shows.
    pub serial: Option<Serial>,
    /// Seconds until its own copy expires, if it says so (RFC 7314).
    pub expire_secs: Option<u32>,
    /// UDP brought nothing although TCP works.
    pub udp_blocked: bool,
    /// The whole transfer, if one was asked for and the SOA query did not fail.
    pub axfr: Option<Dry>,
    /// The query for differences behind it: a code of failure means that whole zones will be transferred.
    pub ixfr: Option<Attempt>,
}

/// A transfer that was dropped again.
#[derive(Clone, Debug)]
pub struct Dry {
    /// How it went.
    pub attempt: Attempt,
    /// What it would serve.
    pub contents: Option<DryContents>,
}

/// What a dropped transfer held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DryContents {
    /// Records.
    pub records: u64,
    /// Octets they would take in memory.
    pub octets: u64,
    /// Whether the apex has a DNSKEY.
    pub is_signed: bool,
    /// Timers of the SOA in seconds: refresh, retry, expire.
    pub timers: (u32, u32, u32),
    /// What the content rules and the check of the way in warn of.
    pub warnings: Vec<String>,
}

impl Plan {
    /// Checks all primaries, side by side; dry transfers one after the other, so that one zone at a time is in memory.
    pub async fn run(self, transfer: bool) -> Vec<Checked> {
        let Plan { zone, is_catalog, targets, base, upstream, hash_key, limits, sequences_max } = self;
        let served = base.as_ref().map(|base| base.serial());
        let mut probes = JoinSet::new();
        for (index, (primary, target)) in targets.iter().cloned().enumerate() {
            let (upstream, inquiry) = (upstream.clone(), Inquiry { zone: zone.clone(), signature: false, is_catalog });
            probes.spawn(async move { (index, probe(&upstream, primary, target, &inquiry, served).await) });
        }
        let mut checked: Vec<(usize, Checked)> = probes.join_all().await;
        checked.sort_by_key(|(index, _)| *index);
        let mut checked: Vec<Checked> = checked.into_iter().map(|(_, checked)| checked).collect();
        if transfer {
            for (checked, (_, target)) in checked.iter_mut().zip(targets) {
                let Some(target) = target.ok().filter(|_| checked.serial.is_some()) else { continue };
                let job = Job {
                    target,
                    zone: zone.clone(),
                    base: None,
                    incremental: false,
                    hash_key,
                    accept: Accept::Any,
                    refused: None,
                    limits,
                    policy: ContentPolicy::default(),
                    lenient: false,
                    sequences_max,
                };
                try_transfer(&upstream, checked, job, base.clone()).await;
            }
        }
        checked
    }
}

async fn probe(
    upstream: &Upstream,
    primary: Primary,
    target: Result<Target, Reason>,
    inquiry: &Inquiry,
    served: Option<Serial>,
) -> Checked {
    let started = Timestamp::now();
    let (outcome, seen) = match &target {
        Ok(target) => upstream.probe(target, inquiry).await,
        Err(reason) => (Err(reason.clone()), Seen::new(TransferKind::Soa)),
    };
    let ended = outcome.as_ref().map(|probed| Ended::Shown(probed.answer.serial));
    let soa = noted(&primary, started, seen, ended, served);
    let probed = outcome.ok();
    Checked {
        primary,
        soa,
        serial: probed.as_ref().map(|probed| probed.answer.serial),
        expire_secs: probed.as_ref().and_then(|probed| probed.expire_secs),
        udp_blocked: probed.is_some_and(|probed| probed.udp_blocked),
        axfr: None,
        ixfr: None,
    }
}

/// A whole transfer, then the question for differences to what it brought (or to what is served).
async fn try_transfer(upstream: &Upstream, checked: &mut Checked, job: Job, served: Option<Arc<Snapshot>>) {
    let (target, zone, hash_key) = (job.target.clone(), job.zone.clone(), job.hash_key);
    let (limits, sequences_max) = (job.limits, job.sequences_max);
    let started = Timestamp::now();
    let (outcome, seen) = exchange::transfer(upstream, job).await;
    let serial = served.as_ref().map(|served| served.serial());
    let mut snapshot = None;
    let (ended, contents) = match outcome {
        Ok(Arrival { contents: Contents::New(prepared), .. }) => {
            let to = prepared.snapshot.serial();
            let warnings = super::commit::volume_notes(&seen.volume)
                .into_iter()
                .chain(super::commit::notes(&prepared.findings, prepared.snapshot.mixed_count()));
            let contents = dry(&prepared.snapshot, warnings.chain(prepared.warnings).collect());
            snapshot = Some(prepared.snapshot);
            (Ok(Ended::Committed { from: serial, to }), Some(contents))
        }
        Ok(Arrival { contents: Contents::UpToDate(serial), .. }) => (Ok(Ended::UpToDate(serial)), None),
        Err(reason) => (Err(reason), None),
    };
    let failed = ended.is_err();
    let attempt = noted(&checked.primary, started, seen, ended.as_ref().map(|ended| *ended), serial);
    checked.axfr = Some(Dry { attempt, contents });
    let Some(base) = served.or(snapshot).filter(|_| !failed) else { return };

    let started = Timestamp::now();
    let serial = Some(base.serial());
    let job = Job {
        target,
        zone,
        base: Some(base),
        incremental: true,
        hash_key,
        accept: Accept::Any,
        refused: None,
        limits,
        policy: ContentPolicy::default(),
        lenient: false,
        sequences_max,
    };
    let (outcome, seen) = exchange::transfer(upstream, job).await;
    let ended = outcome.map(|arrival| match arrival.contents {
        Contents::UpToDate(serial) => Ended::UpToDate(serial),
        Contents::New(prepared) => Ended::Committed { from: serial, to: prepared.snapshot.serial() },
    });
    checked.ixfr = Some(noted(&checked.primary, started, seen, ended.as_ref().map(|ended| *ended), serial));
}

fn dry(snapshot: &Snapshot, warnings: Vec<String>) -> DryContents {
    let soa = snapshot.soa();
    DryContents {
        records: snapshot.record_count(),
        octets: snapshot.image_octets(),
        is_signed: snapshot.type_counts().iter().any(|(rtype, _)| *rtype == RecordType::DNSKEY),
        timers: (soa.refresh, soa.retry, soa.expire),
        warnings,
    }
}

fn noted(
    primary: &Primary,
    started: Timestamp,
    seen: Seen,
    ended: Result<Ended, &Reason>,
    served: Option<Serial>,
) -> Attempt {
    let course = Course { trigger: Urgency::Operator, started, seen };
    Attempt::new(primary, &course, ended, served, Timestamp::now())
}

impl Checked {
    /// The first thing that went wrong, if anything did.
    pub fn failure(&self) -> Option<Code> {
        let attempts = [Some(&self.soa), self.axfr.as_ref().map(|dry| &dry.attempt)];
        attempts.into_iter().flatten().find(|attempt| !attempt.is_success()).map(|attempt| attempt.code)
    }
}
