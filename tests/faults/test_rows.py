"""Every row of the table: outcome, limit, leftovers."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from faults import execution, runner
from faults.row import Row
from faults.rows import ROWS
from ferrule.sync import RPCPluginClient
from ferrule.testing import KV_CONFIG, KVStub, plugin_command
from ferrule.testing.kv_pb2 import EchoRequest

STEP = 1 if os.environ.get("FERRULE_FAULTS") == "whole" else 6
"""One row in so many runs: all by `make faults`, else the short form."""


@pytest.fixture(scope="module", autouse=True)
def results() -> Iterator[list[dict[str, object]]]:
    """What was measured of each row; written to the file that `FERRULE_FAULTS_RESULTS` names."""
    found: list[dict[str, object]] = []
    yield found
    if path := os.environ.get("FERRULE_FAULTS_RESULTS"):
        Path(path).write_text(json.dumps(found, indent=1) + "\n")


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What the library keeps for the life of the process is there before the first row."""
    for face in ("asyncio", "uvloop", "blocking"):
        assert runner.job(Row(area="none", step="none", fault="none", outcome="works", face=face)).outcome == "works"
    # A thread that blocks has descriptors of its own from its second lone call on.
    with RPCPluginClient(plugin_command(), KV_CONFIG) as client:
        for _ in range(4):
            KVStub(client.grpc_channel).Echo(EchoRequest())


def test_names_are_unique() -> None:
    names = [row.name for row in ROWS]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize("row", ROWS[::STEP], ids=lambda row: row.name)
def test_row(row: Row, temporary_directory: Path, results: list[dict[str, object]]) -> None:
    if not runner.IS_KNOWN.get(row.face, True):
        pytest.skip(f"this Python has no {row.face}")
    result = execution.run(row, temporary_directory)
    assert result.outcome in row.outcome.split(" or "), result.texts
    left = [each for each in result.left if not (row.left and each.startswith(row.left))]
    assert (result.then, result.end, left) == (row.then, row.end, []), (result.outcome, result.texts)
    assert row.says in "\n".join(result.texts)
    assert result.seconds < row.limit
    results.append({"name": row.name, "seconds": round(result.seconds, 2)})
