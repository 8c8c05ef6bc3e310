//! Pages and journals of a few neighbouring zones, read in one walk through each table: looking up where a zone begins costs
//! more than reading a small one.
//!
//! In: headers, in the order of their zones. Out: for each zone the live pages, counted and summed up, and the differences
//! behind them; damage costs the zone it is in. Used by `restore` at a start.

use super::StoreError;
use super::compact::{digest_of, digest_start};
use super::disk::Disk;
use super::layout::{self, Damage, Header, Place, ZoneNumber, table};
use super::restore::Chain;
use crate::zone::{Diff, HashKey, Page};

/// What the tree holds of one zone's live contents.
pub(super) struct Gathered<'a> {
    pub(super) zone: ZoneNumber,
    pub(super) header: &'a Header,
    pages: Vec<Page>,
    digest: u64,
    chain: Chain,
    /// What was found first in its pages, and in its journal.
    damaged_pages: Option<Damage>,
    damaged_chain: Option<Damage>,
}

/// From which key on, and up to which, a table counts for a zone.
type Range = fn(&Gathered<'_>) -> (Vec<u8>, Vec<u8>);

impl<'a> Gathered<'a> {
    fn new(zone: ZoneNumber, header: &'a Header, behind_header: Option<Page>, key: &HashKey) -> Gathered<'a> {
        // What a damaged header says is no reason to take so much memory.
        const PAGES_LIKELY: u32 = 1 << 16;
        let likely = if header.place == Place::Tree { header.pages.min(PAGES_LIKELY) } else { 0 };
        let mut pages = Vec::with_capacity(likely as usize);
        pages.extend(behind_header);
        Gathered {
            zone,
            header,
            pages,
            digest: digest_start(key),
            chain: Chain::after(header.base_sequence),
            damaged_pages: None,
            damaged_chain: None,
        }
    }

    /// The pages, if they are all there.
    pub(super) fn take_pages(&mut self) -> Result<Vec<Page>, Damage> {
        if let Some(damage) = self.damaged_pages.take() {
            return Err(damage);
        }
        if self.pages.len() != self.header.pages as usize || self.digest != self.header.digest {
            return Err(Damage::Missing(layout::show(&layout::generation_key(self.zone, self.header.generation))));
        }
        Ok(std::mem::take(&mut self.pages))
    }

    /// The differences behind the pages, without a gap; else the number of the first that cannot be used.
    pub(super) fn into_journal(self) -> Result<Vec<Diff>, (Damage, u64)> {
        let sequence = self.chain.sequence();
        match self.damaged_chain {
            Some(damage) => Err((damage, sequence)),
            None => self.chain.finish().map_err(|damage| (damage, sequence)),
        }
    }
}

/// Reads what stands in the tree of `zones`, which ascend; with the page behind a header, which has been read.
pub(super) fn gather<'a>(
    disk: &Disk,
    key: &HashKey,
    zones: impl Iterator<Item = (ZoneNumber, &'a Header, Option<Page>)>,
) -> Result<Vec<Gathered<'a>>, StoreError> {
    let mut found: Vec<_> = zones.map(|(zone, header, page)| Gathered::new(zone, header, page, key)).collect();
    let in_tree = found.iter_mut().filter(|zone| zone.header.place == Place::Tree).collect();
    walk(disk, in_tree, pages_of, |zone, key, value| {
        zone.digest = zone.digest.wrapping_add(digest_of(value));
        disk.count_cached(value.len());
        match (page(key, value), &zone.damaged_pages) {
            (Ok(page), None) => zone.pages.push(page),
            (Err(damage), None) => zone.damaged_pages = Some(damage),
            (_, Some(_)) => {}
        }
    })?;
    walk(disk, found.iter_mut().collect(), journal_of, |zone, key, value| {
        if zone.damaged_chain.is_none() {
            zone.damaged_chain = zone.chain.push(key, value).err();
        }
    })?;
    Ok(found)
}

fn pages_of(zone: &Gathered<'_>) -> (Vec<u8>, Vec<u8>) {
    let start = layout::generation_key(zone.zone, zone.header.generation);
    let end = layout::behind(&start);
    (start, end)
}

fn journal_of(zone: &Gathered<'_>) -> (Vec<u8>, Vec<u8>) {
    let start = layout::diff_key(zone.zone, zone.header.base_sequence + 1);
    (start, layout::behind(&layout::zone_key(table::DIFF, zone.zone)))
}

/// Gives `take` everything in the ranges of `zones`, in order. What stands between, older generations and outlived history,
/// is leapt over.
fn walk(
    disk: &Disk,
    zones: Vec<&mut Gathered<'_>>,
    range: Range,
    mut take: impl FnMut(&mut Gathered<'_>, &[u8], &[u8]),
) -> Result<(), StoreError> {
    let Some((_, last)) = zones.last().map(|zone| range(zone)) else { return Ok(()) };
    disk.read("restore", |tree| {
        let (mut items, mut next) = (None, None);
        for zone in zones {
            let (start, end) = range(zone);
            loop {
                let (key, value) = match next.take() {
                    Some(item) => item,
                    None => match items.get_or_insert_with(|| tree.range(&start[..]..&last[..])).next() {
                        Some(item) => item?,
                        None => return Ok(()),
                    },
                };
                if *key < start[..] {
                    items = None;
                } else if *key < end[..] {
                    take(zone, &key, &value);
                } else {
                    next = Some((key, value));
                    break;
                }
            }
        }
        Ok(())
    })
}

fn page(key: &[u8], value: &[u8]) -> Result<Page, Damage> {
    let page = Page::from_bytes(layout::open(key, value)?).map_err(|_| Damage::Shape(layout::show(key)))?;
    if Some(page.key()) != layout::page_of(key) {
        return Err(Damage::Shape(layout::show(key)));
    }
    Ok(page)
}
