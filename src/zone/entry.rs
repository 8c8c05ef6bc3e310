//! One owner in a page: its flags, its RRsets as ready images, its glue.
//!
//! Made by the encoder (`encode`), read by `answer` (which copies images into replies) and by everything that
//! wants the records back. Borrowed views only, no allocation.
//!
//! # Entry (little-endian)
//!
//! `u8` length of the name, `u8` flags, `u8` RRset blocks (glue included), `u8` labels of the name; the owner relative
//! to the apex in lower case (labels without the final zero; empty for the apex); `u32` kids if HAS_KIDS; the RRset
//! blocks by ascending type.
//!
//! | Flag | Meaning |
//! | --- | --- |
//! | 1 CUT | has NS and is not the apex. Says nothing about a cut further up: names below a cut are ordinary entries |
//! | 2 DNAME | has a DNAME RRset |
//! | 4 ENT | empty non-terminal: no RRset, but names below. Also a wildcard can be one |
//! | 8 HAS_WILD | the child `*` exists, be it as an ENT |
//! | 16 HAS_KIDS | names one label longer exist; `kids` counts them |
//! | 32 SIGNED | some RRset has RRSIGs |
//! | 64 SPILL | some block is spilled |
//! | 128 MIXED | some RRset came with differing TTLs or spellings and was made one (RFC 2181 §5.2) |
//!
//! # RRset block
//!
//! In place: `u16` type, `u16` image length, `u16` signature length, `u8` RRs, `u8` fix-ups, `u16 fix[]`, image, signatures.
//! Spilled: `u16` type, `u16` 0x7FFF, `u16` image length, `u16` signature length, `u16` RRs, `u16` RRSIGs; the octets
//! themselves are fetched with [`super::Snapshot::spilled`]. In both forms bit 15 of the second field says that this
//! very block is MIXED.
//!
//! **Image**: the RRs in wire form, sorted by canonical rdata, each `C0 0C` (owner: the question), type, class IN, TTL,
//! RDLENGTH, rdata. **Signatures**: the RRSIG RRs covering the type, in the same form, without fix-ups (their names are
//! never compressed). A type may have RRSIGs and no RRs (0 RRs, empty image), when a primary sends such.
//!
//! **Fix-ups**: where the image has compression pointers other than the owner pointers `C0 0C`, ascending. The top two
//! bits are the base, the low 14 bits the place of the pointer in the image. The pointer's own value is `C000` + an
//! offset relative to the base; whoever copies the image into a message adds (big-endian, 16 bits) the offset in that
//! message of:
//!
//! | Base | Add the message offset of | The relative offset is |
//! | --- | --- | --- |
//! | 0 [`Base::Image`] | the first octet of the copied image | the place of an earlier name (or its tail) in the image |
//! | 1 [`Base::Apex`] | the apex's name, written in full, as it is at the end of the qname | 0, or further right for a parent of the apex |
//! | 2 [`Base::Owner`] | the owner's name | always 0 |
//!
//! So for an answer at the qname: copy image (and signatures), then for each fix-up add to the `u16` at
//! `image start + at`: the image start, or 12 + (octets of qname left of the apex), or 12. In other sections also
//! rewrite the two owner octets of each RR. Pointers reach only back, so any leading run of RRs of an image may be sent
//! alone. The sum must not pass 0x3FFF: where the image would, or where qname is not in the zone (after a CNAME into another zone), write names
//! in full with [`RrsetBlock::expand_rdata`]. Images of owners with a first label `*` never use base Owner, as the
//! answer's owner is then the qname. The apex pointers are sound in them.
//!
//! **Glue**: the block of pseudo-type 65535 ([`GLUE`]) of a CUT: the A and AAAA RRs of those NS targets which lie at or
//! below the cut's owner and exist in the zone, in the order of the NS RRs, A before AAAA. Here each RR has its own
//! owner: a name that ends in a zero octet or in a pointer listed in the fix-ups (usually `label`, base Owner); add the
//! bases and copy, nothing else. Addresses of targets elsewhere in the zone (sibling glue) are ordinary entries: look
//! them up. Glue is a copy; it does not count as records.

use std::ops::Range;

use super::page::{u16_at, u32_at};
use crate::dns::{Name, RecordType};

