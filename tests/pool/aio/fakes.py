"""A clock that tests put forward, and plugins that are no processes."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from ferrule.channel import Channel
from ferrule.channel.core_call import EndedCall
from ferrule.channel.status import CANCELLED, DEADLINE_EXCEEDED, UNAVAILABLE
from ferrule.config import ClientConfig
from ferrule.pool import PluginSpec
from ferrule.pool.machine import CpuTime, Memory

__all__ = ["FakeCall", "FakeClient", "FakeClock", "FakeLauncher", "FakeMeter", "turns"]

_pids = itertools.count(2**22 + 1)
"""Above what Linux gives to processes."""


async def turns(number: int = 30) -> None:
    """Lets the loop run until nothing is ready, as long as it takes no more turns."""
    for _ in range(number):
        await asyncio.sleep(0)


class _Timer:
    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class FakeClock:
    """A clock that stands still until `advance`."""

    def __init__(self) -> None:
        self._now = 1_000.0
        self._numbers = itertools.count()
        self._timers: list[tuple[float, int, _Timer]] = []

    def now(self) -> float:
        return self._now

    def call_at(self, when: float, callback: Callable[[], None]) -> _Timer:
        timer = _Timer(callback)
        heapq.heappush(self._timers, (when, next(self._numbers), timer))
        return timer

    @property
    def timers(self) -> int:
        """Timers that are set."""
        return sum(timer.callback is not None for _, _, timer in self._timers)

    async def sleep(self, seconds: float) -> None:
        if seconds > 0:
            future = asyncio.get_running_loop().create_future()
            timer = self.call_at(self._now + seconds, lambda: None if future.done() else future.set_result(None))
            try:
                await future
            finally:
                timer.cancel()

    async def advance(self, seconds: float) -> None:
        """Puts the clock forward: from timer to timer, at each of which the loop runs until nothing is ready."""
        end = self._now + seconds
        await turns()
        while self._timers and self._timers[0][0] <= end:
            when, _, timer = heapq.heappop(self._timers)
            callback, timer.callback = timer.callback, None
            if callback is not None:
                self._now = max(self._now, when)
                callback()
                await turns()
        self._now = end
        await turns()


class FakeCall:
    """A call of the core that ends when the test says so."""

    def __init__(
        self, receiver: Callable[[], object], method: str | bytes, request: bytes | None, timeout: Any
    ) -> None:
        self.method = method
        self.request = request
        self.timeout = timeout
        self.requests: list[bytes] = []
        self.is_finished = False
        self.code: int | None = None
        self.details = self.debug_error_string = ""
        self.begun = self.answered = False
        self.initial_metadata: list[Any] = []
        self.trailing_metadata: list[Any] = []
        self._messages: list[bytes] = []
        self._receiver = receiver

    def holds(self, event: int) -> bool:
        return self.code is not None or (event == 4 and bool(self._messages)) or (event in {1, 8} and self.begun)

    def wait(self, _event: int, _timeout: float | None) -> bool:
        return True

    def message(self) -> bytes | None:
        return self._messages[0] if self._messages else None

    def take(self) -> list[bytes]:
        taken, self._messages = self._messages, []
        return taken

    def send(self, message: bytes) -> bool:
        self.requests.append(message)
        return True

    def finish(self) -> None:
        self.is_finished = True

    def cancel(self, code: int, details: str) -> bool:
        if self.code is not None:
            return False
        self.code, self.details = code, details
        return True

    # What tests do.

    def begin(self) -> None:
        self.begun = True
        self._receiver()

    def deliver(self, *messages: bytes) -> None:
        """Messages of a stream of responses arrive."""
        self.begun = True
        self._messages += messages
        self._receiver()

    def answer(self, *messages: bytes, code: int = 0, details: str = "") -> None:
        """The plugin ends the call."""
        self._messages += messages
        self.end(code, details, begun=True, answered=True)

    def end(self, code: int, details: str, *, begun: bool, answered: bool = False) -> None:
        if self.code is None:
            self.code, self.details, self.begun, self.answered = code, details, begun, answered
            asyncio.get_running_loop().call_soon(self._receiver)


class FakeCore:
    """A channel of the core, whose calls the test answers."""

    def __init__(self, echoes: bool) -> None:
        self.calls: list[FakeCall] = []
        self.echoes = echoes

    def call(
        self,
        _mailbox: Any,
        receiver: Any,
        method: Any,
        request: Any,
        _single: Any,
        _metadata: Any,
        timeout: Any,
        *_: Any,
    ) -> FakeCall | EndedCall:
        call = FakeCall(receiver, method, request, timeout)
        self.calls.append(call)
        if self.echoes:
            loop = asyncio.get_running_loop()
            loop.call_soon(lambda: loop.call_soon(lambda: call.answer(request or b"")))
        return call

    @property
    def live(self) -> list[FakeCall]:
        return [call for call in self.calls if call.code is None]

    def state(self) -> int:
        return 2

    def connect(self) -> None: ...

    def watch_state(self, *_: Any) -> None: ...

    def stats(self) -> dict[str, int]:
        return {}

    def close(self, *_: Any) -> None:
        for call in self.live:
            call.end(CANCELLED, "closed", begun=call.begun)


class FakeClient:
    """A plugin that is no process. Its times are the clock's."""

    def __init__(self, launcher: FakeLauncher, spec: PluginSpec) -> None:
        self.launcher = launcher
        self.spec = spec
        self.config = ClientConfig.of(spec.config)
        self.pid: int | None = None
        self.exit_status: int | None = None
        self.stderr_tail: tuple[str, ...] = ()
        self.stop_report: Any = None
        self.timings = {"launch": 0.01, "handshake": 0.02}
        self.bytes_sent = self.bytes_received = 0
        self.core = FakeCore(launcher.echoes)
        self.grpc_channel: Channel | None = None
        self.exited = asyncio.get_running_loop().create_future()
        self.is_closed = False
        self.shut_down_at: float | None = None

    async def start(self) -> None:
        launcher = self.launcher
        launcher.starting.add(self)
        launcher.most_starting = max(launcher.most_starting, len(launcher.starting))
        self.pid = next(_pids)
        launcher.alive.add(self)
        try:
            await turns(launcher.turns)
            await launcher.clock.sleep(launcher.start_seconds)
            if launcher.gate is not None:
                await launcher.gate.wait()
            if launcher.failures:
                raise launcher.failures.pop(0)
        except BaseException:
            launcher.alive.discard(self)
            raise
        finally:
            launcher.starting.discard(self)
        self.grpc_channel = Channel(self.core, secure=False)  # type: ignore[arg-type]

    async def shutdown_plugin(self) -> None:
        launcher = self.launcher
        self.shut_down_at = launcher.clock.now()
        stopping = launcher.stop_seconds.get(self.pid or 0, launcher.stop_seconds.get(0, 0.0))
        await turns(launcher.turns)
        await launcher.clock.sleep(stopping)
        self.stop_report = SimpleNamespace(rung="shutdown")
        self.die(0, "the plugin ended with exit status 0")

    async def close(self) -> None:
        await asyncio.sleep(0)
        self.die(-9, "closed")
        self.is_closed = True
        channel, self.grpc_channel = self.grpc_channel, None
        if channel is not None:
            await channel.close()

    async def wait_exited(self) -> int | None:
        return await asyncio.shield(self.exited)

    # What tests do.

    def die(self, status: int = -9, details: str = "the plugin ended with signal 9 (SIGKILL)") -> None:
        """The process ends; its calls are told."""
        if self.exit_status is None:
            self.exit_status = status
            self.launcher.alive.discard(self)
            for call in self.core.live:
                call.end(UNAVAILABLE, details, begun=call.begun)
            if not self.exited.done():
                self.exited.set_result(status)

    def expire(self, call: FakeCall) -> None:
        """The deadline of a call comes."""
        call.end(DEADLINE_EXCEEDED, "Deadline Exceeded", begun=call.begun)


