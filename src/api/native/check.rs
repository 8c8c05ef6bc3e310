//! Preflight: what the primaries of a zone would give, without changing anything.
//! `POST /secondaryzones/{id}/axfr/check` for a zone that is here, `POST /transfers/check` for one that is not.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::attempt::AttemptItem;
use crate::api::Api;
use crate::api::fault::Fault;
use crate::api::ionos::json;
use crate::api::ionos::secondary_zones::Request;
use crate::api::query::Params;
use crate::api::request::{Json, Writer, Zone};
use crate::control::preflight::{Ask, Checked, DryContents};
use crate::dns::Serial;
use crate::reason::{Code, StatusWord};

/// POST `/secondaryzones/{id}/axfr/check`; `?transfer=true` tries the whole transfer, too.
pub(super) async fn zone(
    State(api): State<Arc<Api>>,
    zone: Zone,
    Writer(_): Writer,
    params: Params,
) -> Result<Response, Fault> {
    let transfer = params.flag("transfer")?.unwrap_or(false);
    let checked = api.control().preflight(Ask::Zone(zone.view.uuid), transfer).await?;
    Ok(shown(&api, zone.view.name.without_dot(), zone.status.served_serial, &checked))
}

/// POST `/transfers/check` with the body of POST `/secondaryzones`.
pub(super) async fn unknown(
    State(api): State<Arc<Api>>,
    Writer(caller): Writer,
    params: Params,
    Json(request): Json<Request>,
) -> Result<Response, Fault> {
    let transfer = params.flag("transfer")?.unwrap_or(false);
    let (zone, primaries) = request.zone(&api.settings())?;
    let name = zone.without_dot();
    // The zone may be here, with other primaries; of another tenant's nothing is told.
    let here = api.control().board().by_name(&zone).map(|view| view.status());
    let served = here.filter(|here| here.definition.tenant == caller.tenant).and_then(|here| here.served_serial);
    let checked = api.control().preflight(Ask::New { zone, primaries }, transfer).await?;
    Ok(shown(&api, name, served, &checked))
}

fn shown(api: &Api, zone_name: String, served: Option<Serial>, checked: &[Checked]) -> Response {
    let port = api.settings().primary_port;
    let serials: Vec<Serial> = checked.iter().filter_map(|checked| checked.serial).collect();
    let body = Report {
        zone_name,
        served_serial: served,
        status: match (checked.iter().filter(|c| c.failure().is_none()).count(), checked.len()) {
            (good, all) if good == all => "OK",
            (0, _) => "ERROR",
            _ => "PARTIAL",
        },
        serials_agree: serials.windows(2).all(|pair| pair[0] == pair[1]),
        items: checked.iter().map(|checked| Item::new(checked, port)).collect(),
    };
    json(StatusCode::OK, &body)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    zone_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    served_serial: Option<Serial>,
    /// `OK`: every primary would do; `PARTIAL`: some; `ERROR`: none.
    status: &'static str,
    serials_agree: bool,
    items: Vec<Item>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    primary_ip: String,
    status: StatusWord,
    error_code: Code,
    #[serde(skip_serializing_if = "String::is_empty")]
    error_message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial: Option<Serial>,
    /// Seconds (RFC 7314).
    #[serde(skip_serializing_if = "Option::is_none")]
    expire_option: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<&'static str>,
    soa: AttemptItem,
    #[serde(skip_serializing_if = "Option::is_none")]
    axfr: Option<AttemptItem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    contents: Option<Contents>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ixfr: Option<AttemptItem>,
    /// Whether differences would come; absent if that was not tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    gives_ixfr: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Contents {
    records: u64,
    memory_bytes: u64,
    signed: bool,
    refresh: u32,
    retry: u32,
    expire: u32,
    warnings: Vec<String>,
}

impl Item {
    fn new(checked: &Checked, port: u16) -> Item {
        let spelled = checked.primary.spelled(port);
        let item = |attempt| AttemptItem::new(attempt, spelled.clone());
        let decisive = match &checked.axfr {
            Some(dry) if checked.soa.is_success() => &dry.attempt,
            _ => &checked.soa,
        };
        Item {
            status: decisive.code.status(),
            error_code: decisive.code,
            error_message: decisive.message(),
            serial: checked.serial,
            expire_option: checked.expire_secs,
            notes: if checked.udp_blocked { vec!["UDP_BLOCKED"] } else { Vec::new() },
            soa: item(&checked.soa),
            axfr: checked.axfr.as_ref().map(|dry| item(&dry.attempt)),
            contents: checked.axfr.as_ref().and_then(|dry| dry.contents.clone()).map(Contents::new),
            ixfr: checked.ixfr.as_ref().map(item),
            gives_ixfr: checked.ixfr.as_ref().map(|attempt| attempt.gives_differences()),
            primary_ip: spelled,
        }
    }
}

impl Contents {
    fn new(dry: DryContents) -> Contents {
        let DryContents { records, octets, is_signed, timers: (refresh, retry, expire), warnings } = dry;
        Contents { records, memory_bytes: octets, signed: is_signed, refresh, retry, expire, warnings }
    }
}
