//! What an operator should know of a zone's primaries although no exchange has failed: each a value with a stable code,
//! since when, and the evidence. Getters only; see [`super`] for the machine.
//!
//! Nothing here changes what the machine does. The evidence names moments, never durations, so that a finding that goes
//! on stays equal to itself.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::*;

/// A primary that is behind another for a moment is as things go; for longer than this it is worth a word.
const DISAGREE_AFTER: Duration = Duration::from_secs(60);

/// What was found; the key stands in the API, the log and the manual (`src/manual/findings.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FindingCode {
    /// The serials of one address, or its SOAs under one serial, go back and forth.
    SerialFlapping,
    /// SOA answers come over TCP only.
    UdpBlocked,
    /// No NOTIFY has come for much longer than usual.
    NotifySilent,
    /// Changes are found by asking only.
    NotifyLost,
    /// The zone was signed again without a new serial.
    ResignedSameSerial,
    /// Primaries show different serials for longer than a moment, or different zones under one serial.
    PrimariesDisagree,
    /// The primaries' own copies run out: they confirm each other, and nobody confirms them.
    ExpireFalling,
}

impl FindingCode {
    /// Every code, in the order of the manual.
    pub const ALL: [FindingCode; 7] = [
        FindingCode::SerialFlapping,
        FindingCode::UdpBlocked,
        FindingCode::NotifySilent,
        FindingCode::NotifyLost,
        FindingCode::ResignedSameSerial,
        FindingCode::PrimariesDisagree,
        FindingCode::ExpireFalling,
    ];

    /// The stable key.
    pub fn as_str(self) -> &'static str {
        match self {
            FindingCode::SerialFlapping => "SERIAL_FLAPPING",
            FindingCode::UdpBlocked => "UDP_BLOCKED",
            FindingCode::NotifySilent => "NOTIFY_SILENT",
            FindingCode::NotifyLost => "NOTIFY_LOST",
            FindingCode::ResignedSameSerial => "RESIGNED_SAME_SERIAL",
            FindingCode::PrimariesDisagree => "PRIMARIES_DISAGREE",
            FindingCode::ExpireFalling => "EXPIRE_FALLING",
        }
    }
}

impl fmt::Display for FindingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Something worth knowing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What.
    pub code: FindingCode,
    /// At which primary, by its index in the list; `None`: the zone as a whole.
    pub primary: Option<usize>,
    /// Since when.
    pub since: Timestamp,
    /// What it was concluded from, for people.
    pub evidence: String,
}

impl Refresh {
    /// Everything worth knowing now, by primary. At most seven a primary.
    pub fn findings(&self, now: Timestamp) -> Vec<Finding> {
        let mut found = Vec::new();
        for ix in 0..self.primaries.len() {
            let mut add = |code, (since, evidence)| {
                found.push(Finding { code, primary: Some(ix), since, evidence });
            };
            let Some(learned) = self.primaries[ix].state.learned.as_deref() else { continue };
            self.flapping(now, ix, learned).into_iter().for_each(|it| add(FindingCode::SerialFlapping, it));
            self.udp_blocked(ix, learned).into_iter().for_each(|it| add(FindingCode::UdpBlocked, it));
            self.silent(now, learned).into_iter().for_each(|it| add(FindingCode::NotifySilent, it));
            self.lost(ix, learned).into_iter().for_each(|it| add(FindingCode::NotifyLost, it));
            self.resigned(learned).into_iter().for_each(|it| add(FindingCode::ResignedSameSerial, it));
            self.behind(now, ix, learned).into_iter().for_each(|it| add(FindingCode::PrimariesDisagree, it));
            self.looks_different(learned).into_iter().for_each(|it| add(FindingCode::PrimariesDisagree, it));
        }
        if let Some((since, evidence)) = self.counts_differ() {
            found.push(Finding { code: FindingCode::PrimariesDisagree, primary: None, since, evidence });
        }
        if let Some((since, evidence)) = self.expire_falling(now) {
            found.push(Finding { code: FindingCode::ExpireFalling, primary: None, since, evidence });
        }
        found
    }

    /// How long the i-th primary has been behind the newest serial known, counted from when that was first seen (3.7);
    /// `None` if it is not.
    pub fn lag(&self, ix: usize, now: Timestamp) -> Option<Duration> {
        let since = self.primaries.get(ix)?.state.learned.as_ref()?.behind_since?;
        Some(now.since(since))
    }

    /// Looks at the clock for a silence to end in a finding: the next moment one would begin.
    pub(super) fn set_alarm(&mut self, now: Timestamp) {
        let silent_from = |primary: &primary::Primary| primary.state.learned.as_ref()?.rhythm.silent_from();
        self.alarm = self.primaries.iter().filter_map(silent_from).filter(|at| *at > now).min();
    }

