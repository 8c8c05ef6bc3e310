//! Batches of datagrams: `recvmmsg`, `sendmmsg`, and the socket options and CPU pinning around them.
//!
//! The standard library can neither receive nor send many datagrams with one system call. Called by `net::udp` only. It
//! knows datagrams and addresses, never what is in them.
//!
//! A [`Batch`] owns a fixed block of memory: for each of [`SLOTS`] slots the bytes, the peer's address and (on
//! wildcard sockets) the control message that names the local address. A reply is written where the query stood and
//! goes out with the same address and control message, so nothing is copied and nothing is allocated after `new`.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::{self, addr_of_mut};

/// Datagrams per system call.
pub(crate) const SLOTS: usize = 64;

/// Octets of a slot: the largest query that is looked at, and the largest reply over UDP. 64 of them fit an L2 cache.
pub(crate) const SLOT_OCTETS: usize = 4096;

/// Room for one `IP_PKTINFO` or `IPV6_PKTINFO` message: a 16-octet header and at most 20 octets of content.
const CONTROL_OCTETS: usize = 64;

/// One datagram's memory. `repr(C, align(64))` keeps slots on cache lines of their own.
#[repr(C, align(64))]
struct Slot {
    bytes: [u8; SLOT_OCTETS],
    control: Control,
    address: libc::sockaddr_storage,
    received: libc::iovec,
    reply: libc::iovec,
    /// Octets received, at most [`SLOT_OCTETS`].
    len: usize,
}

/// A buffer aligned as control messages want it.
#[repr(C, align(8))]
struct Control([u8; CONTROL_OCTETS]);

/// [`SLOTS`] datagrams, received together and answered together.
pub(crate) struct Batch {
    /// Made by [`zeroed_array`], freed in `drop`. A raw pointer, because the kernel's headers below point into the
    /// slots for as long as the batch lives.
    slots: *mut Slot,
    incoming: *mut libc::mmsghdr,
    outgoing: *mut libc::mmsghdr,
    /// Datagrams of the last `receive`.
    received: usize,
    /// Replies queued since then.
    queued: usize,
    /// How many headers in `incoming` the kernel has written to and `receive` must set up again.
    dirty: usize,
    /// Whether the socket is bound to the wildcard address, so that the local address must travel with each datagram.
    wildcard: bool,
}

/// One received datagram.
pub(crate) struct Datagram<'a> {
    /// The whole slot; the datagram is its first `len` octets, the rest is room for the reply.
    pub(crate) buffer: &'a mut [u8],
    /// Octets received, at most [`SLOT_OCTETS`]: of a longer datagram the end is lost, and so it will not parse.
    pub(crate) len: usize,
    /// Who sent it.
    pub(crate) peer: SocketAddr,
}

impl Batch {
    /// Allocates the slots. `wildcard`: the socket is bound to the unspecified address and has had
    /// [`report_local_address`] called on it.
    pub(crate) fn new(wildcard: bool) -> Batch {
        // SAFETY: all three types are plain C data (integers, arrays, raw pointers) for which all-zero bytes are a valid
        // value.
        let (slots, incoming, outgoing) = unsafe { (zeroed_array(), zeroed_array(), zeroed_array()) };
        Batch { slots, incoming, outgoing, received: 0, queued: 0, dirty: SLOTS, wildcard }
    }

    /// Waits for at least one datagram (as the socket's receive timeout allows; not at all if `wait` is false) and
    /// takes what else is there, up to [`SLOTS`]. Returns how many; a timeout is an error of kind `WouldBlock`.
    pub(crate) fn receive(&mut self, socket: BorrowedFd<'_>, wait: bool) -> io::Result<usize> {
        (self.received, self.queued) = (0, 0);
        for i in 0..self.dirty {
            self.prepare(i);
        }
        self.dirty = 0;
        let flags = if wait { libc::MSG_WAITFORONE } else { libc::MSG_DONTWAIT };
        // SAFETY: `incoming` has SLOTS headers, each prepared to point at memory of a slot that outlives the call;
        // the socket is open as long as it is borrowed.
        let n =
            unsafe { libc::recvmmsg(socket.as_raw_fd(), self.incoming, SLOTS as libc::c_uint, flags, ptr::null_mut()) };
        if n < 0 {
            return Err(io::Error::last_os_error());
        }
        self.received = n as usize;
        self.dirty = self.received;
        for i in 0..self.received {
            // SAFETY: i < received <= SLOTS, so both pointers are inside their arrays; nothing else refers to them.
            let (slot, header) = unsafe { (&mut *self.slots.add(i), &*self.incoming.add(i)) };
            slot.len = (header.msg_len as usize).min(SLOT_OCTETS);
        }
        Ok(self.received)
    }

