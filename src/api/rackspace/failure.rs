//! Why a job failed, in the codes and words of this dialect. Clients recognise some of the words.

use serde::{Deserialize, Serialize};

use super::data::data;
use super::xml::{Shown, Xml};
use super::zone::record_id_of;
use crate::api::fault::{Fault, capitalized};
use crate::control::handle::EditError;
use crate::control::local::LocalRefused;
use crate::local::{Entry, Refusal};

/// See the module.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Failure {
    /// Of a deletion: some items stay. First, because it has a member more.
    Some {
        /// Always the same words.
        details: String,
        /// 500.
        code: u16,
        #[serde(rename = "failedItems")]
        failed: FailedItems,
        /// Always the same words.
        message: String,
    },
    /// Nothing was done.
    All {
        /// Short.
        message: String,
        /// As an HTTP status.
        code: u16,
        /// Long; always there, because clients read it unasked.
        details: String,
    },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct FailedItems {
    faults: Vec<Item>,
}

/// One item that could not be deleted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Item {
    message: String,
    details: String,
    code: u16,
}

impl Item {
    /// 404.
    pub(super) fn not_found(details: String) -> Item {
        Item { message: "Not Found".to_owned(), details, code: 404 }
    }
}

impl From<Failure> for Item {
    fn from(failure: Failure) -> Item {
        let (Failure::Some { message, code, details, .. } | Failure::All { message, code, details }) = failure;
        Item { message, details, code }
    }
}

impl Shown for Failure {
    fn xml(&self, out: &mut Xml) {
        out.element("error", |out| match self {
            Failure::All { message, code, details } => {
                out.text("message", message);
                out.text("code", code);
                out.text("details", details);
            }
            Failure::Some { details, code, failed, message } => {
                out.text("details", details);
                out.text("code", code);
                out.element("failedItems", |out| {
                    for Item { message, details, code } in &failed.faults {
                        out.element("faults", |out| {
                            out.text("message", message);
                            out.text("details", details);
                            out.text("code", code);
                        });
                    }
                });
                out.text("message", message);
            }
        });
    }
}

impl Failure {
    pub(super) fn new(code: u16, message: &str, details: impl Into<String>) -> Failure {
        Failure::All { message: message.to_owned(), code, details: details.into() }
    }

    /// 404.
    pub(super) fn not_found(details: String) -> Failure {
        Failure::new(404, "Not Found", details)
    }

    /// A deletion of which these items failed; the others are done.
    pub(super) fn some(faults: Vec<Item>) -> Failure {
        Failure::Some {
            details: "See errors list for details.".to_owned(),
            code: 500,
            failed: FailedItems { faults },
            message: "One or more items could not be deleted.".to_owned(),
        }
    }

    /// Why a request on local zones was refused; `name` gives the identity behind an edit, for records that are not
    /// there. `Err`: nothing was tried, which is no outcome of a job.
    pub(super) fn of(refused: LocalRefused, name: impl Fn(usize, usize) -> String) -> Result<Failure, Fault> {
        Ok(match refused {
            LocalRefused::Failed(_) | LocalRefused::Zone { why: EditError::NotFound, .. } => return Err(refused.into()),
            LocalRefused::Zone { why: EditError::NameTaken(_), .. } => {
                Failure::new(409, "The object already exists.", "Domain already exists")
            }
            LocalRefused::Zone { why, .. } => Failure::new(409, "Conflict", sentence(&why)),
            LocalRefused::Edits { step, refused, .. } => match refused.first() {
                Some(first) => Failure::of_edit(&first.why, || name(step, first.edit)),
                None => Failure::new(500, "Internal Server Error", "The request was refused without a reason."),
            },
            LocalRefused::NotAvailable { .. } => {
                Failure::new(409, "Conflict", "This IP is not available: no zone of yours takes its PTR.")
            }
            LocalRefused::Quota { what: "records", max } => {
                Failure::new(413, "Over Limit", format!("Limit of {max} records per domain has been reached."))
            }
            LocalRefused::Quota { what, max } => {
                let what = if what == "zones" { "domains" } else { what };
                Failure::new(413, "Over Limit", format!("Limit of {max} {what} has been reached."))
            }
        })
    }

    /// Why one edit was refused.
    pub(super) fn of_edit(why: &Refusal, name: impl FnOnce() -> String) -> Failure {
        match why {
            Refusal::NotFound(_) => Failure::not_found(format!("The record with ID {} was not found.", name())),
            Refusal::Duplicate(entry) => {
                let details = format!("Record is a duplicate of another record: ({})", described(entry));
                Failure::new(400, "Bad Request", details)
            }
            Refusal::PtrExists(entry) => {
                let details = format!("This IP has a PTR record already: ({})", described(entry));
                Failure::new(409, "Conflict", details)
            }
            Refusal::CnameConflict(entry) | Refusal::NullMxConflict(entry) => Failure::new(
                409,
                "Conflict",
                format!("{}: (type={}, {})", sentence(why), entry.rtype, described(entry)),
            ),
            Refusal::LastNs | Refusal::IdTaken(_) => Failure::new(409, "Conflict", sentence(why)),
            Refusal::NoPtr(_) => Failure::not_found(sentence(why)),
            Refusal::OutsideZone(_) | Refusal::Content(_) | Refusal::Limit(_) => {
                Failure::new(400, "Bad Request", sentence(why))
            }
        }
    }
}

/// `id=1000042, fqdn=x.example.com, data=y`, with the number alone as in recorded answers.
fn described(entry: &Entry) -> String {
    let (id, fqdn) = (record_id_of(entry), entry.owner.without_dot());
    let number = id.rsplit_once('-').map_or(&*id, |(_, number)| number);
    format!("id={number}, fqdn={fqdn}, data={}", data(entry.rtype, &entry.rdata).0)
}

/// The words of an error as a sentence.
fn sentence(error: &impl ToString) -> String {
    capitalized(&error.to_string())
}
