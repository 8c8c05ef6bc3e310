//! A zone whose contents follow from its serial, and a store to keep it in.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use secondaryd::dns::{Name, Record, RecordType};
use secondaryd::store::{Contents, Options, Store, StoreError, StoredZone, Write, ZoneNumber, layout};
use secondaryd::zone::{self, Builder, Diff, HashKey, Limits, PageKey, Snapshot};

/// A zone of so many hosts, one of which gets another address with each serial.
#[derive(Clone, Copy)]
pub(crate) struct Model {
    pub(crate) zone: ZoneNumber,
    pub(crate) hosts: u32,
}

impl Model {
    pub(crate) fn apex(self) -> Name {
        format!("zone{}.test.", self.zone).parse().expect("a name")
    }

    fn records(self, serial: u32) -> Vec<Record> {
        let apex = self.apex();
        let record = |owner: &Name, rtype, rdata: Vec<u8>| Record {
            owner: owner.clone(),
            rtype,
            ttl: 3_600,
            rdata: rdata.into(),
        };
        let mut soa = [apex.as_wire(), apex.as_wire()].concat();
        for field in [serial, 3_600, 600, 86_400, 300] {
            soa.extend_from_slice(&field.to_be_bytes());
        }
        let mut records =
            vec![record(&apex, RecordType::SOA, soa), record(&apex, RecordType::NS, apex.as_wire().to_vec())];
        let mut changed = vec![0u32; self.hosts as usize];
        for at in serial.saturating_sub(self.hosts)..=serial {
            changed[(at.wrapping_mul(7) % self.hosts) as usize] = at;
        }
        for (host, at) in changed.into_iter().enumerate() {
            let owner: Name = format!("host-{host}.{apex}").parse().expect("a name");
            records.push(record(&owner, RecordType::A, at.to_be_bytes().to_vec()));
        }
        records
    }

    pub(crate) fn snapshot(self, serial: u32, key: HashKey) -> Snapshot {
        let mut builder = Builder::new(self.apex(), key, Limits::default());
        for record in self.records(serial) {
            builder.add(record.borrow()).expect("a good record");
        }
        builder.finish(None).expect("a good zone").0
    }

    pub(crate) fn diff(self, from: u32, to: u32, key: HashKey) -> Diff {
        zone::between(&self.snapshot(from, key), &self.snapshot(to, key))
    }

    pub(crate) fn replace(self, serial: u32, from: Option<u32>, key: HashKey) -> Write {
        let snapshot = Arc::new(self.snapshot(serial, key));
        Write::Replace { zone: self.zone, snapshot, diff: from.map(|from| self.diff(from, serial, key)) }
    }

    /// The zone moves on by one serial at a time.
    pub(crate) fn append(self, from: u32, to: u32, key: HashKey) -> Write {
        let diffs = (from..to).map(|serial| self.diff(serial, serial + 1, key)).collect();
        Write::Append { zone: self.zone, snapshot: Arc::new(self.snapshot(to, key)), diffs }
    }

    /// Panics unless `snapshot` is byte for byte the zone at its serial, which is returned.
    pub(crate) fn check(self, snapshot: &Snapshot, key: HashKey) -> u32 {
        let serial = snapshot.serial().0;
        assert!(image(snapshot) == image(&self.snapshot(serial, key)), "zone {} is a mix at {serial}", self.zone);
        serial
    }
}

pub(crate) fn image(snapshot: &Snapshot) -> BTreeMap<PageKey, Vec<u8>> {
    snapshot.pages().map(|(key, page)| (key, page.as_bytes().to_vec())).collect()
}

/// Small batches, so that the pages of a zone of a few already stand in a file.
pub(crate) const SMALL_BATCH_OCTETS: usize = 16 << 10;

pub(crate) fn options(batch_octets: usize) -> Options {
    Options { batch_octets, patience: Duration::ZERO, history_versions: 12, ..Options::default() }
}

pub(crate) fn open(directory: &Path, options: Options) -> (Store, BTreeMap<ZoneNumber, StoredZone>) {
    let (store, restored) = Store::open(directory, options).expect("the store opens");
    assert_eq!(restored.damage(), None);
    let zones = restored.into_iter().map(|stored| (stored.zone, stored)).collect();
    (store, zones)
}

