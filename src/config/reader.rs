//! From files to tables: reading, includes, line numbers, and every mistake instead of the first.
//!
//! serde reads one table at a time. When a table does not fit, the offending key is reported and taken out, and the
//! table is read again: so each wrong key of each table gets its line, and later checks still see the rest.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::catalogs::CatalogZoneTable;
use super::guard::{GuardTable, HookTable};
use super::values::Secret;
use super::zones::{Origin, PrimaryTable, TsigKeyTable, ZoneTable};
use super::{Config, ConfigError, CredentialTable};
use crate::threads::{self, in_threads};

/// One file or a piece of it, with what is needed to turn offsets into lines.
pub(super) struct Source {
    path: Arc<Path>,
    /// Before the piece.
    lines_before: usize,
    line_starts: Vec<usize>,
}

impl Source {
    fn new(path: &Path, text: &str) -> Source {
        Source::piece(path.into(), 0, text)
    }

    fn piece(path: Arc<Path>, lines_before: usize, text: &str) -> Source {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Source { path, lines_before, line_starts }
    }

    /// The place of an offset.
    pub(super) fn origin(&self, offset: usize) -> Origin {
        let line = self.line_starts.partition_point(|&start| start <= offset);
        Origin { file: self.path.clone(), line: (self.lines_before + line) as u32 }
    }

    /// A path as written in this file, seen from its directory.
    pub(super) fn resolve(&self, path: &Path) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(path)
    }
}

/// A table as written, with the file and offset it stands at.
pub(super) struct Written<T> {
    pub(super) table: T,
    pub(super) source: Arc<Source>,
    pub(super) at: usize,
}

impl<T> Written<T> {
    pub(super) fn origin(&self) -> Origin {
        self.source.origin(self.at)
    }
}

/// Everything the files hold, before names are looked up.
#[derive(Default)]
pub(super) struct Tables {
    pub(super) config: Config,
    pub(super) main: Option<MainFile>,
    pub(super) credentials: Vec<Written<CredentialTable>>,
    pub(super) keys: Vec<Written<(String, Option<TsigKeyTable>)>>,
    pub(super) primaries: Vec<Written<(String, Option<PrimaryTable>)>>,
    pub(super) guard: GuardTable,
    pub(super) hook: HookTable,
    pub(super) zones: Vec<Written<ZoneTable>>,
    pub(super) catalogs: Vec<Written<CatalogZoneTable>>,
    pub(super) errors: Vec<ConfigError>,
}

/// Where the keys of the main file's sections stand.
pub(super) struct MainFile {
    source: Arc<Source>,
    keys: Vec<(String, usize)>,
}

impl MainFile {
    /// A path as written in this file, seen from its directory.
    pub(super) fn resolve(&self, path: &Path) -> PathBuf {
        self.source.resolve(path)
    }

    /// The place of `section.key`, or of the section, or of the file's start.
    pub(super) fn origin(&self, key: &str) -> Origin {
        let section = key.split('.').next().unwrap_or(key);
        let find = |wanted: &str| self.keys.iter().find(|(name, _)| name == wanted).map(|&(_, at)| at);
        self.source.origin(find(key).or_else(|| find(section)).unwrap_or(0))
    }
}

pub(super) const MAIN_KEYS: &[&str] = &[
    "state-dir",
    "durability",
    "include",
    "dns",
    "api",
    "local",
    "quota",
    "transfer",
    "guard",
    "hook",
    "store",
    "log",
    "tsig-key",
    "primary",
    "secondary-zone",
    "catalog-zone",
];
const INCLUDE_KEYS: &[&str] = &["tsig-key", "primary", "secondary-zone", "catalog-zone"];

impl Tables {
    /// Reads `path` and what it includes.
    pub(super) fn read(path: &Path) -> Tables {
        let mut tables = Tables::default();
        match read_text(path) {
            Ok(text) => tables.read_main(path, &text),
            Err(error) => tables.errors.push(error),
        }
        tables
    }

    /// Whether the main file has this section.
    pub(super) fn has_section(&self, name: &str) -> bool {
        self.main.as_ref().is_some_and(|main| main.keys.iter().any(|(key, _)| key == name))
    }

