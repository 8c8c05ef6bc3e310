//! Response rate limiting: fewer replies of one kind to one network than a forger of addresses would like.
//!
//! In: the client's address, the kind of the reply and what it is about, the time. Out: send it, send a short "ask over
//! TCP" instead (a *slip*), or nothing. One table of fixed size for all UDP workers on all addresses, since the kernel spreads
//! clients over the workers by address and port, which a forger chooses. It has no lock: its rows are plain atomics, and two
//! workers that judge about one row in the same moment may let one reply more pass. Off by default. Clients that have proved
//! their address (TCP, a valid cookie, TSIG) are not limited. After the scheme of BIND's RRL; there is no RFC.

use std::hash::Hasher;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use siphasher::sip::SipHasher13;

/// Rows of the table: 1 MiB. A row not in use for a second may be taken by another client.
const ROWS: usize = 1 << 16;
/// Rows that are looked at for one client.
const WAYS: usize = 4;
/// Credits of one reply.
const REPLY_CREDITS: u32 = 1000;
/// Workers look at the clock once for each batch: the one's now may be so much before the other's.
const BATCH_MS: u32 = 1000;

/// How replies are limited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Equal replies a second to one network, by all workers on all addresses together; 0: no limit.
    pub replies_per_second: u32,
    /// Every how many-th reply over the limit is sent short instead of not at all; 0: none, 1: all.
    pub slip: u8,
    /// Bits of an IPv4 address that make a network.
    pub ipv4_bits: u8,
    /// Bits of an IPv6 address that make a network.
    pub ipv6_bits: u8,
}

impl Default for RateLimit {
    fn default() -> RateLimit {
        RateLimit { replies_per_second: 0, slip: 2, ipv4_bits: 24, ipv6_bits: 56 }
    }
}

/// What becomes of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sentence {
    /// It goes out.
    Send,
    /// A short one goes out.
    Slip,
    /// Nothing goes out.
    Silence,
}

/// What one network has had of one kind of reply, in two words that change one behind the other.
#[derive(Default)]
struct Row {
    /// [`Account::tag`] and [`Account::used_ms`].
    who: AtomicU64,
    /// [`Account::credits`] and [`Account::unsent`].
    what: AtomicU64,
}

#[derive(Clone, Copy)]
struct Account {
    /// Of client network, kind and subject; 0: free.
    tag: u32,
    /// When it was last used, in milliseconds (wrapping).
    used_ms: u32,
    /// Thousandths of a reply that may still be sent.
    credits: u32,
    /// Replies not sent since the last short one.
    unsent: u32,
}

impl Row {
    fn load(&self) -> Account {
        let halves = |word: &AtomicU64| {
            let word = word.load(Ordering::Relaxed);
            ((word >> 32) as u32, word as u32)
        };
        let ((tag, used_ms), (credits, unsent)) = (halves(&self.who), halves(&self.what));
        Account { tag, used_ms, credits, unsent }
    }

    fn store(&self, account: Account) {
        let word = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
        self.who.store(word(account.tag, account.used_ms), Ordering::Relaxed);
        self.what.store(word(account.credits, account.unsent), Ordering::Relaxed);
    }
}

impl Account {
    /// Milliseconds since it was used; 0 if another worker has done so with a later now.
    fn idle_ms(&self, now: u32) -> u32 {
        let idle = now.wrapping_sub(self.used_ms);
        if idle > BATCH_MS.wrapping_neg() { 0 } else { idle }
    }
}

/// The table of all workers.
pub(super) struct RateLimiter {
    limit: RateLimit,
    /// Credits a second, which is also the most a row saves up.
    credits_per_second: u32,
    key: [u8; 16],
    rows: Box<[Row]>,
}

impl RateLimiter {
    /// `None` if there is no limit. `key` makes rows unpredictable.
    pub(super) fn new(limit: &RateLimit, key: [u8; 16]) -> Option<RateLimiter> {
        if limit.replies_per_second == 0 {
            return None;
        }
        let credits = u64::from(limit.replies_per_second) * u64::from(REPLY_CREDITS);
        Some(RateLimiter {
            limit: limit.clone(),
            credits_per_second: credits.min(u64::from(u32::MAX / 2)) as u32,
            key,
            rows: (0..ROWS).map(|_| Row::default()).collect(),
        })
    }

    /// Decides about `reply` to `client`. `subject` is what [`crate::answer::Workspace::subject`] says.
    pub(super) fn judge(&self, client: IpAddr, reply: &[u8], subject: u64, now_ms: u64) -> Sentence {
        let (tag, at) = self.place(client, kind(reply), subject);
        let now = now_ms as u32;
        let (row, mut account) = self.find(tag, at, now);
        let idle_ms = account.idle_ms(now);
        let earned = (u64::from(idle_ms.min(1000)) * u64::from(self.credits_per_second) / 1000) as u32;
        account.credits = (account.credits + earned).min(self.credits_per_second);
        if idle_ms > 0 {
            account.used_ms = now;
        }
        let sentence = if account.credits >= REPLY_CREDITS {
            account.credits -= REPLY_CREDITS;
            Sentence::Send
        } else {
            account.unsent += 1;
            if self.limit.slip > 0 && account.unsent >= u32::from(self.limit.slip) {
                account.unsent = 0;
                Sentence::Slip
            } else {
                Sentence::Silence
            }
        };
        row.store(account);
        sentence
    }

