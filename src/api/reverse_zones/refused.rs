//! Why a request of this dialect was refused: `{"detail": ...}`, a text, an object with conflicts, or a list (422).

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::ids;
use crate::api::fault::Fault;
use crate::api::ionos::json as response;
use crate::control::handle::EditError;
use crate::control::local::LocalRefused;
use crate::local::{Entry, Refusal};

/// A refusal as it is sent.
pub(super) struct Refused(Box<Response>);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        *self.0
    }
}

impl From<Fault> for Refused {
    /// Written in this dialect's shape on the way out.
    fn from(fault: Fault) -> Refused {
        Refused(Box::new(fault.into_response()))
    }
}

impl From<EditError> for Refused {
    fn from(error: EditError) -> Refused {
        Fault::from(error).into()
    }
}

impl From<LocalRefused> for Refused {
    fn from(refused: LocalRefused) -> Refused {
        if let LocalRefused::Edits { refused: edits, .. } = &refused
            && let Some(first) = edits.first()
            && let Some((field, message, entry)) = conflict(&first.why)
        {
            return conflicts(&message, field, &[entry]);
        }
        Fault::from(refused).into()
    }
}

/// Member, words and record of a collision with what is there.
pub(super) fn conflict(why: &Refusal) -> Option<(&'static str, String, &Entry)> {
    match why {
        Refusal::PtrExists(entry) => Some(("ip", "PTR already exists for this IP".to_owned(), entry)),
        Refusal::Duplicate(entry) => Some(("content", "Record already exists".to_owned(), entry)),
        Refusal::CnameConflict(entry) | Refusal::NullMxConflict(entry) => Some(("name", why.to_string(), entry)),
        _ => None,
    }
}

/// 409 with the records that stand in the way.
fn conflicts(message: &str, field: &str, entries: &[&Entry]) -> Refused {
    let ids: Vec<String> = entries.iter().map(|entry| ids::text('r', entry.id)).collect();
    detail(StatusCode::CONFLICT, json!({"message": message, "field": field, "conflicts": ids}))
}

/// `{"detail": what}`.
pub(super) fn detail(status: StatusCode, what: impl Into<Value>) -> Refused {
    Refused(Box::new(response(status, &json!({"detail": what.into()}))))
}

/// 400.
pub(super) fn bad(what: impl Into<String>) -> Refused {
    detail(StatusCode::BAD_REQUEST, what.into())
}

/// A member that is missing or of another JSON type.
pub(super) struct Wrong(Value);

impl Wrong {
    pub(super) fn new(place: &[&str], message: impl Into<String>, kind: &str) -> Wrong {
        Wrong(json!({"loc": place, "msg": message.into(), "type": kind}))
    }

    pub(super) fn in_item(list: &str, index: usize, member: &str, message: &str, kind: &str) -> Wrong {
        Wrong(json!({"loc": ["body", list, index, member], "msg": message, "type": kind}))
    }
}

/// 422.
pub(super) fn unprocessable(wrong: Vec<Wrong>) -> Refused {
    let list: Vec<Value> = wrong.into_iter().map(|wrong| wrong.0).collect();
    detail(StatusCode::UNPROCESSABLE_ENTITY, list)
}
