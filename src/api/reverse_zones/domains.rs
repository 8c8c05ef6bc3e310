//! `/domains`: zones of every kind, local and transferred.

use std::fmt::Write;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, HeaderValue};
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::body::Body;
use super::refused::{Refused, Wrong, bad, detail, unprocessable};
use super::zones::{family, make, new_zone, zone_of};
use super::{Domain, Paging, created, gone, ids, ok};
use crate::api::auth::Caller;
use crate::api::fault::{ErrorCode, Fault};
use crate::api::ionos::primaries::{self, Meaning};
use crate::api::ionos::zonefile;
use crate::api::members::Members;
use crate::api::names::zone_name;
use crate::api::query::Params;
use crate::api::request::{Json, Writer};
use crate::api::selection::{self, Searched};
use crate::api::{Api, local, secondary, zone_file};
use crate::control::definition::Primary;
use crate::control::handle::{NewSecondary, SecondaryChange};
use crate::control::local::Step;
use crate::control::roster::{Kind, Named};
use crate::control::status::ZoneView;
use crate::local::shelf::Shelf;
use crate::local::{AttributesPatch, Edit};
use crate::refresh::ZoneState;
use crate::reverse;

/// Characters of a description.
const DESCRIPTION_CHARS_MAX: usize = 1000;

/// GET `/domains`, by name.
pub(super) async fn list(State(api): State<Arc<Api>>, caller: Caller, params: Params) -> Result<Response, Refused> {
    let paging = Paging::read(&params)?;
    let search = params.single("search")?.unwrap_or_default().to_lowercase();
    let status = one_of(&params, "status", &["active", "inactive", "pending_validation", "deleted"])?;
    let kind = one_of(&params, "domain_type", &["primary", "secondary", "reverse_ipv4", "reverse_ipv6"])?;
    let (status, kind) = (status.map(str::to_owned), kind.map(str::to_owned));
    let signed = params.flag("dnssec_enabled")?.unwrap_or(false);
    let board = api.control().board();
    let edition = board.edition(&caller.tenant).contents;
    let zones = if signed { Shelf::default() } else { board.zones(&caller.tenant, Kind::Any) };
    if search.is_empty() && status.is_none() && kind.is_none() {
        return Ok(ok(&paging.ranks(&zones, &caller)));
    }
    let (looked_at, asker) = (zones.clone(), caller.clone());
    let what = format!("domains {search:?} {status:?} {kind:?}");
    let found = selection::find(&api, Searched::Zones(zones.clone(), edition), what, move || {
        let fits = |domain: &Domain| {
            domain.view.name.without_dot().contains(&search)
                && status.as_ref().is_none_or(|status| status == domain.state())
                && kind.as_ref().is_none_or(|kind| kind == domain.kind())
        };
        let fits = |zone: &Named| Domain::of(zone.0.clone(), &asker).is_some_and(|domain| fits(&domain));
        looked_at.iter().enumerate().filter(|(_, zone)| fits(zone)).map(|(rank, _)| rank as u32).collect()
    });
    Ok(ok(&paging.positions(&zones, &found.await?, &caller)))
}

/// A parameter that is one of these words, if it is given.
fn one_of<'a>(params: &'a Params, name: &str, words: &[&str]) -> Result<Option<&'a str>, Refused> {
    match params.single(name)? {
        Some(given) if !words.contains(&given) => {
            let text = format!("value must be one of {}", words.join(", "));
            Err(unprocessable(vec![Wrong::new(&["query", name], text, "type_error.enum")]))
        }
        given => Ok(given),
    }
}

