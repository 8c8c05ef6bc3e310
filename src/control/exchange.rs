//! One exchange with a primary, run as a task of its own: ask, read, and for a transfer build and check the new
//! contents beside the served ones. Ends with one event to the keeper, whatever happens.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::config::{Config, TlsProfile};
use crate::dns::{Name, Serial};
use crate::net::tls;
use crate::net::upstream::{Order, Phase, Seen, Target, Transferred, Upstream};
use crate::reason::{Code, Reason};
use crate::refresh::Accept;
use crate::transfer::inbound::{Asked, Received};
use crate::zone::{self, Builder, ContentPolicy, Diff, Difference, HashKey, Limits, Snapshot};

use super::event::{Arrival, Contents, Form, Prepared};
use super::review::Judged;

/// Differences up to this many octets are applied on the task itself; larger ones on the pool for heavy work.
const LIGHT_OCTETS: usize = 64 * 1024;
/// Whole zones up to this many records are built on the task itself.
const LIGHT_RECORDS: u64 = 500;
/// Differences up to this many octets are read whatever the size of the zone: a whole zone would save nothing worth it.
const DIFFERENCE_OCTETS_MIN: u64 = 64 * 1024;

/// Octets of the largest record there can be.
const RECORD_OCTETS_MAX: u64 = 255 + 10 + 65_535;

/// What a transfer needs to know of its zone.
pub(super) struct Job {
    pub(super) target: Target,
    pub(super) zone: Name,
    /// What is served, which differences are applied to and a whole zone shares pages with.
    pub(super) base: Option<Arc<Snapshot>>,
    /// Whether to ask for differences to `base`.
    pub(super) incremental: bool,
    /// Which serials to take.
    pub(super) accept: Accept,
    /// A serial that was held or refused before and is not fetched again.
    pub(super) refused: Option<Serial>,
    pub(super) hash_key: HashKey,
    pub(super) limits: Limits,
    pub(super) policy: ContentPolicy,
    /// Differences of this primary may fail to fit (I4).
    pub(super) lenient: bool,
    /// Most difference sequences (I9).
    pub(super) sequences_max: u32,
}

/// The TLS profiles in use, by the primary's address: that of a `[primary.NAME]` at this address, else a strict one with
/// the system's authorities and the address for a name.
#[derive(Debug, Default)]
pub(super) struct Profiles {
    made: HashMap<SocketAddr, Arc<tls::Profile>>,
}

impl Profiles {
    /// The profile of the primary at `address`.
    pub(super) fn at(&mut self, config: &Config, address: SocketAddr) -> Arc<tls::Profile> {
        let made = self.made.entry(address).or_insert_with(|| match config.tls.get(&address) {
            Some(profile) => Arc::new(tls::Profile::new(profile)),
            None => Arc::new(tls::Profile::new(&TlsProfile::of_address(address.ip()))),
        });
        made.clone()
    }

    /// Forgets those that a reload has changed: the next exchange goes over a new connection.
    pub(super) fn reload(&mut self, old: &Config, new: &Config) {
        self.made.retain(|address, _| old.tls.get(address) == new.tls.get(address));
    }
}

/// Transfers the zone and prepares it for the door.
pub(super) async fn transfer(upstream: &Upstream, job: Job) -> (Result<Arrival, Reason>, Seen) {
    let Job { target, zone, base, incremental, accept, refused, hash_key, limits, policy, lenient, sequences_max } =
        job;
    let asked = match &base {
        Some(base) if incremental => Asked::Ixfr { ours: base.soa_record() },
        _ => Asked::Axfr,
    };
    let served = base.as_ref().map(|base| base.serial());
    let difference_octets_max = base.as_ref().map_or(0, |base| base.image_octets()).max(DIFFERENCE_OCTETS_MIN);
    let order = Order { zone, asked, hash_key, limits, difference_octets_max, sequences_max };
    let takes = |offered| Some(offered) != refused && accept.takes(served, offered);
    let (outcome, mut seen) = upstream.transfer(&target, order, takes).await;
    let Transferred { received, expire_secs } = match outcome {
        Ok(transferred) => transferred,
        Err(reason) => return (Err(reason), seen),
    };
    let contents = match received {
        Received::UpToDate { serial } => Ok(Contents::UpToDate(serial)),
        Received::Diffs(diffs) => {
            seen.reached(Phase::Verify);
            let octets: usize = diffs.iter().map(|diff| diff.as_bytes().len()).sum();
            let base = base.expect("differences are only read when a base was named");
            heavy(octets > LIGHT_OCTETS, move || applied(&base, diffs, &policy, limits, lenient)).await
        }
        Received::Full(builder) => {
            seen.reached(Phase::Verify);
            heavy(builder.record_count() > LIGHT_RECORDS, move || built(builder, base.as_deref(), &policy)).await
        }
    };
    (contents.map(|contents| Arrival { volume: seen.volume, expire_secs, contents }), seen)
}

