//! `/records`, `/zones/{id}/records` and `/zones/{id}/records/{record}`: the records of local zones.
//!
//! Typed clients of this dialect refuse a whole list for one record of a type they do not know, or a TTL out of their
//! bounds; what is done about it stands in [`super::records`]. A page costs what stands on it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{ConnectInfo, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::collection::{self, Address, List};
use super::records::{KNOWN, TTL_SHOWN, Type, Types, text};
use super::secondary_zones::{Wanted, bad_value};
use super::zones::dry_run;
use super::{Date, accepted, json};
use crate::api::auth::Caller;
use crate::api::content::content;
use crate::api::fault::{ErrorCode, Fault, Message};
use crate::api::query::{Page, Params};
use crate::api::request::{Json, Managed, RecordId, Writer};
use crate::api::selection::{self, Searched};
use crate::api::serve::Ends;
use crate::api::{Api, local};
use crate::control::local::Step;
use crate::control::roster::{Kind, Named};
use crate::dns::{Name, RecordType};
use crate::local::{self as rules, Draft, Edit, Entry, LocalZone, Unsaid};
use crate::refresh::ZoneState;

const FILTERS: [&str; 4] = ["filter.zoneId", "filter.name", "filter.state", "filter.type"];

/// What this dialect does not show.
const NOT_SHOWN: Unsaid = Unsaid { ttl: false, text: true, link: true };

/// GET `/records`: of all the caller's local zones, by zone name.
pub(super) async fn list_all(
    State(api): State<Arc<Api>>,
    caller: Caller,
    ends: Option<Extension<ConnectInfo<Ends>>>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let zones = match params.single("filter.zoneId")? {
        None => Zones::All(caller),
        Some(text) => {
            let id = Uuid::try_parse(text).map_err(|_| Fault::bad_parameter("filter.zoneId", "must be a UUID"))?;
            Managed::find(&api, &caller, id).map_or(Zones::None, Zones::One)
        }
    };
    let base = api.settings().base_url(&headers, ends.map(|ends| ends.0.0));
    answer(&api, zones, "/records".to_owned(), base, &params).await
}

/// GET `/zones/{id}/records`.
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    zone: Managed,
    ends: Option<Extension<ConnectInfo<Ends>>>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let base = api.settings().base_url(&headers, ends.map(|ends| ends.0.0));
    let path = format!("/zones/{}/records", zone.definition.uuid);
    answer(&api, Zones::One(zone), path, base, &params).await
}

/// The first page of a zone's records, as after an import.
pub(super) async fn first_page(api: &Arc<Api>, zone: Managed, base: String) -> Result<Response, Fault> {
    let path = format!("/zones/{}/records", zone.definition.uuid);
    answer(api, Zones::One(zone), path, base, &Params::default()).await
}

/// Whose records a list holds.
enum Zones {
    None,
    One(Managed),
    /// All local zones of the caller's tenant.
    All(Caller),
}

async fn answer(api: &Arc<Api>, zones: Zones, path: String, base: String, params: &Params) -> Result<Response, Fault> {
    let page = collection::page(params)?;
    let filter = Filter::read(params)?;
    let address = Address { base, path, filters: collection::given(params, &FILTERS)?, page };
    let found = match zones {
        // Every record is there as soon as it has been written.
        _ if !filter.state.fits(ZoneState::Available) => Found::default(),
        Zones::None => Found::default(),
        Zones::One(zone) => filter.of_one(api, &zone, page).await?,
        Zones::All(caller) => filter.of_all(api, &caller, page).await?,
    };
    let list = List::new(&address, found.items, found.total);
    Ok(json(StatusCode::OK, &WithOmitted { list, omitted: found.omitted }))
}

