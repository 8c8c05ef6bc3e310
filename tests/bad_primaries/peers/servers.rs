//! How each program is told to be a secondary of many primaries, with the defaults of its makers but for addresses,
//! directories, and the limit of 10 MB or 100,000 records where it knows one (B5).

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::Key;
use crate::address;
use crate::client::Dns;
use crate::daemon::{Entry, Secondaryd};
use crate::process::{Process, run};
use crate::signed::KEY;
use crate::wait;

/// A zone, its primary and the key between them.
pub(super) type Zone = (String, SocketAddr, Option<Key>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Program {
    Secondaryd,
    Knot,
    Nsd,
    Bind,
    PowerDns,
}

impl Program {
    pub(super) const ALL: [Program; 5] =
        [Program::Secondaryd, Program::Knot, Program::Nsd, Program::Bind, Program::PowerDns];

    pub(super) fn name(self) -> &'static str {
        match self {
            Program::Secondaryd => "secondaryd",
            Program::Knot => "Knot DNS",
            Program::Nsd => "NSD",
            Program::Bind => "BIND 9",
            Program::PowerDns => "PowerDNS",
        }
    }

    fn command(self) -> Option<(&'static str, &'static str)> {
        Some(match self {
            Program::Secondaryd => return None,
            Program::Knot => ("/usr/sbin/knotd", "-V"),
            Program::Nsd => ("/usr/sbin/nsd", "-v"),
            Program::Bind => ("/usr/sbin/named", "-v"),
            Program::PowerDns => ("/usr/sbin/pdns_server", "--version"),
        })
    }

    /// Whether it is there; prints the version, or that it is left out.
    pub(super) fn is_installed(self) -> bool {
        let Some((path, argument)) = self.command() else { return true };
        let is_usable = self != Program::PowerDns || Path::new(POWERDNS_SCHEMA).exists();
        let Some(output) = Command::new(path).arg(argument).output().ok().filter(|_| is_usable) else {
            println!("left out: {} is not installed", self.name());
            return false;
        };
        let text = [output.stdout, output.stderr].concat();
        println!("{}", String::from_utf8_lossy(&text).lines().find(|line| line.contains('.')).unwrap_or_default());
        true
    }
}

const POWERDNS_SCHEMA: &str = "/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql";

pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) dns: Dns,
    running: Running,
    _dir: TempDir,
}

enum Running {
    Ours(Box<Secondaryd>),
    Peer(Process),
}

impl Server {
    #[track_caller]
    pub(super) fn start(program: Program, zones: &[Zone]) -> Server {
        let dir = tempfile::Builder::new().prefix("secondaryd-peers-").tempdir().expect("temporary directory");
        if program == Program::Secondaryd {
            return ours(zones, dir);
        }
        let address = if program == Program::Bind { address::localhost() } else { address::ipv4() };
        let path = dir.path().to_str().expect("temporary directories have plain names");
        let mut command = match program {
            Program::Secondaryd => unreachable!("started above"),
            Program::Knot => knot(path, address, zones),
            Program::Nsd => nsd(path, address, zones),
            Program::Bind => bind(path, address, zones),
            Program::PowerDns => powerdns(path, address, zones),
        };
        let process = Process::start(program.name(), &mut command, &dir.path().join("log"));
        Server { address, dns: Dns::new(address), running: Running::Peer(process), _dir: dir }
    }

    pub(super) fn log(&self) -> String {
        match &self.running {
            Running::Ours(ours) => ours.log(),
            Running::Peer(process) => process.log(),
        }
    }
}

/// With defaults, too: the harness's short first waits and lowest timers aside.
fn ours(zones: &[Zone], dir: TempDir) -> Server {
    let mut ours = Secondaryd::reserve().with_settings("max-records = 100000\nmax-bytes = \"10MiB\"\n");
    for (zone, primary, key) in zones {
        ours = ours.with_zone(Entry::new(zone, &[*primary]).with_key(*key));
    }
    let ours = ours.started();
    let address = ours.address();
    Server { address, dns: Dns::new(address), running: Running::Ours(Box::new(ours)), _dir: dir }
}

fn at(address: SocketAddr) -> String {
    format!("{}@{}", address.ip(), address.port())
}

fn knot(dir: &str, address: SocketAddr, zones: &[Zone]) -> Command {
    let mut text = format!(
        "server:\n rundir: {dir}\n listen: {}\ncontrol:\n listen: {dir}/control\nlog:\n - target: stderr\n   any: info\n\
         database:\n storage: {dir}\nkey:\n - id: {}\n   algorithm: {}\n   secret: {}\n\
         acl:\n - id: primaries\n   address: 127.0.0.0/8\n   action: notify\nremote:\n",
        at(address),
        KEY.name,
        KEY.algorithm,
        KEY.secret
    );
    for (zone, primary, key) in zones {
        let key = key.map(|key| format!("   key: {}\n", key.name)).unwrap_or_default();
        let _ = write!(text, " - id: {zone}\n   address: {}\n{key}", at(*primary));
    }
    let _ = write!(
        text,
        "template:\n - id: default\n   storage: {dir}\n   file: \"%s.zone\"\n   acl: primaries\n   zone-max-size: 10M\nzone:\n"
    );
    zones.iter().for_each(|(zone, ..)| _ = write!(text, " - domain: {zone}\n   master: {zone}\n"));
    fs::write(format!("{dir}/conf"), text).expect("configuration");
    let mut command = Command::new("/usr/sbin/knotd");
    command.args(["-c", &format!("{dir}/conf")]);
    command
}

