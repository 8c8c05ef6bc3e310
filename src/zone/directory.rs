//! The tree of pages: a radix tree over the 64-bit name hash, five bits a level, shared between versions of a zone.
//!
//! Asked for a page by [`super::Snapshot::lookup`], changed by [`Pager::edit`] (which copies only the path to touched
//! pages), made by [`super::Builder`].
//!
//! **The partition is a function of the contents.** The entries below a hash prefix are one page if they fit
//! [`FULL_PAGE_OCTETS`] or are no more than two; if not, they are divided by the next bit. Prefixes without entries have no page. A node covers five
//! bits, so a page whose prefix is not a multiple of five takes several of its 32 slots. Every operation here ends in
//! that one shape, whatever the history: an edit divides what overflows and joins buddies that fit.

use std::hint::black_box;

use triomphe::ThinArc;

use super::entry::Entry;
use super::hash::HashKey;
use super::heap::HeapSteps;
use super::page::{self, HEADER_OCTETS, Kind, PAGE_OCTETS_MAX, Page, Patch, behind};
use crate::reason::{Code, Reason};
use crate::threads::in_threads;

/// Bits of the hash one node consumes.
const NODE_BITS: u8 = 5;
/// Slots of a node.
pub(super) const SLOTS: usize = 1 << NODE_BITS;

/// The slot of the root node which a hash falls into.
#[inline]
pub(super) fn root_slot(hash: u64) -> usize {
    (hash >> (64 - NODE_BITS)) as usize
}

/// A page that would be longer is divided. Short pages are little to copy for each change, and each costs some sixty octets
/// of memory besides its own: with 10,000 changes of a million records, 2,800 octets instead of 7,000 take a quarter less
/// time, and 1,400 no less.
const FULL_PAGE_OCTETS: usize = 2_800;

/// What stands below a prefix.
#[derive(Clone, Debug)]
pub(super) enum Child {
    /// No entry.
    Empty,
    /// All entries.
    Page(Page),
    /// Too many for a page.
    Node(Node),
}

/// An inner node: 32 slots, each child once.
#[derive(Clone, Debug)]
pub(super) struct Node(ThinArc<NodeHeader, Child>);

#[derive(Debug)]
struct NodeHeader {
    /// Bit n: a child begins at slot n; it reaches to the next set bit.
    starts: u32,
    /// Which child each slot leads to. Told by `starts` too, but queries come here, and counting bits costs them more.
    child_of: [u8; SLOTS],
    owners: u32,
    records: u64,
    /// Of the pages below.
    octets: u64,
}

impl Node {
    fn children(&self) -> &[Child] {
        &self.0.slice
    }

    #[inline]
    fn child_at(&self, slot: u32) -> usize {
        usize::from(self.0.header.header.child_of[slot as usize])
    }

    fn is_same(&self, other: &Node) -> bool {
        std::ptr::eq(self.children(), other.children())
    }

    /// Each child with its first slot and the logarithm of its number of slots.
    fn spans(&self) -> impl Iterator<Item = (u32, u32, &Child)> {
        let starts = self.0.header.header.starts;
        let mut rest = starts;
        self.children().iter().map(move |child| {
            let slot = rest.trailing_zeros();
            rest &= rest - 1;
            let end = if rest == 0 { 32 } else { rest.trailing_zeros() };
            (slot, (end - slot).trailing_zeros(), child)
        })
    }
}

impl Child {
    /// Owners below.
    pub(super) fn owners(&self) -> u64 {
        match self {
            Child::Empty => 0,
            Child::Page(page) => page.len() as u64,
            Child::Node(node) => node.0.header.header.owners as u64,
        }
    }

    /// Records below.
    pub(super) fn records(&self) -> u64 {
        match self {
            Child::Empty => 0,
            Child::Page(page) => page.record_count() as u64,
            Child::Node(node) => node.0.header.header.records,
        }
    }

    /// Octets of the pages below.
    pub(super) fn octets(&self) -> u64 {
        match self {
            Child::Empty => 0,
            Child::Page(page) => page.as_bytes().len() as u64,
            Child::Node(node) => node.0.header.header.octets,
        }
    }

