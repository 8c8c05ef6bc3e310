//! The reverse-zones dialect, `/api/v1`: reverse zones by prefix, the PTRs of addresses, domains and records.
//!
//! JSON only. Refusals are written by `refused`; faults of the layers around it (credential, path, method, body) get this
//! dialect's shape in [`fault::negotiate`](super::fault::negotiate). Identities are `d_` and `r_` with the base32 of a
//! UUID; plain UUIDs are taken too. Collections answer with and without a final slash.

mod body;
mod domains;
mod ids;
mod listing;
mod ptrs;
mod records;
mod refused;
mod shapes;
mod zones;

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use serde::Serialize;

use super::Api;
use super::auth::Caller;
use super::fault::{ErrorCode, Fault};
use super::ionos::json;
use super::openapi::{Content, Doc, Paths};
use super::query::Params;
use super::request::segment;
use super::transferred::is_edited_elsewhere;
use crate::control::definition::PRIMARY_PORT;
use crate::control::roster::Named;
use crate::control::status::{ZoneStatus, ZoneView};
use crate::local::LocalZone;
use crate::local::shelf::Shelf;

use refused::{Refused, detail};
use shapes::Shown;

const PAGED: &[&str] = &["page", "page_size", "search"];

/// The endpoints of the dialect.
pub fn paths() -> Paths {
    record_paths(domain_paths(ptr_paths(zone_paths(Paths::slashed()))))
}

fn zone_paths(paths: Paths) -> Paths {
    const ZONES: &str = "/api/v1/reverse-zones";
    const LIST: &[&str] = &["page", "page_size", "search", "include_secondary"];
    paths
        .get(ZONES, Doc::new("reverseZonesList", "List reverse zones", 200, "DomainPage").params(LIST), zones::list)
        .post(
            ZONES,
            Doc::new("reverseZonesCreate", "Make the reverse zone of a prefix", 201, "DomainDetail")
                .body(Content::Json("ReverseZoneRequest"))
                .fails(&[409, 501]),
            zones::create,
        )
        .post(
            "/api/v1/reverse-zones/preview",
            Doc::new("reverseZonesPreview", "What zone a prefix has", 200, "Preview")
                .body(Content::Json("PreviewRequest"))
                .is_read(),
            zones::preview,
        )
}

fn ptr_paths(paths: Paths) -> Paths {
    const PTRS: &str = "/api/v1/reverse-zones/{domain}/ptr";
    const PTR: &str = "/api/v1/reverse-zones/{domain}/ptr/{ip}";
    let ptr = |id, summary, ok| Doc::new(id, summary, ok, "Ptr");
    paths
        .get(PTRS, Doc::new("ptrList", "List the PTRs of a reverse zone", 200, "PtrPage").params(PAGED), ptrs::list)
        .post(PTRS, ptr("ptrCreate", "Make a PTR", 201).body(Content::Json("PtrRequest")).fails(&[409]), ptrs::create)
        .post(
            "/api/v1/reverse-zones/{domain}/ptr/bulk",
            Doc::new("ptrBulk", "Make many PTRs, all or none", 201, "PtrBulk")
                .body(Content::Json("PtrBulkRequest"))
                .also(400, Content::Json("PtrBulkRefused"))
                .also(409, Content::Json("PtrBulkRefused")),
            ptrs::bulk,
        )
        .patch(
            PTR,
            ptr("ptrChange", "Change the PTR of an address", 200).body(Content::Json("PtrChange")).fails(&[409]),
            ptrs::change,
        )
        .delete(PTR, ptr("ptrDelete", "Remove the PTRs of an address", 204).empty(), ptrs::remove)
        .get(
            "/api/v1/reverse-zones/lookup/{ip}",
            Doc::new("ptrLookup", "The PTR of an address", 200, "Lookup"),
            ptrs::lookup,
        )
}

