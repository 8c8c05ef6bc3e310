//! What an operator said a zone should be: its name, its owner, its primaries. The keeper holds one per zone, the
//! store keeps those that came by REST or by a catalog (as JSON), the API shows them.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};
use uuid::Uuid;

use crate::access::Rule;
use crate::catalog::Member;
use crate::config::{Catalog, NotifyTarget, ZonePolicy};
use crate::dns::Name;
use crate::local::Attributes;
use crate::served::ZoneId;
use crate::time::Timestamp;

/// The port of a primary that is given by address alone (RFC 1035 §4.2).
pub const PRIMARY_PORT: u16 = 53;
/// The port of a primary with [`Transport::Tls`] that is given by address alone (RFC 7858 §3.1).
pub const PRIMARY_TLS_PORT: u16 = crate::config::DNS_TLS_PORT;

/// One zone as it was defined. Immutable: a change makes a new value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneDefinition {
    /// Number of the zone, allocated upwards from [`FIRST_ZONE_ID`], never reused.
    pub id: ZoneId,
    /// Identity in the REST API: v4 by POST, the client's by PUT, v5 of the name for configured zones.
    pub uuid: Uuid,
    /// The apex.
    pub name: Name,
    /// Free text, up to 1000 characters.
    pub description: String,
    /// What stands behind the SOA of a zone that is edited here; `None`: a secondary zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<Box<Attributes>>,
    /// Where the definition stands.
    pub origin: Origin,
    /// When the zone was first defined.
    pub created: Timestamp,
    /// When the definition was last changed (never by a transfer).
    pub modified: Timestamp,
    /// What it has in common with other zones.
    #[serde(flatten)]
    pub arrangement: Arc<Arrangement>,
}

/// What zones of one owner and origin mostly have in common, and then share: there may be 100,000 of them. The definition
/// hands it out as its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrangement {
    /// Whose zone it is.
    pub tenant: Arc<str>,
    /// In the order in which they are asked; 1..=10 for zones from REST.
    pub primaries: Arc<[Primary]>,
    /// Who besides the primaries may send NOTIFY.
    pub allow_notify: Arc<[Rule]>,
    /// Who may transfer the zone from us; empty: nobody.
    pub allow_transfer: Arc<[Rule]>,
    /// Who may ask questions; `None`: everybody. Configured zones only.
    #[serde(skip)]
    pub allow_query: Option<Arc<[Rule]>>,
    /// Downstreams that are told of a new serial; configured zones only.
    #[serde(skip, default = "nobody")]
    pub notify: Arc<[NotifyTarget]>,
    /// Guard rails and check of its own; configured zones only.
    #[serde(skip)]
    pub policy: Option<Arc<ZonePolicy>>,
    /// What its members are to be, if it is a catalog that is followed; configured zones only.
    #[serde(skip)]
    pub catalog: Option<Arc<Catalog>>,
    /// `tenant` and `user` of the credential that created it.
    pub created_by: Arc<str>,
    /// `user` of the credential that changed it last.
    pub modified_by: Arc<str>,
}

impl Arrangement {
    /// Of a zone that comes by REST: rules of its own stand in the configuration only.
    pub(super) fn of_rest(tenant: Arc<str>, user: Arc<str>, primaries: Arc<[Primary]>) -> Arrangement {
        Arrangement {
            tenant,
            primaries,
            allow_notify: [].into(),
            allow_transfer: [].into(),
            allow_query: None,
            notify: nobody(),
            policy: None,
            catalog: None,
            created_by: user.clone(),
            modified_by: user,
        }
    }
}

impl Deref for ZoneDefinition {
    type Target = Arrangement;

    fn deref(&self) -> &Arrangement {
        &self.arrangement
    }
}

impl DerefMut for ZoneDefinition {
    /// From here on the zone has an arrangement of its own.
    fn deref_mut(&mut self) -> &mut Arrangement {
        Arc::make_mut(&mut self.arrangement)
    }
}

/// Zone numbers begin here (they double as ids of the Rackspace dialect, where seven digits are usual).
pub const FIRST_ZONE_ID: u32 = 1_000_001;

/// Where a definition comes from and so who may change it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Stands in this configuration file; REST must not change it.
    Configured {
        /// Path of the file that names the zone.
        file: Arc<Path>,
        /// Line of the zone in it, from 1.
        line: u32,
    },
    /// A catalog lists it; REST must not change it.
    Catalog(Box<Membership>),
    /// Came by REST and lives in the store.
    Rest,
}

