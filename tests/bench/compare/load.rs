//! Queries: as many as are answered (what does one cost?), or a steady few (how long does one take?).

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Queries on their way at once: a few batches of a server that takes 64 at a time.
const WINDOW: usize = 256;
/// Queries sent in a row before replies are looked for.
const BURST: usize = 32;
/// TCP connections, and queries on their way on each.
const CONNECTIONS: usize = 8;
const PIPELINED: usize = 32;

/// What a closed loop saw.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Answered {
    pub(crate) queries: u64,
    pub(crate) seconds: f64,
    /// Replies by RCODE 0, 3 and any other.
    pub(crate) rcodes: [u64; 3],
}

impl Answered {
    fn count(&mut self, reply: &[u8]) {
        self.queries += 1;
        let kind = match reply.get(3).map_or(15, |octet| octet & 15) {
            0 => 0,
            3 => 1,
            _ => 2,
        };
        self.rcodes[kind] += 1;
    }
}

/// Sends `queries` in turn for `time`, [`WINDOW`] of them on their way. Spins: a core of its own is needed.
pub(crate) fn over_udp(server: SocketAddr, queries: &[Vec<u8>], time: Duration) -> Answered {
    let socket = UdpSocket::bind((server.ip(), 0)).expect("a socket");
    socket.connect(server).expect("an address");
    socket.set_nonblocking(true).expect("non-blocking");
    let (mut answered, mut flying, mut at) = (Answered::default(), 0usize, 0);
    let (began, mut last, mut buffer) = (Instant::now(), Instant::now(), [0; 4096]);
    while began.elapsed() < time {
        while flying + BURST <= WINDOW {
            for _ in 0..BURST {
                if socket.send(&queries[at]).is_err() {
                    break;
                }
                at = (at + 1) % queries.len();
                flying += 1;
            }
            if last.elapsed() > Duration::from_secs(1) {
                break;
            }
        }
        let mut any = false;
        while let Ok(len) = socket.recv(&mut buffer) {
            answered.count(&buffer[..len]);
            flying = flying.saturating_sub(1);
            any = true;
        }
        if any {
            last = Instant::now();
        } else if last.elapsed() > Duration::from_millis(100) {
            // Lost: what is on its way by our count will not come.
            (flying, last) = (0, Instant::now());
        }
    }
    answered.seconds = began.elapsed().as_secs_f64();
    answered
}

/// As [`over_udp`] over a few TCP connections, pipelined.
pub(crate) fn over_tcp(server: SocketAddr, queries: &[Vec<u8>], time: Duration) -> std::io::Result<Answered> {
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        let connection = TcpStream::connect(server)?;
        connection.set_nodelay(true)?;
        connection.set_read_timeout(Some(Duration::from_secs(5)))?;
        connections.push(connection);
    }
    let (mut answered, began, mut at) = (Answered::default(), Instant::now(), 0);
    let (mut out, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
    let mut send = |connection: &mut TcpStream| {
        out.clear();
        for _ in 0..PIPELINED {
            let query = &queries[at];
            at = (at + 1) % queries.len();
            out.extend_from_slice(&(query.len() as u16).to_be_bytes());
            out.extend_from_slice(query);
        }
        connection.write_all(&out)
    };
    for connection in &mut connections {
        send(connection)?;
    }
    while began.elapsed() < time {
        for connection in &mut connections {
            let (mut have, mut replies) = (0, 0);
            while replies < PIPELINED {
                let read = connection.read(&mut buffer[have..])?;
                if read == 0 {
                    return Err(std::io::Error::other("the server has closed a connection in use"));
                }
                have += read;
                let mut start = 0;
                while start + 2 <= have {
                    let end = start + 2 + usize::from(u16::from_be_bytes([buffer[start], buffer[start + 1]]));
                    if end > have {
                        break;
                    }
                    answered.count(&buffer[start + 2..end]);
                    (start, replies) = (end, replies + 1);
                }
                buffer.copy_within(start..have, 0);
                have -= start;
            }
            send(connection)?;
        }
    }
    answered.seconds = began.elapsed().as_secs_f64();
    Ok(answered)
}

/// Times from query to reply in milliseconds, one query each `interval`, until `over`. A reply that comes late stands
/// for the queries that would have been sent meanwhile, too; one that does not come within a second counts as one.
pub(crate) fn latencies(server: SocketAddr, queries: &[Vec<u8>], interval: Duration, over: &AtomicBool) -> Vec<f64> {
    let socket = UdpSocket::bind((server.ip(), 0)).expect("a socket");
    socket.connect(server).expect("an address");
    socket.set_read_timeout(Some(Duration::from_secs(1))).expect("a time limit");
    let (mut times, mut buffer, mut number) = (Vec::new(), [0; 4096], 0usize);
    go_first();
    // One at least: a small zone is there before the asker is ready.
    loop {
        let mut query = queries[number % queries.len()].clone();
        number += 1;
        query[..2].copy_from_slice(&(number as u16).to_be_bytes());
        let sent = Instant::now();
        let _ = socket.send(&query);
        while socket.recv(&mut buffer).is_ok() && buffer[..2] != query[..2] {}
        let took = sent.elapsed();
        let mut missed = took;
        times.push(took.as_secs_f64() * 1e3);
        while missed > interval {
            missed -= interval;
            times.push(missed.as_secs_f64() * 1e3);
        }
        if over.load(Ordering::Relaxed) {
            return times;
        }
        std::thread::sleep(interval.saturating_sub(took));
    }
}

/// The value below which this share of `values` lies.
pub(crate) fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let index = ((values.len() as f64 * share) as usize).min(values.len().saturating_sub(1));
    values.get(index).copied().unwrap_or(f64::NAN)
}

/// Gives this thread the highest priority, where the machine lets it: what is measured is the server, not how long the asker
/// itself waits for a processor. It sleeps nearly always, so that nobody has less for it. Not a real-time one: on the machine
/// of the README's figures an idle echo's slowest datagrams then took up to 4 ms instead of 0.1.
fn go_first() {
    let thread = std::fs::read_link("/proc/thread-self").expect("procfs");
    let number = thread.file_name().expect("the number of a thread");
    let _ = std::process::Command::new("renice").args(["-n", "-20", "-p"]).arg(number).output();
}
