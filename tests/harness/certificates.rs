//! Certificates of tests: an authority of their own, and what it or somebody else has signed.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PublicKeyData, date_time_ymd};

/// A certificate with its key, in PEM.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
    /// SHA-256 of the public key in base64.
    pub(crate) pin: String,
}

/// An authority that signs for tests.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) certificate: String,
}

/// The years in which a certificate is valid.
pub(crate) type Years = std::ops::RangeInclusive<i32>;

/// Longer than any test.
pub(crate) const VALID: Years = 2020..=2100;

fn params(names: &[&str], common_name: &str, years: Years) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names");
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = date_time_ymd(*years.start(), 1, 1);
    params.not_after = date_time_ymd(*years.end(), 1, 1);
    params
}

impl Authority {
    pub(crate) fn new(name: &str) -> Authority {
        let mut params = params(&[], name, VALID);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate").pem();
        Authority { issuer: Issuer::new(params, key), certificate }
    }

    /// A certificate with these names (host names or addresses), valid in `years`.
    pub(crate) fn signs(&self, names: &[&str], years: Years) -> Pair {
        let key = KeyPair::generate().expect("a key");
        let certificate = params(names, names[0], years).signed_by(&key, &self.issuer).expect("a certificate");
        pair(certificate.pem(), &key)
    }
}

/// A certificate that signs itself, as `openssl req -x509` makes it.
pub(crate) fn self_signed(names: &[&str]) -> Pair {
    let key = KeyPair::generate().expect("a key");
    let mut params = params(names, names[0], VALID);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    pair(params.self_signed(&key).expect("a certificate").pem(), &key)
}

fn pair(certificate: String, key: &KeyPair) -> Pair {
    let digest = ring::digest::digest(&ring::digest::SHA256, &key.subject_public_key_info());
    let pin = base64::engine::general_purpose::STANDARD.encode(digest);
    Pair { certificate, key: key.serialize_pem(), pin }
}

/// Writes PEM text to a file of this name and gives its path.
pub(crate) fn write(directory: &Path, name: &str, pem: &str) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, pem).expect("a file");
    path
}
