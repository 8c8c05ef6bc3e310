//! Tokens issued to callers who logged in with user and password: short-lived, kept over restarts as hashes only.
//!
//! In: a login. Out: a token that [`auth`](super::auth) takes in every dialect until it expires, or until its credential
//! leaves the configuration. Stored under `token/HASH` with the names of [`Handle::remember`].

use std::collections::HashMap;
use std::sync::RwLock;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use super::auth::{Caller, Credentials};
use crate::config::TokenHash;
use crate::control::Handle;
use crate::control::handle::EditError;
use crate::time::Timestamp;

/// How long a token holds where the client does not say.
pub const LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// Longest life a client may ask for, seconds.
pub const LIFETIME_SECS_MAX: usize = 365 * 24 * 3600;
/// Tokens of one user; a further one takes the place of the one that ends first.
const PER_USER_MAX: usize = 1000;
/// Octets of randomness.
const OCTETS: usize = 32;
const PREFIX: &str = "token/";

/// The issued tokens.
pub struct Tokens {
    /// Of this process: what is looked up cannot be chosen by a caller, so the time of a search tells nothing.
    key: hmac::Key,
    known: RwLock<HashMap<Vec<u8>, Issued>>,
}

/// One token, as stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Issued {
    tenant: String,
    user: String,
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

    /// A new token for `caller`, durable when this returns.
    pub async fn issue(
        &self,
        control: &Handle,
        caller: &Caller,
        lifetime: Duration,
        now: Timestamp,
    ) -> Result<Token, EditError> {
        let mut octets = [0; OCTETS];
        SystemRandom::new().fill(&mut octets).map_err(|_| EditError::Storage("no randomness".to_owned()))?;
        let text = URL_SAFE_NO_PAD.encode(octets);
        let hash = TokenHash::of(text.as_bytes()).0;
        let issued = Issued {
            tenant: caller.tenant.to_string(),
            user: caller.user.to_string(),
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
        let is_of_user = |other: &Issued| other.tenant == issued.tenant && other.user == issued.user;
        let mut gone: Vec<Vec<u8>> =
            known.iter().filter(|(_, other)| other.expires <= now).map(|(tag, _)| tag.clone()).collect();
        let of_user = known.iter().filter(|(_, other)| other.expires > now && is_of_user(other));
        if of_user.clone().count() >= PER_USER_MAX {
            gone.extend(of_user.min_by_key(|(_, other)| other.expires).map(|(tag, _)| tag.clone()));
        }
        let names = gone.iter().filter_map(|tag| known.remove(tag)).map(|issued| issued.name).collect();
        known.insert(tag, issued);
        names
    }

    /// Whom a token was issued to, if it holds and its credential is still configured.
    pub fn find(&self, secret: &[u8], credentials: &Credentials, now: Timestamp) -> Option<Caller> {
        let tag = self.tag(&TokenHash::of(secret).0);
        let known = self.known.read().expect(POISONED);
        let issued = known.get(&tag).filter(|issued| issued.expires > now)?;
        credentials.caller_named(&issued.tenant, &issued.user, now)
    }

    fn tag(&self, hash: &[u8]) -> Vec<u8> {
        hmac::sign(&self.key, hash).as_ref().to_vec()
    }
}
