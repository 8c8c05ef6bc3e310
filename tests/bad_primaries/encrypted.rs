//! B26, X1: primaries over TLS, good and bad. RFC 9103 (XFR over TLS), RFC 8310 §5 (profiles), RFC 7858 §4.2 (pins).

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion, version};
use secondaryd::dns::RecordType;
use tempfile::TempDir;

use crate::certificates::{self, Authority, Pair, VALID, self_signed};
use crate::daemon::Secondaryd;
use crate::primary::{Greeting, Over, Primary};
use crate::reply;
use crate::wait::SOON;

/// What a test has besides primaries: an authority that is trusted, one that is not, and a directory.
struct Setting {
    authority: Authority,
    directory: TempDir,
}

/// A TLS server of a primary.
struct Server {
    pair: Pair,
    versions: &'static [&'static SupportedProtocolVersion],
    alpn: &'static [&'static [u8]],
    /// Certificates of clients must be signed by this authority.
    clients: Option<String>,
}

static TLS13: &[&SupportedProtocolVersion] = &[&version::TLS13];
static TLS12: &[&SupportedProtocolVersion] = &[&version::TLS12];

impl Server {
    fn with(pair: Pair) -> Server {
        Server { pair, versions: TLS13, alpn: &[b"dot"], clients: None }
    }

    fn greeting(&self) -> Greeting {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(self.versions)
            .expect("versions");
        let builder = match &self.clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).expect("PEM")).expect("an authority");
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.expect("a verifier"))
            }
        };
        let chain = vec![CertificateDer::from_pem_slice(self.pair.certificate.as_bytes()).expect("PEM")];
        let key = PrivateKeyDer::from_pem_slice(self.pair.key.as_bytes()).expect("PEM");
        let mut config = builder.with_single_cert(chain, key).expect("key and certificate");
        config.alpn_protocols = self.alpn.iter().map(|protocol| protocol.to_vec()).collect();
        Greeting::Tls(Arc::new(config))
    }
}

impl Setting {
    fn new() -> Setting {
        let directory = tempfile::Builder::new().prefix("secondaryd-tls-").tempdir().expect("a directory");
        Setting { authority: Authority::new("test authority"), directory }
    }

    /// A certificate for ns1.example by the trusted authority.
    fn good(&self) -> Pair {
        self.authority.signs(&["ns1.example"], VALID)
    }

    /// The key of the configuration that names a file with this text.
    fn file(&self, key: &str, name: &str, pem: &str) -> String {
        format!("{key} = {:?}\n", certificates::write(self.directory.path(), name, pem))
    }

    fn trusted(&self) -> String {
        format!("tls-name = \"ns1.example\"\n{}", self.file("tls-ca", "ca.pem", &self.authority.certificate))
    }
}

/// The tables of a zone whose one primary is asked over TLS with these keys.
fn tables(zone: &str, primary: &Primary, keys: &str) -> String {
    let name = zone.trim_end_matches(".example");
    format!(
        "[primary.{name}]\naddress = \"{}\"\ntransport = \"tls\"\n{keys}[[secondary-zone]]\nname = {zone:?}\nprimaries = \
         [{name:?}]\n",
        primary.address()
    )
}