fn domain_paths(paths: Paths) -> Paths {
    const DOMAINS: &str = "/api/v1/domains";
    const DOMAIN: &str = "/api/v1/domains/{domain}";
    const LIST: &[&str] = &["page", "page_size", "search", "status@domains", "domain_type", "dnssec_enabled"];
    let detail = |id, summary, ok| Doc::new(id, summary, ok, "DomainDetail");
    let paths = paths
        .get(DOMAINS, Doc::new("domainsList", "List domains", 200, "DomainPage").params(LIST), domains::list)
        .post(
            DOMAINS,
            detail("domainsCreate", "Make a domain", 201).body(Content::Json("DomainRequest")).fails(&[409]),
            domains::create,
        )
        .get(DOMAIN, detail("domainsRead", "Show a domain", 200), domains::read)
        .patch(
            DOMAIN,
            detail("domainsChange", "Change a domain", 200).body(Content::Json("DomainChange")).fails(&[409]),
            domains::change,
        )
        .delete(DOMAIN, detail("domainsDelete", "Remove a domain", 204).empty(), domains::remove)
        .get(
            "/api/v1/domains/{domain}/export",
            Doc::new("domainsExport", "The zone file in JSON", 200, "Export"),
            domains::export,
        )
        .get(
            "/api/v1/domains/{domain}/export/download",
            Doc::new("domainsDownload", "The zone file", 200, "").text().fields(&["Content-Disposition"]),
            domains::download,
        );
    validation_paths(paths)
}

/// What domains do not need here, or this version does not do.
fn validation_paths(paths: Paths) -> Paths {
    const VALIDATION: &str = "/api/v1/domains/{domain}/validation";
    let refused = |id, summary| Doc::new(id, summary, 200, "Null").refuses();
    paths
        .post(
            "/api/v1/domains/{domain}/restore",
            refused("domainsRestore", "Not in this version").fails(&[501]),
            domains::not_built,
        )
        .post(
            "/api/v1/domains/{domain}/import/text",
            refused("domainsImport", "Not in this version").fails(&[501]),
            domains::not_built,
        )
        .get(
            VALIDATION,
            Doc::new("validationRead", "Domains need no validation: null", 200, "Null"),
            domains::validation,
        )
        .post(VALIDATION, refused("validationCreate", "Domains need no validation").fails(&[409]), domains::validate)
        .delete(VALIDATION, refused("validationDelete", "There is none"), domains::no_validation)
        .post(
            "/api/v1/domains/{domain}/validation/check",
            refused("validationCheck", "There is none"),
            domains::no_validation,
        )
}

fn record_paths(paths: Paths) -> Paths {
    const RECORDS: &str = "/api/v1/domains/{domain}/records";
    const RECORD: &str = "/api/v1/domains/{domain}/records/{item}";
    const LIST: &[&str] = &["type@records", "name@records", "include_system", "page", "page_size@records"];
    let record = |id, summary, ok| Doc::new(id, summary, ok, "ZoneRecord");
    paths
        .get(RECORDS, Doc::new("recordsList", "List records", 200, "ZoneRecordList").params(LIST), listing::list)
        .post(
            RECORDS,
            record("recordsCreate", "Make a record", 201).body(Content::Json("ZoneRecordRequest")).fails(&[409]),
            records::create,
        )
        .get(RECORD, record("recordsRead", "Show a record", 200), records::read)
        .patch(
            RECORD,
            record("recordsChange", "Change a record", 200).body(Content::Json("ZoneRecordChange")).fails(&[409]),
            records::change,
        )
        .delete(RECORD, record("recordsDelete", "Remove a record", 204).empty().fails(&[409]), records::remove)
        .post(
            "/api/v1/domains/{domain}/records/bulk",
            Doc::new("recordsBulk", "Make many records, all or none", 201, "RecordBulk")
                .body(Content::Json("RecordBulkRequest"))
                .also(400, Content::Json("RecordBulkRefused"))
                .also(409, Content::Json("RecordBulkRefused")),
            records::bulk,
        )
        .post(
            "/api/v1/domains/{domain}/records/bulk-delete",
            Doc::new("recordsBulkDelete", "Remove many records, all or none", 200, "BulkDelete")
                .body(Content::Json("BulkDeleteRequest"))
                .fails(&[409]),
            records::bulk_delete,
        )
}

/// The zone that a segment of a path names.
pub fn domain_id(text: &str) -> Option<uuid::Uuid> {
    ids::read('d', text)
}

