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

/// `struct sched_attr` in its first version (sched_setattr(2)).
#[repr(C)]
#[derive(Default)]
struct Attributes {
    size: u32,
    policy: u32,
    flags: u64,
    niceness: i32,
    priority: u32,
    /// Of a turn, in nanoseconds; 0 where the kernel has one length for all.
    runtime: u64,
    deadline: u64,
    period: u64,
}

const ATTRIBUTES_OCTETS: u32 = size_of::<Attributes>() as u32;

/// Those of the calling thread, if the system tells them.
fn attributes() -> Option<Attributes> {
    let mut attributes = Attributes::default();
    // SAFETY: the kernel writes no more than the given size, into numbers for which any octets are valid.
    let outcome = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, ATTRIBUTES_OCTETS, 0) };
    (outcome == 0).then_some(Attributes { size: ATTRIBUTES_OCTETS, ..attributes })
}

/// A short turn, the least there is.
const TURN_NANOSECONDS: u64 = 100_000;

/// Has the calling thread ask for turns of 100 us: one that is woken then runs at once, where otherwise whoever has the
/// processor may first end a turn of some milliseconds. Its share of the processor stays what it was, and no privilege is
/// needed. For threads that have little to do and are waited for. Linux before 6.12 has one length for all: nothing changes.
pub(crate) fn take_short_turns() {
    // Who gave this process another kind of scheduling keeps it.
    let ours = attributes().filter(|attributes| attributes.policy == libc::SCHED_OTHER as u32);
    let Some(attributes) = ours else { return };
    let attributes = Attributes { runtime: TURN_NANOSECONDS, ..attributes };
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
    const NICENESS: i32 = 10;
    if attributes().is_some_and(|attributes| attributes.niceness >= NICENESS) {
        return;
    }
    // SAFETY: takes numbers, and changes nothing but how this thread is scheduled: on Linux a thread has a niceness of its own
    // (setpriority(2), "C library/kernel differences"), and everybody may raise it.
    if unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICENESS) } != 0 {
        tracing::debug!(error = %std::io::Error::last_os_error(), "the system keeps the priority of a thread");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        std::thread::spawn(work).join().expect("a thread")
    }

    fn told() -> Attributes {
        attributes().expect("the system tells them")
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
    fn who_gives_way_is_nicer_than_the_rest_of_the_process_and_never_less() {
        let before = told().niceness;
        let after = on_a_thread(|| {
            give_way();
            let once = told().niceness;
            // SAFETY: as in `give_way`.
            unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 15) };
            give_way();
            (once, told().niceness)
        });
        assert_eq!(after, (before.max(10), 15));
        assert_eq!(told().niceness, before);
    }

    #[test]
    fn short_turns_are_known_to_the_kernel_and_change_nothing_else() {
        let before = told();
        let after = on_a_thread(|| {
            take_short_turns();
            told()
        });
        assert_eq!((after.policy, after.niceness), (before.policy, before.niceness));
        // Where each thread has a length of its own, and nobody forbids to ask for another.
        if before.runtime != 0 && before.policy == libc::SCHED_OTHER as u32 {
            assert_eq!(after.runtime, TURN_NANOSECONDS);
        }
    }
}
