"""The ladder down: asked, then SIGTERM, then SIGKILL, each with its limit, and nobody left."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from ferrule.client import RPCPluginClient
from integration.kv import both_plugins, kv_client, started
from integration.processes import ended, given_the_directory_of, group, is_running
from peers import Command, go_kv
from waiting import until

pytestmark = pytest.mark.timeout(60)

SHUTDOWN, KILL = 0.2, 0.1
"""Limits of the tests, in seconds."""

SLACK = 1.0
"""Seconds that a busy machine may add to a limit."""

LADDER = [
    ([], "shutdown", ["shutdown"], 0),
    (["ignore-sigterm"], "shutdown", ["shutdown"], 0),
    (["ignore-shutdown"], "sigterm", ["shutdown", "sigterm"], -15),
    (["hang-shutdown"], "sigterm", ["shutdown", "sigterm"], -15),
    (["ignore-shutdown", "ignore-sigterm"], "sigkill", ["shutdown", "sigterm", "sigkill"], -9),
    (["hang-shutdown", "ignore-sigterm"], "sigkill", ["shutdown", "sigterm", "sigkill"], -9),
]


@both_plugins
@pytest.mark.parametrize(("words", "rung", "steps", "status"), LADDER)
async def test_each_rung(plugin: Command, words: list[str], rung: str, steps: list[str], status: int) -> None:
    client = kv_client(plugin(*words), shutdown_timeout=SHUTDOWN, kill_timeout=KILL)
    await client.start()
    begun = time.monotonic()
    await client.shutdown_plugin()
    elapsed = time.monotonic() - begun
    report = client.stop_report
    assert report is not None
    assert (report.rung, list(report.steps), report.exit_status, client.exit_status) == (rung, steps, status, status)
    assert report.seconds == pytest.approx(sum(report.steps.values()))
    assert report.seconds <= elapsed < report.seconds + SLACK
    limits = {"shutdown": SHUTDOWN, "sigterm": KILL}
    for step in steps[:-1]:
        assert limits[step] <= report.steps[step] < limits[step] + SLACK
    await client.close()


@both_plugins
async def test_well_behaved_plugin_is_not_waited_for(plugin: Command) -> None:
    client = kv_client(plugin(), shutdown_timeout=30, kill_timeout=30)
    await client.start()
    async with asyncio.timeout(SLACK):
        await client.shutdown_plugin()
    await client.close()


@both_plugins
@pytest.mark.parametrize(("channel", "stays"), [("native", False), ("grpcio", True)])
async def test_socket_directory_stays_as_long_as_it_is_used(plugin: Command, channel: str, stays: bool) -> None:
    client = kv_client(plugin(), channel=channel)
    await client.start()
    assert client.address is not None
    directory = Path(client.address).parent
    await client.shutdown_plugin()
    # Calls through the local socket are still to be told of the plugin's end.
    assert (client.is_started, directory.is_dir()) == (True, stays)
    # A second call finds the plugin ended, and leaves alone what the first one found.
    await client.shutdown_plugin()
    assert client.stop_report is not None
    assert client.stop_report.rung == "shutdown"
    await client.close()
    assert (client.is_started, directory.exists()) == (False, False)


def grandchild_of(client: RPCPluginClient) -> int:
    line = next(line for line in client.stderr_tail if line.startswith("grandchild pid "))
    pid = int(line.split()[-1])
    assert is_running(pid)
    return pid


@pytest.mark.go
@pytest.mark.parametrize("asked", [True, False], ids=["after shutdown", "by close alone"])
async def test_grandchild_dies_with_the_plugin(asked: bool) -> None:
    client = kv_client(go_kv("grandchild"))
    await client.start()
    grandchild = grandchild_of(client)
    async with asyncio.timeout(SLACK):
        if asked:
            await client.shutdown_plugin()
        await client.close()
    await ended(grandchild, SLACK)


@pytest.mark.go
async def test_grandchild_dies_after_a_failed_start() -> None:
    client = kv_client(go_kv("grandchild", "hang"), start_timeout=0.3)
    with pytest.raises(TimeoutError) as caught:
        await client.start()
    line = next(line for line in caught.value.stderr_tail if line.startswith("grandchild pid "))  # type: ignore[attr-defined]
    await ended(int(line.split()[-1]), SLACK)


def in_another_group(command: list[str]) -> list[str]:
    """The command behind a wrapper that is not the first, and puts what it runs into a group of its own."""
    return ["/bin/sh", "-c", 'timeout 60 "$@"; exit $?', "sh", *command]


@both_plugins
@pytest.mark.parametrize("asked", [True, False], ids=["in vain", "by close alone"])
async def test_plugin_in_another_group_is_killed(plugin: Command, asked: bool) -> None:
    settings = {"shutdown_timeout": 0.2, "kill_timeout": 0.2}
    client = kv_client(in_another_group(plugin("hang-shutdown", "ignore-sigterm")), **settings)
    await client.start()
    assert client.pid is not None
    members = given_the_directory_of(client.pid)
    assert members > group(client.pid)
    if asked:
        await client.shutdown_plugin()
    await client.close()
    await asyncio.gather(*(ended(member, SLACK) for member in members))


@pytest.mark.go
async def test_plugin_in_another_group_is_killed_after_a_failed_start() -> None:
    client = kv_client(in_another_group(go_kv("grandchild", "hang")), start_timeout=0.5)
    with pytest.raises(TimeoutError) as caught:
        await client.start()
    line = next(line for line in caught.value.stderr_tail if line.startswith("grandchild pid "))  # type: ignore[attr-defined]
    await ended(int(line.split()[-1]), SLACK)


@pytest.mark.go
async def test_daemon_that_holds_the_output_is_left_alone() -> None:
    client = kv_client(["/bin/sh", "-c", 'setsid sleep 60 & "$@"; exit $?', "sh", *go_kv()])
    await client.start()
    leader = client.pid
    assert leader is not None
    await until(lambda: len(given_the_directory_of(leader) - group(leader)) == 1)
    (daemon,) = given_the_directory_of(leader) - group(leader)
    try:
        await client.close()
        assert is_running(daemon)
    finally:
        os.kill(daemon, signal.SIGKILL)
        await ended(daemon)


@both_plugins
async def test_close_alone_kills_without_waiting(plugin: Command) -> None:
    async with started(plugin("hang-shutdown", "ignore-sigterm"), shutdown_timeout=30, kill_timeout=30) as (client, _):
        async with asyncio.timeout(SLACK):
            await client.close()
        assert client.exit_status == -9
        assert client.stop_report is None
