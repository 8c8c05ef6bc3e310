use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde::de::{DeserializeOwned, Deserializer, Visitor};

use super::*;

mod catalogs;
mod encrypted;

const TEMPLATE: &str = include_str!("../../config/secondaryd.toml");

fn config(text: &str) -> Config {
    Config::from_text(Path::new("test.toml"), text).unwrap_or_else(|e| panic!("{e}"))
}

fn errors(text: &str) -> Vec<String> {
    let errors = Config::from_text(Path::new("test.toml"), text).expect_err("a wrong configuration");
    errors.0.iter().map(ToString::to_string).collect()
}

/// One mistake; its report begins with the place and the key and holds every one of `parts`.
fn assert_error(text: &str, start: &str, parts: &[&str]) {
    let errors = errors(text);
    assert_eq!(errors.len(), 1, "{errors:#?}");
    assert!(errors[0].starts_with(start), "{} does not start with {start}", errors[0]);
    for part in parts {
        assert!(errors[0].contains(part), "{} does not name {part}", errors[0]);
    }
}

#[test]
fn an_empty_file_is_the_default() {
    assert_eq!(Config { warnings: Vec::new(), ..config("") }, Config::default());
}

#[test]
fn the_template_is_the_default() {
    assert_eq!(Config { warnings: Vec::new(), ..config(TEMPLATE) }, Config::default());
}

/// The template with its examples switched on; `#%` marks alternatives, which exclude what stands beside them.
fn template_with_examples() -> String {
    let switch_on = |line: &str| match line.strip_prefix("# ") {
        Some(rest) if rest.starts_with('[') || rest.split_once(" = ").is_some_and(|(key, _)| is_key(key)) => {
            rest.to_owned()
        }
        _ => line.to_owned(),
    };
    TEMPLATE.lines().map(switch_on).collect::<Vec<_>>().join("\n")
}

fn is_key(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|c| c.is_ascii_lowercase() || c == b'-')
}

#[test]
fn the_examples_of_the_template_are_right() {
    let config = config(&template_with_examples());
    let zone = &config.zones[0];
    assert_eq!(zone.primaries.len(), 3);
    assert_eq!(zone.primaries[0].source, Some([192, 0, 2, 53].into()));
    assert_eq!(&*zone.tenant, "1000");
    assert_eq!(config.api.credentials[0].role, Role::Admin);
    assert_eq!(config.store.history_bytes, Some(16 << 20));
}

/// The keys serde knows of a struct, as it hands them to the deserializer.
fn keys_of<T: DeserializeOwned>() -> Vec<&'static str> {
    struct Capture<'a>(&'a mut Vec<&'static str>);
    impl<'de> Deserializer<'de> for Capture<'_> {
        type Error = serde::de::value::Error;
        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
            Err(serde::de::Error::custom("only the keys are wanted"))
        }
        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            fields: &'static [&'static str],
            visitor: V,
        ) -> Result<V::Value, Self::Error> {
            self.0.extend(fields);
            self.deserialize_any(visitor)
        }
        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
            newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }
    let mut keys = Vec::new();
    let _ = T::deserialize(Capture(&mut keys));
    assert!(!keys.is_empty());
    keys
}

#[test]
fn the_template_shows_every_key() {
    let mut section = String::new();
    let mut shown = std::collections::HashSet::new();
    for line in TEMPLATE.lines() {
        let line = line.trim_start_matches('#').trim_start_matches('%').trim_start();
        if let Some(header) = line.strip_prefix('[') {
            section = header.split(']').next().unwrap_or_default().trim_start_matches('[').to_owned();
            // One example of a primary in clear text, one over TLS.
            if section.starts_with("primary.") {
                section = "primary.NAME".to_owned();
            }
        } else if let Some((key, _)) = line.split_once(" = ") {
            shown.insert(format!("{section}.{key}"));
        }
    }
    for (section, keys) in [
        ("", reader::MAIN_KEYS[..3].to_vec()),
        ("dns", keys_of::<Dns>()),
        ("api", keys_of::<Api>()),
        ("api.credential", keys_of::<CredentialTable>()),
        ("local", keys_of::<Local>()),
        ("quota", keys_of::<Quota>()),
        ("transfer", keys_of::<Transfer>()),
        ("guard", keys_of::<GuardTable>()),
        ("hook", keys_of::<HookTable>()),
        ("store", keys_of::<Store>()),
        ("log", keys_of::<Log>()),
        ("tsig-key.transfer", keys_of::<TsigKeyTable>()),
        ("primary.NAME", keys_of::<PrimaryTable>()),
        ("secondary-zone", keys_of::<ZoneTable>().into_iter().filter(|key| *key != "catalog").collect()),
        ("secondary-zone.catalog", vec!["allow"]),
        ("secondary-zone.catalog.members", keys_of::<MembersTable>()),
        ("catalog-zone", keys_of::<CatalogZoneTable>()),
    ] {
        for key in keys {
            assert!(shown.contains(&format!("{section}.{key}")), "[{section}] {key} is not in config/secondaryd.toml");
        }
    }
}

