//! The daemon under test: the built program with a configuration of the test, spoken to from outside only.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::Key;
use super::address;
use super::client::Dns;
use super::process::Process;
use super::wait::{self, SOON};

/// The credential of every call that names no other: an admin of the one tenant.
pub(crate) const TOKEN: &str = "test-token";

/// A secondary zone of the configuration.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) primaries: Vec<SocketAddr>,
    pub(crate) key: Option<Key>,
    pub(crate) notify: Vec<SocketAddr>,
    /// The key downstreams must use, and that signs NOTIFY to them; `None`: every loopback address may transfer.
    pub(crate) downstream_key: Option<Key>,
    /// Further keys, each on a line of its own.
    pub(crate) settings: String,
}

impl Entry {
    /// The zone `name` from `primaries`.
    pub(crate) fn new(name: &str, primaries: &[SocketAddr]) -> Entry {
        Entry {
            name: name.to_owned(),
            primaries: primaries.to_vec(),
            key: None,
            notify: Vec::new(),
            downstream_key: None,
            settings: String::new(),
        }
    }

    /// Exchanges with the primaries are signed with `key`.
    pub(crate) fn with_key(self, key: Option<Key>) -> Entry {
        Entry { key, ..self }
    }
}

/// secondaryd with its state; ended when dropped.
pub(crate) struct Secondaryd {
    pub(crate) dns: Dns,
    address: SocketAddr,
    also: Vec<SocketAddr>,
    api: SocketAddr,
    /// Where else the API listens in clear text, as the configuration writes it.
    api_also: Vec<String>,
    /// Keys of `[api]`.
    api_settings: String,
    /// Keys of `[dns]`.
    dns_settings: String,
    /// Keys of `[transfer]`.
    settings: String,
    durability: &'static str,
    /// Soft and hard limit of file descriptors; `None`: those of the test.
    descriptors: Option<(usize, usize)>,
    /// Whole tables of the configuration.
    tables: String,
    zones: Vec<Entry>,
    agent: ureq::Agent,
    process: Option<Process>,
    dir: TempDir,
}

impl Secondaryd {
    /// Takes addresses and a directory, and starts nothing: primaries want to know the address first.
    pub(crate) fn reserve() -> Secondaryd {
        let address = address::ipv4();
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .build()
            .new_agent();
        Secondaryd {
            dns: Dns::new(address),
            address,
            also: Vec::new(),
            api: address::ipv4(),
            api_also: Vec::new(),
            api_settings: String::new(),
            dns_settings: String::new(),
            settings: "retry-initial = \"1s\"\nretry-min = \"1s\"\nrefresh-min = \"1s\"\nexpire-min = \"1s\"\n"
                .to_owned(),
            durability: "behind",
            descriptors: None,
            tables: String::new(),
            zones: Vec::new(),
            agent,
            process: None,
            dir: tempfile::Builder::new().prefix("secondaryd-test-").tempdir().expect("temporary directory"),
        }
    }

    /// Has at most so many file descriptors: the soft limit it is started with, and the hard one.
    pub(crate) fn with_descriptors(mut self, soft: usize, hard: usize) -> Secondaryd {
        self.descriptors = Some((soft, hard));
        self
    }

    /// Where it answers DNS.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers at `address` too.
    pub(crate) fn listening_at(mut self, address: SocketAddr) -> Secondaryd {
        self.also.push(address);
        self
    }

    /// Has these keys in `[transfer]` too, each on a line of its own.
    pub(crate) fn with_settings(mut self, settings: &str) -> Secondaryd {
        self.settings += settings;
        self
    }

    /// Has these tables too, as they would stand in the file.
    pub(crate) fn with_tables(mut self, tables: &str) -> Secondaryd {
        self.tables += tables;
        self
    }

    /// Has its API there too, as the configuration writes it.
    pub(crate) fn api_listening_at(mut self, place: &str) -> Secondaryd {
        self.api_also.push(place.to_owned());
        self
    }

