//! Puts ready images into a reply: copy, add the bases, count.
//!
//! The reply grows in the receive buffer behind the question. Everything is written as whole RRsets or not at all; what
//! does not fit is the caller's decision. Images end before message offset 16,384, the reach of a compression pointer
//! (RFC 1035 §4.1.4); behind it names are written in full.

use std::ops::Range;

use super::Client;
use super::folded::Folded;
use super::options::Gathered;
use super::query::{Edns, HEADER_OCTETS, PLAIN_REPLY_OCTETS};
use super::why::Why;
use crate::dns::RecordType;
use crate::dns::edns::option;
use crate::dns::message::{CLASS_CHAOS, CLASS_IN, Rcode};
use crate::served::Transport;
use crate::zone::entry::{Base, Origin, Rrs};
use crate::zone::spill::Spilled;
use crate::zone::{Entry, RrsetBlock};

/// One past the highest offset a compression pointer can name.
pub(super) const POINTER_REACH: usize = 0x4000;

/// Where the question's name stands, and with it the owner in every stored image.
pub(super) const QNAME_AT: usize = HEADER_OCTETS;

/// Octets of an OPT without options.
const OPT_OCTETS: usize = 11;
/// Octets of an option's code and length.
const OPTION_HEAD_OCTETS: usize = 4;
/// Replies under TLS are filled up to a multiple of this (RFC 8467 §4.1, "Block-Length Padding": 468).
const PADDING_BLOCK_OCTETS: usize = 468;

/// [`Finished::depth`] of a reply that is about the whole name of the question.
pub(super) const WHOLE_NAME: u8 = u8::MAX;
/// [`Finished::depth`] of a reply that has followed a chain: the hash of what it is about was kept before.
pub(super) const KEPT_NAME: u8 = u8::MAX - 1;

/// A section of the reply, by its place among the counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Answer = 0,
    Authority = 1,
    Additional = 2,
}

/// The RRset does not fit; nothing of it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// The names on which an image leans, and where they stand in the message.
#[derive(Clone, Copy)]
pub(super) struct Names<'n> {
    /// Where the owner of the RRs stands.
    pub(super) owner_at: usize,
    /// The owner in full, for when that is out of a pointer's reach.
    pub(super) owner: &'n [u8],
    /// Where the apex stands.
    pub(super) apex_at: usize,
    /// Whether it stands there without compression, so that parts of it are found by counting.
    pub(super) apex_in_full: bool,
    /// The apex, for writing rdata in full.
    pub(super) apex: &'n [u8],
    /// Whose image it is, for the same.
    pub(super) entry: Entry<'n>,
}

impl<'n> Names<'n> {
    fn origin(&self) -> Origin<'n> {
        Origin { apex: self.apex, relative: self.entry.name() }
    }
}

/// A reply that is ready.
pub(super) struct Finished {
    pub(super) octets: usize,
    /// Where its OPT begins; 0 without one.
    pub(super) opt_at: u16,
    /// Labels of the name it stands for, or [`WHOLE_NAME`], or [`KEPT_NAME`].
    pub(super) depth: u8,
}

/// A reply being written.
pub(super) struct Writer<'b> {
    buffer: &'b mut [u8],
    at: usize,
    /// No record may reach beyond.
    limit: usize,
    question_end: usize,
    counts: [u16; 3],
    authoritative: bool,
    truncated: bool,
    rcode: Rcode,
    edns: Option<Edns>,
    options: Option<&'b mut Gathered>,
    /// What we take over UDP.
    udp_octets_max: u16,
    /// See [`Finished::depth`].
    pub(super) depth: u8,
}