/// POST `/domains`.
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    Writer(caller): Writer,
    Json(Members(sent)): Json<Members>,
) -> Result<Response, Refused> {
    let mut body = Body::new(&sent);
    let kind = body.demand("domain_type");
    let (name, cidr) = (body.text("name"), body.text("cidr"));
    let is_reverse = matches!(kind, "reverse_ipv4" | "reverse_ipv6");
    if name.is_none() && !(is_reverse && cidr.is_some()) {
        body.missing("name");
    }
    let (ttl, text) = (body.number("default_ttl"), body.text("description").unwrap_or_default());
    let settings = body.object("settings");
    body.done()?;
    if sent.get("template_id").is_some_and(|id| !id.is_null()) {
        return Err(bad("template_id: there are no templates here"));
    }
    let allow_tld = api.settings().allow_tld;
    let named = name.map(|name| zone_name(name, allow_tld)).transpose().map_err(|e| bad(format!("name: {e}")))?;
    let of_cidr = cidr.map(zone_of).transpose()?;
    let name = match (named, of_cidr) {
        (Some(name), Some((_, other))) if name != other => {
            return Err(bad(format!("name: the zone of this cidr is {}", other.without_dot())));
        }
        (Some(name), _) | (None, Some((_, name))) => name,
        (None, None) => return Err(bad("name is missing")),
    };
    match kind {
        "primary" => make(&api, &caller, new_zone(name, text, ttl)?).await,
        "reverse_ipv4" | "reverse_ipv6" => {
            if reverse::prefix_of(&name).map(family) != Some(kind) {
                return Err(bad(format!("name: {} is no zone of type {kind}", name.without_dot())));
            }
            make(&api, &caller, new_zone(name, text, ttl)?).await
        }
        "secondary" => {
            let settings_now = api.settings();
            let primaries = read_primaries(settings, Meaning::of_new(&settings_now))?;
            let new = NewSecondary {
                uuid: None,
                name,
                tenant: caller.tenant.to_string(),
                user: caller.user.to_string(),
                description: description(text)?,
                primaries,
            };
            let view = secondary::create(&api, new).await?;
            let domain = Domain::of(view, &caller).ok_or_else(|| Refused::from(Fault::zone_not_found()))?;
            Ok(created(&domain.detail(&api.settings())))
        }
        _ => Err(bad("domain_type must be primary, secondary, reverse_ipv4 or reverse_ipv6")),
    }
}

/// GET `/domains/{domain}`.
pub(super) async fn read(State(api): State<Arc<Api>>, domain: Domain) -> Response {
    ok(&domain.detail(&api.settings()))
}

/// PATCH `/domains/{domain}`: description, default TTL, primaries.
pub(super) async fn change(
    State(api): State<Arc<Api>>,
    domain: Domain,
    Writer(caller): Writer,
    Json(Members(sent)): Json<Members>,
) -> Result<Response, Refused> {
    let mut body = Body::new(&sent);
    body.only(&["description", "default_ttl", "settings"]);
    let (text, ttl, settings) = (body.text("description"), body.number("default_ttl"), body.object("settings"));
    body.done()?;
    let text = text.map(description).transpose()?;
    let uuid = domain.view.uuid;
    let view = if domain.local.is_some() {
        if settings.is_some_and(|settings| settings.contains_key("primaries")) {
            return Err(bad("settings.primaries: the zone is edited here and has no primaries"));
        }
        let attributes = AttributesPatch { default_ttl: default_ttl(ttl)?, ..AttributesPatch::default() };
        let step = Step::Edit { zone: uuid, description: text, edits: vec![Edit::Attributes(attributes)] };
        let outcome = local::step(&api, &caller, step, false).await?;
        ZoneView::apart(outcome.definition, ZoneState::Available, Some(outcome.zone))
    } else {
        if ttl.is_some() {
            return Err(domain.managed().err().unwrap_or_else(|| bad("default_ttl cannot be changed")));
        }
        let settings_now = api.settings();
        let meaning = Meaning { by_ip: false, ..Meaning::of_new(&settings_now) };
        let primaries = settings.map(|settings| read_primaries(Some(settings), meaning)).transpose()?;
        let change = SecondaryChange { user: caller.user.to_string(), description: text, primaries };
        secondary::change(&api, uuid, change).await?
    };
    let now = Domain::of(view, &caller).ok_or_else(|| Refused::from(Fault::zone_not_found()))?;
    Ok(ok(&now.detail(&api.settings())))
}

/// DELETE `/domains/{domain}`.
pub(super) async fn remove(
    State(api): State<Arc<Api>>,
    domain: Domain,
    Writer(caller): Writer,
) -> Result<Response, Refused> {
    let uuid = domain.view.uuid;
    if domain.local.is_some() {
        local::step(&api, &caller, Step::Remove { zone: uuid }, false).await?;
    } else {
        secondary::remove(&api, uuid).await?;
    }
    Ok(gone())
}