    /// Has these keys in `[api]` too from the next start or reload on, instead of those given before.
    pub(crate) fn set_api(&mut self, settings: &str) {
        self.api_settings = settings.to_owned();
    }

    /// Where the API answers in clear text.
    pub(crate) fn api(&self) -> SocketAddr {
        self.api
    }

    /// A directory of the test that goes with the daemon.
    pub(crate) fn directory(&self) -> &Path {
        self.dir.path()
    }

    /// Has these keys in `[dns]` too from the next start or reload on, instead of those given before.
    pub(crate) fn set_dns(&mut self, settings: &str) {
        self.dns_settings = settings.to_owned();
    }

    /// Has these keys in the table of the zone at `index` from the next start or reload on, instead of those before.
    pub(crate) fn set_zone(&mut self, index: usize, settings: &str) {
        self.zones[index].settings = settings.to_owned();
    }

    /// Writes the configuration anew and reads it again, as [`Secondaryd::reload`].
    pub(crate) fn reload_changed(&self) {
        self.write_configuration();
        self.reload();
    }

    /// Writes the configuration anew, and waits until the daemon has read it (SIGHUP) and refused it.
    pub(crate) fn reload_refused(&self) {
        self.write_configuration();
        let count = || self.log().matches("configuration not reloaded").count();
        let before = count();
        self.hang_up();
        wait::until_true("the configuration is refused", SOON, || count() > before);
    }

    fn write_configuration(&self) {
        fs::write(self.dir.path().join("secondaryd.toml"), self.configuration()).expect("configuration");
    }

    /// SIGHUP.
    pub(crate) fn hang_up(&self) {
        self.process.as_ref().expect("started").hang_up();
    }

    /// Reads the configuration again (SIGHUP), and waits until the log says so.
    pub(crate) fn reload(&self) {
        let count = || self.log().matches("configuration reloaded").count();
        let before = count();
        self.hang_up();
        wait::until_true("the configuration is read again", SOON, || count() > before);
    }

    /// Publishes a version only when it is on disk.
    pub(crate) fn durable_before(mut self) -> Secondaryd {
        self.durability = "before";
        self
    }

    /// Has one zone more.
    pub(crate) fn with_zone(mut self, zone: Entry) -> Secondaryd {
        self.zones.push(zone);
        self
    }

    /// Has no zones from the next start or reload on.
    pub(crate) fn remove_zones(&mut self) {
        self.zones.clear();
    }

    /// Starts it and waits until it is ready.
    #[track_caller]
    pub(crate) fn started(mut self) -> Secondaryd {
        self.start();
        self
    }

    /// Starts it (again, on the same state) and waits until it is ready.
    #[track_caller]
    pub(crate) fn start(&mut self) {
        let configuration = self.dir.path().join("secondaryd.toml");
        fs::write(&configuration, self.configuration()).expect("configuration");
        let mut command = match self.descriptors {
            None => Command::new(env!("CARGO_BIN_EXE_secondaryd")),
            Some((soft, hard)) => {
                let mut shell = Command::new("sh");
                let limits = format!("ulimit -Sn {soft} && ulimit -Hn {hard} && exec \"$@\"");
                shell.args(["-c", &limits, "sh", env!("CARGO_BIN_EXE_secondaryd")]);
                shell
            }
        };
        command.arg("run").arg("--config").arg(&configuration).env_remove("SECONDARYD_LOG");
        let log = self.dir.path().join("log");
        self.process = Some(Process::start("secondaryd", &mut command, &log));
        wait::until_true("/readyz says 200", SOON * 4, || {
            let ended = self.process.as_mut().expect("started").ended();
            assert!(ended.is_none(), "secondaryd has ended: {ended:?}");
            self.call("GET", "/readyz").is_ok_and(|(code, _)| code == 200)
        });
    }

