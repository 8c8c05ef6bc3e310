//! Logs on stderr and metrics for Prometheus: set up here, fed from everywhere above the rules.
//!
//! In: `[log]` of the configuration; events of `tracing` and values of `metrics`. Out: lines on stderr, the text of
//! `GET /metrics`. Called by the daemon at start and on a reload, and by the API for the text. Query workers never
//! come here: they count in blocks of their own, which control copies into the recorder when it is asked.
//!
//! Labels carry causes (reason codes, outcomes), never zone names, so that the cost does not grow with the zones.

use std::fmt;

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::{LookupSpan, Registry};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, reload};

use crate::config::{Log, LogFormat};
use crate::time::Timestamp;

/// Environment variable whose filter goes before that of the configuration.
pub const LOG_VARIABLE: &str = "SECONDARYD_LOG";

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Spread over buckets.
    Histogram,
}

/// One metric as `/metrics` shows it.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// The name; counters end in `_total`, units stand last.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Its labels, blank-separated; empty for none.
    pub labels: &'static str,
    /// What it counts, for the `HELP` line and the manual.
    pub help: &'static str,
}

macro_rules! metrics_table {
    ($($constant:ident = $name:literal, $kind:ident, [$labels:literal], $help:literal;)*) => {
        $(#[doc = $help] pub const $constant: &str = $name;)*
        /// Every metric, in the order of the manual.
        pub const METRICS: &[Metric] =
            &[$(Metric { name: $name, kind: Kind::$kind, labels: $labels, help: $help },)*];
    };
}

metrics_table! {
    BUILD = "secondaryd_build_info", Gauge, ["version"], "Always 1; the version stands in the label.";
    START_TIME = "secondaryd_start_time_seconds", Gauge, [""], "When the daemon started, in Unix time.";
    READY = "secondaryd_ready", Gauge, [""], "1 while every stored zone is served, as /readyz says; else 0.";
    ZONES = "secondaryd_zones", Gauge, ["state"], "Secondary zones by state: PROVISIONING, AVAILABLE, FAILED.";
    LOCAL_ZONES = "secondaryd_local_zones", Gauge, ["state"], "Local zones by state: AVAILABLE, FAILED (damaged on disk).";
    PRIMARIES = "secondaryd_primaries", Gauge, ["status"],
        "Pairs of zone and primary by status word: PENDING, IN_PROGRESS, OK, LAGGING, ERROR.";
    EXPIRY_MIN = "secondaryd_expiry_min_seconds", Gauge, [""],
        "Time until the first zone expires if no primary confirms it; absent without loaded zones.";
    TRANSFERS = "secondaryd_transfers_total", Counter, ["type"], "Transfers from primaries that were committed, by type.";
    TRANSFER_SECONDS = "secondaryd_transfer_seconds", Histogram, ["type"], "Time of one committed transfer.";
    TRANSFER_OCTETS = "secondaryd_transfer_octets_total", Counter, ["type"], "Octets received in committed transfers.";
    EXCHANGE_FAILURES = "secondaryd_exchange_failures_total", Counter, ["op code"],
        "Exchanges with primaries that failed, by operation and reason code; an IXFR here was followed by AXFR.";
    NOTIFIES = "secondaryd_notifies_total", Counter, ["outcome"],
        "NOTIFYs received, by outcome: accepted, refused, notauth, bad_signature, malformed.";
    NOTIFY_OUT = "secondaryd_notify_out_total", Counter, ["outcome"], "NOTIFYs sent, by outcome: answered, refused (another RCODE than NOERROR), unanswered.";
    QUERIES = "secondaryd_queries_total", Counter, ["transport"], "Messages received, by transport: udp, tcp.";
    REPLIES = "secondaryd_replies_total", Counter, ["transport rcode"], "Replies sent, by transport and response code.";
    TRUNCATED = "secondaryd_replies_truncated_total", Counter, ["transport"], "Replies sent with the TC bit.";
    RATE_LIMITED = "secondaryd_replies_rate_limited_total", Counter, ["transport"], "Replies held back or sent short by the rate limit.";
    CONNECTIONS = "secondaryd_tcp_connections_total", Counter, ["outcome"],
        "TCP connections of clients, by outcome: accepted, refused (a limit was reached).";
    OUTBOUND_TRANSFERS = "secondaryd_outbound_transfers_total", Counter, ["outcome"],
        "AXFR and IXFR requests of downstreams, by outcome: completed, refused, unavailable, broken.";
    VERSIONS_HELD = "secondaryd_versions_held_total", Counter, ["code"],
        "New versions that were held for a person's approval, by reason code.";
    ZONES_HELD = "secondaryd_zones_held", Gauge, [""], "Zones with a version that waits for approval.";
    CATALOG_MEMBERS = "secondaryd_catalog_members", Gauge, ["state"], "Zones that followed catalogs list, by whether they are zones here: taken, left_out.";
    ZONES_PINNED = "secondaryd_zones_pinned", Gauge, [""], "Zones that were rolled back and not released.";
    LAPSE_MIN = "secondaryd_signatures_lapse_min_seconds", Gauge, [""],
        "Time until the first signature of any zone lapses; negative when it has, absent without signed zones.";
    STORE_FAILING = "secondaryd_store_failing", Gauge, [""], "1 while nothing can be written to disk; else 0.";
    STORE_FAILURES = "secondaryd_store_failures_total", Counter, [""], "Versions that could not be written to disk.";
    CERTIFICATE_EXPIRY = "secondaryd_certificate_expiry_timestamp_seconds", Gauge, ["section"],
        "When the certificate that listen-tls uses ends, in Unix time, by section: dns, api; absent without one.";
    HTTP_REQUESTS = "secondaryd_http_requests_total", Counter, ["status"], "HTTP replies, by status code.";
    HTTP_CONNECTIONS_REFUSED = "secondaryd_http_connections_refused_total", Counter, [""],
        "Connections to the API that were refused because their address had too many open.";
    RELOADS = "secondaryd_config_reloads_total", Counter, ["outcome"], "Reloads of the configuration: ok, refused.";
}

/// Buckets of histograms in seconds: from a local flush to the longest transfer.
const BUCKETS: &[f64] = &[0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0, 600.0, 3600.0];

/// The value of a gauge of which there is nothing to tell at present: it is not shown. (The recorder itself goes on with
/// the last value of whatever it has seen once.)
pub const ABSENT: f64 = f64::NAN;

/// The text of `/metrics`.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Makes the one recorder of the process, with a description of every metric. Fails if there is one already.
    pub fn install() -> Result<Metrics, BuildError> {
        let recorder = recorder()?;
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder)?;
        describe();
        Ok(Metrics(handle))
    }

    /// Prometheus' text format. Also moves finished histogram samples into their buckets, so that their memory stays
    /// bounded as long as somebody asks.
    pub fn render(&self) -> String {
        self.0.run_upkeep();
        // Every family ends with an empty line.
        self.0.render().split_inclusive("\n\n").filter(|family| !family.trim_end().ends_with(" NaN")).collect()
    }

    /// The upkeep of [`Metrics::render`] alone; to be called now and then where nobody may ask.
    pub fn run_upkeep(&self) {
        self.0.run_upkeep();
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

fn recorder() -> Result<PrometheusRecorder, BuildError> {
    let builder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), BUCKETS)?;
    Ok(builder.build_recorder())
}

