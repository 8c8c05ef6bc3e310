//! One server under test as a process group with its state: started, stopped, notified, and what it costs.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::address;
use crate::peer::{Peer, Program, Setup};
use crate::process::{Process, group_members};
use crate::zones::Zone;

/// Who is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    Ours,
    Knot,
    Nsd,
    /// No server: what the machine takes without one. Where queries are measured it sends datagrams back, else it is a
    /// [`crate::bare`] secondary.
    Floor,
}

impl Who {
    /// As in tables and arguments.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Who::Ours => "secondaryd",
            Who::Knot => "knot",
            Who::Nsd => "nsd",
            Who::Floor => "floor",
        }
    }

    /// What is measured; `None` if it is not installed.
    pub(crate) fn version(self) -> Option<String> {
        match self {
            Who::Ours => Some(format!("secondaryd {}", env!("CARGO_PKG_VERSION"))),
            Who::Knot => Program::Knot.version(),
            Who::Nsd => Program::Nsd.version(),
            Who::Floor => Some("an echo; transfers read and dropped".to_owned()),
        }
    }
}

enum Server {
    Own { dir: TempDir, program: PathBuf, arguments: Vec<OsString>, process: Option<Process> },
    Peer(Box<Peer>),
}

/// A server with its zones.
pub(crate) struct Contender {
    pub(crate) who: Who,
    pub(crate) address: SocketAddr,
    server: Server,
    /// How long it does nothing when it is at rest.
    pub(crate) calm: Duration,
}

/// How long a contender does nothing when it is at rest, unless a tiny run says less.
const CALM: Duration = Duration::from_millis(500);

impl Contender {
    /// Writes the configuration of a secondary for `zones` with so many threads that answer; starts nothing.
    pub(crate) fn prepare(who: Who, primary: SocketAddr, zones: &[String], workers: usize) -> Contender {
        let program = match who {
            Who::Knot => Program::Knot,
            Who::Nsd => Program::Nsd,
            Who::Ours => return Contender::ours(primary, zones, workers),
            Who::Floor => return Contender::bare(primary, zones),
        };
        let setup = Setup::secondary(program, primary).with_workers(workers);
        let address = setup.listen;
        // Serials matter to interop's own waiting only, which is not used here.
        let zones: Vec<_> =
            zones.iter().map(|name| Zone { name: name.clone(), text: String::new(), serial: 0 }).collect();
        Contender { who, address, server: Server::Peer(Box::new(setup.prepare(&zones))), calm: CALM }
    }

    /// The settings of `lab.json`: a release build's defaults.
    fn ours(primary: SocketAddr, zones: &[String], workers: usize) -> Contender {
        let dir = directory();
        let (address, api) = (address::ipv4(), address::ipv4());
        let mut text = format!(
            "state-dir = {:?}\n[dns]\nlisten = [\"{address}\"]\nworkers = {workers}\n[api]\nlisten = [\"{api}\"]\n\
             [log]\nfilter = \"warn\"\n",
            dir.path().join("state").to_str().expect("a plain name"),
        );
        for zone in zones {
            // NOTIFYs come from the benches, not from the primary's address.
            let notify = "allow-notify = [\"127.0.0.0/8\"]";
            let _ = write!(text, "[[secondary-zone]]\nname = {zone:?}\nprimaries = [\"{primary}\"]\n{notify}\n");
        }
        let file = dir.path().join("conf");
        fs::write(&file, text).expect("configuration");
        let arguments = vec!["run".into(), "--config".into(), file.into()];
        Contender::own(Who::Ours, address, dir, env!("CARGO_BIN_EXE_secondaryd").into(), arguments)
    }

    fn bare(primary: SocketAddr, zones: &[String]) -> Contender {
        let (dir, address) = (directory(), address::ipv4());
        let file = dir.path().join("zones");
        fs::write(&file, zones.join("\n")).expect("its zones");
        let program = std::env::current_exe().expect("this program");
        let arguments = [address.to_string(), primary.to_string()].map(OsString::from);
        let arguments = [OsString::from("--bare")].into_iter().chain(arguments);
        let arguments = arguments.chain([dir.path().into(), file.into()]).collect();
        Contender::own(Who::Floor, address, dir, program, arguments)
    }

    fn own(who: Who, address: SocketAddr, dir: TempDir, program: PathBuf, arguments: Vec<OsString>) -> Contender {
        Contender { who, address, server: Server::Own { dir, program, arguments, process: None }, calm: CALM }
    }

    /// Starts it (again) and waits for nothing.
    pub(crate) fn launch(&mut self) {
        match &mut self.server {
            Server::Peer(peer) => peer.launch(),
            Server::Own { dir, program, arguments, process } => {
                let mut command = Command::new(program);
                command.args(arguments).env_remove("SECONDARYD_LOG");
                *process = Some(Process::start(self.who.name(), &mut command, &dir.path().join("log")));
            }
        }
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        match &mut self.server {
            Server::Peer(peer) => peer.kill(),
            Server::Own { process, .. } => {
                process.as_mut().expect("started").kill();
            }
        }
    }