#[test]
fn the_demo_configuration_is_right() {
    let config = config(include_str!("../../config/demo.toml"));
    assert_eq!(config.zones[0].primaries[0].address, SocketAddr::from(([127, 0, 0, 1], 5301)));
    assert_eq!(config.transfer.retry_initial, Duration::from_secs(1));
}

#[test]
fn every_mistake_is_reported_with_its_line() {
    let text = "\
state-dir = 5
[dns]
workers = \"many\"
lisen = []
[transfer]
refresh-min = \"10\"
idle-timeout = 30
[[secondary-zone]]
name = \"a..b\"
primaries = []
";
    let errors = errors(text);
    let starts = [
        "test.toml:1: state-dir: ",
        "test.toml:3: dns.workers: ",
        "test.toml:4: dns.lisen: unknown key `lisen`, expected one of `listen`",
        "test.toml:6: transfer.refresh-min: a duration such as",
        "test.toml:7: transfer.idle-timeout: a duration such as",
        "test.toml:9: secondary-zone.name: ",
        "test.toml:10: secondary-zone.primaries: at least one",
    ];
    assert_eq!(errors.len(), starts.len(), "{errors:#?}");
    for (error, start) in errors.iter().zip(starts) {
        assert!(error.starts_with(start), "{error} does not start with {start}");
    }
}

#[test]
fn broken_syntax_is_reported_with_its_line() {
    assert!(errors("[dns]\nworkers = \n")[0].starts_with("test.toml:2: "));
    assert!(errors("durability = \"behind\"\ndurability = \"before\"\n")[0].starts_with("test.toml:2: "));
}

#[test]
fn unknown_sections_and_missing_keys_are_errors() {
    assert_error("[nds]\n", "test.toml:1: nds: unknown key", &["`dns`"]);
    assert_error("[[secondary-zone]]\nprimaries = [\"192.0.2.1\"]", "test.toml:1: secondary-zone.name: ", &["missing"]);
    assert_error("[secondary-zone]\nname = \"a\"", "test.toml:1: secondary-zone: ", &["[[secondary-zone]]"]);
    assert_error("durability = \"never\"", "test.toml:1: durability: ", &["`behind`", "`before`"]);
}

#[test]
fn the_api_listens_on_addresses_and_unix_sockets() {
    let api = config("[api]\nlisten = [\"192.0.2.1\", \"unix:/run/secondaryd/api.sock\"]\nsocket-mode = \"600\"").api;
    assert_eq!(api.listen[0], ApiListen::Tcp(SocketAddr::from(([192, 0, 2, 1], 8053))));
    assert_eq!(api.listen[1], ApiListen::Unix("/run/secondaryd/api.sock".into()));
    assert_eq!(api.socket_mode, 0o600);
    assert!(!api.is_of_this_host());
    assert!(config("[api]\nlisten = [\"unix:/a\"]").api.is_of_this_host());
    let long = format!("[api]\nlisten = [\"unix:/{}\"]", "a".repeat(107));
    assert_error(&long, "test.toml:2: api.listen: ", &["at most 107 octets"]);
    assert_error("[api]\nlisten = [\"unix:a\"]", "test.toml:2: api.listen: ", &["begins with"]);
    assert_error("[api]\nlisten = [\"unix:/a\", \"unix:/a\"]", "test.toml:2: api.listen: ", &["stands twice"]);
    for mode in ["\"rw\"", "\"1777\"", "\"6\"", "\"888\""] {
        assert_error(&format!("[api]\nsocket-mode = {mode}"), "test.toml:2: api.socket-mode: ", &["octal"]);
    }
}

/// They become the NS records of each local zone, which would refuse anything else.
#[test]
fn name_servers_of_the_api_are_names_of_hosts() {
    let api = config("[api]\nnameservers = [\"ns1.example.net.\", \"ns_2.example.net\"]").api;
    assert_eq!(api.nameservers.len(), 2);
    for key in ["nameservers", "secondary-nameservers"] {
        for (wrong, part) in [
            ("192.0.2.1", "not an address"),
            (".", "must be a host name"),
            ("*.example.net", "letters, digits"),
            ("-a.example.net", "begin or end with '-'"),
            ("2001:db8::1", "letters, digits"),
        ] {
            let text = format!("[api]\n{key} = [\"ns1.example.net\", \"{wrong}\"]");
            assert_error(&text, &format!("test.toml:2: api.{key}: "), &[part, wrong]);
        }
    }
}

