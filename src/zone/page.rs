//! The page: a small immutable piece of a zone whose bytes are the same in memory and on disk, and almost on the wire.
//!
//! Made by the encoder for [`super::Builder`] and [`super::apply()`], kept in the directory of a [`super::Snapshot`],
//! read by `answer`, written and read back as it is by `store`. A page has no pointers inside and never changes.
//!
//! # Bytes of a page (little-endian)
//!
//! | Offset | Field |
//! | --- | --- |
//! | 0 | `u8` format ([`FORMAT`]), `u8` kind ([`Kind`]), `u16` n: entries (kind spill: number of the chunk) |
//! | 4 | `u32` length of the whole page, at most [`PAGE_OCTETS_MAX`] |
//! | 8 | `u8` prefix bits, 3 zero octets, `u32` records (RRs and RRSIGs of all entries; kind spill: 0) |
//! | 16 | `u64` prefix, left-aligned, zero behind the prefix bits |
//! | 24 | `u16 fp[n]`: the 16 hash bits behind the prefix, ascending; `u16 off[n]`: where each entry begins; entries |
//!
//! Entries are sorted by (hash, relative owner); see [`super::entry`] for their bytes and [`super::spill`] for the body
//! of a spill page. Which entries share a page is a function of the zone's contents, see `directory`.

use std::fmt;
use std::hint::black_box;

use triomphe::ThinArc;

use crate::dns::name;

pub use super::entry::{Base, Entry, Fixup, Origin, Rr, RrsetBlock};

/// Version of all layouts in this room, the name hash included.
pub const FORMAT: u8 = 1;
/// Octets of the largest page: room for any two entries, and a bound of the store (values above about 7.7 kB never leave
/// sled's side files).
pub const PAGE_OCTETS_MAX: usize = 7_000;
/// Octets before the first field that depends on n.
pub(super) const HEADER_OCTETS: usize = 24;
/// Where the number of records stands in the header.
const RECORDS_AT: usize = 12;
/// What an entry costs in a page besides its own octets.
pub(super) const SLOT_OCTETS: usize = 4;

/// Of the processors this runs on; where it is another one, only time is lost.
const CACHE_LINE_OCTETS: usize = 64;

/// About so many cache misses such a processor has under way at once: what is brought into the cache together.
pub(super) const MISSES_AT_ONCE: usize = 16;

/// Brings the octets at `at`, and those of the cache line behind them, into the cache.
#[inline]
pub(super) fn touch(octets: &[u8], at: usize) {
    black_box((octets.get(at).copied(), octets.get(at + CACHE_LINE_OCTETS).copied()));
}

/// What a page holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Owners with their RRsets, by name hash.
    Names = 1,
    /// NSEC3 RRs, by the leading 64 bits of their own hash.
    Nsec3 = 2,
    /// A chunk of an RRset too large for a page.
    Spill = 3,
}

impl Kind {
    fn from_octet(octet: u8) -> Option<Kind> {
        [Kind::Names, Kind::Nsec3, Kind::Spill].into_iter().find(|&kind| kind as u8 == octet)
    }
}

/// Where a page belongs: unique within one snapshot, and stable while its contents stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageKey {
    /// What it holds.
    pub kind: Kind,
    /// Length of the prefix, 0..=64.
    pub bits: u8,
    /// The common leading bits of all hashes inside, left-aligned, zero behind `bits`.
    pub prefix: u64,
}

impl PageKey {
    /// Ten octets: kind, prefix (big-endian), bits. In this form keys of one kind sort by hash.
    pub fn to_bytes(self) -> [u8; 10] {
        let mut bytes = [0; 10];
        bytes[0] = self.kind as u8;
        bytes[1..9].copy_from_slice(&self.prefix.to_be_bytes());
        bytes[9] = self.bits;
        bytes
    }

