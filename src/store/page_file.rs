//! The pages of a large zone, in a file of their own beside the database: written once, read once at each start.
//!
//! In: a snapshot from `compact` or `held`. Out: the same pages for `restore`, or what is wrong with them. Knows nothing
//! of what counts: a file counts if a header in sled names it, and is deleted by `garbage` if none does. So it is made
//! whole and synced before that header is written, under the name it keeps, and nobody ever writes to it again.
//!
//! ```text
//! pages/ZONE-GENERATION        contents       (8 hexadecimal digits each)
//! pages/ZONE-held-GENERATION   a version that waits for a verdict
//!
//! head   magic 8, format u32, zone u32, generation u32, crc32 of these u32
//! page   length u32, crc32 u32, page key 10, the page                      any number, by hash
//! end    0 u32, pages u32, digest u64, crc32 of these u32
//! ```
//!
//! Numbers are little-endian but for the page key. The checksum of a page covers purpose, zone and generation too, as that
//! of a value in sled covers its key, and the digest is that of the header ([`layout::Header::digest`]): pages of another
//! file, or of another hash key, are as wrong as a flipped bit.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::StoreError;
use super::compact::digest_start;
use super::disk::Steps;
use super::layout::{self, BODY_OCTETS_MAX, Damage, ZoneNumber};
use crate::zone::{HashKey, Page, PageKey, Snapshot};

/// First octets of every file.
const MAGIC: &[u8; 8] = b"sdpages\n";

/// The format this build reads and writes.
const FORMAT: u32 = 1;

const HEAD_OCTETS: usize = 24;
const FRAME_OCTETS: usize = 18;
const END_OCTETS: usize = 20;

/// How much is read or written at once.
const BUFFER_OCTETS: usize = 256 << 10;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Purpose {
    /// Contents of the zone.
    Contents,
    /// A version that waits for a verdict.
    Held,
}

/// Which file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileId {
    pub(super) zone: ZoneNumber,
    pub(super) purpose: Purpose,
    pub(super) generation: u32,
}

impl FileId {
    fn name(self) -> String {
        let FileId { zone, purpose, generation } = self;
        match purpose {
            Purpose::Contents => format!("{zone:08x}-{generation:08x}"),
            Purpose::Held => format!("{zone:08x}-held-{generation:08x}"),
        }
    }

    /// The inverse of [`FileId::name`].
    fn of_name(name: &str) -> Option<FileId> {
        let (zone, rest) = name.split_once('-')?;
        let (purpose, generation) = match rest.strip_prefix("held-") {
            Some(generation) => (Purpose::Held, generation),
            None => (Purpose::Contents, rest),
        };
        let number = |digits| u32::from_str_radix(digits, 16).ok();
        let id = FileId { zone: number(zone)?, purpose, generation: number(generation)? };
        // Not the last number either: there is always a next generation.
        (id.name() == name && id.generation < u32::MAX).then_some(id)
    }

    /// What the checksum of a page covers beside the page.
    fn page_key(self, page: &[u8; 10]) -> Vec<u8> {
        let mut key = match self.purpose {
            Purpose::Contents => layout::generation_key(self.zone, self.generation),
            Purpose::Held => [layout::held::pages(self.zone), self.generation.to_be_bytes().to_vec()].concat(),
        };
        key.extend_from_slice(page);
        key
    }

    fn head(self) -> [u8; HEAD_OCTETS] {
        let mut head = [0; HEAD_OCTETS];
        head[..8].copy_from_slice(MAGIC);
        head[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        head[12..16].copy_from_slice(&self.zone.to_le_bytes());
        head[16..20].copy_from_slice(&self.generation.to_le_bytes());
        let sum = layout::checksum(&[], &head[..20]);
        head[20..].copy_from_slice(&sum.to_le_bytes());
        head
    }
}

/// How many pages there are, and the sum of their checksums: what header and file agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) pages: u32,
    pub(super) digest: u64,
}

impl Sum {
    fn of_none(key: &HashKey) -> Sum {
        Sum { pages: 0, digest: digest_start(key) }
    }

    fn count(&mut self, checksum: u32) {
        self.pages += 1;
        self.digest = self.digest.wrapping_add(u64::from(checksum));
    }

    fn end(self) -> [u8; END_OCTETS] {
        let mut end = [0; END_OCTETS];
        end[4..8].copy_from_slice(&self.pages.to_le_bytes());
        end[8..16].copy_from_slice(&self.digest.to_le_bytes());
        let sum = layout::checksum(&[], &end[..16]);
        end[16..].copy_from_slice(&sum.to_le_bytes());
        end
    }
}

