//! `/domains/{domain}/records` and `/domains/{domain}/records/{item}`: changing records, and showing one.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response as Reply;
use serde_json::Map;

use super::body::{Body, Members, check, check_count};
use super::call::{Call, lost};
use super::drafts::{draft, patch};
use super::failure::{Failure, Item};
use super::jobs::{Outcome, Response};
use super::status::accepted;
use super::zone::{RecordId, Zone, find_transferred, record_not_found, shown_record};
use crate::api::auth::Caller;
use crate::api::fault::{ErrorCode, Fault};
use crate::api::query::Params;
use crate::api::request::Writer;
use crate::api::{Api, local};
use crate::control::local::{LocalRefused, Step, StepOutcome};
use crate::local::{Edit, Refusal, Refused as RefusedEdit};

/// POST `/domains/{domain}/records`: all or none.
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    zone: Zone,
    Writer(caller): Writer,
    call: Call,
    body: Body,
) -> Result<Reply, Fault> {
    let apex = zone.managed()?.apex();
    let items = body.items("records")?;
    if items.is_empty() {
        return Err(Fault::new(ErrorCode::MissingValue, "records is empty."));
    }
    let mut wrong = Vec::new();
    let drafts: Vec<_> = items
        .into_iter()
        .enumerate()
        .map(|(index, item)| draft(item, format!("records[{index}]."), apex, &mut wrong))
        .collect();
    check(wrong)?;
    let edits = drafts.into_iter().flatten().map(Edit::Add).collect();
    let outcome = match zone.edit(&api, &caller, edits).await {
        Ok(outcome) => Outcome::Response(Response::Records { records: made(&outcome) }),
        Err(refused) => Outcome::Error(Failure::of(refused, |_, _| String::new())?),
    };
    accepted(&api, &caller, &call, Some(body.text), outcome).await
}

/// The records a step has made, in the order of the request.
pub(super) fn made(outcome: &StepOutcome) -> Vec<super::shown::Record> {
    outcome.entries.iter().flatten().map(|entry| shown_record(entry, &outcome.zone)).collect()
}

/// PUT `/domains/{domain}/records`: all or none.
pub(super) async fn change_many(
    State(api): State<Arc<Api>>,
    zone: Zone,
    Writer(caller): Writer,
    call: Call,
    body: Body,
) -> Result<Reply, Fault> {
    let local = zone.managed()?;
    let items = body.items("records")?;
    let (mut wrong, mut missing, mut ids, mut edits) = (Vec::new(), None, Vec::new(), Vec::new());
    for (index, item) in items.into_iter().enumerate() {
        let place = format!("records[{index}].");
        let mut members = Members::new(item, place.clone(), &mut wrong);
        let Some(id) = members.id() else {
            if members.given("id").is_none() {
                members.complain("id", "is missing");
            }
            continue;
        };
        match zone.entry(&id) {
            None => missing = missing.or(Some(id)),
            Some(entry) => {
                edits.extend(
                    patch(item, place, entry, local.apex(), &mut wrong).map(|patch| Edit::Update(entry.id, patch)),
                );
                ids.push(id);
            }
        }
    }
    check(wrong)?;
    let outcome = match missing {
        Some(id) => Outcome::Error(Failure::not_found(format!("The record with ID {id} was not found."))),
        None if edits.is_empty() => Outcome::Done,
        None => {
            let refused = |at: usize| (format!("records[{at}]."), ids[at].clone());
            done(zone.edit(&api, &caller, edits).await, refused)?
        }
    };
    accepted(&api, &caller, &call, Some(body.text), outcome).await
}

/// What became of edits; `record` gives the place in the body and the identity of the record that one is about. A bad value
/// is no outcome of a job, also where what the body leaves out makes it one.
fn done(
    outcome: Result<StepOutcome, LocalRefused>,
    record: impl Fn(usize) -> (String, String),
) -> Result<Outcome, Fault> {
    let refused = match outcome {
        Ok(_) => return Ok(Outcome::Done),
        Err(refused) => refused,
    };
    let mut wrong = Vec::new();
    if let LocalRefused::Edits { refused, .. } = &refused {
        for RefusedEdit { edit, why, .. } in refused {
            if let Refusal::Content(error) = why {
                Members::new(&Map::new(), record(*edit).0, &mut wrong).complain("data", error);
            }
        }
    }
    check(wrong)?;
    Ok(Outcome::Error(Failure::of(refused, |_, edit| record(edit).1)?))
}

