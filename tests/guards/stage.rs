//! One zone, its primary, and what every test asks of them.

use secondaryd::dns::{Record, RecordType};
use serde_json::Value;

use crate::client::Over;
use crate::daemon::{Entry, Secondaryd};
use crate::primary::{Primary, Query, Step};
use crate::reply::{self, Reply};
use crate::wait::SOON;

pub(crate) const ZONE: &str = "guarded.example";

/// A daemon with the one zone, loaded with serial 1.
pub(crate) struct Stage {
    pub(crate) ours: Secondaryd,
    pub(crate) primary: Primary,
}

impl Stage {
    /// `settings` are further sections of the configuration.
    #[track_caller]
    pub(crate) fn loaded(settings: &str) -> Stage {
        Stage::of(settings, reply::zone(ZONE, 1))
    }

    /// Loaded with `records`, SOA first and last, whatever their serial.
    #[track_caller]
    pub(crate) fn of(settings: &str, records: Vec<Record>) -> Stage {
        let serial = serial(&records);
        let primary = Primary::start(whole(records));
        let ours = Secondaryd::reserve().with_settings(settings).with_zone(Entry::new(ZONE, &[primary.address()]));
        let stage = Stage { ours: ours.started(), primary };
        stage.ours.dns.wait_serial(ZONE, serial, SOON);
        stage
    }

    /// The primary has `records` from now on, and they are asked for; the item when everything has ended.
    #[track_caller]
    pub(crate) fn offered(&self, records: Vec<Record>) -> Value {
        self.primary.play(whole(records));
        self.refreshed()
    }

    /// Asks the primary now; the item when that has ended.
    #[track_caller]
    pub(crate) fn refreshed(&self) -> Value {
        self.ours.expect("PUT", &format!("{}/axfr?mode=refresh", self.path()), 202);
        self.ours.settled(ZONE, 0)
    }

    pub(crate) fn path(&self) -> String {
        self.ours.zone_path(ZONE)
    }

    #[track_caller]
    pub(crate) fn serves(&self, serial: u32) {
        assert_eq!(self.ours.dns.serial(ZONE), Some(serial));
        assert_eq!(self.ours.dns.txt(Over::Udp, &format!("mark.{ZONE}")), Some(serial.to_string()));
    }

    /// The version that is held, which there must be.
    #[track_caller]
    pub(crate) fn held(&self) -> Value {
        let list = self.ours.expect("GET", &format!("{}/held", self.path()), 200);
        assert_eq!(list["items"].as_array().map(Vec::len), Some(1), "{list:#}");
        list["items"][0].clone()
    }

    #[track_caller]
    pub(crate) fn nothing_held(&self) {
        let list = self.ours.expect("GET", &format!("{}/held", self.path()), 200);
        assert_eq!(list["items"].as_array().map(Vec::len), Some(0), "{list:#}");
    }

    /// Zone transfers asked for since the primary's script was given.
    pub(crate) fn transfers(&self) -> usize {
        self.primary.seen_over_tcp().iter().filter(|qtype| **qtype != RecordType::SOA).count()
    }

    /// `secondaryctl` against the daemon: exit code and what it printed.
    #[track_caller]
    pub(crate) fn ctl(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.ours.ctl(arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code().expect("it exits"), text)
    }
}

/// The serial of the SOA that stands first.
pub(crate) fn serial(records: &[Record]) -> u32 {
    records[0].borrow().soa_serial().expect("a SOA").0
}

/// Answers SOA queries and transfers from `records`.
pub(crate) fn whole(records: Vec<Record>) -> impl Fn(&Query) -> Vec<Step> + Send + Sync + 'static {
    move |query| match query.qtype {
        RecordType::SOA => vec![Reply::to(query).with(&records[..1]).send()],
        _ => vec![Reply::to(query).with(&records).send()],
    }
}

/// As [`whole`], but answers IXFR with `differences`.
pub(crate) fn incremental(
    records: Vec<Record>,
    differences: Vec<Record>,
) -> impl Fn(&Query) -> Vec<Step> + Send + Sync + 'static {
    let whole = whole(records);
    move |query| match query.qtype {
        RecordType::IXFR => vec![Reply::to(query).with(&differences).send()],
        _ => whole(query),
    }
}

/// The usual zone with this serial and `more` records.
pub(crate) fn with(serial: u32, more: &str) -> Vec<Record> {
    let mut body = reply::body(ZONE, serial);
    body.extend(reply::records(ZONE, more));
    reply::around(reply::soa(ZONE, serial), body)
}

/// The usual zone without NS at the apex.
pub(crate) fn without_ns(serial: u32) -> Vec<Record> {
    reply::around(reply::soa(ZONE, serial), reply::body(ZONE, serial)[1..].to_vec())
}
