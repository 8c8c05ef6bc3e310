//! One version of one zone: what readers see, immutable from the moment it exists.
//!
//! Made by [`super::Builder`], [`super::apply()`] and, after a restart, [`Snapshot::from_pages`]; published by
//! `control::commit`; read by query workers, outbound transfers, the API and the store. Versions share all pages that did
//! not change, so keeping the old one costs only what differs.

use std::sync::OnceLock;

use super::denial::{ApexHashes, Denial, NSEC3_HASH_OCTETS, Nsec3Of, Nsec3Params};
use super::directory::{self, Child, Pages};
use super::encode::{Item, Items};
use super::entry::{Entry, Origin, Rrs, RrsetBlock};
use super::hash::HashKey;
use super::page::{DamagedPage, Kind, Page, PageKey, truncate};
use super::records::{CanonicalOrder, Records};
use super::spill::{self, Spilled, Spills};
use super::tally::Tally;
use crate::dns::name::wire_len;
use crate::dns::{Name, Record, RecordType, Serial};

/// The fields of the apex SOA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Soa {
    /// Version.
    pub serial: Serial,
    /// Seconds between checks for a new version.
    pub refresh: u32,
    /// Seconds between checks after a failed one.
    pub retry: u32,
    /// Seconds after the last good check at which the zone must no longer be answered.
    pub expire: u32,
    /// Upper bound in seconds of the TTL of negative answers (RFC 2308 §4).
    pub minimum: u32,
    /// Seconds, of the SOA RR itself.
    pub ttl: u32,
    /// The whole rdata, names in full and in their own spelling.
    pub rdata: Box<[u8]>,
}

impl Soa {
    /// Reads a SOA rdata with names in full; `None` if it is none.
    pub fn parse(ttl: u32, rdata: &[u8]) -> Option<Soa> {
        let rname_at = wire_len(rdata).ok()?;
        let numbers_at = rname_at + wire_len(&rdata[rname_at..]).ok()?;
        let numbers = rdata.get(numbers_at..).filter(|numbers| numbers.len() == 20)?;
        let number = |n: usize| u32::from_be_bytes([0, 1, 2, 3].map(|i| numbers[4 * n + i]));
        Some(Soa {
            serial: Serial(number(0)),
            refresh: number(1),
            retry: number(2),
            expire: number(3),
            minimum: number(4),
            ttl,
            rdata: rdata.into(),
        })
    }

    /// Name of the server where edits are made.
    pub fn mname(&self) -> Name {
        name_at(&self.rdata)
    }

    /// Mailbox of the responsible person, as a name.
    pub fn rname(&self) -> Name {
        name_at(&self.rdata[self.mname().as_wire().len()..])
    }
}

fn name_at(rdata: &[u8]) -> Name {
    let octets = wire_len(rdata).expect("the names were measured by `parse`");
    Name::from_wire(&rdata[..octets]).expect("a name of this length")
}

/// Room for the rdata of nearly every SOA.
const SOA_OCTETS_LIKELY: usize = 128;

/// Entries before and after a change.
pub(super) type Changes<'a> = [(Option<Entry<'a>>, Option<Entry<'a>>)];

/// An immutable version of a zone. Share it as `Arc<Snapshot>`.
#[derive(Debug)]
pub struct Snapshot {
    apex: Name,
    key: HashKey,
    apex_hash: u64,
    soa: Soa,
    /// Page and position of the apex entry.
    apex_place: (Page, u16),
    names: Child,
    spills: Spills,
    tally: Tally,
    cut_depths: u128,
    shallowest_cut: usize,
    has_nsec3: bool,
    /// `None` in a zone without DNSSEC, which most small zones are: one word instead of a hundred octets.
    denial: Option<Box<Denial>>,
    canonical: OnceLock<CanonicalOrder>,
}

