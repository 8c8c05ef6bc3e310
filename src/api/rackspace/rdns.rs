//! `/rdns`: the PTRs of addresses, seen from the address: `name` is the host, `data` the address. The same objects as the
//! reverse records and the PTRs of the other dialects; the device a client links them to is kept with them and decides
//! what it is shown.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::response::Response as Reply;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::body::{Body, Members, check, check_count};
use super::call::{Call, lost, page};
use super::data::rdata;
use super::failure::Failure;
use super::jobs::{Outcome, Response};
use super::new_domains::list as objects_in;
use super::shown::{self, Ptrs, Record};
use super::status::accepted;
use super::zone::{read_record_id, record_id_of, record_not_found, shown_record};
use crate::api::auth::Caller;
use crate::api::fault::{ErrorCode, Fault, Message};
use crate::api::names::address;
use crate::api::query::Params;
use crate::api::request::{Managed, Writer, segment};
use crate::api::{Api, local};
use crate::control::local::{PtrDraft, PtrPlace, Step, StepOutcome};
use crate::dns::RecordType;
use crate::local::content::check as check_content;
use crate::local::{Edit, Entry, Link, NewContent, Patch};
use crate::reverse::arpa_name;

/// The service that means PTRs of all devices and of none.
const ANY: &str = "any";
/// Characters of a link's parts.
const LINK_CHARS_MAX: usize = 2048;

/// The service in the path.
pub(super) struct Service(String);

impl FromRequestParts<Arc<Api>> for Service {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Service, Self::Rejection> {
        Ok(Service(segment(parts, api, "service").await))
    }
}

impl Service {
    /// Whether a PTR is one of this service's, and of the device `href` where one is named.
    fn holds(&self, entry: &Entry, href: Option<&str>) -> bool {
        let is_of_service = self.0 == ANY || entry.link.as_ref().is_some_and(|link| link.rel == self.0);
        is_of_service && href.is_none_or(|href| entry.link.as_ref().is_some_and(|link| link.href == href))
    }

    fn link(&self, href: Option<&str>) -> Option<shown::Link> {
        href.map(|href| shown::Link { content: String::new(), href: href.to_owned(), rel: self.0.clone() })
    }
}

/// A PTR of the caller.
struct Found {
    zone: Managed,
    entry: Arc<Entry>,
    address: IpAddr,
}

impl Found {
    fn at(api: &Api, caller: &Caller, place: &PtrPlace) -> Option<Found> {
        let zone = Managed::of(api.control().board().by_number(place.zone)?, caller)?;
        let entry = zone.zone.by_id(place.id)?.clone();
        Some(Found { zone, entry, address: place.address })
    }

    /// All that fit, by address. O(the caller's PTRs).
    fn all(api: &Api, caller: &Caller, fits: impl Fn(&Entry) -> bool) -> Vec<Found> {
        let index = api.control().board().local_index();
        let found = index.ptrs_from(&caller.tenant, 0).filter_map(|place| Found::at(api, caller, place));
        found.filter(|found| fits(&found.entry)).collect()
    }

    /// Those with these identities of the dialect, by identity. O(the caller's PTRs): not for the runtime's threads.
    fn with_ids(api: &Api, caller: &Caller, ids: &[String]) -> HashMap<String, Found> {
        let nums: HashSet<u64> = ids.iter().filter_map(|id| ptr_num(id)).collect();
        let found = Found::all(api, caller, |entry| nums.contains(&entry.num));
        found.into_iter().map(|found| (record_id_of(&found.entry), found)).collect()
    }

    fn shown(&self) -> Record {
        shown_ptr(&self.entry, self.address, &self.zone.zone)
    }
}

/// The number in the identity of a PTR.
fn ptr_num(id: &str) -> Option<u64> {
    read_record_id(id).filter(|(rtype, _)| *rtype == RecordType::PTR).map(|(_, num)| num)
}

/// A PTR from the side of its address.
fn shown_ptr(entry: &Entry, address: IpAddr, zone: &crate::local::LocalZone) -> Record {
    let record = shown_record(entry, zone);
    Record { name: record.data, data: address.to_string(), ..record }
}

/// GET `/rdns/{service}?href=`.
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    service: Service,
    call: Call,
    params: Params,
) -> Result<Reply, Fault> {
    let page = page(&params)?;
    let href = params.single("href")?.filter(|href| !href.is_empty()).map(str::to_owned);
    let searching = tokio::task::spawn_blocking(move || {
        let found = Found::all(&api, &caller, |entry| service.holds(entry, href.as_deref()));
        let records = found.iter().skip(page.offset).take(page.limit).map(Found::shown).collect();
        (Ptrs::new(records, service.link(href.as_deref())), found.len())
    });
    let (ptrs, total) = searching.await.map_err(|_| lost("The search for PTRs"))?;
    Ok(call.ok(&Ptrs { links: call.links(page, total, &params, &["href"]), ..ptrs }))
}

