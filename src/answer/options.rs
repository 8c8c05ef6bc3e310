//! The options of EDNS: what a query asks for, and what goes into the reply beside the records.
//!
//! A query with options takes a little detour; one without (the common shape) never comes here. The reply's options are
//! gathered in the [`Workspace`](super::Workspace) while the reply is worked out, because the query's own OPT is
//! overwritten by it, and copied behind the records at the end. Their room is reserved before, so that they never push
//! records out of a reply that has been judged to fit.
//!
//! NSID (RFC 5001), EXPIRE (RFC 7314), COOKIE (RFC 7873), TCP keepalive (RFC 7828), padding (RFC 7830, RFC 8467),
//! ZONEVERSION (RFC 9660). All others are ignored (RFC 6891 §6.1.2).

use super::cookie::{COOKIE_OCTETS, Shown};
use crate::dns::edns::option;

/// Octets of a name server identifier, at most.
pub const NSID_OCTETS_MAX: usize = 128;

/// Octets of code and length before an option's value.
const OPTION_HEAD_OCTETS: usize = 4;
const EXPIRE_OCTETS: usize = OPTION_HEAD_OCTETS + 4;
const ZONE_VERSION_OCTETS: usize = OPTION_HEAD_OCTETS + 6;
const KEEPALIVE_OCTETS: usize = OPTION_HEAD_OCTETS + 2;
const GATHERED_OCTETS_MAX: usize = OPTION_HEAD_OCTETS
    + NSID_OCTETS_MAX
    + OPTION_HEAD_OCTETS
    + COOKIE_OCTETS
    + EXPIRE_OCTETS
    + ZONE_VERSION_OCTETS
    + KEEPALIVE_OCTETS;

/// The type of version in ZONEVERSION that is the SOA's serial (RFC 9660 §2).
const SOA_SERIAL: u8 = 0;

/// What the options of a query ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) nsid: bool,
    pub(super) expire: bool,
    pub(super) zone_version: bool,
    pub(super) keepalive: bool,
    pub(super) padding: bool,
    pub(super) cookie: Option<Shown>,
}

/// Why options cannot be taken; either way FORMERR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadOptions {
    /// They do not fill the rdata.
    Torn,
    /// One of those we speak has a length it must not have.
    Length,
}

impl Asked {
    /// Reads the rdata of an OPT.
    pub(super) fn read(mut rdata: &[u8]) -> Result<Asked, BadOptions> {
        let mut asked = Asked::default();
        let mut is_sound = true;
        while !rdata.is_empty() {
            let Some((&[c0, c1, l0, l1], rest)) = rdata.split_first_chunk::<OPTION_HEAD_OCTETS>() else {
                return Err(BadOptions::Torn);
            };
            let Some((value, rest)) = rest.split_at_checked(usize::from(u16::from_be_bytes([l0, l1]))) else {
                return Err(BadOptions::Torn);
            };
            rdata = rest;
            match u16::from_be_bytes([c0, c1]) {
                option::NSID => asked.nsid = true,
                option::EXPIRE => asked.expire = true,
                option::KEEPALIVE => asked.keepalive = true,
                option::PADDING => asked.padding = true,
                // octets in it say nothing: "A name server MUST ignore any non-empty ZONEVERSION payload data that might be
                // present in the query message" (RFC 9660 §3)
                option::ZONE_VERSION => asked.zone_version = true,
                // of several only the first counts (RFC 7873 §5.2)
                option::COOKIE if asked.cookie.is_none() => {
                    asked.cookie = Shown::read(value);
                    is_sound &= asked.cookie.is_some();
                }
                _ => {}
            }
        }
        if is_sound { Ok(asked) } else { Err(BadOptions::Length) }
    }
}

/// The reply's options so far.
pub(super) struct Gathered {
    octets: [u8; GATHERED_OCTETS_MAX],
    len: usize,
    /// Octets that may still come, of EXPIRE and ZONEVERSION.
    pending: usize,
    /// Whether the reply is to be filled up (RFC 8467 §4.1).
    pub(super) padded: bool,
    asked: Asked,
}

impl Gathered {
    pub(super) fn new() -> Gathered {
        Gathered { octets: [0; GATHERED_OCTETS_MAX], len: 0, pending: 0, padded: false, asked: Asked::default() }
    }

