//! The operator's command line; speaks only HTTP to a daemon (over TCP, TLS or a UNIX socket), in the IONOS dialect like any
//! other client.
//!
//! In: arguments, `SECONDARYD_URL`, `SECONDARYD_TOKEN`. Out: aligned tables, or with `--json` the daemon's own JSON;
//! the exit code is the verdict, so that every verb can serve as a check of a monitoring system.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use secondaryd::{config, manual};
use serde::Deserialize;
use serde_json::{Value, json};
use ureq::http::Method;

#[path = "secondaryctl/client.rs"]
mod client;
#[path = "secondaryctl/review.rs"]
mod review;
#[path = "secondaryctl/table.rs"]
mod table;
#[path = "secondaryctl/unix.rs"]
mod unix;
#[path = "secondaryctl/why.rs"]
mod why;

use client::{Client, Zone, ZoneProperties, decode, decode_all, percent_encode};
use table::{Table, ago, ahead};

/// Asks and commands a running secondaryd.
#[derive(Parser)]
#[command(name = "secondaryctl", version, disable_help_subcommand = true, after_help = EXIT_CODES)]
struct Arguments {
    /// Where the daemon's API listens: http://HOST:PORT, https://HOST:PORT or unix:/PATH.
    #[arg(long, global = true, env = "SECONDARYD_URL", default_value = "http://127.0.0.1:8053")]
    url: String,
    /// PEM file of the authority that signed the daemon's certificate, for https://; default: the system's.
    #[arg(long, global = true, env = "SECONDARYD_CA")]
    ca: Option<std::path::PathBuf>,
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
    /// Why a zone is as it is: verdict, evidence, and what to do.
    Explain {
        name: String,
        /// Only the lines for the configuration of such a primary: bind, knot, nsd, powerdns or windows.
        #[arg(long)]
        snippet: Option<String>,
    },
    /// What became of the attempts at a zone's primaries, newest first.
    History {
        name: String,
        /// Only these reason codes, with commas between.
        #[arg(long)]
        code: Option<String>,
        /// Only this primary: IP or IP#port.
        #[arg(long)]
        primary: Option<String>,
        /// Only soa, ixfr, axfr or transfer (both).
        #[arg(long)]
        kind: Option<String>,
        /// Only what ended at this time or later, e.g. 2026-11-21T23:00:00Z.
        #[arg(long)]
        since: Option<String>,
        /// Only what ended before this time.
        #[arg(long)]
        until: Option<String>,
        /// Most lines.
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Try the primaries of a zone without changing anything; with --primary of a zone that need not be here.
    Check {
        name: String,
        /// Address of a primary: IP, IP:port or IP#port.
        #[arg(long = "primary", num_args = 1..)]
        primaries: Vec<String>,
        /// TSIG key of the daemon's configuration, for these primaries.
        #[arg(long, requires = "primaries")]
        tsig_key: Option<String>,
        /// How these primaries are spoken to; default: as the daemon's configuration says of the address, else in clear text.
        #[arg(long, requires = "primaries")]
        transport: Option<Transport>,
        /// Also transfer the whole zone, check it and drop it.
        #[arg(long)]
        transfer: bool,
    },
    /// How all zones are, in one word and one exit code.
    Health,
    /// One line per zone and primary.
    Transfers {
        /// Only PENDING, IN_PROGRESS, OK, LAGGING or ERROR.
        #[arg(long)]
        status: Option<String>,
        /// Only these reason codes, with commas between.
        #[arg(long)]
        code: Option<String>,
        /// Only zones with this in their name.
        #[arg(long)]
        zone: Option<String>,
        /// Only this primary: IP or IP#port.
        #[arg(long)]
        primary: Option<String>,
    },
    /// What happens, as it happens, one line an event.
    Events {
        /// Only these zones (names or UUIDs), with commas between.
        #[arg(long)]
        zone: Option<String>,
        /// Only these kinds, e.g. version,attempt,state.
        #[arg(long = "type")]
        kind: Option<String>,
        /// Go on behind the event with this id.
        #[arg(long)]
        since: Option<String>,
        /// End after so many events, at least 1.
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
        count: Option<u64>,
    },
    /// A zone as it is served, as a zone file; there is no JSON of it, `records` has that.
    Export { name: String },
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
        /// How these primaries are spoken to; default: as the daemon's configuration says of the address, else in clear text.
        #[arg(long)]
        transport: Option<Transport>,
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
    /// Versions that are held for approval, of one zone or of all, and why.
    Held { name: Option<String> },
    /// Serve the held version of a zone.
    Approve {
        name: String,
        /// Only if this is still the held one.
        #[arg(long)]
        id: Option<String>,
    },
    /// Give the held version of a zone up; its serial is not fetched again.
    Reject {
        name: String,
        /// Only if this is still the held one.
        #[arg(long)]
        id: Option<String>,
    },
    /// The versions of a zone that are kept: when, from whom, how much changed.
    Versions { name: String },
    /// The changes from one kept version to another, or with `held` those of the held version.
    Diff {
        name: String,
        /// A serial, or the word held.
        from: String,
        /// A serial.
        to: Option<String>,
    },
    /// Serve a kept version and take no newer one until `release`.
    Rollback { name: String, serial: u32 },
    /// Take newer versions again after `rollback`.
    Release { name: String },
    /// The manual: topics, or one topic.
    Help { topic: Option<String> },
}

/// How a primary is spoken to.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Transport {
    /// In clear text.
    Tcp,
    /// Over TLS, to port 853 if none is written.
    Tls,
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
    let Arguments { url, ca, token, json, verb } = arguments;
    let client = Client::new(&url, ca.as_deref(), token)?;
    match verb {
        Verb::Status => status(&client, json),
        Verb::Zones => zones(&client, json),
        Verb::Zone { name } => zone(&client, &client.find(&name)?, json),
        Verb::Explain { name, snippet } => why::explain(&client, &name, snippet.as_deref(), json),
        Verb::History { name, code, primary, kind, since, until, limit } => {
            let (code, primary, kind) = (code.as_deref(), primary.as_deref(), kind.as_deref());
            let past = why::Past { code, primary, kind, since: since.as_deref(), until: until.as_deref(), limit };
            why::history(&client, &name, &past, json)
        }
        Verb::Check { name, primaries, tsig_key, transport, transfer } => {
            let properties = match primaries.is_empty() {
                true => None,
                false => Some(properties(&name, &primaries, tsig_key.as_deref(), transport)?),
            };
            why::check(&client, &name, properties, transfer, json)
        }
        Verb::Health => why::health(&client, json),
        Verb::Transfers { status, code, zone, primary } => {
            let given = [
                ("status", status.as_deref()),
                ("code", code.as_deref()),
                ("zone", zone.as_deref()),
                ("primary", primary.as_deref()),
            ];
            why::transfers(&client, &given, json)
        }
        Verb::Events { zone, kind, since, count } => {
            let (zones, kinds, since) = (zone.as_deref(), kind.as_deref(), since.as_deref());
            why::events(&client, &why::Told { zones, kinds, since, count }, json)
        }
        // Who asked for JSON and got a zone file would find out further on.
        Verb::Export { .. } if json => {
            Err(Failure::unknown("export prints a zone file, and no JSON; secondaryctl records --json has the records"))
        }
        Verb::Export { name } => {
            let found = client.find(&name)?;
            Ok((Verdict::Ok, client.text(&format!("/secondaryzones/{}/zonefile", found.id))?))
        }
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
        Verb::Add { name, primaries, tsig_key, transport, description } => {
            let properties = properties(&name, &primaries, tsig_key.as_deref(), transport)?;
            add(&client, &name, properties, &description, json)
        }
        Verb::Remove { name } => {
            let found = client.find(&name)?;
            client.call(Method::DELETE, &format!("/secondaryzones/{}", found.id), None)?;
            Ok((Verdict::Ok, said(json, &format!("{} removed", found.properties.zone_name))))
        }
        Verb::Records { name, rtype } => records(&client, &client.find(&name)?, &rtype, json),
        Verb::Held { name } => review::held(&client, name.as_deref(), json),
        Verb::Approve { name, id } => review::decide(&client, &name, id.as_deref(), "approve", json),
        Verb::Reject { name, id } => review::decide(&client, &name, id.as_deref(), "reject", json),
        Verb::Versions { name } => review::versions(&client, &name, json),
        Verb::Diff { name, from, to } => review::diff(&client, &name, &from, to.as_deref(), json),
        Verb::Rollback { name, serial } => review::roll_back(&client, &name, serial, json),
        Verb::Release { name } => review::release(&client, &name, json),
        Verb::Help { topic } => help(topic.as_deref()),
    }
}

