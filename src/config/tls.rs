//! TLS towards primaries (RFC 9103): the `tls-…` keys of `[primary.NAME]`, and the files they name.
//!
//! Certificates are read and judged here, so that a mistake is an error of `check-config` and not of the first transfer
//! at night; what is kept is what was in the files, so a reload takes up renewed ones.

use std::net::IpAddr;
use std::path::Path;

use base64::Engine as _;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::values::Secret;
use crate::time::Timestamp;

/// How much of the primary's certificate is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TlsLevel {
    /// Authority and name, or the pinned key; what does not fit is an error, never clear text.
    #[default]
    Strict,
    /// Nothing; without TLS at the primary, clear text.
    Opportunistic,
}

/// Whether the primary must choose ALPN `dot`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TlsAlpn {
    /// It must (RFC 9103 §7.1).
    #[default]
    Required,
    /// It may choose nothing: servers that know no ALPN.
    Optional,
}

/// How one primary is spoken to over TLS, ready to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsProfile {
    /// How much is checked.
    pub level: TlsLevel,
    /// Host name or address that the certificate must have, and that is sent as SNI (names only).
    pub name: String,
    /// Whether the certificate must have the name: not with pins alone.
    pub checks_name: bool,
    /// Whether an authority must have signed the certificate, which must not have ended: not with pins alone.
    pub checks_authority: bool,
    /// Certificates (DER) of the authorities that may sign; `None`: the system's.
    pub authorities: Option<Vec<Vec<u8>>>,
    /// SHA-256 of the public keys (SPKI) of which the primary must have one; empty: any.
    pub pins: Vec<[u8; 32]>,
    /// What we show of ourselves (mutual TLS).
    pub identity: Option<TlsIdentity>,
    /// Whether ALPN `dot` is demanded.
    pub alpn: TlsAlpn,
}

/// A certificate with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsIdentity {
    /// Certificates (DER), our own first.
    pub chain: Vec<Vec<u8>>,
    /// The private key in PEM.
    pub key: Secret,
}

impl TlsProfile {
    /// The profile of a primary of which only the address is known: strict, the system's authorities, and the address as
    /// the name.
    pub fn of_address(address: IpAddr) -> TlsProfile {
        TlsProfile {
            level: TlsLevel::Strict,
            name: address.to_string(),
            checks_name: true,
            checks_authority: true,
            authorities: None,
            pins: Vec::new(),
            identity: None,
            alpn: TlsAlpn::Required,
        }
    }
}

/// A name that a certificate can have.
pub(super) fn server_name(text: &str) -> Result<(), String> {
    match ServerName::try_from(text.trim_end_matches('.')) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("a host name such as \"ns1.example.net\" or an address is expected, not {text:?}")),
    }
}

/// The SHA-256 of a public key in base64.
pub(super) fn pin(text: &str) -> Result<[u8; 32], String> {
    let text = text.strip_prefix("sha256/").or_else(|| text.strip_prefix("pin-sha256:")).unwrap_or(text);
    let octets = base64::engine::general_purpose::STANDARD.decode(text).ok();
    octets.and_then(|octets| octets.try_into().ok()).ok_or_else(|| {
        "the SHA-256 of a public key in base64 is expected, 44 characters (openssl x509 -in CERT -pubkey -noout | \
         openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64)"
            .to_owned()
    })
}

/// Every certificate of a PEM file, in DER.
pub(super) fn certificates(path: &Path) -> Result<Vec<Vec<u8>>, String> {
    let pem = std::fs::read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let found = found.map_err(|error| format!("{} is no PEM file: {error}", path.display()))?;
    if found.is_empty() {
        return Err(format!("{} holds no certificate (-----BEGIN CERTIFICATE-----)", path.display()));
    }
    for certificate in &found {
        if rustls::server::ParsedCertificate::try_from(certificate).is_err() {
            return Err(format!("{} holds a certificate that cannot be read (X.509 v3 is needed)", path.display()));
        }
    }
    Ok(found.into_iter().map(|certificate| certificate.to_vec()).collect())
}

/// When a certificate (DER) ends; `None` if it cannot be read.
pub fn not_after(der: &[u8]) -> Option<Timestamp> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let secs = u64::try_from(certificate.validity().not_after.timestamp()).ok()?;
    Some(Timestamp::from_millis(secs.saturating_mul(1000)))
}

/// The private key of a PEM file, which must belong to `chain`.
pub(super) fn private_key(path: &Path, chain: &[Vec<u8>]) -> Result<Secret, String> {
    let pem = std::fs::read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    // Neither the parser's words nor the file's go into a message: they might quote the key.
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
        format!("{} holds no private key in PEM (PKCS#8, PKCS#1 or SEC1, not encrypted)", path.display())
    })?;
    let signer =
        any_supported_type(&key).map_err(|_| format!("{}: the key is not RSA, ECDSA or Ed25519", path.display()))?;
    let chain = chain.iter().map(|certificate| CertificateDer::from(certificate.as_slice()).into_owned()).collect();
    match CertifiedKey::new(chain, signer).keys_match() {
        Ok(()) => Ok(Secret::new(pem)),
        Err(_) => Err(format!("{} does not belong to the certificate of tls-cert", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_a_sha256_in_base64() {
        let good = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        assert_eq!(pin(good), pin(&format!("sha256/{good}")));
        assert_eq!(pin(good).expect("a pin")[..2], [0xe3, 0xb0]);
        for wrong in ["", "47DEQpj8", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"] {
            assert!(pin(wrong).is_err_and(|error| error.contains("44 characters")), "{wrong}");
        }
    }

    #[test]
    fn a_name_is_that_of_a_host_or_an_address() {
        for good in ["ns1.example.net", "ns1.example.net.", "192.0.2.1", "2001:db8::1"] {
            assert_eq!(server_name(good), Ok(()), "{good}");
        }
        for wrong in ["", "a b", "*.example.net", "192.0.2.1:853"] {
            assert!(server_name(wrong).is_err(), "{wrong}");
        }
    }
}
