//! Keys and values of the one sled tree, byte for byte; pure functions, no sled in here.
//!
//! Numbers in keys are big-endian, so that the tree's order is ours. The first byte is the table:
//!
//! | Key | Body of the value |
//! | --- | --- |
//! | `v` | format `u32`, hash key 16 B |
//! | `c` zone part | definition, opaque, in parts |
//! | `z` zone | [`Header`]: which generation of pages is live, where the chain of diffs stands; behind it the page of a zone that has one small page |
//! | `t` zone | refresh confirmation, opaque |
//! | `p` zone generation kind prefix bits | one page of a zone that has more, or a spill chunk |
//! | `j` zone sequence part | one difference sequence in wire form, in parts, the first behind a [`DiffHead`] |
//! | `a` zone index part | one primary's status, opaque, in parts |
//! | `n` zone ring sequence | one ended attempt, opaque; a ring is an address of a primary |
//! | `h` kind zone … | what was decided about versions, a held version, who gave which version: see [`held`] |
//! | `e` zone number part | one entry of a local zone, opaque, in parts; under number 0 what belongs to all of them |
//! | `l` zone number part | an entry of a local zone's log of changes under the number of its last change, opaque, in parts |
//! | `m` name 0 part | whatever else the layers above keep, opaque, in parts |
//!
//! Every value is `crc32(key, body)` followed by the body, numbers little-endian. A body has at most
//! [`BODY_OCTETS_MAX`] octets; the traps in the module docs of `store` say why.

use crate::dns::Serial;
use crate::zone::PageKey;

mod header;
pub mod held;

pub use header::{Header, Place, Version};

/// The format this build writes. A change of any byte below, or of the page format, is a new number.
pub const FORMAT: u32 = 3;

/// The oldest format this build reads. 1 knew no files of pages, and 2 no pages behind headers; all they wrote is read as it is.
pub const FORMAT_OLDEST: u32 = 1;

/// Largest body of a value. sled splits a leaf above 16 items only and puts a leaf over 131,052 octets into a file
/// of its own; 17 values of this size with their keys and checksums stay below that.
pub const BODY_OCTETS_MAX: usize = 7_000;

/// A page of a zone that has no other stands behind its header if it is no larger: every leaf of headers is read and written with
/// the pages in it, and a header with a long name stays below [`BODY_OCTETS_MAX`].
pub const PAGE_BEHIND_HEADER_MAX: usize = 4_096;

/// Octets of the checksum in front of each body.
pub const CHECKSUM_OCTETS: usize = 4;

/// How much of a longer value stands in one part. Below [`BODY_OCTETS_MAX`], because a long value fills whole leaves,
/// and sled merges a leaf of 3 items into a neighbour of 17 without looking at the size: 20 such parts still fit.
pub const PART_OCTETS: usize = 6_400;

/// Zone identity in keys; [`crate::served`] gives them out.
pub type ZoneNumber = u32;

/// The tables, as first octet of a key.
pub mod table {
    /// Format version and hash key.
    pub const VERSION: u8 = b'v';
    /// Definitions.
    pub const DEFINITION: u8 = b'c';
    /// Zone headers.
    pub const ZONE: u8 = b'z';
    /// Refresh confirmations.
    pub const CONFIRMATION: u8 = b't';
    /// Pages.
    pub const PAGE: u8 = b'p';
    /// Difference sequences.
    pub const DIFF: u8 = b'j';
    /// Statuses of primaries.
    pub const PRIMARY: u8 = b'a';
    /// Ended attempts.
    pub const ATTEMPT: u8 = b'n';
    /// Reviews of versions, held versions, notes on versions.
    pub const HELD: u8 = b'h';
    /// Entries of local zones.
    pub const ENTRY: u8 = b'e';
    /// Logs of changes of local zones.
    pub const LOG: u8 = b'l';
    /// Named values of the layers above.
    pub const META: u8 = b'm';
}

/// A stored value that cannot be what was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The checksum does not match key and body.
    #[error("checksum of {0} does not match")]
    Checksum(String),
    /// Checksum right, contents impossible: a bug, or another program's data.
    #[error("{0} is not understood")]
    Shape(String),
    /// A part of a longer value, a difference or a page is missing.
    #[error("{0} is incomplete")]
    Missing(String),
    /// A file that the system does not give, with its words.
    #[error("{0} cannot be read: {1}")]
    Unreadable(String, String),
}

/// Puts the checksum in front of `body`.
pub fn seal(key: &[u8], body: &[u8]) -> Vec<u8> {
    assert!(body.len() <= BODY_OCTETS_MAX, "a value's body is at most {BODY_OCTETS_MAX} octets, not {}", body.len());
    let mut value = Vec::with_capacity(CHECKSUM_OCTETS + body.len());
    value.extend_from_slice(&checksum(key, body).to_le_bytes());
    value.extend_from_slice(body);
    value
}

