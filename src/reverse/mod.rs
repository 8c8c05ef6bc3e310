//! Addresses and the names of the reverse tree: which zone a prefix has, which owner an address has in it, and back.
//!
//! In: prefixes and addresses as values, or names below `in-addr.arpa` and `ip6.arpa`. Out: the other. Called by
//! `local` (where PTRs may stand), `control` (which zone takes a PTR) and the dialects of `api`. Never knows which
//! zones exist. RFC 1035 §3.5, RFC 3596 §2.5, RFC 2317 (zones between octets).
//!
//! | prefix | zone |
//! | --- | --- |
//! | IPv4 /8, /16, /24 | `2.0.192.in-addr.arpa` |
//! | IPv4 /25 to /32 | `64-26.2.0.192.in-addr.arpa`: the first address' last octet, `-`, the length |
//! | IPv6, length a multiple of 4 | `8.b.d.0.1.0.0.2.ip6.arpa` |

mod prefix;

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::dns::Name;

pub use prefix::{PrefixError, parse_prefix, zone_name};

/// The prefix whose addresses the zone `apex` names; `None` for zones outside the reverse tree. Besides `64-26` also
/// `64/26` and `64-127` are understood in front of three octets, which RFC 2317 §4 leaves to taste.
pub fn prefix_of(apex: &Name) -> Option<IpNet> {
    let labels: Vec<&[u8]> = apex.labels().collect();
    match labels.as_slice() {
        [rest @ .., b"in-addr", b"arpa"] => prefix_v4(rest).map(IpNet::V4),
        [rest @ .., b"ip6", b"arpa"] => prefix_v6(rest).map(IpNet::V6),
        _ => None,
    }
}

/// Whether `apex` names a part of an octet (RFC 2317): owners in it are last octets.
pub fn is_classless(apex: &Name) -> bool {
    let first = apex.labels().next().unwrap_or_default();
    first.iter().any(|c| matches!(c, b'-' | b'/')) && matches!(prefix_of(apex), Some(IpNet::V4(_)))
}

/// The owner of the PTR of `address` in the zone `apex`; `None` if the zone does not hold the address.
pub fn owner_in(apex: &Name, address: IpAddr) -> Option<Name> {
    if !prefix_of(apex)?.contains(&address) {
        return None;
    }
    match address {
        IpAddr::V4(v4) if is_classless(apex) => {
            let octet = v4.octets()[3].to_string();
            let label = [&[octet.len() as u8][..], octet.as_bytes()].concat();
            Name::from_relative(&label, apex).ok()
        }
        _ => Some(arpa_name(address)),
    }
}

/// Every zone that could hold `address`, the one of the longest prefix first: apexes to look for.
pub fn zones_holding(address: IpAddr) -> Vec<Name> {
    let full = arpa_name(address);
    let mut zones = vec![full.clone()];
    if let (IpAddr::V4(v4), Some(parent)) = (address, full.parent()) {
        let last = v4.octets()[3];
        for len in (25..=32u8).rev() {
            let size = 1u16 << (32 - len);
            let first = last & !((size - 1) as u8);
            let end = u16::from(first) + size - 1;
            for text in [format!("{first}-{len}"), format!("{first}/{len}"), format!("{first}-{end}")] {
                let label = [&[text.len() as u8][..], text.as_bytes()].concat();
                zones.extend(Name::from_relative(&label, &parent).ok());
            }
        }
    }
    let mut above = full.parent();
    while let Some(name) = above.filter(|name| name.label_count() >= 2) {
        above = name.parent();
        zones.push(name);
    }
    // A range such as 16-31 reads as a prefix length, and then holds less than it was made for here.
    zones.retain(|zone| prefix_of(zone).is_some_and(|prefix| prefix.contains(&address)));
    zones.sort_by_key(|zone| std::cmp::Reverse(prefix_of(zone).map(|prefix| prefix.prefix_len())));
    zones
}

