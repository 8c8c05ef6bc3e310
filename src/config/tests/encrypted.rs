//! TLS in the configuration: certificates and keys, profiles of primaries.

use super::*;

#[test]
fn listen_tls_needs_a_certificate_and_its_key() {
    for (section, port) in [("dns", 853), ("api", 8443)] {
        let assert_error = |keys: &str, key: &str, part| {
            assert_error(&format!("[{section}]\n{keys}"), &format!("test.toml:2: {section}.{key}: "), &[part]);
        };
        assert_error("listen-tls = [\"127.0.0.1\"]", "listen-tls", "needs tls-cert and tls-key");
        assert_error("tls-cert = \"a.pem\"", "tls-cert", "without tls-key");
        assert_error("tls-key = \"a.key\"", "tls-key", "without tls-cert");
        let directory = certificates();
        let load = |keys: &str| {
            let path = directory.path().join("secondaryd.toml");
            Config::from_text(&path, &format!("[{section}]\nlisten-tls = [\"127.0.0.1\"]\n{keys}\n"))
        };
        let config = load("tls-cert = \"ours.pem\"\ntls-key = \"ours.key\"").unwrap_or_else(|e| panic!("{e}"));
        let (listen, certificate) = match section {
            "dns" => (config.dns.listen_tls, config.dns.tls_cert),
            _ => (config.api.listen_tls, config.api.tls_cert),
        };
        assert_eq!(listen, [SocketAddr::from(([127, 0, 0, 1], port))]);
        assert_eq!(certificate, Some(directory.path().join("ours.pem")));
        for (keys, key, part) in [
            ("tls-cert = \"absent.pem\"\ntls-key = \"ours.key\"", "tls-cert", "cannot be read"),
            ("tls-cert = \"note.txt\"\ntls-key = \"ours.key\"", "tls-cert", "holds no certificate"),
            ("tls-cert = \"ours.pem\"\ntls-key = \"absent.key\"", "tls-key", "cannot be read"),
            ("tls-cert = \"ours.pem\"\ntls-key = \"other.key\"", "tls-key", "does not belong"),
            ("tls-cert = \"ours.pem\"\ntls-key = \"note.txt\"", "tls-key", "holds no private key"),
        ] {
            let errors = load(keys).expect_err("refused").to_string();
            assert!(errors.contains(&format!("{section}.{key}: ")) && errors.contains(part), "{errors}");
        }
    }
}

/// A directory with an authority's certificate, one of ours with its key, and a file that is none of that.
pub(super) fn certificates() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    for name in ["ours", "other"] {
        let key = rcgen::KeyPair::generate().expect("a key");
        let names = vec![format!("{name}.example")];
        let certificate =
            rcgen::CertificateParams::new(names).expect("a name").self_signed(&key).expect("a certificate");
        fs::write(directory.path().join(format!("{name}.pem")), certificate.pem()).expect("a file");
        fs::write(directory.path().join(format!("{name}.key")), key.serialize_pem()).expect("a file");
    }
    fs::write(directory.path().join("note.txt"), "no certificate at all\n").expect("a file");
    directory
}

/// A daemon that serves with it is better than one that does not start.
#[test]
fn a_certificate_of_ours_that_has_ended_is_warned_of() {
    let directory = tempfile::tempdir().expect("a directory");
    let key = rcgen::KeyPair::generate().expect("a key");
    fs::write(directory.path().join("our.key"), key.serialize_pem()).expect("a file");
    let ends_in = |year| {
        let mut parameters = rcgen::CertificateParams::new(vec!["ours.example".to_owned()]).expect("a name");
        parameters.not_after = rcgen::date_time_ymd(year, 1, 2);
        fs::write(directory.path().join("our.pem"), parameters.self_signed(&key).expect("a certificate").pem())
            .expect("a file");
    };
    for section in ["dns", "api"] {
        let warnings = || {
            let text =
                format!("[{section}]\nlisten-tls = [\"127.0.0.1\"]\ntls-cert = \"our.pem\"\ntls-key = \"our.key\"\n");
            let config = Config::from_text(&directory.path().join("test.toml"), &text);
            let warnings = config.unwrap_or_else(|e| panic!("{e}")).warnings.into_iter();
            warnings.filter(|warning| warning.contains("has ended")).collect::<Vec<_>>()
        };
        ends_in(2020);
        let told = warnings();
        assert!(told.len() == 1 && told[0].starts_with(&format!("[{section}] tls-cert: ")), "{told:?}");
        assert!(told[0].contains("our.pem has ended at 2020-01-02T"), "{told:?}");
        ends_in(2099);
        assert_eq!(warnings(), [""; 0]);
    }
}