/// GET `/rdns/{service}/{item}`.
pub(super) async fn read(
    State(api): State<Arc<Api>>,
    caller: Caller,
    service: Service,
    super::zone::RecordId(id): super::zone::RecordId,
    call: Call,
) -> Result<Reply, Fault> {
    let missing = record_not_found(&id);
    let searching = tokio::task::spawn_blocking(move || {
        let found = Found::with_ids(&api, &caller, std::slice::from_ref(&id)).remove(&id);
        let found = found.filter(|found| service.holds(&found.entry, None))?;
        let link = found.entry.link.clone();
        let link = link.map(|link| shown::Link { content: String::new(), href: link.href, rel: link.rel });
        Some(Ptrs::new(vec![found.shown()], link))
    });
    let found = searching.await.map_err(|_| lost("The search for the PTR"))?;
    Ok(call.ok(&found.ok_or(missing)?))
}

/// The records of a body and the device they belong to.
struct Request<'a> {
    records: Vec<&'a Map<String, Value>>,
    link: Option<Link>,
}

impl<'a> Request<'a> {
    fn read(body: &'a Body, wrong: &mut Vec<Message>) -> Result<Request<'a>, Fault> {
        let records = match objects_in(&body.object, "recordsList", "records")? {
            Some(records) => records,
            None => match body.object.get("records") {
                Some(list) => super::body::objects(list, "records")?,
                None => return Err(Fault::new(ErrorCode::MissingValue, "recordsList is missing.")),
            },
        };
        check_count(records.len())?;
        let link = body.object.get("link").filter(|link| !link.is_null());
        let link = link.and_then(|link| {
            let empty = Map::new();
            let mut members = Members::new(link.as_object().unwrap_or(&empty), "link.".to_owned(), wrong);
            let mut part = |member: &str| {
                let text = members.demand(member)?;
                if text.chars().count() > LINK_CHARS_MAX {
                    members.complain(
                        member,
                        format_args!("is longer than the {LINK_CHARS_MAX} characters that are taken"),
                    );
                }
                Some(text.to_owned())
            };
            let (href, rel) = (part("href"), part("rel"));
            Some(Link { href: href?, rel: rel? })
        });
        Ok(Request { records, link })
    }
}

/// The host of a PTR in wire form.
fn host(members: &mut Members<'_, '_>, text: &str, address: Option<IpAddr>) -> Option<Box<[u8]>> {
    let octets = rdata(RecordType::PTR, text, 0).and_then(|octets| match address {
        Some(address) => {
            let owner = arpa_name(address);
            check_content(&owner, &owner, RecordType::PTR, &octets).map(|()| octets)
        }
        None => Ok(octets),
    });
    octets.map_err(|error| members.complain("name", error)).ok().map(Into::into)
}

fn ip(members: &mut Members<'_, '_>, text: &str) -> Option<IpAddr> {
    address(text).map_err(|wrong| members.complain("data", wrong)).ok()
}

fn check_type(members: &mut Members<'_, '_>) {
    if members.text("type").is_some_and(|text| !text.eq_ignore_ascii_case("PTR")) {
        members.complain("type", "must be PTR");
    }
}

/// POST `/rdns`: all or none.
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    Writer(caller): Writer,
    call: Call,
    body: Body,
) -> Result<Reply, Fault> {
    let mut wrong = Vec::new();
    let Request { records, link } = Request::read(&body, &mut wrong)?;
    if records.is_empty() {
        return Err(Fault::new(ErrorCode::MissingValue, "recordsList.records is empty."));
    }
    let mut drafts = Vec::new();
    for (index, record) in records.into_iter().enumerate() {
        let mut members = Members::new(record, format!("recordsList.records[{index}]."), &mut wrong);
        if members.given("id").is_some() {
            members.complain("id", "must not be given");
        }
        check_type(&mut members);
        let address = members.demand("data").and_then(|text| ip(&mut members, text));
        let host = members.demand("name").and_then(|text| host(&mut members, text, address));
        let (ttl, text) = (members.ttl(), members.comment().unwrap_or_default());
        if let (Some(address), Some(host)) = (address, host) {
            drafts.push(PtrDraft { id: None, address, host, ttl, text, link: link.clone() });
        }
    }
    check(wrong)?;
    let addresses: Vec<IpAddr> = drafts.iter().map(|draft| draft.address).collect();
    let steps = drafts.into_iter().map(Step::PutPtr).collect();
    let outcome = match local::run(&api, &caller, steps, false).await {
        Err(refused) => Outcome::Error(Failure::of(refused, |_, _| String::new())?),
        Ok(outcome) => {
            let entry = |step: &StepOutcome| step.entries.first().cloned().flatten();
            let steps = outcome.steps.iter().zip(&addresses);
            let records = steps.filter_map(|(step, address)| Some(shown_ptr(&*entry(step)?, *address, &step.zone)));
            Outcome::Response(Response::Ptrs(Ptrs::new(records.collect(), link.map(shown_link))))
        }
    };
    accepted(&api, &caller, &call, Some(body.text), outcome).await
}

