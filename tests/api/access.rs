//! Who may see and do what, and what answers nobody.

use base64::Engine;

use crate::daemon::{ADMIN, Daemon, OBSERVER, STRANGER};
use crate::golden;
use crate::rackspace::key_login;

#[test]
fn refusals_are_as_recorded() {
    golden::play(&Daemon::start(), "errors.http");
}

#[test]
fn what_needs_no_credential_is_as_recorded() {
    golden::play(&Daemon::start(), "native.http");
}

#[test]
fn zones_of_other_tenants_are_absent() {
    let daemon = Daemon::start();
    let id = daemon.create_dead("mine.example");
    for (method, path) in [
        ("GET", format!("/secondaryzones/{id}")),
        ("DELETE", format!("/secondaryzones/{id}")),
        ("GET", format!("/secondaryzones/{id}/axfr")),
        ("PUT", format!("/secondaryzones/{id}/axfr")),
        ("GET", format!("/secondaryzones/{id}/records")),
        ("GET", format!("/secondaryzones/{id}/zonefile")),
    ] {
        let reply = daemon.send(method, &path, &[STRANGER], "");
        assert_eq!((reply.status, reply.error_code().as_str()), (404, "dns-zone-not-found"), "{method} {path}");
    }
    let list = daemon.send("GET", "/secondaryzones", &[STRANGER], "").json();
    assert_eq!(list["totalCount"], 0);
    assert_eq!(daemon.get(&format!("/secondaryzones/{id}")).status, 200);
}

#[test]
fn ids_and_names_of_other_tenants_are_taken_all_the_same() {
    let daemon = Daemon::start();
    let id = daemon.create_dead("mine.example");
    let body = r#"{"properties":{"zoneName":"theirs.example","primaryIps":["127.0.0.1#5399"]}}"#;
    let reply = daemon.send("PUT", &format!("/secondaryzones/{id}"), &[STRANGER], body);
    assert_eq!((reply.status, reply.error_code().as_str()), (409, "dns-id-taken"));
    let body = r#"{"properties":{"zoneName":"mine.example","primaryIps":["127.0.0.1#5399"]}}"#;
    let reply = daemon.send("POST", "/secondaryzones", &[STRANGER], body);
    assert_eq!((reply.status, reply.error_code().as_str()), (409, "dns-zone-exists"));
}

/// Names of zones that are not public yet are nobody else's business.
#[test]
fn a_zone_that_overlaps_another_tenant_s_is_refused_without_naming_that() {
    // given
    let daemon = Daemon::start();
    daemon.create_dead("secret-merger.co.uk");
    // when
    let secondary = r#"{"properties":{"zoneName":"co.uk","primaryIps":["127.0.0.1#5399"]}}"#;
    let domain = r#"{"name":"co.uk","domain_type":"primary"}"#;
    for (path, body) in [
        ("/secondaryzones", secondary),
        ("/zones", r#"{"properties":{"zoneName":"co.uk"}}"#),
        ("/api/v1/domains", domain),
    ] {
        let reply = daemon.send("POST", path, &[STRANGER], body);
        // then
        assert_eq!(reply.status, 409, "{path}: {reply:?}");
        assert!(reply.body.contains("another tenant") && !reply.body.contains("merger"), "{path}: {reply:?}");
    }
}

#[test]
fn an_observer_reads_everything_and_writes_nothing() {
    let daemon = Daemon::start();
    let id = daemon.create_dead("watched.example");
    for path in ["", "/axfr", "/records"] {
        let reply = daemon.send("GET", &format!("/secondaryzones/{id}{path}"), &[OBSERVER], "");
        assert!(reply.status < 300, "{path}: {reply:?}");
    }
    let body = r#"{"properties":{"zoneName":"watched.example","primaryIps":["127.0.0.1#5399"]}}"#;
    let unknown = "00000000-0000-4000-8000-000000000001";
    for (method, path) in [
        ("POST", "/secondaryzones".to_owned()),
        ("PUT", format!("/secondaryzones/{id}")),
        ("PUT", format!("/secondaryzones/{unknown}")),
        ("DELETE", format!("/secondaryzones/{id}")),
        ("PUT", format!("/secondaryzones/{id}/axfr")),
    ] {
        let reply = daemon.send(method, &path, &[OBSERVER], body);
        assert_eq!((reply.status, reply.error_code().as_str()), (403, "dns-forbidden"), "{method} {path}");
    }
}

#[test]
fn what_does_not_exist_is_404_before_the_role_is_looked_at() {
    let daemon = Daemon::start();
    let reply = daemon.send("DELETE", "/secondaryzones/00000000-0000-4000-8000-000000000001", &[OBSERVER], "");
    assert_eq!(reply.status, 404);
    assert_eq!(daemon.send("DELETE", "/secondaryzones/1", &[OBSERVER], "").status, 400);
}

#[test]
fn without_credentials_only_health_readiness_and_metrics_answer() {
    let daemon = Daemon::with(|_| String::new());
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(daemon.send("GET", path, &[], "").status, 200, "{path}");
    }
    for path in ["/", "/secondaryzones", "/nothing"] {
        let reply = daemon.send("GET", path, &[ADMIN], "");
        assert_eq!(reply.status, 401, "{path}");
        assert!(reply.body.contains("[[api.credential]]"), "{reply:?}");
    }
}

