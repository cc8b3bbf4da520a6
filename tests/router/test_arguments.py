"""What cannot go to a node: one clear error, which shows no secrets."""

from __future__ import annotations

import asyncio
import pickle
import sys
import threading
from functools import partial
from typing import Any

import pytest

from ferrule.errors import ConfigError
from ferrule.pool import PluginSpec
from ferrule.ray.arguments import unpicklable
from ferrule.ray.binaries import Program, ShippedSpec, ship
from ferrule.ray.router.messages import Admit
from router.memory_transport import MemoryLease
from router.scenario import scenario
from router.test_bad_luck import task
from router.virtual_time import run


async def _function(lease: Any, *args: Any) -> None:
    """Can be pickled."""


async def _on_start(client: Any) -> None:
    """Can be pickled."""


class _Locked:
    def __init__(self) -> None:
        self.lock = threading.Lock()

    async def __call__(self, *args: Any) -> None:
        """Cannot be pickled."""


SECRET = {"env": {"TOKEN": "s3cr3t"}}


@pytest.mark.parametrize(
    ("spec", "function", "args", "blamed"),
    [
        (PluginSpec(["kv"], SECRET), _function, ("s3cr3t", threading.Lock()), "argument 2 cannot"),
        (PluginSpec(["kv"], SECRET), _Locked(), ("s3cr3t",), "the function cannot"),
        (PluginSpec(["kv"], SECRET), partial(_Locked(), "s3cr3t"), (), "the function cannot"),
        (PluginSpec(["kv"], SECRET, on_start=_Locked()), _function, (), "setting on_start of plugin 'kv' cannot"),
        (PluginSpec(["kv"], {**SECRET, "sync_stdout": sys.stdout.buffer}), _function, (), "setting sync_stdout of"),
    ],
)
def test_what_cannot_be_pickled_is_named(spec: PluginSpec, function: Any, args: tuple[Any, ...], blamed: str) -> None:
    message = Admit(1, 1, b"key", ShippedSpec(spec, Program("kv", "00"), b"key"), 1.0, 0, function, args)
    error = unpicklable(message, pickle.dumps)
    assert error is not None
    assert blamed in str(error)
    assert "s3cr3t" not in repr(error) + str(error)
    assert (error.code, error.__cause__) == ("ray.unpicklable", None)


def test_a_function_that_is_not_async_is_named() -> None:
    def count(lease: MemoryLease) -> int:
        return 5

    async def main() -> None:
        async with scenario("n1") as one:
            with pytest.raises(TypeError, match=r"count returned int, and must be async"):
                await one.router.run(task(count))  # type: ignore[arg-type]
            assert await one.router.run(task(lambda lease: asyncio.sleep(0.1, 5))) == 5

    run(main())


def test_a_plugin_with_a_runner_is_refused() -> None:
    class Runner:
        async def start(self, *args: Any) -> None:
            """Starts nothing."""

    with pytest.raises(ConfigError, match="has a runner"):
        ship(PluginSpec(["kv"], {"runner": Runner()}))
