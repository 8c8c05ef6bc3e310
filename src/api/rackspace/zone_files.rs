//! Import and export of zone files, and clones of domains: new contents from a text or from another zone.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response as Reply;

use super::body::{LongBody, Members, check};
use super::call::{Call, flag, lost};
use super::data::{data, rdata};
use super::failure::Failure;
use super::jobs::{Outcome, Response};
use super::new_domains::{shown_new, shown_outcome};
use super::status::accepted;
use super::zone::Zone;
use crate::api::auth::Caller;
use crate::api::fault::{ErrorCode, Fault, Message};
use crate::api::names::zone_name;
use crate::api::query::Params;
use crate::api::request::Writer;
use crate::api::zone_file::{self, ZoneFile};
use crate::api::{Api, local};
use crate::control::local::{LocalRefused, NewLocal, Step};
use crate::dns::{Name, RecordRef, RecordType};
use crate::local::content::is_writable;
use crate::local::{AttributesPatch, Draft, Edit, email_of, rname_of};

/// The one type of files.
const BIND: &str = "BIND_9";
/// Octets of a file within a job, which is stored whole.
const EXPORT_OCTETS_MAX: usize = 4 << 20;

/// POST `/domains/import`: each file makes a domain; all or none.
pub(super) async fn import(
    State(api): State<Arc<Api>>,
    Writer(caller): Writer,
    call: Call,
    LongBody(body): LongBody,
) -> Result<Reply, Fault> {
    let (mut wrong, mut wanted) = (Vec::new(), Vec::new());
    for (index, object) in body.items("domains")?.into_iter().enumerate() {
        let mut members = Members::new(object, format!("domains[{index}]."), &mut wrong);
        if members.text("contentType").is_some_and(|text| text != BIND) {
            members.complain("contentType", format_args!("must be {BIND}"));
        }
        let comment = members.comment().unwrap_or_default();
        wanted.extend(members.demand("contents").map(|contents| (contents.to_owned(), comment)));
    }
    check(wrong)?;
    let allow_tld = api.settings().allow_tld;
    let reading = tokio::task::spawn_blocking(move || {
        let count = wanted.len();
        let read = |(index, (contents, comment)): (usize, (String, String))| {
            read(&contents, comment, allow_tld).map_err(|fault| in_file(fault, index, count))
        };
        wanted.into_iter().enumerate().map(read).collect::<Result<Vec<_>, _>>()
    });
    let read = reading.await.map_err(|_| lost("The reading of the zone file"))??;
    let (files, steps): (Vec<ZoneFile>, Vec<Step>) = read.into_iter().unzip();
    let outcome = match local::run(&api, &caller, steps, false).await {
        Err(refused @ LocalRefused::Edits { step, .. }) if step < files.len() => {
            return Err(in_file(files[step].at_line(refused), step, files.len()));
        }
        other => shown_outcome(other, |outcome| outcome.steps.iter().map(shown_new).collect())?,
    };
    accepted(&api, &caller, &call, Some(body.text), outcome).await
}

/// A line says where, if there is one file.
fn in_file(fault: Fault, index: usize, count: usize) -> Fault {
    if count > 1 { fault.at(&format!("domains[{index}].contents")) } else { fault }
}

fn read(contents: &str, description: String, allow_tld: bool) -> Result<(ZoneFile, Step), Fault> {
    let mut file = ZoneFile::read(contents.as_bytes(), None)?;
    let bad = |error: String| Fault::new(ErrorCode::BadZoneFile, format!("The zone of the SOA: {error}."));
    let name = zone_name(&file.apex.to_string(), allow_tld).map_err(bad)?;
    let edits =
        vec![Edit::Attributes(std::mem::take(&mut file.soa)), Edit::ReplaceAll(std::mem::take(&mut file.drafts))];
    let attributes = AttributesPatch::default();
    Ok((file, Step::Create(NewLocal { uuid: None, name, description, attributes, edits })))
}

/// GET `/domains/{domain}/export`.
pub(super) async fn export(
    State(api): State<Arc<Api>>,
    zone: Zone,
    caller: Caller,
    call: Call,
) -> Result<Reply, Fault> {
    let snapshot = zone.view.snapshot();
    let snapshot =
        snapshot.ok_or_else(|| Fault::new(ErrorCode::ZoneWithoutData, "No primary has given this zone yet."))?;
    let writing = tokio::task::spawn_blocking(move || zone_file::text(&snapshot, EXPORT_OCTETS_MAX));
    let outcome = match writing.await.map_err(|_| lost("The writing of the zone file"))? {
        Some(contents) => Outcome::Response(Response::Export {
            contents,
            id: zone.view.id.0.to_string(),
            account: caller.tenant.to_string(),
            content_type: BIND.to_owned(),
        }),
        None => Outcome::Error(Failure::new(
            413,
            "Over Limit",
            format!(
                "The zone file has more than {EXPORT_OCTETS_MAX} octets; /zones/{{id}}/zonefile and \
                 /secondaryzones/{{id}}/zonefile give it whole (the id is {})",
                zone.view.uuid
            ),
        )),
    };
    accepted(&api, &caller, &call, None, outcome).await
}

/// What of a clone follows the new name.
struct Renaming {
    old: Name,
    new: Name,
    data: bool,
    email: bool,
    comment: bool,
}

