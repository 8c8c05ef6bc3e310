//! secondaryd beside Knot and NSD on this machine, end to end: the figures of the README.
//!
//! ```text
//! cargo bench --bench compare -- --out /tmp/figures                 everything, about half an hour
//! cargo bench --bench compare -- --steps zone,cost --records 100000 --reps 1 --contenders secondaryd,knot
//! cargo test --bench compare                                        tiny, a few seconds: does it still work?
//! ```
//!
//! | step | what |
//! | --- | --- |
//! | `zone` | one zone of each of `--records`: AXFR, IXFR of 1, 100 and 10,000 changes, restart, memory, replacement |
//! | `many` | `--zones` zones of ten records: cold start, memory, a NOTIFY for each, restart |
//! | `cost` | processor time of a UDP and a TCP query, the server on one core |
//! | `latency` | the slowest queries, idle and under 1,000 IXFRs a second |
//!
//! The `floor` is what the machine takes without any server: datagrams sent back ([`floor`]), transfers read and dropped
//! ([`bare`]). It can stand as a contender in other benchmarks too: `compare --bare LISTEN PRIMARY DIRECTORY ZONES`.
//!
//! All contenders take their zones from one primary of our own ([`primary`]), which costs next to nothing, get their
//! NOTIFYs from here, and are asked by the same loops. Zones and questions are the same in every run ([`contents`]).
//! Peers run with their defaults but for what `tests/interop/peer` says; a peer that is not installed is left out.
//! Processor time and memory are those of the whole process group. Figures are medians; every value is in `values.csv`.
//! Nothing else should run meanwhile. Needs `taskset` and two cores for `cost`.

#[path = "../contents.rs"]
mod contents;
#[path = "../../harness/mod.rs"]
mod harness;
#[path = "../../interop/peer/mod.rs"]
mod peer;
#[path = "../../interop/zones.rs"]
#[allow(dead_code, reason = "its zones are for the interop tests; the peers need its type only")]
mod zones;

mod ask;
mod bare;
mod contender;
mod echo;
mod floor;
mod load;
mod plot;
mod primary;
mod report;
mod steps;

use std::net::UdpSocket;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, ArgAction, Command};

use contender::Who;
use harness::{Key, address, certificates, client, process, wait};
use report::Report;

/// What is done, and how much of it.
pub(crate) struct Plan {
    pub(crate) contenders: Vec<Who>,
    /// Sizes of the one zone.
    pub(crate) records: Vec<usize>,
    /// Numbers of small zones.
    pub(crate) zones: Vec<usize>,
    pub(crate) repetitions: usize,
    /// How long queries are sent for one figure.
    pub(crate) time: Duration,
    /// IXFRs over which octets written are counted.
    pub(crate) written: usize,
    /// Small zones that change under the queries of `latency`, together so many times a second.
    pub(crate) changing: usize,
    pub(crate) rate: f64,
    /// Between two queries whose latency is taken.
    pub(crate) interval: Duration,
    pub(crate) cores: usize,
    /// How long a contender does nothing when it is at rest.
    pub(crate) calm: Duration,
}

