//! The operator's command line; speaks only HTTP to a daemon, in the IONOS dialect like any other client.
//!
//! In: arguments, `SECONDARYD_URL`, `SECONDARYD_TOKEN`. Out: aligned tables, or with `--json` the daemon's own JSON;
//! the exit code is the verdict, so that every verb can serve as a check of a monitoring system.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use secondaryd::{config, manual};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use ureq::http::{Method, Request};

/// Asks and commands a running secondaryd.
#[derive(Parser)]
#[command(name = "secondaryctl", version, disable_help_subcommand = true, after_help = EXIT_CODES)]
struct Arguments {
    /// Where the daemon's API listens.
    #[arg(long, global = true, env = "SECONDARYD_URL", default_value = "http://127.0.0.1:8053")]
    url: String,
    /// Bearer token of a credential of the daemon's configuration.
    #[arg(long, global = true, env = "SECONDARYD_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Print the daemon's JSON in place of tables.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    verb: Verb,
}

const EXIT_CODES: &str = "Exit codes: 0 ok; 1 warning (a primary fails or lags, or a first transfer is not through); \
     2 critical (a zone is not served, or the daemon does not answer); 3 unknown (usage, token, no such zone, or the \
     daemon refused)";

#[derive(Subcommand)]
enum Verb {
    /// One line for the whole server, then every primary that fails and why.
    Status,
    /// All secondary zones with their state.
    Zones,
    /// One zone: serial, timers, and what each primary is doing and why.
    Zone { name: String },
    /// Ask the primaries for a newer serial now, as a NOTIFY would.
    Refresh { name: String },
    /// Transfer the whole zone again now, also at an equal serial.
    Retransfer {
        name: String,
        /// Also take an older serial than the served one.
        #[arg(long)]
        force: bool,
        /// Stay until the transfer has ended, and exit by its outcome.
        #[arg(long)]
        wait: bool,
        /// Longest stay of --wait in seconds.
        #[arg(long, default_value_t = 300)]
        timeout: u64,
    },
    /// Add a secondary zone.
    Add {
        name: String,
        /// Address of a primary: IP, IP:port or IP#port. Several are asked in this order.
        #[arg(long = "primary", required = true, num_args = 1..)]
        primaries: Vec<String>,
        /// TSIG key of the daemon's configuration, for all these primaries.
        #[arg(long)]
        tsig_key: Option<String>,
        /// Free text.
        #[arg(long, default_value = "")]
        description: String,
    },
    /// Remove a secondary zone and its data.
    Remove { name: String },
    /// The records of a zone as they are served.
    Records {
        name: String,
        /// Only this type, e.g. MX.
        #[arg(long = "type", default_value = "ALL")]
        rtype: String,
    },
    /// The manual: topics, or one topic.
    Help { topic: Option<String> },
}

/// How the world is; the number is the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Ok = 0,
    Warning = 1,
    Critical = 2,
    Unknown = 3,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Verdict::Ok => "OK",
            Verdict::Warning => "WARNING",
            Verdict::Critical => "CRITICAL",
            Verdict::Unknown => "UNKNOWN",
        }
    }
}

/// Why a verb could not do its work.
struct Failure {
    verdict: Verdict,
    message: String,
}

impl Failure {
    fn unknown(message: impl Into<String>) -> Failure {
        Failure { verdict: Verdict::Unknown, message: message.into() }
    }
}

type Outcome = Result<(Verdict, String), Failure>;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            // clap exits by 2 on bad usage, which would read as "critical".
            return ExitCode::from(if error.use_stderr() { Verdict::Unknown as u8 } else { 0 });
        }
    };
    match run(arguments) {
        Ok((verdict, text)) => {
            print_all(&text);
            ExitCode::from(verdict as u8)
        }
        Err(Failure { verdict, message }) => {
            eprintln!("{}: {message}", verdict.word());
            ExitCode::from(verdict as u8)
        }
    }
}

