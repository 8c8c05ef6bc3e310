//! Records of one part of the hash space as they arrive, until they become pages.
//!
//! Filled by [`super::Builder`] in any order, sorted once, read by hash. What comes in a row of one owner is kept in a row: a
//! [`Run`], with the owner once. No allocation for single records.

use super::page::{self, MISSES_AT_ONCE};
use crate::dns::RecordType;
use crate::reason::{Code, Reason};

/// Octets of a chunk. In chunks, because one block of memory for all would be twice as large as it need be while it
/// grows, and because what is freed in such pieces is at once of use for pages.
const CHUNK_OCTETS: usize = 1 << 16;
/// The number of records in a run, behind its owner.
const COUNT_OCTETS: usize = 2;
/// Type, TTL and rdata length.
const FIXED_OCTETS: usize = 8;

/// Records with an owner and a hash to go by, see above. What the owner and the hash are of is the user's business.
#[derive(Debug, Default)]
pub(super) struct Partition {
    /// Runs, one behind the other: `u8` owner length, owner, `u16` number of records, records; of each record `u16` type, `u32`
    /// TTL, `u16` rdata length, rdata (native order). At most [`CHUNK_OCTETS`] each; one that holds a single large record may
    /// be larger.
    chunks: Vec<Vec<u8>>,
    /// Of each run its hash, and its place: number of the chunk and offset in it, 16 bits each.
    index: Vec<(u64, u32)>,
}

/// Records of one owner that came in a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run<'a> {
    /// Without the apex, in lower case.
    pub(super) owner: &'a [u8],
    count: u16,
    octets: &'a [u8],
}

/// A record of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stored<'a> {
    pub(super) rtype: RecordType,
    pub(super) ttl: u32,
    pub(super) rdata: &'a [u8],
}

impl Partition {
    /// Takes a record. Fails when the partition is full.
    pub(super) fn push(&mut self, hash: u64, owner: &[u8], record: Stored<'_>) -> Result<(), Reason> {
        let octets = FIXED_OCTETS + record.rdata.len();
        let chunk = match self.open_run(hash, owner, octets) {
            Some((count_at, chunk)) => {
                let (count, _) = chunk[count_at..].split_first_chunk_mut().expect("each run has a count");
                *count = (u16::from_ne_bytes(*count) + 1).to_ne_bytes();
                chunk
            }
            None => self.start_run(hash, owner, octets)?,
        };
        let mut fixed = [0; FIXED_OCTETS];
        fixed[..2].copy_from_slice(&record.rtype.0.to_ne_bytes());
        fixed[2..6].copy_from_slice(&record.ttl.to_ne_bytes());
        fixed[6..].copy_from_slice(&(record.rdata.len() as u16).to_ne_bytes());
        chunk.extend_from_slice(&fixed);
        chunk.extend_from_slice(record.rdata);
        Ok(())
    }

    /// The last chunk, if its last run is this owner's and has room for `octets` more; and where that run's count stands.
    #[inline]
    fn open_run(&mut self, hash: u64, owner: &[u8], octets: usize) -> Option<(usize, &mut Vec<u8>)> {
        let &(last, place) = self.index.last()?;
        let chunk = self.chunks.last_mut()?;
        let owner_at = (place & 0xffff) as usize + 1;
        let is_open = last == hash
            && chunk.len() + octets <= CHUNK_OCTETS
            && usize::from(chunk[owner_at - 1]) == owner.len()
            && chunk[owner_at..].starts_with(owner);
        is_open.then_some((owner_at + owner.len(), chunk))
    }

