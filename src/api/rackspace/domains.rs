//! `/domains` and below: zones of either kind listed, shown and deleted, local ones changed.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response as Reply;

use super::body::{Body, Members, check};
use super::call::{Call, flag, from_marker, lost, page};
use super::failure::{Failure, Item};
use super::jobs::Outcome;
use super::record_list;
use super::records::ids;
use super::shown::{self, DomainList, RecordList, Subdomains};
use super::status::accepted;
use super::zone::Zone;
use crate::api::auth::Caller;
use crate::api::fault::Fault;
use crate::api::query::{Page, Params};
use crate::api::request::Writer;
use crate::api::{Api, local};
use crate::control::handle::EditError;
use crate::control::local::{LocalRefused, Step};
use crate::control::roster::Kind;
use crate::dns::Name;
use crate::local::{AttributesPatch, Edit, rname_of};

/// Characters of a search; a shorter one finds nothing.
const SEARCH_CHARS_MIN: usize = 3;

/// GET `/domains`, also `?name=` for the one of this name.
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    call: Call,
    params: Params,
) -> Result<Reply, Fault> {
    let name = params.single("name")?.filter(|text| !text.is_empty());
    let zones = match name.map(str::parse::<Name>) {
        None => return page_of_all(&api, &caller, &call, &params),
        Some(Err(_)) => Vec::new(),
        Some(Ok(name)) => {
            let view = api.control().board().by_name(&name);
            view.and_then(|view| Zone::of(view, &caller)).into_iter().collect()
        }
    };
    answer(&zones, &call, &params)
}

/// The page of all the caller's domains; it costs the page.
fn page_of_all(api: &Api, caller: &Caller, call: &Call, params: &Params) -> Result<Reply, Fault> {
    let zones = api.control().board().zones(&caller.tenant, Kind::Any);
    let place = |id: &str| {
        let name = Zone::find(api, caller, id)?.view.name.clone();
        Some(zones.rank(|zone| zone.0.name.cmp(&name)))
    };
    let page = from_marker(page(params)?, params, place)?;
    let on_page = zones.from(page.offset).take(page.limit);
    let domains = on_page.filter_map(|zone| Some(Zone::of(zone.0.clone(), caller)?.shown())).collect();
    let links = call.links(page, zones.len(), params, &["name"]);
    Ok(call.ok(&DomainList { total: zones.len(), domains, links }))
}

/// GET `/domains/search?name=`: a part of the name, in any case.
pub(super) async fn search(
    State(api): State<Arc<Api>>,
    caller: Caller,
    call: Call,
    params: Params,
) -> Result<Reply, Fault> {
    let part = params.single("name")?.unwrap_or_default().trim_end_matches('.').to_lowercase();
    let zones = if part.chars().count() < SEARCH_CHARS_MIN {
        Vec::new()
    } else {
        Zone::all(&api, &caller, |name| name.without_dot().contains(&part))
    };
    answer(&zones, &call, &params)
}

/// GET `/domains/{domain}/subdomains`.
pub(super) async fn subdomains(
    State(api): State<Arc<Api>>,
    zone: Zone,
    caller: Caller,
    call: Call,
    params: Params,
) -> Result<Reply, Fault> {
    answer(&zone.subdomains(&api, &caller), &call, &params)
}

fn answer(zones: &[Zone], call: &Call, params: &Params) -> Result<Reply, Fault> {
    let place = |id: &str| zones.iter().position(|zone| zone.view.id.0.to_string() == id);
    let page = from_marker(page(params)?, params, place)?;
    let links = call.links(page, zones.len(), params, &["name"]);
    Ok(call.ok(&DomainList { total: zones.len(), domains: cut(zones, page), links }))
}

fn cut(zones: &[Zone], page: Page) -> Vec<shown::Domain> {
    zones.iter().skip(page.offset).take(page.limit).map(Zone::shown).collect()
}

