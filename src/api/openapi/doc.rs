//! What an endpoint says about itself, and the Operation Object that comes of it.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::parameters;
use crate::api::validator;

/// What an endpoint is for and what it takes and gives.
#[derive(Clone, Debug)]
pub struct Doc {
    id: &'static str,
    summary: &'static str,
    ok: u16,
    answer: Content,
    body: Option<Content>,
    params: &'static [&'static str],
    fails: &'static [u16],
    also: Vec<(u16, Content)>,
    fields: &'static [&'static str],
    login: Login,
    is_read: bool,
}

/// The type and schema of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// JSON of the named schema.
    Json(&'static str),
    /// A zone file or other text.
    Text,
    /// JSON of the named schema, or text for those who ask for it.
    JsonOrText(&'static str),
    /// A page for browsers.
    Html,
    /// Server-Sent Events.
    Events,
    /// No body.
    Nothing,
    /// There is no such answer.
    Never,
}

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Login {
    /// Those with a credential.
    Needed,
    /// Everybody; those with a credential see more.
    Taken,
    /// Everybody.
    Ignored,
}

impl Doc {
    /// An endpoint that answers `ok` with JSON of the schema `answer`.
    pub fn new(id: &'static str, summary: &'static str, ok: u16, answer: &'static str) -> Doc {
        Doc {
            id,
            summary,
            ok,
            answer: Content::Json(answer),
            body: None,
            params: &[],
            fails: &[],
            also: Vec::new(),
            fields: &[],
            login: Login::Needed,
            is_read: false,
        }
    }

    /// It answers with text.
    pub fn text(self) -> Doc {
        self.answers(Content::Text)
    }

    /// It answers without a body.
    pub fn empty(self) -> Doc {
        self.answers(Content::Nothing)
    }

    /// It answers with an error only.
    pub fn refuses(self) -> Doc {
        self.answers(Content::Never)
    }

    /// It answers with this.
    pub fn answers(self, answer: Content) -> Doc {
        Doc { answer, ..self }
    }

    /// It takes a body.
    pub fn body(self, body: Content) -> Doc {
        Doc { body: Some(body), ..self }
    }

    /// It takes these parameters, described in [`parameters::parameter`].
    pub fn params(self, params: &'static [&'static str]) -> Doc {
        Doc { params, ..self }
    }

    /// It also refuses with these statuses, beside those that follow from its shape.
    pub fn fails(self, fails: &'static [u16]) -> Doc {
        Doc { fails, ..self }
    }

    /// It also answers `status` with this, which may be no refusal.
    pub fn also(mut self, status: u16, answer: Content) -> Doc {
        self.also.push((status, answer));
        self
    }

    /// Its good answer has these header fields.
    pub fn fields(self, fields: &'static [&'static str]) -> Doc {
        Doc { fields, ..self }
    }

    /// It needs no credential.
    pub fn open(self) -> Doc {
        Doc { login: Login::Ignored, ..self }
    }

    /// It shows more to those with a credential.
    pub fn open_to_all(self) -> Doc {
        Doc { login: Login::Taken, ..self }
    }

    /// It changes nothing, although its method could.
    pub fn is_read(self) -> Doc {
        Doc { is_read: true, ..self }
    }

    /// The Operation Object.
    pub(super) fn operation(&self, method: &str, path: &str) -> Value {
        let in_path = path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
        let mut shown: Vec<Value> = in_path.map(|name| parameters::in_path(name, path)).collect();
        let layers = self.layers(method, path);
        let named = self.params.iter().chain(layers.params.iter().filter(|name| !self.params.contains(name)));
        shown.extend(named.map(|name| parameters::parameter(name)));
        let shape = Shape::of(path);
        let speaks_xml = path.starts_with("/v1.0/");
        let mut responses = Map::new();
        for status in self.refusals(method, path).into_iter().chain(layers.fails) {
            let name = shape.refusal(status);
            responses.insert(status.to_string(), json!({"$ref": format!("#/components/responses/{name}")}));
        }
        let unchanged = layers.is_tagged.then_some((304, Content::Nothing));
        for (status, answer) in self.also.iter().copied().chain(unchanged) {
            responses.insert(status.to_string(), response(status, answer, &[]));
        }
        if self.answer != Content::Never {
            let fields: Vec<&str> = self.fields.iter().chain(&layers.fields).copied().collect();
            let mut good = response(self.ok, self.answer, &fields);
            if speaks_xml {
                good["content"]["application/xml"] = json!({"schema": {}});
            }
            responses.insert(self.ok.to_string(), good);
        }
        let mut operation = json!({
            "operationId": self.id,
            "summary": self.summary,
            "tags": [shape.tag],
            "security": self.security(shape),
            "parameters": shown,
            "responses": responses,
        });
        if let Some(body) = self.body {
            operation["requestBody"] = json!({"required": true, "content": content(body)});
            if speaks_xml {
                operation["requestBody"]["content"]["application/xml"] = json!({"schema": {}});
            }
        }
        operation
    }

    /// What layers around many endpoints take and add.
    fn layers(&self, method: &str, path: &str) -> Layers {
        let mut layers = Layers::default();
        if self.login != Login::Needed || path.starts_with("/v1.0/") {
            return layers;
        }
        if method == "get" && validator::has_tag(path) {
            layers.params.push("If-None-Match");
            layers.fields.push("ETag");
            layers.is_tagged = true;
        }
        if method != "get" {
            layers.params.push("dryRun");
            layers.fails.push(400);
        }
        if method == "post" {
            layers.params.push("Idempotency-Key");
            layers.fields.push("Idempotent-Replayed");
            // The body is read whole, to tell one request from another; a key that was used is a conflict.
            layers.fails.extend([408, 409, 413]);
        }
        layers
    }

    fn security(&self, shape: Shape) -> Value {
        let mut schemes: Vec<Value> = shape.schemes.iter().map(|scheme| json!({(*scheme): []})).collect();
        match self.login {
            Login::Needed => {}
            Login::Taken => schemes.insert(0, json!({})),
            Login::Ignored => schemes.clear(),
        }
        schemes.into()
    }

    /// What follows from the shape of the endpoint, and what it names itself.
    fn refusals(&self, method: &str, path: &str) -> BTreeSet<u16> {
        // Too long a target or header, our fault, and the end of the daemon can come anywhere.
        let mut statuses = BTreeSet::from([414, 431, 500, 503]);
        if self.login != Login::Ignored {
            // The latter with a configured rate limit only.
            statuses.extend([401, 429]);
        }
        if self.login == Login::Needed && method != "get" && !self.is_read {
            statuses.insert(403);
        }
        if path.contains('{') {
            statuses.insert(404);
        }
        let has_id = path.contains("zones/{id}") || path.contains("records/{id}") || path.ends_with("/{ip}");
        if has_id || path.starts_with("/v1.0/") || !self.params.is_empty() || self.body.is_some() {
            statuses.insert(400);
        }
        if self.body.is_some() {
            statuses.extend([408, 413, 415]);
        }
        let has_page = self.params.contains(&"page");
        if path.starts_with("/api/v1/") && (has_page || self.body.is_some()) {
            statuses.insert(422);
        }
        statuses.extend(self.fails);
        statuses
    }
}