    /// SIGTERM; how it ended.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.process.as_mut().expect("started").stop()
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.process.as_mut().expect("started").kill();
    }

    /// SIGKILL while others still talk to it; [`Secondaryd::kill`] comes behind.
    pub(crate) fn kill_now(&self) {
        self.process.as_ref().expect("started").kill_now();
    }

    /// Everything it has logged, over all starts.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Its state directory; only to be touched while it does not run.
    pub(crate) fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// The primaries of the zone at `index`, for the next start.
    pub(crate) fn set_primaries(&mut self, index: usize, primaries: &[SocketAddr]) {
        self.zones[index].primaries = primaries.to_vec();
    }

    /// Status code and body of a request without a body; `Err` if there was no answer.
    pub(crate) fn call(&self, method: &str, path: &str) -> Result<(u16, Value), String> {
        self.send(method, path, "")
    }

    /// As [`Secondaryd::call`], by another credential of the configuration.
    pub(crate) fn call_as(&self, token: &str, method: &str, path: &str) -> Result<(u16, Value), String> {
        self.send_as(token, method, path, "")
    }

    /// `secondaryctl` against this daemon.
    #[track_caller]
    pub(crate) fn ctl(&self, arguments: &[&str]) -> std::process::Output {
        self.ctl_at(&format!("http://{}", self.api), arguments)
    }

    /// `secondaryctl` against another URL of this daemon.
    #[track_caller]
    pub(crate) fn ctl_at(&self, url: &str, arguments: &[&str]) -> std::process::Output {
        Command::new(env!("CARGO_BIN_EXE_secondaryctl"))
            .args(["--url", url, "--token", TOKEN])
            .args(arguments)
            .output()
            .expect("secondaryctl runs")
    }

    /// Status code and body of a request with a JSON body.
    pub(crate) fn send(&self, method: &str, path: &str, body: &str) -> Result<(u16, Value), String> {
        self.send_as(TOKEN, method, path, body)
    }

    /// As [`Secondaryd::send`], under an `Idempotency-Key`.
    pub(crate) fn send_keyed(&self, key: &str, method: &str, path: &str, body: &str) -> Result<(u16, Value), String> {
        self.exchange(TOKEN, Some(key), method, path, body)
    }

    fn send_as(&self, token: &str, method: &str, path: &str, body: &str) -> Result<(u16, Value), String> {
        self.exchange(token, None, method, path, body)
    }

    fn exchange(
        &self,
        token: &str,
        key: Option<&str>,
        method: &str,
        path: &str,
        body: &str,
    ) -> Result<(u16, Value), String> {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.api))
            .header("Authorization", format!("Bearer {token}"))
            .header("Content-Type", "application/json");
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        let answer = match body {
            "" => self.agent.run(request.body(()).map_err(|error| error.to_string())?),
            body => self.agent.run(request.body(body).map_err(|error| error.to_string())?),
        };
        let mut response = answer.map_err(|error| error.to_string())?;
        let code = response.status().as_u16();
        let text = response.body_mut().read_to_string().map_err(|error| error.to_string())?;
        Ok((code, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    /// A request that must be answered with `code`.
    #[track_caller]
    pub(crate) fn expect(&self, method: &str, path: &str, code: u16) -> Value {
        match self.call(method, path) {
            Ok((got, body)) if got == code => body,
            other => panic!("{method} {path}: {other:?}, not {code}"),
        }
    }

    /// The path of a zone in the API.
    #[track_caller]
    pub(crate) fn zone_path(&self, zone: &str) -> String {
        let list = self.expect("GET", &format!("/secondaryzones?filter.zoneName={zone}"), 200);
        let found = list["items"].as_array().and_then(|items| {
            items.iter().find(|item| item["properties"]["zoneName"] == zone)?["href"].as_str().map(str::to_owned)
        });
        found.unwrap_or_else(|| panic!("{zone} is not in {list}"))
    }

    /// The transfer status of a zone.
    #[track_caller]
    pub(crate) fn status(&self, zone: &str) -> Value {
        self.expect("GET", &format!("{}/axfr", self.zone_path(zone)), 202)
    }

    /// The status item of one primary.
    #[track_caller]
    pub(crate) fn item(&self, zone: &str, index: usize) -> Value {
        self.status(zone)["items"][index].clone()
    }

    /// Waits until the status item of a primary is as wanted, and gives it.
    #[track_caller]
    pub(crate) fn wait_item(&self, zone: &str, index: usize, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let path = format!("{}/axfr", self.zone_path(zone));
        let mut last = Value::Null;
        let found = wait::poll(SOON, || {
            last = self.expect("GET", &path, 202);
            Some(last["items"][index].clone()).filter(&wanted)
        });
        found.unwrap_or_else(|| panic!("{zone}, primary {index} is not {what}: {last:#}"))
    }

    /// Waits until no round runs for the zone, and gives the status item of a primary. A command takes effect before
    /// it is answered, so its own round has ended then; times of a millisecond would not tell.
    #[track_caller]
    pub(crate) fn settled(&self, zone: &str, index: usize) -> Value {
        let path = format!("{}/axfr", self.zone_path(zone));
        let mut last = Value::Null;
        let settled = wait::poll(SOON, || {
            last = self.expect("GET", &path, 202);
            let items = last["items"].as_array()?;
            let is_quiet = last["nextRefresh"].is_string() && items.iter().all(|item| item["activity"] == "idle");
            is_quiet.then(|| items[index].clone())
        });
        settled.unwrap_or_else(|| panic!("{zone} has not settled: {last:#}"))
    }

    /// Number of records of the zone, from the API, every type.
    #[track_caller]
    pub(crate) fn record_count(&self, zone: &str) -> u64 {
        let path = format!("{}/records?filter.type=ALL&limit=1", self.zone_path(zone));
        self.expect("GET", &path, 200)["totalCount"].as_u64().expect("totalCount")
    }

    fn configuration(&self) -> String {
        let list =
            |addresses: &[SocketAddr]| format!("{:?}", addresses.iter().map(ToString::to_string).collect::<Vec<_>>());
        let listen: Vec<SocketAddr> = [self.address].into_iter().chain(self.also.iter().copied()).collect();
        let api_listen: Vec<String> = [self.api.to_string()].into_iter().chain(self.api_also.iter().cloned()).collect();
        let mut text = format!(
            "state-dir = {:?}\ndurability = {:?}\n[dns]\nlisten = {}\nworkers = 1\n{}[api]\nlisten = {:?}\n{}\
             [[api.credential]]\ntenant = \"1000\"\nuser = \"test\"\nrole = \"admin\"\ntoken = \"{TOKEN}\"\n\
             [log]\nfilter = \"info,secondaryd=debug\"\nformat = \"text\"\n[transfer]\n{}",
            path_text(&self.state()),
            self.durability,
            list(&listen),
            self.dns_settings,
            api_listen,
            self.api_settings,
            self.settings
        );
        text += &self.tables;
        let mut keys: Vec<Key> = self.zones.iter().flat_map(|zone| [zone.key, zone.downstream_key]).flatten().collect();
        keys.sort_by_key(|key| key.name);
        keys.dedup();
        for Key { name, algorithm, secret } in keys {
            let md5 = if algorithm == "hmac-md5" { "allow-md5 = true\n" } else { "" };
            let _ = write!(text, "[tsig-key.{name:?}]\nalgorithm = \"{algorithm}\"\nsecret = \"{secret}\"\n{md5}");
        }
        for zone in &self.zones {
            let (allowed, suffix) = match zone.downstream_key {
                None => ("\"127.0.0.0/8\", \"::1\"".to_owned(), String::new()),
                Some(key) => (format!("\"key:{}\"", key.name), format!(" key:{}", key.name)),
            };
            let notify: Vec<String> = zone.notify.iter().map(|address| format!("{address}{suffix}")).collect();
            let _ = write!(
                text,
                "[[secondary-zone]]\nname = {:?}\nprimaries = {}\nallow-transfer = [{allowed}]\nnotify = {notify:?}\n",
                zone.name,
                list(&zone.primaries),
            );
            text += &zone.settings;
            if let Some(key) = zone.key {
                let _ = writeln!(text, "tsig-key = {:?}", key.name);
            }
        }
        text
    }
}

fn path_text(path: &Path) -> &str {
    path.to_str().expect("temporary directories have plain names")
}