/// The pseudo-type of the block with a delegation's glue. No record can have it (RFC 6895 §3.1: reserved).
pub const GLUE: RecordType = RecordType(65535);

pub(super) const CUT: u8 = 1;
pub(super) const DNAME: u8 = 2;
pub(super) const ENT: u8 = 4;
pub(super) const HAS_WILD: u8 = 8;
pub(super) const HAS_KIDS: u8 = 16;
pub(super) const SIGNED: u8 = 32;
pub(super) const SPILL: u8 = 64;
pub(super) const MIXED: u8 = 128;

/// Octets before the owner's name.
pub(super) const ENTRY_HEADER: usize = 4;
/// Octets before the fix-ups of a block in place.
pub(super) const BLOCK_HEADER: usize = 8;
/// Octets of a spilled block.
pub(super) const SPILLED_BLOCK: usize = 12;
/// Stands for the image length of a spilled block.
pub(super) const SPILLED: u16 = 0x7fff;
/// In the field of the image length: the block is MIXED.
pub(super) const MIXED_BLOCK: u16 = 0x8000;
/// Octets of an RR between its owner and its rdata.
const RR_FIXED: usize = 10;

/// One owner, borrowed from its page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a>(&'a [u8]);

impl<'a> Entry<'a> {
    /// `bytes` are exactly one sound entry.
    pub(super) fn new(bytes: &'a [u8]) -> Entry<'a> {
        Entry(bytes)
    }

    /// The entry's octets; two entries without SPILL have the same records if and only if these are equal.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    /// Owner relative to the apex, lower case, labels without a final zero; empty for the apex.
    #[inline]
    pub fn name(&self) -> &'a [u8] {
        &self.0[ENTRY_HEADER..ENTRY_HEADER + self.0[0] as usize]
    }

    /// The owner as an absolute name.
    pub fn owner(&self, apex: &Name) -> Name {
        Name::from_relative(self.name(), apex).expect("an owner was an absolute name before")
    }

    /// Labels of [`Entry::name`]; 0 for the apex.
    pub fn labels(&self) -> usize {
        self.0[3] as usize
    }

    /// Existing names exactly one label longer.
    pub fn kids(&self) -> u32 {
        if self.has(HAS_KIDS) { u32_at(self.0, ENTRY_HEADER + self.0[0] as usize) } else { 0 }
    }

    /// Whether this is a delegation: NS, and not the apex.
    pub fn is_cut(&self) -> bool {
        self.has(CUT)
    }

    /// Whether there is a DNAME.
    pub fn is_dname(&self) -> bool {
        self.has(DNAME)
    }

    /// Whether the name exists only because of names below it.
    pub fn is_empty_non_terminal(&self) -> bool {
        self.has(ENT)
    }

    /// Whether the name `*.owner` exists (be it as an empty non-terminal).
    pub fn has_wildcard(&self) -> bool {
        self.has(HAS_WILD)
    }

    /// Whether some RRset has RRSIGs.
    pub fn is_signed(&self) -> bool {
        self.has(SIGNED)
    }

    /// Whether some RRset or the glue is spilled.
    pub fn has_spilled(&self) -> bool {
        self.has(SPILL)
    }

    /// Whether some RRset came with differing TTLs or spellings.
    pub fn is_mixed(&self) -> bool {
        self.has(MIXED)
    }

    /// Whether the owner's first label is `*`.
    pub fn is_wildcard(&self) -> bool {
        self.name().starts_with(b"\x01*")
    }

    /// Whether there is a NSEC3 and nothing else, nor any name below: then the name does not exist for those who ask
    /// for it (RFC 5155 §7.2.8).
    #[inline]
    pub fn is_only_nsec3(&self) -> bool {
        self.0[2] == 1
            && !self.has(HAS_KIDS)
            && u16_at(self.0, ENTRY_HEADER + self.0[0] as usize) == RecordType::NSEC3.0
    }

