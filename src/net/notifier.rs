//! Tells downstreams of a new version: NOTIFY over UDP with the SOA as hint, repeated until answered.
//!
//! In: a zone's SOA and its downstreams, from `control` once the version is served and durable. Out: messages; what
//! becomes of them is logged and counted. Uses hickory-client: a few small messages a change, far from any hot path.
//! RFC 1996 §3.6 (repetition), §3.7 (the hint), RFC 8945 (TSIG).

use std::net::SocketAddr;
use std::time::Duration;

use hickory_client::client::{Client, ClientHandle};
use hickory_client::proto::rr::rdata::tsig::TsigAlgorithm as HickoryAlgorithm;
use hickory_client::proto::rr::{DNSClass, Name as HickoryName, RData, RecordSet, RecordType, TSigner, rdata};
use hickory_client::runtime::TokioRuntimeProvider;
use hickory_client::udp::UdpClientStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::config::{TsigAlgorithm, TsigKey};
use crate::dns::{Name, Serial};
use crate::telemetry;
use crate::zone::Snapshot;

/// Pauses behind the tries of one NOTIFY: five tries in a minute (RFC 1996 §3.6 names 60 s and five as defaults).
const PAUSES_SECS: [u64; 5] = [2, 4, 8, 16, 30];
/// How long one try waits for its answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Seconds by which the clocks of both sides may differ (RFC 8945 §10).
const FUDGE_SECS: u16 = 300;

/// Whom to tell.
#[derive(Clone, Debug)]
pub struct Downstream {
    /// Where the NOTIFY goes.
    pub address: SocketAddr,
    /// Signs it.
    pub key: Option<TsigKey>,
}

/// Starts telling `downstreams` of `snapshot`. Ends when all have answered, the tries are used up, or the returned
/// sender is dropped (a newer version makes this one's NOTIFY pointless).
pub fn announce(snapshot: &Snapshot, downstreams: Vec<Downstream>) -> oneshot::Sender<()> {
    let (cancel, cancelled) = oneshot::channel();
    let (zone, serial, hint) = (snapshot.apex().clone(), snapshot.serial(), hint(snapshot));
    tokio::spawn(async move {
        let mut running = JoinSet::new();
        for downstream in downstreams {
            running.spawn(tell(zone.clone(), serial, hint.clone(), downstream));
        }
        let all = async { while running.join_next().await.is_some() {} };
        tokio::select! {
            () = all => {}
            _ = cancelled => {}
        }
    });
    cancel
}

async fn tell(zone: Name, serial: Serial, hint: Option<RecordSet>, downstream: Downstream) {
    let peer = downstream.address;
    for pause in PAUSES_SECS {
        match tell_once(&zone, hint.clone(), &downstream).await {
            Ok(()) => {
                metrics::counter!(telemetry::NOTIFY_OUT, "outcome" => "answered").increment(1);
                tracing::debug!(%zone, %peer, serial = serial.0, op = "notify-out", "answered");
                return;
            }
            Err(error) => {
                tracing::debug!(%zone, %peer, serial = serial.0, op = "notify-out", error, "not answered");
                tokio::time::sleep(Duration::from_secs(pause)).await;
            }
        }
    }
    metrics::counter!(telemetry::NOTIFY_OUT, "outcome" => "unanswered").increment(1);
    tracing::warn!(%zone, %peer, serial = serial.0, op = "notify-out", "downstream answered no NOTIFY of this version");
}

async fn tell_once(zone: &Name, hint: Option<RecordSet>, downstream: &Downstream) -> Result<(), String> {
    let signer = downstream.key.as_ref().map(signer).transpose()?;
    let stream = UdpClientStream::builder(downstream.address, TokioRuntimeProvider::new())
        .with_timeout(Some(PATIENCE))
        .with_signer(signer)
        .build();
    let (mut client, background) = Client::<TokioRuntimeProvider>::from_sender(stream);
    let background = tokio::spawn(background);
    let answer = client.notify(hickory_name(zone)?, DNSClass::IN, RecordType::SOA, hint).await;
    background.abort();
    answer.map(drop).map_err(|error| error.to_string())
}

fn signer(key: &TsigKey) -> Result<TSigner, String> {
    let algorithm = match key.algorithm {
        // `config` takes no key of these for NOTIFY.
        TsigAlgorithm::HmacMd5 | TsigAlgorithm::HmacSha224 => {
            return Err(format!("NOTIFY cannot be signed with {}", key.algorithm.as_str()));
        }
        TsigAlgorithm::HmacSha1 => HickoryAlgorithm::HmacSha1,
        TsigAlgorithm::HmacSha256 => HickoryAlgorithm::HmacSha256,
        TsigAlgorithm::HmacSha384 => HickoryAlgorithm::HmacSha384,
        TsigAlgorithm::HmacSha512 => HickoryAlgorithm::HmacSha512,
    };
    TSigner::new(key.secret.expose().to_vec(), algorithm, hickory_name(&key.name)?, FUDGE_SECS)
        .map_err(|e| e.to_string())
}

/// The SOA for the answer section; a NOTIFY without it is valid too, so a SOA that hickory cannot hold is left out.
fn hint(snapshot: &Snapshot) -> Option<RecordSet> {
    let soa = snapshot.soa();
    let data = rdata::SOA::new(
        hickory_name(&soa.mname()).ok()?,
        hickory_name(&soa.rname()).ok()?,
        soa.serial.0,
        i32::try_from(soa.refresh).ok()?,
        i32::try_from(soa.retry).ok()?,
        i32::try_from(soa.expire).ok()?,
        soa.minimum,
    );
    let mut set = RecordSet::new(hickory_name(snapshot.apex()).ok()?, RecordType::SOA, soa.serial.0);
    set.set_ttl(soa.ttl);
    set.add_rdata(RData::SOA(data));
    Some(set)
}

fn hickory_name(name: &Name) -> Result<HickoryName, String> {
    let mut hickory = HickoryName::from_labels(name.labels()).map_err(|error| error.to_string())?;
    hickory.set_fqdn(true);
    Ok(hickory)
}
