//! The ceiling: a process that sends every datagram back, in batches, and does nothing else. No server here can spend
//! less of the kernel's time on a query. With something to do for each it is what the [`crate::bare`] secondary answers by.
#![allow(unsafe_code, reason = "recvmmsg and sendmmsg have no safe form; the crate's own is not public")]

use std::net::UdpSocket;
use std::os::fd::AsRawFd;

const BATCH: usize = 64;
const OCTETS: usize = 4096;

/// Answers each datagram by what `answer` makes of it in place, given how many octets it has; so many are sent. Never
/// returns; the process is killed.
pub(crate) fn run(socket: &UdpSocket, mut answer: impl FnMut(&mut [u8; OCTETS], usize) -> usize) -> ! {
    let fd = socket.as_raw_fd();
    let mut buffers = vec![[0u8; OCTETS]; BATCH];
    // SAFETY: all of these are plain numbers and pointers, for which zero is a value.
    let mut addresses: Vec<libc::sockaddr_in> = vec![unsafe { std::mem::zeroed() }; BATCH];
    let mut vectors: Vec<libc::iovec> = buffers
        .iter_mut()
        .map(|buffer| libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: OCTETS })
        .collect();
    // SAFETY: as above.
    let mut messages: Vec<libc::mmsghdr> = vec![unsafe { std::mem::zeroed() }; BATCH];
    for ((message, vector), address) in messages.iter_mut().zip(&mut vectors).zip(&mut addresses) {
        message.msg_hdr.msg_iov = vector;
        message.msg_hdr.msg_iovlen = 1;
        message.msg_hdr.msg_name = std::ptr::from_mut(address).cast();
    }
    loop {
        for (message, vector) in messages.iter_mut().zip(&mut vectors) {
            message.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as u32;
            vector.iov_len = OCTETS;
        }
        // SAFETY: every message points to a buffer, a vector and an address that live as long as this function.
        let received = unsafe {
            libc::recvmmsg(fd, messages.as_mut_ptr(), BATCH as u32, libc::MSG_WAITFORONE, std::ptr::null_mut())
        };
        let Ok(received) = usize::try_from(received) else { continue };
        for ((vector, message), buffer) in vectors.iter_mut().zip(&messages).zip(&mut buffers).take(received) {
            vector.iov_len = answer(buffer, message.msg_len as usize);
        }
        // SAFETY: as above; the first `received` messages have been filled in.
        unsafe {
            libc::sendmmsg(fd, messages.as_mut_ptr(), received as u32, 0);
        }
    }
}
