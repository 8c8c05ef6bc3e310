//! A connection to a primary, in clear text or over TLS: how it is made, and why it cannot be.
//!
//! Called by the task of a `line`; knows nothing of messages. Only the opportunistic profile may end in clear text.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::manners::Manners;
use super::seen::{Phase, Seen, Transport};
use super::{Bounds, Target};
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
}

/// What is known of a connection that stands.
#[derive(Clone, Debug)]
pub(super) struct Stood {
    /// The address we ask from.
    pub(super) local: Option<SocketAddr>,
    /// How long it took, with the TLS handshake.
    pub(super) connected_in: Duration,
    /// The TLS session.
    pub(super) tls: Option<TlsSession>,
    /// Why there is no TLS although it was tried (opportunistic profile).
    pub(super) fell_back: Option<Reason>,
}

/// Why no connection stands, and how far it came.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    pub(super) reason: Reason,
    phase: Phase,
    transport: Transport,
    local: Option<SocketAddr>,
    tls: Option<TlsSession>,
    fell_back: Option<Reason>,
}

impl Refused {
    /// Nothing stands because of this.
    pub(super) fn because(reason: Reason) -> Refused {
        Refused { reason, phase: Phase::Connect, transport: Transport::Tcp, local: None, tls: None, fell_back: None }
    }

    /// Tells an exchange what was seen.
    pub(super) fn show(&self, seen: &mut Seen) {
        seen.reached(self.phase);
        seen.transport = self.transport;
        seen.local = self.local;
        seen.tls.clone_from(&self.tls);
        seen.fell_back.clone_from(&self.fell_back);
    }
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
    /// Connects as the target says.
    pub(super) async fn make(
        target: &Target,
        bounds: &Bounds,
        manners: &Manners,
    ) -> Result<(Connection, Stood), Refused> {
        let began = Instant::now();
        let Some(profile) = &target.tls else {
            let stream = connect_to(target.address, target, bounds.connect).await.map_err(Refused::because)?;
            return Ok(Connection::clear(stream, began, None));
        };
        if !profile.is_opportunistic() {
            return connect_tls(target, profile, bounds.connect, began).await;
        }
        let why = match manners.no_tls(target.address) {
            Some(why) => why,
            None => match connect_tls(target, profile, bounds.connect, began).await {
                Ok(connected) => return Ok(connected),
                Err(refused) => {
                    manners.learn_no_tls(target.address, refused.reason.clone());
                    refused.reason
                }
            },
        };
        match connect_to(in_clear_text(target.address), target, bounds.connect).await {
            Ok(stream) => Ok(Connection::clear(stream, began, Some(why))),
            Err(reason) => Err(Refused { fell_back: Some(why), ..Refused::because(reason) }),
        }
    }

    fn clear(stream: TcpStream, began: Instant, fell_back: Option<Reason>) -> (Connection, Stood) {
        let local = stream.local_addr().ok();
        let stream = BufReader::with_capacity(READ_BUFFER, Pipe::Tcp(stream));
        (Connection { stream }, Stood { local, connected_in: began.elapsed(), tls: None, fell_back })
    }

    /// Writes octets and sees to it that they leave.
    pub(super) async fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        self.stream.write_all(octets).await?;
        self.stream.flush().await
    }
}

/// Where a primary that gives no TLS at `address` is asked without.
pub(super) fn in_clear_text(mut address: SocketAddr) -> SocketAddr {
    if address.port() == TLS_PORT {
        address.set_port(CLEAR_PORT);
    }
    address
}

async fn connect_tls(
    target: &Target,
    profile: &Profile,
    patience: Duration,
    began: Instant,
) -> Result<(Connection, Stood), Refused> {
    let refused = |reason| Refused { transport: Transport::Tls, ..Refused::because(reason) };
    let stream = connect_to(target.address, target, patience).await.map_err(refused)?;
    let local = stream.local_addr().ok();
    let refused = |reason, tls| Refused { phase: Phase::Tls, local, tls, ..refused(reason) };
    match timeout(patience, profile.shake_hands(stream)).await {
        Ok(Ok((stream, session))) => {
            let stream = BufReader::with_capacity(READ_BUFFER, Pipe::Tls(Box::new(stream)));
            let stood = Stood { local, connected_in: began.elapsed(), tls: Some(session), fell_back: None };
            Ok((Connection { stream }, stood))
        }
        Ok(Err(Refusal { reason, session })) => Err(refused(reason, session)),
        Err(_) => {
            let detail =
                format!("TLS handshake not complete after {} s ([transfer] connect-timeout)", patience.as_secs_f64());
            Err(refused(Reason::new(Code::ConnectTimeout, detail), None))
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

pub(super) fn unconnected(error: &io::Error) -> Reason {
    let code = match error.kind() {
        _ if is_ours(error) => Code::LocalSocket,
        io::ErrorKind::ConnectionRefused => Code::ConnectRefused,
        io::ErrorKind::TimedOut => Code::ConnectTimeout,
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => return broken(error),
        _ => Code::NetUnreachable,
    };
    Reason::new(code, in_words(error))
}

/// Whether it is this host that has nothing to make a socket of, or no address or port for it, whoever was to be asked.
pub(super) fn is_ours(error: &io::Error) -> bool {
    let ours = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::ADDRNOTAVAIL, Errno::ADDRINUSE];
    Errno::from_io_error(error).is_some_and(|errno| ours.contains(&errno))
}

pub(super) fn broken(error: &io::Error) -> Reason {
    tls::unwelcome(error).unwrap_or_else(|| Reason::new(Code::TruncatedStream, in_words(error)))
}

pub(super) fn closed() -> Reason {
    Reason::new(Code::TruncatedStream, "the primary closed the connection")
}

/// The words of the system without its number, those of a library without its address: what an operator reads in the status
/// of a primary.
fn in_words(error: &io::Error) -> String {
    let text = error.to_string();
    let words = text.split(" (os error ").next().unwrap_or_default();
    words.split(": http").next().unwrap_or_default().to_lowercase()
}

/// A message with its length before it.
pub(super) fn framed(message: &[u8]) -> Vec<u8> {
    let mut framed = Vec::with_capacity(message.len() + 2);
    framed.extend_from_slice(&(message.len() as u16).to_be_bytes());
    framed.extend_from_slice(message);
    framed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_host_lacks_is_not_the_primarys_fault() {
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::ADDRNOTAVAIL] {
            assert_eq!(unconnected(&errno.into()).code, Code::LocalSocket, "{errno}");
        }
        for errno in [Errno::NETUNREACH, Errno::HOSTUNREACH, Errno::ACCESS] {
            assert_eq!(unconnected(&errno.into()).code, Code::NetUnreachable, "{errno}");
        }
        assert_eq!(unconnected(&Errno::CONNREFUSED.into()).code, Code::ConnectRefused);
    }
}