/// POST `/zones/{id}/records`.
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    zone: Managed,
    Writer(caller): Writer,
    params: Params,
    Json(request): Json<Request>,
) -> Result<Response, Fault> {
    let draft = request.draft(&zone.zone)?;
    let object = edit(&api, &caller, &zone, Edit::Add(draft), &params).await?;
    let location = HeaderValue::from_str(&object.href).expect("the path holds UUIDs only");
    let mut response = json(StatusCode::ACCEPTED, &object);
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}

/// GET `/zones/{id}/records/{record}`.
pub(super) async fn read(zone: Managed, RecordId(id): RecordId) -> Result<Response, Fault> {
    let entry = zone.zone.by_id(id).ok_or_else(record_not_found)?;
    Ok(json(StatusCode::OK, &Object::of(entry, &zone.zone, zone.definition.uuid)))
}

/// PUT `/zones/{id}/records/{record}`: replaces the record, or makes it under this id.
pub(super) async fn replace(
    State(api): State<Arc<Api>>,
    RecordId(id): RecordId,
    zone: Managed,
    Writer(caller): Writer,
    params: Params,
    Json(request): Json<Request>,
) -> Result<Response, Fault> {
    let draft = request.draft(&zone.zone)?;
    let object = edit(&api, &caller, &zone, Edit::Put(id, draft, NOT_SHOWN), &params).await?;
    Ok(json(StatusCode::ACCEPTED, &object))
}

/// DELETE `/zones/{id}/records/{record}`.
pub(super) async fn remove(
    State(api): State<Arc<Api>>,
    RecordId(id): RecordId,
    zone: Managed,
    Writer(caller): Writer,
    params: Params,
) -> Result<Response, Fault> {
    zone.zone.by_id(id).ok_or_else(record_not_found)?;
    edit(&api, &caller, &zone, Edit::Delete(id), &params).await?;
    Ok(accepted())
}

fn record_not_found() -> Fault {
    Fault::new(ErrorCode::RecordNotFound, "There is no record with this id in the zone.")
}

async fn edit(api: &Api, caller: &Caller, zone: &Managed, edit: Edit, params: &Params) -> Result<Object, Fault> {
    let step = Step::Edit { zone: zone.definition.uuid, description: None, edits: vec![edit] };
    let outcome = local::step(api, caller, step, dry_run(params)?).await?;
    let entry = outcome.entries.first().cloned().flatten();
    let entry = entry.ok_or_else(|| Fault::new(ErrorCode::Internal, "The change has no outcome."))?;
    Ok(Object::of(&entry, &outcome.zone, outcome.definition.uuid))
}

/// Which records a list holds.
#[derive(Clone, Debug)]
struct Filter {
    types: Types,
    /// Relative to each zone; empty: the apex.
    name: Option<String>,
    state: Wanted,
}

impl Filter {
    fn read(params: &Params) -> Result<Filter, Fault> {
        Ok(Filter {
            types: Types::read(params)?,
            name: params.single("filter.name")?.map(str::to_owned),
            state: Wanted::read(params)?,
        })
    }

    /// Counts what is not on the page, and looks only at what is.
    async fn of_one(&self, api: &Arc<Api>, zone: &Managed, page: Page) -> Result<Found, Fault> {
        let contents = &zone.zone;
        let mut found = Found { total: self.count(contents), ..Found::default() };
        self.omit(contents, &mut found.omitted);
        let id = zone.definition.uuid;
        if self.name.is_some() || self.leads_to(contents, found.total) || page.offset >= found.total {
            self.show(contents, id, page.offset, page.limit, &mut found.items);
            return Ok(found);
        }
        // Types are left out amid the zone: where the others stand is found once for each version of it.
        let (types, looked_at) = (self.types, contents.clone());
        let look = move || {
            let entries = looked_at.entries_from(0).enumerate();
            entries.filter(|(_, entry)| types.hold(entry.rtype)).map(|(rank, _)| rank as u32).collect()
        };
        let searched = Searched::Local(Arc::downgrade(contents));
        let positions = selection::find(api, searched, format!("types {types:?}"), look).await?;
        let on_page = positions.iter().skip(page.offset).take(page.limit);
        let entries = on_page.filter_map(|rank| contents.entries_from(*rank as usize).next());
        found.items.extend(entries.map(|entry| Object::of(entry, contents, id)));
        Ok(found)
    }

