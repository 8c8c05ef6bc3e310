//! Jobs: what became of each request that changed something, or tried to. The work is done before the reply; the job
//! tells its outcome, over restarts.
//!
//! In: a finished request. Out: its job under a UUID, durable before the client gets to know it. Two named values a job
//! (see [`Handle::remember_all`]): the head, which is held in memory, and the details, which are read when asked for.
//! Kept for a day, and of each account the last `KEPT_MIN` longer; at most `KEPT_MAX` with `KEPT_OCTETS_MAX`, but for the
//! last `KEPT_ALWAYS`.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::failure::Failure;
use super::shown::{Domain, Ptrs, Record, records};
use super::xml::{Shown, Xml};
use crate::control::Handle;
use crate::control::handle::EditError;
use crate::time::Timestamp;

/// How long every job is kept.
const KEPT_FOR: Duration = Duration::from_secs(24 * 3600);
/// Jobs of an account that are kept however old they are.
const KEPT_MIN: usize = 1000;
/// Jobs of an account that are kept however large they are, so that a client finds what it has asked for just now.
const KEPT_ALWAYS: usize = 16;
/// Jobs of an account; beyond this the oldest go before their day is over.
const KEPT_MAX: usize = 100_000;
/// Octets of an account's jobs; beyond this the oldest go early too.
const KEPT_OCTETS_MAX: usize = 256 << 20;
/// Octets counted for each job beside its details: its head, in memory and on disk.
const HEAD_OCTETS: usize = 512;
/// Jobs that go with a new one because of their age or number; more than come, so that they run out.
const FORGOTTEN_AT_ONCE: usize = 16;
/// Octets of a request's body that a job keeps; a longer one is left out of it.
const REQUEST_OCTETS_MAX: usize = 256 << 10;

const HEAD: &str = "job/";
const DETAILS: &str = "job-details/";

/// What is held of a job; nothing in it is as long as a client likes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Head {
    /// Its place among all jobs.
    number: u64,
    /// Its identity for clients.
    pub(super) id: Uuid,
    /// Whose it is.
    account: String,
    /// When it ended.
    at: Timestamp,
    /// Whether it failed.
    pub(super) failed: bool,
    /// Of its details on disk.
    #[serde(default)]
    pub(super) octets: usize,
    /// Of the request.
    pub(super) verb: String,
}

/// What else a job tells.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Details {
    /// Of the request; versions before kept it in the head.
    #[serde(default)]
    pub(super) url: Option<String>,
    pub(super) request: Option<String>,
    pub(super) outcome: Outcome,
}

/// What became of a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Outcome {
    /// Done; there is nothing to tell.
    Done,
    /// Done, and this came of it.
    Response(Response),
    /// Not done.
    Error(Failure),
}

/// What a request has given.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Response {
    /// New PTRs; first, because they too have `records`.
    Ptrs(Ptrs),
    /// New records.
    Records {
        /// In the order of the request.
        records: Vec<Record>,
    },
    /// New domains.
    Domains {
        /// In the order of the request.
        domains: Vec<Domain>,
    },
    /// A zone file.
    Export {
        /// The file.
        contents: String,
        /// Of the domain.
        id: String,
        #[serde(rename = "accountId")]
        account: String,
        #[serde(rename = "contentType")]
        content_type: String,
    },
}

impl Shown for Response {
    fn xml(&self, out: &mut Xml) {
        match self {
            Response::Ptrs(ptrs) => ptrs.xml(out),
            Response::Records { records: list } => out.element("recordsList", |out| records(list, out)),
            Response::Domains { domains } => {
                out.element("domains", |out| domains.iter().for_each(|domain| domain.xml(out)));
            }
            Response::Export { contents, id, account, content_type } => out.element("domain", |out| {
                out.text("contents", contents);
                out.text("id", id);
                out.text("accountId", account);
                out.text("contentType", content_type);
            }),
        }
    }
}

/// All jobs that are kept.
pub struct Jobs {
    next: AtomicU64,
    kept: RwLock<Kept>,
}

#[derive(Default)]
struct Kept {
    by_id: HashMap<Uuid, Arc<Head>>,
    by_account: HashMap<String, OfAccount>,
}

#[derive(Default)]
struct OfAccount {
    /// Oldest first.
    jobs: VecDeque<Arc<Head>>,
    /// Of all of them, see [`Head::cost`].
    octets: usize,
}

