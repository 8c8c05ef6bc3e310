//! The Rackspace dialect: Cloud DNS v1.0 below `/v1.0/{account}`, and the login of its Identity v2.0, `/v2.0/tokens`.
//!
//! Bodies are JSON or XML, in and out. Every request that changes something is done before the reply, and answered with a
//! job that tells its outcome ([`jobs`], `status`): what the body alone shows to be wrong is refused at once, what
//! collides with stored data fails in the job.
//!
//! | File | What |
//! | --- | --- |
//! | [`sent`] | endings, slashes, the format of the answer; around the router |
//! | `call`, `body`, `zone` | what handlers take out of a request |
//! | `shown`, `data`, `xml` | records, domains and lists as they are written |
//! | `drafts` | records as they are read |
//! | [`jobs`], `status`, `failure` | jobs kept, shown, and why they fail |
//! | [`fault`] | what is refused at once |
//! | `records`, `record_list`, `domains`, `new_domains`, … | the endpoints |

mod body;
mod call;
mod changes;
mod data;
mod domains;
mod drafts;
mod failure;
pub mod fault;
mod identity;
pub mod jobs;
mod limits;
mod new_domains;
mod rdns;
mod record_list;
mod records;
pub mod sent;
mod shown;
mod status;
mod xml;
mod zone;
mod zone_files;

use super::openapi::{Content, Doc, Paths};

pub use sent::{Format, Sent, is_foreign};

const PAGE: [&str; 2] = ["limit@cloud", "offset@cloud"];

/// What needs no token, because it gives one.
pub fn open() -> Paths {
    let login = Doc::new("tokensPost", "A token for user and API key or password", 200, "Access");
    let login = login.body(Content::Json("IdentityRequest")).open().fails(&[401, 429]);
    Paths::slashed().post("/v2.0/tokens", login, identity::login)
}

/// The endpoints below `/v1.0`.
pub fn paths() -> Paths {
    reverse_paths(job_paths(zone_file_paths(domain_paths(record_paths(Paths::default())))))
}

fn record_paths(paths: Paths) -> Paths {
    const RECORDS: &str = "/v1.0/{account}/domains/{domain}/records";
    const RECORD: &str = "/v1.0/{account}/domains/{domain}/records/{item}";
    let object = Content::Json("Object");
    let job = |id, summary| Doc::new(id, summary, 202, "RackspaceJob");
    paths
        .get(
            RECORDS,
            Doc::new("cloudRecordsList", "List and search records", 200, "RackspaceRecordList").params(&[
                PAGE[0],
                PAGE[1],
                "type@cloud",
                "name@cloud",
                "data",
            ]),
            record_list::list,
        )
        .post(RECORDS, job("cloudRecordsAdd", "Make records, all or none").body(object), records::create)
        .put(RECORDS, job("cloudRecordsUpdate", "Change records, all or none").body(object), records::change_many)
        .delete(
            RECORDS,
            job("cloudRecordsDelete", "Remove records, each on its own").params(&["id"]),
            records::remove_many,
        )
        .get(RECORD, Doc::new("cloudRecordShow", "Show a record", 200, "RackspaceRecord"), records::read)
        .put(RECORD, job("cloudRecordUpdate", "Change a record").body(object), records::change)
        .delete(RECORD, job("cloudRecordDelete", "Remove a record"), records::remove)
}

