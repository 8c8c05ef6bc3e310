//! An ordered set of octet strings, shared between versions: which name comes before which, for proofs that a name does
//! not exist.
//!
//! A copy-on-write B+tree. Used by [`super::denial`] only; not stored, since the entries tell it again. Keys are at most
//! [`KEY_OCTETS_MAX`] octets. Unlike the pages its shape depends on history; only the set of its keys is compared.

use std::sync::Arc;

/// Octets of the longest key: a name in which every octet had to be escaped.
pub(super) const KEY_OCTETS_MAX: usize = 640;
/// Keys of a leaf, children of an inner node; a full one is halved.
const FANOUT: usize = 64;

/// A sorted run of keys in one allocation each for octets and ends.
#[derive(Clone, Debug, Default)]
struct Keys {
    octets: Vec<u8>,
    ends: Vec<u16>,
}

impl Keys {
    fn len(&self) -> usize {
        self.ends.len()
    }

    fn get(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        &self.octets[start..self.ends[index] as usize]
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|index| self.get(index))
    }

    fn search(&self, key: &[u8]) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = (low + high) / 2;
            match self.get(middle).cmp(key) {
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    fn collect<'a>(keys: impl Iterator<Item = &'a [u8]>) -> Keys {
        let mut run = Keys::default();
        for key in keys {
            run.octets.extend_from_slice(key);
            run.ends.push(run.octets.len() as u16);
        }
        run
    }
}

#[derive(Clone, Debug)]
enum Node {
    Leaf(Arc<Keys>),
    /// The first key below each child, and the children.
    Inner(Arc<(Keys, Vec<Node>)>),
}

impl Node {
    fn len(&self) -> usize {
        match self {
            Node::Leaf(keys) => keys.len(),
            Node::Inner(inner) => inner.1.len(),
        }
    }

    fn first(&self) -> &[u8] {
        match self {
            Node::Leaf(keys) => keys.get(0),
            Node::Inner(inner) => inner.0.get(0),
        }
    }

    fn inner(children: Vec<Node>) -> Node {
        Node::Inner(Arc::new((Keys::collect(children.iter().map(Node::first)), children)))
    }

    /// One or two nodes of these keys.
    fn leaves(keys: &[&[u8]]) -> Vec<Node> {
        halves(keys).map(|half| Node::Leaf(Arc::new(Keys::collect(half.iter().copied())))).collect()
    }

    /// This node with `key` in or out of it: none, one or two nodes.
    fn edit(&self, key: &[u8], is_added: bool) -> Vec<Node> {
        match self {
            Node::Leaf(keys) => {
                let mut all: Vec<&[u8]> = keys.iter().collect();
                match keys.search(key) {
                    Ok(at) if !is_added => drop(all.remove(at)),
                    Err(at) if is_added => all.insert(at, key),
                    _ => {}
                }
                Node::leaves(&all)
            }
            Node::Inner(inner) => {
                let (firsts, children) = &**inner;
                let at = firsts.search(key).unwrap_or_else(|after| after.saturating_sub(1));
                let mut next = children.clone();
                next.splice(at..=at, children[at].edit(key, is_added));
                join_small(&mut next, at);
                halves(&next).map(|half| Node::inner(half.to_vec())).collect()
            }
        }
    }
}

/// Nothing, all, or two halves if it is too many for one node.
fn halves<T>(all: &[T]) -> impl Iterator<Item = &[T]> {
    let middle = if all.len() > FANOUT { all.len() / 2 } else { all.len() };
    let (left, right) = all.split_at(middle);
    [left, right].into_iter().filter(|half| !half.is_empty())
}

/// Joins the child at `at` with a neighbour if both are small, so that removals do not leave a tree of crumbs.
fn join_small(children: &mut Vec<Node>, at: usize) {
    for left in [at.saturating_sub(1), at] {
        let Some([a, b]) = children.get(left..left + 2) else { continue };
        if a.len() + b.len() > FANOUT / 2 {
            continue;
        }
        let joined = match (a, b) {
            (Node::Leaf(a), Node::Leaf(b)) => Node::Leaf(Arc::new(Keys::collect(a.iter().chain(b.iter())))),
            (Node::Inner(a), Node::Inner(b)) => Node::inner([&a.1[..], &b.1].concat()),
            _ => continue,
        };
        children.splice(left..left + 2, [joined]);
        return;
    }
}

