//! Response rate limiting: fewer replies of one kind to one network than a forger of addresses would like.
//!
//! In: the client's address, the kind of the reply and what it is about, the time. Out: send it, send a short "ask over
//! TCP" instead (a *slip*), or nothing. One table for each UDP worker, of fixed size, without lock: the kernel spreads
//! clients over the workers by address and port, so each worker grants its share of the limit. Off by default. Clients
//! that have proved their address (TCP, a valid cookie, TSIG) are not limited. After the scheme of BIND's RRL; there is no
//! RFC.

use std::hash::Hasher;
use std::net::IpAddr;

use siphasher::sip::SipHasher13;

/// Rows of the table of each worker: 1 MiB. A row not in use for a second may be taken by another client.
const ROWS: usize = 1 << 16;
/// Rows that are looked at for one client.
const WAYS: usize = 4;
/// Credits of one reply.
const REPLY_CREDITS: u32 = 1000;

/// How replies are limited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Equal replies a second to one network, by all workers together; 0: no limit.
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

#[derive(Clone, Copy, Default)]
struct Row {
    /// Of client network, kind and subject; 0: free.
    tag: u32,
    /// When it was last used, in milliseconds (wrapping).
    used_ms: u32,
    /// Thousandths of a reply that may still be sent.
    credits: u32,
    /// Replies not sent since the last short one.
    unsent: u32,
}

/// One worker's table.
pub(super) struct RateLimiter {
    limit: RateLimit,
    /// Credits a second, which is also the most a row saves up.
    credits_per_second: u32,
    key: [u8; 16],
    rows: Box<[Row]>,
}

impl RateLimiter {
    /// The share of one of `workers` workers; `None` if there is no limit. `key` makes rows unpredictable.
    pub(super) fn new(limit: &RateLimit, workers: usize, key: [u8; 16]) -> Option<RateLimiter> {
        if limit.replies_per_second == 0 {
            return None;
        }
        let share = (u64::from(limit.replies_per_second) * u64::from(REPLY_CREDITS)).div_ceil(workers.max(1) as u64);
        Some(RateLimiter {
            limit: limit.clone(),
            credits_per_second: share.clamp(u64::from(REPLY_CREDITS), u64::from(u32::MAX / 2)) as u32,
            key,
            rows: vec![Row::default(); ROWS].into(),
        })
    }

    /// Decides about `reply` to `client`. `subject` is what [`crate::answer::Workspace::subject`] says.
    pub(super) fn judge(&mut self, client: IpAddr, reply: &[u8], subject: u64, now_ms: u64) -> Sentence {
        let (tag, at) = self.place(client, kind(reply), subject);
        let now = now_ms as u32;
        let row = find(&mut self.rows, tag, at, now, self.credits_per_second);
        let elapsed = u64::from(now.wrapping_sub(row.used_ms)).min(1000);
        let earned = (elapsed * u64::from(self.credits_per_second) / 1000) as u32;
        row.credits = (row.credits + earned).min(self.credits_per_second);
        row.used_ms = now;
        if row.credits >= REPLY_CREDITS {
            row.credits -= REPLY_CREDITS;
            return Sentence::Send;
        }
        row.unsent += 1;
        if self.limit.slip > 0 && row.unsent >= u32::from(self.limit.slip) {
            row.unsent = 0;
            return Sentence::Slip;
        }
        Sentence::Silence
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

/// The row of `tag`, or the one of its places that was used least lately, with full credit.
fn find(rows: &mut [Row], tag: u32, at: usize, now: u32, credits: u32) -> &mut Row {
    let places = &mut rows[at..at + WAYS];
    let index = match places.iter().position(|row| row.tag == tag) {
        Some(index) => index,
        None => {
            let age = |row: &Row| if row.tag == 0 { u32::MAX } else { now.wrapping_sub(row.used_ms) };
            let oldest = (0..WAYS).max_by_key(|&way| age(&places[way])).unwrap_or(0);
            places[oldest] = Row { tag, used_ms: now, credits, unsent: 0 };
            oldest
        }
    };
    &mut places[index]
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
        RateLimiter::new(&RateLimit { replies_per_second, slip, ..RateLimit::default() }, 1, [7; 16]).expect("a limit")
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn without_a_limit_there_is_no_table() {
        assert!(RateLimiter::new(&RateLimit::default(), 4, [0; 16]).is_none());
    }

    #[test]
    fn a_network_gets_its_number_of_equal_replies_in_a_second_and_then_every_other_one_short() {
        let mut limiter = limiter(5, 2);
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
            let mut limiter = limiter(1, slip);
            limiter.judge(ip("2001:db8::1"), POSITIVE, 1, 0);
            for last in 2..9 {
                let client = ip(&format!("2001:db8:0:3{last}::1"));
                assert_eq!(limiter.judge(client, POSITIVE, 1, 0), expected, "one /56");
            }
            assert_eq!(limiter.judge(ip("2001:db8:0:100::1"), POSITIVE, 1, 0), Sentence::Send);
        }
    }

    #[test]
    fn workers_share_the_limit_and_each_has_at_least_one() {
        let of = |limit, workers| {
            let limit = RateLimit { replies_per_second: limit, ..RateLimit::default() };
            RateLimiter::new(&limit, workers, [0; 16]).expect("a limit").credits_per_second
        };
        assert_eq!((of(100, 4), of(1, 4)), (25_000, 1_000));
    }

    #[test]
    fn a_flood_of_networks_stays_inside_the_table() {
        let mut limiter = limiter(10, 2);
        for i in 0..200_000u32 {
            limiter.judge(IpAddr::from(i.wrapping_mul(0x9e37_79b9).to_be_bytes()), POSITIVE, u64::from(i), 5);
        }
        assert_eq!(limiter.rows.len(), ROWS);
    }
}
