"""A program's system calls refused, as older kernels and some sandboxes do: for good, so in a process of its own."""

import ctypes
import errno
import platform
import struct

NUMBERS = {
    "x86_64": {
        "clone": 56,
        "clone3": 435,
        "close_range": 436,
        "eventfd2": 290,
        "execveat": 322,
        "getdents64": 217,
        "memfd_create": 319,
        "pidfd_open": 434,
        "pidfd_send_signal": 424,
        "statx": 332,
        "waitid": 247,
    },
    "aarch64": {
        "clone": 220,
        "clone3": 435,
        "close_range": 436,
        "eventfd2": 19,
        "execveat": 281,
        "getdents64": 61,
        "memfd_create": 279,
        "pidfd_open": 434,
        "pidfd_send_signal": 424,
        "statx": 291,
        "waitid": 95,
    },
}
"""Of the machines that are known here."""

ALLOW, ERRNO = 0x7FFF0000, 0x00050000
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def refuse(call: str, error: int = errno.ENOSYS, first_argument: int | None = None) -> None:
    """Has a system call fail from now on, if need be only with such a first argument."""
    number = NUMBERS[platform.machine()][call]
    checks = [(LOAD, 0, 0, 16), (JUMP_IF_EQUAL, 0, 1, first_argument)] if first_argument is not None else []
    rows = [(LOAD, 0, 0, 0), (JUMP_IF_EQUAL, 0, len(checks) + 1, number), *checks, (RETURN, 0, 0, ERRNO | error)]
    instructions = b"".join(struct.pack("HBBI", *row) for row in [*rows, (RETURN, 0, 0, ALLOW)])
    code = ctypes.create_string_buffer(instructions)
    program = _Program(len(instructions) // 8, ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
        PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0
    ):
        raise OSError(ctypes.get_errno(), "seccomp")