impl Snapshot {
    /// Puts a version together; `earlier` is the one it follows, with the entries that changed. Fails if there is no apex entry with one SOA.
    pub(super) fn assemble(
        apex: Name,
        key: HashKey,
        names: Child,
        spills: Spills,
        mut tally: Tally,
        earlier: Option<(&Snapshot, &Changes<'_>)>,
    ) -> Result<Snapshot, DamagedPage> {
        let apex_hash = key.name(apex.as_wire());
        let page = names.page(apex_hash).ok_or(DamagedPage("no apex"))?.clone();
        let (index, _) = page.find(apex_hash, &[]).ok_or(DamagedPage("no apex"))?;
        tally.shrink();
        let mut snapshot = Snapshot {
            apex_place: (page, index as u16),
            // until it is read, below
            soa: Soa { serial: Serial(0), refresh: 0, retry: 0, expire: 0, minimum: 0, ttl: 0, rdata: Box::default() },
            cut_depths: tally.cut_depths(),
            shallowest_cut: tally.cut_depths().trailing_zeros() as usize,
            has_nsec3: tally.types().iter().any(|(rtype, _)| *rtype == RecordType::NSEC3),
            denial: None,
            canonical: OnceLock::new(),
            apex,
            key,
            apex_hash,
            names,
            spills,
            tally,
        };
        snapshot.soa = snapshot.stored_soa()?;
        let is_chain =
            |t: &(RecordType, u32)| matches!(t.0, RecordType::NSEC | RecordType::NSEC3 | RecordType::NSEC3PARAM);
        if snapshot.type_counts().iter().any(is_chain) {
            let earlier = earlier.and_then(|(earlier, changes)| Some((&**earlier.denial.as_ref()?, changes)));
            let denial = Denial::new((&snapshot.apex, snapshot.apex_entry()), snapshot.entries(), earlier);
            snapshot.denial = Some(Box::new(denial));
        }
        Ok(snapshot)
    }

    /// The SOA as the apex has it.
    fn stored_soa(&self) -> Result<Soa, DamagedPage> {
        const NOT_ONE: DamagedPage = DamagedPage("not one SOA");
        let entry = self.apex_entry();
        let block = entry.rrset(RecordType::SOA).ok_or(NOT_ONE)?;
        let spilled = self.spilled(entry, &block).map(|spilled| spilled.to_parts().0);
        let mut records = spilled.as_deref().map_or_else(|| block.rrs(), Rrs::new);
        let (Some(soa), None) = (records.next(), records.next()) else { return Err(NOT_ONE) };
        let mut rdata = Vec::with_capacity(SOA_OCTETS_LIKELY);
        match &spilled {
            Some(image) => rdata.extend_from_slice(&image[soa.rdata.clone()]),
            None => block.expand_rdata(&soa, self.origin(entry), &mut rdata),
        }
        Soa::parse(soa.ttl, &rdata).ok_or(DamagedPage("bad SOA"))
    }

    /// Takes back what [`Snapshot::pages`] gave, in any order; pages are as good as their checksums, so the caller has
    /// verified those. O(entries), one pass; no page is decoded or copied.
    pub fn from_pages(
        apex: Name,
        key: HashKey,
        pages: impl IntoIterator<Item = Page>,
    ) -> Result<Snapshot, DamagedPage> {
        let (mut names, mut spills, mut tally) = (Vec::new(), std::collections::BTreeMap::new(), Tally::default());
        let mut has_spilled = false;
        let apex_hash = key.name(apex.as_wire());
        for page in pages {
            match page.key().kind {
                Kind::Names => {
                    for entry in page.entries() {
                        if !entry.suits(apex.as_wire()) {
                            return Err(DamagedPage("an entry of another zone"));
                        }
                        tally.add(entry);
                        has_spilled |= entry.has_spilled();
                    }
                    if truncate(key.below(apex_hash, page.entry(0).name()), page.bits()) != page.prefix() {
                        return Err(DamagedPage("a page under another hash key"));
                    }
                    names.push(page);
                }
                Kind::Spill => {
                    has_spilled = true;
                    spills.insert(page.prefix(), page);
                }
                Kind::Nsec3 => return Err(DamagedPage("pages of kind nsec3 are not made by this format")),
            }
        }
        let names = directory::from_pages(names).ok_or(DamagedPage("pages do not tile the hash space"))?;
        let snapshot = Snapshot::assemble(apex, key, names, spill::shared(spills), tally, None)?;
        if has_spilled && snapshot.has_bad_chunks() {
            return Err(DamagedPage("chunks of a spilled RRset are missing or damaged"));
        }
        Ok(snapshot)
    }

    /// Every page: names by ascending hash, then chunks. Equal contents give equal pages (under one hash key).
    pub fn pages(&self) -> impl Iterator<Item = (PageKey, &Page)> {
        self.names.pages().chain(self.spills.values()).map(|page| (page.key(), page))
    }

    /// Octets of all pages. O(1), chunks of large RRsets aside.
    pub fn image_octets(&self) -> u64 {
        self.names_octets() + self.spills.values().map(|chunk| chunk.as_bytes().len() as u64).sum::<u64>()
    }

    /// Octets of the pages that lookups read: all but those of spilled RRsets.
    #[inline]
    pub fn names_octets(&self) -> u64 {
        self.names.octets()
    }

    /// The zone's name.
    pub fn apex(&self) -> &Name {
        &self.apex
    }

    /// The SOA's serial.
    pub fn serial(&self) -> Serial {
        self.soa.serial
    }

    /// The apex SOA.
    pub fn soa(&self) -> &Soa {
        &self.soa
    }

    /// The apex SOA as a record, as it stands in an IXFR query.
    pub fn soa_record(&self) -> Record {
        let Soa { ttl, rdata, .. } = &self.soa;
        Record { owner: self.apex.clone(), rtype: RecordType::SOA, ttl: *ttl, rdata: rdata.clone() }
    }

    /// The key of the name hash.
    pub fn key(&self) -> &HashKey {
        &self.key
    }

    /// Hash of the apex's name.
    pub fn apex_hash(&self) -> u64 {
        self.apex_hash
    }

    /// All records, RRSIGs included, the SOA once.
    pub fn record_count(&self) -> u64 {
        self.tally.records
    }

    /// Existing names, empty non-terminals included.
    pub fn owner_count(&self) -> u64 {
        self.tally.owners
    }

    /// Owners with an RRset which came with differing TTLs or spellings.
    pub fn mixed_count(&self) -> u32 {
        self.tally.mixed
    }

    /// Records by type, ascending by number.
    pub fn type_counts(&self) -> &[(RecordType, u32)] {
        self.tally.types()
    }

    /// Bit d: some owner d labels below the apex is a delegation or has a DNAME; others need not be probed for cuts.
    /// The apex's own DNAME is bit 0.
    pub fn cut_depths(&self) -> u128 {
        self.cut_depths
    }

    /// The lowest bit of [`Snapshot::cut_depths`]; 128 without any. Shallower names need no further look.
    #[inline]
    pub fn shallowest_cut(&self) -> usize {
        self.shallowest_cut
    }

    /// Whether there is any NSEC3 record, be it of a parameter set that is not used.
    #[inline]
    pub fn has_nsec3(&self) -> bool {
        self.has_nsec3
    }

    /// Most labels an owner has below the apex: deeper names do not exist.
    pub fn max_depth(&self) -> usize {
        self.tally.max_depth()
    }

    /// The page that holds a name of this hash, if there is one.
    #[inline]
    pub fn page(&self, hash: u64) -> Option<&Page> {
        self.names.page(hash)
    }

    /// The entry of the name with this `hash` (of the absolute name, [`HashKey::name`]) and this relative lower-case
    /// form. No allocation; a few dependent reads.
    #[inline]
    pub fn lookup(&self, hash: u64, relative: &[u8]) -> Option<Entry<'_>> {
        let (_, entry) = self.names.page(hash)?.find(hash, relative)?;
        Some(entry)
    }

