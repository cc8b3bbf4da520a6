"""The signal handlers of a plugin."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import threading

from ferrule.server.signals import Signals
from waiting import LIMIT, until


async def test_system_calls_of_other_threads_go_on() -> None:
    library = ctypes.CDLL(None)
    reading, writing = os.pipe()
    counts: list[int] = []
    by_loop, at_once = asyncio.Event(), asyncio.Event()
    signals = Signals({signal.SIGTERM: by_loop.set}, {signal.SIGTERM: at_once.set})
    # In C: Python's own calls are begun anew by Python.
    thread = threading.Thread(target=lambda: counts.append(library.read(reading, ctypes.create_string_buffer(1), 1)))
    thread.start()
    try:
        for _ in range(10):
            by_loop.clear()
            at_once.clear()
            signal.pthread_kill(thread.ident or 0, signal.SIGTERM)
            await asyncio.wait_for(by_loop.wait(), LIMIT)
            assert at_once.is_set()
            await asyncio.sleep(0.01)
            assert counts == []
    finally:
        os.write(writing, b"x")
        await until(lambda: not thread.is_alive())
        signals.restore()
        os.close(reading)
        os.close(writing)
    assert counts == [1]