    /// Datagram `index` of the last `receive`; `None` if its peer cannot be answered (no IP address, or port 0).
    pub(crate) fn datagram(&mut self, index: usize) -> Option<Datagram<'_>> {
        assert!(index < self.received, "index of a received datagram");
        // SAFETY: index < received <= SLOTS; `&mut self` makes this the only reference into the slot.
        let slot = unsafe { &mut *self.slots.add(index) };
        let peer = socket_addr(&slot.address)?;
        (peer.port() != 0).then_some(Datagram { buffer: &mut slot.bytes, len: slot.len, peer })
    }

    /// Queues the first `len` octets of slot `index` as the reply to the datagram that came in there. At most once
    /// per datagram.
    pub(crate) fn queue_reply(&mut self, index: usize, len: usize) {
        assert!(index < self.received && self.queued < self.received && len <= SLOT_OCTETS, "one reply per datagram");
        // SAFETY: the assertion keeps all three indices inside their arrays; only raw pointers into the slot are
        // made, which stay valid until `drop`.
        unsafe {
            let slot = self.slots.add(index);
            let request = &(*self.incoming.add(index)).msg_hdr;
            (*slot).reply = libc::iovec { iov_base: addr_of_mut!((*slot).bytes).cast(), iov_len: len };
            let mut header: libc::msghdr = zeroed();
            header.msg_name = request.msg_name;
            header.msg_namelen = request.msg_namelen;
            header.msg_iov = addr_of_mut!((*slot).reply);
            header.msg_iovlen = 1;
            if self.wildcard && request.msg_controllen > 0 {
                header.msg_control = request.msg_control;
                header.msg_controllen = request.msg_controllen;
                answer_from_local_address(request);
            }
            *self.outgoing.add(self.queued) = libc::mmsghdr { msg_hdr: header, msg_len: 0 };
        }
        self.queued += 1;
    }

    /// Sends all queued replies. A reply the kernel refuses (no route, filtered, full buffer) is skipped: the client
    /// asks again. Returns how many went out.
    pub(crate) fn send(&mut self, socket: BorrowedFd<'_>) -> usize {
        let (mut at, mut sent) = (0, 0);
        while at < self.queued {
            // SAFETY: headers at..queued were filled by `queue_reply` and point at memory of slots that live on.
            let n = unsafe {
                libc::sendmmsg(socket.as_raw_fd(), self.outgoing.add(at), (self.queued - at) as libc::c_uint, 0)
            };
            match n {
                1.. => {
                    at += n as usize;
                    sent += n as usize;
                }
                _ if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
                _ => at += 1,
            }
        }
        self.queued = 0;
        sent
    }

    /// Points header `index` at its slot again; the kernel has overwritten its lengths.
    fn prepare(&mut self, index: usize) {
        assert!(index < SLOTS);
        // SAFETY: index < SLOTS; the pointers stored are derived from `slots`, which lives until `drop`.
        unsafe {
            let slot = self.slots.add(index);
            let header = &mut (*self.incoming.add(index)).msg_hdr;
            (*slot).received = libc::iovec { iov_base: addr_of_mut!((*slot).bytes).cast(), iov_len: SLOT_OCTETS };
            header.msg_name = addr_of_mut!((*slot).address).cast();
            header.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            header.msg_iov = addr_of_mut!((*slot).received);
            header.msg_iovlen = 1;
            header.msg_control = addr_of_mut!((*slot).control).cast();
            header.msg_controllen = if self.wildcard { CONTROL_OCTETS } else { 0 };
            header.msg_flags = 0;
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        // SAFETY: each pointer came from `zeroed_array` in `new` and is freed once.
        unsafe {
            free_array(self.slots);
            free_array(self.incoming);
            free_array(self.outgoing);
        }
    }
}

