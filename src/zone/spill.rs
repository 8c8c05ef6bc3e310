//! RRsets too large for a page, kept apart in chunks.
//!
//! Made by the encoder when an entry would pass 3,000 octets or a block its
//! counters; each chunk is a page of kind spill with a key of its own, so the store treats it like any page.
//!
//! Body of a spill page, behind the page header: `u8` length of the relative owner, the owner, `u16` type
//! (little-endian), then at most 6,700 octets of the RRset. The page's prefix is
//! SipHash-1-3(owner hash, type, chunk number, relative owner; integers little-endian) with 64 prefix bits; its n is the
//! chunk number. The chunks together are the image followed by the signatures, in the form of an image in place, but
//! with all names in full and no fix-ups. Owners are `C0 0C`; in glue they are names in full.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use smallvec::SmallVec;

use super::encode::RRSET_OCTETS_MAX;
use super::entry::{GLUE, RrsetBlock};
use super::hash::HashKey;
use super::page::{FORMAT, HEADER_OCTETS, Kind, Page, u16_at};
use crate::dns::RecordType;

/// Octets of an RRset in one chunk; with owner and header a chunk stays below the page limit.
pub(super) const CHUNK_OCTETS_MAX: usize = 6_700;

/// Chunks of the longest RRset with signatures as long.
const CHUNKS_MAX: usize = (2 * RRSET_OCTETS_MAX).div_ceil(CHUNK_OCTETS_MAX);

/// The longest owner of a chunk.
const RELATIVE_OCTETS_MAX: usize = u8::MAX as usize;

/// The chunks of a zone by the prefix of their pages. Few in any real zone; copied as a whole when one changes.
pub(super) type Spills = Arc<BTreeMap<u64, Page>>;

/// Zones without chunks, which is nearly all, share that.
pub(super) fn shared(spills: BTreeMap<u64, Page>) -> Spills {
    static NONE: LazyLock<Spills> = LazyLock::new(Spills::default);
    if spills.is_empty() { NONE.clone() } else { Arc::new(spills) }
}

/// The page prefix of a chunk.
pub(super) fn chunk_id(key: &HashKey, owner_hash: u64, relative: &[u8], rtype: RecordType, chunk: u16) -> u64 {
    let mut input = [0; 12 + RELATIVE_OCTETS_MAX];
    input[..8].copy_from_slice(&owner_hash.to_le_bytes());
    input[8..10].copy_from_slice(&rtype.0.to_le_bytes());
    input[10..12].copy_from_slice(&chunk.to_le_bytes());
    let input = &mut input[..12 + relative.len()];
    input[12..].copy_from_slice(relative);
    key.bytes(input)
}

