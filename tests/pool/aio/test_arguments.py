"""Wrong arguments of a pool: one error that names the value and what was expected, and the pool is untouched."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ferrule import ConfigError
from ferrule.pool import LeaseTimeout, Limits, PluginPool, PluginSpec
from pool.aio.fakes import FakeClock, FakeLauncher, turns

Pools = Callable[..., PluginPool]
Specs = Callable[..., PluginSpec]


async def subscriber(_event: Any) -> None: ...


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"limits": {"max_plugins": 1}}, r"limits is \{'max_plugins': 1\} \(dict\), expected Limits"),
        ({"name": 5}, r"name is 5 \(int\), expected a name"),
        ({"metrics_socket": 5}, r"metrics_socket is 5 \(int\), expected True, False or the path"),
    ],
)
def test_of_a_pool(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        PluginPool(**settings)


def test_a_path_of_the_metrics_socket() -> None:
    assert PluginPool(metrics_socket=Path("/run/kv.sock"))._metrics_socket == "/run/kv.sock"


def test_of_a_spec() -> None:
    for methods in (5, iter(["/kv.KV/Get"])):
        with pytest.raises(ConfigError, match=r"idempotent is .*, expected a collection of paths"):
            PluginSpec(["kv"], idempotent=methods)  # type: ignore[arg-type]


async def test_of_a_lease(make_pool: Pools, spec: Specs, launcher: FakeLauncher) -> None:
    async with make_pool() as pool:
        for wrong in ("kv", None, ["kv"], {"env": {"TOKEN": "secret"}}):
            with pytest.raises(ConfigError, match=r"the spec is .*, expected a PluginSpec") as caught:
                pool.lease(wrong)  # type: ignore[arg-type]
            assert "secret" not in str(caught.value)
            assert "PluginSpec([program, ...], {...})" in str(caught.value)
        with pytest.raises(ConfigError, match=r"the spec is of type list, expected a PluginSpec"):
            pool.lease(["kv"])  # type: ignore[arg-type]
        for priority in ("1", 1.5, math.nan, None, True, 2**40):
            with pytest.raises(ConfigError, match=r"priority is .*, expected a whole number"):
                pool.lease(spec(), priority=priority)  # type: ignore[arg-type]
        for timeout in ("1", math.nan, True):
            with pytest.raises(ConfigError, match=r"timeout is .*, expected seconds"):
                pool.lease(spec(), timeout=timeout)  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match=r"function is 5 \(int\), expected a function"):
            pool.run(spec(), 5)  # type: ignore[arg-type, unused-coroutine]
        assert (launcher.clients, pool.stats().waiting) == ([], 0)


async def test_times_that_have_no_end_or_are_over(
    make_pool: Pools, spec: Specs, launcher: FakeLauncher, clock: FakeClock
) -> None:
    launcher.start_seconds = 0
    async with make_pool() as pool:
        for timeout in (math.inf, 10**400):
            async with pool.lease(spec(), timeout=timeout):
                pass
        launcher.start_seconds = 1
        late = asyncio.ensure_future(pool.lease(spec("other"), timeout=-1).__aenter__())
        await turns(1)
        await clock.advance(0)
        with pytest.raises(
            LeaseTimeout, match=r"'other' at once, and the timeout leaves no time to wait: held by start slots "
        ):
            await late


async def test_of_the_other_methods(make_pool: Pools, spec: Specs, launcher: FakeLauncher) -> None:
    async with make_pool() as pool:
        with pytest.raises(ConfigError, match="the specs are of type PluginSpec, expected several"):
            await pool.warm(spec())  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match=r"the spec is 'kv' \(str\)"):
            await pool.warm([spec(), "kv"])  # type: ignore[list-item]
        with pytest.raises(ConfigError, match=r"the spec is 'kv' \(str\)"):
            await pool.evict("kv")  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match=r"force is 'no' \(str\), expected True or False"):
            await pool.evict(spec(), force="no")  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match=r"limits is None \(NoneType\), expected Limits"):
            pool.resize(None)  # type: ignore[arg-type]
        for function in (5, subscriber):
            with pytest.raises(ConfigError, match=r"on_event is .*, expected a function that is not async"):
                pool.subscribe(function)  # type: ignore[arg-type]
        assert launcher.clients == []


async def test_a_close_with_a_wrong_timeout_is_none(make_pool: Pools, spec: Specs, launcher: FakeLauncher) -> None:
    launcher.start_seconds = 0
    pool = make_pool(max_plugins=3)
    async with pool:
        async with pool.lease(spec()):
            pass
        for wrong in ("1", None, math.nan):
            with pytest.raises(ConfigError, match=r"timeout is .*, expected seconds"):
                await pool.close(timeout=wrong)  # type: ignore[arg-type]
        assert pool.limits == Limits(start_slots=2, max_plugins=3)
        async with pool.lease(spec()):
            pass
        await pool.close(timeout=math.inf)
        assert launcher.alive == set()
