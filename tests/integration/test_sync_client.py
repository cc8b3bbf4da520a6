"""The blocking client on real plugins: the asyncio client's promises, kept for threads."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import hashlib
import os
import signal
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from conftest import children, descriptors
from ferrule import _core
from ferrule.channel.sync import SyncChannel
from ferrule.errors import ConfigError, LaunchError, PluginExitedError, RPCPluginError, SecurityError, StartTimeoutError
from ferrule.runner import SubprocessRunner
from ferrule.sync import RPCPluginClient, cleanup_clients
from ferrule.sync.output import THREAD_NAME
from ferrule.testing import KV_CONFIG, KVStub
from ferrule.testing.kv_pb2 import EchoRequest, ExitRequest, GetRequest, NoiseRequest, PutRequest
from integration.kv import both_plugins
from integration.processes import is_running
from integration.sync_kv import in_thread, sync_client, sync_started
from integration.usage import own_threads
from peers import Command, go_kv, python_kv
from waiting import wait_until

pytestmark = pytest.mark.timeout(60)

PROMPTLY = 5.0
CYCLES = int(os.environ.get("FERRULE_CYCLES", "30"))


@both_plugins
@pytest.mark.parametrize("auto_mtls", [True, False], ids=["mtls", "plain"])
def test_quick_start(plugin: Command, auto_mtls: bool) -> None:
    with sync_started(plugin(), auto_mtls=auto_mtls) as (client, kv):
        kv.Put(PutRequest(key="colour", value=b"green"))
        assert kv.Get(GetRequest(key="colour")).value == b"green"
        assert isinstance(client.grpc_channel, SyncChannel)
        assert client.sync_channel is client.grpc_channel
        assert (client.is_started, client.protocol_version, client.transport) == (True, 1, "unix")
        assert client.pid in children()
        assert (client.server_cert is not None, client.client_cert is not None) == (auto_mtls, auto_mtls)
        assert client.bytes_received > 0
        assert set(client.timings) == {"launch", "handshake", "connect", "health"}
    assert client.stop_report is not None
    assert (client.stop_report.rung, client.exit_status, client.is_started) == ("shutdown", 0, False)
    assert client.grpc_channel is None
    assert client.wait_exited() == 0


def test_nothing_happens_before_the_first_start() -> None:
    client = sync_client(python_kv())
    client.shutdown_plugin()
    client.close()
    for attempt in (client.wait_exited, lambda: client.sync_channel, lambda: client.broker):
        with pytest.raises(RPCPluginError, match="there is no plugin to"):
            attempt()
    assert (client.pid, client.stop_report, client.stderr_tail, client.timings) == (None, None, (), {})
    assert "not started" in repr(client)
    with pytest.raises(ConfigError):
        RPCPluginClient([], {})


@both_plugins
def test_second_start_does_nothing_and_one_after_the_end_starts_anew(plugin: Command) -> None:
    client, pids = sync_client(plugin()), set()
    for _ in range(3):
        with client:
            client.start()
            pids.add(client.pid)
            with pytest.raises(grpc.RpcError):
                KVStub(client.grpc_channel).Get(GetRequest(key="left over"))
            KVStub(client.grpc_channel).Put(PutRequest(key="left over"))
        assert client.exit_status == 0
    assert len(pids) == 3


@both_plugins
def test_exit_of_the_context_ends_the_plugin_also_when_the_body_raised(plugin: Command) -> None:
    client = sync_client(plugin())
    with pytest.raises(KeyError, match="the body's own"), client:
        raise KeyError("the body's own")
    assert client.stop_report is not None
    assert (client.stop_report.rung, client.exit_status) == ("shutdown", 0)


@both_plugins
def test_eight_plugins_from_eight_threads(plugin: Command) -> None:
    together = threading.Barrier(8)

    def live(number: int) -> tuple[bytes, int | None]:
        together.wait(PROMPTLY)
        with sync_started(plugin()) as (client, kv):
            kv.Put(PutRequest(key="number", value=b"%d" % number))
            together.wait(20)
            assert [thread.name for thread in threading.enumerate()].count(THREAD_NAME) == 1
            together.wait(20)
            return kv.Get(GetRequest(key="number")).value, client.pid

    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(live, range(8)))
    assert [value for value, _ in results] == [b"%d" % number for number in range(8)]
    assert len({pid for _, pid in results}) == 8


@both_plugins
def test_eight_threads_use_one_plugin(plugin: Command) -> None:
    with sync_started(plugin()) as (client, kv), ThreadPoolExecutor(8) as threads:

        def use(number: int) -> bool:
            client.start()
            payload = b"%d" % number
            answers = [kv.Echo(EchoRequest(payload=payload)).payload for _ in range(50)]
            return answers == [payload] * 50 and client.is_started

        assert all(threads.map(use, range(8)))


@pytest.mark.go
def test_all_threads_that_end_a_client_return_when_it_has_ended() -> None:
    client = sync_client(go_kv())
    client.start()
    waiting = [in_thread(client.wait_exited) for _ in range(3)]
    ending = [in_thread(end) for end in [client.shutdown_plugin, client.close] * 4]
    for each in ending:
        each.result(PROMPTLY)
        assert client.pid is not None
    assert not is_running(client.pid or 0)
    assert len({each.result(PROMPTLY) for each in waiting}) == 1
    assert not client.is_started


@pytest.mark.go
def test_threads_that_shut_down_together_get_one_report() -> None:
    with sync_started(go_kv()) as (client, _):
        for each in [in_thread(client.shutdown_plugin) for _ in range(4)]:
            each.result(PROMPTLY)
        client.shutdown_plugin()
        assert client.stop_report is not None
        assert client.stop_report.rung == "shutdown"


async def test_works_in_the_thread_of_a_loop_and_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a loop was asked for")

    monkeypatch.setattr(asyncio, "get_running_loop", refuse)
    monkeypatch.setattr(asyncio, "new_event_loop", refuse)
    with sync_started(python_kv()) as (_, kv):
        kv.Put(PutRequest(key="k", value=b"v"))
        assert kv.Get(GetRequest(key="k")).value == b"v"
    monkeypatch.undo()


FAILURES: dict[str, tuple[list[str], type[RPCPluginError], str, dict[str, Any], int | None, str]] = {
    "missing": (["/nowhere/absent"], LaunchError, "launch.not-found", {}, None, ""),
    "exits": (["exit=3"], PluginExitedError, "handshake.exited", {}, 3, ""),
    "wrong cookie": ([], PluginExitedError, "handshake.exited", {"magic_cookie_value": "wrong"}, 1, "This binary is"),
    "hangs": (["hang"], StartTimeoutError, "handshake.timeout", {"start_timeout": 0.3}, None, ""),
}


@pytest.mark.parametrize("row", FAILURES.values(), ids=FAILURES.keys())
def test_failing_start_says_why_and_leaves_nothing(row: tuple[Any, ...], temporary_directory: Path) -> None:
    words, error, code, settings, status, tail = row
    before = children()
    client = sync_client(words if code == "launch.not-found" else python_kv(*words), **settings)
    for _ in range(2):
        with pytest.raises(error) as caught:
            client.start()
        assert (caught.value.code, caught.value.exit_status) == (code, status)
        assert tail in str(caught.value)
        assert (children(), _core.live_plugins(), client.is_started) == (before, 0, False)
        assert list(temporary_directory.iterdir()) == []


def test_two_starts_at_once() -> None:
    client = sync_client(python_kv("hang"))
    first = in_thread(client.start)
    wait_until(lambda: _core.live_plugins() == 1, "the first start")
    with pytest.raises(RPCPluginError, match="already running"):
        client.start()
    # The refused one has not given up the other.
    assert not first.done()
    client.close()
    with pytest.raises(RPCPluginError, match="closed while it started"):
        first.result(PROMPTLY)


def test_close_during_the_pause_of_a_failed_start(caplog: pytest.LogCaptureFixture) -> None:
    client = sync_client(python_kv("exit=3"), retry={"attempts": 3, "backoff": 30, "max_backoff": 30})
    starting = in_thread(client.start)
    wait_until(lambda: "next attempt in 30.00 s" in caplog.text, "the first failure")
    client.close()
    with pytest.raises(RPCPluginError) as caught:
        starting.result(PROMPTLY)
    assert caught.value.code == "client.cancelled"


def test_start_is_repeated_as_often_as_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(PluginExitedError):
        sync_client(python_kv("exit=3"), retry={"attempts": 3, "backoff": 0.01}).start()
    assert caplog.text.count("next attempt") == 2


UNREACHABLE = "raw-line=1|1|unix|/nowhere|grpc|"


@pytest.mark.parametrize("words", [["hang"], [UNREACHABLE], []], ids=["handshake", "connecting", "succeeding"])
def test_close_during_start(words: list[str]) -> None:
    before = children()
    client = sync_client(python_kv(*words), auto_mtls=UNREACHABLE not in words)
    starting = in_thread(client.start)
    wait_until(lambda: bool(children() - before), "the process")
    client.close()
    with pytest.raises(RPCPluginError) as caught:
        starting.result(PROMPTLY)
    assert caught.value.code == "client.cancelled"
    assert children() == before
    # It may be started again, also while others still hear of the end.
    if not words:
        with client:
            KVStub(client.grpc_channel).Put(PutRequest(key="k"))


@both_plugins
def test_crash_is_known_to_all_at_once(plugin: Command) -> None:
    with sync_started(plugin()) as (client, kv):
        waiting = [in_thread(client.wait_exited) for _ in range(3)]
        kv.Noise(NoiseRequest(stderr_lines=["the last words"]))
        with pytest.raises(grpc.RpcError):
            kv.Exit(ExitRequest(code=7))
        assert [each.result(PROMPTLY) for each in waiting] == [7, 7, 7]
        with pytest.raises(grpc.RpcError) as caught:
            kv.Put(PutRequest(key="k"))
        details = str(caught.value.details())
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "the plugin ended with exit status 7" in details
        assert "the last words" in details
        assert client.is_started
    assert client.stop_report is not None
    assert (client.stop_report.rung, client.exit_status) == ("exited", 7)


@pytest.mark.go
def test_killed_plugin() -> None:
    with sync_started(go_kv()) as (client, _):
        os.kill(client.pid or 0, signal.SIGKILL)
        assert client.wait_exited(PROMPTLY) == -signal.SIGKILL


@pytest.mark.go
def test_limit_of_waiting_passes_as_often_as_one_likes() -> None:
    with sync_started(go_kv()) as (client, _):
        before = len(descriptors())
        for _ in range(20):
            with pytest.raises(TimeoutError, match="still runs after 0 s"):
                client.wait_exited(0)
        with pytest.raises(TimeoutError):
            client.wait_exited(0.05)
        assert len(descriptors()) <= before + 1


@pytest.mark.go
def test_managed_clients_end_together() -> None:
    clients = [sync_client(go_kv(), managed=True) for _ in range(3)]
    for client in clients:
        client.start()
    cleanup_clients()
    assert [client.stop_report and client.stop_report.rung for client in clients] == ["shutdown"] * 3
    assert not any(client.is_started for client in clients)
    cleanup_clients()


@pytest.mark.parametrize("words", [[], ["exit=3"]], ids=["closed", "failed"])
def test_client_that_has_ended_needs_no_garbage_collector(words: list[str]) -> None:
    client = sync_client(python_kv(*words))
    gc.disable()
    try:
        with contextlib.suppress(RPCPluginError), client:
            pass
        watch = weakref.ref(client)
        del client
        assert watch() is None
    finally:
        gc.enable()


@pytest.mark.go
def test_cycles_leave_nothing(temporary_directory: Path) -> None:
    def cycle() -> None:
        with sync_started(go_kv()) as (client, kv):
            kv.Echo(EchoRequest(payload=bytes(10_000)))
            with pytest.raises(TimeoutError):
                client.wait_exited(0)
        with pytest.raises(PluginExitedError):
            sync_client(go_kv("exit=3")).start()

    for _ in range(3):
        cycle()
    gc.collect()
    before, threads = len(descriptors()), own_threads()
    for _ in range(CYCLES):
        cycle()
    # The I/O thread lets go of its part a moment after the outcome, and the system of a thread after its end.
    wait_until(lambda: len(descriptors()) <= before, f"{before} descriptors as before")
    wait_until(lambda: own_threads() <= threads, f"{threads} threads as before")
    assert list(temporary_directory.iterdir()) == []


def test_runner_is_refused() -> None:
    with pytest.raises(ConfigError, match="without an event loop"):
        sync_client(python_kv(), runner=SubprocessRunner()).start()


@pytest.mark.go
def test_attaches_to_a_plugin_that_runs() -> None:
    with sync_started(go_kv()) as (owner, kv):
        kv.Put(PutRequest(key="k", value=b"v"))
        with RPCPluginClient(reattach=owner.reattach_config(include_secrets=True), config=KV_CONFIG) as client:
            assert KVStub(client.grpc_channel).Get(GetRequest(key="k")).value == b"v"
            assert "reattached" in repr(client)
        # It belongs to the other.
        assert kv.Get(GetRequest(key="k")).value == b"v"


@pytest.mark.go
def test_only_the_program_with_the_right_checksum_is_started(temporary_directory: Path) -> None:
    right = hashlib.sha256(Path(go_kv()[0]).read_bytes()).hexdigest()
    with sync_started(go_kv(), secure_config={"checksum": right}) as (_, kv):
        kv.Put(PutRequest(key="k"))
    with pytest.raises(SecurityError, match="checksum"):
        sync_client(go_kv(), secure_config={"checksum": "00" * 32}).start()
