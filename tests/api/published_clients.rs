//! Clients that others have published, unmodified, and scripts that work as further ones do, against the built daemon:
//! `clients/*.py` drive them and look with a DNS client of their own at what is served.
//!
//! They live in a virtual environment below the target directory, `target/clients`, which `tests/clients` makes and keeps
//! (also called by `tests/run`). Where there can be none - no Python, no package index - the tests say so and are passed
//! over.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use crate::harness::daemon::{Secondaryd, TOKEN};
use crate::harness::wait;

/// No script runs longer on a busy machine.
const SCRIPT_MAX: Duration = Duration::from_secs(150);

/// The directory of the programs in the environment, or why there is none.
fn programs() -> &'static Result<PathBuf, String> {
    static PROGRAMS: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it lies in the target directory");
        let directory = target.join("clients");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
        match Command::new(&script).arg(&directory).output() {
            Ok(output) if output.status.success() => Ok(directory.join("bin")),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
            Err(error) => Err(format!("{}: {error}", script.display())),
        }
    })
}

fn here(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api/clients").join(file)
}

/// Runs a program of the environment, which must end well; its output is shown if it does not.
#[track_caller]
fn run(daemon: &Secondaryd, name: &str, command: &mut Command) {
    let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("client-{name}.log"));
    let output = File::create(&log).expect("the target directory can be written");
    let mut child = command
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("SECONDARYD_URL", format!("http://{}", daemon.api()))
        .env("SECONDARYD_TOKEN", TOKEN)
        .env("SECONDARYD_USER", "test")
        .env("SECONDARYD_DNS", daemon.address().to_string())
        .stdout(output.try_clone().expect("a second handle"))
        .stderr(output)
        .spawn()
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    let ended = wait::poll(SCRIPT_MAX, || child.try_wait().expect("own child"));
    if ended.is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
    let said = || std::fs::read_to_string(&log).unwrap_or_default();
    assert!(ended.is_some_and(|status| status.success()), "{name}: {ended:?}\n{}", said());
}

/// A daemon for a script: what does not answer is given up soon.
fn daemon() -> Secondaryd {
    let timeouts =
        "connect-timeout = \"1s\"\nidle-timeout = \"2s\"\nallow-primaries = [\"127.0.0.0/8\", \"::1/128\"]\n";
    Secondaryd::reserve().with_settings(timeouts).started()
}

fn drive(script: &str) {
    match programs() {
        Ok(programs) => run(&daemon(), script, Command::new(programs.join("python")).arg(here(script))),
        Err(why) => eprintln!("passed over: there is no environment for the published clients: {why}"),
    }
}

#[test]
fn the_generated_sdk_understands_every_answer() {
    drive("ionos_sdk.py");
}

#[test]
fn certbots_plugin_sets_and_removes_its_challenge() {
    drive("ionos_certbot.py");
}

#[test]
fn a_poller_sees_what_is_wrong_with_each_primary() {
    drive("ionos_secondary.py");
}

#[test]
fn a_shell_client_finds_its_way_with_regular_expressions() {
    drive("shell_client.py");
}

#[test]
fn declarative_tools_make_read_change_and_remove_by_put() {
    drive("put_flows.py");
}

#[test]
fn a_controller_keeps_a_zone_equal_to_its_endpoints() {
    drive("endpoints_sync.py");
}

#[test]
fn scripts_for_reverse_zones_work_as_written() {
    drive("reverse_zones.py");
}

#[test]
fn libclouds_driver_keeps_zones_records_and_ptrs() {
    drive("rackspace_libcloud.py");
}

#[test]
fn lexicons_provider_does_what_its_own_suite_asks() {
    drive("rackspace_lexicon.py");
}

#[test]
fn octodns_plans_once_what_it_has_to_change() {
    drive("rackspace_octodns.py");
}

/// schemathesis reads `/openapi.json` and asks everything in it, also for what it forbids. `clients/schemathesis.toml` says
/// how much, and what is known to be no fault.
#[test]
fn requests_made_up_from_the_document_are_answered_as_it_says() {
    let Ok(programs) = programs() else {
        eprintln!("passed over: there is no environment for schemathesis");
        return;
    };
    let daemon = daemon();
    for (path, body) in [
        ("/zones/5a3f3c5e-0000-4000-8000-000000000001", r#"{"properties":{"zoneName":"local.example"}}"#),
        (
            "/zones/5a3f3c5e-0000-4000-8000-000000000001/records/5a3f3c5e-0000-4000-8000-000000000002",
            r#"{"properties":{"name":"www","type":"A","content":"192.0.2.1"}}"#,
        ),
        (
            "/secondaryzones/5a3f3c5e-0000-4000-8000-000000000003",
            r#"{"properties":{"zoneName":"copy.example","primaryIps":["127.0.0.1#1"]}}"#,
        ),
        (
            "/reverserecords/5a3f3c5e-0000-4000-8000-000000000004",
            r#"{"properties":{"name":"host.local.example","ip":"192.0.2.9"}}"#,
        ),
    ] {
        let (code, answer) = daemon.send("PUT", path, body).expect("answered");
        assert!(code < 300, "{path}: {code} {answer}");
    }
    let document = format!("http://{}/openapi.json", daemon.api());
    // What it keeps of its runs would make the next one another one.
    let memory = tempfile::TempDir::new().expect("a directory");
    let mut command = Command::new(programs.join("schemathesis"));
    command.current_dir(memory.path());
    command.arg("--config-file").arg(here("schemathesis.toml")).args(["run", &document, "--no-color"]);
    run(&daemon, "schemathesis", &mut command);
    daemon.expect("GET", "/readyz", 200);
}
