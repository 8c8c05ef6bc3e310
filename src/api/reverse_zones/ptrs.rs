//! `/reverse-zones/{domain}/ptr` and `/reverse-zones/lookup`: the PTRs of addresses.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::{extract::FromRequestParts, http::request::Parts};
use ipnet::IpNet;
use serde_json::{Value, json};

use super::body::Body;
use super::domains::ttl;
use super::records::{Failed, put_many};
use super::refused::{Refused, bad, detail};
use super::shapes::{Ptr, host};
use super::{Domain, Paging, created, gone, ids, ok};
use crate::api::auth::Caller;
use crate::api::fault::{ErrorCode, Fault};
use crate::api::members::Members;
use crate::api::query::Params;
use crate::api::request::{Json, Writer, segment};
use crate::api::selection::{self, Searched};
use crate::api::{Api, local, transferred};
use crate::control::local::{LocalRefused, Step, StepOutcome};
use crate::dns::{Name, RecordType};
use crate::local::{self as rules, Draft, Edit, Entry, NewContent, Patch, Refusal};
use crate::reverse;
use crate::zone::Snapshot;

/// The address in the path.
pub(super) struct Address(String);

impl FromRequestParts<Arc<Api>> for Address {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Address, Self::Rejection> {
        Ok(Address(segment(parts, api, "ip").await))
    }
}

impl Address {
    fn read(&self) -> Result<IpAddr, Refused> {
        read_address(&self.0).map_err(bad)
    }
}

/// Any spelling; IPv4 in the clothes of IPv6 is none.
fn read_address(text: &str) -> Result<IpAddr, String> {
    let address: Option<IpAddr> = text.parse().ok();
    let is_mapped = |address: &IpAddr| matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
    address.filter(|address| !is_mapped(address)).ok_or_else(|| format!("{text:?} is no IPv4 or IPv6 address"))
}

impl Domain {
    /// The addresses a reverse zone is for.
    fn prefix(&self) -> Result<IpNet, Refused> {
        reverse::prefix_of(&self.view.name)
            .ok_or_else(|| bad(format!("{} is not a reverse zone", self.view.name.without_dot())))
    }

    fn ptr(&self, entry: &Entry, ip: IpAddr) -> Ptr {
        let ttl = self.local.as_ref().map_or(0, |zone| zone.ttl_of(entry));
        Ptr::of(entry.id, ip, &entry.rdata, ttl, self.view.uuid)
    }
}

/// GET `/reverse-zones/{domain}/ptr`, by address. A page costs the page; a search, and the order of a transferred zone, are
/// found once for each version of the zone.
pub(super) async fn list(State(api): State<Arc<Api>>, domain: Domain, params: Params) -> Result<Response, Refused> {
    domain.prefix()?;
    let paging = Paging::read(&params)?;
    let search = params.single("search")?.unwrap_or_default().to_lowercase();
    match (&domain.local, domain.view.snapshot()) {
        (Some(zone), _) if search.is_empty() => {
            let on_page = zone.ptrs_from(paging.skipped()).take(paging.size);
            let ptrs = on_page.map(|(ip, entry)| domain.ptr(entry, ip)).collect();
            Ok(ok(&paging.of(zone.ptr_count(), ptrs)))
        }
        (Some(zone), _) => {
            let looked_at = zone.clone();
            let searched = Searched::Local(Arc::downgrade(zone));
            let found = selection::find(&api, searched, format!("ptrs {search}"), move || {
                let ptrs = looked_at.ptrs_from(0).enumerate();
                let fitting = ptrs.filter(|(_, (ip, entry))| is_found(&search, *ip, &entry.rdata));
                fitting.map(|(rank, _)| rank as u32).collect()
            });
            let found = found.await?;
            let on_page = paging.cut(&found).iter().filter_map(|rank| zone.ptrs_from(*rank as usize).next());
            let ptrs = on_page.map(|(ip, entry)| domain.ptr(entry, ip)).collect();
            Ok(ok(&paging.of(found.len(), ptrs)))
        }
        (None, Some(snapshot)) => {
            let (looked_at, apex) = (snapshot.clone(), domain.view.name.clone());
            let searched = Searched::Transferred(Arc::downgrade(&snapshot));
            let what = format!("ptrs {search}");
            let found = selection::find(&api, searched, what, move || by_address(&looked_at, &apex, &search));
            let found = found.await?;
            let mut ptrs = Vec::new();
            selection::records(&snapshot, paging.cut(&found), |record| {
                if let Some(ip) = reverse::address_at(&record.to_record().owner, &domain.view.name) {
                    let id = transferred::record_id(domain.view.uuid, record);
                    ptrs.push(Ptr::of(id, ip, record.rdata, record.ttl, domain.view.uuid));
                }
            });
            Ok(ok(&paging.of(found.len(), ptrs)))
        }
        (None, None) => Ok(ok(&paging.of(0, Vec::<Ptr>::new()))),
    }
}

/// Whether a search finds a PTR: by part of its address or its host.
fn is_found(search: &str, ip: IpAddr, rdata: &[u8]) -> bool {
    search.is_empty() || ip.to_string().contains(search) || host(rdata).to_lowercase().contains(search)
}

