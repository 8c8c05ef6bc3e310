//! Keys of table `h`. The kind comes before the zone, so that the start reads the reviews and nothing else.
//!
//! | Key | Body |
//! | --- | --- |
//! | `h` 0 zone part | what was decided about versions, opaque, in parts |
//! | `h` 1 zone | [`Header`](super::Header) of the held version, without chain; the generation is that of its file |
//! | `h` 2 zone kind prefix bits | one page of the held version, unless it has a file |
//! | `h` 3 zone sequence | who gave the version that was the last when the chain had come to this number, opaque |

use super::{ZoneNumber, table};
use crate::zone::PageKey;

/// The start of all reviews.
pub const REVIEWS: [u8; 2] = [table::HELD, 0];

fn key(kind: u8, zone: ZoneNumber) -> Vec<u8> {
    let mut key = Vec::with_capacity(24);
    key.extend_from_slice(&[table::HELD, kind]);
    key.extend_from_slice(&zone.to_be_bytes());
    key
}

/// The start of each kind of keys.
pub fn kinds() -> impl Iterator<Item = [u8; 2]> {
    (0..=3).map(|kind| [table::HELD, kind])
}

/// The start of a zone's review.
pub fn review_key(zone: ZoneNumber) -> Vec<u8> {
    key(0, zone)
}

/// Of the held version.
pub fn header_key(zone: ZoneNumber) -> Vec<u8> {
    key(1, zone)
}

/// The start of all pages of the held version.
pub fn pages(zone: ZoneNumber) -> Vec<u8> {
    key(2, zone)
}

/// Of one page of the held version.
pub fn page_key(zone: ZoneNumber, page: PageKey) -> Vec<u8> {
    let mut key = pages(zone);
    key.extend_from_slice(&page.to_bytes());
    key
}

/// The start of all notes of a zone.
pub fn notes(zone: ZoneNumber) -> Vec<u8> {
    key(3, zone)
}

/// Of one note.
pub fn note_key(zone: ZoneNumber, sequence: u64) -> Vec<u8> {
    let mut key = notes(zone);
    key.extend_from_slice(&sequence.to_be_bytes());
    key
}

/// The zone in any of these keys.
pub fn zone_of(key: &[u8]) -> Option<ZoneNumber> {
    Some(ZoneNumber::from_be_bytes(*key.get(2..)?.first_chunk()?))
}

/// The number in a note's key.
pub fn sequence_of(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(*key.get(6..)?.first_chunk()?))
}
