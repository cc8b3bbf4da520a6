"""The lock of a state file, as the tools take it: fcntl on the file, and a file beside it that names the holder.

Source: OpenTofu v1.12.6, internal/states/statemgr/filesystem.go, internal/flock. A lock of fcntl belongs to a process,
and ends as soon as that closes any descriptor of the file. So all reading goes through the descriptor of the lock while
it is held, and a second lock within the process is refused by a register of its own.
"""

import contextlib
import datetime
import fcntl
import getpass
import json
import os
import socket
import stat
import threading
import uuid
from pathlib import Path
from typing import Final

from ferrule._paths import rooted
from ferrule.terraform.errors import StateError

__all__ = ["StateLock", "read_file"]

FileIdentity = tuple[int, int]
"""Device and inode."""

_held: Final[dict[FileIdentity, "StateLock"]] = {}
_register: Final = threading.RLock()


def _identity(status: os.stat_result) -> FileIdentity:
    return status.st_dev, status.st_ino


class StateLock:
    """A held lock.

    Args:
        path: The state file, or a symbolic link to it; it is created, empty, if it is not there.
        operation: What it is held for, for whoever finds it held.

    Raises:
        StateError: Another program has it, or another part of this one; or it is no regular file.
        ConfigError: The path is relative, and the current directory does not exist any more.
        OSError: The file cannot be opened, or the holder's name not be written.
    """

    def __init__(self, path: Path, operation: str) -> None:
        # The file that a link leads to is the one that others lock. `Path.resolve` has an error of its own for loops.
        self.path = path = Path(os.path.realpath(rooted(path)))
        _check_regular(path)
        self._info_path = path.with_name(f".{path.name.removeprefix('.')}.lock.info")
        self._created = not path.exists()
        with _register:
            self._descriptor = self._locked()
            try:
                # A path need not be text: what is none in it is shown as `?`.
                self._info_path.write_text(_info(path, operation), errors="replace")
                self._info_path.chmod(0o600)
            except BaseException:
                # The error to tell is the first one.
                with contextlib.suppress(OSError):
                    self.release()
                raise

    def _locked(self) -> int:
        while True:
            with contextlib.suppress(FileNotFoundError):
                if _identity(self.path.stat()) in _held:
                    raise self._refusal("this program holds its lock already")
            # A new file is its owner's alone: states have secrets.
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                identity = _identity(os.fstat(descriptor))
                # Another holder may have put a new file in place between the opening and the lock.
                if _identity(self.path.stat()) == identity:
                    _held[identity] = self
                    return descriptor
            except (BlockingIOError, PermissionError):
                os.close(descriptor)
                raise self._refusal("it is locked") from None
            except FileNotFoundError:
                pass
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def _refusal(self, why: str) -> StateError:
        return StateError(
            f"the state file {self.path} cannot be locked: {why}{_holder(self._info_path)}",
            "Wait until that operation has ended.",
            "terraform.state-locked",
        )

    def replace(self, content: bytes) -> None:
        """Puts new content in place of the file's, all of it or nothing, and goes on with the lock.

        Raises:
            OSError: The file cannot be written; it is as before.
        """
        # Without the file's own name, which may be as long as names can be.
        temporary = self.path.with_name(f".{uuid.uuid4().hex}.new")
        # Whoever reads the new file must find it registered: closing it would end its lock.
        with _register:
            descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                with open(descriptor, "wb", closefd=False) as file:
                    file.write(content)
                _keep_owner(descriptor, os.fstat(self._descriptor))
                os.fsync(descriptor)
                # The new file is locked before others can open it, so that the lock has no gap.
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                temporary.replace(self.path)
            except BaseException:
                os.close(descriptor)
                temporary.unlink(missing_ok=True)
                raise
            self._forget()
            self._descriptor = descriptor
            _held[_identity(os.fstat(descriptor))] = self
        self._created = False
        _sync_directory(self.path.parent)

    def read(self) -> bytes:
        """The content of the file."""
        return os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0)

    def _forget(self) -> None:
        del _held[_identity(os.fstat(self._descriptor))]
        os.close(self._descriptor)

    def release(self) -> None:
        """Ends the lock; a file that was made for it and is still empty goes."""
        with _register:
            try:
                # In this order: once the file is gone, the next holder may have come.
                # One that is left is no lock.
                with contextlib.suppress(OSError):
                    self._info_path.unlink()
                if self._created and not os.fstat(self._descriptor).st_size:
                    self.path.unlink(missing_ok=True)
            finally:
                self._forget()


def read_file(path: Path) -> bytes:
    """The content of a state file, through the descriptor of a lock that this process holds on it.

    Raises:
        OSError: The file is not there, or cannot be read.
    """
    with _register:
        held = _held.get(_identity(path.stat()))
        return held.read() if held else path.read_bytes()


def _check_regular(path: Path) -> None:
    """Refuses what a new file must not take the place of, such as /dev/null."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        what = "directory" if stat.S_ISDIR(mode) else "device or pipe"
        raise StateError(f"the state file {path} is a {what}, expected a regular file")


def _keep_owner(descriptor: int, before: os.stat_result) -> None:
    new = os.fstat(descriptor)
    if (new.st_uid, new.st_gid) != (before.st_uid, before.st_gid):
        # Only root may give files away; others own what they write.
        with contextlib.suppress(PermissionError):
            os.fchown(descriptor, before.st_uid, before.st_gid)
    os.fchmod(descriptor, before.st_mode & 0o7777)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _info(path: Path, operation: str) -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = ""
    info = {
        "ID": str(uuid.uuid4()),
        "Operation": operation,
        "Info": "",
        "Who": f"{user}@{socket.gethostname()}",
        "Version": "ferrule",
        "Created": datetime.datetime.now(datetime.UTC).isoformat().replace("+00:00", "Z"),
        "Path": str(path),
    }
    return json.dumps(info, ensure_ascii=False, separators=(",", ":"))


def _holder(info_path: Path) -> str:
    """Words for the one who holds a lock, as far as the file beside it tells."""
    try:
        info = json.loads(info_path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return ", by a program that has not left its name"
    if not isinstance(info, dict):
        return ""
    who, operation, created, id_ = (str(info.get(name, "?"))[:200] for name in ("Who", "Operation", "Created", "ID"))
    return f", by {who} since {created} ({operation}, lock {id_})"
