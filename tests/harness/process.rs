//! One child process with its log; ended by its id when dropped.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::wait;

/// Lines of the log that a failing test shows.
const TAIL: usize = 60;

/// A running child, the leader of a process group of its own (NSD forks).
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Starts `command`; its output is appended to `log`.
    pub(crate) fn start(name: &str, command: &mut Command, log: &Path) -> Process {
        let output = File::options().create(true).append(true).open(log).expect("log file");
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("log file"))
            .stderr(output)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Process { name: name.to_owned(), child, log: log.to_owned(), ended: None }
    }

    /// Its process id, which is that of its group too.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything the process has logged since the first start with this log.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().expect("own child");
        }
        self.ended
    }

    /// SIGTERM, and SIGKILL for what is left after a while.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        if self.ended().is_none() {
            self.signal("TERM");
            if wait::poll(Duration::from_secs(20), || self.ended()).is_none() {
                eprintln!("{}: SIGTERM was not enough", self.name);
            }
        }
        self.kill()
    }

    /// SIGKILL for the whole group, as if the power went.
    pub(crate) fn kill(&mut self) -> ExitStatus {
        self.signal("KILL");
        let status = self.child.wait().expect("own child");
        self.ended = Some(status);
        // NSD's children may hold its addresses for a moment longer than their leader lives
        let group = self.id();
        wait::poll(Duration::from_secs(10), || group_members(group).is_empty().then_some(()));
        status
    }

    /// SIGKILL by one of many who watch it; [`Process::kill`] takes the end in.
    pub(crate) fn kill_now(&self) {
        self.signal("KILL");
    }

    /// Stands still until [`Process::resume`].
    pub(crate) fn pause(&self) {
        self.signal("STOP");
    }

    /// SIGHUP.
    pub(crate) fn hang_up(&self) {
        self.signal("HUP");
    }

    /// Goes on.
    pub(crate) fn resume(&self) {
        self.signal("CONT");
    }

    fn signal(&self, signal: &str) {
        // The shell's own `kill`: it knows process groups, and is there on every system.
        let line = format!("kill -s {signal} -- -{} 2>/dev/null", self.child.id());
        let _ = Command::new("sh").args(["-c", &line]).status();
    }

    fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(TAIL)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of {} ({})\n{}\n---", self.name, self.log.display(), self.tail());
        }
        self.stop();
    }
}

/// Ids of the processes of a group that have not ended.
pub(crate) fn group_members(group: u32) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // behind the name, which may hold anything: state, parent, group
        let mut fields = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace();
        let has_ended = matches!(fields.next(), None | Some("Z" | "X"));
        !has_ended && fields.nth(1) == Some(group.to_string().as_str())
    })
    .collect()
}

/// Runs a command to its end and gives its output, stdout and stderr; fails the test if the command fails.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{text}", output.status);
    text
}
