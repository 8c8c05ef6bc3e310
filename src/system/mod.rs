//! System calls that the standard library has no safe form of: the one module of the crate with `unsafe`.
//!
//! Used by the effects and the daemon. [`mmsg`] moves datagrams in batches for the UDP workers; [`give_back_freed_memory`]
//! is called by the store's writer after large changes and by the daemon after loading. Nothing in here knows DNS.

#![allow(unsafe_code)]

pub(crate) mod mmsg;

/// Returns freed heap memory to the system. glibc keeps what was freed between blocks that still live, and a zone that
/// was received into large buffers and is kept as small pages leaves much of that. Some milliseconds; other threads that
/// allocate meanwhile may wait. Without glibc nothing happens.
pub(crate) fn give_back_freed_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes a number, and locks what it changes by itself (MT-Safe, malloc_trim(3)).
    unsafe {
        libc::malloc_trim(0);
    }
}
