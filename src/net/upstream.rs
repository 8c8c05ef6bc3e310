//! Exchanges with primaries: SOA probes over UDP (TCP where UDP fails), transfers over kept TCP connections.
//!
//! In: a [`Target`] and what to ask. Out: the answer, as `transfer` reads it, or a [`Reason`]. Called by tasks that
//! `control` starts; decides nothing about what comes next. Every exchange ends: connecting, silence, the whole
//! exchange and the lowest rate are bounded by [`Bounds`] (BEHAVIOUR B1..B6).
//!
//! RFC 1996 §3.6, RFC 5936 §4 (transport of AXFR), RFC 1995 §2, RFC 7766 (connection reuse), RFC 8945 (TSIG).

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::dns::message::{self, Header};
use crate::dns::tsig::{self, Key, StreamVerifier};
use crate::dns::{Name, RecordType, Serial};
use crate::reason::{Code, Reason};
use crate::time::Timestamp;
use crate::transfer::inbound::{Asked, Inbound, Progress, Received};
use crate::transfer::probe::{Probe, ProbeError, SoaAnswer};
use crate::zone::{HashKey, Limits};

/// Where and how to ask.
#[derive(Clone, Debug)]
pub struct Target {
    /// Address and port of the primary.
    pub address: SocketAddr,
    /// Local address to ask from; `None`: the routing table's choice.
    pub source: Option<IpAddr>,
    /// Signs the query and must sign the answer.
    pub key: Option<Arc<Key>>,
}

/// How long an exchange may take, and how slow it may be.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// For a connection to stand.
    pub connect: Duration,
    /// Longest silence within an exchange.
    pub idle: Duration,
    /// Longest transfer in all.
    pub total: Duration,
    /// Octets a second that a transfer must bring, measured over `rate_window`; 0: any.
    pub rate_min: u64,
    /// Over what time the rate is measured.
    pub rate_window: Duration,
    /// Most octets of one transfer.
    pub octets_max: u64,
}

/// Time-outs of the UDP tries of one probe: growing, then TCP (T9).
const PROBE_TRIES: [Duration; 3] =
    [Duration::from_millis(800), Duration::from_millis(1600), Duration::from_millis(3200)];
/// Unused connections are kept this long; primaries close idle ones after ten seconds and more.
const KEEP: Duration = Duration::from_secs(8);
/// Most unused connections kept to one primary.
const KEPT_PER_PRIMARY: usize = 4;
/// Octets of the read buffer of one connection.
const READ_BUFFER: usize = 128 * 1024;

/// What a probe brought.
#[derive(Clone, Debug)]
pub struct Probed {
    /// The answer.
    pub answer: SoaAnswer,
    /// From the query that was answered to its answer.
    pub round_trip: Duration,
    /// UDP brought nothing although TCP works (note `UDP_BLOCKED`).
    pub udp_blocked: bool,
}

/// What a transfer brought, not yet applied.
#[derive(Debug)]
pub struct Transferred {
    /// The contents or differences.
    pub received: Received,
    /// How much it was.
    pub volume: Volume,
}

/// What to transfer.
#[derive(Clone, Debug)]
pub struct Order {
    /// Apex of the zone.
    pub zone: Name,
    /// AXFR, or IXFR from our SOA.
    pub asked: Asked,
    /// Key of the version that may be replaced.
    pub hash_key: HashKey,
    /// Bounds of the contents.
    pub limits: Limits,
    /// Most octets of differences; beyond, a whole zone costs no more (I9).
    pub difference_octets_max: u64,
}

/// How much an exchange moved.
#[derive(Clone, Copy, Debug, Default)]
pub struct Volume {
    /// DNS messages.
    pub messages: u64,
    /// Records in answer sections.
    pub records: u64,
    /// Octets of messages, their length prefixes not counted.
    pub octets: u64,
    /// Records of differences that do not belong to the zone and were left out.
    pub skipped_out_of_zone: u64,
    /// Records whose TTL had its top bit set and was read as 0 (RFC 2181 §8).
    pub negative_ttls: u64,
    /// From the query to the last message.
    pub duration: Duration,
}

/// The client side towards all primaries; shared by all tasks.
#[derive(Debug)]
pub struct Upstream {
    bounds: Mutex<Bounds>,
    kept: Mutex<HashMap<Route, Vec<Kept>>>,
    octets_in: AtomicU64,
}

