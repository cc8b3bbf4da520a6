//! The code of a child before it executes its program.
//!
//! The invariant of every `unsafe` block: between `clone` and `execve` the child runs on its own stack in the parent's
//! memory while the calling thread is suspended; it calls async-signal-safe functions only, allocates nothing, frees
//! nothing, never unwinds, and writes to nothing of the parent's but its own `Plan`.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;
use std::os::fd::RawFd;
use std::ptr;

/// The type of a limit's number, which glibc and musl do not agree on.
#[cfg(target_env = "gnu")]
type Resource = libc::__rlimit_resource_t;
#[cfg(not(target_env = "gnu"))]
type Resource = libc::c_int;

/// The instructions for the child, and the place for its failure.
pub(super) struct Plan {
    pub(super) program: *const libc::c_char,
    /// The descriptor that is executed instead of the program, or -1.
    pub(super) executable: RawFd,
    pub(super) arguments: *const *const libc::c_char,
    pub(super) environment: *const *const libc::c_char,
    pub(super) directory: *const libc::c_char,
    /// The host's own standard input, if -1.
    pub(super) stdin: RawFd,
    pub(super) stdout: RawFd,
    pub(super) stderr: RawFd,
    pub(super) parent: Option<libc::pid_t>,
    pub(super) limits: [Option<(Resource, libc::rlim_t)>; 2],
    /// The child's stack if a process in between starts it, which ends at once, so that the host is not its parent.
    pub(super) orphan_stack: Option<*mut libc::c_void>,
    pub(super) failure: Option<(Step, i32)>,
}

#[derive(Clone, Copy)]
pub(super) enum Step {
    Prepare,
    Descriptors,
    Directory,
    Execute,
}

/// Runs in the child until its program takes over.
pub(super) extern "C" fn run_child(plan: *mut libc::c_void) -> libc::c_int {
    // SAFETY: `plan` is the one that `clone` was called with, alive and not accessed by anyone else.
    let plan = unsafe { &mut *plan.cast::<Plan>() };
    // SAFETY: async-signal-safe calls on pointers that the suspended parent keeps alive.
    unsafe {
        plan.failure = Some(prepare_and_execute(plan));
        libc::_exit(127)
    }
}

/// Runs in the process in between.
pub(super) extern "C" fn run_between(plan: *mut libc::c_void) -> libc::c_int {
    // SAFETY: as in `run_child`; the child in turn has a stack of its own, and CLONE_VFORK suspends this process.
    unsafe {
        let plan = plan.cast::<Plan>();
        if let Some(stack) = (*plan).orphan_stack {
            let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
            if libc::clone(run_child, stack, flags, plan.cast()) < 0 {
                (*plan).failure = Some((Step::Prepare, errno()));
            }
        }
        libc::_exit(0)
    }
}

/// Returns only after a failure.
unsafe fn prepare_and_execute(plan: &Plan) -> (Step, i32) {
    // SAFETY: see `run_child`, the only caller.
    unsafe {
        let leads = if plan.orphan_stack.is_some() { libc::setsid() } else { libc::setpgid(0, 0) };
        if leads < 0 {
            return (Step::Prepare, errno());
        }
        if let Some(parent) = plan.parent {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            // The host may have died before the line above took effect.
            if libc::getppid() != parent {
                libc::_exit(127);
            }
        }
        for (stream, standard) in [(plan.stdin, 0), (plan.stdout, 1), (plan.stderr, 2)] {
            if stream >= 0 && libc::dup2(stream, standard) < 0 {
                return (Step::Prepare, errno());
            }
        }
        if !keep_descriptors() {
            return (Step::Descriptors, errno());
        }
        if !plan.directory.is_null() && libc::chdir(plan.directory) != 0 {
            return (Step::Directory, errno());
        }
        for (resource, limit) in plan.limits.into_iter().flatten() {
            if !restrict(resource, limit) {
                return (Step::Prepare, errno());
            }
        }
        restore_signals();
        if plan.executable < 0 {
            libc::execve(plan.program, plan.arguments, plan.environment);
        } else {
            execute_descriptor(plan);
        }
        (Step::Execute, errno())
    }
}

const CLOSE_RANGE_CLOEXEC: u32 = 4;

/// Keeps all descriptors but the standard streams from the program: libraries in the host may have opened some without
/// O_CLOEXEC.
unsafe fn keep_descriptors() -> bool {
    // SAFETY: see `run_child`.
    unsafe {
        // Kernels before 5.11 do not know the flag, before 5.9 the call, and some sandboxes refuse it.
        libc::syscall(libc::SYS_close_range, 3, u32::MAX, CLOSE_RANGE_CLOEXEC) == 0 || keep_listed() || keep_possible()
    }
}

/// Keeps the descriptors that `/proc/self/fd` lists from the program.
unsafe fn keep_listed() -> bool {
    // SAFETY: see `run_child`. The kernel fills no more of the buffer than it says.
    unsafe {
        let listing = libc::open(c"/proc/self/fd".as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC);
        if listing < 0 {
            return false;
        }
        let mut records = [0_u8; 4096];
        loop {
            let count = libc::syscall(libc::SYS_getdents64, listing, records.as_mut_ptr(), records.len());
            let Some(filled) = usize::try_from(count).ok().and_then(|count| records.get(..count)) else { return false };
            if filled.is_empty() {
                return true;
            }
            each_descriptor(filled, |descriptor| {
                libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC);
            });
        }
    }
}

