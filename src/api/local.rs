//! Requests on local zones as every dialect makes them: who asks, for whom, with which name servers.

use super::Api;
use super::auth::Caller;
use crate::control::local::{LocalOutcome, LocalRefused, LocalRequest, Step, StepOutcome};

/// Makes the steps, all or nothing. With `dry_run` everything is checked and nothing done.
pub async fn run(api: &Api, caller: &Caller, steps: Vec<Step>, dry_run: bool) -> Result<LocalOutcome, LocalRefused> {
    api.control().local(LocalRequest { dry_run, ..request(api, caller, steps) }).await
}

/// [`run`], but edits that may not be made are named in the outcome and the others made.
pub async fn run_good(
    api: &Api,
    caller: &Caller,
    steps: Vec<Step>,
    dry_run: bool,
) -> Result<LocalOutcome, LocalRefused> {
    api.control().local(LocalRequest { dry_run, keep_good: true, ..request(api, caller, steps) }).await
}

fn request(api: &Api, caller: &Caller, steps: Vec<Step>) -> LocalRequest {
    LocalRequest {
        tenant: caller.tenant.to_string(),
        user: caller.user.to_string(),
        name_servers: api.settings().nameservers.clone(),
        steps,
        keep_good: false,
        dry_run: false,
    }
}

/// [`run`] with one step.
pub async fn step(api: &Api, caller: &Caller, step: Step, dry_run: bool) -> Result<StepOutcome, LocalRefused> {
    let outcome = run(api, caller, vec![step], dry_run).await?;
    Ok(outcome.steps.into_iter().next().expect("each step has its outcome"))
}
