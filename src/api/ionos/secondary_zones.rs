//! `/secondaryzones` and `/secondaryzones/{id}`: listing, making, changing and removing secondary zones.

use std::fmt::Write;
use std::sync::Arc;

use axum::extract::{ConnectInfo, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::collection::{self, Address, List};
use super::metadata::Metadata;
use super::primaries::{self, Entry, Meaning};
use super::replacing::make_or_replace;
use super::{accepted, json};
use crate::api::auth::Caller;
use crate::api::fault::{ErrorCode, Fault, Message, capitalized};
use crate::api::names::zone_name;
use crate::api::query::{Page, Params};
use crate::api::request::{Id, Json, Writer, Zone};
use crate::api::selection::{self, Searched};
use crate::api::serve::Ends;
use crate::api::settings::Settings;
use crate::api::{Api, secondary};
use crate::control::definition::Primary;
use crate::control::handle::{EditError, NewSecondary, SecondaryChange};
use crate::control::roster::{Kind, Named};
use crate::control::status::ZoneStatus;
use crate::dns::Name;
use crate::local::shelf::Shelf;
use crate::refresh::ZoneState;

/// Characters of a description.
pub(super) const DESCRIPTION_CHARS_MAX: usize = 1000;

pub(super) const FILTERS: [&str; 2] = ["filter.state", "filter.zoneName"];

/// GET `/secondaryzones`.
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    ends: Option<axum::Extension<ConnectInfo<Ends>>>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let settings = api.settings();
    let page = collection::page(&params)?;
    let filter = Filter::read(&params, false)?;
    let (zones, total) = filter.select(&api, &caller, page).await?;
    let address = Address {
        base: settings.base_url(&headers, ends.map(|e| e.0.0)),
        path: "/secondaryzones".to_owned(),
        filters: collection::given(&params, &FILTERS)?,
        page,
    };
    let items = zones.iter().map(|zone| Object::of(zone, &settings)).collect();
    let body = List::new(&address, items, total);
    Ok(json(StatusCode::OK, &body))
}

/// POST `/secondaryzones`.
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    Writer(caller): Writer,
    Json(request): Json<Request>,
) -> Result<Response, Fault> {
    let object = make(&api, &caller, None, &request).await?;
    let location = HeaderValue::from_str(&object.href).expect("the path holds a UUID only");
    let mut response = json(StatusCode::ACCEPTED, &object);
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}

/// GET `/secondaryzones/{id}`.
pub(super) async fn read(State(api): State<Arc<Api>>, zone: Zone) -> Response {
    json(StatusCode::OK, &Object::of(&zone.status, &api.settings()))
}

/// PUT `/secondaryzones/{id}`: replaces the zone, or makes it under this id.
pub(super) async fn replace(
    State(api): State<Arc<Api>>,
    Id(id): Id,
    Writer(caller): Writer,
    Json(request): Json<Request>,
) -> Result<Response, Fault> {
    let (api, caller, request) = (&*api, &caller, &request);
    let find = || Zone::find(api, caller, id);
    let put = |zone: Option<Zone>| async move {
        match zone {
            Some(zone) => change(api, caller, &zone, request).await,
            None => make(api, caller, Some(id), request).await,
        }
    };
    Ok(json(StatusCode::ACCEPTED, &make_or_replace(find, put).await?))
}

async fn change(api: &Api, caller: &Caller, zone: &Zone, request: &Request) -> Result<Object, Fault> {
    let settings = api.settings();
    let (name, properties) = request.check(&settings, Some(&zone.view.name))?;
    if name != zone.view.name {
        let text = format!("properties.zoneName: the zone is {} and cannot be renamed.", zone.view.name.without_dot());
        return Err(Fault::new(ErrorCode::ZoneRename, text));
    }
    let change = SecondaryChange {
        user: caller.user.to_string(),
        description: Some(properties.description),
        primaries: Some(properties.primaries),
    };
    let changed = secondary::change(api, zone.view.uuid, change).await?;
    Ok(Object::of(&changed.status(), &settings))
}

/// DELETE `/secondaryzones/{id}`.
pub(super) async fn remove(State(api): State<Arc<Api>>, zone: Zone, Writer(_): Writer) -> Result<Response, Fault> {
    secondary::remove(&api, zone.view.uuid).await?;
    Ok(accepted())
}

async fn make(api: &Api, caller: &Caller, uuid: Option<Uuid>, request: &Request) -> Result<Object, Fault> {
    let settings = api.settings();
    let (name, properties) = request.check(&settings, None)?;
    let new = NewSecondary {
        uuid,
        name,
        tenant: caller.tenant.to_string(),
        user: caller.user.to_string(),
        description: properties.description,
        primaries: properties.primaries,
    };
    let zone = secondary::create(api, new).await?;
    Ok(Object::of(&zone.status(), &settings))
}

