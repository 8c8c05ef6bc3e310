//! `/transfers`: one line per zone and primary, over all zones of the tenant; `/transfers/summary`: how many stand how.
//!
//! A page costs what stands on it, but for the zones that are passed over: those before `offset` (use `after` for long
//! lists) and those a filter leaves out.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;
use serde_json::{Map, Value, json as value};
use uuid::Uuid;

use super::history;
use crate::api::Api;
use crate::api::auth::Caller;
use crate::api::fault::{ErrorCode, Fault};
use crate::api::ionos::collection::{self, Address, Links};
use crate::api::ionos::{Date, json};
use crate::api::query::{Page, Params};
use crate::api::serve::Ends;
use crate::control::status::{Board, Tally, ZoneStatus};
use crate::dns::{Name, Serial};
use crate::reason::{Code, StatusWord};
use crate::refresh::{Activity, ZoneState};

const FILTERS: [&str; 5] = ["status", "code", "primary", "zone", "after"];

const WORDS: [StatusWord; 5] =
    [StatusWord::Pending, StatusWord::InProgress, StatusWord::Ok, StatusWord::Lagging, StatusWord::Error];

/// GET `/transfers`.
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    ends: Option<Extension<ConnectInfo<Ends>>>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let settings = api.settings();
    let page = collection::page(&params)?;
    let filter = Filter::read(&params, settings.primary_port, &caller)?;
    let address = Address {
        base: settings.base_url(&headers, ends.map(|ends| ends.0.0)),
        path: "/transfers".to_owned(),
        filters: collection::given(&params, &FILTERS)?,
        page,
    };
    let (board, port) = (api.control().board().clone(), settings.primary_port);
    // Passing over 100,000 zones is too long for a thread that serves others.
    let found = tokio::task::spawn_blocking(move || filter.select(&board, page, port)).await;
    let found = found.map_err(|_| Fault::new(ErrorCode::Internal, "The transfers could not be listed."))?;
    let href = address.href();
    let body = List {
        id: collection::id_of_url(&href),
        r#type: "collection",
        href,
        links: address.links(found.total),
        items: found.lines,
        offset: page.offset,
        limit: page.limit,
        total_count: found.total,
    };
    Ok(json(StatusCode::OK, &body))
}

/// GET `/transfers/summary`. Counts are kept with each change: O(1).
pub(super) async fn summary(State(api): State<Arc<Api>>, caller: Caller) -> Response {
    let Tally { zones, primaries, by_state, by_status, by_code, .. } = api.control().board().tally(&caller.tenant);
    let mut states = Map::new();
    for state in [ZoneState::Provisioning, ZoneState::Available, ZoneState::Failed] {
        states.insert(word_of(&state), by_state.get(&state).copied().unwrap_or(0).into());
    }
    let statuses: Map<String, Value> =
        WORDS.iter().map(|word| (word_of(word), by_status.get(word).copied().unwrap_or(0).into())).collect();
    let codes: Map<String, Value> =
        Code::ALL.iter().filter_map(|code| Some((code.as_str().to_owned(), (*by_code.get(code)?).into()))).collect();
    let body = value!({
        "zones": zones, "primaries": primaries, "byState": states, "byStatus": statuses, "byCode": codes,
    });
    json(StatusCode::OK, &body)
}

fn word_of(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List {
    id: Uuid,
    r#type: &'static str,
    href: String,
    items: Vec<Line>,
    offset: usize,
    limit: usize,
    #[serde(rename = "_links")]
    links: Links,
    total_count: usize,
}

/// One primary of one zone.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    zone_id: Uuid,
    zone_name: String,
    state: ZoneState,
    primary_ip: String,
    status: StatusWord,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<String>,
    error_code: Code,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial: Option<Serial>,
    #[serde(skip_serializing_if = "Option::is_none")]
    served_serial: Option<Serial>,
    activity: Activity,
    since: Date,
    consecutive_failures: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_attempt: Option<Date>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_success: Option<Date>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt: Option<Date>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Date>,
    href: String,
}

