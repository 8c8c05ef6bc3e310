//! Where a request comes from when a proxy stands before the API: what the fields of `[api] trusted-proxies` are believed.
//!
//! In: the ends of the connection and the header. Out: the client's address, and the scheme it used. Fields of anybody else
//! are ignored, since every client can write them. Whoever comes by a UNIX socket is on this host, and trusted.

use std::net::IpAddr;

use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderMap, HeaderName};

use super::serve::Ends;
use super::settings::Settings;

const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The ends of the connection a request came by.
pub fn ends(request: &Request) -> Option<Ends> {
    request.extensions().get::<ConnectInfo<Ends>>().map(|info| info.0)
}

/// The client's address: the peer's, or what a trusted proxy appended last. `None`: a process of this host.
pub fn client(settings: &Settings, headers: &HeaderMap, ends: Option<Ends>) -> Option<IpAddr> {
    let peer = ends.and_then(|ends| ends.peer).map(|peer| peer.ip().to_canonical());
    if !is_trusted(settings, ends) {
        return peer;
    }
    // The last one was written by the proxy itself; those before it by whoever sent the request.
    let last = headers.get_all(&FORWARDED_FOR).into_iter().next_back();
    let text = last.and_then(|field| field.to_str().ok()).and_then(|text| text.rsplit(',').next());
    text.and_then(|text| text.trim().parse().ok()).or(peer)
}

/// `https` or `http`, as the client spoke it.
pub fn scheme(settings: &Settings, headers: &HeaderMap, ends: Option<Ends>) -> &'static str {
    let forwarded = headers.get(&FORWARDED_PROTO).filter(|_| is_trusted(settings, ends));
    match forwarded.map(|field| field.as_bytes().trim_ascii()) {
        Some(proto) if proto.eq_ignore_ascii_case(b"https") => "https",
        Some(proto) if proto.eq_ignore_ascii_case(b"http") => "http",
        _ if ends.is_some_and(|ends| ends.is_tls) => "https",
        _ => "http",
    }
}

fn is_trusted(settings: &Settings, ends: Option<Ends>) -> bool {
    let Some(ends) = ends else { return false };
    let is_proxy = |peer: IpAddr| settings.trusted_proxies.iter().any(|prefix| prefix.contains(&peer));
    ends.peer.is_none_or(|peer| is_proxy(peer.ip().to_canonical()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use axum::http::HeaderValue;

    fn settings() -> Settings {
        let prefix = "192.0.2.0/24".parse().expect("a prefix");
        let api = config::Api { trusted_proxies: vec![prefix], ..config::Api::default() };
        Settings::new(&config::Config { api, ..config::Config::default() })
    }

    fn from(peer: [u8; 4]) -> Option<Ends> {
        Some(Ends { peer: Some((peer, 40_000).into()), local: None, is_tls: false })
    }

    fn fields() -> HeaderMap {
        HeaderMap::from_iter([
            (FORWARDED_PROTO, HeaderValue::from_static("https")),
            (FORWARDED_FOR, HeaderValue::from_static("203.0.113.1, 198.51.100.7")),
        ])
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let settings = settings();
        let text = |ends| client(&settings, &fields(), ends).map(|address| address.to_string());
        assert_eq!(text(from([192, 0, 2, 9])).as_deref(), Some("198.51.100.7"));
        assert_eq!(text(from([203, 0, 113, 9])).as_deref(), Some("203.0.113.9"));
        assert_eq!(scheme(&settings, &fields(), from([192, 0, 2, 9])), "https");
        assert_eq!(scheme(&settings, &fields(), from([203, 0, 113, 9])), "http");
        assert_eq!(scheme(&settings, &fields(), Some(Ends::default())), "https", "by a UNIX socket");
        assert_eq!(scheme(&settings, &HeaderMap::new(), Some(Ends { is_tls: true, ..Ends::default() })), "https");
        assert_eq!(client(&settings, &HeaderMap::new(), Some(Ends::default())), None);
    }
}
