//! From tables to a [`Config`]: looks names up, parses what refers to them, and checks what no type can hold.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use toml::Spanned;

use super::catalogs;
use super::guard::{self, GuardTable, HookTable, ZonePolicy};
use super::reader::{self, Source, Tables, Written};
use super::sections::{self, Credential, CredentialTable, TokenHash};
use super::tls::{self, TlsAlpn, TlsIdentity, TlsLevel, TlsProfile};
use super::values::{self, DNS_PORT, DNS_TLS_PORT, NotifyTarget};
use super::zones::{Primary, PrimaryTable, Transport, TsigKey, TsigKeyTable, Zone, ZoneTable};
use super::{Catalog, Config, ConfigErrors, TsigAlgorithm, listening};
use crate::access::Rule;
use crate::dns::Name;
use crate::time::Timestamp;

/// Turns what was read into a configuration, or into all its mistakes.
pub(super) fn resolve(mut tables: Tables) -> Result<Config, ConfigErrors> {
    check_sections(&mut tables);
    resolve_credentials(&mut tables);
    let keys = resolve_keys(&mut tables);
    let primaries = resolve_primaries(&mut tables, &keys);
    resolve_zones(&mut tables, &keys, &primaries);
    check_local(&mut tables, &keys);
    let Tables { mut config, mut errors, guard, hook, .. } = tables;
    config.guard = config.guard.with(&guard);
    config.hook = config.hook.with(&hook);
    if !errors.is_empty() {
        errors.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
        return Err(ConfigErrors(errors));
    }
    config.tsig_keys = keys.into_iter().filter_map(|(name, key)| Some((name, key?))).collect();
    warn(&mut config);
    Ok(config)
}