    /// The inverse of [`PageKey::to_bytes`]; `None` if no page can have such a key.
    pub fn from_bytes(bytes: &[u8]) -> Option<PageKey> {
        let bytes: &[u8; 10] = bytes.try_into().ok()?;
        let prefix = u64::from_be_bytes(bytes[1..9].try_into().ok()?);
        let key = PageKey { kind: Kind::from_octet(bytes[0])?, bits: bytes[9], prefix };
        (key.bits <= 64 && prefix == truncate(prefix, key.bits)).then_some(key)
    }
}

/// `hash` with everything behind its first `bits` bits set to zero.
pub(super) fn truncate(hash: u64, bits: u8) -> u64 {
    if bits == 0 { 0 } else { hash & (u64::MAX << (64 - bits)) }
}

/// `hash` without its first `bits` bits, moved to the left end.
pub(super) fn behind(hash: u64, bits: u8) -> u64 {
    if bits >= 64 { 0 } else { hash << bits }
}

/// Bytes that are no page: damaged on disk, or of another format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("damaged page: {0}")]
pub struct DamagedPage(pub &'static str);

/// One page: a word that points to one reference-counted allocation. Cheap to clone. Every `Page` has been checked
/// once, so reading it needs no further care.
#[derive(Clone, PartialEq, Eq)]
pub struct Page(ThinArc<(), u8>);

impl Page {
    /// Takes bytes from the store after checking their structure; never panics on any input.
    pub fn from_bytes(bytes: &[u8]) -> Result<Page, DamagedPage> {
        check(bytes)?;
        Ok(Page::new(bytes))
    }

    /// Takes bytes which the encoder just made.
    pub(super) fn new(bytes: &[u8]) -> Page {
        Page(ThinArc::from_header_and_slice((), bytes))
    }

    /// The whole page, as it is stored.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0.slice
    }

    /// Where the page belongs.
    pub fn key(&self) -> PageKey {
        PageKey { kind: self.kind(), bits: self.bits(), prefix: self.prefix() }
    }

    fn kind(&self) -> Kind {
        Kind::from_octet(self.as_bytes()[1]).expect("a Page has been checked")
    }

    /// Entries inside; of a spill page the number of the chunk.
    pub fn len(&self) -> usize {
        u16_at(self.as_bytes(), 2) as usize
    }

    /// Whether there are no entries. Never true for pages of a directory.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// RRs and RRSIGs of all entries.
    pub fn record_count(&self) -> u32 {
        u32_at(self.as_bytes(), RECORDS_AT)
    }

    /// Whether both are the same allocation (equal bytes may also live twice).
    pub fn is_same(&self, other: &Page) -> bool {
        std::ptr::eq(self.as_bytes(), other.as_bytes())
    }

    #[inline]
    pub(super) fn bits(&self) -> u8 {
        self.header().0[8]
    }

    pub(super) fn prefix(&self) -> u64 {
        u64::from_le_bytes(self.as_bytes()[16..24].try_into().expect("eight octets"))
    }

    /// The entry at `index`, ascending by (hash, owner). `index` is below [`Page::len`]; not for spill pages.
    pub fn entry(&self, index: usize) -> Entry<'_> {
        self.entry_by(self.tables().1, index)
    }

    /// All entries, ascending by (hash, owner).
    pub fn entries(&self) -> impl ExactSizeIterator<Item = Entry<'_>> + DoubleEndedIterator + Clone {
        (0..self.len()).map(|index| self.entry(index))
    }

    /// Position of the entry for the owner with this `hash` and this lower-case relative name, and the entry.
    /// One guess from the hash, then a scan over neighbouring fingerprints: hashes are spread evenly.
    #[inline(always)]
    pub fn find(&self, hash: u64, relative: &[u8]) -> Option<(usize, Entry<'_>)> {
        let (fingerprints, offsets) = self.tables();
        let wanted = self.fingerprint(hash);
        let mut index = first_not_below(wanted, fingerprints)?;
        while fingerprints.get(index).is_some_and(|fp| u16::from_le_bytes(*fp) == wanted) {
            let entry = self.entry_by(offsets, index);
            if name::is_same(entry.name(), relative) {
                return Some((index, entry));
            }
            index += 1;
        }
        None
    }

    /// What is to be done for `entry` to stand for the owner with this `hash` and `name`, or for the owner to go. `None` if
    /// fingerprints alone do not say where that is.
    pub(super) fn patch<'a>(&'a self, hash: u64, name: &[u8], entry: Option<&'a [u8]>) -> Option<Patch<'a>> {
        let fingerprints = self.tables().0;
        let fingerprint = self.fingerprint(hash);
        let index = first_not_below(fingerprint, fingerprints)?;
        let is_alike = |index: usize| fingerprints.get(index) == Some(&fingerprint.to_le_bytes());
        let replaced = is_alike(index).then(|| self.entry(index));
        let is_sure = !is_alike(index + 1) && replaced.is_none_or(|entry| entry.name() == name);
        is_sure.then_some(Patch { index, fingerprint, replaced, entry })
    }

    /// Reads the first octets, so that they are in the cache for [`Page::touch_tables`].
    #[inline]
    pub(super) fn touch_head(&self) {
        black_box(self.header().0[0]);
    }

    /// Reads from both tables what [`Page::find`] will begin with.
    #[inline]
    fn touch_tables(&self, hash: u64) {
        let (fingerprints, offsets) = self.tables();
        let guess = guess(self.fingerprint(hash), fingerprints.len());
        black_box((fingerprints.get(guess).copied(), offsets.get(guess).copied()));
    }

    /// Reads the first octets of the entry that [`Page::find`] will compare first, and of the cache line behind them.
    #[inline]
    fn touch_entry(&self, hash: u64) {
        let (fingerprints, offsets) = self.tables();
        let wanted = self.fingerprint(hash);
        let Some(offset) = first_not_below(wanted, fingerprints).and_then(|index| offsets.get(index)) else { return };
        let at = usize::from(u16::from_le_bytes(*offset));
        touch(self.as_bytes(), at);
    }

    /// The octets of a name's hash that its page's tables go by.
    #[inline]
    fn fingerprint(&self, hash: u64) -> u16 {
        (behind(hash, self.bits()) >> 48) as u16
    }

    /// The tables behind the header: fingerprints, and where the entries begin.
    #[inline]
    fn tables(&self) -> (&[Pair], &[Pair]) {
        let (header, rest) = self.header();
        let n = usize::from(u16::from_le_bytes([header[2], header[3]]));
        rest.as_chunks().0[..2 * n].split_at(n)
    }

    #[inline]
    fn header(&self) -> (&[u8; HEADER_OCTETS], &[u8]) {
        self.as_bytes().split_first_chunk().expect("a Page has been checked")
    }

    #[inline]
    fn entry_by(&self, offsets: &[Pair], index: usize) -> Entry<'_> {
        let bytes = self.as_bytes();
        let start = usize::from(u16::from_le_bytes(offsets[index]));
        let end = offsets.get(index + 1).map_or(bytes.len(), |next| usize::from(u16::from_le_bytes(*next)));
        Entry::new(&bytes[start..end])
    }
}

