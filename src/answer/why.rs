//! Extended errors with words: why this question was not answered (RFC 8914).

use std::fmt::{self, Write as _};

use crate::dns::edns::ExtendedError;
use crate::served::Slot;

/// Octets of a text, at most; a reply that says no must not be much larger than the question.
const TEXT_OCTETS_MAX: usize = 120;

/// An extended error and its text.
pub(super) struct Why {
    pub(super) code: ExtendedError,
    text: [u8; TEXT_OCTETS_MAX],
    len: usize,
}

impl Why {
    /// Without words: the code says it all.
    pub(super) fn code(code: ExtendedError) -> Why {
        Why { code, text: [0; TEXT_OCTETS_MAX], len: 0 }
    }

    /// With words that are always the same.
    pub(super) fn text(code: ExtendedError, text: &str) -> Why {
        let mut why = Why::code(code);
        // what does not fit is left out
        let _ = why.write_str(text);
        why
    }

    /// The zone has never been loaded.
    pub(super) fn not_loaded(slot: &Slot) -> Why {
        let text = match slot.is_held() {
            true => "never loaded: its first version is held until an operator approves it",
            false => "never loaded: no transfer from a primary has succeeded yet",
        };
        Why::text(ExtendedError::NOT_READY, text)
    }

    /// The server has just been started.
    pub(super) fn loading() -> Why {
        Why::text(ExtendedError::NOT_READY, "the server has just been started and still reads its zones from the disk")
    }

    /// No primary has confirmed the zone in time.
    pub(super) fn expired(slot: &Slot) -> Why {
        let mut why = Why::code(ExtendedError::INVALID_DATA);
        let _ = match slot.expires() {
            Some(at) => write!(why, "expired since {at}: no primary has confirmed the zone in time"),
            None => why.write_str("expired: no primary has confirmed the zone in time"),
        };
        why
    }

    /// A proof would cost more than it may.
    pub(super) fn too_many_iterations(limit: u16) -> Why {
        let mut why = Why::code(ExtendedError::NSEC3_ITERATIONS);
        let _ = write!(why, "the zone has more than {limit} NSEC3 iterations; no proof is made");
        why
    }

    /// What was stored cannot be used.
    pub(super) fn damaged() -> Why {
        Why::text(ExtendedError::INVALID_DATA, "stored contents are damaged; the zone is being fetched again")
    }

    /// The value of the option: INFO-CODE and EXTRA-TEXT (RFC 8914 §2).
    pub(super) fn words(&self) -> &[u8] {
        &self.text[..self.len]
    }
}

impl fmt::Write for Why {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.text.get_mut(self.len..self.len + text.len()).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.len += text.len();
        Ok(())
    }
}
