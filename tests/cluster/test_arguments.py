"""Wrong arguments of a pool, which need no cluster to be found."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from ferrule.errors import ConfigError
from ferrule.pool import Limits, PluginSpec, PoolError
from ferrule.ray import RayPool

pytestmark = [pytest.mark.ray]


async def work(lease: Any) -> None:
    """Does nothing."""


async def many(lease: Any) -> Any:
    """Is no task."""
    yield 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limits_per_node", {"max_plugins": 5}),
        ("in_flight_per_node", 0),
        ("max_waiting", True),
        ("resource", ""),
        ("resource", 5),
        ("binaries", "/var/cache"),
    ],
)
def test_of_the_pool(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"setting {name} is"):
        RayPool(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("spec", "a program"),
        ("function", None),
        ("function", many),
        ("function", PluginSpec),
        ("timeout", "5"),
        ("timeout", -1),
        ("timeout", float("nan")),
        ("deadline", 0),
        ("deadline", float("inf")),
    ],
)
async def test_of_a_task(name: str, value: Any) -> None:
    given = {"spec": PluginSpec(["/bin/true"]), "function": work, name: value}
    pool = RayPool(limits_per_node=Limits())
    with pytest.raises(ConfigError, match=f"setting {name} is"):
        await pool.run(given.pop("spec"), given.pop("function"), **given)


@pytest.mark.parametrize("value", [0, -1, 1.5])
async def test_of_map(value: Any) -> None:
    with pytest.raises(ConfigError, match="setting max_in_flight is"):
        async for _ in RayPool().map([], work, max_in_flight=value):
            pass


async def test_before_the_pool_is_open_and_after_its_end() -> None:
    pool = RayPool(max_waiting=3)
    outcomes = [outcome async for _, outcome in pool.map([PluginSpec(["/bin/true"])] * 9, work)]
    assert {str(getattr(outcome.error, "code", None)) for outcome in outcomes} == {"pool.closed"}
    for verb in (pool.close, lambda **given: pool.drain("node", **given)):
        with pytest.raises(ConfigError, match="setting timeout is"):
            await verb(timeout=-1)


async def test_two_specs_of_one_process_with_two_loggers() -> None:
    pool = RayPool()
    specs = [PluginSpec(["/bin/true"], {"logger": logging.getLogger(name)}) for name in ("one", "two")]
    with pytest.raises(PoolError, match="not open"):
        await pool.run(specs[0], work)
    for _ in range(2):
        with pytest.raises(ConfigError, match="share a process, and differ in logger"):
            await pool.run(specs[1], work)
    with pytest.raises(PoolError, match="not open"):
        await pool.run(PluginSpec(["/bin/true"], {"logger": logging.getLogger("one")}), work)
