//! Which zones are served in a version that is not on disk yet: a mark in a file beside the database, so that the next
//! start knows after a kill what it may have lost.
//!
//! In: `control` notes a zone before it publishes what is not stored, and takes the note back when it is. Out, at the
//! next start: [`Lost`]. The file is written without a sync: it costs a system call, and outlives the process, not the
//! machine; its first line names the boot of the machine, so that a power failure is told from a kill. After one any zone
//! may be behind: that stays noted until the zones are known, and then of each until a primary has confirmed it. A clean stop
//! removes what is noted of none. A mark that cannot be written costs only what it is for.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::ZoneNumber;

const FILE: &str = "running";
/// The first line after a clean stop that left something to be noted.
const STOPPED: &str = "stopped";
/// The first line while any zone may be behind and the zones are not known.
const ANYTHING: &str = "anything";
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Which zones may have been served in a later version than the stored one before this start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Lost {
    /// None.
    #[default]
    Nothing,
    /// These: the process ended without being stopped.
    Zones(HashSet<ZoneNumber>),
    /// Any: the machine did.
    Anything,
}

/// The marks of this run.
#[derive(Debug)]
pub(super) struct Ahead {
    path: PathBuf,
    /// Names the boot of the machine.
    boot: String,
    /// The file as the last run has left it.
    found: Option<String>,
    marks: Mutex<Marks>,
}

#[derive(Debug)]
struct Marks {
    /// `None`: it could not be made.
    file: Option<File>,
    /// Octets of the first line.
    head: u64,
    /// Any zone may be behind, and the zones are not known yet.
    is_any: bool,
    zones: HashSet<ZoneNumber>,
}

impl Ahead {
    /// Reads what the last run has left in `directory`, and begins anew. Call it when nobody else can have the store open.
    pub(super) fn begin(directory: &Path) -> (Ahead, Lost) {
        let path = directory.join(FILE);
        let boot = fs::read_to_string(BOOT_ID).unwrap_or_default();
        let boot = boot.trim().to_owned();
        let found = fs::read_to_string(&path).ok();
        let lost = found.as_deref().map_or(Lost::Nothing, |text| read(text, &boot));
        // What the last run may have lost stays noted until this one has it again: it may end as soon.
        let zones = if let Lost::Zones(zones) = &lost { zones.clone() } else { HashSet::new() };
        let is_any = lost == Lost::Anything;
        let head = if is_any { ANYTHING } else { &boot };
        let marks = Marks { file: make(&path, head, &zones), head: head.len() as u64 + 1, is_any, zones };
        (Ahead { path, boot, found, marks: Mutex::new(marks) }, lost)
    }

    /// Any zone may be behind, and these are all there are.
    pub(super) fn note_all(&self, zones: impl IntoIterator<Item = ZoneNumber>) {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        marks.zones.extend(zones);
        marks.file = make(&self.path, &self.boot, &marks.zones);
        (marks.head, marks.is_any) = (self.boot.len() as u64 + 1, false);
    }

    /// The zone is about to be served in a version that is not stored.
    pub(super) fn note(&self, zone: ZoneNumber) {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        if marks.zones.insert(zone)
            && let Some(file) = &mut marks.file
        {
            let _ = file.write_all(format!("{zone}\n").as_bytes());
        }
    }

    /// What is served of the zone is stored, or what was lost of it is no longer wanted.
    pub(super) fn caught_up(&self, zone: ZoneNumber) {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        if marks.zones.remove(&zone) && marks.zones.is_empty() {
            let head = marks.head;
            if let Some(file) = &mut marks.file {
                let _ = file.set_len(head);
            }
        }
    }

    /// The store is closed in order. What could not be stored stays noted.
    pub(super) fn end(&self) {
        let marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        if marks.is_any {
            // as it stands
        } else if marks.zones.is_empty() {
            let _ = fs::remove_file(&self.path);
        } else {
            make(&self.path, STOPPED, &marks.zones);
        }
    }

    /// Nothing has come of this run: what the last one has left stands as before.
    pub(super) fn put_back(&self) {
        let _ = match &self.found {
            Some(text) => fs::write(&self.path, text),
            None => fs::remove_file(&self.path),
        };
    }
}

/// Writes the file anew; `None`, and a line in the log, if that cannot be.
fn make(path: &Path, head: &str, zones: &HashSet<ZoneNumber>) -> Option<File> {
    let write = || -> io::Result<File> {
        // Appending, so that the next mark goes where the file was cut.
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        file.set_len(0)?;
        let lines: String = zones.iter().map(|zone| format!("{zone}\n")).collect();
        file.write_all(format!("{head}\n{lines}").as_bytes())?;
        Ok(file)
    };
    write().inspect_err(|error| tracing::warn!(%error, path = %path.display(), "cannot be written")).ok()
}