#[test]
fn origins_are_written_as_browsers_send_them() {
    let api = config("[api]\ncors-origins = [\"https://a.example\", \"http://[::1]:8080\", \"*\"]").api;
    assert_eq!(api.cors_origins.len(), 3);
    for wrong in ["a.example", "https://a.example/", "https://A.example", "https://", "null"] {
        assert_error(&format!("[api]\ncors-origins = [\"{wrong}\"]"), "test.toml:2: api.cors-origins: ", &["origin"]);
    }
}

#[test]
fn a_zone_refers_to_primaries_and_keys_by_name() {
    let config = config(
        r#"
        [tsig-key."Transfer.Example."]
        secret = "c3dvcmRmaXNo"
        [primary.ns1]
        address = "192.0.2.1"
        tsig-key = "transfer.example"
        [[secondary-zone]]
        name = "Example.COM."
        primaries = ["ns1", "[2001:db8::1]:5353"]
        allow-notify = ["192.0.2.0/24 key:transfer.example"]
        "#,
    );
    let zone = &config.zones[0];
    let key: Name = "transfer.example".parse().expect("a name");
    assert_eq!(zone.name.to_string(), "example.com.");
    assert_eq!(zone.primaries[0].tsig_key, Some(key.clone()));
    assert_eq!(zone.primaries[1], Primary::at("[2001:db8::1]:5353".parse().expect("an address")));
    assert_eq!(config.tsig_keys[&key].secret.expose(), b"swordfish");
    assert_eq!(&*zone.tenant, "default");
}

#[test]
fn references_that_lead_nowhere_are_errors() {
    let zone = |line: &str| format!("[[secondary-zone]]\nname = \"a.example\"\nprimaries = [\"192.0.2.1\"]\n{line}");
    assert_error(
        &zone("tsig-key = \"t\""),
        "test.toml:4: secondary-zone.tsig-key: ",
        &["[tsig-key.t]", "none is declared"],
    );
    assert_error(
        &zone("allow-transfer = [\"key:t\"]"),
        "test.toml:4: secondary-zone.allow-transfer: ",
        &["[tsig-key.t]"],
    );
    assert_error(&zone("notify = [\"192.0.2.1 key:t\"]"), "test.toml:4: secondary-zone.notify: ", &["[tsig-key.t]"]);
    assert_error(
        &zone("allow-notify = [\n\"192.0.2.1/24\"]"),
        "test.toml:5: secondary-zone.allow-notify: ",
        &["192.0.2.0/24"],
    );
    assert_error(&zone("tenant = \"a b\""), "test.toml:4: secondary-zone.tenant: ", &["letters"]);
    let text = "[primary.ns1]\naddress = \"192.0.2.1\"\n[[secondary-zone]]\nname = \"a.example\"\nprimaries = [\"ns1\",\n\"ns2\"]";
    assert_error(text, "test.toml:6: secondary-zone.primaries: ", &["[primary.ns2]", "declared: ns1"]);
}

#[test]
fn a_mistake_in_a_key_or_primary_is_not_repeated_at_its_users() {
    let text = "[tsig-key.t]\nsecret = \"%%%\"\n[primary.p]\naddress = \"0.0.0.0\"\n\
                [[secondary-zone]]\nname = \"a.example\"\ntsig-key = \"t\"\nprimaries = [\"p\"]";
    let errors = errors(text);
    assert_eq!(errors.len(), 2, "{errors:#?}");
    assert!(errors[0].starts_with("test.toml:2: tsig-key.t.secret: ") && !errors[0].contains("%%%"));
    assert!(errors[1].starts_with("test.toml:4: primary.p.address: "));
}

#[test]
fn algorithms_that_cannot_be_computed_are_errors() {
    let key = |algorithm: &str| format!("[tsig-key.t]\nalgorithm = \"{algorithm}\"\nsecret = \"c3dvcmRmaXNo\"");
    assert_error(&key("hmac-md4"), "test.toml:2: tsig-key.t.algorithm: ", &["hmac-md4", "hmac-sha512"]);
    // G2: "-sha1 and -sha224 allowed with a warning; -md5 only by explicit option"
    assert_error(&key("hmac-md5"), "test.toml:1: tsig-key.t.algorithm: ", &["allow-md5 = true"]);
    for allowed in [key("hmac-sha1"), key("hmac-sha224"), key("hmac-md5") + "\nallow-md5 = true\n"] {
        let warnings = config(&allowed).warnings;
        assert!(warnings.iter().any(|warning| warning.contains("out of date")), "{allowed}: {warnings:?}");
    }
    let notify =
        "[[secondary-zone]]\nname = \"a.example\"\nprimaries = [\"192.0.2.1\"]\nnotify = [\"192.0.2.9 key:t\"]\n";
    let text = format!("{}\n{notify}", key("hmac-sha224"));
    assert!(errors(&text)[0].contains("NOTIFY cannot be signed with hmac-sha224"), "{:?}", errors(&text));
}