/// Writes to stdout; a reader that has seen enough (`| head`) is no error.
fn print_all(text: &str) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn run(arguments: Arguments) -> Outcome {
    let Arguments { url, token, json, verb } = arguments;
    let client = Client::new(&url, token);
    match verb {
        Verb::Status => status(&client, json),
        Verb::Zones => zones(&client, json),
        Verb::Zone { name } => zone(&client, &client.find(&name)?, json),
        Verb::Refresh { name } => {
            let found = client.find(&name)?;
            client.call(Method::PUT, &format!("/secondaryzones/{}/axfr?mode=refresh", found.id), None)?;
            Ok((Verdict::Ok, said(json, &format!("refresh of {} started", found.properties.zone_name))))
        }
        Verb::Retransfer { name, force, wait, timeout } => {
            let found = client.find(&name)?;
            let force = if force { "?force=true" } else { "" };
            client.call(Method::PUT, &format!("/secondaryzones/{}/axfr{force}", found.id), None)?;
            match wait {
                true => wait_for(&client, &found, Duration::from_secs(timeout), json),
                false => Ok((Verdict::Ok, said(json, &format!("transfer of {} started", found.properties.zone_name)))),
            }
        }
        Verb::Add { name, primaries, tsig_key, description } => {
            add(&client, &name, &primaries, tsig_key.as_deref(), &description, json)
        }
        Verb::Remove { name } => {
            let found = client.find(&name)?;
            client.call(Method::DELETE, &format!("/secondaryzones/{}", found.id), None)?;
            Ok((Verdict::Ok, said(json, &format!("{} removed", found.properties.zone_name))))
        }
        Verb::Records { name, rtype } => records(&client, &client.find(&name)?, &rtype, json),
        Verb::Help { topic } => help(topic.as_deref()),
    }
}

/// The outcome of a command, for people or for programs.
fn said(json: bool, text: &str) -> String {
    if json { format!("{}\n", json!({ "message": text })) } else { format!("{text}\n") }
}

// -- what the daemon says -------------------------------------------------------------------------

#[derive(Deserialize)]
struct Zone {
    id: String,
    metadata: ZoneMetadata,
    properties: ZoneProperties,
}

#[derive(Deserialize)]
struct ZoneMetadata {
    #[serde(default)]
    state: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ZoneProperties {
    zone_name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    primary_ips: Vec<String>,
}

/// `GET /secondaryzones/{id}/axfr`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Transfers {
    items: Vec<Primary>,
    state: Option<String>,
    served_serial: Option<u32>,
    last_refresh: Option<String>,
    next_refresh: Option<String>,
    expires: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Primary {
    primary_ip: String,
    status: String,
    #[serde(default)]
    error_message: String,
    #[serde(default)]
    error_code: String,
    serial: Option<u32>,
    last_success: Option<String>,
    next_attempt: Option<String>,
    #[serde(default)]
    consecutive_failures: u64,
}

impl Primary {
    fn is_settled(&self) -> bool {
        !matches!(self.status.as_str(), "PENDING" | "IN_PROGRESS")
    }

    fn fails(&self) -> bool {
        matches!(self.status.as_str(), "ERROR" | "LAGGING")
    }