    /// The row of `tag`, or the one of its places that was used least lately, with full credit.
    fn find(&self, tag: u32, at: usize, now: u32) -> (&Row, Account) {
        let places = &self.rows[at..at + WAYS];
        let mut oldest = (&places[0], 0);
        for row in places {
            let account = row.load();
            if account.tag == tag {
                return (row, account);
            }
            let age = if account.tag == 0 { u32::MAX } else { account.idle_ms(now) };
            if age >= oldest.1 {
                oldest = (row, age);
            }
        }
        (oldest.0, Account { tag, used_ms: now, credits: self.credits_per_second, unsent: 0 })
    }

    /// The tag of a row, and where it may stand.
    fn place(&self, client: IpAddr, kind: u8, subject: u64) -> (u32, usize) {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        match client.to_canonical() {
            IpAddr::V4(ip) => {
                let bits = u32::from(ip) & u32::MAX.checked_shl(32 - u32::from(self.limit.ipv4_bits)).unwrap_or(0);
                hasher.write_u32(bits);
            }
            IpAddr::V6(ip) => {
                let bits = u128::from(ip) & u128::MAX.checked_shl(128 - u32::from(self.limit.ipv6_bits)).unwrap_or(0);
                hasher.write_u128(bits);
            }
        }
        hasher.write_u8(kind);
        hasher.write_u64(subject);
        let hash = hasher.finish();
        ((hash >> 32) as u32 | 1, hash as usize % (ROWS - WAYS))
    }
}

/// Replies of different kinds have limits of their own: positive, no data, no such name, referral, and each error.
fn kind(reply: &[u8]) -> u8 {
    let (Some(rcode), Some(answers)) = (reply.get(3), reply.get(6..8)) else { return u8::MAX };
    let is_authoritative = reply[2] & 4 != 0;
    (rcode & 0x0f) << 2 | u8::from(answers != [0, 0]) << 1 | u8::from(is_authoritative)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POSITIVE: &[u8] = &[0, 0, 0x84, 0, 0, 1, 0, 1, 0, 0, 0, 0];
    const NXDOMAIN: &[u8] = &[0, 0, 0x84, 3, 0, 1, 0, 0, 0, 1, 0, 0];

    fn limiter(replies_per_second: u32, slip: u8) -> RateLimiter {
        RateLimiter::new(&RateLimit { replies_per_second, slip, ..RateLimit::default() }, [7; 16]).expect("a limit")
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn without_a_limit_there_is_no_table() {
        assert!(RateLimiter::new(&RateLimit::default(), [0; 16]).is_none());
    }

    #[test]
    fn a_network_gets_its_number_of_equal_replies_in_a_second_and_then_every_other_one_short() {
        let limiter = limiter(5, 2);
        let sentences: Vec<Sentence> =
            (0..9).map(|i| limiter.judge(ip(&format!("192.0.2.{i}")), POSITIVE, 42, 1_000)).collect();
        assert!(sentences[..5].iter().all(|sentence| *sentence == Sentence::Send));
        assert_eq!(sentences[5..], [Sentence::Silence, Sentence::Slip, Sentence::Silence, Sentence::Slip]);
        // another network, another subject and another kind each have their own
        assert_eq!(limiter.judge(ip("192.0.3.1"), POSITIVE, 42, 1_000), Sentence::Send);
        assert_eq!(limiter.judge(ip("192.0.2.1"), POSITIVE, 43, 1_000), Sentence::Send);
        assert_eq!(limiter.judge(ip("192.0.2.1"), NXDOMAIN, 42, 1_000), Sentence::Send);
        // and time heals: a fifth of a second is one reply
        assert_eq!(limiter.judge(ip("192.0.2.1"), POSITIVE, 42, 1_200), Sentence::Send);
        assert_ne!(limiter.judge(ip("192.0.2.1"), POSITIVE, 42, 1_200), Sentence::Send);
    }

    #[test]
    fn slip_one_is_never_silent_and_slip_zero_always() {
        for (slip, expected) in [(1, Sentence::Slip), (0, Sentence::Silence)] {
            let limiter = limiter(1, slip);
            limiter.judge(ip("2001:db8::1"), POSITIVE, 1, 0);
            for last in 2..9 {
                let client = ip(&format!("2001:db8:0:3{last}::1"));
                assert_eq!(limiter.judge(client, POSITIVE, 1, 0), expected, "one /56");
            }
            assert_eq!(limiter.judge(ip("2001:db8:0:100::1"), POSITIVE, 1, 0), Sentence::Send);
        }
    }

    #[test]
    fn a_worker_whose_batch_is_older_gives_no_credit() {
        // given a network that has had its replies, by a worker that has just looked at the clock
        let limiter = limiter(5, 0);
        let judge = |now| limiter.judge(ip("192.0.2.1"), POSITIVE, 42, now);
        (0..5).for_each(|_| assert_eq!(judge(10_000), Sentence::Send));
        // when another worker judges, which looked before, then it is over the limit there too
        assert_eq!(judge(9_990), Sentence::Silence);
        assert_eq!(judge(10_000), Sentence::Silence);
        // and time heals still
        assert_eq!(judge(10_200), Sentence::Send);
        assert_eq!(judge(10_200), Sentence::Silence);
        // nor does a clock that is set back, or a row that is years old, leave anybody without
        assert_eq!(judge(5_000), Sentence::Send);
        assert_eq!(judge(5_000 + (1 << 31) + 7), Sentence::Send);
    }

    #[test]
    fn a_flood_of_networks_stays_inside_the_table() {
        let limiter = limiter(10, 2);
        for i in 0..200_000u32 {
            limiter.judge(IpAddr::from(i.wrapping_mul(0x9e37_79b9).to_be_bytes()), POSITIVE, u64::from(i), 5);
        }
        assert_eq!(limiter.rows.len(), ROWS);
    }
}
