//! The server's side of TLS: its certificate and key, read from files and read again when they change.
//!
//! TLS 1.2 and 1.3. DNS over TLS (RFC 7858), ALPN `dot`; transfers to downstreams over the same port (RFC 9103, whose
//! clients insist on TLS 1.3 themselves). The API (RFC 9110 §4.2.2), ALPN `http/1.1`. Connections that stand keep what they
//! began with.

use std::io;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ServerConfig;

use crate::config::not_after;
use crate::time::Timestamp;

/// What is spoken inside TLS, as clients name it in ALPN. A client that offers nothing is served as well; one that offers
/// only others is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// DNS over TLS (RFC 7858 as registered, RFC 9103 §7.1).
    Dns,
    /// HTTP/1.1 (RFC 7301 §6).
    Http,
}

impl Spoken {
    fn alpn(self) -> &'static [u8] {
        match self {
            Spoken::Dns => b"dot",
            Spoken::Http => b"http/1.1",
        }
    }
}

/// A certificate chain and its key, in use by the listeners.
pub struct TlsIdentity {
    used: ArcSwap<InUse>,
    spoken: Spoken,
}

struct InUse {
    config: Arc<ServerConfig>,
    not_after: Option<Timestamp>,
}

impl TlsIdentity {
    /// Reads PEM files: the chain, the server's own certificate first, and its key.
    pub fn load(certificates: &Path, key: &Path, spoken: Spoken) -> io::Result<TlsIdentity> {
        Ok(TlsIdentity { used: ArcSwap::from_pointee(read(certificates, key, spoken)?), spoken })
    }

    /// Reads them again, for connections to come. On failure the old ones stay.
    pub fn reload(&self, certificates: &Path, key: &Path) -> io::Result<()> {
        self.used.store(Arc::new(read(certificates, key, self.spoken)?));
        Ok(())
    }

    /// With what a connection that begins now shakes hands.
    pub fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.used.load().config)
    }

    /// When our own certificate ends.
    pub fn not_after(&self) -> Option<Timestamp> {
        self.used.load().not_after
    }
}

fn read(certificates: &Path, key: &Path, spoken: Spoken) -> io::Result<InUse> {
    let in_file = |path: &Path, error: &dyn std::fmt::Display| {
        io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", path.display()))
    };
    let chain = CertificateDer::pem_file_iter(certificates)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| in_file(certificates, &error))?;
    if chain.is_empty() {
        return Err(in_file(certificates, &"no certificate in PEM form is in it"));
    }
    let not_after = not_after(&chain[0]);
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| in_file(key, &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|error| in_file(key, &error))?;
    config.alpn_protocols = vec![spoken.alpn().to_vec()];
    // clients that come back often shall not pay for a whole handshake each time (RFC 7858 §3.4)
    config.ticketer = rustls::crypto::ring::Ticketer::new().map_err(io::Error::other)?;
    Ok(InUse { config: Arc::new(config), not_after })
}