/// RFC 8945 §8 wants a secret as long as what it signs with.
#[test]
fn secrets_that_can_be_guessed_are_warned_of() {
    let warnings = |algorithm: &str, octets: usize| {
        let secret = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, vec![7; octets]);
        let text = format!("[tsig-key.t]\nalgorithm = \"{algorithm}\"\nsecret = \"{secret}\"\n");
        config(&text).warnings.into_iter().filter(|warning| warning.contains("can be guessed")).collect::<Vec<_>>()
    };
    for (algorithm, enough) in [("hmac-sha1", 10), ("hmac-sha256", 16), ("hmac-sha512", 32)] {
        assert_eq!(warnings(algorithm, enough), [""; 0]);
        assert_eq!(warnings(algorithm, enough - 1).len(), 1, "{algorithm}");
    }
    let expected =
        "[tsig-key.t]: the secret has 1 octets and can be guessed; hmac-sha256 wants 32 random ones (RFC 8945 §8)";
    assert_eq!(warnings("hmac-sha256", 1), [expected]);
}

#[test]
fn addresses_that_cannot_be_meant_are_errors() {
    let primary = |line: &str| format!("[primary.p]\n{line}");
    assert_error(
        &primary("address = \"ns1.example.net\""),
        "test.toml:2: primary.p.address: ",
        &["\"192.0.2.1:5353\""],
    );
    assert_error(
        &primary("address = \"192.0.2.1\"\nsource = \"2001:db8::1\""),
        "test.toml:3: primary.p.source: ",
        &["different families"],
    );
    let zone = "[[secondary-zone]]\nname = \"a.example\"\nprimaries = [\"192.0.2.1\", \"192.0.2.1#53\"]";
    assert_error(zone, "test.toml:3: secondary-zone.primaries: ", &["twice"]);
    assert_error("[dns]\nlisten = [\"127.0.0.1:53\", \"127.0.0.1\"]", "test.toml:2: dns.listen: ", &["twice"]);
    assert_error("[dns]\nlisten = [\"127.0.0.1:8053\"]", "test.toml:1: api.listen: ", &["taken"]);
    let overlap = "[dns]\nlisten = [\"0.0.0.0:53\", \"127.0.0.1:53\"]";
    assert_error(overlap, "test.toml:2: dns.listen: 127.0.0.1:53 ", &["0.0.0.0:53 of dns.listen", "wildcard"]);
}

#[test]
fn relations_between_limits_are_checked_at_their_key() {
    assert_error("[transfer]\n\nrefresh-min = \"8d\"", "test.toml:3: transfer.refresh-min: ", &["refresh-max"]);
    assert_error("[transfer]\nconcurrency = 0", "test.toml:2: transfer.concurrency: ", &["at least 1"]);
    assert_error("[dns]\nedns-size = 100", "test.toml:2: dns.edns-size: ", &["512"]);
    assert_error("[log]\nfilter = \"loud\"", "test.toml:2: log.filter: ", &["info"]);
    assert_error("[api]\npublic-url = \"dns.example\"", "test.toml:2: api.public-url: ", &["https://"]);
    config("[log]\nfilter = \"info,secondaryd::refresh=debug\"");
}

#[test]
fn zones_of_included_files_are_read_in_order_and_clashes_name_both_places() {
    let dir = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, text).expect("a file");
    };
    let zone = |name: &str| format!("[[secondary-zone]]\nname = \"{name}\"\nprimaries = [\"ns1\"]\n");
    write("main.toml", &format!("include = [\"zones.d/*.toml\", \"zones.d/*.none\"]\n{}", zone("z.example")));
    write("zones.d/b.toml", &zone("b.example"));
    write("zones.d/a.toml", &format!("[primary.ns1]\naddress = \"192.0.2.1\"\n{}", zone("a.example")));
    write("zones.d/ignored.toml~", "nonsense");
    let config = Config::load(&dir.path().join("main.toml")).unwrap_or_else(|e| panic!("{e}"));
    let names: Vec<_> = config.zones.iter().map(|zone| zone.name.without_dot()).collect();
    assert_eq!(names, ["z.example", "a.example", "b.example"]);
    assert_eq!((config.zones[1].origin.line, config.zones[1].origin.file.ends_with("zones.d/a.toml")), (3, true));

    write("zones.d/c.toml", &format!("# again\n{}", zone("A.example.")));
    write("zones.d/d.toml", "state-dir = \"/\"\n");
    let errors = Config::load(&dir.path().join("main.toml")).expect_err("clashes").to_string();
    let clash = errors.lines().find(|line| line.contains("c.toml:3: secondary-zone.name: ")).expect(&errors);
    assert!(clash.contains("a.toml:3"), "{clash}");
    assert!(errors.contains("d.toml:1: state-dir: stands in the main file only"), "{errors}");
    write("main.toml", "include = [\"absent.toml\"]");
    let errors = Config::load(&dir.path().join("main.toml")).expect_err("absent").to_string();
    assert!(errors.contains("main.toml:1: include: ") && errors.contains("absent.toml"), "{errors}");
}

