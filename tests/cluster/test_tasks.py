"""Tasks on a real Ray cluster of three nodes."""

from __future__ import annotations

import asyncio
import math
import os
import re
import shutil
import subprocess
import sys
import textwrap
import threading
import types
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from cluster.conftest import Box
from cluster.plugin_work import fail, fail_without_a_text, leave, raise_lock, return_lock, where, write
from ferrule.errors import ConfigError, SecurityError
from ferrule.pool import Limits, OutcomeUnknown, PluginSpec, PoolError
from ferrule.ray import BinaryStore, NoNodes, RayPool
from ferrule.ray.binaries import ship
from peers import ROOT, go_kv, kv_config, provider
from waiting import until

pytestmark = [pytest.mark.ray, pytest.mark.go, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def nodes(cluster: Any) -> Iterator[str]:
    """Three nodes for all tests here; the resource that they have."""
    box = Box(cluster)
    box.add("tasks", 3)
    yield "tasks"
    box.remove_all()


def spec(number: int, journal: Path) -> PluginSpec:
    """The plugin of one key."""
    return PluginSpec(go_kv(f"journal={journal}"), kv_config(env={"KEY": str(number)}), name=f"kv-{number}")


async def test_the_thin_path(nodes: str, journal: Path) -> None:
    specs = [spec(number, journal) for number in range(9)]
    async with RayPool(resource=nodes, limits_per_node=Limits(max_plugins=50)) as pool:
        await until(lambda: len(pool.stats()["nodes"]) == 3, 120.0)
        first = [await pool.run(one, where, idempotent=True) for one in specs]
        again = [await pool.run(one, where) for one in specs]
        assert first == again
        assert len({actor for actor, _ in first}) == 3
        assert await pool.run(specs[0], write, 7) == 7
        with pytest.raises(ValueError, match="a text") as raised:
            await pool.run(specs[0], fail, "a text")
        assert "in fail" in raised.value.__notes__[0]
        assert pool.stats()["done"] == 19
    assert journal.read_text().splitlines() == ["begin 7.first", "end 7.first", "begin 7.last", "end 7.last"]


async def test_programs_are_brought_to_nodes(nodes: str, tmp_path: Path) -> None:
    program = tmp_path / "driver" / "kv"
    program.parent.mkdir()
    shutil.copy(go_kv()[0], program)
    specs = [PluginSpec([program], kv_config(env={"KEY": str(number)})) for number in range(6)]
    async with RayPool(resource=nodes, binaries=BinaryStore(tmp_path / "nodes")) as pool:
        hash_of = sha256(program.read_bytes()).hexdigest()
        places = await asyncio.gather(*(pool.run(one, where, timeout=120) for one in specs))
        assert len({actor for actor, _ in places}) > 1
        assert {Path(f"/proc/{plugin}/exe").resolve() for _, plugin in places} == {tmp_path / "nodes" / hash_of / "kv"}
    assert [path.name for path in (tmp_path / "nodes" / hash_of).iterdir()] == ["kv"]


async def test_a_program_that_differs_is_refused(nodes: str, tmp_path: Path) -> None:
    program = tmp_path / "kv"
    shutil.copy(go_kv()[0], program)
    one = PluginSpec([program], kv_config())
    async with RayPool(resource=nodes) as pool:
        pool._shipped_by_spec[one] = ship(one), math.inf
        program.write_bytes(b"another")
        with pytest.raises(SecurityError) as refused:
            await pool.run(one, where, timeout=60)
    assert refused.value.code == "ray.binary-differs"


async def test_many_and_a_node_that_drains(nodes: str, journal: Path) -> None:
    specs = [spec(number, journal) for number in range(12)]
    async with RayPool(resource=nodes) as pool:
        seen = []
        async for one, outcome in pool.map(specs, fail, "a text", ordered=True, max_in_flight=5, timeout=120):
            assert isinstance(outcome.error, ValueError)
            seen.append(one)
        assert seen == specs
        await until(lambda: len(pool.stats()["nodes"]) == 3, 120.0)
        first, *others = pool.stats()["nodes"]
        assert await pool.drain(first)
        assert list(pool.stats()["nodes"]) == others
        places = [outcome.result() async for _, outcome in pool.map(specs, where, timeout=120)]
        assert len({actor for actor, _ in places}) == 2
        with pytest.raises(PoolError, match="no node"):
            await pool.drain(first)


async def test_what_cannot_be_pickled(nodes: str, journal: Path) -> None:
    one = spec(1, journal)
    async with RayPool(resource=nodes) as pool:
        with pytest.raises(PoolError, match="argument 1 cannot be pickled: TypeError") as unsent:
            await pool.run(one, write, threading.Lock())
        assert (unsent.value.code, unsent.value.begun) == ("ray.unpicklable", False)
        with pytest.raises(OutcomeUnknown, match=r"carried out on node .* cannot be pickled: TypeError") as unanswered:
            await pool.run(one, return_lock)
        assert (unanswered.value.code, unanswered.value.begun) == ("ray.result", True)
        with pytest.raises(PoolError, match="UnpicklableError: a lock") as raised:
            await pool.run(one, raise_lock)
        assert raised.value.code == "ray.failed"
        assert await pool.run(one, write, 1) == 1


@pytest.mark.parametrize("idempotent", [False, True])
async def test_what_cannot_be_told(nodes: str, journal: Path, idempotent: bool) -> None:
    one = spec(1, journal)
    async with RayPool(resource=nodes) as pool:
        # A node that joins later may take the key over.
        await until(lambda: len(pool.stats()["nodes"]) == 3, 120.0)
        before = await pool.run(one, where, timeout=120)
        with pytest.raises(PoolError, match="NoTextError"):
            await pool.run(one, fail_without_a_text, idempotent=idempotent)
        with pytest.raises(PoolError, match="SystemExit: 3"):
            await pool.run(one, leave, idempotent=idempotent)
        missing = types.ModuleType("of_the_driver")
        exec("async def function(lease):\n    return 1", missing.__dict__)
        sys.modules["of_the_driver"] = missing
        with pytest.raises(PoolError, match=r"cannot load the task: .*of_the_driver") as unloaded:
            await pool.run(one, missing.function, idempotent=idempotent)
        assert (unloaded.value.code, unloaded.value.begun) == ("ray.unloadable", False)
        assert await pool.run(one, where) == before
        assert pool.stats()["nodes_lost"] == 0


async def test_the_page(nodes: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The program of docs/ray.md, with a real provider in place of its name."""
    page = (ROOT / "docs" / "ray.md").read_text()
    (block,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    block = block.replace("terraform-provider-example", provider("simple")[0]).replace(
        "/var/cache/ferrule", str(tmp_path)
    )
    namespace: dict[str, Any] = {}
    exec(f"async def main():\n{textwrap.indent(block, '    ')}", namespace)
    await namespace["main"]()
    assert capsys.readouterr().out.splitlines() == ["provider ['simple_resource']"] * 3


async def test_no_node_has_the_resource(cluster: object, journal: Path) -> None:
    async with RayPool(resource="nowhere") as pool:
        with pytest.raises(NoNodes):
            await pool.run(spec(1, journal), where, timeout=0.5)


@pytest.mark.parametrize(
    "setting",
    [{"binaries": "elsewhere"}, {"in_flight_per_node": 0}, {"max_waiting": True}, {"limits_per_node": 200}],
)
def test_settings_that_do_not_fit(setting: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(setting))):
        RayPool(**setting)


async def test_a_pool_that_is_not_open(journal: Path) -> None:
    with pytest.raises(PoolError) as refused:
        await RayPool().run(spec(1, journal), where)
    assert refused.value.code == "pool.closed"
    with pytest.raises(ConfigError, match="expected a PluginSpec"):
        await RayPool().run("kv", where)  # type: ignore[arg-type]


def test_the_example(cluster: object) -> None:
    command = [sys.executable, str(ROOT / "examples" / "ray_job.py"), "--plugins", "3"]
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    result = subprocess.run(command, check=False, capture_output=True, text=True, env=environment, timeout=280)
    assert result.returncode == 0, result.stderr
    assert "the value is blue; 7 tasks done" in result.stdout
