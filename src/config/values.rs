//! Values as people write them: durations, sizes, addresses, prefixes, secrets.
//!
//! In: one string of the configuration. Out: the plain value, or a sentence that says what would be right.
//! Errors never repeat a secret.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use serde::de::{Deserialize, Deserializer, Error as _, Visitor};
use toml::Spanned;

use crate::access::{Rule, RuleError};
use crate::dns::Name;
use crate::dns::tsig::{Algorithm, UnknownAlgorithm};
use crate::time::Timestamp;

/// The port of DNS over UDP and TCP.
pub const DNS_PORT: u16 = 53;
/// The port of DNS over TLS (RFC 7858) and of transfers over TLS (RFC 9103).
pub const DNS_TLS_PORT: u16 = 853;
/// The port of the HTTP API where none is written.
pub const API_PORT: u16 = 8053;
/// Where the API listens over TLS if no port is written.
pub const API_TLS_PORT: u16 = 8443;

/// Octets nobody may see: no `Display`, no `Serialize`, and `Debug` shows only that it is there.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<[u8]>);

impl Secret {
    /// Wraps the octets of a secret.
    pub fn new(octets: impl Into<Box<[u8]>>) -> Secret {
        Secret(octets.into())
    }

    /// The octets, for the one place that computes with them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Secret, D::Error> {
        // Not through `text`: its "invalid type" message would be harmless, a future one might quote the value.
        let text = Cow::<'de, str>::deserialize(d).map_err(|_| D::Error::custom("expected a string in quotes"))?;
        Ok(Secret::new(text.as_bytes()))
    }
}

/// A downstream server that is told about new serials.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NotifyTarget {
    /// Where the NOTIFY goes.
    pub address: SocketAddr,
    /// The TSIG key it is signed with.
    pub key: Option<Name>,
}

impl FromStr for NotifyTarget {
    type Err = String;

    /// `ADDRESS`, or `ADDRESS key:NAME`.
    fn from_str(text: &str) -> Result<NotifyTarget, String> {
        let (address, key) = match text.split_once(char::is_whitespace) {
            None => (text, None),
            Some((address, rest)) => match rest.trim().strip_prefix("key:") {
                Some(name) => (address, Some(key_name(name)?)),
                None => return Err(format!("{text:?}: behind the address only \"key:NAME\" may stand")),
            },
        };
        Ok(NotifyTarget { address: peer_address(address, DNS_PORT)?, key })
    }
}

/// What a duration looks like, for messages.
const DURATION: &str = "a duration such as \"500ms\", \"30s\", \"10m\", \"1h\" or \"7d\"";
/// What a size looks like, for messages.
const OCTETS: &str = "a size such as \"64KiB\", \"512MiB\" or \"4GiB\", or a number of octets";
/// What an address looks like, for messages.
const ADDRESS: &str =
    "an address such as \"192.0.2.1\", \"192.0.2.1:5353\", \"[2001:db8::1]:53\" or \"2001:db8::1#53\"";
/// Where the API may listen, for messages.
const API_LISTEN: &str = "an address such as \"127.0.0.1:8053\", or a socket such as \"unix:/run/secondaryd/api.sock\"";
/// What permissions look like, for messages.
const FILE_MODE: &str = "the permissions of a file in octal digits, such as \"660\"";
/// What an origin looks like, for messages.
const ORIGIN: &str = "an origin such as \"https://console.example.net\" (lower case, no path), or \"*\"";
/// What an entry of an access list looks like, for messages.
const ACCESS_RULE: &str = "a prefix such as \"192.0.2.0/24\", \"key:NAME\", or both as \"192.0.2.0/24 key:NAME\"";
/// What a prefix looks like, for messages.
const PREFIX: &str = "a prefix such as \"192.0.2.0/24\" or \"2001:db8::/32\", or one address";

/// Parses `1h`, `90s`, `1h30m`; units ms, s, m, h, d, w.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{DURATION} is expected, not {text:?}");
    let (mut rest, mut millis) = (text.trim(), 0u64);
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let unit_end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let unit_millis = match &rest[..unit_end] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 7 * 86_400_000,
            _ => return Err(wrong()),
        };
        rest = &rest[unit_end..];
        millis = number.checked_mul(unit_millis).and_then(|m| millis.checked_add(m)).ok_or_else(wrong)?;
    }
    Ok(Duration::from_millis(millis))
}