/// All files of pages. Reads may come from any thread, writes and removals from the writer's only.
pub(super) struct PageFiles {
    directory: PathBuf,
    /// Every file there is, with its length; also those that no header names.
    files: Mutex<BTreeMap<FileId, u64>>,
    written_octets: AtomicU64,
    steps: Arc<Steps>,
}

impl PageFiles {
    /// Looks what there is in `directory`, which need not exist. Names that are not ours are left alone.
    pub(super) fn open(directory: PathBuf, steps: Arc<Steps>) -> io::Result<PageFiles> {
        let mut files = BTreeMap::new();
        match fs::read_dir(&directory) {
            Ok(entries) => {
                for entry in entries {
                    let entry = entry?;
                    if let Some(id) = entry.file_name().to_str().and_then(FileId::of_name) {
                        files.insert(id, entry.metadata()?.len());
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(PageFiles { directory, files: Mutex::new(files), written_octets: AtomicU64::new(0), steps })
    }

    /// Writes all pages of `snapshot`, at most `octets_in_write` at once, and returns when they are on the device with
    /// the name of their file. After a failure there is no such file.
    pub(super) fn write(&self, id: FileId, snapshot: &Snapshot, octets_in_write: usize) -> Result<Sum, StoreError> {
        // Known from the start, so that its generation is not given out again should it be impossible to remove.
        self.lock().insert(id, 0);
        match self.write_whole(id, snapshot, octets_in_write) {
            Ok((sum, octets)) => {
                self.lock().insert(id, octets);
                Ok(sum)
            }
            Err(error) => {
                if let Err(error) = self.remove(id) {
                    tracing::warn!(%error, "an incomplete file of pages is left for the next start");
                }
                Err(error)
            }
        }
    }

    fn write_whole(&self, id: FileId, snapshot: &Snapshot, octets_in_write: usize) -> Result<(Sum, u64), StoreError> {
        self.make_directory()?;
        let path = self.path(id);
        let failed = |error: io::Error| unwritten(&path, &error);
        self.steps.take()?;
        let file = File::options().write(true).create(true).truncate(true).open(&path).map_err(failed)?;
        let octets_in_write = octets_in_write.min(BUFFER_OCTETS);
        let mut output =
            Output { file, path: &path, buffer: Vec::new(), octets_in_write, octets: 0, steps: &self.steps };
        output.put(&id.head())?;
        let mut sum = Sum::of_none(snapshot.key());
        for (key, page) in snapshot.pages() {
            let (key, body) = (key.to_bytes(), page.as_bytes());
            let checksum = layout::checksum(&id.page_key(&key), body);
            sum.count(checksum);
            output.put(&(body.len() as u32).to_le_bytes())?;
            output.put(&checksum.to_le_bytes())?;
            output.put(&key)?;
            output.put(body)?;
        }
        output.put(&sum.end())?;
        output.write_out()?;
        self.written_octets.fetch_add(output.octets, Ordering::Relaxed);
        self.steps.take()?;
        output.file.sync_data().map_err(failed)?;
        self.steps.take()?;
        File::open(&self.directory).and_then(|directory| directory.sync_all()).map_err(failed)?;
        Ok((sum, output.octets))
    }

    fn make_directory(&self) -> Result<(), StoreError> {
        if self.directory.is_dir() {
            return Ok(());
        }
        self.steps.take()?;
        let parent = self.directory.parent().unwrap_or(Path::new("."));
        fs::create_dir(&self.directory)
            .and_then(|()| File::open(parent)?.sync_all())
            .map_err(|error| unwritten(&self.directory, &error))
    }

    /// Deletes the file, if it is there. Durable at some time: what comes back after a crash is found by the sweep.
    pub(super) fn remove(&self, id: FileId) -> Result<(), StoreError> {
        self.steps.take()?;
        let path = self.path(id);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unwritten(&path, &error)),
            _ => {}
        }
        self.lock().remove(&id);
        Ok(())
    }

    /// All pages, each checked and an allocation of its own. `sum` is what the header says of them.
    pub(super) fn read(&self, id: FileId, key: &HashKey, sum: Sum) -> Result<Vec<Page>, Damage> {
        let path = self.path(id);
        let unreadable = |error: io::Error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Damage::Missing(show(&path)),
            _ => Damage::Unreadable(show(&path), error.to_string()),
        };
        let shape = || Damage::Shape(show(&path));
        let mut input = BufReader::with_capacity(BUFFER_OCTETS, File::open(&path).map_err(unreadable)?);
        let mut head = [0; HEAD_OCTETS];
        input.read_exact(&mut head).map_err(unreadable)?;
        if head != id.head() {
            return Err(shape());
        }
        let mut pages = Vec::with_capacity(sum.pages as usize);
        let mut found = Sum::of_none(key);
        let mut body = [0; BODY_OCTETS_MAX];
        let mut at = HEAD_OCTETS;
        loop {
            let length = take(&mut input).map(u32::from_le_bytes).map_err(unreadable)? as usize;
            if length == 0 {
                break;
            }
            let body = body.get_mut(..length).ok_or_else(shape)?;
            let checksum = take(&mut input).map(u32::from_le_bytes).map_err(unreadable)?;
            let page_key: [u8; 10] = take(&mut input).map_err(unreadable)?;
            input.read_exact(body).map_err(unreadable)?;
            if layout::checksum(&id.page_key(&page_key), body) != checksum {
                return Err(Damage::Checksum(format!("{} at octet {at}", show(&path))));
            }
            let page = Page::from_bytes(body).map_err(|_| shape())?;
            if PageKey::from_bytes(&page_key) != Some(page.key()) {
                return Err(shape());
            }
            found.count(checksum);
            pages.push(page);
            at += FRAME_OCTETS + length;
        }
        let mut end = [0; END_OCTETS];
        input.read_exact(&mut end[4..]).map_err(unreadable)?;
        if end != found.end() || found != sum {
            return Err(Damage::Missing(show(&path)));
        }
        Ok(pages)
    }

    /// The generations of a zone's files of this purpose within `range`.
    pub(super) fn generations(&self, zone: ZoneNumber, purpose: Purpose, range: Range<u32>) -> Vec<u32> {
        let id = |generation| FileId { zone, purpose, generation };
        self.lock().range(id(range.start)..id(range.end)).map(|(id, _)| id.generation).collect()
    }

    /// The highest generation of a zone's files of this purpose, whether it counts or not; 0 without any.
    pub(super) fn top_generation(&self, zone: ZoneNumber, purpose: Purpose) -> u32 {
        let id = |generation| FileId { zone, purpose, generation };
        self.lock().range(id(0)..=id(u32::MAX)).next_back().map_or(0, |(id, _)| id.generation)
    }

    /// The first zone from `zone` on that has files.
    pub(super) fn first_zone(&self, zone: ZoneNumber) -> Option<ZoneNumber> {
        let from = FileId { zone, purpose: Purpose::Contents, generation: 0 };
        self.lock().range(from..).next().map(|(id, _)| id.zone)
    }

    /// The last zone that has files.
    pub(super) fn last_zone(&self) -> Option<ZoneNumber> {
        self.lock().keys().next_back().map(|id| id.zone)
    }

    /// Octets of all files.
    pub(super) fn octets(&self) -> u64 {
        self.lock().values().sum()
    }

    /// Octets written since start.
    pub(super) fn written_octets(&self) -> u64 {
        self.written_octets.load(Ordering::Relaxed)
    }

    fn path(&self, id: FileId) -> PathBuf {
        self.directory.join(id.name())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<FileId, u64>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file in the making.
struct Output<'a> {
    file: File,
    path: &'a Path,
    buffer: Vec<u8>,
    octets_in_write: usize,
    octets: u64,
    steps: &'a Steps,
}

impl Output<'_> {
    fn put(&mut self, octets: &[u8]) -> Result<(), StoreError> {
        if self.buffer.len() + octets.len() > self.octets_in_write {
            self.write_out()?;
        }
        self.buffer.extend_from_slice(octets);
        Ok(())
    }

    fn write_out(&mut self) -> Result<(), StoreError> {
        self.steps.take()?;
        self.file.write_all(&self.buffer).map_err(|error| unwritten(self.path, &error))?;
        self.octets += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

fn take<const N: usize>(input: &mut impl Read) -> io::Result<[u8; N]> {
    let mut octets = [0; N];
    input.read_exact(&mut octets)?;
    Ok(octets)
}

fn unwritten(path: &Path, error: &io::Error) -> StoreError {
    StoreError::PageFile { path: show(path), detail: error.to_string() }
}

/// Directory and name, as people find it below the state directory.
fn show(path: &Path) -> String {
    path.iter().skip(path.iter().count().saturating_sub(2)).collect::<PathBuf>().display().to_string()
}
