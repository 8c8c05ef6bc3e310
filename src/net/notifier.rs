//! Tells downstreams of a new version: NOTIFY over UDP with the SOA as hint, repeated until answered.
//!
//! In: a zone's SOA and its downstreams, from `control` once the version is served and durable. Out: messages; what
//! becomes of them is logged and counted. Uses hickory-client: a few small messages a change, far from any hot path.
//! RFC 1996 §3.6 (repetition), §3.7 (the hint), RFC 8945 (TSIG).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use hickory_client::client::{Client, ClientHandle};
use hickory_client::proto::op::ResponseCode;
use hickory_client::proto::rr::rdata::tsig::TsigAlgorithm as HickoryAlgorithm;
use hickory_client::proto::rr::{DNSClass, Name as HickoryName, RData, RecordSet, RecordType, TSigner, rdata};
use hickory_client::runtime::TokioRuntimeProvider;
use hickory_client::udp::UdpClientStream;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;

use crate::config::{TsigAlgorithm, TsigKey};
use crate::dns::{Name, Serial};
use crate::telemetry;
use crate::zone::Snapshot;

/// Pauses behind the tries of one NOTIFY: five tries in a minute (RFC 1996 §3.6 names 60 s and five as defaults).
const PAUSES_SECS: [u64; 5] = [2, 4, 8, 16, 30];
/// How long one try waits for its answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Tries at one downstream that wait for their answers at a time. Each has a socket: ten thousand zones that get a version
/// while a downstream is silent would take all descriptors of the process, those of the store too.
const TRIES_AT_ONCE: usize = 64;
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

/// Tells downstreams, each of them of a bounded number of zones at a time; one that is silent is in nobody else's way.
#[derive(Debug, Default)]
pub struct Notifier {
    /// What is left of [`TRIES_AT_ONCE`] for each downstream that is being told something.
    tries: Mutex<HashMap<SocketAddr, Weak<Semaphore>>>,
}

impl Notifier {
    /// Starts telling `downstreams` of `snapshot`. Ends when all have answered, the tries are used up, or the returned
    /// sender is dropped (a newer version makes this one's NOTIFY pointless).
    pub fn announce(&self, snapshot: &Snapshot, downstreams: Vec<Downstream>) -> oneshot::Sender<()> {
        let (cancel, cancelled) = oneshot::channel();
        let (zone, serial, hint) = (snapshot.apex().clone(), snapshot.serial(), hint(snapshot));
        let downstreams: Vec<_> = downstreams.into_iter().map(|one| (self.tries_at(one.address), one)).collect();
        tokio::spawn(async move {
            let mut running = JoinSet::new();
            for (tries, downstream) in downstreams {
                running.spawn(tell(zone.clone(), serial, hint.clone(), downstream, tries));
            }
            let all = async { while running.join_next().await.is_some() {} };
            tokio::select! {
                () = all => {}
                _ = cancelled => {}
            }
        });
        cancel
    }

    fn tries_at(&self, downstream: SocketAddr) -> Arc<Semaphore> {
        let mut all = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tries) = all.get(&downstream).and_then(Weak::upgrade) {
            return tries;
        }
        // Those that nobody tells anything any more may have left the configuration.
        all.retain(|_, tries| tries.strong_count() > 0);
        let tries = Arc::new(Semaphore::new(TRIES_AT_ONCE));
        all.insert(downstream, Arc::downgrade(&tries));
        tries
    }
}

/// What came of one try.
enum Answer {
    /// NOERROR.
    Taken,
    /// Another RCODE.
    Refused(ResponseCode),
    /// None that counts: nothing, not what was asked, or not signed as it has to be.
    None(String),
}

impl Answer {
    /// Whether the same may be answered otherwise in a moment: who follows a catalog says NOTAUTH until it has the member, and
    /// who loads a zone SERVFAIL.
    fn may_change(&self) -> bool {
        match self {
            Answer::Refused(code) => matches!(code, ResponseCode::NotAuth | ResponseCode::ServFail),
            Answer::Taken => false,
            Answer::None(_) => true,
        }
    }
}

async fn tell(zone: Name, serial: Serial, hint: Option<RecordSet>, downstream: Downstream, tries: Arc<Semaphore>) {
    let peer = downstream.address;
    let mut last = Answer::None(String::new());
    for pause in PAUSES_SECS {
        last = {
            let _one = tries.acquire().await.expect("it is never closed");
            tell_once(&zone, hint.clone(), &downstream).await.unwrap_or_else(Answer::None)
        };
        match &last {
            Answer::Taken => tracing::debug!(%zone, %peer, serial = serial.0, op = "notify-out", "answered"),
            Answer::Refused(rcode) => {
                tracing::debug!(%zone, %peer, serial = serial.0, op = "notify-out", %rcode, "refused")
            }
            Answer::None(error) => {
                tracing::debug!(%zone, %peer, serial = serial.0, op = "notify-out", error, "not answered")
            }
        }
        if !last.may_change() {
            break;
        }
        tokio::time::sleep(Duration::from_secs(pause)).await;
    }
    let outcome = match last {
        Answer::Taken => "answered",
        Answer::Refused(rcode) => {
            tracing::warn!(%zone, %peer, serial = serial.0, op = "notify-out", %rcode, "downstream refuses NOTIFY of this version: it looks for it when its REFRESH is over");
            "refused"
        }
        Answer::None(error) => {
            tracing::warn!(%zone, %peer, serial = serial.0, op = "notify-out", error, "downstream gave no valid answer to NOTIFY of this version");
            "unanswered"
        }
    };
    metrics::counter!(telemetry::NOTIFY_OUT, "outcome" => outcome).increment(1);
}

