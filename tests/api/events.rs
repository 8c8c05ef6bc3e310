//! `/events`: what happens, as Server-Sent Events.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::daemon::{ADMIN, Daemon, STRANGER};
use crate::primary::Primary;

const APEX: &str = "example.com";
const ZONE: &str = "\
$ORIGIN example.com.
@ 3600 IN SOA ns1 hostmaster 7 3600 600 86400 300
@ 3600 IN NS ns1
ns1 3600 IN A 192.0.2.1
";

/// An event as a browser would hand it out.
#[derive(Clone, Debug, Default)]
struct Event {
    name: String,
    id: String,
    data: String,
}

impl Event {
    fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

struct Stream(BufReader<TcpStream>);

impl Stream {
    /// Opens a stream and reads its header.
    fn open(daemon: &Daemon, target: &str, headers: &[(&str, &str)]) -> Stream {
        let mut socket = TcpStream::connect(daemon.api).expect("the API listens");
        socket.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
        let fields: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        write!(socket, "GET {target} HTTP/1.1\r\nHost: {}\r\n{fields}\r\n", daemon.api).expect("sent");
        let mut stream = Stream(BufReader::new(socket));
        let status = stream.line().expect("a status line");
        assert!(status.starts_with("HTTP/1.1 200"), "{status}");
        while stream.line().is_some_and(|line| !line.is_empty()) {}
        stream
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.0.read_line(&mut line).expect("the stream goes on");
        (read > 0).then(|| line.trim_end().to_owned())
    }

    /// The next event, comments and chunk sizes skipped; `None` at the end of the stream.
    fn next(&mut self) -> Option<Event> {
        let mut event = Event::default();
        loop {
            let line = self.line()?;
            match line.split_once(": ") {
                Some(("event", name)) => event.name = name.to_owned(),
                Some(("id", id)) => event.id = id.to_owned(),
                Some(("data", data)) => event.data = data.to_owned(),
                _ if line.is_empty() && !event.name.is_empty() => return Some(event),
                _ => {}
            }
        }
    }

    /// The next event with this name.
    fn wait(&mut self, name: &str) -> Event {
        loop {
            let event = self.next().unwrap_or_else(|| panic!("the stream ended before {name}"));
            if event.name == name {
                return event;
            }
        }
    }
}

#[test]
fn a_transfer_is_told_as_it_happens() {
    let (daemon, primary) = (Daemon::start(), Primary::start(APEX, ZONE));
    let mut stream = Stream::open(&daemon, "/events", &[ADMIN]);
    let id = daemon.create(APEX, &[primary.address()]);
    let created = stream.wait("definition");
    assert_eq!((&created.json()["zoneName"], &created.json()["change"]), (&APEX.into(), &"created".into()));
    let version = stream.wait("version").json();
    assert_eq!(
        (&version["serial"], &version["zoneId"], &version["records"]),
        (&7.into(), &id.as_str().into(), &3.into())
    );
    let attempt = stream.wait("attempt").json();
    assert_eq!((&attempt["code"], &attempt["asked"], &attempt["toSerial"]), (&"OK".into(), &"AXFR".into(), &7.into()));
    let state = stream.wait("state").json();
    assert_eq!((&state["from"], &state["to"]), (&"PROVISIONING".into(), &"AVAILABLE".into()));
}

#[test]
fn a_reader_that_comes_back_misses_nothing() {
    let daemon = Daemon::start();
    let mut stream = Stream::open(&daemon, "/events?type=definition", &[ADMIN]);
    daemon.create_dead("one.example");
    let seen = stream.wait("definition");
    drop(stream);
    daemon.create_dead("two.example");
    daemon.create_dead("three.example");
    let resumed = [ADMIN, ("Last-Event-ID", seen.id.as_str())];
    let mut stream = Stream::open(&daemon, "/events?type=definition", &resumed);
    let names: Vec<_> = (0..2).map(|_| stream.wait("definition").json()["zoneName"].clone()).collect();
    assert_eq!(names, ["two.example", "three.example"]);
}

/// An identity of an earlier life of the daemon, or one the ring no longer has.
#[test]
fn a_reader_that_has_missed_events_is_told_so() {
    let daemon = Daemon::start();
    daemon.create_dead("before.example");
    let mut stream = Stream::open(&daemon, "/events?type=definition", &[ADMIN, ("Last-Event-ID", "17")]);
    let gap = stream.next().expect("an event");
    assert_eq!(gap.name, "gap");
    assert!(gap.data.contains("/transfers"), "{gap:?}");
    assert_eq!(stream.wait("definition").json()["zoneName"], "before.example", "what the ring has follows");
}

#[test]
fn a_stream_shows_the_tenants_own_zones_and_what_was_asked_for() {
    let daemon = Daemon::start();
    let mut strangers = Stream::open(&daemon, "/events?type=definition", &[STRANGER]);
    let mut filtered = Stream::open(&daemon, "/events?type=definition&zone=wanted.example", &[ADMIN]);
    daemon.create_dead("other.example");
    daemon.create_dead("wanted.example");
    let body =
        format!(r#"{{"properties":{{"zoneName":"bobs.example","primaryIps":["127.0.1.99#{}"]}}}}"#, daemon.closed_port);
    assert_eq!(daemon.send("POST", "/secondaryzones", &[STRANGER], &body).status, 202);
    assert_eq!(strangers.wait("definition").json()["zoneName"], "bobs.example");
    assert_eq!(filtered.wait("definition").json()["zoneName"], "wanted.example");
    assert_eq!(daemon.get("/events?type=nonsense").status, 400);
    assert_eq!(daemon.send("GET", "/events", &[], "").status, 401);
}

#[test]
fn a_stopping_daemon_ends_the_streams() {
    let daemon = Daemon::start();
    let mut stream = Stream::open(&daemon, "/events?zone=nothing.example", &[ADMIN]);
    daemon.stop();
    assert!(stream.next().is_none(), "the stream ended");
}

#[test]
fn a_caller_has_sixteen_streams_and_takes_no_other_s() {
    // given
    let daemon = Daemon::start();
    let streams: Vec<Stream> = (0..16).map(|_| Stream::open(&daemon, "/events", &[ADMIN])).collect();
    // when
    let refused = daemon.get("/events");
    // then
    assert_eq!((refused.status, refused.error_code().as_str()), (429, "dns-too-many-streams"));
    assert_eq!(refused.header("retry-after"), Some("10"));
    drop(Stream::open(&daemon, "/events", &[STRANGER]));
    drop(streams);
}
