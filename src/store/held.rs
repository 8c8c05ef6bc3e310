//! What is kept of a zone beside its contents and their history: the version that waits for a verdict, what was decided
//! about versions, and who gave which version. Table `h`.
//!
//! In: [`Write::Review`](super::Write), `Hold` and `Noted` from `control`. Out: at start the
//! reviews; later [`Store::held`], [`Store::history`] and [`Store::diffs_between`], which read from disk and are not
//! for the keeper's thread. Reviews and notes are octets from above.
//!
//! One held version a zone at most; its pages are where those of contents of that size would be. Its header counts them in
//! one batch with the review that speaks of it, so after a crash there is a review with its version, or one without,
//! which [`Store::held`] tells.

use super::compact::{self, digest_of, digest_start};
use super::disk::Disk;
use super::garbage::Garbage;
use super::layout::{self, Damage, DiffHead, Header, Place, ZoneNumber};
use super::page_file::{FileId, Purpose, Sum};
use super::restore::Chain;
use super::writer::Writer;
use super::{Store, StoreError};
use crate::dns::Serial;
use crate::zone::{Diff, Page, Snapshot};

/// Notes deleted with one new note; more than come, so the old ones run out.
const NOTES_TRIMMED: usize = 16;

/// What the store knows of a zone's past.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The unbroken chain of differences, oldest first.
    pub steps: Vec<Step>,
    /// What was written with [`Write::Noted`](super::Write::Noted), by the number of the last step there was then.
    pub notes: Vec<(u64, Vec<u8>)>,
    /// The stored serial: where the chain ends.
    pub stored: Option<Serial>,
}

/// One stored difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its number, growing by one.
    pub sequence: u64,
    /// Serial it starts from.
    pub from: Serial,
    /// Serial it leads to.
    pub to: Serial,
    /// Its length.
    pub octets: u32,
}

impl Writer {
    /// What was decided about versions of the zone, and whether a held version goes.
    pub(super) fn review(&mut self, zone: ZoneNumber, bytes: Option<&[u8]>, drop_held: bool) -> Result<(), StoreError> {
        let key = layout::held::review_key(zone);
        self.make_room(bytes.map_or(0, <[u8]>::len));
        match bytes {
            Some(bytes) => self.disk.put_opaque(&mut self.group.changes, &key, bytes)?,
            None => self.disk.delete_all(&mut self.group.changes, &key, &key)?,
        }
        if drop_held {
            let below = self.disk.files.top_generation(zone, Purpose::Held) + 1;
            self.drop_held(zone, below)?;
        }
        Ok(())
    }

    /// Keeps a version that waits for a verdict, in the place of an earlier one.
    pub(super) fn hold(&mut self, zone: ZoneNumber, snapshot: &Snapshot, review: &[u8]) -> Result<(), StoreError> {
        let image_octets = snapshot.image_octets();
        let generation = self.disk.files.top_generation(zone, Purpose::Held) + 1;
        let (place, sum) = if self.bounds.is_for_file(image_octets) {
            // Nobody in the group shall wait for the file.
            self.commit();
            let id = FileId { zone, purpose: Purpose::Held, generation };
            let sum = self.disk.files.write(id, snapshot, self.bounds.batch_octets)?;
            self.drop_held(zone, generation)?;
            (Place::File, sum)
        } else {
            self.drop_held(zone, generation)?;
            (Place::Tree, self.put_held(zone, snapshot))
        };
        let header = Header {
            generation,
            place,
            base: snapshot.serial(),
            base_sequence: 0,
            base_total: 0,
            chain_start: 0,
            pages: sum.pages,
            digest: sum.digest,
            image_octets,
            apex: snapshot.apex().clone(),
        };
        self.group.changes.put(&layout::held::header_key(zone), &header.encode(&[]));
        self.group.touched.insert(zone);
        self.review(zone, Some(review), false)
    }

    fn put_held(&mut self, zone: ZoneNumber, snapshot: &Snapshot) -> Sum {
        self.make_room(snapshot.image_octets() as usize);
        let mut sum = Sum { pages: 0, digest: digest_start(snapshot.key()) };
        for (page_key, page) in snapshot.pages() {
            let key = layout::held::page_key(zone, page_key);
            let value = layout::seal(&key, page.as_bytes());
            sum.pages += 1;
            sum.digest = sum.digest.wrapping_add(digest_of(&value));
            self.group.changes.put_sealed(&key, value);
        }
        sum
    }

    /// Keeps who gave the version that was just staged.
    pub(super) fn note(&mut self, zone: ZoneNumber, bytes: &[u8]) -> Result<(), StoreError> {
        if bytes.len() > layout::BODY_OCTETS_MAX {
            return Err(StoreError::TooLarge { octets: bytes.len(), max: layout::BODY_OCTETS_MAX });
        }
        self.make_room(bytes.len());
        let state = self.state(zone)?;
        // The note of the oldest kept version stands one before the first difference.
        let oldest = state.header.as_ref().map_or(0, |header| header.chain_start.saturating_sub(1));
        if oldest > 0 {
            let (from, end) = (layout::held::note_key(zone, 0), layout::held::note_key(zone, oldest));
            let outlived: Vec<sled::IVec> = self
                .disk
                .read("scan", |tree| tree.range(from..end).keys().take(NOTES_TRIMMED).collect::<Result<_, _>>())?;
            for key in outlived {
                self.group.changes.delete(&key);
            }
        }
        self.group.changes.put(&layout::held::note_key(zone, state.last_sequence), bytes);
        Ok(())
    }

