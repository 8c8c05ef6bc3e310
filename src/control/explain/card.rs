//! The own-address card: who we are to a primary, and what to write into its configuration so that it lets us in.
//!
//! Snippets are complete for the zone and take the place of nothing: a test gives each to the checker of its server,
//! where that is installed. The secret is never in them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::Serialize;

use super::Facts;

/// Stands where the secret belongs; valid base64, so that checkers take it.
const SECRET: &str = "REPLACE/THIS/BY/THE/SHARED/SECRET/OF/THE/KEY";

/// Who we are to a primary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Card {
    /// Addresses we ask from, as seen in exchanges or as configured; empty if nothing was ever sent.
    pub source_addresses: Vec<String>,
    /// Where NOTIFY should be sent, with ports.
    pub notify_addresses: Vec<String>,
    /// The key that signs, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tsig_key: Option<String>,
    /// Its algorithm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<String>,
    /// Ready to paste, one for each kind of primary.
    pub snippets: Vec<Snippet>,
}

/// What to write into the configuration of one kind of primary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Snippet {
    /// Which name server.
    pub server: &'static str,
    /// Where it goes.
    pub file: &'static str,
    /// The lines.
    pub text: String,
}

impl Facts {
    /// Addresses we ask from, without ports: those seen, else those configured.
    pub(super) fn sources(&self) -> Vec<String> {
        let shown = self.zone.primaries.iter().filter_map(|primary| primary.attempt.as_deref());
        let seen = shown.chain(self.attempts.iter().map(|attempt| &**attempt)).filter_map(|attempt| attempt.local);
        let configured = self.zone.definition.primaries.iter().filter_map(|primary| primary.source);
        let all: BTreeSet<IpAddr> =
            seen.map(|local| local.ip()).chain(configured).filter(|ip| !ip.is_unspecified()).collect();
        all.iter().map(ToString::to_string).collect()
    }
}

impl Card {
    /// The card for the zone's primaries.
    pub(super) fn new(facts: &Facts) -> Card {
        let definition = &facts.zone.definition;
        let key = definition.primaries.iter().find_map(|primary| primary.tsig_key.as_ref());
        let algorithm = key.map(|name| {
            let known = facts.surroundings.keys.iter().find(|(known, _)| known == name);
            known.map_or("hmac-sha256".to_owned(), |(_, algorithm)| algorithm.clone())
        });
        let key = key.map(|key| key.without_dot());
        let sources = facts.sources();
        let notify = notify_addresses(facts, &sources);
        let order = Order {
            zone: definition.name.without_dot(),
            sources: if sources.is_empty() { vec!["ADDRESS-OF-THIS-HOST".to_owned()] } else { sources.clone() },
            notify: notify.clone(),
            key: key.clone().zip(algorithm.clone()),
        };
        let snippets = vec![order.bind(), order.knot(), order.nsd(), order.powerdns(), order.windows()];
        let notify_addresses = notify.iter().map(|(ip, port)| format!("{ip}#{port}")).collect();
        Card { source_addresses: sources, notify_addresses, tsig_key: key, algorithm, snippets }
    }
}

/// Where we hear NOTIFY: the listening addresses; for a wildcard the addresses we ask from.
fn notify_addresses(facts: &Facts, sources: &[String]) -> Vec<(String, u16)> {
    let mut addresses = Vec::new();
    for listen in &facts.surroundings.listen {
        if listen.ip().is_unspecified() {
            addresses.extend(sources.iter().map(|source| (source.clone(), listen.port())));
        } else {
            addresses.push((listen.ip().to_string(), listen.port()));
        }
    }
    addresses.dedup();
    addresses
}

/// What a snippet is made of.
struct Order {
    zone: String,
    sources: Vec<String>,
    notify: Vec<(String, u16)>,
    /// Name and algorithm.
    key: Option<(String, String)>,
}

