//! Knot DNS: differences between master files become IXFR by `zonefile-load: difference`.

use std::fmt::Write as _;
use std::process::Command;

use super::{GROUP, Peer, Sent, count, daemon};
use crate::process::run;

pub(super) fn command(peer: &Peer) -> Command {
    let mut command = daemon("knotd");
    command.arg("-c").arg(peer.path("conf"));
    command
}

pub(super) fn configuration(peer: &Peer) -> String {
    let (dir, setup) = (peer.dir(), &peer.setup);
    let at = |address: std::net::SocketAddr| format!("{}@{}", address.ip(), address.port());
    let key_line = setup.key.map(|key| format!("   key: {}\n", key.name)).unwrap_or_default();
    let mut text = format!(
        "server:\n rundir: {dir}\n listen: {}\n background-workers: 2\n{}\
         control:\n listen: {dir}/control\n\
         log:\n - target: stderr\n   any: {}\n\
         database:\n storage: {dir}\n journal-db-mode: {}\n",
        at(setup.listen),
        setup.workers.map(|n| format!(" udp-workers: {n}\n tcp-workers: {n}\n")).unwrap_or_default(),
        if setup.workers.is_some() { "warning" } else { "info" },
        // Its default is what is measured; tests of what is on the wire need no durability.
        if setup.workers.is_some() { "robust" } else { "asynchronous" }
    );
    if let Some(key) = setup.key {
        let _ = write!(text, "key:\n - id: {}\n   algorithm: {}\n   secret: {}\n", key.name, key.algorithm, key.secret);
    }
    text.push_str("remote:\n");
    let remotes: Vec<String> = (0..setup.notify.len()).map(|n| format!("downstream{n}")).collect();
    for (remote, address) in remotes.iter().zip(&setup.notify) {
        let _ =
            write!(text, " - id: {remote}\n   address: {}\n   via: {}\n{key_line}", at(*address), setup.listen.ip());
    }
    if let Some(primary) = setup.primary {
        let _ = write!(text, " - id: primary\n   address: {}\n{key_line}", at(primary));
    }
    let _ =
        write!(text, "acl:\n - id: peers\n   address: [127.0.0.0/8, ::1]\n   action: [transfer, notify]\n{key_line}");
    let journal = match (setup.differences, setup.primary) {
        (true, None) => "   zonefile-load: difference\n   journal-content: changes\n   zonefile-sync: -1\n",
        (false, None) => "   zonefile-load: whole\n   journal-content: none\n   zonefile-sync: -1\n",
        (_, Some(_)) => "   master: primary\n",
    };
    let _ =
        write!(text, "template:\n - id: default\n   storage: {dir}\n   file: \"%s.zone\"\n   acl: peers\n{journal}");
    if !remotes.is_empty() {
        let _ = writeln!(text, "   notify: [{}]", remotes.join(", "));
    }
    text.push_str("zone:\n");
    for zone in peer.zones.keys() {
        let _ = writeln!(text, " - domain: {zone}");
        if let (Some(catalog), None) = (setup.catalog, setup.primary) {
            let _ = writeln!(text, "   catalog-role: member\n   catalog-zone: {catalog}\n   catalog-group: {GROUP}");
        }
    }
    if let Some(catalog) = setup.catalog {
        let role = match setup.primary {
            Some(_) => "   catalog-role: interpret\n   catalog-template: default\n",
            None => "   catalog-role: generate\n",
        };
        let _ = write!(text, " - domain: {catalog}\n{role}");
    }
    text
}

pub(super) fn reload(peer: &Peer, zone: &str) {
    run(daemon("knotc").arg("-s").arg(peer.path("control")).args(["-t", "60", "zone-reload", zone]));
}

pub(super) fn sent(log: &str) -> Sent {
    Sent { axfr: count(log, &["AXFR, outgoing", "finished"]), ixfr: count(log, &["IXFR, outgoing", "finished"]) }
}
