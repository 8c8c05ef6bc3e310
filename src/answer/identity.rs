//! What the server says about itself: NSID, the names of class CHAOS, cookies. Made by `daemon` out of the
//! configuration, lent to [`respond`](super::respond) with each [`Client`](super::Client).

use super::cookie::Cookies;
use super::options::NSID_OCTETS_MAX;

/// Octets of one character string, which is what a CHAOS answer holds (RFC 1035 §3.3).
pub const CHAOS_OCTETS_MAX: usize = 255;

/// Who we are, as far as we tell. The default tells nothing and makes no cookies.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    nsid: Box<[u8]>,
    version: Box<[u8]>,
    host: Box<[u8]>,
    cookies: Option<Cookies>,
}

impl Identity {
    /// With the identifier that NSID gives (RFC 5001), at most [`NSID_OCTETS_MAX`] octets; empty: none.
    pub fn with_nsid(self, nsid: &[u8]) -> Identity {
        Identity { nsid: nsid[..nsid.len().min(NSID_OCTETS_MAX)].into(), ..self }
    }

    /// With the answer to `version.bind` and `version.server`, at most [`CHAOS_OCTETS_MAX`] octets; empty: refused.
    pub fn with_version(self, version: &[u8]) -> Identity {
        Identity { version: version[..version.len().min(CHAOS_OCTETS_MAX)].into(), ..self }
    }

    /// With the answer to `id.server` and `hostname.bind` (RFC 4892), at most [`CHAOS_OCTETS_MAX`] octets; empty:
    /// refused.
    pub fn with_host(self, host: &[u8]) -> Identity {
        Identity { host: host[..host.len().min(CHAOS_OCTETS_MAX)].into(), ..self }
    }

    /// With DNS cookies.
    pub fn with_cookies(self, cookies: Option<Cookies>) -> Identity {
        Identity { cookies, ..self }
    }

    pub(super) fn nsid(&self) -> &[u8] {
        &self.nsid
    }

    /// How cookies are made and judged; `None`: not at all.
    pub fn cookies(&self) -> Option<&Cookies> {
        self.cookies.as_ref()
    }

    /// The text of the CHAOS name, in lower-case wire form; `None` if there is none or it is hidden.
    pub(super) fn chaos(&self, name: &[u8]) -> Option<&[u8]> {
        let text = match name {
            b"\x07version\x04bind\x00" | b"\x07version\x06server\x00" => &self.version,
            b"\x02id\x06server\x00" | b"\x08hostname\x04bind\x00" => &self.host,
            _ => return None,
        };
        (!text.is_empty()).then_some(text)
    }
}

/// An identity that tells nothing, for callers that have none.
pub(super) static NOBODY: std::sync::LazyLock<Identity> = std::sync::LazyLock::new(Identity::default);
