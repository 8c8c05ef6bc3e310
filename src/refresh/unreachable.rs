//! Which addresses do not answer at all, so that a dead primary costs one zone one timeout and not ten thousand; and which
//! have just answered.
//!
//! In: how exchanges ended at an address. Out: whether the next may start. Owned by `control`, shared by all zones,
//! asked at the moment an exchange would *start* (not when it is queued: the first failure then stops all that wait).
//! An operator's commands do not ask it. When an entry ends, one exchange may try while the others go on waiting for
//! its outcome. Has no clock.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::timers::doubled;
use crate::reason::Code;
use crate::time::Timestamp;

/// How long an address is left alone after the first failure; doubles.
const PAUSE: Duration = Duration::from_secs(10);
/// Where the doubling ends.
const PAUSE_MAX: Duration = Duration::from_secs(600);
/// How long the others wait for the one that tries; after that the next may try.
const TRIAL: Duration = Duration::from_secs(10);
/// An address that gave what it was asked for counts as answering for so long.
const ANSWERS: Duration = Duration::from_secs(60);
/// Most addresses remembered. Beyond, those that end soonest are forgotten: that costs a timeout, nothing else.
const ADDRESSES_MAX: usize = 10_000;

/// What an exchange was for. TCP may be closed where UDP answers, so success with one says nothing about the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// A SOA query.
    Probe,
    /// AXFR or IXFR.
    Transfer,
}

/// Why and how long an address is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// How the exchange ended that showed it.
    pub code: Code,
    /// Since when it does not answer.
    pub since: Timestamp,
    /// When the next exchange may start.
    pub until: Timestamp,
}

#[derive(Debug)]
struct Entry {
    blocked: Blocked,
    exchange: Exchange,
    doublings: u8,
    /// The pause is over and one exchange is trying.
    trial: bool,
}

/// The addresses that do not answer.
#[derive(Debug, Default)]
pub struct Cache {
    entries: HashMap<SocketAddr, Entry>,
    /// When each gave what it was asked for last. Forgotten all together when there are too many.
    answered: HashMap<SocketAddr, Timestamp>,
}

impl Cache {
    /// An empty cache.
    pub fn new() -> Cache {
        Cache::default()
    }

    /// Whether an exchange with `address` may start. If its pause is just over, the caller is the one that tries.
    pub fn check(&mut self, address: SocketAddr, now: Timestamp) -> Result<(), Blocked> {
        match self.entries.get_mut(&address) {
            None => Ok(()),
            Some(entry) if now < entry.blocked.until => Err(entry.blocked),
            Some(entry) => {
                entry.blocked.until = now + TRIAL;
                entry.trial = true;
                Ok(())
            }
        }
    }

    /// Notes how an exchange ended. Codes that show a living server clear the entry, also when they are errors.
    pub fn ended(&mut self, address: SocketAddr, exchange: Exchange, outcome: Result<(), Code>, now: Timestamp) {
        match outcome {
            Ok(()) if self.answered.len() >= ADDRESSES_MAX => self.answered.clear(),
            Ok(()) => drop(self.answered.insert(address, now)),
            Err(_) => drop(self.answered.remove(&address)),
        }
        match outcome {
            Err(code) if is_unreachable(code) => self.failed(address, exchange, code, now),
            // Says nothing about the primary.
            Err(Code::Cancelled | Code::StorageFailed | Code::LocalSocket) => {}
            _ => self.reached(address, exchange),
        }
    }

    /// Whether the address has just given what it was asked for, nothing has failed there since, and it is not one that
    /// answers over UDP only.
    pub fn answers(&self, address: SocketAddr, now: Timestamp) -> bool {
        !self.entries.contains_key(&address) && self.answered.get(&address).is_some_and(|at| now.since(*at) < ANSWERS)
    }

    /// A NOTIFY came from the primary that is asked at `address` (not the port it was sent from): it lives, so the next
    /// exchange with it may try at once. The pause goes on growing if that fails, so a forged NOTIFY costs one timeout.
    pub fn heard_from(&mut self, address: SocketAddr, now: Timestamp) {
        if let Some(entry) = self.entries.get_mut(&address) {
            entry.blocked.until = entry.blocked.until.min(now);
        }
    }

