//! Which zones are served in a version that is not on disk yet: a mark in a file beside the database, so that the next
//! start knows after a kill what it may have lost.
//!
//! In: `control` notes a zone before it publishes what is not stored, and takes the note back when it is. Out, at the
//! next start: [`Lost`]. The file is written without a sync: it costs a system call, and outlives the process, not the
//! machine; its first line names the boot of the machine, so that a power failure is told from a kill. After one any zone
//! may be behind: that stays noted until the zones are known, and then of each until it is confirmed or replaced. A clean stop
//! removes the file if no zone is noted. A mark that cannot be written costs only what it is for.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

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
    /// Names the boot of the machine; empty if the system does not say.
    boot: String,
    /// The file as the last run has left it.
    found: Option<String>,
    marks: Mutex<Marks>,
}

#[derive(Debug)]
struct Marks {
    /// `None`: it could not be made.
    file: Option<File>,
    /// Any zone may be behind, and the zones are not known yet.
    is_any: bool,
    zones: HashSet<ZoneNumber>,
    /// Lines behind the first one, of which some may be of zones that have caught up.
    lines: usize,
}

/// So many lines more than twice the zones that are noted are too many: the file is written anew.
const SPARE_LINES: usize = 1_024;

impl Ahead {
    /// Reads what the last run has left in `directory`, and begins anew. Call it when nobody else can have the store open.
    pub(super) fn begin(directory: &Path) -> (Ahead, Lost) {
        let boot = fs::read_to_string(BOOT_ID).unwrap_or_default();
        Ahead::begin_in(boot.trim(), directory)
    }

    fn begin_in(boot: &str, directory: &Path) -> (Ahead, Lost) {
        let path = directory.join(FILE);
        let found = fs::read_to_string(&path).ok();
        let lost = found.as_deref().map_or(Lost::Nothing, |text| read(text, boot));
        // What the last run may have lost stays noted until this one has it again: it may end as soon.
        let zones = if let Lost::Zones(zones) = &lost { zones.clone() } else { HashSet::new() };
        let marks = Marks { file: None, is_any: lost == Lost::Anything, zones, lines: 0 };
        let ahead = Ahead { path, boot: boot.to_owned(), found, marks: Mutex::new(marks) };
        ahead.write(&mut ahead.lock());
        (ahead, lost)
    }

    /// These zones have contents in the store. If any may be behind, these may; of others nothing is to be confirmed.
    pub(super) fn know(&self, zones: HashSet<ZoneNumber>) {
        let mut marks = self.lock();
        let before = marks.zones.len();
        if std::mem::take(&mut marks.is_any) {
            marks.zones = zones;
        } else {
            marks.zones.retain(|zone| zones.contains(zone));
            if marks.zones.len() == before {
                return;
            }
        }
        self.write(&mut marks);
    }

    /// The zone is about to be served in a version that is not stored.
    pub(super) fn note(&self, zone: ZoneNumber) {
        let mut marks = self.lock();
        if !marks.zones.insert(zone) {
            return;
        }
        marks.lines += 1;
        if let Some(file) = &mut marks.file {
            let _ = file.write_all(format!("{zone}\n").as_bytes());
        }
        self.tidy(&mut marks);
    }

    /// What is served of the zone is stored, or a primary has confirmed it, or it is no longer wanted.
    pub(super) fn caught_up(&self, zone: ZoneNumber) {
        let mut marks = self.lock();
        if marks.zones.remove(&zone) {
            self.tidy(&mut marks);
        }
    }

