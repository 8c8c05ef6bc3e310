//! What stands behind the SOA of a locally managed zone, and how its serial moves.

use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

use crate::dns::{Name, Record, RecordType, Serial};
use crate::time::Timestamp;

/// What may be set of a zone beside its records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// First name server, the SOA's MNAME.
    pub mname: Name,
    /// Mailbox of the responsible person as a name, the SOA's RNAME.
    pub rname: Name,
    /// Seconds; of the SOA and of records that have no TTL of their own.
    pub default_ttl: u32,
    /// SOA REFRESH, seconds.
    pub refresh: u32,
    /// SOA RETRY, seconds.
    pub retry: u32,
    /// SOA EXPIRE, seconds.
    pub expire: u32,
    /// SOA MINIMUM, seconds: the longest a negative answer may be kept (RFC 2308 §4).
    pub minimum: u32,
    /// False: queries are answered with REFUSED, the API goes on.
    pub enabled: bool,
}

impl Attributes {
    /// TTL of new zones.
    pub const DEFAULT_TTL: u32 = 3600;

    /// Those of a new zone: two hours REFRESH, 15 minutes RETRY, two weeks EXPIRE (RFC 1912 §2.2), five minutes
    /// for negative answers, and `hostmaster` at the zone (RFC 2142 §7).
    pub fn new(apex: &Name, mname: Name) -> Attributes {
        let rname = Name::from_relative(b"\x0ahostmaster", apex).unwrap_or_else(|_| apex.clone());
        Attributes {
            mname,
            rname,
            default_ttl: Attributes::DEFAULT_TTL,
            refresh: 7200,
            retry: 900,
            expire: 1_209_600,
            minimum: 300,
            enabled: true,
        }
    }

    /// The SOA of a zone with these attributes.
    pub fn soa(&self, apex: &Name, serial: Serial) -> Record {
        let mut rdata = [self.mname.as_wire(), self.rname.as_wire()].concat();
        for number in [serial.0, self.refresh, self.retry, self.expire, self.minimum] {
            rdata.extend_from_slice(&number.to_be_bytes());
        }
        Record { owner: apex.clone(), rtype: RecordType::SOA, ttl: self.default_ttl, rdata: rdata.into() }
    }
}

/// Why a text is no mailbox that a SOA can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmailError {
    /// Not one `@` with something on both sides.
    #[error("must be a mailbox such as hostmaster@example.com")]
    Shape,
    /// Too long, or the part behind the `@` is no domain name.
    #[error("cannot be written as a domain name")]
    Name,
}

/// The RNAME of a mailbox: the local part is one label, dots in it included (RFC 1035 §3.3.13, §8).
pub fn rname_of(email: &str) -> Result<Name, EmailError> {
    let (local, domain) = email.split_once('@').ok_or(EmailError::Shape)?;
    let is_plain = |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_graphic() && c != b'@');
    if !is_plain(local) || !is_plain(domain) {
        return Err(EmailError::Shape);
    }
    let domain: Name = domain.parse().map_err(|_| EmailError::Name)?;
    let length = u8::try_from(local.len()).ok().filter(|n| *n <= 63).ok_or(EmailError::Name)?;
    let label = [&[length][..], local.as_bytes()].concat();
    Name::from_relative(&label, &domain).map_err(|_| EmailError::Name)
}

/// The mailbox of a RNAME; what is no text is escaped as in zone files.
pub fn email_of(rname: &Name) -> String {
    let Some(domain) = rname.parent() else { return rname.to_string() };
    let local = rname.labels().next().unwrap_or_default();
    let local: String = match std::str::from_utf8(local) {
        Ok(text) if text.bytes().all(|c| c.is_ascii_graphic()) => text.to_owned(),
        _ => local.iter().flat_map(|c| c.escape_ascii()).map(char::from).collect(),
    };
    format!("{local}@{}", domain.without_dot())
}

/// The serial of a new zone: `YYYYMMDD01` of the day in UTC.
pub fn first_serial(now: Timestamp) -> Serial {
    Serial(date_number(now).wrapping_add(1))
}

/// The serial after `last`: [`first_serial`] of the day if that is ahead, else one more (RFC 1982 §3).
pub fn next_serial(last: Serial, now: Timestamp) -> Serial {
    let today = first_serial(now);
    if today.is_newer_than(last) { today } else { last.plus(1) }
}

/// `YYYYMMDD00`.
fn date_number(now: Timestamp) -> u32 {
    let at = jiff::Timestamp::from_second(now.as_secs() as i64).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let day: DateTime = jiff::tz::Offset::UTC.to_datetime(at);
    let number = (i64::from(day.year()) * 10_000 + i64::from(day.month()) * 100 + i64::from(day.day())) * 100;
    number as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 2026-11-21T23:59:59Z.
    const EVENING: Timestamp = Timestamp::from_secs(1_795_305_599);

    #[test]
    fn the_serial_begins_with_the_day_and_then_counts() {
        let first = first_serial(EVENING);
        assert_eq!(first, Serial(2_026_112_101));
        assert_eq!(next_serial(first, EVENING), Serial(2_026_112_102));
        assert_eq!(next_serial(Serial(2_026_112_199), EVENING), Serial(2_026_112_200));
        let next_day = EVENING + std::time::Duration::from_secs(1);
        assert_eq!(next_serial(Serial(2_026_112_107), next_day), Serial(2_026_112_201));
        // Imported, or a clock that was wrong once: never backwards.
        assert_eq!(next_serial(Serial(3_000_000_000), EVENING), Serial(3_000_000_001));
        assert_eq!(next_serial(Serial(7), EVENING), Serial(2_026_112_101));
    }

    #[test]
    fn mailboxes_become_names_and_back() {
        for (email, rname) in [
            ("hostmaster@example.com", "hostmaster.example.com."),
            ("a.b@example.com", "a\\.b.example.com."),
            ("x+y@Example.Com", "x+y.example.com."),
        ] {
            let name = rname_of(email).expect(email);
            assert_eq!(name.to_string(), rname);
            assert_eq!(email_of(&name), email.to_lowercase());
        }
        for email in ["", "@", "a@", "@b", "a b@c", "a@b@c", "example.com", "a@b..c", "ü@example.com"] {
            assert!(rname_of(email).is_err(), "{email}");
        }
        assert!(rname_of(&format!("{}@example.com", "a".repeat(64))).is_err());
    }

    proptest! {
        #[test]
        fn a_serial_always_moves_forward(last in any::<u32>(), secs in 0u64..4_000_000_000) {
            prop_assert!(next_serial(Serial(last), Timestamp::from_secs(secs)).is_newer_than(Serial(last)));
        }
    }
}