    /// The RRset of this type. Also found if only its RRSIGs exist: look at [`RrsetBlock::rr_count`].
    #[inline(always)]
    pub fn rrset(&self, rtype: RecordType) -> Option<RrsetBlock<'a>> {
        for block in self.blocks() {
            if block.rtype() >= rtype {
                return (block.rtype() == rtype && rtype != GLUE).then_some(block);
            }
        }
        None
    }

    /// The RRsets by ascending type, without the glue.
    pub fn rrsets(&self) -> impl Iterator<Item = RrsetBlock<'a>> + Clone {
        self.blocks().filter(|b| b.rtype() != GLUE)
    }

    /// The glue of a CUT.
    pub fn glue(&self) -> Option<RrsetBlock<'a>> {
        if self.is_cut() { self.blocks().find(|b| b.rtype() == GLUE) } else { None }
    }

    /// RRs and RRSIGs, glue not counted.
    pub fn record_count(&self) -> usize {
        self.rrsets().map(|b| b.rr_count() + b.signature_count()).sum()
    }

    /// Whether the entry can belong to a zone with this apex (in wire form); then it expands without a fault.
    pub(super) fn suits(&self, apex: &[u8]) -> bool {
        let apex_pointers = |block: RrsetBlock<'a>| {
            let mut fixups = block.fixups().filter(|fixup| fixup.base == Base::Apex);
            fixups.all(|fixup| pointer_value(block.image(), fixup.at) < apex.len())
        };
        self.name().len() + apex.len() <= 255 && self.blocks().all(apex_pointers)
    }

    #[inline(always)]
    pub(super) fn blocks(&self) -> Blocks<'a> {
        Blocks { rest: &self.0[self.blocks_start()..] }
    }

    #[inline]
    fn has(&self, flag: u8) -> bool {
        self.0[1] & flag != 0
    }

    #[inline(always)]
    fn blocks_start(&self) -> usize {
        ENTRY_HEADER + self.0[0] as usize + if self.has(HAS_KIDS) { 4 } else { 0 }
    }
}

/// The blocks of an entry, glue included.
#[derive(Clone, Debug)]
pub(super) struct Blocks<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Blocks<'a> {
    type Item = RrsetBlock<'a>;
    #[inline(always)]
    fn next(&mut self) -> Option<RrsetBlock<'a>> {
        // a page has been checked: what is no whole block is the end
        let (block, rest) = RrsetBlock::split_off(self.rest)?;
        self.rest = rest;
        Some(block)
    }
}

/// What a compression pointer in an image is relative to; see the module's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Base {
    /// The start of the image.
    Image = 0,
    /// The apex, written in full in the question.
    Apex = 1,
    /// The owner.
    Owner = 2,
}

/// A place in an image to which the offset of a base is to be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixup {
    /// What to add.
    pub base: Base,
    /// Offset in the image of the 16-bit pointer.
    pub at: usize,
}

/// The names which a stored image leaves out.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The apex in wire form.
    pub apex: &'a [u8],
    /// The owner relative to it, as [`Entry::name`].
    pub relative: &'a [u8],
}

/// One RR inside an image; all ranges count from the start of that image (or of the signatures).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rr {
    /// The owner: `C0 0C`, in glue a name.
    pub owner: Range<usize>,
    /// Type.
    pub rtype: RecordType,
    /// Seconds.
    pub ttl: u32,
    /// The rdata, as stored.
    pub rdata: Range<usize>,
}

/// One RRset with its signatures, or the glue of a CUT. See the module's documentation for how to put it into a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RrsetBlock<'a> {
    header: BlockHeader,
    /// The octets behind the header, to the end of the block.
    body: &'a [u8],
}

/// The eight octets with which every block begins, as one little-endian word: `u16` type, `u16` image length, and of a
/// block in place `u16` signature length, `u8` RRs, `u8` fix-ups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct BlockHeader(u64);

impl BlockHeader {
    #[inline]
    fn rtype(self) -> RecordType {
        RecordType(self.0 as u16)
    }

    #[inline]
    fn is_mixed(self) -> bool {
        (self.0 >> 16) as u16 & MIXED_BLOCK != 0
    }

    #[inline]
    fn is_spilled(self) -> bool {
        (self.0 >> 16) as u16 & !MIXED_BLOCK == SPILLED
    }

    /// Of a block in place.
    #[inline]
    fn image_octets(self) -> usize {
        usize::from((self.0 >> 16) as u16 & !MIXED_BLOCK)
    }

    /// Of a block in place.
    #[inline]
    fn signature_octets(self) -> usize {
        usize::from((self.0 >> 32) as u16)
    }

    /// Of a block in place.
    #[inline]
    fn rr_count(self) -> usize {
        usize::from((self.0 >> 48) as u8)
    }

