//! The Rackspace dialect: the login of its Identity, and the shape of its faults.

use serde_json::json;

use crate::daemon::Daemon;

const TOKENS: &str = "/v2.0/tokens";

fn key_login(user: &str, key: &str) -> String {
    json!({"auth": {"RAX-KSKEY:apiKeyCredentials": {"username": user, "apiKey": key}}}).to_string()
}

#[test]
fn a_login_gives_a_token_last_and_one_endpoint_without_region() {
    let daemon = Daemon::start();
    let reply = daemon.send("POST", TOKENS, &[], &key_login("ann", "admin-token"));
    assert_eq!(reply.status, 200, "{reply:?}");
    let (start, end) = (r#"{"access":{"serviceCatalog":[{"endpoints":[{"tenantId":"1000","publicURL":"#, "}}}}");
    assert!(reply.body.starts_with(start) && reply.body.ends_with(end), "{reply:?}");
    assert!(reply.body.contains(r#""token":{"expires":"#) && !reply.body.contains("region"), "{reply:?}");
    let token = reply.json()["access"]["token"]["id"].as_str().expect("a token").to_owned();
    // It holds in the other dialects.
    assert_eq!(daemon.send("GET", "/zones", &[("Authorization", &format!("Bearer {token}"))], "").status, 200);
    let below = daemon.send("GET", "/v1.0/1000/domains", &[("X-Auth-Token", &token)], "");
    assert_eq!((below.status, below.json()["code"].clone()), (404, json!(404)));
    assert!(below.json()["message"].is_string() && below.json()["details"].is_string());
}

#[test]
fn a_wrong_login_is_401_and_an_unreadable_one_400() {
    let daemon = Daemon::start();
    let message = "Unable to authenticate user with credentials provided.";
    let unauthorized = json!({"unauthorized": {"code": 401, "message": message}});
    let foreign = r#"{"auth":{"passwordCredentials":{"username":"ann","password":"admin-token"},"tenantId":"2000"}}"#;
    for body in [&key_login("ann", "wrong"), &key_login("bob", "admin-token"), foreign] {
        let reply = daemon.send("POST", TOKENS, &[], body);
        assert_eq!((reply.status, reply.json()), (401, unauthorized.clone()));
    }
    let reply = daemon.send("POST", TOKENS, &[], "{");
    assert!(reply.status == 400 && reply.json()["badRequest"]["code"] == 400, "{reply:?}");
    let reply = daemon.send("GET", "/v1.0/1000/domains", &[("X-Auth-Token", "wrong")], "");
    assert_eq!((reply.status, reply.json()["code"].clone()), (401, json!(401)));
}
