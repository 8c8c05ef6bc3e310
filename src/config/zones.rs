//! TSIG keys, primaries and secondary zones: the tables as written, and what they come to.
//!
//! The `…Table` structs are the keys of the file; [`TsigKey`], [`Primary`] and [`Zone`] are what the daemon gets:
//! names looked up, addresses parsed, tenants filled in.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;

use super::catalogs::{Catalog, CatalogTable};
use super::guard::{GuardTable, HookTable, ZonePolicy};
use super::tls::{TlsAlpn, TlsLevel};
use super::values::{NotifyTarget, Secret, de};
use crate::access::Rule;
use crate::dns::Name;
use crate::dns::tsig::Algorithm as TsigAlgorithm;

/// A place in a configuration file.
#[derive(Clone, PartialEq, Eq)]
pub struct Origin {
    /// The file.
    pub file: Arc<Path>,
    /// The line, counted from 1.
    pub line: u32,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A TSIG key, ready to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TsigKey {
    /// Its name, a domain name; both sides must use the same.
    pub name: Name,
    /// Its algorithm.
    pub algorithm: TsigAlgorithm,
    /// The shared secret, decoded.
    pub secret: Secret,
}

/// `[tsig-key.NAME]`: a key shared with a primary or a downstream (RFC 8945). NAME is a domain name and must be the
/// same at the other side; write names with dots in quotes: `[tsig-key."transfer.example.net"]`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TsigKeyTable {
    /// `"hmac-sha256"` (default), `"hmac-sha384"`, `"hmac-sha512"`; for old primaries `"hmac-sha224"` or `"hmac-sha1"` with
    /// a warning, `"hmac-md5"` with `allow-md5`. The last and `"hmac-sha224"` cannot sign NOTIFYs to downstreams.
    #[serde(default = "hmac_sha256", deserialize_with = "de::tsig_algorithm")]
    pub algorithm: TsigAlgorithm,
    /// Whether the algorithm may be `"hmac-md5"`, which nobody should use any more (RFC 8945 §6). Default false.
    #[serde(default)]
    pub allow_md5: bool,
    /// The secret in base64, as `keymgr -t`, `tsig-keygen` and `nsd-control` print it. This or `secret-file`.
    pub secret: Option<Spanned<Secret>>,
    /// File that holds the secret in base64; a line feed at its end is dropped; relative to this file. This or
    /// `secret`.
    pub secret_file: Option<Spanned<PathBuf>>,
}

fn hmac_sha256() -> TsigAlgorithm {
    TsigAlgorithm::HmacSha256
}

/// How a primary is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// SOA queries over UDP, transfers over TCP, in clear text.
    #[default]
    Tcp,
    /// Everything over TLS (RFC 9103).
    Tls,
}

/// A primary of one zone, ready to use.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Primary {
    /// Where it answers.
    pub address: SocketAddr,
    /// The TSIG key that signs queries to it and must sign its answers and NOTIFYs.
    pub tsig_key: Option<Name>,
    /// The address queries to it leave from; `None`: the system chooses.
    pub source: Option<IpAddr>,
    /// How it is spoken to.
    pub transport: Transport,
}

impl Primary {
    /// A primary without key at `address`.
    pub fn at(address: SocketAddr) -> Primary {
        Primary { address, tsig_key: None, source: None, transport: Transport::Tcp }
    }
}

/// `[primary.NAME]`: settings of a primary that several zones share; zones name it in `primaries`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PrimaryTable {
    /// `IP`, `IP:port`, `[IPv6]:port` or `IP#port`; if no port is written 53, with `transport = "tls"` 853. Required.
    pub address: Spanned<String>,
    /// NAME of the `[tsig-key.NAME]` that signs the exchanges. Default none.
    pub tsig_key: Option<Spanned<String>>,
    /// `"tcp"`: SOA queries over UDP, transfers over TCP, in clear text. `"tls"`: everything over TLS (RFC 9103, TLS 1.3
    /// with ALPN `dot`). Default `"tcp"`.
    #[serde(default)]
    pub transport: Transport,
    /// `"strict"`: the certificate must be signed by an authority of `tls-ca` and have `tls-name`, or have a key of
    /// `tls-pin`; never clear text. `"opportunistic"`: nothing is checked, and without TLS at the primary the exchange
    /// goes in clear text, at port 53 if the port is 853, else at the same port. Default `"strict"`.
    pub tls_profile: Option<TlsLevel>,
    /// Host name or address that the primary's certificate must have; a host name is also sent to the primary (SNI).
    /// Default: the IP of `address`.
    pub tls_name: Option<Spanned<String>>,
    /// PEM file with the certificates of the authorities that may sign, or with the primary's own self-signed one;
    /// relative to this file; read at the start and at each reload. Default: the system's authorities.
    pub tls_ca: Option<Spanned<PathBuf>>,
    /// SHA-256 of public keys (SPKI) in base64, of which the primary must have one. Alone they replace authority, name and
    /// the end of the certificate; a `tls-ca` or `tls-name` that stands beside them must fit, too. Default none.
    #[serde(default)]
    pub tls_pin: Vec<Spanned<String>>,
    /// `"required"`: the primary must choose ALPN `dot`, as RFC 9103 §7.1 says. `"optional"`: it may choose none; for
    /// servers that know no ALPN, such as NSD 4.6. Default `"required"`, with the opportunistic profile `"optional"`.
    pub tls_alpn: Option<TlsAlpn>,
    /// PEM file with our certificate, and those between it and its authority, for primaries that ask for it (mutual TLS).
    /// Relative to this file; read at the start and at each reload. Default none. Needs `tls-key`.
    pub tls_cert: Option<Spanned<PathBuf>>,
    /// PEM file with the private key of `tls-cert`, not encrypted. Default none.
    pub tls_key: Option<Spanned<PathBuf>>,
    /// Own address that queries and transfers leave from, of the same family as `address`. Default: the system's
    /// choice. Set it on hosts with several addresses when the primary allows only one.
    pub source: Option<Spanned<IpAddr>>,
}

