//! A name as the lookup wants it: in lower case, split into labels, every suffix hashed.

use crate::dns::name::{LABELS_MAX, NAME_OCTETS_MAX};
use crate::zone::HashKey;

/// Longest run of compression pointers followed; each must point backwards, this bounds the work besides.
const POINTERS_MAX: usize = 32;

/// A name in lower case with its labels and the hashes of its suffixes. Lives on the stack and is filled anew for
/// each question and each step of a CNAME chain.
pub(super) struct Folded {
    lower: [u8; NAME_OCTETS_MAX + 1],
    len: usize,
    labels: usize,
    /// Where in `lower` each label begins, leftmost first; behind the last one the root's.
    starts: [u8; LABELS_MAX + 1],
    /// `hashes[d]` is the hash of the rightmost `d` labels.
    hashes: [u64; LABELS_MAX + 1],
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
        }
    }

    /// Becomes the root again, hashed.
    pub(super) fn clear(&mut self, key: &HashKey) {
        (self.lower[0], self.len, self.labels, self.starts[0]) = (0, 1, 0, 0);
        self.hash(key);
    }

    /// Takes the uncompressed name of the question, at offset 12. Returns where it ends, or `None` if it is no name
    /// or compressed. Does not hash.
    #[inline]
    pub(super) fn read_question(&mut self, message: &[u8]) -> Option<usize> {
        let name = message.get(12..)?;
        let name = &name[..name.len().min(NAME_OCTETS_MAX)];
        let (mut at, mut labels) = (0, 0);
        loop {
            let len = usize::from(*name.get(at)?);
            self.starts[labels] = at as u8;
            match len {
                0 => break,
                1..=63 => {}
                _ => return None,
            }
            at += 1 + len;
            // 255 octets hold at most 127 labels, so the index stays inside
            labels = (labels + 1) & LABELS_MAX;
        }
        self.set(&name[..=at], labels);
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
        (self.len, self.labels) = (len + 1, labels);
        Some(())
    }

    #[inline]
    fn set(&mut self, wire: &[u8], labels: usize) {
        // length octets are below 64 and so never mistaken for letters
        fold(wire, &mut self.lower);
        (self.len, self.labels) = (wire.len(), labels);
    }

    /// Hashes all suffixes, from the right.
    #[inline(never)]
    pub(super) fn hash(&mut self, key: &HashKey) {
        self.hashes[0] = 0;
        self.hash_from(key, 0);
    }

    /// As [`Folded::hash`]; what `known` knows is taken from there. Returns of how many labels that was.
    #[inline(always)]
    pub(super) fn hash_with(&mut self, key: &HashKey, known: &Known) -> usize {
        let depth = known.len_of_suffix(self, key);
        self.hashes[..=depth].copy_from_slice(&known.hashes[..=depth]);
        self.hash_from(key, depth);
        depth
    }

    #[inline(always)]
    fn hash_from(&mut self, key: &HashKey, known: usize) {
        let mut hash = self.hashes[known];
        for depth in known + 1..=self.labels {
            let label = self.labels - depth;
            let (start, end) = (usize::from(self.starts[label]), usize::from(self.starts[label + 1]));
            hash = key.child(hash, &self.lower[start + 1..end]);
            self.hashes[depth] = hash;
        }
    }

    /// Octets of the name, its final zero included.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Labels, the root's not counted.
    #[inline]
    pub(super) fn labels(&self) -> usize {
        self.labels
    }

    /// The whole name in lower case, its final zero included.
    #[inline]
    pub(super) fn lower(&self) -> &[u8] {
        &self.lower[..self.len]
    }

    /// Where in the name its rightmost `depth` labels begin.
    #[inline]
    pub(super) fn start(&self, depth: usize) -> usize {
        usize::from(self.starts[self.labels - depth])
    }

    /// The rightmost `depth` labels, the final zero included.
    #[inline]
    pub(super) fn suffix(&self, depth: usize) -> &[u8] {
        &self.lower[self.start(depth)..self.len]
    }

    /// The labels between the suffix of `apex_depth` labels and the one of `depth` labels: an owner relative to its
    /// apex, without a final zero.
    #[inline]
    pub(super) fn relative(&self, depth: usize, apex_depth: usize) -> &[u8] {
        &self.lower[self.start(depth)..self.start(apex_depth)]
    }

    /// The hash of the rightmost `depth` labels.
    #[inline]
    pub(super) fn hash_at(&self, depth: usize) -> u64 {
        self.hashes[depth]
    }

    /// The hashes of all suffixes by depth, the root's first.
    #[inline]
    pub(super) fn hashes(&self) -> &[u64] {
        &self.hashes[..=self.labels]
    }
}