/// Its zones would be removed by a reload, as if somebody had taken them out of the file.
#[test]
fn what_a_pattern_names_and_cannot_be_looked_at_is_an_error() {
    let dir = tempfile::tempdir().expect("a directory");
    let main = dir.path().join("main.toml");
    let load = |pattern: &str| {
        fs::write(&main, format!("include = [\"{pattern}\"]\n")).expect("a file");
        Config::load(&main).map(|config| config.zones.len()).map_err(|errors| errors.to_string())
    };
    let zone = "[[secondary-zone]]\nname = \"a\"\nprimaries = [\"192.0.2.1\"]\n";
    fs::create_dir_all(dir.path().join("zones.d/deep/zones")).expect("directories");
    fs::write(dir.path().join("zones.d/a.toml"), zone).expect("a file");
    // a directory without a match holds no zone, nor does what is no directory where a pattern looks for one
    for (pattern, zones) in
        [("zones.d/*.toml", 1), ("zones.d/*.zone", 0), ("*/*/zones/*", 0), ("*/deep/*", 0), ("*/absent.toml", 0)]
    {
        assert_eq!(load(pattern), Ok(zones), "{pattern}");
    }
    // a directory that is named must be there, and be one
    for (pattern, named) in [("gone.d/*.toml", "gone.d cannot be read"), ("main.toml/*", "main.toml cannot be read")] {
        assert!(load(pattern).is_err_and(|e| e.contains("main.toml:1: include: ") && e.contains(named)), "{pattern}");
    }
    // and so must be what a link leads to; one to itself is what root cannot look at either
    for (target, link, patterns) in [
        (dir.path().join("gone"), "zones.d/b.toml", ["zones.d/*.toml", "*/b.toml"]),
        (dir.path().join("loop"), "loop", ["loop/*.toml", "l*/a.toml"]),
        (dir.path().join("gone"), "gone.link", ["gone.link/*", "*.link/*.toml"]),
    ] {
        std::os::unix::fs::symlink(target, dir.path().join(link)).expect("a link");
        for pattern in patterns {
            let errors = load(pattern).expect_err(pattern);
            assert!(errors.contains(link) && errors.contains("cannot be read: "), "{pattern}: {errors}");
        }
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let errors = Config::load(Path::new("/nonexistent/secondaryd.toml")).expect_err("no file").to_string();
    assert!(errors.starts_with("/nonexistent/secondaryd.toml: cannot be read: "), "{errors}");
}

#[test]
fn secrets_come_from_files_too_and_never_show() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("key"), "c3dvcmRmaXNo\n").expect("a file");
    fs::write(dir.path().join("token"), "open-sesame\n").expect("a file");
    let text = "[tsig-key.t]\nalgorithm = \"hmac-sha512\"\nsecret-file = \"key\"\n\
                [[api.credential]]\ntenant = \"1\"\nuser = \"u\"\ntoken-file = \"token\"\n";
    let config = Config::from_text(&dir.path().join("main.toml"), text).unwrap_or_else(|e| panic!("{e}"));
    let key = config.tsig_keys.values().next().expect("a key");
    assert_eq!((key.algorithm, key.secret.expose()), (TsigAlgorithm::HmacSha512, &b"swordfish"[..]));
    assert_eq!(config.api.credentials[0], Credential::new("1", "u", Role::Observer, "open-sesame"));
    let shown = format!("{config:?}");
    assert!(!shown.contains("swordfish") && !shown.contains("sesame") && shown.contains("[redacted]"), "{shown}");
}

#[test]
fn credentials_are_checked_one_by_one() {
    let credential = |rest: &str| format!("[[api.credential]]\ntenant = \"1000\"\nuser = \"u\"\n{rest}\n");
    assert_error(&credential(""), "test.toml:1: api.credential.token: ", &["token-sha256"]);
    assert_error(
        &credential("token = \"a\"\ntoken-file = \"b\""),
        "test.toml:1: api.credential.token: ",
        &["exactly one"],
    );
    assert_error(&credential("token = \"a\"\nrole = \"root\""), "test.toml:5: api.credential.role: ", &["`observer`"]);
    assert_error(&credential("token-sha256 = \"abc\""), "test.toml:4: api.credential.token-sha256: ", &["64 hex"]);
    assert_error(
        &[credential("token = \"a\""), credential("token = \"a\"")].concat(),
        "test.toml:5: api.credential.token: ",
        &["same token"],
    );
    let hash = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";
    let parsed = config(&credential(&format!("token-sha256 = \"{hash}\"\nrole = \"admin\"")));
    assert_eq!(parsed.api.credentials[0], Credential::new("1000", "u", Role::Admin, "a"));
    assert_eq!(parsed.default_tenant(), "1000");
}

