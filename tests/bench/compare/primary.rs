//! The primary of every contender: zones held as versions, sent at the speed of memory, so that what is measured is the
//! receiving side.
//!
//! Answers SOA (UDP, TCP), AXFR and IXFR (TCP) for its zones and sends no NOTIFY; the benches do that. A whole zone is
//! recorded once and sent as it is with the id and type of the query; an IXFR is written when asked for.

use std::collections::HashMap;
use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, RwLock};
use std::time::Duration;

use secondaryd::dns::message::{self, HEADER_OCTETS, Header, Question, Rcode, flag};
use secondaryd::dns::{Name, RecordType};
use secondaryd::transfer::outbound::{Outbound, Request};
use secondaryd::zone::{Diff, Snapshot};

/// How long a connection may stand idle.
const IDLE: Duration = Duration::from_secs(30);
/// Octets sent in one write.
const CHUNK: usize = 256 << 10;

/// One version of a zone, with the differences that lead to it.
#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) snapshot: Snapshot,
    /// Oldest first.
    pub(crate) diffs: Vec<Diff>,
    /// Messages of an AXFR answer with id 0, each behind its length; the question stands in the first. Made when first
    /// asked for.
    recorded: OnceLock<Vec<u8>>,
}

/// Differences that the primary can still send.
const KEPT: usize = 1_000;

impl Version {
    /// A version with the differences that lead to it.
    pub(crate) fn new(snapshot: Snapshot, diffs: Vec<Diff>) -> Arc<Version> {
        Arc::new(Version { snapshot, diffs, recorded: OnceLock::new() })
    }

    /// The version after this one.
    pub(crate) fn followed_by(&self, snapshot: Snapshot, diff: Diff) -> Arc<Version> {
        let old = &self.diffs[self.diffs.len().saturating_sub(KEPT)..];
        Version::new(snapshot, old.iter().cloned().chain([diff]).collect())
    }

    /// Octets of the answer to an IXFR from `old`, lengths of messages included.
    pub(crate) fn difference_octets(&self, old: &Version) -> usize {
        let query = message::ixfr_query(0, self.snapshot.apex(), &old.snapshot.soa_record(), None);
        let request = Request::read(&query).expect("a request");
        let from = self.diffs.iter().position(|diff| diff.from_serial() == old.snapshot.serial());
        messages(request, &self.snapshot, from.map(|from| &self.diffs[from..])).len()
    }

    /// Makes the AXFR now, so that the first who asks does not wait for it.
    pub(crate) fn record(&self) -> &[u8] {
        self.recorded.get_or_init(|| {
            let query = message::query(0, self.snapshot.apex(), RecordType::AXFR, None);
            messages(Request::read(&query).expect("a request"), &self.snapshot, None)
        })
    }
}

/// The messages of an answer, each behind its length.
fn messages(request: Request, snapshot: &Snapshot, diffs: Option<&[Diff]>) -> Vec<u8> {
    let mut outbound = Outbound::new(request, snapshot, diffs, 0);
    let (mut all, mut message) = (Vec::new(), Vec::new());
    while outbound.next(&mut message).expect("small records") {
        all.extend_from_slice(&(message.len() as u16).to_be_bytes());
        all.extend_from_slice(&message);
    }
    all
}

#[derive(Debug, Default)]
struct Shared {
    zones: RwLock<HashMap<Name, Arc<Version>>>,
    is_silent: AtomicBool,
    is_over: AtomicBool,
    axfrs: AtomicU64,
    ixfrs: AtomicU64,
}

/// The primary; ends its threads when dropped.
pub(crate) struct Primary {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

impl Primary {
    /// Starts it without zones.
    pub(crate) fn start(address: SocketAddr) -> Primary {
        let shared = Arc::new(Shared::default());
        let udp = UdpSocket::bind(address).expect("a free address");
        udp.set_read_timeout(Some(Duration::from_millis(100))).expect("a time limit");
        let tcp = TcpListener::bind(address).expect("a free address");
        let state = shared.clone();
        std::thread::spawn(move || over_udp(&udp, &state));
        let state = shared.clone();
        std::thread::spawn(move || {
            for stream in tcp.incoming() {
                if state.is_over.load(Ordering::Relaxed) {
                    return;
                }
                let state = state.clone();
                // An error ends the connection; the secondary sees it and says so in its log.
                let _ = stream.map(|stream| std::thread::spawn(move || over_tcp(stream, &state)));
            }
        });
        Primary { address, shared }
    }

    /// Sends this version from now on.
    pub(crate) fn set(&self, version: Arc<Version>) {
        let apex = version.snapshot.apex().clone();
        self.shared.zones.write().expect("no holder panics").insert(apex, version);
    }

