//! What a write says beside its body: `?dryRun=true`, and the mark under which its reply is kept (`Idempotency-Key`).
//!
//! A layer reads it once for all dialects; [`local`](super::local) and [`secondary`](super::secondary), through which every
//! change of zones goes, ask for it. So no handler can forget it, and what cannot be tried says so.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::Request;
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::fault::Fault;
use super::query::Params;
use crate::control::local::Mark;

tokio::task_local! {
    static INTENT: Intent;
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Intent {
    /// Check everything and do nothing.
    pub dry_run: bool,
    /// Goes into the batch of the write.
    pub mark: Option<Mark>,
    /// Whether something was written under the mark.
    is_written: Arc<AtomicBool>,
}

impl Intent {
    /// That of the request under way; none where a request has none, as in jobs.
    pub fn of_request() -> Intent {
        INTENT.try_with(Clone::clone).unwrap_or_default()
    }

    /// A write whose reply is kept.
    pub fn marked(mark: Mark) -> Intent {
        Intent { mark: Some(mark), ..Intent::default() }
    }

    /// The write has been made.
    pub fn note_written(&self) {
        self.is_written.store(true, Ordering::Relaxed);
    }

    /// Whether [`Intent::note_written`] was called for this request.
    pub fn is_written(&self) -> bool {
        self.is_written.load(Ordering::Relaxed)
    }

    /// Handles a request under this intent.
    pub async fn over<T>(self, handling: impl Future<Output = T>) -> T {
        INTENT.scope(self, handling).await
    }
}

/// Whether a method changes something.
pub fn is_write(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH | Method::DELETE)
}

/// Refuses `?dryRun=true` where something can only be done or left.
pub fn refuse_dry_run() -> Result<(), Fault> {
    if Intent::of_request().dry_run {
        return Err(Fault::bad_parameter("dryRun", "this command cannot be tried without being done"));
    }
    Ok(())
}

/// Layer inside the credential's.
pub async fn read(request: Request, next: Next) -> Response {
    if !is_write(request.method()) {
        return next.run(request).await;
    }
    let dry_run = Params::parse(request.uri().query().unwrap_or_default()).flag("dryRun");
    match dry_run.map(Option::unwrap_or_default) {
        Err(fault) => fault.into_response(),
        Ok(true) if request.uri().path().starts_with("/v1.0/") => {
            Fault::bad_parameter("dryRun", "this dialect has no trials").into_response()
        }
        Ok(dry_run) => Intent { dry_run, ..Intent::default() }.over(next.run(request)).await,
    }
}