#[test]
fn primaries_by_rest_are_free_on_loopback_and_remote_otherwise() {
    let loopback: IpAddr = [127, 0, 0, 1].into();
    let remote: IpAddr = [192, 0, 2, 1].into();
    assert!(config("").allows_primary(loopback));
    let public = config("[api]\nlisten = [\"192.0.2.53\"]");
    assert!(!public.allows_primary(loopback) && public.allows_primary(remote));
    assert!(!public.allows_primary("::ffff:127.0.0.1".parse().expect("an address")));
    let listed = config("[transfer]\nallow-primaries = [\"127.0.0.0/8\"]");
    assert!(listed.allows_primary(loopback) && !listed.allows_primary(remote));
}

#[test]
fn a_reload_knows_what_has_changed() {
    let zone =
        |name: &str, primary: &str| format!("[[secondary-zone]]\nname = \"{name}\"\nprimaries = [\"{primary}\"]\n");
    let old = config(
        &[zone("a.example", "192.0.2.1"), zone("b.example", "192.0.2.1"), zone("c.example", "192.0.2.1")].concat(),
    );
    assert!(difference(&old, &old).is_empty());

    let text = [
        "state-dir = \"/elsewhere\"\n[transfer]\nconcurrency = 7\n[tsig-key.t]\nsecret = \"c3dvcmRmaXNo\"\n",
        &zone("d.example", "192.0.2.1"),
        &zone("a.example", "192.0.2.1"),
        &zone("b.example", "192.0.2.2"),
    ]
    .concat();
    let mut new = config(&text);
    let needs_restart = new.keep_until_restart(&old);
    let difference = difference(&old, &new);
    let names = |zones: &[&Zone]| zones.iter().map(|zone| zone.name.without_dot()).collect::<Vec<_>>();
    assert_eq!(names(&difference.zones_added), ["d.example"]);
    assert_eq!(names(&difference.zones_changed), ["b.example"]);
    assert_eq!(difference.zones_removed.iter().map(|name| name.without_dot()).collect::<Vec<_>>(), ["c.example"]);
    assert_eq!(difference.keys_changed.len(), 1);
    assert_eq!(difference.settings_changed, ["transfer"]);
    assert_eq!(needs_restart, ["state-dir"]);
}

#[test]
fn a_state_dir_is_a_directory_or_can_become_one() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("file"), "").expect("a file");
    let state_dir = |path: &str| format!("state-dir = \"{}\"\n", dir.path().join(path).display());
    for right in ["", "absent", "absent/below"] {
        config(&state_dir(right));
    }
    for wrong in ["file", "file/below/it"] {
        assert_error(&state_dir(wrong), "test.toml:1: state-dir: ", &["/file is no directory"]);
    }
}

#[test]
fn one_mistake_in_each_of_many_zones_does_not_flood_the_terminal() {
    let text = "[[secondary-zone]]\nname = \"a..b\"\nprimaries = [\"192.0.2.1\"]\n".repeat(1000);
    let errors = Config::from_text(Path::new("test.toml"), &text).expect_err("mistakes");
    assert_eq!(errors.0.len(), 1000);
    assert!(errors.to_string().ends_with("... and 950 more"));
}

/// Not a test of speed, which depends on the machine, but that nothing is quadratic: this would take minutes.
#[test]
fn a_hundred_thousand_zones_load() {
    let mut text = String::from("[primary.ns1]\naddress = \"192.0.2.1\"\n");
    for i in 0..100_000 {
        text += &format!("[[secondary-zone]]\nname = \"zone{i}.example\"\nprimaries = [\"ns1\", \"192.0.2.2\"]\n");
    }
    assert_eq!(config(&text).zones.len(), 100_000);
}

