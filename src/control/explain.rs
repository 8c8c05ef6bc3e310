//! Why is this zone stale, not updated, or answered with SERVFAIL? A rule: facts in, verdict, evidence and fixes out.
//!
//! In: [`Facts`], gathered by the API from the board and the history. Out: an [`Explanation`]: one sentence that names
//! the symptom and the cause, what it rests on, and what to do, as commands and lines of configuration. Without clock,
//! socket, task or disk, so every broken set-up is one value in a test.
//!
//! ```text
//!   symptom (how the zone is)  x  cause (the primary that fails worst)  -->  verdict
//!   every primary, every odd thing                                      -->  evidence
//!   `advice`: code -> what to do, where   ·   `card`: our addresses     -->  fixes, snippets
//! ```

mod advice;
mod card;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use advice::advice;
pub use advice::{Fix, Where};
pub use card::{Card, Snippet};

use super::definition::{Origin, ZoneDefinition};
use super::health::Health;
use super::history::Attempt;
use super::status::{PrimaryStatus, RefusedNotify, ZoneStatus};
use crate::dns::{Name, Serial};
use crate::reason::{Code, StatusWord};
use crate::refresh::Finding;
use crate::served::RefusedFor;
use crate::time::Timestamp;

/// What is known of this daemon, beside the zone.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Configured keys and their algorithms, as configured.
    pub keys: Vec<(Name, String)>,
    /// `[dns] listen`.
    pub listen: Vec<SocketAddr>,
}

/// Everything an explanation rests on.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The moment of asking.
    pub now: Timestamp,
    /// The zone as it stands.
    pub zone: Arc<ZoneStatus>,
    /// What became of the attempts at its primaries, newest first.
    pub attempts: Vec<Arc<Attempt>>,
    /// What is known of this daemon.
    pub surroundings: Arc<Surroundings>,
}

/// What it comes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The zone.
    pub zone_name: String,
    /// How it is.
    pub health: Health,
    /// The stable key of the verdict: see [`Cause`].
    pub cause: Cause,
    /// Symptom and cause in a sentence or two.
    pub verdict: String,
    /// What it rests on, the zone first, then each primary.
    pub evidence: Vec<String>,
    /// What to do, the most helpful first; empty if nothing has to be done.
    pub fixes: Vec<Fix>,
    /// Our addresses as primaries see them, and what to write into a primary's configuration.
    pub card: Card,
}

/// Why things are as they are; the stable key of a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Cause {
    /// Nothing is wrong.
    Healthy,
    /// An exchange is running or waiting.
    UnderWay,
    /// NOTIFYs come from an address that may not send them: changes are found by polling only.
    NotifyRefused,
    /// The findings of the contents or of the refresh are worth a look.
    Finding,
    /// A primary has an older serial than we serve.
    SerialLower,
    /// A new version is held back by policy.
    Held,
    /// The zone was rolled back and takes no newer version.
    Pinned,
    /// The zone is larger or slower than the configuration allows.
    Limit,
    /// What the primary sends is not valid.
    InvalidContent,
    /// The primary does not serve the zone.
    NotServed,
    /// The primary refuses us.
    Refused,
    /// The clocks differ.
    ClockSkew,
    /// Keys differ.
    WrongKey,
    /// TLS does not come about.
    Tls,
    /// The primary does not answer.
    Unreachable,
    /// It answers too slowly.
    Slow,
    /// The disk.
    Storage,
    /// This host gives no socket to ask the primary with.
    Ourselves,
    /// The primary is this server.
    Loop,
    /// Something else failed; the code says what.
    Other,
}

