//! The manual, for people who run secondaryd: `secondaryctl help TOPIC` prints the same text.
//!
//! Each topic is one Markdown file beside this one. Tests hold the lists in them against the code: every reason code
//! and every metric stands in its topic; the keys of the configuration are the template itself.

/// From nothing to a served zone.
#[doc = include_str!("getting-started.md")]
pub mod getting_started {}

/// Every key of the configuration file.
#[doc = include_str!("configuration.md")]
#[doc = "```toml"]
#[doc = include_str!("../../config/secondaryd.toml")]
#[doc = "```"]
pub mod configuration {}

/// What the REST status says.
#[doc = include_str!("status.md")]
pub mod status {}

/// Lists of zones that travel as zones (RFC 9432).
#[doc = include_str!("catalogs.md")]
pub mod catalogs {}

/// Zones that are edited here.
#[doc = include_str!("local-zones.md")]
pub mod local_zones {}
/// The dialects of REST for DNS tools.
#[doc = include_str!("rest.md")]
pub mod rest {}
/// What holds a version back, versions and roll-back.
#[doc = include_str!("guards.md")]
pub mod guards {}
/// Explain, history, check, events, health.
#[doc = include_str!("why.md")]
pub mod why {}

/// Every reason code.
#[doc = include_str!("reasons.md")]
pub mod reasons {}

/// What was found out about primaries although nothing failed.
#[doc = include_str!("findings.md")]
pub mod findings {}

/// What bad primaries do to us and to other secondaries.
#[doc = include_str!("bad-primaries.md")]
pub mod bad_primaries {}
/// What clients get: transports, limits, cookies.
#[doc = include_str!("answering.md")]
pub mod answering {}

/// Signals, systemd, backup, metrics.
#[doc = include_str!("operations.md")]
pub mod operations {}

/// One part of the manual.
#[derive(Clone, Copy, Debug)]
pub struct Topic {
    /// The word behind `secondaryctl help`.
    pub name: &'static str,
    /// One line for the table of topics.
    pub about: &'static str,
    /// The text, Markdown.
    pub text: &'static str,
}

/// Every topic, in reading order.
pub const TOPICS: &[Topic] = &[
    Topic { name: "getting-started", about: "from nothing to a served zone", text: include_str!("getting-started.md") },
    Topic {
        name: "configuration",
        about: "every key of the file",
        // The template is the list of keys, so that there is only one.
        text: concat!(include_str!("configuration.md"), include_str!("../../config/secondaryd.toml")),
    },
    Topic { name: "status", about: "what the REST status and secondaryctl say", text: include_str!("status.md") },
    Topic {
        name: "catalogs",
        about: "lists of zones: followed, and made for those behind",
        text: include_str!("catalogs.md"),
    },
    Topic {
        name: "local-zones",
        about: "zones that are edited here, reverse records",
        text: include_str!("local-zones.md"),
    },
    Topic { name: "rest", about: "the dialects of REST for DNS tools; Rackspace", text: include_str!("rest.md") },
    Topic {
        name: "guards",
        about: "what holds a version back; kept versions, roll-back",
        text: include_str!("guards.md"),
    },
    Topic { name: "why", about: "explain, history, check, events, health", text: include_str!("why.md") },
    Topic { name: "reasons", about: "every reason code: cause and remedy", text: include_str!("reasons.md") },
    Topic { name: "findings", about: "what is wrong although nothing failed", text: include_str!("findings.md") },
    Topic {
        name: "bad-primaries",
        about: "what bad primaries do to us and to other secondaries",
        text: include_str!("bad-primaries.md"),
    },
    Topic {
        name: "answering",
        about: "transports, limits, cookies, what clients get",
        text: include_str!("answering.md"),
    },
    Topic { name: "operations", about: "signals, systemd, backup, metrics", text: include_str!("operations.md") },
];

/// The topic called `name`; an unmistakable beginning is enough. A reason code in any case leads to its section.
pub fn topic(name: &str) -> Option<Topic> {
    if let Some(exact) = TOPICS.iter().find(|topic| topic.name == name) {
        return Some(*exact);
    }
    if let Some(text) = reason(name) {
        return Some(Topic { name: "reasons", about: "one reason code", text });
    }
    let mut beginning = TOPICS.iter().filter(|topic| !name.is_empty() && topic.name.starts_with(name));
    match (beginning.next(), beginning.next()) {
        (Some(one), None) => Some(*one),
        _ => None,
    }
}

/// The section of `reasons.md` about one code.
fn reason(code: &str) -> Option<&'static str> {
    let heading = format!("### {}\n", code.to_ascii_uppercase().replace('-', "_"));
    let text = include_str!("reasons.md");
    let section = &text[text.find(&heading)?..];
    let end = section[1..].find("\n#").map_or(section.len(), |end| end + 2);
    Some(&section[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::{Code, StatusWord};
    use crate::refresh::FindingCode;
    use crate::telemetry::METRICS;

    #[test]
    fn reasons_explains_each_code_once_and_no_other() {
        let text = topic("reasons").expect("a topic").text;
        // The manual groups them by what the operator does, the code by where they arise: the order may differ.
        let mut explained: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("### ")).collect();
        let mut codes: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        explained.sort_unstable();
        codes.sort_unstable();
        assert_eq!(explained, codes);
        for code in Code::ALL {
            let failed = matches!(code.status(), StatusWord::Error | StatusWord::Lagging);
            let section = reason(code.as_str()).expect("a section");
            assert_eq!(failed, section.contains("\nDo: "), "{code}: a failure has a remedy, the rest has none");
        }
    }

    #[test]
    fn findings_explains_each_code_with_a_remedy() {
        let text = topic("findings").expect("a topic").text;
        let explained: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("### ")).collect();
        let codes: Vec<_> = FindingCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(explained, codes);
        assert_eq!(text.matches("\nDo: ").count(), codes.len());
    }

    #[test]
    fn operations_lists_each_metric() {
        let text = topic("operations").expect("a topic").text;
        for metric in METRICS {
            assert!(text.contains(&format!("`{}`", metric.name)), "{} is not in operations.md", metric.name);
        }
        let table = text.split("Worth an alert").next().expect("a first part");
        let listed = table.lines().filter(|line| line.starts_with("| `secondaryd_")).count();
        assert_eq!(listed, METRICS.len(), "operations.md lists a metric that is not there");
    }

    #[test]
    fn why_explains_each_event_and_each_health_word() {
        let text = topic("why").expect("a topic").text;
        let events = crate::control::events::Kind::ALL.iter().map(|kind| kind.as_str());
        let health = crate::control::health::Health::ALL.iter().map(|health| health.as_str());
        for word in events.chain(health) {
            assert!(text.contains(&format!("`{word}`")), "{word} is not in why.md");
        }
    }

    #[test]
    fn a_topic_is_found_by_its_beginning_and_a_code_by_its_name() {
        assert_eq!(topic("get").map(|t| t.name), Some("getting-started"));
        assert!(topic("connect-refused").is_some_and(|t| t.text.starts_with("### CONNECT_REFUSED\n")));
        assert!(topic("LOOP").is_some_and(|t| t.text.starts_with("### LOOP\n")));
        assert!(topic("nonsense").is_none() && topic("").is_none());
    }
}
