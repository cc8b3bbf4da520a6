"""A socket on which a pool tells its own user what it does: `ferrule top` reads it.

A request is a line; to `stats` the pool answers with one line of JSON, the fields of `PoolStats`. Any number of
requests may follow one another. Sockets are in a directory that is their user's alone, named by the process of the
pool: `pool-PID-NUMBER.sock` in `$XDG_RUNTIME_DIR/ferrule`, or in `ferrule-UID` of the temporary directory where that
variable is not set. `FERRULE_POOL_SOCKET` names another path.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import os
import re
import socket
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from ferrule.errors import ConfigError
from ferrule.pool.arguments import SOCKET_VARIABLE

__all__ = ["STATS_REQUEST", "MetricsSocket", "open_socket", "sockets"]

_logger = logging.getLogger("ferrule.pool")

STATS_REQUEST: Final = b"stats\n"

MAX_REQUEST_BYTES: Final = 1024

MAX_CONVERSATIONS: Final = 16
"""Conversations at once; one more ends the oldest."""

_NAME: Final = re.compile(r"pool-(\d+)-\d+\.sock")

_numbers = itertools.count(1)


class MetricsSocket:
    """The pool's side.

    Args:
        stats: What the pool does, as values that `json` writes; called on another thread than the loop's, once for each
            request: hundreds of plugins take milliseconds.
        path: The path of the socket; default that of `FERRULE_POOL_SOCKET`, else one in this user's directory.
    """

    def __init__(self, stats: Callable[[], dict[str, Any]], path: str | None = None) -> None:
        self._stats = stats
        self._given = path or os.environ.get(SOCKET_VARIABLE)
        self._server: asyncio.Server | None = None
        self._conversations: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._process_id = os.getpid()
        self.path = ""

    async def open(self) -> None:
        """Listens.

        Raises:
            ConfigError: The path cannot be listened on, or somebody listens there.
        """
        self._process_id = os.getpid()
        self.path = self._given or _own_path(self._process_id)
        listener = self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            _remove_left_over(self.path)
            # Linux makes the file with the mode that the socket has; elsewhere the mode follows at once.
            os.fchmod(listener.fileno(), stat.S_IRUSR | stat.S_IWUSR)
            listener.bind(self.path)
            os.chmod(self.path, stat.S_IRUSR | stat.S_IWUSR)  # noqa: PTH101 - a path as it was given.
            self._server = await asyncio.start_unix_server(self._converse, sock=listener, limit=MAX_REQUEST_BYTES)
        except OSError as error:
            listener.close()
            raise ConfigError(
                f"the pool cannot listen on {self.path}: {error.strerror or error}",
                hint=f"Set {SOCKET_VARIABLE} to another path, in a directory of this user's.",
                code="config.invalid",
            ) from error

    async def close(self) -> None:
        """Ends all conversations, and removes the socket. Does nothing in a forked child."""
        server, self._server = self._server, None
        if server is None or os.getpid() != self._process_id:
            return
        server.close()
        for writer in self._conversations.values():
            writer.transport.abort()
        self._remove_file()
        if self._conversations:
            await asyncio.wait(self._conversations)

    def abandon(self) -> None:
        """Removes the socket without waiting; the loop may be closed. Does nothing in a forked child."""
        server, self._server = self._server, None
        if server is not None and os.getpid() == self._process_id:
            self._listener.close()
            self._remove_file()

    def _remove_file(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)  # noqa: PTH108

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task: asyncio.Task[None] | None = asyncio.current_task()
        assert task is not None
        if len(self._conversations) >= MAX_CONVERSATIONS:
            # Those who left without a word make place for those who come.
            self._conversations.pop(next(iter(self._conversations))).transport.abort()
        self._conversations[task] = writer
        try:
            # A line that is too long raises ValueError.
            while request := await reader.readline():
                writer.write(await self._answer(request))
                await writer.drain()
        except (ConnectionError, ValueError):
            pass
        finally:
            self._conversations.pop(task, None)
            writer.close()

    async def _answer(self, request: bytes) -> bytes:
        if request != STATS_REQUEST:
            return b'{"error": "unknown request; there is: stats"}\n'
        return await asyncio.to_thread(lambda: json.dumps(self._stats()).encode() + b"\n")


async def open_socket(setting: bool | str, stats: Callable[[], dict[str, Any]]) -> MetricsSocket | None:
    """The socket that a pool's setting asks for, else `FERRULE_POOL_SOCKET`.

    None with a warning if the variable alone asks for one that cannot be: the program did not ask for it, and a second
    pool of the process cannot have the same path.

    Raises:
        ConfigError: The socket that the setting asks for cannot be listened on.
    """
    listening = MetricsSocket(stats, setting if isinstance(setting, str) and setting else None)
    try:
        await listening.open()
    except ConfigError as error:
        if setting:
            raise
        _logger.warning("no metrics socket: %s", error.message)
        return None
    return listening


def sockets(pid: int | None = None) -> list[tuple[int, Path]]:
    """Process id and path of the sockets of this user's pools, whether or not the pools are still there.

    Args:
        pid: Only those of this process; default of all.
    """
    found = []
    for directory in _directories():
        # One that is missing, or another user's, has none of ours.
        with contextlib.suppress(OSError):
            if directory.stat().st_uid == os.geteuid():
                for path in sorted(directory.iterdir()):
                    named = _NAME.fullmatch(path.name)
                    if named and pid in {None, int(named[1])}:
                        found.append((int(named[1]), path))
    return found


def _directories() -> list[Path]:
    """Where sockets may be: a service may lack the variable that its user's terminal has."""
    user = os.geteuid()
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{user}"
    return [Path(runtime, "ferrule"), Path(tempfile.gettempdir(), f"ferrule-{user}")]


def _own_path(pid: int) -> str:
    """A path for a socket of this process, in a directory without the sockets of processes that were killed."""
    directory = _own_directory()
    for other, path in sockets():
        if path.parent == directory and not _runs(other):
            # Somebody listens: another namespace of processes has one with that number.
            with contextlib.suppress(OSError):
                _remove_left_over(str(path))
    return str(directory / f"pool-{pid}-{next(_numbers)}.sock")


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _own_directory() -> Path:
    """The directory for sockets of this user's pools.

    Raises:
        ConfigError: It cannot be made, or others may write in it.
    """
    runtime, temporary = _directories()
    directory = runtime if os.environ.get("XDG_RUNTIME_DIR") else temporary
    try:
        with contextlib.suppress(FileExistsError):
            directory.mkdir(mode=0o700)
        found = directory.lstat()
    except OSError as error:
        raise ConfigError(f"{directory} cannot be made: {error.strerror}", hint=_HINT, code="config.invalid") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise ConfigError(f"{directory} is not a directory of this user's alone", hint=_HINT, code="config.invalid")
    return directory


_HINT: Final = f"Set {SOCKET_VARIABLE} to a path in a directory of this user's."


def _remove_left_over(path: str) -> None:
    """Removes the socket of a pool that has ended without a word.

    Raises:
        OSError: Somebody listens there.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except FileNotFoundError:
            return
        except ConnectionRefusedError:
            if stat.S_ISSOCK(os.lstat(path).st_mode):
                os.unlink(path)  # noqa: PTH108
            return
    raise OSError("somebody listens there")
