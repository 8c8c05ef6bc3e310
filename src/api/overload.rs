//! Connections beyond what one address may have: counted, told to the operator, and answered rather than reset.
//!
//! In: a connection that [`serve`](super::serve) has no place for. Out: 503 with `Retry-After` on those in clear text, without
//! reading a request. One with TLS is closed: a handshake costs more than the request that is kept away.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, sink};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::listen::{Accepted, Octets};
use crate::net::Quiet;
use crate::telemetry;
use crate::time::Timestamp;

/// Connections that are being answered at one time; further ones are closed.
const ANSWERED_MAX: usize = 16;
/// Time for an answer.
const ANSWERED_WITHIN: Duration = Duration::from_secs(1);
/// Octets that are read behind the answer.
const DISCARD_OCTETS_MAX: u64 = 64 * 1024;

const ANSWER: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 10\r\nConnection: close\r\n\
    Cache-Control: no-store\r\nContent-Type: text/plain\r\nContent-Length: 75\r\n\r\n\
    This address has as many connections open as one may; close some, or wait.\n";

/// What all listeners have turned away.
#[derive(Debug)]
pub(super) struct Overload {
    answers: Arc<Semaphore>,
    quiet: Quiet,
}

impl Default for Overload {
    fn default() -> Overload {
        Overload { answers: Arc::new(Semaphore::new(ANSWERED_MAX)), quiet: Quiet::default() }
    }
}

impl Overload {
    /// Turns a connection away.
    pub(super) fn refuse(&self, accepted: Accepted) {
        metrics::counter!(telemetry::HTTP_CONNECTIONS_REFUSED).increment(1);
        if let Some(peer) = accepted.ends.peer
            && let Some(suppressed) = self.quiet.may_log(peer.ip().to_canonical(), Timestamp::now())
        {
            tracing::warn!(%peer, suppressed, "API connection refused: too many of one address");
        }
        let Ok(place) = self.answers.clone().try_acquire_owned() else { return };
        if let Some(stream) = accepted.in_clear_text() {
            tokio::spawn(async move {
                // Whoever does not take the answer does without.
                let _ = timeout(ANSWERED_WITHIN, answer(stream)).await;
                drop(place);
            });
        }
    }
}

async fn answer(mut stream: Pin<Box<dyn Octets>>) -> std::io::Result<u64> {
    stream.write_all(ANSWER).await?;
    stream.shutdown().await?;
    // Closed with octets unread, the connection is reset, and the answer lost with it (RFC 9112 §9.6).
    copy(&mut stream.take(DISCARD_OCTETS_MAX), &mut sink()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_as_long_as_it_says() {
        let text = std::str::from_utf8(ANSWER).expect("ASCII");
        let (head, body) = text.split_once("\r\n\r\n").expect("a header");
        assert!(head.ends_with(&format!("Content-Length: {}", body.len())), "{}", body.len());
    }
}