/// Which zones a list holds.
pub(super) struct Filter {
    /// Local zones, or secondary ones.
    is_local: bool,
    state: Wanted,
    /// In lower case and without a final dot; empty: every name.
    name_part: String,
    /// The name that is listed first, if it is one.
    exact: Option<Name>,
}

#[derive(Clone, Debug)]
pub(super) enum Wanted {
    Any,
    Is(ZoneState),
    /// Zones are gone before a deletion is answered, so none is ever being destroyed.
    Nothing,
}

impl Wanted {
    /// `filter.state`.
    pub(super) fn read(params: &Params) -> Result<Wanted, Fault> {
        Ok(match params.single("filter.state")? {
            None => Wanted::Any,
            Some("AVAILABLE") => Wanted::Is(ZoneState::Available),
            Some("PROVISIONING") => Wanted::Is(ZoneState::Provisioning),
            Some("FAILED") => Wanted::Is(ZoneState::Failed),
            Some("DESTROYING") => Wanted::Nothing,
            Some(_) => {
                let wrong = "must be AVAILABLE, PROVISIONING, DESTROYING or FAILED";
                return Err(Fault::bad_parameter("filter.state", wrong));
            }
        })
    }

    pub(super) fn fits(&self, state: ZoneState) -> bool {
        match self {
            Wanted::Any => true,
            Wanted::Is(wanted) => *wanted == state,
            Wanted::Nothing => false,
        }
    }
}

impl Filter {
    pub(super) fn read(params: &Params, is_local: bool) -> Result<Filter, Fault> {
        let state = Wanted::read(params)?;
        let text = params.single("filter.zoneName")?.unwrap_or("");
        let name_part = text.strip_suffix('.').unwrap_or(text).to_lowercase();
        let exact = if name_part.is_empty() { None } else { name_part.parse().ok() };
        Ok(Filter { is_local, state, name_part, exact })
    }

    /// The zones on the page and the number of all that fit: the exact match first, then by name. The page costs the page;
    /// the first page of a part of a name costs a look at all names once.
    pub(super) async fn select(
        &self,
        api: &Arc<Api>,
        caller: &Caller,
        page: Page,
    ) -> Result<(Vec<Arc<ZoneStatus>>, usize), Fault> {
        let board = api.control().board();
        let zones = match self.state {
            Wanted::Any if self.is_local => board.zones(&caller.tenant, Kind::Local),
            Wanted::Any => board.zones(&caller.tenant, Kind::Secondary),
            Wanted::Is(state) => board.zones_in_state(&caller.tenant, self.is_local, state),
            Wanted::Nothing => Shelf::default(),
        };
        if self.name_part.is_empty() {
            let shown = zones.from(page.offset).take(page.limit).map(|zone| zone.0.status());
            return Ok((shown.collect(), zones.len()));
        }
        let (looked_at, part) = (zones.clone(), self.name_part.clone());
        // Names do not change under one version of the list.
        let searched = Searched::Zones(zones.clone(), 0);
        let found =
            selection::find(api, searched, format!("name {part}"), move || with_name(&looked_at, &part)).await?;
        let exact = self.exact.as_ref().filter(|name| zones.find(|zone| zone.0.name.cmp(name)).is_some());
        let exact = exact.map(|name| zones.rank(|zone| zone.0.name.cmp(name)) as u32);
        let first = exact.and_then(|exact| found.binary_search(&exact).ok());
        let exact_first = |index: usize| match first {
            Some(at) if index == 0 => found[at],
            Some(at) if index <= at => found[index - 1],
            _ => found[index],
        };
        let on_page = page.offset.min(found.len())..page.offset.saturating_add(page.limit).min(found.len());
        let shown = on_page.filter_map(|index| Some(zones.from(exact_first(index) as usize).next()?.0.status()));
        Ok((shown.collect(), found.len()))
    }
}

/// The ranks of the zones with this in their names.
fn with_name(zones: &Shelf<Named>, part: &str) -> Vec<u32> {
    let mut text = String::new();
    let mut fits = |name: &Name| {
        text.clear();
        let _ = write!(text, "{name}"); // writing into a String cannot fail
        text.pop(); // the final dot
        text.contains(part)
    };
    zones.iter().enumerate().filter(|(_, zone)| fits(&zone.0.name)).map(|(rank, _)| rank as u32).collect()
}