    /// Begins anew, for a query that asks so.
    pub(super) fn begin(&mut self, asked: &Asked) {
        self.len = 0;
        self.padded = false;
        self.asked = *asked;
        self.pending = 0;
        if asked.expire {
            self.pending += EXPIRE_OCTETS;
        }
        if asked.zone_version {
            self.pending += ZONE_VERSION_OCTETS;
        }
    }

    /// Octets to keep free for all of them; the same before and after one that is asked for is put.
    pub(super) fn reserved(&self) -> usize {
        self.len + self.pending
    }

    /// Everything gathered, in wire form.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.octets[..self.len]
    }

    pub(super) fn put_nsid(&mut self, nsid: &[u8]) {
        self.put(option::NSID, &nsid[..nsid.len().min(NSID_OCTETS_MAX)]);
    }

    pub(super) fn put_cookie(&mut self, cookie: &[u8; COOKIE_OCTETS]) {
        self.put(option::COOKIE, cookie);
    }

    /// How long an idle connection is kept, in units of 100 ms (RFC 7828 §3.1).
    pub(super) fn put_keepalive(&mut self, tenths: u16) {
        self.put(option::KEEPALIVE, &tenths.to_be_bytes());
    }

    /// The version of the zone the question's name lies in (RFC 9660 §3): labels of its apex, and its serial.
    pub(super) fn put_zone_version(&mut self, labels: usize, serial: u32) {
        if self.asked.zone_version {
            let [s0, s1, s2, s3] = serial.to_be_bytes();
            self.pending = self.pending.saturating_sub(ZONE_VERSION_OCTETS);
            self.put(option::ZONE_VERSION, &[labels as u8, SOA_SERIAL, s0, s1, s2, s3]);
        }
    }

    /// How long the zone lives without being confirmed (RFC 7314 §3.2).
    pub(super) fn put_expire(&mut self, secs: u32) {
        if self.asked.expire {
            self.pending = self.pending.saturating_sub(EXPIRE_OCTETS);
            self.put(option::EXPIRE, &secs.to_be_bytes());
        }
    }

    fn put(&mut self, code: u16, value: &[u8]) {
        let end = self.len + OPTION_HEAD_OCTETS + value.len();
        // the array holds one of each kind; a second of one kind is not made
        let Some(room) = self.octets.get_mut(self.len..end) else { return };
        room[..2].copy_from_slice(&code.to_be_bytes());
        room[2..4].copy_from_slice(&(value.len() as u16).to_be_bytes());
        room[4..].copy_from_slice(value);
        self.len = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_must_be_whole_and_ours_of_their_length() {
        assert_eq!(Asked::read(&[]), Ok(Asked::default()));
        assert_eq!(Asked::read(&[0xfd, 0xe9, 0, 1, 7]), Ok(Asked::default()));
        let nsid = Asked { nsid: true, ..Asked::default() };
        assert_eq!(Asked::read(&[0, 3, 0, 0]), Ok(nsid));
        for torn in [&[0, 3, 0][..], &[0, 3, 0, 1], &[0, 3, 0, 0, 0]] {
            assert_eq!(Asked::read(torn), Err(BadOptions::Torn), "{torn:?}");
        }
        assert!(Asked::read(&[0, 19, 0, 0]).is_ok_and(|asked| asked.zone_version));
        assert_eq!(Asked::read(&[0, 19, 0, 1, 0]), Asked::read(&[0, 19, 0, 0]), "whatever is in it");
        assert_eq!(Asked::read(&[0, 10, 0, 1, 0]), Err(BadOptions::Length));
    }

    #[test]
    fn everything_at_once_finds_room() {
        let mut gathered = Gathered::new();
        let asked = Asked { expire: true, zone_version: true, ..Asked::default() };
        gathered.begin(&asked);
        gathered.put_nsid(&[7; 200]);
        gathered.put_cookie(&[1; COOKIE_OCTETS]);
        gathered.put_keepalive(100);
        let reserved = gathered.reserved();
        gathered.put_expire(1);
        gathered.put_zone_version(2, 3);
        assert_eq!((gathered.as_bytes().len(), reserved), (GATHERED_OCTETS_MAX, GATHERED_OCTETS_MAX));
        assert_eq!(gathered.reserved(), reserved, "what has come is not awaited any more");
    }
}
