"""A provider's schema, asked for once by all that want it, and kept on disk for the next process.

The call takes from a third of a second to some seconds with a large provider, and its answer depends on the program
alone. On disk an answer goes by the hash of the program and the version of the protocol. A hash is kept too, by what
tells one file from another at once: a program of 700 MB is not read at each start.
"""

import asyncio
import hashlib
import os
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, TypeVar
from weakref import WeakValueDictionary

from ferrule.terraform.diagnostics import Severity
from ferrule.terraform.errors import InvalidResponseError
from ferrule.terraform.messages import Protocol
from ferrule.terraform.schema.program import Program, digest_of
from ferrule.terraform.schema.provider_schema import ProviderSchema
from ferrule.terraform.schema.store import MAX_BYTES, Store, default_folder

__all__ = ["Answers", "Found", "SchemaCache"]

_Result = TypeVar("_Result")

RACY_NS: Final = 2_000_000_000
"""Age below which a file could change again without a change of its times, so that its hash is not kept."""


class Answers(NamedTuple):
    """What a provider has answered, serialised.

    Attributes:
        schema: The answer to GetProviderSchema.
        identity: The answer to GetResourceIdentitySchemas; None where the provider has no such method.
    """

    schema: bytes
    identity: bytes | None = None


@dataclass(frozen=True)
class Found:
    """A schema, and where it is from.

    Attributes:
        schema: The schema.
        fetched: The caller's own function has fetched it. If not, and if the schema's capabilities lack
            `get_provider_schema_optional`, the caller's process of the provider has still to be called for its schema.
    """

    schema: ProviderSchema
    fetched: bool


class _Flight(Future["ProviderSchema | None"]):
    """A schema that one caller is getting for all that wait; None if that one failed, and the next has to try."""

    def __init__(self) -> None:
        super().__init__()
        # From now on those that wait cannot cancel it.
        self.set_running_or_notify_cancel()


class _Loop:
    """A caller in an event loop."""

    def __init__(self, fetch: Callable[[], Awaitable[Answers]]) -> None:
        self.fetch: Final = fetch

    async def run(self, function: Callable[[], _Result]) -> _Result:
        # A thread of its own: those of the loop's executor may all wait for this very flight.
        done: Future[_Result] = Future()
        done.set_running_or_notify_cancel()
        thread = threading.Thread(target=_complete, args=(done, function), name="ferrule schema")
        try:
            thread.start()
        except RuntimeError:
            # No thread is to be had: the loop stands still for some milliseconds.
            return function()
        result = await asyncio.wrap_future(done)
        # Only its last steps are left of the thread.
        thread.join()
        return result

    async def wait(self, flight: _Flight) -> ProviderSchema | None:
        return await asyncio.wrap_future(flight)


class _Thread:
    """A caller that blocks. Its methods are coroutines that never wait."""

    def __init__(self, fetch: Callable[[], Answers]) -> None:
        self._fetch = fetch

    async def fetch(self) -> Answers:
        return self._fetch()

    async def run(self, function: Callable[[], _Result]) -> _Result:
        return function()

    async def wait(self, flight: _Flight) -> ProviderSchema | None:
        return flight.result()


def _complete(done: "Future[_Result]", function: Callable[[], _Result]) -> None:
    try:
        done.set_result(function())
    except BaseException as error:  # noqa: BLE001 - the caller raises it.
        done.set_exception(error)


_Key = tuple[Program, int]


