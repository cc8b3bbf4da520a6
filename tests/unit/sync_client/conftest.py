"""Something of the core that ends when a test wants it to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ferrule import _core
from ferrule.channel.options import channel_settings


class Pending:
    """An operation that is under way until `finish()`: it waits for the state of a channel to change."""

    def __init__(self) -> None:
        self._channel = _core.Channel("unix:/nowhere", channel_settings(None, None), None)
        self.begun = 0

    def begin(self, mailbox: _core.Mailbox, future: Any) -> None:
        self.begun += 1
        self._channel.watch_state(self._channel.state(), mailbox, future)

    def finish(self) -> None:
        self._channel.close("finished")


@pytest.fixture
def pending() -> Iterator[Pending]:
    operation = Pending()
    yield operation
    operation.finish()
