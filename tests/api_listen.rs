//! Where the API listens, through the built programs: HTTPS with a certificate that changes under it, and UNIX sockets.

mod harness;

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::Output;
use std::time::Duration;

use harness::certificates::{Authority, VALID, write};
use harness::daemon::Secondaryd;
use harness::{address, wait};

/// Longer than the daemon's own limits.
const PATIENCE: Duration = Duration::from_secs(60);

#[track_caller]
fn assert_ok(output: &Output) {
    assert!(output.status.success(), "{output:?}");
}

#[track_caller]
fn assert_refused(output: &Output, part: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains(part), "{output:?}");
}

/// A daemon with HTTPS under a certificate of `authority`.
fn over_tls(authority: &Authority) -> (Secondaryd, SocketAddr) {
    let at = address::ipv4();
    let mut daemon = Secondaryd::reserve();
    let pair = authority.signs(&["127.0.0.1", &at.ip().to_string()], VALID);
    write(daemon.directory(), "api.pem", &pair.certificate);
    write(daemon.directory(), "api.key", &pair.key);
    write(daemon.directory(), "ca.pem", &authority.certificate);
    daemon.set_api(&format!("listen-tls = [\"{at}\"]\ntls-cert = \"api.pem\"\ntls-key = \"api.key\"\n"));
    (daemon.started(), at)
}

#[test]
fn https_is_answered_under_the_certificate_of_the_last_reload() {
    // given
    let first = Authority::new("first");
    let (daemon, at) = over_tls(&first);
    let url = format!("https://{at}");
    let ca = daemon.directory().join("ca.pem");
    let ca = ca.to_str().expect("a plain name");

    // then
    assert_ok(&daemon.ctl_at(&url, &["--ca", ca, "zones"]));
    assert_refused(&daemon.ctl_at(&url, &["zones"]), "does not answer");
    assert_refused(&daemon.ctl(&["--ca", ca, "zones"]), "--ca is for https://");

    // when the certificate is renewed by another authority
    let second = Authority::new("second");
    let pair = second.signs(&[&at.ip().to_string()], VALID);
    write(daemon.directory(), "api.pem", &pair.certificate);
    write(daemon.directory(), "api.key", &pair.key);
    let other = write(daemon.directory(), "other.pem", &second.certificate);
    daemon.reload();

    // then
    wait::until_true("the new certificate is shown", PATIENCE, || {
        daemon.ctl_at(&url, &["--ca", other.to_str().expect("a plain name"), "zones"]).status.success()
    });
    assert_refused(&daemon.ctl_at(&url, &["--ca", ca, "zones"]), "does not answer");

    // when a reload finds a key that does not belong to it
    write(daemon.directory(), "api.key", &first.signs(&["x.example"], VALID).key);
    let before = daemon.log().matches("configuration not reloaded").count();
    daemon.hang_up();
    wait::until_true("the reload is refused", PATIENCE, || {
        daemon.log().matches("configuration not reloaded").count() > before
    });

    // then the old one stays
    assert_ok(&daemon.ctl_at(&url, &["--ca", other.to_str().expect("a plain name"), "zones"]));
}

/// A handshake has ten seconds.
#[test]
fn a_client_that_does_not_shake_hands_is_dropped() {
    let (_daemon, at) = over_tls(&Authority::new("authority"));
    let mut silent = TcpStream::connect(at).expect("connected");
    silent.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    assert_eq!(silent.read(&mut [0]).expect("closed, not timed out"), 0);
}

#[test]
fn one_address_cannot_take_every_connection() {
    let daemon = Secondaryd::reserve().started();
    let connect = || {
        let stream = TcpStream::connect(daemon.api()).expect("the kernel takes it");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream
    };
    let kept: Vec<TcpStream> = (0..256).map(|_| connect()).collect();
    let mut answer = String::new();
    connect().read_to_string(&mut answer).expect("closed by the daemon");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.to_ascii_lowercase().contains("\r\nretry-after: "), "{answer}");
    drop(kept);
    wait::until_true("places are free again", PATIENCE, || daemon.call("GET", "/healthz").is_ok());
}

#[test]
fn a_unix_socket_has_its_mode_and_goes_with_the_daemon() {
    // given
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("api.sock");
    let url = format!("unix:{}", path.display());
    let mut daemon = Secondaryd::reserve().api_listening_at(&url);
    daemon.set_api("socket-mode = \"600\"\n");
    daemon.start();

    // then
    assert_eq!(path.metadata().expect("there").permissions().mode() & 0o777, 0o600);
    assert_ok(&daemon.ctl_at(&url, &["zones"]));
    let health = daemon.ctl_at(&url, &["--json", "health"]);
    assert_ok(&health);
    assert_refused(&daemon.ctl_at("unix:relative", &["zones"]), "unix:/path");

    // when it was killed, the socket is left behind, and the next start takes it over
    daemon.kill();
    assert!(path.exists());
    daemon.start();
    assert_ok(&daemon.ctl_at(&url, &["zones"]));
    assert!(daemon.stop().success());
    assert!(!path.exists());
}