/// X1: each mismatch has its own code and says "expected X, certificate has Y"; nothing goes in clear text, the SOA query
/// neither; the zone that is there stays served, and comes when the primary is put right.
#[test]
fn b26_every_bad_tls_primary_has_its_code_and_says_what_it_has() {
    let setting = Setting::new();
    let other = Authority::new("another authority");
    let (pinned, signing_itself) = (setting.good(), self_signed(&["ns1.example"]));
    let authority = &setting.authority;
    let trusted = setting.trusted();
    let pin_texts = ["expected a key of tls-pin, certificate has ", signing_itself.pin.as_str()];
    let wrong_pin = format!("tls-pin = [{:?}]\n", pinned.pin);
    let demanding =
        |clients: &Authority| Server { clients: Some(clients.certificate.clone()), ..Server::with(setting.good()) };
    // Name, server, keys of ours, code, what the message must say.
    type Case<'a> = (&'a str, Option<Server>, String, &'a str, &'a [&'a str]);
    let cases: Vec<Case<'_>> = vec![
        (
            "name",
            Some(Server::with(authority.signs(&["ns2.example", "192.0.2.7"], VALID))),
            trusted.clone(),
            "TLS_NAME",
            &["expected ns1.example, certificate has ns2.example, 192.0.2.7"],
        ),
        (
            "no-name-given",
            Some(Server::with(setting.good())),
            setting.file("tls-ca", "ca.pem", &authority.certificate),
            "TLS_NAME",
            &["expected 127.", "certificate has ns1.example"],
        ),
        (
            "expired",
            Some(Server::with(authority.signs(&["ns1.example"], 2020..=2021))),
            trusted.clone(),
            "TLS_EXPIRED",
            &["certificate has ended at 2021-01-01T00:00:00"],
        ),
        (
            "too-early",
            Some(Server::with(authority.signs(&["ns1.example"], 2099..=2100))),
            trusted.clone(),
            "TLS_EXPIRED",
            &["certificate begins at 2099-01-01T00:00:00"],
        ),
        (
            "self-signed",
            Some(Server::with(signing_itself.clone())),
            trusted.clone(),
            "TLS_UNTRUSTED",
            &["expected an authority of tls-ca, certificate has the issuer itself (self-signed)"],
        ),
        (
            "other-authority",
            Some(Server::with(other.signs(&["ns1.example"], VALID))),
            trusted.clone(),
            "TLS_UNTRUSTED",
            &["expected an authority of tls-ca, certificate has the issuer CN=another authority"],
        ),
        (
            "system",
            Some(Server::with(setting.good())),
            "tls-name = \"ns1.example\"\n".to_owned(),
            "TLS_UNTRUSTED",
            &["expected an authority of this system, certificate has the issuer CN=test authority"],
        ),
        ("pin", Some(Server::with(signing_itself.clone())), wrong_pin.clone(), "TLS_UNTRUSTED", &pin_texts),
        (
            "old",
            Some(Server { versions: TLS12, ..Server::with(setting.good()) }),
            trusted.clone(),
            "TLS_VERSION",
            &["expected TLS 1.3"],
        ),
        (
            "no-alpn",
            Some(Server { alpn: &[], ..Server::with(setting.good()) }),
            trusted.clone(),
            "TLS_VERSION",
            &["expected ALPN \"dot\"", "chose none"],
        ),
        (
            "other-alpn",
            Some(Server { alpn: &[b"h2"], ..Server::with(setting.good()) }),
            trusted.clone(),
            "TLS_VERSION",
            &["expected ALPN \"dot\""],
        ),
        (
            "mutual",
            Some(demanding(authority)),
            trusted.clone(),
            "TLS_UNTRUSTED",
            &["the primary demands a certificate of ours (tls-cert, tls-key)"],
        ),
        (
            "mutual-other",
            Some(demanding(authority)),
            {
                let ours = other.signs(&["secondary.example"], VALID);
                let cert = setting.file("tls-cert", "other.pem", &ours.certificate);
                format!("{trusted}{cert}{}", setting.file("tls-key", "other.key", &ours.key))
            },
            "TLS_UNTRUSTED",
            &["the primary refuses our certificate (tls-cert)"],
        ),
        ("stalls", None, trusted.clone(), "CONNECT_TIMEOUT", &["TLS handshake not complete after 0.5 s"]),
    ];
    let mut ours = Secondaryd::reserve().with_settings("connect-timeout = \"500ms\"\nidle-timeout = \"2s\"\n");
    let mut primaries = Vec::new();
    for (name, server, keys, code, texts) in &cases {
        let zone = format!("{name}.example");
        let greeting = server.as_ref().map_or(Greeting::Silence, Server::greeting);
        let primary = Primary::greeting(greeting, reply::good(&zone, 1));
        ours = ours.with_tables(&tables(&zone, &primary, keys));
        primaries.push((zone, primary, *code, *texts));
    }
    let ours = ours.started();
    for (zone, primary, code, texts) in &primaries {
        let item = ours.wait_item(zone, 0, code, |item| item["errorCode"] == *code);
        let message = item["errorMessage"].as_str().unwrap_or_default();
        assert!(texts.iter().all(|text| message.contains(text)), "{zone}: {message}");
        assert_eq!(item["transport"], "tls", "{item:#}");
        assert_eq!(primary.seen(Over::Udp, RecordType::SOA) + primary.seen(Over::Tcp, RecordType::SOA), 0, "{zone}");
        assert_eq!(ours.dns.serial(zone), None, "{zone}");
    }
    // When the primary shows what is expected of it
    for (zone, primary, ..) in &primaries {
        let pair = match zone.as_str() {
            "no-name-given.example" => authority.signs(&[&primary.address().ip().to_string()], VALID),
            "pin.example" => pinned.clone(),
            // Nobody can be signed by an authority of this system.
            "system.example" => continue,
            _ => setting.good(),
        };
        primary.greet(Server::with(pair).greeting());
        ours.expect("PUT", &format!("{}/axfr?mode=refresh", ours.zone_path(zone)), 202);
        ours.dns.wait_serial(zone, 1, SOON);
        assert_eq!(primary.seen(Over::Udp, RecordType::SOA), 0, "{zone}: no query in clear text");
    }
}

