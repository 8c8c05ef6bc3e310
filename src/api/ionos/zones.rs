//! `/zones` and `/zones/{id}`: listing, making, changing and removing local zones.

use std::sync::Arc;

use axum::extract::{ConnectInfo, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::collection::{self, Address, List};
use super::metadata::Metadata;
use super::replacing::make_or_replace;
use super::secondary_zones::{DESCRIPTION_CHARS_MAX, FILTERS, Filter, bad_value};
use super::{accepted, json};
use crate::api::auth::Caller;
use crate::api::fault::{ErrorCode, Fault, Message};
use crate::api::names::zone_name;
use crate::api::query::Params;
use crate::api::request::{Id, Json, Managed, Writer};
use crate::api::serve::Ends;
use crate::api::settings::Settings;
use crate::api::{Api, local};
use crate::control::definition::ZoneDefinition;
use crate::control::local::{NewLocal, Step};
use crate::dns::Name;
use crate::local::{AttributesPatch, Edit};
use crate::refresh::ZoneState;

/// GET `/zones`.
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    ends: Option<axum::Extension<ConnectInfo<Ends>>>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let settings = api.settings();
    let page = collection::page(&params)?;
    let (zones, total) = Filter::read(&params, true)?.select(&api, &caller, page).await?;
    let address = Address {
        base: settings.base_url(&headers, ends.map(|e| e.0.0)),
        path: "/zones".to_owned(),
        filters: collection::given(&params, &FILTERS)?,
        page,
    };
    let items = zones.iter().map(|zone| Object::of(&zone.definition, zone.state, &settings)).collect();
    Ok(json(StatusCode::OK, &List::new(&address, items, total)))
}

/// POST `/zones`.
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    Writer(caller): Writer,
    params: Params,
    Json(request): Json<Request>,
) -> Result<Response, Fault> {
    let object = make(&api, &caller, None, &request, &params).await?;
    let location = HeaderValue::from_str(&object.href).expect("the path holds a UUID only");
    let mut response = json(StatusCode::ACCEPTED, &object);
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}

/// GET `/zones/{id}`.
pub(super) async fn read(State(api): State<Arc<Api>>, zone: Managed) -> Response {
    json(StatusCode::OK, &Object::of(&zone.definition, ZoneState::Available, &api.settings()))
}

/// PUT `/zones/{id}`: replaces description and state, or makes the zone under this id.
pub(super) async fn replace(
    State(api): State<Arc<Api>>,
    Id(id): Id,
    Writer(caller): Writer,
    params: Params,
    Json(request): Json<Request>,
) -> Result<Response, Fault> {
    let (api, caller, request, params) = (&*api, &caller, &request, &params);
    let find = || Managed::find(api, caller, id);
    let put = |zone: Option<Managed>| async move {
        match zone {
            Some(zone) => change(api, caller, &zone, request, params).await,
            None => make(api, caller, Some(id), request, params).await,
        }
    };
    Ok(json(StatusCode::ACCEPTED, &make_or_replace(find, put).await?))
}

async fn change(
    api: &Api,
    caller: &Caller,
    zone: &Managed,
    request: &Request,
    params: &Params,
) -> Result<Object, Fault> {
    let settings = api.settings();
    let (name, wanted) = request.check(&settings, Some(zone.zone.apex()))?;
    if name != *zone.zone.apex() {
        let text =
            format!("properties.zoneName: the zone is {} and cannot be renamed.", zone.zone.apex().without_dot());
        return Err(Fault::new(ErrorCode::ZoneRename, text));
    }
    let attributes = AttributesPatch { enabled: Some(wanted.enabled), ..AttributesPatch::default() };
    let edits = vec![Edit::Attributes(attributes)];
    let step = Step::Edit { zone: zone.definition.uuid, description: Some(wanted.description), edits };
    let outcome = local::step(api, caller, step, dry_run(params)?).await?;
    Ok(Object::of(&outcome.definition, ZoneState::Available, &settings))
}

/// DELETE `/zones/{id}`.
pub(super) async fn remove(
    State(api): State<Arc<Api>>,
    zone: Managed,
    Writer(caller): Writer,
    params: Params,
) -> Result<Response, Fault> {
    local::step(&api, &caller, Step::Remove { zone: zone.definition.uuid }, dry_run(&params)?).await?;
    Ok(accepted())
}

/// `?dryRun=true`: checked like the request it is, but nothing is done.
pub(super) fn dry_run(params: &Params) -> Result<bool, Fault> {
    Ok(params.flag("dryRun")?.unwrap_or(false))
}

async fn make(
    api: &Api,
    caller: &Caller,
    uuid: Option<Uuid>,
    request: &Request,
    params: &Params,
) -> Result<Object, Fault> {
    let settings = api.settings();
    let (name, wanted) = request.check(&settings, None)?;
    let new = NewLocal {
        uuid,
        name,
        description: wanted.description,
        attributes: AttributesPatch { enabled: Some(wanted.enabled), ..AttributesPatch::default() },
        edits: Vec::new(),
    };
    let outcome = local::step(api, caller, Step::Create(new), dry_run(params)?).await?;
    Ok(Object::of(&outcome.definition, ZoneState::Available, &settings))
}

/// The body of POST and PUT; unknown members are ignored.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct Request {
    properties: Option<RequestProperties>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an object")]
struct RequestProperties {
    zone_name: Option<String>,
    description: Option<String>,
    enabled: Option<bool>,
}

struct Wanted {
    description: String,
    enabled: bool,
}

impl Request {
    /// Collects everything that is wrong. Without `zoneName` the zone keeps the name it `has`.
    fn check(&self, settings: &Settings, has: Option<&Name>) -> Result<(Name, Wanted), Fault> {
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
        let description = sent.description.clone().unwrap_or_default();
        check_description(&description, &mut messages);
        match (name, Fault::all(messages)) {
            (Ok(name), None) => Ok((name, Wanted { description, enabled: sent.enabled.unwrap_or(true) })),
            (Err(first), None) => Err(Fault::new(first.code, first.text)),
            (Err(first), Some(fault)) => {
                Err(Fault::all(std::iter::once(first).chain(fault.messages().cloned()).collect()).unwrap_or(fault))
            }
            (Ok(_), Some(fault)) => Err(fault),
        }
    }
}

/// Says so if a description is too long.
pub(super) fn check_description(description: &str, messages: &mut Vec<Message>) {
    let chars = description.chars().count();
    if chars > DESCRIPTION_CHARS_MAX {
        let text = format!("properties.description has {chars} characters; at most {DESCRIPTION_CHARS_MAX} are taken.");
        messages.push(bad_value(text));
    }
}

/// A local zone as shown.
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
    enabled: bool,
}

impl Object {
    fn of(definition: &ZoneDefinition, state: ZoneState, settings: &Settings) -> Object {
        let path = format!("zones/{}", definition.uuid);
        let nameservers = settings.nameservers.iter().map(|name| name.without_dot()).collect();
        Object {
            id: definition.uuid,
            r#type: "zone",
            href: format!("/{path}"),
            metadata: Metadata::of(definition, &path, state, nameservers),
            properties: Properties {
                zone_name: definition.name.without_dot(),
                description: definition.description.clone(),
                enabled: definition.local.as_ref().is_none_or(|attributes| attributes.enabled),
            },
        }
    }
}
