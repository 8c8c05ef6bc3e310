//! Fuzzing on stable Rust: each body runs over its corpus and over seeded mutations of it.
//!
//! ```text
//! cargo test --test fuzz                                     some thousand mutations, the same each time
//! SECONDARYD_FUZZ_SECONDS=600 cargo test --release --test fuzz     ten minutes for each body, other ones each time
//! cd tests/fuzz && cargo +nightly fuzz run answer corpus/answer     libFuzzer, which looks for new paths
//! ```
//! A finding prints the octets; put them into `corpus/BODY/` under a name that says what is special.

mod bodies;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

/// Octets of an input, at most.
const INPUT_OCTETS_MAX: usize = 2048;

/// Numbers a seed decides (xorshift64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as usize % bound.max(1)
    }
}

/// The files of `corpus/BODY`, in the order of their names.
fn corpus(body: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(body);
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).expect("a corpus").map(|entry| entry.expect("entry").path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("an input")).collect()
}

/// One input made of others.
fn mutate(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    const SPECIAL: [u8; 12] = [0, 1, 2, 12, 41, 63, 64, 0x7f, 0x80, 0xc0, 0xfe, 0xff];
    let mut input = corpus[random.below(corpus.len())].clone();
    for _ in 0..1 + random.below(6) {
        let at = random.below(input.len());
        match random.below(8) {
            0 if !input.is_empty() => input[at] ^= 1 << random.below(8),
            1 if !input.is_empty() => input[at] = random.below(256) as u8,
            2 if !input.is_empty() => input[at] = SPECIAL[random.below(SPECIAL.len())],
            3 => input.insert(at, SPECIAL[random.below(SPECIAL.len())]),
            4 if !input.is_empty() => {
                let end = (at + 1 + random.below(8)).min(input.len());
                input.drain(at..end);
            }
            5 => {
                // a piece of another input
                let other = &corpus[random.below(corpus.len())];
                let from = random.below(other.len());
                let piece = other[from..(from + random.below(64)).min(other.len())].to_vec();
                input.splice(at..at, piece);
            }
            6 if !input.is_empty() => {
                // a piece of itself once more
                let piece = input[at..(at + random.below(40)).min(input.len())].to_vec();
                input.splice(at..at, piece);
            }
            _ => input.truncate(at.max(1)),
        }
    }
    input.truncate(INPUT_OCTETS_MAX);
    input
}

fn run(body: &str, function: fn(&[u8]), count: usize) {
    let corpus = corpus(body);
    assert!(!corpus.is_empty());
    let call = |input: &[u8]| {
        if catch_unwind(AssertUnwindSafe(|| function(input))).is_err() {
            let hex: String = input.iter().map(|octet| format!("{octet:02x}")).collect();
            panic!("{body}: found by {hex}");
        }
    };
    corpus.iter().for_each(|input| call(input));
    let seconds = std::env::var("SECONDARYD_FUZZ_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    match seconds.map(Duration::from_secs) {
        None => {
            let mut random = Random(0x9e37_79b9_7f4a_7c15);
            (0..count).for_each(|_| call(&mutate(&corpus, &mut random)));
        }
        Some(time) => {
            let seed =
                std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |d| d.as_nanos() as u64);
            let (mut random, start, mut inputs) = (Random(seed | 1), Instant::now(), 0u64);
            while start.elapsed() < time {
                call(&mutate(&corpus, &mut random));
                inputs += 1;
            }
            eprintln!("{body}: {inputs} inputs in {time:?}, seed {seed}");
        }
    }
}

#[test]
fn any_query_is_answered_soundly() {
    run("answer", bodies::answer, 4_000);
}

#[test]
fn any_zone_is_answered_from_soundly() {
    run("zone", bodies::zone, 300);
}

#[test]
fn any_stream_is_framed_soundly() {
    run("framing", bodies::framing, 4_000);
}

#[test]
fn any_transfer_ends_soundly() {
    run("transfer", bodies::transfer, 10_000);
}

/// The crate for libFuzzer is no member of this one, so that nothing else builds it: at least cargo takes it, and it has
/// every body.
#[test]
fn libfuzzer_has_a_target_for_each_body() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/Cargo.toml");
    let mut command = std::process::Command::new(env!("CARGO"));
    command.args(["metadata", "--no-deps", "--offline", "--format-version=1", "--manifest-path"]).arg(manifest);
    let output = command.output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let targets = metadata["packages"][0]["targets"].as_array().expect("targets");
    let names: Vec<&str> = targets.iter().filter_map(|target| target["name"].as_str()).collect();
    assert_eq!(names, ["answer", "framing", "transfer", "zone"]);
}