/// X1: strict with authority and name, with the primary's own self-signed certificate, with a pin alone, and mutual: all
/// transfers go over TLS, and the status has the certificate's end, that of ours too.
#[test]
fn x1_each_profile_transfers_and_shows_the_certificates() {
    let setting = Setting::new();
    let own = self_signed(&["ns1.example"]);
    let ours = setting.authority.signs(&["secondary.example"], 2020..=2090);
    let mutual = Server { clients: Some(setting.authority.certificate.clone()), ..Server::with(setting.good()) };
    let identity =
        setting.file("tls-cert", "ours.pem", &ours.certificate) + &setting.file("tls-key", "ours.key", &ours.key);
    // A pin holds whatever the name, the authority and the end of the certificate.
    let ended = setting.authority.signs(&["elsewhere.example"], 2020..=2021);
    let pin = format!("tls-pin = [{:?}, {:?}]\n", own.pin, ended.pin);
    let cases = [
        ("authority", Server::with(setting.good()), setting.trusted(), "authority"),
        (
            "itself",
            Server::with(own.clone()),
            format!("tls-name = \"ns1.example\"\n{}", setting.file("tls-ca", "own.pem", &own.certificate)),
            "authority",
        ),
        ("pinned", Server::with(ended), pin, "pin"),
        ("mutual", mutual, setting.trusted() + &identity, "authority"),
        (
            "no-alpn",
            Server { alpn: &[], ..Server::with(setting.good()) },
            setting.trusted() + "tls-alpn = \"optional\"\n",
            "authority",
        ),
    ];
    let mut daemon = Secondaryd::reserve();
    let mut primaries = Vec::new();
    for (name, server, keys, verified) in cases {
        let zone = format!("{name}.example");
        let primary = Primary::greeting(server.greeting(), reply::good(&zone, 1));
        daemon = daemon.with_tables(&tables(&zone, &primary, &keys));
        primaries.push((zone, primary, verified));
    }
    let daemon = daemon.started();
    for (zone, primary, verified) in &primaries {
        daemon.dns.wait_serial(zone, 1, SOON);
        // And a new version comes as one
        primary.play(reply::good(zone, 2));
        daemon.expect("PUT", &format!("{}/axfr?mode=refresh", daemon.zone_path(zone)), 202);
        daemon.dns.wait_serial(zone, 2, SOON);
        let item = daemon.wait_item(zone, 0, "OK", |item| item["status"] == "OK" && item["activity"] == "idle");
        assert_eq!(item["transport"], "tls", "{item:#}");
        assert_eq!(item["tls"]["version"], "TLSv1.3", "{item:#}");
        assert_eq!(item["tls"]["verified"], *verified, "{item:#}");
        assert!(item["tls"]["expires"].is_string(), "{item:#}");
        let end = if zone == "mutual.example" { "2090-01-01T00:00:00.000Z".into() } else { serde_json::Value::Null };
        assert_eq!(item["tls"]["ownExpires"], end, "{item:#}");
        assert_eq!(primary.seen(Over::Udp, RecordType::SOA) + primary.seen(Over::Tcp, RecordType::SOA), 0, "{zone}");
        assert!(primary.seen(Over::Tls, RecordType::SOA) > 0, "{zone}: SOA queries go over TLS");
        // RFC 7766 §6.2.1: one connection serves all exchanges, in turn
        assert!(primary.connections() <= 1, "{zone}");
    }
}

