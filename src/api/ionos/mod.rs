//! The IONOS Cloud DNS dialect (1.18): `/secondaryzones` and below.
//!
//! Bodies are compact JSON with the members in the order of the original, because some clients read them with
//! regular expressions. Our own members stand behind those, where foreign decoders skip them. The exact success code
//! matters too: generated clients decode a body only under the code of the specification.

pub mod axfr;
pub mod collection;
mod login;
mod managed_records;
mod metadata;
pub mod primaries;
mod quota;
pub mod records;
mod refused;
mod replacing;
mod reverse_records;
pub mod secondary_zones;
mod zone_files;
pub mod zonefile;
mod zones;

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::{Serialize, Serializer};

use super::openapi::{Content, Doc, Paths};
use crate::time::Timestamp;

const PAGE: [&str; 2] = ["offset", "limit"];
const ZONE_LIST: &[&str] = &[PAGE[0], PAGE[1], "filter.state", "filter.zoneName"];
const RECORD_LIST: &[&str] = &[PAGE[0], PAGE[1], "filter.name", "filter.type", "filter.state"];
const ALL_RECORDS: &[&str] = &[PAGE[0], PAGE[1], "filter.zoneId", "filter.name", "filter.type", "filter.state"];
const TRANSFERRED: &[&str] = &[PAGE[0], PAGE[1], "filter.name", "filter.type"];
const REVERSE_LIST: &[&str] = &[PAGE[0], PAGE[1], "filter.recordIp"];
const DRY_RUN: &[&str] = &["dryRun"];
const MADE: &[&str] = &["Location"];

/// The endpoints of the dialect. The success codes are part of it: typed clients decode a body under theirs only.
pub fn paths() -> Paths {
    reverse_paths(local_paths(secondary_paths(Paths::default())))
        .get("/quota", Doc::new("quotaGet", "What the tenant may have and has", 200, "Quota"), quota::read)
        .get(
            "/auth/v1/tokens/generate",
            Doc::new("tokensGenerate", "A short-lived token", 200, "Token").params(&["ttl"]),
            login::generate,
        )
}

fn secondary_paths(paths: Paths) -> Paths {
    const LIST: &str = "/secondaryzones";
    const ONE: &str = "/secondaryzones/{id}";
    const AXFR: &str = "/secondaryzones/{id}/axfr";
    let body = Content::Json("SecondaryZoneRequest");
    let doc = |id, summary, ok| Doc::new(id, summary, ok, "SecondaryZone");
    let list = Doc::new("secondaryzonesGet", "List secondary zones", 200, "SecondaryZoneList").params(ZONE_LIST);
    let records = Doc::new("secondaryzonesRecordsGet", "List transferred records", 200, "TransferredRecords");
    let status = Doc::new("secondaryzonesAxfrGet", "Status of each primary", 202, "TransferStatus")
        .params(&["If-None-Match", "Prefer"])
        .fields(&["ETag"])
        .also(304, Content::Nothing);
    let start = Doc::new("secondaryzonesAxfrPut", "Start a transfer", 202, "Empty")
        .params(&["mode", "force", "wait"])
        .also(200, Content::Json("TransferStatus"));
    paths
        .get(LIST, list, secondary_zones::list)
        .post(
            LIST,
            doc("secondaryzonesPost", "Make a secondary zone", 202).body(body).fields(MADE).fails(&[409]),
            secondary_zones::create,
        )
        .get(ONE, doc("secondaryzonesFindById", "Show a secondary zone", 200), secondary_zones::read)
        .put(
            ONE,
            doc("secondaryzonesPut", "Replace or make it", 202)
                .body(Content::Json("SecondaryZoneReplace"))
                .fails(&[409]),
            secondary_zones::replace,
        )
        .delete(ONE, Doc::new("secondaryzonesDelete", "Remove it", 202, "Empty"), secondary_zones::remove)
        .get(AXFR, status, axfr::read)
        .put(AXFR, start, axfr::start)
        .get("/secondaryzones/{id}/records", records.params(TRANSFERRED), records::list)
        .get(
            "/secondaryzones/{id}/zonefile",
            Doc::new("secondaryzonesZonefileGet", "The served copy", 200, "").text(),
            zonefile::read,
        )
}