fn read(text: &str, boot: &str) -> Lost {
    let mut lines = text.lines();
    if lines.next().is_none_or(|first| first != boot && first != STOPPED) {
        return Lost::Anything;
    }
    // The last line may have been cut off by the kill; its number is then another zone's, which is asked in vain.
    let zones: HashSet<ZoneNumber> = lines.filter_map(|line| line.parse().ok()).collect();
    if zones.is_empty() { Lost::Nothing } else { Lost::Zones(zones) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_is_given_up_leaves_what_it_found() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join(FILE);
        for found in [None, Some("another boot\n"), Some("stopped\n7\n")] {
            match found {
                Some(text) => fs::write(&file, text).expect("written"),
                None => drop(fs::remove_file(&file)),
            }
            let (ahead, _) = Ahead::begin(directory.path());
            ahead.put_back();
            assert_eq!(fs::read_to_string(&file).ok().as_deref(), found);
        }
    }

    fn killed(marks: impl Fn(&Ahead)) -> Lost {
        let directory = tempfile::tempdir().expect("a directory");
        let (ahead, lost) = Ahead::begin(directory.path());
        assert_eq!(lost, Lost::Nothing, "the first start");
        marks(&ahead);
        drop(ahead);
        let (_, lost) = Ahead::begin(directory.path());
        let (ahead, again) = Ahead::begin(directory.path());
        assert_eq!(again, lost, "killed again before anything came back");
        if let Lost::Zones(zones) = &lost {
            zones.iter().for_each(|zone| ahead.caught_up(*zone));
        }
        assert_eq!(Ahead::begin(directory.path()).1, Lost::Nothing, "all came back");
        lost
    }

    #[test]
    fn what_was_served_and_not_stored_when_the_process_was_killed_is_known() {
        assert_eq!(killed(|ahead| (1..=3).for_each(|zone| ahead.note(zone))), Lost::Zones([1, 2, 3].into()));
        assert_eq!(killed(|ahead| (0..3).for_each(|_| ahead.note(7))), Lost::Zones([7].into()));
    }

    #[test]
    fn what_was_stored_is_not_lost() {
        assert_eq!(killed(|_| ()), Lost::Nothing);
        let stored = |ahead: &Ahead| {
            ahead.note(1);
            ahead.caught_up(1);
        };
        assert_eq!(killed(stored), Lost::Nothing);
        let and_another = |ahead: &Ahead| {
            stored(ahead);
            ahead.note(2);
        };
        assert_eq!(killed(and_another), Lost::Zones([2].into()));
        assert_eq!(killed(Ahead::end), Lost::Nothing);
    }

    #[test]
    fn after_a_failure_of_the_machine_anything_may_be_lost() {
        assert_eq!(read("another-boot\n", "boot"), Lost::Anything);
        assert_eq!(read("", "boot"), Lost::Anything);
        assert_eq!(read("boot\n", "boot"), Lost::Nothing);
    }

    /// However often the next runs end before their zones were confirmed, by a kill or in order.
    #[test]
    fn what_the_machine_may_have_lost_stays_known_until_each_zone_is_confirmed() {
        let directory = tempfile::tempdir().expect("a directory");
        let begin = || Ahead::begin(directory.path());
        fs::write(directory.path().join(FILE), "another-boot\n").expect("written");
        // given runs that end before they know the zones
        assert_eq!(begin().1, Lost::Anything);
        let (ahead, lost) = begin();
        assert_eq!(lost, Lost::Anything, "after a kill");
        ahead.end();
        let (ahead, lost) = begin();
        assert_eq!(lost, Lost::Anything, "after a stop");
        // when one knows them, and not all are confirmed before it ends
        ahead.note_all([1, 2, 3]);
        assert_eq!(begin().1, Lost::Zones([1, 2, 3].into()));
        ahead.caught_up(2);
        ahead.end();
        let (ahead, lost) = begin();
        assert_eq!(lost, Lost::Zones([1, 3].into()));
        // then nothing is lost when the last ones are
        ahead.caught_up(1);
        ahead.caught_up(3);
        ahead.end();
        assert_eq!(begin().1, Lost::Nothing);
        // and a store without zones has nothing to be confirmed
        fs::write(directory.path().join(FILE), "another-boot\n").expect("written");
        let (ahead, _) = begin();
        ahead.note_all([]);
        assert_eq!(begin().1, Lost::Nothing);
    }

    /// A clean stop with a full disk, and then another boot: only what could not be stored is lost.
    #[test]
    fn what_could_not_be_stored_is_known_after_a_clean_stop_too() {
        let stopped = |ahead: &Ahead| {
            ahead.note(4);
            ahead.end();
        };
        assert_eq!(killed(stopped), Lost::Zones([4].into()));
        assert_eq!(read("stopped\n4\n", "boot"), Lost::Zones([4].into()));
    }
}
