"""Runners: what may be combined with one, how addresses are translated, and starting a child by the base class."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from conftest import descriptors
from ferrule import sync
from ferrule._validation import Environment
from ferrule.client import RPCPluginClient
from ferrule.config import ClientConfig
from ferrule.errors import ConfigError, LaunchError
from ferrule.runner import Runner, RunnerLaunch, RunningPlugin, SubprocessRunner

DIRECTORY = "/tmp/ferrule-x"


class Shell(SubprocessRunner):
    """Runs a script whatever it is given."""

    def __init__(self, script: str, inside: str | None = None) -> None:
        self.script = script
        self.socket_directory = inside

    def command(self, launch: RunnerLaunch) -> Sequence[str]:
        return ["sh", "-c", self.script, *launch.command]


def launch(*command: str, cwd: str | None = None, **environment: str) -> RunnerLaunch:
    return RunnerLaunch(command=command, environment=Environment(environment), cwd=cwd, socket_directory=DIRECTORY)


@contextlib.asynccontextmanager
async def running(runner: Runner, order: RunnerLaunch) -> AsyncIterator[RunningPlugin]:
    """A child; its pipes are closed in the end, as Ferrule does."""
    plugin = await runner.start(order)
    try:
        yield plugin
    finally:
        await plugin.kill()
        await plugin.wait()
        os.close(plugin.stdout)
        os.close(plugin.stderr)


async def ended(plugin: RunningPlugin) -> int | None:
    return await asyncio.wait_for(plugin.wait(), 20)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"secure_config": {"checksum": "00" * 32}}, "settings runner and secure_config are both given"),
        ({"max_memory_bytes": 1 << 30}, "settings runner and max_memory_bytes are both given"),
        ({"max_cpu_seconds": 1}, "settings runner and max_cpu_seconds are both given"),
    ],
)
def test_what_only_the_core_can_see_to_is_refused(settings: dict[str, Any], words: str) -> None:
    assert ClientConfig.of(settings)
    with pytest.raises(ConfigError, match=words) as caught:
        ClientConfig.of({"runner": SubprocessRunner(), **settings})
    assert caught.value.hint


def test_attaching_and_a_runner_are_refused() -> None:
    reattach = {"network": "unix", "address": "/x", "pid": 1, "protocol_version": 5}
    with pytest.raises(ConfigError, match="settings runner and reattach are both given"):
        RPCPluginClient(config={"runner": SubprocessRunner()}, reattach=reattach)


def test_blocking_client_refuses_a_runner() -> None:
    client = sync.RPCPluginClient(["plugin"], {"runner": SubprocessRunner()})
    with pytest.raises(ConfigError, match=r"setting runner is .*SubprocessRunner.*, expected None.*event loop"):
        client.start()


def test_launch_shows_no_secret() -> None:
    shown = repr(launch("plugin", TOKEN="d41d8cd98f00"))
    assert "TOKEN" in shown
    assert "d41d8cd98f00" not in shown


async def test_child_gets_the_command_environment_and_directory(tmp_path: Path) -> None:
    runner = Shell('echo "$0|$1|$A|$PLUGIN_UNIX_SOCKET_DIR|$(pwd)"; echo error >&2')
    order = launch("plugin", "a b", cwd=str(tmp_path), A="x\ny", PATH=os.environ["PATH"])
    async with running(runner, order) as plugin:
        assert await ended(plugin) == 0
        assert os.read(plugin.stdout, 1000).decode() == f"plugin|a b|x\ny|{DIRECTORY}|{tmp_path}\n"
        assert os.read(plugin.stderr, 1000) == b"error\n"


async def test_plugin_is_told_where_its_sockets_are_to_be() -> None:
    async with running(Shell("echo $PLUGIN_UNIX_SOCKET_DIR", "/inside"), launch("plugin")) as plugin:
        assert await ended(plugin) == 0
        assert os.read(plugin.stdout, 1000) == b"/inside\n"


async def test_program_is_found_without_a_path_in_the_environment() -> None:
    async with running(Shell("exit 3"), launch("plugin")) as plugin:
        assert await ended(plugin) == 3
        assert await ended(plugin) == 3


@pytest.mark.parametrize("has_pidfd", [True, False])
async def test_end_by_a_signal(has_pidfd: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not has_pidfd:
        monkeypatch.delattr(os, "pidfd_open")
    async with running(Shell("exec sleep 600"), launch("plugin")) as plugin:
        assert plugin.pid is not None
        assert os.getpgid(plugin.pid) == plugin.pid
        waiting = asyncio.create_task(ended(plugin))
        await asyncio.sleep(0)
        await plugin.terminate()
        assert await waiting == -signal.SIGTERM
        # Both do nothing now: the number may be another's.
        await plugin.terminate()
        await plugin.kill()


@pytest.mark.parametrize("has_pidfd", [True, False])
async def test_what_the_child_started_ends_with_it(has_pidfd: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not has_pidfd:
        monkeypatch.delattr(os, "pidfd_open")
    async with running(Shell("sleep 600 & echo started"), launch("plugin")) as plugin:
        assert await ended(plugin) == 0
        assert os.read(plugin.stdout, 1000) == b"started\n"
        # The end of the pipe: nobody holds it any more. A read that waited would be ended by the test's limit.
        assert os.read(plugin.stdout, 1000) == b""


@pytest.mark.parametrize("has_pidfd", [True, False])
async def test_group_is_killed_while_its_number_is_taken(has_pidfd: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not has_pidfd:
        monkeypatch.delattr(os, "pidfd_open")
    killed: list[str] = []

    def kill(group: int, _number: int) -> None:
        killed.append(Path(f"/proc/{group}/stat").read_text().rpartition(")")[2].split()[0])

    async with running(Shell("exit 0"), launch("plugin")) as plugin:
        with monkeypatch.context() as patched:
            patched.setattr(os, "killpg", kill)
            assert await ended(plugin) == 0
    assert killed[:1] == ["Z"]


async def test_waiting_may_be_cancelled_and_repeated() -> None:
    async with running(Shell("exec sleep 600"), launch("plugin")) as plugin:
        before = descriptors()
        for _ in range(3):
            waiting = asyncio.create_task(plugin.wait())
            await asyncio.sleep(0)
            assert len(descriptors()) == len(before) + 1
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        assert descriptors() == before
        await plugin.kill()
        assert await ended(plugin) == -signal.SIGKILL


async def test_status_of_a_wrapper_is_translated() -> None:
    class Wrapped(Shell):
        def exit_status(self, status: int) -> int:
            return 128 - status if status > 128 else status

    async with running(Wrapped("exit 143"), launch("plugin")) as plugin:
        assert await ended(plugin) == -15


@pytest.mark.parametrize(
    ("command", "error", "words"),
    [
        (["absent-program"], LaunchError, "absent-program was not found in PATH"),
        (["/absent/program"], LaunchError, "/absent/program does not exist"),
        (["/etc/passwd"], PermissionError, "/etc/passwd"),
        (["true", "a\0b"], ValueError, "null"),
    ],
)
async def test_child_that_cannot_be_started_leaves_nothing(
    command: list[str], error: type[Exception], words: str
) -> None:
    before = descriptors()
    with pytest.raises(error, match=words):
        await SubprocessRunner().start(launch(*command))
    assert descriptors() == before


INSIDE = "/plugin"


@pytest.mark.parametrize(
    ("inside", "given", "translated"),
    [
        (INSIDE, ("unix", "/plugin/plugin1"), ("unix", f"{DIRECTORY}/plugin1")),
        (INSIDE, ("unix", "/plugin/a/../b//c"), ("unix", f"{DIRECTORY}/b/c")),
        ("/plugin/", ("unix", "/plugin/plugin1"), ("unix", f"{DIRECTORY}/plugin1")),
        (INSIDE, ("tcp", "127.0.0.1:1234"), ("tcp", "127.0.0.1:1234")),
        (None, ("unix", "/anywhere/plugin1"), ("unix", "/anywhere/plugin1")),
        (DIRECTORY, ("unix", "/anywhere/plugin1"), ("unix", "/anywhere/plugin1")),
    ],
)
async def test_addresses_of_the_plugin(inside: str | None, given: tuple[str, str], translated: tuple[str, str]) -> None:
    async with running(Shell("exit", inside), launch("plugin")) as plugin:
        assert await plugin.plugin_to_host(*given) == translated


async def test_addresses_of_the_host() -> None:
    async with running(Shell("exit", INSIDE), launch("plugin")) as plugin:
        assert await plugin.host_to_plugin("unix", f"{DIRECTORY}/p") == ("unix", "/plugin/p")
        assert await plugin.host_to_plugin("tcp", "127.0.0.1:1") == ("tcp", "127.0.0.1:1")
        with pytest.raises(ValueError, match="is not in"):
            await plugin.host_to_plugin("unix", "/elsewhere/p")


@pytest.mark.parametrize(
    "address", ["/run/docker.sock", "/plugin/../run/docker.sock", "/plugins/p", "/plugin", "p", ""]
)
async def test_plugin_cannot_name_a_socket_of_the_host(address: str) -> None:
    async with running(Shell("exit", INSIDE), launch("plugin")) as plugin:
        with pytest.raises(ValueError, match=r"is not in /plugin, the only directory that both sides have"):
            await plugin.plugin_to_host("unix", address)


async def test_defaults_of_a_running_plugin() -> None:
    killed = []

    class Remote(RunningPlugin):
        async def wait(self) -> int | None:
            return None

        async def kill(self) -> None:
            killed.append(True)

    remote = Remote()
    assert remote.pid is None
    assert await remote.plugin_to_host("tcp", "10.0.0.1:1") == ("tcp", "10.0.0.1:1")
    assert await remote.host_to_plugin("unix", "/p") == ("unix", "/p")
    await remote.terminate()
    assert killed == [True]