fn local_paths(paths: Paths) -> Paths {
    const ONE: &str = "/zones/{id}";
    const FILE: &str = "/zones/{id}/zonefile";
    const KEYS: &str = "/zones/{id}/keys";
    let zone = |id, summary, ok| Doc::new(id, summary, ok, "Zone");
    let put = |id, summary, body| zone(id, summary, 202).body(Content::Json(body)).params(DRY_RUN).fails(&[409]);
    let records = |id, summary| Doc::new(id, summary, 200, "RecordList");
    let keys = |id, summary| Doc::new(id, summary, 202, "Empty").refuses();
    let paths = paths
        .get("/zones", Doc::new("zonesGet", "List local zones", 200, "ZoneList").params(ZONE_LIST), zones::list)
        .post("/zones", put("zonesPost", "Make a local zone", "ZoneRequest").fields(MADE), zones::create)
        .get(ONE, zone("zonesFindById", "Show a local zone", 200), zones::read)
        .put(ONE, put("zonesPut", "Replace or make it", "ZoneReplace"), zones::replace)
        .delete(ONE, Doc::new("zonesDelete", "Remove it", 202, "Empty").params(DRY_RUN), zones::remove)
        .get(FILE, Doc::new("zonesZonefileGet", "The zone as a zone file", 200, "").text(), zone_files::read)
        .put(
            FILE,
            records("zonesZonefilePut", "The zone becomes what the file says")
                .body(Content::Text)
                .params(DRY_RUN)
                .fails(&[409]),
            zone_files::replace,
        )
        .get(KEYS, keys("zonesKeysGet", "DNSSEC keys: there are none"), quota::no_keys)
        .post(KEYS, keys("zonesKeysPost", "Sign the zone: not in this version").fails(&[501]), quota::no_signing)
        .delete(KEYS, keys("zonesKeysDelete", "Stop signing: there is nothing to stop"), quota::no_keys);
    record_paths(paths)
}

fn record_paths(paths: Paths) -> Paths {
    const RECORDS: &str = "/zones/{id}/records";
    const RECORD: &str = "/zones/{id}/records/{record}";
    let record = |id, summary, ok| Doc::new(id, summary, ok, "Record");
    let put = |id, summary| record(id, summary, 202).body(Content::Json("RecordRequest")).params(DRY_RUN).fails(&[409]);
    let list = |id, summary| Doc::new(id, summary, 200, "RecordList");
    let gone = Doc::new("zonesRecordsDelete", "Remove it", 202, "Empty").params(DRY_RUN).fails(&[409]);
    paths
        .get(RECORDS, list("zonesRecordsGet", "List its records").params(RECORD_LIST), managed_records::list)
        .post(RECORDS, put("zonesRecordsPost", "Make a record").fields(MADE), managed_records::create)
        .get(RECORD, record("zonesRecordsFindById", "Show a record", 200), managed_records::read)
        .put(RECORD, put("zonesRecordsPut", "Replace or make it"), managed_records::replace)
        .delete(RECORD, gone, managed_records::remove)
        .get("/records", list("recordsGet", "List records of all zones").params(ALL_RECORDS), managed_records::list_all)
}

fn reverse_paths(paths: Paths) -> Paths {
    const LIST: &str = "/reverserecords";
    const ONE: &str = "/reverserecords/{id}";
    let doc = |id, summary, ok| Doc::new(id, summary, ok, "ReverseRecord");
    let put = |id, summary, ok| {
        doc(id, summary, ok).body(Content::Json("ReverseRecordRequest")).params(DRY_RUN).fails(&[409])
    };
    let list = Doc::new("reverserecordsGet", "List PTRs of addresses", 200, "ReverseRecordList").params(REVERSE_LIST);
    let gone = Doc::new("reverserecordsDelete", "Remove it", 202, "Empty").params(DRY_RUN);
    paths
        .get(LIST, list, reverse_records::list)
        .post(LIST, put("reverserecordsPost", "Make the PTR of an address", 201).fields(MADE), reverse_records::create)
        .get(ONE, doc("reverserecordsFindById", "Show it", 200), reverse_records::read)
        .put(ONE, put("reverserecordsPut", "Replace or make it", 200), reverse_records::replace)
        .delete(ONE, gone, reverse_records::remove)
}

/// A response with a JSON body.
pub(in crate::api) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let text = serde_json::to_vec(body).expect("bodies hold only what JSON can hold");
    (status, [(CONTENT_TYPE, "application/json")], text).into_response()
}

/// The body `{}` of deletions and commands.
pub(in crate::api) fn accepted() -> Response {
    (StatusCode::ACCEPTED, [(CONTENT_TYPE, "application/json")], "{}").into_response()
}

/// A time as the dialect writes it: `2026-11-21T23:00:00.123Z`.
#[derive(Clone, Copy, Debug)]
pub(in crate::api) struct Date(pub(in crate::api) Timestamp);

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&self.0)
    }
}
