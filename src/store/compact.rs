//! How a zone's contents reach the disk: the journal, the checkpoint, the new generation, and what is deleted after.
//!
//! In: snapshots and differences from `writer`. Out: changes of its group, or files of pages.
//!
//! ```text
//! Append ---> differences fit the journal? --yes--> `j` keys in the group's batch
//!                       | no                                 (base and pages stay)
//! Replace ------------> v
//!              image <= file_octets?
//!                yes |                                 | no
//!                    v                                 v
//!   pages that differ from those in        all pages in a file under generation + 1, sync,
//!   the tree (one small page: in `z`)      then `z` + kept differences in the group's batch
//!   + `z` + kept differences in the                        |
//!   group's one atomic batch                               |
//!                    `------------> then: old pages, old history are garbage
//! ```
//!
//! `z` is the only value that makes pages and differences count, and it changes in one atomic batch. So whatever
//! step a crash comes after, a zone is wholly old or wholly new, and the rest is `garbage`. Pages that move between the
//! tree, a file and `z` are a new generation like any other.
//!
//! A checkpoint writes the file whole. The journal before it held a quarter of the image or 64 MiB, so each octet of a
//! difference costs 4 more octets of file at most up to images of 256 MiB (5 million records) and image / 64 MiB beyond:
//! 700 for a difference of one record in a zone of a million, 7,000 in one of 50 million.

use super::disk::Disk;
use super::garbage::Garbage;
use super::known::Part;
use super::layout::{self, DiffHead, Header, Place, ZoneNumber, table};
use super::page_file::{FileId, Purpose};
use super::writer::{Forget, Writer};
use super::{Bounds, StoreError};
use crate::dns::Serial;
use crate::zone::{Diff, HashKey, Page, Snapshot};

/// The journal of a zone may grow to this in any case, else a zone of one page would be written anew each time.
const JOURNAL_OCTETS_MIN: u64 = 4 << 10;

/// However large the zone, no more journal than this is replayed at start.
const JOURNAL_OCTETS_MAX: u64 = 64 << 20;

/// Differences up to this size are kept in any case, however small the zone.
const KEPT_DIFF_OCTETS_MIN: u64 = 16 << 10;

/// Larger ones are not, however large the zone: what goes into a batch of the default size, with room for others.
const KEPT_DIFF_OCTETS_MAX: u64 = 6 << 20;

/// What the writer knows of a zone.
#[derive(Clone, Debug)]
pub(super) struct ZoneState {
    /// `None`: no contents are stored.
    pub(super) header: Option<Header>,
    /// The highest generation in use or left over.
    pub(super) top_generation: u32,
    /// The newest difference in use or left over.
    pub(super) last_sequence: u64,
    /// Octets of all differences so far.
    last_total: u64,
    /// Serial at the end of the chain: the stored serial.
    last: Option<Serial>,
}

impl ZoneState {
    /// Of a zone of which nothing is stored.
    pub(super) fn nothing() -> ZoneState {
        ZoneState { header: None, top_generation: 0, last_sequence: 0, last_total: 0, last: None }
    }

    fn load(disk: &Disk, zone: ZoneNumber) -> Result<ZoneState, StoreError> {
        // Contents that cannot be read are as good as none for the next write; what is left of them is garbage.
        let header = match read_header(disk, zone) {
            Err(StoreError::Corrupt(_)) => None,
            header => header?,
        };
        let pages = layout::zone_key(table::PAGE, zone);
        let top_page = disk.last_key(&layout::behind(&pages), &pages)?;
        let top_generation = top_page.and_then(|key| layout::generation_of(&key)).unwrap_or(0);
        let top_generation = top_generation.max(disk.files.top_generation(zone, Purpose::Contents));
        let mut state = ZoneState {
            top_generation: top_generation.max(header.as_ref().map_or(0, |h| h.generation)),
            last_sequence: header.as_ref().map_or(0, |h| h.base_sequence),
            last_total: header.as_ref().map_or(0, |h| h.base_total),
            last: header.as_ref().map(|h| h.base),
            header,
        };
        let diffs = layout::zone_key(table::DIFF, zone);
        let top_diff = disk.last_key(&layout::behind(&diffs), &diffs)?;
        if let Some((sequence, _)) = top_diff.and_then(|key| layout::diff_position(&key)) {
            if sequence > state.last_sequence && state.header.is_some() {
                match read_head(disk, zone, sequence) {
                    Ok(head) => (state.last, state.last_total) = (Some(head.to), head.total),
                    // Nothing can follow it: the next write starts a new chain.
                    Err(StoreError::Corrupt(_)) => state.last = None,
                    Err(error) => return Err(error),
                }
            }
            state.last_sequence = state.last_sequence.max(sequence);
        }
        Ok(state)
    }

