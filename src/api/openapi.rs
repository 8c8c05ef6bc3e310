//! One table of endpoints, from which both the router and `/openapi.json` (OpenAPI 3.1) are made, so that what is served is
//! what is documented.
//!
//! A dialect lists its endpoints on [`Paths`]: path, [`Doc`], handler. What follows from the shape of an endpoint (a
//! credential, an id in the path, parameters, a body, a change) gives most of the statuses it can answer with; a [`Doc`]
//! names the others. Schemas of bodies stand in [`schemas`] by name, parameters in [`parameters`].

mod doc;
pub mod parameters;
pub mod schemas;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::routing::{self, MethodRouter};
use serde_json::{Map, Value, json};

use super::Api;

pub use doc::{Content, Doc};

/// Endpoints with their documentation.
#[derive(Default)]
pub struct Paths {
    router: Router<Arc<Api>>,
    document: BTreeMap<String, Map<String, Value>>,
    is_slashed: bool,
}

impl Paths {
    /// Endpoints that also answer with a final slash.
    pub fn slashed() -> Paths {
        Paths { is_slashed: true, ..Paths::default() }
    }

    /// Those of two dialects.
    pub fn and(mut self, other: Paths) -> Paths {
        self.router = self.router.merge(other.router);
        for (path, operations) in other.document {
            self.document.entry(path).or_default().extend(operations);
        }
        self
    }

    /// PATCH.
    pub fn patch<T: 'static>(self, path: &'static str, doc: Doc, handler: impl Handler<T, Arc<Api>>) -> Paths {
        self.add("patch", path, &doc, routing::patch(handler))
    }

    /// GET.
    pub fn get<T: 'static>(self, path: &'static str, doc: Doc, handler: impl Handler<T, Arc<Api>>) -> Paths {
        self.add("get", path, &doc, routing::get(handler))
    }

    /// POST.
    pub fn post<T: 'static>(self, path: &'static str, doc: Doc, handler: impl Handler<T, Arc<Api>>) -> Paths {
        self.add("post", path, &doc, routing::post(handler))
    }

    /// PUT.
    pub fn put<T: 'static>(self, path: &'static str, doc: Doc, handler: impl Handler<T, Arc<Api>>) -> Paths {
        self.add("put", path, &doc, routing::put(handler))
    }

    /// DELETE.
    pub fn delete<T: 'static>(self, path: &'static str, doc: Doc, handler: impl Handler<T, Arc<Api>>) -> Paths {
        self.add("delete", path, &doc, routing::delete(handler))
    }

    fn add(mut self, method: &str, path: &'static str, doc: &Doc, handler: MethodRouter<Arc<Api>>) -> Paths {
        self.document.entry(path.to_owned()).or_default().insert(method.to_owned(), doc.operation(method, path));
        if self.is_slashed {
            self.router = self.router.route(&format!("{path}/"), handler.clone());
        }
        self.router = self.router.route(path, handler);
        self
    }

    /// Everything that answers at these paths.
    pub fn router(self) -> Router<Arc<Api>> {
        self.router
    }

    /// The document of everything in it.
    pub fn document(&self) -> String {
        let document = json!({
            "openapi": "3.1.0",
            "info": {
                "title": "secondaryd",
                "version": env!("CARGO_PKG_VERSION"),
                "summary": "A secondary DNS server: zones, records, PTRs, and what every primary is doing and why",
                "license": {"name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT"},
            },
            "servers": [{"url": "/"}],
            "paths": self.document,
            "components": {
                "securitySchemes": {
                    "bearer": {"type": "http", "scheme": "bearer"},
                    "basic": {"type": "http", "scheme": "basic"},
                    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                    "authToken": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"},
                },
                "responses": doc::refusals(),
                "schemas": schemas::all(),
            },
        });
        document.to_string()
    }
}
