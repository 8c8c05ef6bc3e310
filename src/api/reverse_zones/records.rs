//! `/domains/{domain}/records`: records of any zone, contents as in zone files.

use std::collections::HashSet;
use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::body::Body;
use super::domains::ttl;
use super::refused::{Refused, bad, conflict, detail, unprocessable};
use super::shapes::Record;
use super::{Domain, created, gone, ids, ok};
use crate::api::auth::Caller;
use crate::api::fault::{ErrorCode, Fault};
use crate::api::ionos::json as response;
use crate::api::members::Members;
use crate::api::request::{Json, Writer, segment};
use crate::api::{Api, local, transferred};
use crate::control::local::{LocalRefused, Step, StepOutcome};
use crate::dns::{RecordType, presentation};
use crate::local::{self as rules, Draft, Edit, Entry, LocalZone, NewContent, Patch, Refused as RefusedEdit};

/// Items of one bulk request.
const ITEMS_MAX: usize = 1000;

/// The record in the path.
pub(super) struct Item(Option<Uuid>);

impl FromRequestParts<Arc<Api>> for Item {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Item, Self::Rejection> {
        Ok(Item(ids::read('r', &segment(parts, api, "item").await)))
    }
}

impl Item {
    /// The record, if it is in the zone, which is edited here.
    fn entry<'a>(&self, zone: &'a LocalZone) -> Result<&'a Arc<Entry>, Refused> {
        self.0.and_then(|id| zone.by_id(id)).ok_or_else(not_found)
    }
}

fn not_found() -> Refused {
    detail(StatusCode::NOT_FOUND, "Record not found")
}

/// A record as clients of this dialect write it.
fn draft(item: &mut Body<'_>) -> impl FnOnce(&LocalZone) -> Result<Draft, String> + use<> {
    let (name, rtype, content) = (item.demand("name"), item.demand("type"), item.demand("content"));
    let (given_ttl, disabled) = (item.number("ttl"), item.flag("disabled").unwrap_or(false));
    let (name, rtype, content) = (name.to_owned(), rtype.to_ascii_uppercase(), content.to_owned());
    move |zone| {
        let owner = rules::content::owner(&name, zone.apex()).map_err(|wrong| format!("name: {wrong}"))?;
        let rtype: RecordType = rtype.parse().map_err(|_| format!("type: {rtype:?} is no record type"))?;
        let rdata = rdata(rtype, &content)?;
        let ttl = ttl("ttl", given_ttl)?;
        Ok(Draft { ttl, enabled: !disabled, ..Draft::new(owner, rtype, rdata) })
    }
}

/// Contents are as in zone files; a text without quotes is taken as it is, names are absolute.
fn rdata(rtype: RecordType, content: &str) -> Result<Vec<u8>, String> {
    let wrong = |wrong: &dyn std::fmt::Display| format!("content: {wrong}");
    match rtype {
        RecordType::MX | RecordType::SRV | RecordType::URI => {
            presentation::parse(rtype, content, b"\0").map_err(|error| wrong(&error))
        }
        _ => rules::content::read(rtype, content, 0).map_err(|error| wrong(&error)),
    }
}

/// POST `/domains/{domain}/records`.
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    domain: Domain,
    Writer(caller): Writer,
    Json(Members(sent)): Json<Members>,
) -> Result<Response, Refused> {
    let zone = domain.managed()?;
    let mut body = Body::new(&sent);
    let draft = draft(&mut body);
    body.done()?;
    let outcome = edit(&api, &caller, &domain, Edit::Add(draft(zone).map_err(bad)?)).await?;
    shown(domain, &caller, &outcome).map(|record| created(&record))
}

/// GET `/domains/{domain}/records/{item}`.
pub(super) async fn read(domain: Domain, item: Item) -> Result<Response, Refused> {
    if let Some(zone) = &domain.local {
        return Ok(ok(&Record::of(item.entry(zone)?, &domain)));
    }
    let id = item.0.ok_or_else(not_found)?;
    let search = tokio::task::spawn_blocking(move || {
        let snapshot = domain.view.snapshot()?;
        let mut records = snapshot.records_from(0);
        while let Some(record) = records.advance() {
            if transferred::record_id(domain.view.uuid, record) == id {
                return Some(Record::transferred(record, &domain));
            }
        }
        None
    });
    let found = search.await.map_err(|_| Fault::new(ErrorCode::Internal, "The record could not be looked for"))?;
    Ok(ok(&found.ok_or_else(not_found)?))
}

/// PATCH `/domains/{domain}/records/{item}`: content, TTL, state.
pub(super) async fn change(
    State(api): State<Arc<Api>>,
    domain: Domain,
    Writer(caller): Writer,
    item: Item,
    Json(Members(sent)): Json<Members>,
) -> Result<Response, Refused> {
    let entry = item.entry(domain.managed()?)?;
    let mut body = Body::new(&sent);
    body.only(&["content", "ttl", "disabled"]);
    let (content, given_ttl, disabled) = (body.text("content"), body.number("ttl"), body.flag("disabled"));
    body.done()?;
    let content = content.map(|text| rdata(entry.rtype, text)).transpose().map_err(bad)?;
    let patch = Patch {
        rtype: Some(entry.rtype),
        content: content.map(|rdata| NewContent::Whole(rdata.into())),
        ttl: ttl("ttl", given_ttl).map_err(bad)?.map(Some),
        enabled: disabled.map(|disabled| !disabled),
        ..Patch::default()
    };
    let outcome = edit(&api, &caller, &domain, Edit::Update(entry.id, patch)).await?;
    shown(domain, &caller, &outcome).map(|record| ok(&record))
}