/// Ranges and relations of plain values.
fn check_sections(tables: &mut Tables) {
    let Config { dns, api, transfer, store, log, include: _, .. } = &tables.config;
    let mut wrong: Vec<(&str, String)> = Vec::new();
    let mut demand = |holds: bool, key: &'static str, message: String| {
        if !holds {
            wrong.push((key, message));
        }
    };

    let no_directory = tables.config.state_dir.as_os_str().is_empty();
    demand(!no_directory, "state-dir", "a directory is needed, e.g. \"/var/lib/secondaryd\"".to_owned());
    // Below what is there it will be made.
    let there = tables.config.state_dir.ancestors().find(|path| path.exists());
    if let Some(there) = there.filter(|path| !path.is_dir()) {
        demand(false, "state-dir", format!("{} is no directory", there.display()));
    }
    demand(!dns.listen.is_empty(), "dns.listen", "at least one address is needed, e.g. [\"192.0.2.53\"]".to_owned());
    let both = dns.tls_cert.is_some() && dns.tls_key.is_some();
    let needs = "needs tls-cert and tls-key, the PEM files of a certificate and its key".to_owned();
    demand(dns.listen_tls.is_empty() || both, "dns.listen-tls", needs);
    let alone = |other: &str| format!("is of no use without {other}");
    demand(dns.tls_cert.is_none() || dns.tls_key.is_some(), "dns.tls-cert", alone("tls-key"));
    demand(dns.tls_key.is_none() || dns.tls_cert.is_some(), "dns.tls-key", alone("tls-cert"));
    demand(
        (1..=32).contains(&dns.rate_limit_ipv4_prefix),
        "dns.rate-limit-ipv4-prefix",
        "must lie between 1 and 32".to_owned(),
    );
    demand(
        (1..=128).contains(&dns.rate_limit_ipv6_prefix),
        "dns.rate-limit-ipv6-prefix",
        "must lie between 1 and 128".to_owned(),
    );
    demand(dns.nsid.len() <= 128, "dns.nsid", "at most 128 octets".to_owned());
    demand(dns.version.len() <= 255, "dns.version", "at most 255 octets".to_owned());
    demand(dns.identity.as_ref().is_none_or(|text| text.len() <= 255), "dns.identity", "at most 255 octets".to_owned());
    demand((512..=4096).contains(&dns.edns_size), "dns.edns-size", "must lie between 512 and 4096".to_owned());
    let attempts = tables.config.store.history_attempts;
    demand((1..=10_000).contains(&attempts), "store.history-attempts", "must lie between 1 and 10000".to_owned());
    demand(dns.workers <= 1024, "dns.workers", "at most 1024; 0 takes one per core".to_owned());
    for (key, message) in listening::mistakes(dns, api) {
        demand(false, key, message);
    }
    let both = api.tls_cert.is_some() && api.tls_key.is_some();
    let needs = "needs tls-cert and tls-key, the PEM files of a certificate and its key".to_owned();
    demand(api.listen_tls.is_empty() || both, "api.listen-tls", needs);
    demand(api.tls_cert.is_none() || api.tls_key.is_some(), "api.tls-cert", alone("tls-key"));
    demand(api.tls_key.is_none() || api.tls_cert.is_some(), "api.tls-key", alone("tls-cert"));
    let url = api.public_url.as_str();
    let is_url = url.is_empty() || url.starts_with("http://") || url.starts_with("https://");
    demand(is_url, "api.public-url", "a URL such as \"https://dns.example.net\" is expected".to_owned());
    demand(!url.ends_with('/'), "api.public-url", "leave the final slash out".to_owned());
    demand(api.primary_port != 0, "api.primary-port", "must not be 0; DNS uses 53".to_owned());
    demand(
        tracing_filter(&log.filter),
        "log.filter",
        "a level (error, warn, info, debug, trace) or a list such as \"info,secondaryd::refresh=debug\" is expected"
            .to_owned(),
    );

    for (low_key, low, high_key, high) in [
        ("transfer.refresh-min", transfer.refresh_min, "refresh-max", transfer.refresh_max),
        ("transfer.retry-min", transfer.retry_min, "retry-max", transfer.retry_max),
        ("transfer.expire-min", transfer.expire_min, "expire-max", transfer.expire_max),
        ("transfer.connect-timeout", transfer.connect_timeout, "total-timeout", transfer.total_timeout),
        ("transfer.idle-timeout", transfer.idle_timeout, "total-timeout", transfer.total_timeout),
    ] {
        demand(low <= high, low_key, format!("must not be above {high_key} ({high:?})"));
    }
    for (key, value) in [
        ("transfer.refresh-min", transfer.refresh_min),
        ("transfer.retry-min", transfer.retry_min),
        ("transfer.retry-initial", transfer.retry_initial),
        ("transfer.expire-min", transfer.expire_min),
        ("transfer.connect-timeout", transfer.connect_timeout),
        ("transfer.idle-timeout", transfer.idle_timeout),
        ("transfer.lowest-rate-window", transfer.lowest_rate_window),
        ("dns.tcp-idle-timeout", dns.tcp_idle_timeout),
    ] {
        demand(value >= Duration::from_millis(100), key, "must be at least \"100ms\"".to_owned());
    }
    for (key, value) in [
        ("transfer.max-bytes", transfer.max_bytes),
        ("transfer.max-records", transfer.max_records),
        ("transfer.max-ixfr-sequences", u64::from(transfer.max_ixfr_sequences)),
        ("transfer.concurrency", transfer.concurrency as u64),
        ("transfer.concurrency-per-primary", transfer.concurrency_per_primary as u64),
        ("transfer.pipelining", transfer.pipelining as u64),
        ("dns.tcp-connections", dns.tcp_connections as u64),
        ("dns.tcp-connections-per-client", dns.tcp_connections_per_client as u64),
        ("dns.outbound-transfers", dns.outbound_transfers as u64),
        ("api.max-body", api.max_body),
    ] {
        demand(value > 0, key, "must be at least 1".to_owned());
    }
    for (key, message) in guard::mistakes(&tables.guard, &tables.hook) {
        demand(false, key, message);
    }
    demand(store.cache_size >= 1 << 20, "store.cache-size", "must be at least \"1MiB\"".to_owned());

    let Some(main) = tables.main.take() else { return };
    let dns = &mut tables.config.dns;
    for path in [&mut dns.tls_cert, &mut dns.tls_key, &mut dns.cookie_secret_file].into_iter().flatten() {
        *path = main.resolve(path);
    }
    match cookie_keys(dns) {
        Ok(keys) => dns.cookie_keys = keys,
        Err(mistake) => wrong.push(mistake),
    }
    let api = &mut tables.config.api;
    for path in [&mut api.tls_cert, &mut api.tls_key].into_iter().flatten() {
        *path = main.resolve(path);
    }
    let Config { dns, api, .. } = &tables.config;
    let mut ended = Vec::new();
    for (files, certificate_key, private_key_key) in [
        ((&dns.tls_cert, &dns.tls_key), "dns.tls-cert", "dns.tls-key"),
        ((&api.tls_cert, &api.tls_key), "api.tls-cert", "api.tls-key"),
    ] {
        let (Some(certificate), Some(key)) = files else { continue };
        match tls::certificates(certificate) {
            Ok(chain) => {
                wrong.extend(tls::private_key(key, &chain).err().map(|error| (private_key_key, error)));
                ended.extend(ended_certificate(certificate_key, certificate, &chain[0]));
            }
            Err(error) => wrong.push((certificate_key, error)),
        }
    }
    tables.config.warnings.extend(ended);
    for (key, message) in wrong {
        tables.fail(main.origin(key), key, message);
    }
}

