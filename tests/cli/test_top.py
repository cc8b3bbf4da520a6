"""`ferrule top`: the pool it finds, its table at all sizes, its JSON, and what it says when there is no pool."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ferrule.cli import main
from ferrule.cli.top.picture import picture
from ferrule.cli.top.rates import sorted_rows, with_rates
from ferrule.pool.arguments import SOCKET_VARIABLE
from ferrule.pool.measures import DurationStats, NameStats, PendingLeases, PluginStats, PoolStats
from ferrule.pool.metrics_socket import MetricsSocket
from ferrule.sync import PluginPool
from peers import ROOT

HOSTILE = PluginStats("e\x1b[2Jvil", "ready", 7)


def pool(calls: int = 0) -> PoolStats:
    return PoolStats(
        "main",
        (
            PluginStats(
                "aws-eu",
                "leased",
                41,
                age=7300.0,
                leases=2,
                waiting=1,
                calls=calls,
                call_seconds=DurationStats(3, 0.03, 0.01, 0.01, 0.0123),
                restarts=1,
                memory_bytes=90 * 2**20,
            ),
            PluginStats("kv", "ready", 42, age=5.0, calls=4 * calls, memory_bytes=3 * 2**20),
            PluginStats("time", "queued", waiting=3),
        ),
        names=(NameStats("aws-eu", calls_unknown=2),),
        pending=(PendingLeases("time", 0, 3), PendingLeases("aws-eu", 5, 1)),
        plugins_max=500,
        memory_bytes=100 * 2**20,
        memory_limit_bytes=2**30,
        start_slots_used=1,
        start_slots_max=2,
    )


ANSWER = with_rates(pool(100).to_dict(), pool(0).to_dict(), 10.0)


class Pool:
    """A pool that has its event loop in a thread.

    Attributes:
        path: Its socket.
    """

    def __init__(self, answer: Callable[[], dict[str, Any]]) -> None:
        self.path = ""
        self._answer = answer
        self._opened = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=[self._serve()])
        self._thread.start()
        self._opened.wait()

    async def _serve(self) -> None:
        self._end = asyncio.Event()
        server = MetricsSocket(self._answer)
        await server.open()
        self.path = server.path
        self._opened.set()
        await self._end.wait()
        await server.close()

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)

    def close(self) -> None:
        self.end()
        self._thread.join()
        self._loop.close()


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv(SOCKET_VARIABLE, raising=False)
    return tmp_path


@pytest.fixture
def running() -> Iterator[Callable[..., Pool]]:
    with contextlib.ExitStack() as stack:

        def start(answer: Callable[[], dict[str, Any]] = lambda: pool().to_dict()) -> Pool:
            started = Pool(answer)
            stack.callback(started.close)
            return started

        yield start


def top(*arguments: str) -> int:
    return main(["top", "--interval", "0.01", *arguments])


def lines_of(width: int, height: int | None = None, order: str = "memory", answer: Any = ANSWER) -> list[str]:
    return str(picture(answer, order, width, height, note="a note")).splitlines()


def test_a_table_of_the_usual_size() -> None:
    lines = lines_of(80, 24)
    assert "\n".join(lines[:-1]) in (ROOT / "docs" / "cli.md").read_text()
    assert lines == [
        "pool main: 3 of 500 plugins (1 leased, 1 queued, 1 ready)",
        "calls/s 50  leases 2  waiting 4  memory 100 of 1,024 MiB  unknown 2  starts 1/2",
        "PLUGIN                 STATE       LEASES  WAIT  CALLS/S   P99 MS     MIB    AGE",
        "aws-eu                 leased           2     1       10     12.3    90.0     2h",
        "kv                     ready            0     0       40        -     3.0     5s",
        "time                   queued           0     3        0        -       -     0s",
        "a note",
    ]


@pytest.mark.parametrize(
    ("width", "titles"),
    [
        (200, "PLUGIN STATE PID LEASES WAIT CALLS/S P99 MS MIB AGE RESTARTS"),
        (60, "PLUGIN STATE LEASES CALLS/S MIB"),
        (40, "PLUGIN STATE LEASES"),
        (10, "PLUGIN"),
        (1, "P"),
    ],
)
def test_columns_that_have_room(width: int, titles: str) -> None:
    lines = lines_of(width, 24)
    assert all(len(line) <= width for line in lines)
    assert " ".join(lines[2].split()) == titles


@pytest.mark.parametrize("height", range(1, 7))
def test_a_terminal_of_few_lines(height: int) -> None:
    lines = lines_of(80, height, answer=with_rates(replaced(4), None, 0))
    assert len(lines) == height
    assert lines[0].startswith("pool main")


def replaced(count: int) -> dict[str, Any]:
    return {**pool().to_dict(), "plugins": [PluginStats(f"kv-{number}", "ready").to_dict() for number in range(count)]}


@pytest.mark.parametrize("count", range(8))
def test_every_plugin_is_shown_or_counted(count: int) -> None:
    for height in range(6, 14):
        lines = lines_of(80, height, answer=with_rates(replaced(count), None, 0))
        assert len(lines) <= height
        shown = sum(line.startswith("kv-") for line in lines)
        more = [int(line.split()[2]) for line in lines if line.startswith("... and")]
        assert shown + sum(more) == count


@pytest.mark.parametrize(
    ("order", "names"),
    [("memory", ["aws-eu", "kv", "time"]), ("calls", ["kv", "aws-eu", "time"]), ("wait", ["time", "aws-eu", "kv"])],
)
def test_orders(order: str, names: list[str]) -> None:
    assert [row["name"] for row in sorted_rows(ANSWER, order)] == names


def test_names_are_shown_and_not_followed() -> None:
    answer = with_rates(PoolStats("p\x07", (HOSTILE,)).to_dict(), None, 0)
    text = "\n".join(lines_of(80, 24, answer=answer))
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "e[2Jvil" in text


def test_a_name_has_one_line() -> None:
    answer = with_rates(PoolStats("p\nq", (PluginStats("k\n\tv", "ready", 7),)).to_dict(), None, 0)
    lines = lines_of(80, 24, answer=answer)
    assert lines[0].startswith("pool p q: ")
    assert any(line.startswith("k v ") for line in lines)


def test_a_plugin_that_is_new_and_one_that_was_replaced() -> None:
    before = {**pool().to_dict(), "plugins": [PluginStats("kv", "ready", 1, calls=50).to_dict()]}
    after = {**before, "plugins": [PluginStats("kv", "ready", pid, calls=20).to_dict() for pid in (1, 2)]}
    assert [row["calls_per_second"] for row in with_rates(after, before, 2.0)["plugins"]] == [0.0, 10.0]


def test_once(running: Callable[..., Pool], capsys: pytest.CaptureFixture[str]) -> None:
    running()
    assert top("--once", "--sort", "wait") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["PLUGIN", "time", "aws-eu", "kv"]


def test_json_once(running: Callable[..., Pool], capsys: pytest.CaptureFixture[str]) -> None:
    running()
    assert top("--json", "--once", "--pid", str(os.getpid())) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == with_rates(pool().to_dict(), pool().to_dict(), 1.0)


def test_a_pool_of_threads(capsys: pytest.CaptureFixture[str]) -> None:
    with PluginPool(name="threads", metrics_socket=True):
        assert top("--once") == 0
    assert capsys.readouterr().out.startswith("pool threads: 0 of ")


def test_json_follows_until_the_pool_ends(
    running: Callable[..., Pool], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[int] = []

    def answer() -> dict[str, Any]:
        asked.append(1)
        if len(asked) == 3:
            started.end()
        return pool(len(asked)).to_dict()

    started = running(answer)
    assert top("--json", "--socket", started.path) == 0
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) >= 2
    assert captured.err == f"ferrule: the pool on {started.path} has ended\n"


def test_json_needs_no_library(
    running: Callable[..., Pool], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    running()
    monkeypatch.setitem(sys.modules, "rich.console", None)
    assert top("--once") == 1
    assert "`pip install 'ferrule[cli]'` brings it; --json needs nothing." in capsys.readouterr().err
    assert top("--json", "--once") == 0


def test_no_pool(capsys: pytest.CaptureFixture[str]) -> None:
    assert top() == 1
    assert "no pool of this user has a metrics socket" in capsys.readouterr().err
    assert top("--pid", "1") == 1
    assert "no pool of process 1 has a metrics socket" in capsys.readouterr().err


def test_no_pool_at_a_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert top("--json", "--socket", str(tmp_path / "none")) == 1
    captured = capsys.readouterr()
    assert "none: No such file or directory" in captured.err
    assert json.loads(captured.out)["error"]["type"] == "TransportError"


def test_one_of_several_pools_has_to_be_named(
    running: Callable[..., Pool], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = running(), running()
    assert top("--once") == 1
    err = capsys.readouterr().err
    assert "there are 2 pools; say which one:" in err
    assert f"  --socket {first.path}    process {os.getpid()}\n  --socket {second.path}" in err
    monkeypatch.setenv(SOCKET_VARIABLE, second.path)
    assert top("--once") == 0


@contextlib.asynccontextmanager
async def answering(path: Path, line: bytes) -> AsyncIterator[None]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(line)
        writer.close()

    async with await asyncio.start_unix_server(answer, str(path)):
        yield


@pytest.mark.parametrize(
    ("line", "status", "message"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", 1, "is no pool of this version"),
        (b'{"plugins": [{}]}\n', 1, "is no pool of this version"),
        (b"[]\n", 1, "is no pool of this version"),
        (b"[" * 50_000 + b"\n", 1, "is no pool of this version"),
        (b'{"plugins": ', 0, "has ended"),
        (b"", 0, "has ended"),
    ],
)
async def test_what_answers_is_something_else(
    line: bytes, status: int, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with answering(tmp_path / "s", line):
        assert await asyncio.to_thread(top, "--once", "--socket", str(tmp_path / "s")) == status
    assert message in capsys.readouterr().err


def test_a_pool_that_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ferrule.cli.top.source.ANSWER_SECONDS", 0.01)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        assert top("--once", "--socket", str(tmp_path / "s")) == 1
    assert "has not answered for 0.01 s" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--sort", "name"], "invalid choice: 'name'"),
        (["--pid", "x"], "invalid int value: 'x'"),
        (["--pid", "1", "--socket", "s"], "not allowed with argument"),
        (["--interval", "0"], "'0' should be a number of seconds"),
    ],
)
def test_wrong_command_line(arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["top", *arguments])
    assert end.value.code == 2
    assert complaint in capsys.readouterr().err