    /// Where each zone's records begin among those of all zones is found once for each edition of the tenant's zones.
    async fn of_all(&self, api: &Arc<Api>, caller: &Caller, page: Page) -> Result<Found, Fault> {
        let board = api.control().board();
        let edition = board.edition(&caller.tenant).contents;
        let zones = board.zones(&caller.tenant, Kind::Local);
        let (filter, looked_at) = (self.clone(), zones.clone());
        let searched = Searched::Zones(zones.clone(), edition);
        let ends = selection::find(api, searched.clone(), format!("records {self:?}"), move || {
            let count = |zone: &Named| zone.0.local().map_or(0, |contents| filter.count(&contents));
            let ends = looked_at.iter().map(count).scan(0, |end, records| {
                *end += records as u32;
                Some(*end)
            });
            ends.collect()
        });
        let ends = ends.await?;
        let (filter, looked_at) = (self.clone(), zones.clone());
        let omitted = selection::find(api, searched, format!("omitted {self:?}"), move || {
            let mut omitted = BTreeMap::new();
            let contents = looked_at.iter().filter_map(|zone| zone.0.local());
            contents.for_each(|contents| filter.omit(&contents, &mut omitted));
            omitted.into_iter().flat_map(|(rtype, count)| [u32::from(rtype.0.0), count as u32]).collect()
        });
        let mut found = Found { total: ends.last().map_or(0, |end| *end as usize), ..Found::default() };
        let omitted = omitted.await?;
        found.omitted.extend(omitted.chunks_exact(2).map(|pair| (Type(RecordType(pair[0] as u16)), pair[1].into())));
        let first = ends.partition_point(|end| *end as usize <= page.offset);
        let before = first.checked_sub(1).map_or(0, |at| ends[at] as usize);
        let mut skipped = page.offset.saturating_sub(before);
        for zone in zones.from(first) {
            let left = page.limit - found.items.len();
            if left == 0 {
                break;
            }
            let Some(contents) = zone.0.local() else { continue };
            self.show(&contents, zone.0.uuid, std::mem::take(&mut skipped), left, &mut found.items);
        }
        Ok(found)
    }

    /// Records that fit.
    fn count(&self, contents: &LocalZone) -> usize {
        match &self.name {
            Some(name) => {
                let owner = rules::content::owner(name, contents.apex()).ok();
                owner.map_or(0, |owner| contents.at(&owner).filter(|entry| self.types.hold(entry.rtype)).count())
            }
            None => {
                let counts = contents.type_counts().iter();
                counts.filter(|(rtype, _)| self.types.hold(**rtype)).map(|(_, count)| count).sum()
            }
        }
    }

    /// Records that would fit if their types were shown.
    fn omit(&self, contents: &LocalZone, omitted: &mut BTreeMap<Type, u64>) {
        if !matches!(self.types, Types::Known) {
            return;
        }
        let mut omit = |rtype: RecordType, count: u64| {
            if !self.types.hold(rtype) {
                *omitted.entry(Type(rtype)).or_default() += count;
            }
        };
        match &self.name {
            None => contents.type_counts().iter().for_each(|(rtype, count)| omit(*rtype, *count as u64)),
            Some(name) => {
                let Ok(owner) = rules::content::owner(name, contents.apex()) else { return };
                contents.at(&owner).for_each(|entry| omit(entry.rtype, 1));
            }
        }
    }

    /// Whether the records that fit stand together.
    fn leads_to(&self, contents: &LocalZone, held: usize) -> bool {
        matches!(self.types, Types::One(_)) || held == contents.len()
    }

