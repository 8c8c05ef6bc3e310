//! Addresses that no other test uses: each server has a loopback address of its own, so ports cannot collide.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};

static SERVERS: AtomicU32 = AtomicU32::new(0);
static PORTS: AtomicU32 = AtomicU32::new(0);

/// A free address in 127.64.0.0/10, of this process and of one server.
pub(crate) fn ipv4() -> SocketAddr {
    let process = std::process::id();
    let server = SERVERS.fetch_add(1, Ordering::Relaxed);
    // 14 bits of the process, 8 of the server; the ports differ beside that.
    let [high, low] = [(process >> 8) as u8 & 0x3f | 0x40, process as u8];
    free_port(IpAddr::V4(Ipv4Addr::new(127, high, low, (server % 254 + 1) as u8)))
}

/// A free port on 127.0.0.1, for servers that only know the addresses of interfaces (BIND).
pub(crate) fn localhost() -> SocketAddr {
    free_port(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// A free port on ::1, the only IPv6 loopback address there is.
pub(crate) fn ipv6() -> SocketAddr {
    free_port(IpAddr::V6(Ipv6Addr::LOCALHOST))
}

/// A port that is free for UDP and TCP at `ip`, below the range from which the system takes ports of clients.
fn free_port(ip: IpAddr) -> SocketAddr {
    for _ in 0..10_000 {
        let step = std::process::id().wrapping_mul(97).wrapping_add(PORTS.fetch_add(1, Ordering::Relaxed));
        let address = SocketAddr::new(ip, 20_000 + (step % 12_000) as u16);
        if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no free port at {ip}");
}