impl<'b> Writer<'b> {
    /// Begins a reply to the query in `buffer`, whose question ends at `question_end` ([`HEADER_OCTETS`] to leave the
    /// question out). `options` are those of the reply, as far as they are known.
    #[inline(always)]
    pub(super) fn new(
        client: &Client<'_>,
        buffer: &'b mut [u8],
        question_end: usize,
        edns: Option<Edns>,
        options: Option<&'b mut Gathered>,
    ) -> Writer<'b> {
        let whole = match (client.transport, edns) {
            (Transport::Udp, None) => PLAIN_REPLY_OCTETS,
            (Transport::Udp, Some(edns)) => usize::from(edns.reply_octets.min(client.udp_octets_max)),
            (Transport::Tcp | Transport::Tls, _) => usize::from(u16::MAX),
        };
        let opt = if edns.is_some() { OPT_OCTETS } else { 0 };
        let extra = options.as_ref().map_or(0, |options| options.reserved());
        let limit = whole.min(buffer.len()).saturating_sub(opt + extra + usize::from(client.reserved));
        Writer {
            buffer,
            at: question_end,
            limit,
            question_end,
            counts: [0; 3],
            authoritative: false,
            truncated: false,
            rcode: Rcode::NOERROR,
            edns,
            options,
            udp_octets_max: client.udp_octets_max,
            depth: WHOLE_NAME,
        }
    }

    /// The reply's options, if the query has any.
    #[inline]
    pub(super) fn options(&mut self) -> Option<&mut Gathered> {
        self.options.as_deref_mut()
    }

    /// Puts a TXT of class CHAOS with one character string, owned by the question's name. TTL 0: it is about now.
    pub(super) fn put_chaos(&mut self, text: &[u8]) -> Result<(), Full> {
        let ([t0, t1], [c0, c1]) = (RecordType::TXT.0.to_be_bytes(), CLASS_CHAOS.to_be_bytes());
        let [l0, l1] = (text.len() as u16 + 1).to_be_bytes();
        let start = self.at;
        let head = [0xc0, QNAME_AT as u8, t0, t1, c0, c1, 0, 0, 0, 0, l0, l1, text.len() as u8];
        if self.append(&head).is_err() || self.append(text).is_err() {
            self.at = start;
            return Err(Full);
        }
        self.counts[Section::Answer as usize] += 1;
        Ok(())
    }

    /// The message as far as it is written.
    #[inline]
    pub(super) fn written(&self) -> &[u8] {
        &self.buffer[..self.at]
    }

    pub(super) fn set_rcode(&mut self, rcode: Rcode) {
        self.rcode = rcode;
    }

    pub(super) fn set_authoritative(&mut self) {
        self.authoritative = true;
    }

    pub(super) fn clear_authoritative(&mut self) {
        self.authoritative = false;
    }

    pub(super) fn set_truncated(&mut self) {
        self.truncated = true;
    }

    /// Takes all records back.
    pub(super) fn clear(&mut self) {
        self.at = self.question_end;
        self.counts = [0; 3];
    }

    /// Answers with the RRs of `block`, and with `signatures` its RRSIGs, by nothing but a copy: what most answers are.
    /// `None`, and nothing done, if there are none, or they need more: they are spilled, have other pointers than those
    /// to the question, or do not fit (within a pointer's reach).
    #[inline(always)]
    pub(super) fn put_as_stored(&mut self, block: &RrsetBlock<'_>, signatures: bool) -> Option<Range<usize>> {
        let (image, signed) = block.as_stored()?;
        let octets = if signatures { signed.len() } else { image.len() };
        let (start, end) = (self.at, self.at + octets);
        let mut count = block.rr_count();
        if count == 0 || end > self.limit.min(POINTER_REACH) {
            return None;
        }
        copy_short(self.buffer.get_mut(start..end)?, &signed[..octets]);
        self.at = end;
        if octets > image.len() {
            count += block.signature_count();
        }
        self.counts[Section::Answer as usize] += count as u16;
        Some(start..start + image.len())
    }

    /// Puts the RRs of `block`, which is not spilled, and with `signatures` its RRSIGs. Returns where the RRs stand.
    #[inline]
    pub(super) fn put(
        &mut self,
        section: Section,
        block: &RrsetBlock<'_>,
        signatures: bool,
        names: &Names<'_>,
    ) -> Result<Range<usize>, Full> {
        let start = self.at;
        let rrs = self.put_image(block, names)?;
        let mut count = block.rr_count();
        if signatures && !block.signatures().is_empty() {
            match self.put_signatures(block, names) {
                Ok(signatures) => count += signatures,
                Err(Full) => {
                    self.at = start;
                    return Err(Full);
                }
            }
        }
        self.counts[section as usize] += count as u16;
        Ok(rrs)
    }

    /// Writes `labels` before an RRset whose owner they begin: with the owner pointer of its first RR behind them, set by
    /// [`Writer::end_owner`], they are that owner. Nothing where pointers do not reach: there every owner is in full.
    pub(super) fn begin_owner(&mut self, labels: &[u8]) -> Result<(), Full> {
        if self.at < POINTER_REACH { self.append(labels) } else { Ok(()) }
    }

    /// Completes the owner begun at `start`, whose other labels stand at `suffix_at`; takes it back if the RRset did not
    /// fit (`is_put`).
    pub(super) fn end_owner(&mut self, start: usize, labels: &[u8], suffix_at: usize, is_put: bool) {
        if !is_put {
            self.at = start;
        } else if start < POINTER_REACH {
            let at = start + labels.len();
            self.buffer[at..at + 2].copy_from_slice(&(0xc000 | suffix_at as u16).to_be_bytes());
        }
    }

    /// Puts only the RRSIGs of `block`.
    pub(super) fn put_only_signatures(
        &mut self,
        section: Section,
        block: &RrsetBlock<'_>,
        names: &Names<'_>,
    ) -> Result<(), Full> {
        let count = self.put_signatures(block, names)?;
        self.counts[section as usize] += count as u16;
        Ok(())
    }

    #[inline]
    fn put_image(&mut self, block: &RrsetBlock<'_>, names: &Names<'_>) -> Result<Range<usize>, Full> {
        let image = block.image();
        let (start, end) = (self.at, self.at + image.len());
        if end > self.limit {
            return Err(Full);
        }
        if end > POINTER_REACH || names.owner_at >= POINTER_REACH {
            return self.put_in_full(block, names);
        }
        let copy = &mut self.buffer[start..end];
        copy_short(copy, image);
        if block.fixups().len() > 0 && !names.apex_in_full {
            return Ok(self.fix_up_by_walking(block, names, start..end));
        }
        for fixup in block.fixups() {
            let base = match fixup.base {
                Base::Image => start,
                Base::Apex => names.apex_at,
                Base::Owner => names.owner_at,
            };
            add(copy, fixup.at, base);
        }
        self.at = end;
        if names.owner_at != QNAME_AT {
            self.set_owners(start..end, names.owner_at);
        }
        Ok(start..end)
    }

    fn put_signatures(&mut self, block: &RrsetBlock<'_>, names: &Names<'_>) -> Result<usize, Full> {
        let signatures = block.signatures();
        let (start, end) = (self.at, self.at + signatures.len());
        if names.owner_at >= POINTER_REACH {
            return self.put_plain(signatures, names);
        }
        if end > self.limit {
            return Err(Full);
        }
        self.buffer[start..end].copy_from_slice(signatures);
        self.at = end;
        Ok(self.set_owners(start..end, names.owner_at))
    }

    /// Puts RRs in wire form with a two-octet owner and rdata in full, as spilled RRsets and signatures are, their owner
    /// out of a pointer's reach. Returns how many.
    fn put_plain(&mut self, rrs: &[u8], names: &Names<'_>) -> Result<usize, Full> {
        let start = self.at;
        let mut count = 0;
        for rr in Rrs::new(rrs) {
            if self.put_owner(names).is_err() || self.append(&rrs[rr.owner.end..rr.rdata.end]).is_err() {
                self.at = start;
                return Err(Full);
            }
            count += 1;
        }
        Ok(count)
    }

    /// Octets that still fit.
    pub(super) fn room(&self) -> usize {
        self.limit.saturating_sub(self.at)
    }

    /// Puts an RRset that is stored apart, whose names are all in full. Returns where the RRs stand.
    pub(super) fn put_spilled(
        &mut self,
        section: Section,
        rrset: &Spilled<'_>,
        signatures: bool,
        names: &Names<'_>,
    ) -> Result<Range<usize>, Full> {
        let start = self.at;
        let room = self.buffer.get_mut(start..self.limit).ok_or(Full)?;
        let octets = rrset.copy_to(room, signatures).ok_or(Full)?;
        let count = self.take_copied(octets, names)?;
        self.counts[section as usize] += count as u16;
        Ok(start..start + rrset.image_octets().min(octets))
    }

    /// Puts only the RRSIGs of an RRset that is stored apart.
    pub(super) fn put_spilled_signatures(
        &mut self,
        section: Section,
        rrset: &Spilled<'_>,
        names: &Names<'_>,
    ) -> Result<(), Full> {
        let room = self.buffer.get_mut(self.at..self.limit).ok_or(Full)?;
        let octets = rrset.copy_signatures_to(room).ok_or(Full)?;
        let count = self.take_copied(octets, names)?;
        self.counts[section as usize] += count as u16;
        Ok(())
    }

    /// Takes RRs that were copied behind the message into it, under their owner. Returns how many. Allocates where that is
    /// out of a pointer's reach.
    fn take_copied(&mut self, octets: usize, names: &Names<'_>) -> Result<usize, Full> {
        let copied = self.at..self.at + octets;
        if names.owner_at < POINTER_REACH {
            self.at = copied.end;
            return Ok(self.set_owners(copied, names.owner_at));
        }
        let rrs = self.buffer[copied].to_vec();
        self.put_plain(&rrs, names)
    }

    /// Puts glue that is stored apart: whole, or as many leading RRs as fit and `Full`.
    pub(super) fn put_spilled_glue(&mut self, glue: &Spilled<'_>) -> Result<(), Full> {
        let room = self.buffer.get_mut(self.at..self.limit).ok_or(Full)?;
        let octets = glue.copy_leading_to(room);
        let (mut fits, mut count) = (0, 0);
        for rr in Rrs::new(&room[..octets]) {
            (fits, count) = (rr.rdata.end, count + 1);
        }
        self.at += fits;
        self.counts[Section::Additional as usize] += count;
        if fits == glue.image_octets() { Ok(()) } else { Err(Full) }
    }

    /// Puts glue: an image whose RRs have owners of their own. Whole, or as many leading RRs as fit and `Full`.
    pub(super) fn put_glue(&mut self, block: &RrsetBlock<'_>, names: &Names<'_>) -> Result<(), Full> {
        if self.at + block.image().len() > POINTER_REACH && self.limit > POINTER_REACH {
            return self.put_glue_in_full(block, names);
        }
        let mut fits = 0;
        let mut count = 0;
        for rr in block.rrs() {
            if self.at + rr.rdata.end > self.limit.min(POINTER_REACH) {
                break;
            }
            (fits, count) = (rr.rdata.end, count + 1);
        }
        let (start, end) = (self.at, self.at + fits);
        self.buffer[start..end].copy_from_slice(&block.image()[..fits]);
        for fixup in block.fixups().take_while(|fixup| fixup.at < fits) {
            let base = match fixup.base {
                Base::Image => start,
                Base::Owner => names.owner_at,
                Base::Apex if names.apex_in_full => names.apex_at,
                Base::Apex => {
                    self.point_into_apex(start + fixup.at, names.apex_at);
                    continue;
                }
            };
            add(&mut self.buffer[start..end], fixup.at, base);
        }
        self.at = end;
        self.counts[Section::Additional as usize] += count as u16;
        if count == block.rr_count() { Ok(()) } else { Err(Full) }
    }

    /// As [`Writer::put_glue`] where pointers may not reach: every owner in full.
    #[cold]
    fn put_glue_in_full(&mut self, block: &RrsetBlock<'_>, names: &Names<'_>) -> Result<(), Full> {
        let mut owner = Vec::new();
        for rr in block.rrs() {
            owner.clear();
            block.expand_owner(&rr, names.origin(), &mut owner);
            let start = self.at;
            if self.append(&owner).is_err() || self.append(&block.image()[rr.owner.end..rr.rdata.end]).is_err() {
                self.at = start;
                return Err(Full);
            }
            self.counts[Section::Additional as usize] += 1;
        }
        Ok(())
    }

    /// Puts one RR whose rdata are `labels` and then the name at `tail_at`: the CNAME that a DNAME makes.
    /// Returns where its rdata stands.
    pub(super) fn put_cname(
        &mut self,
        names: &Names<'_>,
        ttl: u32,
        labels: &[u8],
        tail_at: usize,
        tail: &[u8],
    ) -> Result<usize, Full> {
        let start = self.at;
        let put = |writer: &mut Self| {
            writer.put_owner(names)?;
            let [t, l] = [RecordType::CNAME.0.to_be_bytes(), CLASS_IN.to_be_bytes()];
            writer.append(&[t[0], t[1], l[0], l[1]])?;
            writer.append(&ttl.to_be_bytes())?;
            let length_at = writer.at;
            writer.append(&[0, 0])?;
            writer.append(labels)?;
            if tail_at < POINTER_REACH {
                writer.append(&(0xc000 | tail_at as u16).to_be_bytes())?;
            } else {
                writer.append(tail)?;
            }
            writer.set_length(length_at);
            Ok(length_at + 2)
        };
        match put(self) {
            Ok(rdata_at) => {
                self.counts[Section::Answer as usize] += 1;
                Ok(rdata_at)
            }
            Err(full) => {
                self.at = start;
                Err(full)
            }
        }
    }

    /// Where the answer's first RR of this type and owner (in lower case) stands. `scratch` is overwritten.
    pub(super) fn find_answer(&self, rtype: RecordType, owner: &[u8], scratch: &mut Folded) -> Option<usize> {
        let mut at = self.question_end;
        for _ in 0..self.counts[Section::Answer as usize] {
            let fixed_at = owner_end(self.buffer, at);
            let fixed = self.written().get(fixed_at..)?.first_chunk::<10>()?;
            if fixed[..2] == rtype.0.to_be_bytes() && scratch.read(self.written(), at) && scratch.lower() == owner {
                return Some(at);
            }
            at = fixed_at + 10 + usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
        }
        None
    }

    /// Lowers the TTL of the RRs in `rrs`, where they exceed it, to `ttl`.
    pub(super) fn cap_ttl(&mut self, rrs: Range<usize>, ttl: u32) {
        let written = &mut self.buffer[rrs];
        let mut at = 0;
        while let Some(fixed) = written.get_mut(owner_end(written, at)..).and_then(|rest| rest.first_chunk_mut::<10>())
        {
            let old = u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]);
            fixed[4..8].copy_from_slice(&old.min(ttl).to_be_bytes());
            let rdata_octets = usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
            at = owner_end(written, at) + 10 + rdata_octets;
        }
    }

    /// As [`Writer::finish`], for replies off the straight way; a call instead of a copy.
    #[cold]
    #[inline(never)]
    pub(super) fn finish_aside(&mut self, why: Option<&Why>) -> Finished {
        self.finish(why)
    }

    /// Writes the header and, if the client speaks EDNS, OPT.
    #[inline(always)]
    pub(super) fn finish(&mut self, why: Option<&Why>) -> Finished {
        let mut opt_at = 0;
        if let Some(edns) = self.edns {
            opt_at = self.at as u16;
            self.put_opt(edns);
            if self.options.is_some() || why.is_some() {
                self.put_options(usize::from(opt_at), why);
            }
        }
        let counts = self.counts;
        let question = u8::from(self.question_end > HEADER_OCTETS);
        let Some(header) = self.buffer.first_chunk_mut::<HEADER_OCTETS>() else {
            return Finished { octets: 0, opt_at: 0, depth: 0 };
        };
        // kept from the query: opcode and RD; "a security-aware name server SHOULD clear the CD bit when composing an
        // authoritative response" (RFC 4035 §3.1.6)
        header[2] = 0x80 | header[2] & 0x79 | u8::from(self.authoritative) << 2 | u8::from(self.truncated) << 1;
        header[3] = self.rcode.0 as u8 & 0x0f;
        header[4..6].copy_from_slice(&[0, question]);
        header[6..8].copy_from_slice(&counts[0].to_be_bytes());
        header[8..10].copy_from_slice(&counts[1].to_be_bytes());
        header[10..12].copy_from_slice(&counts[2].to_be_bytes());
        Finished { octets: self.at, opt_at, depth: self.depth }
    }

    #[inline(always)]
    fn put_opt(&mut self, edns: Edns) {
        let size = self.udp_octets_max.to_be_bytes();
        let dnssec_ok = if edns.dnssec_ok { 0x80 } else { 0 };
        let extended = (self.rcode.0 >> 4) as u8;
        let opt = [0, 0, 41, size[0], size[1], extended, 0, dnssec_ok, 0, 0, 0];
        self.buffer[self.at..self.at + OPT_OCTETS].copy_from_slice(&opt);
        self.at += OPT_OCTETS;
        self.counts[Section::Additional as usize] += 1;
    }

    /// Puts the options behind the OPT at `opt_at`: those gathered, whose room is reserved; why there is no answer, as
    /// far as there is room; and last the padding, which counts what stands before it.
    #[cold]
    fn put_options(&mut self, opt_at: usize, why: Option<&Why>) {
        let start = self.at;
        let mut padded = false;
        let reserved = self.options.as_ref().map_or(0, |options| options.reserved());
        let whole = (self.limit + OPT_OCTETS + reserved).min(self.buffer.len());
        if let Some(options) = self.options.take() {
            padded = options.padded;
            let octets = options.as_bytes();
            self.buffer[self.at..self.at + octets.len()].copy_from_slice(octets);
            self.at += octets.len();
        }
        if let Some(why) = why {
            let code = why.code.0.to_be_bytes();
            let words = match self.at + OPTION_HEAD_OCTETS + 2 + why.words().len() <= whole {
                true => why.words(),
                false => &[],
            };
            if self.at + OPTION_HEAD_OCTETS + 2 + words.len() <= whole {
                self.put_option_head(option::EXTENDED_ERROR, 2 + words.len());
                self.put_octets(&code);
                self.put_octets(words);
            }
        }
        if padded {
            let blocks = (self.at + OPTION_HEAD_OCTETS).next_multiple_of(PADDING_BLOCK_OCTETS).min(whole);
            if let Some(zeros) = blocks.checked_sub(self.at + OPTION_HEAD_OCTETS) {
                self.put_option_head(option::PADDING, zeros);
                self.buffer[self.at..self.at + zeros].fill(0);
                self.at += zeros;
            }
        }
        let octets = (self.at - start) as u16;
        self.buffer[opt_at + OPT_OCTETS - 2..opt_at + OPT_OCTETS].copy_from_slice(&octets.to_be_bytes());
    }

    fn put_option_head(&mut self, code: u16, octets: usize) {
        self.put_octets(&code.to_be_bytes());
        self.put_octets(&(octets as u16).to_be_bytes());
    }

    /// Puts octets for which there is room.
    fn put_octets(&mut self, octets: &[u8]) {
        self.buffer[self.at..self.at + octets.len()].copy_from_slice(octets);
        self.at += octets.len();
    }

    /// Makes the owner of all RRs in `rrs` a pointer to `owner_at`. Returns how many there are.
    fn set_owners(&mut self, rrs: Range<usize>, owner_at: usize) -> usize {
        let pointer = (0xc000 | owner_at as u16).to_be_bytes();
        let mut count = 0;
        let mut rest = &mut self.buffer[rrs];
        while let Some((fixed, behind)) = rest.split_first_chunk_mut::<12>() {
            fixed[..2].copy_from_slice(&pointer);
            count += 1;
            let rdata_octets = usize::from(u16::from_be_bytes([fixed[10], fixed[11]]));
            rest = behind.get_mut(rdata_octets..).unwrap_or_default();
        }
        count
    }

    /// For an apex that stands compressed in the message, as the tail of a CNAME's target may.
    #[cold]
    fn fix_up_by_walking(&mut self, block: &RrsetBlock<'_>, names: &Names<'_>, image: Range<usize>) -> Range<usize> {
        for fixup in block.fixups() {
            match fixup.base {
                Base::Image => add(&mut self.buffer[image.clone()], fixup.at, image.start),
                Base::Owner => add(&mut self.buffer[image.clone()], fixup.at, names.owner_at),
                Base::Apex => self.point_into_apex(image.start + fixup.at, names.apex_at),
            }
        }
        self.at = image.end;
        self.set_owners(image.clone(), names.owner_at);
        image
    }

    /// Makes the pointer at `at`, which holds an offset into the uncompressed apex, lead there in the message.
    fn point_into_apex(&mut self, at: usize, apex_at: usize) {
        let octets = pointer(self.buffer, at);
        let target = walk(self.buffer, apex_at, octets).unwrap_or(apex_at);
        self.buffer[at..at + 2].copy_from_slice(&(0xc000 | target as u16).to_be_bytes());
    }

    /// The slow writer: every name in full, the owner by pointer if it is in reach. The only place in this room that
    /// allocates; UDP replies never come here.
    #[cold]
    fn put_in_full(&mut self, block: &RrsetBlock<'_>, names: &Names<'_>) -> Result<Range<usize>, Full> {
        let start = self.at;
        let mut rdata = Vec::new();
        for rr in block.rrs() {
            rdata.clear();
            block.expand_rdata(&rr, names.origin(), &mut rdata);
            let put = |writer: &mut Self| {
                writer.put_owner(names)?;
                writer.append(&block.image()[rr.owner.end..rr.owner.end + 8])?;
                writer.append(&(rdata.len() as u16).to_be_bytes())?;
                writer.append(&rdata)
            };
            if put(self).is_err() {
                self.at = start;
                return Err(Full);
            }
        }
        Ok(start..self.at)
    }

    fn put_owner(&mut self, names: &Names<'_>) -> Result<(), Full> {
        if names.owner_at < POINTER_REACH {
            self.append(&(0xc000 | names.owner_at as u16).to_be_bytes())
        } else {
            self.append(names.owner)
        }
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let end = self.at + bytes.len();
        if end > self.limit {
            return Err(Full);
        }
        self.buffer[self.at..end].copy_from_slice(bytes);
        self.at = end;
        Ok(())
    }

    /// Writes the octets behind the RDLENGTH field at `length_at` into it.
    fn set_length(&mut self, length_at: usize) {
        let octets = (self.at - length_at - 2) as u16;
        self.buffer[length_at..length_at + 2].copy_from_slice(&octets.to_be_bytes());
    }
}

