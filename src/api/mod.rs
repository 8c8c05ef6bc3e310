//! HTTP by axum: translation between the dialects of DNS APIs and the control side; no rule about zones lives here.
//!
//! In: requests on the sockets of `[api] listen`. Out: reads of the [`Board`](crate::control::status::Board), which
//! never wait for the keeper, and edits through [`control::Handle`](crate::control::Handle), which return once the
//! change is visible. Called by `daemon` only. Never touches a zone, the store or a DNS socket.
//!
//! ```text
//! serve ── sent ── negotiate ── bound_header ─┬─ /healthz /readyz /metrics /health…   native, open
//!                                             ├─ /openapi.json                       openapi, open
//!  (limits) (endings)   cors                  ├─ /                                   page, open
//!                                             └─ auth::require ─┬─ /secondaryzones…  ionos
//!                                                               ├─ /api/v1/…         reverse_zones
//!                                                               ├─ /v1.0/{account}/… rackspace
//!                                                               ├─ /transfers, …     native
//!                                                               └─ anything else     404, 405
//! ```
//!
//! Order of checks: 401, 404 or 405 of the route, 400 of the id, 404 of the object, 403, 400 of the body, 409.
//! HTTP follows RFC 9110; errors as `application/problem+json` follow RFC 9457.

pub mod auth;
pub mod content;
pub mod cors;
pub mod fault;
pub mod idempotency;
pub mod intent;
pub mod ionos;
pub mod listen;
pub mod local;
pub mod members;
pub mod names;
pub mod native;
pub mod openapi;
pub mod origin;
mod overload;
pub mod page;
mod places;
pub mod query;
pub mod rackspace;
pub mod rate;
pub mod request;
pub mod reverse_zones;
pub mod secondary;
pub mod selection;
pub mod serve;
pub mod settings;
pub mod tokens;
pub mod transferred;
pub mod validator;
pub mod zone_file;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tokio::sync::watch;

use self::fault::{ErrorCode, Fault};
use self::idempotency::Idempotency;
use self::openapi::{Doc, Paths};
use self::places::Places;
use self::rackspace::jobs::Jobs;
use self::rate::Rate;
use self::selection::Selections;
use self::settings::Settings;
use self::tokens::Tokens;
use crate::control::Handle;
use crate::telemetry;
use crate::time::Timestamp;

/// What `/readyz` says: `Err` tells what is still missing.
pub type Readiness = Box<dyn Fn() -> Result<(), String> + Send + Sync>;
/// Renders the metrics in Prometheus' text format.
pub type Metrics = Box<dyn Fn() -> String + Send + Sync>;

/// What all handlers share.
pub struct Api {
    control: Handle,
    settings: ArcSwap<Settings>,
    tokens: Tokens,
    rate: Rate,
    jobs: Jobs,
    idempotency: Idempotency,
    selections: Selections,
    /// Of this process, for tags.
    life: [u8; 16],
    /// How often the configuration was read.
    configured: AtomicU64,
    ready: Readiness,
    metrics: Metrics,
    /// Becomes true when the daemon stops, which ends waiting requests.
    stop: watch::Receiver<bool>,
    /// Places for event streams.
    streams: Arc<Places<rate::Key>>,
}

impl Api {
    /// `stop` is the signal that also stops [`serve::serve`]. Reads issued tokens, jobs and kept replies from disk; needs a
    /// runtime, in which it forgets those that have ended.
    pub fn new(
        control: Handle,
        settings: Settings,
        ready: Readiness,
        metrics: Metrics,
        stop: watch::Receiver<bool>,
    ) -> Arc<Api> {
        let now = Timestamp::now();
        let ((tokens, ended), (idempotency, also_ended)) =
            (Tokens::load(&control, now), Idempotency::load(&control, now));
        tokio::spawn(forget(control.clone(), [ended, also_ended].concat()));
        let jobs = Jobs::load(&control);
        let streams = Places::new(native::events::STREAMS_PER_CALLER_MAX, native::events::STREAMS_MAX);
        let (settings, rate) = (ArcSwap::from_pointee(settings), Rate::default());
        Arc::new(Api {
            control,
            settings,
            tokens,
            rate,
            jobs,
            idempotency,
            selections: Selections::default(),
            life: uuid::Uuid::new_v4().into_bytes(),
            configured: AtomicU64::new(0),
            ready,
            metrics,
            stop,
            streams,
        })
    }

