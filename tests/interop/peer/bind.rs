//! BIND 9: `ixfr-from-differences` fills its journal when a master file is read again.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::process::Command;

use super::{Peer, Sent, count, daemon, file_name};
use crate::process::run;

/// Key of the control channel, which is on a loopback address of this test only.
const CONTROL_KEY: &str = "key control { algorithm hmac-sha256; secret \"aW50ZXJvcCBjb250cm9sIGNoYW5uZWw=\"; };\n";

pub(super) fn command(peer: &Peer) -> Command {
    let mut command = daemon("named");
    command.args(["-f", "-n", "1", "-c"]).arg(peer.path("conf"));
    command
}

pub(super) fn configuration(peer: &Peer) -> String {
    let (dir, setup) = (peer.dir(), &peer.setup);
    let (ip, port) = (setup.listen.ip(), setup.listen.port());
    let key = setup.key.map(|key| format!("key {:?}", key.name)).unwrap_or_default();
    let at = |address: SocketAddr| format!("{} port {} {key};", address.ip(), address.port());
    let (listen, source) = match ip {
        IpAddr::V4(_) => (format!("listen-on port {port} {{ {ip}; }}; listen-on-v6 {{ none; }};"), ""),
        IpAddr::V6(_) => (format!("listen-on {{ none; }}; listen-on-v6 port {port} {{ {ip}; }};"), "-v6"),
    };
    let allowed = if key.is_empty() { "127.0.0.0/8; ::1".to_owned() } else { key.clone() };
    let also: String = setup.notify.iter().map(|address| at(*address)).collect();
    let (tls, listen_tls) = match &setup.tls {
        None => (String::new(), String::new()),
        Some(tls) => {
            let clients = tls.clients.as_ref().map_or("", |_| "ca-file \"clients.pem\";");
            (
                format!(
                    "tls xot {{ cert-file \"{dir}/tls.pem\"; key-file \"{dir}/tls.key\"; {} protocols {{ TLSv1.3; }}; }};\n",
                    clients.replace("clients.pem", &format!("{dir}/clients.pem"))
                ),
                format!("listen-on port {} tls xot {{ {}; }};", tls.listen.port(), tls.listen.ip()),
            )
        }
    };
    let catalog = setup.catalog.zip(setup.primary).map(|(catalog, primary)| {
        let primaries = at(primary);
        format!("catalog-zones {{ zone \"{catalog}\" default-primaries {{ {primaries} }} min-update-interval 1; }};")
    });
    let catalog = catalog.unwrap_or_default();
    let mut text = format!(
        "{tls}options {{\n directory \"{dir}\"; {listen} {listen_tls}\n pid-file \"{dir}/pid\"; session-keyfile \"{dir}/session.key\";\n\
         recursion no; dnssec-validation no; empty-zones-enable no; check-names primary ignore; check-integrity no;\n\
         notify explicit; also-notify {{ {also} }}; notify-source{source} {ip}; notify-delay 0; notify-rate 1000;\n\
         startup-notify-rate 1000; allow-transfer {{ {allowed}; }}; ixfr-from-differences {}; provide-ixfr yes; max-ixfr-ratio unlimited;\n{} }};\n\
         {CONTROL_KEY}controls {{ inet {} port {} allow {{ any; }} keys {{ control; }}; }};\n\
         logging {{ channel e {{ stderr; severity debug 3; }}; category default {{ e; }}; category xfer-out {{ e; }};\n\
         category xfer-in {{ e; }}; category notify {{ e; }}; category client {{ null; }}; category resolver {{ null; }}; }};\n",
        if setup.differences { "yes" } else { "no" },
        catalog,
        peer.control.ip(),
        peer.control.port()
    );
    if let Some(key) = setup.key {
        let _ = writeln!(text, "key {:?} {{ algorithm {}; secret \"{}\"; }};", key.name, key.algorithm, key.secret);
    }
    for zone in peer.zones.keys().map(String::as_str).chain(setup.catalog.filter(|_| setup.primary.is_some())) {
        let _ = match setup.primary {
            None => writeln!(text, "zone \"{zone}\" {{ type primary; file \"{}\"; }};", file_name(zone)),
            Some(primary) => writeln!(
                text,
                "zone \"{zone}\" {{ type secondary; file \"{zone}.copy\"; masterfile-format text; primaries {{ {} }}; \
                 allow-notify {{ 127.0.0.0/8; }}; }};",
                at(primary)
            ),
        };
    }
    std::fs::write(peer.path("control.key"), CONTROL_KEY).expect("key of the control channel");
    text
}

pub(super) fn reload(peer: &Peer, zone: &str) {
    let (ip, port) = (peer.control.ip().to_string(), peer.control.port().to_string());
    run(daemon("rndc").arg("-k").arg(peer.path("control.key")).args(["-s", &ip, "-p", &port, "reload", zone]));
}

pub(super) fn sent(log: &str) -> Sent {
    Sent {
        axfr: count(log, &["transfer of", ": AXFR ended"]) + count(log, &["transfer of", "AXFR-style IXFR ended"]),
        ixfr: count(log, &["transfer of", ": IXFR ended"]),
    }
}