    /// How many addresses are remembered.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether every address is thought to answer.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn reached(&mut self, address: SocketAddr, exchange: Exchange) {
        // A closed TCP port is not opened by an answer over UDP; but when the pause is over, the next transfer may try.
        let clears = |entry: &Entry| exchange == Exchange::Transfer || entry.exchange == Exchange::Probe || entry.trial;
        if self.entries.get(&address).is_some_and(clears) {
            self.entries.remove(&address);
        }
    }

    fn failed(&mut self, address: SocketAddr, exchange: Exchange, code: Code, now: Timestamp) {
        if let Some(entry) = self.entries.get_mut(&address) {
            // Exchanges that were under way together fail together: that is one failure, not many.
            if entry.trial {
                entry.doublings = (entry.doublings + 1).min(31);
            } else if now < entry.blocked.until {
                return;
            }
            entry.trial = false;
            entry.exchange = exchange;
            entry.blocked.code = code;
            entry.blocked.until = now + pause(entry.doublings);
            return;
        }
        if self.entries.len() >= ADDRESSES_MAX {
            self.make_room(now);
        }
        let blocked = Blocked { code, since: now, until: now + pause(0) };
        self.entries.insert(address, Entry { blocked, exchange, doublings: 0, trial: false });
    }

    fn make_room(&mut self, now: Timestamp) {
        self.entries.retain(|_, entry| entry.blocked.until > now);
        if self.entries.len() >= ADDRESSES_MAX
            && let Some(soonest) = self.entries.iter().min_by_key(|(_, e)| e.blocked.until).map(|(a, _)| *a)
        {
            self.entries.remove(&soonest);
        }
    }
}

fn pause(doublings: u8) -> Duration {
    doubled(PAUSE, u32::from(doublings), PAUSE_MAX)
}

