//! From a name in a zone to the sections of the reply: RFC 1034 §4.3.2 steps 3 to 6, over all zones we serve.

use std::ops::Range;

use super::additional;
use super::denial::{Absent, Chain, Proofs, is_signed};
use super::folded::{Enclosing, Folded, Known};
use super::lookup::{Found, locate};
use super::query::Query;
use super::why::Why;
use super::write::{Finished, Full, KEPT_NAME, Names, QNAME_AT, Section, Writer, copy_labels, rdata_of_first, walk};
use super::{CHAIN_LINKS_MAX, Client, chaos};
use crate::dns::RecordType;
use crate::dns::edns::ExtendedError;
use crate::dns::message::{CLASS_ANY, CLASS_CHAOS, CLASS_IN, Rcode};
use crate::dns::name::NAME_OCTETS_MAX;
use crate::served::{Slot, State, Transport, View};
use crate::zone::spill::Spilled;
use crate::zone::{Entry, RrsetBlock, Snapshot};

/// A reply while it is worked out.
pub(super) struct Reply<'v, 'b> {
    view: &'v View,
    client: &'v Client<'v>,
    query: &'v Query,
    pub(super) writer: Writer<'b>,
    pub(super) dnssec_ok: bool,
    transport: Transport,
    /// None as long as no proof was given or owed, so that most replies do not pay for it.
    pub(super) proofs: Option<Proofs>,
    /// A proof is missing, because it would have cost too much.
    pub(super) lacks_proof: bool,
}

/// A zone from which a part of the reply comes, with its one snapshot, and those visited before it. A chain that
/// returns to a zone finds the version it has seen there (BEHAVIOUR A8).
pub(super) struct Held<'h> {
    slot: &'h Slot,
    pub(super) snapshot: &'h Snapshot,
    before: Option<&'h Held<'h>>,
}

impl<'h> Held<'h> {
    /// Tells the zones of one reply apart.
    pub(super) fn id(&self) -> usize {
        std::ptr::from_ref(self.slot) as usize
    }

    /// This zone or the one visited before with this [`Held::id`].
    pub(super) fn find(&self, id: usize) -> Option<&Held<'h>> {
        let mut held = Some(self);
        while let Some(at) = held.filter(|held| held.id() != id) {
            held = at.before;
        }
        held
    }

    /// Labels of the apex.
    #[inline]
    pub(super) fn apex_depth(&self) -> usize {
        self.slot.labels()
    }

    pub(super) fn apex(&self) -> &'h [u8] {
        self.slot.name().as_wire()
    }
}

/// The name that is being looked up, and where it stands in the message.
#[derive(Clone, Copy)]
pub(super) struct Sought<'n> {
    pub(super) name: &'n Folded,
    pub(super) at: usize,
}

impl Sought<'_> {
    /// Where in the message the name's suffix of `depth` labels stands.
    #[inline]
    pub(super) fn suffix_at(&self, message: &[u8], depth: usize) -> usize {
        if self.at == QNAME_AT {
            return QNAME_AT + self.name.start(depth);
        }
        walk(message, self.at, self.name.start(depth)).unwrap_or(self.at)
    }
}

/// A chain so far: the hashes of the names it has been at, the question's first.
struct Links {
    count: usize,
    hashes: [u64; CHAIN_LINKS_MAX + 1],
}

impl Links {
    /// Adds a name; false if it has been there or the chain is long enough.
    fn add(&mut self, hash: u64) -> bool {
        if self.count == self.hashes.len() || self.hashes[..self.count].contains(&hash) {
            return false;
        }
        self.hashes[self.count] = hash;
        self.count += 1;
        true
    }
}

/// Whether a question about a zone is answered.
enum Answering {
    Yes,
    /// Only somebody who knows the client's key and the zone's rules can say.
    Ask,
    No(Rcode, Why),
}

/// How long the zone lives without being confirmed: of a zone that is edited here, which never expires, "the value of
/// the EXPIRE field of the SOA" (RFC 7314 §3.2.1), of others what is left (§3.2.2).
fn expire_secs(slot: &Slot, snapshot: &Snapshot, client: &Client<'_>) -> u32 {
    match slot.expires() {
        Some(at) => at.since(client.now).as_secs().min(u64::from(u32::MAX)) as u32,
        None => snapshot.soa().expire,
    }
}

