//! A browser as a child process, driven over WebDriver (W3C): chromedriver's HTTP interface, and of Chromium's own commands
//! those that change width and colours.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use base64::Engine;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::address;
use crate::harness::process::Process;
use crate::harness::wait::{self, SOON};

/// How WebDriver calls an element in JSON.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

pub(crate) struct Browser {
    agent: ureq::Agent,
    /// URL of the session.
    session: String,
    driver: Process,
    /// Profile and log.
    _dir: TempDir,
}

/// Width and height in CSS pixels, and the colours asked for.
#[derive(Clone, Copy)]
pub(crate) struct Look {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) dark: bool,
}

impl Browser {
    /// `None` if there is no chromedriver here.
    pub(crate) fn start() -> Option<Browser> {
        if Command::new("chromedriver").arg("--version").output().is_err() {
            eprintln!("passed over: there is no chromedriver here (Debian: chromium-driver)");
            return None;
        }
        let dir = tempfile::Builder::new().prefix("secondaryd-browser-").tempdir().expect("a directory");
        let port = address::localhost().port();
        let log = dir.path().join("log");
        let driver = Process::start("chromedriver", Command::new("chromedriver").arg(format!("--port={port}")), &log);
        let agent = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(SOON * 2)).build();
        let base = format!("http://127.0.0.1:{port}");
        let mut browser = Browser { agent: agent.new_agent(), session: base, driver, _dir: dir };
        wait::until_true("chromedriver is ready", SOON, || {
            browser.ask("GET", "/status", None).is_ok_and(|status| status["ready"] == true)
        });
        browser.begin();
        Some(browser)
    }

    fn begin(&mut self) {
        let profile = format!("--user-data-dir={}", self._dir.path().join("profile").display());
        // Tests run as root in containers, where Chromium's sandbox cannot.
        let arguments = ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", &profile];
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": {"args": arguments},
        }}});
        let begun = self.ask("POST", "/session", Some(capabilities)).unwrap_or_else(|error| panic!("{error}"));
        self.session = format!("{}/session/{}", self.session, begun["sessionId"].as_str().expect("an id"));
    }

    /// `value` of the answer.
    fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Result<Value, String> {
        let url = format!("{}{path}", self.session);
        let answer = match (method, body) {
            ("GET", _) => self.agent.get(&url).call(),
            ("DELETE", _) => self.agent.delete(&url).call(),
            (_, body) => {
                let text = body.unwrap_or_else(|| json!({})).to_string();
                self.agent.post(&url).header("Content-Type", "application/json").send(&text)
            }
        };
        let mut answer = answer.map_err(|error| error.to_string())?;
        let is_good = answer.status().is_success();
        let text = answer.body_mut().read_to_string().map_err(|error| error.to_string())?;
        let body: Value = serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
        if is_good { Ok(body["value"].clone()) } else { Err(format!("{method} {path}: {text}")) }
    }

    #[track_caller]
    fn post(&self, path: &str, body: Value) -> Value {
        self.ask("POST", path, Some(body)).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Goes to a URL and waits until it is loaded.
    pub(crate) fn open(&self, url: &str) {
        self.post("/url", json!({"url": url}));
    }

    /// Runs a script in the page; what it returns.
    #[track_caller]
    pub(crate) fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", json!({"script": script, "args": []}))
    }

    #[track_caller]
    fn element(&self, selector: &str) -> String {
        let found = self.post("/element", json!({"using": "css selector", "value": selector}));
        format!("/element/{}", found[ELEMENT].as_str().expect("an element"))
    }

    /// Types as a person would.
    #[track_caller]
    pub(crate) fn type_into(&self, selector: &str, text: &str) {
        let element = self.element(selector);
        self.post(&format!("{element}/value"), json!({"text": text}));
    }

    /// Clicks as a person would: what is covered or out of sight cannot be clicked. An element that the page has just drawn
    /// again is looked for once more.
    #[track_caller]
    pub(crate) fn click(&self, selector: &str) {
        wait::until_true(&format!("{selector} can be clicked"), SOON, || {
            let path = format!("{}/click", self.element(selector));
            match self.ask("POST", &path, None) {
                Ok(_) => true,
                Err(error) if error.contains("stale element reference") => false,
                Err(error) => panic!("{error}"),
            }
        });
    }

    #[track_caller]
    pub(crate) fn is_shown(&self, selector: &str) -> bool {
        let path = format!("{}/displayed", self.element(selector));
        self.ask("GET", &path, None).unwrap_or_else(|error| panic!("{error}")) == true
    }

    /// Waits until the visible text of an element holds all of `words`.
    #[track_caller]
    pub(crate) fn await_text(&self, selector: &str, limit: Duration, words: &[&str]) {
        let script = format!("return (document.querySelector({selector:?}) || {{}}).innerText || ''");
        let mut last = String::new();
        let found = wait::poll(limit, || {
            last = self.run(&script).as_str().unwrap_or_default().to_owned();
            words.iter().all(|word| last.contains(word)).then_some(())
        });
        assert!(found.is_some(), "{selector} has not {words:?} within {limit:?} but: {last}");
    }

    /// Waits until so many elements fit.
    #[track_caller]
    pub(crate) fn await_count(&self, selector: &str, limit: Duration, count: usize) {
        let script = format!("return document.querySelectorAll({selector:?}).length === {count}");
        self.await_true(&format!("{count} of {selector}"), limit, &script);
    }

    /// Waits until a script returns true.
    #[track_caller]
    pub(crate) fn await_true(&self, what: &str, limit: Duration, script: &str) {
        wait::until_true(what, limit, || self.run(script) == true);
    }

    /// Takes another width, height and colours.
    pub(crate) fn look(&self, Look { width, height, dark }: Look) {
        let command = |name: &str, params: Value| {
            self.post("/goog/cdp/execute", json!({"cmd": name, "params": params}));
        };
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        command("Emulation.setDeviceMetricsOverride", metrics);
        let scheme = json!({"name": "prefers-color-scheme", "value": if dark { "dark" } else { "light" }});
        command("Emulation.setEmulatedMedia", json!({"features": [scheme]}));
    }

    /// Keeps what is to be seen as `target/tmp/NAME.png`.
    pub(crate) fn keep_picture(&self, name: &str) {
        let picture = self.ask("GET", "/screenshot", None).unwrap_or_else(|error| panic!("{error}"));
        let octets = base64::engine::general_purpose::STANDARD.decode(picture.as_str().expect("base64"));
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.png"));
        std::fs::write(path, octets.expect("base64")).expect("the target directory can be written");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.ask("DELETE", "", None);
        self.driver.stop();
    }
}