impl Cause {
    /// What a code means.
    pub fn of(code: Code) -> Cause {
        use Code::*;
        match code {
            Ok | UpToDate => Cause::Healthy,
            InProgress | Queued | NeverTried | Interrupted | Cancelled => Cause::UnderWay,
            ConnectRefused | ConnectTimeout | NetUnreachable => Cause::Unreachable,
            IdleTimeout | TotalTimeout | TooSlow | TruncatedStream => Cause::Slow,
            RcodeRefused => Cause::Refused,
            RcodeNotauth | NotAuthoritative | RcodeNxdomain | SoaCname | SoaReferral | SoaNodata | WrongZone => {
                Cause::NotServed
            }
            TsigBadTime => Cause::ClockSkew,
            TsigMissing | TsigBadKey | TsigBadSig | TsigBadTrunc => Cause::WrongKey,
            TlsName | TlsExpired | TlsUntrusted | TlsVersion => Cause::Tls,
            SerialBehind | SerialUndefined | SerialFlapping => Cause::SerialLower,
            GuardShrink | GuardApex | GuardSigned | HookRefused | HookTimeout | ZonemdMismatch | DnssecExpired => {
                Cause::Held
            }
            StorageFailed | StorageCorrupt => Cause::Storage,
            LocalSocket => Cause::Ourselves,
            Loop => Cause::Loop,
            code => match code.as_str().split('_').next() {
                Some("GUARD" | "HOOK") => Cause::Held,
                Some("LIMIT") => Cause::Limit,
                Some("TSIG") => Cause::WrongKey,
                Some("TLS") => Cause::Tls,
                Some("RCODE") => Cause::Other,
                Some("STORAGE") => Cause::Storage,
                _ if code.status() == StatusWord::Error => Cause::InvalidContent,
                _ => Cause::Other,
            },
        }
    }

    /// What the primary does, as the middle of a sentence.
    fn in_words(self) -> &'static str {
        match self {
            Cause::Healthy => "is well",
            Cause::UnderWay => "is being asked",
            Cause::NotifyRefused => "sends NOTIFY from an address that is not allowed",
            Cause::Finding => "behaves oddly",
            Cause::SerialLower => "has an older serial than the one served here",
            Cause::Held => "has a version that policy holds back",
            Cause::Pinned => "has a newer version than the one the zone was rolled back to",
            Cause::Limit => "sends more than the configuration allows",
            Cause::InvalidContent => "sends something that is not valid",
            Cause::NotServed => "does not serve the zone",
            Cause::Refused => "refuses us",
            Cause::ClockSkew => "and this host disagree about the time, so signatures are not accepted",
            Cause::WrongKey => "and this host do not sign with the same key",
            Cause::Tls => "cannot be trusted over TLS",
            Cause::Unreachable => "does not answer",
            Cause::Slow => "does not answer to the end",
            Cause::Storage => "gave the zone, but it could not be stored here",
            Cause::Ourselves => "could not be asked, which lies with this host",
            Cause::Loop => "is this very server",
            Cause::Other => "answers with an error",
        }
    }
}

/// One primary with everything known of it.
pub(super) struct Witness<'a> {
    pub(super) index: usize,
    pub(super) definition: &'a super::definition::Primary,
    pub(super) shown: &'a PrimaryStatus,
    /// The newest attempt, from memory or history.
    pub(super) attempt: Option<&'a Attempt>,
}

impl Witness<'_> {
    fn code(&self) -> Code {
        self.shown.state.code
    }

    fn fails(&self) -> bool {
        matches!(self.code().status(), StatusWord::Error | StatusWord::Lagging)
    }
}

/// Explains the zone.
pub fn explain(facts: &Facts) -> Explanation {
    let (zone, now) = (&*facts.zone, facts.now);
    let witnesses = witnesses(facts);
    let health = Health::of(zone, now);
    let worst = worst(&witnesses);
    let cause = match worst {
        _ if zone.remarks.review.held.is_some() => Cause::Held,
        _ if zone.remarks.review.pinned.is_some() => Cause::Pinned,
        Some(witness) => Cause::of(witness.code()),
        None if missed_notify(zone, now).is_some() && !has_findings(zone) => Cause::NotifyRefused,
        None if health == Health::Loading || pending(&witnesses) => Cause::UnderWay,
        None if has_findings(zone) => Cause::Finding,
        None => Cause::Healthy,
    };
    Explanation {
        zone_name: zone.definition.name.without_dot(),
        health,
        cause,
        verdict: verdict(facts, health, cause, worst, &witnesses),
        evidence: evidence(facts, &witnesses),
        fixes: fixes(facts, health, cause, worst, &witnesses),
        card: Card::new(facts),
    }
}

/// The NOTIFY that was refused, if it may be why changes come late. Anybody can send one, also under a false address: it says
/// nothing about a zone whose primaries are heard, and little after a day.
fn missed_notify(zone: &ZoneStatus, now: Timestamp) -> Option<&RefusedNotify> {
    const TELLING: Duration = Duration::from_secs(86_400);
    zone.remarks.refused_notify.as_deref().filter(|refused| refused.polling_only && now.since(refused.at) < TELLING)
}