fn applied(
    base: &Snapshot,
    diffs: Vec<Diff>,
    policy: &ContentPolicy,
    limits: Limits,
    lenient: bool,
) -> Result<Contents, Reason> {
    let apply = if lenient { zone::apply_leniently } else { zone::apply };
    let (snapshot, findings) = apply(base, &diffs).map_err(Reason::from)?;
    // What is stored and sent on must lead from the old version to the new one exactly, and not to what was passed over or
    // levelled (RFC 2181 §5.2) on the way.
    let is_exact = findings.passed_over == 0 && snapshot.mixed_count() == base.mixed_count();
    let diffs = if is_exact { diffs } else { vec![zone::between(base, &snapshot)] };
    // A zone may also grow too large step by step.
    if snapshot.record_count() > limits.records_max {
        let detail = format!("more than {} records ([transfer] max-records)", limits.records_max);
        return Err(Reason::new(Code::LimitRecords, detail));
    }
    // Counted as the builder counts a whole zone, and only where so many records could be so large.
    let is_far_below = snapshot.record_count().saturating_mul(RECORD_OCTETS_MAX) <= limits.octets_max
        || snapshot.image_octets() <= limits.octets_max / 2;
    if !is_far_below && octets_in_full(&snapshot) > limits.octets_max {
        let detail = format!("more than {} octets ([transfer] max-bytes)", limits.octets_max);
        return Err(Reason::new(Code::LimitBytes, detail));
    }
    let warnings = zone::check(&snapshot, policy)?;
    Ok(Contents::New(Box::new(Prepared {
        snapshot: Arc::new(snapshot),
        form: Form::Diffs(diffs),
        findings,
        warnings: warnings.iter().map(ToString::to_string).collect(),
        base: Some(base.serial()),
        judged: Judged::default(),
    })))
}

/// Octets of all records with names in full.
fn octets_in_full(snapshot: &Snapshot) -> u64 {
    snapshot.records().map(|record| (record.owner.as_wire().len() + 10 + record.rdata.len()) as u64).sum()
}

fn built(builder: Builder, base: Option<&Snapshot>, policy: &ContentPolicy) -> Result<Contents, Reason> {
    let (snapshot, findings) = builder.finish(base)?;
    let warnings = zone::check(&snapshot, policy)?;
    // An equal or older serial has no place in a chain of differences (RFC 1995 §4).
    let difference = base.filter(|b| snapshot.serial().is_newer_than(b.serial())).map(|b| difference(b, &snapshot));
    Ok(Contents::New(Box::new(Prepared {
        snapshot: Arc::new(snapshot),
        form: Form::Full(difference),
        findings,
        warnings: warnings.iter().map(ToString::to_string).collect(),
        base: base.map(Snapshot::serial),
        judged: Judged::default(),
    })))
}

/// What has changed; the sequence only if it is worth keeping and sending on, which for most of a zone it is not.
pub(super) fn difference(old: &Snapshot, new: &Snapshot) -> Difference {
    zone::between_within(old, new, crate::store::kept_diff_octets_max(new.image_octets()) as usize)
}

/// Runs `work` on the pool for blocking work if it is heavy, here if it is light.
async fn heavy<T: Send + 'static>(
    is_heavy: bool,
    work: impl FnOnce() -> Result<T, Reason> + Send + 'static,
) -> Result<T, Reason> {
    if !is_heavy {
        return work();
    }
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => {
            tracing::error!(%error, "building a zone failed unexpectedly; the old contents stay served");
            Err(Reason::new(Code::MalformedRr, "internal error while building the zone"))
        }
    }
}
