//! Zone names as clients may write them (the alphabet of host names, absolute, in any case), and addresses.

use std::net::IpAddr;

use crate::dns::Name;

/// Parses the name of a zone; the final dot is optional. The root, `arpa` and names of one label are for operators of
/// top-level domains only (`allow_tld`). The error says what would be right.
pub fn zone_name(text: &str, allow_tld: bool) -> Result<Name, String> {
    let bare = text.strip_suffix('.').unwrap_or(text);
    let in_arpa = bare.eq_ignore_ascii_case("arpa") || bare.to_ascii_lowercase().ends_with(".arpa");
    if let Some(c) = bare.chars().find(|&c| !(c.is_ascii_alphanumeric() || "-_.".contains(c) || (c == '/' && in_arpa)))
    {
        return Err(match c {
            c if !c.is_ascii() => format!("'{c}' cannot stand in a zone name; write the A-label (xn--...)"),
            '*' => "a zone name cannot hold a wildcard".to_owned(),
            c => format!("{c:?} cannot stand in a zone name"),
        });
    }
    if bare.is_empty() && text != "." {
        return Err("must not be empty".to_owned());
    }
    let name: Name = text.parse().map_err(|error| format!("is no domain name: {error}"))?;
    if !allow_tld && name.label_count() < 2 {
        return Err("must have at least two labels unless [api] allow-tld is set".to_owned());
    }
    Ok(name)
}

/// An address in any spelling; prefixes, ports and IPv4 in the clothes of IPv6 are none.
pub fn address(text: &str) -> Result<IpAddr, String> {
    let address: IpAddr = text.parse().map_err(|_| format!("must be an IPv4 or IPv6 address, not {text:?}"))?;
    match address {
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => {
            Err(format!("{text:?} is an IPv4-mapped address; write the IPv4 address"))
        }
        address => Ok(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_absolute_and_folded() {
        for text in ["example.com", "Example.COM", "example.com."] {
            assert_eq!(zone_name(text, false).expect("a name").without_dot(), "example.com");
        }
        assert!(zone_name("_x.example-1.com", false).is_ok());
    }

    #[test]
    fn slashes_stand_in_reverse_names_only() {
        // RFC 2317 §4 names zones such as 0/25.2.0.192.in-addr.arpa.
        assert!(zone_name("0/25.2.0.192.in-addr.arpa", false).is_ok());
        assert!(zone_name("0/25.example.com", false).is_err());
    }

    #[test]
    fn short_names_need_leave() {
        for text in [".", "arpa", "com", "com."] {
            assert!(zone_name(text, false).is_err(), "{text}");
            assert!(zone_name(text, true).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_is_no_host_name_is_refused() {
        let long_label = format!("{}.com", "a".repeat(64));
        let long_name = format!("{}com", "a23456789.".repeat(26));
        for text in [
            "",
            "a..com",
            ".com",
            "exa mple.com",
            "*.example.com",
            "ex\\097mple.com",
            "bücher.example",
            "a\n.com",
            "a..",
            &long_label,
            &long_name,
        ] {
            assert!(zone_name(text, true).is_err(), "{text:?}");
        }
    }
}
