//! Bodies of the Rackspace dialect, in JSON; in XML elements are named after the members.

use serde_json::{Value, json};

use super::{array, count, date, flag, nullable, object, reference, serial, text, uuid, words};

pub(super) fn schemas() -> Value {
    let mut all = identity();
    if let (Value::Object(all), Value::Object(more)) = (&mut all, cloud_dns()) {
        all.extend(more);
    }
    all
}

fn identity() -> Value {
    let fault = || object(&["code", "message"], json!({"code": count(), "message": text()}));
    let service = object(
        &["endpoints", "name", "type"],
        json!({
            "endpoints": array(object(&["tenantId", "publicURL"], json!({"tenantId": text(), "publicURL": text()}))),
            "name": text(), "type": text(),
        }),
    );
    let role = object(&["name", "description", "id"], json!({"name": text(), "description": text(), "id": text()}));
    let token = object(
        &["expires", "id", "tenant"],
        json!({
            "expires": date(), "RAX-AUTH:issued": date(), "RAX-AUTH:authenticatedBy": array(text()), "id": text(),
            "tenant": object(&["name", "id"], json!({"name": text(), "id": text()})),
        }),
    );
    let key = object(&["username", "apiKey"], json!({"username": text(), "apiKey": text()}));
    let password = object(&["username", "password"], json!({"username": text(), "password": text()}));
    json!({
        "IdentityFault": {"anyOf": [
            object(&["unauthorized"], json!({"unauthorized": fault()})),
            object(&["badRequest"], json!({"badRequest": fault()})),
        ]},
        "IdentityRequest": object(&["auth"], json!({"auth": object(&[], json!({
            "RAX-KSKEY:apiKeyCredentials": key, "passwordCredentials": password,
            "tenantId": nullable("string"), "tenantName": nullable("string"),
        }))})),
        "Access": object(&["access"], json!({"access": object(&["serviceCatalog", "user", "token"], json!({
            "serviceCatalog": array(service),
            "user": object(&["roles", "name", "id"], json!({"roles": array(role), "name": text(), "id": text()})),
            "token": token,
        }))})),
    })
}

fn cloud_dns() -> Value {
    let links =
        || array(object(&["content", "href", "rel"], json!({"content": text(), "href": text(), "rel": text()})));
    let subdomains = object(
        &["domains", "totalEntries"],
        json!({
            "domains": array(reference("RackspaceDomain")), "totalEntries": count(), "links": links(),
        }),
    );
    let server = object(&["name"], json!({"name": text()}));
    json!({
        "RackspaceFault": object(&["message", "code", "details"], json!({
            "message": text(), "code": count(), "details": text(),
            "validationErrors": object(&["messages"], json!({"messages": array(text())})),
        })),
        "RackspaceJob": object(&["status", "jobId", "callbackUrl"], json!({
            "request": text(), "status": words(["RUNNING", "COMPLETED", "ERROR"]), "response": {"type": "object"},
            "error": {"type": "object"}, "verb": text(), "jobId": uuid(), "callbackUrl": text(), "requestUrl": text(),
        })),
        "RackspaceRecord": object(&["name", "id", "type", "data", "updated", "ttl", "created"], json!({
            "name": text(), "priority": {"type": "integer", "minimum": 0, "maximum": u16::MAX}, "id": text(),
            "type": text(), "comment": text(), "data": text(), "updated": text(), "ttl": serial(), "created": text(),
            "enabled": flag(),
        })),
        "RackspaceRecordList": object(&["totalEntries", "records"], json!({
            "totalEntries": count(), "records": array(reference("RackspaceRecord")), "links": links(),
        })),
        "RackspaceDomain": object(&["id", "accountId", "name", "updated", "created", "ttl", "emailAddress"], json!({
            "id": text(), "accountId": text(), "name": text(), "comment": text(), "updated": text(), "created": text(),
            "ttl": serial(), "emailAddress": text(), "nameservers": array(server),
            "recordsList": reference("RackspaceRecordList"), "subdomains": subdomains,
            "kind": {"const": "secondary"}, "transferState": reference("State"),
        })),
        "RackspaceDomainList": object(&["totalEntries", "domains"], json!({
            "totalEntries": count(), "domains": array(reference("RackspaceDomain")), "links": links(),
        })),
    })
}
