//! A version and difference sequences -> the next version.
//!
//! In: the served snapshot and the sequences of one IXFR answer (or of an edit, a journal). Out: a snapshot which is octet
//! for octet what [`super::Builder`] would make of the new contents, or an error upon which the caller fetches the
//! whole zone (RFC 1995 §4). Called by `control::commit` and `store` (replay). Touches only the pages of changed owners,
//! of names that appear or vanish above them, and of delegations whose glue changes.

use std::sync::Arc;

use super::builder::{Findings, below_apex, require_one_soa};
use super::diff::Diff;
use super::directory::{Edit, Pager, edit_in_threads};
use super::encode::{Address, Encoder, Item, Owner, level};
use super::entry::Entry;
use super::page::{self, Kind, MISSES_AT_ONCE, Page};
use super::snapshot::Snapshot;
use super::spill::{self, Spills};
use super::work::{Place, Work, Works};
use crate::dns::name::write_presentation;
use crate::dns::{Name, RecordRef, RecordType, Serial};
use crate::reason::{Code, Reason};
use crate::threads;

/// Why sequences cannot be applied; nothing has happened then. All but `Refused` lead to a full transfer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// A sequence does not start where the last one ended.
    #[error("difference starts at serial {starts}, ours is {ours}")]
    Gap {
        /// Serial before the sequence.
        ours: Serial,
        /// Serial the sequence starts from.
        starts: Serial,
    },
    /// The sequences are of another zone.
    #[error("differences of another zone: {0}")]
    WrongZone(Name),
    /// A record to be removed is not there.
    #[error("difference removes {0}, which is absent")]
    Absent(String),
    /// A record to be added is there already.
    #[error("difference adds {0}, which is present")]
    Present(String),
    /// The RRset had TTLs or spellings that were levelled, so it is not known what the primary has.
    #[error("difference touches {0}, which came with differing TTLs or spellings")]
    Mixed(String),
    /// The result is not a zone we hold: a limit, a SOA, a type.
    #[error("{0}")]
    Refused(Reason),
}

impl From<Reason> for ApplyError {
    fn from(reason: Reason) -> ApplyError {
        ApplyError::Refused(reason)
    }
}

impl From<ApplyError> for Reason {
    fn from(error: ApplyError) -> Reason {
        let code = match error {
            ApplyError::Gap { .. } => Code::IxfrGap,
            ApplyError::WrongZone(_) => Code::WrongZone,
            ApplyError::Absent(_) | ApplyError::Present(_) | ApplyError::Mixed(_) => Code::IxfrInapplicable,
            ApplyError::Refused(reason) => return reason,
        };
        Reason::new(code, error.to_string())
    }
}

/// Applies `diffs` in order, all or nothing; untouched pages stay shared. O(changes x log owners), besides one rewrite of each
/// touched page and the decoding of each touched owner. The apex SOA is then the last sequence's new SOA.
pub fn apply(base: &Snapshot, diffs: &[Diff]) -> Result<(Snapshot, Findings), ApplyError> {
    apply_as(base, diffs, Trust::Strict)
}

/// As [`apply`], but what removes absent records or adds present ones is passed over and counted
/// ([`Findings::passed_over`]). The SOAs must fit all the same. The result differs from `base` by something else than
/// `diffs`: store [`super::between()`] of the two.
pub fn apply_leniently(base: &Snapshot, diffs: &[Diff]) -> Result<(Snapshot, Findings), ApplyError> {
    apply_as(base, diffs, Trust::Lenient)
}

/// As [`apply`], for differences that say exactly what changed of the versions as they are here: those of [`super::between()`],
/// turned around or not. They may touch RRsets that were levelled.
pub fn apply_own(base: &Snapshot, diffs: &[Diff]) -> Result<(Snapshot, Findings), ApplyError> {
    apply_as(base, diffs, Trust::Own)
}

