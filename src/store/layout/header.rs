//! The bodies that decide what counts: of the whole store ([`Version`]), and of one zone ([`Header`]).

use super::Reader;
use crate::dns::{Name, Serial, name};

/// The body of `v`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// See [`FORMAT`](super::FORMAT).
    pub format: u32,
    /// Key of the owner name hash that all pages of this store were made with.
    pub hash_key: [u8; 16],
}

impl Version {
    /// As stored.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = self.format.to_le_bytes().to_vec();
        body.extend_from_slice(&self.hash_key);
        body
    }

    /// The format number of any version of this body, ours or a later one's: it always comes first.
    pub fn format_of(body: &[u8]) -> Option<u32> {
        Some(u32::from_le_bytes(*body.first_chunk()?))
    }

    /// Back from [`Version::encode`].
    pub fn decode(body: &[u8]) -> Option<Version> {
        let (format, hash_key) = body.split_first_chunk()?;
        Some(Version { format: u32::from_le_bytes(*format), hash_key: hash_key.try_into().ok()? })
    }
}

/// Where the pages of a generation are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Place {
    /// Gone (damage); only the history is left.
    Nowhere = 0,
    /// Under keys of the tree.
    Tree = 1,
    /// In a file of their own; since format 2.
    File = 2,
    /// Behind the header, under its key: there is one, and it is small; since format 3.
    Header = 3,
}

impl Place {
    fn from_octet(octet: u8) -> Option<Place> {
        [Place::Nowhere, Place::Tree, Place::File, Place::Header].into_iter().find(|&place| place as u8 == octet)
    }
}

/// The body of `z`: the one value that decides which pages and differences count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Pages of other generations are left-overs.
    pub generation: u32,
    /// Where they are.
    pub place: Place,
    /// Serial of the pages.
    pub base: Serial,
    /// The difference that led to the base; those behind it are the journal.
    pub base_sequence: u64,
    /// [`DiffHead::total`](super::DiffHead::total) at the base.
    pub base_total: u64,
    /// The oldest difference of the unbroken chain; older ones are left-overs.
    pub chain_start: u64,
    /// How many pages the generation has.
    pub pages: u32,
    /// Wrapping sum of the checksums of the hash key and of the pages' values.
    pub digest: u64,
    /// Octets of the pages.
    pub image_octets: u64,
    /// The zone's apex.
    pub apex: Name,
}

impl Header {
    /// As stored. `page`: the zone's page with [`Place::Header`], else nothing.
    pub fn encode(&self, page: &[u8]) -> Vec<u8> {
        let mut body = Vec::with_capacity(57 + self.apex.as_wire().len() + page.len());
        body.extend_from_slice(&self.generation.to_le_bytes());
        body.push(self.place as u8);
        body.extend_from_slice(&self.base.0.to_le_bytes());
        body.extend_from_slice(&self.base_sequence.to_le_bytes());
        body.extend_from_slice(&self.base_total.to_le_bytes());
        body.extend_from_slice(&self.chain_start.to_le_bytes());
        body.extend_from_slice(&self.pages.to_le_bytes());
        body.extend_from_slice(&self.digest.to_le_bytes());
        body.extend_from_slice(&self.image_octets.to_le_bytes());
        body.extend_from_slice(self.apex.as_wire());
        body.extend_from_slice(page);
        body
    }

    /// Whether there are pages.
    pub fn is_loaded(&self) -> bool {
        self.place != Place::Nowhere
    }

    /// Back from [`Header::encode`], with the page.
    pub fn decode(body: &[u8]) -> Option<(Header, &[u8])> {
        let mut reader = Reader(body);
        let header = Header {
            generation: reader.u32()?,
            place: Place::from_octet(reader.u8()?)?,
            base: Serial(reader.u32()?),
            base_sequence: reader.u64()?,
            base_total: reader.u64()?,
            chain_start: reader.u64()?,
            pages: reader.u32()?,
            digest: reader.u64()?,
            image_octets: reader.u64()?,
            apex: Name::from_wire(reader.octets(name::wire_len(reader.0).ok()?)?).ok()?,
        };
        let page = reader.0;
        (page.is_empty() || header.place == Place::Header).then_some((header, page))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_header_survives_its_encoding(
            generation: u32, place in 0u8..4, base: u32, base_sequence: u64, base_total: u64, chain_start: u64,
            pages: u32, digest: u64, image_octets: u64,
            page in proptest::collection::vec(0u8.., 0..50),
        ) {
            let apex: Name = "example.com.".parse().expect("a name");
            let header = Header {
                generation, place: Place::from_octet(place).expect("a place"), base: Serial(base), base_sequence, base_total, chain_start, pages, digest,
                image_octets, apex,
            };
            let page = if header.place == Place::Header { page } else { Vec::new() };
            let body = header.encode(&page);
            prop_assert_eq!(Header::decode(&body), Some((header, &page[..])));
            for length in 0..body.len() {
                let _ = Header::decode(&body[..length]);
            }
        }
    }
}
