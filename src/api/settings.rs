//! `[api]` of the configuration as the handlers need it.

use std::net::SocketAddr;

use axum::http::HeaderMap;
use axum::http::header::HOST;
use ipnet::IpNet;

use super::auth::Credentials;
use super::origin;
use super::serve::Ends;
use crate::config::{self, Config};
use crate::dns::Name;

/// Shown as name server where the configuration names none and the host has no full name.
const NAMESERVER_UNKNOWN: &str = "ns1.secondaryd.invalid";

/// What handlers take from the configuration; replaced as a whole by a reload.
#[derive(Debug)]
pub struct Settings {
    /// Who may call.
    pub credentials: Credentials,
    /// Name servers of local zones; at least one.
    pub nameservers: Vec<Name>,
    /// Names shown with secondary zones, without final dots; at least one.
    pub secondary_nameservers: Vec<String>,
    /// Port of primaries given without one, which is also left out on output.
    pub primary_port: u16,
    /// Where the configuration has primaries that are asked over TLS.
    pub tls_primaries: Vec<SocketAddr>,
    /// Whether zones of one label, `arpa` and the root may come in.
    pub allow_tld: bool,
    /// How much each tenant may have.
    pub quota: config::Quota,
    /// Octets of a request body.
    pub max_body_octets: u64,
    /// Requests a second of one caller; 0: no limit.
    pub rate_limit: u32,
    /// Proxies whose fields are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Origins whose pages may read answers; `*`: all.
    pub cors_origins: Vec<String>,
    /// Without a final slash; empty: taken from `Host`.
    public_url: String,
}

impl Settings {
    /// Translates `[api]` and what else matters here. Logs a warning for what leaves the API without use.
    pub fn new(config: &Config) -> Settings {
        let Config { api, quota, tls, .. } = config;
        let credentials = Credentials::new(&api.credentials);
        if credentials.is_empty() {
            tracing::warn!("no [[api.credential]] is configured: only /healthz, /readyz and /metrics answer");
        }
        let mut nameservers = api.nameservers.clone();
        if nameservers.is_empty() {
            nameservers.push(own_name().unwrap_or_else(|| {
                tracing::warn!(
                    "[api] nameservers is not set and the host has no full name: using {NAMESERVER_UNKNOWN}"
                );
                NAMESERVER_UNKNOWN.parse().expect("a name")
            }));
        }
        let shown = if api.secondary_nameservers.is_empty() { &nameservers } else { &api.secondary_nameservers };
        let secondary_nameservers = shown.iter().map(|name| name.without_dot()).collect();
        Settings {
            credentials,
            nameservers,
            secondary_nameservers,
            primary_port: api.primary_port,
            tls_primaries: tls.keys().copied().collect(),
            allow_tld: api.allow_tld,
            quota: quota.clone(),
            max_body_octets: api.max_body,
            rate_limit: api.rate_limit,
            trusted_proxies: api.trusted_proxies.clone(),
            cors_origins: api.cors_origins.clone(),
            public_url: api.public_url.trim_end_matches('/').to_owned(),
        }
    }

    /// What absolute links begin with: `public-url`, else the `Host` the client named, else the address it reached, with the
    /// scheme it spoke.
    pub fn base_url(&self, headers: &HeaderMap, ends: Option<Ends>) -> String {
        if !self.public_url.is_empty() {
            return self.public_url.clone();
        }
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).filter(|host| is_authority(host));
        let scheme = origin::scheme(self, headers, ends);
        match (host, ends.and_then(|ends| ends.local)) {
            (Some(host), _) => format!("{scheme}://{host}"),
            (None, Some(local)) => format!("{scheme}://{local}"),
            (None, None) => String::new(),
        }
    }
}

/// Whether `host` is made of what a host and a port are written with, so that links hold nothing else.
fn is_authority(host: &str) -> bool {
    !host.is_empty() && host.len() <= 300 && host.bytes().all(|c| c.is_ascii_alphanumeric() || b"-._:[]".contains(&c))
}

/// The name of the host, if it is a full one.
fn own_name() -> Option<Name> {
    let text = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    super::names::zone_name(text.trim(), false).ok().filter(|name| name.host_fault().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn settings(api: &config::Api) -> Settings {
        Settings::new(&Config { api: api.clone(), ..Config::default() })
    }

    fn host(text: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(HOST, HeaderValue::from_static(text))])
    }

    fn ends() -> Option<Ends> {
        let local = Some(([127, 0, 0, 1], 8053).into());
        Some(Ends { peer: Some(([127, 0, 0, 1], 40_000).into()), local, is_tls: false })
    }

    #[test]
    fn links_begin_with_the_public_url_or_the_host() {
        let plain = settings(&config::Api::default());
        assert_eq!(plain.base_url(&host("dns.example:8053"), ends()), "http://dns.example:8053");
        assert_eq!(plain.base_url(&HeaderMap::new(), ends()), "http://127.0.0.1:8053");
        assert_eq!(plain.base_url(&host("evil\"><script>"), ends()), "http://127.0.0.1:8053");
        let over_tls = Some(Ends { is_tls: true, ..ends().expect("ends") });
        assert_eq!(plain.base_url(&host("dns.example"), over_tls), "https://dns.example");
        let public = config::Api { public_url: "https://dns.example/".to_owned(), ..config::Api::default() };
        assert_eq!(settings(&public).base_url(&host("other"), ends()), "https://dns.example");
    }

    #[test]
    fn there_is_always_a_name_server_to_show() {
        let none = settings(&config::Api::default());
        assert_eq!(none.secondary_nameservers.len(), 1);
        let named =
            config::Api { nameservers: vec!["ns1.example.net".parse().expect("a name")], ..config::Api::default() };
        assert_eq!(settings(&named).secondary_nameservers, ["ns1.example.net"]);
    }
}
