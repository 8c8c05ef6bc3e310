//! Bounds of what a request may cost; each refusal names the bound.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::client;
use crate::daemon::{ADMIN, Daemon};
use crate::harness::wait;

const BODY_OCTETS_MAX: usize = 64 * 1024; // [api] max-body of the test's configuration

#[test]
fn a_body_of_the_allowed_size_is_read_and_one_octet_more_is_not() {
    let daemon = Daemon::start();
    let body = |octets: usize| {
        let start = r#"{"properties":{"description":""#;
        let filling = octets - start.len() - r#""}}"#.len();
        format!(r#"{start}{}"}}}}"#, "x".repeat(filling))
    };
    let reply = daemon.send("POST", "/secondaryzones", &[ADMIN], &body(BODY_OCTETS_MAX));
    assert_eq!(reply.status, 400, "{reply:?}");
    let reply = daemon.send("POST", "/secondaryzones", &[ADMIN], &body(BODY_OCTETS_MAX + 1));
    assert_eq!((reply.status, reply.error_code().as_str()), (413, "dns-body-too-large"));
    assert!(reply.body.contains("65536") && reply.body.contains("max-body"), "{reply:?}");
}

/// RFC 9110 §8.6 lets a body come without a length; it is counted as it comes.
#[test]
fn a_chunked_body_is_bounded_too() {
    let daemon = Daemon::start();
    let mut request = b"POST /secondaryzones HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\
        Authorization: Bearer admin-token\r\nTransfer-Encoding: chunked\r\n\r\n"
        .to_vec();
    for _ in 0..33 {
        request.extend_from_slice(b"800\r\n");
        request.extend_from_slice(&[b' '; 0x800]);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    let reply = client::raw(daemon.api, &request);
    assert_eq!((reply.status, reply.error_code().as_str()), (413, "dns-body-too-large"));
}

/// RFC 9110 §10.1.1: a client that expects 100-continue gets the final status without sending the body.
#[test]
fn a_client_that_asks_first_is_told_before_it_sends() {
    let daemon = Daemon::start();
    let request = b"POST /secondaryzones HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\
        Authorization: Bearer admin-token\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n";
    assert_eq!(client::raw(daemon.api, request).status, 413);
}

#[test]
fn long_headers_and_targets_are_refused_by_name() {
    let daemon = Daemon::start();
    let reply = daemon.send("GET", "/secondaryzones", &[ADMIN, ("X-Long", &"x".repeat(20_000))], "");
    assert_eq!((reply.status, reply.error_code().as_str()), (431, "dns-headers-too-large"));
    assert!(reply.body.contains("16384"), "{reply:?}");
    let reply = daemon.get(&format!("/secondaryzones?x={}", "x".repeat(9_000)));
    assert_eq!((reply.status, reply.error_code().as_str()), (414, "dns-uri-too-long"));
    assert!(reply.body.contains("8192"), "{reply:?}");
    // What hyper does not even buffer has no body.
    let huge = format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "x".repeat(200_000));
    assert_eq!(client::raw(daemon.api, huge.as_bytes()).status, 431);
}

#[test]
fn what_is_no_http_gets_400_and_hurts_nobody() {
    let daemon = Daemon::start();
    assert_eq!(client::raw(daemon.api, b"\x16\x03\x01 hello\r\n\r\n").status, 400);
    assert_eq!(daemon.get("/healthz").status, 200);
}

#[test]
fn a_connection_serves_several_requests() {
    let daemon = Daemon::start();
    let mut stream = TcpStream::connect(daemon.api).expect("connected");
    let request = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n";
    stream.write_all(&request.repeat(3)).expect("sent");
    stream.shutdown(std::net::Shutdown::Write).expect("half closed");
    let mut answers = String::new();
    stream.read_to_string(&mut answers).expect("read");
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 3, "{answers}");
}

#[test]
fn a_waiting_request_ends_when_the_daemon_stops() {
    let daemon = Daemon::start();
    let id = daemon.create_dead("stop.example");
    let settled = daemon.await_status(&id, |status| status["items"][0]["status"] == "ERROR");
    let tag = format!("\"g{}\"", settled["generation"]);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let headers = [ADMIN, ("If-None-Match", tag.as_str()), ("Prefer", "wait=60")];
            daemon.send("GET", &format!("/secondaryzones/{id}/axfr"), &headers, "").status
        });
        // Whether the request is there already or comes too late, it must not wait for its 60 s; the client would
        // lose its patience after 20 and panic.
        daemon.get("/healthz");
        daemon.stop();
        match waiting.join() {
            Ok(status) => assert_eq!(status, 304),
            Err(_) => assert!(TcpStream::connect(daemon.api).is_err(), "refused because it came too late"),
        }
    });
}

#[test]
fn a_connection_too_many_of_one_address_is_answered_and_asked_to_come_again() {
    // given
    let daemon = Daemon::start();
    let open = || TcpStream::connect(daemon.api).expect("connected");
    let held: Vec<TcpStream> = (0..256).map(|_| open()).collect();
    // when: the client sends before it reads, as most do
    let refused = client::send(daemon.api, "GET", "/healthz", &[], b"");
    // then
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("10")), "{refused:?}");
    drop(held);
    wait::until_true("there is room again", wait::SOON, || {
        client::send(daemon.api, "GET", "/healthz", &[], b"").status == 200
    });
}
