//! `/secondaryzones/{id}/axfr`: what every primary of a zone is doing and why, and the command to transfer.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::time::timeout;
use uuid::Uuid;

use super::{Date, accepted, json};
use crate::api::Api;
use crate::api::auth::Caller;
use crate::api::fault::Fault;
use crate::api::intent::refuse_dry_run;
use crate::api::native::attempt::AttemptItem;
use crate::api::native::history;
use crate::api::query::Params;
use crate::api::request::{Writer, Zone};
use crate::control::definition::{Primary, Transport};
use crate::control::handle::TransferMode;
use crate::control::health::Health;
use crate::control::status::{Listed, PrimaryStatus, ZoneStatus};
use crate::dns::Serial;
use crate::reason::{Code, StatusWord};
use crate::refresh::{Activity, Finding, FindingCode, TransferKind, Why, ZoneState};
use crate::served::RefusedFor;
use crate::time::Timestamp;

/// Seconds a request may be held by `Prefer: wait=N`; more is read as this.
const WAIT_SECS_MAX: u64 = 60;
/// Seconds a request may wait for the end of its transfer.
const TRANSFER_WAIT_SECS_MAX: u64 = 600;
/// RFC 7240; not among the names of the `http` crate.
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// GET `/secondaryzones/{id}/axfr`. 202, as in the specification, though it is a read.
///
/// With `If-None-Match` naming the current generation: 304, after waiting for a change if `Prefer: wait=N` asks so.
pub(super) async fn read(
    State(api): State<Arc<Api>>,
    mut zone: Zone,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    if knows(&headers, zone.status.generation)
        && let Some(wait) = wait(&headers)
    {
        changed(&api, &mut zone, wait).await;
        zone = Zone::find(&api, &caller, zone.view.uuid).ok_or_else(Fault::zone_not_found)?;
    }
    let mut response = if knows(&headers, zone.status.generation) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let status = remembered(&api, &zone).await;
        json(StatusCode::ACCEPTED, &Status::of(&status, api.settings().primary_port, Timestamp::now()))
    };
    let tag = HeaderValue::from_str(&tag(zone.status.generation)).expect("digits in quotes");
    response.headers_mut().insert(ETAG, tag);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

/// PUT `/secondaryzones/{id}/axfr`. A body is not read.
pub(super) async fn start(
    State(api): State<Arc<Api>>,
    zone: Zone,
    Writer(_): Writer,
    params: Params,
) -> Result<Response, Fault> {
    refuse_dry_run()?;
    let force = params.flag("force")?.unwrap_or(false);
    let mode = match params.single("mode")? {
        None | Some("axfr") => TransferMode::Full { force },
        Some("refresh") if force => {
            return Err(Fault::bad_parameter(
                "force",
                "does not go with mode=refresh, which never takes an older serial",
            ));
        }
        Some("refresh") => TransferMode::Refresh,
        Some(_) => return Err(Fault::bad_parameter("mode", "must be axfr or refresh")),
    };
    let wait = params.single("wait")?.map(span).transpose()?;
    api.control().transfer(zone.view.uuid, mode).await?;
    let Some(wait) = wait else { return Ok(accepted()) };
    let Some(status) = ended(&api, &zone, wait).await else { return Err(Fault::zone_not_found()) };
    let mut body = Status::of(&status, api.settings().primary_port, Timestamp::now());
    body.outcome = Some(Outcome::of(&status, zone.status.served_serial));
    Ok(json(StatusCode::OK, &body))
}

/// `30`, `30s` or `2m`, at most [`TRANSFER_WAIT_SECS_MAX`].
fn span(text: &str) -> Result<Duration, Fault> {
    let (digits, factor) = match text.strip_suffix('m') {
        Some(minutes) => (minutes, 60),
        None => (text.strip_suffix('s').unwrap_or(text), 1),
    };
    let secs = digits.parse::<u64>().ok().map(|secs| secs.saturating_mul(factor));
    secs.filter(|secs| (1..=TRANSFER_WAIT_SECS_MAX).contains(secs)).map(Duration::from_secs).ok_or_else(|| {
        Fault::bad_parameter("wait", format_args!("must be a time such as 30s, at most {TRANSFER_WAIT_SECS_MAX}s"))
    })
}

/// The status once nothing runs any more, or `wait` has passed; `None` if the zone has gone.
async fn ended(api: &Api, zone: &Zone, wait: Duration) -> Option<Arc<ZoneStatus>> {
    let mut generations = zone.view.subscribe();
    let mut stop = api.stop.clone();
    let running = async {
        // The status is read again after each change; the first one may be the last.
        while !is_quiet(&zone.view.status()) && generations.changed().await.is_ok() {}
    };
    tokio::select! {
        _ = timeout(wait, running) => {}
        _ = stop.wait_for(|&stop| stop) => {}
    }
    api.control().board().by_uuid(zone.view.uuid).map(|view| view.status())
}

