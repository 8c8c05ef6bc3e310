//! A damaged database is replaced by a new one with everything that can still be read.
//!
//! sled finds a flipped bit by the checksum of a whole leaf, so up to 16 neighbouring values become unreadable at
//! once, and nothing can be written between them any more. Rewriting the database is the only cure, and the old files
//! stay as `damaged-DATE`. What was lost shows afterwards as any damage: a zone without a header is empty, one whose
//! pages or journal have a gap is reported and fetched again.
//!
//! In: the directory of a closed database. Out: a directory that opens, or the finding that nothing can be read.
//! Called by `disk` only. A crash at any point leaves either the old directory or the new one under its name.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use super::layout;

/// Most attempts to find readable values between damaged leaves; each reads about one leaf.
const PROBES_MAX: usize = 4_096;

/// sled's cache while copying; values are met in order and once.
const CACHE_OCTETS: u64 = 8 << 20;

/// What became of a damaged database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Salvaged {
    /// Where its files are now.
    pub(super) moved_to: PathBuf,
    /// How many values stand in the new one.
    pub(super) values: u64,
}

/// Puts a new database in the place of `current`, and `current` under `aside`. Beside them it needs room for two
/// copies for a while.
pub(super) fn salvage(current: &Path, aside: PathBuf) -> io::Result<Salvaged> {
    let (copy, fresh) = (beside(current, "copy"), beside(current, "new"));
    clear(current)?;
    // sled repairs files by cutting them where it opens them; the originals shall stay what they are.
    copy_files(current, &copy)?;
    let values = copy_values(&copy, &fresh)?;
    fs::remove_dir_all(&copy)?;
    fs::rename(current, &aside)?;
    fs::rename(&fresh, current)?;
    sync_directory(current)?;
    Ok(Salvaged { moved_to: aside, values })
}

/// Finishes or undoes what a crash during [`salvage`] has left.
pub(super) fn clear(current: &Path) -> io::Result<()> {
    let fresh = beside(current, "new");
    if !current.exists() && fresh.exists() {
        fs::rename(&fresh, current)?;
        sync_directory(current)?;
    }
    for left_over in [beside(current, "copy"), fresh] {
        if left_over.exists() {
            fs::remove_dir_all(left_over)?;
        }
    }
    Ok(())
}

fn beside(current: &Path, what: &str) -> PathBuf {
    current.with_extension(what)
}

fn sync_directory(entry: &Path) -> io::Result<()> {
    File::open(entry.parent().unwrap_or(Path::new(".")))?.sync_all()
}

fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_files(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Copies what can be read into a new database and closes it, synced.
fn copy_values(from: &Path, to: &Path) -> io::Result<u64> {
    let target = sled::Config::new().path(to).cache_capacity(CACHE_OCTETS).open().map_err(io::Error::from)?;
    let mut values = 0;
    if let Some(source) = open_damaged(from)? {
        let mut failed = None;
        read_around_damage(&source, &mut |key, value| {
            // What sled still gives but our own checksum denies is not worth keeping.
            if layout::open(key, value).is_ok() {
                match target.insert(key, value) {
                    Ok(None) => values += 1,
                    // Met twice, from two sides of a gap.
                    Ok(Some(_)) => {}
                    Err(error) => failed = Some(error),
                }
            }
        });
        if let Some(error) = failed {
            return Err(error.into());
        }
    }
    target.flush().map_err(io::Error::from)?;
    drop(target);
    File::options().write(true).open(to.join("db"))?.sync_all()?;
    Ok(values)
}

/// Opens what sled refused to open, without its own snapshot if need be: the log holds everything the snapshot does.
fn open_damaged(path: &Path) -> io::Result<Option<sled::Db>> {
    let open = || {
        let config = sled::Config::new().path(path).cache_capacity(CACHE_OCTETS);
        catch_unwind(AssertUnwindSafe(|| config.open().ok())).ok().flatten()
    };
    if let Some(db) = open() {
        return Ok(Some(db));
    }
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("snap.")) {
            fs::remove_file(path)?;
        }
    }
    Ok(open())
}

/// Gives every readable pair to `sink`: from both ends of a range up to the damage, then from the middle of the gap.
fn read_around_damage(tree: &sled::Tree, sink: &mut dyn FnMut(&[u8], &[u8])) {
    let mut gaps = VecDeque::from([(Vec::new(), vec![u8::MAX; 16])]);
    for _ in 0..PROBES_MAX {
        let Some((low, high)) = gaps.pop_front() else { return };
        let Some(low) = read_until_error(tree.range(low.clone()..high.clone()), low, sink) else { continue };
        let backwards = tree.range(low.clone()..high.clone()).rev();
        let Some(high) = read_until_error(backwards, high, sink) else { continue };
        if let Some(middle) = middle(&low, &high) {
            gaps.push_back((low, middle.clone()));
            gaps.push_back((middle, high));
        }
    }
}

/// Reads on until the range ends (`None`) or fails: then where the unread rest begins, or ends if read backwards.
fn read_until_error(
    range: impl Iterator<Item = Result<(sled::IVec, sled::IVec), sled::Error>>,
    start: Vec<u8>,
    sink: &mut dyn FnMut(&[u8], &[u8]),
) -> Option<Vec<u8>> {
    let mut last = start.clone();
    let ended = catch_unwind(AssertUnwindSafe(|| {
        for item in range {
            let Ok((key, value)) = item else { return false };
            sink(&key, &value);
            last = key.to_vec();
        }
        true
    }));
    if matches!(ended, Ok(true)) {
        return None;
    }
    Some(last)
}

/// A key about half way between two, by their first 16 octets.
fn middle(low: &[u8], high: &[u8]) -> Option<Vec<u8>> {
    let number = |key: &[u8]| {
        let mut octets = [0; 16];
        let length = key.len().min(16);
        octets[..length].copy_from_slice(&key[..length]);
        u128::from_be_bytes(octets)
    };
    let (low, high) = (number(low), number(high));
    let middle = low + high.saturating_sub(low) / 2;
    (middle > low && middle < high).then(|| middle.to_be_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_lies_between_or_is_none() {
        let middle_of = |low: &[u8], high: &[u8]| middle(low, high);
        assert_eq!(middle_of(b"a", b"c"), Some([b"b".to_vec(), vec![0; 15]].concat()));
        assert_eq!(middle_of(b"a", b"a"), None);
        let wide = middle_of(b"", &[0xff; 16]).expect("a middle");
        assert_eq!(wide[0], 0x7f);
    }

    #[test]
    fn a_crash_between_the_renames_is_finished_at_the_next_start() {
        let directory = tempfile::tempdir().expect("a directory");
        let current = directory.path().join("sled");
        fs::create_dir(current.with_extension("new")).expect("created");
        fs::write(current.with_extension("new").join("db"), b"new").expect("written");
        clear(&current).expect("cleared");
        assert_eq!(fs::read(current.join("db")).expect("read"), b"new");
    }

    #[test]
    fn a_crash_before_the_renames_is_undone_at_the_next_start() {
        let directory = tempfile::tempdir().expect("a directory");
        let current = directory.path().join("sled");
        for path in [current.clone(), current.with_extension("new"), current.with_extension("copy")] {
            fs::create_dir(&path).expect("created");
        }
        clear(&current).expect("cleared");
        assert_eq!(fs::read_dir(directory.path()).expect("read").count(), 1);
        assert!(current.exists());
    }
}