/// The set.
#[derive(Clone, Debug, Default)]
pub(super) struct Order(Option<Node>);

impl Order {
    /// From keys in ascending order. O(keys).
    pub(super) fn from_sorted<'a>(keys: impl Iterator<Item = &'a [u8]>) -> Order {
        let keys: Vec<&[u8]> = keys.collect();
        // a quarter of each node stays free for what comes
        let mut level: Vec<Node> =
            keys.chunks(FANOUT * 3 / 4).map(|run| Node::Leaf(Arc::new(Keys::collect(run.iter().copied())))).collect();
        while level.len() > 1 {
            level = level.chunks(FANOUT * 3 / 4).map(|run| Node::inner(run.to_vec())).collect();
        }
        Order(level.pop())
    }

    /// With `key` in it, or out of it. O(log keys); the rest stays shared.
    pub(super) fn edited(&self, key: &[u8], is_added: bool) -> Order {
        debug_assert!(key.len() <= KEY_OCTETS_MAX, "a full leaf must stay within 16-bit ends");
        let Some(root) = &self.0 else {
            return if is_added { Order::from_sorted([key].into_iter()) } else { Order::default() };
        };
        let mut nodes = root.edit(key, is_added);
        if nodes.len() > 1 {
            return Order(Some(Node::inner(nodes)));
        }
        let mut root = nodes.pop();
        while let Some(Node::Inner(inner)) = &root
            && inner.1.len() == 1
        {
            root = inner.1.first().cloned();
        }
        Order(root)
    }

    /// The largest key not above `key`; if there is none, the last key of all, as the order is a ring.
    pub(super) fn at_or_before(&self, key: &[u8]) -> Option<&[u8]> {
        let mut node = self.0.as_ref()?;
        if node.first() > key {
            return self.last();
        }
        loop {
            match node {
                Node::Leaf(keys) => {
                    let at = keys.search(key).unwrap_or_else(|after| after - 1);
                    return Some(keys.get(at));
                }
                Node::Inner(inner) => {
                    let at = inner.0.search(key).unwrap_or_else(|after| after - 1);
                    node = &inner.1[at];
                }
            }
        }
    }

    fn last(&self) -> Option<&[u8]> {
        let mut node = self.0.as_ref()?;
        loop {
            match node {
                Node::Leaf(keys) => return Some(keys.get(keys.len() - 1)),
                Node::Inner(inner) => node = inner.1.last().expect("inner nodes have children"),
            }
        }
    }

    /// All keys, ascending.
    #[cfg(test)]
    pub(super) fn keys(&self) -> Vec<Vec<u8>> {
        fn walk(node: &Node, out: &mut Vec<Vec<u8>>) {
            match node {
                Node::Leaf(keys) => out.extend(keys.iter().map(<[u8]>::to_vec)),
                Node::Inner(inner) => inner.1.iter().for_each(|child| walk(child, out)),
            }
        }
        let mut out = Vec::new();
        self.0.iter().for_each(|root| walk(root, &mut out));
        out
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_equals_a_set(
            start in prop::collection::btree_set(prop::collection::vec(any::<u8>(), 1..3), 0..400),
            edits in prop::collection::vec((prop::collection::vec(any::<u8>(), 1..3), any::<bool>()), 0..300),
            purge in any::<bool>(),
        ) {
            let mut model: BTreeSet<Vec<u8>> = start.clone();
            let mut order = Order::from_sorted(start.iter().map(|key| &key[..]));
            let purged = start.iter().filter(|_| purge).map(|key| (key.clone(), false));
            for (key, is_added) in edits.into_iter().chain(purged) {
                if is_added { model.insert(key.clone()) } else { model.remove(&key) };
                order = order.edited(&key, is_added);
                let expected = model.range(..=key.clone()).next_back().or(model.last());
                prop_assert_eq!(order.at_or_before(&key), expected.map(|key| &key[..]));
            }
            prop_assert_eq!(order.keys(), model.into_iter().collect::<Vec<_>>());
        }
    }
}
