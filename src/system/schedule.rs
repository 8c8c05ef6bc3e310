//! Where and when threads run: on which processors, how soon after they are woken, and behind whom.
//!
//! All of it is best effort: a thread that the system does not let have it works all the same.

use std::mem::{MaybeUninit, zeroed};

/// The CPUs this thread may run on, ascending; empty if the kernel does not say.
pub(crate) fn allowed_cpus() -> Vec<usize> {
    let mut set = MaybeUninit::<libc::cpu_set_t>::zeroed();
    // SAFETY: the kernel writes at most the given size into `set`, for which all-zero bytes are valid; CPU_ISSET
    // reads bits below CPU_SETSIZE only.
    unsafe {
        if libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), set.as_mut_ptr()) != 0 {
            return Vec::new();
        }
        let set = set.assume_init();
        (0..libc::CPU_SETSIZE as usize).filter(|&cpu| libc::CPU_ISSET(cpu, &set)).collect()
    }
}

/// Has the calling thread run on `cpus` only, from now on.
pub(crate) fn run_on(cpus: &[usize]) {
    // SAFETY: `set` is a whole zeroed cpu_set_t, CPU_SET writes inside it (cpu < CPU_SETSIZE), the kernel reads it and
    // refuses an empty one.
    unsafe {
        let mut set: libc::cpu_set_t = zeroed();
        cpus.iter().filter(|cpu| **cpu < libc::CPU_SETSIZE as usize).for_each(|cpu| libc::CPU_SET(*cpu, &mut set));
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set);
    }
}

/// Has the calling thread ask for turns of 100 us: one that is woken then runs at once, where otherwise whoever has the
/// processor may first end a turn of some milliseconds. Its share of the processor stays what it was, and no privilege is
/// needed. For threads that have little to do and are waited for. Linux before 6.12 has one length for all and changes nothing.
pub(crate) fn take_short_turns() {
    /// `struct sched_attr` in its first version (sched_setattr(2)).
    #[repr(C)]
    #[derive(Default)]
    struct Attributes {
        size: u32,
        policy: u32,
        flags: u64,
        niceness: i32,
        priority: u32,
        /// Of a turn, in nanoseconds.
        runtime: u64,
        deadline: u64,
        period: u64,
    }
    const OCTETS: u32 = size_of::<Attributes>() as u32;
    let mut attributes = Attributes::default();
    // SAFETY: the kernel writes no more than the given size, into numbers for which any octets are valid.
    let is_known = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, OCTETS, 0) } == 0;
    // Who gave this process another kind of scheduling keeps it.
    if !is_known || attributes.policy != libc::SCHED_OTHER as u32 {
        return;
    }
    attributes.size = OCTETS;
    attributes.runtime = 100_000;
    // SAFETY: the kernel reads the structure, of the size that stands in it, and nothing changes but how this thread is
    // scheduled.
    if unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) } != 0 {
        tracing::debug!(error = %std::io::Error::last_os_error(), "the system keeps the length of a thread's turns");
    }
}

/// Has this thread, and those it starts, give way to the others: a tenth of their share where there are not enough processors
/// for all. The others keep their priority, and who has a processor to itself notices nothing.
pub(crate) fn give_way() {
    /// In the middle between the others' and the least.
    const NICENESS: libc::c_int = 10;
    // SAFETY: takes numbers, and changes nothing but how this thread is scheduled: on Linux a thread has a niceness of its own
    // (setpriority(2), "C library/kernel differences"), and everybody may raise it.
    let outcome = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICENESS) };
    if outcome != 0 {
        tracing::debug!(error = %std::io::Error::last_os_error(), "the system keeps the priority of a thread");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        std::thread::spawn(work).join().expect("a thread")
    }

    /// What the kernel says of the calling thread.
    fn said(file: &str) -> String {
        std::fs::read_to_string(format!("/proc/thread-self/{file}")).expect("procfs")
    }

    /// Field 19 of proc_pid_stat(5).
    fn niceness() -> i32 {
        let stat = said("stat");
        let after_name = stat.rsplit(") ").next().expect("fields");
        after_name.split(' ').nth(16).and_then(|field| field.parse().ok()).expect("a number")
    }

    #[test]
    fn a_thread_runs_on_the_processors_it_is_told_and_on_all_again() {
        let all = allowed_cpus();
        let last = *all.last().expect("at least one");
        let seen = on_a_thread({
            let all = all.clone();
            move || {
                run_on(&[last]);
                let one = allowed_cpus();
                run_on(&[usize::MAX]);
                let still = allowed_cpus();
                run_on(&all);
                (one, still, allowed_cpus())
            }
        });
        assert_eq!(seen, (vec![last], vec![last], all));
    }

    #[test]
    fn who_gives_way_is_nicer_than_the_rest_of_the_process() {
        let before = niceness();
        assert_eq!(on_a_thread(|| (give_way(), niceness()).1), before.max(10));
        assert_eq!(niceness(), before);
    }

    #[test]
    fn short_turns_keep_the_niceness_and_are_known_to_the_kernel() {
        let before = niceness();
        let (after, sched) = on_a_thread(|| (take_short_turns(), (niceness(), said("sched"))).1);
        assert_eq!(after, before);
        // Shown where the kernel has a length for each thread.
        let slice =
            sched.lines().find(|line| line.starts_with("se.slice")).and_then(|line| line.split(':').next_back());
        if let Some(slice) = slice {
            assert_eq!(slice.trim(), "100000");
        }
    }
}