/// RFC 8310 §5: the opportunistic profile takes any certificate, and clear text where there is no TLS; it says so.
#[test]
fn x1_only_the_opportunistic_profile_falls_back_to_clear_text_and_says_so() {
    let any = Server::with(self_signed(&["whoever.example"]));
    let keys = "tls-profile = \"opportunistic\"\n";
    let with_tls = Primary::greeting(any.greeting(), reply::good("with.example", 1));
    let without = Primary::start(reply::good("without.example", 1));
    let strict = Primary::start(reply::good("strict.example", 1));
    let daemon = Secondaryd::reserve()
        .with_settings("connect-timeout = \"500ms\"\n")
        .with_tables(&tables("with.example", &with_tls, keys))
        .with_tables(&tables("without.example", &without, keys))
        .with_tables(&tables("strict.example", &strict, ""))
        .started();
    daemon.dns.wait_serial("with.example", 1, SOON);
    let item = daemon.wait_item("with.example", 0, "OK", |item| item["status"] == "OK");
    assert_eq!(
        (&item["tls"]["verified"], &item["notes"]),
        (&"unverified".into(), &serde_json::Value::Null),
        "{item:#}"
    );
    daemon.dns.wait_serial("without.example", 1, SOON);
    let item = daemon.wait_item("without.example", 0, "OK", |item| item["status"] == "OK");
    assert_eq!(item["notes"], serde_json::json!(["CLEAR_TEXT"]), "{item:#}");
    // To a server of clear text the first words of TLS are the beginning of a long message: it waits for the rest.
    let item = daemon.wait_item("strict.example", 0, "an error", |item| item["errorCode"] == "CONNECT_TIMEOUT");
    assert!(item["errorMessage"].as_str().unwrap_or_default().contains("TLS handshake"), "{item:#}");
    assert_eq!(strict.seen(Over::Udp, RecordType::SOA) + strict.seen(Over::Tcp, RecordType::SOA), 0);
    assert_eq!(daemon.dns.serial("strict.example"), None);
}

