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
use super::primaries::{self, Entry};
use super::{accepted, json};
use crate::api::Api;
use crate::api::auth::Caller;
use crate::api::fault::{ErrorCode, Fault, Message};
use crate::api::names::zone_name;
use crate::api::query::{Page, Params};
use crate::api::request::{Id, Json, Writer, Zone};
use crate::api::serve::Ends;
use crate::api::settings::Settings;
use crate::control::definition::Primary;
use crate::control::handle::{EditError, NewSecondary, SecondaryChange};
use crate::control::status::{ZoneStatus, ZoneView};
use crate::dns::Name;
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
    let (zones, total) = filter.select(&api, &caller, page);
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
    let object = make(&api, caller, None, request).await?;
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
    zone: Option<Zone>,
    Writer(caller): Writer,
    Json(request): Json<Request>,
) -> Result<Response, Fault> {
    let Some(zone) = zone else {
        return Ok(json(StatusCode::ACCEPTED, &make(&api, caller, Some(id), request).await?));
    };
    let settings = api.settings();
    let (name, properties) = request.check(&settings, Some(&zone.view.name))?;
    if name != zone.view.name {
        let text = format!("properties.zoneName: the zone is {} and cannot be renamed.", zone.view.name.without_dot());
        return Err(Fault::new(ErrorCode::ZoneRename, text));
    }
    let change = SecondaryChange {
        user: caller.user.to_string(),
        description: properties.description,
        primaries: properties.primaries,
    };
    let changed = api.control().change(id, change).await?;
    Ok(json(StatusCode::ACCEPTED, &Object::of(&changed.status(), &settings)))
}

/// DELETE `/secondaryzones/{id}`.
pub(super) async fn remove(State(api): State<Arc<Api>>, zone: Zone, Writer(_): Writer) -> Result<Response, Fault> {
    api.control().remove(zone.view.uuid).await?;
    Ok(accepted())
}

async fn make(api: &Api, caller: Caller, uuid: Option<Uuid>, request: Request) -> Result<Object, Fault> {
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
    let zone = api.control().create(new).await?;
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

    /// The zones on the page and the number of all that fit: the exact match first, then by name.
    pub(super) fn select(&self, api: &Api, caller: &Caller, page: Page) -> (Vec<Arc<ZoneStatus>>, usize) {
        let board = api.control().board();
        if matches!(self.state, Wanted::Any) && self.name_part.is_empty() {
            // The board counts each tenant's zones, so the ones behind the page need no look: O(offset + limit).
            let tally = board.tally(&caller.tenant);
            let total = if self.is_local { tally.local_zones } else { tally.zones } as usize;
            let until = page.offset.saturating_add(page.limit);
            let zones = board.select_after(None, until, |zone| {
                let definition = &zone.status().definition;
                *definition.tenant == *caller.tenant && definition.local.is_some() == self.is_local
            });
            return (zones.iter().skip(page.offset).map(|zone| zone.status()).collect(), total);
        }
        let (mut zones, mut total) = (Vec::new(), 0);
        let mut count = |status: Arc<ZoneStatus>| {
            if page.holds(total) {
                zones.push(status);
            }
            total += 1;
        };
        let mut text = String::new();
        let mut fitting = |zone: &ZoneView| {
            let status = zone.status();
            let fits = *status.definition.tenant == *caller.tenant
                && status.definition.local.is_some() == self.is_local
                && self.state.fits(status.state)
                && self.fits_name(&zone.name, &mut text);
            fits.then_some(status)
        };
        if let Some(status) = self.exact.as_ref().and_then(|name| fitting(&*board.by_name(name)?)) {
            count(status);
        }
        board.select(|zone| {
            if self.exact.as_ref() != Some(&zone.name)
                && let Some(status) = fitting(zone)
            {
                count(status);
            }
            false
        });
        (zones, total)
    }

    fn fits_name(&self, name: &Name, text: &mut String) -> bool {
        if self.name_part.is_empty() {
            return true;
        }
        text.clear();
        let _ = write!(text, "{name}"); // writing into a String cannot fail
        text.pop(); // the final dot
        text.contains(&self.name_part)
    }
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
    fn check(self, settings: &Settings, has: Option<&Name>) -> Result<(Name, Checked), Fault> {
        let Some(sent) = self.properties else {
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
        let description = sent.description.unwrap_or_default();
        let chars = description.chars().count();
        if chars > DESCRIPTION_CHARS_MAX {
            let text =
                format!("properties.description has {chars} characters; at most {DESCRIPTION_CHARS_MAX} are taken.");
            messages.push(bad_value(text));
        }
        let (ips, entries) = (sent.primary_ips.as_deref(), sent.primaries.as_deref());
        let primaries = primaries::parse(ips, entries, settings.primary_port);
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
            EditError::Configured { .. } => ErrorCode::ZoneConfigured,
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
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| format!("{}{}.", first.to_uppercase(), chars.as_str()))
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
