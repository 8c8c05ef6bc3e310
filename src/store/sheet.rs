//! Where small octets are written one behind the other: for the store, until its writer takes them, and for the ring of
//! events.
//!
//! In: what `control` has to say of a zone: confirmations, statuses, attempts, notes. Out: [`Bytes`] that share one block
//! until the last of them has gone. With an allocation each, ten thousand new zones had four of some hundred octets in
//! the queue at any time, between what stays of these zones, and the holes they left were as much as a quarter of all
//! memory at rest: no page of it was free. A block is freed as a whole.

use std::io;
use std::sync::{Mutex, PoisonError};

use bytes::{BufMut, Bytes, BytesMut};

/// Octets of a block. Some hundred writes share one; the slowest of them keeps it.
const SHEET_OCTETS: usize = 64 << 10;
/// With less room than this a new block is begun: most writes are shorter, and what does not fit is copied over.
const ROOM_OCTETS: usize = 2 << 10;

/// See the module.
#[derive(Debug, Default)]
pub struct Sheet(Mutex<BytesMut>);

impl Sheet {
    /// What `put` writes, of any length.
    pub fn write(&self, put: impl FnOnce(&mut dyn io::Write)) -> Bytes {
        let mut sheet = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sheet.capacity() < ROOM_OCTETS {
            *sheet = BytesMut::with_capacity(SHEET_OCTETS);
        }
        // What a write that panicked has left belongs to nobody.
        sheet.clear();
        put(&mut (&mut *sheet).writer());
        sheet.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_write_is_its_own_however_long() {
        let sheet = Sheet::default();
        let lengths = [0, 1, 300, SHEET_OCTETS - 301, ROOM_OCTETS, 3 * SHEET_OCTETS, 5];
        let written = lengths.map(|length| {
            let octets = vec![length as u8; length];
            (sheet.write(|out| out.write_all(&octets).expect("memory takes it")), octets)
        });
        assert!(written.iter().all(|(bytes, octets)| bytes == octets));
    }
}