    /// The header, if there are pages.
    fn loaded(&self) -> Option<&Header> {
        self.header.as_ref().filter(|header| header.is_loaded())
    }

    /// The generation of a page behind the header: that of the one before, which it replaces, or a new one.
    fn generation_behind_header(&self) -> u32 {
        match &self.header {
            Some(header) if header.place == Place::Header => header.generation,
            _ => self.top_generation + 1,
        }
    }

    /// The header, if its pages can be compared with.
    fn in_tree(&self) -> Option<&Header> {
        self.header.as_ref().filter(|header| header.place == Place::Tree)
    }
}

/// The header of `zone`; `None` if no contents are stored.
pub(super) fn read_header(disk: &Disk, zone: ZoneNumber) -> Result<Option<Header>, StoreError> {
    let key = layout::zone_key(table::ZONE, zone);
    let Some(body) = disk.get(&key)? else { return Ok(None) };
    let (header, _) = Header::decode(&body).ok_or_else(|| layout::Damage::Shape(layout::show(&key)))?;
    Ok(Some(header))
}

/// The head of one stored difference.
pub(super) fn read_head(disk: &Disk, zone: ZoneNumber, sequence: u64) -> Result<DiffHead, StoreError> {
    let start = layout::diff_key(zone, sequence);
    let body = disk.get(&layout::part_key(&start, 0))?.ok_or_else(|| layout::Damage::Missing(layout::show(&start)))?;
    Ok(DiffHead::decode(&body).ok_or_else(|| layout::Damage::Shape(layout::show(&start)))?.0)
}

impl Writer {
    /// The zone has new contents, whatever was there before.
    pub(super) fn replace(
        &mut self,
        zone: ZoneNumber,
        snapshot: &Snapshot,
        diff: Option<Diff>,
    ) -> Result<(), StoreError> {
        self.settle(zone);
        let diffs: Vec<Diff> = diff.into_iter().collect();
        self.rebase(zone, snapshot, &diffs)
    }

    /// The zone has moved on by `diffs`.
    pub(super) fn append(&mut self, zone: ZoneNumber, snapshot: &Snapshot, diffs: &[Diff]) -> Result<(), StoreError> {
        let octets: usize = diffs.iter().map(|diff| diff.as_bytes().len()).sum();
        if octets <= self.bounds.diffs_in_batch() {
            self.make_room(octets);
            let state = self.state(zone)?;
            if let Some(header) = state.loaded() {
                let journal = state.last_total + octets as u64 - header.base_total;
                let room = (header.image_octets / 4).clamp(JOURNAL_OCTETS_MIN, JOURNAL_OCTETS_MAX);
                if follows(state.last, diffs, snapshot.serial()) && journal <= room {
                    let state = self.put_diffs(zone, state, diffs);
                    self.group.touched.insert(zone);
                    self.known.set_state(zone, state);
                    return Ok(());
                }
            }
        }
        self.settle(zone);
        self.rebase(zone, snapshot, diffs)
    }