/// PUT `/domains/{domain}/records/{item}`.
pub(super) async fn change(
    State(api): State<Arc<Api>>,
    zone: Zone,
    RecordId(id): RecordId,
    Writer(caller): Writer,
    call: Call,
    body: Body,
) -> Result<Reply, Fault> {
    let local = zone.managed()?;
    let entry = zone.entry(&id).ok_or_else(|| record_not_found(&id))?;
    let object = body.the_one("records", "record")?;
    let mut wrong = Vec::new();
    let mut members = Members::new(object, String::new(), &mut wrong);
    if let Some(given) = members.id()
        && given != id
    {
        members.complain("id", format_args!("is {given}, but the path names {id}"));
    }
    let patch = patch(object, String::new(), entry, local.apex(), &mut wrong);
    check(wrong)?;
    let edits = patch.map(|patch| Edit::Update(entry.id, patch)).into_iter().collect();
    let outcome = done(zone.edit(&api, &caller, edits).await, |_| (String::new(), id.clone()))?;
    accepted(&api, &caller, &call, Some(body.text), outcome).await
}

/// GET `/domains/{domain}/records/{item}`.
pub(super) async fn read(zone: Zone, RecordId(id): RecordId, call: Call) -> Result<Reply, Fault> {
    if let Some(local) = &zone.local {
        let entry = zone.entry(&id).ok_or_else(|| record_not_found(&id))?;
        return Ok(call.ok(&shown_record(entry, local)));
    }
    let missing = record_not_found(&id);
    let search = tokio::task::spawn_blocking(move || find_transferred(&zone, &id));
    let found = search.await.map_err(|_| lost("The search for the record"))?;
    Ok(call.ok(&found.ok_or(missing)?))
}

/// DELETE `/domains/{domain}/records/{item}`.
pub(super) async fn remove(
    State(api): State<Arc<Api>>,
    zone: Zone,
    RecordId(id): RecordId,
    Writer(caller): Writer,
    call: Call,
) -> Result<Reply, Fault> {
    zone.managed()?;
    let entry = zone.entry(&id).ok_or_else(|| record_not_found(&id))?;
    let outcome = done(zone.edit(&api, &caller, vec![Edit::Delete(entry.id)]).await, |_| (String::new(), id.clone()))?;
    accepted(&api, &caller, &call, None, outcome).await
}

/// DELETE `/domains/{domain}/records?id=..&id=..`: each on its own, what can be deleted is.
pub(super) async fn remove_many(
    State(api): State<Arc<Api>>,
    zone: Zone,
    Writer(caller): Writer,
    call: Call,
    params: Params,
) -> Result<Reply, Fault> {
    zone.managed()?;
    let ids = ids(&params)?;
    let (known, unknown): (Vec<&str>, Vec<&str>) = ids.iter().partition(|id| zone.entry(id).is_some());
    let edits: Vec<Edit> = known.iter().filter_map(|id| Some(Edit::Delete(zone.entry(id)?.id))).collect();
    let mut faults: Vec<Item> = unknown.iter().map(|id| not_there(id)).collect();
    faults.extend(remove_good(&api, &caller, &zone, &known, edits).await?);
    let outcome = if faults.is_empty() { Outcome::Done } else { Outcome::Error(Failure::some(faults)) };
    accepted(&api, &caller, &call, None, outcome).await
}

/// The `id` parameters: at least one, each once.
pub(super) fn ids(params: &Params) -> Result<Vec<&str>, Fault> {
    let mut ids: Vec<&str> = Vec::new();
    for id in params.all("id") {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    check_count(ids.len())?;
    if ids.is_empty() {
        return Err(Fault::bad_parameter("id", "must name at least one item"));
    }
    Ok(ids)
}

fn not_there(id: &str) -> Item {
    Item::not_found(format!("The record with ID {id} was not found."))
}

/// Makes the deletions that can be made; the others as items of the failure.
async fn remove_good(
    api: &Api,
    caller: &Caller,
    zone: &Zone,
    known: &[&str],
    edits: Vec<Edit>,
) -> Result<Vec<Item>, Fault> {
    if edits.is_empty() {
        return Ok(Vec::new());
    }
    let step = Step::Edit { zone: zone.view.uuid, description: None, edits };
    let outcome = local::run_good(api, caller, vec![step], false).await?;
    let refused = outcome.steps.into_iter().flat_map(|step| step.refused);
    Ok(refused.map(|refused| Failure::of_edit(&refused.why, || known[refused.edit].to_owned()).into()).collect())
}
