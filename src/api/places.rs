//! Places that callers or addresses take and give back: so many for each, so many for all.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex};

/// Who holds how many places.
#[derive(Debug)]
pub(super) struct Places<K> {
    each_max: usize,
    all_max: usize,
    held: Mutex<Held<K>>,
}

#[derive(Debug)]
struct Held<K> {
    by_holder: HashMap<K, usize>,
    all: usize,
}

/// A place, given back when dropped.
#[derive(Debug)]
pub(super) struct Place<K: Eq + Hash> {
    places: Arc<Places<K>>,
    holder: K,
}

const POISONED: &str = "no holder of the lock can panic";

impl<K: Eq + Hash + Clone> Places<K> {
    /// At most `each_max` for one holder and `all_max` for all of them.
    pub(super) fn new(each_max: usize, all_max: usize) -> Arc<Places<K>> {
        let held = Held { by_holder: HashMap::new(), all: 0 };
        Arc::new(Places { each_max, all_max, held: Mutex::new(held) })
    }

    /// A place for `holder`, unless it has as many as it may, or all are taken.
    pub(super) fn take(self: &Arc<Places<K>>, holder: K) -> Option<Place<K>> {
        let mut held = self.held.lock().expect(POISONED);
        let count = held.by_holder.get(&holder).copied().unwrap_or(0);
        if count >= self.each_max || held.all >= self.all_max {
            return None;
        }
        held.by_holder.insert(holder.clone(), count + 1);
        held.all += 1;
        Some(Place { places: self.clone(), holder })
    }
}

impl<K: Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut held = self.places.held.lock().expect(POISONED);
        held.all -= 1;
        if let Some(count) = held.by_holder.get_mut(&self.holder) {
            *count -= 1;
            if *count == 0 {
                held.by_holder.remove(&self.holder);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_places_while_there_are_any() {
        let places = Places::new(2, 3);
        let first = places.take("ann").expect("a place");
        let second = places.take("ann").expect("a place");
        assert!(places.take("ann").is_none(), "as many as one may have");
        let third = places.take("bob").expect("a place");
        assert!(places.take("eve").is_none(), "as many as there are");
        drop(first);
        let fourth = places.take("eve").expect("a place");
        drop((second, third, fourth));
        assert!(places.held.lock().expect("free").by_holder.is_empty(), "who holds none is forgotten");
    }
}
