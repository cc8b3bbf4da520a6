"""The servers that these tests call: one in Go that echoes, and one of hand-made frames that is hostile."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ferrule import _core
from peers import ROOT, go_peer
from stress.pinging_server import Pinging
from stress.watched_server import Watched, says_nothing
from waiting import LIMIT

SEED = os.environ.get("FERRULE_SEED", str(random.randrange(1 << 32)))


@contextlib.contextmanager
def server(*command: str) -> Iterator[tuple[str, Path]]:
    """Runs a server until its standard input closes; its first line, and a directory for its sockets.

    It may write nothing to its standard error.
    """
    with tempfile.TemporaryDirectory(prefix="ft-", dir="/tmp") as directory:
        process = subprocess.Popen(
            [word.replace("DIRECTORY", directory) for word in command],
            env=os.environ | {"PYTHONPATH": str(ROOT / "tests")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        yield process.stdout.readline().decode(), Path(directory)
        _, errors = process.communicate(timeout=LIMIT)
        assert errors.decode() == ""


@pytest.fixture(scope="package")
def echo() -> Iterator[str]:
    """Target of the Go server `echo`: bench.Echo/Unary gives a message back, /Stream as many as it is asked for."""
    with server(go_peer("echo"), "-unix", "DIRECTORY/echo") as (line, _):
        yield json.loads(line)["targets"][0]


@pytest.fixture(scope="package")
def attacks() -> Iterator[Path]:
    """Directory of the hostile server's sockets."""
    with server(sys.executable, "-m", "stress.hostile_server", "DIRECTORY", SEED) as (line, directory):
        assert line == "listening\n"
        yield directory


@pytest.fixture(autouse=True)
def quiet(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """A panic of the I/O thread would show on standard error."""
    yield
    lines = capfd.readouterr().err.splitlines()
    # grpcio, which other tests of the process use, speaks of each fork.
    assert [line for line in lines if "skipping fork() handlers" not in line] == []


@pytest.fixture
def watched(temporary_directory: Path) -> Iterator[Callable[..., Watched]]:
    servers: list[Watched] = []
    path = temporary_directory / "watched"

    def start(answer: Callable[[Watched, int], None] = says_nothing) -> Watched:
        servers.append(Watched(path, answer))
        return servers[-1]

    yield start
    for server in servers:
        server.join()
    path.unlink(missing_ok=True)


USUAL_READER = os.environ.get("FERRULE_READER", "automatic")


@pytest.fixture
def usual_reader() -> Iterator[None]:
    """The test chooses itself who reads the sockets of channels."""
    yield
    _core.set_reader(USUAL_READER)


@pytest.fixture(params=["automatic", "caller", "random"])
def reader(request: pytest.FixtureRequest, usual_reader: None) -> str:
    """Who reads; the caller does so after some lone calls, at random only perhaps."""
    reader: str = request.param
    _core.set_reader(reader)
    return reader


@pytest.fixture
def pinging(temporary_directory: Path) -> Iterator[Pinging]:
    server = Pinging(temporary_directory / "pinging")
    yield server
    server.close()