impl Order {
    /// BIND 9: named.conf.
    fn bind(&self) -> Snippet {
        let mut text = String::new();
        if let Some((key, algorithm)) = &self.key {
            text += &format!("key \"{key}\" {{\n    algorithm {algorithm};\n    secret \"{SECRET}\";\n}};\n\n");
        }
        let allowed = match &self.key {
            Some((key, _)) => format!("key \"{key}\";"),
            None => self.sources.iter().map(|source| format!("{source};")).collect::<Vec<_>>().join(" "),
        };
        let signed = self.key.as_ref().map_or(String::new(), |(key, _)| format!(" key \"{key}\""));
        let notify: Vec<_> = self.notify.iter().map(|(ip, port)| format!("{ip} port {port}{signed};")).collect();
        text += &format!(
            "zone \"{zone}\" {{\n    type primary;\n    file \"{zone}.zone\";    // as it is now\n    allow-transfer {{ {allowed} }};\n    notify yes;\n    also-notify {{ {} }};\n}};\n",
            notify.join(" "),
            zone = self.zone,
        );
        Snippet { server: "BIND", file: "named.conf", text }
    }

    /// Knot DNS: knot.conf.
    fn knot(&self) -> Snippet {
        let mut text = String::new();
        if let Some((key, algorithm)) = &self.key {
            text += &format!("key:\n  - id: {key}\n    algorithm: {algorithm}\n    secret: {SECRET}\n\n");
        }
        let key = self.key.as_ref().map_or(String::new(), |(key, _)| format!("    key: {key}\n"));
        let notify: Vec<_> = self.notify.iter().map(|(ip, port)| format!("{ip}@{port}")).collect();
        text += &format!("remote:\n  - id: secondaryd\n    address: [{}]\n{key}\n", notify.join(", "));
        text += &format!(
            "acl:\n  - id: secondaryd-transfer\n    address: [{}]\n{key}    action: transfer\n\n",
            self.sources.join(", ")
        );
        text += &format!("zone:\n  - domain: {}\n    notify: secondaryd\n    acl: secondaryd-transfer\n", self.zone);
        Snippet { server: "Knot DNS", file: "knot.conf", text }
    }

    /// NSD: nsd.conf.
    fn nsd(&self) -> Snippet {
        let mut text = String::new();
        if let Some((key, algorithm)) = &self.key {
            text += &format!("key:\n    name: \"{key}\"\n    algorithm: {algorithm}\n    secret: \"{SECRET}\"\n\n");
        }
        let key = self.key.as_ref().map_or("NOKEY", |(key, _)| key);
        text += &format!(
            "zone:\n    name: \"{zone}\"\n    zonefile: \"{zone}.zone\"    # as it is now\n",
            zone = self.zone
        );
        for (ip, port) in &self.notify {
            text += &format!("    notify: {ip}@{port} {key}\n");
        }
        for source in &self.sources {
            text += &format!("    provide-xfr: {source} {key}\n");
        }
        Snippet { server: "NSD", file: "nsd.conf", text }
    }

    /// PowerDNS: its own command; `primary=yes` has to stand in pdns.conf.
    fn powerdns(&self) -> Snippet {
        let zone = &self.zone;
        let mut text = "# pdns.conf has: primary=yes\n".to_owned();
        if let Some((key, algorithm)) = &self.key {
            text += &format!("pdnsutil import-tsig-key {key} {algorithm} '{SECRET}'\n");
            text += &format!("pdnsutil activate-tsig-key {zone} {key} primary\n");
        }
        text += &format!("pdnsutil set-meta {zone} ALLOW-AXFR-FROM {}\n", self.sources.join(" "));
        let notify: Vec<_> = self
            .notify
            .iter()
            .map(|(ip, port)| if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") })
            .collect();
        text += &format!("pdnsutil set-meta {zone} ALSO-NOTIFY {}\n", notify.join(" "));
        text += "pdns_control purge\n";
        Snippet { server: "PowerDNS", file: "shell", text }
    }

    /// Windows DNS: PowerShell. It knows no TSIG, and sends NOTIFY to port 53 only.
    fn windows(&self) -> Snippet {
        let mut text = String::new();
        if self.key.is_some() {
            text += "# Windows DNS does not know TSIG: take tsig-key away from this primary here.\n";
        }
        if self.notify.iter().any(|(_, port)| *port != 53) {
            text += "# Windows DNS sends NOTIFY to port 53 only: listen there.\n";
        }
        let notify: Vec<_> = self.notify.iter().map(|(ip, _)| ip.clone()).collect();
        text += &format!(
            "Set-DnsServerPrimaryZone -Name \"{}\" -SecureSecondaries TransferToSecureServers -SecondaryServers {} -Notify NotifyServers -NotifyServers {}\n",
            self.zone,
            self.sources.join(","),
            notify.join(",")
        );
        Snippet { server: "Windows DNS", file: "PowerShell", text }
    }
}
