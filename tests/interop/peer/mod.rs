//! A real name server with its zones, in a temporary directory.
//!
//! Part of the interop tests and of `tests/bench/compare`; neither uses all of it.
#![allow(dead_code)]

mod bind;
mod knot;
mod nsd;
mod powerdns;

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::Key;
use crate::address;
use crate::certificates::{self, Pair};
use crate::client::Dns;
use crate::process::Process;
use crate::wait::{self, SOON};
use crate::zones::Zone;

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    Knot,
    Nsd,
    Bind,
    PowerDns,
}

impl Program {
    /// The version that is installed.
    pub(crate) fn version(self) -> Option<String> {
        let (program, argument) = match self {
            Program::Knot => ("knotd", "-V"),
            Program::Nsd => ("nsd", "-v"),
            Program::Bind => ("named", "-v"),
            Program::PowerDns => ("pdns_server", "--version"),
        };
        let output = daemon(program).arg(argument).output().ok()?;
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        text.lines().find(|line| line.chars().any(|c| c.is_ascii_digit())).map(str::to_owned)
    }

    /// A free IPv4 address the program can listen on.
    pub(crate) fn free_address(self) -> SocketAddr {
        if self == Program::Bind { address::localhost() } else { address::ipv4() }
    }

    /// Whether it is there; says why a test is skipped if not.
    pub(crate) fn is_installed(self) -> bool {
        let version = self.version();
        match &version {
            Some(version) => eprintln!("{self:?}: {version}"),
            None => eprintln!("skipped: {self:?} is not installed"),
        }
        version.is_some()
    }
}

/// A command of a system directory that users do not have in their PATH.
pub(crate) fn daemon(name: &str) -> Command {
    let found = ["/usr/sbin", "/usr/local/sbin"].iter().map(|dir| Path::new(dir).join(name)).find(|path| path.exists());
    Command::new(found.unwrap_or_else(|| PathBuf::from(name)))
}

/// What a server is told.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// Which server.
    pub(crate) program: Program,
    /// Where it answers; its own messages leave from here too.
    pub(crate) listen: SocketAddr,
    /// The key that transfers need and that signs its NOTIFYs.
    pub(crate) key: Option<Key>,
    /// Who gets NOTIFY.
    pub(crate) notify: Vec<SocketAddr>,
    /// The primary it transfers from; `None`: it is the primary.
    pub(crate) primary: Option<SocketAddr>,
    /// Whether it keeps differences and so can answer IXFR, where it can at all.
    pub(crate) differences: bool,
    /// Measured: with so many threads that answer, and logging little. `None`: the program's own choice, and all that a
    /// test wants to read.
    pub(crate) workers: Option<usize>,
    /// Answers over TLS too.
    pub(crate) tls: Option<Tls>,
    /// This zone is a catalog: a secondary follows it, a primary makes it of its other zones, in the group [`GROUP`].
    pub(crate) catalog: Option<&'static str>,
}

/// The group of members of a primary's catalog.
pub(crate) const GROUP: &str = "interop";

/// TLS of a server.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    /// The port beside that in clear text, at the same address.
    pub(crate) listen: SocketAddr,
    pub(crate) pair: Pair,
    /// Clients need a certificate of this authority (PEM).
    pub(crate) clients: Option<String>,
}

impl Setup {
    /// A primary at a free IPv4 address, without key and without anyone to notify.
    pub(crate) fn primary(program: Program) -> Setup {
        Setup {
            program,
            listen: program.free_address(),
            key: None,
            notify: Vec::new(),
            primary: None,
            differences: true,
            workers: None,
            tls: None,
            catalog: None,
        }
    }

    /// A secondary of the server at `primary`.
    pub(crate) fn secondary(program: Program, primary: SocketAddr) -> Setup {
        Setup { primary: Some(primary), ..Setup::primary(program) }
    }

    /// Answers at `listen`.
    pub(crate) fn at(self, listen: SocketAddr) -> Setup {
        Setup { listen, ..self }
    }

