"""What the tests have nodes do: functions that Ray pickles by reference."""

from __future__ import annotations

import asyncio
import os
import sys
import threading

from ferrule.pool import Lease
from ferrule.testing import KVStub
from ferrule.testing.kv_pb2 import EchoRequest, PutRequest

WORK_SECONDS = 0.02


async def where(lease: Lease) -> tuple[int, int]:
    """The processes of the actor and of the plugin."""
    return os.getpid(), lease.pid


async def read(lease: Lease, number: int) -> int:
    """Changes nothing."""
    await lease.stub(KVStub).Echo(EchoRequest(payload=b"x" * 64))
    await asyncio.sleep(WORK_SECONDS)
    return number


async def write(lease: Lease, number: int, seconds: float = WORK_SECONDS) -> int:
    """Two Puts with a pause between them; the plugin writes each into its journal."""
    kv = lease.stub(KVStub)
    await kv.Put(PutRequest(key=f"{number}.first", value=b"1"))
    await asyncio.sleep(seconds)
    await kv.Put(PutRequest(key=f"{number}.last", value=b"1"))
    return number


async def fail(lease: Lease, text: str) -> None:
    """Raises."""
    raise ValueError(text)


class UnpicklableError(Exception):
    """Has what cannot be pickled."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = threading.Lock()


async def return_lock(lease: Lease) -> object:
    """Returns what cannot be pickled."""
    return threading.Lock()


async def raise_lock(lease: Lease) -> None:
    """Raises what cannot be pickled."""
    raise UnpicklableError("a lock")


class NoTextError(Exception):
    """Has no text, and cannot be pickled."""

    def __str__(self) -> str:
        raise ValueError("no text")

    def __reduce__(self) -> str:
        raise ValueError("no pickle")


async def fail_without_a_text(lease: Lease) -> None:
    """Raises what cannot be told."""
    raise NoTextError


async def leave(lease: Lease) -> None:
    """Would end the process of a script."""
    sys.exit(3)