/// Every key of the sections that have keys of both kinds, with another value than its default.
const OTHER_VALUES: &[(&str, &str)] = &[
    ("state-dir", "\"/elsewhere\""),
    ("dns.listen", "[\"127.0.0.1:5399\"]"),
    ("dns.listen-tls", "[\"127.0.0.1:5398\"]"),
    ("dns.tls-cert", "\"ours.pem\""),
    ("dns.tls-key", "\"ours.key\""),
    ("dns.allow-proxy", "[\"192.0.2.0/24\"]"),
    ("dns.workers", "3"),
    ("dns.edns-size", "1400"),
    ("dns.nsec3-iterations-max", "150"),
    ("dns.tcp-idle-timeout", "\"3s\""),
    ("dns.tcp-connections", "3"),
    ("dns.tcp-connections-per-client", "3"),
    ("dns.outbound-transfers", "3"),
    ("dns.rate-limit", "20"),
    ("dns.rate-limit-slip", "1"),
    ("dns.rate-limit-ipv4-prefix", "32"),
    ("dns.rate-limit-ipv6-prefix", "64"),
    ("dns.cookies", "false"),
    ("dns.cookie-secrets", "[\"000102030405060708090a0b0c0d0e0f\"]"),
    ("dns.cookie-secret-file", "\"cookies\""),
    ("dns.require-cookie", "true"),
    ("dns.nsid", "\"ns1\""),
    ("dns.version", "\"\""),
    ("dns.identity", "\"ns1\""),
    ("api.listen", "[\"127.0.0.1:8099\"]"),
    ("api.socket-mode", "\"600\""),
    ("api.listen-tls", "[\"127.0.0.1:8098\"]"),
    ("api.tls-cert", "\"ours.pem\""),
    ("api.tls-key", "\"ours.key\""),
    ("api.trusted-proxies", "[\"192.0.2.0/24\"]"),
    ("api.cors-origins", "[\"https://a.example\"]"),
    ("api.rate-limit", "20"),
    ("api.public-url", "\"https://a.example\""),
    ("api.nameservers", "[\"ns1.example\"]"),
    ("api.secondary-nameservers", "[\"ns2.example\"]"),
    ("api.owned-cidrs", "[\"192.0.2.0/24\"]"),
    ("api.primary-port", "5353"),
    ("api.allow-tld", "true"),
    ("api.allow-subzones", "true"),
    ("api.max-body", "\"2MiB\""),
    ("store.cache-size", "\"3MiB\""),
    ("store.history-bytes", "\"3MiB\""),
    ("store.history-versions", "3"),
    ("store.history-attempts", "3"),
    ("log.filter", "\"debug\""),
    ("log.format", "\"text\""),
];

/// The defaults in a directory with a certificate and a file of cookie secrets, and the same with other values of `keys`.
fn with_other_values(keys: &[&str]) -> (Config, Config) {
    let directory = encrypted::certificates();
    fs::write(directory.path().join("cookies"), "000102030405060708090a0b0c0d0e0f\n").expect("a file");
    let load = |keys: &[&str]| {
        let lines = OTHER_VALUES.iter().filter(|(key, _)| keys.contains(key));
        // In the file the keys of the top stand first, so they need no section.
        let lines = lines.map(|(key, value)| format!("{key} = {value}\n"));
        Config::from_text(&directory.path().join("test.toml"), &lines.collect::<String>())
            .unwrap_or_else(|e| panic!("{e}"))
    };
    // Neither file is of use without the other, nor an address without them.
    let files = ["dns.tls-cert", "dns.tls-key", "api.tls-cert", "api.tls-key"];
    let is_of_tls = keys.iter().any(|key| key.ends_with("listen-tls"));
    match keys {
        ["dns.tls-cert" | "dns.tls-key"] => (load(&[]), load(&files[..2])),
        ["api.tls-cert" | "api.tls-key"] => (load(&[]), load(&files[2..])),
        _ if is_of_tls => (load(&files), load(&[keys, &files[..]].concat())),
        _ => (load(&[]), load(keys)),
    }
}

/// The keys of the template's paragraphs that say so, without the files of certificates, which are read again.
fn keys_with_restart_in_the_template() -> Vec<String> {
    let is_key = |text: &str| text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-');
    let (mut section, mut keys) = (String::new(), Vec::new());
    for paragraph in TEMPLATE.split("\n\n") {
        for line in paragraph.lines() {
            let line = line.trim_start_matches(['#', '%', ' ']);
            if let Some(header) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                section = format!("{header}.");
            }
            match line.split_once(" = ") {
                Some((key, _)) if is_key(key) && paragraph.contains("[restart]") && !key.starts_with("tls-") => {
                    keys.push(format!("{section}{key}"));
                }
                _ => {}
            }
        }
    }
    keys
}

#[test]
fn every_key_takes_effect_at_once_or_asks_for_a_restart_as_the_template_says() {
    let at_start = keys_with_restart_in_the_template();
    assert!(at_start.len() > 20, "{at_start:?}");
    for (key, _) in OTHER_VALUES {
        let (old, mut new) = with_other_values(&[key]);
        let needs_restart = new.keep_until_restart(&old);
        let settings_changed = difference(&old, &new).settings_changed;
        match at_start.iter().any(|other| other == key) {
            true => assert_eq!((needs_restart, settings_changed), (vec![*key], vec![])),
            false => {
                assert_eq!((needs_restart, settings_changed), (vec![], vec![key.split('.').next().expect("a section")]))
            }
        }
    }
    // and the table has every key
    for (section, keys) in
        [("dns", keys_of::<Dns>()), ("api", keys_of::<Api>()), ("store", keys_of::<Store>()), ("log", keys_of::<Log>())]
    {
        for key in keys.into_iter().map(|key| format!("{section}.{key}")) {
            assert!(OTHER_VALUES.iter().any(|(known, _)| *known == key), "{key} is missing in the table");
        }
    }
}

