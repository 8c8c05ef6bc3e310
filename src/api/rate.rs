//! `[api] rate-limit`: how many requests a second one caller may make, and one address that shows no valid credential.
//!
//! In: who asks, the limit, the time. Out: leave, or how many seconds to wait (429 with `Retry-After`). A leaky bucket for
//! each key that holds one second's worth, kept as the moment at which it will be empty again (the generic cell rate
//! algorithm of ITU-T I.371). Off by default: clients of the IONOS dialect take a 429 for an outage.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::auth::Caller;
use super::fault::{ErrorCode, Fault};
use super::{Api, origin};

/// Keys that are remembered. When as many are busy at once all begin anew, which grants each one second's worth more.
const KEYS_MAX: usize = 16 * 1024;
/// What a bucket holds: the requests of this time may come at once.
const BURST: Duration = Duration::from_secs(1);

/// Whose requests are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// Tenant and user.
    Caller(Arc<str>, Arc<str>),
    /// An address; of IPv6 the /64, which is one customer's.
    Address(IpAddr),
    /// A process of this host without a credential, by a UNIX socket.
    Host,
}

impl Key {
    /// Of requests with a credential.
    pub fn of(caller: &Caller) -> Key {
        Key::Caller(caller.tenant.clone(), caller.user.clone())
    }

    /// Of requests without.
    pub fn at(address: Option<IpAddr>) -> Key {
        match address.map(|address| address.to_canonical()) {
            None => Key::Host,
            Some(IpAddr::V6(v6)) => {
                let network = u128::from(v6) >> 64 << 64;
                Key::Address(IpAddr::V6(Ipv6Addr::from(network)))
            }
            Some(v4) => Key::Address(v4),
        }
    }
}

/// How a caller stands to the limit, for `/limits` of the Rackspace dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Requests a second.
    pub per_second: u32,
    /// Requests that may come at once now.
    pub remaining: u32,
    /// When there is one more, if none is left.
    pub wait: Duration,
}

/// The buckets.
#[derive(Debug, Default)]
pub struct Rate {
    /// When each is empty again.
    empty_at: Mutex<HashMap<Key, Instant>>,
}

const POISONED: &str = "no holder of the lock can panic";

impl Rate {
    /// Takes one request of `key`, or says how long to wait for it. `per_second` is not 0.
    pub fn take(&self, key: Key, per_second: u32, now: Instant) -> Result<(), Duration> {
        let mut buckets = self.empty_at.lock().expect(POISONED);
        if buckets.len() >= KEYS_MAX && !buckets.contains_key(&key) {
            buckets.retain(|_, empty_at| *empty_at > now);
            if buckets.len() >= KEYS_MAX {
                buckets.clear();
            }
        }
        let empty_at = buckets.entry(key).or_insert(now);
        let full_at = (*empty_at).max(now) + BURST / per_second;
        let over = full_at.saturating_duration_since(now + BURST);
        if over.is_zero() {
            *empty_at = full_at;
            return Ok(());
        }
        Err(over)
    }

    /// How `key` stands.
    pub fn allowance(&self, key: &Key, per_second: u32, now: Instant) -> Allowance {
        let empty_at = self.empty_at.lock().expect(POISONED).get(key).copied().unwrap_or(now);
        let one = BURST / per_second.max(1);
        let used = empty_at.saturating_duration_since(now);
        let free = BURST.saturating_sub(used);
        let remaining = (free.as_nanos() / one.as_nanos().max(1)) as u32;
        Allowance {
            per_second,
            remaining,
            wait: if remaining == 0 { one.saturating_sub(free) } else { Duration::ZERO },
        }
    }
}

impl Api {
    /// Counts a request; 429 if there were too many.
    pub fn count(&self, key: Key) -> Result<(), Fault> {
        let per_second = self.settings().rate_limit;
        if per_second == 0 {
            return Ok(());
        }
        self.rate().take(key, per_second, Instant::now()).map_err(|wait| {
            let secs = wait.as_secs() as u32 + 1;
            let text = format!("At most {per_second} requests a second are taken ([api] rate-limit); wait {secs} s.");
            Fault::new(ErrorCode::TooManyRequests, text).retry_after(secs)
        })
    }

    /// How a caller stands to the limit; `None`: there is no limit.
    pub fn allowance(&self, caller: &Caller) -> Option<Allowance> {
        let per_second = self.settings().rate_limit;
        (per_second > 0).then(|| self.rate().allowance(&Key::of(caller), per_second, Instant::now()))
    }
}

/// Layer around what needs no credential because it gives one.
pub async fn by_address(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let address = origin::client(&api.settings(), request.headers(), origin::ends(&request));
    match api.count(Key::at(address)) {
        Ok(()) => next.run(request).await,
        Err(fault) => fault.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> Key {
        Key::at(Some(IpAddr::from([192, 0, 2, n])))
    }

    #[test]
    fn a_second_s_worth_may_come_at_once_and_then_one_at_a_time() {
        let (rate, now) = (Rate::default(), Instant::now());
        for _ in 0..4 {
            assert_eq!(rate.take(key(1), 4, now), Ok(()));
        }
        assert_eq!(rate.take(key(1), 4, now), Err(Duration::from_millis(250)));
        assert_eq!(rate.allowance(&key(1), 4, now).remaining, 0);
        assert_eq!(rate.allowance(&key(1), 4, now).wait, Duration::from_millis(250));
        assert_eq!(rate.take(key(2), 4, now), Ok(()), "another one is not held up");
        let later = now + Duration::from_millis(250);
        assert_eq!(rate.take(key(1), 4, later), Ok(()));
        assert!(rate.take(key(1), 4, later).is_err());
        let much_later = now + Duration::from_secs(60);
        assert_eq!(rate.allowance(&key(1), 4, much_later).remaining, 4);
    }

    #[test]
    fn the_table_has_a_bound() {
        let (rate, now) = (Rate::default(), Instant::now());
        for n in 0..=KEYS_MAX as u32 {
            assert_eq!(rate.take(Key::at(Some(IpAddr::from(n.to_be_bytes()))), 1, now), Ok(()));
        }
        assert!(rate.empty_at.lock().expect("free").len() <= KEYS_MAX);
    }

    #[test]
    fn one_customer_has_one_ipv6_network() {
        let at = |text: &str| Key::at(Some(text.parse().expect("an address")));
        assert_eq!(at("2001:db8::1"), at("2001:db8::ffff:1"));
        assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));
        assert_eq!(at("::ffff:192.0.2.1"), at("192.0.2.1"));
    }
}