/// Brings what [`Page::find`] will read for these hashes into the cache: takes each of its steps for all of them before the
/// next step for any, so that the processor waits for their cache misses together. They should be about as many as it
/// can have under way.
#[inline]
pub fn look_ahead<'p>(pages: impl Iterator<Item = (&'p Page, u64)> + Clone) {
    pages.clone().for_each(|(page, _)| page.touch_head());
    pages.clone().for_each(|(page, hash)| page.touch_tables(hash));
    pages.for_each(|(page, hash)| page.touch_entry(hash));
}

/// A little-endian `u16` in a page's tables.
type Pair = [u8; 2];

/// About where a fingerprint stands among `count`: hashes are spread evenly.
#[inline]
fn guess(wanted: u16, count: usize) -> usize {
    (usize::from(wanted) * count) >> 16
}

/// The place of the first fingerprint that is not below the wanted one; behind the last if all are.
#[inline]
fn first_not_below(wanted: u16, fingerprints: &[Pair]) -> Option<usize> {
    let guess = guess(wanted, fingerprints.len());
    let is_below = |fp: &Pair| u16::from_le_bytes(*fp) < wanted;
    // never so, and said once instead of at each step
    if guess > fingerprints.len() {
        return None;
    }
    let mut at = guess;
    while at > 0 && !is_below(&fingerprints[at - 1]) {
        at -= 1;
    }
    if at == guess {
        while fingerprints.get(at).is_some_and(is_below) {
            at += 1;
        }
    }
    Some(at)
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PageKey { kind, bits, prefix } = self.key();
        write!(f, "Page({kind:?} {prefix:016x}/{bits}, {} entries, {} octets)", self.len(), self.as_bytes().len())
    }
}