    /// Everything of the table goes with the zone.
    pub(super) fn remove_reviewed(&mut self, zone: ZoneNumber) -> Result<(), StoreError> {
        for start in [layout::held::review_key(zone), layout::held::notes(zone)] {
            self.disk.delete_all(&mut self.group.changes, &start, &start)?;
        }
        let below = self.disk.files.top_generation(zone, Purpose::Held) + 1;
        self.drop_held(zone, below)
    }

    /// The held version goes, with all its files of generations before `below`.
    fn drop_held(&mut self, zone: ZoneNumber, below: u32) -> Result<(), StoreError> {
        // What the group holds of another one cannot be seen yet.
        self.settle(zone);
        self.group.changes.delete(&layout::held::header_key(zone));
        if !self.disk.files.generations(zone, Purpose::Held, 0..below).is_empty() {
            self.group.garbage.push(Garbage::HeldFiles { zone, from: 0, below });
        }
        let pages = layout::held::pages(zone);
        self.disk.delete_all(&mut self.group.changes, &pages, &pages)
    }
}

/// The generation of the file that holds the zone's held version, if one does.
pub(super) fn file_generation(disk: &Disk, zone: ZoneNumber) -> Result<Option<u32>, StoreError> {
    let body = match disk.get(&layout::held::header_key(zone)) {
        // As good as none: see `Store::held`.
        Err(StoreError::Corrupt(_)) => None,
        body => body?,
    };
    let header = body.as_deref().and_then(Header::decode).map(|(header, _)| header);
    Ok(header.filter(|header| header.place == Place::File).map(|header| header.generation))
}

impl Store {
    /// The version that waits for a verdict; `None` if there is none.
    ///
    /// Reads from disk: not for the keeper's thread.
    pub fn held(&self, zone: ZoneNumber) -> Result<Option<Snapshot>, StoreError> {
        let header_key = layout::held::header_key(zone);
        let Some(body) = self.disk.get(&header_key)? else { return Ok(None) };
        match self.read_held(zone, &body) {
            // It went, or another took its place, while we read.
            Err(StoreError::Corrupt(_)) if self.disk.get(&header_key)?.as_ref() != Some(&body) => Ok(None),
            read => read.map(Some),
        }
    }

    fn read_held(&self, zone: ZoneNumber, header: &[u8]) -> Result<Snapshot, StoreError> {
        let shown = || layout::show(&layout::held::header_key(zone));
        let (header, _) = Header::decode(header).ok_or_else(|| Damage::Shape(shown()))?;
        let pages = if header.place == Place::File {
            let id = FileId { zone, purpose: Purpose::Held, generation: header.generation };
            self.disk.files.read(id, &self.key, Sum { pages: header.pages, digest: header.digest })?
        } else {
            self.held_pages_in_tree(zone, &header)?
        };
        let snapshot = Snapshot::from_pages(header.apex, self.key, pages);
        snapshot.map_err(|damage| StoreError::Corrupt(damage.to_string()))
    }

    fn held_pages_in_tree(&self, zone: ZoneNumber, header: &Header) -> Result<Vec<Page>, StoreError> {
        let (mut pages, mut digest) = (Vec::with_capacity(header.pages as usize), digest_start(&self.key));
        let mut damage = None;
        self.disk.read("read a held version", |tree| {
            for item in tree.scan_prefix(layout::held::pages(zone)) {
                let (key, value) = item?;
                digest = digest.wrapping_add(digest_of(&value));
                let page = layout::open(&key, &value)
                    .and_then(|body| Page::from_bytes(body).map_err(|_| Damage::Shape(layout::show(&key))));
                match page {
                    Ok(page) => pages.push(page),
                    Err(found) => {
                        damage = Some(found);
                        break;
                    }
                }
            }
            Ok(())
        })?;
        if let Some(damage) = damage {
            return Err(damage.into());
        }
        if pages.len() != header.pages as usize || digest != header.digest {
            return Err(Damage::Missing(layout::show(&layout::held::header_key(zone))).into());
        }
        Ok(pages)
    }

