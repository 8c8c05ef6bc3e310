//! HMACs: those of `ring`, and the two that it leaves out on purpose (SHA-224, MD5), for old primaries.
//!
//! The same few calls as `ring::hmac`, so that `tsig` need not know which is which. RFC 2104, RFC 8945 §6.

use hmac::{Hmac, Mac};
use md5::Md5;
use ring::hmac as strong;
use sha2::Sha224;

use super::Algorithm;

/// A secret, ready to sign.
#[derive(Clone)]
pub(super) enum Key {
    Ring(strong::Key),
    Sha224(Hmac<Sha224>),
    Md5(Hmac<Md5>),
}

/// A MAC in the making.
#[derive(Clone)]
pub(super) enum Context {
    Ring(strong::Context),
    Sha224(Hmac<Sha224>),
    Md5(Hmac<Md5>),
}

impl std::fmt::Debug for Context {
    /// Nothing: what a context holds comes from the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Context")
    }
}

const ANY_LENGTH: &str = "HMAC takes secrets of any length";

impl Key {
    pub(super) fn new(algorithm: Algorithm, secret: &[u8]) -> Key {
        let ring = |algorithm| Key::Ring(strong::Key::new(algorithm, secret));
        match algorithm {
            Algorithm::HmacMd5 => Key::Md5(Hmac::new_from_slice(secret).expect(ANY_LENGTH)),
            Algorithm::HmacSha1 => ring(strong::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
            Algorithm::HmacSha224 => Key::Sha224(Hmac::new_from_slice(secret).expect(ANY_LENGTH)),
            Algorithm::HmacSha256 => ring(strong::HMAC_SHA256),
            Algorithm::HmacSha384 => ring(strong::HMAC_SHA384),
            Algorithm::HmacSha512 => ring(strong::HMAC_SHA512),
        }
    }
}

impl Context {
    pub(super) fn with_key(key: &Key) -> Context {
        match key {
            Key::Ring(key) => Context::Ring(strong::Context::with_key(key)),
            Key::Sha224(state) => Context::Sha224(state.clone()),
            Key::Md5(state) => Context::Md5(state.clone()),
        }
    }

    pub(super) fn update(&mut self, octets: &[u8]) {
        match self {
            Context::Ring(context) => context.update(octets),
            Context::Sha224(state) => state.update(octets),
            Context::Md5(state) => state.update(octets),
        }
    }

    /// The MAC.
    pub(super) fn sign(self) -> Vec<u8> {
        match self {
            Context::Ring(context) => context.sign().as_ref().to_vec(),
            Context::Sha224(state) => state.finalize().into_bytes().to_vec(),
            Context::Md5(state) => state.finalize().into_bytes().to_vec(),
        }
    }
}

/// The MAC of one piece.
pub(super) fn sign(key: &Key, octets: &[u8]) -> Vec<u8> {
    let mut context = Context::with_key(key);
    context.update(octets);
    context.sign()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(octets: &[u8]) -> String {
        octets.iter().map(|octet| format!("{octet:02x}")).collect()
    }

    /// RFC 4231 §4.2 (SHA-2), RFC 2202 §2 and §3 (MD5, SHA-1): test case 1.
    #[test]
    fn the_rfcs_vectors_come_out() {
        for (algorithm, secret, expected) in [
            (Algorithm::HmacMd5, 16, "9294727a3638bb1c13f48ef8158bfc9d"),
            (Algorithm::HmacSha1, 20, "b617318655057264e28bc0b6fb378c8ef146be00"),
            (Algorithm::HmacSha224, 20, "896fb1128abbdf196832107cd49df33f47b4b1169912ba4f53684b22"),
            (Algorithm::HmacSha256, 20, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        ] {
            let key = Key::new(algorithm, &vec![0x0b; secret]);
            assert_eq!(hex(&sign(&key, b"Hi There")), expected, "{algorithm:?}");
        }
    }

    /// RFC 4231 §4.7: a secret longer than a block is hashed first.
    #[test]
    fn long_secrets_are_hashed_first() {
        let key = Key::new(Algorithm::HmacSha224, &[0xaa; 131]);
        let mac = sign(&key, b"Test Using Larger Than Block-Size Key - Hash Key First");
        assert_eq!(hex(&mac), "95e9a0db962095adaebe9b2d6f0dbce2d499f112f2d2b7273fa6870e");
    }
}
