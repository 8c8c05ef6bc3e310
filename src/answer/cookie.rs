//! DNS cookies: who has heard from us before under this address (RFC 7873, RFC 9018).
//!
//! In: the COOKIE option of a query, the client's address, the time. Out: whether its server cookie is one of ours,
//! and the cookie to send back. The server cookie is the interoperable one of RFC 9018 §4, so any server that knows
//! the same secret, be it NSD, Knot or BIND, makes and takes the same. Nothing is kept for each client.

use std::net::IpAddr;

use siphasher::sip::SipHasher24;
use std::hash::Hasher;

use crate::time::Timestamp;

/// Octets of a client cookie (RFC 7873 §4).
pub(super) const CLIENT_OCTETS: usize = 8;
/// Octets of a server cookie as we make it (RFC 9018 §4).
pub(super) const SERVER_OCTETS: usize = 16;
/// Both, as they stand in the option.
pub const COOKIE_OCTETS: usize = CLIENT_OCTETS + SERVER_OCTETS;

/// How old a server cookie may be, in seconds (RFC 9018 §4.3: "not more than 1 hour in the past").
const AGE_MAX_SECS: i32 = 3600;
/// How far ahead of our clock it may be (RFC 9018 §4.3: "not more than 5 minutes in the future").
const AHEAD_MAX_SECS: i32 = 300;
/// From this age on a valid cookie is replaced (RFC 9018 §4.3: "more than half an hour").
const RENEW_SECS: i32 = 1800;

/// A secret shared by all servers of one anycast set.
pub type CookieSecret = [u8; 16];

/// Secrets that count at one time: the one cookies are made with and others that are still, or already, taken.
pub const COOKIE_SECRETS_MAX: usize = 4;

/// How cookies are made and judged.
#[derive(Clone)]
pub struct Cookies {
    /// Never empty. The first makes cookies; all are taken, so that a new secret can be given to every server before
    /// the first of them uses it (RFC 9018 §5).
    secrets: Vec<CookieSecret>,
    /// Whether a client that shows a cookie, but no valid server cookie, has to come back with the one it gets
    /// (BADCOOKIE, RFC 7873 §5.2.3). Over UDP only.
    pub required: bool,
}

impl Cookies {
    /// `None` without a secret. Beyond [`COOKIE_SECRETS_MAX`] they are not looked at.
    pub fn new(mut secrets: Vec<CookieSecret>, required: bool) -> Option<Cookies> {
        secrets.truncate(COOKIE_SECRETS_MAX);
        (!secrets.is_empty()).then_some(Cookies { secrets, required })
    }

    /// Judges the value of a COOKIE option that a client has shown at `now`; `None` if it has not the length of one.
    pub fn judge_option(&self, option: &[u8], client: IpAddr, now: Timestamp) -> Option<Judged> {
        Shown::read(option).map(|shown| self.judge(&shown, client, now.as_secs()))
    }

    /// Judges the cookie a client has shown at `now`, in seconds of Unix time. An address of IPv4 is the same client whether it
    /// came over a socket of IPv4 or one of IPv6 (RFC 4291 §2.5.5.2).
    pub(super) fn judge(&self, shown: &Shown, client: IpAddr, now_secs: u64) -> Judged {
        let client = client.to_canonical();
        let now = now_secs as u32;
        if let ServerCookie::Whole(server) = shown.server {
            let [version, r0, r1, r2, t0, t1, t2, t3, ..] = server;
            let made = u32::from_be_bytes([t0, t1, t2, t3]);
            // "All comparisons involving these fields MUST use 'serial number arithmetic'" (RFC 9018 §4.3)
            let age = now.wrapping_sub(made) as i32;
            let is_timely = (-AHEAD_MAX_SECS..=AGE_MAX_SECS).contains(&age);
            if version == 1 && is_timely {
                let head = [version, r0, r1, r2, t0, t1, t2, t3];
                let is_ours = |secret: &&CookieSecret| {
                    // one comparison of 64 bits: nothing about the position of a difference shows in the time
                    u64::from_le_bytes(hash(secret, &shown.client, &head, client))
                        == u64::from_le_bytes([
                            server[8], server[9], server[10], server[11], server[12], server[13], server[14],
                            server[15],
                        ])
                };
                let by = self.secrets.iter().position(|secret| is_ours(&secret));
                match by {
                    Some(0) if age <= RENEW_SECS => {
                        return Judged { is_valid: true, reply: join(&shown.client, &server) };
                    }
                    Some(_) => return Judged { is_valid: true, reply: self.make(&shown.client, client, now) },
                    None => {}
                }
            }
        }
        Judged { is_valid: false, reply: self.make(&shown.client, client, now) }
    }