    fn reason(&self) -> String {
        match (self.error_code.as_str(), self.error_message.as_str()) {
            (code, "") => code.to_owned(),
            ("", message) => message.to_owned(),
            (code, message) => format!("{code}: {message}"),
        }
    }
}

/// Served with all primaries well, served with a blemish or not loaded yet, or not served.
fn verdict(state: &str, primaries: &[Primary]) -> Verdict {
    match state {
        "AVAILABLE" if primaries.iter().any(Primary::fails) => Verdict::Warning,
        "AVAILABLE" => Verdict::Ok,
        "FAILED" => Verdict::Critical,
        _ => Verdict::Warning,
    }
}

// -- verbs ----------------------------------------------------------------------------------------

/// Zones whose primaries `status` looks into; each costs one request.
const STATUS_ZONES_MAX: usize = 2000;

fn status(client: &Client, json: bool) -> Outcome {
    let ready = client.readiness()?;
    let zones: Vec<Zone> = decode_all(client.list("/secondaryzones", "")?)?;
    let (mut worst, mut primaries, mut failing) = (Verdict::Ok, 0, 0);
    let mut counts = std::collections::BTreeMap::<&str, usize>::new();
    let mut trouble = Table::new(&["ZONE", "STATE", "PRIMARY", "STATUS", "LAST OK", "REASON"]);
    let mut details = Vec::new();
    for (i, zone) in zones.iter().enumerate() {
        let name = zone.properties.zone_name.as_str();
        let mut state = zone.metadata.state.clone();
        let mut items = Vec::new();
        if i < STATUS_ZONES_MAX {
            // A zone that was removed since the list was made is no trouble.
            let Some(value) = client.transfers_if_there(zone)? else { continue };
            let transfers: Transfers = decode(&value)?;
            state = transfers.state.unwrap_or(state);
            items = transfers.items;
            details.push(json!({ "zoneName": name, "state": state, "axfr": value }));
        }
        *counts.entry(state_word(&state)).or_default() += 1;
        primaries += items.len();
        worst = worst.max(verdict(&state, &items));
        for primary in items.iter().filter(|primary| primary.fails()) {
            failing += 1;
            let last = ago(primary.last_success.as_deref());
            trouble.row(&[name, &state, &primary.primary_ip, &primary.status, &last, &primary.reason()]);
        }
        if state != "AVAILABLE" && !items.iter().any(Primary::fails) {
            trouble.row(&[name, &state, "-", "-", "-", ""]);
        }
    }
    if !ready {
        worst = worst.max(Verdict::Warning);
    }
    if json {
        let body = json!({ "verdict": worst.word(), "ready": ready, "zones": details });
        return Ok((worst, format!("{body}\n")));
    }
    let mut text = format!("{}: {} zones", worst.word(), zones.len());
    for (state, count) in counts {
        let _ = write!(text, ", {count} {state}");
    }
    let _ = write!(text, "; {failing} of {primaries} primaries fail");
    text += if ready { "\n" } else { "; not ready yet: stored zones are still being loaded\n" };
    if zones.len() > STATUS_ZONES_MAX {
        let _ = writeln!(text, "only the first {STATUS_ZONES_MAX} zones were asked for their primaries");
    }
    if !trouble.rows.is_empty() {
        let _ = write!(text, "\n{trouble}");
    }
    Ok((worst, text))
}

fn state_word(state: &str) -> &'static str {
    match state {
        "AVAILABLE" => "available",
        "PROVISIONING" => "waiting for a first transfer",
        "FAILED" => "failed",
        _ => "in another state",
    }
}

fn zones(client: &Client, json: bool) -> Outcome {
    let items = client.list("/secondaryzones", "")?;
    if json {
        return Ok((Verdict::Ok, format!("{}\n", Value::Array(items))));
    }
    let mut table = Table::new(&["ZONE", "STATE", "PRIMARIES", "DESCRIPTION"]);
    for zone in decode_all::<Zone>(items)? {
        let ZoneProperties { zone_name, description, primary_ips } = &zone.properties;
        table.row(&[zone_name, &zone.metadata.state, &primary_ips.join(" "), description]);
    }
    Ok((Verdict::Ok, table.to_string()))
}

fn zone(client: &Client, zone: &Zone, json: bool) -> Outcome {
    let value = client.transfers(zone)?;
    let transfers: Transfers = decode(&value)?;
    let state = transfers.state.as_deref().unwrap_or(&zone.metadata.state);
    let verdict = verdict(state, &transfers.items);
    if json {
        return Ok((verdict, format!("{value}\n")));
    }
    let serial = transfers.served_serial.map_or("nothing served yet".to_owned(), |serial| format!("serial {serial}"));
    let mut text = format!("{}: {} {state}, {serial}\n", verdict.word(), zone.properties.zone_name);
    let _ = writeln!(
        text,
        "last refresh {}, next {}, expires {}\n",
        ago(transfers.last_refresh.as_deref()),
        ahead(transfers.next_refresh.as_deref()),
        ahead(transfers.expires.as_deref()),
    );
    let mut table = Table::new(&["PRIMARY", "STATUS", "SERIAL", "LAST OK", "FAILED", "NEXT TRY", "REASON"]);
    for primary in &transfers.items {
        let serial = primary.serial.map_or("-".to_owned(), |serial| serial.to_string());
        let failed = match primary.consecutive_failures {
            0 => "-".to_owned(),
            n => format!("{n} in a row"),
        };
        table.row(&[
            &primary.primary_ip,
            &primary.status,
            &serial,
            &ago(primary.last_success.as_deref()),
            &failed,
            &ahead(primary.next_attempt.as_deref()),
            &primary.reason(),
        ]);
    }
    let _ = write!(text, "{table}");
    Ok((verdict, text))
}