/// A warning, and no mistake: to serve with a certificate that has ended is better than not to serve.
fn ended_certificate(key: &str, path: &Path, der: &[u8]) -> Option<String> {
    let end = tls::not_after(der).filter(|end| *end <= Timestamp::now())?;
    let (section, key) = key.split_once('.')?;
    Some(format!("[{section}] {key}: {} has ended at {end}: clients that check it go away", path.display()))
}

/// The secrets of cookies: those of the file, then those of the list.
fn cookie_keys(dns: &sections::Dns) -> Result<Vec<sections::CookieKey>, (&'static str, String)> {
    /// As many as [`crate::answer`] looks at: one in use, one before, one to come, and one for those who forget.
    const KEYS_MAX: usize = 4;
    let mut keys = Vec::new();
    if let Some(path) = &dns.cookie_secret_file {
        let in_file = |message| ("dns.cookie-secret-file", message);
        let text = reader::read_secret(path).map_err(in_file)?;
        let lines = text.expose().split(|octet| *octet == b'\n').map(<[u8]>::trim_ascii);
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with(b"#")) {
            keys.push(values::cookie_secret(line).map(sections::CookieKey).map_err(in_file)?);
        }
    }
    for secret in &dns.cookie_secrets {
        let key = values::cookie_secret(secret.expose()).map_err(|message| ("dns.cookie-secrets", message))?;
        keys.push(sections::CookieKey(key));
    }
    if keys.len() > KEYS_MAX {
        return Err(("dns.cookie-secrets", format!("at most {KEYS_MAX} secrets count at one time")));
    }
    Ok(keys)
}

/// Whether `filter` can be read by the log's filter. The same grammar, without the dependency: directives separated
/// by commas, each `level`, `target`, or `target=level` (spans in brackets are left to the filter itself).
fn tracing_filter(filter: &str) -> bool {
    let is_level = |text: &str| {
        ["off", "error", "warn", "info", "debug", "trace"].iter().any(|level| text.eq_ignore_ascii_case(level))
    };
    let is_target =
        |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_alphanumeric() || b"_:-[]{}\"".contains(&c));
    !filter.is_empty()
        && filter.split(',').all(|directive| match directive.trim().rsplit_once('=') {
            Some((target, level)) => is_target(target) && is_level(level),
            None => is_level(directive.trim()) || directive.contains("::") && is_target(directive.trim()),
        })
}

/// The keys that `[local]` names.
fn check_local(tables: &mut Tables, keys: &Keys) {
    let local = &tables.config.local;
    let rules = local.allow_transfer.iter().filter_map(|rule| Some(("local.allow-transfer", rule.key()?.clone())));
    let targets = local.notify.iter().filter_map(|target| Some(("local.notify", target.key.clone()?)));
    let wrong = rules.chain(targets).filter_map(|(key, name)| Some((key, find_key(keys, name).err()?)));
    for (key, message) in wrong.collect::<Vec<_>>() {
        let origin = tables.main.as_ref().map(|main| main.origin(key));
        if let Some(origin) = origin {
            tables.fail(origin, key, message);
        }
    }
}

fn resolve_credentials(tables: &mut Tables) {
    let mut tokens = HashSet::new();
    for written in std::mem::take(&mut tables.credentials) {
        let origin = written.origin();
        match credential(&written.source, written.table) {
            Ok(credential) if tokens.insert(credential.token) => tables.config.api.credentials.push(credential),
            Ok(_) => tables.fail(origin, "api.credential.token", "another credential has the same token"),
            Err((key, message)) => tables.fail(origin, &format!("api.credential.{key}"), message),
        }
    }
}

fn credential(source: &Source, table: CredentialTable) -> Result<Credential, (&'static str, String)> {
    let CredentialTable { tenant, user, role, token, token_file, token_sha256, api_key, expires } = table;
    if !sections::is_tenant(&tenant) {
        return Err(("tenant", format!("{}, not {tenant:?}", sections::TENANT)));
    }
    if user.is_empty() || user.contains(':') {
        return Err(("user", "must not be empty nor hold a colon, by which HTTP Basic separates".to_owned()));
    }
    let token = match (token, token_file, token_sha256) {
        (Some(token), None, None) if token.expose().is_empty() => {
            return Err(("token", "must not be empty".to_owned()));
        }
        (Some(token), None, None) => TokenHash::of(token.expose()),
        (None, Some(path), None) => {
            let token = reader::read_secret(&source.resolve(&path)).map_err(|e| ("token-file", e))?;
            TokenHash::of(token.expose())
        }
        (None, None, Some(hash)) => TokenHash(hash),
        _ => return Err(("token", "exactly one of token, token-file and token-sha256 is needed".to_owned())),
    };
    let api_key = api_key.map_or(token, |key| TokenHash::of(key.expose()));
    Ok(Credential { tenant, user, role, token, api_key, expires })
}

