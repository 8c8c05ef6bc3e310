//! An immutable sorted sequence: one place of it changes without the rest being copied, and the n-th item is found at once.
//!
//! A copy-on-write B+tree whose branches know how many items are below them. Readers keep a version as long as they like;
//! a change copies the nodes on its way, or nothing where nobody else looks. So a change of 100,000 entries costs what one of
//! 1,000 does but for a level of the tree, and a page at any depth costs the page.

use std::cmp::Ordering;
use std::sync::Arc;

/// Items of a leaf, and branches of an inner node, at most; a fuller one is halved.
const NODE_MAX: usize = 64;
/// A node with fewer is joined with a neighbour where both fit into half a node, so that removals leave no crumbs.
const NODE_MIN: usize = 16;

/// See the module. Items are unique under their order.
#[derive(Clone, Debug)]
pub struct Shelf<T> {
    root: Arc<Node<T>>,
    len: usize,
}

#[derive(Clone, Debug)]
enum Node<T> {
    Leaf(Vec<T>),
    Inner(Vec<Branch<T>>),
}

#[derive(Clone, Debug)]
struct Branch<T> {
    /// The first item below.
    first: T,
    /// Items below.
    len: usize,
    node: Arc<Node<T>>,
}

impl<T> Default for Shelf<T> {
    fn default() -> Shelf<T> {
        Shelf { root: Arc::new(Node::Leaf(Vec::new())), len: 0 }
    }
}

impl<T> Shelf<T> {
    /// Number of items.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether both are one version.
    pub fn is_same(&self, other: &Shelf<T>) -> bool {
        Arc::ptr_eq(&self.root, &other.root)
    }

    /// Items from the `skipped`-th on, in order. O(log items) before the first.
    pub fn from(&self, skipped: usize) -> Iter<'_, T> {
        Iter::at(&self.root, skipped)
    }

    /// All items in order.
    pub fn iter(&self) -> Iter<'_, T> {
        self.from(0)
    }

    /// The item that `order` calls equal; it must agree with the order of the items. O(log items).
    pub fn find(&self, order: impl Fn(&T) -> Ordering) -> Option<&T> {
        let mut node = &*self.root;
        loop {
            match node {
                Node::Leaf(items) => return items.binary_search_by(order).ok().map(|at| &items[at]),
                Node::Inner(branches) => {
                    let after = branches.partition_point(|branch| order(&branch.first).is_le());
                    node = &branches[after.checked_sub(1)?].node;
                }
            }
        }
    }

    /// Every item for which `order` says equal; those are neighbours. O(log items + found).
    pub fn range<'a>(&'a self, order: impl Fn(&T) -> Ordering + 'a) -> impl Iterator<Item = &'a T> {
        self.from(self.rank(&order)).take_while(move |item| order(item).is_eq())
    }

    /// How many items `order` calls less. O(log items).
    pub fn rank(&self, order: impl Fn(&T) -> Ordering) -> usize {
        let (mut node, mut before) = (&*self.root, 0);
        loop {
            match node {
                Node::Leaf(items) => return before + items.partition_point(|item| order(item).is_lt()),
                Node::Inner(branches) => {
                    // The last branch that begins below may hold both.
                    let after = branches.partition_point(|branch| order(&branch.first).is_lt());
                    let Some(at) = after.checked_sub(1) else { return before };
                    before += branches[..at].iter().map(|branch| branch.len).sum::<usize>();
                    node = &branches[at].node;
                }
            }
        }
    }
}

impl<T: Ord + Clone> Shelf<T> {
    /// Puts `item` in; the one that was equal to it, if any, goes out. O(log items).
    pub fn insert(&mut self, item: T) -> Option<T> {
        let (replaced, split) = insert(&mut self.root, item);
        if let Some(right) = split {
            let left = Branch::of(std::mem::replace(&mut self.root, Arc::new(Node::Leaf(Vec::new()))));
            self.root = Arc::new(Node::Inner(left.into_iter().chain([right]).collect()));
        }
        self.len += usize::from(replaced.is_none());
        replaced
    }