const STEPS: [&str; 4] = ["zone", "many", "cost", "latency"];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, flag, address] = &arguments[..]
        && flag == "--echo"
    {
        let socket = UdpSocket::bind(address.as_str()).expect("a free address");
        echo::run(&socket, |_, octets| octets);
    }
    if let [_, flag, listen, primary, directory, zones] = &arguments[..]
        && flag == "--bare"
    {
        let address = |text: &String| text.parse().expect("an address");
        let failed = bare::run(address(listen), address(primary), directory.as_ref(), zones.as_ref());
        panic!("the floor: {failed:?}");
    }
    // As `cargo test` calls it, without the flag of `cargo bench`: everything once and tiny, unless other tests are meant.
    let is_smoke = !arguments.iter().any(|argument| argument == "--bench");
    let filter = arguments.iter().skip(1).find(|argument| !argument.starts_with('-'));
    if is_smoke
        && (arguments.iter().any(|argument| argument == "--list")
            || filter.is_some_and(|f| !"compare".contains(&f[..])))
    {
        return;
    }
    let arguments = if is_smoke { &arguments[..1] } else { &arguments[..] };
    let (small, large): (&str, &str) = if is_smoke { ("60", "3") } else { ("1000000", "10000") };
    let list = |name: &'static str, default: &'static str| {
        Arg::new(name).long(name).default_value(default).value_delimiter(',').action(ArgAction::Set)
    };
    let matches = Command::new("compare")
        .arg(Arg::new("bench").long("bench").action(ArgAction::SetTrue).hide(true))
        .arg(list("steps", "zone,many,cost,latency").help("Which steps"))
        .arg(list("contenders", "secondaryd,knot,nsd").help("Whom to compare"))
        .arg(list("records", small).value_parser(clap::value_parser!(usize)).help("Sizes of the one zone"))
        .arg(list("zones", large).value_parser(clap::value_parser!(usize)).help("Numbers of small zones"))
        .arg(
            list("reps", if is_smoke { "1" } else { "3" }).value_parser(clap::value_parser!(usize)).help("Repetitions"),
        )
        .arg(
            list("seconds", if is_smoke { "0.2" } else { "5" })
                .value_parser(clap::value_parser!(f64))
                .help("Of queries for one figure"),
        )
        .arg(Arg::new("out").long("out").help("Directory for table.md, values.csv and the plots"))
        .get_matches_from(arguments);
    let many = |name: &str| matches.get_many::<String>(name).expect("a default").cloned().collect::<Vec<_>>();
    let sizes = |name: &str| {
        let mut sizes: Vec<usize> = matches.get_many::<usize>(name).expect("a default").copied().collect();
        sizes.sort_unstable();
        sizes
    };
    let asked = many("contenders");
    let contenders =
        [Who::Ours, Who::Knot, Who::Nsd].into_iter().filter(|who| asked.iter().any(|name| name == who.name()));
    let contenders: Vec<_> = contenders.filter(|who| has_version(*who)).collect();
    let plan = Plan {
        contenders,
        records: sizes("records"),
        zones: sizes("zones"),
        repetitions: *matches.get_one("reps").expect("a default"),
        time: Duration::from_secs_f64(*matches.get_one("seconds").expect("a default")),
        written: if is_smoke { 3 } else { 50 },
        changing: if is_smoke { 3 } else { 1_000 },
        rate: if is_smoke { 100.0 } else { 1_000.0 },
        interval: Duration::from_micros(500),
        calm: Duration::from_millis(if is_smoke { 60 } else { 500 }),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
    };
    let mut report = Report::default();
    for step in many("steps") {
        assert!(STEPS.contains(&step.as_str()), "no step {step:?}; there are {STEPS:?}");
        match step.as_str() {
            "zone" => steps::zone(&plan, &mut report),
            "many" => steps::many(&plan, &mut report),
            "cost" => steps::cost(&plan, &mut report),
            _ => steps::latency(&plan, &mut report),
        }
    }
    let shown: Vec<Who> = plan.contenders.iter().copied().chain([Who::Floor]).collect();
    println!("\n{}", report.table(&shown));
    let smoke = is_smoke.then(|| tempfile::tempdir().expect("temporary directory"));
    let given = matches.get_one::<String>("out").map(PathBuf::from);
    if let Some(out) = given.or_else(|| smoke.as_ref().map(|folder| folder.path().to_owned())) {
        report.write(&out, &shown).unwrap_or_else(|error| panic!("{}: {error}", out.display()));
    }
    if is_smoke {
        report.assert_complete(&plan.contenders);
    }
}

/// Says what is measured; false if it is not there.
fn has_version(who: Who) -> bool {
    let version = who.version();
    match &version {
        Some(version) => println!("{}: {version}", who.name()),
        None => eprintln!("left out: {} is not installed", who.name()),
    }
    version.is_some()
}
