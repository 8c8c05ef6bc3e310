//! A name as the lookup wants it: in lower case, split into labels, every suffix hashed.

use crate::dns::name::{LABELS_MAX, NAME_OCTETS_MAX, is_same};
use crate::served::View;
use crate::zone::{HashKey, Parent};

/// Longest run of compression pointers followed; each must point backwards, this bounds the work besides.
const POINTERS_MAX: usize = 32;

/// A name in lower case with its labels and the hashes of its suffixes. Lives on the stack and is filled anew for
/// each question and each step of a CNAME chain.
pub(super) struct Folded {
    lower: [u8; NAME_OCTETS_MAX + 1],
    /// Octets of the name; behind them `lower` holds anything. As small as can be, so that it need not be compared with
    /// the bounds of the arrays.
    len: u8,
    labels: u8,
    /// Where in `lower` each label begins, leftmost first; behind the last one the root's.
    starts: [u8; LABELS_MAX + 1],
    /// `hashes[d]` is the hash of the rightmost `d` labels.
    hashes: [u64; LABELS_MAX + 1],
    /// See [`Folded::keep_hash`].
    kept: u64,
}

impl Folded {
    /// The root.
    pub(super) fn new() -> Folded {
        Folded {
            lower: [0; NAME_OCTETS_MAX + 1],
            len: 1,
            labels: 0,
            starts: [0; LABELS_MAX + 1],
            hashes: [0; LABELS_MAX + 1],
            kept: 0,
        }
    }

    /// Becomes the root again, hashed.
    pub(super) fn clear(&mut self, key: &HashKey) {
        (self.lower[0], self.len, self.labels, self.starts[0]) = (0, 1, 0, 0);
        self.hash(key);
    }

    /// Takes the uncompressed name of the question, at offset 12. Returns where it ends, or `None` if it is no name
    /// or compressed. Does not hash.
    #[inline(always)]
    pub(super) fn read_question(&mut self, message: &[u8]) -> Option<usize> {
        let name = message.get(12..)?;
        let name = &name[..name.len().min(NAME_OCTETS_MAX)];
        let (mut at, mut labels) = (0, 0);
        loop {
            let len = usize::from(*name.get(at)?);
            self.starts[labels] = at as u8;
            if !(1..=63).contains(&len) {
                if len == 0 {
                    break;
                }
                return None;
            }
            at += 1 + len;
            // 255 octets hold at most 127 labels, so the index stays inside
            labels = (labels + 1) & LABELS_MAX;
        }
        fold_start(message.get(12..)?, at + 1, &mut self.lower);
        (self.len, self.labels) = (at as u8 + 1, labels as u8);
        Some(12 + at + 1)
    }

    /// Takes the name at `offset` of `message`, following compression pointers. Returns whether it is a name.
    /// Does not hash.
    pub(super) fn read(&mut self, message: &[u8], offset: usize) -> bool {
        self.read_checked(message, offset).is_some()
    }

    fn read_checked(&mut self, message: &[u8], offset: usize) -> Option<()> {
        let (mut at, mut len, mut labels, mut pointers) = (offset, 0, 0, 0);
        loop {
            let octet = *message.get(at)?;
            match octet {
                0 => break,
                1..=63 => {
                    let label = message.get(at..=at + usize::from(octet))?;
                    if len + label.len() >= NAME_OCTETS_MAX {
                        return None;
                    }
                    self.starts[labels] = len as u8;
                    self.lower[len..len + label.len()].copy_from_slice(label);
                    len += label.len();
                    at += label.len();
                    labels += 1;
                }
                0xc0.. => {
                    let target = usize::from(u16::from_be_bytes([octet & 0x3f, *message.get(at + 1)?]));
                    pointers += 1;
                    if target >= at || pointers > POINTERS_MAX {
                        return None;
                    }
                    at = target;
                }
                _ => return None,
            }
        }
        self.starts[labels] = len as u8;
        self.lower[len] = 0;
        // length octets are below 64 and so never mistaken for letters
        self.lower[..len].make_ascii_lowercase();
        (self.len, self.labels) = (len as u8 + 1, labels as u8);
        Some(())
    }

    /// Hashes all suffixes, from the right.
    pub(super) fn hash(&mut self, key: &HashKey) {
        self.hashes[0] = 0;
        self.hash_below(key, 0);
    }