    /// The children of a node; nothing else has any.
    pub(super) fn children(&self) -> &[Child] {
        if let Child::Node(node) = self { node.children() } else { &[] }
    }

    /// Brings what is counted when it is cloned into the cache.
    #[inline]
    fn touch(&self) {
        match self {
            Child::Empty => {}
            Child::Page(page) => page.touch_head(),
            Child::Node(node) => _ = black_box(node.0.header.header.starts),
        }
    }

    fn is_same(&self, other: &Child) -> bool {
        match (self, other) {
            (Child::Empty, Child::Empty) => true,
            (Child::Page(a), Child::Page(b)) => a.is_same(b),
            (Child::Node(a), Child::Node(b)) => a.is_same(b),
            _ => false,
        }
    }

    /// The page that holds `hash`, if there is one.
    #[inline]
    pub(super) fn page(&self, hash: u64) -> Option<&Page> {
        let (mut child, mut bits) = (self, 0);
        loop {
            match child {
                Child::Empty => return None,
                Child::Page(page) => return Some(page),
                Child::Node(node) => {
                    child = &node.children()[node.child_at((behind(hash, bits) >> 59) as u32)];
                    bits += NODE_BITS;
                }
            }
        }
    }

    /// Records on pages before the one that holds `hash`.
    pub(super) fn records_before(&self, hash: u64) -> u64 {
        let (mut child, mut bits, mut before) = (self, 0, 0);
        while let Child::Node(node) = child {
            let index = node.child_at((behind(hash, bits) >> 59) as u32);
            before += node.children()[..index].iter().map(Child::records).sum::<u64>();
            (child, bits) = (&node.children()[index], bits + NODE_BITS);
        }
        before
    }

    /// All pages by ascending hash.
    pub(super) fn pages(&self) -> Pages<'_> {
        Pages { stack: vec![std::slice::from_ref(self).iter()] }
    }

    /// Calls `differing` with the pages of both sides below each smallest common prefix where the two differ. Subtrees
    /// and pages that are shared are not visited.
    pub(super) fn compare<'a>(&'a self, other: &'a Child, differing: &mut dyn FnMut(Pages<'a>, Pages<'a>)) {
        if self.is_same(other) {
            return;
        }
        if let (Child::Node(a), Child::Node(b)) = (self, other)
            && a.0.header.header.starts == b.0.header.header.starts
        {
            for (a, b) in a.children().iter().zip(b.children()) {
                a.compare(b, differing);
            }
            return;
        }
        if let (Child::Page(a), Child::Page(b)) = (self, other)
            && a == b
        {
            return;
        }
        differing(self.pages(), other.pages());
    }
}

/// Pages by ascending hash, see [`Child::pages`].
#[derive(Clone, Debug)]
pub(super) struct Pages<'a> {
    stack: Vec<std::slice::Iter<'a, Child>>,
}

impl<'a> Iterator for Pages<'a> {
    type Item = &'a Page;
    fn next(&mut self) -> Option<&'a Page> {
        loop {
            match self.stack.last_mut()?.next() {
                Some(Child::Page(page)) => return Some(page),
                Some(Child::Node(node)) => self.stack.push(node.children().iter()),
                Some(Child::Empty) => {}
                None => {
                    self.stack.pop();
                }
            }
        }
    }
}

/// One changed entry. Edits are sorted by (hash, name), one for each name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edit<'a> {
    pub(super) hash: u64,
    pub(super) name: &'a [u8],
    /// The new octets, or `None` to remove it (which then exists).
    pub(super) entry: Option<&'a [u8]>,
}

