//! Primaries as clients write and read them: `primaryIps`, and our `primaries` for keys and transports.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::api::fault::{ErrorCode, Message};
use crate::config::peer_address;
use crate::control::definition::{PRIMARY_TLS_PORT, Primary, Transport};
use crate::dns::Name;

/// Primaries of one zone at most.
const PRIMARIES_MAX: usize = 10;

/// An entry of `properties.primaries`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct Entry {
    ip: String,
    #[serde(default)]
    port: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tsig_key: Option<String>,
    #[serde(default)]
    transport: Option<String>,
}

/// Reads what a client sent; with both members, `primaryIps` gives the order and `primaries` the rest.
pub(in crate::api) fn parse(
    ips: Option<&[String]>,
    entries: Option<&[Entry]>,
    default_port: u16,
) -> Result<Vec<Primary>, Vec<Message>> {
    let ips = ips
        .map(|ips| in_order("properties.primaryIps", ips, |text| Ok(Primary::at(peer_address(text, default_port)?))));
    let entries = entries.map(|entries| in_order("properties.primaries", entries, |e| e.parse(default_port)));
    match (ips.transpose()?, entries.transpose()?) {
        (None, None) => Err(vec![Message {
            code: ErrorCode::MissingValue,
            text: "properties.primaryIps is missing: 1 to 10 addresses of primary name servers.".into(),
        }]),
        (Some(ips), None) => Ok(ips),
        (None, Some(entries)) => Ok(entries),
        (Some(ips), Some(entries)) => combine(&ips, entries, default_port),
    }
}

fn in_order<T>(
    member: &str,
    items: &[T],
    parse: impl Fn(&T) -> Result<Primary, String>,
) -> Result<Vec<Primary>, Vec<Message>> {
    let wrong = |text: String| Message { code: ErrorCode::BadValue, text: text.into() };
    if !(1..=PRIMARIES_MAX).contains(&items.len()) {
        let text = format!("{member} must hold 1 to {PRIMARIES_MAX} primaries, not {}.", items.len());
        return Err(vec![wrong(text)]);
    }
    let (mut primaries, mut messages) = (Vec::<Primary>::new(), Vec::new());
    for (index, item) in items.iter().enumerate() {
        match parse(item) {
            Err(error) => messages.push(wrong(format!("{member}[{index}]: {error}."))),
            Ok(primary) if primaries.iter().any(|other| other.address == primary.address) => {
                messages.push(wrong(format!("{member}[{index}]: {} is listed twice.", primary.address)));
            }
            Ok(primary) => primaries.push(primary),
        }
    }
    if messages.is_empty() { Ok(primaries) } else { Err(messages) }
}

fn combine(ips: &[Primary], entries: Vec<Primary>, default_port: u16) -> Result<Vec<Primary>, Vec<Message>> {
    // `primaryIps` may leave the port out, and means that of the entry's transport.
    let is_same = |ip: SocketAddr, entry: &Primary| {
        let by_default = entry.transport == Transport::Tls && entry.address.port() == PRIMARY_TLS_PORT;
        entry.address == ip || by_default && ip.port() == default_port && entry.address.ip() == ip.ip()
    };
    let entry_at = |ip: &Primary| entries.iter().find(|entry| is_same(ip.address, entry)).cloned();
    let combined: Option<Vec<Primary>> = ips.iter().map(entry_at).collect();
    combined.filter(|combined| combined.len() == entries.len()).ok_or_else(|| {
        vec![Message {
            code: ErrorCode::BadValue,
            text: "properties.primaryIps and properties.primaries name different addresses.".into(),
        }]
    })
}

impl Entry {
    fn parse(&self, default_port: u16) -> Result<Primary, String> {
        let transport = match self.transport.as_deref() {
            None | Some("tcp") => Transport::Tcp,
            Some("tls") => Transport::Tls,
            Some(other) => return Err(format!("transport {other:?} is not one this daemon speaks: tcp, tls")),
        };
        let default_port = if transport == Transport::Tls { PRIMARY_TLS_PORT } else { default_port };
        let mut address = peer_address(&self.ip, default_port)?;
        if let Some(port) = self.port {
            if address.port() != default_port && address.port() != port {
                return Err(format!("ip names port {}, port is {port}", address.port()));
            }
            if port == 0 {
                return Err("port 0 cannot be connected to".to_owned());
            }
            address.set_port(port);
        }
        let tsig_key = self
            .tsig_key
            .as_deref()
            .map(|key| key.parse::<Name>().map_err(|error| format!("tsigKey {key:?} is no domain name: {error}")));
        Ok(Primary { tsig_key: tsig_key.transpose()?, transport, ..Primary::at(address) })
    }

    fn shown(primary: &Primary) -> Entry {
        Entry {
            ip: primary.address.ip().to_string(),
            port: Some(primary.address.port()),
            tsig_key: primary.tsig_key.as_ref().map(Name::without_dot),
            transport: Some(primary.transport.to_string()),
        }
    }
}

