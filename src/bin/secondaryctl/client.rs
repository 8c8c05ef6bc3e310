//! HTTP to the daemon: one exchange, lists page by page, and what a refusal means for the exit code.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use secondaryd::dns::Name;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::http::{Method, Request};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::unversioned::resolver::DefaultResolver;

use crate::unix::UnixConnector;
use crate::{Failure, Verdict};

/// Longest time of one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest request that may take as long as a transfer.
const PATIENCE: Duration = Duration::from_secs(3600 + 60);
/// Largest reply read, in octets; a page holds at most 1000 items.
const REPLY_OCTETS_MAX: u64 = 256 << 20;
/// Items asked for in one page, the most the API gives.
const PAGE: usize = 1000;

/// A secondary zone as the lists give it.
#[derive(Deserialize)]
pub(crate) struct Zone {
    pub(crate) id: String,
    pub(crate) metadata: ZoneMetadata,
    pub(crate) properties: ZoneProperties,
}

#[derive(Deserialize)]
pub(crate) struct ZoneMetadata {
    #[serde(default)]
    pub(crate) state: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ZoneProperties {
    pub(crate) zone_name: String,
    #[serde(default)]
    pub(crate) description: String,
    #[serde(default)]
    pub(crate) primary_ips: Vec<String>,
}

/// The daemon at the other end.
pub(crate) struct Client {
    agent: ureq::Agent,
    road: Road,
    /// As it was given, for messages.
    url: String,
    /// What paths are put behind.
    base: String,
    token: Option<String>,
}

/// How the daemon is reached.
#[derive(Clone)]
enum Road {
    /// `http://`.
    Clear,
    /// `https://`: with these authorities.
    Tls(RootCerts),
    /// `unix:`: by this socket.
    Socket(PathBuf),
}

impl Client {
    /// `url` is `http://…`, `https://…` (the certificate is checked against `ca`, or the system's authorities) or
    /// `unix:/path`.
    pub(crate) fn new(url: &str, ca: Option<&Path>, token: Option<String>) -> Result<Client, Failure> {
        let (road, base) = match url.split_once(':') {
            Some(("http", _)) => (Road::Clear, url.trim_end_matches('/')),
            Some(("https", _)) => (Road::Tls(authorities(ca)?), url.trim_end_matches('/')),
            // The socket is the address; HTTP/1.1 needs a Host all the same.
            Some(("unix", path)) if path.starts_with('/') => (Road::Socket(path.into()), "http://127.0.0.1"),
            _ => {
                let message = format!("--url {url}: an http://, https:// or unix:/path URL is expected");
                return Err(Failure::unknown(message));
            }
        };
        if let Some(token) = &token {
            check_token(token)?;
        }
        if ca.is_some() && !matches!(road, Road::Tls(_)) {
            return Err(Failure::unknown("--ca is for https:// URLs".to_owned()));
        }
        let (url, base) = (url.to_owned(), base.to_owned());
        Ok(Client { agent: agent(&road, Some(REQUEST_TIMEOUT)), road, url, base, token })
    }

    /// For what may take long, as the transfer of a large zone.
    pub(crate) fn patient(&self) -> Client {
        Client {
            agent: agent(&self.road, Some(PATIENCE)),
            road: self.road.clone(),
            url: self.url.clone(),
            base: self.base.clone(),
            token: self.token.clone(),
        }
    }

    /// The body of a GET as text.
    pub(crate) fn text(&self, path: &str) -> Result<String, Failure> {
        let (status, text) = self.patient().exchange(Method::GET, path, None)?;
        if status == 200 { Ok(text) } else { Err(self.refused(status, &text)) }
    }