/// A secondary zone of the configuration, ready to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// The apex.
    pub name: Name,
    /// Its primaries, most wanted first; at least one, no two with one address and port. Zones
    /// of one list share it.
    pub primaries: Arc<[Primary]>,
    /// Who may send NOTIFY beside the primaries; this list and the next three are shared in the same way.
    pub allow_notify: Arc<[Rule]>,
    /// Who may ask for AXFR and IXFR.
    pub allow_transfer: Arc<[Rule]>,
    /// Who may ask questions; `None`: everybody.
    pub allow_query: Option<Arc<[Rule]>>,
    /// Who is told about new serials.
    pub notify: Arc<[NotifyTarget]>,
    /// Guard rails and check of its own.
    pub policy: Option<Arc<ZonePolicy>>,
    /// What its members are to be, if it is a catalog that is followed.
    pub catalog: Option<Arc<Catalog>>,
    /// Whose zone it is in the API.
    pub tenant: Arc<str>,
    /// Where it stands.
    pub origin: Origin,
}

impl Zone {
    /// Whether everything but the place in the file is equal.
    pub fn same_settings(&self, other: &Zone) -> bool {
        self.name == other.name && self.is_arranged_as(other)
    }

    /// Whether everything but name and place is equal. O(1) where lists are shared.
    pub fn is_arranged_as(&self, other: &Zone) -> bool {
        let Zone {
            name: _,
            primaries,
            allow_notify,
            allow_transfer,
            allow_query,
            notify,
            policy,
            catalog,
            tenant,
            origin: _,
        } = self;
        (primaries, allow_notify, allow_transfer) == (&other.primaries, &other.allow_notify, &other.allow_transfer)
            && (allow_query, notify, policy) == (&other.allow_query, &other.notify, &other.policy)
            && (catalog, tenant) == (&other.catalog, &other.tenant)
    }
}

/// `[[secondary-zone]]`: a zone taken from primaries. What few zones have stands apart: a file may name 100,000.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ZoneTable {
    /// The zone's name; a final dot is optional. Required.
    pub name: Spanned<String>,
    /// Addresses (as in `[primary.NAME]`) or NAMEs of `[primary.NAME]`, most wanted first. Required, not empty.
    pub primaries: Spanned<Vec<Spanned<String>>>,
    /// NAME of the `[tsig-key.NAME]` for primaries given by address. Default none.
    pub tsig_key: Option<Spanned<String>>,
    /// Who may send NOTIFY beside the primaries themselves: prefixes, `"key:NAME"`, or both in one string. Default
    /// none. For primaries that send from another address than the one they answer on.
    #[serde(default, deserialize_with = "de::rules")]
    pub allow_notify: Vec<Spanned<Rule>>,
    /// Downstreams that may ask for AXFR and IXFR: prefixes, `"key:NAME"`, or both in one string. Default none:
    /// everybody is refused.
    #[serde(default, deserialize_with = "de::rules")]
    pub allow_transfer: Vec<Spanned<Rule>>,
    /// Who may ask questions about the zone, over any transport: prefixes, `"key:NAME"`, or both in one string; everybody
    /// else is answered REFUSED. Default (key absent): everybody; an empty list: nobody.
    #[serde(default, deserialize_with = "de::rules_option")]
    pub allow_query: Option<Vec<Spanned<Rule>>>,
    /// Downstreams that are told about a new serial: addresses, or `"ADDRESS key:NAME"`. Default none.
    #[serde(default)]
    pub notify: Vec<Spanned<NotifyTarget>>,
    /// Keys of `[guard]` that are different for this zone, e.g. `guard = { shrink-percent = 50 }`. Default none.
    pub guard: Option<Box<Spanned<GuardTable>>>,
    /// Keys of `[hook]` that are different for this zone, e.g. `hook = { command = [] }`. Default none.
    pub hook: Option<Box<Spanned<HookTable>>>,
    /// The tenant who sees the zone in the API. Default: the first credential's, else `"default"`.
    pub tenant: Option<Spanned<String>>,
    /// The zone is a catalog (RFC 9432), and what it lists becomes zones here; see [`CatalogTable`]. Default none: a
    /// catalog is a zone like any other.
    pub catalog: Option<Box<Spanned<CatalogTable>>>,
}