    /// Hashes all suffixes from the one on that is the known zone's apex, if the name has it; else all.
    #[inline(always)]
    pub(super) fn hash_with(&mut self, view: &View, known: &Known) -> Option<Enclosing> {
        if !known.encloses(self, view) {
            self.hash(view.key());
            return None;
        }
        let labels = usize::from(known.labels);
        self.hashes[labels] = known.hash;
        if labels < self.labels() {
            self.hashes[labels + 1] = known.parent.child(self.label(labels + 1));
            if labels + 1 < self.labels() {
                self.hash_below(view.key(), labels + 1);
            }
        }
        Some(Enclosing { slot: known.slot, labels })
    }

    /// Hashes all suffixes that are longer than the one of `known` labels.
    #[inline(never)]
    fn hash_below(&mut self, key: &HashKey, known: usize) {
        let mut hash = self.hashes[known];
        for depth in known + 1..=self.labels() {
            hash = key.child(hash, self.label(depth));
            self.hashes[depth] = hash;
        }
    }

    /// The leftmost label of the suffix of `depth` labels.
    #[inline(always)]
    fn label(&self, depth: usize) -> &[u8] {
        let at = self.labels() - depth;
        &self.lower[usize::from(self.starts[at]) + 1..usize::from(self.starts[at + 1])]
    }

    /// Octets of the name, its final zero included.
    #[inline]
    pub(super) fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Labels, the root's not counted.
    #[inline]
    pub(super) fn labels(&self) -> usize {
        usize::from(self.labels)
    }

    /// The whole name in lower case, its final zero included.
    #[inline]
    pub(super) fn lower(&self) -> &[u8] {
        &self.lower[..self.len()]
    }

    /// Where in the name its rightmost `depth` labels begin.
    #[inline(always)]
    pub(super) fn start(&self, depth: usize) -> usize {
        usize::from(self.starts[self.labels() - depth])
    }

    /// The rightmost `depth` labels, the final zero included.
    #[inline]
    pub(super) fn suffix(&self, depth: usize) -> &[u8] {
        &self.lower[self.start(depth)..self.len()]
    }

    /// The labels between the suffix of `apex_depth` labels and the one of `depth` labels: an owner relative to its
    /// apex, without a final zero.
    #[inline(always)]
    pub(super) fn relative(&self, depth: usize, apex_depth: usize) -> &[u8] {
        &self.lower[self.start(depth)..self.start(apex_depth)]
    }

    /// The hash of the rightmost `depth` labels.
    #[inline]
    pub(super) fn hash_at(&self, depth: usize) -> u64 {
        self.hashes[depth]
    }

    /// Keeps the hash of the rightmost `depth` labels, of all if there are fewer, for when another name has been read.
    pub(super) fn keep_hash(&mut self, depth: usize) {
        self.kept = self.hash_at(depth.min(self.labels()));
    }

    /// The hash that was kept last.
    pub(super) fn kept_hash(&self) -> u64 {
        self.kept
    }

    /// The hashes of all suffixes by depth, the root's first.
    #[inline]
    pub(super) fn hashes(&self) -> &[u64] {
        &self.hashes[..=self.labels()]
    }
}

/// A zone whose apex is a suffix of a name: where it stands in its view, and its labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Enclosing {
    pub(super) slot: usize,
    pub(super) labels: usize,
}

/// The zone that questions were about last, its apex hashed: most questions of a worker end in few apexes, and hashing
/// `com` and `example.com` anew and looking for the zone costs more than finding out that they are the same.
pub(super) struct Known {
    /// Of which view; 0: nothing is known.
    view: u64,
    /// Where the zone stands in it.
    slot: usize,
    /// Of the apex.
    hash: u64,
    /// The apex, for what is hashed below it.
    parent: Parent,
    apex: [u8; NAME_OCTETS_MAX + 1],
    len: u8,
    labels: u8,
}

impl Known {
    pub(super) fn new() -> Known {
        let parent = HashKey::from_bytes([0; 16]).parent(0);
        Known { view: 0, slot: 0, hash: 0, parent, apex: [0; NAME_OCTETS_MAX + 1], len: 1, labels: 0 }
    }

    /// Whether the known zone's apex is a suffix of `name` in this view.
    #[inline(always)]
    fn encloses(&self, name: &Folded, view: &View) -> bool {
        self.view == view.number()
            && name.labels >= self.labels
            && is_same(name.suffix(usize::from(self.labels)), &self.apex[..usize::from(self.len)])
    }