fn has_findings(zone: &ZoneStatus) -> bool {
    !zone.remarks.findings.is_empty() || !zone.remarks.warnings.is_empty()
}

/// A catalog of our zones; there is nobody to ask for it.
fn is_made_here(zone: &ZoneStatus) -> bool {
    zone.definition.primaries.is_empty()
}

fn witnesses(facts: &Facts) -> Vec<Witness<'_>> {
    let both = facts.zone.definition.primaries.iter().zip(&facts.zone.primaries).enumerate();
    both.map(|(index, (definition, shown))| {
        let remembered = || facts.attempts.iter().find(|attempt| attempt.primary == definition.address);
        Witness { index, definition, shown, attempt: shown.attempt.as_ref().or_else(remembered).map(|a| &**a) }
    })
    .collect()
}

fn pending(witnesses: &[Witness<'_>]) -> bool {
    witnesses.iter().any(|witness| witness.shown.state.activity.is_running())
}

/// The primary whose failure tells most: what somebody must repair by hand before what may pass by itself; of equals
/// the first of the list.
fn worst<'a, 'b>(witnesses: &'b [Witness<'a>]) -> Option<&'b Witness<'a>> {
    let failing = witnesses.iter().filter(|witness| witness.fails());
    failing.min_by_key(|witness| {
        let rank = match Cause::of(witness.code()) {
            Cause::Held => 0,
            Cause::Unreachable | Cause::Slow | Cause::Ourselves => 2,
            _ => 1,
        };
        (rank, witness.index)
    })
}

