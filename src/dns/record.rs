//! One resource record in uncompressed wire form: the unit that transfers, differences and listings exchange.

use super::{Name, RecordType};

/// A record of class IN, borrowed. `owner` is an uncompressed absolute name in lower case; `rdata` is uncompressed,
/// its embedded names in the spelling in which they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordRef<'a> {
    /// Owner, absolute, lower case, with its final zero octet.
    pub owner: &'a [u8],
    /// Type.
    pub rtype: RecordType,
    /// Seconds; a value with the top bit set has already been read as 0 (RFC 2181 §8).
    pub ttl: u32,
    /// At most 65,535 octets.
    pub rdata: &'a [u8],
}

impl RecordRef<'_> {
    /// An owned copy.
    pub fn to_record(self) -> Record {
        Record {
            owner: Name::from_wire(self.owner).expect("the owner of a RecordRef is one whole name"),
            rtype: self.rtype,
            ttl: self.ttl,
            rdata: self.rdata.into(),
        }
    }
}

/// A record of class IN, owned. See [`RecordRef`] for the form of its parts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    /// Owner.
    pub owner: Name,
    /// Type.
    pub rtype: RecordType,
    /// Seconds.
    pub ttl: u32,
    /// At most 65,535 octets.
    pub rdata: Box<[u8]>,
}

impl Record {
    /// The borrowed form.
    pub fn borrow(&self) -> RecordRef<'_> {
        RecordRef { owner: self.owner.as_wire(), rtype: self.rtype, ttl: self.ttl, rdata: &self.rdata }
    }
}
