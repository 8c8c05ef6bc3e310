//! `/zones/{id}/zonefile`: a local zone as a zone file, and a zone file as the zone.

use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;

use super::managed_records::first_page;
use super::refused;
use super::secondary_zones::sentence;
use super::zonefile;
use super::zones::dry_run;
use crate::api::fault::{ErrorCode, Fault, Message};
use crate::api::query::Params;
use crate::api::request::{Managed, Writer, read_body};
use crate::api::serve::Ends;
use crate::api::{Api, local};
use crate::control::local::{LocalRefused, Step};
use crate::dns::{Name, Record, RecordType, zonefile as text};
use crate::local::{AttributesPatch, Draft, Edit};
use crate::zone::Soa;

/// Octets of a zone file.
const ZONE_FILE_OCTETS_MAX: u64 = 32 << 20;

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
    let body = read_body(request, ZONE_FILE_OCTETS_MAX).await?;
    let apex = zone.zone.apex().clone();
    let read = tokio::task::spawn_blocking(move || File::read(&body, &apex)).await;
    let File { drafts, lines, soa } =
        read.map_err(|_| Fault::new(ErrorCode::Internal, "The zone file could not be read."))??;
    let step = Step::Edit {
        zone: zone.definition.uuid,
        description: None,
        edits: vec![Edit::Attributes(soa), Edit::ReplaceAll(drafts)],
    };
    let outcome = local::step(&api, &caller, step, dry_run(&params)?).await;
    let outcome = outcome.map_err(|refused| at_line(refused, &lines))?;
    let base = api.settings().base_url(&headers, ends.map(|ends| ends.0.0));
    first_page(Managed { view: zone.view, definition: outcome.definition, zone: outcome.zone }, base).await
}

/// A missing type is taken as text.
fn is_text(headers: &HeaderMap) -> bool {
    let Some(field) = headers.get(CONTENT_TYPE) else { return true };
    let essence = field.to_str().unwrap_or("").split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    essence.starts_with("text/") || essence == "application/octet-stream"
}

/// A zone file for one zone.
struct File {
    drafts: Vec<Draft>,
    /// Of each draft.
    lines: Vec<usize>,
    /// What its SOA says.
    soa: AttributesPatch,
}

impl File {
    fn read(body: &[u8], apex: &Name) -> Result<File, Fault> {
        let records = text::parse_numbered(body, apex).map_err(|errors| {
            let messages = errors.iter().map(|error| bad_line(error.line, &error.what.to_string())).collect();
            Fault::all(messages).unwrap_or_else(|| bad_file("The zone file could not be read."))
        })?;
        let mut file = File { drafts: Vec::new(), lines: Vec::new(), soa: AttributesPatch::default() };
        let (mut soa_line, mut wrong) = (None, Vec::new());
        for (line, Record { owner, rtype, ttl, rdata }) in records {
            if rtype != RecordType::SOA {
                file.drafts.push(Draft { ttl: Some(ttl), ..Draft::new(owner, rtype, rdata) });
                file.lines.push(line);
                continue;
            }
            if owner != *apex {
                wrong.push(bad_line(line, &format!("a SOA at {}, which is not the apex", owner.without_dot())));
            } else if let Some(first) = soa_line.replace(line) {
                wrong.push(bad_line(line, &format!("a second SOA; the first is in line {first}")));
            } else if let Some(soa) = Soa::parse(ttl, &rdata) {
                file.soa = AttributesPatch {
                    rname: Some(soa.rname),
                    timers: Some([soa.refresh, soa.retry, soa.expire, soa.minimum]),
                    serial: Some(soa.serial),
                    ..AttributesPatch::default()
                };
            }
        }
        match Fault::all(wrong) {
            None => Ok(file),
            Some(fault) => Err(fault),
        }
    }
}

fn bad_line(line: usize, what: &str) -> Message {
    Message { code: ErrorCode::BadZoneFile, text: format!("line {line}: {what}.").into() }
}

fn bad_file(text: &'static str) -> Fault {
    Fault::new(ErrorCode::BadZoneFile, text)
}

/// A refused record is a wrong line; other refusals are as everywhere.
fn at_line(refused: LocalRefused, lines: &[usize]) -> Fault {
    let LocalRefused::Edits { refused: edits, .. } = &refused else { return refused.into() };
    let messages = edits.iter().map(|edit| match lines.get(edit.item) {
        Some(line) if refused::code(&edit.why) != ErrorCode::Internal => bad_line(*line, &edit.why.to_string()),
        _ => Message { code: ErrorCode::BadZoneFile, text: sentence(&edit.why.to_string()).into() },
    });
    Fault::all(messages.collect()).unwrap_or_else(|| bad_file("The zone file was refused."))
}
