//! Records of one owner -> the octets of its entry.
//!
//! In: all records at one owner, in any order, with how many children it has and the addresses for its glue. Out: the
//! entry of [`super::entry`] and chunks for what is too large. Called by [`super::Builder`] and [`super::apply()`]; that both
//! come through here is what makes `apply(old, diff)` equal `build(new)`. Nothing here depends on anything but the
//! records: no order of arrival, no earlier version.

use std::borrow::Cow;
use std::ops::Range;

use smallvec::SmallVec;

use super::entry::{self, BLOCK_HEADER, Base, ENTRY_HEADER, GLUE, MIXED_BLOCK, RrsetBlock, SPILLED, SPILLED_BLOCK};
use super::hash::HashKey;
use super::page::Page;
use super::spill;
use crate::dns::name::{NAME_OCTETS_MAX, label_starts, write_presentation};
use crate::dns::{RecordType, rdata};
use crate::reason::{Code, Reason};

/// While an entry is longer, its largest block is spilled; so any two entries fit one page.
pub(super) const ENTRY_OCTETS_MAX: usize = 3_000;
/// Octets of the longest image and of the longest signatures: what fits a message of 65,535 octets with header and question.
pub const RRSET_OCTETS_MAX: usize = 65_264;
/// RRset blocks at one owner, glue included; the field is one octet.
pub const TYPES_MAX: usize = 255;
/// Suffixes of earlier names of an image that later names are compared with: bounds the work on hostile RRsets.
const SUFFIXES_MAX: usize = 32;
/// What one record adds to its entry at most, beside its rdata: as the only one of its block, with two names as pointers.
pub(super) const BLOCK_OCTETS_MAX: usize = BLOCK_HEADER + 2 + RR_FIXED_OCTETS + 4;
/// RRs (and fix-ups) of a block in place; the fields are one octet each.
const IN_PLACE_MAX: usize = 255;

/// One record at the owner being encoded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Item<'a> {
    /// The type of the block it belongs to: its own, or of an RRSIG the covered one.
    pub(super) block: RecordType,
    pub(super) is_signature: bool,
    /// Rdata as it is compared: RFC 4034 §6.2 form.
    pub(super) canonical: Cow<'a, [u8]>,
    /// Rdata as it came.
    pub(super) rdata: Cow<'a, [u8]>,
    pub(super) ttl: u32,
    /// Whether it stands in an RRset that had to be levelled, see [`level`].
    pub(super) mixed: bool,
}

impl<'a> Item<'a> {
    /// Fails for types which cannot stand in a zone.
    pub(super) fn new(rtype: RecordType, ttl: u32, rdata: impl Into<Cow<'a, [u8]>>) -> Result<Item<'a>, Reason> {
        let rdata = rdata.into();
        let canonical = if rdata::folds(rtype) && rdata.iter().any(u8::is_ascii_uppercase) {
            let mut folded = Vec::with_capacity(rdata.len());
            rdata::canonical(rtype, &rdata, &mut folded);
            Cow::Owned(folded)
        } else {
            rdata.clone()
        };
        let is_signature = rtype == RecordType::RRSIG;
        let block = match &rdata[..] {
            [high, low, _, ..] if is_signature => RecordType(u16::from_be_bytes([*high, *low])),
            _ if is_signature => return Err(Reason::new(Code::MalformedRr, "RRSIG without a covered type")),
            _ => rtype,
        };
        if block == GLUE || rtype.is_meta() {
            return Err(Reason::new(Code::MetaType, format!("{block} is no type of zone data")));
        }
        Ok(Item { block, is_signature, canonical, rdata, ttl, mixed: false })
    }

    /// What identifies a record among those of its owner: TTL and folded case do not.
    pub(super) fn identity(&self) -> (RecordType, bool, &[u8]) {
        (self.block, self.is_signature, &self.canonical)
    }

    /// The record's own type.
    pub(super) fn rtype(&self) -> RecordType {
        if self.is_signature { RecordType::RRSIG } else { self.block }
    }
}

/// Records of one owner. Most have one or two in what is being worked on.
pub(super) type Items<'a> = SmallVec<[Item<'a>; 2]>;