type Route = (SocketAddr, Option<IpAddr>);

#[derive(Debug)]
struct Kept {
    stream: BufReader<TcpStream>,
    since: Instant,
}

const POISONED: &str = "no holder of this lock can panic";

impl Upstream {
    /// A client with nothing connected.
    pub fn new(bounds: Bounds) -> Upstream {
        Upstream { bounds: Mutex::new(bounds), kept: Mutex::default(), octets_in: AtomicU64::new(0) }
    }

    /// Takes new bounds for exchanges that start from now on.
    pub fn set_bounds(&self, bounds: Bounds) {
        *self.bounds.lock().expect(POISONED) = bounds;
    }

    /// Octets received in transfers since the start.
    pub fn octets_in(&self) -> u64 {
        self.octets_in.load(Ordering::Relaxed)
    }

    fn bounds(&self) -> Bounds {
        *self.bounds.lock().expect(POISONED)
    }

    /// Asks for the zone's SOA: three tries over UDP, then TCP; TC means TCP at once; a server that does not take EDNS is
    /// asked once more without (T9, B24).
    pub async fn probe(&self, target: &Target, zone: &Name) -> Result<Probed, Reason> {
        match self.probe_udp(target, zone).await {
            UdpProbe::Answered(probed) => Ok(probed),
            UdpProbe::Failed(reason) => Err(reason),
            UdpProbe::Truncated => self.probe_tcp(target, zone).await,
            UdpProbe::Silent => self.probe_tcp(target, zone).await.map(|p| Probed { udp_blocked: true, ..p }),
        }
    }

    async fn probe_udp(&self, target: &Target, zone: &Name) -> UdpProbe {
        let mut edns = true;
        let mut tries = PROBE_TRIES.into_iter();
        let Some(mut patience) = tries.next() else { return UdpProbe::Silent };
        loop {
            // An error is an ICMP message: nothing listens there over UDP. TCP tells whether anything does.
            let Ok(outcome) = probe_udp_once(target, zone, edns, patience).await else { return UdpProbe::Silent };
            match outcome {
                Some(Ok(probed)) => return UdpProbe::Answered(probed),
                Some(Err(ProbeError::NoEdns(_))) => edns = false,
                Some(Err(ProbeError::Truncated)) => return UdpProbe::Truncated,
                Some(Err(error)) => return UdpProbe::Failed(error.into()),
                None => match tries.next() {
                    Some(longer) => patience = longer,
                    None => return UdpProbe::Silent,
                },
            }
        }
    }

