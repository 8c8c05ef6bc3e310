//! What a reload changes: at once, or after a restart.
//!
//! In: the configuration that runs, and one that was read again. [`Config::keep_until_restart`] gives the second the values of
//! keys that are read at the start only, so that it says how the daemon runs; [`difference()`] says what is left to be done.

use std::collections::HashMap;

use super::{Api, CatalogZone, Config, Zone};
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
}

impl Difference<'_> {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        *self == Difference::default()
    }
}

/// Keys that are read at the start only, and where they stand in a [`Config`]: the one list of them.
macro_rules! read_at_the_start {
    ($($key:literal: $section:ident $(. $field:ident)?,)*) => {
        impl Config {
            /// Keeps of `running` what takes effect after a restart only, and names the keys that differ there. What
            /// comes out is how the daemon runs with this configuration, and what the next one is to be compared with: so a key
            /// is named at each reload until there is a restart, or the old value again.
            pub fn keep_until_restart(&mut self, running: &Config) -> Vec<&'static str> {
                let mut keys = Vec::new();
                $(
                    if self.$section$(.$field)? != running.$section$(.$field)? {
                        self.$section$(.$field)?.clone_from(&running.$section$(.$field)?);
                        keys.push($key);
                    }
                )*
                keys
            }
        }
    };
}

read_at_the_start! {
    "state-dir": state_dir,
    "dns.listen": dns.listen,
    "dns.listen-tls": dns.listen_tls,
    "dns.allow-proxy": dns.allow_proxy,
    "dns.workers": dns.workers,
    "dns.edns-size": dns.edns_size,
    "dns.nsec3-iterations-max": dns.nsec3_iterations_max,
    "dns.tcp-idle-timeout": dns.tcp_idle_timeout,
    "dns.tcp-connections": dns.tcp_connections,
    "dns.tcp-connections-per-client": dns.tcp_connections_per_client,
    "dns.outbound-transfers": dns.outbound_transfers,
    "dns.rate-limit": dns.rate_limit,
    "dns.rate-limit-slip": dns.rate_limit_slip,
    "dns.rate-limit-ipv4-prefix": dns.rate_limit_ipv4_prefix,
    "dns.rate-limit-ipv6-prefix": dns.rate_limit_ipv6_prefix,
    "api.listen": api.listen,
    "api.socket-mode": api.socket_mode,
    "api.listen-tls": api.listen_tls,
    "store.cache-size": store.cache_size,
    "store.history-bytes": store.history_bytes,
    "store.history-versions": store.history_versions,
    "log.format": log.format,
}

/// What `new` changes against `old` at once, where both have the same values in what is [read at the start
/// only](Config::keep_until_restart). A zone that only moved to another line or file is not changed. Linear in zones.
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
    // Every section is named here, and compared as a whole: a new key cannot be forgotten.
    let Config {
        state_dir,
        durability,
        include: _, // where things stand, and no setting of theirs
        dns,
        api,
        local,
        quota,
        transfer,
        guard,
        hook,
        store,
        log,
        tsig_keys: _, // above, by name
        tls,
        zones: _, // above
        catalogs,
        warnings: _,
    } = new;
    let same = |(old, new): (&CatalogZone, &CatalogZone)| old.same_settings(new);
    let same_catalogs = old.catalogs.len() == catalogs.len() && old.catalogs.iter().zip(catalogs).all(same);
    let same_api = old.api == Api { credentials: old.api.credentials.clone(), ..api.clone() };
    let differing = [
        ("state-dir", old.state_dir != *state_dir),
        ("durability", old.durability != *durability),
        ("dns", old.dns != *dns),
        ("api", !same_api),
        ("api.credential", old.api.credentials != api.credentials),
        ("local", old.local != *local),
        ("catalog-zone", !same_catalogs),
        ("quota", old.quota != *quota),
        ("transfer", old.transfer != *transfer),
        ("guard", old.guard != *guard),
        ("hook", old.hook != *hook),
        ("primary", old.tls != *tls),
        ("store", old.store != *store),
        ("log", old.log != *log),
    ];
    difference.settings_changed = differing.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect();
    difference
}

fn keys_changed<'a>(old: &'a Config, new: &'a Config) -> Vec<&'a Name> {
    let gone = old.tsig_keys.keys().filter(|name| !new.tsig_keys.contains_key(name));
    let other = new.tsig_keys.iter().filter(|(name, key)| old.tsig_keys.get(name) != Some(key)).map(|(name, _)| name);
    gone.chain(other).collect()
}
