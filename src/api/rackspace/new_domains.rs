//! POST `/domains`: domains with records and subdomains, all or nothing.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response as Reply;
use serde_json::{Map, Value};

use super::body::{Body, Members, check, check_count, objects};
use super::call::Call;
use super::domains::attributes;
use super::drafts::draft;
use super::failure::Failure;
use super::jobs::{Outcome, Response};
use super::records::made;
use super::shown::{self, RecordList, Subdomains};
use super::status::accepted;
use super::zone::{nameservers_of, shown_local};
use crate::api::fault::{ErrorCode, Fault, Message};
use crate::api::names::zone_name;
use crate::api::request::Writer;
use crate::api::{Api, local};
use crate::control::local::{LocalOutcome, LocalRefused, NewLocal, Step, StepOutcome};
use crate::dns::Name;
use crate::local::Edit;

/// A domain that is wanted, and its subdomains in the place they have in the request.
struct Wanted {
    new: NewLocal,
    /// Whether the reply shows a list of them, be it empty.
    has_records: bool,
    below: Option<Vec<Wanted>>,
}

/// POST `/domains`.
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    Writer(caller): Writer,
    call: Call,
    body: Body,
) -> Result<Reply, Fault> {
    let items = body.items("domains")?;
    if items.is_empty() {
        return Err(Fault::new(ErrorCode::MissingValue, "domains is empty."));
    }
    let mut reader = Reader { allow_tld: api.settings().allow_tld, entities: 0, wrong: Vec::new() };
    let mut wanted = Vec::new();
    for (index, item) in items.into_iter().enumerate() {
        wanted.extend(reader.domain(item, format!("domains[{index}]."), None)?);
    }
    check(reader.wrong)?;
    let mut steps = Vec::new();
    wanted.iter().for_each(|wanted| wanted.steps(&mut steps));
    let outcome = shown_outcome(local::run(&api, &caller, steps, false).await, |outcome| {
        let mut made = outcome.steps.iter();
        wanted.iter().filter_map(|wanted| wanted.shown(&mut made)).collect()
    })?;
    accepted(&api, &caller, &call, Some(body.text), outcome).await
}

/// The outcome of a job that makes domains.
pub(super) fn shown_outcome(
    outcome: Result<LocalOutcome, LocalRefused>,
    show: impl FnOnce(&LocalOutcome) -> Vec<shown::Domain>,
) -> Result<Outcome, Fault> {
    Ok(match outcome {
        Ok(outcome) => Outcome::Response(Response::Domains { domains: show(&outcome) }),
        Err(refused) => Outcome::Error(Failure::of(refused, |_, _| String::new())?),
    })
}

/// A new domain as the job shows it.
pub(super) fn shown_new(step: &StepOutcome) -> shown::Domain {
    let nameservers = Some(nameservers_of(&step.zone));
    shown::Domain { nameservers, ..shown_local(&step.definition, &step.zone) }
}

struct Reader {
    allow_tld: bool,
    /// Domains and records so far.
    entities: usize,
    wrong: Vec<Message>,
}

impl Reader {
    /// A domain of the request; `parent` is what it must be below.
    fn domain(
        &mut self,
        object: &Map<String, Value>,
        place: String,
        parent: Option<&NewLocal>,
    ) -> Result<Option<Wanted>, Fault> {
        self.count(1)?;
        let mut members = Members::new(object, place.clone(), &mut self.wrong);
        let name = members.demand("name").and_then(|text| {
            let name = zone_name(text, self.allow_tld);
            name.map_err(|error| members.complain("name", error)).ok()
        });
        if let (Some(name), Some(parent)) = (&name, parent)
            && (*name == parent.name || !name.is_at_or_below(&parent.name))
        {
            members.complain("name", format_args!("must be below {}", parent.name.without_dot()));
        }
        if parent.is_none() && members.given("emailAddress").is_none() {
            members.complain("emailAddress", "is missing");
        }
        let mut attributes = attributes(&mut members);
        if let Some(parent) = parent {
            // A subdomain may leave the mailbox to its parent.
            attributes.rname = attributes.rname.or_else(|| parent.attributes.rname.clone());
        }
        let description = members.comment().unwrap_or_default();
        let (records, below) = (list(object, "recordsList", "records")?, list(object, "subdomains", "domains")?);
        let edits = match (&name, &records) {
            (Some(name), Some(records)) => self.records(records, &place, name)?,
            _ => Vec::new(),
        };
        let Some(name) = name else { return Ok(None) };
        let new = NewLocal { uuid: None, name, description, attributes, edits };
        let below = match below {
            None => None,
            Some(objects) => {
                let mut below = Vec::new();
                for (index, object) in objects.into_iter().enumerate() {
                    let place = format!("{place}subdomains.domains[{index}].");
                    below.extend(self.domain(object, place, Some(&new))?);
                }
                Some(below)
            }
        };
        Ok(Some(Wanted { new, has_records: records.is_some(), below }))
    }

    fn records(&mut self, records: &[&Map<String, Value>], place: &str, apex: &Name) -> Result<Vec<Edit>, Fault> {
        self.count(records.len())?;
        let mut edits = Vec::new();
        for (index, record) in records.iter().enumerate() {
            let place = format!("{place}recordsList.records[{index}].");
            edits.extend(draft(record, place, apex, &mut self.wrong).map(Edit::Add));
        }
        Ok(edits)
    }

    fn count(&mut self, more: usize) -> Result<(), Fault> {
        self.entities += more;
        check_count(self.entities)
    }
}

/// The objects of `{outer: {inner: [..]}}`, if they are given. What stands there in another shape would be lost silently.
pub(super) fn list<'a>(
    object: &'a Map<String, Value>,
    outer: &str,
    inner: &str,
) -> Result<Option<Vec<&'a Map<String, Value>>>, Fault> {
    let Some(given) = object.get(outer).filter(|given| !given.is_null()) else { return Ok(None) };
    let members = given.as_object().filter(|members| members.is_empty() || members.contains_key(inner));
    let members = members.ok_or_else(|| {
        let text =
            format!("The body has another shape than expected: {outer} must be an object with the list {inner}.");
        Fault::new(ErrorCode::BadBody, text)
    })?;
    let list = members.get(inner).filter(|list| !list.is_null());
    list.map(|list| objects(list, inner)).transpose()
}

impl Wanted {
    /// The domain, then those below it.
    fn steps(&self, steps: &mut Vec<Step>) {
        steps.push(Step::Create(self.new.clone()));
        self.below.iter().flatten().for_each(|below| below.steps(steps));
    }

    /// The same walk over what came of the steps.
    fn shown<'a>(&self, made_steps: &mut impl Iterator<Item = &'a StepOutcome>) -> Option<shown::Domain> {
        let step = made_steps.next()?;
        let records = self.has_records.then(|| {
            let records = made(step);
            RecordList { total: records.len(), records, links: Vec::new() }
        });
        let subdomains = self.below.as_ref().map(|below| {
            let mut domains = Vec::new();
            for wanted in below {
                domains.extend(wanted.shown(made_steps));
            }
            Subdomains { total: domains.len(), domains, links: Vec::new() }
        });
        Some(shown::Domain { records, subdomains, ..shown_new(step) })
    }
}