/// Where the name at `at` of `message` has its label that begins `octets` of its uncompressed form further on,
/// following pointers.
pub(super) fn walk(message: &[u8], mut at: usize, mut octets: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            high @ 0xc0.. => {
                let target = usize::from(u16::from_be_bytes([high & 0x3f, *message.get(at + 1)?]));
                if target >= at {
                    return None;
                }
                at = target;
            }
            _ if octets == 0 => return Some(at),
            len => {
                at += 1 + usize::from(len);
                octets = octets.checked_sub(1 + usize::from(len))?;
            }
        }
    }
}

/// Fills `labels` with the first octets of the uncompressed form of the name at `at` of `message`, following pointers.
/// They end where one of its labels does.
pub(super) fn copy_labels(message: &[u8], mut at: usize, mut labels: &mut [u8]) {
    while !labels.is_empty()
        && let Some(start) = walk(message, at, 0)
        && let Some(label) = message.get(start..).and_then(|rest| rest.get(..1 + usize::from(*rest.first()?)))
        && let Some((to, rest)) = std::mem::take(&mut labels).split_at_mut_checked(label.len())
    {
        to.copy_from_slice(label);
        (at, labels) = (start + label.len(), rest);
    }
}

/// Where the rdata of the RR at `at` of a message begins, which we wrote.
pub(super) fn rdata_of_first(message: &[u8], at: usize) -> usize {
    owner_end(message, at) + 10
}

