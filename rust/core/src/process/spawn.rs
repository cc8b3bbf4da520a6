//! Starts a process without copying the host's page tables.
//!
//! A host that orchestrates hundreds of plugins is large, and `fork` copies its page tables each time: 0.8 ms of CPU for
//! a 30 MiB Python process, against 0.13 ms for a child that shares memory until it executes. The standard library has
//! that fast path too, but not together with a parent-death signal. Hence `clone` with the flags that `posix_spawn` uses.
//!
//! The invariant of every `unsafe` block is that of `before_exec.rs`, seen from the parent: what the child was given
//! stays alive and is left alone until the calling thread goes on.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use rustix::process::Pid;

use super::before_exec::{Plan, Step, run_between, run_child};
use super::launch::{Launch, SpawnError, Started, Streams};

/// Stack of the child, for its few frames; `execve` needs none.
const STACK_BYTES: usize = 64 * 1024;

type Stack = Vec<MaybeUninit<u128>>;

/// Starts a child. A child that then failed was started all the same, and has to be reaped.
pub(super) fn start(launch: &Launch<'_>, streams: &Streams<'_>) -> Result<Started, SpawnError> {
    with_plan(launch, streams, |plan| {
        let (pid, pidfd) = match clone(run_child, plan, libc::CLONE_PIDFD | libc::SIGCHLD) {
            // An emulator of another machine, such as QEMU's, refuses the flag.
            Err(SpawnError::Resources(error)) if error.kind() == io::ErrorKind::InvalidInput => {
                clone(run_child, plan, libc::SIGCHLD)?
            }
            cloned => cloned?,
        };
        Ok(Started { pid, pidfd, failure: plan.failure.map(explain) })
    })
}

/// Starts a process with a session of its own that is no child of the host. The process in between that this takes ends
/// without a signal to the host, and is not seen by waits for any child.
pub(super) fn start_orphan(launch: &Launch<'_>, streams: &Streams<'_>) -> Result<(), SpawnError> {
    let mut stack = new_stack();
    with_plan(launch, streams, |plan| {
        plan.orphan_stack = Some(top(&mut stack));
        let (pid, _) = clone(run_between, plan, 0)?;
        // SAFETY: waits for a child of ours, that nobody else knows of.
        while unsafe { libc::waitpid(pid.as_raw_pid(), ptr::null_mut(), libc::__WALL) } < 0
            && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
        {}
        plan.failure.map_or(Ok(()), |failure| Err(explain(failure)))
    })
}

/// Closes a descriptor in each process that is forked off this one and executes nothing. Returns the descriptor that
/// was closed so before, or -1.
pub(super) fn close_in_forks(descriptor: RawFd) -> RawFd {
    static CLOSED_IN_FORKS: AtomicI32 = AtomicI32::new(-1);
    static IS_REGISTERED: AtomicBool = AtomicBool::new(false);
    extern "C" fn close() {
        // SAFETY: async-signal-safe; the descriptor is the fork's own, where nothing uses it.
        unsafe { libc::close(CLOSED_IN_FORKS.swap(-1, Ordering::Relaxed)) };
    }
    if !IS_REGISTERED.swap(true, Ordering::Relaxed) {
        // SAFETY: the handler lives as long as this library, which is never unloaded.
        unsafe { libc::pthread_atfork(None, None, Some(close)) };
    }
    CLOSED_IN_FORKS.swap(descriptor, Ordering::Relaxed)
}

/// The session of this process; 0 if that is of another namespace.
pub(super) fn session() -> libc::pid_t {
    // SAFETY: reads and writes no memory.
    unsafe { libc::getsid(0) }
}

fn explain((step, code): (Step, i32)) -> SpawnError {
    let error = io::Error::from_raw_os_error(code);
    match step {
        Step::Prepare => SpawnError::Resources(error),
        Step::Descriptors => SpawnError::Resources(io::Error::other(format!(
            "the host's descriptors cannot be kept from it, since close_range and /proc/self/fd are refused ({error})"
        ))),
        Step::Directory => SpawnError::Directory(error),
        Step::Execute => SpawnError::Execute(error),
    }
}