/// Keys by name; `None` for one that is declared but wrong, so that its users are not reported as well.
type Keys = BTreeMap<Name, Option<TsigKey>>;

fn resolve_keys(tables: &mut Tables) -> Keys {
    let mut keys = Keys::new();
    for written in std::mem::take(&mut tables.keys) {
        let origin = written.origin();
        let Written { table: (text, table), source, at } = written;
        let path = format!("tsig-key.{text}");
        let name = match values::key_name(&text) {
            Ok(name) => name,
            Err(message) => {
                tables.fail(origin, &path, message);
                continue;
            }
        };
        if keys.contains_key(&name) {
            tables.fail(origin, &path, "a key of this name was declared before");
            continue;
        }
        let key = table.and_then(|table| match tsig_key(&source, at, name.clone(), table) {
            Ok(key) => Some(key),
            Err((at, key, message)) => {
                tables.fail(source.origin(at), &format!("{path}.{key}"), message);
                None
            }
        });
        keys.insert(name, key);
    }
    keys
}

fn tsig_key(
    source: &Source,
    at: usize,
    name: Name,
    table: TsigKeyTable,
) -> Result<TsigKey, (usize, &'static str, String)> {
    if table.algorithm == TsigAlgorithm::HmacMd5 && !table.allow_md5 {
        let message = "hmac-md5 is broken (RFC 8945 §6); take hmac-sha256, or set allow-md5 = true beside it";
        return Err((at, "algorithm", message.to_owned()));
    }
    let (at, key, text) = match (table.secret, table.secret_file) {
        (Some(secret), None) => (secret.span().start, "secret", secret.into_inner()),
        (None, Some(path)) => {
            let at = path.span().start;
            let secret = reader::read_secret(&source.resolve(path.get_ref())).map_err(|e| (at, "secret-file", e))?;
            (at, "secret-file", secret)
        }
        _ => return Err((at, "secret", "exactly one of secret and secret-file is needed".to_owned())),
    };
    match base64::engine::general_purpose::STANDARD.decode(text.expose()) {
        Ok(octets) if octets.is_empty() => Err((at, key, "the secret is empty".to_owned())),
        Ok(octets) => Ok(TsigKey { name, algorithm: table.algorithm, secret: values::Secret::new(octets) }),
        Err(_) => Err((at, key, "the secret is not base64; take it as the key generator printed it".to_owned())),
    }
}

/// Looks a key up by the name written; the error says which names there are.
fn find_key(keys: &Keys, name: Name) -> Result<Name, String> {
    if keys.contains_key(&name) {
        return Ok(name);
    }
    let known = match keys.len() {
        0 => "none is declared".to_owned(),
        _ => format!("declared: {}", list(keys.keys().map(Name::without_dot))),
    };
    Err(format!("there is no [tsig-key.{}]; {known}", name.without_dot()))
}

/// Primaries by the name of their table; `None` for one that is declared but wrong.
type Primaries = BTreeMap<String, Option<Primary>>;

