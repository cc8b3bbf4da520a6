"""The pool's answers, over its socket."""

import argparse
import asyncio
import json
import os
import socket
from pathlib import Path
from typing import Any, Final, Self

from ferrule.errors import ConfigError, ProtocolError, TransportError
from ferrule.pool.arguments import SOCKET_VARIABLE
from ferrule.pool.metrics_socket import STATS_REQUEST, sockets

__all__ = ["PoolGoneError", "Source", "socket_path"]

MAX_ANSWER_BYTES: Final = 64 * 2**20
NEEDED: Final = frozenset({"name", "state", "pid", "leases", "calls", "age", "restarts"})
"""Fields of a plugin without which there is no row."""

ANSWER_SECONDS: Final = 10.0
"""Limit of one answer: a pool whose loop is blocked for longer is worth a word."""


class PoolGoneError(TransportError):
    """The pool does not answer any more."""


class Source:
    """A conversation with a pool.

    Args:
        path: Its socket.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def __aenter__(self) -> Self:
        try:
            self._reader, self._writer = await asyncio.open_unix_connection(self._path, limit=MAX_ANSWER_BYTES)
        except OSError as error:
            raise TransportError(
                f"no pool answers on {self._path}: {os.strerror(error.errno) if error.errno else error}",
                hint="A pool listens while it is open, with metrics_socket=True.",
                code="pool.not-reached",
            ) from error
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._writer is not None:
            self._writer.close()

    async def stats(self) -> dict[str, Any]:
        """What the pool does now.

        Raises:
            PoolGoneError: The pool has ended.
            TransportError: The pool does not answer in time.
            ProtocolError: The answer is something else.
        """
        assert self._reader is not None
        assert self._writer is not None
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                self._writer.write(STATS_REQUEST)
                line = await self._reader.readline()
        except TimeoutError:
            raise TransportError(
                f"the pool on {self._path} has not answered for {ANSWER_SECONDS:g} s",
                hint="Its event loop is blocked, or its process is stopped.",
                code="pool.not-reached",
            ) from None
        except ConnectionError:
            line = b""
        except ValueError:
            raise ProtocolError(f"the answer of {self._path} has no end", code="pool.not-reached") from None
        if not line.endswith(b"\n"):
            raise PoolGoneError(f"the pool on {self._path} has ended", code="pool.not-reached")
        return _checked(line, self._path)


def _checked(line: bytes, path: str) -> dict[str, Any]:
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError):
        answer = None
    plugins = answer.get("plugins") if isinstance(answer, dict) else None
    if not isinstance(plugins, list) or not all(isinstance(each, dict) and each.keys() >= NEEDED for each in plugins):
        raise ProtocolError(f"what answers on {path} is no pool of this version of Ferrule", code="pool.not-reached")
    found: dict[str, Any] = answer
    return found


def socket_path(options: argparse.Namespace) -> str:
    """The socket that the options mean.

    Raises:
        ConfigError: There is none, or more than one.
    """
    given = options.socket or (os.environ.get(SOCKET_VARIABLE) if options.pid is None else None)
    if given:
        return str(given)
    found = [(pid, path) for pid, path in sockets(options.pid) if _listens(path)]
    if len(found) == 1:
        return str(found[0][1])
    if found:
        lines = "".join(f"\n  --socket {path}    process {pid}" for pid, path in found)
        raise ConfigError(f"there are {len(found)} pools; say which one:{lines}", code="config.invalid")
    of = "no pool of this user" if options.pid is None else f"no pool of process {options.pid}"
    raise ConfigError(
        f"{of} has a metrics socket",
        hint=f"PluginPool(metrics_socket=True) opens one; so does {SOCKET_VARIABLE}=PATH in the pool's environment.",
        code="config.invalid",
    )


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(ANSWER_SECONDS)
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