/// The name of `address` in the reverse tree itself.
pub fn arpa_name(address: IpAddr) -> Name {
    let mut text = String::with_capacity(76);
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            let _ = write!(text, "{d}.{c}.{b}.{a}.in-addr.arpa"); // writing into a String cannot fail
        }
        IpAddr::V6(v6) => {
            for octet in v6.octets().iter().rev() {
                let _ = write!(text, "{:x}.{:x}.", octet & 15, octet >> 4);
            }
            text.push_str("ip6.arpa");
        }
    }
    text.parse().expect("digits and dots make a name")
}

/// The address whose PTR stands at `owner` in the zone `apex`; `None` for owners that are no full address.
pub fn address_at(owner: &Name, apex: &Name) -> Option<IpAddr> {
    if is_classless(apex) {
        let label = owner.relative_to(apex)?.split_first().filter(|(n, rest)| usize::from(**n) == rest.len())?.1;
        let IpNet::V4(prefix) = prefix_of(apex)? else { return None };
        let [a, b, c, _] = prefix.network().octets();
        let address = Ipv4Addr::new(a, b, c, octet(label)?);
        return prefix.contains(&address).then_some(IpAddr::V4(address));
    }
    // The owner of a single address reads as a prefix of full length; a classless zone of one address does not.
    let prefix = prefix_of(owner).filter(|prefix| prefix.prefix_len() == prefix.max_prefix_len())?;
    (!is_classless(owner) && owner.is_at_or_below(apex)).then_some(prefix.addr())
}

fn prefix_v4(labels: &[&[u8]]) -> Option<Ipv4Net> {
    let (whole, part) = match labels {
        [first, whole @ ..] if whole.len() == 3 && octet(first).is_none() => (whole, Some(*first)),
        whole => (whole, None),
    };
    if whole.len() > 4 {
        return None;
    }
    let mut octets = [0; 4];
    for (place, label) in octets.iter_mut().zip(whole.iter().rev()) {
        *place = octet(label)?;
    }
    let Some(part) = part else {
        return Ipv4Net::new(octets.into(), 8 * whole.len() as u8).ok();
    };
    let at = part.iter().position(|c| matches!(c, b'-' | b'/'))?;
    let (first, behind) = (octet(&part[..at])?, octet(&part[at + 1..])?);
    octets[3] = first;
    let net = |len: u8| Ipv4Net::new(octets.into(), len).ok().filter(|net| net.network() == net.addr());
    match (part[at], behind) {
        (_, len @ 25..=32) if net(len).is_some() => net(len),
        (b'-', last) => {
            let count = u16::from(last).checked_sub(u16::from(first))? + 1;
            if !count.is_power_of_two() {
                return None;
            }
            net(32 - count.trailing_zeros() as u8)
        }
        _ => None,
    }
}

fn prefix_v6(labels: &[&[u8]]) -> Option<Ipv6Net> {
    if labels.len() > 32 {
        return None;
    }
    let mut octets = [0u8; 16];
    for (at, label) in labels.iter().rev().enumerate() {
        let [digit] = **label else { return None };
        let nibble = char::from(digit).to_digit(16)? as u8;
        octets[at / 2] |= if at % 2 == 0 { nibble << 4 } else { nibble };
    }
    Ipv6Net::new(Ipv6Addr::from(octets), 4 * labels.len() as u8).ok()
}