    /// Reads `text` as the file `path`, and what it includes.
    pub(super) fn read_main(&mut self, path: &Path, text: &str) {
        let Some(source) = self.read_sections(path, text) else { return };
        for pattern in self.config.include.clone() {
            self.read_included(&source, &pattern);
        }
    }

    /// Reads `text` as the file `path`; `None` if it cannot be read as TOML.
    pub(super) fn read_sections(&mut self, path: &Path, text: &str) -> Option<Arc<Source>> {
        let (source, root) = self.read_root(path, text)?;
        self.main = Some(MainFile { source: source.clone(), keys: key_offsets(&root) });
        for (key, value) in root {
            let name = key.get_ref().as_ref();
            let config = &mut self.config;
            // Each section replaces its default; one with mistakes is reported and keeps what could be read.
            match name {
                "state-dir" => set(&mut config.state_dir, scalar(&source, name, value, &mut self.errors)),
                "durability" => set(&mut config.durability, scalar(&source, name, value, &mut self.errors)),
                "include" => set(&mut config.include, scalar(&source, name, value, &mut self.errors)),
                "dns" => set(&mut config.dns, section(&source, name, value, &mut self.errors)),
                "local" => set(&mut config.local, section(&source, name, value, &mut self.errors)),
                "quota" => set(&mut config.quota, section(&source, name, value, &mut self.errors)),
                "transfer" => set(&mut config.transfer, section(&source, name, value, &mut self.errors)),
                "guard" => set(&mut self.guard, section(&source, name, value, &mut self.errors)),
                "hook" => set(&mut self.hook, section(&source, name, value, &mut self.errors)),
                "store" => set(&mut config.store, section(&source, name, value, &mut self.errors)),
                "log" => set(&mut config.log, section(&source, name, value, &mut self.errors)),
                "api" => self.read_api(&source, value),
                _ => self.read_shared(&source, &key, value, MAIN_KEYS),
            }
        }
        Some(source)
    }

    fn read_api(&mut self, source: &Arc<Source>, mut value: Spanned<DeValue<'_>>) {
        // Credentials are read one by one, so that a mistake in one does not hide those of the others.
        let credentials = match value.get_mut() {
            DeValue::Table(api) => api.remove("credential"),
            _ => None,
        };
        set(&mut self.config.api, section(source, "api", value, &mut self.errors));
        for (at, credential) in self.list(source, "api.credential", credentials) {
            if let Some(table) = table(source, "api.credential", credential, &mut self.errors) {
                self.credentials.push(Written { table, source: source.clone(), at });
            }
        }
    }

    /// The tables that may stand in included files too.
    fn read_shared(
        &mut self,
        source: &Arc<Source>,
        key: &Spanned<toml::de::DeString<'_>>,
        value: Spanned<DeValue<'_>>,
        known: &[&str],
    ) {
        match key.get_ref().as_ref() {
            "tsig-key" => {
                for (name, at, value) in self.named(source, "tsig-key", value) {
                    let read = table(source, &format!("tsig-key.{name}"), value, &mut self.errors);
                    self.keys.push(Written { table: (name, read), source: source.clone(), at });
                }
            }
            "primary" => {
                for (name, at, value) in self.named(source, "primary", value) {
                    let read = table(source, &format!("primary.{name}"), value, &mut self.errors);
                    self.primaries.push(Written { table: (name, read), source: source.clone(), at });
                }
            }
            "secondary-zone" => self.read_zones(source, value),
            "catalog-zone" => {
                for (at, value) in self.list(source, "catalog-zone", Some(value)) {
                    if let Some(table) = table(source, "catalog-zone", value, &mut self.errors) {
                        self.catalogs.push(Written { table, source: source.clone(), at });
                    }
                }
            }
            other => {
                let message = match MAIN_KEYS.contains(&other) {
                    true => "stands in the main file only".to_owned(),
                    false => format!("unknown key; expected one of {}", quoted(known)),
                };
                self.fail(source.origin(key.span().start), other, message);
            }
        }
    }