    /// Shows up to `limit` of the records that fit, behind the first `skipped`.
    fn show(&self, contents: &LocalZone, id: Uuid, skipped: usize, limit: usize, items: &mut Vec<Object>) {
        let mut push = |entries: &mut dyn Iterator<Item = &Arc<Entry>>| {
            items.extend(entries.map(|entry| Object::of(entry, contents, id)));
        };
        match (&self.name, self.types) {
            (Some(name), types) => {
                let Ok(owner) = rules::content::owner(name, contents.apex()) else { return };
                let fitting = contents.at(&owner).filter(|entry| types.hold(entry.rtype));
                push(&mut fitting.skip(skipped).take(limit));
            }
            (None, Types::One(rtype)) => push(&mut contents.of_type_from(rtype, skipped).take(limit)),
            (None, Types::All) => push(&mut contents.entries_from(skipped).take(limit)),
            (None, _) if self.leads_to(contents, self.count(contents)) => {
                push(&mut contents.entries_from(skipped).take(limit));
            }
            (None, types) => {
                let fitting = contents.entries_from(0).filter(|entry| types.hold(entry.rtype));
                push(&mut fitting.skip(skipped).take(limit));
            }
        }
    }
}

#[derive(Default)]
struct Found {
    items: Vec<Object>,
    /// Records that fit, on all pages.
    total: usize,
    omitted: BTreeMap<Type, u64>,
}

#[derive(Serialize)]
struct WithOmitted {
    #[serde(flatten)]
    list: List<Object>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    omitted: BTreeMap<Type, u64>,
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
    r#type: Option<String>,
    content: Option<String>,
    ttl: Option<i64>,
    priority: Option<i64>,
    enabled: Option<bool>,
}

/// Seconds where the body says nothing.
const TTL_DEFAULT: u32 = 3600;

impl Request {
    /// Collects everything that is wrong.
    fn draft(self, zone: &LocalZone) -> Result<Draft, Fault> {
        let Some(sent) = self.properties else {
            return Err(Fault::new(ErrorCode::MissingValue, "properties is missing."));
        };
        let mut messages = Vec::new();
        let owner = demand(&sent.name, "name", &mut messages).and_then(|text| {
            let owner = rules::content::owner(text, zone.apex());
            owner.map_err(|error| messages.push(bad_value(format!("properties.name: {error}.")))).ok()
        });
        let rtype = demand(&sent.r#type, "type", &mut messages).and_then(|text| {
            let known = writable_type(text, zone);
            known.map_err(|wrong| messages.push(bad_value(format!("properties.type: {wrong}.")))).ok()
        });
        let has_priority = matches!(rtype, Some(RecordType::MX | RecordType::SRV | RecordType::URI));
        let priority = match u16::try_from(sent.priority.unwrap_or(0)) {
            Ok(priority) if has_priority => priority,
            Err(_) if has_priority => {
                messages.push(bad_value("properties.priority must be 0..65535.".to_owned()));
                0
            }
            _ => 0,
        };
        let rdata = demand(&sent.content, "content", &mut messages).zip(rtype).and_then(|(text, rtype)| {
            let rdata = rules::content::read(rtype, text, priority);
            rdata.map_err(|error| messages.push(bad_value(format!("properties.content: {error}.")))).ok()
        });
        let ttl = match u32::try_from(sent.ttl.unwrap_or(i64::from(TTL_DEFAULT))) {
            Ok(ttl) if TTL_SHOWN.contains(&ttl) => ttl,
            _ => {
                let (low, high) = (TTL_SHOWN.start(), TTL_SHOWN.end());
                messages.push(bad_value(format!("properties.ttl must be {low}..{high}.")));
                TTL_DEFAULT
            }
        };
        if let Some(fault) = Fault::all(messages) {
            return Err(fault);
        }
        let (Some(owner), Some(rtype), Some(rdata), Some(sent_text)) = (owner, rtype, rdata, sent.content) else {
            return Err(Fault::new(ErrorCode::Internal, "The body was refused without a reason."));
        };
        let spelled = keeps_spelling(rtype, &shown_content(rtype, &rdata).0, &sent_text).then_some(sent_text);
        let enabled = sent.enabled.unwrap_or(true);
        Ok(Draft { ttl: Some(ttl), enabled, spelled, ..Draft::new(owner, rtype, rdata) })
    }
}