class SchemaCache:
    """Schemas of providers in `$XDG_CACHE_HOME/ferrule/schemas`, or the one in `~/.cache`, at most 512 MiB.

    Within a process those that ask at the same time wait for one call, and share the schema.

    Args:
        folder: Where else; it is made with mode 0700, and not used if others can write to it. Default None.
        max_bytes: Size beyond which the oldest schemas go; default 512 MiB.

    Example:
        >>> program = program_of(["./terraform-provider-time"])  # doctest: +SKIP
        >>> found = await SchemaCache().schema(program, protocol, fetch)  # doctest: +SKIP
        >>> found.schema.resources["time_sleep"].version  # doctest: +SKIP
        0
    """

    def __init__(self, folder: Path | None = None, max_bytes: int = MAX_BYTES) -> None:
        self._store = Store(folder or default_folder(), max_bytes)
        self._writers: list[threading.Thread] = []

    async def schema(
        self, program: Program | None, protocol: Protocol, fetch: Callable[[], Awaitable[Answers]]
    ) -> Found:
        """The schema of a provider, of this process, from disk, or from the provider.

        Args:
            program: What `program_of` gave before the provider was started, so that no schema is kept as that of a
                newer program. None for a provider whose schema is not kept.
            protocol: The protocol that the provider speaks.
            fetch: Called at most once, if the schema is nowhere.

        Raises:
            InvalidResponseError: The answers are no messages.
            BaseException: What `fetch` raises. Others that wait call their own function then.
        """
        return await self._search(program, protocol, _Loop(fetch))

    def schema_blocking(self, program: Program | None, protocol: Protocol, fetch: Callable[[], Answers]) -> Found:
        """As `schema`, for threads."""
        search = self._search(program, protocol, _Thread(fetch))
        try:
            search.send(None)
        except StopIteration as stop:
            found: Found = stop.value
            return found
        raise AssertionError("nothing in a thread is waited for by a loop")

    def flush(self) -> None:
        """Waits until all schemas of this cache are written, or given up."""
        for writer in self._writers:
            writer.join()
        self._writers.clear()

    async def _search(self, program: Program | None, protocol: Protocol, caller: "_Loop | _Thread") -> Found:
        if program is None:
            answers = await caller.fetch()
            return Found(await caller.run(lambda: ProviderSchema.of(protocol, *answers)), fetched=True)
        key = program, protocol.version
        while not (boarded := _departures.board(key))[1]:
            schema = await caller.wait(boarded[0])
            if schema is not None:
                return Found(schema, fetched=False)
        schema = None
        try:
            schema = await caller.run(lambda: self._load(program, protocol))
            if schema is not None:
                return Found(schema, fetched=False)
            answers = await caller.fetch()
            fetched = await caller.run(lambda: ProviderSchema.of(protocol, *answers))
            if not _has_errors(fetched):
                schema = fetched
                self._write_later(program, protocol, answers)
            return Found(fetched, fetched=True)
        finally:
            _departures.land(key, boarded[0], schema)

    def _load(self, program: Program, protocol: Protocol) -> ProviderSchema | None:
        digest = self._kept_digest(program)
        match self._store.read(_schema_name(digest, protocol)) if digest else None:
            case [bytes() as schema, identity]:
                try:
                    return ProviderSchema.of(protocol, schema, identity)
                except InvalidResponseError:
                    return None
        return None

    def _kept_digest(self, program: Program) -> str | None:
        match self._store.read(_program_name(program)):
            case [bytes() as digest]:
                return digest.decode()
        return None

    def _write_later(self, program: Program, protocol: Protocol, answers: Answers) -> None:
        """Hashes and writes in a thread: the caller has its schema already. The end of the process waits for it."""
        writer = threading.Thread(target=self._write, args=(program, protocol, answers), name="ferrule schema cache")
        self._writers = [each for each in self._writers if each.is_alive()]
        try:
            writer.start()
        except RuntimeError:
            # No thread is to be had; the cache is not worth an error.
            return
        self._writers.append(writer)

    def _write(self, program: Program, protocol: Protocol, answers: Answers) -> None:
        begin = time.time_ns()
        # The schema alone may have gone.
        digest = self._kept_digest(program) or digest_of(program)
        if digest is None:
            return
        self._store.write(_schema_name(digest, protocol), answers)
        if begin - max(program.mtime_ns, program.ctime_ns) > RACY_NS:
            self._store.write(_program_name(program), [digest.encode()])


class _Departures:
    """Flights of this process, and the schemas that are in use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flights: dict[_Key, _Flight] = {}
        self._landed: WeakValueDictionary[_Key, ProviderSchema] = WeakValueDictionary()

    def board(self, key: _Key) -> tuple[_Flight, bool]:
        """The flight for a key, and whether it has begun now and is the caller's to land."""
        with self._lock:
            flight = self._flights.get(key)
            if flight is not None:
                return flight, False
            flight = _Flight()
            schema = self._landed.get(key)
            if schema is not None:
                flight.set_result(schema)
                return flight, False
            self._flights[key] = flight
            return flight, True

    def land(self, key: _Key, flight: _Flight, schema: ProviderSchema | None) -> None:
        with self._lock:
            del self._flights[key]
            if schema is not None:
                self._landed[key] = schema
        flight.set_result(schema)


_departures = _Departures()


def _forget_flights() -> None:
    """After a fork: the threads that would land them are not in the child."""
    global _departures  # noqa: PLW0603
    _departures = _Departures()


os.register_at_fork(after_in_child=_forget_flights)


def _has_errors(schema: ProviderSchema) -> bool:
    found = (*schema.diagnostics, *schema.identity_diagnostics)
    return any(each.severity is Severity.ERROR for each in found)


def _program_name(program: Program) -> str:
    identity = repr(tuple(program)).encode("utf-8", "surrogateescape")
    return f"{hashlib.blake2b(identity, digest_size=20).hexdigest()}.hash"


def _schema_name(digest: str, protocol: Protocol) -> str:
    return f"{digest}-{protocol.version}.schema"