    /// The kept steps and who gave them. Reads the first part of each.
    pub fn history(&self, zone: ZoneNumber) -> Result<History, StoreError> {
        let Some(header) = compact::read_header(&self.disk, zone)? else { return Ok(History::default()) };
        let mut history = History { stored: Some(header.base), ..History::default() };
        let end = layout::behind(&layout::zone_key(layout::table::DIFF, zone));
        let mut sequence = header.chain_start;
        // By seeks, not by a scan: the parts behind the first may be long.
        while let Some(key) =
            self.disk.first_key(&layout::diff_key(zone, sequence), &layout::zone_key(layout::table::DIFF, zone))?
            && key < end
            && layout::diff_position(&key) == Some((sequence, 0))
        {
            let DiffHead { from, to, octets, .. } = compact::read_head(&self.disk, zone, sequence)?;
            history.steps.push(Step { sequence, from, to, octets });
            history.stored = Some(to);
            sequence += 1;
        }
        let mut damage = None;
        self.disk.read("read history", |tree| {
            for item in tree.scan_prefix(layout::held::notes(zone)) {
                let (key, value) = item?;
                match (layout::held::sequence_of(&key), layout::open(&key, &value)) {
                    (Some(sequence), Ok(body)) => history.notes.push((sequence, body.to_vec())),
                    (_, Err(found)) => damage = Some(found),
                    (None, _) => {}
                }
            }
            Ok(())
        })?;
        if let Some(damage) = damage {
            // A version without its note is still a version.
            tracing::warn!(zone, %damage, "a note on a version is lost");
        }
        Ok(history)
    }

    /// The kept differences that lead from `from` to `to`, in order, undone where `to` is the earlier one; `None` if the
    /// history does not hold both. Where a serial stands in it several times (after a roll-back), the newest way is taken.
    pub fn diffs_between(&self, zone: ZoneNumber, from: Serial, to: Serial) -> Result<Option<Vec<Diff>>, StoreError> {
        let steps = self.history(zone)?.steps;
        if from == to {
            return Ok(steps.iter().any(|step| step.from == from || step.to == from).then(Vec::new));
        }
        let way = |start: Serial, end: Serial| {
            let last = steps.iter().rposition(|step| step.to == end)?;
            let first = steps[..=last].iter().rposition(|step| step.from == start)?;
            Some(&steps[first..=last])
        };
        let (forwards, backwards) = (way(from, to), way(to, from));
        let is_undone = match (forwards, backwards) {
            (None, None) => return Ok(None),
            (Some(forwards), Some(backwards)) => backwards[0].sequence > forwards[0].sequence,
            (forwards, _) => forwards.is_none(),
        };
        let steps = if is_undone { backwards } else { forwards }.expect("one of both is there");
        let mut diffs = match self.chain(zone, steps)? {
            Some(diffs) => diffs,
            None => return Ok(None),
        };
        if is_undone {
            diffs = diffs.iter().rev().map(Diff::invert).collect();
        }
        Ok(Some(diffs))
    }

    /// What leads from the stored version, whose serial is `from`, back to the newest kept one with the serial `to`: everything
    /// since then, undone. `None` if the history does not hold it, or another version is stored. Serials need not tell versions
    /// apart here: after a roll-back a primary may use one for the second time.
    pub fn diffs_back(&self, zone: ZoneNumber, from: Serial, to: Serial) -> Result<Option<Vec<Diff>>, StoreError> {
        let history = self.history(zone)?;
        let first = history.steps.iter().rposition(|step| step.from == to);
        let Some(first) = first.filter(|_| history.stored == Some(from)) else { return Ok(None) };
        let diffs = self.chain(zone, &history.steps[first..])?;
        Ok(diffs.map(|diffs| diffs.iter().rev().map(Diff::invert).collect()))
    }

    /// The differences of `steps`, which follow each other; `None` if the history's bounds have moved meanwhile.
    fn chain(&self, zone: ZoneNumber, steps: &[Step]) -> Result<Option<Vec<Diff>>, StoreError> {
        let (first, last) = (steps[0].sequence, steps[steps.len() - 1].sequence);
        let mut chain = Chain::after(first - 1);
        let mut damage = None;
        self.disk.read("read history", |tree| {
            for item in tree.range(&layout::diff_key(zone, first)[..]..&layout::diff_key(zone, last + 1)[..]) {
                let (key, value) = item?;
                if let Err(found) = chain.push(&key, &value) {
                    damage = Some(found);
                    break;
                }
            }
            Ok(())
        })?;
        match damage {
            Some(Damage::Missing(_)) => Ok(None),
            Some(damage) => Err(damage.into()),
            None => Ok(Some(chain.finish()?).filter(|diffs| diffs.len() == steps.len())),
        }
    }
}

/// The reviews of all zones, for the start.
pub(super) fn read_reviews(
    disk: &Disk,
    mut each: impl FnMut(ZoneNumber, Result<Vec<u8>, Damage>),
) -> Result<(), StoreError> {
    let mut parts = super::restore::Parts::default();
    disk.read("restore", |tree| {
        for item in tree.scan_prefix(layout::held::REVIEWS) {
            let (key, value) = item?;
            let Some(zone) = layout::held::zone_of(&key) else { continue };
            match layout::open(&key, &value) {
                Err(damage) => each(zone, Err(damage)),
                Ok(body) => {
                    if let Some(whole) = parts.push(&key, body) {
                        each(zone, Ok(whole));
                    }
                }
            }
        }
        Ok(())
    })
}