    fn read_zones(&mut self, source: &Arc<Source>, value: Spanned<DeValue<'_>>) {
        for (at, value) in self.list(source, "secondary-zone", Some(value)) {
            if let Some(table) = table(source, "secondary-zone", value, &mut self.errors) {
                self.zones.push(Written { table, source: source.clone(), at });
            }
        }
    }

    /// The tables of the file `path`. If it ends with nothing but zones these have been read, some at a time: the tree of
    /// 100,000 tables is ten times the size of the file.
    fn read_root<'t>(&mut self, path: &Path, text: &'t str) -> Option<(Arc<Source>, DeTable<'t>)> {
        if let Some(sections) = before_zones(text).filter(|sections| sections.len() < text.len()) {
            let (root, mistakes) = DeTable::parse_recoverable(sections);
            let root = root.into_inner();
            let source = Arc::new(Source::new(path, sections));
            if mistakes.is_empty()
                && !root.contains_key("secondary-zone")
                && self.read_zones_apart(&source, &text[sections.len()..])
            {
                return Some((source, root));
            }
        }
        // As a whole it may be right after all, and else the mistake is to be told as one of the whole.
        let source = Arc::new(Source::new(path, text));
        let root = self.parse(&source, text)?;
        Some((source, root))
    }

    /// Reads `text`, which begins with a zone and follows `sections`; false, and nothing is read, if it is not all zones.
    fn read_zones_apart(&mut self, sections: &Source, text: &str) -> bool {
        let threads = if text.len() < LARGE_OCTETS { 1 } else { threads::for_large_work() };
        let pieces = pieces(text, sections.line_starts.len() - 1);
        let read = in_threads(threads, pieces, Tables::default, |tables, (lines_before, piece)| {
            let (root, mistakes) = DeTable::parse_recoverable(piece);
            let are_zones = root.get_ref().keys().all(|key| key.get_ref() == "secondary-zone");
            if !mistakes.is_empty() || !are_zones {
                return Err(NotAllZones);
            }
            let source = Arc::new(Source::piece(sections.path.clone(), lines_before, piece));
            for (_, value) in root.into_inner() {
                tables.read_zones(&source, value);
            }
            Ok((std::mem::take(&mut tables.zones), std::mem::take(&mut tables.errors)))
        });
        let Ok((read, _)) = read else { return false };
        self.zones.reserve(read.iter().map(|(zones, _)| zones.len()).sum());
        for (zones, errors) in read {
            self.zones.extend(zones);
            self.errors.extend(errors);
        }
        true
    }

    fn read_included(&mut self, main: &Source, pattern: &str) {
        let files = match expand(&main.resolve(Path::new(pattern))) {
            Ok(files) => files,
            Err(message) => {
                let origin = self.main.as_ref().map_or(main.origin(0), |m| m.origin("include"));
                return self.fail(origin, "include", message);
            }
        };
        for path in files {
            let text = match read_text(&path) {
                Ok(text) => text,
                Err(error) => {
                    self.errors.push(error);
                    continue;
                }
            };
            let Some((source, root)) = self.read_root(&path, &text) else { continue };
            for (key, value) in root {
                self.read_shared(&source, &key, value, INCLUDE_KEYS);
            }
        }
    }

    fn parse<'t>(&mut self, source: &Source, text: &'t str) -> Option<DeTable<'t>> {
        let (root, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let at = error.span().map_or(0, |span| span.start);
            self.fail(source.origin(at), key_near(text, at), error.message().to_owned());
        }
        // What could be recovered from broken syntax would only give errors that come from the first.
        errors.is_empty().then(|| root.into_inner())
    }

    /// `[[name]]`: its tables with their offsets.
    fn list<'t>(
        &mut self,
        source: &Source,
        name: &str,
        value: Option<Spanned<DeValue<'t>>>,
    ) -> Vec<(usize, Spanned<DeValue<'t>>)> {
        let Some(value) = value else { return Vec::new() };
        let at = value.span().start;
        match value.into_inner() {
            DeValue::Array(array) => array.into_iter().map(|table| (table.span().start, table)).collect(),
            _ => {
                self.fail(source.origin(at), name, format!("write it as [[{name}]], with two brackets"));
                Vec::new()
            }
        }
    }

    /// `[name.X]`: the names X with their tables and offsets.
    fn named<'t>(
        &mut self,
        source: &Source,
        name: &str,
        value: Spanned<DeValue<'t>>,
    ) -> Vec<(String, usize, Spanned<DeValue<'t>>)> {
        let at = value.span().start;
        match value.into_inner() {
            DeValue::Table(table) => {
                table.into_iter().map(|(k, v)| (k.get_ref().to_string(), k.span().start, v)).collect()
            }
            _ => {
                self.fail(source.origin(at), name, format!("write it as [{name}.NAME], one table for each name"));
                Vec::new()
            }
        }
    }

    /// Keeps a mistake for the report.
    pub(super) fn fail(&mut self, origin: Origin, key: &str, message: impl Into<String>) {
        self.errors.push(ConfigError::new(origin, key, message.into()));
    }
}