/// The outcome of a command, for people or for programs.
fn said(json: bool, text: &str) -> String {
    if json { format!("{}\n", json!({ "message": text })) } else { format!("{text}\n") }
}

// -- what the daemon says -------------------------------------------------------------------------

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
    catalog: Option<Listed>,
    #[serde(default)]
    warnings: Vec<String>,
}

/// How many zones a catalog lists.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    members: u64,
    left_out: u64,
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

/// One line of `GET /transfers`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    zone_name: String,
    #[serde(flatten)]
    primary: Primary,
}

/// Zones, how they stand, and their primaries that fail; as JSON all their primaries, for which each zone is asked.
fn status(client: &Client, json: bool) -> Outcome {
    let ready = client.readiness()?;
    let zones: Vec<Zone> = decode_all(client.list("/secondaryzones", "")?)?;
    let (mut worst, mut failing) = (Verdict::Ok, 0);
    let mut of_zone = HashMap::<String, Vec<Primary>>::new();
    for word in ["ERROR", "LAGGING"].iter().filter(|_| !json) {
        for Line { zone_name, primary } in decode_all(client.list("/transfers", &format!("&status={word}"))?)? {
            of_zone.entry(zone_name).or_default().push(primary);
        }
    }
    let mut counts = std::collections::BTreeMap::<&str, usize>::new();
    let mut trouble = Table::new(&["ZONE", "STATE", "PRIMARY", "STATUS", "LAST OK", "REASON"]);
    let mut details = Vec::new();
    for zone in &zones {
        let name = zone.properties.zone_name.as_str();
        let mut state = zone.metadata.state.clone();
        let mut items = of_zone.remove(name).unwrap_or_default();
        if json {
            // A zone that was removed since the list was made is no trouble.
            let Some(value) = client.transfers_if_there(zone)? else { continue };
            let transfers: Transfers = decode(&value)?;
            state = transfers.state.unwrap_or(state);
            items = transfers.items;
            details.push(json!({ "zoneName": name, "state": state, "axfr": value }));
        }
        *counts.entry(state_word(&state)).or_default() += 1;
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
    let storage = client.storage()?;
    if !ready || storage.is_some() {
        worst = worst.max(Verdict::Warning);
    }
    if json {
        let body = json!({ "verdict": worst.word(), "ready": ready, "storage": storage, "zones": details });
        return Ok((worst, format!("{body}\n")));
    }
    let primaries = client.call(Method::GET, "/transfers/summary", None)?["primaries"].take();
    let mut text = format!("{}: {} zones", worst.word(), zones.len());
    for (state, count) in counts {
        let _ = write!(text, ", {count} {state}");
    }
    let _ = write!(text, "; {failing} of {primaries} primaries fail");
    text += if ready { "\n" } else { "; not ready yet: stored zones are still being loaded\n" };
    if let Some(why) = storage {
        let _ = writeln!(text, "nothing can be stored: {why}; \"secondaryctl help STORAGE_FAILED\" says more");
    }
    if !trouble.is_empty() {
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
    if let Some(Listed { members, left_out }) = transfers.catalog {
        let zones = if members == 1 { "zone" } else { "zones" };
        let _ = write!(text, "catalog of {members} {zones} here");
        if left_out > 0 {
            let name = &zone.properties.zone_name;
            let are = if left_out == 1 { "is" } else { "are" };
            let _ = write!(text, "; {left_out} more {are} not taken, \"secondaryctl explain {name}\" says why");
        }
        text.push_str("\n\n");
    }
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
    for (number, warning) in transfers.warnings.iter().enumerate() {
        let gap = if number == 0 { "\n" } else { "" };
        let _ = writeln!(text, "{gap}note: {warning}");
    }
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

fn add(client: &Client, name: &str, mut properties: Value, description: &str, json: bool) -> Outcome {
    properties["description"] = description.into();
    let made = client.call(Method::POST, "/secondaryzones", Some(json!({ "properties": properties })))?;
    if json {
        return Ok((Verdict::Ok, format!("{made}\n")));
    }
    Ok((Verdict::Ok, format!("{name} added, first transfer started; see: secondaryctl zone {name}\n")))
}

/// What a zone is made of, as the API takes it. What is not said of the primaries is left to the daemon.
fn properties(
    name: &str,
    primaries: &[String],
    tsig_key: Option<&str>,
    transport: Option<Transport>,
) -> Result<Value, Failure> {
    let mut properties = json!({ "zoneName": name });
    if tsig_key.is_none() && transport.is_none() {
        properties["primaryIps"] = json!(primaries);
        return Ok(properties);
    }
    let entries = primaries.iter().map(|primary| {
        let mut entry = address(primary)?;
        if let Some(key) = tsig_key {
            entry["tsigKey"] = key.into();
        }
        if let Some(transport) = transport {
            entry["transport"] = match transport {
                Transport::Tcp => "tcp".into(),
                Transport::Tls => "tls".into(),
            };
        }
        Ok(entry)
    });
    properties["primaries"] = entries.collect::<Result<Value, Failure>>()?;
    Ok(properties)
}

/// The address of a primary, as the API takes it; without a port unless one is written.
fn address(primary: &str) -> Result<Value, Failure> {
    if let Ok(ip) = primary.parse::<IpAddr>() {
        return Ok(json!({ "ip": ip }));
    }
    let address =
        config::peer_address(primary, config::DNS_PORT).map_err(|e| Failure::unknown(format!("--primary {e}")))?;
    Ok(json!({ "ip": address.ip(), "port": address.port() }))
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
    if items.is_empty() && decode::<Transfers>(&client.transfers(zone)?)?.served_serial.is_none() {
        let name = &zone.properties.zone_name;
        let why = format!("{name} has no contents yet: no primary has given it; secondaryctl explain {name} says why");
        return Err(Failure::unknown(why));
    }
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