#[derive(Default)]
struct Layers {
    params: Vec<&'static str>,
    fields: Vec<&'static str>,
    fails: Vec<u16>,
    is_tagged: bool,
}

/// What the endpoints of a dialect have in common.
#[derive(Clone, Copy)]
struct Shape {
    tag: &'static str,
    /// What the names of its refusals begin with; also the schema of their bodies.
    error: &'static str,
    /// Ways to log in.
    schemes: &'static [&'static str],
}

const SHAPES: [(&str, Shape); 3] = [
    ("/api/v1/", Shape { tag: "reverse-zones", error: "Detail", schemes: &["bearer", "apiKey", "basic"] }),
    ("/v1.0/", Shape { tag: "rackspace", error: "RackspaceFault", schemes: &["bearer", "authToken"] }),
    ("/v2.0/", Shape { tag: "rackspace", error: "IdentityFault", schemes: &["authToken"] }),
];
const IONOS: Shape = Shape { tag: "ionos", error: "Error", schemes: &["bearer", "basic"] };
/// Paths of our own beside the dialects.
const OWN: [&str; 7] = ["/transfers", "/events", "/health", "/readyz", "/metrics", "/openapi.json", "/axfr/"];
const OWN_BELOW_ZONES: [&str; 5] = ["/held", "/versions", "/release", "/explain", "/axfr/history"];

