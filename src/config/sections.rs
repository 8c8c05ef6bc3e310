//! The plain sections of the configuration: one struct a section, one field a key, its default in `Default`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;

use super::values::{ApiListen, NotifyTarget, Secret, de};
use crate::access::Rule;
use crate::dns::Name;
use crate::time::Timestamp;

/// When a transferred zone is served: before or after it is on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// Publish, then store. A crash may lose the last moments; one IXFR brings them back, because the primary is
    /// the record of truth. NOTIFY and transfers to downstreams wait for the disk all the same.
    #[default]
    Behind,
    /// Store, then publish. Each new serial waits for one flush of the disk.
    Before,
}

/// `[dns]`: answering queries.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Dns {
    /// Addresses for UDP and TCP, port 53 if none is written. Default `["127.0.0.1:5300"]`: nothing is answered to
    /// the world before an operator says where. For a public server write its addresses, e.g.
    /// `["192.0.2.53", "2001:db8::53"]`; with several addresses on one host avoid `0.0.0.0`, so that UDP replies
    /// leave by the address that was asked. Takes effect after a restart.
    #[serde(deserialize_with = "de::dns_listen")]
    pub listen: Vec<SocketAddr>,
    /// Addresses for DNS over TLS (RFC 7858) and for transfers to downstreams over TLS (RFC 9103), port 853 if none is
    /// written. Default none. Needs `tls-cert` and `tls-key`. Takes effect after a restart.
    #[serde(deserialize_with = "de::tls_listen")]
    pub listen_tls: Vec<SocketAddr>,
    /// PEM file with the server's certificate and the chain behind it, relative to this file. Required with
    /// `listen-tls`. Read again at each reload, so that a renewed certificate needs no restart.
    pub tls_cert: Option<PathBuf>,
    /// PEM file with the key of `tls-cert`, relative to this file. Required with `listen-tls`. Read again at each
    /// reload.
    pub tls_key: Option<PathBuf>,
    /// Prefixes of load balancers that may say for whom they speak (PROXY protocol version 2, over UDP, TCP and TLS):
    /// the address they name is the one access lists, limits and cookies go by. Default none. Takes effect after a
    /// restart.
    #[serde(deserialize_with = "de::prefixes")]
    pub allow_proxy: Vec<IpNet>,
    /// Threads that answer UDP queries. Default 0: one per core. Lower it when the host does other work too.
    /// Takes effect after a restart.
    pub workers: usize,
    /// Largest UDP answer in octets, 512..=4096, also offered to clients by EDNS. Default 1232, which passes every
    /// common path unfragmented (RFC 9715). Raise it only inside one network. Takes effect after a restart.
    pub edns_size: u16,
    /// NSEC3 iterations of a zone up to which its proofs are given. Default 2500, the most that RFC 5155 §10.3 ever
    /// allowed. Each proof costs a few times as many hashes, and anybody may ask for one; what would need a proof of a zone
    /// with more is SERVFAIL with extended error 27, everything else is answered. 65535: no bound. Takes effect after a
    /// restart.
    pub nsec3_iterations_max: u16,
    /// How long an idle TCP connection of a client is kept, RFC 7766 §6.2.3. Default `"10s"`. Takes effect after a
    /// restart.
    #[serde(deserialize_with = "de::duration")]
    pub tcp_idle_timeout: Duration,
    /// TCP connections of clients at one time, in all. Default 1000. At the bound new ones are closed at once. Where the
    /// system gives too few file descriptors it is lowered, with a warning. Takes effect after a restart.
    pub tcp_connections: usize,
    /// TCP connections of one client at one time: of one IPv4 address, of one /64 of IPv6. Default 100. Raise it for a
    /// resolver farm behind one address. Takes effect after a restart.
    pub tcp_connections_per_client: usize,
    /// AXFR and IXFR answers to downstreams running at one time. Default 50. Takes effect after a restart.
    pub outbound_transfers: usize,
    /// Equal replies a second over UDP to one network, all workers and all addresses of `listen` together; what exceeds it
    /// is sent short (TC) or not at all. Default 0: no limit. For servers that are abused to flood others; 20 to 200 spares
    /// every resolver that caches. Clients that have proved their address (TCP, a valid cookie, TSIG) are not limited. Takes
    /// effect after a restart.
    pub rate_limit: u32,
    /// Every how many-th reply over `rate-limit` is sent short, so that a real client can come by TCP. Default 2; 1:
    /// all of them, 0: none. Takes effect after a restart.
    pub rate_limit_slip: u8,
    /// Bits of an IPv4 address that make a network for `rate-limit`, 1 to 32. Default 24. Takes effect after a restart.
    pub rate_limit_ipv4_prefix: u8,
    /// Bits of an IPv6 address that make a network for `rate-limit`, 1 to 128. Default 56. Takes effect after a
    /// restart.
    pub rate_limit_ipv6_prefix: u8,
    /// Whether DNS cookies are answered (RFC 7873, RFC 9018). Default true.
    pub cookies: bool,
    /// Secrets of cookies, 32 hexadecimal digits each: the first makes cookies, all are accepted. Default none: a new
    /// random one with each start. Set the same on all servers behind one address. To change it: append the new one
    /// everywhere, put it first everywhere, after an hour remove the old one.
    pub cookie_secrets: Vec<Secret>,
    /// File with such secrets, one a line, relative to this file; before `cookie-secrets`. Default none. Read again at
    /// each reload.
    pub cookie_secret_file: Option<PathBuf>,
    /// Whether clients that show a cookie over UDP without a valid server cookie must come back with the one they get
    /// (BADCOOKIE) before they are answered. Default false. For servers under attack by forged addresses.
    pub require_cookie: bool,
    /// Text by which this server is told from others behind the same address (NSID, RFC 5001), up to 128 octets.
    /// Default `""`: no answer to NSID.
    pub nsid: String,
    /// Answer to the CHAOS names `version.bind` and `version.server`, up to 255 octets. Default `"secondaryd"`; `""`:
    /// refused.
    pub version: String,
    /// Answer to the CHAOS names `id.server` and `hostname.bind` (RFC 4892), up to 255 octets; `""`: refused. Default
    /// (key absent): the name of this host.
    pub identity: Option<String>,
    /// `cookie-secrets` and those of `cookie-secret-file`, decoded.
    #[serde(skip)]
    pub cookie_keys: Vec<CookieKey>,
}