    /// Octets of the fix-ups of a block in place.
    #[inline]
    fn fixup_octets(self) -> usize {
        2 * (self.0 >> 56) as usize
    }

    #[inline]
    fn body_octets(self) -> usize {
        if self.is_spilled() {
            return SPILLED_BLOCK - BLOCK_HEADER;
        }
        self.fixup_octets() + self.image_octets() + self.signature_octets()
    }
}

impl<'a> RrsetBlock<'a> {
    /// The type, [`GLUE`] for glue.
    #[inline]
    pub fn rtype(&self) -> RecordType {
        self.header.rtype()
    }

    /// RRs, signatures not counted. 0 if only signatures exist: then the RRset does not exist.
    #[inline(always)]
    pub fn rr_count(&self) -> usize {
        match self.is_spilled() {
            true => usize::from(u16_at(self.body, 0)),
            false => self.header.rr_count(),
        }
    }

    /// RRSIGs covering this type.
    pub fn signature_count(&self) -> usize {
        match self.is_spilled() {
            true => usize::from(u16_at(self.body, 2)),
            false => Rrs::new(self.signatures()).count(),
        }
    }

    /// Whether image and signatures are stored apart; then both are empty here.
    #[inline]
    pub fn is_spilled(&self) -> bool {
        self.header.is_spilled()
    }

    /// Whether TTLs or spellings had to be levelled; a difference that touches such an RRset cannot be applied.
    pub fn is_mixed(&self) -> bool {
        self.header.is_mixed()
    }

    /// Octets of the image, also of a spilled one.
    pub fn image_octets(&self) -> usize {
        match self.is_spilled() {
            // in such a header everything stands two octets further on
            true => self.header.signature_octets(),
            false => self.header.image_octets(),
        }
    }

    /// Octets of the signatures, also of spilled ones.
    pub fn signature_octets(&self) -> usize {
        match self.is_spilled() {
            true => usize::from((self.header.0 >> 48) as u16),
            false => self.header.signature_octets(),
        }
    }