/// DELETE `/domains/{domain}/records/{item}`.
pub(super) async fn remove(
    State(api): State<Arc<Api>>,
    domain: Domain,
    Writer(caller): Writer,
    item: Item,
) -> Result<Response, Refused> {
    let id = item.entry(domain.managed()?)?.id;
    edit(&api, &caller, &domain, Edit::Delete(id)).await?;
    Ok(gone())
}

async fn edit(api: &Api, caller: &Caller, domain: &Domain, edit: Edit) -> Result<StepOutcome, LocalRefused> {
    let step = Step::Edit { zone: domain.view.uuid, description: None, edits: vec![edit] };
    local::step(api, caller, step, false).await
}

fn shown(domain: Domain, caller: &Caller, outcome: &StepOutcome) -> Result<Record, Refused> {
    let entry = outcome.entries.first().and_then(Option::as_ref);
    let entry = entry.ok_or_else(|| Fault::new(ErrorCode::Internal, "The change has no outcome"))?;
    let now = Domain::of(domain.view, caller).ok_or_else(not_found)?;
    Ok(Record::of(entry, &Domain { local: Some(outcome.zone.clone()), ..now }))
}

/// The items of a bulk request, and whether the good ones are wanted alone.
pub(super) type Items<'a> = (Vec<&'a Map<String, Value>>, bool);

/// Reads a bulk request: at least one item, at most [`ITEMS_MAX`].
pub(super) fn items<'a>(sent: &'a Map<String, Value>, name: &'a str) -> Result<Items<'a>, Refused> {
    let mut body = Body::new(sent);
    let list = body.list(name);
    if list.is_none_or(<[Value]>::is_empty) {
        body.missing(name);
    }
    let keep_good = body.flag("continue_on_error").unwrap_or(false);
    body.done()?;
    let list = list.unwrap_or_default();
    check_count(list.len())?;
    let objects: Option<Vec<&Map<String, Value>>> = list.iter().map(Value::as_object).collect();
    let wrong = || super::refused::Wrong::new(&["body", name], "value is not a list of objects", "type_error.list");
    Ok((objects.ok_or_else(|| unprocessable(vec![wrong()]))?, keep_good))
}

fn check_count(count: usize) -> Result<(), Refused> {
    if count > ITEMS_MAX {
        let text = format!("{count} items; at most {ITEMS_MAX} are taken at once");
        return Err(detail(StatusCode::PAYLOAD_TOO_LARGE, text));
    }
    Ok(())
}

/// One item that was not made.
pub(super) struct Failed {
    pub(super) index: usize,
    pub(super) code: &'static str,
    pub(super) message: String,
}

/// What became of a bulk request.
pub(super) struct Done {
    pub(super) entries: Vec<Arc<Entry>>,
    pub(super) failed: Vec<Failed>,
    pub(super) zone: Arc<LocalZone>,
}

impl Done {
    /// 201 if anything was made, 409 if collisions alone stood in the way, else 400.
    pub(super) fn status(&self) -> StatusCode {
        let is_collision = |failed: &Failed| matches!(failed.code, "exists" | "duplicate");
        if !self.entries.is_empty() {
            StatusCode::CREATED
        } else if self.failed.iter().all(is_collision) {
            StatusCode::CONFLICT
        } else {
            StatusCode::BAD_REQUEST
        }
    }
}