/// The caller's zone named in the path, of either kind, as it stood when the request came.
#[derive(Clone)]
pub(super) struct Domain {
    view: Arc<ZoneView>,
    status: Arc<ZoneStatus>,
    local: Option<Arc<LocalZone>>,
}

impl Domain {
    /// What stands at this place of the board, if it is the caller's.
    fn of(view: Arc<ZoneView>, caller: &Caller) -> Option<Domain> {
        let status = view.status();
        let local = view.local();
        (*status.definition.tenant == *caller.tenant).then_some(Domain { view, status, local })
    }

    /// Its contents, if they are edited here; else why not.
    fn managed(&self) -> Result<&Arc<LocalZone>, Refused> {
        self.local.as_ref().ok_or_else(|| {
            let text = is_edited_elsewhere(&self.status.definition, PRIMARY_PORT);
            detail(StatusCode::FORBIDDEN, text)
        })
    }
}

impl FromRequestParts<Arc<Api>> for Domain {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Domain, Fault> {
        let caller = Caller::from_request_parts(parts, api).await?;
        let text = segment(parts, api, "domain").await;
        let view = ids::read('d', &text).and_then(|uuid| api.control().board().by_uuid(uuid));
        let domain = view.and_then(|view| Domain::of(view, &caller));
        domain.ok_or_else(|| Fault::new(ErrorCode::ZoneNotFound, "Zone not found"))
    }
}

/// Which page of a list is wanted.
#[derive(Clone, Copy)]
struct Paging {
    page: usize,
    size: usize,
}

const PAGE_SIZE: usize = 50;
const PAGE_SIZE_MAX: usize = 100;

/// One page as this dialect writes it.
#[derive(Serialize)]
struct Listed<T> {
    data: Vec<T>,
    total: usize,
    page: usize,
    page_size: usize,
    total_pages: usize,
}

impl Paging {
    fn read(params: &Params) -> Result<Paging, Refused> {
        Paging::bounded(params, PAGE_SIZE, PAGE_SIZE_MAX)
    }

    fn bounded(params: &Params, size: usize, size_max: usize) -> Result<Paging, Refused> {
        let number = |name: &str, max: usize, default: usize| {
            params.number(name, 1..=max, default).map_err(|_| {
                let text = format!("value must be a whole number from 1 to {max}");
                refused::unprocessable(vec![refused::Wrong::new(&["query", name], text, "value_error")])
            })
        };
        Ok(Paging { page: number("page", i32::MAX as usize, 1)?, size: number("page_size", size_max, size)? })
    }

    fn skipped(self) -> usize {
        (self.page - 1).saturating_mul(self.size)
    }

    /// The page of `total` items that `data` are.
    fn of<T>(self, total: usize, data: Vec<T>) -> Listed<T> {
        Listed { data, total, page: self.page, page_size: self.size, total_pages: total.div_ceil(self.size) }
    }

    /// The part of `found` that stands on the page.
    fn cut<T>(self, found: &[T]) -> &[T] {
        let rest = found.get(self.skipped()..).unwrap_or_default();
        &rest[..rest.len().min(self.size)]
    }

    /// The page of all `zones`.
    fn ranks(self, zones: &Shelf<Named>, caller: &Caller) -> Listed<Shown> {
        let on_page = zones.from(self.skipped()).take(self.size);
        let domains = on_page.filter_map(|zone| Domain::of(zone.0.clone(), caller));
        self.of(zones.len(), domains.map(|domain| domain.shown()).collect())
    }

    /// The page of the `found` ones among `zones`.
    fn positions(self, zones: &Shelf<Named>, found: &[u32], caller: &Caller) -> Listed<Shown> {
        let on_page = self.cut(found).iter().filter_map(|rank| zones.from(*rank as usize).next());
        let domains = on_page.filter_map(|zone| Domain::of(zone.0.clone(), caller));
        self.of(found.len(), domains.map(|domain| domain.shown()).collect())
    }
}

/// 204.
fn gone() -> Response {
    axum::response::IntoResponse::into_response(StatusCode::NO_CONTENT)
}

fn ok(body: &impl Serialize) -> Response {
    json(StatusCode::OK, body)
}

fn created(body: &impl Serialize) -> Response {
    json(StatusCode::CREATED, body)
}