/// Passes on the numbers among the names in records of a directory (`struct linux_dirent64`), but for the standard
/// streams'.
fn each_descriptor(mut records: &[u8], mut found: impl FnMut(RawFd)) {
    /// Offset in a record of its length, two bytes, and its name, which ends with a zero.
    const LENGTH: usize = 16;
    const NAME: usize = 19;
    while let Some(length) = records.get(LENGTH..).and_then(<[u8]>::first_chunk) {
        let Some((record, rest)) = records.split_at_checked(usize::from(u16::from_ne_bytes(*length))) else { return };
        let name = record.get(NAME..).and_then(|name| name.split(|byte| *byte == 0).next());
        let number = name.and_then(|name| std::str::from_utf8(name).ok()?.parse().ok());
        if let Some(descriptor) = number.filter(|number| *number > libc::STDERR_FILENO) {
            found(descriptor);
        }
        // A record of no length would be read for ever.
        if record.is_empty() {
            return;
        }
        records = rest;
    }
}

/// Keeps the descriptors of all possible numbers from the program, if those are few.
unsafe fn keep_possible() -> bool {
    const MOST: libc::rlim_t = 1 << 20;
    // SAFETY: see `run_child`.
    unsafe {
        let mut limit = MaybeUninit::<libc::rlimit>::zeroed().assume_init();
        // The hard limit: some may have been opened before the host lowered its soft limit.
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) != 0 || limit.rlim_max > MOST {
            return false;
        }
        for descriptor in libc::STDERR_FILENO + 1..RawFd::try_from(limit.rlim_max).unwrap_or(RawFd::MAX) {
            libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC);
        }
        true
    }
}

/// Sets the soft and the hard limit, so that the program cannot raise it again. A lower limit of the host stays.
unsafe fn restrict(resource: Resource, limit: libc::rlim_t) -> bool {
    // SAFETY: see `run_child`.
    unsafe {
        let mut own = MaybeUninit::<libc::rlimit>::zeroed().assume_init();
        if libc::getrlimit(resource, &raw mut own) != 0 {
            return false;
        }
        // The hard limit of CPU time is one second more: SIGXCPU at the soft limit tells a program why it ends, SIGKILL
        // at the hard one ends it.
        let spare = libc::rlim_t::from(resource == libc::RLIMIT_CPU);
        let upper = limit.saturating_add(spare).min(own.rlim_max);
        let restricted = libc::rlimit { rlim_cur: limit.min(upper), rlim_max: upper };
        libc::setrlimit(resource, &raw const restricted) == 0
    }
}

/// Executes the plan's descriptor; returns only after a failure.
unsafe fn execute_descriptor(plan: &Plan) {
    // SAFETY: see `run_child`.
    unsafe {
        let execute = || {
            let (path, flags) = (c"".as_ptr(), libc::AT_EMPTY_PATH);
            libc::syscall(libc::SYS_execveat, plan.executable, path, plan.arguments, plan.environment, flags);
        };
        execute();
        if errno() == libc::ENOENT {
            // The interpreter of a script opens it by the name /dev/fd/N, so the descriptor must stay open.
            libc::fcntl(plan.executable, libc::F_SETFD, 0);
            execute();
        }
    }
}

/// Restores the default of ignored signals, and the mask, which both survive `execve`: Python ignores SIGPIPE and
/// SIGXFSZ.
unsafe fn restore_signals() {
    // SAFETY: see `run_child`. Without CLONE_SIGHAND the table of handlers is the child's own.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        libc::signal(libc::SIGXFSZ, libc::SIG_DFL);
        let mut none = MaybeUninit::uninit();
        libc::sigemptyset(none.as_mut_ptr());
        // Handlers of the host must not run here; with the mask open they could until `execve` resets them.
        for signal in 1..=libc::SIGRTMAX() {
            let mut action = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
            if libc::sigaction(signal, ptr::null(), &raw mut action) == 0
                && action.sa_sigaction != libc::SIG_IGN
                && action.sa_sigaction != libc::SIG_DFL
            {
                libc::signal(signal, libc::SIG_DFL);
            }
        }
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut());
    }
}

fn errno() -> i32 {
    // SAFETY: always valid; in the child it is the suspended parent's, which nobody reads meanwhile.
    unsafe { *libc::__errno_location() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str) -> Vec<u8> {
        let length = (19 + name.len() + 1).next_multiple_of(8);
        let mut record = vec![0; length];
        record[16..18].copy_from_slice(&u16::try_from(length).unwrap_or(0).to_ne_bytes());
        record[19..19 + name.len()].copy_from_slice(name.as_bytes());
        record
    }

    fn found(records: &[u8]) -> Vec<RawFd> {
        let mut found = Vec::new();
        each_descriptor(records, |descriptor| found.push(descriptor));
        found
    }

    #[test]
    fn numbers_beyond_the_standard_streams_are_found() {
        let records: Vec<u8> =
            [".", "..", "0", "2", "3", "1048575", "x", "99999999999"].iter().flat_map(|name| record(name)).collect();
        assert_eq!(found(&records), [3, 1_048_575]);
        for end in 0..records.len() {
            assert!([&[][..], &[3], &[3, 1_048_575]].contains(&found(&records[..end]).as_slice()));
        }
        assert!(found(&[0; 64]).is_empty());
    }
}