/// The ranks of the PTRs that a search finds in a transferred zone, in the order of their addresses.
fn by_address(snapshot: &Snapshot, apex: &Name, search: &str) -> Vec<u32> {
    let mut found = Vec::new();
    let mut rank = 0;
    let mut records = snapshot.records_canonical(0);
    while let Some(record) = records.advance() {
        if record.rtype == RecordType::PTR
            && let Some(ip) = reverse::address_at(&record.to_record().owner, apex)
            && is_found(search, ip, record.rdata)
        {
            found.push((ip, rank));
        }
        rank += 1;
    }
    found.sort_unstable();
    found.into_iter().map(|(_, rank)| rank).collect()
}

/// What is wrong with a PTR before the zone is asked: a code of bulk replies, and words.
type Objection = (&'static str, String);

/// The PTR that a client wants, where it belongs.
fn draft(
    api: &Api,
    caller: &Caller,
    domain: &Domain,
    ip: &str,
    hostname: &str,
    given_ttl: Option<i64>,
) -> Result<(IpAddr, Draft), Objection> {
    let invalid = |text: String| ("invalid", text);
    let address = read_address(ip).map_err(|text| invalid(format!("ip: {text}")))?;
    let outside = || ("outside", "IP outside zone CIDR".to_owned());
    let owner = reverse::owner_in(&domain.view.name, address).ok_or_else(outside)?;
    let zones = api.control().board().reverse_zones_of(&caller.tenant, address);
    let own_len = reverse::prefix_of(&domain.view.name).map(|prefix| prefix.prefix_len());
    let is_narrower = |name| reverse::prefix_of(name).map(|prefix| prefix.prefix_len()) > own_len;
    if let Some(narrower) = zones.iter().find(|view| view.local().is_some() && is_narrower(&view.name)) {
        let name = narrower.name.without_dot();
        return Err(("exists", format!("The more specific zone {name} covers {address}; its PTR belongs there")));
    }
    let rdata = rules::content::host(hostname).map_err(|wrong| invalid(format!("hostname: {wrong}")))?;
    rules::content::check(&domain.view.name, &owner, RecordType::PTR, &rdata)
        .map_err(|wrong| invalid(format!("hostname: {wrong}")))?;
    let ttl = ttl("ttl", given_ttl).map_err(invalid)?;
    Ok((address, Draft { ttl, ..Draft::new(owner, RecordType::PTR, rdata) }))
}

/// POST `/reverse-zones/{domain}/ptr`.
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    domain: Domain,
    Writer(caller): Writer,
    Json(Members(sent)): Json<Members>,
) -> Result<Response, Refused> {
    domain.prefix()?;
    domain.managed()?;
    let mut body = Body::new(&sent);
    let (ip, hostname, ttl) = (body.demand("ip"), body.demand("hostname"), body.number("ttl"));
    body.done()?;
    let (address, draft) = draft(&api, &caller, &domain, ip, hostname, ttl).map_err(|(code, text)| {
        let status = if code == "exists" { StatusCode::CONFLICT } else { StatusCode::BAD_REQUEST };
        detail(status, text)
    })?;
    let outcome = edit(&api, &caller, &domain, Edit::Add(draft)).await?;
    Ok(created(&shown(&domain, &outcome, address)?))
}

async fn edit(api: &Api, caller: &Caller, domain: &Domain, edit: Edit) -> Result<StepOutcome, LocalRefused> {
    let step = Step::Edit { zone: domain.view.uuid, description: None, edits: vec![edit] };
    local::step(api, caller, step, false).await
}

fn shown(domain: &Domain, outcome: &StepOutcome, address: IpAddr) -> Result<Ptr, Refused> {
    let entry = outcome.entries.first().and_then(Option::as_ref);
    let entry = entry.ok_or_else(|| Fault::new(ErrorCode::Internal, "The change has no outcome"))?;
    Ok(Ptr::of(entry.id, address, &entry.rdata, outcome.zone.ttl_of(entry), domain.view.uuid))
}

/// POST `/reverse-zones/{domain}/ptr/bulk`.
pub(super) async fn bulk(
    State(api): State<Arc<Api>>,
    domain: Domain,
    Writer(caller): Writer,
    Json(Members(sent)): Json<Members>,
) -> Result<Response, Refused> {
    domain.prefix()?;
    domain.managed()?;
    let (items, keep_good) = super::records::items(&sent, "records")?;
    let (mut wrong, mut given) = (Vec::new(), Vec::new());
    for (index, item) in items.iter().enumerate() {
        let mut body = Body::item(item, "records", index);
        given.push((body.demand("ip"), body.demand("hostname"), body.number("ttl")));
        wrong.extend(body.wrong());
    }
    if !wrong.is_empty() {
        return Err(super::refused::unprocessable(wrong));
    }
    let mut seen = BTreeSet::new();
    let wanted = given.iter().map(|(ip, hostname, ttl)| {
        let (address, draft) = draft(&api, &caller, &domain, ip, hostname, *ttl)?;
        if seen.insert(address) { Ok(draft) } else { Err(("duplicate", format!("{address} stands twice in the list"))) }
    });
    let done = put_many(&api, &caller, &domain, wanted.collect(), keep_good).await?;
    let ptrs: Vec<Ptr> = done
        .entries
        .iter()
        .filter_map(|entry| {
            let address = reverse::address_at(&entry.owner, &domain.view.name)?;
            Some(Ptr::of(entry.id, address, &entry.rdata, done.zone.ttl_of(entry), domain.view.uuid))
        })
        .collect();
    let errors: Vec<Value> = done
        .failed
        .iter()
        .map(|Failed { index, code, message }| {
            let (ip, hostname, _) = given[*index];
            json!({"index": index, "ip": ip, "hostname": hostname, "code": code, "message": message})
        })
        .collect();
    let body = json!({
        "total_created": ptrs.len(), "total_errors": errors.len(), "created": ptrs, "errors": errors,
    });
    Ok(crate::api::ionos::json(done.status(), &body))
}