/// An array of [`SLOTS`] zeroed values on the heap.
///
/// # Safety
/// All-zero bytes must be a valid `T`.
unsafe fn zeroed_array<T>() -> *mut T {
    // SAFETY: promised by the caller.
    let array: Box<[T]> = (0..SLOTS).map(|_| unsafe { zeroed() }).collect();
    Box::into_raw(array).cast()
}

/// Frees an array.
///
/// # Safety
/// `array` must come from [`zeroed_array`] of the same type and not be used again.
unsafe fn free_array<T>(array: *mut T) {
    // SAFETY: `zeroed_array` made it from a boxed slice of just this length.
    drop(unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(array, SLOTS)) });
}

/// Clears the interface index of the packet info in `header`'s control messages, so that the reply leaves *from* the
/// address that was asked but by the route the kernel chooses. Link-local addresses keep theirs: they mean nothing
/// without it.
///
/// # Safety
/// `header` must be as `recvmsg` left it, its control buffer alive and not referred to elsewhere.
unsafe fn answer_from_local_address(header: &libc::msghdr) {
    // SAFETY: the CMSG macros walk the buffer within msg_controllen, which the kernel has set; the content of a
    // message of these two types is the structure named, read and written unaligned.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while !message.is_null() {
            match ((*message).cmsg_level, (*message).cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let content = libc::CMSG_DATA(message).cast::<libc::in_pktinfo>();
                    let mut info = content.read_unaligned();
                    info.ipi_ifindex = 0;
                    content.write_unaligned(info);
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let content = libc::CMSG_DATA(message).cast::<libc::in6_pktinfo>();
                    let mut info = content.read_unaligned();
                    if !Ipv6Addr::from(info.ipi6_addr.s6_addr).is_unicast_link_local() {
                        info.ipi6_ifindex = 0;
                        content.write_unaligned(info);
                    }
                }
                _ => {}
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
    }
}

/// The address the kernel wrote, if it is IPv4 or IPv6.
fn socket_addr(storage: &libc::sockaddr_storage) -> Option<SocketAddr> {
    let storage: *const libc::sockaddr_storage = storage;
    // SAFETY: sockaddr_storage is large enough and aligned for both structures, and ss_family says which one it is.
    unsafe {
        match libc::c_int::from((*storage).ss_family) {
            libc::AF_INET => {
                let v4 = &*storage.cast::<libc::sockaddr_in>();
                let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
                Some(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
            }
            libc::AF_INET6 => {
                let v6 = &*storage.cast::<libc::sockaddr_in6>();
                let (ip, port) = (Ipv6Addr::from(v6.sin6_addr.s6_addr), u16::from_be(v6.sin6_port));
                Some(SocketAddrV6::new(ip, port, v6.sin6_flowinfo, v6.sin6_scope_id).into())
            }
            _ => None,
        }
    }
}

/// Asks the kernel to name the local address of each datagram (for sockets bound to the wildcard address).
pub(crate) fn report_local_address(socket: BorrowedFd<'_>, v6: bool) -> io::Result<()> {
    if v6 {
        set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)
    } else {
        set_option(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)
    }
}

/// Makes replies ignore path MTU news and never carry "don't fragment": forged ICMP must not be able to silence us.
/// With replies of at most 1,232 octets by default nothing is fragmented anyway (RFC 9715).
pub(crate) fn ignore_path_mtu(socket: BorrowedFd<'_>, v6: bool) -> io::Result<()> {
    if v6 {
        set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_OMIT)
    } else {
        set_option(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_OMIT)
    }
}

