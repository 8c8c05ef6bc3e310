//! Tokens issued to callers who logged in with user and password: short-lived, kept over restarts as hashes only.
//!
//! In: a login. Out: a token that [`auth`](super::auth) takes in every dialect until it expires. It stands for the very
//! credential that was shown, not for its user, who may have others with another role: it may do what that one may now, and
//! ends with it. Stored under `token/HASH` with the names of [`Handle::remember`].

use std::collections::HashMap;
use std::sync::RwLock;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use super::auth::{Caller, CredentialId, Credentials};
use crate::config::TokenHash;
use crate::control::Handle;
use crate::control::handle::EditError;
use crate::time::Timestamp;

/// How long a token holds where the client does not say.
pub const LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// Longest life a client may ask for, seconds.
pub const LIFETIME_SECS_MAX: usize = 365 * 24 * 3600;
/// Tokens of one credential; a further one takes the place of the one that ends first.
const PER_CREDENTIAL_MAX: usize = 1000;
/// Octets of randomness.
const OCTETS: usize = 32;
const PREFIX: &str = "token/";

/// The issued tokens.
pub struct Tokens {
    /// Of this process: what is looked up cannot be chosen by a caller, so the time of a search tells nothing.
    key: hmac::Key,
    known: RwLock<HashMap<Vec<u8>, Issued>>,
}

/// One token, as stored. What versions before wrote names only a user: it is not read, and its owner logs in again.
#[derive(Serialize, Deserialize)]
struct Issued {
    credential: CredentialId,
    issued: Timestamp,
    expires: Timestamp,
    #[serde(skip)]
    name: String,
}

/// A token for its owner.
#[derive(Clone, Debug)]
pub struct Token {
    /// The secret; shown once and kept nowhere.
    pub text: String,
    /// When it begins.
    pub issued: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
}

const POISONED: &str = "no holder of the lock can panic";

impl Tokens {
    /// Those that were kept, and the names of those that have ended meanwhile. Reads from disk.
    pub fn load(control: &Handle, now: Timestamp) -> (Tokens, Vec<String>) {
        let random = SystemRandom::new();
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &random).expect("the system gives random octets");
        let tokens = Tokens { key, known: RwLock::default() };
        let stored = control.remembered(PREFIX).unwrap_or_else(|error| {
            tracing::error!(%error, "issued tokens cannot be read; their owners have to log in again");
            Vec::new()
        });
        let (mut known, mut ended) = (HashMap::new(), Vec::new());
        for (name, bytes) in stored {
            let hash = name.strip_prefix(PREFIX).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
            if let (Some(hash), Ok(issued)) = (hash, serde_json::from_slice::<Issued>(&bytes))
                && issued.expires > now
            {
                known.insert(tokens.tag(&hash), Issued { name, ..issued });
            } else {
                ended.push(name);
            }
        }
        *tokens.known.write().expect(POISONED) = known;
        (tokens, ended)
    }

    /// A new token for the holder of `credential`, durable when this returns.
    pub async fn issue(
        &self,
        control: &Handle,
        credential: CredentialId,
        lifetime: Duration,
        now: Timestamp,
    ) -> Result<Token, EditError> {
        let mut octets = [0; OCTETS];
        SystemRandom::new().fill(&mut octets).map_err(|_| EditError::Storage("no randomness".to_owned()))?;
        let text = URL_SAFE_NO_PAD.encode(octets);
        let hash = TokenHash::of(text.as_bytes()).0;
        let issued = Issued {
            credential,
            issued: now,
            expires: now + lifetime,
            name: format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(hash)),
        };
        let bytes = serde_json::to_vec(&issued).expect("a token is plain data");
        control.remember(issued.name.clone(), Some(bytes)).await?;
        let token = Token { text, issued: now, expires: issued.expires };
        for gone in self.insert(self.tag(&hash), issued, now) {
            control.remember(gone, None).await?;
        }
        Ok(token)
    }

    /// Adds a token; the names of those that had to go for it.
    fn insert(&self, tag: Vec<u8>, issued: Issued, now: Timestamp) -> Vec<String> {
        let mut known = self.known.write().expect(POISONED);
        let mut gone: Vec<Vec<u8>> =
            known.iter().filter(|(_, other)| other.expires <= now).map(|(tag, _)| tag.clone()).collect();
        let of_same = known.iter().filter(|(_, other)| other.expires > now && other.credential == issued.credential);
        if of_same.clone().count() >= PER_CREDENTIAL_MAX {
            gone.extend(of_same.min_by_key(|(_, other)| other.expires).map(|(tag, _)| tag.clone()));
        }
        let names = gone.iter().filter_map(|tag| known.remove(tag)).map(|issued| issued.name).collect();
        known.insert(tag, issued);
        names
    }

    /// Whom a token was issued to, if it and its credential hold.
    pub fn find(&self, secret: &[u8], credentials: &Credentials, now: Timestamp) -> Option<Caller> {
        let tag = self.tag(&TokenHash::of(secret).0);
        let known = self.known.read().expect(POISONED);
        let issued = known.get(&tag).filter(|issued| issued.expires > now)?;
        credentials.caller_with(&issued.credential, now)
    }

    fn tag(&self, hash: &[u8]) -> Vec<u8> {
        hmac::sign(&self.key, hash).as_ref().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A user may have an observer's credential and an admin's: which one such a token was given for is not known.
    #[test]
    fn a_token_that_names_a_user_only_is_not_read() {
        let stored = r#"{"tenant":"1000","user":"ann","issued":1700000000000,"expires":4000000000000}"#;
        assert!(serde_json::from_str::<Issued>(stored).is_err());
        let members = r#"{"credential":"digest","issued":1700000000000,"expires":4000000000000}"#;
        assert!(serde_json::from_str::<Issued>(members).is_ok(), "it is the credential that is missing");
    }
}