    async fn probe_tcp(&self, target: &Target, zone: &Name) -> Result<Probed, Reason> {
        let bounds = self.bounds();
        let mut edns = true;
        loop {
            let probe = Probe { zone: zone.clone(), id: random_id(), edns };
            let (query, request_mac) = signed(probe.query(), target);
            let asked = Instant::now();
            let mut stream = self.ask(target, &query, &bounds).await?;
            let mut message = Vec::new();
            // A SOA answer is small: slowly is as good as never.
            let mut pace = Pace::new();
            let whole = read_message(&mut stream, &mut message, &mut pace, &bounds);
            timeout(bounds.idle, whole).await.unwrap_or_else(|_| Err(silence(bounds.idle)))?;
            match read_probe(&probe, &message, target, request_mac) {
                Ok(answer) => {
                    self.keep(target, stream);
                    return Ok(Probed { answer, round_trip: asked.elapsed(), udp_blocked: false });
                }
                Err(ProbeError::NoEdns(_)) => edns = false,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Transfers the zone. Nothing is applied here. Ends as up to date once the answer has shown a serial that `wanted`
    /// declines, whatever comes behind it.
    pub async fn transfer(
        &self,
        target: &Target,
        order: Order,
        wanted: impl Fn(Serial) -> bool,
    ) -> Result<Transferred, Reason> {
        let bounds = self.bounds();
        let exchange = self.exchange(target, order, wanted, &bounds);
        match timeout(bounds.total, exchange).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Reason::new(
                Code::TotalTimeout,
                format!("not complete after {} s ([transfer] total-timeout)", bounds.total.as_secs()),
            )),
        }
    }

    async fn exchange(
        &self,
        target: &Target,
        order: Order,
        wanted: impl Fn(Serial) -> bool,
        bounds: &Bounds,
    ) -> Result<Transferred, Reason> {
        let started = Instant::now();
        let (id, Order { zone, asked, hash_key, limits, difference_octets_max }) = (random_id(), order);
        let unsigned = match &asked {
            Asked::Axfr => message::query(id, &zone, RecordType::AXFR, None),
            Asked::Ixfr { ours } => message::ixfr_query(id, &zone, ours, None),
        };
        let (query, request_mac) = signed(unsigned, target);
        let mut verifier = target.key.as_ref().zip(request_mac).map(|(key, mac)| StreamVerifier::new(key.clone(), mac));
        let mut inbound =
            Inbound::new(zone, asked, id, hash_key, limits).with_difference_octets_max(difference_octets_max);
        let mut stream = self.ask(target, &query, bounds).await?;
        let (mut message, mut pace, mut judged) = (Vec::new(), Pace::new(), false);
        let mut declined = None;
        loop {
            read_message(&mut stream, &mut message, &mut pace, bounds).await?;
            self.octets_in.fetch_add(message.len() as u64, Ordering::Relaxed);
            let unsigned = match &mut verifier {
                Some(verifier) => verifier.verify(&message, Timestamp::now())?,
                None => message.len(),
            };
            if inbound.message(&message[..unsigned])? == Progress::Done {
                break;
            }
            if !judged && let Some(offered) = inbound.offered() {
                judged = true;
                if !wanted(offered) {
                    declined = Some(offered);
                    break;
                }
            }
        }
        let counters = inbound.counters();
        let volume = Volume {
            messages: counters.messages,
            records: counters.records,
            octets: counters.octets,
            skipped_out_of_zone: counters.skipped_out_of_zone,
            negative_ttls: counters.negative_ttls,
            duration: started.elapsed(),
        };
        if let Some(serial) = declined {
            // The rest of the answer is still coming: this connection ends with it.
            return Ok(Transferred { received: Received::UpToDate { serial }, volume });
        }
        if let Some(verifier) = verifier {
            verifier.finish()?;
        }
        // What follows the last message would be an answer to nothing: such a connection is not used again.
        if stream.buffer().is_empty() {
            self.keep(target, stream);
        }
        Ok(Transferred { received: inbound.finish()?, volume })
    }

    /// Sends a query over a kept connection, or a new one, and waits until the answer begins. A kept connection that the
    /// primary has closed meanwhile is no failure: the query goes out again over a new one (RFC 7766 §6.2.4).
    async fn ask(&self, target: &Target, query: &[u8], bounds: &Bounds) -> Result<BufReader<TcpStream>, Reason> {
        let framed = framed(query);
        while let Some(mut stream) = self.take_kept(target) {
            if is_quiet(&stream)
                && stream.write_all(&framed).await.is_ok()
                && answer_begins(&mut stream, bounds.idle).await?
            {
                return Ok(stream);
            }
        }
        let mut stream = connect(target, bounds.connect).await?;
        stream.write_all(&framed).await.map_err(|e| broken(&e))?;
        Ok(stream)
    }

    fn take_kept(&self, target: &Target) -> Option<BufReader<TcpStream>> {
        let mut kept = self.kept.lock().expect(POISONED);
        let route = (target.address, target.source);
        let streams = kept.get_mut(&route)?;
        streams.retain(|k| k.since.elapsed() < KEEP);
        let taken = streams.pop();
        if streams.is_empty() {
            kept.remove(&route);
        }
        taken.map(|k| k.stream)
    }

    fn keep(&self, target: &Target, stream: BufReader<TcpStream>) {
        let mut kept = self.kept.lock().expect(POISONED);
        let streams = kept.entry((target.address, target.source)).or_default();
        streams.retain(|k| k.since.elapsed() < KEEP);
        if streams.len() < KEPT_PER_PRIMARY {
            streams.push(Kept { stream, since: Instant::now() });
        }
    }

    /// Closes connections that have not been used for a while; called now and then.
    pub fn drop_unused(&self) {
        self.kept.lock().expect(POISONED).retain(|_, streams| {
            streams.retain(|k| k.since.elapsed() < KEEP);
            !streams.is_empty()
        });
    }
}

enum UdpProbe {
    Answered(Probed),
    Failed(Reason),
    Truncated,
    Silent,
}

/// One query from a fresh random port with a fresh random id; `None` is silence. A connected socket takes datagrams from
/// the asked address only (B27), and what does not answer our question is ignored (B9).
async fn probe_udp_once(
    target: &Target,
    zone: &Name,
    edns: bool,
    patience: Duration,
) -> io::Result<Option<Result<Probed, ProbeError>>> {
    let local = SocketAddr::new(target.source.unwrap_or(unspecified(target.address)), 0);
    let socket = UdpSocket::bind(local).await?;
    socket.connect(target.address).await?;
    let probe = Probe { zone: zone.clone(), id: random_id(), edns };
    let (query, request_mac) = signed(probe.query(), target);
    let asked = Instant::now();
    socket.send(&query).await?;
    let mut buffer = [0u8; 4096];
    loop {
        let Some(left) = patience.checked_sub(asked.elapsed()) else { return Ok(None) };
        let Ok(received) = timeout(left, socket.recv(&mut buffer)).await else { return Ok(None) };
        match read_probe(&probe, &buffer[..received?], target, request_mac.clone()) {
            Err(ProbeError::Foreign(_)) => {}
            // Anybody can send an unsigned or badly signed datagram; the true answer may still come. If the primary itself
            // cannot sign, TCP tells how.
            Err(ProbeError::Failed(reason)) if is_tsig(reason.code) => {}
            outcome => {
                let round_trip = asked.elapsed();
                return Ok(Some(outcome.map(|answer| Probed { answer, round_trip, udp_blocked: false })));
            }
        }
    }
}

fn is_tsig(code: Code) -> bool {
    code.as_str().starts_with("TSIG_")
}

/// Signs a query if the primary has a key; gives the MAC that the answer's signature builds on.
fn signed(mut query: Vec<u8>, target: &Target) -> (Vec<u8>, Option<Vec<u8>>) {
    let mac = target.key.as_ref().map(|key| tsig::sign(&mut query, key, Timestamp::now(), None));
    (query, mac)
}

/// Verifies the signature if one is due, then reads the SOA.
fn read_probe(
    probe: &Probe,
    message: &[u8],
    target: &Target,
    request_mac: Option<Vec<u8>>,
) -> Result<SoaAnswer, ProbeError> {
    let mut unsigned = message.len();
    if let (Some(key), Some(mac)) = (&target.key, request_mac) {
        if Header::read(message).map_or(true, |header| header.id != probe.id) {
            return Err(ProbeError::Foreign("id is another"));
        }
        let mut verifier = StreamVerifier::new(key.clone(), mac);
        unsigned = verifier.verify(message, Timestamp::now()).map_err(ProbeError::Failed)?;
        verifier.finish().map_err(ProbeError::Failed)?;
    }
    probe.read_answer(&message[..unsigned])
}

async fn connect(target: &Target, patience: Duration) -> Result<BufReader<TcpStream>, Reason> {
    let attempt = async {
        let socket = if target.address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(source) = target.source {
            socket.bind(SocketAddr::new(source, 0))?;
        }
        let stream = socket.connect(target.address).await?;
        stream.set_nodelay(true)?;
        Ok::<_, io::Error>(stream)
    };
    match timeout(patience, attempt).await {
        Ok(Ok(stream)) => Ok(BufReader::with_capacity(READ_BUFFER, stream)),
        Ok(Err(error)) => Err(unconnected(&error)),
        Err(_) => Err(Reason::new(Code::ConnectTimeout, format!("timed out after {} s", patience.as_secs_f64()))),
    }
}

fn unconnected(error: &io::Error) -> Reason {
    let code = match error.kind() {
        io::ErrorKind::ConnectionRefused => Code::ConnectRefused,
        io::ErrorKind::TimedOut => Code::ConnectTimeout,
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => return broken(error),
        _ => Code::NetUnreachable,
    };
    Reason::new(code, in_words(error))
}

fn broken(error: &io::Error) -> Reason {
    Reason::new(Code::TruncatedStream, in_words(error))
}

/// The system's words without its number: what an operator reads in the status of a primary.
fn in_words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error ").next().unwrap_or_default().to_lowercase()
}