/// The apex that questions were about last, hashed: most questions of a worker end in few apexes, and hashing `com` and
/// `example.com` anew for each of them costs more than finding out that they are the same.
pub(super) struct Known {
    key: Option<HashKey>,
    octets: [u8; NAME_OCTETS_MAX + 1],
    len: usize,
    labels: usize,
    hashes: [u64; LABELS_MAX + 1],
}

impl Known {
    /// Nothing but the root, whose hash is 0 under every key.
    pub(super) fn new() -> Known {
        Known { key: None, octets: [0; NAME_OCTETS_MAX + 1], len: 1, labels: 0, hashes: [0; LABELS_MAX + 1] }
    }

    /// Labels of `name`'s longest suffix whose hashes are known here: all of the apex's, or none.
    #[inline(always)]
    fn len_of_suffix(&self, name: &Folded, key: &HashKey) -> usize {
        let is_known = name.labels >= self.labels
            && name.suffix(self.labels) == &self.octets[..self.len]
            && self.key.as_ref() == Some(key);
        if is_known { self.labels } else { 0 }
    }

    /// Remembers the suffix of `labels` labels of `name`, hashed under `key`.
    #[cold]
    #[inline(never)]
    pub(super) fn keep(&mut self, name: &Folded, labels: usize, key: &HashKey) {
        let suffix = name.suffix(labels);
        self.octets[..suffix.len()].copy_from_slice(suffix);
        (self.key, self.len, self.labels) = (Some(*key), suffix.len(), labels);
        self.hashes[..=labels].copy_from_slice(&name.hashes[..=labels]);
    }
}

/// Copies `from` to the start of `to`, ASCII letters in lower case, eight octets at a time. `to` is at least as long.
#[inline]
fn fold(from: &[u8], to: &mut [u8; NAME_OCTETS_MAX + 1]) {
    let mut at = 0;
    while let Some(eight) = from.get(at..at + 8).and_then(|rest| rest.first_chunk::<8>()) {
        to[at..at + 8].copy_from_slice(&lower_eight(*eight));
        at += 8;
    }
    match from.last_chunk::<8>() {
        // the last eight once more, overlapping what is done
        Some(eight) => to[from.len() - 8..from.len()].copy_from_slice(&lower_eight(*eight)),
        None => to.iter_mut().zip(from).for_each(|(to, from)| *to = from.to_ascii_lowercase()),
    }
}

/// Eight octets in lower case: in each, bit 7 of two sums says whether it is at least `A` and whether beyond `Z`.
#[inline]
fn lower_eight(octets: [u8; 8]) -> [u8; 8] {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let word = u64::from_le_bytes(octets);
    let low = word & (0x7f * EACH);
    let from_a = low + (0x80 - b'A' as u64) * EACH;
    let beyond_z = low + (0x7f - b'Z' as u64) * EACH;
    let upper = (from_a ^ beyond_z) & !word & (0x80 * EACH);
    (word | upper >> 2).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_octet_folds_as_ascii_does() {
        for octet in 0..=255u8 {
            assert_eq!(lower_eight([octet; 8]), [octet.to_ascii_lowercase(); 8]);
        }
    }

    proptest! {
        #[test]
        fn folding_is_ascii_lower_case_at_every_length(octets in prop::collection::vec(any::<u8>(), 0..=255)) {
            let mut folded = [0; NAME_OCTETS_MAX + 1];
            fold(&octets, &mut folded);
            prop_assert_eq!(&folded[..octets.len()], octets.to_ascii_lowercase());
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
            // what is known of a suffix, or of another name, changes nothing
            for depth in 0..=labels.len() {
                let mut known = Known::new();
                known.keep(&question, depth, &key);
                let mut again = Folded::new();
                again.read(&message, 12);
                again.hash_with(&key, &known);
                prop_assert_eq!(again.hashes(), anywhere.hashes());
                let other = HashKey::from_bytes([2; 16]);
                again.hash_with(&other, &known);
                prop_assert_eq!(again.hash_at(labels.len()), other.name(again.lower()));
            }
            for depth in 0..=labels.len() {
                prop_assert_eq!(question.suffix(depth), anywhere.suffix(depth));
            }
        }
    }
}