    /// The entry of an absolute name; convenience for control paths.
    pub fn find(&self, name: &Name) -> Option<Entry<'_>> {
        self.lookup(self.key.name(name.as_wire()), name.relative_to(&self.apex)?)
    }

    /// The entry of the apex.
    pub fn apex_entry(&self) -> Entry<'_> {
        self.apex_place.0.entry(self.apex_place.1 as usize)
    }

    /// All entries in page order.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.names.pages().flat_map(Page::entries)
    }

    /// The octets of a spilled block of `entry`; `None` for one in place.
    pub fn spilled(&self, entry: Entry<'_>, block: &RrsetBlock<'_>) -> Option<Spilled<'_>> {
        let hash = self.key.below(self.apex_hash, entry.name());
        block.is_spilled().then(|| Spilled::find(&self.spills, &self.key, hash, entry.name(), block))?
    }

    /// Every record with names in full: the apex first, its SOA before all, then in page order. Stable within a version.
    pub fn records(&self) -> Records<'_> {
        Records::in_page_order(self, 0)
    }

    /// [`Snapshot::records`] without the first `skipped`; O(log owners), not O(skipped).
    pub fn records_from(&self, skipped: u64) -> Records<'_> {
        Records::in_page_order(self, skipped)
    }

    /// As [`Snapshot::records_from`], in canonical order of the owners (RFC 4034 §6.1) for zones of up to 100,000 of them,
    /// which are sorted at the first call; larger ones stay in page order.
    pub fn records_canonical(&self, skipped: u64) -> Records<'_> {
        if self.owner_count() > CanonicalOrder::OWNERS_MAX {
            return self.records_from(skipped);
        }
        Records::in_canonical_order(self, self.canonical.get_or_init(|| CanonicalOrder::of(self)), skipped)
    }

    /// The records of one owner, in the order of a listing; none if the name does not exist.
    pub fn records_at(&self, owner: &Name) -> Records<'_> {
        Records::at(self, self.find(owner))
    }

    /// How names are hashed for NSEC3; `None` without a NSEC3PARAM that can be used.
    pub fn nsec3_params(&self) -> Option<&Nsec3Params> {
        self.denial.as_ref()?.params()
    }

    /// Hashes of names at and below the apex under [`Snapshot::nsec3_params`]; of no meaning without.
    pub fn nsec3_apex_hashes(&self) -> &ApexHashes {
        self.denial.as_ref().map_or(&ApexHashes::NONE, |denial| denial.apex_hashes())
    }

    /// The entry whose NSEC matches or covers the name `relative` (lower case); `None` in a zone without NSEC.
    /// No allocation.
    pub fn nsec_covering(&self, relative: &[u8]) -> Option<Entry<'_>> {
        let owner = self.denial.as_ref()?.nsec_at_or_before(relative)?;
        self.lookup(self.key.below(self.apex_hash, owner.as_slice()), owner.as_slice())
    }

    /// What the NSEC3s of the set of [`Snapshot::nsec3_params`] say of `hash`; `None` in a zone without. No allocation.
    pub fn nsec3_of(&self, hash: &[u8; NSEC3_HASH_OCTETS]) -> Option<Nsec3Of<'_>> {
        let (owner, is_match) = self.denial.as_ref()?.nsec3_at_or_before(hash)?;
        let entry = self.lookup(self.key.below(self.apex_hash, &owner), &owner)?;
        Some(if is_match { Nsec3Of::Matched(entry) } else { Nsec3Of::Covered(entry) })
    }

    #[cfg(test)]
    pub(super) fn denial(&self) -> Option<&Denial> {
        self.denial.as_deref()
    }

    pub(super) fn names(&self) -> &Child {
        &self.names
    }

    pub(super) fn name_pages(&self) -> Pages<'_> {
        self.names.pages()
    }

    pub(super) fn spills(&self) -> &Spills {
        &self.spills
    }

    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Records of entries that stand before the apex in page order.
    pub(super) fn records_before_apex(&self) -> u64 {
        let (page, index) = &self.apex_place;
        let on_page = page.entries().take(*index as usize).map(|entry| entry.record_count() as u64);
        self.names.records_before(self.apex_hash) + on_page.sum::<u64>()
    }

    pub(super) fn origin<'a>(&'a self, entry: Entry<'a>) -> Origin<'a> {
        Origin { apex: self.apex.as_wire(), relative: entry.name() }
    }

    /// The records of an entry, levelled.
    pub(super) fn items<'a>(&'a self, entry: Entry<'a>) -> Vec<Item<'a>> {
        entry.rrsets().flat_map(|block| self.block_items(entry, block)).collect()
    }

    pub(super) fn block_items<'a>(&'a self, entry: Entry<'a>, block: RrsetBlock<'a>) -> Items<'a> {
        let mut items = Items::with_capacity(block.rr_count() + usize::from(block.signature_octets() > 0));
        let item = |rtype, ttl, rdata: std::borrow::Cow<'a, [u8]>| {
            let item = Item::new(rtype, ttl, rdata).expect("it was taken into a page before");
            Item { mixed: block.is_mixed(), ..item }
        };
        if let Some(spilled) = self.spilled(entry, &block) {
            let (image, signatures) = spilled.to_parts();
            for part in [image, signatures] {
                items.extend(Rrs::new(&part).map(|rr| item(rr.rtype, rr.ttl, part[rr.rdata].to_vec().into())));
            }
            return items;
        }
        for rr in block.rrs() {
            let rdata = if block.fixups().any(|fixup| rr.rdata.contains(&fixup.at)) {
                let mut expanded = Vec::new();
                block.expand_rdata(&rr, self.origin(entry), &mut expanded);
                expanded.into()
            } else {
                block.image()[rr.rdata].into()
            };
            items.push(item(rr.rtype, rr.ttl, rdata));
        }
        let signatures = block.signatures();
        items.extend(Rrs::new(signatures).map(|rr| item(rr.rtype, rr.ttl, signatures[rr.rdata].into())));
        items
    }

    fn has_bad_chunks(&self) -> bool {
        let mut expected = 0;
        for entry in self.entries().filter(|entry| entry.has_spilled()) {
            for block in entry.blocks().filter(|block| block.is_spilled()) {
                let Some(spilled) = self.spilled(entry, &block) else { return true };
                let (image, signatures) = spilled.to_parts();
                if !block.holds(&image, &signatures) {
                    return true;
                }
                expected += spill::chunk_count(block.image_octets() + block.signature_octets()) as usize;
            }
        }
        expected != self.spills.len()
    }
}
