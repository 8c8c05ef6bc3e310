//! `/secondaryzones/{id}/axfr/history`: what became of every attempt at the zone's primaries, newest first.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Extension;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;
use uuid::Uuid;

use super::attempt::AttemptItem;
use crate::api::Api;
use crate::api::fault::{ErrorCode, Fault};
use crate::api::ionos::collection::{self, Address, Links};
use crate::api::ionos::json;
use crate::api::query::Params;
use crate::api::request::Zone;
use crate::api::serve::Ends;
use crate::config::peer_address;
use crate::control::definition::Primary;
use crate::control::history::Attempt;
use crate::reason::{Code, StatusWord};
use crate::refresh::TransferKind;
use crate::time::Timestamp;

const FILTERS: [&str; 6] = ["code", "status", "primary", "kind", "since", "until"];

/// GET `/secondaryzones/{id}/axfr/history`.
pub(super) async fn read(
    State(api): State<Arc<Api>>,
    zone: Zone,
    ends: Option<Extension<ConnectInfo<Ends>>>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let settings = api.settings();
    let page = collection::page(&params)?;
    let filter = Filter::read(&params, settings.primary_port)?;
    let address = Address {
        base: settings.base_url(&headers, ends.map(|ends| ends.0.0)),
        path: format!("/secondaryzones/{}/axfr/history", zone.view.uuid),
        filters: collection::given(&params, &FILTERS)?,
        page,
    };
    let attempts = of(&api, &zone).await?;
    let fitting: Vec<_> = attempts.iter().filter(|attempt| filter.holds(attempt)).collect();
    let spelled = |at: SocketAddr| Primary::at(at).spelled(settings.primary_port);
    let items = fitting.iter().skip(page.offset).take(page.limit);
    let href = address.href();
    let body = List {
        id: collection::id_of_url(&href),
        r#type: "collection",
        href,
        zone_id: zone.view.uuid,
        zone_name: zone.view.name.without_dot(),
        items: items.map(|attempt| AttemptItem::new(attempt, spelled(attempt.primary))).collect(),
        offset: page.offset,
        limit: page.limit,
        links: address.links(fitting.len()),
        total_count: fitting.len(),
    };
    Ok(json(StatusCode::OK, &body))
}