    /// Takes the item equal to `item` out. O(log items).
    pub fn remove(&mut self, item: &T) -> Option<T> {
        // What is not there must not cost copies.
        self.find(|other| other.cmp(item))?;
        let removed = remove(&mut self.root, item);
        while let Node::Inner(branches) = &*self.root
            && branches.len() <= 1
        {
            let only = branches.first().map(|branch| branch.node.clone());
            self.root = only.unwrap_or_else(|| Arc::new(Node::Leaf(Vec::new())));
        }
        self.len -= usize::from(removed.is_some());
        removed
    }
}

impl<T> Node<T> {
    /// Items or branches of this node itself.
    fn size(&self) -> usize {
        match self {
            Node::Leaf(items) => items.len(),
            Node::Inner(branches) => branches.len(),
        }
    }

    fn first(&self) -> Option<&T> {
        match self {
            Node::Leaf(items) => items.first(),
            Node::Inner(branches) => branches.first().map(|branch| &branch.first),
        }
    }

    /// Items below.
    fn len(&self) -> usize {
        match self {
            Node::Leaf(items) => items.len(),
            Node::Inner(branches) => branches.iter().map(|branch| branch.len).sum(),
        }
    }
}

impl<T: Clone> Branch<T> {
    /// `None` for an empty node.
    fn of(node: Arc<Node<T>>) -> Option<Branch<T>> {
        Some(Branch { first: node.first()?.clone(), len: node.len(), node })
    }
}

/// What was replaced, and the upper half of a node that had to be halved.
fn insert<T: Ord + Clone>(node: &mut Arc<Node<T>>, item: T) -> (Option<T>, Option<Branch<T>>) {
    match Arc::make_mut(node) {
        Node::Leaf(items) => {
            match items.binary_search(&item) {
                Ok(at) => return (Some(std::mem::replace(&mut items[at], item)), None),
                Err(at) => items.insert(at, item),
            }
            let upper = (items.len() > NODE_MAX).then(|| items.split_off(NODE_MAX / 2));
            (None, upper.and_then(|upper| Branch::of(Arc::new(Node::Leaf(upper)))))
        }
        Node::Inner(branches) => {
            let at = branches.partition_point(|branch| branch.first <= item).saturating_sub(1);
            let (replaced, split) = insert(&mut branches[at].node, item);
            renew(branches, at);
            if let Some(right) = split {
                branches.insert(at + 1, right);
            }
            let upper = (branches.len() > NODE_MAX).then(|| branches.split_off(NODE_MAX / 2));
            (replaced, upper.and_then(|upper| Branch::of(Arc::new(Node::Inner(upper)))))
        }
    }
}

fn remove<T: Ord + Clone>(node: &mut Arc<Node<T>>, item: &T) -> Option<T> {
    match Arc::make_mut(node) {
        Node::Leaf(items) => items.binary_search(item).ok().map(|at| items.remove(at)),
        Node::Inner(branches) => {
            let at = branches.partition_point(|branch| branch.first <= *item).checked_sub(1)?;
            let removed = remove(&mut branches[at].node, item);
            renew(branches, at);
            if at < branches.len() && branches[at].node.size() < NODE_MIN {
                join(branches, at);
            }
            removed
        }
    }
}

/// Brings a branch up to date with its node; an empty one goes.
fn renew<T: Clone>(branches: &mut Vec<Branch<T>>, at: usize) {
    match Branch::of(branches[at].node.clone()) {
        Some(branch) => branches[at] = branch,
        None => drop(branches.remove(at)),
    }
}

/// Joins the small node at `at` with a neighbour, if both fit into half a node.
fn join<T: Clone>(branches: &mut Vec<Branch<T>>, at: usize) {
    let size = |at: usize| branches.get(at).map_or(usize::MAX / 2, |branch| branch.node.size());
    let left = match () {
        _ if size(at) + size(at + 1) <= NODE_MAX / 2 => at,
        _ if at > 0 && size(at - 1) + size(at) <= NODE_MAX / 2 => at - 1,
        _ => return,
    };
    let right = branches.remove(left + 1).node;
    match (Arc::make_mut(&mut branches[left].node), &*right) {
        (Node::Leaf(items), Node::Leaf(more)) => items.extend_from_slice(more),
        (Node::Inner(own), Node::Inner(more)) => own.extend_from_slice(more),
        _ => unreachable!("neighbours have one depth"),
    }
    renew(branches, left);
}