/// What is wrong with a table: offset, key, message.
type Wrong = (usize, &'static str, String);

fn resolve_primaries(tables: &mut Tables, keys: &Keys) -> Primaries {
    let mut primaries = Primaries::new();
    for written in std::mem::take(&mut tables.primaries) {
        let origin = written.origin();
        let Written { table: (name, table), source, at } = written;
        let path = format!("primary.{name}");
        if values::address(&name, DNS_PORT).is_ok() {
            tables.fail(origin, &path, "a primary's name must not look like an address");
            continue;
        }
        if primaries.contains_key(&name) {
            tables.fail(origin, &path, "a primary of this name was declared before");
            continue;
        }
        let primary = table.and_then(|table| match primary(keys, &table, &source, at) {
            Ok((primary, None)) => Some(primary),
            Ok((primary, Some(profile))) => {
                let profiles = &mut tables.config.tls;
                match profiles.get(&primary.address) {
                    Some(other) if **other != profile => {
                        let message = format!("{} has other tls-... keys in another table", primary.address);
                        tables.fail(source.origin(table.address.span().start), &format!("{path}.address"), message);
                        return None;
                    }
                    _ => profiles.insert(primary.address, Arc::new(profile)),
                };
                Some(primary)
            }
            Err((at, key, message)) => {
                tables.fail(source.origin(at), &format!("{path}.{key}"), message);
                None
            }
        });
        primaries.insert(name, primary);
    }
    primaries
}

fn primary(
    keys: &Keys,
    table: &PrimaryTable,
    source: &Source,
    at: usize,
) -> Result<(Primary, Option<TlsProfile>), Wrong> {
    let transport = table.transport;
    let port = if transport == Transport::Tls { DNS_TLS_PORT } else { DNS_PORT };
    let written = &table.address;
    let address = values::peer_address(written.get_ref(), port).map_err(|e| (written.span().start, "address", e))?;
    let tsig_key =
        table.tsig_key.as_ref().map(|key| named_key(keys, key).map_err(|(at, e)| (at, "tsig-key", e))).transpose()?;
    if let Some(source) = &table.source
        && source.get_ref().is_ipv4() != address.is_ipv4()
    {
        let message = format!("{} and address {} are of different families", source.get_ref(), address.ip());
        return Err((source.span().start, "source", message));
    }
    let profile = match transport {
        Transport::Tls => Some(tls_profile(table, address, source, at)?),
        Transport::Tcp => no_tls_keys(table, at).map(|()| None)?,
    };
    let from = table.source.as_ref().map(|source| *source.get_ref());
    Ok((Primary { address, tsig_key, source: from, transport }, profile))
}

/// A `tls-…` key without `transport = "tls"` would be ignored, and the operator would believe otherwise.
fn no_tls_keys(table: &PrimaryTable, at: usize) -> Result<(), Wrong> {
    let start = |path: &Spanned<std::path::PathBuf>| path.span().start;
    let places = [
        (table.tls_profile.map(|_| at), "tls-profile"),
        (table.tls_alpn.map(|_| at), "tls-alpn"),
        (table.tls_name.as_ref().map(|name| name.span().start), "tls-name"),
        (table.tls_ca.as_ref().map(start), "tls-ca"),
        (table.tls_pin.first().map(|pin| pin.span().start), "tls-pin"),
        (table.tls_cert.as_ref().map(start), "tls-cert"),
        (table.tls_key.as_ref().map(start), "tls-key"),
    ];
    match places.into_iter().find_map(|(at, key)| Some((at?, key))) {
        None => Ok(()),
        Some((at, key)) => Err((at, key, "has no effect without transport = \"tls\"".to_owned())),
    }
}

fn tls_profile(table: &PrimaryTable, address: SocketAddr, source: &Source, at: usize) -> Result<TlsProfile, Wrong> {
    let level = table.tls_profile.unwrap_or_default();
    if level == TlsLevel::Opportunistic {
        let checks = [("tls-ca", table.tls_ca.is_some()), ("tls-pin", !table.tls_pin.is_empty())];
        if let Some((key, _)) = checks.into_iter().find(|(_, given)| *given) {
            let message = "has no effect with tls-profile = \"opportunistic\", which checks nothing";
            return Err((at, key, message.to_owned()));
        }
    }
    let name = match &table.tls_name {
        None => address.ip().to_string(),
        Some(name) => {
            tls::server_name(name.get_ref()).map_err(|e| (name.span().start, "tls-name", e))?;
            name.get_ref().trim_end_matches('.').to_owned()
        }
    };
    let authorities = table
        .tls_ca
        .as_ref()
        .map(|path| tls::certificates(&source.resolve(path.get_ref())).map_err(|e| (path.span().start, "tls-ca", e)));
    let pins = table.tls_pin.iter().map(|pin| tls::pin(pin.get_ref()).map_err(|e| (pin.span().start, "tls-pin", e)));
    let pins = pins.collect::<Result<Vec<_>, _>>()?;
    let identity = match (&table.tls_cert, &table.tls_key) {
        (None, None) => None,
        (Some(cert), Some(key)) => {
            let chain = tls::certificates(&source.resolve(cert.get_ref()));
            let chain = chain.map_err(|e| (cert.span().start, "tls-cert", e))?;
            let secret = tls::private_key(&source.resolve(key.get_ref()), &chain);
            Some(TlsIdentity { chain, key: secret.map_err(|e| (key.span().start, "tls-key", e))? })
        }
        (Some(cert), None) => return Err((cert.span().start, "tls-cert", "needs tls-key beside it".to_owned())),
        (None, Some(key)) => return Err((key.span().start, "tls-key", "needs tls-cert beside it".to_owned())),
    };
    let authorities = authorities.transpose()?;
    let checks_name = pins.is_empty() || table.tls_name.is_some();
    let checks_authority = pins.is_empty() || authorities.is_some();
    let alpn = table.tls_alpn.unwrap_or(match level {
        TlsLevel::Strict => TlsAlpn::Required,
        TlsLevel::Opportunistic => TlsAlpn::Optional,
    });
    Ok(TlsProfile { level, name, checks_name, checks_authority, authorities, pins, identity, alpn })
}

fn named_key(keys: &Keys, written: &Spanned<String>) -> Result<Name, (usize, String)> {
    values::key_name(written.get_ref()).and_then(|name| find_key(keys, name)).map_err(|e| (written.span().start, e))
}

fn resolve_zones(tables: &mut Tables, keys: &Keys, primaries: &Primaries) {
    let mut tenants = HashMap::new();
    let default_tenant = tables.config.default_tenant().to_owned();
    let written = std::mem::take(&mut tables.zones);
    let guard = tables.guard;
    let tls: HashSet<SocketAddr> = tables.config.tls.keys().copied().collect();
    let mut seen: HashMap<Name, usize> = HashMap::with_capacity(written.len());
    let mut zones: Vec<Zone> = Vec::with_capacity(written.len());
    // The table of the last zone, if nothing was wrong with it.
    let mut last: Option<ZoneTable> = None;
    for zone in written {
        let Written { table, source, at } = zone;
        let mut wrong = Vec::new();
        let known = last.as_ref().zip(zones.last().map(|zone| &zone.primaries));
        let zone = Lookup { keys, primaries, tls: &tls, guard: &guard, wrong: &mut wrong }.zone(&table, known);
        let is_right = wrong.is_empty();
        for (at, key, message) in wrong {
            tables.fail(source.origin(at), &format!("secondary-zone.{key}"), message);
        }
        let Some(mut zone) = zone else { continue };
        zone.origin = source.origin(at);
        if let Some(&earlier) = seen.get(&zone.name) {
            let message = format!("zone {} was given before at {}", zone.name.without_dot(), zones[earlier].origin);
            tables.fail(source.origin(table.name.span().start), "secondary-zone.name", message);
            continue;
        }
        let tenant = table.tenant.as_ref().map_or(&default_tenant, Spanned::get_ref);
        if let Some(shared) = tenants.get(tenant.as_str()) {
            zone.tenant = Arc::clone(shared);
        } else {
            zone.tenant = Arc::from(tenant.as_str());
            tenants.insert(tenant.clone(), zone.tenant.clone());
        }
        if let Some(catalog) = &mut zone.catalog {
            let Catalog { members, groups, .. } = Arc::make_mut(catalog);
            for settings in groups.values_mut().chain([members]).filter(|settings| settings.tenant.is_empty()) {
                settings.tenant = zone.tenant.clone();
            }
        }
        // Zones of one list nearly always stand one behind the other.
        if let Some(before) = zones.last() {
            share(&mut zone.primaries, &before.primaries);
            share(&mut zone.allow_notify, &before.allow_notify);
            share(&mut zone.allow_transfer, &before.allow_transfer);
            share(&mut zone.allow_query, &before.allow_query);
            share(&mut zone.notify, &before.notify);
        }
        seen.insert(zone.name.clone(), zones.len());
        zones.push(zone);
        last = is_right.then_some(table);
    }
    tables.config.zones = zones;
    resolve_catalogs(tables, keys, primaries, &seen);
}

/// The catalogs that are made here.
fn resolve_catalogs(tables: &mut Tables, keys: &Keys, primaries: &Primaries, zones: &HashMap<Name, usize>) {
    let credentials = &tables.config.api.credentials;
    let is_one = credentials.iter().all(|credential| credential.tenant == credentials[0].tenant);
    let default_tenant = if is_one { tables.config.default_tenant().to_owned() } else { String::new() };
    let guard = tables.guard;
    let tls: HashSet<SocketAddr> = tables.config.tls.keys().copied().collect();
    for Written { table, source, at } in std::mem::take(&mut tables.catalogs) {
        let mut wrong = Vec::new();
        let catalog =
            catalogs::made(&mut Lookup { keys, primaries, tls: &tls, guard: &guard, wrong: &mut wrong }, &table);
        for (at, key, message) in wrong {
            tables.fail(source.origin(at), &format!("catalog-zone.{key}"), message);
        }
        let Some(mut catalog) = catalog else { continue };
        catalog.origin = source.origin(at);
        if catalog.tenant.is_empty() {
            catalog.tenant = Arc::from(default_tenant.as_str());
        }
        let known = &tables.config.catalogs;
        let earlier = zones.get(&catalog.name).map(|zone| &tables.config.zones[*zone].origin);
        let earlier = earlier.or(known.iter().find(|other| other.name == catalog.name).map(|other| &other.origin));
        if let Some(earlier) = earlier {
            let message = format!("zone {} was given before at {earlier}", catalog.name.without_dot());
            tables.fail(source.origin(table.name.span().start), "catalog-zone.name", message);
            continue;
        }
        tables.config.catalogs.push(catalog);
    }
}

/// Keeps one of two equal lists.
fn share<T: Clone + PartialEq>(own: &mut T, before: &T) {
    if own == before {
        *own = before.clone();
    }
}

/// What the names in a zone's table refer to, and what was wrong with it: offset, key, message.
pub(super) struct Lookup<'a> {
    keys: &'a Keys,
    primaries: &'a Primaries,
    /// The addresses of those that are asked over TLS.
    tls: &'a HashSet<SocketAddr>,
    /// What `[guard]` says.
    guard: &'a GuardTable,
    wrong: &'a mut Vec<(usize, &'static str, String)>,
}