/// The body behind a right checksum.
pub fn open<'a>(key: &[u8], value: &'a [u8]) -> Result<&'a [u8], Damage> {
    let Some((sum, body)) = value.split_first_chunk::<CHECKSUM_OCTETS>() else {
        return Err(Damage::Checksum(show(key)));
    };
    if u32::from_le_bytes(*sum) != checksum(key, body) {
        return Err(Damage::Checksum(show(key)));
    }
    Ok(body)
}

/// CRC-32 over key and body: a body that stands under another key is as wrong as a flipped bit.
pub fn checksum(key: &[u8], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(body);
    hasher.finalize()
}

/// A key as people read it, for reports of damage.
pub fn show(key: &[u8]) -> String {
    match key.split_first() {
        Some((table, rest)) => {
            let hex: String = rest.iter().map(|octet| format!("{octet:02x}")).collect();
            format!("{}/{hex}", char::from(*table))
        }
        None => "the empty key".to_owned(),
    }
}

// -- keys -------------------------------------------------------------------------------------------

/// The key of format version and hash key.
pub const VERSION_KEY: &[u8] = &[table::VERSION];

/// `table` zone: the key of a header or confirmation, the common start of all else.
pub fn zone_key(table: u8, zone: ZoneNumber) -> Vec<u8> {
    let mut key = Vec::with_capacity(24);
    key.push(table);
    key.extend_from_slice(&zone.to_be_bytes());
    key
}

/// The zone in a key of any table but `v`, `h` and `m`.
pub fn zone_of(key: &[u8]) -> Option<ZoneNumber> {
    Some(ZoneNumber::from_be_bytes(*key.get(1..)?.first_chunk()?))
}

/// The zone in a key, see [`zone_of`].
pub type ZoneOf = fn(&[u8]) -> Option<ZoneNumber>;

/// The start of every table whose keys name a zone, and how they do.
pub fn zone_tables() -> impl Iterator<Item = (Vec<u8>, ZoneOf)> {
    use table::{ATTEMPT, CONFIRMATION, DEFINITION, DIFF, ENTRY, LOG, PAGE, PRIMARY, ZONE};
    let plain = [DEFINITION, ZONE, CONFIRMATION, PAGE, DIFF, PRIMARY, ATTEMPT, ENTRY, LOG];
    let plain = plain.into_iter().map(|table| (vec![table], zone_of as ZoneOf));
    plain.chain(held::kinds().map(|start| (start.to_vec(), held::zone_of as ZoneOf)))
}

/// `p` zone generation: the start of all pages of one generation.
pub fn generation_key(zone: ZoneNumber, generation: u32) -> Vec<u8> {
    let mut key = zone_key(table::PAGE, zone);
    key.extend_from_slice(&generation.to_be_bytes());
    key
}

/// The generation in a page's key.
pub fn generation_of(key: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(*key.get(5..)?.first_chunk()?))
}

/// The key of a page: kind, then the hash range it covers, so that a scan meets pages in hash order.
pub fn page_key(zone: ZoneNumber, generation: u32, page: PageKey) -> Vec<u8> {
    let mut key = generation_key(zone, generation);
    key.extend_from_slice(&page.to_bytes());
    key
}

/// Which page a page's key names.
pub fn page_of(key: &[u8]) -> Option<PageKey> {
    PageKey::from_bytes(key.get(9..)?)
}

/// `j` zone sequence: the start of all parts of one difference.
pub fn diff_key(zone: ZoneNumber, sequence: u64) -> Vec<u8> {
    let mut key = zone_key(table::DIFF, zone);
    key.extend_from_slice(&sequence.to_be_bytes());
    key
}

/// Sequence number and part in a difference's key.
pub fn diff_position(key: &[u8]) -> Option<(u64, u16)> {
    let sequence = u64::from_be_bytes(*key.get(5..)?.first_chunk()?);
    let part = u16::from_be_bytes(*key.get(13..)?.first_chunk()?);
    Some((sequence, part))
}

/// `a` zone index: the start of a primary's status.
pub fn primary_key(zone: ZoneNumber, index: u16) -> Vec<u8> {
    let mut key = zone_key(table::PRIMARY, zone);
    key.extend_from_slice(&index.to_be_bytes());
    key
}

/// The index in a primary's key.
pub fn primary_of(key: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(*key.get(5..)?.first_chunk()?))
}

/// Whose attempts form one ring: the IPv6 form of a primary's address, then its port.
pub type Ring = [u8; 18];

/// `n` zone ring: the start of all attempts of one ring.
pub fn ring_key(zone: ZoneNumber, ring: &Ring) -> Vec<u8> {
    let mut key = zone_key(table::ATTEMPT, zone);
    key.extend_from_slice(ring);
    key
}