/// PATCH `/reverse-zones/{domain}/ptr/{ip}`: host and TTL of the address's one PTR.
pub(super) async fn change(
    State(api): State<Arc<Api>>,
    domain: Domain,
    Writer(caller): Writer,
    ip: Address,
    Json(Members(sent)): Json<Members>,
) -> Result<Response, Refused> {
    domain.prefix()?;
    let zone = domain.managed()?;
    let (address, entries) = found(&domain, &ip)?;
    let mut body = Body::new(&sent);
    body.only(&["hostname", "ttl"]);
    let (hostname, given_ttl) = (body.text("hostname"), body.number("ttl"));
    body.done()?;
    let first = entries.first().ok_or_else(not_found)?;
    let host = hostname.map(rules::content::host).transpose().map_err(|wrong| bad(format!("hostname: {wrong}")))?;
    if let Some(host) = &host {
        rules::content::check(zone.apex(), &first.owner, RecordType::PTR, host)
            .map_err(|wrong| bad(format!("hostname: {wrong}")))?;
    }
    let patch = Patch {
        rtype: Some(RecordType::PTR),
        content: host.map(|host| NewContent::Whole(host.into())),
        ttl: ttl("ttl", given_ttl).map_err(bad)?.map(Some),
        ..Patch::default()
    };
    let outcome = edit(&api, &caller, &domain, Edit::Update(first.id, patch)).await?;
    Ok(ok(&shown(&domain, &outcome, address)?))
}

fn found(domain: &Domain, ip: &Address) -> Result<(IpAddr, Vec<Arc<Entry>>), Refused> {
    let address = ip.read()?;
    let owner = reverse::owner_in(&domain.view.name, address).ok_or_else(|| bad("IP outside zone CIDR"))?;
    let zone = domain.managed()?;
    Ok((address, zone.rrset(&owner, RecordType::PTR).cloned().collect()))
}

fn not_found() -> Refused {
    detail(StatusCode::NOT_FOUND, "PTR not found")
}

/// DELETE `/reverse-zones/{domain}/ptr/{ip}`.
pub(super) async fn remove(
    State(api): State<Arc<Api>>,
    domain: Domain,
    Writer(caller): Writer,
    ip: Address,
) -> Result<Response, Refused> {
    domain.prefix()?;
    domain.managed()?;
    let (address, _) = found(&domain, &ip)?;
    match edit(&api, &caller, &domain, Edit::DeletePtrs(address)).await {
        Ok(_) => Ok(gone()),
        Err(LocalRefused::Edits { refused, .. }) if matches!(refused[..], [ref one] if matches!(one.why, Refusal::NoPtr(_))) => {
            Err(not_found())
        }
        Err(other) => Err(other.into()),
    }
}

/// GET `/reverse-zones/lookup/{ip}`: the zone with the longest prefix that has a PTR decides.
pub(super) async fn lookup(State(api): State<Arc<Api>>, caller: Caller, ip: Address) -> Result<Response, Refused> {
    let address = ip.read()?;
    for view in api.control().board().reverse_zones_of(&caller.tenant, address) {
        let Some(owner) = reverse::owner_in(&view.name, address) else { continue };
        let mut hosts: Vec<String> = Vec::new();
        match (view.local(), view.snapshot()) {
            (Some(zone), _) => hosts.extend(zone.rrset(&owner, RecordType::PTR).map(|entry| host(&entry.rdata))),
            (None, Some(snapshot)) => {
                let mut records = snapshot.records_at(&owner);
                while let Some(record) = records.advance() {
                    hosts.extend((record.rtype == RecordType::PTR).then(|| host(record.rdata)));
                }
            }
            (None, None) => {}
        }
        hosts.sort();
        let Some(first) = hosts.first() else { continue };
        let mut body = json!({
            "ip": address,
            "hostname": first,
            "zone_id": ids::text('d', view.uuid),
            "zone_name": view.name.without_dot(),
        });
        if hosts.len() > 1 {
            body["hostnames"] = json!(hosts);
        }
        return Ok(ok(&body));
    }
    Err(detail(StatusCode::NOT_FOUND, format!("No PTR for {address}")))
}
