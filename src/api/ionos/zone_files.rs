//! `/zones/{id}/zonefile`: a local zone as a zone file, and a zone file as the zone.

use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;

use super::managed_records::first_page;
use super::zonefile;
use super::zones::dry_run;
use crate::api::fault::{ErrorCode, Fault};
use crate::api::query::Params;
use crate::api::request::{Managed, Writer, read_body};
use crate::api::serve::Ends;
use crate::api::zone_file::{OCTETS_MAX, ZoneFile};
use crate::api::{Api, local};
use crate::control::local::Step;
use crate::local::Edit;

/// GET `/zones/{id}/zonefile`.
pub(super) async fn read(zone: Managed) -> Result<Response, Fault> {
    zonefile::answer(zone.view.snapshot())
}

/// PUT `/zones/{id}/zonefile`: the zone becomes what the file says, or every wrong line is named.
pub(super) async fn replace(
    State(api): State<Arc<Api>>,
    zone: Managed,
    Writer(caller): Writer,
    params: Params,
    ends: Option<axum::Extension<ConnectInfo<Ends>>>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Fault> {
    if !is_text(&headers) {
        let text = "The body must be a zone file; send 'Content-Type: text/plain'.";
        return Err(Fault::new(ErrorCode::UnsupportedMediaType, text));
    }
    let body = read_body(request, OCTETS_MAX).await?;
    if body.trim_ascii().is_empty() {
        // Read as a file it would take every record away; a client that lost its body means something else.
        return Err(Fault::new(ErrorCode::BadBody, "The body is empty; a zone file is expected."));
    }
    let apex = zone.zone.apex().clone();
    let read = tokio::task::spawn_blocking(move || ZoneFile::read(&body, Some(&apex))).await;
    let mut file = read.map_err(|_| Fault::new(ErrorCode::Internal, "The zone file could not be read."))??;
    let (soa, drafts) = (std::mem::take(&mut file.soa), std::mem::take(&mut file.drafts));
    let step = Step::Edit {
        zone: zone.definition.uuid,
        description: None,
        edits: vec![Edit::Attributes(soa), Edit::ReplaceAll(drafts)],
    };
    let outcome = local::step(&api, &caller, step, dry_run(&params)?).await;
    let outcome = outcome.map_err(|refused| file.at_line(refused))?;
    let base = api.settings().base_url(&headers, ends.map(|ends| ends.0.0));
    first_page(&api, Managed { view: zone.view, definition: outcome.definition, zone: outcome.zone }, base).await
}

/// A missing type is taken as text.
fn is_text(headers: &HeaderMap) -> bool {
    let Some(field) = headers.get(CONTENT_TYPE) else { return true };
    let essence = field.to_str().unwrap_or("").split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    essence.starts_with("text/") || essence == "application/octet-stream"
}