/// Sorts, removes duplicates, and gives all RRs of an RRset its lowest TTL (RFC 2181 §5.2). Of two spellings the
/// bytewise smaller stays. Marks what was levelled so as mixed; exact duplicates are not worth a mark. Returns how many
/// records were duplicates.
pub(super) fn level(items: &mut Items<'_>) -> usize {
    let before = items.len();
    if before > 1 {
        items.sort_unstable();
        items.dedup_by(|later, kept| {
            let same = later.identity() == kept.identity();
            if same && (later.ttl, &later.rdata) != (kept.ttl, &kept.rdata) {
                kept.mixed = true;
                kept.ttl = kept.ttl.min(later.ttl);
            }
            same
        });
        for rrset in items.chunk_by_mut(|a, b| (a.block, a.is_signature) == (b.block, b.is_signature)) {
            // RRSIGs take the TTL of what they cover, so those of one owner may differ; each keeps its own.
            let lowest = rrset.iter().map(|item| item.ttl).min().unwrap_or(0);
            if !rrset[0].is_signature && rrset.iter().any(|item| item.ttl != lowest) {
                rrset.iter_mut().for_each(|item| (item.ttl, item.mixed) = (lowest, true));
            }
        }
    }
    before - items.len()
}

/// An A or AAAA record at a name that serves as glue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Address {
    rtype: RecordType,
    octets: [u8; 16],
    ttl: u32,
}

impl Address {
    /// `None` if this is no address of the right length.
    pub(super) fn new(rtype: RecordType, ttl: u32, rdata: &[u8]) -> Option<Address> {
        let expected = match rtype {
            RecordType::A => 4,
            RecordType::AAAA => 16,
            _ => return None,
        };
        let mut octets = [0; 16];
        octets.get_mut(..rdata.len())?.copy_from_slice(rdata);
        (rdata.len() == expected).then_some(Address { rtype, octets, ttl })
    }

    fn rdata(&self) -> &[u8] {
        if self.rtype == RecordType::A { &self.octets[..4] } else { &self.octets }
    }
}

/// If the target of an NS record lies at or below the owner `relative` (which is not the apex), RFC 9499's "in-domain" name
/// server: how many octets it has left of the apex.
pub(super) fn in_domain(target: &[u8], relative: &[u8], apex: &[u8]) -> Option<usize> {
    let apex_at = target.len().checked_sub(apex.len())?;
    let owner_at = apex_at.checked_sub(relative.len())?;
    // most servers are elsewhere: the end of their name tells
    if !(target[apex_at..].eq_ignore_ascii_case(apex) && target[owner_at..apex_at].eq_ignore_ascii_case(relative)) {
        return None;
    }
    let mut at = 0;
    while at < owner_at {
        at += 1 + target[at] as usize;
    }
    (at == owner_at && target.len() <= NAME_OCTETS_MAX).then_some(apex_at)
}

/// What the encoder has to know of an owner besides its records.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner<'a> {
    pub(super) relative: &'a [u8],
    pub(super) hash: u64,
    pub(super) kids: u32,
    pub(super) has_wildcard: bool,
}

/// A block on its way into the entry.
struct Draft {
    rtype: RecordType,
    items: Range<usize>,
    rrs: usize,
    fixups: Range<usize>,
    image: Range<usize>,
    signatures: Range<usize>,
    mixed: bool,
    form: Form,
}

/// How a block stands in the entry.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    InPlace,
    Spilled,
    /// `image` is the whole block, as an earlier entry had it.
    Kept,
}

impl Draft {
    fn payload(&self) -> usize {
        self.image.len() + self.signatures.len()
    }

    fn mixed_bit(&self) -> u16 {
        if self.mixed { MIXED_BLOCK } else { 0 }
    }

