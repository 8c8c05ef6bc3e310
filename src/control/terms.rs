//! The configuration as others understand it: the refresh machine, exchanges, limits of transfers, explanations.
//!
//! In: a [`Config`]. Out: plain values. Asked for at the start and at each reload.

use crate::config::{Config, PrimaryChoice};
use crate::net::upstream::Bounds;
use crate::refresh;
use crate::zone::Limits;

use super::explain::Surroundings;

/// What explanations need of the configuration.
pub(super) fn surroundings(config: &Config) -> Surroundings {
    let keys = config.tsig_keys.values().map(|key| (key.name.clone(), key.algorithm.as_str().to_owned()));
    Surroundings { keys: keys.collect(), listen: config.dns.listen.clone() }
}

pub(super) fn settings(config: &Config) -> refresh::Settings {
    let t = &config.transfer;
    refresh::Settings {
        retry_initial: t.retry_initial,
        refresh_min: t.refresh_min,
        refresh_max: t.refresh_max,
        retry_min: t.retry_min,
        retry_max: t.retry_max,
        expire_min: t.expire_min,
        expire_max: t.expire_max,
        ordered: t.primary_choice == PrimaryChoice::Ordered,
        pin_tolerance: t.pin_tolerance,
        detect_resigned: t.detect_resigned,
        ..refresh::Settings::default()
    }
}

pub(super) fn bounds(config: &Config) -> Bounds {
    let t = &config.transfer;
    Bounds {
        connect: t.connect_timeout,
        idle: t.idle_timeout,
        total: t.total_timeout,
        rate_min: t.lowest_rate,
        rate_window: t.lowest_rate_window,
        octets_max: t.max_bytes,
        pipelining: t.pipelining,
        queries_per_second: t.queries_per_second,
        ixfr_over_udp: t.ixfr_over_udp,
    }
}

pub(super) fn limits(config: &Config) -> Limits {
    let t = &config.transfer;
    Limits { octets_max: t.max_bytes, records_max: t.max_records }
}
