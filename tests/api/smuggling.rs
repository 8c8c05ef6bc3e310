//! Requests whose end two readers could see at different places, and such that never end: refused, the connection closed,
//! and what hides behind them is not taken for a request.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::daemon::Daemon;

const LOGIN: &str = "Host: h\r\nAuthorization: Bearer admin-token\r\n";
/// What stands behind the bad request: it would make a zone.
const HIDDEN: &str = "POST /zones HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer admin-token\r\nContent-Length: 46\r\n\r\n\
    {\"properties\":{\"zoneName\":\"smuggled.example\"}}";

/// The status lines of everything that is answered on one connection.
fn statuses(daemon: &Daemon, octets: &[u8]) -> Vec<u16> {
    let mut stream = TcpStream::connect(daemon.api).expect("the API listens");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    // The daemon may close before it has read all.
    let _ = stream.write_all(octets);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer).into_owned();
    text.match_indices("HTTP/1.1 ").filter_map(|(at, _)| text.get(at + 9..at + 12)?.parse().ok()).collect()
}

fn zones(daemon: &Daemon) -> u64 {
    daemon.get("/zones").json()["totalCount"].as_u64().expect("a number")
}

#[test]
fn two_lengths_are_refused_and_nothing_behind_them_is_read() {
    let daemon = Daemon::start();
    let body = "{\"properties\":{\"zoneName\":\"first.example\"}}";
    for (name, fields) in [
        ("CL.TE", "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n"),
        ("CL.CL", "Content-Length: 42\r\nContent-Length: 0\r\n"),
        ("CL,CL", "Content-Length: 42, 0\r\n"),
        ("CL +", "Content-Length: +42\r\n"),
        ("CL hex", "Content-Length: 0x2a\r\n"),
        ("CL -", "Content-Length: -1\r\n"),
        ("TE not last", "Transfer-Encoding: chunked, identity\r\n"),
        ("TE unknown", "Transfer-Encoding: cow\r\n"),
        ("blank before the colon", "Content-Length : 42\r\n"),
        ("folded", "X-A: b\r\n Content-Length: 42\r\n"),
        ("no colon", "Content-Length 42\r\n"),
        ("NUL", "X-A: a\0b\r\n"),
        ("bare CR", "X-A: a\rContent-Length: 42\r\n"),
    ] {
        let request = format!("POST /zones HTTP/1.1\r\n{LOGIN}{fields}\r\n{body}{HIDDEN}");
        assert_eq!(statuses(&daemon, request.as_bytes()), [400], "{name}");
        assert_eq!(zones(&daemon), 0, "{name}");
    }
}

/// RFC 9112 §6.3: "Transfer-Encoding overrides the Content-Length". Where the length comes behind, the HTTP library has dropped
/// it; the chunks alone decide, so what is hidden is no request of its own.
#[test]
fn chunks_win_over_a_length_behind_them() {
    let daemon = Daemon::start();
    let chunk = format!("{:x}\r\n{HIDDEN}\r\n0\r\n\r\n", HIDDEN.len());
    let request =
        format!("POST /zones HTTP/1.1\r\n{LOGIN}Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n{chunk}");
    assert_eq!(statuses(&daemon, request.as_bytes()), [400]);
    assert_eq!(zones(&daemon), 0);
}

#[test]
fn chunks_that_are_none_are_refused() {
    let daemon = Daemon::start();
    for chunks in [
        "zz\r\n{}\r\n0\r\n\r\n",
        "-1\r\n{}\r\n0\r\n\r\n",
        "fffffffffffffffff\r\n{}\r\n",
        "2\r\n{}0\r\n\r\n",
        "2\n{}\r\n0\r\n\r\n",
        " 2\r\n{}\r\n0\r\n\r\n",
        "5\r\n{}",
        "\r\n\r\n",
    ] {
        let request = format!("POST /zones HTTP/1.1\r\n{LOGIN}Transfer-Encoding: chunked\r\n\r\n{chunks}{HIDDEN}");
        let answered = statuses(&daemon, request.as_bytes());
        assert!(answered.len() <= 1 && answered.iter().all(|status| *status == 400), "{chunks:?}: {answered:?}");
        assert_eq!(zones(&daemon), 0, "{chunks:?}");
    }
}

/// A body that stops coming is given up, and said so; what has come is not used.
#[test]
fn a_body_that_does_not_come_is_408() {
    let daemon = Daemon::start();
    let started = Instant::now();
    let mut stream = TcpStream::connect(daemon.api).expect("the API listens");
    let body = "{\"properties\":{\"zoneName\":\"slow.example\"}}";
    let head = format!("POST /zones HTTP/1.1\r\n{LOGIN}Content-Length: {}\r\n\r\n", body.len() + 1);
    stream.write_all(format!("{head}{body}").as_bytes()).expect("the API reads");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the API answers and closes");
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("dns-request-timeout") && answer.contains("30 s"), "{answer}");
    assert!(started.elapsed() >= Duration::from_secs(29), "it was waited for");
    assert_eq!(zones(&daemon), 0);
}
