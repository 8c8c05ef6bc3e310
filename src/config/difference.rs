//! What a reload changes.

use std::collections::HashMap;

use super::{CatalogZone, Config, Zone};
use crate::dns::Name;

/// What stands between two configurations. Zones borrow from the new one, removed names from the old one.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Difference<'a> {
    /// Zones that are only in the new configuration.
    pub zones_added: Vec<&'a Zone>,
    /// Zones that are only in the old configuration.
    pub zones_removed: Vec<&'a Name>,
    /// Zones whose settings differ, as they are now.
    pub zones_changed: Vec<&'a Zone>,
    /// Names of TSIG keys that were added, removed or changed.
    pub keys_changed: Vec<&'a Name>,
    /// Keys that take effect at once, beside zones and TSIG keys, e.g. `api.credential` or `transfer`.
    pub settings_changed: Vec<&'static str>,
    /// Keys that differ but need a restart; until then the old value stays.
    pub needs_restart: Vec<&'static str>,
}

impl Difference<'_> {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        *self == Difference::default()
    }
}

/// What `new` changes against `old`. A zone that only moved to another line or file is not changed. Linear in zones.
pub fn difference<'a>(old: &'a Config, new: &'a Config) -> Difference<'a> {
    let before: HashMap<&Name, &Zone> = old.zones.iter().map(|zone| (&zone.name, zone)).collect();
    let after: HashMap<&Name, &Zone> = new.zones.iter().map(|zone| (&zone.name, zone)).collect();
    let mut difference = Difference {
        zones_removed: old.zones.iter().map(|zone| &zone.name).filter(|name| !after.contains_key(name)).collect(),
        keys_changed: keys_changed(old, new),
        ..Difference::default()
    };
    for zone in &new.zones {
        match before.get(&zone.name) {
            None => difference.zones_added.push(zone),
            Some(earlier) if !earlier.same_settings(zone) => difference.zones_changed.push(zone),
            Some(_) => {}
        }
    }
    let Difference { settings_changed, needs_restart, .. } = &mut difference;
    let changed = |list: &mut Vec<&'static str>, key, differs: bool| {
        if differs {
            list.push(key);
        }
    };
    changed(settings_changed, "durability", old.durability != new.durability);
    changed(settings_changed, "local", old.local != new.local);
    let same = |(old, new): (&CatalogZone, &CatalogZone)| old.same_settings(new);
    let same = old.catalogs.len() == new.catalogs.len() && old.catalogs.iter().zip(&new.catalogs).all(same);
    changed(settings_changed, "catalog-zone", !same);
    changed(settings_changed, "quota", old.quota != new.quota);
    changed(settings_changed, "transfer", old.transfer != new.transfer);
    changed(settings_changed, "guard", old.guard != new.guard);
    changed(settings_changed, "hook", old.hook != new.hook);
    changed(settings_changed, "primary", old.tls != new.tls);
    changed(settings_changed, "log.filter", old.log.filter != new.log.filter);
    changed(settings_changed, "api.credential", old.api.credentials != new.api.credentials);
    changed(settings_changed, "api", api_settings(old) != api_settings(new));
    changed(needs_restart, "state-dir", old.state_dir != new.state_dir);
    changed(needs_restart, "dns.listen", old.dns.listen != new.dns.listen);
    changed(needs_restart, "dns.listen-tls", old.dns.listen_tls != new.dns.listen_tls);
    changed(needs_restart, "dns.allow-proxy", old.dns.allow_proxy != new.dns.allow_proxy);
    let rate_limit = |config: &Config| {
        let dns = &config.dns;
        (dns.rate_limit, dns.rate_limit_slip, dns.rate_limit_ipv4_prefix, dns.rate_limit_ipv6_prefix)
    };
    changed(needs_restart, "dns.rate-limit", rate_limit(old) != rate_limit(new));
    let told = |config: &Config| {
        let dns = config.dns.clone();
        (dns.cookies, dns.cookie_keys, dns.require_cookie, dns.nsid, dns.version, dns.identity)
    };
    changed(settings_changed, "dns", told(old) != told(new));
    changed(needs_restart, "dns.workers", old.dns.workers != new.dns.workers);
    changed(needs_restart, "dns.edns-size", old.dns.edns_size != new.dns.edns_size);
    let iterations = |config: &Config| config.dns.nsec3_iterations_max;
    changed(needs_restart, "dns.nsec3-iterations-max", iterations(old) != iterations(new));
    changed(needs_restart, "dns.tcp-idle-timeout", old.dns.tcp_idle_timeout != new.dns.tcp_idle_timeout);
    changed(needs_restart, "dns.tcp-connections", old.dns.tcp_connections != new.dns.tcp_connections);
    let per_client = |config: &Config| config.dns.tcp_connections_per_client;
    changed(needs_restart, "dns.tcp-connections-per-client", per_client(old) != per_client(new));
    changed(needs_restart, "dns.outbound-transfers", old.dns.outbound_transfers != new.dns.outbound_transfers);
    changed(needs_restart, "api.listen", old.api.listen != new.api.listen);
    changed(needs_restart, "api.listen-tls", old.api.listen_tls != new.api.listen_tls);
    changed(needs_restart, "api.socket-mode", old.api.socket_mode != new.api.socket_mode);
    changed(needs_restart, "store.cache-size", old.store.cache_size != new.store.cache_size);
    changed(needs_restart, "store.history-bytes", old.store.history_bytes != new.store.history_bytes);
    changed(needs_restart, "store.history-versions", old.store.history_versions != new.store.history_versions);
    changed(needs_restart, "log.format", old.log.format != new.log.format);
    difference
}

fn keys_changed<'a>(old: &'a Config, new: &'a Config) -> Vec<&'a Name> {
    let gone = old.tsig_keys.keys().filter(|name| !new.tsig_keys.contains_key(name));
    let other = new.tsig_keys.iter().filter(|(name, key)| old.tsig_keys.get(name) != Some(key)).map(|(name, _)| name);
    gone.chain(other).collect()
}

/// `[api]` without what has an entry of its own.
fn api_settings(config: &Config) -> super::Api {
    super::Api {
        listen: Vec::new(),
        listen_tls: Vec::new(),
        socket_mode: 0,
        credentials: Vec::new(),
        ..config.api.clone()
    }
}
