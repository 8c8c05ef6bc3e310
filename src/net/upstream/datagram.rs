//! One query over UDP, from a fresh random port, and what comes back to it.

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::net::UdpSocket;

use super::Target;

/// Octets of an answer that are taken: more than any server sends to one that offers 1232.
const ANSWER_OCTETS_MAX: usize = 4096;

/// A query that is out. The socket is connected, so it takes datagrams from the asked address only (B27), and tells when
/// nothing listens there.
#[derive(Debug)]
pub(super) struct Datagram {
    socket: UdpSocket,
}

impl Datagram {
    pub(super) async fn send(target: &Target, query: &[u8]) -> io::Result<Datagram> {
        let local = SocketAddr::new(target.source.unwrap_or(unspecified(target.address)), 0);
        let socket = UdpSocket::bind(local).await?;
        socket.connect(target.address).await?;
        socket.send(query).await?;
        Ok(Datagram { socket })
    }

    /// The address it left from.
    pub(super) fn local(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok()
    }

    /// The next datagram of the primary, which may be anybody's.
    pub(super) async fn receive(&self) -> io::Result<Vec<u8>> {
        let mut buffer = [0; ANSWER_OCTETS_MAX];
        let received = self.socket.recv(&mut buffer).await?;
        Ok(buffer[..received].to_vec())
    }
}

fn unspecified(remote: SocketAddr) -> IpAddr {
    match remote {
        SocketAddr::V4(_) => IpAddr::from([0; 4]),
        SocketAddr::V6(_) => IpAddr::from([0; 16]),
    }
}