fn domain_paths(paths: Paths) -> Paths {
    const DOMAINS: &str = "/v1.0/{account}/domains";
    const DOMAIN: &str = "/v1.0/{account}/domains/{domain}";
    let object = Content::Json("Object");
    let job = |id, summary| Doc::new(id, summary, 202, "RackspaceJob");
    let list = |id, summary| Doc::new(id, summary, 200, "RackspaceDomainList");
    paths
        .get(
            DOMAINS,
            list("cloudDomainsList", "List domains of either kind").params(&[PAGE[0], PAGE[1], "name@cloud"]),
            domains::list,
        )
        .post(DOMAINS, job("cloudDomainsAdd", "Make domains, all or none").body(object), new_domains::create)
        .put(DOMAINS, job("cloudDomainsUpdate", "Change domains, all or none").body(object), domains::change_many)
        .delete(
            DOMAINS,
            job("cloudDomainsDelete", "Remove domains, each on its own").params(&["id", "deleteSubdomains"]),
            domains::remove_many,
        )
        .get(
            "/v1.0/{account}/domains/search",
            list("cloudDomainsSearch", "Search domains by a part of their name").params(&[
                PAGE[0],
                PAGE[1],
                "name@cloud",
            ]),
            domains::search,
        )
        .get(
            DOMAIN,
            Doc::new("cloudDomainShow", "Show a domain", 200, "RackspaceDomain").params(&[
                PAGE[0],
                PAGE[1],
                "showRecords",
                "showSubdomains",
            ]),
            domains::read,
        )
        .put(DOMAIN, job("cloudDomainUpdate", "Change a domain").body(object), domains::change)
        .delete(DOMAIN, job("cloudDomainDelete", "Remove a domain").params(&["deleteSubdomains"]), domains::remove)
        .get(
            "/v1.0/{account}/domains/{domain}/subdomains",
            list("cloudSubdomainsList", "List the domains below it").params(&PAGE),
            domains::subdomains,
        )
}

fn zone_file_paths(paths: Paths) -> Paths {
    let job = |id, summary| Doc::new(id, summary, 202, "RackspaceJob");
    paths
        .post(
            "/v1.0/{account}/domains/import",
            job("cloudDomainsImport", "Make domains of zone files").body(Content::Json("Object")),
            zone_files::import,
        )
        .get(
            "/v1.0/{account}/domains/{domain}/export",
            job("cloudDomainExport", "The zone file, in a job"),
            zone_files::export,
        )
        .get(
            "/v1.0/{account}/domains/{domain}/changes",
            Doc::new("cloudDomainChanges", "What was changed", 200, "Object").params(&[
                PAGE[0],
                PAGE[1],
                "since@cloud",
            ]),
            changes::list,
        )
        .post(
            "/v1.0/{account}/domains/{domain}/clone",
            job("cloudDomainClone", "Make a copy under another name").params(&[
                "cloneName",
                "cloneSubdomains",
                "modifyRecordData",
                "modifyEmailAddress",
                "modifyComment",
            ]),
            zone_files::clone,
        )
}

fn reverse_paths(paths: Paths) -> Paths {
    const RDNS: &str = "/v1.0/{account}/rdns";
    const SERVICE: &str = "/v1.0/{account}/rdns/{service}";
    let object = Content::Json("Object");
    let job = |id, summary| Doc::new(id, summary, 202, "RackspaceJob");
    let shown = |id, summary| Doc::new(id, summary, 200, "Object");
    paths
        .post(RDNS, job("cloudPtrsAdd", "Make PTRs of addresses, all or none").body(object), rdns::create)
        .put(RDNS, job("cloudPtrsUpdate", "Change PTRs, all or none").body(object), rdns::change)
        .get(SERVICE, shown("cloudPtrsList", "List PTRs of a service or a device").params(&["href"]), rdns::list)
        .delete(SERVICE, job("cloudPtrsDelete", "Remove PTRs").params(&["href", "ip"]), rdns::remove)
        .get("/v1.0/{account}/rdns/{service}/{item}", shown("cloudPtrShow", "Show a PTR"), rdns::read)
        .get("/v1.0/{account}/limits", shown("cloudLimits", "How much there may be"), limits::read)
        .get("/v1.0/{account}/limits/types", shown("cloudLimitTypes", "The types of limits"), limits::types)
        .get("/v1.0/{account}/limits/{type}", shown("cloudLimitsOfType", "The limits of one type"), limits::of_type)
}

fn job_paths(paths: Paths) -> Paths {
    paths
        .get(
            "/v1.0/{account}/status",
            Doc::new("cloudJobsList", "List jobs", 200, "Object").params(&[
                PAGE[0],
                PAGE[1],
                "showErrors",
                "showRunning",
                "showCompleted",
                "showDetails",
            ]),
            status::list,
        )
        .get(
            "/v1.0/{account}/status/{job}",
            Doc::new("cloudJobShow", "What became of a request", 200, "RackspaceJob").params(&["showDetails"]),
            status::read,
        )
}