/// Whether a text is given back as it came: clients compare it with what they sent. Names are always in lower case.
fn keeps_spelling(rtype: RecordType, shown: &str, sent: &str) -> bool {
    match rtype {
        RecordType::TXT | RecordType::SPF => shown != sent,
        RecordType::TLSA | RecordType::SMIMEA | RecordType::SSHFP | RecordType::DS => {
            shown != sent && shown.eq_ignore_ascii_case(sent)
        }
        _ => false,
    }
}

fn demand<'a>(sent: &'a Option<String>, member: &str, messages: &mut Vec<Message>) -> Option<&'a String> {
    if sent.is_none() {
        let text = format!("properties.{member} is missing.").into();
        messages.push(Message { code: ErrorCode::MissingValue, text });
    }
    sent.as_ref()
}

/// The types clients of this dialect know, and PTR where it belongs.
fn writable_type(text: &str, zone: &LocalZone) -> Result<RecordType, String> {
    let rtype: RecordType = text.parse().map_err(|_| format!("{text:?} is no record type"))?;
    let fits = KNOWN.contains(&rtype) || rtype == RecordType::PTR && zone.prefix().is_some();
    if fits { Ok(rtype) } else { Err(format!("records of type {rtype} cannot be written here")) }
}

/// A record of a local zone as shown.
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
struct Metadata {
    created_date: Date,
    last_modified_date: Date,
    fqdn: String,
    state: ZoneState,
    zone_id: Uuid,
    /// The true TTL where another is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<u32>,
}

#[derive(Serialize)]
struct Properties {
    content: String,
    enabled: bool,
    name: String,
    priority: u16,
    ttl: u32,
    r#type: Type,
}

impl Object {
    fn of(entry: &Entry, zone: &LocalZone, zone_id: Uuid) -> Object {
        let (content, priority) = shown_content(entry.rtype, &entry.rdata);
        let ttl = zone.ttl_of(entry);
        let shown_ttl = ttl.clamp(*TTL_SHOWN.start(), *TTL_SHOWN.end());
        Object {
            id: entry.id,
            r#type: "record",
            href: format!("/zones/{zone_id}/records/{}", entry.id),
            metadata: Metadata {
                created_date: Date(entry.created),
                last_modified_date: Date(entry.modified),
                fqdn: text(entry.owner.as_wire()),
                state: ZoneState::Available,
                zone_id,
                ttl: (shown_ttl != ttl).then_some(ttl),
            },
            properties: Properties {
                content: entry.spelled.clone().unwrap_or(content),
                enabled: entry.enabled,
                name: relative(&entry.owner, zone.apex()),
                priority,
                ttl: shown_ttl,
                r#type: Type(entry.rtype),
            },
        }
    }
}

/// The content as it is read back to the same octets: a bare text only where nothing in it needs quotes.
fn shown_content(rtype: RecordType, rdata: &[u8]) -> (String, u16) {
    let (shown, priority) = content(rtype, rdata);
    let is_text = matches!(rtype, RecordType::TXT | RecordType::SPF);
    if is_text && rules::content::read(rtype, &shown, 0).ok().as_deref() != Some(rdata) {
        return (crate::dns::presentation::rdata_text(rtype, rdata), priority);
    }
    (shown, priority)
}

/// Owner relative to the apex; empty for the apex.
fn relative(owner: &Name, apex: &Name) -> String {
    match owner.relative_to(apex) {
        None | Some([]) => String::new(),
        Some(labels) => text(&[labels, &[0]].concat()),
    }
}
