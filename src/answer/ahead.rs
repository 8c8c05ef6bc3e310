//! Several queries at once, so that the memory one of them needs is on its way while the others are looked at.
//!
//! In a zone of a million records a question costs four cache misses one behind the other: the directory's last node, the
//! head of the page, its table of fingerprints, the entry; together more than everything else that answering costs.
//! [`Workspace::look_ahead`](super::Workspace::look_ahead) takes each of these steps for all queries of a group before the
//! next step for any, so the processor waits for the group's misses together. It changes nothing and decides nothing: what it
//! has read is looked up again by [`Workspace::answer`](super::Workspace::answer) from the cache, and a group of one is
//! answered as well without it.

use std::sync::Arc;

use arc_swap::Guard;

use super::folded::{Enclosing, Folded, Known};
use super::lookup;
use super::options::Asked;
use super::query::{self, Parsed};
use crate::served::View;
use crate::zone::{Page, Snapshot, page};

/// Queries that are looked at together. A processor has some ten misses under way at once, and a thread eight guards of
/// snapshots before they cost more.
pub const GROUP: usize = 8;

/// A zone of so many octets stays in a core's cache when all questions are about it, and looking ahead gains nothing.
const CACHED_OCTETS: u64 = 256 << 10;

/// What reading has made of one query.
pub(super) struct Reading {
    /// The name asked for, its suffixes hashed as far as they are needed.
    pub(super) name: Folded,
    pub(super) asked: Asked,
    pub(super) parsed: Parsed,
    /// A zone of the view that encloses the name; `None` for all that is no query, too.
    pub(super) enclosing: Option<Enclosing>,
}

impl Reading {
    pub(super) fn new() -> Reading {
        Reading { name: Folded::new(), asked: Asked::default(), parsed: Parsed::Drop, enclosing: None }
    }

    #[inline]
    pub(super) fn read(&mut self, view: &View, known: &Known, message: &[u8]) {
        self.parsed = query::parse(message, &mut self.name, &mut self.asked);
        // a place in an earlier view must not outlive it
        self.enclosing = match self.parsed {
            Parsed::Query(_) => self.name.hash_with(view, known),
            _ => None,
        };
    }
}

/// Brings what `readings` will be answered from into the cache.
pub(super) fn look_ahead(view: &View, known: &mut Known, readings: &mut [Reading]) {
    if is_cached(view, readings) {
        return;
    }
    let mut guards: [Option<Guard<Option<Arc<Snapshot>>>>; GROUP] = [const { None }; GROUP];
    for (reading, guard) in readings.iter_mut().zip(&mut guards) {
        *guard = zone_of(view, known, reading).map(|zone| view.slots()[zone.slot].load());
    }
    let mut pages: [Option<(&Page, u64)>; GROUP] = [None; GROUP];
    for ((reading, guard), page) in readings.iter().zip(&guards).zip(&mut pages) {
        let Some(snapshot) = guard.as_ref().and_then(|guard| guard.as_ref()) else { continue };
        let apex_depth = reading.enclosing.map_or(0, |zone| zone.labels);
        let hash = reading.name.hash_at(lookup::first_probe(snapshot, &reading.name, apex_depth));
        *page = snapshot.page(hash).map(|page| (page, hash));
    }
    page::look_ahead(pages.iter().flatten().copied());
}

/// Whether all queries are about the zone that those before them were about, and it is small.
#[inline]
fn is_cached(view: &View, readings: &[Reading]) -> bool {
    let Some(zone) = readings.first().and_then(|reading| reading.enclosing) else { return false };
    readings.iter().all(|reading| reading.enclosing == Some(zone))
        && view.slots()[zone.slot].load().as_ref().is_none_or(|snapshot| snapshot.names_octets() <= CACHED_OCTETS)
}

/// The innermost zone of the view that encloses the name.
#[inline]
fn zone_of(view: &View, known: &mut Known, reading: &mut Reading) -> Option<Enclosing> {
    let Parsed::Query(_) = reading.parsed else { return None };
    if reading.enclosing.is_none() {
        let name = &reading.name;
        let slot = view.enclosing(name.hashes(), name.labels(), |depth| name.suffix(depth))?;
        let zone = Enclosing { slot, labels: view.slots()[slot].labels() };
        known.keep(name, zone, view);
        reading.enclosing = Some(zone);
    }
    reading.enclosing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::{RecordType, message};
    use crate::served::{Publisher, ZoneId};
    use crate::zone::HashKey;

    /// The places of zones change with the view, and what is no query finds no new one.
    #[test]
    fn what_is_no_query_keeps_no_place_of_an_earlier_view() {
        let key = HashKey::from_bytes([1; 16]);
        let apex: crate::dns::Name = "example".parse().expect("a name");
        // Given queries about a zone
        let (mut publisher, handle) = Publisher::new(key);
        publisher.add_zones([(ZoneId(1), apex.clone())]);
        let (view, mut known) = (handle.load(), Known::new());
        let query = message::query(1, &apex, RecordType::SOA, None);
        let mut readings = [Reading::new(), Reading::new()];
        readings.iter_mut().for_each(|reading| reading.read(&view, &known, &query));
        look_ahead(&view, &mut known, &mut readings);
        assert!(readings.iter().all(|reading| reading.enclosing.is_some()));
        // When none is served any more and only rubbish comes
        let without = Publisher::new(key).1.load();
        readings.iter_mut().for_each(|reading| reading.read(&without, &known, b"rubbish"));
        look_ahead(&without, &mut known, &mut readings);
        // Then nobody looks where the zone was
        assert!(readings.iter().all(|reading| reading.enclosing.is_none()));
    }
}