/// With this a line begins that begins a zone.
const ZONE: &str = "[[secondary-zone]]";

fn is_zone(line: &str) -> bool {
    line.starts_with(ZONE)
}

/// The text before the first zone, if nothing but zones follows, as far as lines tell.
pub(super) fn before_zones(text: &str) -> Option<&str> {
    let mut octets = 0;
    let mut lines = text.split_inclusive('\n');
    for line in lines.by_ref().take_while(|line| !is_zone(line)) {
        octets += line.len();
    }
    let is_of_zone = |line: &str| is_zone(line) || line.starts_with("[secondary-zone.");
    let are_zones = lines.all(|line| !line.trim_start().starts_with('[') || is_of_zone(line));
    are_zones.then(|| &text[..octets])
}

/// The text before the first zone of the file, of which no more is read; `None` if it is longer.
pub(super) fn sections_before_zones(path: &Path, octets_max: usize) -> Option<String> {
    let mut file = BufReader::new(File::open(path).ok()?.take(octets_max as u64 + 1));
    let mut sections = String::new();
    loop {
        let before = sections.len();
        let read = file.read_line(&mut sections).ok()?;
        if read == 0 || is_zone(&sections[before..]) {
            sections.truncate(before);
            return (sections.len() <= octets_max).then_some(sections);
        }
    }
}

/// Zones that are read at a time.
const PIECE_ZONES: usize = 64;
/// From so many octets of zones on all processors read them: some thousand.
const LARGE_OCTETS: usize = 256 * 1024;

/// The text, which begins with a zone, in pieces of some zones, each with the lines before it.
fn pieces(mut text: &str, mut lines_before: usize) -> impl Iterator<Item = (usize, &str)> + Send {
    std::iter::from_fn(move || {
        let (mut octets, mut lines, mut zones) = (0, 0, 0);
        for line in text.split_inclusive('\n') {
            zones += usize::from(is_zone(line));
            if zones > PIECE_ZONES {
                break;
            }
            octets += line.len();
            lines += 1;
        }
        let (piece, rest) = text.split_at(octets);
        text = rest;
        lines_before += lines;
        (!piece.is_empty()).then_some((lines_before - lines, piece))
    })
}

/// The text holds something that is no zone, or cannot be read.
struct NotAllZones;

fn read_text(path: &Path) -> Result<String, ConfigError> {
    let octets = fs::read(path).map_err(|e| ConfigError {
        file: path.into(),
        line: None,
        key: String::new(),
        message: format!("cannot be read: {e}"),
    })?;
    String::from_utf8(octets).map_err(|e| {
        let lines_before = e.as_bytes()[..e.utf8_error().valid_up_to()].split(|&c| c == b'\n').count();
        let origin = Origin { file: path.into(), line: lines_before as u32 };
        ConfigError::new(origin, "", "the text is not UTF-8 from here on".to_owned())
    })
}

