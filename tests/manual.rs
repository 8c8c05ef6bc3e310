//! The snippets of README and manual, given to the programs they are for. A server that is not installed is named and
//! skipped; `tests/run` installs all of them.

use std::fs;
use std::path::Path;
use std::process::Command;

use secondaryd::config::Config;

const README: &str = include_str!("../README.md");
const MANUAL: &str = include_str!("../src/manual/getting-started.md");

/// The first fenced block of `language` behind `mark`, without the fence's indentation.
fn snippet(text: &str, mark: &str, language: &str) -> String {
    let behind = &text[text.find(mark).unwrap_or_else(|| panic!("no {mark:?}"))..];
    let fence = format!("```{language}\n");
    let start = behind.find(&fence).unwrap_or_else(|| panic!("no {language} block behind {mark:?}"));
    let indent = start - behind[..start].rfind('\n').map_or(0, |at| at + 1);
    let body = &behind[start + fence.len()..];
    let body = &body[..body.find("```").expect("an end")];
    body.lines().map(|line| line.get(indent..).unwrap_or_default().to_owned() + "\n").collect()
}

/// Writes `config` into a directory of its own and lets `program arguments FILE` judge it.
fn assert_accepted(program: &str, arguments: &[&str], config: &str) {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("example.com.zone"), "@ 3600 IN SOA ns1 host 1 3600 600 86400 300\n")
        .expect("a file");
    let file = directory.path().join("server.conf");
    let config = config.replace("DIRECTORY", &directory.path().to_string_lossy());
    fs::write(&file, &config).expect("a file");
    let file = file.to_string_lossy();
    let arguments = arguments.iter().map(|argument| argument.replace("FILE", &file));
    match Command::new(program).args(arguments).output() {
        Ok(output) => assert!(
            output.status.success(),
            "{program} refuses\n{config}\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ),
        Err(e) => eprintln!("skipped: {program} cannot be run: {e}"),
    }
}

#[test]
fn bind_takes_its_snippets() {
    let options = "options { directory \"DIRECTORY\"; };\n";
    for snippet in [snippet(README, "<td>BIND", "text"), snippet(MANUAL, "### BIND", "text")] {
        assert_accepted("named-checkconf", &["FILE"], &format!("{options}{snippet}"));
    }
}

#[test]
fn knot_takes_its_snippets() {
    for snippet in [snippet(README, "<td>Knot", "text"), snippet(MANUAL, "### Knot", "text")] {
        assert_accepted("knotc", &["-c", "FILE", "conf-check"], &snippet);
    }
}

#[test]
fn nsd_takes_its_snippets() {
    let server = "server:\n    zonesdir: \"DIRECTORY\"\n    username: \"\"\n";
    for snippet in [snippet(README, "<td>NSD", "text"), snippet(MANUAL, "### NSD", "text")] {
        assert_accepted("nsd-checkconf", &["FILE"], &format!("{server}{snippet}"));
    }
}

#[test]
fn our_own_snippets_are_right() {
    for snippet in [snippet(README, "Then tell secondaryd", "toml"), snippet(MANUAL, "## Your own zone", "toml")] {
        let config =
            Config::from_text(Path::new("snippet.toml"), &snippet).unwrap_or_else(|e| panic!("{e}\n{snippet}"));
        assert_eq!(config.zones.len(), 1);
    }
}