    /// Puts `diffs` into the group behind the chain of `state`.
    fn put_diffs(&mut self, zone: ZoneNumber, mut state: ZoneState, diffs: &[Diff]) -> ZoneState {
        for diff in diffs {
            let octets = diff.as_bytes();
            state.last_sequence += 1;
            state.last_total += octets.len() as u64;
            state.last = Some(diff.to_serial());
            let start = layout::diff_key(zone, state.last_sequence);
            let bodies = layout::diff_parts(diff.from_serial(), diff.to_serial(), state.last_total, octets);
            for (part, body) in (0..).zip(&bodies) {
                self.group.changes.put(&layout::part_key(&start, part), body);
            }
        }
        state
    }

    /// Makes `snapshot` the base. `diffs` lead to it from the stored serial, if the caller is right; they become
    /// history.
    fn rebase(&mut self, zone: ZoneNumber, snapshot: &Snapshot, diffs: &[Diff]) -> Result<(), StoreError> {
        let state = self.state(zone)?;
        let image_octets = snapshot.image_octets();
        let is_linked = state.header.is_some() && follows(state.last, diffs, snapshot.serial());
        // Damage was healed by a transfer of the serial we had: the history still leads there.
        let is_healed = state.header.as_ref().is_some_and(|h| !h.is_loaded()) && state.last == Some(snapshot.serial());
        let kept = if is_linked { keepable(diffs, image_octets, self.bounds.diffs_in_batch()) } else { &[] };
        let chain_goes_on = is_healed || is_linked && kept.len() == diffs.len();

        let plan = match (lone_page(snapshot), state.in_tree()) {
            _ if self.bounds.is_for_file(image_octets) => None,
            (Some(page), _) => Some(PagePlan::behind_header(state.generation_behind_header(), snapshot.key(), page)),
            (None, Some(header)) => self.changed_pages(zone, header, snapshot)?,
            (None, None) => all_pages(zone, state.top_generation + 1, snapshot, self.bounds.pages_in_batch()),
        };
        let kept_octets: usize = kept.iter().map(|diff| diff.as_bytes().len()).sum();
        let plan = match plan {
            Some(plan) => {
                self.make_room(plan.octets + kept_octets);
                plan
            }
            None => {
                // Nobody in the group shall wait for the file.
                if !self.is_whole {
                    self.commit();
                }
                self.write_file(zone, state.top_generation + 1, snapshot)?
            }
        };
        let generation = plan.generation;

        // The same again after make_room: nothing else touched this zone meanwhile (settle came first).
        let before = state.header.clone();
        let first_kept = state.last_sequence + 1;
        let mut state = self.put_diffs(zone, state, kept);
        let chain_start = match &before {
            Some(header) if chain_goes_on => self.trimmed(zone, header.chain_start, &state, image_octets, first_kept),
            _ => first_kept,
        };
        let header = Header {
            generation,
            place: plan.place,
            base: snapshot.serial(),
            base_sequence: state.last_sequence,
            base_total: state.last_total,
            chain_start,
            pages: plan.pages,
            digest: plan.digest,
            image_octets,
            apex: snapshot.apex().clone(),
        };
        for (key, value) in plan.puts {
            self.group.changes.put_sealed(&key, value);
        }
        for key in plan.deletes {
            self.group.changes.delete(&key);
        }
        let page = plan.behind_header.as_ref().map_or(&[][..], Page::as_bytes);
        self.group.changes.put(&layout::zone_key(table::ZONE, zone), &header.encode(page));

        state.top_generation = state.top_generation.max(generation);
        state.last = Some(snapshot.serial());
        state.header = Some(header);
        self.group.touched.insert(zone);
        self.known.set_state(zone, state);
        if let Some(before) = before {
            if before.chain_start != chain_start {
                self.group.garbage.push(Garbage::Diffs { zone, below: chain_start });
            }
            if before.generation != generation {
                self.group.garbage.push(Garbage::Pages { zone, from: 0, below: generation });
            }
        }
        Ok(())
    }