/// Time between two looks of `--wait`.
const WAIT_STEP: Duration = Duration::from_millis(200);

fn wait_for(client: &Client, found: &Zone, timeout: Duration, json: bool) -> Outcome {
    let deadline = Instant::now() + timeout;
    loop {
        let transfers: Transfers = decode(&client.transfers(found)?)?;
        if transfers.items.iter().all(Primary::is_settled) {
            return zone(client, found, json);
        }
        if Instant::now() >= deadline {
            let message = format!("{}: not through after {timeout:?}; it goes on", found.properties.zone_name);
            return Err(Failure { verdict: Verdict::Warning, message });
        }
        std::thread::sleep(WAIT_STEP);
    }
}

fn add(
    client: &Client,
    name: &str,
    primaries: &[String],
    tsig_key: Option<&str>,
    description: &str,
    json: bool,
) -> Outcome {
    let mut properties = json!({ "zoneName": name, "description": description });
    match tsig_key {
        None => properties["primaryIps"] = json!(primaries),
        Some(key) => {
            let entries = primaries.iter().map(|primary| keyed_primary(primary, key));
            properties["primaries"] = entries.collect::<Result<Value, Failure>>()?;
        }
    }
    let made = client.call(Method::POST, "/secondaryzones", Some(json!({ "properties": properties })))?;
    if json {
        return Ok((Verdict::Ok, format!("{made}\n")));
    }
    Ok((Verdict::Ok, format!("{name} added, first transfer started; see: secondaryctl zone {name}\n")))
}

/// A primary with a key, as the API takes it; the port is left to the daemon unless one is written.
fn keyed_primary(primary: &str, key: &str) -> Result<Value, Failure> {
    if let Ok(ip) = primary.parse::<IpAddr>() {
        return Ok(json!({ "ip": ip, "tsigKey": key }));
    }
    let address =
        config::peer_address(primary, config::DNS_PORT).map_err(|e| Failure::unknown(format!("--primary {e}")))?;
    Ok(json!({ "ip": address.ip(), "port": address.port(), "tsigKey": key }))
}

fn records(client: &Client, zone: &Zone, rtype: &str, json: bool) -> Outcome {
    #[derive(Deserialize)]
    struct Record {
        metadata: RecordMetadata,
        properties: RecordProperties,
    }
    #[derive(Deserialize)]
    struct RecordMetadata {
        fqdn: String,
        /// The true TTL where the dialect had to clamp it.
        ttl: Option<u32>,
    }
    #[derive(Deserialize)]
    struct RecordProperties {
        content: String,
        #[serde(default)]
        priority: u16,
        ttl: u32,
        #[serde(rename = "type")]
        rtype: String,
    }
    let query = format!("&filter.type={}", percent_encode(rtype));
    let items = client.list(&format!("/secondaryzones/{}/records", zone.id), &query)?;
    if json {
        return Ok((Verdict::Ok, format!("{}\n", Value::Array(items))));
    }
    let mut table = Table::new(&["OWNER", "TTL", "TYPE", "CONTENT"]);
    for Record { metadata, properties } in decode_all(items)? {
        let ttl = metadata.ttl.unwrap_or(properties.ttl).to_string();
        let content = match properties.rtype.as_str() {
            "MX" | "SRV" | "URI" => format!("{} {}", properties.priority, properties.content),
            _ => properties.content,
        };
        table.row(&[&metadata.fqdn, &ttl, &properties.rtype, &content]);
    }
    Ok((Verdict::Ok, table.to_string()))
}

fn help(topic: Option<&str>) -> Outcome {
    match topic {
        Some(name) => match manual::topic(name) {
            Some(topic) => Ok((Verdict::Ok, topic.text.to_owned())),
            None => {
                let names: Vec<_> = manual::TOPICS.iter().map(|topic| topic.name).collect();
                Err(Failure::unknown(format!("there is no topic {name:?}; topics: {}", names.join(", "))))
            }
        },
        None => {
            let mut table = Table::new(&["TOPIC", "ABOUT"]);
            manual::TOPICS.iter().for_each(|topic| table.row(&[topic.name, topic.about]));
            Ok((Verdict::Ok, format!("{table}\nsecondaryctl help TOPIC prints one, secondaryctl --help the verbs.\n")))
        }
    }
}

