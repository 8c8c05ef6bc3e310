//! Clients that others have published, unmodified, against the API: `clients/*.py` drive them.
//!
//! They come from the package index into a virtual environment below the target directory, once. Without Python, its `venv`
//! or the index the test says so and is passed over.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::daemon::Daemon;

const REQUIREMENTS: &str = include_str!("clients/requirements.txt");

/// The interpreter of the environment, or why there is none.
fn python() -> &'static Result<PathBuf, String> {
    static PYTHON: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    PYTHON.get_or_init(|| install(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("api-clients")))
}

fn install(directory: &Path) -> Result<PathBuf, String> {
    let (python, done) = (directory.join("bin/python"), directory.join("installed"));
    if std::fs::read_to_string(&done).is_ok_and(|installed| installed == REQUIREMENTS) {
        return Ok(python);
    }
    let run = |command: &mut Command| match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr))),
        Err(error) => Err(format!("{command:?}: {error}")),
    };
    run(Command::new("python3").args(["-m", "venv"]).arg(directory))?;
    let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api/clients/requirements.txt");
    run(Command::new(&python).args(["-m", "pip", "install", "-q", "--timeout", "30", "-r"]).arg(requirements))?;
    std::fs::write(&done, REQUIREMENTS).map_err(|error| error.to_string())?;
    Ok(python)
}

fn drive(script: &str, arguments: &[&str]) {
    let python = match python() {
        Ok(python) => python,
        Err(why) => {
            eprintln!("passed over: the published clients cannot be installed: {why}");
            return;
        }
    };
    let daemon = Daemon::with(|_| {
        r#"
        [api]
        nameservers = ["ns1.example.net", "ns2.example.net"]
        [[api.credential]]
        tenant = "1000"
        user = "ann"
        role = "admin"
        token = "admin-token"
        api-key = "password"
        "#
        .to_owned()
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api/clients").join(script);
    let output = Command::new(python)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(script)
        .arg(format!("http://{}", daemon.api))
        .args(arguments)
        .output()
        .expect("the interpreter runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_generated_sdk_understands_every_answer() {
    drive("ionos_sdk.py", &["admin-token"]);
}

#[test]
fn certbots_plugin_sets_and_removes_its_challenge() {
    drive("certbot_ionos.py", &["admin-token", "ann", "password"]);
}

#[test]
fn libcloud_lexicon_and_octodns_work_as_with_the_original() {
    drive("rackspace.py", &["admin-token", "ann", "password"]);
}