    /// Transfers and NOTIFYs are signed with `key`.
    pub(crate) fn with_key(self, key: Option<Key>) -> Setup {
        Setup { key, ..self }
    }

    /// New serials are told to the server at `address`.
    pub(crate) fn notifying(mut self, address: SocketAddr) -> Setup {
        self.notify.push(address);
        self
    }

    /// Answers over TLS too, at another port.
    pub(crate) fn with_tls(mut self, pair: Pair, clients: Option<String>) -> Setup {
        let listen = SocketAddr::new(self.listen.ip(), self.program.free_address().port());
        self.tls = Some(Tls { listen, pair, clients });
        self
    }

    /// Has a catalog of this name.
    pub(crate) fn with_catalog(self, name: &'static str) -> Setup {
        Setup { catalog: Some(name), ..self }
    }

    /// Keeps no differences.
    pub(crate) fn without_differences(self) -> Setup {
        Setup { differences: false, ..self }
    }

    /// To be measured, with so many threads that answer.
    pub(crate) fn with_workers(self, workers: usize) -> Setup {
        Setup { workers: Some(workers), ..self }
    }

    /// Starts the server with `zones` and waits until it answers for each.
    #[track_caller]
    pub(crate) fn start(self, zones: &[Zone]) -> Peer {
        let mut peer = self.prepare(zones);
        peer.start();
        peer
    }

    /// Writes the configuration (and the zones of a primary), and starts nothing.
    #[track_caller]
    pub(crate) fn prepare(self, zones: &[Zone]) -> Peer {
        let dir = tempfile::Builder::new().prefix("secondaryd-interop-").tempdir().expect("temporary directory");
        let dns = Dns::new(self.listen);
        let peer = Peer {
            control: address::localhost(),
            zones: zones.iter().map(|zone| (zone.name.clone(), zone.serial)).collect(),
            setup: self,
            dir,
            dns,
            process: None,
        };
        if peer.setup.primary.is_none() {
            zones.iter().for_each(|zone| peer.write_zone(zone));
        }
        peer.configure();
        peer
    }
}

/// Transfers a server has sent, as far as its log or its counters tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    /// Whole zones, asked for as AXFR.
    pub(crate) axfr: usize,
    /// Differences (for PowerDNS, which has none: whole zones asked for as IXFR).
    pub(crate) ixfr: usize,
}

/// A server that runs until dropped.
pub(crate) struct Peer {
    pub(crate) setup: Setup,
    pub(crate) dns: Dns,
    /// Address of its control channel (BIND).
    control: SocketAddr,
    /// Zones with the serial they are at.
    zones: BTreeMap<String, u32>,
    /// Before the directory: it ends first.
    process: Option<Process>,
    dir: TempDir,
}

impl Peer {
    /// Where it answers.
    pub(crate) fn address(&self) -> SocketAddr {
        self.setup.listen
    }

    /// Where it answers over TLS.
    pub(crate) fn tls_address(&self) -> SocketAddr {
        self.setup.tls.as_ref().expect("set up with TLS").listen
    }

    /// Its process.
    pub(crate) fn process(&self) -> &Process {
        self.process.as_ref().expect("started")
    }

    /// Everything it has logged.
    pub(crate) fn log(&self) -> String {
        self.process().log()
    }

    /// Ends it; the port answers with "connection refused" from now on.
    pub(crate) fn stop(&mut self) {
        if let Some(process) = &mut self.process {
            process.stop();
        }
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(process) = &mut self.process {
            process.kill();
        }
    }

    /// Makes what is in memory durable, for a server that does not do it by itself.
    pub(crate) fn flush(&self) {
        if self.setup.program == Program::Nsd {
            nsd::flush(self);
        }
    }