    /// Takes over a reloaded configuration; requests that are under way end under the old one.
    pub fn reconfigure(&self, settings: Settings) {
        self.settings.store(Arc::new(settings));
        self.configured.fetch_add(1, Ordering::Release);
    }

    /// The line to the keeper.
    pub fn control(&self) -> &Handle {
        &self.control
    }

    /// The tokens that were issued.
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// Replies kept for repetitions.
    pub fn idempotency(&self) -> &Idempotency {
        &self.idempotency
    }

    /// What searches have found.
    pub fn selections(&self) -> &Selections {
        &self.selections
    }

    /// Tells this life of the process from others.
    pub fn life(&self) -> &[u8] {
        &self.life
    }

    /// Moves with each reload of the configuration.
    pub fn configured(&self) -> u64 {
        self.configured.load(Ordering::Acquire)
    }

    /// Who has asked how often.
    pub fn rate(&self) -> &Rate {
        &self.rate
    }

    /// The jobs of the Rackspace dialect.
    pub fn jobs(&self) -> &Jobs {
        &self.jobs
    }

    /// The configuration as of now.
    pub fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("settings", &self.settings.load()).finish_non_exhaustive()
    }
}

/// Takes what has ended off the disk, behind everything else.
async fn forget(control: Handle, names: Vec<String>) {
    for name in names {
        // What stays is found again at the next start.
        let _ = control.remember(name, None).await;
    }
}

/// All paths of the daemon, however their dialect lets clients spell them.
pub fn router(api: Arc<Api>) -> Router {
    // A layer of a router comes behind its choice of a route, so what changes the path stands around all of it.
    Router::new().fallback_service(routes(api)).layer(from_fn(rackspace::sent::routed))
}

/// The paths as they are documented.
pub fn routes(api: Arc<Api>) -> Router {
    let login = rackspace::open().router().layer(from_fn_with_state(api.clone(), rate::by_address));
    let open = open().router().merge(login).method_not_allowed_fallback(wrong_method);
    let guarded = guarded()
        .router()
        .method_not_allowed_fallback(wrong_method)
        .fallback(unknown_path)
        .layer(from_fn_with_state(api.clone(), validator::tag))
        .layer(from_fn_with_state(api.clone(), idempotency::keep))
        .layer(from_fn(intent::read))
        .layer(from_fn_with_state(api.clone(), auth::require));
    open.merge(guarded)
        .layer(from_fn(request::bound_header))
        .layer(from_fn(fault::negotiate))
        .layer(from_fn_with_state(api.clone(), cors::allow))
        .layer(from_fn(observe))
        .with_state(api)
}

/// What answers without a credential; [`rackspace::open`] gives one.
fn open() -> Paths {
    let doc = Doc::new("openapi", "This document", 200, "Document").open();
    native::open().and(page::paths()).get("/openapi.json", doc, document)
}

/// What needs one: inside [`auth::require`].
fn guarded() -> Paths {
    ionos::paths().and(reverse_zones::paths()).and(rackspace::paths()).and(native::guarded())
}

/// GET `/openapi.json`.
async fn document() -> Response {
    static DOCUMENT: LazyLock<String> = LazyLock::new(|| open().and(rackspace::open()).and(guarded()).document());
    ([(CONTENT_TYPE, "application/json")], DOCUMENT.as_str()).into_response()
}

/// axum adds the `Allow` field.
async fn wrong_method(request: Request) -> Fault {
    let text =
        format!("{} does not take {}; the Allow field says what it takes.", request.uri().path(), request.method());
    Fault::new(ErrorCode::MethodNotAllowed, text)
}

async fn unknown_path(request: Request) -> Fault {
    Fault::new(ErrorCode::PathNotFound, format!("There is nothing at {}.", request.uri().path()))
}

/// Outermost layer: log line, counter, and the header fields every response has.
async fn observe(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let started = std::time::Instant::now();
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    let status = response.status();
    metrics::counter!(telemetry::HTTP_REQUESTS, "status" => status.as_str().to_owned()).increment(1);
    let caller = response.extensions().get::<auth::Caller>();
    tracing::debug!(
        %method,
        path = ?path, // quoted and escaped: clients choose it
        status = status.as_u16(),
        tenant = caller.map(|c| &*c.tenant),
        user = caller.map(|c| &*c.user),
        duration_ms = started.elapsed().as_millis() as u64,
        "API request"
    );
    response
}