#[test]
fn basic_authentication_is_read_too() {
    let daemon = Daemon::start();
    // ann:admin-token
    let reply = daemon.send("GET", "/secondaryzones", &[("Authorization", "Basic YW5uOmFkbWluLXRva2Vu")], "");
    assert_eq!(reply.status, 200);
    // otto:admin-token
    let reply = daemon.send("GET", "/secondaryzones", &[("Authorization", "Basic b3R0bzphZG1pbi10b2tlbg==")], "");
    assert_eq!(reply.status, 401);
}

/// Two credentials of one user, and before them one that has ended.
fn with_two_credentials() -> Daemon {
    Daemon::with(|_| {
        let credential = |role: &str, token: &str, more: &str| {
            format!(
                "[[api.credential]]\ntenant = \"1000\"\nuser = \"ann\"\nrole = \"{role}\"\n\
                 token = \"{token}\"\napi-key = \"{token}-key\"\n{more}\n"
            )
        };
        let ended = credential("admin", "ended", "expires = \"2020-01-01T00:00:00Z\"");
        format!("{ended}{}{}", credential("admin", "writing", ""), credential("observer", "reading", ""))
    })
}

/// A token for the secret by the login of either dialect.
fn issued(daemon: &Daemon, dialect: &str, secret: &str) -> String {
    if dialect == "ionos" {
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("ann:{secret}"));
        let basic = format!("Basic {basic}");
        let reply = daemon.send("GET", "/auth/v1/tokens/generate", &[("Authorization", &basic)], "");
        return reply.json()["token"].as_str().expect("a token").to_owned();
    }
    let reply = daemon.send("POST", "/v2.0/tokens", &[], &key_login("ann", secret));
    reply.json()["access"]["token"]["id"].as_str().expect("a token").to_owned()
}

#[test]
fn an_issued_token_may_do_what_its_credential_may_not_what_its_user_may_with_another() {
    // given
    let daemon = with_two_credentials();
    let mut tokens = Vec::new();
    for dialect in ["ionos", "rackspace"] {
        for (secret, status) in [("reading", 403), ("reading-key", 403), ("writing", 202), ("writing-key", 202)] {
            // when
            tokens.push((format!("Bearer {}", issued(&daemon, dialect, secret)), status));
        }
    }
    // then, and after a restart too
    let assert_all = |daemon: &Daemon, life: &str| {
        for (number, (token, status)) in tokens.iter().enumerate() {
            let headers = [("Authorization", token.as_str())];
            assert_eq!(daemon.send("GET", "/zones", &headers, "").status, 200);
            let body = format!(r#"{{"properties":{{"zoneName":"{life}{number}.example"}}}}"#);
            assert_eq!(daemon.send("POST", "/zones", &headers, &body).status, *status, "{life} {number}");
        }
    };
    assert_all(&daemon, "first");
    assert_all(&daemon.restart(), "second");
}