    /// The RRs in wire form; empty if spilled.
    #[inline]
    pub fn image(&self) -> &'a [u8] {
        match self.is_spilled() {
            true => &[],
            false => &self.body[self.header.fixup_octets()..][..self.header.image_octets()],
        }
    }

    /// Appends the whole block, which is in place, as it stands in the entry.
    pub(super) fn append_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.header.0.to_le_bytes());
        out.extend_from_slice(self.body);
    }

    /// Image, and image with signatures, of a block that answers a question for its owner as it is: in place and without
    /// fix-ups.
    #[inline(always)]
    pub fn as_stored(&self) -> Option<(&'a [u8], &'a [u8])> {
        if self.header.fixup_octets() > 0 || self.is_spilled() {
            return None;
        }
        Some((self.body.get(..self.header.image_octets())?, self.body))
    }

    /// The RRSIG RRs in wire form, owner `C0 0C`, no fix-ups; empty if spilled.
    #[inline]
    pub fn signatures(&self) -> &'a [u8] {
        match self.is_spilled() {
            true => &[],
            false => &self.body[self.header.fixup_octets() + self.header.image_octets()..],
        }
    }

    /// Where to add which base, ascending by place.
    #[inline]
    pub fn fixups(&self) -> impl ExactSizeIterator<Item = Fixup> + Clone + use<'a> {
        let octets = if self.is_spilled() { &[] } else { &self.body[..self.header.fixup_octets()] };
        octets.as_chunks().0.iter().map(|pair| {
            let fix = u16::from_le_bytes(*pair);
            let base = match fix >> 14 {
                0 => Base::Image,
                1 => Base::Apex,
                _ => Base::Owner,
            };
            Fixup { base, at: (fix & 0x3fff) as usize }
        })
    }

    /// Seconds; `None` if spilled or without RRs. All RRs of an RRset have the same TTL (glue: of the first RR).
    pub fn ttl(&self) -> Option<u32> {
        self.rrs().next().map(|rr| rr.ttl)
    }

    /// The RRs of the image, as stored; none if spilled.
    pub fn rrs(&self) -> Rrs<'a> {
        Rrs::new(self.image())
    }

    /// Appends the rdata of `rr` (one of [`RrsetBlock::rrs`]) with names in full, octet for octet as it was received.
    pub fn expand_rdata(&self, rr: &Rr, origin: Origin<'_>, out: &mut Vec<u8>) {
        self.expand(rr.rdata.clone(), origin, out);
    }

    /// Appends the owner of `rr` (one of [`RrsetBlock::rrs`]) in full.
    pub fn expand_owner(&self, rr: &Rr, origin: Origin<'_>, out: &mut Vec<u8>) {
        if self.rtype() == GLUE {
            self.expand(rr.owner.clone(), origin, out);
        } else {
            out.extend_from_slice(origin.relative);
            out.extend_from_slice(origin.apex);
        }
    }

    fn expand(&self, span: Range<usize>, origin: Origin<'_>, out: &mut Vec<u8>) {
        let mut copied = span.start;
        for fixup in self.fixups().filter(|f| span.contains(&f.at)) {
            out.extend_from_slice(&self.image()[copied..fixup.at]);
            self.follow(fixup, origin, out);
            copied = fixup.at + 2;
        }
        out.extend_from_slice(&self.image()[copied..span.end]);
    }

    /// Appends the name to which the pointer at `fixup` leads.
    fn follow(&self, mut fixup: Fixup, origin: Origin<'_>, out: &mut Vec<u8>) {
        let image = self.image();
        loop {
            let mut at = pointer_value(image, fixup.at);
            match fixup.base {
                Base::Apex => return out.extend_from_slice(&origin.apex[at..]),
                Base::Owner => {
                    out.extend_from_slice(origin.relative);
                    return out.extend_from_slice(origin.apex);
                }
                Base::Image => {
                    let start = at;
                    while !matches!(image[at], 0 | 0xc0..) {
                        at += 1 + image[at] as usize;
                    }
                    out.extend_from_slice(&image[start..at]);
                    if image[at] == 0 {
                        return out.push(0);
                    }
                    fixup = self.fixups().find(|f| f.at == at).expect("a Page has been checked");
                }
            }
        }
    }

    /// The block at the start of `bytes`, of which only the lengths are checked, and what is behind it.
    #[inline(always)]
    fn split_off(bytes: &'a [u8]) -> Option<(RrsetBlock<'a>, &'a [u8])> {
        let (header, rest) = bytes.split_first_chunk::<BLOCK_HEADER>()?;
        let header = BlockHeader(u64::from_le_bytes(*header));
        let (body, rest) = rest.split_at_checked(header.body_octets())?;
        Some((RrsetBlock { header, body }, rest))
    }

    /// Whether everything inside is where readers expect it, for an apex of at most so many octets.
    fn is_sound(&self, apex_octets_max: usize) -> bool {
        let (mut last, image) = (None, self.image());
        let fixups_are_sound = self.fixups().all(|fixup| {
            let ascending = last.replace(fixup.at).is_none_or(|last| last + 2 <= fixup.at);
            ascending && fixup.at + 2 <= image.len() && image[fixup.at] >= 0xc0 && {
                let target = pointer_value(image, fixup.at);
                match fixup.base {
                    Base::Apex => target < apex_octets_max,
                    Base::Owner => target == 0,
                    Base::Image => target < fixup.at && self.leads_to_a_name(target, fixup.at),
                }
            }
        });
        let type_is_sound = self.rtype() == GLUE || !self.rtype().is_meta();
        let parts_are_sound = self.is_spilled() || self.holds(image, self.signatures());
        type_is_sound && fixups_are_sound && parts_are_sound
    }

    /// Whether image and signatures (here or from chunks) are the RRs which the header states.
    pub(super) fn holds(&self, image: &[u8], signatures: &[u8]) -> bool {
        let is_sound = |rr: &Rr| match self.rtype() {
            GLUE => {
                let complete = image[rr.owner.end - 1] == 0 || self.fixups().any(|f| f.at + 2 == rr.owner.end);
                complete && matches!(rr.rtype, RecordType::A | RecordType::AAAA)
            }
            _ => image[rr.owner.clone()] == [0xc0, 0x0c] && rr.rtype == self.rtype(),
        };
        let signature_is_sound = |rr: &Rr| {
            let covered = signatures[rr.rdata.clone()].starts_with(&self.rtype().0.to_be_bytes());
            signatures[rr.owner.clone()] == [0xc0, 0x0c]
                && rr.rtype == RecordType::RRSIG
                && covered
                && rr.rdata.len() > 2
        };
        let (mut rrs, mut sigs) = (Rrs::new(image), Rrs::new(signatures));
        rrs.by_ref().take_while(is_sound).count() == self.rr_count()
            && sigs.by_ref().take_while(signature_is_sound).count() == self.signature_count()
            && rrs.is_at_end()
            && sigs.is_at_end()
    }

    /// Whether labels begin at `at` and end, before `limit`, in a zero or a listed pointer.
    fn leads_to_a_name(&self, mut at: usize, limit: usize) -> bool {
        let image = self.image();
        loop {
            match image[at] {
                0 => return true,
                0xc0.. => return self.fixups().any(|f| f.at == at),
                len @ 1..=63 => at += 1 + len as usize,
                _ => return false,
            }
            if at >= limit {
                return false;
            }
        }
    }
}