/// Whether `code` means that no connection stood: the next primary is asked, and a failed IXFR was none.
pub fn is_unreachable(code: Code) -> bool {
    matches!(code, Code::ConnectRefused | Code::ConnectTimeout | Code::NetUnreachable)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    fn dead(cache: &mut Cache, now: Timestamp) {
        cache.ended(address(53), Exchange::Probe, Err(Code::ConnectTimeout), now);
    }

    #[test]
    fn an_unreachable_address_is_left_alone_for_ten_seconds_doubling_to_ten_minutes() {
        let mut cache = Cache::new();
        let mut now = NOW;
        let mut pauses = Vec::new();
        for _ in 0..9 {
            assert_eq!(cache.check(address(53), now), Ok(()));
            dead(&mut cache, now);
            let blocked = cache.check(address(53), now).expect_err("blocked");
            assert_eq!((blocked.code, blocked.since), (Code::ConnectTimeout, NOW));
            pauses.push(blocked.until.since(now).as_secs());
            now = blocked.until;
        }
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 600, 600, 600]);
    }

    #[test]
    fn when_the_pause_is_over_one_zone_tries_and_the_others_wait() {
        let mut cache = Cache::new();
        dead(&mut cache, NOW);
        let later = NOW + secs(10);
        let admitted = (0..10_000).filter(|_| cache.check(address(53), later).is_ok()).count();
        assert_eq!(admitted, 1);
    }

    #[test]
    fn exchanges_that_fail_together_are_one_failure() {
        let mut cache = Cache::new();
        (0..1000).for_each(|_| dead(&mut cache, NOW));
        assert_eq!(cache.check(address(53), NOW).expect_err("blocked").until, NOW + secs(10));
    }

    #[test]
    fn a_trial_whose_zone_vanished_does_not_block_for_ever() {
        let mut cache = Cache::new();
        dead(&mut cache, NOW);
        assert!(cache.check(address(53), NOW + secs(10)).is_ok());
        assert!(cache.check(address(53), NOW + secs(20)).is_ok());
    }

    #[test]
    fn any_answer_of_a_server_clears_the_entry_also_an_error() {
        let mut cache = Cache::new();
        dead(&mut cache, NOW);
        cache.ended(address(53), Exchange::Probe, Err(Code::RcodeRefused), NOW);
        assert!(cache.is_empty());
    }

    #[test]
    fn what_our_own_host_lacks_says_nothing_about_the_address() {
        // given an address that does not answer, and another that does
        let mut cache = Cache::new();
        dead(&mut cache, NOW);
        // when this host has no socket to ask either with
        for port in [53, 5353] {
            cache.ended(address(port), Exchange::Transfer, Err(Code::LocalSocket), NOW);
        }
        // then the one is still left alone, and the other is not
        assert!(cache.check(address(53), NOW).is_err() && cache.check(address(5353), NOW).is_ok());
    }

    #[test]
    fn an_answer_over_udp_does_not_open_a_closed_tcp_port() {
        let mut cache = Cache::new();
        cache.ended(address(53), Exchange::Transfer, Err(Code::ConnectRefused), NOW);
        cache.ended(address(53), Exchange::Probe, Ok(()), NOW);
        assert!(cache.check(address(53), NOW).is_err());
        cache.ended(address(53), Exchange::Transfer, Ok(()), NOW);
        assert!(cache.check(address(53), NOW).is_ok());
    }

    #[test]
    fn a_trial_over_udp_lets_everybody_try_again() {
        let mut cache = Cache::new();
        cache.ended(address(53), Exchange::Transfer, Err(Code::ConnectRefused), NOW);
        assert!(cache.check(address(53), NOW + secs(10)).is_ok());
        cache.ended(address(53), Exchange::Probe, Ok(()), NOW + secs(10));
        assert!(cache.is_empty());
    }

    #[test]
    fn a_notify_lets_one_exchange_try_at_once() {
        let mut cache = Cache::new();
        dead(&mut cache, NOW);
        cache.heard_from(address(53), NOW + secs(1));
        assert!(cache.check(address(53), NOW + secs(1)).is_ok());
        assert!(cache.check(address(53), NOW + secs(1)).is_err());
    }

    #[test]
    fn an_address_answers_for_a_minute_or_until_something_fails_there() {
        let mut cache = Cache::new();
        assert!(!cache.answers(address(53), NOW));
        cache.ended(address(53), Exchange::Probe, Ok(()), NOW);
        assert!(cache.answers(address(53), NOW + secs(59)) && !cache.answers(address(5353), NOW));
        assert!(!cache.answers(address(53), NOW + secs(60)));
        cache.ended(address(53), Exchange::Transfer, Err(Code::RcodeRefused), NOW);
        assert!(!cache.answers(address(53), NOW));
        cache.ended(address(53), Exchange::Transfer, Err(Code::ConnectRefused), NOW);
        cache.ended(address(53), Exchange::Probe, Ok(()), NOW);
        assert!(!cache.answers(address(53), NOW), "its TCP port is closed");
    }

    #[test]
    fn addresses_are_told_apart_by_port() {
        let mut cache = Cache::new();
        dead(&mut cache, NOW);
        assert!(cache.check(address(5353), NOW).is_ok());
    }

    #[test]
    fn the_cache_is_bounded() {
        let mut cache = Cache::new();
        for n in 0..u32::try_from(ADDRESSES_MAX).expect("small") + 100 {
            let address = SocketAddr::from((std::net::Ipv4Addr::from(n), 53));
            cache.ended(address, Exchange::Probe, Err(Code::NetUnreachable), NOW);
        }
        assert_eq!(cache.len(), ADDRESSES_MAX);
        for n in 0..u32::try_from(ADDRESSES_MAX).expect("small") * 3 {
            let address = SocketAddr::from((std::net::Ipv4Addr::from(n), 53));
            cache.ended(address, Exchange::Probe, Ok(()), NOW);
            assert!(cache.answered.len() <= ADDRESSES_MAX);
        }
    }
}