/// The key or table that the line around `at` begins with, as far as one can tell in broken syntax; else empty. Never
/// a value, which may be a secret.
fn key_near(text: &str, at: usize) -> &str {
    let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let line = text[start..].lines().next().unwrap_or_default();
    let key = line.split('=').next().unwrap_or_default().trim_matches([' ', '\t', '[', ']']);
    let is_key = key.bytes().all(|c| c.is_ascii_lowercase() || b"-.".contains(&c));
    if is_key { key } else { "" }
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

/// A single value.
fn scalar<T: DeserializeOwned>(
    source: &Source,
    key: &str,
    value: Spanned<DeValue<'_>>,
    errors: &mut Vec<ConfigError>,
) -> Option<T> {
    let at = value.span().start;
    T::deserialize(ValueDeserializer::from(value))
        .map_err(|e| {
            let at = e.span().map_or(at, |span| span.start);
            errors.push(ConfigError::new(source.origin(at), key, explain(e.message())));
        })
        .ok()
}

/// A table without mistakes, or `None` and its mistakes in `errors`.
fn table<T: DeserializeOwned>(
    source: &Source,
    name: &str,
    value: Spanned<DeValue<'_>>,
    errors: &mut Vec<ConfigError>,
) -> Option<T> {
    let before = errors.len();
    section(source, name, value, errors).filter(|_| errors.len() == before)
}

/// A table of which each key that does not fit is reported and left out. `None` if what remains is no such table.
fn section<T: DeserializeOwned>(
    source: &Source,
    name: &str,
    value: Spanned<DeValue<'_>>,
    errors: &mut Vec<ConfigError>,
) -> Option<T> {
    let span = value.span();
    let DeValue::Table(mut rest) = value.into_inner() else {
        let message = format!("a table is expected: [{name}] with its keys below");
        errors.push(ConfigError::new(source.origin(span.start), name, message));
        return None;
    };
    let mut left_out = BTreeSet::new();
    loop {
        let whole = Spanned::new(span.clone(), DeValue::Table(rest.clone()));
        let error = match T::deserialize(ValueDeserializer::from(whole)) {
            Ok(table) => return Some(table),
            Err(error) => error,
        };
        let at = error.span().unwrap_or(span.clone());
        match key_at(&rest, &at) {
            Some(key) => {
                let path = format!("{name}.{key}");
                errors.push(ConfigError::new(source.origin(at.start), &path, explain(error.message())));
                rest.remove(key.as_str());
                left_out.insert(key);
            }
            // Nothing to take out: a required key is missing. If it was there but wrong, that has been said.
            None => {
                let missing = error.message().split('`').nth(1).unwrap_or_default();
                if !left_out.contains(missing) {
                    let path = if missing.is_empty() { name.to_owned() } else { format!("{name}.{missing}") };
                    errors.push(ConfigError::new(source.origin(span.start), &path, explain(error.message())));
                }
                return None;
            }
        }
    }
}

/// The key whose name or value `at` lies in.
fn key_at(table: &DeTable<'_>, at: &Range<usize>) -> Option<String> {
    let holds = |span: Range<usize>| span.start <= at.start && at.end <= span.end;
    table.iter().find(|(key, value)| holds(key.span()) || holds(value.span())).map(|(key, _)| key.get_ref().to_string())
}

/// serde's sentence in the words of a configuration.
fn explain(message: &str) -> String {
    if let Some(key) = message.strip_prefix("missing field ") {
        return format!("required key {key} is missing");
    }
    // What was found instead is not repeated: the line shows it, and it may be a secret.
    let mismatch = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "));
    if let Some((_, expected)) = mismatch.and_then(|found| found.rsplit_once(", expected ")) {
        let expected = match expected {
            "usize" | "u64" => "a whole number from 0 on",
            "u32" => "a whole number from 0 to 4294967295",
            "u16" => "a whole number from 0 to 65535",
            "a boolean" => "true or false, without quotes,",
            "a string" | "path string" => "text in quotes",
            "a sequence" => "a list in brackets such as [\"...\", \"...\"]",
            other => other,
        };
        return format!("{expected} is expected");
    }
    message.replacen("unknown field", "unknown key", 1)
}

/// Offsets of `key` and `section.key` for every key of the file's first two levels.
fn key_offsets(root: &DeTable<'_>) -> Vec<(String, usize)> {
    let mut offsets = Vec::new();
    for (section, value) in root {
        offsets.push((section.get_ref().to_string(), section.span().start));
        if let DeValue::Table(table) = value.get_ref() {
            let inner = table.keys().map(|key| (format!("{}.{}", section.get_ref(), key.get_ref()), key.span().start));
            offsets.extend(inner);
        }
    }
    offsets
}

fn quoted(keys: &[&str]) -> String {
    keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
}

/// The octets of a secret kept in a file of its own, without the line feed at its end.
pub(super) fn read_secret(path: &Path) -> Result<Secret, String> {
    let octets = fs::read(path).map_err(|e| format!("{} cannot be read: {e}", path.display()))?;
    let secret = octets.trim_ascii_end();
    if secret.is_empty() { Err(format!("{} is empty", path.display())) } else { Ok(Secret::new(secret)) }
}

/// The files a pattern names, sorted. `*` and `?` may stand in any component and do not match a leading dot; a path
/// without them must exist. What cannot be looked at is an error and not "no match": a reload would remove its zones.
fn expand(pattern: &Path) -> Result<Vec<PathBuf>, String> {
    let mut paths = vec![PathBuf::new()];
    let mut wild = false;
    for component in pattern.components() {
        let text = component.as_os_str().to_string_lossy();
        if !text.contains(['*', '?']) {
            paths.iter_mut().for_each(|path| path.push(component));
            continue;
        }
        let mut matched = Vec::new();
        for path in &paths {
            let directory = if path.as_os_str().is_empty() { Path::new(".") } else { path.as_path() };
            match matches_in(directory, text.as_bytes()) {
                Ok(names) => matched.extend(names.into_iter().map(|name| path.join(name))),
                Err(error) if wild && is_no_match(path, &error) => {}
                Err(error) => return Err(format!("{} cannot be read: {error}", directory.display())),
            }
        }
        matched.sort();
        paths = matched;
        wild = true;
    }
    let mut files = Vec::with_capacity(paths.len());
    for path in paths {
        match path.metadata() {
            Ok(metadata) if metadata.is_file() => files.push(path),
            Ok(_) if wild => {}
            Err(error) if wild && is_no_match(&path, &error) => {}
            Err(error) if wild => return Err(format!("{} cannot be read: {error}", path.display())),
            _ => {
                let hint = "a pattern such as \"zones.d/*.toml\" may match none";
                return Err(format!("{} is no file; {hint}", path.display()));
            }
        }
    }
    Ok(files)
}

/// Whether a path behind a wildcard is none that was meant: there is none, or no directory where one is needed. A link to what
/// has gone was meant.
fn is_no_match(path: &Path, error: &io::Error) -> bool {
    match error.kind() {
        io::ErrorKind::NotADirectory => true,
        io::ErrorKind::NotFound => {
            path.ancestors().find(|above| above.symlink_metadata().is_ok()).is_none_or(Path::exists)
        }
        _ => false,
    }
}

/// The names in a directory that match, without those with a leading dot.
fn matches_in(directory: &Path, pattern: &[u8]) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let shown = name.to_string_lossy();
        if !shown.starts_with('.') && wildcard(pattern, shown.as_bytes()) {
            names.push(name);
        }
    }
    Ok(names)
}