    /// The store is closed in order. What could not be stored stays noted.
    pub(super) fn end(&self) {
        let marks = self.lock();
        if marks.is_any {
            return;
        }
        if marks.zones.is_empty() {
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

    fn lock(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the file anew where it holds too much that is over, or nothing else: after that the zones have to change as often
    /// as there are lines before it comes to that again.
    fn tidy(&self, marks: &mut Marks) {
        let is_over = marks.zones.is_empty() && marks.lines > 0;
        if let (true, Some(file)) = (is_over, &marks.file) {
            // The usual case: one zone, noted and stored.
            let _ = file.set_len(self.head(marks).len() as u64 + 1);
            marks.lines = 0;
        } else if marks.lines > 2 * marks.zones.len() + SPARE_LINES {
            self.write(marks);
        }
    }

    fn write(&self, marks: &mut Marks) {
        marks.file = make(&self.path, self.head(marks), &marks.zones);
        marks.lines = marks.zones.len();
    }

    fn head(&self, marks: &Marks) -> &str {
        if marks.is_any { ANYTHING } else { &self.boot }
    }
}

/// Writes the file anew, with `head` as its first line; `None`, and a line in the log, if that cannot be.
fn make(path: &Path, head: &str, zones: &HashSet<ZoneNumber>) -> Option<File> {
    // Appending, so that the next mark goes where the file was cut.
    let open = || OpenOptions::new().create(true).append(true).open(path);
    let write = |file: &mut File| -> io::Result<()> {
        file.set_len(0)?;
        let lines: String = zones.iter().map(|zone| format!("{zone}\n")).collect();
        file.write_all(format!("{head}\n{lines}").as_bytes())
    };
    let made = open().and_then(|mut file| match write(&mut file) {
        Ok(()) => Ok(file),
        // A part of the zones would be taken for all of them; nothing at all for any.
        Err(error) => file.set_len(0).and(Err(error)),
    });
    made.inspect_err(|error| tracing::warn!(%error, path = %path.display(), "cannot be written")).ok()
}

fn read(text: &str, boot: &str) -> Lost {
    let mut lines = text.lines();
    // Where boots cannot be told apart, this may be another one.
    let is_same = |first: &str| first == STOPPED || (first == boot && !boot.is_empty());
    if !lines.next().is_some_and(is_same) {
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
        let fail = || fs::write(directory.path().join(FILE), "another-boot\n").expect("written");
        fail();
        // given runs that end before they know the zones
        assert_eq!(begin().1, Lost::Anything);
        let (ahead, lost) = begin();
        assert_eq!(lost, Lost::Anything, "after a kill");
        ahead.end();
        let (ahead, lost) = begin();
        assert_eq!(lost, Lost::Anything, "after a stop");
        // when one knows them, and not all are confirmed before it ends
        ahead.know([1, 2, 3].into());
        assert_eq!(begin().1, Lost::Zones([1, 2, 3].into()));
        ahead.caught_up(2);
        ahead.end();
        let (ahead, lost) = begin();
        assert_eq!(lost, Lost::Zones([1, 3].into()));
        // then nothing is lost when one is confirmed, and the other is not there any more
        ahead.caught_up(1);
        ahead.know([1, 2].into());
        ahead.end();
        assert_eq!(begin().1, Lost::Nothing);
        // and a store without zones has nothing to be confirmed
        fail();
        begin().0.know(HashSet::new());
        assert_eq!(begin().1, Lost::Nothing);
    }

    /// `ProcSubset=pid`, or no procfs: asked once too often is better than never.
    #[test]
    fn where_boots_cannot_be_told_apart_any_end_but_a_clean_one_may_be_a_failure_of_the_machine() {
        let directory = tempfile::tempdir().expect("a directory");
        let begin = || Ahead::begin_in("", directory.path());
        assert_eq!(begin().1, Lost::Nothing, "the first start");
        let (ahead, lost) = begin();
        assert_eq!(lost, Lost::Anything, "it was killed");
        ahead.know([1].into());
        ahead.caught_up(1);
        ahead.end();
        assert_eq!(begin().1, Lost::Nothing, "it was stopped");
    }

    #[test]
    fn the_file_is_as_long_as_what_is_noted_however_many_zones_come_and_go_beside_one_that_stays() {
        let directory = tempfile::tempdir().expect("a directory");
        let (ahead, _) = Ahead::begin(directory.path());
        ahead.note(7);
        for zone in 1_000..11_000 {
            ahead.note(zone);
            ahead.caught_up(zone);
        }
        let lines = fs::read_to_string(directory.path().join(FILE)).expect("readable").lines().count();
        assert!(lines <= SPARE_LINES + 4, "{lines} lines");
        // after a kill those that have caught up are asked for again, a bounded number
        let Lost::Zones(zones) = Ahead::begin(directory.path()).1 else { panic!("one is lost") };
        assert!(zones.contains(&7) && zones.len() <= lines);
    }
}
