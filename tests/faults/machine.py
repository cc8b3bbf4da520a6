"""What the machine refuses to a program, or does to it behind its back: for good, so in a process of its own."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import resource
import signal
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from integration.seccomp import refuse

OTHER_USER = 64_999
NEW_NAMESPACE, READ_ONLY, REMOUNT, PRIVATE_BELOW = 0x20000, 1, 32, (1 << 18) | (1 << 14)
SMALL_BYTES = 64 << 10
GIVEN_MEMORY_BYTES = 1 << 20
NO_MOUNTS = 77
"""Exit status of a program that may not mount what its row needs."""


def _descriptors(spare: int) -> None:
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + spare, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def _as_another_user() -> None:
    os.setgroups([])
    os.setresgid(OTHER_USER, OTHER_USER, OTHER_USER)
    os.setresuid(OTHER_USER, OTHER_USER, OTHER_USER)


def _processes(_argument: int) -> None:
    _as_another_user()
    resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))


def _address_space(_argument: int) -> None:
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + GIVEN_MEMORY_BYTES, held + GIVEN_MEMORY_BYTES))


def _file_size(_argument: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def _mount(options: str, then: Callable[[str], None] = lambda _path: None) -> None:
    """Puts a file system of its own over the directory for temporary files, which this process alone sees."""
    libc, path = ctypes.CDLL(None, use_errno=True), tempfile.gettempdir()
    if (
        libc.unshare(NEW_NAMESPACE)
        or libc.mount(None, b"/", None, PRIVATE_BELOW, None)
        or libc.mount(b"none", path.encode(), b"tmpfs", 0, options.encode())
    ):
        os._exit(NO_MOUNTS)
    then(path)


def _fill(path: str) -> None:
    with Path(path, "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass


def _seal(path: str) -> None:
    if ctypes.CDLL(None, use_errno=True).mount(None, path.encode(), None, READ_ONLY | REMOUNT, None):
        os._exit(NO_MOUNTS)


def _reaper(_argument: int) -> None:
    """A thread that takes the exit status of every child, as init programs in containers do."""

    def reap() -> None:
        while True:
            try:
                os.waitpid(-1, 0)
            except ChildProcessError:
                # None is there: waits for the next one without taking the processor.
                appeared.wait(0.001)

    appeared = threading.Event()
    threading.Thread(target=reap, daemon=True).start()


def _close_standard(number: int) -> None:
    for descriptor in range(3) if number < 0 else [number]:
        os.close(descriptor)


def _refused(call: str, error: int = errno.ENOSYS) -> Callable[[int], None]:
    return lambda _argument: refuse(call, error)


FAULTS: dict[str, Callable[[int], None]] = {
    "no descriptors": _descriptors,
    "no processes": _processes,
    "no address space": _address_space,
    "no file may grow": _file_size,
    "full": lambda _argument: _mount(f"size={SMALL_BYTES}", _fill),
    "no inodes": lambda _argument: _mount("nr_inodes=1"),
    "read-only": lambda _argument: _mount("", _seal),
    "SIGPIPE at its default": lambda _argument: void(signal.signal(signal.SIGPIPE, signal.SIG_DFL)),
    "SIGCHLD ignored": lambda _argument: void(signal.signal(signal.SIGCHLD, signal.SIG_IGN)),
    "foreign reaper": _reaper,
    "standard descriptor closed": _close_standard,
    "all standard descriptors closed": lambda _argument: _close_standard(-1),
    **{
        f"{call} refused": _refused(call)
        for call in ("clone3", "close_range", "eventfd2", "memfd_create", "pidfd_open", "waitid", "statx", "execveat")
    },
    **{
        f"{call} forbidden": _refused(call, errno.EPERM)
        for call in ("clone3", "close_range", "eventfd2", "memfd_create", "pidfd_open", "statx", "pidfd_send_signal")
    },
}
"""By name; the argument is the row's."""


def void(_value: object) -> None:
    """For what is done for its effect."""