    fn octets(&self) -> usize {
        match self.form {
            Form::InPlace => BLOCK_HEADER + 2 * self.fixups.len() + self.payload(),
            Form::Spilled => SPILLED_BLOCK,
            Form::Kept => self.image.len(),
        }
    }
}

/// Encodes entries of one zone; holds scratch space between calls.
pub(super) struct Encoder<'z> {
    apex: &'z [u8],
    key: HashKey,
    drafts: Vec<Draft>,
    octets: Vec<u8>,
    fixups: Vec<u16>,
}

impl<'z> Encoder<'z> {
    pub(super) fn new(apex: &'z [u8], key: HashKey) -> Encoder<'z> {
        Encoder { apex, key, drafts: Vec::new(), octets: Vec::new(), fixups: Vec::new() }
    }

    /// Appends the entry of `owner` to `out` and the chunks of spilled blocks to `spills`. `items` have been levelled; `kept`
    /// are blocks of other types, in place, which an earlier entry of the owner has had, by ascending type, and then all
    /// of it must fit [`ENTRY_OCTETS_MAX`]. `addresses` is asked for the addresses at each in-domain NS target (relative,
    /// lower case) of a delegation whose NS are among `items`.
    pub(super) fn entry(
        &mut self,
        owner: Owner<'_>,
        items: &[Item<'_>],
        kept: impl Iterator<Item = RrsetBlock<'z>>,
        addresses: &mut dyn FnMut(&[u8], &mut Vec<Address>),
        out: &mut Vec<u8>,
        spills: &mut Vec<Page>,
    ) -> Result<(), Reason> {
        self.drafts.clear();
        self.octets.clear();
        self.fixups.clear();
        let (mut glue, mut glue_octets) = (Vec::new(), 0);
        let (mut start, mut kept) = (0, kept.peekable());
        for block in items.chunk_by(|a, b| a.block == b.block) {
            while let Some(earlier) = kept.next_if(|kept| kept.rtype() < block[0].block) {
                self.keep(&earlier);
            }
            self.draft(&owner, block, start);
            start += block.len();
        }
        kept.for_each(|block| self.keep(&block));
        let has = |rtype| self.drafts.iter().any(|draft| draft.rtype == rtype && draft.rrs > 0);
        let (is_cut, is_dname) = (!owner.relative.is_empty() && has(RecordType::NS), has(RecordType::DNAME));
        let is_signed = self.drafts.iter().any(|draft| !draft.signatures.is_empty());
        if is_cut {
            let mut found = Vec::new();
            for ns in items.iter().filter(|item| !item.is_signature && item.block == RecordType::NS) {
                // in lower case
                let target = &ns.canonical[..];
                if let Some(apex_at) = in_domain(target, owner.relative, self.apex) {
                    addresses(&target[..apex_at], &mut found);
                    collect_glue(target, &mut found, &mut glue, &mut glue_octets);
                }
            }
            self.draft_glue(&owner, &glue);
        }
        if self.drafts.len() > TYPES_MAX {
            let detail = format!("{} has {} types, the limit is {TYPES_MAX}", self.show(&owner), self.drafts.len());
            return Err(Reason::new(Code::LimitTypes, detail));
        }
        let fixed = ENTRY_HEADER + owner.relative.len() + if owner.kids > 0 { 4 } else { 0 };
        while fixed + self.drafts.iter().map(Draft::octets).sum::<usize>() > ENTRY_OCTETS_MAX {
            let in_place = self.drafts.iter_mut().filter(|d| d.form == Form::InPlace);
            // the first of equals: max_by_key would take the last
            match in_place.rev().max_by_key(|d| d.payload()) {
                Some(largest) => largest.form = Form::Spilled,
                None => break,
            }
        }
        let flags = [
            (entry::CUT, is_cut),
            (entry::DNAME, is_dname),
            (entry::ENT, self.drafts.is_empty() && !owner.relative.is_empty()),
            (entry::HAS_WILD, owner.has_wildcard),
            (entry::HAS_KIDS, owner.kids > 0),
            (entry::SIGNED, is_signed),
            (entry::SPILL, self.drafts.iter().any(|d| d.form == Form::Spilled)),
            (entry::MIXED, self.drafts.iter().any(|d| d.mixed)),
        ];
        let flags = flags.iter().filter(|f| f.1).fold(0, |flags, f| flags | f.0);
        out.extend_from_slice(&[owner.relative.len() as u8, flags, self.drafts.len() as u8, labels(owner.relative)]);
        out.extend_from_slice(owner.relative);
        if owner.kids > 0 {
            out.extend_from_slice(&owner.kids.to_le_bytes());
        }
        for draft in &self.drafts {
            match draft.form {
                Form::InPlace => self.write_in_place(draft, out),
                Form::Spilled => self.write_spilled(&owner, draft, items, &glue, out, spills)?,
                Form::Kept => out.extend_from_slice(&self.octets[draft.image.clone()]),
            }
        }
        Ok(())
    }

    /// Adds a block as it stands.
    fn keep(&mut self, block: &RrsetBlock<'_>) {
        let start = self.octets.len();
        block.append_to(&mut self.octets);
        let end = self.octets.len();
        self.drafts.push(Draft {
            rtype: block.rtype(),
            items: 0..0,
            rrs: block.rr_count(),
            fixups: 0..0,
            image: start..end,
            signatures: end - block.signature_octets()..end,
            mixed: block.is_mixed(),
            form: Form::Kept,
        });
    }

    /// Adds the block made of `items` (levelled, one block), which begin at `start` of the owner's.
    fn draft(&mut self, owner: &Owner<'_>, items: &[Item<'_>], start: usize) {
        let rrs = items.iter().take_while(|item| !item.is_signature).count();
        let (image_start, fixups_start) = (self.octets.len(), self.fixups.len());
        let mut names = NameWriter::new(owner, self.apex, image_start);
        let mut in_place = rrs <= IN_PLACE_MAX;
        for item in &items[..rrs] {
            if !in_place {
                break;
            }
            names.push_rr(item, &mut self.octets, &mut self.fixups);
            in_place =
                self.octets.len() - image_start <= ENTRY_OCTETS_MAX && self.fixups.len() - fixups_start <= IN_PLACE_MAX;
        }
        let image_end = self.octets.len();
        for item in &items[rrs..] {
            push_rr_in_full(&[0xc0, 0x0c], item.rtype(), item.ttl, &item.rdata, &mut self.octets);
        }
        self.drafts.push(Draft {
            rtype: items[0].block,
            items: start..start + items.len(),
            rrs,
            fixups: fixups_start..self.fixups.len(),
            image: image_start..image_end,
            signatures: image_end..self.octets.len(),
            mixed: items.iter().any(|item| item.mixed),
            form: if in_place { Form::InPlace } else { Form::Spilled },
        });
    }

    fn draft_glue(&mut self, owner: &Owner<'_>, glue: &[(&[u8], Address)]) {
        if glue.is_empty() {
            return;
        }
        let (image_start, fixups_start) = (self.octets.len(), self.fixups.len());
        let mut names = NameWriter::new(owner, self.apex, image_start);
        let mut in_place = glue.len() <= IN_PLACE_MAX;
        for &(target, address) in glue {
            if !in_place {
                break;
            }
            names.push_name(target, &mut self.octets, &mut self.fixups);
            push_rr_in_full(&[], address.rtype, address.ttl, address.rdata(), &mut self.octets);
            in_place =
                self.octets.len() - image_start <= ENTRY_OCTETS_MAX && self.fixups.len() - fixups_start <= IN_PLACE_MAX;
        }
        let end = self.octets.len();
        self.drafts.push(Draft {
            rtype: GLUE,
            items: 0..0,
            rrs: glue.len(),
            fixups: fixups_start..self.fixups.len(),
            image: image_start..end,
            signatures: end..end,
            mixed: false,
            form: if in_place { Form::InPlace } else { Form::Spilled },
        });
    }

    fn write_in_place(&self, draft: &Draft, out: &mut Vec<u8>) {
        out.extend_from_slice(&draft.rtype.0.to_le_bytes());
        out.extend_from_slice(&(draft.image.len() as u16 | draft.mixed_bit()).to_le_bytes());
        out.extend_from_slice(&(draft.signatures.len() as u16).to_le_bytes());
        out.extend_from_slice(&[draft.rrs as u8, draft.fixups.len() as u8]);
        for fixup in &self.fixups[draft.fixups.clone()] {
            out.extend_from_slice(&fixup.to_le_bytes());
        }
        out.extend_from_slice(&self.octets[draft.image.start..draft.signatures.end]);
    }

    fn write_spilled(
        &self,
        owner: &Owner<'_>,
        draft: &Draft,
        items: &[Item<'_>],
        glue: &[(&[u8], Address)],
        out: &mut Vec<u8>,
        spills: &mut Vec<Page>,
    ) -> Result<(), Reason> {
        let items = &items[draft.items.clone()];
        let mut octets = Vec::new();
        if draft.rtype == GLUE {
            for (target, address) in glue {
                push_rr_in_full(target, address.rtype, address.ttl, address.rdata(), &mut octets);
            }
        }
        for item in &items[..if draft.rtype == GLUE { 0 } else { draft.rrs }] {
            push_rr_in_full(&[0xc0, 0x0c], item.rtype(), item.ttl, &item.rdata, &mut octets);
        }
        let (image, signatures) = (octets.len(), draft.signatures.len());
        octets.extend_from_slice(&self.octets[draft.signatures.clone()]);
        if image > RRSET_OCTETS_MAX || signatures > RRSET_OCTETS_MAX {
            let detail = format!(
                "{} {} takes {} octets, the limit is {RRSET_OCTETS_MAX}: it fits no message",
                self.show(owner),
                draft.rtype,
                image.max(signatures)
            );
            return Err(Reason::new(Code::LimitRrset, detail));
        }
        let signature_count = items.len().saturating_sub(draft.rrs);
        let fields = [
            draft.rtype.0,
            SPILLED | draft.mixed_bit(),
            image as u16,
            signatures as u16,
            draft.rrs as u16,
            signature_count as u16,
        ];
        for field in fields {
            out.extend_from_slice(&field.to_le_bytes());
        }
        spills.extend(spill::make_chunks(&self.key, owner.hash, owner.relative, draft.rtype, &octets));
        Ok(())
    }

    fn show(&self, owner: &Owner<'_>) -> String {
        let mut text = String::new();
        let _ = write_presentation(&[owner.relative, self.apex].concat(), &mut text);
        text
    }
}

/// Octets of an RR between owner and rdata.
const RR_FIXED_OCTETS: usize = 10;

/// Appends the glue of one target, whose addresses are moved out of `found`: A before AAAA, sorted, each type with its
/// lowest TTL. What would make the whole glue longer than a message is left out; a referral cannot carry it anyway.
/// `octets` counts it, over all targets.
fn collect_glue<'a>(
    target: &'a [u8],
    found: &mut Vec<Address>,
    glue: &mut Vec<(&'a [u8], Address)>,
    octets: &mut usize,
) {
    found.sort_unstable();
    found.dedup_by(|later, kept| (later.rtype, later.octets) == (kept.rtype, kept.octets));
    let lowest = |rtype| found.iter().filter(|a| a.rtype == rtype).map(|a| a.ttl).min().unwrap_or(0);
    let ttls = [lowest(RecordType::A), lowest(RecordType::AAAA)];
    for mut address in found.drain(..) {
        *octets += target.len() + RR_FIXED_OCTETS + address.rdata().len();
        if *octets > RRSET_OCTETS_MAX {
            return;
        }
        address.ttl = ttls[usize::from(address.rtype == RecordType::AAAA)];
        glue.push((target, address));
    }
}

/// Writes names of one image, compressing where a suffix stands already, octet for octet.
struct NameWriter<'a> {
    apex: &'a [u8],
    /// The relative owner, unless it is empty or its first label is `*`: the answer's owner is then another.
    owner: Option<&'a [u8]>,
    image_start: usize,
    /// Suffixes written into the image so far, with their place in it.
    seen: SmallVec<[(&'a [u8], u16); 8]>,
}

impl<'a> NameWriter<'a> {
    fn new(owner: &Owner<'a>, apex: &'a [u8], image_start: usize) -> NameWriter<'a> {
        let owner = Some(owner.relative).filter(|name| !name.is_empty() && !name.starts_with(b"\x01*"));
        NameWriter { apex, owner, image_start, seen: SmallVec::new() }
    }

    fn push_rr(&mut self, item: &'a Item<'_>, octets: &mut Vec<u8>, fixups: &mut Vec<u16>) {
        push_rr_in_full(&[0xc0, 0x0c], item.block, item.ttl, &[], octets);
        let start = octets.len();
        let mut copied = 0;
        for name in rdata::names(item.block, &item.rdata).filter(|name| name.is_compressible()) {
            octets.extend_from_slice(&item.rdata[copied..name.at]);
            self.push_name(&item.rdata[name.at..name.at + name.len], octets, fixups);
            copied = name.at + name.len;
        }
        octets.extend_from_slice(&item.rdata[copied..]);
        let length = (octets.len() - start) as u16;
        octets[start - 2..start].copy_from_slice(&length.to_be_bytes());
    }

    fn push_name(&mut self, name: &'a [u8], octets: &mut Vec<u8>, fixups: &mut Vec<u16>) {
        let mut at = 0;
        while name[at] != 0 {
            let suffix = &name[at..];
            let place = (octets.len() - self.image_start) as u16;
            // a suffix of this same name is shorter than what is looked up, so it cannot be found here
            if let Some((base, offset)) = self.known(suffix) {
                fixups.push((base as u16) << 14 | place);
                octets.extend_from_slice(&(0xc000 | offset).to_be_bytes());
                return;
            }
            if self.seen.len() < SUFFIXES_MAX {
                self.seen.push((suffix, place));
            }
            octets.extend_from_slice(&name[at..at + 1 + name[at] as usize]);
            at += 1 + name[at] as usize;
        }
        octets.push(0);
    }

    fn known(&self, suffix: &[u8]) -> Option<(Base, u16)> {
        if self.owner.is_some_and(|owner| suffix.strip_prefix(owner) == Some(self.apex)) {
            return Some((Base::Owner, 0));
        }
        if suffix.len() <= self.apex.len() {
            let mut at = 0;
            while self.apex.len() - at > suffix.len() {
                at += 1 + self.apex[at] as usize;
            }
            if self.apex[at..] == *suffix {
                return Some((Base::Apex, at as u16));
            }
        }
        self.seen.iter().find(|(earlier, _)| *earlier == suffix).map(|&(_, place)| (Base::Image, place))
    }
}

/// Appends an RR as it is.
fn push_rr_in_full(owner: &[u8], rtype: RecordType, ttl: u32, rdata: &[u8], octets: &mut Vec<u8>) {
    octets.extend_from_slice(owner);
    octets.extend_from_slice(&rtype.0.to_be_bytes());
    octets.extend_from_slice(&[0, 1]);
    octets.extend_from_slice(&ttl.to_be_bytes());
    octets.extend_from_slice(&(rdata.len() as u16).to_be_bytes());
    octets.extend_from_slice(rdata);
}

fn labels(relative: &[u8]) -> u8 {
    let mut starts = [0; 128];
    label_starts(relative, &mut starts) as u8
}