    /// Remembers a zone of `view`, whose apex is a suffix of `name`, which is hashed.
    #[cold]
    #[inline(never)]
    pub(super) fn keep(&mut self, name: &Folded, zone: Enclosing, view: &View) {
        let suffix = name.suffix(zone.labels);
        self.apex[..suffix.len()].copy_from_slice(suffix);
        (self.view, self.slot, self.hash) = (view.number(), zone.slot, name.hash_at(zone.labels));
        self.parent = view.key().parent(self.hash);
        (self.len, self.labels) = (suffix.len() as u8, zone.labels as u8);
    }
}

/// Copies the first `len` octets of `from`, at most 255, to the start of `to`, ASCII letters in lower case; and what comes
/// behind them, up to a multiple of sixteen. Sixteen octets at a time are a few vector instructions, and a message goes on
/// behind its question: most names are folded without looking where they end.
#[inline(always)]
fn fold_start(from: &[u8], len: usize, to: &mut [u8; NAME_OCTETS_MAX + 1]) {
    match from.first_chunk::<32>() {
        Some(first) if len <= 32 => {
            let mut folded = *first;
            folded.make_ascii_lowercase();
            to[..32].copy_from_slice(&folded);
        }
        _ => fold_by_chunks(from, len, to),
    }
}

/// As [`fold_start`], for names of any length.
#[inline(never)]
fn fold_by_chunks(from: &[u8], len: usize, to: &mut [u8; NAME_OCTETS_MAX + 1]) {
    let (whole, rest) = from.as_chunks::<16>();
    let (to, _) = to.as_chunks_mut::<16>();
    let chunks = len.div_ceil(16);
    for (to, from) in to.iter_mut().zip(whole).take(chunks) {
        *to = from.map(|octet| octet.to_ascii_lowercase());
    }
    if let Some(to) = to.get_mut(whole.len()..chunks).and_then(<[_]>::first_mut) {
        to.iter_mut().zip(rest).for_each(|(to, from)| *to = from.to_ascii_lowercase());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::served::Publisher;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn folding_is_ascii_lower_case_at_every_length(octets in prop::collection::vec(any::<u8>(), 0..=600), len in 0..=255usize) {
            let mut folded = [0; NAME_OCTETS_MAX + 1];
            let len = len.min(octets.len());
            fold_start(&octets, len, &mut folded);
            prop_assert_eq!(&folded[..len], octets[..len].to_ascii_lowercase());
        }

        /// A name read from a question is the same as read from anywhere else in a message.
        #[test]
        fn both_ways_of_reading_agree(labels in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 0..12)) {
            let name: Vec<u8> = labels.iter().flat_map(|l| [&[l.len() as u8][..], l].concat()).chain([0]).collect();
            let message = [&[0; 12][..], &name, &[0, 1, 0, 1]].concat();
            let (mut question, mut anywhere) = (Folded::new(), Folded::new());
            prop_assert_eq!(question.read_question(&message), Some(12 + name.len()));
            prop_assert!(anywhere.read(&message, 12));
            let key = HashKey::from_bytes([1; 16]);
            question.hash(&key);
            anywhere.hash(&key);
            prop_assert_eq!(question.lower(), anywhere.lower());
            prop_assert_eq!(question.hashes(), anywhere.hashes());
            prop_assert_eq!(question.hash_at(labels.len()), key.name(question.lower()));
            // what is known of a zone, of this view or another, changes nothing
            let view = Publisher::new(key).1.load();
            let other = Publisher::new(HashKey::from_bytes([2; 16])).1.load();
            for depth in 0..=labels.len() {
                let mut known = Known::new();
                known.keep(&question, Enclosing { slot: 7, labels: depth }, &view);
                let mut again = Folded::new();
                again.read(&message, 12);
                prop_assert_eq!(again.hash_with(&view, &known), Some(Enclosing { slot: 7, labels: depth }));
                prop_assert_eq!(&again.hashes()[depth..], &anywhere.hashes()[depth..]);
                prop_assert_eq!(again.hash_with(&other, &known), None);
                prop_assert_eq!(again.hash_at(labels.len()), other.key().name(again.lower()));
                if depth > 0 {
                    let mut stranger = Folded::new();
                    stranger.hash(&key);
                    prop_assert_eq!(stranger.hash_with(&view, &known), None);
                }
            }
            for depth in 0..=labels.len() {
                prop_assert_eq!(question.suffix(depth), anywhere.suffix(depth));
            }
        }
    }
}