// -- HTTP -----------------------------------------------------------------------------------------

/// Longest time of one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest reply read, in octets; a page holds at most 1000 items.
const REPLY_OCTETS_MAX: u64 = 256 << 20;
/// Items asked for in one page, the most the API gives.
const PAGE: usize = 1000;

struct Client {
    agent: ureq::Agent,
    base: String,
    token: Option<String>,
}

impl Client {
    fn new(url: &str, token: Option<String>) -> Client {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(REQUEST_TIMEOUT))
            // A proxy from the environment is for the Internet, not for a daemon on this host.
            .proxy(None);
        Client { agent: config.build().into(), base: url.trim_end_matches('/').to_owned(), token }
    }

    /// One exchange: the status code and the body as text.
    fn exchange(&self, method: Method, path: &str, body: Option<Value>) -> Result<(u16, String), Failure> {
        if !self.base.starts_with("http://") {
            return Err(Failure::unknown(format!("--url {}: only http:// URLs can be used", self.base)));
        }
        let url = format!("{}{path}", self.base);
        let mut request = Request::builder().method(method).uri(&url).header("accept", "application/json");
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let bad_request = |e| Failure::unknown(format!("--url {} or the token cannot be used: {e}", self.base));
        let sent = match body {
            Some(body) => self
                .agent
                .run(request.header("content-type", "application/json").body(body.to_string()).map_err(bad_request)?),
            None => self.agent.run(request.body(()).map_err(bad_request)?),
        };
        let mut response = sent.map_err(|e| self.unreachable(&e))?;
        let status = response.status().as_u16();
        let text = response.body_mut().with_config().limit(REPLY_OCTETS_MAX).read_to_string();
        Ok((status, text.map_err(|e| self.unreachable(&e))?))
    }

    fn unreachable(&self, error: &ureq::Error) -> Failure {
        Failure {
            verdict: Verdict::Critical,
            message: format!("{} does not answer: {error}; is secondaryd running, and is --url right?", self.base),
        }
    }

    /// One exchange that must succeed; its JSON.
    fn call(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, Failure> {
        let (status, text) = self.exchange(method, path, body)?;
        if !(200..300).contains(&status) {
            return Err(self.refused(status, &text));
        }
        serde_json::from_str(&text)
            .map_err(|e| Failure::unknown(format!("{}{path} did not send JSON ({e}); is it a secondaryd?", self.base)))
    }

    fn refused(&self, status: u16, text: &str) -> Failure {
        let body: Value = serde_json::from_str(text).unwrap_or_default();
        let messages: Vec<_> =
            body["messages"].as_array().into_iter().flatten().filter_map(|m| m["message"].as_str()).collect();
        let hint = match (status, &self.token) {
            (401, None) => "; give a token by --token or SECONDARYD_TOKEN",
            (401, Some(_)) => "; the daemon does not know this token",
            _ => "",
        };
        let said = if messages.is_empty() { "no reason given".to_owned() } else { messages.join("; ") };
        let verdict = if status >= 500 { Verdict::Critical } else { Verdict::Unknown };
        Failure { verdict, message: format!("the daemon answered {status}: {said}{hint}") }
    }

    /// All items of a list, page by page.
    fn list(&self, path: &str, query: &str) -> Result<Vec<Value>, Failure> {
        let mut items = Vec::new();
        loop {
            let page = format!("{path}?limit={PAGE}&offset={}{query}", items.len());
            let mut reply = self.call(Method::GET, &page, None)?;
            let Value::Array(more) = reply["items"].take() else {
                return Err(Failure::unknown(format!("{page}: the reply has no items")));
            };
            let last = more.len() < PAGE;
            items.extend(more);
            if last {
                return Ok(items);
            }
        }
    }

    /// The secondary zone called `name`.
    fn find(&self, name: &str) -> Result<Zone, Failure> {
        let wanted = name.strip_suffix('.').filter(|rest| !rest.is_empty()).unwrap_or(name).to_ascii_lowercase();
        // The exact match is listed first; one page holds it.
        let query = format!("/secondaryzones?limit=1&filter.zoneName={}", percent_encode(&wanted));
        let mut reply = self.call(Method::GET, &query, None)?;
        let first = reply["items"].get_mut(0).map(Value::take);
        match first.map(|zone| decode::<Zone>(&zone)).transpose()? {
            Some(zone) if zone.properties.zone_name.eq_ignore_ascii_case(&wanted) => Ok(zone),
            _ => Err(Failure::unknown(format!("there is no secondary zone {wanted}; secondaryctl zones lists them"))),
        }
    }

    fn transfers(&self, zone: &Zone) -> Result<Value, Failure> {
        self.call(Method::GET, &format!("/secondaryzones/{}/axfr", zone.id), None)
    }

    /// As [`Client::transfers`]; `None` if the zone is gone.
    fn transfers_if_there(&self, zone: &Zone) -> Result<Option<Value>, Failure> {
        let (status, text) = self.exchange(Method::GET, &format!("/secondaryzones/{}/axfr", zone.id), None)?;
        match status {
            404 => Ok(None),
            200..300 => serde_json::from_str(&text).map(Some).map_err(|e| Failure::unknown(format!("no JSON: {e}"))),
            _ => Err(self.refused(status, &text)),
        }
    }

    /// Whether stored zones are served.
    fn readiness(&self) -> Result<bool, Failure> {
        Ok(self.exchange(Method::GET, "/readyz", None)?.0 == 200)
    }
}

