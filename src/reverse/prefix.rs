//! Prefixes as clients write them, and the zone each one has.

use std::fmt::Write;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::dns::Name;

/// Why a text is no prefix that can have a zone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// Not `address/length`.
    #[error("{0:?} is no prefix; write it as 192.0.2.0/24 or 2001:db8::/32")]
    Unreadable(String),
    /// An IPv4 address in the clothes of IPv6.
    #[error("{0} is an IPv4-mapped prefix; write the IPv4 prefix")]
    Mapped(IpNet),
    /// Bits are set behind the length.
    #[error("{given} has host bits set; did you mean {network}?")]
    HostBits {
        /// As it was written.
        given: IpNet,
        /// The network it lies in.
        network: IpNet,
    },
    /// No zone has such a length.
    #[error(
        "unsupported prefix length /{0}; IPv4 takes /8, /16, /24 and /25 to /32, IPv6 multiples of 4 from /4 to /124"
    )]
    Length(u8),
}

/// Reads `address/length`, strictly: no blanks, no host bits.
pub fn parse_prefix(text: &str) -> Result<IpNet, PrefixError> {
    let net: IpNet = text.parse().map_err(|_| PrefixError::Unreadable(text.chars().take(100).collect()))?;
    if let IpAddr::V6(v6) = net.addr()
        && v6.to_ipv4_mapped().is_some()
    {
        return Err(PrefixError::Mapped(net));
    }
    if net.addr() != net.network() {
        return Err(PrefixError::HostBits { given: net, network: net.trunc() });
    }
    Ok(net)
}

/// The zone whose names are the addresses of `prefix`.
pub fn zone_name(prefix: IpNet) -> Result<Name, PrefixError> {
    let len = prefix.prefix_len();
    let mut text = String::with_capacity(76);
    // Writing into a String cannot fail.
    match prefix {
        IpNet::V4(net) => {
            let octets = net.network().octets();
            let whole = match len {
                8 | 16 | 24 => usize::from(len / 8),
                25..=32 => {
                    let _ = write!(text, "{}-{len}.", octets[3]);
                    3
                }
                _ => return Err(PrefixError::Length(len)),
            };
            for octet in octets[..whole].iter().rev() {
                let _ = write!(text, "{octet}.");
            }
            text.push_str("in-addr.arpa");
        }
        IpNet::V6(net) => {
            if !len.is_multiple_of(4) || len == 0 || len == 128 {
                return Err(PrefixError::Length(len));
            }
            let octets = net.network().octets();
            for nibble in (0..usize::from(len / 4)).rev() {
                let octet = octets[nibble / 2];
                let _ = write!(text, "{:x}.", if nibble % 2 == 0 { octet >> 4 } else { octet & 15 });
            }
            text.push_str("ip6.arpa");
        }
    }
    Ok(text.parse().expect("digits, hyphens and dots make a name"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone_of(text: &str) -> Result<String, PrefixError> {
        zone_name(parse_prefix(text)?).map(|name| name.without_dot())
    }

    #[test]
    fn each_supported_length_has_its_zone() {
        for (prefix, zone) in [
            ("10.0.0.0/8", "10.in-addr.arpa"),
            ("10.0.0.0/16", "0.10.in-addr.arpa"),
            ("192.0.2.0/24", "2.0.192.in-addr.arpa"),
            ("192.0.2.64/26", "64-26.2.0.192.in-addr.arpa"),
            ("192.0.2.5/32", "5-32.2.0.192.in-addr.arpa"),
            ("2001:db8::/32", "8.b.d.0.1.0.0.2.ip6.arpa"),
            ("2000::/4", "2.ip6.arpa"),
        ] {
            assert_eq!(zone_of(prefix).as_deref(), Ok(zone));
        }
    }

    #[test]
    fn other_prefixes_are_refused_with_what_would_be_right() {
        for (prefix, part) in [
            ("10.0.0.0/7", "unsupported prefix length /7"),
            ("0.0.0.0/0", "unsupported prefix length /0"),
            ("10.0.0.0/20", "unsupported prefix length /20"),
            ("2001:db8::/33", "unsupported prefix length /33"),
            ("::/0", "unsupported prefix length /0"),
            ("::1/128", "unsupported prefix length /128"),
            ("192.0.2.5/24", "did you mean 192.0.2.0/24?"),
            ("::ffff:192.0.2.0/120", "IPv4-mapped"),
            ("192.0.2.0", "is no prefix"),
            (" 192.0.2.0/24", "is no prefix"),
            ("192.0.2.0/024x", "is no prefix"),
        ] {
            let error = zone_of(prefix).expect_err(prefix).to_string();
            assert!(error.contains(part), "{prefix}: {error}");
        }
    }
}