/// Parses `4GiB`, `512MiB`, `64KiB`, `100B`; binary units only, so that nobody has to guess.
pub(super) fn octets(text: &str) -> Result<u64, String> {
    let wrong = || format!("{OCTETS} is expected, not {text:?}");
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
    let shift = match text[digits..].trim_start() {
        "B" | "" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return Err(wrong()),
    };
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

/// Parses `IP`, `IP:port`, `[v6]:port` or `IP#port`.
pub(super) fn address(text: &str, default_port: u16) -> Result<SocketAddr, String> {
    let wrong = || format!("{ADDRESS} is expected, not {text:?}");
    if let Ok(both) = text.parse::<SocketAddr>() {
        return Ok(both);
    }
    let (ip, port) = match text.split_once('#') {
        Some((ip, port)) => (ip, port.parse().map_err(|_| wrong())?),
        None => (text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text), default_port),
    };
    Ok(SocketAddr::new(ip.parse().map_err(|_| wrong())?, port))
}

/// Where the HTTP of the API is listened for in clear text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiListen {
    /// An address and port.
    Tcp(SocketAddr),
    /// The path of a UNIX socket, whose file mode says who may connect.
    Unix(PathBuf),
}

impl ApiListen {
    /// Whether only this host can reach it.
    pub fn is_of_this_host(&self) -> bool {
        match self {
            ApiListen::Tcp(address) => address.ip().is_loopback(),
            ApiListen::Unix(_) => true,
        }
    }

    /// The address, if it has one.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            ApiListen::Tcp(address) => Some(*address),
            ApiListen::Unix(_) => None,
        }
    }
}

impl fmt::Display for ApiListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ApiListen::Tcp(address) => address.fmt(f),
            ApiListen::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Octets of the path of a UNIX socket (`sun_path` without its final zero).
const SOCKET_PATH_OCTETS_MAX: usize = 107;

/// Parses what [`address`] does, or `unix:/path`.
pub(super) fn api_address(text: &str) -> Result<ApiListen, String> {
    let Some(path) = text.strip_prefix("unix:") else {
        return address(text, API_PORT)
            .map(ApiListen::Tcp)
            .map_err(|_| format!("{API_LISTEN} is expected, not {text:?}"));
    };
    match path.len() {
        _ if !path.starts_with('/') => Err(format!("{text:?}: the path of a socket begins with \"/\"")),
        octets if octets > SOCKET_PATH_OCTETS_MAX => {
            Err(format!("{text:?}: the path of a socket has at most {SOCKET_PATH_OCTETS_MAX} octets"))
        }
        _ => Ok(ApiListen::Unix(path.into())),
    }
}

/// Parses the permissions of a file in octal digits.
pub(super) fn file_mode(text: &str) -> Result<u32, String> {
    let is_octal = (3..=4).contains(&text.len()) && text.bytes().all(|c| (b'0'..=b'7').contains(&c));
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| is_octal && *mode <= 0o777);
    mode.ok_or_else(|| format!("{FILE_MODE} is expected, not {text:?}"))
}

/// Parses an origin as browsers send it: scheme and host, the port if it is not the usual one; or `*`.
pub(super) fn origin(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_host = |host: &str| {
        !host.is_empty() && host.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || b"-.:[]".contains(&c))
    };
    if text == "*" || rest.is_some_and(is_host) {
        Ok(text.to_owned())
    } else {
        Err(format!("{ORIGIN} is expected, not {text:?}"))
    }
}