/// A primary that was down, or silent, has not shown that it gives no TLS; and its error is that of TLS, not of the clear text
/// that was tried in its place.
#[test]
fn x1_an_opportunistic_primary_that_gave_nothing_at_all_is_asked_over_tls_again() {
    let any = Server::with(self_signed(&["whoever.example"]));
    let zone = "down.example";
    let primary = Primary::greeting(Greeting::Silence, reply::good(zone, 1));
    let daemon = Secondaryd::reserve()
        .with_settings("connect-timeout = \"500ms\"\nidle-timeout = \"1s\"\n")
        .with_tables(&tables(zone, &primary, "tls-profile = \"opportunistic\"\n"))
        .started();
    let item = daemon.wait_item(zone, 0, "an error", |item| item["status"] == "ERROR");
    let message = item["errorMessage"].as_str().unwrap_or_default();
    assert_eq!(item["errorCode"], "CONNECT_TIMEOUT", "{item:#}");
    assert!(message.contains("TLS handshake") && message.contains("; in clear text at port "), "{item:#}");
    primary.greet(any.greeting());
    daemon.expect("PUT", &format!("{}/axfr?mode=refresh", daemon.zone_path(zone)), 202);
    daemon.dns.wait_serial(zone, 1, SOON);
    let item = daemon.wait_item(zone, 0, "OK", |item| item["status"] == "OK");
    assert_eq!(
        (&item["tls"]["verified"], &item["notes"]),
        (&"unverified".into(), &serde_json::Value::Null),
        "{item:#}"
    );
}

/// A renewed certificate of ours is taken up by a reload, without a restart.
#[test]
fn x1_a_reload_takes_up_new_certificates() {
    let setting = Setting::new();
    let zone = "renewed.example";
    let server = Server { clients: Some(setting.authority.certificate.clone()), ..Server::with(setting.good()) };
    let primary = Primary::greeting(server.greeting(), reply::good(zone, 1));
    let write = |years| {
        let ours = setting.authority.signs(&["secondary.example"], years);
        setting.file("tls-cert", "ours.pem", &ours.certificate) + &setting.file("tls-key", "ours.key", &ours.key)
    };
    let keys = setting.trusted() + &write(2020..=2021);
    let daemon = Secondaryd::reserve().with_tables(&tables(zone, &primary, &keys)).started();
    let item = daemon.wait_item(zone, 0, "refused", |item| item["errorCode"] == "TLS_UNTRUSTED");
    assert!(item["errorMessage"].as_str().unwrap_or_default().contains("CertificateExpired"), "{item:#}");
    // When the certificate is renewed in its place
    write(2020..=2090);
    daemon.reload();
    daemon.expect("PUT", &format!("{}/axfr?mode=refresh", daemon.zone_path(zone)), 202);
    // Then it is shown from now on
    daemon.dns.wait_serial(zone, 1, SOON);
}

/// REST: `"transport": "tls"` without a `[primary.NAME]` at that address is strict, with the system's authorities and the
/// address for a name; with one it is spoken to as written there.
#[test]
fn x1_a_primary_over_tls_by_rest() {
    let setting = Setting::new();
    let known = Primary::greeting(Server::with(setting.good()).greeting(), reply::good("known.example", 1));
    let unknown = Primary::greeting(Server::with(setting.good()).greeting(), reply::good("unknown.example", 1));
    let daemon = Secondaryd::reserve()
        .with_tables(&format!(
            "[primary.known]\naddress = \"{}\"\ntransport = \"tls\"\n{}",
            known.address(),
            setting.trusted()
        ))
        .started();
    for (zone, primary) in [("known.example", &known), ("unknown.example", &unknown)] {
        let body = serde_json::json!({ "properties": { "zoneName": zone, "primaries": [
            { "ip": primary.address().ip().to_string(), "port": primary.address().port(), "transport": "tls" }
        ] } });
        let (code, answer) = daemon.send("POST", "/secondaryzones", &body.to_string()).expect("an answer");
        assert!((200..300).contains(&code), "{code} {answer:#}");
        assert_eq!(answer["properties"]["primaries"][0]["transport"], "tls", "{answer:#}");
    }
    daemon.dns.wait_serial("known.example", 1, SOON);
    let item = daemon.wait_item("unknown.example", 0, "refused", |item| item["errorCode"] == "TLS_UNTRUSTED");
    assert!(item["errorMessage"].as_str().unwrap_or_default().contains("an authority of this system"), "{item:#}");
}