/// A secret of cookies, decoded; never shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CookieKey(pub [u8; 16]);

impl std::fmt::Debug for CookieKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Default for Dns {
    fn default() -> Dns {
        Dns {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 5300))],
            listen_tls: Vec::new(),
            tls_cert: None,
            tls_key: None,
            allow_proxy: Vec::new(),
            workers: 0,
            edns_size: 1232,
            nsec3_iterations_max: 2500,
            tcp_idle_timeout: Duration::from_secs(10),
            tcp_connections: 1000,
            tcp_connections_per_client: 100,
            outbound_transfers: 50,
            rate_limit: 0,
            rate_limit_slip: 2,
            rate_limit_ipv4_prefix: 24,
            rate_limit_ipv6_prefix: 56,
            cookies: true,
            cookie_secrets: Vec::new(),
            cookie_secret_file: None,
            require_cookie: false,
            nsid: String::new(),
            version: "secondaryd".to_owned(),
            identity: None,
            cookie_keys: Vec::new(),
        }
    }
}

/// `[api]`: the HTTP listener and who may use it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Api {
    /// Where HTTP is answered in clear text: addresses, port 8053 if none is written, and UNIX sockets such as
    /// `"unix:/run/secondaryd/api.sock"`. Default `["127.0.0.1:8053"]`. What has to leave the host belongs into
    /// `listen-tls`. Takes effect after a restart.
    #[serde(deserialize_with = "de::api_listen")]
    pub listen: Vec<ApiListen>,
    /// Permissions of the UNIX sockets of `listen` in octal digits. Default `"660"`: the daemon's user and group. Who
    /// may connect still needs a credential. Takes effect after a restart.
    #[serde(deserialize_with = "de::file_mode")]
    pub socket_mode: u32,
    /// Addresses for HTTPS (TLS 1.2 and 1.3), port 8443 if none is written. Default none. Needs `tls-cert` and
    /// `tls-key`. Takes effect after a restart.
    #[serde(deserialize_with = "de::api_tls_listen")]
    pub listen_tls: Vec<SocketAddr>,
    /// PEM file with the API's certificate and the chain behind it, relative to this file. Required with `listen-tls`.
    /// Read again at each reload, so that a renewed certificate needs no restart.
    pub tls_cert: Option<PathBuf>,
    /// PEM file with the key of `tls-cert`, relative to this file. Required with `listen-tls`. Read again at each
    /// reload.
    pub tls_key: Option<PathBuf>,
    /// Prefixes of proxies before the API: of their requests `X-Forwarded-Proto` says which scheme links have, and the
    /// last address of `X-Forwarded-For` whom limits count. Default none. Whoever comes by a UNIX socket is trusted so.
    #[serde(deserialize_with = "de::prefixes")]
    pub trusted_proxies: Vec<IpNet>,
    /// Origins whose pages may call the API from a browser (CORS), such as `"https://console.example.net"`; `"*"`: every
    /// one. Default none: browsers let no other page read an answer.
    #[serde(deserialize_with = "de::origins")]
    pub cors_origins: Vec<String>,
    /// Requests a second of one caller (tenant and user), and of one address without a valid credential; as many may come
    /// at once. What exceeds it is answered with 429 and `Retry-After`. Default 0: no limit, since some clients wait
    /// minutes after a 429.
    pub rate_limit: u32,
    /// The URL clients reach the API by, for links in replies, e.g. `"https://dns.example.net"`. Default `""`: taken
    /// from the request's `Host`. Set it behind a proxy.
    pub public_url: String,
    /// Host names of the name servers that serve local zones, shown in the API. Default none: this host's full name
    /// if it has one, else `ns1.secondaryd.invalid` with a warning.
    #[serde(deserialize_with = "de::hosts")]
    pub nameservers: Vec<Name>,
    /// Host names of the name servers that serve secondary zones, shown in the API so that users know what to
    /// delegate to. Default none: the same as `nameservers`.
    #[serde(deserialize_with = "de::hosts")]
    pub secondary_nameservers: Vec<Name>,
    /// Prefixes in which the PTR of an address makes a reverse zone (/24 or /64) where the tenant has none that holds it.
    /// Default: everything with one tenant, nothing with more.
    #[serde(deserialize_with = "de::prefixes")]
    pub owned_cidrs: Vec<IpNet>,
    /// Port of primaries that come in by REST without one. Default 53.
    pub primary_port: u16,
    /// Whether REST may add the root, `arpa` and single-label zones. Default false. Set it on a server for TLDs.
    pub allow_tld: bool,
    /// Whether a tenant may add a zone at, below or above a zone of another tenant. Default false, since that would
    /// let one tenant take over names of another.
    pub allow_subzones: bool,
    /// Largest request body. Default `"1MiB"`; beyond it the reply is 413.
    #[serde(deserialize_with = "de::octets")]
    pub max_body: u64,
    /// `[[api.credential]]`: who may call. Default none: then only `/healthz`, `/readyz` and `/metrics`
    /// answer.
    #[serde(skip)]
    pub credentials: Vec<Credential>,
}