/// GET `/domains/{domain}`: with its records and subdomains, unless they are not wanted.
pub(super) async fn read(
    State(api): State<Arc<Api>>,
    zone: Zone,
    caller: Caller,
    call: Call,
    params: Params,
) -> Result<Reply, Fault> {
    let page = page(&params)?;
    let (with_records, with_subdomains) = (flag(&params, "showRecords", true)?, flag(&params, "showSubdomains", true)?);
    let links = |total| call.links(page, total, &params, &["showRecords", "showSubdomains"]);
    let mut domain = shown::Domain { nameservers: Some(zone.nameservers()), ..zone.shown() };
    if with_subdomains {
        let zones = zone.subdomains(&api, &caller);
        let (total, domains) = (zones.len(), cut(&zones, page));
        domain.subdomains = Some(Subdomains { domains, total, links: links(total) });
    }
    if with_records {
        let listing = tokio::task::spawn_blocking(move || record_list::of_domain(&zone, page));
        let (records, total) = listing.await.map_err(|_| lost("The listing of the records"))?;
        domain.records = Some(RecordList { total, records, links: links(total) });
    }
    Ok(call.ok(&domain))
}

/// PUT `/domains/{domain}`: TTL, mailbox, comment.
pub(super) async fn change(
    State(api): State<Arc<Api>>,
    zone: Zone,
    Writer(caller): Writer,
    call: Call,
    body: Body,
) -> Result<Reply, Fault> {
    zone.managed()?;
    let object = body.the_one("domains", "domain")?;
    let mut wrong = Vec::new();
    let mut members = Members::new(object, String::new(), &mut wrong);
    if let Some(id) = members.id()
        && id != zone.view.id.0.to_string()
    {
        members.complain("id", "is not that of the path");
    }
    let step = change_of(&zone, &mut members);
    check(wrong)?;
    finish(&api, &caller, &call, body.text, vec![step]).await
}

/// PUT `/domains`: all or none.
pub(super) async fn change_many(
    State(api): State<Arc<Api>>,
    Writer(caller): Writer,
    call: Call,
    body: Body,
) -> Result<Reply, Fault> {
    let (mut wrong, mut missing, mut steps) = (Vec::new(), None, Vec::new());
    for (index, object) in body.items("domains")?.into_iter().enumerate() {
        let mut members = Members::new(object, format!("domains[{index}]."), &mut wrong);
        let Some(id) = members.id() else {
            if members.given("id").is_none() {
                members.complain("id", "is missing");
            }
            continue;
        };
        match Zone::find(&api, &caller, &id) {
            None => missing = missing.or(Some(id)),
            Some(zone) => {
                zone.managed()?;
                steps.push(change_of(&zone, &mut members));
            }
        }
    }
    check(wrong)?;
    match missing {
        None => finish(&api, &caller, &call, body.text, steps).await,
        Some(id) => {
            let outcome = Outcome::Error(Failure::not_found(format!("The domain with ID {id} was not found.")));
            accepted(&api, &caller, &call, Some(body.text), outcome).await
        }
    }
}

fn change_of(zone: &Zone, members: &mut Members<'_, '_>) -> Step {
    if members.given("name").is_some() {
        members.complain("name", "cannot be changed");
    }
    let attributes = attributes(members);
    Step::Edit { zone: zone.view.uuid, description: members.comment(), edits: vec![Edit::Attributes(attributes)] }
}

/// `ttl` and `emailAddress`.
pub(super) fn attributes(members: &mut Members<'_, '_>) -> AttributesPatch {
    let rname = members.text("emailAddress").and_then(|text| {
        let rname = rname_of(text);
        rname.map_err(|error| members.complain("emailAddress", error)).ok()
    });
    AttributesPatch { rname, default_ttl: members.ttl(), ..AttributesPatch::default() }
}

