//! Primaries as clients write and read them: `primaryIps`, and our `primaries` for keys and transports.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::api::fault::{ErrorCode, Message};
use crate::api::settings::Settings;
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

/// What an address means where nothing is said of its transport.
#[derive(Clone, Copy)]
pub(in crate::api) struct Meaning<'a> {
    /// The port of one without.
    pub(in crate::api) port: u16,
    /// Where the configuration has primaries that are asked over TLS.
    pub(in crate::api) tls: &'a [SocketAddr],
    /// Whether an IP alone is one of those. Not where a zone is replaced: what clients have read of it they may write again.
    pub(in crate::api) by_ip: bool,
}

impl<'a> Meaning<'a> {
    /// That of a zone which is not here yet.
    pub(in crate::api) fn of_new(settings: &'a Settings) -> Meaning<'a> {
        Meaning { port: settings.primary_port, tls: &settings.tls_primaries, by_ip: true }
    }

    /// The primary at `text`: never in clear text where the configuration says TLS.
    fn primary(&self, text: &str, port: Option<u16>) -> Result<Primary, String> {
        let mut address = peer_address(text, self.port)?;
        if let Some(port) = port {
            set_port(&mut address, self.port, port)?;
        }
        // With a port of its own the default does not matter.
        let has_port = port.is_some() || peer_address(text, 1) == peer_address(text, 2);
        let over_tls = match self.tls.contains(&address) {
            true => Some(address),
            false if has_port || !self.by_ip => None,
            false => {
                let of_ip = || self.tls.iter().filter(|tls| tls.ip() == address.ip());
                of_ip().find(|tls| tls.port() == PRIMARY_TLS_PORT).or_else(|| of_ip().next()).copied()
            }
        };
        Ok(match over_tls {
            Some(address) => Primary { transport: Transport::Tls, ..Primary::at(address) },
            None => Primary::at(address),
        })
    }
}

/// Reads what a client sent; with both members, `primaryIps` gives the order and `primaries` the rest.
pub(in crate::api) fn parse(
    ips: Option<&[String]>,
    entries: Option<&[Entry]>,
    meaning: Meaning<'_>,
) -> Result<Vec<Primary>, Vec<Message>> {
    let entries = entries.map(|entries| in_order("properties.primaries", entries, |e| e.parse(meaning))).transpose()?;
    // Beside entries addresses are nothing but the order.
    let of_ips = if entries.is_some() { Meaning { tls: &[], ..meaning } } else { meaning };
    let ips = ips.map(|ips| in_order("properties.primaryIps", ips, |text| of_ips.primary(text, None))).transpose()?;
    match (ips, entries) {
        (None, None) => Err(vec![Message {
            code: ErrorCode::MissingValue,
            text: "properties.primaryIps is missing: 1 to 10 addresses of primary name servers.".into(),
        }]),
        (Some(ips), None) => Ok(ips),
        (None, Some(entries)) => Ok(entries),
        (Some(ips), Some(entries)) => combine(&ips, entries, meaning),
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

fn combine(ips: &[Primary], entries: Vec<Primary>, meaning: Meaning<'_>) -> Result<Vec<Primary>, Vec<Message>> {
    // `primaryIps` may leave the port out, and means that of the entry's transport.
    let is_same = |ip: SocketAddr, entry: &Primary| {
        let is_known = entry.address.port() == PRIMARY_TLS_PORT || meaning.tls.contains(&entry.address);
        let by_default = entry.transport == Transport::Tls && is_known;
        entry.address == ip || by_default && ip.port() == meaning.port && entry.address.ip() == ip.ip()
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
    fn parse(&self, meaning: Meaning<'_>) -> Result<Primary, String> {
        let at = |default_port| {
            let mut address = peer_address(&self.ip, default_port)?;
            self.port.map_or(Ok(()), |port| set_port(&mut address, default_port, port)).map(|()| address)
        };
        let primary = match self.transport.as_deref() {
            None => meaning.primary(&self.ip, self.port)?,
            Some("tcp") => Primary::at(at(meaning.port)?),
            Some("tls") => Primary { transport: Transport::Tls, ..Primary::at(at(PRIMARY_TLS_PORT)?) },
            Some(other) => return Err(format!("transport {other:?} is not one this daemon speaks: tcp, tls")),
        };
        let tsig_key = self
            .tsig_key
            .as_deref()
            .map(|key| key.parse::<Name>().map_err(|error| format!("tsigKey {key:?} is no domain name: {error}")));
        Ok(Primary { tsig_key: tsig_key.transpose()?, ..primary })
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

/// Gives the address the port that stands beside it.
fn set_port(address: &mut SocketAddr, default_port: u16, port: u16) -> Result<(), String> {
    if address.port() != default_port && address.port() != port {
        return Err(format!("ip names port {}, port is {port}", address.port()));
    }
    if port == 0 {
        return Err("port 0 cannot be connected to".to_owned());
    }
    address.set_port(port);
    Ok(())
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

    /// Without primaries over TLS in the configuration.
    const PLAIN: Meaning<'static> = Meaning { port: 53, tls: &[], by_ip: true };

    fn ips(texts: &[&str]) -> Result<Vec<String>, Vec<Message>> {
        let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
        parse(Some(&texts), None, PLAIN).map(|primaries| spelled(&primaries, 53))
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
        assert!(parse(Some(&many[..10]), None, PLAIN).is_ok());
        assert!(parse(Some(&many), None, PLAIN).is_err());
        assert!(ips(&["192.0.2.1", "192.0.2.1#53"]).is_err());
        assert!(ips(&["2001:db8::1", "2001:DB8::0:1"]).is_err());
        assert!(parse(None, None, PLAIN).is_err());
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
        let both = parse(Some(&texts), Some(&entries), PLAIN).expect("the same");
        assert_eq!(spelled(&both, 53), texts);
        assert_eq!(both[1].tsig_key.as_ref().map(Name::without_dot).as_deref(), Some("transfer"));
        assert!(parse(Some(&texts[..1]), Some(&entries), PLAIN).is_err());
        assert!(parse(Some(&texts), Some(&entries[..1]), PLAIN).is_err());
    }

    #[test]
    fn a_transport_we_do_not_speak_is_refused() {
        assert!(parse(None, Some(&[entry(r#"{"ip":"192.0.2.1","transport":"quic"}"#)]), PLAIN).is_err());
    }

    /// RFC 9103 §7.2, RFC 7858 §3.1: port 853 unless another is agreed upon.
    #[test]
    fn a_primary_over_tls_is_asked_at_port_853_unless_another_is_written() {
        let parsed = |json| parse(None, Some(&[entry(json)]), PLAIN).expect("a primary")[0].clone();
        let primary = parsed(r#"{"ip":"192.0.2.1","transport":"tls"}"#);
        assert_eq!((primary.address.port(), primary.transport), (853, Transport::Tls));
        assert_eq!(parsed(r#"{"ip":"192.0.2.1","port":8853,"transport":"tls"}"#).address.port(), 8853);
        let both =
            parse(Some(&["192.0.2.1".to_owned()]), Some(&[entry(r#"{"ip":"192.0.2.1","transport":"tls"}"#)]), PLAIN);
        assert_eq!(both.expect("the same"), [primary]);
    }

    #[test]
    fn what_the_configuration_asks_over_tls_is_not_asked_in_clear_text() {
        let tls = ["192.0.2.1:8853", "192.0.2.2:8853", "192.0.2.2:853"].map(|text| text.parse().expect("an address"));
        let meaning = Meaning { tls: &tls, ..PLAIN };
        let of = |text: &str, entry: &str, meaning| {
            let one = match entry {
                "" => parse(Some(&[text.to_owned()]), None, meaning),
                entry => parse(None, Some(&[self::entry(&entry.replace("IP", text))]), meaning),
            };
            let Primary { address, transport, .. } = one.expect("a primary")[0].clone();
            (address.to_string(), transport)
        };
        // the very address, or an IP alone, whatever else is said of it
        for entry in ["", r#"{"ip":"IP"}"#, r#"{"ip":"IP","tsigKey":"k"}"#] {
            for (text, address) in
                [("192.0.2.1#8853", "192.0.2.1:8853"), ("192.0.2.1", "192.0.2.1:8853"), ("192.0.2.2", "192.0.2.2:853")]
            {
                assert_eq!(of(text, entry, meaning), (address.to_owned(), Transport::Tls), "{text} {entry}");
            }
            // another port is another server
            for (text, address) in [("192.0.2.1#53", "192.0.2.1:53"), ("192.0.2.3", "192.0.2.3:53")] {
                assert_eq!(of(text, entry, meaning), (address.to_owned(), Transport::Tcp), "{text} {entry}");
            }
        }
        let by_port = of("192.0.2.1", r#"{"ip":"IP","port":8853}"#, meaning);
        assert_eq!(by_port, ("192.0.2.1:8853".to_owned(), Transport::Tls));
        // unless it is said
        let clear = of("192.0.2.1", r#"{"ip":"IP","port":8853,"transport":"tcp"}"#, meaning);
        assert_eq!(clear, ("192.0.2.1:8853".to_owned(), Transport::Tcp));
        // what clients have read of a zone that is here stays what it is
        let here = Meaning { by_ip: false, ..meaning };
        assert_eq!(of("192.0.2.1", "", here), ("192.0.2.1:53".to_owned(), Transport::Tcp));
        assert_eq!(of("192.0.2.1#8853", "", here).1, Transport::Tls);
        // both members
        let both = parse(Some(&["192.0.2.1".to_owned()]), Some(&[entry(r#"{"ip":"192.0.2.1"}"#)]), meaning);
        assert_eq!(both.expect("the same")[0].transport, Transport::Tls);
        let clear = entry(r#"{"ip":"192.0.2.1","transport":"tcp"}"#);
        assert_eq!(
            parse(Some(&["192.0.2.1".to_owned()]), Some(&[clear]), meaning).expect("the same")[0].address.port(),
            53
        );
    }

    #[test]
    fn entries_are_shown_when_they_say_more_than_addresses() {
        let plain = parse(None, Some(&[entry(r#"{"ip":"192.0.2.1"}"#)]), PLAIN).expect("a primary");
        assert_eq!(entries(&plain), None);
        let keyed = parse(None, Some(&[entry(r#"{"ip":"192.0.2.1","tsigKey":"K."}"#)]), PLAIN).expect("a primary");
        let shown = serde_json::to_string(&entries(&keyed)).expect("json");
        assert_eq!(shown, r#"[{"ip":"192.0.2.1","port":53,"tsigKey":"k","transport":"tcp"}]"#);
    }
}
