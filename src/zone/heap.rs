//! How memory for many pages is got.
//!
//! Used by the pager of `directory`, which makes all pages; what it allocates and when is unchanged by this.

use std::hint::black_box;

/// Lets the heap grow by more than a page at a time. What glibc gives to threads other than the first grows by what is
/// asked for, with a system call that stops all threads which take memory: one for each page, a fifth of the time.
#[derive(Debug)]
pub(super) struct HeapSteps {
    /// Octets of pages still to be made before the next step.
    left: usize,
}

impl HeapSteps {
    /// What most changes need, for which nothing is done.
    const FEW_OCTETS: usize = 1 << 16;
    /// Less than what is mapped on its own, see `system`.
    const STEP_OCTETS: usize = 1 << 19;

    pub(super) fn new() -> HeapSteps {
        HeapSteps { left: HeapSteps::FEW_OCTETS }
    }

    /// Before so many octets of a page are allocated.
    #[inline]
    pub(super) fn take(&mut self, octets: usize) {
        self.left = self.left.checked_sub(octets).unwrap_or_else(|| {
            // what has been got for this block stays with the heap
            drop(black_box(Vec::<u8>::with_capacity(HeapSteps::STEP_OCTETS)));
            HeapSteps::STEP_OCTETS
        });
    }
}
