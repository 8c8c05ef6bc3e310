//! `/events`: what happens, as it happens (Server-Sent Events, WHATWG HTML §9.2).
//!
//! A reader holds nothing but the number of the last event it was sent; the daemon keeps one ring for all. A reader
//! that comes back with `Last-Event-ID` goes on behind it. One for whom the ring has moved on too far is told by an
//! event `gap` at the beginning, or by `dropped` amid the stream, which then ends: read `/transfers` and come again.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use uuid::Uuid;

use crate::api::auth::Caller;
use crate::api::fault::{ErrorCode, Fault};
use crate::api::places::Place;
use crate::api::query::Params;
use crate::api::{Api, rate};
use crate::control::events::{Bus, Gone, Kind, Published};
use crate::dns::Name;

/// Streams open at one time: half of the connections that one address may have, since all may come through one proxy.
pub(in crate::api) const STREAMS_MAX: usize = 128;
/// Those of one caller (tenant and user).
pub(in crate::api) const STREAMS_PER_CALLER_MAX: usize = 16;
/// When a client that found no place may ask again.
const RETRY_SECS: u32 = 10;
/// A comment line keeps proxies from closing a quiet stream, and shows who has gone.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Events in one piece of the stream.
const PIECE_EVENTS: usize = 64;
/// Pieces that may wait for a slow reader; behind them the ring holds what comes.
const PIECES: usize = 4;

/// GET `/events`.
pub(super) async fn read(
    State(api): State<Arc<Api>>,
    caller: Caller,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let filter = Filter::read(&params, &caller)?;
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    // An identity that is none of ours is as good as one that is long gone.
    let last = last.or(params.single("last-event-id")?).map(|id| id.trim().parse::<u64>().unwrap_or(0));
    let Some(place) = api.streams.take(rate::Key::of(&caller)) else {
        let text = format!(
            "{STREAMS_PER_CALLER_MAX} event streams of one user, or {STREAMS_MAX} of all, are open already; close one, or \
             poll /transfers."
        );
        return Err(Fault::new(ErrorCode::TooManyStreams, text).retry_after(RETRY_SECS));
    };
    let (sender, receiver) = mpsc::channel(PIECES);
    let bus = api.control().bus().clone();
    tokio::spawn(stream(bus, filter, last, sender, api.stop.clone(), place));
    let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-cache")];
    Ok((StatusCode::OK, headers, Body::new(Pieces(receiver))).into_response())
}

/// Feeds one stream until the reader has gone or fallen behind, or the daemon stops.
async fn stream(
    bus: Arc<Bus>,
    filter: Filter,
    last: Option<u64>,
    sender: mpsc::Sender<Bytes>,
    mut stop: tokio::sync::watch::Receiver<bool>,
    _place: Place<rate::Key>,
) {
    let mut newest = bus.subscribe();
    let mut heartbeat = interval(HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen = last.unwrap_or_else(|| bus.newest());
    // Without an event to name the place, the first comment does: a reader that loses the line now comes back to it.
    let mut text = format!(": secondaryd events\nid: {seen}\nretry: 2000\n\n");
    if let Err(Gone { oldest }) = bus.after(seen, 1) {
        text = format!(": secondaryd events\nretry: 2000\n\n{}", missed("gap", oldest - 1));
        seen = oldest - 1;
    }
    loop {
        let piece = Bytes::from(std::mem::take(&mut text));
        if !piece.is_empty() {
            let sent = tokio::select! {
                sent = sender.send(piece) => sent.is_ok(),
                _ = stop.wait_for(|&stop| stop) => false,
            };
            if !sent {
                return;
            }
        }
        match bus.after(seen, PIECE_EVENTS) {
            Err(Gone { oldest }) => {
                let _ = sender.send(missed("dropped", oldest - 1).into()).await;
                return;
            }
            Ok(events) if events.is_empty() => {
                tokio::select! {
                    _ = newest.wait_for(|&newest| newest > seen) => {}
                    _ = heartbeat.tick() => text = ":\n\n".to_owned(),
                    () = sender.closed() => return,
                    _ = stop.wait_for(|&stop| stop) => return,
                }
            }
            Ok(events) => {
                seen = events.last().map_or(seen, |event| event.sequence);
                text = events.iter().filter(|event| filter.holds(event)).map(written).collect();
            }
        }
    }
}

fn missed(name: &str, before: u64) -> String {
    let text = "Events were lost here: read /transfers for how everything stands; what follows is complete.";
    format!("event: {name}\nid: {before}\ndata: {}\n\n", serde_json::json!({"message": text}))
}

fn written(event: &Published) -> String {
    let mut data = serde_json::Map::new();
    data.insert("time".to_owned(), event.time.to_string().into());
    data.insert("zoneId".to_owned(), event.zone.to_string().into());
    data.insert("zoneName".to_owned(), event.zone_name().into());
    let details: serde_json::Map<String, Value> = serde_json::from_str(event.details()).unwrap_or_default();
    data.extend(details);
    format!("event: {}\nid: {}\ndata: {}\n\n", event.kind.as_str(), event.sequence, Value::Object(data))
}

/// What a reader may and wants to see.
struct Filter {
    tenant: Arc<str>,
    kinds: Option<Vec<Kind>>,
    zones: Option<Vec<String>>,
}

impl Filter {
    /// `zone` (name or UUID) and `type`, each a list with commas.
    fn read(params: &Params, caller: &Caller) -> Result<Filter, Fault> {
        let kind = |word: &str| {
            Kind::ALL.into_iter().find(|kind| kind.as_str() == word).ok_or_else(|| {
                let words: Vec<_> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
                Fault::bad_parameter("type", format_args!("{word:?} is none of {}", words.join(", ")))
            })
        };
        let kinds = params.single("type")?.map(|list| list.split(',').map(|w| kind(w.trim())).collect());
        // In the spelling of events.
        let zone = |text: &str| match text.trim().parse::<Name>() {
            Ok(name) => name.without_dot(),
            Err(_) => text.trim().to_ascii_lowercase(),
        };
        let zones = params.single("zone")?.map(|list| list.split(',').map(zone).collect());
        Ok(Filter { tenant: caller.tenant.clone(), kinds: kinds.transpose()?, zones })
    }

    fn holds(&self, event: &Published) -> bool {
        event.tenant() == &*self.tenant
            && self.kinds.as_ref().is_none_or(|kinds| kinds.contains(&event.kind))
            && self.zones.as_ref().is_none_or(|zones| {
                zones
                    .iter()
                    .any(|zone| **zone == *event.zone_name() || zone.parse() == Ok::<Uuid, uuid::Error>(event.zone))
            })
    }
}

/// The pieces of a stream as a body without an end.
struct Pieces(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::convert::Infallible>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}
