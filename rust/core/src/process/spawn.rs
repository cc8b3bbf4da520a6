//! Starts a child process without copying the host's page tables.
//!
//! A host that orchestrates hundreds of plugins is large, and `fork` copies its page tables each time: 0.8 ms of CPU for
//! a 30 MiB Python process, against 0.13 ms for a child that shares memory until it executes. The standard library has
//! that fast path too, but not together with a parent-death signal. Hence `clone` with the flags that `posix_spawn` uses.
//!
//! This is the one file with `unsafe`. The invariant of every block: between `clone` and `execve` the child runs on its
//! own stack in the parent's memory while the calling thread is suspended; it calls async-signal-safe functions only,
//! allocates nothing, frees nothing, never unwinds, and writes to nothing of the parent's but its own `Plan`.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::ptr;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::ExitStatus;
use super::launch::{Launch, SpawnError};

/// A started child: leader of its own process group, reaped by [`Child::reap`] alone.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    pidfd: AsyncFd<OwnedFd>,
    /// Read end of its standard output.
    pub stdout: Option<OwnedFd>,
    /// Read end of its standard error.
    pub stderr: Option<OwnedFd>,
}

/// What the child reads and where it leaves its failure.
struct Plan {
    program: *const libc::c_char,
    /// Executed instead of the program, or -1.
    executable: RawFd,
    arguments: *const *const libc::c_char,
    environment: *const *const libc::c_char,
    directory: *const libc::c_char,
    stdout: RawFd,
    stderr: RawFd,
    parent: Option<libc::pid_t>,
    limits: [Option<(libc::__rlimit_resource_t, libc::rlim_t)>; 2],
    failure: Option<(Step, i32)>,
}

#[derive(Clone, Copy)]
enum Step {
    Prepare,
    Directory,
    Execute,
}

/// Enough for the child's few frames and for `execve`, which needs none of its own.
const STACK_BYTES: usize = 64 * 1024;

impl Child {
    /// Starts the child. The calling thread is blocked until the program is executed, a fraction of a millisecond.
    pub fn spawn(launch: &Launch<'_>) -> Result<Self, SpawnError> {
        let (stdout, stdout_write) = pipe().map_err(SpawnError::Resources)?;
        let (stderr, stderr_write) = pipe().map_err(SpawnError::Resources)?;
        let strings = Strings::of(launch).map_err(SpawnError::Execute)?;
        let (arguments, environment) = (pointers(&strings.arguments), pointers(&strings.environment));
        let mut plan = Plan {
            program: strings.program.as_ptr(),
            executable: launch.executable.map_or(-1, |executable| executable.as_raw_fd()),
            arguments: arguments.as_ptr(),
            environment: environment.as_ptr(),
            directory: strings.directory.as_ref().map_or(ptr::null(), |directory| directory.as_ptr()),
            stdout: stdout_write.as_raw_fd(),
            stderr: stderr_write.as_raw_fd(),
            parent: launch.die_with_host.then(|| rustix::process::getpid().as_raw_pid()),
            limits: [
                launch.limits.memory_bytes.map(|bytes| (libc::RLIMIT_AS, bytes)),
                launch.limits.cpu_seconds.map(|seconds| (libc::RLIMIT_CPU, seconds)),
            ],
            failure: None,
        };
        let (pid, pidfd) = clone_and_execute(&mut plan).map_err(SpawnError::Resources)?;
        if let Some((step, code)) = plan.failure {
            reap(&pidfd);
            let error = io::Error::from_raw_os_error(code);
            return Err(match step {
                Step::Prepare => SpawnError::Resources(error),
                Step::Directory => SpawnError::Directory(error),
                Step::Execute => SpawnError::Execute(error),
            });
        }
        // SAFETY: the registration owns the descriptor, which stays open and the same until both are dropped.
        let watched = unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) };
        let pidfd = watched.map_err(|error| {
            let (pidfd, error) = error.into_parts();
            // Errors mean that it has ended already.
            let _ = rustix::process::pidfd_send_signal(&pidfd, Signal::KILL);
            reap(&pidfd);
            SpawnError::Resources(error)
        })?;
        Ok(Self { pid, pidfd, stdout: Some(stdout), stderr: Some(stderr) })
    }

    /// Its process id, which is its process group's id too.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Returns once the process has ended; it stays a zombie, so that its pid still names it.
    pub async fn ended(&self) -> io::Result<()> {
        self.pidfd.readable().await.map(drop)
    }

    /// Collects the status of a child that has ended. From here on the pid may be recycled.
    pub fn reap(&self) -> ExitStatus {
        reap(self.pidfd.get_ref())
    }
}

/// Waits for the end of a child that has ended or is about to.
fn reap(pidfd: &OwnedFd) -> ExitStatus {
    let result =
        rustix::io::retry_on_intr(|| rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED));
    match result {
        Ok(Some(status)) => match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => ExitStatus::Code(code),
            (None, Some(signal)) => ExitStatus::Signal(signal),
            (None, None) => ExitStatus::Unknown,
        },
        // The host's own code waited for any child, and this one was among them.
        Ok(None) | Err(_) => ExitStatus::Unknown,
    }
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    // A host started without standard streams gets 0 to 2 for its pipes; the child could not tell them from its own.
    Ok((above_standard(read)?, above_standard(write)?))
}