#[test]
fn what_needs_a_restart_is_told_at_each_reload_until_then() {
    let (running, read) = with_other_values(&["dns.workers", "dns.nsid"]);
    let mut first = read.clone();
    assert_eq!(first.keep_until_restart(&running), ["dns.workers"]);
    assert_eq!((first.dns.workers, first.dns.nsid.as_str()), (running.dns.workers, "ns1"), "as the daemon runs");
    // the same file once more
    let mut again = read;
    assert_eq!(again.keep_until_restart(&first), ["dns.workers"]);
    assert!(difference(&first, &again).is_empty());
    // and the first file
    let mut back = running.clone();
    assert_eq!(back.keep_until_restart(&again), [""; 0]);
    assert_eq!(difference(&again, &back).settings_changed, ["dns"]);
}

#[test]
fn what_is_expected_is_said_in_words_of_the_file() {
    for (text, expected) in [
        ("[dns]\nworkers = \"two\"", "test.toml:2: dns.workers: a whole number from 0 on is expected"),
        ("[dns]\nedns-size = 70000", "test.toml:2: dns.edns-size: a whole number from 0 to 65535 is expected"),
        (
            "[dns]\nlisten = \"::1\"",
            "test.toml:2: dns.listen: a list in brackets such as [\"...\", \"...\"] is expected",
        ),
        ("[api]\nallow-tld = 1", "test.toml:2: api.allow-tld: true or false, without quotes, is expected"),
        ("state-dir = 5", "test.toml:1: state-dir: text in quotes is expected"),
        ("state-dir = \"\"", "test.toml:1: state-dir: a directory is needed, e.g. \"/var/lib/secondaryd\""),
    ] {
        assert_eq!(errors(text), [expected]);
    }
}

#[test]
fn broken_syntax_is_reported_with_the_key_but_never_with_a_value() {
    for (text, expected) in [
        ("[tsig-key.k]\nsecret = \"c3dvcmRmaXNo", "test.toml:2: secret: "),
        ("[dns]\n[log]\n[dns]\n", "test.toml:3: dns: duplicate key"),
    ] {
        let errors = errors(text);
        assert!(errors[0].starts_with(expected), "{}", errors[0]);
        assert!(!errors[0].contains("c3dv"), "{}", errors[0]);
    }
}

#[test]
fn an_international_name_is_written_as_a_label() {
    for name in ["m\u{fc}ller.example", "two words.example"] {
        let text = format!("[[secondary-zone]]\nname = \"{name}\"\nprimaries = [\"192.0.2.1\"]");
        assert_error(&text, "test.toml:2: secondary-zone.name: ", &["xn--"]);
    }
}

#[test]
fn the_sections_before_the_zones_are_known_before_them_or_not_at_all() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("secondaryd.toml");
    let sections = "state-dir = \"/s\"\ninclude = [\"absent.toml\"]\n[dns]\nlisten = [\"192.0.2.1:5353\"]\n";
    let zone = "[[secondary-zone]]\nname = \"a\"\nprimaries = [\"192.0.2.1\"]\n";
    let beginning = |text: String| {
        fs::write(&path, text).expect("written");
        Config::beginning(&path)
    };
    // with zones, also with wrong ones, and with what is included left alone
    for text in [format!("{sections}{zone}"), format!("{sections}{zone}nonsense = 1\n"), sections.to_owned()] {
        let Beginning { config, says_where_to_listen } = beginning(text).expect("sections without mistakes");
        assert!(says_where_to_listen && Config::ends_with_zones(&path));
        assert_eq!((config.state_dir, config.zones.len()), (PathBuf::from("/s"), 0));
        assert_eq!(config.dns.listen, ["192.0.2.1:5353".parse().expect("an address")]);
    }
    assert_eq!(beginning(format!("state-dir = 1\n{zone}")), None);
    // sections may stand behind the zones
    for (text, says_where_to_listen) in [
        (format!("state-dir = \"/s\"\n{zone}[dns]\n"), false),
        (format!("{zone}{sections}"), false),
        (format!("{sections}{zone}[log]\n"), true),
        (format!("dns = {{}}\n{zone}[store]\n"), true),
        (format!("dns.workers = 1\n{zone}[store]\n"), true),
    ] {
        assert_eq!(
            beginning(text.clone()).map(|found| found.says_where_to_listen),
            Some(says_where_to_listen),
            "{text}"
        );
        assert!(!Config::ends_with_zones(&path), "{text}");
    }
    // or more than is looked at before them
    assert_eq!(beginning(format!("{sections}{}{zone}", "# nothing\n".repeat(7_000))), None);
}
