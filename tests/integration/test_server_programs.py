"""Programs that call `serve` at the wrong moment, or with an odd standard output: told so, or served."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ferrule.errors import PluginExitedError
from ferrule.testing.kv_pb2 import PutRequest
from integration.kv import started

pytestmark = pytest.mark.timeout(60)

PROGRAM = """
import io, multiprocessing, os, sys
from ferrule.server import serve
from ferrule.testing import KV_CONFIG
from ferrule.testing.kv import KV
from ferrule.testing.kv_pb2_grpc import add_KVServicer_to_server

class Writing:
    def write(self, text):
        pass

class Spawning(KV):
    def Put(self, request, context):
        child = multiprocessing.get_context(request.key).Process(target=print)
        child.start()
        child.join()
        assert child.exitcode == 1, child.exitcode
        return super().Put(request, context)

{before}
serve(lambda server, broker: add_KVServicer_to_server(Spawning(), server), KV_CONFIG)
"""


def program(directory: Path, before: str = "") -> list[str]:
    """Command of a plugin whose call of `serve` is not guarded."""
    path = directory / "plugin.py"
    path.write_text(PROGRAM.format(before=before))
    return [sys.executable, str(path)]


async def test_closed_standard_output_is_told(tmp_path: Path) -> None:
    with pytest.raises(PluginExitedError, match="standard output is closed"):
        async with started(program(tmp_path, "os.close(1)")):
            pass


@pytest.mark.parametrize(
    "before",
    [
        "sys.stdout = None",
        "sys.stdout = io.StringIO()",
        "sys.stdout = Writing()",
        "sys.stderr = Writing()",
        # Descriptor 1 stays open.
        "sys.stdout.close()",
    ],
)
async def test_odd_standard_output_is_no_obstacle(before: str, tmp_path: Path) -> None:
    async with started(program(tmp_path, before)) as (_, kv):
        await kv.Echo(PutRequest(key="k"))


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
async def test_child_that_imports_the_program_does_not_serve(
    method: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with started(program(tmp_path)) as (_, kv):
        await kv.Put(PutRequest(key=method), timeout=30)
    assert "plugin init error" in caplog.text