/// Calls `act` with a plan that is valid meanwhile.
fn with_plan<T>(
    launch: &Launch<'_>,
    streams: &Streams<'_>,
    act: impl FnOnce(&mut Plan) -> Result<T, SpawnError>,
) -> Result<T, SpawnError> {
    let strings = Strings::of(launch).map_err(SpawnError::Execute)?;
    let (arguments, environment) = (pointers(&strings.arguments), pointers(&strings.environment));
    act(&mut Plan {
        program: strings.program.as_ptr(),
        executable: launch.executable.map_or(-1, |executable| executable.as_raw_fd()),
        arguments: arguments.as_ptr(),
        environment: environment.as_ptr(),
        directory: strings.directory.as_ref().map_or(ptr::null(), |directory| directory.as_ptr()),
        stdin: streams.stdin.map_or(-1, |stdin| stdin.as_raw_fd()),
        stdout: streams.stdout.as_raw_fd(),
        stderr: streams.stderr.as_raw_fd(),
        parent: launch.die_with_host.then(|| rustix::process::getpid().as_raw_pid()),
        limits: [
            launch.limits.memory_bytes.map(|bytes| (libc::RLIMIT_AS, bytes)),
            launch.limits.cpu_seconds.map(|seconds| (libc::RLIMIT_CPU, seconds)),
        ],
        orphan_stack: None,
        failure: None,
    })
}

/// The strings to which a plan points.
struct Strings {
    program: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
    directory: Option<CString>,
}

impl Strings {
    fn of(launch: &Launch<'_>) -> io::Result<Self> {
        let environment = launch.environment.iter().map(|(name, value)| {
            let mut entry = name.clone();
            entry.push("=");
            entry.push(value);
            CString::new(entry.as_bytes())
        });
        Ok(Self {
            program: CString::new(launch.program.as_os_str().as_bytes())?,
            arguments: launch.arguments.iter().map(|text| CString::new(text.as_bytes())).collect::<Result<_, _>>()?,
            environment: environment.collect::<Result<_, _>>()?,
            directory: launch.working_directory.map(|path| CString::new(path.as_os_str().as_bytes())).transpose()?,
        })
    }
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}

fn new_stack() -> Stack {
    vec![MaybeUninit::uninit(); STACK_BYTES / size_of::<u128>()]
}

/// The end of a stack, at which it begins to grow down.
fn top(stack: &mut Stack) -> *mut libc::c_void {
    stack.as_mut_ptr_range().end.cast()
}

/// Starts a process; returns once it has executed or ended.
fn clone(
    run: extern "C" fn(*mut libc::c_void) -> libc::c_int,
    plan: &mut Plan,
    flags: libc::c_int,
) -> Result<(Pid, Option<OwnedFd>), SpawnError> {
    let mut stack = new_stack();
    let flags = flags | libc::CLONE_VM | libc::CLONE_VFORK;
    // SAFETY: the stack grows down from its end, is 16-byte aligned and outlives the child's use of it, because
    // CLONE_VFORK suspends this thread until the child has executed or ended. CLONE_VM makes `plan` shared, and while
    // this thread is suspended the child is its only user. Signals are blocked meanwhile, so that no handler of the
    // host runs in the child. With CLONE_PIDFD the kernel stores a descriptor of ours, close-on-exec, in the fifth
    // argument, which nobody else owns; before Linux 5.2 it ignores the flag, and stores nothing.
    let (pid, pidfd) = unsafe {
        let mut all = MaybeUninit::uninit();
        let mut before = MaybeUninit::uninit();
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), before.as_mut_ptr());
        let mut pidfd: RawFd = -1;
        let pid = libc::clone(run, top(&mut stack), flags, ptr::from_mut(plan).cast(), &raw mut pidfd);
        let error = io::Error::last_os_error();
        libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), ptr::null_mut());
        if pid < 0 {
            return Err(SpawnError::Resources(error));
        }
        (pid, (pidfd >= 0).then(|| OwnedFd::from_raw_fd(pidfd)))
    };
    let pid = Pid::from_raw(pid).ok_or_else(|| io::Error::other("the kernel gave a process id of zero"));
    Ok((pid.map_err(SpawnError::Resources)?, pidfd))
}