const POISONED: &str = "no holder of the lock can panic";

impl Jobs {
    /// Those that were kept. Reads from disk.
    pub fn load(control: &Handle) -> Jobs {
        let stored = control.remembered(HEAD).unwrap_or_else(|error| {
            tracing::error!(%error, "jobs of the API cannot be read; asking for them gives 404");
            Vec::new()
        });
        let mut kept = Kept::default();
        // The names are in the order of the numbers.
        let heads = stored.iter().filter_map(|(_, bytes)| serde_json::from_slice::<Head>(bytes).ok());
        let mut next = 1;
        for head in heads {
            next = head.number + 1;
            kept.insert(Arc::new(head));
        }
        Jobs { next: AtomicU64::new(next), kept: RwLock::new(kept) }
    }

    /// Keeps a job; durable when this returns.
    pub(super) async fn keep(
        &self,
        control: &Handle,
        account: &str,
        verb: &str,
        details: &Details,
        now: Timestamp,
    ) -> Result<Arc<Head>, EditError> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let kept_request = details.request.as_ref().filter(|text| text.len() <= REQUEST_OCTETS_MAX);
        let (url, outcome) = (details.url.clone(), details.outcome.clone());
        let stored = Details { url, request: kept_request.cloned(), outcome };
        let json = |value: serde_json::Result<Vec<u8>>| value.expect("a job is plain data");
        let stored = json(serde_json::to_vec(&stored));
        let head = Head {
            number,
            id: Uuid::new_v4(),
            account: account.to_owned(),
            at: now,
            failed: matches!(details.outcome, Outcome::Error(_)),
            octets: stored.len(),
            verb: verb.to_owned(),
        };
        let mut values =
            vec![(name(HEAD, number), Some(json(serde_json::to_vec(&head)))), (name(DETAILS, number), Some(stored))];
        let old = self.kept.write().expect(POISONED).take_old(account, head.cost(), now);
        for number in old {
            values.extend([(name(HEAD, number), None), (name(DETAILS, number), None)]);
        }
        control.remember_all(values).await?;
        let head = Arc::new(head);
        self.kept.write().expect(POISONED).insert(head.clone());
        Ok(head)
    }

    /// The account's job with this identity.
    pub(super) fn find(&self, account: &str, id: Uuid) -> Option<Arc<Head>> {
        let kept = self.kept.read().expect(POISONED);
        kept.by_id.get(&id).filter(|head| head.account == account).cloned()
    }

    /// The account's jobs, the failed ones first, the newest first in each half.
    pub(super) fn of_account(&self, account: &str) -> Vec<Arc<Head>> {
        let kept = self.kept.read().expect(POISONED);
        let all = kept.by_account.get(account).into_iter().flat_map(|of_account| of_account.jobs.iter().rev());
        let (failed, done): (Vec<_>, Vec<_>) = all.cloned().partition(|head| head.failed);
        failed.into_iter().chain(done).collect()
    }

    /// What a job tells. Reads from disk: not for the runtime's threads. `None`: it went meanwhile.
    pub(super) fn details(control: &Handle, head: &Head) -> Option<Details> {
        let values = control.remembered(&name(DETAILS, head.number)).unwrap_or_else(|error| {
            tracing::error!(%error, job = %head.id, "a job of the API cannot be read");
            Vec::new()
        });
        serde_json::from_slice(&values.first()?.1).ok()
    }
}

impl Head {
    /// Octets counted for it.
    fn cost(&self) -> usize {
        HEAD_OCTETS + self.octets
    }
}

impl Kept {
    /// Places a job by its number, since jobs that end together come in any order.
    fn insert(&mut self, head: Arc<Head>) {
        self.by_id.insert(head.id, head.clone());
        let of_account = self.by_account.entry(head.account.clone()).or_default();
        let before = of_account.jobs.iter().rposition(|other| other.number < head.number);
        of_account.octets += head.cost();
        of_account.jobs.insert(before.map_or(0, |before| before + 1), head);
    }

