//! What `/metrics` shows of things that are counted elsewhere: workers keep plain counters of their own and the board
//! keeps statuses; both are moved into the metrics when somebody asks. O(zones) a scrape, nothing in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::control::Board;
use crate::dns::message::Rcode;
use crate::net::counters::{NotifyOutcome, Queries, TransferOutcome};
use crate::net::{Counters, TlsIdentity};
use crate::reason::StatusWord;
use crate::refresh::ZoneState;
use crate::telemetry;
use crate::time::Timestamp;

/// Where the numbers come from.
pub(crate) struct Sources {
    pub(crate) board: Arc<Board>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) ready: Arc<AtomicBool>,
    /// Of the listeners with TLS, by the section of the configuration.
    pub(crate) certificates: Vec<(&'static str, Arc<TlsIdentity>)>,
}

const STATES: [ZoneState; 3] = [ZoneState::Provisioning, ZoneState::Available, ZoneState::Failed];
/// A local zone is there or damaged.
const LOCAL_STATES: [ZoneState; 2] = [ZoneState::Available, ZoneState::Failed];
const WORDS: [StatusWord; 5] =
    [StatusWord::Pending, StatusWord::InProgress, StatusWord::Ok, StatusWord::Lagging, StatusWord::Error];

impl Sources {
    /// Brings the metrics up to date.
    pub(crate) fn collect(&self) {
        metrics::gauge!(telemetry::READY).set(f64::from(u8::from(self.ready.load(Ordering::Relaxed))));
        metrics::gauge!(telemetry::STORE_FAILING).set(f64::from(u8::from(self.board.trouble().is_some())));
        for (section, certificate) in &self.certificates {
            let end = certificate.not_after().map_or(telemetry::ABSENT, |end| end.as_secs() as f64);
            metrics::gauge!(telemetry::CERTIFICATE_EXPIRY, "section" => *section).set(end);
        }
        self.collect_zones();
        collect_queries("udp", &self.counters.udp());
        collect_queries("tcp", &self.counters.tcp());
        collect_queries("tls", &self.counters.tls());
        for outcome in NotifyOutcome::ALL {
            let count = self.counters.notifies(outcome);
            metrics::counter!(telemetry::NOTIFIES, "outcome" => outcome.as_str()).absolute(count);
        }
        for outcome in TransferOutcome::ALL {
            let count = self.counters.transfers(outcome);
            metrics::counter!(telemetry::OUTBOUND_TRANSFERS, "outcome" => outcome.as_str()).absolute(count);
        }
        let (accepted, refused) = self.counters.connections();
        metrics::counter!(telemetry::CONNECTIONS, "outcome" => "accepted").absolute(accepted);
        metrics::counter!(telemetry::CONNECTIONS, "outcome" => "refused").absolute(refused);
    }

    fn collect_zones(&self) {
        let (mut states, mut local_states) = ([0u32; STATES.len()], [0u32; STATES.len()]);
        let mut words = [0u32; WORDS.len()];
        let mut first_expiry: Option<Timestamp> = None;
        let (mut held, mut pinned, mut first_lapse) = (0u32, 0u32, None::<Timestamp>);
        let (mut members, mut left_out) = (0u64, 0u64);
        self.board.select(|zone| {
            let status = zone.status();
            let counts = if status.definition.local.is_some() { &mut local_states } else { &mut states };
            counts[STATES.iter().position(|s| *s == status.state).expect("all states are listed")] += 1;
            for primary in &status.primaries {
                let word = primary.state.word();
                words[WORDS.iter().position(|w| *w == word).expect("all words are listed")] += 1;
            }
            first_expiry = first_expiry.into_iter().chain(status.expires).min();
            held += u32::from(status.remarks.review.held.is_some());
            if let Some(listed) = status.remarks.catalog.filter(|_| status.definition.catalog.is_some()) {
                members += listed.members as u64;
                left_out += listed.left_out as u64;
            }
            pinned += u32::from(status.remarks.review.pinned.is_some());
            first_lapse = first_lapse.into_iter().chain(status.remarks.signatures.as_ref().map(|lapse| lapse.at)).min();
            false
        });
        for (state, count) in STATES.iter().zip(states) {
            metrics::gauge!(telemetry::ZONES, "state" => name_of(state)).set(f64::from(count));
        }
        for (state, count) in STATES.iter().zip(local_states).filter(|(state, _)| LOCAL_STATES.contains(state)) {
            metrics::gauge!(telemetry::LOCAL_ZONES, "state" => name_of(state)).set(f64::from(count));
        }
        for (word, count) in WORDS.iter().zip(words) {
            metrics::gauge!(telemetry::PRIMARIES, "status" => name_of(word)).set(f64::from(count));
        }
        metrics::gauge!(telemetry::ZONES_HELD).set(f64::from(held));
        metrics::gauge!(telemetry::CATALOG_MEMBERS, "state" => "taken").set(members as f64);
        metrics::gauge!(telemetry::CATALOG_MEMBERS, "state" => "left_out").set(left_out as f64);
        metrics::gauge!(telemetry::ZONES_PINNED).set(f64::from(pinned));
        let now = Timestamp::now();
        let lapse = first_lapse.map(|at| at.since(now).as_secs_f64() - now.since(at).as_secs_f64());
        metrics::gauge!(telemetry::LAPSE_MIN).set(lapse.unwrap_or(telemetry::ABSENT));
        let expiry = first_expiry.map(|at| at.since(now).as_secs_f64());
        metrics::gauge!(telemetry::EXPIRY_MIN).set(expiry.unwrap_or(telemetry::ABSENT));
    }
}

fn collect_queries(transport: &'static str, queries: &Queries) {
    metrics::counter!(telemetry::QUERIES, "transport" => transport).absolute(queries.received);
    metrics::counter!(telemetry::TRUNCATED, "transport" => transport).absolute(queries.truncated);
    metrics::counter!(telemetry::RATE_LIMITED, "transport" => transport).absolute(queries.limited);
    for (rcode, &count) in queries.rcodes.iter().enumerate().filter(|(_, count)| **count > 0) {
        let rcode = Rcode(rcode as u16).to_string();
        metrics::counter!(telemetry::REPLIES, "transport" => transport, "rcode" => rcode).absolute(count);
    }
}

/// The word by which the API names it, too.
fn name_of(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}
