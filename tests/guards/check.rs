//! The operator's own check: a program with a verdict.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::daemon::{Entry, Secondaryd};
use crate::primary::Primary;
use crate::reply;
use crate::stage::{Stage, ZONE, with};
use crate::wait::{self, SOON};

/// A program of these lines, and the section that names it.
fn hook(directory: &Path, script: &str, more: &str) -> String {
    let path = directory.join("check");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("executable");
    format!("[hook]\ncommand = [{:?}, \"{{zone-file}}\"]\n{more}", path.to_str().expect("a plain path"))
}

#[test]
fn a_refusal_holds_the_version_with_the_words_of_the_program() {
    let directory = tempfile::tempdir().expect("a directory");
    let script = "if grep -q poison \"$1\"; then echo \"poison in $SECONDARYD_SERIAL\" >&2; exit 1; fi";
    let stage = Stage::loaded(&hook(directory.path(), script, ""));
    let item = stage.offered(with(2, "a 300 TXT poison"));
    assert_eq!(item["errorCode"], "HOOK_REFUSED", "{item:#}");
    assert!(item["errorMessage"].as_str().unwrap_or("").contains("poison in 2"), "{item:#}");
    stage.serves(1);
    assert_eq!(stage.held()["errorCode"], "HOOK_REFUSED");
    let item = stage.offered(with(3, "a 300 TXT water"));
    assert_eq!(item["status"], "OK", "{item:#}");
    stage.serves(3);
    let left: Vec<_> = fs::read_dir(stage.ours.state().join("hook")).expect("made").collect();
    assert!(left.is_empty(), "{left:?}");
}

/// The check of one zone takes long; others are transferred all the same, also from the same primary with one place.
#[test]
fn a_slow_check_holds_up_its_own_zone_only() {
    let directory = tempfile::tempdir().expect("a directory");
    let script = "case \"$SECONDARYD_ZONE\" in slow*) sleep 300;; esac";
    let primary = Primary::start(|query| {
        let text = String::from_utf8_lossy(&query.message).into_owned();
        let zone = if text.contains("slow") { "slow.example" } else { "quick.example" };
        reply::good(zone, 1)(query)
    });
    let settings = format!("concurrency-per-primary = 1\n{}", hook(directory.path(), script, "timeout = \"60s\"\n"));
    let ours = Secondaryd::reserve()
        .with_settings(&settings)
        .with_zone(Entry::new("slow.example", &[primary.address()]))
        .with_zone(Entry::new("quick.example", &[primary.address()]))
        .started();
    ours.dns.wait_serial("quick.example", 1, SOON);
    assert_eq!(ours.dns.serial("slow.example"), None);
}

#[test]
fn without_a_verdict_in_time_the_policy_decides() {
    let directory = tempfile::tempdir().expect("a directory");
    let script = "test \"$SECONDARYD_SERIAL\" = 1 || sleep 300";
    let stage = Stage::loaded(&hook(directory.path(), script, "timeout = \"1s\"\n"));
    let item = stage.offered(reply::zone(ZONE, 2));
    assert_eq!(item["errorCode"], "HOOK_TIMEOUT", "{item:#}");
    stage.serves(1);

    let accepting = Stage::loaded(&hook(directory.path(), script, "timeout = \"1s\"\non-failure = \"accept\"\n"));
    let item = accepting.offered(reply::zone(ZONE, 2));
    assert_eq!(item["status"], "OK", "{item:#}");
    accepting.serves(2);
    let status = accepting.ours.status(ZONE);
    assert!(status["warnings"].to_string().contains("gave no verdict"), "{status:#}");
}

/// A killed daemon has no time to tidy up; the next one does.
#[test]
fn the_files_of_checks_that_were_cut_off_are_removed_at_the_next_start() {
    let directory = tempfile::tempdir().expect("a directory");
    let script = "test \"$SECONDARYD_SERIAL\" = 1 || sleep 300";
    let mut stage = Stage::loaded(&hook(directory.path(), script, "timeout = \"200s\"\n"));
    stage.primary.play(crate::stage::whole(reply::zone(ZONE, 2)));
    stage.ours.expect("PUT", &format!("{}/axfr?mode=refresh", stage.path()), 202);
    let files = || fs::read_dir(stage.ours.state().join("hook")).map_or(0, Iterator::count);
    wait::until_true("the check runs", SOON, || files() == 1);
    stage.ours.kill();
    let room = fs::read_dir(stage.ours.state().join("hook")).expect("there").next().expect("one").expect("readable");
    fs::write(room.path().join("mark"), "").expect("written");
    stage.ours.start();
    assert!(!room.path().join("mark").exists());
}