/// POST `/domains/{domain}/clone?cloneName=`.
pub(super) async fn clone(
    State(api): State<Arc<Api>>,
    zone: Zone,
    Writer(caller): Writer,
    call: Call,
    params: Params,
) -> Result<Reply, Fault> {
    let text = params.single("cloneName")?.ok_or_else(|| Fault::bad_parameter("cloneName", "is missing"))?;
    let renaming = Renaming {
        old: zone.view.name.clone(),
        new: zone_name(text, api.settings().allow_tld).map_err(|error| Fault::bad_parameter("cloneName", error))?,
        data: flag(&params, "modifyRecordData", true)?,
        email: flag(&params, "modifyEmailAddress", true)?,
        comment: flag(&params, "modifyComment", true)?,
    };
    let mut zones = vec![];
    if flag(&params, "cloneSubdomains", true)? {
        zones = zone.subdomains(&api, &caller);
    }
    zones.insert(0, zone);
    let copying = tokio::task::spawn_blocking(move || {
        zones.iter().map(|zone| renaming.copy(zone).map(Step::Create)).collect::<Result<Vec<_>, _>>()
    });
    let steps = copying.await.map_err(|_| lost("The copy of the domain"))??;
    let outcome = local::run(&api, &caller, steps, false).await;
    let outcome = shown_outcome(outcome, |outcome| outcome.steps.iter().map(shown_new).collect())?;
    accepted(&api, &caller, &call, None, outcome).await
}

impl Renaming {
    /// The zone under its new name; O(records).
    fn copy(&self, zone: &Zone) -> Result<NewLocal, Fault> {
        let mut edits = Vec::new();
        let mut attributes = AttributesPatch::default();
        match (&zone.local, zone.view.snapshot()) {
            (Some(local), _) => {
                let old = local.attributes();
                attributes.default_ttl = Some(old.default_ttl);
                attributes.timers = Some([old.refresh, old.retry, old.expire, old.minimum]);
                attributes.rname = Some(self.mailbox(&old.rname));
                for entry in local.entries_from(0) {
                    let record =
                        RecordRef { owner: entry.owner.as_wire(), rtype: entry.rtype, ttl: 0, rdata: &entry.rdata };
                    let text = if self.comment { self.renamed(&entry.text) } else { None };
                    edits.push(Edit::Add(Draft {
                        ttl: entry.ttl,
                        text: text.unwrap_or_else(|| entry.text.clone()),
                        enabled: entry.enabled,
                        ..self.draft(record)?
                    }));
                }
            }
            (None, Some(snapshot)) => {
                attributes.rname = Some(self.mailbox(&snapshot.soa().rname()));
                let mut records = snapshot.records_from(0);
                while let Some(record) = records.advance() {
                    if is_writable(record.rtype) {
                        edits.push(Edit::Add(Draft { ttl: Some(record.ttl), ..self.draft(record)? }));
                    }
                }
            }
            (None, None) => {
                let text = format!("No primary has given {} yet.", zone.view.name.without_dot());
                return Err(Fault::new(ErrorCode::ZoneWithoutData, text));
            }
        }
        let comment = &zone.definition().description;
        let description = if self.comment { self.renamed(comment) } else { None };
        Ok(NewLocal {
            uuid: None,
            name: self.moved(&zone.view.name)?,
            description: description.unwrap_or_else(|| comment.clone()),
            attributes,
            edits,
        })
    }

    fn draft(&self, record: RecordRef<'_>) -> Result<Draft, Fault> {
        let owner = Name::from_wire(record.owner).map_err(|_| too_long())?;
        let rtype = record.rtype;
        let (text, priority) = data(rtype, record.rdata);
        let renamed = (self.data && rtype != RecordType::NS).then(|| self.renamed(&text)).flatten();
        let renamed = renamed.and_then(|text| rdata(rtype, &text, priority.unwrap_or(0)).ok());
        let octets = renamed.unwrap_or_else(|| record.rdata.to_vec());
        Ok(Draft::new(self.moved(&owner)?, rtype, octets))
    }

    /// A name at or below the old one, at or below the new one.
    fn moved(&self, name: &Name) -> Result<Name, Fault> {
        match name.relative_to(&self.old) {
            None => Ok(name.clone()),
            Some(labels) => Name::from_relative(labels, &self.new).map_err(|_| too_long()),
        }
    }

    fn mailbox(&self, rname: &Name) -> Name {
        let renamed = self.email.then(|| self.renamed(&email_of(rname))).flatten();
        renamed.and_then(|email| rname_of(&email).ok()).unwrap_or_else(|| rname.clone())
    }

    /// A text that ends with the old name, with the new one; `None`: it does not. The name must begin where a word does.
    fn renamed(&self, text: &str) -> Option<String> {
        let old = self.old.without_dot();
        let (before, end) = text.split_at_checked(text.len().checked_sub(old.len())?)?;
        let is_inside_a_word = before.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '-' | '_'));
        (end.eq_ignore_ascii_case(&old) && !is_inside_a_word).then(|| format!("{before}{}", self.new.without_dot()))
    }
}

fn too_long() -> Fault {
    let text = "cloneName: a name of the domain would be longer than 255 octets.".into();
    Fault::all(vec![Message { code: ErrorCode::BadValue, text }]).expect("one message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_at_the_end_of_a_text_is_renamed_where_a_word_begins() {
        let name = |text: &str| text.parse().expect("a name");
        let renaming =
            Renaming { old: name("example.com"), new: name("new.example"), data: true, email: true, comment: true };
        for (text, renamed) in [
            ("example.com", Some("new.example")),
            ("mail.Example.com", Some("mail.new.example")),
            ("v=spf1 include:example.com", Some("v=spf1 include:new.example")),
            ("ops@example.com", Some("ops@new.example")),
            ("notexample.com", None),
            ("example.com.", None),
            ("", None),
            ("äexample.com", None),
        ] {
            assert_eq!(renaming.renamed(text).as_deref(), renamed, "{text}");
        }
    }
}