/// Nothing has come over a kept connection since its last answer was complete, not even its end: what has would be read
/// as the answer to the next query.
fn is_quiet(stream: &BufReader<TcpStream>) -> bool {
    let read = stream.get_ref().try_read(&mut [0]);
    read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

/// Waits for the first octet of the answer; false if the connection turns out to be closed.
async fn answer_begins(stream: &mut BufReader<TcpStream>, idle: Duration) -> Result<bool, Reason> {
    match timeout(idle, stream.fill_buf()).await {
        Ok(Ok(octets)) => Ok(!octets.is_empty()),
        Ok(Err(_)) => Ok(false),
        Err(_) => Err(silence(idle)),
    }
}

fn silence(idle: Duration) -> Reason {
    Reason::new(Code::IdleTimeout, format!("no answer for {} s ([transfer] idle-timeout)", idle.as_secs_f64()))
}

/// Reads one framed message into `message`, replacing what it held (RFC 1035 §4.2.2). A message may take any time as
/// long as octets come: how fast they must come is for `pace` to say.
async fn read_message(
    stream: &mut BufReader<TcpStream>,
    message: &mut Vec<u8>,
    pace: &mut Pace,
    bounds: &Bounds,
) -> Result<(), Reason> {
    message.clear();
    let (mut length, mut got) = ([0; 2], 0);
    loop {
        let octets = match timeout(bounds.idle, stream.fill_buf()).await {
            Ok(Ok([])) => return Err(Reason::new(Code::TruncatedStream, "the primary closed the connection")),
            Ok(Ok(octets)) => octets,
            Ok(Err(error)) => return Err(broken(&error)),
            Err(_) => return Err(silence(bounds.idle)),
        };
        let taken = if got < length.len() {
            let taken = octets.len().min(length.len() - got);
            length[got..got + taken].copy_from_slice(&octets[..taken]);
            taken
        } else {
            // Grows as octets come, so a length alone costs nothing.
            let taken = octets.len().min(usize::from(u16::from_be_bytes(length)) - message.len());
            message.extend_from_slice(&octets[..taken]);
            taken
        };
        stream.consume(taken);
        got += taken;
        pace.came(taken, bounds)?;
        if got >= length.len() && message.len() == usize::from(u16::from_be_bytes(length)) {
            return Ok(());
        }
    }
}

fn framed(message: &[u8]) -> Vec<u8> {
    let mut framed = Vec::with_capacity(message.len() + 2);
    framed.extend_from_slice(&(message.len() as u16).to_be_bytes());
    framed.extend_from_slice(message);
    framed
}

/// Watches the octets and the rate of one transfer (A12, B3, B5).
struct Pace {
    octets: u64,
    window_began: Instant,
    octets_then: u64,
}

impl Pace {
    fn new() -> Pace {
        Pace { octets: 0, window_began: Instant::now(), octets_then: 0 }
    }

    fn came(&mut self, octets: usize, bounds: &Bounds) -> Result<(), Reason> {
        self.octets += octets as u64;
        if self.octets > bounds.octets_max {
            let detail = format!("more than {} octets ([transfer] max-bytes)", bounds.octets_max);
            return Err(Reason::new(Code::LimitBytes, detail));
        }
        let window = self.window_began.elapsed();
        if window >= bounds.rate_window {
            let rate = (self.octets - self.octets_then) / window.as_secs().max(1);
            if rate < bounds.rate_min {
                let detail = format!("{rate} octets/s, less than {} ([transfer] lowest-rate)", bounds.rate_min);
                return Err(Reason::new(Code::TooSlow, detail));
            }
            (self.window_began, self.octets_then) = (Instant::now(), self.octets);
        }
        Ok(())
    }
}

fn unspecified(remote: SocketAddr) -> IpAddr {
    match remote {
        SocketAddr::V4(_) => IpAddr::from([0; 4]),
        SocketAddr::V6(_) => IpAddr::from([0; 16]),
    }
}

fn random_id() -> u16 {
    u16::from_be_bytes(random())
}

fn random<const N: usize>() -> [u8; N] {
    use ring::rand::SecureRandom;
    let mut octets = [0; N];
    ring::rand::SystemRandom::new().fill(&mut octets).expect("the system's random source works");
    octets
}
