//! A connection to a primary: how it is made, what comes over it message by message, and how slowly it may.
//!
//! In: a [`Target`], and queries to send. Out: framed messages (RFC 1035 §4.2.2, RFC 7766 §8), or the [`Reason`] why none
//! comes. Called by `probe` and `transfer`; knows nothing of what the messages say.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::seen::{Phase, Seen, Transport};
use super::{Bounds, Target, Upstream};
use crate::net::tls::{self, Profile, Refusal, TlsSession};
use crate::reason::{Code, Reason};

/// Octets of the read buffer of one connection.
const READ_BUFFER: usize = 128 * 1024;
/// The port of DNS over TLS (RFC 7858 §3.1), and the one beside it in clear text.
const TLS_PORT: u16 = crate::config::DNS_TLS_PORT;
const CLEAR_PORT: u16 = crate::config::DNS_PORT;

/// A connection that stands.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: BufReader<Pipe>,
    local: Option<SocketAddr>,
    tls: Option<TlsSession>,
    fell_back: Option<Reason>,
}

/// What octets go through.
#[derive(Debug)]
pub(super) enum Pipe {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Pipe {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Pipe::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Pipe::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Pipe::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Pipe::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Pipe::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Pipe::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Pipe::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Pipe::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

impl Connection {
    async fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        self.stream.write_all(octets).await?;
        self.stream.flush().await
    }

    /// Nothing has come since the last answer was complete, not even the end of the connection: what has would be read
    /// as the answer to the next query. (What TLS has to say to itself does not count.)
    fn is_quiet(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        Pin::new(&mut self.stream).poll_fill_buf(&mut context).is_pending()
    }

    /// Tells what of the connection an exchange over it has seen.
    fn show(&self, seen: &mut Seen) {
        seen.transport = if self.tls.is_some() { Transport::Tls } else { Transport::Tcp };
        seen.local = self.local;
        seen.tls.clone_from(&self.tls);
        seen.fell_back.clone_from(&self.fell_back);
    }
}

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
    ) -> Result<Connection, Reason> {
        let framed = framed(query);
        while let Some(mut connection) = self.kept.take(target) {
            let asked = Instant::now();
            if connection.is_quiet() && connection.send(&framed).await.is_ok() {
                connection.show(seen);
                seen.reached(phase);
                if answer_begins(&mut connection, bounds.idle).await? {
                    seen.round_trip = Some(asked.elapsed());
                    return Ok(connection);
                }
            }
        }
        let began = Instant::now();
        let mut connection = self.connect(target, bounds, seen).await?;
        seen.connected_in = Some(began.elapsed());
        connection.show(seen);
        seen.reached(phase);
        let asked = Instant::now();
        connection.send(&framed).await.map_err(|e| broken(&e))?;
        match timeout(bounds.idle, connection.stream.fill_buf()).await {
            Ok(Ok([])) => return Err(closed()),
            Ok(Ok(_)) => seen.round_trip = Some(asked.elapsed()),
            Ok(Err(error)) => return Err(broken(&error)),
            Err(_) => return Err(silence(bounds.idle)),
        }
        Ok(connection)
    }

    /// Connects as the target says. Only the opportunistic profile may end in clear text.
    async fn connect(&self, target: &Target, bounds: &Bounds, seen: &mut Seen) -> Result<Connection, Reason> {
        let Some(profile) = &target.tls else {
            let stream = connect_to(target.address, target, bounds.connect).await?;
            return Ok(Connection::over(stream));
        };
        seen.transport = Transport::Tls;
        if !profile.is_opportunistic() {
            return connect_tls(target, profile, bounds.connect, seen).await;
        }
        let why = match self.manners.no_tls(target.address) {
            Some(why) => why,
            None => match connect_tls(target, profile, bounds.connect, seen).await {
                Ok(connection) => return Ok(connection),
                Err(why) => {
                    self.manners.learn_no_tls(target.address, why.clone());
                    why
                }
            },
        };
        let mut address = target.address;
        if address.port() == TLS_PORT {
            address.set_port(CLEAR_PORT);
        }
        (seen.transport, seen.fell_back) = (Transport::Tcp, Some(why.clone()));
        let stream = connect_to(address, target, bounds.connect).await?;
        Ok(Connection { fell_back: Some(why), ..Connection::over(stream) })
    }
}

impl Connection {
    fn over(stream: TcpStream) -> Connection {
        let local = stream.local_addr().ok();
        let stream = BufReader::with_capacity(READ_BUFFER, Pipe::Tcp(stream));
        Connection { stream, local, tls: None, fell_back: None }
    }
}

async fn connect_tls(
    target: &Target,
    profile: &Profile,
    patience: Duration,
    seen: &mut Seen,
) -> Result<Connection, Reason> {
    let stream = connect_to(target.address, target, patience).await?;
    let local = stream.local_addr().ok();
    seen.local = local;
    seen.reached(Phase::Tls);
    match timeout(patience, profile.shake_hands(stream)).await {
        Ok(Ok((stream, session))) => {
            let stream = BufReader::with_capacity(READ_BUFFER, Pipe::Tls(Box::new(stream)));
            Ok(Connection { stream, local, tls: Some(session), fell_back: None })
        }
        Ok(Err(Refusal { reason, session })) => {
            seen.tls = session;
            Err(reason)
        }
        Err(_) => {
            let detail =
                format!("TLS handshake not complete after {} s ([transfer] connect-timeout)", patience.as_secs_f64());
            Err(Reason::new(Code::ConnectTimeout, detail))
        }
    }
}

async fn connect_to(address: SocketAddr, target: &Target, patience: Duration) -> Result<TcpStream, Reason> {
    let attempt = async {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(source) = target.source {
            socket.bind(SocketAddr::new(source, 0))?;
        }
        let stream = socket.connect(address).await?;
        stream.set_nodelay(true)?;
        Ok::<_, io::Error>(stream)
    };
    match timeout(patience, attempt).await {
        Ok(Ok(stream)) => Ok(stream),
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
    tls::failure(error).unwrap_or_else(|| Reason::new(Code::TruncatedStream, in_words(error)))
}

fn closed() -> Reason {
    Reason::new(Code::TruncatedStream, "the primary closed the connection")
}

/// The system's words without its number: what an operator reads in the status of a primary.
fn in_words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error ").next().unwrap_or_default().to_lowercase()
}

/// Waits for the first octet of the answer; false if the connection turns out to be closed.
async fn answer_begins(connection: &mut Connection, idle: Duration) -> Result<bool, Reason> {
    match timeout(idle, connection.stream.fill_buf()).await {
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
    connection: &mut Connection,
    message: &mut Vec<u8>,
    pace: &mut Pace,
    bounds: &Bounds,
) -> Result<(), Reason> {
    let stream = &mut connection.stream;
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
