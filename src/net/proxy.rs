//! PROXY protocol version 2: who really asks when a load balancer stands before us.
//!
//! In: the first octets of a datagram or a connection from a listed address. Out: the client's address and where the
//! payload begins. Called by the UDP workers and the TCP tasks for listed proxies only (BEHAVIOUR N14); from anybody else
//! such octets are what they look like, a strange message. What access lists, limits, cookies and logs see is the proxied
//! address; the reply goes to the proxy, without a header. The format is in haproxy's `proxy-protocol.txt`, section 2.2.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

/// What the header begins with. Read as a DNS message it is an inverse query, which nobody asks any more.
pub(super) const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Octets up to and including the length field.
pub(super) const FIXED_OCTETS: usize = 16;

/// Octets of addresses and additional values (TLVs) that a header may carry: far more than any proxy sends.
pub(super) const REST_OCTETS_MAX: usize = 2048;

/// Addresses that may speak for others.
#[derive(Clone, Debug, Default)]
pub struct Proxies(Vec<IpNet>);

impl Proxies {
    /// Those in `prefixes`.
    pub fn new(prefixes: Vec<IpNet>) -> Proxies {
        Proxies(prefixes)
    }

    /// Whether nobody may.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `ip` may.
    pub(super) fn contains(&self, ip: IpAddr) -> bool {
        !self.0.is_empty() && self.0.iter().any(|prefix| prefix.contains(&ip.to_canonical()))
    }
}

/// A header that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Proxied {
    /// The client; `None` if the proxy speaks for itself (health checks).
    pub(super) client: Option<SocketAddr>,
    /// Octets of the header.
    pub(super) octets: usize,
}

/// What the first octets of a message or connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// No header: the sender speaks for itself.
    Absent,
    /// The beginning of one; so many octets are needed at least.
    Partial(usize),
    /// A whole one.
    Whole(Proxied),
    /// It begins like one, but cannot be understood.
    Broken,
}

/// Looks for a header at the start of `octets`.
pub(super) fn read(octets: &[u8]) -> Head {
    let seen = octets.len().min(SIGNATURE.len());
    if octets[..seen] != SIGNATURE[..seen] {
        return Head::Absent;
    }
    let Some((fixed, rest)) = octets.split_first_chunk::<FIXED_OCTETS>() else {
        return Head::Partial(FIXED_OCTETS);
    };
    let rest_octets = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if fixed[12] >> 4 != 2 || rest_octets > REST_OCTETS_MAX {
        return Head::Broken;
    }
    let Some(rest) = rest.get(..rest_octets) else {
        return Head::Partial(FIXED_OCTETS + rest_octets);
    };
    let client = match (fixed[12] & 0x0f, fixed[13] >> 4) {
        // LOCAL: "the receiver must accept this connection as valid and must use the real connection endpoints"
        (0, _) => None,
        // PROXY over a family it does not say: as above
        (1, 0) => None,
        (1, 1) => match rest.first_chunk::<12>() {
            Some(&[a, b, c, d, _, _, _, _, p0, p1, ..]) => {
                Some(SocketAddr::from((Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([p0, p1]))))
            }
            None => return Head::Broken,
        },
        (1, 2) => match (rest.first_chunk::<36>(), rest.first_chunk::<16>()) {
            (Some(all), Some(&source)) => {
                Some(SocketAddr::from((Ipv6Addr::from(source), u16::from_be_bytes([all[32], all[33]]))))
            }
            _ => return Head::Broken,
        },
        _ => return Head::Broken,
    };
    Head::Whole(Proxied { client, octets: FIXED_OCTETS + rest_octets })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let head = [0x20 | command, family << 4 | 2];
        [&SIGNATURE[..], &head, &(rest.len() as u16).to_be_bytes(), rest].concat()
    }

    #[test]
    fn both_families_and_local_are_understood() {
        let v4 = header(1, 1, &[192, 0, 2, 1, 127, 0, 0, 1, 0x14, 0xe9, 0, 53, 9, 9]);
        let client = "192.0.2.1:5353".parse().ok();
        assert_eq!(read(&[&v4[..], b"query"].concat()), Head::Whole(Proxied { client, octets: 30 }));
        let v6 = [&Ipv6Addr::LOCALHOST.octets()[..], &[0; 16], &[0, 7, 0, 53]].concat();
        let client = "[::1]:7".parse().ok();
        assert_eq!(read(&header(1, 2, &v6)), Head::Whole(Proxied { client, octets: 52 }));
        assert_eq!(read(&header(0, 0, &[])), Head::Whole(Proxied { client: None, octets: 16 }));
    }

    #[test]
    fn what_is_no_header_is_told_apart_from_a_broken_one() {
        assert_eq!(read(b"\x12\x34\x01\x00"), Head::Absent);
        assert_eq!(read(b"\r\n\r\n"), Head::Partial(16));
        let v4 = header(1, 1, &[192, 0, 2, 1, 127, 0, 0, 1, 0, 1, 0, 53]);
        assert_eq!(read(&v4[..20]), Head::Partial(28));
        assert_eq!(read(&header(1, 1, &[192, 0, 2])), Head::Broken);
        assert_eq!(read(&header(7, 1, &[0; 12])), Head::Broken);
        assert_eq!(read(&header(1, 3, &[0; 216])), Head::Broken);
    }

    #[test]
    fn only_listed_addresses_speak_for_others() {
        let proxies = Proxies::new(vec!["192.0.2.0/24".parse().expect("a prefix")]);
        assert!(proxies.contains("192.0.2.9".parse().expect("an address")));
        assert!(proxies.contains("::ffff:192.0.2.9".parse().expect("an address")));
        assert!(!proxies.contains("192.0.3.9".parse().expect("an address")));
        assert!(Proxies::default().is_empty());
    }

    proptest! {
        #[test]
        fn any_octets_are_read_without_harm(tail in prop::collection::vec(any::<u8>(), 0..80), len in 0..90usize) {
            let octets = [&SIGNATURE[..], &tail].concat();
            if let Head::Whole(proxied) = read(&octets[..len.min(octets.len())]) {
                prop_assert!(proxied.octets <= len);
            }
        }
    }
}
