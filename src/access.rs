//! Who may send us a NOTIFY for a zone, who may transfer it from us, and who may ask about it at all.
//!
//! In: the peer's address and the name of the TSIG key that was *verified* on the request. Out: a [`Verdict`].
//! Called by `net` for each NOTIFY and each AXFR or IXFR; `control` builds a [`ZoneAccess`] per zone out of the
//! configuration or REST. Never sees a message, a secret or a clock: requests whose signature does not verify (BADKEY,
//! BADSIG, BADTIME; RFC 8945 §5.3.2) have been answered before anyone asks here. What is asked here is only whether a
//! *known valid* key, or none, is good enough for this zone.
//!
//! IPv4-mapped IPv6 addresses compare as the IPv4 addresses they carry, in rules and in peers, so one rule serves
//! sockets of either family. Nothing is allowed that no rule names: without `allow-transfer` transfers are refused.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::dns::Name;

/// One entry of `allow-notify` or `allow-transfer`.
///
/// | text | admits |
/// | --- | --- |
/// | `192.0.2.1`, `2001:db8::1` | this address, signed or not |
/// | `192.0.2.0/24` | these addresses, signed or not |
/// | `key:NAME` | any address, if the request is signed with this key |
/// | `192.0.2.0/24 key:NAME` | these addresses, and only with this key |
///
/// A prefix with bits set behind its length is refused: it shows that another prefix, or a single address, was meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    prefix: Option<IpNet>,
    key: Option<Name>,
}

/// What is wrong with the text of a [`Rule`], and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// Neither prefix nor key.
    #[error("an access rule is empty; write an address, a prefix, `key:NAME`, or a prefix and a key")]
    Empty,
    /// The address part does not parse.
    #[error("`{0}` is no address or prefix; write e.g. `192.0.2.1`, `192.0.2.0/24`, `2001:db8::/32` or `key:NAME`")]
    Prefix(String),
    /// Bits are set behind the prefix length.
    #[error("`{given}` has bits set behind its length; write `{network}` for the network or `{address}` for the host")]
    HostBits {
        /// As it was written.
        given: String,
        /// The network it lies in.
        network: IpNet,
        /// The address alone.
        address: IpAddr,
    },
    /// The key is no domain name.
    #[error("`{0}` is no name of a TSIG key")]
    Key(String),
    /// More than a prefix and a key.
    #[error("`{0}` has too many parts; an access rule is at most one prefix and one `key:NAME`")]
    TooMany(String),
}

impl Rule {
    /// Whether the rule lets a request from `peer` in that was signed with `key` (`None`: unsigned).
    pub fn admits(&self, peer: IpAddr, key: Option<&Name>) -> bool {
        self.covers(peer) && self.key.as_ref().is_none_or(|wanted| key == Some(wanted))
    }

    /// The key the rule demands.
    pub fn key(&self) -> Option<&Name> {
        self.key.as_ref()
    }

    fn covers(&self, peer: IpAddr) -> bool {
        self.prefix.is_none_or(|prefix| prefix.contains(&peer.to_canonical()))
    }
}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Rule, RuleError> {
        let mut rule = Rule { prefix: None, key: None };
        for part in text.split_whitespace() {
            match part.strip_prefix("key:") {
                Some(name) if rule.key.is_none() => {
                    rule.key = Some(name.parse().map_err(|_| RuleError::Key(name.to_owned()))?);
                }
                None if rule.prefix.is_none() && rule.key.is_none() => rule.prefix = Some(parse_prefix(part)?),
                _ => return Err(RuleError::TooMany(text.to_owned())),
            }
        }
        if rule.prefix.is_none() && rule.key.is_none() { Err(RuleError::Empty) } else { Ok(rule) }
    }
}

fn parse_prefix(text: &str) -> Result<IpNet, RuleError> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(address.to_canonical()));
    }
    let net = text.parse::<IpNet>().map_err(|_| RuleError::Prefix(text.to_owned()))?;
    if net.addr() != net.network() {
        return Err(RuleError::HostBits { given: text.to_owned(), network: net.trunc(), address: net.addr() });
    }
    Ok(unmapped(net))
}