impl Default for Api {
    fn default() -> Api {
        Api {
            listen: vec![ApiListen::Tcp(SocketAddr::from(([127, 0, 0, 1], super::API_PORT)))],
            socket_mode: 0o660,
            listen_tls: Vec::new(),
            tls_cert: None,
            tls_key: None,
            trusted_proxies: Vec::new(),
            cors_origins: Vec::new(),
            rate_limit: 0,
            public_url: String::new(),
            nameservers: Vec::new(),
            secondary_nameservers: Vec::new(),
            owned_cidrs: Vec::new(),
            primary_port: super::DNS_PORT,
            allow_tld: false,
            allow_subzones: false,
            max_body: 1 << 20,
            credentials: Vec::new(),
        }
    }
}

impl Api {
    /// Whether only this host can reach the API.
    pub fn is_of_this_host(&self) -> bool {
        self.listen.iter().all(ApiListen::is_of_this_host)
            && self.listen_tls.iter().all(|listen| listen.ip().is_loopback())
    }
}

/// What a credential may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Reads and writes.
    Admin,
    /// Reads only.
    #[default]
    Observer,
}

/// SHA-256 of a token: what is kept of it, so that neither a core dump nor a log can give it away.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash(pub [u8; 32]);

impl TokenHash {
    /// The hash of a token as clients send it.
    pub fn of(token: &[u8]) -> TokenHash {
        let digest = ring::digest::digest(&ring::digest::SHA256, token);
        TokenHash(digest.as_ref().try_into().expect("SHA-256 has 32 octets"))
    }
}

impl std::fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