fn set_option(socket: BorrowedFd<'_>, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: the pointer and length describe one c_int, which the kernel only reads.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            ptr::from_ref(&value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;
    use std::time::Duration;

    fn bound(address: &str) -> UdpSocket {
        let socket = UdpSocket::bind(address).expect("a free port");
        socket.set_read_timeout(Some(Duration::from_secs(10))).expect("timeout");
        socket
    }

    /// Receives until `expected` datagrams have come, answering each by its own bytes reversed.
    fn echo_reversed(batch: &mut Batch, server: &UdpSocket, expected: usize) {
        let mut seen = 0;
        while seen < expected {
            let n = batch.receive(server.as_fd(), true).expect("datagrams");
            for i in 0..n {
                let datagram = batch.datagram(i).expect("an IP peer");
                let len = datagram.len;
                datagram.buffer[..len].reverse();
                batch.queue_reply(i, len);
            }
            assert_eq!(batch.send(server.as_fd()), n);
            seen += n;
        }
    }

    #[test]
    fn each_datagram_is_answered_to_its_sender() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let server = bound(address);
            let clients: Vec<_> = (0..100).map(|_| bound(address)).collect();
            for (i, client) in clients.iter().enumerate() {
                client.send_to(&[i as u8, 200], server.local_addr().expect("address")).expect("sent");
            }
            let mut batch = Batch::new(false);
            echo_reversed(&mut batch, &server, clients.len());
            for (i, client) in clients.iter().enumerate() {
                let mut reply = [0; 16];
                let (len, from) = client.recv_from(&mut reply).expect("a reply");
                assert_eq!((&reply[..len], from), (&[200, i as u8][..], server.local_addr().expect("address")));
            }
        }
    }

    #[test]
    fn a_reply_from_a_wildcard_socket_comes_from_the_address_that_was_asked() {
        let server = bound("0.0.0.0:0");
        report_local_address(server.as_fd(), false).expect("option");
        let client = bound("127.0.0.1:0");
        let asked = SocketAddr::from(([127, 0, 0, 77], server.local_addr().expect("address").port()));
        client.send_to(b"ab", asked).expect("sent");
        echo_reversed(&mut Batch::new(true), &server, 1);
        let mut reply = [0; 16];
        assert_eq!(client.recv_from(&mut reply).expect("a reply"), (2, asked));

        let server = bound("[::]:0");
        report_local_address(server.as_fd(), true).expect("option");
        let client = bound("[::1]:0");
        let asked = SocketAddr::from((Ipv6Addr::LOCALHOST, server.local_addr().expect("address").port()));
        client.send_to(b"ab", asked).expect("sent");
        echo_reversed(&mut Batch::new(true), &server, 1);
        assert_eq!(client.recv_from(&mut reply).expect("a reply"), (2, asked));
    }

    #[test]
    fn what_is_longer_than_a_slot_loses_its_end() {
        let (server, client) = (bound("127.0.0.1:0"), bound("127.0.0.1:0"));
        client.send_to(&[7; SLOT_OCTETS + 1], server.local_addr().expect("address")).expect("sent");
        client.send_to(&[7; SLOT_OCTETS], server.local_addr().expect("address")).expect("sent");
        let mut batch = Batch::new(false);
        let mut lengths = Vec::new();
        while lengths.len() < 2 {
            for i in 0..batch.receive(server.as_fd(), true).expect("datagrams") {
                let datagram = batch.datagram(i).expect("an IP peer");
                lengths.push(datagram.len);
            }
        }
        assert_eq!(lengths, [SLOT_OCTETS, SLOT_OCTETS]);
    }

    #[test]
    fn without_waiting_an_empty_socket_would_block() {
        let server = bound("127.0.0.1:0");
        let error = Batch::new(false).receive(server.as_fd(), false).expect_err("nothing is there");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn one_unsendable_reply_does_not_hold_up_the_others() {
        let (server, client) = (bound("127.0.0.1:0"), bound("127.0.0.1:0"));
        client.send_to(b"first", server.local_addr().expect("address")).expect("sent");
        let mut batch = Batch::new(false);
        assert_eq!(batch.receive(server.as_fd(), true).expect("datagram"), 1);
        // port 0 of a peer can be received from but not sent to
        // SAFETY: slot 0 is inside the array and the address family is IPv4.
        unsafe { (*addr_of_mut!((*batch.slots).address).cast::<libc::sockaddr_in>()).sin_port = 0 };
        assert!(batch.datagram(0).is_none(), "port 0 is not offered for an answer");
        batch.queue_reply(0, 5);
        assert_eq!(batch.send(server.as_fd()), 0);
        ignore_path_mtu(server.as_fd(), false).expect("option");
    }
}
