//! `/health/zones`: are the zones well enough? One word, one HTTP status, and the zones that are not.
//!
//! Without a credential it gives the word and the numbers over all zones, as `/metrics` does, for load balancers that
//! cannot log in; with one, the zones of the caller's tenant that are not ok, by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::response::Response;
use serde_json::{Value, json as value};

use crate::api::fault::Fault;
use crate::api::ionos::json;
use crate::api::query::Params;
use crate::api::{Api, auth, origin};
use crate::control::health::Health;
use crate::control::status::{Board, ZoneStatus};
use crate::reason::{Code, StatusWord};
use crate::time::Timestamp;

/// Zones listed by name; the numbers count all.
const LISTED_MAX: usize = 1000;

/// GET `/health/zones`. 503 if a zone is at least as bad as `fail-on` says (default `expired`).
pub(super) async fn read(State(api): State<Arc<Api>>, params: Params, request: Request) -> Result<Response, Fault> {
    let now = Timestamp::now();
    let headers = request.headers();
    let caller = match headers.contains_key(AUTHORIZATION) {
        true => Some(auth::admit(&api, request.uri().path(), headers, origin::ends(&request))?),
        false => None,
    };
    let fail_on = params.single("fail-on")?.map_or(Ok(Health::Expired), limit)?;
    let (board, tenant) = (api.control().board().clone(), caller.map(|caller| caller.tenant.to_string()));
    // Every zone is looked at: with 100,000 of them too long for a thread that serves others.
    let (worst, body) = tokio::task::spawn_blocking(move || judge(&board, tenant.as_deref(), now))
        .await
        .map_err(|_| Fault::new(crate::api::fault::ErrorCode::Internal, "The zones could not be judged."))?;
    let status = if worst >= fail_on { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    Ok(json(status, &body))
}

fn limit(text: &str) -> Result<Health, Fault> {
    let health = Health::ALL.into_iter().filter(|health| *health > Health::Loading);
    health
        .into_iter()
        .find(|health| health.as_str() == text)
        .ok_or_else(|| Fault::bad_parameter("fail-on", "must be degraded, stale, expiring, unloaded or expired"))
}

fn judge(board: &Board, tenant: Option<&str>, now: Timestamp) -> (Health, Value) {
    let mut counts: BTreeMap<Health, u64> = Health::ALL.into_iter().map(|health| (health, 0)).collect();
    let mut zones = Vec::new();
    board.select(|view| {
        let zone = view.status();
        if tenant.is_none_or(|tenant| *zone.definition.tenant == *tenant) {
            let health = Health::of(&zone, now);
            *counts.entry(health).or_default() += 1;
            if tenant.is_some() && health != Health::Ok && zones.len() < LISTED_MAX {
                zones.push((health, listed(&zone, health, now)));
            }
        }
        false
    });
    let mut worst = counts.iter().rev().find(|(_, count)| **count > 0).map_or(Health::Ok, |(health, _)| *health);
    zones.sort_by_key(|(health, _)| std::cmp::Reverse(*health));
    let words: serde_json::Map<String, Value> =
        counts.iter().map(|(health, count)| (health.as_str().to_owned(), (*count).into())).collect();
    let mut body = value!({"status": worst, "zones": counts.values().sum::<u64>(), "counts": words});
    if let Some(why) = board.trouble() {
        worst = worst.max(Health::Degraded);
        body["status"] = value!(worst);
        // The system's words are for those who may see more.
        let message = if tenant.is_some() { why.as_str() } else { "see the log" };
        body["storage"] = value!({"errorCode": Code::StorageFailed, "errorMessage": message});
    }
    if tenant.is_some() {
        body["items"] = zones.into_iter().map(|(_, zone)| zone).collect();
    }
    (worst, body)
}

fn listed(zone: &ZoneStatus, health: Health, now: Timestamp) -> Value {
    let mut item = value!({
        "zoneId": zone.definition.uuid,
        "zoneName": zone.definition.name.without_dot(),
        "status": health,
        "href": format!("/secondaryzones/{}/explain", zone.definition.uuid),
    });
    if let Some(expires) = zone.expires {
        item["expires"] = expires.to_string().into();
        // Whole seconds; negative once it has expired.
        item["expiresInSeconds"] = ((expires.as_millis() as i64 - now.as_millis() as i64) / 1000).into();
    }
    if let Some(at) = zone.last_refresh {
        item["lastRefresh"] = at.to_string().into();
    }
    let failing = zone.primaries.iter().zip(&*zone.definition.primaries);
    let failing =
        failing.filter(|(shown, _)| matches!(shown.state.code.status(), StatusWord::Error | StatusWord::Lagging));
    item["failing"] = failing
        .map(|(shown, primary)| value!({"primary": primary.address.to_string(), "errorCode": shown.state.code}))
        .collect();
    item
}