fn apply_as(base: &Snapshot, diffs: &[Diff], trust: Trust) -> Result<(Snapshot, Findings), ApplyError> {
    let octets: usize = diffs.iter().map(|diff| diff.as_bytes().len()).sum();
    let works = Works::new(base, (octets / RECORD_OCTETS).min(OWNERS_AT_FIRST));
    let mut bench = Bench { base, works, trust, findings: Findings::default() };
    let mut serial = base.serial();
    for diff in diffs {
        if diff.old_soa().owner != base.apex().as_wire() {
            return Err(ApplyError::WrongZone(diff.apex()));
        }
        if diff.from_serial() != serial {
            return Err(ApplyError::Gap { ours: serial, starts: diff.from_serial() });
        }
        serial = diff.to_serial();
        bench.take(diff)?;
    }
    bench.settle_names();
    bench.touch_delegations();
    bench.finish()
}

/// What is known of differences beside what they say.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// They come from a primary, and lead from what it has to what it will have.
    Strict,
    /// The same, but what does not fit is passed over.
    Lenient,
    /// They were made of versions as they are here.
    Own,
}

impl Trust {
    fn judge(self, outcome: Result<(), ApplyError>, findings: &mut Findings) -> Result<(), ApplyError> {
        match (self, outcome) {
            (Trust::Lenient, Err(ApplyError::Absent(_) | ApplyError::Present(_))) => {
                findings.passed_over += 1;
                Ok(())
            }
            (_, outcome) => outcome,
        }
    }
}

/// One record of a difference.
struct Step<'a> {
    place: Place<'a>,
    record: RecordRef<'a>,
    is_addition: bool,
}

/// About so long is a record of a difference.
const RECORD_OCTETS: usize = 48;
/// Room is made for so many owners before the first is seen, at most.
const OWNERS_AT_FIRST: usize = 16_384;

/// From so many changed owners on their pages are worth the start of threads.
const MANY_OWNERS: usize = 1_000;

/// The version that is changed, and the owners being worked on.
struct Bench<'a> {
    base: &'a Snapshot,
    works: Works<'a>,
    trust: Trust,
    findings: Findings,
}

