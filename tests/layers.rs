//! The wall between the rooms of the crate: who may use whom, and what vocabulary and rules never touch.
//!
//! Reads the source text, since a single crate has no other wall. Comments and test modules do not count: links in
//! documentation may point anywhere, and a test may take a witness from above. Rooms that do not exist yet are fine;
//! a room that is not in the table is not.

use std::fs;
use std::path::{Path, PathBuf};

/// Words every room may use.
const EVERYWHERE: &[&str] = &["reason", "time", "threads"];
const VOCABULARY: &[&str] = &["dns", "zone", "served"];
const RULES: &[&str] = &["answer", "transfer", "refresh", "notify", "local", "reverse", "catalog", "access"];
const EFFECTS: &[&str] = &["store", "net"];

/// A room, whom it may use beside [`EVERYWHERE`] and itself, and the sentence that is broken otherwise.
struct Wall {
    room: &'static str,
    may_use: Vec<&'static str>,
    sentence: &'static str,
}

fn walls() -> Vec<Wall> {
    let wall = |room, may_use: &[&[&'static str]], sentence| Wall { room, may_use: may_use.concat(), sentence };
    let mut walls = vec![
        wall("reason", &[], "reason is vocabulary: it uses no other room"),
        wall("time", &[], "time is vocabulary: it uses no other room"),
        wall("threads", &[], "threads is vocabulary: it uses no other room"),
        wall("dns", &[], "dns is the lowest room: bytes <-> meaning, it knows no zone"),
        wall("zone", &[&["dns"]], "zone is one zone's contents: it uses dns only"),
        wall("served", &[&["dns", "zone"]], "served is what query workers see: it uses zone and dns only"),
        wall("answer", &[VOCABULARY], "answer makes a reply from served: rules do not use each other"),
        wall("local", &[&["dns", "zone", "reverse"]], "local uses zone, dns and reverse: rules do not use each other"),
        wall("config", &[&["dns", "access"]], "config is vocabulary of the edge: it uses dns and access rules only"),
        wall("telemetry", &[&["config"]], "telemetry is used by effects and above and uses config only"),
        wall("manual", &[], "manual is text"),
        wall("system", &[], "system is calls of the operating system: it uses no other room"),
        wall(
            "control",
            &[VOCABULARY, RULES, EFFECTS, &["config", "telemetry"]],
            "control is used by api and daemon, never the other way round",
        ),
        wall(
            "api",
            &[VOCABULARY, RULES, EFFECTS, &["config", "telemetry", "control", "manual"]],
            "api translates for control: it does not use the daemon",
        ),
        wall(
            "daemon",
            &[VOCABULARY, RULES, EFFECTS, &["config", "telemetry", "control", "api", "manual", "scrape", "system"]],
            "daemon puts the rooms together: only the programs use it",
        ),
        wall(
            "scrape",
            &[VOCABULARY, RULES, EFFECTS, &["config", "telemetry", "control"]],
            "scrape moves numbers of the rooms below into the metrics: only the daemon uses it",
        ),
        wall(
            "demo",
            &[VOCABULARY, RULES, EFFECTS, &["config", "telemetry", "control", "api", "manual", "daemon"]],
            "demo is a daemon with a primary beside it",
        ),
    ];
    for room in ["transfer", "refresh", "notify", "reverse", "catalog", "access"] {
        walls.push(wall(room, &[&["dns", "zone"]], "rules use zone and dns, not served and not each other"));
    }
    for room in EFFECTS {
        walls.push(wall(
            room,
            &[VOCABULARY, RULES, &["config", "telemetry", "system"]],
            "effects use rules and vocabulary, not each other and nothing above",
        ));
    }
    walls
}

/// What vocabulary and rules never mention, and what it would be.
const DENIED: &[(&str, &str)] = &[
    ("Instant::now", "a clock: `now` comes in as an argument"),
    ("SystemTime::now", "a clock: `now` comes in as an argument"),
    ("Timestamp::now", "a clock: `now` comes in as an argument"),
    ("tokio", "a task or socket: the async side is control and net"),
    ("sled", "the disk: that is the store's"),
    ("std::fs", "the disk: that is the store's"),
    ("axum", "HTTP: that is the api's"),
    ("socket2", "a socket: that is net's"),
    ("TcpStream", "a socket: that is net's"),
    ("TcpListener", "a socket: that is net's"),
    ("UdpSocket", "a socket: that is net's"),
    ("UnixStream", "a socket: that is net's"),
    ("UnixDatagram", "a socket: that is net's"),
];

/// The one file that may allow `unsafe`, for itself and the modules in it.
const UNSAFE_FILE: &str = "system/mod.rs";

#[test]
fn rooms_use_only_rooms_below_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut broken = Vec::new();
    for path in rust_files(&root) {
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let relative = path.strip_prefix(&root).expect("a file below src");
        broken.extend(check(relative, &text));
    }
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

/// Every sentence that `text`, the file `src/{path}`, breaks.
fn check(path: &Path, text: &str) -> Vec<String> {
    let shown = format!("src/{}", path.display());
    let room = room_of(path);
    if path.file_name().is_some_and(|name| name == "tests.rs") {
        return Vec::new();
    }
    let lines = code_lines(text);
    let mut broken = Vec::new();
    if path != Path::new(UNSAFE_FILE) {
        for (number, line) in &lines {
            if line.contains("allow(unsafe_code)") {
                broken.push(format!("{shown}:{number}: unsafe is allowed in src/{UNSAFE_FILE} only"));
            }
        }
    }
    let used = rooms_used(&lines);
    match room.as_str() {
        "lib" => return broken,
        "bin" => {
            // The daemon's program may use everything; the CLI speaks HTTP and shares nothing but words.
            let is_ctl = path.to_string_lossy().contains("secondaryctl");
            for (number, other) in used_by_programs(&lines) {
                if is_ctl && !["config", "dns", "manual", "reason"].contains(&other.as_str()) {
                    broken
                        .push(format!("{shown}:{number}: uses {other}, but secondaryctl speaks only HTTP to a daemon"));
                }
            }
            return broken;
        }
        _ => {}
    }
    let Some(wall) = walls().into_iter().find(|wall| wall.room == room) else {
        broken.push(format!("{shown}: there is no room {room:?} in tests/layers.rs; give it a place in the table"));
        return broken;
    };
    let rooms: Vec<_> = walls().iter().map(|wall| wall.room).collect();
    for (number, other) in used {
        let allowed = other == room || EVERYWHERE.contains(&other.as_str()) || wall.may_use.contains(&other.as_str());
        if rooms.contains(&other.as_str()) && !allowed {
            broken.push(format!("{shown}:{number}: uses {other}, but {}", wall.sentence));
        }
    }
    if VOCABULARY.contains(&wall.room) || RULES.contains(&wall.room) {
        for (number, line) in &lines {
            for (word, what) in DENIED.iter().filter(|(word, _)| mentions(line, word)) {
                broken.push(format!("{shown}:{number}: {word} is {what}; {room} never touches it"));
            }
        }
    }
    broken
}

/// `zone/page.rs` is in `zone`, `config.rs` is `config`, `bin/x.rs` is in `bin`.
fn room_of(path: &Path) -> String {
    let first = path.components().next().expect("a path").as_os_str().to_string_lossy();
    first.strip_suffix(".rs").unwrap_or(&first).to_owned()
}

/// The code of a file with line numbers: without comments, strings and what is compiled for tests only. Relies on
/// rustfmt, which is enforced: an item's last brace stands as deep as its first word.
fn code_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut numbered = text.lines().enumerate().map(|(i, line)| (i + 1, line));
    while let Some((number, line)) = numbered.next() {
        if line.trim() != "#[cfg(test)]" {
            lines.push((number, strip(line)));
            continue;
        }
        let is_attribute = |line: &str| line.trim_start().starts_with("#[") || line.trim().is_empty();
        let Some((_, item)) = numbered.find(|(_, line)| !is_attribute(line)) else { break };
        if !item.trim_end().ends_with([';', '}', ',']) {
            let indent = &item[..item.len() - item.trim_start().len()];
            numbered.find(|(_, line)| line.strip_prefix(indent).is_some_and(|rest| rest.starts_with('}')));
        }
    }
    lines
}

/// A line without its comment and without what stands in quotes.
fn strip(line: &str) -> String {
    let mut code = String::with_capacity(line.len());
    let mut characters = line.chars().peekable();
    let mut quoted = false;
    while let Some(c) = characters.next() {
        match c {
            '\\' if quoted => {
                characters.next();
            }
            '"' => quoted = !quoted,
            // The character literal '"' opens no string.
            '\'' if !quoted => {
                let rest: Vec<char> = characters.clone().take(3).collect();
                match rest[..] {
                    ['\\', _, '\''] => _ = characters.nth(2),
                    [_, '\'', ..] => _ = characters.nth(1),
                    _ => {}
                }
            }
            '/' if !quoted && characters.peek() == Some(&'/') => break,
            _ if quoted => {}
            _ => code.push(c),
        }
    }
    code
}

/// Rooms mentioned as `crate::ROOM`, in `use crate::{ROOM, ...}`, or by climbing out with `super::super::`.
fn rooms_used(lines: &[(usize, String)]) -> Vec<(usize, String)> {
    [used_behind(lines, "crate::"), used_behind(lines, "super::super::")].concat()
}

/// Rooms the programs mention: there the library is a crate of its own.
fn used_by_programs(lines: &[(usize, String)]) -> Vec<(usize, String)> {
    used_behind(lines, "secondaryd::")
}

fn used_behind(lines: &[(usize, String)], root: &str) -> Vec<(usize, String)> {
    // One string, so that a group may stretch over lines; offsets lead back to their numbers.
    let mut text = String::new();
    let mut starts = Vec::new();
    for (number, line) in lines {
        starts.push((text.len(), *number));
        text += line;
        text.push('\n');
    }
    let number_at = |offset: usize| starts[starts.partition_point(|&(start, _)| start <= offset) - 1].1;
    let mut used = Vec::new();
    for (at, _) in text.match_indices(root) {
        // `$crate::` in a macro is the same crate; `othercrate::` is none.
        if text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let behind = at + root.len();
        match text[behind..].strip_prefix('{') {
            Some(group) => {
                for (offset, room) in top_level_names(group) {
                    used.push((number_at(behind + 1 + offset), room));
                }
            }
            None => used.push((number_at(at), identifier(&text[behind..]).to_owned())),
        }
    }
    used
}

fn identifier(text: &str) -> &str {
    &text[..text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len())]
}