fn describe() {
    for metric in METRICS {
        let unit = match metric.name {
            name if name.ends_with("_seconds") => Unit::Seconds,
            name if name.ends_with("_octets_total") => Unit::Bytes,
            _ => Unit::Count,
        };
        match metric.kind {
            Kind::Counter => describe_counter!(metric.name, unit, metric.help),
            Kind::Gauge => describe_gauge!(metric.name, unit, metric.help),
            Kind::Histogram => describe_histogram!(metric.name, unit, metric.help),
        }
    }
    metrics::gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    metrics::gauge!(START_TIME).set(Timestamp::now().as_secs() as f64);
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter does not parse.
    #[error("log filter: {0}")]
    Filter(#[from] ParseError),
    /// There is a subscriber already.
    #[error("logging was set up before: {0}")]
    Installed(#[from] TryInitError),
    /// The subscriber is gone.
    #[error("log filter could not be changed: {0}")]
    Reload(#[from] reload::Error),
}

/// Changes the filter of a running log.
#[derive(Clone, Debug)]
pub struct LogControl(reload::Handle<EnvFilter, Registry>);

impl LogControl {
    /// Takes over the filter of a reloaded configuration; [`LOG_VARIABLE`] still goes before it.
    pub fn apply(&self, log: &Log) -> Result<(), LogError> {
        Ok(self.0.reload(filter(log)?)?)
    }
}

/// Sends events to stderr as `log` says.
pub fn install_log(log: &Log) -> Result<LogControl, LogError> {
    let (filter, control) = reload::Layer::new(filter(log)?);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match is_journal(log.format) {
        true => lines.with_ansi(false).event_format(JournalLine).boxed(),
        false => lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).boxed(),
    };
    tracing_subscriber::registry().with(filter).with(lines).try_init()?;
    Ok(LogControl(control))
}

fn filter(log: &Log) -> Result<EnvFilter, ParseError> {
    let from_environment = std::env::var(LOG_VARIABLE).ok().filter(|filter| !filter.is_empty());
    EnvFilter::builder().parse(from_environment.as_deref().unwrap_or(&log.filter))
}

fn is_journal(format: LogFormat) -> bool {
    match format {
        LogFormat::Auto => std::env::var_os("JOURNAL_STREAM").is_some(),
        LogFormat::Text => false,
        LogFormat::Journal => true,
    }
}

/// A line for the journal: the syslog priority in angle brackets, which systemd takes off again (sd-daemon(3)), then
/// the event without time and level.
struct JournalLine;

impl<S, N> FormatEvent<S, N> for JournalLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut line: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        write!(line, "<{}>", syslog_priority(*event.metadata().level()))?;
        let plain = tracing_subscriber::fmt::format().without_time().with_level(false);
        plain.format_event(context, line, event)
    }
}