impl<'a> Bench<'a> {
    fn place<'n>(&self, relative: &'n [u8]) -> Place<'n> {
        (self.base.key().below(self.base.apex_hash(), relative), relative)
    }

    /// Makes the changes of one difference.
    fn take(&mut self, diff: &'a Diff) -> Result<(), ApplyError> {
        let deleted = std::iter::once(diff.old_soa()).chain(diff.deleted()).map(|record| (record, false));
        let added = std::iter::once(diff.new_soa()).chain(diff.added()).map(|record| (record, true));
        let mut steps = Vec::with_capacity(MISSES_AT_ONCE);
        for (record, is_addition) in deleted.chain(added) {
            let Some(relative) = below_apex(record.owner, self.base.apex().as_wire()) else {
                self.findings.out_of_zone += 1;
                self.findings.out_of_zone_example.get_or_insert_with(|| record.to_record().owner);
                continue;
            };
            steps.push(Step { place: self.place(relative), record, is_addition });
            if steps.len() == MISSES_AT_ONCE {
                self.make_all(&mut steps)?;
            }
        }
        self.make_all(&mut steps)
    }

    fn make_all(&mut self, steps: &mut Vec<Step<'a>>) -> Result<(), ApplyError> {
        let placed = |step: &Step<'_>| self.base.page(step.place.0).map(|page| (page, step.place.0));
        let pages: Vec<(&Page, u64)> = steps.iter().filter_map(placed).collect();
        page::look_ahead(pages.iter().copied());
        for step in steps.drain(..) {
            let outcome = self.make(&step);
            match step.record.rtype {
                // both SOAs must fit, whatever else does not
                RecordType::SOA => outcome?,
                _ => self.trust.judge(outcome, &mut self.findings)?,
            }
        }
        Ok(())
    }

    fn make(&mut self, step: &Step<'a>) -> Result<(), ApplyError> {
        let Step { place, record, is_addition } = *step;
        let item = Item::new(record.rtype, record.ttl, record.rdata)?;
        let work = self.works.at(place);
        work.open(self.base, item.block);
        if self.trust != Trust::Own && work.items().iter().any(|held| held.mixed && held.block == item.block) {
            return Err(ApplyError::Mixed(show(record)));
        }
        work.addresses_changed |= matches!(record.rtype, RecordType::A | RecordType::AAAA);
        let found = work.items().binary_search_by(|held| held.identity().cmp(&item.identity()));
        match (found, is_addition) {
            (Ok(_), true) => return Err(ApplyError::Present(show(record))),
            (Err(_), false) => return Err(ApplyError::Absent(show(record))),
            (Ok(at), false) => drop(work.items_mut().remove(at)),
            (Err(at), true) => work.items_mut().insert(at, item),
        }
        Ok(())
    }

    /// Lets names appear and vanish, with the empty non-terminals above them.
    fn settle_names(&mut self) {
        let moved = |work: &Work<'a>| (work.present == work.is_bare()).then_some((work.place, !work.present));
        let moved: Vec<(Place<'a>, bool)> = self.works.iter().filter_map(moved).collect();
        for (place, _) in moved.iter().filter(|(_, appears)| *appears) {
            self.ensure(*place);
        }
        for (place, _) in moved {
            self.prune(place);
        }
    }

    fn ensure(&mut self, place: Place<'a>) {
        let work = self.works.at(place);
        if std::mem::replace(&mut work.present, true) {
            return;
        }
        let (label, parent) = split(place.1);
        let parent = self.place(parent);
        self.ensure(parent);
        let parent = self.works.at(parent);
        parent.kids += 1;
        parent.has_wildcard |= label == b"*";
    }

    fn prune(&mut self, place: Place<'a>) {
        let work = self.works.at(place);
        if place.1.is_empty() || !work.present || work.kids > 0 || !work.is_bare() {
            return;
        }
        work.present = false;
        let (label, parent) = split(place.1);
        let parent = self.place(parent);
        let work = self.works.at(parent);
        work.kids -= 1;
        work.has_wildcard &= label != b"*";
        self.prune(parent);
    }

    /// Takes out the delegations at or above names whose addresses changed: these may be glue.
    fn touch_delegations(&mut self) {
        for work in self.works.iter_mut().filter(|work| work.addresses_changed) {
            work.glue_changed = work.base.is_some_and(|entry| entry.is_cut());
        }
        let changed: Vec<&[u8]> =
            self.works.iter().filter(|work| work.addresses_changed).map(|work| work.place.1).collect();
        for mut name in changed.into_iter().filter(|name| !name.is_empty()) {
            loop {
                name = split(name).1;
                if name.is_empty() {
                    break;
                }
                let place = self.place(name);
                if self.base.lookup(place.0, name).is_some_and(|entry| entry.is_cut()) {
                    self.works.at(place).glue_changed = true;
                }
            }
        }
    }

    fn finish(mut self) -> Result<(Snapshot, Findings), ApplyError> {
        let base = self.base;
        for work in self.works.iter_mut() {
            work.settle(base);
            level(work.items_mut());
        }
        if let Some(apex) = self.works.get(self.place(&[])) {
            require_one_soa(apex.items())?;
        }
        let mut encoder = Encoder::new(base.apex().as_wire(), *base.key());
        let mut tally = base.tally().clone();
        let (mut entries, mut changed) = (Vec::new(), Vec::new());
        let mut chunks = Chunks::default();
        let mut made = Vec::new();
        for work in self.works.in_order() {
            let start = entries.len();
            if work.present {
                let (hash, relative) = work.place;
                let owner = Owner { relative, hash, kids: work.kids, has_wildcard: work.has_wildcard };
                let mut addresses = |target: &[u8], out: &mut Vec<Address>| self.addresses(target, out);
                encoder.entry(owner, work.items(), work.kept(), &mut addresses, &mut entries, &mut made)?;
            }
            if let Some(entry) = work.base {
                tally.remove(entry);
                chunks.remove(base, work.place.0, entry);
            }
            if work.present {
                tally.add(Entry::new(&entries[start..]));
                chunks.made.append(&mut made);
            }
            if work.present || work.base.is_some() {
                changed.push((work.place, work.base, work.present.then_some(start..entries.len())));
            }
        }
        let edits: Vec<Edit<'_>> = changed
            .iter()
            .map(|(place, _, entry)| Edit { hash: place.0, name: place.1, entry: entry.clone().map(|e| &entries[e]) })
            .collect();
        let pager = || Pager::new(Kind::Names, *base.key(), base.apex_hash(), Some(base.names()));
        let threads = if edits.len() < MANY_OWNERS { 1 } else { threads::for_large_work() };
        let names = edit_in_threads(threads, pager, base.names(), &edits)?;
        let spills = chunks.into_spills(base.spills())?;
        let changes: Vec<_> =
            changed.iter().map(|(_, old, new)| (*old, new.clone().map(|new| Entry::new(&entries[new])))).collect();
        let earlier = Some((base, &changes[..]));
        let snapshot = Snapshot::assemble(base.apex().clone(), *base.key(), names, spills, tally, earlier)
            .map_err(|damage| Reason::new(Code::ContentSoa, damage.0))?;
        Ok((snapshot, self.findings))
    }

    /// Addresses at a name as they are after the change.
    fn addresses(&self, target: &[u8], out: &mut Vec<Address>) {
        let place = self.place(target);
        let is_address =
            |item: &&Item<'_>| !item.is_signature && matches!(item.block, RecordType::A | RecordType::AAAA);
        let mut push = |items: &[Item<'_>]| {
            out.extend(items.iter().filter(is_address).filter_map(|i| Address::new(i.block, i.ttl, &i.rdata)));
        };
        let work = self.works.get(place);
        push(work.map_or(&[], |work| work.items()));
        let entry = work.map_or_else(|| self.base.lookup(place.0, target), |work| work.base);
        let Some(entry) = entry else { return };
        let is_kept = |rtype: &RecordType| work.is_none_or(|work| !work.is_open(*rtype));
        for rtype in [RecordType::A, RecordType::AAAA].into_iter().filter(is_kept) {
            if let Some(block) = entry.rrset(rtype) {
                push(&self.base.block_items(entry, block));
            }
        }
    }
}