fn verdict(
    facts: &Facts,
    health: Health,
    cause: Cause,
    worst: Option<&Witness<'_>>,
    witnesses: &[Witness<'_>],
) -> String {
    let (zone, now) = (&*facts.zone, facts.now);
    let name = zone.definition.name.without_dot();
    let serial = zone.served_serial.map_or(String::new(), |serial| format!(" (serial {serial})"));
    let symptom = match health {
        _ if is_made_here(zone) => {
            let members = zone.remarks.catalog.map_or(0, |listed| listed.members);
            format!("{name} is a catalog of {members} zones that is made here{serial}")
        }
        Health::Ok | Health::Degraded => format!("{name} is served and confirmed{serial}"),
        Health::Loading => format!("{name} waits for its first transfer and is answered with SERVFAIL until then"),
        Health::Stale => {
            format!("{name} is served{serial}, but no primary has confirmed it since {}", ago(zone.last_refresh, now))
        }
        Health::Expiring => format!(
            "{name} is served{serial}, but no primary has confirmed it since {}: it expires in {}",
            ago(zone.last_refresh, now),
            zone.expires.map_or("a while".to_owned(), |at| span(at.since(now)))
        ),
        Health::Unloaded => format!("{name} has never been loaded and is answered with SERVFAIL"),
        Health::Expired => format!(
            "{name} has expired {} ago and is answered with SERVFAIL: no primary has confirmed it since {}",
            zone.expires.map_or("some time".to_owned(), |at| span(now.since(at))),
            ago(zone.last_refresh, now)
        ),
    };
    let because = match (cause, worst) {
        (Cause::NotifyRefused, _) => zone.remarks.refused_notify.as_ref().map(|refused| {
            let from = refused.from.ip();
            match refused.why {
                RefusedFor::Source => format!(
                    "NOTIFY from {from} is refused, because that address is neither a primary of the zone nor in \
                     allow-notify; changes are found by polling only"
                ),
                RefusedFor::Unsigned => format!("NOTIFY from {from} is refused, because it is not signed; changes are found by polling only"),
                RefusedFor::Key => format!("NOTIFY from {from} is refused, because it is signed with another key; changes are found by polling only"),
            }
        }),
        (Cause::Held, _) if zone.remarks.review.held.is_some() => zone.remarks.review.held.as_ref().map(|held| {
            format!(
                "version {} from primary {} is held back ({}: {}); it is decided without a person in {}",
                held.serial,
                at(held.primary),
                held.reason.code,
                held.reason.message(),
                span(held.deadline.since(now))
            )
        }),
        (Cause::Pinned, _) => zone.remarks.review.pinned.as_ref().map(|pinned| {
            format!(
                "{} has rolled it back to serial {} on {}, and no newer version is taken until it is released",
                pinned.by, pinned.serial, pinned.at
            )
        }),
        (Cause::Finding, _) => match zone.remarks.findings.first() {
            Some(found) => Some(found_in_words(zone, found)),
            None => zone.remarks.warnings.first().cloned(),
        },
        (Cause::UnderWay, None) => Some("a primary is being asked right now".to_owned()),
        (_, Some(worst)) => {
            let others = witnesses.iter().filter(|other| other.fails()).count() - 1;
            let more = match others {
                0 => String::new(),
                1 => "; one more primary fails".to_owned(),
                n => format!("; {n} more primaries fail"),
            };
            let message = worst.shown.state.message(zone.served_serial).unwrap_or_default();
            let detail = if message.is_empty() { String::new() } else { format!(" ({}: {message})", worst.code()) };
            Some(format!("primary {} {}{detail}{more}", at(worst.definition.address), cause.in_words()))
        }
        _ => None,
    };
    let is_aside = matches!(cause, Cause::NotifyRefused | Cause::Finding | Cause::Held | Cause::Pinned);
    match because {
        Some(because) if health <= Health::Degraded && is_aside => format!("{symptom}. But {because}."),
        Some(because) => format!("{symptom}: {because}."),
        None => format!("{symptom}. Nothing has to be done."),
    }
}

/// Everything the verdict rests on, in sentences.
fn evidence(facts: &Facts, witnesses: &[Witness<'_>]) -> Vec<String> {
    let (zone, now) = (&*facts.zone, facts.now);
    let mut lines = Vec::new();
    let mut timers = match zone.last_refresh {
        Some(at) => format!("last confirmed {} ago", span(now.since(at))),
        None => "never confirmed".to_owned(),
    };
    if let Some(next) = zone.next_refresh {
        timers += &format!(", next refresh in {}", span(next.since(now)));
    }
    match zone.expires {
        Some(at) if at > now => timers += &format!(", expires in {}", span(at.since(now))),
        Some(at) => timers += &format!(", expired {} ago", span(now.since(at))),
        None => {}
    }
    match &zone.definition.origin {
        _ if is_made_here(zone) => {
            lines.push(format!("zone: made here, {}", zone.definition.origin.place().unwrap_or_default()));
            return lines;
        }
        Origin::Catalog(membership) => {
            lines.push(format!("zone: member of catalog {}, {timers}", membership.catalog.without_dot()));
        }
        Origin::Configured { .. } | Origin::Rest => lines.push(format!("zone: {timers}")),
    }
    if let (Some(offered), Some(served)) = (zone.offered_serial, zone.served_serial)
        && offered != served
    {
        lines.push(format!("zone: the newest serial anybody has named is {offered}, served is {served}"));
    }
    lines.extend(witnesses.iter().map(|witness| testimony(witness, zone.served_serial, now)));
    if let Some(refused) = &zone.remarks.refused_notify {
        let why = match refused.why {
            RefusedFor::Source => "its address is not allowed",
            RefusedFor::Unsigned => "it was not signed",
            RefusedFor::Key => "it was signed with another key",
        };
        lines.push(format!("NOTIFY from {} refused {} ago: {why}", refused.from, span(now.since(refused.at))));
    }
    lines.extend(
        zone.remarks
            .findings
            .iter()
            .map(|found| format!("{}: {} (since {})", found.code, found_in_words(zone, found), found.since)),
    );
    lines.extend(zone.remarks.warnings.iter().map(|warning| format!("note: {warning}")));
    lines
}

fn found_in_words(zone: &ZoneStatus, found: &Finding) -> String {
    match found.primary.and_then(|ix| zone.definition.primaries.get(ix)) {
        Some(primary) => format!("primary {}: {}", at(primary.address), found.evidence),
        None => found.evidence.clone(),
    }
}

/// What one primary has done, as a line.
fn testimony(witness: &Witness<'_>, served: Option<Serial>, now: Timestamp) -> String {
    let state = &witness.shown.state;
    let mut line = format!("primary {}: {} {}", at(witness.definition.address), word(state.code.status()), state.code);
    if let Some(message) = state.message(served) {
        line += &format!(", {message}");
    }
    if let Some(serial) = state.serial {
        line += &format!("; last serial shown {serial}");
    }
    if state.consecutive_failures > 0 {
        let since = state.first_failure.map_or(String::new(), |at| format!(" for {}", span(now.since(at))));
        let failures = if state.consecutive_failures == 1 { "failure" } else { "failures in a row" };
        line += &format!("; {} {failures}{since}", state.consecutive_failures);
    }
    match state.last_success {
        Some(at) => line += &format!("; last success {} ago", span(now.since(at))),
        None => line += "; no success yet",
    }
    if let Some(attempt) = witness.attempt.filter(|_| witness.fails()) {
        let asked = serde_json::to_value(attempt.asked).ok();
        let asked = asked.as_ref().and_then(|word| word.as_str()).unwrap_or("SOA");
        line += &format!("; asked for {asked}, came as far as {:?}", attempt.phase).to_lowercase();
        if let Some(local) = attempt.local {
            line += &format!("; asked from {}", local.ip());
        }
        match &attempt.key {
            Some(key) => line += &format!("; signed with {}", key.without_dot()),
            None => line += "; not signed",
        }
        if let Some((code, text)) = attempt.ede.as_deref() {
            line += &format!("; the primary says: EDE {code} {text}");
        }
        if let Some(tls) = &attempt.tls {
            line += &format!("; its certificate names {}", tls.peer_names.join(", "));
        }
    }
    if let Some(next) = witness.shown.next_attempt {
        line += &format!("; next try in {}", span(next.at.since(now)));
    }
    line
}

fn fixes(
    facts: &Facts,
    health: Health,
    cause: Cause,
    worst: Option<&Witness<'_>>,
    witnesses: &[Witness<'_>],
) -> Vec<Fix> {
    let zone = &*facts.zone;
    let mut fixes: Vec<Fix> = advice::review(zone);
    let failing =
        worst.into_iter().chain(witnesses.iter().filter(|w| w.fails() && worst.is_none_or(|x| x.index != w.index)));
    for witness in failing {
        // What to do about a version that waits is said already, with its numbers.
        let is_said = zone.remarks.review.held.is_some() && Cause::of(witness.code()) == Cause::Held;
        for fix in advice(facts, witness) {
            if !is_said && !fixes.contains(&fix) {
                fixes.push(fix);
            }
        }
    }
    fixes.extend(zone.remarks.findings.iter().map(|found| advice::finding(zone, found)));
    if let Some(refused) = missed_notify(zone, facts.now) {
        fixes.extend(advice::notify(&zone.definition, refused));
    }
    if !fixes.is_empty() && cause != Cause::Held && health > Health::Degraded {
        let name = zone.definition.name.without_dot();
        fixes.push(Fix {
            at: Where::Here,
            text: "Then try again at once, without waiting for the next timer.".to_owned(),
            command: Some(format!("secondaryctl retransfer {name} --wait")),
            configuration: None,
        });
    }
    fixes
}

pub(super) fn is_configured(definition: &ZoneDefinition) -> Option<String> {
    definition.origin.place()
}

/// An address as people write it: without the usual port.
pub(super) fn at(address: SocketAddr) -> String {
    super::definition::Primary::at(address).spelled(super::definition::PRIMARY_PORT)
}

fn word(word: StatusWord) -> &'static str {
    match word {
        StatusWord::Pending => "PENDING",
        StatusWord::InProgress => "IN_PROGRESS",
        StatusWord::Ok => "OK",
        StatusWord::Lagging => "LAGGING",
        StatusWord::Error => "ERROR",
    }
}

fn ago(at: Option<Timestamp>, now: Timestamp) -> String {
    match at {
        Some(at) => format!("{at}, {} ago", span(now.since(at))),
        None => "it was configured".to_owned(),
    }
}

/// The two largest units.
pub(super) fn span(duration: Duration) -> String {
    let secs = duration.as_secs();
    match secs {
        0..60 => format!("{secs} s"),
        60..3600 => format!("{} min {} s", secs / 60, secs % 60),
        3600..86_400 => format!("{} h {} min", secs / 3600, secs % 3600 / 60),
        _ => format!("{} d {} h", secs / 86_400, secs % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests;