/// Whether the zone, known to enclose `name`, is the one that answers for it. For DS it may be another.
#[inline(always)]
pub(super) fn is_innermost(view: &View, qtype: RecordType, zone: Enclosing, name: &Folded) -> bool {
    qtype != RecordType::DS && (zone.labels >= view.deepest() || !is_beyond(view, zone, name))
}

/// Whether a zone below this one encloses `name` too.
#[inline(never)]
fn is_beyond(view: &View, zone: Enclosing, name: &Folded) -> bool {
    view.enclosing_beyond(zone.labels, name.hashes(), name.labels(), |depth| name.suffix(depth)).is_some()
}

impl<'v, 'b> Reply<'v, 'b> {
    #[inline]
    pub(super) fn new(view: &'v View, client: &'v Client<'v>, query: &'v Query, writer: Writer<'b>) -> Reply<'v, 'b> {
        let dnssec_ok = query.edns.is_some_and(|edns| edns.dnssec_ok);
        Reply { view, client, query, writer, dnssec_ok, transport: client.transport, proofs: None, lacks_proof: false }
    }

    /// Works the reply out for the question's name, hashed. `None`: nothing is written, as only the caller of
    /// [`respond`](super::respond) can say whether this client is answered.
    #[inline(never)]
    pub(super) fn resolve(
        mut self,
        name: &mut Folded,
        known: &mut Known,
        enclosing: Option<Enclosing>,
    ) -> Option<Finished> {
        if self.query.qclass != CLASS_IN && self.query.qclass != CLASS_ANY {
            return Some(self.in_other_class(name));
        }
        let slot = match enclosing {
            Some(zone) if is_innermost(self.view, self.query.qtype, zone, name) => &self.view.slots()[zone.slot],
            _ => {
                if enclosing.is_some() {
                    // only from that zone's apex on was it hashed
                    name.hash(self.view.key());
                }
                let Some(index) = self.zone_of(name) else {
                    return Some(self.without_zone());
                };
                let slot = &self.view.slots()[index];
                known.keep(name, Enclosing { slot: index, labels: slot.labels() }, self.view);
                slot
            }
        };
        let guard = slot.load();
        let snapshot = match (slot.is_open(), guard.as_ref()) {
            (true, Some(snapshot)) => snapshot,
            (_, contents) => match self.may_go_on(slot, contents.is_some()) {
                Answering::Yes => contents?,
                Answering::Ask => return None,
                Answering::No(rcode, why) => return Some(self.fail(rcode, &why)),
            },
        };
        if let Some(options) = self.writer.options() {
            options.put_zone_version(slot.labels(), snapshot.serial().0);
            if self.query.qtype == RecordType::SOA && name.labels() == slot.labels() {
                options.put_expire(expire_secs(slot, snapshot, self.client));
            }
        }
        let found = locate(snapshot, name, slot.labels(), self.query.qtype);
        Some(self.conclude(slot, snapshot, name, found))
    }

    /// Works the reply out from what was found for the question's name in the zone that answers for it. `name` is
    /// overwritten.
    #[inline(never)]
    pub(super) fn conclude(
        &mut self,
        slot: &Slot,
        snapshot: &Snapshot,
        name: &mut Folded,
        found: Found<'_>,
    ) -> Finished {
        let held = Held { slot, snapshot, before: None };
        let result = match self.answer_found(&held, Sought { name, at: QNAME_AT }, found) {
            Ok(None) => self.settle(&held),
            Ok(Some(target_at)) => {
                let mut links = Links { count: 0, hashes: [0; CHAIN_LINKS_MAX + 1] };
                links.add(name.hash_at(name.labels()));
                // The target of a DNAME, or of a wildcard's CNAME, is another name with other labels.
                name.keep_hash(self.writer.depth.into());
                let followed = self.follow(&held, name, target_at, &mut links);
                self.writer.depth = KEPT_NAME;
                followed
            }
            Err(full) => Err(full),
        };
        if self.lacks_proof {
            return self.fail_without_proof();
        }
        match result {
            Ok(()) => {}
            // "set only when an RRset is required as a part of the response, but could not be included in its
            // entirety" (RFC 2181 §9)
            Err(Full) if self.transport == Transport::Udp => self.writer.set_truncated(),
            Err(Full) => {
                self.writer.clear();
                let why = Why::text(ExtendedError::OTHER, "no message can hold the answer");
                return self.fail(Rcode::SERVFAIL, &why);
            }
        }
        if self.query.qclass == CLASS_ANY {
            // "the response can never be authoritative" unless it covers all classes (RFC 1035 §6.2)
            self.writer.clear_authoritative();
        }
        self.writer.finish_aside(None)
    }