/// Whether no round is running.
fn is_quiet(status: &ZoneStatus) -> bool {
    status.primaries.is_empty()
        || status.next_refresh.is_some()
            && status.primaries.iter().all(|primary| primary.state.activity == Activity::Idle)
}

/// What came of a transfer that was waited for.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    /// `OK` if a primary has given or confirmed the zone, `IN_PROGRESS` if it still runs, else how the first one failed.
    status: StatusWord,
    error_code: Code,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<String>,
    /// Another serial is served than before.
    changed: bool,
}

impl Outcome {
    fn of(status: &ZoneStatus, before: Option<Serial>) -> Outcome {
        let changed = status.served_serial != before;
        let is_ok = |primary: &&PrimaryStatus| primary.state.word() == StatusWord::Ok;
        let first = match status.primaries.iter().find(is_ok) {
            Some(primary) => Some(primary),
            None => status.primaries.first(),
        };
        let Some(first) = first.filter(|_| is_quiet(status)) else {
            let (status, error_code) = (StatusWord::InProgress, Code::InProgress);
            return Outcome { status, error_code, error_message: None, changed };
        };
        let error_message = first.state.message(status.served_serial);
        Outcome { status: first.state.word(), error_code: first.state.shown(), error_message, changed }
    }
}

/// The status with the last attempts of an earlier run where there is none of this one.
async fn remembered(api: &Api, zone: &Zone) -> Arc<ZoneStatus> {
    let forgotten = |primary: &PrimaryStatus| primary.attempt.is_none() && primary.state.last_attempt.is_some();
    if !zone.status.primaries.iter().any(forgotten) {
        return zone.status.clone();
    }
    // Without them the status is as good as it can be.
    let attempts = history::of(api, zone).await.unwrap_or_default();
    let mut status = ZoneStatus::clone(&zone.status);
    let definition = status.definition.clone();
    for (shown, primary) in
        status.primaries.iter_mut().zip(&*definition.primaries).filter(|(shown, _)| forgotten(shown))
    {
        shown.attempt = attempts.iter().find(|attempt| attempt.primary == primary.address).cloned();
    }
    Arc::new(status)
}

/// Returns when the zone's generation has moved, `wait` has passed, or the daemon stops.
async fn changed(api: &Api, zone: &mut Zone, wait: Duration) {
    let mut generations = zone.view.subscribe();
    let known = zone.status.generation;
    let mut stop = api.stop.clone();
    tokio::select! {
        // Looks at the current generation first, so a change between the read and the subscription is not missed.
        _ = timeout(wait, generations.wait_for(|&generation| generation != known)) => {}
        _ = stop.wait_for(|&stop| stop) => {}
    }
}

fn tag(generation: u64) -> String {
    format!("\"g{generation}\"")
}

/// Whether the client has this generation. `If-None-Match` compares weakly (RFC 9110 §13.1.2).
fn knows(headers: &HeaderMap, generation: u64) -> bool {
    let current = tag(generation);
    let fields = headers.get_all(IF_NONE_MATCH).into_iter().filter_map(|field| field.to_str().ok());
    fields
        .flat_map(|field| field.split(','))
        .map(str::trim)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == current)
}

/// `Prefer: wait=N` (RFC 7240 §4.3). What is not understood is no preference (§2).
fn wait(headers: &HeaderMap) -> Option<Duration> {
    let fields = headers.get_all(PREFER).into_iter().filter_map(|field| field.to_str().ok());
    fields.flat_map(|field| field.split([',', ';'])).find_map(|preference| {
        let (name, value) = preference.split_once('=')?;
        let secs = value.trim().trim_matches('"').parse::<u64>().ok()?;
        name.trim().eq_ignore_ascii_case("wait").then(|| Duration::from_secs(secs.min(WAIT_SECS_MAX)))
    })
}

