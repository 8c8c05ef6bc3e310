//! Records as clients write them, brought into drafts and patches; everything that is wrong is collected.
//!
//! What can be judged by the body alone is refused at once (400). What collides with stored data is for the job.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::body::Members;
use super::data::{has_priority, rdata};
use crate::api::fault::Message;
use crate::dns::{Name, RecordType};
use crate::local::content::{check, check_owner};
use crate::local::{Draft, Entry, NewContent, Patch};

/// A record to be made in the zone `apex`.
pub(super) fn draft(
    object: &Map<String, Value>,
    place: String,
    apex: &Name,
    wrong: &mut Vec<Message>,
) -> Option<Draft> {
    let before = wrong.len();
    let mut members = Members::new(object, place, wrong);
    if members.given("id").is_some() {
        members.complain("id", "must not be given");
    }
    let rtype = members.demand("type").and_then(|text| read_type(text, &mut members));
    let owner = match members.text("name") {
        None if rtype == Some(RecordType::SRV) => {
            members.complain("name", "must be given for SRV records");
            None
        }
        None => Some(apex.clone()),
        Some(text) => read_owner(text, apex, &mut members),
    };
    let priority = read_priority(rtype, &mut members);
    let content = members.demand("data").zip(rtype).and_then(|(text, rtype)| {
        let octets = rdata(rtype, text, priority.unwrap_or(0)).map_err(|error| error.to_string());
        let checked = octets.and_then(|octets| match &owner {
            Some(owner) => check(apex, owner, rtype, &octets).map(|()| octets).map_err(|error| error.to_string()),
            None => Ok(octets),
        });
        checked.map_err(|error| members.complain("data", error)).ok()
    });
    let (ttl, text) = (members.ttl(), members.comment().unwrap_or_default());
    if wrong.len() > before {
        return None;
    }
    Some(Draft { ttl, text, ..Draft::new(owner?, rtype?, content?) })
}

fn read_type(text: &str, members: &mut Members<'_, '_>) -> Option<RecordType> {
    let rtype = text.to_ascii_uppercase().parse();
    rtype.map_err(|_| members.complain("type", format_args!("{text:?} is no record type"))).ok()
}

fn read_owner(text: &str, apex: &Name, members: &mut Members<'_, '_>) -> Option<Name> {
    match text.parse::<Name>() {
        Ok(owner) if owner.is_at_or_below(apex) => {
            check_owner(apex, &owner).map_err(|error| members.complain("name", error)).ok().map(|()| owner)
        }
        Ok(_) => {
            members.complain("name", format_args!("must be {} or a name below it", apex.without_dot()));
            None
        }
        Err(error) => {
            members.complain("name", format_args!("{text:?} is no domain name: {error}"));
            None
        }
    }
}

fn read_priority(rtype: Option<RecordType>, members: &mut Members<'_, '_>) -> Option<u16> {
    if rtype.is_some_and(|rtype| !has_priority(rtype)) && members.given("priority").is_some() {
        members.complain("priority", "only MX and SRV records have one");
        return None;
    }
    members.number("priority", 0..=i64::from(u16::MAX)).and_then(|priority| u16::try_from(priority).ok())
}

/// What is to change of a record: what is left out stays. `entry` says which record it is; what it holds may be another by
/// the time the patch is applied.
pub(super) fn patch(
    object: &Map<String, Value>,
    place: String,
    entry: &Arc<Entry>,
    apex: &Name,
    wrong: &mut Vec<Message>,
) -> Option<Patch> {
    let before = wrong.len();
    let mut members = Members::new(object, place, wrong);
    let rtype = entry.rtype;
    if let Some(given) = members.text("type")
        && !given.eq_ignore_ascii_case(&rtype.to_string())
    {
        members.complain("type", format_args!("is {rtype} and cannot be changed"));
    }
    let owner = members.text("name").and_then(|text| read_owner(text, apex, &mut members));
    let owner = owner.filter(|owner| *owner != entry.owner);
    if let Some(owner) = &owner
        && !is_other_service(entry, owner)
    {
        members.complain("name", format_args!("is {} and cannot be changed", entry.owner.without_dot()));
    } else if let Some(owner) = &owner
        && members.given("data").is_none()
        && let Err(error) = check(apex, owner, rtype, &entry.rdata)
    {
        members.complain("name", error);
    }
    let priority = read_priority(Some(rtype), &mut members);
    // Of what the body leaves out nothing is known here: that is looked at where the patch is applied.
    let octets = members.text("data").and_then(|text| {
        let octets = rdata(rtype, text, priority.unwrap_or(0));
        let owner = owner.as_ref().unwrap_or(&entry.owner);
        let octets = octets.and_then(|octets| check(apex, owner, rtype, &octets).map(|()| octets));
        octets.map_err(|error| members.complain("data", error)).ok()
    });
    let content = match (octets, priority) {
        (Some(octets), None) if has_priority(rtype) => Some(NewContent::BehindPriority(octets.into())),
        (Some(octets), _) if is_text(rtype) => Some(NewContent::Text(octets.into())),
        (Some(octets), _) => Some(NewContent::Whole(octets.into())),
        (None, priority) => priority.map(NewContent::Priority),
    };
    let (ttl, text) = (members.ttl(), members.comment());
    if wrong.len() > before {
        return None;
    }
    Some(Patch { rtype: Some(rtype), owner, content, ttl: ttl.map(Some), text, ..Patch::default() })
}

/// RFC 2782: the service and the protocol of a SRV record may change, what they stand before may not.
fn is_other_service(entry: &Entry, owner: &Name) -> bool {
    let host = |name: &Name| name.parent().and_then(|name| name.parent());
    entry.rtype == RecordType::SRV && host(owner).is_some() && host(owner) == host(&entry.owner)
}

/// Texts are shown with their strings joined, so their cuts do not count.
fn is_text(rtype: RecordType) -> bool {
    matches!(rtype, RecordType::TXT | RecordType::SPF)
}
