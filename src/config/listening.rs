//! Which of the addresses that are listened at stand in each other's way: the system gives a port of TCP to one socket, be it
//! that of a wildcard address. What is a mistake here is what a start fails by.

use std::net::{IpAddr, SocketAddr};

use super::values::ApiListen;
use super::{Api, Dns};

/// One address of one key.
struct Place {
    key: &'static str,
    address: SocketAddr,
    /// `[::]` takes IPv4, too: so the API listens, not DNS.
    is_dual: bool,
}

impl Place {
    /// Whether a socket here takes what is sent to `ip`.
    fn takes(&self, ip: IpAddr) -> bool {
        let own = self.address.ip();
        own == ip || own.is_unspecified() && (own.is_ipv4() == ip.is_ipv4() || own.is_ipv6() && self.is_dual)
    }

    fn is_in_the_way_of(&self, other: &Place) -> bool {
        let is_port = self.address.port() == other.address.port() && self.address.port() != 0;
        is_port && (self.takes(other.address.ip()) || other.takes(self.address.ip()))
    }
}

/// What cannot be listened at, each with its key.
pub(super) fn mistakes(dns: &Dns, api: &Api) -> Vec<(&'static str, String)> {
    let mut mistakes = Vec::new();
    let of_dns = [("dns.listen", &dns.listen), ("dns.listen-tls", &dns.listen_tls)];
    for (key, address) in of_dns.into_iter().flat_map(|(key, all)| all.iter().map(move |address| (key, address))) {
        if let IpAddr::V6(ip) = address.ip()
            && let Some(v4) = ip.to_ipv4_mapped()
        {
            mistakes.push((key, format!("write {address} as IPv4: {}", SocketAddr::from((v4, address.port())))));
        }
    }
    let api_addresses: Vec<SocketAddr> = api.listen.iter().filter_map(ApiListen::address).collect();
    let all = [
        ("dns.listen", &dns.listen, false),
        ("dns.listen-tls", &dns.listen_tls, false),
        ("api.listen", &api_addresses, true),
        ("api.listen-tls", &api.listen_tls, true),
    ];
    let places = all
        .into_iter()
        .flat_map(|(key, addresses, is_dual)| addresses.iter().map(move |&address| Place { key, address, is_dual }));
    let mut before: Vec<Place> = Vec::new();
    for place in places {
        if let Some(other) = before.iter().find(|other| other.is_in_the_way_of(&place)) {
            mistakes.push((place.key, in_words(&place, other)));
        }
        before.push(place);
    }
    for (i, listen) in api.listen.iter().enumerate() {
        if listen.address().is_none() && api.listen[..i].contains(listen) {
            mistakes.push(("api.listen", format!("{listen} stands twice")));
        }
    }
    mistakes
}

fn in_words(place: &Place, other: &Place) -> String {
    let Place { address, .. } = place;
    match (place.key == other.key, *address == other.address) {
        (true, true) => format!("{address} stands twice"),
        (false, true) => format!("{address} is taken by {} already", other.key),
        (_, false) => format!(
            "{address} cannot be listened at beside {} of {}: a wildcard address takes all others of its port",
            other.address, other.key
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().expect("an address")).collect()
    }

    /// The keys of the mistakes.
    fn wrong(dns: &[&str], dns_tls: &[&str], api: &[&str], api_tls: &[&str]) -> Vec<&'static str> {
        let dns = Dns { listen: addresses(dns), listen_tls: addresses(dns_tls), ..Dns::default() };
        let listen = addresses(api).into_iter().map(ApiListen::Tcp).collect();
        let api = Api { listen, listen_tls: addresses(api_tls), ..Api::default() };
        mistakes(&dns, &api).into_iter().map(|(key, _)| key).collect()
    }

    #[test]
    fn a_wildcard_leaves_no_other_address_of_its_family_and_port() {
        assert_eq!(wrong(&["0.0.0.0:53", "127.0.0.1:53"], &[], &[], &[]), ["dns.listen"]);
        assert_eq!(wrong(&["127.0.0.1:53", "0.0.0.0:53"], &[], &[], &[]), ["dns.listen"]);
        assert_eq!(wrong(&["[::]:53", "[::1]:53"], &[], &[], &[]), ["dns.listen"]);
        assert_eq!(wrong(&["0.0.0.0:53"], &["127.0.0.1:53"], &[], &[]), ["dns.listen-tls"]);
        assert_eq!(wrong(&["127.0.0.1:53"], &[], &["0.0.0.0:53"], &["127.0.0.1:53"]), ["api.listen", "api.listen-tls"]);
        // DNS asks the system for IPv6 alone, the API does not
        assert_eq!(wrong(&["0.0.0.0:53", "[::]:53"], &["[::]:853"], &["127.0.0.1:853"], &[]), [""; 0]);
        assert_eq!(wrong(&["127.0.0.1:53"], &[], &["[::]:53"], &[]), ["api.listen"]);
        assert_eq!(wrong(&[], &[], &["0.0.0.0:80", "[::]:80"], &[]), ["api.listen"]);
    }

    #[test]
    fn other_ports_and_free_ports_are_in_nobodys_way() {
        assert_eq!(wrong(&["0.0.0.0:53", "127.0.0.1:54"], &["0.0.0.0:853"], &["127.0.0.1:80"], &[]), [""; 0]);
        assert_eq!(wrong(&["0.0.0.0:0", "127.0.0.1:0"], &["127.0.0.1:0"], &["127.0.0.1:0"], &[]), [""; 0]);
    }

    #[test]
    fn an_ipv4_address_is_not_written_as_ipv6() {
        assert_eq!(wrong(&["[::ffff:127.0.0.1]:53"], &[], &[], &[]), ["dns.listen"]);
    }
}
