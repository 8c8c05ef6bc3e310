//! An immutable sorted sequence: one place of it changes without the rest being copied, and the n-th item is found at once.
//!
//! Chunks of up to [`CHUNK_MAX`] items behind shared pointers. Readers keep a version as long as they like; a change
//! copies one chunk and the list of chunks (an eighth of an octet an item), or nothing where nobody else looks. So
//! 100,000 entries cost some microseconds a change, and a page at any depth costs the page.

use std::cmp::Ordering;
use std::sync::Arc;

/// Items of one chunk, at most.
pub const CHUNK_MAX: usize = 128;

/// See the module. Items are unique under their order.
#[derive(Clone, Debug)]
pub struct Shelf<T> {
    chunks: Arc<Vec<Arc<Vec<T>>>>,
    len: usize,
}

impl<T> Default for Shelf<T> {
    fn default() -> Shelf<T> {
        Shelf { chunks: Arc::default(), len: 0 }
    }
}

impl<T: Ord + Clone> Shelf<T> {
    /// Number of items.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Puts `item` in; the one that was equal to it, if any, goes out. O(chunk + chunks).
    pub fn insert(&mut self, item: T) -> Option<T> {
        let chunks = Arc::make_mut(&mut self.chunks);
        if chunks.is_empty() {
            chunks.push(Arc::default());
        }
        let at = chunks.partition_point(|chunk| chunk.first().is_some_and(|first| *first <= item)).saturating_sub(1);
        let chunk = Arc::make_mut(&mut chunks[at]);
        match chunk.binary_search(&item) {
            Ok(place) => Some(std::mem::replace(&mut chunk[place], item)),
            Err(place) => {
                chunk.insert(place, item);
                if chunk.len() > CHUNK_MAX {
                    let upper = chunk.split_off(CHUNK_MAX / 2);
                    chunks.insert(at + 1, Arc::new(upper));
                }
                self.len += 1;
                None
            }
        }
    }

    /// Takes the item equal to `item` out. O(chunk + chunks).
    pub fn remove(&mut self, item: &T) -> Option<T> {
        let at =
            self.chunks.partition_point(|chunk| chunk.first().is_some_and(|first| first <= item)).checked_sub(1)?;
        let place = self.chunks[at].binary_search(item).ok()?;
        let chunks = Arc::make_mut(&mut self.chunks);
        let chunk = Arc::make_mut(&mut chunks[at]);
        let removed = chunk.remove(place);
        if chunk.is_empty() {
            chunks.remove(at);
        }
        self.len -= 1;
        Some(removed)
    }

    /// The item that `order` calls equal; it must agree with the order of the items. O(log items).
    pub fn find(&self, order: impl Fn(&T) -> Ordering) -> Option<&T> {
        let at = self.chunks.partition_point(|c| c.first().is_some_and(|first| order(first).is_le())).checked_sub(1)?;
        let chunk = &self.chunks[at];
        chunk.binary_search_by(order).ok().map(|place| &chunk[place])
    }

    /// Every item for which `order` says equal; those are neighbours. O(log items + found).
    pub fn range<'a>(&'a self, order: impl Fn(&T) -> Ordering + 'a) -> impl Iterator<Item = &'a T> {
        let at = self.chunks.partition_point(|chunk| chunk.last().is_some_and(|last| order(last).is_lt()));
        let first = self.chunks.get(at).map_or(0, |chunk| chunk.partition_point(|item| order(item).is_lt()));
        let rest = self.chunks[at..].iter().flat_map(|chunk| chunk.iter()).skip(first);
        rest.take_while(move |item| order(item).is_eq())
    }

    /// How many items `order` calls less. O(log items + chunks).
    pub fn rank(&self, order: impl Fn(&T) -> Ordering) -> usize {
        let at = self.chunks.partition_point(|chunk| chunk.last().is_some_and(|last| order(last).is_lt()));
        let before: usize = self.chunks[..at].iter().map(|chunk| chunk.len()).sum();
        before + self.chunks.get(at).map_or(0, |chunk| chunk.partition_point(|item| order(item).is_lt()))
    }

    /// Items from the `skipped`-th on, in order. O(chunks) before the first.
    pub fn from(&self, mut skipped: usize) -> impl Iterator<Item = &T> {
        let mut at = 0;
        while let Some(chunk) = self.chunks.get(at).filter(|chunk| chunk.len() <= skipped) {
            skipped -= chunk.len();
            at += 1;
        }
        self.chunks[at..].iter().flat_map(|chunk| chunk.iter()).skip(skipped)
    }

    /// All items in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }
}

impl<T: Ord + Clone> FromIterator<T> for Shelf<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Shelf<T> {
        let mut items: Vec<T> = items.into_iter().collect();
        items.sort_unstable();
        items.dedup();
        let len = items.len();
        let mut rest = items.into_iter();
        let chunks = std::iter::from_fn(|| {
            let chunk: Vec<T> = rest.by_ref().take(CHUNK_MAX / 2).collect();
            (!chunk.is_empty()).then(|| Arc::new(chunk))
        });
        Shelf { chunks: Arc::new(chunks.collect()), len }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_version_that_is_kept_does_not_see_later_changes() {
        let old: Shelf<u32> = (0..1000).collect();
        let mut new = old.clone();
        new.remove(&5);
        new.insert(5000);
        assert!(old.find(|n| n.cmp(&5)).is_some() && new.find(|n| n.cmp(&5)).is_none());
        assert_eq!((old.len(), new.len()), (1000, 1000));
    }

    proptest! {
        #[test]
        fn a_shelf_is_a_sorted_set_with_ranks(
            start in proptest::collection::btree_set(0u16..2000, 0..600),
            changes in proptest::collection::vec((any::<bool>(), 0u16..2000), 0..600),
            asked in 0u16..2000,
        ) {
            let mut shelf: Shelf<u16> = start.iter().copied().collect();
            let mut set: BTreeSet<u16> = start;
            for (add, n) in changes {
                if add {
                    prop_assert_eq!(shelf.insert(n).is_some(), !set.insert(n));
                } else {
                    prop_assert_eq!(shelf.remove(&n).is_some(), set.remove(&n));
                }
            }
            prop_assert!(shelf.iter().eq(set.iter()));
            prop_assert_eq!(shelf.len(), set.len());
            prop_assert_eq!(shelf.find(|n| n.cmp(&asked)), set.get(&asked));
            prop_assert_eq!(shelf.rank(|n| n.cmp(&asked)), set.range(..asked).count());
            let skipped = usize::from(asked) % (set.len() + 2);
            prop_assert!(shelf.from(skipped).eq(set.iter().skip(skipped)));
            let tens = |n: &u16| (n / 10).cmp(&(asked / 10));
            prop_assert!(shelf.range(tens).eq(set.iter().filter(|n| tens(n).is_eq())));
        }
    }
}