/// `primaryIps` as shown: RFC 5952, with `#port` unless it is the default.
pub(super) fn spelled(primaries: &[Primary], default_port: u16) -> Vec<String> {
    primaries.iter().map(|primary| primary.spelled(default_port)).collect()
}

/// `primaries` as shown: only if some entry says more than an address.
pub(super) fn entries(primaries: &[Primary]) -> Option<Vec<Entry>> {
    let more = |primary: &Primary| primary.tsig_key.is_some() || primary.transport != Transport::default();
    primaries.iter().any(more).then(|| primaries.iter().map(Entry::shown).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(texts: &[&str]) -> Result<Vec<String>, Vec<Message>> {
        let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
        parse(Some(&texts), None, 53).map(|primaries| spelled(&primaries, 53))
    }

    fn entry(json: &str) -> Entry {
        serde_json::from_str(json).expect("an entry")
    }

    #[test]
    fn addresses_come_back_in_rfc_5952_form() {
        let given = ["192.0.2.1", "192.0.2.1#5353", "2001:DB8:0:0::1", "2001:db8::1#5300", "[2001:db8::2]:53"];
        let shown = ["192.0.2.1", "192.0.2.1#5353", "2001:db8::1", "2001:db8::1#5300", "2001:db8::2"];
        assert_eq!(ips(&given).expect("addresses"), shown);
    }

    #[test]
    fn addresses_that_name_no_server_are_refused() {
        for text in [
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
            "ns1.example.net",
            "",
            "192.0.2.01",
            "192.0.2.1#0",
            "192.0.2.0/24",
            "::ffff:192.0.2.1",
        ] {
            assert_eq!(ips(&[text]).expect_err("refused").len(), 1, "{text}");
        }
    }

    #[test]
    fn a_zone_has_one_to_ten_primaries_each_once() {
        assert!(ips(&[]).is_err());
        let many: Vec<String> = (1..=11).map(|n| format!("192.0.2.{n}")).collect();
        assert!(parse(Some(&many[..10]), None, 53).is_ok());
        assert!(parse(Some(&many), None, 53).is_err());
        assert!(ips(&["192.0.2.1", "192.0.2.1#53"]).is_err());
        assert!(ips(&["2001:db8::1", "2001:DB8::0:1"]).is_err());
        assert!(parse(None, None, 53).is_err());
    }

    #[test]
    fn every_bad_entry_is_named() {
        let messages = ips(&["192.0.2.1", "x", "::"]).expect_err("refused");
        assert_eq!(messages.len(), 2);
        assert!(messages[0].text.contains("primaryIps[1]") && messages[1].text.contains("primaryIps[2]"));
    }

    #[test]
    fn both_members_must_name_the_same_addresses() {
        let texts = ["192.0.2.2".to_owned(), "192.0.2.1".to_owned()];
        let entries = [
            entry(r#"{"ip":"192.0.2.1","tsigKey":"transfer"}"#),
            entry(r#"{"ip":"192.0.2.2","port":53,"transport":"tcp"}"#),
        ];
        let both = parse(Some(&texts), Some(&entries), 53).expect("the same");
        assert_eq!(spelled(&both, 53), texts);
        assert_eq!(both[1].tsig_key.as_ref().map(Name::without_dot).as_deref(), Some("transfer"));
        assert!(parse(Some(&texts[..1]), Some(&entries), 53).is_err());
        assert!(parse(Some(&texts), Some(&entries[..1]), 53).is_err());
    }

    #[test]
    fn a_transport_we_do_not_speak_is_refused() {
        assert!(parse(None, Some(&[entry(r#"{"ip":"192.0.2.1","transport":"quic"}"#)]), 53).is_err());
    }

    /// RFC 9103 §7.2, RFC 7858 §3.1: port 853 unless another is agreed upon.
    #[test]
    fn a_primary_over_tls_is_asked_at_port_853_unless_another_is_written() {
        let parsed = |json| parse(None, Some(&[entry(json)]), 53).expect("a primary")[0].clone();
        let primary = parsed(r#"{"ip":"192.0.2.1","transport":"tls"}"#);
        assert_eq!((primary.address.port(), primary.transport), (853, Transport::Tls));
        assert_eq!(parsed(r#"{"ip":"192.0.2.1","port":8853,"transport":"tls"}"#).address.port(), 8853);
        let both =
            parse(Some(&["192.0.2.1".to_owned()]), Some(&[entry(r#"{"ip":"192.0.2.1","transport":"tls"}"#)]), 53);
        assert_eq!(both.expect("the same"), [primary]);
    }

    #[test]
    fn entries_are_shown_when_they_say_more_than_addresses() {
        let plain = parse(None, Some(&[entry(r#"{"ip":"192.0.2.1"}"#)]), 53).expect("a primary");
        assert_eq!(entries(&plain), None);
        let keyed = parse(None, Some(&[entry(r#"{"ip":"192.0.2.1","tsigKey":"K."}"#)]), 53).expect("a primary");
        let shown = serde_json::to_string(&entries(&keyed)).expect("json");
        assert_eq!(shown, r#"[{"ip":"192.0.2.1","port":53,"tsigKey":"k","transport":"tcp"}]"#);
    }
}