    fn flapping(&self, now: Timestamp, ix: usize, learned: &Learned) -> Option<(Timestamp, String)> {
        let since = learned.falls.flapping_since(now)?;
        let shown = self.primaries[ix].state.serial.map(|serial| format!(", {serial} at last")).unwrap_or_default();
        Some((
            since,
            format!("its answers go back and forth between versions{shown}: several servers behind one address?"),
        ))
    }

    fn udp_blocked(&self, ix: usize, learned: &Learned) -> Option<(Timestamp, String)> {
        let since = learned.udp_blocked_since.filter(|_| self.primaries[ix].state.udp_blocked)?;
        Some((since, "SOA queries over UDP stay without an answer, over TCP they have one".to_owned()))
    }

    fn silent(&self, now: Timestamp, learned: &Learned) -> Option<(Timestamp, String)> {
        let rhythm = &learned.rhythm;
        let from = rhythm.silent_from().filter(|from| *from <= now)?;
        let (usual, longest) = (span(rhythm.mean_secs), span(rhythm.longest_secs));
        Some((
            from,
            format!(
                "the last NOTIFY came at {}; usual is one every {usual}, the longest pause was {longest}",
                rhythm.last
            ),
        ))
    }

    fn lost(&self, ix: usize, learned: &Learned) -> Option<(Timestamp, String)> {
        let since = learned.unannounced.since()?;
        let last = match self.primaries[ix].state.last_notify {
            Some(notify) => format!("the last NOTIFY came at {}", notify.time),
            None => "no NOTIFY has ever come".to_owned(),
        };
        Some((since, format!("{} changes in a row were found by asking only; {last}", learned.unannounced.count)))
    }

    fn resigned(&self, learned: &Learned) -> Option<(Timestamp, String)> {
        let (serial, at) = learned.resigned.seen?;
        let is_current = Some(serial) == self.served_serial();
        is_current
            .then(|| (at, format!("its signatures of the SOA with serial {serial} have changed, the serial has not")))
    }

    fn behind(&self, now: Timestamp, ix: usize, learned: &Learned) -> Option<(Timestamp, String)> {
        let state = &self.primaries[ix].state;
        let since = learned.behind_since.filter(|since| now.since(*since) >= DISAGREE_AFTER)?;
        // Asked since, and still behind: not just unasked.
        let shown = state.serial.filter(|_| state.last_attempt.is_some_and(|asked| asked > since))?;
        Some((since, format!("it shows serial {shown}, and a newer one was first seen at {since}")))
    }

    fn looks_different(&self, learned: &Learned) -> Option<(Timestamp, String)> {
        let ((serial, look, since), served) = (learned.shown?, self.served_look?);
        let differs = Some(serial) == self.served_serial() && look.soa != served.soa;
        differs.then(|| (since, format!("its SOA with serial {serial} is not the one served with that serial")))
    }

    /// The whole transfers of one serial from two primaries held different numbers of records (B16).
    fn counts_differ(&self) -> Option<(Timestamp, String)> {
        let counted = |ix: usize| {
            let last = self.primaries[ix].state.last_transfer.as_deref()?;
            Some((last.to_serial, last.zone_records?, last.finished))
        };
        for ix in 0..self.primaries.len() {
            for other in 0..ix {
                if let (Some(a), Some(b)) = (counted(other), counted(ix))
                    && a.0 == b.0
                    && a.1 != b.1
                {
                    let (serial, a_records, b_records) = (a.0, a.1, b.1);
                    let evidence = format!(
                        "with serial {serial} primary {} gave {a_records} records and primary {} gave {b_records}",
                        other + 1,
                        ix + 1
                    );
                    return Some((a.2.max(b.2), evidence));
                }
            }
        }
        None
    }

    /// RFC 7314: what is left of the primaries' own copies is what is left of ours. With a primary that is the source,
    /// or is asked by its own source every REFRESH, it never falls below EXPIRE by much more than that.
    fn expire_falling(&self, now: Timestamp) -> Option<(Timestamp, String)> {
        let (soa, confirmed) = (self.soa?, self.confirmation?);
        let whole = soa.expire(&self.settings);
        let renewed = confirmed.expires - whole;
        let allowed = (soa.refresh(&self.settings) + soa.retry(&self.settings)) * 2;
        let is_falling =
            !self.expired && now < confirmed.expires && confirmed.at.since(renewed) > allowed.min(whole / 2);
        let evidence = || {
            format!(
                "primaries that show serial {} say that their own copies have not been confirmed since {renewed}; all \
                 expire at {} unless one of them gets a confirmation",
                soa.serial, confirmed.expires
            )
        };
        is_falling.then(|| (renewed, evidence()))
    }
}

/// Seconds as people say them, in one unit, rounded down.
fn span(secs: u32) -> String {
    match secs {
        0..=119 => format!("{secs} s"),
        120..=7199 => format!("{} min", secs / 60),
        7200..=172_799 => format!("{} h", secs / 3600),
        _ => format!("{} d", secs / 86_400),
    }
}