/// Chunks of spilled blocks which go and come.
#[derive(Default)]
struct Chunks {
    removed: Vec<u64>,
    made: Vec<Page>,
}

impl Chunks {
    fn remove(&mut self, base: &Snapshot, hash: u64, entry: Entry<'_>) {
        if !entry.has_spilled() {
            return;
        }
        for block in entry.blocks().filter(|block| block.is_spilled()) {
            let count = spill::chunk_count(block.image_octets() + block.signature_octets());
            let id = |n| spill::chunk_id(base.key(), hash, entry.name(), block.rtype(), n);
            self.removed.extend((0..count).map(id));
        }
    }

    fn into_spills(self, base: &Spills) -> Result<Spills, Reason> {
        let stays = |page: &Page| base.get(&page.prefix()) == Some(page) && self.removed.contains(&page.prefix());
        if self.removed.len() == self.made.len() && self.made.iter().all(stays) {
            return Ok(base.clone());
        }
        let mut spills = (**base).clone();
        self.removed.iter().for_each(|id| drop(spills.remove(id)));
        for page in self.made {
            let page = base.get(&page.prefix()).filter(|old| **old == page).cloned().unwrap_or(page);
            if spills.insert(page.prefix(), page).is_some() {
                return Err(Reason::new(Code::ContentCollision, "two large RRsets have the same hash"));
            }
        }
        Ok(Arc::new(spills))
    }
}

/// First label, and the name without it.
fn split(relative: &[u8]) -> (&[u8], &[u8]) {
    relative[1..].split_at(relative[0] as usize)
}

fn show(record: RecordRef<'_>) -> String {
    let mut text = String::new();
    let _ = write_presentation(record.owner, &mut text);
    format!("{text} {}", record.rtype)
}

#[cfg(test)]
mod tests {
    use super::super::text::{build_records, diff, lines, records, soa_line, zone};
    use super::*;

    fn refusal(base: &str, deleted: &str, added: &str) -> Code {
        Reason::from(apply(&zone(base), &[diff((1, 2), deleted, added)]).expect_err("refused")).code
    }

