//! How the file descriptors of the process are shared out.
//!
//! Strangers can have as many TCP connections as they are let have. What they take must not be missing where a zone is
//! fetched, stored or looked at: the bounds of connections give way, everything else has its reserve.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::api::serve::CONNECTIONS_MAX as API_CONNECTIONS_MAX;
use crate::config::Config;
use crate::control::PROBES;
use crate::net::workers;

/// For the store, the log, the runtime, NOTIFYs to downstreams and external checks.
const RESERVE: usize = 128;
/// Where the reserve is more than there is, connections get this part of it all the same.
const LEAST_PART: usize = 4;
/// The API's part of what is left for connections, where that is not enough.
const API_PART: usize = 4;

/// Lets the process have as many descriptors as the hard limit allows, and says how many those are. The soft limit is often 1024
/// for the sake of programs that use select(2), which this one does not.
pub(super) fn take_all() -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // If the system will not, the old limit is what there is to share out.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    available()
}

/// How many the process may have.
pub(super) fn available() -> usize {
    getrlimit(Resource::Nofile).current.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// How many connections there may be, so that the rest is enough for everything else.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shares {
    /// TCP and TLS connections of DNS.
    pub(super) dns: usize,
    /// Connections of the API.
    pub(super) api: usize,
    /// What would be enough, if there is less.
    lacking: Option<Lacking>,
}

#[derive(Debug, PartialEq, Eq)]
struct Lacking {
    available: usize,
    wanted: usize,
    configured: usize,
}

impl Shares {
    /// Of so many descriptors.
    pub(super) fn of(config: &Config, available: usize) -> Shares {
        let (dns, api) = (config.dns.tcp_connections, API_CONNECTIONS_MAX);
        let reserve = reserve(config);
        let wanted = reserve.saturating_add(dns).saturating_add(api);
        if wanted <= available {
            return Shares { dns, api, lacking: None };
        }
        let left = available.saturating_sub(reserve).max(available / LEAST_PART);
        let api = api.min((left / API_PART).max(left.saturating_sub(dns))).max(1);
        let lacking = Some(Lacking { available, wanted, configured: dns });
        Shares { dns: dns.min(left.saturating_sub(api)).max(1), api, lacking }
    }

    /// What an operator has to know.
    pub(super) fn warning(&self) -> Option<String> {
        let Lacking { available, wanted, configured } = self.lacking.as_ref()?;
        Some(format!(
            "the limit of {available} file descriptors is less than the {wanted} that may be needed at one time: at most {} \
             TCP connections of DNS are open at once ([dns] tcp-connections = {configured}) and {} of the API, so that \
             transfers and the store have theirs; raise LimitNOFILE= of the unit (ulimit -Hn), or lower tcp-connections",
            self.dns, self.api
        ))
    }
}

/// What everything but connections of clients may take: each transfer and each SOA query holds a socket.
fn reserve(config: &Config) -> usize {
    let listening = config.dns.listen.len() * (workers(config.dns.workers) + 1)
        + config.dns.listen_tls.len()
        + config.api.listen.len()
        + config.api.listen_tls.len();
    RESERVE.saturating_add(listening).saturating_add(config.transfer.concurrency).saturating_add(PROBES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enough_descriptors_leave_the_bounds_as_they_are_configured() {
        let config = Config::default();
        let shares = Shares::of(&config, 65_536);
        assert_eq!((shares.dns, shares.api), (config.dns.tcp_connections, API_CONNECTIONS_MAX));
        assert_eq!(shares.warning(), None);
    }

    #[test]
    fn connections_give_way_to_transfers_and_the_store() {
        let config = Config::default();
        for available in [64, 256, 1024, 1500, 2048, 2500] {
            // given fewer descriptors than may be needed
            let shares = Shares::of(&config, available);
            // then connections leave the reserve, or three quarters where there is less than that
            let left = available.saturating_sub(reserve(&config)).max(available / LEAST_PART);
            assert!(shares.dns + shares.api <= left, "{available}: {shares:?}");
            // and there are some of both kinds, and a warning that says how many
            assert!(shares.dns >= left / 2 && shares.api >= left / API_PART, "{available}: {shares:?}");
            let warning = shares.warning().expect("a warning");
            assert!(warning.contains(&format!("limit of {available} file")), "{warning}");
            assert!(warning.contains(&format!("at most {} TCP", shares.dns)), "{warning}");
        }
    }

    #[test]
    fn few_configured_connections_leave_the_rest_to_the_api() {
        let mut config = Config::default();
        config.dns.tcp_connections = 10;
        let shares = Shares::of(&config, reserve(&config) + 500);
        assert_eq!((shares.dns, shares.api), (10, 490));
    }
}
