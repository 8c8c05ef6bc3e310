//! `/reverserecords`: the PTRs of addresses, wherever they stand among the caller's local reverse zones.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::collection::{self, Address, List};
use super::metadata::Authors;
use super::records::text;
use super::secondary_zones::bad_value;
use super::zones::{check_description, dry_run};
use super::{accepted, json};
use crate::api::auth::Caller;
use crate::api::fault::{ErrorCode, Fault, Message};
use crate::api::names::address;
use crate::api::query::Params;
use crate::api::request::{Id, Json, Managed, Writer};
use crate::api::serve::Ends;
use crate::api::{Api, local};
use crate::control::definition::ZoneDefinition;
use crate::control::local::{PtrDraft, PtrPlace, Step};
use crate::local::{self as rules, Edit, Entry};

const FILTER: &str = "filter.recordIp";
/// Addresses of one filter.
const FILTERS_MAX: usize = 100;

/// GET `/reverserecords`: by address, IPv4 first.
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    ends: Option<axum::Extension<ConnectInfo<Ends>>>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let page = collection::page(&params)?;
    let given: Vec<&str> = params.all(FILTER).collect();
    if given.len() > FILTERS_MAX {
        return Err(Fault::bad_parameter(FILTER, format_args!("may be given at most {FILTERS_MAX} times")));
    }
    let addresses = given.iter().map(|text| address(text)).collect::<Result<BTreeSet<IpAddr>, String>>();
    let addresses = addresses.map_err(|wrong| Fault::bad_parameter(FILTER, wrong))?;
    let index = api.control().board().local_index();
    let (places, total): (Vec<PtrPlace>, usize) = if given.is_empty() {
        let places = index.ptrs_from(&caller.tenant, page.offset).take(page.limit);
        (places.copied().collect(), index.ptr_count(&caller.tenant))
    } else {
        let all: Vec<PtrPlace> =
            addresses.iter().flat_map(|address| index.ptrs_at(&caller.tenant, *address).copied()).collect();
        let total = all.len();
        (all.into_iter().skip(page.offset).take(page.limit).collect(), total)
    };
    let items = places.iter().filter_map(|place| Some(Found::at(&api, &caller, place)?.object())).collect();
    let address = Address {
        base: api.settings().base_url(&headers, ends.map(|e| e.0.0)),
        path: "/reverserecords".to_owned(),
        filters: given.into_iter().map(|value| (FILTER, value)).collect(),
        page,
    };
    Ok(json(StatusCode::OK, &List::new(&address, items, total)))
}

/// POST `/reverserecords`.
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    Writer(caller): Writer,
    params: Params,
    Json(request): Json<Request>,
) -> Result<Response, Fault> {
    let object = put(&api, &caller, None, request, &params).await?;
    let location = HeaderValue::from_str(&object.href).expect("the path holds a UUID only");
    let mut response = json(StatusCode::CREATED, &object);
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}

/// GET `/reverserecords/{id}`.
pub(super) async fn read(found: Found) -> Response {
    json(StatusCode::OK, &found.object())
}

/// PUT `/reverserecords/{id}`: replaces all of it, or makes it under this id.
pub(super) async fn replace(
    State(api): State<Arc<Api>>,
    Id(id): Id,
    Writer(caller): Writer,
    params: Params,
    Json(request): Json<Request>,
) -> Result<Response, Fault> {
    Ok(json(StatusCode::OK, &put(&api, &caller, Some(id), request, &params).await?))
}

/// DELETE `/reverserecords/{id}`.
pub(super) async fn remove(
    State(api): State<Arc<Api>>,
    found: Found,
    Writer(caller): Writer,
    params: Params,
) -> Result<Response, Fault> {
    let zone = found.zone.definition.uuid;
    let step = Step::Edit { zone, description: None, edits: vec![Edit::Delete(found.entry.id)] };
    local::step(&api, &caller, step, dry_run(&params)?).await?;
    Ok(accepted())
}

async fn put(api: &Api, caller: &Caller, id: Option<Uuid>, request: Request, params: &Params) -> Result<Object, Fault> {
    let ptr = request.draft(id)?;
    let address = ptr.address;
    let outcome = local::step(api, caller, Step::PutPtr(ptr), dry_run(params)?).await?;
    let entry = outcome.entries.first().cloned().flatten();
    let entry = entry.ok_or_else(|| Fault::new(ErrorCode::Internal, "The change has no outcome."))?;
    Ok(Object::of(&entry, address, &outcome.definition))
}