fn syslog_priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_described_and_histograms_have_buckets() {
        let recorder = recorder().expect("a recorder");
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            describe();
            metrics::counter!(EXCHANGE_FAILURES, "op" => "AXFR", "code" => "CONNECT_REFUSED").increment(2);
            metrics::histogram!(TRANSFER_SECONDS, "type" => "AXFR").record(0.2);
        });
        let text = Metrics(handle).render();
        for line in [
            "# TYPE secondaryd_exchange_failures_total counter",
            "secondaryd_exchange_failures_total{op=\"AXFR\",code=\"CONNECT_REFUSED\"} 2",
            "secondaryd_transfer_seconds_bucket{type=\"AXFR\",le=\"0.5\"} 1",
            concat!("secondaryd_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn a_gauge_of_which_nothing_is_to_be_told_is_absent_until_there_is() {
        // given
        let recorder = recorder().expect("a recorder");
        let metrics = Metrics(recorder.handle());
        let set = |value| metrics::with_local_recorder(&recorder, || metrics::gauge!(EXPIRY_MIN).set(value));
        metrics::with_local_recorder(&recorder, describe);
        set(60.0);
        assert!(metrics.render().contains("\nsecondaryd_expiry_min_seconds 60\n"), "{}", metrics.render());

        // when
        set(ABSENT);

        // then
        let text = metrics.render();
        assert!(!text.contains("secondaryd_expiry_min_seconds"), "{text}");
        assert!(text.contains("\nsecondaryd_start_time_seconds "), "the others stay: {text}");
        set(30.0);
        assert!(metrics.render().contains("\nsecondaryd_expiry_min_seconds 30\n"), "{}", metrics.render());
    }

    #[test]
    fn names_follow_the_conventions() {
        for metric in METRICS {
            assert!(metric.name.starts_with("secondaryd_"), "{}", metric.name);
            assert_eq!(metric.kind == Kind::Counter, metric.name.ends_with("_total"), "{}", metric.name);
            assert!(!metric.labels.contains("zone"), "{}", metric.name);
        }
    }

    /// A metric that is fed but not listed would be missing from the manual.
    #[test]
    fn every_metric_named_in_the_sources_is_listed() {
        fn scan(directory: &std::path::Path, unlisted: &mut Vec<String>) {
            for entry in std::fs::read_dir(directory).expect("a directory").flatten() {
                let path = entry.path();
                if path.is_dir() {
                    scan(&path, unlisted);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let text = std::fs::read_to_string(&path).expect("a file");
                    for macro_name in ["counter!(\"", "gauge!(\"", "histogram!(\""] {
                        for (at, _) in text.match_indices(macro_name) {
                            let name = text[at + macro_name.len()..].split('"').next().unwrap_or_default();
                            if !name.is_empty() && METRICS.iter().all(|metric| metric.name != name) {
                                unlisted.push(format!("{}: {name}", path.display()));
                            }
                        }
                    }
                }
            }
        }
        let mut unlisted = Vec::new();
        scan(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut unlisted);
        // The list of this very test.
        unlisted.retain(|place| !place.contains("telemetry.rs"));
        assert!(unlisted.is_empty(), "not in telemetry::METRICS: {unlisted:#?}");
    }

    #[test]
    fn filters_of_the_configuration_are_filters_of_the_log() {
        for text in ["info", "warn,secondaryd::refresh=debug", "off"] {
            assert!(EnvFilter::builder().parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn journal_lines_carry_the_syslog_priority() {
        use std::io::Write;
        use std::sync::{Arc, Mutex};
        #[derive(Clone, Default)]
        struct Sink(Arc<Mutex<Vec<u8>>>);
        impl Write for Sink {
            fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
                self.0.lock().expect("no panic while held").write(octets)
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let sink = Sink::default();
        let writer = sink.clone();
        let layer = tracing_subscriber::fmt::layer().with_writer(move || writer.clone()).with_ansi(false);
        let subscriber = tracing_subscriber::registry().with(layer.event_format(JournalLine));
        tracing::subscriber::with_default(subscriber, || tracing::warn!(zone = "example.com", "primary refuses"));
        let line = String::from_utf8(sink.0.lock().expect("no panic while held").clone()).expect("text");
        assert!(line.starts_with("<4>") && line.contains("primary refuses zone=\"example.com\""), "{line}");
    }
}