    fn make(&self, cookie: &[u8; CLIENT_OCTETS], client: IpAddr, now: u32) -> [u8; COOKIE_OCTETS] {
        let [t0, t1, t2, t3] = now.to_be_bytes();
        let head = [1, 0, 0, 0, t0, t1, t2, t3];
        let mut server = [0; SERVER_OCTETS];
        server[..8].copy_from_slice(&head);
        if let Some(secret) = self.secrets.first() {
            server[8..].copy_from_slice(&hash(secret, cookie, &head, client));
        }
        join(cookie, &server)
    }
}

impl std::fmt::Debug for Cookies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // the secrets stay out of every log
        write!(f, "Cookies({} secrets, required: {})", self.secrets.len(), self.required)
    }
}

/// What is to be done with a client's cookie.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The server cookie was made with one of our secrets for this client, not long ago.
    pub is_valid: bool,
    /// The option's contents to send back.
    pub reply: [u8; COOKIE_OCTETS],
}

/// The COOKIE option of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) client: [u8; CLIENT_OCTETS],
    pub(super) server: ServerCookie,
}

/// The server's part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ServerCookie {
    /// The client has none yet.
    None,
    /// As long as ours.
    Whole([u8; SERVER_OCTETS]),
    /// Of another length: another server's, or made up.
    Foreign,
}

impl Shown {
    /// Reads the option. "if the COOKIE option is too short to contain a Client Cookie ... or its length is otherwise
    /// not valid, a FORMERR" (RFC 7873 §5.2.2): that is `None`.
    pub(super) fn read(option: &[u8]) -> Option<Shown> {
        let (client, server) = option.split_first_chunk::<CLIENT_OCTETS>()?;
        let server = match server.len() {
            0 => ServerCookie::None,
            8..=32 => server.try_into().map_or(ServerCookie::Foreign, ServerCookie::Whole),
            _ => return None,
        };
        Some(Shown { client: *client, server })
    }
}

/// RFC 9018 §4.4: SipHash-2-4(Client Cookie | Version | Reserved | Timestamp | Client-IP, Server Secret).
fn hash(secret: &CookieSecret, cookie: &[u8; CLIENT_OCTETS], head: &[u8; 8], client: IpAddr) -> [u8; 8] {
    let mut hasher = SipHasher24::new_with_key(secret);
    hasher.write(cookie);
    hasher.write(head);
    match client {
        IpAddr::V4(ip) => hasher.write(&ip.octets()),
        IpAddr::V6(ip) => hasher.write(&ip.octets()),
    }
    hasher.finish().to_le_bytes()
}