class FakeLauncher:
    """Makes plugins that are no processes.

    Attributes:
        clients: All that were made.
        alive: Those with a "process".
        starting: Those that start.
        most_starting: The most that ever started at once.
        start_seconds: What a start takes.
        stop_seconds: What the end of a plugin takes, by pid; 0 for all others.
        failures: Errors of the next starts.
        gate: If set, starts wait for it.
        turns: Turns of the loop that each start and each stop takes beside its time.
        echoes: Whether plugins answer each call by its request.
    """

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.clients: list[FakeClient] = []
        self.alive: set[FakeClient] = set()
        self.starting: set[FakeClient] = set()
        self.most_starting = 0
        self.start_seconds = 1.0
        self.stop_seconds: dict[int, float] = {}
        self.failures: list[BaseException] = []
        self.gate: asyncio.Event | None = None
        self.turns = 0
        self.echoes = False

    def __call__(self, spec: PluginSpec, /) -> Any:
        client = FakeClient(self, spec)
        self.clients.append(client)
        return client

    @property
    def last(self) -> FakeClient:
        return self.clients[-1]

    @property
    def names(self) -> list[str]:
        """The names of the specs in the order of their starts."""
        return [str(client.spec.name) for client in self.clients]


class FakeMeter:
    """Processes of a size that the test says."""

    def __init__(self, private: int = 10 * 2**20) -> None:
        self.private = private
        self.by_pid: dict[int, int] = {}

    def quick(self, pid: int) -> Memory | None:
        return Memory(self.by_pid.get(pid, self.private), 2**20)

    exact = quick

    def cpu(self, _pid: int) -> CpuTime | None:
        return CpuTime(0.5, 0.25)
