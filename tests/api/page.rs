//! The dashboard at `/`.

use crate::daemon::Daemon;

#[test]
fn the_page_comes_without_a_credential_and_forbids_every_other_source() {
    let daemon = Daemon::start();
    let reply = daemon.send("GET", "/", &[], "");
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = reply.header("content-security-policy").expect("a policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("connect-src 'self'"), "{policy}");
    assert!(reply.body.contains("<title>secondaryd</title>"));
}
