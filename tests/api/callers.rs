//! What callers may do beside what they ask for: how often, from pages of which sites, through which proxies.

use crate::client::Reply;
use crate::daemon::{ADMIN, Daemon, STRANGER};

/// With these keys in `[api]`.
fn with(keys: &str) -> Daemon {
    Daemon::with(|_| {
        format!(
            "[api]\nnameservers = [\"ns1.example.net\"]\n{keys}\n\
             [[api.credential]]\ntenant = \"1000\"\nuser = \"ann\"\nrole = \"admin\"\ntoken = \"admin-token\"\n\
             [[api.credential]]\ntenant = \"2000\"\nuser = \"bob\"\nrole = \"admin\"\ntoken = \"stranger-token\"\n"
        )
    })
}

#[track_caller]
fn assert_limited(reply: &Reply, member: &str) {
    assert_eq!(reply.status, 429, "{reply:?}");
    let secs: u32 = reply.header("retry-after").expect("Retry-After").parse().expect("whole seconds");
    assert!((1..=60).contains(&secs));
    assert!(reply.json().get(member).is_some(), "{reply:?}");
}

/// api/README 5: 429 only with a configured limit, with Retry-After, in the shape of the dialect.
#[test]
fn the_rate_limit_counts_each_caller_by_itself() {
    let daemon = with("rate-limit = 2");
    let asked = |method: &str, headers: &[(&str, &str)], path: &str| {
        (0..50).map(|_| daemon.send(method, path, headers, "")).find(|reply| reply.status == 429).expect("limited")
    };
    let until_limited = |headers: &[(&str, &str)], path: &str| asked("GET", headers, path);
    assert_limited(&until_limited(&[ADMIN], "/zones"), "messages");
    assert_limited(&until_limited(&[ADMIN], "/api/v1/domains"), "detail");
    assert_eq!(daemon.send("GET", "/zones", &[STRANGER], "").status, 200, "another caller");
    let problem = until_limited(&[ADMIN, ("Accept", "application/problem+json")], "/zones");
    assert_limited(&problem, "errors");
    let rackspace = until_limited(&[("X-Auth-Token", "admin-token")], "/v1.0/1000/domains");
    assert_limited(&rackspace, "code");
    // Without a credential the address is counted, so that nobody can guess tokens for ever.
    assert_limited(&until_limited(&[("Authorization", "Bearer guess")], "/zones"), "messages");
    assert_limited(&asked("POST", &[], "/v2.0/tokens"), "badRequest");
    assert_limited(&until_limited(&[("Authorization", "Bearer guess")], "/health/zones"), "messages");
    for _ in 0..5 {
        assert_eq!(daemon.send("GET", "/healthz", &[], "").status, 200, "monitoring is not counted");
    }
}

#[test]
fn without_a_limit_nobody_is_told_to_wait() {
    let daemon = with("");
    for _ in 0..50 {
        assert_eq!(daemon.get("/zones").status, 200);
    }
}

/// The CORS protocol of the Fetch standard.
#[test]
fn pages_of_listed_origins_may_read_answers_and_no_others() {
    let daemon = with("cors-origins = [\"https://console.example\"]");
    let preflight = |origin: &str| {
        let fields = [("Origin", origin), ("Access-Control-Request-Method", "PUT")];
        daemon.send("OPTIONS", "/zones", &fields, "")
    };
    let allowed = preflight("https://console.example");
    assert_eq!((allowed.status, allowed.header("access-control-allow-origin")), (204, Some("https://console.example")));
    assert!(allowed.header("access-control-allow-headers").is_some_and(|fields| fields.contains("authorization")));
    assert!(allowed.header("access-control-allow-methods").is_some_and(|methods| methods.contains("DELETE")));
    assert_eq!(allowed.header("access-control-allow-credentials"), None);
    let other = preflight("https://evil.example");
    assert_eq!((other.status, other.header("access-control-allow-origin")), (401, None));
    let read = daemon.send("GET", "/zones", &[ADMIN, ("Origin", "https://console.example")], "");
    assert_eq!((read.status, read.header("access-control-allow-origin")), (200, Some("https://console.example")));
    assert_eq!(read.header("vary"), Some("origin"));
    let refused = daemon.send("GET", "/zones", &[("Origin", "https://console.example")], "");
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (401, Some("https://console.example")));
}

#[test]
fn by_default_no_page_of_another_site_may_read_anything() {
    let daemon = with("");
    let fields = [ADMIN, ("Origin", "https://console.example"), ("Access-Control-Request-Method", "PUT")];
    let preflight = daemon.send("OPTIONS", "/zones", &fields, "");
    assert_eq!((preflight.status, preflight.header("access-control-allow-origin")), (405, None));
    let read = daemon.send("GET", "/zones", &fields, "");
    assert_eq!((read.header("access-control-allow-origin"), read.header("vary")), (None, None));
}

/// api/README 6: links have the scheme of `X-Forwarded-Proto` when the peer is a trusted proxy.
#[test]
fn only_trusted_proxies_set_the_scheme_of_links() {
    let fields = [ADMIN, ("Host", "dns.example"), ("X-Forwarded-Proto", "https")];
    let this = |daemon: &Daemon| daemon.send("GET", "/zones", &fields, "").json()["_links"]["self"].clone();
    assert_eq!(this(&with("")), "http://dns.example/zones?offset=0&limit=100");
    assert_eq!(this(&with("trusted-proxies = [\"127.0.0.1\"]")), "https://dns.example/zones?offset=0&limit=100");
}

#[test]
fn behind_a_trusted_proxy_each_client_is_counted_by_itself() {
    let daemon = with("rate-limit = 1\ntrusted-proxies = [\"127.0.0.1\"]");
    let guess = |client: &str| {
        let fields = [("Authorization", "Bearer guess"), ("X-Forwarded-For", client)];
        daemon.send("GET", "/zones", &fields, "").status
    };
    assert!((0..50).any(|_| guess("198.51.100.1") == 429));
    assert_eq!(guess("198.51.100.2"), 401);
}
