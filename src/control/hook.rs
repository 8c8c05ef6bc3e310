//! The operator's own check of a new version: a program that gets the zone and the difference as files and answers by
//! its exit status.
//!
//! In: the version, the differences to the served one, and how to run the check. Out: a [`Verdict`]. Called by `review`
//! on the task of a transfer, so that a slow check holds up its own zone, and others only while they wait for a turn.
//! Bounds: [`RUNNING_MAX`] programs at one time, a time limit each, one line of words. The program leads a process group of
//! its own, and all of that is killed when its time is up or the transfer is cancelled. Its files stand in a directory for
//! the one run, readable by the daemon's user only, and go with it.

use std::fs::{self, DirBuilder, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use uuid::Uuid;

use crate::config::Hook;
use crate::dns::zonefile::write_record;
use crate::dns::{Name, RecordRef, Serial};
use crate::reason::{Code, Reason};
use crate::zone::{Diff, Snapshot};

/// Programs running at one time; further ones wait for their turn. A check is mostly computing, and the machine has
/// queries to answer.
const RUNNING_MAX: usize = 4;
/// Octets read of a program's standard error; the rest is thrown away, so that it never blocks.
const WORDS_OCTETS_MAX: usize = 4096;
/// Characters of its first line in the reason.
const WORDS_SHOWN_MAX: usize = 200;
/// How long what it has started may keep its standard error open after it has ended.
const WORDS_PATIENCE: Duration = Duration::from_millis(500);
/// What the programs it calls are looked for in.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a check says.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Serve it.
    Accepted,
    /// Do not.
    Refused(Reason),
    /// It gave no verdict.
    Failed(Reason),
}

/// What is to be checked.
#[derive(Clone)]
pub(super) struct Subject {
    pub(super) zone: Name,
    /// The serial served now.
    pub(super) old: Option<Serial>,
    pub(super) snapshot: Arc<Snapshot>,
    /// What leads from the old version to this one, if there is an old one.
    pub(super) diffs: Vec<Diff>,
}

/// The place where checks run.
#[derive(Debug)]
pub(super) struct Hooks {
    running: Semaphore,
    directory: PathBuf,
}

impl Hooks {
    /// Below the state directory. What an earlier run has left there goes.
    pub(super) fn new(state_dir: &Path) -> Hooks {
        let directory = state_dir.join("hook");
        match fs::remove_dir_all(&directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(directory = %directory.display(), %error, "left-over files of checks cannot be removed");
            }
            _ => {}
        }
        Hooks { running: Semaphore::new(RUNNING_MAX), directory }
    }

    /// Runs the check of one version.
    pub(super) async fn ask(&self, hook: &Hook, subject: Subject) -> Verdict {
        let _turn = self.running.acquire().await.expect("it is never closed");
        // After kill -9 a check of the last run may still be at work: it must not find the files of another under its names.
        let room = self.directory.join(Uuid::new_v4().to_string());
        let Written { room, zone_file, diff_file } = match write_files(room, subject.clone(), hook.zone_file).await {
            Ok(written) => written,
            Err(error) => return failed(format!("its files could not be written: {error}")),
        };
        let facts = Facts::new(&subject, zone_file.as_deref(), &diff_file);
        let mut command = Command::new(&hook.command[0]);
        command
            .args(hook.command[1..].iter().map(|argument| facts.fill(argument)))
            .current_dir(&room.0)
            .env_clear()
            .env("PATH", PATH)
            .envs(facts.environment())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        match command.spawn() {
            Ok(child) => verdict(child, hook.timeout).await,
            Err(error) => failed(format!("{} could not be started: {error}", hook.command[0])),
        }
    }
}