pub(crate) fn write(store: &Store, write: Write) -> Result<(), StoreError> {
    let (sender, receiver) = channel();
    store.submit(write, Box::new(move |outcome| sender.send(outcome).expect("the test waits")));
    receiver.recv().expect("every write is acknowledged")
}

pub(crate) fn loaded(zones: &BTreeMap<ZoneNumber, StoredZone>, zone: ZoneNumber) -> Option<&Snapshot> {
    match &zones.get(&zone)?.contents {
        Contents::Loaded { snapshot } => Some(snapshot),
        Contents::Empty => None,
        Contents::Damaged(why) => panic!("zone {zone} is damaged: {why}"),
    }
}

/// The database below a closed store. sled's own threads may hold its lock for a moment longer.
pub(crate) fn open_below(directory: &Path) -> sled::Db {
    for _ in 0..500 {
        match sled::open(directory.join("sled")) {
            Err(sled::Error::Io(error)) if error.to_string().contains("lock") => {
                std::thread::sleep(Duration::from_millis(10));
            }
            opened => return opened.expect("the database opens"),
        }
    }
    panic!("the database is still locked after 5 s");
}

/// What sled holds, by table: number of keys.
pub(crate) fn keys(directory: &Path) -> BTreeMap<char, usize> {
    let db = open_below(directory);
    let mut tables = BTreeMap::new();
    for key in db.iter().keys() {
        *tables.entry(char::from(key.expect("read")[0])).or_default() += 1;
    }
    tables
}

pub(crate) fn wait_until_tidy(store: &Store) {
    for _ in 0..2_000 {
        if store.statistics().is_tidy {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("left-overs are still there after 10 s");
}

/// The names of the files of pages.
pub(crate) fn page_files(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory.join("pages")) else { return Vec::new() };
    let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
    let mut names: Vec<String> = entries.map(|entry| name(entry).into_string().expect("text")).collect();
    names.sort();
    names
}

/// How many pages there are in the tree, behind headers and in all files, whether they count or not.
pub(crate) fn stored_pages(directory: &Path) -> usize {
    let in_tree = keys(directory).get(&'p').copied().unwrap_or(0);
    let headers = open_below(directory).scan_prefix([layout::table::ZONE]).map(|item| {
        let (key, value) = item.expect("read");
        let body = layout::open(&key, &value).expect("sound");
        layout::Header::decode(body).expect("a header").0.place
    });
    let behind_headers = headers.filter(|place| *place == layout::Place::Header).count();
    let in_files = page_files(directory).into_iter().map(|name| {
        let file = fs::read(directory.join("pages").join(name)).expect("a file");
        let mut rest = &file[24..];
        let mut pages = 0;
        while let (length @ 1.., behind) = u32_of(rest) {
            rest = &behind[14 + length as usize..];
            pages += 1;
        }
        pages
    });
    in_tree + behind_headers + in_files.sum::<usize>()
}

fn u32_of(octets: &[u8]) -> (u32, &[u8]) {
    let (first, behind) = octets.split_first_chunk().expect("four octets");
    (u32::from_le_bytes(*first), behind)
}

/// A copy of a closed store's files.
pub(crate) fn copy_store(directory: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a directory");
    fs::create_dir_all(copy.path().join("sled/blobs")).expect("created");
    for below in ["sled", "pages"] {
        let Ok(entries) = fs::read_dir(directory.join(below)) else { continue };
        fs::create_dir_all(copy.path().join(below)).expect("created");
        for entry in entries {
            let path = entry.expect("an entry").path();
            if path.is_file() {
                fs::copy(&path, copy.path().join(below).join(path.file_name().expect("a name"))).expect("copied");
            }
        }
    }
    copy
}

/// Changes the format number of a closed store, as if an older version had written it.
pub(crate) fn set_format(directory: &Path, format: u32) {
    let db = open_below(directory);
    let value = db.get(b"v").expect("read").expect("a format");
    // Checksum over key and body, then the number.
    let body = [&format.to_le_bytes(), &value[8..]].concat();
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(b"v");
    hasher.update(&body);
    let sealed = [&hasher.finalize().to_le_bytes()[..], &body].concat();
    db.insert(b"v", sealed).expect("written");
    db.flush().expect("flushed");
}
