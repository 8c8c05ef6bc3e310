//! An ended attempt at a primary as JSON: an item of the history and a member of the transfer status.

use serde::Serialize;

use crate::api::ionos::Date;
use crate::control::history::{Attempt, Phase, Tls, Trigger, Via};
use crate::dns::Serial;
use crate::reason::{Code, StatusWord};
use crate::refresh::TransferKind;

/// Members that are not known are left out.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct AttemptItem {
    primary_ip: String,
    status: StatusWord,
    error_code: Code,
    #[serde(skip_serializing_if = "String::is_empty")]
    error_message: String,
    /// What was asked for; a probe asks for the SOA.
    asked: TransferKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    got: Option<TransferKind>,
    /// The furthest it came.
    phase: Phase,
    trigger: Trigger,
    started: Date,
    finished: Date,
    /// Of several equal ones in a row, the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_finished: Option<Date>,
    count: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_serial: Option<Serial>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to_serial: Option<Serial>,
    records: u64,
    messages: u64,
    bytes: u64,
    duration_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    connect_us: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    round_trip_us: Option<u32>,
    transport: Via,
    #[serde(skip_serializing_if = "Option::is_none")]
    local_address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tsig_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<TlsItem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extended_error: Option<ExtendedError>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TlsItem {
    version: String,
    verified: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    peer_names: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer_not_after: Option<Date>,
    #[serde(skip_serializing_if = "Option::is_none")]
    own_not_after: Option<Date>,
}

/// RFC 8914, as the primary sent it.
#[derive(Serialize)]
struct ExtendedError {
    code: u16,
    #[serde(skip_serializing_if = "String::is_empty")]
    text: String,
}

impl AttemptItem {
    /// `primary_ip` as the zone's definition spells it.
    pub(in crate::api) fn new(attempt: &Attempt, primary_ip: String) -> AttemptItem {
        AttemptItem {
            primary_ip,
            status: attempt.code.status(),
            error_code: attempt.code,
            error_message: attempt.message(),
            asked: attempt.asked,
            got: attempt.got,
            phase: attempt.phase,
            trigger: attempt.trigger,
            started: Date(attempt.started),
            finished: Date(attempt.ended),
            first_finished: (attempt.count > 1).then_some(Date(attempt.first)),
            count: attempt.count,
            from_serial: attempt.from_serial,
            to_serial: attempt.to_serial,
            records: attempt.records,
            messages: attempt.messages,
            bytes: attempt.octets,
            duration_ms: attempt.duration_ms,
            connect_us: attempt.connect_us,
            round_trip_us: attempt.round_trip_us,
            transport: attempt.via,
            local_address: attempt.local.map(|local| local.to_string()),
            tsig_key: attempt.key.as_ref().map(|key| key.without_dot()),
            tls: attempt.tls.as_deref().map(TlsItem::new),
            extended_error: attempt.ede.as_deref().cloned().map(|(code, text)| ExtendedError { code, text }),
        }
    }
}

impl TlsItem {
    fn new(tls: &Tls) -> TlsItem {
        TlsItem {
            version: tls.version.clone(),
            verified: tls.verified.clone(),
            peer_names: tls.peer_names.clone(),
            peer_not_after: tls.peer_not_after.map(Date),
            own_not_after: tls.own_not_after.map(Date),
        }
    }
}