/// A decimal octet without leading zeros.
fn octet(label: &[u8]) -> Option<u8> {
    let is_plain = matches!(label, [b'0'] | [b'1'..=b'9', ..]) && label.iter().all(u8::is_ascii_digit);
    if is_plain { std::str::from_utf8(label).ok()?.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> Name {
        text.parse().expect("a name")
    }

    #[test]
    fn the_prefix_of_a_zone_follows_from_its_name() {
        for (apex, prefix) in [
            ("in-addr.arpa", "0.0.0.0/0"),
            ("10.in-addr.arpa", "10.0.0.0/8"),
            ("2.0.192.in-addr.arpa", "192.0.2.0/24"),
            ("64-26.2.0.192.in-addr.arpa", "192.0.2.64/26"),
            ("64/26.2.0.192.in-addr.arpa", "192.0.2.64/26"),
            ("64-127.2.0.192.in-addr.arpa", "192.0.2.64/26"),
            ("5-32.2.0.192.in-addr.arpa", "192.0.2.5/32"),
            ("5.2.0.192.in-addr.arpa", "192.0.2.5/32"),
            ("8.b.d.0.1.0.0.2.ip6.arpa", "2001:db8::/32"),
        ] {
            assert_eq!(prefix_of(&name(apex)).expect(apex).to_string(), prefix, "{apex}");
        }
        for apex in [
            "example.com",
            "arpa",
            "x.in-addr.arpa",
            "256.in-addr.arpa",
            "01.in-addr.arpa",
            "1.2.3.4.5.in-addr.arpa",
            "65-26.2.0.192.in-addr.arpa",
            "64-26.0.192.in-addr.arpa",
            "64-100.2.0.192.in-addr.arpa",
            "ab.ip6.arpa",
            "g.ip6.arpa",
        ] {
            assert_eq!(prefix_of(&name(apex)), None, "{apex}");
        }
    }

    /// RFC 2317 §4: the records of a classless part stand below a label of its own.
    #[test]
    fn owners_in_a_classless_zone_are_last_octets() {
        let apex = name("64-26.2.0.192.in-addr.arpa");
        let owner = owner_in(&apex, "192.0.2.70".parse().expect("an address")).expect("inside");
        assert_eq!(owner.without_dot(), "70.64-26.2.0.192.in-addr.arpa");
        assert_eq!(owner_in(&apex, "192.0.2.128".parse().expect("an address")), None);
        assert_eq!(address_at(&name("128.64-26.2.0.192.in-addr.arpa"), &apex), None);
        assert_eq!(address_at(&name("x.70.64-26.2.0.192.in-addr.arpa"), &apex), None);
        assert_eq!(address_at(&apex, &apex), None);
    }

    #[test]
    fn only_full_addresses_are_addresses() {
        let apex = name("2.0.192.in-addr.arpa");
        assert_eq!(address_at(&name("5.2.0.192.in-addr.arpa"), &apex), "192.0.2.5".parse().ok());
        for owner in
            ["2.0.192.in-addr.arpa", "*.2.0.192.in-addr.arpa", "1.5.2.0.192.in-addr.arpa", "5.3.0.192.in-addr.arpa"]
        {
            assert_eq!(address_at(&name(owner), &apex), None, "{owner}");
        }
    }

    proptest! {
        #[test]
        fn the_zones_that_could_hold_an_address_hold_it(v4 in any::<u32>(), v6 in any::<u128>()) {
            for address in [IpAddr::from(Ipv4Addr::from(v4)), Ipv6Addr::from(v6).into()] {
                let prefixes: Vec<IpNet> = zones_holding(address).iter().filter_map(prefix_of).collect();
                prop_assert!(prefixes.iter().any(|prefix| prefix.prefix_len() == 0));
                prop_assert!(prefixes.iter().all(|prefix| prefix.contains(&address)));
                prop_assert!(prefixes.is_sorted_by_key(|prefix| std::cmp::Reverse(prefix.prefix_len())));
            }
            let net = Ipv4Net::new(v4.into(), 26).expect("a length").trunc();
            let zone = zone_name(IpNet::V4(net)).expect("a zone");
            prop_assert!(zones_holding(Ipv4Addr::from(v4).into()).contains(&zone));
        }

        #[test]
        fn an_address_is_found_again_at_its_owner(v4 in any::<u32>(), v6 in any::<u128>(), len4 in 0u8..=32, len6 in 0u8..=31) {
            let v4net = Ipv4Net::new(v4.into(), len4).expect("a length").trunc();
            let v6net = Ipv6Net::new(v6.into(), 4 * len6).expect("a length").trunc();
            for (address, net) in [(IpAddr::from(Ipv4Addr::from(v4)), IpNet::V4(v4net)), (Ipv6Addr::from(v6).into(), IpNet::V6(v6net))] {
                let Ok(apex) = zone_name(net) else { continue };
                prop_assert_eq!(prefix_of(&apex), Some(net));
                let owner = owner_in(&apex, address).expect("the zone holds it");
                prop_assert!(owner.is_at_or_below(&apex));
                prop_assert_eq!(address_at(&owner, &apex), Some(address));
            }
        }
    }
}