    /// The pages that differ from the stored ones; `None` if they are too many for one batch.
    ///
    /// Reads the stored pages rather than keeping them in mind: that costs one pass over the image a checkpoint, a
    /// quarter of the image in changes apart, and nothing per zone in between.
    fn changed_pages(
        &self,
        zone: ZoneNumber,
        header: &Header,
        snapshot: &Snapshot,
    ) -> Result<Option<PagePlan>, StoreError> {
        let generation = header.generation;
        let new = sorted_pages(zone, generation, snapshot);
        let mut plan = PagePlan::new(generation, snapshot.key());
        let mut new = new.iter().peekable();
        let octets_max = self.bounds.pages_in_batch();
        let start = layout::generation_key(zone, generation);
        let fits = self.disk.read("compare", |tree| {
            for stored in tree.scan_prefix(&start) {
                let (key, value) = stored?;
                while let Some((new_key, page)) = new.next_if(|(new_key, _)| new_key.as_slice() < &key[..]) {
                    plan.put(new_key, page.as_bytes());
                }
                match new.next_if(|(new_key, _)| new_key.as_slice() == &key[..]) {
                    Some((new_key, page)) => plan.put_unless_stored(new_key, page.as_bytes(), &value),
                    None => plan.deletes.push(key.to_vec()),
                }
                if plan.octets > octets_max {
                    return Ok(false);
                }
            }
            for (new_key, page) in new.by_ref() {
                plan.put(new_key, page.as_bytes());
                if plan.octets > octets_max {
                    return Ok(false);
                }
            }
            Ok(true)
        })?;
        Ok(fits.then_some(plan))
    }

    /// Writes all pages to a file under a generation that no header names yet.
    fn write_file(&mut self, zone: ZoneNumber, generation: u32, snapshot: &Snapshot) -> Result<PagePlan, StoreError> {
        if let Some(state) = self.known.state_mut(zone) {
            state.top_generation = generation;
        }
        let id = FileId { zone, purpose: Purpose::Contents, generation };
        let sum = self.disk.files.write(id, snapshot, self.bounds.batch_octets)?;
        let plan = PagePlan::new(generation, snapshot.key());
        Ok(PagePlan { place: Place::File, pages: sum.pages, digest: sum.digest, ..plan })
    }