fn shown_link(link: Link) -> shown::Link {
    shown::Link { content: String::new(), href: link.href, rel: link.rel }
}

/// PUT `/rdns`: host, TTL, comment and device; all or none.
pub(super) async fn change(
    State(api): State<Arc<Api>>,
    Writer(caller): Writer,
    call: Call,
    body: Body,
) -> Result<Reply, Fault> {
    let mut wrong = Vec::new();
    let Request { records, link } = Request::read(&body, &mut wrong)?;
    let id_of = |record: &&Map<String, Value>| Members::new(record, String::new(), &mut Vec::new()).id();
    let ids: Vec<String> = records.iter().filter_map(id_of).collect();
    let (there, owner) = (api.clone(), caller.clone());
    let searching = tokio::task::spawn_blocking(move || Found::with_ids(&there, &owner, &ids));
    let known = searching.await.map_err(|_| lost("The search for PTRs"))?;
    let (mut missing, mut changed, mut steps) = (None, Vec::new(), Vec::new());
    for (index, record) in records.into_iter().enumerate() {
        let mut members = Members::new(record, format!("recordsList.records[{index}]."), &mut wrong);
        let Some(id) = members.id() else {
            if members.given("id").is_none() {
                members.complain("id", "is missing");
            }
            continue;
        };
        check_type(&mut members);
        let Some(found) = known.get(&id) else {
            missing = missing.or(Some(id));
            continue;
        };
        let given = members.text("data").and_then(|text| ip(&mut members, text));
        if given.is_some_and(|given| given != found.address) {
            members.complain("data", format_args!("is {} and cannot be changed", found.address));
        }
        let host = members.text("name").and_then(|text| host(&mut members, text, Some(found.address)));
        let patch = Patch {
            rtype: Some(RecordType::PTR),
            content: host.map(NewContent::Whole),
            ttl: members.ttl().map(Some),
            text: members.comment(),
            link: link.clone().map(Some),
            ..Patch::default()
        };
        let (zone, edit) = (found.zone.definition.uuid, Edit::Update(found.entry.id, patch));
        steps.push(Step::Edit { zone, description: None, edits: vec![edit] });
        changed.push((id, found.address));
    }
    check(wrong)?;
    let outcome = match missing {
        Some(id) => Outcome::Error(Failure::not_found(format!("The record with ID {id} was not found."))),
        None => match local::run(&api, &caller, steps, false).await {
            Err(refused) => Outcome::Error(Failure::of(refused, |step, _| changed[step].0.clone())?),
            Ok(outcome) => {
                let steps = outcome.steps.iter().zip(&changed);
                let records = steps.filter_map(|(step, (_, address))| {
                    let entry = step.entries.first()?.as_ref()?;
                    Some(shown_ptr(entry, *address, &step.zone))
                });
                Outcome::Response(Response::Ptrs(Ptrs::new(records.collect(), link.map(shown_link))))
            }
        },
    };
    accepted(&api, &caller, &call, Some(body.text), outcome).await
}

/// DELETE `/rdns/{service}?href=&ip=`: the PTR of one address, or all of a device.
pub(super) async fn remove(
    State(api): State<Arc<Api>>,
    service: Service,
    Writer(caller): Writer,
    call: Call,
    params: Params,
) -> Result<Reply, Fault> {
    let href = params.single("href")?.filter(|href| !href.is_empty()).map(str::to_owned);
    let address = params.single("ip")?.map(address).transpose().map_err(|wrong| Fault::bad_parameter("ip", wrong))?;
    if href.is_none() && address.is_none() {
        return Err(Fault::bad_parameter("href", "or ip must say which PTRs go"));
    }
    let (there, owner) = (api.clone(), caller.clone());
    let searching = tokio::task::spawn_blocking(move || match address {
        Some(address) => {
            let index = there.control().board().local_index();
            let found = index.ptrs_at(&owner.tenant, address).filter_map(|place| Found::at(&there, &owner, place));
            found.filter(|found| service.holds(&found.entry, href.as_deref())).collect()
        }
        None => Found::all(&there, &owner, |entry| service.holds(entry, href.as_deref())),
    });
    let found: Vec<Found> = searching.await.map_err(|_| lost("The search for PTRs"))?;
    if found.is_empty() {
        return Err(Fault::new(ErrorCode::ReverseRecordNotFound, "There is no PTR that this means."));
    }
    let ids: Vec<(Uuid, String)> = found.iter().map(|found| (found.entry.id, record_id_of(&found.entry))).collect();
    let steps = found.iter().map(|found| Step::Edit {
        zone: found.zone.definition.uuid,
        description: None,
        edits: vec![Edit::Delete(found.entry.id)],
    });
    let outcome = match local::run(&api, &caller, steps.collect(), false).await {
        Ok(_) => Outcome::Done,
        Err(refused) => Outcome::Error(Failure::of(refused, |step, _| ids[step].1.clone())?),
    };
    accepted(&api, &caller, &call, None, outcome).await
}