/// A reverse record of the caller.
pub(super) struct Found {
    zone: Managed,
    entry: Arc<Entry>,
    address: IpAddr,
}

impl Found {
    fn find(api: &Api, caller: &Caller, id: Uuid) -> Option<Found> {
        let board = api.control().board();
        let zone = Managed::of(board.by_number(board.local_index().zone_of(id)?)?, caller)?;
        let entry = zone.zone.by_id(id)?.clone();
        let address = zone.zone.address_of(&entry)?;
        Some(Found { zone, entry, address })
    }

    fn at(api: &Api, caller: &Caller, place: &PtrPlace) -> Option<Found> {
        let zone = Managed::of(api.control().board().by_number(place.zone)?, caller)?;
        let entry = zone.zone.by_id(place.id)?.clone();
        Some(Found { zone, entry, address: place.address })
    }

    fn object(&self) -> Object {
        Object::of(&self.entry, self.address, &self.zone.definition)
    }
}

impl axum::extract::FromRequestParts<Arc<Api>> for Found {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut axum::http::request::Parts, api: &Arc<Api>) -> Result<Found, Fault> {
        let Id(id) = Id::from_request_parts(parts, api).await?;
        let caller = Caller::from_request_parts(parts, api).await?;
        let missing = || Fault::new(ErrorCode::ReverseRecordNotFound, "There is no reverse record with this id.");
        Found::find(api, &caller, id).ok_or_else(missing)
    }
}

/// The body of POST and PUT; unknown members are ignored.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct Request {
    properties: Option<RequestProperties>,
}

#[derive(Debug, Deserialize)]
#[serde(expecting = "an object")]
struct RequestProperties {
    name: Option<String>,
    ip: Option<String>,
    description: Option<String>,
}

impl Request {
    /// Collects everything that is wrong.
    fn draft(self, id: Option<Uuid>) -> Result<PtrDraft, Fault> {
        let Some(sent) = self.properties else {
            return Err(Fault::new(ErrorCode::MissingValue, "properties is missing."));
        };
        let mut messages = Vec::new();
        let mut missing = |member: &str| {
            let text = format!("properties.{member} is missing.").into();
            messages.push(Message { code: ErrorCode::MissingValue, text });
        };
        let (name, ip) = (sent.name, sent.ip);
        if name.is_none() {
            missing("name");
        }
        if ip.is_none() {
            missing("ip");
        }
        let host = name
            .map(|text| rules::content::host(&text))
            .and_then(|host| host.map_err(|error| messages.push(bad_value(format!("properties.name: {error}.")))).ok());
        let address = ip.map(|text| address(&text)).and_then(|address| {
            address.map_err(|wrong| messages.push(bad_value(format!("properties.ip {wrong}.")))).ok()
        });
        let description = sent.description.unwrap_or_default();
        check_description(&description, &mut messages);
        match (host, address, Fault::all(messages)) {
            (Some(host), Some(address), None) => {
                Ok(PtrDraft { id, address, host: host.into(), ttl: None, text: description, link: None })
            }
            (_, _, Some(fault)) => Err(fault),
            _ => Err(Fault::new(ErrorCode::Internal, "The body was refused without a reason.")),
        }
    }
}

/// A reverse record as shown.
#[derive(Serialize)]
struct Object {
    id: Uuid,
    r#type: &'static str,
    href: String,
    metadata: Authors,
    properties: Properties,
}

#[derive(Serialize)]
struct Properties {
    name: String,
    description: String,
    ip: IpAddr,
}

impl Object {
    fn of(entry: &Entry, ip: IpAddr, definition: &ZoneDefinition) -> Object {
        let path = format!("reverserecords/{}", entry.id);
        Object {
            id: entry.id,
            r#type: "reverserecord",
            href: format!("/{path}"),
            metadata: Authors::of(definition, &path, (entry.created, entry.modified)),
            properties: Properties { name: text(&entry.rdata), description: entry.text.clone(), ip },
        }
    }
}