fn join(client: &[u8; CLIENT_OCTETS], server: &[u8; SERVER_OCTETS]) -> [u8; COOKIE_OCTETS] {
    let mut both = [0; COOKIE_OCTETS];
    both[..CLIENT_OCTETS].copy_from_slice(client);
    both[CLIENT_OCTETS..].copy_from_slice(server);
    both
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets<const N: usize>(hex: &str) -> [u8; N] {
        std::array::from_fn(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("digits"))
    }

    fn shown(client: &str, server: &str) -> Shown {
        let server = if server.is_empty() { ServerCookie::None } else { ServerCookie::Whole(octets(server)) };
        Shown { client: octets(client), server }
    }

    fn cookies(secrets: &[&str]) -> Cookies {
        Cookies::new(secrets.iter().map(|secret| octets(secret)).collect(), false).expect("a secret")
    }

    /// RFC 9018 appendix A: what a client learns (A.1), gets renewed (A.2), and what a server with the same secret takes
    /// of another (A.3), over IPv4.
    #[test]
    fn the_test_vectors_of_rfc_9018_hold() {
        let cookies = cookies(&["e5e973e5a6b2a43f48e7dc849e37bfcf"]);
        let ip: IpAddr = "198.51.100.100".parse().expect("an address");
        let learnt = cookies.judge(&shown("2464c4abcf10c957", ""), ip, 0x5cf7_9f11);
        assert!(!learnt.is_valid);
        assert_eq!(learnt.reply, octets("2464c4abcf10c957010000005cf79f111f8130c3eee29480"));
        let old = shown("2464c4abcf10c957", "010000005cf79f111f8130c3eee29480");
        let renewed = cookies.judge(&old, ip, 0x5cf7_a871);
        assert!(renewed.is_valid);
        assert_eq!(renewed.reply, octets("2464c4abcf10c957010000005cf7a871d4a564a1442aca77"));
    }

    /// RFC 9018 appendix A.4: over IPv6, with the secret rolled over in between.
    #[test]
    fn a_cookie_of_the_secret_before_is_taken_and_replaced_by_one_of_the_new() {
        let [old, new] = ["dd3bdf9344b678b185a6f5cb60fca715", "445536bcd2513298075a5d379663c962"];
        let ip: IpAddr = "2001:db8:220:1:59de:d0f4:8769:82b8".parse().expect("an address");
        let first = shown("22681ab97d52c298", "010000005cf7c57926556bd0934c72f8");
        assert!(cookies(&[old]).judge(&first, ip, 0x5cf7_c579).is_valid);
        let judged = cookies(&[new, old]).judge(&first, ip, 0x5cf7_c609);
        assert!(judged.is_valid);
        assert_eq!(judged.reply, octets("22681ab97d52c298010000005cf7c609a6bb79d16625507a"));
        assert!(!cookies(&[new]).judge(&first, ip, 0x5cf7_c609).is_valid);
    }

    /// RFC 9018 §4.3: not more than an hour old, not more than five minutes ahead; another address is another client.
    #[test]
    fn a_cookie_counts_for_its_time_and_its_address_only() {
        let cookies = cookies(&["e5e973e5a6b2a43f48e7dc849e37bfcf"]);
        let ip: IpAddr = "198.51.100.100".parse().expect("an address");
        let shown = shown("2464c4abcf10c957", "010000005cf79f111f8130c3eee29480");
        let valid = |ip, now: i64| cookies.judge(&shown, ip, (0x5cf7_9f11 + now) as u64).is_valid;
        assert!(valid(ip, 3600) && !valid(ip, 3601) && valid(ip, -300) && !valid(ip, -301));
        assert!(!valid("198.51.100.101".parse().expect("an address"), 0));
        // not half an hour old: the same cookie goes back
        assert_eq!(
            cookies.judge(&shown, ip, 0x5cf7_9f11 + 1800).reply[8..],
            octets::<16>("010000005cf79f111f8130c3eee29480")
        );
        // RFC 4291 §2.5.5.2: the same node, however its address is written
        assert!(valid("::ffff:198.51.100.100".parse().expect("an address"), 0));
        let mut other = shown;
        other.client[0] ^= 1;
        assert!(!cookies.judge(&other, ip, 0x5cf7_9f11).is_valid);
    }

    #[test]
    fn cookies_of_wrong_lengths_are_no_cookies() {
        for len in [0, 7, 9, 15, 41, 64] {
            assert_eq!(Shown::read(&vec![1; len]), None, "{len}");
        }
        assert_eq!(Shown::read(&[1; 8]).map(|shown| shown.server), Some(ServerCookie::None));
        assert_eq!(Shown::read(&[1; 24]).map(|shown| shown.server), Some(ServerCookie::Whole([1; 16])));
        assert_eq!(Shown::read(&[1; 40]).map(|shown| shown.server), Some(ServerCookie::Foreign));
    }
}
