"""What plugins say reaches loggers and outputs while no thread is inside a call of ours."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import pytest

from ferrule.sync import output
from ferrule.sync.output import THREAD_NAME
from ferrule.testing import KVStub
from ferrule.testing.kv_pb2 import GetRequest, NoiseRequest
from integration.kv import both_plugins
from integration.sync_kv import in_thread, sync_client, sync_started
from peers import Command, go_kv, python_kv
from waiting import LIMIT

pytestmark = pytest.mark.timeout(60)

MB = 1_000_000


class Recorder(logging.Handler):
    """Keeps what it is given, with the thread, and calls a function at a certain message."""

    def __init__(self, message: str = "", react: Callable[[], object] = list) -> None:
        super().__init__()
        self.at = message
        self.react = react
        self.messages: list[str] = []
        self.threads: set[str] = set()
        self.logger = logging.Logger("under_test", logging.DEBUG)
        self.logger.addHandler(self)

    def handle(self, record: logging.LogRecord) -> bool:
        # Without the handler's lock, which a test may want to hold in its own way.
        self.messages.append(record.getMessage())
        self.threads.add(threading.current_thread().name)
        if record.getMessage() == self.at:
            self.react()
        return True

    def numbered(self) -> list[int]:
        return [int(message.split()[1]) for message in self.messages if message.startswith("line ")]


@both_plugins
def test_lines_arrive_in_order_while_the_main_thread_sleeps_in_a_lock(plugin: Command) -> None:
    last_seen = threading.Lock()
    last_seen.acquire()
    recorder = Recorder("line 999", last_seen.release)
    with sync_started(plugin(), logger=recorder.logger) as (_, kv):
        kv.Noise(NoiseRequest(stderr_lines=[f"line {number}" for number in range(1000)]))
        assert last_seen.acquire(timeout=LIMIT)
        assert recorder.numbered() == [*range(1000)]
    assert recorder.threads == {THREAD_NAME}


@both_plugins
def test_all_lines_are_there_when_the_end_returns(plugin: Command) -> None:
    recorder = Recorder()
    client = sync_client(plugin(), logger=recorder.logger)
    client.start()
    kv = KVStub(client.grpc_channel)
    kv.Noise(NoiseRequest(stderr_lines=[f"line {number}" for number in range(5000)]))
    client.shutdown_plugin()
    assert recorder.numbered() == [*range(5000)]
    client.close()


@both_plugins
def test_output_goes_to_functions(plugin: Command) -> None:
    text, all_seen = "grün\n" * 5000, threading.Event()
    received = bytearray()

    def receive(data: bytes) -> None:
        received.extend(data)
        if len(received) >= len(text.encode()):
            all_seen.set()

    with sync_started(plugin(), sync_stdout=receive) as (_, kv):
        kv.Noise(NoiseRequest(synced_stdout=text))
        assert all_seen.wait(LIMIT)
    assert received.decode() == text


def test_function_that_raises_is_reported_once_and_the_rest_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    calls: list[bytes] = []

    def fail(data: bytes) -> None:
        calls.append(data)
        raise ValueError("mine")

    recorder = Recorder("line 1", lambda: 1 / 0)
    with sync_started(python_kv(), logger=recorder.logger, sync_stdout=fail) as (_, kv):
        for _ in range(3):
            kv.Noise(NoiseRequest(synced_stdout="x", stderr_lines=["line 0", "line 1", "line 2"]))
    assert calls
    assert recorder.numbered() == [0, 1, 2] * 3
    assert caplog.text.count("passing a plugin's output") == 1
    assert caplog.text.count("handling a log record of under_test failed") == 1


@pytest.mark.go
def test_handler_may_close_its_own_client() -> None:
    closed = threading.Event()

    def react() -> None:
        client.close()
        closed.set()

    recorder = Recorder("line 0", react)
    client = sync_client(go_kv(), logger=recorder.logger)
    client.start()
    kv = KVStub(client.grpc_channel)
    in_thread(kv.Noise, NoiseRequest(stderr_lines=["line 0", "line 1"]))
    assert closed.wait(LIMIT)
    assert not client.is_started
    client.close()


@pytest.mark.go
def test_close_does_not_wait_for_a_handler_that_waits_for_the_closing_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "_DRAIN_STALL_LIMIT", 0.2)
    mine, entered = threading.Lock(), threading.Event()

    def react() -> None:
        entered.set()
        assert mine.acquire(timeout=LIMIT)

    recorder = Recorder("line 0", react)
    with mine:
        with sync_started(go_kv(), logger=recorder.logger) as (_, kv):
            kv.Noise(NoiseRequest(stderr_lines=["line 0", "line 1"]))
            assert entered.wait(LIMIT)
        # Closed, although the handler still waits.
    with sync_started(go_kv(), logger=recorder.logger):
        pass
    # Late, but not lost.
    assert recorder.numbered() == [0, 1]


@pytest.mark.go
def test_flood_of_one_plugin_holds_up_neither_calls_nor_the_lines_of_another() -> None:
    heard = threading.Event()
    flooded = logging.Logger("flood", logging.DEBUG)
    flooded.addHandler(logging.NullHandler())
    recorder = Recorder("line 0", heard.set)
    with sync_started(go_kv(), logger=flooded) as (_, loud):
        with sync_started(go_kv(), logger=recorder.logger) as (_, quiet):
            flood = in_thread(loud.Noise, NoiseRequest(stderr_bytes=50 * MB, stderr_line_bytes=50))
            quiet.Noise(NoiseRequest(stderr_lines=["line 0"]), timeout=LIMIT)
            assert heard.wait(LIMIT)
            with pytest.raises(Exception, match="NOT_FOUND"):
                quiet.Get(GetRequest(key="none"), timeout=LIMIT)
            flood.result(LIMIT)
