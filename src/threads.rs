//! Large work is done by all processors.
//!
//! Used where a zone is made (`zone::parts`), where many of its pages change (`zone::directory`), and where a file of many
//! zones is read (`config::reader`). Threads live for one piece of work: they cost some tens of microseconds, so small work
//! does without.

use std::num::NonZeroUsize;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread::Builder;

/// How many threads take part at most: memory gains little from more, and each has something in hand.
const THREADS_MAX: usize = 8;

/// How many threads large work is worth here.
pub(crate) fn for_large_work() -> usize {
    // asked once: the answer is read from files
    static PROCESSORS: LazyLock<usize> =
        LazyLock::new(|| std::thread::available_parallelism().map_or(1, NonZeroUsize::get));
    (*PROCESSORS).min(THREADS_MAX)
}

/// What `work` makes of each item, in their order, and the state of each of the threads which did it, at most as many as is
/// said; each takes the next item when it is done with one. The first error ends all.
pub(crate) fn in_threads<T: Send, S: Send, R: Send, E: Send>(
    threads: usize,
    items: impl IntoIterator<Item = T, IntoIter: Send>,
    start: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, T) -> Result<R, E> + Sync,
) -> Result<(Vec<R>, Vec<S>), E> {
    let next = Mutex::new(items.into_iter().enumerate());
    let take = || next.lock().unwrap_or_else(PoisonError::into_inner).next();
    let run = || {
        let (mut state, mut done) = (start(), Vec::new());
        while let Some((number, item)) = take() {
            match work(&mut state, item) {
                Ok(made) => done.push((number, made)),
                Err(reason) => {
                    while take().is_some() {}
                    return Err(reason);
                }
            }
        }
        Ok((state, done))
    };
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let begin = |number| Builder::new().name(format!("large-{number}")).spawn_scoped(scope, run);
        // a system that gives no more threads makes it slower, nothing else
        let others: Vec<_> = (1..threads).map_while(|number| begin(number).ok()).collect();
        let own = run();
        let joined = others.into_iter().map(|thread| thread.join().unwrap_or_else(|p| std::panic::resume_unwind(p)));
        std::iter::once(own).chain(joined).collect()
    });
    let (mut states, mut done) = (Vec::with_capacity(threads), Vec::new());
    for outcome in outcomes {
        let (state, part) = outcome?;
        states.push(state);
        done.extend(part);
    }
    done.sort_unstable_by_key(|made| made.0);
    Ok((done.into_iter().map(|made| made.1).collect(), states))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::{Code, Reason};

    #[test]
    fn what_is_made_is_in_the_order_of_the_items() {
        for threads in [1, 3] {
            let work = |sum: &mut usize, item: usize| {
                *sum += item;
                Ok::<_, ()>(item * 2)
            };
            let (made, sums) = in_threads(threads, 0..100, || 0, work).expect("nothing fails");
            assert!(made.into_iter().eq((0..100).map(|n| n * 2)));
            assert_eq!((sums.len(), sums.iter().sum::<usize>()), (threads, (0..100).sum()));
        }
    }

    #[test]
    fn an_error_is_the_outcome_whoever_meets_it() {
        for threads in [1, 3] {
            let work = |_: &mut (), item| match item {
                50 => Err(Reason::new(Code::LimitTypes, "the fiftieth")),
                _ => Ok(()),
            };
            let outcome = in_threads(threads, 0..100, || (), work);
            assert_eq!(outcome.expect_err("the fiftieth fails").code, Code::LimitTypes);
        }
    }
}
