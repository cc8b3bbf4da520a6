"""What a plugin's process may use, and who may use its sockets."""

from __future__ import annotations

import asyncio
import contextlib
import grp
import os
import resource
import stat
import sys
from pathlib import Path

import pytest

from ferrule.client import RPCPluginClient
from ferrule.errors import LaunchError, PluginExitedError, RPCPluginError
from ferrule.testing import COOKIE_KEY
from ferrule.testing.kv_pb2 import PutRequest
from integration.kv import both_plugins, kv_client, started
from integration.processes import environment_of
from peers import Command, go_kv

pytestmark = pytest.mark.timeout(60)

GIB = 1 << 30


def limits_of(client: RPCPluginClient, kind: int) -> tuple[int, int]:
    """Soft and hard limit of a running plugin."""
    assert client.pid is not None
    return resource.prlimit(client.pid, kind)


@both_plugins
async def test_plugin_gets_the_limits_and_the_host_keeps_its_own(plugin: Command) -> None:
    before = [resource.getrlimit(kind) for kind in (resource.RLIMIT_AS, resource.RLIMIT_CPU)]
    async with started(plugin(), max_memory_bytes=8 * GIB, max_cpu_seconds=600) as (client, kv):
        await kv.Put(PutRequest(key="k"))
        assert limits_of(client, resource.RLIMIT_AS) == (8 * GIB, 8 * GIB)
        assert limits_of(client, resource.RLIMIT_CPU) == (600, 601)
    assert [resource.getrlimit(kind) for kind in (resource.RLIMIT_AS, resource.RLIMIT_CPU)] == before


@both_plugins
async def test_without_the_settings_limits_are_inherited(plugin: Command) -> None:
    async with started(plugin()) as (client, _):
        for kind in (resource.RLIMIT_AS, resource.RLIMIT_CPU):
            assert limits_of(client, kind) == resource.getrlimit(kind)


async def test_memory_beyond_the_limit_is_refused() -> None:
    program = "import mmap; mmap.mmap(-1, 1 << 30); print('allocated', flush=True)"
    client = kv_client([sys.executable, "-c", program], max_memory_bytes=GIB // 2)
    with pytest.raises(PluginExitedError) as caught:
        await client.start()
    assert any("Cannot allocate memory" in line for line in caught.value.stderr_tail)


async def test_cpu_time_beyond_the_limit_ends_the_plugin() -> None:
    client = kv_client([sys.executable, "-c", "while True: pass"], max_cpu_seconds=1)
    with pytest.raises(PluginExitedError) as caught:
        await client.start()
    # SIGXCPU, or SIGKILL: the hard limit is the same.
    assert caught.value.exit_status in {-24, -9}


@pytest.mark.go
async def test_directory_of_the_sockets(tmp_path: Path, temporary_directory: Path) -> None:
    with contextlib.ExitStack() as stack:
        base = temporary_directory / "base"
        base.mkdir()
        stack.callback(base.rmdir)
        for given in (str(base), base):
            async with started(go_kv(), unix_socket_dir=given) as (client, kv):
                await kv.Put(PutRequest(key="k"))
                directory = Path(client.address or "").parent
                assert directory.parent == base
                assert stat.S_IMODE(directory.stat().st_mode) == 0o700
            assert not directory.exists()
        with pytest.raises(LaunchError, match=str(base / "absent")) as caught:
            await kv_client(go_kv(), unix_socket_dir=base / "absent").start()
        assert caught.value.code == "launch.failed"


def other_group() -> grp.struct_group:
    """A group to which this user may give a file away."""
    if os.geteuid() == 0:
        return grp.getgrnam("daemon")
    own = [number for number in os.getgroups() if number != os.getegid()]
    if not own:
        pytest.skip("this user belongs to one group only")
    return grp.getgrgid(own[0])


@pytest.mark.go
@pytest.mark.parametrize("by", ["name", "number"])
async def test_group_may_use_the_sockets(by: str) -> None:
    group = other_group()
    given = group.gr_name if by == "name" else str(group.gr_gid)
    async with started(go_kv(), unix_socket_group=given) as (client, kv):
        await kv.Put(PutRequest(key="k"))
        assert client.pid is not None
        assert environment_of(client.pid)["PLUGIN_UNIX_SOCKET_GROUP"] == given
        socket = Path(client.address or "")
        for path, mode in ((socket, 0o660), (socket.parent, 0o1770)):
            assert (path.stat().st_gid, stat.S_IMODE(path.stat().st_mode)) == (group.gr_gid, mode)


async def test_group_that_does_not_exist() -> None:
    client = kv_client([sys.executable, "-c", "raise SystemExit"], unix_socket_group="no-such-group")
    with pytest.raises(RPCPluginError, match="no-such-group") as refused:
        await client.start()
    assert "unix_socket_group" in str(refused.value.hint)
    assert client.pid is None


@pytest.mark.go
async def test_limits_go_together_with_a_checksum_and_a_clean_environment() -> None:
    import hashlib

    checksum = await asyncio.to_thread(lambda: hashlib.sha256(Path(go_kv()[0]).read_bytes()).digest())
    settings = {"skip_host_env": True, "secure_config": {"checksum": checksum}, "max_cpu_seconds": 100}
    async with started(go_kv(), **settings) as (client, kv):
        await kv.Put(PutRequest(key="k"))
        assert limits_of(client, resource.RLIMIT_CPU) == (100, 101)
        assert client.pid is not None
        assert {name for name in environment_of(client.pid) if not name.startswith("PLUGIN_")} == {COOKIE_KEY}
