//! NSD: `create-ixfr` makes differences when a master file is read again (since 4.5).

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::Command;

use super::{Peer, Sent, daemon, file_name};
use crate::process::run;

pub(super) fn command(peer: &Peer) -> Command {
    let mut command = daemon("nsd");
    command.args(["-d", "-c"]).arg(peer.path("conf"));
    command
}

pub(super) fn configuration(peer: &Peer) -> String {
    let (dir, setup) = (peer.dir(), &peer.setup);
    let at = |address: SocketAddr| format!("{}@{}", address.ip(), address.port());
    let key = setup.key.map_or("NOKEY", |key| key.name);
    let tls = setup.tls.as_ref().map_or_else(String::new, |tls| {
        format!(
            " ip-address: {}\n tls-port: {}\n tls-service-key: \"{dir}/tls.key\"\n tls-service-pem: \"{dir}/tls.pem\"\n",
            at(tls.listen),
            tls.listen.port()
        )
    });
    let mut text = format!(
        "server:\n ip-address: {}\n server-count: 1\n username: \"\"\n chroot: \"\"\n zonesdir: \"{dir}\"\n\
         pidfile: \"{dir}/pid\"\n xfrdfile: \"{dir}/xfrd.state\"\n zonelistfile: \"{dir}/zone.list\"\n xfrdir: \"{dir}\"\n database: \"\"\n\
         verbosity: {}\n xfrd-reload-timeout: 0\n rrl-ratelimit: 0\n{tls}\
         remote-control:\n control-enable: yes\n control-interface: \"{dir}/control\"\n",
        at(setup.listen),
        if setup.workers.is_some() { 1 } else { 3 }
    );
    if setup.workers.is_some() {
        // As many transfers at once as it can: the default of 128 connections without pipelining is for gentle use.
        text = text.replacen("server:\n", "server:\n tcp-count: 200\n xfrd-tcp-max: 256\n xfrd-tcp-pipeline: 128\n", 1);
    }
    if let Some(key) = setup.key {
        let _ =
            write!(text, "key:\n name: \"{}\"\n algorithm: {}\n secret: \"{}\"\n", key.name, key.algorithm, key.secret);
    }
    for zone in peer.zones.keys() {
        let _ = write!(
            text,
            "zone:\n name: \"{zone}\"\n zonefile: \"{}\"\n outgoing-interface: {}\n",
            file_name(zone),
            setup.listen.ip()
        );
        let _ = write!(text, " provide-xfr: 127.0.0.0/8 {key}\n provide-xfr: ::1 {key}\n");
        if setup.differences {
            text.push_str(" store-ixfr: yes\n create-ixfr: yes\n");
        }
        for address in &setup.notify {
            let _ = writeln!(text, " notify: {} {key}", at(*address));
        }
        if let Some(primary) = setup.primary {
            let _ = write!(text, " request-xfr: {} {key}\n allow-notify: 127.0.0.0/8 {key}\n", at(primary));
        }
    }
    text
}

fn control(peer: &Peer, arguments: &[&str]) -> String {
    run(daemon("nsd-control").arg("-c").arg(peer.path("conf")).args(arguments))
}

/// Writes its zone files; it does so itself once an hour.
pub(super) fn flush(peer: &Peer) {
    control(peer, &["write"]);
}

pub(super) fn reload(peer: &Peer, zone: &str) {
    control(peer, &["reload", zone]);
}

/// From its counters. NSD counts an IXFR question that it answers with the whole zone as IXFR too.
pub(super) fn sent(peer: &Peer) -> Sent {
    let text = control(peer, &["stats_noreset"]);
    let number = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')?.parse().ok()).unwrap_or(0)
    };
    Sent { axfr: number("num.raxfr"), ixfr: number("num.rixfr") }
}