/// The first segments of a group's entries: `a, b::{c, d}}` gives a and b.
fn top_level_names(group: &str) -> Vec<(usize, String)> {
    let mut names = Vec::new();
    let (mut depth, mut start_of_entry) = (0, true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => start_of_entry = true,
            c if c.is_whitespace() => {}
            _ if start_of_entry => {
                names.push((at, identifier(&group[at..]).to_owned()));
                start_of_entry = false;
            }
            _ => {}
        }
    }
    names
}

/// Whether `line` holds `word` as a whole word.
fn mentions(line: &str, word: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(is_word) && !line[at + word.len()..].starts_with(is_word))
}

fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let entries = fs::read_dir(directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
    for entry in entries {
        let path = entry.expect("a readable directory").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

// -- the wall itself stands -----------------------------------------------------------------------

fn broken(path: &str, text: &str) -> Vec<String> {
    check(Path::new(path), text)
}

#[test]
fn a_broken_sentence_is_quoted_with_its_place() {
    assert_eq!(
        broken("dns/name.rs", "use std::fmt;\nuse crate::zone::Snapshot;\n"),
        ["src/dns/name.rs:2: uses zone, but dns is the lowest room: bytes <-> meaning, it knows no zone"]
    );
}

#[test]
fn every_way_of_naming_a_room_is_seen() {
    for text in [
        "use crate::refresh::Refresh;",
        "use crate::{dns::Name, refresh::Refresh};",
        "use crate::{\n    dns::{Name, Serial},\n    refresh,\n};",
        "fn f(r: &crate::refresh::Refresh) {}",
        "use super::super::refresh;",
        "pub(crate) use crate::refresh;",
        "let quote = '\"'; use crate::refresh;",
    ] {
        assert_eq!(broken("transfer/inbound.rs", text).len(), 1, "{text}");
    }
}

#[test]
fn comments_strings_and_tests_do_not_count() {
    for text in [
        "//! See [`crate::control::commit`].",
        "let x = 1; // as crate::control does",
        "let x = \"crate::control tokio\";",
        "#[cfg(test)]\nmod tests {\n    use crate::control::Keeper;\n    fn f() { Instant::now(); }\n}\nuse crate::dns;",
        "#[cfg(test)]\n#[path = \"x.rs\"]\nmod tests;\nuse crate::dns;",
    ] {
        assert_eq!(broken("refresh/machine.rs", text), Vec::<String>::new(), "{text}");
    }
    let after = "#[cfg(test)]\nmod tests {\n    fn f() {}\n}\nuse crate::control;\n";
    assert_eq!(broken("refresh/machine.rs", after).len(), 1);
}

#[test]
fn rules_and_effects_do_not_use_each_other() {
    assert_eq!(broken("local/edit.rs", "use crate::reverse::zone_of;"), Vec::<String>::new());
    assert_eq!(broken("reverse/mod.rs", "use crate::local::Edit;").len(), 1);
    assert_eq!(broken("store/mod.rs", "use crate::net::Policy;").len(), 1);
    assert_eq!(broken("net/tcp.rs", "use crate::{access, answer, config, served, transfer};"), Vec::<String>::new());
    assert_eq!(broken("control/keeper.rs", "use crate::api::Router;").len(), 1);
    assert_eq!(broken("access.rs", "use crate::config::AccessRule;").len(), 1, "rules get plain values");
}

#[test]
fn rules_touch_no_clock_task_disk_or_socket() {
    for text in ["let t = Instant::now();", "use tokio::sync;", "use sled::Db;", "use std::net::{IpAddr, UdpSocket};"] {
        assert_eq!(broken("answer/mod.rs", text).len(), 1, "{text}");
        assert_eq!(broken("net/udp.rs", text), Vec::<String>::new(), "{text}");
    }
    assert_eq!(broken("access.rs", "use std::net::{IpAddr, SocketAddr};"), Vec::<String>::new());
    assert_eq!(broken("zone/page.rs", "let is_sledge = 1;"), Vec::<String>::new());
}

#[test]
fn programs_unsafe_and_new_rooms_are_held_too() {
    assert_eq!(broken("bin/secondaryctl.rs", "use secondaryd::{control, manual};").len(), 1);
    assert_eq!(broken("bin/secondaryd.rs", "use secondaryd::daemon::Daemon;"), Vec::<String>::new());
    assert_eq!(broken("net/udp.rs", "#![allow(unsafe_code)]").len(), 1);
    assert_eq!(broken("system/mod.rs", "#![allow(unsafe_code)]"), Vec::<String>::new());
    assert_eq!(broken("utils.rs", "").len(), 1);
}
