//! A connection to a primary: how it is made, what comes over it message by message, and how slowly it may.
//!
//! In: a [`Target`], and queries to send. Out: framed messages (RFC 1035 §4.2.2, RFC 7766 §8), or the [`Reason`] why none
//! comes. Called by `probe` and `transfer`; knows nothing of what the messages say.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::seen::{Phase, Seen, Transport};
use super::{Bounds, Target, Upstream};
use crate::reason::{Code, Reason};

/// Octets of the read buffer of one connection.
const READ_BUFFER: usize = 128 * 1024;

/// A connection that stands.
pub(super) type Stream = BufReader<TcpStream>;

impl Upstream {
    /// Sends a query over a kept connection, or a new one, and waits until the answer begins. A kept connection that the
    /// primary has closed meanwhile is no failure: the query goes out again over a new one (RFC 7766 §6.2.4).
    pub(super) async fn ask(
        &self,
        target: &Target,
        query: &[u8],
        bounds: &Bounds,
        phase: Phase,
        seen: &mut Seen,
    ) -> Result<Stream, Reason> {
        let framed = framed(query);
        seen.transport = Transport::Tcp;
        while let Some(mut stream) = self.kept.take(target) {
            let asked = Instant::now();
            if is_quiet(&stream) && stream.write_all(&framed).await.is_ok() {
                seen.local = stream.get_ref().local_addr().ok();
                seen.reached(phase);
                if answer_begins(&mut stream, bounds.idle).await? {
                    seen.round_trip = Some(asked.elapsed());
                    return Ok(stream);
                }
            }
        }
        let began = Instant::now();
        let mut stream = connect(target, bounds.connect).await?;
        seen.connected_in = Some(began.elapsed());
        seen.local = stream.get_ref().local_addr().ok();
        seen.reached(phase);
        let asked = Instant::now();
        stream.write_all(&framed).await.map_err(|e| broken(&e))?;
        match timeout(bounds.idle, stream.fill_buf()).await {
            Ok(Ok([])) => return Err(closed()),
            Ok(Ok(_)) => seen.round_trip = Some(asked.elapsed()),
            Ok(Err(error)) => return Err(broken(&error)),
            Err(_) => return Err(silence(bounds.idle)),
        }
        Ok(stream)
    }
}

async fn connect(target: &Target, patience: Duration) -> Result<Stream, Reason> {
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

fn closed() -> Reason {
    Reason::new(Code::TruncatedStream, "the primary closed the connection")
}

/// The system's words without its number: what an operator reads in the status of a primary.
fn in_words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error ").next().unwrap_or_default().to_lowercase()
}

/// Nothing has come over a kept connection since its last answer was complete, not even its end: what has would be read
/// as the answer to the next query.
fn is_quiet(stream: &Stream) -> bool {
    let read = stream.get_ref().try_read(&mut [0]);
    read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

/// Waits for the first octet of the answer; false if the connection turns out to be closed.
async fn answer_begins(stream: &mut Stream, idle: Duration) -> Result<bool, Reason> {
    match timeout(idle, stream.fill_buf()).await {
        Ok(Ok(octets)) => Ok(!octets.is_empty()),
        Ok(Err(_)) => Ok(false),
        Err(_) => Err(silence(idle)),
    }
}

pub(super) fn silence(idle: Duration) -> Reason {
    Reason::new(Code::IdleTimeout, format!("no answer for {} s ([transfer] idle-timeout)", idle.as_secs_f64()))
}

/// Reads one framed message into `message`, replacing what it held (RFC 1035 §4.2.2). A message may take any time as
/// long as octets come: how fast they must come is for `pace` to say.
pub(super) async fn read_message(
    stream: &mut Stream,
    message: &mut Vec<u8>,
    pace: &mut Pace,
    bounds: &Bounds,
) -> Result<(), Reason> {
    message.clear();
    let (mut length, mut got) = ([0; 2], 0);
    loop {
        let octets = match timeout(bounds.idle, stream.fill_buf()).await {
            Ok(Ok([])) => return Err(closed()),
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
pub(super) struct Pace {
    octets: u64,
    window_began: Instant,
    octets_then: u64,
}

impl Pace {
    pub(super) fn new() -> Pace {
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
