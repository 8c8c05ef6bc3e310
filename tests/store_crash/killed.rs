//! A real process is killed while it writes.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use secondaryd::dns::Serial;
use secondaryd::store::{StoreError, Write};

use crate::model::*;

const CHILD: &str = "SECONDARYD_TEST_STORE_CHILD";

const KILLED_MODELS: [Model; 2] = [Model { zone: 1, hosts: 13 }, Model { zone: 2, hosts: 1_499 }];

/// Not a test of its own: what the killed process does. Says on stdout what it submits and what is acknowledged.
#[test]
fn child_writes_until_it_is_killed() {
    let Some(directory) = std::env::var_os(CHILD) else { return };
    let (store, zones) = open(Path::new(&directory), options(SMALL_BATCH_OCTETS));
    let key = store.hash_key();
    let say = |line: String| std::io::stdout().write_all(line.as_bytes()).expect("the parent listens");
    let mut serials: Vec<u32> = KILLED_MODELS
        .iter()
        .map(|model| loaded(&zones, model.zone).map_or(0, |snapshot| model.check(snapshot, key)))
        .collect();
    // A few writes are on their way at any time, as behind a busy keeper.
    let (sender, receiver) = channel();
    let mut under_way = 0;
    for round in 0u32.. {
        let model = KILLED_MODELS[round as usize % 2];
        let serial = &mut serials[round as usize % 2];
        let (next, one) = match (*serial, round % 14) {
            (0, _) => (1, model.replace(1, None, key)),
            (at, 12 | 13) => (at + 50, model.replace(at + 50, Some(at), key)),
            (at, 10 | 11) => (at + 60, model.replace(at + 60, None, key)),
            (at, jump) => (at + 1 + jump, model.append(at, at + 1 + jump, key)),
        };
        say(format!("submitted {} {next}\n", model.zone));
        let sender = sender.clone();
        let zone = model.zone;
        let acknowledge = move |outcome: Result<(), StoreError>| {
            outcome.expect("stored");
            std::io::stdout()
                .write_all(format!("acknowledged {zone} {next}\n").as_bytes())
                .expect("the parent listens");
            let _ = sender.send(());
        };
        store.submit(one, Box::new(acknowledge));
        let bytes = next.to_be_bytes().to_vec().into();
        store.submit(Write::Confirm { zone, bytes }, Box::new(|outcome| outcome.expect("stored")));
        *serial = next;
        under_way += 1;
        if under_way == 3 {
            receiver.recv().expect("an acknowledgement");
            under_way -= 1;
        }
    }
}

/// A9 M "Crash (kill -9, power loss) at any moment leaves the complete old or the complete new zone on disk."
#[test]
fn killed_at_any_moment_nothing_acknowledged_is_lost_and_nothing_is_mixed() {
    let kills: u64 = std::env::var("STORE_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(20);
    let seed: u64 = std::env::var("STORE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    println!("STORE_SEED={seed} STORE_KILLS={kills}");
    let directory = tempfile::tempdir().expect("a directory");
    let mut random = seed;
    for kill in 0..kills {
        // splitmix64
        random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^= mixed >> 27;
        let lines = 4 + mixed % 60;
        let spins = mixed >> 44;

        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "killed::child_writes_until_it_is_killed", "--nocapture"])
            .env(CHILD, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the child starts");
        let promised: Arc<Mutex<BTreeMap<(String, u32), u32>>> = Arc::default();
        let mut output = BufReader::new(child.stdout.take().expect("piped"));
        let note = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            if let [what @ ("submitted" | "acknowledged"), zone, serial] = words[..] {
                let number = |text: &str| text.parse::<u32>().expect("a number");
                promised.lock().expect("no panic").insert((what.to_owned(), number(zone)), number(serial));
            }
        };
        let mut line = String::new();
        for _ in 0..lines {
            line.clear();
            if output.read_line(&mut line).expect("readable") == 0 {
                panic!("the child ended by itself: {:?}", child.wait());
            }
            note(&line);
        }
        for _ in 0..spins {
            std::hint::spin_loop();
        }
        child.kill().expect("killed");
        child.wait().expect("ended");
        // What it said between our last look and its end counts as well; the last line may be cut.
        line.clear();
        while output.read_line(&mut line).expect("readable") > 0 {
            if line.ends_with('\n') {
                note(&line);
            }
            line.clear();
        }

        let promised = promised.lock().expect("no panic");
        let (store, zones) = open(directory.path(), options(SMALL_BATCH_OCTETS));
        let key = store.hash_key();
        for model in KILLED_MODELS {
            let of = |what: &str| promised.get(&(what.to_owned(), model.zone)).copied();
            let stored = loaded(&zones, model.zone).map_or(0, |snapshot| model.check(snapshot, key));
            let confirmation = zones.get(&model.zone).and_then(|zone| zone.confirmation.clone());
            let confirmed = confirmation.map_or(0, |bytes| u32::from_be_bytes(bytes.try_into().expect("4 octets")));
            if let Some(submitted) = of("submitted") {
                assert!(stored <= submitted && confirmed <= submitted, "kill {kill} of seed {seed}");
            }
            if let Some(acknowledged) = of("acknowledged") {
                assert!(stored >= acknowledged, "kill {kill} of seed {seed}: {acknowledged} lost, stored {stored}");
            }
            if stored > 0 {
                // The chain on the disk is unbroken from its first difference to the stored serial.
                let diffs = store.diffs_since(model.zone, Serial(stored)).expect("readable");
                assert_eq!(diffs.map(|diffs| diffs.len()), Some(0));
            }
        }
    }
}
