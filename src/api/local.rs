//! Requests on local zones as every dialect makes them: who asks, for whom, with which name servers.

use super::Api;
use super::auth::Caller;
use super::intent::Intent;
use crate::control::local::{LocalOutcome, LocalRefused, LocalRequest, Step, StepOutcome};

/// Makes the steps, all or nothing. With `dry_run` everything is checked and nothing done.
pub async fn run(api: &Api, caller: &Caller, steps: Vec<Step>, dry_run: bool) -> Result<LocalOutcome, LocalRefused> {
    send(api, LocalRequest { dry_run, ..request(api, caller, steps) }).await
}

/// Also a dry run where the whole request is one.
async fn send(api: &Api, request: LocalRequest) -> Result<LocalOutcome, LocalRefused> {
    let intent = Intent::of_request();
    let dry_run = request.dry_run || intent.dry_run;
    let mark = intent.mark.clone().filter(|_| !dry_run);
    let outcome = api.control().local(LocalRequest { dry_run, mark, ..request }).await;
    if outcome.is_ok() && !dry_run {
        intent.note_written();
    }
    outcome
}

/// [`run`], but edits that may not be made are named in the outcome and the others made.
pub async fn run_good(
    api: &Api,
    caller: &Caller,
    steps: Vec<Step>,
    dry_run: bool,
) -> Result<LocalOutcome, LocalRefused> {
    send(api, LocalRequest { dry_run, keep_good: true, ..request(api, caller, steps) }).await
}

fn request(api: &Api, caller: &Caller, steps: Vec<Step>) -> LocalRequest {
    LocalRequest {
        tenant: caller.tenant.to_string(),
        user: caller.user.to_string(),
        name_servers: api.settings().nameservers.clone(),
        steps,
        keep_good: false,
        dry_run: false,
        mark: None,
    }
}

/// [`run`] with one step.
pub async fn step(api: &Api, caller: &Caller, step: Step, dry_run: bool) -> Result<StepOutcome, LocalRefused> {
    let outcome = run(api, caller, vec![step], dry_run).await?;
    Ok(outcome.steps.into_iter().next().expect("each step has its outcome"))
}