fn primary_over_tls(directory: &Path, keys: &str) -> Result<Config, ConfigErrors> {
    let text = format!("[primary.a]\naddress = \"192.0.2.1\"\ntransport = \"tls\"\n{keys}\n");
    Config::from_text(&directory.join("test.toml"), &text)
}

#[test]
fn a_primary_over_tls_has_port_853_and_a_profile_at_its_address() {
    let directory = certificates();
    let address: SocketAddr = "192.0.2.1:853".parse().expect("an address");
    let profile =
        |keys: &str| primary_over_tls(directory.path(), keys).unwrap_or_else(|e| panic!("{e}")).tls[&address].clone();
    let plain = profile("");
    assert_eq!(
        *plain,
        TlsProfile::of_address(address.ip()),
        "strict, the system's authorities, the address for a name"
    );
    let named = profile("tls-name = \"ns1.example.\"\ntls-ca = \"ours.pem\"");
    assert_eq!((named.name.as_str(), named.authorities.as_ref().map(Vec::len)), ("ns1.example", Some(1)));
    let pin = "tls-pin = [\"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\"]";
    let pinned = profile(pin);
    assert_eq!((pinned.checks_name, pinned.checks_authority, pinned.pins.len()), (false, false, 1));
    let both = profile(&format!("{pin}\ntls-name = \"ns1.example\"\ntls-ca = \"ours.pem\""));
    assert_eq!((both.checks_name, both.checks_authority), (true, true));
    let mutual = profile("tls-cert = \"ours.pem\"\ntls-key = \"ours.key\"");
    assert!(mutual.identity.is_some() && !format!("{mutual:?}").contains("PRIVATE"));
    let config = primary_over_tls(directory.path(), "tls-profile = \"opportunistic\"").expect("right");
    assert!(config.warnings.iter().any(|warning| warning.contains("checks no certificate")), "{:?}", config.warnings);
}

#[test]
fn every_mistake_in_tls_keys_is_an_error_of_the_check() {
    let directory = certificates();
    for (keys, key, part) in [
        ("tls-profile = \"loose\"", "tls-profile", "`opportunistic`"),
        ("tls-name = \"*.example\"", "tls-name", "a host name such as"),
        ("tls-ca = \"absent.pem\"", "tls-ca", "absent.pem cannot be read"),
        ("tls-ca = \"note.txt\"", "tls-ca", "holds no certificate"),
        ("tls-ca = \"ours.key\"", "tls-ca", "holds no certificate"),
        ("tls-pin = [\"abcd\"]", "tls-pin", "44 characters"),
        ("tls-cert = \"ours.pem\"", "tls-cert", "needs tls-key"),
        ("tls-key = \"ours.key\"", "tls-key", "needs tls-cert"),
        ("tls-cert = \"ours.pem\"\ntls-key = \"note.txt\"", "tls-key", "holds no private key"),
        ("tls-cert = \"ours.pem\"\ntls-key = \"other.key\"", "tls-key", "does not belong to the certificate"),
        ("tls-profile = \"opportunistic\"\ntls-ca = \"ours.pem\"", "tls-ca", "checks nothing"),
    ] {
        let errors = primary_over_tls(directory.path(), keys).expect_err(keys).to_string();
        assert!(errors.contains(&format!(": primary.a.{key}: ")) && errors.contains(part), "{keys}: {errors}");
        assert!(!errors.contains("PRIVATE"), "{errors}");
    }
    assert_error(
        "[primary.a]\ntls-name = \"a\"\naddress = \"192.0.2.1\"",
        "test.toml:2: primary.a.tls-name",
        &["transport"],
    );
    let two = "[primary.a]\naddress = \"192.0.2.1\"\ntransport = \"tls\"\n[primary.b]\naddress = \"192.0.2.1\"\n\
               transport = \"tls\"\ntls-name = \"ns1.example\"\n";
    assert_error(two, "test.toml:5: primary.b.address", &["other tls-... keys"]);
}

#[test]
fn an_address_that_is_asked_over_tls_is_not_written_beside_its_name() {
    let text = |primary: &str| {
        format!(
            "[primary.a]\naddress = \"192.0.2.1\"\ntransport = \"tls\"\n\
             [[secondary-zone]]\nname = \"a.example\"\nprimaries = [\"{primary}\"]\n"
        )
    };
    assert_error(&text("192.0.2.1#853"), "test.toml:6: secondary-zone.primaries: ", &["over TLS", "write its NAME"]);
    assert_eq!(config(&text("a")).zones[0].primaries[0].transport, Transport::Tls);
    // the port of the table and of an address without one are different, and so may be what answers there
    assert_eq!(config(&text("192.0.2.1")).zones[0].primaries[0].transport, Transport::Tcp);
}