/// Cuts `octets` (image, then signatures) into pages.
pub(super) fn make_chunks(
    key: &HashKey,
    owner_hash: u64,
    relative: &[u8],
    rtype: RecordType,
    octets: &[u8],
) -> impl Iterator<Item = Page> {
    octets.chunks(CHUNK_OCTETS_MAX).enumerate().map(move |(number, chunk)| {
        let number = number as u16;
        let mut bytes = Vec::with_capacity(HEADER_OCTETS + 3 + relative.len() + chunk.len());
        bytes.extend_from_slice(&[FORMAT, Kind::Spill as u8]);
        bytes.extend_from_slice(&number.to_le_bytes());
        let length = HEADER_OCTETS + 3 + relative.len() + chunk.len();
        bytes.extend_from_slice(&(length as u32).to_le_bytes());
        bytes.extend_from_slice(&[64, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend_from_slice(&chunk_id(key, owner_hash, relative, rtype, number).to_le_bytes());
        bytes.push(relative.len() as u8);
        bytes.extend_from_slice(relative);
        bytes.extend_from_slice(&rtype.0.to_le_bytes());
        bytes.extend_from_slice(chunk);
        Page::new(&bytes)
    })
}

/// Chunks needed for so many octets.
pub(super) fn chunk_count(octets: usize) -> u16 {
    octets.div_ceil(CHUNK_OCTETS_MAX) as u16
}

/// Relative owner, type and octets of a chunk.
pub(super) fn parts(page: &Page) -> (&[u8], RecordType, &[u8]) {
    let body = &page.as_bytes()[HEADER_OCTETS..];
    let name_end = 1 + body[0] as usize;
    (&body[1..name_end], RecordType(u16_at(body, name_end)), &body[name_end + 2..])
}

/// Whether `body` is that of a spill page.
pub(super) fn is_sound(body: &[u8]) -> bool {
    body.first().is_some_and(|&len| body.len() > 3 + len as usize)
}

/// A spilled RRset or glue, borrowed from its chunks. Names are in full, so it goes into a message as it is. Finding and
/// copying it allocates nothing.
#[derive(Clone, Debug)]
pub struct Spilled<'a> {
    pub(super) chunks: SmallVec<[&'a [u8]; CHUNKS_MAX]>,
    image: usize,
    signatures: usize,
    rtype: RecordType,
}

impl<'a> Spilled<'a> {
    /// `None` if a chunk is missing or the lengths differ: only damage on disk can do that.
    pub(super) fn find(
        spills: &'a BTreeMap<u64, Page>,
        key: &HashKey,
        owner_hash: u64,
        relative: &[u8],
        block: &RrsetBlock<'_>,
    ) -> Option<Spilled<'a>> {
        let rtype = block.rtype();
        let (image, signatures) = (block.image_octets(), block.signature_octets());
        let chunks: SmallVec<[&[u8]; CHUNKS_MAX]> = (0..chunk_count(image + signatures))
            .map(|n| spills.get(&chunk_id(key, owner_hash, relative, rtype, n)).map(parts))
            .map(|chunk| chunk.filter(|c| (c.0, c.1) == (relative, rtype)).map(|c| c.2))
            .collect::<Option<_>>()?;
        let length: usize = chunks.iter().map(|c| c.len()).sum();
        (length == image + signatures).then_some(Spilled { chunks, image, signatures, rtype })
    }

    /// The type, [`GLUE`] for glue.
    pub fn rtype(&self) -> RecordType {
        self.rtype
    }

    /// Whether owners are names in full rather than `C0 0C`.
    pub fn is_glue(&self) -> bool {
        self.rtype == GLUE
    }

    /// Octets of the RRs without signatures.
    pub fn image_octets(&self) -> usize {
        self.image
    }

    /// Octets of the RRSIGs.
    pub fn signature_octets(&self) -> usize {
        self.signatures
    }

    /// Copies the RRs, and the RRSIGs behind them if asked, to the start of `out`. Returns how many octets, or `None`
    /// if they do not fit.
    pub fn copy_to(&self, out: &mut [u8], with_signatures: bool) -> Option<usize> {
        let length = self.image + if with_signatures { self.signatures } else { 0 };
        self.copy_from(0, out.get_mut(..length)?);
        Some(length)
    }

    /// As [`Spilled::copy_to`], only the RRSIGs.
    pub fn copy_signatures_to(&self, out: &mut [u8]) -> Option<usize> {
        self.copy_from(self.image, out.get_mut(..self.signatures)?);
        Some(self.signatures)
    }

    /// Copies to `out` what it holds of the RRs, the last one perhaps torn. Returns how many octets.
    pub fn copy_leading_to(&self, out: &mut [u8]) -> usize {
        let length = self.image.min(out.len());
        self.copy_from(0, &mut out[..length]);
        length
    }

    /// Fills `out` with what stands from octet `at` on.
    fn copy_from(&self, mut at: usize, mut out: &mut [u8]) {
        for chunk in &self.chunks {
            let skipped = at.min(chunk.len());
            let take = (chunk.len() - skipped).min(out.len());
            let (now, later) = out.split_at_mut(take);
            now.copy_from_slice(&chunk[skipped..skipped + take]);
            (at, out) = (at - skipped, later);
        }
    }

    /// Image and signatures in one piece each.
    pub fn to_parts(&self) -> (Vec<u8>, Vec<u8>) {
        let mut image = self.chunks.concat();
        let signatures = image.split_off(self.image);
        (image, signatures)
    }
}
