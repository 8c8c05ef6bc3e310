//! The configuration: every key with its meaning, unit, default, and when to change it.
//!
//! In: one TOML file and what it includes. Out: a [`Config`] in which names are looked up, addresses parsed and
//! secrets wrapped, or every mistake with file, line, key and what would be right ([`ConfigErrors`]). Called at
//! start, by `check-config`, and on SIGHUP, when [`difference()`] says what has changed.
//!
//! Vocabulary for `net`, `store`, `control`, `api` and `daemon`; rules get plain values. Never opens a socket, never
//! logs, never shows a secret. `config/secondaryd.toml` is the same text for people, and a test holds it against the
//! structs here.
//!
//! | section | struct |
//! | --- | --- |
//! | (top) | [`Config`] |
//! | `[dns]` | [`Dns`] |
//! | `[api]`, `[[api.credential]]` | [`Api`], [`CredentialTable`] |
//! | `[local]`, `[quota]` | [`Local`], [`Quota`] |
//! | `[transfer]` | [`Transfer`] |
//! | `[guard]` | [`GuardTable`] |
//! | `[hook]` | [`HookTable`] |
//! | `[store]` | [`Store`] |
//! | `[log]` | [`Log`] |
//! | `[tsig-key.NAME]` | [`TsigKeyTable`] |
//! | `[primary.NAME]` | [`PrimaryTable`] |
//! | `[[secondary-zone]]`, `[secondary-zone.catalog]` | [`ZoneTable`], [`CatalogTable`] |
//! | `[[catalog-zone]]` | [`CatalogZoneTable`] |

mod catalogs;
mod check;
mod difference;
mod guard;
mod listening;
mod reader;
mod sections;
mod tls;
mod values;
mod zones;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use catalogs::{Catalog, CatalogTable, CatalogZone, CatalogZoneTable, Members, MembersTable};
pub use difference::{Difference, difference};
pub use guard::{Guard, GuardTable, Hook, HookTable, OnDeadline, OnFailure, Strictness, ZonePolicy};
pub use sections::{
    Api, CookieKey, Credential, CredentialTable, Dns, Durability, Local, Log, LogFormat, PrimaryChoice, Quota, Role,
    Store, TokenHash, Transfer,
};
pub use tls::{TlsAlpn, TlsIdentity, TlsLevel, TlsProfile, not_after};
pub use values::{API_PORT, API_TLS_PORT, ApiListen, DNS_PORT, DNS_TLS_PORT, NotifyTarget, Secret, peer_address};
pub use zones::{Origin, Primary, PrimaryTable, Transport, TsigKey, TsigKeyTable, Zone, ZoneTable};

pub use crate::dns::tsig::Algorithm as TsigAlgorithm;

use ipnet::IpNet;

use crate::dns::Name;

/// Where the daemon looks when `--config` is not given.
pub const DEFAULT_PATH: &str = "/etc/secondaryd/secondaryd.toml";
/// Tenant of zones that name none, while there is no credential either.
pub const DEFAULT_TENANT: &str = "default";

/// A whole configuration that passed every check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `state-dir`: directory of the database, made if absent. Default `"/var/lib/secondaryd"`. One daemon a
    /// directory. Takes effect after a restart.
    pub state_dir: PathBuf,
    /// `durability`: `"behind"` or `"before"`. Default `"behind"`, which serves a new serial at once; see
    /// [`Durability`].
    pub durability: Durability,
    /// `include`: patterns (`*`, `?`) of further files with `[[secondary-zone]]`, `[[catalog-zone]]`, `[primary.NAME]` and
    /// `[tsig-key.NAME]`, relative to this file, read in sorted order. A pattern may match none; a directory that cannot be
    /// read is an error. Default none.
    pub include: Vec<String>,
    /// `[dns]`.
    pub dns: Dns,
    /// `[api]`.
    pub api: Api,
    /// `[local]`.
    pub local: Local,
    /// `[quota]`.
    pub quota: Quota,
    /// `[transfer]`.
    pub transfer: Transfer,
    /// `[guard]`: what holds a version back.
    pub guard: Guard,
    /// `[hook]`: a check of the operator's own.
    pub hook: Hook,
    /// `[store]`.
    pub store: Store,
    /// `[log]`.
    pub log: Log,
    /// `[tsig-key.NAME]`, by name.
    pub tsig_keys: BTreeMap<Name, TsigKey>,
    /// How the primaries of `[primary.NAME]` with `transport = "tls"` are spoken to, by their address.
    pub tls: BTreeMap<SocketAddr, Arc<TlsProfile>>,
    /// `[[secondary-zone]]`, in the order of the files; no name twice.
    pub zones: Vec<Zone>,
    /// `[[catalog-zone]]`, in the order of the files; no name twice, and none of a zone.
    pub catalogs: Vec<CatalogZone>,
    /// What is allowed but deserves a look; to be logged at start and shown by `check-config`.
    pub warnings: Vec<String>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            state_dir: PathBuf::from("/var/lib/secondaryd"),
            durability: Durability::default(),
            include: Vec::new(),
            dns: Dns::default(),
            api: Api::default(),
            local: Local::default(),
            quota: Quota::default(),
            transfer: Transfer::default(),
            guard: Guard::default(),
            hook: Hook::default(),
            store: Store::default(),
            log: Log::default(),
            tsig_keys: BTreeMap::new(),
            tls: BTreeMap::new(),
            zones: Vec::new(),
            catalogs: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