    #[test]
    fn removing_what_is_absent_and_adding_what_is_present_is_refused() {
        assert_eq!(refusal("a A 192.0.2.1", "a A 192.0.2.2", ""), Code::IxfrInapplicable);
        assert_eq!(refusal("a A 192.0.2.1", "b A 192.0.2.1", ""), Code::IxfrInapplicable);
        assert_eq!(refusal("a A 192.0.2.1", "", "a A 192.0.2.1"), Code::IxfrInapplicable);
        assert_eq!(refusal("a A 192.0.2.1", "", "a 60 A 192.0.2.1"), Code::IxfrInapplicable);
    }

    /// I4: 'option "benevolent"'.
    #[test]
    fn leniently_what_does_not_fit_is_passed_over_and_counted() {
        let base = zone("a A 192.0.2.1");
        let misfit = diff((1, 2), "b A 192.0.2.1", "a A 192.0.2.1\nc A 192.0.2.3");
        let (next, findings) = apply_leniently(&base, std::slice::from_ref(&misfit)).expect("applicable");
        assert_eq!((next.serial(), next.owner_count(), findings.passed_over), (Serial(2), 3, 2));
        let (same, _) = apply(&base, &[crate::zone::between(&base, &next)]).expect("the true difference applies");
        assert_eq!(same.record_count(), next.record_count());
        assert!(apply_leniently(&base, &[diff((3, 4), "", "")]).is_err(), "another history all the same");
    }

    /// Contents with all that names can owe to others: parents that exist for their children, wildcards, glue from below and
    /// beside, RRsets that are kept apart, several types.
    fn of_every_kind(numbers: impl Iterator<Item = usize>, version: usize) -> String {
        let mut text = String::new();
        for n in numbers {
            let changing = n + version * usize::from(n % 4 == 0);
            text += &match n % 6 {
                0 => format!("h{n} A 192.0.2.{}\n", changing % 250),
                1 => format!("x.y.ent{} AAAA 2001:db8::{changing:x}\n", n / 60),
                2 => format!("*.wild{n} TXT \"{changing}\"\n"),
                3 => format!("cut{n} NS ns.cut{n}\ncut{n} NS ns.h{n}\nns.cut{n} A 192.0.2.{}\n", changing % 250),
                4 => format!("cut{n}.deep NS a.ns.cut{n}.deep\na.ns.cut{n}.deep AAAA 2001:db8::{changing:x}\n"),
                _ => format!("m{n} 60 A 192.0.2.1\nm{n} 60 MX {} mail.h{n}\n", changing % 100),
            };
            if n % 500 == 0 {
                (0..100).for_each(|line| text += &format!("large{n} TXT \"{line:60} {changing}\"\n"));
            }
        }
        text
    }

    /// Many changed owners are put on their pages by several threads.
    #[test]
    fn a_large_difference_too_leads_to_what_would_be_built() {
        let whole = |serial, contents: String| {
            let text = format!("{}@ NS ns.hoster.net.\n{contents}", soa_line(serial));
            build_records(&records(&text)).expect("a zone").0
        };
        let old = whole(1, of_every_kind((0..9_000).filter(|n| n % 10 != 3 && n % 7 != 0), 0));
        let is_left = |n: &usize| n % 9 != 4 && !(3_000..4_000).contains(n);
        let new = whole(2, of_every_kind((0..9_000).filter(is_left), 1));
        let change = crate::zone::between(&old, &new);
        assert!(change.all_records().count() > 4 * MANY_OWNERS);
        let (next, _) = apply(&old, std::slice::from_ref(&change)).expect("applicable");
        assert_eq!(next.tally(), new.tally());
        assert!(next.pages().eq(new.pages()));
        let (back, _) = apply(&old, &[change.clone(), change.invert()]).expect("there and back again");
        assert_eq!(back.tally(), old.tally());
        assert!(back.pages().eq(old.pages()));
    }

    #[test]
    fn what_does_not_fit_is_found_among_many_changes() {
        let host = |n: usize| format!("h{n} A 192.0.2.1\n");
        let base = zone(&(0..6_000).map(host).collect::<String>());
        let added: String = (6_000..6_000 + 2 * MANY_OWNERS).map(host).collect();
        let misfit = diff((1, 2), "absent A 192.0.2.1\nh4 A 192.0.2.1", &(host(5) + &added));
        assert!(matches!(apply(&base, std::slice::from_ref(&misfit)), Err(ApplyError::Absent(_))));
        let (next, findings) = apply_leniently(&base, &[misfit]).expect("passed over");
        let expected = 6_000 - 1 + 2 * MANY_OWNERS as u64 + 1;
        assert_eq!((findings.passed_over, next.owner_count()), (2, expected));
    }

