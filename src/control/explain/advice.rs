//! What to do about a code: where, in words, as a command, as lines of configuration.

use serde::Serialize;

use super::{Facts, Witness, at, is_configured};
use crate::control::definition::{Origin, ZoneDefinition};
use crate::control::status::{RefusedNotify, ZoneStatus};
use crate::reason::Code;
use crate::refresh::{Finding, FindingCode};
use crate::served::RefusedFor;

/// Where something has to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Where {
    /// On this host.
    Here,
    /// On the primary.
    Primary,
    /// Between the two.
    Network,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fix {
    /// Where.
    #[serde(rename = "where")]
    pub at: Where,
    /// What and why.
    pub text: String,
    /// A command that does it or shows more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Lines of our own configuration that do it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration: Option<String>,
}

impl Fix {
    fn new(at: Where, text: impl Into<String>) -> Fix {
        Fix { at, text: text.into(), command: None, configuration: None }
    }

    fn with_command(self, command: impl Into<String>) -> Fix {
        Fix { command: Some(command.into()), ..self }
    }

    fn with_configuration(self, configuration: impl Into<String>) -> Fix {
        Fix { configuration: Some(configuration.into()), ..self }
    }
}

/// What to do about a primary that fails.
pub(super) fn advice(facts: &Facts, witness: &Witness<'_>) -> Vec<Fix> {
    let zone = &facts.zone.definition;
    let name = zone.name.without_dot();
    let address = witness.definition.address;
    let (shown, ip, port) = (at(address), address.ip(), address.port());
    let us = facts.sources();
    let us = if us.is_empty() { "this host".to_owned() } else { us.join(", ") };
    let key = witness.definition.tsig_key.as_ref().map(|key| key.without_dot());
    let dig = |what: &str| {
        let source =
            witness.attempt.and_then(|attempt| attempt.local).map_or(String::new(), |l| format!("-b {} ", l.ip()));
        format!("dig {source}@{ip} -p {port} {name} {what}")
    };
    let detail = witness.attempt.map_or("", |attempt| attempt.detail.as_str());
    use Code::*;
    match witness.shown.state.code {
        RcodeRefused => vec![
            Fix::new(
                Where::Primary,
                match &key {
                    Some(key) => format!("Allow transfers of {name} at {shown} from {us} with the key {key}; the snippets below do it."),
                    None => format!("Allow transfers of {name} at {shown} from {us}; the snippets below do it. If it demands a key, configure that here as the zone's tsig-key."),
                },
            )
            .with_command(dig("AXFR")),
        ],
        RcodeNotauth | NotAuthoritative | RcodeNxdomain | SoaCname | SoaReferral | SoaNodata | WrongZone => vec![
            Fix::new(
                Where::Primary,
                format!("Make {shown} authoritative for {name} (its log says why it did not load the zone), or take it out of the zone's primaries."),
            )
            .with_command(dig("SOA +norecurse")),
        ],
        TsigBadKey if detail.contains("no [tsig-key") => {
            let key = key.unwrap_or_default();
            vec![
                Fix::new(Where::Here, format!("Configure the key {key} here; name, algorithm and secret must be those of the primary."))
                    .with_configuration(format!("[tsig-key.\"{key}\"]\nalgorithm = \"hmac-sha256\"\nsecret = \"...\"")),
            ]
        }
        TsigBadKey | TsigBadSig | TsigMissing | TsigBadTrunc => {
            let key = key.unwrap_or_default();
            let text = match witness.shown.state.code {
                TsigBadKey => format!("The primary {shown} does not know the key {key}: name and algorithm must be the same on both sides. Add it there (snippets below), or name here the key the primary has."),
                TsigBadSig => format!("The key {key} has another secret at {shown} than here. Copy the secret from one side to the other."),
                TsigMissing => format!("The primary {shown} does not sign its answers with {key}: configure the key there (snippets below), or take tsig-key away here."),
                _ => format!("The primary {shown} truncates signatures of {key} too far; configure whole ones there."),
            };
            vec![
                Fix::new(Where::Primary, text)
                    .with_command(format!("{} -y ALGORITHM:{key}:SECRET", dig("SOA +norecurse")))
                    .with_configuration(format!("[tsig-key.\"{key}\"]\nsecret = \"...\"")),
            ]
        }
        TsigBadTime => vec![
            Fix::new(
                Where::Network,
                format!("The clocks of this host and of {shown} differ by more than the 300 s that signatures allow. Set the clock of the wrong one, and keep it right with NTP."),
            )
            .with_command("timedatectl status; chronyc tracking".to_owned()),
        ],
        TlsName => {
            let names = witness.attempt.and_then(|attempt| attempt.tls.as_deref()).map(|tls| tls.peer_names.clone()).unwrap_or_default();
            let named = if names.is_empty() { "another name".to_owned() } else { names.join(", ") };
            let line = names.first().map_or("...".to_owned(), Clone::clone);
            vec![
                Fix::new(
                    Where::Here,
                    format!("The certificate of {shown} is for {named}. If that is the primary you mean, name it so here; else get a certificate with the expected name for the primary."),
                )
                .with_configuration(format!("[primary.NAME]\naddress = \"{address}\"\ntransport = \"tls\"\ntls-name = \"{line}\"")),
            ]
        }
        TlsExpired => vec![
            Fix::new(Where::Primary, format!("Renew the certificate of {shown} (and check the clock of this host)."))
                .with_command(format!("openssl s_client -connect {address} -alpn dot </dev/null | openssl x509 -noout -dates")),
        ],
        TlsUntrusted => vec![
            Fix::new(Where::Here, format!("No trusted authority has signed the certificate of {shown}. Trust its authority, or pin its key."))
                .with_configuration(format!("[primary.NAME]\naddress = \"{address}\"\ntransport = \"tls\"\ntls-ca = \"/path/to/ca.pem\"   # or: tls-pin = [\"base64 of the SHA-256 of the key\"]")),
        ],
        TlsVersion => vec![
            Fix::new(Where::Primary, format!("Let {shown} speak TLS 1.3 with ALPN \"dot\" (RFC 9103), or use transport = \"tcp\" with a TSIG key here."))
                .with_command(format!("openssl s_client -connect {address} -alpn dot -tls1_3 </dev/null")),
        ],
        ConnectRefused => vec![
            Fix::new(
                Where::Primary,
                format!("Nothing listens at {ip} port {port} (TCP). Start the name server there, let it listen at that address, or correct the address here."),
            )
            .with_command(format!("nc -vz {ip} {port}")),
        ],
        ConnectTimeout | NetUnreachable => vec![
            Fix::new(
                Where::Network,
                format!("Nothing comes back from {ip}. Look whether the host is up, and let UDP and TCP port {port} pass from {us} to {ip} in every firewall between."),
            )
            .with_command(format!("ping -c 3 {ip}; nc -vz {ip} {port}; traceroute {ip}")),
        ],
        IdleTimeout | TotalTimeout | TooSlow | TruncatedStream => vec![
            Fix::new(
                Where::Network,
                format!("{shown} begins to answer and then stops. Look at its load and log, and at what treats TCP between the two (firewall, MTU)."),
            )
            .with_command(dig("AXFR")),
        ],
        SerialBehind | SerialUndefined | SerialFlapping => {
            let served = facts.zone.served_serial;
            let theirs = witness.shown.state.serial.map_or("an older serial".to_owned(), |serial| format!("serial {serial}"));
            let ahead = served.map_or(String::new(), |served| format!(" above {served}"));
            vec![
                Fix::new(
                    Where::Primary,
                    format!("{shown} has {theirs}. Set the zone's serial there to one{ahead} (RFC 1982), or update that primary from the right one."),
                )
                .with_command(dig("SOA +norecurse")),
                Fix::new(Where::Here, "If the older serial is the right one, take it by force; downstreams will need the same.")
                    .with_command(format!("secondaryctl retransfer {name} --force --wait")),
            ]
        }
        GuardShrink | GuardApex | GuardSigned | HookRefused | HookTimeout | ZonemdMismatch | DnssecExpired => {
            held_back(&facts.zone, &name)
        }
        StorageFailed | StorageCorrupt => vec![
            Fix::new(Where::Here, "The disk refused the zone. Look at its free space and health; the zone is served from memory meanwhile.")
                .with_command("journalctl -u secondaryd -p warning; df -h /var/lib/secondaryd"),
        ],
        LocalSocket => vec![
            Fix::new(Where::Here, "Look how many file descriptors the daemon may have and has; if the detail speaks of an address, correct source, which must be one of this host.")
                .with_command("secondaryctl help LOCAL_SOCKET; grep 'open files' /proc/$(pidof secondaryd)/limits; ls /proc/$(pidof secondaryd)/fd | wc -l"),
        ],
        Loop => vec![
            Fix::new(Where::Here, format!("Take {shown} out of the zone's primaries: it is an address of this server.")),
        ],
        code if code.as_str().starts_with("LIMIT_") => vec![
            Fix::new(Where::Here, format!("The zone is larger than the configuration allows: {detail}. If that is right, raise the key in [transfer].")),
        ],
        code => vec![
            Fix::new(Where::Primary, format!("Look into the log of {shown}, and at what the code means."))
                .with_command(format!("secondaryctl help {code}")),
        ],
    }
}