/// `::ffff:192.0.2.0/120` is `192.0.2.0/24`: peers are compared after the same conversion.
fn unmapped(net: IpNet) -> IpNet {
    const MAPPED: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96);
    match net {
        IpNet::V6(v6) if MAPPED.contains(&v6) => {
            let v4 = v6.addr().to_ipv4_mapped().expect("inside ::ffff:0:0/96");
            IpNet::V4(Ipv4Net::new_assert(v4, v6.prefix_len() - 96))
        }
        other => other,
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix {
            Some(prefix) if prefix.prefix_len() == prefix.max_prefix_len() => write!(f, "{}", prefix.addr())?,
            Some(prefix) => write!(f, "{prefix}")?,
            None => {}
        }
        match &self.key {
            Some(key) if self.prefix.is_some() => write!(f, " key:{}", key.without_dot()),
            Some(key) => write!(f, "key:{}", key.without_dot()),
            None => Ok(()),
        }
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Rule, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Whether the contents of a zone come from elsewhere or are edited here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Kind {
    /// Transferred from its primaries.
    #[default]
    Secondary,
    /// Edited here; nobody can notify us about it.
    Local,
}

/// A primary as far as access goes: where its NOTIFYs come from and how they are signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrimaryAccess {
    /// Its address; a NOTIFY may come from any port.
    pub address: IpAddr,
    /// The key of the exchanges with it; if there is one, its NOTIFYs must be signed with it, too.
    pub key: Option<Name>,
}

/// The access rules of one zone. The default admits nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ZoneAccess {
    /// Transferred or local.
    pub kind: Kind,
    /// In the order of the zone's primary list, so that an index here is an index there.
    pub primaries: Box<[PrimaryAccess]>,
    /// Further sources of NOTIFY: a primary with several addresses sends from one it is not transferred from. Shared
    /// between zones.
    pub allow_notify: Arc<[Rule]>,
    /// Downstreams. Shared between zones.
    pub allow_transfer: Arc<[Rule]>,
    /// Who may ask questions; `None`: everybody. Shared between zones.
    pub allow_query: Option<Arc<[Rule]>>,
}

/// What becomes of a NOTIFY or a transfer request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Allow,
    /// Answer REFUSED (EDE 18), signed if the request was.
    Refuse(Refusal),
    /// Answer NOTAUTH (EDE 20): a NOTIFY for a zone that has no primary but us.
    NotAuth,
}

/// Why a request is refused; for the counter and the log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// No rule covers the address, whatever the key.
    Address,
    /// A signature would have been needed.
    Unsigned,
    /// Signed with a known key, which is not the one needed here.
    Key,
}

impl ZoneAccess {
    /// Judges a NOTIFY from `peer` that was signed with `key` (verified; `None`: unsigned).
    pub fn notify(&self, peer: IpAddr, key: Option<&Name>) -> Verdict {
        match self.kind {
            Kind::Local => Verdict::NotAuth,
            Kind::Secondary if self.primary_at(peer, key).is_some() => Verdict::Allow,
            Kind::Secondary => {
                let at_primary = self.primaries.iter().any(|primary| primary.is_at(peer));
                judge(&self.allow_notify, peer, key, at_primary)
            }
        }
    }

    /// Judges an AXFR or IXFR request from `peer` that was signed with `key` (verified; `None`: unsigned).
    pub fn transfer(&self, peer: IpAddr, key: Option<&Name>) -> Verdict {
        judge(&self.allow_transfer, peer, key, false)
    }

    /// Judges an ordinary query from `peer` that was signed with `key` (verified; `None`: unsigned).
    pub fn query(&self, peer: IpAddr, key: Option<&Name>) -> Verdict {
        self.allow_query.as_deref().map_or(Verdict::Allow, |rules| judge(rules, peer, key, false))
    }

    /// Which primary a NOTIFY from `peer` speaks for: the first at this address (any port) whose key it used. `None`
    /// for sources admitted by `allow-notify` alone.
    pub fn primary_at(&self, peer: IpAddr, key: Option<&Name>) -> Option<usize> {
        self.primaries
            .iter()
            .position(|primary| primary.is_at(peer) && primary.key.as_ref().is_none_or(|wanted| key == Some(wanted)))
    }
}