    #[test]
    fn matching_ignores_ttl_and_case_of_names() {
        let base = zone("a NS ns.hoster.net.");
        let (next, _) = apply(&base, &[diff((1, 2), "a 7 NS NS.Hoster.net.", "")]).expect("applicable");
        assert_eq!(next.owner_count(), 1);
    }

    #[test]
    fn an_rrset_that_was_levelled_is_left_to_a_full_transfer() {
        let base = "a 60 A 192.0.2.1\na A 192.0.2.2\na TXT x";
        assert_eq!(refusal(base, "a 60 A 192.0.2.1", ""), Code::IxfrInapplicable);
        let (next, _) = apply(&zone(base), &[diff((1, 2), "a TXT x", "")]).expect("another RRset is free");
        assert_eq!(next.mixed_count(), 1);
    }

    /// A roll-back must not fail because a primary once sent differing TTLs.
    #[test]
    fn a_difference_of_our_own_leads_through_levelled_rrsets_and_back() {
        let (old, levelled) = (zone("a 300 A 192.0.2.1"), "a 60 A 192.0.2.1\na 300 A 192.0.2.2");
        let (new, _) =
            build_records(&records(&format!("{}@ NS ns.hoster.net.\n{levelled}", soa_line(2)))).expect("a zone");
        assert_eq!(new.mixed_count(), 1);
        let change = crate::zone::between(&old, &new);
        let (back, _) = apply_own(&new, &[change.invert()]).expect("applicable");
        assert_eq!((lines(&back), back.mixed_count()), (lines(&old), 0));
        let (again, _) = apply_own(&back, &[change]).expect("applicable");
        assert_eq!(lines(&again), lines(&new));
    }

    /// RFC 1995 §4: the old SOA is what is deleted first.
    #[test]
    fn the_old_soa_must_be_ours() {
        let base = zone("");
        assert_eq!(
            apply(&base, &[diff((3, 4), "", "")]).map(|_| ()),
            Err(ApplyError::Gap { ours: Serial(1), starts: Serial(3) })
        );
        let mut foreign = diff((1, 2), "", "").as_bytes().to_vec();
        // "example" -> "exemple" in both owners
        let owners: Vec<_> =
            foreign.windows(9).enumerate().filter(|(_, w)| *w == b"\x07example\0").map(|w| w.0).collect();
        owners.iter().for_each(|at| foreign[at + 3] = b'e');
        let foreign = Diff::from_bytes(foreign).expect("a difference");
        assert!(matches!(apply(&base, &[foreign]), Err(ApplyError::WrongZone(_))));
        let two = [diff((1, 2), "", "a A 192.0.2.1"), diff((3, 4), "", "")];
        assert!(matches!(apply(&base, &two), Err(ApplyError::Gap { ours: Serial(2), .. })));
        assert_eq!(base.serial(), Serial(1));
    }

    #[test]
    fn an_empty_non_terminal_goes_with_the_last_name_below_it() {
        let base = zone("x.y.z A 192.0.2.1\n*.y.z A 192.0.2.2");
        let name = |text: &str| -> Name { text.parse().expect("a name") };
        let (next, _) = apply(&base, &[diff((1, 2), "*.y.z A 192.0.2.2", "")]).expect("applicable");
        let y = next.find(&name("y.z.example")).expect("still needed");
        assert!(y.is_empty_non_terminal() && !y.has_wildcard() && y.kids() == 1);
        let (last, _) = apply(&next, &[diff((2, 3), "x.y.z A 192.0.2.1", "")]).expect("applicable");
        assert!(last.find(&name("y.z.example")).is_none() && last.find(&name("z.example")).is_none());
        assert_eq!(last.owner_count(), 1);
    }