/// What to do about a version that waits, or a zone that was rolled back.
pub(super) fn review(zone: &ZoneStatus) -> Vec<Fix> {
    let name = zone.definition.name.without_dot();
    let mut fixes = Vec::new();
    if let Some(held) = &zone.remarks.review.held {
        let change =
            format!("It removes {} records and adds {}. Look at the difference first.", held.deleted, held.added);
        fixes.push(Fix::new(Where::Here, change).with_command(format!("secondaryctl diff {name} held")));
        fixes.push(
            Fix::new(Where::Here, "Serve it, or refuse it; the old version is served meanwhile.")
                .with_command(format!("secondaryctl approve {name}   # or: secondaryctl reject {name}")),
        );
    }
    if zone.remarks.review.pinned.is_some() {
        fixes.push(
            Fix::new(Where::Here, "Take newer versions again once the primary has a good one.")
                .with_command(format!("secondaryctl release {name}")),
        );
    }
    fixes
}

/// What to do about something noticed although no exchange failed.
pub(super) fn finding(zone: &ZoneStatus, found: &Finding) -> Fix {
    let name = zone.definition.name.without_dot();
    let primary = found.primary.and_then(|ix| zone.definition.primaries.get(ix));
    let (shown, ip, port) = match primary {
        Some(primary) => {
            (format!("the primary {}", at(primary.address)), primary.address.ip().to_string(), primary.address.port())
        }
        None => ("a primary".to_owned(), "PRIMARY".to_owned(), 53),
    };
    let soa = format!("dig @{ip} -p {port} {name} SOA +norecurse");
    match found.code {
        FindingCode::UdpBlocked => {
            Fix::new(Where::Network, format!("Let UDP port {port} pass between this host and {ip}; until then every poll costs a TCP connection."))
                .with_command(format!("{soa} +notcp"))
        }
        FindingCode::NotifyLost | FindingCode::NotifySilent => Fix::new(
            Where::Primary,
            format!("Let {shown} send NOTIFY for {name} to the notify addresses of the card below (also-notify), and let UDP port 53 pass from it to us."),
        ),
        FindingCode::ResignedSameSerial => {
            Fix::new(Where::Primary, format!("Let {shown} raise the serial of {name} when it signs again: without that no secondary can tell."))
                .with_command(format!("{soa} +dnssec"))
        }
        FindingCode::SerialFlapping => Fix::new(
            Where::Primary,
            format!("Several servers with different versions seem to answer for {shown}; name each by its own address, or let them change together."),
        )
        .with_command(soa),
        FindingCode::PrimariesDisagree => {
            Fix::new(Where::Primary, format!("Bring the primaries of {name} to one version; this compares them."))
                .with_command(format!("secondaryctl check {name}"))
        }
        FindingCode::ExpireFalling => Fix::new(
            Where::Primary,
            format!("The copies of the primaries of {name} run out themselves: repair where they get the zone from."),
        )
        .with_command(format!("dig +expire @{ip} -p {port} {name} SOA")),
    }
}