/// See [`Config::beginning`].
#[derive(Debug, PartialEq)]
pub struct Beginning {
    /// What stands there; everything else has its default.
    pub config: Config,
    /// Whether `[dns]` is there, which then cannot come later.
    pub says_where_to_listen: bool,
}

impl Config {
    /// Reads `path` and the files it includes, and checks everything. Linear in the number of zones: 100,000 take
    /// well under a second.
    pub fn load(path: &Path) -> Result<Config, ConfigErrors> {
        check::resolve(reader::Tables::read(path))
    }

    /// What `path` says in its sections before the first zone, if they are short and have no mistakes: without a look at what
    /// follows, or at included files. For what can be begun meanwhile; [`Config::load`] has the last word.
    pub fn beginning(path: &Path) -> Option<Beginning> {
        /// More are keys and primaries, and read once.
        const OCTETS_MAX: usize = 1 << 16;
        let sections = reader::sections_before_zones(path, OCTETS_MAX)?;
        let mut tables = reader::Tables::default();
        tables.read_sections(path, &sections);
        let says_where_to_listen = tables.has_section("dns");
        Some(Beginning { config: check::resolve(tables).ok()?, says_where_to_listen })
    }

    /// Whether no section of `path` follows its first zone, as far as lines tell: [`Config::beginning`] has all of them.
    pub fn ends_with_zones(path: &Path) -> bool {
        std::fs::read_to_string(path).is_ok_and(|text| reader::before_zones(&text).is_some())
    }

    /// As [`Config::load`], with `text` in place of the file's contents; `path` still anchors relative paths.
    pub fn from_text(path: &Path, text: &str) -> Result<Config, ConfigErrors> {
        let mut tables = reader::Tables::default();
        tables.read_main(path, text);
        check::resolve(tables)
    }

    /// Whether `ip` may come in as a primary by REST or by a catalog (`[transfer] allow-primaries`).
    pub fn allows_primary(&self, ip: IpAddr) -> bool {
        match &self.transfer.allow_primaries {
            Some(prefixes) => prefixes.iter().any(|prefix| prefix.contains(&ip)),
            None => self.api.is_of_this_host() || sections::is_remote(ip),
        }
    }

    /// Where the PTR of an address may make a reverse zone (`[api] owned-cidrs`); `None`: everywhere.
    pub fn owned_cidrs(&self) -> Option<Vec<IpNet>> {
        let owned = &self.api.owned_cidrs;
        let has_one_tenant = self.api.credentials.iter().all(|other| other.tenant == self.default_tenant());
        if owned.is_empty() && has_one_tenant { None } else { Some(owned.clone()) }
    }

    /// The guard rails of a zone with this policy of its own.
    pub fn guard_of(&self, policy: Option<&ZonePolicy>) -> Guard {
        policy.map_or(self.guard, |policy| self.guard.with(&policy.guard))
    }

    /// The external check of a zone with this policy of its own; `None` if there is none.
    pub fn hook_of(&self, policy: Option<&ZonePolicy>) -> Option<Hook> {
        let hook = policy.map_or_else(|| self.hook.clone(), |policy| self.hook.with(&policy.hook));
        Some(hook).filter(|hook| !hook.command.is_empty())
    }

    /// The tenant of zones that name none: the first credential's, else [`DEFAULT_TENANT`].
    pub fn default_tenant(&self) -> &str {
        self.api.credentials.first().map_or(DEFAULT_TENANT, |credential| &credential.tenant)
    }
}

/// One mistake in a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file.
    pub file: Arc<Path>,
    /// The line, counted from 1; `None` if the file could not be read.
    pub line: Option<u32>,
    /// The key with its section, e.g. `dns.workers`; empty for broken syntax.
    pub key: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl ConfigError {
    fn new(origin: Origin, key: &str, message: String) -> ConfigError {
        ConfigError { file: origin.file, line: Some(origin.line), key: key.to_owned(), message }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Every mistake found, in the order of the files; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

/// Mistakes shown in full; a generated file with one mistake in each of 100,000 zones shall not flood the terminal.
const ERRORS_SHOWN_MAX: usize = 50;

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().take(ERRORS_SHOWN_MAX).enumerate() {
            let separator = if i == 0 { "" } else { "\n" };
            write!(f, "{separator}{error}")?;
        }
        match self.0.len().saturating_sub(ERRORS_SHOWN_MAX) {
            0 => Ok(()),
            more => write!(f, "\n... and {more} more"),
        }
    }
}

impl std::error::Error for ConfigErrors {}

#[cfg(test)]
mod tests;
