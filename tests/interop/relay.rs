//! Stands before a primary and refuses IXFR; everything else goes through.

use std::io::{Read, Result, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

const IXFR: u16 = 251;
const REFUSED: u8 = 5;

/// A running relay; ended when dropped.
pub(crate) struct Relay {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    refused: AtomicUsize,
    connections: AtomicUsize,
    ended: AtomicBool,
}

impl Relay {
    /// A relay before `primary`, on its IP address, so that NOTIFYs of the primary are those of the relay.
    pub(crate) fn start(primary: SocketAddr) -> Relay {
        let (tcp, udp) = (0..100)
            .find_map(|_| {
                let tcp = TcpListener::bind((primary.ip(), 0)).ok()?;
                let udp = UdpSocket::bind(tcp.local_addr().ok()?).ok()?;
                Some((tcp, udp))
            })
            .expect("a port that is free for both");
        let (address, state) = (tcp.local_addr().expect("bound"), Arc::<State>::default());
        udp.set_read_timeout(Some(Duration::from_millis(200))).expect("timeout");
        let shared = state.clone();
        thread::spawn(move || {
            while !shared.ended.load(Ordering::Relaxed) {
                let _ = relay_datagram(&udp, primary, &shared);
            }
        });
        let shared = state.clone();
        thread::spawn(move || {
            for stream in tcp.incoming().flatten() {
                if shared.ended.load(Ordering::Relaxed) {
                    return;
                }
                shared.connections.fetch_add(1, Ordering::Relaxed);
                let shared = shared.clone();
                thread::spawn(move || relay_stream(stream, primary, &shared));
            }
        });
        Relay { address, state }
    }

    /// Where secondaries ask.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections taken so far.
    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// IXFR questions refused so far.
    pub(crate) fn refused(&self) -> usize {
        self.state.refused.load(Ordering::Relaxed)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address); // wakes the thread that accepts
    }
}

fn relay_datagram(udp: &UdpSocket, primary: SocketAddr, state: &State) -> Result<()> {
    let mut buffer = [0; 65_535];
    let (length, from) = udp.recv_from(&mut buffer)?;
    if let Some(refusal) = refusal(&buffer[..length], state) {
        udp.send_to(&refusal, from)?;
        return Ok(());
    }
    let upper = UdpSocket::bind((primary.ip(), 0))?;
    upper.set_read_timeout(Some(Duration::from_secs(2)))?;
    upper.send_to(&buffer[..length], primary)?;
    let length = upper.recv(&mut buffer)?;
    udp.send_to(&buffer[..length], from)?;
    Ok(())
}

fn relay_stream(mut client: TcpStream, primary: SocketAddr, state: &State) -> Result<()> {
    let mut upper = TcpStream::connect(primary)?;
    let (mut from_upper, mut to_client) = (upper.try_clone()?, client.try_clone()?);
    thread::spawn(move || {
        let _ = std::io::copy(&mut from_upper, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Write);
    });
    loop {
        let mut length = [0; 2];
        client.read_exact(&mut length)?;
        let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
        client.read_exact(&mut message)?;
        let (to, message) = match refusal(&message, state) {
            Some(refusal) => (&mut client, refusal),
            None => (&mut upper, message),
        };
        to.write_all(&(message.len() as u16).to_be_bytes())?;
        to.write_all(&message)?;
    }
}

/// REFUSED with the question of `query`, if that is for IXFR.
fn refusal(query: &[u8], state: &State) -> Option<Vec<u8>> {
    let mut end = 12;
    while *query.get(end)? != 0 {
        end += 1 + usize::from(query[end]);
    }
    end += 5;
    let question = query.get(12..end)?;
    if question[question.len() - 4..question.len() - 2] != IXFR.to_be_bytes() {
        return None;
    }
    state.refused.fetch_add(1, Ordering::Relaxed);
    let mut refusal = query[..end].to_vec();
    refusal[2] |= 0x80;
    refusal[3] = REFUSED;
    refusal[6..12].fill(0);
    Some(refusal)
}
