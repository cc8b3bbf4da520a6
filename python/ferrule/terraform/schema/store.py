"""A folder of files that may be lost at any time, shared by several processes.

A file is written beside its place and renamed, so that it is whole or absent. Whatever is wrong, nothing raises: a
folder that is full or read-only keeps nothing, and a file that is damaged or of another user is not there.
"""

import os
import stat
import struct
import tempfile
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import reduce
from pathlib import Path
from typing import BinaryIO, Final

__all__ = ["MAX_BYTES", "Store", "default_folder"]

MAX_BYTES: Final = 512 * 1024 * 1024
"""Size of all files together, beyond which the oldest go: room for forty large providers."""
MAX_FILES: Final = 1000
MAX_PARTS: Final = 8
FRESH_SECONDS: Final = 600
"""Age up to which a file that is read needs no new date."""
STALE_SECONDS: Final = 3600
"""Age at which a temporary file is one of a process that has died."""

_MAGIC: Final = b"ferrule store 1\n"
_LENGTH: Final = struct.Struct("<q")
_CHECKSUM: Final = struct.Struct("<I")
_ABSENT: Final = -1
_TEMPORARY: Final = ".new-"
_WRITABLE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH


def default_folder() -> Path | None:
    """`$XDG_CACHE_HOME/ferrule/schemas`, or the one in `~/.cache`; None for a user without a home."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # The XDG Base Directory Specification: a relative path is to be ignored.
    if base.is_absolute():
        return base / "ferrule" / "schemas"
    with suppress(RuntimeError):
        home = Path.home()
        return home / ".cache" / "ferrule" / "schemas" if home.is_absolute() else None
    return None


class Store:
    """Files by name, each with a few parts of bytes, one of which may be None.

    A read makes a file young; of too many the oldest go.
    """

    def __init__(self, folder: Path | None, max_bytes: int = MAX_BYTES) -> None:
        self._folder = folder
        self._max_bytes = max_bytes

    def read(self, name: str) -> list[bytes | None] | None:
        """The parts of a file; None if it is not there, damaged, or of another user."""
        with suppress(OSError, ValueError), os.fdopen(_opened(self._trusted() / name), "rb") as file:
            status = os.fstat(file.fileno())
            _check_owner(status)
            parts = _unpacked(file)
            if time.time() - status.st_mtime > FRESH_SECONDS:
                with suppress(OSError):
                    os.utime(file.fileno())
            return parts
        return None

    def write(self, name: str, parts: Sequence[bytes | None]) -> None:
        """Puts a file in its place, or does nothing."""
        pieces = _packed(parts)
        if sum(map(len, pieces)) > self._max_bytes:
            return
        with suppress(OSError):
            folder = self._trusted(create=True)
            descriptor, path = tempfile.mkstemp(prefix=_TEMPORARY, dir=folder)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.writelines(pieces)
                Path(path).replace(folder / name)
            except BaseException:
                Path(path).unlink(missing_ok=True)
                raise
            self._evict(folder)

    def _trusted(self, create: bool = False) -> Path:
        """The folder.

        Raises:
            OSError: There is none, or others than this user can write to it.
        """
        if self._folder is None:
            raise FileNotFoundError
        if create:
            self._folder.parent.mkdir(parents=True, exist_ok=True)
            self._folder.mkdir(mode=0o700, exist_ok=True)
        _check_owner(self._folder.stat())
        return self._folder

    def _evict(self, folder: Path) -> None:
        total = count = 0
        now = time.time()
        for path, status in sorted(_files(folder), key=lambda each: -each[1].st_mtime_ns):
            total, count = total + status.st_size, count + 1
            stale = path.name.startswith(_TEMPORARY) and now - status.st_mtime > STALE_SECONDS
            if total > self._max_bytes or count > MAX_FILES or stale:
                # Another process may have been faster.
                with suppress(OSError):
                    path.unlink()


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for path in folder.iterdir():
        with suppress(OSError):
            yield path, path.lstat()


def _opened(path: Path) -> int:
    # A link may lead to a file of another user, and a pipe has no end.
    return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


def _check_owner(status: os.stat_result) -> None:
    if status.st_uid != os.geteuid() or status.st_mode & _WRITABLE_BY_OTHERS:
        raise PermissionError


def _packed(parts: Sequence[bytes | None]) -> list[bytes]:
    """The magic, a checksum of all that follows, how many parts there are, the length of each, and the parts."""
    lengths = [_LENGTH.pack(_ABSENT if part is None else len(part)) for part in parts]
    body = [_LENGTH.pack(len(parts)), *lengths, *(part for part in parts if part is not None)]
    return [_MAGIC, _CHECKSUM.pack(_checksum(body)), *body]


def _unpacked(file: BinaryIO) -> list[bytes | None]:
    """The reverse.

    Raises:
        ValueError: The file is of another format, or damaged.
    """
    if file.read(len(_MAGIC)) != _MAGIC:
        raise ValueError
    checksum = file.read(_CHECKSUM.size)
    count = file.read(_LENGTH.size)
    if count != _LENGTH.pack(min(int.from_bytes(count, "little"), MAX_PARTS)):
        raise ValueError
    lengths = file.read(_LENGTH.size * int.from_bytes(count, "little"))
    if len(lengths) % _LENGTH.size:
        raise ValueError
    # No more than there is: a damaged length asks for no memory.
    size = os.fstat(file.fileno()).st_size
    parts = [
        None if length == _ABSENT else file.read(min(max(length, 0), size))
        for (length,) in _LENGTH.iter_unpack(lengths)
    ]
    if checksum != _CHECKSUM.pack(_checksum([count, lengths, *(part or b"" for part in parts), file.read(1)])):
        raise ValueError
    return parts


def _checksum(pieces: Iterable[bytes]) -> int:
    # Of damage, not of malice: only this user can write to the folder.
    return reduce(lambda checksum, piece: zlib.crc32(piece, checksum), pieces, 0)