/// The body: the members of the specification first.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    r#type: &'static str,
    items: Vec<Item>,
    zone_id: Uuid,
    zone_name: String,
    state: ZoneState,
    #[serde(skip_serializing_if = "Option::is_none")]
    served_serial: Option<Serial>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_refresh: Option<Date>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_refresh: Option<Date>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Date>,
    #[serde(skip_serializing_if = "Option::is_none")]
    active_primary: Option<String>,
    generation: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    offered_serial: Option<Serial>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stored_serial: Option<Serial>,
    /// The version that waits for approval; more at `.../held`.
    #[serde(skip_serializing_if = "Option::is_none")]
    held: Option<Held>,
    /// The zone was rolled back and takes no newer version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pinned: Option<Pinned>,
    /// End of the first signature of the served version that lapses.
    #[serde(skip_serializing_if = "Option::is_none")]
    signatures_expire: Option<Date>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    findings: Vec<FindingItem>,
    /// How the zone is, in one word.
    health: Health,
    /// The last NOTIFY that was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused_notify: Option<Refused>,
    /// Of a catalog.
    #[serde(skip_serializing_if = "Option::is_none")]
    catalog: Option<Listed>,
    /// Of a transfer that was waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<Outcome>,
}

#[derive(Serialize)]
struct Refused {
    from: String,
    time: Date,
    why: &'static str,
    count: u32,
}

/// What was found out about a primary, or the zone, although nothing failed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FindingItem {
    code: FindingCode,
    #[serde(skip_serializing_if = "Option::is_none")]
    primary_ip: Option<String>,
    since: Date,
    evidence: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Held {
    id: Uuid,
    serial: Serial,
    error_code: Code,
    deadline: Date,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Pinned {
    serial: Serial,
    left: Serial,
    by: String,
    at: Date,
}

/// One primary: the members of the specification first.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    primary_ip: String,
    status: StatusWord,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<Code>,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial: Option<Serial>,
    port: u16,
    transport: Transport,
    #[serde(skip_serializing_if = "Option::is_none")]
    tsig_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_attempt: Option<Date>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_success: Option<Date>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt: Option<Date>,
    consecutive_failures: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<LastError>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_transfer: Option<LastTransfer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_notify: Option<Date>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_notify_serial: Option<Serial>,
    /// What is going on now, finer than `status`.
    activity: Activity,
    /// Since when attempts end as the last one did.
    since: Date,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt_why: Option<Why>,
    /// What is noteworthy beside the code.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<&'static str>,
    /// Since when it is behind the newest serial anybody has shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    behind_since: Option<Date>,
    /// When the running row of failures began.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_failure: Option<Date>,
    /// The last TLS session, or the certificate that was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<Tls>,
    /// The last attempt in full: phase reached, times, volumes, TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<AttemptItem>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Tls {
    version: &'static str,
    verified: &'static str,
    /// In the primary's certificate.
    names: Vec<String>,
    /// When the primary's certificate ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Date>,
    /// When our own certificate ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    own_expires: Option<Date>,
}

