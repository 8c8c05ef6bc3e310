//! The steps of the shell client acme.sh (its `dns_rackspace`), which cannot be fetched here: it reads replies with `grep`,
//! `tr` and `sed`, so the order of members and the absence of blanks are part of what it needs.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::client;
use crate::daemon::Daemon;

/// What `script` makes of `reply` on its standard input.
fn shell(reply: &str, script: &str) -> String {
    let mut child =
        Command::new("sh").args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a shell");
    let mut input = child.stdin.take().expect("a pipe");
    writeln!(input, "{reply}").expect("it reads");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    String::from_utf8(output.stdout).expect("UTF-8").trim_end().to_owned()
}

#[test]
fn acme_sh_finds_sets_and_removes_its_challenge() {
    let daemon = Daemon::start();
    let ask = |method: &str, target: &str, token: &str, body: &str| {
        let headers = [
            ("Accept", "application/json"),
            ("X-Auth-Token", token),
            ("X-Project-Id", "1000"),
            ("Content-Type", "application/json"),
        ];
        client::send(daemon.api, method, target, &headers, body.as_bytes()).body
    };
    // Blanks within members are taken out of the login before it is cut.
    let login = json!({"auth": {"RAX-KSKEY:apiKeyCredentials": {"username": "ann", "apiKey": "admin-token"}}});
    let answer = ask("POST", "/v2.0/tokens", "", &login.to_string());
    let cut =
        |expression: &str| shell(&answer, &format!(r#"sed 's/" *: *\(["{{\[]\)/":\1/g' | sed -n '{expression}'"#));
    let token = cut(r#"s/^.*"token":{.*,"id":"\([^"]*\)",".*/\1/p"#);
    let tenant = cut(r#"s/^.*"token":{.*,"id":"\([^"]*\)"}.*/\1/p"#);
    assert_eq!((token.len(), tenant.as_str()), (43, "1000"), "{answer}");

    let domains = json!({"domains": [
        {"name": "example.com", "emailAddress": "a@example.com", "comment": "with a comment"},
        {"name": "not-example.com", "emailAddress": "a@example.com"}]});
    ask("POST", "/v1.0/1000/domains", &token, &domains.to_string());
    let full = "_acme-challenge.www.example.com";
    let zone = ["www.example.com", "example.com"].into_iter().find_map(|part| {
        let answer = ask("GET", &format!("/v1.0/{tenant}/domains/search?name={part}"), &token, "");
        if !answer.contains(&format!("\"name\":\"{part}\"")) {
            return None;
        }
        let expression = format!(r#"s/^.*"id":"\([^,]*\)","accountId":"[0-9]*","name":"{part}",.*/\1/p"#);
        Some(shell(&answer, &format!("sed -n '{expression}'")))
    });
    let zone = zone.expect("a zone");
    assert_eq!(zone, "1000002");

    let records = format!("/v1.0/{tenant}/domains/{zone}/records");
    for text in ["first-challenge", "second_challenge"] {
        let body = format!(r#"{{"records":[{{"name":"{full}","type":"TXT","data":"{text}","ttl":300}}]}}"#);
        assert!(ask("POST", &records, &token, &body).contains(text), "the reply names what was sent");
    }
    let find = |text: &str| {
        let answer = ask("GET", &format!("{records}?name={full}&type=TXT"), &token, "");
        let pipe = format!(r#"tr '{{' "\n" | grep '"data":"{text}"' | sed -n 's/^.*"id":"\([^"]*\)".*/\1/p'"#);
        shell(&answer, &pipe)
    };
    let (first, second) = (find("first-challenge"), find("second_challenge"));
    assert!(first.starts_with("TXT-") && second.starts_with("TXT-") && first != second);
    assert!(ask("DELETE", &format!("{records}?id={first}"), &token, "").contains("RUNNING"));
    assert_eq!((find("first-challenge"), find("second_challenge")), (String::new(), second));
}
