//! Small questions to a contender: is this serial served, take this NOTIFY, which of many zones are there.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use secondaryd::dns::message::{self, HEADER_OCTETS, Header, Question, RawRecord};
use secondaryd::dns::{Name, RecordType, rdata};
use secondaryd::zone::Snapshot;

/// A SOA query or NOTIFY that is not answered is sent again after this.
const AGAIN: Duration = Duration::from_millis(1_000);
/// Questions on their way at once.
const WINDOW: usize = 128;

fn socket(server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind((server.ip(), 0)).expect("a socket");
    socket.connect(server).expect("an address");
    socket
}

/// The serial in an authoritative answer with one SOA.
pub(crate) fn serial_in(reply: &[u8]) -> Option<u32> {
    let header = Header::read(reply).ok()?;
    if reply[3] & 15 != 0 || reply[2] & 4 == 0 || header.answers == 0 {
        return None;
    }
    let (_, end) = Question::read(reply, HEADER_OCTETS).ok()?;
    let record = RawRecord::read(reply, end).ok().filter(|record| record.rtype == RecordType::SOA)?;
    let mut soa = Vec::new();
    rdata::expand(reply, record.rdata, record.rdata_len, record.rtype, &mut soa).ok()?;
    rdata::soa_serial(&soa).map(|serial| serial.0)
}

/// Asks again and again until `serial` is answered; how long it took since `began`.
pub(crate) fn until_serial(
    server: SocketAddr,
    zone: &Name,
    serial: u32,
    began: Instant,
    limit: Duration,
) -> Result<Duration, String> {
    let socket = socket(server);
    socket.set_read_timeout(Some(Duration::from_millis(5))).expect("a time limit");
    let query = message::query(1, zone, RecordType::SOA, None);
    let mut buffer = [0; 4096];
    let mut last = None;
    while began.elapsed() < limit {
        // Refused while nobody listens yet.
        let sent = socket.send(&query).is_ok();
        match socket.recv(&mut buffer) {
            Ok(len) => {
                last = serial_in(&buffer[..len]).or(last);
                if last == Some(serial) {
                    return Ok(began.elapsed());
                }
                // In a tight loop the poll itself would take the core from who is measured.
                std::thread::sleep(Duration::from_micros(100));
            }
            Err(_) if !sent => std::thread::sleep(Duration::from_millis(1)),
            Err(_) => std::thread::sleep(Duration::from_micros(500)),
        }
    }
    Err(format!("serial {last:?} after {limit:?}, not {serial}"))
}

/// Sends one NOTIFY and waits for its reply, as long as that may reasonably take.
pub(crate) fn notify(server: SocketAddr, version: &Snapshot) {
    notify_all(server, std::iter::once(version), Duration::from_secs(10));
}

/// Sends a NOTIFY for each version as fast as they are answered, with its SOA as primaries do; those without an answer in the
/// end. Without the SOA a server may wait before it asks once more.
pub(crate) fn notify_all<'a>(
    server: SocketAddr,
    versions: impl Iterator<Item = &'a Snapshot>,
    limit: Duration,
) -> usize {
    let messages: Vec<_> =
        versions.map(|version| message::notify(0, version.apex(), Some(&version.soa_record()), None)).collect();
    exchange(server, &messages, limit, |reply| reply[3] & 15 == 0)
}

/// Waits until every zone is answered with `serial` (`None`: with any); those that are not in the end.
pub(crate) fn until_all(server: SocketAddr, zones: &[Name], serial: Option<u32>, limit: Duration) -> usize {
    let messages: Vec<_> = zones.iter().map(|zone| message::query(0, zone, RecordType::SOA, None)).collect();
    exchange(server, &messages, limit, |reply| {
        let got = serial_in(reply);
        got.is_some() && (serial.is_none() || got == serial)
    })
}

/// Sends each message until its reply is as wanted; the number of those for which it never was.
fn exchange(server: SocketAddr, messages: &[Vec<u8>], limit: Duration, is_wanted: impl Fn(&[u8]) -> bool) -> usize {
    let socket = socket(server);
    socket.set_read_timeout(Some(Duration::from_millis(5))).expect("a time limit");
    let end = Instant::now() + limit;
    let mut waiting: std::collections::VecDeque<usize> = (0..messages.len()).collect();
    let mut flying: HashMap<u16, (usize, Instant)> = HashMap::new();
    let (mut id, mut buffer) = (0u16, [0; 4096]);
    let (mut wrong_in_row, mut heard) = (0, None);
    while (!waiting.is_empty() || !flying.is_empty()) && Instant::now() < end {
        while flying.len() < WINDOW {
            let Some(which) = waiting.pop_front() else { break };
            id = id.wrapping_add(1);
            let mut message = messages[which].clone();
            message[..2].copy_from_slice(&id.to_be_bytes());
            let _ = socket.send(&message);
            flying.insert(id, (which, Instant::now()));
        }
        match socket.recv(&mut buffer) {
            Ok(len) if len >= HEADER_OCTETS => {
                heard = heard.or_else(|| Some(Instant::now()));
                let Some((which, _)) = flying.remove(&u16::from_be_bytes([buffer[0], buffer[1]])) else { continue };
                if is_wanted(&buffer[..len]) {
                    wrong_in_row = 0;
                } else {
                    waiting.push_back(which);
                    wrong_in_row += 1;
                    // Nothing is ready: leave the cores to who is measured.
                    if wrong_in_row >= WINDOW {
                        std::thread::sleep(Duration::from_millis(5));
                        wrong_in_row = 0;
                    }
                }
            }
            _ => {
                let now = Instant::now();
                // While nobody listens every datagram is lost at once.
                let patience = |sent| if heard.is_some_and(|at| sent > at) { AGAIN } else { AGAIN / 50 };
                let is_late = |sent| now - sent > patience(sent);
                let late: Vec<u16> = flying.iter().filter(|(_, (_, sent))| is_late(*sent)).map(|(id, _)| *id).collect();
                for id in late {
                    waiting.extend(flying.remove(&id).map(|(which, _)| which));
                }
            }
        }
    }
    waiting.len() + flying.len()
}
