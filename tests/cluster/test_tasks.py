"""Tasks on a real Ray cluster of three nodes."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.conftest import Box
from cluster.plugin_work import fail, where, write
from ferrule.pool import Limits, PluginSpec
from ferrule.ray import RayPool
from peers import go_kv, kv_config

pytestmark = [pytest.mark.ray, pytest.mark.go]


def spec(number: int, journal: Path) -> PluginSpec:
    """The plugin of one key."""
    return PluginSpec(go_kv(f"journal={journal}"), kv_config(env={"KEY": str(number)}), name=f"kv-{number}")


async def test_the_thin_path(box: Box, journal: Path) -> None:
    box.add("thin", 3)
    specs = [spec(number, journal) for number in range(9)]
    async with RayPool(resource="thin", limits_per_node=Limits(max_plugins=50)) as pool:
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
