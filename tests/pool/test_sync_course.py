"""Where a blocking call goes that is lost again and again, with plugins that are made up."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic
from types import SimpleNamespace
from typing import Any

import pytest

from ferrule.channel.core_call import EndedCall
from ferrule.channel.status import UNAVAILABLE
from ferrule.channel.sync.calls import FailedCall
from ferrule.pool import OutcomeUnknown, PluginDied, PluginSpec
from ferrule.pool.policy import State
from ferrule.sync.pool.course import Course

METHOD = "/test.Test/Call"


def lost(*, begun: bool) -> FailedCall:
    return FailedCall(EndedCall(UNAVAILABLE, "the plugin ended", begun=begun))


class Replacements:
    """A pool in which each lease is of the next plugin, and which counts those that are held."""

    retry_unsent = True

    def __init__(self, plugins: Iterator[Any]) -> None:
        self._plugins = plugins
        self.spec = PluginSpec(["kv"], name="kv", idempotent={METHOD})
        self.held = 0

    def channel(self) -> Any:
        client = SimpleNamespace(is_started=True, pid=7, exit_status=-9, stderr_tail=(), stop_report=None)
        return SimpleNamespace(
            plugin=next(self._plugins), spec=self.spec, client=client, replacements=self, wait_exited=lambda _: True
        )

    def lease_for_call(self, _spec: PluginSpec, _timeout: float | None) -> Any:
        return Lease(self)


class Lease:
    def __init__(self, pool: Replacements) -> None:
        self._pool = pool
        self.channel = pool.channel()

    def __enter__(self) -> Lease:
        self._pool.held += 1
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.held -= 1


class Plugin:
    def __init__(self, state: State) -> None:
        self.state = state


def dead() -> Iterator[Plugin]:
    while True:
        yield Plugin(State.BROKEN)


def begin(plugins: Iterator[Any]) -> tuple[Course, Replacements]:
    pool = Replacements(plugins)
    return Course(pool.channel(), METHOD, None, monotonic()), pool


def test_request_that_kills_each_plugin_is_given_up() -> None:
    course, pool = begin(dead())
    # Calls that had not begun may be made again as often as that happens.
    for begun in (False, False, False, True, True):
        course.move(lost(begun=begun))
        assert pool.held == 1, "the lease of the plugin before is given back"
    with pytest.raises(OutcomeUnknown):
        course.move(lost(begun=True))
    course.end()
    assert pool.held == 0


def test_call_that_had_begun_once_is_unknown_from_then_on() -> None:
    course, _ = begin(dead())
    course.move(lost(begun=True))
    error = course.error_of(lost(begun=False))
    assert isinstance(error, OutcomeUnknown)
    assert error.begun


def test_plugin_that_lives_and_cannot_be_reached_is_not_asked_twice() -> None:
    alive = Plugin(State.LEASED)
    course, pool = begin(iter([alive, alive]))
    with pytest.raises(PluginDied):
        course.move(lost(begun=False))
    assert pool.held == 0