/// GET `/domains/{domain}/export`.
pub(super) async fn export(domain: Domain) -> Result<Response, Refused> {
    let snapshot = domain.view.snapshot().ok_or_else(without_data)?;
    let written = tokio::task::spawn_blocking(move || zone_file::text(&snapshot, usize::MAX));
    let text = written.await.map_err(|_| Fault::new(ErrorCode::Internal, "The zone could not be written"))?;
    Ok(ok(&json!({
        "domain_id": ids::text('d', domain.view.uuid),
        "domain_name": domain.view.name.without_dot(),
        "format": "bind",
        "zone_file": text,
    })))
}

/// GET `/domains/{domain}/export/download`.
pub(super) async fn download(domain: Domain) -> Result<Response, Refused> {
    let mut response = zonefile::answer(domain.view.snapshot()).map_err(|_| without_data())?;
    let mut field = String::from("attachment; filename=\"");
    // A zone name may hold a slash (RFC 2317), a file name may not.
    let _ = write!(field, "{}.zone\"", domain.view.name.without_dot().replace('/', "_"));
    if let Ok(field) = HeaderValue::from_str(&field) {
        response.headers_mut().insert(CONTENT_DISPOSITION, field);
    }
    Ok(response)
}

fn without_data() -> Refused {
    detail(StatusCode::NOT_FOUND, "No primary has given this zone yet")
}

/// POST `/domains/{domain}/restore` and `/import/text`.
pub(super) async fn not_built(_: Domain, _: Writer) -> Refused {
    detail(StatusCode::NOT_IMPLEMENTED, "This version does not do this")
}

/// GET `/domains/{domain}/validation`: domains need none.
pub(super) async fn validation(_: Domain) -> Response {
    ok(&Value::Null)
}

/// POST `/domains/{domain}/validation`.
pub(super) async fn validate(_: Domain, _: Writer) -> Refused {
    detail(StatusCode::CONFLICT, "Domains are active at once and need no validation here")
}

/// DELETE `/domains/{domain}/validation`, POST `.../validation/check`.
pub(super) async fn no_validation(_: Domain, _: Writer) -> Refused {
    detail(StatusCode::NOT_FOUND, "Domains need no validation here")
}

/// `settings.primaries`, spelled like `primaryIps` of the IONOS dialect.
fn read_primaries(settings: Option<&Map<String, Value>>, meaning: Meaning<'_>) -> Result<Vec<Primary>, Refused> {
    let wrong =
        |text: &str, kind: &str| unprocessable(vec![Wrong::new(&["body", "settings", "primaries"], text, kind)]);
    let list = settings.and_then(|settings| settings.get("primaries"));
    let list = list.ok_or_else(|| wrong("field required", "value_error.missing"))?;
    let texts: Option<Vec<String>> =
        list.as_array().and_then(|list| list.iter().map(|item| item.as_str().map(str::to_owned)).collect());
    let texts = texts.ok_or_else(|| wrong("value is not a list of strings", "type_error.list"))?;
    primaries::parse(Some(&texts), None, meaning).map_err(|messages| {
        let text: Vec<&str> = messages.iter().map(|message| &*message.text).collect();
        bad(text.join(" ").replace("properties.primaryIps", "settings.primaries"))
    })
}

/// 0..2147483647 (RFC 2181 §8).
pub(super) fn ttl(name: &str, given: Option<i64>) -> Result<Option<u32>, String> {
    let read = |ttl: i64| u32::try_from(ttl).ok().filter(|ttl| *ttl <= i32::MAX as u32);
    given.map(|given| read(given).ok_or(format!("{name} must be 0..2147483647"))).transpose()
}

pub(super) fn default_ttl(given: Option<i64>) -> Result<Option<u32>, Refused> {
    ttl("default_ttl", given).map_err(bad)
}

pub(super) fn description(text: &str) -> Result<String, Refused> {
    match text.chars().count() {
        0..=DESCRIPTION_CHARS_MAX => Ok(text.to_owned()),
        count => Err(bad(format!("description has {count} characters; at most {DESCRIPTION_CHARS_MAX} are taken"))),
    }
}
