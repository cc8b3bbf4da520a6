"""Programs that call `serve` at the wrong moment, or with an odd standard output: told so, or served."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ferrule.errors import PluginExitedError
from ferrule.testing import KV_CONFIG
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


FAILING = """
from ferrule.server import ReattachTarget, serve
from ferrule.testing import KV_CONFIG

def load():
    raise {error}

async def register(server, broker):
    load()

def one_argument(server):
    pass

serve({function}, KV_CONFIG, test={test})
"""


def run_failing(directory: Path, error: str, function: str = "register", test: str = "None") -> tuple[int, str, str]:
    """The status, standard output and standard error of a plugin that cannot serve."""
    path = directory / "failing.py"
    path.write_text(FAILING.format(error=error, function=function, test=test))
    config = dict(KV_CONFIG)
    environment = {str(config["magic_cookie_key"]): str(config["magic_cookie_value"])}
    done = subprocess.run(
        [sys.executable, path], env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("error", "text"),
    [
        ("LookupError('no servicer')", "LookupError: no servicer"),
        ("FileNotFoundError(2, 'gone', 'kv.toml')", "FileNotFoundError: [Errno 2] gone: 'kv.toml'"),
    ],
)
def test_exception_while_registering_is_logged_with_the_users_frames(error: str, text: str, tmp_path: Path) -> None:
    status, output, log = run_failing(tmp_path, error)
    assert (status, output) == (1, "")
    entry = json.loads(log)
    assert (entry["@level"], entry["@message"], entry["error"]) == ("error", "plugin init error", text)
    frames = [line.strip() for line in entry["stacktrace"].splitlines() if line.startswith("  File ")]
    assert [frame.rpartition(" in ")[2] for frame in frames] == ["register", "load"]


def test_function_that_does_not_take_the_arguments(tmp_path: Path) -> None:
    status, _, log = run_failing(tmp_path, "None", "one_argument")
    entry = json.loads(log)
    assert (status, entry["@message"]) == (1, "plugin init error")
    assert entry["error"] == "TypeError: one_argument() takes 1 positional argument but 2 were given"
    assert entry["stacktrace"].count("  File ") == 1


def test_failure_in_test_mode_is_plain_text(tmp_path: Path) -> None:
    status, _, log = run_failing(tmp_path, "LookupError('no servicer')", test="ReattachTarget()")
    assert status == 1
    assert log.startswith("plugin init error: LookupError: no servicer\nTraceback (most recent call last):\n")
    assert "asyncio" not in log