/// An address messages can be sent to: not unspecified, multicast or broadcast, and with a port.
pub fn peer_address(text: &str, default_port: u16) -> Result<SocketAddr, String> {
    let peer = address(text, default_port)?;
    let why = match peer.ip() {
        _ if peer.port() == 0 => "port 0 cannot be connected to",
        ip if ip.is_unspecified() => "this is the unspecified address; write the server's own",
        ip if ip.is_multicast() => "this is a multicast address; write the server's own",
        IpAddr::V4(Ipv4Addr::BROADCAST) => "this is the broadcast address; write the server's own",
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => "this is an IPv4 address in IPv6 clothes; write it as IPv4",
        _ => return Ok(peer),
    };
    Err(format!("{text:?}: {why}"))
}

/// Parses a prefix; a bare address stands for itself alone. Bits behind the prefix length must be zero.
pub(super) fn prefix(text: &str) -> Result<IpNet, String> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(ip));
    }
    let net: IpNet = text.parse().map_err(|_| format!("{PREFIX} is expected, not {text:?}"))?;
    if net.trunc() == net {
        return Ok(net);
    }
    Err(format!(
        "{text:?} has bits set behind its length; write \"{}\" or \"{}\"",
        net.trunc(),
        IpNet::from(net.addr())
    ))
}

/// The name of a TSIG key; key names are domain names (RFC 8945 §4.2).
pub(super) fn key_name(text: &str) -> Result<Name, String> {
    domain_name(text).map_err(|e| format!("name of a key: {e}"))
}

/// A domain name; a final dot is optional. Octets that nobody types into a name on purpose are written `\DDD`.
pub(super) fn domain_name(text: &str) -> Result<Name, String> {
    if let Some(odd) = text.chars().find(|c| !c.is_ascii_graphic()) {
        return Err(format!("{odd:?} cannot stand in {text:?}; international names are written as A-labels (xn--...)"));
    }
    text.parse().map_err(|e| format!("{text:?} is not a domain name: {e}"))
}

/// The name of a server, as NS records take it.
fn host_name(text: &str) -> Result<Name, String> {
    let name = domain_name(text)?;
    match name.host_fault() {
        None => Ok(name),
        Some(fault) => Err(format!("{text:?}: {fault}, e.g. \"ns1.example.net\"")),
    }
}

/// SHA-256 in hexadecimal digits.
pub(super) fn sha256(text: &str) -> Result<[u8; 32], String> {
    let wrong = || "64 hexadecimal digits are expected (printf %s TOKEN | sha256sum)".to_owned();
    let mut hash = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return Err(wrong());
    }
    for (i, octet) in hash.iter_mut().enumerate() {
        *octet = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).map_err(|_| wrong())?;
    }
    Ok(hash)
}

/// The secret of server cookies in hexadecimal digits.
pub(super) fn cookie_secret(text: &[u8]) -> Result<[u8; 16], String> {
    // the text itself is never repeated
    let wrong = || "a secret of cookies is 32 hexadecimal digits (openssl rand -hex 16)".to_owned();
    let text = std::str::from_utf8(text).ok().filter(|text| text.len() == 32 && text.is_ascii()).ok_or_else(wrong)?;
    let mut secret = [0; 16];
    for (i, octet) in secret.iter_mut().enumerate() {
        *octet = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).map_err(|_| wrong())?;
    }
    Ok(secret)
}

/// A moment in RFC 3339 form.
pub(super) fn timestamp(text: &str) -> Result<Timestamp, String> {
    let moment: jiff::Timestamp =
        text.parse().map_err(|_| format!("a time such as \"2027-01-31T00:00:00Z\" is expected, not {text:?}"))?;
    u64::try_from(moment.as_millisecond()).map(Timestamp::from_millis).map_err(|_| format!("{text:?} lies before 1970"))
}

/// Adapters for `#[serde(deserialize_with = ...)]`: each takes what the parser of the same name above understands.
pub(super) mod de {
    use super::*;

