//! `/limits`: how much there may be. Wrapped for the clients that read it so, and plain as the documentation shows it.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response as Reply;
use serde::Serialize;

use super::call::Call;
use super::shown::Date;
use super::xml::{Shown, Xml};
use crate::api::Api;
use crate::api::auth::Caller;
use crate::api::fault::{ErrorCode, Fault};
use crate::api::rate::Allowance;
use crate::api::request::segment;
use crate::time::Timestamp;

#[derive(Serialize)]
struct Limits {
    limits: Wrapped,
    rates: Rates,
    absolute: Absolute,
}

#[derive(Serialize)]
struct Wrapped {
    rate: Vec<Rate>,
    absolute: Numbers,
}

#[derive(Serialize)]
struct Numbers {
    domains: usize,
    #[serde(rename = "records per domain")]
    records: usize,
}

/// How many requests may come in a time; none unless `[api] rate-limit` is set.
#[derive(Serialize)]
struct Rates {
    rate: Vec<Rate>,
}

#[derive(Clone, Serialize)]
struct Rate {
    uri: &'static str,
    regex: &'static str,
    limit: Vec<OfVerb>,
}

#[derive(Clone, Serialize)]
struct OfVerb {
    verb: &'static str,
    value: u32,
    unit: &'static str,
    remaining: u32,
    #[serde(rename = "next-available")]
    next: Date,
}

/// One limit counts all verbs together; clients look for theirs.
fn rates(api: &Api, caller: &Caller, now: Timestamp) -> Vec<Rate> {
    let of_verbs = |allowance: Allowance| {
        let limit = ["GET", "POST", "PUT", "DELETE"].map(|verb| OfVerb {
            verb,
            value: allowance.per_second,
            unit: "SECOND",
            remaining: allowance.remaining,
            next: Date(now + allowance.wait),
        });
        Rate { uri: "*", regex: ".*", limit: limit.to_vec() }
    };
    api.allowance(caller).map(of_verbs).into_iter().collect()
}

#[derive(Serialize)]
struct Absolute {
    limit: Vec<Limit>,
}

#[derive(Serialize)]
struct Limit {
    name: &'static str,
    value: usize,
}

impl Shown for Rates {
    fn xml(&self, out: &mut Xml) {
        out.element("rates", |out| {
            for Rate { uri, regex, limit } in &self.rate {
                out.element("rate", |out| {
                    out.text("uri", uri);
                    out.text("regex", regex);
                    for OfVerb { verb, value, unit, remaining, next } in limit {
                        let (value, remaining, next) = (value.to_string(), remaining.to_string(), next.plain());
                        let numbers = [("value", &*value), ("unit", unit), ("remaining", &*remaining)];
                        out.empty("limit", &[&[("verb", *verb)][..], &numbers, &[("next-available", &*next)]].concat());
                    }
                });
            }
        });
    }
}

impl Shown for Absolute {
    fn xml(&self, out: &mut Xml) {
        out.element("absolute", |out| {
            for Limit { name, value } in &self.limit {
                out.empty("limit", &[("name", name), ("value", &value.to_string())]);
            }
        });
    }
}

impl Shown for Limits {
    fn xml(&self, out: &mut Xml) {
        out.element("limits", |out| {
            self.rates.xml(out);
            self.absolute.xml(out);
        });
    }
}

/// `{"rates":..}` or `{"absolute":..}`.
#[derive(Serialize)]
struct OfType {
    #[serde(skip_serializing_if = "Option::is_none")]
    rates: Option<Rates>,
    #[serde(skip_serializing_if = "Option::is_none")]
    absolute: Option<Absolute>,
}

impl Shown for OfType {
    fn xml(&self, out: &mut Xml) {
        out.element("limits", |out| {
            if let Some(rates) = &self.rates {
                rates.xml(out);
            }
            if let Some(absolute) = &self.absolute {
                absolute.xml(out);
            }
        });
    }
}

const DOMAINS: &str = "domains";
const RECORDS: &str = "records per domain";

fn absolute(api: &Api, wanted: &[&'static str]) -> Absolute {
    let quota = &api.settings().quota;
    let value = |name: &str| if name == DOMAINS { quota.zones } else { quota.records };
    Absolute { limit: wanted.iter().map(|name| Limit { name, value: value(name) }).collect() }
}

/// GET `/limits`.
pub(super) async fn read(State(api): State<Arc<Api>>, caller: Caller, call: Call) -> Reply {
    let quota = api.settings().quota.clone();
    let rate = rates(&api, &caller, Timestamp::now());
    call.ok(&Limits {
        limits: Wrapped { rate: rate.clone(), absolute: Numbers { domains: quota.zones, records: quota.records } },
        rates: Rates { rate },
        absolute: absolute(&api, &[DOMAINS, RECORDS]),
    })
}

#[derive(Serialize)]
struct Types {
    #[serde(rename = "limitTypes")]
    types: [&'static str; 3],
}

impl Shown for Types {
    fn xml(&self, out: &mut Xml) {
        out.element("limitTypes", |out| self.types.iter().for_each(|name| out.text("type", name)));
    }
}

/// GET `/limits/types`.
pub(super) async fn types(call: Call) -> Reply {
    call.ok(&Types { types: ["RATE_LIMIT", "DOMAIN_LIMIT", "DOMAIN_RECORD_LIMIT"] })
}

/// GET `/limits/{type}`, in any case of letters.
pub(super) async fn of_type(
    State(api): State<Arc<Api>>,
    caller: Caller,
    call: Call,
    request: Request,
) -> Result<Reply, Fault> {
    let (mut parts, _) = request.into_parts();
    let name = segment(&mut parts, &api, "type").await.to_ascii_lowercase();
    let of = |names: &[&'static str]| OfType { rates: None, absolute: Some(absolute(&api, names)) };
    let found = match name.as_str() {
        "rate_limit" => OfType { rates: Some(Rates { rate: rates(&api, &caller, Timestamp::now()) }), absolute: None },
        "domain_limit" => of(&[DOMAINS]),
        "domain_record_limit" => of(&[RECORDS]),
        _ => return Err(Fault::new(ErrorCode::PathNotFound, "There is no limit of this type.")),
    };
    Ok(call.answer(StatusCode::OK, &found))
}
