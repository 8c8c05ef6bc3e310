//! The straight way: the answer that most questions get is one RRset, copied as it is stored.
//!
//! It goes before [`Reply`], and everything it needs stays in registers. A question that turns out to need more (another
//! section, a proof, a chain, a fix-up, truncation) is handed to [`Reply`] with what has been found, so that nothing is
//! looked up twice and the rules stand in one place; one that needs more from the start never comes here.

use super::Client;
use super::additional;
use super::folded::{Enclosing, Folded};
use super::lookup::{Found, locate};
use super::query::Query;
use super::resolve::{Reply, is_innermost};
use super::write::{Finished, Writer};
use crate::dns::message::CLASS_IN;
use crate::served::View;
use crate::zone::Entry;

/// Answers a question without options about the zone that was known to enclose `name`, if that answers for it and for
/// everybody. `None`: nothing was done.
#[inline(always)]
pub(super) fn answer(
    view: &View,
    client: &Client<'_>,
    query: &Query,
    name: &mut Folded,
    enclosing: Option<Enclosing>,
    buffer: &mut [u8],
) -> Option<Finished> {
    let zone = enclosing?;
    if query.qclass != CLASS_IN || !is_innermost(view, query.qtype, zone, name) {
        return None;
    }
    let slot = &*view.slots()[zone.slot];
    let guard = slot.load();
    let snapshot = guard.as_deref().filter(|_| slot.is_open())?;
    let found = locate(snapshot, name, slot.labels(), query.qtype);
    if let Found::Name(entry) = found
        && let Some(finished) = copy(client, query, entry, buffer)
    {
        return Some(finished);
    }
    let writer = Writer::new(client, buffer, query.question_end.into(), query.edns, None);
    Some(Reply::new(view, client, query, writer).conclude(slot, snapshot, name, found))
}

/// The reply with the RRset asked for, if there is one and it is all: neither ANY nor RRSIG is the type of any.
#[inline(always)]
fn copy(client: &Client<'_>, query: &Query, entry: Entry<'_>, buffer: &mut [u8]) -> Option<Finished> {
    if additional::target_offset(query.qtype).is_some() {
        return None;
    }
    let block = entry.rrset(query.qtype)?;
    let mut writer = Writer::new(client, buffer, query.question_end.into(), query.edns, None);
    writer.set_authoritative();
    writer.put_as_stored(&block, query.edns.is_some_and(|edns| edns.dnssec_ok))?;
    Some(writer.finish(None))
}