fn decode<T: DeserializeOwned>(value: &Value) -> Result<T, Failure> {
    T::deserialize(value).map_err(|e| Failure::unknown(format!("the daemon's reply is not understood: {e}")))
}

fn decode_all<T: DeserializeOwned>(values: Vec<Value>) -> Result<Vec<T>, Failure> {
    values.iter().map(decode).collect()
}

fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for octet in text.bytes() {
        match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(octet as char),
            _ => {
                let _ = write!(encoded, "%{octet:02X}");
            }
        }
    }
    encoded
}

// -- for people -----------------------------------------------------------------------------------

/// Left-aligned columns, two blanks apart; the last one is never padded.
struct Table<'a> {
    headings: &'a [&'a str],
    rows: Vec<Vec<String>>,
}

impl<'a> Table<'a> {
    fn new(headings: &'a [&'a str]) -> Table<'a> {
        Table { headings, rows: Vec::new() }
    }

    fn row(&mut self, cells: &[&str]) {
        // What comes from the network must not steer the terminal.
        self.rows.push(cells.iter().map(|cell| cell.replace(char::is_control, "?")).collect());
    }
}

impl std::fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].chars().count());
            cells.chain([self.headings[column].len()]).max().unwrap_or_default()
        };
        let widths: Vec<_> = (0..self.headings.len()).map(width).collect();
        let headings: Vec<String> = self.headings.iter().map(|&heading| heading.to_owned()).collect();
        for row in std::iter::once(&headings).chain(&self.rows) {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                let _ = write!(line, "{cell:width$}  ");
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A past time as `5m ago`; without one `never`.
fn ago(time: Option<&str>) -> String {
    match time.map(|time| (time, seconds_from_now(time))) {
        None => "never".to_owned(),
        Some((_, Some(seconds))) => format!("{} ago", rough(-seconds)),
        Some((time, None)) => time.to_owned(),
    }
}

/// A future time as `in 5m`; without one `-`.
fn ahead(time: Option<&str>) -> String {
    match time.map(|time| (time, seconds_from_now(time))) {
        None => "-".to_owned(),
        Some((_, Some(seconds))) if seconds <= 0 => "now".to_owned(),
        Some((_, Some(seconds))) => format!("in {}", rough(seconds)),
        Some((time, None)) => time.to_owned(),
    }
}

fn seconds_from_now(time: &str) -> Option<i64> {
    let time: jiff::Timestamp = time.parse().ok()?;
    Some(time.as_second() - jiff::Timestamp::now().as_second())
}

/// The two largest units, which is what one look can take in.
fn rough(seconds: i64) -> String {
    let seconds = seconds.max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h {}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}