/// One caller of the API, made from a [`CredentialTable`]; of tokens only the hash is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// Whose zones are seen and made.
    pub tenant: String,
    /// The name in `createdBy`, and of HTTP Basic and of the Rackspace identity.
    pub user: String,
    /// What it may do.
    pub role: Role,
    /// Of the bearer token.
    pub token: TokenHash,
    /// Of the API key (Rackspace identity) and password (HTTP Basic); the token's hash if none was given.
    pub api_key: TokenHash,
    /// When it stops being valid.
    pub expires: Option<Timestamp>,
}

impl Credential {
    /// A credential that does not expire and whose API key is its token.
    pub fn new(tenant: &str, user: &str, role: Role, token: &str) -> Credential {
        let token = TokenHash::of(token.as_bytes());
        Credential { tenant: tenant.to_owned(), user: user.to_owned(), role, token, api_key: token, expires: None }
    }
}

/// `[[api.credential]]`: the keys of one caller of the API.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CredentialTable {
    /// The tenant whose zones the credential sees and makes; letters, digits, `-`, `_`, `.`. Required. Digits only
    /// if Rackspace clients are used, since it is their account number.
    pub tenant: String,
    /// Name of the caller; with `api-key` also that of HTTP Basic. Required.
    pub user: String,
    /// `"admin"` (reads and writes) or `"observer"` (reads). Default `"observer"`.
    #[serde(default)]
    pub role: Role,
    /// The bearer token. This, `token-file` or `token-sha256` is required.
    pub token: Option<Secret>,
    /// File that holds the token; a line feed at its end is dropped. Keeps the token out of this file; with systemd
    /// use `LoadCredential=` and the path below `/run/credentials/secondaryd.service/`.
    pub token_file: Option<PathBuf>,
    /// SHA-256 of the token in hexadecimal digits (`printf %s TOKEN | sha256sum`), so that no file holds the token.
    #[serde(default, deserialize_with = "de::hash_option")]
    pub token_sha256: Option<[u8; 32]>,
    /// API key of the Rackspace identity and password of HTTP Basic. Default the token.
    pub api_key: Option<Secret>,
    /// When the credential ends, RFC 3339, e.g. `"2027-01-31T00:00:00Z"`. Default never.
    #[serde(default, deserialize_with = "de::timestamp_option")]
    pub expires: Option<Timestamp>,
}

/// What a tenant's name looks like, for messages.
pub(super) const TENANT: &str = "a tenant is written with 1 to 64 letters, digits, \"-\", \"_\" and \".\"";

/// Whether `text` can name a tenant; it stands in URLs and logs.
pub(super) fn is_tenant(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(&c))
}

