//! Recorded exchanges: `fixtures/api/*.http` hold requests and the replies they must get, octet for octet.
//!
//! ```text
//! # what is special
//! > POST /secondaryzones
//! > Authorization: Bearer admin-token
//! >
//! > {"properties":{...}}
//! < 202
//! < Location: /secondaryzones/<uuid:zone>
//! <
//! < {"id":"<uuid:zone>",
//! <  "type":"zone"}
//! ```
//!
//! Lines of a body are joined without their indentation. `<uuid:NAME>`, `<id:NAME>` (base32), `<date>`, `<moment>` and
//! `<second>` (the dates of Rackspace's JSON and XML), `<number>` and `<any>` stand for what differs from run to run; an
//! identity that was seen once must be the same everywhere and may be sent. `<api>` is the address of the API and `<closed>`
//! a port on which nothing listens. Other things in angle brackets are what they are. Fields of the reply that are not listed
//! may be
//! anything.

use std::collections::HashMap;

use crate::client::Reply;
use crate::daemon::Daemon;

/// Runs all exchanges of a file against one daemon.
pub(crate) fn play(daemon: &Daemon, file: &str) {
    play_with(daemon, file, &[]);
}

/// [`play`] with placeholders that are known already.
pub(crate) fn play_with(daemon: &Daemon, file: &str, more: &[(&str, &str)]) {
    let path = format!("{}/fixtures/api/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut known = HashMap::from([
        ("api".to_owned(), daemon.api.to_string()),
        ("closed".to_owned(), daemon.closed_port.to_string()),
    ]);
    known.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let exchanges = read(&text);
    assert!(!exchanges.is_empty(), "{path} holds no exchange");
    for exchange in exchanges {
        let reply = exchange.ask(daemon, &known);
        if let Err(why) = exchange.check(&reply, &mut known) {
            panic!("{path}:{}: {why}\ncame: {} {:?}\n{}", exchange.line, reply.status, reply.headers, reply.body);
        }
    }
}

#[derive(Default)]
struct Exchange<'a> {
    line: usize,
    sent: Vec<&'a str>,
    expected: Vec<&'a str>,
}

fn read(text: &str) -> Vec<Exchange<'_>> {
    let mut exchanges: Vec<Exchange<'_>> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let content = line.get(2..).unwrap_or("");
        match line.as_bytes().first() {
            Some(b'>') => {
                if exchanges.last().is_none_or(|exchange| !exchange.expected.is_empty()) {
                    exchanges.push(Exchange { line: index + 1, ..Exchange::default() });
                }
                exchanges.last_mut().expect("just made").sent.push(content);
            }
            Some(b'<') => exchanges.last_mut().expect("a request stands before its reply").expected.push(content),
            Some(b'#') | None => {}
            Some(_) => panic!("line {}: neither '>', '<' nor '#'", index + 1),
        }
    }
    exchanges
}

/// The lines before the first empty one, and the others joined.
fn split<'a>(lines: &[&'a str]) -> (Vec<&'a str>, String) {
    let end = lines.iter().position(|line| line.is_empty()).unwrap_or(lines.len());
    (lines[..end].to_vec(), lines[end..].iter().map(|line| line.trim_start()).collect())
}

impl Exchange<'_> {
    fn ask(&self, daemon: &Daemon, known: &HashMap<String, String>) -> Reply {
        let (head, body) = split(&self.sent);
        let fill = |text: &str| {
            known.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("<{name}>"), value))
        };
        let (method, target) = head[0].split_once(' ').expect("METHOD TARGET");
        let fields: Vec<(String, String)> = head[1..]
            .iter()
            .map(|line| line.split_once(": ").expect("NAME: VALUE"))
            .map(|(name, value)| (name.to_owned(), fill(value)))
            .collect();
        let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        daemon.send(method, &fill(target), &fields, &fill(&body))
    }

    fn check(&self, reply: &Reply, known: &mut HashMap<String, String>) -> Result<(), String> {
        let (head, body) = split(&self.expected);
        if head[0] != reply.status.to_string() {
            return Err(format!("status {} expected", head[0]));
        }
        for line in &head[1..] {
            let (name, value) = line.split_once(": ").expect("NAME: VALUE");
            let came = reply.header(&name.to_ascii_lowercase()).ok_or_else(|| format!("field {name} expected"))?;
            fits(value, came, known).map_err(|why| format!("field {name}: {why}"))?;
        }
        fits(&body, reply.body.trim_end(), known).map_err(|why| format!("body: {why}"))
    }
}

/// Whether `came` is `pattern` with something fitting for each placeholder.
fn fits(pattern: &str, came: &str, known: &mut HashMap<String, String>) -> Result<(), String> {
    let (mut pattern, mut rest) = (pattern, came);
    loop {
        let Some(start) = next_placeholder(pattern, known) else {
            return if pattern == rest { Ok(()) } else { Err(format!("{pattern:?} expected, not {rest:?}")) };
        };
        let (literal, behind) = pattern.split_at(start);
        rest = rest.strip_prefix(literal).ok_or_else(|| format!("{literal:?} expected at {rest:?}"))?;
        let (name, behind) = behind[1..].split_once('>').expect("a placeholder ends");
        let len = match known.get(name) {
            Some(value) if rest.starts_with(value.as_str()) => value.len(),
            Some(value) => return Err(format!("{value:?} expected at {rest:?}")),
            None if name == "any" => {
                let next = &behind[..next_placeholder(behind, known).unwrap_or(behind.len())];
                rest.find(next).ok_or_else(|| format!("{next:?} expected somewhere in {rest:?}"))?
            }
            None => placeholder(name, rest).ok_or_else(|| format!("<{name}> expected at {rest:?}"))?,
        };
        if name.starts_with("uuid:") || name.starts_with("id:") {
            known.insert(name.to_owned(), rest[..len].to_owned());
        }
        (pattern, rest) = (behind, &rest[len..]);
    }
}

/// Where the next placeholder begins.
fn next_placeholder(pattern: &str, known: &HashMap<String, String>) -> Option<usize> {
    let is_placeholder = |name: &str| {
        known.contains_key(name)
            || name.starts_with("uuid:")
            || name.starts_with("id:")
            || ["date", "moment", "second", "number", "any"].contains(&name)
    };
    let mut brackets = pattern.match_indices('<').map(|(at, _)| at);
    brackets.find(|at| pattern[at + 1..].split_once('>').is_some_and(|(name, _)| is_placeholder(name)))
}

/// How much at the start of `rest` fits.
fn placeholder(name: &str, rest: &str) -> Option<usize> {
    let run = |keep: &dyn Fn(char) -> bool| rest.find(|c: char| !keep(c)).unwrap_or(rest.len());
    let len = match name {
        "date" | "second" => run(&|c| c.is_ascii_digit() || "-T:.Z".contains(c)),
        "moment" => run(&|c| c.is_ascii_digit() || "-T:.+".contains(c)),
        "number" => run(&|c| c.is_ascii_digit()),
        _ if name.starts_with("uuid:") => run(&|c| c.is_ascii_hexdigit() || c == '-'),
        _ if name.starts_with("id:") => run(&|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'),
        _ => panic!("<{name}> is no placeholder"),
    };
    let right = match name {
        "date" => len == "2026-11-21T23:00:00.123Z".len(),
        "moment" => len == "2026-11-21T23:00:00.123+0000".len(),
        "second" => len == "2026-11-21T23:00:00Z".len(),
        "number" => len > 0,
        _ if name.starts_with("id:") => len == "d_".len() + 26,
        _ => len == 36,
    };
    right.then_some(len)
}