/// Whether `text` matches `pattern` with `*` (any octets) and `?` (one). Linear with one point to return to.
fn wildcard(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&c) if c == b'?' || c == text[t] => (p, t) = (p + 1, t + 1),
            _ => match star {
                Some((star_p, star_t)) => {
                    (p, t) = (star_p + 1, star_t + 1);
                    star = Some((star_p, star_t + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_as_in_a_shell() {
        for (pattern, text, expected) in [
            ("*.toml", "a.toml", true),
            ("*.toml", "a.toml~", false),
            ("*", "", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*a*b", "xxaxxbxb", true),
            ("*a*b", "xxaxxbx", false),
        ] {
            assert_eq!(wildcard(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn sections_are_found_before_the_zones_only() {
        let zones = "[[secondary-zone]]\nname = \"a\"\n[secondary-zone.guard]\n[[secondary-zone]]\n";
        let sections = "state-dir = \"s\"\n[dns]\n  [tsig-key.a]\n";
        assert_eq!(before_zones(&format!("{sections}{zones}")), Some(sections));
        assert_eq!(before_zones(sections), Some(sections));
        assert_eq!(before_zones(zones), Some(""));
        assert_eq!(before_zones(&format!("{zones} [dns]\n")), None);
    }

    /// Zones as text, each of three lines.
    fn zones(numbers: Range<usize>) -> String {
        numbers.map(|n| format!("[[secondary-zone]]\nname = \"z{n}\"\nprimaries = [\"192.0.2.1\"]\n")).collect()
    }

    fn read(text: &str) -> Tables {
        let mut tables = Tables::default();
        tables.read_main(Path::new("f"), text);
        tables
    }

    /// Some pieces, and so many that all processors read them.
    const FEW_AND_MANY: [usize; 2] = [3 * PIECE_ZONES + 1, LARGE_OCTETS / 40];

    #[test]
    fn zones_read_in_pieces_are_the_zones_of_the_whole_file_in_their_lines() {
        for count in FEW_AND_MANY {
            let text = format!("[dns]\n{}", zones(0..count));
            let mut tables = Tables::default();
            let (_, root) = tables.read_root(Path::new("f"), &text).expect("TOML");
            assert_eq!(root.keys().map(|key| key.get_ref().as_ref()).collect::<Vec<_>>(), ["dns"]);
            let places = tables.zones.iter().map(|zone| (zone.table.name.get_ref().clone(), zone.origin().line));
            let expected = (0..count).map(|n| (format!("z{n}"), 2 + 3 * n as u32));
            assert!(places.eq(expected), "{count} zones");
        }
    }

    #[test]
    fn mistakes_in_zones_are_told_with_their_lines_in_the_order_of_the_file() {
        for count in FEW_AND_MANY {
            let text = format!("{}nam = 1\n{}nam = 2\n", zones(0..count), zones(count..2 * count));
            let errors = read(&text).errors;
            let shown: Vec<_> = errors.iter().map(|error| (error.line, error.key.as_str())).collect();
            let expected = [3 * count + 1, 6 * count + 2].map(|line| (Some(line as u32), "secondary-zone.nam"));
            assert_eq!(shown, expected);
        }
    }

    #[test]
    fn of_a_file_that_is_broken_somewhere_nothing_but_that_is_told() {
        for count in FEW_AND_MANY {
            let text = format!("{}name = \n{}", zones(0..count), zones(count..2 * count));
            let tables = read(&text);
            assert_eq!((tables.zones.len(), tables.errors[0].line), (0, Some(3 * count as u32 + 1)));
        }
    }

    #[test]
    fn a_file_that_is_not_what_its_lines_look_like_is_read_as_a_whole() {
        // what looks like zones is a text, and what looks like its end is one of theirs
        let text = format!("state-dir = \"\"\"\n{}\"\"\"\n", zones(0..1));
        let tables = read(&text);
        assert_eq!((tables.zones.len(), tables.errors.len()), (0, 0));
        // and so if a comment ends it
        let text = format!("state-dir = \"\"\"\n{}# \"\"\"\n", zones(0..1));
        let tables = read(&text);
        assert_eq!((tables.zones.len(), tables.errors.len()), (0, 0));
        // TOML does not let a list in brackets be continued, whatever the pieces say
        let text = format!("secondary-zone = []\n{}", zones(0..1));
        assert_eq!(read(&text).errors.len(), 1);
        // broken syntax is told as that of the file
        let text = format!("{}name = \n{}", zones(0..70), zones(70..140));
        let mut lines: Vec<_> = read(&text).errors.iter().map(|error| error.line).collect();
        lines.dedup();
        assert_eq!(lines, [Some(211)]);
    }

    #[test]
    fn lines_are_counted_from_one() {
        let source = Source::new(Path::new("f"), "a\nb\n\nc");
        assert_eq!([0, 1, 2, 4, 5].map(|at| source.origin(at).line), [1, 1, 2, 3, 4]);
    }
}
