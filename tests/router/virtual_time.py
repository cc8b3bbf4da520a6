"""An event loop whose time jumps to the next timer: hours pass in milliseconds, and nothing depends on the machine."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class _JumpingSelector(selectors.SelectSelector):
    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise RuntimeError("everything waits for something that nobody will do")
        if timeout > 0:
            self.loop.virtual_now += timeout
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop that never sleeps."""

    def __init__(self) -> None:
        selector = _JumpingSelector()
        selector.loop = self
        self.virtual_now = 1000.0
        super().__init__(selector)
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self.virtual_now


class VirtualClock:
    """The clock of a router: that of the running `VirtualLoop`."""

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def call_at(self, when: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_at(when, callback)


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Runs a coroutine in virtual time; what the loop could only log is an error."""
    reported: list[dict[str, Any]] = []

    async def watched() -> Result:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
        return await work

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        result = runner.run(watched())
    assert reported == []
    return result
