//! The keyed hash of owner names: decides in which page a name lives.
//!
//! SipHash-1-3 with a 128-bit key, chained per label from the right, so that one pass over a query name gives the hash
//! of every suffix: `h(root) = 0`, `h(label.parent) = SipHash13(key, h(parent) as 8 octets little-endian ++ label)` with
//! the label in lower case and without its length octet. Used by page making, lookup and zone choice; the key is made
//! once per store and kept with the data, because a new key would move every entry. `fixtures/name_hash.txt` holds test
//! vectors; another function needs a new page format number.

use std::fmt;

use siphasher::sip::SipHasher13;

use crate::dns::name::{LABELS_MAX, label_starts};

/// The hash of the root.
pub const ROOT: u64 = 0;

/// The key of the name hash, 16 octets. Secret, so that nobody can choose colliding names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HashKey([u8; 16]);

impl HashKey {
    /// Takes the key as it was stored or drawn.
    pub const fn from_bytes(bytes: [u8; 16]) -> HashKey {
        HashKey(bytes)
    }

    /// The key, for the store.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Hash of the name made of `label` (lower case, 1..=63 octets, no length octet) below the name hashed to `parent`.
    #[inline]
    pub fn child(&self, parent: u64, label: &[u8]) -> u64 {
        self.parent(parent).child(label)
    }

    /// The name hashed to `hash` as the parent of others.
    #[inline]
    pub fn parent(&self, hash: u64) -> Parent {
        let mut state = Sip::new(&self.0);
        state.take(hash);
        Parent(state)
    }

    /// Hash of any octets: keys of spill chunks.
    pub(super) fn bytes(&self, bytes: &[u8]) -> u64 {
        SipHasher13::new_with_key(&self.0).hash(bytes)
    }

    /// Hash of `relative` (labels in lower case without a final zero) put before the name hashed to `parent`.
    pub fn below(&self, parent: u64, relative: &[u8]) -> u64 {
        let mut starts = [0; LABELS_MAX + 1];
        let count = label_starts(relative, &mut starts);
        starts[..count].iter().rev().fold(parent, |hash, &start| {
            let start = start as usize;
            self.child(hash, &relative[start + 1..start + 1 + relative[start] as usize])
        })
    }

    /// Hash of a whole name in wire form and lower case.
    pub fn name(&self, wire: &[u8]) -> u64 {
        self.below(ROOT, wire)
    }

    /// Puts the hash of the suffix with `n` labels of the lower-case `wire` into `hashes[n]`; `hashes[0]` is the root's.
    /// Returns the number of labels.
    pub fn suffix_hashes(&self, wire: &[u8], hashes: &mut [u64; 128]) -> usize {
        let mut starts = [0; LABELS_MAX + 1];
        let count = label_starts(wire, &mut starts);
        hashes[0] = ROOT;
        for (n, &start) in starts[..count].iter().rev().enumerate() {
            let start = start as usize;
            hashes[n + 1] = self.child(hashes[n], &wire[start + 1..start + 1 + wire[start] as usize]);
        }
        count
    }
}

/// A name of which many children are hashed: a quarter of that is done for all of them.
#[derive(Clone, Copy)]
pub struct Parent(Sip);

impl Parent {
    /// As [`HashKey::child`].
    ///
    /// Written out because each query comes here once for each label: the general function buffers and copies what is
    /// known here to be a word and a short tail.
    #[inline(always)]
    pub fn child(&self, label: &[u8]) -> u64 {
        let mut state = self.0;
        let (words, rest) = label.as_chunks::<8>();
        for word in words {
            state.take(u64::from_le_bytes(*word));
        }
        let tail = match label.last_chunk::<8>() {
            // the last octets once more, those that are in the words shifted out; by 64 if all are
            Some(last) => u64::from_le_bytes(*last) >> 1 >> (63 - 8 * rest.len()),
            None => tail(rest),
        };
        let octets = 8 + label.len() as u64;
        state.take(octets << 56 | tail);
        state.finish()
    }
}

/// The state of SipHash-1-3.
#[derive(Clone, Copy)]
struct Sip([u64; 4]);

impl Sip {
    #[inline]
    fn new(key: &[u8; 16]) -> Sip {
        let [k0, k1] = [&key[..8], &key[8..]].map(little_endian);
        Sip([
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ])
    }

