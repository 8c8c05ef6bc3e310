//! Waiting: ask again until the answer is there or the deadline has passed.

use std::time::{Duration, Instant};

/// How long anything small may take on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// What `ask` gives as soon as it gives something; `None` after `limit`.
pub(crate) fn poll<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(value) = ask() {
            return Some(value);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::sleep(Duration::from_millis(15));
    }
}

/// Waits until `ask` gives something; the test fails with `what` after `limit`.
#[track_caller]
pub(crate) fn until<T>(what: &str, limit: Duration, ask: impl FnMut() -> Option<T>) -> T {
    match poll(limit, ask) {
        Some(value) => value,
        None => panic!("not within {limit:?}: {what}"),
    }
}

/// As [`until`] for a condition.
#[track_caller]
pub(crate) fn until_true(what: &str, limit: Duration, mut ask: impl FnMut() -> bool) {
    until(what, limit, || ask().then_some(()));
}