/// Makes all that is wanted or nothing; with `keep_good` all that can be made. Every objection is named either way.
pub(super) async fn put_many(
    api: &Api,
    caller: &Caller,
    domain: &Domain,
    wanted: Vec<Result<Draft, (&'static str, String)>>,
    keep_good: bool,
) -> Result<Done, Refused> {
    let (mut failed, mut indexes, mut edits) = (Vec::new(), Vec::new(), Vec::new());
    for (index, item) in wanted.into_iter().enumerate() {
        match item {
            Ok(draft) => {
                indexes.push(index);
                edits.push(Edit::Add(draft));
            }
            Err((code, message)) => failed.push(Failed { index, code, message }),
        }
    }
    let step = || vec![Step::Edit { zone: domain.view.uuid, description: None, edits: edits.clone() }];
    // An atomic request is tried first, so that every objection comes out and not the first alone.
    let tried = local::run_good(api, caller, step(), !keep_good).await?;
    let tried = tried.steps.into_iter().next().ok_or_else(not_found)?;
    failed.extend(tried.refused.iter().map(|refused| objection(refused, &indexes)));
    failed.sort_by_key(|failed| failed.index);
    let made = if keep_good {
        tried
    } else if !failed.is_empty() {
        return Ok(Done { entries: Vec::new(), failed, zone: tried.zone });
    } else {
        match local::run(api, caller, step(), false).await {
            Ok(outcome) => outcome.steps.into_iter().next().ok_or_else(not_found)?,
            // Somebody was faster than we between the trial and this.
            Err(LocalRefused::Edits { refused, .. }) => {
                let failed = refused.iter().map(|refused| objection(refused, &indexes)).collect();
                return Ok(Done { entries: Vec::new(), failed, zone: tried.zone });
            }
            Err(other) => return Err(other.into()),
        }
    };
    Ok(Done { entries: made.entries.into_iter().flatten().collect(), failed, zone: made.zone })
}

fn objection(refused: &RefusedEdit, indexes: &[usize]) -> Failed {
    let (code, message) = match conflict(&refused.why) {
        Some((_, message, _)) => ("exists", message),
        None => ("invalid", refused.why.to_string()),
    };
    Failed { index: indexes.get(refused.edit).copied().unwrap_or_default(), code, message }
}

/// POST `/domains/{domain}/records/bulk`.
pub(super) async fn bulk(
    State(api): State<Arc<Api>>,
    domain: Domain,
    Writer(caller): Writer,
    Json(Members(sent)): Json<Members>,
) -> Result<Response, Refused> {
    let zone = domain.managed()?;
    let (items, keep_good) = items(&sent, "records")?;
    let (mut wrong, mut wanted) = (Vec::new(), Vec::new());
    for (index, item) in items.iter().enumerate() {
        let mut body = Body::item(item, "records", index);
        let draft = draft(&mut body);
        wrong.extend(body.wrong());
        wanted.push(draft(zone).map_err(|text| ("invalid", text)));
    }
    if !wrong.is_empty() {
        return Err(unprocessable(wrong));
    }
    let done = put_many(&api, &caller, &domain, wanted, keep_good).await?;
    let status = done.status();
    let errors: Vec<Value> = done
        .failed
        .iter()
        .map(|failed| {
            let item = items[failed.index];
            json!({"index": failed.index, "name": item.get("name"), "type": item.get("type"),
                "code": failed.code, "message": failed.message})
        })
        .collect();
    let domain = Domain { local: Some(done.zone), ..domain };
    let records: Vec<Record> = done.entries.iter().map(|entry| Record::of(entry, &domain)).collect();
    let body = json!({
        "total_created": records.len(), "total_errors": errors.len(), "created": records, "errors": errors,
    });
    Ok(response(status, &body))
}

/// POST `/domains/{domain}/records/bulk-delete`.
pub(super) async fn bulk_delete(
    State(api): State<Arc<Api>>,
    domain: Domain,
    Writer(caller): Writer,
    Json(Members(sent)): Json<Members>,
) -> Result<Response, Refused> {
    let zone = domain.managed()?;
    let mut body = Body::new(&sent);
    let list = body.list("record_ids");
    if list.is_none_or(<[Value]>::is_empty) {
        body.missing("record_ids");
    }
    let keep_good = body.flag("continue_on_error").unwrap_or(false);
    body.done()?;
    let list = list.unwrap_or_default();
    check_count(list.len())?;
    // The items of the request that are deleted, each record once; an identity that comes again says nothing new.
    let (mut wanted, mut seen, mut errors) = (Vec::new(), HashSet::new(), Vec::new());
    let error = |index: usize, id: Value, message: &str| {
        (index, json!({"index": index, "id": id, "code": "invalid", "message": message}))
    };
    for (index, given) in list.iter().enumerate() {
        match given.as_str().and_then(|text| ids::read('r', text)).filter(|id| zone.by_id(*id).is_some()) {
            Some(id) if seen.insert(id) => wanted.push((index, id)),
            Some(_) => {}
            None if !keep_good => return Err(not_found()),
            None => errors.push(error(index, given.clone(), "Record not found")),
        }
    }
    let edits = wanted.iter().map(|(_, id)| Edit::Delete(*id)).collect();
    let steps = vec![Step::Edit { zone: domain.view.uuid, description: None, edits }];
    let outcome = match keep_good {
        true => local::run_good(&api, &caller, steps, false).await?,
        false => local::run(&api, &caller, steps, false).await?,
    };
    let refused: Vec<RefusedEdit> = outcome.steps.into_iter().flat_map(|step| step.refused).collect();
    for refused in &refused {
        let (index, id) = wanted[refused.edit];
        errors.push(error(index, ids::text('r', id).into(), &refused.why.to_string()));
    }
    errors.sort_by_key(|(index, _)| *index);
    let errors: Vec<Value> = errors.into_iter().map(|(_, error)| error).collect();
    let is_gone = |at: &usize| !refused.iter().any(|refused| refused.edit == *at);
    let deleted: Vec<String> = (0..wanted.len()).filter(is_gone).map(|at| ids::text('r', wanted[at].1)).collect();
    Ok(ok(&json!({
        "total_deleted": deleted.len(), "total_errors": errors.len(), "deleted": deleted, "errors": errors,
    })))
}
