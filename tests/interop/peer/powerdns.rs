//! PowerDNS with the BIND backend: master files, keys in a small database beside them. It has no differences: IXFR is
//! answered with the whole zone.

use std::process::Command;

use super::{Peer, Sent, count, daemon};
use crate::process::run;

pub(super) fn command(peer: &Peer) -> Command {
    let mut command = daemon("pdns_server");
    command.arg(format!("--config-dir={}", peer.dir()));
    command
}

pub(super) fn configuration(peer: &Peer) -> String {
    let (dir, setup) = (peer.dir(), &peer.setup);
    assert!(setup.primary.is_none(), "PowerDNS is only used as a primary");
    let also: Vec<String> = setup.notify.iter().map(ToString::to_string).collect();
    // A listed address needs no key, and a key no address.
    let allowed = if setup.key.is_some() { "" } else { "127.0.0.0/8,::1" };
    format!(
        "launch=bind\nbind-config={dir}/zones\nbind-dnssec-db={dir}/keys\n\
         local-address={}\nlocal-port={}\nquery-local-address={}\n\
         primary=yes\nxfr-cycle-interval=1\nallow-axfr-ips={allowed}\nonly-notify=\nalso-notify={}\n\
         daemon=no\nguardian=no\nwrite-pid=no\ndisable-syslog=yes\nloglevel=7\nsocket-dir={dir}\n\
         security-poll-suffix=\nreceiver-threads=1\ndistributor-threads=1\ncache-ttl=0\nquery-cache-ttl=0\n\
         negquery-cache-ttl=0\n",
        setup.listen.ip(),
        setup.listen.port(),
        setup.listen.ip(),
        also.join(",")
    )
}

/// Its list of zones, the database of keys, and what is signed.
pub(super) fn prepare(peer: &Peer) {
    std::fs::rename(peer.path("conf"), peer.path("pdns.conf")).expect("configuration");
    let zones: String = peer
        .zones
        .keys()
        .map(|zone| format!("zone \"{zone}\" {{ type master; file \"{}\"; }};\n", peer.zone_file(zone).display()))
        .collect();
    std::fs::write(peer.path("zones"), zones).expect("list of zones");
    let keys = peer.path("keys");
    util(peer, &["create-bind-db", keys.to_str().expect("plain name")]);
    if let Some(key) = peer.setup.key {
        util(peer, &["import-tsig-key", key.name, key.algorithm, key.secret]);
    }
    for zone in peer.zones.keys() {
        if let Some(key) = peer.setup.key {
            util(peer, &["activate-tsig-key", zone, key.name, "primary"]);
        }
        if zone.starts_with("signed") {
            util(peer, &["set-presigned", zone]);
        }
    }
}

fn util(peer: &Peer, arguments: &[&str]) {
    run(Command::new("pdnsutil").arg(format!("--config-dir={}", peer.dir())).args(arguments));
}

pub(super) fn reload(peer: &Peer, zone: &str) {
    let socket = format!("--socket-dir={}", peer.dir());
    run(Command::new("pdns_control").arg(socket).args(["bind-reload-now", zone]));
}

/// From its log. It keeps no differences: an IXFR question is logged as such, and then as the AXFR it falls back to.
pub(super) fn sent(log: &str) -> Sent {
    let whole = count(log, &["AXFR-out", "transfer initiated"]);
    let fallen_back = count(log, &["IXFR-out", "IXFR fallback to AXFR"]);
    Sent { axfr: whole.saturating_sub(fallen_back), ixfr: count(log, &["IXFR-out", "transfer initiated"]) }
}