    /// Begins a run of one record, whose `octets` the caller puts behind it.
    fn start_run(&mut self, hash: u64, owner: &[u8], octets: usize) -> Result<&mut Vec<u8>, Reason> {
        let octets = 1 + owner.len() + COUNT_OCTETS + octets;
        if self.chunks.last().is_none_or(|last| last.len() + octets > CHUNK_OCTETS) {
            let number = self.chunks.len();
            if number > usize::from(u16::MAX) {
                return Err(Reason::new(Code::LimitBytes, "4 GiB in one of 32 parts of the zone"));
            }
            // Most zones are small: their only chunk grows as it must.
            self.chunks.push(Vec::with_capacity(if number == 0 { 0 } else { CHUNK_OCTETS.max(octets) }));
        }
        let number = self.chunks.len() - 1;
        let chunk = self.chunks.last_mut().expect("pushed if there was none");
        self.index.push((hash, (number << 16 | chunk.len()) as u32));
        chunk.reserve(octets);
        chunk.push(owner.len() as u8);
        chunk.extend_from_slice(owner);
        chunk.extend_from_slice(&1u16.to_ne_bytes());
        Ok(chunk)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Sorts the runs by hash. Nothing can be added any more.
    pub(super) fn sort(&mut self) {
        self.index.sort_unstable_by_key(|i| i.0);
    }

    /// Gives `visit` the runs of each hash, by ascending hash; it has been sorted.
    pub(super) fn groups<'a>(
        &'a self,
        mut visit: impl FnMut(u64, &mut [Run<'a>]) -> Result<(), Reason>,
    ) -> Result<(), Reason> {
        let (mut at, mut near, mut group) = (0, 0, Vec::new());
        for same_hash in self.index.chunk_by(|a, b| a.0 == b.0) {
            if at >= near {
                near = (at + MISSES_AT_ONCE).min(self.index.len());
                self.look_ahead(self.index[at..near].iter().map(|i| i.1));
            }
            at += same_hash.len();
            group.clear();
            group.extend(same_hash.iter().map(|i| self.at(i.1)));
            visit(same_hash[0].0, &mut group)?;
        }
        Ok(())
    }

    /// Gives `visit` each run whose hash is among `wanted` (ascending) with what is wanted of it; it has been sorted.
    pub(super) fn find<T: Copy>(
        &self,
        wanted: &[(u64, T)],
        mut visit: impl FnMut(Run<'_>, T) -> Result<(), Reason>,
    ) -> Result<(), Reason> {
        let (mut from, mut found) = (0, Vec::with_capacity(wanted.len()));
        for &(hash, what) in wanted {
            from += self.index[from..].iter().take_while(|i| i.0 < hash).count();
            found.extend(self.index[from..].iter().take_while(|i| i.0 == hash).map(|i| (i.1, what)));
        }
        for near in found.chunks(MISSES_AT_ONCE) {
            self.look_ahead(near.iter().map(|i| i.0));
            near.iter().try_for_each(|&(place, what)| visit(self.at(place), what))?;
        }
        Ok(())
    }

    /// The runs with this hash; it has been sorted.
    pub(super) fn with_hash(&self, hash: u64) -> impl Iterator<Item = Run<'_>> {
        let from = self.index.partition_point(|i| i.0 < hash);
        self.index[from..].iter().take_while(move |i| i.0 == hash).map(|i| self.at(i.1))
    }

    /// All records.
    pub(super) fn records(&self) -> impl Iterator<Item = Stored<'_>> {
        self.index.iter().flat_map(|i| self.at(i.1).records())
    }

    /// Brings the beginnings of some runs into the cache. They lie anywhere: the processor waits for them together.
    fn look_ahead(&self, places: impl Iterator<Item = u32>) {
        for place in places {
            let (chunk, at) = self.locate(place);
            page::touch(chunk, at);
        }
    }

    fn locate(&self, place: u32) -> (&[u8], usize) {
        (&self.chunks[(place >> 16) as usize], (place & 0xffff) as usize)
    }

    fn at(&self, place: u32) -> Run<'_> {
        let (chunk, at) = self.locate(place);
        let octets = &chunk[at..];
        let (owner, rest) = octets[1..].split_at(octets[0] as usize);
        let (count, octets) = rest.split_at(COUNT_OCTETS);
        Run { owner, count: u16::from_ne_bytes([count[0], count[1]]), octets }
    }
}

impl<'a> Run<'a> {
    /// Its records.
    pub(super) fn records(self) -> impl Iterator<Item = Stored<'a>> {
        let mut rest = self.octets;
        (0..self.count).map(move |_| {
            let (fixed, behind) = rest.split_at(FIXED_OCTETS);
            let (rdata, behind) = behind.split_at(u16::from_ne_bytes([fixed[6], fixed[7]]) as usize);
            rest = behind;
            Stored {
                rtype: RecordType(u16::from_ne_bytes([fixed[0], fixed[1]])),
                ttl: u32::from_ne_bytes([fixed[2], fixed[3], fixed[4], fixed[5]]),
                rdata,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Hash, owner, type, TTL, rdata.
    type Record = (u64, Vec<u8>, u16, u32, Vec<u8>);

    /// What a partition holds, as it comes.
    fn contents(partition: &Partition) -> Vec<Record> {
        let mut all = Vec::new();
        let visit = |hash, runs: &mut [Run<'_>]| {
            for run in runs {
                all.extend(run.records().map(|r| (hash, run.owner.to_vec(), r.rtype.0, r.ttl, r.rdata.to_vec())));
            }
            Ok(())
        };
        partition.groups(visit).expect("the visitor takes everything");
        all
    }

    fn record() -> impl Strategy<Value = Record> {
        // few owners, so that many come again, now and then with another's hash
        let owner = (0u8..12).prop_map(|n| vec![b'o'; usize::from(n)]);
        let rdata = prop_oneof![9 => 0..40usize, 1 => 30_000..65_536usize].prop_map(|octets| vec![7; octets]);
        (0u64..9, owner, any::<u16>(), any::<u32>(), rdata)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn what_is_put_in_comes_out_by_hash(records in prop::collection::vec(record(), 0..80)) {
            let mut partition = Partition::default();
            for (hash, owner, rtype, ttl, rdata) in &records {
                let stored = Stored { rtype: RecordType(*rtype), ttl: *ttl, rdata };
                partition.push(*hash, owner, stored).expect("far from full");
            }
            let mut expected = records;
            expected.sort();
            partition.sort();
            let mut found = contents(&partition);
            prop_assert!(found.is_sorted_by_key(|record| record.0));
            found.sort();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn records_in_a_row_of_one_owner_are_one_run() {
        let mut partition = Partition::default();
        let one = Stored { rtype: RecordType::A, ttl: 1, rdata: &[192, 0, 2, 1] };
        for (hash, owner) in [(3, b"a"), (3, b"a"), (1, b"b"), (3, b"a"), (3, b"c")] {
            partition.push(hash, owner, one).expect("far from full");
        }
        partition.sort();
        let mut runs: Vec<_> =
            [1, 3].into_iter().flat_map(|h| partition.with_hash(h)).map(|r| (r.owner, r.count)).collect();
        // neither the order of the owners with one hash is said nor that of an owner's runs
        runs.sort_unstable();
        assert_eq!(runs, [(&b"a"[..], 1), (b"a", 2), (b"b", 1), (b"c", 1)]);
        let mut found = Vec::new();
        let visit = |run: Run<'_>, what| {
            found.push((run.owner.to_vec(), what));
            Ok(())
        };
        partition.find(&[(0, 'x'), (1, 'y'), (1, 'z'), (2, 'x')], visit).expect("the visitor takes everything");
        assert_eq!(found, [(b"b".to_vec(), 'y'), (b"b".to_vec(), 'z')]);
    }
}