impl Line {
    fn new(zone: &ZoneStatus, index: usize, default_port: u16) -> Line {
        let (primary, shown) = (&zone.definition.primaries[index], &zone.primaries[index]);
        let state = &shown.state;
        Line {
            zone_id: zone.definition.uuid,
            zone_name: zone.definition.name.without_dot(),
            state: zone.state,
            primary_ip: primary.spelled(default_port),
            status: state.word(),
            error_message: state.message(zone.served_serial),
            error_code: state.shown(),
            serial: state.serial,
            served_serial: zone.served_serial,
            activity: state.activity,
            since: Date(state.since),
            consecutive_failures: state.consecutive_failures,
            last_attempt: state.last_attempt.map(Date),
            last_success: state.last_success.map(Date),
            next_attempt: shown.next_attempt.map(|next| Date(next.at)),
            expires: zone.expires.map(Date),
            href: format!("/secondaryzones/{}/axfr", zone.definition.uuid),
        }
    }
}

/// Which lines are wanted; all that is given must fit.
struct Filter {
    tenant: String,
    status: Option<StatusWord>,
    codes: Option<Vec<String>>,
    primary: Option<(IpAddr, Option<u16>)>,
    /// Part of the name, or the identity.
    zone: Option<String>,
    after: Option<Name>,
}

#[derive(Default)]
struct Found {
    lines: Vec<Line>,
    total: usize,
}

impl Filter {
    fn read(params: &Params, default_port: u16, caller: &Caller) -> Result<Filter, Fault> {
        let after = params.single("after")?.map(|name| {
            name.parse().map_err(|error| Fault::bad_parameter("after", format_args!("is no zone name: {error}")))
        });
        Ok(Filter {
            tenant: caller.tenant.to_string(),
            status: params.single("status")?.map(history::status_word).transpose()?,
            codes: params.single("code")?.map(history::codes).transpose()?,
            primary: params.single("primary")?.map(|text| history::primary(text, default_port)).transpose()?,
            zone: params.single("zone")?.map(str::to_ascii_lowercase),
            after: after.transpose()?,
        })
    }

    /// The page, and how many lines there are in all. Ends with the page if the number is known without counting.
    fn select(&self, board: &Board, page: Page, default_port: u16) -> Found {
        let known = self.known_total(board);
        let mut found = Found::default();
        let mut seen = 0;
        board.select_after(self.after.as_ref(), 1, |view| {
            let zone = view.status();
            if *zone.definition.tenant != self.tenant || !self.holds_zone(&zone) {
                return false;
            }
            // With nothing else to look at a zone before the page is passed over by its number of lines.
            if !self.looks_at_primaries() && seen + zone.primaries.len() <= page.offset {
                seen += zone.primaries.len();
                return false;
            }
            for index in (0..zone.primaries.len()).filter(|index| self.holds(&zone, *index)) {
                if page.holds(seen) {
                    found.lines.push(Line::new(&zone, index, default_port));
                }
                seen += 1;
            }
            known.is_some() && found.lines.len() >= page.limit
        });
        found.total = known.unwrap_or(seen);
        found
    }

    /// The number of lines, where the board keeps it.
    fn known_total(&self, board: &Board) -> Option<usize> {
        if self.zone.is_some() || self.primary.is_some() || self.after.is_some() {
            return None;
        }
        let tally = board.tally(&self.tenant);
        let count = match (&self.status, &self.codes) {
            (None, None) => tally.primaries,
            (Some(word), None) => tally.by_status.get(word).copied().unwrap_or(0),
            (None, Some(codes)) => {
                tally.by_code.iter().filter(|(code, _)| codes.iter().any(|c| c == code.as_str())).map(|(_, n)| n).sum()
            }
            (Some(_), Some(_)) => return None,
        };
        Some(count as usize)
    }

    fn looks_at_primaries(&self) -> bool {
        self.status.is_some() || self.codes.is_some() || self.primary.is_some()
    }

    fn holds_zone(&self, zone: &ZoneStatus) -> bool {
        self.zone.as_ref().is_none_or(|wanted| {
            zone.definition.name.without_dot().contains(wanted.trim_end_matches('.'))
                || zone.definition.uuid.to_string() == *wanted
        })
    }

    fn holds(&self, zone: &ZoneStatus, index: usize) -> bool {
        let state = &zone.primaries[index].state;
        let address = zone.definition.primaries[index].address;
        self.status.is_none_or(|wanted| state.word() == wanted)
            && self.codes.as_ref().is_none_or(|codes| codes.iter().any(|code| code == state.shown().as_str()))
            && self
                .primary
                .is_none_or(|(ip, port)| address.ip() == ip && port.is_none_or(|port| address.port() == port))
    }
}