    /// Takes out jobs whose time is over, or whose place one of `coming` octets needs; their numbers.
    ///
    /// What goes for a large job may be many small ones, but not more than `coming / HEAD_OCTETS` and one.
    fn take_old(&mut self, account: &str, coming: usize, now: Timestamp) -> Vec<u64> {
        let Some(of_account) = self.by_account.get_mut(account) else { return Vec::new() };
        let mut gone = Vec::new();
        while let Some(oldest) = of_account.jobs.front() {
            let count = of_account.jobs.len();
            let is_over = count >= KEPT_MAX || count >= KEPT_MIN && now.since(oldest.at) > KEPT_FOR;
            let is_too_much = count >= KEPT_ALWAYS && of_account.octets + coming > KEPT_OCTETS_MAX;
            if !(is_too_much || is_over && gone.len() < FORGOTTEN_AT_ONCE) {
                break;
            }
            self.by_id.remove(&oldest.id);
            gone.push(oldest.number);
            of_account.octets -= oldest.cost();
            of_account.jobs.pop_front();
        }
        gone
    }
}

/// In the order of the numbers.
fn name(prefix: &str, number: u64) -> String {
    format!("{prefix}{number:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(number: u64, at: Timestamp) -> Arc<Head> {
        of_octets(number, at, 100)
    }

    fn of_octets(number: u64, at: Timestamp, octets: usize) -> Arc<Head> {
        let (account, verb) = ("1000".to_owned(), "POST".to_owned());
        Arc::new(Head { number, id: Uuid::from_u128(number.into()), account, at, failed: false, octets, verb })
    }

    #[test]
    fn a_job_goes_after_its_day_unless_it_is_among_the_last_thousand() {
        let (start, day) = (Timestamp::from_secs(1_000_000), KEPT_FOR + Duration::from_secs(1));
        let mut kept = Kept::default();
        (0..1100).for_each(|number| kept.insert(head(number, start)));
        assert!(kept.take_old("1000", 100, start).is_empty());
        let mut gone = Vec::new();
        loop {
            let some = kept.take_old("1000", 100, start + day);
            assert!(some.len() <= FORGOTTEN_AT_ONCE);
            if some.is_empty() {
                break;
            }
            gone.extend(some);
        }
        // One more comes behind each call.
        assert_eq!((gone.len(), gone.first(), gone.last()), (101, Some(&0), Some(&100)));
        assert_eq!((kept.by_id.len(), kept.take_old("2000", 100, start + day).len()), (999, 0));
    }

    #[test]
    fn large_jobs_go_before_their_day_however_few_they_are_but_never_the_last_sixteen() {
        // given
        let (mut kept, large) = (Kept::default(), KEPT_OCTETS_MAX / 50);
        (0..49).for_each(|number| kept.insert(of_octets(number, Timestamp::default(), large - HEAD_OCTETS)));
        // then
        assert!(kept.take_old("1000", large, Timestamp::default()).is_empty());
        assert_eq!(kept.take_old("1000", 2 * large, Timestamp::default()), [0]);
        assert_eq!(kept.by_account["1000"].octets, 48 * large);
        assert_eq!(kept.take_old("1000", 10 * KEPT_OCTETS_MAX, Timestamp::default()).len(), 33);
        assert_eq!(kept.by_account["1000"].jobs.len(), KEPT_ALWAYS - 1, "and the one that comes");
    }

    #[test]
    fn as_many_small_jobs_go_as_a_large_one_needs() {
        // given: heads alone, up to the bound
        let (mut kept, count) = (Kept::default(), 60_000);
        (0..count).for_each(|number| kept.insert(of_octets(number, Timestamp::default(), 3900)));
        let before = kept.by_account["1000"].octets;
        assert!(before <= KEPT_OCTETS_MAX && before + (9 << 20) > KEPT_OCTETS_MAX, "{before}");
        // when
        let gone = kept.take_old("1000", 9 << 20, Timestamp::default());
        // then
        assert!(gone.len() > FORGOTTEN_AT_ONCE && gone.len() <= (9 << 20) / HEAD_OCTETS + 1, "{}", gone.len());
        assert!(kept.by_account["1000"].octets + (9 << 20) <= KEPT_OCTETS_MAX);
    }

    #[test]
    fn jobs_stand_in_the_order_of_their_numbers_whatever_order_they_end_in() {
        let mut kept = Kept::default();
        [2, 1, 4, 3].into_iter().for_each(|number| kept.insert(head(number, Timestamp::default())));
        let numbers: Vec<u64> = kept.by_account["1000"].jobs.iter().map(|head| head.number).collect();
        assert_eq!(numbers, [1, 2, 3, 4]);
    }
}