    /// Starts it (again) and waits until it answers for its zones.
    #[track_caller]
    pub(crate) fn start(&mut self) {
        self.launch();
        let name = format!("{:?} at {}", self.setup.program, self.setup.listen);
        let process = self.process.as_mut().expect("launched");
        for (zone, serial) in &self.zones {
            wait::until_true(&format!("{name} serves {zone} {serial}"), SOON * 4, || {
                assert!(process.ended().is_none(), "{name} has ended");
                self.dns.serial(zone) == Some(*serial)
            });
        }
    }

    /// Starts it (again) and does not wait for anything.
    #[track_caller]
    pub(crate) fn launch(&mut self) {
        let name = format!("{:?} at {}", self.setup.program, self.setup.listen);
        let mut command = match self.setup.program {
            Program::Knot => knot::command(self),
            Program::Nsd => nsd::command(self),
            Program::Bind => bind::command(self),
            Program::PowerDns => powerdns::command(self),
        };
        self.process = Some(Process::start(&name, &mut command, &self.dir.path().join("log")));
    }

    /// Loads a new version of a zone, so that IXFR to it is possible if the server can do that at all. NOTIFYs go out.
    #[track_caller]
    pub(crate) fn load(&mut self, zone: &Zone) {
        // BIND takes a file for known that is written in the same tick as the load before: it needs a second try.
        let mut patience = Duration::from_millis(if self.setup.program == Program::Bind { 100 } else { 5000 });
        let loaded = || (self.dns.serial(&zone.name) == Some(zone.serial)).then_some(());
        loop {
            self.write_zone(zone);
            match self.setup.program {
                Program::Knot => knot::reload(self, &zone.name),
                Program::Nsd => nsd::reload(self, &zone.name),
                Program::Bind => bind::reload(self, &zone.name),
                Program::PowerDns => powerdns::reload(self, &zone.name),
            }
            if wait::poll(patience, loaded).is_some() {
                break;
            }
            patience *= 2;
            assert!(patience < SOON * 4, "{:?} does not load {} {}", self.setup.program, zone.name, zone.serial);
        }
        self.zones.insert(zone.name.clone(), zone.serial);
    }

    /// What it says about the transfers it has sent.
    pub(crate) fn sent(&self) -> Sent {
        match self.setup.program {
            Program::Knot => knot::sent(&self.log()),
            Program::Nsd => nsd::sent(self),
            Program::Bind => bind::sent(&self.log()),
            Program::PowerDns => powerdns::sent(&self.log()),
        }
    }

    fn configure(&self) {
        if let Some(Tls { pair, clients, .. }) = &self.setup.tls {
            certificates::write(self.dir.path(), "tls.pem", &pair.certificate);
            certificates::write(self.dir.path(), "tls.key", &pair.key);
            if let Some(authority) = clients {
                certificates::write(self.dir.path(), "clients.pem", authority);
            }
        }
        let text = match self.setup.program {
            Program::Knot => knot::configuration(self),
            Program::Nsd => nsd::configuration(self),
            Program::Bind => bind::configuration(self),
            Program::PowerDns => powerdns::configuration(self),
        };
        fs::write(self.path("conf"), text).expect("configuration");
        if self.setup.program == Program::PowerDns {
            powerdns::prepare(self);
        }
    }

    fn zone_file(&self, zone: &str) -> PathBuf {
        self.path(&file_name(zone))
    }

    /// Replaces the master file in one step: no server ever sees half of it.
    fn write_zone(&self, zone: &Zone) {
        let new = self.path("new-zone");
        fs::write(&new, &zone.text).expect("zone file");
        fs::rename(&new, self.zone_file(&zone.name)).expect("zone file");
    }

    fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    /// The directory as text, for configurations.
    fn dir(&self) -> String {
        self.dir.path().to_str().expect("temporary directories have plain names").to_owned()
    }
}

/// The master file of a zone. That of the root is named as Knot's `%s` wants it.
fn file_name(zone: &str) -> String {
    format!("{}.zone", zone.trim_end_matches('.'))
}

/// Lines of `log` in which all of `words` stand.
fn count(log: &str, words: &[&str]) -> usize {
    log.lines().filter(|line| words.iter().all(|word| line.contains(word))).count()
}