/// `[transfer]`: asking primaries, and the bounds of what they may send.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Transfer {
    /// Prefixes from which primaries may be taken that come in by REST. Default (key absent): everything while every
    /// `[api] listen` is loopback; else everything but loopback, link-local, unspecified and multicast, so that a
    /// tenant cannot make the daemon talk to services of its own host. Zones of this file are not bound by it.
    #[serde(deserialize_with = "de::prefixes_option")]
    pub allow_primaries: Option<Vec<IpNet>>,
    /// Shortest time between two SOA queries of a healthy zone, whatever its SOA REFRESH says. Default `"1m"`.
    #[serde(deserialize_with = "de::duration")]
    pub refresh_min: Duration,
    /// Longest time between two SOA queries of a healthy zone. Default `"7d"`. Lower it where NOTIFY may get lost.
    #[serde(deserialize_with = "de::duration")]
    pub refresh_max: Duration,
    /// Shortest wait after all primaries failed, whatever SOA RETRY says. Default `"10s"`.
    #[serde(deserialize_with = "de::duration")]
    pub retry_min: Duration,
    /// Longest wait after all primaries failed; waits double up to it, or up to REFRESH if that is less. Default
    /// `"1d"`.
    #[serde(deserialize_with = "de::duration")]
    pub retry_max: Duration,
    /// First wait of a zone that never had data; it doubles up to one hour. Default `"10s"`.
    #[serde(deserialize_with = "de::duration")]
    pub retry_initial: Duration,
    /// Shortest time a zone is served without a primary confirming it, whatever SOA EXPIRE says. Default `"1h"`.
    #[serde(deserialize_with = "de::duration")]
    pub expire_min: Duration,
    /// Longest time a zone is served without a primary confirming it. Default `"180d"`.
    #[serde(deserialize_with = "de::duration")]
    pub expire_max: Duration,
    /// Time for a TCP connection to a primary to stand (`CONNECT_TIMEOUT`). Default `"5s"`.
    #[serde(deserialize_with = "de::duration")]
    pub connect_timeout: Duration,
    /// Longest silence of a primary in an exchange (`IDLE_TIMEOUT`). Default `"30s"`. Raise it for primaries that
    /// think long before the first message of a large zone.
    #[serde(deserialize_with = "de::duration")]
    pub idle_timeout: Duration,
    /// Longest time of one transfer (`TOTAL_TIMEOUT`). Default `"1h"`.
    #[serde(deserialize_with = "de::duration")]
    pub total_timeout: Duration,
    /// Lowest rate in octets a second, measured over `lowest-rate-window` (`TOO_SLOW`). Default `"1KiB"`; 0 turns the
    /// check off.
    #[serde(deserialize_with = "de::octets")]
    pub lowest_rate: u64,
    /// Over what time the rate is measured. Default `"60s"`.
    #[serde(deserialize_with = "de::duration")]
    pub lowest_rate_window: Duration,
    /// Most octets of one transfer (`LIMIT_BYTES`). Default `"4GiB"`.
    #[serde(deserialize_with = "de::octets")]
    pub max_bytes: u64,
    /// Most records of a zone (`LIMIT_RECORDS`). Default 50,000,000. Fixed bounds beside it: an RRset must fit a DNS
    /// message of 65,535 octets (`LIMIT_RRSET`), since it could not be served otherwise; an owner has at most 255
    /// types (`LIMIT_TYPES`), and 100 messages in a row may be empty (`LIMIT_EMPTY`).
    pub max_records: u64,
    /// Transfers running at one time, in all. Default 200. Each holds a connection and the zone that is being built.
    pub concurrency: usize,
    /// Transfers running at one time from one primary address. Default 50. Lower it to spare a small primary; BIND
    /// by itself gives 10 transfers at a time (`transfers-out`).
    pub concurrency_per_primary: usize,
    /// Which primary of a zone gives a new version. Default `"highest-serial"`: all are asked and the newest wins.
    pub primary_choice: PrimaryChoice,
    /// How long the primary that gave the served version may be behind another before that one is taken instead, then
    /// by a whole transfer. Default `"0s"`: the newest wins at once. Set it, e.g. to `"1h"`, where the primaries of a
    /// zone number their versions alike but sign or edit on their own, so that their differences do not fit each other.
    #[serde(deserialize_with = "de::duration")]
    pub pin_tolerance: Duration,
    /// Ask for the signature of the SOA too, and transfer a zone whole when it has changed although the serial has not.
    /// Default false. For primaries that sign again without a new serial; costs larger SOA answers.
    pub detect_resigned: bool,
    /// Take differences that remove what is absent or add what is present, from the primary that gave the served
    /// version. Default false: such differences lead to a whole transfer, after which the zones are equal for certain.
    pub lenient_ixfr: bool,
    /// Most difference sequences in one answer to IXFR; beyond, the whole zone is transferred. Default 10,000.
    pub max_ixfr_sequences: u32,
    /// Transfers and SOA queries under way at once on one connection to a primary (RFC 7766 §6.2.1.1). Default 16. 1 asks for
    /// one thing at a time; a primary that leaves queries unanswered is treated so by itself.
    pub pipelining: usize,
    /// Queries a second to one primary address, SOA queries and transfers together; as many may go out at once. Default
    /// 20,000: 100,000 zones are fetched, or followed after a storm of NOTIFYs, in seconds, and no primary is flooded: what
    /// is under way at once is bounded by `concurrency-per-primary`. 0 takes the bound away. Lower it to spare a small primary; NOTIFYs
    /// do not go past it.
    pub queries_per_second: u32,
    /// Whether IXFR is asked for over UDP first (RFC 1995 §2), where a `tsig-key` signs it; what does not fit, or fails,
    /// goes over TCP. Default false: a connection is mostly there already.
    pub ixfr_over_udp: bool,
}

/// How a primary is chosen among several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PrimaryChoice {
    /// All are asked, the highest serial wins, the first in the list of those that have it.
    #[default]
    HighestSerial,
    /// They are asked one after the other, in the order of the list, and the first that answers is taken.
    Ordered,
}