impl Lookup<'_> {
    /// The zone without its origin and tenant; `None` without a usable name. `before`: another, and what its primaries are.
    fn zone(&mut self, table: &ZoneTable, before: Option<(&ZoneTable, &Arc<[Primary]>)>) -> Option<Zone> {
        let ZoneTable {
            name,
            primaries,
            tsig_key,
            allow_notify,
            allow_transfer,
            allow_query,
            notify,
            guard,
            hook,
            tenant,
            catalog,
        } = table;
        if let Some(tenant) = tenant
            && !sections::is_tenant(tenant.get_ref())
        {
            self.fail(tenant.span().start, "tenant", format!("{}, not {:?}", sections::TENANT, tenant.get_ref()));
        }
        let primaries = match before {
            Some((before, known)) if (&before.primaries, &before.tsig_key) == (primaries, tsig_key) => known.clone(),
            _ => {
                let tsig_key = tsig_key.as_ref().and_then(|written| self.key(written));
                self.zone_primaries(primaries, tsig_key).into()
            }
        };
        let allow_notify = self.rules("allow-notify", allow_notify);
        let allow_transfer = self.rules("allow-transfer", allow_transfer);
        let allow_query = allow_query.as_ref().map(|rules| self.rules("allow-query", rules).into());
        let notify = self.targets(notify);
        let policy = self.policy(guard.as_deref(), hook.as_deref());
        match values::domain_name(name.get_ref()) {
            Ok(name) => {
                let origin = super::Origin { file: Arc::from(Path::new("")), line: 0 };
                let mut zone = Zone {
                    name,
                    primaries,
                    allow_notify: allow_notify.into(),
                    allow_transfer: allow_transfer.into(),
                    allow_query,
                    notify: notify.into(),
                    policy,
                    catalog: None,
                    tenant: Arc::from(""),
                    origin,
                };
                let guard = self.guard;
                let followed = |table| catalogs::followed(self, table, &mut zone, guard);
                let catalog = catalog.as_deref().map(Spanned::get_ref).map(followed);
                zone.catalog = catalog.map(Arc::new);
                Some(zone)
            }
            Err(message) => {
                self.fail(name.span().start, "name", message);
                None
            }
        }
    }

    /// A key by its name.
    pub(super) fn key(&mut self, written: &Spanned<String>) -> Option<Name> {
        named_key(self.keys, written).map_err(|(at, e)| self.fail(at, "tsig-key", e)).ok()
    }

    pub(super) fn zone_primaries(
        &mut self,
        written: &Spanned<Vec<Spanned<String>>>,
        tsig_key: Option<Name>,
    ) -> Vec<Primary> {
        let mut found: Vec<Primary> = Vec::with_capacity(written.get_ref().len());
        if written.get_ref().is_empty() {
            let message = "at least one primary is needed, e.g. [\"192.0.2.1\"]";
            self.fail(written.span().start, "primaries", message.to_owned());
        }
        for entry in written.get_ref() {
            let (at, text) = (entry.span().start, entry.get_ref().as_str());
            let primary = match self.primaries.get(text) {
                Some(Some(primary)) => primary.clone(),
                // Declared, but wrong: said there.
                Some(None) => continue,
                None => match values::peer_address(text, DNS_PORT) {
                    Ok(address) if self.tls.contains(&address) => {
                        let message = format!("{text:?} is asked over TLS by a [primary.NAME]; write its NAME");
                        self.fail(at, "primaries", message);
                        continue;
                    }
                    Ok(address) => Primary { tsig_key: tsig_key.clone(), ..Primary::at(address) },
                    Err(message) => {
                        self.fail(at, "primaries", self.no_primary(text, message));
                        continue;
                    }
                },
            };
            if found.iter().any(|other| other.address == primary.address) {
                self.fail(at, "primaries", format!("{text:?}: {} stands twice", primary.address));
                continue;
            }
            found.push(primary);
        }
        found
    }

    fn no_primary(&self, text: &str, message: String) -> String {
        // What begins like an address was meant as one.
        if text.starts_with(|c: char| c.is_ascii_digit() || c == '[') || text.contains(':') {
            return message;
        }
        match self.primaries.len() {
            0 => format!("{message}; nor is there a [primary.{text}]"),
            _ => format!(
                "{message}; nor is there a [primary.{text}]; declared: {}",
                list(self.primaries.keys().cloned())
            ),
        }
    }

    pub(super) fn rules(&mut self, key: &'static str, written: &[Spanned<Rule>]) -> Vec<Rule> {
        for rule in written {
            if let Some(name) = rule.get_ref().key()
                && let Err(message) = find_key(self.keys, name.clone())
            {
                self.fail(rule.span().start, key, message);
            }
        }
        written.iter().map(|rule| rule.get_ref().clone()).collect()
    }

    pub(super) fn targets(&mut self, written: &[Spanned<NotifyTarget>]) -> Vec<NotifyTarget> {
        for target in written {
            if let Some(name) = &target.get_ref().key
                && let Err(message) = find_key(self.keys, name.clone())
            {
                self.fail(target.span().start, "notify", message);
            }
            let key = target.get_ref().key.as_ref().and_then(|name| self.keys.get(name)?.as_ref());
            if let Some(TsigKey { algorithm: old @ (TsigAlgorithm::HmacMd5 | TsigAlgorithm::HmacSha224), .. }) = key {
                let message = format!("NOTIFY cannot be signed with {}; take another key", old.as_str());
                self.fail(target.span().start, "notify", message);
            }
        }
        written.iter().map(|target| target.get_ref().clone()).collect()
    }

    pub(super) fn policy(
        &mut self,
        guard: Option<&Spanned<GuardTable>>,
        hook: Option<&Spanned<HookTable>>,
    ) -> Option<Arc<ZonePolicy>> {
        let at = guard.map(Spanned::span).or(hook.map(Spanned::span))?.start;
        let guard = guard.map(|guard| *guard.get_ref()).unwrap_or_default();
        let hook = hook.map(|hook| hook.get_ref().clone()).unwrap_or_default();
        for (key, message) in guard::mistakes(&guard, &hook) {
            self.fail(at, key, message);
        }
        ZonePolicy::of(guard, hook)
    }

    pub(super) fn fail(&mut self, at: usize, key: &'static str, message: String) {
        self.wrong.push((at, key, message));
    }
}