    #[test]
    fn glue_follows_its_addresses() {
        let base = zone("sub NS ns.a.sub\nns.a.sub A 192.0.2.1");
        let (next, _) =
            apply(&base, &[diff((1, 2), "ns.a.sub A 192.0.2.1", "ns.a.sub A 192.0.2.9")]).expect("applicable");
        let cut = next.find(&"sub.example".parse().expect("a name")).expect("it exists");
        assert_eq!(cut.glue().map(|glue| glue.image().ends_with(&[192, 0, 2, 9])), Some(true));
        let (gone, _) = apply(&next, &[diff((2, 3), "ns.a.sub A 192.0.2.9", "")]).expect("applicable");
        assert_eq!(gone.find(&"sub.example".parse().expect("a name")).and_then(|e| e.glue()), None);
    }

    #[test]
    fn untouched_pages_stay_shared() {
        let text: String = (0..2000).map(|n| format!("h{n} A 192.0.2.1\n")).collect();
        let base = zone(&text);
        let (next, _) = apply(&base, &[diff((1, 2), "h7 A 192.0.2.1", "h7 A 192.0.2.2")]).expect("applicable");
        let fresh = next.pages().zip(base.pages()).filter(|(a, b)| !a.1.is_same(b.1)).count();
        assert!(fresh <= 2, "the pages of h7 and of the apex, not {fresh}");
        assert_eq!(lines(&next).len(), lines(&base).len());
    }

    /// Builds that let pages grow to 7,000 octets have left such in state directories.
    #[test]
    fn longer_pages_of_an_earlier_build_are_read_and_divided_when_they_change() {
        let text: String = (0..100).map(|n| format!("h{n} A 192.0.2.1\n")).collect();
        let base = zone(&text);
        assert!(base.pages().count() > 1 && base.image_octets() < 6_000);
        // Given all of it on one page
        let hash = |entry: &Entry<'_>| base.key().below(base.apex_hash(), entry.name());
        let entries: Vec<_> = base.entries().map(|entry| (hash(&entry), entry.as_bytes())).collect();
        let page = page::make(Kind::Names, (0, 0), &entries, &mut Vec::new());
        let page = Page::from_bytes(page.as_bytes()).expect("a sound page");
        let long = Snapshot::from_pages(base.apex().clone(), *base.key(), [page]).expect("a version");
        assert_eq!((long.pages().count(), lines(&long)), (1, lines(&base)));
        // When one record changes
        let change = [diff((1, 2), "h7 A 192.0.2.1", "h7 A 192.0.2.2")];
        let (next, _) = apply(&long, &change).expect("applicable");
        // Then it is as if it had been made by this build
        let (expected, _) = apply(&base, &change).expect("applicable");
        assert!(next.pages().eq(expected.pages()));
    }

    #[test]
    fn however_many_records_of_other_zones_come_in_a_row_those_behind_them_count() {
        let base = zone("a A 192.0.2.1");
        let strangers: String = (0..100).map(|n| format!("h{n}.other.org. A 192.0.2.1\n")).collect();
        let change = diff((1, 2), "", &format!("{strangers}b A 192.0.2.2"));
        let (next, findings) = apply(&base, &[change]).expect("applicable");
        assert!(next.find(&"b.example".parse().expect("a name")).is_some());
        assert_eq!((findings.out_of_zone, next.serial()), (100, Serial(2)));
    }

    #[test]
    fn thousands_of_changes_equal_a_new_build() {
        let host = |n: usize| format!("h{n} A 192.0.2.1\n");
        let (old, new) = ((0..6_000).map(host), (2_000..9_000).map(host));
        let (deleted, added) = ((0..2_000).map(host), (6_000..9_000).map(host));
        let change = diff((1, 2), &deleted.collect::<String>(), &added.collect::<String>());
        let (next, _) = apply(&zone(&old.collect::<String>()), &[change]).expect("applicable");
        let text = format!("{}@ NS ns.hoster.net.\n{}", soa_line(2), new.collect::<String>());
        let (expected, _) = build_records(&records(&text)).expect("a zone");
        assert!(next.pages().eq(expected.pages()));
    }

    #[test]
    fn the_soa_is_the_new_one() {
        let (next, _) = apply(&zone(""), &[diff((1, 2), "", ""), diff((2, 9), "", "")]).expect("applicable");
        assert_eq!(next.serial(), Serial(9));
    }
}