/// `n` zone ring sequence: one attempt.
pub fn attempt_key(zone: ZoneNumber, ring: &Ring, sequence: u64) -> Vec<u8> {
    let mut key = ring_key(zone, ring);
    key.extend_from_slice(&sequence.to_be_bytes());
    key
}

/// Ring and sequence number in an attempt's key.
pub fn attempt_position(key: &[u8]) -> Option<(Ring, u64)> {
    let ring = *key.get(5..)?.first_chunk()?;
    let sequence = u64::from_be_bytes(key.get(23..)?.try_into().ok()?);
    Some((ring, sequence))
}

/// `e` zone number: the start of an entry.
pub fn entry_key(zone: ZoneNumber, number: u64) -> Vec<u8> {
    let mut key = zone_key(table::ENTRY, zone);
    key.extend_from_slice(&number.to_be_bytes());
    key
}

/// The number in an entry's key.
pub fn entry_of(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(*key.get(5..)?.first_chunk()?))
}

/// `l` zone number: the start of an entry of a log.
pub fn log_key(zone: ZoneNumber, last: u64) -> Vec<u8> {
    let mut key = zone_key(table::LOG, zone);
    key.extend_from_slice(&last.to_be_bytes());
    key
}

/// The number in the key of an entry of a log.
pub fn logged_of(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(*key.get(5..)?.first_chunk()?))
}

/// `m` name 0: the start of a named value. The zero keeps `a` apart from `ab`.
pub fn meta_key(name: &str) -> Vec<u8> {
    let mut key = vec![table::META];
    key.extend_from_slice(name.as_bytes());
    key.push(0);
    key
}

/// The name in a named value's key.
pub fn meta_name_of(key: &[u8]) -> Option<&str> {
    let name = key.get(1..)?.split(|octet| *octet == 0).next()?;
    std::str::from_utf8(name).ok()
}

/// One part of a value that is stored in parts.
pub fn part_key(start: &[u8], part: u16) -> Vec<u8> {
    let mut key = start.to_vec();
    key.extend_from_slice(&part.to_be_bytes());
    key
}

/// The part number at the end of a key.
pub fn part_of(key: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(*key.last_chunk()?))
}

/// The first key behind all keys that start with `start`.
pub fn behind(start: &[u8]) -> Vec<u8> {
    let mut end = start.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    // Only 0xff octets: no table is called so.
    vec![u8::MAX]
}

// -- bodies -----------------------------------------------------------------------------------------

/// What stands in front of a difference's octets in its first part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiffHead {
    /// Serial it starts at.
    pub from: Serial,
    /// Serial it leads to.
    pub to: Serial,
    /// Number of parts, at least 1.
    pub parts: u16,
    /// Octets of the difference in all parts together.
    pub octets: u32,
    /// Octets of all differences ever stored for the zone up to and including this one, so that the size of any
    /// stretch of the chain is one subtraction.
    pub total: u64,
}

impl DiffHead {
    /// Octets of the encoded head.
    pub const OCTETS: usize = 22;

    /// As stored.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(Self::OCTETS);
        body.extend_from_slice(&self.from.0.to_le_bytes());
        body.extend_from_slice(&self.to.0.to_le_bytes());
        body.extend_from_slice(&self.parts.to_le_bytes());
        body.extend_from_slice(&self.octets.to_le_bytes());
        body.extend_from_slice(&self.total.to_le_bytes());
        body
    }

    /// The head and the octets behind it.
    pub fn decode(body: &[u8]) -> Option<(DiffHead, &[u8])> {
        let mut reader = Reader(body);
        let head = DiffHead {
            from: Serial(reader.u32()?),
            to: Serial(reader.u32()?),
            parts: reader.u16()?,
            octets: reader.u32()?,
            total: reader.u64()?,
        };
        Some((head, reader.0))
    }
}

/// The largest difference that can be stored: its parts are numbered by a `u16` and one batch holds them all.
pub const DIFF_OCTETS_MAX: usize = 8 << 20;

/// Cuts a difference into the bodies of its parts. At most [`DIFF_OCTETS_MAX`] octets.
pub fn diff_parts(from: Serial, to: Serial, total: u64, octets: &[u8]) -> Vec<Vec<u8>> {
    assert!(octets.len() <= DIFF_OCTETS_MAX, "larger differences are not stored");
    let mut bodies: Vec<Vec<u8>> = vec![Vec::new()];
    let room = PART_OCTETS - DiffHead::OCTETS;
    let (first, rest) = octets.split_at(octets.len().min(room));
    bodies.extend(rest.chunks(PART_OCTETS).map(<[u8]>::to_vec));
    let parts = u16::try_from(bodies.len()).expect("DIFF_OCTETS_MAX keeps the parts below 65,536");
    let head = DiffHead { from, to, parts, octets: octets.len() as u32, total };
    bodies[0] = head.encode();
    bodies[0].extend_from_slice(first);
    bodies
}