async fn finish(api: &Api, caller: &Caller, call: &Call, text: String, steps: Vec<Step>) -> Result<Reply, Fault> {
    let outcome = match local::run(api, caller, steps, false).await {
        Ok(_) => Outcome::Done,
        Err(refused) => Outcome::Error(Failure::of(refused, |_, _| String::new())?),
    };
    accepted(api, caller, call, Some(text), outcome).await
}

/// DELETE `/domains/{domain}`.
pub(super) async fn remove(
    State(api): State<Arc<Api>>,
    zone: Zone,
    Writer(caller): Writer,
    call: Call,
    params: Params,
) -> Result<Reply, Fault> {
    let with_subdomains = with_subdomains(&params)?;
    if let Err(error) = delete(&api, &caller, &zone).await {
        return Err(error.into());
    }
    let mut faults = Vec::new();
    if with_subdomains {
        delete_below(&api, &caller, &zone, &mut faults).await?;
    }
    let outcome = if faults.is_empty() { Outcome::Done } else { Outcome::Error(Failure::some(faults)) };
    accepted(&api, &caller, &call, None, outcome).await
}

/// DELETE `/domains?id=..&id=..`: each on its own, what can be deleted is.
pub(super) async fn remove_many(
    State(api): State<Arc<Api>>,
    Writer(caller): Writer,
    call: Call,
    params: Params,
) -> Result<Reply, Fault> {
    let with_subdomains = with_subdomains(&params)?;
    let ids = ids(&params)?;
    let mut zones = Vec::new();
    let mut faults = Vec::new();
    for id in ids {
        match Zone::find(&api, &caller, id) {
            Some(zone) => zones.push(zone),
            None => faults.push(Item::not_found(format!("The domain with ID {id} was not found."))),
        }
    }
    for zone in &zones {
        match delete(&api, &caller, zone).await {
            // One that went with its parent a moment ago is gone as was wanted.
            Ok(()) | Err(EditError::NotFound) => {}
            Err(error) => faults.push(fault(error)?),
        }
        if with_subdomains {
            delete_below(&api, &caller, zone, &mut faults).await?;
        }
    }
    let outcome = if faults.is_empty() { Outcome::Done } else { Outcome::Error(Failure::some(faults)) };
    accepted(&api, &caller, &call, None, outcome).await
}

/// `deleteSubdomains`, which some clients call `deleteSubzones`.
fn with_subdomains(params: &Params) -> Result<bool, Fault> {
    Ok(flag(params, "deleteSubdomains", false)? || flag(params, "deleteSubzones", false)?)
}

async fn delete_below(api: &Api, caller: &Caller, zone: &Zone, faults: &mut Vec<Item>) -> Result<(), Fault> {
    for below in zone.subdomains(api, caller) {
        match delete(api, caller, &below).await {
            Ok(()) | Err(EditError::NotFound) => {}
            Err(error) => faults.push(fault(error)?),
        }
    }
    Ok(())
}

/// Deletes a zone of either kind.
async fn delete(api: &Api, caller: &Caller, zone: &Zone) -> Result<(), EditError> {
    let uuid = zone.view.uuid;
    if zone.definition().local.is_none() {
        return api.control().remove(uuid).await;
    }
    match local::step(api, caller, Step::Remove { zone: uuid }, false).await {
        Ok(_) => Ok(()),
        Err(LocalRefused::Zone { why, .. } | LocalRefused::Failed(why)) => Err(why),
        Err(other) => Err(EditError::Storage(other.to_string())),
    }
}

/// Why a zone stays, as an item; what is our fault ends the request.
fn fault(error: EditError) -> Result<Item, Fault> {
    match &error {
        EditError::Configured { .. } | EditError::Member { .. } | EditError::MadeHere => {
            Ok(Failure::new(403, "Forbidden", error.to_string()).into())
        }
        EditError::NotFound => Ok(Item::not_found(error.to_string())),
        _ => Err(error.into()),
    }
}
