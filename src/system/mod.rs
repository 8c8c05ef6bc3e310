//! System calls that the standard library has no safe form of: the one module of the crate with `unsafe`.
//!
//! Used by the effects and the daemon. [`mmsg`] moves datagrams in batches for the UDP workers; [`give_back_freed_memory`]
//! is called by the store's writer after large changes and by the daemon after loading, [`map_large_allocations`] before
//! anything else, as is [`outlive_file_size_limit`]; [`ready_heap`] by threads that read all zones. [`schedule`] is for the UDP workers, the store's writer and
//! whoever loads zones. Nothing in here knows DNS.

#![allow(unsafe_code)]

pub(crate) mod mmsg;
pub(crate) mod schedule;

/// Larger allocations are mappings of their own: the tables of many zones, and those that sled has for more pages than
/// there ever are.
#[cfg(target_env = "gnu")]
const MAPPED_OCTETS: libc::c_int = 1 << 20;
/// The heap's end goes back to the system when so much of it is free; glibc's default is this or more as soon as one
/// mapping has been freed.
#[cfg(target_env = "gnu")]
const TRIM_OCTETS: libc::c_int = 4 << 20;

/// Has large allocations mapped, from now on. By default glibc raises the size from which it maps, up to 32 MiB, to that of
/// each mapping which is freed; what has many zeros then comes out of freed memory, is written over and takes all its room,
/// where a fresh mapping takes what is used of it. Without glibc nothing happens.
pub(crate) fn map_large_allocations() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes numbers, and changes parameters of malloc (MT-Unsafe only in its first call, mallopt(3): called before
    // the first thread is started).
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_OCTETS);
        libc::mallopt(libc::M_TRIM_THRESHOLD, TRIM_OCTETS);
    }
}

/// Has a write that would make a file larger than the system allows fail like any other, instead of ending the process.
pub(crate) fn outlive_file_size_limit() {
    // SAFETY: SIG_IGN is no code of ours; nothing else in the process handles this signal.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
    }
}

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

/// Has the heap of this thread grow without a system call for each page, which stops all threads that take memory: for one
/// that is about to make very much. glibc makes what it gives to threads other than the first writable as it is asked for, and
/// leaves it so; this asks for much, uses none of it and gives it back. Some 100 us. What makes pages does it step by step, see
/// `zone::heap`, since it knows how much it will be.
pub(crate) fn ready_heap() {
    #[cfg(target_env = "gnu")]
    {
        // What one heap has, in blocks that are not mappings of their own.
        const BLOCK_OCTETS: usize = (MAPPED_OCTETS - 4096) as usize;
        const HEAP_OCTETS: usize = 60 << 20;
        let block = || {
            let mut block = Vec::<u8>::new();
            // where memory is not promised before it is there, less will do
            block.try_reserve_exact(BLOCK_OCTETS).ok().map(|()| std::hint::black_box(block))
        };
        let mut blocks: Vec<Vec<u8>> = (0..HEAP_OCTETS / BLOCK_OCTETS).map_while(|_| block()).collect();
        // The last first, so that each joins the free end.
        while blocks.pop().is_some() {}
    }
}