    /// Where the chain starts when the history bounds are applied to what lies up to the new base.
    fn trimmed(
        &self,
        zone: ZoneNumber,
        chain_start: u64,
        state: &ZoneState,
        image_octets: u64,
        first_kept: u64,
    ) -> u64 {
        let base = state.last_sequence;
        let oldest = chain_start.max((base + 1).saturating_sub(u64::from(self.bounds.history_versions)));
        let octets_max = self.bounds.history_octets(image_octets);
        let fits = |sequence: u64| {
            let head = read_head(&self.disk, zone, sequence).ok()?;
            Some(state.last_total - (head.total - u64::from(head.octets)) <= octets_max)
        };
        // Between `low`, which is too old, and `high`, which is not: totals only grow.
        let (mut low, mut high) = (oldest, first_kept.max(oldest));
        if low >= high || fits(low) == Some(true) {
            return low;
        }
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            match fits(middle) {
                Some(true) => high = middle,
                // A difference that cannot be read ends the chain just as well.
                Some(false) | None => low = middle,
            }
        }
        high
    }

    /// Deletes the zone: its header and small values now, pages and differences behind.
    pub(super) fn remove(&mut self, zone: ZoneNumber) -> Result<(), StoreError> {
        self.settle(zone);
        let state = self.state(zone)?;
        self.remove_reviewed(zone)?;
        let changes = &mut self.group.changes;
        for table in [table::DEFINITION, table::PRIMARY, table::ENTRY, table::LOG] {
            let start = layout::zone_key(table, zone);
            self.disk.delete_all(changes, &start, &start)?;
        }
        self.disk.delete_unless(changes, &layout::zone_key(table::ATTEMPT, zone), |_| false)?;
        changes.delete(&layout::zone_key(table::ZONE, zone));
        changes.delete(&layout::zone_key(table::CONFIRMATION, zone));
        self.group.garbage.push(Garbage::Diffs { zone, below: state.last_sequence + 1 });
        self.group.garbage.push(Garbage::Pages { zone, from: 0, below: state.top_generation + 1 });
        self.group.touched.insert(zone);
        self.known.set_state(zone, ZoneState { header: None, last: None, ..state });
        Ok(())
    }

    /// Keeps definition and history of a zone whose contents are damaged, and gives up its pages.
    pub(super) fn forget(&mut self, forget: &Forget) -> Result<(), StoreError> {
        let zone = forget.zone;
        self.settle(zone);
        let Some(header) = read_header(&self.disk, zone).unwrap_or(None) else { return Ok(()) };
        if header.generation != forget.generation || !header.is_loaded() {
            return Ok(());
        }
        let diffs = layout::zone_key(table::DIFF, zone);
        let mut last = None;
        if let Some(damaged) = forget.damaged_sequence {
            let first_bad = layout::diff_key(zone, damaged);
            self.disk.delete_all(&mut self.group.changes, &diffs, &first_bad)?;
            if damaged > header.base_sequence + 1 {
                last = read_head(&self.disk, zone, damaged - 1).ok().map(|head| (damaged - 1, head));
            }
        } else if let Some(key) = self.disk.last_key(&layout::behind(&diffs), &diffs)?
            && let Some((sequence, _)) = layout::diff_position(&key)
        {
            last = read_head(&self.disk, zone, sequence).ok().map(|head| (sequence, head));
        }
        let generation = header.generation;
        let mut header = Header { place: Place::Nowhere, pages: 0, digest: 0, image_octets: 0, ..header };
        if let Some((sequence, head)) = last.filter(|(sequence, _)| *sequence > header.base_sequence) {
            (header.base, header.base_sequence, header.base_total) = (head.to, sequence, head.total);
        }
        self.group.changes.put(&layout::zone_key(table::ZONE, zone), &header.encode(&[]));
        self.known.forget(zone);
        self.group.touched.insert(zone);
        self.group.garbage.push(Garbage::Pages { zone, from: 0, below: generation + 1 });
        Ok(())
    }

    /// Commits the group if it holds something of `zone`: what follows compares with the disk.
    pub(super) fn settle(&mut self, zone: ZoneNumber) {
        if self.group.touched.contains(&zone) {
            self.commit();
        }
    }

    /// What is known of `zone`, from memory or disk.
    pub(super) fn state(&mut self, zone: ZoneNumber) -> Result<ZoneState, StoreError> {
        if let Some(state) = self.known.state(zone) {
            return Ok(state.clone());
        }
        let is_first = self.known.is_first(zone, Part::Contents);
        let state = if is_first { ZoneState::nothing() } else { ZoneState::load(&self.disk, zone)? };
        self.known.set_state(zone, state.clone());
        Ok(state)
    }
}

/// Whether `diffs` lead without a gap from `stored` to `serial`.
fn follows(stored: Option<Serial>, diffs: &[Diff], serial: Serial) -> bool {
    let mut at = stored;
    for diff in diffs {
        if at != Some(diff.from_serial()) {
            return false;
        }
        at = Some(diff.to_serial());
    }
    !diffs.is_empty() && at == Some(serial)
}

/// Most octets of a difference that is kept: half the image, since a larger one is better sent as a whole zone, and what
/// goes into one batch.
pub fn kept_diff_octets_max(image_octets: u64) -> u64 {
    (image_octets / 2).clamp(KEPT_DIFF_OCTETS_MIN, KEPT_DIFF_OCTETS_MAX)
}

/// The newest of `diffs` which are worth keeping.
fn keepable(diffs: &[Diff], image_octets: u64, all_max: usize) -> &[Diff] {
    let one_max = kept_diff_octets_max(image_octets);
    let mut octets = 0;
    let kept = diffs.iter().rev().take_while(|diff| {
        let length = diff.as_bytes().len();
        octets += length;
        length as u64 <= one_max && octets <= all_max
    });
    let count = kept.count();
    &diffs[diffs.len() - count..]
}