impl Shape {
    fn of(path: &str) -> Shape {
        if let Some((_, shape)) = SHAPES.iter().find(|(prefix, _)| path.starts_with(prefix)) {
            return *shape;
        }
        let is_own = path == "/"
            || OWN.iter().any(|prefix| path.starts_with(prefix))
            || OWN_BELOW_ZONES.iter().any(|part| path.contains(part));
        if is_own { Shape { tag: "native", ..IONOS } } else { IONOS }
    }

    fn refusal(self, status: u16) -> String {
        format!("{}{status}", self.error)
    }
}

/// Every status a refusal may have.
const REFUSALS: [u16; 15] = [400, 401, 403, 404, 408, 409, 413, 414, 415, 422, 429, 431, 500, 501, 503];

/// The Response Objects of refusals, by the name operations call them.
pub(super) fn refusals() -> Value {
    let mut all = Map::new();
    for shape in SHAPES.map(|(_, shape)| shape).into_iter().chain([IONOS]) {
        for status in REFUSALS {
            let schema = |name: &str| json!({"schema": {"$ref": format!("#/components/schemas/{name}")}});
            let mut response = json!({
                "description": reason(status),
                "content": {"application/json": schema(shape.error), "application/problem+json": schema("Problem")},
            });
            if shape.tag == "rackspace" && shape.error == "RackspaceFault" {
                response["content"]["application/xml"] = json!({"schema": {}});
            }
            if status == 401 {
                response["headers"] = json!({"WWW-Authenticate": field("WWW-Authenticate")});
            }
            if status == 429 {
                response["headers"] = json!({"Retry-After": field("Retry-After")});
            }
            all.insert(shape.refusal(status), response);
        }
    }
    all.into()
}

fn reason(status: u16) -> &'static str {
    StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Refused")
}

fn field(name: &str) -> Value {
    let (description, schema) = match name {
        "Idempotent-Replayed" => ("`true`: the reply of an earlier request.", json!({"type": "string"})),
        "Location" => ("Path of what was made.", json!({"type": "string"})),
        "ETag" => ("Changes with what is shown.", json!({"type": "string"})),
        "WWW-Authenticate" => ("A scheme that would do.", json!({"type": "string"})),
        "Retry-After" => ("Whole seconds.", json!({"type": "integer", "minimum": 1})),
        "Content-Disposition" => ("The name of the file.", json!({"type": "string"})),
        _ => ("", json!({"type": "string"})),
    };
    json!({"description": description, "schema": schema})
}

fn response(status: u16, answer: Content, fields: &[&str]) -> Value {
    let mut response = json!({"description": reason(status)});
    match content(answer) {
        Value::Null => {}
        content => response["content"] = content,
    }
    if status >= 400 && status != 503 {
        // Refusals come in this form to those who ask for it, whatever else they may be.
        response["content"]["application/problem+json"] = json!({"schema": {"$ref": "#/components/schemas/Problem"}});
    }
    if !fields.is_empty() {
        response["headers"] = fields.iter().map(|name| ((*name).to_owned(), field(name))).collect::<Map<_, _>>().into();
    }
    response
}

fn content(body: Content) -> Value {
    let json_of = |name: &str| json!({"schema": {"$ref": format!("#/components/schemas/{name}")}});
    let text = || json!({"schema": {"type": "string"}});
    match body {
        Content::Json(name) => json!({"application/json": json_of(name)}),
        Content::Text => json!({"text/plain": text()}),
        Content::JsonOrText(name) => json!({"application/json": json_of(name), "text/plain": text()}),
        Content::Html => json!({"text/html": text()}),
        Content::Events => json!({"text/event-stream": text()}),
        Content::Nothing | Content::Never => Value::Null,
    }
}