/// Puts entries with their hashes, ascending by (hash, owner), into one page. They fit. Their hashes share a prefix of so many
/// `bits`; of each, 16 bits behind it are looked at. `scratch` is overwritten.
pub(super) fn make(kind: Kind, (bits, prefix): (u8, u64), entries: &[(u64, &[u8])], scratch: &mut Vec<u8>) -> Page {
    put_header(kind, (bits, prefix), entries.len(), 0, scratch);
    for (hash, _) in entries {
        scratch.extend_from_slice(&((behind(*hash, bits) >> 48) as u16).to_le_bytes());
    }
    let mut offset = HEADER_OCTETS + SLOT_OCTETS * entries.len();
    for (_, entry) in entries {
        scratch.extend_from_slice(&(offset as u16).to_le_bytes());
        offset += entry.len();
    }
    let first = scratch.len();
    for (_, entry) in entries {
        scratch.extend_from_slice(entry);
    }
    // Counted where they have come together: in their old places the processor would wait for each of them.
    let (mut at, mut records) = (first, 0);
    for (_, entry) in entries {
        records += Entry::new(&scratch[at..at + entry.len()]).record_count() as u32;
        at += entry.len();
    }
    scratch[RECORDS_AT..RECORDS_AT + 4].copy_from_slice(&records.to_le_bytes());
    seal(scratch)
}

/// A change of one entry of a page, see [`Page::patch`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Patch<'a> {
    /// Where the entry is, or comes to be.
    index: usize,
    pub(super) fingerprint: u16,
    /// The entry that goes.
    pub(super) replaced: Option<Entry<'a>>,
    /// The one that comes.
    pub(super) entry: Option<&'a [u8]>,
}