    /// A string for `parse`; other types are answered with `expected`.
    fn text<'de, D: Deserializer<'de>, T>(
        d: D,
        expected: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, D::Error> {
        struct Text<P>(&'static str, P);
        impl<T, P: Fn(&str) -> Result<T, String>> Visitor<'_> for Text<P> {
            type Value = T;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.0)
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
                (self.1)(text).map_err(E::custom)
            }
            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<T, E> {
                // Only sizes take a bare number; every other parser refuses it with its own sentence.
                (self.1)(&number.to_string()).map_err(E::custom)
            }
            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<T, E> {
                (self.1)(&number.to_string()).map_err(E::custom)
            }
        }
        d.deserialize_any(Text(expected, parse))
    }

    /// Wraps a parser so that lists and options of it can be read.
    macro_rules! element {
        ($name:ident, $value:ty, $expected:expr, $parse:expr) => {
            #[derive(Clone)]
            struct $name($value);
            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: Deserializer<'de>>(d: D) -> Result<$name, D::Error> {
                    text(d, $expected, $parse).map($name)
                }
            }
        };
    }
    element!(DnsListen, SocketAddr, ADDRESS, |t| address(t, DNS_PORT));
    element!(TlsListen, SocketAddr, ADDRESS, |t| address(t, DNS_TLS_PORT));
    element!(ApiListenText, ApiListen, API_LISTEN, api_address);
    element!(ApiTlsListen, SocketAddr, ADDRESS, |t| address(t, API_TLS_PORT));
    element!(Origin, String, ORIGIN, origin);
    element!(Prefix, IpNet, PREFIX, prefix);
    element!(Host, Name, "the name of a host", host_name);
    element!(Octets, u64, OCTETS, super::octets);
    element!(Hash, [u8; 32], "64 hexadecimal digits", sha256);
    element!(Entry, Rule, ACCESS_RULE, |t| t.parse().map_err(|e: RuleError| e.to_string()));
    element!(Moment, Timestamp, "a time such as \"2027-01-31T00:00:00Z\" in quotes", timestamp);

    pub(in crate::config) fn duration<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
        text(d, DURATION, super::duration)
    }

    pub(in crate::config) fn duration_option<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Duration>, D::Error> {
        duration(d).map(Some)
    }

    pub(in crate::config) fn octets<'de, D: Deserializer<'de>>(d: D) -> Result<u64, D::Error> {
        Octets::deserialize(d).map(|o| o.0)
    }

    pub(in crate::config) fn octets_option<'de, D: Deserializer<'de>>(d: D) -> Result<Option<u64>, D::Error> {
        Octets::deserialize(d).map(|o| Some(o.0))
    }

    pub(in crate::config) fn dns_listen<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<SocketAddr>, D::Error> {
        Ok(Vec::<DnsListen>::deserialize(d)?.into_iter().map(|a| a.0).collect())
    }

    pub(in crate::config) fn tls_listen<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<SocketAddr>, D::Error> {
        Ok(Vec::<TlsListen>::deserialize(d)?.into_iter().map(|a| a.0).collect())
    }

    pub(in crate::config) fn api_listen<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<ApiListen>, D::Error> {
        Ok(Vec::<ApiListenText>::deserialize(d)?.into_iter().map(|a| a.0).collect())
    }

    pub(in crate::config) fn api_tls_listen<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<SocketAddr>, D::Error> {
        Ok(Vec::<ApiTlsListen>::deserialize(d)?.into_iter().map(|a| a.0).collect())
    }

    pub(in crate::config) fn origins<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<String>, D::Error> {
        Ok(Vec::<Origin>::deserialize(d)?.into_iter().map(|o| o.0).collect())
    }

    pub(in crate::config) fn file_mode<'de, D: Deserializer<'de>>(d: D) -> Result<u32, D::Error> {
        text(d, FILE_MODE, super::file_mode)
    }

    pub(in crate::config) fn prefixes<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<IpNet>, D::Error> {
        Ok(Vec::<Prefix>::deserialize(d)?.into_iter().map(|p| p.0).collect())
    }

    pub(in crate::config) fn prefixes_option<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Vec<IpNet>>, D::Error> {
        prefixes(d).map(Some)
    }

    pub(in crate::config) fn hosts<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<Name>, D::Error> {
        Ok(Vec::<Host>::deserialize(d)?.into_iter().map(|n| n.0).collect())
    }

    /// Each rule with its place, so that a mistake in a long list is reported at its own line.
    pub(in crate::config) fn rules<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<Spanned<Rule>>, D::Error> {
        let entries = Vec::<Spanned<Entry>>::deserialize(d)?.into_iter();
        Ok(entries.map(|entry| Spanned::new(entry.span(), entry.into_inner().0)).collect())
    }

    pub(in crate::config) fn rules_option<'de, D: Deserializer<'de>>(
        d: D,
    ) -> Result<Option<Vec<Spanned<Rule>>>, D::Error> {
        rules(d).map(Some)
    }

    pub(in crate::config) fn tsig_algorithm<'de, D: Deserializer<'de>>(d: D) -> Result<Algorithm, D::Error> {
        text(d, "an algorithm such as \"hmac-sha256\"", |t| t.parse().map_err(|e: UnknownAlgorithm| e.to_string()))
    }

    pub(in crate::config) fn hash_option<'de, D: Deserializer<'de>>(d: D) -> Result<Option<[u8; 32]>, D::Error> {
        Hash::deserialize(d).map(|h| Some(h.0))
    }

    pub(in crate::config) fn timestamp_option<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Timestamp>, D::Error> {
        Moment::deserialize(d).map(|m| Some(m.0))
    }

    impl<'de> Deserialize<'de> for NotifyTarget {
        fn deserialize<D: Deserializer<'de>>(d: D) -> Result<NotifyTarget, D::Error> {
            text(d, ADDRESS, str::parse)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_numbers_with_units() {
        for (text, millis) in
            [("500ms", 500), ("1s", 1000), ("10m", 600_000), ("1h30m", 5_400_000), ("7d", 604_800_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "10", "s", "1 s", "1y", "-1s", "99999999999999999999s", "9999999999999999999w"] {
            assert!(duration(text).is_err_and(|e| e.contains("\"10m\"")), "{text}");
        }
    }

    #[test]
    fn sizes_are_in_binary_units() {
        for (text, expected) in [("0", 0), ("100B", 100), ("1KiB", 1024), ("4GiB", 4 << 30), ("2 MiB", 2 << 20)] {
            assert_eq!(octets(text), Ok(expected), "{text}");
        }
        for text in ["", "GiB", "1GB", "-1", "99999999TiB"] {
            assert!(octets(text).is_err_and(|e| e.contains("\"4GiB\"")), "{text}");
        }
    }

    #[test]
    fn an_address_may_carry_its_port_in_three_ways() {
        for (text, expected) in [
            ("192.0.2.1", "192.0.2.1:53"),
            ("192.0.2.1:5353", "192.0.2.1:5353"),
            ("192.0.2.1#5353", "192.0.2.1:5353"),
            ("2001:db8::1", "[2001:db8::1]:53"),
            ("[2001:db8::1]", "[2001:db8::1]:53"),
            ("[2001:db8::1]:5353", "[2001:db8::1]:5353"),
            ("2001:db8::1#5353", "[2001:db8::1]:5353"),
        ] {
            assert_eq!(address(text, DNS_PORT).map(|a| a.to_string()), Ok(expected.to_owned()), "{text}");
        }
        for text in ["", "ns1.example.net", "192.0.2.256", "192.0.2.1:", "192.0.2.1#99999", "[2001:db8::1", "010.0.0.1"]
        {
            assert!(address(text, DNS_PORT).is_err(), "{text}");
        }
    }

    #[test]
    fn a_peer_has_an_address_one_can_send_to() {
        for text in ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255", "192.0.2.1:0", "::ffff:192.0.2.1"] {
            assert!(peer_address(text, DNS_PORT).is_err(), "{text}");
        }
    }

    #[test]
    fn a_prefix_with_host_bits_is_answered_with_both_things_it_may_mean() {
        assert_eq!(prefix("192.0.2.1").map(|p| p.to_string()), Ok("192.0.2.1/32".to_owned()));
        let error = prefix("192.0.2.1/24").expect_err("host bits");
        assert!(error.contains("192.0.2.0/24") && error.contains("192.0.2.1/32"), "{error}");
        assert!(prefix("192.0.2.0/33").is_err());
    }

    #[test]
    fn a_secret_does_not_show_itself() {
        assert_eq!(format!("{:?}", Secret::new(*b"swordfish")), "[redacted]");
    }
}