/// What makes a zone a member of a catalog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The catalog.
    pub catalog: Name,
    /// What it says of the zone.
    pub member: Member,
}

impl Origin {
    /// File and line, or the catalog, for people; `None` for zones that came by REST.
    pub fn place(&self) -> Option<String> {
        match self {
            Origin::Configured { file, line } => Some(format!("{}:{line}", file.display())),
            Origin::Catalog(membership) => Some(format!("catalog {}", membership.catalog.without_dot())),
            Origin::Rest => None,
        }
    }
}

fn nobody() -> Arc<[NotifyTarget]> {
    Arc::new([])
}

/// A primary of one zone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Primary {
    /// Where to ask.
    pub address: SocketAddr,
    /// Key that signs the exchange in both directions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tsig_key: Option<Name>,
    /// How the exchange travels.
    #[serde(default)]
    pub transport: Transport,
    /// Local address of outgoing connections; `None` leaves it to the routing table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
}

/// How exchanges with a primary travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// SOA over UDP with fall-back to TCP, transfers over TCP.
    #[default]
    Tcp,
    /// Everything over TLS (RFC 9103).
    Tls,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Transport::Tcp => f.write_str("tcp"),
            Transport::Tls => f.write_str("tls"),
        }
    }
}

impl From<&crate::config::Primary> for Primary {
    fn from(primary: &crate::config::Primary) -> Primary {
        let crate::config::Primary { address, tsig_key, source, transport } = primary.clone();
        let transport = match transport {
            crate::config::Transport::Tcp => Transport::Tcp,
            crate::config::Transport::Tls => Transport::Tls,
        };
        Primary { address, tsig_key, transport, source }
    }
}

impl From<&Primary> for crate::config::Primary {
    fn from(primary: &Primary) -> crate::config::Primary {
        let Primary { address, tsig_key, source, transport } = primary.clone();
        let transport = match transport {
            Transport::Tcp => crate::config::Transport::Tcp,
            Transport::Tls => crate::config::Transport::Tls,
        };
        crate::config::Primary { address, tsig_key, transport, source }
    }
}

impl Primary {
    /// A primary by address alone.
    pub fn at(address: SocketAddr) -> Primary {
        Primary { address, tsig_key: None, transport: Transport::Tcp, source: None }
    }

    /// How REST spells the address: RFC 5952, with `#port` unless the port is `default_port`.
    pub fn spelled(&self, default_port: u16) -> String {
        if self.address.port() == default_port {
            self.address.ip().to_string()
        } else {
            format!("{}#{}", self.address.ip(), self.address.port())
        }
    }
}

/// The UUID of a configured zone: v5 of its name, so it stays the same on every machine and after every restart.
pub fn configured_uuid(name: &Name) -> Uuid {
    uuid_of(&Uuid::NAMESPACE_DNS, name.without_dot().as_bytes())
}

/// The UUID of what has a name in `namespace`: version 5 (RFC 9562 §5.5). The library of UUIDs would need a SHA-1 of its own, a
/// slower one; at a start there may be 100,000.
pub fn uuid_of(namespace: &Uuid, name: &[u8]) -> Uuid {
    let hash = Sha1::new_with_prefix(namespace).chain_update(name).finalize();
    let (hash, _) = hash.split_first_chunk().expect("20 octets");
    uuid::Builder::from_sha1_bytes(*hash).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9562 Appendix A.4: "www.example.com" in the namespace of domain names.
    #[test]
    fn the_identity_of_a_name_is_that_of_the_rfc() {
        let uuid = configured_uuid(&"WWW.example.com.".parse().expect("a name"));
        assert_eq!(uuid.to_string(), "2ed6657d-e927-568b-95e1-2665a8aea6a2");
    }

    #[test]
    fn addresses_are_spelled_as_rfc_5952_with_a_hash_before_an_unusual_port() {
        let primary = |text: &str| Primary::at(text.parse().expect("an address"));
        assert_eq!(primary("192.0.2.1:53").spelled(53), "192.0.2.1");
        assert_eq!(primary("192.0.2.1:5300").spelled(53), "192.0.2.1#5300");
        assert_eq!(primary("[2001:DB8:0:0::1]:53").spelled(53), "2001:db8::1");
        assert_eq!(primary("[2001:db8::1]:5300").spelled(53), "2001:db8::1#5300");
    }
}