/// `page` with `patches`, whose fingerprints ascend and differ; then it has so many `entries`, and they fit. What lies
/// between the patches is copied in one piece. `scratch` is overwritten.
pub(super) fn patched(page: &Page, patches: &[Patch<'_>], entries: usize, scratch: &mut Vec<u8>) -> Page {
    let bytes = page.as_bytes();
    let (fingerprints, offsets) = page.tables();
    let offset = |index: usize| offsets.get(index).map_or(bytes.len(), |pair| usize::from(u16::from_le_bytes(*pair)));
    let removed = records_of(patches.iter().filter_map(|patch| Some(patch.replaced?.as_bytes())));
    let added = records_of(patches.iter().filter_map(|patch| patch.entry));
    let records = page.record_count() - removed + added;
    put_header(page.kind(), (page.bits(), page.prefix()), entries, records, scratch);
    let after = |patch: &Patch<'_>| patch.index + usize::from(patch.replaced.is_some());
    // what stays before each patch, and behind the last one
    let starts = std::iter::once(0).chain(patches.iter().map(after));
    let ends = patches.iter().map(|patch| patch.index).chain([page.len()]);
    let runs = starts.zip(ends).zip(patches.iter().map(Some).chain([None]));
    for ((start, end), patch) in runs.clone() {
        scratch.extend_from_slice(fingerprints[start..end].as_flattened());
        if let Some(patch) = patch.filter(|patch| patch.entry.is_some()) {
            scratch.extend_from_slice(&patch.fingerprint.to_le_bytes());
        }
    }
    let mut at = HEADER_OCTETS + SLOT_OCTETS * entries;
    for ((start, end), patch) in runs.clone() {
        // modulo 2^16, as offsets may move either way
        let moved = (at as u16).wrapping_sub(offset(start) as u16);
        let shift = |pair: &Pair| u16::from_le_bytes(*pair).wrapping_add(moved).to_le_bytes();
        scratch.extend(offsets[start..end].iter().flat_map(shift));
        at += offset(end) - offset(start);
        if let Some(entry) = patch.and_then(|patch| patch.entry) {
            scratch.extend_from_slice(&(at as u16).to_le_bytes());
            at += entry.len();
        }
    }
    for ((start, end), patch) in runs {
        scratch.extend_from_slice(&bytes[offset(start)..offset(end)]);
        scratch.extend_from_slice(patch.and_then(|patch| patch.entry).unwrap_or_default());
    }
    seal(scratch)
}

/// Begins a page in `scratch`.
fn put_header(kind: Kind, (bits, prefix): (u8, u64), entries: usize, records: u32, scratch: &mut Vec<u8>) {
    scratch.clear();
    scratch.extend_from_slice(&[FORMAT, kind as u8]);
    scratch.extend_from_slice(&(entries as u16).to_le_bytes());
    scratch.extend_from_slice(&[0; 4]);
    scratch.extend_from_slice(&[bits, 0, 0, 0]);
    scratch.extend_from_slice(&records.to_le_bytes());
    scratch.extend_from_slice(&prefix.to_le_bytes());
}

/// Takes the page out of `scratch`, complete but for its length.
fn seal(scratch: &mut [u8]) -> Page {
    let length = scratch.len();
    debug_assert!(length <= PAGE_OCTETS_MAX);
    scratch[4..8].copy_from_slice(&(length as u32).to_le_bytes());
    Page::new(scratch)
}

/// Records of so many entries.
pub(super) fn records_of<'a>(entries: impl Iterator<Item = &'a [u8]>) -> u32 {
    entries.map(|entry| Entry::new(entry).record_count() as u32).sum()
}

#[inline]
pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

#[inline]
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Everything a reader relies on.
fn check(bytes: &[u8]) -> Result<(), DamagedPage> {
    let ensure = |ok: bool, what: &'static str| if ok { Ok(()) } else { Err(DamagedPage(what)) };
    ensure(bytes.len() >= HEADER_OCTETS && bytes.len() <= PAGE_OCTETS_MAX, "length out of bounds")?;
    ensure(bytes[0] == FORMAT, "unknown format")?;
    let kind = Kind::from_octet(bytes[1]).ok_or(DamagedPage("unknown kind"))?;
    ensure(u32_at(bytes, 4) as usize == bytes.len(), "length differs from the stated one")?;
    let bits = bytes[8];
    let prefix = u64::from_le_bytes(bytes[16..24].try_into().expect("eight octets"));
    ensure(bits <= 64 && bytes[9..12] == [0; 3] && truncate(prefix, bits) == prefix, "bad prefix")?;
    if kind == Kind::Spill {
        ensure(bits == 64, "bad prefix")?;
        return ensure(super::spill::is_sound(&bytes[HEADER_OCTETS..]), "bad spill header");
    }
    let n = u16_at(bytes, 2) as usize;
    ensure(n > 0, "no entries")?;
    let mut expected = HEADER_OCTETS + SLOT_OCTETS * n;
    ensure(expected <= bytes.len(), "tables run past the end")?;
    let (mut last_fp, mut records) = (0, 0);
    for index in 0..n {
        let fp = u16_at(bytes, HEADER_OCTETS + 2 * index);
        ensure(fp >= last_fp, "fingerprints are not sorted")?;
        last_fp = fp;
        ensure(u16_at(bytes, HEADER_OCTETS + 2 * (n + index)) as usize == expected, "entries are not contiguous")?;
        let length = super::entry::sound_length(&bytes[expected..]).ok_or(DamagedPage("bad entry"))?;
        records += Entry::new(&bytes[expected..expected + length]).record_count();
        expected += length;
    }
    ensure(expected == bytes.len(), "octets behind the last entry")?;
    ensure(records as u32 == u32_at(bytes, 12), "record count differs")
}