    #[cold]
    fn fail(&mut self, rcode: Rcode, why: &Why) -> Finished {
        self.writer.set_rcode(rcode);
        self.writer.clear_authoritative();
        // whatever was asked, the client gets the same no; to those who count replies they are alike
        self.writer.depth = 0;
        self.writer.finish_aside(Some(why))
    }

    #[cold]
    fn fail_without_proof(&mut self) -> Finished {
        self.writer.clear();
        let limit = self.client.nsec3_iterations_max;
        self.fail(Rcode::SERVFAIL, &Why::too_many_iterations(limit))
    }

    /// The zone's way to prove, unless it costs more than this client's questions may.
    pub(super) fn chain_of<'h>(&mut self, held: &Held<'h>) -> Option<Chain<'h>> {
        let chain = Chain::of(held)?;
        match chain {
            Chain::Nsec3(params) if params.iterations > self.client.nsec3_iterations_max => {
                self.lacks_proof = true;
                None
            }
            _ => Some(chain),
        }
    }

    /// The name is in no zone, as far as is known.
    #[cold]
    fn without_zone(mut self) -> Finished {
        match self.view.is_whole() {
            true => self.fail(Rcode::REFUSED, &Why::code(ExtendedError::NOT_AUTHORITATIVE)),
            false => self.fail(Rcode::SERVFAIL, &Why::loading()),
        }
    }

    /// CHAOS is about ourselves; no other class has a zone here.
    #[cold]
    fn in_other_class(mut self, name: &Folded) -> Finished {
        match self.query.qclass {
            CLASS_CHAOS => chaos::answer(self.client, self.query, name, self.writer),
            _ => self.fail(Rcode::REFUSED, &Why::code(ExtendedError::NOT_AUTHORITATIVE)),
        }
    }

    /// What becomes of a question about a zone that is not simply served to everybody.
    #[cold]
    fn may_go_on(&self, slot: &Slot, has_contents: bool) -> Answering {
        match slot.state() {
            State::Disabled => {
                return Answering::No(Rcode::REFUSED, Why::code(ExtendedError::NOT_AUTHORITATIVE));
            }
            _ if slot.is_restricted() => match self.client.judge {
                None => return Answering::Ask,
                // those who may not ask learn nothing about the zone's state either
                Some(judge) if !judge(slot) => {
                    return Answering::No(Rcode::REFUSED, Why::code(ExtendedError::PROHIBITED));
                }
                Some(_) => {}
            },
            _ => {}
        }
        match slot.state() {
            State::Served if has_contents => Answering::Yes,
            State::Expired => Answering::No(Rcode::SERVFAIL, Why::expired(slot)),
            State::Damaged => Answering::No(Rcode::SERVFAIL, Why::damaged()),
            _ if !self.view.is_whole() => Answering::No(Rcode::SERVFAIL, Why::loading()),
            State::Served | State::NotLoaded | State::Disabled => Answering::No(Rcode::SERVFAIL, Why::not_loaded(slot)),
        }
    }

    /// Where in the view the zone stands that answers for `name`: the one with the longest apex, but the parent's for DS
    /// (RFC 4035 §3.1.4.1) if that is ours too.
    #[cold]
    #[inline(never)]
    fn zone_of(&self, name: &Folded) -> Option<usize> {
        let index = self.view.enclosing(name.hashes(), name.labels(), |depth| name.suffix(depth))?;
        let labels = self.view.slots()[index].labels();
        if self.query.qtype == RecordType::DS && labels == name.labels() && labels > 0 {
            let parent = self.view.enclosing(name.hashes(), name.labels() - 1, |depth| name.suffix(depth));
            return parent.or(Some(index));
        }
        Some(index)
    }

    /// Goes on at the target of a CNAME, which stands at `target_at` in the message, as long as that leads somewhere
    /// we serve. `name` is overwritten.
    #[cold]
    fn follow(
        &mut self,
        held: &Held<'_>,
        name: &mut Folded,
        mut target_at: usize,
        links: &mut Links,
    ) -> Result<(), Full> {
        loop {
            if !name.read(self.writer.written(), target_at) {
                return self.settle(held);
            }
            name.hash(self.view.key());
            if !links.add(name.hash_at(name.labels())) {
                return self.settle(held);
            }
            let Some(index) = self.zone_of(name) else {
                return self.settle(held);
            };
            let slot = &self.view.slots()[index];
            if !std::ptr::eq(&**slot, held.slot) {
                return self.follow_into(slot, held, name, target_at, links);
            }
            match self.answer_next(held, Sought { name, at: target_at })? {
                Some(next) => target_at = next,
                None => return self.settle(held),
            }
        }
    }

    /// Goes on in another zone. Recursion is as deep as the chain changes zones, at most [`CHAIN_LINKS_MAX`].
    fn follow_into(
        &mut self,
        slot: &Slot,
        before: &Held<'_>,
        name: &mut Folded,
        target_at: usize,
        links: &mut Links,
    ) -> Result<(), Full> {
        let guard = slot.load();
        let seen = before.find(std::ptr::from_ref(slot) as usize).map(|held| held.snapshot);
        let may_see = || slot.is_open() || matches!(self.may_go_on(slot, true), Answering::Yes);
        let snapshot = match (seen, guard.as_ref()) {
            (Some(seen), _) => seen,
            (None, Some(snapshot)) if may_see() => snapshot,
            _ => return self.settle(before),
        };
        let held = Held { slot, snapshot, before: Some(before) };
        match self.answer_next(&held, Sought { name, at: target_at })? {
            Some(next) => self.follow(&held, name, next, links),
            None => self.settle(&held),
        }
    }

    /// Looks the next name of a chain up, and answers for it.
    #[cold]
    #[inline(never)]
    fn answer_next(&mut self, held: &Held<'_>, sought: Sought<'_>) -> Result<Option<usize>, Full> {
        let found = locate(held.snapshot, sought.name, held.apex_depth(), self.query.qtype);
        self.answer_found(held, sought, found)
    }

    /// Answers from a wildcard below the closest encloser, which has so many labels.
    #[inline(never)]
    fn answer_from_wildcard(
        &mut self,
        held: &Held<'_>,
        sought: Sought<'_>,
        entry: Entry<'_>,
        encloser: usize,
    ) -> Result<Option<usize>, Full> {
        self.writer.depth = encloser as u8;
        self.answer_at(held, sought, entry, Some(encloser))
    }

    /// Answers for one name from what was found for it in one zone. Returns where the target of a CNAME stands that is to
    /// be followed.
    #[inline]
    fn answer_found(&mut self, held: &Held<'_>, sought: Sought<'_>, found: Found<'_>) -> Result<Option<usize>, Full> {
        match found {
            Found::Name(entry) => self.answer_at(held, sought, entry, None),
            Found::Wildcard { entry, encloser } => self.answer_from_wildcard(held, sought, entry, encloser),
            Found::Nothing { encloser } => {
                self.writer.set_rcode(Rcode::NXDOMAIN);
                self.negative(held, sought, Absent::Name { encloser })
            }
            Found::Cut { entry, depth } => self.refer(held, sought, entry, depth),
            Found::Dname { entry, depth } => self.redirect(held, sought, entry, depth),
        }
    }

    /// Answers from `entry`: the name's own or, if `encloser` says how many labels its closest encloser has, that of the
    /// wildcard there.
    #[inline(always)]
    fn answer_at(
        &mut self,
        held: &Held<'_>,
        sought: Sought<'_>,
        entry: Entry<'_>,
        encloser: Option<usize>,
    ) -> Result<Option<usize>, Full> {
        let qtype = self.query.qtype;
        if qtype == RecordType::ANY || qtype == RecordType::RRSIG {
            return self.answer_many(held, sought, entry, encloser);
        }
        if let Some(block) = entry.rrset(qtype).filter(|block| block.rr_count() > 0) {
            self.writer.set_authoritative();
            if qtype == RecordType::DNAME && self.is_answered(sought.name) {
                return Ok(None);
            }
            let ready = match sought.at {
                QNAME_AT => self.writer.put_as_stored(&block, self.dnssec_ok),
                _ => None,
            };
            let rrs = match ready {
                Some(rrs) => rrs,
                None => self.put(Section::Answer, held, entry, &block, &self.names_at(held, sought, entry))?,
            };
            self.owe_if_wildcard(held, sought, encloser);
            if self.proofs.is_some() {
                self.settle(held)?;
            }
            if let Some(offset) = additional::target_offset(qtype) {
                // the servers of a zone may live below its own cuts: a resolver that primes wants them (RFC 8109 §3)
                let with_glue = qtype == RecordType::NS;
                additional::add_addresses(self, held, rrs, offset, None, with_glue);
            }
            return Ok(None);
        }
        // NSEC stands beside a CNAME (RFC 4035 §2.5), so an alias is no answer to it: BIND and Knot think so too
        if qtype != RecordType::NSEC
            && let Some(block) = entry.rrset(RecordType::CNAME).filter(|block| block.rr_count() > 0)
        {
            self.writer.set_authoritative();
            let rrs = self.put(Section::Answer, held, entry, &block, &self.names_at(held, sought, entry))?;
            self.owe_if_wildcard(held, sought, encloser);
            return Ok(Some(rdata_of_first(self.writer.written(), rrs.start)));
        }
        self.no_type(held, sought, encloser)
    }

    #[inline]
    fn owe_if_wildcard(&mut self, held: &Held<'_>, sought: Sought<'_>, encloser: Option<usize>) {
        if let Some(encloser) = encloser
            && self.dnssec_ok
        {
            self.owe(held, sought, encloser);
        }
    }

    /// The name, or the wildcard that stands for it, has no such type.
    fn no_type(&mut self, held: &Held<'_>, sought: Sought<'_>, encloser: Option<usize>) -> Result<Option<usize>, Full> {
        let absent = encloser.map_or(Absent::Type, |encloser| Absent::TypeAtWildcard { encloser });
        self.negative(held, sought, absent)
    }

    /// Whether a chain has brought the DNAME of `name` already, which is now asked for.
    #[cold]
    fn is_answered(&self, name: &Folded) -> bool {
        self.writer.find_answer(RecordType::DNAME, name.lower(), &mut Folded::new()).is_some()
    }

    /// ANY and RRSIG: over UDP the first RRset that fits, over TCP all that do ("a single RRset (or a larger subset of
    /// available RRsets)", RFC 8482 §4.1, for RRSIG §7).
    #[cold]
    fn answer_many(
        &mut self,
        held: &Held<'_>,
        sought: Sought<'_>,
        entry: Entry<'_>,
        encloser: Option<usize>,
    ) -> Result<Option<usize>, Full> {
        let names = self.names_at(held, sought, entry);
        let only_signatures = self.query.qtype == RecordType::RRSIG;
        // everything is everything: without DO RRSIGs are "any other RRset" (RFC 4035 §3)
        let signatures = self.dnssec_ok || self.transport.is_stream();
        let exists = |block: &RrsetBlock<'_>| match only_signatures {
            true => block.signature_octets() > 0,
            // signatures may be left over where nothing is that they sign
            false => block.rr_count() > 0 || block.signature_octets() > 0,
        };
        if !entry.rrsets().any(|block| exists(&block)) {
            return self.no_type(held, sought, encloser);
        }
        self.owe_if_wildcard(held, sought, encloser);
        self.writer.set_authoritative();
        let mut outcome = Err(Full);
        for block in entry.rrsets().filter(exists) {
            let put = match only_signatures {
                true => self.put_only_signatures(held, entry, &block, &names),
                false => {
                    let signatures = signatures || block.rr_count() == 0;
                    self.put_rrset(Section::Answer, held, entry, &block, &names, signatures).map(|_| ())
                }
            };
            outcome = outcome.or(put);
            if outcome.is_ok() && !self.transport.is_stream() {
                break;
            }
        }
        outcome.map(|()| None)
    }

    /// No such name, or no such type there: the SOA, for as long as both its TTL and its MINIMUM allow
    /// (RFC 2308 §3, §5), and with DO the proof.
    #[inline(never)]
    fn negative(&mut self, held: &Held<'_>, sought: Sought<'_>, absent: Absent) -> Result<Option<usize>, Full> {
        self.writer.set_authoritative();
        self.writer.depth = held.apex_depth() as u8;
        let entry = held.snapshot.apex_entry();
        let Some(block) = entry.rrset(RecordType::SOA) else {
            return Ok(None);
        };
        let names = self.names(held, sought, entry, held.apex_depth());
        let start = self.writer.written().len();
        self.put(Section::Authority, held, entry, &block, &names)?;
        let end = self.writer.written().len();
        self.writer.cap_ttl(start..end, held.snapshot.soa().minimum);
        if self.dnssec_ok {
            self.prove(held, sought, absent)?;
        }
        Ok(None)
    }

    /// A delegation: NS; with DO the DS or the proof that there is none (RFC 4035 §3.1.4); addresses (RFC 1034 §4.3.2
    /// step 3b, RFC 9471).
    #[inline(never)]
    fn refer(
        &mut self,
        held: &Held<'_>,
        sought: Sought<'_>,
        entry: Entry<'_>,
        depth: usize,
    ) -> Result<Option<usize>, Full> {
        self.writer.depth = depth as u8;
        let names = self.names(held, sought, entry, depth);
        let Some(ns) = entry.rrset(RecordType::NS) else {
            return Ok(None);
        };
        // the NS of a cut are the child's, so nobody has signed them here
        let rrs = self.put_rrset(Section::Authority, held, entry, &ns, &names, false)?;
        if self.dnssec_ok && is_signed(held.snapshot) {
            match entry.rrset(RecordType::DS).filter(|ds| ds.rr_count() > 0) {
                Some(ds) => _ = self.put(Section::Authority, held, entry, &ds, &names)?,
                None => self.prove_insecure(held, sought, depth)?,
            }
        }
        self.settle(held)?;
        // "it MUST include all available glue records for in-domain name servers in the additional section, or MUST
        // set TC=1 if constrained by message size" (RFC 9471 §2.1)
        if let Some(glue) = entry.glue() {
            let put = match glue.is_spilled() {
                true => self.apart(held, entry, &glue, 0).and_then(|glue| self.writer.put_spilled_glue(&glue)),
                false => self.writer.put_glue(&glue, &names),
            };
            if let Err(Full) = put {
                self.writer.set_truncated();
                return Ok(None);
            }
        }
        let cut = additional::Cut { depth, owner: names.owner };
        additional::add_addresses(self, held, rrs, 0, Some(cut), true);
        Ok(None)
    }

    /// A DNAME above the name: the DNAME itself and the CNAME it makes (RFC 6672 §3.2).
    #[inline(never)]
    fn redirect(
        &mut self,
        held: &Held<'_>,
        sought: Sought<'_>,
        entry: Entry<'_>,
        depth: usize,
    ) -> Result<Option<usize>, Full> {
        let names = self.names(held, sought, entry, depth);
        let Some(block) = entry.rrset(RecordType::DNAME) else {
            return Ok(None);
        };
        self.writer.set_authoritative();
        self.writer.depth = depth as u8;
        let mut target = Folded::new();
        // A chain may pass the same DNAME again; its RRset stands in the answer once (RFC 2181 §5).
        let at = match self.writer.find_answer(RecordType::DNAME, names.owner, &mut target) {
            Some(at) => at,
            None => self.put(Section::Answer, held, entry, &block, &names)?.start,
        };
        let target_at = rdata_of_first(self.writer.written(), at);
        if !target.read(self.writer.written(), target_at) {
            return Ok(None);
        }
        let kept = sought.name.start(depth);
        // "If the QNAME substitution yields a name of more than 255 octets, YXDOMAIN" (RFC 6672 §2.2)
        if kept + target.len() > NAME_OCTETS_MAX {
            self.writer.set_rcode(Rcode::YXDOMAIN);
            return Ok(None);
        }
        let mut labels = [0; NAME_OCTETS_MAX];
        // in the spelling of the name that is replaced, be it the question's or a CNAME's before
        copy_labels(self.writer.written(), sought.at, &mut labels[..kept]);
        let ttl = block.ttl().unwrap_or(0);
        let owner = Names { owner_at: sought.at, owner: sought.name.lower(), ..names };
        let rdata_at = self.writer.put_cname(&owner, ttl, &labels[..kept], target_at, target.lower())?;
        // A DNAME into itself leads to ever longer names and never anywhere else.
        let is_endless = target.labels() >= depth && target.suffix(depth) == names.owner;
        match self.query.qtype {
            RecordType::CNAME | RecordType::ANY => Ok(None),
            _ if is_endless => Ok(None),
            _ => Ok(Some(rdata_at)),
        }
    }

    /// Puts an RRset, with DO its signatures too, wherever it is stored. Returns where its RRs stand.
    #[inline(never)]
    pub(super) fn put(
        &mut self,
        section: Section,
        held: &Held<'_>,
        entry: Entry<'_>,
        block: &RrsetBlock<'_>,
        names: &Names<'_>,
    ) -> Result<Range<usize>, Full> {
        self.put_rrset(section, held, entry, block, names, self.dnssec_ok)
    }

    /// One function, so that all that puts RRs which are stored in place becomes a part of it.
    #[inline(never)]
    fn put_rrset(
        &mut self,
        section: Section,
        held: &Held<'_>,
        entry: Entry<'_>,
        block: &RrsetBlock<'_>,
        names: &Names<'_>,
        signatures: bool,
    ) -> Result<Range<usize>, Full> {
        if !block.is_spilled() {
            return self.writer.put(section, block, signatures, names);
        }
        self.put_apart(section, held, entry, block, names, signatures)
    }

    #[cold]
    #[inline(never)]
    fn put_apart(
        &mut self,
        section: Section,
        held: &Held<'_>,
        entry: Entry<'_>,
        block: &RrsetBlock<'_>,
        names: &Names<'_>,
        signatures: bool,
    ) -> Result<Range<usize>, Full> {
        let octets = block.image_octets() + if signatures { block.signature_octets() } else { 0 };
        let apart = self.apart(held, entry, block, octets)?;
        self.writer.put_spilled(section, &apart, signatures, names)
    }

    fn put_only_signatures(
        &mut self,
        held: &Held<'_>,
        entry: Entry<'_>,
        block: &RrsetBlock<'_>,
        names: &Names<'_>,
    ) -> Result<(), Full> {
        if !block.is_spilled() {
            return self.writer.put_only_signatures(Section::Answer, block, names);
        }
        let apart = self.apart(held, entry, block, block.signature_octets())?;
        self.writer.put_spilled_signatures(Section::Answer, &apart, names)
    }

    /// An RRset that is stored apart, of which `octets` are to fit: nothing is looked for in vain.
    #[cold]
    fn apart<'h>(
        &self,
        held: &Held<'h>,
        entry: Entry<'_>,
        block: &RrsetBlock<'_>,
        octets: usize,
    ) -> Result<Spilled<'h>, Full> {
        if octets > self.writer.room() {
            return Err(Full);
        }
        held.snapshot.spilled(entry, block).ok_or(Full)
    }

    /// The names on which images of `entry` lean when its owner is the suffix of `depth` labels of the sought name.
    fn names<'n>(&self, held: &Held<'n>, sought: Sought<'n>, entry: Entry<'n>, depth: usize) -> Names<'n> {
        let message = self.writer.written();
        Names {
            owner_at: sought.suffix_at(message, depth),
            owner: sought.name.suffix(depth),
            apex_at: sought.suffix_at(message, held.apex_depth()),
            apex_in_full: sought.at == QNAME_AT,
            apex: held.apex(),
            entry,
        }
    }

    /// The names on which images of `entry` lean when its owner is the sought name.
    #[inline]
    fn names_at<'n>(&self, held: &Held<'n>, sought: Sought<'n>, entry: Entry<'n>) -> Names<'n> {
        let in_question = sought.at == QNAME_AT;
        Names {
            owner_at: if in_question {
                QNAME_AT
            } else {
                sought.suffix_at(self.writer.written(), sought.name.labels())
            },
            owner: sought.name.lower(),
            apex_at: sought.suffix_at(self.writer.written(), held.apex_depth()),
            apex_in_full: in_question,
            apex: held.apex(),
            entry,
        }
    }
}