/// [`Pager::edit`] of so many edits by `threads`, each with a pager of its own.
pub(super) fn edit_in_threads<'a>(
    threads: usize,
    pager: impl Fn() -> Pager<'a> + Sync,
    tree: &Child,
    edits: &[Edit<'_>],
) -> Result<Child, Reason> {
    let slots = tree.children();
    if threads == 1 || slots.len() < SLOTS {
        return pager().edit(tree, edits);
    }
    let mut rest = edits;
    let parts = slots.iter().enumerate().map(|(slot, child)| {
        let here = rest.partition_point(|edit| root_slot(edit.hash) == slot);
        (slot as u64, child, rest.split_off(..here).unwrap_or_default())
    });
    let edit_part = |pager: &mut Pager<'a>, (slot, child, edits)| pager.edit_subtree(slot, child, edits);
    let (subtrees, _) = in_threads(threads, parts, &pager, edit_part)?;
    Ok(pager().join(subtrees.try_into().expect("a subtree for each slot")))
}

/// Makes pages and trees of one zone.
#[derive(Debug)]
pub(super) struct Pager<'a> {
    kind: Kind,
    key: HashKey,
    apex_hash: u64,
    old: Option<&'a Child>,
    /// Where the octets of a page are put together.
    scratch: Vec<u8>,
    heap: HeapSteps,
}

/// Entries with their hashes, ascending by (hash, name).
type Entries<'e> = [(u64, &'e [u8])];