/// What has to be written to make a snapshot the stored pages.
struct PagePlan {
    generation: u32,
    place: Place,
    puts: Vec<(Vec<u8>, Vec<u8>)>,
    deletes: Vec<Vec<u8>>,
    /// The only page, with [`Place::Header`].
    behind_header: Option<Page>,
    octets: usize,
    pages: u32,
    digest: u64,
}

impl PagePlan {
    fn new(generation: u32, key: &HashKey) -> PagePlan {
        let digest = digest_start(key);
        let (puts, deletes) = (Vec::new(), Vec::new());
        PagePlan { generation, place: Place::Tree, puts, deletes, behind_header: None, octets: 0, pages: 0, digest }
    }

    /// `page` is all there is; the checksum of the header's value is its own.
    fn behind_header(generation: u32, key: &HashKey, page: &Page) -> PagePlan {
        let (octets, behind_header) = (page.as_bytes().len(), Some(page.clone()));
        PagePlan { place: Place::Header, pages: 1, octets, behind_header, ..PagePlan::new(generation, key) }
    }

    fn count(&mut self, value: &[u8]) {
        self.pages += 1;
        self.digest = self.digest.wrapping_add(digest_of(value));
    }

    fn put(&mut self, key: &[u8], body: &[u8]) {
        let value = layout::seal(key, body);
        self.count(&value);
        self.octets += key.len() + value.len();
        self.puts.push((key.to_vec(), value));
    }

    fn put_unless_stored(&mut self, key: &[u8], body: &[u8], stored: &[u8]) {
        // The checksum is compared too, so a page that has rotted on the disk is written again.
        if layout::open(key, stored) == Ok(body) { self.count(stored) } else { self.put(key, body) }
    }
}

/// What [`Header::digest`] is without any page: pages made with another hash key do not count as ours.
pub(super) fn digest_start(key: &HashKey) -> u64 {
    u64::from(layout::checksum(layout::VERSION_KEY, key.as_bytes()))
}

/// What a page's value adds to [`Header::digest`].
pub(super) fn digest_of(value: &[u8]) -> u64 {
    value.first_chunk().map_or(0, |sum| u64::from(u32::from_le_bytes(*sum)))
}

/// All pages for one batch; `None` if they are too many.
fn all_pages(zone: ZoneNumber, generation: u32, snapshot: &Snapshot, octets_max: usize) -> Option<PagePlan> {
    let mut plan = PagePlan::new(generation, snapshot.key());
    for (key, page) in sorted_pages(zone, generation, snapshot) {
        plan.put(&key, page.as_bytes());
    }
    (plan.octets <= octets_max).then_some(plan)
}

/// The only page of a zone, if it is small.
fn lone_page(snapshot: &Snapshot) -> Option<&Page> {
    let mut pages = snapshot.pages();
    let (_, page) = pages.next()?;
    let is_lone = page.as_bytes().len() <= layout::PAGE_BEHIND_HEADER_MAX && pages.next().is_none();
    is_lone.then_some(page)
}

fn sorted_pages(zone: ZoneNumber, generation: u32, snapshot: &Snapshot) -> Vec<(Vec<u8>, Page)> {
    let mut pages: Vec<_> =
        snapshot.pages().map(|(key, page)| (layout::page_key(zone, generation, key), page.clone())).collect();
    pages.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    pages
}

impl Bounds {
    /// Whether the pages of an image of this size get a file.
    pub(super) fn is_for_file(&self, image_octets: u64) -> bool {
        image_octets > self.file_octets.min(self.pages_in_batch() as u64)
    }

    /// Most octets of pages in one atomic batch; what remains is for differences and other zones.
    fn pages_in_batch(&self) -> usize {
        self.batch_octets / 2
    }

    /// Most octets of differences stored with one write.
    fn diffs_in_batch(&self) -> usize {
        (self.batch_octets / 8 * 3).min(KEPT_DIFF_OCTETS_MAX as usize)
    }

    /// Most octets of history for a zone of this size.
    fn history_octets(&self, image_octets: u64) -> u64 {
        self.history_octets.unwrap_or((image_octets / 2).max(1 << 20))
    }
}
