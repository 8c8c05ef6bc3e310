//! PUT of an object that may be there or not: it is replaced, or made.
//!
//! Which of both is decided by what is there when the request comes. Where another request makes the object, or removes it, in
//! the meantime (a client's retry, while the first is under way), the refusal shows it, and it is decided once more.

use std::future::Future;

use axum::http::StatusCode;

use crate::api::fault::Fault;

/// Each time but the first one needs another request that has come first.
const TRIES_MAX: usize = 8;

/// Makes an attempt with what `find` finds; again, if it has failed because that is not what is there any more.
pub(super) async fn make_or_replace<T, O, F: Future<Output = Result<O, Fault>>>(
    find: impl Fn() -> Option<T>,
    attempt: impl Fn(Option<T>) -> F,
) -> Result<O, Fault> {
    let mut found = find();
    for _ in 1..TRIES_MAX {
        let was_there = found.is_some();
        let fault = match attempt(found).await {
            Ok(outcome) => return Ok(outcome),
            Err(fault) => fault,
        };
        found = find();
        // What was not found may be there again.
        let was_removed = was_there && fault.status() == StatusCode::NOT_FOUND;
        if found.is_some() == was_there && !was_removed {
            return Err(fault);
        }
    }
    attempt(found).await
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::api::fault::ErrorCode;

    /// What is attempted where `there` tells, look after look, whether the object is there.
    async fn attempts(there: &[bool], outcomes: &[Result<(), ErrorCode>]) -> (Vec<bool>, Result<(), StatusCode>) {
        let (looks, attempts) = (RefCell::new(there.iter()), RefCell::new(Vec::new()));
        let find = || looks.borrow_mut().next().is_some_and(|there| *there).then_some(());
        let attempt = |found: Option<()>| {
            attempts.borrow_mut().push(found.is_some());
            let outcome = outcomes[attempts.borrow().len() - 1];
            async move { outcome.map_err(|code| Fault::new(code, "no")) }
        };
        let outcome = make_or_replace(find, attempt).await.map_err(|fault| fault.status());
        (attempts.into_inner(), outcome)
    }

    #[tokio::test]
    async fn what_another_request_has_done_meanwhile_is_taken_into_account() {
        let (taken, gone) = (Err(ErrorCode::IdTaken), Err(ErrorCode::ZoneNotFound));
        assert_eq!(attempts(&[false, true], &[taken, Ok(())]).await, (vec![false, true], Ok(())), "made");
        assert_eq!(attempts(&[true, false], &[gone, Ok(())]).await, (vec![true, false], Ok(())), "removed");
        assert_eq!(attempts(&[true, true], &[gone, Ok(())]).await, (vec![true, true], Ok(())), "removed and made");
        // what is another's stays so, and nobody tries for ever
        assert_eq!(attempts(&[false, false], &[taken]).await, (vec![false], Err(StatusCode::CONFLICT)));
        let (tries, outcome) = attempts(&[true; TRIES_MAX], &[gone; TRIES_MAX]).await;
        assert_eq!((tries.len(), outcome), (TRIES_MAX, Err(StatusCode::NOT_FOUND)));
    }
}