    #[inline]
    fn round(&mut self) {
        let [v0, v1, v2, v3] = &mut self.0;
        *v0 = v0.wrapping_add(*v1);
        *v2 = v2.wrapping_add(*v3);
        *v1 = v1.rotate_left(13) ^ *v0;
        *v3 = v3.rotate_left(16) ^ *v2;
        *v0 = v0.rotate_left(32);
        *v2 = v2.wrapping_add(*v1);
        *v0 = v0.wrapping_add(*v3);
        *v1 = v1.rotate_left(17) ^ *v2;
        *v3 = v3.rotate_left(21) ^ *v0;
        *v2 = v2.rotate_left(32);
    }

    #[inline]
    fn take(&mut self, word: u64) {
        self.0[3] ^= word;
        self.round();
        self.0[0] ^= word;
    }

    #[inline]
    fn finish(mut self) -> u64 {
        self.0[2] ^= 0xff;
        (0..3).for_each(|_| self.round());
        self.0[0] ^ self.0[1] ^ self.0[2] ^ self.0[3]
    }
}

/// Eight octets as a word (any others as 0).
#[inline]
fn little_endian(eight: &[u8]) -> u64 {
    eight.first_chunk().map_or(0, |eight| u64::from_le_bytes(*eight))
}

/// At most seven octets as the low end of a word, little-endian: four, two and one at a time.
#[inline]
fn tail(octets: &[u8]) -> u64 {
    let (mut word, mut shift, mut rest) = (0, 0, octets);
    if let Some((four, behind)) = rest.split_first_chunk::<4>() {
        (word, shift, rest) = (u64::from(u32::from_le_bytes(*four)), 32, behind);
    }
    if let Some((two, behind)) = rest.split_first_chunk::<2>() {
        word |= u64::from(u16::from_le_bytes(*two)) << shift;
        (shift, rest) = (shift + 16, behind);
    }
    match rest {
        [octet] => word | u64::from(*octet) << shift,
        _ => word,
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::Name;
    use proptest::prelude::*;

    /// The vectors come from an implementation of SipHash-1-3 written apart from this one.
    #[test]
    fn agrees_with_the_vectors() {
        let vectors = include_str!("../../fixtures/name_hash.txt");
        let mut seen = 0;
        for line in vectors.lines().filter(|l| !l.starts_with('#')) {
            let [key, name, hash] = line.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{line}") };
            let key = HashKey::from_bytes(u128::from_str_radix(key, 16).expect("key").to_be_bytes());
            let name: Name = name.parse().expect("name");
            assert_eq!(format!("{:016x}", key.name(name.as_wire())), hash, "{name}");
            seen += 1;
        }
        assert!(seen >= 6);
    }

    #[test]
    fn one_pass_hashes_every_suffix() {
        let key = HashKey::from_bytes([7; 16]);
        let name: Name = "a.b.example".parse().expect("name");
        let mut hashes = [0; 128];
        assert_eq!(key.suffix_hashes(name.as_wire(), &mut hashes), 3);
        for (n, &hash) in hashes.iter().enumerate().take(4) {
            assert_eq!(hash, key.name(name.strip_left(3 - n)));
        }
        assert_eq!(key.below(hashes[1], b"\x01a\x01b"), hashes[3]);
        assert_eq!(hashes[0], ROOT);
    }

    #[test]
    fn longest_names_hash() {
        let key = HashKey::from_bytes([7; 16]);
        let name: Name = "a.".repeat(127).parse().expect("name");
        assert_eq!(key.suffix_hashes(name.as_wire(), &mut [0; 128]), 127);
        let label = [b'x'; 63];
        assert_ne!(key.child(ROOT, &label), key.child(ROOT, &label[1..]));
    }

    proptest! {
        #[test]
        fn a_child_is_what_the_general_function_says(
            key in any::<[u8; 16]>(),
            parent in any::<u64>(),
            label in prop::collection::vec(any::<u8>(), 1..=63),
        ) {
            let key = HashKey::from_bytes(key);
            prop_assert_eq!(key.child(parent, &label), key.bytes(&[&parent.to_le_bytes()[..], &label].concat()));
        }
    }

    #[test]
    fn debug_does_not_show_the_key() {
        assert_eq!(format!("{:?}", HashKey::from_bytes([7; 16])), "HashKey(..)");
    }
}