/// Items of a [`Shelf`] in order.
#[derive(Clone, Debug)]
pub struct Iter<'a, T> {
    /// Branches still to come, the deepest level last.
    ahead: Vec<std::slice::Iter<'a, Branch<T>>>,
    items: std::slice::Iter<'a, T>,
}

impl<'a, T> Iter<'a, T> {
    fn at(root: &'a Node<T>, mut skipped: usize) -> Iter<'a, T> {
        let (mut node, mut ahead) = (root, Vec::new());
        loop {
            match node {
                Node::Leaf(items) => return Iter { ahead, items: items[skipped.min(items.len())..].iter() },
                Node::Inner(branches) => {
                    let mut at = 0;
                    while branches[at].len <= skipped && at + 1 < branches.len() {
                        skipped -= branches[at].len;
                        at += 1;
                    }
                    ahead.push(branches[at + 1..].iter());
                    node = &branches[at].node;
                }
            }
        }
    }
}

impl<'a, T> Iterator for Iter<'a, T> {
    type Item = &'a T;

    fn next(&mut self) -> Option<&'a T> {
        loop {
            if let Some(item) = self.items.next() {
                return Some(item);
            }
            let Some(branch) = self.ahead.last_mut()?.next() else {
                self.ahead.pop();
                continue;
            };
            match &*branch.node {
                Node::Leaf(items) => self.items = items.iter(),
                Node::Inner(branches) => self.ahead.push(branches.iter()),
            }
        }
    }
}

impl<T: Ord + Clone> FromIterator<T> for Shelf<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Shelf<T> {
        let mut items: Vec<T> = items.into_iter().collect();
        items.sort_unstable();
        items.dedup();
        let len = items.len();
        // Half full, so that what comes next finds room.
        let mut level: Vec<Branch<T>> =
            items.chunks(NODE_MAX / 2).filter_map(|chunk| Branch::of(Arc::new(Node::Leaf(chunk.to_vec())))).collect();
        while level.len() > 1 {
            let nodes = level.chunks(NODE_MAX / 2).map(|chunk| Arc::new(Node::Inner(chunk.to_vec())));
            level = nodes.filter_map(Branch::of).collect();
        }
        level.pop().map_or_else(Shelf::default, |branch| Shelf { root: branch.node, len })
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

    /// Nodes that two versions do not share.
    fn copied<T>(old: &Arc<Node<T>>, new: &Arc<Node<T>>) -> usize {
        if Arc::ptr_eq(old, new) {
            return 0;
        }
        let branches = |node: &Node<T>| match node {
            Node::Leaf(_) => Vec::new(),
            Node::Inner(branches) => branches.iter().map(|branch| branch.node.clone()).collect(),
        };
        let old = branches(old);
        let own = |node: &Arc<Node<T>>| match old.iter().find(|other| Arc::ptr_eq(other, node)) {
            Some(_) => 0,
            None => 1 + branches(node).len().min(1),
        };
        1 + branches(new).iter().map(own).sum::<usize>()
    }

    #[test]
    fn a_change_copies_the_way_to_it_and_no_more() {
        for len in [1_000u32, 100_000, 1_000_000] {
            let old: Shelf<u32> = (0..len).map(|n| 2 * n).collect();
            let mut new = old.clone();
            new.insert(len + 1);
            assert!(copied(&old.root, &new.root) <= 8, "{len}: {}", copied(&old.root, &new.root));
        }
    }

    #[test]
    fn what_shrinks_leaves_no_crumbs() {
        let mut shelf: Shelf<u32> = (0..10_000).collect();
        (0..10_000).filter(|n| n % 100 != 0).for_each(|n| {
            shelf.remove(&n);
        });
        assert!(shelf.iter().copied().eq((0..10_000).step_by(100)));
        let Node::Inner(branches) = &*shelf.root else { return };
        assert!(branches.len() <= 16, "{} nodes for 100 items", branches.len());
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
