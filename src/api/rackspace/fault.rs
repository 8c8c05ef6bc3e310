//! Refusals in this dialect: `{"message","code","details"}`, with `validationErrors` where values of the body are wrong;
//! in XML an element named after the fault.

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::sent::Format;
use super::xml::{Shown, Xml};
use crate::api::fault::{ErrorCode, Fault};

/// Order of the members as in the original.
#[derive(Serialize)]
struct Body<'a> {
    message: &'a str,
    code: u16,
    details: String,
    #[serde(rename = "validationErrors", skip_serializing_if = "Option::is_none")]
    validation: Option<Messages<'a>>,
}

#[derive(Serialize)]
struct Messages<'a> {
    messages: Vec<&'a str>,
}

impl Shown for Body<'_> {
    fn xml(&self, out: &mut Xml) {
        out.with(element(self.code), ("code", &self.code.to_string()), |out| {
            out.text("message", self.message);
            out.text("details", &self.details);
            if let Some(validation) = &self.validation {
                out.element("validationErrors", |out| {
                    validation.messages.iter().for_each(|message| out.text("messages", message));
                });
            }
        });
    }
}

/// The names of the documentation's table of faults.
fn element(code: u16) -> &'static str {
    match code {
        400 => "badRequest",
        401 => "unauthorized",
        403 => "forbidden",
        404 => "itemNotFound",
        405 => "badMethod",
        409 => "conflict",
        413 | 429 => "overLimit",
        415 => "badMediaType",
        501 => "notImplemented",
        503 => "serviceUnavailable",
        _ => "dnsFault",
    }
}

/// `fault` below `/v1.0`.
pub(in crate::api) fn response(fault: &Fault, format: Format) -> Response {
    let texts: Vec<&str> = fault.messages().map(|message| &*message.text).collect();
    let is_validation = fault
        .messages()
        .all(|message| matches!(message.code, ErrorCode::BadValue | ErrorCode::MissingValue | ErrorCode::BadZoneFile));
    let body = Body {
        message: fault.status().canonical_reason().unwrap_or("Error"),
        code: fault.status().as_u16(),
        details: texts.join(" "),
        validation: is_validation.then_some(Messages { messages: texts }),
    };
    (fault.status(), [(CONTENT_TYPE, content_type(format))], written(&body, format)).into_response()
}

/// `{"unauthorized":{"code","message"}}` of the Identity at `/v2.0`.
pub(in crate::api) fn of_identity(fault: &Fault) -> serde_json::Value {
    let code = fault.status().as_u16();
    let text = fault.messages().map(|message| &*message.text).collect::<Vec<_>>().join(" ");
    let name = if code == 401 { "unauthorized" } else { "badRequest" };
    serde_json::json!({name: {"code": code, "message": text}})
}

pub(super) fn content_type(format: Format) -> &'static str {
    match format {
        Format::Json => "application/json",
        Format::Xml => "application/xml",
    }
}

/// A body in the wanted format.
pub(super) fn written(shown: &impl Shown, format: Format) -> String {
    match format {
        Format::Json => serde_json::to_string(shown).expect("bodies hold only what JSON can hold"),
        Format::Xml => Xml::document(shown),
    }
}
