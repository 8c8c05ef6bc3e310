//! `/reverse-zones`: what zone a prefix has, making it, and listing what there is.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use ipnet::IpNet;
use serde::Serialize;

use super::body::Body;
use super::domains::default_ttl;
use super::refused::{Refused, bad, detail};
use super::{Domain, Paging, created, ok};
use crate::api::auth::Caller;
use crate::api::fault::Fault;
use crate::api::members::Members;
use crate::api::query::Params;
use crate::api::request::{Json, Writer};
use crate::api::selection::{self, Searched};
use crate::api::{Api, local};
use crate::control::local::{NewLocal, Step};
use crate::control::roster::{Kind, Named};
use crate::control::status::ZoneView;
use crate::dns::Name;
use crate::local::AttributesPatch;
use crate::refresh::ZoneState;
use crate::reverse;

#[derive(Serialize)]
struct Preview {
    zone_name: String,
    start_ip: IpAddr,
    end_ip: IpAddr,
    ip_count: u128,
    domain_type: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    exists: bool,
}

/// POST `/reverse-zones/preview`: nothing is changed.
pub(super) async fn preview(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Json(Members(sent)): Json<Members>,
) -> Result<Response, Refused> {
    let mut body = Body::new(&sent);
    let cidr = body.demand("cidr");
    body.done()?;
    let (prefix, name) = zone_of(cidr)?;
    let view = api.control().board().by_name(&name);
    Ok(ok(&Preview {
        zone_name: name.without_dot(),
        start_ip: prefix.network(),
        end_ip: prefix.broadcast(),
        ip_count: 1u128 << (prefix.max_prefix_len() - prefix.prefix_len()),
        domain_type: family(prefix),
        exists: view.and_then(|view| Domain::of(view, &caller)).is_some(),
    }))
}

pub(super) fn family(prefix: IpNet) -> &'static str {
    match prefix {
        IpNet::V4(_) => "reverse_ipv4",
        IpNet::V6(_) => "reverse_ipv6",
    }
}

/// The zone of a prefix as clients write it.
pub(super) fn zone_of(cidr: &str) -> Result<(IpNet, Name), Refused> {
    let prefix = reverse::parse_prefix(cidr).map_err(|wrong| bad(wrong.to_string()))?;
    let name = reverse::zone_name(prefix).map_err(|wrong| bad(wrong.to_string()))?;
    Ok((prefix, name))
}

/// POST `/reverse-zones`.
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    Writer(caller): Writer,
    Json(Members(sent)): Json<Members>,
) -> Result<Response, Refused> {
    let mut body = Body::new(&sent);
    let (cidr, ttl) = (body.demand("cidr"), body.number("default_ttl"));
    let description = body.text("description").unwrap_or_default();
    let delegate = body.flag("delegate_parent").unwrap_or(false);
    body.done()?;
    if delegate {
        return Err(detail(StatusCode::NOT_IMPLEMENTED, "delegate_parent is not in this version"));
    }
    let (_, name) = zone_of(cidr)?;
    let new = new_zone(name, description, ttl)?;
    make(&api, &caller, new).await
}

pub(super) fn new_zone(name: Name, description: &str, ttl: Option<i64>) -> Result<NewLocal, Refused> {
    let attributes = AttributesPatch { default_ttl: default_ttl(ttl)?, ..AttributesPatch::default() };
    let description = super::domains::description(description)?;
    Ok(NewLocal { uuid: None, name, description, attributes, edits: Vec::new() })
}

/// Makes a zone that is edited here; served when this returns.
pub(super) async fn make(api: &Api, caller: &Caller, new: NewLocal) -> Result<Response, Refused> {
    let outcome = local::step(api, caller, Step::Create(new), false).await?;
    // What the outcome says is shown, not the board: a tried zone is not there, and a new one may have changed already.
    let view = ZoneView::apart(outcome.definition, ZoneState::Available, Some(outcome.zone));
    let domain = Domain::of(view, caller).ok_or_else(|| Refused::from(Fault::zone_not_found()))?;
    Ok(created(&domain.detail(&api.settings()).pending()))
}

/// GET `/reverse-zones`, by name.
pub(super) async fn list(State(api): State<Arc<Api>>, caller: Caller, params: Params) -> Result<Response, Refused> {
    let paging = Paging::read(&params)?;
    let search = params.single("search")?.unwrap_or_default().to_lowercase();
    let with_secondary = params.flag("include_secondary")?.unwrap_or(false);
    let kind = if with_secondary { Kind::AnyReverse } else { Kind::LocalReverse };
    let zones = api.control().board().zones(&caller.tenant, kind);
    if search.is_empty() {
        return Ok(ok(&paging.ranks(&zones, &caller)));
    }
    let looked_at = zones.clone();
    // Neither names nor prefixes change under one version of the list.
    let searched = Searched::Zones(zones.clone(), 0);
    let found = selection::find(&api, searched, format!("prefixes {search}"), move || {
        let fits = |zone: &Named| {
            let name = &zone.0.name;
            let has_it = |prefix: IpNet| prefix.to_string().contains(&search);
            name.without_dot().contains(&search) || reverse::prefix_of(name).is_some_and(has_it)
        };
        looked_at.iter().enumerate().filter(|(_, zone)| fits(zone)).map(|(rank, _)| rank as u32).collect()
    });
    Ok(ok(&paging.positions(&zones, &found.await?, &caller)))
}