/// The offset in the pointer at `at`, relative to its base.
fn pointer_value(image: &[u8], at: usize) -> usize {
    (u16::from_be_bytes([image[at], image[at + 1]]) & 0x3fff) as usize
}

/// Iterator over RRs in wire form whose owners are a name or begin with a pointer.
#[derive(Clone, Debug)]
pub struct Rrs<'a> {
    bytes: &'a [u8],
    rest_at: usize,
    broken: bool,
}

impl<'a> Rrs<'a> {
    /// The RRs of an image, of signatures, or of the octets of a spilled RRset.
    pub fn new(bytes: &'a [u8]) -> Rrs<'a> {
        Rrs { bytes, rest_at: 0, broken: false }
    }

    /// Whether all octets have been read as RRs.
    fn is_at_end(&self) -> bool {
        self.rest_at == self.bytes.len() && !self.broken
    }

    fn read(&self) -> Option<Rr> {
        let start = self.rest_at;
        let mut at = start;
        let owner_end = loop {
            match *self.bytes.get(at)? {
                0 => break at + 1,
                0xc0.. => break at + 2,
                len => at += 1 + len as usize,
            }
        };
        let fixed = self.bytes.get(owner_end..owner_end + RR_FIXED)?;
        let rdata_start = owner_end + RR_FIXED;
        let rdata = rdata_start..rdata_start + u16::from_be_bytes([fixed[8], fixed[9]]) as usize;
        (rdata.end <= self.bytes.len()).then(|| Rr {
            owner: start..owner_end,
            rtype: RecordType(u16::from_be_bytes([fixed[0], fixed[1]])),
            ttl: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            rdata,
        })
    }
}

impl Iterator for Rrs<'_> {
    type Item = Rr;
    fn next(&mut self) -> Option<Rr> {
        if self.rest_at >= self.bytes.len() {
            return None;
        }
        let rr = self.read();
        match &rr {
            Some(rr) => self.rest_at = rr.rdata.end,
            None => (self.rest_at, self.broken) = (self.bytes.len(), true),
        }
        rr
    }
}

/// Length of the entry at the start of `bytes` if all of it is sound.
pub(super) fn sound_length(bytes: &[u8]) -> Option<usize> {
    let header = bytes.get(..ENTRY_HEADER)?;
    let name = bytes.get(ENTRY_HEADER..ENTRY_HEADER + header[0] as usize)?;
    let (mut at, mut labels) = (0, 0);
    while at < name.len() {
        let len = name[at] as usize;
        let label = name.get(at + 1..at + 1 + len)?;
        if !(1..=63).contains(&len) || label.iter().any(u8::is_ascii_uppercase) {
            return None;
        }
        (at, labels) = (at + 1 + len, labels + 1);
    }
    if labels != header[3] as usize || name.len() > 254 {
        return None;
    }
    let mut end = Entry(bytes).blocks_start();
    bytes.get(..end)?;
    let mut last = None;
    for _ in 0..header[2] {
        let (block, rest) = RrsetBlock::split_off(&bytes[end..])?;
        // the apex is at most as long as what the owner leaves of a name
        if last.replace(block.rtype()).is_some_and(|last| last >= block.rtype()) || !block.is_sound(255 - name.len()) {
            return None;
        }
        end = bytes.len() - rest.len();
    }
    Some(end)
}