impl PrimaryAccess {
    fn is_at(&self, peer: IpAddr) -> bool {
        self.address.to_canonical() == peer.to_canonical()
    }
}

/// `covered`: the address is already known to be one that some key would let in.
fn judge(rules: &[Rule], peer: IpAddr, key: Option<&Name>, covered: bool) -> Verdict {
    if rules.iter().any(|rule| rule.admits(peer, key)) {
        return Verdict::Allow;
    }
    if !covered && !rules.iter().any(|rule| rule.covers(peer)) {
        return Verdict::Refuse(Refusal::Address);
    }
    Verdict::Refuse(if key.is_none() { Refusal::Unsigned } else { Refusal::Key })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn name(text: &str) -> Name {
        text.parse().expect("a name")
    }

    fn rules(texts: &[&str]) -> Arc<[Rule]> {
        texts.iter().map(|text| text.parse().expect("a rule")).collect()
    }

    fn zone(primaries: &[(&str, Option<&str>)], allow_notify: &[&str]) -> ZoneAccess {
        ZoneAccess {
            kind: Kind::Secondary,
            primaries: primaries
                .iter()
                .map(|(address, key)| PrimaryAccess { address: ip(address), key: key.map(name) })
                .collect(),
            allow_notify: rules(allow_notify),
            allow_transfer: rules(&[]),
            allow_query: None,
        }
    }

    #[test]
    fn notify_from_a_configured_primary_is_allowed_whatever_the_port() {
        let zone = zone(&[("192.0.2.1", None), ("2001:db8::1", None)], &[]);
        assert_eq!(zone.notify(ip("192.0.2.1"), None), Verdict::Allow);
        assert_eq!(zone.notify(ip("2001:db8::1"), None), Verdict::Allow);
        assert_eq!(zone.primary_at(ip("2001:db8::1"), None), Some(1));
    }

    /// RFC 1996 §3.10 wants a NOTIFY from a host that is no known master ignored and logged; we answer REFUSED, since
    /// silence only makes the sender repeat itself.
    #[test]
    fn notify_from_elsewhere_is_refused() {
        let zone = zone(&[("192.0.2.1", None)], &["198.51.100.0/24"]);
        assert_eq!(zone.notify(ip("203.0.113.9"), None), Verdict::Refuse(Refusal::Address));
        assert_eq!(zone.notify(ip("203.0.113.9"), Some(&name("known."))), Verdict::Refuse(Refusal::Address));
    }

    #[test]
    fn notify_may_come_from_another_address_of_a_primary() {
        let zone = zone(&[("192.0.2.1", None)], &["198.51.100.0/24", "2001:db8::7"]);
        assert_eq!(zone.notify(ip("198.51.100.200"), None), Verdict::Allow);
        assert_eq!(zone.notify(ip("2001:db8::7"), None), Verdict::Allow);
        assert_eq!(zone.primary_at(ip("198.51.100.200"), None), None);
    }

    #[test]
    fn notify_for_a_local_zone_is_not_ours_to_take() {
        let zone = ZoneAccess { kind: Kind::Local, allow_notify: rules(&["0.0.0.0/0"]), ..ZoneAccess::default() };
        assert_eq!(zone.notify(ip("192.0.2.1"), None), Verdict::NotAuth);
    }

    #[test]
    fn a_primary_with_a_key_must_sign_its_notify() {
        let zone = zone(&[("192.0.2.1", Some("transfer."))], &[]);
        assert_eq!(zone.notify(ip("192.0.2.1"), None), Verdict::Refuse(Refusal::Unsigned));
        assert_eq!(zone.notify(ip("192.0.2.1"), Some(&name("other."))), Verdict::Refuse(Refusal::Key));
        assert_eq!(zone.notify(ip("192.0.2.1"), Some(&name("TRANSFER."))), Verdict::Allow);
    }

    #[test]
    fn an_allow_notify_rule_can_waive_the_key_of_a_primary() {
        let zone = zone(&[("192.0.2.1", Some("transfer."))], &["192.0.2.1"]);
        assert_eq!(zone.notify(ip("192.0.2.1"), None), Verdict::Allow);
    }

    #[test]
    fn two_primaries_at_one_address_are_told_apart_by_key() {
        let zone = zone(&[("192.0.2.1", Some("a.")), ("192.0.2.1", Some("b."))], &[]);
        assert_eq!(zone.primary_at(ip("192.0.2.1"), Some(&name("b."))), Some(1));
    }

    #[test]
    fn a_rule_with_prefix_and_key_demands_both() {
        let zone = zone(&[], &["192.0.2.0/24 key:tier.example"]);
        let key = name("tier.example.");
        assert_eq!(zone.notify(ip("192.0.2.9"), Some(&key)), Verdict::Allow);
        assert_eq!(zone.notify(ip("192.0.2.9"), None), Verdict::Refuse(Refusal::Unsigned));
        assert_eq!(zone.notify(ip("192.0.2.9"), Some(&name("x."))), Verdict::Refuse(Refusal::Key));
        assert_eq!(zone.notify(ip("192.0.3.9"), Some(&key)), Verdict::Refuse(Refusal::Address));
    }

    #[test]
    fn a_key_rule_admits_any_address() {
        let zone = ZoneAccess { allow_transfer: rules(&["key:down."]), ..ZoneAccess::default() };
        assert_eq!(zone.transfer(ip("203.0.113.1"), Some(&name("down."))), Verdict::Allow);
        assert_eq!(zone.transfer(ip("203.0.113.1"), None), Verdict::Refuse(Refusal::Unsigned));
    }

    #[test]
    fn everybody_may_ask_unless_a_rule_says_who() {
        let open = ZoneAccess::default();
        assert_eq!(open.query(ip("203.0.113.1"), None), Verdict::Allow);
        let some = ZoneAccess { allow_query: Some(rules(&["192.0.2.0/24", "key:inside."])), ..ZoneAccess::default() };
        assert_eq!(some.query(ip("192.0.2.7"), None), Verdict::Allow);
        assert_eq!(some.query(ip("203.0.113.1"), Some(&name("inside."))), Verdict::Allow);
        assert_ne!(some.query(ip("203.0.113.1"), None), Verdict::Allow);
        let nobody = ZoneAccess { allow_query: Some(rules(&[])), ..ZoneAccess::default() };
        assert_eq!(nobody.query(ip("192.0.2.7"), None), Verdict::Refuse(Refusal::Address));
    }

    #[test]
    fn transfers_are_refused_by_default_also_to_primaries() {
        let zone = zone(&[("192.0.2.1", None)], &["192.0.2.0/24"]);
        assert_eq!(zone.transfer(ip("192.0.2.1"), None), Verdict::Refuse(Refusal::Address));
    }

    #[test]
    fn mapped_peers_and_mapped_rules_compare_as_ipv4() {
        let zone = zone(&[("192.0.2.1", None)], &["::ffff:198.51.100.0/120", "::ffff:203.0.113.5"]);
        assert_eq!(zone.notify(ip("::ffff:192.0.2.1"), None), Verdict::Allow);
        assert_eq!(zone.notify(ip("198.51.100.3"), None), Verdict::Allow);
        assert_eq!(zone.notify(ip("::ffff:203.0.113.5"), None), Verdict::Allow);
    }

    #[test]
    fn rules_are_written_back_as_they_are_read() {
        for text in ["192.0.2.1", "192.0.2.0/24", "2001:db8::/32", "2001:db8::1", "key:a.b", "192.0.2.0/24 key:a.b"] {
            let rule: Rule = text.parse().expect("a rule");
            assert_eq!(rule.to_string(), text);
            let json = serde_json::to_string(&rule).expect("json");
            assert_eq!(serde_json::from_str::<Rule>(&json).expect("a rule"), rule);
        }
    }

    #[test]
    fn a_bad_rule_says_what_would_be_right() {
        let wrong = |text: &str| text.parse::<Rule>().expect_err("refused").to_string();
        assert!(wrong("").contains("empty"));
        assert!(wrong("ns1.example").contains("no address or prefix"));
        assert!(wrong("192.0.2.5/24").contains("`192.0.2.0/24` for the network or `192.0.2.5` for the host"));
        assert!(wrong("key:a..b").contains("no name of a TSIG key"));
        assert!(wrong("192.0.2.1 198.51.100.1").contains("too many"));
        assert!(wrong("key:a key:b").contains("too many"));
    }
}
