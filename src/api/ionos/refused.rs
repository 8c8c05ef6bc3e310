//! Why local zones did not change, in the codes and words of this dialect.

use super::secondary_zones::sentence;
use crate::api::fault::{ErrorCode, Fault, Message};
use crate::control::handle::EditError;
use crate::control::local::LocalRefused;
use crate::local::{Refusal, Refused};

impl From<LocalRefused> for Fault {
    fn from(refused: LocalRefused) -> Fault {
        let text = sentence(&refused.to_string());
        match refused {
            LocalRefused::Zone { why: EditError::NotFound, .. } => Fault::zone_not_found(),
            LocalRefused::Zone { why, .. } | LocalRefused::Failed(why) => why.into(),
            LocalRefused::Edits { refused, .. } => {
                let messages = refused.iter().map(message).collect();
                Fault::all(messages).unwrap_or_else(|| Fault::new(ErrorCode::Internal, text))
            }
            LocalRefused::NotAvailable { .. } => {
                Fault::new(ErrorCode::IpNotAvailable, "This IP is not available: no zone of yours takes its PTR.")
            }
            LocalRefused::Quota { .. } => Fault::new(ErrorCode::QuotaExceeded, text),
        }
    }
}

fn message(refused: &Refused) -> Message {
    Message { code: code(&refused.why), text: sentence(&refused.why.to_string()).into() }
}

/// One code a kind of refusal.
pub(super) fn code(why: &Refusal) -> ErrorCode {
    match why {
        Refusal::NotFound(_) | Refusal::NoPtr(_) => ErrorCode::RecordNotFound,
        Refusal::IdTaken(_) => ErrorCode::IdTaken,
        Refusal::OutsideZone(_) | Refusal::Content(_) | Refusal::Limit(_) => ErrorCode::BadValue,
        Refusal::Duplicate(_) => ErrorCode::RecordExists,
        Refusal::CnameConflict(_) | Refusal::NullMxConflict(_) => ErrorCode::CnameConflict,
        Refusal::LastNs => ErrorCode::LastNs,
        Refusal::PtrExists(_) => ErrorCode::IpNotAvailable,
    }
}