/// All attempts of a zone that are kept, newest first.
pub(in crate::api) async fn of(api: &Api, zone: &Zone) -> Result<Vec<Arc<Attempt>>, Fault> {
    let (history, id) = (api.control().history().clone(), zone.view.id);
    let read = tokio::task::spawn_blocking(move || history.of(id)).await;
    let unread = |error: &dyn std::fmt::Display| {
        tracing::warn!(%error, "the history of a zone could not be read");
        Fault::new(ErrorCode::Storage, "The history could not be read.")
    };
    read.map_err(|error| unread(&error))?.map_err(|error| unread(&error))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List {
    id: Uuid,
    r#type: &'static str,
    href: String,
    zone_id: Uuid,
    zone_name: String,
    items: Vec<AttemptItem>,
    offset: usize,
    limit: usize,
    #[serde(rename = "_links")]
    links: Links,
    total_count: usize,
}

/// Which attempts are wanted; all that is given must fit.
#[derive(Debug, Default)]
struct Filter {
    codes: Option<Vec<String>>,
    status: Option<StatusWord>,
    primary: Option<(IpAddr, Option<u16>)>,
    kinds: Option<&'static [TransferKind]>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Filter {
    fn read(params: &Params, default_port: u16) -> Result<Filter, Fault> {
        let kinds: Option<&'static [TransferKind]> =
            match params.single("kind")?.map(str::to_ascii_lowercase).as_deref() {
                None => None,
                Some("soa") => Some(&[TransferKind::Soa]),
                Some("ixfr") => Some(&[TransferKind::Ixfr]),
                Some("axfr") => Some(&[TransferKind::Axfr]),
                Some("transfer") => Some(&[TransferKind::Ixfr, TransferKind::Axfr]),
                Some(_) => return Err(Fault::bad_parameter("kind", "must be soa, ixfr, axfr or transfer")),
            };
        Ok(Filter {
            codes: params.single("code")?.map(codes).transpose()?,
            status: params.single("status")?.map(status_word).transpose()?,
            primary: params.single("primary")?.map(|text| primary(text, default_port)).transpose()?,
            kinds,
            since: params.single("since")?.map(|text| time("since", text)).transpose()?,
            until: params.single("until")?.map(|text| time("until", text)).transpose()?,
        })
    }

    fn holds(&self, attempt: &Attempt) -> bool {
        let code = attempt.code.as_str();
        self.codes.as_ref().is_none_or(|codes| codes.iter().any(|wanted| wanted == code))
            && self.status.is_none_or(|wanted| attempt.code.status() == wanted)
            && self.primary.is_none_or(|(ip, port)| {
                attempt.primary.ip() == ip && port.is_none_or(|port| attempt.primary.port() == port)
            })
            && self.kinds.is_none_or(|kinds| kinds.contains(&attempt.asked))
            && self.since.is_none_or(|since| attempt.ended >= since)
            && self.until.is_none_or(|until| attempt.first < until)
    }
}

/// A status word in any case.
pub(super) fn status_word(text: &str) -> Result<StatusWord, Fault> {
    let word = serde_json::from_value(text.to_ascii_uppercase().into());
    word.map_err(|_| Fault::bad_parameter("status", "must be PENDING, IN_PROGRESS, OK, LAGGING or ERROR"))
}

/// Codes in any case, with commas between them.
pub(super) fn codes(list: &str) -> Result<Vec<String>, Fault> {
    let code = |text: &str| {
        let wanted = text.trim().to_ascii_uppercase();
        let is_known = Code::ALL.iter().any(|code| code.as_str() == wanted);
        let unknown =
            || Fault::bad_parameter("code", format_args!("{text:?} is no code; the manual lists them (reasons)"));
        is_known.then_some(wanted).ok_or_else(unknown)
    };
    list.split(',').map(code).collect()
}

/// An address with or without a port.
pub(super) fn primary(text: &str, default_port: u16) -> Result<(IpAddr, Option<u16>), Fault> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok((ip, None));
    }
    let address = peer_address(text, default_port).map_err(|error| Fault::bad_parameter("primary", error))?;
    Ok((address.ip(), Some(address.port())))
}

/// RFC 3339, or seconds since 1970.
fn time(name: &str, text: &str) -> Result<Timestamp, Fault> {
    if let Ok(secs) = text.parse::<u32>() {
        return Ok(Timestamp::from_secs(u64::from(secs)));
    }
    match text.parse::<jiff::Timestamp>() {
        Ok(time) => Ok(Timestamp::from_millis(time.as_millisecond().max(0) as u64)),
        Err(_) => Err(Fault::bad_parameter(name, "must be a time such as 2026-11-21T23:00:00Z, or seconds since 1970")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(query: &str) -> Result<Filter, Fault> {
        Filter::read(&Params::parse(query), 53)
    }

    #[test]
    fn times_are_rfc_3339_or_seconds() {
        let both = filter("since=1970-01-01T00:01:40Z&until=100").expect("times");
        assert_eq!(
            (both.since, both.until),
            (Some(Timestamp::from_millis(100_000)), Some(Timestamp::from_millis(100_000)))
        );
        for query in ["since=yesterday", "until=-5", "since=2026-13-01T00:00:00Z"] {
            assert!(filter(query).is_err(), "{query}");
        }
    }

    #[test]
    fn a_primary_is_meant_with_all_its_ports_unless_one_is_named() {
        let read = |query: &str| filter(query).expect("a filter").primary.expect("a primary");
        assert_eq!(read("primary=192.0.2.1"), ([192, 0, 2, 1].into(), None));
        assert_eq!(read("primary=192.0.2.1%235353"), ([192, 0, 2, 1].into(), Some(5353)));
        assert!(filter("primary=ns1").is_err());
    }

    #[test]
    fn what_is_no_kind_status_or_code_is_refused() {
        assert!(filter("kind=AXFR&status=error&code=ok,connect_refused").is_ok());
        assert!(filter("code=connect_refused,bad").is_err());
        assert!(filter("kind=notify").is_err());
        assert!(filter("status=BAD").is_err());
    }
}
