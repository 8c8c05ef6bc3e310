//! `/status/{job}` and `/status`: what became of requests; and the reply that tells of a new job.

use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response as Reply;
use serde::Serialize;
use uuid::Uuid;

use super::call::{Call, flag, from_marker, lost, page};
use super::failure::Failure;
use super::jobs::{Details, Head, Jobs, Outcome, Response};
use super::shown::Link;
use super::xml::{Shown, Xml};
use crate::api::Api;
use crate::api::auth::Caller;
use crate::api::fault::{ErrorCode, Fault};
use crate::api::query::Params;
use crate::api::request::segment;
use crate::time::Timestamp;

/// Octets of details in one list, as they are stored; a page with more ends early, but has one job. They are made in memory.
const LISTED_OCTETS_MAX: usize = 4 << 20;
/// Parameters that links keep.
const FILTERS: [&str; 4] = ["showErrors", "showRunning", "showCompleted", "showDetails"];

/// A job as shown; what is not asked for is left out.
#[derive(Serialize)]
struct Job {
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<String>,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<Response>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verb: Option<String>,
    #[serde(rename = "jobId")]
    id: Uuid,
    #[serde(rename = "callbackUrl")]
    callback: String,
    #[serde(rename = "requestUrl", skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

impl Shown for Job {
    fn xml(&self, out: &mut Xml) {
        out.element("asyncResponse", |out| {
            out.optional("request", self.request.as_ref());
            out.text("status", self.status);
            if let Some(response) = &self.response {
                out.element("response", |out| response.xml(out));
            }
            if let Some(error) = &self.error {
                error.xml(out);
            }
            out.optional("verb", self.verb.as_ref());
            out.text("jobId", self.id);
            out.text("callbackUrl", &self.callback);
            out.optional("requestUrl", self.url.as_ref());
        });
    }
}

impl Job {
    /// Without details.
    fn short(call: &Call, head: &Head) -> Job {
        Job {
            request: None,
            status: if head.failed { "ERROR" } else { "COMPLETED" },
            response: None,
            error: None,
            verb: None,
            id: head.id,
            callback: format!("{}/status/{}", call.account_url, head.id),
            url: None,
        }
    }

    /// With what it has to tell.
    fn full(call: &Call, head: &Head, details: Details) -> Job {
        let (response, error) = match details.outcome {
            Outcome::Done => (None, None),
            Outcome::Response(response) => (Some(response), None),
            Outcome::Error(error) => (None, Some(error)),
        };
        Job {
            request: details.request,
            response,
            error,
            verb: Some(head.verb.clone()),
            url: details.url,
            ..Job::short(call, head)
        }
    }
}

/// Keeps the outcome of a request as a job, and tells of it.
///
/// The reply always says RUNNING, although the work is done: shell clients look for that word, and others would take a
/// finished job for one without result.
pub(super) async fn accepted(
    api: &Api,
    caller: &Caller,
    call: &Call,
    request: Option<String>,
    outcome: Outcome,
) -> Result<Reply, Fault> {
    let details = Details { url: Some(call.url.clone()), request, outcome };
    let head = api.jobs().keep(api.control(), &caller.tenant, &call.verb, &details, Timestamp::now()).await?;
    let running = Details { outcome: Outcome::Done, ..details };
    Ok(call.answer(StatusCode::ACCEPTED, &Job { status: "RUNNING", ..Job::full(call, &head, running) }))
}

/// The job in the path.
pub(super) struct Asked(Arc<Head>);

impl FromRequestParts<Arc<Api>> for Asked {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Asked, Fault> {
        let caller = Caller::from_request_parts(parts, api).await?;
        let id = segment(parts, api, "job").await;
        let head = Uuid::try_parse(&id).ok().and_then(|id| api.jobs().find(&caller.tenant, id));
        head.map(Asked).ok_or_else(job_not_found)
    }
}

fn job_not_found() -> Fault {
    Fault::new(ErrorCode::JobNotFound, "There is no job with this id.")
}

/// GET `/status/{job}`.
pub(super) async fn read(
    State(api): State<Arc<Api>>,
    Asked(head): Asked,
    call: Call,
    params: Params,
) -> Result<Reply, Fault> {
    if !flag(&params, "showDetails", false)? {
        return Ok(call.ok(&Job::short(&call, &head)));
    }
    let reading = tokio::task::spawn_blocking(move || {
        let details = Jobs::details(api.control(), &head);
        (head, details)
    });
    let (head, details) = reading.await.map_err(|_| lost("The reading of the job"))?;
    Ok(call.ok(&Job::full(&call, &head, details.ok_or_else(job_not_found)?)))
}

/// A page of jobs.
#[derive(Serialize)]
struct JobList {
    #[serde(rename = "asyncResponses")]
    jobs: Vec<Job>,
    #[serde(rename = "totalEntries")]
    total: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    links: Vec<Link>,
}

impl Shown for JobList {
    fn xml(&self, out: &mut Xml) {
        out.element("asyncResponses", |out| {
            out.text("totalEntries", self.total);
            self.jobs.iter().for_each(|job| job.xml(out));
            self.links.iter().for_each(|link| link.xml(out));
        });
    }
}

/// GET `/status`: the failed ones first, the newest first in each part. With details a page may end early; its link
/// leads to the rest.
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    call: Call,
    params: Params,
) -> Result<Reply, Fault> {
    let (errors, completed) = (flag(&params, "showErrors", true)?, flag(&params, "showCompleted", true)?);
    // No job is ever running when it can be asked for.
    flag(&params, "showRunning", true)?;
    let with_details = flag(&params, "showDetails", false)?;
    let mut heads = api.jobs().of_account(&caller.tenant);
    heads.retain(|head| if head.failed { errors } else { completed });
    let total = heads.len();
    let place = |id: &str| Uuid::try_parse(id).ok().and_then(|id| heads.iter().position(|head| head.id == id));
    let page = from_marker(page(&params)?, &params, place)?;
    let mut heads: Vec<Arc<Head>> = heads.into_iter().skip(page.offset).take(page.limit).collect();
    let mut links = call.links(page, total, &params, &FILTERS);
    let jobs = if with_details {
        let fitting = fitting(&heads);
        if let Some(behind) = heads.get(fitting) {
            links.retain(|link| link.rel != "next");
            let marker = behind.id.to_string();
            links.push(call.link("next", page.limit, (Some(&marker), 0), &params, &FILTERS));
            heads.truncate(fitting);
        }
        let call = call.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let full = |head: &Arc<Head>| Some(Job::full(&call, head, Jobs::details(api.control(), head)?));
            heads.iter().filter_map(full).collect()
        });
        reading.await.map_err(|_| lost("The reading of the jobs"))?
    } else {
        heads.iter().map(|head| Job::short(&call, head)).collect()
    };
    Ok(call.ok(&JobList { jobs, total, links }))
}

/// How many of these jobs a page with details holds.
fn fitting(heads: &[Arc<Head>]) -> usize {
    let mut octets = 0;
    let fits = |head: &&Arc<Head>| {
        octets += head.octets;
        octets <= LISTED_OCTETS_MAX
    };
    heads.iter().take_while(fits).count().max(1)
}