#[derive(Serialize)]
struct LastError {
    code: Code,
    message: String,
    time: Date,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LastTransfer {
    r#type: TransferKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_serial: Option<Serial>,
    to_serial: Serial,
    records: u64,
    messages: u64,
    bytes: u64,
    duration_ms: u64,
    finished: Date,
    asked: TransferKind,
}

impl Status {
    fn of(status: &ZoneStatus, default_port: u16, now: Timestamp) -> Status {
        let definition = &*status.definition;
        let active = status.active_primary.and_then(|index| definition.primaries.get(index));
        let items = definition.primaries.iter().zip(&status.primaries).enumerate();
        let findings = status.remarks.findings.iter().map(|found| FindingItem {
            code: found.code,
            primary_ip: found.primary.and_then(|ix| Some(definition.primaries.get(ix)?.spelled(default_port))),
            since: Date(found.since),
            evidence: found.evidence.clone(),
        });
        Status {
            r#type: "collection",
            items: items
                .map(|(ix, (primary, shown))| {
                    let notes = status.remarks.findings.iter().filter(|found| found.primary == Some(ix));
                    Item::of(primary, shown, status.served_serial, default_port, notes)
                })
                .collect(),
            zone_id: definition.uuid,
            zone_name: definition.name.without_dot(),
            state: status.state,
            served_serial: status.served_serial,
            last_refresh: status.last_refresh.map(Date),
            next_refresh: status.next_refresh.map(Date),
            expires: status.expires.map(Date),
            active_primary: active.map(|primary| primary.spelled(default_port)),
            generation: status.generation,
            offered_serial: status.offered_serial,
            stored_serial: status.stored_serial,
            held: status.remarks.review.held.as_ref().map(|held| Held {
                id: held.id,
                serial: held.serial,
                error_code: held.reason.code,
                deadline: Date(held.deadline),
            }),
            pinned: status.remarks.review.pinned.clone().map(|pinned| Pinned {
                serial: pinned.serial,
                left: pinned.left,
                by: pinned.by,
                at: Date(pinned.at),
            }),
            signatures_expire: status.remarks.signatures.as_ref().map(|lapse| Date(lapse.at)),
            warnings: status.remarks.warnings.clone(),
            findings: findings.collect(),
            health: Health::of(status, now),
            refused_notify: status.remarks.refused_notify.as_ref().map(|refused| Refused {
                from: refused.from.to_string(),
                time: Date(refused.at),
                why: match refused.why {
                    RefusedFor::Source => "source",
                    RefusedFor::Unsigned => "unsigned",
                    RefusedFor::Key => "key",
                },
                count: refused.count,
            }),
            catalog: status.remarks.catalog,
            outcome: None,
        }
    }
}

impl Item {
    fn of<'a>(
        primary: &Primary,
        status: &PrimaryStatus,
        served: Option<Serial>,
        default_port: u16,
        notes: impl Iterator<Item = &'a Finding>,
    ) -> Item {
        let state = &status.state;
        let error_message = state.message(served);
        // Every finding is a note, and UDP_BLOCKED already before it is a finding.
        let mut noted: Vec<&'static str> = [(state.udp_blocked, "UDP_BLOCKED"), (state.clear_text, "CLEAR_TEXT")]
            .into_iter()
            .filter_map(|(noted, note)| noted.then_some(note))
            .collect();
        for note in notes.map(|found| found.code.as_str()) {
            if !noted.contains(&note) {
                noted.push(note);
            }
        }
        Item {
            primary_ip: primary.spelled(default_port),
            status: state.word(),
            error_code: error_message.is_some().then(|| state.shown()),
            error_message,
            serial: state.serial,
            port: primary.address.port(),
            transport: primary.transport,
            tsig_key: primary.tsig_key.as_ref().map(|key| key.without_dot()),
            last_attempt: state.last_attempt.map(Date),
            last_success: state.last_success.map(Date),
            next_attempt: status.next_attempt.map(|next| Date(next.at)),
            consecutive_failures: state.consecutive_failures,
            last_error: state.last_error.as_deref().map(|error| LastError {
                code: error.code,
                message: error.message.clone(),
                time: Date(error.time),
            }),
            last_transfer: state.last_transfer.as_deref().map(|transfer| LastTransfer {
                r#type: transfer.kind,
                from_serial: transfer.from_serial,
                to_serial: transfer.to_serial,
                records: transfer.records,
                messages: transfer.messages,
                bytes: transfer.octets,
                duration_ms: transfer.duration_ms,
                finished: Date(transfer.finished),
                asked: transfer.asked,
            }),
            last_notify: state.last_notify.map(|notify| Date(notify.time)),
            last_notify_serial: state.last_notify.and_then(|notify| notify.serial),
            activity: state.activity,
            since: Date(state.since),
            next_attempt_why: status.next_attempt.map(|next| next.why),
            notes: noted,
            behind_since: status.behind_since.map(Date),
            first_failure: state.first_failure.map(Date),
            tls: status.tls.as_deref().map(|session| Tls {
                version: session.version,
                verified: session.verified.as_str(),
                names: session.peer_names.clone(),
                expires: session.peer_not_after.map(Date),
                own_expires: session.own_not_after.map(Date),
            }),
            attempt: status.attempt.as_deref().map(|attempt| AttemptItem::new(attempt, primary.spelled(default_port))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(name: HeaderName, values: &[&'static str]) -> HeaderMap {
        values.iter().map(|&value| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    /// RFC 9110 §13.1.2: "A recipient MUST use the weak comparison function when comparing entity tags".
    #[test]
    fn a_known_generation_is_found_in_any_list() {
        for value in ["\"g7\"", "W/\"g7\"", "\"g1\", \"g7\"", "*"] {
            assert!(knows(&fields(IF_NONE_MATCH, &[value]), 7), "{value}");
        }
        assert!(knows(&fields(IF_NONE_MATCH, &["\"g1\"", "\"g7\""]), 7));
        for value in ["\"g8\"", "g7", "\"7\"", ""] {
            assert!(!knows(&fields(IF_NONE_MATCH, &[value]), 7), "{value}");
        }
        assert!(!knows(&HeaderMap::new(), 7));
    }

    /// RFC 7240 §2: "Preference names are case-insensitive", and what is not understood is ignored.
    #[test]
    fn waiting_is_bounded_and_optional() {
        let secs = |values: &[&'static str]| wait(&fields(PREFER, values)).map(|wait| wait.as_secs());
        assert_eq!(secs(&["wait=10"]), Some(10));
        assert_eq!(secs(&["respond-async, Wait=\"5\""]), Some(5));
        assert_eq!(secs(&["return=minimal", "wait=9999"]), Some(60));
        assert_eq!(secs(&["wait=x"]), None);
        assert_eq!(secs(&["wait=-1"]), None);
        assert_eq!(secs(&[]), None);
    }
}