impl Default for Transfer {
    fn default() -> Transfer {
        let (secs, hours, days) = (
            Duration::from_secs,
            |hours: u64| Duration::from_secs(3600 * hours),
            |days: u64| Duration::from_secs(86_400 * days),
        );
        Transfer {
            allow_primaries: None,
            refresh_min: secs(60),
            refresh_max: days(7),
            retry_min: secs(10),
            retry_max: days(1),
            retry_initial: secs(10),
            expire_min: hours(1),
            expire_max: days(180),
            connect_timeout: secs(5),
            idle_timeout: secs(30),
            total_timeout: hours(1),
            lowest_rate: 1024,
            lowest_rate_window: secs(60),
            max_bytes: 4 << 30,
            max_records: 50_000_000,
            concurrency: 200,
            concurrency_per_primary: 50,
            primary_choice: PrimaryChoice::HighestSerial,
            pin_tolerance: Duration::ZERO,
            detect_resigned: false,
            lenient_ixfr: false,
            max_ixfr_sequences: 10_000,
            pipelining: 16,
            queries_per_second: 20_000,
            ixfr_over_udp: false,
        }
    }
}

/// `[store]`: what is kept on disk below `state-dir`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Store {
    /// Memory for the cache of the database; after more has been read and written, it is emptied in a quiet moment.
    /// Default `"16MiB"`. Queries never touch it; it matters for many IXFRs to downstreams. Takes effect after a restart.
    #[serde(deserialize_with = "de::octets")]
    pub cache_size: u64,
    /// Most octets of old differences kept for a zone, from which downstreams get IXFR. Default (key absent): half
    /// the size of the zone, at least 1 MiB. Takes effect after a restart.
    #[serde(deserialize_with = "de::octets_option")]
    pub history_bytes: Option<u64>,
    /// Most old differences kept for a zone. Default 100. Takes effect after a restart.
    pub history_versions: u32,
    /// Most ended attempts kept for each primary of a zone, 1..=10000, for `.../axfr/history` and `secondaryctl history`.
    /// Default 100: days of an ordinary zone, since equal successes in a row count as one; some 40 KiB a primary. May be
    /// changed by a reload.
    pub history_attempts: u32,
}

impl Default for Store {
    fn default() -> Store {
        Store { cache_size: 16 << 20, history_bytes: None, history_versions: 100, history_attempts: 100 }
    }
}

/// `[local]`: zones that are edited here by the API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Local {
    /// Downstreams that may transfer local zones, written as in a `[[secondary-zone]]`. Default none.
    pub allow_transfer: Vec<Rule>,
    /// Downstreams that are told of a new serial of a local zone, written as in a `[[secondary-zone]]`. Default none.
    pub notify: Vec<NotifyTarget>,
}

/// `[quota]`: how much each tenant may have.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Quota {
    /// Local zones, reverse zones among them. Default 50,000.
    pub zones: usize,
    /// Records of local zones without the PTRs of addresses. Default 100,000.
    pub records: usize,
    /// PTRs of addresses in local zones. Default 5,000.
    pub reverse_records: usize,
    /// Secondary zones made by REST. Default 100,000.
    pub secondary_zones: usize,
}

impl Default for Quota {
    fn default() -> Quota {
        Quota { zones: 50_000, records: 100_000, reverse_records: 5_000, secondary_zones: 100_000 }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// `journal` if systemd's journal reads stderr, else `text`.
    #[default]
    Auto,
    /// With time; with colours on a terminal.
    Text,
    /// Without time and colours, which the journal adds itself.
    Journal,
}

/// `[log]`: lines on stderr.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Log {
    /// Least level, or per module as in `"info,secondaryd::refresh=debug"`. Levels: error, warn, info, debug, trace.
    /// Default `"info"`: what an operator would tell a colleague. The environment variable `SECONDARYD_LOG` goes
    /// before it. May be changed by a reload.
    pub filter: String,
    /// `"auto"`, `"text"` or `"journal"`. Default `"auto"`. Takes effect after a restart.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Log {
        Log { filter: "info".to_owned(), format: LogFormat::Auto }
    }
}

/// Whether a zone may be taken from `ip` when REST names it, where the configuration says nothing: addresses that
/// can only mean the daemon's own host or link are left out (see [`Transfer::allow_primaries`]).
pub(super) fn is_remote(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => !(v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() || v4.is_multicast()),
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => is_remote(IpAddr::V4(v4)),
            None => !(v6.is_loopback() || v6.is_unicast_link_local() || v6.is_unspecified() || v6.is_multicast()),
        },
    }
}