    /// SIGTERM, and waits.
    pub(crate) fn stop(&mut self) {
        match &mut self.server {
            Server::Peer(peer) => peer.stop(),
            Server::Own { process, .. } => {
                process.as_mut().expect("started").stop();
            }
        }
    }

    /// Waits until it has nothing to do, and has everything on disk.
    pub(crate) fn rest(&self) {
        self.quiet();
        if let Server::Peer(peer) = &self.server
            && self.who == Who::Nsd
        {
            peer.flush();
            // A reload that it tells to write has to start first.
            std::thread::sleep(self.calm);
            self.quiet();
        }
    }

    /// Waits until it has used no processor time for as long as [`Contender::calm`] says; at most a minute.
    pub(crate) fn quiet(&self) {
        let end = Instant::now() + Duration::from_secs(60);
        let (mut last, mut since) = (self.cpu(), Instant::now());
        while since.elapsed() < self.calm && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(50));
            let now = self.cpu();
            // One tick is housekeeping.
            if now > last + 0.011 {
                (last, since) = (now, Instant::now());
            }
        }
    }

    /// Pins every process and thread of it to one core.
    pub(crate) fn pin(&self, core: usize) {
        for pid in self.pids() {
            pin(pid, core);
        }
    }

    /// Processor time so far in seconds, user and system, with children that have ended.
    pub(crate) fn cpu(&self) -> f64 {
        let ticks: u64 = self
            .pids()
            .into_iter()
            .filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/stat")).ok())
            .map(|stat| fields(&stat)[11..15].iter().filter_map(|field| field.parse::<u64>().ok()).sum::<u64>())
            .sum();
        ticks as f64 / 100.0
    }

    /// Octets given to the block layer so far.
    pub(crate) fn written(&self) -> u64 {
        let of = |pid| {
            let io = fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
            io.lines().find_map(|line| line.strip_prefix("write_bytes: "))?.parse::<u64>().ok()
        };
        self.pids().into_iter().filter_map(of).sum()
    }

    /// Memory in octets: the sum of PSS, so pages that processes share count once.
    pub(crate) fn memory(&self) -> u64 {
        memory(&self.pids())
    }

    /// The highest [`Contender::memory`] from now until the result is asked for.
    pub(crate) fn peak(&self) -> Peak {
        let (over, highest) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(self.memory())));
        let group = self.group();
        let (is_over, shared) = (over.clone(), highest.clone());
        std::thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                shared.fetch_max(memory(&group_members(group)), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Peak { over, highest }
    }

    /// The last lines of its log.
    pub(crate) fn log(&self) -> String {
        let log = match &self.server {
            Server::Peer(peer) => peer.log(),
            Server::Own { process, .. } => process.as_ref().map(Process::log).unwrap_or_default(),
        };
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    fn group(&self) -> u32 {
        match &self.server {
            Server::Peer(peer) => peer.process().id(),
            Server::Own { process, .. } => process.as_ref().expect("started").id(),
        }
    }

    fn pids(&self) -> Vec<u32> {
        group_members(self.group())
    }
}

fn directory() -> TempDir {
    tempfile::Builder::new().prefix("secondaryd-compare-").tempdir().expect("temporary directory")
}

/// See [`Contender::peak`].
pub(crate) struct Peak {
    over: Arc<AtomicBool>,
    highest: Arc<AtomicU64>,
}

impl Peak {
    /// Octets.
    pub(crate) fn end(self) -> u64 {
        self.over.store(true, Ordering::Relaxed);
        self.highest.load(Ordering::Relaxed)
    }
}

/// Pins a process with its threads, or one thread, to one core.
pub(crate) fn pin(id: u32, core: usize) {
    let arguments = ["-acp", &core.to_string(), &id.to_string()];
    // On a machine with a single core there is nothing to pin.
    let _ = Command::new("taskset").args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
}

/// Pins the calling thread only.
pub(crate) fn pin_this_thread(core: usize) {
    let thread: Option<PathBuf> = fs::read_link("/proc/thread-self").ok();
    let Some(id) = thread.as_ref().and_then(|path| path.file_name()?.to_str()) else { return };
    let arguments = ["-cp", &core.to_string(), id];
    let _ = Command::new("taskset").args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
}

/// Processor time of this process and its ended children, as in `/proc/PID/stat`, in seconds.
pub(crate) fn cpu_of(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let ticks: u64 = fields(&stat)[11..13].iter().filter_map(|field| field.parse::<u64>().ok()).sum();
    ticks as f64 / 100.0
}

/// The fields behind the program's name, which may hold anything.
fn fields(stat: &str) -> Vec<&str> {
    let mut fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    fields.resize(fields.len().max(50), "0");
    fields
}

fn memory(pids: &[u32]) -> u64 {
    let of = |pid: &u32| {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
        line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()
    };
    pids.iter().filter_map(of).sum::<u64>() << 10
}