/// Waits for the end of the program, reading what it complains of.
async fn verdict(mut child: Child, limit: Duration) -> Verdict {
    let group = Group(child.id());
    let mut stderr = child.stderr.take().expect("it was asked for");
    let mut words = Words::default();
    // Both at once: a program that nobody listens to may never end.
    let end = async {
        tokio::select! {
            ended = child.wait() => ended,
            () = words.read(&mut stderr) => child.wait().await,
        }
    };
    let Ok(ended) = timeout(limit, end).await else {
        drop(group);
        // It has been killed; this only takes it off the list of processes.
        let _ = child.wait().await;
        return Verdict::Failed(Reason::new(
            Code::HookTimeout,
            format!("no verdict within {limit:?} ([hook] timeout)"),
        ));
    };
    group.ended();
    // What it leaves running may keep the stream open; what has come until then counts.
    let _ = timeout(WORDS_PATIENCE, words.read(&mut stderr)).await;
    let said = shown(&words.0);
    let with_words = |what: String| if said.is_empty() { what } else { format!("{what}: {said}") };
    match ended {
        Ok(status) if status.success() => Verdict::Accepted,
        Ok(status) if status.code() == Some(1) => {
            let words = if said.is_empty() { "it gave no reason".to_owned() } else { said };
            Verdict::Refused(Reason::new(Code::HookRefused, words))
        }
        Ok(status) => failed(with_words(format!("no verdict, {status}"))),
        Err(error) => failed(format!("its end could not be seen: {error}")),
    }
}

fn failed(detail: String) -> Verdict {
    Verdict::Failed(Reason::new(Code::HookRefused, detail))
}

/// The processes of a check; killed when dropped.
struct Group(Option<u32>);

impl Group {
    /// The leader has ended: its number may belong to another process by now.
    fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0.and_then(|id| Pid::from_raw(id as i32)) {
            // It may just have ended by itself.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// What a program says on its standard error, as far as it is kept.
#[derive(Default)]
struct Words(Vec<u8>);

impl Words {
    /// Reads to the end. What has come is kept if this is dropped before.
    async fn read(&mut self, stderr: &mut ChildStderr) {
        let mut octets = [0; 1024];
        while let Ok(length @ 1..) = stderr.read(&mut octets).await {
            let room = WORDS_OCTETS_MAX.saturating_sub(self.0.len());
            self.0.extend_from_slice(&octets[..length.min(room)]);
        }
    }
}

/// The first line, safe for logs and terminals.
fn shown(octets: &[u8]) -> String {
    let text = String::from_utf8_lossy(octets);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.chars().take(WORDS_SHOWN_MAX).map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// What stands for the placeholders, and in the environment.
struct Facts([(&'static str, &'static str, String); 5]);

impl Facts {
    fn new(subject: &Subject, zone_file: Option<&Path>, diff_file: &Path) -> Facts {
        let path = |path: &Path| path.display().to_string();
        Facts([
            ("{zone}", "SECONDARYD_ZONE", subject.zone.to_string()),
            ("{serial}", "SECONDARYD_SERIAL", subject.snapshot.serial().to_string()),
            ("{old-serial}", "SECONDARYD_OLD_SERIAL", subject.old.map(|old| old.to_string()).unwrap_or_default()),
            ("{zone-file}", "SECONDARYD_ZONE_FILE", zone_file.map(path).unwrap_or_default()),
            ("{diff-file}", "SECONDARYD_DIFF_FILE", path(diff_file)),
        ])
    }

    /// The argument with its placeholders filled; what is filled in is not looked at again.
    fn fill(&self, argument: &str) -> String {
        let (mut filled, mut rest) = (String::new(), argument);
        while let Some(at) = rest.find('{') {
            filled += &rest[..at];
            rest = &rest[at..];
            let known = self.0.iter().find(|(place, ..)| rest.starts_with(place));
            let (octets, value) = known.map_or((1, "{"), |(place, _, value)| (place.len(), value));
            filled += value;
            rest = &rest[octets..];
        }
        filled + rest
    }

    fn environment(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(_, variable, value)| (*variable, value.as_str()))
    }
}

/// A directory that goes when dropped.
struct Room(PathBuf);

impl Drop for Room {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(directory = %self.0.display(), %error, "the files of a check cannot be removed");
        }
    }
}