async fn tell_once(zone: &Name, hint: Option<RecordSet>, downstream: &Downstream) -> Result<Answer, String> {
    let signer = downstream.key.as_ref().map(signer).transpose()?;
    let stream = UdpClientStream::builder(downstream.address, TokioRuntimeProvider::new())
        .with_timeout(Some(PATIENCE))
        // repeated above, with pauses; here it would be a socket more for each time
        .with_max_retries(0)
        .with_signer(signer)
        .build();
    let (mut client, background) = Client::<TokioRuntimeProvider>::from_sender(stream);
    let background = tokio::spawn(background);
    let answer = client.notify(hickory_name(zone)?, DNSClass::IN, RecordType::SOA, hint).await;
    background.abort();
    let code = answer.map_err(|error| error.to_string())?.metadata.response_code;
    Ok(if code == ResponseCode::NoError { Answer::Taken } else { Answer::Refused(code) })
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

#[cfg(test)]
mod tests {
    use tokio::net::UdpSocket;
    use tokio::time::timeout;

    use super::*;
    use crate::dns::message::{HEADER_OCTETS, flag};
    use crate::zone::{Builder, HashKey, Limits};

    fn zone(number: usize) -> Snapshot {
        let apex: Name = format!("z{number}.example").parse().expect("a name");
        let text = "@ SOA ns hostmaster 7 3600 600 86400 300\n@ NS ns.example.org.\n";
        let mut builder = Builder::new(apex.clone(), HashKey::from_bytes([7; 16]), Limits::default());
        let records = crate::dns::zonefile::parse(text, &apex).expect("a zone");
        records.iter().for_each(|record| builder.add(record.borrow()).expect("a record of the zone"));
        builder.finish(None).expect("a zone").0
    }

    /// A12 of those who are told: a downstream that does not answer costs a bounded number of sockets, and the next zone
    /// is told as soon as one is free.
    #[tokio::test]
    async fn a_silent_downstream_is_told_of_a_bounded_number_of_zones_at_a_time() {
        let downstream = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        let address = downstream.local_addr().expect("bound");
        let notifier = Notifier::default();
        // given more zones with a new version than are told at once
        let told = |number| notifier.announce(&zone(number), vec![Downstream { address, key: None }]);
        let _running: Vec<_> = (0..TRIES_AT_ONCE + 1).map(told).collect();
        // when all those have been asked for an answer that may be
        let mut message = [0; 512];
        let mut peers = Vec::new();
        for _ in 0..TRIES_AT_ONCE {
            let received = timeout(PATIENCE, downstream.recv_from(&mut message)).await.expect("a NOTIFY");
            peers.push((received.expect("received"), message));
        }
        // then the last one waits
        assert_eq!(notifier.tries_at(address).available_permits(), 0);
        assert!(downstream.try_recv_from(&mut [0; 512]).is_err());
        // until one of them has been answered
        let ((octets, peer), mut answer) = peers[0];
        answer[2] |= (flag::QR >> 8) as u8;
        answer[6..HEADER_OCTETS].fill(0);
        let question_end = question_end(&answer[..octets]);
        downstream.send_to(&answer[..question_end], peer).await.expect("sent");
        timeout(PATIENCE, downstream.recv_from(&mut message)).await.expect("the last NOTIFY").expect("received");
    }

    /// RFC 1996 §4.7: whoever is no master in the eyes of a downstream is refused; the answer counts, the NOTIFY does not.
    #[tokio::test]
    async fn what_a_downstream_answers_is_told_apart_from_that_it_has_taken_it() {
        let downstream = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        let told = Downstream { address: downstream.local_addr().expect("bound"), key: None };
        let apex: Name = "z1.example".parse().expect("a name");
        for (rcode, expected) in [(0, None), (5, Some(ResponseCode::Refused)), (9, Some(ResponseCode::NotAuth))] {
            // given a downstream that answers so
            let answering = async {
                let mut message = [0; 512];
                let (octets, peer) = downstream.recv_from(&mut message).await.expect("received");
                message[2] |= (flag::QR >> 8) as u8;
                message[3] = rcode;
                message[6..HEADER_OCTETS].fill(0);
                downstream.send_to(&message[..question_end(&message[..octets])], peer).await.expect("sent");
            };
            // when it is told
            let (answer, ()) = tokio::join!(tell_once(&apex, None, &told), answering);
            // then that is known
            let found = match answer.expect("an answer") {
                Answer::Refused(code) => Some(code),
                Answer::Taken => None,
                Answer::None(why) => panic!("{why}"),
            };
            assert_eq!(found, expected);
        }
        let is_tried_again = |code| Answer::Refused(code).may_change();
        assert!(is_tried_again(ResponseCode::NotAuth) && is_tried_again(ResponseCode::ServFail));
        assert!(!is_tried_again(ResponseCode::Refused) && !is_tried_again(ResponseCode::NotImp));
    }

    fn question_end(message: &[u8]) -> usize {
        crate::dns::message::Question::read(message, HEADER_OCTETS).expect("a question").1
    }
}