/// Behind the owner at `at` of RRs that we wrote.
pub(super) fn owner_end(rrs: &[u8], mut at: usize) -> usize {
    while let Some(&len) = rrs.get(at) {
        match len {
            0 => return at + 1,
            0xc0.. => return at + 2,
            _ => at += 1 + usize::from(len),
        }
    }
    at
}

/// The offset in the pointer at `at`.
fn pointer(image: &[u8], at: usize) -> usize {
    usize::from(u16::from_be_bytes([image[at], image[at + 1]]) & 0x3fff)
}

/// Copies `from` over `to`, which is as long. Two addresses, the most that many names have, are not worth a call.
#[inline(always)]
fn copy_short(to: &mut [u8], from: &[u8]) {
    match (to.len() <= 32, from.first_chunk::<16>(), from.last_chunk::<16>()) {
        (true, Some(first), Some(last)) => {
            let last_at = to.len() - 16;
            to[..16].copy_from_slice(first);
            to[last_at..].copy_from_slice(last);
        }
        _ => copy_long(to, from),
    }
}

/// A call, which would otherwise be made for short ones too.
#[inline(never)]
fn copy_long(to: &mut [u8], from: &[u8]) {
    to.copy_from_slice(from);
}

/// Adds `base` to the pointer at `at`.
#[inline]
fn add(image: &mut [u8], at: usize, base: usize) {
    let field = &mut image[at..at + 2];
    let value = u16::from_be_bytes([field[0], field[1]]).wrapping_add(base as u16);
    field.copy_from_slice(&value.to_be_bytes());
}