    /// The body of a GET that has no end.
    pub(crate) fn stream(&self, path: &str) -> Result<impl std::io::BufRead + use<>, Failure> {
        let mut request = agent(&self.road, None).get(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut response = request.call().map_err(|e| self.unreachable(&e))?;
        if response.status().as_u16() != 200 {
            let text = response.body_mut().read_to_string().unwrap_or_default();
            return Err(self.refused(response.status().as_u16(), &text));
        }
        Ok(std::io::BufReader::new(response.into_body().into_reader()))
    }

    /// One exchange: the status code and the body as text.
    fn exchange(&self, method: Method, path: &str, body: Option<Value>) -> Result<(u16, String), Failure> {
        let url = format!("{}{path}", self.base);
        let mut request = Request::builder().method(method).uri(&url).header("accept", "application/json");
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let bad_request = |e| Failure::unknown(format!("--url {} or the token cannot be used: {e}", self.url));
        let sent = match body {
            Some(body) => self
                .agent
                .run(request.header("content-type", "application/json").body(body.to_string()).map_err(bad_request)?),
            None => self.agent.run(request.body(()).map_err(bad_request)?),
        };
        let mut response = sent.map_err(|e| self.unreachable(&e))?;
        let status = response.status().as_u16();
        let text = response.body_mut().with_config().limit(REPLY_OCTETS_MAX).read_to_string();
        Ok((status, text.map_err(|e| self.unreachable(&e))?))
    }

    fn unreachable(&self, error: &ureq::Error) -> Failure {
        Failure {
            verdict: Verdict::Critical,
            message: format!("{} does not answer: {error}; is secondaryd running, and is --url right?", self.url),
        }
    }

    /// One exchange that must succeed; its JSON.
    pub(crate) fn call(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, Failure> {
        let (status, text) = self.exchange(method, path, body)?;
        if !(200..300).contains(&status) {
            return Err(self.refused(status, &text));
        }
        serde_json::from_str(&text)
            .map_err(|e| Failure::unknown(format!("{}{path} did not send JSON ({e}); is it a secondaryd?", self.base)))
    }

    fn refused(&self, status: u16, text: &str) -> Failure {
        let body: Value = serde_json::from_str(text).unwrap_or_default();
        let messages: Vec<_> =
            body["messages"].as_array().into_iter().flatten().filter_map(|m| m["message"].as_str()).collect();
        let hint = match (status, &self.token) {
            (401, None) => " (give a token by --token or SECONDARYD_TOKEN)",
            _ => "",
        };
        let said = if messages.is_empty() { "no reason given".to_owned() } else { messages.join(" ") };
        let verdict = if status >= 500 { Verdict::Critical } else { Verdict::Unknown };
        Failure { verdict, message: format!("the daemon answered {status}: {said}{hint}") }
    }

    /// All items of a list, page by page.
    pub(crate) fn list(&self, path: &str, query: &str) -> Result<Vec<Value>, Failure> {
        let mut items = Vec::new();
        loop {
            let page = format!("{path}?limit={PAGE}&offset={}{query}", items.len());
            let mut reply = self.call(Method::GET, &page, None)?;
            let Value::Array(more) = reply["items"].take() else {
                return Err(Failure::unknown(format!("{page}: the reply has no items")));
            };
            let last = more.len() < PAGE;
            items.extend(more);
            if last {
                return Ok(items);
            }
        }
    }

    /// The secondary zone called `name`, in whatever spelling (RFC 1035 §5.1, RFC 4343).
    pub(crate) fn find(&self, name: &str) -> Result<Zone, Failure> {
        let wanted: Name =
            name.parse().map_err(|error| Failure::unknown(format!("{name:?} is no domain name: {error}")))?;
        let text = wanted.without_dot();
        // The exact match is listed first; one page holds it.
        let query = format!("/secondaryzones?limit=1&filter.zoneName={}", percent_encode(&text));
        let mut reply = self.call(Method::GET, &query, None)?;
        let first = reply["items"].get_mut(0).map(Value::take);
        match first.map(|zone| decode::<Zone>(&zone)).transpose()? {
            Some(zone) if zone.properties.zone_name.parse().as_ref() == Ok(&wanted) => Ok(zone),
            _ => Err(Failure::unknown(format!("there is no secondary zone {text}; secondaryctl zones lists them"))),
        }
    }

    pub(crate) fn transfers(&self, zone: &Zone) -> Result<Value, Failure> {
        self.call(Method::GET, &format!("/secondaryzones/{}/axfr", zone.id), None)
    }

    /// As [`Client::transfers`]; `None` if the zone is gone.
    pub(crate) fn transfers_if_there(&self, zone: &Zone) -> Result<Option<Value>, Failure> {
        let (status, text) = self.exchange(Method::GET, &format!("/secondaryzones/{}/axfr", zone.id), None)?;
        match status {
            404 => Ok(None),
            200..300 => serde_json::from_str(&text).map(Some).map_err(|e| Failure::unknown(format!("no JSON: {e}"))),
            _ => Err(self.refused(status, &text)),
        }
    }

    /// Why nothing can be stored at the moment; `None` while all is well.
    pub(crate) fn storage(&self) -> Result<Option<String>, Failure> {
        let (_, body) = self.exchange(Method::GET, "/health/zones", None)?;
        let health: Value = serde_json::from_str(&body).unwrap_or_default();
        Ok(health["storage"]["errorMessage"].as_str().map(str::to_owned))
    }

    /// Whether stored zones are served.
    pub(crate) fn readiness(&self) -> Result<bool, Failure> {
        Ok(self.exchange(Method::GET, "/readyz", None)?.0 == 200)
    }
}

/// A header carries nothing else, and a daemon knows no other token (RFC 6750 §2.1). The token itself is not shown.
fn check_token(token: &str) -> Result<(), Failure> {
    match token.chars().position(|c| !c.is_ascii_graphic()) {
        None => Ok(()),
        Some(at) => Err(Failure::unknown(format!(
            "the token (--token or SECONDARYD_TOKEN) consists of visible ASCII characters; its character {} is none",
            at + 1
        ))),
    }
}

fn agent(road: &Road, patience: Option<Duration>) -> ureq::Agent {
    let mut config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(patience)
        // A proxy from the environment is for the Internet, not for a daemon on this host.
        .proxy(None);
    if let Road::Tls(authorities) = road {
        let tls = TlsConfig::builder()
            .root_certs(authorities.clone())
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()));
        config = config.tls_config(tls.build());
    }
    match road {
        Road::Socket(path) => {
            ureq::Agent::with_parts(config.build(), UnixConnector(path.clone()), DefaultResolver::default())
        }
        Road::Clear | Road::Tls(_) => config.build().into(),
    }
}

/// Those of a PEM file, else the system's.
fn authorities(ca: Option<&Path>) -> Result<RootCerts, Failure> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    let certificates = match ca {
        None => rustls_native_certs::load_native_certs().certs,
        Some(path) => {
            let wrong = |error| Failure::unknown(format!("--ca {}: {error}", path.display()));
            let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            read.map_err(|error| wrong(error.to_string()))?
        }
    };
    if certificates.is_empty() {
        let of = ca.map_or("the system".to_owned(), |path| path.display().to_string());
        return Err(Failure::unknown(format!("{of} has no certificate authority; name one by --ca FILE")));
    }
    Ok(certificates.iter().map(|der| Certificate::from_der(der).to_owned()).into())
}

pub(crate) fn decode<T: DeserializeOwned>(value: &Value) -> Result<T, Failure> {
    T::deserialize(value).map_err(|e| Failure::unknown(format!("the daemon's reply is not understood: {e}")))
}

pub(crate) fn decode_all<T: DeserializeOwned>(values: Vec<Value>) -> Result<Vec<T>, Failure> {
    values.iter().map(decode).collect()
}

pub(crate) fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for octet in text.bytes() {
        match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(octet as char),
            _ => {
                let _ = write!(encoded, "%{octet:02X}");
            }
        }
    }
    encoded
}