struct Written {
    room: Room,
    zone_file: Option<PathBuf>,
    diff_file: PathBuf,
}

async fn write_files(room: PathBuf, subject: Subject, wants_zone: bool) -> io::Result<Written> {
    let written = tokio::task::spawn_blocking(move || {
        DirBuilder::new().recursive(true).mode(0o700).create(&room)?;
        let room = Room(room);
        let (zone_file, diff_file) = (room.0.join("zone"), room.0.join("diff"));
        write_diff(&subject, &diff_file)?;
        if wants_zone {
            write_zone(&subject.snapshot, &zone_file)?;
        }
        Ok(Written { room, zone_file: wants_zone.then_some(zone_file), diff_file })
    });
    written.await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

fn write_zone(snapshot: &Snapshot, path: &Path) -> io::Result<()> {
    let mut file = BufWriter::new(File::create_new(path)?);
    writeln!(file, "$ORIGIN {}", snapshot.apex())?;
    let (mut records, mut line) = (snapshot.records(), String::new());
    while let Some(record) = records.advance() {
        line.clear();
        write_record(record, &mut line);
        file.write_all(line.as_bytes())?;
    }
    file.flush()
}

/// One line a record: `-` for what goes, `+` for what comes, then as in a zone file.
fn write_diff(subject: &Subject, path: &Path) -> io::Result<()> {
    let mut file = BufWriter::new(File::create_new(path)?);
    let old = subject.old.map_or("nothing".to_owned(), |old| old.to_string());
    writeln!(file, "; {} from {old} to {}", subject.zone, subject.snapshot.serial())?;
    let mut line = String::new();
    let mut write = |sign: char, record: RecordRef<'_>| {
        line.clear();
        line.push(sign);
        write_record(record, &mut line);
        file.write_all(line.as_bytes())
    };
    for diff in &subject.diffs {
        write('-', diff.old_soa())?;
        diff.deleted().try_for_each(|record| write('-', record))?;
        write('+', diff.new_soa())?;
        diff.added().try_for_each(|record| write('+', record))?;
    }
    file.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::OnFailure;
    use crate::dns::zonefile;
    use crate::zone::{Builder, HashKey, Limits, between};

    fn snapshot(serial: u32, text: &str) -> Arc<Snapshot> {
        let apex: Name = "example.".parse().expect("a name");
        let mut builder = Builder::new(apex.clone(), HashKey::from_bytes([7; 16]), Limits::default());
        let text = format!("@ 300 SOA ns1 h {serial} 2 3 4 5\n{text}");
        for record in zonefile::parse(text, &apex).expect("zone-file text") {
            builder.add(record.borrow()).expect("taken");
        }
        Arc::new(builder.finish(None).expect("a zone").0)
    }

    fn subject() -> Subject {
        let (old, new) = (snapshot(1, "a 300 A 192.0.2.1\n"), snapshot(2, "b 300 A 192.0.2.2\n"));
        let diffs = vec![between(&old, &new)];
        Subject { zone: "example.".parse().expect("a name"), old: Some(Serial(1)), snapshot: new, diffs }
    }

    fn shell(script: &str, limit: Duration) -> Hook {
        let command =
            ["/bin/sh", "-c", script, "check", "{zone}", "{old-serial}", "{serial}", "{zone-file}", "{diff-file}"];
        let command = command.map(str::to_owned).to_vec();
        Hook { command, timeout: limit, on_failure: OnFailure::Refuse, zone_file: true }
    }

    /// The verdict, and whether nothing is left of its files.
    async fn ask(hook: &Hook) -> Verdict {
        let state = tempfile::tempdir().expect("a directory");
        let hooks = Hooks::new(state.path());
        let verdict = hooks.ask(hook, subject()).await;
        assert_eq!(fs::read_dir(state.path().join("hook")).expect("made").count(), 0, "its files are gone");
        verdict
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn the_program_finds_zone_difference_and_serials() {
        let script = r#"test "$1 $2 $3" = "example. 1 2" -a "$4" = "$SECONDARYD_ZONE_FILE" &&
            grep -Eq '^b\.example\.\s300\sIN\sA\s192\.0\.2\.2$' "$4" &&
            grep -Eq '^-a\.example\.\s300\sIN\sA\s192\.0\.2\.1$' "$5" && grep -q '^+b\.example\.' "$5""#;
        let verdict = ask(&shell(script, LONG)).await;
        assert!(matches!(verdict, Verdict::Accepted), "{verdict:?}");
    }

    #[tokio::test]
    async fn status_1_refuses_with_the_first_line_made_harmless() {
        let script = r"printf '\n  no \033[31mMX  \nmore\n' >&2; exit 1";
        let Verdict::Refused(reason) = ask(&shell(script, LONG)).await else { panic!("refused") };
        assert_eq!((reason.code, &reason.detail[..]), (Code::HookRefused, "no ?[31mMX"));
    }

    #[tokio::test]
    async fn what_goes_on_in_the_background_does_not_take_the_reason_with_it() {
        let script = "echo no MX >&2; sleep 5 & exit 1";
        assert!(matches!(ask(&shell(script, LONG)).await, Verdict::Refused(reason) if reason.detail == "no MX"));
    }

    #[test]
    fn what_is_filled_in_is_not_looked_at_again() {
        let subject = Subject { zone: "{serial}.example.".parse().expect("a name"), ..subject() };
        let facts = Facts::new(&subject, None, Path::new("d"));
        assert_eq!(facts.fill("{zone} {x} {old-serial}-{serial}{"), "{serial}.example. {x} 1-2{");
    }

    #[tokio::test]
    async fn any_other_end_is_no_verdict() {
        for (script, expected) in [("echo why >&2; exit 3", "exit status: 3: why"), ("kill -9 $$", "signal: 9")] {
            let Verdict::Failed(reason) = ask(&shell(script, LONG)).await else { panic!("no verdict") };
            assert!(reason.code == Code::HookRefused && reason.detail.contains(expected), "{reason}");
        }
        let missing = Hook { command: vec!["/nonexistent/check".to_owned()], ..shell("", LONG) };
        assert!(
            matches!(ask(&missing).await, Verdict::Failed(reason) if reason.detail.contains("could not be started"))
        );
    }

    /// Also what the program has started in the background, which would keep its files and the machine busy.
    #[tokio::test]
    async fn a_slow_program_is_killed_with_its_children() {
        let marker = tempfile::tempdir().expect("a directory");
        let pids = marker.path().join("pids");
        let script = format!("sleep 300 & echo $! >{0}.new; mv {0}.new {0}; wait", pids.display());
        let verdict = ask(&shell(&script, Duration::from_secs(2))).await;
        assert!(matches!(verdict, Verdict::Failed(reason) if reason.code == Code::HookTimeout));
        let pid = fs::read_to_string(&pids).expect("the script has begun").trim().to_owned();
        let state = || fs::read_to_string(format!("/proc/{pid}/stat")).ok().filter(|stat| !stat.contains(") Z"));
        let end = std::time::Instant::now() + Duration::from_secs(20);
        while state().is_some() {
            assert!(std::time::Instant::now() < end, "process {pid} is still there");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test]
    async fn a_chatty_program_does_not_block() {
        let script = "yes complaint | head -c 1000000 >&2; exit 1";
        assert!(matches!(ask(&shell(script, LONG)).await, Verdict::Refused(reason) if reason.detail == "complaint"));
    }

    #[test]
    fn a_zone_without_predecessor_has_an_empty_difference() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("diff");
        let first = Subject { old: None, diffs: Vec::new(), ..subject() };
        write_diff(&first, &path).expect("written");
        assert_eq!(fs::read_to_string(&path).expect("read"), "; example. from nothing to 2\n");
    }
}