    /// Whether it answers nothing, as if it were down.
    pub(crate) fn set_silent(&self, is_silent: bool) {
        self.shared.is_silent.store(is_silent, Ordering::Relaxed);
    }

    /// Whole zones and differences sent so far.
    pub(crate) fn sent(&self) -> (u64, u64) {
        (self.shared.axfrs.load(Ordering::Relaxed), self.shared.ixfrs.load(Ordering::Relaxed))
    }
}

impl Drop for Primary {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        // Wakes the one that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

fn over_udp(socket: &UdpSocket, shared: &Shared) {
    let mut buffer = [0; 4096];
    while !shared.is_over.load(Ordering::Relaxed) {
        let Ok((len, from)) = socket.recv_from(&mut buffer) else { continue };
        if shared.is_silent.load(Ordering::Relaxed) {
            continue;
        }
        if let Some(reply) = soa_reply(&buffer[..len], shared) {
            let _ = socket.send_to(&reply, from);
        }
    }
}

fn version_of(query: &[u8], shared: &Shared) -> Option<(Question, usize, Option<Arc<Version>>)> {
    let (question, end) = Question::read(query, HEADER_OCTETS).ok()?;
    let version = shared.zones.read().expect("no holder panics").get(&question.name).cloned();
    Some((question, end, version))
}

/// The SOA, whatever was asked: over UDP that is also how an IXFR is sent on to TCP (RFC 1995 §2).
fn soa_reply(query: &[u8], shared: &Shared) -> Option<Vec<u8>> {
    let header = Header::read(query).ok()?;
    let (_, end, version) = version_of(query, shared)?;
    let Some(version) = version else {
        return Some(message::reply(query, 0, Rcode::REFUSED));
    };
    let mut reply = header.reply(flag::AA, Rcode::NOERROR).to_bytes().to_vec();
    reply.extend_from_slice(&query[HEADER_OCTETS..end]);
    message::write_record(&mut reply, version.snapshot.soa_record().borrow());
    (reply[5], reply[7]) = (1, 1);
    Some(reply)
}

fn over_tcp(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_write_timeout(Some(IDLE))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    let mut query = Vec::new();
    loop {
        let mut length = [0; 2];
        reader.read_exact(&mut length)?;
        query.resize(usize::from(u16::from_be_bytes(length)), 0);
        reader.read_exact(&mut query)?;
        if shared.is_silent.load(Ordering::Relaxed) || shared.is_over.load(Ordering::Relaxed) {
            return Ok(());
        }
        answer(&query, shared, &mut writer)?;
    }
}

fn answer(query: &[u8], shared: &Shared, writer: &mut TcpStream) -> io::Result<()> {
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, "not a query");
    let (question, end, version) = version_of(query, shared).ok_or_else(malformed)?;
    let (Some(version), Ok(request)) = (version, Request::read(query)) else {
        let reply = soa_reply(query, shared).ok_or_else(malformed)?;
        writer.write_all(&(reply.len() as u16).to_be_bytes())?;
        return writer.write_all(&reply);
    };
    let theirs = request.theirs;
    let from = version.diffs.iter().position(|diff| Some(diff.from_serial()) == theirs);
    let is_current = theirs == Some(version.snapshot.serial());
    if from.is_none() && !is_current {
        shared.axfrs.fetch_add(1, Ordering::Relaxed);
        return whole(query, end, version.record(), writer);
    }
    let diffs = from.map(|from| &version.diffs[from..]);
    debug_assert_eq!(question.qtype, RecordType::IXFR);
    shared.ixfrs.fetch_add(u64::from(diffs.is_some()), Ordering::Relaxed);
    writer.write_all(&messages(request, &version.snapshot, diffs))
}

/// The recorded messages, with the query's id, and its question in the first.
fn whole(query: &[u8], question_end: usize, recorded: &[u8], writer: &mut TcpStream) -> io::Result<()> {
    let mut chunk = Vec::with_capacity(CHUNK + (1 << 16));
    let mut rest = recorded;
    let mut is_first = true;
    while let Some((length, behind)) = rest.split_first_chunk::<2>() {
        let (message, tail) = behind.split_at(usize::from(u16::from_be_bytes(*length)));
        let start = chunk.len() + 2;
        chunk.extend_from_slice(length);
        chunk.extend_from_slice(message);
        chunk[start..start + 2].copy_from_slice(&query[..2]);
        if std::mem::take(&mut is_first) {
            chunk[start + HEADER_OCTETS..start + question_end].copy_from_slice(&query[HEADER_OCTETS..question_end]);
        }
        if chunk.len() >= CHUNK {
            writer.write_all(&chunk)?;
            chunk.clear();
        }
        rest = tail;
    }
    writer.write_all(&chunk)
}