/// The body of POST and PUT; unknown members are ignored.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object")]
pub(in crate::api) struct Request {
    properties: Option<RequestProperties>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an object")]
struct RequestProperties {
    zone_name: Option<String>,
    description: Option<String>,
    primary_ips: Option<Vec<String>>,
    primaries: Option<Vec<Entry>>,
}

/// What a body sets once it has been checked.
struct Checked {
    description: String,
    primaries: Vec<Primary>,
}

impl Request {
    /// The name and the primaries of a zone that may be added one day.
    pub(in crate::api) fn zone(self, settings: &Settings) -> Result<(Name, Vec<Primary>), Fault> {
        self.check(settings, None).map(|(name, checked)| (name, checked.primaries))
    }

    /// Collects everything that is wrong. Without `zoneName` the zone keeps the name it `has`.
    fn check(&self, settings: &Settings, has: Option<&Name>) -> Result<(Name, Checked), Fault> {
        let Some(sent) = &self.properties else {
            return Err(Fault::new(ErrorCode::MissingValue, "properties is missing."));
        };
        let mut messages = Vec::new();
        let name = match (&sent.zone_name, has) {
            (Some(text), _) => zone_name(text, settings.allow_tld || has.is_some())
                .map_err(|error| bad_value(format!("properties.zoneName: {error}."))),
            (None, Some(name)) => Ok(name.clone()),
            (None, None) => {
                Err(Message { code: ErrorCode::MissingValue, text: "properties.zoneName is missing.".into() })
            }
        };
        let name = name.map_err(|message| messages.push(message)).ok();
        let description = sent.description.clone().unwrap_or_default();
        let chars = description.chars().count();
        if chars > DESCRIPTION_CHARS_MAX {
            let text =
                format!("properties.description has {chars} characters; at most {DESCRIPTION_CHARS_MAX} are taken.");
            messages.push(bad_value(text));
        }
        let (ips, entries) = (sent.primary_ips.as_deref(), sent.primaries.as_deref());
        let meaning = Meaning { by_ip: has.is_none(), ..Meaning::of_new(settings) };
        let primaries = primaries::parse(ips, entries, meaning);
        let primaries = primaries.map_err(|more| messages.extend(more)).ok();
        match (name, primaries, Fault::all(messages)) {
            (Some(name), Some(primaries), None) => Ok((name, Checked { description, primaries })),
            (_, _, Some(fault)) => Err(fault),
            (_, _, None) => Err(Fault::new(ErrorCode::Internal, "The body was refused without a reason.")),
        }
    }
}

pub(super) fn bad_value(text: String) -> Message {
    Message { code: ErrorCode::BadValue, text: text.into() }
}

impl From<EditError> for Fault {
    fn from(error: EditError) -> Fault {
        let code = match &error {
            EditError::NotFound => return Fault::zone_not_found(),
            EditError::NameTaken(_) | EditError::Overlaps { .. } => ErrorCode::ZoneExists,
            EditError::IdTaken => ErrorCode::IdTaken,
            EditError::Configured { .. } | EditError::Member { .. } | EditError::MadeHere => ErrorCode::ZoneConfigured,
            EditError::Quota(_) => ErrorCode::QuotaExceeded,
            EditError::PrimaryNotAllowed(_) | EditError::UnknownKey(_) => ErrorCode::BadValue,
            EditError::NoSuchHeld => ErrorCode::VersionNotFound,
            EditError::NotKept { .. } => ErrorCode::VersionNotFound,
            EditError::HeldLost(_) | EditError::Superseded | EditError::Pinned | EditError::NotPinned => {
                ErrorCode::VersionConflict
            }
            EditError::Storage(_) => ErrorCode::Storage,
            EditError::ShuttingDown => ErrorCode::ShuttingDown,
        };
        Fault::new(code, sentence(&error.to_string()))
    }
}

/// `text` with a capital and a full stop.
pub(super) fn sentence(text: &str) -> String {
    format!("{}.", capitalized(text))
}

/// A secondary zone as shown.
#[derive(Serialize)]
struct Object {
    id: Uuid,
    r#type: &'static str,
    href: String,
    metadata: Metadata,
    properties: Properties,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Properties {
    zone_name: String,
    description: String,
    primary_ips: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    primaries: Option<Vec<Entry>>,
}

impl Object {
    fn of(status: &ZoneStatus, settings: &Settings) -> Object {
        let definition = &*status.definition;
        let path = format!("secondaryzones/{}", definition.uuid);
        Object {
            id: definition.uuid,
            r#type: "zone",
            href: format!("/{path}"),
            metadata: Metadata::of(definition, &path, status.state, settings.secondary_nameservers.clone()),
            properties: Properties {
                zone_name: definition.name.without_dot(),
                description: definition.description.clone(),
                primary_ips: primaries::spelled(&definition.primaries, settings.primary_port),
                primaries: primaries::entries(&definition.primaries),
            },
        }
    }
}
