//! One table of endpoints, from which both the router and `/openapi.json` (OpenAPI 3.1) are made, so that what is served is
//! what is documented.
//!
//! A dialect lists its endpoints on [`Paths`]: path, [`Doc`], handler. Schemas of bodies stand in [`schemas`] by name.

pub mod schemas;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::routing::{self, MethodRouter};
use serde_json::{Map, Value, json};

use super::Api;

/// What an endpoint is for and what it takes and gives.
#[derive(Clone, Debug)]
pub struct Doc {
    id: &'static str,
    summary: &'static str,
    ok: u16,
    answer: Content,
    body: Option<Content>,
    params: &'static [&'static str],
}

/// The type and schema of a body.
#[derive(Clone, Copy, Debug)]
pub enum Content {
    /// JSON of the named schema.
    Json(&'static str),
    /// A zone file or other text.
    Text,
    /// No body.
    Nothing,
}

impl Doc {
    /// An endpoint that answers `ok` with JSON of the schema `answer`.
    pub fn new(id: &'static str, summary: &'static str, ok: u16, answer: &'static str) -> Doc {
        Doc { id, summary, ok, answer: Content::Json(answer), body: None, params: &[] }
    }

    /// It answers with text.
    pub fn text(self) -> Doc {
        Doc { answer: Content::Text, ..self }
    }

    /// It answers with an error only.
    pub fn refuses(self) -> Doc {
        Doc { answer: Content::Nothing, ..self }
    }

    /// It takes a body.
    pub fn body(self, body: Content) -> Doc {
        Doc { body: Some(body), ..self }
    }

    /// It takes these query parameters, described in [`schemas::parameter`].
    pub fn params(self, params: &'static [&'static str]) -> Doc {
        Doc { params, ..self }
    }

    /// The Operation Object.
    fn operation(&self, path: &str) -> Value {
        let in_path = path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
        let mut parameters: Vec<Value> = in_path.map(path_parameter).collect();
        parameters.extend(self.params.iter().map(|name| schemas::parameter(name)));
        let mut responses = Map::new();
        if !matches!(self.answer, Content::Nothing) {
            responses.insert(self.ok.to_string(), response("Done.", self.answer));
        }
        let error = match path {
            path if path.starts_with("/api/v1/") => "Detail",
            path if path.starts_with("/v1.0/") => "RackspaceFault",
            _ => "Error",
        };
        responses.insert("default".to_owned(), response("Refused; the body says why.", Content::Json(error)));
        let mut operation = json!({
            "operationId": self.id,
            "summary": self.summary,
            "parameters": parameters,
            "responses": responses,
        });
        if let Some(body) = self.body {
            operation["requestBody"] = json!({"required": true, "content": content(body)});
        }
        operation
    }
}

fn path_parameter(name: &str) -> Value {
    let schema = match name {
        "id" | "record" => json!({"type": "string", "format": "uuid"}),
        _ => json!({"type": "string"}),
    };
    json!({"name": name, "in": "path", "required": true, "schema": schema})
}

fn response(description: &str, body: Content) -> Value {
    match content(body) {
        Value::Null => json!({"description": description}),
        content => json!({"description": description, "content": content}),
    }
}

fn content(body: Content) -> Value {
    match body {
        Content::Json(name) => {
            json!({"application/json": {"schema": {"$ref": format!("#/components/schemas/{name}")}}})
        }
        Content::Text => json!({"text/plain": {"schema": {"type": "string"}}}),
        Content::Nothing => Value::Null,
    }
}

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
        self.document.extend(other.document);
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
        self.document.entry(path.to_owned()).or_default().insert(method.to_owned(), doc.operation(path));
        if self.is_slashed {
            self.router = self.router.route(&format!("{path}/"), handler.clone());
        }
        self.router = self.router.route(path, handler);
        self
    }

    /// The router, and the document of everything in it.
    pub fn finish(self) -> (Router<Arc<Api>>, String) {
        let document = json!({
            "openapi": "3.1.0",
            "info": {"title": "secondaryd", "version": env!("CARGO_PKG_VERSION")},
            "security": [{"bearer": []}, {"basic": []}],
            "paths": self.document,
            "components": {
                "securitySchemes": {
                    "bearer": {"type": "http", "scheme": "bearer"},
                    "basic": {"type": "http", "scheme": "basic"},
                },
                "schemas": schemas::all(),
            },
        });
        (self.router, document.to_string())
    }
}