fn nsd(dir: &str, address: SocketAddr, zones: &[Zone]) -> Command {
    let mut text = format!(
        "server:\n ip-address: {}\n server-count: 1\n username: \"\"\n chroot: \"\"\n zonesdir: \"{dir}\"\n\
         pidfile: \"{dir}/pid\"\n xfrdfile: \"{dir}/xfrd.state\"\n zonelistfile: \"{dir}/zone.list\"\n xfrdir: \"{dir}\"\n\
         database: \"\"\n verbosity: 2\n rrl-ratelimit: 0\nremote-control:\n control-enable: no\n\
         key:\n name: \"{}\"\n algorithm: {}\n secret: \"{}\"\n",
        at(address),
        KEY.name,
        KEY.algorithm,
        KEY.secret
    );
    for (zone, primary, key) in zones {
        let key = key.map_or("NOKEY", |key| key.name);
        let _ = write!(
            text,
            "zone:\n name: \"{zone}\"\n zonefile: \"{zone}.zone\"\n request-xfr: {} {key}\n\
             allow-notify: 127.0.0.0/8 NOKEY\n size-limit-xfr: 10000000\n",
            at(*primary)
        );
    }
    fs::write(format!("{dir}/conf"), text).expect("configuration");
    let mut command = Command::new("/usr/sbin/nsd");
    command.args(["-d", "-c", &format!("{dir}/conf")]);
    command
}

fn bind(dir: &str, address: SocketAddr, zones: &[Zone]) -> Command {
    let mut text = format!(
        "options {{ directory \"{dir}\"; listen-on port {} {{ {}; }}; listen-on-v6 {{ none; }}; pid-file \"{dir}/pid\";\n\
         session-keyfile \"{dir}/session.key\"; recursion no; dnssec-validation no; empty-zones-enable no; notify no;\n\
         max-records 100000; }};\ncontrols {{ }};\nlogging {{ channel e {{ stderr; severity info; }}; category default {{ e; }}; }};\n\
         key {:?} {{ algorithm {}; secret \"{}\"; }};\n",
        address.port(),
        address.ip(),
        KEY.name,
        KEY.algorithm,
        KEY.secret
    );
    for (zone, primary, key) in zones {
        let key = key.map(|key| format!("key {:?}", key.name)).unwrap_or_default();
        let _ = writeln!(
            text,
            "zone \"{zone}\" {{ type secondary; file \"{zone}.copy\"; primaries {{ {} port {} {key}; }}; \
             allow-notify {{ 127.0.0.0/8; }}; }};",
            primary.ip(),
            primary.port()
        );
    }
    fs::write(format!("{dir}/conf"), text).expect("configuration");
    let mut command = Command::new("/usr/sbin/named");
    command.args(["-f", "-n", "1", "-c", &format!("{dir}/conf")]);
    command
}

fn powerdns(dir: &str, address: SocketAddr, zones: &[Zone]) -> Command {
    let text = format!(
        "launch=gsqlite3\ngsqlite3-database={dir}/zones.db\ngsqlite3-dnssec=yes\nlocal-address={}\nlocal-port={}\n\
         secondary=yes\nallow-notify-from=127.0.0.0/8\nxfr-max-received-mbytes=10\ndaemon=no\nguardian=no\nwrite-pid=no\n\
         disable-syslog=yes\nloglevel=4\nsocket-dir={dir}\nsecurity-poll-suffix=\ncache-ttl=0\nquery-cache-ttl=0\n\
         negquery-cache-ttl=0\n",
        address.ip(),
        address.port()
    );
    fs::write(format!("{dir}/pdns.conf"), text).expect("configuration");
    // One script for all zones: as `pdnsutil create-secondary-zone` and `activate-tsig-key ... secondary` would do.
    let mut script = format!(".read {POWERDNS_SCHEMA}\n");
    let _ = writeln!(
        script,
        "insert into tsigkeys (name, algorithm, secret) values ('{}', '{}', '{}');",
        KEY.name, KEY.algorithm, KEY.secret
    );
    for (zone, primary, key) in zones {
        let _ = writeln!(script, "insert into domains (name, master, type) values ('{zone}', '{primary}', 'SLAVE');");
        if let Some(key) = key {
            let _ = writeln!(
                script,
                "insert into domainmetadata (domain_id, kind, content) select id, 'AXFR-MASTER-TSIG', '{}' from domains \
                 where name = '{zone}';",
                key.name
            );
        }
        // IXFR is off unless asked for.
        let _ = writeln!(
            script,
            "insert into domainmetadata (domain_id, kind, content) select id, 'IXFR', '1' from domains where name = '{zone}';"
        );
    }
    fs::write(format!("{dir}/zones.sql"), script).expect("script");
    run(Command::new("sqlite3").arg(format!("{dir}/zones.db")).arg(format!(".read {dir}/zones.sql")));
    let mut command = Command::new("/usr/sbin/pdns_server");
    command.arg(format!("--config-dir={dir}"));
    command
}

/// Nothing of a server is left when its test is over.
impl Drop for Server {
    fn drop(&mut self) {
        if let Running::Peer(process) = &mut self.running {
            process.stop();
            wait::poll(Duration::from_secs(5), || process.ended());
        }
    }
}