/// The largest opaque value that can be stored in parts.
pub const OPAQUE_OCTETS_MAX: usize = 8 << 20;

/// Cuts an opaque value into bodies, each behind the number of parts. At most [`OPAQUE_OCTETS_MAX`] octets.
pub fn opaque_parts(octets: &[u8]) -> Vec<Vec<u8>> {
    assert!(octets.len() <= OPAQUE_OCTETS_MAX, "larger values are refused before");
    let chunks: Vec<&[u8]> = if octets.is_empty() { vec![&[]] } else { octets.chunks(PART_OCTETS - 2).collect() };
    let parts = u16::try_from(chunks.len()).expect("OPAQUE_OCTETS_MAX keeps the parts below 65,536");
    chunks
        .into_iter()
        .map(|chunk| {
            let mut body = parts.to_le_bytes().to_vec();
            body.extend_from_slice(chunk);
            body
        })
        .collect()
}

/// Number of parts and the chunk in one body of [`opaque_parts`].
pub fn opaque_part(body: &[u8]) -> Option<(u16, &[u8])> {
    let (parts, chunk) = body.split_first_chunk()?;
    Some((u16::from_le_bytes(*parts), chunk))
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn octets(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_sort_by_zone_then_generation_then_hash() {
        let page = |prefix, bits| PageKey::from_bytes(&[&[1][..], &u64::to_be_bytes(prefix), &[bits]].concat());
        let page = |prefix, bits| page(prefix, bits).expect("a page's key");
        let sorted = [
            page_key(1, 1, page(0, 1)),
            page_key(1, 1, page(1 << 63, 1)),
            page_key(1, 2, page(0, 2)),
            page_key(1, 256, page(0, 2)),
            page_key(256, 1, page(0, 2)),
        ];
        assert!(sorted.is_sorted());
        assert!(part_key(&diff_key(7, 255), 3) < part_key(&diff_key(7, 256), 0));
    }

    #[test]
    fn keys_can_be_read_back() {
        let key = part_key(&diff_key(7, 0x1_0000_0001), 9);
        assert_eq!((zone_of(&key), diff_position(&key)), (Some(7), Some((0x1_0000_0001, 9))));
        assert_eq!(generation_of(&generation_key(7, 8)), Some(8));
        assert_eq!(primary_of(&part_key(&primary_key(7, 300), 0)), Some(300));
        assert_eq!(zone_of(VERSION_KEY), None);
    }

    #[test]
    fn the_key_behind_a_prefix_is_behind_all_its_keys() {
        assert_eq!(behind(b"p"), b"q");
        assert_eq!(behind(&[b'p', 0, 0xff, 0xff]), [b'p', 1]);
        assert!(behind(&zone_key(table::PAGE, u32::MAX)) > page_key_of_ones());
    }

    fn page_key_of_ones() -> Vec<u8> {
        let mut key = generation_key(u32::MAX, u32::MAX);
        key.extend_from_slice(&[0xff; 10]);
        key
    }

    #[test]
    fn a_flipped_bit_or_a_foreign_key_is_noticed() {
        let key = zone_key(table::ZONE, 5);
        let value = seal(&key, b"body");
        assert_eq!(open(&key, &value), Ok(&b"body"[..]));
        for bit in 0..value.len() * 8 {
            let mut flipped = value.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(open(&key, &flipped), Err(Damage::Checksum(_))), "bit {bit}");
        }
        assert!(open(&zone_key(table::ZONE, 6), &value).is_err());
        assert!(open(&key, &value[..3]).is_err());
    }

    proptest! {
        #[test]
        fn parts_are_small_and_give_the_whole_again(length in 0usize..40_000) {
            let octets: Vec<u8> = (0..length).map(|i| i as u8).collect();
            let bodies = diff_parts(Serial(1), Serial(2), 77, &octets);
            prop_assert!(bodies.iter().all(|body| body.len() <= PART_OCTETS));
            let (head, first) = DiffHead::decode(&bodies[0]).expect("a head");
            prop_assert_eq!(usize::from(head.parts), bodies.len());
            prop_assert_eq!([first, &bodies[1..].concat()].concat(), octets.clone());

            let bodies = opaque_parts(&octets);
            prop_assert!(bodies.iter().all(|body| body.len() <= PART_OCTETS));
            let chunks: Vec<&[u8]> = bodies.iter().filter_map(|body| Some(opaque_part(body)?.1)).collect();
            prop_assert_eq!(chunks.concat(), octets);
        }
    }
}