impl<'a> Pager<'a> {
    /// For the names of a zone with this key and hash of its apex; pages that come out equal to one of `old` are shared
    /// with it.
    pub(super) fn new(kind: Kind, key: HashKey, apex_hash: u64, old: Option<&'a Child>) -> Pager<'a> {
        Pager { kind, key, apex_hash, old, scratch: Vec::with_capacity(PAGE_OCTETS_MAX), heap: HeapSteps::new() }
    }

    /// `tree` with `edits` made. O(edits x depth); all that is not touched stays shared.
    pub(super) fn edit(&mut self, tree: &Child, edits: &[Edit<'_>]) -> Result<Child, Reason> {
        let mut whole = Slots::default();
        self.edit_child(tree, Span { prefix: 0, bits: 0, width: NODE_BITS }, edits, &mut whole)?;
        Ok(whole.into_child())
    }

    /// The same for what stands below the five-bit prefix `slot`.
    fn edit_subtree(&mut self, slot: u64, child: &Child, edits: &[Edit<'_>]) -> Result<Child, Reason> {
        let mut slots = Slots::default();
        self.edit_child(child, Span::of_slot(slot), edits, &mut slots)?;
        Ok(slots.children.pop().expect("one child was pushed"))
    }

    /// The tree of all `entries` of a zone.
    pub(super) fn tree(&mut self, entries: &Entries<'_>) -> Result<Child, Reason> {
        refuse_collisions(entries)?;
        let mut whole = Slots::default();
        self.divide(entries, Span { prefix: 0, bits: 0, width: NODE_BITS }, &mut whole);
        Ok(whole.into_child())
    }

    /// The tree over 32 subtrees, each of which is in shape for its five-bit prefix.
    pub(super) fn join(&mut self, subtrees: [Child; SLOTS]) -> Child {
        let mut slots = Slots::default();
        let mut rest = subtrees.into_iter();
        self.join_span(&mut rest, Span { prefix: 0, bits: 0, width: NODE_BITS }, &mut slots);
        slots.into_child()
    }

    /// The subtree of `entries`, all below the five-bit prefix `slot`.
    pub(super) fn subtree(&mut self, slot: u64, entries: &Entries<'_>) -> Result<Child, Reason> {
        refuse_collisions(entries)?;
        let mut slots = Slots::default();
        self.divide(entries, Span::of_slot(slot), &mut slots);
        Ok(slots.children.pop().expect("one child was pushed"))
    }

    fn join_span(&mut self, rest: &mut impl Iterator<Item = Child>, span: Span, out: &mut Slots) {
        let Some((left, right)) = span.halves() else {
            return out.push(rest.next().expect("32 subtrees"), 0);
        };
        let before = out.children.len();
        self.join_span(rest, left, out);
        self.join_span(rest, right, out);
        self.join_buddies(before, span, out);
    }

    /// Puts what stands after `edits` in the place of `child`, which covers `span`.
    fn edit_child(&mut self, child: &Child, span: Span, edits: &[Edit<'_>], out: &mut Slots) -> Result<(), Reason> {
        if edits.is_empty() {
            out.push(child.clone(), span.width);
            return Ok(());
        }
        let current = match child {
            Child::Empty => None,
            Child::Page(page) => match self.edited_page(page, edits) {
                Some(edited) => {
                    out.push(Child::Page(edited), span.width);
                    return Ok(());
                }
                None => Some(page),
            },
            Child::Node(node) => {
                // those that stay are counted once more, for which the processor must have them, one after the other
                node.children().iter().for_each(Child::touch);
                let mut inner = Slots::default();
                self.edit_node(node, 0, Span { width: NODE_BITS, ..span }, edits, &mut inner)?;
                out.push(inner.into_child(), span.width);
                return Ok(());
            }
        };
        let entries = merge(current.map(|page| self.hashed(page)).unwrap_or_default(), edits);
        refuse_collisions(&entries)?;
        self.divide(&entries, span, out);
        Ok(())
    }

    /// The same for the children of `node` from `slot` on, which cover `span`.
    fn edit_node(
        &mut self,
        node: &Node,
        slot: u32,
        span: Span,
        edits: &[Edit<'_>],
        out: &mut Slots,
    ) -> Result<(), Reason> {
        let end = slot + (1 << span.width);
        if edits.is_empty() {
            for (_, width, child) in node.spans().filter(|s| (slot..end).contains(&s.0)) {
                out.push(child.clone(), width as u8);
            }
            return Ok(());
        }
        let first = node.child_at(slot);
        let is_one_child =
            end == 32 && first + 1 == node.children().len() || end < 32 && node.child_at(end) == first + 1;
        let halves = span.halves().filter(|_| !is_one_child);
        let Some((left, right)) = halves else {
            return self.edit_child(&node.children()[first], span, edits, out);
        };
        let before = out.children.len();
        let (left_edits, right_edits) = edits.split_at(edits.partition_point(|edit| edit.hash < right.prefix));
        self.edit_node(node, slot, left, left_edits, out)?;
        self.edit_node(node, slot + (1 << left.width), right, right_edits, out)?;
        self.join_buddies(before, span, out);
        Ok(())
    }

    /// Pushes the shape of `entries` for `span`.
    fn divide(&mut self, entries: &Entries<'_>, span: Span, out: &mut Slots) {
        if entries.is_empty() {
            return out.push(Child::Empty, span.width);
        }
        if are_entries_one_page(entries) {
            return out.push(Child::Page(self.page(entries, span)), span.width);
        }
        let Some((left, right)) = span.halves() else {
            let mut inner = Slots::default();
            self.divide(entries, Span { width: NODE_BITS, ..span }, &mut inner);
            return out.push(inner.into_child(), 0);
        };
        let (left_entries, right_entries) = entries.split_at(entries.partition_point(|e| e.0 < right.prefix));
        self.divide(left_entries, left, out);
        self.divide(right_entries, right, out);
    }

    /// Joins the children pushed since `before`, the two halves of `span`, if their entries fit one page.
    fn join_buddies(&mut self, before: usize, span: Span, out: &mut Slots) {
        let joined = match &out.children[before..] {
            [Child::Empty, Child::Empty] => Child::Empty,
            [Child::Empty, Child::Page(page)] | [Child::Page(page), Child::Empty] => {
                Child::Page(self.page(&self.hashed(page), span))
            }
            [Child::Page(left), Child::Page(right)] if are_one_page(left, right) => {
                let entries = [self.hashed(left), self.hashed(right)].concat();
                Child::Page(self.page(&entries, span))
            }
            _ => return,
        };
        out.replace_last_two(joined, span.width);
    }

    fn page(&mut self, entries: &Entries<'_>, span: Span) -> Page {
        self.heap.take(FULL_PAGE_OCTETS);
        let made = page::make(self.kind, (span.bits, span.prefix), entries, &mut self.scratch);
        self.shared(made)
    }

    fn shared(&self, made: Page) -> Page {
        match self.old.and_then(|old| old.page(made.prefix())) {
            Some(old) if *old == made => old.clone(),
            _ => made,
        }
    }

    /// `page` with `edits` made, where that is one page again: most changes, and no name needs to be hashed for them.
    /// `None` leaves it to the general way, also where fingerprints do not tell names apart.
    fn edited_page(&mut self, page: &Page, edits: &[Edit<'_>]) -> Option<Page> {
        let mut patches: Vec<Patch<'_>> = Vec::with_capacity(edits.len());
        let (mut entries, mut octets) = (page.len(), page.as_bytes().len());
        for edit in edits {
            let patch = page.patch(edit.hash, edit.name, edit.entry)?;
            if patches.last().is_some_and(|last| last.fingerprint == patch.fingerprint) {
                return None;
            }
            let (removed, added) = (patch.replaced.map(|entry| entry.as_bytes()), patch.entry);
            entries = entries + usize::from(added.is_some()) - usize::from(removed.is_some());
            octets += added.map_or(0, |entry| page::SLOT_OCTETS + entry.len());
            octets -= removed.map_or(0, |entry| page::SLOT_OCTETS + entry.len());
            patches.push(patch);
        }
        if entries == 0 || !is_one_page(entries, octets) {
            return None;
        }
        self.heap.take(octets);
        let made = page::patched(page, &patches, entries, &mut self.scratch);
        Some(self.shared(made))
    }

    fn hashed<'p>(&self, page: &'p Page) -> Vec<(u64, &'p [u8])> {
        page.entries().map(|entry| (self.key.below(self.apex_hash, entry.name()), entry.as_bytes())).collect()
    }
}

/// A prefix and how many slots of a node (as a power of two) it takes.
#[derive(Clone, Copy, Debug)]
struct Span {
    prefix: u64,
    bits: u8,
    width: u8,
}

impl Span {
    /// One slot of the root.
    fn of_slot(slot: u64) -> Span {
        Span { prefix: slot << (64 - NODE_BITS), bits: NODE_BITS, width: 0 }
    }

    /// The two buddies it consists of within its node; `None` for a single slot.
    fn halves(self) -> Option<(Span, Span)> {
        let width = self.width.checked_sub(1)?;
        let bits = self.bits + 1;
        let left = Span { prefix: self.prefix, bits, width };
        Some((left, Span { prefix: self.prefix | 1 << (64 - bits), ..left }))
    }
}

/// Children of a node in the making, pushed from slot 0 on.
#[derive(Debug, Default)]
struct Slots {
    starts: u32,
    next: u32,
    children: Vec<Child>,
}

impl Slots {
    fn push(&mut self, child: Child, width: u8) {
        self.starts |= 1 << self.next;
        self.next += 1 << width;
        self.children.push(child);
    }

    fn replace_last_two(&mut self, child: Child, width: u8) {
        self.children.truncate(self.children.len() - 2);
        self.next -= 1 << width;
        self.starts &= (1u64 << self.next).wrapping_sub(1) as u32;
        self.push(child, width);
    }

    /// A node, or the only child if it is no node's worth.
    fn into_child(mut self) -> Child {
        if self.children.len() == 1 {
            return self.children.pop().expect("one child");
        }
        let mut child = -1;
        let child_of = std::array::from_fn(|slot| {
            child += (self.starts >> slot & 1) as i8;
            child as u8
        });
        let header = NodeHeader {
            starts: self.starts,
            child_of,
            owners: self.children.iter().map(|c| c.owners() as u32).sum(),
            records: self.children.iter().map(Child::records).sum(),
            octets: self.children.iter().map(Child::octets).sum(),
        };
        Child::Node(Node(ThinArc::from_header_and_iter(header, self.children.into_iter())))
    }
}

/// Whether so many entries, which make a page of so many octets, are one page or are divided. What holds for some entries
/// holds for a part of them, so it does not matter in which order a zone came to be.
fn is_one_page(entries: usize, octets: usize) -> bool {
    octets <= FULL_PAGE_OCTETS || entries <= 2
}

/// The same for entries that are not on a page. Looks at no more of them than a page holds: it is asked for all of a
/// large zone, for its halves, and so on.
fn are_entries_one_page(entries: &Entries<'_>) -> bool {
    let mut octets = HEADER_OCTETS;
    entries.iter().enumerate().all(|(before, (_, entry))| {
        octets += page::SLOT_OCTETS + entry.len();
        is_one_page(before + 1, octets)
    })
}

/// The same for the entries of two pages.
fn are_one_page(left: &Page, right: &Page) -> bool {
    is_one_page(left.len() + right.len(), left.as_bytes().len() + right.as_bytes().len() - HEADER_OCTETS)
}

/// Existing entries with edits made; both sides ascend by (hash, name).
fn merge<'e>(current: Vec<(u64, &'e [u8])>, edits: &[Edit<'e>]) -> Vec<(u64, &'e [u8])> {
    let mut merged = Vec::with_capacity(current.len() + edits.len());
    let mut current = current.into_iter().peekable();
    for edit in edits {
        let position = (edit.hash, edit.name);
        while let Some(earlier) = current.next_if(|&(hash, entry)| (hash, Entry::new(entry).name()) < position) {
            merged.push(earlier);
        }
        current.next_if(|&(hash, entry)| (hash, Entry::new(entry).name()) == position);
        merged.extend(edit.entry.map(|entry| (edit.hash, entry)));
    }
    merged.extend(current);
    merged
}

/// Two entries of any size fit one page, three need not: then no number of bits would divide them.
fn refuse_collisions(entries: &Entries<'_>) -> Result<(), Reason> {
    if entries.windows(3).any(|three| three[0].0 == three[2].0) {
        return Err(Reason::new(Code::ContentCollision, "three names have the same hash"));
    }
    Ok(())
}

/// Puts pages of one kind back into a tree; they come in any order. Fails unless they are in the one shape.
pub(super) fn from_pages(mut pages: Vec<Page>) -> Option<Child> {
    pages.sort_unstable_by_key(|page| (page.prefix(), page.bits()));
    let mut rest = &pages[..];
    let mut whole = Slots::default();
    collect(&mut rest, Span { prefix: 0, bits: 0, width: NODE_BITS }, &mut whole)?;
    rest.is_empty().then(|| whole.into_child())
}

fn collect(rest: &mut &[Page], span: Span, out: &mut Slots) -> Option<()> {
    let is_below = |page: &Page| page.bits() >= span.bits && page::truncate(page.prefix(), span.bits) == span.prefix;
    match rest {
        [first, tail @ ..] if is_below(first) && first.bits() == span.bits => {
            out.push(Child::Page(first.clone()), span.width);
            *rest = tail;
        }
        [first, ..] if is_below(first) => {
            if span.bits >= 64 {
                return None;
            }
            let Some((left, right)) = span.halves() else {
                let mut inner = Slots::default();
                collect(rest, Span { width: NODE_BITS, ..span }, &mut inner)?;
                out.push(inner.into_child(), 0);
                return Some(());
            };
            let before = out.children.len();
            collect(rest, left, out)?;
            collect(rest, right, out)?;
            let fits = match &out.children[before..] {
                [Child::Page(left), Child::Page(right)] => are_one_page(left, right),
                [Child::Page(_), Child::Empty] | [Child::Empty, Child::Page(_)] => true,
                _ => false,
            };
            if fits {
                return None;
            }
        }
        _ => out.push(Child::Empty, span.width),
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::super::text::KEY;
    use super::*;

    #[test]
    fn three_names_with_one_hash_are_refused_and_two_are_held() {
        let entries: Vec<Vec<u8>> = (b'a'..=b'c').map(|c| vec![2, 4, 0, 1, 1, c]).collect();
        let mut pager = Pager::new(Kind::Names, KEY, 0, None);
        let placed: Vec<(u64, &[u8])> = entries.iter().map(|entry| (7, &entry[..])).collect();
        assert_eq!(pager.subtree(0, &placed[..2]).map(|tree| tree.owners()), Ok(2));
        assert_eq!(pager.subtree(0, &placed).expect_err("refused").code, Code::ContentCollision);
    }
}