/// Names for a message; a long list is cut.
fn list(names: impl ExactSizeIterator<Item = String>) -> String {
    const SHOWN_MAX: usize = 8;
    let more = names.len().saturating_sub(SHOWN_MAX);
    let shown = names.take(SHOWN_MAX).collect::<Vec<_>>().join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

fn warn(config: &mut Config) {
    let mut warnings = std::mem::take(&mut config.warnings);
    if config.api.credentials.is_empty() {
        warnings.push("no [[api.credential]] is configured: only /healthz, /readyz and /metrics answer".to_owned());
    }
    for listen in config.api.listen.iter().filter(|listen| !listen.is_of_this_host()) {
        warnings.push(format!("[api] listen {listen}: tokens cross the network in clear text; use listen-tls"));
    }
    if config.api.cors_origins.iter().any(|origin| origin == "*") {
        warnings.push("[api] cors-origins = [\"*\"]: the page of any site may call the API from a browser".to_owned());
    }
    for key in config.tsig_keys.values() {
        let is_old =
            matches!(key.algorithm, TsigAlgorithm::HmacMd5 | TsigAlgorithm::HmacSha1 | TsigAlgorithm::HmacSha224);
        if is_old {
            let (name, word) = (key.name.without_dot(), key.algorithm.as_str());
            warnings
                .push(format!("[tsig-key.{name}]: {word} is out of date; use hmac-sha256 where the other side can"));
        }
        // Whoever has seen one signed message can try secrets at leisure. Half of what RFC 8945 §8 asks for cannot be tried,
        // and keys of 32 octets for hmac-sha512 are common.
        let (octets, wanted) = (key.secret.expose().len(), key.algorithm.mac_octets());
        if octets < wanted / 2 {
            let (name, word) = (key.name.without_dot(), key.algorithm.as_str());
            warnings.push(format!(
                "[tsig-key.{name}]: the secret has {octets} octets and can be guessed; {word} wants {wanted} random ones \
                 (RFC 8945 §8)"
            ));
        }
    }
    let of_zones = config.zones.iter().filter_map(|zone| zone.policy.as_ref()?.hook.command.as_ref());
    let programs = of_zones.chain([&config.hook.command]).filter_map(|command| command.first());
    for why in programs.collect::<BTreeSet<_>>().into_iter().filter_map(|program| guard::unusable(program)) {
        warnings.push(format!("[hook] command: {why}; new versions get no verdict (see on-failure)"));
    }
    for (address, _) in config.tls.iter().filter(|(_, profile)| profile.level == TlsLevel::Opportunistic) {
        warnings.push(format!(
            "primary {address}: tls-profile = \"opportunistic\" checks no certificate; who stands between can read and \
             change the zone (sign with a tsig-key, or take \"strict\")"
        ));
    }
    config.warnings = warnings;
}