fn above_standard(descriptor: OwnedFd) -> io::Result<OwnedFd> {
    if descriptor.as_raw_fd() > libc::STDERR_FILENO {
        return Ok(descriptor);
    }
    Ok(rustix::io::fcntl_dupfd_cloexec(&descriptor, libc::STDERR_FILENO + 1)?)
}

/// Owns what the plan points to.
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

fn clone_and_execute(plan: &mut Plan) -> io::Result<(Pid, OwnedFd)> {
    let mut stack: Vec<MaybeUninit<u128>> = vec![MaybeUninit::uninit(); STACK_BYTES / size_of::<u128>()];
    // SAFETY: the stack grows down from its end, is 16-byte aligned and outlives the child's use of it, because
    // CLONE_VFORK suspends this thread until the child has executed or ended. CLONE_VM makes `plan` shared, and while
    // this thread is suspended the child is its only user. Signals are blocked meanwhile, so that no handler of the
    // host runs in the child. With CLONE_PIDFD (Linux 5.2) the kernel stores a descriptor of ours, close-on-exec, in the
    // fifth argument; nobody else owns it.
    let (pid, pidfd) = unsafe {
        let mut all = MaybeUninit::uninit();
        let mut before = MaybeUninit::uninit();
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), before.as_mut_ptr());
        let top = stack.as_mut_ptr_range().end.cast();
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
        let mut pidfd: RawFd = -1;
        let pid = libc::clone(run_child, top, flags, ptr::from_mut(plan).cast(), &raw mut pidfd);
        let error = io::Error::last_os_error();
        libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), ptr::null_mut());
        if pid < 0 {
            return Err(error);
        }
        (pid, OwnedFd::from_raw_fd(pidfd))
    };
    let pid = Pid::from_raw(pid).ok_or_else(|| io::Error::other("the kernel gave a process id of zero"))?;
    Ok((pid, pidfd))
}

/// The child's whole life before the program takes over.
extern "C" fn run_child(plan: *mut libc::c_void) -> libc::c_int {
    // SAFETY: `plan` is the one `clone_and_execute` was called with, alive and not accessed by anyone else.
    let plan = unsafe { &mut *plan.cast::<Plan>() };
    // SAFETY: async-signal-safe calls on pointers that the suspended parent keeps alive.
    unsafe {
        plan.failure = Some(prepare_and_execute(plan));
        libc::_exit(127)
    }
}

/// Returns only if something failed.
unsafe fn prepare_and_execute(plan: &Plan) -> (Step, i32) {
    // SAFETY: see `run_child`, the only caller.
    unsafe {
        if libc::setpgid(0, 0) != 0 {
            return (Step::Prepare, errno());
        }
        if let Some(parent) = plan.parent {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            // The host may have died before the line above took effect.
            if libc::getppid() != parent {
                libc::_exit(127);
            }
        }
        if libc::dup2(plan.stdout, libc::STDOUT_FILENO) < 0 || libc::dup2(plan.stderr, libc::STDERR_FILENO) < 0 {
            return (Step::Prepare, errno());
        }
        // Descriptors of careless libraries in the host must not leak; kernels before 5.11 do not know the flag.
        libc::syscall(libc::SYS_close_range, 3, u32::MAX, CLOSE_RANGE_CLOEXEC);
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

/// Sets a limit, and the one above it, so that the program cannot raise it again. Where the host's own is lower, that stays.
unsafe fn restrict(resource: libc::__rlimit_resource_t, limit: libc::rlim_t) -> bool {
    // SAFETY: see `run_child`.
    unsafe {
        let mut own = MaybeUninit::<libc::rlimit>::zeroed().assume_init();
        if libc::getrlimit(resource, &raw mut own) != 0 {
            return false;
        }
        // A second more of CPU time: SIGXCPU, by which a program learns why, comes at the lower limit, SIGKILL at the upper.
        let spare = libc::rlim_t::from(resource == libc::RLIMIT_CPU);
        let upper = limit.saturating_add(spare).min(own.rlim_max);
        let restricted = libc::rlimit { rlim_cur: limit.min(upper), rlim_max: upper };
        libc::setrlimit(resource, &raw const restricted) == 0
    }
}

/// Returns only if it failed.
unsafe fn execute_descriptor(plan: &Plan) {
    // SAFETY: see `run_child`.
    unsafe {
        let execute = || {
            let (path, flags) = (c"".as_ptr(), libc::AT_EMPTY_PATH);
            libc::syscall(libc::SYS_execveat, plan.executable, path, plan.arguments, plan.environment, flags);
        };
        execute();
        if errno() == libc::ENOENT {
            // A script: its interpreter opens it by the name /dev/fd/N, so that the descriptor must stay open.
            libc::fcntl(plan.executable, libc::F_SETFD, 0);
            execute();
        }
    }
}

const CLOSE_RANGE_CLOEXEC: u32 = 4;

/// Python ignores SIGPIPE and SIGXFSZ, and ignored signals stay ignored across `execve`; so does the mask.
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
