"""Writing where nobody reads any more."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from ferrule.server.pipes import write_all


@pytest.fixture(params=[signal.SIG_DFL, signal.SIG_IGN], ids=["default", "ignored"])
def action(request: pytest.FixtureRequest) -> Iterator[Any]:
    before = signal.signal(signal.SIGPIPE, request.param)
    yield request.param
    signal.signal(signal.SIGPIPE, before)


@pytest.fixture
def writing() -> Iterator[int]:
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@pytest.mark.usefixtures("action")
def test_a_reader_that_is_gone_is_an_error(writing: int) -> None:
    for _ in range(2):
        with pytest.raises(BrokenPipeError):
            write_all(writing, b"line\n")
    assert signal.SIGPIPE not in signal.sigpending()
    assert signal.SIGPIPE not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


@pytest.mark.usefixtures("action")
def test_a_signal_that_was_held_back_before_stays_so(writing: int) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGPIPE})
    try:
        with pytest.raises(BrokenPipeError):
            write_all(writing, b"line\n")
        assert signal.SIGPIPE in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    finally:
        while signal.sigtimedwait({signal.SIGPIPE}, 0):
            pass
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGPIPE})