/// What to do about NOTIFYs that are refused.
pub(super) fn notify(zone: &ZoneDefinition, refused: &RefusedNotify) -> Vec<Fix> {
    let (ip, name) = (refused.from.ip(), zone.name.without_dot());
    let bits = if ip.is_ipv4() { 32 } else { 128 };
    // A member has what its catalog has.
    let of_catalog = match &zone.origin {
        Origin::Catalog(membership) => Some(membership.catalog.without_dot()),
        Origin::Configured { .. } | Origin::Rest => None,
    };
    let defined = of_catalog.as_ref().unwrap_or(&name);
    match refused.why {
        RefusedFor::Source => vec![
            Fix::new(
                Where::Here,
                match is_configured(zone) {
                    Some(catalog) if of_catalog.is_some() => format!("If {ip} is a primary that sends from another address than it is asked at, allow it for the members of {catalog}."),
                    Some(file) => format!("If {ip} is a primary that sends from another address than it is asked at, allow it in {file}."),
                    None => format!("If {ip} is a primary of {name}, add it to the zone's primaries; only zones of the configuration have an allow-notify of their own."),
                },
            )
            .with_configuration(format!("[[secondary-zone]]\nname = \"{defined}\"\nallow-notify = [\"{ip}/{bits}\"]")),
            Fix::new(Where::Primary, "Or let the primary send NOTIFY from the address it is asked at (e.g. BIND: notify-source, Knot: via, NSD: outgoing-interface)."),
        ],
        RefusedFor::Unsigned | RefusedFor::Key => {
            let keys: Vec<_> = zone.primaries.iter().filter_map(|p| p.tsig_key.as_ref()).map(|k| k.without_dot()).collect();
            vec![Fix::new(Where::Primary, format!("Let {ip} sign its NOTIFY for {name} with the key {}; the snippets below do it.", keys.join(" or ")))]
        }
    }
}

/// What to do about a primary whose version was held or rejected; [`review`] tells of what waits now.
fn held_back(zone: &ZoneStatus, name: &str) -> Vec<Fix> {
    if let Some(refused) = &zone.remarks.review.refused {
        let text = format!(
            "Serial {} was rejected by {} and is not fetched again; the primary's next serial will be. To fetch and judge it once more:",
            refused.serial, refused.by
        );
        return vec![Fix::new(Where::Here, text).with_command(format!("secondaryctl retransfer {name}"))];
    }
    if zone.remarks.review.held.is_some() {
        return Vec::new();
    }
    vec![
        Fix::new(
            Where::Here,
            "A new version is held back. Look at it, then approve or reject it; the old one is served meanwhile.",
        )
        .with_command(format!("secondaryctl held {name}")),
    ]
}
